/* SPDX-License-Identifier: BSD-3-Clause */
/* What one fetch may cost: a guest that makes chains as costly as they can be. */
#include "rig_guest.h"

#define SIZE 32768
#define REGIONS 16
#define REGION (1ul << 20)

/* Translations since a test last looked; the device asks for them here. */
static unsigned int translated;

void *__real_virtq_mem_gpa(const struct virtq_mem *mem, uint64_t gpa, uint64_t *len);
void *__wrap_virtq_mem_gpa(const struct virtq_mem *mem, uint64_t gpa, uint64_t *len);

void *
__wrap_virtq_mem_gpa(const struct virtq_mem *mem, uint64_t gpa, uint64_t *len)
{
	translated++;
	return __real_virtq_mem_gpa(mem, gpa, len);
}

static uint16_t
fetch(struct dev *d, bool packed, struct virtq_chain *c)
{
	struct virtq_fetch f = virtq_dev_fetch_begin(d->vq, NULL);
	uint16_t n;

	translated = 0;
	virtq_dev_begin(d->vq, d->ring);
	n = virtq_dev_fetch(d->vq, d->ring, &f, c, VIRTQ_FETCH_MAX, packed, false,
			    virtq_dev_prefetch_nothing);
	assert_int_equal(f.err, VIRTQ_OK);
	return n;
}

/* One chain of the whole ring, each of whose buffers lies in all regions. */
static void
chain_of_the_whole_ring(void **state)
{
	const struct rd_sg all = {GUEST_GPA, REGIONS * REGION};
	struct virtq_chain c[VIRTQ_FETCH_MAX];
	struct guest g;
	struct dev d;
	struct rd r;

	guest_new(&g, REGION, REGIONS);
	rd_init(&r, &g, SIZE, F_V1 | F_PACKED);
	dev_start(&d, &r);
	for (int i = 0; i < SIZE; i++)
		rd_put_packed(&r, &all, 7, i < SIZE - 1 ? VRING_DESC_F_NEXT : 0);
	rd_publish(&r);
	assert_int_equal(fetch(&d, true, c), 1);
	assert_int_equal(c[0].entries, SIZE);
	assert_int_equal(c[0].id, 7);
	assert_int_equal(c[0].fault, VIRTQ_FAULT_TOO_LONG);
	assert_uint_in_range(translated, 0, 2 * VIRTQ_MAX_SEGS);
	dev_stop(&d);
	rd_fini(&r);
	guest_free(&g);
}

/* Tables of which no entry is of use: they cost as much as those of which each is. */
static void
tables_of_nothing(void **state)
{
	const uint16_t size = 1024, entries = 1000;

	for (int packed = 0; packed < 2; packed++) {
		struct virtq_chain c[VIRTQ_FETCH_MAX];
		unsigned int n = 0, rounds = 0;
		uint64_t table;
		struct guest g;
		struct dev d;
		struct rd r;

		guest_new(&g, REGION, REGIONS);
		rd_init(&r, &g, size, F_V1 | (packed ? F_PACKED : 0));
		r.features |= F_INDIRECT;
		table = guest_alloc(&g, entries * 16, 16);
		for (uint16_t i = 0; i < entries; i++) {
			if (packed)
				((struct vring_packed_desc *)guest_ptr(&g, table))[i] =
					(struct vring_packed_desc){0x10, 8, 0, 0};
			else
				((struct vring_desc *)guest_ptr(&g, table))[i] = (struct vring_desc)
					{0x10, 8, i + 1 < entries ? VRING_DESC_F_NEXT : 0,
					 (uint16_t)(i + 1)};
		}
		dev_start(&d, &r);
		for (uint16_t i = 0; i < 64; i++) {
			const struct rd_sg ref = {table, entries * 16};

			if (packed) {
				rd_put_packed(&r, &ref, i, VRING_DESC_F_INDIRECT);
			} else {
				r.desc[i] = (struct vring_desc){ref.gpa, ref.len,
								VRING_DESC_F_INDIRECT, 0};
				r.avail->ring[i] = i;
				r.avail_idx++;
			}
		}
		rd_publish(&r);
		while (n < 64) {
			uint16_t got = fetch(&d, packed, c);

			assert_uint_in_range(got, 1, VIRTQ_FETCH_MAX);
			assert_uint_in_range(translated, 0, 6 * VIRTQ_MAX_SEGS);
			for (uint16_t i = 0; i < got; i++)
				assert_int_equal(c[i].fault, VIRTQ_FAULT_UNMAPPED);
			virtq_dev_complete(d.vq, d.ring, c, got, packed, false, false);
			n += got;
			rounds++;
		}
		assert_uint_in_range(rounds, 2, 64);
		dev_stop(&d);
		rd_fini(&r);
		guest_free(&g);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chain_of_the_whole_ring),
		cmocka_unit_test(tables_of_nothing),
	};

	return cmocka_run_group_tests_name("virtq_dev_work", tests, NULL, NULL);
}
