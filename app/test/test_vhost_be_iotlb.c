/* SPDX-License-Identifier: BSD-3-Clause */
/* A session behind a virtual RIG_IOMMU: what it asks, what it is told, what rings do meanwhile. */
#include "rig_iommu.h"
#include "virtq_shared.h"

#define BUFFERS 0x100000ull	/* where buffers lie in the rig's memory */
#define PAGE VIRTQ_IOTLB_PAGE

/* All that a front-end says of two rings; their addresses are I/O virtual ones. */
static void
describe_rings(struct rig *rig)
{
	const struct vhu_mem_table t = rig_table();

	fe_negotiate(rig, RIG_ACKED | RIG_IOMMU, VHOST_BE_PROTOCOL);
	assert_int_equal(fe_table(rig, &t, 1), ACK);
	for (uint32_t i = 0; i < 2; i++)
		iommu_describe_ring(rig, i);
}

static void
start(struct rig *rig)
{
	iommu_channel(rig);
	describe_rings(rig);
	iommu_answer(rig);
	assert_non_null(rig->ring[0]);
	assert_non_null(rig->ring[1]);
}

static void
rings_start_when_their_addresses_are_known(void **state)
{
	struct rig *rig = *state;
	uint32_t writable = 0, n = 0;
	struct vhu_iotlb miss;

	iommu_channel(rig);
	describe_rings(rig);
	assert_null(rig->ring[0]);
	while (iommu_asked(&miss)) {
		assert_true(miss.iova >= RIG_IOVA && miss.iova < RIG_IOVA + 2 * RIG_STRIDE);
		writable += miss.perm == VIRTQ_IOTLB_WRITE;
		assert_int_equal(rig->ring[0] != NULL, n >= 3);
		assert_int_equal(iommu_say_page(rig, miss.iova), ACK);
		n++;
	}
	/* A page for each of three parts of two rings; the device's part is written. */
	assert_int_equal(n, 6);
	assert_int_equal(writable, 2);
	assert_ptr_equal(rig->ring[1]->desc, virtq_mem_uva(rig->be->mem, RIG_UVA + RIG_STRIDE, 1));
	assert_true(rig->ring[0]->enabled);
}

/* The guest unmaps, and maps again: a ring goes on where it stood, and its owner is not told. */
static void
rings_pause_while_their_memory_is_away(void **state)
{
	struct rig *rig = *state;
	unsigned int quiesces, publishes;

	start(rig);
	rig->vq[0]->cursor.avail_idx = rig->vq[0]->cursor.used_idx = 7;
	quiesces = rig->quiesces;
	publishes = rig->publishes;
	assert_int_equal(iommu_take(rig, RIG_IOVA + 0x1000, PAGE), ACK);
	assert_int_equal(rig->pauses, 1);
	assert_null(rig->ring[0]);
	assert_non_null(rig->ring[1]);
	assert_int_equal(rig->quiesces, quiesces + 1);
	assert_int_equal(iommu_answer(rig), 1);
	assert_non_null(rig->ring[0]);
	assert_int_equal(rig->publishes, publishes + 1);
	assert_int_equal(rig->vq[0]->cursor.avail_idx, 7);
	/* One that is not said again stops in the end. */
	iommu_take(rig, RIG_IOVA, PAGE);
	assert_int_equal(rig->pauses, 2);
	publishes = rig->publishes;
	WAIT(rig, rig->publishes > publishes, 3000);
	assert_int_equal(rig->publishes, publishes + 1);
	assert_int_equal(fe_get_base(rig, 0), 7);
}

static void
what_a_burst_misses_is_asked_for(void **state)
{
	struct virtq_iotlb_range range;
	struct rig *rig = *state;
	struct virtq_iotlb_view *view;
	struct vhu_iotlb miss;
	unsigned int told;

	start(rig);
	view = rig->ring[1]->view;
	virtq_iotlb_view_begin(view, 0);
	assert_true(virtq_iotlb_view_miss(view, RIG_IOVA + BUFFERS + 100, false));
	pump(rig);
	assert_true(iommu_asked(&miss));
	assert_int_equal(miss.iova, RIG_IOVA + BUFFERS);
	assert_int_equal(miss.perm, VIRTQ_IOTLB_READ);
	assert_false(iommu_asked(&miss));
	evloop_timer_cancel(&rig->be->iotlb.look); /* it tells of them, too */
	told = rig->translations;
	assert_int_equal(iommu_say_page(rig, RIG_IOVA + BUFFERS), ACK);
	assert_int_equal(rig->translations, told + 1);
	assert_ptr_equal(virtq_iotlb_view_find(view, RIG_IOVA + BUFFERS + 100, 10, false, &range),
			 virtq_mem_uva(rig->be->mem, RIG_UVA + BUFFERS + 100, 10));
	/* It is the ring's alone, and goes when it is taken away. */
	assert_int_equal(rig->be->info.iotlb_ranges, virtq_iotlb_ranges(rig->be->iotlb.map));
	assert_int_equal(iommu_take(rig, RIG_IOVA + BUFFERS, PAGE), ACK);
	assert_null(virtq_iotlb_view_find(view, RIG_IOVA + BUFFERS + 100, 10, false, &range));
}

/* A page is asked for four times, and taken away after each second time: how often it stays. */
static void
use_again(struct rig *rig, uint32_t stays)
{
	const uint64_t iova = RIG_IOVA + BUFFERS;
	struct virtq_iotlb_view *view;
	struct vhu_iotlb miss;
	uint32_t ranges;

	start(rig);
	view = rig->ring[1]->view;
	ranges = rig->be->info.iotlb_ranges;
	for (uint32_t pass = 0; pass < 4; pass++) {
		virtq_iotlb_view_begin(view, 2 * pass);
		assert_true(virtq_iotlb_view_miss(view, iova, false));
		pump(rig);
		assert_true(iommu_asked(&miss));
		assert_int_equal(iommu_say_page(rig, iova), ACK);
		assert_int_equal(rig->be->info.iotlb_ranges, ranges + pass % 2 * stays);
		virtq_iotlb_view_begin(view, 2 * pass + 1); /* it has served its purpose */
		if (pass % 2 == 1)
			assert_int_equal(iommu_take(rig, iova, PAGE), ACK);
		assert_int_equal(rig->be->info.iotlb_ranges, ranges);
	}
}

static void
a_page_serves_once(void **state)
{
	use_again(*state, 0);
}

/* Where front-ends tell of all that goes, one that is asked for again stays until then. */
static void
a_page_that_is_used_again_stays(void **state)
{
	use_again(*state, 1);
}

/* Buffers that wait in a ring are asked for before anybody misses them. */
static void
what_lies_ahead_is_asked_for(void **state)
{
	struct rig *rig = *state;
	const struct virtq_ring *ring;
	struct vhu_iotlb miss;
	uint64_t last = 0;

	start(rig);
	ring = rig->ring[0];
	for (uint16_t i = 0; i < 4; i++) {
		ring->desc[i] = (struct vring_desc){ .addr = RIG_IOVA + BUFFERS + i * PAGE + 0x800,
						     .len = 2048, .flags = VRING_DESC_F_WRITE };
		ring->avail->ring[i] = i;
	}
	ring->desc[3].len = 2049; /* into the next page */
	virtq_store16_release(&ring->avail->idx, 4);
	WAIT(rig, rig->be->info.iotlb_misses >= 11, 2000);
	for (int i = 0; i < 5; i++) {
		assert_true(iommu_asked(&miss));
		assert_true(miss.iova > last);
		assert_int_equal(miss.perm, VIRTQ_IOTLB_WRITE);
		last = miss.iova;
	}
	assert_false(iommu_asked(&miss));
	assert_int_equal(last, RIG_IOVA + BUFFERS + 4 * PAGE);
}

/* What a front-end says unasked stays until it takes it away. */
static void
a_front_end_may_say_all_before(void **state)
{
	struct rig *rig = *state;
	struct vhu_mem_table t = rig_table();
	uint64_t len = 1;

	fe_negotiate(rig, RIG_ACKED | RIG_IOMMU, VHOST_BE_PROTOCOL);
	assert_int_equal(iommu_say_page(rig, RIG_IOVA), NACK); /* there is no memory yet */
	assert_int_equal(fe_table(rig, &t, 1), ACK);
	assert_int_equal(iommu_say(rig, VHU_IOTLB_UPDATE, RIG_IOVA, RIG_MEM, RIG_UVA, RIG_BOTH),
			 ACK);
	describe_rings(rig);
	assert_null(strstr(rig->log, "no back-end channel"));
	assert_non_null(rig->ring[0]);
	assert_non_null(virtq_iotlb_find(rig->ring[0]->view->iotlb, RIG_IOVA + BUFFERS, &len,
					 true));
	/* Without a channel nothing can be asked, which is said once. */
	iommu_take(rig, RIG_IOVA, RIG_MEM);
	assert_null(rig->ring[0]);
	assert_non_null(strstr(rig->log, "no back-end channel"));
	assert_int_equal(iommu_say(rig, VHU_IOTLB_UPDATE, RIG_IOVA, RIG_MEM, RIG_UVA, RIG_BOTH),
			 ACK);
	assert_non_null(rig->ring[0]);
	/* Memory that moves: translations go with it. */
	t.region[0].gpa += RIG_MEM;
	assert_int_equal(fe_table(rig, &t, 1), ACK);
	assert_non_null(rig->ring[0]);
	assert_non_null(virtq_iotlb_find(rig->ring[0]->view->iotlb, RIG_IOVA, &len, true));
}

/* Memory that is added and taken away, while rings have I/O virtual addresses. */
static void
memory_changes_behind_an_iommu(void **state)
{
	const uint64_t iova = RIG_IOVA + 16 * RIG_MEM, uva = RIG_UVA + 16 * RIG_MEM;
	struct rig *rig = *state;
	struct virtq_iotlb_range range;
	unsigned int pauses;

	start(rig);
	pauses = rig->pauses;
	for (int pass = 0; pass < 3; pass++) {
		assert_int_equal(fe_region(rig, VHU_ADD_MEM_REG, 64 * RIG_GPA, uva, RIG_MEM, 0),
				 ACK);
		assert_non_null(rig->ring[0]);
		assert_int_equal(iommu_say(rig, VHU_IOTLB_UPDATE, iova, RIG_MEM, uva, RIG_BOTH),
				 ACK);
		virtq_iotlb_view_begin(rig->ring[0]->view, 0);
		assert_ptr_equal(virtq_iotlb_view_find(rig->ring[0]->view, iova + 9, 8, true,
						       &range),
				 virtq_mem_uva(rig->be->mem, uva + 9, 8));
		assert_int_equal(fe_region(rig, VHU_REM_MEM_REG, 64 * RIG_GPA, uva, RIG_MEM, 0),
				 ACK);
		/* What lay in it is not known any more; all else is. */
		virtq_iotlb_view_begin(rig->ring[0]->view, 0);
		assert_null(virtq_iotlb_view_find(rig->ring[0]->view, iova + 9, 8, true, &range));
		assert_int_equal(iommu_say(rig, VHU_IOTLB_UPDATE, iova, RIG_MEM, uva, RIG_BOTH),
				 NACK);
	}
	assert_non_null(rig->ring[0]);
	assert_int_equal(rig->pauses, pauses);
}

/* Memory is cut short: the session ends, and the next one is served. */
static void
memory_is_cut_short_behind_an_iommu(void **state)
{
	struct rig *rig = *state;

	start(rig);
	assert_int_equal(ftruncate(rig->memfd, 0), 0);
	rig_touch(rig->ring[1]);
	WAIT(rig, rig->downs == 1, 3000);
	assert_non_null(strstr(rig->why, "short"));
	assert_int_equal(ftruncate(rig->memfd, RIG_MEM), 0);
	rig_disconnect(rig);
	rig_connect(rig);
	start(rig);
}

static void
what_is_wrong_is_refused(void **state)
{
	struct rig *rig = *state;
	uint32_t ranges;

	start(rig);
	ranges = rig->be->info.iotlb_ranges;
	assert_int_equal(iommu_say(rig, 1, RIG_IOVA, PAGE, RIG_UVA, RIG_BOTH), NACK);
	assert_int_equal(iommu_say(rig, 4, RIG_IOVA, PAGE, RIG_UVA, RIG_BOTH), NACK);
	assert_int_equal(iommu_say(rig, 9, RIG_IOVA, PAGE, RIG_UVA, RIG_BOTH), NACK);
	assert_int_equal(iommu_say(rig, 2, RIG_IOVA, 0, RIG_UVA, RIG_BOTH), NACK);
	assert_int_equal(iommu_say(rig, 2, UINT64_MAX - 1, PAGE, RIG_UVA, RIG_BOTH), NACK);
	assert_int_equal(iommu_say(rig, 2, RIG_IOVA, PAGE, UINT64_MAX - 1, RIG_BOTH), NACK);
	assert_int_equal(iommu_say(rig, 2, RIG_IOVA, PAGE, RIG_UVA - PAGE, RIG_BOTH), NACK);
	assert_int_equal(iommu_say(rig, 2, RIG_IOVA, RIG_MEM + 1, RIG_UVA, RIG_BOTH), NACK);
	assert_int_equal(iommu_say(rig, 2, RIG_IOVA, PAGE, RIG_UVA, 0), NACK);
	assert_int_equal(iommu_say(rig, 2, RIG_IOVA, PAGE, RIG_UVA, 4), NACK);
	assert_int_equal(iommu_take(rig, RIG_IOVA, 0), NACK);
	assert_int_equal(iommu_take(rig, 2, UINT64_MAX), NACK);
	assert_int_equal(rig->be->info.iotlb_ranges, ranges);
	assert_non_null(rig->ring[0]);
}

/* A front-end cannot have the port spend all its time on what it says. */
static void
nothing_is_translated_without_the_feature(void **state)
{
	struct rig *rig = *state;

	fe_start(rig);
	assert_null(rig->ring[0]->view);
	assert_int_equal(iommu_say_page(rig, RIG_IOVA), NACK);
	assert_int_equal(rig->quiesces, 0);
}

#define IOMMU_TEST(fn) cmocka_unit_test_setup_teardown(fn, iommu_setup, iommu_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		IOMMU_TEST(rings_start_when_their_addresses_are_known),
		IOMMU_TEST(rings_pause_while_their_memory_is_away),
		IOMMU_TEST(what_a_burst_misses_is_asked_for),
		IOMMU_TEST(a_page_serves_once),
		cmocka_unit_test_setup_teardown(a_page_that_is_used_again_stays, iommu_setup_keeps,
						iommu_teardown),
		IOMMU_TEST(what_lies_ahead_is_asked_for),
		IOMMU_TEST(a_front_end_may_say_all_before),
		IOMMU_TEST(memory_changes_behind_an_iommu),
		IOMMU_TEST(memory_is_cut_short_behind_an_iommu),
		IOMMU_TEST(what_is_wrong_is_refused),
		IOMMU_TEST(nothing_is_translated_without_the_feature),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
