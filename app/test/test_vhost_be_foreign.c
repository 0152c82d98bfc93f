/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Front-ends other than QEMU, and guests that come from another driver or other arguments: what
 * DPDK's lib/vhost serves is served.
 */
#include <poll.h>
#include <sys/socket.h>

#include "rig_frontend.h"
#include "virtq_notify.h"
#include "virtq_shared.h"

#define AVAIL_IDX 0x1002
#define USED_IDX 0x2002

/* Features that only a guest of another driver has, or of other arguments. */
#define TOLERATED VIRTQ_BIT(VIRTIO_NET_F_STATUS)
#define FALLBACK (VIRTQ_BIT(VIRTIO_NET_F_CSUM) | VIRTQ_BIT(VIRTIO_F_IN_ORDER))

static void
store_idx(struct rig *rig, uint32_t ring, uint32_t at, uint16_t idx)
{
	*(uint16_t *)(void *)(rig->mem + ring * RIG_STRIDE + at) = idx;
}

/* What a front-end says and what the ring says, and where the device goes on. -1: not at all. */
static const struct {
	const char *what;
	uint32_t size;
	bool says;
	uint32_t base;
	uint16_t avail, used;
	int32_t start;
} bases[] = {
	{ "fresh", 256, true, 0, 0, 0, 0 },
	{ "fresh, nothing said", 256, false, 0, 0, 0, 0 },
	{ "QEMU: where the device stopped", 256, true, 1000, 1003, 1000, 1000 },
	{ "QEMU: nothing waits", 256, true, 1003, 1003, 1003, 1003 },
	{ "QEMU: a full ring", 256, true, 65500, 220, 65500, 65500 },
	{ "cloud-hypervisor: the driver's index", 256, true, 1003, 1003, 1000, 1000 },
	{ "StratoVirt: 0", 256, true, 0, 1003, 1000, 1000 },
	{ "Dragonball: nothing", 256, false, 0, 1003, 1000, 1000 },
	{ "0, and not far from it", 256, true, 0, 5, 3, 3 },
	{ "across the wrap", 256, true, 0, 2, 65534, 65534 },
	{ "a stale base ahead of all", 256, true, 4000, 1003, 1000, 1000 },
	{ "more than 16 bits", 256, true, 0x80008000, 1003, 1000, 1000 },
	{ "used up to nowhere: the base counts", 256, true, 0, 10, 700, 0 },
	{ "used up to nowhere: the base counts", 256, true, 100, 110, 700, 100 },
	{ "used up to nowhere, nothing said", 256, false, 0, 10, 700, 0 },
	{ "both are far from the driver", 256, true, 5000, 1003, 9000, -1 },
	{ "just too far", 256, true, 0, 1257, 1000, -1 },
};

static void
split_rings_go_on_where_they_were_used_up_to(void **state)
{
	struct rig *rig = *state;

	for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
		const struct vhu_mem_table t = rig_table();
		const struct vhu_vring_addr a = rig_addr(0);

		rig_connect(rig);
		store_idx(rig, 0, AVAIL_IDX, bases[i].avail);
		store_idx(rig, 0, USED_IDX, bases[i].used);
		fe_negotiate(rig, RIG_ACKED, VHOST_BE_PROTOCOL);
		assert_int_equal(fe_table(rig, &t, 1), ACK);
		assert_int_equal(fe_state(rig, VHU_SET_VRING_NUM, 0, bases[i].size), ACK);
		assert_int_equal(fe_addr(rig, &a), ACK);
		if (bases[i].says)
			assert_int_equal(fe_state(rig, VHU_SET_VRING_BASE, 0, bases[i].base), ACK);
		fe_fd(rig, VHU_SET_VRING_KICK, VHU_FD_NONE, -1);
		if ((rig->ring[0] != NULL) != (bases[i].start >= 0))
			fail_msg("%s (%zu): %s", bases[i].what, i, rig->log);
		if (bases[i].start < 0)
			continue;
		if (rig->vq[0]->cursor.avail_idx != bases[i].start ||
		    rig->vq[0]->cursor.used_idx != bases[i].start)
			fail_msg("%s (%zu): goes on at %u, %u", bases[i].what, i,
				 rig->vq[0]->cursor.avail_idx, rig->vq[0]->cursor.used_idx);
		assert_int_equal(fe_get_base(rig, 0), bases[i].start);
	}
}

/* 0 is what User-Mode Linux sends for a packed ring that is new. */
static void
a_packed_ring_that_was_never_used_starts_at_its_beginning(void **state)
{
	const uint64_t acked = RIG_ACKED | VIRTQ_BIT(VIRTIO_F_RING_PACKED);
	struct rig *rig = *state;
	const struct vhu_mem_table t = rig_table();
	const struct vhu_vring_addr a = rig_addr(0);
	struct vring_packed_desc *desc = (void *)rig->mem;

	fe_negotiate(rig, acked, VHOST_BE_PROTOCOL);
	assert_int_equal(fe_table(rig, &t, 1), ACK);
	assert_int_equal(fe_state(rig, VHU_SET_VRING_NUM, 0, 64), ACK);
	assert_int_equal(fe_addr(rig, &a), ACK);
	desc[0].flags = 1u << VRING_PACKED_DESC_F_AVAIL; /* the driver was quick */
	assert_int_equal(fe_state(rig, VHU_SET_VRING_BASE, 0, 0), ACK);
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_KICK, VHU_FD_NONE, -1), ACK);
	assert_true(rig->vq[0]->cursor.avail_wrap && rig->vq[0]->cursor.used_wrap);
	assert_int_equal(fe_get_base(rig, 0), 0x80008000);
	/* One that was used up to its end stands at 0 in its second round. */
	desc[63].flags = 1u << VRING_PACKED_DESC_F_AVAIL | 1u << VRING_PACKED_DESC_F_USED;
	assert_int_equal(fe_state(rig, VHU_SET_VRING_BASE, 0, 0), ACK);
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_KICK, VHU_FD_NONE, -1), ACK);
	assert_false(rig->vq[0]->cursor.avail_wrap || rig->vq[0]->cursor.used_wrap);
	assert_int_equal(fe_get_base(rig, 0), 0);
}

/* StratoVirt enables rings although it did not take bit 30. */
static void
rings_are_enabled_without_bit_30(void **state)
{
	const uint64_t acked = RIG_ACKED & ~VIRTQ_BIT(30);
	struct rig *rig = *state;
	const struct vhu_mem_table t = rig_table();

	assert_int_equal(fe_u64(rig, VHU_SET_FEATURES, acked), ACK);
	assert_int_equal(fe_table(rig, &t, 1), ACK);
	fe_ring(rig, 0);
	fe_ring(rig, 1);
	assert_true(rig->ring[1]->enabled);
	assert_int_equal(fe_state(rig, VHU_SET_VRING_ENABLE, 1, 1), ACK);
	assert_true(rig->ring[1]->enabled);
	assert_int_equal(fe_state(rig, VHU_SET_VRING_ENABLE, 1, 0), ACK);
	assert_false(rig->ring[1]->enabled);
	/* Saying the same again changes nothing; a new kick begins anew. */
	assert_int_equal(fe_u64(rig, VHU_SET_FEATURES, acked), ACK);
	assert_false(rig->ring[1]->enabled);
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_KICK, 1 | VHU_FD_NONE, -1), ACK);
	assert_true(rig->ring[1]->enabled);
}

/* A guest's firmware, then its system: neither the features nor the size need be the same. */
static void
disabled_rings_are_set_up_with_other_features(void **state)
{
	const uint64_t other = RIG_ACKED & ~VIRTQ_BIT(VIRTIO_NET_F_MRG_RXBUF);
	struct rig *rig = *state;

	fe_start(rig);
	assert_int_equal(fe_u64(rig, VHU_SET_FEATURES, other), NACK);
	assert_int_equal(fe_empty(rig, VHU_RESET_OWNER), ACK);
	assert_non_null(rig->ring[0]);
	assert_int_equal(fe_u64(rig, VHU_SET_FEATURES, other), ACK);
	assert_null(rig->ring[0]);
	assert_null(rig->ring[1]);
	assert_int_equal(rig->features, other);
	fe_ring(rig, 0);
	assert_non_null(rig->ring[0]);
	assert_int_equal(rig->ring[0]->features, other);
	assert_false(rig->ring[0]->enabled);
	assert_int_equal(fe_state(rig, VHU_SET_VRING_ENABLE, 0, 1), ACK);
	assert_true(rig->ring[0]->enabled);
	/* What a running ring depends on cannot be switched under it. */
	assert_int_equal(fe_u64(rig, VHU_SET_FEATURES, RIG_ACKED), NACK);
}

static uint64_t
offer_of(struct rig *rig)
{
	rig_connect(rig);
	return fe_get(rig, VHU_GET_FEATURES) & ~VIRTQ_BIT(30);
}

static void
listen_with_guests_of_others(struct rig *rig)
{
	struct vhost_be_config cfg = rig_config(rig);
	char err[200];

	cfg.tolerated = TOLERATED;
	cfg.fallback = FALLBACK;
	assert_int_equal(try_new(rig, &cfg, err), 0);
}

static void
features_of_other_arguments_are_taken(void **state)
{
	struct rig *rig = *state;

	listen_with_guests_of_others(rig);
	assert_int_equal(offer_of(rig), RIG_FEATURES);
	assert_int_equal(fe_u64(rig, VHU_SET_FEATURES, RIG_ACKED | TOLERATED | FALLBACK), ACK);
	assert_int_equal(rig->features, RIG_ACKED | TOLERATED | FALLBACK);
	assert_int_equal(fe_u64(rig, VHU_SET_PROTOCOL_FEATURES, VHOST_BE_PROTOCOL), ACK);
	rig->log[0] = '\0';
	assert_int_equal(fe_u64(rig, VHU_SET_FEATURES, RIG_ACKED | VIRTQ_BIT(60)), NACK);
	assert_non_null(strstr(rig->log, "that are not served: VIRTIO_NET_F_RSS"));
}

/* cloud-hypervisor sets what it agreed on with another driver, and does not ask again. */
static void
protocol_features_of_another_driver_are_taken(void **state)
{
	const uint64_t of_lib_vhost = 0xcbf;
	struct rig *rig = *state;
	const uint64_t offered = fe_get(rig, VHU_GET_PROTOCOL_FEATURES);

	assert_int_equal(offered, VHOST_BE_PROTOCOL);
	assert_false(offered & VIRTQ_BIT(VHU_PF_HOST_NOTIFIER));
	assert_int_equal(fe_u64(rig, VHU_SET_PROTOCOL_FEATURES, of_lib_vhost), ACK);
	assert_int_equal(rig->protocol, of_lib_vhost & VHOST_BE_PROTOCOL);
	assert_int_equal(fe_u64(rig, VHU_SET_PROTOCOL_FEATURES,
				VIRTQ_BIT(VHU_PF_REPLY_ACK) | VIRTQ_BIT(VHU_PF_CONFIG)), NACK);
}

/* QEMU compares, and leaves without a word. */
static void
a_front_end_that_leaves_is_offered_more(void **state)
{
	struct rig *rig = *state;

	listen_with_guests_of_others(rig);
	/* Somebody who only looks. */
	assert_int_equal(offer_of(rig), RIG_FEATURES);
	assert_int_equal(offer_of(rig), RIG_FEATURES);
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_CALL, 0, rig->call[0]), ACK);
	assert_int_equal(offer_of(rig), RIG_FEATURES | FALLBACK);
	assert_null(strstr(rig->log, "load its driver anew"));
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_CALL, 0, rig->call[0]), ACK);
	assert_int_equal(offer_of(rig), RIG_FEATURES | FALLBACK);
	assert_non_null(strstr(rig->log, "the front-end left when it knew the features: its guest "
			       "may have some that are not served, and has to load its driver "
			       "anew"));
	/* One that is content: from then on as before. */
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_CALL, 0, rig->call[0]), ACK);
	assert_int_equal(fe_u64(rig, VHU_SET_FEATURES, RIG_ACKED | FALLBACK), ACK);
	assert_int_equal(offer_of(rig), RIG_FEATURES);
	/* However often it comes back, the log is not filled. */
	for (int i = 0; i < 10; i++) {
		assert_int_equal(fe_fd(rig, VHU_SET_VRING_CALL, 0, rig->call[0]), ACK);
		rig->log[0] = '\0';
		offer_of(rig);
	}
	assert_null(strstr(rig->log, "load its driver anew"));
}

static bool
is_readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

/* Bytes that wait in a pipe for at most so long; a blocking reader's view of them. */
static ssize_t
take_call(int fd, int ms)
{
	uint64_t value[8] = { 0 };

	return is_readable(fd, ms) ? read(fd, value, sizeof(value)) : -1;
}

/* The second is the end that is written. */
typedef void open_fn(int fd[2], int flags);

static void
open_pipe(int fd[2], int flags)
{
	assert_int_equal(pipe2(fd, O_CLOEXEC | flags), 0);
}

/* As User-Mode Linux has it. */
static void
open_sockets(int fd[2], int flags)
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	for (int i = 0; i < 2; i++)
		fcntl(fd[i], F_SETFL, flags);
}

/* A driver that waits on these, and may go at any time. */
static void
check_called_through(struct rig *rig, open_fn *open_ends)
{
	int p[2], q[2];

	fe_start(rig);
	open_ends(p, O_NONBLOCK);
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_CALL, 0, p[1]), ACK);
	close(p[1]);
	assert_int_equal(take_call(p[0], 5000), 8); /* what came before may have been missed */
	virtq_notify(rig->ring[0]->callfd);
	assert_int_equal(take_call(p[0], 5000), 8);
	/* Replaced: the old one is let go. */
	open_ends(q, 0);
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_CALL, 0, q[1]), ACK);
	close(q[1]);
	assert_int_equal(take_call(p[0], 5000), 0);
	assert_int_equal(take_call(q[0], 5000), 8);
	/* Without a reader no signal kills this process. */
	close(q[0]);
	virtq_notify(rig->ring[0]->callfd);
	virtq_notify(rig->ring[0]->callfd);
	close(p[0]);
	open_ends(p, 0);
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_CALL, 1, p[1]), ACK);
	close(p[1]);
	assert_int_equal(take_call(p[0], 5000), 8);
	rig_disconnect(rig);
	assert_int_equal(take_call(p[0], 5000), 0);
	close(p[0]);
}

static void
drivers_are_called_through_a_pipe(void **state)
{
	check_called_through(*state, open_pipe);
}

static void
drivers_are_called_through_a_socket(void **state)
{
	check_called_through(*state, open_sockets);
}

/* A pipe that nobody empties holds a thread, not the port; and only so many. */
static void
full_pipes_hold_nobody_up(void **state)
{
	static const uint8_t bytes[65536];
	int p[VHOST_BE_RELAY_MAX + 1][2];
	struct rig *rig = *state;
	const uint64_t began = evloop_now_ns();

	fe_start(rig);
	for (int i = 0; i <= VHOST_BE_RELAY_MAX; i++) {
		assert_int_equal(pipe2(p[i], O_CLOEXEC | O_NONBLOCK), 0);
		while (write(p[i][1], bytes, sizeof(bytes)) > 0)
			;
		fcntl(p[i][1], F_SETFL, 0);
		assert_int_equal(fe_fd(rig, VHU_SET_VRING_CALL, 0, p[i][1]),
				 i < VHOST_BE_RELAY_MAX ? ACK : NACK);
		close(p[i][1]);
		/* Until the thread waits: it has taken the first signal, and writes. */
		for (int k = 0; k < 5000 && is_readable(rig->ring[0]->callfd, 0); k++)
			usleep(1000);
		usleep(1000);
	}
	assert_int_equal(fe_get(rig, VHU_GET_QUEUE_NUM), RIG_PAIRS);
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_CALL, 0, rig->call[0]), ACK);
	assert_true(evloop_now_ns() - began < 2000000000);
	/* They go with their readers. */
	for (int i = 0; i <= VHOST_BE_RELAY_MAX; i++)
		close(p[i][0]);
	for (int i = 0; i < 5000 && open_fds() != rig->fds_before + 17; i++)
		usleep(1000);
	assert_int_equal(pipe2(p[0], O_CLOEXEC), 0);
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_CALL, 1, p[0][1]), ACK);
	close(p[0][1]);
	assert_int_equal(take_call(p[0][0], 5000), 8);
	rig_disconnect(rig);
	assert_int_equal(take_call(p[0][0], 5000), 0);
	close(p[0][0]);
}

/* A socket that nobody empties holds its thread as long as the ring has it, and no longer. */
static void
full_sockets_are_let_go(void **state)
{
	struct rig *rig = *state;
	const int least = 1;
	int s[2], idle;

	fe_start(rig);
	open_sockets(s, 0);
	assert_int_equal(setsockopt(s[1], SOL_SOCKET, SO_SNDBUF, &least, sizeof(least)), 0);
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_CALL, 0, rig->call[0]), ACK);
	idle = open_fds();
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_CALL, 0, s[1]), ACK);
	for (int k = 0; k < 100; k++) {
		virtq_notify(rig->ring[0]->callfd);
		usleep(500);
	}
	assert_true(is_readable(rig->ring[0]->callfd, 0)); /* the thread waits */
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_CALL, 0, rig->call[0]), ACK);
	for (int k = 0; k < 1000 && open_fds() != idle; k++)
		usleep(1000);
	assert_int_equal(open_fds(), idle);
	close(s[0]);
	close(s[1]);
}

/* What is known of a file's disk is not looked up for each of its files. */
static void
check_one_look(int fd)
{
	struct virtq_mem_kind_last last = { 0 };

	assert_true(virtq_mem_kind_is_local(fd, &last));
	if (last.major == 0)
		return; /* of no disk: always looked up */
	assert_true(last.local);
	last.local = false;
	assert_false(virtq_mem_kind_is_local(fd, &last));
	last.minor++;
	assert_true(virtq_mem_kind_is_local(fd, &last));
}

/* Guest memory in an ordinary file, beside a memfd. */
static void
memory_is_an_ordinary_file(void **state)
{
	struct rig *rig = *state;
	const struct vhu_mem_table t = rig_table();
	const int memfd = rig->memfd;
	char path[64];

	snprintf(path, sizeof(path), "%s/ram", rig->dir);
	rig->memfd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(rig->memfd >= 0);
	unlink(path);
	assert_int_equal(ftruncate(rig->memfd, RIG_MEM), 0);
	fe_negotiate(rig, RIG_ACKED, VHOST_BE_PROTOCOL);
	assert_int_equal(fe_table(rig, &t, 1), ACK);
	fe_ring(rig, 0);
	assert_non_null(rig->ring[0]);
	check_one_look(rig->memfd);
	close(rig->memfd);
	rig->memfd = memfd;
	assert_int_equal(fe_region(rig, VHU_ADD_MEM_REG, RIG_GPA + 2 * RIG_MEM,
				   RIG_UVA + 2 * RIG_MEM, 4096, 0), ACK);
	assert_non_null(rig->ring[0]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(split_rings_go_on_where_they_were_used_up_to),
		RIG_TEST(a_packed_ring_that_was_never_used_starts_at_its_beginning),
		RIG_TEST(rings_are_enabled_without_bit_30),
		RIG_TEST(disabled_rings_are_set_up_with_other_features),
		BARE_TEST(features_of_other_arguments_are_taken),
		RIG_TEST(protocol_features_of_another_driver_are_taken),
		BARE_TEST(a_front_end_that_leaves_is_offered_more),
		RIG_TEST(drivers_are_called_through_a_pipe),
		RIG_TEST(drivers_are_called_through_a_socket),
		RIG_TEST(full_pipes_hold_nobody_up),
		RIG_TEST(full_sockets_are_let_go),
		RIG_TEST(memory_is_an_ordinary_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
