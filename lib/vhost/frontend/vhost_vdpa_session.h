/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside of a session with a device of the kernel. Who does what:
 *
 *   vhost_vdpa.c	the operations
 *   vhost_vdpa_ring.c	those about rings
 *   vhost_vdpa_map.c	memory: IOTLB messages and what was mapped with them
 *   vhost_kernel.c	what vhost-net needs as well: system calls, requests about rings
 */
#ifndef VHOST_VDPA_SESSION_H
#define VHOST_VDPA_SESSION_H

#include "vhost_kernel.h"
#include "virtq_ring.h"

#define VHOST_VDPA_MAX_ASID 32	/* address spaces that memory can be mapped into */

/* A range that the device may access, and the address spaces it is mapped into. */
struct vhost_vdpa_mapping {
	uint64_t iova, size;
	uint64_t uaddr;
	bool read_only;
	uint32_t spaces;	/* bit i: address space i */
};

struct vhost_vdpa {
	struct vhost_kernel kernel;
	int fd;
	struct evloop_watch config;	/* eventfd that the device signals, fd -1: none */
	bool owned;			/* SET_OWNER was done */
	bool suspended;
	uint64_t page;			/* bytes */
	uint64_t first, last;		/* IOVA range, inclusive */
	uint32_t spaces;		/* address spaces in use, bit i */
	struct vhost_vdpa_mapping *map;		/* what is mapped */
	uint32_t nmaps;
};

static inline bool
vhost_vdpa_has(const struct vhost_dev *dev, unsigned int backend_feature)
{
	return dev->backend >> backend_feature & 1;
}

static inline int
vhost_vdpa_ioctl(struct vhost_vdpa *v, unsigned long request, void *arg, const char *what)
{
	return vhost_kernel_ioctl(&v->kernel, v->fd, request, arg, what);
}

int vhost_vdpa_map_set_table(struct vhost_dev *dev, const struct vhost_region *r, uint32_t n);
/* Map what is mapped already into one more address space, too. */
int vhost_vdpa_map_use_space(struct vhost_vdpa *v, uint32_t asid);
/* The device was reset: rings are back in address space 0, and maps are gone without PERSIST. */
void vhost_vdpa_map_after_reset(struct vhost_vdpa *v);

/* Operations about rings. */
int vhost_vdpa_ring_set_num(struct vhost_dev *dev, uint32_t index, uint32_t num);
int vhost_vdpa_ring_set_base(struct vhost_dev *dev, uint32_t index, uint32_t base);
int vhost_vdpa_ring_set_addr(struct vhost_dev *dev, uint32_t index,
			     const struct vhost_vring_addr *addr);
int vhost_vdpa_ring_suspend_all(struct vhost_dev *dev);
int vhost_vdpa_ring_resume_all(struct vhost_dev *dev);
int vhost_vdpa_ring_get_base(struct vhost_dev *dev, uint32_t index, uint32_t *base);
int vhost_vdpa_ring_set_kick(struct vhost_dev *dev, uint32_t index, int fd);
int vhost_vdpa_ring_set_call(struct vhost_dev *dev, uint32_t index, int fd);
int vhost_vdpa_ring_set_err(struct vhost_dev *dev, uint32_t index, int fd);
int vhost_vdpa_ring_set_enable(struct vhost_dev *dev, uint32_t index, bool enable);
int vhost_vdpa_ring_get_max(struct vhost_dev *dev, uint32_t index, uint32_t *num);
int vhost_vdpa_ring_get_group(struct vhost_dev *dev, uint32_t index, uint32_t *group);
int vhost_vdpa_ring_set_group_asid(struct vhost_dev *dev, uint32_t group, uint32_t asid);
int vhost_vdpa_ring_map_notifier(struct vhost_dev *dev, uint32_t index, void **notifier);
void vhost_vdpa_ring_unmap_notifier(struct vhost_dev *dev, uint32_t index, void *notifier);

#endif /* VHOST_VDPA_SESSION_H */
