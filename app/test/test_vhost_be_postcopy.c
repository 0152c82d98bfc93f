/* SPDX-License-Identifier: BSD-3-Clause */
/* Post-copy: what the front-end is told, when memory is used, and who waits for a page. */
#include "rig_frontend.h"

#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/ioctl.h>

#define PAGE 4096ull
#define MISSING 0x40000ull	/* in the rig's memory: a page that has yet to come */

/* The descriptor that faults come through. */
static int
advise(struct rig *rig)
{
	struct vhu_msg m;

	assert_int_equal(fe_talk(rig, VHU_POSTCOPY_ADVISE, 0, NULL, 0, NULL, 0, &m), ANSWER);
	assert_int_equal(m.hdr.size, 0);
	assert_int_equal(m.nfds, 1);
	return m.fds[0];
}

/* Memory will come page by page. */
static int
begin_listening(struct rig *rig)
{
	int uffd;

	fe_negotiate(rig, RIG_ACKED, VHOST_BE_PROTOCOL);
	uffd = advise(rig);
	assert_int_equal(fe_empty(rig, VHU_POSTCOPY_LISTEN), ACK);
	return uffd;
}

static void
punch(struct rig *rig)
{
	assert_int_equal(fallocate(rig->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, MISSING,
				   PAGE), 0);
}

static enum outcome
confirm(struct rig *rig, uint32_t request, struct vhu_msg *m)
{
	const uint64_t good = 0;

	return fe_talk(rig, request, 0, &good, sizeof(good), NULL, 0, m);
}

/* Until memory is used: where the session says that the rig's lies. */
static uint8_t *
propose_table(struct rig *rig)
{
	const struct vhu_mem_table t = rig_table();
	struct vhu_msg m;

	assert_int_equal(fe_talk(rig, VHU_SET_MEM_TABLE, 0, &t, 8 + 32, &rig->memfd, 1, &m),
			 ANSWER);
	assert_int_equal(m.hdr.size, 8 + 32);
	assert_int_equal(m.table.n, 1);
	assert_int_equal(m.table.region[0].gpa, t.region[0].gpa);
	assert_int_equal(m.table.region[0].size, t.region[0].size);
	assert_null(vhost_be_get_mem(rig->be));
	return (uint8_t *)(uintptr_t)m.table.region[0].uva;
}

static void *
read_byte(void *arg)
{
	return (void *)(uintptr_t)*(volatile uint8_t *)arg;
}

/* Somebody waits for a page, and gets what the front-end puts there. */
static void
a_page_comes_when_it_is_missed(void **state)
{
	struct rig *rig = *state;
	uint8_t page[PAGE] __attribute__((aligned(4096)));
	struct uffd_msg fault;
	struct pollfd p;
	pthread_t reader;
	struct vhu_msg m;
	uint8_t *base;
	void *got;
	int uffd;

	uffd = begin_listening(rig);
	punch(rig);
	base = propose_table(rig);
	assert_int_equal(confirm(rig, VHU_SET_MEM_TABLE, &m), SILENCE);
	assert_ptr_equal(virtq_mem_uva(vhost_be_get_mem(rig->be), RIG_UVA, 1), base);
	pthread_create(&reader, NULL, read_byte, base + MISSING + 5);
	p = (struct pollfd){ .fd = uffd, .events = POLLIN };
	assert_int_equal(poll(&p, 1, 5000), 1);
	assert_int_equal(read(uffd, &fault, sizeof(fault)), sizeof(fault));
	assert_int_equal(fault.event, UFFD_EVENT_PAGEFAULT);
	assert_int_equal(fault.arg.pagefault.address & ~(PAGE - 1), (uintptr_t)base + MISSING);
	memset(page, 77, sizeof(page));
	assert_int_equal(ioctl(uffd, UFFDIO_COPY, &(struct uffdio_copy){
		.dst = (uintptr_t)base + MISSING, .src = (uintptr_t)page, .len = PAGE }), 0);
	pthread_join(reader, &got);
	assert_int_equal((uintptr_t)got, 77);
	assert_int_equal(fe_get(rig, VHU_POSTCOPY_END), 0);
	close(uffd);
	punch(rig);
	assert_int_equal(base[MISSING], 0); /* nobody is asked any more */
}

/* Regions one by one: an answer each, and one confirmation. */
static void
regions_are_proposed_one_by_one(void **state)
{
	struct rig *rig = *state;
	const uint64_t half = RIG_MEM / 2;
	uint64_t told[3];
	struct vhu_msg m;
	int uffd;

	uffd = begin_listening(rig);
	for (uint64_t k = 0; k < 3; k++) {
		const uint64_t i = k % 2; /* QEMU 7.2 repeats them for each pair of queues */
		const struct vhu_mem_single s = { .region = { RIG_GPA + i * half, half,
							      RIG_UVA + i * half, i * half } };

		assert_int_equal(fe_talk(rig, VHU_ADD_MEM_REG, 0, &s, sizeof(s), &rig->memfd, 1,
					 &m), ANSWER);
		assert_int_equal(m.hdr.size, sizeof(s));
		assert_int_equal(m.single.region.gpa, s.region.gpa);
		assert_true(m.single.region.uva != s.region.uva);
		assert_null(vhost_be_get_mem(rig->be));
		told[k] = m.single.region.uva;
	}
	assert_int_equal(told[0], told[2]);
	assert_int_equal(confirm(rig, VHU_ADD_MEM_REG, &m), SILENCE);
	assert_int_equal(vhost_be_get_mem(rig->be)->nregions, 2);
	assert_ptr_equal(virtq_mem_uva(vhost_be_get_mem(rig->be), RIG_UVA + half, 1),
			 (void *)(uintptr_t)told[1]);
	close(uffd);
}

/* The front-end dies while somebody waits for a page: nobody waits any longer. */
static void
nobody_waits_for_the_dead(void **state)
{
	struct rig *rig = *state;
	pthread_t reader;
	struct vhu_msg m;
	uint8_t *base;
	void *got;
	int uffd;

	uffd = begin_listening(rig);
	punch(rig);
	base = propose_table(rig);
	confirm(rig, VHU_SET_MEM_TABLE, &m);
	pthread_create(&reader, NULL, read_byte, base + MISSING);
	poll(&(struct pollfd){ .fd = uffd, .events = POLLIN }, 1, 5000);
	close(uffd);
	rig_disconnect(rig);
	pthread_join(reader, &got);
	assert_int_equal((uintptr_t)got, 0);
}

static void
the_order_is_kept(void **state)
{
	struct rig *rig = *state;
	const struct vhu_mem_table t = rig_table();
	struct vhu_msg m;
	int uffd;

	fe_negotiate(rig, RIG_ACKED, VHOST_BE_PROTOCOL);
	assert_int_equal(fe_empty(rig, VHU_POSTCOPY_LISTEN), NACK);
	assert_int_equal(fe_get(rig, VHU_POSTCOPY_END), 1);
	assert_int_equal(fe_table(rig, &t, 1), ACK);
	uffd = advise(rig);
	close(advise(rig)); /* another one takes its place */
	assert_int_equal(fe_empty(rig, VHU_POSTCOPY_LISTEN), NACK); /* memory is in use */
	close(uffd);
	rig_disconnect(rig);
	rig_connect(rig);
	close(begin_listening(rig));
	assert_int_equal(confirm(rig, VHU_SET_MEM_TABLE, &m), CLOSED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(a_page_comes_when_it_is_missed),
		RIG_TEST(regions_are_proposed_one_by_one),
		RIG_TEST(nobody_waits_for_the_dead),
		RIG_TEST(the_order_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
