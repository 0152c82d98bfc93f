/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory behind a virtual IOMMU that comes page by page: an address is known when the IOMMU has
 * said where it is, and its page has come.
 */
#include "rig_iommu.h"
#include "rig_paged.h"

#define MISSING 0x40000ull	/* in the rig's memory: a page that has yet to come */
#define FEATURES (RIG_ACKED | RIG_IOMMU)

/* Memory is in use, and ring 1 runs. Where memory lies in this process. */
static uint8_t *
begin(struct rig *rig, int *uffd)
{
	uint8_t *base = paged_begin(rig, FEATURES, uffd);

	iommu_channel(rig);
	iommu_describe_ring(rig, 1);
	assert_null(rig->ring[1]);
	WAIT(rig, (iommu_answer(rig), rig->ring[1] != NULL), 5000);
	assert_non_null(rig->ring[1]->view);
	return base;
}

/* How many chains a burst gets, when all has been answered that is asked meanwhile. */
static uint16_t
fetch_answered(struct rig *rig, struct virtq_chain *c, uint16_t wanted)
{
	uint16_t n = 0;

	for (int i = 0; i < 500 && n < wanted; i++) {
		n = paged_fetch(rig, 1, c, 4);
		evloop_step(rig->loop, 10);
		iommu_answer(rig);
	}
	return n;
}

static void
no_burst_waits_for_a_page(void **state)
{
	const uint64_t iova[] = { RIG_IOVA + MISSING - RIG_PAGE, RIG_IOVA + MISSING };
	struct rig *rig = *state;
	struct virtq_chain c[4];
	struct vhu_iotlb miss;
	uint8_t *base;
	int uffd;

	base = begin(rig, &uffd);
	paged_punch(rig, MISSING);
	paged_offer(rig, iova, 2);
	assert_int_equal(fetch_answered(rig, c, 1), 1);
	assert_ptr_equal(c[0].addr, base + MISSING - RIG_PAGE);
	/* Where it is has been said: it is not asked for any more, but touched. */
	assert_ptr_equal(paged_missed(rig, uffd), base + MISSING);
	for (int i = 0; i < 50; i++) {
		assert_true(fe_get(rig, VHU_GET_QUEUE_NUM) > 0);
		assert_int_equal(paged_fetch(rig, 1, c, 4), 1);
		usleep(1000);
	}
	assert_false(iommu_asked(&miss));
	paged_bring(uffd, base + MISSING, 77);
	WAIT(rig, paged_fetch(rig, 1, c, 4) == 2, 5000);
	assert_ptr_equal(c[1].addr, base + MISSING);
	assert_int_equal(*c[1].addr, 77);
	close(uffd);
}

/* What the IOMMU takes away is asked for anew, and where it says is what counts. */
static void
addresses_go_and_come_back(void **state)
{
	const uint64_t iova[] = { RIG_IOVA + MISSING };
	struct rig *rig = *state;
	struct virtq_chain c[4];
	struct vhu_iotlb miss;
	bool asks = false;
	uint8_t *base;
	int uffd;

	base = begin(rig, &uffd);
	paged_offer(rig, iova, 1);
	assert_int_equal(fetch_answered(rig, c, 1), 1);
	assert_ptr_equal(c[0].addr, base + MISSING);
	assert_int_equal(iommu_take(rig, iova[0], RIG_PAGE), ACK);
	assert_int_equal(paged_fetch(rig, 1, c, 4), 0);
	WAIT(rig, asks || (asks = iommu_asked(&miss)), 5000);
	assert_int_equal(miss.iova, iova[0]);
	/* It is elsewhere now, and then elsewhere again without having been taken away. */
	for (uint64_t at = MISSING + RIG_PAGE; at < MISSING + 3 * RIG_PAGE; at += RIG_PAGE) {
		assert_int_equal(iommu_say(rig, VHU_IOTLB_UPDATE, iova[0], RIG_PAGE, RIG_UVA + at,
					   RIG_BOTH), ACK);
		WAIT(rig, paged_fetch(rig, 1, c, 4) == 1, 5000);
		assert_ptr_equal(c[0].addr, base + at);
	}
	close(uffd);
}

/* All pages are there: what the IOMMU has said is not asked for anew. */
static void
translations_outlive_the_waiting(void **state)
{
	const uint64_t iova[] = { RIG_IOVA + MISSING };
	struct rig *rig = *state;
	struct virtq_chain c[4];
	struct vhu_iotlb miss;
	int uffd;

	begin(rig, &uffd);
	paged_offer(rig, iova, 1);
	assert_int_equal(fetch_answered(rig, c, 1), 1);
	assert_int_equal(fe_get(rig, VHU_POSTCOPY_END), 0);
	assert_non_null(rig->ring[1]);
	assert_non_null(rig->ring[1]->view);
	assert_int_equal(paged_fetch(rig, 1, c, 4), 1);
	assert_false(iommu_asked(&miss));
	assert_int_equal(iommu_take(rig, iova[0], RIG_PAGE), ACK);
	assert_int_equal(paged_fetch(rig, 1, c, 4), 0);
	close(uffd);
}

static void
translations_are_whole_pages(void **state)
{
	struct rig *rig = *state;
	const uint64_t iova = RIG_IOVA + MISSING, uva = RIG_UVA + MISSING;
	int uffd;

	begin(rig, &uffd);
	assert_int_equal(iommu_say(rig, VHU_IOTLB_UPDATE, iova + 8, RIG_PAGE, uva + 8, RIG_BOTH),
			 NACK);
	assert_int_equal(iommu_say(rig, VHU_IOTLB_UPDATE, iova, RIG_PAGE - 8, uva, RIG_BOTH), NACK);
	assert_int_equal(iommu_say(rig, VHU_IOTLB_UPDATE, iova, RIG_PAGE, uva + 8, RIG_BOTH), NACK);
	assert_int_equal(iommu_say(rig, VHU_IOTLB_UPDATE, iova, RIG_PAGE, 0x1000, RIG_BOTH), NACK);
	assert_int_equal(iommu_say(rig, VHU_IOTLB_UPDATE, iova, RIG_PAGE, uva, RIG_BOTH), ACK);
	close(uffd);
}

#define PAGED_TEST(fn) cmocka_unit_test_setup_teardown(fn, iommu_setup, iommu_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		PAGED_TEST(no_burst_waits_for_a_page),
		PAGED_TEST(addresses_go_and_come_back),
		PAGED_TEST(translations_outlive_the_waiting),
		PAGED_TEST(translations_are_whole_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
