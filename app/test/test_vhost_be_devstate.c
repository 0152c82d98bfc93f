/* SPDX-License-Identifier: BSD-3-Clause */
/* The device's state: it passes from one session to another through pipes. */
#include "rig_frontend.h"

#define PACKED (RIG_ACKED | VIRTQ_BIT(VIRTIO_F_RING_PACKED))
#define FRESH 0x80008000u
#define AT (37u | 37u << 16)	/* of ring 0, in its second lap */

enum { NO_FD = 0x100 };

static uint64_t
begin(struct rig *rig, uint32_t direction, uint32_t phase, int fd)
{
	const struct vhu_device_state d = { direction, phase };
	struct vhu_msg m;

	fe_talk(rig, VHU_SET_DEVICE_STATE_FD, 0, &d, sizeof(d), &fd, 1, &m);
	return m.u64;
}

/* What the session says of itself; its length. */
static size_t
save(struct rig *rig, uint8_t *bytes, size_t room)
{
	size_t length = 0;
	ssize_t n;
	int p[2];

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	assert_int_equal(begin(rig, VHU_DEVICE_STATE_SAVE, 0, p[1]), NO_FD);
	close(p[1]);
	pump(rig);
	wait_for_closing();
	while ((n = read(p[0], bytes + length, room - length)) > 0)
		length += (size_t)n;
	assert_int_equal(n, 0); /* its end, and not a pause */
	close(p[0]);
	assert_int_equal(fe_get(rig, VHU_CHECK_DEVICE_STATE), 0);
	return length;
}

static uint64_t
load(struct rig *rig, const void *bytes, size_t length)
{
	int p[2];

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	assert_int_equal(begin(rig, VHU_DEVICE_STATE_LOAD, 0, p[0]), NO_FD);
	close(p[0]);
	for (size_t done = 0; done < length; done += 4096) {
		const size_t n = length - done < 4096 ? length - done : 4096;

		assert_int_equal(write(p[1], (const uint8_t *)bytes + done, n), n);
		pump(rig);
	}
	close(p[1]);
	return fe_get(rig, VHU_CHECK_DEVICE_STATE);
}

static void
begin_session(struct rig *rig)
{
	const struct vhu_mem_table t = rig_table();

	fe_negotiate(rig, PACKED, VHOST_BE_PROTOCOL);
	assert_int_equal(fe_table(rig, &t, 1), ACK);
}

static void
start_ring(struct rig *rig, uint32_t base)
{
	const struct vhu_vring_addr a = rig_addr(0);

	assert_int_equal(fe_state(rig, VHU_SET_VRING_NUM, 0, RIG_SIZE), ACK);
	assert_int_equal(fe_state(rig, VHU_SET_VRING_BASE, 0, base), ACK);
	assert_int_equal(fe_addr(rig, &a), ACK);
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_KICK, 0 | VHU_FD_NONE, -1), ACK);
	assert_non_null(rig->ring[0]);
}

/* The other host's front-end does not say where the ring stands; the state does. */
static void
rings_go_on_where_they_stood(void **state)
{
	struct rig *rig = *state;
	uint8_t bytes[4096];
	size_t length;

	begin_session(rig);
	start_ring(rig, AT);
	assert_int_equal(fe_get_base(rig, 0), AT);
	length = save(rig, bytes, sizeof(bytes));
	rig_disconnect(rig);
	for (int i = 0; i < 2; i++) {
		rig_connect(rig);
		begin_session(rig);
		((struct vring_packed_desc *)(void *)rig->mem)[9].flags = VIRTQ_PACKED_PHASES;
		assert_int_equal(load(rig, bytes, length), 0);
		/* Who knows better is believed. */
		start_ring(rig, i == 0 ? FRESH : 5u | 5u << 16);
		assert_int_equal(fe_get_base(rig, 0), i == 0 ? AT : 5u | 5u << 16);
		rig_disconnect(rig);
	}
}

static void
bad_states_are_refused(void **state)
{
	struct rig *rig = *state;
	static uint8_t junk[100000];
	uint8_t bytes[4096], bad[4096];
	size_t length;

	begin_session(rig);
	length = save(rig, bytes, sizeof(bytes));
	assert_int_equal(load(rig, bytes, length), 0);
	assert_int_equal(load(rig, bytes, length - 1), 1);
	assert_int_equal(load(rig, bytes, 0), 1);
	assert_int_equal(load(rig, junk, sizeof(junk)), 1);
	for (size_t i = 0; i < length; i++) {
		memcpy(bad, bytes, length);
		bad[i] ^= 4;
		assert_int_equal(load(rig, bad, length), 1);
	}
	memcpy(bad, bytes, length);
	assert_int_equal(load(rig, bad, length + 8), 1);
	/* Nothing was transferred, or its end has not come. */
	assert_int_equal(fe_get(rig, VHU_CHECK_DEVICE_STATE), 1);
	assert_int_equal(load(rig, bytes, length), 0);
	assert_int_equal(fe_get(rig, VHU_CHECK_DEVICE_STATE), 1);
}

static void
an_open_pipe_is_no_end(void **state)
{
	struct rig *rig = *state;
	int p[2];

	begin_session(rig);
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	assert_int_equal(begin(rig, VHU_DEVICE_STATE_LOAD, 0, p[0]), NO_FD);
	assert_int_equal(fe_get(rig, VHU_CHECK_DEVICE_STATE), 1);
	/* A pipe that nobody reads, and has no room. */
	assert_true(fcntl(p[1], F_SETFL, O_NONBLOCK) == 0);
	while (write(p[1], p, 1) == 1)
		;
	assert_int_equal(begin(rig, VHU_DEVICE_STATE_SAVE, 0, p[1]), NO_FD);
	assert_int_equal(fcntl(p[1], F_SETFL, 0), 0);
	assert_int_equal(fe_get(rig, VHU_CHECK_DEVICE_STATE), 1);
	/* Of one whose reader has gone nobody hears, nor is there a signal. */
	close(p[0]);
	assert_int_equal(begin(rig, VHU_DEVICE_STATE_SAVE, 0, p[1]), NO_FD);
	close(p[1]);
	fe_get(rig, VHU_CHECK_DEVICE_STATE);
}

static void
wrong_requests_are_refused(void **state)
{
	struct rig *rig = *state;
	char path[80];
	int p[2], named;

	begin_session(rig);
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	assert_int_equal(begin(rig, 2, 0, p[0]), 0x101);
	assert_int_equal(begin(rig, VHU_DEVICE_STATE_LOAD, 1, p[0]), 0x101);
	assert_int_equal(begin(rig, VHU_DEVICE_STATE_LOAD, 0, rig->memfd), 0x101);
	assert_int_equal(begin(rig, VHU_DEVICE_STATE_LOAD, 0, rig->call[0]), 0x101);
	snprintf(path, sizeof(path), "%s/pipe", rig->dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	named = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(begin(rig, VHU_DEVICE_STATE_LOAD, 0, named), 0x101);
	close(named);
	unlink(path);
	start_ring(rig, FRESH);
	assert_int_equal(begin(rig, VHU_DEVICE_STATE_LOAD, 0, p[0]), 0x101);
	close(p[0]);
	close(p[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(rings_go_on_where_they_stood), RIG_TEST(bad_states_are_refused),
		RIG_TEST(an_open_pipe_is_no_end),	RIG_TEST(wrong_requests_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
