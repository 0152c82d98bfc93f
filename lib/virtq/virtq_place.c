/* SPDX-License-Identifier: BSD-3-Clause */
#include "virtq_place.h"

#include "virtq_dev.h"

#define MAX_SIZE 1024
/* Looks at a ring that its driver is about to add to. */
#define TRIES 3

static bool
avail_bit(uint16_t flags)
{
	return flags & VIRTQ_PACKED_AVAIL;
}

static bool
used_bit(uint16_t flags)
{
	return flags & VIRTQ_PACKED_USED;
}

/*
 * Whether the device can stand at p. From there on entries are available, of this lap; then come,
 * up to p, those that the device is done with, of the lap before: used ones, of which the first of
 * a chain is written and the others are left as they were, all with NEXT but the last. With
 * `single` each chain has one entry.
 */
static bool
can_stand(const uint16_t *flags, uint16_t size, struct virtq_pos p, bool single)
{
	bool may_belong = !single, has_more = false;
	uint32_t left = size;

	for (; left > 0; left--, virtq_pos_advance(&p, 1, size))
		if (avail_bit(flags[p.idx]) != p.wrap || used_bit(flags[p.idx]) == p.wrap)
			break;
	for (; left > 0; left--, virtq_pos_advance(&p, 1, size)) {
		if (avail_bit(flags[p.idx]) == p.wrap)
			return false;
		if (used_bit(flags[p.idx]) != p.wrap) { /* of a chain the first, or the only one */
			if (has_more)
				return false;
			may_belong = !single;
			continue;
		}
		if (!may_belong)
			return false;
		has_more = may_belong = flags[p.idx] & VRING_DESC_F_NEXT;
	}
	return !has_more;
}

/* Places where the device can stand, two at most; *place is the last of them. */
static unsigned int
find_places(const uint16_t *flags, uint16_t size, bool single, struct virtq_pos *place)
{
	unsigned int n = 0;

	for (uint32_t i = 0; i < 2u * size && n < 2; i++) {
		const struct virtq_pos p = { (uint16_t)(i / 2), i % 2 };

		if (!can_stand(flags, size, p, single))
			continue;
		*place = p;
		n++;
	}
	return n;
}

/* Returns whether no chain that is to be seen has more than one entry. */
static bool
copy_flags(const struct virtq_ring *ring, uint16_t *flags)
{
	uint16_t any = 0;

	for (uint32_t i = 0; i < ring->size; i++) {
		flags[i] = virtq_load16(&ring->pdesc[i].flags);
		any |= flags[i];
	}
	return !(any & VRING_DESC_F_NEXT);
}

bool
virtq_place_packed(const struct virtq_ring *ring, uint32_t *base)
{
	const uint32_t used = *base >> 16 != 0 ? *base >> 16 : *base;
	const struct virtq_pos said = { used & 0x7fff, used >> 15 & 1 };
	struct virtq_pos found = { 0, false };
	uint16_t flags[MAX_SIZE];

	if (ring->size > MAX_SIZE || said.idx >= ring->size ||
	    (ring->features & VIRTQ_BIT(VIRTIO_F_IN_ORDER)))
		return false;
	for (int i = 0; i < TRIES; i++) {
		const bool single = copy_flags(ring, flags);

		if (can_stand(flags, ring->size, said, false))
			return false;
		if (find_places(flags, ring->size, single, &found) == 1) {
			const uint32_t half = found.idx | (uint32_t)found.wrap << 15;

			*base = half | half << 16;
			return true;
		}
	}
	return false;
}
