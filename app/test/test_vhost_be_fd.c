/* SPDX-License-Identifier: BSD-3-Clause */
/* Descriptors that a session is given: kept as long as needed, of the right kind, none leaks. */
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>

#include "rig_frontend.h"

/* Closing of sockets, which is never done in the loop's thread, waits until it may. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t loop;
	bool held;
	unsigned int waiting;
} closing = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

void close_waits(int fd);

void
close_waits(int fd)
{
	pthread_mutex_lock(&closing.lock);
	closing.waiting++;
	while (closing.held && !pthread_equal(pthread_self(), closing.loop))
		pthread_cond_wait(&closing.changed, &closing.lock);
	closing.waiting--;
	pthread_mutex_unlock(&closing.lock);
}

static void
hold_closing(bool hold)
{
	pthread_mutex_lock(&closing.lock);
	closing.loop = pthread_self();
	closing.held = hold;
	pthread_cond_broadcast(&closing.changed);
	pthread_mutex_unlock(&closing.lock);
}

/* Sizes and fds again and again: CVE-2019-14818 leaked both. The teardown counts. */
static void
repeats_leak_nothing(void **state)
{
	struct rig *rig = *state;
	int before;

	fe_start(rig);
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_ERR, 0, rig->call[0]), ACK);
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_KICK, 0, rig->call[0]), ACK);
	before = open_fds();
	for (int i = 0; i < 400; i++) { /* fewer messages than a peer has credit for */
		const struct vhu_mem_table t = rig_table();

		/* Nothing is read while too much waits to be closed or unmapped. */
		wait_for_closing();
		assert_int_equal(fe_state(rig, VHU_SET_VRING_NUM, 2, 1u << i % 15), ACK);
		assert_int_equal(fe_fd(rig, VHU_SET_VRING_CALL, 0, rig->call[0]), ACK);
		assert_int_equal(fe_fd(rig, VHU_SET_VRING_ERR, 0, rig->call[0]), ACK);
		assert_int_equal(fe_fd(rig, VHU_SET_VRING_KICK, 0, rig->call[0]), ACK);
		assert_int_equal(fe_table(rig, &t, 1), ACK);
	}
	assert_int_equal(open_fds(), before);
	assert_non_null(rig->ring[0]);
}

static void
new_call_is_signalled_once(void **state)
{
	struct rig *rig = *state;
	const struct virtq_ring *ring;

	fe_start(rig);
	signals(rig->call[0]);
	ring = rig->ring[0];
	rig->vq[0]->cursor.avail_idx = 5;
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_CALL, 0, rig->call[2]), ACK);
	assert_ptr_not_equal(rig->ring[0], ring);
	assert_int_equal(signals(rig->call[2]), 1);
	assert_int_equal(signals(rig->call[0]), 0);
	assert_int_equal(rig->vq[0]->cursor.avail_idx, 5);
	assert_true(fcntl(rig->call[2], F_GETFL) & O_NONBLOCK);
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_CALL, VHU_FD_NONE, -1), ACK);
	assert_int_equal(rig->ring[0]->callfd, -1);
}

static bool
is_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

/* Who waits for a ring's kicks waits for those of the fd that came last, until it is another's. */
static void
kick_of_a_ring_that_runs(void **state)
{
	struct rig *rig = *state;
	const int kick = eventfd(0, EFD_NONBLOCK), other = epoll_create1(0);
	const struct virtq_ring *ring;
	const uint64_t one = 1;

	fe_start(rig);
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_KICK, 0, kick), ACK);
	ring = rig->ring[0];
	assert_false(is_readable(ring->wakefd));
	assert_int_equal(write(kick, &one, sizeof(one)), sizeof(one));
	assert_true(is_readable(ring->wakefd));
	rig->vq[0]->cursor.avail_idx = 5;
	/* Of this kind the front-end would say what waiting for it costs. */
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_KICK, 0, other), ACK);
	assert_ptr_not_equal(rig->ring[0], ring);
	assert_int_equal(rig->ring[0]->wakefd, -1);
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_KICK, 0, kick), ACK);
	assert_true(is_readable(rig->ring[0]->wakefd));
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_KICK, VHU_FD_NONE, -1), ACK);
	assert_int_equal(rig->ring[0]->wakefd, -1);
	assert_int_equal(rig->vq[0]->cursor.avail_idx, 5);
	close(kick);
	close(other);
}

static void
wrong_kinds_of_fds_are_not_used(void **state)
{
	struct rig *rig = *state;
	int fd[6], p[2], s[2];

	fe_start(rig);
	assert_int_equal(pipe(p), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, s), 0);
	fd[0] = open("/tmp", O_RDONLY | O_DIRECTORY);
	fd[1] = open("/proc/self/exe", O_RDONLY);
	fd[2] = p[0]; /* the end that cannot be written */
	fd[3] = s[0];
	fd[4] = rig->memfd;
	fd[5] = open("/dev/null", O_RDWR);
	for (size_t i = 0; i < 6; i++) {
		assert_int_equal(fe_fd(rig, VHU_SET_VRING_CALL, 0, fd[i]), NACK);
		/* Neither of these is needed. */
		assert_int_equal(fe_fd(rig, VHU_SET_VRING_KICK, 0, fd[i]), ACK);
		assert_int_equal(fe_fd(rig, VHU_SET_VRING_ERR, 0, fd[i]), ACK);
		assert_int_equal(rig->ring[0]->errfd, -1);
		close(fd[i]);
	}
	rig->memfd = -1;
	close(p[1]);
	close(s[1]);
	assert_non_null(rig->ring[0]);
	/* Says that none comes, and brings one. */
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_CALL, VHU_FD_NONE, rig->call[0]), NACK);
}

/* A TCP socket whose close() waits half a minute for a peer that does not read. */
static int
lingering_socket(int *peer)
{
	const struct linger half_a_minute = { .l_onoff = 1, .l_linger = 30 };
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(addr);
	static const char bytes[65536];
	int listening = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(listening, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(getsockname(listening, (struct sockaddr *)&addr, &len), 0);
	assert_int_equal(listen(listening, 1), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, len), 0);
	*peer = accept(listening, NULL, NULL);
	close(listening);
	while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &half_a_minute,
				    sizeof(half_a_minute)), 0);
	return fd;
}

/* Handed over in a message, with an unread message, and with a connection that is rejected. */
static void
lingering_descriptors_delay_nobody(void **state)
{
	struct rig *rig = *state;
	const uint64_t began = evloop_now_ns(), ring = 0;
	int fd, peer[3], second;

	fe_negotiate(rig, RIG_ACKED, VHOST_BE_PROTOCOL);
	fd = lingering_socket(&peer[0]);
	fe_send_on(rig->fe, VHU_SET_VRING_KICK, NEED, &ring, sizeof(ring), &fd, 1);
	close(fd);
	pump(rig);

	second = connect_to(rig->path);
	fd = lingering_socket(&peer[1]);
	fe_send_on(second, VHU_SET_VRING_KICK, 0, &ring, sizeof(ring), &fd, 1);
	close(fd);
	pump(rig);
	close(second);

	fd = lingering_socket(&peer[2]);
	fe_send_on(rig->fe, 99, 0, &ring, sizeof(ring), NULL, 0); /* ends the session */
	fe_try_send(rig->fe, VHU_SET_VRING_KICK, 0, &ring, sizeof(ring), &fd, 1);
	close(fd);
	pump(rig);
	rig_connect(rig);
	assert_int_equal(fe_get(rig, VHU_GET_FEATURES) & RIG_FEATURES, RIG_FEATURES);
	assert_true(evloop_now_ns() - began < 10000000000ull);
	for (int i = 0; i < 3; i++)
		close(peer[i]); /* with what was not read: resets the connection, nobody lingers */
}

/* Linger is turned off: nobody waits for one of them, let alone for all. */
static void
lingering_descriptors_do_not_pile_up(void **state)
{
	struct rig *rig = *state;
	const uint64_t began = evloop_now_ns(), ring = 0;
	int peer[10];

	fe_negotiate(rig, RIG_ACKED, VHOST_BE_PROTOCOL);
	for (int i = 0; i < 10; i++) {
		int fd = lingering_socket(&peer[i]);
		struct vhu_msg m;

		/* Of no use, and not needed. */
		assert_int_equal(fe_talk(rig, VHU_SET_VRING_KICK, NEED, &ring, sizeof(ring), &fd,
					 1, &m), ACK);
		close(fd);
	}
	while (evloop_later_pending() > 0 && evloop_now_ns() - began < 20000000000ull)
		usleep(1000);
	assert_true(evloop_now_ns() - began < 10000000000ull);
	for (int i = 0; i < 10; i++)
		close(peer[i]);
}

/* A message with a socket that is of no use. */
static bool
send_socket(int to)
{
	const uint64_t ring = 0;
	int pair[2];
	bool sent;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	sent = fe_try_send(to, VHU_SET_VRING_KICK, NEED, &ring, sizeof(ring), pair, 1);
	close(pair[0]);
	close(pair[1]);
	return sent;
}

/*
 * While close() waits for ever, a front-end has so many descriptors to be closed and no more is
 * read from it. Another one is served, and its descriptors are closed.
 */
static void
stuck_descriptors_are_bounded(void **state)
{
	struct rig *rig = *state, *other;
	void *second;
	int idle, now;

	rig_setup_bare(&second);
	other = second;
	evloop_free(other->loop);
	other->loop = rig->loop;
	rig_listen(other);
	rig_connect(other);
	fe_negotiate(rig, RIG_ACKED, VHOST_BE_PROTOCOL);
	fe_negotiate(other, RIG_ACKED, VHOST_BE_PROTOCOL);
	idle = open_fds();
	hold_closing(true);
	for (int i = 0; i < 20; i++) {
		for (int k = 0; k < 10 && send_socket(rig->fe); k++)
			;
		pump(rig);
	}
	for (int i = 0; i < 10; i++)
		evloop_step(rig->loop, 5);
	now = evloop_later_pending();
	assert_uint_in_range(now, 1, EVLOOP_CLOSE_MOST);
	assert_int_equal(rig->downs, 0);
	fe_get(other, VHU_GET_FEATURES);
	/* Its end is noticed although nothing is read from it, and the next one is welcome. */
	close(rig->fe);
	rig->fe = -1;
	WAIT(rig, rig->downs == 1, 2000);
	hold_closing(false);
	rig_connect(rig);
	WAIT(rig, rig->ups == 2, 2000);
	for (int i = 0; i < 500 && evloop_later_pending() > 0; i++)
		evloop_step(rig->loop, 10);
	fe_get(rig, VHU_GET_FEATURES);
	assert_int_equal(open_fds(), idle);
	evloop_new(&other->loop); /* for the teardown to free */
	other->fds_before = -1;
	assert_int_equal(rig_teardown(&second), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(repeats_leak_nothing),
		RIG_TEST(lingering_descriptors_delay_nobody),
		RIG_TEST(lingering_descriptors_do_not_pile_up),
		RIG_TEST(stuck_descriptors_are_bounded),
		RIG_TEST(new_call_is_signalled_once),
		RIG_TEST(kick_of_a_ring_that_runs),
		RIG_TEST(wrong_kinds_of_fds_are_not_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
