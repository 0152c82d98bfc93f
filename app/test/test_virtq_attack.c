/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver that breaks the rules: what it hurts is its own ring. Guard pages surround the guest's
 * memory, so that whatever reads or writes outside of it ends the test.
 */
#include <pthread.h>

#include "rig_guest_net.h"

#define SIZE 8
#define F_ALL (F_V1 | F_INDIRECT | F_CSUM | F_HOST_TSO4 | F_MRG)

static struct rte_mbuf *pkts[64];

/* Rings that are declared broken. */

struct attack {
	const char *name;
	void (*mount)(struct port *p);
	enum virtq_error error;
	bool packed;
	bool tx;	/* the ring is one the device writes to */
	bool plain;	/* INDIRECT was not negotiated */
	bool nothing_before;	/* not even the good chain before it is completed */
};

static uint64_t
bytes_at(struct port *p)
{
	return p->buf[SIZE - 1].gpa;
}

/* A split descriptor that the driver's own bookkeeping will not touch, and its head. */
static void
split_desc(struct port *p, uint16_t i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	p->r.desc[i] = (struct vring_desc){addr, len, flags, next};
}

static void
split_head(struct port *p, uint16_t head)
{
	p->r.avail->ring[p->r.avail_idx++ & (SIZE - 1)] = head;
	rd_publish(&p->r);
}

static void
packed_desc(struct port *p, uint64_t addr, uint32_t len, uint16_t flags)
{
	struct rd_sg sg = {addr, len};

	rd_put_packed(&p->r, &sg, 5, flags);
}

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

/* Chains that are dropped, on a ring that goes on. */

enum { GOOD_BYTES = 100 };

/* sg is given to the device between two good chains, in every form; it is dropped for `why`. */
static void
bad_chain(const struct rd_sg *sg, uint32_t n, uint64_t features, bool tx, enum vnet_drop why)
{
	struct vnet_stats *stats;
	uint8_t data[128] = {0};
	struct port p;

	for (enum rd_form form = RD_DIRECT; form <= (n > 1 ? RD_MIXED : RD_INDIRECT); form++) {
		port_open(&p, SIZE, features, 128, 1);
		stats = tx ? &p.txq.stats : &p.rxq.stats;
		if (tx)
			port_offer(&p, 128, PLAIN, true);
		else
			port_send(&p, NULL, data, GOOD_BYTES, PLAIN);
		assert_true(rd_add(&p.r, sg, n, form, tx, SIZE - 1) >= 0);
		if (tx)
			port_offer(&p, 128, PLAIN, true);
		else
			port_send(&p, NULL, data, GOOD_BYTES, PLAIN);
		rd_publish(&p.r);
		if (tx) {
			for (int i = 0; i < 3; i++)
				pkts[i] = mbuf_new(GOOD_BYTES, i, SHAPE_LINEAR);
			assert_int_equal(port_tx(&p, pkts, 3), 3);
		} else {
			assert_int_equal(port_rx(&p, pkts, 32), 2);
			rte_pktmbuf_free_bulk(pkts, 2);
		}
		assert_int_equal(p.d.vq->cursor.broken, VIRTQ_OK);
		assert_int_equal(fd_count(p.d.errfd), 0);
		assert_int_equal(stats->drop[why], 1);
		assert_int_equal(stats->packets, 2);
		for (int i = 0; i < 3; i++) {
			assert_int_equal(rd_pop(&p.r, p.done), 1);
			assert_int_equal(p.done->len, tx && i != 1 ? GOOD_BYTES + p.hdr_len : 0);
		}
		port_close(&p);
	}
}

static const uint64_t layouts_of_ring[] = {
	F_V1 | F_INDIRECT, F_V1 | F_INDIRECT | F_MRG, F_V1 | F_INDIRECT | F_PACKED,
	F_V1 | F_INDIRECT | F_PACKED | F_MRG,
};

static void
bad_chain_everywhere(const struct rd_sg *sg, uint32_t n, enum vnet_drop rx, enum vnet_drop tx)
{
	for (int i = 0; i < 4; i++) {
		bad_chain(sg, n, layouts_of_ring[i], false, rx);
		bad_chain(sg, n, layouts_of_ring[i], true, tx);
	}
}

/* Where a guest of port_open(&p, SIZE, ..., 128, 1) ends. */
static uint64_t
end_of_guest(void)
{
	struct port p;
	uint64_t end;

	port_open(&p, SIZE, F_INDIRECT, 128, 1);
	end = GUEST_GPA + p.g.size;
	port_close(&p);
	return end;
}

static void
unmapped_address(void **state)
{
	bad_chain_everywhere(&(struct rd_sg){0x1000, 128}, 1, VNET_DROP_UNMAPPED,
			     VNET_DROP_UNMAPPED);
}

static void
address_and_length_wrap(void **state)
{
	struct rd_sg sg[2] = {{-64ul, 128}, {GUEST_GPA, 64}};

	bad_chain_everywhere(sg, 1, VNET_DROP_UNMAPPED, VNET_DROP_UNMAPPED);
	bad_chain_everywhere(sg, 2, VNET_DROP_UNMAPPED, VNET_DROP_UNMAPPED);
	sg[0] = (struct rd_sg){GUEST_GPA, UINT32_MAX};
	bad_chain_everywhere(sg, 1, VNET_DROP_UNMAPPED, VNET_DROP_UNMAPPED);
	sg[0] = (struct rd_sg){UINT64_MAX, 1};
	bad_chain_everywhere(sg, 1, VNET_DROP_UNMAPPED, VNET_DROP_UNMAPPED);
}

/* CVE-2018-1059: the first byte is mapped, the last is not. */
static void
cve_2018_1059_partly_unmapped(void **state)
{
	uint64_t end = end_of_guest();
	struct rd_sg sg[2] = {{GUEST_GPA, 12}, {end - 100, 101}};

	bad_chain_everywhere(sg + 1, 1, VNET_DROP_UNMAPPED, VNET_DROP_UNMAPPED);
	bad_chain_everywhere(sg, 2, VNET_DROP_UNMAPPED, VNET_DROP_UNMAPPED);
	sg[0] = (struct rd_sg){end - 1, 4096};
	bad_chain_everywhere(sg, 1, VNET_DROP_UNMAPPED, VNET_DROP_UNMAPPED);
}

/* CVE-2020-10725: nothing at an address that is not mapped. */
static void
cve_2020_10725_zero_length_unmapped(void **state)
{
	bad_chain_everywhere(&(struct rd_sg){0x1000, 0}, 1, VNET_DROP_RUNT, VNET_DROP_OVERSIZE);
	bad_chain_everywhere(&(struct rd_sg){UINT64_MAX, 0}, 1, VNET_DROP_RUNT,
			     VNET_DROP_OVERSIZE);
}

/* CVE-2022-2132: the header and nothing more, or less, over one descriptor and over many. */
static void
cve_2022_2132_chain_is_header(void **state)
{
	for (uint32_t total = 0; total <= 12; total++) {
		struct rd_sg sg[6];

		for (uint32_t n = 1; n <= 6; n++) {
			for (uint32_t i = 0; i < n; i++)
				sg[i] = (struct rd_sg){GUEST_GPA + i, total / n};
			sg[n - 1].len += total % n;
			for (int i = 0; i < 4; i++)
				bad_chain(sg, n, layouts_of_ring[i], false, VNET_DROP_RUNT);
		}
	}
}

/*
 * CVE-2026-86566: receive buffers of 0 to 11 bytes, alone and between others; nothing is written
 * in or behind them.
 */
static void
cve_2026_86566_runt_buffers(void **state)
{
	for (uint32_t len = 0; len < 12; len++) {
		uint64_t end = end_of_guest();
		struct rd_sg sg[2] = {{end - len, len}, {GUEST_GPA, 0}};

		/* Behind it is a guard page. */
		for (int i = 0; i < 4; i++) {
			bad_chain(sg, 1, layouts_of_ring[i], true, VNET_DROP_OVERSIZE);
			bad_chain(sg, 2, layouts_of_ring[i], true, VNET_DROP_OVERSIZE);
		}
	}
	for (int i = 0; i < 4; i++) {
		struct rd_sg sg = {end_of_guest() - 11, 11};
		struct port p;

		port_open(&p, SIZE, layouts_of_ring[i], 128, 1);
		for (int k = 0; k < SIZE; k++)
			assert_true(rd_add(&p.r, &sg, 1, RD_DIRECT, true, k) >= 0);
		rd_publish(&p.r);
		memset(guest_ptr(&p.g, sg.gpa), 0xee, 11);
		for (int k = 0; k < SIZE; k++)
			pkts[k] = mbuf_new(64, k, SHAPE_LINEAR);
		assert_int_equal(port_tx(&p, pkts, SIZE), SIZE);
		assert_int_equal(p.txq.stats.drop[VNET_DROP_OVERSIZE], SIZE);
		for (int k = 0; k < SIZE; k++) {
			assert_int_equal(rd_pop(&p.r, p.done), 1);
			assert_int_equal(p.done->len, 0);
		}
		assert_memory_equal(guest_ptr(&p.g, sg.gpa),
				    "\xee\xee\xee\xee\xee\xee\xee\xee\xee\xee\xee", 11);
		port_close(&p);
	}
}

/* The same entries offered twice, so that together they are more than the table has. */
static void
chain_offered_twice(void **state)
{
	struct rte_mbuf *m;
	struct port p;

	port_open(&p, SIZE, F_V1 | F_MRG, 128, 1);
	for (uint16_t i = 0; i < 3; i++)
		split_desc(&p, i, bytes_at(&p), 100, VRING_DESC_F_WRITE |
			   (i < 2 ? VRING_DESC_F_NEXT : 0), (uint16_t)(i + 1));
	for (int i = 0; i < 3; i++)
		p.r.avail->ring[i] = 0;
	p.r.avail->idx = 3;
	m = mbuf_new(1500, 0, SHAPE_LINEAR);
	assert_int_equal(port_tx(&p, &m, 1), 1); /* dropped: there is nothing to wait for */
	assert_int_equal(p.txq.stats.packets, 0);
	assert_int_equal(p.d.vq->cursor.broken, VIRTQ_E_CHAIN_LOOP);
	assert_int_equal(p.txq.stats.error[VIRTQ_E_CHAIN_LOOP], 1);
	assert_int_equal(p.r.used->idx, 0);
	port_close(&p);
}

/* More segments than there is room for, alone in the ring. */
static void
too_many_segments(void **state)
{
	for (int packed = 0; packed < 2; packed++) {
		uint64_t at;
		struct port p;

		guest_new(&p.g, 4096 * 64, 1);
		guest_free(&p.g);
		port_open(&p, 2048, F_V1 | F_INDIRECT | (packed ? F_PACKED : 0), 64, 1);
		at = guest_alloc(&p.g, 2048 * 16, 16);
		p.r.table_gpa = 0;
		for (int i = 0; i < 2048; i++) {
			if (packed)
				((struct vring_packed_desc *)guest_ptr(&p.g, at))[i] =
					(struct vring_packed_desc){GUEST_GPA, 8, 0, 0};
			else
				((struct vring_desc *)guest_ptr(&p.g, at))[i] = (struct vring_desc){
					GUEST_GPA, 8, i < 2047 ? VRING_DESC_F_NEXT : 0,
					(uint16_t)(i + 1)};
		}
		if (packed) {
			packed_desc(&p, at, 2048 * 16, VRING_DESC_F_INDIRECT);
			rd_publish(&p.r);
		} else {
			split_desc(&p, 9, at, 2048 * 16, VRING_DESC_F_INDIRECT, 0);
			p.r.avail->ring[0] = 9;
			p.r.avail->idx = 1;
		}
		assert_int_equal(port_rx(&p, pkts, 32), 0);
		assert_int_equal(p.d.vq->cursor.broken, VIRTQ_OK);
		assert_int_equal(p.rxq.stats.drop[VNET_DROP_OVERSIZE], 1);
		if (!packed)
			assert_int_equal(p.r.used->idx, 1);
		port_close(&p);
	}
}

/* The header's fields. */

struct header {
	uint64_t features;
	uint8_t flags, gso_type;
	uint16_t gso_size, csum_start, csum_offset;
	bool ok;
};

#define NEEDS VIRTIO_NET_HDR_F_NEEDS_CSUM
#define TCP4 VIRTIO_NET_HDR_GSO_TCPV4
#define TCP6 VIRTIO_NET_HDR_GSO_TCPV6
#define ECN VIRTIO_NET_HDR_GSO_ECN
#define TSO4 (F_CSUM | F_HOST_TSO4)

/* For a packet of 100 bytes. */
static const struct header headers[] = {
	{F_CSUM, .ok = true},
	{F_CSUM, NEEDS, .csum_start = 34, .csum_offset = 16, .ok = true},
	{F_CSUM, NEEDS, .csum_start = 82, .csum_offset = 16, .ok = true},
	{F_CSUM, NEEDS, .csum_start = 83, .csum_offset = 16},
	/* CVE-2024-11614: the sum would begin beyond the packet. */
	{F_CSUM, NEEDS, .csum_start = 100, .csum_offset = 0},
	{F_CSUM, NEEDS, .csum_start = 101, .csum_offset = 0},
	{F_CSUM, NEEDS, .csum_start = 65535, .csum_offset = 0},
	{F_CSUM, NEEDS, .csum_start = 0, .csum_offset = 65535},
	{F_CSUM, NEEDS, .csum_start = 65535, .csum_offset = 65535},
	{F_CSUM, NEEDS, .csum_start = 65535, .csum_offset = 1},
	{F_CSUM, NEEDS, .csum_start = 0, .csum_offset = 98, .ok = true},
	{F_CSUM, NEEDS, .csum_start = 0, .csum_offset = 99},
	{F_CSUM, NEEDS, .csum_start = 33, .csum_offset = 15, .ok = true}, /* odd */
	{F_CSUM, VIRTIO_NET_HDR_F_DATA_VALID, .ok = true},
	{F_HOST_TSO4, NEEDS, .csum_start = 34, .csum_offset = 16},
	/* Segmentation. */
	{TSO4, NEEDS, TCP4, 1000, 34, 16, .ok = true},
	{TSO4, NEEDS, TCP4, 0, 34, 16},
	{TSO4, 0, TCP4, 1000, 34, 16},
	{TSO4, NEEDS, TCP4 | ECN, 1000, 34, 16},
	{TSO4 | F_HOST_ECN, NEEDS, TCP4 | ECN, 1000, 34, 16, .ok = true},
	{TSO4, NEEDS, ECN, 1000, 34, 16},
	{TSO4, NEEDS, TCP6, 1000, 34, 16},
	{F_CSUM | F_HOST_TSO6, NEEDS, TCP6, 1000, 34, 16, .ok = true},
	{TSO4, NEEDS, VIRTIO_NET_HDR_GSO_UDP, 1000, 34, 6},
	{F_CSUM | F_HOST_UFO, NEEDS, VIRTIO_NET_HDR_GSO_UDP, 1000, 34, 6, .ok = true},
	{TSO4, NEEDS, VIRTIO_NET_HDR_GSO_UDP_L4, 1000, 34, 6},
	{TSO4, NEEDS, 2, 1000, 34, 16},
	{TSO4, NEEDS, 0x7f, 1000, 34, 16},
	{F_CSUM, NEEDS, TCP4, 1000, 34, 16},
};

static void
header_fields(void **state)
{
	uint8_t data[100];

	frame_fill(data, sizeof(data), 3);
	for (uint32_t i = 0; i < sizeof(headers) / sizeof(headers[0]) * 4 * NLAYOUTS; i++) {
		const struct header *h = &headers[i / 4 / NLAYOUTS];
		uint64_t ring = i & 1 ? F_PACKED : 0, hdr = i & 2 ? F_V1 : 0;
		struct virtio_net_hdr_mrg_rxbuf vh = {.hdr = {
			.flags = h->flags, .gso_type = h->gso_type, .hdr_len = 54,
			.gso_size = h->gso_size, .csum_start = h->csum_start,
			.csum_offset = h->csum_offset,
		}};
		struct port p;

		port_open(&p, SIZE, h->features | F_INDIRECT | ring | hdr, 128, 1);
		port_send(&p, &vh, data, sizeof(data), &layouts[i / 4 % NLAYOUTS]);
		if (port_rx(&p, pkts, 32) != h->ok)
			fail_msg("header %u", (uint32_t)(h - headers));
		assert_int_equal(p.rxq.stats.drop[VNET_DROP_BAD_HDR], !h->ok);
		assert_int_equal(port_reap(&p), 1);
		if (h->ok)
			rte_pktmbuf_free(pkts[0]);
		assert_int_equal(p.d.vq->cursor.broken, VIRTQ_OK);
		port_close(&p);
	}
}

/* The rest. */

/* Ids are the driver's own; whatever they are, they come back. */
static void
packed_ids_are_echoed(void **state)
{
	static const uint16_t ids[] = {SIZE, 0xffff, 7, 7, 0x8000};
	struct port p;

	port_open(&p, SIZE, F_V1 | F_PACKED, 128, 1);
	for (int i = 0; i < 5; i++) {
		struct rd_sg sg = {bytes_at(&p), 64};

		rd_put_packed(&p.r, &sg, ids[i], 0);
	}
	rd_publish(&p.r);
	assert_int_equal(port_rx(&p, pkts, 32), 5);
	rte_pktmbuf_free_bulk(pkts, 5);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(p.r.pdesc[i].id, ids[i]);
		assert_int_equal(p.r.pdesc[i].flags >> 7 & 1, 1);
		assert_int_equal(p.r.pdesc[i].flags >> 15, 1);
	}
	port_close(&p);
}

/* An entry is available in its lap only, whatever the others say. */
static void
packed_wrap_lie(void **state)
{
	static const uint16_t lies[] = {0, 1 << 7 | 1 << 15, 1 << 15};
	struct port p;

	for (int i = 0; i < 3; i++) {
		port_open(&p, SIZE, F_V1 | F_PACKED, 128, 1);
		for (int k = 0; k < SIZE; k++)
			p.r.pdesc[k] = (struct vring_packed_desc){bytes_at(&p), 64, 1, lies[i]};
		assert_int_equal(port_rx(&p, pkts, 32), 0);
		assert_int_equal(vnet_ring_count(p.d.ring, &p.d.vq->cursor), 0);
		assert_int_equal(p.d.vq->cursor.broken, VIRTQ_OK);
		port_close(&p);
	}
}

/* An event that is nowhere in the ring: calls may be sent or not, nothing else happens. */
static void
event_nowhere(void **state)
{
	for (uint32_t i = 0; i < 2 * 65536; i += 257) {
		uint8_t data[64] = {0};
		struct port p;

		port_open(&p, SIZE, F_V1 | F_EVENT_IDX | (i & 1 ? F_PACKED : 0), 128, 1);
		if (p.r.packed) {
			p.r.driver_event->off_wrap = (uint16_t)i;
			p.r.driver_event->flags = (uint16_t)(i >> 3);
		} else {
			p.r.avail->ring[SIZE] = (uint16_t)i;
		}
		for (int k = 0; k < 20; k++) {
			port_send(&p, NULL, data, 64, PLAIN);
			assert_int_equal(port_rx(&p, pkts, 32), 1);
			rte_pktmbuf_free(pkts[0]);
			assert_int_equal(port_reap(&p), 1);
		}
		assert_int_equal(p.d.vq->calls + p.d.vq->calls_suppressed, 20);
		port_close(&p);
	}
}

/* A call fd whose counter is full blocks nobody, as long as it is not a blocking one. */
static void
call_fd_saturated(void **state)
{
	for (int packed = 0; packed < 2; packed++) {
		const uint64_t full = UINT64_MAX - 1;
		uint8_t data[64] = {0};
		struct port p;

		port_open(&p, SIZE, F_V1 | (packed ? F_PACKED : 0), 128, 1);
		assert_int_equal(write(p.d.callfd, &full, sizeof(full)), sizeof(full));
		assert_int_equal(write(p.d.errfd, &full, sizeof(full)), sizeof(full));
		port_send(&p, NULL, data, 64, PLAIN);
		assert_int_equal(port_rx(&p, pkts, 32), 1);
		rte_pktmbuf_free(pkts[0]);
		assert_int_equal(port_reap(&p), 1);
		assert_int_equal(p.d.vq->calls, 1);
		/* Full, or beyond (the kernel's mark of an overflow); and nobody waited. */
		assert_true(fd_count(p.d.callfd) >= full);
		port_close(&p);
	}
}

/* Threads that change what is being read. TSan would only tell that they do. */

struct mutator {
	pthread_t thread;
	uint32_t stop;
	uint8_t *at;
	uint64_t len;
	uint64_t x;
	void (*mutate)(struct mutator *m);
};

static void *
mutator_main(void *arg)
{
	struct mutator *m = arg;

	while (!__atomic_load_n(&m->stop, __ATOMIC_RELAXED))
		m->mutate(m);
	return NULL;
}

static void
mutator_start(struct mutator *m)
{
	m->stop = 0;
	assert_int_equal(pthread_create(&m->thread, NULL, mutator_main, m), 0);
}

static void
mutator_stop(struct mutator *m)
{
	__atomic_store_n(&m->stop, 1, __ATOMIC_RELAXED);
	pthread_join(m->thread, NULL);
}

/* Bursts in both directions until the time is over; a broken ring is started anew. */
static uint32_t
burst_for(struct port *p, uint64_t features, unsigned int ms)
{
	uint64_t end = rte_get_timer_cycles() + rte_get_timer_hz() * ms / 1000;
	uint32_t bursts = 0;

	while (rte_get_timer_cycles() < end) {
		uint16_t n = port_rx(p, pkts, 32);

		rte_pktmbuf_free_bulk(pkts, n);
		if (p->d.vq->cursor.broken || bursts % 64 == 0)
			virtq_dev_set_base(p->d.vq, p->d.ring, features & F_PACKED ?
					   0x80008000u : p->r.avail->idx - bursts % 8);
		for (int i = 0; i < 8; i++)
			pkts[i] = mbuf_new(i % 4 == 0 ? 1500 : 64, i, i % SHAPE_MAX);
		if (features & F_GUEST_CSUM)
			pkts[1]->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM;
		n = port_tx(p, pkts, 8);
		rte_pktmbuf_free_bulk(pkts + n, 8 - n);
		bursts++;
	}
	return bursts;
}

/* CVE-2026-93683: the length of a table grows after it was checked. */
static void
flip_length(struct mutator *m)
{
	for (int i = 0; i < SIZE; i++) {
		uint32_t *len = (uint32_t *)(m->at + 16 * i + 8);

		__atomic_store_n(len, 16, __ATOMIC_RELAXED);
		__atomic_store_n(len, 16 * SIZE, __ATOMIC_RELAXED);
		__atomic_store_n(len, 0xfffffff0, __ATOMIC_RELAXED);
	}
}

static void
cve_2026_93683_table_grows(void **state)
{
	for (int packed = 0; packed < 2; packed++) {
		uint64_t features = F_V1 | F_INDIRECT | (packed ? F_PACKED : 0);
		struct mutator m = {.mutate = flip_length};
		uint64_t last;
		struct port p;

		port_open(&p, SIZE, features, 128, 1);
		last = GUEST_GPA + p.g.size - 16; /* a table of one entry fits there */
		if (packed)
			*(struct vring_packed_desc *)guest_ptr(&p.g, last) =
				(struct vring_packed_desc){bytes_at(&p), 64, 0, 0};
		else
			*(struct vring_desc *)guest_ptr(&p.g, last) =
				(struct vring_desc){bytes_at(&p), 64, VRING_DESC_F_NEXT, 1};
		for (uint16_t i = 0; i < SIZE; i++) {
			if (packed)
				p.r.pdesc[i] = (struct vring_packed_desc){
					last, 16, i, VRING_DESC_F_INDIRECT | 1 << 7};
			else
				split_desc(&p, i, last, 16, VRING_DESC_F_INDIRECT, 0);
			if (!packed)
				p.r.avail->ring[i] = i;
		}
		m.at = (uint8_t *)p.r.desc;
		mutator_start(&m);
		for (uint32_t i = 0; i < 20000; i++) {
			uint16_t n;

			virtq_dev_set_base(p.d.vq, p.d.ring, virtq_fresh_base(packed));
			if (packed)
				p.r.pdesc[0].flags = VRING_DESC_F_INDIRECT | 1 << 7;
			else
				p.r.avail->idx = 4;
			n = port_rx(&p, pkts, 32);
			rte_pktmbuf_free_bulk(pkts, n);
		}
		mutator_stop(&m);
		port_close(&p);
	}
}

static uint64_t
scribble_addr(struct mutator *m)
{
	static const uint64_t addr[] = {0, 0x1000, GUEST_GPA, -8ul, GUEST_GPA + 0x10000};
	uint32_t r = rd_random(&m->x);

	if (r % 8 < 5)
		return addr[r % 8] + r % 3;
	/* Around the borders of pages and thereby regions, and somewhere. */
	return GUEST_GPA + (r % 16 < 8 ? r / 16 % 64 * 4096 + r % 7 - 3 : r % 0x40000);
}

/* Values that have a meaning somewhere in a ring, a table or a header. */
static void
scribble(struct mutator *m)
{
	static const uint32_t lens[] = {0, 1, 11, 12, 13, 16, 26, 64, 128, 4096, 65600, -1u};
	uint32_t r = rd_random(&m->x);
	uint64_t at = rd_random(&m->x) % (m->len / 16) * 16;

	__atomic_store_n((uint64_t *)(m->at + at), scribble_addr(m), __ATOMIC_RELAXED);
	__atomic_store_n((uint64_t *)(m->at + at + 8),
			 lens[r % 12] | (uint64_t)(r % 64 & 0x27 ? r & 0xf : 0xffff) << 48 |
			 (uint64_t)(r >> 5 & 7) << 32 | (uint64_t)(r >> 8 & 0x8087) << 48,
			 __ATOMIC_RELAXED);
}

static void
memory_that_changes(void **state)
{
	for (int i = 0; i < 4; i++) {
		uint64_t features = F_INDIRECT | F_CSUM | F_HOST_TSO4 | F_EVENT_IDX |
				    (i & 1 ? F_PACKED : 0) |
				    (i & 2 ? F_V1 | F_MRG | F_GUEST_CSUM : 0);
		struct mutator m = {.mutate = scribble, .x = i};
		struct port p;

		port_open(&p, 16, features, 2048, 4);
		p.rxq.flags |= VNET_F_SCATTER;
		m.at = p.g.base;
		m.len = p.g.size;
		mutator_start(&m);
		assert_true(burst_for(&p, features, 400) > 0);
		mutator_stop(&m);
		port_close(&p);
	}
}

/* Random rings, and a reader of its own that says what should become of each chain. */

enum fate { FATE_NONE, FATE_BROKEN, FATE_CHAIN };

struct model {
	uint16_t id, slots;
	uint32_t ndesc;
};

/* Whether the guest has [gpa, gpa + 16). */
static bool
model_maps(const struct port *p, uint64_t gpa)
{
	return gpa >= GUEST_GPA && gpa - GUEST_GPA <= p->g.size - 16;
}

static enum fate
model_table(const struct port *p, struct model *m, uint64_t addr, uint32_t len)
{
	uint32_t n = len / 16, i = 0, steps = 0;

	if (n == 0 || len % 16 != 0 || n > p->r.size || addr + len < addr)
		return FATE_BROKEN;
	for (;; steps++) {
		struct vring_desc d;
		struct vring_packed_desc pd;

		if (steps == n)
			return p->r.packed ? FATE_CHAIN : FATE_BROKEN;
		if (!model_maps(p, addr + 16 * i))
			return FATE_BROKEN;
		memcpy(&d, guest_ptr(&p->g, addr + 16 * i), 16);
		memcpy(&pd, &d, 16);
		if (p->r.packed) {
			if ((pd.flags & VRING_DESC_F_INDIRECT) || ++m->ndesc > p->r.size)
				return FATE_BROKEN;
			i++;
			continue;
		}
		if ((d.flags & (VRING_DESC_F_INDIRECT | VRING_DESC_F_WRITE)) ||
		    ++m->ndesc > p->r.size)
			return FATE_BROKEN;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return FATE_CHAIN;
		i = d.next;
		if (i >= n)
			return FATE_BROKEN;
	}
}

/* One descriptor of the ring itself; *last: it ends the chain. */
static enum fate
model_step(const struct port *p, struct model *m, uint64_t addr, uint32_t len, uint16_t flags,
	   bool *last)
{
	*last = !(flags & VRING_DESC_F_NEXT);
	if (flags & VRING_DESC_F_INDIRECT)
		return *last ? model_table(p, m, addr, len) : FATE_BROKEN;
	if ((flags & VRING_DESC_F_WRITE) || ++m->ndesc > p->r.size)
		return FATE_BROKEN;
	return FATE_CHAIN;
}

static enum fate
model_split(const struct port *p, uint16_t at, struct model *m)
{
	uint16_t ready = p->r.avail->idx - at, i = p->r.avail->ring[at & (p->r.size - 1)];
	bool last = false;

	if (ready == 0)
		return FATE_NONE;
	if (ready > p->r.size || i >= p->r.size)
		return FATE_BROKEN;
	*m = (struct model){.id = i};
	while (!last) {
		const struct vring_desc *d = &p->r.desc[i];

		if (model_step(p, m, d->addr, d->len, d->flags, &last) == FATE_BROKEN)
			return FATE_BROKEN;
		i = d->next;
		if (!last && i >= p->r.size)
			return FATE_BROKEN;
	}
	return FATE_CHAIN;
}

static enum fate
model_packed(const struct port *p, uint16_t at, bool wrap, struct model *m)
{
	uint16_t flags = p->r.pdesc[at].flags;
	bool last = false;

	if (!!(flags & 1 << 7) != wrap || !!(flags & 1 << 15) == wrap)
		return FATE_NONE;
	*m = (struct model){.slots = 0};
	while (!last) {
		const struct vring_packed_desc *d = &p->r.pdesc[at];

		if (++m->slots > p->r.size ||
		    model_step(p, m, d->addr, d->len, d->flags, &last) == FATE_BROKEN)
			return FATE_BROKEN;
		m->id = d->id;
		at = (uint16_t)((at + 1) % p->r.size);
	}
	return FATE_CHAIN;
}

static struct rd_sg
random_piece(struct port *p, uint64_t *x)
{
	uint32_t r = rd_random(x);
	uint64_t gpa = r % 16 == 0 ? rd_random(x) : GUEST_GPA + rd_random(x) % p->g.size;

	return (struct rd_sg){gpa, r % 32 == 1 ? rd_random(x) : rd_random(x) % 300};
}

static uint16_t
random_flags(uint64_t *x)
{
	uint32_t r = rd_random(x);

	return (r % 3 == 0 ? VRING_DESC_F_NEXT : 0) | (r % 61 == 0 ? VRING_DESC_F_WRITE : 0) |
	       (r % 11 == 5 ? VRING_DESC_F_INDIRECT : 0);
}

/* New contents for everything but the position. */
static void
random_ring(struct port *p, uint64_t *x, uint16_t at, bool wrap)
{
	uint32_t n = p->r.size;

	for (uint32_t i = 0; i < n + n * RD_TABLE / 4; i++) {
		struct rd_sg sg = random_piece(p, x);
		uint16_t flags = random_flags(x), other = (uint16_t)(rd_random(x) % (n + n / 16));
		struct vring_desc *d = i < n ? &p->r.desc[i] :
			(struct vring_desc *)guest_ptr(&p->g, p->r.table_gpa) + (i - n);

		if (i >= n)
			flags &= rd_random(x) % 16 ? VRING_DESC_F_NEXT : 0xffff;
		if (flags & VRING_DESC_F_INDIRECT) {
			sg.gpa = p->r.table_gpa + rd_random(x) % (n * 4) * 16;
			sg.len = rd_random(x) % (n + 2) * 16 + (rd_random(x) % 32 == 0);
		}
		if (p->r.packed && i < n) {
			bool lap = i < at ? !wrap : wrap;

			if (rd_random(x) % 8)
				flags |= lap ? 1 << 7 : 1 << 15;
			*(struct vring_packed_desc *)d =
				(struct vring_packed_desc){sg.gpa, sg.len, other, flags};
		} else if (p->r.packed) {
			*(struct vring_packed_desc *)d =
				(struct vring_packed_desc){sg.gpa, sg.len, other, flags};
		} else {
			*d = (struct vring_desc){sg.gpa, sg.len, flags, other};
		}
	}
	if (!p->r.packed) {
		for (uint32_t i = 0; i < n; i++)
			p->r.avail->ring[i] = (uint16_t)(rd_random(x) % (n + n / 16));
		p->r.avail->idx = at + rd_random(x) % (rd_random(x) % 8 ? n + 1 : 65536);
	}
}

/* The chains of one random ring, one by one. Returns how many were good. */
static uint32_t
fuzz_ring(struct port *p, uint64_t *x)
{
	uint16_t at = (uint16_t)(rd_random(x) % (p->r.packed ? p->r.size : 65536));
	bool wrap = rd_random(x) % 2;
	uint32_t good = 0;

	rd_start_at(&p->r, at, wrap);
	assert_int_equal(virtq_dev_set_base(p->d.vq, p->d.ring, rd_base(&p->r)), 0);
	random_ring(p, x, at, wrap);
	for (;;) {
		struct model m;
		enum fate fate = p->r.packed ? model_packed(p, at, wrap, &m) :
				 model_split(p, at, &m);
		uint16_t n = port_rx(p, pkts, 1);

		rte_pktmbuf_free_bulk(pkts, n);
		assert_int_equal(p->d.vq->cursor.broken != VIRTQ_OK, fate == FATE_BROKEN);
		if (fate != FATE_CHAIN) {
			assert_int_equal(n, 0);
			assert_int_equal(virtq_dev_get_base(p->d.vq, p->r.packed) & 0x7fff,
					 at & 0x7fff);
			return good;
		}
		if (p->r.packed) {
			assert_int_equal(p->r.pdesc[at].id, m.id);
			assert_int_equal(p->r.pdesc[at].flags, wrap ? 1 << 7 | 1 << 15 : 0);
			assert_int_equal(p->r.pdesc[at].len, 0);
			wrap ^= at + m.slots >= p->r.size;
			at = (uint16_t)((at + m.slots) % p->r.size);
		} else {
			assert_int_equal(p->r.used->ring[at & (p->r.size - 1)].id, m.id);
			assert_int_equal(p->r.used->ring[at & (p->r.size - 1)].len, 0);
			assert_int_equal(p->r.used->idx, ++at);
		}
		if (++good > 100) /* a packed ring can go round for ever */
			return good;
	}
}

static void
fuzz(uint64_t features)
{
	uint32_t good = 0;
	uint64_t x = 42;
	struct port p;

	port_open(&p, 16, features, 256, 1);
	for (int i = 0; i < 3000; i++)
		good += fuzz_ring(&p, &x);
	assert_true(good > 3000); /* it is not all nonsense */
	port_close(&p);
}

static void
fuzz_split(void **state)
{
	fuzz(F_V1 | F_INDIRECT | F_CSUM);
}

static void
fuzz_packed(void **state)
{
	fuzz(F_V1 | F_INDIRECT | F_CSUM | F_PACKED);
}

/* The same rings as buffers for packets; what is completed on a split ring is what came first. */
static void
fuzz_receive_buffers(void **state)
{
	uint64_t x = 43;
	struct port p;

	for (int k = 0; k < 4; k++) {
		port_open(&p, 16, F_V1 | F_INDIRECT | (k & 1 ? F_PACKED : 0) | (k & 2 ? F_MRG : 0),
			  256, 4);
		for (int i = 0; i < 1500; i++) {
			uint16_t at = (uint16_t)(rd_random(&x) % 16), n;
			uint64_t y = x;

			rd_start_at(&p.r, at, true);
			virtq_dev_set_base(p.d.vq, p.d.ring, rd_base(&p.r));
			random_ring(&p, &x, at, true);
			for (int d = 0; d < 16; d++) { /* most of it for the device to write */
				if (!p.r.packed && rd_random(&y) % 32)
					p.r.desc[d].flags ^= VRING_DESC_F_WRITE;
				else if (rd_random(&y) % 32)
					p.r.pdesc[d].flags ^= VRING_DESC_F_WRITE;
			}
			/* The device may write over its own rings: they are all the guest's. */
			for (int b = 0; b < 8; b++)
				pkts[b] = mbuf_new(14 + rd_random(&x) % 1500, b, b % SHAPE_MAX);
			n = port_tx(&p, pkts, 8);
			rte_pktmbuf_free_bulk(pkts + n, 8 - n);
		}
		assert_true(p.txq.stats.packets > 100);
		port_close(&p);
	}
}

int
main(void)
{
	static const struct CMUnitTest others[] = {
		cmocka_unit_test(unmapped_address),
		cmocka_unit_test(address_and_length_wrap),
		cmocka_unit_test(cve_2018_1059_partly_unmapped),
		cmocka_unit_test(cve_2020_10725_zero_length_unmapped),
		cmocka_unit_test(cve_2022_2132_chain_is_header),
		cmocka_unit_test(cve_2026_86566_runt_buffers),
		cmocka_unit_test(chain_offered_twice),
		cmocka_unit_test(too_many_segments),
		cmocka_unit_test(header_fields),
		cmocka_unit_test(packed_ids_are_echoed),
		cmocka_unit_test(packed_wrap_lie),
		cmocka_unit_test(event_nowhere),
		cmocka_unit_test(call_fd_saturated),
		cmocka_unit_test(fuzz_split),
		cmocka_unit_test(fuzz_packed),
		cmocka_unit_test(fuzz_receive_buffers),
		cmocka_unit_test(cve_2026_93683_table_grows),
		cmocka_unit_test(memory_that_changes),
	};
	enum { NOTHERS = sizeof(others) / sizeof(others[0]) - (NO_MUTATORS ? 2 : 0) };
	static char names[NATTACKS][64];
	struct CMUnitTest tests[NATTACKS + NOTHERS];
	struct attack *copies = malloc(sizeof(attacks));
	int failed;

	memcpy(copies, attacks, sizeof(attacks));
	for (uint32_t i = 0; i < NATTACKS; i++) {
		snprintf(names[i], sizeof(names[i]), "%s/%s", copies[i].tx ? "tx" : "rx",
			 copies[i].name);
		tests[i] = (struct CMUnitTest){names[i], rules_that_break_a_ring, NULL, NULL,
					       &copies[i]};
	}
	memcpy(&tests[NATTACKS], others, NOTHERS * sizeof(others[0]));
	failed = cmocka_run_group_tests_name("virtq_attack", tests, vnet_setup, vnet_teardown);
	free(copies);
	return failed;
}
