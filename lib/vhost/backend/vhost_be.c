/* SPDX-License-Identifier: BSD-3-Clause */
/* A session's life: it connects, hands messages on, and disconnects. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "evloop_later.h"
#include "vhost_be.h"
#include "vhost_be_session.h"
#include "virtq_notify.h"

/* How soon a ring that a burst found broken, or memory that was cut short, is noticed. */
#define TICK_MS 1000
#define MIN_SLOTS 256

static const char *
be_message(struct vhu_conn *c, struct vhu_msg *msg)
{
	struct vhost_be *be = c->owner;
	const char *why;

	be->messages++;
	INFO_ADD(be, messages);
	vhost_be_session_serve(be, true);
	why = vhost_be_dispatch(be, msg);
	vhost_be_session_serve(be, false);
	return why;
}

/*
 * QEMU compares the offer with what its guest acknowledged elsewhere, under other arguments or with
 * another driver, and leaves without a word when something is missing. It has prepared its rings by
 * then, which nobody does who only looks. It may come back.
 */
static void
note_unsatisfied(struct vhost_be *be)
{
	if (be->negotiated) {
		be->unsatisfied = 0;
		return;
	}
	if (!be->prepared)
		return;
	be->unsatisfied++;
	if (be->unsatisfied == 1 && be->fallback != 0)
		vhost_be_session_log(be, VHOST_LOG_NOTICE, "the front-end left when it knew the "
				     "features: more are offered to the next one");
	else if (be->unsatisfied == 1 + (be->fallback != 0))
		vhost_be_session_log(be, VHOST_LOG_WARNING, "the front-end left when it knew the "
				     "features: its guest may have some that are not served, and "
				     "has to load its driver anew");
}

/* Everything of a connection that ended; its socket is closed already. */
static void
forget_connection(struct vhost_be *be, const char *why)
{
	const bool healthy = be->messages > 0;

	note_unsatisfied(be);
	evloop_timer_cancel(&be->tick);
	/* Before bursts are waited for, which may wait for pages. */
	vhost_be_postcopy_close(be, false);
	vhost_be_rings_stop(be);
	for (uint16_t i = 0; i < be->nrings; i++)
		vhost_be_ring_drop(&be->vring[i]);
	vhost_be_mem_swap(be, NULL);
	virtq_log_put(be->log);
	be->log = NULL;
	vhost_be_inflight_close(be);
	vhost_be_devstate_close(be);
	vhu_conn_close(&be->chan);
	be->features = be->protocol = 0;
	be->features_set = be->features_bad = false;
	be->status = 0;
	INFO_SET(be, status, 0);
	INFO_SET(be, connected, false);
	INFO_SET(be, last_disconnect, why);
	INFO_ADD(be, disconnects);
	vhost_be_session_report_features(be);
	be->ops->connected(be->ctx, false, why);
	vhost_be_session_log(be, VHOST_LOG_NOTICE, "front-end gone: %s", why);
	vhu_sock_again(&be->sock, healthy);
}

static void
be_closed(struct vhu_conn *c, const char *why, bool framing)
{
	struct vhost_be *be = c->owner;

	if (framing)
		INFO_ADD(be, framing_errors);
	forget_connection(be, why);
}

static const struct vhu_conn_ops conn_ops = {
	.message = be_message,
	.closed = be_closed,
	.behind = vhost_be_mem_is_behind,
};

static void
drop_front_end(struct vhost_be *be, const char *why)
{
	if (!vhu_conn_is_open(&be->conn))
		return;
	vhu_conn_close(&be->conn);
	forget_connection(be, why);
}

/* True: the front-end had to go. */
static bool
drop_if_cut(struct vhost_be *be)
{
	const char *why = NULL;

	if (virtq_mem_poisoned(be->mem))
		why = "the front-end cut the shared memory short";
	else if (virtq_log_failed(be->log))
		why = "the log is too short for what was written, or was cut short";
	else if (vhost_be_postcopy_failed(be))
		why = "a page of memory that comes page by page was waited for too long";
	else if (be->inflight.map != NULL && virtq_mem_map_poisoned(be->inflight.map))
		why = "the front-end cut the memory of in-flight tracking short";
	if (why != NULL)
		drop_front_end(be, why);
	return why != NULL;
}

/* A burst met the end of a file. It may be of memory that is on its way out. */
static void
memory_was_cut(struct evloop_watch *w, uint32_t events)
{
	virtq_notify_take(w->fd);
	drop_if_cut(w->owner);
}

static void
tick_expired(struct evloop_timer *t)
{
	struct vhost_be *be = t->owner;

	if (drop_if_cut(be))
		return;
	vhost_be_session_serve(be, true);
	for (uint16_t i = 0; i < be->nrings; i++)
		vhost_be_ring_check(be, &be->vring[i]);
	/* A burst that waits for a page, which had come before, is found so. */
	if (be->iotlb.by_pages)
		be->ops->quiesce(be->ctx);
	vhost_be_session_serve(be, false);
	evloop_timer_set(be->loop, t, TICK_MS);
}

static void
front_end_connected(struct vhu_sock *s, int fd)
{
	struct vhost_be *be = s->owner;
	int rc;

	be->offered = be->next_features | (be->unsatisfied > 0 ? be->fallback : 0);
	be->acceptable = be->next_features | be->fallback | be->tolerated;
	be->prepared = be->negotiated = false;
	be->messages = 0;
	be->mem_repeated = false;
	be->rejected = false;
	rc = vhu_conn_open(&be->conn, fd);
	if (rc < 0) {
		vhost_be_session_log(be, VHOST_LOG_WARNING, "a front-end on %s was turned away, "
				     "its connection cannot be watched: %s", s->addr.sun_path,
				     strerror(-rc));
		vhu_sock_again(s, false);
		return;
	}
	evloop_timer_set(be->loop, &be->tick, TICK_MS);
	INFO_SET(be, connected, true);
	INFO_SET(be, connected_since_ns, evloop_now_ns());
	INFO_ADD(be, connects);
	vhost_be_session_log(be, VHOST_LOG_NOTICE, "front-end connected on %s", s->addr.sun_path);
	be->ops->connected(be->ctx, true, NULL);
}

static bool
session_is_vacant(struct vhu_sock *s)
{
	struct vhost_be *be = s->owner;
	struct pollfd p = { .fd = be->conn.watch.fd, .events = POLLRDHUP };

	if (!vhu_conn_is_open(&be->conn))
		return true;
	/*
	 * A front-end that was restarted can connect before the loop has seen its former connection
	 * end.
	 */
	if (poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLRDHUP | POLLERR))) {
		drop_front_end(be, "peer closed the connection");
		return true;
	}
	if (!be->rejected)
		vhost_be_session_log(be, VHOST_LOG_WARNING,
				     "a second front-end on %s was rejected: one is served at a "
				     "time",
				     s->addr.sun_path);
	be->rejected = true;
	return false;
}

static void
front_end_awaited(struct vhu_sock *s, int error)
{
	vhost_be_session_log(s->owner, VHOST_LOG_NOTICE, "waiting for a front-end on %s: %s",
			     s->addr.sun_path,
			     strerror(-error));
}

static const struct vhu_sock_ops sock_ops = {
	.peer = front_end_connected,
	.vacant = session_is_vacant,
	.waiting = front_end_awaited,
};

static void
be_release(struct vhost_be *be)
{
	vhost_be_state_close(be);
	vhost_be_miss_close(be);
	vhost_be_mem_close(be);
	evloop_later_put(be->closer);
	free(be->vq);
	free(be->vring);
	free(be->rings);
	vhost_be_relay_count_put(be->relays);
	free(be);
}

/* A session without a socket; NULL: out of memory. */
static struct vhost_be *
be_alloc(const struct vhost_be_config *cfg)
{
	struct vhost_be *be = calloc(1, sizeof(*be));

	if (be == NULL)
		return NULL;
	be->ops = cfg->ops;
	be->ctx = cfg->ctx;
	be->loop = cfg->loop;
	be->nrings = (uint16_t)(2 * cfg->max_pairs);
	be->sealed = cfg->sealed;
	be->iommu_keeps = cfg->iommu_keeps;
	be->mem_slots = cfg->mem_slots < MIN_SLOTS ? MIN_SLOTS : cfg->mem_slots;
	if (be->mem_slots > VIRTQ_MEM_MAX_REGIONS)
		be->mem_slots = VIRTQ_MEM_MAX_REGIONS;
	be->protocol_offered = cfg->protocol_features & VHOST_BE_PROTOCOL;
	be->tolerated = cfg->tolerated;
	be->fallback = cfg->fallback;
	if (cfg->state != NULL)
		snprintf(be->state.path, sizeof(be->state.path), "%s", cfg->state);
	be->about = -1;
	be->why = "";
	be->info.last_disconnect = "";
	be->tick = (struct evloop_timer){ .expired = tick_expired, .owner = be };
	be->vq = calloc(be->nrings, sizeof(be->vq[0]));
	be->vring = calloc(be->nrings, sizeof(be->vring[0]));
	be->rings = calloc(be->nrings, sizeof(be->rings[0]));
	be->closer = evloop_later_new();
	be->relays = vhost_be_relay_count_new();
	if (be->vq == NULL || be->vring == NULL || be->rings == NULL || be->closer == NULL ||
	    be->relays == NULL || vhost_be_mem_open(be, memory_was_cut) < 0 ||
	    vhost_be_miss_open(be, cfg->features & VIRTQ_BIT(VIRTIO_F_ACCESS_PLATFORM),
			       cfg->protocol_features & VIRTQ_BIT(VHU_PF_PAGEFAULT)) < 0) {
		be_release(be);
		return NULL;
	}
	memcpy(be->vq, cfg->vq, be->nrings * sizeof(be->vq[0]));
	for (uint16_t i = 0; i < be->nrings; i++)
		vhost_be_ring_init(&be->vring[i], i);
	vhu_conn_init(&be->conn, be->loop, &conn_ops, be, false);
	be->conn.limited = true;
	be->conn.rx.closer = be->closer;
	vhost_be_chan_init(be);
	vhost_be_cvq_init(be);
	vhost_be_devstate_init(be);
	vhost_be_offer(be, cfg->features);
	return be;
}

int
vhost_be_new(const struct vhost_be_config *cfg, struct vhost_be **out, char *err, size_t errlen)
{
	struct vhu_sock_config sock = {
		.path = cfg->path,
		.client = cfg->client,
		.reconnect_ms = cfg->reconnect_ms,
		.mode = cfg->sock_mode,
		.gid = cfg->sock_gid,
	};
	struct vhost_be *be;
	int rc;

	if (cfg->max_pairs == 0 || cfg->max_pairs > VHOST_BE_MAX_PAIRS) {
		snprintf(err, errlen, "queue pairs: 1 to %d", VHOST_BE_MAX_PAIRS);
		return -EINVAL;
	}
	be = be_alloc(cfg);
	if (be == NULL) {
		snprintf(err, errlen, "out of memory");
		return -ENOMEM;
	}
	sock.closer = be->closer;
	rc = vhu_sock_open(&be->sock, &sock, be->loop, &sock_ops, be, err, errlen);
	if (rc < 0) {
		be_release(be);
		return rc;
	}
	*out = be;
	return 0;
}

void
vhost_be_free(struct vhost_be *be)
{
	if (be == NULL)
		return;
	drop_front_end(be, "the port was closed");
	vhu_sock_close(&be->sock);
	be_release(be);
}

void
vhost_be_offer(struct vhost_be *be, uint64_t features)
{
	be->next_features = features | VIRTQ_BIT(VHOST_F_LOG_ALL) |
			    VIRTQ_BIT(VHOST_USER_F_PROTOCOL_FEATURES);
}

void
vhost_be_get_info(const struct vhost_be *be, struct vhost_be_info *info)
{
#define COPY(field) info->field = __atomic_load_n(&be->info.field, __ATOMIC_RELAXED)
	COPY(connected);
	COPY(features);
	COPY(protocol_features);
	COPY(messages);
	COPY(nacks);
	COPY(framing_errors);
	COPY(connects);
	COPY(disconnects);
	COPY(connected_since_ns);
	COPY(last_disconnect);
	COPY(nregions);
	COPY(iotlb_ranges);
	COPY(iotlb_misses);
	COPY(iotlb_updates);
	COPY(iotlb_invalidations);
	COPY(mem_sealed);
	COPY(status);
#undef COPY
}

const struct virtq_ring *
vhost_be_get_ring(const struct vhost_be *be, uint16_t qid)
{
	return qid < be->nrings ? be->vring[qid].ring : NULL;
}

void
vhost_be_move(struct vhost_be *be, struct virtq_dev *const *vq)
{
	memcpy(be->vq, vq, be->nrings * sizeof(be->vq[0]));
}

struct virtq_mem *
vhost_be_get_mem(const struct vhost_be *be)
{
	return be->mem;
}
