/* SPDX-License-Identifier: BSD-3-Clause */
/* The list of ports: one that is slow to answer keeps nobody from the others. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <ethdev_driver.h>

#include "vring_registry.h"

#define PORTS 2

/* Ports as far as the list looks at them, and a question that waits. */
struct list {
	struct rte_eth_dev_data data[PORTS];
	struct rte_eth_dev dev[PORTS];
	struct vring_port port[PORTS];
	pthread_t thread;
	int asked[2], go[2];	/* pipes */
	bool answered;		/* atomic */
	int result;
};

static int
list_setup(void **state)
{
	static struct list l;
	char other[RTE_ETH_NAME_MAX_LEN];

	memset(&l, 0, sizeof(l));
	assert_int_equal(pipe(l.asked), 0);
	assert_int_equal(pipe(l.go), 0);
	for (uint16_t i = 0; i < PORTS; i++) {
		l.data[i].port_id = i;
		l.dev[i].data = &l.data[i];
		l.port[i].dev = &l.dev[i];
		snprintf(l.port[i].args.path, sizeof(l.port[i].args.path), "/s%u", i);
		snprintf(l.port[i].name, sizeof(l.port[i].name), "net_vring%u", i);
		assert_int_equal(vring_registry_add(&l.port[i], other), 0);
		vring_registry_show(&l.port[i], true);
	}
	*state = &l;
	/* What hangs is a failure. */
	alarm(20);
	return 0;
}

static int
list_teardown(void **state)
{
	struct list *l = *state;

	for (int i = 0; i < 2; i++) {
		close(l->asked[i]);
		close(l->go[i]);
	}
	alarm(0);
	return 0;
}

static int
answer_when_told(struct vring_port *port, void *arg)
{
	struct list *l = arg;
	char c = 0;

	assert_ptr_equal(port, &l->port[0]);
	assert_int_equal(write(l->asked[1], &c, 1), 1);
	assert_int_equal(read(l->go[0], &c, 1), 1);
	poll(NULL, 0, 50);
	__atomic_store_n(&l->answered, true, __ATOMIC_RELEASE);
	return 42;
}

static int
answer_at_once(struct vring_port *port, void *arg)
{
	(*(unsigned int *)arg)++;
	return 7;
}

static void *
ask_first(void *arg)
{
	struct list *l = arg;

	l->result = vring_registry_ask(0, answer_when_told, l);
	return NULL;
}

static void
begin_question(struct list *l)
{
	char c;

	assert_int_equal(pthread_create(&l->thread, NULL, ask_first, l), 0);
	assert_int_equal(read(l->asked[0], &c, 1), 1);
}

static void
end_question(struct list *l)
{
	assert_int_equal(write(l->go[1], "", 1), 1);
}

/* A path is one port's. Of vhost-net that holds for the name of the interface, if there is one. */
static void
places_are_taken(void **state)
{
	struct vring_port port = { .args = { .path = "/s1" } };
	struct list *l = *state;
	char other[RTE_ETH_NAME_MAX_LEN];

	assert_int_equal(vring_registry_add(&port, other), -EEXIST);
	assert_string_equal(other, "net_vring1");
	for (unsigned int named = 0; named <= 1; named++) {
		struct vring_port net[2] = {
			{ .args = { .path = "/dev/vhost-net", .net = true } },
			{ .args = { .path = "/dev/vhost-net", .net = true } },
		};

		for (unsigned int i = 0; named && i < 2; i++)
			strcpy(net[i].args.ifname, "tap5");
		strcpy(net[0].name, "net_vring7");
		assert_int_equal(vring_registry_add(&net[0], other), 0);
		assert_int_equal(vring_registry_add(&net[1], other), named ? -EEXIST : 0);
		if (named)
			assert_string_equal(other, "net_vring7");
		else
			vring_registry_remove(&net[1]);
		vring_registry_remove(&net[0]);
	}
	for (unsigned int i = 0; i < PORTS; i++)
		vring_registry_remove(&l->port[i]);
}

/* Others are asked, listed, removed and added meanwhile. */
static void
others_are_free(void **state)
{
	struct list *l = *state;
	char other[RTE_ETH_NAME_MAX_LEN];
	unsigned int n = 0;

	begin_question(l);
	assert_int_equal(vring_registry_ask(1, answer_at_once, &n), 7);
	vring_registry_each(answer_at_once, &n);
	assert_int_equal(n, 3);
	vring_registry_remove(&l->port[1]);
	assert_int_equal(vring_registry_ask(1, answer_at_once, &n), -EINVAL);
	assert_int_equal(vring_registry_add(&l->port[1], other), 0);
	vring_registry_remove(&l->port[1]);
	assert_false(__atomic_load_n(&l->answered, __ATOMIC_ACQUIRE));
	end_question(l);
	pthread_join(l->thread, NULL);
	assert_int_equal(l->result, 42);
	vring_registry_remove(&l->port[0]);
}

/* The one that is asked stays until it has answered, and is asked nothing else. */
static void
who_is_asked_stays(void **state)
{
	struct list *l = *state;
	unsigned int n = 0;

	begin_question(l);
	end_question(l);
	vring_registry_remove(&l->port[0]);
	assert_true(__atomic_load_n(&l->answered, __ATOMIC_ACQUIRE));
	assert_int_equal(vring_registry_ask(0, answer_at_once, &n), -EINVAL);
	pthread_join(l->thread, NULL);
	vring_registry_remove(&l->port[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(places_are_taken, list_setup, list_teardown),
		cmocka_unit_test_setup_teardown(others_are_free, list_setup, list_teardown),
		cmocka_unit_test_setup_teardown(who_is_asked_stays, list_setup, list_teardown),
	};

	return cmocka_run_group_tests_name("vring_registry", tests, NULL, NULL);
}
