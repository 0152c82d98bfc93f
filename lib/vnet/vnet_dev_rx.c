/* SPDX-License-Identifier: BSD-3-Clause */
/* Device side, from the guest: fetch chains, copy them into mbufs, give them back. */
#include <rte_ether.h>
#include <rte_malloc.h>
#include <rte_net.h>

#include "virtq_dev_log.h"
#include "vnet_dev_rx_csum.h"
#include "vnet_dev_rx_source.h"
#include "vnet_impl.h"
#include "vnet_zc.h"

#define DEV_RX_PACKED	(1u << 0)
#define DEV_RX_OFFLOAD	(1u << 1) /* the header may ask for something */
#define DEV_RX_IN_ORDER	(1u << 2) /* one used entry retires the round */
#define DEV_RX_ANY_HDR	(1u << 3) /* header length as the ring says, else 12 */
#define DEV_RX_ZC	(1u << 4) /* zero-copy: the ring's owner is its zero-copy state */
#define DEV_RX_LOG	(1u << 5) /* what is written is marked in the dirty log */

/* Mbufs that a packet which is not copied may take. */
#define DEV_RX_ZC_SEGS 8
/* Its first mbuf holds the headers of TCP over IPv4: applications expect them in one piece. */
#define DEV_RX_ZC_HEAD (RTE_ETHER_HDR_LEN + sizeof(struct rte_ipv4_hdr) + \
			sizeof(struct rte_tcp_hdr))

/* What a round works on. Packets of it whose checksum is due are noted in csums. */
struct rx_round {
	struct vnet_rxq *rxq;
	struct virtq_dev *dev;
	const struct virtq_ring *ring;
	struct rx_csums *csums;
};

/* Everything but one plain descriptor with an empty header. */
static __rte_noinline enum dev_rx_result
rx_slow(struct vnet_rxq *rxq, struct virtq_dev *dev, const struct virtq_ring *ring,
	const struct virtq_chain *c, struct rte_mbuf *m)
{
	const uint32_t hdr_len = ring->hdr_len, len = c->total - hdr_len;
	struct vnet_any_hdr any = {.h = {.flags = 0}};
	const struct vnet_hdr *h = &any.h;
	struct rx_source s;
	enum dev_rx_result r;

	if (c->fault != VIRTQ_FAULT_NONE) {
		rxq->stats.drop[c->fault == VIRTQ_FAULT_UNMAPPED ? VNET_DROP_UNMAPPED :
								    VNET_DROP_OVERSIZE]++;
		return DEV_RX_DROPPED;
	}
	if (c->total < hdr_len + RTE_ETHER_HDR_LEN) {
		rxq->stats.drop[VNET_DROP_RUNT]++;
		return DEV_RX_DROPPED;
	}
	rx_source_init(&s, dev, c);
	rx_source_read(&s, &any, hdr_len);
	__asm__ volatile("" ::: "memory"); /* the checks are of the copy */
	if (!vnet_offload_hdr_ok(h, ring->features, len)) {
		rxq->stats.drop[VNET_DROP_BAD_HDR]++;
		return DEV_RX_DROPPED;
	}
	vnet_rx_mbuf_init(m, rxq->rearm, 0);
	r = rx_make_room(rxq, m, len, vnet_offload_is_cut(rxq->flags, h->gso_type));
	if (r != DEV_RX_OK)
		return r;
	rx_fill(&s, m, len);
	if (h->flags != 0 || h->gso_type != VIRTIO_NET_HDR_GSO_NONE)
		vnet_offload_rx(rxq, h, m);
	return DEV_RX_OK;
}

/* Attach m to len bytes of a chain's buffers. No room before and behind: it is the guest's. */
static inline void
rx_attach(const struct vnet_rxq *rxq, struct vnet_zc_buf *buf, struct rte_mbuf *m, uint8_t *addr,
	  uint32_t len)
{
	rte_pktmbuf_attach_extbuf(m, addr, rxq->iova_is_va ? (rte_iova_t)addr : RTE_BAD_IOVA,
				  (uint16_t)len, &buf->shinfo);
	m->data_len = (uint16_t)len;
}

/* The same for the packet of a chain, of which s has read the header. */
static void
rx_attach_all(const struct vnet_rxq *rxq, struct vnet_zc_buf *buf, struct rte_mbuf *m,
	      const struct rx_source *s)
{
	struct virtq_seg piece = s->cur;

	for (uint32_t i = 0; m != NULL; m = m->next) {
		rx_attach(rxq, buf, m, piece.addr, piece.len);
		if (m->next != NULL)
			piece = s->seg[++i];
	}
}

/* rx_attach() to a packet that is one piece, each word of the mbuf written once. */
VIRTQ_INLINE void
rx_zc_plain(struct vnet_rxq *rxq, struct vnet_zc_round *zc, const struct virtq_chain *c,
	      struct rte_mbuf *m, uint32_t hdr_len, uint32_t len)
{
	struct vnet_zc_buf *buf = vnet_zc_round_attach(zc, c, false);
	uint8_t *addr = c->addr + hdr_len;

	vnet_rx_mbuf_init(m, rxq->rearm, len);
	m->data_off = 0;
	m->ol_flags = RTE_MBUF_F_EXTERNAL;
	m->buf_addr = addr;
	m->buf_len = (uint16_t)len;
	rte_mbuf_iova_set(m, rxq->iova_is_va ? (rte_iova_t)addr : RTE_BAD_IOVA);
	m->shinfo = &buf->shinfo;
	rte_mbuf_ext_refcnt_set(&buf->shinfo, 1);
}

/* Leave the header out, and empty segments. Whether mbufs can be attached to what remains. */
static bool
rx_pieces_ok(const struct vnet_rxq *rxq, struct rx_source *s, uint32_t len)
{
	if (s->cur.len == 0) {
		s->cur = *++s->seg;
		s->left--;
	}
	if (s->left == 0)
		return true;
	if (!(rxq->flags & VNET_F_SCATTER) || s->left >= DEV_RX_ZC_SEGS)
		return false;
	return s->cur.len >= RTE_MIN(len, (uint32_t)DEV_RX_ZC_HEAD);
}

/* Everything but a plain descriptor with an empty header; DEV_RX_DROPPED: it is to be copied. */
static enum dev_rx_result
rx_zc_chain(struct vnet_rxq *rxq, struct vnet_zc_round *zc, const struct virtq_dev *dev,
	      const struct virtq_ring *ring, const struct virtq_chain *c, struct rte_mbuf *m)
{
	const uint32_t hdr_len = ring->hdr_len, len = c->total - hdr_len;
	struct vnet_any_hdr any = {.h = {.flags = 0}};
	const struct vnet_hdr *h = &any.h;
	struct vnet_zc_buf *buf;
	struct rx_source s;

	if (c->nseg == 0 || len - rxq->zc_min > rxq->zc_max - rxq->zc_min)
		return DEV_RX_DROPPED;
	rx_source_init(&s, dev, c);
	rx_source_read(&s, &any, hdr_len);
	__asm__ volatile("" ::: "memory"); /* the checks are of the copy */
	/* A checksum would have to be written to a buffer that is the guest's to write. */
	if ((h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) && !(rxq->flags & VNET_F_PARTIAL_CSUM))
		return DEV_RX_DROPPED;
	if (!vnet_offload_hdr_ok(h, ring->features, len) || !rx_pieces_ok(rxq, &s, len))
		return DEV_RX_DROPPED;
	vnet_rx_mbuf_init(m, rxq->rearm, 0);
	if (rx_chain(rxq, m, s.left) != DEV_RX_OK)
		return DEV_RX_NO_BUFFER;
	buf = vnet_zc_round_attach(zc, c, false);
	rte_mbuf_ext_refcnt_set(&buf->shinfo, m->nb_segs);
	rx_attach_all(rxq, buf, m, &s);
	m->pkt_len = len;
	if (h->flags != 0 || h->gso_type != VIRTIO_NET_HDR_GSO_NONE)
		vnet_offload_rx(rxq, h, m);
	return DEV_RX_ATTACHED;
}

/* Chain c becomes packet m, number i of its round. */
VIRTQ_INLINE enum dev_rx_result
rx_one(const struct rx_round *r, const struct virtq_chain *c, struct rte_mbuf *m, uint16_t i,
	const unsigned int flags)
{
	const uint32_t hdr_len = flags & DEV_RX_ANY_HDR ? r->ring->hdr_len : 12;
	const uint32_t len = c->len - hdr_len;
	struct vnet_rxq *rxq = r->rxq;

	/* One comparison for both ends: a chain shorter than its header wraps around. */
	if (unlikely(c->nseg != 1 || len - RTE_ETHER_HDR_LEN > rxq->room - RTE_ETHER_HDR_LEN))
		return rx_slow(rxq, r->dev, r->ring, c, m);
	if (flags & DEV_RX_OFFLOAD) {
		const uint16_t asks = (uint16_t)virtq_peek64(c->addr);

		if (asks != 0) {
			if (!rx_asks_csum(r->ring, c, len, asks, &r->csums->at[i]))
				return rx_slow(rxq, r->dev, r->ring, c, m);
			if (len >= VNET_SUM_SHORT &&
			    !(rxq->flags & (VNET_F_PARTIAL_CSUM | VNET_F_LEGACY_OL))) {
				rx_copy_csum(rxq, m, c->addr + hdr_len, len, r->csums->at[i]);
				return DEV_RX_OK;
			}
			r->csums->mask |= 1u << i;
		}
	}
	vnet_rx_mbuf_init(m, rxq->rearm, len);
	vnet_copy(rte_pktmbuf_mtod(m, void *), c->addr + hdr_len, len);
	return DEV_RX_OK;
}

/* n raw mbufs, or as many as there are. */
static inline uint16_t
rx_alloc(struct vnet_rxq *rxq, struct rte_mbuf **pkts, uint16_t n)
{
	uint16_t got = 0;

	if (likely(rte_mempool_get_bulk(rxq->pool, (void **)pkts, n) == 0))
		return n;
	while (got < n && rte_mempool_get(rxq->pool, (void **)&pkts[got]) == 0)
		got++;
	rxq->stats.nombuf++;
	return got;
}

static __rte_noinline void
rx_break(struct vnet_rxq *rxq, struct virtq_dev *dev, const struct virtq_ring *ring,
	 enum virtq_error err)
{
	rxq->stats.error[err]++;
	virtq_dev_break(dev, ring, err);
}

/* The first two lines of the packet; the header, which nobody looks at, may have one of its own. */
VIRTQ_INLINE void
rx_prefetch_data(const void *ctx, uint16_t i, const struct virtq_chain *c)
{
	const uint8_t *data = c->addr + 12;

	rte_prefetch0(data);
	if (((uintptr_t)data & (RTE_CACHE_LINE_SIZE - 1)) + c->len > RTE_CACHE_LINE_SIZE + 12)
		rte_prefetch0(data + RTE_CACHE_LINE_SIZE);
}

VIRTQ_INLINE void
rx_prefetch_all(const void *ctx, uint16_t i, const struct virtq_chain *c)
{
	rte_prefetch0(c->addr);
	rx_prefetch_data(ctx, i, c);
}

/* Stage 3: what the headers of a round asked for is done. Mbufs that were not needed go back. */
VIRTQ_INLINE void
rx_deliver(const struct rx_round *r, struct rte_mbuf **pkts, uint16_t out, uint16_t n,
	   const unsigned int flags)
{
	if ((flags & DEV_RX_OFFLOAD) && r->csums->mask != 0)
		rx_csums(r->rxq, pkts, r->csums);
	if (unlikely(out < n))
		rte_mempool_put_bulk(r->rxq->pool, (void **)&pkts[out], n - out);
}

VIRTQ_INLINE uint16_t
rx_round(struct vnet_rxq *rxq, struct virtq_dev *dev, const struct virtq_ring *ring,
	 struct rte_mbuf **pkts, uint16_t n, const unsigned int flags)
{
	struct virtq_fetch fetch = virtq_dev_fetch_begin(dev, rxq);
	struct virtq_chain c[VIRTQ_FETCH_MAX];
	struct rx_csums csums;
	const struct rx_round r = {rxq, dev, ring, &csums};
	uint16_t out = 0, i, have;
	uint64_t bytes = 0;

	csums.mask = 0;
	virtq_dev_begin(dev, ring);
	have = virtq_dev_fetch(dev, ring, &fetch, c, n, flags & DEV_RX_PACKED, false,
			       flags & DEV_RX_OFFLOAD ? rx_prefetch_all : rx_prefetch_data);
	if (have == 0) {
		if (unlikely(fetch.err != VIRTQ_OK))
			rx_break(rxq, dev, ring, fetch.err);
		return 0;
	}
	n = rx_alloc(rxq, pkts, have);
	for (i = 0; i < n; i++) {
		enum dev_rx_result res = rx_one(&r, &c[i], pkts[out], out, flags);

		if (unlikely(res == DEV_RX_NO_BUFFER)) {
			rxq->stats.nombuf++;
			break;
		}
		if (likely(res == DEV_RX_OK))
			bytes += pkts[out++]->pkt_len;
	}
	rx_deliver(&r, pkts, out, n, flags);
	if (unlikely(i == 0))
		return 0;
	if (flags & DEV_RX_LOG)
		virtq_dev_log_complete(dev, ring, c, i, false);
	else
		virtq_dev_complete(dev, ring, c, i, flags & DEV_RX_PACKED, false,
				   flags & DEV_RX_IN_ORDER);
	virtq_dev_notify(dev, ring, flags & DEV_RX_PACKED);
	if (unlikely(fetch.err != VIRTQ_OK && i == have))
		rx_break(rxq, dev, ring, fetch.err);
	vnet_rx_account(rxq, pkts, out, bytes);
	virtq_dev_prefetch_next(dev, ring, n, flags & DEV_RX_PACKED);
	return out;
}

/* What became of the chains of a zero-copy round. */
struct rx_zc_done {
	uint16_t out;		/* packets */
	uint32_t held;		/* bit i: chain i is not pushed back with the round */
	uint32_t attached;	/* packets that were not copied */
	uint64_t bytes;
};

/*
 * Stage 2 of zero-copy: a packet that is long enough is attached to where it lies, others are
 * copied. *hold: the chain is not to be pushed back with this round.
 */
VIRTQ_INLINE enum dev_rx_result
rx_zc_one(const struct rx_round *r, struct vnet_zc_round *zc, const struct virtq_chain *c,
	  struct rte_mbuf *m, uint16_t i, const bool attach, bool *hold,
	  const unsigned int flags)
{
	const uint32_t hdr_len = flags & DEV_RX_ANY_HDR ? r->ring->hdr_len : 12;
	const uint32_t len = c->len - hdr_len;
	struct vnet_rxq *rxq = r->rxq;
	const bool room = vnet_zc_round_room(zc, c->entries);
	enum dev_rx_result res = DEV_RX_DROPPED;

	*hold = true;
	if (likely(c->nseg == 1 && len - rxq->zc_min <= rxq->zc_max - rxq->zc_min)) {
		if (likely(attach && room) &&
		    !((flags & DEV_RX_OFFLOAD) && unlikely((virtq_peek64(c->addr) &
							    0xffff) != 0))) {
			rx_zc_plain(rxq, zc, c, m, hdr_len, len);
			return DEV_RX_ATTACHED;
		}
		if (attach && room)
			res = rx_zc_chain(rxq, zc, r->dev, r->ring, c, m);
	} else if (attach && room && c->nseg > 1) {
		res = rx_zc_chain(rxq, zc, r->dev, r->ring, c, m);
	}
	if (unlikely(res != DEV_RX_DROPPED))
		return res;
	res = rx_one(r, c, m, i, flags);
	/* A copy waits behind older packets that are out, for the order of the ring. */
	if (res == DEV_RX_NO_BUFFER || vnet_zc_round_empty(zc) || !room)
		*hold = false;
	else
		vnet_zc_round_attach(zc, c, true);
	return res;
}

/*
 * Whether mbufs may be attached. Stripping a tag would write where the guest may only be read, and
 * the guest could change one that a filter has let pass.
 */
static inline bool
rx_zc_allowed(const struct vnet_rxq *rxq, const struct vnet_zc_ring *zc)
{
	return rxq->zc_max != 0 &&
	       !(rxq->flags & (VNET_F_VLAN_STRIP | VNET_F_VLAN_FILTER)) &&
	       !__atomic_load_n(&zc->paused, __ATOMIC_RELAXED);
}

/* Stage 4 of zero-copy: what is not held goes back, behind what came back from the application. */
VIRTQ_INLINE bool
rx_zc_complete(struct virtq_dev *dev, const struct virtq_ring *ring, struct virtq_chain *c,
	       uint16_t n, uint32_t held, bool packed)
{
	uint16_t k = 0;

	virtq_dev_advance(dev, ring, c, n, packed);
	for (uint32_t back = ~held & (uint32_t)((1ull << n) - 1); back != 0; back &= back - 1)
		c[k++] = c[__builtin_ctz(back)];
	if (k > 0)
		virtq_dev_push_used(dev, ring, c, k, packed, false);
	return k > 0;
}

/* At the end of a round that began at `used`: whether anything was pushed. */
VIRTQ_INLINE void
rx_zc_pushed(struct virtq_dev *dev, const struct virtq_ring *ring, struct virtq_pos used,
	     bool pushed, const unsigned int flags)
{
	if (!pushed)
		return;
	if (flags & DEV_RX_LOG)
		virtq_dev_log_used(dev, ring, used);
	virtq_dev_notify(dev, ring, flags & DEV_RX_PACKED);
}

/* Of a packet that is attached only the header and the first line are read. ctx: the queue. */
VIRTQ_INLINE void
rx_zc_prefetch(const void *ctx, uint16_t i, const struct virtq_chain *c)
{
	const struct vnet_rxq *rxq = ctx;

	rte_prefetch0(c->addr);
	if (c->len - 12 < rxq->zc_min || rxq->zc_max == 0)
		rx_prefetch_data(ctx, i, c);
	else
		rte_prefetch0(c->addr + 12);
}

/* The chains of a round become packets. Returns for how many chains there were mbufs. */
VIRTQ_INLINE uint16_t
rx_zc_chains(const struct rx_round *r, struct vnet_zc_ring *zc, const struct virtq_chain *c,
	     struct rte_mbuf **pkts, uint16_t n, struct rx_zc_done *done,
	     const unsigned int flags)
{
	const bool attach = rx_zc_allowed(r->rxq, zc);
	struct vnet_zc_round round = vnet_zc_round_begin(zc);
	uint16_t i;

	for (i = 0; i < n; i++) {
		bool hold = false;
		enum dev_rx_result res = rx_zc_one(r, &round, &c[i], pkts[done->out], done->out,
						   attach, &hold, flags);

		if (unlikely(res == DEV_RX_NO_BUFFER)) {
			r->rxq->stats.nombuf++;
			break;
		}
		done->held |= (uint32_t)hold << i;
		done->attached += res == DEV_RX_ATTACHED;
		if (likely(res <= DEV_RX_ATTACHED))
			done->bytes += pkts[done->out++]->pkt_len;
	}
	vnet_zc_round_end(&round);
	return i;
}

VIRTQ_INLINE uint16_t
rx_zc_round(struct vnet_rxq *rxq, struct virtq_dev *dev, const struct virtq_ring *ring,
	    struct rte_mbuf **pkts, uint16_t n, const unsigned int flags)
{
	struct virtq_fetch fetch = virtq_dev_fetch_begin(dev, rxq);
	struct vnet_zc_ring *zc = dev->cursor.owner;
	struct virtq_chain c[VIRTQ_FETCH_MAX];
	struct rx_zc_done done = {.out = 0};
	struct rx_csums csums;
	const struct rx_round r = {rxq, dev, ring, &csums};
	const struct virtq_pos used = virtq_dev_used_pos(dev);
	uint16_t i, have;
	bool pushed;

	csums.mask = 0;
	virtq_dev_begin(dev, ring);
	pushed = vnet_zc_push_used(zc, dev, ring, flags & DEV_RX_PACKED);
	have = virtq_dev_fetch(dev, ring, &fetch, c, n, flags & DEV_RX_PACKED, false,
			       rx_zc_prefetch);
	if (have == 0) {
		rx_zc_pushed(dev, ring, used, pushed, flags);
		if (unlikely(fetch.err != VIRTQ_OK))
			rx_break(rxq, dev, ring, fetch.err);
		return 0;
	}
	n = rx_alloc(rxq, pkts, have);
	i = rx_zc_chains(&r, zc, c, pkts, n, &done, flags);
	rx_deliver(&r, pkts, done.out, n, flags);
	pushed |= rx_zc_complete(dev, ring, c, i, done.held, flags & DEV_RX_PACKED);
	rxq->stats.zero_copy += done.attached;
	rx_zc_pushed(dev, ring, used, pushed, flags);
	if (unlikely(fetch.err != VIRTQ_OK && i == have))
		rx_break(rxq, dev, ring, fetch.err);
	vnet_rx_account(rxq, pkts, done.out, done.bytes);
	virtq_dev_prefetch_next(dev, ring, n, flags & DEV_RX_PACKED);
	return done.out;
}

VIRTQ_INLINE uint16_t
rx_burst(struct vnet_rxq *rxq, struct virtq_dev *dev, const struct virtq_ring *ring,
	 struct rte_mbuf **pkts, uint16_t n, const unsigned int flags)
{
	uint16_t done = 0;

	while (done < n && likely(dev->cursor.broken == VIRTQ_OK)) {
		uint16_t want = RTE_MIN((uint16_t)(n - done), (uint16_t)VIRTQ_FETCH_MAX);
		uint16_t got = flags & DEV_RX_ZC ?
			rx_zc_round(rxq, dev, ring, pkts + done, want, flags) :
			rx_round(rxq, dev, ring, pkts + done, want, flags);

		done += got;
		if (got < want)
			break;
	}
	return vnet_rx_end(rxq, pkts, done);
}

#define DEV_RX_INSTANCE(name, flags) \
static uint16_t \
name(struct vnet_rxq *rxq, struct virtq_cursor *cursor, const struct virtq_ring *ring, \
	struct rte_mbuf **pkts, uint16_t n) \
{ \
	return rx_burst(rxq, virtq_dev_of(cursor), ring, pkts, n, flags); \
}

DEV_RX_INSTANCE(rx_split, 0)
DEV_RX_INSTANCE(rx_split_offload, DEV_RX_OFFLOAD)
DEV_RX_INSTANCE(rx_split_any, DEV_RX_OFFLOAD | DEV_RX_ANY_HDR)
DEV_RX_INSTANCE(rx_split_in_order, DEV_RX_IN_ORDER)
DEV_RX_INSTANCE(rx_split_in_order_offload, DEV_RX_IN_ORDER | DEV_RX_OFFLOAD)
DEV_RX_INSTANCE(rx_packed, DEV_RX_PACKED)
DEV_RX_INSTANCE(rx_packed_offload, DEV_RX_PACKED | DEV_RX_OFFLOAD)
DEV_RX_INSTANCE(rx_packed_in_order, DEV_RX_PACKED | DEV_RX_IN_ORDER)
DEV_RX_INSTANCE(rx_packed_in_order_offload, DEV_RX_PACKED | DEV_RX_IN_ORDER | DEV_RX_OFFLOAD)
DEV_RX_INSTANCE(rx_packed_any, DEV_RX_PACKED | DEV_RX_OFFLOAD | DEV_RX_ANY_HDR)
DEV_RX_INSTANCE(rx_split_zc, DEV_RX_ZC)
DEV_RX_INSTANCE(rx_split_zc_any, DEV_RX_ZC | DEV_RX_OFFLOAD | DEV_RX_ANY_HDR)
DEV_RX_INSTANCE(rx_packed_zc, DEV_RX_ZC | DEV_RX_PACKED)
DEV_RX_INSTANCE(rx_packed_zc_any, DEV_RX_ZC | DEV_RX_PACKED | DEV_RX_OFFLOAD | DEV_RX_ANY_HDR)
DEV_RX_INSTANCE(rx_split_log, DEV_RX_LOG | DEV_RX_OFFLOAD | DEV_RX_ANY_HDR)
DEV_RX_INSTANCE(rx_packed_log, DEV_RX_LOG | DEV_RX_PACKED | DEV_RX_OFFLOAD | DEV_RX_ANY_HDR)
DEV_RX_INSTANCE(rx_split_zc_log, DEV_RX_LOG | DEV_RX_ZC | DEV_RX_OFFLOAD | DEV_RX_ANY_HDR)
DEV_RX_INSTANCE(rx_packed_zc_log, DEV_RX_LOG | DEV_RX_ZC | DEV_RX_PACKED | DEV_RX_OFFLOAD |
		DEV_RX_ANY_HDR)

/* A ring that runs while disabled is read and its packets are thrown away (vhost-user). */
static uint16_t
rx_disabled(struct vnet_rxq *rxq, struct virtq_cursor *cursor, const struct virtq_ring *ring,
	    struct rte_mbuf **pkts, uint16_t n)
{
	struct virtq_dev *dev = virtq_dev_of(cursor);
	struct virtq_chain c[VIRTQ_FETCH_MAX];
	struct virtq_fetch fetch = virtq_dev_fetch_begin(dev, NULL);
	const struct virtq_pos used = virtq_dev_used_pos(dev);
	uint16_t have;

	if (dev->cursor.broken != VIRTQ_OK)
		return 0;
	virtq_dev_begin(dev, ring);
	if (dev->cursor.owner != NULL && vnet_zc_push_used(dev->cursor.owner, dev, ring,
							   ring->packed))
		virtq_dev_notify(dev, ring, ring->packed);
	have = virtq_dev_fetch(dev, ring, &fetch, c, VIRTQ_FETCH_MAX, ring->packed, false,
			       virtq_dev_prefetch_nothing);
	if (have > 0) {
		virtq_dev_complete(dev, ring, c, have, ring->packed, false, false);
		virtq_dev_notify(dev, ring, ring->packed);
		rxq->stats.drop[VNET_DROP_DISABLED] += have;
	}
	if (ring->log != NULL)
		virtq_dev_log_used(dev, ring, used);
	if (fetch.err != VIRTQ_OK)
		rx_break(rxq, dev, ring, fetch.err);
	return 0;
}

vnet_rx_burst
vnet_dev_rx_select(const struct virtq_ring *ring, uint32_t flags, const char **name)
{
	static const struct {
		vnet_rx_burst burst;
		const char *name;
	} table[] = {
		[0] = {rx_split, "split"},
		[DEV_RX_OFFLOAD] = {rx_split_offload, "split, offloads"},
		[DEV_RX_IN_ORDER] = {rx_split_in_order, "split, in order"},
		[DEV_RX_IN_ORDER | DEV_RX_OFFLOAD] = {rx_split_in_order_offload,
					      "split, in order, offloads"},
		[DEV_RX_PACKED] = {rx_packed, "packed"},
		[DEV_RX_PACKED | DEV_RX_OFFLOAD] = {rx_packed_offload, "packed, offloads"},
		[DEV_RX_PACKED | DEV_RX_IN_ORDER] = {rx_packed_in_order, "packed, in order"},
		[DEV_RX_PACKED | DEV_RX_IN_ORDER | DEV_RX_OFFLOAD] = {rx_packed_in_order_offload,
							  "packed, in order, offloads"},
		[DEV_RX_OFFLOAD | DEV_RX_ANY_HDR] = {rx_split_any, "split, legacy header"},
		[DEV_RX_PACKED | DEV_RX_OFFLOAD |
		 DEV_RX_ANY_HDR] = {rx_packed_any, "packed, legacy header"},
		[DEV_RX_ZC] = {rx_split_zc, "split, zero-copy"},
		[DEV_RX_ZC | DEV_RX_OFFLOAD | DEV_RX_ANY_HDR] = {rx_split_zc_any,
						       "split, zero-copy, any header"},
		[DEV_RX_ZC | DEV_RX_PACKED] = {rx_packed_zc, "packed, zero-copy"},
		[DEV_RX_ZC | DEV_RX_PACKED | DEV_RX_OFFLOAD | DEV_RX_ANY_HDR] = {rx_packed_zc_any,
								   "packed, zero-copy, any header"},
		[DEV_RX_LOG | DEV_RX_OFFLOAD | DEV_RX_ANY_HDR] = {rx_split_log,
								  "split, dirty log"},
		[DEV_RX_LOG | DEV_RX_PACKED | DEV_RX_OFFLOAD |
		 DEV_RX_ANY_HDR] = {rx_packed_log, "packed, dirty log"},
		[DEV_RX_LOG | DEV_RX_ZC | DEV_RX_OFFLOAD |
		 DEV_RX_ANY_HDR] = {rx_split_zc_log, "split, zero-copy, dirty log"},
		[DEV_RX_LOG | DEV_RX_ZC | DEV_RX_PACKED | DEV_RX_OFFLOAD |
		 DEV_RX_ANY_HDR] = {rx_packed_zc_log, "packed, zero-copy, dirty log"},
	};
	const char *dummy;
	unsigned int f = 0;

	if (name == NULL)
		name = &dummy;
	if (!ring->enabled) {
		*name = "disabled";
		return rx_disabled;
	}
	if (ring->packed)
		f |= DEV_RX_PACKED;
	if (ring->features & (VIRTQ_BIT(VIRTIO_NET_F_CSUM) | VNET_DEV_TSO_FEATURES))
		f |= DEV_RX_OFFLOAD;
	if (ring->hdr_len != 12 || ((flags & VNET_F_ZERO_COPY) && (f & DEV_RX_OFFLOAD)))
		f |= DEV_RX_OFFLOAD | DEV_RX_ANY_HDR;
	if (ring->log != NULL)
		f |= DEV_RX_LOG | DEV_RX_OFFLOAD | DEV_RX_ANY_HDR;
	if (flags & VNET_F_ZERO_COPY) /* then it is not in order */
		f |= DEV_RX_ZC;
	else if (!(f & DEV_RX_ANY_HDR) && (ring->features & VIRTQ_BIT(VIRTIO_F_IN_ORDER)))
		f |= DEV_RX_IN_ORDER;
	*name = table[f].name;
	if (ring->hdr_len == VNET_HDR_HASH)
		*name = ring->packed ? "packed, hash reports" : "split, hash reports";
	return table[f].burst;
}
