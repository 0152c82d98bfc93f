/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The front-end's rules. Tests are named after the revision of the reference front-end that made
 * the rule: a (2016), b (2.8), c (2.9), new (10 and later); "better" is where we go further.
 */
#include "rig_backend.h"

#define ACKED_BUT(bit) (vhost_user_protocol & ~VIRTQ_BIT(bit))
#define ACK VIRTQ_BIT(VHU_PF_REPLY_ACK)

/* The mock's own protocol features name what it offers. */
static void
a_protocol_features_are_what_both_have(void **state)
{
	struct mock *m = *state;

	m->protocol = ~0ull;
	mock_start(m);
	m->dev.protocol_mask = VIRTQ_BIT(VHU_PF_MQ) | VIRTQ_BIT(VHU_PF_RARP);
	assert_int_equal(vhost_init(&m->dev), 0);
	assert_int_equal(m->dev.protocol, m->dev.protocol_mask);
	assert_int_equal(mock_last(m, VHU_SET_PROTOCOL_FEATURES).u64, m->dev.protocol_mask);
	assert_int_equal(m->dev.protocol_offered, ~0ull);

	m->protocol = VIRTQ_BIT(VHU_PF_MQ) | VIRTQ_BIT(VHU_PF_XEN_MMAP);
	m->dev.protocol_mask = vhost_user_protocol;
	mock_start(m);
	assert_int_equal(vhost_init(&m->dev), 0);
	assert_int_equal(m->dev.protocol, VIRTQ_BIT(VHU_PF_MQ));
}

static void
a_no_protocol_features_without_bit_30(void **state)
{
	struct mock *m = *state;
	uint32_t vrings;

	m->features &= ~VIRTQ_BIT(30);
	mock_start(m);
	assert_int_equal(vhost_init(&m->dev), 0);
	assert_int_equal(vhost_set_owner(&m->dev), 0);
	assert_int_equal(vhost_set_features(&m->dev, MOCK_ACKED), 0);
	mock_settle(m);
	assert_int_equal(mock_count(m, VHU_GET_PROTOCOL_FEATURES), 0);
	assert_int_equal(mock_count(m, VHU_SET_PROTOCOL_FEATURES), 0);
	assert_int_equal(mock_last(m, VHU_SET_FEATURES).u64, MOCK_ACKED);
	assert_int_equal(vhost_get_queue_num(&m->dev, &vrings), 0);
	assert_int_equal(vrings, 2);
}

static void
a_queue_num_is_asked_only_with_mq(void **state)
{
	struct mock *m = *state;
	uint32_t vrings;

	mock_session(m, ACKED_BUT(VHU_PF_MQ));
	assert_int_equal(mock_count(m, VHU_GET_QUEUE_NUM), 0);
	assert_int_equal(vhost_get_queue_num(&m->dev, &vrings), 0);
	assert_int_equal(vrings, 2);
	mock_session(m, vhost_user_protocol);
	assert_int_equal(mock_count(m, VHU_GET_QUEUE_NUM), 1);
	assert_int_equal(vhost_get_queue_num(&m->dev, &vrings), 0);
	assert_int_equal(vrings, 8);
}

static void
better_queue_num_is_clamped(void **state)
{
	const uint64_t huge[] = { 129, 65536, 1ull << 32, ~0ull };
	struct mock *m = *state;
	uint32_t vrings;

	for (size_t i = 0; i < 4; i++) {
		m->queue_num = huge[i];
		mock_session(m, vhost_user_protocol);
		assert_int_equal(vhost_get_queue_num(&m->dev, &vrings), 0);
		assert_int_equal(vrings, 256);
	}
	m->queue_num = 0;
	mock_start(m);
	assert_int_equal(vhost_init(&m->dev), -EPROTO);
}

static void
a_ring_messages_are_laid_out_as_specified(void **state)
{
	struct vhost_vring_addr a = {
		.desc = (void *)0x1000, .avail = (void *)0x2000, .used = (void *)0x3000,
		.desc_iova = 1, .avail_iova = 2, .used_iova = 3,
	};
	struct mock *m = *state;
	uint32_t base = 0;
	struct seen s;

	mock_session(m, vhost_user_protocol);
	assert_int_equal(vhost_set_vring_num(&m->dev, 3, 256), 0);
	s = mock_last(m, VHU_SET_VRING_NUM);
	assert_int_equal(s.state.index, 3);
	assert_int_equal(s.state.num, 256);
	assert_int_equal(vhost_set_vring_base(&m->dev, 3, 0x80008000), 0);
	assert_int_equal(mock_last(m, VHU_SET_VRING_BASE).state.num, 0x80008000);
	assert_int_equal(vhost_set_vring_addr(&m->dev, 3, &a), 0);
	s = mock_last(m, VHU_SET_VRING_ADDR);
	assert_int_equal(s.addr.index, 3);
	assert_int_equal(s.addr.flags, 0);
	assert_int_equal(s.addr.desc, 0x1000);
	assert_int_equal(s.addr.used, 0x3000);
	assert_int_equal(s.addr.avail, 0x2000);
	a.log = true;
	assert_int_equal(vhost_set_vring_addr(&m->dev, 3, &a), 0);
	s = mock_last(m, VHU_SET_VRING_ADDR);
	assert_int_equal(s.addr.flags, 1);
	assert_int_equal(s.addr.log, 3);
	assert_int_equal(vhost_set_vring_addr(&m->dev, 256, &a), -EINVAL);
	m->base = 0xabcd1234;
	assert_int_equal(vhost_get_vring_base(&m->dev, 3, &base), 0);
	assert_int_equal(base, 0xabcd1234);
}

static void
a_no_descriptor_means_poll(void **state)
{
	struct mock *m = *state;
	int fd = eventfd(0, EFD_CLOEXEC);

	mock_session(m, vhost_user_protocol);
	assert_int_equal(vhost_set_vring_kick(&m->dev, 5, -1), 0);
	assert_int_equal(mock_last(m, VHU_SET_VRING_KICK).u64, 5 | 0x100);
	assert_int_equal(mock_last(m, VHU_SET_VRING_KICK).nfds, 0);
	assert_int_equal(vhost_set_vring_kick(&m->dev, 5, fd), 0);
	assert_int_equal(mock_last(m, VHU_SET_VRING_KICK).u64, 5);
	assert_int_equal(mock_last(m, VHU_SET_VRING_KICK).nfds, 1);
	assert_int_equal(vhost_set_vring_call(&m->dev, 5, -1), 0);
	assert_int_equal(mock_last(m, VHU_SET_VRING_CALL).u64, 5 | 0x100);
	assert_int_equal(vhost_set_vring_call(&m->dev, 255, fd), 0);
	assert_int_equal(mock_last(m, VHU_SET_VRING_CALL).u64, 255);
	assert_int_equal(vhost_set_vring_call(&m->dev, 256, fd), -EINVAL);
	assert_int_equal(mock_count(m, VHU_SET_VRING_CALL), 2);
	close(fd);
}

static void
new_error_descriptor(void **state)
{
	struct mock *m = *state;
	int fd = eventfd(0, EFD_CLOEXEC);

	mock_session(m, vhost_user_protocol);
	assert_int_equal(vhost_set_vring_err(&m->dev, 1, fd), 0);
	assert_int_equal(mock_last(m, VHU_SET_VRING_ERR).nfds, 1);
	close(fd);
}

static void
a_reset_is_reset_owner(void **state)
{
	struct mock *m = *state;
	struct vhost_region r = mock_region(m, 0, 1);

	mock_session(m, ACKED_BUT(VHU_PF_RESET_DEVICE));
	assert_int_equal(vhost_set_mem_table(&m->dev, &r, 1), 0);
	assert_int_equal(vhost_reset_device(&m->dev), 0);
	assert_int_equal(mock_count(m, VHU_RESET_OWNER), 1);
	assert_int_equal(mock_count(m, VHU_RESET_DEVICE), 0);
	/* Back-ends disagree about the memory, so it is taken back before, and given anew. */
	assert_int_equal(mock_count(m, VHU_REM_MEM_REG), 1);
	assert_int_equal(vhost_init(&m->dev), 0);
	assert_int_equal(vhost_set_owner(&m->dev), 0);
	assert_int_equal(vhost_set_mem_table(&m->dev, &r, 1), 0);
	assert_int_equal(mock_count(m, VHU_SET_OWNER), 2);
	assert_int_equal(mock_count(m, VHU_ADD_MEM_REG), 2);
}

static void
new_reset_is_reset_device(void **state)
{
	struct mock *m = *state;
	struct vhost_region r = mock_region(m, 0, 1);

	mock_session(m, vhost_user_protocol);
	assert_int_equal(vhost_set_mem_table(&m->dev, &r, 1), 0);
	assert_int_equal(vhost_reset_device(&m->dev), 0);
	assert_int_equal(m->dev.features, 0);
	assert_int_equal(mock_count(m, VHU_RESET_DEVICE), 1);
	assert_int_equal(mock_count(m, VHU_RESET_OWNER), 0);
	/* It keeps memory. */
	assert_int_equal(vhost_set_mem_table(&m->dev, &r, 1), 0);
	assert_int_equal(mock_count(m, VHU_ADD_MEM_REG), 1);
}

static void
a_enable_fails_without_bit_30(void **state)
{
	struct mock *m = *state;

	m->features &= ~VIRTQ_BIT(30);
	mock_start(m);
	assert_int_equal(vhost_init(&m->dev), 0);
	assert_int_equal(vhost_set_features(&m->dev, MOCK_ACKED), 0);
	assert_int_equal(vhost_set_vring_enable(&m->dev, 0, true), -EOPNOTSUPP);
	mock_settle(m);
	assert_int_equal(mock_count(m, VHU_SET_VRING_ENABLE), 0);
}

static void
new_enable_waits_for_its_ack(void **state)
{
	struct mock *m = *state;

	mock_session(m, vhost_user_protocol);
	assert_int_equal(vhost_set_vring_enable(&m->dev, 1, true), 0);
	assert_int_equal(mock_last(m, VHU_SET_VRING_ENABLE).hdr.flags, 9);
	assert_int_equal(mock_last(m, VHU_SET_VRING_ENABLE).state.num, 1);
	m->act[VHU_SET_VRING_ENABLE] = REFUSE;
	assert_int_equal(vhost_set_vring_enable(&m->dev, 1, false), -EIO);
	assert_non_null(strstr(m->dev.why, "refused SET_VRING_ENABLE"));
	/* Refused is not lost. */
	mock_pump(m);
	assert_int_equal(m->losts, 0);
	mock_session(m, ACKED_BUT(VHU_PF_REPLY_ACK));
	assert_int_equal(vhost_set_vring_enable(&m->dev, 1, true), 0);
	mock_settle(m);
	assert_int_equal(mock_last(m, VHU_SET_VRING_ENABLE).hdr.flags, 1);
}

static void
a_log_base_goes_alone_without_shmfd(void **state)
{
	struct mock *m = *state;

	mock_session(m, ACKED_BUT(VHU_PF_LOG_SHMFD));
	assert_int_equal(vhost_set_log_base(&m->dev, 4096, 0, m->memfd), 0);
	mock_settle(m);
	assert_int_equal(mock_last(m, VHU_SET_LOG_BASE).nfds, 0);
	assert_int_equal(mock_last(m, VHU_SET_LOG_BASE).hdr.size, 16);
}

static void
a_log_base_is_answered_with_shmfd(void **state)
{
	const uint32_t sizes[] = { 0, 8, 16, 100, 4096 };
	struct mock *m = *state;

	for (size_t i = 0; i < 5; i++) {
		m->log_reply = sizes[i];
		mock_session(m, vhost_user_protocol);
		assert_int_equal(vhost_set_log_base(&m->dev, 4096, 512, m->memfd), 0);
		assert_int_equal(mock_last(m, VHU_SET_LOG_BASE).nfds, 1);
		assert_int_equal(mock_last(m, VHU_SET_LOG_BASE).hdr.flags, 1);
		assert_int_equal(mock_last(m, VHU_SET_LOG_BASE).log.mmap_offset, 512);
		assert_int_equal(vhost_set_log_base(&m->dev, 4096, 0, -1), -EINVAL);
	}
}

static void
a_migration_done(void **state)
{
	const uint8_t mac[6] = { 2, 0, 0, 0, 0, 7 };
	struct mock *m = *state;

	/* The guest announces itself. */
	mock_session(m, ACKED_BUT(VHU_PF_RARP));
	m->dev.features |= VIRTQ_BIT(VIRTIO_NET_F_GUEST_ANNOUNCE);
	assert_int_equal(vhost_migration_done(&m->dev, mac), 0);
	m->dev.features = 0;
	assert_int_equal(vhost_migration_done(&m->dev, mac), -EOPNOTSUPP);
	assert_int_equal(mock_count(m, VHU_SEND_RARP), 0);
	mock_session(m, vhost_user_protocol);
	assert_int_equal(vhost_migration_done(&m->dev, mac), 0);
	assert_memory_equal(mock_last(m, VHU_SEND_RARP).raw, mac, 6);
	assert_int_equal(mock_last(m, VHU_SEND_RARP).hdr.size, 8);
}

/* Requests about the device, not about a ring, are sent once however many pairs there are. */
static void
a_one_time_requests(void **state)
{
	struct mock *m = *state;
	struct vhost_region r = mock_region(m, 0, 16);

	mock_session(m, ACKED_BUT(VHU_PF_CONFIGURE_MEM_SLOTS));
	for (int pair = 0; pair < 4; pair++) {
		uint32_t vrings;

		assert_int_equal(vhost_set_owner(&m->dev), 0);
		assert_int_equal(vhost_get_queue_num(&m->dev, &vrings), 0);
		assert_int_equal(vhost_set_mem_table(&m->dev, &r, 1), 0);
		assert_int_equal(vhost_net_set_mtu(&m->dev, 1500), 0);
	}
	for (int pair = 0; pair < 4; pair++)
		assert_int_equal(vhost_reset_device(&m->dev), 0);
	assert_int_equal(mock_count(m, VHU_SET_OWNER), 1);
	assert_int_equal(mock_count(m, VHU_GET_QUEUE_NUM), 1);
	assert_int_equal(mock_count(m, VHU_SET_MEM_TABLE), 1);
	assert_int_equal(mock_count(m, VHU_NET_SET_MTU), 1);
	assert_int_equal(mock_count(m, VHU_RESET_DEVICE), 1);
}

static void
b_write_errors_propagate(void **state)
{
	struct mock *m = *state;
	int rc = 0;

	mock_session(m, ACK);
	shutdown(m->fd, SHUT_RDWR);
	for (int i = 0; i < 3 && rc == 0; i++)
		rc = vhost_set_vring_num(&m->dev, 0, 256);
	assert_int_equal(rc, -ECONNRESET);
	assert_int_equal(vhost_set_vring_num(&m->dev, 0, 256), -ENOTCONN);
	mock_pump(m);
	assert_int_equal(m->losts, 1);
}

/* In 2016 a failed read was taken for success. */
static void
b_failed_reads_are_errors(void **state)
{
	struct mock *m = *state;
	uint64_t features = 42;
	uint32_t base = 42;

	m->act[VHU_GET_VRING_BASE] = HANG_UP;
	mock_session(m, vhost_user_protocol);
	assert_int_equal(vhost_get_vring_base(&m->dev, 0, &base), -ECONNRESET);
	assert_int_equal(base, 42);
	assert_non_null(strstr(m->dev.why, "GET_VRING_BASE"));
	m->act[VHU_SET_LOG_BASE] = HANG_UP;
	mock_session(m, vhost_user_protocol);
	assert_int_equal(vhost_set_log_base(&m->dev, 4096, 0, m->memfd), -ECONNRESET);
	mock_session(m, vhost_user_protocol);
	m->act[VHU_GET_FEATURES] = HANG_UP;
	assert_int_equal(vhost_get_features(&m->dev, &features), -ECONNRESET);
	assert_int_equal(features, 42);
}

static void
c_mtu(void **state)
{
	struct mock *m = *state;

	mock_session(m, vhost_user_protocol);
	assert_int_equal(vhost_net_set_mtu(&m->dev, 9000), 0);
	assert_int_equal(mock_last(m, VHU_NET_SET_MTU).u64, 9000);
	assert_int_equal(mock_last(m, VHU_NET_SET_MTU).hdr.flags, 9);
	m->act[VHU_NET_SET_MTU] = REFUSE;
	assert_int_equal(vhost_net_set_mtu(&m->dev, 1), -EIO);
	/* Who cannot be told does not refuse. */
	mock_session(m, ACKED_BUT(VHU_PF_NET_MTU));
	assert_int_equal(vhost_net_set_mtu(&m->dev, 9000), 0);
	assert_int_equal(mock_count(m, VHU_NET_SET_MTU), 0);
}

/* Known from 2.8 and 2.9: what is skipped for further pairs was waited for all the same. */
static void
c_what_is_not_sent_is_not_waited_for(void **state)
{
	const uint64_t start = evloop_now_ns();

	a_one_time_requests(state);
	assert_true(evloop_now_ns() - start < 1000000000);
}

static void
new_set_features_adds_bit_30_and_waits_for_logging(void **state)
{
	struct mock *m = *state;

	mock_session(m, 0);
	mock_settle(m);
	assert_int_equal(mock_last(m, VHU_SET_FEATURES).u64, MOCK_ACKED | VIRTQ_BIT(30));
	m->nseen = 0;
	assert_int_equal(vhost_set_features(&m->dev, MOCK_ACKED | VIRTQ_BIT(26)), 0);
	assert_int_equal(m->nseen, 2);
	assert_int_equal(m->seen[1].hdr.request, VHU_GET_FEATURES);
	assert_int_equal(vhost_set_features(&m->dev, VIRTQ_BIT(50)), -EINVAL);
	assert_non_null(strstr(m->dev.why, "0x4000000000000"));
	m->act[VHU_SET_FEATURES] = REFUSE;
	m->act_from = 1;
	mock_session(m, vhost_user_protocol);
	assert_int_equal(vhost_set_features(&m->dev, MOCK_ACKED | VIRTQ_BIT(26)), -EIO);
	assert_int_equal(m->dev.features, MOCK_ACKED | VIRTQ_BIT(30));
}

static void
new_iommu_needs_reply_ack_and_a_channel(void **state)
{
	const uint64_t iommu = MOCK_ACKED | VIRTQ_BIT(VIRTIO_F_ACCESS_PLATFORM);
	struct mock *m = *state;
	struct seen s;

	mock_session(m, ACKED_BUT(VHU_PF_BACKEND_REQ));
	assert_int_equal(vhost_set_features(&m->dev, iommu), -EINVAL);
	assert_non_null(strstr(m->dev.why, "BACKEND_REQ"));
	mock_session(m, ACKED_BUT(VHU_PF_REPLY_ACK));
	assert_int_equal(vhost_set_features(&m->dev, iommu), -EINVAL);
	assert_int_equal(vhost_send_iotlb(&m->dev, 0, 4096, m->mem, 3, 2), -EOPNOTSUPP);
	mock_session(m, vhost_user_protocol);
	assert_false(vhost_force_iommu(&m->dev));
	assert_int_equal(vhost_set_features(&m->dev, iommu), 0);
	assert_true(vhost_force_iommu(&m->dev));
	assert_int_equal(vhost_send_iotlb(&m->dev, 0x5000, 4096, m->mem, 3, 2), 0);
	s = mock_last(m, VHU_IOTLB_MSG);
	assert_int_equal(s.hdr.flags, 9);
	assert_int_equal(s.hdr.size, 32);
	assert_int_equal(s.iotlb.iova, 0x5000);
	assert_int_equal(s.iotlb.uva, (uint64_t)(uintptr_t)m->mem);
	assert_int_equal(s.iotlb.perm, 3);
	assert_int_equal(s.iotlb.type, 2);
	m->act[VHU_IOTLB_MSG] = REFUSE;
	assert_int_equal(vhost_send_iotlb(&m->dev, 0x5000, 4096, NULL, 3, 3), -EIO);
}

static void
new_status_goes_with_features_and_start(void **state)
{
	struct mock *m = *state;
	uint8_t status;

	mock_session(m, vhost_user_protocol);
	assert_int_equal(m->status, 0xb);
	assert_int_equal(vhost_dev_start(&m->dev, true), 0);
	assert_int_equal(m->status, 0xf);
	assert_int_equal(m->dev.status, 0xf);
	/* Logging changes while it runs: no status step. */
	m->nseen = 0;
	assert_int_equal(vhost_set_features(&m->dev, MOCK_ACKED | VIRTQ_BIT(26)), 0);
	assert_int_equal(m->nseen, 1);
	assert_int_equal(vhost_dev_start(&m->dev, false), 0);
	assert_int_equal(m->status, 0);
	mock_session(m, ACKED_BUT(VHU_PF_STATUS));
	assert_int_equal(vhost_dev_start(&m->dev, true), 0);
	assert_int_equal(vhost_dev_start(&m->dev, false), 0);
	assert_int_equal(vhost_get_status(&m->dev, &status), -EOPNOTSUPP);
	assert_int_equal(mock_count(m, VHU_SET_STATUS), 0);
}

static const uint64_t no_status_bits[] = { 3, 7, 0x4f, 0xcf, 0x100, ~0ull };

static void
new_features_ok_and_driver_ok_are_checked(void **state)
{
	struct mock *m = *state;

	for (size_t i = 0; i < 6; i++) {
		const struct vhu_hdr hdr = { VHU_GET_STATUS, 5, 8 };
		int rc, expected = no_status_bits[i] > 0xff ? -EPROTO : -EINVAL;

		mock_stop(m);
		memcpy(m->raw, &hdr, sizeof(hdr));
		memcpy(m->raw + sizeof(hdr), &no_status_bits[i], 8);
		m->raw_len = sizeof(hdr) + 8;
		m->act[VHU_GET_STATUS] = SAY_RAW;
		mock_start(m);
		assert_int_equal(vhost_init(&m->dev), 0);
		rc = vhost_set_features(&m->dev, MOCK_ACKED);
		if (!(no_status_bits[i] & 8) || expected == -EPROTO) {
			assert_int_equal(rc, expected);
			continue;
		}
		assert_int_equal(rc, 0);
		assert_int_equal(vhost_dev_start(&m->dev, true), -EIO);
		assert_non_null(strstr(m->dev.why, "status is 0x"));
	}
}

static void
new_configuration_space(void **state)
{
	struct mock *m = *state;
	uint8_t buf[256] = { 0 };

	mock_session(m, vhost_user_protocol);
	assert_int_equal(vhost_get_config(&m->dev, 6, buf, 4), 0);
	assert_memory_equal(buf, "\6\7\10\11", 4);
	assert_int_equal(mock_last(m, VHU_GET_CONFIG).hdr.size, 16);
	assert_int_equal(vhost_get_config(&m->dev, 0, buf, 256), 0);
	assert_int_equal(vhost_get_config(&m->dev, 0, buf, 0), -EINVAL);
	assert_int_equal(vhost_get_config(&m->dev, 1, buf, 256), -EINVAL);
	assert_int_equal(vhost_get_config(&m->dev, UINT32_MAX, buf, 2), -EINVAL);
	assert_int_equal(vhost_set_config(&m->dev, 0, "abcdef", 6, 1), 0);
	assert_memory_equal(mock_last(m, VHU_SET_CONFIG).config.bytes, "abcdef", 6);
	assert_int_equal(mock_last(m, VHU_SET_CONFIG).config.flags, 1);
	m->act[VHU_SET_CONFIG] = REFUSE;
	assert_int_equal(vhost_set_config(&m->dev, 0, "abcdef", 6, 0), -EIO);
	mock_session(m, ACKED_BUT(VHU_PF_CONFIG));
	assert_int_equal(vhost_get_config(&m->dev, 0, buf, 6), -EOPNOTSUPP);
}

/* "Cannot" is said with an answer that has no content. */
static void
new_configuration_space_that_is_refused(void **state)
{
	const struct vhu_config empty = { .offset = 0, .size = 6 };
	struct vhu_hdr hdr = { VHU_GET_CONFIG, 5, 0 };
	struct mock *m = *state;
	uint8_t buf[6];

	m->act[VHU_GET_CONFIG] = SAY_RAW;
	mock_session(m, vhost_user_protocol);
	for (hdr.size = 0; hdr.size <= 12; hdr.size += 12) {
		memcpy(m->raw, &hdr, 12);
		memcpy(m->raw + 12, &empty, 12);
		m->raw_len = 12 + hdr.size;
		assert_int_equal(vhost_get_config(&m->dev, 0, buf, 6), -EIO);
	}
	hdr.size = 17;
	memcpy(m->raw, &hdr, 12);
	m->raw_len = 29;
	assert_int_equal(vhost_get_config(&m->dev, 0, buf, 6), -EPROTO);
}

static void
new_another_back_end_after_a_reconnect(void **state)
{
	struct mock *m = *state;

	mock_session(m, vhost_user_protocol);
	m->features = VIRTQ_BIT(VIRTIO_F_VERSION_1) | VIRTQ_BIT(30);
	m->queue_num = 1;
	m->slots = 4;
	mock_session(m, VIRTQ_BIT(VHU_PF_CONFIGURE_MEM_SLOTS));
	mock_settle(m);
	assert_int_equal(m->dev.offered, m->features);
	assert_int_equal(m->dev.protocol, VIRTQ_BIT(VHU_PF_CONFIGURE_MEM_SLOTS));
	assert_int_equal(vhost_memslots_limit(&m->dev), 4);
	assert_int_equal(mock_count(m, VHU_SET_BACKEND_REQ_FD), 0);
	assert_int_equal(mock_count(m, VHU_SET_OWNER), 1);
}

static void
what_there_is_not(void **state)
{
	struct mock *m = *state;
	uint64_t first, last;
	uint32_t num = 1;

	mock_session(m, vhost_user_protocol);
	assert_int_equal(vhost_get_iova_range(&m->dev, &first, &last), -EOPNOTSUPP);
	assert_string_equal(m->dev.why, "vhost-user has no get_iova_range");
	assert_int_equal(vhost_suspend(&m->dev), -EOPNOTSUPP);
	assert_int_equal(vhost_get_vring_max(&m->dev, 0, &num), 0);
	assert_int_equal(num, 0);
	vhost_dev_close(&m->dev);
	vhost_dev_close(&m->dev);
	assert_int_equal(vhost_suspend(&m->dev), -ENOTCONN);
	assert_int_equal(vhost_memslots_limit(&m->dev), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		MOCK_TEST(a_protocol_features_are_what_both_have),
		MOCK_TEST(a_no_protocol_features_without_bit_30),
		MOCK_TEST(a_queue_num_is_asked_only_with_mq),
		MOCK_TEST(better_queue_num_is_clamped),
		MOCK_TEST(a_ring_messages_are_laid_out_as_specified),
		MOCK_TEST(a_no_descriptor_means_poll),
		MOCK_TEST(new_error_descriptor),
		MOCK_TEST(a_reset_is_reset_owner),
		MOCK_TEST(new_reset_is_reset_device),
		MOCK_TEST(a_enable_fails_without_bit_30),
		MOCK_TEST(new_enable_waits_for_its_ack),
		MOCK_TEST(a_log_base_goes_alone_without_shmfd),
		MOCK_TEST(a_log_base_is_answered_with_shmfd),
		MOCK_TEST(a_migration_done),
		MOCK_TEST(a_one_time_requests),
		MOCK_TEST(b_write_errors_propagate),
		MOCK_TEST(b_failed_reads_are_errors),
		MOCK_TEST(c_mtu),
		MOCK_TEST(c_what_is_not_sent_is_not_waited_for),
		MOCK_TEST(new_set_features_adds_bit_30_and_waits_for_logging),
		MOCK_TEST(new_iommu_needs_reply_ack_and_a_channel),
		MOCK_TEST(new_status_goes_with_features_and_start),
		MOCK_TEST(new_features_ok_and_driver_ok_are_checked),
		MOCK_TEST(new_configuration_space),
		MOCK_TEST(new_configuration_space_that_is_refused),
		MOCK_TEST(new_another_back_end_after_a_reconnect),
		MOCK_TEST(what_there_is_not),
	};

	return cmocka_run_group_tests_name("vhost_user_fe", tests, NULL, NULL);
}
