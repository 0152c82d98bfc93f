/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtio-net device that stands in for one of the kernel, in this process: a port whose path= is
 * standin_path finds it. It differs from the kernel's simulator in that it has packed rings,
 * offloads, several queues, and a control queue that does what it is told.
 *
 * It is made of the system calls that lib/vhost is given for a vDPA device (struct vhost_vdpa_sys):
 * programs with it are linked such that the port's call of vhost_vdpa_open() gets them. What is
 * told there struct fake keeps. The data rings are served by the device side of lib/virtq and
 * lib/vnet, the control queue by code of its own, in a thread that polls or, where a test wants
 * that, waits for kicks. It returns each packet that its filter lets through, to the queue that
 * its steering chooses, and drops none for want of a buffer: it waits for one.
 */
#ifndef RIG_DEVICE_NET_H
#define RIG_DEVICE_NET_H

#include <pthread.h>

#include <rte_ether.h>
#include <rte_mempool.h>

#include "rig_device.h"
#include "rig_device_vdpa.h"
#include "vnet.h"

#define STANDIN_PAIRS 2
#define STANDIN_MACS 16		/* of the filter, each of unicast and multicast */
#define STANDIN_RETA 128
#define STANDIN_KEY 40
#define STANDIN_HOLD 128	/* packets on their way to one queue */
#define STANDIN_CLASSES 6	/* of commands, numbered from 0 */
#define STANDIN_RING 256	/* entries of the largest ring */

/* Below /dev, a link to a character device, so that it is taken for one of the kernel's. */
extern char standin_path[];

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
	struct fake fake;
	struct rte_mempool *pool;
	struct rte_ether_addr mac;	/* after a reset */
	pthread_t thread;
	uint32_t waiting;		/* threads that want the lock; atomic */
	int wake;			/* eventfd: rings have come or gone */
	bool quit;			/* atomic */

	/* Below: with the lock. */
	pthread_mutex_t lock;
	struct virtq_mem *mem;		/* NULL: none is mapped */
	struct standin_ring ring[FAKE_RINGS];
	struct standin_pair pair[STANDIN_PAIRS];
	struct rdev cvq;
	struct standin_wishes wishes;
	enum standin_mood mood;
	uint8_t refused[2];		/* class and command; class 0xff: any */
	bool gone;			/* every call says so */
	bool sleeps;			/* it waits for kicks, instead of polling */
	void *notifier[FAKE_RINGS];	/* pages */
	bool has_doorbells;

	/* Counted since it was made, unless a test resets them. */
	uint64_t taken, filtered, given;
	uint64_t discarded;		/* held when their ring stopped */
	uint32_t commands[STANDIN_CLASSES][8];
	uint32_t unknown, refusals;
	uint32_t resets, starts;	/* of the device */
	uint32_t naps, missed;		/* waits for kicks; for such as did not come */
	uint32_t bad_rings;		/* rings that could not be set up, or lost their memory */
};

/* A device with all features of the kernel's simulator and more, and its thread; one at a time. */
void standin_new(struct standin *s, struct rte_mempool *pool);
/* Ends it; fails where the driver has left something behind. */
void standin_free(struct standin *s);

void standin_lock(struct standin *s);
void standin_unlock(struct standin *s);

/* The configuration or the status has changed: tell the driver. With the lock. */
void standin_tell(struct standin *s);
/* The device finds itself broken, and stops until it is reset. */
void standin_needs_reset(struct standin *s);
void standin_set_link(struct standin *s, bool up);
/* Ask the driver to say where it is. */
void standin_ask_announce(struct standin *s);
/* Take the device out of the file system; a driver that has it open keeps that. */
void standin_remove(struct standin *s);
void standin_insert(struct standin *s);

/*
 * As EAL does where it has hugepages: memory was added, or is about to be freed. Returns when the
 * port has told its device.
 */
void standin_memory_changed(bool grown, const void *addr, size_t len);

/* rig_device_kick.c: wait until there may be something to do. Without the lock. */
void standin_doze(struct standin *s);

/* rig_device_cvq.c: with the lock. */

/* As after a reset: own address only, one queue. */
void standin_wishes_reset(struct standin *s);
/* Serve commands that wait. */
bool standin_cvq_serve(struct standin *s);
bool standin_wants(const struct standin *s, const struct rte_mbuf *m);
/* The queue for a packet that queue `from` sent. */
uint16_t standin_steer(const struct standin *s, const struct rte_mbuf *m, uint16_t from);
/* Leave a packet's hash in hash.rss, the kind of report in hash.fdir.hi. */
void standin_report(const struct standin *s, struct rte_mbuf *m);
/* Negotiated features, less offloads that are not in use now. */
uint64_t standin_in_use(const struct standin *s);

/* rig_device_hash.c: bursts of packets of one buffer whose header has room for a hash. */
uint16_t standin_hash_take(struct vnet_rxq *rxq, struct virtq_vq *vq, const struct virtq_ring *ring,
			   struct rte_mbuf **pkts, uint16_t n);
uint16_t standin_hash_give(struct vnet_txq *txq, struct virtq_cursor *vq,
			   const struct virtq_ring *ring,
			   struct rte_mbuf **pkts, uint16_t n);

static inline bool
standin_has(const struct standin *s, unsigned int feature)
{
	return s->fake.acked & VIRTQ_BIT(feature);
}

/* VIRTIO 1.2, 5.1.2: behind all data rings. */
static inline uint32_t
standin_cvq_index(const struct standin *s)
{
	return standin_has(s, VIRTIO_NET_F_MQ) || standin_has(s, VIRTIO_NET_F_RSS) ?
	       2u * le16toh(s->fake.config.max_virtqueue_pairs) : 2;
}

#endif /* RIG_DEVICE_NET_H */
