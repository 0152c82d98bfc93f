/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The back-end channel: requests of the back-end. They are reported to the owner later, from the
 * loop, because a request of the owner may be in progress.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vhost_user_session.h"

static bool
serve_config_change(struct vhost_user *u, const struct vhu_msg *msg)
{
	if (msg->hdr.size != 0 || msg->nfds != 0 || !vhost_user_has(u->dev, VHU_PF_CONFIG))
		return false;
	u->config_changed = true;
	evloop_timer_set(u->dev->loop, &u->soon, 0);
	return true;
}

/* Whether the request was served. Its fds are closed in any case. */
static bool
serve_backend(struct vhost_user *u, struct vhu_msg *msg)
{
	switch (msg->hdr.request) {
	case VHU_BACKEND_IOTLB_MSG:
		return vhost_user_iotlb_serve(u, msg);
	case VHU_BACKEND_CONFIG_CHANGE:
		return serve_config_change(u, msg);
	case VHU_BACKEND_VRING_HOST_NOTIFIER:
		return vhost_user_notifier_serve(u, msg);
	default:
		return false;
	}
}

static const char *
backend_request(struct vhu_conn *c, struct vhu_msg *msg)
{
	struct vhost_user *u = c->owner;
	const uint64_t ack = serve_backend(u, msg) ? 0 : 1;
	const struct vhu_hdr hdr = { msg->hdr.request, VHU_FLAGS_REPLY, sizeof(ack) };

	if (!(msg->hdr.flags & VHU_FLAG_NEED_REPLY) ||
	    !vhost_user_has(u->dev, VHU_PF_REPLY_ACK))
		return NULL;
	return vhu_conn_send(c, &hdr, &ack) < 0 ? "the back-end does not read its answers" : NULL;
}

static void
backend_closed(struct vhu_conn *c, const char *why, bool framing)
{
	/* The session goes on without the channel. */
}

static const struct vhu_conn_ops chan_ops = {
	.message = backend_request,
	.closed = backend_closed,
};

void
vhost_user_chan_init(struct vhost_user *u)
{
	vhu_conn_init(&u->chan, u->dev->loop, &chan_ops, u, false);
	u->chan.rx.closer = u->dev->closer;
}

int
vhost_user_chan_open(struct vhost_user *u)
{
	struct vhost_user_io_request req = { .request = VHU_SET_BACKEND_REQ_FD, .nfds = 1 };
	int pair[2], rc;

	vhu_conn_close(&u->chan);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return vhost_dev_fail(u->dev, -errno, "no back-end channel: too few descriptors");
	rc = vhu_conn_open(&u->chan, pair[0]);
	if (rc == 0) {
		req.fds = &pair[1];
		rc = vhost_user_io_order(u, &req);
	} else {
		vhost_dev_fail(u->dev, rc, "the back-end channel cannot be watched: %s",
			       strerror(-rc));
	}
	close(pair[1]);
	if (rc == -EIO) {
		vhu_conn_close(&u->chan);
		rc = 0;
	}
	return rc;
}
