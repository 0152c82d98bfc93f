/* SPDX-License-Identifier: BSD-3-Clause */
/* The IOTLB against a plain model, and what one ring sees of it. */
#include <sys/eventfd.h>

#include "rig_guest.h"
#include "virtq_iotlb_view.h"

#define PAGES 256u	/* of I/O virtual addresses, and of memory */
#define ROUNDS 20000
#define BOTH (VIRTQ_IOTLB_READ | VIRTQ_IOTLB_WRITE)

/* What each page of addresses stands for, the same in the slowest way. */
struct model {
	uint8_t *host[PAGES];
	uint8_t perm[PAGES];
};

static uint64_t
uva_of(uint64_t gpa)
{
	return gpa + GUEST_UVA;
}

static void
add_to_both(struct virtq_iotlb *iotlb, struct model *m, uint64_t *x)
{
	const uint32_t page = rd_random(x) % PAGES, to = rd_random(x) % PAGES;
	const uint8_t perm = (uint8_t)(1 + rd_random(x) % 3);
	uint32_t n = 1 + rd_random(x) % 8;

	if (n > PAGES - page)
		n = PAGES - page;
	if (n > PAGES - to)
		n = PAGES - to;
	assert_int_equal(virtq_iotlb_add(iotlb, page * GUEST_PAGE, n * GUEST_PAGE,
					 uva_of(GUEST_GPA + to * GUEST_PAGE), perm), 0);
	for (uint32_t i = 0; i < n; i++) {
		uint64_t len = GUEST_PAGE;

		m->host[page + i] = virtq_mem_gpa(iotlb->mem, GUEST_GPA + (to + i) * GUEST_PAGE,
						  &len);
		m->perm[page + i] = perm;
	}
}

static void
remove_from_both(struct virtq_iotlb *iotlb, struct model *m, uint64_t *x)
{
	const uint32_t page = rd_random(x) % PAGES;
	uint32_t n = 1 + rd_random(x) % 8;

	if (n > PAGES - page)
		n = PAGES - page;
	assert_int_equal(virtq_iotlb_remove(iotlb, page * GUEST_PAGE, n * GUEST_PAGE), 0);
	memset(&m->host[page], 0, n * sizeof(m->host[0]));
}

/* How far the model goes on in one piece. */
static uint64_t
model_len(const struct model *m, uint32_t page, uint32_t off, uint8_t need)
{
	uint64_t len = GUEST_PAGE - off;

	for (uint32_t i = page + 1; i < PAGES && m->host[i] == m->host[i - 1] + GUEST_PAGE &&
	     m->host[i - 1] != NULL && m->perm[i] == m->perm[i - 1]; i++)
		len += GUEST_PAGE;
	return m->perm[page] & need ? len : 0;
}

static void
compare_anywhere(const struct virtq_iotlb *iotlb, const struct model *m, uint64_t *x)
{
	const uint32_t page = rd_random(x) % PAGES, off = rd_random(x) % GUEST_PAGE;
	const bool write = rd_random(x) % 2;
	const uint8_t need = write ? VIRTQ_IOTLB_WRITE : VIRTQ_IOTLB_READ;
	uint64_t len = UINT64_MAX;
	uint8_t *host = virtq_iotlb_find(iotlb, page * GUEST_PAGE + off, &len, write);

	if (m->host[page] == NULL || !(m->perm[page] & need)) {
		assert_null(host);
		return;
	}
	assert_ptr_equal(host, m->host[page] + off);
	/* Neighbours in the model that lie in two regions here are two ranges. */
	assert_true(len <= model_len(m, page, off, need) && len >= GUEST_PAGE - off);
}

static void
it_is_as_a_plain_model(void **state)
{
	struct virtq_iotlb *iotlb;
	struct model m = { .host = { NULL } };
	uint64_t x = 1, taken = 0;
	struct guest g;

	guest_new(&g, PAGES / 4 * GUEST_PAGE, 4);
	iotlb = virtq_iotlb_new(g.mem);
	for (int i = 0; i < ROUNDS; i++) {
		const uint64_t before = iotlb->generation;

		if (rd_random(&x) % 3 != 0)
			add_to_both(iotlb, &m, &x);
		else
			remove_from_both(iotlb, &m, &x);
		taken += iotlb->generation != before;
		for (int k = 0; k < 4; k++)
			compare_anywhere(iotlb, &m, &x);
		if (i % 100 == 0)
			virtq_iotlb_reclaim(iotlb);
	}
	assert_true(taken > ROUNDS / 4);
	assert_true(virtq_iotlb_ranges(iotlb) <= PAGES);
	virtq_iotlb_put(iotlb);
	guest_free(&g);
}

static void
neighbours_are_one_range(void **state)
{
	struct virtq_iotlb *iotlb;
	struct guest g;

	guest_new(&g, PAGES * GUEST_PAGE, 1);
	iotlb = virtq_iotlb_new(g.mem);
	for (uint32_t i = 0; i < 64; i += 2)
		virtq_iotlb_add(iotlb, i * GUEST_PAGE, GUEST_PAGE, uva_of(GUEST_GPA) +
				i * GUEST_PAGE, BOTH);
	assert_int_equal(virtq_iotlb_ranges(iotlb), 32);
	for (uint32_t i = 1; i < 64; i += 2)
		virtq_iotlb_add(iotlb, i * GUEST_PAGE, GUEST_PAGE, uva_of(GUEST_GPA) +
				i * GUEST_PAGE, BOTH);
	assert_int_equal(virtq_iotlb_ranges(iotlb), 1);
	assert_int_equal(iotlb->generation, 0);
	virtq_iotlb_remove(iotlb, 8 * GUEST_PAGE, GUEST_PAGE);
	assert_int_equal(virtq_iotlb_ranges(iotlb), 2);
	assert_int_equal(iotlb->generation, 1);
	/* What is not known is not taken away, and what is known not said anew. */
	virtq_iotlb_remove(iotlb, 8 * GUEST_PAGE, GUEST_PAGE);
	virtq_iotlb_add(iotlb, 9 * GUEST_PAGE, GUEST_PAGE, uva_of(GUEST_GPA) + 9 * GUEST_PAGE,
			BOTH);
	assert_int_equal(iotlb->generation, 1);
	assert_int_equal(virtq_iotlb_remove(iotlb, 0, UINT64_MAX), 0);
	assert_int_equal(virtq_iotlb_ranges(iotlb), 0);
	virtq_iotlb_put(iotlb);
	guest_free(&g);
}

static void
what_cannot_be_is_refused(void **state)
{
	struct virtq_iotlb *iotlb;
	struct guest g;

	guest_new(&g, 4 * GUEST_PAGE, 1);
	iotlb = virtq_iotlb_new(g.mem);
	assert_int_equal(virtq_iotlb_add(iotlb, 0, 0, uva_of(GUEST_GPA), BOTH), -EINVAL);
	assert_int_equal(virtq_iotlb_add(iotlb, UINT64_MAX, 2, uva_of(GUEST_GPA), BOTH), -EINVAL);
	assert_int_equal(virtq_iotlb_add(iotlb, 0, 2, UINT64_MAX, BOTH), -EINVAL);
	assert_int_equal(virtq_iotlb_add(iotlb, 0, 1, uva_of(GUEST_GPA), 0), -EINVAL);
	assert_int_equal(virtq_iotlb_add(iotlb, 0, 1, uva_of(GUEST_GPA), 4), -EINVAL);
	assert_int_equal(virtq_iotlb_add(iotlb, 0, 1, uva_of(GUEST_GPA) - 1, BOTH), -EFAULT);
	assert_int_equal(virtq_iotlb_add(iotlb, 0, 4 * GUEST_PAGE + 1, uva_of(GUEST_GPA), BOTH),
			 -EFAULT);
	assert_int_equal(virtq_iotlb_remove(iotlb, 0, 0), -EINVAL);
	assert_int_equal(virtq_iotlb_remove(iotlb, 2, UINT64_MAX), -EINVAL);
	assert_int_equal(virtq_iotlb_ranges(iotlb), 0);
	/* The last address that there is. */
	assert_int_equal(virtq_iotlb_add(iotlb, UINT64_MAX, 1, uva_of(GUEST_GPA), BOTH), 0);
	virtq_iotlb_put(iotlb);
	guest_free(&g);
}

/* Whatever a front-end says, a port's table has an end. */
static void
its_size_is_bounded(void **state)
{
	struct virtq_iotlb *iotlb;
	struct guest g;
	uint64_t one;

	guest_new(&g, 2 * GUEST_PAGE, 1);
	iotlb = virtq_iotlb_new(g.mem);
	for (uint64_t i = 0; i < VIRTQ_IOTLB_MAX + 1000; i++) {
		const uint64_t before = iotlb->generation;
		const uint32_t n = virtq_iotlb_ranges(iotlb);

		assert_int_equal(virtq_iotlb_add(iotlb, 2 * i * GUEST_PAGE, GUEST_PAGE,
						 uva_of(GUEST_GPA), BOTH), 0);
		virtq_iotlb_reclaim(iotlb);
		assert_true(virtq_iotlb_ranges(iotlb) <= VIRTQ_IOTLB_MAX);
		/* What is forgotten is not to live on in a cache either. */
		assert_int_equal(iotlb->generation != before, virtq_iotlb_ranges(iotlb) <= n);
		one = 1;
		assert_non_null(virtq_iotlb_find(iotlb, 2 * i * GUEST_PAGE, &one, true));
	}
	virtq_iotlb_put(iotlb);
	guest_free(&g);
}

/* Another table of memory: ranges follow their user addresses, and what is gone is gone. */
static void
it_follows_the_memory(void **state)
{
	struct virtq_iotlb *iotlb, *moved;
	struct virtq_region r;
	struct virtq_mem *mem;
	uint8_t other[2 * 4096];
	struct guest g;
	uint64_t one = 1;

	guest_new(&g, 4 * GUEST_PAGE, 1);
	iotlb = virtq_iotlb_new(g.mem);
	virtq_iotlb_add(iotlb, 0x10000, GUEST_PAGE, uva_of(GUEST_GPA) + GUEST_PAGE, BOTH);
	virtq_iotlb_add(iotlb, 0x20000, GUEST_PAGE, uva_of(GUEST_GPA) + 3 * GUEST_PAGE, BOTH);
	r = (struct virtq_region){ .gpa = 0, .size = sizeof(other), .uva = uva_of(GUEST_GPA),
				   .host = other };
	assert_int_equal(virtq_mem_new(&r, 1, &mem), 0);
	moved = virtq_iotlb_moved(iotlb, mem);
	assert_ptr_equal(virtq_iotlb_find(moved, 0x10010, &one, false), other + 4096 + 0x10);
	assert_null(virtq_iotlb_find(moved, 0x20000, &one, false));
	virtq_iotlb_put(iotlb);
	virtq_iotlb_put(moved);
	virtq_mem_put(mem);
	guest_free(&g);
}

struct viewed {
	struct guest g;
	struct virtq_iotlb *iotlb;
	struct virtq_iotlb_view *view;
	int fd;
};

static void
viewed_open(struct viewed *v, bool packed)
{
	guest_new(&v->g, PAGES * GUEST_PAGE, 1);
	v->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	v->iotlb = virtq_iotlb_new(v->g.mem);
	v->view = virtq_iotlb_view_new(v->iotlb, v->fd, packed);
}

static void
viewed_close(struct viewed *v)
{
	virtq_iotlb_view_free(v->view);
	virtq_iotlb_put(v->iotlb);
	guest_free(&v->g);
	close(v->fd);
}

static uint8_t *
page_host(const struct viewed *v, uint32_t page)
{
	uint64_t len = 1;

	return virtq_mem_gpa(v->g.mem, GUEST_GPA + page * GUEST_PAGE, &len);
}

static uint8_t *
find(struct viewed *v, uint64_t iova, uint32_t len)
{
	struct virtq_iotlb_range r;

	return virtq_iotlb_view_find(v->view, iova, len, true, &r);
}

/* The control thread asks for all that is missed, and this is what comes. */
static uint32_t
ask_all(struct viewed *v, uint64_t now, uint8_t *host)
{
	uint32_t n = 0;
	uint64_t iova;
	bool write;

	virtq_iotlb_view_look(v->view);
	for (uint32_t i = 0; virtq_iotlb_view_next_miss(v->view, &i, &iova, &write); i++, n++) {
		assert_int_equal(iova % GUEST_PAGE, 0);
		virtq_iotlb_view_asked(v->view, i, now);
		if (host != NULL)
			assert_true(virtq_iotlb_view_answer(v->view, iova, iova + GUEST_PAGE - 1,
							    host, BOTH));
	}
	return n;
}

/* A miss is told of once, asked for once, and serves until the ring has gone on. */
static void
a_page_serves_its_chain(void **state)
{
	struct viewed v;

	viewed_open(&v, false);
	virtq_iotlb_view_begin(v.view, VIRTQ_IOTLB_POS(7, true));
	assert_null(find(&v, 0x5010, 100));
	assert_true(virtq_iotlb_view_miss(v.view, 0x5010, true));
	assert_true(virtq_iotlb_view_miss(v.view, 0x5020, true));
	assert_int_equal(fd_count(v.fd), 1);
	assert_int_equal(ask_all(&v, 1, page_host(&v, 3)), 1);
	assert_int_equal(ask_all(&v, 1, NULL), 0);
	virtq_iotlb_view_begin(v.view, VIRTQ_IOTLB_POS(7, true));
	assert_ptr_equal(find(&v, 0x5010, 100), page_host(&v, 3) + 0x10);
	assert_null(find(&v, 0x5010, 4096)); /* beyond the page */
	virtq_iotlb_view_begin(v.view, VIRTQ_IOTLB_POS(7, true));
	assert_ptr_equal(find(&v, 0x5010, 100), page_host(&v, 3) + 0x10);
	virtq_iotlb_view_begin(v.view, VIRTQ_IOTLB_POS(8, true));
	assert_null(find(&v, 0x5010, 100));
	viewed_close(&v);
}

/* What is expected serves the chain that it is for, in either layout and over the laps. */
static void
a_page_is_expected(void **state)
{
	static const struct {
		bool packed;
		uint32_t before, pos, behind;
	} cases[] = {
		{ false, VIRTQ_IOTLB_POS(1, true), VIRTQ_IOTLB_POS(4, true),
		  VIRTQ_IOTLB_POS(5, true) },
		{ false, VIRTQ_IOTLB_POS(65530, true), VIRTQ_IOTLB_POS(2, true),
		  VIRTQ_IOTLB_POS(3, true) },
		{ true, VIRTQ_IOTLB_POS(1, true), VIRTQ_IOTLB_POS(4, true),
		  VIRTQ_IOTLB_POS(6, true) },
		{ true, VIRTQ_IOTLB_POS(250, true), VIRTQ_IOTLB_POS(2, false),
		  VIRTQ_IOTLB_POS(3, false) },
		{ true, VIRTQ_IOTLB_POS(250, false), VIRTQ_IOTLB_POS(255, false),
		  VIRTQ_IOTLB_POS(0, true) },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct viewed v;

		viewed_open(&v, cases[i].packed);
		virtq_iotlb_view_begin(v.view, cases[i].before);
		assert_true(virtq_iotlb_view_expect(v.view, 0x7000, true, cases[i].pos, 1));
		assert_false(virtq_iotlb_view_expect(v.view, 0x7100, true, cases[i].pos, 1));
		assert_true(virtq_iotlb_view_miss(v.view, 0x7000, true)); /* it is on its way */
		assert_int_equal(fd_count(v.fd), 0);
		virtq_iotlb_view_answer(v.view, 0x7000, 0x7fff, page_host(&v, 1), BOTH);
		virtq_iotlb_view_begin(v.view, cases[i].pos);
		assert_ptr_equal(find(&v, 0x7004, 8), page_host(&v, 1) + 4);
		virtq_iotlb_view_begin(v.view, cases[i].behind);
		assert_null(find(&v, 0x7004, 8));
		/* Asked for too late, for a chain that is completed: it serves no other. */
		virtq_iotlb_view_expect(v.view, 0x7000, true, cases[i].pos, 1);
		virtq_iotlb_view_answer(v.view, 0x7000, 0x7fff, page_host(&v, 2), BOTH);
		virtq_iotlb_view_begin(v.view, cases[i].behind);
		assert_null(find(&v, 0x7004, 8));
		viewed_close(&v);
	}
}

/* A range that ends in the middle of a page, and of what is to be read. */
static void
nothing_is_read_beyond_a_range(void **state)
{
	struct viewed v;
	uint8_t bytes[16];

	viewed_open(&v, false);
	virtq_iotlb_add(v.iotlb, 0x4000, 8, uva_of(GUEST_GPA), BOTH);
	assert_true(virtq_iotlb_view_read(v.view, 0x4000, bytes, 8));
	assert_false(virtq_iotlb_view_read(v.view, 0x4000, bytes, 9));
	assert_false(virtq_iotlb_view_read(v.view, 0x4000, bytes, 16));
	assert_false(virtq_iotlb_view_read(v.view, 0x4008, bytes, 1));
	viewed_close(&v);
}

/* Taken away, or never said: not to be had. */
static void
a_page_goes_and_never_comes(void **state)
{
	uint32_t none = 0, one = 1;
	struct viewed v;

	viewed_open(&v, false);
	virtq_iotlb_view_begin(v.view, 0);
	virtq_iotlb_view_expect(v.view, 0x7000, true, 9, 1);
	virtq_iotlb_view_answer(v.view, 0x7000, 0x7fff, page_host(&v, 1), BOTH);
	assert_false(virtq_iotlb_view_drop(v.view, 0x8000, 0xffff));
	assert_true(virtq_iotlb_view_drop(v.view, 0x7fff, 0xffff));
	assert_null(find(&v, 0x7004, 8));

	assert_true(virtq_iotlb_view_miss(v.view, 0x9000, true));
	assert_int_equal(ask_all(&v, 100, NULL), 1);
	assert_true(virtq_iotlb_view_expire(v.view, 100, NULL));
	assert_true(virtq_iotlb_view_miss(v.view, 0x9000, true));
	assert_false(virtq_iotlb_view_expire(v.view, 101, NULL));
	assert_false(virtq_iotlb_view_miss(v.view, 0x9000, true));
	assert_true(virtq_iotlb_view_miss(v.view, 0x9000, true)); /* asked for anew */
	/* There is no end to waiting: it is asked for again. */
	assert_int_equal(ask_all(&v, 150, NULL), 1);
	assert_true(virtq_iotlb_view_expire(v.view, 151, &none));
	assert_int_equal(ask_all(&v, 152, NULL), 0);
	assert_true(virtq_iotlb_view_expire(v.view, 151, &one));
	assert_int_equal(one, 0);
	assert_true(virtq_iotlb_view_miss(v.view, 0x9000, true));
	/* What may be read only is not there for who writes. */
	assert_int_equal(ask_all(&v, 200, NULL), 1);
	assert_true(virtq_iotlb_view_answer(v.view, 0x9000, 0x9fff, page_host(&v, 1),
					    VIRTQ_IOTLB_READ));
	assert_null(find(&v, 0x9000, 8));
	viewed_close(&v);
}

/* The cache of pages of the table is empty as soon as anything was taken from that. */
static void
the_cache_is_not_out_of_date(void **state)
{
	struct virtq_iotlb_range r;
	struct viewed v;

	viewed_open(&v, false);
	virtq_iotlb_add(v.iotlb, 0x4000, GUEST_PAGE, uva_of(GUEST_GPA), BOTH);
	virtq_iotlb_view_begin(v.view, 0);
	assert_ptr_equal(find(&v, 0x4008, 8), page_host(&v, 0) + 8);
	virtq_iotlb_remove(v.iotlb, 0x4000, GUEST_PAGE);
	assert_true(virtq_iotlb_view_begin(v.view, 0));
	assert_false(virtq_iotlb_view_begin(v.view, 0));
	assert_null(find(&v, 0x4008, 8));
	virtq_iotlb_add(v.iotlb, 0, 32 * GUEST_PAGE, uva_of(GUEST_GPA), BOTH);
	assert_ptr_equal(virtq_iotlb_view_find(v.view, 0x4008, 8, true, &r),
			 page_host(&v, 4) + 8);
	assert_true(r.iova == 0 && r.last == 32 * GUEST_PAGE - 1);
	/* Nor where the numbers of generations begin anew. */
	for (uint32_t i = 0; i < 10000; i++) {
		virtq_iotlb_add(v.iotlb, 0x4000, GUEST_PAGE, uva_of(GUEST_GPA) + i % 2 * GUEST_PAGE,
				BOTH);
		virtq_iotlb_view_begin(v.view, 0);
		assert_ptr_equal(find(&v, 0x4008, 8), page_host(&v, i % 2) + 8);
		virtq_iotlb_reclaim(v.iotlb);
	}
	viewed_close(&v);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_as_a_plain_model),
		cmocka_unit_test(neighbours_are_one_range),
		cmocka_unit_test(what_cannot_be_is_refused),
		cmocka_unit_test(its_size_is_bounded),
		cmocka_unit_test(it_follows_the_memory),
		cmocka_unit_test(a_page_serves_its_chain),
		cmocka_unit_test(a_page_is_expected),
		cmocka_unit_test(a_page_goes_and_never_comes),
		cmocka_unit_test(nothing_is_read_beyond_a_range),
		cmocka_unit_test(the_cache_is_not_out_of_date),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
