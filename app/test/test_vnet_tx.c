/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets to a guest: every ring layout, buffer layout and kind of mbuf, and nothing is lost. */
#include "rig_guest_net.h"
#include "rig_hash.h"
#include "vnet_hash.h"

static struct frame frame;

static const uint64_t rings[] = {
	F_V1 | F_INDIRECT,
	F_V1 | F_INDIRECT | F_MRG,
	F_INDIRECT,
	F_INDIRECT | F_MRG,
	F_V1 | F_INDIRECT | F_MRG | F_HASH_REPORT,
	F_V1 | F_INDIRECT | F_PACKED | F_MRG | F_HASH_REPORT,
	F_V1 | F_INDIRECT | F_PACKED,
	F_V1 | F_INDIRECT | F_PACKED | F_MRG,
	F_V1 | F_INDIRECT | F_PACKED | F_MRG | F_IN_ORDER,
	F_INDIRECT | F_PACKED,
};

#define NRINGS (sizeof(rings) / sizeof(rings[0]))
#define NSPLIT 5

static const uint32_t lens[] = {
	14, 15, 60, 64, 65, 127, 128, 255, 256, 511, 512, 1023, 1024, 1514, 1518, 1519, 2034,
	4096, 9000, 65535 - 100, 65549,
};

#define NLENS (sizeof(lens) / sizeof(lens[0]))

static void
fill_ring(struct port *p, uint32_t bytes, const struct layout *l)
{
	while (port_offer(p, bytes, l, true))
		;
}

static uint16_t
give_one(struct port *p, struct rte_mbuf *m)
{
	return port_tx(p, &m, 1);
}

static void
expect_frame(struct port *p, uint32_t len, uint32_t seed)
{
	assert_true(port_receive(p, &frame));
	expect_bytes(frame.data, frame.len, len, seed);
	assert_int_equal(frame.hdr.hdr.flags, 0);
	assert_int_equal(frame.hdr.hdr.gso_type, 0);
	assert_int_equal(frame.hdr.hdr.gso_size, 0);
}

/* One packet at a time: every length in every shape of mbuf into every shape of buffer. */
static void
every_packet(uint64_t features, uint32_t regions)
{
	bool mrg = features & F_MRG;

	for (uint32_t l = 0; l < NLAYOUTS; l++) {
		struct port p;
		uint64_t bytes = 0, packets = 0;

		port_open(&p, 256, features, mrg ? 1537 : 66000, mrg ? regions : 1);
		for (uint32_t i = 0; i < NLENS * SHAPE_MAX; i++) {
			uint32_t len = lens[i / SHAPE_MAX];
			enum shape shape = i % SHAPE_MAX;

			if (len > 65400 && shape != SHAPE_CHAIN)
				continue;
			fill_ring(&p, p.slot_bytes, &layouts[l]);
			if (give_one(&p, mbuf_new(len, i, shape)) != 1) {
				fail_msg("%u bytes, layout %u", len, l);
			}
			expect_frame(&p, len, i);
			assert_int_equal(frame.chains, mrg ? (len + p.hdr_len + 1536) / 1537 : 1);
			bytes += len;
			packets++;
		}
		assert_int_equal(p.txq.stats.packets, packets);
		assert_int_equal(p.txq.stats.bytes, bytes);
		port_close(&p);
	}
}

static void
every_packet_split(void **state)
{
	for (int i = 0; i < NSPLIT; i++)
		every_packet(rings[i], 3);
}

static void
every_packet_packed(void **state)
{
	for (uint32_t i = NSPLIT; i < NRINGS; i++)
		every_packet(rings[i], 3);
}

/* Bursts of mixed packets into small buffers of mixed layout; the ring is short all the time. */
static void
bursts(uint64_t features, uint16_t size, uint32_t bytes)
{
	uint64_t x = features + size;
	uint32_t sent = 0, received = 0, made = 0;
	struct rte_mbuf *pkts[64];
	uint16_t have = 0;
	struct port p;
	uint32_t len_of[256];

	port_open(&p, size, features, bytes, 4);
	while (received < 3000) {
		while (have < 64 && made - received < 256) {
			uint32_t range = features & F_MRG ? bytes * 3 : bytes - 26;
			uint32_t len = 14 + rd_random(&x) % range;

			len_of[made % 256] = len;
			pkts[have++] = mbuf_new(len, made++, rd_random(&x) % SHAPE_MAX);
		}
		for (uint32_t i = rd_random(&x) % 8; i > 0; i--)
			if (!port_offer(&p, bytes, &layouts[rd_random(&x) % NLAYOUTS], true))
				break;
		if (rd_random(&x) % 4 == 0) {
			uint16_t n = have < 1 ? 0 : 1 + rd_random(&x) % have;

			n = n > 0 ? port_tx(&p, pkts, n) : 0;
			sent += n;
			memmove(pkts, pkts + n, (have - n) * sizeof(pkts[0]));
			have -= n;
		}
		while (received < sent) {
			expect_frame(&p, len_of[received % 256], received);
			received++;
		}
		assert_int_equal(port_receive(&p, &frame), false);
	}
	assert_int_equal(p.txq.stats.packets, sent);
	for (int i = 0; i < VNET_DROP_MAX; i++)
		assert_int_equal(p.txq.stats.drop[i], 0);
	rte_pktmbuf_free_bulk(pkts, have);
	port_close(&p);
}

static void
bursts_split(void **state)
{
	for (int i = 0; i < NSPLIT; i++) {
		bursts(rings[i], 64, 300);
		bursts(rings[i], 256, 1600);
	}
}

static void
bursts_packed(void **state)
{
	for (uint32_t i = NSPLIT; i < NRINGS; i++) {
		bursts(rings[i], 64, 300);
		bursts(rings[i], 97, 1600);
	}
}

/* A packet of many chains between small ones, all in one burst. */
static void
large_between_small(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		struct rte_mbuf *pkts[9];
		struct port p;

		if (!(rings[i] & F_MRG))
			continue;
		for (uint32_t l = 0; l < NLAYOUTS; l++) {
			port_open(&p, 1024, rings[i], 200, 5);
			fill_ring(&p, 200, &layouts[l]);
			for (int k = 0; k < 9; k++)
				pkts[k] = mbuf_new(k % 4 == 2 ? 9000 : 100, k, SHAPE_LINEAR);
			assert_int_equal(port_tx(&p, pkts, 9), 9);
			for (int k = 0; k < 9; k++)
				expect_frame(&p, k % 4 == 2 ? 9000 : 100, k);
			assert_false(port_receive(&p, &frame));
			port_close(&p);
		}
	}
}

/* The same, first in the burst: what was fetched for the burst is stale afterwards. */
static void
large_before_small(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		struct rte_mbuf *pkts[8];
		struct port p;

		if (!(rings[i] & F_MRG))
			continue;
		for (uint32_t l = 0; l < NLAYOUTS; l++) {
			port_open(&p, 256, rings[i], 200, 5);
			fill_ring(&p, 200, &layouts[l]);
			for (int k = 0; k < 8; k++)
				pkts[k] = mbuf_new(k == 0 ? 2034 : 100, k, SHAPE_LINEAR);
			assert_int_equal(port_tx(&p, pkts, 8), 8);
			for (int k = 0; k < 8; k++)
				expect_frame(&p, k == 0 ? 2034 : 100, k);
			assert_false(port_receive(&p, &frame));
			port_close(&p);
		}
	}
}

/*
 * Chains of so many segments that the scratch takes only some of them: what those do not hold
 * will not fit next time either.
 */
static void
larger_than_the_scratch(void **state)
{
	const struct layout comb = {.n = 8, .form = RD_INDIRECT, .piece = {1, 1, 1, 1, 1, 1, 1}};

	for (uint32_t i = 0; i < NRINGS; i++) {
		struct rte_mbuf *pkts[2];
		struct port p;

		if (!(rings[i] & F_MRG))
			continue;
		port_open(&p, 1024, rings[i], 40, 3);
		fill_ring(&p, 40, &comb);
		pkts[0] = mbuf_new(9000, 0, SHAPE_LINEAR);
		pkts[1] = mbuf_new(100, 1, SHAPE_LINEAR);
		assert_int_equal(port_tx(&p, pkts, 2), 2);
		expect_frame(&p, 100, 1);
		assert_int_equal(p.txq.stats.drop[VNET_DROP_OVERSIZE], 1);
		port_close(&p);
	}
}

/* A ring that is short of buffers for a packet gives none away; nothing is lost. */
static void
ring_is_short(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		struct rte_mbuf *pkts[4];
		struct port p;

		if (!(rings[i] & F_MRG))
			continue;
		port_open(&p, 16, rings[i], 1024, 1);
		for (int k = 0; k < 3; k++)
			port_offer(&p, 1024, PLAIN, true);
		for (int k = 0; k < 4; k++)
			pkts[k] = mbuf_new(k == 0 ? 500 : 3500, k, SHAPE_LINEAR);
		assert_int_equal(port_tx(&p, pkts, 4), 1);
		expect_frame(&p, 500, 0);
		assert_int_equal(port_tx(&p, pkts + 1, 3), 0);
		assert_false(port_receive(&p, &frame));
		assert_int_equal(rd_pending(&p.r), 2);
		port_offer(&p, 1024, PLAIN, true);
		port_offer(&p, 1024, PLAIN, true);
		assert_int_equal(port_tx(&p, pkts + 1, 3), 1);
		expect_frame(&p, 3500, 1);
		assert_int_equal(port_tx(&p, pkts + 2, 2), 0);
		fill_ring(&p, 1024, PLAIN);
		assert_int_equal(port_tx(&p, pkts + 2, 2), 2);
		expect_frame(&p, 3500, 2);
		expect_frame(&p, 3500, 3);
		port_close(&p);
	}
}

/* What the whole ring cannot take is dropped; waiting would stop the ring for ever. */
static void
larger_than_the_ring(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		bool mrg = rings[i] & F_MRG;
		struct rte_mbuf *pkts[3];
		struct port p;

		for (uint32_t pieces = 1; pieces <= 2; pieces++) {
			port_open(&p, 4, rings[i], 1024, 1);
			fill_ring(&p, 1024, &layouts[pieces - 1]);
			for (int k = 0; k < 3; k++)
				pkts[k] = mbuf_new(k == 1 ? 5000 : 100, k, SHAPE_LINEAR);
			assert_int_equal(port_tx(&p, pkts, 3), mrg ? 1 : 3);
			expect_frame(&p, 100, 0);
			if (mrg) {
				/* More could come; when the ring is full it cannot. */
				fill_ring(&p, 1024, &layouts[pieces - 1]);
				assert_int_equal(port_tx(&p, pkts + 1, 2), 2);
			}
			expect_frame(&p, 100, 2);
			assert_int_equal(p.txq.stats.drop[VNET_DROP_OVERSIZE], 1);
			assert_int_equal(p.txq.stats.packets, 2);
			port_close(&p);
		}
	}
}

/* Without merging a packet has to fit one chain; that chain stays for the next one. */
static void
not_mergeable_too_small(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		struct rte_mbuf *pkts[3];
		struct port p;

		if (rings[i] & F_MRG)
			continue;
		for (uint32_t l = 0; l < NLAYOUTS; l++) {
			uint32_t most = 1024 - (rings[i] & F_V1 ? 12 : 10);

			port_open(&p, 16, rings[i], 1024, 1);
			port_offer(&p, 1024, &layouts[l], true);
			port_offer(&p, 1024, &layouts[l], true);
			pkts[0] = mbuf_new(most + 1, 0, SHAPE_LINEAR);
			pkts[1] = mbuf_new(most, 1, SHAPE_LINEAR);
			pkts[2] = mbuf_new(most, 2, SHAPE_CHAIN);
			assert_int_equal(port_tx(&p, pkts, 3), 3);
			expect_frame(&p, most, 1);
			expect_frame(&p, most, 2);
			assert_int_equal(p.txq.stats.drop[VNET_DROP_OVERSIZE], 1);
			assert_int_equal(p.txq.stats.packets, 2);
			assert_int_equal(p.txq.stats.bytes, 2 * most);
			port_close(&p);
		}
	}
}

static void
empty_ring_takes_nothing(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		struct rte_mbuf *m;
		struct port p;

		port_open(&p, 16, rings[i], 1024, 1);
		m = mbuf_new(100, 0, SHAPE_LINEAR);
		assert_int_equal(give_one(&p, m), 0);
		assert_int_equal(p.txq.stats.packets, 0);
		rte_pktmbuf_free(m);
		port_close(&p);
	}
}

static void
disabled_ring_gets_nothing(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		struct rte_mbuf *pkts[2];
		const char *name;
		struct port p;

		port_open(&p, 16, rings[i], 1024, 1);
		fill_ring(&p, 1024, PLAIN);
		p.d.ring->enabled = false;
		p.tx = vnet_dev_tx_select(p.d.ring, &name);
		assert_string_equal(name, "disabled");
		pkts[0] = mbuf_new(100, 0, SHAPE_CHAIN);
		pkts[1] = mbuf_new(100, 0, SHAPE_LINEAR);
		assert_int_equal(port_tx(&p, pkts, 2), 2);
		assert_false(port_receive(&p, &frame));
		assert_int_equal(p.txq.stats.drop[VNET_DROP_DISABLED], 2);
		assert_int_equal(p.txq.stats.packets, 0);
		port_close(&p);
	}
}

/* Mbufs of several pools, shared ones and plain ones in one burst are all given back. */
static void
mixed_pools(void **state)
{
	struct rte_mbuf *pkts[32], *kept[8];
	struct port p;

	port_open(&p, 64, rings[5], 4000, 1);
	fill_ring(&p, 4000, PLAIN);
	for (int i = 0; i < 32; i++)
		pkts[i] = mbuf_new(i % 3 == 0 ? 3000 : 200, i, i % SHAPE_MAX);
	for (int i = 0; i < 8; i++) {
		kept[i] = pkts[i * 4];
		rte_mbuf_refcnt_update(kept[i], 1);
	}
	assert_int_equal(port_tx(&p, pkts, 32), 32);
	for (int i = 0; i < 32; i++)
		expect_frame(&p, i % 3 == 0 ? 3000 : 200, i);
	for (int i = 0; i < 8; i++) {
		assert_int_equal(rte_mbuf_refcnt_read(kept[i]), 1);
		rte_pktmbuf_free(kept[i]);
	}
	port_close(&p);
}

/* Packets, bytes, classes of size and kinds of address. */
static void
statistics(void **state)
{
	static const uint32_t bin_of[][2] = {
		{14, 0}, {64, 0}, {65, 1}, {127, 1}, {128, 2}, {255, 2}, {256, 3}, {511, 3},
		{512, 4}, {1023, 4}, {1024, 5}, {1518, 5}, {1519, 6}, {9000, 6},
	};
	uint64_t bytes = 0, bins[VNET_SIZE_BINS] = {0};
	struct port p;

	port_open(&p, 256, rings[1], 2048, 1);
	fill_ring(&p, 2048, PLAIN);
	for (uint32_t i = 0; i < 14; i++) {
		struct rte_mbuf *m = mbuf_new(bin_of[i][0], i, SHAPE_LINEAR);

		if (i % 3 == 1)
			*rte_pktmbuf_mtod(m, uint8_t *) = 0x33;
		if (i % 3 == 2)
			memset(rte_pktmbuf_mtod(m, uint8_t *), 0xff, 6);
		bytes += m->pkt_len;
		bins[bin_of[i][1]]++;
		assert_int_equal(give_one(&p, m), 1);
		assert_memory_equal(p.txq.stats.size_bin, bins, sizeof(bins));
	}
	assert_int_equal(p.txq.stats.packets, 14);
	assert_int_equal(p.txq.stats.bytes, bytes);
	assert_int_equal(p.txq.stats.multicast, 5);
	assert_int_equal(p.txq.stats.broadcast, 4);
	/* Not kept when not wanted. */
	p.txq.flags = 0;
	assert_int_equal(give_one(&p, mbuf_new(64, 0, SHAPE_LINEAR)), 1);
	assert_memory_equal(p.txq.stats.size_bin, bins, sizeof(bins));
	assert_int_equal(p.txq.stats.packets, 15);
	port_close(&p);
}

static void
drop_counts_and_frees(void **state)
{
	struct vnet_txq txq = {.flags = 0};
	struct rte_mbuf *pkts[3];

	for (int i = 0; i < 3; i++)
		pkts[i] = mbuf_new(3000, i, i);
	vnet_tx_drop(&txq, pkts, 3, VNET_DROP_NO_GUEST);
	assert_int_equal(txq.stats.drop[VNET_DROP_NO_GUEST], 3);
	expect_no_mbuf_lost();
}

static void
count_of_buffers(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		struct port p;

		port_open(&p, 16, rings[i], 1024, 1);
		for (uint32_t k = 0; k < 16; k++) {
			assert_int_equal(vnet_ring_count(p.d.ring, &p.d.vq->cursor), k);
			port_offer(&p, 1024, PLAIN, true);
		}
		assert_int_equal(vnet_ring_count(p.d.ring, &p.d.vq->cursor), 16);
		assert_int_equal(give_one(&p, mbuf_new(100, 0, SHAPE_LINEAR)), 1);
		assert_int_equal(vnet_ring_count(p.d.ring, &p.d.vq->cursor), 15);
		port_close(&p);
	}
}

/* An IPv4 packet with ports, from and to addresses of the verification suite of RSS. */
static struct rte_mbuf *
hash_packet(uint8_t proto)
{
	uint8_t data[64] = { [12] = 0x08, [14] = 0x45, [17] = 50, [22] = 64, [23] = proto };
	static const uint8_t tuple[] = {
		66, 9, 149, 187, 161, 142, 100, 80,	/* 66.9.149.187, 161.142.100.80 */
		2794 >> 8, 2794 & 0xff, 1766 >> 8, 1766 & 0xff,
	};

	memcpy(data + 26, tuple, sizeof(tuple));
	return mbuf_of(data, sizeof(data), SHAPE_LINEAR);
}

/* What a guest is told: values of the verification suite, a card's own, or that there is none. */
static void
hash_reports(void **state)
{
	static const uint8_t key[VNET_HASH_KEY] = {
		0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
		0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
		0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
		0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
	};
	static const struct {
		uint8_t proto;
		bool card;
		uint16_t report;
		uint32_t value;
	} cases[] = {
		{ IPPROTO_TCP, false, VIRTIO_NET_HASH_REPORT_TCPv4, 0x51ccc178 },
		{ IPPROTO_UDP, false, VIRTIO_NET_HASH_REPORT_UDPv4, 0x51ccc178 },
		{ IPPROTO_ICMP, false, VIRTIO_NET_HASH_REPORT_IPv4, 0x323e8fc2 },
		{ IPPROTO_TCP, true, VIRTIO_NET_HASH_REPORT_IPv4, 0x12345678 },
		{ IPPROTO_UDP, true, VIRTIO_NET_HASH_REPORT_IPv4, 0x12345678 },
		{ IPPROTO_ICMP, true, VIRTIO_NET_HASH_REPORT_IPv4, 0x12345678 },
	};
	struct vnet_hash hash = { .types = VNET_HASH_TYPES };

	vnet_hash_set_key(&hash, key);
	for (int packed = 0; packed < 2; packed++) {
		struct port p;

		port_open(&p, 64, F_V1 | F_MRG | F_HASH_REPORT | (packed ? F_PACKED : 0), 2048, 1);
		p.txq.hash = &hash;
		fill_ring(&p, 2048, PLAIN);
		for (uint32_t i = 0; i < RTE_DIM(cases); i++) {
			struct rte_mbuf *m = hash_packet(cases[i].proto);

			m->hash.rss = 0x12345678;
			m->ol_flags |= cases[i].card ? RTE_MBUF_F_RX_RSS_HASH : 0;
			assert_int_equal(give_one(&p, m), 1);
			assert_true(port_receive(&p, &frame));
			assert_int_equal(frame.len, 64);
			assert_int_equal(frame.whole.hash_report, cases[i].report);
			assert_int_equal(hash_in(&frame.whole), cases[i].value);
			assert_int_equal(frame.whole.padding, 0);
		}
		assert_int_equal(give_one(&p, mbuf_new(100, 1, SHAPE_LINEAR)), 1);
		expect_frame(&p, 100, 1);
		assert_int_equal(frame.whole.hash_report, VIRTIO_NET_HASH_REPORT_NONE);
		assert_int_equal(hash_in(&frame.whole), 0);
		port_close(&p);
	}
}

static void
names(void **state)
{
	for (int i = 0; i < VNET_DROP_MAX; i++) {
		assert_true(vnet_drop_is_rx(i) || vnet_drop_is_tx(i));
		for (int j = 0; j < i; j++)
			assert_string_not_equal(vnet_drop_name(i), vnet_drop_name(j));
	}
	assert_string_equal(vnet_drop_name(VNET_DROP_MAX), "unknown");
	assert_false(vnet_drop_is_rx(VNET_DROP_MAX));
	for (uint32_t i = 0; i <= VNET_SIZE_BINS; i++)
		for (uint32_t j = 0; j < i; j++)
			assert_string_not_equal(vnet_size_bin_name(i), vnet_size_bin_name(j));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_packet_split),
		cmocka_unit_test(every_packet_packed),
		cmocka_unit_test(bursts_split),
		cmocka_unit_test(bursts_packed),
		cmocka_unit_test(large_between_small),
		cmocka_unit_test(large_before_small),
		cmocka_unit_test(ring_is_short),
		cmocka_unit_test(larger_than_the_ring),
		cmocka_unit_test(larger_than_the_scratch),
		cmocka_unit_test(not_mergeable_too_small),
		cmocka_unit_test(empty_ring_takes_nothing),
		cmocka_unit_test(disabled_ring_gets_nothing),
		cmocka_unit_test(mixed_pools),
		cmocka_unit_test(statistics),
		cmocka_unit_test(drop_counts_and_frees),
		cmocka_unit_test(count_of_buffers),
		cmocka_unit_test(hash_reports),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests_name("vnet_tx", tests, vnet_setup, vnet_teardown);
}
