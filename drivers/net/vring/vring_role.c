/* SPDX-License-Identifier: BSD-3-Clause */

#include <rte_eal.h>

#include "vring_fe.h"

const struct vring_role *
vring_role_of(const struct vring_port *port)
{
	return vring_devargs_front(&port->args) ? &vring_fe_role : &vring_be_role;
}

const struct vring_queue_ops *
vring_role_queue_ops(const struct vring_port *port)
{
	return vring_role_of(port)->sides;
}

void
vring_role_count(struct vring_port *port)
{
	if (rte_eal_process_type() == RTE_PROC_PRIMARY)
		vring_role_of(port)->count(port);
}
