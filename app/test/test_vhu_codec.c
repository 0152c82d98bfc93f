/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages put together byte by byte, and sent to peers that do not read. */
#include "rig_frontend.h"

#include "vhu_codec.h"

struct link {
	int fds_before;
	int ours, theirs;
	struct vhu_codec_rx rx;
	struct vhu_codec_tx tx;
};

static int
link_setup(void **state)
{
	struct link *l = calloc(1, sizeof(*l));
	int s[2];

	l->fds_before = open_fds();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	l->ours = s[0];
	l->theirs = s[1];
	vhu_codec_rx_init(&l->rx, false);
	vhu_codec_tx_init(&l->tx);
	*state = l;
	return 0;
}

static int
link_teardown(void **state)
{
	struct link *l = *state;
	int before = l->fds_before;

	vhu_codec_rx_reset(&l->rx);
	vhu_codec_tx_reset(&l->tx);
	close(l->ours);
	if (l->theirs >= 0)
		close(l->theirs);
	free(l);
	if (open_fds() != before) {
		print_message("%d descriptors before, %d after\n", before, open_fds());
		return -1;
	}
	return 0;
}

#define LINK_TEST(fn) cmocka_unit_test_setup_teardown(fn, link_setup, link_teardown)

static int
fresh_fd(void)
{
	return eventfd(0, EFD_CLOEXEC);
}

static void
whole_messages_in_a_row(void **state)
{
	struct link *l = *state;
	uint64_t v = 42;
	int fd = fresh_fd();

	assert_int_equal(vhu_codec_rx_read(&l->rx, l->ours), 0);
	fe_send_on(l->theirs, VHU_GET_FEATURES, 0, NULL, 0, NULL, 0);
	fe_send_on(l->theirs, VHU_SET_VRING_CALL, NEED, &v, 8, &fd, 1);
	assert_int_equal(vhu_codec_rx_read(&l->rx, l->ours), 1);
	assert_int_equal(l->rx.msg.hdr.request, VHU_GET_FEATURES);
	assert_int_equal(l->rx.msg.nfds, 0);
	vhu_codec_rx_next(&l->rx);
	assert_int_equal(vhu_codec_rx_read(&l->rx, l->ours), 1);
	assert_int_equal(l->rx.msg.hdr.request, VHU_SET_VRING_CALL);
	assert_int_equal(l->rx.msg.u64, 42);
	assert_int_equal(l->rx.msg.nfds, 1);
	assert_true(fcntl(l->rx.msg.fds[0], F_GETFD) & FD_CLOEXEC);
	vhu_codec_rx_next(&l->rx);
	assert_int_equal(vhu_codec_rx_read(&l->rx, l->ours), 0);
	close(fd);
}

static void
one_byte_at_a_time(void **state)
{
	struct link *l = *state;
	const struct vhu_vring_addr a = { 1, 0, 0x10, 0x20, 0x30, 0x40 };
	const struct vhu_hdr h = { VHU_SET_VRING_ADDR, 1, sizeof(a) };
	uint8_t wire[sizeof(h) + sizeof(a)];

	memcpy(wire, &h, sizeof(h));
	memcpy(wire + sizeof(h), &a, sizeof(a));
	for (size_t i = 0; i < sizeof(wire); i++) {
		assert_int_equal(vhu_codec_rx_read(&l->rx, l->ours), 0);
		assert_int_equal(l->rx.got, i);
		assert_int_equal(send(l->theirs, &wire[i], 1, 0), 1);
	}
	assert_int_equal(vhu_codec_rx_read(&l->rx, l->ours), 1);
	assert_memory_equal(&l->rx.msg.addr, &a, sizeof(a));
}

static void
fds_may_come_with_any_byte_of_the_header(void **state)
{
	struct link *l = *state;
	const struct vhu_hdr h = { VHU_SET_VRING_CALL, 1, 0 };

	for (size_t i = 0; i < sizeof(h); i++) {
		union {
			char buf[CMSG_SPACE(sizeof(int))];
			struct cmsghdr align;
		} control = { .align = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
		struct iovec iov = { (uint8_t *)(uintptr_t)&h + i, 1 };
		struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf,
				     .msg_controllen = sizeof(control.buf) };
		int fd = fresh_fd();

		memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
		assert_int_equal(sendmsg(l->theirs, &mh, 0), 1);
		close(fd);
		assert_int_equal(vhu_codec_rx_read(&l->rx, l->ours), i == sizeof(h) - 1);
	}
	assert_int_equal(l->rx.msg.nfds, sizeof(h));
}

static const struct {
	const char *what;
	struct vhu_hdr h;
	bool replies;
} bad_headers[] = {
	{ "version 0", { 1, 0, 0 }, false },
	{ "version 2", { 1, 2, 0 }, false },
	{ "version 3", { 1, 3, 0 }, false },
	{ "a reply", { 1, 5, 0 }, false },
	{ "reserved flag", { 1, 0x11, 0 }, false },
	{ "highest flag", { 1, 0x80000001, 0 }, false },
	{ "4097 bytes", { 1, 1, 4097 }, false },
	{ "4 GiB", { 1, 1, UINT32_MAX }, false },
	{ "request among replies", { 1, 1, 0 }, true },
	{ "reply with NEED_REPLY", { 1, 0xd, 0 }, true },
};

static void
bad_headers_end_it(void **state)
{
	struct link *l = *state;

	for (size_t i = 0; i < sizeof(bad_headers) / sizeof(bad_headers[0]); i++) {
		vhu_codec_rx_init(&l->rx, bad_headers[i].replies);
		assert_int_equal(send(l->theirs, &bad_headers[i].h, 12, 0), 12);
		if (vhu_codec_rx_read(&l->rx, l->ours) != -EPROTO)
			fail_msg("%s", bad_headers[i].what);
		assert_true(strlen(l->rx.why) > 5);
		assert_int_equal(l->rx.got, 0);
	}
}

static void
largest_payload(void **state)
{
	static uint8_t payload[VHU_MAX_PAYLOAD];
	struct link *l = *state;

	memset(payload, 0xa5, sizeof(payload));
	fe_send_on(l->theirs, 77, 0, payload, sizeof(payload), NULL, 0);
	assert_int_equal(vhu_codec_rx_read(&l->rx, l->ours), 1);
	assert_memory_equal(l->rx.msg.raw, payload, sizeof(payload));
}

static void
the_end_between_and_inside_messages(void **state)
{
	struct link *l = *state;
	const struct vhu_hdr h = { VHU_SET_FEATURES, 1, 8 };

	for (size_t bytes = 0; bytes < sizeof(h) + 8; bytes++) {
		uint8_t wire[sizeof(h) + 8] = { 0 };
		int s[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
		memcpy(wire, &h, sizeof(h));
		assert_int_equal(send(s[1], wire, bytes, 0), bytes);
		close(s[1]);
		vhu_codec_rx_init(&l->rx, false);
		assert_int_equal(vhu_codec_rx_read(&l->rx, s[0]), bytes == 0 ? -ECONNRESET :
				 -EPROTO);
		close(s[0]);
	}
}

/* Leave on the stack, for the next call to find, what looks like messages that bring an fd. */
static __attribute__((noinline)) void
litter(int fd, uint32_t shift)
{
	const uint64_t message[3] = {
		CMSG_LEN(sizeof(int)), SOL_SOCKET | (uint64_t)SCM_RIGHTS << 32, (uint64_t)fd,
	};
	uint64_t word[1024];

	for (uint32_t i = 0; i < 1024; i++)
		word[i] = message[(i + shift) % 3];
	__asm__ volatile("" : : "r"(word) : "memory"); /* not for nothing */
}

/* Nothing was received then, whatever lies where fds would be. */
static void
leaving_without_reading_closes_nothing(void **state)
{
	struct link *l = *state;
	int fd = fresh_fd();

	for (uint32_t shift = 0; shift < 3; shift++) {
		int s[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
		assert_int_equal(send(s[0], "unread", 6, 0), 6);
		close(s[1]);
		vhu_codec_rx_init(&l->rx, false);
		litter(fd, shift);
		assert_int_equal(vhu_codec_rx_read(&l->rx, s[0]), -ECONNRESET);
		assert_true(fcntl(fd, F_GETFD) >= 0);
		close(s[0]);
	}
	close(fd);
}

static void
half_a_message_gives_its_fds_back(void **state)
{
	struct link *l = *state;
	uint64_t v = 0;
	int fds[2] = { fresh_fd(), fresh_fd() };
	const struct vhu_hdr h = { VHU_SET_MEM_TABLE, 1, 4000 };

	fe_send_on(l->theirs, VHU_SET_VRING_CALL, 0, &v, 8, fds, 2);
	assert_int_equal(vhu_codec_rx_read(&l->rx, l->ours), 1);
	assert_int_equal(l->rx.msg.nfds, 2);
	vhu_codec_rx_next(&l->rx);
	/* A payload that never comes. */
	assert_int_equal(send(l->theirs, &h, sizeof(h), 0), sizeof(h));
	assert_int_equal(vhu_codec_rx_read(&l->rx, l->ours), 0);
	close(l->theirs);
	l->theirs = -1;
	assert_int_equal(vhu_codec_rx_read(&l->rx, l->ours), -EPROTO);
	close(fds[0]);
	close(fds[1]);
}

static void
too_many_fds_end_it(void **state)
{
	struct link *l = *state;
	int fds[40], n = fresh_fd();

	for (int i = 0; i < 40; i++)
		fds[i] = n;
	fe_send_on(l->theirs, VHU_SET_OWNER, 0, NULL, 0, fds, 32);
	assert_int_equal(vhu_codec_rx_read(&l->rx, l->ours), 1);
	assert_int_equal(l->rx.msg.nfds, 32);
	vhu_codec_rx_next(&l->rx);
	/* More than the control buffer takes: the kernel drops some and says so. */
	fe_send_on(l->theirs, VHU_SET_OWNER, 0, NULL, 0, fds, 33);
	assert_int_equal(vhu_codec_rx_read(&l->rx, l->ours), -EPROTO);
	close(n);
}

static void
fds_with_the_payload_end_it(void **state)
{
	struct link *l = *state;
	const struct vhu_hdr h = { VHU_SET_VRING_CALL, 1, 8 };
	int fd = fresh_fd();

	assert_int_equal(send(l->theirs, &h, sizeof(h), 0), sizeof(h));
	/* As payload, something that brings a descriptor. */
	fe_send_on(l->theirs, 0, 0, NULL, 0, &fd, 1);
	assert_int_equal(vhu_codec_rx_read(&l->rx, l->ours), -EPROTO);
	close(fd);
}

/* Read one whole message at the other end, with the codec itself. */
static uint32_t
read_there(struct link *l, struct vhu_codec_rx *rx)
{
	uint32_t request;

	assert_int_equal(vhu_codec_rx_read(rx, l->theirs), 1);
	request = rx->msg.hdr.request;
	return request;
}

static void
what_is_not_taken_waits_in_order(void **state)
{
	static uint8_t payload[VHU_MAX_PAYLOAD];
	struct link *l = *state;
	struct vhu_codec_rx *there = calloc(1, sizeof(*there));
	uint32_t sent = 0, got = 0;
	int small = 4096, fd = fresh_fd();

	setsockopt(l->ours, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	while (l->tx.bytes < 4 * sizeof(payload)) {
		struct vhu_hdr h = { 100 + sent++, VHU_FLAGS_REPLY, sizeof(payload) };

		memset(payload, (int)sent, sizeof(payload));
		assert_int_equal(vhu_codec_tx_push(&l->tx, l->ours, &h, payload, &fd, 1), 0);
	}
	assert_true(sent > 4);
	vhu_codec_rx_init(there, true);
	while (got < sent) {
		int rc = vhu_codec_rx_read(there, l->theirs);

		assert_true(rc >= 0);
		assert_int_equal(vhu_codec_tx_flush(&l->tx, l->ours), 0);
		if (rc == 0)
			continue;
		assert_int_equal(there->msg.hdr.request, 100 + got++);
		assert_int_equal(there->msg.nfds, 1);
		for (size_t i = 0; i < sizeof(payload); i++)
			assert_int_equal(there->msg.raw[i], got);
		vhu_codec_rx_next(there);
	}
	assert_int_equal(l->tx.bytes, 0);
	free(there);
	close(fd);
}

static void
queue_is_bounded(void **state)
{
	static uint8_t payload[VHU_MAX_PAYLOAD];
	struct link *l = *state;
	const struct vhu_hdr h = { 1, VHU_FLAGS_REPLY, sizeof(payload) };
	int rc = 0, n;

	for (n = 0; n < 1000 && rc == 0; n++) {
		rc = vhu_codec_tx_push(&l->tx, l->ours, &h, payload, NULL, 0);
		assert_true(l->tx.bytes <= VHU_CODEC_TX_MAX);
	}
	assert_int_equal(rc, -ENOBUFS);
}

static void
sending_to_nobody(void **state)
{
	struct link *l = *state;
	const struct vhu_hdr h = { 1, VHU_FLAGS_REPLY, 0 };

	close(l->theirs);
	l->theirs = -1;
	assert_int_equal(vhu_codec_tx_push(&l->tx, l->ours, &h, NULL, NULL, 0), -EPIPE);
}

static void
small_answer_goes_at_once(void **state)
{
	struct link *l = *state;
	const struct vhu_hdr h = { 9, VHU_FLAGS_REPLY, 8 };
	struct vhu_codec_rx *there = calloc(1, sizeof(*there));
	uint64_t v = 7;

	vhu_codec_rx_init(there, true);
	assert_int_equal(vhu_codec_tx_push(&l->tx, l->ours, &h, &v, NULL, 0), 0);
	assert_int_equal(l->tx.bytes, 0);
	assert_int_equal(read_there(l, there), 9);
	assert_int_equal(there->msg.u64, 7);
	free(there);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		LINK_TEST(whole_messages_in_a_row),
		LINK_TEST(one_byte_at_a_time),
		LINK_TEST(fds_may_come_with_any_byte_of_the_header),
		LINK_TEST(bad_headers_end_it),
		LINK_TEST(largest_payload),
		LINK_TEST(the_end_between_and_inside_messages),
		LINK_TEST(leaving_without_reading_closes_nothing),
		LINK_TEST(half_a_message_gives_its_fds_back),
		LINK_TEST(too_many_fds_end_it),
		LINK_TEST(fds_with_the_payload_end_it),
		LINK_TEST(what_is_not_taken_waits_in_order),
		LINK_TEST(queue_is_bounded),
		LINK_TEST(sending_to_nobody),
		LINK_TEST(small_answer_goes_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
