/* SPDX-License-Identifier: BSD-3-Clause */
/* The back-end channel: requests of ours to the front-end, on a socket that it gave us. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "vhost_be_session.h"

static const char *
chan_message(struct vhu_conn *c, struct vhu_msg *msg)
{
	/* No request of ours asks for an answer yet. */
	return "an answer that nobody asked for";
}

/* Garbage or the end: the session can do without. */
static void
chan_closed(struct vhu_conn *c, const char *why, bool framing)
{
	vhost_be_session_log(c->owner, VHOST_LOG_INFO, "back-end channel dropped: %s", why);
}

static const struct vhu_conn_ops chan_ops = {
	.message = chan_message,
	.closed = chan_closed,
};

void
vhost_be_chan_init(struct vhost_be *be)
{
	vhu_conn_init(&be->chan, be->loop, &chan_ops, be, true);
	be->chan.rx.closer = be->closer;
}

static bool
is_unix_stream(int fd)
{
	int domain = 0, type = 0;
	socklen_t len = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
}

/*
 * Whether fd is the far end of our own connection. Holding that would keep the connection from
 * ever ending. Socket names tell: an unnamed socket is given one, which its other end then sees.
 */
static bool
is_far_end(int ours, int fd)
{
	const struct sockaddr_un unnamed = { .sun_family = AF_UNIX };
	struct sockaddr_un name = { 0 }, peer = { 0 };
	socklen_t name_len = sizeof(name), peer_len = sizeof(peer);

	if (getsockname(fd, (struct sockaddr *)&name, &name_len) == 0 &&
	    name_len == sizeof(sa_family_t)) {
		bind(fd, (const struct sockaddr *)&unnamed, sizeof(sa_family_t));
		name_len = sizeof(name);
	}
	return getsockname(fd, (struct sockaddr *)&name, &name_len) == 0 &&
	       getpeername(ours, (struct sockaddr *)&peer, &peer_len) == 0 &&
	       name_len == peer_len && name_len > sizeof(sa_family_t) &&
	       memcmp(&name, &peer, name_len) == 0;
}

/*
 * Whether fd is the far end of another connection of this process, be it accepted or not. Two
 * ports that hold the ends of each other's connection would never see their peers leave. All
 * sockets of connections have names on our side (vhu_sock.c); those of socketpair() have none.
 */
static bool
ends_here(int fd)
{
	struct ucred far = { 0 };
	struct sockaddr_un name = { 0 };
	socklen_t far_len = sizeof(far), name_len = sizeof(name);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &far, &far_len) == 0 &&
	       far.pid == getpid() &&
	       getpeername(fd, (struct sockaddr *)&name, &name_len) == 0 &&
	       name_len > sizeof(sa_family_t);
}

int
vhost_be_chan_on_set_backend_req_fd(struct vhost_be *be, struct vhu_msg *msg)
{
	/* User-Mode Linux gives a pipe. The session has nothing to say, so it does without. */
	if (!is_unix_stream(msg->fds[0])) {
		vhu_conn_close(&be->chan);
		return 0;
	}
	if (is_far_end(be->conn.watch.fd, msg->fds[0]))
		return vhost_be_session_refuse(be, -EINVAL,
					       "the back-end channel is the connection itself");
	if (ends_here(msg->fds[0]))
		return vhost_be_session_refuse(be, -EINVAL,
					       "the back-end channel is a connection of a port");
	vhu_conn_close(&be->chan);
	if (vhu_conn_open(&be->chan, vhu_codec_take_fd(msg, 0)) < 0)
		return vhost_be_session_refuse(be, -EINVAL,
					       "the back-end channel cannot be watched");
	return 0;
}
