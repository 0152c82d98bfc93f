/* SPDX-License-Identifier: BSD-3-Clause */
/* What a front-end gives to signal and to be signalled with. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "vhost_be_session.h"

enum fd_kind {
	FD_OTHER,
	FD_EVENT,	/* an eventfd, or one of its like */
	FD_STREAM,	/* a pipe to be written, or a socket */
};

bool
vhost_be_fd_is_stream(int fd)
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

bool
vhost_be_fd_is_connection(const struct vhost_be *be, int fd)
{
	return is_far_end(be->conn.watch.fd, fd) || ends_here(fd);
}

/* What a process serves would be asked by fstat(). */
static enum fd_kind
kind_of_fd(int fd)
{
	const int flags = fcntl(fd, F_GETFL);
	struct statx st;

	if (flags < 0 ||
	    statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st) < 0)
		return FD_OTHER;
	if ((st.stx_mode & S_IFMT) == 0 && (flags & O_ACCMODE) == O_RDWR)
		return FD_EVENT;
	/* With a reading end of our own the writer would never hear that nobody reads. */
	if (S_ISFIFO(st.stx_mode) && (flags & O_ACCMODE) == O_WRONLY)
		return FD_STREAM;
	return S_ISSOCK(st.stx_mode) && vhost_be_fd_is_stream(fd) ? FD_STREAM : FD_OTHER;
}

/* Of descriptors without a file the name alone says what they are. */
bool
vhost_be_fd_is_eventfd(int fd)
{
	static const char event[] = "anon_inode:[eventfd]";
	char path[32], name[sizeof(event)];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	len = fd < 0 ? -1 : readlink(path, name, sizeof(name));
	return len == (ssize_t)strlen(event) && memcmp(name, event, (size_t)len) == 0;
}

int
vhost_be_fd_take_event(struct vhu_msg *msg)
{
	int flags;

	if (kind_of_fd(msg->fds[0]) != FD_EVENT)
		return -1;
	flags = fcntl(msg->fds[0], F_GETFL);
	if (!(flags & O_NONBLOCK) && fcntl(msg->fds[0], F_SETFL, flags | O_NONBLOCK) < 0)
		return -1;
	return vhu_codec_take_fd(msg, 0);
}

int
vhost_be_fd_take_call(struct vhost_be *be, struct vhu_msg *msg, int *fd,
		      struct vhost_be_relay **relay)
{
	int rc;

	if (kind_of_fd(msg->fds[0]) != FD_STREAM) {
		*fd = vhost_be_fd_take_event(msg);
		return *fd >= 0 ? 0 : vhost_be_session_refuse(be, -EINVAL, "not an eventfd");
	}
	if (vhost_be_fd_is_connection(be, msg->fds[0]))
		return vhost_be_session_refuse(be, -EINVAL,
					       "the call descriptor is a connection of a port");
	rc = vhost_be_relay_start(be->relays, msg->fds[0], relay, fd);
	if (rc < 0)
		return vhost_be_session_refuse(be, rc, rc == -EMFILE ?
					       "too many pipes to call the driver with" :
					       "no thread, memory or descriptor for a pipe to "
					       "call the driver with");
	vhu_codec_take_fd(msg, 0);
	return 0;
}
