/* SPDX-License-Identifier: BSD-3-Clause */
/* Work for later: in order, each peer's by a thread of its own, and none is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <semaphore.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "evloop_later.h"

struct work {
	sem_t go;
	unsigned int done;	/* atomic */
	unsigned int order;
};

static unsigned int sequence;	/* atomic */

static void
wait_for_go(void *arg)
{
	struct work *w = arg;

	sem_wait(&w->go);
	w->order = __atomic_add_fetch(&sequence, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&w->done, 1, __ATOMIC_RELEASE);
}

static void
work_init(struct work *w, unsigned int go)
{
	*w = (struct work){0};
	sem_init(&w->go, 0, go);
}

static bool
is_done(struct work *w)
{
	for (int i = 0; i < 5000; i++) {
		if (__atomic_load_n(&w->done, __ATOMIC_ACQUIRE))
			return true;
		usleep(1000);
	}
	return false;
}

static bool
all_done(void)
{
	for (int i = 0; i < 5000 && evloop_later_pending() > 0; i++)
		usleep(1000);
	return evloop_later_pending() == 0;
}

/* Work that waits stops that of no other peer, however many of them there are. */
static void
stuck_work_stops_no_other(void **state)
{
	struct evloop_later *stuck[20], *well = evloop_later_new();
	struct work w[20], good;

	for (int i = 0; i < 20; i++) {
		work_init(&w[i], 0);
		stuck[i] = evloop_later_new();
		assert_true(evloop_later_add(stuck[i], wait_for_go, &w[i]));
	}
	work_init(&good, 1);
	assert_true(evloop_later_add(well, wait_for_go, &good));
	assert_true(is_done(&good));
	for (int i = 0; i < 20; i++) {
		assert_int_equal(evloop_later_waiting(stuck[i]), 1);
		sem_post(&w[i].go);
		assert_true(is_done(&w[i]));
		evloop_later_put(stuck[i]);
	}
	evloop_later_put(well);
	assert_true(all_done());
}

static void
work_is_done_in_order(void **state)
{
	struct evloop_later *l = evloop_later_new();
	struct work w[50];

	for (int i = 0; i < 50; i++) {
		work_init(&w[i], i > 0);
		assert_true(evloop_later_add(l, wait_for_go, &w[i]));
	}
	assert_int_equal(evloop_later_waiting(l), 50);
	assert_int_equal(evloop_later_pending(), 50);
	sem_post(&w[0].go);
	for (int i = 0; i < 50; i++) {
		assert_true(is_done(&w[i]));
		assert_true(i == 0 || w[i].order > w[i - 1].order);
	}
	assert_true(all_done());
	assert_int_equal(evloop_later_waiting(l), 0);
	evloop_later_put(l);
}

/* Who puts it does not wait, and what waits is done all the same. */
static void
work_outlives_its_peer(void **state)
{
	struct evloop_later *l = evloop_later_new();
	struct work w[2];

	work_init(&w[0], 0);
	work_init(&w[1], 1);
	assert_true(evloop_later_add(l, wait_for_go, &w[0]));
	assert_true(evloop_later_add(l, wait_for_go, &w[1]));
	evloop_later_put(l);
	assert_int_equal(evloop_later_pending(), 2);
	sem_post(&w[0].go);
	assert_true(is_done(&w[1]));
	assert_true(all_done());
	evloop_later_put(NULL);
}

#define NOBODY 65534

/* This thread, and as whom it is, may have no other beside it; or it may again. */
static void
forbid_threads(bool forbid)
{
	static bool root;
	struct rlimit limit;

	if (forbid)
		root = getuid() == 0;
	assert_int_equal(getrlimit(RLIMIT_NPROC, &limit), 0);
	limit.rlim_cur = forbid ? 0 : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NPROC, &limit), 0);
	/* Root has no limit; the saved identity stays. */
	if (root)
		assert_int_equal(syscall(SYS_setresuid, forbid ? NOBODY : 0, forbid ? NOBODY : 0,
					 -1), 0);
}

/* What found no thread is tried again by who looks whether it is done. */
static void
work_that_found_no_thread_is_done(void **state)
{
	struct evloop_later *l = evloop_later_new();
	struct work w;

	work_init(&w, 1);
	forbid_threads(true);
	assert_true(evloop_later_add(l, wait_for_go, &w));
	assert_true(evloop_later_is_behind(l, 1));
	forbid_threads(false);
	usleep(20000);
	assert_int_equal(evloop_later_waiting(l), 1);
	assert_false(evloop_later_is_behind(l, 2));
	assert_true(evloop_later_is_behind(l, 1));
	assert_true(is_done(&w));
	assert_true(all_done());
	evloop_later_put(l);
}

/* The last piece of work puts it. */
static void
put(void *arg)
{
	evloop_later_put(arg);
}

static void
work_puts_it(void **state)
{
	for (int i = 0; i < 100; i++) {
		struct evloop_later *l = evloop_later_new();

		assert_true(evloop_later_add(l, put, l));
	}
	assert_true(all_done());
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stuck_work_stops_no_other),
		cmocka_unit_test(work_is_done_in_order),
		cmocka_unit_test(work_outlives_its_peer),
		cmocka_unit_test(work_that_found_no_thread_is_done),
		cmocka_unit_test(work_puts_it),
	};

	return cmocka_run_group_tests_name("evloop_later", tests, NULL, NULL);
}
