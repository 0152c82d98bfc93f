/* SPDX-License-Identifier: BSD-3-Clause */
/* A packed ring whose position is found again by what its entries say. */
#include "rig_guest_ring.h"
#include "virtq_place.h"

#define FRESH 0x80008000u
#define ROUNDS 20000

/* Where the device stands, as a front-end would be told. */
static uint32_t
truth(const struct guest_ring *t)
{
	const uint32_t used = virtq_dev_get_base(t->d.vq, true) >> 16;

	return used | used << 16;
}

/* Chains of up to `pieces` entries; the device takes and returns some of them. */
static void
any_step(struct guest_ring *t, uint64_t *x, uint32_t pieces, bool fill)
{
	uint32_t n;

	for (uint32_t i = fill ? t->r.size : rd_random(x) % 8; i > 0; i--) {
		struct rd_sg sg[4];
		const uint32_t k = 1 + rd_random(x) % pieces;

		for (uint32_t j = 0; j < k; j++)
			sg[j] = guest_ring_piece(t, rd_random(x), BUF);
		if (rd_add(&t->r, sg, k, RD_DIRECT, true, 0) < 0)
			break;
	}
	rd_publish(&t->r);
	guest_ring_round(t, (uint16_t)(rd_random(x) % 8), true, 1);
	if (rd_random(x) % 4 == 0)
		return;
	while ((n = rd_pop(&t->r, t->done)) > 0)
		assert_int_equal(n, 1);
}

/* What is right is never changed, whatever chains there are. */
static void
what_is_right_stays(void **state)
{
	for (uint32_t k = 0; k < 12; k++) {
		const uint32_t pieces = 1 + k % 4;
		struct guest_ring t;
		uint64_t x = k;

		guest_ring_open(&t, (uint16_t)(5 + 11 * k), F_V1 | F_PACKED);
		for (uint32_t i = 0; i < ROUNDS / 10; i++) {
			uint32_t base = truth(&t);

			assert_false(virtq_place_packed(t.d.ring, &base));
			assert_int_equal(base, truth(&t));
			any_step(&t, &x, pieces, k % 2);
		}
		guest_ring_close(&t);
	}
}

/* What became of the base of the start, which a front-end gives after a kill. */
struct outcome {
	uint32_t found, wrong, kept;	/* kept: although it is not right */
};

static struct outcome
after_kills(uint32_t least, uint32_t pieces)
{
	struct outcome o = {0};

	for (uint32_t k = 0; k < 12; k++) {
		struct guest_ring t;
		uint64_t x = k;

		guest_ring_open(&t, (uint16_t)(least + 20 * k), F_V1 | F_PACKED);
		for (uint32_t i = 0; i < ROUNDS / 10; i++) {
			uint32_t base = FRESH;
			const bool found = virtq_place_packed(t.d.ring, &base);

			o.found += found;
			o.wrong += found && base != truth(&t);
			o.kept += !found && truth(&t) != FRESH;
			any_step(&t, &x, pieces, k % 2);
		}
		guest_ring_close(&t);
	}
	return o;
}

static void
what_is_stale_is_replaced(void **state)
{
	const struct outcome o = after_kills(16, 1);

	assert_int_equal(o.wrong, 0);
	assert_true(o.found > ROUNDS);
	assert_true(o.kept < o.found / 50);
}

/* Longer chains: what is found is right, or nothing is. */
static void
chains_may_be_long(void **state)
{
	const struct outcome o = after_kills(64, 4);

	assert_true(o.wrong <= o.found / 50);
}

/* A used entry of a ring in order stands for several: there is nothing to be read. */
static void
not_in_order(void **state)
{
	struct guest_ring t;
	uint32_t base = FRESH;
	uint64_t x = 1;

	guest_ring_open(&t, 64, F_V1 | F_PACKED | F_IN_ORDER);
	for (uint32_t i = 0; i < 10; i++)
		any_step(&t, &x, 1, false);
	assert_false(virtq_place_packed(t.d.ring, &base));
	base = 64 | 64 << 16;
	assert_false(virtq_place_packed(t.d.ring, &base));
	guest_ring_close(&t);
}

/* Whatever a peer has written there. */
static void
noise(void **state)
{
	struct guest_ring t;
	uint64_t x = 5;

	guest_ring_open(&t, 1024, F_V1 | F_PACKED);
	for (uint32_t i = 0; i < 200; i++) {
		uint32_t base = rd_random(&x);

		for (uint32_t k = 0; k < 1024; k++)
			t.r.pdesc[k].flags = i < 100 ? (uint16_t)rd_random(&x) :
					     (uint16_t)((k < i ? 1 : 0) << 7 | 1);
		if (virtq_place_packed(t.d.ring, &base))
			assert_true((base & 0x7fff) < 1024 && base >> 16 == (base & 0xffff));
	}
	guest_ring_close(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_right_stays),
		cmocka_unit_test(what_is_stale_is_replaced),
		cmocka_unit_test(chains_may_be_long),
		cmocka_unit_test(not_in_order),
		cmocka_unit_test(noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
