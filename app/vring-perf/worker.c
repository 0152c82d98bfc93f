/* SPDX-License-Identifier: BSD-3-Clause */
/* One end of a pair: an EAL process that bursts on one core and takes the time of each burst. */
#include "perf.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

static int
by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static int
port_start(uint16_t port, struct rte_mempool *pool, uint16_t ring)
{
	const struct rte_eth_conf conf = {0};
	int ret = rte_eth_dev_configure(port, 1, 1, &conf);

	if (ret == 0)
		ret = rte_eth_rx_queue_setup(port, 0, ring, 0, NULL, pool);
	if (ret == 0)
		ret = rte_eth_tx_queue_setup(port, 0, ring, 0, NULL);
	if (ret == 0)
		ret = rte_eth_dev_start(port);
	return ret;
}

/* A frame that any driver takes; its first line is written anew, as an application would. */
static inline void
dress(struct rte_mbuf **pkts, uint16_t n, uint32_t size)
{
	for (uint16_t i = 0; i < n; i++) {
		uint64_t *p = rte_pktmbuf_mtod(pkts[i], uint64_t *);

		p[0] = 0x0200005452000002;
		p[1] = 0x0008010000545200;
		p[2] = i;
		pkts[i]->data_len = (uint16_t)size;
		pkts[i]->pkt_len = size;
	}
}

/* The cost of a cache line that goes there and back, before anything else happens in a slice. */
static void
measure_distance(struct perf_shared *s, enum perf_role role)
{
	static uint32_t sample[PERF_PING];
	uint64_t base = (uint64_t)s->go * PERF_PING;

	for (uint32_t i = 1; i <= PERF_PING; i++) {
		uint64_t start = rte_rdtsc();

		if (role == PERF_BACKEND)
			__atomic_store_n(&s->ping[0].line, base + i, __ATOMIC_RELEASE);
		while (__atomic_load_n(&s->ping[role == PERF_BACKEND].line, __ATOMIC_ACQUIRE) <
		       base + i)
			rte_pause();
		if (role == PERF_FRONTEND)
			__atomic_store_n(&s->ping[1].line, base + i, __ATOMIC_RELEASE);
		sample[i - 1] = (uint32_t)(rte_rdtsc() - start);
	}
	if (role != PERF_BACKEND)
		return;
	qsort(sample, PERF_PING, sizeof(sample[0]), by_value);
	s->distance = sample[PERF_PING / 2];
}

static inline void
count_burst(struct perf_result *r, uint64_t cycles, uint16_t got, uint16_t want)
{
	if (got == 0) {
		r->empty_polls++;
		return;
	}
	r->packets += got;
	if (got < want) {
		r->part_bursts++;
		return;
	}
	r->full_bursts++;
	if (r->nsamples < PERF_SAMPLES)
		r->sample[r->nsamples++] = (uint32_t)cycles;
}

static inline void
think(uint64_t cycles)
{
	uint64_t until = rte_rdtsc() + cycles;

	while (rte_rdtsc() < until)
		rte_pause();
}

static void
slice_rx(struct perf_shared *s, struct perf_result *r, uint16_t port, uint64_t pause,
	 const uint32_t *stop)
{
	struct rte_mbuf *pkts[PERF_MAX_BURST];
	const uint16_t burst = (uint16_t)s->job.burst;

	while (!__atomic_load_n(stop, __ATOMIC_RELAXED)) {
		uint64_t start = rte_rdtsc();
		uint16_t n = rte_eth_rx_burst(port, 0, pkts, burst);

		count_burst(r, rte_rdtsc() - start, n, burst);
		rte_pktmbuf_free_bulk(pkts, n);
		think(pause);
	}
}

static void
slice_tx(struct perf_shared *s, struct perf_result *r, uint16_t port, struct rte_mempool *pool,
	 uint64_t pause, const uint32_t *stop)
{
	struct rte_mbuf *pkts[PERF_MAX_BURST];
	const uint16_t burst = (uint16_t)s->job.burst;

	while (!__atomic_load_n(stop, __ATOMIC_RELAXED)) {
		uint64_t start;
		uint16_t n;

		if (rte_pktmbuf_alloc_bulk(pool, pkts, burst) != 0)
			continue;
		dress(pkts, burst, s->job.size);
		start = rte_rdtsc();
		n = rte_eth_tx_burst(port, 0, pkts, burst);
		count_burst(r, rte_rdtsc() - start, n, burst);
		rte_pktmbuf_free_bulk(pkts + n, burst - n);
		think(pause);
	}
}

/* What an empty poll costs once the other side is silent. */
static void
measure_empty(struct perf_result *r, uint16_t port)
{
	static uint32_t sample[1000];
	struct rte_mbuf *pkts[PERF_MAX_BURST];
	uint32_t n = 0;

	for (uint32_t tries = 0; n < RTE_DIM(sample) && tries < 20000; tries++) {
		uint64_t start = rte_rdtsc();
		uint16_t got = rte_eth_rx_burst(port, 0, pkts, 32);
		uint64_t end = rte_rdtsc();

		rte_pktmbuf_free_bulk(pkts, got);
		if (got == 0)
			sample[n++] = (uint32_t)(end - start);
	}
	qsort(sample, n, sizeof(sample[0]), by_value);
	r->empty_cycles = n > 0 ? sample[n / 2] : 0;
}

/* The timer of a slice runs in the back-end only; reading the clock costs a burst nothing. */
static void
on_alarm(int sig)
{
	(void)sig;
}

static void *
stopper(void *arg)
{
	struct perf_shared *s = arg;

	usleep(s->job.slice_ms * 1000);
	__atomic_store_n(&s->stop, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void
run_slice(struct perf_worker *w, struct rte_mempool *pool)
{
	struct perf_shared *s = w->shared;
	struct perf_result *r = &s->result[w->role];
	uint16_t port = (uint16_t)s->job.pair;
	bool measured = w->role == s->job.measured;
	bool receive = (s->job.path == PERF_RX) == measured;
	uint64_t pause = measured ? s->job.think : 0, start;
	pthread_t t;

	r->packets = r->full_bursts = r->part_bursts = r->empty_polls = 0;
	r->nsamples = 0;
	r->empty_cycles = 0;
	measure_distance(s, w->role);
	if (w->role == PERF_BACKEND && pthread_create(&t, NULL, stopper, s) != 0)
		_exit(1);
	start = rte_rdtsc();
	if (receive)
		slice_rx(s, r, port, pause, &s->stop);
	else
		slice_tx(s, r, port, pool, pause, &s->stop);
	r->tsc = rte_rdtsc() - start;
	if (w->role == PERF_BACKEND)
		pthread_join(t, NULL);
	if (measured && receive)
		measure_empty(r, port);
}

static void
die(const struct perf_worker *w, const char *what, int err)
{
	fprintf(stderr, "vring-perf: %s: %s: %s\n",
		w->role == PERF_BACKEND ? "back-end" : "front-end", what, rte_strerror(err));
	_exit(1);
}

static void
die_at_port(const struct perf_worker *w, uint16_t port, const char *what, int err)
{
	char name[RTE_ETH_NAME_MAX_LEN] = "port", text[RTE_ETH_NAME_MAX_LEN + 64];

	rte_eth_dev_get_name_by_port(port, name);
	snprintf(text, sizeof(text), "%s: %s", name, what);
	die(w, text, err);
}

static void
die_at_init(const struct perf_worker *w, int err)
{
	if (w->needs_vring && access(RTE_EAL_PMD_PATH "/librte_net_vring.so", F_OK) != 0)
		fputs("vring-perf: net_vring is not installed: give --plugin FILE\n", stderr);
	die(w, "EAL", err);
}

static void
wait_links(const struct perf_worker *w)
{
	for (uint16_t port = 0; port < PERF_PAIRS; port++) {
		struct rte_eth_link link = {0};

		for (int i = 0; i < 500 && link.link_status == 0; i++) {
			usleep(10000);
			rte_eth_link_get_nowait(port, &link);
		}
		if (link.link_status == 0)
			die_at_port(w, port, "no link within 5 s", ETIMEDOUT);
	}
}

void
perf_worker_main(struct perf_worker *w)
{
	struct perf_shared *s = w->shared;
	struct rte_mempool *pool;
	uint32_t seen = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* What the terminal or a user tells the coordinator, it tells the workers. */
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	signal(SIGALRM, on_alarm);
	if (rte_eal_init(w->eal_argc, w->eal_argv) < 0)
		die_at_init(w, rte_errno);
	if (rte_eth_dev_count_avail() != PERF_PAIRS)
		die(w, "not all of its ports are there", ENODEV);
	pool = rte_pktmbuf_pool_create("perf", 8191, 256, 0, (uint16_t)w->mbuf_room,
				       SOCKET_ID_ANY);
	if (pool == NULL)
		die(w, "mbuf pool", rte_errno);
	for (uint16_t port = 0; port < PERF_PAIRS; port++) {
		int ret = port_start(port, pool, w->ring);

		if (ret != 0)
			die_at_port(w, port, "does not start", -ret);
	}
	s->tsc_hz = rte_get_tsc_hz();
	if (w->role == PERF_BACKEND)
		__atomic_store_n(&s->ready[w->role], 1, __ATOMIC_RELEASE);
	wait_links(w);
	__atomic_store_n(&s->ready[w->role], 2, __ATOMIC_RELEASE);
	for (;;) {
		uint32_t go = __atomic_load_n(&s->go, __ATOMIC_ACQUIRE);

		if (go == UINT32_MAX)
			break;
		if (go == seen) {
			usleep(500);
			continue;
		}
		seen = go;
		run_slice(w, pool);
		__atomic_store_n(&s->done[w->role], seen, __ATOMIC_RELEASE);
	}
	for (uint16_t port = 0; port < PERF_PAIRS; port++) {
		rte_eth_dev_stop(port);
		rte_eth_dev_close(port);
	}
	rte_eal_cleanup();
	_exit(0);
}
