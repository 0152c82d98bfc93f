/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between the vhost-user session and the port: rings that come and go, announcements, the state
 * of the connection. All of it happens in the control thread.
 */

#include <errno.h>
#include <string.h>

#include "vring_info.h"

/* How often it is asked whether an announcement was delivered. */
#define WATCH_MS 200

/* A ring is offered again whenever anything of it changes, as often as its peer likes. */
static void
tell_refused(struct vring_port *port, const struct virtq_ring *ring)
{
	const uint64_t now = evloop_now_ns();

	if (port->refused_ns != 0 && now - port->refused_ns < 1000000000)
		return;
	port->refused_ns = now;
	VRING_LOG(WARNING, port->name, "vring %u has %u entries and is not served: "
		  "allowed are %u, see max-ring=", ring->qid, ring->size, port->args.max_ring);
}

static const struct virtq_ring *
admit(struct vring_port *port, const struct virtq_ring *ring)
{
	if (ring == NULL || ring->size <= port->args.max_ring)
		return ring;
	tell_refused(port, ring);
	return NULL;
}

static void
set_run(struct vring_port *port, uint16_t qid, const struct virtq_ring *ring)
{
	struct vring_port_vring *slot = &port->slot[qid];
	bool was = slot->ring != NULL && slot->ring->enabled;

	ring = admit(port, ring);
	vring_be_zc_begin(port, qid, ring);
	slot->ring = ring;
	if (was != (slot->ring != NULL && slot->ring->enabled))
		vring_event_raise(port, VRING_EVENT_QUEUE);
}

static void
refresh(struct vring_port *port)
{
	vring_publish(port);
	vring_publish_link(port);
}

static void
ring_publish(void *ctx, uint16_t qid, const struct virtq_ring *ring)
{
	struct vring_port *port = ctx;
	const struct virtq_ring *old = port->slot[qid].ring;

	set_run(port, qid, ring);
	refresh(port);
	vring_be_zc_follow(port, qid, old);
}

static void
rings_publish(void *ctx, const struct virtq_ring *const *rings, uint16_t n)
{
	const struct virtq_ring *old[VRING_MAX_QIDS];
	struct vring_port *port = ctx;
	uint16_t qid;

	for (qid = 0; qid < n; qid++) {
		old[qid] = port->slot[qid].ring;
		set_run(port, qid, rings[qid]);
	}
	refresh(port);
	for (qid = 0; qid < n; qid++)
		vring_be_zc_follow(port, qid, old[qid]);
}

/* Was the announcement delivered? Then bursts need not ask for it any more. */
static void
watch_announcement(struct evloop_timer *timer)
{
	struct vring_port *port = timer->owner;

	if (!__atomic_load_n(&port->rarp_done, __ATOMIC_RELAXED)) {
		evloop_timer_set(port->loop, timer, WATCH_MS);
		return;
	}
	port->rarp_wanted = false;
	vring_publish(port);
}

static void
drop_announcement(struct vring_port *port)
{
	evloop_timer_cancel(&port->rarp_watch);
	port->rarp_wanted = false;
}

static void
connected(void *ctx, bool up, const char *why)
{
	struct vring_port *port = ctx;

	port->connected = up;
	if (!up) {
		drop_announcement(port);
		port->guest_mtu = 0;
	}
	refresh(port);
}

static void
features(void *ctx, uint64_t device, uint64_t protocol)
{
	struct vring_port *port = ctx;

	port->features = device;
	port->protocol_features = protocol;
}

static int
set_mtu(void *ctx, uint16_t mtu)
{
	struct vring_port *port = ctx;

	port->guest_mtu = mtu;
	VRING_LOG(INFO, port->name, "the guest's MTU is %u", mtu);
	return 0;
}

static void
rarp(void *ctx, const uint8_t mac[6])
{
	struct vring_port *port = ctx;

	/* Taken back first, so that the address changes while no burst reads it. */
	drop_announcement(port);
	vring_publish(port);
	memcpy(port->rarp_mac.addr_bytes, mac, RTE_ETHER_ADDR_LEN);
	port->rarp_done = 0;
	port->rarp_wanted = true;
	vring_publish(port);
	evloop_timer_set(port->loop, &port->rarp_watch, WATCH_MS);
}

static void
log_line(void *ctx, enum vhost_log_level level, const char *text)
{
	static const uint32_t levels[] = {
		[VHOST_LOG_ERR] = RTE_LOG_ERR,
		[VHOST_LOG_WARNING] = RTE_LOG_WARNING,
		[VHOST_LOG_NOTICE] = RTE_LOG_NOTICE,
		[VHOST_LOG_INFO] = RTE_LOG_INFO,
		[VHOST_LOG_DEBUG] = RTE_LOG_DEBUG,
	};
	struct vring_port *port = ctx;

	rte_log(levels[level], vring_logtype, "%s: %s\n", port->name, text);
}

static const struct vhost_be_ops session_ops = {
	.ring_publish = ring_publish,
	.rings_publish = rings_publish,
	.connected = connected,
	.features = features,
	.set_mtu = set_mtu,
	.rarp = rarp,
	.log = log_line,
};

struct open_call {
	struct vring_port *port;
	char *err;
	size_t errlen;
};

static int
open_session(void *arg)
{
	const struct open_call *call = arg;
	struct vring_port *port = call->port;
	const struct vring_devargs *args = &port->args;
	struct virtq_vq *vq[VRING_MAX_QIDS];
	struct vhost_be_config cfg = {
		.path = args->iface,
		.client = args->client,
		.reconnect_ms = args->reconnect_ms,
		.sock_mode = args->sock_mode,
		.sock_gid = args->sock_gid,
		.features = port->offered,
		.protocol_features = UINT64_MAX,
		.max_pairs = port->pairs,
		.mem_slots = VIRTQ_MEM_MAX_REGIONS,
		.vq = vq,
		.ops = &session_ops,
		.ctx = port,
		.loop = port->loop,
	};
	unsigned int qid;

	for (qid = 0; qid < 2u * port->pairs; qid++)
		vq[qid] = port->slot[qid].vq;
	port->carrier = true;
	port->rarp_watch.expired = watch_announcement;
	port->rarp_watch.owner = port;
	vring_be_zc_open(port);
	return vhost_be_new(&cfg, &port->be, call->err, call->errlen);
}

static int
back_open(struct vring_port *port, char *err, size_t errlen)
{
	struct open_call call = { port, err, errlen };

	return evloop_call(port->loop, open_session, &call);
}

static int
close_session(void *arg)
{
	struct vring_port *port = arg;

	vhost_be_free(port->be);
	drop_announcement(port);
	vring_be_zc_close(port);
	port->be = NULL;
	return 0;
}

static void
back_close(struct vring_port *port)
{
	vring_ctrl_call(port, close_session);
}

static void
back_info(const struct vring_port *port, struct rte_eth_dev_info *info)
{
	/*
	 * SCATTER: frames larger than an element of the pool are taken. Checksums and segmentation
	 * hold whatever a guest negotiates, since software does what it does not.
	 */
	info->rx_offload_capa = RTE_ETH_RX_OFFLOAD_SCATTER | RTE_ETH_RX_OFFLOAD_VLAN_STRIP |
				RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM |
				RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
	if (port->args.tso) {
		info->rx_offload_capa |= RTE_ETH_RX_OFFLOAD_TCP_LRO;
		info->max_lro_pkt_size = UINT16_MAX;
	}
	info->tx_offload_capa = RTE_ETH_TX_OFFLOAD_MULTI_SEGS | RTE_ETH_TX_OFFLOAD_VLAN_INSERT |
				RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM |
				RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_TSO |
				RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
}

static void
back_count(struct vring_port *port)
{
	struct vhost_be_info info;

	if (port->be == NULL)
		return;
	vhost_be_get_info(port->be, &info);
	port->session.connects = info.connects;
	port->session.disconnects = info.disconnects;
	port->session.messages = info.messages;
	port->session.nacks = info.nacks;
	port->session.framing_errors = info.framing_errors;
}

const struct vring_role vring_be_role = {
	.name = "back-end",
	.firmware = "vhost-user back-end, virtio 1.2",
	.ops = vring_be_eth_ops,
	.sides = &vring_be_queue_ops,
	.open = back_open,
	.close = back_close,
	.info = back_info,
	.count = back_count,
	.status = vring_be_status,
	.memory = vring_be_memory,
	.dump = vring_be_dump,
};
