/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Has an application of DPDK be of another release, as far as it says. It is loaded before the
 * application's libraries (LD_PRELOAD).
 */
#include <rte_version.h>

const char *
rte_version(void)
{
	return RTE_VER_PREFIX " 21.11.0";
}
