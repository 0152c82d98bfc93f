/* SPDX-License-Identifier: BSD-3-Clause */
#include "evloop_later.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

struct job {
	struct job *next;
	void (*fn)(void *arg);
	void *arg;
};

/* Jobs that need no memory: as many as wait at most, or nearly so, where others wait for them. */
#define SPARE 64

struct evloop_later {
	pthread_mutex_t lock;
	struct job *spare;	/* a list of them */
	struct job spares[SPARE];
	struct job *first, **last;
	bool busy;		/* there is a thread */
	bool owned;		/* not put yet */
	uint32_t waiting;	/* atomic; written with the lock */
};

static uint32_t pending;	/* atomic; of all */

/* Lock held, or nobody else has it yet. */
static void
put_spare(struct evloop_later *l, struct job *job)
{
	job->next = l->spare;
	l->spare = job;
}

/* Lock held. NULL: out of memory. */
static struct job *
new_job(struct evloop_later *l)
{
	struct job *job = malloc(sizeof(*job));

	if (job == NULL && l->spare != NULL) {
		job = l->spare;
		l->spare = job->next;
	}
	return job;
}

static void
free_job(struct evloop_later *l, struct job *job)
{
	if (job < l->spares || job >= l->spares + SPARE) {
		free(job);
		return;
	}
	pthread_mutex_lock(&l->lock);
	put_spare(l, job);
	pthread_mutex_unlock(&l->lock);
}

struct evloop_later *
evloop_later_new(void)
{
	struct evloop_later *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	pthread_mutex_init(&l->lock, NULL);
	l->last = &l->first;
	for (uint32_t i = 0; i < SPARE; i++)
		put_spare(l, &l->spares[i]);
	l->owned = true;
	return l;
}

static void
later_free(struct evloop_later *l)
{
	pthread_mutex_destroy(&l->lock);
	free(l);
}

/* The next job; NULL: none, and the thread ends. *gone: nobody else will free it. */
static struct job *
next_job(struct evloop_later *l, bool *gone)
{
	struct job *job;

	pthread_mutex_lock(&l->lock);
	job = l->first;
	if (job != NULL) {
		l->first = job->next;
		if (l->first == NULL)
			l->last = &l->first;
	} else {
		l->busy = false;
		*gone = !l->owned;
	}
	pthread_mutex_unlock(&l->lock);
	return job;
}

static void *
do_jobs(void *arg)
{
	struct evloop_later *l = arg;
	bool gone = false;
	struct job *job;

	while ((job = next_job(l, &gone)) != NULL) {
		job->fn(job->arg);
		free_job(l, job);
		__atomic_sub_fetch(&l->waiting, 1, __ATOMIC_RELEASE);
		__atomic_sub_fetch(&pending, 1, __ATOMIC_RELEASE);
	}
	if (gone)
		later_free(l);
	return NULL;
}

static pthread_mutex_t home_lock = PTHREAD_MUTEX_INITIALIZER;
static cpu_set_t home;		/* processors of the first loop's thread */
static bool home_known;

void
evloop_later_home(void)
{
	pthread_mutex_lock(&home_lock);
	if (!home_known)
		home_known = pthread_getaffinity_np(pthread_self(), sizeof(home), &home) == 0;
	pthread_mutex_unlock(&home_lock);
}

bool
evloop_later_thread(void *(*fn)(void *arg), void *arg)
{
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t thread;
	int rc;

	if (pthread_attr_init(&attr) != 0)
		return false;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	/* Who asks may be a thread that has a processor of its own. */
	pthread_mutex_lock(&home_lock);
	if (home_known)
		pthread_attr_setaffinity_np(&attr, sizeof(home), &home);
	pthread_mutex_unlock(&home_lock);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&thread, &attr, fn, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return rc == 0;
}

/* Lock held: what waits has a thread, if one is to be had. */
static void
need_thread(struct evloop_later *l)
{
	if (!l->busy && l->first != NULL)
		l->busy = evloop_later_thread(do_jobs, l);
}

/* Lock held. False: out of memory. */
static bool
add_job(struct evloop_later *l, void (*fn)(void *arg), void *arg)
{
	struct job *job = new_job(l);

	if (job == NULL)
		return false;
	*job = (struct job){ .fn = fn, .arg = arg };
	*l->last = job;
	l->last = &job->next;
	__atomic_add_fetch(&l->waiting, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&pending, 1, __ATOMIC_RELAXED);
	return true;
}

bool
evloop_later_add(struct evloop_later *l, void (*fn)(void *arg), void *arg)
{
	bool added;

	pthread_mutex_lock(&l->lock);
	added = add_job(l, fn, arg);
	need_thread(l);
	pthread_mutex_unlock(&l->lock);
	return added;
}

bool
evloop_later_try(struct evloop_later *l, void (*fn)(void *arg), void *arg)
{
	bool added = false;

	pthread_mutex_lock(&l->lock);
	/* A thread without a job would end at once; it waits for the lock to look for one. */
	if (!l->busy)
		l->busy = evloop_later_thread(do_jobs, l);
	if (l->busy)
		added = add_job(l, fn, arg);
	pthread_mutex_unlock(&l->lock);
	return added;
}

void
evloop_later_put(struct evloop_later *l)
{
	bool idle;

	if (l == NULL)
		return;
	pthread_mutex_lock(&l->lock);
	l->owned = false;
	need_thread(l);
	idle = !l->busy;
	l->busy = true;
	pthread_mutex_unlock(&l->lock);
	if (!idle)
		return;
	/* No thread is to be had: what waits is done here. */
	do_jobs(l);
}

uint32_t
evloop_later_waiting(const struct evloop_later *l)
{
	return __atomic_load_n(&l->waiting, __ATOMIC_ACQUIRE);
}

bool
evloop_later_is_behind(struct evloop_later *l, uint32_t most)
{
	if (evloop_later_waiting(l) < most)
		return false;
	pthread_mutex_lock(&l->lock);
	need_thread(l);
	pthread_mutex_unlock(&l->lock);
	return true;
}

uint32_t
evloop_later_pending(void)
{
	return __atomic_load_n(&pending, __ATOMIC_ACQUIRE);
}
