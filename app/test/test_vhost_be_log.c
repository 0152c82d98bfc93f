/* SPDX-License-Identifier: BSD-3-Clause */
/* The dirty log of a session: what the front-end gives, and when rings use it. */
#include "rig_frontend.h"

#include "virtq_log.h"
#include "virtq_shared.h"

#define PAGE 4096ull
#define LOG_ALL VIRTQ_BIT(VHOST_F_LOG_ALL)
/* Bytes that suffice for the rig's memory. */
#define LOG_BYTES PAGE

struct shared {
	int fd;
	uint8_t *bits;
};

static struct shared
log_file(uint64_t bytes)
{
	struct shared s = { .fd = memfd_create("log", MFD_CLOEXEC) };

	assert_int_equal(ftruncate(s.fd, (off_t)bytes), 0);
	s.bits = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, s.fd, 0);
	assert_ptr_not_equal(s.bits, MAP_FAILED);
	return s;
}

static void
log_file_close(struct shared *s, uint64_t bytes)
{
	munmap(s->bits, bytes);
	close(s->fd);
}

static enum outcome
give_log(struct rig *rig, uint32_t flags, uint64_t size, uint64_t offset, int fd)
{
	const struct vhu_log log = { .mmap_size = size, .mmap_offset = offset };
	struct vhu_msg m;

	return fe_talk(rig, VHU_SET_LOG_BASE, flags, &log, sizeof(log), &fd, fd >= 0, &m);
}

/* Rings that run, and a log that they use. */
static void
start_logged(struct rig *rig, const struct shared *s)
{
	fe_start(rig);
	assert_int_equal(give_log(rig, 0, LOG_BYTES, 0, s->fd), ACK);
	assert_int_equal(fe_u64(rig, VHU_SET_FEATURES, RIG_ACKED | LOG_ALL), ACK);
}

static enum outcome
log_ring(struct rig *rig, uint32_t i, bool on)
{
	struct vhu_vring_addr a = rig_addr(i);

	a.flags = on ? VHU_ADDR_F_LOG : 0;
	a.log = a.used - RIG_UVA + RIG_GPA;
	return fe_addr(rig, &a);
}

static bool
any_mark(const struct shared *s)
{
	for (uint64_t i = 0; i < LOG_BYTES; i++)
		if (s->bits[i] != 0)
			return true;
	return false;
}

/* As QEMU switches it on and off, under rings that run: they keep their position. */
static void
logging_is_switched_under_running_rings(void **state)
{
	struct shared s = log_file(LOG_BYTES);
	const struct virtq_ring *before;
	struct rig *rig = *state;

	fe_start(rig);
	assert_null(rig->ring[0]->log);
	rig->vq[0]->cursor.avail_idx = rig->vq[0]->cursor.used_idx = 7;
	assert_int_equal(give_log(rig, 0, LOG_BYTES, 0, s.fd), ACK);
	assert_null(rig->ring[0]->log);
	before = rig->ring[0];
	assert_int_equal(fe_u64(rig, VHU_SET_FEATURES, RIG_ACKED | LOG_ALL), ACK);
	assert_ptr_not_equal(rig->ring[0], before);
	for (int i = 0; i < 2; i++) {
		assert_non_null(rig->ring[i]->log);
		assert_false(rig->ring[i]->log_used);
		assert_int_equal(log_ring(rig, i, true), ACK);
		assert_true(rig->ring[i]->log_used);
		assert_true(rig->ring[i]->enabled);
	}
	assert_int_equal(rig->vq[0]->cursor.avail_idx, 7);
	assert_int_equal(rig->ring[0]->log_gpa, RIG_GPA + 0x2000);
	virtq_log_mark(rig->ring[0]->log, RIG_GPA, 1);
	assert_int_equal(s.bits[(RIG_GPA >> 12) / 8], 1);
	/* Another one, as QEMU gives when memory is added. */
	assert_int_equal(give_log(rig, NEED, LOG_BYTES / 2, LOG_BYTES / 2, s.fd), ACK);
	virtq_log_mark(rig->ring[1]->log, RIG_GPA + 9 * PAGE, 1);
	assert_int_equal(s.bits[LOG_BYTES / 2 + (RIG_GPA >> 12) / 8 + 1], 2);
	assert_int_equal(fe_u64(rig, VHU_SET_FEATURES, RIG_ACKED), ACK);
	for (int i = 0; i < 2; i++) {
		assert_null(rig->ring[i]->log);
		assert_int_equal(log_ring(rig, i, false), ACK);
	}
	assert_int_equal(rig->vq[0]->cursor.avail_idx, 7);
	assert_int_equal(rig->downs, 0);
	log_file_close(&s, LOG_BYTES);
}

/* A ring that starts while there is a log writes to its used ring at once. */
static void
a_ring_that_starts_is_logged(void **state)
{
	struct shared s = log_file(LOG_BYTES);
	struct rig *rig = *state;

	start_logged(rig, &s);
	assert_int_equal(log_ring(rig, 0, true), ACK);
	fe_get_base(rig, 0);
	assert_null(rig->ring[0]);
	memset(s.bits, 0, LOG_BYTES);
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_KICK, VHU_FD_NONE, -1), ACK);
	assert_non_null(rig->ring[0]->log);
	assert_int_equal(s.bits[((RIG_GPA + 0x2000) >> 12) / 8], 1u << (0x2000 >> 12));
	log_file_close(&s, LOG_BYTES);
}

/* What cannot be a log; the one before it stays. */
static void
bad_logs_are_refused(void **state)
{
	struct shared s = log_file(2 * PAGE);
	const uint64_t due = (RIG_GPA + RIG_MEM) / PAGE / 8;
	const struct {
		uint64_t size, offset;
		int fd;
	} bad[] = {
		{ 0, 0, s.fd },
		{ due - 1, 0, s.fd },
		{ 2 * PAGE + 1, 0, s.fd },
		{ PAGE, PAGE + 1, s.fd },
		{ PAGE, UINT64_MAX - 100, s.fd },
		{ UINT64_MAX, 0, s.fd },
		{ UINT64_MAX, 1, s.fd },
		{ PAGE, 0, -1 },
	};
	struct rig *rig = *state;
	struct virtq_log *log;

	fe_start(rig);
	assert_int_equal(give_log(rig, NEED, due, 0, s.fd), ACK);
	assert_int_equal(fe_u64(rig, VHU_SET_FEATURES, RIG_ACKED | LOG_ALL), ACK);
	log = rig->ring[0]->log;
	for (uint32_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(give_log(rig, NEED, bad[i].size, bad[i].offset, bad[i].fd), NACK);
		assert_ptr_equal(rig->ring[0]->log, log);
	}
	assert_false(any_mark(&s));
	/* Nobody waits for an answer that says no. */
	assert_int_equal(give_log(rig, 0, due - 1, 0, s.fd), CLOSED);
	assert_non_null(strstr(rig->log, "the log is too short for the memory"));
	log_file_close(&s, 2 * PAGE);
}

static void
needs_its_protocol_feature(void **state)
{
	struct shared s = log_file(PAGE);
	struct rig *rig = *state;

	fe_negotiate(rig, RIG_ACKED, VIRTQ_BIT(VHU_PF_REPLY_ACK));
	assert_int_equal(give_log(rig, NEED, PAGE, 0, s.fd), NACK);
	log_file_close(&s, PAGE);
}

/* The session ends, with a line; the process goes on. */
static void
a_log_cut_short_ends_the_connection(void **state)
{
	struct shared s = log_file(LOG_BYTES);
	struct rig *rig = *state;

	start_logged(rig, &s);
	assert_int_equal(ftruncate(s.fd, 0), 0);
	virtq_log_mark(rig->ring[0]->log, RIG_GPA, 1);
	WAIT(rig, rig->downs == 1, 3000);
	assert_non_null(strstr(rig->why, "the log is too short"));
	log_file_close(&s, LOG_BYTES);
}

static void
a_page_beyond_the_log_ends_the_connection(void **state)
{
	struct shared s = log_file(LOG_BYTES);
	struct rig *rig = *state;

	start_logged(rig, &s);
	virtq_log_mark(rig->ring[1]->log, LOG_BYTES * 8 * PAGE, 1);
	WAIT(rig, rig->downs == 1, 3000);
	assert_non_null(strstr(rig->why, "the log is too short"));
	log_file_close(&s, LOG_BYTES);
}

/* Memory that comes and goes while a guest migrates: rings go on, and log where they write. */
static void
memory_changes_under_a_log(void **state)
{
	const uint64_t gpa = 64 * RIG_GPA, uva = RIG_UVA + 64 * RIG_GPA;
	struct shared s = log_file(LOG_BYTES);
	struct rig *rig = *state;

	start_logged(rig, &s);
	rig->vq[0]->cursor.avail_idx = rig->vq[0]->cursor.used_idx = 7;
	for (int pass = 0; pass < 3; pass++) {
		assert_int_equal(fe_region(rig, VHU_ADD_MEM_REG, gpa, uva, RIG_MEM, 0), ACK);
		assert_non_null(virtq_mem_find(rig->ring[0]->mem, gpa));
		assert_non_null(rig->ring[0]->log);
		virtq_log_mark(rig->ring[0]->log, gpa, 1);
		assert_int_equal(s.bits[(gpa >> 12) / 8], 1);
		s.bits[(gpa >> 12) / 8] = 0;
		assert_int_equal(fe_region(rig, VHU_REM_MEM_REG, gpa, uva, RIG_MEM, 0), ACK);
		assert_null(virtq_mem_find(rig->ring[0]->mem, gpa));
		assert_non_null(rig->ring[0]->log);
	}
	assert_int_equal(rig->vq[0]->cursor.avail_idx, 7);
	/* Memory beyond the log: who writes there has no bit to mark. */
	assert_int_equal(fe_region(rig, VHU_ADD_MEM_REG, LOG_BYTES * 8 * PAGE, uva, RIG_MEM, 0),
			 ACK);
	assert_int_equal(rig->downs, 0);
	virtq_log_mark(rig->ring[0]->log, LOG_BYTES * 8 * PAGE, 1);
	WAIT(rig, rig->downs == 1, 3000);
	assert_non_null(strstr(rig->why, "the log is too short"));
	log_file_close(&s, LOG_BYTES);
}

/* Memory is cut short while a guest migrates: the session ends, and the next one is served. */
static void
memory_is_cut_short_under_a_log(void **state)
{
	struct shared s = log_file(LOG_BYTES);
	struct rig *rig = *state;

	start_logged(rig, &s);
	assert_int_equal(ftruncate(rig->memfd, 0), 0);
	rig_touch(rig->ring[0]);
	WAIT(rig, rig->downs == 1, 3000);
	assert_non_null(strstr(rig->why, "short"));
	assert_int_equal(ftruncate(rig->memfd, RIG_MEM), 0);
	rig_disconnect(rig);
	rig_connect(rig);
	start_logged(rig, &s);
	assert_non_null(rig->ring[0]->log);
	log_file_close(&s, LOG_BYTES);
}

/* A front-end that comes back while its guest migrates has said nothing yet. */
static void
a_reconnect_forgets_the_log(void **state)
{
	struct shared s = log_file(LOG_BYTES), other = log_file(LOG_BYTES);
	struct rig *rig = *state;

	start_logged(rig, &s);
	rig_disconnect(rig);
	WAIT(rig, rig->downs == 1, 3000);
	memset(s.bits, 0, LOG_BYTES);
	rig_connect(rig);
	fe_start(rig);
	assert_null(rig->ring[0]->log);
	/* Features first: there is no log yet, and nothing is marked. */
	assert_int_equal(fe_u64(rig, VHU_SET_FEATURES, RIG_ACKED | LOG_ALL), ACK);
	assert_null(rig->ring[0]->log);
	assert_int_equal(give_log(rig, 0, LOG_BYTES, 0, other.fd), ACK);
	assert_non_null(rig->ring[0]->log);
	virtq_log_mark(rig->ring[0]->log, RIG_GPA, 1);
	assert_true(any_mark(&other));
	assert_false(any_mark(&s));
	log_file_close(&s, LOG_BYTES);
	log_file_close(&other, LOG_BYTES);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(logging_is_switched_under_running_rings),
		RIG_TEST(a_ring_that_starts_is_logged),
		RIG_TEST(bad_logs_are_refused),
		RIG_TEST(needs_its_protocol_feature),
		RIG_TEST(a_log_cut_short_ends_the_connection),
		RIG_TEST(a_page_beyond_the_log_ends_the_connection),
		RIG_TEST(memory_changes_under_a_log),
		RIG_TEST(memory_is_cut_short_under_a_log),
		RIG_TEST(a_reconnect_forgets_the_log),
	};

	return cmocka_run_group_tests_name("vhost_be_log", tests, NULL, NULL);
}
