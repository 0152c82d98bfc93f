/* SPDX-License-Identifier: BSD-3-Clause */
/* Signals to eventfds that a hostile peer has its hands on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
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

/* The system call fails from now on, as on a kernel that was built without it. */
static void
take_away(int number)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		_exit(10);
}

/* What is wrong where there are no asynchronous requests; 0: nothing. */
static int
without_requests(void)
{
	const uint64_t full = UINT64_MAX - 1;
	int fd;

	take_away(__NR_io_setup);
	if (virtq_notify_init() != -ENOSYS)
		return 1;
	fd = eventfd(0, EFD_CLOEXEC);
	alarm(5);
	virtq_notify(fd);
	if (counter(fd) != 1)
		return 2;
	if (write(fd, &full, sizeof(full)) != sizeof(full))
		return 3;
	virtq_notify(fd); /* there is no room */
	return counter(fd) == full ? 0 : 4;
}

/* A process of its own, where it is not known yet. */
static void
without_requests_it_is_known(void **state)
{
	pid_t child = fork();
	int status = 0;

	if (child == 0)
		_exit(without_requests());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(virtq_notify_init(), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_requests_it_is_known),
		cmocka_unit_test(each_signal_counts),
		cmocka_unit_test(full_blocking_counter_does_not_block),
		cmocka_unit_test(empty_blocking_counter_does_not_block),
		cmocka_unit_test(no_fd_is_no_signal),
		cmocka_unit_test(threads_lose_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
