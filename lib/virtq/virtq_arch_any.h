/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any other processor: what the compiler has. That is for processors among each other. Whether it
 * will do for a device has to be read up in the manual of the processor, which then gets a header.
 */
#ifndef VIRTQ_ARCH_ANY_H
#define VIRTQ_ARCH_ANY_H

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
	virtq_arch_mb();
}

/* Loads before, then loads and stores after. */
static inline void
virtq_arch_dma_rmb(void)
{
	virtq_arch_mb();
}

/* Stores before, then stores after, be it to memory or to a register of the device. */
static inline void
virtq_arch_dma_wmb(void)
{
	virtq_arch_mb();
}

/* Ask for a line that is about to be written. */
static inline void
virtq_arch_prefetch_write(const void *p)
{
	__builtin_prefetch(p, 1, 3);
}

#endif /* VIRTQ_ARCH_ANY_H */
