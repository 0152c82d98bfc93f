/* SPDX-License-Identifier: BSD-3-Clause */
/* The control queue of a front-end that passes it on: commands are answered, whoever sends them. */
#include "rig_frontend.h"
#include "virtq_shared.h"

#define CVQ 2				/* the vring; there are two pairs at most */
#define AT(rig, off) ((rig)->mem + CVQ * RIG_STRIDE + (off))
#define GPA(off) (RIG_GPA + CVQ * RIG_STRIDE + (off))
#define DATA 0x3000			/* behind the ring, commands */
#define TABLE 0x3800			/* descriptors of an indirect one */
#define FEATURES \
	(RIG_ACKED | VIRTQ_BIT(VIRTIO_NET_F_CTRL_VQ) | VIRTQ_BIT(VIRTIO_NET_F_MQ) | \
	 VIRTQ_BIT(VIRTIO_RING_F_INDIRECT_DESC))

/* The driver's side of it. */
struct driver {
	struct rig *rig;
	bool packed, indirect;
	uint16_t idx;		/* split: next avail index; packed: next slot */
	bool wrap;
	uint16_t seen;		/* split: used index */
	int kick;
};

static void
start(struct driver *d, struct rig *rig, bool packed, bool indirect)
{
	struct vhost_be_config cfg = rig_config(rig);
	const struct vhu_mem_table t = rig_table();
	const struct vhu_vring_addr a = rig_addr(CVQ);
	char err[200];

	cfg.features |= FEATURES;
	if (rig->be == NULL)
		assert_int_equal(try_new(rig, &cfg, err), 0);
	memset(rig->mem, 0, RIG_MEM);
	rig_connect(rig);
	*d = (struct driver){ .rig = rig, .packed = packed, .indirect = indirect, .wrap = true };
	d->kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	fe_negotiate(rig, FEATURES | (packed ? VIRTQ_BIT(VIRTIO_F_RING_PACKED) : 0),
		     VHOST_BE_PROTOCOL);
	assert_int_equal(fe_table(rig, &t, 1), ACK);
	for (uint32_t i = 0; i < 2; i++)
		fe_ring(rig, i);
	assert_int_equal(fe_state(rig, VHU_SET_VRING_NUM, CVQ, RIG_SIZE), ACK);
	assert_int_equal(fe_state(rig, VHU_SET_VRING_BASE, CVQ, 0), ACK);
	assert_int_equal(fe_addr(rig, &a), ACK);
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_CALL, CVQ, rig->call[CVQ]), ACK);
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_KICK, CVQ, d->kick), ACK);
	assert_int_equal(fe_state(rig, VHU_SET_VRING_ENABLE, CVQ, 1), ACK);
}

static void
put(struct driver *d, uint32_t table, uint32_t i, uint64_t gpa, uint32_t len, bool write,
	bool more, uint16_t flags)
{
	if (d->packed) {
		struct vring_packed_desc *p = (void *)AT(d->rig, table);

		p[i] = (struct vring_packed_desc){ .addr = gpa, .len = len, .id = 7 };
		p[i].flags = flags | (write ? VRING_DESC_F_WRITE : 0) |
			     (more ? VRING_DESC_F_NEXT : 0);
	} else {
		struct vring_desc *p = (void *)AT(d->rig, table);

		p[i] = (struct vring_desc){ .addr = gpa, .len = len, .next = (uint16_t)(i + 1) };
		p[i].flags = flags | (write ? VRING_DESC_F_WRITE : 0) |
			     (more ? VRING_DESC_F_NEXT : 0);
	}
}

/* A command as Linux lays it out: class and command, data, the byte for the answer. */
static void
offer(struct driver *d, uint8_t class, uint8_t cmd, const void *data, uint32_t len)
{
	const uint16_t at = d->packed ? d->idx : 0;
	const uint16_t phase = !d->packed ? 0 : d->wrap ? VIRTQ_PACKED_AVAIL : VIRTQ_PACKED_USED;
	const uint32_t table = d->indirect ? TABLE : 0, first = d->indirect ? 0 : at;
	const uint16_t own = d->indirect ? 0 : phase;
	uint8_t *bytes = AT(d->rig, DATA);

	bytes[0] = class;
	bytes[1] = cmd;
	memcpy(bytes + 16, data, len);
	bytes[512] = 0xaa;
	put(d, table, first + 1, GPA(DATA + 16), len, false, true, own);
	put(d, table, first + 2, GPA(DATA + 512), 1, true, false, own);
	put(d, table, first, GPA(DATA), 2, false, true, own);
	if (d->indirect)
		put(d, 0, at, GPA(TABLE), 3 * 16, false, false, VRING_DESC_F_INDIRECT | phase);
	if (d->packed) {
		d->idx = (uint16_t)(d->idx + (d->indirect ? 1 : 3));
	} else {
		struct vring_avail *avail = (void *)AT(d->rig, 0x1000);

		avail->ring[d->idx++ % RIG_SIZE] = 0;
		avail->idx = d->idx;
	}
}

static bool
wants_kick(const struct driver *d)
{
	const struct vring_used *used = (void *)AT(d->rig, 0x2000);
	const struct vring_packed_desc_event *event = (void *)AT(d->rig, 0x2000);

	return d->packed ? event->flags == VRING_PACKED_EVENT_FLAG_ENABLE :
			   !(used->flags & VRING_USED_F_NO_NOTIFY);
}

static void
kick(const struct driver *d)
{
	const uint64_t one = 1;

	assert_true(wants_kick(d));
	assert_int_equal(write(d->kick, &one, sizeof(one)), sizeof(one));
	for (int i = 0; i < 3; i++)
		evloop_step(d->rig->loop, 2);
}

/* The answer of the last command, or 0xaa: none. */
static uint8_t
answer(struct driver *d)
{
	if (d->packed) {
		const uint16_t at = (uint16_t)(d->idx - (d->indirect ? 1 : 3));
		const struct vring_packed_desc *p = (void *)AT(d->rig, 0);

		assert_int_equal(p[at].flags & VIRTQ_PACKED_PHASES, VIRTQ_PACKED_PHASES);
		assert_int_equal(p[at].id, 7);
		assert_int_equal(p[at].len, 1);
	} else {
		const struct vring_used *used = (void *)AT(d->rig, 0x2000);

		assert_int_equal(used->idx, (uint16_t)(d->seen + 1));
		assert_int_equal(used->ring[d->seen++ % RIG_SIZE].len, 1);
	}
	return *AT(d->rig, DATA + 512);
}

/* What a Linux guest sends, and what else there is. VIRTIO 1.2, 5.1.6.5. */
static const struct {
	uint8_t class, cmd, data[8], len, answer;
} commands[] = {
	{ 0, 0, { 1 }, 1, 0 },				/* promiscuous */
	{ 0, 1, { 0 }, 1, 0 },				/* all multicast */
	{ 1, 0, { 0 }, 8, 0 },				/* two empty tables of addresses */
	{ 1, 1, { 2, 0, 0, 0, 0, 1 }, 6, 0 },		/* its own address */
	{ 2, 0, { 5, 0 }, 2, 0 },			/* a VLAN */
	{ 3, 0, { 0 }, 1, 0 },				/* announced */
	{ 4, 0, { 1, 0 }, 2, 0 },			/* one pair */
	{ 4, 0, { 2, 0 }, 2, 1 },			/* more than there can be */
	{ 4, 1, { 1, 0 }, 2, 1 },			/* RSS */
	{ 5, 0, { 0 }, 8, 1 },				/* offloads */
	{ 77, 1, { 0 }, 1, 1 },
};

static void
commands_are_answered(void **state)
{
	struct rig *rig = *state;

	for (int layout = 0; layout < 4; layout++) {
		struct driver d;

		start(&d, rig, layout & 1, layout & 2);
		/* The owner never hears of it. */
		assert_null(rig->ring[CVQ]);
		assert_non_null(rig->ring[0]);
		assert_non_null(vhost_be_get_ring(rig->be, CVQ));
		signals(rig->call[CVQ]);
		for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
			offer(&d, commands[i].class, commands[i].cmd, commands[i].data,
			      commands[i].len);
			kick(&d);
			if (answer(&d) != commands[i].answer)
				fail_msg("layout %d, command %u.%u", layout, commands[i].class,
					 commands[i].cmd);
			assert_int_equal(signals(rig->call[CVQ]), 1);
		}
		close(d.kick);
	}
}

/* What was offered before the kick came, after a stop, and in a table that has moved. */
static void
commands_wait_for_their_queue(void **state)
{
	struct rig *rig = *state;
	const struct vhu_mem_table t = rig_table();
	const uint8_t on = 1;
	struct driver d;

	start(&d, rig, false, true);
	assert_int_equal(fe_get_base(rig, CVQ), 0);
	assert_null(vhost_be_get_ring(rig->be, CVQ));
	offer(&d, 0, 0, &on, 1);
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_CALL, CVQ, rig->call[CVQ]), ACK);
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_KICK, CVQ, d.kick), ACK);
	assert_int_equal(answer(&d), 0);
	assert_int_equal(fe_table(rig, &t, 1), ACK);
	offer(&d, 0, 1, &on, 1);
	kick(&d);
	assert_int_equal(answer(&d), 0);
	/* Without an fd it is looked at all the same. */
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_KICK, CVQ | VHU_FD_NONE, -1), ACK);
	offer(&d, 0, 1, &on, 1);
	WAIT(rig, *AT(rig, DATA + 512) == 0, 2000);
	assert_int_equal(answer(&d), 0);
	assert_int_equal(fe_get_base(rig, CVQ), 3);
	close(d.kick);
}

/* It is a ring of data once its partner appears, and nothing of it was taken. */
static void
a_ring_with_a_partner_is_no_control_queue(void **state)
{
	struct vring_desc *desc;
	struct rig *rig = *state;
	struct driver d;

	start(&d, rig, false, false);
	desc = (void *)AT(rig, 0);
	for (uint16_t i = 0; i < 4; i++)
		desc[i] = (struct vring_desc){ GPA(DATA), 256, VRING_DESC_F_WRITE, 0 };
	((struct vring_avail *)(void *)AT(rig, 0x1000))->idx = 4;
	kick(&d);
	assert_int_equal(((struct vring_used *)(void *)AT(rig, 0x2000))->idx, 0);
	assert_null(rig->ring[CVQ]);
	fe_ring(rig, CVQ + 1);
	assert_non_null(rig->ring[CVQ]);
	assert_non_null(rig->ring[CVQ + 1]);
	assert_int_equal(rig->vq[CVQ]->cursor.avail_idx, 0);
	assert_false(wants_kick(&d));
	assert_int_equal(rig->downs, 0);
	close(d.kick);
}

/* QEMU answers the queue itself and does not say that the guest has one. */
static void
without_the_feature_there_is_none(void **state)
{
	struct rig *rig = *state;
	struct driver d;

	start(&d, rig, false, false);
	assert_int_equal(fe_empty(rig, VHU_RESET_DEVICE), ACK);
	assert_int_equal(fe_u64(rig, VHU_SET_FEATURES, FEATURES & ~VIRTQ_BIT(17)), ACK);
	fe_ring(rig, CVQ);
	assert_non_null(rig->ring[CVQ]);
	close(d.kick);
}

/* Random descriptors and indexes: whatever they are, the session and its data rings live on. */
static void
hostile_commands_harm_nobody(void **state)
{
	struct rig *rig = *state;
	uint32_t seed = 1;

	for (int round = 0; round < 40; round++) {
		struct driver d;

		start(&d, rig, round & 1, false);
		for (int n = 0; n < 50; n++) {
			const uint64_t one = 1;

			for (uint32_t off = 0; off < 0x2004; off += 2) {
				seed = seed * 1103515245 + 12345;
				if (off >= 0x200 && (off < 0x1000 || off >= 0x1200))
					continue;
				*(uint16_t *)(void *)AT(rig, off) = (uint16_t)(seed >> 16);
			}
			/* Now and then an address that there is. */
			for (uint32_t i = 0; i < 16; i++)
				if (seed >> i & 1)
					*(uint64_t *)(void *)AT(rig, 16 * i) = GPA(16 * i);
			assert_int_equal(write(d.kick, &one, sizeof(one)), sizeof(one));
			evloop_step(rig->loop, 2);
			evloop_step(rig->loop, 2);
		}
		assert_int_equal(fe_get(rig, VHU_GET_QUEUE_NUM), RIG_PAIRS);
		assert_non_null(rig->ring[0]);
		close(d.kick);
	}
	assert_int_equal(rig->downs, 39);
}

/* However often it kicks, the loop has time for others. */
static void
kicks_without_end_hold_nobody_up(void **state)
{
	struct rig *rig = *state;
	const uint64_t one = 1, began = evloop_now_ns();
	unsigned int rounds = 0;
	struct driver d;

	start(&d, rig, false, false);
	signals(rig->call[CVQ]);
	while (evloop_now_ns() - began < 100000000) {
		const uint8_t on = 1;

		offer(&d, 0, 0, &on, 1);
		assert_int_equal(write(d.kick, &one, sizeof(one)), sizeof(one));
		evloop_step(rig->loop, 1);
		rounds++;
	}
	assert_true(rounds > 20);
	assert_int_equal(fe_get(rig, VHU_GET_QUEUE_NUM), RIG_PAIRS);
	close(d.kick);
}

/* The answer, the used entry and the wish to be kicked are marked, each in its page. */
static void
an_answer_is_logged(void **state)
{
	const uint64_t all = VIRTQ_BIT(VHOST_F_LOG_ALL);
	const int fd = memfd_create("log", MFD_CLOEXEC);
	const struct vhu_log log = { 4096, 0 };
	struct rig *rig = *state;
	uint8_t *bits;

	assert_int_equal(ftruncate(fd, 4096), 0);
	bits = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	for (int packed = 0; packed < 2; packed++) {
		const uint64_t layout = packed ? VIRTQ_BIT(VIRTIO_F_RING_PACKED) : 0;
		struct vhu_vring_addr a = rig_addr(CVQ);
		const uint8_t promisc = 1;
		struct driver d;
		struct vhu_msg m;

		start(&d, rig, packed, false);
		assert_int_equal(fe_talk(rig, VHU_SET_LOG_BASE, 0, &log, sizeof(log), &fd, 1, &m),
				 ACK);
		assert_int_equal(fe_u64(rig, VHU_SET_FEATURES, FEATURES | layout | all), ACK);
		a.flags = VHU_ADDR_F_LOG;
		a.log = GPA(0x2000);
		assert_int_equal(fe_addr(rig, &a), ACK);
		memset(bits, 0, 4096);
		offer(&d, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &promisc, 1);
		kick(&d);
		assert_int_equal(answer(&d), VIRTIO_NET_OK);
		for (uint32_t page = 0; page < 4; page++) {
			const uint64_t p = GPA(page << 12) >> 12;
			/* Entries of a packed ring lie in its first page. */
			const bool due = page >= 2 || (packed && page == 0);

			assert_int_equal(!!(bits[p / 8] & 1u << p % 8), due);
		}
		rig_disconnect(rig);
		close(d.kick);
	}
	munmap(bits, 4096);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		BARE_TEST(commands_are_answered),
		BARE_TEST(commands_wait_for_their_queue),
		BARE_TEST(a_ring_with_a_partner_is_no_control_queue),
		BARE_TEST(without_the_feature_there_is_none),
		BARE_TEST(hostile_commands_harm_nobody),
		BARE_TEST(kicks_without_end_hold_nobody_up),
		BARE_TEST(an_answer_is_logged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
