/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver's half of a ring, as bursts use it, and a device that takes chains and gives them
 * back as it pleases, or lies. With LAYOUT 0 the ring is split, with F_PACKED it is packed.
 *
 * Each entry of the ring is free or outstanding, never both or neither; every mbuf is back in its
 * pool once at the end; and a device that keeps to the rules never makes the ring break, and gets
 * nothing back that is not taken from it.
 */
#include "fuzz.h"
#include "rig_device_hostile.h"

const unsigned int fuzz_inputs = 1500;

struct target {
	struct link l;
	struct rdev_held *held;
	uint16_t size;
	uint64_t features;
	bool honest;	/* the device has not lied since the ring was set up */
	bool sane;	/* nor written to the ring what only a lying one writes */
};

void
fuzz_setup(void)
{
	assert_int_equal(vnet_setup(NULL), 0);
}

static void
open_target(struct target *t, struct fuzz *f)
{
	static const uint64_t bits[] = {F_V1, F_MRG, F_INDIRECT, F_EVENT_IDX, F_IN_ORDER,
					F_CSUM | F_GUEST_CSUM, F_HOST_TSO4,
					F_GUEST_TSO4 | F_ORDER};
	static const uint16_t sizes[] = {16, 4, 8, 2};
	static struct rdev_held held;
	uint8_t choice = fuzz_u8(f);

	memset(t, 0, sizeof(*t));
	t->features = LAYOUT;
	for (int i = 0; i < 8; i++)
		t->features |= choice & 1 << i ? bits[i] : 0;
	t->size = sizes[fuzz_pick(f, 4)];
	t->honest = t->sane = true;
	t->held = &held;
	rdev_held_init(&held);
	link_open(&t->l, t->size, t->features, fuzz_pick(f, 2), small_pool);
	if (t->l.receive)
		vnet_drv_rx_fill(&t->l.rxq, t->l.drv, t->l.ring);
}

static void
begin_anew(struct target *t)
{
	restart(&t->l, t->size, t->features);
	rdev_held_init(t->held);
	t->honest = t->sane = true;
}

/* What the driver knows of its entries, which no device can change. */
static void
check(const struct target *t)
{
	const struct virtq_drv *drv = t->l.drv;
	uint32_t taken = 0;

	for (uint16_t i = 0; i < t->size; i++)
		if (drv->cookie[i] != NULL)
			taken += drv->state[i].ndesc;
	assert_int_equal(taken + drv->num_free, t->size);
	if (t->honest)
		assert_int_equal(drv->cursor.broken, VIRTQ_OK);
}

static void
fetch(struct target *t)
{
	struct rdev_held *h = t->held;

	while (h->n < t->size && rdev_held_fetch(h, &t->l.rdev))
		assert_int_equal(rdev_held_at(h, h->n - 1)->write, t->l.receive);
}

/* The device has used a chain: what it received is a frame, whose header may tell anything. */
static void
give_back(struct target *t, uint16_t k, uint32_t len, struct fuzz *header)
{
	const struct rdev_chain *c = rdev_held_remove(t->held, k);
	uint8_t *hdr = (void *)(uintptr_t)c->sg[0].addr;

	if (t->l.receive) {
		memset(hdr, 0, t->l.ring->hdr_len);
		if (t->l.ring->hdr_len == 12)
			hdr[10] = 1;
		len = t->l.ring->hdr_len + 14 + len % (c->total - t->l.ring->hdr_len - 14);
	}
	if (t->l.receive && header != NULL) {
		fuzz_bytes(header, hdr, t->l.ring->hdr_len);
		t->honest = false;
	}
	rdev_use(&t->l.rdev, c, t->l.receive ? len : 0);
}

static void
use(struct target *t, struct fuzz *f)
{
	uint16_t n;

	if (!t->sane)
		return;
	fetch(t);
	n = (uint16_t)fuzz_pick(f, SIZE + 1);
	while (n-- > 0 && t->held->n > 0) {
		uint16_t k = t->features & F_IN_ORDER ? 0 :
			     (uint16_t)fuzz_pick(f, t->held->n);

		give_back(t, k, fuzz_u16(f), fuzz_rarely(f) ? f : NULL);
	}
}

/* A chain that the device has, and a length or a count that may be wrong. */
static void
lie(struct target *t, struct fuzz *f)
{
	uint16_t id = (uint16_t)fuzz_pick(f, t->size);

	t->honest = t->sane = false;
	switch (fuzz_pick(f, 4)) {
	case 0:
		scribble_word(&t->l, fuzz_u16(f), fuzz_u64(f));
		break;
	case 1:
		scribble_used(&t->l, fuzz_u8(f), fuzz_rarely(f) ? fuzz_u16(f) : id,
			      fuzz_rarely(f) ? fuzz_u32(f) : fuzz_u16(f) % 3000, fuzz_pick(f, 2));
		break;
	case 2: /* not what it was given, or not yet */
		rdev_lie(&t->l.rdev, id, fuzz_u16(f) % 3000, (uint16_t)fuzz_pick(f, 4),
			 (uint16_t)fuzz_pick(f, 4));
		break;
	default:
		if (!t->l.ring->packed)
			t->l.ring->used->idx += (int8_t)fuzz_u8(f);
	}
}

static uint16_t
receive(struct target *t)
{
	struct rte_mbuf *pkts[64];
	uint16_t n = link_rx(&t->l, pkts, RTE_DIM(pkts));

	for (uint16_t i = 0; i < n; i++)
		mbuf_bytes(pkts[i]);
	rte_pktmbuf_free_bulk(pkts, n);
	return n;
}

static void
transmit(struct target *t, struct fuzz *f)
{
	static const uint32_t lens[] = {60, 14, 1514, 64, 2500, 100, 9000, 600};
	struct rte_mbuf *pkts[SIZE];
	uint16_t n = (uint16_t)(1 + fuzz_pick(f, SIZE)), done;

	for (uint16_t i = 0; i < n; i++)
		pkts[i] = mbuf_new(lens[fuzz_pick(f, 8)], i, fuzz_pick(f, SHAPE_MAX));
	done = link_tx(&t->l, pkts, n);
	rte_pktmbuf_free_bulk(pkts + done, n - done);
}

/* All that the device gave back by the rules has been taken. */
static void
drain(struct target *t)
{
	if (!t->honest)
		return;
	fetch(t);
	while (t->held->n > 0)
		give_back(t, 0, 100, NULL);
	while (t->l.receive && receive(t) > 0)
		check(t);
	if (!t->l.receive) {
		link_clean(&t->l);
		assert_int_equal(t->l.drv->num_free, t->size);
	}
	check(t);
}

void
fuzz_one(struct fuzz *f)
{
	struct target t;

	open_target(&t, f);
	for (int i = 0; i < 100 && f->left > 0; i++) {
		switch (fuzz_pick(f, 16)) {
		case 0:
			if (fuzz_pick(f, 2))
				lie(&t, f);
			break;
		case 1:
			begin_anew(&t);
			break;
		case 2:
		case 3:
			if (!t.l.receive)
				link_clean(&t.l);
			break;
		case 4:
		case 5:
		case 6:
		case 7:
		case 8:
			use(&t, f);
			break;
		default:
			if (t.l.receive)
				receive(&t);
			else
				transmit(&t, f);
		}
		check(&t);
		if (t.l.drv->cursor.broken != VIRTQ_OK)
			begin_anew(&t);
	}
	drain(&t);
	link_close(&t.l);
}
