/* SPDX-License-Identifier: BSD-3-Clause */
/* Driver side, receive: the device fills mbufs that were offered; take them, offer others. */
#include <rte_ether.h>

#include "vnet_drv_peek.h"
#include "vnet_drv_batch.h"

/* The header, read once; false: it cannot be true. */
static bool
drv_offload(struct vnet_rxq *rxq, const struct virtq_ring *ring, const struct vnet_hdr *h,
	struct rte_mbuf *m)
{
	uint64_t features = vnet_swap_roles(ring->features);

	if (!vnet_offload_hdr_ok(h, features, m->pkt_len))
		return false;
	if ((h->flags & VIRTIO_NET_HDR_F_DATA_VALID) &&
	    (features & VIRTQ_BIT(VIRTIO_NET_F_CSUM)))
		m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	if ((h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) ||
	    h->gso_type != VIRTIO_NET_HDR_GSO_NONE)
		vnet_offload_rx(rxq, h, m);
	if (ring->hdr_len == VNET_HDR_HASH)
		drv_hash(m);
	return true;
}

static struct rte_mbuf *
drv_drop(struct vnet_rxq *rxq, struct rte_mbuf *m, enum vnet_drop why)
{
	rxq->stats.drop[why]++;
	rte_pktmbuf_free(m);
	return NULL;
}

/* A packet of one buffer whose header says something, or that is too short. */
static __rte_noinline struct rte_mbuf *
drv_rx_slow(struct vnet_rxq *rxq, const struct virtq_ring *ring, struct rte_mbuf *m, uint32_t len)
{
	struct vnet_hdr h = {.flags = 0};

	vnet_rx_mbuf_init(m, rxq->rearm, 0);
	if (len < ring->hdr_len + (uint32_t)RTE_ETHER_HDR_LEN)
		return drv_drop(rxq, m, VNET_DROP_RUNT);
	virtq_copy_out(&h, drv_header(m, ring->hdr_len),
		       RTE_MIN((size_t)ring->hdr_len, sizeof(h)));
	m->pkt_len = m->data_len = (uint16_t)(len - ring->hdr_len);
	if (!drv_offload(rxq, ring, &h, m))
		return drv_drop(rxq, m, VNET_DROP_BAD_HDR);
	return m;
}

/* The buffer that the ring's next used entry names. NULL: the device lies, the ring is broken. */
static struct rte_mbuf *
drv_next_buffer(struct vnet_rxq *rxq, struct virtq_drv *drv, const struct virtq_ring *ring,
	uint32_t *len)
{
	struct drv_peeked b;

	if (!drv_peek_one(rxq, drv, ring, &b)) {
		/* It was there when drv_used_ready() looked. */
		if (drv->cursor.broken == VIRTQ_OK)
			drv_rx_break(rxq, drv, VIRTQ_E_USED_JUMP);
		return NULL;
	}
	*len = b.len[0];
	return drv_pop_one(drv, ring, b.id[0]);
}

/* Buffers that a used entry stands for when `due` is the first of them. */
static uint32_t
drv_entry_covers(const struct virtq_ring *ring, uint32_t due, uint32_t id)
{
	if (!(ring->features & VIRTQ_BIT(VIRTIO_F_IN_ORDER)) || id >= ring->size)
		return 1;
	return (id >= due ? id - due : id + ring->size - due) + 1;
}

/* Whether the n next buffers are all used. */
static bool
drv_used_ready(struct vnet_rxq *rxq, struct virtq_drv *drv, const struct virtq_ring *ring,
	uint16_t n)
{
	uint32_t covered = drv->batch ? drv_entry_covers(ring, drv->oldest, drv->batch_last) : 0;

	if (!ring->packed)
		return drv_have_split(rxq, drv, ring, n) >= n;
	while (covered < n) {
		uint32_t id, len;

		if (!virtq_drv_used_entry(drv, ring, (uint16_t)covered, &id, &len, true))
			return false;
		covered += drv_entry_covers(ring, (drv->oldest + covered) % ring->size, id);
	}
	return true;
}

/* A buffer more of a packet: only the first one has a header, so it begins where that would. */
static void
drv_append(struct rte_mbuf *m, struct rte_mbuf *last, struct rte_mbuf *next, uint32_t hdr_len)
{
	next->data_off -= hdr_len;
	last->next = next;
	m->nb_segs++;
	m->pkt_len += next->data_len;
}

/* The packet that n used buffers hold. NULL: the device lies. */
static struct rte_mbuf *
drv_collect(struct vnet_rxq *rxq, struct virtq_drv *drv, const struct virtq_ring *ring, uint16_t n)
{
	struct rte_mbuf *last = NULL, *m = NULL;
	uint32_t len;

	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *next = drv_next_buffer(rxq, drv, ring, &len);

		if (next == NULL) {
			rte_pktmbuf_free(m);
			return NULL;
		}
		if (i == 0)
			len -= RTE_MIN(len, ring->hdr_len);
		vnet_rx_mbuf_init(next, rxq->rearm, len);
		if (i == 0)
			m = next;
		else
			drv_append(m, last, next, ring->hdr_len);
		last = next;
	}
	return m;
}

/*
 * An application that did not ask for chains gets the packet in its first buffer, or not at all.
 * NULL: it was dropped.
 */
static struct rte_mbuf *
drv_unchain(struct vnet_rxq *rxq, struct rte_mbuf *m)
{
	if (m->nb_segs == 1 || (rxq->flags & VNET_F_SCATTER))
		return m;
	return rte_pktmbuf_linearize(m) == 0 ? m : drv_drop(rxq, m, VNET_DROP_OVERSIZE);
}

/*
 * The next packet lies in several buffers. Returns 1 with *out (NULL: it was dropped), 0 when not
 * all of them are there yet: nothing is taken then.
 */
static __rte_noinline int
drv_rx_merge(struct vnet_rxq *rxq, struct virtq_drv *drv, const struct virtq_ring *ring,
	struct rte_mbuf *first, struct rte_mbuf **out)
{
	struct vnet_hdr h;
	struct rte_mbuf *m;

	*out = NULL;
	virtq_copy_out(&h, drv_header(first, ring->hdr_len), sizeof(h));
	if (h.num_buffers > ring->size - drv->num_free) {
		drv_rx_break(rxq, drv, VIRTQ_E_USED_JUMP);
		return 0;
	}
	if (h.num_buffers == 0)
		h.num_buffers = 1;
	if (!drv_used_ready(rxq, drv, ring, h.num_buffers))
		return 0;
	m = drv_collect(rxq, drv, ring, h.num_buffers);
	if (m == NULL)
		return 1;
	if (m->data_len < RTE_ETHER_HDR_LEN)
		*out = drv_drop(rxq, m, VNET_DROP_RUNT);
	else if (m->pkt_len > VNET_FRAME_MAX)
		*out = drv_drop(rxq, m, VNET_DROP_OVERSIZE);
	else if (!drv_offload(rxq, ring, &h, m))
		*out = drv_drop(rxq, m, VNET_DROP_BAD_HDR);
	else
		*out = drv_unchain(rxq, m);
	return 1;
}

/* Offer n raw mbufs that are the cookies of the next ids, which do not go round the ring. */
VIRTQ_INLINE void
drv_offer(struct virtq_drv *drv, const struct virtq_ring *ring, uint16_t n, uint32_t room,
	uint32_t hdr_len, bool packed)
{
	struct virtq_drv_bulk b = virtq_drv_bulk_begin(drv, ring);
	void *const *m = &drv->cookie[b.id];
	struct virtq_drv_desc_state *state = &drv->state[b.id];

	while (b.n < n) {
		struct rte_mbuf *one = m[b.n];

		if (unlikely(state[b.n].len != room + hdr_len))
			state[b.n].len = room + hdr_len;
		virtq_drv_bulk_put(drv, &b, (uintptr_t)drv_header(one, hdr_len),
				   room + hdr_len, VRING_DESC_F_WRITE, packed);
	}
	virtq_drv_bulk_end(drv, ring, &b, VRING_DESC_F_WRITE, packed);
}

/* The same where free ids do not follow each other. */
static __rte_noinline void
drv_offer_any(struct virtq_drv *drv, const struct virtq_ring *ring, struct rte_mbuf **m, uint16_t n,
	uint32_t room, uint32_t hdr_len)
{
	for (uint16_t i = 0; i < n; i++) {
		const struct virtq_drv_seg seg = {(uintptr_t)drv_header(m[i], hdr_len),
						  room + hdr_len};

		virtq_drv_add(drv, ring, m[i], &seg, 1, VRING_DESC_F_WRITE, ring->packed);
	}
}

/* The same where not all can be had at once. */
static __rte_noinline uint16_t
drv_refill_any(struct vnet_rxq *rxq, struct virtq_drv *drv, const struct virtq_ring *ring,
	       uint16_t n,
	uint32_t hdr_len)
{
	struct rte_mbuf *m[VNET_BURST];
	uint16_t got = 0;

	while (got < n && rte_mempool_get(rxq->pool, (void **)&m[got]) == 0)
		got++;
	if (got < n)
		rxq->stats.nombuf++;
	drv_offer_any(drv, ring, m, got, rxq->room, hdr_len);
	return got;
}

/*
 * Offer mbufs for the entries that are free, up to a burst of them, up to the end of the ring at
 * most. Returns how many.
 */
VIRTQ_INLINE uint16_t
drv_refill(struct vnet_rxq *rxq, struct virtq_drv *drv, const struct virtq_ring *ring,
	uint32_t hdr_len, bool packed)
{
	uint16_t n = RTE_MIN(drv->num_free, (uint16_t)VNET_BURST);
	void **cookie = &drv->cookie[drv->free_first];

	if (likely(drv->sequential)) {
		n = RTE_MIN(n, (uint16_t)(ring->size - drv->free_first));
		if (likely(rte_mempool_get_bulk(rxq->pool, cookie, n) == 0)) {
			drv_offer(drv, ring, n, rxq->room, hdr_len, packed);
			virtq_drv_publish(drv, ring, packed);
			return n;
		}
		virtq_drv_bulk_forget(cookie, n);
	}
	n = drv_refill_any(rxq, drv, ring, n, hdr_len);
	virtq_drv_publish(drv, ring, packed);
	return n;
}

VIRTQ_INLINE uint16_t
drv_rx_round(struct vnet_rxq *rxq, struct virtq_drv *drv, const struct virtq_ring *ring,
	struct rte_mbuf **pkts, uint16_t n, bool *merged, uint64_t *bytes,
	const unsigned int flags)
{
	const uint32_t hdr_len = drv_hdr_len(ring->hdr_len, flags);
	uint16_t out = 0, have, i;
	struct drv_peeked b;

	have = drv_peek(rxq, drv, ring, &b, n, hdr_len, flags & DRV_RX_PACKED);
	for (i = 0; i < have; i++) {
		struct rte_mbuf *m = b.m[i];
		const uint8_t *h = drv_header(m, hdr_len);

		/* Named twice in one batch: the first time it was taken. */
		if (unlikely(!b.in_sequence && drv->cookie[b.id[i]] == NULL)) {
			drv_rx_break(rxq, drv, VIRTQ_E_USED_ID);
			break;
		}
		/* Without all of a header the device cannot have said how many. */
		if ((flags & DRV_RX_MERGE) && unlikely(b.len[i] >= hdr_len &&
						       virtq_load16((const void *)(h + 10)) != 1)) {
			*merged = true;
			break;
		}
		if (unlikely(!b.in_sequence))
			drv_pop_one(drv, ring, b.id[i]);
		if (unlikely((virtq_peek64(h) & 0xffff) != 0 ||
			     b.len[i] < hdr_len + RTE_ETHER_HDR_LEN)) {
			m = drv_rx_slow(rxq, ring, m, b.len[i]);
			if (m == NULL)
				continue;
			*bytes += m->pkt_len;
		} else {
			vnet_rx_mbuf_init(m, rxq->rearm, b.len[i] - hdr_len);
			*bytes += b.len[i] - hdr_len;
			if (flags & DRV_RX_HASH)
				drv_hash(m);
		}
		pkts[out++] = m;
	}
	if (likely(b.in_sequence))
		drv_pop_sequence(drv, ring, i, flags & DRV_RX_PACKED);
	return out;
}

/*
 * A round in one pass, up to the end of the ring. *rest: there may be more packets, or others,
 * which drv_rx_round() sees to.
 */
VIRTQ_INLINE uint16_t
drv_rx_plain(struct vnet_rxq *rxq, struct virtq_drv *drv, const struct virtq_ring *ring,
	struct rte_mbuf **pkts, uint16_t n, bool *rest, drv_batch_fn take,
	const unsigned int flags)
{
	struct drv_batch batch = {
		.used = virtq_drv_used_begin(drv, ring, flags & DRV_RX_PACKED),
		.cookie = &drv->cookie[drv->oldest],
		.state = &drv->state[drv->oldest],
		.pkts = pkts,
		.rearm = rxq->rearm,
		.hdr_len = ring->hdr_len,
		.due = drv->oldest,
	};
	const uint16_t left = RTE_MIN((uint16_t)(ring->size - batch.due), batch.used.left);
	uint16_t have = ring->size - drv->num_free;
	struct drv_received r;
	uint32_t id, len;

	*rest = !virtq_drv_bulk_can_pop(drv) || drv->batch;
	if (unlikely(*rest))
		return 0;
	if (!(flags & DRV_RX_PACKED)) {
		/* It is likely that they are there: they travel together with the index. */
		if (drv->flowing)
			virtq_prefetch_range(batch.used.first,
					     RTE_MIN(n, left) * sizeof(ring->used->ring[0]));
		have = drv_have_split(rxq, drv, ring, n);
	}
	batch.n = RTE_MIN(RTE_MIN(n, have), left);
	if (flags & DRV_RX_PACKED)
		batch.n = virtq_drv_used_dma(ring, &batch.used, batch.n);
	if (batch.n == 0 || !virtq_drv_used_next(&batch.used, 0, &id, &len, flags & DRV_RX_PACKED))
		return 0;
	/* They will be offered again when the burst ends. On split rings this does not pay. */
	if (flags & DRV_RX_PACKED)
		virtq_drv_bulk_own(drv, ring, batch.n, true);
	r = take(&batch);
	if (likely(r.n > 0)) {
		drv_pop_sequence(drv, ring, (uint16_t)r.n, flags & DRV_RX_PACKED);
		/* Before buffers are offered: what lines are still to come does so meanwhile. */
		vnet_rx_account_classes(rxq, pkts, (uint16_t)r.n, r.classes);
	}
	*rest = r.odd || (r.n == left && have > left);
	return (uint16_t)r.n;
}

/* The mergeable packet that a round stopped before. */
static __rte_noinline uint16_t
drv_rx_one_merged(struct vnet_rxq *rxq, struct virtq_drv *drv, const struct virtq_ring *ring,
	struct rte_mbuf **pkts, uint64_t *bytes, bool *incomplete)
{
	struct drv_peeked b;

	*incomplete = true;
	if (!drv_peek_one(rxq, drv, ring, &b) || drv_rx_merge(rxq, drv, ring, b.m[0], pkts) == 0)
		return 0;
	*incomplete = false;
	if (*pkts == NULL)
		return 0;
	*bytes += (*pkts)->pkt_len;
	return 1;
}

/* What drv_rx_plain() left: at most n packets. *again: there may be more. */
VIRTQ_INLINE uint16_t
drv_rx_others(struct vnet_rxq *rxq, struct virtq_drv *drv, const struct virtq_ring *ring,
	struct rte_mbuf **pkts, uint16_t n, bool *again, const unsigned int flags)
{
	bool merged = false, incomplete = false;
	uint64_t bytes = 0;
	uint16_t got = drv_rx_round(rxq, drv, ring, pkts, n, &merged, &bytes, flags);

	*again = got == n;
	if ((flags & DRV_RX_MERGE) && unlikely(merged)) { /* so that got is less than n */
		got += drv_rx_one_merged(rxq, drv, ring, pkts + got, &bytes, &incomplete);
		*again = !incomplete;
	}
	if (got > 0)
		vnet_rx_account(rxq, pkts, got, bytes);
	return got;
}

/*
 * Whether to offer buffers: when it is worth a publication. An idle ring offers all it can where
 * the device may be waiting for more buffers than it has, to put one large packet into.
 */
VIRTQ_INLINE bool
drv_rx_wants_buffers(const struct vnet_rxq *rxq, const struct virtq_drv *drv,
		     const struct virtq_ring *ring,
	bool idle, bool merge)
{
	const uint16_t some = RTE_MIN((uint16_t)VNET_BURST, (uint16_t)(ring->size / 4 + 1));

	if (drv->num_free >= some)
		return true;
	return merge && idle && drv->num_free > 0 &&
	       (uint64_t)(ring->size - drv->num_free) * rxq->room < VNET_FRAME_MAX;
}

/*
 * Split: send for the used entries that the next burst of n will begin with, so that they travel
 * while the application works. On a packed ring the device may be writing them.
 */
VIRTQ_INLINE void
drv_rx_prefetch_next(const struct virtq_drv *drv, const struct virtq_ring *ring, uint16_t n)
{
	const uint16_t left = drv->used_seen - drv->cursor.used_idx;

	virtq_prefetch_range(&ring->used->ring[drv->cursor.used_idx & ring->mask],
			     RTE_MIN(n, left) * sizeof(ring->used->ring[0]));
}

VIRTQ_INLINE uint16_t
drv_rx_burst(struct vnet_rxq *rxq, struct virtq_cursor *cursor, const struct virtq_ring *ring,
	struct rte_mbuf **pkts, uint16_t n, drv_batch_fn take, const unsigned int flags)
{
	const uint32_t hdr_len = drv_hdr_len(ring->hdr_len, flags);
	const uint64_t shortages = rxq->stats.nombuf;
	struct virtq_drv *drv = virtq_drv_of(cursor);
	uint16_t done = 0, offered = 0, delivered;
	bool again = true;

	while (again && done < n && likely(cursor->broken == VIRTQ_OK)) {
		const uint16_t want = RTE_MIN((uint16_t)(n - done), (uint16_t)VNET_BURST);
		struct rte_mbuf **to = pkts + done;
		bool rest;
		uint16_t got = drv_rx_plain(rxq, drv, ring, to, want, &rest, take, flags);

		again = got == want || rest;
		if (unlikely(got == 0 && rest))
			got = drv_rx_others(rxq, drv, ring, to, want, &again, flags);
		done += got;
	}
	/* What is dropped is free for the ring. */
	delivered = vnet_rx_end(rxq, pkts, done);
	while (cursor->broken == VIRTQ_OK && rxq->stats.nombuf == shortages &&
	       drv_rx_wants_buffers(rxq, drv, ring, done == 0, flags & DRV_RX_MERGE))
		offered += drv_refill(rxq, drv, ring, hdr_len, flags & DRV_RX_PACKED);
	if (offered > 0)
		virtq_drv_kick(drv, ring, flags & DRV_RX_PACKED);
	if (!(flags & DRV_RX_PACKED)) {
		drv->flowing = done == n;
		if (likely(drv->flowing))
			drv_rx_prefetch_next(drv, ring, RTE_MIN(n, (uint16_t)VNET_BURST));
	}
	return delivered;
}

uint16_t
vnet_drv_rx_fill(struct vnet_rxq *rxq, struct virtq_drv *drv, const struct virtq_ring *ring)
{
	uint16_t offered = 0;

	while (drv->num_free > 0) {
		uint16_t more = drv_refill(rxq, drv, ring, ring->hdr_len, ring->packed);

		offered += more;
		if (more == 0)
			break;
	}
	return offered;
}

#define DRV_RX_INSTANCE(name, take, flags) \
static struct drv_received __rte_noinline \
take(const struct drv_batch *batch) \
{ \
	return drv_batch_receive(batch, flags); \
} \
static uint16_t \
name(struct vnet_rxq *rxq, struct virtq_cursor *cursor, const struct virtq_ring *ring, \
	struct rte_mbuf **pkts, uint16_t n) \
{ \
	return drv_rx_burst(rxq, cursor, ring, pkts, n, take, flags); \
}

DRV_RX_INSTANCE(drv_rx_split, drv_batch_split, 0)
DRV_RX_INSTANCE(drv_rx_split_merge, drv_batch_split_merge, DRV_RX_MERGE)
DRV_RX_INSTANCE(drv_rx_split_any, drv_batch_split_any, DRV_RX_ANY_HDR)
DRV_RX_INSTANCE(drv_rx_packed, drv_batch_packed, DRV_RX_PACKED)
DRV_RX_INSTANCE(drv_rx_packed_merge, drv_batch_packed_merge, DRV_RX_PACKED | DRV_RX_MERGE)
DRV_RX_INSTANCE(drv_rx_packed_any, drv_batch_packed_any, DRV_RX_PACKED | DRV_RX_ANY_HDR)
DRV_RX_INSTANCE(drv_rx_split_hash, drv_batch_split_hash, DRV_RX_HASH)
DRV_RX_INSTANCE(drv_rx_split_merge_hash, drv_batch_split_merge_hash, DRV_RX_MERGE | DRV_RX_HASH)
DRV_RX_INSTANCE(drv_rx_packed_hash, drv_batch_packed_hash, DRV_RX_PACKED | DRV_RX_HASH)
DRV_RX_INSTANCE(drv_rx_packed_merge_hash, drv_batch_packed_merge_hash,
		DRV_RX_PACKED | DRV_RX_MERGE | DRV_RX_HASH)

vnet_rx_burst
vnet_drv_rx_select(const struct virtq_ring *ring, uint32_t flags, const char **name)
{
	static const struct {
		vnet_rx_burst burst;
		const char *name;
	} table[] = {
		[0] = {drv_rx_split, "front-end, split"},
		[DRV_RX_MERGE] = {drv_rx_split_merge, "front-end, split, mergeable"},
		[DRV_RX_ANY_HDR] = {drv_rx_split_any, "front-end, split, legacy header"},
		[DRV_RX_PACKED] = {drv_rx_packed, "front-end, packed"},
		[DRV_RX_PACKED |
		 DRV_RX_MERGE] = {drv_rx_packed_merge, "front-end, packed, mergeable"},
		[DRV_RX_PACKED |
		 DRV_RX_ANY_HDR] = {drv_rx_packed_any, "front-end, packed, legacy header"},
		[DRV_RX_HASH] = {drv_rx_split_hash, "front-end, split, hash"},
		[DRV_RX_MERGE | DRV_RX_HASH] = {drv_rx_split_merge_hash,
					"front-end, split, mergeable, hash"},
		[DRV_RX_PACKED | DRV_RX_HASH] = {drv_rx_packed_hash, "front-end, packed, hash"},
		[DRV_RX_PACKED | DRV_RX_MERGE | DRV_RX_HASH] = {drv_rx_packed_merge_hash,
						    "front-end, packed, mergeable, hash"},
	};
	unsigned int f = ring->packed ? DRV_RX_PACKED : 0;

	if (ring->features & VIRTQ_BIT(VIRTIO_NET_F_MRG_RXBUF))
		f |= DRV_RX_MERGE;
	if (ring->hdr_len == VNET_HDR_HASH)
		f |= DRV_RX_HASH;
	else if (ring->hdr_len != 12)
		f |= DRV_RX_ANY_HDR;
	if (name != NULL)
		*name = table[f].name;
	return table[f].burst;
}
