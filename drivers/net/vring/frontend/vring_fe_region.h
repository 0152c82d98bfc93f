/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pieces of the application's memory. Plain functions of their arguments.
 */
#ifndef VRING_FE_REGION_H
#define VRING_FE_REGION_H

#include "vhost_ops.h"
#include "vnet_drv.h"

/*
 * Sort regions by address and make one of those that adjoin; returns how many are left. files: the
 * device maps the files, so that these have to adjoin too; else only addresses count.
 */
uint32_t vring_fe_region_merge(struct vhost_region *r, uint32_t n, bool files);
/* The first region that is not wholly within [first, last], or NULL. */
const struct vhost_region *vring_fe_region_beyond(const struct vhost_region *r, uint32_t n,
						  uint64_t first, uint64_t last);
uint64_t vring_fe_region_bytes(const struct vhost_region *r, uint32_t n);

/* Addresses, as ranges that do not overlap. Zero: none. `range` is the holder's to free(). */
struct vring_ranges {
	struct vnet_range *range;
	uint32_t n;
};
bool vring_fe_region_ranges_meet(const struct vring_ranges *s, uintptr_t base, size_t len);
/* Put a range in, or take one out, and a part of others with it. 0 or -ENOMEM: unchanged. */
int vring_fe_region_ranges_add(struct vring_ranges *s, uintptr_t base, size_t len);
int vring_fe_region_ranges_cut(struct vring_ranges *s, uintptr_t base, size_t len);

#endif /* VRING_FE_REGION_H */
