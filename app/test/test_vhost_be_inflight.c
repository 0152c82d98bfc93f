/* SPDX-License-Identifier: BSD-3-Clause */
/* In-flight tracking of a session: the memory it makes and takes, and who goes on from it. */
#include "rig_frontend.h"
#include "virtq_inflight.h"
#include "virtq_shared.h"

#define PACKED VIRTQ_BIT(VIRTIO_F_RING_PACKED)
#define HELD 3

static void
begin_session(struct rig *rig, uint64_t features)
{
	const struct vhu_mem_table t = rig_table();

	fe_negotiate(rig, RIG_ACKED | features, VHOST_BE_PROTOCOL);
	assert_int_equal(fe_table(rig, &t, 1), ACK);
}

/* Ask for memory for so many rings; its fd. */
static int
get_region(struct rig *rig, uint16_t queues, uint16_t size, struct vhu_inflight *got)
{
	const struct vhu_inflight want = { .num_queues = queues, .queue_size = size };
	struct vhu_msg m;

	assert_int_equal(fe_talk(rig, VHU_GET_INFLIGHT_FD, 0, &want, sizeof(want), NULL, 0, &m),
			 ANSWER);
	assert_int_equal(m.hdr.size, sizeof(*got));
	*got = m.inflight;
	return m.nfds == 1 ? m.fds[0] : -1;
}

static enum outcome
set_region(struct rig *rig, const struct vhu_inflight *in, int fd)
{
	struct vhu_msg m;

	return fe_talk(rig, VHU_SET_INFLIGHT_FD, NEED, in, sizeof(*in), &fd, 1, &m);
}

static void
start_ring(struct rig *rig, uint32_t ring, uint32_t base)
{
	const struct vhu_vring_addr a = rig_addr(ring);

	assert_int_equal(fe_state(rig, VHU_SET_VRING_NUM, ring, RIG_SIZE), ACK);
	assert_int_equal(fe_state(rig, VHU_SET_VRING_BASE, ring, base), ACK);
	assert_int_equal(fe_addr(rig, &a), ACK);
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_CALL, ring, rig->call[ring]), ACK);
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_KICK, ring | VHU_FD_NONE, -1), ACK);
	assert_non_null(rig->ring[ring]);
}

/* Memory that a process which was killed has left, with chains that it held. */
static void
a_successor_returns_what_was_held(void **state)
{
	struct rig *rig = *state;
	const uint64_t part = virtq_inflight_bytes(RIG_SIZE, false);
	struct virtq_chain c[HELD] = { { .id = 9 }, { .id = 200 }, { .id = 4 } };
	struct virtq_inflight_split *seen;
	struct vhu_inflight in;
	int fd;

	begin_session(rig, 0);
	fd = get_region(rig, RIG_RINGS, RIG_SIZE, &in);
	assert_true(fd >= 0);
	assert_int_equal(in.mmap_size, RIG_RINGS * part);
	assert_int_equal(in.mmap_offset, 0);
	assert_int_equal(set_region(rig, &in, fd), ACK);
	start_ring(rig, 1, 0);
	seen = mmap(NULL, in.mmap_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(seen, MAP_FAILED);
	seen = (void *)((uint8_t *)seen + part);
	assert_int_equal(seen->version, 1);
	assert_int_equal(seen->size, RIG_SIZE);
	rig->ring[1]->avail->idx = 40;
	virtq_dev_advance(rig->vq[1], rig->ring[1], c, HELD, false);
	assert_int_equal(seen->entry[200].inflight, 1);
	/* Not while a ring runs. */
	assert_int_equal(set_region(rig, &in, fd), NACK);
	rig_disconnect(rig);

	rig_connect(rig);
	begin_session(rig, 0);
	assert_int_equal(set_region(rig, &in, fd), ACK);
	signals(rig->call[1]);
	rig->log[0] = '\0';
	start_ring(rig, 1, 0);
	assert_non_null(strstr(rig->log, "3 chains"));
	assert_true(signals(rig->call[1]) > 0);
	assert_int_equal(rig->ring[1]->used->idx, HELD);
	for (uint16_t i = 0; i < HELD; i++)
		assert_int_equal(rig->ring[1]->used->ring[i].id, c[i].id);
	assert_int_equal(seen->entry[200].inflight, 0);
	assert_int_equal(seen->used_idx, HELD);
	assert_int_equal(fe_get_base(rig, 1), HELD);
	munmap((uint8_t *)seen - part, in.mmap_size);
	close(fd);
}

/* A packed ring's position stands there, for front-ends that do not know it. */
static void
packed_rings_go_on(void **state)
{
	struct rig *rig = *state;
	struct vring_packed_desc *d = (void *)rig->mem;
	struct virtq_inflight_packed *seen;
	struct vhu_inflight in;
	int fd;

	begin_session(rig, PACKED);
	fd = get_region(rig, 1, RIG_SIZE, &in);
	assert_int_equal(in.mmap_size, virtq_inflight_bytes(RIG_SIZE, true));
	assert_int_equal(set_region(rig, &in, fd), ACK);
	start_ring(rig, 0, virtq_fresh_base(true));
	assert_null(rig->vq[0]->saved);
	assert_non_null(rig->vq[0]->inflight);
	/* A ring that the memory has no part for. */
	start_ring(rig, 1, virtq_fresh_base(true));
	assert_null(rig->vq[1]->inflight);
	seen = mmap(NULL, in.mmap_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(seen, MAP_FAILED);
	rig_disconnect(rig);
	/* It stands at 7 of its second lap, and one entry fits to no place. */
	for (uint16_t i = 0; i < RIG_SIZE; i++)
		d[i].flags = i < 7 ? 0 : VIRTQ_PACKED_USED;
	d[100].flags = 0;
	seen->used_idx = seen->old_used_idx = 7;
	seen->used_wrap = seen->old_used_wrap = 0;
	rig_connect(rig);
	begin_session(rig, PACKED);
	assert_int_equal(set_region(rig, &in, fd), ACK);
	start_ring(rig, 0, virtq_fresh_base(true));
	assert_int_equal(virtq_dev_get_base(rig->vq[0], true), 7 | 7 << 16);
	/* Who says where the ring stands is believed. */
	assert_int_equal(fe_get_base(rig, 0), 7 | 7 << 16);
	start_ring(rig, 0, 9 | 9 << 16);
	assert_int_equal(seen->old_used_idx, 9);
	munmap(seen, in.mmap_size);
	close(fd);
}

static void
wrong_numbers_are_refused(void **state)
{
	struct rig *rig = *state;
	struct vhu_inflight in, bad;
	int fd, small;

	begin_session(rig, 0);
	for (uint32_t i = 0; i < 4; i++) {
		static const uint16_t numbers[4][2] = {
			{ 0, 256 }, { RIG_RINGS + 1, 256 }, { 1, 0 }, { 1, 32769 } };

		assert_int_equal(get_region(rig, numbers[i][0], numbers[i][1], &in), -1);
		assert_int_equal(in.mmap_size, 0);
	}
	fd = get_region(rig, RIG_RINGS, RIG_SIZE, &in);
	for (uint32_t i = 0; i < 6; i++) {
		bad = in;
		bad.mmap_size -= i == 0;
		bad.mmap_size += (i == 1) * 4096ull + (i == 5) * (1ull << 63);
		bad.mmap_offset += (i == 2) * 4;
		bad.num_queues += i == 3;
		bad.queue_size += (i == 4) * 8;
		assert_int_equal(set_region(rig, &bad, fd), NACK);
	}
	small = memfd_create("small", MFD_CLOEXEC);
	assert_int_equal(ftruncate(small, (off_t)in.mmap_size - 1), 0);
	assert_int_equal(set_region(rig, &in, small), NACK);
	assert_int_equal(set_region(rig, &in, rig->call[0]), NACK);
	assert_int_equal(set_region(rig, &in, fd), ACK);
	close(small);
	close(fd);
}

/* Cut short under a running ring: that session ends, and a line says why. */
static void
memory_that_is_cut_short(void **state)
{
	struct rig *rig = *state;
	struct virtq_chain c = { .id = 255 };
	struct vhu_inflight in;
	int fd, mine;

	begin_session(rig, 0);
	fd = get_region(rig, RIG_RINGS, RIG_SIZE, &in);
	assert_int_equal(ftruncate(fd, 4096), -1); /* the session's own cannot be */
	mine = memfd_create("mine", MFD_CLOEXEC);
	assert_int_equal(ftruncate(mine, (off_t)in.mmap_size), 0);
	assert_int_equal(set_region(rig, &in, mine), ACK);
	start_ring(rig, 1, 0);
	assert_int_equal(ftruncate(mine, 0), 0);
	virtq_dev_advance(rig->vq[1], rig->ring[1], &c, 1, false);
	virtq_dev_push_used(rig->vq[1], rig->ring[1], &c, 1, false, false);
	WAIT(rig, rig->downs == 1, 2000);
	assert_non_null(strstr(rig->log, "in-flight tracking short"));
	rig_disconnect(rig);
	close(mine);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(a_successor_returns_what_was_held),
		RIG_TEST(packed_rings_go_on),
		RIG_TEST(wrong_numbers_are_refused),
		RIG_TEST(memory_that_is_cut_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
