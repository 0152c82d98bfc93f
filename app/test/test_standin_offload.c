/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a port with a stand-in for its device negotiates for an application: hashes of packets,
 * receive offloads, limits.
 */
#include "rig_device_cvq.h"
#include "rig_device_known.h"
#include "rig_port.h"
#include "rig_guest_tcp.h"

#define RSS_TCP RTE_ETH_RSS_NONFRAG_IPV4_TCP
#define F_CTRL_GUEST_OFFLOADS VIRTQ_BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS)
#define F_RSS VIRTQ_BIT(VIRTIO_NET_F_RSS)
#define F_LRO (F_GUEST_TSO4 | F_GUEST_TSO6 | F_GUEST_ECN)

static struct rte_mbuf *
known_flow(uint8_t proto)
{
	static const uint8_t packet[] = {
		0x08, 0, 0x45, 0, 0, 50, 0, 0, 0, 0, 64, 0, 0, 0, 66, 9, 149, 187,
		161, 142, 100, 80, 0x0a, 0xea, 0x06, 0xe6,
	};
	struct rte_mbuf *m = mbuf_new(64, 1, SHAPE_LINEAR);
	uint8_t *data = rte_pktmbuf_mtod(m, uint8_t *);

	memset(data, 0xff, 6);
	memcpy(data + 12, packet, sizeof(packet));
	data[14 + 9] = proto;
	return m;
}

/* The packet comes back with that hash, or (0) with none. */
static void
expect_hash(struct sport *p, uint8_t proto, uint32_t hash)
{
	struct rte_mbuf *m;

	sport_send(p, 0, known_flow(proto));
	m = sport_receive(p, 0);
	assert_non_null(m);
	assert_int_equal(m->pkt_len, 64);
	assert_int_equal(m->ol_flags, hash != 0 ? RTE_MBUF_F_RX_RSS_HASH : 0);
	assert_int_equal(m->hash.rss, hash);
	rte_pktmbuf_free(m);
}

static uint64_t
rx_capa(const struct sport *p)
{
	struct rte_eth_dev_info info;

	assert_int_equal(rte_eth_dev_info_get(p->id, &info), 0);
	return info.rx_offload_capa;
}

/* With RSS types and key are RSS's; without, a command of their own tells them. */
static void
hashes(struct sport *p, const char *args, bool rss)
{
	const struct sport_config c = {
		.args = args,
		.rx_offloads = RTE_ETH_RX_OFFLOAD_RSS_HASH,
		.rss = { .rss_key = known_key, .rss_key_len = STANDIN_KEY, .rss_hf = RSS_TCP },
	};
	struct rte_eth_rss_conf update = { .rss_hf = RTE_ETH_RSS_IPV4 };

	p->s.vdpa.features |= F_HASH_REPORT;
	if (!rss)
		p->s.vdpa.features &= ~F_RSS;
	sport_open(p, &c);
	assert_true(rx_capa(p) & RTE_ETH_RX_OFFLOAD_RSS_HASH);
	for (uint32_t i = 1; i <= 2; i++) {
		assert_true(SPORT_READ(p, vdpa).acked & F_HASH_REPORT);
		assert_int_equal(SPORT_READ(p, commands[4][1]), rss ? i : 0);
		assert_int_equal(SPORT_READ(p, commands[4][2]), rss ? 0 : i);
		expect_hash(p, IPPROTO_TCP, HASH_PORTS);
		expect_hash(p, IPPROTO_UDP, 0);
		sport_reopen(p, &c);
	}
	assert_int_equal(rte_eth_dev_rss_hash_update(p->id, &update), 0);
	expect_hash(p, IPPROTO_TCP, HASH_ADDRS);
	expect_hash(p, IPPROTO_UDP, HASH_ADDRS);
	assert_int_equal(SPORT_READ(p, refusals) + SPORT_READ(p, unknown), 0);
	sport_close(p);
}

#define HASHES(name, args) \
	static void \
	test_##name##_rss(void **state) \
	{ \
		hashes(*state, args, true); \
	} \
	static void \
	test_##name##_report(void **state) \
	{ \
		hashes(*state, args, false); \
	}

HASHES(split, "mrg_rxbuf=0")
HASHES(split_mergeable, "mrg_rxbuf=1")
HASHES(packed, "packed_vq=1,mrg_rxbuf=0")
HASHES(packed_mergeable, "packed_vq=1,mrg_rxbuf=1,in_order=0")

/* RSS brings them unasked; without either headers stay short. */
static void
test_asked_for(void **state)
{
	struct sport_config c = { .rss = { .rss_hf = RSS_TCP } };
	struct sport *p = *state;

	p->s.vdpa.features |= F_HASH_REPORT;
	sport_open(p, &c);
	assert_true(SPORT_READ(p, vdpa).acked & F_HASH_REPORT);
	c.rss.rss_hf = 0;
	sport_reopen(p, &c);
	assert_false(SPORT_READ(p, vdpa).acked & (F_HASH_REPORT | F_RSS));
	assert_true(rx_capa(p) & RTE_ETH_RX_OFFLOAD_RSS_HASH);
	expect_hash(p, IPPROTO_TCP, 0);
	sport_close(p);
}

/* A device that has none, or whose key is too short for ethdev's, or that knows no type of it. */
static void
test_not_offered(void **state)
{
	const struct sport_config c = { .args = NULL };
	struct sport *p = *state;

	for (int i = 0; i < 4; i++) {
		struct sport_config no_cq = { .args = "cq=0" };

		p->s.vdpa.features |= F_HASH_REPORT;
		p->s.vdpa.config.rss_max_key_size = STANDIN_KEY;
		p->s.vdpa.config.supported_hash_types = htole32(0x3f);
		if (i == 0)
			p->s.vdpa.features &= ~F_HASH_REPORT;
		else if (i == 1)
			p->s.vdpa.config.rss_max_key_size = STANDIN_KEY - 1;
		else if (i == 2)
			p->s.vdpa.config.supported_hash_types = htole32(0xfffff000);
		sport_open(p, i == 3 ? &no_cq : &c);
		assert_false(rx_capa(p) & RTE_ETH_RX_OFFLOAD_RSS_HASH);
		assert_false(SPORT_READ(p, vdpa).acked & F_HASH_REPORT);
		sport_close(p);
	}
}

/* A configuration's key and types are in force, not those of the one before it. */
static void
test_new_configuration(void **state)
{
	struct sport_config c = {
		.rx_offloads = RTE_ETH_RX_OFFLOAD_RSS_HASH,
		.rss = { .rss_key = known_key, .rss_key_len = STANDIN_KEY, .rss_hf = RSS_TCP },
	};
	uint8_t key[STANDIN_KEY];
	struct sport *p = *state;

	p->s.vdpa.features |= F_HASH_REPORT;
	sport_open(p, &c);
	memset(key, 0x11, sizeof(key));
	c.rss.rss_key = key;
	c.rss.rss_hf = RTE_ETH_RSS_NONFRAG_IPV4_UDP;
	sport_reopen(p, &c);
	assert_memory_equal(SPORT_READ(p, wishes).key, key, STANDIN_KEY);
	assert_int_equal(SPORT_READ(p, wishes).report_types, VIRTIO_NET_RSS_HASH_TYPE_UDPv4);
	expect_hash(p, IPPROTO_TCP, 0);
	sport_close(p);
}

/* Asked for before the first start it is in force with it, and stays so. */
static void
test_asked_before_start(void **state)
{
	const struct sport_config c = { .args = "queues=2", .queues = 2,
					.rss = { .rss_hf = RSS_TCP } };
	struct rte_eth_rss_conf update = { .rss_key = known_key, .rss_key_len = STANDIN_KEY,
					   .rss_hf = RSS_TCP };
	struct rte_eth_rss_reta_entry64 reta[2] = { { .mask = 1 } }, got[2] = { { .mask = 3 } };
	struct sport *p = *state;

	sport_create(p, &c);
	reta[0].reta[0] = 1;
	assert_int_equal(rte_eth_dev_rss_reta_update(p->id, reta, STANDIN_RETA), 0);
	assert_int_equal(rte_eth_dev_rss_reta_query(p->id, got, STANDIN_RETA), 0);
	assert_int_equal(got[0].reta[0], 1);
	assert_int_equal(got[0].reta[1], 1);
	assert_int_equal(rte_eth_dev_rss_hash_update(p->id, &update), 0);
	for (int i = 0; i < 3; i++) {
		struct standin_wishes w;

		assert_int_equal(rte_eth_dev_start(p->id), 0);
		assert_true(sport_link(p));
		w = SPORT_READ(p, wishes);
		assert_memory_equal(w.key, known_key, STANDIN_KEY);
		assert_int_equal(w.hash_types, i == 0 ? VIRTIO_NET_RSS_HASH_TYPE_TCPv4 : 0);
		assert_int_equal(w.reta[0], 1);
		assert_int_equal(w.reta[2], 0);
		assert_int_equal(w.reta[3], 1);
		if (i == 0) {
			update.rss_hf = 0;
			assert_int_equal(rte_eth_dev_rss_hash_update(p->id, &update), 0);
		}
		if (i < 2)
			assert_int_equal(rte_eth_dev_stop(p->id), 0);
	}
	assert_int_equal(SPORT_READ(p, refusals), 0);
	sport_close(p);
}

/* A device that does not take it all is given what it takes; one that does has all again. */
static void
test_other_limits(void **state)
{
	const struct sport_config c = {
		.args = "queues=2,reconnect-ms=10",
		.queues = 2,
		.rss = { .rss_hf = RSS_TCP | RTE_ETH_RSS_NONFRAG_IPV4_UDP },
	};
	static const struct {
		uint64_t features;
		uint16_t entries, pairs, queues;
		uint32_t types;
	} rows[] = {
		{ F_RSS, STANDIN_RETA, 2, 2, 0x3f },
		{ F_RSS, 32, 2, 2, 0x3f },
		{ F_RSS, 32, 2, 2, 0x3f & ~VIRTIO_NET_RSS_HASH_TYPE_UDPv4 },
		{ 0, STANDIN_RETA, 2, 2, 0x3f },
		{ F_RSS, STANDIN_RETA, 1, 1, 0x3f },
		{ F_RSS, STANDIN_RETA, 2, 2, 0x3f },
	};
	const uint32_t all = VIRTIO_NET_RSS_HASH_TYPE_TCPv4 | VIRTIO_NET_RSS_HASH_TYPE_UDPv4;
	struct sport *p = *state;

	sport_open(p, &c);
	for (unsigned int i = 0; i < RTE_DIM(rows); i++) {
		struct standin_wishes w;

		standin_lock(&p->s);
		p->s.vdpa.gone = true;
		standin_tell(&p->s);
		standin_unlock(&p->s);
		assert_true(BECOMES(!sport_link(p)));
		standin_lock(&p->s);
		p->s.vdpa.features = (p->s.vdpa.features & ~F_RSS) | rows[i].features;
		p->s.vdpa.config.rss_max_indirection_table_length = htole16(rows[i].entries);
		p->s.vdpa.config.supported_hash_types = htole32(rows[i].types);
		p->s.vdpa.config.max_virtqueue_pairs = htole16(rows[i].pairs);
		p->s.vdpa.gone = false;
		standin_unlock(&p->s);
		assert_true(BECOMES(sport_link(p)));
		w = SPORT_READ(p, wishes);
		assert_int_equal(w.hash_types, rows[i].features ? all & rows[i].types : 0);
		if (rows[i].features == 0)
			continue;
		assert_int_equal(w.reta_mask, rows[i].entries - 1);
		for (uint32_t k = 0; k < rows[i].entries; k++)
			assert_int_equal(w.reta[k], k % rows[i].queues);
	}
	assert_int_equal(SPORT_READ(p, refusals), 0);
	sport_close(p);
}

#define MSS 1448
#define PAYLOAD 5000

/* A packet over a segment comes back whole, or in pieces. */
static void
expect_large(struct sport *p, bool whole)
{
	const uint32_t step = whole ? PAYLOAD : MSS;

	sport_send(p, 0, tcp_packet(PAYLOAD, TSO, MSS, 2000));
	for (uint32_t off = 0; off < PAYLOAD; off += step) {
		struct rte_mbuf *m = sport_receive(p, 0);

		assert_non_null(m);
		expect_tcp(m, PAYLOAD, off, RTE_MIN(step, PAYLOAD - off), false);
		assert_int_equal(!!(m->ol_flags & RTE_MBUF_F_RX_LRO), whole);
		rte_pktmbuf_free(m);
	}
	assert_int_equal(sport_dropped(p), 0);
}

static const uint64_t rx_offloads[] = {
	0,
	RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM,
	RTE_ETH_RX_OFFLOAD_TCP_LRO,
};
static const uint64_t guest_offloads[] = { 0, F_GUEST_CSUM, F_GUEST_CSUM | F_LRO };

/* Whatever is configured, the same is negotiated; a command tells what is in use. */
static void
test_guest_offloads(void **state)
{
	struct sport_config c = {
		.tx_offloads = RTE_ETH_TX_OFFLOAD_MULTI_SEGS | RTE_ETH_TX_OFFLOAD_TCP_TSO,
	};
	const uint64_t all = F_GUEST_CSUM | F_LRO;
	struct sport *p = *state;

	p->s.vdpa.features |= F_CTRL_GUEST_OFFLOADS;
	sport_open(p, &c);
	for (unsigned int i = 0; i < 3 * RTE_DIM(rx_offloads); i++) {
		uint32_t before = SPORT_READ(p, commands[5][0]);
		uint64_t want = guest_offloads[i % RTE_DIM(rx_offloads)], in_use;

		c.rx_offloads = rx_offloads[i % RTE_DIM(rx_offloads)];
		sport_reopen(p, &c);
		standin_lock(&p->s);
		assert_int_equal(p->s.vdpa.acked & all, all);
		in_use = standin_in_use(&p->s) & all;
		standin_unlock(&p->s);
		assert_int_equal(in_use, want);
		/* After a reset all of them are. */
		assert_int_equal(SPORT_READ(p, commands[5][0]), before + (want != all));
		expect_large(p, want & F_GUEST_TSO4);
	}
	assert_int_equal(SPORT_READ(p, refusals), 0);
	sport_close(p);
}

/* Without the command, and with a device that refuses it: what is not wanted is not negotiated. */
static void
test_renegotiated(void **state)
{
	struct sport_config c = {
		.args = "reconnect-ms=10",
		.tx_offloads = RTE_ETH_TX_OFFLOAD_MULTI_SEGS | RTE_ETH_TX_OFFLOAD_TCP_TSO,
	};
	struct sport *p = *state;

	for (int refuses = 0; refuses < 2; refuses++) {
		p->s.vdpa.features &= ~F_CTRL_GUEST_OFFLOADS;
		if (refuses) {
			p->s.vdpa.features |= F_CTRL_GUEST_OFFLOADS;
			p->s.mood = STANDIN_REFUSES;
			p->s.refused[0] = VIRTIO_NET_CTRL_GUEST_OFFLOADS;
			p->s.refused[1] = VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET;
		}
		sport_create(p, &c);
		assert_int_equal(rte_eth_dev_start(p->id), 0);
		for (unsigned int i = 0; i < RTE_DIM(rx_offloads); i++) {
			assert_true(BECOMES(sport_link(p)));
			assert_int_equal(SPORT_READ(p, vdpa).acked & (F_GUEST_CSUM | F_LRO),
					 guest_offloads[i]);
			assert_false(SPORT_READ(p, vdpa).acked & F_CTRL_GUEST_OFFLOADS);
			expect_large(p, guest_offloads[i] & F_GUEST_TSO4);
			assert_int_equal(rte_eth_dev_stop(p->id), 0);
			c.rx_offloads = rx_offloads[(i + 1) % RTE_DIM(rx_offloads)];
			sport_configure(p, &c);
			assert_int_equal(rte_eth_dev_start(p->id), 0);
		}
		assert_int_equal(SPORT_READ(p, refusals), refuses);
		sport_close(p);
	}
}

/* What a port says of its rings is what they take. */
static void
test_limits(void **state)
{
	static const struct {
		const char *args;
		uint16_t device, size;
	} rows[] = {
		{ "queue_size=256", 0, 256 },
		{ "queue_size=64,packed_vq=1", 0, 64 },
		{ "queue_size=16", 0, 16 },
		{ "queue_size=128", 32, 32 },
		{ "queue_size=256", 48, 32 }, /* no power of two */
		{ "queue_size=256,packed_vq=1", 48, 48 },
	};
	struct sport *p = *state;

	for (unsigned int i = 0; i < RTE_DIM(rows); i++) {
		const struct sport_config c = {
			.args = rows[i].args,
			.rx_offloads = RTE_ETH_RX_OFFLOAD_SCATTER,
			.tx_offloads = RTE_ETH_TX_OFFLOAD_MULTI_SEGS,
		};
		uint16_t segs = RTE_MIN(rows[i].size, 48) - 1;
		struct rte_mbuf *m = mbuf_new(100, 0, SHAPE_LINEAR);
		struct rte_eth_dev_info info;
		struct rte_eth_rxq_info rxq;
		struct rte_eth_txq_info txq;

		p->s.vdpa.max_num = rows[i].device != 0 ? rows[i].device : STANDIN_RING;
		sport_open(p, &c);
		assert_int_equal(rte_eth_dev_info_get(p->id, &info), 0);
		assert_int_equal(info.tx_desc_lim.nb_seg_max, segs);
		assert_int_equal(info.tx_desc_lim.nb_mtu_seg_max, segs);
		assert_int_equal(info.rx_desc_lim.nb_seg_max, rows[i].size);
		assert_int_equal(info.default_txportconf.ring_size, rows[i].size);
		assert_int_equal(rte_eth_rx_queue_info_get(p->id, 0, &rxq), 0);
		assert_int_equal(rxq.nb_desc, rows[i].size);
		assert_int_equal(rte_eth_tx_queue_info_get(p->id, 0, &txq), 0);
		assert_int_equal(txq.nb_desc, rows[i].size);
		for (uint16_t k = 1; k < segs; k++)
			assert_int_equal(rte_pktmbuf_chain(m, mbuf_new(20, k, SHAPE_LINEAR)), 0);
		memset(rte_pktmbuf_mtod(m, void *), 0xff, 6);
		sport_send(p, 0, m);
		m = sport_receive(p, 0);
		assert_non_null(m);
		assert_int_equal(m->pkt_len, 100 + 20 * (segs - 1));
		rte_pktmbuf_free(m);
		sport_close(p);
	}
}

/* Larger than an mbuf: in a chain for those who asked for such, counted for others. */
static void
test_chains(void **state)
{
	static const struct {
		const char *args;
		uint64_t offloads;
		bool scatter;
	} rows[] = {
		{ NULL, 0, false },
		{ NULL, RTE_ETH_RX_OFFLOAD_SCATTER, true },
		{ NULL, RTE_ETH_RX_OFFLOAD_TCP_LRO, true },
		{ "packed_vq=1", 0, false },
		{ "mrg_rxbuf=1", 0, true },
	};
	struct sport *p = *state;

	for (unsigned int i = 0; i < RTE_DIM(rows); i++) {
		const bool scatter = rows[i].scatter;
		const struct sport_config c = {
			.args = rows[i].args,
			.rx_offloads = rows[i].offloads,
			.tx_offloads = RTE_ETH_TX_OFFLOAD_MULTI_SEGS,
		};
		struct rte_eth_rxq_info rxq;
		struct rte_mbuf *m;

		sport_open(p, &c);
		assert_int_equal(rte_eth_rx_queue_info_get(p->id, 0, &rxq), 0);
		assert_int_equal(rxq.scattered_rx, scatter);
		for (uint32_t k = 0; k < 20; k++)
			sport_send(p, 0, mbuf_new(k % 2 ? 3000 : 2000, k, SHAPE_CHAIN));
		for (uint32_t k = 0; k < 20; k++) {
			if (k % 2 && !scatter)
				continue;
			m = sport_receive(p, 0);
			assert_non_null(m);
			assert_int_equal(m->nb_segs, 1 + k % 2);
			expect_bytes(mbuf_bytes(m), m->pkt_len, k % 2 ? 3000 : 2000, k);
			rte_pktmbuf_free(m);
		}
		if (!scatter) {
			assert_true(BECOMES(rte_eth_rx_burst(p->id, 0, &m, 1) == 0 &&
					    sport_xstat(p, "rx_q0_oversize_dropped") == 10));
		}
		assert_int_equal(sport_dropped(p), scatter ? 0 : 10);
		sport_close(p);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SPORT_TEST(test_split_rss),
		SPORT_TEST(test_split_report),
		SPORT_TEST(test_split_mergeable_rss),
		SPORT_TEST(test_split_mergeable_report),
		SPORT_TEST(test_packed_rss),
		SPORT_TEST(test_packed_report),
		SPORT_TEST(test_packed_mergeable_rss),
		SPORT_TEST(test_packed_mergeable_report),
		SPORT_TEST(test_asked_for),
		SPORT_TEST(test_not_offered),
		SPORT_TEST(test_new_configuration),
		SPORT_TEST(test_asked_before_start),
		SPORT_TEST(test_other_limits),
		SPORT_TEST(test_guest_offloads),
		SPORT_TEST(test_renegotiated),
		SPORT_TEST(test_limits),
		SPORT_TEST(test_chains),
	};

	return cmocka_run_group_tests_name("standin_offload", tests, sport_group_setup,
					   sport_group_teardown);
}
