/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A slice: the line's round trip, a half with pauses, a half without, empty polls, the line's
 * round trip. The two ends meet in between; no packet of one part is left for the next.
 */
#include "slice.h"

#include <string.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>

#include "stats.h"

enum {
	SILENCE = 64,		/* empty polls of all queues after which nothing is left */
	POLLS = 32,		/* empty ones that are timed together */
	PING_PATIENCE_MS = 100,
	LOOK_FOR_LOST = 256,	/* turns */
	WINDOWS_A_SECOND = 4000,
	HEAD = sizeof(struct rte_ether_hdr) + sizeof(struct rte_ipv4_hdr) +
	       sizeof(struct rte_tcp_hdr),
	SEQUENCE = HEAD - sizeof(struct rte_tcp_hdr) + offsetof(struct rte_tcp_hdr, sent_seq),
};

static uint64_t
word_of(const struct perf_word *w)
{
	return __atomic_load_n(&w->value, __ATOMIC_ACQUIRE);
}

static void
set_word(struct perf_word *w, uint64_t value)
{
	__atomic_store_n(&w->value, value, __ATOMIC_RELEASE);
}

static enum perf_role
other(enum perf_role role)
{
	return role == PERF_BACKEND ? PERF_FRONTEND : PERF_BACKEND;
}

/* Both ends come to this point of the slice before either goes on. */
static void
meet(struct perf_end *e, uint32_t point)
{
	uint64_t step = (uint64_t)e->job.id * 16 + point;

	set_word(&e->shared->step[e->role], step);
	while (word_of(&e->shared->step[other(e->role)]) < step)
		rte_pause();
}

/* The cost of a cache line that goes there and back: it says how far the cores are apart. */
static void
measure_distance(struct perf_end *e, uint32_t which)
{
	static uint32_t sample[PERF_PING];
	struct perf_word *mine = &e->shared->ping[e->role];
	const struct perf_word *theirs = &e->shared->ping[other(e->role)];
	uint64_t base = ((uint64_t)e->job.id * 2 + which) * PERF_PING;

	for (uint32_t i = 1; i <= PERF_PING; i++) {
		uint64_t start = rte_rdtsc();

		if (e->role == PERF_BACKEND)
			set_word(mine, base + i);
		while (word_of(theirs) < base + i)
			rte_pause();
		if (e->role == PERF_FRONTEND)
			set_word(mine, base + i);
		sample[i - 1] = (uint32_t)(rte_rdtsc() - start);
	}
	if (e->role != PERF_BACKEND)
		return;
	perf_sort(sample, PERF_PING);
	e->shared->distance[which] = perf_sorted_quantile(sample, PERF_PING, .5);
}

/* A frame of TCP that any driver takes, its checksum as one that is left to the card begins. */
static void
make_frame(struct perf_frame *f, uint32_t size, uint64_t ask)
{
	struct rte_ether_hdr *eth = (struct rte_ether_hdr *)f->head;
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(eth + 1);
	struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(ip + 1);

	memset(f, 0, sizeof(*f));
	f->size = (uint16_t)size;
	eth->dst_addr = (struct rte_ether_addr){{2, 0, 0, 0, 0, 2}};
	eth->src_addr = (struct rte_ether_addr){{2, 0, 0, 0, 0, 1}};
	eth->ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	ip->version_ihl = RTE_IPV4_VHL_DEF;
	ip->total_length = rte_cpu_to_be_16((uint16_t)(size - sizeof(*eth)));
	ip->time_to_live = 64;
	ip->next_proto_id = IPPROTO_TCP;
	/* 198.18.0.0/15 is for benchmarks (RFC 2544). */
	ip->src_addr = RTE_BE32(0xc6120001);
	ip->dst_addr = RTE_BE32(0xc6120002);
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	tcp->src_port = tcp->dst_port = RTE_BE16(9);
	tcp->data_off = sizeof(*tcp) / 4 << 4;
	tcp->cksum = rte_ipv4_phdr_cksum(ip, ask);
}

/* 7:4:1 of small, middle and large, spread. */
static void
make_mix(struct perf_end *e)
{
	static const uint16_t imix[PERF_MIX] = {
		64, 570, 64, 64, 570, 64, 1518, 64, 570, 64, 570, 64,
	};

	for (uint32_t i = 0; i < PERF_MIX; i++)
		make_frame(&e->mix[i], e->job.size == PERF_IMIX ? imix[i] : e->job.size, e->ask);
}

static inline void
ask_offloads(struct rte_mbuf *m, uint64_t ask)
{
	m->ol_flags = (m->ol_flags & (RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL)) | ask;
	m->l2_len = sizeof(struct rte_ether_hdr);
	m->l3_len = sizeof(struct rte_ipv4_hdr);
	m->l4_len = sizeof(struct rte_tcp_hdr);
}

/* Write the first line of each packet anew, as an application would. */
static inline void
dress(struct perf_end *e, struct rte_mbuf **pkts, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		const struct perf_frame *f = &e->mix[e->next];

		e->next = e->next + 1 == PERF_MIX ? 0 : e->next + 1;
		memcpy(rte_pktmbuf_mtod(pkts[i], void *), f->head, HEAD);
		pkts[i]->data_len = f->size;
		pkts[i]->pkt_len = f->size;
		if (e->ask != 0)
			ask_offloads(pkts[i], e->ask);
	}
}

/* What a MAC forwarder does to a packet. */
static inline void
redirect(struct perf_end *e, struct rte_mbuf **pkts, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		struct rte_ether_hdr *eth = rte_pktmbuf_mtod(pkts[i], struct rte_ether_hdr *);

		eth->dst_addr = (struct rte_ether_addr){{2, 0, 0, 0, 0, 1}};
		eth->src_addr = (struct rte_ether_addr){{2, 0, 0, 0, 0, 2}};
		if (e->ask != 0)
			ask_offloads(pkts[i], e->ask);
	}
}

/*
 * Rates have medians too: of windows of a quarter of a millisecond. One in which nothing moved is
 * none, for at full speed it takes an end that was not running to make one.
 */
static void
close_window(struct perf_end *e, uint64_t now)
{
	const struct perf_count *c = e->count, *before = &e->window;
	uint64_t received = c->received - before->received, cycles = now - e->window_start;
	struct perf_result *r = e->result;

	if (received > 0 && r->nrates < PERF_WINDOWS)
		r->rate[r->nrates++] = (uint32_t)(received * rte_get_tsc_hz() / cycles);
	if (received + c->sent > before->sent && r->nshares < PERF_WINDOWS)
		r->share[r->nshares++] = (uint32_t)((c->busy - before->busy) * 10000 / cycles);
	e->window = *c;
	e->window_start = now;
}

/* Is this half still on? The back-end's clock ends it; asking costs a burst nothing. */
static inline bool
running(struct perf_end *e)
{
	uint64_t now = rte_rdtsc();

	if (now - e->window_start > e->window_length)
		close_window(e, now);
	if (e->role == PERF_FRONTEND)
		return word_of(&e->shared->stop) == 0;
	if (now < e->deadline)
		return true;
	set_word(&e->shared->stop, 1);
	return false;
}

/* A receive burst; *spent: cycles it took. */
static inline uint16_t
take(struct perf_end *e, struct rte_mbuf **pkts, uint64_t *spent)
{
	uint64_t start = rte_rdtsc();
	uint16_t n = rte_eth_rx_burst(e->in, e->queue, pkts, (uint16_t)e->job.burst);

	*spent = rte_rdtsc() - start;
	e->count->received += n;
	if (n == 0)
		e->count->empty_polls++;
	else
		e->count->busy += *spent;
	return n;
}

/* A transmit burst of packets that are gone afterwards, sent or not; *spent: cycles it took. */
static inline uint16_t
give(struct perf_end *e, struct rte_mbuf **pkts, uint16_t n, uint64_t *spent)
{
	uint64_t start = rte_rdtsc();
	uint16_t sent = rte_eth_tx_burst(e->out, e->queue, pkts, n);

	*spent = rte_rdtsc() - start;
	e->count->offered += n;
	e->count->sent += sent;
	if (sent > 0)
		e->count->busy += *spent;
	if (sent < n)
		rte_pktmbuf_free_bulk(pkts + sent, n - sent);
	return sent;
}

static inline void
note_burst(struct perf_end *e, uint64_t cycles, uint16_t done)
{
	struct perf_result *r = e->result;

	if (done < e->job.burst) {
		e->count->part_bursts += done > 0;
		return;
	}
	e->count->full_bursts++;
	if (e->paced && r->nsamples < PERF_SAMPLES)
		r->sample[r->nsamples++] = (uint32_t)cycles;
}

/* Look at each idle port, as a switch with many guests does. */
static inline void
poll_idle(struct perf_end *e)
{
	struct rte_mbuf *pkts[PERF_MAX_BURST];
	struct perf_result *r = e->result;
	uint32_t polls = (uint32_t)(e->nports - e->nworking) * e->queues;
	uint64_t start = rte_rdtsc();

	if (polls == 0)
		return;
	for (uint16_t i = e->nworking; i < e->nports; i++)
		for (uint16_t q = 0; q < e->queues; q++) {
			uint16_t n = rte_eth_rx_burst(e->ports[i], q, pkts,
						      (uint16_t)e->job.burst);

			rte_pktmbuf_free_bulk(pkts, n);
		}
	if (r->nidle < PERF_IDLE_SAMPLES)
		r->idle[r->nidle++] = (uint32_t)((rte_rdtsc() - start) / polls);
}

/* Between two bursts of an end. */
static inline void
go_round(struct perf_end *e)
{
	e->queue = e->queue + 1 == e->queues ? 0 : e->queue + 1;
	if (!e->measured)
		return;
	if (e->queue == 0)
		poll_idle(e);
	if (e->paced) {
		/* Forwarding keeps the other end busy with sending and receiving. */
		uint64_t until = rte_rdtsc() + e->job.think *
				 (perf_forwards(e->job.path) ? 2 : 1);

		while (rte_rdtsc() < until)
			rte_pause();
	}
}

static void
receive(struct perf_end *e)
{
	struct rte_mbuf *pkts[PERF_MAX_BURST];
	uint64_t spent;

	while (running(e)) {
		uint16_t n = take(e, pkts, &spent);

		note_burst(e, spent, n);
		rte_pktmbuf_free_bulk(pkts, n);
		go_round(e);
	}
}

/* Send a burst of new packets; false: the pool is empty. */
static inline bool
generate(struct perf_end *e, uint64_t *spent, uint16_t *sent)
{
	struct rte_mbuf *pkts[PERF_MAX_BURST];
	const uint16_t burst = (uint16_t)e->job.burst;

	if (rte_pktmbuf_alloc_bulk(e->pool, pkts, burst) != 0)
		return false;
	dress(e, pkts, burst);
	*sent = give(e, pkts, burst, spent);
	return true;
}

static void
transmit(struct perf_end *e)
{
	uint64_t spent;
	uint16_t sent;

	while (running(e)) {
		if (generate(e, &spent, &sent))
			note_burst(e, spent, sent);
		go_round(e);
	}
}

/* The measured end of PERF_FORWARD and PERF_VM, and the back-end of PERF_LATENCY. */
static void
forward(struct perf_end *e)
{
	struct rte_mbuf *pkts[PERF_MAX_BURST];
	uint64_t in, out;

	while (running(e)) {
		uint16_t n = take(e, pkts, &in);

		if (n > 0) {
			redirect(e, pkts, n);
			n = give(e, pkts, n, &out);
			note_burst(e, in + out, n);
		}
		go_round(e);
	}
}

/*
 * The other end of PERF_FORWARD and PERF_VM: a guest that forwards as well. What comes back is sent
 * again, so that what is under way goes round; it is a ring full of packets for each queue, or two
 * bursts where that is more. What the measured end could not send is replaced; who drops packets
 * that it took goes on with less.
 */
static void
return_to_sender(struct perf_end *e)
{
	const struct perf_count *theirs = &e->shared->result[other(e->role)].half[
		e->paced ? PERF_PACED : PERF_FLAT_OUT];
	const uint64_t most = RTE_MAX((uint64_t)e->queues * e->job.ring, 2ul * e->job.burst);
	struct rte_mbuf *pkts[PERF_MAX_BURST];
	uint64_t spent, lost = 0;
	uint16_t n;

	for (uint32_t turn = 0; running(e); turn++) {
		/* Now and then, for the other core writes this. */
		if (turn % LOOK_FOR_LOST == 0)
			lost = __atomic_load_n(&theirs->offered, __ATOMIC_RELAXED) -
			       __atomic_load_n(&theirs->sent, __ATOMIC_RELAXED);
		if (e->count->sent - e->count->received - lost + e->job.burst <= most)
			generate(e, &spent, &n);
		n = take(e, pkts, &spent);
		if (n > 0) {
			redirect(e, pkts, n);
			give(e, pkts, n, &spent);
		}
		go_round(e);
	}
}

/* Wait for the ping of this number; false: it does not come. */
static bool
pong(struct perf_end *e, uint32_t number, uint64_t patience)
{
	struct rte_mbuf *pkts[PERF_MAX_BURST];
	uint64_t until = rte_rdtsc() + patience, spent;
	bool found = false;

	while (!found && running(e) && rte_rdtsc() < until) {
		uint16_t n = take(e, pkts, &spent);

		for (uint16_t i = 0; i < n; i++) {
			uint32_t is;

			memcpy(&is, rte_pktmbuf_mtod_offset(pkts[i], uint8_t *, SEQUENCE),
			       sizeof(is));
			found = found || is == number;
		}
		rte_pktmbuf_free_bulk(pkts, n);
		if (!found && e->measured)
			poll_idle(e);
	}
	return found;
}

/* The front-end of PERF_LATENCY: one packet at a time. */
static void
ping(struct perf_end *e)
{
	const uint64_t patience = rte_get_tsc_hz() / 1000 * PING_PATIENCE_MS;
	struct perf_result *r = e->result;
	struct rte_mbuf *pkt;
	uint64_t spent;

	for (uint32_t number = 1; running(e); number++) {
		uint64_t start;

		pkt = rte_pktmbuf_alloc(e->pool);
		if (pkt == NULL)
			continue;
		dress(e, &pkt, 1);
		memcpy(rte_pktmbuf_mtod_offset(pkt, uint8_t *, SEQUENCE), &number, sizeof(number));
		start = rte_rdtsc();
		if (give(e, &pkt, 1, &spent) == 1 && pong(e, number, patience) &&
		    r->nsamples < PERF_SAMPLES)
			r->sample[r->nsamples++] = (uint32_t)(rte_rdtsc() - start);
		e->queue = e->queue + 1 == e->queues ? 0 : e->queue + 1;
	}
}

static void
play(struct perf_end *e)
{
	switch (e->job.path) {
	case PERF_FORWARD:
	case PERF_VM:
		if (e->measured)
			forward(e);
		else
			return_to_sender(e);
		break;
	case PERF_LATENCY:
		if (e->role == PERF_BACKEND)
			forward(e);
		else
			ping(e);
		break;
	default:
		if ((e->job.path == PERF_RX) == e->measured)
			receive(e);
		else
			transmit(e);
	}
}

static void
drain_queue(uint16_t port, uint16_t queue)
{
	struct rte_mbuf *pkts[PERF_MAX_BURST];

	for (int empty = 0; empty < SILENCE; ) {
		uint16_t n = rte_eth_rx_burst(port, queue, pkts, 32);

		rte_pktmbuf_free_bulk(pkts, n);
		empty = n == 0 ? empty + 1 : 0;
	}
}

/* Both ends are silent: take what is left, which counts for nobody. */
static void
drain(const struct perf_end *e)
{
	for (uint16_t i = 0; i < e->nworking; i++)
		for (uint16_t q = 0; q < e->queues; q++)
			drain_queue(e->ports[i], q);
}

static void
run_half(struct perf_end *e, enum perf_half half)
{
	uint64_t ms = e->job.path == PERF_LATENCY ? e->job.slice_ms : (e->job.slice_ms + 1) / 2;
	uint64_t start;

	e->count = &e->result->half[half];
	e->paced = half == PERF_PACED;
	e->queue = 0;
	meet(e, 4 * half);
	start = rte_rdtsc();
	e->deadline = start + rte_get_tsc_hz() / 1000 * ms;
	e->window_start = start;
	e->window_length = e->paced || e->job.path == PERF_LATENCY ? UINT64_MAX :
			   rte_get_tsc_hz() / WINDOWS_A_SECOND;
	memset(&e->window, 0, sizeof(e->window));
	play(e);
	e->count->tsc = rte_rdtsc() - start;
	meet(e, 4 * half + 1);
	drain(e);
	if (e->role == PERF_BACKEND)
		set_word(&e->shared->stop, 0);
	meet(e, 4 * half + 2);
}

/* What an empty poll costs when nothing else is done; clocks are coarse, so many together. */
static void
measure_empty(struct perf_end *e)
{
	static uint32_t sample[200];
	struct rte_mbuf *pkts[PERF_MAX_BURST];

	for (uint32_t i = 0; i < RTE_DIM(sample); i++) {
		uint64_t start = rte_rdtsc();

		for (int k = 0; k < POLLS; k++)
			rte_pktmbuf_free_bulk(pkts, rte_eth_rx_burst(e->in, 0, pkts, 32));
		sample[i] = (uint32_t)((rte_rdtsc() - start) / POLLS);
	}
	perf_sort(sample, RTE_DIM(sample));
	e->result->empty_cycles = perf_sorted_quantile(sample, RTE_DIM(sample), .5);
}

/* PERF_VM: in at the first port of the measured end, out at its second, and there to the other. */
static void
choose_ports(struct perf_end *e)
{
	bool two = e->job.path == PERF_VM;

	e->in = e->ports[two && !e->measured];
	e->out = e->ports[two && e->measured];
}

void
perf_slice_run(struct perf_end *e)
{
	e->job = e->shared->job;
	e->result = &e->shared->result[e->role];
	e->measured = e->role == e->job.measured;
	choose_ports(e);
	e->result->nsamples = e->result->nidle = 0;
	e->result->nrates = e->result->nshares = 0;
	memset(e->result->half, 0, sizeof(e->result->half));
	make_mix(e);
	measure_distance(e, 0);
	if (e->job.slice_ms == 0)
		return;
	if (e->job.path != PERF_LATENCY)
		run_half(e, PERF_PACED);
	run_half(e, PERF_FLAT_OUT);
	if (e->measured)
		measure_empty(e);
	measure_distance(e, 1);
}
