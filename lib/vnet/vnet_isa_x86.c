/* SPDX-License-Identifier: BSD-3-Clause */
#include "vnet_isa_x86.h"

#include <cpuid.h>
#include <stdint.h>

#include <rte_common.h>
#include <rte_cpuflags.h>

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

bool
vnet_isa_x86_has_v3(void)
{
	for (unsigned int i = 0; i < RTE_DIM(v3_flags); i++)
		if (rte_cpu_get_flag_enabled(v3_flags[i]) <= 0)
			return false;
	return has_lzcnt() && kernel_saves_ymm();
}
