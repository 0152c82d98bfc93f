/* SPDX-License-Identifier: BSD-3-Clause */
/* What the coordinator and its two worker processes share. */
#ifndef PERF_H
#define PERF_H

#include <stdbool.h>
#include <stdint.h>

enum { PERF_PAIRS = 2, PERF_MAX_BURST = 256, PERF_SAMPLES = 1 << 18, PERF_PING = 2000 };

/* Which way packets flow, seen from the end that is measured. */
enum perf_path { PERF_RX, PERF_TX, PERF_PATHS };

enum perf_role { PERF_BACKEND, PERF_FRONTEND, PERF_ROLES };

/* What a worker has to do in a slice. */
struct perf_job {
	uint32_t pair;
	enum perf_role measured;
	enum perf_path path;
	uint32_t size;		/* bytes of a packet */
	uint32_t burst;
	uint32_t slice_ms;
	uint32_t think;		/* cycles between bursts, so that they are full */
};

/* What one worker found in a slice. */
struct perf_result {
	uint64_t packets, full_bursts, part_bursts, empty_polls;
	uint64_t tsc;		/* cycles that the slice took */
	uint32_t nsamples;	/* cycles of each full burst, as many as fit */
	uint32_t empty_cycles;	/* median cost of an empty poll */
	uint32_t sample[PERF_SAMPLES];
};

/* Lives in memory that both workers inherit. */
struct perf_shared {
	struct perf_job job;
	uint32_t go;		/* number of the slice to run; UINT32_MAX: end */
	uint32_t done[PERF_ROLES];
	uint32_t ready[PERF_ROLES];
	uint32_t stop;		/* the back-end's clock ended the slice */
	uint64_t tsc_hz;
	uint32_t distance;	/* cycles of a cache line's round trip */
	struct {
		uint64_t line __attribute__((aligned(128)));
	} ping[2];
	struct perf_result result[PERF_ROLES];
};

/* How a worker starts: EAL arguments and the names of its two ports. */
struct perf_worker {
	enum perf_role role;
	int cpu;
	int eal_argc;
	char *eal_argv[24];
	uint32_t mbuf_room;	/* data room of the pool */
	uint16_t ring;		/* descriptors */
	bool needs_vring;	/* net_vring has to be installed, for no plugin is named */
	struct perf_shared *shared;
};

/* Runs in a process of its own; does not return. */
void perf_worker_main(struct perf_worker *w) __attribute__((noreturn));

#endif /* PERF_H */
