/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver that receives: {layout, order, mergeable, hash} x {what the device says of one buffer} x
 * {where in a burst}; and what it makes of packets in several buffers. A driver takes packets
 * several at a time as long as nothing is to be said of them. That they are taken so at all is no
 * matter of what is received, and nothing here can tell.
 */
#include "rig_device_hostile.h"
#include "rig_device_feed.h"

#define ENTRIES 32
#define ROOM FEED_ROOM
#define ALIKE 60 /* bytes of a packet that is like the others */
#define LEAST RTE_ETHER_HDR_LEN

/* Said to be longer than its buffer; with the header the last ones wrap. */
static const uint32_t longs[] = {
	ROOM + 1, 65535, 65536 + 60, INT32_MAX, 0x80000000u + RTE_ETHER_HDR_LEN - 1,
	0x80000000u + RTE_ETHER_HDR_LEN, 0x80000000u + ROOM, 0x80000000u + ROOM + 1,
	UINT32_MAX - 2 * 20u,
};

/* No buffer of the ring's. */
static const uint32_t ids[] = {ENTRIES, ENTRIES + 1, 255, 32768, 65535, 65536, UINT32_MAX};

/* Mergeable: more buffers than there are. */
static const uint16_t counts[] = {ENTRIES + 1, 100, 32768, 65535};

/* Kinds of packet that a hash may be of, and what is none. VIRTIO 1.2, 5.1.6.4.4. */
static const uint16_t reports[] = {
	VIRTIO_NET_HASH_REPORT_NONE, VIRTIO_NET_HASH_REPORT_IPv4, VIRTIO_NET_HASH_REPORT_TCPv4,
	VIRTIO_NET_HASH_REPORT_UDPv4, VIRTIO_NET_HASH_REPORT_IPv6, VIRTIO_NET_HASH_REPORT_TCPv6,
	VIRTIO_NET_HASH_REPORT_UDPv6, VIRTIO_NET_HASH_REPORT_IPv6_EX,
	VIRTIO_NET_HASH_REPORT_TCPv6_EX, VIRTIO_NET_HASH_REPORT_UDPv6_EX,
	10, 11, 255, 256, 257, 0x0109, 0x8001, 65535,
};

/* Header fields that nobody agreed on, or that cannot be, of a packet of 100 bytes. */
#define HEADER_BYTES 100u
#define GOOD RTE_MBUF_F_RX_L4_CKSUM_GOOD
static const struct header {
	uint64_t features;
	struct virtio_net_hdr hdr;
	bool good;
	uint64_t seen;		/* flags of the mbuf */
} headers[] = {
	{F_GUEST_CSUM, {.flags = 1, .csum_start = 34, .csum_offset = 16}, true, GOOD},
	{F_CSUM, {.flags = 1, .csum_start = 34, .csum_offset = 16}, false},
	{F_GUEST_CSUM, {.flags = 1, .csum_start = 98, .csum_offset = 0}, true, GOOD},
	{F_GUEST_CSUM, {.flags = 1, .csum_start = 99, .csum_offset = 0}, false},
	{F_GUEST_CSUM, {.flags = 1, .csum_start = 0, .csum_offset = 99}, false},
	{F_GUEST_CSUM, {.flags = 1, .csum_start = 65535, .csum_offset = 65535}, false},
	{F_GUEST_CSUM, {.flags = 1, .csum_start = 65535, .csum_offset = 1}, false},
	{F_GUEST_CSUM | F_GUEST_TSO4,
	 {.flags = 1, .gso_type = 1, .csum_start = 34, .csum_offset = 16, .gso_size = 10}, true,
	 GOOD | RTE_MBUF_F_RX_LRO},
	{F_GUEST_CSUM | F_HOST_TSO4,
	 {.flags = 1, .gso_type = 1, .csum_start = 34, .csum_offset = 16, .gso_size = 10}, false},
	{F_GUEST_CSUM | F_GUEST_TSO4,
	 {.flags = 1, .gso_type = 1, .csum_start = 34, .csum_offset = 16, .gso_size = 0}, false},
	{F_GUEST_CSUM | F_GUEST_TSO4,
	 {.flags = 0, .gso_type = 1, .csum_start = 34, .csum_offset = 16, .gso_size = 10}, false},
	{F_GUEST_CSUM | F_GUEST_TSO4,
	 {.flags = 1, .gso_type = 4, .csum_start = 34, .csum_offset = 16, .gso_size = 10}, false},
	{F_GUEST_CSUM | F_GUEST_TSO4,
	 {.flags = 1, .gso_type = 0x81, .csum_start = 34, .csum_offset = 16, .gso_size = 10},
	 false},
	{F_GUEST_CSUM | F_GUEST_TSO4,
	 {.flags = 1, .gso_type = 3, .csum_start = 34, .csum_offset = 16, .gso_size = 10}, false},
	{F_GUEST_CSUM | F_GUEST_TSO4,
	 {.flags = 1, .gso_type = 77, .csum_start = 34, .csum_offset = 16, .gso_size = 10}, false},
	{0, {.flags = 2}, true}, /* verified: not asked, not told, not wrong */
	{0, {.flags = 0xf8}, true}, /* bits to come */
};

/* What is unusual about one of them. */
enum odd {
	NOTHING,
	LENGTH,		/* it is shorter than the others */
	FLAGS,		/* its header says something */
	GSO,		/* what cannot be */
	BUFFERS,	/* mergeable: it has the next one's buffer as well */
	LONG,
	DENSE = LONG + RTE_DIM(longs), /* those before are tried at every place */
	SHORT = DENSE,	/* so many bytes, header and all; one too few to the least that is enough */
	ID = SHORT + 20u + LEAST + 1,
	ID_AGAIN = ID + RTE_DIM(ids), /* the one before it, */
	ID_TAKEN,	/* which the driver has taken meanwhile */
	NONE,		/* mergeable: it has no buffer */
	MANY,
	REPORT = MANY + RTE_DIM(counts),
	HEADER = REPORT + RTE_DIM(reports),
	MERGED = HEADER + RTE_DIM(headers), /* mergeable: the same in two buffers */
	ODDS = MERGED + RTE_DIM(headers)
};

static bool
is(enum odd odd, enum odd first, enum odd behind)
{
	return odd >= first && odd < behind;
}

static bool
is_long(enum odd odd)
{
	return is(odd, LONG, DENSE);
}

static bool
is_short(enum odd odd)
{
	return is(odd, SHORT, ID);
}

static bool
is_id(enum odd odd)
{
	return is(odd, ID, NONE);
}

static bool
is_report(enum odd odd)
{
	return is(odd, REPORT, HEADER);
}

/* NULL: it is not about a header. */
static const struct header *
header_of(enum odd odd)
{
	if (odd < HEADER)
		return NULL;
	return &headers[odd < MERGED ? odd - HEADER : odd - MERGED];
}

/* A used entry whose id is a lie; the buffer that it stands for is lost to the device. */
static void
use_id(struct feed *r, enum odd odd)
{
	const uint32_t id = odd < ID_AGAIN ? ids[odd - ID] : rdev_held_last(&r->held)->id;

	rdev_lie(&r->l.rdev, id, r->l.ring->hdr_len + ALIKE, 1, 1);
	rdev_held_remove(&r->held, 0);
}

static void
use_odd(struct feed *r, enum odd odd)
{
	struct virtio_net_hdr_v1_hash hdr = feed_header(r->seed);
	const uint32_t hdr_len = r->l.ring->hdr_len;
	const struct header *h = header_of(odd);
	uint32_t len = ALIKE, bytes;

	if (h != NULL) {
		memcpy(&hdr, &h->hdr, sizeof(h->hdr));
		/* Of a packet in two buffers the second has as much as the others. */
		len = odd < MERGED ? HEADER_BYTES : HEADER_BYTES - ALIKE - hdr_len;
	}
	if (odd == BUFFERS || odd >= MERGED)
		hdr.hdr.num_buffers = 2;
	if (odd == FLAGS)
		hdr.hdr.flags = VIRTIO_NET_HDR_F_DATA_VALID;
	if (odd == GSO)
		hdr.hdr.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	if (odd == NONE)
		hdr.hdr.num_buffers = 0;
	if (is(odd, MANY, REPORT))
		hdr.hdr.num_buffers = counts[odd - MANY];
	if (is_report(odd))
		hdr.hash_report = reports[odd - REPORT];
	if (odd == LENGTH)
		len--;
	bytes = len;
	if (is_long(odd)) {
		bytes = ROOM;
		len = longs[odd - LONG];
	}
	if (is_short(odd)) {
		bytes = LEAST;
		len = odd - SHORT - hdr_len;
		/* What the header says where there is none does not matter. */
		if (odd - SHORT < hdr_len)
			hdr.hdr.num_buffers = 9;
	}
	if (is_id(odd))
		use_id(r, odd);
	else
		feed_use(r, 0, &hdr, bytes, len);
}

static uint32_t
length_of(enum odd odd)
{
	if (odd == LENGTH)
		return ALIKE - 1;
	if (is_short(odd))
		return LEAST;
	if (odd >= HEADER)
		return HEADER_BYTES;
	return is_long(odd) ? ROOM : ALIKE;
}

/* What becomes of a burst in which one is unlike the others. */
struct fate {
	bool merged;		/* it and the next one are one packet */
	bool whole;		/* all of its buffers come */
	bool runt, refused;
	enum virtq_error broken;
	uint16_t gone;		/* packets that do not come */
	uint16_t expected;	/* that do */
};

static struct fate
fate_of(const struct feed *r, uint16_t n, uint16_t place, enum odd odd)
{
	const bool mergeable = r->l.ring->features & F_MRG;
	const struct header *h = header_of(odd);
	struct fate f = {
		.merged = (odd == BUFFERS || odd >= MERGED) && mergeable,
		.runt = is_short(odd) && odd < SHORT + LEAST + (enum odd)r->l.ring->hdr_len,
		.refused = odd == GSO || (h != NULL && !h->good),
		.broken = is_id(odd) ? VIRTQ_E_USED_ID :
			  is(odd, MANY, REPORT) && mergeable ? VIRTQ_E_USED_JUMP : VIRTQ_OK,
	};

	f.whole = !f.merged || place + 1 < n;
	f.gone = f.merged || f.runt || f.refused;
	if (f.merged && f.whole && f.refused)
		f.gone = 2;
	f.expected = f.broken != VIRTQ_OK ? place : n - f.gone;
	return f;
}

static uint64_t
flags_of(const struct feed *r, enum odd odd, uint16_t report)
{
	const struct header *h = header_of(odd);
	uint64_t flags = 0;

	if (h != NULL)
		flags = h->seen;
	else if (odd == FLAGS && r->l.ring->features & F_GUEST_CSUM)
		flags = GOOD;
	if (r->l.ring->features & F_HASH_REPORT && report > 0 &&
	    report <= VIRTIO_NET_HASH_REPORT_UDPv6_EX)
		flags |= RTE_MBUF_F_RX_RSS_HASH;
	return flags;
}

/* A packet that is there, of the seed that the device gave it. */
static void
expect_alike(const struct feed *r, const struct rte_mbuf *m, uint32_t seed, enum odd odd)
{
	const uint16_t report = is_report(odd) ? reports[odd - REPORT] : feed_report(seed);
	const uint64_t flags = flags_of(r, odd, report);
	const uint32_t len = length_of(odd);
	uint8_t frame[ROOM];

	frame_fill(frame, is_short(odd) ? LEAST : len, seed);
	assert_int_equal(m->pkt_len, len);
	assert_int_equal(m->data_len, len);
	assert_true(m->data_off + m->data_len <= m->buf_len);
	assert_int_equal(m->nb_segs, 1);
	assert_int_equal(m->port, 7);
	assert_int_equal(m->vlan_tci, 0);
	assert_int_equal(rte_mbuf_refcnt_read(m), 1);
	assert_int_equal(m->ol_flags, flags);
	assert_int_equal(m->hash.rss, flags & RTE_MBUF_F_RX_RSS_HASH ? feed_hash(seed) : 0);
	if (odd < HEADER) { /* others may have had a checksum completed */
		assert_memory_equal(rte_pktmbuf_mtod(m, uint8_t *), frame, len);
		assert_int_equal(m->packet_type, 0);
	}
}

/* The same, and the one behind it is its second buffer. */
static void
expect_merged(const struct feed *r, const struct rte_mbuf *m, uint32_t seed, enum odd odd)
{
	const uint64_t flags = flags_of(r, odd, feed_report(seed));

	assert_int_equal(m->pkt_len, odd < MERGED ? 2u * ALIKE + r->l.ring->hdr_len :
			 HEADER_BYTES);
	assert_int_equal(m->nb_segs, 2);
	assert_int_equal(m->ol_flags, flags);
	assert_int_equal(m->hash.rss, flags & RTE_MBUF_F_RX_RSS_HASH ? feed_hash(seed) : 0);
}

/* A ring that has moved on by `before`. */
static void
open_at(struct feed *r, uint64_t features, uint16_t before)
{
	struct rte_mbuf *got[ENTRIES];

	feed_open(r, ENTRIES, features, small_pool);
	for (uint16_t i = 0; i < before; i++)
		feed_use(r, 0, NULL, ALIKE, ALIKE);
	assert_int_equal(feed_receive(r, got, ENTRIES), before);
	rte_pktmbuf_free_bulk(got, before);
	rdev_held_fetch_all(&r->held, &r->l.rdev);
}

static void
expect_packets(const struct feed *r, struct rte_mbuf **got, const struct fate *f, uint32_t first,
	       uint16_t place, enum odd odd)
{
	const bool two = f->merged && !f->refused;

	for (uint16_t i = 0; i < f->expected; i++) {
		const uint16_t at = i + (i >= place + two ? f->gone : 0);

		if (two && i == place)
			expect_merged(r, got[i], first + i, odd);
		else
			expect_alike(r, got[i], first + at, at == place ? odd : NOTHING);
	}
}

static void
one_odd(uint64_t features, uint16_t before, uint16_t n, uint16_t place, enum odd odd)
{
	struct rte_mbuf *got[ENTRIES];
	uint64_t bytes = 0;
	static struct feed r;
	uint16_t have = 0;
	struct fate f;

	open_at(&r, features, before);
	f = fate_of(&r, n, place, odd);
	for (uint16_t i = 0; i < n; i++) {
		if (odd == ID_TAKEN && i == place)
			have = link_rx(&r.l, got, place);
		use_odd(&r, i == place ? odd : NOTHING);
	}
	if (have + feed_receive(&r, got + have, ENTRIES - have) != f.expected)
		fail_msg("ring %lx, %u at %u of %u", features, odd, place, n);
	expect_packets(&r, got, &f, before, place, odd);
	for (uint16_t i = 0; i < f.expected; i++)
		bytes += got[i]->pkt_len;
	assert_int_equal(r.l.rxq.stats.packets, before + f.expected);
	assert_int_equal(r.l.rxq.stats.bytes, ALIKE * before + bytes);
	assert_int_equal(r.l.rxq.stats.drop[VNET_DROP_RUNT], f.runt);
	assert_int_equal(r.l.rxq.stats.drop[VNET_DROP_BAD_HDR], f.refused && f.whole);
	assert_int_equal(link_drops(&r.l.rxq.stats), f.runt || (f.refused && f.whole));
	if (f.broken != VIRTQ_OK)
		expect_broken(&r.l, f.broken);
	else
		assert_int_equal(link_errors(&r.l.rxq.stats), 0);
	rte_pktmbuf_free_bulk(got, f.expected);
	link_end(&r.l);
}

static bool
can_be_said(uint64_t ring, enum odd odd)
{
	const uint32_t hdr_len = ring & F_HASH_REPORT ? 20 : ring & (F_V1 | F_MRG) ? 12 : 10;

	if (is_short(odd) && odd - SHORT > hdr_len + LEAST)
		return false;
	if (is(odd, ID, ID_AGAIN) && ring & F_PACKED && ids[odd - ID] > UINT16_MAX)
		return false;
	if (is_report(odd))
		return ring & F_HASH_REPORT;
	return odd < MERGED || ring & F_MRG;
}

static uint64_t
features_for(uint64_t ring, enum odd odd)
{
	const struct header *h = header_of(odd);

	return ring | (h != NULL ? h->features : F_GUEST_CSUM);
}

static void
one_unlike_the_others(void **state)
{
	for (uint32_t i = 0; i < NRINGS * DENSE; i++) {
		const uint64_t features = features_for(rings[i / DENSE], i % DENSE);

		for (uint16_t before = 0; before < 8; before += 3)
			for (uint16_t n = 1; n < 14; n += 4)
				for (uint16_t place = 0; place < n; place++)
					one_odd(features, before, n, place, i % DENSE);
		expect_all_mbufs();
	}
}

/* The same where a burst goes over the end of the ring. */
static void
one_unlike_the_others_at_the_end(void **state)
{
	for (uint32_t i = 0; i < NRINGS * DENSE; i++) {
		for (uint16_t before = ENTRIES - 8; before < ENTRIES; before += 2)
			for (uint16_t place = 0; place < 9; place++)
				one_odd(features_for(rings[i / DENSE], i % DENSE), before, 9, place,
					i % DENSE);
		expect_all_mbufs();
	}
}

/* What breaks a ring, or a packet alone, before and behind others, and over the end. */
static void
one_that_cannot_be(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		for (enum odd odd = DENSE; odd < ODDS; odd++) {
			const uint64_t features = features_for(rings[i], odd);

			if (!can_be_said(rings[i], odd))
				continue;
			/* There is nothing before the first to say again. */
			for (uint16_t place = is(odd, ID_AGAIN, NONE) ? 2 : 0; place < 9;
			     place += 2) {
				one_odd(features, 0, place + 1, place, odd);
				one_odd(features, ENTRIES - 4, 9, place, odd);
			}
			expect_all_mbufs();
		}
	}
}

/* Lengths on both sides of each border, and the first byte of an address of each kind. */
static const uint32_t lengths[] = {
	14, 63, 64, 65, 127, 128, 255, 256, 511, 512, 1023, 1024, 1518, 1519, 2048,
};

static unsigned int
bin_of(uint32_t len)
{
	static const uint32_t most[] = {64, 127, 255, 511, 1023, 1518, UINT32_MAX};
	unsigned int bin = 0;

	while (len > most[bin])
		bin++;
	return bin;
}

static void
expect_counts(uint64_t features, uint64_t *x)
{
	uint64_t bins[VNET_SIZE_BINS] = {0}, bytes = 0, packets = 0, multicast = 0;
	uint32_t len = lengths[rd_random(x) % RTE_DIM(lengths)];
	static struct feed r;

	feed_open(&r, ENTRIES, features, small_pool);
	for (int round = 0; round < 40; round++) {
		struct rte_mbuf *got[ENTRIES];
		uint16_t n;

		for (n = 0; r.held.n > 0; n++) {
			const bool group = rd_random(x) % 16 == 0;

			/* Neighbours of one length, now and then of two. */
			if (rd_random(x) % 8 == 0)
				len = lengths[rd_random(x) % RTE_DIM(lengths)];
			feed_use(&r, 0, NULL, len, len)[0] = group ? 1 : 2;
			bins[bin_of(len)]++;
			bytes += len;
			multicast += group;
		}
		packets += n;
		assert_int_equal(feed_receive(&r, got, ENTRIES), n);
		rte_pktmbuf_free_bulk(got, n);
		rdev_held_fetch_all(&r.held, &r.l.rdev);
	}
	assert_memory_equal(r.l.rxq.stats.size_bin, bins, sizeof(bins));
	assert_int_equal(r.l.rxq.stats.multicast, multicast);
	assert_int_equal(r.l.rxq.stats.broadcast, 0);
	assert_int_equal(r.l.rxq.stats.bytes, bytes);
	assert_int_equal(r.l.rxq.stats.packets, packets);
	link_close(&r.l);
}

static void
every_packet_counted(void **state)
{
	uint64_t x = 5;

	for (uint32_t i = 0; i < NRINGS; i++)
		expect_counts(rings[i], &x);
}

/* A frame in several buffers: so many bytes in each. FULL: as many as it takes. */
#define FULL UINT32_MAX
static const struct pieces {
	uint32_t len[4];
	uint16_t n;
	bool small;		/* one mbuf holds it */
} pieces[] = {
	{{60, 40}, 2, true}, {{14, 1, 1, 1}, 4, true}, {{1000, 1048}, 2, true},
	{{100, 1000, 900}, 3, true}, {{ROOM}, 1, true},
	{{ROOM, 1}, 2, false}, {{FULL, FULL, FULL}, 3, false}, {{FULL, FULL, 12}, 3, false},
};

static uint32_t
use_pieces(struct feed *r, const struct pieces *p)
{
	uint32_t len[RTE_DIM(p->len)];

	for (uint16_t i = 0; i < p->n; i++)
		len[i] = p->len[i] < FULL ? p->len[i] : ROOM + (i > 0 ? r->l.ring->hdr_len : 0u);
	return feed_use_many(r, len, p->n);
}

/* The frame, and one of 200 bytes before and behind it. */
static void
one_of_pieces(uint64_t features, const struct pieces *p, bool scatter)
{
	const bool comes = scatter || p->small;
	static struct feed r;
	uint32_t len;

	feed_open(&r, ENTRIES, features, small_pool);
	if (!scatter)
		r.l.rxq.flags &= ~VNET_F_SCATTER;
	r.l.rx = vnet_drv_rx_select(r.l.ring, r.l.rxq.flags, NULL);
	feed_use(&r, 0, NULL, 200, 200);
	len = use_pieces(&r, p);
	feed_use(&r, 0, NULL, 200, 200);
	feed_expect_next(&r, 200, 1, 0);
	if (comes)
		feed_expect_next(&r, len, scatter ? p->n : 1, 1);
	feed_expect_next(&r, 200, 1, 2);
	assert_int_equal(r.l.rxq.stats.drop[VNET_DROP_OVERSIZE], !comes);
	assert_int_equal(link_drops(&r.l.rxq.stats), !comes);
	assert_int_equal(link_errors(&r.l.rxq.stats), 0);
	assert_int_equal(r.l.rxq.stats.packets, 2 + comes);
	assert_int_equal(r.l.rxq.stats.bytes, 400 + (comes ? len : 0));
	link_close(&r.l);
}

static void
in_pieces(bool small)
{
	for (uint32_t i = 0; i < NRINGS * RTE_DIM(pieces); i++) {
		const struct pieces *p = &pieces[i % RTE_DIM(pieces)];
		const uint64_t features = rings[i / RTE_DIM(pieces)];

		if (!(features & F_MRG) || p->small != small)
			continue;
		one_of_pieces(features, p, false);
		one_of_pieces(features, p, true);
	}
}

/* What one mbuf holds is put into one, though the device has used several buffers for it. */
static void
gathered(void **state)
{
	in_pieces(true);
}

/* What it does not hold is dropped and counted; those before and after it come. */
static void
oversize(void **state)
{
	in_pieces(false);
}

/* Mbufs that hold the largest frame: nothing needs to be chained. */
static void
large_buffers(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		static struct feed r;

		feed_open(&r, ENTRIES, rings[i], large_pool);
		r.l.rxq.flags &= ~VNET_F_SCATTER;
		feed_use(&r, 0, NULL, 9018, 9018);
		feed_expect_next(&r, 9018, 1, 0);
		link_close(&r.l);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_unlike_the_others),
		cmocka_unit_test(one_unlike_the_others_at_the_end),
		cmocka_unit_test(one_that_cannot_be),
		cmocka_unit_test(every_packet_counted),
		cmocka_unit_test(gathered),
		cmocka_unit_test(oversize),
		cmocka_unit_test(large_buffers),
	};

	return cmocka_run_group_tests_name("vnet_drv_rx", tests, vnet_setup, vnet_teardown);
}
