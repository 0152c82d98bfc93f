/* SPDX-License-Identifier: BSD-3-Clause */
/* The state file of a session: who may have it, what becomes of it, and what a successor reads. */
#include "rig_frontend.h"
#include "virtq_saved.h"
#include "virtq_shared.h"

#define PACKED (RIG_ACKED | VIRTQ_BIT(VIRTIO_F_RING_PACKED))
#define FRESH 0x80008000u
#define AT (37u | 1u << 15)	/* where the first ring stands when it is killed */

static char file[64];

static void
new_session(struct rig *rig)
{
	struct vhost_be_config cfg = rig_config(rig);
	char err[200];

	cfg.state = file;
	assert_int_equal(vhost_be_new(&cfg, &rig->be, err, sizeof(err)), 0);
	rig_connect(rig);
}

static int
state_setup(void **state)
{
	static unsigned int count;

	snprintf(file, sizeof(file), "/dev/shm/vring-test-%d-%u", getpid(), count++);
	rig_setup_bare(state);
	new_session(*state);
	return 0;
}

static int
state_teardown(void **state)
{
	const int rc = rig_teardown(state);

	/* It is gone, whatever it was, but for what was not the session's. */
	return rc != 0 ? rc : unlink(file) == 0 || errno == ENOENT ? 0 : -1;
}

static bool
is_there(void)
{
	return access(file, F_OK) == 0;
}

/* Entries up to `at` are returned ones, of the first lap; the others wait, as QEMU leaves them. */
static void
write_ring(struct rig *rig, uint32_t ring, uint16_t at)
{
	struct vring_packed_desc *d = (void *)(rig->mem + ring * RIG_STRIDE);

	for (uint16_t i = 0; i < RIG_SIZE; i++)
		d[i].flags = i < at ? VIRTQ_PACKED_PHASES : VIRTQ_PACKED_AVAIL;
}

static void
start(struct rig *rig, uint32_t base)
{
	const struct vhu_mem_table t = rig_table();
	const struct vhu_vring_addr a = rig_addr(0);

	fe_negotiate(rig, PACKED, VHOST_BE_PROTOCOL);
	assert_int_equal(fe_table(rig, &t, 1), ACK);
	assert_int_equal(fe_state(rig, VHU_SET_VRING_NUM, 0, RIG_SIZE), ACK);
	assert_int_equal(fe_state(rig, VHU_SET_VRING_BASE, 0, base), ACK);
	assert_int_equal(fe_addr(rig, &a), ACK);
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_CALL, 0, rig->call[0]), ACK);
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_KICK, 0 | VHU_FD_NONE, -1), ACK);
	assert_non_null(rig->ring[0]);
}

/* What a killed process leaves: the file as it is, and nobody who removes it. */
static void
kill_session(struct rig *rig)
{
	uint8_t bytes[(RIG_RINGS + 1) * sizeof(struct virtq_saved)];
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	assert_int_equal(read(fd, bytes, sizeof(bytes)), sizeof(bytes));
	close(fd);
	rig_disconnect(rig);
	vhost_be_free(rig->be);
	assert_false(is_there());
	fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	close(fd);
}

/* The ring goes on where the file says, for its entries do not: one of them fits to no place. */
static void
a_successor_goes_on(void **state)
{
	struct rig *rig = *state;
	struct virtq_saved *saved;
	struct stat st;

	start(rig, FRESH);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	saved = rig->vq[0]->saved;
	assert_non_null(saved);
	assert_int_equal(saved->pos, VIRTQ_SAVED_VALID | 1 << 15);
	saved->pos = saved->next = VIRTQ_SAVED_VALID | AT;
	kill_session(rig);
	new_session(rig);
	write_ring(rig, 0, AT & 0x7fff);
	((struct vring_packed_desc *)(void *)rig->mem)[200].flags = VIRTQ_PACKED_PHASES;
	signals(rig->call[0]);
	start(rig, FRESH);
	assert_int_equal(virtq_dev_get_base(rig->vq[0], true), AT | AT << 16);
	assert_true(signals(rig->call[0]) > 0);
}

/* A front-end that knows a position is believed, and a fresh ring is one. */
static void
the_file_is_for_those_who_do_not_know(void **state)
{
	struct rig *rig = *state;

	start(rig, FRESH);
	((struct virtq_saved *)rig->vq[0]->saved)->pos = VIRTQ_SAVED_VALID | AT;
	((struct virtq_saved *)rig->vq[0]->saved)->next = VIRTQ_SAVED_VALID | AT;
	kill_session(rig);
	new_session(rig);
	memset(rig->mem, 0, RIG_STRIDE);
	start(rig, FRESH);
	assert_int_equal(virtq_dev_get_base(rig->vq[0], true), FRESH);
	kill_session(rig);
	new_session(rig);
	write_ring(rig, 0, 9);
	start(rig, 9 | 1 << 15 | (9u | 1u << 15) << 16);
	assert_int_equal(virtq_dev_get_base(rig->vq[0], true) & 0x7fff, 9);
	/* Who asks for the position knows it from then on. */
	assert_int_equal(fe_get_base(rig, 0) & 0x7fff, 9);
	assert_int_equal(((struct virtq_saved *)(void *)rig->be->state.host)[1].pos, 0);
}

static void
split_rings_need_none(void **state)
{
	fe_start(*state);
	assert_false(is_there());
}

/* What is somebody else's, or may be, is left alone; the ring runs all the same. */
static void
doubtful_files_are_not_used(void **state)
{
	struct rig *rig = *state;
	char other[80];

	snprintf(other, sizeof(other), "%s-other", file);
	for (int i = 0; i < 4; i++) {
		int fd = -1;

		if (i == 0) {
			assert_int_equal(symlink(other, file), 0);
		} else if (i == 1) {
			assert_int_equal(mkdir(file, 0700), 0);
		} else {
			fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
			if (i == 2)
				fchmod(fd, 0640);
			else
				assert_int_equal(link(file, other), 0);
			close(fd);
		}
		rig->log[0] = '\0';
		start(rig, FRESH);
		assert_null(rig->vq[0]->saved);
		assert_non_null(strstr(rig->log, "no state file"));
		rig_disconnect(rig);
		vhost_be_free(rig->be);
		assert_int_equal(i == 1 ? rmdir(file) : unlink(file), 0);
		assert_true((access(other, F_OK) == 0) == (i == 3));
		unlink(other);
		new_session(rig);
	}
}

/* Of another form, or cut short: as if it had not been there. */
static void
any_content_will_do(void **state)
{
	struct rig *rig = *state;
	uint8_t junk[4096];

	for (uint32_t i = 0; i < 4; i++) {
		int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

		memset(junk, 0xff, sizeof(junk));
		assert_true(write(fd, junk, i * 40) == (ssize_t)(i * 40));
		close(fd);
		write_ring(rig, 0, 9);
		start(rig, FRESH);
		assert_int_equal(virtq_dev_get_base(rig->vq[0], true) & 0x7fff, 9);
		assert_non_null(rig->vq[0]->saved);
		rig_disconnect(rig);
		vhost_be_free(rig->be);
		assert_false(is_there());
		new_session(rig);
	}
}

/* Two sessions with one file: the second one has none. */
static void
a_file_has_one_user(void **state)
{
	struct rig *rig = *state, *other;
	void *second;

	start(rig, FRESH);
	rig_setup_bare(&second);
	other = second;
	other->fds_before = -1;
	new_session(other);
	start(other, FRESH);
	assert_null(other->vq[0]->saved);
	assert_non_null(strstr(other->log, "another process"));
	rig_teardown(&second);
	assert_true(is_there());
}

#define STATE_TEST(fn) cmocka_unit_test_setup_teardown(fn, state_setup, state_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		STATE_TEST(a_successor_goes_on),
		STATE_TEST(the_file_is_for_those_who_do_not_know),
		STATE_TEST(split_rings_need_none),
		STATE_TEST(doubtful_files_are_not_used),
		STATE_TEST(any_content_will_do),
		STATE_TEST(a_file_has_one_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
