/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a front-end's port has besides its session (vhost_fe.h), and what the files vring_fe*.c know
 * of one another. All of it belongs to the port's own control thread unless something else is said.
 *
 * The thread takes nothing from EAL's heaps and gives nothing back there: whoever makes these grow
 * or shrink waits for it (see vring_fe_mem.c).
 */
#ifndef VRING_FE_PORT_H
#define VRING_FE_PORT_H

#include <pthread.h>

#include <rte_memzone.h>

#include "vhost_fe.h"
#include "vring_fe_region.h"
#include "vring_log.h"
#include "vring_port.h"

struct rte_tel_data;

/* The application's memory as the device has to know it. */
struct vring_fe_mem {
	pthread_mutex_t lock;		/* of the members down to `withdrawn` */
	pthread_cond_t served;
	struct vhost_region *region;	/* ascending, merged */
	uint32_t n;
	struct vnet_range external[VNET_EXTMEM_MAX]; /* of these: not DPDK's own */
	uint32_t nexternal;
	struct vring_ranges revoked;	/* registered, but taken back from the device */
	uint64_t wanted, done;		/* changes so far; of them known to the device */
	bool live;			/* the loop tells the device of changes */
	bool late;			/* it has not told of one in time, nor of any since */
	bool withdrawn;			/* what bursts that began before may still offer */
	bool registered;
	bool files;			/* the device maps files: vhost-user */
	uint32_t unshared;		/* pieces left out since no file is behind them */
	struct evloop_watch wake;		/* eventfd: `wanted` has moved */
};

struct vring_fe {
	struct vring_port *port;
	bool vdpa, net;		/* a device of the kernel: vhost-vdpa, vhost-net */
	bool mtu_given;		/* by the user or the application; theirs */
	struct vhost_fe *session;
	char last_end[VHOST_WHY];	/* why the last connection ended */
	const struct rte_memzone **zone; /* of each ring, then of the control queue */
	struct vring_fe_mem mem;
};

/* vring_fe_mem.c */
/* Whether the device can write to the buffers of a pool; any thread. */
bool vring_fe_mem_takes_pool(const struct vring_port *port, struct rte_mempool *pool);
/* Application's thread; see struct vring_role. */
int vring_fe_mem_moves(struct vring_port *port, const void *addr, size_t len, bool comes);
int vring_fe_mem_open(struct vring_fe *fe);	/* application's thread */
void vring_fe_mem_close(struct vring_fe *fe);	/* likewise, after vring_fe_mem_unwatch() */
int vring_fe_mem_watch(struct vring_fe *fe);
void vring_fe_mem_unwatch(struct vring_fe *fe);
/*
 * Give the device all memory; from then on the session is told of all changes. 0 or -errno, with
 * dev->why.
 */
int vring_fe_mem_give(struct vring_fe *fe, struct vhost_dev *dev);
/* No changes any more: whoever waits for them goes on. */
void vring_fe_mem_stop(struct vring_fe *fe);

/* vring_fe_ops.c */
const struct eth_dev_ops *vring_fe_ops(void);
bool vring_fe_ops_filters_vlans(const struct vring_port *port);
void vring_fe_ops_info(const struct vring_port *port, struct rte_eth_dev_info *info);

/* vring_fe_info.c */
void vring_fe_info_status(struct vring_port *port, struct rte_tel_data *d);
void vring_fe_info_memory(struct vring_port *port, struct rte_tel_data *d);
void vring_fe_info_dump(struct vring_port *port, FILE *f);
uint8_t vring_fe_info_device_status(const struct vring_port *port);

#endif /* VRING_FE_PORT_H */
