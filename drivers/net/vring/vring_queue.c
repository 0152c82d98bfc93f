/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Queues of the application, and the buffers a port has of its own.
 */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include <rte_errno.h>
#include <rte_malloc.h>

#include "vnet_isa.h"
#include "vring_compat.h"
#include "vring_hold.h"
#include "vring_log.h"
#include "vring_monitor.h"
#include "vring_publish.h"
#include "vring_qmap.h"
#include "vring_queue.h"
#include "vring_role.h"
#include "vring_rxtx.h"
#include "vring_stats.h"
#include "vnet_extbuf.h"

/* External buffers of a port: frames over a pool element that the application can hold. */
#define EXTBUF_COUNT 512
/* Bytes of an external buffer around its frame. */
#define EXTBUF_SPARE 256

/*
 * Pools of closed ports whose buffers the application still holds. A pool is freed when all of its
 * buffers are back and another pool is made or freed.
 */
static struct {
	pthread_mutex_t lock;
	unsigned int made;	/* for unique names */
	struct rte_mempool *pool[RTE_MAX_ETHPORTS];
} retired = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
};

/* Lock held. */
static void
free_retired(void)
{
	for (unsigned int i = 0; i < RTE_DIM(retired.pool); i++)
		if (retired.pool[i] != NULL && rte_mempool_full(retired.pool[i])) {
			rte_mempool_free(retired.pool[i]);
			retired.pool[i] = NULL;
		}
}

static void
retire_pool(struct vring_port *port, struct rte_mempool *pool)
{
	unsigned int i = 0;

	if (pool == NULL)
		return;
	pthread_mutex_lock(&retired.lock);
	free_retired();
	while (i < RTE_DIM(retired.pool) && retired.pool[i] != NULL)
		i++;
	if (rte_mempool_full(pool))
		rte_mempool_free(pool);
	else if (i < RTE_DIM(retired.pool))
		retired.pool[i] = pool;
	else
		VRING_LOG(WARNING, port->name, "pool %s is never freed: the application holds its "
			  "buffers and too many pools wait", pool->name);
	pthread_mutex_unlock(&retired.lock);
}

static void
pool_name(char *name, size_t size, const char *what)
{
	pthread_mutex_lock(&retired.lock);
	free_retired();
	snprintf(name, size, "vring_%s_%u", what, retired.made++);
	pthread_mutex_unlock(&retired.lock);
}

void
vring_queue_pools_free(struct vring_port *port)
{
	retire_pool(port, port->extbuf_pool);
	port->extbuf_pool = NULL;
}

static bool
rx_scatters(const struct vring_port *port)
{
	return vring_role_of(port)->rx_scatter(port);
}

static uint32_t
largest_frame(const struct vring_port *port)
{
	return port->args.tso ? UINT16_MAX : port->max_mtu + VRING_FRAME_OVERHEAD;
}

static struct rte_mempool *
create_extbuf_pool(const struct vring_port *port, int node)
{
	char name[RTE_MEMPOOL_NAMESIZE];

	pool_name(name, sizeof(name), "big");
	return vnet_extbuf_pool_create(name, EXTBUF_COUNT,
				       RTE_MIN(largest_frame(port) + EXTBUF_SPARE, UINT16_MAX),
				       node);
}

static void
make_extbuf_pool(struct vring_port *port, struct rte_mempool *pool)
{
	uint32_t room = rte_pktmbuf_data_room_size(pool);

	if (port->extbuf_pool != NULL || vring_role_of(port)->own_rings || !port->args.ext_buf ||
	    rx_scatters(port) || room >= RTE_PKTMBUF_HEADROOM + largest_frame(port))
		return;
	port->extbuf_pool = create_extbuf_pool(port, port->placed);
	if (port->extbuf_pool == NULL)
		VRING_LOG(WARNING, port->name, "no buffers for frames over %u bytes, which are "
			  "dropped (%s): more hugepages or larger mbufs would help",
			  room - RTE_PKTMBUF_HEADROOM, rte_strerror(rte_errno));
}

void
vring_queue_pools_move(struct vring_port *port, int node)
{
	const struct rte_eth_dev_data *data = port->dev->data;
	struct rte_mempool *former = port->extbuf_pool, *pool;

	if (former == NULL || former->socket_id == node)
		return;
	pool = create_extbuf_pool(port, node);
	if (pool == NULL)
		return; /* large packets go on crossing between nodes */
	for (unsigned int i = 0; i < data->nb_rx_queues; i++) {
		struct vring_rxq *rxq = data->rx_queues[i];

		if (rxq != NULL && rxq->rx.extbuf_pool != NULL)
			rxq->rx.extbuf_pool = pool;
	}
	port->extbuf_pool = pool;
	retire_pool(port, former);
}

/* What becomes of packets that a guest leaves to the port to cut. */
static uint32_t
merged_flags(const struct vring_port *port)
{
	const struct rte_eth_conf *conf = &port->dev->data->dev_conf;
	const bool sends = conf->txmode.offloads & RTE_ETH_TX_OFFLOAD_TCP_TSO;
	uint32_t flags = VNET_F_CUT_UDP; /* there is no offload that asks for them whole */

	/* A guest may have acknowledged it elsewhere; there are no buffers for packets so large. */
	if (!port->args.tso)
		return flags | VNET_F_CUT_TCP;
	if (conf->rxmode.offloads & RTE_ETH_RX_OFFLOAD_TCP_LRO)
		return flags;
	flags |= VNET_F_CUT_TCP;
	if (VRING_COMPAT_READS_TX_FLAGS && sends && port->args.legacy_ol == VRING_LEGACY_AUTO)
		flags |= VNET_F_LEGACY_SEG;
	return flags;
}

static bool
device_filters(const struct vring_port *port)
{
	return vring_role_of(port)->filters_vlans != NULL &&
	       vring_role_of(port)->filters_vlans(port);
}

uint32_t
vring_queue_rx_flags(const struct vring_port *port)
{
	uint64_t offloads = port->dev->data->dev_conf.rxmode.offloads;
	uint32_t flags = 0;

	if (port->args.stats)
		flags |= VNET_F_STATS;
	if (rx_scatters(port))
		flags |= VNET_F_SCATTER;
	if (port->args.csum == VRING_CSUM_PARTIAL)
		flags |= VNET_F_PARTIAL_CSUM;
	if (port->args.legacy_ol == VRING_LEGACY_YES)
		flags |= VNET_F_LEGACY_OL;
	if (!vring_role_of(port)->own_rings) /* elsewhere they come to those who ask for them */
		flags |= merged_flags(port);
	if (offloads & RTE_ETH_RX_OFFLOAD_VLAN_STRIP)
		flags |= VNET_F_VLAN_STRIP;
	if ((offloads & RTE_ETH_RX_OFFLOAD_VLAN_FILTER) && !device_filters(port))
		flags |= VNET_F_VLAN_FILTER;
	if (port->ptypes != 0)
		flags |= VNET_F_PTYPES;
	/* A front-end's device tells hashes, or there are none. */
	if ((offloads & RTE_ETH_RX_OFFLOAD_RSS_HASH) && !vring_role_of(port)->own_rings &&
	    port->hash.types != 0)
		flags |= VNET_F_HASH;
	return flags;
}

void
vring_queue_rx_mode(struct vring_rxq *rxq)
{
	rxq->rx.flags = vring_queue_rx_flags(rxq->q.port);
	rxq->rx.ptypes = rxq->q.port->ptypes;
	rxq->rx.hash = &rxq->q.port->hash;
	rxq->rx.vlan_ids = rxq->q.port->dev->data->vlan_filter_conf.ids;
}

size_t
vring_queue_sets_size(const struct vring_port *port)
{
	const size_t n = 2 * port->pairs * RTE_DIM(port->rxqs->q.poll_set);

	return n * vring_qmap_size(port->vring_pairs);
}

int
vring_queue_alloc_all(struct vring_port *port, int numa)
{
	port->rxqs = rte_zmalloc_socket("vring_rxqs", port->pairs * sizeof(*port->rxqs),
					RTE_CACHE_LINE_SIZE, numa);
	port->txqs = rte_zmalloc_socket("vring_txqs", port->pairs * sizeof(*port->txqs),
					RTE_CACHE_LINE_SIZE, numa);
	port->poll_sets = rte_zmalloc_socket("vring_sets", vring_queue_sets_size(port),
					     RTE_CACHE_LINE_SIZE, numa);
	return port->rxqs == NULL || port->txqs == NULL || port->poll_sets == NULL ? -ENOMEM : 0;
}

void
vring_queue_free_all(struct vring_port *port)
{
	rte_free(port->rxqs);
	rte_free(port->txqs);
	rte_free(port->poll_sets);
}

void
vring_queue_place_sets(struct vring_port *port, struct vring_queue *q, unsigned int index)
{
	const size_t size = vring_qmap_size(port->vring_pairs);
	uint8_t *set = port->poll_sets + RTE_DIM(q->poll_set) * index * size;

	memset(set, 0, RTE_DIM(q->poll_set) * size);
	for (unsigned int i = 0; i < RTE_DIM(q->poll_set); i++)
		q->poll_set[i] = (void *)(set + i * size);
}

/* A queue that is zeroed. */
static void
init_queue(struct vring_queue *q, struct vring_port *port, uint16_t id, uint16_t nb_desc,
	   unsigned int index)
{
	q->port = port;
	q->id = id;
	q->nb_desc = vring_role_of(port)->own_rings ? port->args.queue_size : nb_desc;
	rte_spinlock_init(&q->query_lock);
	vring_queue_place_sets(port, q, index);
}

static void
init_zero_copy(const struct vring_port *port, struct vring_rxq *rxq)
{
	if (!port->args.zero_copy ||
	    vnet_rxq_zero_copy(&rxq->rx, port->args.zero_copy_min) == 0)
		return;
	VRING_LOG(WARNING, port->name, "rx queue %u copies all packets: the mbufs of pool %s are "
		  "bound to buffers of their own", rxq->q.id, rxq->rx.pool->name);
}

/* Its elements may be taken, or put back, by one thread at a time. */
static bool
is_of_one_thread(const struct rte_mempool *pool)
{
	static const char *const ops[] = {"ring_sp_sc", "ring_sp_mc", "ring_mp_sc"};
	const char *name = rte_mempool_get_ops(pool->ops_index)->name;

	for (unsigned int i = 0; i < RTE_DIM(ops); i++)
		if (strcmp(name, ops[i]) == 0)
			return true;
	return pool->flags & (RTE_MEMPOOL_F_SP_PUT | RTE_MEMPOOL_F_SC_GET);
}

static bool
check_pool(const struct vring_port *port, uint16_t id, struct rte_mempool *pool)
{
	const struct vring_role *role = vring_role_of(port);

	if (role->takes_pool == NULL)
		return true;
	if (is_of_one_thread(pool)) {
		VRING_LOG(ERR, port->name, "rx queue %u: pool %s is for one thread at a time and "
			  "the control thread fills and empties rings, allowed is one for several "
			  "(ring_mp_mc)", id, pool->name);
		return false;
	}
	if (role->takes_pool(port, pool))
		return true;
	VRING_LOG(ERR, port->name, "rx queue %u: pool %s is not in DPDK's own memory, allowed is "
		  "one that a device can be given", id, pool->name);
	return false;
}

/* Frames that the port is configured for and the queue drops. */
static void
warn_of_drops(const struct vring_rxq *rxq)
{
	const struct vring_port *port = rxq->q.port;
	uint32_t frame = port->dev->data->mtu + RTE_ETHER_HDR_LEN;

	if (vring_role_of(port)->own_rings && !rx_scatters(port) && frame > rxq->rx.room)
		VRING_LOG(WARNING, port->name, "rx queue %u: elements of pool %s hold frames of up "
			  "to %u bytes, larger ones are dropped: RTE_ETH_RX_OFFLOAD_SCATTER or "
			  "larger mbufs would help", rxq->q.id, rxq->pool->name, rxq->rx.room);
}

int
vring_queue_rx_setup(struct rte_eth_dev *dev, uint16_t id, uint16_t nb_desc,
		     unsigned int socket, const struct rte_eth_rxconf *conf,
		     struct rte_mempool *pool)
{
	struct vring_port *port = dev->data->dev_private;
	struct vring_rxq *rxq = &port->rxqs[id];
	int rc;

	if (!check_pool(port, id, pool))
		return -EINVAL;
	memset(rxq, 0, sizeof(*rxq));
	init_queue(&rxq->q, port, id, nb_desc, id);
	rc = vnet_rxq_init(&rxq->rx, pool, dev->data->port_id, vring_queue_rx_flags(port));
	if (rc != 0) {
		VRING_LOG(ERR, port->name, "rx queue %u: elements of pool %s hold no packet, "
			  "allowed is a data room of %u bytes or more", id, pool->name,
			  RTE_PKTMBUF_HEADROOM + RTE_ETHER_MIN_LEN);
		return rc;
	}
	make_extbuf_pool(port, pool);
	if (!rx_scatters(port))
		rxq->rx.extbuf_pool = port->extbuf_pool;
	if (rxq->rx.flags & VNET_F_CUT_UDP) {
		rxq->cut = vnet_cut_new(port->placed);
		if (rxq->cut == NULL) {
			VRING_LOG(ERR, port->name, "rx queue %u: no memory", id);
			return -ENOMEM;
		}
	}
	vring_queue_rx_mode(rxq);
	init_zero_copy(port, rxq);
	rxq->q.deferred = conf->rx_deferred_start;
	rxq->conf = *conf;
	rxq->pool = pool;
	warn_of_drops(rxq);
	dev->data->rx_queues[id] = rxq;
	return 0;
}

int
vring_queue_tx_setup(struct rte_eth_dev *dev, uint16_t id, uint16_t nb_desc,
		     unsigned int socket, const struct rte_eth_txconf *conf)
{
	struct vring_port *port = dev->data->dev_private;
	struct vring_txq *txq = &port->txqs[id];

	memset(txq, 0, sizeof(*txq));
	init_queue(&txq->q, port, id, nb_desc, port->pairs + id);
	txq->tx.flags = port->args.stats ? VNET_F_STATS : 0;
	txq->tx.retries = port->args.tx_retries;
	txq->tx.extmem = &port->extmem;
	txq->tx.hash = &port->tx_hash;
	if (vring_devargs_hold(&port->args)) {
		txq->hold = vring_hold_new(port->placed);
		if (txq->hold == NULL) {
			VRING_LOG(ERR, port->name, "tx queue %u: no memory", id);
			return -ENOMEM;
		}
	}
	txq->q.deferred = conf->tx_deferred_start;
	txq->conf = *conf;
	dev->data->tx_queues[id] = txq;
	return 0;
}

/* A queue to release: ethdev's pointer to it, and where its counters are kept. */
struct release_call {
	void **queue;
	struct vring_stats_base *base;
	const struct vnet_stats *stats;
};

static int
release_in_ctrl(void *arg)
{
	const struct release_call *call = arg;

	/* In this order, so that no reader counts the queue twice. */
	*call->queue = NULL;
	vring_stats_keep(call->base, call->stats);
	return 0;
}

/*
 * The control thread goes through a port's queues whenever the peer does something. A queue is
 * therefore removed in that thread.
 */
static void
release_queue(struct vring_port *port, void **queue, struct vring_stats_base *base,
	      const struct vnet_stats *stats)
{
	struct release_call call = { queue, base, stats };

	evloop_call(port->loop, release_in_ctrl, &call);
}

void
vring_queue_rx_release(struct rte_eth_dev *dev, uint16_t id)
{
	struct vring_port *port = dev->data->dev_private;
	struct vring_rxq *rxq = dev->data->rx_queues[id];

	if (rxq == NULL)
		return;
	release_queue(port, &dev->data->rx_queues[id], &port->rx_base[id], &rxq->rx.stats);
	vring_monitor_release(rxq);
	vnet_cut_free(rxq->cut);
	rxq->cut = NULL;
}

void
vring_queue_tx_release(struct rte_eth_dev *dev, uint16_t id)
{
	struct vring_port *port = dev->data->dev_private;
	struct vring_txq *txq = dev->data->tx_queues[id];

	if (txq == NULL)
		return;
	release_queue(port, &dev->data->tx_queues[id], &port->tx_base[id], &txq->tx.stats);
	vring_hold_free(txq->hold);
	txq->hold = NULL;
}

struct switch_call {
	struct vring_queue *q;
	bool on;
};

static int
switch_in_ctrl(void *arg)
{
	const struct switch_call *call = arg;

	call->q->started = call->on;
	vring_publish(call->q->port);
	return 0;
}

static int
switch_queue(struct vring_queue *q, bool on, uint8_t *state)
{
	struct switch_call call = { q, on };
	int rc = evloop_call(q->port->loop, switch_in_ctrl, &call);

	*state = on ? RTE_ETH_QUEUE_STATE_STARTED : RTE_ETH_QUEUE_STATE_STOPPED;
	return rc;
}

int
vring_queue_rx_start(struct rte_eth_dev *dev, uint16_t id)
{
	return switch_queue(dev->data->rx_queues[id], true, &dev->data->rx_queue_state[id]);
}

void
vring_queue_rx_clear(struct rte_eth_dev *dev, uint16_t id)
{
	struct vring_rxq *rxq = dev->data->rx_queues[id];

	if (rxq == NULL)
		return;
	vnet_cut_clear(rxq->cut);
	vring_monitor_release(rxq);
}

int
vring_queue_rx_stop(struct rte_eth_dev *dev, uint16_t id)
{
	int rc = switch_queue(dev->data->rx_queues[id], false, &dev->data->rx_queue_state[id]);

	vring_queue_rx_clear(dev, id);
	return rc;
}

int
vring_queue_tx_start(struct rte_eth_dev *dev, uint16_t id)
{
	return switch_queue(dev->data->tx_queues[id], true, &dev->data->tx_queue_state[id]);
}

int
vring_queue_tx_stop(struct rte_eth_dev *dev, uint16_t id)
{
	return switch_queue(dev->data->tx_queues[id], false, &dev->data->tx_queue_state[id]);
}

void
vring_queue_rxq_info_get(struct rte_eth_dev *dev, uint16_t id, struct rte_eth_rxq_info *info)
{
	const struct vring_rxq *rxq = dev->data->rx_queues[id];

	info->mp = rxq->pool;
	info->conf = rxq->conf;
	info->conf.offloads |= dev->data->dev_conf.rxmode.offloads;
	info->scattered_rx = (rxq->rx.flags & VNET_F_SCATTER) != 0;
	info->nb_desc = rxq->q.nb_desc;
	info->rx_buf_size = RTE_MIN(rxq->rx.room, UINT16_MAX);
}

void
vring_queue_txq_info_get(struct rte_eth_dev *dev, uint16_t id, struct rte_eth_txq_info *info)
{
	const struct vring_txq *txq = dev->data->tx_queues[id];

	info->conf = txq->conf;
	info->conf.offloads |= dev->data->dev_conf.txmode.offloads;
	info->nb_desc = txq->q.nb_desc;
}

struct burst_mode_call {
	const struct vring_queue *q;
	struct rte_eth_burst_mode *mode;
};

static int
burst_mode_in_ctrl(void *arg)
{
	const struct burst_mode_call *call = arg;
	const struct vring_poll_set *set = call->q->published;
	char *info = call->mode->info;
	size_t room = sizeof(call->mode->info);

	if (set == NULL || set->mode == NULL)
		snprintf(info, room, "no ring");
	else
		snprintf(info, room, "%s%s, %s", set->mode,
			 set->n > 0 && set->entry[0].lock != NULL ? ", shared ring" : "",
			 vnet_isa()->name);
	return 0;
}

static int
get_burst_mode(const struct vring_queue *q, struct rte_eth_burst_mode *mode)
{
	struct burst_mode_call call = { q, mode };

	if (q == NULL)
		return -EINVAL;
	mode->flags = RTE_ETH_BURST_FLAG_PER_QUEUE;
	return evloop_call(q->port->loop, burst_mode_in_ctrl, &call);
}

int
vring_queue_rx_burst_mode_get(struct rte_eth_dev *dev, uint16_t id, struct rte_eth_burst_mode *mode)
{
	return get_burst_mode(dev->data->rx_queues[id], mode);
}

int
vring_queue_tx_burst_mode_get(struct rte_eth_dev *dev, uint16_t id, struct rte_eth_burst_mode *mode)
{
	return get_burst_mode(dev->data->tx_queues[id], mode);
}
