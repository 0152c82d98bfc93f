/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rx interrupts of a port as an application has them: it sleeps on one descriptor a queue, which
 * stays whatever happens to the device, and each packet wakes it.
 */
#include "rig_port.h"

#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>

#include <rte_interrupts.h>

#define BOTH_ARGS "queues=2,reconnect-ms=10"
#define ROUNDS 2000
#define LONG_MS 1000	/* nobody is kept waiting for so long */

static struct sport_config
sleepers_config(const char *args, uint16_t queues)
{
	return (struct sport_config){.args = args, .queues = queues, .rxq_intr = true};
}

static bool
is_ready(const struct sport *p, uint16_t queue, int ms)
{
	struct pollfd fd = {.fd = rte_eth_dev_rx_intr_ctl_q_get_fd(p->id, queue),
			    .events = POLLIN};

	assert_true(fd.fd >= 0);
	return poll(&fd, 1, ms) == 1;
}

static void
enable(const struct sport *p, uint16_t queue)
{
	assert_int_equal(rte_eth_dev_rx_intr_enable(p->id, queue), 0);
}

static void
disable(const struct sport *p, uint16_t queue)
{
	assert_int_equal(rte_eth_dev_rx_intr_disable(p->id, queue), 0);
}

/* Asleep until a packet comes, which is sent now. */
static void
wake_with_packet(struct sport *p, uint16_t queue, uint32_t number)
{
	struct rte_mbuf *m;

	enable(p, queue);
	assert_false(is_ready(p, queue, 0));
	sport_send(p, queue, mbuf_new(100, number, SHAPE_LINEAR));
	assert_true(is_ready(p, queue, LONG_MS));
	disable(p, queue);
	m = sport_receive(p, queue);
	assert_non_null(m);
	expect_bytes(mbuf_bytes(m), m->pkt_len, 100, number);
	rte_pktmbuf_free(m);
}

static void
each_packet_wakes(struct sport *p, const char *args)
{
	const struct sport_config c = sleepers_config(args, 2);
	struct rte_mbuf *m;

	sport_open(p, &c);
	for (uint32_t i = 0; i < 100; i++)
		wake_with_packet(p, i % 2, i);
	/* One that was there before is seen. */
	sport_send(p, 0, mbuf_new(100, 0, SHAPE_LINEAR));
	assert_true(BECOMES(rte_eth_rx_queue_count(p->id, 0) == 1));
	enable(p, 1);
	assert_false(is_ready(p, 1, 0));
	enable(p, 0);
	assert_true(is_ready(p, 0, 0));
	disable(p, 0);
	m = sport_receive(p, 0);
	rte_pktmbuf_free(m);
	enable(p, 0);
	assert_false(is_ready(p, 0, 0));
	sport_close(p);
}
BOTH(each_packet_wakes)

/* A device that has to be set up anew, and a port that is stopped: the descriptors stay. */
static void
descriptors_stay(struct sport *p, const char *args)
{
	const struct sport_config c = sleepers_config(args, 2);
	int fd[2];

	sport_open(p, &c);
	for (uint16_t q = 0; q < 2; q++)
		fd[q] = rte_eth_dev_rx_intr_ctl_q_get_fd(p->id, q);
	for (uint32_t i = 0; i < 6; i++) {
		const uint32_t starts = SPORT_READ(p, vdpa.starts);

		wake_with_packet(p, i % 2, i);
		enable(p, 0);
		assert_false(is_ready(p, 0, 0));
		if (i % 3 == 0) {
			standin_needs_reset(&p->s);
			/* Whoever sleeps looks at the rings that there are now. */
			assert_true(is_ready(p, 0, SPORT_WAIT_MS));
			assert_true(BECOMES(SPORT_READ(p, vdpa.starts) > starts));
			assert_true(BECOMES(sport_link(p)));
		} else if (i % 3 == 1) {
			assert_int_equal(rte_eth_dev_stop(p->id), 0);
			assert_true(is_ready(p, 0, 0));
			enable(p, 0); /* no ring: it sleeps, and wakes with the first */
			assert_false(is_ready(p, 0, 0));
			assert_int_equal(rte_eth_dev_start(p->id), 0);
			assert_true(is_ready(p, 0, SPORT_WAIT_MS));
			assert_true(BECOMES(sport_link(p)));
		} else {
			sport_reopen(p, &c);
		}
		disable(p, 0);
		for (uint16_t q = 0; q < 2; q++)
			assert_int_equal(rte_eth_dev_rx_intr_ctl_q_get_fd(p->id, q), fd[q]);
	}
	wake_with_packet(p, 1, 6);
	sport_close(p);
}
BOTH(descriptors_stay)

/* Two rings on one queue: either of them wakes it. */
static void
rings_of_one_queue(struct sport *p, const char *args)
{
	struct sport_config c = sleepers_config(args, 2);

	c.rx_queues = 1;
	sport_open(p, &c);
	assert_int_equal(rte_eth_dev_rx_intr_ctl_q_get_fd(p->id, 1), -1);
	for (uint32_t i = 0; i < 20; i++) {
		struct rte_mbuf *m;

		enable(p, 0);
		assert_false(is_ready(p, 0, 0));
		sport_send(p, i % 2, mbuf_new(100, i, SHAPE_LINEAR));
		assert_true(is_ready(p, 0, LONG_MS));
		disable(p, 0);
		m = sport_receive(p, 0);
		assert_non_null(m);
		rte_pktmbuf_free(m);
	}
	sport_close(p);
}
BOTH(rings_of_one_queue)

struct sender {
	struct sport *p;
	uint32_t received;	/* atomic */
	uint64_t seed;
};

/* One packet at a time, about when the application falls asleep. */
static void *
send_one_by_one(void *arg)
{
	struct sender *s = arg;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		struct rte_mbuf *m = mbuf_new(100, i, SHAPE_LINEAR);

		for (uint32_t k = rd_random(&s->seed) % 5000; k > 0; k--)
			__asm__ volatile("");
		while (rte_eth_tx_burst(s->p->id, 0, &m, 1) == 0)
			sched_yield();
		while (__atomic_load_n(&s->received, __ATOMIC_ACQUIRE) == i)
			sched_yield();
	}
	return NULL;
}

/* As DPDK's applications do it, with EAL's functions. */
static void
no_wake_up_is_lost(struct sport *p, const char *args)
{
	const struct sport_config c = sleepers_config(args, 1);
	const int epfd = epoll_create1(0);
	struct sender s = {.p = p, .seed = 3};
	unsigned int slept = 0;
	pthread_t thread;

	sport_open(p, &c);
	assert_int_equal(rte_eth_dev_rx_intr_ctl_q(p->id, 0, epfd, RTE_INTR_EVENT_ADD, p), 0);
	assert_int_equal(pthread_create(&thread, NULL, send_one_by_one, &s), 0);
	while (s.received < ROUNDS) {
		struct rte_epoll_event event;
		struct rte_mbuf *m;

		if (rte_eth_rx_burst(p->id, 0, &m, 1) == 1) {
			rte_pktmbuf_free(m);
			__atomic_fetch_add(&s.received, 1, __ATOMIC_RELEASE);
			continue;
		}
		enable(p, 0);
		assert_int_equal(rte_epoll_wait(epfd, &event, 1, 5 * LONG_MS), 1);
		assert_ptr_equal(event.epdata.data, p);
		disable(p, 0);
		slept++;
	}
	pthread_join(thread, NULL);
	assert_true(slept > ROUNDS / 2);
	assert_int_equal(rte_eth_dev_rx_intr_ctl_q(p->id, 0, epfd, RTE_INTR_EVENT_DEL, p), 0);
	close(epfd);
	sport_close(p);
}
BOTH(no_wake_up_is_lost)

static void
not_asked_for(void **state)
{
	const struct sport_config c = {.args = BOTH_ARGS}, with = sleepers_config(BOTH_ARGS, 1);
	struct sport *p = *state;

	sport_open(p, &c);
	assert_int_equal(rte_eth_dev_rx_intr_enable(p->id, 0), -ENOTSUP);
	assert_int_equal(rte_eth_dev_rx_intr_disable(p->id, 0), -ENOTSUP);
	sport_reopen(p, &with);
	wake_with_packet(p, 0, 1);
	sport_reopen(p, &c);
	assert_int_equal(rte_eth_dev_rx_intr_enable(p->id, 0), -ENOTSUP);
	sport_close(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(each_packet_wakes),
		BOTH_TESTS(descriptors_stay),
		BOTH_TESTS(rings_of_one_queue),
		BOTH_TESTS(no_wake_up_is_lost),
		SPORT_TEST(not_asked_for),
	};

	return cmocka_run_group_tests_name("standin_intr", tests, sport_group_setup,
					   sport_group_teardown);
}
