/* SPDX-License-Identifier: BSD-3-Clause */
/* One end of a pair: an EAL process with its ports, which runs slices when told to. */
#include "perf.h"

#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "options.h"
#include "slice.h"

enum { LINK_PATIENCE_MS = 5000, MBUF_CACHE = 256 };

static void __attribute__((noreturn))
die(const struct perf_worker *w, const char *what, int err)
{
	fprintf(stderr, "vring-perf: %s %c: %s: %s\n", perf_end_name(w->role), 'A' + w->pair, what,
		rte_strerror(err));
	_exit(1);
}

static void __attribute__((noreturn))
die_at_port(const struct perf_worker *w, const char *name, const char *what, int err)
{
	char text[RTE_ETH_NAME_MAX_LEN + 64];

	snprintf(text, sizeof(text), "%s: %s", name, what);
	die(w, text, err);
}

/* A page each: an object of a mempool has a header, and pages begin with one. For good. */
static struct rte_mempool *
paged_pool(uint32_t n)
{
	struct rte_pktmbuf_pool_private priv = { .mbuf_data_room_size = PERF_PAGE_ROOM };
	const struct rte_memzone *mz;
	struct rte_mempool *mp;

	mz = rte_memzone_reserve_aligned("perf_pages", (size_t)n * PERF_PAGE, SOCKET_ID_ANY, 0,
					 PERF_PAGE);
	mp = rte_mempool_create_empty("perf", n, sizeof(struct rte_mbuf) + PERF_PAGE_ROOM,
				      MBUF_CACHE, sizeof(priv), SOCKET_ID_ANY,
				      RTE_MEMPOOL_F_NO_SPREAD);
	if (mz == NULL || mp == NULL)
		return NULL;
	rte_pktmbuf_pool_init(mp, &priv);
	if (rte_mempool_populate_virt(mp, mz->addr, mz->len, PERF_PAGE, NULL, NULL) != (int)n) {
		rte_errno = ENOSPC;
		return NULL;
	}
	rte_mempool_obj_iter(mp, rte_pktmbuf_init, NULL);
	return mp;
}

static int
port_start(const struct perf_worker *w, uint16_t port, struct rte_mempool *pool, uint64_t *tx)
{
	const uint64_t cksum = RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
	struct rte_eth_conf conf = {0};
	struct rte_eth_dev_info info;
	int ret = rte_eth_dev_info_get(port, &info);

	if (ret == 0 && w->offloads) {
		conf.rxmode.offloads = info.rx_offload_capa & cksum;
		conf.txmode.offloads = info.tx_offload_capa &
				       (RTE_ETH_TX_OFFLOAD_TCP_CKSUM |
					RTE_ETH_TX_OFFLOAD_UDP_CKSUM |
					RTE_ETH_TX_OFFLOAD_TCP_TSO);
	}
	*tx = conf.txmode.offloads;
	if (ret == 0)
		ret = rte_eth_dev_configure(port, w->queues, w->queues, &conf);
	for (uint16_t q = 0; ret == 0 && q < w->queues; q++) {
		ret = rte_eth_rx_queue_setup(port, q, w->ring, 0, NULL, pool);
		if (ret == 0)
			ret = rte_eth_tx_queue_setup(port, q, w->ring, 0, NULL);
	}
	return ret != 0 ? ret : rte_eth_dev_start(port);
}

static void
start_ports(const struct perf_worker *w, struct perf_end *e)
{
	for (uint16_t i = 0; i < w->ports; i++) {
		char name[RTE_ETH_NAME_MAX_LEN];
		uint64_t tx;
		int ret;

		snprintf(name, sizeof(name), "%s%u", w->driver, i);
		if (rte_eth_dev_get_port_by_name(name, &e->ports[i]) != 0)
			die_at_port(w, name, "is not there; the lines above, if any, say why",
				    ENODEV);
		ret = port_start(w, e->ports[i], e->pool, &tx);
		if (ret != 0)
			die_at_port(w, name, "does not start", -ret);
		if (tx & RTE_ETH_TX_OFFLOAD_TCP_CKSUM)
			e->ask = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM;
	}
	e->nworking = w->working;
	e->nports = w->ports;
	e->queues = w->queues;
}

static void
wait_links(const struct perf_worker *w, const struct perf_end *e)
{
	for (uint16_t i = 0; i < e->nports; i++) {
		char name[RTE_ETH_NAME_MAX_LEN] = "port";
		struct rte_eth_link link = {0};

		for (int ms = 0; ms < LINK_PATIENCE_MS && link.link_status == 0; ms += 10) {
			usleep(10000);
			if (rte_eth_link_get_nowait(e->ports[i], &link) != 0)
				break;
		}
		if (link.link_status != 0)
			continue;
		rte_eth_dev_get_name_by_port(e->ports[i], name);
		die_at_port(w, name, "no link within 5 s", ETIMEDOUT);
	}
}

static void
serve(const struct perf_worker *w, struct perf_end *e)
{
	uint32_t *order = &w->shared->go[w->pair][w->role];
	uint32_t seen = 0, go;

	while ((go = __atomic_load_n(order, __ATOMIC_ACQUIRE)) != UINT32_MAX) {
		if (go == seen) {
			/* Asleep, since the other pair is measured on the same cores. */
			syscall(SYS_futex, order, FUTEX_WAIT, seen, NULL, NULL, 0);
			continue;
		}
		seen = go;
		perf_slice_run(e);
		__atomic_store_n(&w->shared->done[w->pair][w->role], seen, __ATOMIC_RELEASE);
	}
}

void
perf_worker_main(struct perf_worker *w)
{
	uint32_t *ready = &w->shared->ready[w->pair][w->role];
	static struct perf_end e;
	char what[160];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* What the terminal or a user tells the coordinator, it tells the workers. */
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	if (rte_eal_init(w->eal_argc, w->eal_argv) < 0) {
		snprintf(what, sizeof(what), "EAL does not start with %s (the lines above say "
			 "more; a driver that it does not know needs --plugin FILE)", w->driver);
		die(w, what, rte_errno);
	}
	e.shared = w->shared;
	e.role = w->role;
	e.pool = w->paged ? paged_pool(w->mbufs) :
			    rte_pktmbuf_pool_create("perf", w->mbufs, MBUF_CACHE, 0, w->mbuf_room,
						    SOCKET_ID_ANY);
	if (e.pool == NULL)
		die(w, "mbuf pool", rte_errno);
	start_ports(w, &e);
	w->shared->tsc_hz = rte_get_tsc_hz();
	__atomic_store_n(ready, 1, __ATOMIC_RELEASE);
	wait_links(w, &e);
	__atomic_store_n(ready, 2, __ATOMIC_RELEASE);
	serve(w, &e);
	for (uint16_t i = 0; i < e.nports; i++) {
		rte_eth_dev_stop(e.ports[i]);
		rte_eth_dev_close(e.ports[i]);
	}
	rte_eal_cleanup();
	_exit(0);
}
