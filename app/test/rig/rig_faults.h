/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * System calls and allocations that fail, are interrupted or do less than they were asked for. The
 * linker has the libraries call what is here instead (--wrap, see app/test/meson.build). Only calls
 * of what is tested count: those between rig_faults_enter() and rig_faults_leave(), those within
 * evloop_step(), and those of threads that were started so.
 *
 * Of these calls nothing sensible can follow if they fail, so they do not: close(), munmap(),
 * unlink() and EPOLL_CTL_DEL. What they should take away would stay, whoever looks at the result.
 */
#ifndef RIG_FAULTS_H
#define RIG_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum rig_faults_kind {
	RIG_FAULTS_NONE,
	RIG_FAULTS_ERROR,	/* one that is plausible of this call */
	RIG_FAULTS_SIGNAL,	/* EINTR */
	RIG_FAULTS_LATER,	/* EAGAIN */
	RIG_FAULTS_SHORT,	/* half of the bytes, one at least */
	RIG_FAULTS_LASTING,	/* an error, of all calls of this function from then on */
	RIG_FAULTS_KINDS,
};

/* Which call: the n-th of a function, counted for the loop's thread and all others separately. */
struct rig_fault {
	uint16_t function;
	uint16_t n;
	bool elsewhere;		/* in another thread than the loop's */
	enum rig_faults_kind kind : 8;
} __attribute__((aligned(8)));	/* one atomic word */

#define RIG_FAULTS_MAX 4096

/* What is tested begins and ends in this thread. */
void rig_faults_enter(void);
void rig_faults_leave(void);
/* Calls are counted from 0 on, and this one fails; NULL: none does. */
void rig_faults_begin(const struct rig_fault *fault);
/* Calls are neither counted nor do they fail any more; true: go on with both. */
void rig_faults_go_on(bool on);
/* Calls that failed since rig_faults_begin(). */
uint32_t rig_faults_hits(void);
/*
 * Faults of the calls that were counted: of each place in the sources at most `most` calls, in each
 * kind that there is for the function. How many.
 */
uint32_t rig_faults_plan(struct rig_fault fault[RIG_FAULTS_MAX], uint32_t most);
/* For people; the text is the next call's. */
const char *rig_faults_text(const struct rig_fault *fault);

#endif /* RIG_FAULTS_H */
