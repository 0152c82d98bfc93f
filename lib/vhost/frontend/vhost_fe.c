/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A session's life. A peer comes and is asked what it has; while the session is started its rings
 * run as well. When it is lost both are undone, and it is looked for again. Everything waits here
 * and nowhere else: the thread serves no other session.
 */
#include "vhost_fe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vhost_fe_session.h"
#include "vhost_uapi.h"
#include "vhu_msg.h"
#include "virtq_notify.h"

/* How often rings are looked at that may have broken. */
#define WATCH_MS 500
/* A peer asks as often as it likes for a look at the configuration, and for rings anew. */
#define CHANGE_MS 50
#define ANEW_MS 500

/* What the device's operations serve and a session has no use for but with a dirty log. */
#define UNUSED_PROTOCOL VIRTQ_BIT(VHU_PF_LOG_SHMFD)
#define UNUSED_BACKEND \
	(VIRTQ_BIT(VHOST_BACKEND_F_IOTLB_ASID) | VIRTQ_BIT(VHOST_BACKEND_F_RESUME))
/*
 * Maps that outlive a reset: while rings are stopped nobody follows the memory, and at the same
 * addresses there may be other pages when they start again.
 */
#define UNWANTED_BACKEND VIRTQ_BIT(VHOST_BACKEND_F_IOTLB_PERSIST)

/* The session is started and a peer is there. */
static int
run_rings(struct vhost_fe *fe)
{
	int rc;

	fe->running = true;
	vhost_fe_kernel_mark(fe);
	rc = vhost_fe_setup_rings(fe);
	if (rc != 0)
		return rc;
	vhost_fe_rings_kick(fe);
	fe->logged = false;
	vhost_fe_rings_publish(fe);
	fe->ops->link(fe->ctx, fe->link);
	evloop_timer_set(fe->loop, &fe->watch, WATCH_MS);
	return vhost_fe_setup_address(fe);
}

/*
 * Undo it. peer: it is still there, and is told. Buffers are free only when it writes to them no
 * more, as far as one can know.
 */
static void
halt_rings(struct vhost_fe *fe, bool peer)
{
	bool stopped;

	/* The next session hears of broken rings, whatever this one waited for. */
	evloop_timer_cancel(&fe->anew);
	if (fe->err.loop != NULL)
		evloop_watch_mod(&fe->err, EPOLLIN);
	if (!fe->running)
		return;
	evloop_timer_cancel(&fe->watch);
	fe->ops->mem_stop(fe->ctx);
	stopped = peer && vhost_fe_rings_stop(fe);
	vhost_fe_rings_withdraw(fe);
	if (!stopped && vhost_fe_rings_clear(fe))
		vhost_quiesce(fe->dev, VHOST_FE_GRACE_MS);
	vhost_fe_rings_down(fe);
	vhost_fe_log_end(fe);
	vhost_fe_cvq_down(fe);
	fe->running = false;
	fe->features = 0;
	fe->ops->features(fe->ctx, 0);
}

static void
look_again(struct vhost_fe *fe, bool healthy)
{
	if (fe->given)
		return;
	if (!vhost_fe_session_kernel(fe))
		vhu_sock_again(&fe->sock, healthy);
	else
		evloop_timer_set(fe->loop, &fe->again, vhost_fe_kernel_delay(fe, healthy));
}

/* Reasons for which a device cannot be opened name its path, others do not. */
static const char *
with_path(const struct vhost_fe *fe, const char *why, char *buf, size_t size)
{
	if (strstr(why, fe->path) != NULL)
		return why;
	snprintf(buf, size, "%s: %s", fe->path, why);
	return buf;
}

/* The same reason again and again is logged once. */
static void
log_end(struct vhost_fe *fe, bool up)
{
	char buf[VHOST_WHY + sizeof(fe->path) + 2];

	if (fe->logged && !up)
		return;
	if (up)
		vhost_fe_session_log(fe, VHOST_LOG_NOTICE, "%s: session ended: %s", fe->path,
				     fe->why);
	else
		vhost_fe_session_log(fe, VHOST_LOG_ERR, "%s",
				     with_path(fe, fe->why, buf, sizeof(buf)));
	fe->logged = true;
}

/* End the session, take rings back, try again later. */
static void
end_session(struct vhost_fe *fe, const char *why)
{
	const bool up = fe->connected && (!fe->started || fe->published);

	if (why != fe->why)
		snprintf(fe->why, sizeof(fe->why), "%s", why);
	fe->lost = fe->changed = false;
	evloop_timer_cancel(&fe->later);
	evloop_timer_cancel(&fe->anew);
	halt_rings(fe, false);
	vhost_dev_close(fe->dev);
	if (fe->connected)
		fe->disconnects++;
	fe->connected = false;
	fe->ops->connected(fe->ctx, false);
	log_end(fe, up);
	look_again(fe, up);
}

static void
begin_session(struct vhost_fe *fe)
{
	fe->connected = true;
	fe->moved = fe->connects++ > 0;
	fe->up_since_ns = evloop_now_ns();
	fe->ops->connected(fe->ctx, true);
}

/* The device is open: ask it, and give it rings if there are any. */
static void
bring_up(struct vhost_fe *fe)
{
	int rc;

	vhost_dev_allow(fe->dev, fe->up_ms);
	rc = vhost_fe_features_ask(fe);
	if (rc == 0) {
		begin_session(fe);
		if (fe->started)
			rc = run_rings(fe);
	}
	if (rc != 0)
		end_session(fe, fe->dev->why);
}

static void
back_end_came(struct vhu_sock *s, int fd)
{
	struct vhost_fe *fe = s->owner;

	if (vhost_user_open(fe->dev, fd) != 0)
		end_session(fe, fe->dev->why);
	else
		bring_up(fe);
}

static bool
has_no_back_end(struct vhu_sock *s)
{
	struct vhost_fe *fe = s->owner;

	return !vhost_dev_is_open(fe->dev);
}

static void
nobody_there(struct vhu_sock *s, int error)
{
	struct vhost_fe *fe = s->owner;

	vhost_fe_session_log(fe, VHOST_LOG_INFO, "%s: %s, waiting for a back-end", fe->path,
			     strerror(-error));
}

static const struct vhu_sock_ops fe_sock_ops = {
	.peer = back_end_came,
	.vacant = has_no_back_end,
	.waiting = nobody_there,
};

static void
open_again(struct evloop_timer *t)
{
	struct vhost_fe *fe = t->owner;

	if (vhost_fe_kernel_open(fe) != 0)
		end_session(fe, fe->dev->why);
	else
		bring_up(fe);
}

/* Milliseconds until `ms` have passed since `since_ns` (0: never). */
static uint64_t
ms_left(uint64_t since_ns, uint64_t ms)
{
	const uint64_t passed = (evloop_now_ns() - since_ns) / 1000000;

	return since_ns == 0 || passed >= ms ? 0 : ms - passed;
}

/* Call-backs of the device may come from within an operation: they are served from the loop. */
static void
config_changed(void *ctx)
{
	struct vhost_fe *fe = ctx;

	if (fe->changed)
		return;
	fe->changed = true;
	if (!fe->lost)
		evloop_timer_set(fe->loop, &fe->later, ms_left(fe->looked_ns, CHANGE_MS));
}

static void
device_lost(void *ctx, const char *why)
{
	vhost_fe_session_end(ctx, why);
}

/* The device tells of these from the loop, and never from within an operation. */
static void
notifiers_changed(void *ctx)
{
	struct vhost_fe *fe = ctx;

	if (fe->running && vhost_fe_rings_remap(fe) != 0)
		end_session(fe, fe->dev->why);
}

static const struct vhost_dev_events fe_events = {
	.config_changed = config_changed,
	.notifiers = notifiers_changed,
	.lost = device_lost,
};

/* Rings anew, on the same connection. */
static void
restart_rings(struct vhost_fe *fe)
{
	int rc;

	vhost_dev_allow(fe->dev, fe->up_ms);
	halt_rings(fe, true);
	fe->ops->link(fe->ctx, fe->link);
	rc = vhost_reset_device(fe->dev);
	if (rc == 0 || rc == -EOPNOTSUPP)
		rc = vhost_fe_features_ask(fe);
	if (rc == 0 && fe->started)
		rc = run_rings(fe);
	if (rc != 0)
		end_session(fe, fe->dev->why);
}

static void
set_up_anew(struct evloop_timer *t)
{
	struct vhost_fe *fe = t->owner;

	fe->anew_ns = evloop_now_ns();
	evloop_watch_mod(&fe->err, EPOLLIN);
	restart_rings(fe);
}

/* Now, or after a while if they were restarted just before. */
static void
restart_soon(struct vhost_fe *fe, const char *why)
{
	if (fe->anew.at_ns != 0)
		return;
	vhost_fe_session_log(fe, VHOST_LOG_WARNING, "%s", why);
	evloop_watch_mod(&fe->err, 0);
	evloop_timer_set(fe->loop, &fe->anew, ms_left(fe->anew_ns, ANEW_MS));
}

static void
look_at_device(struct vhost_fe *fe)
{
	uint8_t status = 0;
	int rc;
	char why[64];

	fe->looked_ns = evloop_now_ns();
	vhost_dev_allow(fe->dev, VHOST_FE_REQUEST_MS);
	rc = vhost_get_status(fe->dev, &status);
	if (vhost_dev_is_fatal(rc)) {
		end_session(fe, fe->dev->why);
		return;
	}
	if (rc == 0 && (status & VIRTIO_CONFIG_S_NEEDS_RESET)) {
		snprintf(why, sizeof(why), "the %s needs a reset and gets it", vhost_fe_peer(fe));
		restart_soon(fe, why);
		return;
	}
	if (!fe->running)
		return;
	if (vhost_fe_setup_link(fe) != 0) {
		end_session(fe, fe->dev->why);
		return;
	}
	fe->ops->link(fe->ctx, fe->link);
}

static void
serve_later(struct evloop_timer *t)
{
	struct vhost_fe *fe = t->owner;

	if (fe->lost) {
		end_session(fe, fe->why);
	} else if (fe->changed) {
		fe->changed = false;
		look_at_device(fe);
	}
}

static void
watch_rings(struct evloop_timer *t)
{
	struct vhost_fe *fe = t->owner;
	unsigned int qid;
	char why[96];

	if (vhost_fe_kernel_gone(fe)) {
		end_session(fe, "the device was removed");
		return;
	}
	if (vhost_fe_rings_unheard(fe)) {
		end_session(fe, "the back-end cut the file of a notifier short");
		return;
	}
	evloop_timer_set(fe->loop, &fe->watch, WATCH_MS);
	if (!vhost_fe_rings_broken(fe, &qid))
		return;
	snprintf(why, sizeof(why), "vring %u broke (%s): the rings are set up anew", qid,
		 virtq_ring_error_name(fe->ring[qid].drv->cursor.broken));
	restart_soon(fe, why);
}

static void
ring_failed(struct evloop_watch *w, uint32_t unused)
{
	struct vhost_fe *fe = w->owner;
	char why[64];

	if (!virtq_notify_take(w->fd) || !fe->running)
		return;
	snprintf(why, sizeof(why), "the %s reports a broken ring: they are set up anew",
		 vhost_fe_peer(fe));
	restart_soon(fe, why);
}

void
vhost_fe_start(struct vhost_fe *fe)
{
	fe->started = true;
	vhost_dev_allow(fe->dev, fe->up_ms);
	if (fe->connected && run_rings(fe) != 0)
		end_session(fe, fe->dev->why);
}

void
vhost_fe_hurry(struct vhost_fe *fe)
{
	const uint64_t one = 1;

	/* Full: it is known. */
	if (write(fe->hurryfd, &one, sizeof(one)) < 0)
		return;
}

/* What was hurried is over. */
static void
begin_to_stop(struct vhost_fe *fe)
{
	uint64_t count;

	vhost_dev_allow(fe->dev, VHOST_FE_DOWN_MS);
	if (read(fe->hurryfd, &count, sizeof(count)) < 0)
		return; /* nobody has */
}

void
vhost_fe_stop(struct vhost_fe *fe)
{
	int rc;

	fe->started = false;
	begin_to_stop(fe);
	if (!fe->running)
		return;
	halt_rings(fe, true);
	fe->ops->link(fe->ctx, false);
	rc = vhost_dev_start(fe->dev, false);
	if (vhost_dev_is_fatal(rc))
		end_session(fe, fe->dev->why);
}

void
vhost_fe_mem_changed(struct vhost_fe *fe)
{
	vhost_dev_allow(fe->dev, VHOST_FE_REQUEST_MS);
	if (fe->running && fe->ops->mem_give(fe->ctx, fe->dev) != 0)
		vhost_fe_session_end(fe, fe->dev->why);
}

static int
open_socket(struct vhost_fe *fe, char *err, size_t errlen)
{
	const struct vhu_sock_config cfg = {
		.path = fe->path,
		.client = !fe->server,
		.reconnect_ms = fe->reconnect_ms,
		.mode = fe->sock_mode,
		.gid = fe->sock_gid,
		.closer = fe->closer,
	};

	return vhu_sock_open(&fe->sock, &cfg, fe->loop, &fe_sock_ops, fe, err, errlen);
}

/* A device that is not there from the beginning is most likely a wrong path. */
static int
open_device(struct vhost_fe *fe, char *err, size_t errlen)
{
	int rc = fe->given ? 0 : vhost_fe_kernel_open(fe);
	char buf[VHOST_WHY + sizeof(fe->path) + 2];

	vhost_dev_allow(fe->dev, fe->up_ms);
	if (rc == 0)
		rc = vhost_fe_features_ask(fe);
	if (rc != 0) {
		snprintf(err, errlen, "%s", with_path(fe, fe->dev->why, buf, sizeof(buf)));
		vhost_dev_close(fe->dev);
		return rc;
	}
	begin_session(fe);
	return 0;
}

int
vhost_fe_open(struct vhost_fe *fe, char *err, size_t errlen)
{
	int rc;

	if (fe->given) {
		fe->dev->loop = fe->loop;
		fe->dev->events = &fe_events;
		fe->dev->ctx = fe;
	} else {
		vhost_dev_init(fe->dev, fe->loop, &fe_events, fe);
		fe->dev->closer = fe->closer;
		fe->dev->iotlb_pages = fe->iotlb_pages;
		fe->dev->protocol_mask = fe->log.wanted ? UINT64_MAX : ~UNUSED_PROTOCOL;
		fe->dev->backend_mask = ~(UNUSED_BACKEND | UNWANTED_BACKEND);
	}
	fe->dev->hurry_fd = fe->hurryfd;
	/* Who waits longer for one answer waits as long for all of them. */
	if (fe->up_ms < fe->dev->timeout_ms)
		fe->up_ms = fe->dev->timeout_ms;
	fe->again = (struct evloop_timer){ .expired = open_again, .owner = fe };
	fe->later = (struct evloop_timer){ .expired = serve_later, .owner = fe };
	fe->anew = (struct evloop_timer){ .expired = set_up_anew, .owner = fe };
	fe->watch = (struct evloop_timer){ .expired = watch_rings, .owner = fe };
	fe->err = (struct evloop_watch){
		.fd = fe->errfd,
		.events = EPOLLIN,
		.ready = ring_failed,
		.owner = fe,
	};
	rc = evloop_watch_add(fe->loop, &fe->err);
	if (rc != 0) {
		snprintf(err, errlen, "eventfd: %s", strerror(-rc));
		return rc;
	}
	return vhost_fe_session_kernel(fe) || fe->given ? open_device(fe, err, errlen) :
							  open_socket(fe, err, errlen);
}

void
vhost_fe_close(struct vhost_fe *fe)
{
	if (fe->sock.loop != NULL)
		vhu_sock_close(&fe->sock);
	begin_to_stop(fe);
	halt_rings(fe, true);
	vhost_dev_close(fe->dev);
	fe->connected = false;
	evloop_timer_cancel(&fe->again);
	evloop_timer_cancel(&fe->later);
	evloop_timer_cancel(&fe->anew);
	evloop_watch_del(&fe->err);
}

void
vhost_fe_free(struct vhost_fe *fe)
{
	if (fe == NULL)
		return;
	vhost_fe_rings_free(fe);
	vhost_fe_cvq_free(fe);
	evloop_later_put(fe->closer);
	if (fe->callfd >= 0)
		close(fe->callfd);
	if (fe->errfd >= 0)
		close(fe->errfd);
	if (fe->hurryfd >= 0)
		close(fe->hurryfd);
	free(fe);
}

static int
reserve_all(struct vhost_fe *fe, struct virtq_drv *drv)
{
	int rc;

	fe->callfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	fe->errfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	fe->hurryfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (fe->callfd < 0 || fe->errfd < 0 || fe->hurryfd < 0)
		return -errno;
	fe->closer = evloop_later_new();
	if (fe->closer == NULL)
		return -ENOMEM;
	rc = vhost_fe_rings_alloc(fe, drv);
	if (rc == 0 && fe->vdpa)
		rc = vhost_fe_cvq_alloc(fe);
	return rc;
}

static void
keep_config(struct vhost_fe *fe, const struct vhost_fe_config *cfg)
{
	snprintf(fe->path, sizeof(fe->path), "%s", cfg->path);
	fe->vdpa = cfg->vdpa;
	fe->net = cfg->tap != NULL;
	if (fe->net)
		snprintf(fe->tap, sizeof(fe->tap), "%s", cfg->tap);
	fe->server = cfg->server;
	fe->reconnect_ms = cfg->reconnect_ms;
	fe->sock_mode = cfg->sock_mode;
	fe->sock_gid = cfg->sock_gid;
	fe->pairs = cfg->pairs;
	fe->queue_size = cfg->queue_size;
	fe->wanted = cfg->features;
	fe->mtu = cfg->mtu;
	memcpy(fe->mac.addr, cfg->mac, sizeof(fe->mac.addr));
	fe->mac_given = cfg->mac_given;
	fe->promisc = cfg->promisc;
	fe->allmulti = cfg->allmulti;
	fe->log.wanted = cfg->dirty_log && !vhost_fe_session_kernel(fe);
	fe->iotlb_pages = cfg->iotlb_pages;
	fe->ops = cfg->ops;
	fe->ctx = cfg->ctx;
	fe->loop = cfg->loop;
	fe->given = fe->fresh = cfg->dev != NULL;
	fe->dev = fe->given ? cfg->dev : &fe->own;
	fe->up_ms = VHOST_FE_UP_MS;
}

int
vhost_fe_new(const struct vhost_fe_config *cfg, struct vhost_fe **out)
{
	struct vhost_fe *fe = calloc(1, sizeof(*fe));
	int rc;

	if (fe == NULL)
		return -ENOMEM;
	keep_config(fe, cfg);
	pthread_mutex_init(&fe->public.lock, NULL);
	fe->cvq.kickfd = -1;
	rc = reserve_all(fe, cfg->drv);
	if (rc != 0) {
		vhost_fe_free(fe);
		return rc;
	}
	*out = fe;
	return 0;
}

void
vhost_fe_get_info(const struct vhost_fe *fe, struct vhost_fe_info *info)
{
	*info = (struct vhost_fe_info){
		.limits = fe->limits,
		.connected = fe->connected,
		.running = fe->running,
		.connects = fe->connects,
		.disconnects = fe->disconnects,
		.up_since_ns = fe->up_since_ns,
		.pairs = fe->running ? fe->in_use : 0,
		.guest_offloads = fe->running ? fe->guest_offloads : 0,
		.control_queue = fe->cvq.ring != NULL,
		.notifiers = vhost_fe_rings_notifiers(fe),
		.status = fe->dev->status,
		.backend = fe->dev->backend,
		.dirty_pages = vhost_fe_log_pages(fe),
	};
	snprintf(info->tap, sizeof(info->tap), "%s", vhost_net_ifname(fe->dev));
	memcpy(info->why, fe->why, sizeof(info->why));
}

void
vhost_fe_get_limits(struct vhost_fe *fe, struct vhost_fe_limits *limits)
{
	pthread_mutex_lock(&fe->public.lock);
	*limits = fe->public.limits;
	pthread_mutex_unlock(&fe->public.lock);
}

uint32_t
vhost_fe_ring_size(struct vhost_fe *fe)
{
	struct vhost_fe_limits limits;

	vhost_fe_get_limits(fe, &limits);
	return vhost_fe_ring_fit(fe, limits.ring_max, limits.offered & fe->wanted &
				 VIRTQ_BIT(VIRTIO_F_RING_PACKED));
}

const char *
vhost_fe_peer(const struct vhost_fe *fe)
{
	return vhost_fe_session_kernel(fe) ? "device" : "back-end";
}
