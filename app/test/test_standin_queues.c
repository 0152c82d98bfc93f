/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Queues of a port that are set up again, given up and had back: each is as new, and what went
 * through those before it stays counted.
 */
#include "rig_port.h"
#include "vring_stats.h"

#define BOTH_ARGS "queues=2,reconnect-ms=10"
#define QUEUES 2

/* What has gone through each queue since the port was made, or its counters were reset. */
struct counts {
	uint64_t packets[QUEUES], bytes[QUEUES], dropped;
};

static uint32_t
length_of(uint64_t number)
{
	return 60 + number * 131 % 1000;
}

/* n packets out by a queue and back by the same. */
static void
traffic(struct sport *p, struct counts *c, uint16_t queue, uint32_t n)
{
	while (n-- > 0) {
		const uint32_t len = length_of(c->packets[queue]);
		struct rte_mbuf *got;

		sport_send(p, queue, mbuf_new(len, n, SHAPE_LINEAR));
		got = sport_receive(p, queue);
		assert_non_null(got);
		expect_bytes(mbuf_bytes(got), got->pkt_len, len, n);
		assert_ptr_equal(got->pool, p->pool);
		assert_int_equal(got->port, p->id);
		rte_pktmbuf_free(got);
		c->packets[queue]++;
		c->bytes[queue] += len;
	}
}

static void
expect_counts(struct sport *p, const struct counts *c)
{
	uint64_t packets = 0, bytes = 0;
	struct vring_compat_queue_stats queues = {0};
	struct rte_eth_stats st = {0};

	assert_int_equal(vring_stats_get(&rte_eth_devices[p->id], &st, &queues), 0);
	for (uint16_t i = 0; i < QUEUES; i++) {
		assert_int_equal(queues.q_ipackets[i], c->packets[i]);
		assert_int_equal(queues.q_opackets[i], c->packets[i]);
		assert_int_equal(queues.q_ibytes[i], c->bytes[i]);
		assert_int_equal(queues.q_obytes[i], c->bytes[i]);
		packets += c->packets[i];
		bytes += c->bytes[i];
	}
	assert_int_equal(st.ipackets, packets);
	assert_int_equal(st.opackets, packets);
	assert_int_equal(st.ibytes, bytes);
	assert_int_equal(st.obytes, bytes);
	assert_int_equal(st.oerrors, c->dropped);
	assert_int_equal(st.ierrors + st.imissed, 0);
}

static void
stop_port(struct sport *p)
{
	assert_int_equal(rte_eth_dev_stop(p->id), 0);
}

static void
start(struct sport *p)
{
	assert_int_equal(rte_eth_dev_start(p->id), 0);
	assert_true(sport_link(p));
}

/* The port is stopped and started with so many queues, which receive into that pool. */
static void
reconfigure(struct sport *p, const char *args, uint16_t queues, struct rte_mempool *pool)
{
	const struct sport_config c = {.args = args, .queues = queues, .pool = pool};

	stop_port(p);
	sport_configure(p, &c);
	start(p);
}

/* Fewer, more, and as many as before, again and again. */
static void
fewer_and_more(struct sport *p, const char *args)
{
	const struct sport_config c = {.args = args, .queues = QUEUES};
	struct counts counts = {.dropped = 0};

	sport_open(p, &c);
	traffic(p, &counts, 0, 300);
	traffic(p, &counts, 1, 100);
	for (uint32_t i = 0; i < 12; i++) {
		static const uint16_t queues[] = {1, 2, 2, 1, 1, 2};
		struct rte_mempool *pool = i % 4 < 2 ? large_pool : small_pool;
		const uint16_t n = queues[i % RTE_DIM(queues)];

		if (pool == large_pool && n == 2) /* of too few mbufs for more rings */
			pool = small_pool;
		reconfigure(p, args, n, pool);
		expect_counts(p, &counts);
		for (uint16_t q = 0; q < n; q++) {
			struct rte_eth_rxq_info info;

			traffic(p, &counts, q, 20 + 30 * q + i);
			assert_int_equal(rte_eth_rx_queue_info_get(p->id, q, &info), 0);
			assert_ptr_equal(info.mp, pool);
			expect_counts(p, &counts);
		}
		if (i == 7) {
			assert_int_equal(rte_eth_stats_reset(p->id), 0);
			counts = (struct counts){.dropped = 0};
			expect_counts(p, &counts);
		}
	}
	stop_port(p);
	expect_counts(p, &counts);
	start(p);
	traffic(p, &counts, 0, 10);
	expect_counts(p, &counts);
	sport_close(p);
}
BOTH(fewer_and_more)

/* One queue of several, in the same configuration. */
static void
one_anew(struct sport *p, const char *args)
{
	const struct sport_config c = {.args = args, .queues = QUEUES};
	struct counts counts = {.dropped = 0};

	sport_open(p, &c);
	for (uint16_t i = 0; i < 8; i++) {
		const uint16_t q = i % 2;

		traffic(p, &counts, 0, 50);
		traffic(p, &counts, 1, 70);
		stop_port(p);
		if (i & 2)
			assert_int_equal(rte_eth_rx_queue_setup(p->id, q, 256, 0, NULL, p->pool),
					 0);
		else
			assert_int_equal(rte_eth_tx_queue_setup(p->id, q, 256, 0, NULL), 0);
		expect_counts(p, &counts);
		start(p);
		expect_counts(p, &counts);
	}
	traffic(p, &counts, 0, 5);
	traffic(p, &counts, 1, 5);
	expect_counts(p, &counts);
	sport_close(p);
}
BOTH(one_anew)

/* What no offload can do is dropped, and counted. */
static void
drops(struct sport *p, struct counts *c, uint16_t queue, uint32_t n)
{
	while (n-- > 0) {
		struct rte_mbuf *m = mbuf_new(100, n, SHAPE_LINEAR);

		m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG; /* into pieces of nothing */
		sport_send(p, queue, m);
		c->dropped++;
	}
}

/* A queue that did not start with the port, and one that dropped packets, leave no trace. */
static void
not_deferred_any_more(struct sport *p, const char *args)
{
	const struct sport_config c = {.args = args, .queues = QUEUES};
	const struct rte_eth_txconf late = {.tx_deferred_start = 1};
	struct counts counts = {.dropped = 0};
	struct rte_eth_txq_info info;
	struct rte_mbuf *m;

	sport_open(p, &c);
	traffic(p, &counts, 1, 50);
	drops(p, &counts, 1, 30);
	stop_port(p);
	assert_int_equal(rte_eth_tx_queue_setup(p->id, 1, 256, 0, &late), 0);
	start(p);
	m = mbuf_new(100, 0, SHAPE_LINEAR);
	assert_int_equal(rte_eth_tx_burst(p->id, 1, &m, 1), 0);
	rte_pktmbuf_free(m);
	drops(p, &counts, 0, 20);
	traffic(p, &counts, 0, 50);
	expect_counts(p, &counts);
	stop_port(p);
	assert_int_equal(rte_eth_tx_queue_setup(p->id, 1, 256, 0, NULL), 0);
	assert_int_equal(rte_eth_tx_queue_info_get(p->id, 1, &info), 0);
	assert_int_equal(info.conf.tx_deferred_start, 0);
	expect_counts(p, &counts);
	start(p);
	traffic(p, &counts, 1, 50);
	expect_counts(p, &counts);
	sport_close(p);
}
BOTH(not_deferred_any_more)

/* Refused for its pool, the queue is not there; set up with another it is as if nothing was. */
static void
refused_once(struct sport *p, const char *args)
{
	struct rte_mempool *tiny = rte_pktmbuf_pool_create("tiny", 15, 0, 0,
							   RTE_PKTMBUF_HEADROOM + 63, 0);
	const struct sport_config c = {.args = args, .queues = QUEUES};
	struct counts counts = {.dropped = 0};

	assert_non_null(tiny);
	watch_log();
	sport_open(p, &c);
	traffic(p, &counts, 0, 50);
	traffic(p, &counts, 1, 50);
	stop_port(p);
	assert_int_equal(rte_eth_rx_queue_setup(p->id, 1, 256, 0, NULL, tiny), -EINVAL);
	expect_counts(p, &counts);
	assert_int_equal(rte_eth_dev_start(p->id), -EINVAL);
	assert_int_equal(rte_eth_rx_queue_setup(p->id, 1, 256, 0, NULL, p->pool), 0);
	start(p);
	traffic(p, &counts, 1, 50);
	traffic(p, &counts, 0, 50);
	expect_counts(p, &counts);
	sport_close(p);
	rte_mempool_free(tiny);
}
BOTH(refused_once)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(fewer_and_more),
		BOTH_TESTS(one_anew),
		BOTH_TESTS(not_deferred_any_more),
		BOTH_TESTS(refused_once),
	};

	return cmocka_run_group_tests_name("standin_queues", tests, sport_group_setup,
					   sport_group_teardown);
}
