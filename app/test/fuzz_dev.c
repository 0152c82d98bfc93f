/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device's half of a ring, as bursts use it, and a driver that mostly keeps to the rules: it
 * makes chains of descriptors, and writes anything anywhere now and then. With LAYOUT 0 the ring is
 * split, with F_PACKED it is packed.
 *
 * Every chain that a burst takes is completed once, in order, and counted as a packet or a drop, or
 * the ring is declared broken; and none stays in the ring that is not.
 */
#include "fuzz.h"
#include "rig_guest_net.h"

#include "virtq_dev.h"
#include "vnet_hash.h"

const unsigned int fuzz_inputs = 2000;

#define SLOT 2048	/* bytes of each buffer */
#define MAX_SIZE 16	/* entries of a ring */

/* What of the ring the oracle needs to know, as it was before a burst. */
struct before {
	struct virtq_cursor cursor;
	uint16_t head[MAX_SIZE];			/* split: avail ring */
	struct vring_packed_desc desc[MAX_SIZE];	/* packed */
	uint64_t packets;				/* and drops */
};

struct target {
	struct port p;
	bool tx;		/* the device writes */
	bool honest;		/* since the ring was set up, nothing was written to it at random */
	uint16_t next;		/* split: descriptor that the next chain begins with */
	uint16_t waiting;	/* entries made available since the last burst */
	uint64_t outside;	/* first address behind the guest's memory */
};

void
fuzz_setup(void)
{
	assert_int_equal(vnet_setup(NULL), 0);
}

static const struct vnet_hash all_hashes = { .types = VNET_HASH_TYPES };
static const uint64_t odd_vlans[64] = { [0 ... 63] = 0xaaaaaaaaaaaaaaaa };

static void
open_target(struct target *t, struct fuzz *f)
{
	static const uint16_t sizes[] = {1, 2, 4, 8, 16, 16, 3, 7};
	static const uint64_t bits[] = {
		F_V1, F_MRG, F_INDIRECT, F_EVENT_IDX, F_IN_ORDER, F_CSUM | F_GUEST_CSUM,
		F_HOST_TSO4 | F_HOST_TSO6 | F_HOST_ECN | F_GUEST_TSO4, F_HASH_REPORT,
	};
	uint8_t choice = fuzz_u8(f), flags = fuzz_u8(f);
	uint64_t features = LAYOUT;

	for (int i = 0; i < 8; i++)
		features |= choice & 1 << i ? bits[i] : 0;
	memset(t, 0, sizeof(*t));
	port_open(&t->p, sizes[fuzz_pick(f, LAYOUT ? 8 : 6)], features, SLOT, 1 + flags % 3);
	t->tx = flags & 4;
	t->honest = true;
	t->outside = GUEST_GPA + t->p.g.size;
	if (flags & 8)
		t->p.rxq.flags |= VNET_F_SCATTER;
	else
		t->p.rxq.extbuf_pool = big_pool;
	t->p.rxq.flags |= flags & 16 ? VNET_F_LEGACY_OL : 0;
	t->p.rxq.flags |= flags & 32 ? VNET_F_VLAN_STRIP : 0;
	t->p.rxq.flags |= flags & 64 ? VNET_F_PARTIAL_CSUM : 0;
	t->p.rxq.flags |= flags & 128 ? VNET_F_PTYPES | VNET_F_HASH | VNET_F_VLAN_FILTER : 0;
	t->p.rxq.ptypes = RTE_PTYPE_ALL_MASK;
	t->p.rxq.hash = &all_hashes;
	t->p.rxq.vlan_ids = odd_vlans;
}

/* A piece of a buffer; what is wrong with it is for the device to find. */
static struct rd_sg
piece(struct target *t, struct fuzz *f)
{
	static const uint32_t lens[] = {12, 10, 1, 60, 1500, 300, SLOT, 26};
	struct rd_sg sg = {t->p.buf[fuzz_pick(f, t->p.r.size)].gpa, lens[fuzz_pick(f, 8)]};

	if (!fuzz_rarely(f))
		return sg;
	switch (fuzz_pick(f, 4)) {
	case 0:
		sg.len = 0;
		break;
	case 1:
		sg.len = fuzz_u32(f);
		break;
	case 2: /* up to the end, or over it */
		sg.gpa = t->outside - fuzz_u8(f);
		break;
	default:
		sg.gpa = fuzz_pick(f, 2) ? t->outside + fuzz_u16(f) : fuzz_u8(f);
	}
	return sg;
}

/* Another chain's table may be the same; both are there to be read. */
static struct rd_sg
table(struct target *t, struct fuzz *f, uint32_t n, uint16_t dir)
{
	struct rd_sg sg[RD_TABLE], entry;

	for (uint32_t i = 0; i < n; i++)
		sg[i] = piece(t, f);
	entry = rd_fill_table(&t->p.r, (uint16_t)fuzz_pick(f, t->p.r.size), sg, n, dir);
	if (fuzz_rarely(f))
		entry.len += fuzz_pick(f, 64);
	return entry;
}

/* One entry of the ring, which is free. */
static void
put(struct target *t, const struct rd_sg *sg, uint16_t flags, bool last)
{
	struct rd *r = &t->p.r;

	flags |= last ? 0 : VRING_DESC_F_NEXT;
	t->waiting++;
	if (r->packed) {
		rd_put_packed(r, sg, r->avail_idx, flags);
		return;
	}
	r->desc[t->next] = (struct vring_desc){sg->gpa, sg->len, flags,
					       (uint16_t)((t->next + 1) % r->size)};
	t->next = (uint16_t)((t->next + 1) % r->size);
}

static void
add_chain(struct target *t, struct fuzz *f)
{
	struct rd *r = &t->p.r;
	uint16_t dir = t->tx ? VRING_DESC_F_WRITE : 0, head = t->next;
	uint32_t n = 1 + fuzz_pick(f, 4);
	bool indirect = r->table_gpa != 0 && fuzz_pick(f, 3) == 0;

	if (n > (uint32_t)r->size - t->waiting)
		return;
	for (uint32_t i = 0; i < n; i++) {
		bool last = i + 1 == n;
		struct rd_sg sg = last && indirect ? table(t, f, 1 + fuzz_pick(f, 6), dir) :
						     piece(t, f);

		put(t, &sg, last && indirect ? VRING_DESC_F_INDIRECT :
			    fuzz_rarely(f) ? fuzz_u8(f) & 7 & ~VRING_DESC_F_NEXT : dir, last);
	}
	if (!r->packed)
		r->avail->ring[r->avail_idx++ & (r->size - 1)] = head;
	rd_publish(r);
}

/* What a guest sends, headers and all, or how its offloads look. */
static void
write_buffer(struct target *t, struct fuzz *f)
{
	static const uint8_t tcp[] = {
		2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 2, 0, 0, 0, 0, 0, 64, 6, 0, 0,
		10, 0, 0, 1, 10, 0, 0, 2, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 16,
	};
	uint8_t *at = guest_ptr(&t->p.g, t->p.buf[fuzz_pick(f, t->p.r.size)].gpa);

	switch (fuzz_pick(f, 3)) {
	case 0: /* a TCP segment, its checksum left to us */
		memset(at, 0, t->p.hdr_len);
		at[0] = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		at[1] = (uint8_t)fuzz_pick(f, 6);
		at[4] = fuzz_u8(f);
		at[6] = 34;
		at[8] = 16;
		memcpy(at + t->p.hdr_len, tcp, sizeof(tcp));
		break;
	case 1:
		fuzz_bytes(f, at, 12);
		break;
	default:
		fuzz_bytes(f, at + fuzz_u16(f) % (SLOT - 32), 1 + fuzz_pick(f, 32));
	}
}

/* Anything, anywhere in descriptors, rings, event words and tables. */
static void
scribble(struct target *t, struct fuzz *f)
{
	uint64_t bytes = t->p.buf[0].gpa - t->p.r.desc_gpa;
	uint64_t at = fuzz_u16(f) % (bytes - 8);

	t->honest = false;
	if (fuzz_pick(f, 2) && !t->p.r.packed)
		t->p.r.avail->idx += (int8_t)fuzz_u8(f);
	else
		fuzz_bytes(f, (uint8_t *)guest_ptr(&t->p.g, t->p.r.desc_gpa) + at,
			   1 + fuzz_pick(f, 8));
}

/* The driver sets its ring up anew, somewhere. */
static void
restart(struct target *t, struct fuzz *f)
{
	struct rd *r = &t->p.r;
	uint16_t idx = r->packed ? (uint16_t)fuzz_pick(f, r->size) : fuzz_u16(f);

	memset(r->desc, 0, t->p.buf[0].gpa - r->desc_gpa);
	rd_start_at(r, idx, fuzz_pick(f, 2));
	assert_int_equal(virtq_dev_set_base(t->p.d.vq, t->p.d.ring, rd_base(r)), 0);
	t->honest = true;
	t->waiting = 0;
}

static uint64_t
packets(const struct target *t)
{
	const struct vnet_stats *s = t->tx ? &t->p.txq.stats : &t->p.rxq.stats;
	uint64_t n = s->packets;

	for (int i = 0; i < VNET_DROP_MAX; i++)
		n += s->drop[i];
	return n;
}

static void
remember(const struct target *t, struct before *b)
{
	const struct rd *r = &t->p.r;

	b->cursor = t->p.d.vq->cursor;
	b->packets = packets(t);
	if (r->packed)
		memcpy(b->desc, r->pdesc, r->size * sizeof(b->desc[0]));
	else
		memcpy(b->head, r->avail->ring, r->size * sizeof(b->head[0]));
}

/* How many chains a burst completed; each under its own name, if names can be told. */
static uint32_t
completed_split(const struct target *t, const struct before *b, bool names)
{
	const struct rd *r = &t->p.r;
	const struct virtq_cursor *cursor = &t->p.d.vq->cursor;
	uint16_t n = cursor->used_idx - b->cursor.used_idx;

	assert_int_equal((uint16_t)(cursor->avail_idx - b->cursor.avail_idx), n);
	assert_true(n <= r->size);
	if (names && n > 0)
		assert_int_equal(r->used->idx, cursor->used_idx);
	for (uint16_t i = 0; names && i < n; i++) {
		const uint32_t id = r->used->ring[(b->cursor.used_idx + i) % r->size].id;

		/* In order, an entry stands for all up to the one it names. */
		if (!t->tx && (r->features & F_IN_ORDER))
			while (i + 1 < n && b->head[(b->cursor.avail_idx + i) % r->size] != id)
				i++;
		assert_int_equal(id, b->head[(b->cursor.avail_idx + i) % r->size]);
		/* Whoever offers a chain twice cannot tell which of the two was meant. */
		if (!t->honest && (r->features & F_IN_ORDER))
			break;
	}
	return n;
}

static uint32_t
completed_packed(const struct target *t, const struct before *b, bool names)
{
	const struct rd *r = &t->p.r;
	const struct virtq_cursor *cursor = &t->p.d.vq->cursor;
	uint16_t at = b->cursor.used_idx;
	bool wrap = b->cursor.used_wrap;
	uint32_t n = 0;

	assert_int_equal(cursor->avail_idx, cursor->used_idx);
	assert_int_equal(cursor->avail_wrap, cursor->used_wrap);
	while (at != cursor->used_idx || wrap != cursor->used_wrap) {
		uint16_t end = at, slots = 1, flags = r->pdesc[at].flags;

		while (b->desc[end].flags & VRING_DESC_F_NEXT) {
			end = (uint16_t)((end + 1) % r->size);
			assert_true(++slots <= r->size);
		}
		if (names && !(r->features & F_IN_ORDER)) {
			assert_int_equal(r->pdesc[at].id, b->desc[end].id);
			assert_int_equal(!!(flags & 1 << 7), wrap);
			assert_int_equal(!!(flags & 1 << 15), wrap);
		}
		wrap ^= at + slots >= r->size;
		at = (uint16_t)((at + slots) % r->size);
		assert_true(++n <= r->size);
	}
	return n;
}

static void
check(struct target *t, const struct before *b, uint32_t taken)
{
	/* A packet that is written to the ring itself leaves nothing to be told from there. */
	bool names = t->honest || !t->tx;
	uint32_t n = LAYOUT ? completed_packed(t, b, names) : completed_split(t, b, names);

	if (t->tx)
		assert_int_equal(packets(t) - b->packets, taken);
	else
		assert_int_equal(packets(t) - b->packets, n);
	assert_true(!t->honest || t->p.r.features & F_INDIRECT || n <= t->waiting);
}

static uint16_t
burst_rx(struct target *t, uint16_t n)
{
	struct rte_mbuf *pkts[64];
	uint16_t got = port_rx(&t->p, pkts, n);

	for (uint16_t i = 0; i < got; i++) {
		assert_true(pkts[i]->pkt_len > 0);
		mbuf_bytes(pkts[i]);
	}
	rte_pktmbuf_free_bulk(pkts, got);
	return got;
}

static uint16_t
burst_tx(struct target *t, struct fuzz *f, uint16_t n)
{
	static const uint32_t lens[] = {60, 14, 1514, 64, 2500, 100, 9000, 600};
	struct rte_mbuf *pkts[64];
	uint16_t done;

	for (uint16_t i = 0; i < n; i++)
		pkts[i] = mbuf_new(lens[fuzz_pick(f, 8)], i, fuzz_pick(f, SHAPE_MAX));
	done = port_tx(&t->p, pkts, n);
	rte_pktmbuf_free_bulk(pkts + done, n - done);
	return done;
}

/* Whether the ring works and has something in it. */
static bool
ready(const struct target *t)
{
	return t->p.d.vq->cursor.broken == VIRTQ_OK && virtq_dev_ready(t->p.d.vq, t->p.d.ring, 1);
}

/* Whether chains were completed. */
static bool
burst(struct target *t, struct fuzz *f)
{
	const struct virtq_cursor *cursor = &t->p.d.vq->cursor;
	uint16_t n = (uint16_t)(1 + fuzz_pick(f, t->tx ? 16 : 64)), done;
	struct before b;

	remember(t, &b);
	done = t->tx ? burst_tx(t, f, n) : burst_rx(t, n);
	check(t, &b, done);
	if (b.cursor.broken != VIRTQ_OK)
		assert_int_equal(done, 0);
	/* Without mergeable buffers any chain does for a packet, or the packet is lost. */
	if (t->tx && done < n && !(t->p.r.features & F_MRG))
		assert_false(ready(t));
	if (cursor->avail_idx == b.cursor.avail_idx &&
	    cursor->avail_wrap == b.cursor.avail_wrap)
		return false;
	t->waiting = 0; /* or fewer: what is left may be written over, which is a driver's lie */
	if (ready(t))
		t->honest = false;
	return true;
}

/* Nothing is left lying in a ring that works and is read. */
static void
drain(struct target *t, struct fuzz *f)
{
	int rounds = 0;

	while (t->p.d.vq->cursor.broken == VIRTQ_OK && burst(t, f))
		assert_true(rounds++ < 2 * MAX_SIZE);
	if (!t->tx)
		assert_false(ready(t));
}

void
fuzz_one(struct fuzz *f)
{
	struct target t;

	open_target(&t, f);
	for (int i = 0; i < 200 && f->left > 0; i++) {
		switch (fuzz_pick(f, 8)) {
		case 0:
			if (fuzz_rarely(f))
				scribble(&t, f);
			/* fall through */
		case 1:
			write_buffer(&t, f);
			break;
		case 2:
		case 3:
			burst(&t, f);
			break;
		default:
			add_chain(&t, f);
		}
		if (t.p.d.vq->cursor.broken != VIRTQ_OK)
			restart(&t, f);
	}
	drain(&t, f);
	port_close(&t.p);
}
