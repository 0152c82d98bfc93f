/* SPDX-License-Identifier: BSD-3-Clause */
/* A front-end's rings, as queues use them. */

#include "virtq_drv_calls.h"
#include "vnet_count.h"
#include "vnet_drv.h"
#include "vring_fe_queue.h"

/*
 * Buffers that the device is done with. Receive buffers have one descriptor each; of those sent it
 * is enough to know whether there is one.
 */
static uint32_t
rx_count(const struct virtq_ring *ring, const struct virtq_cursor *cursor)
{
	uint16_t entry = cursor->used_idx;
	bool wrap = cursor->used_wrap;
	uint64_t meta;
	uint32_t n;

	if (!ring->packed) {
		n = (uint16_t)(virtq_load16(&ring->used->idx) - cursor->used_idx);
		return n > ring->size ? 0 : n;
	}
	for (n = 0; n < ring->size; n++) {
		if (!virtq_drv_used_packed(&ring->pdesc[entry], wrap, &meta))
			break;
		if (++entry == ring->size) {
			entry = 0;
			wrap = !wrap;
		}
	}
	return n;
}

/*
 * Packed: entries of the ring that the device is done with. A used one is of a chain, with IN_ORDER
 * of all from the oldest on. Bursts may be at work: what is read stays within bounds.
 */
static uint32_t
used_packed(const struct virtq_ring *ring, const struct virtq_drv *drv)
{
	const bool in_order = ring->features & VIRTQ_BIT(VIRTIO_F_IN_ORDER);
	uint32_t entry = drv->cursor.used_idx, id = drv->oldest % ring->size, n = 0;
	bool wrap = drv->cursor.used_wrap;
	uint64_t meta;

	while (n < ring->size && entry < ring->size &&
	       virtq_drv_used_packed(&ring->pdesc[entry], wrap, &meta)) {
		const uint32_t last = (uint16_t)(meta >> 32);
		const uint32_t before = n;

		if (last >= ring->size)
			break;
		while (in_order && id != last && n < ring->size) {
			n += drv->state[id].ndesc;
			id = id + 1 == ring->size ? 0 : id + 1;
		}
		n += drv->state[last].ndesc;
		id = last + 1 == ring->size ? 0 : last + 1;
		entry += n - before;
		if (entry >= ring->size) {
			entry -= ring->size;
			wrap = !wrap;
		}
	}
	return n;
}

/*
 * Bursts free what the device is done with when they run short. Split: of a chain one descriptor is
 * counted then.
 */
static uint32_t
tx_count(const struct virtq_ring *ring, const struct virtq_cursor *cursor)
{
	const struct virtq_drv *drv = virtq_drv_of_const(cursor);
	const uint32_t used = ring->packed ? used_packed(ring, drv) : rx_count(ring, cursor);

	return RTE_MIN(drv->num_free + used, (uint32_t)ring->size);
}

static bool
fe_rx_wake(const struct virtq_ring *ring, const struct virtq_cursor *cursor, bool on)
{
	const struct virtq_drv *drv = virtq_drv_of_const(cursor);

	if (on)
		return virtq_drv_calls_on(drv, ring);
	virtq_drv_calls_off(drv, ring);
	return true;
}

/* The device may be waiting for more buffers than it has, to put one large packet into. */
static bool
fe_rx_starves(const struct vnet_rxq *rxq, const struct virtq_ring *ring,
	      const struct virtq_cursor *cursor)
{
	const uint16_t num_free = virtq_drv_of_const(cursor)->num_free;

	return (ring->features & VIRTQ_BIT(VIRTIO_NET_F_MRG_RXBUF)) && num_free > 0 &&
	       (uint64_t)(ring->size - num_free) * rxq->room < VNET_FRAME_MAX;
}

/* The device's used index, or the entry that is used next. */
static bool
fe_rx_word(const struct virtq_ring *ring, const struct virtq_cursor *cursor,
	   struct vring_word *word)
{
	const struct virtq_drv *drv = virtq_drv_of_const(cursor);
	const uint64_t used = cursor->used_wrap ? VIRTQ_PACKED_PHASES : 0;

	if (ring->packed)
		*word = (struct vring_word){ &ring->pdesc[cursor->used_idx].len, sizeof(uint64_t),
					     (uint64_t)VIRTQ_PACKED_PHASES << 48, used << 48,
					     true };
	else
		*word = (struct vring_word){ &ring->used->idx, sizeof(uint16_t), UINT16_MAX,
					     cursor->used_idx, false };
	/* What was used with another one is to be taken, and one without buffers to be filled. */
	return !drv->batch && drv->num_free < ring->size;
}

static struct vring_notified
count_notifications(const struct virtq_cursor *cursor)
{
	const struct virtq_drv *drv = virtq_drv_of_const(cursor);

	return (struct vring_notified){ .sent = drv->kicks, .suppressed = drv->kicks_suppressed };
}

static uint16_t
tx_clean(struct vnet_txq *txq, struct virtq_cursor *cursor, const struct virtq_ring *ring,
	 uint16_t n)
{
	return vnet_drv_tx_clean(txq, virtq_drv_of(cursor), ring, n);
}

const struct vring_queue_ops vring_fe_queue_ops = {
	.rx = 0,
	.tx = 1,
	.rx_select = vnet_drv_rx_select,
	.tx_select = vnet_drv_tx_select,
	.rx_count = rx_count,
	.tx_count = tx_count,
	.rx_wake = fe_rx_wake,
	.rx_starves = fe_rx_starves,
	.rx_word = fe_rx_word,
	.tx_room = rx_count,
	.notified = count_notifications,
	.tx_clean = tx_clean,
};
