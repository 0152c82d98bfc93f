/* SPDX-License-Identifier: BSD-3-Clause */
#include "vnet_impl.h"

#ifdef VNET_ISA_COPY_CALLS
void
vnet_copy_long(void *to, const void *from, uint32_t len)
{
	rte_memcpy(to, from, len);
}
#endif
