/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between the front-end's session and the port: its memory, its rings that come and go, the state
 * of the connection. The session says in vhost_fe_config.h which thread calls what.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_arp.h>
#include <rte_string_fns.h>

#include "vnet_drv.h"
#include "vring_fe.h"
#include "vring_fe_port.h"
#include "vring_fe_queue.h"
#include "vring_publish.h"
#include "vring_rxmode.h"
#include "vring_rxtx.h"
#include "vring_trace.h"

/* This thread alone writes; whoever asks for statistics reads. */
static void
count_one(uint64_t *counter)
{
	__atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

static void *
fe_ring_alloc(void *ctx, uint16_t qid, uint64_t bytes)
{
	struct vring_fe *fe = ctx;
	const struct rte_eth_dev_data *data = fe->port->dev->data;
	char name[RTE_MEMZONE_NAMESIZE];

	if (qid == 2 * fe->port->pairs)
		snprintf(name, sizeof(name), "vring_%u_cvq", data->port_id);
	else
		snprintf(name, sizeof(name), "vring_%u_%u", data->port_id, qid);
	fe->zone[qid] = rte_memzone_reserve_aligned(name, bytes, data->numa_node, 0, 4096);
	return fe->zone[qid] != NULL ? fe->zone[qid]->addr : NULL;
}

static void
fe_ring_free(void *ctx, uint16_t qid)
{
	struct vring_fe *fe = ctx;

	rte_memzone_free(fe->zone[qid]);
	fe->zone[qid] = NULL;
}

/* As the device is given all memory: IOVA = virtual address. */
static uint64_t
fe_ring_iova(void *ctx, const void *addr)
{
	return (uintptr_t)addr;
}

static int
fe_mem_give(void *ctx, struct vhost_dev *dev)
{
	return vring_fe_mem_give(ctx, dev);
}

static void
fe_mem_stop(void *ctx)
{
	vring_fe_mem_stop(ctx);
}

static void
fe_limits(void *ctx, const struct vhost_fe_limits *limits)
{
	struct vring_fe *fe = ctx;
	struct vring_port *port = fe->port;

	if (limits->max_pairs < port->pairs)
		VRING_LOG(NOTICE, port->name, "the %s has %u queue pairs, fewer than queues=%u",
			  vhost_fe_peer(fe->session), limits->max_pairs, port->pairs);
	if (!port->args.speed_given && limits->speed != 0)
		port->args.speed = limits->speed;
	if (port->started)
		port->dev->data->dev_link.link_speed = port->args.speed;
	port->offered = limits->offered;
	port->protocol_features = limits->protocol;
	port->guest_mtu = limits->mtu;
}

/* Receive offloads that the application asks for, as the features that bring them. */
static uint64_t
wanted_offloads(uint64_t rx)
{
	if (rx & RTE_ETH_RX_OFFLOAD_TCP_LRO)
		return VHOST_FE_GUEST_OFFLOADS;
	return rx & (RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM) ?
	       RTE_BIT64(VIRTIO_NET_F_GUEST_CSUM) : 0;
}

static void
fe_wants(void *ctx, struct vhost_fe_wants *wants)
{
	const struct vring_fe *fe = ctx;
	const struct rte_eth_dev_data *data = fe->port->dev->data;
	const struct rte_eth_rxmode *rxmode = &data->dev_conf.rxmode;

	*wants = (struct vhost_fe_wants){
		.rx_queues = data->nb_rx_queues,
		.tx_queues = data->nb_tx_queues,
		.guest_offloads = wanted_offloads(rxmode->offloads),
		.vlan_filter = rxmode->offloads & RTE_ETH_RX_OFFLOAD_VLAN_FILTER,
		.rss = rxmode->mq_mode & RTE_ETH_MQ_RX_RSS_FLAG,
		.hash_report = rxmode->offloads & RTE_ETH_RX_OFFLOAD_RSS_HASH,
	};
}

static void
fe_features(void *ctx, uint64_t features)
{
	struct vring_fe *fe = ctx;
	struct vring_port *port = fe->port;

	if (features != 0 && port->args.packed_vq && !(features & RTE_BIT64(VIRTIO_F_RING_PACKED)))
		VRING_LOG(NOTICE, port->name, "packed_vq=1: the %s has split rings only",
			  vhost_fe_peer(fe->session));
	port->features = features;
	vring_rxmode_update(port);
	vring_trace_features(port->dev->data->port_id, features, port->protocol_features);
}

static void
fe_mac(void *ctx, const uint8_t mac[6])
{
	const struct vring_fe *fe = ctx;

	memcpy(fe->port->dev->data->mac_addrs[0].addr_bytes, mac, RTE_ETHER_ADDR_LEN);
}

/* Receive buffers come from the queue that is going to take the packets. */
static void
fe_fill(void *ctx, uint16_t qid, struct virtq_drv *drv, const struct virtq_ring *ring)
{
	const struct vring_fe *fe = ctx;
	const struct rte_eth_dev_data *data = fe->port->dev->data;
	struct vring_rxq *rxq;

	if (data->nb_rx_queues == 0)
		return;
	rxq = data->rx_queues[qid / 2 % data->nb_rx_queues];
	if (vnet_drv_rx_fill(&rxq->rx, drv, ring) == 0)
		VRING_LOG(WARNING, fe->port->name, "vring %u has no buffers: pool %s is empty, a "
			  "larger one would help", qid, rxq->pool->name);
}

static void
fe_drain(void *ctx, uint16_t qid, struct virtq_drv *drv, const struct virtq_ring *ring)
{
	vnet_drv_drain(drv, ring->size);
}

/* Queues report to the application what their rings have. */
static void
set_queue_sizes(struct vring_port *port, const struct virtq_ring *const *rings)
{
	const struct rte_eth_dev_data *data = port->dev->data;
	uint16_t pairs = 0;

	while (pairs < port->pairs && rings[2 * pairs] != NULL)
		pairs++;
	for (unsigned int i = 0; pairs > 0 && i < data->nb_rx_queues; i++) {
		struct vring_rxq *rxq = data->rx_queues[i];

		rxq->q.nb_desc = rings[2 * (i % pairs)]->size;
	}
	for (unsigned int i = 0; pairs > 0 && i < data->nb_tx_queues; i++) {
		struct vring_txq *txq = data->tx_queues[i];

		txq->q.nb_desc = rings[2 * (i % pairs) + 1]->size;
	}
}

static void
fe_publish(void *ctx, const struct virtq_ring *const *rings, uint16_t n)
{
	struct vring_fe *fe = ctx;

	for (uint16_t qid = 0; qid < n; qid++) {
		vring_publish_trace(fe->port, qid, rings[qid]);
		fe->port->vring[qid].ring = rings[qid];
	}
	set_queue_sizes(fe->port, rings);
	vring_publish(fe->port);
}

/* Sent between two bursts of the application. */
static void
fe_announce(void *ctx, const uint8_t mac[6], struct virtq_drv *drv, const struct virtq_ring *ring)
{
	const struct vring_fe *fe = ctx;
	const struct rte_eth_dev_data *data = fe->port->dev->data;
	struct vnet_txq txq = { .flags = 0 };
	struct rte_ether_addr addr;
	struct vring_rxq *rxq;
	struct rte_mbuf *m;

	if (data->nb_rx_queues == 0)
		return;
	rxq = data->rx_queues[0];
	memcpy(addr.addr_bytes, mac, sizeof(addr.addr_bytes));
	m = rte_net_make_rarp_packet(rxq->pool, &addr);
	if (m == NULL)
		return;
	vring_publish_withdraw(fe->port);
	if (vnet_drv_tx_select(ring, NULL)(&txq, &drv->cursor, ring, &m, 1) == 0)
		rte_pktmbuf_free(m);
	vring_publish(fe->port);
}

/* Attempts that fail from here on have reasons of their own. */
static void
note_end(struct vring_fe *fe)
{
	struct vhost_fe_info info;

	vhost_fe_get_info(fe->session, &info);
	vring_trace_disconnect(fe->port->dev->data->port_id, info.why);
	rte_strscpy(fe->last_end, info.why, sizeof(fe->last_end));
	fe->port->disconnected_ns = evloop_now_ns();
}

static void
fe_connected(void *ctx, bool up)
{
	struct vring_fe *fe = ctx;
	struct vring_port *port = fe->port;

	if (up) {
		port->connected = true;
		count_one(&port->session.connects);
		vring_trace_connect(port->dev->data->port_id, port->session.connects);
		return;
	}
	if (port->connected) {
		count_one(&port->session.disconnects);
		note_end(fe);
	}
	port->connected = false;
	port->carrier = false;
	vring_publish(port);
	vring_publish_link(port);
}

static void
fe_link(void *ctx, bool carrier)
{
	struct vring_fe *fe = ctx;

	fe->port->carrier = carrier;
	vring_publish_link(fe->port);
}

static void
fe_log(void *ctx, enum vhost_log_level level, const char *text)
{
	const struct vring_fe *fe = ctx;

	vring_log_session(fe->port->name, level, text);
}

static const struct vhost_fe_ops fe_session_ops = {
	.ring_alloc = fe_ring_alloc,
	.ring_free = fe_ring_free,
	.ring_iova = fe_ring_iova,
	.mem_give = fe_mem_give,
	.mem_stop = fe_mem_stop,
	.limits = fe_limits,
	.wants = fe_wants,
	.features = fe_features,
	.mac = fe_mac,
	.fill = fe_fill,
	.drain = fe_drain,
	.publish = fe_publish,
	.announce = fe_announce,
	.connected = fe_connected,
	.link = fe_link,
	.log = fe_log,
};

static void
front_start(struct vring_port *port)
{
	port->dev->data->dev_link.link_speed = port->args.speed;
	vhost_fe_start(port->fe->session);
}

static void
front_hurry(struct vring_port *port)
{
	vhost_fe_hurry(port->fe->session);
}

static void
front_stop(struct vring_port *port)
{
	vhost_fe_stop(port->fe->session);
}

struct fe_open_call {
	struct vring_fe *fe;
	char *err;
	size_t errlen;
};

static int
open_in_ctrl(void *arg)
{
	const struct fe_open_call *call = arg;
	int rc = vring_fe_mem_watch(call->fe);

	if (rc != 0) {
		snprintf(call->err, call->errlen, "eventfd: %s", strerror(-rc));
		return rc;
	}
	return vhost_fe_open(call->fe->session, call->err, call->errlen);
}

static int
close_in_ctrl(void *arg)
{
	struct vring_fe *fe = arg;

	if (fe->session != NULL)
		vhost_fe_close(fe->session);
	fe->port->connected = false;
	vring_fe_mem_unwatch(fe);
	return 0;
}

static void
release_fe(struct vring_fe *fe)
{
	vring_fe_mem_close(fe);
	vhost_fe_free(fe->session);
	fe->port->fe = NULL;
	free(fe->zone);
	free(fe);
}

static int
make_session(struct vring_fe *fe)
{
	struct vring_port *port = fe->port;
	const struct vring_devargs *args = &port->args;
	struct vhost_fe_config cfg = {
		.path = args->path,
		.vdpa = fe->vdpa,
		.tap = fe->net ? args->ifname : NULL,
		.server = args->server,
		.reconnect_ms = args->reconnect_ms,
		.sock_mode = args->sock_mode,
		.sock_gid = args->sock_gid,
		.pairs = port->pairs,
		.queue_size = args->queue_size,
		.features = vring_devargs_wanted(args, VNET_DRV_FEATURES),
		.mtu = args->mtu,
		.mac_given = !rte_is_zero_ether_addr(&args->mac),
		.promisc = port->dev->data->promiscuous,
		.allmulti = port->dev->data->all_multicast,
		.dirty_log = args->dirty_log,
		.iotlb_pages = args->iommu_pages,
		.drv = port->drvs,
		.ops = &fe_session_ops,
		.ctx = fe,
		.loop = port->loop,
	};

	memcpy(cfg.mac, port->dev->data->mac_addrs[0].addr_bytes, sizeof(cfg.mac));
	fe->zone = calloc(2u * port->pairs + 1, sizeof(*fe->zone));
	return fe->zone == NULL ? -ENOMEM : vhost_fe_new(&cfg, &fe->session);
}

static int
front_open(struct vring_port *port, char *err, size_t errlen)
{
	struct vring_fe *fe = calloc(1, sizeof(*fe));
	struct fe_open_call call = { fe, err, errlen };
	int rc;

	if (fe == NULL) {
		snprintf(err, errlen, "no memory");
		return -ENOMEM;
	}
	port->fe = fe;
	fe->port = port;
	fe->vdpa = vring_devargs_vdpa(&port->args);
	fe->net = vring_devargs_net(&port->args);
	fe->mtu_given = port->args.mtu != 0;
	rc = vring_fe_mem_open(fe);
	if (rc == 0)
		rc = make_session(fe);
	if (rc != 0)
		snprintf(err, errlen, "%u queue pairs of %u entries: %s", port->pairs,
			 port->args.queue_size, strerror(-rc));
	else
		rc = evloop_call(port->loop, open_in_ctrl, &call);
	if (rc != 0) {
		evloop_call(port->loop, close_in_ctrl, fe);
		release_fe(fe);
	}
	return rc;
}

static void
front_close(struct vring_port *port)
{
	evloop_call(port->loop, close_in_ctrl, port->fe);
	release_fe(port->fe);
}

/* Sessions are counted where they happen. */
static void
front_count(struct vring_port *port)
{
}

/*
 * The port's buffers are whole mbufs: only larger packets are chained. An application that asks for
 * packets merged from several wants those, and so does a user who writes mrg_rxbuf=1 as for
 * net_virtio_user.
 */
static bool
front_rx_scatter(const struct vring_port *port)
{
	return port->args.mrg_rxbuf == 1 ||
	       (port->dev->data->dev_conf.rxmode.offloads &
		(RTE_ETH_RX_OFFLOAD_SCATTER | RTE_ETH_RX_OFFLOAD_TCP_LRO));
}

const struct vring_role vring_fe_role = {
	.name = "front-end",
	.firmware = "virtio 1.2 driver",
	.ops = vring_fe_ops,
	.own_ctrl = true,
	.own_rings = true,
	.queue_ops = &vring_fe_queue_ops,
	.open = front_open,
	.close = front_close,
	.info = vring_fe_ops_info,
	.rx_scatter = front_rx_scatter,
	.filters_vlans = vring_fe_ops_filters_vlans,
	.takes_pool = vring_fe_mem_takes_pool,
	.memory_moves = vring_fe_mem_moves,
	.hurry = front_hurry,
	.start = front_start,
	.stop = front_stop,
	.count = front_count,
	.status = vring_fe_info_status,
	.memory = vring_fe_info_memory,
	.dump = vring_fe_info_dump,
	.device_status = vring_fe_info_device_status,
};
