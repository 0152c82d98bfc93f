/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What rings need of a processor, and what the compiler has for it. The header of a processor has
 * what differs from these defaults: a function together with a macro of the same name. No other
 * file of lib/ and drivers/ has instructions of a processor, but those whose names end in that of
 * the processor (devtools/check-layers).
 */
#ifndef VIRTQ_ARCH_H
#define VIRTQ_ARCH_H

#if defined(__x86_64__)
#include "virtq_arch_x86.h"
#elif defined(__aarch64__)
#include "virtq_arch_arm64.h"
#endif

/* Whether a device needs other barriers than a processor. */
#ifndef VIRTQ_ARCH_DMA
#define VIRTQ_ARCH_DMA 1
#endif

/* Everything before, then everything after, as another processor sees it. */
#ifndef virtq_arch_mb
static inline void
virtq_arch_mb(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}
#endif

/*
 * The same as a device sees it, which has memory in common with this processor. The defaults of
 * these three are for processors among each other. Whether they do for a device has to be read up
 * in the manual of the processor, which then gets a header.
 */
#ifndef virtq_arch_dma_mb
static inline void
virtq_arch_dma_mb(void)
{
	virtq_arch_mb();
}
#endif

/* Loads before, then loads and stores after. */
#ifndef virtq_arch_dma_rmb
static inline void
virtq_arch_dma_rmb(void)
{
	virtq_arch_mb();
}
#endif

/* Stores before, then stores after, be it to memory or to a register of the device. */
#ifndef virtq_arch_dma_wmb
static inline void
virtq_arch_dma_wmb(void)
{
	virtq_arch_mb();
}
#endif

/* Ask for a line that is about to be written. */
#ifndef virtq_arch_prefetch_write
static inline void
virtq_arch_prefetch_write(const void *p)
{
	__builtin_prefetch(p, 1, 3);
}
#endif

#endif /* VIRTQ_ARCH_H */
