/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>

#include <rte_malloc.h>

#include "virtq_dev.h"
#include "virtq_drv.h"
#include "vring_port.h"

int
vring_port_alloc(struct vring_port *port, bool drv, int numa)
{
	const unsigned int n = 2 * port->vring_pairs;
	const size_t base_size = port->pairs * sizeof(struct vring_stats_base);

	if (drv)
		port->drvs = rte_zmalloc_socket("vring_drvs", n * sizeof(*port->drvs),
						RTE_CACHE_LINE_SIZE, numa);
	else
		port->devs = rte_zmalloc_socket("vring_devs", n * sizeof(*port->devs),
					       RTE_CACHE_LINE_SIZE, numa);
	port->rx_base = rte_zmalloc_socket("vring_stats_base", base_size, 0, numa);
	port->tx_base = rte_zmalloc_socket("vring_stats_base", base_size, 0, numa);
	if ((port->devs == NULL && port->drvs == NULL) || port->rx_base == NULL ||
	    port->tx_base == NULL)
		return -ENOMEM;
	for (uint16_t i = 0; i < port->pairs; i++)
		port->rx_base[i].counter = port->tx_base[i].counter = i;
	for (unsigned int qid = 0; qid < n; qid++) {
		struct vring_port_vring *vring = &port->vring[qid];

		vring->cursor = port->drvs != NULL ? &port->drvs[qid].cursor :
						     &port->devs[qid].cursor;
		rte_spinlock_init(&vring->lock);
		virtq_ring_cursor_reset(vring->cursor);
	}
	return 0;
}

void
vring_port_free(struct vring_port *port)
{
	rte_free(port->devs);
	rte_free(port->drvs);
	rte_free(port->rx_base);
	rte_free(port->tx_base);
}

const char *
vring_port_vring_state(const struct vring_port_vring *vring)
{
	/* Stays until the guest sets the ring up anew. */
	if (vring->cursor->broken != VIRTQ_OK)
		return "broken";
	if (vring->ring == NULL)
		return "stopped";
	return vring->ring->enabled ? "enabled" : "disabled";
}

uint32_t
vring_port_in_flight(const struct vring_port_vring *vring)
{
	const struct virtq_cursor *c = vring->cursor;
	const uint16_t avail = __atomic_load_n(&c->avail_idx, __ATOMIC_RELAXED);
	const uint16_t used = __atomic_load_n(&c->used_idx, __ATOMIC_RELAXED);

	if (!vring->ring->packed)
		return (uint16_t)(avail - used);
	return avail - used + (c->avail_wrap != c->used_wrap ? vring->ring->size : 0u);
}
