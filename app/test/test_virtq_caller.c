/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls that a thread sends: when, how many, and that none is lost when rings come and go. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "rig_guest.h"
#include "virtq_caller.h"

#define MHZ 1000ul	/* ticks in a microsecond */
#define FIRST (5 * VIRTQ_CALLER_LINGER_US * MHZ) /* when a test begins */
#define LONG_MS 20000	/* one that is lost never comes */
#define RINGS 3

static uint64_t fake_now;

static uint64_t
fake_clock(void)
{
	return fake_now;
}

/* Nanoseconds. */
static uint64_t
ns_of(clockid_t clock)
{
	struct timespec t;

	assert_int_equal(clock_gettime(clock, &t), 0);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t
real_clock(void)
{
	return ns_of(CLOCK_MONOTONIC);
}

/* A thread that is the test itself, with rings that it calls for. */
struct steps {
	struct virtq_caller *caller;
	struct virtq_call call[RINGS];
	int fd[RINGS];
};

static void
steps_open(struct steps *s, struct virtq_caller_rule rule)
{
	fake_now = FIRST;
	s->caller = virtq_caller_new(fake_clock, 1000000 * MHZ);
	assert_non_null(s->caller);
	for (int i = 0; i < RINGS; i++) {
		s->fd[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		memset(&s->call[i], 0xa5, sizeof(s->call[i]));
		s->call[i].coalesced = s->call[i].deferred = 0;
		virtq_caller_reset(&s->call[i]);
		virtq_caller_begin(s->caller, &s->call[i], rule);
		virtq_caller_fd(s->caller, &s->call[i], s->fd[i]);
	}
	assert_int_equal(virtq_caller_step(s->caller), 0);
}

static void
steps_close(struct steps *s)
{
	for (int i = 0; i < RINGS; i++) {
		virtq_caller_end(s->caller, &s->call[i]);
		close(s->fd[i]);
	}
	virtq_caller_free(s->caller);
}

/* Ring 0's driver is to be called; how often it was, at once. */
static uint64_t
post(struct steps *s)
{
	virtq_caller_post(s->caller, &s->call[0], s->fd[0]);
	return fd_count(s->fd[0]);
}

/* Have the thread look so much later; how often ring 0's driver is called. */
static uint64_t
step(struct steps *s, uint64_t us)
{
	fake_now += us * MHZ;
	virtq_caller_step(s->caller);
	return fd_count(s->fd[0]);
}

static void
a_lone_call_is_sent_at_once(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct steps s;

		steps_open(&s, (struct virtq_caller_rule){i == 0, i == 0 ? 0 : 50});
		for (int k = 0; k < 5; k++) {
			assert_int_equal(post(&s), 1);
			fake_now += VIRTQ_CALLER_BUSY_US * MHZ; /* longer than the interval */
		}
		assert_int_equal(s.call[0].deferred, 0);
		assert_int_equal(virtq_caller_step(s.caller), 0); /* sleeps all the time */
		steps_close(&s);
	}
}

static void
under_load_the_thread_calls(void **state)
{
	struct steps s;

	steps_open(&s, (struct virtq_caller_rule){.by_thread = true});
	assert_int_equal(post(&s), 1);
	fake_now += (VIRTQ_CALLER_BUSY_US - 1) * MHZ;
	assert_int_equal(post(&s), 0);
	assert_int_equal(post(&s), 0);
	assert_int_equal(s.call[0].deferred, 1);
	assert_int_equal(s.call[0].coalesced, 1);
	assert_int_equal(step(&s, 0), 1);
	assert_int_equal(step(&s, 0), 0);
	/* It stays awake, and takes those of the others too. */
	fake_now += 500 * MHZ;
	assert_int_equal(post(&s), 0);
	virtq_caller_post(s.caller, &s.call[1], s.fd[1]);
	assert_int_equal(virtq_caller_step(s.caller), VIRTQ_CALLER_NAP_US * 1000);
	assert_int_equal(fd_count(s.fd[0]), 1);
	assert_int_equal(fd_count(s.fd[1]), 1);
	/* Until there was none for long. */
	fake_now += (VIRTQ_CALLER_LINGER_US - 1) * MHZ;
	assert_int_not_equal(virtq_caller_step(s.caller), 0);
	fake_now += MHZ;
	assert_int_equal(virtq_caller_step(s.caller), 0);
	assert_int_equal(post(&s), 1);
	assert_int_equal(s.call[0].deferred, 2);
	steps_close(&s);
}

static void
calls_keep_their_interval(void **state)
{
	for (int by_thread = 0; by_thread < 2; by_thread++) {
		struct steps s;

		steps_open(&s, (struct virtq_caller_rule){by_thread, 300});
		assert_int_equal(post(&s), 1);
		fake_now += MHZ;
		for (int k = 0; k < 9; k++)
			assert_int_equal(post(&s), 0);
		assert_int_equal(s.call[0].deferred, 1);
		assert_int_equal(s.call[0].coalesced, 8);
		assert_int_equal(step(&s, 0), 0);
		assert_int_equal(step(&s, 298), 0);
		/* Nobody posts any more, yet it is sent when it is due. */
		assert_int_equal(step(&s, 1), 1);
		assert_int_equal(step(&s, 1000), 0);
		fake_now += VIRTQ_CALLER_BUSY_US * MHZ;
		assert_int_equal(post(&s), by_thread ? 0 : 1);
		assert_int_equal(step(&s, 0), by_thread ? 1 : 0);
		steps_close(&s);
	}
}

/* The thread looks again when the next one is due, but not at once and not too late. */
static void
the_next_look(void **state)
{
	struct steps s;

	steps_open(&s, (struct virtq_caller_rule){.interval_us = 300});
	post(&s);
	post(&s);
	assert_int_equal(virtq_caller_step(s.caller), VIRTQ_CALLER_NAP_US * 1000);
	fake_now += 270 * MHZ;
	assert_int_equal(virtq_caller_step(s.caller), 30000);
	fake_now += 29 * MHZ;
	assert_int_equal(virtq_caller_step(s.caller), 10000);
	assert_int_equal(step(&s, 10), 1);
	steps_close(&s);
}

static void
a_ring_that_ends_is_called_first(void **state)
{
	for (int i = 0; i < RINGS; i++) {
		struct steps s;

		steps_open(&s, (struct virtq_caller_rule){.interval_us = 300});
		for (int k = 0; k < RINGS; k++) {
			virtq_caller_post(s.caller, &s.call[k], s.fd[k]);
			assert_int_equal(fd_count(s.fd[k]), 1);
			virtq_caller_post(s.caller, &s.call[k], s.fd[k]);
			if (k == i) /* off the bursts' list, and on it */
				assert_int_not_equal(virtq_caller_step(s.caller), 0);
		}
		virtq_caller_end(s.caller, &s.call[i]);
		assert_int_equal(fd_count(s.fd[i]), 1);
		virtq_caller_end(s.caller, &s.call[i]);
		fake_now += 300 * MHZ;
		virtq_caller_step(s.caller);
		for (int k = 0; k < RINGS; k++)
			assert_int_equal(fd_count(s.fd[k]), k != i);
		steps_close(&s);
	}
}

/* What waits goes to the fd that the driver has given since; to none, if it polls now. */
static void
another_fd_takes_over(void **state)
{
	struct steps s;

	steps_open(&s, (struct virtq_caller_rule){.interval_us = 300});
	post(&s);
	post(&s);
	virtq_caller_fd(s.caller, &s.call[0], s.fd[2]);
	assert_int_equal(step(&s, 300), 0);
	assert_int_equal(fd_count(s.fd[2]), 1);
	post(&s);
	virtq_caller_fd(s.caller, &s.call[0], -1);
	assert_int_equal(step(&s, 300), 0);
	virtq_caller_fd(s.caller, &s.call[0], s.fd[0]);
	assert_int_equal(step(&s, 300), 0);
	assert_int_equal(post(&s), 1); /* it goes on */
	steps_close(&s);
}

/* A clock that goes back, as that of another processor may, delays nothing. */
static void
a_clock_goes_back(void **state)
{
	struct steps s;

	steps_open(&s, (struct virtq_caller_rule){.interval_us = 300});
	assert_int_equal(post(&s), 1);
	fake_now -= MHZ;
	assert_int_equal(post(&s), 1);
	assert_int_equal(post(&s), 0);
	fake_now -= MHZ;
	assert_int_equal(step(&s, 0), 1);
	steps_close(&s);
}

/* A device that uses buffers, and a driver that sleeps when it has seen all of them. */
struct flow {
	struct virtq_caller *caller;
	struct virtq_call call;
	int fd;
	uint32_t used;		/* atomic */
	bool stop;		/* atomic */
	uint64_t seed;
};

static void *
flow_device(void *arg)
{
	struct flow *f = arg;

	while (!__atomic_load_n(&f->stop, __ATOMIC_RELAXED)) {
		__atomic_add_fetch(&f->used, 1, __ATOMIC_RELEASE);
		virtq_caller_post(f->caller, &f->call, f->fd);
		for (uint32_t i = rd_random(&f->seed) % 4000; i > 0; i--)
			__asm__ volatile("");
	}
	return NULL;
}

static void *
caller_main(void *caller)
{
	virtq_caller_run(caller);
	return NULL;
}

/*
 * The ring ends at some moment, its fd is closed, and the number is another file's at once. Of what
 * was used the driver has been told until then, and nobody signals that file.
 */
static void
rings_come_and_go(void **state)
{
	struct flow f = {.seed = 3};
	pthread_t thread, device;

	f.caller = virtq_caller_new(real_clock, 1000000000);
	assert_int_equal(pthread_create(&thread, NULL, caller_main, f.caller), 0);
	for (int i = 0; i < 300; i++) {
		struct pollfd p;
		int other;

		f.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		__atomic_store_n(&f.stop, false, __ATOMIC_RELAXED);
		virtq_caller_reset(&f.call);
		virtq_caller_begin(f.caller, &f.call,
				   (struct virtq_caller_rule){i % 2, i % 3 * 20});
		virtq_caller_fd(f.caller, &f.call, f.fd);
		assert_int_equal(pthread_create(&device, NULL, flow_device, &f), 0);
		p = (struct pollfd){.fd = f.fd, .events = POLLIN};
		for (int k = 0; k < 20; k++) {
			assert_int_equal(poll(&p, 1, LONG_MS), 1);
			fd_count(f.fd);
		}
		__atomic_store_n(&f.stop, true, __ATOMIC_RELAXED);
		pthread_join(device, NULL);
		virtq_caller_end(f.caller, &f.call);
		other = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		assert_int_equal(dup3(other, f.fd, O_CLOEXEC), f.fd);
		close(other);
		usleep(100);
		assert_int_equal(fd_count(f.fd), 0);
		close(f.fd);
	}
	assert_true(f.call.deferred > 300);
	virtq_caller_quit(f.caller);
	pthread_join(thread, NULL);
	virtq_caller_free(f.caller);
}

/* The last call is not lost, whatever the thread is about to do. */
static void
the_last_call_comes(void **state)
{
	struct flow f = {.seed = 5};
	pthread_t thread;

	f.caller = virtq_caller_new(real_clock, 1000000000);
	assert_int_equal(pthread_create(&thread, NULL, caller_main, f.caller), 0);
	f.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	virtq_caller_reset(&f.call);
	virtq_caller_begin(f.caller, &f.call, (struct virtq_caller_rule){true, 30});
	virtq_caller_fd(f.caller, &f.call, f.fd);
	for (int i = 0; i < 1000; i++) {
		struct pollfd p = {.fd = f.fd, .events = POLLIN};

		/* Some lie about as far apart as the thread stays awake. */
		usleep(rd_random(&f.seed) % (i % 2 ? 50 : 2 * VIRTQ_CALLER_LINGER_US));
		virtq_caller_post(f.caller, &f.call, f.fd);
		assert_int_equal(poll(&p, 1, LONG_MS), 1);
		fd_count(f.fd);
	}
	virtq_caller_end(f.caller, &f.call);
	virtq_caller_quit(f.caller);
	pthread_join(thread, NULL);
	virtq_caller_free(f.caller);
	close(f.fd);
}

/* Whether the kernel has a thread that waits, and not one that waits for a processor. */
static bool
waits(pid_t tid)
{
	char path[64], line[256] = "";
	const char *state;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_non_null(fgets(line, sizeof(line), file));
	fclose(file);
	state = strrchr(line, ')');
	assert_non_null(state);
	return state[2] == 'S';
}

/* Returns when the thread has taken no processor for a moment although it could have had one. */
static void
expect_rest(clockid_t clock, pid_t tid)
{
	for (int ms = 0; ms < LONG_MS; ms += 20) {
		const uint64_t before = ns_of(clock);
		const bool waited = waits(tid);

		usleep(20000);
		if (waited && ns_of(clock) == before && waits(tid))
			return;
	}
	fail_msg("the thread does not sleep");
}

struct sleeper {
	struct virtq_caller *caller;
	pid_t tid;		/* atomic */
};

static void *
sleeper_main(void *arg)
{
	struct sleeper *s = arg;

	__atomic_store_n(&s->tid, gettid(), __ATOMIC_RELEASE);
	virtq_caller_run(s->caller);
	return NULL;
}

/* With nothing to call the thread takes no processor. On a busy machine it may begin late. */
static void
the_thread_sleeps(void **state)
{
	struct sleeper s = {virtq_caller_new(real_clock, 1000000000), 0};
	pthread_t thread;
	clockid_t clock;
	uint64_t before;
	pid_t tid;

	assert_int_equal(pthread_create(&thread, NULL, sleeper_main, &s), 0);
	assert_int_equal(pthread_getcpuclockid(thread, &clock), 0);
	while ((tid = __atomic_load_n(&s.tid, __ATOMIC_ACQUIRE)) == 0)
		usleep(1000);
	expect_rest(clock, tid);
	before = ns_of(clock);
	usleep(200000);
	assert_int_equal(ns_of(clock), before);
	virtq_caller_quit(s.caller);
	pthread_join(thread, NULL);
	virtq_caller_free(s.caller);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lone_call_is_sent_at_once),
		cmocka_unit_test(under_load_the_thread_calls),
		cmocka_unit_test(calls_keep_their_interval),
		cmocka_unit_test(the_next_look),
		cmocka_unit_test(a_ring_that_ends_is_called_first),
		cmocka_unit_test(another_fd_takes_over),
		cmocka_unit_test(a_clock_goes_back),
		cmocka_unit_test(rings_come_and_go),
		cmocka_unit_test(the_last_call_comes),
		cmocka_unit_test(the_thread_sleeps),
	};

	return cmocka_run_group_tests_name("virtq_caller", tests, NULL, NULL);
}
