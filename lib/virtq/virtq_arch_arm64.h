/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * arm64: loads and stores pass each other unless something orders them. Processors are in one
 * inner shareable domain, devices in the outer shareable one around it, and a barrier is for a
 * domain. Arm ARM (DDI 0487), B2.3.
 */
#ifndef VIRTQ_ARCH_ARM64_H
#define VIRTQ_ARCH_ARM64_H

#define virtq_arch_dma_mb virtq_arch_dma_mb
static inline void
virtq_arch_dma_mb(void)
{
	__asm__ volatile("dmb osh" ::: "memory");
}

#define virtq_arch_dma_rmb virtq_arch_dma_rmb
static inline void
virtq_arch_dma_rmb(void)
{
	__asm__ volatile("dmb oshld" ::: "memory");
}

#define virtq_arch_dma_wmb virtq_arch_dma_wmb
static inline void
virtq_arch_dma_wmb(void)
{
	__asm__ volatile("dmb oshst" ::: "memory");
}

#endif /* VIRTQ_ARCH_ARM64_H */
