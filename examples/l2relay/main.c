/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * l2relay: passes frames between two ports. The program to read first.
 *
 * It is a DPDK application like any other, and uses DPDK's public API alone. No header and no
 * library of net_vring is needed to build it:
 *
 *	cc -O2 $(pkg-config --cflags libdpdk) main.c -o l2relay $(pkg-config --libs libdpdk)
 *
 * EAL loads the driver at run time. An installed one it finds by itself, any other with -d and
 * an absolute path. Each --vdev then makes a port, which listens on the socket that iface= names:
 *
 *	l2relay -l 0 --no-pci -d /path/to/librte_net_vring.so \
 *		--vdev net_vring0,iface=/run/vm0.sock --vdev net_vring1,iface=/run/vm1.sock
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#define BURST 32
#define MBUFS 4095	/* bursts, the pool's cache, and the receive rings of ports with path= */
#define CACHE 256

/* One direction. Of what it received, "freed" is what the port "to" did not take. */
struct way {
	uint16_t from, to;
	uint64_t received, freed;
};

static volatile sig_atomic_t ended;

static void
on_signal(int number)
{
	ended = 1;
}

/* EAL's interrupt thread runs this, beside the loop in main(). It must not wait either. */
static int
on_link(uint16_t port, enum rte_eth_event_type type, void *arg, void *ret)
{
	struct rte_eth_link link;

	if (rte_eth_link_get_nowait(port, &link) == 0)
		printf("port %u: link %s\n", port, link.link_status ? "up" : "down");
	return 0;
}

/*
 * One queue pair, which is enough whatever number of queues the guest has. The 0 asks for the
 * driver's own number of descriptors: the rings belong to the guest, and it decides how long
 * they are.
 *
 * The start succeeds at once, with nobody on the socket. A guest boots, reboots and goes as it
 * likes, and the port stays what it is. Only the link tells whether a peer's rings are there,
 * hence intr_conf.lsc, which asks for an event whenever that changes.
 */
static int
port_start(uint16_t port, struct rte_mempool *pool)
{
	struct rte_eth_conf conf = { .intr_conf.lsc = 1 };
	int node = rte_eth_dev_socket_id(port);
	int rc = rte_eth_dev_configure(port, 1, 1, &conf);

	if (rc == 0)
		rc = rte_eth_rx_queue_setup(port, 0, 0, node, NULL, pool);
	if (rc == 0)
		rc = rte_eth_tx_queue_setup(port, 0, 0, node, NULL);
	if (rc == 0)
		rc = rte_eth_dev_callback_register(port, RTE_ETH_EVENT_INTR_LSC, on_link, NULL);
	return rc == 0 ? rte_eth_dev_start(port) : rc;
}

/*
 * rte_eth_tx_burst() returns how many mbufs the port took. Those are the port's: it has copied
 * them to the peer, or dropped and counted them, as it does while no peer is there. It took
 * fewer than it was given if the peer's ring is full. The rest is still the caller's, who may
 * offer it again, keep it or free it, but must not forget it: the pool would run dry.
 *
 * Here it is freed. To wait for room in one guest's ring would be to let that guest decide
 * when the other one is served.
 */
static void
relay(struct way *way)
{
	struct rte_mbuf *mbufs[BURST];
	uint16_t received = rte_eth_rx_burst(way->from, 0, mbufs, BURST);
	uint16_t taken;

	if (received == 0)
		return;
	taken = rte_eth_tx_burst(way->to, 0, mbufs, received);
	rte_pktmbuf_free_bulk(&mbufs[taken], received - taken);
	way->received += received;
	way->freed += received - taken;
}

/* Every frame is accounted for: received = sent + dropped + freed. */
static void
report(const struct way *way)
{
	struct rte_eth_stats to;

	if (rte_eth_stats_get(way->to, &to) == 0)
		printf("port %u to %u: received %" PRIu64 ", sent %" PRIu64 ", dropped %" PRIu64
		       ", freed %" PRIu64 "\n", way->from, way->to, way->received, to.opackets,
		       to.oerrors, way->freed);
}

int
main(int argc, char **argv)
{
	struct way ways[2] = { { .from = 0, .to = 1 }, { .from = 1, .to = 0 } };
	struct rte_mempool *pool;
	int rc;

	setlinebuf(stdout);
	/* Before there are sockets to be removed. */
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	if (rte_eal_init(argc, argv) < 0)
		rte_exit(EXIT_FAILURE, "EAL: %s\n", rte_strerror(rte_errno));
	if (rte_eth_dev_count_avail() != 2)
		rte_exit(EXIT_FAILURE, "%u ports instead of two: give --vdev twice, and --no-pci\n",
			rte_eth_dev_count_avail());
	pool = rte_pktmbuf_pool_create("l2relay", MBUFS, CACHE, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
			rte_socket_id());
	if (pool == NULL)
		rte_exit(EXIT_FAILURE, "no pool of mbufs: %s\n", rte_strerror(rte_errno));
	for (uint16_t port = 0; port < 2; port++) {
		rc = port_start(port, pool);
		if (rc != 0)
			rte_exit(EXIT_FAILURE, "port %u: %s\n", port, rte_strerror(-rc));
	}

	/*
	 * Polling takes all of one CPU. No call in here sleeps or takes a lock, and none enters the
	 * kernel but to wake a guest that asked for it.
	 */
	while (!ended) {
		relay(&ways[0]);
		relay(&ways[1]);
	}

	report(&ways[0]);
	report(&ways[1]);
	/* Closing hangs up on the peer and removes the socket. The pool goes after its users. */
	for (uint16_t port = 0; port < 2; port++) {
		rte_eth_dev_stop(port);
		rte_eth_dev_close(port);
	}
	rte_mempool_free(pool);
	rte_eal_cleanup();
	return EXIT_SUCCESS;
}
