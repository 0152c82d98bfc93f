/* SPDX-License-Identifier: BSD-3-Clause */
/* Signals to eventfds that a hostile peer has its hands on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "virtq_notify.h"

static uint64_t
counter(int fd)
{
	uint64_t v = 0;

	return read(fd, &v, sizeof(v)) == sizeof(v) ? v : 0;
}

static void
each_signal_counts(void **state)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	for (int i = 0; i < 5000; i++)
		virtq_notify(fd);
	assert_int_equal(counter(fd), 5000);
	close(fd);
}

/* The peer takes O_NONBLOCK away and fills the counter: a write would wait for it for ever. */
static void
full_blocking_counter_does_not_block(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	const uint64_t full = UINT64_MAX - 1;

	assert_int_equal(write(fd, &full, sizeof(full)), sizeof(full));
	alarm(5);
	for (int i = 0; i < 100; i++)
		virtq_notify(fd);
	alarm(0);
	assert_true(counter(fd) >= full);
	close(fd);
}

/* The peer takes O_NONBLOCK away and empties the counter first. */
static void
empty_blocking_counter_does_not_block(void **state)
{
	int fd = eventfd(3, EFD_CLOEXEC);

	alarm(5);
	assert_true(virtq_notify_take(fd));
	assert_false(virtq_notify_take(fd));
	alarm(0);
	close(fd);
	assert_false(virtq_notify_take(-1));
}

static void
no_fd_is_no_signal(void **state)
{
	virtq_notify(-1);
	virtq_notify(100000);
}

static void *
many(void *arg)
{
	for (int i = 0; i < 2000; i++)
		virtq_notify(*(int *)arg);
	return NULL;
}

static void
threads_lose_nothing(void **state)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	pthread_t t[32];

	for (unsigned int i = 0; i < 32; i++)
		assert_int_equal(pthread_create(&t[i], NULL, many, &fd), 0);
	for (unsigned int i = 0; i < 32; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(counter(fd), 64000);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_signal_counts),
		cmocka_unit_test(full_blocking_counter_does_not_block),
		cmocka_unit_test(empty_blocking_counter_does_not_block),
		cmocka_unit_test(no_fd_is_no_signal),
		cmocka_unit_test(threads_lose_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
