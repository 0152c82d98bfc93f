/* SPDX-License-Identifier: BSD-3-Clause */
/* ISA levels of x86-64. For other processors there is nothing here. */
#ifndef VNET_ISA_X86_H
#define VNET_ISA_X86_H

#if defined(__x86_64__)

#include <stdbool.h>

/* The compiler was told to stay with the processor that DPDK was built for. */
#if defined(__SSE4_2__) && !defined(__AVX__)
#define VNET_ISA_BASE_NAME "x86-64-v2"
#endif

/*
 * With SSE alone rte_memcpy() is hundreds of instructions and a jump table wherever it is inlined,
 * so that a file of bursts takes the compiler minutes; there it is one function.
 */
#if defined(__SSE__) && !defined(__AVX2__)
#define VNET_ISA_COPY_CALLS
#endif

/* Whether the processor and the kernel have all that the compiler may use for x86-64-v3. */
bool vnet_isa_x86_has_v3(void);

#endif

#endif /* VNET_ISA_X86_H */
