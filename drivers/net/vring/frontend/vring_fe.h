/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The front-end: what the files vring_fe*.c know of one another. All of it belongs to the port's
 * own control thread unless something else is said.
 *
 * The thread takes nothing from EAL's heaps and gives nothing back there: whoever makes these grow
 * or shrink waits for it (see vring_fe_mem.c).
 */
#ifndef VRING_FE_H
#define VRING_FE_H

#include <pthread.h>

#include <rte_memzone.h>

#include "vhost_dev.h"
#include "vhu_sock.h"
#include "virtq_drv.h"
#include "vring_fe_cmd.h"
#include "vring_fe_region.h"
#include "vring_fe_queue.h"
#include "vring_log.h"
#include "vring_port.h"
#include "vring_publish.h"
#include "vring_role.h"
#include "vring_rxtx.h"

/* Receive offloads, as feature bits, that VIRTIO_NET_F_CTRL_GUEST_OFFLOADS turns on and off. */
#define VRING_GUEST_LRO \
	(VIRTQ_BIT(VIRTIO_NET_F_GUEST_TSO4) | VIRTQ_BIT(VIRTIO_NET_F_GUEST_TSO6) | \
	 VIRTQ_BIT(VIRTIO_NET_F_GUEST_ECN))
#define VRING_GUEST_OFFLOADS (VIRTQ_BIT(VIRTIO_NET_F_GUEST_CSUM) | VRING_GUEST_LRO)

/* Multicast addresses that can be asked for. */
#define VRING_MAX_MCS VRING_CMD_MACS

/* A data ring. */
struct vring_fe_ring {
	const struct rte_memzone *zone;	/* from open to close */
	struct virtq_drv *drv;		/* likewise */
	struct virtq_ring *ring;		/* NULL: not set up */
	int kickfd;			/* from open to close */
};

/* The control queue. */
struct vring_fe_cvq {
	const struct rte_memzone *zone;	/* the ring, then a page of command and ack; or NULL */
	struct virtq_drv *drv;
	struct virtq_ring *ring;		/* NULL: not set up */
	int kickfd;
	uint32_t qid;
	uint8_t *cmd;			/* VRING_CMD_MAX bytes, then the ack */
};

/* The application's memory as the device has to know it. */
struct vring_fe_mem {
	pthread_mutex_t lock;		/* of the members down to `live` */
	pthread_cond_t served;
	struct vhost_region *region;	/* ascending, merged */
	uint32_t n;
	struct vnet_range outside[VNET_EXTMEM_MAX]; /* of these: not DPDK's own */
	uint32_t noutside;
	struct vring_ranges withheld;	/* registered, but taken back from the device */
	uint64_t wanted, done;		/* changes so far; of them known to the device */
	bool live;			/* the loop tells the device of changes */
	bool registered;
	bool files;			/* the device maps files: vhost-user */
	uint32_t unshared;		/* pieces left out since no file is behind them */
	struct evloop_watch wake;		/* eventfd: `wanted` has moved */
};

struct vring_fe {
	struct vring_port *port;
	bool vdpa;
	struct vhu_sock sock;
	struct vhost_dev dev;
	struct evloop_timer again;		/* vDPA: open the device again */
	struct evloop_timer later;		/* what a call-back of the device left to be done */
	struct evloop_timer watch;		/* look for broken rings */
	bool lost, changed;		/* for `later` */
	bool told;			/* why it does not work has been said */
	bool running;			/* rings are set up, the device is started */
	ino_t node;		/* vDPA: the device's node while the port runs */
	int callfd, errfd;		/* shared by all rings: nobody waits for calls */
	struct evloop_watch err;

	/* What the device says. */
	uint64_t offered;
	uint16_t max_pairs;
	uint16_t mtu;			/* 0: it did not say */
	uint16_t rss_entries;		/* 0: no RSS */
	uint32_t rss_types;		/* 0: it computes no hash */
	bool hash_report;		/* it can tell the hash of a packet */
	uint32_t ring_max;		/* entries of a ring; 0: it did not say */
	bool no_guest_offloads;		/* it refused to be told; until the port is closed */
	bool link;			/* its status; true where it has none */
	uint16_t pairs;			/* in use while running */
	uint64_t guest_offloads;	/* VRING_GUEST_OFFLOADS that are negotiated and wanted */

	struct vring_fe_ring *ring;	/* [2 * port->pairs] */
	struct vring_fe_cvq cvq;
	struct vring_fe_mem mem;

	/* What the application wants, kept for the next session. */
	struct rte_ether_addr mac;
	bool mac_given;			/* by the user or the application */
	bool promisc, allmulti;
	struct rte_ether_addr unicast[VRING_MAX_MACS]; /* zero: free */
	struct rte_ether_addr multicast[VRING_MAX_MCS];
	uint32_t nmulticast;
	uint64_t vlan[64];		/* bit: the VLAN is let through */
	struct vring_rss rss;		/* entries 0: any table */

	uint64_t up_since_ns;
	char why[VHOST_WHY];		/* the last session's end */
};

/* vring_fe.c: sessions. */
extern const struct vring_role vring_fe_role;
/* End the session, take rings back, try again later. */
void vring_fe_down(struct vring_fe *fe, const char *why);

/* vring_fe_peer.c */
/* The negotiated features have the bit. */
bool vring_fe_has(const struct vring_fe *fe, unsigned int bit);
/* "device" or "back-end". */
const char *vring_fe_peer(const struct vring_fe *fe);
/* Ask a device that was just opened, or reset, what it has. 0 or -errno, with fe->dev.why. */
int vring_fe_greet(struct vring_fe *fe);
/* The link's state, fe->link; announcements that the device asks for are acknowledged. */
int vring_fe_read_link(struct vring_fe *fe);
/* Also decides on fe->guest_offloads. */
uint64_t vring_fe_choose_features(struct vring_fe *fe);
/* Pairs to carry packets: as many as the application has queues, within what the device has. */
uint16_t vring_fe_choose_pairs(const struct vring_fe *fe);

/* vring_fe_ring.c */
/* Entries of a ring that the device limits to `most` (0: it does not). */
uint32_t vring_fe_ring_size(const struct vring_fe *fe, uint32_t most, bool packed);
int vring_fe_rings_alloc(struct vring_fe *fe);	/* application's thread */
void vring_fe_rings_free(struct vring_fe *fe);	/* likewise */
/*
 * What the device has to know of a ring: VIRTIO 1.2, 2.7 and 2.8. 0 or -errno, with fe->dev.why.
 * The fd stays the caller's.
 */
int vring_fe_ring_tell(struct vring_fe *fe, uint32_t qid, const struct virtq_ring *ring,
		       int kickfd);
/* Set up the first 2 * pairs rings with buffers in them. 0, or -errno with fe->dev.why. */
int vring_fe_rings_up(struct vring_fe *fe);
int vring_fe_rings_enable(struct vring_fe *fe);
/* Tell the device that there is something in them. */
void vring_fe_rings_kick(struct vring_fe *fe);
/* Notifiers came or went: go on with those that there are now. 0, or -errno with fe->dev.why. */
int vring_fe_rings_notifiers(struct vring_fe *fe);
/* A notifier in use has lost the file behind it. */
bool vring_fe_rings_unheard(struct vring_fe *fe);
/* Say where the port's address is now, before or while they are published. */
void vring_fe_rings_announce(struct vring_fe *fe);
/* Ask the device to stop using them. */
void vring_fe_rings_stop(struct vring_fe *fe);
/* Take them from the bursts, free what they hold. */
void vring_fe_rings_down(struct vring_fe *fe);
bool vring_fe_rings_broken(const struct vring_fe *fe, unsigned int *qid);

/* vring_fe_mem.c */
/* Whether the device can write to the buffers of a pool; any thread. */
bool vring_fe_mem_takes_pool(const struct vring_port *port, struct rte_mempool *pool);
/* Application's thread; see struct vring_role. */
int vring_fe_mem_moves(struct vring_port *port, const void *addr, size_t len, bool comes);
int vring_fe_mem_open(struct vring_fe *fe);	/* application's thread */
void vring_fe_mem_close(struct vring_fe *fe);	/* likewise, after vring_fe_mem_unwatch() */
int vring_fe_mem_watch(struct vring_fe *fe);
void vring_fe_mem_unwatch(struct vring_fe *fe);
/* Give the device all memory, and all changes from now on. 0 or -errno, with fe->dev.why. */
int vring_fe_mem_start(struct vring_fe *fe);
/* No changes any more: whoever waits for them goes on. */
void vring_fe_mem_stop(struct vring_fe *fe);

/* vring_fe_cvq.c */
int vring_fe_cvq_alloc(struct vring_fe *fe);	/* application's thread */
void vring_fe_cvq_free(struct vring_fe *fe);	/* likewise */
int vring_fe_cvq_up(struct vring_fe *fe);
void vring_fe_cvq_down(struct vring_fe *fe);
/* Send and wait. -EOPNOTSUPP: no control queue; -EIO: refused; -ETIMEDOUT: the session is over. */
int vring_fe_cvq_send(struct vring_fe *fe, size_t len);
/* Tell the device all that the application wants. */
int vring_fe_cvq_replay(struct vring_fe *fe);
/* One piece of it; 0 where the device does not filter or will be told later. */
int vring_fe_cvq_mac(struct vring_fe *fe);
int vring_fe_cvq_mac_table(struct vring_fe *fe);
int vring_fe_cvq_rx_mode(struct vring_fe *fe);
int vring_fe_cvq_vlan(struct vring_fe *fe, uint16_t id, bool on);
int vring_fe_cvq_rss(struct vring_fe *fe); /* with HASH_REPORT alone: the hash */
int vring_fe_cvq_guest_offloads(struct vring_fe *fe);
int vring_fe_cvq_announced(struct vring_fe *fe);

/* vring_fe_ops.c */
const struct eth_dev_ops *vring_fe_eth_ops(void);
/* What the device there is now is told of fe->rss: types that it has, a table that fits it. */
void vring_fe_rss_fit(const struct vring_fe *fe, struct vring_rss *rss);
void vring_fe_info(const struct vring_port *port, struct rte_eth_dev_info *info);

/* vring_fe_info.c */
void vring_fe_status(struct vring_port *port, struct rte_tel_data *d);
void vring_fe_memory(struct vring_port *port, struct rte_tel_data *d);
void vring_fe_dump(struct vring_port *port, FILE *f);

#endif /* VRING_FE_H */
