/* SPDX-License-Identifier: BSD-3-Clause */
/* Device side, to the guest: fetch buffers, copy mbufs into them, give them back. */
#include "virtq_dev_log.h"
#include "vnet_csum.h"
#include "vnet_hash.h"
#include "vnet_impl.h"

#define DEV_TX_PACKED	(1u << 0)
#define DEV_TX_ANY_HDR	(1u << 1) /* header length as the ring says, else 12 */
#define DEV_TX_LOG	(1u << 2) /* what is written is marked in the dirty log */

/* What became of a packet. */
enum dev_tx_result {
	DEV_TX_SENT,
	DEV_TX_DROPPED,	/* counted; chains up to `used` are to be completed all the same */
	DEV_TX_SHORT,	/* the chains at hand do not suffice; none was taken for it */
};

/* The chains of a round. */
struct tx_round {
	struct vnet_txq *txq;
	struct virtq_dev *dev;
	const struct virtq_ring *ring;
	struct virtq_chain *c;
	uint16_t have;		/* chains fetched */
	uint16_t used;		/* chains taken so far */
	bool stale;		/* another round took what was fetched; nothing more from it */
};

/* Writes into the chains of one frame, one after the other. */
struct tx_sink {
	const struct virtq_dev *dev;
	struct virtq_chain *c;
	const struct virtq_seg *seg;
	uint16_t left;		/* segments of the chain after the current one */
	struct virtq_seg cur;
};

static void
tx_sink_open(struct tx_sink *s, struct virtq_chain *c)
{
	s->c = c;
	s->left = 0;
	s->cur = (struct virtq_seg){c->addr, c->len};
	if (c->nseg > 1) {
		s->seg = &s->dev->segs[c->seg];
		s->left = c->nseg - 1;
	}
}

/* Copy len bytes, for which there is room. */
static void
tx_sink_write(struct tx_sink *s, const void *from, uint32_t len)
{
	const uint8_t *p = from;

	while (len > 0) {
		uint32_t part;

		while (s->cur.len == 0) {
			if (s->left > 0) {
				s->cur = *++s->seg;
				s->left--;
			} else {
				tx_sink_open(s, s->c + 1);
			}
		}
		part = RTE_MIN(len, s->cur.len);
		vnet_copy_long(s->cur.addr, p, part);
		s->c->written += part;
		s->cur.addr += part;
		s->cur.len -= part;
		p += part;
		len -= part;
	}
}

/* The frame's bytes: the private head, then the mbuf from head_skip on. */
static void
tx_copy(struct tx_sink *s, const struct vnet_tx_pkt *p)
{
	uint32_t skip = p->head_skip, len = p->len - p->head_len;

	tx_sink_write(s, p->head, p->head_len);
	for (const struct rte_mbuf *m = p->m; m != NULL && len > 0; m = m->next) {
		uint32_t part;

		if (skip >= m->data_len) {
			skip -= m->data_len;
			continue;
		}
		part = RTE_MIN(len, m->data_len - skip);
		tx_sink_write(s, rte_pktmbuf_mtod_offset(m, const void *, skip), part);
		skip = 0;
		len -= part;
	}
}

static enum dev_tx_result
tx_dropped(struct tx_round *t, enum vnet_drop why)
{
	t->txq->stats.drop[why]++;
	return DEV_TX_DROPPED;
}

/* Take the chains that a frame of `need` bytes, header included, fills. */
static enum dev_tx_result
tx_use_chains(struct tx_round *t, uint32_t need, uint16_t *count)
{
	const bool mergeable = t->ring->features & VIRTQ_BIT(VIRTIO_NET_F_MRG_RXBUF);
	uint16_t first = t->used, k = first;
	uint64_t room = 0;

	while (room < need) {
		if (k == t->have)
			return DEV_TX_SHORT;
		if (t->c[k].fault != VIRTQ_FAULT_NONE) {
			t->used = k + 1;
			return tx_dropped(t, VNET_DROP_UNMAPPED);
		}
		if (k == first && t->c[k].total < t->ring->hdr_len) {
			t->used = k + 1;
			return tx_dropped(t, VNET_DROP_OVERSIZE);
		}
		room += t->c[k++].total;
		if (!mergeable && room < need)
			return tx_dropped(t, VNET_DROP_OVERSIZE);
	}
	t->used = k;
	*count = k - first;
	return DEV_TX_SENT;
}

/* The header of a ring, whatever its length. */
static void
tx_sink_header(struct tx_sink *s, const struct vnet_txq *txq, const struct vnet_tx_pkt *p,
	       uint32_t hdr_len)
{
	struct vnet_any_hdr any = {.h = p->hdr};

	if (hdr_len == VNET_HDR_HASH && txq->hash != NULL)
		any.hash_report = vnet_hash_report(txq->hash, p->m, &any.hash_value);
	tx_sink_write(s, &any, hdr_len);
}

static enum dev_tx_result
tx_frame(struct tx_round *t, struct vnet_tx_pkt *p)
{
	struct tx_sink s = {.dev = t->dev};
	struct virtq_chain *first = &t->c[t->used];
	uint16_t count = 0;
	enum dev_tx_result r = tx_use_chains(t, p->len + t->ring->hdr_len, &count);

	if (r != DEV_TX_SENT)
		return r;
	p->hdr.num_buffers = count;
	tx_sink_open(&s, first);
	tx_sink_header(&s, t->txq, p, t->ring->hdr_len);
	tx_copy(&s, p);
	t->txq->stats.sw_csum += p->sw_csum;
	return DEV_TX_SENT;
}

static enum dev_tx_result
tx_segments(struct tx_round *t, const struct vnet_tx_pkt *p)
{
	uint32_t payload = p->len - p->head_len;
	struct vnet_tx_pkt frame;

	for (uint32_t off = 0; off < payload; off += p->mss) {
		enum dev_tx_result r;

		vnet_offload_segment(p, off, RTE_MIN(payload - off, (uint32_t)p->mss), &frame);
		r = tx_frame(t, &frame);
		if (r != DEV_TX_SENT)
			return r;
	}
	return DEV_TX_SENT;
}

/*
 * Fetch all that the ring or the scratch has. Returns whether this packet can be given more when
 * the driver adds to the ring: not when all its entries, or all of the scratch, are in use.
 */
static bool
tx_fetch_all(struct tx_round *t, struct virtq_fetch *f)
{
	uint32_t entries = 0;

	f->err = VIRTQ_OK;
	while (t->have < VIRTQ_MAX_CHAINS && entries < t->ring->size) {
		uint16_t n = RTE_MIN(VIRTQ_MAX_CHAINS - t->have, VIRTQ_FETCH_MAX);
		struct virtq_chain *c = &t->c[t->have];
		uint16_t got;

		c->entries = 1;
		got = virtq_dev_fetch(t->dev, t->ring, f, c, n, t->ring->packed, true,
				      virtq_dev_prefetch_nothing);
		for (uint16_t i = 0; i < got; i++)
			entries += c[i].entries;
		if (entries > t->ring->size) { /* an entry twice */
			f->err = VIRTQ_E_CHAIN_LOOP;
			return false;
		}
		t->have += got;
		if (f->err != VIRTQ_OK)
			return false;
		if (virtq_dev_missed(t->dev))
			return true;
		if (got == 0) /* a chain that finds the scratch full is left without entries */
			return c->entries > 0;
	}
	return false;
}

static __rte_noinline void
tx_break(struct vnet_txq *txq, struct virtq_dev *dev, const struct virtq_ring *ring,
	 enum virtq_error err)
{
	txq->stats.error[err]++;
	virtq_dev_break(dev, ring, err);
}

static void
tx_complete(struct virtq_dev *dev, const struct virtq_ring *ring, const struct virtq_chain *c,
	    uint16_t n)
{
	if (ring->log != NULL)
		virtq_dev_log_complete(dev, ring, c, n, true);
	else
		virtq_dev_complete(dev, ring, c, n, ring->packed, true, false);
}

/*
 * A packet that needs more chains than a round has: it gets a round of its own, all or nothing.
 * Called with no chain of the current round taken.
 */
static enum dev_tx_result
tx_large(struct vnet_txq *txq, struct virtq_dev *dev, const struct virtq_ring *ring,
	 const struct vnet_tx_pkt *p)
{
	struct tx_round t = {.txq = txq, .dev = dev, .ring = ring, .c = dev->chains};
	struct virtq_fetch fetch = virtq_dev_fetch_begin(dev, NULL);
	uint32_t frames = p->mss ? (p->len - p->head_len + p->mss - 1) / p->mss : 1;
	struct vnet_tx_pkt copy = *p;
	enum dev_tx_result r;
	bool more;

	if (frames > ring->size || frames > VIRTQ_MAX_CHAINS)
		return tx_dropped(&t, VNET_DROP_OVERSIZE);
	if (!virtq_dev_ready(dev, ring, (uint16_t)frames))
		return DEV_TX_SHORT;
	virtq_dev_begin(dev, ring);
	more = tx_fetch_all(&t, &fetch);
	r = p->mss ? tx_segments(&t, p) : tx_frame(&t, &copy);
	if (r == DEV_TX_SHORT) {
		if (ring->log != NULL) /* some may be full all the same */
			virtq_dev_log_written(dev, ring, t.c, t.used);
		if (fetch.err != VIRTQ_OK)
			tx_break(txq, dev, ring, fetch.err);
		else if (!more)
			return tx_dropped(&t, VNET_DROP_OVERSIZE);
		return DEV_TX_SHORT;
	}
	if (t.used > 0) {
		tx_complete(dev, ring, t.c, t.used);
		virtq_dev_notify(dev, ring, ring->packed);
	}
	if (r == DEV_TX_SENT && p->mss)
		txq->stats.sw_gso++;
	return r;
}

/*
 * Everything but one segment without offloads into one plain buffer. DEV_TX_SHORT with chains taken
 * before means: finish this round, then come again.
 */
static __rte_noinline enum dev_tx_result
tx_slow(struct tx_round *t, struct rte_mbuf *m)
{
	struct vnet_tx_pkt p;
	enum dev_tx_result r = DEV_TX_SHORT;

	if (vnet_offload_tx(t->ring->features, m, &p) < 0)
		return tx_dropped(t, VNET_DROP_OFFLOAD);
	if (p.mss == 0)
		r = tx_frame(t, &p);
	if (r != DEV_TX_SHORT || t->used > 0)
		return r;
	t->stale = true;
	return tx_large(t->txq, t->dev, t->ring, &p);
}

/* Whether the header ends where a cache line does, so that it shares none with the packet. */
VIRTQ_INLINE bool
tx_header_apart(const uint8_t *header, uint32_t hdr_len)
{
	return (((uintptr_t)header + hdr_len) & (RTE_CACHE_LINE_SIZE - 1)) == 0;
}

/* Chain i is most likely for packet i. */
VIRTQ_INLINE void
tx_prefetch(const void *ctx, uint16_t i, const struct virtq_chain *c)
{
	struct rte_mbuf *const *pkts = ctx;
	const uint8_t *data = c->addr + 12;
	uint32_t in_line = (uintptr_t)data & (RTE_CACHE_LINE_SIZE - 1);

	if (tx_header_apart(c->addr, 12))
		rte_prefetch0(c->addr);
	else
		virtq_arch_prefetch_write(c->addr);
	virtq_arch_prefetch_write(data);
	if (in_line + pkts[i]->data_len > RTE_CACHE_LINE_SIZE)
		virtq_arch_prefetch_write(data + RTE_CACHE_LINE_SIZE);
}

/* A header of a packet in one buffer, in two words. */
struct tx_header {
	uint64_t first;		/* up to csum_start */
	uint32_t second;	/* csum_offset, num_buffers */
};

#define DEV_TX_HEADER_PLAIN ((struct tx_header){0, 1 << 16})

/*
 * The header of a plain packet is always the same, and that of others often. Where it has a cache
 * line of its own and still stands there from the last time (a driver that reuses its buffers), not
 * writing it saves the line two trips.
 */
VIRTQ_INLINE void
tx_put_header(uint8_t *to, uint32_t hdr_len, struct tx_header h)
{
	const uint64_t first = h.first;
	const uint32_t second = h.second;

	if (tx_header_apart(to, hdr_len) && virtq_peek64(to) == first &&
	    memcmp(to + sizeof(first), &second, hdr_len - sizeof(first)) == 0)
		return;
	memcpy(to, &first, sizeof(first));
	memcpy(to + sizeof(first), &second, hdr_len - sizeof(first));
}

_Static_assert(offsetof(struct vnet_hdr, csum_start) == 6 &&
	       offsetof(struct vnet_hdr, csum_offset) == sizeof(uint64_t) &&
	       offsetof(struct vnet_hdr, num_buffers) == sizeof(uint64_t) + 2, "struct tx_header");

/*
 * A packet in one piece that goes into one plain buffer, and asks for the checksum of TCP or UDP
 * and perhaps for that of its IP header. What has to be put in is put into the copy, for the mbuf
 * may be shared. Returns false where there is more to it: then it is for tx_slow().
 */
static __rte_noinline bool
tx_csum_one(struct tx_round *t, const struct rte_mbuf *m, uint8_t *to, uint32_t hdr_len)
{
	const uint64_t work = m->ol_flags & VNET_TX_WORK & ~RTE_MBUF_F_TX_IP_CKSUM;
	const bool tcp = work == RTE_MBUF_F_TX_TCP_CKSUM;
	const uint16_t csum = tcp ? offsetof(struct rte_tcp_hdr, cksum) :
				    offsetof(struct rte_udp_hdr, dgram_cksum);
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
	const uint16_t l4 = m->l2_len + m->l3_len;
	const uint32_t type = vnet_plain_type(frame, m->data_len, l4, csum);
	const uint8_t *l3 = frame + RTE_ETHER_HDR_LEN;
	const bool ipv6 = (type & RTE_PTYPE_L3_MASK) == RTE_PTYPE_L3_IPV6;
	struct tx_header h = DEV_TX_HEADER_PLAIN;
	uint64_t sum;
	uint16_t bytes;

	if ((!tcp && work != RTE_MBUF_F_TX_UDP_CKSUM) || type == 0 ||
	    m->l2_len != RTE_ETHER_HDR_LEN || (ipv6 && (l3[0] >> 4) != 6))
		return false;
	bytes = vnet_l4_bytes(l3, ipv6, m->l3_len);
	if (unlikely(bytes < csum + sizeof(uint16_t))) /* it would not even cover the checksum */
		return false;
	sum = vnet_fold(vnet_pseudo_sum(l3, ipv6, tcp ? IPPROTO_TCP : IPPROTO_UDP, bytes));
	if (t->ring->features & VIRTQ_BIT(VIRTIO_NET_F_GUEST_CSUM)) {
		h.first = VIRTIO_NET_HDR_F_NEEDS_CSUM | (uint64_t)l4 << 48;
		h.second |= csum;
	} else {
		/* Less what stands in the field, and without padding behind the IP packet. */
		sum += vnet_sum(frame + l4, RTE_MIN((uint32_t)bytes, (uint32_t)m->data_len - l4)) +
		       (uint16_t)~vnet_load16(frame + l4 + csum);
		sum = vnet_csum_of(sum);
		t->txq->stats.sw_csum++;
	}
	tx_put_header(to, hdr_len, h);
	vnet_copy(to + hdr_len, frame, m->data_len);
	vnet_store16(to + hdr_len + l4 + csum, (uint16_t)sum);
	if ((m->ol_flags & RTE_MBUF_F_TX_IP_CKSUM) && !ipv6) {
		const uint32_t at = offsetof(struct rte_ipv4_hdr, hdr_checksum);

		sum = vnet_sum(l3, sizeof(struct rte_ipv4_hdr)) + (uint16_t)~vnet_load16(l3 + at);
		vnet_store16(to + hdr_len + RTE_ETHER_HDR_LEN + at, (uint16_t)~vnet_fold(sum));
	}
	return true;
}

VIRTQ_INLINE enum dev_tx_result
tx_one(struct tx_round *t, struct rte_mbuf *m, const unsigned int flags)
{
	const uint32_t hdr_len = flags & DEV_TX_ANY_HDR ? t->ring->hdr_len : 12;
	struct virtq_chain *c = &t->c[t->used];
	const uint32_t len = m->data_len;

	if ((flags & DEV_TX_ANY_HDR) && hdr_len == VNET_HDR_HASH)
		return tx_slow(t, m);
	if (unlikely(t->used == t->have || m->nb_segs != 1 || c->nseg != 1 ||
		     c->len < len + hdr_len))
		return tx_slow(t, m);
	if (unlikely(m->ol_flags & VNET_TX_WORK)) {
		if (!tx_csum_one(t, m, c->addr, hdr_len))
			return tx_slow(t, m);
	} else {
		tx_put_header(c->addr, hdr_len, DEV_TX_HEADER_PLAIN);
		vnet_copy(c->addr + hdr_len, rte_pktmbuf_mtod(m, const void *), len);
	}
	c->written = len + hdr_len;
	t->used++;
	return DEV_TX_SENT;
}

VIRTQ_INLINE uint16_t
tx_round(struct vnet_txq *txq, struct virtq_dev *dev, const struct virtq_ring *ring,
	 struct rte_mbuf **pkts, uint16_t n, const unsigned int flags)
{
	struct virtq_chain c[VIRTQ_FETCH_MAX];
	struct tx_round t = {.txq = txq, .dev = dev, .ring = ring, .c = c};
	struct virtq_fetch fetch = virtq_dev_fetch_begin(dev, pkts);
	uint32_t dropped = 0;
	uint64_t bytes = 0;
	uint16_t i;

	virtq_dev_begin(dev, ring);
	t.have = virtq_dev_fetch(dev, ring, &fetch, c, n, flags & DEV_TX_PACKED, true,
				 tx_prefetch);
	if (t.have == 0) {
		if (unlikely(fetch.err != VIRTQ_OK))
			tx_break(txq, dev, ring, fetch.err);
		return 0;
	}
	for (i = 0; i < n; i++) {
		uint32_t len = pkts[i]->pkt_len;
		enum dev_tx_result r = tx_one(&t, pkts[i], flags);

		if (unlikely(r == DEV_TX_SHORT))
			break;
		if (unlikely(r == DEV_TX_DROPPED))
			dropped |= 1u << i;
		else
			bytes += len;
		if (unlikely(t.stale)) {
			i++;
			break;
		}
	}
	if (likely(t.used > 0)) {
		if (flags & DEV_TX_LOG)
			virtq_dev_log_complete(dev, ring, c, t.used, true);
		else
			virtq_dev_complete(dev, ring, c, t.used, flags & DEV_TX_PACKED, true,
					   false);
		virtq_dev_notify(dev, ring, flags & DEV_TX_PACKED);
	}
	if (unlikely(fetch.err != VIRTQ_OK && t.used == t.have))
		tx_break(txq, dev, ring, fetch.err);
	txq->stats.bytes += bytes;
	vnet_tx_account(&txq->stats, txq->flags, pkts, i, dropped);
	vnet_free_sent(pkts, i);
	virtq_dev_prefetch_next(dev, ring, i, flags & DEV_TX_PACKED);
	return i;
}

VIRTQ_INLINE uint16_t
tx_burst(struct vnet_txq *txq, struct virtq_dev *dev, const struct virtq_ring *ring,
	 struct rte_mbuf **pkts, uint16_t n, const unsigned int flags)
{
	uint16_t done = 0;

	while (done < n && likely(dev->cursor.broken == VIRTQ_OK)) {
		uint16_t want = RTE_MIN((uint16_t)(n - done), (uint16_t)VIRTQ_FETCH_MAX);
		uint16_t got = tx_round(txq, dev, ring, pkts + done, want, flags);

		if (got == 0)
			break;
		done += got;
	}
	/* A broken ring is not a full one: there is nothing to wait for. */
	if (unlikely(dev->cursor.broken != VIRTQ_OK) && done < n) {
		vnet_tx_drop(txq, pkts + done, n - done, VNET_DROP_DISABLED);
		done = n;
	}
	return done;
}

#define DEV_TX_INSTANCE(name, flags) \
static uint16_t \
name(struct vnet_txq *txq, struct virtq_cursor *cursor, const struct virtq_ring *ring, \
	struct rte_mbuf **pkts, uint16_t n) \
{ \
	return tx_burst(txq, virtq_dev_of(cursor), ring, pkts, n, flags); \
}

DEV_TX_INSTANCE(tx_split, 0)
DEV_TX_INSTANCE(tx_split_any, DEV_TX_ANY_HDR)
DEV_TX_INSTANCE(tx_packed, DEV_TX_PACKED)
DEV_TX_INSTANCE(tx_packed_any, DEV_TX_PACKED | DEV_TX_ANY_HDR)
DEV_TX_INSTANCE(tx_split_log, DEV_TX_LOG)
DEV_TX_INSTANCE(tx_split_any_log, DEV_TX_LOG | DEV_TX_ANY_HDR)
DEV_TX_INSTANCE(tx_packed_log, DEV_TX_LOG | DEV_TX_PACKED)
DEV_TX_INSTANCE(tx_packed_any_log, DEV_TX_LOG | DEV_TX_PACKED | DEV_TX_ANY_HDR)

/* A disabled ring gets nothing. */
static uint16_t
tx_disabled(struct vnet_txq *txq, struct virtq_cursor *cursor,
	    const struct virtq_ring *ring, struct rte_mbuf **pkts, uint16_t n)
{
	vnet_tx_drop(txq, pkts, n, VNET_DROP_DISABLED);
	return n;
}

vnet_tx_burst
vnet_dev_tx_select(const struct virtq_ring *ring, const char **name)
{
	static const struct {
		vnet_tx_burst burst;
		const char *name;
	} table[] = {
		[0] = {tx_split, "split"},
		[DEV_TX_PACKED] = {tx_packed, "packed"},
		[DEV_TX_ANY_HDR] = {tx_split_any, "split, legacy header"},
		[DEV_TX_PACKED | DEV_TX_ANY_HDR] = {tx_packed_any, "packed, legacy header"},
		[DEV_TX_LOG] = {tx_split_log, "split, dirty log"},
		[DEV_TX_LOG | DEV_TX_ANY_HDR] = {tx_split_any_log,
						 "split, legacy header, dirty log"},
		[DEV_TX_LOG | DEV_TX_PACKED] = {tx_packed_log, "packed, dirty log"},
		[DEV_TX_LOG | DEV_TX_PACKED |
		 DEV_TX_ANY_HDR] = {tx_packed_any_log, "packed, legacy header, dirty log"},
	};
	const char *dummy;
	unsigned int f;

	if (name == NULL)
		name = &dummy;
	if (!ring->enabled) {
		*name = "disabled";
		return tx_disabled;
	}
	f = (ring->packed ? DEV_TX_PACKED : 0) | (ring->hdr_len != 12 ? DEV_TX_ANY_HDR : 0);
	if (ring->log != NULL)
		f |= DEV_TX_LOG;
	*name = table[f].name;
	if (ring->hdr_len == VNET_HDR_HASH)
		*name = ring->packed ? "packed, hash reports" : "split, hash reports";
	return table[f].burst;
}
