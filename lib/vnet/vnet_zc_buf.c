/* SPDX-License-Identifier: BSD-3-Clause */
#include "vnet_zc_buf.h"

void
vnet_zc_buf_returned(void *addr, void *opaque)
{
	vnet_zc_buf_return(opaque);
}
