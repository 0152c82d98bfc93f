/* SPDX-License-Identifier: BSD-3-Clause */
#include "virtq_dev_kicks.h"

#include "virtq_dev_log.h"

static void
store_avail_event(const struct virtq_ring *ring, uint16_t event)
{
	virtq_store16((uint16_t *)&ring->used->ring[ring->size], event);
}

bool
virtq_dev_kicks_on(const struct virtq_dev *dev, const struct virtq_ring *ring)
{
	const bool event_idx = ring->features & VIRTQ_BIT(VIRTIO_RING_F_EVENT_IDX);
	const struct virtq_cursor *at = &dev->cursor;

	if (ring->packed) {
		virtq_store16(&ring->device_event->off_wrap,
			      (uint16_t)(at->avail_idx | at->avail_wrap << 15));
		virtq_store16_release(&ring->device_event->flags,
				      event_idx ? VRING_PACKED_EVENT_FLAG_DESC :
						  VRING_PACKED_EVENT_FLAG_ENABLE);
	} else {
		virtq_store16(&ring->used->flags, 0);
		if (event_idx)
			store_avail_event(ring, at->avail_idx);
	}
	if (ring->log != NULL)
		virtq_dev_log_events(ring);
	virtq_barrier_event(); /* Barrier C, the other way round: what came before is seen */
	return at->broken != VIRTQ_OK || !virtq_dev_ready(dev, ring, 1);
}

void
virtq_dev_kicks_off(const struct virtq_dev *dev, const struct virtq_ring *ring)
{
	if (ring->packed) {
		virtq_store16(&ring->device_event->flags, VRING_PACKED_EVENT_FLAG_DISABLE);
	} else {
		virtq_store16(&ring->used->flags, VRING_USED_F_NO_NOTIFY);
		/* With event indexes that says nothing: as far ahead as there are numbers. */
		if (ring->features & VIRTQ_BIT(VIRTIO_RING_F_EVENT_IDX))
			store_avail_event(ring, (uint16_t)(dev->cursor.avail_idx - 1));
	}
	if (ring->log != NULL)
		virtq_dev_log_events(ring);
}
