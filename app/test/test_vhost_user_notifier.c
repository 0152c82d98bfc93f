/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Notifiers that a back-end gives to rings ("host notifiers"), and what a hostile one may try with
 * them.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include "rig_backend.h"

#define PAGE 4096u
#define WITHOUT(bit) (vhost_user_protocol & ~VIRTQ_BIT(bit))

/* The back-end asks for this on the channel while it serves a request of ours. Its answer. */
static uint64_t
give_raw(struct mock *m, uint32_t size, uint64_t word, uint64_t bytes, uint64_t offset, int fd)
{
	const struct vhu_vring_area area = { word, bytes, offset };

	m->ask = (struct vhu_hdr){ 3, 9, size };
	memcpy(m->ask_raw, &area, sizeof(area));
	m->ask_fd = fd;
	m->act[VHU_SET_VRING_NUM] = ASK_FIRST;
	m->chan_u64 = 42;
	m->chan_hdr = (struct vhu_hdr){ 0, 0, 0 };
	assert_int_equal(vhost_set_vring_num(&m->dev, 0, 256), 0);
	m->act[VHU_SET_VRING_NUM] = AS_IT_SHOULD;
	assert_int_equal(m->chan_hdr.request, 3);
	assert_int_equal(m->chan_hdr.flags, 5);
	assert_int_equal(m->chan_hdr.size, 8);
	return m->chan_u64;
}

static uint64_t
give(struct mock *m, uint64_t word, uint64_t offset, int fd)
{
	return give_raw(m, sizeof(struct vhu_vring_area), word, PAGE, offset, fd);
}

static uint16_t *
mapped(struct mock *m, uint32_t ring)
{
	void *notifier = NULL;

	assert_int_equal(vhost_map_notifier(&m->dev, ring, &notifier), 0);
	assert_non_null(notifier);
	return notifier;
}

static void
assert_none(struct mock *m, uint32_t ring)
{
	void *notifier;

	assert_int_equal(vhost_map_notifier(&m->dev, ring, &notifier), -EOPNOTSUPP);
}

/* The owner is told of notifiers a moment later. */
static void
await_notifiers(struct mock *m, unsigned int count)
{
	for (int i = 0; i < 500 && m->notifiers < count; i++)
		evloop_step(m->loop, 10);
	assert_int_equal(m->notifiers, count);
}

static void
new_notifier_is_a_page_to_write_to(void **state)
{
	struct mock *m = *state;
	uint16_t *notifier;

	mock_session(m, vhost_user_protocol);
	assert_none(m, 3);
	assert_int_equal(give(m, 3, 2 * PAGE, m->memfd), 0);
	assert_int_equal(m->notifiers, 0); /* a request was under way */
	await_notifiers(m, 1);
	notifier = mapped(m, 3);
	*notifier = 3;
	assert_int_equal(m->mem[2 * PAGE], 3);
	assert_none(m, 2);
	assert_false(vhost_notifier_lost(&m->dev, 3));
	vhost_unmap_notifier(&m->dev, 3, notifier);
}

/* One descriptor of the process more would fail this test's teardown, too. */
static void
new_notifier_without_descriptor_removes_it(void **state)
{
	struct mock *m = *state;
	uint16_t *notifier;

	mock_session(m, vhost_user_protocol);
	assert_int_equal(give(m, 1, 0, m->memfd), 0);
	notifier = mapped(m, 1);
	assert_int_equal(give(m, 1 | VHU_FD_NONE, 0, -1), 0);
	await_notifiers(m, 1);
	*notifier = 1; /* a burst that was not told yet */
	vhost_unmap_notifier(&m->dev, 1, notifier);
	assert_none(m, 1);
	/* Size and offset of none are of no interest. */
	assert_int_equal(give_raw(m, 24, 1 | VHU_FD_NONE, 5, 7, -1), 0);
}

static void
new_notifier_replaces_the_former(void **state)
{
	struct mock *m = *state;
	uint16_t *one, *two;

	mock_session(m, vhost_user_protocol);
	assert_int_equal(give(m, 0, 0, m->memfd), 0);
	one = mapped(m, 0);
	assert_int_equal(give(m, 0, PAGE, m->memfd), 0);
	two = mapped(m, 0);
	assert_ptr_not_equal(one, two);
	*one = 0x1111;
	*two = 0x2222;
	assert_int_equal(m->mem[0], 0x11);
	assert_int_equal(m->mem[PAGE], 0x22);
	vhost_unmap_notifier(&m->dev, 0, one);
	*two = 0x3333;
	assert_int_equal(m->mem[PAGE], 0x33);
	vhost_unmap_notifier(&m->dev, 0, two);
	for (int i = 0; i < 1000; i++) {
		two = mapped(m, 0);
		vhost_unmap_notifier(&m->dev, 0, two);
	}
}

static void
new_notifier_needs_its_features(void **state)
{
	static const unsigned int bits[] = {
		VHU_PF_BACKEND_REQ, VHU_PF_BACKEND_SEND_FD, VHU_PF_HOST_NOTIFIER,
	};
	const uint64_t both = VIRTQ_BIT(VHU_PF_HOST_NOTIFIER) | VIRTQ_BIT(VHU_PF_BACKEND_SEND_FD);
	struct vhost_dev_events events = mock_events;
	struct mock *m = *state;

	for (size_t i = 0; i < 3; i++) {
		mock_session(m, WITHOUT(bits[i]));
		assert_int_equal(m->dev.protocol & both, 0);
		assert_int_equal(m->acked & both, 0);
		if (bits[i] != VHU_PF_BACKEND_REQ)
			assert_true(give(m, 0, 0, m->memfd) != 0);
	}
	/* Nor is one taken that nobody would write to. */
	events.notifiers = NULL;
	m->dev.events = &events;
	mock_session(m, vhost_user_protocol);
	assert_int_equal(m->acked & both, 0);
	assert_true(give(m, 0, 0, m->memfd) != 0);
	m->dev.events = &mock_events;
	mock_session(m, vhost_user_protocol);
	assert_int_equal(m->acked & both, both);
}

/* Refused, and what there was before stays. */
static void
hostile_notifiers_are_refused(void **state)
{
	static const struct { uint32_t size; uint64_t word, bytes, offset; bool fd; } bad[] = {
		{ 24, 0, 0, 0, true }, { 24, 0, PAGE - 1, 0, true }, { 24, 0, PAGE + 1, 0, true },
		{ 24, 0, 2 * PAGE, 0, true }, { 24, 0, ~0ull, 0, true },
		{ 24, 0, PAGE, 1, true }, { 24, 0, PAGE, PAGE / 2, true },
		{ 24, 0, PAGE, RIG_MEM, true },			/* behind its end */
		{ 24, 0, PAGE, ~0ull & ~(PAGE - 1ull), true },	/* the sum wraps */
		{ 24, 0, PAGE, 1ull << 63, true },
		{ 24, 0, PAGE, (1ull << 63) - PAGE, true },
		{ 24, 8, PAGE, 0, true }, { 24, 255, PAGE, 0, true },	/* no such ring */
		{ 24, 8 | VHU_FD_NONE, PAGE, 0, false },
		{ 24, 0x200, PAGE, 0, true }, { 24, 1ull << 32, PAGE, 0, true },
		{ 24, 0, PAGE, 0, false },			/* an fd is due */
		{ 24, VHU_FD_NONE, PAGE, 0, true },		/* none is */
		{ 0, 0, PAGE, 0, true }, { 8, 0, PAGE, 0, true }, { 23, 0, PAGE, 0, true },
		{ 25, 0, PAGE, 0, true }, { 32, 0, PAGE, 0, true },
	};
	struct mock *m = *state;
	uint16_t *notifier;

	mock_session(m, vhost_user_protocol);
	assert_int_equal(give(m, 0, 5 * PAGE, m->memfd), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(give_raw(m, bad[i].size, bad[i].word, bad[i].bytes,
					  bad[i].offset, bad[i].fd ? m->memfd : -1), 1);
	await_notifiers(m, 1);
	assert_int_equal(m->losts, 0);
	notifier = mapped(m, 0);
	*notifier = 0x7777;
	assert_int_equal(m->mem[5 * PAGE], 0x77);
	vhost_unmap_notifier(&m->dev, 0, notifier);
}

/* More descriptors than one: all are closed, as the teardown sees. */
static void
hostile_notifier_with_many_descriptors(void **state)
{
	struct {
		struct vhu_hdr hdr;
		struct vhu_vring_area area;
	} VHU_PACKED msg = { { 3, 1, 24 }, { 0, PAGE, 0 } };
	union {
		char buf[CMSG_SPACE(3 * sizeof(int))];
		struct cmsghdr align;
	} control = { .buf = { 0 } };
	struct iovec iov = { &msg, sizeof(msg) };
	struct msghdr mh = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.buf, .msg_controllen = sizeof(control.buf),
	};
	struct mock *m = *state;
	const int fds[3] = { m->memfd, m->memfd, m->memfd };

	mock_session(m, vhost_user_protocol);
	control.align.cmsg_level = SOL_SOCKET;
	control.align.cmsg_type = SCM_RIGHTS;
	control.align.cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(&control.align), fds, sizeof(fds));
	assert_int_equal(sendmsg(m->chan, &mh, 0), sizeof(msg));
	mock_pump(m);
	assert_none(m, 0);
}

/* Files that somebody serves, that cannot be written to, or that have no pages. */
static void
hostile_files_are_refused(void **state)
{
	struct mock *m = *state;
	char path[] = "/var/tmp/vring-bell-XXXXXX", proc[64];
	int fds[9], pipes[2];

	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	fds[0] = pipes[0];
	fds[1] = eventfd(0, EFD_CLOEXEC);
	fds[2] = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fds[3] = open("/dev/zero", O_RDWR | O_CLOEXEC);
	fds[4] = open("/dev/null", O_RDWR | O_CLOEXEC);
	fds[5] = mkostemp(path, O_CLOEXEC);
	unlink(path);
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", m->memfd);
	fds[6] = open(proc, O_RDONLY | O_CLOEXEC);
	fds[7] = memfd_create("short", MFD_CLOEXEC);
	fds[8] = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(ftruncate(fds[5], PAGE), 0);
	assert_int_equal(ftruncate(fds[7], PAGE - 1), 0);
	assert_int_equal(ftruncate(fds[8], PAGE), 0);
	assert_int_equal(fcntl(fds[8], F_ADD_SEALS, F_SEAL_WRITE), 0);
	mock_session(m, vhost_user_protocol);
	for (int i = 0; i < 9; i++) {
		struct statfs fs;

		assert_true(fds[i] >= 0);
		/* Where /var/tmp lies in memory, what lies there is as good as a memfd. */
		if (i == 5 && fstatfs(fds[i], &fs) == 0 && fs.f_type == TMPFS_MAGIC)
			continue;
		assert_int_equal(give(m, 0, 0, fds[i]), 1);
	}
	for (int i = 0; i < 9; i++)
		close(fds[i]);
	close(pipes[1]);
	assert_none(m, 0);
	assert_int_equal(m->losts, 0);
}

/* The file ends behind the notifier's back: kicks go nowhere, and the owner can know. */
static void
hostile_file_cut_short(void **state)
{
	struct mock *m = *state;
	int fd = memfd_create("cut", MFD_CLOEXEC);
	uint16_t *notifier;

	assert_int_equal(ftruncate(fd, PAGE), 0);
	mock_session(m, vhost_user_protocol);
	assert_int_equal(give(m, 6, 0, fd), 0);
	notifier = mapped(m, 6);
	*notifier = 6;
	assert_false(vhost_notifier_lost(&m->dev, 6));
	assert_int_equal(ftruncate(fd, 0), 0);
	*(volatile uint16_t *)notifier = 6;
	assert_true(vhost_notifier_lost(&m->dev, 6));
	assert_false(vhost_notifier_lost(&m->dev, 5));
	vhost_unmap_notifier(&m->dev, 6, notifier);
	assert_false(vhost_notifier_lost(&m->dev, 6));
	close(fd);
}

/* The owner hears of any number of changes once in a while. */
static void
hostile_flood_of_notifiers(void **state)
{
	const struct {
		struct vhu_hdr hdr;
		struct vhu_vring_area area;
	} VHU_PACKED msg = { { 3, 1, sizeof(struct vhu_vring_area) }, { 0, PAGE, 0 } };
	struct mock *m = *state;
	uint64_t began;

	mock_session(m, vhost_user_protocol);
	began = evloop_now_ns();
	for (int i = 0; i < 3000; i++) {
		mock_send_fd(m->chan, &msg, sizeof(msg), m->memfd);
		evloop_step(m->loop, 0);
	}
	evloop_step(m->loop, 20);
	assert_uint_in_range(m->notifiers, 1, 1 + (evloop_now_ns() - began) / 10000000);
	assert_int_equal(m->losts, 0);
}

static void
stopped_rings_have_no_notifiers(void **state)
{
	struct mock *m = *state;
	uint32_t base;

	mock_session(m, vhost_user_protocol);
	assert_int_equal(give(m, 0, 0, m->memfd), 0);
	assert_int_equal(give(m, 1, PAGE, m->memfd), 0);
	assert_int_equal(vhost_get_vring_base(&m->dev, 0, &base), 0);
	assert_none(m, 0);
	vhost_unmap_notifier(&m->dev, 1, mapped(m, 1));
	assert_int_equal(vhost_dev_start(&m->dev, false), 0);
	assert_none(m, 1);
	assert_int_equal(give(m, 1, PAGE, m->memfd), 0);
	assert_int_equal(vhost_reset_device(&m->dev), 0);
	assert_none(m, 1);
}

/* Whatever is mapped goes with the session; the owner is not told of what it lost anyway. */
static void
notifiers_end_with_the_session(void **state)
{
	struct mock *m = *state;
	void *notifier;

	mock_session(m, vhost_user_protocol);
	assert_int_equal(give(m, 0, 0, m->memfd), 0);
	mapped(m, 0);
	mapped(m, 0);
	assert_int_equal(vhost_map_notifier(&m->dev, 0, &notifier), -EBUSY);
	shutdown(m->fd, SHUT_RDWR);
	for (int i = 0; i < 50 && m->losts == 0; i++)
		evloop_step(m->loop, 10);
	evloop_step(m->loop, 20);
	assert_int_equal(m->losts, 1);
	assert_int_equal(m->notifiers, 0);
	vhost_dev_close(&m->dev);
	mock_session(m, vhost_user_protocol);
	assert_none(m, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		MOCK_TEST(new_notifier_is_a_page_to_write_to),
		MOCK_TEST(new_notifier_without_descriptor_removes_it),
		MOCK_TEST(new_notifier_replaces_the_former),
		MOCK_TEST(new_notifier_needs_its_features),
		MOCK_TEST(hostile_notifiers_are_refused),
		MOCK_TEST(hostile_notifier_with_many_descriptors),
		MOCK_TEST(hostile_files_are_refused),
		MOCK_TEST(hostile_file_cut_short),
		MOCK_TEST(hostile_flood_of_notifiers),
		MOCK_TEST(stopped_rings_have_no_notifiers),
		MOCK_TEST(notifiers_end_with_the_session),
	};

	return cmocka_run_group_tests_name("vhost_user_notifier", tests, NULL, NULL);
}
