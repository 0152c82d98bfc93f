/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "vhost_be_guard.h"

#include <errno.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "evloop.h"
#include "evloop_later.h"
#include "virtq_mem.h"

/* Between two looks. */
#define LOOK_NS 100000000
/* Mappings; a front-end that repeats its table again and again has more than it needs. */
#define MAX_MAPS 4096

struct vhost_be_guard {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct evloop *loop;	/* NULL: its owner has gone */
	const uint64_t *busy;
	int uffd;
	struct virtq_map **map;	/* registered; a reference each */
	uint32_t nmaps;
};

/*
 * The front-end has the descriptor as well: to close ours alone wakes nobody. Who is woken tries
 * again, and finds what is there then.
 */
static void
release_map(int uffd, struct virtq_map *map, bool come)
{
	struct uffdio_range range;
	uint64_t bytes;
	void *start;

	virtq_mem_map_bounds(map, &start, &bytes);
	range = (struct uffdio_range){ (uintptr_t)start, bytes };
	if (come || mmap(start, bytes, PROT_READ | PROT_WRITE,
			 MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) ==
			    MAP_FAILED)
		ioctl(uffd, UFFDIO_UNREGISTER, &range);
	else
		ioctl(uffd, UFFDIO_WAKE, &range);
}

/* Lock held. */
static void
end_guard(struct vhost_be_guard *g, bool come)
{
	if (g->uffd < 0)
		return;
	for (uint32_t i = 0; i < g->nmaps; i++)
		release_map(g->uffd, g->map[i], come);
	close(g->uffd);
	g->uffd = -1;
}

static void
guard_release(struct vhost_be_guard *g)
{
	for (uint32_t i = 0; i < g->nmaps; i++)
		virtq_mem_map_put(g->map[i]);
	pthread_cond_destroy(&g->changed);
	pthread_mutex_destroy(&g->lock);
	free(g->map);
	free(g);
}

static bool
is_longer(uint64_t since, uint64_t ms)
{
	const uint64_t now = evloop_now_ns();

	return since != 0 && now > since && now - since > ms * 1000000;
}

/* Lock held. Somebody may wait for a page of this session, or of another one. */
static bool
waits_too_long(const struct vhost_be_guard *g)
{
	return is_longer(__atomic_load_n(g->busy, __ATOMIC_RELAXED), VHOST_BE_GUARD_MS) ||
	       is_longer(evloop_busy_since(g->loop), VHOST_BE_GUARD_LOOP_MS);
}

static void *
guard_session(void *arg)
{
	struct vhost_be_guard *g = arg;
	struct timespec until;

	pthread_mutex_lock(&g->lock);
	while (g->loop != NULL) {
		if (waits_too_long(g))
			end_guard(g, false);
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += LOOK_NS;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&g->changed, &g->lock, &until);
	}
	pthread_mutex_unlock(&g->lock);
	guard_release(g);
	return NULL;
}

struct vhost_be_guard *
vhost_be_guard_new(struct evloop *loop, const uint64_t *busy, int uffd)
{
	struct vhost_be_guard *g = calloc(1, sizeof(*g));
	pthread_condattr_t attr;

	if (g == NULL) {
		close(uffd);
		return NULL;
	}
	pthread_mutex_init(&g->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&g->changed, &attr);
	pthread_condattr_destroy(&attr);
	g->loop = loop;
	g->busy = busy;
	g->uffd = uffd;
	if (evloop_later_thread(guard_session, g))
		return g;
	close(uffd);
	guard_release(g);
	return NULL;
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

/* Lock held. */
static int
register_map(struct vhost_be_guard *g, struct virtq_map *map)
{
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct virtq_map **more;
	uint64_t bytes;
	void *start;

	for (uint32_t i = 0; i < g->nmaps; i++)
		if (g->map[i] == map)
			return 0;
	if (g->nmaps == MAX_MAPS)
		return -ENOSPC;
	more = realloc(g->map, (g->nmaps + 1) * sizeof(g->map[0]));
	if (more == NULL)
		return -ENOMEM;
	g->map = more;
	virtq_mem_map_bounds(map, &start, &bytes);
	reg.range = (struct uffdio_range){ (uintptr_t)start, bytes };
	if (ioctl(g->uffd, UFFDIO_REGISTER, &reg) < 0)
		return -errno;
	g->map[g->nmaps++] = virtq_mem_map_get(map);
	return 0;
}

int
vhost_be_guard_register(struct vhost_be_guard *g, struct virtq_map *map)
{
	int rc;

	pthread_mutex_lock(&g->lock);
	rc = register_map(g, map);
	pthread_mutex_unlock(&g->lock);
	return rc;
}

void
vhost_be_guard_free(struct vhost_be_guard *g, bool come)
{
	if (g == NULL)
		return;
	pthread_mutex_lock(&g->lock);
	end_guard(g, come);
	g->loop = NULL;
	pthread_cond_signal(&g->changed);
	pthread_mutex_unlock(&g->lock);
}
