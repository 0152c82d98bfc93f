/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory given to a back-end: tables, slots, descriptors. Names as in test_vhost_user_fe.c.
 */
#include "rig_backend.h"
#include "vhost_user_session.h"

#define ACKED_BUT(bit) (vhost_user_protocol & ~VIRTQ_BIT(bit))
#define ACK VIRTQ_BIT(VHU_PF_REPLY_ACK)

static void
a_mem_table_has_eight_regions_at_most(void **state)
{
	struct mock *m = *state;
	struct vhost_region r[9];
	struct seen s;

	for (uint32_t i = 0; i < 9; i++)
		r[i] = mock_region(m, 2 * i, 1);
	mock_session(m, ACKED_BUT(VHU_PF_CONFIGURE_MEM_SLOTS));
	assert_int_equal(vhost_memslots_limit(&m->dev), 8);
	assert_int_equal(vhost_set_mem_table(&m->dev, r, 9), -ENOSPC);
	assert_non_null(strstr(m->dev.why, "9 memory regions"));
	assert_int_equal(mock_count(m, VHU_SET_MEM_TABLE), 0);
	assert_int_equal(vhost_set_mem_table(&m->dev, r, 8), 0);
	s = mock_last(m, VHU_SET_MEM_TABLE);
	assert_int_equal(s.nfds, 8);
	assert_int_equal(s.hdr.size, 8 + 8 * 32);
	assert_int_equal(s.table.n, 8);
	assert_int_equal(s.table.pad, 0);
	/* As many as one could think of: no further than the limit is looked. */
	assert_int_equal(vhost_set_mem_table(&m->dev, r, UINT32_MAX), -ENOSPC);
}

static void
a_memory_without_descriptor_is_an_error(void **state)
{
	struct mock *m = *state;
	struct vhost_region r = mock_region(m, 0, 1);

	mock_session(m, ACKED_BUT(VHU_PF_CONFIGURE_MEM_SLOTS));
	assert_int_equal(vhost_set_mem_table(&m->dev, &r, 0), -EINVAL);
	assert_non_null(strstr(m->dev.why, "share=on"));
	r.fd = -1;
	m->dev.why[0] = '\0';
	assert_int_equal(vhost_set_mem_table(&m->dev, &r, 1), -EINVAL);
	assert_non_null(strstr(m->dev.why, "share=on"));
	mock_settle(m);
	assert_int_equal(mock_count(m, VHU_SET_MEM_TABLE), 0);
	assert_true(vhost_dev_is_open(&m->dev));
}

static void
better_descriptor_0_is_one_like_others(void **state)
{
	struct mock *m = *state;
	struct vhost_region r = mock_region(m, 0, 1);
	int saved = dup(0), zero_was_open = saved >= 0;
	struct stat st;

	assert_int_equal(fstat(m->memfd, &st), 0);
	assert_int_equal(dup2(m->memfd, 0), 0);
	r.fd = 0;
	mock_session(m, ACKED_BUT(VHU_PF_CONFIGURE_MEM_SLOTS));
	assert_int_equal(vhost_set_mem_table(&m->dev, &r, 1), 0);
	assert_int_equal(mock_last(m, VHU_SET_MEM_TABLE).ino, st.st_ino);
	assert_int_equal(vhost_set_vring_kick(&m->dev, 0, 0), 0);
	assert_int_equal(mock_last(m, VHU_SET_VRING_KICK).u64, 0);
	assert_int_equal(mock_last(m, VHU_SET_VRING_KICK).nfds, 1);
	if (zero_was_open) {
		dup2(saved, 0);
		close(saved);
	} else {
		close(0);
	}
}

static void
b_mem_table_is_acknowledged(void **state)
{
	struct mock *m = *state;
	struct vhost_region r = mock_region(m, 4, 8);
	struct seen s;

	mock_session(m, ACK);
	assert_int_equal(vhost_set_mem_table(&m->dev, &r, 1), 0);
	s = mock_last(m, VHU_SET_MEM_TABLE);
	assert_int_equal(s.hdr.flags, 9);
	assert_int_equal(s.table.region[0].gpa, r.iova);
	assert_int_equal(s.table.region[0].uva, (uint64_t)(uintptr_t)r.addr);
	assert_int_equal(s.table.region[0].size, r.size);
	/* Since 2.8 the offset in the file, not a difference of addresses. */
	assert_int_equal(s.table.region[0].mmap_offset, 4 * 4096);
	m->act[VHU_SET_MEM_TABLE] = REFUSE;
	r = mock_region(m, 0, 1);
	assert_int_equal(vhost_set_mem_table(&m->dev, &r, 1), -EIO);
	/* What was refused is not taken for known. */
	m->act[VHU_SET_MEM_TABLE] = AS_IT_SHOULD;
	assert_int_equal(vhost_set_mem_table(&m->dev, &r, 1), 0);
	assert_int_equal(mock_count(m, VHU_SET_MEM_TABLE), 3);
}

static void
b_no_acknowledgement_without_reply_ack(void **state)
{
	struct mock *m = *state;
	struct vhost_region r = mock_region(m, 0, 1);

	mock_session(m, VIRTQ_BIT(VHU_PF_NET_MTU));
	assert_int_equal(vhost_set_mem_table(&m->dev, &r, 1), 0);
	assert_int_equal(vhost_net_set_mtu(&m->dev, 1400), 0);
	mock_settle(m);
	assert_int_equal(mock_last(m, VHU_SET_MEM_TABLE).hdr.flags, 1);
	assert_int_equal(mock_last(m, VHU_NET_SET_MTU).hdr.flags, 1);
	/* Memory that is taken away: an answer to something else shows that it is done. */
	m->nseen = 0;
	r = mock_region(m, 2, 1);
	assert_int_equal(vhost_set_mem_table(&m->dev, &r, 1), 0);
	assert_int_equal(m->seen[0].hdr.request, VHU_SET_MEM_TABLE);
	assert_int_equal(m->seen[1].hdr.request, VHU_GET_FEATURES);
}

static void
new_slots(void **state)
{
	const uint64_t slots[] = { 1, 32, 509, 510, 4096, ~0ull };
	struct mock *m = *state;

	for (size_t i = 0; i < 6; i++) {
		m->slots = slots[i];
		mock_session(m, vhost_user_protocol);
		assert_int_equal(vhost_memslots_limit(&m->dev), slots[i] > 509 ? 509 : slots[i]);
	}
	m->slots = 0;
	mock_start(m);
	assert_int_equal(vhost_init(&m->dev), -EPROTO);
}

static void
new_tables_are_sent_as_differences(void **state)
{
	struct mock *m = *state;
	struct vhost_region r[3] = {
		mock_region(m, 0, 1), mock_region(m, 2, 1), mock_region(m, 4, 1),
	};
	struct seen s;

	mock_session(m, vhost_user_protocol);
	assert_int_equal(vhost_set_mem_table(&m->dev, r, 2), 0);
	assert_int_equal(mock_count(m, VHU_ADD_MEM_REG), 2);
	assert_int_equal(mock_count(m, VHU_SET_MEM_TABLE), 0);
	m->nseen = 0;
	assert_int_equal(vhost_set_mem_table(&m->dev, r + 1, 2), 0);
	/* First what goes, then what comes. */
	assert_int_equal(m->nseen, 2);
	assert_int_equal(m->seen[0].hdr.request, VHU_REM_MEM_REG);
	assert_int_equal(m->seen[0].single.region.gpa, r[0].iova);
	assert_int_equal(m->seen[0].nfds, 0);
	assert_int_equal(m->seen[1].hdr.request, VHU_ADD_MEM_REG);
	assert_int_equal(m->seen[1].single.region.gpa, r[2].iova);
	assert_int_equal(m->seen[1].single.region.mmap_offset, r[2].fd_offset);
	assert_int_equal(m->seen[1].hdr.size, 40);
	assert_int_equal(m->seen[1].nfds, 1);
	s = m->seen[1];
	assert_int_equal(s.single.pad, 0);
	assert_int_equal(vhost_set_mem_table(&m->dev, r, 3), 0);
	assert_int_equal(vhost_set_mem_table(&m->dev, r, 3), 0);
	assert_int_equal(m->nseen, 3);
	r[1] = mock_region(m, 4, 2);
	assert_int_equal(vhost_set_mem_table(&m->dev, r, 3), -EEXIST);
	assert_int_equal(m->nseen, 3);
}

static void
new_regions_come_and_go_in_a_table(void **state)
{
	struct mock *m = *state;
	const struct vhost_region r[2] = { mock_region(m, 0, 1), mock_region(m, 2, 1) };

	mock_session(m, ACK);
	assert_int_equal(vhost_set_mem_table(&m->dev, r, 1), 0);
	assert_int_equal(vhost_set_mem_table(&m->dev, r, 2), 0);
	assert_int_equal(mock_last(m, VHU_SET_MEM_TABLE).table.n, 2);
	assert_int_equal(vhost_set_mem_table(&m->dev, r + 1, 1), 0);
	assert_int_equal(mock_last(m, VHU_SET_MEM_TABLE).table.n, 1);
	assert_int_equal(mock_last(m, VHU_SET_MEM_TABLE).table.region[0].gpa, r[1].iova);
	assert_int_equal(vhost_set_mem_table(&m->dev, r, 0), -EINVAL);
}

/* Another file that came to lie where the old one was. */
static void
better_a_new_file_is_sent_anew(void **state)
{
	struct mock *m = *state;
	struct vhost_region r = mock_region(m, 0, 1);
	int other = memfd_create("other", MFD_CLOEXEC);

	mock_session(m, vhost_user_protocol);
	assert_int_equal(vhost_set_mem_table(&m->dev, &r, 1), 0);
	r.fd = other;
	assert_int_equal(vhost_set_mem_table(&m->dev, &r, 1), 0);
	assert_int_equal(mock_count(m, VHU_REM_MEM_REG), 1);
	assert_int_equal(mock_count(m, VHU_ADD_MEM_REG), 2);
	close(other);
}

/* The back-end asks for an address on its channel, in the middle of a request of ours. */
static void
ask_for(struct mock *m, uint64_t iova)
{
	const struct vhu_iotlb miss = { .iova = iova, .perm = 1, .type = VHU_IOTLB_MISS };

	m->ask = (struct vhu_hdr){ VHU_BACKEND_IOTLB_MSG, 9, sizeof(miss) };
	m->ask_fd = -1;
	memcpy(m->ask_raw, &miss, sizeof(miss));
	m->act[VHU_SET_VRING_NUM] = ASK_FIRST;
	assert_int_equal(vhost_set_vring_num(&m->dev, 0, 256), 0);
	m->act[VHU_SET_VRING_NUM] = AS_IT_SHOULD;
	mock_pump(m);
}

/* It is told of the whole region, hears when that goes, and of others nothing. */
static void
misses_are_answered(void **state)
{
	const uint64_t iommu = VIRTQ_BIT(VIRTIO_F_ACCESS_PLATFORM);
	const struct vhost_vring_addr addr = { .desc_iova = 0x1000, .avail_iova = 0x2000,
					       .used_iova = 0x3000 };
	struct mock *m = *state;
	struct vhost_region r[2] = { mock_region(m, 0, 4), mock_region(m, 8, 2) };
	uint64_t offered;
	struct seen s;

	m->features |= iommu;
	mock_session(m, vhost_user_protocol);
	assert_int_equal(vhost_get_features(&m->dev, &offered), 0);
	assert_int_equal(vhost_set_mem_table(&m->dev, r, 2), 0);
	ask_for(m, r[1].iova); /* not negotiated */
	assert_true(m->chan_u64 != 0);
	assert_int_equal(mock_count(m, VHU_IOTLB_MSG), 0);
	assert_int_equal(vhost_set_features(&m->dev, iommu), 0);
	assert_int_equal(vhost_set_vring_addr(&m->dev, 0, &addr), 0);
	s = mock_last(m, VHU_SET_VRING_ADDR);
	assert_int_equal(s.addr.desc, 0x1000);
	assert_int_equal(s.addr.avail, 0x2000);
	assert_int_equal(s.addr.used, 0x3000);
	ask_for(m, r[1].iova + r[1].size - 1);
	assert_int_equal(m->chan_u64, 0);
	assert_int_equal(mock_count(m, VHU_IOTLB_MSG), 1);
	s = mock_last(m, VHU_IOTLB_MSG);
	assert_int_equal(s.iotlb.type, VHU_IOTLB_UPDATE);
	assert_int_equal(s.iotlb.iova, r[1].iova);
	assert_int_equal(s.iotlb.size, r[1].size);
	assert_int_equal(s.iotlb.uva, (uint64_t)(uintptr_t)r[1].addr);
	assert_int_equal(s.iotlb.perm, 3);
	ask_for(m, r[1].iova + r[1].size);
	assert_int_equal(mock_count(m, VHU_IOTLB_MSG), 1);
	assert_int_equal(vhost_set_mem_table(&m->dev, r, 1), 0);
	s = mock_last(m, VHU_IOTLB_MSG);
	assert_int_equal(s.iotlb.type, VHU_IOTLB_INVALIDATE);
	assert_int_equal(s.iotlb.iova, r[1].iova);
	assert_int_equal(s.iotlb.size, r[1].size);
}

/* Page by page, and no two of them are neighbours: every other one is in the region's twin. */
static void
misses_are_answered_with_pages(void **state)
{
	const uint64_t iommu = VIRTQ_BIT(VIRTIO_F_ACCESS_PLATFORM);
	struct mock *m = *state;
	struct vhost_region r = mock_region(m, 0, 4);
	uint64_t offered;
	struct seen s;

	m->features |= iommu;
	m->dev.iotlb_pages = true;
	mock_session(m, vhost_user_protocol);
	assert_int_equal(vhost_get_features(&m->dev, &offered), 0);
	assert_int_equal(vhost_set_mem_table(&m->dev, &r, 1), 0);
	assert_int_equal(mock_count(m, VHU_ADD_MEM_REG), 2);
	s = mock_last(m, VHU_ADD_MEM_REG);
	assert_int_equal(s.single.region.uva, (uint64_t)(uintptr_t)r.addr + VHOST_USER_TWIN);
	assert_int_equal(s.single.region.mmap_offset, r.fd_offset);
	assert_int_equal(vhost_set_features(&m->dev, iommu), 0);
	for (uint64_t page = 0; page < r.size / 4096; page++) {
		const uint64_t iova = r.iova + page * 4096;
		const uint64_t twin = iova / 4096 % 2 != 0 ? VHOST_USER_TWIN : 0;

		ask_for(m, iova + 4095);
		s = mock_last(m, VHU_IOTLB_MSG);
		assert_int_equal(s.iotlb.type, VHU_IOTLB_UPDATE);
		assert_int_equal(s.iotlb.iova, iova);
		assert_int_equal(s.iotlb.size, 4096);
		assert_int_equal(s.iotlb.uva, (uint64_t)(uintptr_t)r.addr + page * 4096 + twin);
	}
	assert_int_equal(mock_count(m, VHU_IOTLB_MSG), r.size / 4096);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		MOCK_TEST(a_mem_table_has_eight_regions_at_most),
		MOCK_TEST(a_memory_without_descriptor_is_an_error),
		MOCK_TEST(better_descriptor_0_is_one_like_others),
		MOCK_TEST(b_mem_table_is_acknowledged),
		MOCK_TEST(b_no_acknowledgement_without_reply_ack),
		MOCK_TEST(new_slots),
		MOCK_TEST(new_tables_are_sent_as_differences),
		MOCK_TEST(new_regions_come_and_go_in_a_table),
		MOCK_TEST(better_a_new_file_is_sent_anew),
		MOCK_TEST(misses_are_answered),
		MOCK_TEST(misses_are_answered_with_pages),
	};

	return cmocka_run_group_tests_name("vhost_user_mem", tests, NULL, NULL);
}
