/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * x86-64: a processor sees the stores of another one in their order, and so does a device. Only a
 * load may overtake an earlier store. Intel SDM 3A, 9.2.2.
 */
#ifndef VIRTQ_ARCH_X86_H
#define VIRTQ_ARCH_X86_H

#ifndef VIRTQ_ARCH_DMA /* tests go the other way as well */
#define VIRTQ_ARCH_DMA 0
#endif

#define virtq_arch_mb virtq_arch_mb
static inline void
virtq_arch_mb(void)
{
	/* A locked no-op is cheaper than mfence and orders normal memory as well. */
	__asm__ volatile("lock addl $0, -128(%%rsp)" ::: "memory", "cc");
}

#define virtq_arch_dma_rmb virtq_arch_dma_rmb
static inline void
virtq_arch_dma_rmb(void)
{
	__asm__ volatile("" ::: "memory");
}

#define virtq_arch_dma_wmb virtq_arch_dma_wmb
static inline void
virtq_arch_dma_wmb(void)
{
	__asm__ volatile("" ::: "memory");
}

/*
 * The builtin asks for a shared copy on the baseline processor, and the store then pays a second
 * trip to the other core; processors that lack the instruction ignore it.
 */
#define virtq_arch_prefetch_write virtq_arch_prefetch_write
static inline void
virtq_arch_prefetch_write(const void *p)
{
	__asm__ volatile("prefetchw %0" : : "m"(*(const char *)p));
}

#endif /* VIRTQ_ARCH_X86_H */
