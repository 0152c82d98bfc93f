/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rx interrupts: what an application waits for that sleeps until a receive queue has something.
 */
#ifndef VRING_INTR_H
#define VRING_INTR_H

#include "vring_port.h"

/*
 * As dev_conf says: descriptors to wait for come, stay or go. The application's thread, while the
 * port is stopped. 0 or -errno.
 */
int vring_intr_configure(struct vring_port *port);
void vring_intr_close(struct vring_port *port);
/*
 * Control thread: poll sets have changed. From here on descriptors of former rings are waited for
 * no more; applications that sleep are woken, so that they look at the rings that there are now.
 */
void vring_intr_follow(struct vring_port *port);

/* Of ethdev: any thread, but not beside a burst of the queue. */
int vring_intr_rx_enable(struct rte_eth_dev *dev, uint16_t id);
int vring_intr_rx_disable(struct rte_eth_dev *dev, uint16_t id);

#endif /* VRING_INTR_H */
