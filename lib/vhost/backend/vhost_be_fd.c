/* SPDX-License-Identifier: BSD-3-Clause */
/* What a front-end gives to signal and to be signalled with. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "vhost_be_session.h"

enum fd_kind {
	FD_OTHER,
	FD_EVENT,	/* an eventfd, or one of its like */
	FD_PIPE,	/* to be written */
};

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
	return S_ISFIFO(st.stx_mode) && (flags & O_ACCMODE) != O_RDONLY ? FD_PIPE : FD_OTHER;
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

	if (kind_of_fd(msg->fds[0]) != FD_PIPE) {
		*fd = vhost_be_fd_take_event(msg);
		return *fd >= 0 ? 0 : vhost_be_session_refuse(be, -EINVAL, "not an eventfd");
	}
	rc = vhost_be_relay_start(be->relays, msg->fds[0], relay, fd);
	if (rc < 0)
		return vhost_be_session_refuse(be, rc, "too many pipes to call the driver with");
	vhu_codec_take_fd(msg, 0);
	return 0;
}
