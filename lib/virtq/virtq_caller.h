/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls that a thread sends in place of the bursts, for one of two reasons or both: to spare the
 * burst the system call, and to leave some time between two calls of a ring.
 *
 * A burst that wants a call puts it on a list, which takes no system call while the thread is
 * awake. The thread looks at the list every VIRTQ_CALLER_NAP_US as long as calls come, and sleeps
 * VIRTQ_CALLER_LINGER_US after the last one until a burst wakes it. A call that comes after a time
 * without any is sent by the burst at once, so the first packet of a silent ring waits for nobody.
 */
#ifndef VIRTQ_CALLER_H
#define VIRTQ_CALLER_H

#include <stdbool.h>
#include <stdint.h>

#include "virtq_compat.h"

#define VIRTQ_CALLER_NAP_US 50		/* between two looks of the thread */
#define VIRTQ_CALLER_LINGER_US 2000	/* after the last call, before it sleeps */
#define VIRTQ_CALLER_BUSY_US 100	/* two calls of bursts so near each other wake the thread */

struct virtq_caller;

/*
 * The calls of one ring. It belongs to whoever set `wanted`: the burst that holds the ring, then
 * the thread, which clears it before it calls.
 */
struct virtq_call {
	uint32_t wanted;	/* atomic: a call is about to be sent */
	bool by_thread;		/* spare the burst the system call */
	int fd;			/* the thread's; -1: the driver polls. The caller's lock */
	uint64_t interval;	/* ticks between two calls, at least; 0: no matter */
	uint64_t last;		/* when the last one was sent, ticks */
	struct virtq_call *next;
	/* Counters of the burst. */
	uint64_t coalesced;	/* wanted while another one was about to be sent */
	uint64_t deferred;	/* left to the thread */
} __attribute__((aligned(VIRTQ_CACHE_LINE)));

/* What a ring's calls are left to the thread for. */
struct virtq_caller_rule {
	bool by_thread;
	uint32_t interval_us;	/* 0: none */
};

/* `now`: ticks of a clock that all threads share, of which a second has hz. NULL: no memory. */
struct virtq_caller *virtq_caller_new(uint64_t (*now)(void), uint64_t hz);
/* When virtq_caller_run() has returned, and each ring was ended. NULL is allowed. */
void virtq_caller_free(struct virtq_caller *caller);
/* Serve until virtq_caller_quit(), in a thread of its own. */
void virtq_caller_run(struct virtq_caller *caller);
void virtq_caller_quit(struct virtq_caller *caller); /* any thread */
/*
 * Send what is due, as virtq_caller_run() does again and again. Returns the nanoseconds until the
 * next look; 0: not before a burst wakes the thread.
 */
uint64_t virtq_caller_step(struct virtq_caller *caller);

/* No call is wanted, none was sent. While no burst holds the ring, which is not begun. */
void virtq_caller_reset(struct virtq_call *call);
/* What the thread is there for. Likewise. */
void virtq_caller_begin(const struct virtq_caller *caller, struct virtq_call *call,
			struct virtq_caller_rule rule);
/*
 * From here on the thread calls the driver with this fd, and with no other. Before bursts see a
 * ring with it.
 */
void virtq_caller_fd(struct virtq_caller *caller, struct virtq_call *call, int fd);
/*
 * Send what is wanted. From here on the thread knows neither the call nor its fd. After no burst
 * uses the ring any more; there may have been none.
 */
void virtq_caller_end(struct virtq_caller *caller, struct virtq_call *call);

/*
 * The driver is to be called, for what the ring has returned. By whoever bursts on the ring, with
 * the fd as the ring has it.
 */
void virtq_caller_post(struct virtq_caller *caller, struct virtq_call *call, int fd);

#endif /* VIRTQ_CALLER_H */
