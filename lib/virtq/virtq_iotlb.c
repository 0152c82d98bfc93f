/* SPDX-License-Identifier: BSD-3-Clause */
#include "virtq_iotlb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Regions of memory that one update can lie in. */
#define MAX_PIECES 32
/* With a full table, one range in so many is forgotten. */
#define FORGET_ONE_IN 8

static struct virtq_iotlb_table *
table_new(uint32_t room)
{
	return calloc(1, sizeof(struct virtq_iotlb_table) +
		      room * sizeof(struct virtq_iotlb_range));
}

struct virtq_iotlb *
virtq_iotlb_new(struct virtq_mem *mem)
{
	struct virtq_iotlb *iotlb = calloc(1, sizeof(*iotlb));

	if (iotlb == NULL)
		return NULL;
	iotlb->table = table_new(0);
	if (iotlb->table == NULL) {
		free(iotlb);
		return NULL;
	}
	iotlb->refs = 1;
	iotlb->mem = virtq_mem_get(mem);
	return iotlb;
}

struct virtq_iotlb *
virtq_iotlb_get(struct virtq_iotlb *iotlb)
{
	if (iotlb != NULL)
		__atomic_fetch_add(&iotlb->refs, 1, __ATOMIC_RELAXED);
	return iotlb;
}

void
virtq_iotlb_put(struct virtq_iotlb *iotlb)
{
	if (iotlb == NULL || __atomic_sub_fetch(&iotlb->refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	virtq_iotlb_reclaim(iotlb);
	free(iotlb->table);
	virtq_mem_put(iotlb->mem);
	free(iotlb);
}

void
virtq_iotlb_reclaim(struct virtq_iotlb *iotlb)
{
	while (iotlb->retired != NULL) {
		struct virtq_iotlb_table *t = iotlb->retired;

		iotlb->retired = t->next;
		free(t);
	}
	iotlb->nretired = 0;
}

uint32_t
virtq_iotlb_ranges(const struct virtq_iotlb *iotlb)
{
	return iotlb->table->n;
}

static void
table_replace(struct virtq_iotlb *iotlb, struct virtq_iotlb_table *table)
{
	struct virtq_iotlb_table *old = iotlb->table;

	old->next = iotlb->retired;
	iotlb->retired = old;
	iotlb->nretired++;
	__atomic_store_n(&iotlb->table, table, __ATOMIC_RELEASE);
}

/* The first range that ends at iova or behind it, or n. */
static uint32_t
first_reaching(const struct virtq_iotlb_table *t, uint64_t iova)
{
	uint32_t lo = 0, hi = t->n;

	while (lo < hi) {
		const uint32_t mid = (lo + hi) / 2;

		if (t->range[mid].last < iova)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Neighbours, for the guest and here, in one region of the memory. */
static bool
are_one(const struct virtq_iotlb *iotlb, const struct virtq_iotlb_range *a,
	const struct virtq_iotlb_range *b)
{
	return a->last + 1 == b->iova && a->perm == b->perm &&
	       a->host + (a->last - a->iova) + 1 == b->host &&
	       virtq_mem_find_host(iotlb->mem, a->host) == virtq_mem_find_host(iotlb->mem, b->host);
}

static void
table_append(const struct virtq_iotlb *iotlb, struct virtq_iotlb_table *t,
	     struct virtq_iotlb_range r)
{
	if (t->n > 0 && are_one(iotlb, &t->range[t->n - 1], &r))
		t->range[t->n - 1].last = r.last;
	else
		t->range[t->n++] = r;
}

/* The part of r that lies before `end` (exclusive), and the one behind `last`. */
static void
append_around(const struct virtq_iotlb *iotlb, struct virtq_iotlb_table *t,
	      const struct virtq_iotlb_range *r, uint64_t iova, uint64_t last, bool before)
{
	struct virtq_iotlb_range part = *r;

	if (before && r->iova < iova) {
		if (part.last >= iova)
			part.last = iova - 1;
		table_append(iotlb, t, part);
	} else if (!before && r->last > last) {
		if (part.iova <= last) {
			part.host += last + 1 - part.iova;
			part.iova = last + 1;
		}
		table_append(iotlb, t, part);
	}
}

static void
append_many(struct virtq_iotlb_table *t, const struct virtq_iotlb_range *r, uint32_t n)
{
	memcpy(&t->range[t->n], r, n * sizeof(*r));
	t->n += n;
}

/*
 * Another table, in which [iova, last] is `n` pieces (0: nothing). NULL: out of memory. *taken:
 * something was known there.
 */
static struct virtq_iotlb_table *
table_with(const struct virtq_iotlb *iotlb, uint64_t iova, uint64_t last,
	   const struct virtq_iotlb_range *piece, uint32_t n, bool *taken)
{
	const struct virtq_iotlb_table *old = iotlb->table;
	struct virtq_iotlb_table *t = table_new(old->n + n + 1);
	uint32_t at = first_reaching(old, iova);

	*taken = at < old->n && old->range[at].iova <= last;
	if (t == NULL)
		return NULL;
	append_many(t, old->range, at);
	/* Range `at` can begin before all of it, end behind it, or both. */
	if (at < old->n)
		append_around(iotlb, t, &old->range[at], iova, last, true);
	for (uint32_t i = 0; i < n; i++)
		table_append(iotlb, t, piece[i]);
	while (at < old->n && old->range[at].last <= last)
		at++;
	if (at < old->n) {
		append_around(iotlb, t, &old->range[at], iova, last, false);
		append_many(t, &old->range[at + 1], old->n - at - 1);
	}
	return t;
}

/* Whether this is said already. */
static bool
range_is_known(const struct virtq_iotlb *iotlb, const struct virtq_iotlb_range *r)
{
	const uint32_t i = first_reaching(iotlb->table, r->iova);
	const struct virtq_iotlb_range *k = &iotlb->table->range[i];

	return i < iotlb->table->n && k->iova <= r->iova && k->last >= r->last &&
	       k->perm == r->perm && k->host + (r->iova - k->iova) == r->host;
}

static int
range_check(uint64_t iova, uint64_t size, uint64_t *last)
{
	return size == 0 || __builtin_add_overflow(iova, size - 1, last) ? -EINVAL : 0;
}

/* Pieces of one region each. Their number, or -EFAULT. */
static int
pieces_of(const struct virtq_mem *mem, uint64_t iova, uint64_t size, uint64_t uva, uint8_t perm,
	  struct virtq_iotlb_range piece[MAX_PIECES])
{
	int n = 0;

	while (size > 0) {
		const struct virtq_region *r = virtq_mem_find_uva(mem, uva);
		uint64_t part;

		if (r == NULL || n == MAX_PIECES)
			return -EFAULT;
		part = r->size - (uva - r->uva);
		if (part > size)
			part = size;
		piece[n++] = (struct virtq_iotlb_range){
			.iova = iova, .last = iova + (part - 1),
			.host = r->host + (uva - r->uva), .perm = perm,
		};
		iova += part;
		uva += part;
		size -= part;
	}
	return n;
}

static void
generation_next(struct virtq_iotlb *iotlb)
{
	__atomic_store_n(&iotlb->generation, iotlb->generation + 1, __ATOMIC_RELEASE);
}

/*
 * Forget some ranges, for there are too many; other ones each time. What is forgotten must not live
 * on in caches either.
 */
static int
table_forget(struct virtq_iotlb *iotlb)
{
	const struct virtq_iotlb_table *old = iotlb->table;
	struct virtq_iotlb_table *t = table_new(old->n);

	if (t == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < old->n; i++)
		if ((i + iotlb->forgotten) % FORGET_ONE_IN != 0)
			t->range[t->n++] = old->range[i];
	iotlb->forgotten++;
	table_replace(iotlb, t);
	generation_next(iotlb);
	return 0;
}

static int
set_pieces(struct virtq_iotlb *iotlb, uint64_t iova, uint64_t last,
	   const struct virtq_iotlb_range *piece, uint32_t n)
{
	struct virtq_iotlb_table *t;
	bool taken;

	if (iotlb->table->n + n + 1 > VIRTQ_IOTLB_MAX && table_forget(iotlb) < 0)
		return -ENOMEM;
	t = table_with(iotlb, iova, last, piece, n, &taken);
	if (t == NULL)
		return -ENOMEM;
	table_replace(iotlb, t);
	if (taken)
		generation_next(iotlb);
	return 0;
}

int
virtq_iotlb_add(struct virtq_iotlb *iotlb, uint64_t iova, uint64_t size, uint64_t uva, uint8_t perm)
{
	struct virtq_iotlb_range piece[MAX_PIECES];
	uint64_t last, end;
	int n;

	if (range_check(iova, size, &last) < 0 || range_check(uva, size, &end) < 0 || perm == 0 ||
	    perm > (VIRTQ_IOTLB_READ | VIRTQ_IOTLB_WRITE))
		return -EINVAL;
	n = pieces_of(iotlb->mem, iova, size, uva, perm, piece);
	if (n < 0 || (n == 1 && range_is_known(iotlb, &piece[0])))
		return n < 0 ? n : 0;
	return set_pieces(iotlb, iova, last, piece, (uint32_t)n);
}

/* Where a page is remembered, and what is there then. */
static uint32_t *
given_at(struct virtq_iotlb *iotlb, uint64_t iova, uint32_t *mark)
{
	const uint64_t hash = iova / VIRTQ_IOTLB_PAGE * 0x9e3779b97f4a7c15ull;

	*mark = (uint32_t)(hash >> 32) | 1;
	return &iotlb->given[(uint32_t)hash / (UINT32_MAX / VIRTQ_IOTLB_GIVEN + 1)];
}

bool
virtq_iotlb_give(struct virtq_iotlb *iotlb, uint64_t iova)
{
	uint32_t mark, *at = given_at(iotlb, iova, &mark);
	const bool before = *at == mark;

	*at = mark;
	return before;
}

static void
forget_given(struct virtq_iotlb *iotlb, uint64_t iova, uint64_t last)
{
	uint32_t mark, *at;

	if (last / VIRTQ_IOTLB_PAGE - iova / VIRTQ_IOTLB_PAGE >= VIRTQ_IOTLB_GIVEN) {
		memset(iotlb->given, 0, sizeof(iotlb->given));
		return;
	}
	for (uint64_t n = iova / VIRTQ_IOTLB_PAGE; n <= last / VIRTQ_IOTLB_PAGE; n++) {
		at = given_at(iotlb, n * VIRTQ_IOTLB_PAGE, &mark);
		if (*at == mark)
			*at = 0;
	}
}

int
virtq_iotlb_remove(struct virtq_iotlb *iotlb, uint64_t iova, uint64_t size)
{
	uint64_t last;
	uint32_t i;

	if (range_check(iova, size, &last) < 0)
		return -EINVAL;
	forget_given(iotlb, iova, last);
	i = first_reaching(iotlb->table, iova);
	if (i == iotlb->table->n || iotlb->table->range[i].iova > last)
		return 0;
	return set_pieces(iotlb, iova, last, NULL, 0);
}

struct virtq_iotlb *
virtq_iotlb_moved(const struct virtq_iotlb *old, struct virtq_mem *mem)
{
	struct virtq_iotlb *iotlb = virtq_iotlb_new(mem);
	struct virtq_iotlb_table *t;

	if (iotlb == NULL)
		return NULL;
	t = table_new(old->table->n);
	if (t == NULL) {
		virtq_iotlb_put(iotlb);
		return NULL;
	}
	for (uint32_t i = 0; i < old->table->n; i++) {
		struct virtq_iotlb_range r = old->table->range[i];
		const struct virtq_region *was = virtq_mem_find_host(old->mem, r.host);

		r.host = virtq_mem_uva(mem, was->uva + (uint64_t)(r.host - was->host),
				       r.last - r.iova + 1);
		if (r.host != NULL)
			t->range[t->n++] = r;
	}
	free(iotlb->table);
	iotlb->table = t;
	return iotlb;
}

const struct virtq_iotlb_range *
virtq_iotlb_search(const struct virtq_iotlb *iotlb, uint64_t iova, bool write)
{
	const struct virtq_iotlb_table *t = __atomic_load_n(&iotlb->table, __ATOMIC_ACQUIRE);
	const uint32_t i = first_reaching(t, iova);
	const uint8_t perm = write ? VIRTQ_IOTLB_WRITE : VIRTQ_IOTLB_READ;

	if (i == t->n || t->range[i].iova > iova || !(t->range[i].perm & perm))
		return NULL;
	return &t->range[i];
}

uint8_t *
virtq_iotlb_find(const struct virtq_iotlb *iotlb, uint64_t iova, uint64_t *len, bool write)
{
	const struct virtq_iotlb_range *r = virtq_iotlb_search(iotlb, iova, write);

	if (r == NULL)
		return NULL;
	if (*len > 0 && *len - 1 > r->last - iova)
		*len = r->last - iova + 1;
	return r->host + (iova - r->iova);
}
