/* SPDX-License-Identifier: BSD-3-Clause */

#include <rte_eal.h>

#include "vring_role.h"

static const struct vring_role *roles[VRING_ROLE_MAX];

void
vring_role_register(enum vring_role_id id, const struct vring_role *role)
{
	roles[id] = role;
}

const struct vring_role *
vring_role_of(const struct vring_port *port)
{
	return roles[port->role];
}

const struct vring_queue_ops *
vring_role_queue_ops(const struct vring_port *port)
{
	return vring_role_of(port)->queue_ops;
}

void
vring_role_count(struct vring_port *port)
{
	if (rte_eal_process_type() == RTE_PROC_PRIMARY)
		vring_role_of(port)->count(port);
}

uint32_t
vring_role_vring_waiting(const struct vring_port *port, unsigned int qid)
{
	const struct vring_queue_ops *ops = vring_role_queue_ops(port);
	const struct vring_port_vring *vring = &port->vring[qid];

	return qid % 2 == ops->rx ? ops->rx_count(vring->ring, vring->cursor) :
				    ops->tx_count(vring->ring, vring->cursor);
}
