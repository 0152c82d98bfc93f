/* SPDX-License-Identifier: BSD-3-Clause */
/* Descriptors that a session is given: kept as long as needed, of the right kind, none leaks. */
#include <netinet/in.h>

#include "rig_frontend.h"

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

static void
wrong_kinds_of_fds_are_refused(void **state)
{
	struct rig *rig = *state;
	int fd[6], p[2], s[2];

	fe_start(rig);
	assert_int_equal(pipe(p), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	fd[0] = open("/tmp", O_RDONLY | O_DIRECTORY);
	fd[1] = open("/proc/self/exe", O_RDONLY);
	fd[2] = p[1];
	fd[3] = s[0];
	fd[4] = rig->memfd;
	fd[5] = open("/dev/null", O_RDWR);
	for (size_t i = 0; i < 6; i++) {
		assert_int_equal(fe_fd(rig, VHU_SET_VRING_CALL, 0, fd[i]), NACK);
		assert_int_equal(fe_fd(rig, VHU_SET_VRING_KICK, 0, fd[i]), NACK);
		assert_int_equal(fe_fd(rig, VHU_SET_VRING_ERR, 0, fd[i]), NACK);
		close(fd[i]);
	}
	rig->memfd = -1;
	close(p[0]);
	close(s[1]);
	assert_non_null(rig->ring[0]);
	/* Says that none comes, and brings one. */
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_CALL, VHU_FD_NONE, rig->call[0]), NACK);
}

/* A TCP socket whose close() waits three seconds for a peer that does not read. */
static int
lingering_socket(int *peer)
{
	const struct linger three = { .l_onoff = 1, .l_linger = 3 };
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
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &three, sizeof(three)), 0);
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
	assert_true(evloop_now_ns() - began < 2000000000);
	for (int i = 0; i < 3; i++)
		close(peer[i]); /* with what was not read: resets the connection, nobody lingers */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(repeats_leak_nothing),
		RIG_TEST(lingering_descriptors_delay_nobody),
		RIG_TEST(new_call_is_signalled_once),
		RIG_TEST(wrong_kinds_of_fds_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
