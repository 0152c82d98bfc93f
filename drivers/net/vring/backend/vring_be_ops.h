/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRING_BE_OPS_H
#define VRING_BE_OPS_H

#include <ethdev_driver.h>

/* The operations of any port, and those that a back-end has besides. */
const struct eth_dev_ops *vring_be_ops(void);

#endif /* VRING_BE_OPS_H */
