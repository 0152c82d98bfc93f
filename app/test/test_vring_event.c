/* SPDX-License-Identifier: BSD-3-Clause */
/* Events for the application: none is lost, and a peer cannot have them delivered all the time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <rte_alarm.h>
#include <unistd.h>

#include "vring_event.h"

/* The alarm that is set, if any. */
static rte_eal_alarm_callback alarm_fn;
static void *alarm_arg;
static uint64_t alarm_us;
static unsigned int alarms;

int __wrap_rte_eal_alarm_set(uint64_t us, rte_eal_alarm_callback fn, void *arg);

int
__wrap_rte_eal_alarm_set(uint64_t us, rte_eal_alarm_callback fn, void *arg)
{
	alarm_fn = fn;
	alarm_arg = arg;
	alarm_us = us;
	alarms++;
	return 0;
}

static struct rte_eth_dev dev; /* not attached: nobody is called */
static struct vring_port port;

static int
setup(void **state)
{
	memset(&port, 0, sizeof(port));
	port.dev = &dev;
	alarms = 0;
	return vring_event_open(&port);
}

static int
teardown(void **state)
{
	vring_event_close(&port);
	return 0;
}

/* The first one comes at once; those that follow come together, a little later. */
static void
events_have_a_rate(void **state)
{
	vring_event_raise(&port, VRING_EVENT_LINK);
	assert_int_equal(alarms, 1);
	assert_int_equal(alarm_us, 1);
	alarm_fn(alarm_arg);
	for (int i = 0; i < 100; i++)
		vring_event_raise(&port, i % 2 ? VRING_EVENT_LINK : VRING_EVENT_QUEUE);
	assert_int_equal(alarms, 2);
	assert_uint_in_range(alarm_us, 20000, 50000);
	alarm_fn(alarm_arg);
	/* After a while the next one comes at once again. */
	usleep(60000);
	vring_event_raise(&port, VRING_EVENT_LINK);
	assert_int_equal(alarms, 3);
	assert_int_equal(alarm_us, 1);
	alarm_fn(alarm_arg);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(events_have_a_rate, setup, teardown),
	};

	return cmocka_run_group_tests_name("vring_event", tests, NULL, NULL);
}
