/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a port does at its end of the connection. The driver's common files call a role through
 * this table and include nothing of it; vring_probe.c, which knows both, registers them.
 */
#ifndef VRING_ROLE_H
#define VRING_ROLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "vnet.h"
#include "vring_port.h"

struct rte_tel_data;

/* Where it shows that a ring has something to receive, for who watches the address. */
struct vring_word {
	volatile void *addr;
	uint8_t size;		/* bytes */
	uint64_t mask, value;	/* of these bits */
	bool equal;		/* there is something when they have this value; false: another */
};

/*
 * Queue operations: the vrings that ethdev queues receive from and send to, seen from one end of
 * the connection, and the functions for them.
 */
struct vring_queue_ops {
	uint8_t rx, tx;		/* vring 2i + rx is received from, 2i + tx is sent to */
	vnet_rx_burst (*rx_select)(const struct virtq_ring *ring, uint32_t flags,
				   const char **name);
	vnet_tx_burst (*tx_select)(const struct virtq_ring *ring, const char **name);
	/* rx: packets that wait; tx: entries that could be filled. 0..size, from any thread. */
	uint32_t (*rx_count)(const struct virtq_ring *ring, const struct virtq_cursor *cursor);
	uint32_t (*tx_count)(const struct virtq_ring *ring, const struct virtq_cursor *cursor);
	/*
	 * rx: have the peer notify ring->wakefd with the next packet (on), or not. False: there is
	 * something to do already. Not beside a burst.
	 */
	bool (*rx_wake)(const struct virtq_ring *ring, const struct virtq_cursor *cursor, bool on);
	/* rx: the peer may be waiting for more buffers; NULL: it never does. Not beside a burst. */
	bool (*rx_starves)(const struct vnet_rxq *rxq, const struct virtq_ring *ring,
			   const struct virtq_cursor *cursor);
	/* rx: false: there is something to do already. Not beside a burst. */
	bool (*rx_word)(const struct virtq_ring *ring, const struct virtq_cursor *cursor,
			struct vring_word *word);
	/* tx: what the peer has made room for since, and no burst has used. */
	uint32_t (*tx_room)(const struct virtq_ring *ring, const struct virtq_cursor *cursor);
	struct vring_notified (*notified)(const struct virtq_cursor *cursor);
	/* Free up to n packets that the peer is done with; NULL: they are freed when sent. */
	uint16_t (*tx_clean)(struct vnet_txq *txq, struct virtq_cursor *cursor,
			     const struct virtq_ring *ring, uint16_t n);
};

/* An entry is never NULL, unless its comment says what NULL means. */
struct vring_role {
	const char *name;		/* "back-end", "front-end" */
	const char *firmware;		/* what the port calls itself there */
	const struct eth_dev_ops *(*ops)(void);
	bool own_ctrl;			/* a control thread for each port, which may wait there */
	/*
	 * The rings are the port's: of queue_size= entries, and the peer writes to the
	 * application's own mbufs. Otherwise they are the peer's, and packets are copied.
	 */
	bool own_rings;
	const struct vring_queue_ops *queue_ops;
	/* The application's thread. 0 or -errno, with one line in err. */
	int (*open)(struct vring_port *port, char *err, size_t errlen);
	void (*close)(struct vring_port *port);
	void (*info)(const struct vring_port *port, struct rte_eth_dev_info *info);
	/* Whether packets may be chains of mbufs, as configured. */
	bool (*rx_scatter)(const struct vring_port *port);
	/* Whether the device drops frames of VLANs that the application does not want; NULL: no. */
	bool (*filters_vlans)(const struct vring_port *port);
	/* Whether receive buffers may come from there; NULL: from anywhere. */
	bool (*takes_pool)(const struct vring_port *port, struct rte_mempool *pool);
	/*
	 * The device may use this memory, which the application has registered with DPDK; comes:
	 * false: it may not any more. 0, or -ENOTSUP: the device cannot use such memory. NULL: the
	 * device needs no access to the application's memory.
	 */
	int (*memory_moves)(struct vring_port *port, const void *addr, size_t len, bool comes);
	/*
	 * The application's thread is about to wait for the control thread to stop or close the
	 * port: what that waits for is cut short. NULL: it never waits.
	 */
	void (*hurry)(struct vring_port *port);
	/*
	 * Control thread, no burst holds a ring: the state of the rings is about to move in memory,
	 * see vring_move.h, and has. NULL: it never does.
	 */
	void (*moving)(struct vring_port *port);
	void (*moved)(struct vring_port *port);
	/* Control thread: the port has been started. NULL: nothing to do. */
	void (*start)(struct vring_port *port);
	/* Control thread: the port is stopped, its rings are withdrawn. NULL: nothing to do. */
	void (*stop)(struct vring_port *port);
	/* Bring port->session up to date; any thread of the primary. */
	void (*count)(struct vring_port *port);
	/* Control thread: for telemetry, into a dictionary; for people. */
	void (*status)(struct vring_port *port, struct rte_tel_data *d);
	void (*memory)(struct vring_port *port, struct rte_tel_data *d);
	void (*dump)(struct vring_port *port, FILE *f);
	/* Control thread: device status as the driver has written it, VIRTIO 1.2, 2.1. */
	uint8_t (*device_status)(const struct vring_port *port);
};

/*
 * Before any port is probed. The table is each process's own, since a secondary process has the
 * roles at other addresses than the primary.
 */
void vring_role_register(enum vring_role_id id, const struct vring_role *role);
/* Any process. */
const struct vring_role *vring_role_of(const struct vring_port *port);
const struct vring_queue_ops *vring_role_queue_ops(const struct vring_port *port);
/* Bring port->session up to date, as far as this process can. */
void vring_role_count(struct vring_port *port);
/* Packets, or buffers to fill, that wait in a ring that runs. Control thread. */
uint32_t vring_role_vring_waiting(const struct vring_port *port, unsigned int qid);

#endif /* VRING_ROLE_H */
