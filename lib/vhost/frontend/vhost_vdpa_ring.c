/* SPDX-License-Identifier: BSD-3-Clause */
/* The rings of a device of the kernel: set-up, bases, groups, notifiers. */
#include <errno.h>
#include <string.h>

#include "vhost_vdpa_session.h"
#include "virtq_compat.h"

static int
ring_state(struct vhost_dev *dev, unsigned long request, uint32_t index, uint32_t num,
	   const char *what)
{
	struct vhost_vdpa *v = dev->priv;

	return vhost_kernel_ring_state(&v->kernel, v->fd, request, index, num, what);
}

int
vhost_vdpa_ring_set_num(struct vhost_dev *dev, uint32_t index, uint32_t num)
{
	return ring_state(dev, VHOST_SET_VRING_NUM, index, num, "size of a ring");
}

/* Before about Linux 6.4 a base had 16 bits: of a packed ring the avail slot and wrap. */
int
vhost_vdpa_ring_set_base(struct vhost_dev *dev, uint32_t index, uint32_t base)
{
	int rc = ring_state(dev, VHOST_SET_VRING_BASE, index, base, "base of a ring");

	if (rc == -EINVAL && base > UINT16_MAX)
		rc = ring_state(dev, VHOST_SET_VRING_BASE, index, base & UINT16_MAX,
				"base of a ring");
	return rc;
}

int
vhost_vdpa_ring_set_addr(struct vhost_dev *dev, uint32_t index, const struct vhost_vring_addr *addr)
{
	struct vhost_vdpa *v = dev->priv;

	if (addr->log)
		return vhost_dev_fail(dev, -EOPNOTSUPP, "vhost-vdpa has no dirty log");
	return vhost_kernel_ring_addr(&v->kernel, v->fd, index, addr->desc_iova, addr->avail_iova,
				      addr->used_iova);
}

int
vhost_vdpa_ring_suspend_all(struct vhost_dev *dev)
{
	struct vhost_vdpa *v = dev->priv;
	__u32 unused = 0; /* kernels that do not know the request look for a ring's index */
	int rc;

	if (!vhost_vdpa_has(dev, VHOST_BACKEND_F_SUSPEND))
		return vhost_dev_fail(dev, -EOPNOTSUPP, "the device cannot be suspended");
	if (v->suspended)
		return 0;
	rc = vhost_vdpa_ioctl(v, VHOST_VDPA_SUSPEND, &unused, "SUSPEND");
	v->suspended = rc >= 0;
	return rc < 0 ? rc : 0;
}

int
vhost_vdpa_ring_resume_all(struct vhost_dev *dev)
{
	struct vhost_vdpa *v = dev->priv;
	__u32 unused = 0;
	int rc;

	if (!vhost_vdpa_has(dev, VHOST_BACKEND_F_RESUME))
		return vhost_dev_fail(dev, -EOPNOTSUPP, "the device cannot be resumed");
	rc = vhost_vdpa_ioctl(v, VHOST_VDPA_RESUME, &unused, "RESUME");
	if (rc >= 0)
		v->suspended = false;
	return rc < 0 ? rc : 0;
}

/* Of a device that runs the base is in motion: suspend it first, where it can be. */
int
vhost_vdpa_ring_get_base(struct vhost_dev *dev, uint32_t index, uint32_t *base)
{
	struct vhost_vdpa *v = dev->priv;
	int rc;

	if ((dev->status & VIRTIO_CONFIG_S_DRIVER_OK) && vhost_vdpa_has(dev,
									VHOST_BACKEND_F_SUSPEND)) {
		rc = vhost_vdpa_ring_suspend_all(dev);
		if (rc < 0 && !vhost_kernel_is_missing(rc))
			return rc;
	}
	return vhost_kernel_ring_get(&v->kernel, v->fd, VHOST_GET_VRING_BASE, index, base,
				     "base of a ring");
}

static int
ring_fd(struct vhost_dev *dev, unsigned long request, uint32_t index, int fd, const char *what)
{
	struct vhost_vdpa *v = dev->priv;

	return vhost_kernel_ring_file(&v->kernel, v->fd, request, index, fd, what);
}

int
vhost_vdpa_ring_set_kick(struct vhost_dev *dev, uint32_t index, int fd)
{
	return ring_fd(dev, VHOST_SET_VRING_KICK, index, fd, "kick of a ring");
}

int
vhost_vdpa_ring_set_call(struct vhost_dev *dev, uint32_t index, int fd)
{
	return ring_fd(dev, VHOST_SET_VRING_CALL, index, fd, "call of a ring");
}

int
vhost_vdpa_ring_set_err(struct vhost_dev *dev, uint32_t index, int fd)
{
	return ring_fd(dev, VHOST_SET_VRING_ERR, index, fd, "error fd of a ring");
}

/* Some devices ignore what comes after DRIVER_OK, unless they promise not to. */
int
vhost_vdpa_ring_set_enable(struct vhost_dev *dev, uint32_t index, bool enable)
{
	if (enable && (dev->status & VIRTIO_CONFIG_S_DRIVER_OK) &&
	    !vhost_vdpa_has(dev, VHOST_BACKEND_F_ENABLE_AFTER_DRIVER_OK))
		return vhost_dev_fail(dev, -EOPNOTSUPP, "the device takes no more rings while it "
				      "runs");
	return ring_state(dev, VHOST_VDPA_SET_VRING_ENABLE, index, enable, "ring enable");
}

int
vhost_vdpa_ring_get_max(struct vhost_dev *dev, uint32_t index, uint32_t *num)
{
	struct vhost_vring_state state = { .index = index };
	struct vhost_vdpa *v = dev->priv;
	/* An old kernel looks for a ring's index of 32 bits here. */
	union {
		__u16 num;
		__u32 index;
	} all = { .index = 0 };
	int rc = vhost_vdpa_ioctl(v, VHOST_VDPA_GET_VRING_SIZE, &state, "size of rings");

	*num = state.num;
	if (vhost_kernel_is_missing(rc)) {
		rc = vhost_vdpa_ioctl(v, VHOST_VDPA_GET_VRING_NUM, &all, "size of rings");
		*num = all.num;
	}
	if (vhost_kernel_is_missing(rc)) {
		rc = 0;
		*num = 0;
	}
	return rc < 0 ? rc : 0;
}

int
vhost_vdpa_ring_get_group(struct vhost_dev *dev, uint32_t index, uint32_t *group)
{
	struct vhost_vdpa *v = dev->priv;

	if (!vhost_vdpa_has(dev, VHOST_BACKEND_F_IOTLB_ASID))
		return vhost_dev_fail(dev, -EOPNOTSUPP, "the device has one address space");
	return vhost_kernel_ring_get(&v->kernel, v->fd, VHOST_VDPA_GET_VRING_GROUP, index, group,
				     "group of a ring");
}

int
vhost_vdpa_ring_set_group_asid(struct vhost_dev *dev, uint32_t group, uint32_t asid)
{
	int rc;

	if (!vhost_vdpa_has(dev, VHOST_BACKEND_F_IOTLB_ASID))
		return vhost_dev_fail(dev, -EOPNOTSUPP, "the device has one address space");
	if (asid >= VHOST_VDPA_MAX_ASID)
		return vhost_dev_fail(dev, -EINVAL, "address spaces are 0 to %d",
				      VHOST_VDPA_MAX_ASID -
				      1);
	rc = ring_state(dev, VHOST_VDPA_SET_GROUP_ASID, group, asid, "address space of a group");
	return rc == 0 ? vhost_vdpa_map_use_space(dev->priv, asid) : rc;
}

int
vhost_vdpa_ring_map_notifier(struct vhost_dev *dev, uint32_t index, void **notifier)
{
	struct vhost_vdpa *v = dev->priv;
	const struct vhost_kernel_sys *sys = v->kernel.sys;
	int rc = sys->mmap(sys->ctx, v->fd, v->page, (off_t)(index * v->page), notifier);

	if (rc < 0)
		return vhost_dev_fail(dev, vhost_kernel_check(&v->kernel, rc),
				      "ring %u has no notifier: %s", index,
				      strerror(-rc));
	return 0;
}

void
vhost_vdpa_ring_unmap_notifier(struct vhost_dev *dev, uint32_t index, void *notifier)
{
	struct vhost_vdpa *v = dev->priv;

	v->kernel.sys->munmap(v->kernel.sys->ctx, notifier, v->page);
}
