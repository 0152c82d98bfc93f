/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost_be_guard.h"

#include <errno.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "evloop.h"
#include "evloop_later.h"

/* Between two looks. */
#define LOOK_MS 100

struct vhost_be_guard {
	pthread_mutex_t lock;
	struct evloop *loop;	/* NULL: its owner has gone */
	struct evloop_later *thread;
	int uffd;
	struct uffdio_range *range;	/* registered */
	uint32_t nranges;
};

/* Lock held. The front-end has the descriptor as well: to close ours alone wakes nobody. */
static void
close_uffd(struct vhost_be_guard *g)
{
	if (g->uffd < 0)
		return;
	for (uint32_t i = 0; i < g->nranges; i++)
		ioctl(g->uffd, UFFDIO_UNREGISTER, &g->range[i]);
	close(g->uffd);
	g->uffd = -1;
}

static void
guard_release(struct vhost_be_guard *g)
{
	evloop_later_put(g->thread);
	pthread_mutex_destroy(&g->lock);
	free(g->range);
	free(g);
}

/* False: nothing is left to be watched. */
static bool
look_at_loop(struct vhost_be_guard *g)
{
	uint64_t since;
	bool owned;

	pthread_mutex_lock(&g->lock);
	owned = g->loop != NULL;
	since = owned ? evloop_busy_since(g->loop) : 0;
	if (since != 0 && evloop_now_ns() - since > VHOST_BE_GUARD_MS * 1000000ull)
		close_uffd(g);
	pthread_mutex_unlock(&g->lock);
	return owned;
}

static void
guard_loop(void *arg)
{
	const struct timespec pause = { .tv_nsec = LOOK_MS * 1000000 };
	struct vhost_be_guard *g = arg;

	while (look_at_loop(g))
		nanosleep(&pause, NULL);
	guard_release(g);
}

struct vhost_be_guard *
vhost_be_guard_new(struct evloop *loop, int uffd)
{
	struct vhost_be_guard *g = calloc(1, sizeof(*g));

	if (g == NULL) {
		close(uffd);
		return NULL;
	}
	pthread_mutex_init(&g->lock, NULL);
	g->loop = loop;
	g->uffd = uffd;
	g->thread = evloop_later_new();
	if (g->thread != NULL && evloop_later_add(g->thread, guard_loop, g))
		return g;
	close(uffd);
	guard_release(g);
	return NULL;
}

/* Lock held. */
static int
register_range(struct vhost_be_guard *g, const struct uffdio_range *range)
{
	struct uffdio_register reg = { .range = *range, .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_range *more =
		realloc(g->range, (g->nranges + 1) * sizeof(g->range[0]));

	if (more == NULL)
		return -ENOMEM;
	g->range = more;
	if (ioctl(g->uffd, UFFDIO_REGISTER, &reg) < 0)
		return -errno;
	g->range[g->nranges++] = *range;
	return 0;
}

int
vhost_be_guard_register(struct vhost_be_guard *g, void *start, uint64_t bytes)
{
	const struct uffdio_range range = { (uintptr_t)start, bytes };
	int rc;

	pthread_mutex_lock(&g->lock);
	rc = register_range(g, &range);
	pthread_mutex_unlock(&g->lock);
	return rc;
}

int
vhost_be_guard_fd(struct vhost_be_guard *g)
{
	int fd;

	pthread_mutex_lock(&g->lock);
	fd = g->uffd;
	pthread_mutex_unlock(&g->lock);
	return fd;
}

void
vhost_be_guard_free(struct vhost_be_guard *g)
{
	if (g == NULL)
		return;
	pthread_mutex_lock(&g->lock);
	close_uffd(g);
	g->loop = NULL;
	pthread_mutex_unlock(&g->lock);
}
