/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dirty log: a bitmap that the front-end shares, in which a page of guest memory is marked after
 * the device has written to it (vhost-user, "Migration"). It is known by guest-physical address,
 * and an address that it has no bit for is never used as one.
 */
#ifndef VIRTQ_LOG_H
#define VIRTQ_LOG_H

#include <stdbool.h>
#include <stdint.h>

#define VIRTQ_LOG_PAGE_SHIFT 12	/* VHOST_LOG_PAGE: 4096 bytes, a bit each */

struct virtq_map;

struct virtq_log {
	uint32_t refs;		/* atomic */
	uint32_t missed;	/* atomic: a page was written that has no bit */
	uint64_t npages;	/* bits */
	uint8_t *bits;		/* bit p % 8 of byte p / 8: page p */
	struct virtq_map *map;	/* owner of the mapping; NULL: memory that outlives us */
};

/* Bytes of a log for guest-physical addresses up to and including `last`. */
uint64_t virtq_log_bytes(uint64_t last);
/*
 * A log of `bytes` bytes, with one reference. Takes over the reference of `map` on success. NULL:
 * out of memory.
 */
struct virtq_log *virtq_log_new(struct virtq_map *map, uint8_t *bits, uint64_t bytes);
/* NULL is allowed, here and below. */
struct virtq_log *virtq_log_get(struct virtq_log *log);
void virtq_log_put(struct virtq_log *log);
/* The peer cut the file short, or a page was written that the log has no bit for. Any thread. */
bool virtq_log_failed(const struct virtq_log *log);

/*
 * Barrier D, between the writes and the marks for them: a page that is found marked may be sent at
 * once, and has to be sent with what was written.
 */
static inline void
virtq_log_barrier(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* virtq_log_mark() where a page is yet to be marked, or is none. */
void virtq_log_mark_pages(struct virtq_log *log, uint64_t gpa, uint64_t len);

/* Mark the pages of [gpa, gpa + len), len > 0; behind virtq_log_barrier(). Any thread. */
static inline void
virtq_log_mark(struct virtq_log *log, uint64_t gpa, uint64_t len)
{
	const uint64_t page = gpa >> VIRTQ_LOG_PAGE_SHIFT;

	/* Most writes are to one page, and that is marked already. */
	if (page == (gpa + (len - 1)) >> VIRTQ_LOG_PAGE_SHIFT && page < log->npages &&
	    (__atomic_load_n(&log->bits[page / 8], __ATOMIC_RELAXED) & 1u << page % 8))
		return;
	virtq_log_mark_pages(log, gpa, len);
}

#endif /* VIRTQ_LOG_H */
