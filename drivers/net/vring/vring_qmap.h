/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The queue map: which ethdev queue serves which ring. Plain functions of their arguments.
 */
#ifndef VRING_QMAP_H
#define VRING_QMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_spinlock.h>

#include "vnet.h"
#include "vring_port.h"
#include "vring_role.h"

/* One entry of a poll set: a ring that an ethdev queue serves, or something that acts like one. */
struct vring_poll_entry {
	struct virtq_cursor *cursor;
	const struct virtq_ring *ring;
	union {
		vnet_rx_burst rx;
		vnet_tx_burst tx;
	};
	rte_spinlock_t *lock;	/* tx: taken because other queues serve this ring too; or NULL */
};

/*
 * What an ethdev queue works on. Immutable from its publication until another one has been
 * published in its place; a queue owns two and alternates.
 */
struct vring_poll_set {
	uint16_t n;
	uint16_t why;		/* tx, n == 0: enum vnet_drop that packets are counted under */
	bool cut;		/* rx: a ring may have packets that are to be cut */
	bool plain;		/* rx: one ring, and nothing to cut */
	bool hold;		/* tx, n == 0: a ring is about to come back, packets are held */
	const char *mode;	/* primary: instance of the first ring, static text */
	struct vring_poll_entry entry[];
};

/* Bytes of a poll set with room for every ring of `pairs` pairs and one entry more, whole lines. */
size_t vring_qmap_size(uint16_t pairs);
/* Whether a ring runs and may carry packets. */
bool vring_qmap_enabled(const struct vring_port_vring *vring);
/* Whether it does, or is about to go on. */
bool vring_qmap_alive(const struct vring_port_vring *vring);
/*
 * The rings of receive queue i of n: every running vring 2j + rx with j % n == i. flags: VNET_F_ of
 * the queue.
 */
void vring_qmap_rx(const struct vring_queue_ops *ops, struct vring_port_vring *vring,
		   uint16_t pairs, uint16_t i, uint16_t n, uint32_t flags,
		   struct vring_poll_set *set);
/*
 * The ring of transmit queue i of n: with m enabled rings, the (i % m)-th. It has a lock if another
 * queue has the same ring. With no enabled ring, packets are dropped and counted under `why`.
 */
void vring_qmap_tx(const struct vring_queue_ops *ops, struct vring_port_vring *vring,
		   uint16_t pairs, uint16_t i, uint16_t n, enum vnet_drop why,
		   struct vring_poll_set *set);
/*
 * All enabled rings, for a transmit queue of n that chooses one for each packet; each has a lock if
 * there is another queue. Likewise.
 */
void vring_qmap_tx_all(const struct vring_queue_ops *ops, struct vring_port_vring *vring,
		       uint16_t pairs, uint16_t n, enum vnet_drop why,
		       struct vring_poll_set *set);
/* Whether two sets differ in their rings or in the locks of these. NULL: an empty set. */
bool vring_qmap_moved(const struct vring_poll_set *a, const struct vring_poll_set *b);
/* Whether a burst does the same with both sets. */
bool vring_qmap_same(const struct vring_poll_set *a, const struct vring_poll_set *b);

#endif /* VRING_QMAP_H */
