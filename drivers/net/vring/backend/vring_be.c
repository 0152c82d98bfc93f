/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between the vhost-user session and the port: rings that start and stop, announcements, the state
 * of the connection. All of it happens in the control thread.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vhost_be.h"
#include "vhu_msg.h"
#include "virtq_dev.h"
#include "vring_be.h"
#include "vring_be_calls.h"
#include "vring_be_info.h"
#include "vring_be_ops.h"
#include "vring_be_queue.h"
#include "vring_be_zc.h"
#include "vring_ctrl.h"
#include "vring_ethdev.h"
#include "vring_event.h"
#include "vring_hold.h"
#include "vring_log.h"
#include "vring_numa.h"
#include "vring_publish.h"
#include "vring_qmap.h"
#include "vring_trace.h"

/* Interval at which the port looks whether an announcement was delivered. */
#define RARP_WATCH_MS 200

/* The session offers a ring again whenever the peer changes it: a line a second is enough. */
static void
log_over_max_ring(struct vring_port *port, const struct virtq_ring *ring)
{
	const uint64_t now = evloop_now_ns();

	if (port->max_ring_logged_ns != 0 && now - port->max_ring_logged_ns < 1000000000)
		return;
	port->max_ring_logged_ns = now;
	VRING_LOG(WARNING, port->name, "vring %u has %u entries and is not served: "
		  "allowed are %u, see max-ring=", ring->qid, ring->size, port->args.max_ring);
}

static const struct virtq_ring *
admit_ring(struct vring_port *port, const struct virtq_ring *ring)
{
	if (ring == NULL || ring->size <= port->args.max_ring)
		return ring;
	log_over_max_ring(port, ring);
	return NULL;
}

static void
set_ring(struct vring_port *port, uint16_t qid, const struct virtq_ring *ring)
{
	struct vring_port_vring *vring = &port->vring[qid];
	const bool was = vring_qmap_alive(vring);

	ring = admit_ring(port, ring);
	vring_be_zc_begin(port, qid, ring);
	vring_be_calls_begin(port, qid, ring);
	vring_publish_trace(port, qid, ring);
	vring->ring = ring;
	vring->paused = false;
	if (was != vring_qmap_alive(vring))
		vring_event_raise(port, VRING_EVENT_QUEUE);
}

/* Bursts use the ring that was set, and `old` no more. */
static void
follow_ring(struct vring_port *port, uint16_t qid, const struct virtq_ring *old)
{
	vring_be_zc_follow(port, qid, old); /* may call the guest */
	vring_be_calls_follow(port, qid);
}

static void
publish_port(struct vring_port *port)
{
	vring_publish(port);
	vring_publish_link(port);
}

static void
be_ring_publish(void *ctx, uint16_t qid, const struct virtq_ring *ring)
{
	struct vring_port *port = ctx;
	const struct virtq_ring *old = port->vring[qid].ring;

	set_ring(port, qid, ring);
	publish_port(port);
	vring_numa_rings(port);
	follow_ring(port, qid, old);
}

static void
be_rings_publish(void *ctx, const struct virtq_ring *const *rings, uint16_t n)
{
	const struct virtq_ring *old[VRING_MAX_QIDS];
	struct vring_port *port = ctx;

	for (uint16_t qid = 0; qid < n; qid++) {
		old[qid] = port->vring[qid].ring;
		set_ring(port, qid, rings[qid]);
	}
	publish_port(port);
	vring_numa_rings(port);
	for (uint16_t qid = 0; qid < n; qid++)
		follow_ring(port, qid, old[qid]);
}

/* The guest notices nothing, so the application is told nothing. */
static void
be_ring_pause(void *ctx, uint16_t qid)
{
	struct vring_port *port = ctx;
	const struct virtq_ring *old = port->vring[qid].ring;

	vring_be_zc_begin(port, qid, NULL);
	vring_publish_trace(port, qid, NULL);
	port->vring[qid].paused = vring_qmap_enabled(&port->vring[qid]);
	port->vring[qid].ring = NULL;
	vring_publish(port);
	follow_ring(port, qid, old);
}

static void
be_memory(void *ctx, uint32_t regions, uint64_t bytes)
{
	struct vring_port *port = ctx;

	vring_trace_memory(port->dev->data->port_id, regions, bytes);
	vring_numa_memory(port, vhost_be_get_mem(port->be));
}

static void
be_translated(void *ctx)
{
	vring_hold_drain(ctx);
}

static void
be_quiesce(void *ctx)
{
	vring_publish_quiesce(ctx);
}

/* Once the announcement is delivered, it is removed from the poll set. */
static void
watch_rarp(struct evloop_timer *timer)
{
	struct vring_port *port = timer->owner;

	if (!__atomic_load_n(&port->rarp.delivered, __ATOMIC_RELAXED)) {
		evloop_timer_set(port->loop, timer, RARP_WATCH_MS);
		return;
	}
	port->rarp.wanted = false;
	vring_publish(port);
}

static void
cancel_rarp(struct vring_port *port)
{
	evloop_timer_cancel(&port->rarp.watch);
	port->rarp.wanted = false;
}

/* What the next guest finds is the application's. */
static void
forget_mtu(struct vring_port *port)
{
	struct rte_eth_dev_data *data = port->dev->data;

	port->guest_mtu = 0;
	if (!port->mtu_chosen)
		data->mtu = data->dev_conf.rxmode.mtu != 0 ? data->dev_conf.rxmode.mtu :
							     RTE_ETHER_MTU;
}

static void
be_connected(void *ctx, bool up, const char *why)
{
	struct vring_port *port = ctx;

	port->connected = up;
	vring_be_info_count(port);
	if (!up) {
		vring_trace_disconnect(port->dev->data->port_id, why);
		port->disconnected_ns = evloop_now_ns();
		cancel_rarp(port);
		forget_mtu(port);
	} else {
		vring_trace_connect(port->dev->data->port_id, port->session.connects);
	}
	publish_port(port);
}

static void
be_features(void *ctx, uint64_t device, uint64_t protocol)
{
	struct vring_port *port = ctx;

	vring_trace_features(port->dev->data->port_id, device, protocol);
	port->features = device;
	port->protocol_features = protocol;
}

static int
be_set_mtu(void *ctx, uint16_t mtu)
{
	struct vring_port *port = ctx;
	const uint32_t most = port->args.tso ? UINT16_MAX : port->max_mtu;

	if (mtu > most) {
		if (vring_log_admits(&port->log_limit, VHOST_LOG_WARNING))
			VRING_LOG(WARNING, port->name, "the guest's MTU of %u is over %u, the most "
				  "that the port takes: mtu=%u would allow it", mtu, most, mtu);
		return -EINVAL;
	}
	port->guest_mtu = mtu;
	if (!port->mtu_chosen) {
		/* The application may say it again. */
		if (mtu > port->max_mtu)
			__atomic_store_n(&port->max_mtu, mtu, __ATOMIC_RELAXED);
		port->dev->data->mtu = mtu;
	}
	if (vring_log_admits(&port->log_limit, VHOST_LOG_INFO))
		VRING_LOG(INFO, port->name, "the guest's MTU is %u", mtu);
	return 0;
}

static void
be_rarp(void *ctx, const uint8_t mac[6])
{
	struct vring_port *port = ctx;

	/* Withdrawn first, so that the address changes while no burst reads it. */
	cancel_rarp(port);
	vring_publish(port);
	memcpy(port->rarp.mac.addr_bytes, mac, RTE_ETHER_ADDR_LEN);
	port->rarp.delivered = 0;
	port->rarp.wanted = true;
	vring_publish(port);
	evloop_timer_set(port->loop, &port->rarp.watch, RARP_WATCH_MS);
}

static void
be_log(void *ctx, enum vhost_log_level level, const char *text)
{
	const struct vring_port *port = ctx;

	vring_log_session(port->name, level, text);
}

static const struct vhost_be_ops session_ops = {
	.ring_publish = be_ring_publish,
	.rings_publish = be_rings_publish,
	.ring_pause = be_ring_pause,
	.quiesce = be_quiesce,
	.memory = be_memory,
	.translated = be_translated,
	.connected = be_connected,
	.features = be_features,
	.set_mtu = be_set_mtu,
	.rarp = be_rarp,
	.log = be_log,
};

/* Next to the socket, or in another folder under the socket's whole path. */
static void
name_state_file(const struct vring_devargs *args, char *name, size_t len)
{
	size_t used;

	if (args->state_dir[0] == '\0') {
		snprintf(name, len, "%s.state", args->iface);
		return;
	}
	used = (size_t)snprintf(name, len, "%s/", args->state_dir);
	snprintf(name + used, len - used, "%s.state", args->iface);
	for (char *c = name + used; *c != '\0'; c++)
		if (*c == '/')
			*c = '_';
}

static void
list_devs(const struct vring_port *port, struct virtq_dev *dev[VRING_MAX_QIDS])
{
	for (unsigned int qid = 0; qid < 2u * port->vring_pairs; qid++)
		dev[qid] = virtq_dev_of(port->vring[qid].cursor);
}

static void
be_moved(struct vring_port *port)
{
	struct virtq_dev *dev[VRING_MAX_QIDS];

	list_devs(port, dev);
	vhost_be_move(port->be, dev);
	vring_be_calls_moved(port);
}

struct open_call {
	struct vring_port *port;
	char *err;
	size_t errlen;
};

static int
open_be_session(void *arg)
{
	const struct open_call *call = arg;
	struct vring_port *port = call->port;
	const struct vring_devargs *args = &port->args;
	struct virtq_dev *dev[VRING_MAX_QIDS];
	char state[2 * VRING_PATH_LEN + sizeof(".state")];
	struct vhost_be_config cfg = {
		.path = args->iface,
		.client = args->client,
		.reconnect_ms = args->reconnect_ms,
		.sock_mode = args->sock_mode,
		.sock_gid = args->sock_gid,
		.features = port->offered,
		.tolerated = VRING_BACK_TOLERATED,
		.fallback = vring_devargs_fallback(args),
		.protocol_features = args->postcopy ? UINT64_MAX : ~VIRTQ_BIT(VHU_PF_PAGEFAULT),
		.max_pairs = port->vring_pairs,
		.sealed = args->sealed,
		.iommu_keeps = args->iommu_keep,
		.state = state,
		.mem_slots = VIRTQ_MEM_MAX_REGIONS,
		.vq = dev,
		.ops = &session_ops,
		.ctx = port,
		.loop = port->loop,
	};

	list_devs(port, dev);
	name_state_file(args, state, sizeof(state));
	port->carrier = true;
	port->rarp.watch.expired = watch_rarp;
	port->rarp.watch.owner = port;
	vring_be_zc_open(port);
	return vhost_be_new(&cfg, &port->be, call->err, call->errlen);
}

static int
be_open(struct vring_port *port, char *err, size_t errlen)
{
	struct open_call call = { port, err, errlen };
	int rc = vring_be_calls_open(port, err, errlen);

	if (rc != 0)
		return rc;
	rc = evloop_call(port->loop, open_be_session, &call);
	if (rc != 0)
		vring_be_calls_close(port);
	return rc;
}

static int
close_be_session(void *arg)
{
	struct vring_port *port = arg;

	vhost_be_free(port->be);
	cancel_rarp(port);
	vring_be_zc_close(port);
	port->be = NULL;
	return 0;
}

static void
be_close(struct vring_port *port)
{
	vring_ctrl_call(port, close_be_session);
	vring_be_calls_close(port);
}

/* OVS enables scatter yet aborts on a chain of mbufs: so the user decides, by linear-buffer=. */
static bool
be_rx_scatter(const struct vring_port *port)
{
	return port->args.linear == VRING_LINEAR_NO &&
	       (port->dev->data->dev_conf.rxmode.offloads & RTE_ETH_RX_OFFLOAD_SCATTER);
}

const struct vring_role vring_be_role = {
	.name = "back-end",
	.firmware = "vhost-user back-end, virtio 1.2",
	.ops = vring_be_ops,
	.queue_ops = &vring_be_queue_ops,
	.open = be_open,
	.close = be_close,
	.info = vring_be_info,
	.rx_scatter = be_rx_scatter,
	.moving = vring_be_calls_moving,
	.moved = be_moved,
	.count = vring_be_info_count,
	.status = vring_be_info_status,
	.memory = vring_be_info_memory,
	.dump = vring_be_info_dump,
	.device_status = vring_be_info_device_status,
};
