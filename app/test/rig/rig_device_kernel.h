/* SPDX-License-Identifier: BSD-3-Clause */
/* What a device of the kernel keeps of a ring, and what it enforces: alike for all of them. */
#ifndef RIG_DEVICE_KERNEL_H
#define RIG_DEVICE_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "vhost_uapi.h"

struct kernel_ring {
	uint32_t num, base;
	struct vhost_uapi_vring_addr addr;
	int kick, call, err;
	bool enabled;
};

struct kernel_ring_limits {
	uint32_t max_num;
	bool packed;
	bool wide_base;		/* 32 bits of base */
};

/* A VHOST_SET_VRING_ request by its number, and its argument. 0 or -errno. */
int kernel_ring_told(struct kernel_ring *r, unsigned int nr, const void *arg,
		     const struct kernel_ring_limits *limits);

#endif /* RIG_DEVICE_KERNEL_H */
