/* SPDX-License-Identifier: BSD-3-Clause */
/* How the device spreads packets over receive queues: what is wished for, what it is told. */
#ifndef VHOST_FE_RSS_H
#define VHOST_FE_RSS_H

#include <stdint.h>

#include "vhost_fe_cmd.h"

struct vhost_fe;

/* Any thread that makes no other wish meanwhile: what was wished for last. */
void vhost_fe_rss_wished(const struct vhost_fe *fe, struct vhost_fe_rss *rss);
/*
 * What the device that there is now is told of it: types that it has, a table that fits it.
 * queues: receive queues of the owner.
 */
void vhost_fe_rss_fit(const struct vhost_fe *fe, uint16_t queues, struct vhost_fe_rss *rss);

#endif /* VHOST_FE_RSS_H */
