/* SPDX-License-Identifier: BSD-3-Clause */
/* What a worker does in a slice. */
#ifndef PERF_SLICE_H
#define PERF_SLICE_H

#include <rte_mbuf.h>

#include "perf.h"

enum { PERF_MIX = 12 };

/* The head of a frame, and the length of it all. */
struct perf_frame {
	uint8_t head[64];
	uint16_t size;
};

/* One end of a pair. Zeroed but for what stands here as given. */
struct perf_end {
	struct perf_shared *shared;	/* given */
	struct rte_mempool *pool;	/* given */
	enum perf_role role;		/* given */
	uint16_t ports[PERF_MAX_PORTS];	/* given: those that work, then the idle ones */
	uint16_t nworking, nports, queues;	/* given */
	uint64_t ask;			/* given: offload flags of packets that are sent */

	struct perf_job job;
	struct perf_result *result;
	struct perf_count *count;	/* of this half */
	uint16_t in, out;		/* ports of this job: packets come from, and go to */
	bool measured, paced;
	uint64_t deadline;		/* by the back-end's clock */
	uint64_t window_start, window_length;	/* cycles; UINT64_MAX: no windows */
	struct perf_count window;	/* as it was when the window began */
	uint16_t queue;			/* the one whose turn it is */
	struct perf_frame mix[PERF_MIX];	/* frames that are sent, in turn */
	uint32_t next;
};

/* Run the slice that e->shared->job describes; the other end has to do the same. */
void perf_slice_run(struct perf_end *e);

#endif /* PERF_SLICE_H */
