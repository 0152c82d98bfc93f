/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Driver side, receive: which buffers the device has used. Nothing is taken before the packet in it
 * is known to be there as a whole. Part of vnet_drv_rx.c.
 */
#ifndef VNET_DRV_PEEK_H
#define VNET_DRV_PEEK_H

#include "virtq_drv_bulk.h"
#include "vnet_drv.h"
#include "vnet_impl.h"

/* Entries taken from the ring in one go, each copied and checked. */
struct drv_peeked {
	struct rte_mbuf *m[VNET_BURST];
	uint32_t len[VNET_BURST];
	uint16_t id[VNET_BURST]; /* unless they are in sequence */
	bool in_sequence;	/* they name the buffers that are due, without a gap */
};

static inline uint8_t *
drv_header(struct rte_mbuf *m, uint32_t hdr_len)
{
	return (uint8_t *)m->buf_addr + RTE_PKTMBUF_HEADROOM - hdr_len;
}

static __rte_noinline void
drv_rx_break(struct vnet_rxq *rxq, struct virtq_drv *drv, enum virtq_error e)
{
	rxq->stats.error[e]++;
	virtq_drv_break(drv, e);
}

/* The header and the packet's first line: the device has just written them. */
VIRTQ_INLINE void
drv_prefetch(const struct rte_mbuf *m, uint32_t hdr_len)
{
	rte_prefetch0((const uint8_t *)m->buf_addr + RTE_PKTMBUF_HEADROOM - hdr_len);
	rte_prefetch0((const uint8_t *)m->buf_addr + RTE_PKTMBUF_HEADROOM);
}

/* Note used entry i, whose buffer is outstanding. */
VIRTQ_INLINE void
drv_note(struct virtq_drv *drv, struct drv_peeked *b, uint16_t i, uint16_t id, uint32_t len,
	uint32_t hdr_len)
{
	b->len[i] = RTE_MIN(len, drv->state[id].len);
	b->m[i] = drv->cookie[id];
	drv_prefetch(b->m[i], hdr_len);
}

/* Check what the device says of used entry i, and note it. False: it lies. */
static bool
drv_note_any(struct virtq_drv *drv, const struct virtq_ring *ring, struct drv_peeked *b, uint16_t i,
	uint32_t id, uint32_t len, uint32_t hdr_len)
{
	if (!virtq_drv_outstanding(drv, ring, id))
		return false;
	b->id[i] = (uint16_t)id;
	drv_note(drv, b, i, (uint16_t)id, len, hdr_len);
	return true;
}

/* Used entries of a split ring, `want` or all; breaks it when they are more than can be. */
VIRTQ_INLINE uint16_t
drv_have_split(struct vnet_rxq *rxq, struct virtq_drv *drv, const struct virtq_ring *ring,
	uint16_t want)
{
	uint16_t n = virtq_drv_bulk_used_split(drv, ring, want);

	if (unlikely(drv->cursor.broken != VIRTQ_OK))
		rxq->stats.error[drv->cursor.broken]++;
	return n;
}

/*
 * As drv_peek_any() for IN_ORDER: an entry stands for all buffers up to the one it names. Where
 * such a batch begins is kept, since the entries of the others are never written.
 */
static uint16_t
drv_peek_in_order(struct vnet_rxq *rxq, struct virtq_drv *drv, const struct virtq_ring *ring,
	struct drv_peeked *b, uint16_t n, uint32_t hdr_len)
{
	uint16_t i, due = drv->oldest;
	bool batch = drv->batch;

	for (i = 0; i < n; i++) {
		uint32_t id = due, len = UINT32_MAX;

		if (!batch && !virtq_drv_used_entry(drv, ring, i, &id, &len, ring->packed))
			break;
		if (unlikely(!virtq_drv_outstanding(drv, ring, id))) {
			if (i == 0)
				drv_rx_break(rxq, drv, VIRTQ_E_USED_ID);
			break;
		}
		if (id != due) {
			if (i > 0)
				break;
			drv->batch = batch = true;
			drv->batch_last = (uint16_t)id;
			drv->batch_len = len;
			len = UINT32_MAX;
		}
		if (batch && due == drv->batch_last) {
			batch = false;
			len = drv->batch_len;
		}
		if (unlikely(!drv_note_any(drv, ring, b, i, due, len, hdr_len)))
			break;
		due = virtq_drv_round(ring, due + 1u);
	}
	return i;
}

/* Note up to n used entries, whatever their order; split: so many are there. */
static __rte_noinline uint16_t
drv_peek_any(struct vnet_rxq *rxq, struct virtq_drv *drv, const struct virtq_ring *ring,
	struct drv_peeked *b, uint16_t n, uint32_t hdr_len)
{
	uint16_t i;

	b->in_sequence = false;
	if (ring->features & VIRTQ_BIT(VIRTIO_F_IN_ORDER))
		return drv_peek_in_order(rxq, drv, ring, b, n, hdr_len);
	for (i = 0; i < n; i++) {
		uint32_t id, len;

		if (!virtq_drv_used_entry(drv, ring, i, &id, &len, ring->packed))
			break;
		if (!drv_note_any(drv, ring, b, i, id, len, hdr_len)) {
			if (i == 0)
				drv_rx_break(rxq, drv, VIRTQ_E_USED_ID);
			break;
		}
	}
	return i;
}

/*
 * Note up to n used entries; nothing is taken yet. With IN_ORDER an entry that names the buffer
 * that is due stands for that alone.
 */
VIRTQ_INLINE uint16_t
drv_peek(struct vnet_rxq *rxq, struct virtq_drv *drv, const struct virtq_ring *ring,
	struct drv_peeked *b, uint16_t n, uint32_t hdr_len, bool packed)
{
	uint16_t have = ring->size - drv->num_free, i;

	b->in_sequence = true;
	if (!packed)
		have = drv_have_split(rxq, drv, ring, n);
	n = RTE_MIN(n, have);
	if (unlikely(!virtq_drv_bulk_can_pop(drv) || drv->batch))
		return drv_peek_any(rxq, drv, ring, b, n, hdr_len);
	for (i = 0; i < n; i++) {
		const uint16_t due = virtq_drv_round(ring, (uint32_t)drv->oldest + i);
		uint32_t id, len;

		if (!virtq_drv_used_entry(drv, ring, i, &id, &len, packed))
			break;
		/* These are going to be offered again when the burst ends. */
		if (i == 0)
			virtq_drv_bulk_own(drv, ring, n, packed);
		if (unlikely(id != due))
			return i > 0 ? i : drv_peek_any(rxq, drv, ring, b, n, hdr_len);
		drv_note(drv, b, i, due, len, hdr_len);
	}
	return i;
}

/* The buffer of a noted entry is the port's again. */
static struct rte_mbuf *
drv_pop_one(struct virtq_drv *drv, const struct virtq_ring *ring, uint16_t id)
{
	if (drv->batch && id == drv->batch_last)
		drv->batch = false;
	return virtq_drv_pop_used(drv, ring, id, ring->packed);
}

/* The same for the n first of a batch that is in sequence. */
VIRTQ_INLINE void
drv_pop_sequence(struct virtq_drv *drv, const struct virtq_ring *ring, uint16_t n, bool packed)
{
	const uint16_t left = ring->size - drv->oldest, k = RTE_MIN(n, left);

	virtq_drv_bulk_forget(&drv->cookie[drv->oldest], k);
	virtq_drv_bulk_forget(drv->cookie, n - k);
	virtq_drv_bulk_pop(drv, ring, n, packed);
}

/* The next used entry, noted. Returns whether there is one. */
static bool
drv_peek_one(struct vnet_rxq *rxq, struct virtq_drv *drv, const struct virtq_ring *ring,
	struct drv_peeked *b)
{
	uint16_t n = drv_peek(rxq, drv, ring, b, 1, ring->hdr_len, ring->packed);

	if (n > 0 && b->in_sequence)
		b->id[0] = drv->oldest;
	return n > 0;
}

#endif /* VNET_DRV_PEEK_H */
