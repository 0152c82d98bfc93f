/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver's half of a virtqueue: offer buffers, take them back used. VIRTIO 1.2, 2.7 and 2.8.
 *
 * The device is as little trusted as a guest: what it may name in a used entry is only what is
 * outstanding, once, and no more bytes than were offered. Everything that the driver needs to
 * find its buffers again lies in its own memory, never in the ring.
 *
 * Offering: virtq_drv_add() for each packet, then virtq_drv_publish() once, virtq_drv_kick().
 * Taking back: virtq_drv_used_split() tells how many entries are there, virtq_drv_used_packed()
 * whether one is; what it names is checked with virtq_drv_outstanding() and taken with
 * virtq_drv_pop_used(). Many at once, as long as the device keeps the order: virtq_drv_bulk.h.
 */
#ifndef VIRTQ_DRV_H
#define VIRTQ_DRV_H

#include <stddef.h>

#include "virtq_ring.h"
#include "virtq_shared.h"

/*
 * Descriptors of one packet at most, the header's included; longer ones are refused. A frame of
 * 64 KiB in mbufs of 2 KiB has 33 pieces.
 */
#define VIRTQ_DRV_MAX_DESC 48
/* Bytes that each id has for what the driver writes: its header, rewritten headers of packets. */
#define VIRTQ_DRV_HEADER 320

/*
 * What is outstanding under a descriptor (split: of the chain's head) or a buffer id (packed).
 * Free ones form a queue, so that a ring that completes in order is also offered in order: each
 * one is then followed by the next, the last by the first.
 */
struct virtq_drv_desc_state {
	uint32_t len;		/* writable bytes offered */
	uint16_t ndesc;		/* ring entries taken; 1 while it is free */
	uint16_t next;		/* split: next of the chain; free: next free */
};

/* What stands in the head of a packed chain once it is available. */
struct virtq_drv_head {
	uint16_t idx;
	uint16_t flags;
};

/*
 * The driver's state on one ring. What each burst uses lies in the first line, the cursor first:
 * bursts are given a pointer to that.
 */
struct virtq_drv {
	struct virtq_cursor cursor;
	void **cookie;		/* [size] the owner's, by id; NULL: not outstanding */
	struct virtq_drv_desc_state *state; /* [size] */
	uint16_t free_first, free_last; /* the queue of free ids; valid while num_free > 0 */
	uint16_t num_free;		/* ring entries not in use */
	uint16_t num_free_ids;		/* packed: ids not in use */
	uint16_t oldest;	/* sequential: id that is due next */
	/*
	 * Sequential: among so many of the entries in use, from the oldest on, there may be chains
	 * of several; or cookies that differ in kind, if their owner says so.
	 */
	uint16_t uneven, mixed;
	uint16_t used_seen;	/* split: used->idx when it was last read */
	uint16_t unpublished;	/* chains added since the last publication */
	bool sequential;	/* so far all came back in order: free ids follow each other */
	bool heads_in_place;	/* split: entry i of the available ring names descriptor i */
	bool flowing;		/* split, receiving: the last burst was full */
	/*
	 * IN_ORDER, receiving: a used entry stood for all ids from `oldest` to batch_last, which
	 * has batch_len bytes; those before it are full. Valid while `batch` is set.
	 */
	bool batch;
	uint16_t batch_last;
	const void *common;	/* what cookies other than those have in common, their owner's */
	uint32_t batch_len;
	struct virtq_drv_head first; /* packed: head that is made available last */
	uint16_t kicked;	/* avail position of the last decision on a kick */
	uint64_t kicks, kicks_suppressed;
	struct vring_desc *indirect; /* VIRTQ_DRV_MAX_DESC an id; NULL without INDIRECT_DESC */
	uint64_t indirect_iova;
	uint8_t *header;	/* VIRTQ_DRV_HEADER bytes an id, for the device to read */
	uint64_t header_iova;
} __attribute__((aligned(VIRTQ_CACHE_LINE)));

_Static_assert(offsetof(struct virtq_drv, cursor) == 0, "found by its cursor");
_Static_assert(VIRTQ_CACHE_LINE != 64 || (offsetof(struct virtq_drv, batch_len) == 64 &&
					  sizeof(struct virtq_drv) == 128),
	       "what each burst uses: one line; the rest: another");

/* The driver's state that a cursor is the first member of. */
static inline struct virtq_drv *
virtq_drv_of(struct virtq_cursor *cursor)
{
	return (struct virtq_drv *)(void *)cursor;
}

static inline const struct virtq_drv *
virtq_drv_of_const(const struct virtq_cursor *cursor)
{
	return (const struct virtq_drv *)(const void *)cursor;
}

/* One piece of a packet as the device will see it. */
struct virtq_drv_seg {
	uint64_t iova;
	uint32_t len;
};

/* Bytes that a ring needs in memory which the device can access, and where its parts lie. */
struct virtq_drv_layout {
	uint64_t avail, used, indirect, header; /* offsets from the ring's start, desc is at 0 */
	uint64_t bytes;		/* in all, a multiple of 4096; the ring starts on a page */
};
void virtq_drv_layout(uint32_t size, bool packed, struct virtq_drv_layout *layout);

/*
 * Set up an empty ring in virtq_drv_layout() bytes at `base`, which the device sees at `iova`;
 * what was there is overwritten. `cfg` gives size, features, qid, hdr_len and enabled; callfd is
 * the fd to kick the device with (-1: it polls). *ring is freed with virtq_ring_free(). Calls are
 * suppressed: the driver polls. -EINVAL, -ENOMEM.
 */
int virtq_drv_init(struct virtq_drv *drv, void *base, uint64_t iova,
		   const struct virtq_ring_config *cfg, struct virtq_ring **ring);
/* Frees what virtq_drv_init() allocated; the buffers are to be detached before. */
void virtq_drv_fini(struct virtq_drv *drv);
/*
 * No descriptor of the ring names memory any more: what a device takes from it from here on is
 * wrong, and is nobody's buffer. The driver's own state stays.
 */
void virtq_drv_clear(const struct virtq_ring *ring);
/* Take one outstanding buffer back from a ring that has stopped for good; NULL: none is left. */
void *virtq_drv_detach(struct virtq_drv *drv, uint16_t size);

/* The device broke a rule: the ring stops. */
void virtq_drv_break(struct virtq_drv *drv, enum virtq_error e);
/* Whoever has the ring notifies the device that there is something in it. */
void virtq_drv_notify(struct virtq_drv *drv, const struct virtq_ring *ring);
/* The same from any thread; not counted. */
void virtq_drv_notify_device(const struct virtq_ring *ring);

VIRTQ_INLINE uint16_t
virtq_drv_freelist_pop(struct virtq_drv *drv)
{
	uint16_t id = drv->free_first;

	drv->free_first = drv->state[id].next;
	return id;
}

/*
 * ORDER_PLATFORM: the device need not be a processor. What follows orders memory for such a device,
 * on top of what does so for processors. VIRTIO 1.2, 6.1.
 */
VIRTQ_INLINE bool
virtq_drv_is_dma(const struct virtq_ring *ring)
{
	return VIRTQ_ARCH_DMA &&
	       virtq_unlikely(ring->features & VIRTQ_BIT(VIRTIO_F_ORDER_PLATFORM));
}

/* With barrier A, before the store. */
VIRTQ_INLINE void
virtq_drv_dma_wmb(const struct virtq_ring *ring)
{
	if (virtq_drv_is_dma(ring))
		virtq_arch_dma_wmb();
}

/* With barrier B, after the load. */
VIRTQ_INLINE void
virtq_drv_dma_rmb(const struct virtq_ring *ring)
{
	if (virtq_drv_is_dma(ring))
		virtq_arch_dma_rmb();
}

/* Barrier C. */
VIRTQ_INLINE void
virtq_drv_barrier_event(const struct virtq_ring *ring)
{
	if (virtq_drv_is_dma(ring))
		virtq_arch_dma_mb();
	else
		virtq_barrier_event();
}

VIRTQ_INLINE void
virtq_drv_freelist_push(struct virtq_drv *drv, uint16_t id, bool empty)
{
	if (empty)
		drv->free_first = id;
	else
		drv->state[drv->free_last].next = id;
	drv->free_last = id;
}

/* The id that virtq_drv_add() is going to use, to fill its header area before. */
VIRTQ_INLINE uint16_t
virtq_drv_next_id(const struct virtq_drv *drv)
{
	return drv->free_first;
}

VIRTQ_INLINE void
virtq_drv_put_desc(void *at, uint64_t addr, uint32_t len, uint16_t third, uint16_t fourth)
{
	virtq_store64(at, addr);
	virtq_store64((uint8_t *)at + 8,
		      len | (uint64_t)third << 32 | (uint64_t)fourth << 48);
}

/* n entries more are in use. */
VIRTQ_INLINE void
virtq_drv_count(struct virtq_drv *drv, const struct virtq_ring *ring, uint16_t n)
{
	drv->num_free -= n;
	if (n > 1)
		drv->uneven = ring->size - drv->num_free;
}

/* Put a head into the available ring, unless it always stands there. */
VIRTQ_INLINE void
virtq_drv_write_avail(struct virtq_drv *drv, const struct virtq_ring *ring, uint16_t head)
{
	const uint16_t at = drv->cursor.avail_idx++ & ring->mask;

	if (head != at)
		drv->heads_in_place = false;
	if (!drv->heads_in_place)
		virtq_store16(&ring->avail->ring[at], head);
}

VIRTQ_INLINE void
virtq_drv_add_split(struct virtq_drv *drv, const struct virtq_ring *ring, void *cookie,
		    const struct virtq_drv_seg *seg, uint16_t n, uint16_t flags)
{
	const uint16_t head = virtq_drv_freelist_pop(drv);
	struct virtq_drv_desc_state *s = &drv->state[head];
	uint16_t at = head;
	uint32_t len = seg[0].len;

	for (uint16_t i = 0; i + 1 < n; i++) {
		uint16_t next = virtq_drv_freelist_pop(drv);

		virtq_drv_put_desc(&ring->desc[at], seg[i].iova, seg[i].len,
				   flags | VRING_DESC_F_NEXT, next);
		drv->state[at].next = next;
		at = next;
		len += seg[i + 1].len;
	}
	virtq_drv_put_desc(&ring->desc[at], seg[n - 1].iova, seg[n - 1].len, flags, 0);
	drv->cookie[head] = cookie;
	s->len = len;
	s->ndesc = n;
	virtq_drv_count(drv, ring, n);
	virtq_drv_write_avail(drv, ring, head);
	drv->unpublished++;
}

VIRTQ_INLINE uint16_t
virtq_drv_packed_phase(bool wrap)
{
	return wrap ? VIRTQ_PACKED_AVAIL : VIRTQ_PACKED_USED;
}

VIRTQ_INLINE void
virtq_drv_add_packed(struct virtq_drv *drv, const struct virtq_ring *ring, void *cookie,
		     const struct virtq_drv_seg *seg, uint16_t n, uint16_t flags)
{
	const uint16_t id = virtq_drv_freelist_pop(drv), head = drv->cursor.avail_idx;
	struct virtq_drv_desc_state *s = &drv->state[id];
	uint16_t head_flags = 0;
	uint32_t len = 0;

	for (uint16_t i = 0; i < n; i++) {
		uint16_t f = flags | virtq_drv_packed_phase(drv->cursor.avail_wrap);

		if (i + 1 < n)
			f |= VRING_DESC_F_NEXT;
		if (i == 0)
			head_flags = f;
		/* A head stays unavailable until all of its chain is written. */
		virtq_drv_put_desc(&ring->pdesc[drv->cursor.avail_idx], seg[i].iova, seg[i].len, id,
				   i > 0 ? f : virtq_drv_packed_phase(!drv->cursor.avail_wrap));
		len += seg[i].len;
		if (++drv->cursor.avail_idx == ring->size) {
			drv->cursor.avail_idx = 0;
			drv->cursor.avail_wrap = !drv->cursor.avail_wrap;
		}
	}
	drv->cookie[id] = cookie;
	s->len = len;
	s->ndesc = n;
	virtq_drv_count(drv, ring, n);
	drv->num_free_ids--;
	/* The first of a batch is made available last: the device looks at no other before it. */
	if (drv->unpublished++ == 0) {
		drv->first = (struct virtq_drv_head){head, head_flags};
	} else {
		virtq_drv_dma_wmb(ring);
		virtq_store16_release(&ring->pdesc[head].flags, head_flags);
	}
}

/*
 * Offer a packet of n pieces (n > 0, at most num_free), all readable or all writable by the device
 * (flags VRING_DESC_F_WRITE). Visible to the device with the next virtq_drv_publish().
 */
VIRTQ_INLINE void
virtq_drv_add(struct virtq_drv *drv, const struct virtq_ring *ring, void *cookie,
	      const struct virtq_drv_seg *seg, uint16_t n, uint16_t flags, bool packed)
{
	if (packed)
		virtq_drv_add_packed(drv, ring, cookie, seg, n, flags);
	else
		virtq_drv_add_split(drv, ring, cookie, seg, n, flags);
}

/*
 * Barrier A: descriptors are visible before the index or the first head's flags. Returns whether
 * there was something to publish.
 */
VIRTQ_INLINE bool
virtq_drv_publish(struct virtq_drv *drv, const struct virtq_ring *ring, bool packed)
{
	if (drv->unpublished == 0)
		return false;
	drv->unpublished = 0;
	virtq_drv_dma_wmb(ring);
	if (packed)
		virtq_store16_release(&ring->pdesc[drv->first.idx].flags, drv->first.flags);
	else
		virtq_store16_release(&ring->avail->idx, drv->cursor.avail_idx);
	return true;
}

VIRTQ_INLINE bool
virtq_drv_needs_kick_split(struct virtq_drv *drv, const struct virtq_ring *ring)
{
	uint16_t old = drv->kicked;

	drv->kicked = drv->cursor.avail_idx;
	if (!(ring->features & VIRTQ_BIT(VIRTIO_RING_F_EVENT_IDX)))
		return !(virtq_load16(&ring->used->flags) & VRING_USED_F_NO_NOTIFY);
	return virtq_event_passed(virtq_load16((const uint16_t *)&ring->used->ring[ring->size]),
				  drv->cursor.avail_idx, old);
}

VIRTQ_INLINE bool
virtq_drv_needs_kick_packed(struct virtq_drv *drv, const struct virtq_ring *ring)
{
	uint32_t event = virtq_load32(ring->device_event);
	uint16_t flags = event >> 16, old = drv->kicked;

	drv->kicked = drv->cursor.avail_idx;
	if (flags == VRING_PACKED_EVENT_FLAG_DISABLE)
		return false;
	if (flags != VRING_PACKED_EVENT_FLAG_DESC ||
	    !(ring->features & VIRTQ_BIT(VIRTIO_RING_F_EVENT_IDX)))
		return true;
	return virtq_event_passed_packed(event, drv->cursor.avail_idx, drv->cursor.avail_wrap, old,
					 ring->size);
}

/* Once a burst, after publishing: kick the device if it wants to be. */
VIRTQ_INLINE void
virtq_drv_kick(struct virtq_drv *drv, const struct virtq_ring *ring, bool packed)
{
	if (ring->callfd < 0 && ring->notifier == NULL)
		return;
	virtq_drv_barrier_event(ring); /* Barrier C */
	if (packed ? virtq_drv_needs_kick_packed(drv, ring) : virtq_drv_needs_kick_split(drv, ring))
		virtq_drv_notify(drv, ring);
	else
		drv->kicks_suppressed++;
}

/*
 * Split: how many used entries wait; more than are outstanding is the device's lie: the ring breaks
 * and 0 is returned. Barrier B: what the device wrote before is visible.
 */
VIRTQ_INLINE uint16_t
virtq_drv_used_split(struct virtq_drv *drv, const struct virtq_ring *ring)
{
	uint16_t n;

	drv->used_seen = virtq_load16_acquire(&ring->used->idx);
	virtq_drv_dma_rmb(ring);
	n = drv->used_seen - drv->cursor.used_idx;
	if (virtq_unlikely(n > (uint16_t)(ring->size - drv->num_free))) {
		virtq_drv_break(drv, VIRTQ_E_USED_JUMP);
		return 0;
	}
	return n;
}

/*
 * Packed: whether an entry is used. wrap: the counter at its place; *meta: its one copy. Whoever
 * then reads its buffer calls virtq_drv_dma_rmb() before.
 */
VIRTQ_INLINE bool
virtq_drv_used_packed(const struct vring_packed_desc *d, bool wrap, uint64_t *meta)
{
	/* Barrier B: pairs with the device's release of the flags. */
	uint64_t m = virtq_load64_acquire(&d->len);
	uint16_t flags = m >> 48;
	bool avail = flags & VIRTQ_PACKED_AVAIL;
	bool used = flags & VIRTQ_PACKED_USED;

	*meta = m;
	return avail == used && used == wrap;
}

/* The id a device named, if it is outstanding. */
VIRTQ_INLINE bool
virtq_drv_outstanding(const struct virtq_drv *drv, const struct virtq_ring *ring, uint32_t id)
{
	return id < ring->size && drv->cookie[id] != NULL;
}

/* i, when it is less than twice the ring's size, counted round the ring. */
VIRTQ_INLINE uint16_t
virtq_drv_round(const struct virtq_ring *ring, uint32_t i)
{
	return (uint16_t)(i >= ring->size ? i - ring->size : i);
}

/* A buffer of n entries comes back; whether that is the one that is due. */
VIRTQ_INLINE void
virtq_drv_note_order(struct virtq_drv *drv, const struct virtq_ring *ring, uint16_t id, uint16_t n,
		     bool packed)
{
	if (virtq_unlikely(id != drv->oldest))
		drv->sequential = false;
	else
		drv->oldest = virtq_drv_round(ring, (uint32_t)id + (packed ? 1 : n));
	drv->uneven = drv->uneven > n ? drv->uneven - n : 0;
	drv->mixed = drv->mixed > n ? drv->mixed - n : 0;
}

/* Pop an outstanding buffer: its descriptors, then its cookie. */
VIRTQ_INLINE void *
virtq_drv_pop_used(struct virtq_drv *drv, const struct virtq_ring *ring, uint16_t id, bool packed)
{
	struct virtq_drv_desc_state *s = &drv->state[id];
	uint16_t n = s->ndesc, at = id;
	void *cookie = drv->cookie[id];

	drv->cookie[id] = NULL;
	s->ndesc = 1;
	virtq_drv_note_order(drv, ring, id, n, packed);
	if (packed) {
		uint32_t idx = (uint32_t)drv->cursor.used_idx + n;

		virtq_drv_freelist_push(drv, id, drv->num_free_ids++ == 0);
		drv->num_free += n;
		if (idx >= ring->size) {
			idx -= ring->size;
			drv->cursor.used_wrap = !drv->cursor.used_wrap;
		}
		drv->cursor.used_idx = (uint16_t)idx;
	} else {
		while (n-- > 0) {
			uint16_t next = drv->state[at].next;

			virtq_drv_freelist_push(drv, at, drv->num_free++ == 0);
			at = next;
		}
		drv->cursor.used_idx++;
	}
	return cookie;
}

#endif /* VIRTQ_DRV_H */
