/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The port: what ethdev, the control thread and the bursts know of one another.
 *
 * Three kinds of state, by who may write it:
 *   configuration	set at probe, read by all
 *   control		touched in the control thread only (vring_ctrl_call() gets there)
 *   data path		the queues: written by the lcore that bursts, except their set, which is
 *			published through a gate
 *
 * The port lies in memory shared with secondary processes, which read counters from it and
 * follow no pointer marked "primary".
 */
#ifndef VRING_H
#define VRING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <ethdev_driver.h>
#include <rte_common.h>
#include <rte_log.h>
#include <rte_spinlock.h>

#include "vhost_be.h"
#include "evloop.h"
#include "virtq_rcu.h"
#include "virtq_ring.h"
#include "vnet.h"
#include "vnet_zc.h"
#include "vring_devargs.h"

/* Vrings of a port: 2i receives and 2i + 1 transmits, as the driver's side sees it. */
#define VRING_MAX_QIDS (2 * VRING_MAX_PAIRS)
/* MAC addresses of a port, its own included; only a vhost-vdpa device may filter by them. */
#define VRING_MAX_MACS 16
/* Largest frame taken from a guest unless mtu= asks for more; also OVS's limit. */
#define VRING_MAX_FRAME 9728

extern int vring_logtype;

/* One line to the user: level, the port's name, what is wrong and what would be right. */
#define VRING_LOG(level, name, fmt, ...) \
	rte_log(RTE_LOG_ ## level, vring_logtype, "%s: " fmt "\n", name, ## __VA_ARGS__)

struct vring_port;
struct vring_fe;
struct virtq_drv;

/* How vrings and queues meet, seen from one end of the connection. */
struct vring_queue_ops {
	uint8_t rx, tx;		/* vring 2i + rx is received from, 2i + tx is sent to */
	vnet_rx_burst (*rx_select)(const struct virtq_ring *ring, uint32_t flags,
				   const char **name);
	vnet_tx_burst (*tx_select)(const struct virtq_ring *ring, const char **name);
	/* rx: packets that wait; tx: entries that could be filled. 0..size, from any thread. */
	uint32_t (*rx_count)(const struct virtq_ring *ring, const struct virtq_vq *vq);
	uint32_t (*tx_count)(const struct virtq_ring *ring, const struct virtq_vq *vq);
	/* Notifications that were sent, and those that the peer did not want. */
	void (*notified)(const struct virtq_vq *vq, uint64_t *sent, uint64_t *suppressed);
	/* Free up to n packets that the peer is done with; NULL: they are freed when sent. */
	uint16_t (*tx_clean)(struct vnet_txq *txq, struct virtq_vq *vq,
			     const struct virtq_ring *ring, uint16_t n);
};

/* One entry of a set: a ring that an ethdev queue serves, or something that acts like one. */
struct vring_poll_entry {
	struct virtq_vq *vq;
	const struct virtq_ring *ring;
	union {
		vnet_rx_burst rx;
		vnet_tx_burst tx;
	};
	rte_spinlock_t *lock;	/* tx: taken because other queues serve this ring too; or NULL */
};

/*
 * What an ethdev queue works on. Immutable from its publication until the gate has been given
 * another one; a queue owns two and alternates.
 */
struct vring_poll_set {
	uint16_t n;
	uint16_t why;		/* tx, n == 0: enum vnet_drop that packets are counted under */
	const char *mode;	/* primary: instance of the first ring, static text */
	struct vring_poll_entry entry[];
};

/* What receive and transmit queues have in common. */
struct vring_queue {
	struct virtq_rcu gate;		/* the lcore that bursts */
	struct virtq_rcu query;	/* whoever asks how full the ring is, one at a time */
	rte_spinlock_t query_lock;
	uint16_t id;
	uint16_t nb_desc;		/* as the application asked; the rings are the guest's */
	bool deferred;			/* not started with the port */
	bool started;			/* control */
	uint8_t spare;			/* control: which of set[] is not published */
	struct vring_port *port;
	struct vring_poll_set *set[2];
	struct vring_poll_set *published;	/* control: NULL or one of set[] */
};

struct vring_rxq {
	struct vring_queue q;
	struct vnet_rxq rx;
	uint16_t turn;		/* ring that a burst begins with, where there are several */
	struct rte_eth_rxconf conf;
	struct rte_mempool *pool;
};

struct vring_txq {
	struct vring_queue q;
	struct vnet_txq tx;
	struct rte_eth_txconf conf;
};

/* A vring of the device. */
struct vring_port_vring {
	struct virtq_vq *vq;		/* cursors; always there */
	const struct virtq_ring *ring;	/* control: NULL while it does not run */
	rte_spinlock_t lock;		/* for queues that share the ring */
	/* Notifications at the last reset. */
	uint64_t calls_base, suppressed_base;
};

/* Counters of an ethdev queue that outlive the queue. */
struct vring_stats_base {
	struct vnet_stats past;	/* of queues that were released */
	struct vnet_stats base;	/* to subtract since the last reset */
};

/* What the control thread knows of the session; copied here for other threads and processes. */
struct vring_session {
	uint64_t connects, disconnects, messages, nacks, framing_errors;
};

struct vring_port {
	/* Configuration. */
	char name[RTE_ETH_NAME_MAX_LEN];
	struct vring_devargs args;
	uint16_t pairs;
	uint16_t max_mtu;	/* bytes */
	uint64_t offered;	/* device features */
	struct rte_eth_dev *dev;	/* primary */
	struct vring_ctrl *ctrl;	/* primary */
	struct evloop *loop;		/* primary: ctrl's */
	TAILQ_ENTRY(vring_port) next;	/* primary */

	/* Buffers; made at queue set-up, primary. */
	struct rte_mempool *big;	/* for frames over a pool element, or NULL */

	/* Control. */
	struct vhost_be *be;	/* back-end */
	struct vring_fe *fe;	/* front-end */
	bool open;		/* from the end of the probe to the beginning of the close */
	bool connected;
	bool carrier;		/* the peer has nothing against the link being up */
	bool started;		/* dev_start */
	bool admin_down;	/* dev_set_link_down */
	bool rarp_wanted;	/* the first receive queue has an announcement to deliver */
	uint64_t features, protocol_features; /* negotiated */
	uint16_t guest_mtu;	/* as the front-end told, 0: it did not */
	uint64_t refused_ns;	/* when it was logged last that a ring is over max-ring */
	struct evloop_timer rarp_watch;
	struct evloop_timer zc_watch;	/* zero-copy: armed while any ring has loans */
	uint64_t zc_logged_ns;	/* no log line about packets before */
	struct vring_session session_base;
	struct vring_port_vring slot[VRING_MAX_QIDS];

	/* Data path to control. */
	struct rte_ether_addr rarp_mac;	/* constant while it is published */
	uint32_t rarp_done;		/* set once by the lcore that delivered it */
	/* Control to data path: memory of the application's own that the device knows. */
	struct vnet_extmem given;

	/* Events for the application; see vring_event.c. */
	uint32_t events;

	/* Counters, readable by any process. */
	struct vring_session session;
	struct vring_stats_base *rx_tally, *tx_tally; /* one a pair */
	struct virtq_vq *vqs;
	struct virtq_drv *drvs;	/* front-end: instead */

	/*
	 * For the queues that the application sets up. Polling a silent port touches little but
	 * these, so those of many ports lie close together, and none has a page of its own.
	 */
	struct vring_rxq *rxqs;	/* one a pair */
	struct vring_txq *txqs;
	uint8_t *sets;		/* of the receive queues, then of the transmit queues: two each */
};

struct rte_tel_data;

/*
 * What a port does at its end of the connection. Where nothing is to be done an entry that says so
 * may be NULL.
 */
struct vring_role {
	const char *name;		/* "back-end", "front-end" */
	const char *firmware;		/* what the port calls itself there */
	const struct eth_dev_ops *(*ops)(void);
	bool own_ctrl;			/* a control thread for each port, which may wait there */
	const struct vring_queue_ops *sides;
	/* The application's thread. 0 or -errno, with one line in err. */
	int (*open)(struct vring_port *port, char *err, size_t errlen);
	void (*close)(struct vring_port *port);
	void (*info)(const struct vring_port *port, struct rte_eth_dev_info *info);
	/* Whether receive buffers may come from there; NULL: from anywhere. */
	bool (*takes_pool)(const struct vring_port *port, struct rte_mempool *pool);
	/*
	 * Memory that the application has registered with DPDK is for the device to use, or (comes:
	 * false) no longer. 0, or -ENOTSUP: the device cannot be given such. NULL: none has to be.
	 */
	int (*memory_moves)(struct vring_port *port, const void *addr, size_t len, bool comes);
	/* Control thread: the port has been started; is stopped, its rings are unpublished. */
	void (*start)(struct vring_port *port);	/* or NULL */
	void (*stop)(struct vring_port *port);	/* or NULL */
	/* Bring port->session up to date; any thread of the primary. */
	void (*count)(struct vring_port *port);
	/* Control thread: for telemetry, into a dictionary; for people. */
	void (*status)(struct vring_port *port, struct rte_tel_data *d);
	void (*memory)(struct vring_port *port, struct rte_tel_data *d);
	void (*dump)(struct vring_port *port, FILE *f);
};

/* Which end of the connection a port is; any process. */
const struct vring_role *vring_role_of(const struct vring_port *port);
const struct vring_queue_ops *vring_role_queue_ops(const struct vring_port *port);
/* Bring port->session up to date, as far as this process can. */
void vring_role_count(struct vring_port *port);

/* vring_ctrl.c: the control thread. */

/*
 * A control thread for the port: its own, or the one that all others share, which is started with
 * the first of them. args.ctrl_lcore: where it is pinned, UINT32_MAX: off the lcores. 0 or -errno.
 */
int vring_ctrl_get(struct vring_port *port);
/* Ends the thread with its last port. Not to be called in it. */
void vring_ctrl_put(struct vring_port *port);
/* Run fn(port) in the control thread, wait for what it returns. */
int vring_ctrl_call(struct vring_port *port, int (*fn)(void *port));

/* vring_qmap.c: which queue serves which ring. Plain functions of their arguments. */

/* Bytes of a set with room for every ring of `pairs` pairs and one entry more, whole lines. */
size_t vring_qmap_size(uint16_t pairs);
/* Whether a ring runs and may carry packets. */
bool vring_qmap_enabled(const struct vring_port_vring *slot);
extern const struct vring_queue_ops vring_be_queue_ops;
extern const struct vring_queue_ops vring_fe_queue_ops; /* vring_fe_queue.c */
/* The rings of receive queue i of n: every running vring 2j + rx with j % n == i. */
void vring_qmap_rx(const struct vring_queue_ops *sides, struct vring_port_vring *slot,
		   uint16_t pairs,
		   uint16_t i, uint16_t n, uint32_t flags, struct vring_poll_set *set);
/*
 * The ring of transmit queue i of n: with m enabled rings, the (i % m)-th; with a lock where
 * another queue has the same. None: `why` says what becomes of packets.
 */
void vring_qmap_tx(const struct vring_queue_ops *sides, struct vring_port_vring *slot,
		   uint16_t pairs,
		   uint16_t i, uint16_t n, enum vnet_drop why, struct vring_poll_set *set);
/* Whether a ring is in one set and not, or not in the same way, in the other. NULL: empty. */
bool vring_qmap_moved(const struct vring_poll_set *a, const struct vring_poll_set *b);
bool vring_qmap_same(const struct vring_poll_set *a, const struct vring_poll_set *b);

/* vring_publish.c: control thread. */

/* Bring every queue's set up to date with the rings, the port's state and the queues' flags. */
void vring_publish(struct vring_port *port);
/* Take everything from every queue; until vring_publish() gives it back. */
void vring_publish_withdraw(struct vring_port *port);
/* Link state from the same; tells the application when it changed. */
void vring_publish_link(struct vring_port *port);

/* vring_be.c: the back-end. */
extern const struct vring_role vring_be_role;

/* vring_be_zc.c: zero-copy; control thread. */
void vring_be_zc_open(struct vring_port *port);
/* All rings have ended. */
void vring_be_zc_close(struct vring_port *port);
/* A ring is about to get a run (NULL: to stop), which is not published yet. */
void vring_be_zc_begin(struct vring_port *port, uint16_t qid, const struct virtq_ring *ring);
/* It has been published; `old`, which still exists, is what the ring had before. */
void vring_be_zc_follow(struct vring_port *port, uint16_t qid, const struct virtq_ring *old);

/* vring_event.c: call-backs run in EAL's interrupt thread, never in the control thread. */
#define VRING_EVENT_LINK RTE_BIT32(0)
#define VRING_EVENT_QUEUE RTE_BIT32(1)
void vring_event_raise(struct vring_port *port, uint32_t events);
void vring_event_cancel(struct vring_port *port);

/* vring_rxtx.c: data path. */
uint16_t vring_rxtx_rx_burst(void *rxq, struct rte_mbuf **pkts, uint16_t n);
uint16_t vring_rxtx_tx_burst(void *txq, struct rte_mbuf **pkts, uint16_t n);
uint16_t vring_rxtx_tx_prepare(void *txq, struct rte_mbuf **pkts, uint16_t n);
/* A vnet_rx_burst that delivers the announcement once; vq and run are NULL. */
uint16_t vring_rxtx_rarp_burst(struct vnet_rxq *rx, struct virtq_vq *vq,
			       const struct virtq_ring *ring,
			       struct rte_mbuf **pkts, uint16_t n);
int vring_rxtx_tx_done_cleanup(void *txq, uint32_t n);
uint32_t vring_rxtx_rx_queue_count(void *rxq);
int vring_rxtx_rx_descriptor_status(void *rxq, uint16_t offset);
int vring_rxtx_tx_descriptor_status(void *txq, uint16_t offset);

/* vring_queue.c: set-up and release of queues and their buffers. */

/* Memory for the queues of port->pairs; 0 or -ENOMEM, and then to be freed as well. */
int vring_queue_alloc_all(struct vring_port *port, int numa);
void vring_queue_free_all(struct vring_port *port);
int vring_queue_rx_setup(struct rte_eth_dev *dev, uint16_t id, uint16_t nb_desc,
			 unsigned int socket, const struct rte_eth_rxconf *conf,
			 struct rte_mempool *pool);
int vring_queue_tx_setup(struct rte_eth_dev *dev, uint16_t id, uint16_t nb_desc,
			 unsigned int socket, const struct rte_eth_txconf *conf);
void vring_queue_rx_release(struct rte_eth_dev *dev, uint16_t id);
void vring_queue_tx_release(struct rte_eth_dev *dev, uint16_t id);
int vring_queue_rx_start(struct rte_eth_dev *dev, uint16_t id);
int vring_queue_rx_stop(struct rte_eth_dev *dev, uint16_t id);
int vring_queue_tx_start(struct rte_eth_dev *dev, uint16_t id);
int vring_queue_tx_stop(struct rte_eth_dev *dev, uint16_t id);
void vring_queue_rxq_info_get(struct rte_eth_dev *dev, uint16_t id, struct rte_eth_rxq_info *info);
void vring_queue_txq_info_get(struct rte_eth_dev *dev, uint16_t id, struct rte_eth_txq_info *info);
int vring_queue_rx_burst_mode_get(struct rte_eth_dev *dev, uint16_t id,
				  struct rte_eth_burst_mode *mode);
int vring_queue_tx_burst_mode_get(struct rte_eth_dev *dev, uint16_t id,
				  struct rte_eth_burst_mode *mode);
uint32_t vring_queue_rx_flags(const struct vring_port *port);
/* Free the port's pools, or keep those that the application still holds buffers of for later. */
void vring_queue_pools_free(struct vring_port *port);

/* vring_port.c: start, stop, link, addresses, capabilities. */
extern const struct eth_dev_ops vring_ethdev_ops;
const struct eth_dev_ops *vring_be_eth_ops(void);
/* What a secondary process may call. */
extern const struct eth_dev_ops vring_ethdev_secondary_ops;
/* What the probe allocated for rings, queues and their counters. */
void vring_port_free(struct vring_port *port);
int vring_ethdev_close(struct rte_eth_dev *dev);

/* vring_stats.c */
int vring_stats_get(struct rte_eth_dev *dev, struct rte_eth_stats *stats);
int vring_stats_reset(struct rte_eth_dev *dev);
/* vring_xstats.c */
int vring_xstats_get(struct rte_eth_dev *dev, struct rte_eth_xstat *xstats, unsigned int n);
int vring_xstats_get_by_id(struct rte_eth_dev *dev, const uint64_t *ids, uint64_t *values,
			   unsigned int n);
int vring_xstats_get_names(struct rte_eth_dev *dev, struct rte_eth_xstat_name *names,
			   unsigned int n);
int vring_xstats_get_names_by_id(struct rte_eth_dev *dev, const uint64_t *ids,
				 struct rte_eth_xstat_name *names, unsigned int n);
/* Every counter of receive or transmit queue `id`, a pair's of the port, in the order of xstats. */
typedef void (*vring_xstats_fn)(void *ctx, const char *name, uint64_t value);
void vring_xstats_each(const struct rte_eth_dev *dev, bool tx, uint16_t id, vring_xstats_fn each,
		       void *ctx);
/* Totals of one queue since the last reset, the queues it had before included. */
void vring_stats_rxq(const struct rte_eth_dev *dev, uint16_t id, struct vnet_stats *out);
void vring_stats_txq(const struct rte_eth_dev *dev, uint16_t id, struct vnet_stats *out);
/* What a released queue had counted stays in the port's tally. */
void vring_stats_keep(struct vring_stats_base *tally, const struct vnet_stats *live);
/* Notifications of the rings that queue `id` of `n` serves. */
void vring_stats_calls(const struct vring_port *port, bool tx, uint16_t id, uint16_t n,
		       uint64_t *calls, uint64_t *suppressed);

/* vring_telemetry.c: the list of ports, and what is told of them. */
/* -EEXIST: another port, whose name is put into other[RTE_ETH_NAME_MAX_LEN], has this iface. */
int vring_registry_add(struct vring_port *port, char *other);
void vring_registry_remove(struct vring_port *port);
/* Whether the port may be asked: its probe is over, its close has not begun. */
void vring_registry_show(struct vring_port *port, bool open);
int vring_dump_priv(struct rte_eth_dev *dev, FILE *file);

#endif /* VRING_H */
