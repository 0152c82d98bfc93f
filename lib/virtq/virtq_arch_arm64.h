/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * arm64: loads and stores pass each other unless something orders them. Processors are in one
 * inner shareable domain, devices in the outer shareable one around it, and a barrier is for a
 * domain. Arm ARM (DDI 0487), B2.3.
 */
#ifndef VIRTQ_ARCH_ARM64_H
#define VIRTQ_ARCH_ARM64_H

/* Whether a device needs other barriers than a processor. */
#define VIRTQ_ARCH_DMA 1

/* Everything before, then everything after, as another processor sees it. */
static inline void
virtq_arch_mb(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* The same as a device sees it, which has memory in common with this processor. */
static inline void
virtq_arch_dma_mb(void)
{
	__asm__ volatile("dmb osh" ::: "memory");
}

/* Loads before, then loads and stores after. */
static inline void
virtq_arch_dma_rmb(void)
{
	__asm__ volatile("dmb oshld" ::: "memory");
}

/* Stores before, then stores after, be it to memory or to a register of the device. */
static inline void
virtq_arch_dma_wmb(void)
{
	__asm__ volatile("dmb oshst" ::: "memory");
}

/* Ask for a line that is about to be written. */
static inline void
virtq_arch_prefetch_write(const void *p)
{
	__builtin_prefetch(p, 1, 3);
}

#endif /* VIRTQ_ARCH_ARM64_H */
