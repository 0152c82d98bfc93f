/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver that breaks the rules: what it hurts is its own ring. Guard pages surround the guest's
 * memory, so that whatever reads or writes outside of it ends the test.
 */
#include "rig_guest_hostile.h"

#define SIZE 8
#define F_ALL (F_V1 | F_INDIRECT | F_CSUM | F_HOST_TSO4 | F_MRG)

static struct rte_mbuf *pkts[64];

struct attack {
	const char *name;
	void (*mount)(struct port *p);
	enum virtq_error error;
	bool packed;
	bool tx;	/* the ring is one the device writes to */
	bool plain;	/* INDIRECT was not negotiated */
	bool nothing_before;	/* not even the good chain before it is completed */
};

/* A table of n entries that is good but for what the caller changes. */
static struct vring_desc *
table(struct port *p, uint32_t n, uint16_t flags)
{
	struct vring_desc *t = guest_ptr(&p->g, p->r.table_gpa);

	for (uint32_t i = 0; i < n; i++) {
		if (p->r.packed)
			((struct vring_packed_desc *)t)[i] =
				(struct vring_packed_desc){bytes_at(p), 64, 0, flags};
		else
			t[i] = (struct vring_desc){bytes_at(p), 64,
						   flags | (i + 1 < n ? VRING_DESC_F_NEXT : 0),
						   (uint16_t)(i + 1)};
	}
	return t;
}

/* One descriptor that refers to a table, in the layout of the ring. */
static void
refer(struct port *p, uint64_t addr, uint32_t len, uint16_t flags)
{
	if (p->r.packed) {
		packed_desc(p, addr, len, VRING_DESC_F_INDIRECT | flags);
		rd_publish(&p->r);
		return;
	}
	split_desc(p, 6, addr, len, VRING_DESC_F_INDIRECT | flags, 7);
	split_desc(p, 7, bytes_at(p), 64, 0, 0);
	split_head(p, 6);
}

static void
avail_jump(struct port *p)
{
	p->r.avail->idx = SIZE + 1;
}

static void
avail_runs_back(struct port *p)
{
	p->r.avail->idx = UINT16_MAX;
}

static void
head_of_size(struct port *p)
{
	split_head(p, SIZE);
}

static void
head_of_ffff(struct port *p)
{
	split_head(p, UINT16_MAX);
}

static void
next_of_size(struct port *p)
{
	split_desc(p, 6, bytes_at(p), 64, VRING_DESC_F_NEXT, SIZE);
	split_head(p, 6);
}

static void
loop_of_one(struct port *p)
{
	split_desc(p, 6, bytes_at(p), 64, VRING_DESC_F_NEXT, 6);
	split_head(p, 6);
}

static void
loop_of_two(struct port *p)
{
	split_desc(p, 6, bytes_at(p), 64, VRING_DESC_F_NEXT, 7);
	split_desc(p, 7, bytes_at(p), 0, VRING_DESC_F_NEXT, 6);
	split_head(p, 6);
}

static void
unterminated(struct port *p)
{
	for (int i = 0; i < SIZE; i++)
		packed_desc(p, bytes_at(p), 64, VRING_DESC_F_NEXT);
	rd_publish(&p->r);
}

/* Its last entry is that of the chain before it. */
static void
chain_over_ring(struct port *p)
{
	for (int i = 1; i < SIZE; i++)
		packed_desc(p, bytes_at(p), 64, VRING_DESC_F_NEXT);
	rd_publish(&p->r);
}

static void
chain_and_table_over_ring(struct port *p)
{
	table(p, SIZE, 0);
	if (p->r.packed) {
		packed_desc(p, bytes_at(p), 64, VRING_DESC_F_NEXT);
		packed_desc(p, p->r.table_gpa, 16 * SIZE, VRING_DESC_F_INDIRECT);
		rd_publish(&p->r);
		return;
	}
	split_desc(p, 6, bytes_at(p), 64, VRING_DESC_F_NEXT, 7);
	split_desc(p, 7, p->r.table_gpa, 16 * SIZE, VRING_DESC_F_INDIRECT, 0);
	split_head(p, 6);
}

static void
table_without_feature(struct port *p)
{
	refer(p, bytes_at(p), 64, 0);
}

static void
table_in_table(struct port *p)
{
	struct vring_desc *t = table(p, 2, 0);

	if (p->r.packed)
		((struct vring_packed_desc *)t)[1].flags = VRING_DESC_F_INDIRECT;
	else
		t[1].flags = VRING_DESC_F_INDIRECT;
	refer(p, p->r.table_gpa, 32, 0);
}

static void
table_with_next(struct port *p)
{
	table(p, 2, 0);
	if (p->r.packed)
		packed_desc(p, bytes_at(p), 64, VRING_DESC_F_NEXT);
	refer(p, p->r.table_gpa, 32, VRING_DESC_F_NEXT);
	if (p->r.packed) {
		packed_desc(p, bytes_at(p), 64, 0);
		rd_publish(&p->r);
	}
}

static void
table_of_no_length(struct port *p)
{
	refer(p, p->r.table_gpa, 0, 0);
}

static void
table_of_15_bytes(struct port *p)
{
	table(p, 1, 0);
	refer(p, p->r.table_gpa, 15, 0);
}

static void
table_of_33_bytes(struct port *p)
{
	table(p, 3, 0);
	refer(p, p->r.table_gpa, 33, 0);
}

static void
table_over_ring(struct port *p)
{
	table(p, SIZE + 1, 0);
	refer(p, p->r.table_gpa, 16 * (SIZE + 1), 0);
}

static void
table_of_4_gib(struct port *p)
{
	refer(p, p->r.table_gpa, 0xfffffff0, 0);
}

static void
table_nowhere(struct port *p)
{
	refer(p, 0x1000, 32, 0);
}

static void
table_over_the_end(struct port *p)
{
	uint64_t end = GUEST_GPA + p->g.size;

	memset(guest_ptr(&p->g, end - 24), 0, 24);
	if (!p->r.packed) /* the first entry leads on to the second */
		*(uint16_t *)guest_ptr(&p->g, end - 24 + 12) = VRING_DESC_F_NEXT;
	if (!p->r.packed)
		*(uint16_t *)guest_ptr(&p->g, end - 24 + 14) = 1;
	refer(p, end - 24, 32, 0);
}

static void
table_around_the_world(struct port *p)
{
	refer(p, -16ul, 32, 0);
}

static void
next_in_table_too_far(struct port *p)
{
	table(p, 2, 0)[0].next = 2;
	refer(p, p->r.table_gpa, 32, 0);
}

static void
loop_in_table(struct port *p)
{
	struct vring_desc *t = table(p, 2, 0);

	t[1].flags = VRING_DESC_F_NEXT;
	t[1].next = 0;
	refer(p, p->r.table_gpa, 32, 0);
}

/* The device reads this ring, or writes it; one entry of two is for the other. */
static void
other_direction(struct port *p, uint16_t first, uint16_t second)
{
	if (p->r.packed) {
		packed_desc(p, bytes_at(p), 64, first | VRING_DESC_F_NEXT);
		packed_desc(p, bytes_at(p), 64, second);
		rd_publish(&p->r);
		return;
	}
	split_desc(p, 6, bytes_at(p), 64, first | VRING_DESC_F_NEXT, 7);
	split_desc(p, 7, bytes_at(p), 64, second, 0);
	split_head(p, 6);
}

static void
writable_first(struct port *p)
{
	other_direction(p, VRING_DESC_F_WRITE, 0);
}

static void
writable_last(struct port *p)
{
	other_direction(p, 0, VRING_DESC_F_WRITE);
}

static void
readable_in_table(struct port *p)
{
	table(p, 2, 0);
	refer(p, p->r.table_gpa, 32, VRING_DESC_F_WRITE);
}

static void
writable_in_table(struct port *p)
{
	table(p, 2, VRING_DESC_F_WRITE);
	refer(p, p->r.table_gpa, 32, 0);
}

#define SPLIT(f, e, ...) {"split/" #f, f, e, ##__VA_ARGS__}
#define PACKED(f, e, ...) {"packed/" #f, f, e, .packed = true, ##__VA_ARGS__}
#define BOTH(f, e, ...) SPLIT(f, e, ##__VA_ARGS__), PACKED(f, e, ##__VA_ARGS__)

static const struct attack attacks[] = {
	SPLIT(avail_jump, VIRTQ_E_AVAIL_JUMP, .nothing_before = true),
	SPLIT(avail_runs_back, VIRTQ_E_AVAIL_JUMP, .nothing_before = true),
	SPLIT(head_of_size, VIRTQ_E_BAD_HEAD),
	SPLIT(head_of_ffff, VIRTQ_E_BAD_HEAD),
	SPLIT(next_of_size, VIRTQ_E_BAD_HEAD),
	SPLIT(loop_of_one, VIRTQ_E_CHAIN_LOOP),
	SPLIT(loop_of_two, VIRTQ_E_CHAIN_LOOP),
	PACKED(unterminated, VIRTQ_E_CHAIN_LOOP, .nothing_before = true),
	PACKED(chain_over_ring, VIRTQ_E_CHAIN_LOOP),
	BOTH(chain_and_table_over_ring, VIRTQ_E_CHAIN_LOOP),
	BOTH(table_without_feature, VIRTQ_E_INDIRECT, .plain = true),
	BOTH(table_in_table, VIRTQ_E_INDIRECT),
	BOTH(table_with_next, VIRTQ_E_INDIRECT),
	BOTH(table_of_no_length, VIRTQ_E_INDIRECT),
	BOTH(table_of_15_bytes, VIRTQ_E_INDIRECT),
	BOTH(table_of_33_bytes, VIRTQ_E_INDIRECT),
	BOTH(table_over_ring, VIRTQ_E_INDIRECT),
	BOTH(table_of_4_gib, VIRTQ_E_INDIRECT),
	BOTH(table_nowhere, VIRTQ_E_INDIRECT_UNMAPPED),
	BOTH(table_over_the_end, VIRTQ_E_INDIRECT_UNMAPPED),
	BOTH(table_around_the_world, VIRTQ_E_INDIRECT),
	SPLIT(next_in_table_too_far, VIRTQ_E_BAD_HEAD),
	SPLIT(loop_in_table, VIRTQ_E_CHAIN_LOOP),
	BOTH(writable_first, VIRTQ_E_DIRECTION),
	BOTH(writable_last, VIRTQ_E_DIRECTION),
	SPLIT(writable_in_table, VIRTQ_E_DIRECTION),
	BOTH(writable_first, VIRTQ_E_DIRECTION, .tx = true),
	BOTH(writable_last, VIRTQ_E_DIRECTION, .tx = true),
	BOTH(readable_in_table, VIRTQ_E_DIRECTION, .tx = true),
	SPLIT(head_of_size, VIRTQ_E_BAD_HEAD, .tx = true),
	SPLIT(avail_jump, VIRTQ_E_AVAIL_JUMP, .tx = true, .nothing_before = true),
	PACKED(unterminated, VIRTQ_E_DIRECTION, .tx = true, .nothing_before = true),
};

#define NATTACKS (sizeof(attacks) / sizeof(attacks[0]))

/*
 * Bursts of the port in the attack's direction; how many packets went. A broken ring takes none,
 * and those meant for it are dropped.
 */
static uint16_t
attack_burst(struct port *p, bool tx)
{
	uint64_t before = p->txq.stats.packets;
	uint16_t n;

	if (!tx) {
		n = port_rx(p, pkts, 32);
		rte_pktmbuf_free_bulk(pkts, n);
		return n;
	}
	for (int i = 0; i < 4; i++)
		pkts[i] = mbuf_new(64, i, SHAPE_LINEAR);
	n = port_tx(p, pkts, 4);
	rte_pktmbuf_free_bulk(pkts + n, 4 - n);
	return (uint16_t)(p->txq.stats.packets - before);
}

static void
rules_that_break_a_ring(void **state)
{
	const struct attack *a = *state;
	uint64_t features = (F_ALL & ~(a->plain ? F_INDIRECT : 0)) | (a->packed ? F_PACKED : 0);
	bool good = !a->nothing_before;
	uint8_t data[64] = {0};
	struct port p;

	port_open(&p, SIZE, features, 128, 1);
	if (a->nothing_before && a->packed)
		; /* the attack takes the whole ring */
	else if (a->tx)
		port_offer(&p, 128, PLAIN, true);
	else
		port_send(&p, NULL, data, 64, PLAIN);
	a->mount(&p);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(attack_burst(&p, a->tx), i == 0 && good);
		if (a->tx && i == 0 && good) /* found when it is its turn */
			assert_int_equal(attack_burst(&p, a->tx), 0);
		assert_int_equal(p.d.vq->cursor.broken, a->error);
	}
	assert_int_equal(fd_count(p.d.errfd), 1);
	assert_int_equal((a->tx ? p.txq.stats.error : p.rxq.stats.error)[a->error], 1);
	if (good)
		assert_int_equal(rd_pop(&p.r, p.done), 1);
	p.r.head = p.r.tail; /* the driver gives up as well */
	/* It can be started anew. */
	assert_int_equal(virtq_dev_set_base(p.d.vq, p.d.ring, rd_base(&p.r)), 0);
	assert_int_equal(p.d.vq->cursor.broken, VIRTQ_OK);
	port_close(&p);
}

/* Threads that change what is being read. TSan would only tell that they do. */

/* Random rings, and a reader of its own that says what should become of each chain. */

int
main(void)
{
	static char names[NATTACKS][64];
	struct CMUnitTest tests[NATTACKS];
	struct attack *copies = malloc(sizeof(attacks));
	int failed;

	memcpy(copies, attacks, sizeof(attacks));
	for (uint32_t i = 0; i < NATTACKS; i++) {
		snprintf(names[i], sizeof(names[i]), "%s/%s", copies[i].tx ? "tx" : "rx",
			 copies[i].name);
		tests[i] = (struct CMUnitTest){names[i], rules_that_break_a_ring, NULL, NULL,
					       &copies[i]};
	}
	failed = cmocka_run_group_tests_name("virtq_attack", tests, vnet_setup, vnet_teardown);
	free(copies);
	return failed;
}
