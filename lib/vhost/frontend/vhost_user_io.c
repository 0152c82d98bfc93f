/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests to a back-end and their answers. The caller waits, timeout_ms at most, and meanwhile the
 * back-end's own requests are served: it may need an answer to them before it can give ours.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vhost_user_session.h"
#include "vhost_names.h"
#include "evloop_close.h"

/*
 * The session is over, and dev->why says why. The back-end reads the end of it; that it has stopped
 * shows when its own end is closed, so that ours stays open for vhost_user_io_quiesce().
 */
static int
end_with_reason(struct vhost_user *u, int rc)
{
	evloop_watch_del(&u->watch);
	shutdown(u->watch.fd, SHUT_WR);
	u->left = u->watch.fd;
	u->watch.fd = -1;
	vhu_codec_rx_reset(&u->rx);
	vhu_codec_tx_reset(&u->tx);
	vhu_conn_close(&u->chan);
	u->error = rc;
	u->lost = true;
	evloop_timer_set(u->dev->loop, &u->soon, 0);
	return rc;
}

int
vhost_user_io_end(struct vhost_user *u, int rc, const char *fmt, ...)
{
	struct vhost_dev *dev = u->dev;
	va_list ap;

	if (u->watch.fd < 0)
		return u->error;
	va_start(ap, fmt);
	vsnprintf(dev->why, sizeof(dev->why), fmt, ap);
	va_end(ap);
	return end_with_reason(u, rc);
}

int
vhost_user_io_quiesce(struct vhost_dev *dev, uint32_t ms)
{
	struct vhost_user *u = dev->priv;
	const uint64_t end = evloop_now_ns() + ms * UINT64_C(1000000);
	struct pollfd p;
	uint64_t now;

	vhost_user_io_end(u, -ECONNRESET, "the rings were not stopped");
	/* What it still says is left unread. */
	p = (struct pollfd){ .fd = u->left, .events = POLLRDHUP };
	for (;;) {
		now = evloop_now_ns();
		if (now >= end)
			return -ETIMEDOUT;
		if (poll(&p, 1, (int)((end - now + 999999) / 1000000)) > 0)
			return 0;
	}
}

void
vhost_user_io_report(struct evloop_timer *t)
{
	struct vhost_user *u = t->owner;
	struct vhost_dev *dev = u->dev;
	const struct vhost_dev_events *ev = dev->events;
	const bool lost = u->lost, config = u->config_changed;

	u->lost = u->config_changed = false;
	/* Either may close the device: nothing of it is touched afterwards. */
	if (ev != NULL && lost && ev->lost != NULL)
		ev->lost(dev->ctx, dev->why);
	else if (ev != NULL && !lost && config && ev->config_changed != NULL)
		ev->config_changed(dev->ctx);
}

/* What came on the main socket although nothing was asked. 0, or the session is over. */
static int
check_quiet(struct vhost_user *u)
{
	int rc;

	vhu_codec_rx_next(&u->rx); /* the last answer is of no use any more */
	rc = vhu_codec_rx_read(&u->rx, u->watch.fd);
	if (rc == 0 && u->rx.got == 0)
		return 0;
	if (rc >= 0)
		return vhost_user_io_end(u, -EPROTO, "the back-end sent an answer that nobody "
					 "asked for");
	if (rc == -EPROTO)
		return vhost_user_io_end(u, rc, "the back-end broke the protocol: %s", u->rx.why);
	if (rc != -ECONNRESET)
		return vhost_user_io_end(u, -ECONNRESET, "the socket cannot be read: %s",
					 strerror(-rc));
	return vhost_user_io_end(u, -ECONNRESET, "the back-end closed the connection");
}

void
vhost_user_io_ready(struct evloop_watch *w, uint32_t events)
{
	/* Whatever the event, reading shows what it was. */
	check_quiet(w->owner);
}

static int
answer_is_late(struct vhost_user *u, uint32_t request)
{
	if (u->watch.fd < 0)
		return u->error;
	vhost_dev_late(u->dev, vhost_names_request(request));
	return end_with_reason(u, -ETIMEDOUT);
}

/*
 * Wait for the main socket, serving the channel. 1: try again; 0: not yet; or the session is
 * over.
 */
static int
wait_round(struct vhost_user *u, uint32_t request, short events, uint64_t deadline)
{
	struct vhost_dev *dev = u->dev;
	struct pollfd p[3] = {
		{ .fd = u->watch.fd, .events = events },
		{ .fd = u->chan.watch.fd, .events = (short)u->chan.watch.events },
		{ .fd = dev->hurried ? -1 : dev->hurry_fd, .events = POLLIN },
	};
	const uint64_t now = evloop_now_ns();

	if (dev->end_ns != 0 && dev->end_ns < deadline)
		deadline = dev->end_ns;
	if (now >= deadline)
		return answer_is_late(u, request);
	if (poll(p, 3, (int)((deadline - now + 999999) / 1000000)) < 0)
		return 0; /* EINTR: look at the clock */
	if (p[2].revents != 0)
		vhost_dev_hurry(dev);
	if (p[1].revents != 0)
		u->chan.watch.ready(&u->chan.watch, (uint32_t)p[1].revents);
	return p[0].revents != 0;
}

static uint64_t
deadline_of(const struct vhost_user *u)
{
	return evloop_now_ns() + u->dev->timeout_ms * UINT64_C(1000000);
}

/* With the error of a connection that cannot go on: its end, or a want of this process. */
static int
connection_failed(struct vhost_user *u, uint32_t request, int rc)
{
	if (rc != -EPIPE && rc != -ECONNRESET)
		return vhost_user_io_end(u, -ECONNRESET, "no exchange of messages at %s: %s",
					 vhost_names_request(request), strerror(-rc));
	return vhost_user_io_end(u, -ECONNRESET, "the back-end closed the connection at %s",
				 vhost_names_request(request));
}

int
vhost_user_io_send(struct vhost_user *u, const struct vhost_user_io_request *req, uint32_t flags)
{
	const struct vhu_hdr hdr = { req->request, VHU_VERSION | flags, req->size };
	const uint64_t deadline = deadline_of(u);
	int rc;

	if (u->watch.fd < 0)
		return -ENOTCONN;
	rc = check_quiet(u);
	if (rc < 0)
		return rc;
	rc = vhu_codec_tx_push(&u->tx, u->watch.fd, &hdr, req->payload, req->fds, req->nfds);
	if (rc < 0)
		return connection_failed(u, req->request, rc);
	while (u->tx.bytes > 0) {
		rc = wait_round(u, req->request, POLLOUT, deadline);
		if (rc < 0)
			return rc;
		if (rc > 0)
			rc = vhu_codec_tx_flush(&u->tx, u->watch.fd);
		if (rc < 0)
			return connection_failed(u, req->request, rc);
	}
	u->last = req->request;
	return 0;
}

static int
receive_answer(struct vhost_user *u, uint32_t request)
{
	const uint64_t deadline = deadline_of(u);
	int rc;

	for (;;) {
		rc = wait_round(u, request, POLLIN, deadline);
		if (rc < 0)
			return rc;
		if (rc == 0)
			continue;
		rc = vhu_codec_rx_read(&u->rx, u->watch.fd);
		if (rc == 1)
			return 0;
		if (rc == -EPROTO)
			return vhost_user_io_end(u, rc, "the answer to %s breaks the protocol: %s",
						 vhost_names_request(request), u->rx.why);
		if (rc < 0)
			return connection_failed(u, request, rc);
	}
}

/* An answer has to be for this request, of a right size, and brings no file descriptors. */
static int
receive_checked(struct vhost_user *u, uint32_t request, uint32_t min, uint32_t max)
{
	const struct vhu_msg *msg = &u->rx.msg;
	int rc = receive_answer(u, request);

	if (rc < 0)
		return rc;
	if (msg->hdr.request != request)
		return vhost_user_io_end(u, -EPROTO, "%s was answered with an answer to request %u",
					 vhost_names_request(request), msg->hdr.request);
	if (msg->hdr.size < min || msg->hdr.size > max)
		return vhost_user_io_end(u, -EPROTO, "the answer to %s has %u bytes, not %u",
					 vhost_names_request(request), msg->hdr.size, max);
	if (msg->nfds > 0)
		return vhost_user_io_end(u, -EPROTO, "the answer to %s brought file descriptors",
					 vhost_names_request(request));
	return 0;
}

int
vhost_user_io_ask(struct vhost_user *u, const struct vhost_user_io_request *req, uint32_t min,
		  uint32_t max)
{
	int rc = vhost_user_io_send(u, req, 0);

	return rc < 0 ? rc : receive_checked(u, req->request, min, max);
}

int
vhost_user_io_ask_u64(struct vhost_user *u, uint32_t request, uint64_t *value)
{
	const struct vhost_user_io_request req = { .request = request };
	int rc = vhost_user_io_ask(u, &req, sizeof(*value), sizeof(*value));

	if (rc == 0)
		*value = u->rx.msg.u64;
	return rc;
}

int
vhost_user_io_order(struct vhost_user *u, const struct vhost_user_io_request *req)
{
	int rc;

	if (!vhost_user_has(u->dev, VHU_PF_REPLY_ACK))
		return vhost_user_io_send(u, req, 0);
	rc = vhost_user_io_send(u, req, VHU_FLAG_NEED_REPLY);
	if (rc == 0)
		rc = receive_checked(u, req->request, sizeof(uint64_t), sizeof(uint64_t));
	if (rc == 0 && u->rx.msg.u64 != 0)
		rc = vhost_dev_fail(u->dev, -EIO, "the back-end refused %s",
				    vhost_names_request(req->request));
	return rc;
}

int
vhost_user_io_order_u64(struct vhost_user *u, uint32_t request, uint64_t value)
{
	const struct vhost_user_io_request req = {
		.request = request,
		.payload = &value,
		.size = sizeof(value),
	};

	return vhost_user_io_order(u, &req);
}

int
vhost_user_io_barrier(struct vhost_user *u)
{
	uint64_t features;

	if (vhost_user_has(u->dev, VHU_PF_REPLY_ACK))
		return 0;
	return vhost_user_io_ask_u64(u, VHU_GET_FEATURES, &features);
}
