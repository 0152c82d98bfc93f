/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRING_DUMP_H
#define VRING_DUMP_H

#include <stdio.h>

#include <ethdev_driver.h>

/* ethdev's eth_dev_priv_dump: the port's private state, for people. */
int vring_dump_priv(struct rte_eth_dev *dev, FILE *file);

#endif /* VRING_DUMP_H */
