/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets that a queue holds while addresses are asked for: none is lost, none overtakes. */
#include "rig_guest_net.h"
#include "vring_be_queue.h"
#include "vring_hold.h"
#include "vring_role.h"
#include "vring_rxtx.h"

#define PACKETS 2000u

static struct vring_poll_set *set;
static struct vring_port port;
static struct vring_txq txq;
static struct virtq_dev *dev;
static struct rte_eth_dev ethdev;
static struct rte_eth_dev_data data;
static void *queues[1] = { &txq };
static struct rte_mempool *pool;
static uint16_t room;		/* packets that the ring takes */
static bool misses;		/* what it does not take waits for an address */
static struct rte_mbuf *sent[PACKETS];
static uint32_t nsent;

const struct vring_queue_ops *
vring_role_queue_ops(const struct vring_port *p)
{
	return &vring_be_queue_ops;
}

static uint16_t
ring_tx(struct vnet_txq *q, struct virtq_cursor *cursor, const struct virtq_ring *ring,
	struct rte_mbuf **pkts, uint16_t n)
{
	const uint16_t got = RTE_MIN(n, room);

	memcpy(&sent[nsent], pkts, got * sizeof(pkts[0]));
	nsent += got;
	room -= got;
	virtq_dev_of(cursor)->scratch.missed = misses && got < n;
	return got;
}

static int
group_setup(void **state)
{
	if (vnet_setup(state) != 0)
		return -1;
	pool = rte_pktmbuf_pool_create("held", PACKETS + 47, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
				       SOCKET_ID_ANY);
	set = calloc(1, vring_qmap_size(1));
	dev = aligned_alloc(VIRTQ_CACHE_LINE, sizeof(*dev));
	if (pool == NULL || set == NULL || dev == NULL)
		return -1;
	memset(dev, 0, sizeof(*dev));
	return 0;
}

static int
group_teardown(void **state)
{
	free(set);
	free(dev);
	rte_mempool_free(pool);
	return vnet_teardown(state);
}

static int
hold_setup(void **state)
{
	memset(&txq, 0, sizeof(txq));
	memset(set, 0, vring_qmap_size(1));
	set->n = 1;
	set->entry[0].tx = ring_tx;
	set->entry[0].cursor = &dev->cursor;
	txq.q.published = set;
	txq.q.rcu.ptr = set;
	txq.hold = vring_hold_new(SOCKET_ID_ANY);
	assert_non_null(txq.hold);
	data.nb_tx_queues = 1;
	data.tx_queues = queues;
	ethdev.data = &data;
	port.dev = &ethdev;
	room = 0;
	misses = true;
	nsent = 0;
	return 0;
}

static int
hold_teardown(void **state)
{
	vring_hold_free(txq.hold);
	assert_int_equal(rte_mempool_avail_count(pool), PACKETS + 47);
	return 0;
}

static void
alloc(struct rte_mbuf **pkts, uint16_t n)
{
	assert_int_equal(rte_pktmbuf_alloc_bulk(pool, pkts, n), 0);
}

static void
release_sent(void)
{
	rte_pktmbuf_free_bulk(sent, nsent);
	nsent = 0;
}

static void
what_waits_is_sent_in_order(void **state)
{
	struct rte_mbuf *pkts[100];

	alloc(pkts, 100);
	room = 10;
	assert_int_equal(vring_hold_tx_burst(&txq, pkts, 32), 32);
	assert_int_equal(nsent, 10);
	assert_int_equal(vring_hold_tx_burst(&txq, pkts + 32, 32), 32);
	room = 30;
	vring_hold_drain(&port);
	assert_int_equal(nsent, 40);
	room = 50;
	assert_int_equal(vring_hold_tx_burst(&txq, pkts + 64, 32), 32);
	assert_int_equal(nsent, 90);
	room = 100;
	assert_int_equal(vring_hold_tx_burst(&txq, pkts + 96, 4), 4);
	assert_int_equal(nsent, 100);
	assert_memory_equal(sent, pkts, sizeof(pkts));
	assert_int_equal(txq.tx.stats.refused, 0);
	release_sent();
}

/* A full ring is the application's business, as without an IOMMU. */
static void
a_full_ring_refuses(void **state)
{
	struct rte_mbuf *pkts[8];

	alloc(pkts, 8);
	misses = false;
	room = 3;
	assert_int_equal(vring_hold_tx_burst(&txq, pkts, 8), 3);
	assert_int_equal(txq.tx.stats.refused, 5);
	rte_pktmbuf_free_bulk(pkts + 3, 5);
	release_sent();
	/* Or it is tried again, and then dropped. */
	txq.tx.retries = 3;
	alloc(pkts, 8);
	assert_int_equal(vring_hold_tx_burst(&txq, pkts, 8), 8);
	assert_int_equal(txq.tx.stats.retries, 3);
	assert_int_equal(txq.tx.stats.drop[VNET_DROP_RING_FULL], 8);
	/* What is held comes before, so it waits with that. */
	alloc(pkts, 8);
	misses = true;
	assert_int_equal(vring_hold_tx_burst(&txq, pkts, 4), 4);
	misses = false;
	assert_int_equal(vring_hold_tx_burst(&txq, pkts + 4, 4), 4);
	room = 8;
	vring_hold_drain(&port);
	assert_int_equal(nsent, 8);
	assert_memory_equal(sent, pkts, sizeof(pkts));
	release_sent();
}

static void
there_is_an_end_to_it(void **state)
{
	struct rte_mbuf *pkts[PACKETS];
	uint32_t taken = 0;

	alloc(pkts, PACKETS);
	for (uint32_t i = 0; i + 32 <= PACKETS; i += 32)
		taken += vring_hold_tx_burst(&txq, pkts + taken, 32);
	assert_true(taken >= VRING_HOLD_MAX - 1 && taken <= VRING_HOLD_MAX + VNET_BURST);
	assert_true(txq.tx.stats.refused > 0);
	room = PACKETS;
	vring_hold_drain(&port);
	assert_int_equal(nsent, taken);
	assert_memory_equal(sent, pkts, taken * sizeof(pkts[0]));
	rte_pktmbuf_free_bulk(pkts + taken, PACKETS - taken);
	release_sent();
}

/* A ring that is about to come back is waited for; one that is gone is not. */
static void
a_ring_comes_back_or_not(void **state)
{
	struct rte_mbuf *pkts[8];

	alloc(pkts, 8);
	set->n = 0;
	set->hold = true;
	set->why = VNET_DROP_DISABLED;
	assert_int_equal(vring_hold_tx_burst(&txq, pkts, 4), 4);
	txq.q.rcu.ptr = NULL; /* between two sets */
	assert_int_equal(vring_hold_tx_burst(&txq, pkts + 4, 2), 2);
	txq.q.rcu.ptr = set;
	vring_hold_drain(&port);
	assert_int_equal(txq.tx.stats.drop[VNET_DROP_DISABLED], 0);
	set->n = 1;
	room = 3;
	vring_hold_drain(&port);
	assert_int_equal(nsent, 3);
	set->n = 0;
	set->hold = false;
	vring_hold_drain(&port);
	assert_int_equal(txq.tx.stats.drop[VNET_DROP_DISABLED], 3);
	assert_int_equal(vring_hold_tx_burst(&txq, pkts + 6, 2), 2);
	assert_int_equal(txq.tx.stats.drop[VNET_DROP_DISABLED], 5);
	release_sent();
}

#define HOLD_TEST(fn) cmocka_unit_test_setup_teardown(fn, hold_setup, hold_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		HOLD_TEST(what_waits_is_sent_in_order),
		HOLD_TEST(a_full_ring_refuses),
		HOLD_TEST(there_is_an_end_to_it),
		HOLD_TEST(a_ring_comes_back_or_not),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
