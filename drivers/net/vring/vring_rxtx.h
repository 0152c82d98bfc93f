/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ethdev queues as the bursts know them, and the bursts.
 */
#ifndef VRING_RXTX_H
#define VRING_RXTX_H

#include <stdbool.h>
#include <stdint.h>

#include <ethdev_driver.h>
#include <rte_spinlock.h>

#include "virtq_rcu.h"
#include "vnet.h"
#include "vring_compat.h"
#include "vring_port.h"
#include "vring_qmap.h"

/* What receive and transmit queues have in common. */
struct vring_queue {
	struct virtq_rcu rcu;		/* read by the lcore that bursts */
	struct virtq_rcu query_rcu;	/* read by whoever asks how full the ring is */
	rte_spinlock_t query_lock;	/* one reader of query_rcu at a time */
	uint16_t id;
	uint16_t nb_desc;		/* as the application asked, or of the port's own rings */
	bool deferred;			/* not started with the port */
	bool started;			/* control */
	uint8_t spare;			/* control: which of poll_set[] is not published */
	uint32_t poller;		/* vring_poller.c */
	struct vring_port *port;
	struct vring_poll_set *poll_set[2];
	struct vring_poll_set *published;	/* control: NULL or one of poll_set[] */
};

struct vring_rxq {
	struct vring_queue q;
	struct vnet_rxq rx;
	struct vnet_cut *cut;	/* NULL: the role has no packets to cut */
	uint16_t turn;		/* ring that a burst begins with, where there are several */
	struct rte_eth_rxconf conf;
	struct rte_mempool *pool;
	struct virtq_mem *monitored; /* query_lock: what a core may be reading, or NULL */
};

struct vring_txq {
	struct vring_queue q;
	struct vnet_txq tx;
	struct vring_hold *hold; /* NULL: the port serves no IOMMU */
	struct rte_eth_txconf conf;
};

uint16_t vring_rxtx_rx_burst(void *rxq, struct rte_mbuf **pkts, uint16_t n);
uint16_t vring_rxtx_tx_burst(void *txq, struct rte_mbuf **pkts, uint16_t n);
/* Send on one ring, which the caller may use. */
uint16_t vring_rxtx_tx_ring(struct vring_txq *q, const struct vring_poll_entry *ring,
			    struct rte_mbuf **pkts, uint16_t n);
/*
 * The ring is full: try again as often as tx-retries= says, then drop the packets; without it they
 * stay the application's. Returns how many the port is done with.
 */
uint16_t vring_rxtx_tx_full(struct vring_txq *q, const struct vring_poll_entry *ring,
			    struct rte_mbuf **pkts, uint16_t n);
uint16_t vring_rxtx_tx_prepare(void *txq, struct rte_mbuf **pkts, uint16_t n);
/* A vnet_rx_burst that delivers the announcement once; cursor and ring are NULL. */
uint16_t vring_rxtx_rarp_burst(struct vnet_rxq *rx, struct virtq_cursor *cursor,
			       const struct virtq_ring *ring, struct rte_mbuf **pkts, uint16_t n);
/*
 * Have the peer notify the rings' wakefd with the next packet (on), or not. False: the queue is not
 * to sleep, since there is something to do already, or a ring has no wakefd. Not beside a burst.
 */
bool vring_rxtx_rx_wake(struct vring_rxq *q, bool on);
/* The peer may be waiting for buffers of the ring, which only a burst gives it. Likewise. */
bool vring_rxtx_rx_starves(const struct vring_rxq *q, const struct vring_poll_entry *entry);
/* The poll set, from any thread, until it is left. */
const struct vring_poll_set *vring_rxtx_query_enter(struct vring_queue *q);
void vring_rxtx_query_leave(struct vring_queue *q);
int vring_rxtx_tx_done_cleanup(void *txq, uint32_t n);
/*
 * Packets that wait (tx: buffers that are free) in all rings of a set, or NULL; *size: the entries
 * that these have. As long as the set is there.
 */
uint32_t vring_rxtx_set_count(const struct vring_port *port, const struct vring_poll_set *set,
			      bool tx, uint32_t *size);
/* Of queues that are not set up (NULL): none, or -EINVAL. */
vring_compat_count vring_rxtx_rx_queue_count(void *rxq);
int vring_rxtx_tx_queue_count(void *txq);
int vring_rxtx_rx_descriptor_status(void *rxq, uint16_t offset);
int vring_rxtx_tx_descriptor_status(void *txq, uint16_t offset);

#endif /* VRING_RXTX_H */
