/* SPDX-License-Identifier: BSD-3-Clause */
/* A side of a ring that sleeps until the other one notifies it: no wake-up is lost. */
#include <poll.h>
#include <pthread.h>
#include <sched.h>

#include "rig_loop.h"
#include "virtq_dev_kicks.h"
#include "virtq_drv_calls.h"

#define SIZE 16
#define ROUNDS 20000
#define DEFERRED_ROUNDS 2000 /* of which each may take as long as a call is put off */
#define LONG_MS 1000	/* nobody is kept waiting for so long */

/* Both sides of one ring. */
struct pair {
	struct rig_loop s;
	int fd;			/* of the side that sleeps */
	int rounds;
	uint64_t seed;
};

static void
pair_open(struct pair *p, uint64_t features)
{
	*p = (struct pair){.rounds = ROUNDS, .seed = 7};
	p->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	rig_loop_open(&p->s, SIZE, features, 0, p->fd, p->fd);
}

static void
pair_close(struct pair *p)
{
	rig_loop_close(&p->s);
	close(p->fd);
}

static void
offer(struct pair *p)
{
	const struct virtq_drv_seg seg = {LOOP_IOVA + p->s.l.header, 8};

	virtq_drv_add(p->s.drv, p->s.drv_ring, p, &seg, 1, 0, p->s.packed);
	virtq_drv_publish(p->s.drv, p->s.drv_ring, p->s.packed);
	virtq_drv_kick(p->s.drv, p->s.drv_ring, p->s.packed);
}

static bool
take_back(struct pair *p)
{
	uint64_t meta;
	uint16_t id;

	if (p->s.packed) {
		if (!virtq_drv_used_packed(&p->s.drv_ring->pdesc[p->s.drv->cursor.used_idx],
					   p->s.drv->cursor.used_wrap, &meta))
			return false;
		id = (uint16_t)(meta >> 32);
	} else {
		if (virtq_drv_used_split(p->s.drv, p->s.drv_ring) == 0)
			return false;
		id = (uint16_t)virtq_load32(&p->s.drv_ring->used->ring[p->s.drv->cursor.used_idx %
								     SIZE].id);
	}
	virtq_drv_pop_used(p->s.drv, p->s.drv_ring, id, p->s.packed);
	return true;
}

static bool
use_one(struct pair *p)
{
	struct virtq_fetch f = virtq_dev_fetch_begin(p->s.dev, NULL);
	struct virtq_chain c;

	virtq_dev_begin(p->s.dev, p->s.dev_ring);
	if (virtq_dev_fetch(p->s.dev, p->s.dev_ring, &f, &c, 1, p->s.packed, false,
			    virtq_dev_prefetch_nothing) == 0)
		return false;
	virtq_dev_complete(p->s.dev, p->s.dev_ring, &c, 1, p->s.packed, false, false);
	virtq_dev_notify(p->s.dev, p->s.dev_ring, p->s.packed);
	return true;
}

/* Somewhere around the moment in which the other side falls asleep. */
static void
wait_a_while(struct pair *p)
{
	for (uint32_t i = rd_random(&p->seed) % 2000; i > 0; i--)
		__asm__ volatile("");
}

static void *
drive(void *arg)
{
	struct pair *p = arg;

	for (int i = 0; i < ROUNDS; i++) {
		wait_a_while(p);
		offer(p);
		while (!take_back(p))
			sched_yield();
	}
	return NULL;
}

static void *
serve(void *arg)
{
	struct pair *p = arg;

	for (int i = 0; i < p->rounds; i++) {
		wait_a_while(p);
		while (!use_one(p))
			sched_yield();
	}
	return NULL;
}

static bool
wait_for_fd(const struct pair *p)
{
	struct pollfd fd = {.fd = p->fd, .events = POLLIN};

	return poll(&fd, 1, LONG_MS) == 1;
}

/* Rounds in which the device slept. */
static unsigned int
device_sleeps(struct pair *p)
{
	unsigned int slept = 0;

	for (int i = 0; i < ROUNDS;) {
		if (use_one(p)) {
			i++;
			continue;
		}
		fd_count(p->fd);
		if (virtq_dev_kicks_on(p->s.dev, p->s.dev_ring)) {
			slept++;
			assert_true(wait_for_fd(p));
		}
		virtq_dev_kicks_off(p->s.dev, p->s.dev_ring);
	}
	return slept;
}

static unsigned int
driver_sleeps(struct pair *p)
{
	unsigned int slept = 0;

	for (int i = 0; i < p->rounds;) {
		if (take_back(p)) {
			if (++i < p->rounds)
				offer(p);
			continue;
		}
		fd_count(p->fd);
		if (virtq_drv_calls_on(p->s.drv, p->s.drv_ring)) {
			slept++;
			assert_true(wait_for_fd(p));
		}
		virtq_drv_calls_off(p->s.drv, p->s.drv_ring);
	}
	return slept;
}

static const uint64_t forms[] = {0, F_EVENT_IDX, F_PACKED, F_PACKED | F_EVENT_IDX};

static void
no_kick_is_lost(void **state)
{
	for (int i = 0; i < 4; i++) {
		unsigned int slept;
		pthread_t driver;
		struct pair p;

		pair_open(&p, forms[i]);
		p.s.dev_ring->callfd = -1; /* the other side polls */
		assert_int_equal(pthread_create(&driver, NULL, drive, &p), 0);
		slept = device_sleeps(&p);
		pthread_join(driver, NULL);
		assert_true(slept > ROUNDS / 100);
		/* While it was awake it was not kicked, but for kicks that were under way. */
		assert_uint_in_range(p.s.drv->kicks, 1, 2 * slept + 1);
		pair_close(&p);
	}
}

static void
no_call_is_lost(void **state)
{
	for (int i = 0; i < 4; i++) {
		unsigned int slept;
		pthread_t device;
		struct pair p;

		pair_open(&p, forms[i]);
		p.s.drv_ring->callfd = -1;
		offer(&p);
		assert_int_equal(pthread_create(&device, NULL, serve, &p), 0);
		slept = driver_sleeps(&p);
		pthread_join(device, NULL);
		assert_true(slept > ROUNDS / 100);
		assert_uint_in_range(p.s.dev->calls, 1, 2 * slept + 2);
		pair_close(&p);
	}
}

static uint64_t
clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void *
caller_main(void *caller)
{
	virtq_caller_run(caller);
	return NULL;
}

/* Nor is one that a thread sends, now or later. */
static void
no_deferred_call_is_lost(void **state)
{
	static const struct virtq_caller_rule rules[] = {{true, 0}, {false, 40}, {true, 20}};
	struct virtq_caller *caller = virtq_caller_new(clock_ns, 1000000000);
	pthread_t thread, device;

	assert_int_equal(pthread_create(&thread, NULL, caller_main, caller), 0);
	for (int i = 0; i < 12; i++) {
		unsigned int slept;
		struct pair p;

		pair_open(&p, forms[i % 4]);
		p.rounds = DEFERRED_ROUNDS;
		p.s.drv_ring->callfd = -1;
		virtq_caller_begin(caller, &p.s.dev->call, rules[i / 4]);
		virtq_caller_fd(caller, &p.s.dev->call, p.fd);
		p.s.dev->caller = caller;
		offer(&p);
		assert_int_equal(pthread_create(&device, NULL, serve, &p), 0);
		slept = driver_sleeps(&p);
		pthread_join(device, NULL);
		virtq_caller_end(caller, &p.s.dev->call);
		assert_true(slept > DEFERRED_ROUNDS / 100);
		assert_true(p.s.dev->call.deferred > DEFERRED_ROUNDS / 100);
		pair_close(&p);
	}
	virtq_caller_quit(caller);
	pthread_join(thread, NULL);
	virtq_caller_free(caller);
}

/* Asked for once, one comes; with an event index just one. What is there already is said. */
static void
one_kick_a_time(void **state)
{
	for (int i = 0; i < 4; i++) {
		const bool event_idx = forms[i] & F_EVENT_IDX;
		struct pair p;

		pair_open(&p, forms[i]);
		for (int lap = 0; lap < 3 * SIZE; lap++) {
			virtq_dev_kicks_off(p.s.dev, p.s.dev_ring);
			offer(&p);
			assert_int_equal(fd_count(p.fd), 0);
			assert_false(virtq_dev_kicks_on(p.s.dev, p.s.dev_ring));
			assert_true(use_one(&p));
			assert_true(take_back(&p));
			fd_count(p.fd);
			assert_true(virtq_dev_kicks_on(p.s.dev, p.s.dev_ring));
			for (int n = 0; n < 3; n++) {
				offer(&p);
				assert_int_equal(fd_count(p.fd), n == 0 || !event_idx ? 1 : 0);
			}
			p.s.dev_ring->callfd = -1;
			while (use_one(&p))
				assert_true(take_back(&p));
		}
		p.s.dev->cursor.broken = VIRTQ_E_BAD_HEAD;
		offer(&p);
		assert_true(virtq_dev_kicks_on(p.s.dev, p.s.dev_ring)); /* nothing comes of it */
		pair_close(&p);
	}
}

static void
one_call_a_time(void **state)
{
	for (int i = 0; i < 4; i++) {
		const bool event_idx = forms[i] & F_EVENT_IDX;
		struct pair p;

		pair_open(&p, forms[i]);
		p.s.drv_ring->callfd = -1;
		assert_false(virtq_drv_calls_on(p.s.drv, p.s.drv_ring)); /* no buffer is out */
		offer(&p);
		use_one(&p); /* the first one is called for whatever is said */
		take_back(&p);
		for (int lap = 0; lap < 3 * SIZE; lap++) {
			fd_count(p.fd);
			virtq_drv_calls_off(p.s.drv, p.s.drv_ring);
			for (int n = 0; n < 4; n++)
				offer(&p);
			assert_true(use_one(&p));
			assert_int_equal(fd_count(p.fd), 0);
			assert_false(virtq_drv_calls_on(p.s.drv, p.s.drv_ring));
			assert_true(take_back(&p));
			assert_true(virtq_drv_calls_on(p.s.drv, p.s.drv_ring));
			for (int n = 0; n < 3; n++) {
				assert_true(use_one(&p));
				assert_int_equal(fd_count(p.fd), n == 0 || !event_idx ? 1 : 0);
			}
			while (take_back(&p))
				;
		}
		offer(&p);
		p.s.drv->batch = true; /* more was used with it, and not taken yet */
		assert_false(virtq_drv_calls_on(p.s.drv, p.s.drv_ring));
		p.s.drv->batch = false;
		assert_true(virtq_drv_calls_on(p.s.drv, p.s.drv_ring));
		pair_close(&p);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_kick_a_time),
		cmocka_unit_test(one_call_a_time),
		cmocka_unit_test(no_kick_is_lost),
		cmocka_unit_test(no_call_is_lost),
		cmocka_unit_test(no_deferred_call_is_lost),
	};

	return cmocka_run_group_tests_name("virtq_sleep", tests, NULL, NULL);
}
