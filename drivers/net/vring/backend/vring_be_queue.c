/* SPDX-License-Identifier: BSD-3-Clause */
/* A back-end's rings, as queues use them. */

#include "virtq_dev_kicks.h"
#include "vring_be_queue.h"

static struct vring_notified
be_notified(const struct virtq_cursor *cursor)
{
	const struct virtq_dev *dev = virtq_dev_of_const(cursor);
	const uint64_t coalesced = dev->call.coalesced;

	return (struct vring_notified){ dev->calls - coalesced, dev->calls_suppressed, coalesced,
					dev->call.deferred };
}

static bool
be_rx_wake(const struct virtq_ring *ring, const struct virtq_cursor *cursor, bool on)
{
	const struct virtq_dev *dev = virtq_dev_of_const(cursor);

	if (on)
		return virtq_dev_kicks_on(dev, ring);
	virtq_dev_kicks_off(dev, ring);
	return true;
}

/* The guest's available index, or the entry that is available next. */
static bool
be_rx_word(const struct virtq_ring *ring, const struct virtq_cursor *cursor,
	   struct vring_word *word)
{
	const uint64_t avail = cursor->avail_wrap ? VIRTQ_PACKED_AVAIL : VIRTQ_PACKED_USED;

	if (ring->packed)
		*word = (struct vring_word){ &ring->pdesc[cursor->avail_idx].len, sizeof(uint64_t),
					     (uint64_t)VIRTQ_PACKED_PHASES << 48, avail << 48,
					     true };
	else
		*word = (struct vring_word){ &ring->avail->idx, sizeof(uint16_t), UINT16_MAX,
					     cursor->avail_idx, false };
	return true;
}

/* What the guest transmits is received here, and the other way round. */
const struct vring_queue_ops vring_be_queue_ops = {
	.rx = 1,
	.tx = 0,
	.rx_select = vnet_dev_rx_select,
	.tx_select = vnet_dev_tx_select,
	.rx_count = vnet_ring_count,
	.tx_count = vnet_ring_count,
	.rx_wake = be_rx_wake,
	.rx_word = be_rx_word,
	.tx_room = vnet_ring_count,
	.notified = be_notified,
};
