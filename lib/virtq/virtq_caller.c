/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "virtq_caller.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "virtq_notify.h"

/* The shortest nap: calls that are due soon after each other go together. */
#define MIN_NAP_US 10
/* The kernel may prolong a nap by so much; it would take 50 microseconds by itself. */
#define SLACK_NS 1000

struct virtq_caller {
	/*
	 * The list that bursts put calls on, the last one first; it is taken off as a whole only.
	 * NULL: empty; &asleep: so it is, and the thread sleeps, or does so in a moment.
	 */
	struct virtq_call *head;
	uint64_t busy_at;	/* atomic, ticks: when a burst had a call for the thread last */
	uint32_t wakes;		/* futex: rises when the thread is to wake */
	bool quit;		/* atomic */
	uint64_t (*now)(void);
	uint64_t hz;
	pthread_mutex_t lock __attribute__((aligned(VIRTQ_CACHE_LINE)));
	/* Lock. */
	struct virtq_call *list; /* taken off, and not sent */
	uint64_t active;	/* ticks: when there was a call last */
};

static struct virtq_call asleep;

static uint64_t
ticks_of(const struct virtq_caller *caller, uint64_t us)
{
	return caller->hz * us / 1000000;
}

struct virtq_caller *
virtq_caller_new(uint64_t (*now)(void), uint64_t hz)
{
	struct virtq_caller *caller = aligned_alloc(VIRTQ_CACHE_LINE, sizeof(*caller));

	if (caller == NULL)
		return NULL;
	memset(caller, 0, sizeof(*caller));
	caller->head = &asleep;
	caller->now = now;
	caller->hz = hz;
	pthread_mutex_init(&caller->lock, NULL);
	return caller;
}

void
virtq_caller_free(struct virtq_caller *caller)
{
	if (caller == NULL)
		return;
	pthread_mutex_destroy(&caller->lock);
	free(caller);
}

static void
wake_thread(struct virtq_caller *caller)
{
	__atomic_add_fetch(&caller->wakes, 1, __ATOMIC_RELEASE);
	syscall(__NR_futex, &caller->wakes, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* Too soon after the last call. */
static bool
is_early(const struct virtq_call *call, uint64_t now)
{
	return now - call->last < call->interval;
}

/* Between calls that bursts have for the thread there is less time than it is worth sleeping. */
static bool
is_busy(struct virtq_caller *caller, uint64_t now)
{
	const uint64_t last = __atomic_load_n(&caller->busy_at, __ATOMIC_RELAXED);

	__atomic_store_n(&caller->busy_at, now, __ATOMIC_RELAXED);
	return now - last < ticks_of(caller, VIRTQ_CALLER_BUSY_US);
}

/* Put the call on the list. False: the thread sleeps, and is not to be woken. */
static bool
put_call(struct virtq_caller *caller, struct virtq_call *call, bool wake)
{
	struct virtq_call *head = __atomic_load_n(&caller->head, __ATOMIC_RELAXED);

	do {
		if (head == &asleep && !wake)
			return false;
		call->next = head == &asleep ? NULL : head;
	} while (!__atomic_compare_exchange_n(&caller->head, &head, call, true, __ATOMIC_RELEASE,
					      __ATOMIC_RELAXED));
	if (head == &asleep)
		wake_thread(caller);
	return true;
}

void
virtq_caller_post(struct virtq_caller *caller, struct virtq_call *call, int fd)
{
	uint64_t now;
	bool early;

	/* Barrier H: what was used is visible to whoever sees a call of the thread after this. */
	if (__atomic_exchange_n(&call->wanted, 1, __ATOMIC_SEQ_CST) != 0) {
		call->coalesced++;
		return;
	}
	now = caller->now();
	early = is_early(call, now);
	if ((early || call->by_thread) &&
	    put_call(caller, call, is_busy(caller, now) || early)) {
		call->deferred++;
		return;
	}
	call->last = now;
	__atomic_store_n(&call->wanted, 0, __ATOMIC_RELEASE);
	virtq_notify(fd);
}

/* Lock held. */
static void
take_calls(struct virtq_caller *caller)
{
	struct virtq_call *head = __atomic_load_n(&caller->head, __ATOMIC_ACQUIRE), *last;

	do {
		if (head == NULL || head == &asleep)
			return;
	} while (!__atomic_compare_exchange_n(&caller->head, &head, NULL, true, __ATOMIC_ACQUIRE,
					      __ATOMIC_ACQUIRE));
	for (last = head; last->next != NULL; last = last->next)
		;
	last->next = caller->list;
	caller->list = head;
	caller->active = caller->now();
}

/* Lock held. The call is on no list any more, and from the exchange on the burst's again. */
static void
send_call(struct virtq_call *call, uint64_t now)
{
	const int fd = call->fd;

	call->last = now;
	/* Barrier H: a burst that finds it wanted has used its chains before the driver looks. */
	__atomic_exchange_n(&call->wanted, 0, __ATOMIC_SEQ_CST);
	virtq_notify(fd);
}

/* Lock held. Returns the ticks until the next one is due, `most` at most. */
static uint64_t
send_calls(struct virtq_caller *caller, uint64_t now, uint64_t most)
{
	struct virtq_call **at = &caller->list;

	while (*at != NULL) {
		struct virtq_call *call = *at;

		if (is_early(call, now)) {
			const uint64_t left = call->interval - (now - call->last);

			most = left < most ? left : most;
			at = &call->next;
			continue;
		}
		*at = call->next;
		send_call(call, now);
	}
	return most;
}

/* Lock held. Whether there was nothing for so long that the thread sleeps from here on. */
static bool
fall_asleep(struct virtq_caller *caller, uint64_t now)
{
	struct virtq_call *none = NULL;

	if (caller->list != NULL || now - caller->active < ticks_of(caller, VIRTQ_CALLER_LINGER_US))
		return false;
	if (__atomic_load_n(&caller->head, __ATOMIC_RELAXED) == &asleep)
		return true;
	return __atomic_compare_exchange_n(&caller->head, &none, &asleep, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_RELAXED);
}

uint64_t
virtq_caller_step(struct virtq_caller *caller)
{
	const uint64_t nap = ticks_of(caller, VIRTQ_CALLER_NAP_US);
	uint64_t now, left, ns = 0;

	pthread_mutex_lock(&caller->lock);
	take_calls(caller);
	now = caller->now();
	left = send_calls(caller, now, nap);
	if (!fall_asleep(caller, now)) {
		ns = left * 1000000000 / caller->hz;
		ns = ns < MIN_NAP_US * 1000 ? MIN_NAP_US * 1000 : ns;
	}
	pthread_mutex_unlock(&caller->lock);
	return ns;
}

static bool
has_quit(struct virtq_caller *caller)
{
	return __atomic_load_n(&caller->quit, __ATOMIC_ACQUIRE);
}

static void
wait_for_burst(struct virtq_caller *caller)
{
	for (;;) {
		const uint32_t seen = __atomic_load_n(&caller->wakes, __ATOMIC_ACQUIRE);

		if (__atomic_load_n(&caller->head, __ATOMIC_RELAXED) != &asleep ||
		    has_quit(caller))
			return;
		syscall(__NR_futex, &caller->wakes, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
	}
}

void
virtq_caller_run(struct virtq_caller *caller)
{
	prctl(PR_SET_TIMERSLACK, SLACK_NS);
	while (!has_quit(caller)) {
		const uint64_t ns = virtq_caller_step(caller);
		const struct timespec nap = {.tv_nsec = (long)ns};

		if (ns == 0)
			wait_for_burst(caller);
		else
			nanosleep(&nap, NULL);
	}
}

void
virtq_caller_quit(struct virtq_caller *caller)
{
	__atomic_store_n(&caller->quit, true, __ATOMIC_RELEASE);
	wake_thread(caller);
}

void
virtq_caller_reset(struct virtq_call *call)
{
	call->wanted = 0;
	call->fd = -1;
	call->last = 0;
	call->next = NULL;
}

void
virtq_caller_begin(const struct virtq_caller *caller, struct virtq_call *call,
		   struct virtq_caller_rule rule)
{
	call->by_thread = rule.by_thread;
	call->interval = ticks_of(caller, rule.interval_us);
}

void
virtq_caller_fd(struct virtq_caller *caller, struct virtq_call *call, int fd)
{
	pthread_mutex_lock(&caller->lock);
	call->fd = fd;
	pthread_mutex_unlock(&caller->lock);
}

void
virtq_caller_end(struct virtq_caller *caller, struct virtq_call *call)
{
	struct virtq_call **at = &caller->list;

	pthread_mutex_lock(&caller->lock);
	take_calls(caller);
	while (*at != NULL && *at != call)
		at = &(*at)->next;
	if (*at != NULL) {
		*at = call->next;
		send_call(call, caller->now());
	}
	call->fd = -1;
	pthread_mutex_unlock(&caller->lock);
}
