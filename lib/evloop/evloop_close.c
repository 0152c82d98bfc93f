/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "evloop_close.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct deferred_close {
	struct deferred_close *next;
	int fd;
};

static struct {
	pthread_mutex_t lock;
	struct deferred_close *first;
	bool busy;		/* there is a thread */
} deferred = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
};

static struct deferred_close *
next_deferred(void)
{
	struct deferred_close *p;

	pthread_mutex_lock(&deferred.lock);
	p = deferred.first;
	if (p != NULL)
		deferred.first = p->next;
	else
		deferred.busy = false;
	pthread_mutex_unlock(&deferred.lock);
	return p;
}

static void *
close_deferred(void *unused)
{
	struct deferred_close *p;

	while ((p = next_deferred()) != NULL) {
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
	rc = pthread_create(&thread, &attr, close_deferred, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return rc == 0;
}

/* Without memory or a thread the descriptor stays open until there is one: better than to wait. */
static void
defer_close(int fd)
{
	struct deferred_close *p = malloc(sizeof(*p));

	if (p == NULL)
		return;
	p->fd = fd;
	pthread_mutex_lock(&deferred.lock);
	p->next = deferred.first;
	deferred.first = p;
	if (!deferred.busy)
		deferred.busy = start_thread();
	pthread_mutex_unlock(&deferred.lock);
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
	return (st.stx_mode & S_IFMT) == 0 || S_ISFIFO(st.stx_mode);
}

void
evloop_close_received(int fd)
{
	if (closes_at_once(fd))
		close(fd);
	else
		defer_close(fd);
}

void
evloop_close_connection(int fd)
{
	const struct linger none = {0};
	int unread = 0;

	shutdown(fd, SHUT_RDWR);
	if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none)) == 0 &&
	    ioctl(fd, FIONREAD, &unread) == 0 && unread == 0)
		close(fd);
	else
		defer_close(fd);
}

bool
evloop_close_pending(void)
{
	bool busy;

	pthread_mutex_lock(&deferred.lock);
	busy = deferred.busy;
	pthread_mutex_unlock(&deferred.lock);
	return busy;
}
