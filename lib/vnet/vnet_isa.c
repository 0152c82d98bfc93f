/* SPDX-License-Identifier: BSD-3-Clause */
#include "vnet_isa.h"

#ifdef VNET_ISA_V3
#include <cpuid.h>
#endif

#include <rte_cpuflags.h>
#include <rte_vect.h>

extern const struct vnet_isa_ops_table vnet_isa_ops_base;

/* The compiler was told to stay with the processor that DPDK was built for. */
#if defined(__x86_64__) && defined(__SSE4_2__) && !defined(__AVX__)
#define BASE_NAME "x86-64-v2"
#else
#define BASE_NAME "baseline"
#endif

#ifdef VNET_ISA_V3
extern const struct vnet_isa_ops_table vnet_isa_ops_v3;

/*
 * All that the compiler may use for it and not for the one below (System V ABI for AMD64, 3.1.1),
 * but LZCNT, for which see has_lzcnt().
 */
static const enum rte_cpu_flag_t v3_flags[] = {
	RTE_CPUFLAG_AVX,  RTE_CPUFLAG_AVX2, RTE_CPUFLAG_BMI1,  RTE_CPUFLAG_BMI2,
	RTE_CPUFLAG_F16C, RTE_CPUFLAG_FMA,  RTE_CPUFLAG_MOVBE, RTE_CPUFLAG_OSXSAVE,
};

/*
 * RTE_CPUFLAG_LZCNT is of no use: DPDK (22.11 and later) reads bit 4, which is AltMovCr8 of AMD's
 * processors and reserved in Intel's. LZCNT is bit 5, which AMD calls ABM.
 */
static bool
has_lzcnt(void)
{
	uint32_t eax, ebx, ecx, edx;

	return __get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_ABM) != 0;
}

/* That the processor has wide registers is not enough: the kernel has to save them. */
static bool
kernel_saves_ymm(void)
{
	const uint32_t sse_and_avx = 6;
	uint32_t low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (low & sse_and_avx) == sse_and_avx;
}

static bool
has_v3(void)
{
	for (unsigned int i = 0; i < RTE_DIM(v3_flags); i++)
		if (rte_cpu_get_flag_enabled(v3_flags[i]) <= 0)
			return false;
	return has_lzcnt() && kernel_saves_ymm();
}
#endif

/* From the lowest, which every processor has that DPDK runs on, to the highest. */
static const struct {
	struct vnet_isa level;
	bool (*has)(void);
} levels[] = {
	{.level = {BASE_NAME, 0, &vnet_isa_ops_base}},
#ifdef VNET_ISA_V3
	{.level = {"x86-64-v3", 256, &vnet_isa_ops_v3}, .has = has_v3},
#endif
};

const struct vnet_isa *
vnet_isa_at(unsigned int i)
{
	for (unsigned int k = 0; k < RTE_DIM(levels); k++)
		if ((levels[k].has == NULL || levels[k].has()) && i-- == 0)
			return &levels[k].level;
	return NULL;
}

const struct vnet_isa *
vnet_isa_for(uint16_t bits)
{
	const struct vnet_isa *best = vnet_isa_at(0), *level;

	for (unsigned int i = 1; (level = vnet_isa_at(i)) != NULL; i++)
		if (level->bits <= bits)
			best = level;
	return best;
}

const struct vnet_isa *
vnet_isa(void)
{
	static const struct vnet_isa *chosen;
	const struct vnet_isa *level = __atomic_load_n(&chosen, __ATOMIC_RELAXED);

	if (level == NULL) {
		level = vnet_isa_for(rte_vect_get_max_simd_bitwidth());
		__atomic_store_n(&chosen, level, __ATOMIC_RELAXED);
	}
	return level;
}

vnet_rx_burst
vnet_dev_rx_select(const struct virtq_ring *ring, uint32_t flags, const char **name)
{
	return vnet_isa()->ops->dev_rx_select(ring, flags, name);
}

vnet_tx_burst
vnet_dev_tx_select(const struct virtq_ring *ring, const char **name)
{
	return vnet_isa()->ops->dev_tx_select(ring, name);
}

vnet_rx_burst
vnet_drv_rx_select(const struct virtq_ring *ring, uint32_t flags, const char **name)
{
	return vnet_isa()->ops->drv_rx_select(ring, flags, name);
}

vnet_tx_burst
vnet_drv_tx_select(const struct virtq_ring *ring, const char **name)
{
	return vnet_isa()->ops->drv_tx_select(ring, name);
}

uint16_t
vnet_cut_burst(struct vnet_rxq *rxq, struct vnet_cut *cut, struct rte_mbuf **pkts, uint16_t fresh,
	       uint16_t n)
{
	return vnet_isa()->ops->cut_burst(rxq, cut, pkts, fresh, n);
}

uint16_t
vnet_drv_rx_fill(struct vnet_rxq *rxq, struct virtq_drv *drv, const struct virtq_ring *ring)
{
	return vnet_isa()->ops->drv_rx_fill(rxq, drv, ring);
}

uint16_t
vnet_drv_tx_clean(struct vnet_txq *txq, struct virtq_drv *drv, const struct virtq_ring *ring,
		  uint16_t n)
{
	return vnet_isa()->ops->drv_tx_clean(txq, drv, ring, n);
}
