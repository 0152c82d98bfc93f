/* SPDX-License-Identifier: BSD-3-Clause */
#include "virtq_log.h"

#include <stdlib.h>

#include "virtq_mem.h"

uint64_t
virtq_log_bytes(uint64_t last)
{
	return (last >> VIRTQ_LOG_PAGE_SHIFT) / 8 + 1;
}

struct virtq_log *
virtq_log_new(struct virtq_map *map, uint8_t *bits, uint64_t bytes)
{
	struct virtq_log *log = calloc(1, sizeof(*log));

	if (log == NULL)
		return NULL;
	log->refs = 1;
	log->npages = bytes > UINT64_MAX / 8 ? UINT64_MAX : bytes * 8;
	log->bits = bits;
	log->map = map;
	return log;
}

struct virtq_log *
virtq_log_get(struct virtq_log *log)
{
	if (log != NULL)
		__atomic_fetch_add(&log->refs, 1, __ATOMIC_RELAXED);
	return log;
}

void
virtq_log_put(struct virtq_log *log)
{
	if (log == NULL || __atomic_sub_fetch(&log->refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	if (log->map != NULL)
		virtq_mem_map_put(log->map);
	free(log);
}

bool
virtq_log_failed(const struct virtq_log *log)
{
	return log != NULL && (__atomic_load_n(&log->missed, __ATOMIC_RELAXED) != 0 ||
			       (log->map != NULL && virtq_mem_map_poisoned(log->map)));
}

void
virtq_log_mark_pages(struct virtq_log *log, uint64_t gpa, uint64_t len)
{
	const uint64_t last = gpa + (len - 1) < gpa ? UINT64_MAX : gpa + (len - 1);

	for (uint64_t page = gpa >> VIRTQ_LOG_PAGE_SHIFT; page <= last >> VIRTQ_LOG_PAGE_SHIFT;
	     page++) {
		const uint8_t bit = (uint8_t)(1u << page % 8);
		uint8_t *byte;

		if (page >= log->npages) {
			__atomic_store_n(&log->missed, 1, __ATOMIC_RELAXED);
			return;
		}
		byte = &log->bits[page / 8];
		if (!(__atomic_load_n(byte, __ATOMIC_RELAXED) & bit))
			__atomic_fetch_or(byte, bit, __ATOMIC_RELAXED);
	}
}
