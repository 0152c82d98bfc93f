/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>

#include "vring_fe_region.h"

static int
by_address(const void *a, const void *b)
{
	const struct vhost_region *x = a, *y = b;

	return x->iova < y->iova ? -1 : x->iova > y->iova;
}

/* Neighbours in this process, and in the file where one is shared. */
static bool
regions_adjoin(const struct vhost_region *a, const struct vhost_region *b, bool files)
{
	if (a->iova + a->size != b->iova || a->read_only != b->read_only)
		return false;
	return !files || (a->fd == b->fd && a->fd_offset + a->size == b->fd_offset);
}

uint32_t
vring_fe_region_merge(struct vhost_region *r, uint32_t n, bool files)
{
	uint32_t last = 0;

	if (n == 0)
		return 0;
	qsort(r, n, sizeof(r[0]), by_address);
	for (uint32_t i = 1; i < n; i++) {
		if (regions_adjoin(&r[last], &r[i], files))
			r[last].size += r[i].size;
		else
			r[++last] = r[i];
	}
	return last + 1;
}

const struct vhost_region *
vring_fe_region_beyond(const struct vhost_region *r, uint32_t n, uint64_t first, uint64_t last)
{
	for (uint32_t i = 0; i < n; i++)
		if (r[i].iova < first || r[i].iova + (r[i].size - 1) > last)
			return &r[i];
	return NULL;
}

uint64_t
vring_fe_region_bytes(const struct vhost_region *r, uint32_t n)
{
	uint64_t bytes = 0;

	while (n-- > 0)
		bytes += r[n].size;
	return bytes;
}

static bool
ranges_meet(const struct vnet_range *r, uintptr_t base, size_t len)
{
	return r->base < base + len && base < r->base + r->len;
}

bool
vring_fe_region_ranges_meet(const struct vring_ranges *s, uintptr_t base, size_t len)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (ranges_meet(&s->range[i], base, len))
			return true;
	return false;
}

/* A cut leaves one more at most: where it falls into the midst of one. */
static int
make_room(struct vring_ranges *s)
{
	struct vnet_range *r = realloc(s->range, (s->n + 2) * sizeof(*r));

	if (r == NULL)
		return -ENOMEM;
	s->range = r;
	return 0;
}

int
vring_fe_region_ranges_cut(struct vring_ranges *s, uintptr_t base, size_t len)
{
	const uintptr_t end = base + len;
	uint32_t i = 0;

	if (make_room(s) != 0)
		return -ENOMEM;
	while (i < s->n) {
		const struct vnet_range old = s->range[i];
		const uintptr_t old_end = old.base + old.len;

		if (!ranges_meet(&old, base, len)) {
			i++;
			continue;
		}
		s->range[i] = s->range[--s->n];
		if (old.base < base)
			s->range[s->n++] = (struct vnet_range){ old.base, base - old.base };
		if (old_end > end)
			s->range[s->n++] = (struct vnet_range){ end, old_end - end };
	}
	return 0;
}

int
vring_fe_region_ranges_add(struct vring_ranges *s, uintptr_t base, size_t len)
{
	if (vring_fe_region_ranges_cut(s, base, len) != 0 || make_room(s) != 0)
		return -ENOMEM;
	s->range[s->n++] = (struct vnet_range){ base, len };
	return 0;
}
