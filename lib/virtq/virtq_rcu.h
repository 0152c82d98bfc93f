/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The publication rule: how something immutable reaches bursts and is taken back.
 *
 * A burst enters, reads the pointer, works, leaves: two plain stores and a load. The control
 * thread publishes another pointer and, when virtq_rcu_publish() returns, knows that no burst
 * still works with the former one. One struct virtq_rcu has one data thread at a time (or threads
 * that exclude each other by a lock around enter and leave).
 */
#ifndef VIRTQ_RCU_H
#define VIRTQ_RCU_H

#include <stdbool.h>
#include <stdint.h>

#include "virtq_compat.h"

struct virtq_rcu {
	void *ptr;		/* what is published; NULL: nothing to do */
	uint32_t busy;		/* 1 while a burst is inside */
} __attribute__((aligned(VIRTQ_CACHE_LINE)));

/* 0, or -errno when the process cannot use membarrier(2): bursts then fence (virtq_rcu_fence). */
int virtq_rcu_init(void);
/* Publish and wait until no burst uses the former pointer. Called by the control thread only. */
void virtq_rcu_publish(struct virtq_rcu *rcu, void *ptr);
/* The same for many at the price of one barrier. */
void virtq_rcu_publish_many(struct virtq_rcu *const *rcus, void *const *ptrs, unsigned int n);

extern bool virtq_rcu_fence; /* bursts have to fence: membarrier is not to be had */

static inline void *
virtq_rcu_read_lock(struct virtq_rcu *rcu)
{
	__atomic_store_n(&rcu->busy, 1, __ATOMIC_RELAXED);
	/* Barrier G: pairs with the membarrier of virtq_rcu_publish(). */
	if (__builtin_expect(virtq_rcu_fence, 0))
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
	else
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return __atomic_load_n(&rcu->ptr, __ATOMIC_ACQUIRE);
}

static inline void
virtq_rcu_read_unlock(struct virtq_rcu *rcu)
{
	/* Barrier G: what the burst did is over for whoever sees this. */
	__atomic_store_n(&rcu->busy, 0, __ATOMIC_RELEASE);
}

#endif /* VIRTQ_RCU_H */
