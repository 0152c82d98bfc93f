/* SPDX-License-Identifier: BSD-3-Clause */
/* Driver side: what is no burst, so that it exists once for all ISA levels. */
#include "vnet_drv.h"

vnet_drv_shared vnet_drv_is_shared;

void
vnet_drv_drain(struct virtq_drv *drv, uint16_t size)
{
	struct rte_mbuf *m;

	while ((m = virtq_drv_detach(drv, size)) != NULL) {
		/* A receive buffer is raw; what a sent one was holds for it as well. */
		rte_pktmbuf_free(m);
	}
}
