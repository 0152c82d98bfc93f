/* SPDX-License-Identifier: BSD-3-Clause */
#include "vnet_extbuf.h"

#include <rte_errno.h>

struct rte_mempool *
vnet_extbuf_pool_create(const char *name, unsigned int n, uint32_t size, int socket_id)
{
	if (size > UINT16_MAX || size <= RTE_PKTMBUF_HEADROOM) {
		rte_errno = EINVAL;
		return NULL;
	}
	return rte_mempool_create(name, n, sizeof(struct vnet_extbuf) + size, n >= 256 ? 32 : 0, 0,
				  NULL, NULL, NULL, NULL, socket_id, 0);
}
