/* SPDX-License-Identifier: BSD-3-Clause */
/* Post-copy: what the front-end is told, when memory is used, and who waits for a page. */
#include "rig_paged.h"

#include <poll.h>

#define MISSING 0x40000ull	/* in the rig's memory: a page that has yet to come */

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
	pthread_t reader;
	struct vhu_msg m;
	uint8_t *base;
	void *got;
	int uffd;

	uffd = paged_listen(rig, RIG_ACKED);
	paged_punch(rig, MISSING);
	base = paged_propose(rig);
	assert_int_equal(paged_confirm(rig, VHU_SET_MEM_TABLE, &m), SILENCE);
	assert_ptr_equal(virtq_mem_uva(vhost_be_get_mem(rig->be), RIG_UVA, 1), base);
	pthread_create(&reader, NULL, read_byte, base + MISSING + 5);
	assert_ptr_equal(paged_missed(rig, uffd), base + MISSING);
	paged_bring(uffd, base + MISSING, 77);
	pthread_join(reader, &got);
	assert_int_equal((uintptr_t)got, 77);
	assert_int_equal(fe_get(rig, VHU_POSTCOPY_END), 0);
	close(uffd);
	paged_punch(rig, MISSING);
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

	uffd = paged_listen(rig, RIG_ACKED);
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
	assert_int_equal(paged_confirm(rig, VHU_ADD_MEM_REG, &m), SILENCE);
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
	struct virtq_mem *mem;
	pthread_t reader;
	struct vhu_msg m;
	uint8_t *base;
	void *got;
	int uffd;

	uffd = paged_listen(rig, RIG_ACKED);
	paged_punch(rig, MISSING);
	base = paged_propose(rig);
	paged_confirm(rig, VHU_SET_MEM_TABLE, &m);
	/* Memory is unmapped when no burst uses it; of this reader the session knows nothing. */
	mem = virtq_mem_get(vhost_be_get_mem(rig->be));
	pthread_create(&reader, NULL, read_byte, base + MISSING);
	poll(&(struct pollfd){ .fd = uffd, .events = POLLIN }, 1, 5000);
	rig_disconnect(rig); /* while a child, perhaps, has its descriptor still */
	pthread_join(reader, &got);
	assert_int_equal((uintptr_t)got, 0);
	virtq_mem_put(mem);
	close(uffd);
}

/* A burst that meets a page which has not come leaves the chain; nor does anybody else wait. */
static void
no_burst_waits_for_a_page(void **state)
{
	const uint64_t gpa[] = { RIG_GPA + MISSING - RIG_PAGE, RIG_GPA + MISSING, 0x10,
				 RIG_GPA + MISSING + RIG_PAGE };
	struct rig *rig = *state;
	struct virtq_chain c[4];
	uint8_t *base;
	uint16_t n = 0;
	int uffd;

	base = paged_begin(rig, RIG_ACKED, &uffd);
	paged_punch(rig, MISSING);
	fe_ring(rig, 1);
	assert_int_equal(fe_state(rig, VHU_SET_VRING_ENABLE, 1, 1), ACK);
	WAIT(rig, rig->ring[1] != NULL, 5000);
	assert_non_null(rig->ring[1]->view);
	paged_offer(rig, gpa, 4);
	WAIT(rig, paged_fetch(rig, 1, c, 4) == 1, 5000);
	assert_ptr_equal(c[0].addr, base + MISSING - RIG_PAGE);
	assert_ptr_equal(paged_missed(rig, uffd), base + MISSING);
	for (int i = 0; i < 50; i++) {
		assert_true(fe_get(rig, VHU_GET_QUEUE_NUM) > 0);
		assert_int_equal(paged_fetch(rig, 1, c, 4), 1);
		usleep(1000);
	}
	paged_bring(uffd, base + MISSING, 77);
	/* What no memory is at, page or not, is a fault of the guest's. */
	WAIT(rig, n == 4 || (n = paged_fetch(rig, 1, c, 4)) == 4, 5000);
	assert_ptr_equal(c[1].addr, base + MISSING);
	assert_int_equal(*c[1].addr, 77);
	assert_int_equal(c[2].fault, VIRTQ_FAULT_UNMAPPED);
	assert_ptr_equal(c[3].addr, base + MISSING + RIG_PAGE);
	/* All pages are there: nobody asks any more. */
	assert_int_equal(fe_get(rig, VHU_POSTCOPY_END), 0);
	assert_non_null(rig->ring[1]);
	assert_null(rig->ring[1]->view);
	assert_int_equal(paged_fetch(rig, 1, c, 4), 4);
	close(uffd);
}

/* Pages that come one at a time, each without its neighbours: all of them get known. */
static void
many_pages_come_one_by_one(void **state)
{
	enum { GROUP = VIRTQ_FETCH_MAX, PAGES = 5 * GROUP };
	struct rig *rig = *state;
	struct virtq_chain c[GROUP];
	uint64_t gpa[GROUP];
	uint8_t *base;
	int uffd;

	base = paged_begin(rig, RIG_ACKED, &uffd);
	for (uint64_t i = 0; i < 2 * PAGES; i++)
		paged_punch(rig, MISSING + i * RIG_PAGE);
	fe_ring(rig, 1);
	assert_int_equal(fe_state(rig, VHU_SET_VRING_ENABLE, 1, 1), ACK);
	WAIT(rig, rig->ring[1] != NULL, 5000);
	for (uint64_t i = 0; i < PAGES; i++) {
		if (i % GROUP == 0) {
			for (uint64_t k = 0; k < GROUP; k++)
				gpa[k] = RIG_GPA + MISSING + 2 * (i + k) * RIG_PAGE;
			paged_offer(rig, gpa, GROUP);
		}
		paged_bring(uffd, base + MISSING + 2 * i * RIG_PAGE, (uint8_t)i);
		WAIT(rig, paged_fetch(rig, 1, c, GROUP) == i % GROUP + 1, 5000);
	}
	close(uffd);
}

/* A ring whose own memory has not come starts when it has. */
static void
a_ring_waits_for_its_pages(void **state)
{
	const uint64_t at = rig_addr(1).used - RIG_UVA;
	struct rig *rig = *state;
	uint8_t *base;
	int uffd;

	base = paged_begin(rig, RIG_ACKED, &uffd);
	paged_punch(rig, at & ~(RIG_PAGE - 1));
	fe_ring(rig, 1);
	assert_null(rig->ring[1]);
	assert_ptr_equal(paged_missed(rig, uffd), base + (at & ~(RIG_PAGE - 1)));
	assert_true(fe_get(rig, VHU_GET_QUEUE_NUM) > 0);
	assert_null(rig->ring[1]);
	paged_bring(uffd, base + (at & ~(RIG_PAGE - 1)), 0);
	WAIT(rig, rig->ring[1] != NULL, 5000);
	assert_int_equal(fe_get(rig, VHU_POSTCOPY_END), 0);
	close(uffd);
}

/* A front-end takes a page away that had come: the session ends, and the process goes on. */
static void
pages_that_go_again(void **state)
{
	struct pollfd p = { .events = POLLIN };
	const struct vhu_vring_state base = { 1, 0 };
	struct rig *rig = *state;
	uint8_t answer[64];
	int uffd;

	paged_begin(rig, RIG_ACKED, &uffd);
	fe_ring(rig, 1);
	WAIT(rig, rig->ring[1] != NULL, 5000);
	paged_punch(rig, (rig_addr(1).used - RIG_UVA) & ~(RIG_PAGE - 1));
	rig_serve(rig);
	fe_send_on(rig->fe, VHU_SET_VRING_BASE, 0, &base, sizeof(base), NULL, 0);
	p.fd = rig->fe;
	do {
		assert_int_equal(poll(&p, 1, 5 * VHOST_BE_GUARD_MS), 1);
	} while (recv(rig->fe, answer, sizeof(answer), 0) > 0);
	close(uffd);
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
	uffd = paged_advise(rig);
	close(paged_advise(rig)); /* another one takes its place */
	assert_int_equal(fe_empty(rig, VHU_POSTCOPY_LISTEN), NACK); /* memory is in use */
	close(uffd);
	rig_disconnect(rig);
	rig_connect(rig);
	close(paged_listen(rig, RIG_ACKED));
	assert_int_equal(paged_confirm(rig, VHU_SET_MEM_TABLE, &m), CLOSED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(a_page_comes_when_it_is_missed),
		RIG_TEST(regions_are_proposed_one_by_one),
		RIG_TEST(nobody_waits_for_the_dead),
		RIG_TEST(no_burst_waits_for_a_page),
		RIG_TEST(many_pages_come_one_by_one),
		RIG_TEST(a_ring_waits_for_its_pages),
		RIG_TEST(pages_that_go_again),
		RIG_TEST(the_order_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
