/* SPDX-License-Identifier: BSD-3-Clause */
#include "evloop.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "evloop_later.h"

/* Events taken from the kernel at once; others wait for the next round, so none is starved. */
#define ROUND_EVENTS 64

/* A call from another thread; lives on that thread's stack until `done`. */
struct call {
	int (*fn)(void *arg);
	void *arg;
	int result;
	bool done;
	struct call *next;
};

struct evloop {
	int epfd;
	struct evloop_watch wake;		/* eventfd: calls are queued, or quit */
	bool quit;			/* atomic */
	pthread_t thread;
	bool has_thread;		/* atomic; `thread` is set */

	uint64_t busy_ns;		/* atomic: when the round began, 0: between two */
	struct epoll_event events[ROUND_EVENTS];
	int nevents, current;		/* of the round in progress */

	struct evloop_timer *first, *last;	/* ascending at_ns */

	pthread_mutex_t lock;		/* calls, tail, closed */
	pthread_cond_t finished;
	struct call *calls, **tail;
	bool closed;			/* no call is taken any more */
};

uint64_t
evloop_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static bool
in_loop_thread(const struct evloop *loop)
{
	return __atomic_load_n(&loop->has_thread, __ATOMIC_ACQUIRE) &&
	       pthread_equal(loop->thread, pthread_self());
}

static void
wake_up(struct evloop *loop)
{
	const uint64_t one = 1;

	/* EAGAIN means that the counter is full: the loop will wake up all the same. */
	while (write(loop->wake.fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

/* Run what other threads have asked for so far; what they ask meanwhile is for the next round. */
static void
serve_calls(struct evloop *loop)
{
	struct call *c, *next;

	pthread_mutex_lock(&loop->lock);
	c = loop->calls;
	loop->calls = NULL;
	loop->tail = &loop->calls;
	pthread_mutex_unlock(&loop->lock);

	for (; c != NULL; c = next) {
		int result = c->fn(c->arg);

		pthread_mutex_lock(&loop->lock);
		next = c->next;
		c->result = result;
		c->done = true; /* from here on *c may be gone */
		pthread_cond_broadcast(&loop->finished);
		pthread_mutex_unlock(&loop->lock);
	}
}

static void
loop_woken(struct evloop_watch *w, uint32_t events)
{
	struct evloop *loop = w->owner;
	uint64_t count;

	if (read(w->fd, &count, sizeof(count)) < 0)
		return;
	serve_calls(loop);
}

int
evloop_new(struct evloop **out)
{
	struct evloop *loop = calloc(1, sizeof(*loop));
	int rc;

	if (loop == NULL)
		return -ENOMEM;
	loop->tail = &loop->calls;
	loop->wake = (struct evloop_watch){
		.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
		.events = EPOLLIN,
		.ready = loop_woken,
		.owner = loop,
	};
	loop->epfd = epoll_create1(EPOLL_CLOEXEC);
	pthread_mutex_init(&loop->lock, NULL);
	pthread_cond_init(&loop->finished, NULL);
	if (loop->wake.fd < 0 || loop->epfd < 0)
		rc = -errno;
	else
		rc = evloop_watch_add(loop, &loop->wake);
	if (rc < 0) {
		evloop_free(loop);
		return rc;
	}
	*out = loop;
	return 0;
}

void
evloop_free(struct evloop *loop)
{
	if (loop == NULL)
		return;
	if (loop->wake.fd >= 0)
		close(loop->wake.fd);
	if (loop->epfd >= 0)
		close(loop->epfd);
	pthread_cond_destroy(&loop->finished);
	pthread_mutex_destroy(&loop->lock);
	free(loop);
}

/* Milliseconds until the first timer, rounded up; at most `limit` (-1: no limit). */
static int
wait_ms(const struct evloop *loop, int limit)
{
	uint64_t now, ms;

	if (loop->first == NULL)
		return limit;
	now = evloop_now_ns();
	if (loop->first->at_ns <= now)
		return 0;
	ms = (loop->first->at_ns - now + 999999) / 1000000;
	if (limit >= 0 && ms > (uint64_t)limit)
		return limit;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

static void
serve_timers(struct evloop *loop)
{
	const uint64_t now = evloop_now_ns();

	/* Timers set by a call-back lie after `now`, so this ends. */
	while (loop->first != NULL && loop->first->at_ns <= now) {
		struct evloop_timer *t = loop->first;

		evloop_timer_cancel(t);
		t->expired(t);
	}
}

uint64_t
evloop_busy_since(const struct evloop *loop)
{
	return __atomic_load_n(&loop->busy_ns, __ATOMIC_RELAXED);
}

void
evloop_step(struct evloop *loop, int timeout_ms)
{
	int n;

	if (!__atomic_load_n(&loop->has_thread, __ATOMIC_RELAXED)) {
		loop->thread = pthread_self();
		__atomic_store_n(&loop->has_thread, true, __ATOMIC_RELEASE);
	}
	__atomic_store_n(&loop->busy_ns, 0, __ATOMIC_RELAXED);
	n = epoll_wait(loop->epfd, loop->events, ROUND_EVENTS, wait_ms(loop, timeout_ms));
	__atomic_store_n(&loop->busy_ns, evloop_now_ns(), __ATOMIC_RELAXED);
	loop->nevents = n < 0 ? 0 : n;
	for (loop->current = 0; loop->current < loop->nevents; loop->current++) {
		struct evloop_watch *w = loop->events[loop->current].data.ptr;

		if (w != NULL) /* not removed since */
			w->ready(w, loop->events[loop->current].events);
	}
	loop->nevents = 0;
	serve_timers(loop);
}

void
evloop_run(struct evloop *loop)
{
	evloop_later_home();
	while (!__atomic_load_n(&loop->quit, __ATOMIC_ACQUIRE))
		evloop_step(loop, -1);
	/* Who waits for a call gets its result; who comes later is refused. */
	pthread_mutex_lock(&loop->lock);
	loop->closed = true;
	pthread_mutex_unlock(&loop->lock);
	serve_calls(loop);
	/* This thread ends, and its id may become another's. */
	__atomic_store_n(&loop->has_thread, false, __ATOMIC_RELEASE);
}

void
evloop_quit(struct evloop *loop)
{
	__atomic_store_n(&loop->quit, true, __ATOMIC_RELEASE);
	wake_up(loop);
}

int
evloop_call(struct evloop *loop, int (*fn)(void *arg), void *arg)
{
	struct call call = { .fn = fn, .arg = arg };

	if (in_loop_thread(loop))
		return fn(arg);
	pthread_mutex_lock(&loop->lock);
	if (loop->closed) {
		pthread_mutex_unlock(&loop->lock);
		return -ESHUTDOWN;
	}
	*loop->tail = &call;
	loop->tail = &call.next;
	wake_up(loop);
	while (!call.done)
		pthread_cond_wait(&loop->finished, &loop->lock);
	pthread_mutex_unlock(&loop->lock);
	return call.result;
}

int
evloop_watch_add(struct evloop *loop, struct evloop_watch *w)
{
	struct epoll_event ev = { .events = w->events, .data.ptr = w };

	if (epoll_ctl(loop->epfd, EPOLL_CTL_ADD, w->fd, &ev) < 0)
		return -errno;
	w->loop = loop;
	return 0;
}

int
evloop_watch_mod(struct evloop_watch *w, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	if (w->events == events)
		return 0;
	if (epoll_ctl(w->loop->epfd, EPOLL_CTL_MOD, w->fd, &ev) < 0)
		return -errno;
	w->events = events;
	return 0;
}

void
evloop_watch_del(struct evloop_watch *w)
{
	struct evloop *loop = w->loop;

	if (loop == NULL)
		return;
	epoll_ctl(loop->epfd, EPOLL_CTL_DEL, w->fd, NULL);
	/* Events of this round that are still to come name a watch that may be freed next. */
	for (int i = loop->current; i < loop->nevents; i++)
		if (loop->events[i].data.ptr == w)
			loop->events[i].data.ptr = NULL;
	w->loop = NULL;
}

void
evloop_timer_set(struct evloop *loop, struct evloop_timer *t, uint64_t in_ms)
{
	struct evloop_timer *before;

	evloop_timer_cancel(t);
	/* One more nanosecond: a timer that sets itself with 0 ms is for the next round. */
	t->at_ns = evloop_now_ns() + in_ms * 1000000 + 1;
	t->loop = loop;
	/* From the end: most timers have the same few lengths, so a new one is among the last. */
	for (before = loop->last; before != NULL && before->at_ns > t->at_ns;)
		before = before->prev;
	t->prev = before;
	t->next = before != NULL ? before->next : loop->first;
	*(t->prev != NULL ? &t->prev->next : &loop->first) = t;
	*(t->next != NULL ? &t->next->prev : &loop->last) = t;
}

void
evloop_timer_cancel(struct evloop_timer *t)
{
	struct evloop *loop = t->loop;

	if (t->at_ns == 0)
		return;
	*(t->prev != NULL ? &t->prev->next : &loop->first) = t->next;
	*(t->next != NULL ? &t->next->prev : &loop->last) = t->prev;
	t->at_ns = 0;
	t->prev = t->next = NULL;
}
