/* SPDX-License-Identifier: BSD-3-Clause */
/* Driver side, transmit: mbufs are offered as they lie; they come back used and are freed. */
#include <rte_memory.h>

#include "virtq_dev.h"
#include "vnet_drv.h"
#include "vnet_impl.h"

#define TX_PACKED	(1u << 0)
#define TX_IN_ORDER	(1u << 1) /* a used entry may stand for all up to it */
#define TX_ANY_HDR	(1u << 2) /* header length as the run says, else 12 */

vnet_drv_shared vnet_drv_is_shared;

enum tx_result { TX_SENT, TX_DROPPED, TX_SHORT };

_Static_assert(VIRTQ_DRV_HEADER >= VIRTQ_HDR_HASH + VNET_HEAD_MAX, "room for headers");

static inline struct virtq_drv *
drv_of(struct virtq_vq *vq)
{
	return container_of(vq, struct virtq_drv, vq);
}

static __rte_noinline void
drv_tx_break(struct vnet_txq *txq, struct virtq_drv *drv, enum virtq_error e)
{
	txq->stats.error[e]++;
	virtq_drv_break(drv, e);
}

/* The slot after s in the order of offering: split by descriptor, packed by id. */
VIRTQ_INLINE uint16_t
drv_successor(const struct virtq_drv *drv, const struct virtq_run *run, uint16_t s, bool packed)
{
	uint32_t next = (uint32_t)s + (packed ? 1 : drv->slot[s].ndesc);

	return (uint16_t)(next >= run->size ? next - run->size : next);
}

/* Take back what a used entry names; with IN_ORDER all that was offered before it as well. */
VIRTQ_INLINE uint16_t
drv_take_back(struct virtq_drv *drv, const struct virtq_run *run, uint16_t id,
	struct rte_mbuf **sent, uint16_t room, const unsigned int flags)
{
	uint16_t n = 0;

	if (!(flags & TX_IN_ORDER)) {
		sent[0] = virtq_drv_free_slot(drv, run, id, flags & TX_PACKED);
		return 1;
	}
	while (n < room) {
		uint16_t o = drv->oldest, next;

		if (unlikely(drv->slot[o].cookie == NULL))
			break;
		next = drv_successor(drv, run, o, flags & TX_PACKED);
		sent[n++] = virtq_drv_free_slot(drv, run, o, flags & TX_PACKED);
		drv->oldest = next;
		if (o == id)
			break;
	}
	return n;
}

/* The id that the next used entry names; false: there is none. */
VIRTQ_INLINE bool
drv_next_used(struct vnet_txq *txq, struct virtq_drv *drv, const struct virtq_run *run,
	uint32_t *id, bool packed)
{
	uint64_t e;

	if (packed) {
		if (!virtq_drv_used_packed(drv, run, drv->vq.used_idx, drv->vq.used_wrap, &e))
			return false;
		*id = (uint16_t)(e >> 32);
		return true;
	}
	if (virtq_drv_used_split(drv, run) == 0) {
		if (unlikely(drv->vq.broken != VIRTQ_OK))
			txq->stats.error[drv->vq.broken]++;
		return false;
	}
	*id = (uint32_t)virtq_peek64(&run->used->ring[drv->vq.used_idx & run->mask]);
	return true;
}

/* Free what the device has sent, up to about n mbufs. */
VIRTQ_INLINE uint16_t
drv_clean(struct vnet_txq *txq, struct virtq_drv *drv, const struct virtq_run *run, uint16_t n,
	const unsigned int flags)
{
	struct rte_mbuf *sent[VNET_BURST];
	uint16_t total = 0, count = 0;
	uint32_t id;

	while (total + count < n && drv_next_used(txq, drv, run, &id, flags & TX_PACKED)) {
		if (unlikely(!virtq_drv_outstanding(drv, run, id))) {
			drv_tx_break(txq, drv, VIRTQ_E_USED_ID);
			break;
		}
		/* One entry may stand for more than `sent` takes: go on until it is served. */
		while (drv->slot[id].cookie != NULL) {
			uint16_t got = drv_take_back(drv, run, (uint16_t)id, sent + count,
						     VNET_BURST - count, flags);

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
		if (unlikely(drv->vq.broken != VIRTQ_OK))
			break;
	}
	vnet_free_sent(sent, count);
	return total + count;
}

/* Entries that a packet of n pieces takes. */
static uint16_t
drv_entries(const struct virtq_drv *drv, uint16_t n)
{
	return drv->indirect != NULL && n > 1 ? 1 : n;
}

static void
drv_add_pieces(struct virtq_drv *drv, const struct virtq_run *run, struct rte_mbuf *cookie,
	const struct virtq_drv_seg *seg, uint16_t n)
{
	uint16_t slot = virtq_drv_next_slot(drv);
	struct vring_desc *table;
	struct virtq_drv_seg ref;

	if (drv_entries(drv, n) == n) {
		virtq_drv_add(drv, run, cookie, seg, n, 0, run->packed);
		return;
	}
	table = drv->indirect + (uint32_t)slot * VIRTQ_DRV_MAX_DESC;
	for (uint16_t i = 0; i < n; i++) {
		uint16_t more = i + 1 < n;

		/* Split: flags, next. Packed: id, flags; neither means anything in a table. */
		if (run->packed)
			virtq_drv_put_desc(&table[i], seg[i].iova, seg[i].len, 0, 0);
		else
			virtq_drv_put_desc(&table[i], seg[i].iova, seg[i].len,
					   more ? VRING_DESC_F_NEXT : 0, more ? i + 1 : 0);
	}
	ref.iova = drv->indirect_iova +
		   (uint64_t)slot * VIRTQ_DRV_MAX_DESC * sizeof(struct vring_desc);
	ref.len = n * sizeof(struct vring_desc);
	virtq_drv_add(drv, run, cookie, &ref, 1, VRING_DESC_F_INDIRECT, run->packed);
}

/* A chain may have so many: not more than the ring has entries. VIRTIO 1.2, 2.7.5.3.1 */
static uint16_t
drv_most_pieces(const struct virtq_run *run)
{
	return RTE_MIN((uint16_t)VIRTQ_DRV_MAX_DESC, run->size);
}

/*
 * The pieces of a frame: its head, which the caller fills in, and `len` bytes of m after the first
 * `skip`. 0: they are too many.
 */
static uint16_t
drv_pieces(const struct virtq_run *run, const struct rte_mbuf *m, uint32_t skip, uint32_t len,
	struct virtq_drv_seg *seg)
{
	const uint16_t most = drv_most_pieces(run);
	uint16_t n = 1;

	for (; m != NULL && len > 0; m = m->next) {
		uint32_t part;

		if (skip >= m->data_len) {
			skip -= m->data_len;
			continue;
		}
		if (n >= most)
			return 0;
		part = RTE_MIN(len, m->data_len - skip);
		seg[n].iova = (uintptr_t)rte_pktmbuf_mtod_offset(m, const void *, skip);
		seg[n++].len = part;
		skip = 0;
		len -= part;
	}
	return n;
}

/* A frame with a header, and rewritten first bytes, in the ring's own memory. */
static enum tx_result
drv_frame(struct vnet_txq *txq, struct virtq_drv *drv, const struct virtq_run *run,
	const struct vnet_tx_pkt *p)
{
	struct virtq_drv_seg seg[VIRTQ_DRV_MAX_DESC];
	uint32_t slot = virtq_drv_next_slot(drv);
	uint8_t *head = drv->header + slot * VIRTQ_DRV_HEADER;
	uint16_t n = drv_pieces(run, p->m, p->head_skip, p->len - p->head_len, seg);
	struct vnet_hdr hdr = p->hdr;

	if (n == 0) {
		txq->stats.drop[VNET_DROP_OFFLOAD]++;
		return TX_DROPPED;
	}
	if (drv_entries(drv, n) > drv->nfree)
		return TX_SHORT;
	hdr.num_buffers = 0; /* the device counts buffers, and only those it writes */
	memset(head, 0, run->hdr_len);
	memcpy(head, &hdr, RTE_MIN((size_t)run->hdr_len, sizeof(hdr)));
	memcpy(head + run->hdr_len, p->head, p->head_len);
	seg[0].iova = drv->header_iova + (uint64_t)slot * VIRTQ_DRV_HEADER;
	seg[0].len = run->hdr_len + p->head_len;
	drv_add_pieces(drv, run, p->m, seg, n);
	txq->stats.sw_csum += p->sw_csum;
	return TX_SENT;
}

static void
drv_hold(struct rte_mbuf *m, int16_t refs)
{
	for (; m != NULL; m = m->next)
		rte_mbuf_refcnt_update(m, refs);
}

/* Ring entries that the frames of a packet take together. 0: one has too many pieces. */
static uint32_t
drv_segments_need(const struct virtq_drv *drv, const struct virtq_run *run,
	const struct vnet_tx_pkt *p)
{
	const uint32_t payload = p->len - p->head_len;
	struct virtq_drv_seg seg[VIRTQ_DRV_MAX_DESC];
	uint32_t total = 0;

	for (uint32_t off = 0; off < payload; off += p->mss) {
		uint16_t n = drv_pieces(run, p->m, p->head_skip + off,
					RTE_MIN(payload - off, (uint32_t)p->mss), seg);

		if (n == 0)
			return 0;
		total += drv_entries(drv, n);
		if (total > run->size)
			break;
	}
	return total;
}

/* All frames of a packet or none; each holds the mbuf that its payload lies in. */
static enum tx_result
drv_segments(struct vnet_txq *txq, struct virtq_drv *drv, const struct virtq_run *run,
	const struct vnet_tx_pkt *p)
{
	uint32_t payload = p->len - p->head_len, frames = (payload + p->mss - 1) / p->mss;
	uint32_t need = drv_segments_need(drv, run, p);
	struct vnet_tx_pkt frame;

	if (need == 0 || need > run->size) {
		txq->stats.drop[VNET_DROP_OFFLOAD]++;
		return TX_DROPPED;
	}
	if (need > drv->nfree)
		return TX_SHORT;
	drv_hold(p->m, (int16_t)(frames - 1)); /* at most as many as a ring has entries */
	for (uint32_t off = 0; off < payload; off += p->mss) {
		vnet_tx_segment(p, off, RTE_MIN(payload - off, (uint32_t)p->mss), &frame);
		drv_frame(txq, drv, run, &frame);
	}
	txq->stats.sw_gso++;
	return TX_SENT;
}

static bool
drv_within(const struct vnet_range *r, const void *addr, uint32_t len)
{
	const uintptr_t off = (uintptr_t)addr - r->base;

	return off < r->len && len <= r->len - off;
}

static bool
drv_was_given(const struct vnet_given *given, const void *addr, uint32_t len)
{
	for (unsigned int i = 0; given != NULL && i < VNET_GIVEN_MAX; i++) {
		const struct vnet_range *shared = &given->range[i];
		struct vnet_range r;

		r.len = __atomic_load_n(&shared->len, __ATOMIC_ACQUIRE);
		r.base = __atomic_load_n(&shared->base, __ATOMIC_RELAXED);
		if (r.base == 0)
			break;
		if (drv_within(&r, addr, len))
			return true;
	}
	return false;
}

static void
drv_remember(struct vnet_txq *txq, const void *addr)
{
	const struct rte_memseg_list *msl = rte_mem_virt2memseg_list(addr);

	if (msl == NULL || msl->external)
		return;
	txq->reach[1] = txq->reach[0];
	txq->reach[0] = (struct vnet_range){(uintptr_t)msl->base_va, msl->len};
}

/* Whether the device reaches the bytes. */
static __rte_noinline bool
drv_reaches(struct vnet_txq *txq, const void *addr, uint32_t len)
{
	if (drv_within(&txq->reach[0], addr, len))
		return true;
	if (drv_within(&txq->reach[1], addr, len)) {
		RTE_SWAP(txq->reach[0], txq->reach[1]);
		return true;
	}
	if (vnet_drv_is_shared != NULL && !vnet_drv_is_shared(addr, len))
		return drv_was_given(txq->given, addr, len);
	drv_remember(txq, addr);
	return true;
}

/* Whether a copy to mbufs of this pool is in memory that is shared. */
static bool
drv_pool_takes_copies(struct rte_mempool *pool)
{
	return rte_pktmbuf_data_room_size(pool) > RTE_PKTMBUF_HEADROOM &&
	       !(rte_pktmbuf_priv_flags(pool) & RTE_PKTMBUF_POOL_F_PINNED_EXT_BUF);
}

static bool
drv_all_in_reach(struct vnet_txq *txq, const struct rte_mbuf *m)
{
	for (; m != NULL; m = m->next)
		if (!drv_reaches(txq, m->buf_addr, m->buf_len))
			return false;
	return true;
}

/* Buffers that the device cannot reach are copied. NULL: there is nothing to copy them to. */
static struct rte_mbuf *
drv_reachable(struct vnet_txq *txq, struct rte_mbuf *m)
{
	struct rte_mbuf *copy;

	if (drv_all_in_reach(txq, m))
		return m;
	if (!drv_pool_takes_copies(m->pool))
		return NULL;
	copy = rte_pktmbuf_copy(m, m->pool, 0, UINT32_MAX);
	if (copy == NULL)
		return NULL;
	if (!drv_all_in_reach(txq, copy)) {
		rte_pktmbuf_free(copy);
		return NULL;
	}
	copy->ol_flags |= m->ol_flags & RTE_MBUF_F_TX_OFFLOAD_MASK;
	copy->tx_offload = m->tx_offload;
	rte_pktmbuf_free(m);
	return copy;
}

static __rte_noinline enum tx_result
drv_tx_slow(struct vnet_txq *txq, struct virtq_drv *drv, const struct virtq_run *run,
	struct rte_mbuf **pkt)
{
	struct rte_mbuf *m = drv_reachable(txq, *pkt);
	const uint64_t sw_csum = txq->stats.sw_csum;
	struct vnet_tx_pkt p;
	enum tx_result r;

	if (m == NULL) {
		txq->stats.drop[VNET_DROP_UNMAPPED]++;
		return TX_DROPPED;
	}
	*pkt = m;
	if (vnet_tx_offload(vnet_swap_roles(run->features), m, &p) < 0) {
		txq->stats.drop[VNET_DROP_OFFLOAD]++;
		return TX_DROPPED;
	}
	r = p.mss ? drv_segments(txq, drv, run, &p) : drv_frame(txq, drv, run, &p);
	if (r == TX_SHORT)
		txq->stats.sw_csum = sw_csum; /* done again when the packet comes again */
	return r;
}

/* A buffer of the mbuf's own is in one piece of memory, so that its address says it all. */
VIRTQ_INLINE bool
drv_in_reach(struct vnet_txq *txq, const struct rte_mbuf *m)
{
	return likely((uintptr_t)m->buf_addr - txq->reach[0].base < txq->reach[0].len) ||
	       drv_reaches(txq, m->buf_addr, m->buf_len);
}

/* One segment of our own, without work to do, and room for the header before the data. */
VIRTQ_INLINE bool
drv_tx_plain(struct vnet_txq *txq, const struct rte_mbuf *m, uint32_t hdr_len)
{
	return m->nb_segs == 1 && rte_mbuf_refcnt_read(m) == 1 && RTE_MBUF_DIRECT(m) &&
	       !(m->ol_flags & VNET_TX_WORK) && m->data_off >= hdr_len && drv_in_reach(txq, m);
}

VIRTQ_INLINE enum tx_result
drv_tx_one(struct vnet_txq *txq, struct virtq_drv *drv, const struct virtq_run *run,
	struct rte_mbuf **pkt, const unsigned int flags)
{
	const uint32_t hdr_len = flags & TX_ANY_HDR ? run->hdr_len : 12;
	struct rte_mbuf *m = *pkt;
	struct virtq_drv_seg seg;
	uint8_t *h;

	if (unlikely(drv->nfree == 0))
		return TX_SHORT;
	if (unlikely(!drv_tx_plain(txq, m, hdr_len)))
		return drv_tx_slow(txq, drv, run, pkt);
	h = rte_pktmbuf_mtod(m, uint8_t *) - hdr_len;
	memset(h, 0, hdr_len);
	seg.iova = (uintptr_t)h;
	seg.len = m->data_len + hdr_len;
	virtq_drv_add(drv, run, m, &seg, 1, 0, flags & TX_PACKED);
	return TX_SENT;
}

VIRTQ_INLINE uint16_t
drv_tx_round(struct vnet_txq *txq, struct virtq_drv *drv, const struct virtq_run *run,
	struct rte_mbuf **pkts, uint16_t n, const unsigned int flags)
{
	struct rte_mbuf *lost[VNET_BURST];
	uint32_t dropped = 0;
	uint64_t bytes = 0;
	uint16_t i, nlost = 0;

	for (i = 0; i < n; i++) {
		uint32_t len = pkts[i]->pkt_len;
		enum tx_result r = drv_tx_one(txq, drv, run, &pkts[i], flags);

		if (unlikely(r == TX_SHORT))
			break;
		if (unlikely(r == TX_DROPPED)) {
			dropped |= 1u << i;
			lost[nlost++] = pkts[i];
		} else {
			bytes += len;
		}
	}
	/* Counted while the packets are still ours: once published they may be gone. */
	vnet_tx_account(&txq->stats, txq->flags, pkts, i, dropped);
	txq->stats.bytes += bytes;
	if (unlikely(nlost > 0))
		rte_pktmbuf_free_bulk(lost, nlost);
	return i;
}

VIRTQ_INLINE uint16_t
drv_tx_burst(struct vnet_txq *txq, struct virtq_vq *vq, const struct virtq_run *run,
	struct rte_mbuf **pkts, uint16_t n, const unsigned int flags)
{
	struct virtq_drv *drv = drv_of(vq);
	uint16_t done = 0;

	if (unlikely(vq->broken != VIRTQ_OK))
		return 0;
	if (drv->nfree <= run->size / 2 || drv->nfree < n)
		drv_clean(txq, drv, run, RTE_MAX(n, (uint16_t)(2 * VNET_BURST)), flags);
	while (done < n && likely(vq->broken == VIRTQ_OK)) {
		uint16_t want = RTE_MIN((uint16_t)(n - done), (uint16_t)VNET_BURST);
		uint16_t got = drv_tx_round(txq, drv, run, pkts + done, want, flags);

		done += got;
		if (got < want && drv_clean(txq, drv, run, 2 * VNET_BURST, flags) == 0)
			break;
	}
	if (drv->unpublished > 0) {
		virtq_drv_publish(drv, run, flags & TX_PACKED);
		virtq_drv_kick(drv, run, flags & TX_PACKED);
	}
	return done;
}

uint16_t
vnet_drv_tx_clean(struct vnet_txq *txq, struct virtq_drv *drv, const struct virtq_run *run,
		  uint16_t n)
{
	bool in_order = run->features & VIRTQ_BIT(VIRTIO_F_IN_ORDER);

	if (drv->vq.broken != VIRTQ_OK)
		return 0;
	return drv_clean(txq, drv, run, n, (run->packed ? TX_PACKED : 0) |
			 (in_order ? TX_IN_ORDER : 0));
}

#define DRV_TX_INSTANCE(name, flags) \
static uint16_t \
name(struct vnet_txq *txq, struct virtq_vq *vq, const struct virtq_run *run, \
	struct rte_mbuf **pkts, uint16_t n) \
{ \
	return drv_tx_burst(txq, vq, run, pkts, n, flags); \
}

DRV_TX_INSTANCE(drv_tx_split, 0)
DRV_TX_INSTANCE(drv_tx_split_in_order, TX_IN_ORDER)
DRV_TX_INSTANCE(drv_tx_split_any, TX_ANY_HDR)
DRV_TX_INSTANCE(drv_tx_split_in_order_any, TX_ANY_HDR | TX_IN_ORDER)
DRV_TX_INSTANCE(drv_tx_packed, TX_PACKED)
DRV_TX_INSTANCE(drv_tx_packed_in_order, TX_PACKED | TX_IN_ORDER)
DRV_TX_INSTANCE(drv_tx_packed_any, TX_PACKED | TX_ANY_HDR)
DRV_TX_INSTANCE(drv_tx_packed_in_order_any, TX_PACKED | TX_ANY_HDR | TX_IN_ORDER)

vnet_tx_burst
vnet_drv_tx_select(const struct virtq_run *run, const char **name)
{
	static const struct {
		vnet_tx_burst burst;
		const char *name;
	} table[] = {
		[0] = {drv_tx_split, "front-end, split"},
		[TX_IN_ORDER] = {drv_tx_split_in_order, "front-end, split, in order"},
		[TX_ANY_HDR] = {drv_tx_split_any, "front-end, split, other header"},
		[TX_ANY_HDR | TX_IN_ORDER] = {drv_tx_split_in_order_any,
					      "front-end, split, in order, other header"},
		[TX_PACKED] = {drv_tx_packed, "front-end, packed"},
		[TX_PACKED | TX_IN_ORDER] = {drv_tx_packed_in_order,
					     "front-end, packed, in order"},
		[TX_PACKED | TX_ANY_HDR] = {drv_tx_packed_any, "front-end, packed, other header"},
		[TX_PACKED | TX_ANY_HDR | TX_IN_ORDER] = {drv_tx_packed_in_order_any,
					"front-end, packed, in order, other header"},
	};
	unsigned int f = run->packed ? TX_PACKED : 0;

	if (run->features & VIRTQ_BIT(VIRTIO_F_IN_ORDER))
		f |= TX_IN_ORDER;
	if (run->hdr_len != 12)
		f |= TX_ANY_HDR;
	if (name != NULL)
		*name = table[f].name;
	return table[f].burst;
}
