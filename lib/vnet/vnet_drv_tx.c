/* SPDX-License-Identifier: BSD-3-Clause */
/* Driver side, transmit: mbufs are offered as they lie; they come back used and are freed. */
#include "virtq_drv_bulk.h"
#include "vnet_drv.h"
#include "vnet_drv_frame.h"

#define DRV_TX_PACKED	(1u << 0)
#define DRV_TX_IN_ORDER	(1u << 1) /* a used entry may stand for all up to it */
#define DRV_TX_ANY_HDR	(1u << 2) /* header length as the ring says, else 12 */

static __rte_noinline void
drv_tx_break(struct vnet_txq *txq, struct virtq_drv *drv, enum virtq_error e)
{
	txq->stats.error[e]++;
	virtq_drv_break(drv, e);
}

/* Take back what a used entry names; with IN_ORDER all that was offered before it as well. */
static uint16_t
drv_pop_sent(struct virtq_drv *drv, const struct virtq_ring *ring, uint16_t id,
	struct rte_mbuf **sent, uint16_t room)
{
	uint16_t n = 0, last = id;

	if (!(ring->features & VIRTQ_BIT(VIRTIO_F_IN_ORDER))) {
		sent[0] = virtq_drv_pop_used(drv, ring, id, ring->packed);
		return 1;
	}
	do {
		last = drv->oldest;
		if (unlikely(drv->cookie[last] == NULL))
			break;
		sent[n++] = virtq_drv_pop_used(drv, ring, last, ring->packed);
	} while (n < room && last != id);
	return n;
}

/* The id that the next used entry names; false: there is none. */
static bool
drv_next_used(struct vnet_txq *txq, struct virtq_drv *drv, const struct virtq_ring *ring,
	uint32_t *id)
{
	uint32_t len;

	if (!ring->packed && virtq_drv_used_split(drv, ring) == 0) {
		if (drv->cursor.broken != VIRTQ_OK)
			txq->stats.error[drv->cursor.broken]++;
		return false;
	}
	return virtq_drv_used_entry(drv, ring, 0, id, &len, ring->packed);
}

/* Free what the device has sent, up to about n mbufs, whatever they are and in whatever order. */
static __rte_noinline uint16_t
drv_clean_any(struct vnet_txq *txq, struct virtq_drv *drv, const struct virtq_ring *ring,
	      uint16_t n)
{
	struct rte_mbuf *sent[VNET_BURST];
	uint16_t total = 0, count = 0;
	uint32_t id;

	while (total + count < n && drv_next_used(txq, drv, ring, &id)) {
		if (unlikely(!virtq_drv_outstanding(drv, ring, id))) {
			drv_tx_break(txq, drv, VIRTQ_E_USED_ID);
			break;
		}
		/* One entry may stand for more than `sent` takes: go on until it is served. */
		while (drv->cookie[id] != NULL) {
			uint16_t got = drv_pop_sent(drv, ring, (uint16_t)id, sent + count,
						    VNET_BURST - count);

			count += got;
			if (unlikely(got == 0)) {
				drv_tx_break(txq, drv, VIRTQ_E_USED_ID);
				break;
			}
			if (count == VNET_BURST) {
				vnet_free_sent(sent, count);
				total += count;
				count = 0;
			}
		}
		if (unlikely(drv->cursor.broken != VIRTQ_OK))
			break;
	}
	vnet_free_sent(sent, count);
	return total + count;
}

/* Free the n oldest mbufs, which the device has used. */
VIRTQ_INLINE void
drv_free_oldest(struct virtq_drv *drv, const struct virtq_ring *ring, uint16_t n, bool packed)
{
	while (n > 0) {
		void **from = &drv->cookie[drv->oldest];
		uint16_t k = RTE_MIN(RTE_MIN(n, (uint16_t)VNET_BURST),
				     (uint16_t)(ring->size - drv->oldest));

		/*
		 * All were seen to be plain, of one pool, when they were offered: nobody else has
		 * touched them since.
		 */
		if (likely(drv->mixed == 0))
			rte_mempool_put_bulk((void *)(uintptr_t)drv->common, from, k);
		else
			vnet_free_sent((struct rte_mbuf **)from, k);
		virtq_drv_bulk_forget(from, k);
		virtq_drv_bulk_pop(drv, ring, k, packed);
		n -= k;
	}
}

/* Free what the device has sent, up to about n mbufs. */
VIRTQ_INLINE uint16_t
drv_clean(struct vnet_txq *txq, struct virtq_drv *drv, const struct virtq_ring *ring, uint16_t n,
	const unsigned int flags)
{
	uint16_t total = 0;

	while (total < n && likely(virtq_drv_bulk_can_pop(drv))) {
		int k = virtq_drv_bulk_used(drv, ring, n - total, flags & DRV_TX_PACKED,
					    flags & DRV_TX_IN_ORDER);

		if (k < 0)
			break;
		if (k == 0) {
			if (unlikely(drv->cursor.broken != VIRTQ_OK))
				txq->stats.error[drv->cursor.broken]++;
			return total;
		}
		drv_free_oldest(drv, ring, (uint16_t)k, flags & DRV_TX_PACKED);
		total += (uint16_t)k;
	}
	return total < n ? total + drv_clean_any(txq, drv, ring, n - total) : total;
}

/* refcnt and nb_segs as they lie in an mbuf's rearm word. */
#define DRV_SOLE_MASK 0x0000ffffffff0000u
#define DRV_SOLE 0x0000000100010000u

_Static_assert(offsetof(struct rte_mbuf, data_off) == offsetof(struct rte_mbuf, rearm_data) &&
	       offsetof(struct rte_mbuf, refcnt) == offsetof(struct rte_mbuf, rearm_data) + 2 &&
	       offsetof(struct rte_mbuf, nb_segs) == offsetof(struct rte_mbuf, rearm_data) + 4,
	       "rearm word");

/* A buffer of the mbuf's own is in one piece of memory, so that its address says it all. */
VIRTQ_INLINE bool
drv_buf_is_mapped(struct vnet_txq *txq, const struct rte_mbuf *m)
{
	return likely((uintptr_t)m->buf_addr - txq->segments[0].base < txq->segments[0].len) ||
	       vnet_drv_frame_is_mapped(txq, m->buf_addr, m->buf_len);
}

/* One segment of our own, without work to do, and room for the header before the data. */
VIRTQ_INLINE bool
drv_tx_plain(struct vnet_txq *txq, const struct rte_mbuf *m, uint32_t hdr_len)
{
	uint64_t rearm;

	memcpy(&rearm, &m->rearm_data, sizeof(rearm));
	return (rearm & DRV_SOLE_MASK) == DRV_SOLE && (uint16_t)rearm >= hdr_len &&
	       !(m->ol_flags & (VNET_TX_WORK | RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL)) &&
	       drv_buf_is_mapped(txq, m);
}

/*
 * The header of a plain packet is empty. It mostly stands there from the last time, and both sides
 * have a copy of its line: not writing it saves the line two trips. hdr_len is 8 to 24.
 */
VIRTQ_INLINE void
drv_put_no_header(uint8_t *h, uint32_t hdr_len)
{
	uint64_t old = virtq_peek64(h) | virtq_peek64(h + hdr_len - 8);

	if (hdr_len > 16)
		old |= virtq_peek64(h + 8);
	if (old != 0)
		memset(h, 0, hdr_len);
}

/* A packet that does not go with others. */
static __rte_noinline enum drv_tx_result
drv_tx_one(struct vnet_txq *txq, struct virtq_drv *drv, const struct virtq_ring *ring,
	struct rte_mbuf *m)
{
	struct virtq_drv_seg seg;
	enum drv_tx_result r = DRV_TX_SENT;

	if (drv->num_free == 0)
		return DRV_TX_SHORT;
	if (drv_tx_plain(txq, m, ring->hdr_len)) {
		seg.iova = (uintptr_t)rte_pktmbuf_mtod(m, uint8_t *) - ring->hdr_len;
		seg.len = m->data_len + (uint32_t)ring->hdr_len;
		drv_put_no_header((uint8_t *)(uintptr_t)seg.iova, ring->hdr_len);
		virtq_drv_add(drv, ring, m, &seg, 1, 0, ring->packed);
	} else {
		r = vnet_drv_frame_any(txq, drv, ring, m);
	}
	drv->mixed = ring->size - drv->num_free;
	return r;
}

/* Offer plain packets from the first on, up to n, for which there is room. Returns how many. */
VIRTQ_INLINE uint16_t
drv_tx_plain_run(struct vnet_txq *txq, struct virtq_drv *drv, const struct virtq_ring *ring,
	struct rte_mbuf **pkts, uint16_t n, uint64_t *bytes, const unsigned int flags)
{
	const uint32_t hdr_len = flags & DRV_TX_ANY_HDR ? ring->hdr_len : 12;
	struct virtq_drv_bulk b = virtq_drv_bulk_begin(drv, ring);
	const struct rte_mempool *pool = pkts[0]->pool;
	uintptr_t differ = (uintptr_t)drv->common ^ (uintptr_t)pool;

	while (b.n < n) {
		struct rte_mbuf *m = pkts[b.n];
		uint8_t *h = rte_pktmbuf_mtod(m, uint8_t *) - hdr_len;

		if (unlikely(!drv_tx_plain(txq, m, hdr_len)))
			break;
		differ |= (uintptr_t)pool ^ (uintptr_t)m->pool;
		*bytes += m->data_len;
		drv_put_no_header(h, hdr_len);
		drv->cookie[b.id] = m;
		virtq_drv_bulk_put(drv, &b, (uintptr_t)h, m->data_len + hdr_len, 0,
				   flags & DRV_TX_PACKED);
	}
	virtq_drv_bulk_end(drv, ring, &b, 0, flags & DRV_TX_PACKED);
	if (unlikely(differ != 0)) {
		drv->common = pool;
		drv->mixed = ring->size - drv->num_free;
	}
	return b.n;
}

VIRTQ_INLINE uint16_t
drv_tx_round(struct vnet_txq *txq, struct virtq_drv *drv, const struct virtq_ring *ring,
	struct rte_mbuf **pkts, uint16_t n, bool *offered, const unsigned int flags)
{
	struct rte_mbuf *kept[VNET_BURST]; /* the ring has not taken them: ours to free */
	uint32_t dropped = 0;
	uint64_t bytes = 0;
	uint16_t i = 0, nkept = 0;

	while (i < n) {
		uint32_t len;
		enum drv_tx_result r;

		if (likely(drv->sequential)) {
			i += drv_tx_plain_run(txq, drv, ring, pkts + i,
					      RTE_MIN((uint16_t)(n - i), drv->num_free), &bytes,
					      flags);
			if (likely(i == n))
				break;
		}
		len = pkts[i]->pkt_len;
		r = drv_tx_one(txq, drv, ring, pkts[i]);
		if (r == DRV_TX_SHORT)
			break;
		if (r == DRV_TX_DROPPED)
			dropped |= 1u << i;
		else
			bytes += len;
		if (r != DRV_TX_SENT)
			kept[nkept++] = pkts[i];
		i++;
	}
	*offered |= virtq_drv_publish(drv, ring, flags & DRV_TX_PACKED);
	/*
	 * The packets are ours until they are taken back. Now is the time to look at them: while
	 * the line that the device polls comes here, nothing else can be done.
	 */
	vnet_tx_account(&txq->stats, txq->flags, pkts, i, dropped);
	txq->stats.bytes += bytes;
	if (unlikely(nkept > 0))
		rte_pktmbuf_free_bulk(kept, nkept);
	return i;
}

/*
 * Split: send for the used entries that the next burst of n will begin with, so that they travel
 * while the application works.
 */
VIRTQ_INLINE void
drv_tx_prefetch_next(const struct virtq_drv *drv, const struct virtq_ring *ring, uint16_t n)
{
	virtq_prefetch_range(&ring->used->ring[drv->cursor.used_idx & ring->mask],
			     n * sizeof(ring->used->ring[0]));
}

/*
 * Mbufs to be freed before a burst of n, for which there is no room. On a split ring IN_ORDER all
 * that the index says cost as much as one.
 */
VIRTQ_INLINE uint16_t
drv_clean_want(const struct virtq_ring *ring, uint16_t n, const unsigned int flags)
{
	if ((flags & DRV_TX_IN_ORDER) && !(flags & DRV_TX_PACKED))
		return ring->size;
	return RTE_MAX(n, (uint16_t)VNET_BURST);
}

/* Whether the device has done any of its work: if not, it may be at the next entries now. */
VIRTQ_INLINE bool
drv_some_used(const struct virtq_drv *drv, const struct virtq_ring *ring, bool packed)
{
	uint32_t id, len;

	if (packed)
		return virtq_drv_used_entry(drv, ring, 0, &id, &len, true);
	return drv->used_seen != drv->cursor.used_idx ||
	       virtq_load16(&ring->used->idx) != drv->cursor.used_idx;
}

VIRTQ_INLINE uint16_t
drv_tx_burst(struct vnet_txq *txq, struct virtq_cursor *cursor, const struct virtq_ring *ring,
	struct rte_mbuf **pkts, uint16_t n, const unsigned int flags)
{
	struct virtq_drv *drv = virtq_drv_of(cursor);
	bool offered = false;
	uint16_t done = 0;

	if (unlikely(cursor->broken != VIRTQ_OK))
		return 0;
	if (drv->num_free >= n || drv_some_used(drv, ring, flags & DRV_TX_PACKED))
		virtq_drv_bulk_own(drv, ring, RTE_MIN(n, (uint16_t)VNET_BURST),
				   flags & DRV_TX_PACKED);
	if (drv->num_free < n)
		drv_clean(txq, drv, ring, drv_clean_want(ring, n, flags), flags);
	while (done < n && likely(cursor->broken == VIRTQ_OK)) {
		uint16_t want = RTE_MIN((uint16_t)(n - done), (uint16_t)VNET_BURST);
		uint16_t got = drv_tx_round(txq, drv, ring, pkts + done, want, &offered, flags);

		done += got;
		if (got < want && drv_clean(txq, drv, ring, 2 * VNET_BURST, flags) == 0)
			break;
	}
	if (likely(offered)) {
		virtq_drv_kick(drv, ring, flags & DRV_TX_PACKED);
		if (!(flags & DRV_TX_PACKED) && likely(done == n))
			drv_tx_prefetch_next(drv, ring, RTE_MIN(n, (uint16_t)VNET_BURST));
	}
	return done;
}

uint16_t
vnet_drv_tx_clean(struct vnet_txq *txq, struct virtq_drv *drv, const struct virtq_ring *ring,
		  uint16_t n)
{
	bool in_order = ring->features & VIRTQ_BIT(VIRTIO_F_IN_ORDER);

	if (drv->cursor.broken != VIRTQ_OK)
		return 0;
	return drv_clean(txq, drv, ring, n, (ring->packed ? DRV_TX_PACKED : 0) |
			 (in_order ? DRV_TX_IN_ORDER : 0));
}

#define DRV_TX_INSTANCE(name, flags) \
static uint16_t \
name(struct vnet_txq *txq, struct virtq_cursor *cursor, const struct virtq_ring *ring, \
	struct rte_mbuf **pkts, uint16_t n) \
{ \
	return drv_tx_burst(txq, cursor, ring, pkts, n, flags); \
}

DRV_TX_INSTANCE(drv_tx_split, 0)
DRV_TX_INSTANCE(drv_tx_split_in_order, DRV_TX_IN_ORDER)
DRV_TX_INSTANCE(drv_tx_split_any, DRV_TX_ANY_HDR)
DRV_TX_INSTANCE(drv_tx_split_in_order_any, DRV_TX_ANY_HDR | DRV_TX_IN_ORDER)
DRV_TX_INSTANCE(drv_tx_packed, DRV_TX_PACKED)
DRV_TX_INSTANCE(drv_tx_packed_in_order, DRV_TX_PACKED | DRV_TX_IN_ORDER)
DRV_TX_INSTANCE(drv_tx_packed_any, DRV_TX_PACKED | DRV_TX_ANY_HDR)
DRV_TX_INSTANCE(drv_tx_packed_in_order_any, DRV_TX_PACKED | DRV_TX_ANY_HDR | DRV_TX_IN_ORDER)

vnet_tx_burst
vnet_drv_tx_select(const struct virtq_ring *ring, const char **name)
{
	static const struct {
		vnet_tx_burst burst;
		const char *name;
	} table[] = {
		[0] = {drv_tx_split, "front-end, split"},
		[DRV_TX_IN_ORDER] = {drv_tx_split_in_order, "front-end, split, in order"},
		[DRV_TX_ANY_HDR] = {drv_tx_split_any, "front-end, split, other header"},
		[DRV_TX_ANY_HDR | DRV_TX_IN_ORDER] = {drv_tx_split_in_order_any,
					      "front-end, split, in order, other header"},
		[DRV_TX_PACKED] = {drv_tx_packed, "front-end, packed"},
		[DRV_TX_PACKED | DRV_TX_IN_ORDER] = {drv_tx_packed_in_order,
					     "front-end, packed, in order"},
		[DRV_TX_PACKED |
		 DRV_TX_ANY_HDR] = {drv_tx_packed_any, "front-end, packed, other header"},
		[DRV_TX_PACKED | DRV_TX_ANY_HDR | DRV_TX_IN_ORDER] = {drv_tx_packed_in_order_any,
					"front-end, packed, in order, other header"},
	};
	unsigned int f = ring->packed ? DRV_TX_PACKED : 0;

	if (ring->features & VIRTQ_BIT(VIRTIO_F_IN_ORDER))
		f |= DRV_TX_IN_ORDER;
	if (ring->hdr_len != 12)
		f |= DRV_TX_ANY_HDR;
	if (name != NULL)
		*name = table[f].name;
	return table[f].burst;
}
