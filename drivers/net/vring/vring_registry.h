/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ports of this process. Any thread but the control threads, which vring_registry_remove() may
 * wait for.
 */
#ifndef VRING_REGISTRY_H
#define VRING_REGISTRY_H

#include <stdbool.h>

#include "vring_port.h"

/* -EEXIST: another port, whose name is put into other[RTE_ETH_NAME_MAX_LEN], has this peer. */
int vring_registry_add(struct vring_port *port, char *other);
/* Returns when nobody asks the port any more. */
void vring_registry_remove(struct vring_port *port);
/* Whether the port may be asked: its probe is over, its close has not begun. */
void vring_registry_show(struct vring_port *port, bool open);

typedef int (*vring_registry_fn)(struct vring_port *port, void *arg);
/* fn(port, arg) for each port that may be asked. The list is locked: fn waits for nothing. */
void vring_registry_each(vring_registry_fn fn, void *arg);
/*
 * What fn(port, arg) returns for the one with this ethdev port id, -EINVAL: there is none. The port
 * stays until then; fn may take its time, since no other port is delayed.
 */
int vring_registry_ask(unsigned long port_id, vring_registry_fn fn, void *arg);

#endif /* VRING_REGISTRY_H */
