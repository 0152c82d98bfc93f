/* SPDX-License-Identifier: BSD-3-Clause */
#include "virtq_dev_ahead.h"

#include "virtq_shared.h"

/*
 * Chains of a split ring, entries of a packed one, descriptors of a chain: looked at at most. A
 * guest that flushes all its mappings every ten milliseconds has each of them asked for anew, which
 * takes the front-end longer than that if they are many.
 */
#define MAX_CHAINS 16
#define MAX_DESCS 64
/* Bytes of a buffer, and translations in one go. */
#define MAX_BYTES 0x11000ul
#define MAX_LOOKUPS 2048

struct ahead {
	const struct virtq_ring *ring;
	virtq_dev_ahead_fn fn;
	void *ctx;
	uint32_t lookups;
	uint32_t pos;		/* of the chain */
};

/* False: that is enough. */
static bool
look_at(struct ahead *a, uint64_t iova, uint64_t len, bool write)
{
	if (len > MAX_BYTES)
		len = MAX_BYTES;
	while (len > 0) {
		const uint64_t page = VIRTQ_IOTLB_PAGE - iova % VIRTQ_IOTLB_PAGE;
		const uint64_t part = page < len ? page : len;

		if (a->lookups++ == MAX_LOOKUPS || !a->fn(a->ctx, iova, write, a->pos))
			return false;
		iova += part;
		len -= part;
	}
	return true;
}

static bool
look_at_table(struct ahead *a, uint64_t iova, uint32_t len)
{
	const uint32_t n = len / sizeof(struct virtq_desc);

	if (!look_at(a, iova, len < VIRTQ_IOTLB_PAGE ? len : VIRTQ_IOTLB_PAGE, false))
		return false;
	for (uint32_t i = 0; i < n && i < MAX_DESCS; i++) {
		struct virtq_desc d;
		uint16_t flags;

		if (!virtq_iotlb_view_read(a->ring->view, iova + i * sizeof(d), &d, sizeof(d)))
			return true;
		flags = a->ring->packed ? d.packed.flags : d.split.flags;
		if (!look_at(a, d.addr, d.len, flags & VRING_DESC_F_WRITE))
			return false;
	}
	return true;
}

static bool
look_at_desc(struct ahead *a, struct virtq_desc d, uint16_t flags)
{
	if (flags & VRING_DESC_F_INDIRECT)
		return look_at_table(a, d.addr, d.len);
	return look_at(a, d.addr, d.len, flags & VRING_DESC_F_WRITE);
}

/* Where the device stands in its own word, which the driver may have changed. */
static void
ahead_split(struct ahead *a)
{
	const struct virtq_ring *ring = a->ring;
	const uint16_t from = virtq_load16(&ring->used->idx);
	uint16_t n = virtq_load16_acquire(&ring->avail->idx) - from;

	if (n > ring->size)
		return;
	if (n > MAX_CHAINS)
		n = MAX_CHAINS;
	for (uint16_t i = 0; i < n; i++) {
		uint16_t at = virtq_load16(&ring->avail->ring[(from + i) & ring->mask]);

		a->pos = VIRTQ_IOTLB_POS((uint16_t)(from + i), true);
		for (uint32_t k = 0; k < MAX_DESCS; k++) {
			struct virtq_desc d;

			if (at >= ring->size)
				return;
			d = virtq_load_desc(&ring->desc[at]);
			if (!look_at_desc(a, d, d.split.flags))
				return;
			if (!(d.split.flags & VRING_DESC_F_NEXT))
				break;
			at = d.split.next;
		}
	}
}

/* An entry that waits for the device differs in its two phases, in either lap. */
static void
ahead_packed(struct ahead *a)
{
	const struct virtq_ring *ring = a->ring;

	const uint32_t from = (uint16_t)__atomic_load_n(&ring->view->stood, __ATOMIC_RELAXED);

	for (uint32_t k = 0, seen = 0; k < ring->size && seen < MAX_CHAINS; k++) {
		const uint32_t i = (from + k) % ring->size;
		const uint16_t flags = virtq_load16_acquire(&ring->pdesc[i].flags);
		const uint16_t phases = flags & VIRTQ_PACKED_PHASES;

		if (phases != VIRTQ_PACKED_AVAIL && phases != VIRTQ_PACKED_USED)
			continue;
		seen++;
		a->pos = VIRTQ_IOTLB_POS(i, phases == VIRTQ_PACKED_AVAIL);
		if (!look_at_desc(a, virtq_load_desc(&ring->pdesc[i]), flags))
			return;
	}
}

void
virtq_dev_ahead(const struct virtq_ring *ring, virtq_dev_ahead_fn fn, void *ctx)
{
	struct ahead a = {.ring = ring, .fn = fn, .ctx = ctx};

	if (ring->packed)
		ahead_packed(&a);
	else
		ahead_split(&a);
}
