/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "virtq_ring.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(offsetof(struct virtq_ring, features) < VIRTQ_CACHE_LINE, "hot part: one line");

const char *
virtq_ring_error_name(enum virtq_error e)
{
	static const char *const names[] = {
		[VIRTQ_OK] = "ok",
		[VIRTQ_E_AVAIL_JUMP] = "avail_jump",
		[VIRTQ_E_BAD_HEAD] = "bad_desc",
		[VIRTQ_E_CHAIN_LOOP] = "chain_loop",
		[VIRTQ_E_INDIRECT] = "bad_indirect",
		[VIRTQ_E_INDIRECT_UNMAPPED] = "unmapped_indirect",
		[VIRTQ_E_DIRECTION] = "bad_direction",
		[VIRTQ_E_USED_JUMP] = "used_jump",
		[VIRTQ_E_USED_ID] = "bad_used",
	};

	return e < VIRTQ_E_MAX ? names[e] : "unknown";
}

/* One of the three parts of a ring. */
struct part {
	uint64_t uva, bytes, align;
	void *host;
};

/* Sizes and alignments: VIRTIO 1.2, 2.7 and 2.8. */
static void
parts_of(const struct virtq_ring_config *cfg, struct part part[3])
{
	uint64_t n = cfg->size;
	uint64_t event = cfg->features & VIRTQ_BIT(VIRTIO_RING_F_EVENT_IDX) ? 2 : 0;
	bool packed = cfg->features & VIRTQ_BIT(VIRTIO_F_RING_PACKED);

	part[0] = (struct part){cfg->desc_uva, 16 * n, 16, NULL};
	if (packed) {
		part[1] = (struct part){cfg->avail_uva, 4, 4, NULL};
		part[2] = (struct part){cfg->used_uva, 4, 4, NULL};
	} else {
		part[1] = (struct part){cfg->avail_uva, 4 + 2 * n + event, 2, NULL};
		part[2] = (struct part){cfg->used_uva, 4 + 8 * n + event, 4, NULL};
	}
}

static int
parts_translate(struct part part[3], const struct virtq_mem *mem)
{
	for (int i = 0; i < 3; i++) {
		if (part[i].uva % part[i].align != 0 || part[i].uva + part[i].bytes < part[i].uva)
			return -EINVAL;
		for (int j = 0; j < i; j++)
			if (virtq_ranges_overlap(part[i].uva, part[i].bytes, part[j].uva,
						 part[j].bytes))
				return -EINVAL;
	}
	for (int i = 0; i < 3; i++) {
		part[i].host = virtq_mem_uva(mem, part[i].uva, part[i].bytes);
		if (part[i].host == NULL)
			return -EFAULT;
		/* A region's own offset may undo the alignment of the user address. */
		if ((uintptr_t)part[i].host % part[i].align != 0)
			return -EINVAL;
	}
	return 0;
}

static uint64_t
new_generation(void)
{
	static uint64_t generation;

	return __atomic_add_fetch(&generation, 1, __ATOMIC_RELAXED);
}

static struct virtq_ring *
ring_alloc_aligned(void)
{
	return aligned_alloc(VIRTQ_CACHE_LINE, (sizeof(struct virtq_ring) + VIRTQ_CACHE_LINE - 1) &
			     ~(VIRTQ_CACHE_LINE - 1ul));
}

int
virtq_ring_new(const struct virtq_ring_config *cfg, struct virtq_mem *mem, struct virtq_ring **out)
{
	bool packed = cfg->features & VIRTQ_BIT(VIRTIO_F_RING_PACKED);
	struct virtq_ring *ring;
	struct part part[3];
	int rc;

	if (cfg->size == 0 || cfg->size > VIRTQ_MAX_SIZE ||
	    (!packed && (cfg->size & (cfg->size - 1)) != 0))
		return -EINVAL;
	parts_of(cfg, part);
	rc = parts_translate(part, mem);
	if (rc < 0)
		return rc;
	ring = ring_alloc_aligned();
	if (ring == NULL)
		return -ENOMEM;
	memset(ring, 0, sizeof(*ring));
	ring->desc = part[0].host;
	ring->avail = part[1].host;
	ring->used = part[2].host;
	ring->size = (uint16_t)cfg->size;
	ring->mask = (uint16_t)(cfg->size - 1);
	ring->packed = packed;
	ring->enabled = cfg->enabled;
	ring->features = cfg->features;
	ring->mem = virtq_mem_get(mem);
	ring->callfd = cfg->callfd;
	ring->errfd = cfg->errfd;
	ring->qid = cfg->qid;
	ring->hdr_len = cfg->hdr_len;
	ring->log = virtq_log_get(cfg->log);
	ring->log_used = cfg->log_used;
	ring->log_gpa = cfg->log_gpa;
	if (ring->log != NULL)
		ring->desc_gpa = virtq_mem_gpa_of(mem, part[0].host);
	ring->generation = new_generation();
	*out = ring;
	return 0;
}

struct virtq_ring *
virtq_ring_with_notifier(const struct virtq_ring *ring, void *notifier)
{
	struct virtq_ring *copy = ring_alloc_aligned();

	if (copy == NULL)
		return NULL;
	*copy = *ring;
	copy->mem = virtq_mem_get(ring->mem);
	copy->log = virtq_log_get(ring->log);
	copy->notifier = notifier;
	copy->generation = new_generation();
	return copy;
}

void
virtq_ring_free(struct virtq_ring *ring)
{
	if (ring == NULL)
		return;
	virtq_mem_put(ring->mem);
	virtq_log_put(ring->log);
	free(ring);
}

void
virtq_ring_cursor_reset(struct virtq_cursor *cursor)
{
	cursor->avail_idx = 0;
	cursor->used_idx = 0;
	cursor->avail_wrap = true;
	cursor->used_wrap = true;
	__atomic_store_n(&cursor->broken, VIRTQ_OK, __ATOMIC_RELAXED);
}
