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

void vring_event_raise(struct vring_port *port, uint32_t events);
void vring_event_cancel(struct vring_port *port);

#endif /* VRING_EVENT_H */
