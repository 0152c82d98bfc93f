/* SPDX-License-Identifier: BSD-3-Clause */
/* The bursts as ethdev calls them, on rings that take and give as many packets as they are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vring_be_queue.h"
#include "vring_role.h"
#include "vring_rxtx.h"

#define RINGS 3

static struct vring_poll_set *set;
static uint16_t holds[RINGS];	/* packets in, or room of, each ring; its cursors tell which */
static struct virtq_cursor cursors[RINGS];
static struct vring_rxq rxq;
static struct vring_txq txq;

const struct vring_queue_ops *
vring_role_queue_ops(const struct vring_port *port)
{
	return &vring_be_queue_ops;
}

static uint16_t
take(const struct virtq_cursor *cursor, uint16_t n)
{
	uint16_t *left = &holds[cursor - cursors];
	uint16_t got = RTE_MIN(n, *left);

	*left -= got;
	return got;
}

static uint16_t
ring_rx(struct vnet_rxq *q, struct virtq_cursor *cursor, const struct virtq_ring *ring,
	struct rte_mbuf **pkts, uint16_t n)
{
	return take(cursor, n);
}

static uint16_t
ring_tx(struct vnet_txq *q, struct virtq_cursor *cursor, const struct virtq_ring *ring,
	struct rte_mbuf **pkts, uint16_t n)
{
	return take(cursor, n);
}

/* n rings that hold so many packets each. */
static void
set_up(bool tx, uint16_t n, uint16_t each)
{
	memset(&rxq, 0, sizeof(rxq));
	memset(&txq, 0, sizeof(txq));
	memset(set, 0, vring_qmap_size(RINGS));
	set->n = n;
	set->why = VNET_DROP_NO_GUEST;
	for (unsigned int i = 0; i < n; i++) {
		struct vring_poll_entry *ring = &set->entry[i];

		ring->cursor = &cursors[i];
		if (tx)
			ring->tx = ring_tx;
		else
			ring->rx = ring_rx;
		holds[i] = each;
	}
	rxq.q.rcu.ptr = txq.q.rcu.ptr = set;
}

/* Which classes have counted, as a bit each; every one of them once. */
static unsigned int
classes(const struct vnet_stats *stats)
{
	unsigned int mask = 0;

	for (unsigned int i = 0; i < VNET_BURST_BINS; i++) {
		assert_uint_in_range(stats->burst_bin[i], 0, 1);
		mask |= (unsigned int)stats->burst_bin[i] << i;
	}
	return mask;
}

static const struct {
	uint16_t packets, bin;
} sizes[] = {
	{0, 0}, {1, 1}, {2, 2}, {3, 2}, {4, 3}, {7, 3}, {8, 4}, {15, 4}, {16, 5}, {31, 5},
	{32, 6}, {63, 6}, {64, 7}, {65, 7}, {1024, 7}, {UINT16_MAX, 7},
};

static void
rx_bursts_are_counted_by_size(void **state)
{
	for (unsigned int i = 0; i < RTE_DIM(sizes); i++) {
		set_up(false, 1, sizes[i].packets);
		assert_int_equal(vring_rxtx_rx_burst(&rxq, NULL, UINT16_MAX), sizes[i].packets);
		assert_int_equal(classes(&rxq.rx.stats), 1u << sizes[i].bin);
	}
}

static void
tx_bursts_are_counted_by_size(void **state)
{
	for (unsigned int i = 0; i < RTE_DIM(sizes); i++) {
		set_up(true, 1, sizes[i].packets);
		assert_int_equal(vring_rxtx_tx_burst(&txq, NULL, UINT16_MAX), sizes[i].packets);
		assert_int_equal(classes(&txq.tx.stats), 1u << sizes[i].bin);
	}
}

/* What an application gets from several rings in one call is one burst, and all have their turn. */
static void
rings_are_one_burst(void **state)
{
	static struct rte_mbuf *pkts[32];

	set_up(false, RINGS, 11);
	assert_int_equal(vring_rxtx_rx_burst(&rxq, pkts, 32), 32);
	assert_int_equal(classes(&rxq.rx.stats), 1u << 6);
	assert_int_equal(holds[0] + holds[1] + holds[2], 1);
	assert_int_equal(vring_rxtx_rx_burst(&rxq, pkts, 32), 1);
	assert_int_equal(classes(&rxq.rx.stats), 1u << 6 | 1u << 1);

	set_up(false, RINGS, 2);
	for (unsigned int i = 0; i < RINGS; i++) {
		assert_int_equal(vring_rxtx_rx_burst(&rxq, pkts, 1), 1);
		assert_int_equal(holds[i], 1);
	}
}

/* A queue without a ring, or that the control thread has taken from: calls are counted too. */
static void
nothing_to_burst_on(void **state)
{
	set_up(false, 0, 0);
	assert_int_equal(vring_rxtx_rx_burst(&rxq, NULL, 32), 0);
	assert_int_equal(classes(&rxq.rx.stats), 1);

	set_up(true, 1, 32);
	txq.q.rcu.ptr = NULL;
	assert_int_equal(vring_rxtx_tx_burst(&txq, NULL, 32), 0);
	assert_int_equal(classes(&txq.tx.stats), 1);
	assert_int_equal(txq.tx.stats.refused, 32);
	assert_int_equal(holds[0], 32);
}

/* What a full ring does not take is the application's: refused, in each burst anew, not dropped. */
static void
full_rings_refuse(void **state)
{
	struct rte_mbuf *pkts[16];

	set_up(true, 1, 20);
	assert_int_equal(vring_rxtx_tx_burst(&txq, pkts, 16), 16);
	assert_int_equal(txq.tx.stats.refused, 0);
	assert_int_equal(vring_rxtx_tx_burst(&txq, pkts, 16), 4);
	assert_int_equal(txq.tx.stats.refused, 12);
	assert_int_equal(vring_rxtx_tx_burst(&txq, pkts + 4, 12), 0);
	assert_int_equal(txq.tx.stats.refused, 24);
	for (unsigned int i = 0; i < VNET_DROP_MAX; i++)
		assert_int_equal(txq.tx.stats.drop[i], 0);
}

static void
classes_have_names(void **state)
{
	for (unsigned int i = 0; i <= VNET_BURST_BINS; i++)
		for (unsigned int j = 0; j < i; j++)
			assert_string_not_equal(vnet_burst_bin_name(i), vnet_burst_bin_name(j));
	assert_string_equal(vnet_burst_bin_name(VNET_BURST_BINS), "unknown");
}

static int
group_setup(void **state)
{
	set = calloc(1, vring_qmap_size(RINGS));
	return set == NULL ? -1 : 0;
}

static int
group_teardown(void **state)
{
	free(set);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rx_bursts_are_counted_by_size),
		cmocka_unit_test(tx_bursts_are_counted_by_size),
		cmocka_unit_test(rings_are_one_burst),
		cmocka_unit_test(nothing_to_burst_on),
		cmocka_unit_test(full_rings_refuse),
		cmocka_unit_test(classes_have_names),
	};

	return cmocka_run_group_tests_name("vring_bursts", tests, group_setup, group_teardown);
}
