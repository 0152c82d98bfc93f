/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The operations of the kernel's vhost-net: a thread of the kernel serves the two rings of a pair,
 * between this process's memory and a queue of a tap. Each pair is a vhost device with a descriptor
 * of its own; the tap is one, and is where packets leave for the kernel's network stack.
 *
 * What a virtio-net device has beside rings (a configuration space, offloads) is the tap's.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_net.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vhost_kernel.h"
#include "vhost_tap.h"
#include "virtq_ring.h"

/* How often is looked whether the interface is up, or gone. */
#define LOOK_MS 500

/* Features that are the kernel thread's business, of those that a driver has a use for. */
#define RING_FEATURES \
	(VIRTQ_BIT(VIRTIO_F_VERSION_1) | VIRTQ_BIT(VIRTIO_RING_F_INDIRECT_DESC) | \
	 VIRTQ_BIT(VIRTIO_RING_F_EVENT_IDX) | VIRTQ_BIT(VIRTIO_F_IN_ORDER) | \
	 VIRTQ_BIT(VIRTIO_NET_F_MRG_RXBUF))
/* What the configuration space that is made up here has. */
#define CONFIG_FEATURES (VIRTQ_BIT(VIRTIO_NET_F_MAC) | VIRTQ_BIT(VIRTIO_NET_F_STATUS))

struct vhost_net {
	struct vhost_kernel kernel;
	struct vhost_tap tap;
	struct evloop_timer look;
	uint16_t pairs;
	bool owned;			/* SET_OWNER was done */
	bool up;			/* the interface; as last seen */
	int fd[VHOST_MAX_VRINGS / 2];	/* of each pair */
	bool served[VHOST_MAX_VRINGS];	/* rings that have a queue of the tap */
};

static void
look_at_tap(struct evloop_timer *t)
{
	struct vhost_net *n = t->owner;
	struct vhost_dev *dev = n->kernel.dev;
	const bool was = n->up;

	if (vhost_tap_look(&n->tap, &n->up) == -ENODEV)
		return; /* the owner hears of it */
	evloop_timer_set(dev->loop, &n->look, LOOK_MS);
	if (n->up != was && dev->events != NULL && dev->events->config_changed != NULL)
		dev->events->config_changed(dev->ctx);
}

static int
open_pairs(struct vhost_net *n, const char *path)
{
	const struct vhost_kernel_sys *sys = n->kernel.sys;
	struct vhost_dev *dev = n->kernel.dev;
	__u64 features;

	for (uint16_t i = 0; i < n->pairs; i++) {
		n->fd[i] = sys->open(sys->ctx, path, O_RDWR | O_CLOEXEC);
		if (n->fd[i] < 0)
			return vhost_kernel_open_failed(dev, path, n->fd[i],
							"load its module: modprobe vhost_net");
	}
	if (sys->ioctl(sys->ctx, n->fd[0], VHOST_GET_FEATURES, &features) < 0)
		return vhost_dev_fail(dev, -ENOTTY, "%s is not vhost-net", path);
	return 0;
}

/* It stops the kernel's threads, which let go of memory and tap. */
static void
close_pairs(struct vhost_net *n)
{
	const struct vhost_kernel_sys *sys = n->kernel.sys;

	for (uint16_t i = 0; i < n->pairs; i++)
		if (n->fd[i] >= 0)
			sys->close(sys->ctx, n->fd[i]);
}

int
vhost_net_open(struct vhost_dev *dev, const char *path, const struct vhost_tap_config *tap,
	       const struct vhost_kernel_sys *sys)
{
	struct vhost_net *n = calloc(1, sizeof(*n));
	int rc;

	if (n == NULL)
		return vhost_dev_fail(dev, -ENOMEM, "out of memory");
	vhost_kernel_init(&n->kernel, dev, sys != NULL ? sys : &vhost_kernel_linux);
	n->look = (struct evloop_timer){ .expired = look_at_tap, .owner = n };
	n->pairs = tap->queues;
	memset(n->fd, 0xff, sizeof(n->fd));
	rc = open_pairs(n, path);
	if (rc == 0)
		rc = vhost_tap_open(&n->tap, &n->kernel, tap);
	if (rc != 0) {
		/* What the owner hears of is its own call's failure. */
		evloop_timer_cancel(&n->kernel.soon);
		close_pairs(n);
		free(n);
		return rc;
	}
	vhost_dev_opened(dev, &vhost_net_ops, n);
	look_at_tap(&n->look);
	return 0;
}

const char *
vhost_net_ifname(const struct vhost_dev *dev)
{
	const struct vhost_net *n = dev->priv;

	return dev->ops == &vhost_net_ops ? n->tap.name : "";
}

static void
net_cleanup(struct vhost_dev *dev)
{
	struct vhost_net *n = dev->priv;

	evloop_timer_cancel(&n->look);
	evloop_timer_cancel(&n->kernel.soon);
	close_pairs(n);
	vhost_tap_close(&n->tap);
	free(n);
}

static int
net_set_owner(struct vhost_dev *dev)
{
	struct vhost_net *n = dev->priv;
	int rc = 0;

	for (uint16_t i = 0; i < n->pairs && rc == 0 && !n->owned; i++)
		rc = vhost_kernel_set_owner(&n->kernel, n->fd[i]);
	n->owned = rc == 0;
	return rc;
}

static int
net_get_features(struct vhost_dev *dev, uint64_t *features)
{
	struct vhost_net *n = dev->priv;
	__u64 value = 0;
	int rc = vhost_kernel_ioctl(&n->kernel, n->fd[0], VHOST_GET_FEATURES, &value, "features");

	if (rc < 0)
		return rc;
	*features = dev->offered = (value & RING_FEATURES) | vhost_tap_features(&n->tap) |
				   CONFIG_FEATURES;
	return 0;
}

static int
net_init(struct vhost_dev *dev)
{
	uint64_t features;
	int rc = net_set_owner(dev);

	return rc == 0 ? net_get_features(dev, &features) : rc;
}

static int
net_set_features(struct vhost_dev *dev, uint64_t features)
{
	struct vhost_net *n = dev->priv;
	__u64 value = features & RING_FEATURES;
	int rc = 0;

	if (features & ~dev->offered)
		return vhost_dev_fail(dev, -EINVAL, "features 0x%llx are not offered by the device",
				      (unsigned long long)(features & ~dev->offered));
	for (uint16_t i = 0; i < n->pairs && rc >= 0; i++)
		rc = vhost_kernel_ioctl(&n->kernel, n->fd[i], VHOST_SET_FEATURES, &value,
					"features");
	if (rc < 0)
		return rc;
	rc = vhost_tap_set_features(&n->tap, features);
	if (rc == 0)
		dev->features = features;
	return rc;
}

static int
net_get_queue_num(struct vhost_dev *dev, uint32_t *vrings)
{
	const struct vhost_net *n = dev->priv;

	*vrings = 2 * n->pairs;
	return 0;
}

/* How many the kernel takes shows when it is given them, and is looked up then. */
static uint32_t
net_memslots_limit(struct vhost_dev *dev)
{
	return INT32_MAX;
}

static int
too_many_regions(struct vhost_net *n, uint32_t count)
{
	const struct vhost_kernel_sys *sys = n->kernel.sys;
	uint32_t limit = 64;

	sys->number(sys->ctx, "/sys/module/vhost/parameters/max_mem_regions", &limit);
	return vhost_dev_fail(n->kernel.dev, -ENOSPC, "memory is in %u pieces and the kernel takes "
			      "%u: larger pages, or EAL's --legacy-mem, make fewer; 'modprobe "
			      "vhost max_mem_regions=509' has it take more", count, limit);
}

/* Of rings that run as well: no thread of the kernel uses the former table when this returns. */
static int
net_set_mem_table(struct vhost_dev *dev, const struct vhost_region *r, uint32_t count)
{
	struct vhost_net *n = dev->priv;
	struct vhost_memory *table = calloc(1, sizeof(*table) + count * sizeof(table->regions[0]));
	int rc = 0;

	if (table == NULL)
		return vhost_dev_fail(dev, -ENOMEM, "out of memory");
	table->nregions = count;
	for (uint32_t i = 0; i < count; i++)
		table->regions[i] = (struct vhost_memory_region){
			.guest_phys_addr = r[i].iova,
			.memory_size = r[i].size,
			.userspace_addr = (uintptr_t)r[i].addr,
		};
	for (uint16_t i = 0; i < n->pairs && rc >= 0; i++)
		rc = vhost_kernel_ioctl(&n->kernel, n->fd[i], VHOST_SET_MEM_TABLE, table,
					"memory table");
	free(table);
	if (rc == -E2BIG)
		return too_many_regions(n, count);
	return rc < 0 ? rc : 0;
}

static int
net_set_vring_num(struct vhost_dev *dev, uint32_t index, uint32_t num)
{
	struct vhost_net *n = dev->priv;

	return vhost_kernel_ring_state(&n->kernel, n->fd[index / 2], VHOST_SET_VRING_NUM, index % 2,
				       num, "size of a ring");
}

static int
net_set_vring_base(struct vhost_dev *dev, uint32_t index, uint32_t base)
{
	struct vhost_net *n = dev->priv;

	return vhost_kernel_ring_state(&n->kernel, n->fd[index / 2], VHOST_SET_VRING_BASE,
				       index % 2, base, "base of a ring");
}

/* Rings are given as addresses in this process, buffers as IOVAs. */
static int
net_set_vring_addr(struct vhost_dev *dev, uint32_t index, const struct vhost_vring_addr *addr)
{
	struct vhost_net *n = dev->priv;

	if (addr->log)
		return vhost_dev_fail(dev, -EOPNOTSUPP, "a tap has no dirty log");
	return vhost_kernel_ring_addr(&n->kernel, n->fd[index / 2], index % 2,
				      (uintptr_t)addr->desc, (uintptr_t)addr->avail,
				      (uintptr_t)addr->used);
}

static int
net_ring_file(struct vhost_dev *dev, unsigned long request, uint32_t index, int fd,
	      const char *what)
{
	struct vhost_net *n = dev->priv;

	return vhost_kernel_ring_file(&n->kernel, n->fd[index / 2], request, index % 2, fd, what);
}

static int
net_set_vring_kick(struct vhost_dev *dev, uint32_t index, int fd)
{
	return net_ring_file(dev, VHOST_SET_VRING_KICK, index, fd, "kick of a ring");
}

static int
net_set_vring_call(struct vhost_dev *dev, uint32_t index, int fd)
{
	return net_ring_file(dev, VHOST_SET_VRING_CALL, index, fd, "call of a ring");
}

static int
net_set_vring_err(struct vhost_dev *dev, uint32_t index, int fd)
{
	return net_ring_file(dev, VHOST_SET_VRING_ERR, index, fd, "error fd of a ring");
}

/* A ring without a queue of the tap is not served, and no packet of it is under way any more. */
static int
net_set_vring_enable(struct vhost_dev *dev, uint32_t index, bool enable)
{
	struct vhost_net *n = dev->priv;
	const uint16_t pair = (uint16_t)(index / 2);
	int rc = enable ? vhost_tap_attach(&n->tap, pair, true) : 0;

	if (rc == 0)
		rc = net_ring_file(dev, VHOST_NET_SET_BACKEND, index,
				   enable ? n->tap.fd[pair] : -1, "queue of the tap for a ring");
	if (rc == 0)
		n->served[index] = enable;
	return rc;
}

static int
net_get_vring_base(struct vhost_dev *dev, uint32_t index, uint32_t *base)
{
	struct vhost_net *n = dev->priv;
	int rc = n->served[index] ? net_set_vring_enable(dev, index, false) : 0;

	return rc != 0 ? rc : vhost_kernel_ring_get(&n->kernel, n->fd[index / 2],
						    VHOST_GET_VRING_BASE, index % 2, base,
						    "base of a ring");
}

static int
stop_pairs(struct vhost_dev *dev)
{
	struct vhost_net *n = dev->priv;
	int rc = 0;

	for (uint32_t i = 0; i < 2u * n->pairs; i++) {
		int one = n->served[i] ? net_set_vring_enable(dev, i, false) : 0;

		rc = rc == 0 ? one : rc;
	}
	return rc;
}

/* Queues that nobody serves get no packets, and those that were waiting there are dropped. */
static int
detach_idle(struct vhost_net *n)
{
	int rc = 0;

	for (uint16_t i = 0; i < n->pairs && rc == 0; i++)
		if (!n->served[2 * i] && !n->served[2 * i + 1])
			rc = vhost_tap_attach(&n->tap, i, false);
	return rc;
}

static int
net_dev_start(struct vhost_dev *dev, bool start)
{
	struct vhost_net *n = dev->priv;
	int rc;

	/* The network stack sends nothing to queues that nobody serves. */
	if (!start)
		vhost_tap_set_carrier(&n->tap, false);
	rc = start ? 0 : stop_pairs(dev);
	if (rc == 0)
		rc = detach_idle(n);
	if (rc != 0 || !start)
		return rc;
	vhost_tap_set_carrier(&n->tap, true);
	return vhost_tap_look(&n->tap, &n->up);
}

static int
net_quiesce(struct vhost_dev *dev, uint32_t ms)
{
	return stop_pairs(dev);
}

static int
net_get_config(struct vhost_dev *dev, uint32_t offset, void *buf, uint32_t len)
{
	struct vhost_net *n = dev->priv;
	struct virtio_net_config config = { .status = n->up ? VIRTIO_NET_S_LINK_UP : 0 };
	int rc = vhost_tap_get_mac(&n->tap, config.mac);

	if (rc != 0)
		return rc;
	if (offset > sizeof(config) || len > sizeof(config) - offset)
		return vhost_dev_fail(dev, -EINVAL, "configuration space has %zu bytes",
				      sizeof(config));
	memcpy(buf, (const uint8_t *)&config + offset, len);
	return 0;
}

/* The address is all that can be written. */
static int
net_set_config(struct vhost_dev *dev, uint32_t offset, const void *buf, uint32_t len,
	       uint32_t flags)
{
	struct vhost_net *n = dev->priv;

	if (offset != offsetof(struct virtio_net_config, mac) || len != 6)
		return vhost_dev_fail(dev, -EINVAL, "of a tap only the address can be written");
	return vhost_tap_set_mac(&n->tap, buf);
}

static int
net_tap_mtu(struct vhost_dev *dev, uint16_t mtu)
{
	struct vhost_net *n = dev->priv;

	return vhost_tap_set_mtu(&n->tap, mtu);
}

/*
 * Missing: packed rings and all that comes with the control queue, which the kernel has not; the
 * device status, since nobody but the two ends of a pair takes part; a limit of the rings' size;
 * notifiers.
 */
const struct vhost_ops vhost_net_ops = {
	.name = "vhost-net",
	.init = net_init,
	.cleanup = net_cleanup,
	.memslots_limit = net_memslots_limit,
	.set_owner = net_set_owner,
	.get_features = net_get_features,
	.set_features = net_set_features,
	.get_queue_num = net_get_queue_num,
	.set_mem_table = net_set_mem_table,
	.set_vring_num = net_set_vring_num,
	.set_vring_base = net_set_vring_base,
	.set_vring_addr = net_set_vring_addr,
	.get_vring_base = net_get_vring_base,
	.set_vring_kick = net_set_vring_kick,
	.set_vring_call = net_set_vring_call,
	.set_vring_err = net_set_vring_err,
	.set_vring_enable = net_set_vring_enable,
	.dev_start = net_dev_start,
	.quiesce = net_quiesce,
	.get_config = net_get_config,
	.set_config = net_set_config,
	.net_set_mtu = net_tap_mtu,
};
