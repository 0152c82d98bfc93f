/* SPDX-License-Identifier: BSD-3-Clause */
/* Rings of ports whose calls a thread sends: what it knows of them while they come and go. */
#include "rig_guest_net.h"

#include <fcntl.h>
#include <poll.h>

#include "vring_be_calls.h"

#define CALL_US 300000	/* so long that nothing is sent by itself meanwhile */
#define RINGS 2

static struct vring_port port, other;
static struct virtq_dev *devs;
static struct virtq_ring ring[2];

static int refused;	/* what io_setup(2) says */

int __wrap_virtq_notify_init(void);

int
__wrap_virtq_notify_init(void)
{
	return refused;
}

static unsigned int
count_threads(void)
{
	char line[64];
	unsigned int n = 0;
	FILE *status = fopen("/proc/self/status", "r");

	assert_non_null(status);
	while (fgets(line, sizeof(line), status) != NULL)
		sscanf(line, "Threads: %u", &n);
	fclose(status);
	return n;
}

/* One that was waited for is counted for a moment longer. */
static void
expect_threads(unsigned int n)
{
	for (int i = 0; i < 1000 && count_threads() > n; i++)
		usleep(1000);
	assert_int_equal(count_threads(), n);
}

static void
open_calls(struct vring_port *p, uint32_t thread, uint32_t us)
{
	char err[128] = "";

	memset(p, 0, sizeof(*p));
	p->args.call_thread = thread;
	p->args.call_us = us;
	p->args.ctrl_lcore = UINT32_MAX;
	for (int i = 0; i < RINGS; i++)
		p->vring[i].cursor = &devs[i].cursor;
	assert_int_equal(vring_be_calls_open(p, err, sizeof(err)), 0);
}

/* As the owner of the session does it. */
static void
publish(uint16_t qid, struct virtq_ring *r)
{
	if (r != NULL && port.vring[qid].ring == NULL)
		virtq_dev_reset(&devs[qid]);
	vring_be_calls_begin(&port, qid, r);
	port.vring[qid].ring = r;
	vring_be_calls_follow(&port, qid);
}

static uint64_t
call(uint16_t qid)
{
	virtq_dev_call(&devs[qid], port.vring[qid].ring);
	return fd_count(port.vring[qid].ring->callfd);
}

static int
calls_setup(void **state)
{
	for (int i = 0; i < 2; i++) {
		ring[i].callfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		ring[i].features = 0;
	}
	devs = aligned_alloc(VIRTQ_CACHE_LINE, RINGS * sizeof(*devs));
	memset(devs, 0, RINGS * sizeof(*devs));
	return 0;
}

static int
calls_teardown(void **state)
{
	close(ring[0].callfd);
	close(ring[1].callfd);
	free(devs);
	return 0;
}

/* A call waits when its ring ends: it is sent, then the fd is unknown. */
static void
a_ring_ends(void **state)
{
	open_calls(&port, 0, CALL_US);
	for (int i = 0; i < 20; i++) {
		publish(0, &ring[0]);
		publish(1, &ring[1]);
		assert_int_equal(call(0), 1);
		assert_int_equal(call(0), 0);
		assert_int_equal(call(1), 1);
		assert_int_equal(call(1), 0);
		if (i % 2)
			usleep(200); /* it is on the thread's list by now */
		publish(0, NULL);
		assert_int_equal(fd_count(ring[0].callfd), 1);
		publish(1, NULL);
		assert_int_equal(fd_count(ring[1].callfd), 1);
	}
	usleep(2 * CALL_US);
	assert_int_equal(fd_count(ring[0].callfd) + fd_count(ring[1].callfd), 0);
	assert_int_equal(devs[0].call.deferred, 20);
	vring_be_calls_close(&port);
}

/* The driver gives another fd while a call waits: that one is signalled when it is due. */
static void
a_ring_is_replaced(void **state)
{
	struct pollfd p = {.fd = ring[1].callfd, .events = POLLIN};

	open_calls(&port, 1, CALL_US);
	publish(0, &ring[0]);
	assert_int_equal(call(0), 1);
	assert_int_equal(call(0), 0);
	publish(0, &ring[1]);
	assert_int_equal(poll(&p, 1, 5000), 1);
	assert_int_equal(fd_count(ring[1].callfd), 1);
	assert_int_equal(fd_count(ring[0].callfd), 0);
	publish(0, NULL);
	vring_be_calls_close(&port);
}

/* Nobody bursts any more: what waits comes all the same. */
static void
an_application_stops(void **state)
{
	struct pollfd p = {.fd = ring[0].callfd, .events = POLLIN};

	open_calls(&port, 0, 1000);
	publish(0, &ring[0]);
	for (int i = 0; i < 50; i++) {
		virtq_dev_call(&devs[0], &ring[0]);
		assert_int_equal(poll(&p, 1, 5000), 1);
		assert_int_equal(fd_count(ring[0].callfd), 1);
	}
	publish(0, NULL);
	vring_be_calls_close(&port);
}

/* One thread for all ports that ask, and none for others. */
static void
one_thread(void **state)
{
	const unsigned int before = count_threads();

	open_calls(&port, 0, 0);
	assert_null(port.caller);
	publish(0, &ring[0]);
	assert_null(devs[0].caller);
	assert_int_equal(call(0), 1);
	assert_int_equal(call(0), 1);
	publish(0, NULL);
	vring_be_calls_close(&port);
	expect_threads(before);
	for (int i = 0; i < 3; i++) {
		open_calls(&port, 1, 0);
		open_calls(&other, 0, 50);
		assert_non_null(port.caller);
		assert_ptr_equal(port.caller, other.caller);
		expect_threads(before + 1);
		vring_be_calls_close(i % 2 ? &port : &other);
		expect_threads(before + 1);
		vring_be_calls_close(i % 2 ? &other : &port);
		expect_threads(before);
	}
}

/* Where a guest could make the thread wait there is none, and bursts call as without arguments. */
static void
no_thread_that_could_wait(void **state)
{
	const unsigned int before = count_threads();

	refused = -ENOSYS;
	open_calls(&port, 1, CALL_US);
	refused = 0;
	assert_null(port.caller);
	expect_threads(before);
	publish(0, &ring[0]);
	assert_null(devs[0].caller);
	assert_int_equal(call(0), 1);
	assert_int_equal(call(0), 1);
	publish(0, NULL);
	vring_be_calls_close(&port);
}

#define CALLS_TEST(fn) cmocka_unit_test_setup_teardown(fn, calls_setup, calls_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CALLS_TEST(a_ring_ends),
		CALLS_TEST(a_ring_is_replaced),
		CALLS_TEST(an_application_stops),
		CALLS_TEST(one_thread),
		CALLS_TEST(no_thread_that_could_wait),
	};

	return cmocka_run_group_tests_name("vring_be_calls", tests, vnet_setup, vnet_teardown);
}
