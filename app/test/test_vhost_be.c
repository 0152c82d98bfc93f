/* SPDX-License-Identifier: BSD-3-Clause */
/* Sessions: when rings start, change and stop, and what a connection leaves behind. */
#include "rig_frontend.h"

/* The order of messages seen from QEMU 7.2: channel, calls and enables before anything else. */
static void
qemu_order(void **state)
{
	const struct vhu_vring_addr addr[2] = { rig_addr(0), rig_addr(1) };
	struct rig *rig = *state;
	const struct vhu_mem_table t = rig_table();
	struct vhu_msg m;
	int chan[2];

	assert_true(fe_get(rig, VHU_GET_FEATURES) & VIRTQ_BIT(30));
	fe_get(rig, VHU_GET_PROTOCOL_FEATURES);
	assert_int_equal(fe_u64(rig, VHU_SET_PROTOCOL_FEATURES, VHOST_BE_PROTOCOL), ACK);
	fe_get(rig, VHU_GET_QUEUE_NUM);
	assert_true(fe_get(rig, VHU_GET_MAX_MEM_SLOTS) >= 256);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, chan), 0);
	assert_int_equal(fe_talk(rig, VHU_SET_BACKEND_REQ_FD, NEED, NULL, 0, chan, 1, &m), ACK);
	close(chan[0]);
	assert_int_equal(fe_talk(rig, VHU_SET_OWNER, 0, NULL, 0, NULL, 0, &m), SILENCE);
	fe_get(rig, VHU_GET_FEATURES);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(fe_fd(rig, VHU_SET_VRING_CALL, i, rig->call[i]), ACK);
		assert_int_equal(fe_fd(rig, VHU_SET_VRING_ERR, i, rig->call[i]), ACK);
	}
	for (uint32_t i = 0; i < 2; i++)
		assert_int_equal(fe_state(rig, VHU_SET_VRING_ENABLE, i, 1), ACK);

	/* The driver is ready. */
	assert_int_equal(fe_u64(rig, VHU_SET_FEATURES, RIG_ACKED), ACK);
	assert_int_equal(fe_table(rig, &t, 1), ACK);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(fe_state(rig, VHU_SET_VRING_NUM, i, RIG_SIZE), ACK);
		assert_int_equal(fe_state(rig, VHU_SET_VRING_BASE, i, 0), ACK);
		assert_int_equal(fe_addr(rig, &addr[i]), ACK);
		assert_null(rig->ring[i]);
		assert_int_equal(fe_fd(rig, VHU_SET_VRING_KICK, i, rig->call[2]), ACK);
		assert_non_null(rig->ring[i]);
		assert_true(rig->ring[i]->enabled);
		assert_int_equal(fe_fd(rig, VHU_SET_VRING_CALL, i, rig->call[i]), ACK);
	}
	assert_int_equal(fe_u64(rig, VHU_SET_STATUS, 0xf), ACK);
	assert_int_equal(fe_get(rig, VHU_GET_STATUS), 0xf);

	/* The guest reboots. */
	assert_int_equal(fe_state(rig, VHU_SET_VRING_ENABLE, 0, 0), ACK);
	assert_false(rig->ring[0]->enabled);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(fe_get_base(rig, i), 0);
		assert_null(rig->ring[i]);
	}
	assert_int_equal(fe_u64(rig, VHU_SET_STATUS, 0), ACK);
	assert_int_equal(rig->features, 0);
	assert_int_equal(rig->protocol, VHOST_BE_PROTOCOL);
	close(chan[1]);
}

/* DPDK's virtio-user: calls when the device starts, memory after features, enables last. */
static void
virtio_user_order(void **state)
{
	struct rig *rig = *state;
	const struct vhu_mem_table t = rig_table();

	assert_int_equal(fe_empty(rig, VHU_SET_OWNER), ACK);
	fe_get(rig, VHU_GET_FEATURES);
	fe_get(rig, VHU_GET_PROTOCOL_FEATURES);
	assert_int_equal(fe_u64(rig, VHU_SET_PROTOCOL_FEATURES, 0x10009), ACK);
	fe_get(rig, VHU_GET_QUEUE_NUM);
	assert_int_equal(fe_u64(rig, VHU_SET_STATUS, 0), ACK);
	assert_int_equal(fe_u64(rig, VHU_SET_STATUS, 3), ACK);
	assert_int_equal(fe_u64(rig, VHU_SET_FEATURES, RIG_ACKED), ACK);
	assert_int_equal(fe_u64(rig, VHU_SET_STATUS, 0xb), ACK);
	assert_int_equal(fe_get(rig, VHU_GET_STATUS), 0xb);
	for (uint32_t i = 0; i < 2; i++)
		assert_int_equal(fe_fd(rig, VHU_SET_VRING_CALL, i, rig->call[i]), ACK);
	assert_int_equal(fe_table(rig, &t, 1), ACK);
	for (uint32_t i = 0; i < 2; i++)
		fe_ring(rig, i);
	assert_non_null(rig->ring[1]);
	assert_false(rig->ring[1]->enabled);
	for (uint32_t i = 0; i < 2; i++)
		assert_int_equal(fe_state(rig, VHU_SET_VRING_ENABLE, i, 1), ACK);
	assert_int_equal(fe_u64(rig, VHU_SET_STATUS, 0xf), ACK);
	assert_true(rig->ring[0]->enabled && rig->ring[1]->enabled);
}

static void
send_step(struct rig *rig, int step)
{
	const struct vhu_mem_table t = rig_table();
	const struct vhu_vring_addr a = rig_addr(0);

	switch (step) {
	case 0: assert_int_equal(fe_u64(rig, VHU_SET_FEATURES, RIG_ACKED), ACK); break;
	case 1: assert_int_equal(fe_table(rig, &t, 1), ACK); break;
	case 2: assert_int_equal(fe_state(rig, VHU_SET_VRING_NUM, 0, RIG_SIZE), ACK); break;
	case 3: assert_int_equal(fe_state(rig, VHU_SET_VRING_BASE, 0, 77), ACK); break;
	case 4: assert_int_equal(fe_addr(rig, &a), ACK); break;
	case 5: assert_int_equal(fe_fd(rig, VHU_SET_VRING_KICK, 0, rig->call[1]), ACK); break;
	case 6: assert_int_equal(fe_fd(rig, VHU_SET_VRING_CALL, 0, rig->call[0]), ACK); break;
	case 7: assert_int_equal(fe_state(rig, VHU_SET_VRING_ENABLE, 0, 1), ACK); break;
	default: assert_int_equal(fe_empty(rig, VHU_SET_OWNER), ACK); break;
	}
}

static void
any_order(void **state)
{
	struct rig *rig = *state;
	uint32_t seed = 1;

	*(uint16_t *)(void *)(rig->mem + 0x1002) = 80; /* avail idx: where the driver stands */
	*(uint16_t *)(void *)(rig->mem + 0x2002) = 77; /* used idx: where a device stopped */
	for (int round = 0; round < 500; round++) {
		int steps[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8 };

		rig_connect(rig);
		assert_int_equal(fe_u64(rig, VHU_SET_PROTOCOL_FEATURES, VHOST_BE_PROTOCOL), ACK);
		for (int n = 9; n > 0; n--) {
			int at;

			seed = seed * 1103515245 + 12345;
			at = (int)(seed >> 16) % n;
			send_step(rig, steps[at]);
			steps[at] = steps[n - 1];
		}
		assert_non_null(rig->ring[0]);
		assert_true(rig->ring[0]->enabled);
		assert_true(rig->ring[0]->callfd >= 0);
		assert_int_equal(rig->vq[0]->cursor.avail_idx, 77);
	}
}

static void
ring_waits_for_each_part(void **state)
{
	struct rig *rig = *state;

	for (int missing = 0; missing < 6; missing++) {
		if (missing == 3)
			continue; /* the base: 0 is as good as any */
		rig_connect(rig);
		assert_int_equal(fe_u64(rig, VHU_SET_PROTOCOL_FEATURES, VHOST_BE_PROTOCOL), ACK);
		for (int step = 0; step < 6; step++)
			if (step != missing && step != 3)
				send_step(rig, step);
		assert_null(rig->ring[0]);
		send_step(rig, missing);
		assert_non_null(rig->ring[0]);
	}
}

static void
without_bit_30_rings_are_enabled_at_once(void **state)
{
	const uint64_t acked = RIG_ACKED & ~VIRTQ_BIT(30);
	struct rig *rig = *state;
	const struct vhu_mem_table t = rig_table();

	assert_int_equal(fe_u64(rig, VHU_SET_FEATURES, acked), ACK);
	assert_int_equal(fe_table(rig, &t, 1), ACK);
	fe_ring(rig, 1);
	assert_true(rig->ring[1]->enabled);
}

static void
features_stay_while_rings_run(void **state)
{
	struct rig *rig = *state;

	fe_start(rig);
	assert_int_equal(fe_u64(rig, VHU_SET_FEATURES, RIG_ACKED), ACK);
	assert_int_equal(fe_u64(rig, VHU_SET_FEATURES, RIG_ACKED | VIRTQ_BIT(34)), NACK);
	assert_int_equal(fe_u64(rig, VHU_SET_FEATURES, RIG_ACKED & ~VIRTQ_BIT(32)), NACK);
	assert_int_equal(rig->features, RIG_ACKED);
	/* FEATURES_OK does not stay with features that were refused. */
	assert_int_equal(fe_u64(rig, VHU_SET_STATUS, 0xf), ACK);
	assert_int_equal(fe_get(rig, VHU_GET_STATUS), 0x7);
	fe_get_base(rig, 0);
	fe_get_base(rig, 1);
	assert_int_equal(fe_u64(rig, VHU_SET_FEATURES, RIG_ACKED | VIRTQ_BIT(34)), ACK);
	assert_int_equal(fe_get(rig, VHU_GET_STATUS), 0xf);
}

static void
get_vring_base_stops_the_ring(void **state)
{
	struct rig *rig = *state;

	fe_start(rig);
	rig->vq[0]->cursor.avail_idx = 1234;
	assert_int_equal(fe_get_base(rig, 0), 1234);
	assert_null(rig->ring[0]);
	assert_non_null(rig->ring[1]);
	assert_int_equal(fe_get_base(rig, 0), 1234);
	/* Of a ring that never ran: what was set, or the beginning. */
	assert_int_equal(fe_get_base(rig, 2), 0);
	assert_int_equal(fe_state(rig, VHU_SET_VRING_BASE, 3, 42), ACK);
	assert_int_equal(fe_get_base(rig, 3), 42);
	/* It needs a new kick, and goes on where it stood. */
	assert_int_equal(fe_state(rig, VHU_SET_VRING_ENABLE, 0, 0), ACK);
	assert_null(rig->ring[0]);
	*(uint16_t *)(void *)(rig->mem + 0x1002) = 1300;
	*(uint16_t *)(void *)(rig->mem + 0x2002) = 1234;
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_KICK, VHU_FD_NONE, -1), ACK);
	assert_non_null(rig->ring[0]);
	assert_int_equal(rig->vq[0]->cursor.avail_idx, 1234);
	assert_int_equal(rig->ring[0]->callfd, -1);
}

/* No base was ever set: it is known all the same once the ring ran. */
static void
a_ring_that_stops_remembers_where(void **state)
{
	struct rig *rig = *state;

	fe_negotiate(rig, RIG_ACKED, VHOST_BE_PROTOCOL);
	for (int step = 1; step < 6; step++)
		if (step != 3)
			send_step(rig, step);
	assert_non_null(rig->ring[0]);
	rig->vq[0]->cursor.avail_idx = 55;
	assert_int_equal(fe_get_base(rig, 0), 55);
}

static void
packed_rings_have_both_halves_of_a_base(void **state)
{
	const uint64_t acked = RIG_ACKED | VIRTQ_BIT(VIRTIO_F_RING_PACKED);
	struct rig *rig = *state;
	const struct vhu_mem_table t = rig_table();

	fe_negotiate(rig, acked, VHOST_BE_PROTOCOL);
	assert_int_equal(fe_get_base(rig, 0), 0x80008000);
	assert_int_equal(fe_table(rig, &t, 1), ACK);
	assert_int_equal(fe_state(rig, VHU_SET_VRING_NUM, 0, 100), ACK);
	assert_int_equal(fe_state(rig, VHU_SET_VRING_BASE, 0, 0x8005u << 16 | 0x8007), ACK);
	send_step(rig, 4);
	send_step(rig, 5);
	assert_non_null(rig->ring[0]);
	assert_true(rig->ring[0]->packed);
	assert_int_equal(rig->vq[0]->cursor.used_idx, 5);
	assert_int_equal(fe_get_base(rig, 0), 0x80058007);
	/* A slot outside of the ring: it does not start, and whoever asks hears so. */
	assert_int_equal(fe_state(rig, VHU_SET_VRING_BASE, 0, 100), ACK);
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_KICK, VHU_FD_NONE, -1), NACK);
	assert_null(rig->ring[0]);
	assert_int_equal(fe_state(rig, VHU_SET_VRING_BASE, 0, 99), ACK);
	assert_non_null(rig->ring[0]);
}

static void
split_base_far_from_the_driver_is_refused(void **state)
{
	struct rig *rig = *state;

	fe_start(rig);
	*(uint16_t *)(void *)(rig->mem + 0x2002) = 500;
	assert_int_equal(fe_state(rig, VHU_SET_VRING_BASE, 0, 1000), NACK);
	assert_null(rig->ring[0]);
	assert_int_equal(fe_state(rig, VHU_SET_VRING_BASE, 0, 0), ACK);
	assert_non_null(rig->ring[0]);
}

static void
restated_addresses_keep_the_cursors(void **state)
{
	const struct vhu_vring_addr same = rig_addr(0), other = rig_addr(3);
	struct rig *rig = *state;
	const struct virtq_ring *ring;
	struct vhu_vring_addr a;

	fe_start(rig);
	ring = rig->ring[0];
	rig->vq[0]->cursor.avail_idx = 99;
	assert_int_equal(fe_addr(rig, &same), ACK);
	assert_ptr_not_equal(rig->ring[0], ring);
	assert_int_equal(rig->vq[0]->cursor.avail_idx, 99);
	a = other;
	a.index = 0;
	assert_int_equal(fe_addr(rig, &a), ACK);
	assert_int_equal(rig->vq[0]->cursor.avail_idx, 99);
	assert_int_equal(fe_get_base(rig, 0), 99);
}

/* Addresses that cannot be right, as changes of ring 0; and whether they are so whatever the
 * memory: then they are not even remembered.
 */
static const struct {
	const char *what;
	struct vhu_vring_addr a;
	bool always;
} bad_addrs[] = {
	{ "desc not aligned", { .desc = RIG_UVA + 8, .avail = RIG_UVA + 0x1000,
				.used = RIG_UVA + 0x2000 }, true },
	{ "avail not aligned", { .desc = RIG_UVA, .avail = RIG_UVA + 0x1001,
				 .used = RIG_UVA + 0x2000 }, true },
	{ "used not aligned", { .desc = RIG_UVA, .avail = RIG_UVA + 0x1000,
				.used = RIG_UVA + 0x2002 }, true },
	{ "desc unmapped", { .desc = RIG_UVA - 0x10000, .avail = RIG_UVA + 0x1000,
			     .used = RIG_UVA + 0x2000 }, false },
	{ "used crosses the end", { .desc = RIG_UVA, .avail = RIG_UVA + 0x1000,
				    .used = RIG_UVA + RIG_MEM - 16 }, false },
	{ "avail wraps", { .desc = RIG_UVA, .avail = UINT64_MAX - 1,
			   .used = RIG_UVA + 0x2000 }, false },
	{ "desc and avail overlap", { .desc = RIG_UVA, .avail = RIG_UVA + 16,
				      .used = RIG_UVA + 0x2000 }, false },
	{ "all the same", { .desc = RIG_UVA, .avail = RIG_UVA, .used = RIG_UVA }, false },
	{ "guest-physical", { .desc = RIG_GPA, .avail = RIG_GPA + 0x1000,
			      .used = RIG_GPA + 0x2000 }, false },
};

static void
bad_addresses_on_a_running_ring(void **state)
{
	const struct vhu_vring_addr good = rig_addr(0);
	struct rig *rig = *state;

	fe_start(rig);
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_ERR, 0, rig->call[3]), ACK);
	for (size_t i = 0; i < sizeof(bad_addrs) / sizeof(bad_addrs[0]); i++) {
		rig->vq[0]->cursor.avail_idx = 7;
		*(uint16_t *)(void *)(rig->mem + 0x1002) = 9;
		*(uint16_t *)(void *)(rig->mem + 0x2002) = 7;
		if (fe_addr(rig, &bad_addrs[i].a) != NACK)
			fail_msg("%s", bad_addrs[i].what);
		assert_int_equal(rig->ring[0] != NULL, bad_addrs[i].always);
		assert_int_equal(signals(rig->call[3]), bad_addrs[i].always ? 0 : 1);
		assert_non_null(rig->ring[1]);
		assert_int_equal(fe_addr(rig, &good), ACK);
		assert_non_null(rig->ring[0]);
		assert_int_equal(rig->vq[0]->cursor.avail_idx, 7);
	}
}

static void
bad_addresses_before_the_start(void **state)
{
	struct rig *rig = *state;
	const struct vhu_mem_table t = rig_table();

	for (size_t i = 0; i < sizeof(bad_addrs) / sizeof(bad_addrs[0]); i++) {
		rig_connect(rig);
		fe_negotiate(rig, RIG_ACKED, VHOST_BE_PROTOCOL);
		assert_int_equal(fe_table(rig, &t, 1), ACK);
		assert_int_equal(fe_state(rig, VHU_SET_VRING_NUM, 0, RIG_SIZE), ACK);
		if (fe_addr(rig, &bad_addrs[i].a) != NACK)
			fail_msg("%s", bad_addrs[i].what);
		assert_int_equal(fe_fd(rig, VHU_SET_VRING_KICK, VHU_FD_NONE, -1),
				 bad_addrs[i].always ? ACK : NACK);
		assert_null(rig->ring[0]);
		send_step(rig, 4);
		assert_non_null(rig->ring[0]);
	}
}

static void
another_size_is_another_ring(void **state)
{
	const struct vhu_vring_addr a = rig_addr(0);
	struct rig *rig = *state;

	fe_start(rig);
	assert_int_equal(fe_state(rig, VHU_SET_VRING_NUM, 0, RIG_SIZE), ACK);
	assert_int_equal(rig->ring[0]->size, RIG_SIZE);
	assert_int_equal(fe_state(rig, VHU_SET_VRING_NUM, 0, RIG_SIZE / 2), ACK);
	assert_null(rig->ring[0]);
	assert_int_equal(fe_addr(rig, &a), ACK);
	assert_int_equal(rig->ring[0]->size, RIG_SIZE / 2);
}

/* Each change of memory interrupts all lcores: no peer may cause that as often as it likes. */
static void
flood_has_to_rest(void **state)
{
	struct rig *rig = *state;
	struct {
		struct vhu_hdr hdr;
		struct vhu_vring_state state;
	} m = { { VHU_SET_VRING_NUM, VHU_VERSION, sizeof(m.state) }, { 2, 256 } };
	const uint64_t start = evloop_now_ns();
	struct vhost_be_info info;
	uint64_t ms;

	fe_start(rig);
	while (evloop_now_ns() - start < 400000000) {
		while (send(rig->fe, &m, sizeof(m), MSG_DONTWAIT) == sizeof(m))
			;
		evloop_step(rig->loop, 1);
	}
	ms = (evloop_now_ns() - start) / 1000000;
	vhost_be_get_info(rig->be, &info);
	assert_uint_in_range(info.messages, VHU_CONN_CREDIT,
			VHU_CONN_CREDIT + ms * VHU_CONN_PER_SECOND / 1000 + 1);
	assert_int_equal(rig->downs, 0);
}

static void
broken_ring_waits_for_base_and_kick(void **state)
{
	struct rig *rig = *state;

	fe_start(rig);
	rig->vq[0]->cursor.broken = VIRTQ_E_BAD_HEAD;
	evloop_step(rig->loop, 1100); /* nothing happens but the tick */
	assert_null(rig->ring[0]);
	assert_non_null(rig->ring[1]);
	assert_non_null(strstr(rig->log, "ring 0 stopped"));
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_KICK, VHU_FD_NONE, -1), ACK);
	assert_null(rig->ring[0]);
	assert_int_equal(fe_state(rig, VHU_SET_VRING_BASE, 0, 0), ACK);
	assert_null(rig->ring[0]);
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_KICK, VHU_FD_NONE, -1), ACK);
	assert_non_null(rig->ring[0]);
	assert_int_equal(rig->vq[0]->cursor.broken, VIRTQ_OK);

	/* Found by a message before the tick. */
	rig->vq[0]->cursor.broken = VIRTQ_E_CHAIN_LOOP;
	fe_get_base(rig, 0);
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_KICK, VHU_FD_NONE, -1), ACK);
	assert_non_null(rig->ring[0]);
	assert_int_equal(rig->downs, 0);
}

static void
reset_keeps_memory_and_channel(void **state)
{
	static const uint32_t how[] = { VHU_RESET_DEVICE, VHU_SET_STATUS };
	struct rig *rig = *state;
	struct vhu_msg m;
	int chan[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, chan), 0);
	fe_start(rig);
	assert_int_equal(fe_talk(rig, VHU_SET_BACKEND_REQ_FD, NEED, NULL, 0, chan, 1, &m), ACK);
	close(chan[0]);
	for (int i = 0; i < 2; i++) {
		const struct virtq_mem *mem = vhost_be_get_mem(rig->be);

		assert_int_equal(how[i] == VHU_SET_STATUS ? fe_u64(rig, how[i], 0) :
							    fe_empty(rig, how[i]), ACK);
		assert_null(rig->ring[0]);
		assert_null(rig->ring[1]);
		assert_int_equal(rig->features, 0);
		assert_ptr_equal(vhost_be_get_mem(rig->be), mem);
		assert_int_equal(send(chan[1], "", 0, MSG_NOSIGNAL), 0);
		/* From there everything begins again, without a memory table. */
		assert_int_equal(fe_u64(rig, VHU_SET_FEATURES, RIG_ACKED), ACK);
		fe_ring(rig, 0);
		assert_non_null(rig->ring[0]);
		assert_false(rig->ring[0]->enabled);
	}
	close(chan[1]);
}

/* QEMU 7.2 has the device reset when a guest is stopped, and asks for the positions after that. */
static void
a_reset_leaves_positions_to_be_asked_for(void **state)
{
	static const uint64_t layouts[] = { 0, VIRTQ_BIT(VIRTIO_F_RING_PACKED) };
	static const uint32_t bases[] = { 9, 0x80098009 };
	struct rig *rig = *state;

	for (int i = 0; i < 2; i++) {
		fe_start(rig);
		assert_int_equal(fe_u64(rig, VHU_SET_STATUS, 0), ACK);
		assert_int_equal(fe_u64(rig, VHU_SET_FEATURES, RIG_ACKED | layouts[i]), ACK);
		fe_ring(rig, 0);
		rig->vq[0]->cursor.avail_idx = rig->vq[0]->cursor.used_idx = 9;
		assert_int_equal(fe_u64(rig, VHU_SET_STATUS, 0), ACK);
		assert_null(rig->ring[0]);
		assert_int_equal(fe_get_base(rig, 0), bases[i]);
		/* A ring that starts anew without a base begins at the beginning all the same. */
		assert_int_equal(fe_empty(rig, VHU_RESET_DEVICE), ACK);
		assert_int_equal(fe_get_base(rig, 0), bases[i]);
		assert_int_equal(fe_state(rig, VHU_SET_VRING_BASE, 0, 3), ACK);
		assert_int_equal(fe_get_base(rig, 0), 3);
		rig_disconnect(rig);
		rig_connect(rig);
	}
}

/* QEMU gives the base of the start when the back-end was killed; the ring is in its second lap. */
static void
a_packed_ring_goes_on_where_its_entries_say(void **state)
{
	const uint64_t packed = VIRTQ_BIT(VIRTIO_F_RING_PACKED);
	struct rig *rig = *state;
	struct vring_packed_desc *entry = (void *)rig->mem;

	for (uint32_t i = 0; i < RIG_SIZE; i++) /* 100 used, 20 available, the others of lap 1 */
		entry[i].flags = i < 100 ? 0 : i < 120 ? VIRTQ_PACKED_USED : VIRTQ_PACKED_PHASES;
	fe_start(rig);
	assert_int_equal(fe_u64(rig, VHU_SET_STATUS, 0), ACK);
	assert_int_equal(fe_u64(rig, VHU_SET_FEATURES, RIG_ACKED | packed), ACK);
	assert_int_equal(fe_state(rig, VHU_SET_VRING_BASE, 0, 0x80008000), ACK);
	fe_ring(rig, 0);
	assert_non_null(rig->ring[0]);
	assert_int_equal(rig->vq[0]->cursor.avail_idx, 100);
	assert_false(rig->vq[0]->cursor.avail_wrap);
	assert_int_equal(rig->vq[0]->cursor.used_idx, 100);
	assert_false(rig->vq[0]->cursor.used_wrap);
}

static void
reset_owner_only_disables(void **state)
{
	struct rig *rig = *state;

	fe_start(rig);
	rig->vq[0]->cursor.avail_idx = 3;
	assert_int_equal(fe_empty(rig, VHU_RESET_OWNER), ACK);
	assert_non_null(rig->ring[0]);
	assert_false(rig->ring[0]->enabled);
	assert_int_equal(rig->vq[0]->cursor.avail_idx, 3);
	assert_int_equal(fe_state(rig, VHU_SET_VRING_ENABLE, 0, 1), ACK);
	assert_true(rig->ring[0]->enabled);
}

static void
mtu_and_rarp_reach_the_owner(void **state)
{
	const uint8_t mac[8] = { 2, 1, 2, 3, 4, 5, 0, 0 };
	struct rig *rig = *state;
	uint64_t word;

	fe_negotiate(rig, RIG_ACKED, VHOST_BE_PROTOCOL);
	memcpy(&word, mac, 8);
	assert_int_equal(fe_u64(rig, VHU_SEND_RARP, word), ACK);
	assert_int_equal(rig->rarps, 1);
	assert_memory_equal(rig->mac, mac, 6);
	assert_int_equal(fe_u64(rig, VHU_NET_SET_MTU, 68), ACK);
	assert_int_equal(fe_u64(rig, VHU_NET_SET_MTU, 65535), ACK);
	assert_int_equal(rig->mtu, 65535);
	rig->mtu_result = -EINVAL;
	assert_int_equal(fe_u64(rig, VHU_NET_SET_MTU, 1500), NACK);
}

static void
disconnect_takes_everything_back(void **state)
{
	struct rig *rig = *state;
	struct vhost_be_info info;
	int idle = open_fds();

	fe_start(rig);
	assert_true(open_fds() > idle);
	vhost_be_offer(rig->be, RIG_FEATURES & ~VIRTQ_BIT(VIRTIO_NET_F_MQ));
	assert_true(fe_get(rig, VHU_GET_FEATURES) & VIRTQ_BIT(VIRTIO_NET_F_MQ));
	rig_disconnect(rig);
	assert_int_equal(rig->downs, 1);
	assert_string_equal(rig->why, "peer closed the connection");
	assert_null(rig->ring[0]);
	assert_null(vhost_be_get_mem(rig->be));
	assert_null(vhost_be_get_ring(rig->be, 0));
	assert_int_equal(open_fds(), idle - 2); /* both ends of the connection */
	vhost_be_get_info(rig->be, &info);
	assert_false(info.connected);
	assert_int_equal(info.nregions, 0);
	assert_int_equal(info.disconnects, 1);
	rig_connect(rig);
	assert_int_equal(rig->ups, 2);
	assert_false(fe_get(rig, VHU_GET_FEATURES) & VIRTQ_BIT(VIRTIO_NET_F_MQ));
	fe_start(rig);
	vhost_be_get_info(rig->be, &info);
	assert_true(info.connected);
	assert_int_equal(info.nregions, 1);
	assert_true(info.messages > 10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(qemu_order),
		RIG_TEST(virtio_user_order),
		RIG_TEST(any_order),
		RIG_TEST(ring_waits_for_each_part),
		RIG_TEST(without_bit_30_rings_are_enabled_at_once),
		RIG_TEST(features_stay_while_rings_run),
		RIG_TEST(get_vring_base_stops_the_ring),
		RIG_TEST(a_ring_that_stops_remembers_where),
		RIG_TEST(packed_rings_have_both_halves_of_a_base),
		RIG_TEST(split_base_far_from_the_driver_is_refused),
		RIG_TEST(restated_addresses_keep_the_cursors),
		RIG_TEST(bad_addresses_on_a_running_ring),
		RIG_TEST(bad_addresses_before_the_start),
		RIG_TEST(another_size_is_another_ring),
		RIG_TEST(flood_has_to_rest),
		RIG_TEST(broken_ring_waits_for_base_and_kick),
		RIG_TEST(reset_keeps_memory_and_channel),
		RIG_TEST(a_reset_leaves_positions_to_be_asked_for),
		RIG_TEST(a_packed_ring_goes_on_where_its_entries_say),
		RIG_TEST(reset_owner_only_disables),
		RIG_TEST(mtu_and_rarp_reach_the_owner),
		RIG_TEST(disconnect_takes_everything_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
