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

void
virtq_ring_parts(const struct virtq_ring_config *cfg, struct virtq_ring_part part[3])
{
	uint64_t n = cfg->size;
	uint64_t event = cfg->features & VIRTQ_BIT(VIRTIO_RING_F_EVENT_IDX) ? 2 : 0;
	bool packed = cfg->features & VIRTQ_BIT(VIRTIO_F_RING_PACKED);

	part[0] = (struct virtq_ring_part){cfg->desc_uva, 16 * n, 16, packed};
	if (packed) {
		part[1] = (struct virtq_ring_part){cfg->avail_uva, 4, 4, false};
		part[2] = (struct virtq_ring_part){cfg->used_uva, 4, 4, true};
	} else {
		part[1] = (struct virtq_ring_part){cfg->avail_uva, 4 + 2 * n + event, 2, false};
		part[2] = (struct virtq_ring_part){cfg->used_uva, 4 + 8 * n + event, 4, true};
	}
}

static void *
part_host(const struct virtq_ring_part *p, const struct virtq_mem *mem,
	  const struct virtq_iotlb *iotlb)
{
	uint64_t len = p->bytes;
	void *host;

	if (iotlb == NULL)
		return virtq_mem_uva(mem, p->addr, p->bytes);
	host = virtq_iotlb_find(iotlb, p->addr, &len, p->written);
	return len == p->bytes ? host : NULL;
}

static int
parts_translate(const struct virtq_ring_part part[3], const struct virtq_mem *mem,
		const struct virtq_iotlb *iotlb, void *host[3])
{
	for (int i = 0; i < 3; i++) {
		if (part[i].addr % part[i].align != 0 ||
		    part[i].addr + part[i].bytes < part[i].addr)
			return -EINVAL;
		for (int j = 0; j < i; j++)
			if (virtq_ranges_overlap(part[i].addr, part[i].bytes, part[j].addr,
						 part[j].bytes))
				return -EINVAL;
	}
	for (int i = 0; i < 3; i++) {
		host[i] = part_host(&part[i], mem, iotlb);
		if (host[i] == NULL)
			return -EFAULT;
		/* A region's own offset may undo the alignment of the user address. */
		if ((uintptr_t)host[i] % part[i].align != 0)
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

/* With an IOTLB; log_gpa is an I/O virtual address then as well. */
static int
ring_add_view(struct virtq_ring *ring, const struct virtq_ring_config *cfg)
{
	ring->view = virtq_iotlb_view_new(cfg->iotlb, cfg->missfd, ring->packed);
	if (ring->view == NULL)
		return -ENOMEM;
	ring->generation |= VIRTQ_RING_IOVA;
	if (ring->log != NULL)
		ring->log_gpa = virtq_mem_gpa_of(ring->mem, ring->used);
	return 0;
}

int
virtq_ring_new(const struct virtq_ring_config *cfg, struct virtq_mem *mem, struct virtq_ring **out)
{
	bool packed = cfg->features & VIRTQ_BIT(VIRTIO_F_RING_PACKED);
	struct virtq_ring_part part[3];
	struct virtq_ring *ring;
	void *host[3];
	int rc;

	if (cfg->size == 0 || cfg->size > VIRTQ_MAX_SIZE ||
	    (!packed && (cfg->size & (cfg->size - 1)) != 0))
		return -EINVAL;
	virtq_ring_parts(cfg, part);
	rc = parts_translate(part, mem, cfg->iotlb, host);
	if (rc < 0)
		return rc;
	ring = ring_alloc_aligned();
	if (ring == NULL)
		return -ENOMEM;
	memset(ring, 0, sizeof(*ring));
	ring->desc = host[0];
	ring->avail = host[1];
	ring->used = host[2];
	ring->size = (uint16_t)cfg->size;
	ring->mask = (uint16_t)(cfg->size - 1);
	ring->packed = packed;
	ring->enabled = cfg->enabled;
	ring->features = cfg->features;
	ring->mem = virtq_mem_get(mem);
	ring->callfd = cfg->callfd;
	ring->wakefd = cfg->wakefd;
	ring->errfd = cfg->errfd;
	ring->qid = cfg->qid;
	ring->hdr_len = cfg->hdr_len;
	ring->log = virtq_log_get(cfg->log);
	ring->log_used = cfg->log_used;
	ring->log_gpa = cfg->log_gpa;
	if (ring->log != NULL)
		ring->desc_gpa = virtq_mem_gpa_of(mem, host[0]);
	ring->generation = new_generation();
	if (cfg->iotlb != NULL && ring_add_view(ring, cfg) < 0) {
		virtq_ring_free(ring);
		return -ENOMEM;
	}
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
	virtq_iotlb_view_free(ring->view);
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
