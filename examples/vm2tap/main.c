/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vm2tap: puts a virtual machine's card at a network interface of the kernel. Read l2relay first,
 * which explains what is the same here.
 *
 *	vm2tap -l 0 --no-pci -d /path/to/librte_net_vring.so -- /run/vm0.sock vm0tap
 *
 * The machine's front-end connects to the socket, and what it sends is received by the kernel on
 * the interface "vm0tap", and the other way round. The interface has a carrier while the machine's
 * driver has its rings set up.
 *
 * Beyond l2relay there are two things to see: ports that the application makes by itself, and what
 * it takes that TCP goes through in pieces of 64 KiB, checksums left out, and not in frames.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#define BURST 32
/* A packet of 64 KiB takes 32 of them, and 256 such packets may be on their way to the kernel. */
#define MBUFS 16383
#define CACHE 256

/* In the order in which the ports are made. */
enum { VM, TAP };

static volatile sig_atomic_t ended;
static bool vm_changed = true;	/* atomic: the machine may have come or gone */

static void
on_signal(int number)
{
	ended = 1;
}

/* EAL's interrupt thread: what is to be done about it is the main loop's business. */
static int
on_link(uint16_t port, enum rte_eth_event_type type, void *arg, void *ret)
{
	if (port == VM)
		__atomic_store_n(&vm_changed, true, __ATOMIC_RELEASE);
	return 0;
}

/* What --vdev does at the start, done by the application: its number is the next one. */
static int
port_make(const char *name, const char *key, const char *value, const char *more)
{
	char args[256];
	int rc = snprintf(args, sizeof(args), "%s%s%s", key, value, more);

	if (rc < 0 || rc >= (int)sizeof(args))
		return -ENAMETOOLONG;
	return rte_eal_hotplug_add("vdev", name, args);
}

/*
 * The offloads that let large packets through as they are. LRO on one port: its peer may send TCP
 * segments larger than a frame, and they arrive whole, each a chain of mbufs, hence SCATTER. TSO
 * and MULTI_SEGS on the other port: it takes them. Its peer gets them whole if it agreed to that,
 * and else the port cuts them, so that nothing of it concerns the application. Checksums are alike:
 * a port that receives a packet without one completes it, unless csum=partial was given.
 */
static int
port_configure(uint16_t port, struct rte_mempool *pool)
{
	struct rte_eth_conf conf = {
		.intr_conf.lsc = 1,
		.rxmode = {
			.offloads = RTE_ETH_RX_OFFLOAD_TCP_LRO | RTE_ETH_RX_OFFLOAD_SCATTER |
				    RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM,
			.max_lro_pkt_size = UINT16_MAX,
		},
		.txmode.offloads = RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_TCP_CKSUM |
				   RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_IPV4_CKSUM |
				   RTE_ETH_TX_OFFLOAD_MULTI_SEGS,
	};
	int node = rte_eth_dev_socket_id(port);
	int rc = rte_eth_dev_configure(port, 1, 1, &conf);

	if (rc == 0)
		rc = rte_eth_rx_queue_setup(port, 0, 0, node, NULL, pool);
	if (rc == 0)
		rc = rte_eth_tx_queue_setup(port, 0, 0, node, NULL);
	return rc != 0 ? rc : rte_eth_dev_callback_register(port, RTE_ETH_EVENT_INTR_LSC, on_link,
							    NULL);
}

/*
 * The interface has a carrier from the start of its port to its stop, so that the kernel knows
 * whether the machine is there. It stays, with its addresses and routes, until the port is closed.
 */
static bool
follow_vm(bool carrier)
{
	struct rte_eth_link link = { .link_status = RTE_ETH_LINK_DOWN };
	int rc;

	if (rte_eth_link_get_nowait(VM, &link) != 0 || link.link_status == carrier)
		return carrier;
	rc = carrier ? rte_eth_dev_stop(TAP) : rte_eth_dev_start(TAP);
	if (rc != 0) {
		printf("port %u: %s\n", TAP, rte_strerror(-rc));
		return carrier;
	}
	printf("the machine is %s\n", carrier ? "gone" : "there");
	return !carrier;
}

/* rte_eth_tx_prepare() before each packet with offloads, as DPDK has it; none of these fails. */
static uint64_t
forward(uint16_t from, uint16_t to)
{
	struct rte_mbuf *mbufs[BURST];
	uint16_t received = rte_eth_rx_burst(from, 0, mbufs, BURST);
	uint16_t taken;

	if (received == 0)
		return 0;
	taken = rte_eth_tx_prepare(to, 0, mbufs, received);
	taken = rte_eth_tx_burst(to, 0, mbufs, taken);
	rte_pktmbuf_free_bulk(&mbufs[taken], received - taken);
	return received - taken;
}

static void
run(void)
{
	uint64_t freed[2] = { 0, 0 };
	struct rte_eth_stats stats;
	bool carrier = false;

	while (!ended) {
		if (__atomic_load_n(&vm_changed, __ATOMIC_RELAXED)) {
			__atomic_store_n(&vm_changed, false, __ATOMIC_RELAXED);
			carrier = follow_vm(carrier);
		}
		/* A port that is stopped must not be polled. */
		if (!carrier)
			continue;
		freed[TAP] += forward(VM, TAP);
		freed[VM] += forward(TAP, VM);
	}
	for (uint16_t port = VM; port <= TAP; port++)
		if (rte_eth_stats_get(port, &stats) == 0)
			printf("to the %s: sent %" PRIu64 " packets, %" PRIu64 " bytes, dropped %"
			       PRIu64 ", freed %" PRIu64 "\n", port == VM ? "machine" : "interface",
			       stats.opackets, stats.obytes, stats.oerrors, freed[port]);
	if (carrier)
		rte_eth_dev_stop(TAP);
}

static void
must(const char *what, int rc)
{
	if (rc != 0)
		rte_exit(EXIT_FAILURE, "%s: %s\n", what, rte_strerror(-rc));
}

int
main(int argc, char **argv)
{
	struct rte_mempool *pool;
	int used;

	setlinebuf(stdout);
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	used = rte_eal_init(argc, argv);
	if (used < 0)
		rte_exit(EXIT_FAILURE, "EAL: %s\n", rte_strerror(rte_errno));
	if (argc - used != 3 || rte_eth_dev_count_avail() != 0)
		rte_exit(EXIT_FAILURE, "usage: vm2tap EAL-OPTIONS -- SOCKET INTERFACE, with no "
			 "--vdev and with --no-pci\n");
	must(argv[used + 1], port_make("net_vring0", "iface=", argv[used + 1],
				       ",tso=1,linear-buffer=0"));
	must(argv[used + 2], port_make("net_vring1", "path=/dev/vhost-net,ifname=", argv[used + 2],
				       ""));
	pool = rte_pktmbuf_pool_create("vm2tap", MBUFS, CACHE, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
				       rte_socket_id());
	if (pool == NULL)
		must("pool of mbufs", -rte_errno);
	must("port 0", port_configure(VM, pool));
	must("port 1", port_configure(TAP, pool));
	must("port 0", rte_eth_dev_start(VM));
	run();
	rte_eth_dev_stop(VM);
	rte_eth_dev_close(TAP);
	rte_eth_dev_close(VM);
	rte_mempool_free(pool);
	rte_eal_cleanup();
	return EXIT_SUCCESS;
}
