/* SPDX-License-Identifier: BSD-3-Clause */
/* Events that the application is told of, and call-backs of it that take their time. */
#include "rig_port.h"

#include <pthread.h>

/* What a call-back does, and what came of it. */
static struct {
	pthread_mutex_t lock;		/* the application's */
	bool takes_lock, closes;
	unsigned int begun, ended;	/* atomic */
} app = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int
link_changed(uint16_t port_id, enum rte_eth_event_type type, void *arg, void *unused)
{
	__atomic_fetch_add(&app.begun, 1, __ATOMIC_ACQ_REL);
	if (app.takes_lock) {
		pthread_mutex_lock(&app.lock);
		pthread_mutex_unlock(&app.lock);
	}
	if (app.closes)
		rte_vdev_uninit(SPORT_NAME);
	__atomic_fetch_add(&app.ended, 1, __ATOMIC_ACQ_REL);
	return 0;
}

static unsigned int
times(const unsigned int *counter)
{
	return __atomic_load_n(counter, __ATOMIC_ACQUIRE);
}

static void
open_with_events(struct sport *p)
{
	const struct sport_config c = { .lsc = true };

	app.begun = app.ended = 0;
	app.takes_lock = app.closes = false;
	sport_create(p, &c);
	assert_int_equal(rte_eth_dev_callback_register(p->id, RTE_ETH_EVENT_INTR_LSC, link_changed,
						       NULL), 0);
}

static void
test_told_of_the_link(void **state)
{
	struct sport *p = *state;

	open_with_events(p);
	assert_int_equal(rte_eth_dev_start(p->id), 0);
	assert_true(BECOMES(times(&app.ended) == 1));
	assert_int_equal(rte_eth_dev_set_link_down(p->id), 0);
	assert_true(BECOMES(times(&app.ended) == 2));
	assert_false(sport_link(p));
	assert_int_equal(rte_eth_dev_callback_unregister(p->id, RTE_ETH_EVENT_INTR_LSC,
							 link_changed, NULL), 0);
	sport_close(p);
}

/* The closer holds the lock that the call-back waits for: neither waits without end. */
static void
test_close_under_the_lock_of_a_call_back(void **state)
{
	struct sport *p = *state;
	uint64_t start;

	open_with_events(p);
	app.takes_lock = true;
	/* A close that hangs is a failure. */
	alarm(30);
	pthread_mutex_lock(&app.lock);
	assert_int_equal(rte_eth_dev_start(p->id), 0);
	assert_true(BECOMES(times(&app.begun) == 1));
	start = evloop_now_ns();
	assert_int_equal(rte_vdev_uninit(SPORT_NAME), 0);
	assert_true(evloop_now_ns() - start < 5000000000ull);
	assert_int_equal(times(&app.ended), 0);
	pthread_mutex_unlock(&app.lock);
	assert_true(BECOMES(times(&app.ended) == 1));
	alarm(0);
	sport_idle();
	/* The end of the link was nobody's business any more. */
	assert_int_equal(times(&app.begun), 1);
}

static void
test_close_in_a_call_back(void **state)
{
	struct sport *p = *state;

	open_with_events(p);
	app.closes = app.takes_lock = true;
	alarm(30);
	/* Not while it is being started. */
	pthread_mutex_lock(&app.lock);
	assert_int_equal(rte_eth_dev_start(p->id), 0);
	pthread_mutex_unlock(&app.lock);
	assert_true(BECOMES(times(&app.ended) == 1));
	alarm(0);
	sport_idle();
	assert_int_equal(times(&app.begun), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SPORT_TEST(test_told_of_the_link),
		SPORT_TEST(test_close_under_the_lock_of_a_call_back),
		SPORT_TEST(test_close_in_a_call_back),
	};

	return cmocka_run_group_tests_name("standin_events", tests, sport_group_setup,
					   sport_group_teardown);
}
