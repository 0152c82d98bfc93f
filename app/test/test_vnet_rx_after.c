/* SPDX-License-Identifier: BSD-3-Clause */
/* What an application asks for on top of the packets: types, hashes, those of its VLANs alone. */
#include "rig_device_feed.h"
#include "rig_device_known.h"
#include "rig_guest_net.h"
#include "vnet_cut.h"
#include "vnet_hash.h"
#include "vnet_ptype.h"

#define ALL RTE_PTYPE_ALL_MASK
#define L2 RTE_PTYPE_L2_MASK
#define L3 RTE_PTYPE_L3_MASK
#define L4 RTE_PTYPE_L4_MASK

/* What stands behind the addresses, and the types of it; 0: of a tunnel, as the release says. */
static const struct {
	uint8_t bytes[64];
	uint32_t type;
} kinds[] = {
	{ { 0x88, 0xb5 }, RTE_PTYPE_L2_ETHER },
	{ { 0x81, 0x00, 0, 7, 0x88, 0xb5 }, VNET_COMPAT_PTYPE_VLAN },
	{ { 0x88, 0xa8, 0, 7, 0x81, 0, 0, 8, 0x88, 0xb5 }, RTE_PTYPE_L2_ETHER_QINQ },
	{ { 0x08, 0, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, IPPROTO_TCP, [34] = 0x50 },
	  RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4 | RTE_PTYPE_L4_TCP },
	{ { 0x08, 0, 0x46, 0, 0, 32, 0, 0, 0, 0, 64, IPPROTO_UDP },
	  RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4_EXT | RTE_PTYPE_L4_UDP },
	{ { 0x08, 0, 0x45, 0, 0, 40, 0, 0, 0x20, 0, 64, IPPROTO_UDP },
	  RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4 | RTE_PTYPE_L4_FRAG },
	{ { 0x81, 0, 0, 7, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, IPPROTO_SCTP },
	  VNET_COMPAT_PTYPE_VLAN | RTE_PTYPE_L3_IPV6 | RTE_PTYPE_L4_SCTP },
	{ { 0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, IPPROTO_HOPOPTS, [42] = IPPROTO_UDP },
	  RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV6_EXT | RTE_PTYPE_L4_UDP },
	{ { 0x08, 0, 0x45, 0, 0, 60, 0, 0, 0, 0, 64, IPPROTO_IPIP,
	    [22] = 0x45, [31] = IPPROTO_UDP },
	  RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4 | RTE_PTYPE_TUNNEL_IP |
	  RTE_PTYPE_INNER_L3_IPV4 | RTE_PTYPE_INNER_L4_UDP },
#define TO_PORT(port) 0x08, 0, 0x45, 0, 0, 60, 0, 0, 0, 0, 64, IPPROTO_UDP, \
		      [24] = (port) >> 8, (port) & 255
	{ { TO_PORT(RTE_VXLAN_DEFAULT_PORT), [50] = 0x08, 0, 0x45 }, 0 },
	{ { TO_PORT(RTE_GENEVE_DEFAULT_PORT) }, 0 },
	{ { TO_PORT(RTE_GTPC_UDP_PORT) }, 0 },
	{ { TO_PORT(RTE_GTPU_UDP_PORT), [31] = 0xff, [38] = 0x45 }, 0 },
};

static const uint64_t rings[] = {F_INDIRECT, F_PACKED | F_INDIRECT};

static void
fill_kind(uint8_t *data, unsigned int k)
{
	frame_fill(data, 80, k);
	memset(data + 12, 0, 68);
	memcpy(data + 12, kinds[k].bytes, sizeof(kinds[k].bytes));
}

static struct rte_mbuf *
receive_kind(struct port *p, unsigned int k, const struct layout *l)
{
	struct rte_mbuf *m;
	uint8_t data[80];

	fill_kind(data, k);
	assert_true(port_send(p, NULL, data, sizeof(data), l));
	assert_int_equal(port_rx(p, &m, 1), 1);
	port_reap(p);
	return m;
}

static uint32_t
type_of_kind(unsigned int k)
{
	struct rte_mbuf *m;
	uint32_t type;
	uint8_t data[80];

	fill_kind(data, k);
	m = mbuf_of(data, sizeof(data), SHAPE_LINEAR);
	type = rte_net_get_ptype(m, NULL, ALL);
	rte_pktmbuf_free(m);
	assert_true(kinds[k].type == 0 || type == kinds[k].type);
	return type;
}

/* Types of the groups that are asked for and of no others, whatever way a packet came. */
static void
types(void **state)
{
	static const uint32_t masks[] = {L2, L3, L4, L2 | L4, L2 | L3 | L4,
					 RTE_PTYPE_TUNNEL_MASK, RTE_PTYPE_INNER_L4_MASK, ALL};

	for (unsigned int i = 0; i < RTE_DIM(rings) * RTE_DIM(masks); i++) {
		const uint32_t mask = masks[i / RTE_DIM(rings)];
		struct port p;

		port_open(&p, 16, rings[i % RTE_DIM(rings)], 2048, 1);
		p.rxq.flags |= VNET_F_PTYPES;
		p.rxq.ptypes = mask;
		for (unsigned int k = 0; k < RTE_DIM(kinds) * NLAYOUTS; k++) {
			struct rte_mbuf *m = receive_kind(&p, k / NLAYOUTS,
							  &layouts[k % NLAYOUTS]);

			assert_int_equal(m->packet_type, type_of_kind(k / NLAYOUTS) & mask);
			rte_pktmbuf_free(m);
		}
		port_close(&p);
	}
}

static void
nobody_asks(void **state)
{
	for (unsigned int i = 0; i < RTE_DIM(rings); i++) {
		struct port p;

		port_open(&p, 16, rings[i], 2048, 1);
		p.rxq.ptypes = ALL;
		for (unsigned int k = 0; k < RTE_DIM(kinds); k++) {
			struct rte_mbuf *m = receive_kind(&p, k, PLAIN);

			assert_int_equal(m->packet_type, RTE_PTYPE_UNKNOWN);
			rte_pktmbuf_free(m);
		}
		port_close(&p);
	}
}

/* The type is that of the packet as it is delivered. */
static void
types_without_tag(void **state)
{
	struct rte_mbuf *m;
	struct port p;

	port_open(&p, 16, rings[0], 2048, 1);
	p.rxq.flags |= VNET_F_PTYPES | VNET_F_VLAN_STRIP;
	p.rxq.ptypes = ALL;
	m = receive_kind(&p, 6, PLAIN);
	assert_int_equal(m->vlan_tci, 7);
	assert_int_equal(m->packet_type,
			 RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV6 | RTE_PTYPE_L4_SCTP);
	rte_pktmbuf_free(m);
	port_close(&p);
}

/* What stands behind the addresses of a frame, and the hash of each kind; both are published. */
static const struct {
	uint8_t bytes[60];
	uint32_t types, hash;		/* 0: none */
} hashed[] = {
#define V4(proto) 0x08, 0, 0x45, 0, 0, 60, 0, 0, 0, 0, 64, proto, 0, 0, \
		  66, 9, 149, 187, 161, 142, 100, 80, 0x0a, 0xea, 0x06, 0xe6
#define V6(proto) 0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, proto, 64, \
		  0x3f, 0xfe, 0x25, 1, 2, 0, 0x1f, 0xff, 0, 0, 0, 0, 0, 0, 0, 7, \
		  0x3f, 0xfe, 0x25, 1, 2, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1, \
		  0x0a, 0xea, 0x06, 0xe6
	{ { V4(IPPROTO_TCP) }, VIRTIO_NET_RSS_HASH_TYPE_TCPv4, 0x51ccc178 },
	{ { V4(IPPROTO_UDP) }, VIRTIO_NET_RSS_HASH_TYPE_UDPv4, 0x51ccc178 },
	{ { V4(IPPROTO_TCP) }, VIRTIO_NET_RSS_HASH_TYPE_IPv4, 0x323e8fc2 },
	{ { V4(IPPROTO_TCP) }, VNET_HASH_TYPES & ~VIRTIO_NET_RSS_HASH_TYPE_TCPv4, 0x323e8fc2 },
	{ { V4(IPPROTO_SCTP) }, VNET_HASH_TYPES, 0x323e8fc2 },
	{ { V4(IPPROTO_UDP) }, VIRTIO_NET_RSS_HASH_TYPE_TCPv4, 0 },
	{ { V4(IPPROTO_UDP) }, VIRTIO_NET_RSS_HASH_TYPE_IPv6, 0 },
	{ { V6(IPPROTO_TCP) }, VIRTIO_NET_RSS_HASH_TYPE_TCPv6, 0x40207d3d },
	{ { V6(IPPROTO_UDP) }, VNET_HASH_TYPES, 0x40207d3d },
	{ { V6(IPPROTO_UDP) }, VIRTIO_NET_RSS_HASH_TYPE_IPv6, 0x2cc18cd5 },
	{ { 0x08, 6 }, VNET_HASH_TYPES, 0 },
};

static void
hashes(void **state)
{
	struct vnet_hash hash;
	uint8_t key[VNET_HASH_KEY];

	vnet_hash_set_key(&hash, known_key);
	vnet_hash_get_key(&hash, key);
	assert_memory_equal(key, known_key, sizeof(key));
	for (unsigned int k = 0; k < RTE_DIM(hashed) * NLAYOUTS; k++) {
		const unsigned int i = k / NLAYOUTS;
		struct rte_mbuf *m;
		uint8_t data[80];
		struct port p;

		port_open(&p, 16, rings[k % RTE_DIM(rings)], 2048, 1);
		hash.types = hashed[i].types;
		p.rxq.flags |= VNET_F_HASH;
		p.rxq.hash = &hash;
		frame_fill(data, sizeof(data), 0);
		memset(data + 12, 0, sizeof(data) - 12);
		memcpy(data + 12, hashed[i].bytes, sizeof(hashed[i].bytes));
		assert_true(port_send(&p, NULL, data, sizeof(data), &layouts[k % NLAYOUTS]));
		assert_int_equal(port_rx(&p, &m, 1), 1);
		assert_int_equal(m->hash.rss, hashed[i].hash);
		assert_int_equal(m->ol_flags, hashed[i].hash != 0 ? RTE_MBUF_F_RX_RSS_HASH : 0);
		rte_pktmbuf_free(m);
		port_reap(&p);
		port_close(&p);
	}
}

/* One that is to be cut keeps its mark, and has no hash. */
static void
marked_packet(void **state)
{
	struct rte_mbuf *m = mbuf_new(80, 0, SHAPE_LINEAR);
	struct vnet_hash hash = { .types = VNET_HASH_TYPES };

	memcpy(rte_pktmbuf_mtod_offset(m, void *, 12), hashed[0].bytes, sizeof(hashed[0].bytes));
	vnet_hash_set_key(&hash, known_key);
	m->hash.usr = VIRTIO_NET_HDR_GSO_TCPV4;
	m->ol_flags = 0;
	vnet_hash_packets(&hash, &m, 1);
	assert_int_equal(m->hash.usr, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(vnet_cut_marked(m), VIRTIO_NET_HDR_GSO_TCPV4);
	m->hash.usr = 0;
	vnet_hash_packets(&hash, &m, 1);
	assert_int_equal(m->hash.rss, 0x51ccc178);
	assert_int_equal(vnet_cut_marked(m), 0);
	rte_pktmbuf_free(m);
}

#define MARK 0xb5

/* A frame with this tag control information, of a type if that is 0x8100. */
static void
fill_tagged(uint8_t *data, uint16_t type, uint16_t tci)
{
	frame_fill(data, 80, tci);
	data[12] = type >> 8;
	data[13] = (uint8_t)type;
	data[14] = tci >> 8;
	data[15] = (uint8_t)tci;
	data[16] = 0x88;
	data[17] = MARK;
}

static const struct {
	uint16_t type, tci;
	bool wanted;
} tagged[] = {
	{ 0x8100, 7, true },
	{ 0x8100, 0xe007, true },	/* with a priority */
	{ 0x8100, 8, false },
	{ 0x88b5, 8, true },		/* no tag */
	{ 0x8100, 4095, true },
	{ 0x8100, 4094, false },
	{ 0x8100, 0xe000, true },	/* of no VLAN */
	{ 0x8100, 64, true },
	{ 0x8100, 128, false },
};

static const uint64_t wanted_vlans[64] = {
	[0] = VIRTQ_BIT(7), [1] = VIRTQ_BIT(0), [63] = VIRTQ_BIT(63),
};

/* The k-th frame of a burst. */
static void
fill_kth(uint8_t *data, unsigned int k)
{
	fill_tagged(data, tagged[k % RTE_DIM(tagged)].type, tagged[k % RTE_DIM(tagged)].tci);
}

static bool
is_kth_wanted(unsigned int k)
{
	return tagged[k % RTE_DIM(tagged)].wanted;
}

static unsigned int
count_wanted(unsigned int frames)
{
	unsigned int n = 0;

	for (unsigned int k = 0; k < frames; k++)
		n += is_kth_wanted(k);
	return n;
}

/* Those of so many frames that are wanted, in order; they are freed. */
static void
expect_wanted(struct rte_mbuf **pkts, unsigned int frames, bool strip)
{
	for (unsigned int k = 0; k < frames; k++) {
		const uint16_t type = tagged[k % RTE_DIM(tagged)].type;
		const bool stripped = strip && type == 0x8100;
		uint8_t data[80];

		if (!is_kth_wanted(k))
			continue;
		fill_kth(data, k);
		assert_int_equal((*pkts)->pkt_len, stripped ? 76 : 80);
		if (stripped)
			assert_int_equal((*pkts)->vlan_tci, tagged[k % RTE_DIM(tagged)].tci);
		else
			assert_memory_equal(rte_pktmbuf_mtod(*pkts, void *), data, 80);
		rte_pktmbuf_free(*pkts++);
	}
}

/* The rest is counted under its own name alone. */
static void
expect_filtered(const struct vnet_stats *stats, unsigned int frames)
{
	const unsigned int n = count_wanted(frames);

	assert_int_equal(stats->packets, n);
	assert_int_equal(stats->bytes, n * 80);
	assert_int_equal(stats->size_bin[1], n);
	assert_int_equal(stats->drop[VNET_DROP_VLAN], frames - n);
}

/* Of one burst, be it of a round or of several. */
#define LONG_BURST 100
static void
vlans(void **state)
{
	static const uint16_t bursts[] = {RTE_DIM(tagged), LONG_BURST};

	for (unsigned int i = 0; i < 4 * RTE_DIM(rings); i++) {
		const bool strip = i & 1;
		const uint16_t frames = bursts[i >> 1 & 1];
		struct rte_mbuf *pkts[LONG_BURST];
		struct port p;

		port_open(&p, 512, rings[i >> 2], 2048, 1);
		p.rxq.flags |= VNET_F_VLAN_FILTER | VNET_F_STATS | (strip ? VNET_F_VLAN_STRIP : 0);
		p.rxq.vlan_ids = wanted_vlans;
		for (unsigned int k = 0; k < frames; k++) {
			uint8_t data[80];

			fill_kth(data, k);
			assert_true(port_send(&p, NULL, data, sizeof(data),
					      &layouts[k % NLAYOUTS]));
		}
		assert_int_equal(port_rx(&p, pkts, frames), count_wanted(frames));
		expect_wanted(pkts, frames, strip);
		expect_filtered(&p.rxq.stats, frames);
		assert_int_equal(port_reap(&p), frames);
		port_close(&p);
	}
}

/* A driver's ring that has moved on by `before`. */
static void
driver_vlans(uint64_t features, uint16_t before, bool strip)
{
	struct rte_mbuf *pkts[LONG_BURST];
	static struct feed r;
	uint16_t got;

	feed_open(&r, 128, features, small_pool);
	for (uint16_t k = 0; k < before; k++)
		feed_use(&r, 0, NULL, 80, 80);
	assert_int_equal(feed_receive(&r, pkts, LONG_BURST), before);
	rte_pktmbuf_free_bulk(pkts, before);
	rdev_held_fetch_all(&r.held, &r.l.rdev);
	memset(&r.l.rxq.stats, 0, sizeof(r.l.rxq.stats));
	r.l.rxq.flags |= VNET_F_VLAN_FILTER | VNET_F_STATS | (strip ? VNET_F_VLAN_STRIP : 0);
	r.l.rxq.vlan_ids = wanted_vlans;
	for (unsigned int k = 0; k < LONG_BURST; k++)
		fill_kth(feed_use(&r, 0, NULL, 80, 80), k);
	got = link_rx(&r.l, pkts, LONG_BURST);
	assert_int_equal(got, count_wanted(LONG_BURST));
	expect_wanted(pkts, LONG_BURST, strip);
	expect_filtered(&r.l.rxq.stats, LONG_BURST);
	/* What was dropped is there to be offered again. */
	assert_int_equal(r.l.rxq.stats.nombuf, 0);
	link_close(&r.l);
	expect_all_mbufs();
}

/* The same on the driver's side, over the end of the ring as well. */
static void
vlans_of_a_driver(void **state)
{
	static const uint64_t features[] = {F_V1, F_V1 | F_MRG, F_V1 | F_PACKED,
					    F_V1 | F_MRG | F_PACKED};

	for (unsigned int i = 0; i < 4 * RTE_DIM(features); i++)
		driver_vlans(features[i >> 2], i & 1 ? 60 : 0, i & 2);
}

/* With Tx flags come the lengths of headers, which do not count a tag that is taken out. */
static void
lengths_without_tag(void **state)
{
	static const uint64_t flags[] = {RTE_MBUF_F_TX_TCP_CKSUM, RTE_MBUF_F_TX_UDP_CKSUM,
					 RTE_MBUF_F_TX_TCP_SEG, RTE_MBUF_F_TX_UDP_SEG, 0};

	for (unsigned int i = 0; i < 2 * RTE_DIM(flags); i++) {
		struct vnet_rxq rxq = {.flags = VNET_F_VLAN_STRIP};
		const bool tag = i & 1, lens = flags[i / 2] != 0;
		struct rte_mbuf *m = mbuf_new(80, i, SHAPE_LINEAR);

		fill_tagged(rte_pktmbuf_mtod(m, uint8_t *), tag ? 0x8100 : 0x88b5, 7);
		m->l2_len = 18;
		m->ol_flags = flags[i / 2];
		assert_int_equal(vnet_rx_after(&rxq, &m, 1), 1);
		assert_int_equal(m->pkt_len, tag ? 76 : 80);
		assert_int_equal(m->l2_len, tag && lens ? 14 : 18);
		rte_pktmbuf_free(m);
	}
}

/* A frame that ends within the tag has none. */
static void
short_frames(void **state)
{
	for (uint32_t len = 14; len <= 18; len++) {
		struct rte_mbuf *m;
		uint8_t data[80];
		struct port p;

		port_open(&p, 16, rings[0], 2048, 1);
		p.rxq.flags |= VNET_F_VLAN_FILTER;
		p.rxq.vlan_ids = wanted_vlans;
		fill_tagged(data, 0x8100, 8);
		port_send(&p, NULL, data, len, PLAIN);
		assert_int_equal(port_rx(&p, &m, 1), len < 16);
		if (len < 16)
			rte_pktmbuf_free(m);
		port_reap(&p);
		port_close(&p);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(types),
		cmocka_unit_test(nobody_asks),
		cmocka_unit_test(types_without_tag),
		cmocka_unit_test(hashes),
		cmocka_unit_test(marked_packet),
		cmocka_unit_test(vlans),
		cmocka_unit_test(vlans_of_a_driver),
		cmocka_unit_test(lengths_without_tag),
		cmocka_unit_test(short_frames),
	};

	return cmocka_run_group_tests_name("vnet_rx_after", tests, vnet_setup, vnet_teardown);
}
