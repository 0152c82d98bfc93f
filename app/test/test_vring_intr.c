/* SPDX-License-Identifier: BSD-3-Clause */
/* Two ports of the driver, one at each end of a socket: either sleeps until the other one sends. */
#include "rig_guest_net.h"

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>

#include <rte_bus_vdev.h>
#include <rte_ethdev.h>
#include <rte_interrupts.h>

#include "rig_watch.h"
#include "vring_registry.h"
#include "vring_stats.h"

#define BACK "net_vring0"
#define FRONT "net_vring1"
#define ROUNDS 2000
#define WAIT_MS 5000

/* No more descriptors can be waited for with this one. */
static int full_epfd = -1;

int __real_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);

int
__wrap_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	if (op == EPOLL_CTL_ADD && epfd == __atomic_load_n(&full_epfd, __ATOMIC_RELAXED)) {
		errno = ENOSPC;
		return -1;
	}
	return __real_epoll_ctl(epfd, op, fd, event);
}

static char sock[64];
static const char *front_args;
static uint16_t back, front;

static uint16_t
open_port(const char *name, const char *end, const char *more)
{
	const struct rte_eth_conf conf = {.intr_conf.rxq = 1};
	char args[128];
	uint16_t id;

	snprintf(args, sizeof(args), "%s=%s,%s", end, sock, more);
	assert_int_equal(rte_vdev_init(name, args), 0);
	assert_int_equal(rte_eth_dev_get_port_by_name(name, &id), 0);
	/* A front-end asks the back-end what it has; the control thread is done with that here. */
	assert_int_equal(rte_eth_dev_set_link_up(id), 0);
	assert_int_equal(rte_eth_dev_configure(id, 1, 1, &conf), 0);
	assert_int_equal(rte_eth_rx_queue_setup(id, 0, 64, 0, NULL, small_pool), 0);
	assert_int_equal(rte_eth_tx_queue_setup(id, 0, 64, 0, NULL), 0);
	assert_int_equal(rte_eth_dev_start(id), 0);
	return id;
}

static void
close_port(const char *name, uint16_t id)
{
	assert_int_equal(rte_eth_dev_stop(id), 0);
	assert_int_equal(rte_vdev_uninit(name), 0);
}

static bool
has_link(uint16_t id, bool up)
{
	struct rte_eth_link link;

	assert_int_equal(rte_eth_link_get_nowait(id, &link), 0);
	return (link.link_status == RTE_ETH_LINK_UP) == up;
}

static void
open_front(void)
{
	front = open_port(FRONT, "path", front_args);
	assert_true(BECOMES(has_link(front, true) && has_link(back, true)));
}

static void
open_both_with(const char *back_args, const char *args)
{
	front_args = args;
	back = open_port(BACK, "iface", back_args);
	open_front();
}

static void
open_both(const char *args)
{
	open_both_with("packed=1", args);
}

static void
close_both(void)
{
	close_port(FRONT, front);
	close_port(BACK, back);
}

static bool
is_ready(uint16_t id, int ms)
{
	struct pollfd fd = {.fd = rte_eth_dev_rx_intr_ctl_q_get_fd(id, 0), .events = POLLIN};

	assert_true(fd.fd >= 0);
	return poll(&fd, 1, ms) == 1;
}

static bool
drop_one(uint16_t id)
{
	struct rte_mbuf *m;

	if (rte_eth_rx_burst(id, 0, &m, 1) == 0)
		return false;
	rte_pktmbuf_free(m);
	return true;
}

static void
send_one(uint16_t id)
{
	struct rte_mbuf *m = mbuf_new(100, 1, SHAPE_LINEAR);

	assert_true(BECOMES(rte_eth_tx_burst(id, 0, &m, 1) == 1));
}

static void
wake(uint16_t sleeper, uint16_t sender)
{
	assert_int_equal(rte_eth_dev_rx_intr_enable(sleeper, 0), 0);
	assert_false(is_ready(sleeper, 0));
	send_one(sender);
	assert_true(is_ready(sleeper, WAIT_MS));
	assert_int_equal(rte_eth_dev_rx_intr_disable(sleeper, 0), 0);
	assert_true(BECOMES(drop_one(sleeper)));
}

static const char *const forms[] = {"queue_size=64", "queue_size=64,packed_vq=1"};

/* Descriptors of the process. */
static unsigned int
count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

/* Front-ends come and go while the back-end's application sleeps, which has one descriptor. */
static void
front_ends_come_and_go(void **state)
{
	for (unsigned int i = 0; i < RTE_DIM(forms); i++) {
		unsigned int fds = 0;
		int fd;

		open_both(forms[i]);
		fd = rte_eth_dev_rx_intr_ctl_q_get_fd(back, 0);
		for (int life = 0; life < 4; life++) {
			for (int k = 0; k < 10; k++) {
				wake(back, front);
				wake(front, back);
			}
			assert_int_equal(rte_eth_dev_rx_intr_enable(back, 0), 0);
			assert_false(is_ready(back, 0));
			close_port(FRONT, front);
			assert_true(is_ready(back, WAIT_MS));
			assert_true(BECOMES(has_link(back, false)));
			/* With nobody there it sleeps as well. */
			assert_int_equal(rte_eth_dev_rx_intr_enable(back, 0), 0);
			assert_true(BECOMES(rte_eth_dev_rx_intr_enable(back, 0) == 0 &&
					    !is_ready(back, 0)));
			open_front();
			assert_true(is_ready(back, WAIT_MS));
			assert_int_equal(rte_eth_dev_rx_intr_ctl_q_get_fd(back, 0), fd);
			assert_true(fds == 0 || fds == count_fds());
			fds = count_fds();
		}
		close_both();
	}
}

/* Descriptors that the one for the application contains. */
static unsigned int
count_watched(uint16_t id)
{
	char line[256];
	unsigned int n = 0;
	FILE *info;

	snprintf(line, sizeof(line), "/proc/self/fdinfo/%d",
		 rte_eth_dev_rx_intr_ctl_q_get_fd(id, 0));
	info = fopen(line, "r");
	assert_non_null(info);
	while (fgets(line, sizeof(line), info) != NULL)
		n += strncmp(line, "tfd:", 4) == 0;
	fclose(info);
	return n;
}

/* Rings that stop and start with the front-end's port, whose kicks live on. */
static void
rings_stop_and_start(void **state)
{
	for (unsigned int i = 0; i < RTE_DIM(forms); i++) {
		open_both(forms[i]);
		for (int k = 0; k < 5; k++) {
			wake(back, front);
			wake(front, back);
			assert_int_equal(rte_eth_dev_rx_intr_enable(back, 0), 0);
			assert_int_equal(rte_eth_dev_stop(front), 0);
			assert_true(is_ready(back, WAIT_MS));
			assert_true(BECOMES(has_link(back, false)));
			assert_true(BECOMES(count_watched(back) == 1));
			assert_int_equal(rte_eth_dev_start(front), 0);
			assert_true(BECOMES(has_link(front, true) && has_link(back, true)));
			assert_int_equal(count_watched(back), 2);
			while (drop_one(back))
				;
		}
		close_both();
	}
}

/* A ring that could not be waited for: there is no sleeping as long as it is there. */
static void
no_room_to_wait(void **state)
{
	open_both(forms[0]);
	assert_int_equal(rte_eth_dev_stop(front), 0);
	assert_true(BECOMES(has_link(back, false)));
	__atomic_store_n(&full_epfd, rte_eth_dev_rx_intr_ctl_q_get_fd(back, 0), __ATOMIC_RELAXED);
	assert_int_equal(rte_eth_dev_start(front), 0);
	assert_true(BECOMES(has_link(back, true)));
	for (int i = 0; i < 3; i++) {
		assert_int_equal(rte_eth_dev_rx_intr_enable(back, 0), 0);
		assert_true(is_ready(back, 0));
	}
	__atomic_store_n(&full_epfd, -1, __ATOMIC_RELAXED);
	assert_int_equal(rte_eth_dev_stop(front), 0);
	assert_int_equal(rte_eth_dev_start(front), 0);
	assert_true(BECOMES(has_link(front, true) && has_link(back, true)));
	while (drop_one(back))
		;
	wake(back, front);
	close_both();
}

struct sender {
	uint16_t id;
	uint32_t received;	/* atomic */
	uint64_t seed;
};

/* One packet at a time, about when the application at the other end falls asleep. */
static void *
send_at_random(void *arg)
{
	struct sender *s = arg;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		for (uint32_t k = rd_random(&s->seed) % 5000; k > 0; k--)
			__asm__ volatile("");
		send_one(s->id);
		while (__atomic_load_n(&s->received, __ATOMIC_ACQUIRE) == i)
			sched_yield();
	}
	return NULL;
}

static void
expect_each_wakes(uint16_t sleeper, uint16_t sender)
{
	struct sender s = {.id = sender, .seed = 5};
	const int epfd = epoll_create1(0);
	unsigned int slept = 0;
	pthread_t thread;

	assert_int_equal(rte_eth_dev_rx_intr_ctl_q(sleeper, 0, epfd, RTE_INTR_EVENT_ADD, NULL), 0);
	assert_int_equal(pthread_create(&thread, NULL, send_at_random, &s), 0);
	while (s.received < ROUNDS) {
		struct rte_epoll_event event;

		if (drop_one(sleeper)) {
			__atomic_fetch_add(&s.received, 1, __ATOMIC_RELEASE);
			continue;
		}
		assert_int_equal(rte_eth_dev_rx_intr_enable(sleeper, 0), 0);
		assert_int_equal(rte_epoll_wait(epfd, &event, 1, WAIT_MS), 1);
		assert_int_equal(rte_eth_dev_rx_intr_disable(sleeper, 0), 0);
		slept++;
	}
	pthread_join(thread, NULL);
	assert_true(slept > ROUNDS / 100);
	assert_int_equal(rte_eth_dev_rx_intr_ctl_q(sleeper, 0, epfd, RTE_INTR_EVENT_DEL, NULL), 0);
	close(epfd);
}

static void
no_wake_up_is_lost(void **state)
{
	for (unsigned int i = 0; i < RTE_DIM(forms); i++) {
		open_both(forms[i]);
		expect_each_wakes(back, front);
		expect_each_wakes(front, back);
		close_both();
	}
}

static const char *const callers[] = {"call-thread=1", "call-us=60", "call-thread=1,call-us=30"};

static int
read_deferred(struct vring_port *port, void *deferred)
{
	*(uint64_t *)deferred = vring_stats_calls(port, true, 0, 1).deferred;
	return 0;
}

/* The back-end has a thread call who sleeps. */
static void
no_deferred_wake_up_is_lost(void **state)
{
	for (unsigned int i = 0; i < RTE_DIM(forms) * RTE_DIM(callers); i++) {
		uint64_t sent, deferred;

		open_both_with(callers[i / RTE_DIM(forms)], forms[i % RTE_DIM(forms)]);
		expect_each_wakes(front, back);
		sent = watch_xstat(back, "tx_q0_calls");
		assert_int_equal(vring_registry_ask(back, read_deferred, &deferred), 0);
		assert_uint_in_range(deferred, 1, sent);
		close_both();
	}
}

/* Sends until it is to stop; the application at the other end sleeps and wakes, or is not there. */
static void *
send_all_the_time(void *arg)
{
	/* Of its own: how a pool's mbufs go from thread to thread no sanitizer sees. */
	struct rte_mempool *pool = rte_pktmbuf_pool_create("flood", 63, 0, 0, 2048, SOCKET_ID_ANY);
	const uint32_t *stop = arg;

	while (__atomic_load_n(stop, __ATOMIC_RELAXED) == 0) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

		memset(rte_pktmbuf_append(m, 100), 0, 100);
		if (rte_eth_tx_burst(back, 0, &m, 1) == 0)
			rte_pktmbuf_free(m);
	}
	rte_mempool_free(pool);
	return NULL;
}

/* Rings that end while calls of theirs wait to be sent, those of a front-end that ends, too. */
static void
rings_end_with_calls_deferred(void **state)
{
	for (unsigned int i = 0; i < RTE_DIM(forms) * RTE_DIM(callers); i++) {
		uint32_t stop = 0;
		pthread_t thread;

		open_both_with(callers[i / RTE_DIM(forms)], forms[i % RTE_DIM(forms)]);
		assert_int_equal(pthread_create(&thread, NULL, send_all_the_time, &stop), 0);
		for (int k = 0; k < 20; k++) {
			for (int n = 0; n < 5; n++) {
				assert_int_equal(rte_eth_dev_rx_intr_enable(front, 0), 0);
				assert_true(is_ready(front, WAIT_MS));
				while (drop_one(front))
					;
			}
			if (k % 5 == 4) {
				close_port(FRONT, front);
				open_front();
				continue;
			}
			assert_int_equal(rte_eth_dev_stop(front), 0);
			assert_int_equal(rte_eth_dev_start(front), 0);
		}
		__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
		pthread_join(thread, NULL);
		close_both();
	}
}

static int
set_up(void **state)
{
	snprintf(sock, sizeof(sock), "/tmp/vring-intr-%d.sock", getpid());
	return vnet_setup(state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(front_ends_come_and_go),
		cmocka_unit_test(rings_stop_and_start),
		cmocka_unit_test(no_room_to_wait),
		cmocka_unit_test(no_wake_up_is_lost),
		cmocka_unit_test(no_deferred_wake_up_is_lost),
		cmocka_unit_test(rings_end_with_calls_deferred),
	};

	return cmocka_run_group_tests_name("vring_intr", tests, set_up, vnet_teardown);
}
