/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions of a front-end. A peer comes and is asked what it has; while the port is
 * started it also has rings (run). When it is lost both are undone, and it is looked for again.
 * Everything waits here and nowhere else: the thread is the port's own.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vhost_uapi.h"
#include "virtq_notify.h"
#include "vring_fe.h"

/* How often rings are looked at that may have broken. */
#define WATCH_MS 500

/* This thread alone writes; whoever asks for statistics reads. */
static void
count_one(uint64_t *counter)
{
	__atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

/*
 * Enable rings and start the device. What is replayed has to be in force before packets flow, yet
 * needs a device that runs; where rings cannot be enabled late they are enabled first.
 */
static int
go(struct vring_fe *fe)
{
	bool late = fe->dev.backend & RTE_BIT64(VHOST_BACKEND_F_ENABLE_AFTER_DRIVER_OK);
	int ret = 0;

	if (fe->cvq.ring != NULL)
		ret = vhost_set_vring_enable(&fe->dev, fe->cvq.qid, true);
	if (ret == 0 && !late)
		ret = vring_fe_rings_enable(fe);
	if (ret == 0)
		ret = vhost_dev_start(&fe->dev, true);
	if (ret == 0)
		ret = vring_fe_cvq_replay(fe);
	if (ret == 0 && late)
		ret = vring_fe_rings_enable(fe);
	return ret;
}

static int
set_up(struct vring_fe *fe)
{
	const uint64_t features = vring_fe_choose_features(fe);
	int ret = vhost_set_features(&fe->dev, features);

	if (ret != 0)
		return ret;
	fe->port->features = features;
	fe->pairs = vring_fe_choose_pairs(fe);
	if (fe->port->args.mtu != 0)
		ret = vhost_net_set_mtu(&fe->dev, fe->port->args.mtu);
	if (ret == 0 || ret == -EOPNOTSUPP)
		ret = vring_fe_mem_start(fe);
	if (ret == 0)
		ret = vring_fe_rings_up(fe);
	if (ret == 0)
		ret = vring_fe_cvq_up(fe);
	if (ret == 0)
		ret = go(fe);
	return ret == 0 ? vring_fe_read_link(fe) : ret;
}

static void
show_rings(struct vring_fe *fe)
{
	struct vring_port *port = fe->port;
	unsigned int qid;

	for (qid = 0; qid < 2u * fe->pairs; qid++)
		port->vring[qid].ring = fe->ring[qid].ring;
	port->carrier = fe->link;
	vring_publish(port);
	vring_publish_link(port);
}

/* What tells the device at the path from another that takes its place. */
static ino_t
node_at(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_ino : 0;
}

/* The port is started and a peer is there. */
static int
fe_run(struct vring_fe *fe)
{
	int ret;

	fe->port->dev->data->dev_link.link_speed = fe->port->args.speed;
	fe->running = true;
	fe->node = fe->vdpa ? node_at(fe->port->args.path) : 0;
	ret = set_up(fe);
	if (ret != 0)
		return ret;
	vring_fe_rings_kick(fe);
	fe->told = false;
	show_rings(fe);
	evloop_timer_set(fe->port->loop, &fe->watch, WATCH_MS);
	return 0;
}

/* Undo it. peer: it is still there, and is told. */
static void
halt(struct vring_fe *fe, bool peer)
{
	if (!fe->running)
		return;
	evloop_timer_cancel(&fe->watch);
	vring_fe_mem_stop(fe);
	if (peer)
		vring_fe_rings_stop(fe);
	vring_fe_rings_down(fe);
	vring_fe_cvq_down(fe);
	fe->running = false;
	fe->port->features = 0;
}

static void
look_again(struct vring_fe *fe, bool healthy)
{
	if (!fe->vdpa)
		vhu_sock_again(&fe->sock, healthy);
	else
		evloop_timer_set(fe->port->loop, &fe->again, fe->port->args.reconnect_ms);
}

/* Reasons for which a device cannot be opened name its path, others do not. */
static const char *
with_path(const struct vring_fe *fe, const char *why, char *buf, size_t size)
{
	if (strstr(why, fe->port->args.path) != NULL)
		return why;
	snprintf(buf, size, "%s: %s", fe->port->args.path, why);
	return buf;
}

/* The same reason again and again is told once. */
static void
tell_why(struct vring_fe *fe, bool up)
{
	char buf[VHOST_WHY + VRING_PATH_LEN + 2];

	if (fe->told && !up)
		return;
	if (up)
		VRING_LOG(NOTICE, fe->port->name, "%s: session ended: %s", fe->port->args.path,
			  fe->why);
	else
		VRING_LOG(ERR, fe->port->name, "%s", with_path(fe, fe->why, buf, sizeof(buf)));
	fe->told = true;
}

void
vring_fe_down(struct vring_fe *fe, const char *why)
{
	struct vring_port *port = fe->port;
	bool up = port->connected && (!port->started || port->vring[0].ring != NULL);

	if (why != fe->why)
		snprintf(fe->why, sizeof(fe->why), "%s", why);
	fe->lost = fe->changed = false;
	evloop_timer_cancel(&fe->later);
	halt(fe, false);
	vhost_dev_close(&fe->dev);
	if (port->connected)
		count_one(&port->session.disconnects);
	port->connected = false;
	port->carrier = false;
	vring_publish(port);
	vring_publish_link(port);
	tell_why(fe, up);
	look_again(fe, up);
}

/* The device is open: ask it, and give it rings if there are any. */
static void
up(struct vring_fe *fe)
{
	struct vring_port *port = fe->port;
	int ret = vring_fe_greet(fe);

	if (ret == 0) {
		port->connected = true;
		count_one(&port->session.connects);
		fe->up_since_ns = evloop_now_ns();
		if (port->started)
			ret = fe_run(fe);
	}
	if (ret != 0)
		vring_fe_down(fe, fe->dev.why);
}

static void
peer_came(struct vhu_sock *s, int fd)
{
	struct vring_fe *fe = s->owner;

	if (vhost_user_open(&fe->dev, fd) != 0)
		vring_fe_down(fe, fe->dev.why);
	else
		up(fe);
}

static bool
is_vacant(struct vhu_sock *s)
{
	struct vring_fe *fe = s->owner;

	return !vhost_dev_is_open(&fe->dev);
}

static void
nobody_there(struct vhu_sock *s, int error)
{
	struct vring_fe *fe = s->owner;

	VRING_LOG(INFO, fe->port->name, "%s: %s, waiting for a back-end", fe->port->args.path,
		  strerror(-error));
}

static const struct vhu_sock_ops sock_ops = {
	.peer = peer_came,
	.vacant = is_vacant,
	.waiting = nobody_there,
};

static void
open_again(struct evloop_timer *t)
{
	struct vring_fe *fe = t->owner;

	if (vhost_vdpa_open(&fe->dev, fe->port->args.path, NULL) != 0)
		vring_fe_down(fe, fe->dev.why);
	else
		up(fe);
}

/* Call-backs of the device may come from within an operation: they are served from the loop. */
static void
config_changed(void *ctx)
{
	struct vring_fe *fe = ctx;

	fe->changed = true;
	evloop_timer_set(fe->port->loop, &fe->later, 0);
}

static void
lost(void *ctx, const char *why)
{
	struct vring_fe *fe = ctx;

	fe->lost = true;
	snprintf(fe->why, sizeof(fe->why), "%s", why);
	evloop_timer_set(fe->port->loop, &fe->later, 0);
}

/* The device tells of these from the loop, and never from within an operation. */
static void
notifiers_changed(void *ctx)
{
	struct vring_fe *fe = ctx;

	if (fe->running && vring_fe_rings_notifiers(fe) != 0)
		vring_fe_down(fe, fe->dev.why);
}

static const struct vhost_dev_events events = {
	.config_changed = config_changed,
	.notifiers = notifiers_changed,
	.lost = lost,
};

/* Rings anew, on the same connection. */
static void
restart(struct vring_fe *fe)
{
	int ret;

	halt(fe, true);
	vring_publish_link(fe->port);
	ret = vhost_reset_device(&fe->dev);
	if (ret == 0 || ret == -EOPNOTSUPP)
		ret = vring_fe_greet(fe);
	if (ret == 0 && fe->port->started)
		ret = fe_run(fe);
	if (ret != 0)
		vring_fe_down(fe, fe->dev.why);
}

static void
look_at_device(struct vring_fe *fe)
{
	uint8_t status = 0;
	int ret = vhost_get_status(&fe->dev, &status);

	if (vhost_dev_is_fatal(ret)) {
		vring_fe_down(fe, fe->dev.why);
		return;
	}
	if (ret == 0 && (status & VIRTIO_CONFIG_S_NEEDS_RESET)) {
		VRING_LOG(WARNING, fe->port->name, "the %s needs a reset and gets it",
			  vring_fe_peer(fe));
		restart(fe);
		return;
	}
	if (!fe->running)
		return;
	if (vring_fe_read_link(fe) != 0) {
		vring_fe_down(fe, fe->dev.why);
		return;
	}
	fe->port->carrier = fe->link;
	vring_publish_link(fe->port);
}

static void
serve_later(struct evloop_timer *t)
{
	struct vring_fe *fe = t->owner;

	if (fe->lost) {
		vring_fe_down(fe, fe->why);
	} else if (fe->changed) {
		fe->changed = false;
		look_at_device(fe);
	}
}

static void
watch_rings(struct evloop_timer *t)
{
	struct vring_fe *fe = t->owner;
	unsigned int qid;

	/* The kernel tells nobody that a device goes, and waits until we have let go of it. */
	if (fe->vdpa && node_at(fe->port->args.path) != fe->node) {
		vring_fe_down(fe, "the device was removed");
		return;
	}
	if (vring_fe_rings_unheard(fe)) {
		vring_fe_down(fe, "the back-end cut the file of a notifier short");
		return;
	}
	evloop_timer_set(fe->port->loop, &fe->watch, WATCH_MS);
	if (!vring_fe_rings_broken(fe, &qid))
		return;
	VRING_LOG(WARNING, fe->port->name, "vring %u broke (%s): the rings are set up anew", qid,
		  virtq_error_name(fe->ring[qid].drv->vq.broken));
	restart(fe);
}

static void
ring_failed(struct evloop_watch *w, uint32_t unused)
{
	struct vring_fe *fe = w->owner;

	if (!virtq_notify_take(w->fd) || !fe->running)
		return;
	VRING_LOG(WARNING, fe->port->name, "the %s reports a broken ring: they are set up anew",
		  vring_fe_peer(fe));
	restart(fe);
}

static void
front_start(struct vring_port *port)
{
	struct vring_fe *fe = port->fe;

	if (port->connected && fe_run(fe) != 0)
		vring_fe_down(fe, fe->dev.why);
}

static void
front_stop(struct vring_port *port)
{
	struct vring_fe *fe = port->fe;
	int ret;

	if (!fe->running)
		return;
	halt(fe, true);
	port->carrier = false;
	ret = vhost_dev_start(&fe->dev, false);
	if (vhost_dev_is_fatal(ret))
		vring_fe_down(fe, fe->dev.why);
}

struct open_call {
	struct vring_fe *fe;
	char *err;
	size_t errlen;
};

static int
open_socket(struct vring_fe *fe, char *err, size_t errlen)
{
	const struct vring_devargs *args = &fe->port->args;
	const struct vhu_sock_config cfg = {
		.path = args->path,
		.client = !args->server,
		.reconnect_ms = args->reconnect_ms,
		.mode = args->sock_mode,
		.gid = args->sock_gid,
	};

	return vhu_sock_open(&fe->sock, &cfg, fe->port->loop, &sock_ops, fe, err, errlen);
}

/* A device that is not there when the port is made is most likely a wrong path. */
static int
open_vdpa(struct vring_fe *fe, char *err, size_t errlen)
{
	int ret = vhost_vdpa_open(&fe->dev, fe->port->args.path, NULL);
	char buf[VHOST_WHY + VRING_PATH_LEN + 2];

	if (ret == 0)
		ret = vring_fe_greet(fe);
	if (ret != 0) {
		snprintf(err, errlen, "%s", with_path(fe, fe->dev.why, buf, sizeof(buf)));
		vhost_dev_close(&fe->dev);
		return ret;
	}
	fe->port->connected = true;
	count_one(&fe->port->session.connects);
	fe->up_since_ns = evloop_now_ns();
	return 0;
}

static int
open_in_ctrl(void *arg)
{
	const struct open_call *call = arg;
	struct vring_fe *fe = call->fe;
	int ret;

	vhost_dev_init(&fe->dev, fe->port->loop, &events, fe);
	fe->again = (struct evloop_timer){ .expired = open_again, .owner = fe };
	fe->later = (struct evloop_timer){ .expired = serve_later, .owner = fe };
	fe->watch = (struct evloop_timer){ .expired = watch_rings, .owner = fe };
	fe->err = (struct evloop_watch){
		.fd = fe->errfd,
		.events = EPOLLIN,
		.ready = ring_failed,
		.owner = fe,
	};
	ret = evloop_watch_add(fe->port->loop, &fe->err);
	if (ret == 0)
		ret = vring_fe_mem_watch(fe);
	if (ret != 0) {
		snprintf(call->err, call->errlen, "eventfd: %s", strerror(-ret));
		return ret;
	}
	return fe->vdpa ? open_vdpa(fe, call->err, call->errlen) :
			  open_socket(fe, call->err, call->errlen);
}

static int
close_in_ctrl(void *arg)
{
	struct vring_fe *fe = arg;

	if (!fe->vdpa && fe->sock.loop != NULL)
		vhu_sock_close(&fe->sock);
	halt(fe, true);
	vhost_dev_close(&fe->dev);
	fe->port->connected = false;
	evloop_timer_cancel(&fe->again);
	evloop_timer_cancel(&fe->later);
	evloop_watch_del(&fe->err);
	vring_fe_mem_unwatch(fe);
	return 0;
}

static void
release(struct vring_fe *fe)
{
	vring_fe_mem_close(fe);
	vring_fe_rings_free(fe);
	vring_fe_cvq_free(fe);
	if (fe->callfd >= 0)
		close(fe->callfd);
	if (fe->errfd >= 0)
		close(fe->errfd);
	fe->port->fe = NULL;
	free(fe);
}

static int
reserve(struct vring_fe *fe)
{
	int ret;

	fe->callfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	fe->errfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (fe->callfd < 0 || fe->errfd < 0)
		return -errno;
	ret = vring_fe_rings_alloc(fe);
	if (ret == 0 && fe->vdpa)
		ret = vring_fe_cvq_alloc(fe);
	return ret;
}

static int
front_open(struct vring_port *port, char *err, size_t errlen)
{
	struct vring_fe *fe = calloc(1, sizeof(*fe));
	struct open_call call = { fe, err, errlen };
	int ret;

	if (fe == NULL) {
		snprintf(err, errlen, "no memory");
		return -ENOMEM;
	}
	port->fe = fe;
	fe->port = port;
	fe->vdpa = vring_devargs_vdpa(&port->args);
	fe->cvq.kickfd = -1;
	fe->mac_given = !rte_is_zero_ether_addr(&port->args.mac);
	fe->mac = port->dev->data->mac_addrs[0];
	fe->promisc = port->dev->data->promiscuous;
	fe->allmulti = port->dev->data->all_multicast;
	ret = vring_fe_mem_open(fe);
	if (ret == 0)
		ret = reserve(fe);
	if (ret != 0)
		snprintf(err, errlen, "%u queue pairs of %u entries: %s", port->pairs,
			 port->args.queue_size, strerror(-ret));
	else
		ret = evloop_call(port->loop, open_in_ctrl, &call);
	if (ret != 0) {
		evloop_call(port->loop, close_in_ctrl, fe);
		release(fe);
	}
	return ret;
}

static void
front_close(struct vring_port *port)
{
	evloop_call(port->loop, close_in_ctrl, port->fe);
	release(port->fe);
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
	.ops = vring_fe_eth_ops,
	.own_ctrl = true,
	.own_rings = true,
	.queue_ops = &vring_fe_queue_ops,
	.open = front_open,
	.close = front_close,
	.info = vring_fe_info,
	.rx_scatter = front_rx_scatter,
	.takes_pool = vring_fe_mem_takes_pool,
	.memory_moves = vring_fe_mem_moves,
	.start = front_start,
	.stop = front_stop,
	.count = front_count,
	.status = vring_fe_status,
	.memory = vring_fe_memory,
	.dump = vring_fe_dump,
};
