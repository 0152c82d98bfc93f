/* SPDX-License-Identifier: BSD-3-Clause */
/* What a front-end session and its owner know of each other: vhost_fe.h says how they meet. */
#ifndef VHOST_FE_CONFIG_H
#define VHOST_FE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "evloop.h"
#include "vhost_dev.h"
#include "vhost_fe_cmd.h"
#include "vhost_log.h"
#include "virtq_drv.h"

#define VHOST_FE_MAX_PAIRS (VHOST_MAX_VRINGS / 2)
#define VHOST_FE_UNICAST 64	/* addresses besides the device's own that can be wished for */

/* Receive offloads, as feature bits, that VIRTIO_NET_F_CTRL_GUEST_OFFLOADS turns on and off. */
#define VHOST_FE_GUEST_LRO \
	(VIRTQ_BIT(VIRTIO_NET_F_GUEST_TSO4) | VIRTQ_BIT(VIRTIO_NET_F_GUEST_TSO6) | \
	 VIRTQ_BIT(VIRTIO_NET_F_GUEST_ECN))
#define VHOST_FE_GUEST_OFFLOADS (VIRTQ_BIT(VIRTIO_NET_F_GUEST_CSUM) | VHOST_FE_GUEST_LRO)

/* What the owner is configured for while its rings run. */
struct vhost_fe_wants {
	uint16_t rx_queues, tx_queues;	/* that the pairs are spread over */
	uint64_t guest_offloads;	/* of VHOST_FE_GUEST_OFFLOADS */
	bool vlan_filter;
	bool rss;			/* the device spreads packets */
	bool hash_report;		/* packets come with their hash */
};

/* What a device has, once it was asked. */
struct vhost_fe_limits {
	uint64_t offered;	/* device features */
	uint64_t protocol;	/* vhost-user: protocol features that are negotiated */
	uint16_t max_pairs;
	uint16_t mtu;		/* 0: it did not say */
	uint32_t ring_max;	/* entries of a ring; 0: it did not say */
	uint32_t speed;		/* Mbit/s; 0: it did not say */
	uint16_t rss_entries;	/* of its indirection table; 0: no RSS */
	uint32_t rss_types;	/* VIRTIO_NET_RSS_HASH_TYPE_; 0: it computes no hash */
	bool hash_report;	/* it can tell the hash of a packet */
};

/* All are needed. None may free the session. Control: the loop's thread. */
struct vhost_fe_ops {
	/*
	 * Memory for ring `qid`, for as long as the session exists; qid 2 * pairs: for the control
	 * queue. It is in what the device is given by mem_give, and begins with a page. NULL: there
	 * is none. In the thread of vhost_fe_new() and of vhost_fe_free().
	 */
	void *(*ring_alloc)(void *ctx, uint16_t qid, uint64_t bytes);
	void (*ring_free)(void *ctx, uint16_t qid);
	/* Control: the address under which the device has a piece of that memory. */
	uint64_t (*ring_iova)(void *ctx, const void *addr);
	/*
	 * Control: give the device the memory of the process, vhost_set_mem_table(). Begins with
	 * each start of the rings and is repeated by vhost_fe_mem_changed(), until mem_stop. 0 or
	 * -errno, with dev->why.
	 */
	int (*mem_give)(void *ctx, struct vhost_dev *dev);
	void (*mem_stop)(void *ctx);

	/* Control: a device was asked what it has. */
	void (*limits)(void *ctx, const struct vhost_fe_limits *limits);
	/* Control: what the rings are to be set up for. */
	void (*wants)(void *ctx, struct vhost_fe_wants *wants);
	/* Control: features were negotiated, or (0) are no longer. */
	void (*features)(void *ctx, uint64_t features);
	/* Control: the device's own address; only where nobody has asked for another one. */
	void (*mac)(void *ctx, const uint8_t mac[6]);

	/* Control: buffers for a receive ring that the device does not have yet. */
	void (*fill)(void *ctx, uint16_t qid, struct virtq_drv *drv,
		     const struct virtq_ring *ring);
	/* Control: free the buffers of a ring that has stopped and is no longer published. */
	void (*drain)(void *ctx, uint16_t qid, struct virtq_drv *drv,
		      const struct virtq_ring *ring);
	/*
	 * Control: carry rings to the bursts. rings[i] belongs to ring i, NULL: there is none; n of
	 * them, 2 * pairs. When this returns no burst uses a former ring any more. They stay the
	 * session's.
	 */
	void (*publish)(void *ctx, const struct virtq_ring *const *rings, uint16_t n);
	/* Control: say where `mac` is, on a transmit ring that may be published. */
	void (*announce)(void *ctx, const uint8_t mac[6], struct virtq_drv *drv,
			 const struct virtq_ring *ring);

	/* Control: a device or a back-end is there, or no longer. */
	void (*connected)(void *ctx, bool up);
	/*
	 * Control: what the link depends on may have changed. carrier: the rings run, and the
	 * device has nothing against the link being up.
	 */
	void (*link)(void *ctx, bool carrier);
	/* Control: one line about this session, without the owner's name and without a newline. */
	void (*log)(void *ctx, enum vhost_log_level level, const char *text);
};

struct vhost_fe_config {
	const char *path;	/* socket, or device of the kernel; copied */
	bool vdpa;		/* a vhost-vdpa device */
	const char *tap;	/* vhost-net: the interface's name, or ""; copied. NULL: another */
	/*
	 * A device that is open as far as vhost_init() is driven instead of what is at the path.
	 * The session closes it, and looks for no other one. NULL: none.
	 */
	struct vhost_dev *dev;
	bool server;		/* socket: listen instead of connecting */
	uint32_t reconnect_ms;	/* delay between attempts, as struct vhu_sock_config has it */
	mode_t sock_mode;	/* server: permissions of the socket; 0: umask's */
	gid_t sock_gid;		/* server; (gid_t)-1: leave */
	uint16_t pairs;		/* queue pairs at most, 1..VHOST_FE_MAX_PAIRS */
	uint32_t queue_size;	/* entries of a ring at most */
	uint64_t features;	/* device features to accept where they are offered */
	uint16_t mtu;		/* that the device is told; 0: it is not */
	uint8_t mac[6];
	bool mac_given;		/* somebody has asked for it; else a device may have its own */
	bool promisc, allmulti;	/* first wishes */
	bool dirty_log;		/* socket: have the back-end mark what it writes in a log */
	bool iotlb_pages;	/* socket: as struct vhost_dev has it */
	struct virtq_drv *drv;	/* 2 * pairs of them, the owner's */
	const struct vhost_fe_ops *ops;
	void *ctx;
	struct evloop *loop;
};

/* State for telemetry. */
struct vhost_fe_info {
	struct vhost_fe_limits limits;	/* of the last device */
	bool connected, running;
	uint64_t connects, disconnects;
	uint64_t up_since_ns;		/* CLOCK_MONOTONIC */
	uint16_t pairs;			/* in use; 0: no ring runs */
	uint64_t guest_offloads;	/* in use */
	bool control_queue;		/* it is in use */
	uint16_t notifiers;		/* rings that use one */
	uint8_t status;			/* virtio device status */
	uint64_t backend;		/* vhost-vdpa: back-end features */
	uint64_t dirty_pages;		/* marked in the dirty log since rings were set up */
	char tap[VHOST_TAP_NAME];	/* vhost-net: the interface's name */
	char why[VHOST_WHY];		/* the last session's end; "" before the first */
};

#endif /* VHOST_FE_CONFIG_H */
