/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The port: what two or more files of the driver know of it.
 *
 * Three kinds of state, by who may write it:
 *   configuration	set at probe, read by all
 *   control		touched in the control thread only (vring_ctrl_call() gets there)
 *   data path		the queues: written by the lcore that bursts, except their poll sets, which
 *			are published through RCU
 *
 * The port lies in memory shared with secondary processes, which read counters from it and
 * follow no pointer marked "primary".
 */
#ifndef VRING_PORT_H
#define VRING_PORT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <ethdev_driver.h>
#include <rte_spinlock.h>

#include "evloop.h"
#include "vhost_log.h"
#include "virtq_ring.h"
#include "vnet.h"
#include "vnet_hash.h"
#include "vring_devargs.h"

/* Vrings of a port: 2i receives and 2i + 1 transmits, as the driver's side sees it. */
#define VRING_MAX_QIDS (2 * VRING_MAX_PAIRS)
/* MAC addresses of a port, its own included; only a vhost-vdpa device may filter by them. */
#define VRING_MAX_MACS 16
/* Blocks of memory that move to another node. */
#define VRING_PORT_MOVES 4
/* Largest frame taken from a guest unless mtu= asks for more; also OVS's limit. */
#define VRING_MAX_FRAME 9728

struct vhost_be;
struct virtq_caller;
struct virtq_dev;
struct virtq_drv;
struct vring_ctrl;
struct vring_fe;
struct vring_intr;
struct vring_numa;
struct vring_rxq;
struct vring_stall;
struct vring_txq;

/* Which end of the connection a port is. The index of struct vring_role in each process. */
enum vring_role_id {
	VRING_ROLE_BE,
	VRING_ROLE_FE,
	VRING_ROLE_MAX
};

/* Notifications of a ring, sent or not. */
struct vring_notified {
	uint64_t sent;
	uint64_t suppressed;	/* the peer did not want them */
	/* Back-end. */
	uint64_t coalesced;	/* another one stands for them */
	uint64_t deferred;	/* of `sent`: by a thread */
};

/* A vring of the device. */
struct vring_port_vring {
	struct virtq_cursor *cursor;	/* of this end; always there */
	const struct virtq_ring *ring;	/* control: NULL while it does not run */
	bool paused;		/* control: it does not, but is about to go on */
	rte_spinlock_t lock;		/* for queues that share the ring */
	struct vring_notified notified_base; /* at the last reset */
};

/* Counters of an ethdev queue that outlive the queue. */
struct vring_stats_base {
	struct vnet_stats released;	/* of queues that were released */
	struct vnet_stats at_reset;	/* to subtract: totals at the last reset */
	uint16_t counter;	/* of struct rte_eth_stats that it adds to, if it has that one */
	uint64_t stalls, stalls_at_reset; /* transmit queues: times that one stood still */
	/* Times that it was found polled on another node than that of the guest's memory. */
	uint64_t far, far_at_reset;
};

/* What the control thread knows of the session; copied here for other threads and processes. */
struct vring_session_counters {
	uint64_t connects, disconnects, messages, nacks, framing_errors;
};

/* An announcement that the first started receive queue delivers, once. */
struct vring_rarp {
	bool wanted;			/* control: until it is known to be delivered */
	struct evloop_timer watch;	/* control: asks whether it was */
	struct rte_ether_addr mac;	/* constant while the announcement is published */
	uint32_t delivered;		/* atomic: set by the lcore that delivered it */
};

/* Zero-copy receive; control. */
struct vring_zc_watch {
	struct evloop_timer timer;	/* armed while any ring has zero-copy buffers */
	uint64_t port;		/* tells the port from all others, former ones included */
	uint64_t quiet_until_ns;	/* no log line about packets before */
};

struct vring_port {
	/* Configuration. */
	char name[RTE_ETH_NAME_MAX_LEN];
	struct vring_devargs args;
	enum vring_role_id role;
	uint16_t pairs;		/* of ethdev queues, at most */
	uint16_t vring_pairs;	/* of vrings that the device can have */
	uint16_t max_mtu;	/* bytes */
	uint64_t offered;	/* device features */
	struct rte_eth_dev *dev;	/* primary */
	struct vring_ctrl *ctrl;	/* primary */
	struct evloop *loop;		/* primary: ctrl's */
	TAILQ_ENTRY(vring_port) next;	/* primary: vring_registry.c */
	unsigned int asked;		/* likewise: times at once */

	/* For frames over an element of the application's pool, or NULL. Primary. */
	struct rte_mempool *extbuf_pool;

	/* Control. */
	struct vhost_be *be;	/* back-end */
	struct virtq_caller *caller; /* back-end: who sends calls; NULL: the bursts do */
	struct vring_fe *fe;	/* front-end */
	bool open;		/* from the end of the probe to the beginning of the close */
	bool connected;
	uint64_t disconnected_ns;	/* when the last connection ended; 0: none has */
	bool carrier;		/* the peer has nothing against the link being up */
	bool started;		/* dev_start */
	bool admin_down;	/* dev_set_link_down */
	uint64_t features, protocol_features; /* negotiated */
	uint32_t ptypes;	/* that the application is told of: RTE_PTYPE_*_MASK */
	bool ptypes_chosen;	/* the application has said which */
	bool asks_pollers;	/* bursts are to say on which node they run: vring_poller.h */
	struct vnet_hash hash;	/* back-end */
	struct vnet_hash tx_hash; /* of packets to the peer; constant: vring_steer.c */
	uint32_t tx_secret;	/* what a hash is mixed with before it chooses a ring; likewise */
	uint16_t guest_mtu;	/* bytes, as the front-end said; 0: it did not */
	bool mtu_chosen;	/* by mtu= or the application: a back-end leaves it then */
	struct vhost_log_limit log_limit; /* of lines that a peer causes without a session's */
	uint64_t max_ring_logged_ns;	/* when a ring over max-ring= was logged last; 0: never */
	struct vring_zc_watch zc_watch;
	struct vring_session_counters session_base; /* at the last reset */
	struct vring_port_vring vring[VRING_MAX_QIDS];

	/* Control and data path. */
	struct vring_rarp rarp;
	/* Control to data path: the application's external memory that the device knows. */
	struct vnet_extmem extmem;

	struct vring_event *event;	/* primary: vring_event.c */
	struct vring_intr *intr;	/* primary: vring_intr.c; NULL: no rx interrupts */
	struct vring_stall *stall;	/* primary; control: vring_stall.c */
	struct vring_numa *numa;	/* primary: vring_numa.c; NULL: the rings are the port's */

	/* Counters, readable by any process. */
	struct vring_session_counters session;
	struct vring_stats_base *rx_base, *tx_base; /* one a pair */
	/* State of the rings at this end, one a vring. */
	struct virtq_dev *devs;	/* back-end; front-end: NULL */
	struct virtq_drv *drvs;	/* front-end; back-end: NULL */

	/*
	 * For the queues that the application sets up. Polling a silent port touches little but
	 * these, so those of many ports lie close together, and none has a page of its own.
	 */
	struct vring_rxq *rxqs;	/* one a pair */
	struct vring_txq *txqs;
	uint8_t *poll_sets;	/* of the receive queues, then of the transmit queues: two each */

	int placed;		/* NUMA node of these and of the state of the rings */
	void *former[VRING_PORT_MOVES]; /* primary: as they were before, see vring_move.h */
};

/*
 * Vrings of port->vring_pairs and counters of port->pairs on a NUMA node. drv: the port drives its
 * rings. 0 or -ENOMEM, and then vring_port_free() is called as well.
 */
int vring_port_alloc(struct vring_port *port, bool drv, int numa);
void vring_port_free(struct vring_port *port);
/* One that there is for whom counts otherwise, and that no guest uses: not worth a word. */
static inline bool
vring_port_is_spare(const struct vring_port *port, unsigned int qid)
{
	return qid >= 2u * port->pairs && port->vring[qid].ring == NULL &&
	       port->vring[qid].cursor->broken == VIRTQ_OK;
}
/* "enabled", "disabled", "broken" or "stopped". Control thread. */
const char *vring_port_vring_state(const struct vring_port_vring *vring);
/*
 * Chains (packed rings: entries) of a ring that runs which a back-end has taken and not returned,
 * or a front-end offered and not got back. Control thread.
 */
uint32_t vring_port_in_flight(const struct vring_port_vring *vring);

#endif /* VRING_PORT_H */
