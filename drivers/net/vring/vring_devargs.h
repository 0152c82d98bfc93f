/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the user writes after the device name: keys, ranges, defaults.
 */
#ifndef VRING_DEVARGS_H
#define VRING_DEVARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <rte_ether.h>

#include "vhost_fe_cmd.h"

#define VRING_MAX_PAIRS 128
/* Bytes around the payload of the largest frame: Ethernet, two VLAN tags, CRC. */
#define VRING_FRAME_OVERHEAD (RTE_ETHER_HDR_LEN + 2 * RTE_VLAN_HLEN + RTE_ETHER_CRC_LEN)
#define VRING_MIN_MTU 68
#define VRING_MAX_MTU (UINT16_MAX - VRING_FRAME_OVERHEAD)

/* Bytes of a path with its end, as long as sun_path. */
#define VRING_PATH_LEN 108
/* Bytes of the name of a network interface with its end, as IFNAMSIZ. */
#define VRING_IFNAME_LEN 16
/* cq= not given: a control queue is used where the device serves one. */
#define VRING_CQ_AUTO 2
/* mrg_rxbuf= not given: on, and packets are chained if the application asks; 1: in any case. */
#define VRING_MRG_AUTO 2

enum vring_csum {
	VRING_CSUM_OFF,		/* the guest is not offered to leave checksums out */
	VRING_CSUM_COMPLETE,	/* partial checksums of the guest are completed on the way in */
	VRING_CSUM_PARTIAL,	/* they are handed to the application as they are */
};

/* Whether received packets are told in Tx flags. */
enum vring_legacy {
	VRING_LEGACY_NO,
	VRING_LEGACY_YES,
	VRING_LEGACY_AUTO,	/* not given: merged ones, as the application is configured */
};

enum vring_linear {
	VRING_LINEAR_NO,	/* chains are delivered if the application enables scatter */
	VRING_LINEAR_YES,	/* one segment a packet, whatever the application enables */
};

enum vring_steering {
	VRING_STEERING_THREAD,	/* each transmit queue has one ring */
	VRING_STEERING_HASH,	/* each has all, and a flow has one of them */
};

struct vring_devargs {
	char iface[VRING_PATH_LEN]; /* back-end: socket */
	char path[VRING_PATH_LEN]; /* front-end: socket, or device of the kernel */
	char ifname[VRING_IFNAME_LEN]; /* front-end on vhost-net: interface; empty: the kernel's
					* choice */
	char state_dir[VRING_PATH_LEN]; /* back-end: of the state file; empty: the socket's */
	struct rte_ether_addr mac; /* zero: random */
	enum vring_csum csum;
	enum vring_steering tx_steering; /* back-end */
	mode_t sock_mode;	/* 0: as the umask leaves it */
	gid_t sock_gid;		/* (gid_t)-1: as the process's */
	bool speed_given;
	/* Numbers and switches; all of one type, so that one parser serves them. */
	uint32_t queues;	/* pairs */
	uint32_t client;
	uint32_t iommu, iommu_keep, postcopy;
	uint32_t tso;
	uint32_t linear;	/* enum vring_linear */
	uint32_t ext_buf;
	uint32_t legacy_ol;	/* enum vring_legacy */
	uint32_t sealed;	/* refuse memory that a front-end can cut short */
	uint32_t mtu;		/* bytes; 0: not given */
	uint32_t speed;		/* Mbit/s that the link claims */
	uint32_t numa;		/* UINT32_MAX: where the process runs */
	uint32_t ctrl_lcore;	/* UINT32_MAX: off the lcores */
	uint32_t max_ring;	/* entries of the largest ring a peer may set up */
	uint32_t packed;
	uint32_t tx_retries;	/* rounds; 0: a full ring is the caller's business */
	uint32_t reconnect_ms;
	uint32_t stall_ms;	/* after which a queue that stands still is told of; 0: never */
	uint32_t stats;		/* keep size classes and casts */
	uint32_t zero_copy;	/* attach packets of guests to mbufs of the application */
	uint32_t hash_report;	/* tell guests the hashes of packets */
	uint32_t zero_copy_min;	/* bytes of the shortest packet that is attached */
	uint32_t call_thread;	/* a thread calls guests in place of bursts */
	uint32_t call_us;	/* microseconds between two calls of a ring; 0: no matter */
	/* Front-end. */
	/* What path= is, as it was when the arguments were read; neither: a socket. */
	bool vdpa;		/* a vhost-vdpa device */
	bool net;		/* the kernel's vhost-net */
	uint32_t server;
	uint32_t queue_size;	/* entries of each ring */
	uint32_t cq;		/* VRING_CQ_AUTO: not given */
	uint32_t packed_vq;
	uint32_t mrg_rxbuf;	/* VRING_MRG_AUTO: not given */
	uint32_t in_order;
	uint32_t vectorized;	/* a hint that nothing depends on */
	uint32_t dirty_log;	/* have the back-end keep a log of what it writes */
	uint32_t iommu_pages;	/* answer its misses with single pages */
};

/*
 * Parse and check. 0, or -EINVAL with one line in err that names the key and what is allowed;
 * it has neither the port's name nor a newline.
 */
/* Packets to a guest can be held until they can be written: what is written to may be missing. */
static inline bool
vring_devargs_hold(const struct vring_devargs *args)
{
	return args->path[0] == '\0' && (args->iommu || args->postcopy);
}

int vring_devargs_parse(const char *text, struct vring_devargs *args, char *err, size_t errlen);

/* Device features to offer to a front-end under these arguments. */
uint64_t vring_devargs_features(const struct vring_devargs *args);
/* Those that a guest may have acknowledged under other arguments, and that are served as well. */
uint64_t vring_devargs_fallback(const struct vring_devargs *args);

/*
 * Whether the port drives a device (path=), and whether that is a vhost-vdpa device or the kernel's
 * vhost-net.
 */
bool vring_devargs_front(const struct vring_devargs *args);
bool vring_devargs_vdpa(const struct vring_devargs *args);
bool vring_devargs_net(const struct vring_devargs *args);

/*
 * Front-end: features to accept where the device offers them. `packets`: those that bursts
 * serve, VNET_DRV_FEATURES or fewer.
 */
uint64_t vring_devargs_wanted(const struct vring_devargs *args, uint64_t packets);

/* Front-end features that are the port's own business. */
#define VRING_FRONT_FEATURES \
	(VIRTQ_BIT(VIRTIO_NET_F_MAC) | VIRTQ_BIT(VIRTIO_NET_F_STATUS) | \
	 VIRTQ_BIT(VIRTIO_NET_F_MTU) | VIRTQ_BIT(VIRTIO_NET_F_MQ) | \
	 VIRTQ_BIT(VIRTIO_NET_F_SPEED_DUPLEX) | VHOST_FE_CTRL_FEATURES | \
	 VIRTQ_BIT(VIRTIO_F_ORDER_PLATFORM) | VIRTQ_BIT(VIRTIO_F_ACCESS_PLATFORM))
#define VRING_FRONT_CSUM_FEATURES \
	(VIRTQ_BIT(VIRTIO_NET_F_CSUM) | VIRTQ_BIT(VIRTIO_NET_F_GUEST_CSUM) | \
	 VIRTQ_BIT(VIRTIO_NET_F_HOST_TSO4) | VIRTQ_BIT(VIRTIO_NET_F_HOST_TSO6) | \
	 VIRTQ_BIT(VIRTIO_NET_F_HOST_ECN) | VIRTQ_BIT(VIRTIO_NET_F_GUEST_TSO4) | \
	 VIRTQ_BIT(VIRTIO_NET_F_GUEST_TSO6) | VIRTQ_BIT(VIRTIO_NET_F_GUEST_ECN))

/*
 * Offered to each front-end and passed on between it and its guest. A guest that had them elsewhere
 * could not come here without; and Linux refuses MQ and GUEST_ANNOUNCE without CTRL_VQ.
 */
#define VRING_BACK_CTRL_FEATURES \
	(VIRTQ_BIT(VIRTIO_NET_F_CTRL_VQ) | VIRTQ_BIT(VIRTIO_NET_F_CTRL_RX) | \
	 VIRTQ_BIT(VIRTIO_NET_F_GUEST_ANNOUNCE))
/*
 * Not offered, since the front-end alone can keep them: a guest would look into a configuration
 * space that the port does not have. What a front-end sends of them is its own business. With
 * ORDER_PLATFORM, which a guest may have from another device, it takes more care than is needed.
 */
#define VRING_BACK_TOLERATED \
	(VIRTQ_BIT(VIRTIO_NET_F_MAC) | VIRTQ_BIT(VIRTIO_NET_F_STATUS) | \
	 VIRTQ_BIT(VIRTIO_NET_F_CTRL_VLAN) | VIRTQ_BIT(VIRTIO_NET_F_CTRL_RX_EXTRA) | \
	 VIRTQ_BIT(VIRTIO_NET_F_CTRL_MAC_ADDR) | VIRTQ_BIT(VIRTIO_NET_F_SPEED_DUPLEX) | \
	 VIRTQ_BIT(VIRTIO_NET_F_STANDBY) | VIRTQ_BIT(VIRTIO_F_ORDER_PLATFORM))

#endif /* VRING_DEVARGS_H */
