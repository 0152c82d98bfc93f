/* SPDX-License-Identifier: BSD-3-Clause */
/* The device that stands in for one of the kernel (rig_device_net.h): what its parts share. */
#ifndef RIG_DEVICE_STATE_H
#define RIG_DEVICE_STATE_H

#include <pthread.h>

#include <rte_ether.h>
#include <rte_mempool.h>

#include "rig_device.h"
#include "rig_device_vdpa.h"
#include "vhost_net_hdr.h"
#include "virtq_dev.h"
#include "vnet.h"

#define STANDIN_PAIRS 2
#define STANDIN_MACS 16		/* of the filter, each of unicast and multicast */
#define STANDIN_RETA 128
#define STANDIN_KEY 40
#define STANDIN_HOLD 128	/* packets on their way to one queue */
#define STANDIN_CLASSES 6	/* of commands, numbered from 0 */
#define STANDIN_RING 256	/* entries of the largest ring */

/* What becomes of commands. */
enum standin_mood {
	STANDIN_SERVES,
	STANDIN_REFUSES,	/* VIRTIO_NET_ERR to what `refused` says */
	STANDIN_SILENT,		/* takes them, gives nothing back */
	STANDIN_MUMBLES,	/* an ack that means nothing */
	STANDIN_LIES,		/* gives back what it was not given */
};

struct standin_ring {
	struct virtq_dev *vq;
	struct virtq_ring *ring;	/* NULL: does not run */
	struct virtq_ring_config cfg; /* of run */
	bool control;		/* the control queue, not one of data */
};

/* One queue pair, named from the driver's side. */
struct standin_pair {
	struct vnet_rxq from;	/* what the driver sends */
	struct vnet_txq to;	/* what it receives */
	vnet_rx_burst take;
	vnet_tx_burst give;
	struct rte_mbuf *hold[STANDIN_HOLD]; /* for the driver to receive here */
	uint16_t nhold;
};

/* What the driver has asked for. */
struct standin_wishes {
	bool promisc, allmulti;
	struct rte_ether_addr unicast[STANDIN_MACS], multicast[STANDIN_MACS];
	uint32_t nunicast, nmulticast;
	uint64_t vlan[64];
	uint16_t pairs;		/* in use */
	uint32_t hash_types;	/* 0: no hash decides on the queue */
	uint32_t report_types;	/* hashes of these are told with the packets */
	uint64_t offloads;	/* of GUEST_CSUM, GUEST_TSO4, ... that were negotiated */
	uint16_t reta[STANDIN_RETA], reta_mask, unclassified;
	uint8_t key[STANDIN_KEY];
};

struct standin {
	struct vdpa vdpa;
	struct rte_mempool *pool;
	struct rte_ether_addr mac;	/* after a reset */
	pthread_t thread;
	uint32_t waiting;		/* threads that want the lock; atomic */
	int wake;			/* eventfd: rings have come or gone */
	bool quit;			/* atomic */

	/* Below: with the lock. */
	pthread_mutex_t lock;
	struct virtq_mem *mem;		/* NULL: none is mapped */
	struct standin_ring ring[VDPA_RINGS];
	struct standin_pair pair[STANDIN_PAIRS];
	struct rdev cvq;
	struct standin_wishes wishes;
	enum standin_mood mood;
	uint8_t refused[2];		/* class and command; class 0xff: any */
	bool sleeps;			/* it waits for kicks, instead of polling */

	/* Counted since it was made, unless a test resets them. */
	uint64_t taken, filtered, given;
	uint64_t discarded;		/* held when their ring stopped */
	uint32_t commands[STANDIN_CLASSES][8];
	uint32_t unknown, refusals;
	uint32_t naps, missed;		/* waits for kicks; for such as did not come */
	uint32_t bad_rings;		/* rings that could not be set up, or lost their memory */
};

void standin_lock(struct standin *s);
void standin_unlock(struct standin *s);

static inline bool
standin_has(const struct standin *s, unsigned int feature)
{
	return s->vdpa.acked & VIRTQ_BIT(feature);
}

/* VIRTIO 1.2, 5.1.2: behind all data rings. */
static inline uint32_t
standin_cvq_index(const struct standin *s)
{
	return standin_has(s, VIRTIO_NET_F_MQ) || standin_has(s, VIRTIO_NET_F_RSS) ?
	       2u * le16toh(s->vdpa.config.max_virtqueue_pairs) : 2;
}

#endif /* RIG_DEVICE_STATE_H */
