/* SPDX-License-Identifier: BSD-3-Clause */

#include <rte_eal.h>

#include "vring_fe.h"

const struct vring_role *
vring_port_role(const struct vring_port *port)
{
	return vring_args_front(&port->args) ? &vring_fe_role : &vring_be_role;
}

const struct vring_queue_ops *
vring_port_queue_ops(const struct vring_port *port)
{
	return vring_port_role(port)->sides;
}

void
vring_count(struct vring_port *port)
{
	if (rte_eal_process_type() == RTE_PROC_PRIMARY)
		vring_port_role(port)->count(port);
}
