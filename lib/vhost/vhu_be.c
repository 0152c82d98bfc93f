/* SPDX-License-Identifier: BSD-3-Clause */
/* A session's life: it connects, takes messages and answers them, and disconnects. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vhu_be_priv.h"

/* How soon a ring that a burst found broken, or memory that was cut short, is noticed. */
#define TICK_MS 1000
/* Lines that a session may log in a second: peers must not fill disks. Debugging may have more. */
#define LOG_LINES 20
#define LOG_DEBUG_LINES 500
#define MIN_SLOTS 256

/* Device features that need more of a session than it has: a log, an IOTLB. */
#define UNSERVED_FEATURES (VHU_BIT(VHOST_F_LOG_ALL) | VHU_BIT(VIRTIO_F_ACCESS_PLATFORM))

void
vhu_be_log(struct vhu_be *be, enum vhu_log_level level, const char *fmt, ...)
{
	const uint32_t limit = level == VHU_LOG_DEBUG ? LOG_DEBUG_LINES : LOG_LINES;
	uint32_t *lines = &be->log_lines[level == VHU_LOG_DEBUG];
	const uint64_t now = evloop_now_ns();
	char line[256];
	va_list ap;

	if (now - be->log_window_ns >= 1000000000) {
		be->log_window_ns = now;
		memset(be->log_lines, 0, sizeof(be->log_lines));
	}
	if (*lines >= limit)
		return;
	++*lines;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	be->ops->log(be->ctx, level, line);
	if (*lines == limit)
		be->ops->log(be->ctx, level, "more lines of this second are not shown");
}

int
vhu_refuse(struct vhu_be *be, int rc, const char *why)
{
	be->why = why;
	return rc;
}

void
vhu_be_tell_features(struct vhu_be *be)
{
	INFO_SET(be, features, be->features);
	INFO_SET(be, protocol_features, be->protocol);
	be->ops->features(be->ctx, be->features, be->protocol);
}

void
vhu_be_reset_device(struct vhu_be *be)
{
	vhu_rings_stop(be);
	for (uint16_t i = 0; i < be->nrings; i++)
		vhu_ring_reset(&be->ring[i]);
	be->features = 0;
	be->features_set = false;
	be->features_bad = false;
	be->status = 0;
	INFO_SET(be, status, 0);
	vhu_be_tell_features(be);
}

static bool
gate_open(const struct vhu_be *be, uint8_t gate)
{
	switch (gate) {
	case VHU_GATE_NONE:
		return true;
	case VHU_GATE_ENABLE: /* QEMU sends it before SET_FEATURES */
		return !be->features_set ||
		       (be->features & VHU_BIT(VHOST_USER_F_PROTOCOL_FEATURES));
	case VHU_GATE_IOMMU:
		return be->features & VHU_BIT(VIRTIO_F_ACCESS_PLATFORM);
	default:
		return be->protocol & VHU_BIT(gate - 1);
	}
}

/* Everything about a message that its row can tell, then its handler. */
static int
serve(struct vhu_be *be, const struct vhu_row *row, struct vhu_msg *msg)
{
	if (row == NULL)
		return vhu_refuse(be, -ENOTSUP, "unknown request");
	if (msg->hdr.size < row->min || msg->hdr.size > row->max)
		return vhu_refuse(be, -EMSGSIZE, "payload of a wrong size");
	if (msg->nfds < row->fds_min || msg->nfds > row->fds_max)
		return vhu_refuse(be, -EINVAL, "wrong number of fds");
	if (!gate_open(be, row->gate))
		return vhu_refuse(be, -ENOTSUP, "its feature was not negotiated");
	if (row->handle == NULL)
		return vhu_refuse(be, -ENOTSUP, "not served");
	if (!(row->when & (vhu_rings_run(be) ? VHU_WHEN_RUNNING : VHU_WHEN_IDLE)))
		return vhu_refuse(be, -EBUSY, "not while a ring runs");
	return row->handle(be, msg);
}

/* NULL, or why the connection has to be closed. */
static const char *
send_answer(struct vhu_be *be, struct vhu_msg *msg)
{
	const struct vhu_hdr hdr = {
		.request = msg->hdr.request,
		.flags = VHU_FLAGS_REPLY,
		.size = msg->hdr.size,
	};

	return vhu_conn_send(&be->conn, &hdr, msg->raw) < 0 ? "peer closed the connection" : NULL;
}

static const char *
send_u64(struct vhu_be *be, struct vhu_msg *msg, uint64_t value)
{
	msg->u64 = value;
	msg->hdr.size = sizeof(msg->u64);
	return send_answer(be, msg);
}

static const char *
refuse_answered(struct vhu_be *be, const struct vhu_row *row, struct vhu_msg *msg)
{
	switch (row->refusal) {
	case VHU_REFUSE_U64:
		return send_u64(be, msg, row->refusal_value);
	case VHU_REFUSE_EMPTY:
		msg->hdr.size = 0;
		return send_answer(be, msg);
	case VHU_REFUSE_ZEROS:
		msg->hdr.size = row->max;
		memset(msg->raw, 0, row->max);
		return send_answer(be, msg);
	case VHU_REFUSE_CLOSE:
	default:
		return "a request was refused that has no answer for it";
	}
}

/* Answer as the kind of message and the outcome want it. NULL, or why to close. */
static const char *
answer(struct vhu_be *be, const struct vhu_row *row, struct vhu_msg *msg, int rc)
{
	const bool asked = msg->hdr.flags & VHU_FLAG_NEED_REPLY;

	if (rc == -EMSGSIZE)
		return be->why;
	if (row != NULL && row->reply == VHU_REPLY_ALWAYS)
		return rc == 0 ? send_answer(be, msg) : refuse_answered(be, row, msg);
	/* Also without REPLY_ACK: who sets the flag waits. */
	if (rc >= 0)
		return asked ? send_u64(be, msg, rc != 0) : NULL;
	if (asked && (be->protocol & VHU_BIT(VHU_PF_REPLY_ACK)))
		return send_u64(be, msg, 1);
	return be->why;
}

static const char *
be_message(struct vhu_conn *c, struct vhu_msg *msg)
{
	struct vhu_be *be = c->owner;
	const struct vhu_row *row = vhu_row(msg->hdr.request);
	const uint32_t request = msg->hdr.request;
	int rc, ring_rc;

	be->spoken++;
	be->about = -1;
	INFO_ADD(be, messages);
	rc = serve(be, row, msg);
	/* Whatever it was, a ring may be ready now, or not any more. */
	ring_rc = vhu_rings_settle(be);
	if (rc == 0 && ring_rc < 0)
		rc = VHU_DEFERRED;
	if (rc == 0) {
		vhu_be_log(be, VHU_LOG_DEBUG, "%s", vhu_request_name(request));
	} else {
		INFO_ADD(be, nacks);
		vhu_be_log(be, VHU_LOG_WARNING, "%s (%u) refused: %s", vhu_request_name(request),
			   request, be->why);
	}
	return answer(be, row, msg, rc);
}

/* Everything of a connection that ended; its socket is closed already. */
static void
forget_connection(struct vhu_be *be, const char *why)
{
	const bool healthy = be->spoken > 0;

	evloop_timer_cancel(&be->tick);
	vhu_rings_stop(be);
	for (uint16_t i = 0; i < be->nrings; i++)
		vhu_ring_drop(&be->ring[i]);
	vhu_mem_swap(be, NULL);
	vhu_conn_close(&be->chan);
	be->features = be->protocol = 0;
	be->features_set = be->features_bad = false;
	be->status = 0;
	INFO_SET(be, status, 0);
	INFO_SET(be, connected, false);
	INFO_SET(be, last_disconnect, why);
	INFO_ADD(be, disconnects);
	vhu_be_tell_features(be);
	be->ops->connected(be->ctx, false, why);
	vhu_be_log(be, VHU_LOG_NOTICE, "front-end gone: %s", why);
	vhu_sock_again(&be->sock, healthy);
}

static void
be_closed(struct vhu_conn *c, const char *why, bool framing)
{
	struct vhu_be *be = c->owner;

	if (framing)
		INFO_ADD(be, framing_errors);
	forget_connection(be, why);
}

static const struct vhu_conn_ops conn_ops = {
	.message = be_message,
	.closed = be_closed,
};

static void
disconnect(struct vhu_be *be, const char *why)
{
	if (!vhu_conn_is_open(&be->conn))
		return;
	vhu_conn_close(&be->conn);
	forget_connection(be, why);
}

static void
tick_expired(struct evloop_timer *t)
{
	struct vhu_be *be = t->owner;

	if (virtq_mem_poisoned(be->mem)) {
		disconnect(be, "the front-end cut the shared memory short");
		return;
	}
	for (uint16_t i = 0; i < be->nrings; i++)
		vhu_ring_check(be, &be->ring[i]);
	evloop_timer_set(be->loop, t, TICK_MS);
}

static void
peer_came(struct vhu_sock *s, int fd)
{
	struct vhu_be *be = s->owner;

	be->offered = be->next_features;
	be->spoken = 0;
	be->mem_repeated = false;
	be->turned_away = false;
	if (vhu_conn_open(&be->conn, fd) < 0) {
		vhu_sock_again(s, false);
		return;
	}
	evloop_timer_set(be->loop, &be->tick, TICK_MS);
	INFO_SET(be, connected, true);
	INFO_SET(be, connected_since_ns, evloop_now_ns());
	INFO_ADD(be, connects);
	vhu_be_log(be, VHU_LOG_NOTICE, "front-end connected on %s", s->addr.sun_path);
	be->ops->connected(be->ctx, true, NULL);
}

static bool
is_vacant(struct vhu_sock *s)
{
	struct vhu_be *be = s->owner;
	struct pollfd p = { .fd = be->conn.watch.fd, .events = POLLRDHUP };

	if (!vhu_conn_is_open(&be->conn))
		return true;
	/* One that restarted may knock before the end of its former life was noticed here. */
	if (poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLRDHUP | POLLERR))) {
		disconnect(be, "peer closed the connection");
		return true;
	}
	if (!be->turned_away)
		vhu_be_log(be, VHU_LOG_WARNING, "a second front-end on %s was turned away",
			   s->addr.sun_path);
	be->turned_away = true;
	return false;
}

static void
peer_waited_for(struct vhu_sock *s, int error)
{
	vhu_be_log(s->owner, VHU_LOG_NOTICE, "waiting for a front-end on %s: %s", s->addr.sun_path,
		   strerror(-error));
}

static const struct vhu_sock_ops sock_ops = {
	.peer = peer_came,
	.vacant = is_vacant,
	.waiting = peer_waited_for,
};

static void
be_release(struct vhu_be *be)
{
	free(be->vq);
	free(be->ring);
	free(be->runs);
	free(be);
}

/* A session without a socket; NULL: out of memory. */
static struct vhu_be *
be_alloc(const struct vhu_be_config *cfg)
{
	struct vhu_be *be = calloc(1, sizeof(*be));

	if (be == NULL)
		return NULL;
	be->ops = cfg->ops;
	be->ctx = cfg->ctx;
	be->loop = cfg->loop;
	be->nrings = (uint16_t)(2 * cfg->max_pairs);
	be->mem_slots = cfg->mem_slots < MIN_SLOTS ? MIN_SLOTS : cfg->mem_slots;
	if (be->mem_slots > VIRTQ_MEM_MAX_REGIONS)
		be->mem_slots = VIRTQ_MEM_MAX_REGIONS;
	be->protocol_offered = cfg->protocol_features & VHU_SERVED_PROTOCOL;
	be->about = -1;
	be->why = "";
	be->info.last_disconnect = "";
	be->tick = (struct evloop_timer){ .expired = tick_expired, .owner = be };
	be->vq = calloc(be->nrings, sizeof(be->vq[0]));
	be->ring = calloc(be->nrings, sizeof(be->ring[0]));
	be->runs = calloc(be->nrings, sizeof(be->runs[0]));
	if (be->vq == NULL || be->ring == NULL || be->runs == NULL) {
		be_release(be);
		return NULL;
	}
	memcpy(be->vq, cfg->vq, be->nrings * sizeof(be->vq[0]));
	for (uint16_t i = 0; i < be->nrings; i++)
		vhu_ring_init(&be->ring[i], i);
	vhu_conn_init(&be->conn, be->loop, &conn_ops, be, false);
	be->conn.limited = true;
	vhu_chan_init(be);
	vhu_be_offer(be, cfg->features);
	return be;
}

int
vhu_be_new(const struct vhu_be_config *cfg, struct vhu_be **out, char *err, size_t errlen)
{
	const struct vhu_sock_config sock = {
		.path = cfg->path,
		.client = cfg->client,
		.reconnect_ms = cfg->reconnect_ms,
		.mode = cfg->sock_mode,
		.gid = cfg->sock_gid,
	};
	struct vhu_be *be;
	int rc;

	if (cfg->max_pairs == 0 || cfg->max_pairs > VHU_BE_MAX_PAIRS) {
		snprintf(err, errlen, "queue pairs: 1 to %d", VHU_BE_MAX_PAIRS);
		return -EINVAL;
	}
	be = be_alloc(cfg);
	if (be == NULL) {
		snprintf(err, errlen, "out of memory");
		return -ENOMEM;
	}
	rc = vhu_sock_open(&be->sock, &sock, be->loop, &sock_ops, be, err, errlen);
	if (rc < 0) {
		be_release(be);
		return rc;
	}
	*out = be;
	return 0;
}

void
vhu_be_free(struct vhu_be *be)
{
	if (be == NULL)
		return;
	disconnect(be, "the port was closed");
	vhu_sock_close(&be->sock);
	be_release(be);
}

void
vhu_be_offer(struct vhu_be *be, uint64_t features)
{
	be->next_features = (features & ~UNSERVED_FEATURES) |
			    VHU_BIT(VHOST_USER_F_PROTOCOL_FEATURES);
}

void
vhu_be_get_info(const struct vhu_be *be, struct vhu_be_info *info)
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
	COPY(status);
#undef COPY
}

const struct virtq_run *
vhu_be_run(const struct vhu_be *be, uint16_t qid)
{
	return qid < be->nrings ? be->ring[qid].run : NULL;
}

struct virtq_mem *
vhu_be_mem(const struct vhu_be *be)
{
	return be->mem;
}
