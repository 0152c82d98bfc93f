/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver's half of a virtqueue: many buffers of one entry each, offered and taken back at once.
 *
 * As long as a device gives everything back in the order in which it was offered, which most do,
 * the ids in use and the free ones follow each other round the ring (virtq_drv.sequential). Then
 * nobody has to walk a list, and the check of a used entry is that it names the one that is due.
 * What does not fit is not taken here: the functions of virtq_drv.h serve it one by one.
 *
 * Everything is inline and takes a literal `packed`.
 */
#ifndef VIRTQ_DRV_BULK_H
#define VIRTQ_DRV_BULK_H

#include "virtq_drv.h"

/*
 * Where an offer of many stands; private to the burst until virtq_drv_bulk_end(). It has of a ring
 * what is needed for each buffer, which the compiler would load again after each store.
 */
struct virtq_drv_bulk {
	struct vring_desc *desc;
	struct vring_packed_desc *pdesc;
	uint16_t mask, size;
	uint16_t id;		/* of the next free one */
	uint16_t at;		/* packed: the next entry of the ring */
	uint16_t phase;		/* packed: flags that make it available */
	uint16_t n;		/* buffers so far */
	const struct virtq_ring *ring;
};

VIRTQ_INLINE struct virtq_drv_bulk
virtq_drv_bulk_begin(const struct virtq_drv *drv, const struct virtq_ring *ring)
{
	return (struct virtq_drv_bulk){
		.desc = ring->desc,
		.pdesc = ring->pdesc,
		.mask = ring->mask,
		.size = ring->size,
		.id = drv->free_first,
		.at = drv->cursor.avail_idx,
		.phase = virtq_drv_packed_phase(drv->cursor.avail_wrap),
		.ring = ring,
	};
}

/*
 * Offer one buffer more, while drv->sequential is set and n is less than drv->num_free. The owner
 * stores the cookie (and, where it matters, the length) of b->id itself, before.
 */
VIRTQ_INLINE void
virtq_drv_bulk_put(const struct virtq_drv *drv, struct virtq_drv_bulk *b, uint64_t iova,
		   uint32_t len, uint16_t flags, bool packed)
{
	uint16_t phase = b->phase;

	if (!packed) {
		virtq_drv_put_desc(&b->desc[b->id], iova, len, flags, 0);
		b->id = (b->id + 1) & b->mask;
		b->n++;
		return;
	}
	/* The first of what is published together stays unavailable, see virtq_drv_bulk_end(). */
	if (b->n++ == 0 && drv->unpublished == 0)
		phase ^= VIRTQ_PACKED_PHASES;
	virtq_store64(&b->pdesc[b->at].addr, iova);
	/* Barrier A, for the device that has got this far. */
	virtq_drv_dma_wmb(b->ring);
	virtq_store64_release(&b->pdesc[b->at].len,
			      len | (uint64_t)b->id << 32 | (uint64_t)(flags | phase) << 48);
	if (++b->id == b->size)
		b->id = 0;
	if (++b->at == b->size) {
		b->at = 0;
		b->phase ^= VIRTQ_PACKED_PHASES;
	}
}

/*
 * Get the lines of n entries, the first to be offered next, ready to be written. Where both sides
 * have a copy of a line, prefetchw brought nothing when it was measured; storing what stands there
 * does it, for all at once, while other work goes on. It harms nobody who reads them, and nobody
 * else writes addresses.
 */
VIRTQ_INLINE void
virtq_drv_bulk_own(const struct virtq_drv *drv, const struct virtq_ring *ring, uint16_t n,
		   bool packed)
{
	const uint32_t first = packed ? drv->cursor.avail_idx : drv->free_first;

	if (n > ring->size)
		n = ring->size;
	for (uint32_t i = first; i < first + n; i += VIRTQ_CACHE_LINE / sizeof(ring->desc[0])) {
		/* Both layouts begin with it. */
		uint64_t *addr = (uint64_t *)&ring->desc[virtq_drv_round(ring, i)].addr;

		virtq_store64(addr, virtq_load64(addr));
	}
}

/* What was put is the ring's now; visible to the device with the next virtq_drv_publish(). */
VIRTQ_INLINE void
virtq_drv_bulk_end(struct virtq_drv *drv, const struct virtq_ring *ring,
		   const struct virtq_drv_bulk *b, uint16_t flags, bool packed)
{
	uint16_t head = drv->free_first;

	if (packed) {
		if (drv->unpublished == 0) {
			drv->first.idx = drv->cursor.avail_idx;
			drv->first.flags = flags | virtq_drv_packed_phase(drv->cursor.avail_wrap);
		}
		drv->cursor.avail_idx = b->at;
		drv->cursor.avail_wrap = b->phase == virtq_drv_packed_phase(true);
		drv->num_free_ids -= b->n;
	} else if (drv->heads_in_place && head == (drv->cursor.avail_idx & ring->mask)) {
		drv->cursor.avail_idx += b->n;
	} else {
		for (uint16_t i = 0; i < b->n; i++, head = (head + 1) & ring->mask)
			virtq_drv_write_avail(drv, ring, head);
	}
	drv->free_first = b->id;
	drv->num_free -= b->n;
	drv->unpublished += b->n;
}

/*
 * Split: used entries that wait, at least `want` if there are so many. What used->idx said last is
 * believed until it is used up: its line is the device's. 0 with the ring broken as in
 * virtq_drv_used_split().
 */
VIRTQ_INLINE uint16_t
virtq_drv_bulk_used_split(struct virtq_drv *drv, const struct virtq_ring *ring, uint16_t want)
{
	uint16_t n = drv->used_seen - drv->cursor.used_idx;

	if (n < want || n > (uint16_t)(ring->size - drv->num_free))
		n = virtq_drv_used_split(drv, ring);
	return n;
}

/* Whether buffers can be taken back as what follows does it. */
VIRTQ_INLINE bool
virtq_drv_bulk_can_pop(const struct virtq_drv *drv)
{
	return drv->sequential && drv->uneven == 0;
}

/* The entry `ahead` of the next used one: its place in the ring, and the wrap counter there. */
VIRTQ_INLINE uint16_t
virtq_drv_used_place(const struct virtq_drv *drv, const struct virtq_ring *ring, uint16_t ahead,
		     bool *wrap)
{
	const uint32_t at = (uint32_t)drv->cursor.used_idx + ahead;

	*wrap = drv->cursor.used_wrap != (at >= ring->size);
	return virtq_drv_round(ring, at);
}

/*
 * What the device says in a used entry, the one copy of it: *id (packed: 16 bits) and *len. False:
 * packed, and it is not used; `wrap` is the wrap counter at its place.
 */
VIRTQ_INLINE bool
virtq_drv_read_used(const void *at, bool wrap, uint32_t *id, uint32_t *len, bool packed)
{
	uint64_t e;

	if (packed) {
		if (!virtq_drv_used_packed(at, wrap, &e))
			return false;
		*id = (uint16_t)(e >> 32);
		*len = (uint32_t)e;
		return true;
	}
	e = virtq_peek64(at);
	*id = (uint32_t)e;
	*len = e >> 32;
	return true;
}

/* The used entry `ahead` of the next one; split: the caller knows that it is there. */
VIRTQ_INLINE bool
virtq_drv_used_entry(const struct virtq_drv *drv, const struct virtq_ring *ring, uint16_t ahead,
		     uint32_t *id, uint32_t *len, bool packed)
{
	bool wrap = false;
	const void *at;

	if (packed)
		at = &ring->pdesc[virtq_drv_used_place(drv, ring, ahead, &wrap)];
	else
		at = &ring->used->ring[(drv->cursor.used_idx + ahead) & ring->mask];
	if (!virtq_drv_read_used(at, wrap, id, len, packed))
		return false;
	if (packed)
		virtq_drv_dma_rmb(ring);
	return true;
}

/* Used entries from the next one on that follow each other in memory. */
struct virtq_drv_used {
	const void *first;
	uint16_t left;		/* to the end of the ring */
	bool wrap;		/* packed: their wrap counter */
};

VIRTQ_INLINE struct virtq_drv_used
virtq_drv_used_begin(const struct virtq_drv *drv, const struct virtq_ring *ring, bool packed)
{
	const uint16_t at = packed ? drv->cursor.used_idx : drv->cursor.used_idx & ring->mask;

	return (struct virtq_drv_used){
		.first = packed ? (const void *)&ring->pdesc[at] : &ring->used->ring[at],
		.left = ring->size - at,
		.wrap = drv->cursor.used_wrap,
	};
}

/*
 * As virtq_drv_used_entry(), for i < left. Packed: a device that is no processor is asked before,
 * with virtq_drv_used_dma().
 */
VIRTQ_INLINE bool
virtq_drv_used_next(const struct virtq_drv_used *u, uint32_t i, uint32_t *id, uint32_t *len,
		    bool packed)
{
	const size_t size = packed ? sizeof(struct vring_packed_desc) :
				     sizeof(struct vring_used_elem);

	return virtq_drv_read_used((const uint8_t *)u->first + i * size, u->wrap, id, len, packed);
}

/* Packed: n of them, n <= left; with ORDER_PLATFORM only as many as are used. */
VIRTQ_INLINE uint16_t
virtq_drv_used_dma(const struct virtq_ring *ring, const struct virtq_drv_used *u, uint16_t n)
{
	uint32_t id, len;
	uint16_t i = 0;

	if (!virtq_drv_is_dma(ring))
		return n;
	while (i < n && virtq_drv_used_next(u, i, &id, &len, true))
		i++;
	virtq_drv_dma_rmb(ring);
	return i;
}

/* Split: ids and lengths of four of them, for i + 4 <= left. */
VIRTQ_INLINE void
virtq_drv_used_four(const struct virtq_drv_used *u, uint32_t i, virtq_u32x4 *ids,
		    virtq_u32x4 *lens)
{
	const struct vring_used_elem *e = (const struct vring_used_elem *)u->first + i;
	const virtq_u32x4 a = virtq_load32x4(e), b = virtq_load32x4(e + 2);

	*ids = (virtq_u32x4){a[0], a[2], b[0], b[2]};
	*lens = (virtq_u32x4){a[1], a[3], b[1], b[3]};
}

/*
 * IN_ORDER: an entry stands for all buffers up to the one it names. How many that are for the next
 * one, at most `have`; 0: it names none of those.
 */
VIRTQ_INLINE uint16_t
virtq_drv_bulk_in_order(const struct virtq_drv *drv, const struct virtq_ring *ring, uint32_t id,
			uint16_t have)
{
	uint32_t n = id - drv->oldest;

	if (id >= ring->size)
		return 0;
	if (id < drv->oldest)
		n += ring->size;
	return n < have ? (uint16_t)(n + 1) : 0;
}

/*
 * How many buffers, from the oldest on, the device has used, in order, each checked; about `want`
 * (more: a batch of IN_ORDER). -1: there is something that has to be looked at one by one. Called
 * while virtq_drv_bulk_can_pop(). The lengths are not looked at.
 */
VIRTQ_INLINE int
virtq_drv_bulk_used(struct virtq_drv *drv, const struct virtq_ring *ring, uint16_t want,
		    bool packed, bool in_order)
{
	uint16_t have = ring->size - drv->num_free, n = 0;
	uint32_t id, len;

	if (!packed)
		have = virtq_drv_bulk_used_split(drv, ring, want);
	if (have < want)
		want = have;
	if (want == 0)
		return 0;
	if (in_order) {
		if (!virtq_drv_used_entry(drv, ring, 0, &id, &len, packed))
			return 0;
		n = virtq_drv_bulk_in_order(drv, ring, id, have);
		if (n != 1)
			return n == 0 ? -1 : n;
		/*
		 * Entries one by one. Split: the index, which never points into a batch, has said
		 * it of all that there are; the last of them confirms it.
		 */
		if (!packed && want == have &&
		    virtq_drv_used_entry(drv, ring, have - 1, &id, &len, packed) &&
		    id == virtq_drv_round(ring, (uint32_t)drv->oldest + have - 1))
			return have;
	}
	for (; n < want; n++) {
		if (!virtq_drv_used_entry(drv, ring, n, &id, &len, packed))
			break;
		if (id != virtq_drv_round(ring, (uint32_t)drv->oldest + n))
			return n > 0 ? n : -1;
	}
	return n;
}

/*
 * Cookies that were taken back. One store each: what the compiler makes of memset() takes longer to
 * start than that to end.
 */
VIRTQ_INLINE void
virtq_drv_bulk_forget(void **cookie, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++)
		__atomic_store_n(&cookie[i], NULL, __ATOMIC_RELAXED);
}

/* The n oldest buffers are the owner's again, who has cleared their cookies. */
VIRTQ_INLINE void
virtq_drv_bulk_pop(struct virtq_drv *drv, const struct virtq_ring *ring, uint16_t n, bool packed)
{
	drv->oldest = virtq_drv_round(ring, (uint32_t)drv->oldest + n);
	drv->free_last = (drv->oldest > 0 ? drv->oldest : ring->size) - 1;
	drv->num_free += n;
	drv->mixed = drv->mixed > n ? drv->mixed - n : 0;
	if (packed) {
		bool wrap;
		const uint16_t at = virtq_drv_used_place(drv, ring, n, &wrap);

		drv->cursor.used_idx = at;
		drv->cursor.used_wrap = wrap;
		drv->num_free_ids += n;
	} else {
		drv->cursor.used_idx += n;
	}
}

#endif /* VIRTQ_DRV_BULK_H */
