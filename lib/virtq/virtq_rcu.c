/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "virtq_rcu.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

bool virtq_rcu_fence;

int
virtq_rcu_init(void)
{
	if (syscall(__NR_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0)
		return 0;
	virtq_rcu_fence = true;
	return -errno;
}

void
virtq_rcu_publish(struct virtq_rcu *rcu, void *ptr)
{
	virtq_rcu_publish_many(&rcu, &ptr, 1);
}

void
virtq_rcu_publish_many(struct virtq_rcu *const *rcus, void *const *ptrs, unsigned int n)
{
	unsigned int spins = 0;

	for (unsigned int i = 0; i < n; i++)
		__atomic_store_n(&rcus[i]->ptr, ptrs[i], __ATOMIC_SEQ_CST);
	/* Barrier G: after this every burst either sees the new pointer or shows itself busy. */
	if (virtq_rcu_fence)
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
	else
		syscall(__NR_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
	for (unsigned int i = 0; i < n; i++) {
		while (__atomic_load_n(&rcus[i]->busy, __ATOMIC_ACQUIRE) != 0)
			if (++spins > 100)
				sched_yield();
	}
}
