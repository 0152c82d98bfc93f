/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Queues that stand still: a peer that takes nothing though packets are sent to it, and packets
 * that wait though no burst asks for them. The control thread looks at what bursts count anyway,
 * and bursts do nothing for it.
 */
#ifndef VRING_STALL_H
#define VRING_STALL_H

#include "vring_port.h"

int vring_stall_open(struct vring_port *port);	/* 0 or -ENOMEM */
void vring_stall_close(struct vring_port *port);
/* Control thread: the port has been started, or is stopped. With stall-ms=0 nothing is watched. */
void vring_stall_start(struct vring_port *port);
void vring_stall_stop(struct vring_port *port);
/* Look at all queues, as the port's timer does. Control thread. */
void vring_stall_look(struct vring_port *port, uint64_t now_ns);
/*
 * How often a look found the rings of a queue so full: with nothing, below a quarter, below one
 * half, below three quarters, not full, full. Of transmit rings that is what the peer has not made
 * room for; of receive rings what the application has not taken. Any thread.
 */
#define VRING_STALL_FILL_BINS 6
void vring_stall_fill(const struct vring_port *port, bool tx, unsigned int id,
		      uint64_t bin[VRING_STALL_FILL_BINS]);
const char *vring_stall_fill_name(unsigned int bin);
/*
 * For how many milliseconds that transmit (receive) queue has stood still which has done so for
 * longest; 0: none does. Control thread.
 */
uint64_t vring_stall_longest(const struct vring_port *port, bool tx, uint64_t now_ns);

#endif /* VRING_STALL_H */
