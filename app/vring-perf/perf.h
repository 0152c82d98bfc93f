/* SPDX-License-Identifier: BSD-3-Clause */
/* What the coordinator and its worker processes share, and the words both use. */
#ifndef PERF_H
#define PERF_H

#include <stdbool.h>
#include <stdint.h>

enum {
	PERF_PAIRS = 2,		/* A and B, each a back-end and a front-end */
	PERF_MAX_BURST = 256,
	PERF_MAX_PORTS = 32,	/* of a process: those that work, and idle ones */
	PERF_SAMPLES = 1 << 20,
	PERF_IDLE_SAMPLES = 1 << 16,
	PERF_WINDOWS = 1 << 12,
	PERF_PING = 2000,	/* round trips of a cache line in one measurement */
	PERF_IMIX = 0,		/* as a size: 7 of 64, 4 of 570, 1 of 1518 bytes */
};

/* Which way packets flow, seen from the end that is measured. */
enum perf_path {
	PERF_RX,
	PERF_TX,
	PERF_FORWARD,	/* the measured end sends back what it receives */
	PERF_VM,	/* the same, but out at a second port, as between two virtual machines */
	PERF_LATENCY,	/* one packet: front-end, back-end, front-end */
	PERF_PATHS
};

/* Does the measured end send on what it receives, and the other end both send and receive? */
static inline bool
perf_forwards(enum perf_path path)
{
	return path == PERF_FORWARD || path == PERF_VM;
}

enum perf_role { PERF_BACKEND, PERF_FRONTEND, PERF_ROLES };

/* A slice has two halves; that of PERF_LATENCY is all flat out. */
enum perf_half {
	PERF_PACED,	/* with pauses, so that bursts are full: gives cycles */
	PERF_FLAT_OUT,	/* without: gives packets a second */
	PERF_HALVES
};

/* What both ends of a pair have to do in a slice. */
struct perf_job {
	uint32_t id;		/* slices are numbered from 1, over both pairs */
	enum perf_role measured;
	enum perf_path path;
	uint32_t size;		/* bytes of a packet, or PERF_IMIX */
	uint32_t burst;
	uint32_t ring;		/* entries of a ring */
	uint32_t slice_ms;	/* 0: only a line's round trip is measured */
	uint32_t think;		/* cycles between bursts of the measured end, PERF_PACED */
};

/* What one end counted in one half of a slice. */
struct perf_count {
	uint64_t offered;	/* packets given to the driver to send */
	uint64_t sent;		/* those it took */
	uint64_t received;
	uint64_t full_bursts, part_bursts, empty_polls;
	uint64_t busy;		/* cycles in burst calls that were not for nothing */
	uint64_t tsc;		/* cycles that the half took */
};

/* What one end found in a slice. */
struct perf_result {
	struct perf_count half[PERF_HALVES];
	uint32_t empty_cycles;	/* median cost of a poll when all is silent */
	uint32_t nsamples;	/* as many as fit: cycles of a full burst, or of a ping */
	uint32_t nidle;		/* as many as fit: cycles of a poll of an idle port */
	uint32_t nrates;	/* windows of PERF_FLAT_OUT in which packets were received */
	uint32_t nshares;	/* windows in which packets were received or sent */
	uint32_t sample[PERF_SAMPLES];
	uint32_t idle[PERF_IDLE_SAMPLES];
	uint32_t rate[PERF_WINDOWS];	/* packets received a second */
	uint32_t share[PERF_WINDOWS];	/* of the cycles, busy: in 10,000ths */
};

/* A word that one process writes and others spin on. */
struct perf_word {
	uint64_t value __attribute__((aligned(128)));
};

/* Lives in memory that all workers inherit. */
struct perf_shared {
	struct perf_job job;
	uint32_t go[PERF_PAIRS][PERF_ROLES];	/* the slice to run; UINT32_MAX: end */
	uint32_t done[PERF_PAIRS][PERF_ROLES];
	uint32_t ready[PERF_PAIRS][PERF_ROLES];	/* 1: ports started, 2: link is up */
	uint64_t tsc_hz;
	uint32_t distance[2];	/* cycles of a line's round trip, before and after the slice */
	struct perf_word stop;	/* the back-end's clock ended this half */
	struct perf_word ping[PERF_ROLES];
	struct perf_word step[PERF_ROLES];	/* how far each end of the pair is */
	struct perf_result result[PERF_ROLES];	/* of the pair that ran last */
};

/* Bytes of data in an mbuf that is a page with what DPDK puts before it. */
enum { PERF_PAGE = 4096, PERF_PAGE_ROOM = PERF_PAGE - 64 - 128, PERF_MAX_PAGED = 3500 };

/* How a worker starts. */
struct perf_worker {
	enum perf_role role;
	uint32_t pair;
	int eal_argc;
	char *eal_argv[2 * PERF_MAX_PORTS + 32];
	char driver[32];	/* its ports are DRIVER0, DRIVER1... */
	uint16_t working, ports;	/* those that work come first */
	uint16_t queues, ring;
	uint16_t mbuf_room;	/* bytes of data in an mbuf, headroom included */
	uint32_t mbufs;
	bool paged;		/* each mbuf is in a page of its own */
	bool offloads;		/* ask for checksums and TSO */
	struct perf_shared *shared;
};

/* Runs in a process of its own; does not return. */
void perf_worker_main(struct perf_worker *w) __attribute__((noreturn));

#endif /* PERF_H */
