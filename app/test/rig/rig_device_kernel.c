/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig_device_kernel.h"

#include <errno.h>

static int
kernel_ring_num(struct kernel_ring *r, uint32_t num, const struct kernel_ring_limits *limits)
{
	r->num = num;
	if (num == 0 || num > limits->max_num)
		return -EINVAL;
	return (num & (num - 1)) && !limits->packed ? -EINVAL : 0;
}

int
kernel_ring_told(struct kernel_ring *r, unsigned int nr, const void *arg,
		 const struct kernel_ring_limits *limits)
{
	const struct vhost_vring_state *s = arg;
	const struct vhost_vring_file *file = arg;

	switch (nr) {
	case 0x10: return kernel_ring_num(r, s->num, limits);
	case 0x11: r->addr = *(const struct vhost_uapi_vring_addr *)arg; return 0;
	case 0x12:
		if (s->num > UINT16_MAX && !limits->wide_base)
			return -EINVAL;
		r->base = s->num;
		return 0;
	case 0x20: r->kick = file->fd; return 0;
	case 0x21: r->call = file->fd; return 0;
	case 0x22: r->err = file->fd; return 0;
	default: return -ENOTTY;
	}
}
