/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The operations of a device behind /dev/vhost-vdpa-N. What a kernel or a device lacks shows itself
 * when it is tried; nothing is concluded from versions.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "vhost_vdpa_session.h"
#include "virtq_compat.h"

/* Back-end features that are served here. */
static const uint64_t backend_served =
	VIRTQ_BIT(VHOST_BACKEND_F_IOTLB_MSG_V2) | VIRTQ_BIT(VHOST_BACKEND_F_IOTLB_BATCH) |
	VIRTQ_BIT(VHOST_BACKEND_F_IOTLB_ASID) | VIRTQ_BIT(VHOST_BACKEND_F_SUSPEND) |
	VIRTQ_BIT(VHOST_BACKEND_F_RESUME) | VIRTQ_BIT(VHOST_BACKEND_F_ENABLE_AFTER_DRIVER_OK) |
	VIRTQ_BIT(VHOST_BACKEND_F_IOTLB_PERSIST);

/* Without these a device of the kernel cannot be used from here: IOVAs, and little endian. */
#define MANDATORY (VIRTQ_BIT(VIRTIO_F_ACCESS_PLATFORM) | VIRTQ_BIT(VIRTIO_F_VERSION_1))

/* NEEDS_RESET is signalled in the same way: the owner finds it in dev->status. */
static void
config_ready(struct evloop_watch *w, uint32_t events)
{
	struct vhost_vdpa *v = w->owner;
	struct vhost_dev *dev = v->kernel.dev;
	uint64_t count;
	uint8_t status;

	if (read(w->fd, &count, sizeof(count)) < 0)
		return;
	dev->ops->get_status(dev, &status);
	if (dev->events != NULL && dev->events->config_changed != NULL)
		dev->events->config_changed(dev->ctx);
}

static int
open_failed(struct vhost_dev *dev, const char *path, int rc)
{
	if (rc == -EBUSY)
		return vhost_dev_fail(dev, rc, "%s is in use by another process", path);
	return vhost_kernel_open_failed(dev, path, rc, "is it bound to vhost_vdpa?");
}

/* That it is a vhost-vdpa device, and one for networks. */
static int
check_kind(struct vhost_dev *dev, const char *path, const struct vhost_kernel_sys *sys, int fd)
{
	uint32_t id = 0;
	int rc = sys->ioctl(sys->ctx, fd, VHOST_VDPA_GET_DEVICE_ID, &id);

	if (vhost_kernel_is_missing(rc) || rc == -EINVAL)
		return vhost_dev_fail(dev, -ENOTTY, "%s is not a vhost-vdpa device", path);
	if (rc < 0)
		return vhost_dev_fail(dev, rc, "%s: its device id cannot be read: %s", path,
				      strerror(-rc));
	if (id != VIRTIO_ID_NET)
		return vhost_dev_fail(dev, -ENODEV, "%s is not a network device (virtio id %u)",
				      path,
				      id);
	return 0;
}

int
vhost_vdpa_open(struct vhost_dev *dev, const char *path, const struct vhost_kernel_sys *sys)
{
	struct vhost_vdpa *v;
	int fd, rc;

	if (sys == NULL)
		sys = &vhost_kernel_linux;
	fd = sys->open(sys->ctx, path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return open_failed(dev, path, fd);
	rc = check_kind(dev, path, sys, fd);
	v = calloc(1, sizeof(*v));
	if (rc == 0 && v == NULL)
		rc = vhost_dev_fail(dev, -ENOMEM, "out of memory");
	if (rc < 0) {
		sys->close(sys->ctx, fd);
		free(v);
		return rc;
	}
	vhost_kernel_init(&v->kernel, dev, sys);
	v->fd = fd;
	v->config = (struct evloop_watch){
		.fd = -1,
		.events = EPOLLIN,
		.ready = config_ready,
		.owner = v,
	};
	v->page = (uint64_t)sysconf(_SC_PAGESIZE);
	v->last = UINT64_MAX;
	v->spaces = 1;
	vhost_dev_opened(dev, &vhost_vdpa_ops, v);
	return 0;
}

/* Closing resets the device and unmaps what it was given. */
static void
vdpa_cleanup(struct vhost_dev *dev)
{
	struct vhost_vdpa *v = dev->priv;

	evloop_timer_cancel(&v->kernel.soon);
	v->kernel.sys->close(v->kernel.sys->ctx, v->fd);
	if (v->config.fd >= 0) {
		evloop_watch_del(&v->config);
		v->kernel.sys->close(v->kernel.sys->ctx, v->config.fd);
	}
	free(v->map);
	free(v);
}

/* Take as many back-end features as this kernel has; the first alone is needed. */
static int
take_backend_features(struct vhost_dev *dev)
{
	const uint64_t served = dev->backend_mask & backend_served;
	const uint64_t least = VIRTQ_BIT(VHOST_BACKEND_F_IOTLB_MSG_V2);
	const uint64_t basic = least | VIRTQ_BIT(VHOST_BACKEND_F_IOTLB_BATCH);
	const uint64_t masks[] = { UINT64_MAX, basic, least };
	struct vhost_vdpa *v = dev->priv;
	__u64 offered = 0;
	int rc = vhost_vdpa_ioctl(v, VHOST_GET_BACKEND_FEATURES, &offered, "back-end features");

	if (rc < 0 && !vhost_kernel_is_missing(rc))
		return rc;
	dev->backend_offered = offered;
	if (!(offered & served & least))
		return vhost_dev_fail(dev, -EOPNOTSUPP,
				      "this kernel lacks IOTLB messages of version "
				      "2: vhost-vdpa needs Linux 5.7 or later");
	for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
		__u64 taken = offered & served & masks[i];

		rc = vhost_vdpa_ioctl(v, VHOST_SET_BACKEND_FEATURES, &taken,
					  "back-end features");
		if (rc >= 0) {
			dev->backend = taken;
			return 0;
		}
	}
	return rc;
}

static int
vdpa_set_owner(struct vhost_dev *dev)
{
	struct vhost_vdpa *v = dev->priv;
	int rc;

	if (v->owned)
		return 0;
	rc = vhost_kernel_set_owner(&v->kernel, v->fd);
	v->owned = rc == 0;
	return rc;
}

static int
vdpa_get_status(struct vhost_dev *dev, uint8_t *status)
{
	__u8 value = 0;
	int rc = vhost_vdpa_ioctl(dev->priv, VHOST_VDPA_GET_STATUS, &value, "device status");

	if (rc < 0)
		return rc;
	*status = dev->status = value;
	return 0;
}

/* VIRTIO 1.2, 2.1: a reset is done when the status reads 0. */
static int
vdpa_set_status(struct vhost_dev *dev, uint8_t status)
{
	struct vhost_vdpa *v = dev->priv;
	__u8 value = status;
	int rc = vhost_vdpa_ioctl(v, VHOST_VDPA_SET_STATUS, &value, "device status");

	if (rc < 0)
		return rc;
	dev->status = status;
	if (status != 0)
		return 0;
	v->suspended = false;
	dev->features = 0;
	vhost_vdpa_map_after_reset(v);
	rc = vdpa_get_status(dev, &status);
	if (rc == 0 && status != 0)
		rc = vhost_dev_fail(dev, -EIO, "the device was not reset: its status is 0x%02x",
				    status);
	return rc;
}

static int
vdpa_reset_device(struct vhost_dev *dev)
{
	return vdpa_set_status(dev, 0);
}

/* An eventfd that says that the configuration or the status changed. Old kernels have none. */
static int
watch_config(struct vhost_vdpa *v)
{
	int fd, arg, rc;

	if (v->config.fd >= 0)
		return 0;
	fd = v->kernel.sys->eventfd(v->kernel.sys->ctx);
	if (fd < 0)
		return vhost_dev_fail(v->kernel.dev, fd, "eventfd: %s", strerror(-fd));
	arg = fd;
	rc = vhost_vdpa_ioctl(v, VHOST_VDPA_SET_CONFIG_CALL, &arg, "configuration interrupt");
	if (rc >= 0) {
		v->config.fd = fd;
		rc = evloop_watch_add(v->kernel.dev->loop, &v->config);
		if (rc == 0)
			return 0;
		v->config.fd = -1;
		vhost_dev_fail(v->kernel.dev, rc, "the configuration interrupt cannot be watched: "
			       "%s", strerror(-rc));
	}
	v->kernel.sys->close(v->kernel.sys->ctx, fd);
	/* An old kernel takes the argument for a ring's index, and has no such ring: ENOBUFS. */
	return vhost_kernel_is_missing(rc) || rc == -ENOBUFS ? 0 : rc;
}

static int
ask_iova_range(struct vhost_vdpa *v)
{
	struct vhost_vdpa_iova_range range = { 0, 0 };
	int rc = vhost_vdpa_ioctl(v, VHOST_VDPA_GET_IOVA_RANGE, &range, "IOVA range");

	v->first = 0;
	v->last = UINT64_MAX;
	if (rc < 0)
		return vhost_kernel_is_missing(rc) ? 0 : rc;
	if (range.last < range.first)
		return vhost_dev_fail(v->kernel.dev, -EINVAL, "the device's IOVA range is empty");
	v->first = range.first;
	v->last = range.last;
	return 0;
}

static int
vdpa_get_features(struct vhost_dev *dev, uint64_t *features)
{
	__u64 value = 0;
	int rc = vhost_vdpa_ioctl(dev->priv, VHOST_GET_FEATURES, &value, "features");

	if (rc < 0)
		return rc;
	*features = dev->offered = value;
	return 0;
}

static int
vdpa_init(struct vhost_dev *dev)
{
	struct vhost_vdpa *v = dev->priv;
	uint64_t features;
	int rc = vdpa_set_owner(dev);

	if (rc == 0)
		rc = take_backend_features(dev);
	if (rc == 0)
		rc = vdpa_set_status(dev, 0);
	if (rc == 0)
		rc = watch_config(v);
	if (rc == 0)
		rc = ask_iova_range(v);
	if (rc == 0)
		rc = vhost_dev_status_driver(dev);
	if (rc == 0)
		rc = vdpa_get_features(dev, &features);
	return rc;
}

static int
vdpa_set_features(struct vhost_dev *dev, uint64_t features)
{
	__u64 value = features;
	int rc;

	if (features & ~dev->offered)
		return vhost_dev_fail(dev, -EINVAL, "features 0x%llx are not offered by the device",
				      (unsigned long long)(features & ~dev->offered));
	if ((features & MANDATORY) != MANDATORY)
		return vhost_dev_fail(dev, -EINVAL, "vhost-vdpa needs the features VERSION_1 and "
				      "ACCESS_PLATFORM; the device offers 0x%llx",
				      (unsigned long long)dev->offered);
	if (features & VIRTQ_BIT(VHOST_F_LOG_ALL))
		return vhost_dev_fail(dev, -EINVAL, "vhost-vdpa has no dirty log");
	if (dev->status & VIRTIO_CONFIG_S_FEATURES_OK) {
		if (features == dev->features)
			return 0;
		return vhost_dev_fail(dev, -EBUSY, "features are fixed until the device is reset");
	}
	rc = vhost_dev_status_driver(dev);
	if (rc == 0)
		rc = vhost_vdpa_ioctl(dev->priv, VHOST_SET_FEATURES, &value, "features");
	if (rc < 0)
		return rc;
	dev->features = features;
	return vhost_dev_status_features_ok(dev);
}

static uint32_t
vdpa_memslots_limit(struct vhost_dev *dev)
{
	return INT32_MAX;
}

static int
vdpa_get_config(struct vhost_dev *dev, uint32_t offset, void *buf, uint32_t len)
{
	struct vhost_uapi_config config = { .off = offset, .len = len };
	int rc;

	if (len == 0 || len > sizeof(config.buf))
		return vhost_dev_fail(dev, -EINVAL, "configuration space has %zu bytes",
				      sizeof(config.buf));
	rc = vhost_vdpa_ioctl(dev->priv, VHOST_VDPA_GET_CONFIG, &config, "configuration space");
	if (rc < 0)
		return rc;
	memcpy(buf, config.buf, len);
	return 0;
}

/* Flags tell a migration from the driver's own writes, and there is no migration here. */
static int
vdpa_set_config(struct vhost_dev *dev, uint32_t offset, const void *buf, uint32_t len,
		uint32_t flags)
{
	struct vhost_uapi_config config = { .off = offset, .len = len };
	int rc;

	if (len == 0 || len > sizeof(config.buf))
		return vhost_dev_fail(dev, -EINVAL, "configuration space has %zu bytes",
				      sizeof(config.buf));
	memcpy(config.buf, buf, len);
	rc = vhost_vdpa_ioctl(dev->priv, VHOST_VDPA_SET_CONFIG, &config, "configuration space");
	return rc < 0 ? rc : 0;
}

/* A u32 of the device, 0 where it cannot be asked. */
static uint32_t
ask_u32(struct vhost_vdpa *v, unsigned long request)
{
	__u32 value = 0;

	return v->kernel.sys->ioctl(v->kernel.sys->ctx, v->fd, request, &value) < 0 ? 0 : value;
}

int
vhost_vdpa_get_info(struct vhost_dev *dev, struct vhost_vdpa_info *info)
{
	struct vhost_vdpa *v = dev->priv;

	if (dev->ops != &vhost_vdpa_ops)
		return vhost_dev_missing(dev, "such information");
	*info = (struct vhost_vdpa_info){
		.vqs = ask_u32(v, VHOST_VDPA_GET_VQS_COUNT),
		.groups = ask_u32(v, VHOST_VDPA_GET_GROUP_NUM),
		.address_spaces = ask_u32(v, VHOST_VDPA_GET_AS_NUM),
		.config_size = ask_u32(v, VHOST_VDPA_GET_CONFIG_SIZE),
	};
	return 0;
}

static int
vdpa_get_queue_num(struct vhost_dev *dev, uint32_t *vrings)
{
	const uint32_t vqs = ask_u32(dev->priv, VHOST_VDPA_GET_VQS_COUNT);
	const uint32_t ctrl = dev->offered >> VIRTIO_NET_F_CTRL_VQ & 1;
	uint16_t pairs = htole16(1);
	uint32_t n;
	int rc;

	if (dev->offered & (VIRTQ_BIT(VIRTIO_NET_F_MQ) | VIRTQ_BIT(VIRTIO_NET_F_RSS))) {
		rc = vdpa_get_config(dev, offsetof(struct virtio_net_config, max_virtqueue_pairs),
				     &pairs, sizeof(pairs));
		if (rc < 0)
			return rc;
	}
	n = 2 * (uint32_t)le16toh(pairs);
	if (n < 2)
		n = 2;
	if (n > VHOST_MAX_VRINGS)
		n = VHOST_MAX_VRINGS;
	/* A device that promises more pairs than it has rings. */
	if (vqs != 0 && n + ctrl > vqs)
		n = vqs < ctrl ? 0 : (vqs - ctrl) & ~1u;
	if (n == 0)
		return vhost_dev_fail(dev, -EIO, "the device has %u rings, too few for a pair",
				      vqs);
	*vrings = n;
	return 0;
}

static int
vdpa_dev_start(struct vhost_dev *dev, bool start)
{
	int rc;

	if (start)
		return vhost_dev_status_driver_ok(dev);
	rc = vdpa_set_status(dev, 0);
	return rc == 0 ? vhost_dev_status_driver(dev) : rc;
}

static int
vdpa_quiesce(struct vhost_dev *dev, uint32_t ms)
{
	return vdpa_set_status(dev, 0);
}

static int
vdpa_get_iova_range(struct vhost_dev *dev, uint64_t *first, uint64_t *last)
{
	const struct vhost_vdpa *v = dev->priv;

	*first = v->first;
	*last = v->last;
	return 0;
}

/* Addresses of rings and buffers are IOVAs. */
static bool
vdpa_force_iommu(struct vhost_dev *dev)
{
	return true;
}

/*
 * Missing: the dirty log (the kernel answers ENOTTY), and what vhost-user has messages for
 * and the kernel's devices have the control ring or the configuration space for (RARP, MTU), or no
 * use (IOTLB answers).
 */
const struct vhost_ops vhost_vdpa_ops = {
	.name = "vhost-vdpa",
	.init = vdpa_init,
	.cleanup = vdpa_cleanup,
	.memslots_limit = vdpa_memslots_limit,
	.set_owner = vdpa_set_owner,
	.reset_device = vdpa_reset_device,
	.get_features = vdpa_get_features,
	.set_features = vdpa_set_features,
	.get_queue_num = vdpa_get_queue_num,
	.set_mem_table = vhost_vdpa_map_set_table,
	.set_vring_num = vhost_vdpa_ring_set_num,
	.set_vring_addr = vhost_vdpa_ring_set_addr,
	.set_vring_base = vhost_vdpa_ring_set_base,
	.get_vring_base = vhost_vdpa_ring_get_base,
	.set_vring_kick = vhost_vdpa_ring_set_kick,
	.set_vring_call = vhost_vdpa_ring_set_call,
	.set_vring_err = vhost_vdpa_ring_set_err,
	.set_vring_enable = vhost_vdpa_ring_set_enable,
	.get_vring_max = vhost_vdpa_ring_get_max,
	.dev_start = vdpa_dev_start,
	.quiesce = vdpa_quiesce,
	.get_status = vdpa_get_status,
	.set_status = vdpa_set_status,
	.get_config = vdpa_get_config,
	.set_config = vdpa_set_config,
	.get_iova_range = vdpa_get_iova_range,
	.get_vring_group = vhost_vdpa_ring_get_group,
	.set_group_asid = vhost_vdpa_ring_set_group_asid,
	.suspend = vhost_vdpa_ring_suspend_all,
	.resume = vhost_vdpa_ring_resume_all,
	.map_notifier = vhost_vdpa_ring_map_notifier,
	.unmap_notifier = vhost_vdpa_ring_unmap_notifier,
	.force_iommu = vdpa_force_iommu,
};
