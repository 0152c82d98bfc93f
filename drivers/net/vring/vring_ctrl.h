/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRING_CTRL_H
#define VRING_CTRL_H

#include <stdbool.h>

#include "vring_port.h"

/*
 * A control thread for the port: its own, or the one that all others share, which is started with
 * the first of them. args.ctrl_lcore: where it is pinned, UINT32_MAX: off the lcores. 0 or -errno.
 */
int vring_ctrl_get(struct vring_port *port, bool own);
/* Ends the thread with its last port. Not to be called in it. */
void vring_ctrl_put(struct vring_port *port);
/* Run fn(port) in the control thread, wait for what it returns. */
int vring_ctrl_call(struct vring_port *port, int (*fn)(void *port));

#endif /* VRING_CTRL_H */
