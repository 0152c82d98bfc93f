/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Driver side, transmit: packets that are more than one plain mbuf, as frames of pieces in chains
 * or tables.
 */
#include "vnet_drv_frame.h"

#include <rte_memory.h>

_Static_assert(VIRTQ_DRV_HEADER >= VNET_HDR_HASH + VNET_HEAD_MAX, "room for headers");

/* Entries that a packet of n pieces takes. */
static uint16_t
drv_entries(const struct virtq_drv *drv, uint16_t n)
{
	return drv->indirect != NULL && n > 1 ? 1 : n;
}

static void
drv_add_pieces(struct virtq_drv *drv, const struct virtq_ring *ring, struct rte_mbuf *cookie,
	const struct virtq_drv_seg *seg, uint16_t n)
{
	uint16_t id = virtq_drv_next_id(drv);
	struct vring_desc *table;
	struct virtq_drv_seg ref;

	if (drv_entries(drv, n) == n) {
		virtq_drv_add(drv, ring, cookie, seg, n, 0, ring->packed);
		return;
	}
	table = drv->indirect + (uint32_t)id * VIRTQ_DRV_MAX_DESC;
	for (uint16_t i = 0; i < n; i++) {
		uint16_t more = i + 1 < n;

		/* Split: flags, next. Packed: id, flags; neither means anything in a table. */
		if (ring->packed)
			virtq_drv_put_desc(&table[i], seg[i].iova, seg[i].len, 0, 0);
		else
			virtq_drv_put_desc(&table[i], seg[i].iova, seg[i].len,
					   more ? VRING_DESC_F_NEXT : 0, more ? i + 1 : 0);
	}
	ref.iova = drv->indirect_iova +
		   (uint64_t)id * VIRTQ_DRV_MAX_DESC * sizeof(struct vring_desc);
	ref.len = n * sizeof(struct vring_desc);
	virtq_drv_add(drv, ring, cookie, &ref, 1, VRING_DESC_F_INDIRECT, ring->packed);
}

/* A chain may have so many: not more than the ring has entries. VIRTIO 1.2, 2.7.5.3.1 */
static uint16_t
drv_most_pieces(const struct virtq_ring *ring)
{
	return RTE_MIN((uint16_t)VIRTQ_DRV_MAX_DESC, ring->size);
}

/*
 * The pieces of a frame: its head, which the caller fills in, and `len` bytes of m after the first
 * `skip`. 0: they are too many.
 */
static uint16_t
drv_pieces(const struct virtq_ring *ring, const struct rte_mbuf *m, uint32_t skip, uint32_t len,
	struct virtq_drv_seg *seg)
{
	const uint16_t most = drv_most_pieces(ring);
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
static enum drv_tx_result
drv_frame(struct vnet_txq *txq, struct virtq_drv *drv, const struct virtq_ring *ring,
	const struct vnet_tx_pkt *p)
{
	struct virtq_drv_seg seg[VIRTQ_DRV_MAX_DESC];
	uint32_t id = virtq_drv_next_id(drv);
	uint8_t *head = drv->header + id * VIRTQ_DRV_HEADER;
	uint16_t n = drv_pieces(ring, p->m, p->head_skip, p->len - p->head_len, seg);
	struct vnet_hdr hdr = p->hdr;

	if (n == 0) {
		txq->stats.drop[VNET_DROP_OFFLOAD]++;
		return DRV_TX_DROPPED;
	}
	if (drv_entries(drv, n) > drv->num_free)
		return DRV_TX_SHORT;
	hdr.num_buffers = 0; /* the device counts buffers, and only those it writes */
	memset(head, 0, ring->hdr_len);
	memcpy(head, &hdr, RTE_MIN((size_t)ring->hdr_len, sizeof(hdr)));
	memcpy(head + ring->hdr_len, p->head, p->head_len);
	seg[0].iova = drv->header_iova + (uint64_t)id * VIRTQ_DRV_HEADER;
	seg[0].len = ring->hdr_len + p->head_len;
	drv_add_pieces(drv, ring, p->m, seg, n);
	txq->stats.sw_csum += p->sw_csum;
	return DRV_TX_SENT;
}

static void
drv_hold(struct rte_mbuf *m, int16_t refs)
{
	for (; m != NULL; m = m->next)
		rte_mbuf_refcnt_update(m, refs);
}

/* Ring entries that the frames of a packet take together. 0: one has too many pieces. */
static uint32_t
drv_segments_need(const struct virtq_drv *drv, const struct virtq_ring *ring,
	const struct vnet_tx_pkt *p)
{
	const uint32_t payload = p->len - p->head_len;
	struct virtq_drv_seg seg[VIRTQ_DRV_MAX_DESC];
	uint32_t total = 0;

	for (uint32_t off = 0; off < payload; off += p->mss) {
		uint16_t n = drv_pieces(ring, p->m, p->head_skip + off,
					RTE_MIN(payload - off, (uint32_t)p->mss), seg);

		if (n == 0)
			return 0;
		total += drv_entries(drv, n);
		if (total > ring->size)
			break;
	}
	return total;
}

/* All frames of a packet or none; each holds the mbuf that its payload lies in. */
static enum drv_tx_result
drv_segments(struct vnet_txq *txq, struct virtq_drv *drv, const struct virtq_ring *ring,
	const struct vnet_tx_pkt *p)
{
	uint32_t payload = p->len - p->head_len, frames = (payload + p->mss - 1) / p->mss;
	uint32_t need = drv_segments_need(drv, ring, p);
	struct vnet_tx_pkt frame;

	if (need == 0 || need > ring->size) {
		txq->stats.drop[VNET_DROP_OFFLOAD]++;
		return DRV_TX_DROPPED;
	}
	if (need > drv->num_free)
		return DRV_TX_SHORT;
	drv_hold(p->m, (int16_t)(frames - 1)); /* at most as many as a ring has entries */
	for (uint32_t off = 0; off < payload; off += p->mss) {
		vnet_offload_segment(p, off, RTE_MIN(payload - off, (uint32_t)p->mss), &frame);
		drv_frame(txq, drv, ring, &frame);
	}
	txq->stats.sw_gso++;
	return DRV_TX_SENT;
}

static bool
drv_within(const struct vnet_range *r, const void *addr, uint32_t len)
{
	const uintptr_t off = (uintptr_t)addr - r->base;

	return off < r->len && len <= r->len - off;
}

static bool
drv_in_extmem(const struct vnet_extmem *extmem, const void *addr, uint32_t len)
{
	for (unsigned int i = 0; extmem != NULL && i < VNET_EXTMEM_MAX; i++) {
		const struct vnet_range *shared = &extmem->range[i];
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
drv_remember_segments(struct vnet_txq *txq, const void *addr)
{
	const struct rte_memseg_list *msl = rte_mem_virt2memseg_list(addr);

	if (msl == NULL || msl->external)
		return;
	txq->segments[1] = txq->segments[0];
	txq->segments[0] = (struct vnet_range){(uintptr_t)msl->base_va, msl->len};
}

bool
vnet_drv_frame_is_mapped(struct vnet_txq *txq, const void *addr, uint32_t len)
{
	if (drv_within(&txq->segments[0], addr, len))
		return true;
	if (drv_within(&txq->segments[1], addr, len)) {
		RTE_SWAP(txq->segments[0], txq->segments[1]);
		return true;
	}
	if (vnet_drv_is_shared != NULL && !vnet_drv_is_shared(addr, len))
		return drv_in_extmem(txq->extmem, addr, len);
	drv_remember_segments(txq, addr);
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
drv_all_mapped(struct vnet_txq *txq, const struct rte_mbuf *m)
{
	for (; m != NULL; m = m->next)
		if (!vnet_drv_frame_is_mapped(txq, m->buf_addr, m->buf_len))
			return false;
	return true;
}

/* The packet, or a copy where the device cannot reach it. NULL: there is nothing to copy it to. */
static struct rte_mbuf *
drv_mapped_or_copy(struct vnet_txq *txq, struct rte_mbuf *m)
{
	struct rte_mbuf *copy;

	if (drv_all_mapped(txq, m))
		return m;
	if (!drv_pool_takes_copies(m->pool))
		return NULL;
	copy = rte_pktmbuf_copy(m, m->pool, 0, UINT32_MAX);
	if (copy == NULL)
		return NULL;
	if (!drv_all_mapped(txq, copy)) {
		rte_pktmbuf_free(copy);
		return NULL;
	}
	copy->ol_flags |= m->ol_flags & RTE_MBUF_F_TX_OFFLOAD_MASK;
	copy->tx_offload = m->tx_offload;
	return copy;
}

static enum drv_tx_result
drv_frame_mapped(struct vnet_txq *txq, struct virtq_drv *drv, const struct virtq_ring *ring,
	struct rte_mbuf *m)
{
	const uint64_t sw_csum = txq->stats.sw_csum;
	struct vnet_tx_pkt p;
	enum drv_tx_result r;

	if (vnet_offload_tx(vnet_swap_roles(ring->features), m, &p) < 0) {
		txq->stats.drop[VNET_DROP_OFFLOAD]++;
		return DRV_TX_DROPPED;
	}
	r = p.mss ? drv_segments(txq, drv, ring, &p) : drv_frame(txq, drv, ring, &p);
	if (r == DRV_TX_SHORT)
		txq->stats.sw_csum = sw_csum; /* done again when the packet comes again */
	return r;
}

enum drv_tx_result
vnet_drv_frame_any(struct vnet_txq *txq, struct virtq_drv *drv, const struct virtq_ring *ring,
	struct rte_mbuf *pkt)
{
	struct rte_mbuf *m = drv_mapped_or_copy(txq, pkt);
	enum drv_tx_result r;

	if (m == NULL) {
		txq->stats.drop[VNET_DROP_UNMAPPED]++;
		return DRV_TX_DROPPED;
	}
	r = drv_frame_mapped(txq, drv, ring, m);
	if (m == pkt)
		return r;
	if (r == DRV_TX_SENT)
		return DRV_TX_COPIED;
	rte_pktmbuf_free(m);
	return r;
}
