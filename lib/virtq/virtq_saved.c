/* SPDX-License-Identifier: BSD-3-Clause */
#include "virtq_saved.h"

#include <string.h>

static struct virtq_pos
word_pos(uint32_t word)
{
	return (struct virtq_pos){word & 0x7fff, word >> 15 & 1};
}

void
virtq_saved_begin(struct virtq_saved *saved, struct virtq_dev *dev, const struct virtq_ring *ring)
{
	const uint32_t pos = virtq_saved_word(virtq_dev_used_pos(dev));

	virtq_saved_forget(saved);
	saved->size = ring->size;
	saved->next = pos;
	__atomic_store_n(&saved->pos, pos, __ATOMIC_RELEASE);
	dev->saved = saved;
	dev->kept = true;
}

void
virtq_saved_forget(struct virtq_saved *saved)
{
	__atomic_store_n(&saved->pos, 0, __ATOMIC_SEQ_CST);
	saved->next = 0;
}

enum virtq_saved_state
virtq_saved_state(const struct virtq_ring *ring, struct virtq_pos p)
{
	const uint16_t flags = virtq_load16(&ring->pdesc[p.idx].flags) & VIRTQ_PACKED_PHASES;

	if (flags == (p.wrap ? VIRTQ_PACKED_PHASES : 0))
		return VIRTQ_SAVED_RETURNED;
	return flags == (p.wrap ? VIRTQ_PACKED_AVAIL : VIRTQ_PACKED_USED) ? VIRTQ_SAVED_AVAILABLE :
									    VIRTQ_SAVED_OTHER;
}

static uint32_t
entries_between(struct virtq_pos from, struct virtq_pos to, uint32_t size)
{
	return from.wrap == to.wrap ? (uint32_t)to.idx - from.idx : size - from.idx + to.idx;
}

static bool
is_sound(const struct virtq_saved *s, uint32_t size)
{
	const struct virtq_pos pos = word_pos(s->pos), next = word_pos(s->next);

	return (s->pos & s->next & VIRTQ_SAVED_VALID) && s->size == size && pos.idx < size &&
	       next.idx < size && entries_between(pos, next, size) <= size;
}

/* Entries behind the first of those to be returned; *begun: any was. False: one is neither. */
static bool
look_behind(const struct virtq_ring *ring, struct virtq_pos pos, uint32_t n, bool *begun)
{
	*begun = false;
	for (uint32_t i = 1; i < n; i++) {
		enum virtq_saved_state state;

		virtq_pos_advance(&pos, 1, ring->size);
		state = virtq_saved_state(ring, pos);
		if (state == VIRTQ_SAVED_OTHER)
			return false;
		*begun |= state == VIRTQ_SAVED_RETURNED;
	}
	return true;
}

/* Return what is left of chains of one entry each; of what they hold nothing is known. */
static void
finish_push(const struct virtq_ring *ring, struct virtq_pos first, uint32_t n, uint64_t head)
{
	struct virtq_pos pos = first;

	for (uint32_t i = 1; i < n; i++) {
		struct virtq_chain c = {.written = 0};

		virtq_pos_advance(&pos, 1, ring->size);
		if (virtq_saved_state(ring, pos) == VIRTQ_SAVED_RETURNED)
			continue;
		c.id = virtq_load_desc(&ring->pdesc[pos.idx]).packed.id;
		virtq_store64_release(&ring->pdesc[pos.idx].len,
				      virtq_packed_used_meta(&c, pos.wrap, false));
	}
	virtq_store64_release(&ring->pdesc[first.idx].len, head);
}

bool
virtq_saved_place(const struct virtq_saved *saved, const struct virtq_ring *ring, uint32_t *base)
{
	const struct virtq_saved s = *saved;
	struct virtq_pos pos = word_pos(s.pos);
	const struct virtq_pos next = word_pos(s.next);
	uint32_t n, half;
	bool begun = false;

	if (!is_sound(&s, ring->size))
		return false;
	n = entries_between(pos, next, ring->size);
	if (n > 0 && virtq_saved_state(ring, pos) == VIRTQ_SAVED_RETURNED) {
		pos = next;
	} else if (n > 1 && s.kind == VIRTQ_SAVED_LAST) {
		if (virtq_saved_state(ring, pos) != VIRTQ_SAVED_AVAILABLE ||
		    !look_behind(ring, pos, n, &begun))
			return false;
	}
	if (begun) {
		finish_push(ring, pos, n, s.head);
		pos = next;
	}
	if (virtq_saved_state(ring, pos) == VIRTQ_SAVED_RETURNED && ring->size > 1)
		return false;
	half = pos.idx | (uint32_t)pos.wrap << 15;
	*base = half | half << 16;
	return true;
}
