/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a front-end asks of a device, whoever serves it.
 *
 * One table of operations, implemented by vhost_user (a back-end behind a socket), by vhost_vdpa (a
 * device of the kernel) and by vhost_net (the kernel's vhost-net with a tap). Where an operation
 * does not exist for one of them its entry is NULL, and the comment says why; callers use the
 * vhost_*() wrappers, which answer -EOPNOTSUPP.
 *
 * Operations are calls that wait: for a reply of the back-end, `timeout_ms` at most, or for an
 * ioctl. Each device is used by one thread, the control loop of its port, which serves no other
 * port. All return 0 or -errno; -ETIMEDOUT, -ECONNRESET and -EPROTO mean that the connection is
 * dead.
 */
#ifndef VHOST_OPS_H
#define VHOST_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vhost_dev;
struct iovec;

/* A piece of the application's memory that the device may access. */
struct vhost_region {
	uint64_t iova;		/* what descriptors say; first address */
	uint64_t size;		/* bytes */
	void *addr;		/* where it lies in this process */
	int fd;			/* file behind it, -1: none (not for vhost-user) */
	uint64_t fd_offset;	/* of addr in that file, bytes */
	bool read_only;		/* the device must not write */
};

/* Of a ring: in this process (vhost-user, vhost-net), and as the device sees them (iova). */
struct vhost_vring_addr {
	void *desc, *avail, *used;	/* packed: ring, driver area, device area */
	uint64_t desc_iova, avail_iova, used_iova;
	bool log;			/* dirty log of the used ring */
};

struct vhost_ops {
	const char *name;		/* "vhost-user", "vhost-vdpa", "vhost-net" */
	/* What precedes features: protocol features, MSG_V2; status ACKNOWLEDGE, DRIVER. */
	int (*init)(struct vhost_dev *dev);
	void (*cleanup)(struct vhost_dev *dev);
	uint32_t (*memslots_limit)(struct vhost_dev *dev);
	int (*set_owner)(struct vhost_dev *dev);
	int (*reset_device)(struct vhost_dev *dev);
	int (*get_features)(struct vhost_dev *dev, uint64_t *features);
	int (*set_features)(struct vhost_dev *dev, uint64_t features);
	int (*get_queue_num)(struct vhost_dev *dev, uint32_t *vrings); /* in vrings, data only */
	/* The whole set; what is known already is not sent again where the protocol allows that. */
	int (*set_mem_table)(struct vhost_dev *dev, const struct vhost_region *r, uint32_t n);
	int (*set_vring_num)(struct vhost_dev *dev, uint32_t index, uint32_t num);
	int (*set_vring_addr)(struct vhost_dev *dev, uint32_t index,
			      const struct vhost_vring_addr *addr);
	int (*set_vring_base)(struct vhost_dev *dev, uint32_t index, uint32_t base);
	int (*get_vring_base)(struct vhost_dev *dev, uint32_t index, uint32_t *base);
	int (*set_vring_kick)(struct vhost_dev *dev, uint32_t index, int fd); /* -1: polled */
	int (*set_vring_call)(struct vhost_dev *dev, uint32_t index, int fd);
	int (*set_vring_err)(struct vhost_dev *dev, uint32_t index, int fd);
	int (*set_vring_enable)(struct vhost_dev *dev, uint32_t index, bool enable);
	/* Largest ring the device takes; 0 in *num: no limit known. */
	int (*get_vring_max)(struct vhost_dev *dev, uint32_t index, uint32_t *num);
	/* Everything is set up: go (DRIVER_OK and its checks), or stop. */
	int (*dev_start)(struct vhost_dev *dev, bool start);
	/*
	 * The session is over, or the rings were not stopped: see that the device writes to memory
	 * no more. vhost-user: disconnect, and wait until the back-end has done so as well, `ms` at
	 * most (-ETIMEDOUT). vhost-vdpa: reset. vhost-net: stop. The device has to be closed, or
	 * begun anew.
	 */
	int (*quiesce)(struct vhost_dev *dev, uint32_t ms);
	int (*get_status)(struct vhost_dev *dev, uint8_t *status);
	int (*set_status)(struct vhost_dev *dev, uint8_t status);
	int (*get_config)(struct vhost_dev *dev, uint32_t offset, void *buf, uint32_t len);
	int (*set_config)(struct vhost_dev *dev, uint32_t offset, const void *buf, uint32_t len,
			  uint32_t flags);
	/* vhost-user with LOG_SHMFD: fd is the file of the log and is needed. */
	int (*set_log_base)(struct vhost_dev *dev, uint64_t size, uint64_t offset, int fd);
	int (*migration_done)(struct vhost_dev *dev, const uint8_t mac[6]);
	int (*net_set_mtu)(struct vhost_dev *dev, uint16_t mtu);
	int (*send_iotlb)(struct vhost_dev *dev, uint64_t iova, uint64_t size, void *addr,
			  uint8_t perm, uint8_t type);
	/* Addresses the device can use, inclusive. */
	int (*get_iova_range)(struct vhost_dev *dev, uint64_t *first, uint64_t *last);
	int (*get_vring_group)(struct vhost_dev *dev, uint32_t index, uint32_t *group);
	int (*set_group_asid)(struct vhost_dev *dev, uint32_t group, uint32_t asid);
	int (*suspend)(struct vhost_dev *dev);
	int (*resume)(struct vhost_dev *dev);
	/*
	 * Map the notification area of a ring. *notifier: store the ring's index there, 16 bits, to
	 * kick. -EOPNOTSUPP: there is none, the kick fd is used. A ring's next one can be mapped
	 * before the former is unmapped.
	 */
	int (*map_notifier)(struct vhost_dev *dev, uint32_t index, void **notifier);
	void (*unmap_notifier)(struct vhost_dev *dev, uint32_t index, void *notifier);
	/* A mapped one has lost the file behind it: what is stored there reaches nobody. */
	bool (*notifier_lost)(struct vhost_dev *dev, uint32_t index);
	bool (*force_iommu)(struct vhost_dev *dev); /* rings and buffers are given as IOVAs */
};

/* What the device says unasked; called in the loop's thread of the device. */
struct vhost_dev_events {
	void (*config_changed)(void *ctx);	/* also NEEDS_RESET: read status and config anew */
	void (*lost)(void *ctx, const char *why); /* the connection is dead, the device gone */
	/*
	 * Notifiers came or went: map those of all rings anew. Kicks may have gone to a former one
	 * meanwhile, so kick once more. Who has no such entry is given no notifiers by a socket.
	 */
	void (*notifiers)(void *ctx);
};

extern const struct vhost_ops vhost_user_ops;
extern const struct vhost_ops vhost_vdpa_ops;
extern const struct vhost_ops vhost_net_ops;

#endif /* VHOST_OPS_H */
