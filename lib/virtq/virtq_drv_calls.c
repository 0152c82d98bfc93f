/* SPDX-License-Identifier: BSD-3-Clause */
#include "virtq_drv_calls.h"

static void
store_used_event(const struct virtq_ring *ring, uint16_t event)
{
	virtq_store16(&ring->avail->ring[ring->size], event);
}

/* Whether there is nothing to take, and may be later. */
static bool
nothing_used(const struct virtq_drv *drv, const struct virtq_ring *ring)
{
	const struct virtq_cursor *at = &drv->cursor;
	uint64_t meta;

	if (at->broken != VIRTQ_OK)
		return true;
	if (drv->batch || drv->num_free == ring->size)
		return false;
	if (ring->packed)
		return !virtq_drv_used_packed(&ring->pdesc[at->used_idx], at->used_wrap, &meta);
	return virtq_load16(&ring->used->idx) == at->used_idx;
}

bool
virtq_drv_calls_on(const struct virtq_drv *drv, const struct virtq_ring *ring)
{
	const bool event_idx = ring->features & VIRTQ_BIT(VIRTIO_RING_F_EVENT_IDX);
	const struct virtq_cursor *at = &drv->cursor;

	if (ring->packed) {
		virtq_store16(&ring->driver_event->off_wrap,
			      (uint16_t)(at->used_idx | at->used_wrap << 15));
		virtq_drv_dma_wmb(ring);
		virtq_store16_release(&ring->driver_event->flags,
				      event_idx ? VRING_PACKED_EVENT_FLAG_DESC :
						  VRING_PACKED_EVENT_FLAG_ENABLE);
	} else {
		virtq_store16(&ring->avail->flags, 0);
		if (event_idx)
			store_used_event(ring, at->used_idx);
	}
	/* Barrier C, the other way round: what came before is seen. */
	virtq_drv_barrier_event(ring);
	return nothing_used(drv, ring);
}

void
virtq_drv_calls_off(const struct virtq_drv *drv, const struct virtq_ring *ring)
{
	if (ring->packed) {
		virtq_store16(&ring->driver_event->flags, VRING_PACKED_EVENT_FLAG_DISABLE);
		return;
	}
	virtq_store16(&ring->avail->flags, VRING_AVAIL_F_NO_INTERRUPT);
	/* With event indexes that says nothing: as far ahead as there are numbers. */
	if (ring->features & VIRTQ_BIT(VIRTIO_RING_F_EVENT_IDX))
		store_used_event(ring, (uint16_t)(drv->cursor.used_idx - 1));
}
