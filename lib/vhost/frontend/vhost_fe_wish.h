/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an owner can ask a device for besides packets. Whatever is asked while there is none, or
 * behind a socket, where nobody filters, is kept, and told to the next one.
 *
 * Any thread; the caller waits for the device. 0, or -EIO: the device refuses, and the wish stays
 * as it was. A device that does not answer is gone: the wish is kept, and the session ends a round
 * of the loop later.
 */
#ifndef VHOST_FE_WISH_H
#define VHOST_FE_WISH_H

#include <stdbool.h>
#include <stdint.h>

#include "vhost_fe_cmd.h"

struct vhost_fe;

int vhost_fe_wish_promisc(struct vhost_fe *fe, bool on);
int vhost_fe_wish_allmulti(struct vhost_fe *fe, bool on);
/* The device's own address. -ENOTSUP: it cannot be told, and would go on filtering. */
int vhost_fe_wish_mac(struct vhost_fe *fe, const struct vhost_fe_mac *mac);
/*
 * The MTU, bytes. -EIO is known at once only while rings run; a back-end that refuses it later is
 * used nevertheless.
 */
int vhost_fe_wish_mtu(struct vhost_fe *fe, uint16_t mtu);
/* Address `index` of 0..VHOST_FE_UNICAST - 1 besides its own; zero: none. */
int vhost_fe_wish_unicast(struct vhost_fe *fe, uint32_t index, const struct vhost_fe_mac *mac);
/* All of them. -ENOSPC: more than VHOST_FE_CMD_MACS. */
int vhost_fe_wish_multicast(struct vhost_fe *fe, const struct vhost_fe_mac *mac, uint32_t n);
/* VLAN `id` of 0..4095 is let through. */
int vhost_fe_wish_vlan(struct vhost_fe *fe, uint16_t id, bool on);
/* Hash types, key and table. entries 0: any table. */
int vhost_fe_wish_rss(struct vhost_fe *fe, const struct vhost_fe_rss *rss);

#endif /* VHOST_FE_WISH_H */
