/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "virtq_drv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "virtq_notify.h"

static uint64_t
align_up(uint64_t v, uint64_t unit)
{
	return (v + unit - 1) & ~(unit - 1);
}

/* Parts that different sides write have cache lines of their own. VIRTIO 1.2, 2.7 and 2.8 */
void
virtq_drv_layout(uint32_t size, bool packed, struct virtq_drv_layout *l)
{
	uint64_t n = size, at = align_up(16 * n, 2 * VIRTQ_CACHE_LINE);

	l->avail = at;
	at = align_up(at + (packed ? 4 : 6 + 2 * n), 2 * VIRTQ_CACHE_LINE);
	l->used = at;
	at = align_up(at + (packed ? 4 : 6 + 8 * n), 2 * VIRTQ_CACHE_LINE);
	l->indirect = at;
	at += n * VIRTQ_DRV_MAX_DESC * sizeof(struct vring_desc);
	l->header = at;
	l->bytes = align_up(at + n * VIRTQ_DRV_HEADER, 4096);
}

static void
suppress_calls(const struct virtq_ring *ring)
{
	if (ring->packed)
		virtq_store16(&ring->driver_event->flags, VRING_PACKED_EVENT_FLAG_DISABLE);
	else
		virtq_store16(&ring->avail->flags, VRING_AVAIL_F_NO_INTERRUPT);
}

/* Ids are used in their own order; where heads are listed, they stand in that order already. */
static void
init_desc_states(struct virtq_drv *drv, const struct virtq_ring *ring)
{
	const uint16_t size = ring->size;

	for (uint16_t i = 0; i < size; i++) {
		drv->state[i] = (struct virtq_drv_desc_state){.ndesc = 1,
						       .next = virtq_drv_round(ring, i + 1u)};
		if (!ring->packed)
			virtq_store16(&ring->avail->ring[i], i);
	}
	drv->sequential = true;
	drv->heads_in_place = true;
	drv->uneven = 0;
	drv->mixed = 0;
	drv->used_seen = 0;
	drv->common = NULL;
	drv->free_first = 0;
	drv->free_last = size - 1;
	drv->num_free = size;
	drv->num_free_ids = size;
	drv->oldest = 0;
	drv->batch = false;
	drv->unpublished = 0;
	drv->kicked = 0;
}

int
virtq_drv_init(struct virtq_drv *drv, void *base, uint64_t iova,
	       const struct virtq_ring_config *cfg, struct virtq_ring **out)
{
	struct virtq_ring_config local = *cfg;
	bool packed = cfg->features & VIRTQ_BIT(VIRTIO_F_RING_PACKED);
	struct virtq_drv_layout l;
	struct virtq_mem *mem;
	struct virtq_region all;
	int rc;

	if (cfg->size == 0 || cfg->size > VIRTQ_MAX_SIZE)
		return -EINVAL;
	virtq_drv_layout(cfg->size, packed, &l);
	memset(base, 0, l.indirect);
	/* One region, the ring itself: its addresses pass the checks of any other. */
	all = (struct virtq_region){.gpa = iova, .size = l.bytes, .uva = (uintptr_t)base,
				    .host = base};
	rc = virtq_mem_new(&all, 1, &mem);
	if (rc < 0)
		return rc;
	local.desc_uva = (uintptr_t)base;
	local.avail_uva = (uintptr_t)base + l.avail;
	local.used_uva = (uintptr_t)base + l.used;
	rc = virtq_ring_new(&local, mem, out);
	virtq_mem_put(mem);
	if (rc < 0)
		return rc;
	drv->state = calloc(cfg->size, sizeof(drv->state[0]));
	drv->cookie = calloc(cfg->size, sizeof(drv->cookie[0]));
	if (drv->state == NULL || drv->cookie == NULL) {
		virtq_drv_fini(drv);
		virtq_ring_free(*out);
		*out = NULL;
		return -ENOMEM;
	}
	virtq_ring_cursor_reset(&drv->cursor);
	init_desc_states(drv, *out);
	drv->indirect = cfg->features & VIRTQ_BIT(VIRTIO_RING_F_INDIRECT_DESC) ?
			(struct vring_desc *)((uint8_t *)base + l.indirect) : NULL;
	drv->indirect_iova = iova + l.indirect;
	drv->header = (uint8_t *)base + l.header;
	drv->header_iova = iova + l.header;
	suppress_calls(*out);
	return 0;
}

void
virtq_drv_fini(struct virtq_drv *drv)
{
	free(drv->state);
	free(drv->cookie);
	drv->state = NULL;
	drv->cookie = NULL;
}

/* Addresses of nothing, and (packed) flags that say "not available" whatever the wrap counter. */
void
virtq_drv_clear(const struct virtq_ring *ring)
{
	uint8_t *at = ring->packed ? (uint8_t *)ring->pdesc : (uint8_t *)ring->desc;

	for (uint32_t i = 0; i < ring->size; i++)
		virtq_drv_put_desc(at + 16 * i, 0, 0, 0, 0);
}

void *
virtq_drv_detach(struct virtq_drv *drv, uint16_t size)
{
	/* Once round the ring from where the last search ended, or from the oldest of all. */
	for (uint16_t i = 0; drv->cookie != NULL && i < size; i++) {
		void **at = &drv->cookie[drv->oldest], *cookie = *at;

		drv->oldest = drv->oldest + 1 < size ? drv->oldest + 1 : 0;
		if (cookie != NULL) {
			*at = NULL;
			return cookie;
		}
	}
	return NULL;
}

void
virtq_drv_break(struct virtq_drv *drv, enum virtq_error e)
{
	__atomic_store_n(&drv->cursor.broken, (uint8_t)e, __ATOMIC_RELAXED);
}

void
virtq_drv_notify_device(const struct virtq_ring *ring)
{
	uint16_t *notifier = ring->notifier;

	if (notifier == NULL) {
		virtq_notify(ring->callfd);
		return;
	}
	/* A register, whatever was negotiated: the device then looks at what was published. */
	virtq_arch_dma_wmb();
	virtq_store16(notifier, ring->qid);
}

void
virtq_drv_notify(struct virtq_drv *drv, const struct virtq_ring *ring)
{
	drv->kicks++;
	virtq_drv_notify_device(ring);
}
