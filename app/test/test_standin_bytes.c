/* SPDX-License-Identifier: BSD-3-Clause */
/* A port and the stand-in for its device: every byte, for each layout and way of using a ring. */
#include "rig_port.h"
#include "rig_guest_tcp.h"

#define FRAMES 1000

/* Of the sizes that a user may meet, those where something changes come first. */
static uint32_t
any_len(uint32_t number)
{
	static const uint16_t edge[] = {
		60, 61, 64, 65, 127, 128, 1514, 1518, 2034, 2035, 2036, 2047, 2048, 2049, 4096,
		8192, 8999, 9000,
	};
	uint64_t x = number + 1;

	if (number < sizeof(edge) / sizeof(edge[0]))
		return edge[number];
	rd_random(&x);
	return 60 + rd_random(&x) % (9000 - 60 + 1);
}

/* One way of using a ring. */
struct way {
	bool packed, mergeable, in_order, event_idx, indirect;
	bool asleep;		/* the device, until it is kicked */
};

static void
way_args(const struct way *w, struct sport *p, char *args, size_t size)
{
	snprintf(args, size, "packed_vq=%d,mrg_rxbuf=%d,in_order=%d,queue_size=64", w->packed,
		 w->mergeable, w->in_order);
	if (!w->event_idx)
		p->s.vdpa.features &= ~F_EVENT_IDX;
	if (!w->indirect)
		p->s.vdpa.features &= ~F_INDIRECT;
}

static void
expect_features(const struct sport *p, const struct way *w)
{
	uint64_t f = p->s.vdpa.acked;

	assert_int_equal(!!(f & F_PACKED), w->packed);
	assert_int_equal(!!(f & F_MRG), w->mergeable);
	assert_int_equal(!!(f & F_IN_ORDER), w->in_order);
	assert_int_equal(!!(f & F_EVENT_IDX), w->event_idx);
	assert_int_equal(!!(f & F_INDIRECT), w->indirect);
}

/* What was offered was delivered, by the count of each of the four ends. */
static void
expect_balance(struct sport *p, uint64_t offered)
{
	const struct standin *s = &p->s;
	struct rte_eth_stats st;

	assert_int_equal(rte_eth_stats_get(p->id, &st), 0);
	assert_int_equal(st.opackets, offered);
	assert_int_equal(st.ipackets, offered);
	assert_int_equal(sport_dropped(p), 0);
	standin_lock(&p->s);
	assert_int_equal(s->taken, offered);
	assert_int_equal(s->given, offered);
	assert_int_equal(s->filtered + s->discarded, 0);
	standin_unlock(&p->s);
}

static void
verify_way(struct sport *p, const struct way *w)
{
	static const enum shape shapes[] = { SHAPE_LINEAR, SHAPE_CHAIN, SHAPE_CLONE };
	char args[128];
	const struct sport_config c = {
		.args = args,
		.rx_offloads = RTE_ETH_RX_OFFLOAD_SCATTER,
		.tx_offloads = RTE_ETH_TX_OFFLOAD_MULTI_SEGS,
		/* Without merging a buffer has to take the whole of a frame. */
		.pool = w->mergeable ? small_pool : large_pool,
	};

	way_args(w, p, args, sizeof(args));
	SPORT_WRITE(p, sleeps, w->asleep);
	sport_open(p, &c);
	expect_features(p, w);
	for (unsigned int i = 0; i < RTE_DIM(shapes); i++) {
		const struct sport_frames f = { any_len, shapes[i], FRAMES };

		sport_verify(p, &f, 20);
	}
	expect_balance(p, RTE_DIM(shapes) * FRAMES);
	assert_int_equal(SPORT_READ(p, missed), 0);
	assert_int_equal(SPORT_READ(p, naps) > 0, w->asleep);
	sport_close(p);
}

/* One test a way, named by what is on. */
#define WAY(name, ...) \
	static void \
	test_##name(void **state) \
	{ \
		static const struct way w = { __VA_ARGS__ }; \
		verify_way(*state, &w); \
	}
#define EACH_WAY(X) \
	X(split) \
	X(split_event, .event_idx = 1, .indirect = 1) \
	X(split_ordered, .in_order = 1) \
	X(split_ordered_event, .in_order = 1, .event_idx = 1, .indirect = 1) \
	X(split_mergeable, .mergeable = 1) \
	X(split_mergeable_event, .mergeable = 1, .event_idx = 1, .indirect = 1) \
	X(split_mergeable_ordered, .mergeable = 1, .in_order = 1) \
	X(split_all, .mergeable = 1, .in_order = 1, .event_idx = 1, .indirect = 1) \
	X(packed, .packed = 1) \
	X(packed_event, .packed = 1, .event_idx = 1, .indirect = 1) \
	X(packed_ordered, .packed = 1, .in_order = 1) \
	X(packed_ordered_event, .packed = 1, .in_order = 1, .event_idx = 1, .indirect = 1) \
	X(packed_mergeable, .packed = 1, .mergeable = 1) \
	X(packed_mergeable_event, .packed = 1, .mergeable = 1, .event_idx = 1, .indirect = 1) \
	X(packed_mergeable_ordered, .packed = 1, .mergeable = 1, .in_order = 1) \
	X(packed_all, .packed = 1, .mergeable = 1, .in_order = 1, .event_idx = 1, .indirect = 1) \
	X(split_asleep, .asleep = 1) \
	X(split_asleep_event, .asleep = 1, .event_idx = 1) \
	X(split_asleep_all, .asleep = 1, .mergeable = 1, .in_order = 1, .event_idx = 1, \
	  .indirect = 1) \
	X(packed_asleep, .packed = 1, .asleep = 1) \
	X(packed_asleep_event, .packed = 1, .asleep = 1, .event_idx = 1) \
	X(packed_asleep_all, .packed = 1, .asleep = 1, .mergeable = 1, .in_order = 1, \
	  .event_idx = 1, .indirect = 1)

EACH_WAY(WAY)

#define MSS 1448

/* Packets of up to 64 KiB, which come back whole or, to a port without LRO, in segments. */
static void
verify_large(struct sport *p, bool packed, bool lro)
{
	static const uint32_t payloads[] = { 1449, 5000, 16384, 33333, UINT16_MAX - 40 };
	const struct sport_config c = {
		.args = packed ? "packed_vq=1" : NULL,
		.rx_offloads = RTE_ETH_RX_OFFLOAD_SCATTER | RTE_ETH_RX_OFFLOAD_TCP_CKSUM |
			       (lro ? RTE_ETH_RX_OFFLOAD_TCP_LRO : 0),
		.tx_offloads = RTE_ETH_TX_OFFLOAD_MULTI_SEGS | RTE_ETH_TX_OFFLOAD_TCP_TSO |
			       RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_IPV4_CKSUM,
	};
	uint64_t returned = 0;
	struct rte_eth_stats st;

	sport_open(p, &c);
	assert_int_equal(!!(p->s.vdpa.acked & F_GUEST_TSO4), lro);
	for (unsigned int i = 0; i < 20 * RTE_DIM(payloads); i++) {
		uint32_t payload = payloads[i % RTE_DIM(payloads)], step = lro ? payload : MSS;

		sport_send(p, 0, tcp_packet(payload, TSO, MSS, 2000));
		for (uint32_t off = 0; off < payload; off += step, returned++) {
			struct rte_mbuf *m = sport_receive(p, 0);

			assert_non_null(m);
			expect_tcp(m, payload, off, RTE_MIN(step, payload - off), false);
			assert_int_equal(!!(m->ol_flags & RTE_MBUF_F_RX_LRO), lro);
			if (lro)
				assert_int_equal(m->tso_segsz, MSS);
			rte_pktmbuf_free(m);
		}
	}
	assert_int_equal(rte_eth_stats_get(p->id, &st), 0);
	assert_int_equal(st.opackets, 20 * RTE_DIM(payloads));
	assert_int_equal(st.ipackets, returned);
	assert_int_equal(sport_dropped(p), 0);
	sport_close(p);
}

static void
test_split_large(void **state)
{
	verify_large(*state, false, true);
}

static void
test_packed_large(void **state)
{
	verify_large(*state, true, true);
}

static void
test_split_segments(void **state)
{
	verify_large(*state, false, false);
}

static void
test_packed_segments(void **state)
{
	verify_large(*state, true, false);
}

#define WAY_TEST(name, ...) SPORT_TEST(test_##name),

int
main(void)
{
	const struct CMUnitTest tests[] = {
		EACH_WAY(WAY_TEST)
		SPORT_TEST(test_split_large),
		SPORT_TEST(test_packed_large),
		SPORT_TEST(test_split_segments),
		SPORT_TEST(test_packed_segments),
	};

	return cmocka_run_group_tests_name("standin_bytes", tests, sport_group_setup,
					   sport_group_teardown);
}
