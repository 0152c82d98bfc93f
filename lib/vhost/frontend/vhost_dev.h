/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device as a front-end uses it: behind a vhost-user socket, behind /dev/vhost-vdpa-N, or the
 * kernel's vhost-net with a tap.
 *
 * The order in which a device is brought up, for each kind; each step is a wrapper below:
 *
 *   vhost_dev_init		once
 *   vhost_user_open, vhost_vdpa_open or vhost_net_open
 *   vhost_init			protocol and back-end features, back-end channel
 *   vhost_set_owner
 *   vhost_get_features, vhost_get_queue_num, vhost_get_config, vhost_get_vring_max
 *   vhost_set_features		with the status steps up to FEATURES_OK and its check
 *   vhost_set_mem_table
 *   per ring: num, base, addr, kick, call, err
 *   vhost_set_vring_enable	per ring; -EOPNOTSUPP: rings of this one are always enabled
 *   vhost_dev_start(true)	DRIVER_OK and its check
 *
 * and down: vhost_get_vring_base per ring, vhost_dev_start(false); from there vhost_set_features
 * begins anew. vhost_reset_device goes further: vhost_init begins anew. When the connection is
 * lost, vhost_dev_close and one of the open functions.
 *
 * All of it belongs to the thread of the loop. A device may be closed in any call-back.
 */
#ifndef VHOST_DEV_H
#define VHOST_DEV_H

#include <errno.h>
#include <sys/types.h>

#include "vhost_ops.h"
#include "evloop.h"

#define VHOST_WHY 200		/* bytes for a reason, with its end */
#define VHOST_TIMEOUT_MS 2000	/* for an answer, unless the owner says otherwise */
#define VHOST_HURRY_MS 100	/* for what is in progress while another thread waits */
#define VHOST_CONFIG_MAX 256	/* bytes of configuration space that one call can carry */
#define VHOST_MAX_VRINGS 256	/* the index of a ring's fds has eight bits */
#define VHOST_MAX_SLOTS 509	/* memory regions at most, whatever a back-end allows */

/* vhost-user protocol features that this front-end serves; it takes no others. */
extern const uint64_t vhost_user_protocol;

struct vhost_dev {
	/* The owner's; vhost_dev_init() gives defaults. */
	struct evloop *loop;
	const struct vhost_dev_events *events;	/* NULL: nobody listens. Entries may be NULL */
	void *ctx;				/* for events */
	uint32_t timeout_ms;			/* vhost-user: for each answer */
	struct evloop_later *closer;		/* vhost-user: closes what the back-end sent; NULL:
						 * one for all peers */
	/*
	 * Readable: somebody waits for this thread, so that the rest of what vhost_dev_allow()
	 * began is given VHOST_HURRY_MS. -1: nobody ever does.
	 */
	int hurry_fd;
	/* Features of those served here that may be taken; all by default. */
	uint64_t protocol_mask;			/* vhost-user: protocol features */
	uint64_t backend_mask;			/* vhost-vdpa: back-end features */
	bool iotlb_pages;			/* vhost-user: a miss is answered with a page that
						 * has no neighbour, instead of a whole region */

	/* What became of it; to be read by the owner. */
	const struct vhost_ops *ops;		/* NULL: closed */
	uint64_t offered;			/* device features, after vhost_init */
	uint64_t features;			/* after vhost_set_features */
	uint64_t protocol_offered, protocol;	/* vhost-user, after vhost_init */
	uint64_t backend_offered, backend;	/* vhost-vdpa, after vhost_init */
	uint8_t status;				/* as last written or read; vhost-user: 0 without
						 * the STATUS protocol feature */
	char why[VHOST_WHY];			/* one line about the last call that failed, or
						 * why the connection was lost */
	void *priv;				/* the implementation's */
	uint64_t end_ns;			/* of what vhost_dev_allow() began; 0: open */
	uint32_t allowed_ms;
	bool hurried;
};

/* A closed device with default settings. */
void vhost_dev_init(struct vhost_dev *dev, struct evloop *loop,
		    const struct vhost_dev_events *events, void *ctx);
/*
 * Begin a session on a connected stream socket (of a struct vhu_sock, for instance). Takes the
 * fd over, also when it fails. 0 or -errno.
 */
int vhost_user_open(struct vhost_dev *dev, int fd);

/* System calls for devices of the kernel: results as those of Linux, but -errno instead of -1. */
struct vhost_kernel_sys {
	int (*open)(void *ctx, const char *path, int flags);
	int (*close)(void *ctx, int fd);
	int (*ioctl)(void *ctx, int fd, unsigned long request, void *arg);
	ssize_t (*write)(void *ctx, int fd, const void *buf, size_t len);
	/* One page, shared, for writing. *addr receives its place. */
	int (*mmap)(void *ctx, int fd, size_t len, off_t offset, void **addr);
	int (*munmap)(void *ctx, void *addr, size_t len);
	int (*eventfd)(void *ctx);	/* non-blocking */
	int (*socket)(void *ctx);	/* for ioctls about network interfaces */
	int (*number)(void *ctx, const char *path, uint32_t *value); /* that a file begins with */
	void *ctx;
};

/*
 * Open a vhost-vdpa device and see that it is a network device. sys NULL: the kernel's calls;
 * else it has to stay. -EBUSY: in use; -ENOTTY: no vhost-vdpa device; -ENODEV: not for networks;
 * other -errno of open(2).
 */
int vhost_vdpa_open(struct vhost_dev *dev, const char *path, const struct vhost_kernel_sys *sys);

#define VHOST_TAP_NAME 16	/* bytes of an interface's name, with its end */

/* The network interface that the kernel's vhost-net serves. */
struct vhost_tap_config {
	char name[VHOST_TAP_NAME];	/* "": the kernel's choice */
	uint16_t queues;		/* pairs, 1..VHOST_MAX_VRINGS / 2 */
	uint8_t mac[6];
	bool mac_given;			/* it is to have this address; else it keeps its own */
};

/*
 * Open the kernel's vhost-net once for each pair, and a tap with as many queues: one that exists
 * under that name, or a new one, which goes when the device is closed. sys as above. -errno of
 * open(2) and of the tap: -EPERM: no permission; -EBUSY: it is in use; -EINVAL: what has this name
 * is no such tap.
 */
int vhost_net_open(struct vhost_dev *dev, const char *path, const struct vhost_tap_config *tap,
		   const struct vhost_kernel_sys *sys);
/* The interface's name; "" for other devices. */
const char *vhost_net_ifname(const struct vhost_dev *dev);

/*
 * The operations from here to the next such call take `ms` together; what they wait for after that
 * times out. 0: no such bound, which is how a device begins.
 */
void vhost_dev_allow(struct vhost_dev *dev, uint32_t ms);
/* For implementations: when a wait of `ms` that begins now is over. CLOCK_MONOTONIC, ns. */
uint64_t vhost_dev_deadline(const struct vhost_dev *dev, uint32_t ms);
/* For implementations: hurry_fd is, or may be, readable. Deadlines may have changed. */
void vhost_dev_hurry(struct vhost_dev *dev);
/* Whether what vhost_dev_allow() began is to be over. */
static inline bool
vhost_dev_is_late(const struct vhost_dev *dev)
{
	return dev->end_ns != 0 && evloop_now_ns() >= dev->end_ns;
}
/* For vhost-user: write to dev->why which answer has not come in time. */
void vhost_dev_late(struct vhost_dev *dev, const char *request);

/* What a vhost-vdpa device says of itself beyond the operations; 0 or empty where it does not. */
struct vhost_vdpa_info {
	uint32_t vqs;			/* rings, the control ring included */
	uint32_t groups, address_spaces;
	uint32_t config_size;		/* bytes */
};
/* -EOPNOTSUPP for other devices. */
int vhost_vdpa_get_info(struct vhost_dev *dev, struct vhost_vdpa_info *info);

/* End the session and release everything of it; nothing when it is closed. Reasons stay. */
void vhost_dev_close(struct vhost_dev *dev);
static inline bool
vhost_dev_is_open(const struct vhost_dev *dev)
{
	return dev->ops != NULL;
}
/* Whether an error of an operation means that the session is over. */
static inline bool
vhost_dev_is_fatal(int rc)
{
	return rc == -ETIMEDOUT || rc == -ECONNRESET || rc == -EPROTO || rc == -ENOTCONN ||
	       rc == -ENODEV;
}

/* For implementations: the device is open and nothing has been negotiated yet. */
void vhost_dev_opened(struct vhost_dev *dev, const struct vhost_ops *ops, void *priv);
/* For implementations: write dev->why, return rc. */
int vhost_dev_fail(struct vhost_dev *dev, int rc, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* An operation that is not there: -EOPNOTSUPP, or -ENOTCONN when the device is closed. */
int vhost_dev_missing(struct vhost_dev *dev, const char *operation);
/*
 * For implementations with a status: set ACKNOWLEDGE and DRIVER unless they are set; set
 * FEATURES_OK and see that it stays (-EINVAL); set DRIVER_OK and see that all is well (-EIO).
 */
int vhost_dev_status_driver(struct vhost_dev *dev);
int vhost_dev_status_features_ok(struct vhost_dev *dev);
int vhost_dev_status_driver_ok(struct vhost_dev *dev);

/*
 * The operations of vhost_ops.h. Errors common to all: -EOPNOTSUPP: not by this device (also when
 * the feature that it needs was not negotiated); -EIO: the back-end refused; those of
 * vhost_dev_is_fatal(): the session is over, and events->lost follows from the loop unless it is
 * closed before.
 */
#define VHOST_OP(op, params, ...) \
	static inline int \
	vhost_##op params \
	{ \
		if (dev->ops == NULL || dev->ops->op == NULL) \
			return vhost_dev_missing(dev, #op); \
		return dev->ops->op(__VA_ARGS__); \
	}

VHOST_OP(init, (struct vhost_dev *dev), dev)
VHOST_OP(set_owner, (struct vhost_dev *dev), dev)
VHOST_OP(reset_device, (struct vhost_dev *dev), dev)
VHOST_OP(get_features, (struct vhost_dev *dev, uint64_t *features), dev, features)
VHOST_OP(set_features, (struct vhost_dev *dev, uint64_t features), dev, features)
VHOST_OP(get_queue_num, (struct vhost_dev *dev, uint32_t *vrings), dev, vrings)
VHOST_OP(set_mem_table, (struct vhost_dev *dev, const struct vhost_region *r, uint32_t n),
	 dev, r, n)
VHOST_OP(set_vring_num, (struct vhost_dev *dev, uint32_t index, uint32_t num), dev, index, num)
VHOST_OP(set_vring_addr,
	 (struct vhost_dev *dev, uint32_t index, const struct vhost_vring_addr *addr),
	 dev, index, addr)
VHOST_OP(set_vring_base, (struct vhost_dev *dev, uint32_t index, uint32_t base), dev, index, base)
VHOST_OP(get_vring_base, (struct vhost_dev *dev, uint32_t index, uint32_t *base),
	 dev, index, base)
VHOST_OP(set_vring_kick, (struct vhost_dev *dev, uint32_t index, int fd), dev, index, fd)
VHOST_OP(set_vring_call, (struct vhost_dev *dev, uint32_t index, int fd), dev, index, fd)
VHOST_OP(set_vring_err, (struct vhost_dev *dev, uint32_t index, int fd), dev, index, fd)
VHOST_OP(set_vring_enable, (struct vhost_dev *dev, uint32_t index, bool enable),
	 dev, index, enable)
VHOST_OP(get_vring_max, (struct vhost_dev *dev, uint32_t index, uint32_t *num), dev, index, num)
VHOST_OP(dev_start, (struct vhost_dev *dev, bool start), dev, start)
VHOST_OP(quiesce, (struct vhost_dev *dev, uint32_t ms), dev, ms)
VHOST_OP(get_status, (struct vhost_dev *dev, uint8_t *status), dev, status)
VHOST_OP(get_config, (struct vhost_dev *dev, uint32_t offset, void *buf, uint32_t len),
	 dev, offset, buf, len)
VHOST_OP(set_config,
	 (struct vhost_dev *dev, uint32_t offset, const void *buf, uint32_t len, uint32_t flags),
	 dev, offset, buf, len, flags)
VHOST_OP(set_log_base, (struct vhost_dev *dev, uint64_t size, uint64_t offset, int fd),
	 dev, size, offset, fd)
VHOST_OP(migration_done, (struct vhost_dev *dev, const uint8_t mac[6]), dev, mac)
VHOST_OP(net_set_mtu, (struct vhost_dev *dev, uint16_t mtu), dev, mtu)
VHOST_OP(send_iotlb,
	 (struct vhost_dev *dev, uint64_t iova, uint64_t size, void *addr, uint8_t perm,
	  uint8_t type),
	 dev, iova, size, addr, perm, type)
VHOST_OP(get_iova_range, (struct vhost_dev *dev, uint64_t *first, uint64_t *last),
	 dev, first, last)
VHOST_OP(get_vring_group, (struct vhost_dev *dev, uint32_t index, uint32_t *group),
	 dev, index, group)
VHOST_OP(set_group_asid, (struct vhost_dev *dev, uint32_t group, uint32_t asid),
	 dev, group, asid)
VHOST_OP(suspend, (struct vhost_dev *dev), dev)
VHOST_OP(resume, (struct vhost_dev *dev), dev)
VHOST_OP(map_notifier, (struct vhost_dev *dev, uint32_t index, void **notifier),
	 dev, index, notifier)

#undef VHOST_OP

/* Regions that one table may have; 0 when closed. */
static inline uint32_t
vhost_memslots_limit(struct vhost_dev *dev)
{
	return dev->ops != NULL ? dev->ops->memslots_limit(dev) : 0;
}

static inline bool
vhost_force_iommu(struct vhost_dev *dev)
{
	return dev->ops != NULL && dev->ops->force_iommu != NULL && dev->ops->force_iommu(dev);
}

/* Undo vhost_map_notifier(); before the device is closed. */
static inline void
vhost_unmap_notifier(struct vhost_dev *dev, uint32_t index, void *notifier)
{
	if (dev->ops != NULL && dev->ops->unmap_notifier != NULL)
		dev->ops->unmap_notifier(dev, index, notifier);
}

static inline bool
vhost_notifier_lost(struct vhost_dev *dev, uint32_t index)
{
	return dev->ops != NULL && dev->ops->notifier_lost != NULL &&
	       dev->ops->notifier_lost(dev, index);
}

#endif /* VHOST_DEV_H */
