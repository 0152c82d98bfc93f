/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a back-end tells of itself: see struct vring_role.
 */
#ifndef VRING_BE_INFO_H
#define VRING_BE_INFO_H

#include <stdio.h>

#include <ethdev_driver.h>

#include "vring_port.h"

struct rte_tel_data;

void vring_be_info(const struct vring_port *port, struct rte_eth_dev_info *info);
void vring_be_info_count(struct vring_port *port);
void vring_be_info_status(struct vring_port *port, struct rte_tel_data *d);
void vring_be_info_memory(struct vring_port *port, struct rte_tel_data *d);
void vring_be_info_dump(struct vring_port *port, FILE *f);
uint8_t vring_be_info_device_status(const struct vring_port *port);

#endif /* VRING_BE_INFO_H */
