/* SPDX-License-Identifier: BSD-3-Clause */
#include "vnet_cut.h"

#include <rte_malloc.h>

struct vnet_cut *
vnet_cut_new(int socket)
{
	return rte_zmalloc_socket("vnet_cut", sizeof(struct vnet_cut), RTE_CACHE_LINE_SIZE, socket);
}

void
vnet_cut_clear(struct vnet_cut *cut)
{
	if (cut == NULL)
		return;
	rte_pktmbuf_free(cut->p.m);
	cut->p.m = NULL;
	rte_pktmbuf_free_bulk(&cut->wait[cut->first], cut->n);
	cut->n = 0;
}

void
vnet_cut_free(struct vnet_cut *cut)
{
	vnet_cut_clear(cut);
	rte_free(cut);
}

bool
vnet_cut_idle(const struct vnet_cut *cut)
{
	return cut->p.m == NULL && cut->n == 0;
}
