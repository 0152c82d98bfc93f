/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "evloop_close.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of peers that have no closer of their own. */
static struct evloop_later *common;
static pthread_once_t common_once = PTHREAD_ONCE_INIT;

static void
make_common(void)
{
	common = evloop_later_new();
}

static void
close_it(void *arg)
{
	close((int)(intptr_t)arg);
}

/* Without memory or a thread the descriptor stays open: better than to wait. */
static void
defer_close(struct evloop_later *closer, int fd)
{
	if (closer == NULL) {
		pthread_once(&common_once, make_common);
		closer = common;
	}
	if (closer != NULL)
		evloop_later_add(closer, close_it, (void *)(intptr_t)fd);
}

static void
linger_off(int fd)
{
	const struct linger none = {0};

	/* Fails where there is nothing to turn off. */
	if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none)) < 0)
		return;
}

/* Memory, eventfds and their like, pipes. The kind is one that no server is asked for. */
static bool
closes_at_once(int fd)
{
	struct statx st;

	if (fcntl(fd, F_GET_SEALS) >= 0)
		return true;
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st) < 0)
		return false;
	if (S_ISSOCK(st.stx_mode))
		linger_off(fd);
	return (st.stx_mode & S_IFMT) == 0 || S_ISFIFO(st.stx_mode);
}

void
evloop_close_received(struct evloop_later *closer, int fd)
{
	if (closes_at_once(fd))
		close(fd);
	else
		defer_close(closer, fd);
}

void
evloop_close_connection(struct evloop_later *closer, int fd)
{
	int unread = 0;

	shutdown(fd, SHUT_RDWR);
	linger_off(fd);
	if (ioctl(fd, FIONREAD, &unread) == 0 && unread == 0)
		close(fd);
	else
		defer_close(closer, fd);
}

bool
evloop_close_full(struct evloop_later *closer)
{
	return closer != NULL && evloop_later_is_behind(closer, EVLOOP_CLOSE_MOST);
}
