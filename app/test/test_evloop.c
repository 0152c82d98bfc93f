/* SPDX-License-Identifier: BSD-3-Clause */
/* The event loop: watches, timers, calls from other threads. */
#include "virtq_notify.h"
#include "rig_frontend.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>

struct item {
	struct evloop_watch watch;
	struct evloop_timer timer;
	unsigned int ready, expired;
	struct item *victim;		/* removed when this one is called */
	struct evloop *loop;
};

static int
loop_setup(void **state)
{
	struct evloop *loop;

	assert_int_equal(evloop_new(&loop), 0);
	*state = loop;
	return 0;
}

static int
loop_teardown(void **state)
{
	evloop_free(*state);
	return 0;
}

#define LOOP_TEST(fn) cmocka_unit_test_setup_teardown(fn, loop_setup, loop_teardown)

static void
on_ready(struct evloop_watch *w, uint32_t events)
{
	struct item *item = w->owner;

	item->ready++;
	if (item->victim != NULL) {
		evloop_watch_del(&item->victim->watch);
		/* What is gone must not be looked at: give a reader of it something to choke on. */
		item->victim->watch.ready = NULL;
		item->victim = NULL;
	}
}

static void
on_expired(struct evloop_timer *t)
{
	struct item *item = t->owner;

	item->expired++;
}

static void
item_watch(struct evloop *loop, struct item *item, unsigned int count)
{
	item->watch = (struct evloop_watch){
		.fd = eventfd(count, EFD_NONBLOCK),
		.events = EPOLLIN,
		.ready = on_ready,
		.owner = item,
	};
	assert_int_equal(evloop_watch_add(loop, &item->watch), 0);
}

static void
item_close(struct item *item)
{
	evloop_watch_del(&item->watch);
	close(item->watch.fd);
}

static void
watches_are_level_triggered(void **state)
{
	struct item item = { 0 };

	item_watch(*state, &item, 0);
	evloop_step(*state, 0);
	assert_int_equal(item.ready, 0);
	virtq_notify(item.watch.fd);
	evloop_step(*state, 0);
	evloop_step(*state, 0);
	assert_int_equal(item.ready, 2);
	assert_int_equal(evloop_watch_mod(&item.watch, 0), 0);
	evloop_step(*state, 0);
	assert_int_equal(item.ready, 2);
	assert_int_equal(evloop_watch_mod(&item.watch, EPOLLIN), 0);
	evloop_step(*state, 0);
	assert_int_equal(item.ready, 3);
	item_close(&item);
	evloop_watch_del(&item.watch); /* at rest: nothing */
}

static void
removed_in_a_round_is_not_called(void **state)
{
	struct item item[2] = { 0 };

	for (int i = 0; i < 2; i++) {
		item_watch(*state, &item[i], 1);
		item[i].victim = &item[1 - i];
	}
	evloop_step(*state, 0);
	assert_int_equal(item[0].ready + item[1].ready, 1);
	for (int i = 0; i < 2; i++)
		item_close(&item[i]);
}

static void
a_thousand_watches_all_get_their_turn(void **state)
{
	enum { N = 1500 };
	struct item *item = calloc(N, sizeof(*item));
	struct rlimit former, limit;

	getrlimit(RLIMIT_NOFILE, &former);
	limit = former;
	limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
	setrlimit(RLIMIT_NOFILE, &limit);
	for (int i = 0; i < N; i++)
		item_watch(*state, &item[i], 1);
	for (int round = 0; round < 2 * N / 64; round++)
		evloop_step(*state, 0);
	for (int i = 0; i < N; i++) {
		assert_true(item[i].ready >= 1);
		item_close(&item[i]);
	}
	setrlimit(RLIMIT_NOFILE, &former);
	free(item);
}

static unsigned int sequence[8], nsequence;

static void
note_sequence(struct evloop_timer *t)
{
	const struct item *item = t->owner;

	sequence[nsequence++] = item->ready;
}

static void
timers_expire_in_order(void **state)
{
	static const unsigned int ms[] = { 30, 10, 50, 20, 40 };
	struct item item[5] = { 0 };
	uint64_t began = evloop_now_ns();

	nsequence = 0;
	for (unsigned int i = 0; i < 5; i++) {
		item[i].ready = ms[i];
		item[i].timer =
			(struct evloop_timer){ .expired = note_sequence, .owner = &item[i] };
		evloop_timer_set(*state, &item[i].timer, ms[i]);
	}
	evloop_timer_cancel(&item[2].timer); /* the last */
	evloop_timer_cancel(&item[2].timer);
	evloop_timer_set(*state, &item[1].timer, 35); /* moved back */
	while (nsequence < 4)
		evloop_step(*state, -1);
	assert_true(evloop_now_ns() - began >= 40000000);
	assert_int_equal(sequence[0], 20);
	assert_int_equal(sequence[1], 30);
	assert_int_equal(sequence[2], 10);
	assert_int_equal(sequence[3], 40);
	evloop_step(*state, 60);
	assert_int_equal(nsequence, 4);
}

static void
rearm(struct evloop_timer *t)
{
	struct item *item = t->owner;

	item->expired++;
	evloop_timer_set(item->loop, t, 0);
}

static void
timer_that_sets_itself_ends_the_round(void **state)
{
	struct item item = { .loop = *state };

	item.timer = (struct evloop_timer){ .expired = rearm, .owner = &item };
	evloop_timer_set(*state, &item.timer, 0);
	for (int i = 0; i < 3; i++)
		evloop_step(*state, 10);
	assert_int_equal(item.expired, 3);
	evloop_timer_cancel(&item.timer);
}

static void
timers_are_served_beside_busy_watches(void **state)
{
	struct item item = { 0 };

	item_watch(*state, &item, 1);
	item.timer = (struct evloop_timer){ .expired = on_expired, .owner = &item };
	evloop_timer_set(*state, &item.timer, 5);
	while (item.expired == 0 && item.ready < 10000000)
		evloop_step(*state, -1);
	assert_int_equal(item.expired, 1);
	item_close(&item);
}

static void *
run_loop(void *arg)
{
	evloop_run(arg);
	return NULL;
}

struct count {
	pthread_t thread;
	unsigned int n;			/* only the loop's thread writes it */
	struct evloop *loop;
};

static int
count_up(void *arg)
{
	struct count *c = arg;

	c->n++;
	/* A call from within a call runs at once. */
	if (c->n % 2 == 1)
		return evloop_call(c->loop, count_up, c);
	return (int)c->n;
}

static void *
call_often(void *arg)
{
	struct count *c = arg;

	for (int i = 0; i < 1000; i++)
		assert_int_equal(evloop_call(c->loop, count_up, c) % 2, 0);
	return NULL;
}

static void
calls_run_in_the_loop(void **state)
{
	struct count c = { .loop = *state };
	pthread_t loop, caller[4];

	assert_int_equal(pthread_create(&loop, NULL, run_loop, *state), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&caller[i], NULL, call_often, &c), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(caller[i], NULL);
	assert_int_equal(c.n, 8000);
	evloop_quit(*state);
	pthread_join(loop, NULL);
	assert_int_equal(evloop_call(*state, count_up, &c), -ESHUTDOWN);
}

static int
slow_then_quit(void *arg)
{
	const struct timespec ts = { .tv_nsec = 20000000 };

	nanosleep(&ts, NULL);
	evloop_quit(arg);
	return 5;
}

static int
nine(void *arg)
{
	return 9;
}

static void *
call_nine(void *arg)
{
	const struct timespec ts = { .tv_nsec = 5000000 };
	int rc;

	nanosleep(&ts, NULL);
	/* Queued while the loop is about to quit: served or refused, never forgotten. */
	rc = evloop_call(arg, nine, NULL);
	assert_true(rc == 9 || rc == -ESHUTDOWN);
	return NULL;
}

static void
nobody_waits_for_a_loop_that_quit(void **state)
{
	pthread_t loop, caller;

	assert_int_equal(pthread_create(&caller, NULL, call_nine, *state), 0);
	assert_int_equal(pthread_create(&loop, NULL, run_loop, *state), 0);
	assert_int_equal(evloop_call(*state, slow_then_quit, *state), 5);
	pthread_join(caller, NULL);
	pthread_join(loop, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		LOOP_TEST(watches_are_level_triggered),
		LOOP_TEST(removed_in_a_round_is_not_called),
		LOOP_TEST(a_thousand_watches_all_get_their_turn),
		LOOP_TEST(timers_expire_in_order),
		LOOP_TEST(timer_that_sets_itself_ends_the_round),
		LOOP_TEST(timers_are_served_beside_busy_watches),
		LOOP_TEST(calls_run_in_the_loop),
		LOOP_TEST(nobody_waits_for_a_loop_that_quit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
