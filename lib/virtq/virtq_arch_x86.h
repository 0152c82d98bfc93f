/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * x86-64: a processor sees the stores of another one in their order, and so does a device. Only a
 * load may overtake an earlier store. Intel SDM 3A, 9.2.2.
 */
#ifndef VIRTQ_ARCH_X86_H
#define VIRTQ_ARCH_X86_H

/* Whether a device needs other barriers than a processor. */
#define VIRTQ_ARCH_DMA 0

/* Everything before, then everything after, as another processor sees it. */
static inline void
virtq_arch_mb(void)
{
	/* A locked no-op is cheaper than mfence and orders normal memory as well. */
	__asm__ volatile("lock addl $0, -128(%%rsp)" ::: "memory", "cc");
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
	__asm__ volatile("" ::: "memory");
}

/* Stores before, then stores after, be it to memory or to a register of the device. */
static inline void
virtq_arch_dma_wmb(void)
{
	__asm__ volatile("" ::: "memory");
}

/*
 * Ask for a line that is about to be written. The builtin asks for a shared copy on the baseline
 * processor, and the store then pays a second trip to the other core; processors that lack the
 * instruction ignore it.
 */
static inline void
virtq_arch_prefetch_write(const void *p)
{
	__asm__ volatile("prefetchw %0" : : "m"(*(const char *)p));
}

#endif /* VIRTQ_ARCH_X86_H */
