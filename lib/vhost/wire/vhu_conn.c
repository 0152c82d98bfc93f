/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhu_conn.h"

#include <errno.h>
#include <sys/epoll.h>

#include "evloop_close.h"

bool
vhu_conn_is_lost(int rc)
{
	return rc == -EPIPE || rc == -ECONNRESET || rc == -EIO;
}

const char *
vhu_conn_why(int rc)
{
	return rc == -EPIPE || rc == -ECONNRESET ? "peer closed the connection" :
						   "no memory or descriptor to send a message";
}

static void
conn_fail(struct vhu_conn *c, const char *why, bool framing)
{
	vhu_conn_close(c);
	c->ops->closed(c, why, framing);
}

static uint64_t
credit_within(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Credit grows with time, and so does what is in reserve for connections to come. */
static void
conn_earn_credit(struct vhu_conn *c)
{
	const uint64_t each = 1000000000 / VHU_CONN_PER_SECOND, now = evloop_now_ns();
	const uint64_t more = (now - c->credit_ns) / each;
	const uint64_t credit = credit_within(more, VHU_CONN_CREDIT - c->credit);

	c->credit += (uint32_t)credit;
	c->reserve += (uint32_t)credit_within(more - credit, VHU_CONN_RESERVE - c->reserve);
	c->credit_ns += more * each;
}

/* Whether there is any. */
static bool
conn_has_credit(struct vhu_conn *c)
{
	conn_earn_credit(c);
	return c->credit > 0;
}

/* A new connection costs something, and has the full credit as long as there is a reserve. */
static void
conn_begin_credit(struct vhu_conn *c)
{
	uint32_t more;

	conn_earn_credit(c);
	c->reserve -= (uint32_t)credit_within(VHU_CONN_OPENING, c->reserve);
	more = (uint32_t)credit_within(VHU_CONN_CREDIT - c->credit, c->reserve);
	c->credit += more;
	c->reserve -= more;
}

/* What the peer has caused already is still to be done: no more is read from it meanwhile. */
static bool
conn_is_behind(const struct vhu_conn *c)
{
	return evloop_close_full(c->rx.closer) ||
	       (c->ops->behind != NULL && c->ops->behind(c->owner));
}

/* Read while there is something, but not for ever. False: the connection is closed. */
static bool
conn_read(struct vhu_conn *c)
{
	const uint64_t until = evloop_now_ns() + VHU_CONN_MAX_NS;

	/* A peer that does not read its answers is not listened to. */
	for (int n = 0; n < VHU_CONN_MAX_MESSAGES && c->tx.bytes == 0; n++) {
		const char *why;
		int rc;

		if (conn_is_behind(c) || (c->limited && !conn_has_credit(c))) {
			evloop_timer_set(c->loop, &c->throttled, VHU_CONN_THROTTLE_MS);
			break;
		}
		rc = vhu_codec_rx_read(&c->rx, c->watch.fd);

		if (rc < 0) {
			conn_fail(c, c->rx.why, rc == -EPROTO);
			return false;
		}
		if (rc == 0)
			break;
		c->credit -= c->limited;
		evloop_timer_cancel(&c->in_deadline);
		why = c->ops->message(c, &c->rx.msg);
		vhu_codec_rx_next(&c->rx);
		if (why != NULL) {
			conn_fail(c, why, false);
			return false;
		}
		if (evloop_now_ns() > until)
			break;
	}
	return true;
}

/* A half-received message has its time from the first byte on: a trickle does not extend it. */
static void
rearm_in(struct vhu_conn *c)
{
	if (c->rx.got == 0)
		evloop_timer_cancel(&c->in_deadline);
	else if (c->in_deadline.at_ns == 0)
		evloop_timer_set(c->loop, &c->in_deadline, VHU_CONN_DEADLINE_MS);
}

static void
rearm_out(struct vhu_conn *c)
{
	/* Of a hang-up, which is always reported, once is enough. */
	uint32_t events = c->tx.bytes > 0 ? EPOLLOUT :
			  c->throttled.at_ns == 0 ? EPOLLIN : EPOLLONESHOT;

	if (c->tx.bytes == 0)
		evloop_timer_cancel(&c->out_deadline);
	else if (c->out_deadline.at_ns == 0)
		evloop_timer_set(c->loop, &c->out_deadline, VHU_CONN_DEADLINE_MS);
	/* Else nobody would hear of what comes. */
	if (evloop_watch_mod(&c->watch, events) < 0)
		evloop_timer_set(c->loop, &c->throttled, VHU_CONN_THROTTLE_MS);
}

static void
conn_ready(struct evloop_watch *w, uint32_t events)
{
	struct vhu_conn *c = w->owner;

	if (c->tx.bytes > 0) {
		const int rc = vhu_codec_tx_flush(&c->tx, w->fd);

		if (rc < 0) {
			conn_fail(c, vhu_conn_why(rc), false);
			return;
		}
	}
	if ((events & (EPOLLHUP | EPOLLERR)) && conn_is_behind(c)) {
		conn_fail(c, "peer closed the connection", false);
		return;
	}
	if (!conn_read(c))
		return;
	rearm_in(c);
	rearm_out(c);
}

static void
in_expired(struct evloop_timer *t)
{
	conn_fail(t->owner, "a message was not completed in time", true);
}

static void
throttle_expired(struct evloop_timer *t)
{
	rearm_out(t->owner);
}

static void
out_expired(struct evloop_timer *t)
{
	conn_fail(t->owner, "peer does not read its replies", false);
}

void
vhu_conn_init(struct vhu_conn *c, struct evloop *loop, const struct vhu_conn_ops *ops,
	      void *owner, bool replies)
{
	c->watch = (struct evloop_watch){ .fd = -1, .ready = conn_ready, .owner = c };
	c->in_deadline = (struct evloop_timer){ .expired = in_expired, .owner = c };
	c->out_deadline = (struct evloop_timer){ .expired = out_expired, .owner = c };
	c->throttled = (struct evloop_timer){ .expired = throttle_expired, .owner = c };
	vhu_codec_rx_init(&c->rx, replies);
	vhu_codec_tx_init(&c->tx);
	c->credit = VHU_CONN_CREDIT;
	c->reserve = VHU_CONN_RESERVE;
	c->credit_ns = evloop_now_ns();
	c->ops = ops;
	c->loop = loop;
	c->owner = owner;
}

int
vhu_conn_open(struct vhu_conn *c, int fd)
{
	int rc;

	c->watch.fd = fd;
	c->watch.events = EPOLLIN;
	conn_begin_credit(c);
	rc = evloop_watch_add(c->loop, &c->watch);
	if (rc < 0) {
		evloop_close_connection(c->rx.closer, fd);
		c->watch.fd = -1;
	}
	return rc;
}

void
vhu_conn_close(struct vhu_conn *c)
{
	if (c->watch.fd < 0)
		return;
	evloop_timer_cancel(&c->in_deadline);
	evloop_timer_cancel(&c->out_deadline);
	evloop_timer_cancel(&c->throttled);
	evloop_watch_del(&c->watch);
	evloop_close_connection(c->rx.closer, c->watch.fd);
	c->watch.fd = -1;
	vhu_codec_rx_reset(&c->rx);
	vhu_codec_tx_reset(&c->tx);
}

static int
conn_push(struct vhu_conn *c, const struct vhu_hdr *hdr, const void *payload, const int *fds,
	  uint32_t nfds)
{
	int rc = vhu_codec_tx_push(&c->tx, c->watch.fd, hdr, payload, fds, nfds);

	if (rc == 0)
		rearm_out(c);
	return rc;
}

int
vhu_conn_send(struct vhu_conn *c, const struct vhu_hdr *hdr, const void *payload)
{
	return conn_push(c, hdr, payload, NULL, 0);
}

int
vhu_conn_send_fd(struct vhu_conn *c, const struct vhu_hdr *hdr, const void *payload, int fd)
{
	return conn_push(c, hdr, payload, &fd, 1);
}
