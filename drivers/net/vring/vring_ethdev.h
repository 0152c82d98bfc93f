/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ethdev operations on a whole port: start, stop, link, capabilities.
 */
#ifndef VRING_ETHDEV_H
#define VRING_ETHDEV_H

#include <ethdev_driver.h>

/* A back-end's; a front-end replaces some of them. */
extern const struct eth_dev_ops vring_ethdev_ops;
/* What a secondary process may call. */
extern const struct eth_dev_ops vring_ethdev_secondary_ops;
int vring_ethdev_close(struct rte_eth_dev *dev);

#endif /* VRING_ETHDEV_H */
