/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory tables and regions of a session, the hostile ones too. */
#include <pthread.h>

#include "rig_frontend.h"

#include "virtq_shared.h"

#define PAGE 4096ull

static void
table_change_keeps_rings_running(void **state)
{
	struct rig *rig = *state;
	const struct virtq_ring *ring[2];
	struct vhu_mem_table t = rig_table();

	fe_start(rig);
	memcpy(ring, rig->ring, sizeof(ring));
	rig->vq[0]->cursor.avail_idx = 11;
	rig->publishes = rig->many_publishes = 0;
	/* The same memory in two regions, and one behind. */
	t = (struct vhu_mem_table){
		.n = 3,
		.region = {
			{ RIG_GPA, RIG_STRIDE, RIG_UVA, 0 },
			{ RIG_GPA + RIG_STRIDE, RIG_MEM - RIG_STRIDE, RIG_UVA + RIG_STRIDE,
			  RIG_STRIDE },
			{ RIG_GPA + 4 * RIG_MEM, PAGE, RIG_UVA + 4 * RIG_MEM, 0 },
		},
	};
	assert_int_equal(fe_table(rig, &t, 3), ACK);
	assert_int_equal(rig->many_publishes, 1);
	assert_int_equal(rig->publishes, 0);
	for (int i = 0; i < 2; i++) {
		assert_non_null(rig->ring[i]);
		assert_ptr_not_equal(rig->ring[i], ring[i]);
		assert_true(rig->ring[i]->enabled);
		assert_ptr_equal(rig->ring[i]->mem, vhost_be_get_mem(rig->be));
	}
	assert_int_equal(rig->vq[0]->cursor.avail_idx, 11);
	/* It is the front-end's memory that the ring lies in. */
	rig->mem[0x2002] = 0x5a;
	assert_int_equal(virtq_load16(&rig->ring[0]->used->idx), 0x5a);
}

static void
ring_is_stopped_while_its_memory_is_away(void **state)
{
	struct rig *rig = *state;
	const struct vhu_mem_table all = rig_table();
	struct vhu_mem_table first = all;

	fe_start(rig);
	first.region[0].size = RIG_STRIDE;
	rig->vq[1]->cursor.avail_idx = 8;
	*(uint16_t *)(void *)(rig->mem + RIG_STRIDE + 0x1002) = 9;
	*(uint16_t *)(void *)(rig->mem + RIG_STRIDE + 0x2002) = 8;
	assert_int_equal(fe_table(rig, &first, 1), ACK);
	assert_non_null(rig->ring[0]);
	assert_null(rig->ring[1]);
	rig->vq[1]->cursor.avail_idx = 0;
	assert_int_equal(fe_table(rig, &all, 1), ACK);
	assert_non_null(rig->ring[1]);
	assert_true(rig->ring[1]->enabled);
	assert_int_equal(rig->vq[1]->cursor.avail_idx, 8);
	assert_int_equal(rig->downs, 0);
}

/* What a table can do wrong; the one before it stays. */
static const struct {
	const char *what;
	struct vhu_mem_table t;
	uint32_t nfds;
} bad_tables[] = {
	{ "no region", { .n = 0 }, 0 },
	{ "no region, but an fd", { .n = 0 }, 1 },
	{ "fewer fds", { .n = 2, .region = { { 0, PAGE, 0, 0 }, { PAGE, PAGE, PAGE, 0 } } }, 1 },
	{ "more fds", { .n = 1, .region = { { 0, PAGE, 0, 0 } } }, 2 },
	{ "size 0", { .n = 1, .region = { { 0, 0, 0, 0 } } }, 1 },
	{ "offset wraps", { .n = 1, .region = { { 0, PAGE, 0, UINT64_MAX - 10 } } }, 1 },
	{ "offset + size wraps", { .n = 1, .region = { { 0, UINT64_MAX, 0, PAGE } } }, 1 },
	{ "gpa wraps", { .n = 1, .region = { { UINT64_MAX - 10, PAGE, 0, 0 } } }, 1 },
	{ "uva wraps", { .n = 1, .region = { { 0, PAGE, UINT64_MAX - 10, 0 } } }, 1 },
	{ "beyond the file", { .n = 1, .region = { { 0, RIG_MEM, 0, PAGE } } }, 1 },
	{ "larger than the file", { .n = 1, .region = { { 0, RIG_MEM + 1, 0, 0 } } }, 1 },
	{ "twice the same", { .n = 2, .region = { { 0, PAGE, 0, 0 }, { 0, PAGE, 0, 0 } } }, 2 },
	{ "gpa overlaps", { .n = 2, .region = { { 0, 2 * PAGE, 0, 0 },
						{ PAGE, PAGE, 8 * PAGE, 0 } } }, 2 },
	{ "uva overlaps", { .n = 2, .region = { { 0, 2 * PAGE, 0, 0 },
						{ 8 * PAGE, PAGE, PAGE, 0 } } }, 2 },
	{ "only the last is bad", { .n = 3, .region = { { 0, PAGE, 0, 0 },
							{ 2 * PAGE, PAGE, 2 * PAGE, 0 },
							{ 4 * PAGE, 0, 4 * PAGE, 0 } } }, 3 },
};

static void
bad_tables_change_nothing(void **state)
{
	struct rig *rig = *state;
	const struct virtq_ring *ring;
	const struct virtq_mem *mem;
	int fds;

	fe_start(rig);
	ring = rig->ring[0];
	mem = vhost_be_get_mem(rig->be);
	fds = open_fds();
	for (size_t i = 0; i < sizeof(bad_tables) / sizeof(bad_tables[0]); i++) {
		if (fe_table(rig, &bad_tables[i].t, bad_tables[i].nfds) != NACK)
			fail_msg("%s", bad_tables[i].what);
		assert_ptr_equal(vhost_be_get_mem(rig->be), mem);
		assert_ptr_equal(rig->ring[0], ring);
		assert_int_equal(open_fds(), fds);
	}
}

/* Where sealed memory is asked for, no other is taken. */
static void
memory_that_can_be_cut_is_refused(void **state)
{
	struct rig *rig = *state;
	struct vhost_be_config cfg = rig_config(rig);
	const struct vhu_mem_table t = rig_table();
	const int memfd = rig->memfd;
	struct vhost_be_info info;
	char err[200] = "";

	cfg.sealed = true;
	assert_int_equal(vhost_be_new(&cfg, &rig->be, err, sizeof(err)), 0);
	rig_connect(rig);
	fe_negotiate(rig, RIG_ACKED, VHOST_BE_PROTOCOL);
	assert_int_equal(fe_table(rig, &t, 1), NACK);
	assert_non_null(strstr(rig->log, "F_SEAL_SHRINK"));
	rig->memfd = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(ftruncate(rig->memfd, RIG_MEM), 0);
	assert_int_equal(fcntl(rig->memfd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	assert_int_equal(fe_table(rig, &t, 1), ACK);
	vhost_be_get_info(rig->be, &info);
	assert_true(info.mem_sealed);
	close(rig->memfd);
	rig->memfd = memfd;
}

/* Else it is taken, and said. */
static void
memory_that_can_be_cut_is_told(void **state)
{
	struct rig *rig = *state;
	struct vhost_be_info info;

	fe_start(rig);
	vhost_be_get_info(rig->be, &info);
	assert_int_equal(info.nregions, 1);
	assert_false(info.mem_sealed);
}

/* A table of n regions, with room for so many. Its regions are pages side by side. */
static enum outcome
send_table(struct rig *rig, uint32_t n, uint32_t room, uint32_t nfds)
{
	struct {
		uint32_t n, pad;
		struct vhu_mem_region region[40];
	} t = { .n = n };
	int fds[VHU_MAX_FDS];
	struct vhu_msg m;

	for (uint32_t i = 0; i < 40; i++)
		t.region[i] = (struct vhu_mem_region){ i * PAGE, PAGE, i * PAGE };
	for (uint32_t i = 0; i < nfds; i++)
		fds[i] = rig->memfd;
	return fe_talk(rig, VHU_SET_MEM_TABLE, NEED, &t, 8 + room * 32, fds, nfds, &m);
}

/* A table may be longer than its regions are, as that of User-Mode Linux, but not shorter. */
static void
table_may_be_longer_than_its_regions(void **state)
{
	struct rig *rig = *state;

	for (uint32_t slots = 0; slots < 2; slots++) {
		const uint32_t most = slots ? 32 : 8;

		for (uint32_t n = 1; n <= 33; n += n == 9 ? 22 : 1) {
			for (uint32_t room = 0; room <= 40; room += n % 5 + 1) {
				enum outcome o;

				rig_connect(rig);
				fe_negotiate(rig, RIG_ACKED, VIRTQ_BIT(VHU_PF_REPLY_ACK) |
					     (uint64_t)slots << VHU_PF_CONFIGURE_MEM_SLOTS);
				o = send_table(rig, n, room, n > 32 ? 32 : n);
				assert_int_equal(o, n > most ? NACK : n > room ? CLOSED : ACK);
				assert_int_equal(vhost_be_get_mem(rig->be) != NULL, o == ACK);
				if (o == ACK)
					assert_int_equal(vhost_be_get_mem(rig->be)->nregions, n);
			}
		}
	}
	rig_connect(rig);
	fe_negotiate(rig, RIG_ACKED, VHOST_BE_PROTOCOL);
	assert_int_equal(send_table(rig, 255, 8, 1), NACK);
	assert_int_equal(send_table(rig, UINT32_MAX, 8, 1), NACK);
	assert_int_equal(send_table(rig, 3, 8, 2), NACK);
	assert_null(vhost_be_get_mem(rig->be));
}

static void
wrong_memory_fds_are_refused(void **state)
{
	struct rig *rig = *state;
	int ok = rig->memfd;
	const struct vhu_mem_table t = rig_table();
	char path[64];
	int fd[6], p[2], s[2];

	fe_negotiate(rig, RIG_ACKED, VHOST_BE_PROTOCOL);
	assert_int_equal(pipe(p), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", ok);
	fd[0] = open("/tmp", O_RDONLY | O_DIRECTORY);
	fd[1] = open(path, O_RDONLY);
	fd[2] = p[1];
	fd[3] = s[0];
	fd[4] = eventfd(0, 0);
	fd[5] = memfd_create("sealed", MFD_ALLOW_SEALING);
	assert_int_equal(ftruncate(fd[5], RIG_MEM), 0);
	assert_int_equal(fcntl(fd[5], F_ADD_SEALS, F_SEAL_WRITE), 0);
	for (size_t i = 0; i < 6; i++) {
		rig->memfd = fd[i];
		assert_int_equal(fe_table(rig, &t, 1), NACK);
		assert_int_equal(fe_region(rig, VHU_ADD_MEM_REG, RIG_GPA, RIG_UVA, PAGE, 0), NACK);
		close(fd[i]);
	}
	rig->memfd = ok;
	close(p[0]);
	close(s[1]);
	assert_int_equal(fe_table(rig, &t, 1), ACK);
}

static void
offsets_need_no_alignment(void **state)
{
	struct rig *rig = *state;

	fe_negotiate(rig, RIG_ACKED, VHOST_BE_PROTOCOL);
	rig->mem[PAGE + 0x10] = 0x77;
	assert_int_equal(fe_region(rig, VHU_ADD_MEM_REG, 0, 0, 0x10, PAGE + 0x10), ACK);
	assert_int_equal(*vhost_be_get_mem(rig->be)->region[0].host, 0x77);
}

static void
regions_come_and_go(void **state)
{
	struct rig *rig = *state;

	fe_negotiate(rig, RIG_ACKED, VHOST_BE_PROTOCOL);
	for (uint32_t i = 0; i < 2; i++)
		fe_ring(rig, i); /* before there is any memory */
	assert_int_equal(fe_region(rig, VHU_ADD_MEM_REG, RIG_GPA, RIG_UVA, RIG_STRIDE, 0), ACK);
	assert_non_null(rig->ring[0]);
	assert_null(rig->ring[1]);
	assert_int_equal(fe_region(rig, VHU_ADD_MEM_REG, RIG_GPA + RIG_STRIDE, RIG_UVA + RIG_STRIDE,
				   RIG_STRIDE, RIG_STRIDE), ACK);
	assert_non_null(rig->ring[1]);
	/* Nothing of this was a fault of the front-end. */
	assert_null(strstr(rig->log, "does not run"));
	assert_int_equal(signals(rig->call[1]), 0);

	assert_int_equal(fe_region(rig, VHU_ADD_MEM_REG, RIG_GPA + PAGE, 0, PAGE, 0), NACK);
	assert_int_equal(fe_region(rig, VHU_ADD_MEM_REG, 0, RIG_UVA + PAGE, PAGE, 0), NACK);
	assert_int_equal(fe_region(rig, VHU_REM_MEM_REG, RIG_GPA, RIG_UVA, PAGE, 0), NACK);
	assert_int_equal(fe_region(rig, VHU_REM_MEM_REG, RIG_GPA, 0, RIG_STRIDE, 0), NACK);
	assert_int_equal(fe_region(rig, VHU_REM_MEM_REG, 0, RIG_UVA, RIG_STRIDE, 0), NACK);
	/* The offset does not matter. */
	assert_int_equal(fe_region(rig, VHU_REM_MEM_REG, RIG_GPA, RIG_UVA, RIG_STRIDE, 99), ACK);
	assert_null(rig->ring[0]);
	assert_non_null(rig->ring[1]);
	assert_int_equal(fe_region(rig, VHU_REM_MEM_REG, RIG_GPA, RIG_UVA, RIG_STRIDE, 0), NACK);
	assert_int_equal(fe_region(rig, VHU_REM_MEM_REG, RIG_GPA + RIG_STRIDE, RIG_UVA + RIG_STRIDE,
				   RIG_STRIDE, 0), ACK);
	assert_null(rig->ring[1]);
	assert_int_equal(vhost_be_get_mem(rig->be)->nregions, 0);
	assert_int_equal(rig->regions, 0);
	assert_int_equal(rig->bytes, 0);
	assert_int_equal(fe_region(rig, VHU_ADD_MEM_REG, RIG_GPA, RIG_UVA, RIG_MEM, 0), ACK);
	assert_int_equal(rig->regions, 1);
	assert_int_equal(rig->bytes, RIG_MEM);
	assert_non_null(rig->ring[0]);
	assert_non_null(rig->ring[1]);
}

/* As QEMU 7.2 does with several queue pairs. */
static void
each_pair_brings_the_same_memory(void **state)
{
	struct rig *rig = *state;
	const uint64_t size = RIG_MEM;

	fe_negotiate(rig, RIG_ACKED, VHOST_BE_PROTOCOL);
	fe_ring(rig, 0);
	assert_int_equal(fe_region(rig, VHU_ADD_MEM_REG, RIG_GPA, RIG_UVA, size, 0), ACK);
	assert_non_null(rig->ring[0]);
	assert_int_equal(fe_region(rig, VHU_REM_MEM_REG, 0, 0, PAGE, 0), NACK);
	/* Known by its numbers, but other bytes. */
	assert_int_equal(fe_region(rig, VHU_ADD_MEM_REG, RIG_GPA, RIG_UVA, PAGE, 0), NACK);
	assert_int_equal(fe_region(rig, VHU_ADD_MEM_REG, RIG_GPA, RIG_UVA, size, 0), ACK);
	assert_int_equal(vhost_be_get_mem(rig->be)->nregions, 1);
	assert_int_equal(fe_region(rig, VHU_ADD_MEM_REG, RIG_GPA, RIG_UVA + PAGE, size, 0), NACK);

	for (int pair = 0; pair < 2; pair++) {
		assert_int_equal(fe_region(rig, VHU_REM_MEM_REG, RIG_GPA, RIG_UVA, size, 0), ACK);
		assert_int_equal(vhost_be_get_mem(rig->be)->nregions, 0);
	}
	assert_null(rig->ring[0]);
}

static void
the_same_numbers_of_another_file_are_refused(void **state)
{
	struct rig *rig = *state;
	const int ok = rig->memfd;

	fe_negotiate(rig, RIG_ACKED, VHOST_BE_PROTOCOL);
	assert_int_equal(fe_region(rig, VHU_ADD_MEM_REG, RIG_GPA, RIG_UVA, PAGE, 0), ACK);
	assert_int_equal(fe_region(rig, VHU_ADD_MEM_REG, RIG_GPA, RIG_UVA, PAGE, PAGE), NACK);
	rig->memfd = memfd_create("other", MFD_ALLOW_SEALING);
	assert_int_equal(ftruncate(rig->memfd, RIG_MEM), 0);
	assert_int_equal(fe_region(rig, VHU_ADD_MEM_REG, RIG_GPA, RIG_UVA, PAGE, 0), NACK);
	close(rig->memfd);
	rig->memfd = ok;
	assert_int_equal(fe_region(rig, VHU_REM_MEM_REG, 0, 0, PAGE, 0), NACK);
}

static void
slots_are_as_many_as_announced(void **state)
{
	struct rig *rig = *state;
	uint64_t slots, i;

	fe_negotiate(rig, RIG_ACKED, VHOST_BE_PROTOCOL);
	slots = fe_get(rig, VHU_GET_MAX_MEM_SLOTS);
	assert_int_equal(slots, 300);
	for (i = 0; i < slots; i++)
		assert_int_equal(fe_region(rig, VHU_ADD_MEM_REG, i * PAGE, i * PAGE, PAGE, 0), ACK);
	assert_int_equal(fe_region(rig, VHU_ADD_MEM_REG, i * PAGE, i * PAGE, PAGE, 0), NACK);
	assert_int_equal(fe_region(rig, VHU_REM_MEM_REG, 0, 0, PAGE, 0), ACK);
	assert_int_equal(fe_region(rig, VHU_ADD_MEM_REG, i * PAGE, i * PAGE, PAGE, 0), ACK);
}

/* The number of mappings of the guest's file in this process. */
static int
mappings(void)
{
	char line[512];
	FILE *f;
	int n = 0;

	/* What nobody uses any more is unmapped a moment later. */
	wait_for_closing();
	f = fopen("/proc/self/maps", "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL)
		n += strstr(line, "memfd:guest") != NULL;
	fclose(f);
	return n;
}

static void
nothing_stays_mapped(void **state)
{
	struct rig *rig = *state;
	const struct vhu_mem_table t = rig_table();

	fe_start(rig);
	assert_int_equal(mappings(), 2); /* the front-end's own is one */
	for (int i = 0; i < 10; i++) {
		assert_int_equal(fe_table(rig, &t, 1), ACK);
		assert_int_equal(fe_table(rig, &bad_tables[14].t, 3), NACK);
		assert_int_equal(mappings(), 2);
	}
	rig_disconnect(rig);
	assert_int_equal(mappings(), 1);
}

static void
memory_cut_short_ends_the_connection(void **state)
{
	struct rig *rig = *state;

	fe_start(rig);
	assert_int_equal(ftruncate(rig->memfd, 0), 0);
	/* A burst looks at its ring. */
	assert_int_equal(virtq_load16(&rig->ring[0]->avail->idx), 0);
	evloop_step(rig->loop, 1100);
	assert_int_equal(rig->downs, 1);
	assert_non_null(strstr(rig->why, "cut the shared memory short"));
	assert_null(rig->ring[0]);
}

/* A burst met the end of a file: the session ends before the next look at it is due. */
static void
memory_cut_short_is_noticed_at_once(void **state)
{
	struct rig *rig = *state;
	const uint64_t began = evloop_now_ns();

	fe_start(rig);
	assert_int_equal(ftruncate(rig->memfd, PAGE), 0);
	assert_int_equal(virtq_load16(&rig->ring[1]->used->idx), 0);
	WAIT(rig, rig->downs == 1, 5000);
	assert_non_null(strstr(rig->why, "cut the shared memory short"));
	assert_true(evloop_now_ns() - began < 500000000);
}

/* Which threads unmap. */
static pthread_t loop_thread;
static unsigned int unmapped_by_loop, unmapped_by_others;

int __real_munmap(void *addr, size_t len);
int __wrap_munmap(void *addr, size_t len);

int
__wrap_munmap(void *addr, size_t len)
{
	if (len == RIG_MEM)
		__atomic_add_fetch(pthread_equal(pthread_self(), loop_thread) ?
				   &unmapped_by_loop : &unmapped_by_others, 1, __ATOMIC_RELAXED);
	return __real_munmap(addr, len);
}

/* Freeing the memory of a large VM takes seconds, in which all sessions would wait. */
static void
memory_is_not_unmapped_by_the_loop(void **state)
{
	struct rig *rig = *state;
	const struct vhu_mem_table t = rig_table();

	loop_thread = pthread_self();
	unmapped_by_loop = unmapped_by_others = 0;
	fe_start(rig);
	assert_int_equal(fe_table(rig, &t, 1), ACK);
	rig_disconnect(rig);
	assert_int_equal(rig->downs, 1);
	wait_for_closing();
	assert_int_equal(unmapped_by_loop, 0);
	assert_int_equal(unmapped_by_others, 2);
}

/* A front-end cannot have more mappings than a port may, those of packets on their way included. */
static void
mappings_are_bounded_per_port(void **state)
{
	struct vhu_mem_table t = { .n = 8 };
	struct rig *rig = *state;
	struct virtq_mem *held[200];
	unsigned int n = 0;

	fe_negotiate(rig, RIG_ACKED, VHOST_BE_PROTOCOL);
	for (unsigned int i = 0; i < 8; i++)
		t.region[i] = (struct vhu_mem_region){ RIG_GPA + 2 * i * PAGE, PAGE,
						       RIG_UVA + 2 * i * PAGE, 0 };
	/* As packets in the application do, the test keeps each memory map that there was. */
	while (n < 200 && fe_table(rig, &t, 8) == ACK)
		held[n++] = virtq_mem_get(vhost_be_get_mem(rig->be));
	assert_int_equal(8 * n, 2 * VIRTQ_MEM_MAX_REGIONS);
	while (n > 0)
		virtq_mem_put(held[--n]);
	wait_for_closing();
	assert_int_equal(fe_table(rig, &t, 8), ACK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		/* First: cmocka has its own SIGBUS handler in each test, ours is installed once. */
		BARE_TEST(memory_that_can_be_cut_is_refused),
		RIG_TEST(memory_that_can_be_cut_is_told),
		RIG_TEST(memory_cut_short_ends_the_connection),
		RIG_TEST(memory_cut_short_is_noticed_at_once),
		RIG_TEST(memory_is_not_unmapped_by_the_loop),
		RIG_TEST(mappings_are_bounded_per_port),
		RIG_TEST(table_change_keeps_rings_running),
		RIG_TEST(ring_is_stopped_while_its_memory_is_away),
		RIG_TEST(bad_tables_change_nothing),
		RIG_TEST(table_may_be_longer_than_its_regions),
		RIG_TEST(wrong_memory_fds_are_refused),
		RIG_TEST(offsets_need_no_alignment),
		RIG_TEST(regions_come_and_go),
		RIG_TEST(each_pair_brings_the_same_memory),
		RIG_TEST(the_same_numbers_of_another_file_are_refused),
		RIG_TEST(slots_are_as_many_as_announced),
		RIG_TEST(nothing_stays_mapped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
