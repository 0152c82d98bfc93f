/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Events for the application. Call-backs run in EAL's interrupt thread, never in the control
 * thread.
 */
#ifndef VRING_EVENT_H
#define VRING_EVENT_H

#include <stdint.h>

#include <rte_bitops.h>

#include "vring_port.h"

#define VRING_EVENT_LINK RTE_BIT32(0)
#define VRING_EVENT_QUEUE RTE_BIT32(1)

int vring_event_open(struct vring_port *port); /* 0 or -ENOMEM */
void vring_event_raise(struct vring_port *port, uint32_t events);
/*
 * No event of the port is delivered from here on. A call-back that runs is waited for, a second at
 * most: it may be waiting for the caller. One that closes its port is not waited for.
 */
void vring_event_close(struct vring_port *port);

#endif /* VRING_EVENT_H */
