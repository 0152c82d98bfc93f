/* SPDX-License-Identifier: BSD-3-Clause */
/* Device side, from the guest: fetch chains, copy them into mbufs, give them back. */
#include <rte_ether.h>
#include <rte_malloc.h>
#include <rte_memcpy.h>
#include <rte_net.h>

#include "virtq_dev.h"
#include "vnet_dev_rx_csum.h"
#include "vnet_impl.h"
#include "vnet_zc.h"

#define RX_PACKED	(1u << 0)
#define RX_OFFLOAD	(1u << 1) /* the header may ask for something */
#define RX_IN_ORDER	(1u << 2) /* one used entry retires the round */
#define RX_ANY_HDR	(1u << 3) /* header length as the run says, else 12 */
#define RX_LEND		(1u << 4) /* zero-copy: the ring has loans */

/* Mbufs that a packet which is not copied may take. */
#define RX_LEND_SEGS 8
/* Its first mbuf holds the headers of TCP over IPv4: applications expect them in one piece. */
#define RX_LEND_HEAD (RTE_ETHER_HDR_LEN + sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_tcp_hdr))

/* What became of a chain. */
enum rx_result { RX_OK, RX_LENT, RX_DROPPED, RX_NO_BUFFER };

/* Reads the segments of a chain one after the other. */
struct rx_source {
	const struct virtq_seg *seg;
	uint16_t left;		/* segments after the current one */
	struct virtq_seg cur;
};

static void
rx_source_init(struct rx_source *s, const struct virtq_dev *dev, const struct virtq_chain *c)
{
	s->left = 0;
	s->cur = (struct virtq_seg){c->addr, c->len};
	if (c->nseg > 1) {
		s->seg = &dev->segs[c->seg];
		s->left = c->nseg - 1;
	}
}

/* Copy len bytes, which the chain has. */
static void
rx_source_read(struct rx_source *s, void *to, uint32_t len)
{
	uint8_t *p = to;

	while (len > 0) {
		uint32_t part;

		if (s->cur.len == 0) {
			s->cur = *++s->seg;
			s->left--;
		}
		part = RTE_MIN(len, s->cur.len);
		rte_memcpy(p, s->cur.addr, part);
		s->cur.addr += part;
		s->cur.len -= part;
		p += part;
		len -= part;
	}
}

static void
rx_big_free(void *buf __rte_unused, void *opaque)
{
	rte_mempool_put(rte_mempool_from_obj(opaque), opaque);
}

/* Give m an external buffer that takes len bytes. */
static enum rx_result
rx_attach_big(struct vnet_rxq *rxq, struct rte_mbuf *m, uint32_t len)
{
	uint32_t size = vnet_extbuf_size(rxq->big), room = (size - len) & ~1u;
	struct vnet_extbuf *big;

	if (rte_mempool_get(rxq->big, (void **)&big) < 0)
		return RX_NO_BUFFER;
	big->shinfo.free_cb = rx_big_free;
	big->shinfo.fcb_opaque = big;
	rte_mbuf_ext_refcnt_set(&big->shinfo, 1);
	rte_pktmbuf_attach_extbuf(m, big->data,
				  rte_mempool_virt2iova(big) + offsetof(struct vnet_extbuf, data),
				  (uint16_t)size, &big->shinfo);
	m->data_off = RTE_MIN((uint32_t)RTE_PKTMBUF_HEADROOM, room);
	return RX_OK;
}

/* Chain n mbufs to m. On failure m is as before. */
static enum rx_result
rx_chain(struct vnet_rxq *rxq, struct rte_mbuf *m, uint32_t n)
{
	struct rte_mbuf *last = m;

	for (; n > 0; n--) {
		struct rte_mbuf *next = rte_pktmbuf_alloc(rxq->pool);

		if (next == NULL) {
			rte_pktmbuf_free(m->next);
			m->next = NULL;
			m->nb_segs = 1;
			return RX_NO_BUFFER;
		}
		last->next = next;
		last = next;
		m->nb_segs++;
	}
	return RX_OK;
}

/* Make m take len bytes: as it is, with an external buffer, or as a chain if that is allowed. */
static enum rx_result
rx_make_room(struct vnet_rxq *rxq, struct rte_mbuf *m, uint32_t len)
{
	if (len <= rxq->room)
		return RX_OK;
	if ((rxq->flags & VNET_F_SCATTER) && len <= VNET_FRAME_MAX)
		return rx_chain(rxq, m, (len - 1) / rxq->room);
	if (rxq->big != NULL && len <= vnet_extbuf_size(rxq->big))
		return rx_attach_big(rxq, m, len);
	rxq->stats.drop[VNET_DROP_OVERSIZE]++;
	return RX_DROPPED;
}

static void
rx_fill(struct rx_source *s, struct rte_mbuf *m, uint32_t len)
{
	m->pkt_len = len;
	for (; m != NULL; m = m->next) {
		uint32_t part = RTE_MIN(len, (uint32_t)(m->buf_len - m->data_off));

		m->data_len = (uint16_t)part;
		rx_source_read(s, rte_pktmbuf_mtod(m, void *), part);
		len -= part;
	}
}

/* Everything but one plain descriptor with an empty header. */
static __rte_noinline enum rx_result
rx_slow(struct vnet_rxq *rxq, struct virtq_dev *dev, const struct virtq_ring *ring,
	const struct virtq_chain *c, struct rte_mbuf *m)
{
	const uint32_t hdr_len = ring->hdr_len, len = c->total - hdr_len;
	struct vnet_hdr h = {.flags = 0};
	struct rx_source s;
	enum rx_result r;

	if (c->fault != VIRTQ_FAULT_NONE) {
		rxq->stats.drop[c->fault == VIRTQ_FAULT_UNMAPPED ? VNET_DROP_UNMAPPED :
								    VNET_DROP_OVERSIZE]++;
		return RX_DROPPED;
	}
	if (c->total < hdr_len + RTE_ETHER_HDR_LEN) {
		rxq->stats.drop[VNET_DROP_RUNT]++;
		return RX_DROPPED;
	}
	rx_source_init(&s, dev, c);
	rx_source_read(&s, &h, hdr_len);
	__asm__ volatile("" ::: "memory"); /* the checks are of the copy */
	if (!vnet_rx_hdr_ok(&h, ring->features, len)) {
		rxq->stats.drop[VNET_DROP_BAD_HDR]++;
		return RX_DROPPED;
	}
	vnet_rx_mbuf_init(m, rxq->rearm, 0);
	r = rx_make_room(rxq, m, len);
	if (r != RX_OK)
		return r;
	rx_fill(&s, m, len);
	if (h.flags != 0 || h.gso_type != VIRTIO_NET_HDR_GSO_NONE)
		vnet_rx_offload(rxq, &h, m);
	return RX_OK;
}

/* Attach m to len bytes of a chain's buffers. No room before and behind: it is the guest's. */
static inline void
rx_attach(const struct vnet_rxq *rxq, struct vnet_zc_buf *loan, struct rte_mbuf *m, uint8_t *addr,
	  uint32_t len)
{
	rte_pktmbuf_attach_extbuf(m, addr, rxq->iova_is_va ? (rte_iova_t)addr : RTE_BAD_IOVA,
				  (uint16_t)len, &loan->shinfo);
	m->data_len = (uint16_t)len;
}

/* The same for the packet of a chain, of which s has read the header. */
static void
rx_attach_all(const struct vnet_rxq *rxq, struct vnet_zc_buf *loan, struct rte_mbuf *m,
	      const struct rx_source *s)
{
	struct virtq_seg piece = s->cur;

	for (uint32_t i = 0; m != NULL; m = m->next) {
		rx_attach(rxq, loan, m, piece.addr, piece.len);
		if (m->next != NULL)
			piece = s->seg[++i];
	}
}

/* rx_attach() to a packet that is one piece, each word of the mbuf written once. */
VIRTQ_INLINE void
rx_lend_plain(struct vnet_rxq *rxq, struct vnet_zc_round *lending, const struct virtq_chain *c,
	      struct rte_mbuf *m, uint32_t hdr_len, uint32_t len)
{
	struct vnet_zc_buf *loan = vnet_zc_round_attach(lending, c, false);
	uint8_t *addr = c->addr + hdr_len;

	vnet_rx_mbuf_init(m, rxq->rearm, len);
	m->data_off = 0;
	m->ol_flags = RTE_MBUF_F_EXTERNAL;
	m->buf_addr = addr;
	m->buf_len = (uint16_t)len;
	rte_mbuf_iova_set(m, rxq->iova_is_va ? (rte_iova_t)addr : RTE_BAD_IOVA);
	m->shinfo = &loan->shinfo;
	rte_mbuf_ext_refcnt_set(&loan->shinfo, 1);
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
	if (!(rxq->flags & VNET_F_SCATTER) || s->left >= RX_LEND_SEGS)
		return false;
	return s->cur.len >= RTE_MIN(len, (uint32_t)RX_LEND_HEAD);
}

/* Everything but a plain descriptor with an empty header: lend it, or say RX_DROPPED. */
static enum rx_result
rx_lend_chain(struct vnet_rxq *rxq, struct vnet_zc_round *lending, const struct virtq_dev *dev,
	      const struct virtq_ring *ring, const struct virtq_chain *c, struct rte_mbuf *m)
{
	const uint32_t hdr_len = ring->hdr_len, len = c->total - hdr_len;
	struct vnet_hdr h = {.flags = 0};
	struct vnet_zc_buf *loan;
	struct rx_source s;

	if (c->nseg == 0 || len - rxq->zc_min > rxq->zc_max - rxq->zc_min)
		return RX_DROPPED;
	rx_source_init(&s, dev, c);
	rx_source_read(&s, &h, hdr_len);
	__asm__ volatile("" ::: "memory"); /* the checks are of the copy */
	/* A checksum would have to be written to a buffer that is the guest's to write. */
	if ((h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) && !(rxq->flags & VNET_F_PARTIAL_CSUM))
		return RX_DROPPED;
	if (!vnet_rx_hdr_ok(&h, ring->features, len) || !rx_pieces_ok(rxq, &s, len))
		return RX_DROPPED;
	vnet_rx_mbuf_init(m, rxq->rearm, 0);
	if (rx_chain(rxq, m, s.left) != RX_OK)
		return RX_NO_BUFFER;
	loan = vnet_zc_round_attach(lending, c, false);
	rte_mbuf_ext_refcnt_set(&loan->shinfo, m->nb_segs);
	rx_attach_all(rxq, loan, m, &s);
	m->pkt_len = len;
	if (h.flags != 0 || h.gso_type != VIRTIO_NET_HDR_GSO_NONE)
		vnet_rx_offload(rxq, &h, m);
	return RX_LENT;
}

/* Chain c becomes packet m, number i of its round. */
VIRTQ_INLINE enum rx_result
rx_one(struct vnet_rxq *rxq, struct virtq_dev *dev, const struct virtq_ring *ring,
	const struct virtq_chain *c, struct rte_mbuf *m, struct rx_csums *csums, uint16_t i,
	const unsigned int flags)
{
	const uint32_t hdr_len = flags & RX_ANY_HDR ? ring->hdr_len : 12;
	const uint32_t len = c->len - hdr_len;

	/* One comparison for both ends: a chain shorter than its header wraps around. */
	if (unlikely(c->nseg != 1 || len - RTE_ETHER_HDR_LEN > rxq->room - RTE_ETHER_HDR_LEN))
		return rx_slow(rxq, dev, ring, c, m);
	if (flags & RX_OFFLOAD) {
		const uint16_t asks = (uint16_t)virtq_peek64(c->addr);

		if (asks != 0) {
			if (!rx_asks_csum(ring, c, len, asks, &csums->at[i]))
				return rx_slow(rxq, dev, ring, c, m);
			if (len >= VNET_SUM_SHORT &&
			    !(rxq->flags & (VNET_F_PARTIAL_CSUM | VNET_F_LEGACY_OL))) {
				rx_copy_csum(rxq, m, c->addr + hdr_len, len, csums->at[i]);
				return RX_OK;
			}
			csums->mask |= 1u << i;
		}
	}
	vnet_rx_mbuf_init(m, rxq->rearm, len);
	vnet_copy(rte_pktmbuf_mtod(m, void *), c->addr + hdr_len, len);
	return RX_OK;
}

/*
 * Stage 2 of zero-copy: a packet that is long enough is attached to where it lies, others are
 * copied. *held: the chain is not to be given back with this round.
 */
VIRTQ_INLINE enum rx_result
rx_lend(struct vnet_rxq *rxq, struct vnet_zc_round *lending, struct virtq_dev *dev,
	const struct virtq_ring *ring, const struct virtq_chain *c, struct rte_mbuf *m,
	struct rx_csums *csums, uint16_t i, const bool lend, bool *held,
	const unsigned int flags)
{
	const uint32_t hdr_len = flags & RX_ANY_HDR ? ring->hdr_len : 12;
	const uint32_t len = c->len - hdr_len;
	const bool room = vnet_zc_round_room(lending, c->slots);
	enum rx_result r = RX_DROPPED;

	*held = true;
	if (likely(c->nseg == 1 && len - rxq->zc_min <= rxq->zc_max - rxq->zc_min)) {
		if (likely(lend && room) &&
		    !((flags & RX_OFFLOAD) && unlikely((virtq_peek64(c->addr) & 0xffff) != 0))) {
			rx_lend_plain(rxq, lending, c, m, hdr_len, len);
			return RX_LENT;
		}
		if (lend && room)
			r = rx_lend_chain(rxq, lending, dev, ring, c, m);
	} else if (lend && room && c->nseg > 1) {
		r = rx_lend_chain(rxq, lending, dev, ring, c, m);
	}
	if (unlikely(r != RX_DROPPED))
		return r;
	r = rx_one(rxq, dev, ring, c, m, csums, i, flags);
	/* A copy waits behind older packets that are out, for the order of the ring. */
	if (r == RX_NO_BUFFER || vnet_zc_round_empty(lending) || !room)
		*held = false;
	else
		vnet_zc_round_attach(lending, c, true);
	return r;
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
rx_touch_data(const void *ctx, uint16_t i, const struct virtq_chain *c)
{
	const uint8_t *data = c->addr + 12;

	(void)ctx;
	(void)i;
	rte_prefetch0(data);
	if (((uintptr_t)data & (RTE_CACHE_LINE_SIZE - 1)) + c->len > RTE_CACHE_LINE_SIZE + 12)
		rte_prefetch0(data + RTE_CACHE_LINE_SIZE);
}

VIRTQ_INLINE void
rx_touch_all(const void *ctx, uint16_t i, const struct virtq_chain *c)
{
	rte_prefetch0(c->addr);
	rx_touch_data(ctx, i, c);
}

/* Whether packets may be lent now. To strip a tag is to write where the guest may only be read. */
static inline bool
rx_lends(const struct vnet_rxq *rxq, const struct vnet_zc_ring *loans)
{
	return rxq->zc_max != 0 && !(rxq->flags & VNET_F_VLAN_STRIP) &&
	       !__atomic_load_n(&loans->paused, __ATOMIC_RELAXED);
}

/* Stage 3 of zero-copy: what is not held goes back, behind what came back from the application. */
VIRTQ_INLINE bool
rx_complete_lent(struct virtq_dev *dev, const struct virtq_ring *ring, struct virtq_chain *c,
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

/* Of a packet that is lent only the header and the first line are looked at. ctx: the queue. */
VIRTQ_INLINE void
rx_touch_lend(const void *ctx, uint16_t i, const struct virtq_chain *c)
{
	const struct vnet_rxq *rxq = ctx;

	rte_prefetch0(c->addr);
	if (c->len - 12 < rxq->zc_min || rxq->zc_max == 0)
		rx_touch_data(ctx, i, c);
	else
		rte_prefetch0(c->addr + 12);
}

VIRTQ_INLINE virtq_prefetch_fn
rx_touch(const unsigned int flags)
{
	return flags & RX_LEND ? rx_touch_lend : flags & RX_OFFLOAD ? rx_touch_all : rx_touch_data;
}

VIRTQ_INLINE uint16_t
rx_round(struct vnet_rxq *rxq, struct virtq_dev *dev, const struct virtq_ring *ring,
	 struct rte_mbuf **pkts, uint16_t n, const unsigned int flags)
{
	struct vnet_zc_ring *loans = flags & RX_LEND ? dev->cursor.owner : NULL;
	struct virtq_chain c[VIRTQ_FETCH_MAX];
	struct virtq_pos pos = virtq_dev_pos(dev);
	struct vnet_zc_round lending;
	struct rx_csums csums;
	uint16_t out = 0, i = 0, have;
	uint32_t held = 0, lent = 0;
	enum virtq_error err;
	uint64_t bytes = 0;
	bool given = true, lend = false;

	csums.mask = 0;
	virtq_dev_begin(dev, ring);
	if (flags & RX_LEND) {
		given = vnet_zc_push_used(loans, dev, ring, flags & RX_PACKED);
		lend = rx_lends(rxq, loans);
	}
	have = virtq_dev_fetch(dev, ring, &pos, c, n, flags & RX_PACKED, false, rx_touch(flags),
			       rxq, &err);
	if (have == 0) {
		if ((flags & RX_LEND) && given)
			virtq_dev_notify(dev, ring, flags & RX_PACKED);
		if (unlikely(err != VIRTQ_OK))
			rx_break(rxq, dev, ring, err);
		return 0;
	}
	n = rx_alloc(rxq, pkts, have);
	if (flags & RX_LEND)
		lending = vnet_zc_round_begin(loans);
	for (i = 0; i < n; i++) {
		bool hold = false;
		enum rx_result r = flags & RX_LEND ?
			rx_lend(rxq, &lending, dev, ring, &c[i], pkts[out], &csums, out, lend,
				&hold,
				flags) :
			rx_one(rxq, dev, ring, &c[i], pkts[out], &csums, out, flags);

		if (unlikely(r == RX_NO_BUFFER)) {
			rxq->stats.nombuf++;
			break;
		}
		if (flags & RX_LEND) {
			held |= (uint32_t)hold << i;
			lent += r == RX_LENT;
		}
		if (likely(r <= RX_LENT))
			bytes += pkts[out++]->pkt_len;
	}
	if ((flags & RX_OFFLOAD) && csums.mask != 0)
		rx_csums(rxq, pkts, &csums);
	if (unlikely(out < n))
		rte_mempool_put_bulk(rxq->pool, (void **)&pkts[out], n - out);
	if (!(flags & RX_LEND)) {
		if (unlikely(i == 0))
			return 0;
		virtq_dev_complete(dev, ring, c, i, flags & RX_PACKED, false, flags & RX_IN_ORDER);
	} else {
		vnet_zc_round_end(&lending);
		given |= rx_complete_lent(dev, ring, c, i, held, flags & RX_PACKED);
		rxq->stats.zero_copy += lent;
	}
	if (given)
		virtq_dev_notify(dev, ring, flags & RX_PACKED);
	if (unlikely(err != VIRTQ_OK && i == have))
		rx_break(rxq, dev, ring, err);
	vnet_rx_account(rxq, pkts, out, bytes);
	virtq_dev_prefetch_next(dev, ring, n, flags & RX_PACKED);
	return out;
}

VIRTQ_INLINE uint16_t
rx_burst(struct vnet_rxq *rxq, struct virtq_dev *dev, const struct virtq_ring *ring,
	 struct rte_mbuf **pkts, uint16_t n, const unsigned int flags)
{
	uint16_t done = 0;

	while (done < n && likely(dev->cursor.broken == VIRTQ_OK)) {
		uint16_t want = RTE_MIN((uint16_t)(n - done), (uint16_t)VIRTQ_FETCH_MAX);
		uint16_t got = rx_round(rxq, dev, ring, pkts + done, want, flags);

		done += got;
		if (got < want)
			break;
	}
	return done;
}

#define RX_INSTANCE(name, flags) \
static uint16_t \
name(struct vnet_rxq *rxq, struct virtq_cursor *cursor, const struct virtq_ring *ring, \
	struct rte_mbuf **pkts, uint16_t n) \
{ \
	return rx_burst(rxq, virtq_dev_of(cursor), ring, pkts, n, flags); \
}

RX_INSTANCE(rx_split, 0)
RX_INSTANCE(rx_split_offload, RX_OFFLOAD)
RX_INSTANCE(rx_split_any, RX_OFFLOAD | RX_ANY_HDR)
RX_INSTANCE(rx_split_in_order, RX_IN_ORDER)
RX_INSTANCE(rx_split_in_order_offload, RX_IN_ORDER | RX_OFFLOAD)
RX_INSTANCE(rx_packed, RX_PACKED)
RX_INSTANCE(rx_packed_offload, RX_PACKED | RX_OFFLOAD)
RX_INSTANCE(rx_packed_in_order, RX_PACKED | RX_IN_ORDER)
RX_INSTANCE(rx_packed_in_order_offload, RX_PACKED | RX_IN_ORDER | RX_OFFLOAD)
RX_INSTANCE(rx_packed_any, RX_PACKED | RX_OFFLOAD | RX_ANY_HDR)
RX_INSTANCE(rx_split_lend, RX_LEND)
RX_INSTANCE(rx_split_lend_any, RX_LEND | RX_OFFLOAD | RX_ANY_HDR)
RX_INSTANCE(rx_packed_lend, RX_LEND | RX_PACKED)
RX_INSTANCE(rx_packed_lend_any, RX_LEND | RX_PACKED | RX_OFFLOAD | RX_ANY_HDR)

/* A ring that runs while disabled is read and its packets are thrown away (vhost-user). */
static uint16_t
rx_disabled(struct vnet_rxq *rxq, struct virtq_cursor *cursor, const struct virtq_ring *ring,
	    struct rte_mbuf **pkts __rte_unused, uint16_t n __rte_unused)
{
	struct virtq_dev *dev = virtq_dev_of(cursor);
	struct virtq_chain c[VIRTQ_FETCH_MAX];
	struct virtq_pos pos = virtq_dev_pos(dev);
	enum virtq_error err;
	uint16_t have;

	if (dev->cursor.broken != VIRTQ_OK)
		return 0;
	virtq_dev_begin(dev, ring);
	if (dev->cursor.owner != NULL && vnet_zc_push_used(dev->cursor.owner, dev, ring,
							   ring->packed))
		virtq_dev_notify(dev, ring, ring->packed);
	have = virtq_dev_fetch(dev, ring, &pos, c, VIRTQ_FETCH_MAX, ring->packed, false,
			       virtq_prefetch_nothing, NULL, &err);
	if (have > 0) {
		virtq_dev_complete(dev, ring, c, have, ring->packed, false, false);
		virtq_dev_notify(dev, ring, ring->packed);
		rxq->stats.drop[VNET_DROP_DISABLED] += have;
	}
	if (err != VIRTQ_OK)
		rx_break(rxq, dev, ring, err);
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
		[RX_OFFLOAD] = {rx_split_offload, "split, offloads"},
		[RX_IN_ORDER] = {rx_split_in_order, "split, in order"},
		[RX_IN_ORDER | RX_OFFLOAD] = {rx_split_in_order_offload,
					      "split, in order, offloads"},
		[RX_PACKED] = {rx_packed, "packed"},
		[RX_PACKED | RX_OFFLOAD] = {rx_packed_offload, "packed, offloads"},
		[RX_PACKED | RX_IN_ORDER] = {rx_packed_in_order, "packed, in order"},
		[RX_PACKED | RX_IN_ORDER | RX_OFFLOAD] = {rx_packed_in_order_offload,
							  "packed, in order, offloads"},
		[RX_OFFLOAD | RX_ANY_HDR] = {rx_split_any, "split, legacy header"},
		[RX_PACKED | RX_OFFLOAD | RX_ANY_HDR] = {rx_packed_any, "packed, legacy header"},
		[RX_LEND] = {rx_split_lend, "split, zero-copy"},
		[RX_LEND | RX_OFFLOAD | RX_ANY_HDR] = {rx_split_lend_any,
						       "split, zero-copy, any header"},
		[RX_LEND | RX_PACKED] = {rx_packed_lend, "packed, zero-copy"},
		[RX_LEND | RX_PACKED | RX_OFFLOAD | RX_ANY_HDR] = {rx_packed_lend_any,
								   "packed, zero-copy, any header"},
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
		f |= RX_PACKED;
	if (ring->features & (VIRTQ_BIT(VIRTIO_NET_F_CSUM) | VNET_DEV_TSO_FEATURES))
		f |= RX_OFFLOAD;
	if (ring->hdr_len != 12 || ((flags & VNET_F_ZERO_COPY) && (f & RX_OFFLOAD)))
		f |= RX_OFFLOAD | RX_ANY_HDR;
	if (flags & VNET_F_ZERO_COPY) /* then it is not in order */
		f |= RX_LEND;
	else if (!(f & RX_ANY_HDR) && (ring->features & VIRTQ_BIT(VIRTIO_F_IN_ORDER)))
		f |= RX_IN_ORDER;
	*name = table[f].name;
	return table[f].burst;
}
