/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What devices of the kernel have in common, be it a vhost-vdpa device or the kernel's vhost-net:
 * system calls of the owner's choice, and requests about rings, which are the same for both. `fd`
 * is a descriptor of the device; vhost-net has one for each pair. All return 0 or -errno, with
 * dev->why; `what` names the request there.
 */
#ifndef VHOST_KERNEL_H
#define VHOST_KERNEL_H

#include "vhost_dev.h"
#include "vhost_uapi.h"

struct vhost_kernel {
	struct vhost_dev *dev;
	const struct vhost_kernel_sys *sys;
	struct evloop_timer soon;	/* reports to the owner, from the loop, that the device is
					 * gone */
	bool gone;
};

extern const struct vhost_kernel_sys vhost_kernel_linux;

void vhost_kernel_init(struct vhost_kernel *k, struct vhost_dev *dev,
		       const struct vhost_kernel_sys *sys);
/* open(2) of a path has failed; `missing`: what to do where there is no such device. Returns rc. */
int vhost_kernel_open_failed(struct vhost_dev *dev, const char *path, int rc, const char *missing);
/* What ioctl(2) returns where that is more than 0. */
int vhost_kernel_ioctl(struct vhost_kernel *k, int fd, unsigned long request, void *arg,
		       const char *what);
/* Whether an ioctl failed because this kernel or device does not have it. */
bool vhost_kernel_is_missing(int rc);
/* An error that means that the device is gone is reported to the owner. Returns rc, or -ENODEV. */
int vhost_kernel_check(struct vhost_kernel *k, int rc);
int vhost_kernel_set_owner(struct vhost_kernel *k, int fd);

/* A number of a ring, told and asked; the request's argument is a struct vhost_vring_state. */
int vhost_kernel_ring_state(struct vhost_kernel *k, int fd, unsigned long request, uint32_t index,
			    uint32_t num, const char *what);
int vhost_kernel_ring_get(struct vhost_kernel *k, int fd, unsigned long request, uint32_t index,
			  uint32_t *num, const char *what);
int vhost_kernel_ring_addr(struct vhost_kernel *k, int fd, uint32_t index, uint64_t desc,
			   uint64_t avail, uint64_t used);
/* A descriptor for a ring, -1: none; the argument is a struct vhost_vring_file. */
int vhost_kernel_ring_file(struct vhost_kernel *k, int fd, unsigned long request, uint32_t index,
			   int file, const char *what);

#endif /* VHOST_KERNEL_H */
