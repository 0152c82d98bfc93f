/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device that is killed while it returns chains: a process does so step by step, and after each
 * of its instructions another device takes over from what there is then.
 */
#include "rig_killed.h"
#include "virtq_saved.h"

struct scene {
	uint16_t size, start;
	uint32_t pieces;	/* of a chain at most; 1: all have one */
	uint16_t n;		/* chains that are pushed */
	bool write, in_order;
};

static uint16_t
fetch_all(struct guest_ring *t, bool write)
{
	uint16_t n, all = 0;

	while ((n = guest_ring_round(t, VIRTQ_FETCH_MAX, write, 0)) > 0)
		all += n;
	return all;
}

/* All that the device has comes back once, and the ring goes on for a lap or two. */
static void
carry_on(struct guest_ring *t, const struct scene *s, uint64_t cookie)
{
	uint64_t due = cookie - rd_pending(&t->r), x = 7;

	for (int lap = 0; lap < 3; lap++) {
		uint32_t n;

		fetch_all(t, s->write);
		while ((n = rd_pop(&t->r, t->done)) > 0)
			for (uint32_t i = 0; i < n; i++)
				assert_int_equal(t->done[i].cookie, due++);
		assert_int_equal(rd_pending(&t->r), 0);
		assert_int_equal(due, cookie);
		killed_fill(t, s->pieces, s->write, &x, &cookie);
	}
	assert_int_equal(t->r.bad, 0);
}

/* What was fetched, and is about to be pushed. */
struct push {
	const struct scene *s;
	struct virtq_chain c[VIRTQ_FETCH_MAX];
};

static void
push_all(struct guest_ring *t, const void *arg)
{
	const struct push *p = arg;

	virtq_dev_complete(t->d.vq, t->d.ring, p->c, p->s->n, true, p->s->write, p->s->in_order);
}

static void
take_over(struct killed *k, uint32_t i, const struct scene *s, uint64_t cookie)
{
	struct guest_ring *t = k->t;
	uint32_t base = 0;

	killed_restore(k, i);
	if (!virtq_saved_place((const struct virtq_saved *)(const void *)k->kept, t->d.ring, &base))
		fail_msg("no place of %u of %u states", i, k->n);
	assert_int_equal(virtq_dev_set_base(t->d.vq, t->d.ring, base), 0);
	carry_on(t, s, cookie);
}

static void
play(const struct scene *s)
{
	const uint64_t features = F_V1 | F_PACKED | (s->in_order ? F_IN_ORDER : 0);
	uint64_t x = s->start + s->n, cookie = 0;
	struct push push = { .s = s };
	struct guest_ring t;
	struct killed k;

	guest_ring_open_at(&t, s->size, features, s->start, true);
	killed_open(&k, &t, sizeof(struct virtq_saved));
	virtq_saved_begin((struct virtq_saved *)(void *)k.kept, t.d.vq, t.d.ring);
	killed_fill(&t, s->pieces, s->write, &x, &cookie);
	assert_true(guest_ring_fetch(&t, push.c, s->n, s->write) == s->n);
	for (uint16_t i = 0; i < s->n; i++)
		push.c[i].written = 0;
	killed_run(&k, push_all, &push);
	/* Before, after, and what lies between. */
	assert_true(k.n >= (s->in_order ? 4u : s->n + 3u));
	for (uint32_t i = 0; i < k.n; i++)
		take_over(&k, i, s, cookie);
	killed_close(&k);
	guest_ring_close(&t);
}

static void
chains_of_one_entry(void **state)
{
	static const struct scene scenes[] = {
		{ 16, 0, 1, 1, true, false }, { 16, 0, 1, 8, true, false },
		{ 16, 12, 1, 8, false, false }, { 17, 16, 1, 17, true, false },
	};

	for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++)
		play(&scenes[i]);
}

static void
chains_of_several(void **state)
{
	static const struct scene scenes[] = {
		{ 32, 0, 4, 6, true, false }, { 32, 29, 3, 8, false, false },
		{ 19, 18, 4, 4, true, false },
	};

	for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++)
		play(&scenes[i]);
}

static void
chains_in_order(void **state)
{
	static const struct scene scenes[] = {
		{ 16, 0, 1, 8, false, true }, { 16, 12, 1, 8, false, true },
	};

	for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++)
		play(&scenes[i]);
}

/* A file may hold anything: the ring is not touched then, and its position not changed. */
static void
what_cannot_be_is_not_taken(void **state)
{
	struct guest_ring t;
	struct virtq_saved s;
	uint8_t before[16 * 16];
	uint32_t base = 5;
	uint64_t x = 3;

	guest_ring_open(&t, 16, F_V1 | F_PACKED);
	for (int i = 0; i < 16; i++)
		guest_ring_offer(&t, true, (uint64_t)i);
	guest_ring_round(&t, 5, true, 1);
	memcpy(before, t.r.pdesc, sizeof(before));
	virtq_saved_begin(&s, t.d.vq, t.d.ring);
	assert_true(virtq_saved_place(&s, t.d.ring, &base));
	assert_int_equal(base, virtq_dev_get_base(t.d.vq, true));
	s.size = 15;
	assert_false(virtq_saved_place(&s, t.d.ring, &base));
	virtq_saved_begin(&s, t.d.vq, t.d.ring);
	s.pos = 16 | VIRTQ_SAVED_VALID;
	assert_false(virtq_saved_place(&s, t.d.ring, &base));
	virtq_saved_forget(&s);
	assert_false(virtq_saved_place(&s, t.d.ring, &base));
	/* Where the device has been already. */
	virtq_saved_begin(&s, t.d.vq, t.d.ring);
	s.pos = s.next = 2 | 1 << 15 | VIRTQ_SAVED_VALID;
	assert_false(virtq_saved_place(&s, t.d.ring, &base));
	for (int i = 0; i < 100000; i++) {
		uint8_t any[sizeof(s)];

		for (size_t k = 0; k < sizeof(any); k++)
			any[k] = (uint8_t)rd_random(&x);
		memcpy(&s, any, sizeof(s));
		if (i % 2) { /* sound, but for a ring that stands elsewhere */
			s.pos = rd_random(&x) % 16 | rd_random(&x) % 2 << 15 | VIRTQ_SAVED_VALID;
			s.next = s.pos;
			s.size = 16;
		}
		if (virtq_saved_place(&s, t.d.ring, &base))
			assert_true((base & 0x7fff) < 16);
	}
	assert_memory_equal(before, t.r.pdesc, sizeof(before));
	guest_ring_close(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chains_of_one_entry),
		cmocka_unit_test(chains_of_several),
		cmocka_unit_test(chains_in_order),
		cmocka_unit_test(what_cannot_be_is_not_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
