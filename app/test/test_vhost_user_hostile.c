/* SPDX-License-Identifier: BSD-3-Clause */
/* What a back-end may do to its front-end: nothing but end the session, with a reason. */
#include "vhost_names.h"
#include "rig_backend.h"

/* Each request that waits for an answer, with all protocol features. */
struct op {
	uint32_t request;
	int (*ring)(struct mock *m);
};

static int
op_init(struct mock *m)
{
	return vhost_init(&m->dev);
}

static int
op_set_features(struct mock *m)
{
	return vhost_set_features(&m->dev, MOCK_ACKED);
}

static int
op_set_owner(struct mock *m)
{
	return vhost_set_owner(&m->dev);
}

static int
op_memory(struct mock *m)
{
	const struct vhost_region r = mock_region(m, 0, 1);

	return vhost_set_mem_table(&m->dev, &r, 1);
}

static int
op_no_memory(struct mock *m)
{
	const struct vhost_region r = mock_region(m, 0, 1);
	int rc = vhost_set_mem_table(&m->dev, &r, 1);

	return rc == 0 ? vhost_set_mem_table(&m->dev, NULL, 0) : rc;
}

static int
op_num(struct mock *m)
{
	return vhost_set_vring_num(&m->dev, 0, 256);
}

static int
op_addr(struct mock *m)
{
	const struct vhost_vring_addr a = { .desc = m->mem };

	return vhost_set_vring_addr(&m->dev, 0, &a);
}

static int
op_base(struct mock *m)
{
	return vhost_set_vring_base(&m->dev, 0, 0);
}

static int
op_get_base(struct mock *m)
{
	uint32_t base;

	return vhost_get_vring_base(&m->dev, 0, &base);
}

static int
op_kick(struct mock *m)
{
	return vhost_set_vring_kick(&m->dev, 0, m->memfd);
}

static int
op_call(struct mock *m)
{
	return vhost_set_vring_call(&m->dev, 0, m->memfd);
}

static int
op_err(struct mock *m)
{
	return vhost_set_vring_err(&m->dev, 0, -1);
}

static int
op_enable(struct mock *m)
{
	return vhost_set_vring_enable(&m->dev, 0, true);
}

static int
op_start(struct mock *m)
{
	return vhost_dev_start(&m->dev, true);
}

static int
op_get_config(struct mock *m)
{
	uint8_t mac[6];

	return vhost_get_config(&m->dev, 0, mac, sizeof(mac));
}

static int
op_set_config(struct mock *m)
{
	return vhost_set_config(&m->dev, 0, "abcdef", 6, 0);
}

static int
op_log(struct mock *m)
{
	return vhost_set_log_base(&m->dev, 4096, 0, m->memfd);
}

static int
op_mtu(struct mock *m)
{
	return vhost_net_set_mtu(&m->dev, 1500);
}

static int
op_rarp(struct mock *m)
{
	return vhost_migration_done(&m->dev, (const uint8_t *)"\2\0\0\0\0\1");
}

static int
op_iotlb(struct mock *m)
{
	return vhost_send_iotlb(&m->dev, 0, 4096, m->mem, 3, 2);
}

static int
op_reset(struct mock *m)
{
	return vhost_reset_device(&m->dev);
}

static const struct op ops[] = {
	{ VHU_GET_FEATURES, op_init },
	{ VHU_GET_PROTOCOL_FEATURES, op_init },
	{ VHU_GET_QUEUE_NUM, op_init },
	{ VHU_GET_MAX_MEM_SLOTS, op_init },
	{ VHU_SET_BACKEND_REQ_FD, op_init },
	{ VHU_SET_OWNER, op_set_owner },
	{ VHU_SET_FEATURES, op_set_features },
	{ VHU_SET_STATUS, op_set_features },
	{ VHU_GET_STATUS, op_set_features },
	{ VHU_ADD_MEM_REG, op_memory },
	{ VHU_REM_MEM_REG, op_no_memory },
	{ VHU_SET_VRING_NUM, op_num },
	{ VHU_SET_VRING_ADDR, op_addr },
	{ VHU_SET_VRING_BASE, op_base },
	{ VHU_GET_VRING_BASE, op_get_base },
	{ VHU_SET_VRING_KICK, op_kick },
	{ VHU_SET_VRING_CALL, op_call },
	{ VHU_SET_VRING_ERR, op_err },
	{ VHU_SET_VRING_ENABLE, op_enable },
	{ VHU_GET_STATUS, op_start },
	{ VHU_GET_CONFIG, op_get_config },
	{ VHU_SET_CONFIG, op_set_config },
	{ VHU_SET_LOG_BASE, op_log },
	{ VHU_NET_SET_MTU, op_mtu },
	{ VHU_SEND_RARP, op_rarp },
	{ VHU_IOTLB_MSG, op_iotlb },
	{ VHU_RESET_DEVICE, op_reset },
};

#define NOPS (sizeof(ops) / sizeof(ops[0]))

/* Run one operation against a back-end that does this to its request. */
static int
provoke(struct mock *m, const struct op *op, enum act act)
{
	const bool endless = act == STAY_SILENT || act == SAY_HALF;
	int rc;

	mock_stop(m);
	m->protocol = vhost_user_protocol;
	m->losts = 0;
	memset(m->act, 0, sizeof(m->act));
	m->act[op->request] = act;
	mock_start(m);
	/* Only what never ends is worth a short wait: this machine may be busy. */
	if (op->ring == op_init) {
		m->dev.timeout_ms = endless ? MOCK_WAIT_MS : 2000;
		return vhost_init(&m->dev);
	}
	m->dev.timeout_ms = 2000;
	m->act[op->request] = AS_IT_SHOULD;
	assert_int_equal(vhost_init(&m->dev), 0);
	if (op->ring == op_start)
		assert_int_equal(vhost_set_features(&m->dev, MOCK_ACKED), 0);
	m->act[op->request] = act;
	m->dev.timeout_ms = endless ? MOCK_WAIT_MS : 2000;
	rc = op->ring(m);
	return rc;
}

/* The session is over: said once, from the loop, and nothing works any more. */
static void
check_over(struct mock *m, uint32_t request, int rc, int expected)
{
	if (rc != expected)
		fail_msg("%s: %d instead of %d (%s)", vhost_names_request(request), rc, expected,
			 m->dev.why);
	assert_true(vhost_dev_is_fatal(rc));
	assert_true(m->dev.why[0] != '\0');
	assert_int_equal(m->losts, 0);
	mock_pump(m);
	mock_pump(m);
	assert_int_equal(m->losts, 1);
	assert_string_equal(m->lost_why, m->dev.why);
	assert_int_equal(vhost_set_vring_num(&m->dev, 0, 1), -ENOTCONN);
	assert_true(vhost_dev_is_open(&m->dev));
}

static void
all_ends_with(struct mock *m, enum act act, int expected)
{
	for (size_t i = 0; i < NOPS; i++)
		check_over(m, ops[i].request, provoke(m, &ops[i], act), expected);
}

static void
eof_instead_of_an_answer(void **state)
{
	all_ends_with(*state, HANG_UP, -ECONNRESET);
}

static void
eof_inside_an_answer(void **state)
{
	all_ends_with(*state, HALF_THEN_HANG_UP, -EPROTO);
}

static void
no_answer(void **state)
{
	all_ends_with(*state, STAY_SILENT, -ETIMEDOUT);
}

static void
half_an_answer(void **state)
{
	all_ends_with(*state, SAY_HALF, -ETIMEDOUT);
}

static void
an_answer_in_pieces_is_one(void **state)
{
	struct mock *m = *state;

	for (size_t i = 0; i < NOPS; i++) {
		m->dev.timeout_ms = 2000;
		if (provoke(m, &ops[i], SAY_BYTEWISE) != 0)
			fail_msg("%s: %s", vhost_names_request(ops[i].request), m->dev.why);
	}
}

/* Each is refused, and what is refused does not end the session. */
static void
refusals(void **state)
{
	struct mock *m = *state;

	for (size_t i = 0; i < NOPS; i++) {
		const uint32_t r = ops[i].request;
		int rc;

		if (r == VHU_GET_VRING_BASE)
			continue; /* 1 is another ring */
		rc = provoke(m, &ops[i], REFUSE);
		mock_pump(m);
		assert_int_equal(m->losts, 0);
		if (r == VHU_GET_FEATURES || r == VHU_GET_PROTOCOL_FEATURES ||
		    r == VHU_GET_QUEUE_NUM || r == VHU_GET_MAX_MEM_SLOTS ||
		    r == VHU_SET_LOG_BASE || r == VHU_GET_CONFIG || r == VHU_GET_STATUS ||
		    r == VHU_SET_BACKEND_REQ_FD)
			continue; /* its answer means something else, or it can be missed */
		assert_int_equal(rc, -EIO);
		assert_non_null(strstr(m->dev.why, vhost_names_request(r)));
	}
}

/* header.flags, .request and .size of answers that are none; request 0: the right one. */
static const struct {
	struct vhu_hdr hdr;
	uint32_t payload;	/* bytes really sent */
} garbage[] = {
	{ { 0, 1, 8 }, 8 },		/* a request */
	{ { 0, 4, 8 }, 8 },		/* version 0 */
	{ { 0, 6, 8 }, 8 },
	{ { 0, 7, 8 }, 8 },
	{ { 0, 0xd, 8 }, 8 },		/* NEED_REPLY in an answer */
	{ { 0, 0x15, 8 }, 8 },
	{ { 0, 0x80000005, 8 }, 8 },
	{ { 0, 5, 4097 }, 8 },
	{ { 0, 5, UINT32_MAX }, 8 },
	{ { 99, 5, 8 }, 8 },		/* to something else */
	{ { UINT32_MAX, 5, 8 }, 8 },
	{ { 0, 5, 7 }, 7 },		/* sizes that no answer has */
	{ { 0, 5, 9 }, 9 },
	{ { 0, 5, 20 }, 20 },
	{ { 0, 5, 4096 }, 4096 },
};

static void
garbage_for_an_answer(void **state)
{
	struct mock *m = *state;

	for (size_t g = 0; g < sizeof(garbage) / sizeof(garbage[0]); g++) {
		for (size_t i = 0; i < NOPS; i++) {
			const bool any_size = ops[i].request == VHU_SET_LOG_BASE;
			struct vhu_hdr hdr = garbage[g].hdr;

			if (any_size && hdr.flags == 5 && hdr.request == 0 && hdr.size <= 4096)
				continue;
			if (hdr.request == 0)
				hdr.request = ops[i].request;
			mock_stop(m);
			memset(m->raw, 0x55, sizeof(m->raw));
			memcpy(m->raw, &hdr, sizeof(hdr));
			m->raw_len = (uint32_t)sizeof(hdr) + garbage[g].payload;
			check_over(m, ops[i].request, provoke(m, &ops[i], SAY_RAW), -EPROTO);
		}
	}
}

static void
descriptors_with_an_answer(void **state)
{
	struct mock *m = *state;

	for (size_t i = 0; i < NOPS; i++) {
		const struct vhu_hdr hdr = { ops[i].request, 5, 8 };

		if (ops[i].request == VHU_GET_CONFIG)
			continue; /* its size is wrong already */
		mock_stop(m);
		memset(m->raw, 0, sizeof(m->raw));
		memcpy(m->raw, &hdr, sizeof(hdr));
		m->raw_len = sizeof(hdr) + 8;
		check_over(m, ops[i].request, provoke(m, &ops[i], SAY_RAW_AND_FD), -EPROTO);
	}
}

static void
an_answer_that_nobody_asked_for(void **state)
{
	struct mock *m = *state;

	/* Found by the loop. */
	provoke(m, &ops[NOPS - 1], SAY_TWICE);
	for (int i = 0; i < 100 && m->losts == 0; i++)
		evloop_step(m->loop, 10);
	assert_int_equal(m->losts, 1);
	assert_non_null(strstr(m->lost_why, "nobody asked for"));
	/* Or by the next request, which must not take it for its own answer. */
	assert_int_equal(provoke(m, &ops[NOPS - 1], SAY_TWICE), 0);
	m->act[VHU_RESET_DEVICE] = AS_IT_SHOULD;
	for (int i = 0, rc = 0; rc == 0; i++) {
		rc = op_num(m);
		assert_true(rc == 0 || rc == -EPROTO);
		assert_true(i < 3);
	}
}

static void
a_base_of_another_ring(void **state)
{
	const struct vhu_hdr hdr = { VHU_GET_VRING_BASE, 5, 8 };
	const struct vhu_vring_state other = { 1, 0 };
	struct mock *m = *state;

	memcpy(m->raw, &hdr, sizeof(hdr));
	memcpy(m->raw + sizeof(hdr), &other, sizeof(other));
	m->raw_len = sizeof(hdr) + sizeof(other);
	for (size_t i = 0; i < NOPS; i++)
		if (ops[i].request == VHU_GET_VRING_BASE)
			check_over(m, ops[i].request, provoke(m, &ops[i], SAY_RAW), -EPROTO);
}

static void
eof_between_requests(void **state)
{
	struct mock *m = *state;

	mock_session(m, vhost_user_protocol);
	mock_pump(m);
	assert_int_equal(m->losts, 0);
	m->close_when_lost = true;
	shutdown(m->fd, SHUT_RDWR);
	mock_pump(m);
	assert_int_equal(m->losts, 1);
	assert_string_equal(m->lost_why, "the back-end closed the connection");
	assert_false(vhost_dev_is_open(&m->dev));
	mock_pump(m);
	assert_int_equal(m->losts, 1);
}

/* Who closes the device himself is not told that it is lost. */
static void
closed_before_told(void **state)
{
	struct mock *m = *state;

	assert_int_equal(provoke(m, &ops[0], HANG_UP), -ECONNRESET);
	vhost_dev_close(&m->dev);
	mock_pump(m);
	assert_int_equal(m->losts, 0);
}

/* A peer that takes nothing from its socket. */
static void
a_back_end_that_does_not_read(void **state)
{
	struct mock *m = *state;
	int pair[2], rc = 0;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(vhost_user_open(&m->dev, pair[0]), 0);
	m->dev.timeout_ms = MOCK_WAIT_MS;
	for (int i = 0; i < 100000 && rc == 0; i++)
		rc = vhost_set_vring_kick(&m->dev, 0, m->memfd);
	/* Or the kernel has enough of descriptors under way. */
	assert_true(rc == -ETIMEDOUT || rc == -ECONNRESET);
	mock_pump(m);
	assert_int_equal(m->losts, 1);
	close(pair[1]);
}

/* Requests of the back-end. */
static void
config_changes_are_told_from_the_loop(void **state)
{
	struct mock *m = *state;

	mock_session(m, vhost_user_protocol);
	m->ask = (struct vhu_hdr){ 2, 9, 0 };
	m->act[VHU_SET_VRING_NUM] = ASK_FIRST;
	assert_int_equal(op_num(m), 0);
	assert_int_equal(m->configs, 0);
	mock_pump(m);
	assert_int_equal(m->configs, 1);
	assert_int_equal(m->chan_hdr.request, 2);
	assert_int_equal(m->chan_hdr.flags, 5);
	assert_int_equal(m->chan_hdr.size, 8);
	assert_int_equal(m->chan_u64, 0);
	/* Between requests, and without an acknowledgement. */
	m->ask.flags = 1;
	mock_write(m->chan, &m->ask, sizeof(m->ask));
	mock_pump(m);
	assert_int_equal(m->configs, 2);
}

/* The back-end waits for our answer before it gives its own: neither waits for ever. */
static void
requests_that_are_refused(void **state)
{
	static const struct vhu_hdr asked[] = {
		{ 1, 9, 32 },		/* IOTLB_MSG */
		{ 2, 9, 8 },		/* CONFIG_CHANGE_MSG with something in it */
		{ 3, 9, 24 },		/* VRING_HOST_NOTIFIER_MSG */
		{ 4, 9, 8 }, { 5, 9, 8 }, { 6, 9, 16 }, { 7, 9, 16 }, { 8, 9, 16 },
		{ 9, 9, 40 }, { 10, 9, 40 }, { 0, 9, 0 }, { 11, 9, 0 }, { UINT32_MAX, 9, 256 },
	};
	struct mock *m = *state;

	mock_session(m, vhost_user_protocol);
	m->act[VHU_SET_VRING_NUM] = ASK_FIRST;
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		for (int fd = 0; fd < 2; fd++) {
			m->ask = asked[i];
			m->ask_fd = fd ? m->memfd : -1;
			m->chan_u64 = 0;
			assert_int_equal(op_num(m), 0);
			assert_int_equal(m->chan_hdr.request, asked[i].request);
			assert_true(m->chan_u64 != 0);
		}
	}
	mock_pump(m);
	assert_int_equal(m->configs, 0);
	assert_int_equal(m->losts, 0);
}

/* A flood on the channel delays an answer, and no more. */
static void
a_flood_on_the_channel(void **state)
{
	struct mock *m = *state;

	mock_session(m, vhost_user_protocol);
	m->ask = (struct vhu_hdr){ 2, 1, 0 };
	m->act[VHU_SET_VRING_NUM] = FLOOD_FIRST;
	m->dev.timeout_ms = 5000;
	assert_int_equal(op_num(m), 0);
	mock_pump(m);
	assert_true(m->configs >= 1);
}

/* Garbage on the channel, or its end, costs the channel only. */
static void
a_channel_that_breaks(void **state)
{
	static const struct vhu_hdr bad[] = {
		{ 2, 0, 0 }, { 2, 5, 0 }, { 2, 1, 5000 }, { 2, 0xfffffff1, 0 },
	};
	struct mock *m = *state;

	for (size_t i = 0; i < 5; i++) {
		mock_session(m, vhost_user_protocol);
		if (i < 4)
			mock_write(m->chan, &bad[i], sizeof(bad[i]));
		else
			shutdown(m->chan, SHUT_RDWR);
		mock_pump(m);
		assert_int_equal(op_num(m), 0);
		assert_int_equal(m->losts, 0);
		assert_int_equal(m->configs, 0);
	}
}

/* A back-end that offers a channel and refuses it goes without. */
static void
a_channel_that_is_refused(void **state)
{
	struct mock *m = *state;

	m->act[VHU_SET_BACKEND_REQ_FD] = REFUSE;
	mock_session(m, vhost_user_protocol);
	assert_int_equal(op_num(m), 0);
	mock_pump(m);
	assert_int_equal(m->losts, 0);
}

static void
config_changes_need_the_feature(void **state)
{
	struct mock *m = *state;

	mock_session(m, vhost_user_protocol & ~VIRTQ_BIT(VHU_PF_CONFIG));
	m->ask = (struct vhu_hdr){ 2, 9, 0 };
	m->act[VHU_SET_VRING_NUM] = ASK_FIRST;
	assert_int_equal(op_num(m), 0);
	assert_true(m->chan_u64 != 0);
	mock_pump(m);
	assert_int_equal(m->configs, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		MOCK_TEST(eof_instead_of_an_answer),
		MOCK_TEST(eof_inside_an_answer),
		MOCK_TEST(no_answer),
		MOCK_TEST(half_an_answer),
		MOCK_TEST(an_answer_in_pieces_is_one),
		MOCK_TEST(refusals),
		MOCK_TEST(garbage_for_an_answer),
		MOCK_TEST(descriptors_with_an_answer),
		MOCK_TEST(an_answer_that_nobody_asked_for),
		MOCK_TEST(a_base_of_another_ring),
		MOCK_TEST(eof_between_requests),
		MOCK_TEST(closed_before_told),
		MOCK_TEST(a_back_end_that_does_not_read),
		MOCK_TEST(config_changes_are_told_from_the_loop),
		MOCK_TEST(requests_that_are_refused),
		MOCK_TEST(a_flood_on_the_channel),
		MOCK_TEST(a_channel_that_breaks),
		MOCK_TEST(a_channel_that_is_refused),
		MOCK_TEST(config_changes_need_the_feature),
	};

	return cmocka_run_group_tests_name("vhost_user_hostile", tests, NULL, NULL);
}
