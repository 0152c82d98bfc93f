/* SPDX-License-Identifier: BSD-3-Clause */
#include "virtq_inflight.h"

#include <stdlib.h>

#include "virtq_saved.h"

#define VERSION 1
#define ALIGNMENT 64u

/* A chain in flight. */
struct held {
	uint64_t counter;
	uint16_t index;		/* of its entry */
};

uint64_t
virtq_inflight_bytes(uint32_t size, bool packed)
{
	const uint64_t bytes =
		packed ? sizeof(struct virtq_inflight_packed) +
				 (uint64_t)size * sizeof(struct virtq_inflight_packed_entry) :
			 sizeof(struct virtq_inflight_split) +
				 (uint64_t)size * sizeof(struct virtq_inflight_split_entry);

	return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static int
compare_held(const void *a, const void *b)
{
	const struct held *x = a, *y = b;

	return x->counter < y->counter ? -1 : x->counter > y->counter;
}

/* Chains in flight, in the order in which they were taken. NULL: out of memory. */
static struct held *
find_held(void *part, const struct virtq_ring *ring, uint32_t *n)
{
	struct virtq_inflight_packed *p = part;
	struct virtq_inflight_split *s = part;
	struct held *held = calloc(ring->size, sizeof(*held));

	*n = 0;
	for (uint32_t i = 0; held != NULL && i < ring->size; i++) {
		const uint8_t *flag = ring->packed ? &p->entry[i].inflight : &s->entry[i].inflight;
		const uint64_t *counter =
			ring->packed ? &p->entry[i].counter : &s->entry[i].counter;

		if (virtq_load8(flag) != 0)
			held[(*n)++] = (struct held){ virtq_load64(counter), (uint16_t)i };
	}
	if (held != NULL)
		qsort(held, *n, sizeof(*held), compare_held);
	return held;
}

/* ---- split ---- */

/* The last ones were returned, but perhaps not all of them noted. */
static void
repair_split(struct virtq_inflight_split *s, const struct virtq_ring *ring, uint16_t used)
{
	uint16_t n = used - virtq_load16(&s->used_idx);
	uint16_t i = virtq_load16(&s->last_batch);

	for (; n > 0 && i < ring->size; n--) {
		virtq_store8_release(&s->entry[i].inflight, 0);
		i = virtq_load16(&s->entry[i].next);
	}
	virtq_store16_release(&s->used_idx, used);
}

static bool
place_in_split(struct virtq_inflight_split *s, const struct virtq_ring *ring, uint32_t *base,
	       uint32_t *returned)
{
	uint16_t used = virtq_load16(&ring->used->idx);
	const uint16_t waiting = virtq_load16(&ring->avail->idx) - used;
	struct held *held;
	uint32_t n;

	if ((uint16_t)(used - virtq_load16(&s->used_idx)) > ring->size)
		return false;
	repair_split(s, ring, used);
	held = find_held(s, ring, &n);
	if (held == NULL || n > waiting) {
		free(held);
		return false;
	}
	for (uint32_t i = 0; i < n; i++) {
		const struct virtq_chain c = { .id = held[i].index };

		virtq_tracked_return(s, c.id);
		virtq_dev_write_used(ring, used++, &c);
		virtq_store16_release(&ring->used->idx, used);
		virtq_tracked_returned(s, c.id);
		virtq_store16_release(&s->used_idx, used);
	}
	free(held);
	*base = used;
	*returned = n;
	return true;
}

/* ---- packed ---- */

/* Where a device stands that was killed: what it had begun counts once the first entry says so. */
static bool
find_pos(struct virtq_inflight_packed *p, const struct virtq_ring *ring, struct virtq_pos *pos)
{
	const uint64_t word = virtq_load64(&p->used_idx);
	const struct virtq_pos now = { (uint16_t)word, word >> 32 & 1 };
	const struct virtq_pos old = { (uint16_t)(word >> 16), word >> 40 & 1 };
	const bool begun = now.idx != old.idx || now.wrap != old.wrap;

	if (now.idx >= ring->size || old.idx >= ring->size)
		return false;
	*pos = old;
	if (begun && virtq_saved_state(ring, old) != VIRTQ_SAVED_AVAILABLE)
		*pos = now;
	else
		virtq_store16_release(&p->free_head, virtq_load16(&p->old_free_head));
	if (virtq_saved_state(ring, *pos) == VIRTQ_SAVED_RETURNED && ring->size > 1)
		return false;
	virtq_tracked_commit(p, pos->idx, pos->wrap);
	return true;
}

/* Free entries are of no chain in flight. */
static void
clear_free(struct virtq_inflight_packed *p, uint32_t size)
{
	uint16_t i = virtq_load16(&p->free_head);

	for (uint32_t seen = 0; seen < size && i < size; seen++) {
		virtq_store8_release(&p->entry[i].inflight, 0);
		i = virtq_load16(&p->entry[i].next);
	}
}

/* The chain of a held entry, as far as returning it needs it. False: it cannot be one. */
static bool
held_chain(struct virtq_inflight_packed *p, const struct virtq_ring *ring, uint16_t index,
	   struct virtq_chain *c)
{
	const uint16_t last = virtq_load16(&p->entry[index].last);

	*c = (struct virtq_chain){ .entries = virtq_load16(&p->entry[index].num) };
	if (last >= ring->size || c->entries == 0 || c->entries > ring->size)
		return false;
	c->id = virtq_load16(&p->entry[last].id);
	return true;
}

static bool
are_sound(struct virtq_inflight_packed *p, const struct virtq_ring *ring, const struct held *held,
	  uint32_t n)
{
	uint32_t entries = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct virtq_chain c;

		if (!held_chain(p, ring, held[i].index, &c))
			return false;
		entries += c.entries;
	}
	return entries <= ring->size;
}

static void
return_held(struct virtq_inflight_packed *p, const struct virtq_ring *ring, struct virtq_pos *pos,
	    uint16_t index)
{
	const struct virtq_pos at = *pos;
	struct virtq_chain c;
	uint64_t meta;
	uint16_t last;

	if (!held_chain(p, ring, index, &c)) /* it was one a moment ago */
		return;
	last = virtq_load16(&p->entry[index].last);
	meta = virtq_packed_used_meta(&c, pos->wrap, false);
	if (last < ring->size)
		virtq_store16_release(&p->entry[last].next, virtq_load16(&p->free_head));
	virtq_store16_release(&p->free_head, index);
	virtq_pos_advance(pos, c.entries, ring->size);
	virtq_tracked_intend(p, pos->idx, pos->wrap, at.idx, at.wrap);
	virtq_store64_release(&ring->pdesc[at.idx].len, meta);
	virtq_store8_release(&p->entry[index].inflight, 0);
	virtq_tracked_commit(p, pos->idx, pos->wrap);
}

static bool
place_in_packed(struct virtq_inflight_packed *p, const struct virtq_ring *ring, uint32_t *base,
		uint32_t *returned)
{
	struct virtq_pos pos;
	struct held *held;
	uint32_t n, half;

	if (!find_pos(p, ring, &pos))
		return false;
	clear_free(p, ring->size);
	held = find_held(p, ring, &n);
	if (held == NULL || !are_sound(p, ring, held, n)) {
		free(held);
		return false;
	}
	for (uint32_t i = 0; i < n; i++)
		return_held(p, ring, &pos, held[i].index);
	free(held);
	half = pos.idx | (uint32_t)pos.wrap << 15;
	*base = half | half << 16;
	*returned = n;
	return true;
}

/* ---- either ---- */

static bool
is_of(const void *part, const struct virtq_ring *ring)
{
	/* Up to its size the head is the same in both layouts. */
	const struct virtq_inflight_split *s = part;

	return virtq_load16(&s->version) == VERSION && virtq_load16(&s->size) == ring->size;
}

bool
virtq_inflight_place(void *part, const struct virtq_ring *ring, uint32_t *base, uint32_t *returned)
{
	if (!is_of(part, ring))
		return false;
	return ring->packed ? place_in_packed(part, ring, base, returned) :
			      place_in_split(part, ring, base, returned);
}

static void
begin_split(struct virtq_inflight_split *s, const struct virtq_dev *dev, uint16_t size)
{
	virtq_store16(&s->size, size);
	virtq_store16(&s->used_idx, dev->cursor.used_idx);
	virtq_store16_release(&s->version, VERSION);
}

static void
begin_packed(struct virtq_inflight_packed *p, const struct virtq_dev *dev, uint16_t size)
{
	for (uint32_t i = 0; i < size; i++)
		virtq_store16(&p->entry[i].next, (uint16_t)(i + 1));
	virtq_store16(&p->size, size);
	virtq_tracked_commit(p, dev->cursor.used_idx, dev->cursor.used_wrap);
	virtq_store16_release(&p->version, VERSION);
}

void
virtq_inflight_begin(void *part, struct virtq_dev *dev, const struct virtq_ring *ring)
{
	virtq_store16_release(&((struct virtq_inflight_split *)part)->version, 0);
	memset(part, 0, virtq_inflight_bytes(ring->size, ring->packed));
	if (ring->packed)
		begin_packed(part, dev, ring->size);
	else
		begin_split(part, dev, ring->size);
	dev->inflight = part;
	dev->taken = 0;
	dev->kept = true;
}
