/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ISA levels. The sources that touch every packet are compiled once for each level
 * (lib/vnet/meson.build says which sources and which levels); one of the results is used, chosen
 * at run time. They differ in speed and in nothing else.
 *
 * The functions of vnet.h and vnet_drv.h go to the level in use; who wants another one, as tests
 * do, calls those of its table.
 */
#ifndef VNET_ISA_H
#define VNET_ISA_H

#include "vnet_isa_ops.h"

struct vnet_isa {
	const char *name;	/* "x86-64-v3"; that of the processor DPDK was built for, which is
				 * the lowest level: "x86-64-v2", or "baseline" for others */
	uint16_t bits;		/* width of its widest vectors; the lowest level: 0 */
	const struct vnet_isa_ops_table *ops;
};

/* Of the levels that this processor can run, the i-th from the lowest. NULL: there are fewer. */
const struct vnet_isa *vnet_isa_at(unsigned int i);
/* The highest of them whose vectors have no more than so many bits. Never NULL. */
const struct vnet_isa *vnet_isa_for(uint16_t bits);
/*
 * The level in use: the highest that the application allows (rte_vect_get_max_simd_bitwidth()).
 * Chosen by the first call, which must come after EAL has read its arguments. Any thread.
 */
const struct vnet_isa *vnet_isa(void);

#endif /* VNET_ISA_H */
