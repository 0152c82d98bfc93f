/* SPDX-License-Identifier: BSD-3-Clause */
/* Each message in each state: driven by the table, checked against the specification. */
#include "rig_frontend.h"
#include "vhost_names.h"

/* The specification once more, independent of the table that is tested. */
static const struct {
	uint32_t request;
	uint16_t min, max;
	uint8_t fds_max;
	int required;	/* protocol feature, -1: none, -3: IOMMU */
	bool answered;
	bool served;
} spec[] = {
	{ 1, 0, 0, 0, -1, true, true },		{ 2, 8, 8, 0, -1, false, true },
	{ 3, 0, 0, 0, -1, false, true },	{ 4, 0, 0, 0, -1, false, true },
	{ 5, 8, 1032, 32, -1, false, true },	{ 6, 16, 16, 1, 1, true, true },
	{ 7, 0, 0, 1, -1, false, true },	{ 8, 8, 8, 0, -1, false, true },
	{ 9, 40, 40, 0, -1, false, true },	{ 10, 8, 8, 0, -1, false, true },
	{ 11, 8, 8, 0, -1, true, true },	{ 12, 8, 8, 1, -1, false, true },
	{ 13, 8, 8, 1, -1, false, true },	{ 14, 8, 8, 1, -1, false, true },
	{ 15, 0, 0, 0, -1, true, true },	{ 16, 8, 8, 0, -1, false, true },
	{ 17, 0, 0, 0, -1, true, true },	{ 18, 8, 8, 0, -1, false, true },
	{ 19, 8, 8, 0, -1, false, true },	{ 20, 8, 8, 0, -1, false, true },
	{ 21, 0, 0, 1, -1, false, true },	{ 22, 26, 32, 0, -3, true, true },
	{ 23, 8, 8, 0, 6, false, false },	{ 24, 12, 268, 0, 9, true, false },
	{ 25, 12, 268, 0, 9, false, false },	{ 26, 0, 4096, 0, 7, false, false },
	{ 27, 8, 8, 0, 7, false, false },	{ 28, 0, 0, 0, 8, true, true },
	{ 29, 0, 0, 0, 8, false, true },	{ 30, 0, 0, 0, 8, true, true },
	{ 31, 20, 24, 0, 12, true, true },	{ 32, 20, 24, 1, 12, false, true },
	{ 33, 0, 0, 1, -1, false, false },	{ 34, 0, 0, 0, 13, false, true },
	{ 35, 8, 8, 0, 14, false, false },	{ 36, 0, 0, 0, 15, true, true },
	{ 37, 8, 40, 1, 15, false, true },	{ 38, 40, 40, 1, 15, false, true },
	{ 39, 8, 8, 0, -1, false, true },	{ 40, 0, 0, 0, -1, true, true },
	{ 41, 16, 16, 0, 18, false, false },	{ 42, 8, 8, 1, 19, true, true },
	{ 43, 0, 0, 0, 19, true, true },	{ 44, 0, 0, 0, 22, true, false },
};

#define NSPEC (sizeof(spec) / sizeof(spec[0]))

static void
table_is_the_specification(void **state)
{
	assert_int_equal(NSPEC, VHU_REQUEST_MAX - 1);
	for (size_t i = 0; i < NSPEC; i++) {
		const struct vhost_be_request_info *info = vhost_be_dispatch_info(spec[i].request);
		int required = spec[i].required;

		assert_int_equal(spec[i].request, i + 1);
		assert_non_null(info);
		assert_int_equal(info->min, spec[i].min);
		assert_int_equal(info->max, spec[i].max);
		assert_int_equal(info->fds_max, spec[i].fds_max);
		assert_int_equal(info->required, required == -1 ? VHOST_BE_REQUIRES_NOTHING :
					    required == -3 ? VHOST_BE_REQUIRES_IOMMU :
								    required + 1);
		assert_int_equal(info->reply == VHOST_BE_REPLY_ALWAYS, spec[i].answered);
		assert_int_equal(info->handle != NULL, spec[i].served);
		assert_true(info->when != 0);
	}
	assert_null(vhost_be_dispatch_info(0));
	assert_null(vhost_be_dispatch_info(VHU_REQUEST_MAX));
	assert_null(vhost_be_dispatch_info(UINT32_MAX));
	assert_string_equal(vhost_names_request(1), "GET_FEATURES");
	assert_string_equal(vhost_names_request(45), "unknown");
}

/* Where a session can stand when a message comes. */
enum where { FRESH, NO_REPLY_ACK, NEGOTIATED, RUNNING, NWHERE };

static void
go_to(struct rig *rig, enum where where)
{
	rig_connect(rig);
	if (where == NO_REPLY_ACK)
		fe_negotiate(rig, RIG_ACKED, VHOST_BE_PROTOCOL & ~VIRTQ_BIT(VHU_PF_REPLY_ACK));
	else if (where == NEGOTIATED)
		fe_negotiate(rig, RIG_ACKED, VHOST_BE_PROTOCOL);
	else if (where == RUNNING)
		fe_start(rig);
}

static bool
reply_ack(enum where where)
{
	return where >= NEGOTIATED;
}

/* The answer that says no, by the rules of protocol and policy. */
static enum outcome
refusal(uint32_t request, bool need, enum where where)
{
	switch (request) {
	case 22: case 30: case 42: case 43:
		return NACK;
	case 24: case 31:
		return ANSWER;
	default:
		break;
	}
	if (request <= NSPEC && request > 0 && spec[request - 1].answered &&
	    request != VHU_SET_LOG_BASE)
		return CLOSED;
	return need && reply_ack(where) ? NACK : CLOSED;
}

static void
expect(struct rig *rig, enum where where, uint32_t request, bool need, enum outcome got,
	enum outcome wanted, const char *what)
{
	if (got != wanted)
		fail_msg("%s (%u), state %d, NEED_REPLY %d, %s: outcome %d, expected %d\n%s",
			 vhost_names_request(request), request, where, need, what, got, wanted,
			 rig->log);
	/* Closed or not, a new front-end is always welcome. */
	rig->log[0] = '\0';
}

static enum outcome
send_raw(struct rig *rig, enum where where, uint32_t request, bool need, uint32_t size,
	 uint32_t nfds)
{
	static const uint8_t zeros[VHU_MAX_PAYLOAD];
	struct vhu_msg m;
	int fds[VHU_MAX_FDS];

	for (uint32_t i = 0; i < nfds; i++)
		fds[i] = rig->memfd;
	go_to(rig, where);
	return fe_talk(rig, request, need ? NEED : 0, zeros, size, fds, nfds, &m);
}

#define FOR_EACH_CELL(where, need) \
	for (enum where where = FRESH; where < NWHERE; where++) \
		for (int need = 0; need < 2; need++)

static void
short_payloads_close(void **state)
{
	struct rig *rig = *state;

	FOR_EACH_CELL(where, need) {
		for (size_t i = 0; i < NSPEC; i++) {
			uint32_t r = spec[i].request;
			uint32_t fds = vhost_be_dispatch_info(r)->fds_min;

			if (spec[i].min > 0)
				expect(rig, where, r, need, send_raw(rig, where, r, need,
				       spec[i].min - 1, fds), CLOSED, "short payload");
		}
	}
}

static void
wrong_fds_are_refused(void **state)
{
	struct rig *rig = *state;

	FOR_EACH_CELL(where, need) {
		for (size_t i = 0; i < NSPEC; i++) {
			uint32_t r = spec[i].request;

			if (spec[i].fds_max < VHU_MAX_FDS) /* as many as any message has */
				expect(rig, where, r, need, send_raw(rig, where, r, need,
				       spec[i].min, spec[i].fds_max + 1), refusal(r, need, where),
				       "too many fds");
			if (vhost_be_dispatch_info(r)->fds_min > 0)
				expect(rig, where, r, need, send_raw(rig, where, r, need,
				       spec[i].min, 0), refusal(r, need, where), "no fd");
		}
	}
}

static void
requirements_are_checked(void **state)
{
	struct rig *rig = *state;

	/* Where nothing was negotiated, every required feature is closed. */
	for (int need = 0; need < 2; need++) {
		for (size_t i = 0; i < NSPEC; i++) {
			uint32_t r = spec[i].request;

			if (spec[i].required == -1)
				continue;
			expect(rig, FRESH, r, need, send_raw(rig, FRESH, r, need, spec[i].min,
			       vhost_be_dispatch_info(r)->fds_min), refusal(r, need, FRESH),
			       "not negotiated");
			go_to(rig, FRESH);
			fe_negotiate(rig, RIG_ACKED, VIRTQ_BIT(VHU_PF_REPLY_ACK));
			if (need) {
				struct vhu_msg m;
				static const uint8_t zeros[64];
				int fd = rig->memfd;

				expect(rig, NEGOTIATED, r, need,
				       fe_talk(rig, r, NEED, zeros, spec[i].min, &fd,
					       vhost_be_dispatch_info(r)->fds_min, &m),
				       refusal(r, need, NEGOTIATED), "negotiated without it");
			}
		}
	}
}

static void
unserved_and_unknown_are_refused(void **state)
{
	static const uint32_t unknown[] = { 0, 45, 46, 255, 256, 1000, 0x10001, UINT32_MAX };
	struct rig *rig = *state;

	FOR_EACH_CELL(where, need) {
		for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
			expect(rig, where, unknown[i], need,
			       send_raw(rig, where, unknown[i], need, 8, i % 3),
			       refusal(unknown[i], need, where), "unknown");
		for (size_t i = 0; i < NSPEC; i++) {
			uint32_t r = spec[i].request;

			if (!spec[i].served)
				expect(rig, where, r, need, send_raw(rig, where, r, need,
				       spec[i].min, vhost_be_dispatch_info(r)->fds_min),
				       refusal(r, need, where), "not served");
		}
	}
}

/* Send a message that nothing is wrong with, and `more` bytes behind its payload. */
static enum outcome
send_longer(struct rig *rig, uint32_t r, uint32_t flags, uint32_t more)
{
	static uint8_t payload[VHU_MAX_PAYLOAD];
	const struct vhu_vring_addr addr = rig_addr(0);
	const struct vhu_mem_table table = rig_table();
	const struct vhu_mem_single region = { .region = { RIG_GPA + 2 * RIG_MEM, 4096,
							   RIG_UVA + 2 * RIG_MEM, 0 } };
	const struct vhu_log log = { RIG_MEM, 0 };
	uint64_t value = 0;
	struct vhu_msg m;
	int pair[2] = { -1, -1 };
	enum outcome o;

	switch (r) {
	case VHU_SET_MEM_TABLE:
		memcpy(payload, &table, 40);
		return fe_talk(rig, r, flags, payload, 40 + more, &rig->memfd, 1, &m);
	case VHU_SET_VRING_ADDR:
		memcpy(payload, &addr, sizeof(addr));
		return fe_talk(rig, r, flags, payload, sizeof(addr) + more, NULL, 0, &m);
	case VHU_SET_LOG_BASE:
		memcpy(payload, &log, sizeof(log));
		return fe_talk(rig, r, flags, payload, sizeof(log) + more, &rig->memfd, 1, &m);
	case VHU_SET_LOG_FD:
		return fe_talk(rig, r, flags, payload, more, &rig->call[0], 1, &m);
	case VHU_SET_VRING_KICK: case VHU_SET_VRING_CALL: case VHU_SET_VRING_ERR:
		memcpy(payload, &value, 8);
		return fe_talk(rig, r, flags, payload, 8 + more, &rig->call[0], 1, &m);
	case VHU_SET_BACKEND_REQ_FD:
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		o = fe_talk(rig, r, flags, payload, more, &pair[0], 1, &m);
		close(pair[0]);
		close(pair[1]);
		return o;
	case VHU_ADD_MEM_REG:
		memcpy(payload, &region, sizeof(region));
		return fe_talk(rig, r, flags, payload, sizeof(region) + more, &rig->memfd, 1, &m);
	case VHU_REM_MEM_REG:
		o = fe_talk(rig, VHU_ADD_MEM_REG, 0, &region, sizeof(region), &rig->memfd, 1, &m);
		assert_int_equal(o, SILENCE);
		memcpy(payload, &region, sizeof(region));
		return fe_talk(rig, r, flags, payload, sizeof(region) + more, &rig->memfd, 1, &m);
	case VHU_SET_FEATURES:
		value = RIG_ACKED;
		break;
	case VHU_SET_PROTOCOL_FEATURES:
		value = VHOST_BE_PROTOCOL;
		break;
	case VHU_SET_VRING_NUM: /* ring 0 in the low half, as the running ones have it */
		value = (uint64_t)RIG_SIZE << 32;
		break;
	case VHU_NET_SET_MTU:
		value = 1500;
		break;
	default:
		break;
	}
	memcpy(payload, &value, 8);
	return fe_talk(rig, r, flags, payload, spec[r - 1].min + more, NULL, 0, &m);
}

static void
serve_good(struct rig *rig, uint32_t more)
{
	FOR_EACH_CELL(where, need) {
		for (size_t i = 0; i < NSPEC; i++) {
			uint32_t r = spec[i].request;
			enum outcome o;

			/* These have an order of their own, and tests (test_vhost_be_*). */
			if (!spec[i].served || (where == FRESH && spec[i].required >= 0) ||
			    spec[i].required == VHU_PF_PAGEFAULT ||
			    spec[i].required == VHU_PF_INFLIGHT_SHMFD ||
			    spec[i].required == VHU_PF_DEVICE_STATE)
				continue;
			go_to(rig, where);
			o = send_longer(rig, r, need ? NEED : 0, more);
			if (spec[i].answered) /* a u64, whatever its value */
				expect(rig, where, r, need, o == NACK ? ACK : o, ACK, "good");
			else
				expect(rig, where, r, need, o, need ? ACK : SILENCE, "good");
		}
	}
}

static void
good_messages_are_served(void **state)
{
	serve_good(*state, 0);
}

/* User-Mode Linux sends its whole structure, others the largest of their union. */
static void
long_payloads_are_served(void **state)
{
	serve_good(*state, 1);
	serve_good(*state, 264);
}

/* Bits that nobody has defined, and numbers where a truth is meant. */
static void
what_lib_vhost_ignores_is_ignored(void **state)
{
	struct rig *rig = *state;
	const uint64_t enable = 7ull << 32;
	struct vhu_vring_addr a = rig_addr(0);

	fe_start(rig);
	assert_int_equal(fe_u64(rig, VHU_SET_VRING_ENABLE, 0), ACK);
	assert_false(rig->ring[0]->enabled);
	assert_int_equal(fe_u64(rig, VHU_SET_VRING_ENABLE, enable), ACK);
	assert_true(rig->ring[0]->enabled);
	assert_int_equal(fe_u64(rig, VHU_SET_VRING_KICK, 0x10000 | VHU_FD_NONE), ACK);
	assert_int_equal(fe_u64(rig, VHU_SET_VRING_CALL, 0x200 | VHU_FD_NONE), ACK);
	a.flags = 0xfffffffe;
	a.log = UINT64_MAX; /* User-Mode Linux */
	assert_int_equal(fe_addr(rig, &a), ACK);
	assert_non_null(rig->ring[0]);
}

/* Values with which a message of the right shape is still wrong. */
static const struct {
	uint32_t request;
	uint64_t value;
} bad_values[] = {
	{ VHU_SET_FEATURES, VIRTQ_BIT(VIRTIO_NET_F_RSS) },
	{ VHU_SET_FEATURES, VIRTQ_BIT(VIRTIO_F_ACCESS_PLATFORM) },
	{ VHU_SET_FEATURES, UINT64_MAX },
	{ VHU_SET_PROTOCOL_FEATURES, VIRTQ_BIT(VHU_PF_INBAND_NOTIFICATIONS) },
	{ VHU_SET_PROTOCOL_FEATURES, UINT64_MAX },
	{ VHU_SET_VRING_NUM, 0 },
	{ VHU_SET_VRING_NUM, 32769ull << 32 },
	{ VHU_SET_VRING_NUM, 100ull << 32 },		/* split: no power of two */
	{ VHU_SET_VRING_NUM, 256ull << 32 | RIG_RINGS },
	{ VHU_SET_VRING_BASE, RIG_RINGS },
	{ VHU_SET_VRING_BASE, 0x10000 },		/* CVE-2020-10723: index cut to 16 bits */
	{ VHU_SET_VRING_NUM, 256ull << 32 | 0x10000 },
	{ VHU_SET_VRING_ENABLE, 1ull << 32 | 0x10000 },
	{ VHU_SET_VRING_ENABLE, 1ull << 32 | UINT32_MAX },
	{ VHU_SET_VRING_KICK, 0 },			/* fd missing */
	{ VHU_SET_VRING_KICK, 255 | VHU_FD_NONE },
	{ VHU_SET_VRING_CALL, RIG_RINGS | VHU_FD_NONE },
	{ VHU_SET_VRING_ERR, RIG_RINGS | VHU_FD_NONE },
	{ VHU_NET_SET_MTU, 67 },
	{ VHU_NET_SET_MTU, 65536 },
	{ VHU_SET_STATUS, 256 },
};

static void
bad_values_are_refused(void **state)
{
	struct rig *rig = *state;

	for (size_t i = 0; i < sizeof(bad_values) / sizeof(bad_values[0]); i++) {
		FOR_EACH_CELL(where, need) {
			uint32_t r = bad_values[i].request;
			struct vhu_msg m;

			if (where == FRESH && r == VHU_SET_VRING_NUM &&
			    bad_values[i].value == 100ull << 32)
				continue; /* might become a packed ring */
			go_to(rig, where);
			expect(rig, where, r, need,
			       fe_talk(rig, r, need ? NEED : 0, &bad_values[i].value, 8, NULL, 0,
				       &m), refusal(r, need, where), "bad value");
		}
	}
}

/* A refused message changes nothing. */
static void
refusal_keeps_the_state(void **state)
{
	struct rig *rig = *state;
	const struct virtq_ring *ring;

	fe_start(rig);
	ring = rig->ring[0];
	for (size_t i = 0; i < sizeof(bad_values) / sizeof(bad_values[0]); i++)
		assert_int_equal(fe_u64(rig, bad_values[i].request, bad_values[i].value), NACK);
	assert_ptr_equal(rig->ring[0], ring);
	assert_int_equal(rig->features, RIG_ACKED);
	assert_int_equal(fe_get(rig, VHU_GET_QUEUE_NUM), RIG_PAIRS);
	assert_int_equal(rig->downs, 0);
}

static void
get_vring_base_with_a_bad_index_closes(void **state)
{
	static const uint32_t bad[] = { RIG_RINGS, 255, 0x10000, UINT32_MAX };
	struct rig *rig = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		go_to(rig, RUNNING);
		assert_int_equal(fe_state(rig, VHU_GET_VRING_BASE, bad[i], 0), CLOSED);
	}
}

static void
answers_have_their_values(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(fe_get(rig, VHU_GET_FEATURES), RIG_FEATURES | VIRTQ_BIT(30));
	assert_int_equal(fe_get(rig, VHU_GET_PROTOCOL_FEATURES), 0x9b13f);
	fe_negotiate(rig, RIG_ACKED, VHOST_BE_PROTOCOL);
	assert_int_equal(fe_get(rig, VHU_GET_QUEUE_NUM), RIG_PAIRS);
	assert_int_equal(fe_get(rig, VHU_GET_MAX_MEM_SLOTS), 300);
}

/* The forms of an answer that says no. */
static void
refusals_have_their_form(void **state)
{
	static const uint8_t zeros[64];
	struct rig *rig = *state;
	struct vhu_msg m;

	fe_negotiate(rig, RIG_ACKED, VHOST_BE_PROTOCOL);
	fe_talk(rig, VHU_GET_CONFIG, 0, zeros, 36, NULL, 0, &m);
	assert_int_equal(m.hdr.size, 0);
	fe_talk(rig, VHU_GET_INFLIGHT_FD, 0, zeros, 24, NULL, 0, &m);
	assert_int_equal(m.hdr.size, 24);
	assert_int_equal(m.inflight.mmap_size, 0);
	fe_talk(rig, VHU_IOTLB_MSG, NEED, zeros, 32, NULL, 0, &m);
	assert_int_equal(m.u64, 1);
	fe_talk(rig, VHU_SET_DEVICE_STATE_FD, 0, zeros, 8, &rig->memfd, 1, &m);
	assert_int_equal(m.u64, 0x101);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_is_the_specification),
		RIG_TEST(short_payloads_close),
		RIG_TEST(long_payloads_are_served),
		RIG_TEST(wrong_fds_are_refused),
		RIG_TEST(requirements_are_checked),
		RIG_TEST(unserved_and_unknown_are_refused),
		RIG_TEST(good_messages_are_served),
		RIG_TEST(what_lib_vhost_ignores_is_ignored),
		RIG_TEST(bad_values_are_refused),
		RIG_TEST(refusal_keeps_the_state),
		RIG_TEST(get_vring_base_with_a_bad_index_closes),
		RIG_TEST(answers_have_their_values),
		RIG_TEST(refusals_have_their_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
