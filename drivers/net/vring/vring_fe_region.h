/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pieces of the application's memory. Plain functions of their arguments.
 */
#ifndef VRING_FE_REGION_H
#define VRING_FE_REGION_H

#include "vhost_ops.h"

/*
 * Sort regions by address and make one of those that adjoin; returns how many are left. files: the
 * device maps the files, so that these have to adjoin too; else only addresses count.
 */
uint32_t vring_regions_merge(struct vhost_region *r, uint32_t n, bool files);
/* The first region that is not wholly within [first, last], or NULL. */
const struct vhost_region *vring_regions_beyond(const struct vhost_region *r, uint32_t n,
						uint64_t first, uint64_t last);
uint64_t vring_regions_bytes(const struct vhost_region *r, uint32_t n);

#endif /* VRING_FE_REGION_H */
