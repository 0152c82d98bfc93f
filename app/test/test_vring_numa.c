/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A port of either end in one process, on a machine with two nodes that the test makes up: where
 * the guest's memory is, where the port's goes, and whether the lcore is there.
 */
#include "rig_guest_net.h"

#include <rte_bus_vdev.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>

#include "evloop.h"
#include "rig_nodes.h"
#include "rig_watch.h"
#include "virtq_dev.h"
#include "vring_port.h"

#define BACK "net_vring0"
#define FRONT "net_vring1"
#define PACKETS 200

static char sock[64];
static uint16_t back, front;

static void
set_node(int *node, int value)
{
	__atomic_store_n(node, value, __ATOMIC_RELAXED);
}


static void
set_up_queues(uint16_t id, struct rte_mempool *pool)
{
	assert_int_equal(rte_eth_rx_queue_setup(id, 0, 64, 0, NULL, pool), 0);
	assert_int_equal(rte_eth_tx_queue_setup(id, 0, 64, 0, NULL), 0);
}

static void
open_port(const char *name, const char *end, const char *more, uint16_t *id)
{
	const struct rte_eth_conf conf = { 0 };
	char args[128];

	snprintf(args, sizeof(args), "%s=%s,%s", end, sock, more);
	assert_int_equal(rte_vdev_init(name, args), 0);
	assert_int_equal(rte_eth_dev_get_port_by_name(name, id), 0);
	/* A front-end asks the back-end what it has; the control thread is done with that here. */
	assert_int_equal(rte_eth_dev_set_link_up(*id), 0);
	assert_int_equal(rte_eth_dev_configure(*id, 1, 1, &conf), 0);
	set_up_queues(*id, small_pool);
	assert_int_equal(rte_eth_dev_start(*id), 0);
}

static void
close_port(const char *name, uint16_t id)
{
	assert_int_equal(rte_eth_dev_stop(id), 0);
	assert_int_equal(rte_vdev_uninit(name), 0);
}

static bool
has_link(uint16_t id)
{
	struct rte_eth_link link;

	assert_int_equal(rte_eth_link_get_nowait(id, &link), 0);
	return link.link_status == RTE_ETH_LINK_UP;
}

static void
open_both(const char *back_args, const char *front_args)
{
	open_port(BACK, "iface", back_args, &back);
	open_port(FRONT, "path", front_args, &front);
	assert_true(BECOMES(has_link(front) && has_link(back)));
}

static void
close_both(void)
{
	close_port(FRONT, front);
	close_port(BACK, back);
}

static void
restart(uint16_t id)
{
	assert_int_equal(rte_eth_dev_stop(id), 0);
	assert_int_equal(rte_eth_dev_start(id), 0);
	assert_true(BECOMES(has_link(front) && has_link(back)));
}

/* One after the other, each byte compared. */
static void
pass_packets(uint16_t from, uint16_t to)
{
	for (unsigned int i = 0; i < PACKETS; i++) {
		const uint32_t len = 60 + 7 * i;
		struct rte_mbuf *m = mbuf_new(len, i, SHAPE_LINEAR);

		assert_true(BECOMES(rte_eth_tx_burst(from, 0, &m, 1) == 1));
		assert_true(BECOMES(rte_eth_rx_burst(to, 0, &m, 1) == 1));
		expect_bytes(mbuf_bytes(m), m->pkt_len, len, i);
		rte_pktmbuf_free(m);
	}
}

static void
pass_both_ways(void)
{
	pass_packets(front, back);
	pass_packets(back, front);
}

static void
forget_taken(void)
{
	for (unsigned int i = 0; i < RIG_NODES_TAKEN; i++)
		rig_nodes_taken[i].times = 0;
}

/* Each kind of memory was taken so often since the last time, and at last on that node. */
static void
expect_taken(unsigned int times, int node)
{
	for (unsigned int i = 0; i < RIG_NODES_TAKEN; i++) {
		assert_int_equal(rig_nodes_taken[i].times, times);
		if (times > 0)
			assert_int_equal(rig_nodes_taken[i].node, node);
	}
	forget_taken();
}

/* The dump of its private state has this. */
static bool
says(uint16_t id, const char *what)
{
	static char text[16384];
	FILE *f = fmemopen(text, sizeof(text), "w");

	assert_non_null(f);
	assert_int_equal(rte_eth_dev_priv_dump(id, f), 0);
	fclose(f);
	return strstr(text, what) != NULL;
}

static int
numa_setup(void **state)
{
	/* The sanitizer does not see that the threads of ports before have ended. */
	set_node(&rig_nodes.guest, -1);
	set_node(&rig_nodes.lcore, 0);
	set_node(&rig_nodes.empty, -1);
	set_node(&rig_nodes.last, 1);
	set_node(&rig_nodes.eal, 2);
	__atomic_store_n(&rig_nodes.questions, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&rig_nodes.naps, 0, __ATOMIC_RELAXED);
	watch_log();
	return 0;
}

static int
numa_teardown(void **state)
{
	watch_log_end();
	expect_no_mbuf_lost();
	return 0;
}

static const char *const layouts_of[] = { "queue_size=64", "queue_size=64,packed_vq=1" };

/*
 * The node is found, reported, and moved to when the port is started; to the front-end all is as
 * before, and so are the counters.
 */
static void
port_moves_at_start(void **state)
{
	for (unsigned int i = 0; i < RTE_DIM(layouts_of); i++) {
		set_node(&rig_nodes.guest, 1);
		open_both("packed=1,iommu-support=1", layouts_of[i]);
		assert_true(BECOMES(rte_eth_dev_socket_id(back) == 1));
		pass_both_ways();
		forget_taken();
		for (unsigned int k = 1; k <= 4; k++) {
			const int node = k % 2;

			set_node(&rig_nodes.guest, node);
			restart(back);
			assert_int_equal(rte_eth_dev_socket_id(back), node);
			expect_taken(1, node);
			pass_both_ways();
			assert_int_equal(watch_xstat(back, "rx_q0_packets"), (k + 1) * PACKETS);
			assert_int_equal(watch_xstat(back, "tx_q0_packets"), (k + 1) * PACKETS);
		}
		restart(back);
		expect_taken(0, 0);
		restart(front);
		pass_both_ways();
		close_both();
	}
}

/* Its guest is called twice within less than call-us=: one of these calls waits. */
static void
call_twice(struct vring_port *port)
{
	virtq_dev_call(&port->devs[0], port->vring[0].ring);
	virtq_dev_call(&port->devs[0], port->vring[0].ring);
}

static bool
waits(const struct virtq_dev *dev)
{
	return __atomic_load_n(&dev->call.wanted, __ATOMIC_ACQUIRE) != 0;
}

/*
 * A call that waits for its time is sent before the state of its ring moves. The thread that it
 * waited with forgets the former state, and sends those that come later.
 */
static void
calls_move(void **state)
{
	struct vring_port *port;

	set_node(&rig_nodes.guest, 1);
	open_both("packed=1,call-us=10000", "queue_size=64");
	assert_true(BECOMES(rte_eth_dev_socket_id(back) == 1));
	port = rte_eth_devices[back].data->dev_private;
	for (int k = 0; k < 3; k++) {
		const struct virtq_dev *former = port->devs;
		uint64_t sent;

		call_twice(port);
		set_node(&rig_nodes.guest, 1 - k % 2);
		restart(back);
		assert_ptr_not_equal(port->devs, former);
		assert_int_equal(former->call.fd, -1);
		assert_int_equal(port->devs->call.fd, port->vring[0].ring->callfd);
		assert_false(waits(port->devs));
		sent = port->devs->call.last;
		call_twice(port);
		assert_true(BECOMES(!waits(port->devs)));
		assert_true(port->devs->call.last > sent);
	}
	close_both();
}

static void
expect_pool(const char *name, int node)
{
	const struct rte_mempool *pool = rte_mempool_lookup(name);

	assert_non_null(pool);
	assert_int_equal(pool->socket_id, node);
}

/* The big buffers of a port go with it, and those that the application holds stay what they are. */
static void
big_buffers_move(void **state)
{
	struct rte_mbuf *m = mbuf_new(1500, 7, SHAPE_LINEAR), *held, *other;
	struct rte_mempool *pool;

	pool = rte_pktmbuf_pool_create("tiny", 63, 0, 0, RTE_PKTMBUF_HEADROOM + 256, 0);
	assert_non_null(pool);
	open_both("packed=1,ext-buffer=1", "queue_size=64");
	assert_int_equal(rte_eth_dev_stop(back), 0);
	assert_int_equal(rte_eth_rx_queue_setup(back, 0, 64, 0, NULL, pool), 0);
	assert_int_equal(rte_eth_dev_start(back), 0);
	assert_true(BECOMES(has_link(front) && has_link(back)));
	assert_true(BECOMES(rte_eth_tx_burst(front, 0, &m, 1) == 1));
	assert_true(BECOMES(rte_eth_rx_burst(back, 0, &held, 1) == 1));
	expect_pool("vring_big_0", 0);
	set_node(&rig_nodes.guest, 1);
	restart(back);
	m = mbuf_new(1500, 8, SHAPE_LINEAR);
	assert_true(BECOMES(rte_eth_tx_burst(front, 0, &m, 1) == 1));
	assert_true(BECOMES(rte_eth_rx_burst(back, 0, &other, 1) == 1));
	expect_pool("vring_big_1", 1);
	expect_bytes(mbuf_bytes(held), held->pkt_len, 1500, 7);
	expect_bytes(mbuf_bytes(other), other->pkt_len, 1500, 8);
	rte_pktmbuf_free(held);
	rte_pktmbuf_free(other);
	close_both();
	rte_mempool_free(pool);
}

/* As long as nothing is known nothing moves, and then it is found without a message. */
static void
unknown_stays_unknown(void **state)
{
	open_both("packed=1", "queue_size=64");
	pass_both_ways();
	usleep(3000000 / RIG_NODES_HURRY);
	forget_taken();
	restart(back);
	assert_int_equal(rte_eth_dev_socket_id(back), 0);
	expect_taken(0, 0);
	assert_true(says(back, "guest's memory -1, queues 0, port 0\n"));
	set_node(&rig_nodes.guest, 1);
	assert_true(BECOMES(rte_eth_dev_socket_id(back) == 1));
	assert_true(says(back, "guest's memory 1, queues 0, port 1\n"));
	/* Another guest, of which nothing is known. */
	set_node(&rig_nodes.guest, -1);
	close_port(FRONT, front);
	assert_true(BECOMES(says(back, "guest's memory -1, queues 0, port 1\n")));
	set_node(&rig_nodes.guest, 0);
	open_port(FRONT, "path", "queue_size=64", &front);
	assert_true(BECOMES(rte_eth_dev_socket_id(back) == 0));
	close_both();
}

/* numa= is the user's word. What is told of lcores is about the guest's memory all the same. */
static void
argument_wins(void **state)
{
	set_node(&rig_nodes.guest, 1);
	open_both("packed=1,numa=0", "queue_size=64");
	assert_true(BECOMES(says(back, "guest's memory 1, queues 0, port 0\n")));
	forget_taken();
	restart(back);
	assert_int_equal(rte_eth_dev_socket_id(back), 0);
	expect_taken(0, 0);
	assert_true(BECOMES((pass_both_ways(), watch_xstat(back, "rx_q0_numa_errors") == 2)));
	close_both();
}

static void
no_memory_there(void **state)
{
	set_node(&rig_nodes.guest, 1);
	set_node(&rig_nodes.empty, 1);
	open_both("packed=1,iommu-support=1", "queue_size=64");
	for (unsigned int i = 0; i < 3; i++) {
		restart(back);
		pass_both_ways();
		assert_int_equal(rte_eth_dev_socket_id(back), 1);
		assert_true(says(back, "guest's memory 1, queues 0, port 1\n"));
	}
	assert_int_equal(heard("net_vring0: no memory on NUMA node 1"), 1);
	/* Queues are set up where the port is, and no line says that there is no memory. */
	assert_int_equal(rte_eth_dev_stop(back), 0);
	forget_taken();
	set_up_queues(back, small_pool);
	for (unsigned int i = 0; i < RIG_NODES_TAKEN; i++)
		assert_true(rig_nodes_taken[i].times == 0 || rig_nodes_taken[i].node == 0);
	assert_int_equal(rte_eth_dev_start(back), 0);
	assert_true(BECOMES(has_link(front) && has_link(back)));
	pass_both_ways();
	set_node(&rig_nodes.empty, -1);
	restart(back);
	assert_true(says(back, "guest's memory 1, queues 1, port 1\n"));
	pass_both_ways();
	close_both();
}

/* A node that EAL does not have: applications would take pools there, and get none. */
static void
no_lcore_there(void **state)
{
	set_node(&rig_nodes.guest, 1);
	set_node(&rig_nodes.eal, 1);
	open_both("packed=1", "queue_size=64");
	for (unsigned int i = 0; i < 3; i++) {
		assert_true(BECOMES(says(back, "guest's memory 1, queues 0, port 0\n")));
		assert_int_equal(rte_eth_dev_socket_id(back), 0);
		forget_taken();
		restart(back);
		expect_taken(0, 0);
		pass_both_ways();
		close_port(FRONT, front);
		assert_true(BECOMES(says(back, "guest's memory -1,")));
		open_port(FRONT, "path", "queue_size=64", &front);
		assert_true(BECOMES(has_link(front) && has_link(back)));
	}
	assert_int_equal(heard("net_vring0: the guest's memory is on NUMA node 1, of which "
				    "DPDK knows no lcore"), 1);
	close_both();
}

#define FAR "net_vring0: %s queue 0 is polled by an lcore of NUMA node %d, and the memory of " \
	    "its guest is on node %d"

static bool
told_of(const char *queue, int poller, int node, unsigned int times)
{
	char line[160];

	snprintf(line, sizeof(line), FAR, queue, poller, node);
	return heard(line) == times;
}

static bool
are_far(uint64_t rx, uint64_t tx)
{
	pass_both_ways();
	return watch_xstat(back, "rx_q0_numa_errors") == rx + tx;
}

static unsigned int
load_times(const unsigned int *times)
{
	return __atomic_load_n(times, __ATOMIC_RELAXED);
}

/* Until the port has asked twice, and compared; or for so long that it would have. */
static void
poll_for_long(void)
{
	const unsigned int before = load_times(&rig_nodes.questions);
	const uint64_t end = evloop_now_ns() + 4000000000ull;

	while (evloop_now_ns() < end && load_times(&rig_nodes.questions) < before + 3)
		pass_both_ways();
}

static void
far_lcores_are_told_of_once(void **state)
{
	set_node(&rig_nodes.guest, 1);
	open_both("packed=1", "queue_size=64");
	assert_true(BECOMES(are_far(1, 1)));
	poll_for_long();
	assert_true(are_far(1, 1));
	assert_true(told_of("receive", 0, 1, 1));
	assert_true(told_of("transmit", 0, 1, 1));
	/* Another lcore, and then the first one again. */
	set_node(&rig_nodes.lcore, 1);
	poll_for_long();
	assert_true(are_far(1, 1));
	set_node(&rig_nodes.lcore, 0);
	assert_true(BECOMES(are_far(2, 2)));
	assert_int_equal(rte_eth_xstats_reset(back), 0);
	assert_true(are_far(0, 0));
	/* One that belongs to no node. */
	set_node(&rig_nodes.lcore, SOCKET_ID_ANY);
	poll_for_long();
	assert_true(are_far(0, 0));
	close_both();
}

/* Questions become rare soon after the start, and frequent again when rings have changed. */
static void
questions_become_rare(void **state)
{
	unsigned int before = 0, slept = 0, asked;

	set_node(&rig_nodes.guest, 1);
	open_both("packed=1", "queue_size=64");
	for (unsigned int i = 0; i < 2; i++) {
		assert_true(BECOMES(load_times(&rig_nodes.questions) >= before + 3));
		assert_uint_in_range(load_times(&rig_nodes.naps), slept, slept + 1);
		assert_true(BECOMES(load_times(&rig_nodes.naps) >= slept + 3));
		asked = load_times(&rig_nodes.questions) - before;
		assert_uint_in_range(asked, 5, load_times(&rig_nodes.naps) - slept + 5);
		/* Before the rings change: those that follow at once are counted. */
		before = load_times(&rig_nodes.questions);
		slept = load_times(&rig_nodes.naps);
		close_port(FRONT, front);
		open_port(FRONT, "path", "queue_size=64", &front);
		assert_true(BECOMES(has_link(front) && has_link(back)));
	}
	close_both();
}

/* Nobody is asked where there is nothing to compare. */
static void
one_node_is_enough(void **state)
{
	set_node(&rig_nodes.last, 0);
	set_node(&rig_nodes.guest, 0);
	set_node(&rig_nodes.lcore, 1);	/* which would be far, were it asked */
	open_both("packed=1", "queue_size=64");
	poll_for_long();
	assert_true(are_far(0, 0));
	close_both();
}

static int
set_up(void **state)
{
	snprintf(sock, sizeof(sock), "/tmp/vring-numa-%d.sock", getpid());
	return vnet_setup(state);
}

int
main(void)
{
#define NUMA_TEST(fn) cmocka_unit_test_setup_teardown(fn, numa_setup, numa_teardown)
	const struct CMUnitTest tests[] = {
		NUMA_TEST(big_buffers_move),
		NUMA_TEST(port_moves_at_start),
		NUMA_TEST(calls_move),
		NUMA_TEST(unknown_stays_unknown),
		NUMA_TEST(argument_wins),
		NUMA_TEST(no_memory_there),
		NUMA_TEST(no_lcore_there),
		NUMA_TEST(far_lcores_are_told_of_once),
		NUMA_TEST(questions_become_rare),
		NUMA_TEST(one_node_is_enough),
	};

	return cmocka_run_group_tests_name("vring_numa", tests, set_up, vnet_teardown);
}
