/* SPDX-License-Identifier: BSD-3-Clause */
/* Queues that stand still: told of once each time, and of no others. Time is the test's own. */
#include "rig_guest_net.h"
#include "rig_watch.h"

#include <string.h>

#include "vring_qmap.h"
#include "vring_role.h"
#include "vring_rxtx.h"
#include "vring_stall.h"

#define LIMIT_MS 1000u
#define LOOK_MS 100u

static struct vring_port port;
static struct rte_eth_dev ethdev;
static struct rte_eth_dev_data data;
static struct vring_stats_base base[2];
static struct vring_rxq rxq[2];
static struct vring_txq txq[2];
static void *rxqs[2] = { &rxq[0], &rxq[1] }, *txqs[2] = { &txq[0], &txq[1] };
static struct vring_poll_set *set;
static struct virtq_ring ring;
static uint32_t waiting, room;	/* what a look at the ring would find */
static unsigned int looks;	/* at the ring */
static uint64_t now_ms;

static uint32_t
count_waiting(const struct virtq_ring *r, const struct virtq_cursor *cursor)
{
	looks++;
	return waiting;
}

static uint32_t
count_room(const struct virtq_ring *r, const struct virtq_cursor *cursor)
{
	looks++;
	return room;
}

static const struct vring_queue_ops queue_ops = {
	.rx_count = count_waiting,
	.tx_count = count_room,
	.tx_room = count_room,
};
static struct vring_role role = { .queue_ops = &queue_ops };

const struct vring_role *
vring_role_of(const struct vring_port *p)
{
	return &role;
}

const struct vring_queue_ops *
vring_role_queue_ops(const struct vring_port *p)
{
	return &queue_ops;
}

static int
stall_setup(void **state)
{
	memset(&port, 0, sizeof(port));
	memset(base, 0, sizeof(base));
	memset(rxq, 0, sizeof(rxq));
	memset(txq, 0, sizeof(txq));
	role.own_rings = false;
	strcpy(port.name, "net_vring0");
	port.args.stall_ms = LIMIT_MS;
	port.pairs = 2;
	port.connected = true;
	port.tx_base = base;
	port.dev = &ethdev;
	ethdev.data = &data;
	data.nb_rx_queues = data.nb_tx_queues = 2;
	data.rx_queues = rxqs;
	data.tx_queues = txqs;
	set = calloc(1, vring_qmap_size(1));
	if (set == NULL || evloop_new(&port.loop) != 0 || vring_stall_open(&port) != 0)
		return -1;
	set->n = 1;
	set->entry[0].ring = &ring;
	rxq[0].q.published = rxq[1].q.published = txq[0].q.published = txq[1].q.published = set;
	waiting = room = looks = 0;
	now_ms = 5000;
	vring_stall_look(&port, now_ms * 1000000);
	/* The peer takes packets. */
	txq[0].tx.stats.packets = txq[1].tx.stats.packets = 1;
	vring_stall_look(&port, now_ms * 1000000);
	watch_log();
	return 0;
}

static int
stall_teardown(void **state)
{
	watch_log_end();
	vring_stall_stop(&port);
	vring_stall_close(&port);
	evloop_free(port.loop);
	free(set);
	return 0;
}

static void
pass(unsigned int ms, void (*act)(void))
{
	for (unsigned int t = 0; t < ms; t += LOOK_MS) {
		if (act != NULL)
			act();
		now_ms += LOOK_MS;
		vring_stall_look(&port, now_ms * 1000000);
	}
}

static uint64_t
longest(bool tx)
{
	return vring_stall_longest(&port, tx, now_ms * 1000000);
}

static void
send_in_vain(void)
{
	txq[1].tx.stats.refused += 3;
}

static void
drop_in_vain(void)
{
	txq[1].tx.stats.drop[VNET_DROP_RING_FULL]++;
}

static void
send_some(void)
{
	send_in_vain();
	txq[1].tx.stats.packets++;
}

static void
told_once_a_stall(void **state)
{
	pass(LIMIT_MS, send_in_vain);
	assert_int_equal(base[1].stalls, 0);
	assert_int_equal(longest(true), 0);
	pass(10 * LIMIT_MS, send_in_vain);
	assert_int_equal(base[1].stalls, 1);
	assert_int_equal(base[0].stalls, 0);
	assert_int_equal(heard("net_vring0: transmit queue 1 stands still: the guest"), 1);
	assert_uint_in_range(longest(true), 10 * LIMIT_MS, 11 * LIMIT_MS);
	assert_int_equal(longest(false), 0);
	txq[1].tx.stats.packets++;
	pass(LOOK_MS, NULL);
	assert_int_equal(longest(true), 0);
	assert_int_equal(heard("transmit queue 1 stands still no longer"), 1);
	pass(2 * LIMIT_MS, drop_in_vain);
	assert_int_equal(base[1].stalls, 2);
	assert_int_equal(heard("transmit queue 1 stands still: the guest"), 2);
}

static void
device_is_named(void **state)
{
	role.own_rings = true;
	pass(2 * LIMIT_MS, send_in_vain);
	assert_int_equal(heard("stands still: the device"), 1);
}

/* A guest that is slow, and one that has no packets sent to it, do not stand still. */
static void
slow_and_idle_are_no_stalls(void **state)
{
	pass(5 * LIMIT_MS, send_some);
	pass(5 * LIMIT_MS, NULL);
	send_in_vain();
	pass(5 * LIMIT_MS, NULL);
	send_some();
	pass(LOOK_MS, NULL);
	assert_int_equal(base[1].stalls, 0);
	assert_int_equal(heard("stands still"), 0);
}

/* One packet now and then is enough to notice, for none of them went. */
static void
few_packets_are_enough(void **state)
{
	for (unsigned int i = 0; i < 3; i++) {
		send_in_vain();
		pass(7 * LOOK_MS, NULL);
	}
	assert_int_equal(base[1].stalls, 1);
	assert_true(longest(true) > LIMIT_MS);
}

/* The application has stopped sending, and does not learn that there is room again. */
static void
room_ends_a_stall(void **state)
{
	room = 2;	/* too few for a packet */
	pass(2 * LIMIT_MS, send_in_vain);
	assert_int_equal(base[1].stalls, 1);
	pass(LIMIT_MS, NULL);
	assert_true(longest(true) > LIMIT_MS);
	room = 3;
	pass(LOOK_MS, NULL);
	assert_int_equal(longest(true), 0);
}

static void
without_a_ring_nothing_stands_still(void **state)
{
	pass(2 * LIMIT_MS, send_in_vain);
	assert_true(longest(true) > 0);
	txq[1].q.published = NULL;
	pass(2 * LIMIT_MS, send_in_vain);
	assert_int_equal(longest(true), 0);
	set->n = 0;
	set->why = VNET_DROP_NO_GUEST;
	txq[1].q.published = set;
	pass(2 * LIMIT_MS, send_in_vain);
	assert_int_equal(base[1].stalls, 1);
	/* One that is about to come back. */
	set->hold = true;
	pass(2 * LIMIT_MS, send_in_vain);
	assert_int_equal(base[1].stalls, 2);
}

static void
drop_disabled(void)
{
	txq[1].tx.stats.drop[VNET_DROP_DISABLED]++;
}

static void
comes_anew(void)
{
	port.connected = false;
	pass(LOOK_MS, NULL);
	port.connected = true;
}

/* Linux gives the ring of an interface that is down no buffers. */
static void
down_interface_is_no_stall(void **state)
{
	comes_anew();
	pass(5 * LIMIT_MS, drop_in_vain);
	assert_int_equal(base[1].stalls, 0);
	txq[1].tx.stats.packets++;
	pass(3 * LIMIT_MS, drop_in_vain);
	assert_int_equal(base[1].stalls, 1);
}

/* A monitor that pauses its guest stops the rings. */
static void
paused_guest_stands_still(void **state)
{
	comes_anew();
	set->n = 0;
	set->why = VNET_DROP_DISABLED;
	pass(3 * LIMIT_MS, drop_disabled);
	assert_int_equal(base[1].stalls, 0);	/* it has yet to load its driver */
	txq[1].tx.stats.packets++;
	pass(3 * LIMIT_MS, drop_disabled);
	assert_int_equal(base[1].stalls, 1);
	assert_int_equal(heard("its rings are stopped"), 1);
	set->n = 1;
	room = 1;
	pass(LOOK_MS, NULL);
	assert_int_equal(longest(true), 0);
	set->n = 0;
	port.admin_down = true;
	pass(3 * LIMIT_MS, drop_disabled);
	assert_int_equal(base[1].stalls, 1);
	/* The next guest. */
	port.admin_down = port.connected = false;
	pass(LOOK_MS, drop_disabled);
	port.connected = true;
	pass(3 * LIMIT_MS, drop_disabled);
	assert_int_equal(base[1].stalls, 1);
}

static void
poll_second(void)
{
	rxq[1].rx.stats.burst_bin[0]++;
}

static void
unpolled_is_told_once(void **state)
{
	pass(5 * LIMIT_MS, poll_second);
	assert_int_equal(heard("not polled"), 0);
	waiting = 1;
	pass(5 * LIMIT_MS, poll_second);
	assert_int_equal(heard("receive queue 0 is not polled"), 1);
	assert_int_equal(heard("receive queue 1"), 0);
	assert_uint_in_range(longest(false), 4 * LIMIT_MS, 5 * LIMIT_MS);
	assert_int_equal(longest(true), 0);
	rxq[0].rx.stats.burst_bin[5]++;
	pass(LOOK_MS, poll_second);
	assert_int_equal(longest(false), 0);
	assert_int_equal(heard("receive queue 0 is polled again, after 5000 ms"), 1);
	assert_int_equal(heard("stands still"), 0);
}

/* The guest stops its rings, or the port is stopped: nobody has begun to poll. */
static void
unpolled_ring_goes(void **state)
{
	waiting = 1;
	pass(2 * LIMIT_MS, poll_second);
	rxq[0].q.published = NULL;
	pass(LOOK_MS, poll_second);
	assert_int_equal(longest(false), 0);
	assert_int_equal(heard("receive queue 0 has nothing to poll any more"), 1);
	rxq[0].q.published = set;
	pass(2 * LIMIT_MS, poll_second);
	vring_stall_stop(&port);
	assert_int_equal(heard("receive queue 0 has nothing to poll any more"), 2);
	assert_int_equal(heard("polled again"), 0);
}

/* A page of the ring may be missing, and the control thread is not to wait for it. */
static void
postcopy_rings_are_left_alone(void **state)
{
	port.args.postcopy = 1;
	waiting = room = 1;
	looks = 0;
	pass(5 * LIMIT_MS, NULL);
	pass(2 * LIMIT_MS, send_in_vain);
	pass(LIMIT_MS, NULL);
	assert_int_equal(looks, 0);
	assert_int_equal(base[1].stalls, 1);
	assert_int_equal(heard("not polled"), 0);
}

/* Guests change between two looks: the one that boots has taken nothing yet. */
static void
next_guest_boots(void **state)
{
	send_some();
	port.disconnected_ns = 77;
	pass(5 * LIMIT_MS, send_in_vain);
	assert_int_equal(base[1].stalls, 0);
	assert_int_equal(heard("stands still"), 0);
	send_some();
	pass(2 * LIMIT_MS, send_in_vain);
	assert_int_equal(base[1].stalls, 1);
}

/* A receive ring holds what waits, a transmit ring what it has no room for. */
static void
fill_is_counted(void **state)
{
	uint64_t rx[VRING_STALL_FILL_BINS], tx[VRING_STALL_FILL_BINS];

	ring.size = 8;
	for (uint32_t n = 0; n <= 9; n++) {
		waiting = n;
		room = n;
		pass(LOOK_MS, NULL);
	}
	ring.size = 0;
	pass(LOOK_MS, NULL);
	vring_stall_fill(&port, false, 1, rx);
	vring_stall_fill(&port, true, 0, tx);
	for (unsigned int bin = 0; bin < VRING_STALL_FILL_BINS; bin++) {
		static const uint64_t of_rx[] = {1, 1, 2, 2, 2, 2}, of_tx[] = {2, 1, 2, 2, 2, 1};

		assert_int_equal(rx[bin], of_rx[bin]);
		assert_int_equal(tx[bin], of_tx[bin]);
	}
	assert_string_equal(vring_stall_fill_name(0), "empty");
	assert_string_equal(vring_stall_fill_name(VRING_STALL_FILL_BINS - 1), "full");
}

/* The port's own timer looks, while it is started. */
static void
timer_looks(void **state)
{
	const uint64_t end = evloop_now_ns() + 3000000000;

	port.args.stall_ms = 20;
	vring_stall_start(&port);
	while (base[1].stalls == 0 && evloop_now_ns() < end) {
		send_in_vain();
		evloop_step(port.loop, 5);
	}
	assert_int_equal(base[1].stalls, 1);
	vring_stall_stop(&port);
	assert_int_equal(vring_stall_longest(&port, true, evloop_now_ns()), 0);
	port.args.stall_ms = 0;
	vring_stall_start(&port);
	for (unsigned int i = 0; i < 20; i++) {
		send_in_vain();
		evloop_step(port.loop, 5);
	}
	assert_int_equal(base[1].stalls, 1);
}

int
main(void)
{
#define STALL_TEST(fn) cmocka_unit_test_setup_teardown(fn, stall_setup, stall_teardown)
	const struct CMUnitTest tests[] = {
		STALL_TEST(told_once_a_stall),
		STALL_TEST(device_is_named),
		STALL_TEST(slow_and_idle_are_no_stalls),
		STALL_TEST(few_packets_are_enough),
		STALL_TEST(room_ends_a_stall),
		STALL_TEST(without_a_ring_nothing_stands_still),
		STALL_TEST(down_interface_is_no_stall),
		STALL_TEST(paused_guest_stands_still),
		STALL_TEST(unpolled_is_told_once),
		STALL_TEST(unpolled_ring_goes),
		STALL_TEST(postcopy_rings_are_left_alone),
		STALL_TEST(next_guest_boots),
		STALL_TEST(fill_is_counted),
		STALL_TEST(timer_looks),
	};

	return cmocka_run_group_tests_name("vring_stall", tests, vnet_setup, vnet_teardown);
}
