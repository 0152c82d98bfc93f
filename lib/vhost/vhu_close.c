/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "vhu_close.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct parting {
	struct parting *next;
	int fd;
};

static struct {
	pthread_mutex_t lock;
	struct parting *first;
	bool busy;		/* there is a thread */
} partings = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
};

static struct parting *
next_parting(void)
{
	struct parting *p;

	pthread_mutex_lock(&partings.lock);
	p = partings.first;
	if (p != NULL)
		partings.first = p->next;
	else
		partings.busy = false;
	pthread_mutex_unlock(&partings.lock);
	return p;
}

static void *
close_all(void *unused)
{
	struct parting *p;

	(void)unused;
	while ((p = next_parting()) != NULL) {
		close(p->fd);
		free(p);
	}
	return NULL;
}

/* A thread that no signal disturbs; nobody waits for it. */
static bool
start_thread(void)
{
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t thread;
	int rc;

	if (pthread_attr_init(&attr) != 0)
		return false;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&thread, &attr, close_all, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return rc == 0;
}

/* Without memory or a thread the descriptor stays open until there is one: better than to wait. */
static void
close_later(int fd)
{
	struct parting *p = malloc(sizeof(*p));

	if (p == NULL)
		return;
	p->fd = fd;
	pthread_mutex_lock(&partings.lock);
	p->next = partings.first;
	partings.first = p;
	if (!partings.busy)
		partings.busy = start_thread();
	pthread_mutex_unlock(&partings.lock);
}

/* Memory, eventfds and their like, pipes. The kind is one that no server is asked for. */
static bool
goes_at_once(int fd)
{
	struct statx st;

	if (fcntl(fd, F_GET_SEALS) >= 0)
		return true;
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st) < 0)
		return false;
	return (st.stx_mode & S_IFMT) == 0 || S_ISFIFO(st.stx_mode);
}

void
vhu_close_received(int fd)
{
	if (goes_at_once(fd))
		close(fd);
	else
		close_later(fd);
}

void
vhu_close_connection(int fd)
{
	const struct linger none = {0};
	int unread = 0;

	shutdown(fd, SHUT_RDWR);
	if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none)) == 0 &&
	    ioctl(fd, FIONREAD, &unread) == 0 && unread == 0)
		close(fd);
	else
		close_later(fd);
}

bool
vhu_close_pending(void)
{
	bool busy;

	pthread_mutex_lock(&partings.lock);
	busy = partings.busy;
	pthread_mutex_unlock(&partings.lock);
	return busy;
}
