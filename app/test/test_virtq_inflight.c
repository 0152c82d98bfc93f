/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * In-flight tracking: a device is killed after each instruction while it takes and returns chains,
 * or while it takes over from another one; whoever comes next returns each chain once. And what a
 * device of other origin leaves, or somebody who means harm.
 */
#include "rig_killed.h"
#include "virtq_inflight.h"

struct scene {
	uint16_t size, start;
	uint64_t features;
	uint32_t pieces;	/* of a chain at most */
	uint16_t n;		/* chains that are taken */
	bool write;
	void (*work)(struct guest_ring *t, const void *arg);
};

struct taken {
	const struct scene *s;
	struct virtq_chain c[VIRTQ_FETCH_MAX];
	void *part;
};

/* All at once, as a burst that copies does. */
static void
return_in_order(struct guest_ring *t, const void *arg)
{
	const struct taken *w = arg;

	virtq_dev_complete(t->d.vq, t->d.ring, w->c, w->s->n, t->r.packed, w->s->write,
			   w->s->features & F_IN_ORDER);
}

/* As zero-copy does it; three of eight stay out. */
static void
hold_some(struct guest_ring *t, const void *arg)
{
	static const uint8_t order[] = { 5, 2, 7, 0, 6 };
	const struct taken *w = arg;
	struct virtq_chain c[5];

	for (int i = 0; i < 5; i++)
		c[i] = w->c[order[i]];
	virtq_dev_advance(t->d.vq, t->d.ring, w->c, 8, false);
	virtq_dev_push_used(t->d.vq, t->d.ring, &c[0], 2, false, false);
	virtq_dev_push_used(t->d.vq, t->d.ring, &c[2], 3, false, false);
}

static void
take_over_in_child(struct guest_ring *t, const void *arg)
{
	const struct taken *w = arg;
	uint32_t base, returned;

	virtq_inflight_place(w->part, t->d.ring, &base, &returned);
}

/* Place a device where another one was left; how many chains were returned for that. */
static uint32_t
take_over(struct guest_ring *t, void *part)
{
	uint32_t base = 0, returned = 0;

	assert_true(virtq_inflight_place(part, t->d.ring, &base, &returned));
	assert_int_equal(virtq_dev_set_base(t->d.vq, t->d.ring, base), 0);
	virtq_inflight_begin(part, t->d.vq, t->d.ring);
	return returned;
}

/* Each chain comes back, and once; the ring goes on for a lap or two. */
static void
carry_on(struct guest_ring *t, uint32_t pieces, bool write)
{
	uint64_t x = 7, cookie = 1000;

	t->r.any_order = !(t->r.features & F_IN_ORDER);
	for (int lap = 0; lap < 3; lap++) {
		while (guest_ring_round(t, VIRTQ_FETCH_MAX, write, 0) > 0)
			;
		while (rd_pop(&t->r, t->done) > 0)
			;
		assert_int_equal(rd_pending(&t->r), 0);
		killed_fill(t, pieces, write, &x, &cookie);
	}
	assert_int_equal(t->r.bad, 0);
}

static void
play(const struct scene *s)
{
	uint64_t x = s->start + s->n, cookie = 0;
	struct taken w = { .s = s };
	struct guest_ring t;
	struct killed k;

	guest_ring_open_at(&t, s->size, F_V1 | s->features, s->start, true);
	killed_open(&k, &t, virtq_inflight_bytes(s->size, t.r.packed));
	w.part = k.kept;
	virtq_inflight_begin(k.kept, t.d.vq, t.d.ring);
	killed_fill(&t, s->pieces, s->write, &x, &cookie);
	assert_true(guest_ring_fetch(&t, w.c, s->n, s->write) == s->n);
	killed_run(&k, s->work, &w);
	assert_true(k.n >= 4u);
	for (uint32_t i = 0; i < k.n; i++) {
		uint32_t returned;

		killed_restore(&k, i);
		returned = take_over(&t, k.kept);
		/* Nothing is given up that the ring itself still has. */
		assert_true(s->work == hold_some || returned == 0);
		assert_true(i + 1 < k.n || s->work != hold_some || returned == 3);
		carry_on(&t, s->pieces, s->write);
	}
	killed_close(&k);
	guest_ring_close(&t);
}

static void
returned_in_order(void **state)
{
	static const struct scene scenes[] = {
		{ 16, 0, 0, 1, 1, true, return_in_order },
		{ 16, 65530, 0, 1, 16, true, return_in_order },
		{ 32, 5, 0, 4, 6, false, return_in_order },
		{ 16, 3, F_IN_ORDER, 1, 8, false, return_in_order },
		{ 16, 0, F_PACKED, 1, 1, true, return_in_order },
		{ 17, 16, F_PACKED, 1, 17, true, return_in_order },
		{ 32, 29, F_PACKED, 3, 8, false, return_in_order },
		{ 16, 12, F_PACKED | F_IN_ORDER, 1, 8, false, return_in_order },
	};

	for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++)
		play(&scenes[i]);
}

static void
returned_in_any_order(void **state)
{
	static const struct scene scenes[] = {
		{ 16, 0, 0, 1, 8, false, hold_some },
		{ 64, 65534, 0, 3, 8, false, hold_some },
	};

	for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++)
		play(&scenes[i]);
}

/* ---- a device of other origin, packed: it notes all, as the specification says ---- */

static void
foreign_take(struct virtq_inflight_packed *p, const struct guest_ring *t, uint16_t at,
	     uint16_t entries, uint64_t counter)
{
	struct virtq_inflight_packed_entry *head = &p->entry[p->old_free_head];

	head->num = 0;
	head->counter = counter;
	head->inflight = 1;
	for (uint16_t i = 0; i < entries; i++) {
		struct virtq_inflight_packed_entry *e = &p->entry[p->free_head];
		const struct vring_packed_desc *d = &t->r.pdesc[(at + i) % t->r.size];

		head->num++;
		if (i + 1 == entries)
			head->last = p->free_head;
		e->id = d->id;
		e->flags = d->flags;
		e->len = d->len;
		e->addr = d->addr;
		p->free_head = e->next;
	}
	p->old_free_head = p->free_head;
}

/* Up to where a device was killed that returns a chain. */
enum progress { BEGUN, WRITTEN, DONE };

static void
foreign_return(struct virtq_inflight_packed *p, const struct guest_ring *t, uint16_t entry,
	       enum progress progress)
{
	struct virtq_inflight_packed_entry *e = &p->entry[entry];
	const uint16_t at = p->used_idx;
	const bool wrap = p->used_wrap;

	p->entry[e->last].next = p->free_head;
	p->free_head = entry;
	p->used_idx += e->num;
	if (p->used_idx >= t->r.size) {
		p->used_idx -= t->r.size;
		p->used_wrap ^= 1;
	}
	if (progress == BEGUN)
		return;
	t->r.pdesc[at].len = 0;
	t->r.pdesc[at].id = p->entry[e->last].id;
	t->r.pdesc[at].flags = wrap ? VIRTQ_PACKED_PHASES : 0;
	if (progress == WRITTEN)
		return;
	e->inflight = 0;
	p->old_free_head = p->free_head;
	p->old_used_idx = p->used_idx;
	p->old_used_wrap = p->used_wrap;
}

/*
 * Six chains are taken, the fourth and the second come back, and the device is killed while it
 * returns the fifth. What it held comes back in the order of taking.
 */
static void
foreign_scene(struct guest_ring *t, struct killed *k, enum progress progress)
{
	struct virtq_inflight_packed *p = (void *)k->kept;
	uint64_t x = 5, cookie = 0;
	struct virtq_chain c[6];
	uint16_t at = 15, entry[6];

	virtq_inflight_begin(p, t->d.vq, t->d.ring);
	killed_fill(t, 3, false, &x, &cookie);
	assert_int_equal(guest_ring_fetch(t, c, 6, false), 6);
	for (uint16_t i = 0; i < 6; i++) {
		entry[i] = p->old_free_head;
		foreign_take(p, t, at, c[i].entries, 100 + i);
		at = (uint16_t)((at + c[i].entries) % t->r.size);
	}
	foreign_return(p, t, entry[3], DONE);
	foreign_return(p, t, entry[1], DONE);
	foreign_return(p, t, entry[4], progress);
}

static void
left_by_another_device(void **state)
{
	static const uint8_t orders[3][6] = {
		[BEGUN] = { 3, 1, 0, 2, 4, 5 },
		[WRITTEN] = { 3, 1, 4, 0, 2, 5 },
		[DONE] = { 3, 1, 4, 0, 2, 5 },
	};

	for (enum progress progress = BEGUN; progress <= DONE; progress++) {
		struct taken w;
		struct guest_ring t;
		struct killed k;

		guest_ring_open_at(&t, 24, F_V1 | F_PACKED, 15, true);
		killed_open(&k, &t, virtq_inflight_bytes(24, true));
		foreign_scene(&t, &k, progress);
		w.part = k.kept;
		t.r.any_order = true;
		/* The one that takes over is killed as well, at any time. */
		killed_run(&k, take_over_in_child, &w);
		assert_true(k.n > 10);
		for (uint32_t i = 0; i < k.n; i++) {
			uint32_t n = 0, got;

			killed_restore(&k, i);
			take_over(&t, k.kept);
			while ((got = rd_pop(&t.r, t.done)) > 0)
				for (uint32_t j = 0; j < got; j++)
					assert_int_equal(t.done[j].cookie, orders[progress][n++]);
			assert_int_equal(n, 6);
			carry_on(&t, 3, false);
		}
		killed_close(&k);
		guest_ring_close(&t);
	}
}

/* The same for a split ring, whose chains one of our own devices held. */
static void
killed_again(void **state)
{
	const struct scene s = { 16, 0, 0, 2, 8, false, hold_some };
	uint64_t x = 1, cookie = 0;
	struct taken w = { .s = &s };
	struct guest_ring t;
	struct killed k;

	guest_ring_open(&t, s.size, F_V1);
	killed_open(&k, &t, virtq_inflight_bytes(s.size, false));
	w.part = k.kept;
	virtq_inflight_begin(k.kept, t.d.vq, t.d.ring);
	killed_fill(&t, s.pieces, s.write, &x, &cookie);
	assert_int_equal(guest_ring_fetch(&t, w.c, s.n, s.write), s.n);
	hold_some(&t, &w);
	t.r.any_order = true;
	killed_run(&k, take_over_in_child, &w);
	assert_true(k.n > 6);
	for (uint32_t i = 0; i < k.n; i++) {
		killed_restore(&k, i);
		take_over(&t, k.kept);
		carry_on(&t, s.pieces, s.write);
	}
	killed_close(&k);
	guest_ring_close(&t);
}

/* Memory may hold anything. What cannot be of the ring leaves it alone. */
static void
any_content(bool packed)
{
	const size_t bytes = virtq_inflight_bytes(16, packed);
	uint8_t *part = malloc(bytes), before[16 * 16];
	struct guest_ring t;
	uint64_t x = 3;

	guest_ring_open(&t, 16, F_V1 | (packed ? F_PACKED : 0));
	for (int i = 0; i < 16; i++)
		guest_ring_offer(&t, true, (uint64_t)i);
	guest_ring_round(&t, 5, true, 1);
	for (int i = 0; i < 100000; i++) {
		struct virtq_inflight_split *s = (void *)part;
		uint32_t base = 0, returned = 0;
		void *ring = packed ? (void *)t.r.pdesc : (void *)t.r.used;

		for (size_t b = 0; b < bytes; b++)
			part[b] = (uint8_t)(rd_random(&x) % 4 == 0 ? rd_random(&x) : 0);
		if (i % 16 != 0) {
			s->version = 1;
			s->size = 16;
		}
		memcpy(before, ring, packed ? 256 : 134);
		if (!virtq_inflight_place(part, t.d.ring, &base, &returned))
			assert_memory_equal(before, ring, packed ? 256 : 134);
		else
			assert_true(!packed || (base & 0x7fff) < 16);
		assert_true(returned <= 16);
		memcpy(ring, before, packed ? 256 : 134);
	}
	free(part);
	guest_ring_close(&t);
}

static void
content_of_any_kind(void **state)
{
	any_content(false);
	any_content(true);
}

/* A fresh one, or one of a ring of another size, says nothing. */
static void
content_of_none(void **state)
{
	uint32_t base, returned;
	struct guest_ring t;
	void *part = calloc(1, virtq_inflight_bytes(16, false));

	guest_ring_open(&t, 16, F_V1);
	assert_false(virtq_inflight_place(part, t.d.ring, &base, &returned));
	virtq_inflight_begin(part, t.d.vq, t.d.ring);
	assert_true(virtq_inflight_place(part, t.d.ring, &base, &returned));
	((struct virtq_inflight_split *)part)->size = 8;
	assert_false(virtq_inflight_place(part, t.d.ring, &base, &returned));
	free(part);
	guest_ring_close(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(returned_in_order),
		cmocka_unit_test(returned_in_any_order),
		cmocka_unit_test(left_by_another_device),
		cmocka_unit_test(killed_again),
		cmocka_unit_test(content_of_any_kind),
		cmocka_unit_test(content_of_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
