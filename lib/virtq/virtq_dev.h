/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device's half of a virtqueue: fetch chains, complete them, decide on a call.
 *
 * Everything is inline and takes literal `packed` and `write` arguments, so that each instance of
 * a burst has one layout and no branch on it. VIRTIO 1.2, sections 2.7 (split) and 2.8 (packed).
 *
 * A round of a burst is
 *	virtq_dev_begin(), virtq_dev_fetch(), work on the chains, virtq_dev_complete(),
 *	virtq_dev_notify().
 * Fetching moves no cursor: chains that are not completed are simply fetched again.
 *
 * Completing is two things, which zero-copy does apart: virtq_dev_advance() moves on to what comes
 * next in the ring, virtq_dev_push_used() hands chains back, later and in any order.
 */
#ifndef VIRTQ_DEV_H
#define VIRTQ_DEV_H

#include <stddef.h>

#include "virtq_caller.h"
#include "virtq_ring.h"
#include "virtq_shared.h"

/* One contiguous piece of a guest buffer, in this process. */
struct virtq_seg {
	uint8_t *addr;
	uint32_t len;
};

/*
 * One descriptor chain, copied out of the ring, checked and translated. What the peer does to
 * the ring afterwards changes nothing here.
 */
struct virtq_chain {
	uint8_t *addr;		/* first segment */
	uint32_t len;		/* bytes of the first segment */
	uint32_t total;		/* bytes of all segments, 2^32 - 1 at most */
	uint16_t id;		/* split: head; packed: buffer id. Echoed, never an index */
	uint16_t entries;	/* of the ring (split: of the descriptor table) that it takes */
	uint16_t nseg;		/* 1: addr and len say it all; else dev->segs[seg], ... */
	uint16_t seg;
	uint32_t written;	/* bytes the device wrote, for the used entry */
	uint8_t fault;		/* enum virtq_fault: complete it, but do not touch its data */
};

/* Why a chain cannot be used although its ring goes on. */
enum virtq_fault {
	VIRTQ_FAULT_NONE = 0,
	VIRTQ_FAULT_UNMAPPED,	/* a buffer is not wholly in the shared memory */
	VIRTQ_FAULT_TOO_LONG,	/* more segments or bytes than anything sensible has */
};

/* The last region (or range of an IOTLB) that a translation of this ring hit. */
struct virtq_tlb {
	uint64_t gpa, size;	/* size 0: empty. With an IOTLB an I/O virtual address */
	uint8_t *host;
};

/* What a burst has taken of what it may take; cleared at once. */
struct virtq_scratch {
	uint16_t nsegs;		/* of virtq_dev.segs */
	uint16_t nwalked;	/* descriptors of chains that are of no use */
	bool missed;		/* a chain waits for the IOTLB */
};

/* Segments that the chains of one burst can have together. */
#define VIRTQ_MAX_SEGS 1024
/* Chains that one mergeable packet can fill. */
#define VIRTQ_MAX_CHAINS 512

/*
 * The device's state on one ring. Reset with virtq_dev_reset() while no burst holds it. What each
 * burst uses lies in the first line, the cursor first: bursts are given a pointer to that.
 */
struct virtq_dev {
	struct virtq_cursor cursor;
	uint16_t avail_seen;	/* split: avail->idx when it was last read */
	uint16_t next_head;	/* split: the head that comes next if heads are in sequence */
	uint16_t called;	/* used idx when a call was last decided on */
	bool sequential;	/* split: they were, last time */
	bool call_valid;	/* split, EVENT_IDX: `called` holds the idx of the last decision */
	struct virtq_tlb tlb;	/* valid for the ring of tlb_generation */
	uint64_t tlb_generation;
	struct virtq_scratch scratch; /* of the burst in progress */
	bool kept;		/* where it stands is noted: in `saved` or `inflight` */
	uint64_t calls;		/* notifications wanted: sent, or coalesced with another one */
	uint64_t calls_suppressed; /* notifications that the driver did not want */
	/* Where to keep the position, as after a reset both NULL; set while no burst holds the
	 * ring. With in-flight tracking the other one is not needed. */
	struct virtq_saved *saved; /* packed */
	void *inflight;		/* the ring's part, see virtq_tracked.h */
	uint64_t taken;		/* split, with in-flight tracking: chains since the start */
	/* Who sends calls in place of the burst, set as `saved`; NULL: nobody does. */
	struct virtq_caller *caller;
	struct virtq_seg segs[VIRTQ_MAX_SEGS]; /* scratch of the burst in progress */
	struct virtq_chain chains[VIRTQ_MAX_CHAINS]; /* scratch for packets of very many chains */
	struct virtq_call call;	/* for `caller` */
} __attribute__((aligned(VIRTQ_CACHE_LINE)));

_Static_assert(offsetof(struct virtq_dev, cursor) == 0, "found by its cursor");
_Static_assert(offsetof(struct virtq_dev, calls) == VIRTQ_CACHE_LINE || VIRTQ_CACHE_LINE != 64,
	       "what each burst uses: one line");
_Static_assert(offsetof(struct virtq_dev, caller) / VIRTQ_CACHE_LINE ==
	       offsetof(struct virtq_dev, calls) / VIRTQ_CACHE_LINE, "a call: one more line");

/* The device's state that a cursor is the first member of. */
static inline struct virtq_dev *
virtq_dev_of(struct virtq_cursor *cursor)
{
	return (struct virtq_dev *)(void *)cursor;
}

static inline const struct virtq_dev *
virtq_dev_of_const(const struct virtq_cursor *cursor)
{
	return (const struct virtq_dev *)(const void *)cursor;
}

/* To the state of a fresh ring: virtq_ring_cursor_reset(). Counters stay. */
void virtq_dev_reset(struct virtq_dev *dev);

/*
 * Ring positions as SET/GET_VRING_BASE carry them. Split: 16-bit avail index; the used index is
 * then taken from the ring's own used->idx. Packed: bits 0-14 avail index, 15 avail wrap, 16-30
 * used index, 31 used wrap; a zero high half with a non-zero low half means used = avail.
 * Clears `broken` and tells the driver that kicks are not wanted: the device polls.
 * -EINVAL: packed index outside the ring, or a split index over 16 bits.
 */
int virtq_dev_set_base(struct virtq_dev *dev, const struct virtq_ring *ring, uint32_t base);
uint32_t virtq_dev_get_base(const struct virtq_dev *dev, bool packed);

/* Chains that one call of virtq_dev_fetch() takes at most. */
#define VIRTQ_FETCH_MAX 32

/* Prefetches of chain i (of this call) what the burst is going to access. */
typedef void (*virtq_prefetch_fn)(const void *ctx, uint16_t i, const struct virtq_chain *c);

/* Where a fetch stands; a copy of the cursor that runs ahead of it. */
struct virtq_pos {
	uint16_t idx;
	bool wrap;
};

/* A fetch, see virtq_dev_fetch(). */
struct virtq_fetch {
	struct virtq_pos pos;	/* of the next chain */
	enum virtq_error err;	/* why there were no more, when the peer broke a rule */
	const void *ctx;	/* for the function that prefetches */
};

/* Out of line: not the common case. */
void virtq_dev_begin_anew(struct virtq_dev *dev, const struct virtq_ring *ring);
uint8_t *virtq_dev_translate_miss(struct virtq_dev *dev, const struct virtq_ring *ring,
				  uint64_t gpa, uint32_t len, bool write);
/*
 * Translate what a descriptor says; *len as in virtq_mem_gpa(). NULL: it is not mapped, or the
 * chain has to wait, which virtq_dev_missed() tells.
 */
uint8_t *virtq_dev_find(struct virtq_dev *dev, const struct virtq_ring *ring, uint64_t addr,
			uint64_t *len, bool write);
/* As virtq_dev_push_used_packed(), with a position that is kept. */
uint16_t virtq_dev_push_kept(struct virtq_dev *dev, const struct virtq_ring *ring,
			     const struct virtq_chain *c, uint16_t n, bool write, bool batch)
	__attribute__((cold));
/* Split, with in-flight tracking: as virtq_dev_push_used_split(). */
void virtq_dev_push_tracked_split(struct virtq_dev *dev, const struct virtq_ring *ring,
				  const struct virtq_chain *c, uint16_t n, bool batch)
	__attribute__((cold));
/* Split, with in-flight tracking: these are to be returned at some other time. */
void virtq_dev_advance_tracked(struct virtq_dev *dev, const struct virtq_ring *ring,
			       const struct virtq_chain *c, uint16_t n) __attribute__((cold));
enum virtq_error virtq_dev_walk_split(struct virtq_dev *dev, const struct virtq_ring *ring,
				      struct virtq_desc first, bool write, struct virtq_chain *c);
enum virtq_error virtq_dev_walk_packed(struct virtq_dev *dev, const struct virtq_ring *ring,
				       struct virtq_pos at, struct virtq_desc first, bool write,
				       struct virtq_chain *c);
/* Declare the ring broken: it stops, and its error fd is signalled. */
void virtq_dev_break(struct virtq_dev *dev, const struct virtq_ring *ring, enum virtq_error e);
void virtq_dev_call(struct virtq_dev *dev, const struct virtq_ring *ring);
/*
 * Whether the driver has asked for a call (EVENT_IDX) that comes only with one of the next so many
 * chains that are returned, or so many entries of a packed ring.
 */
bool virtq_dev_call_ahead(const struct virtq_dev *dev, const struct virtq_ring *ring,
			  uint16_t chains, uint16_t entries);

/*
 * Start a round: caches that belong to another ring are dropped, scratch is empty. Under the former
 * ring calls may have been decided on with another call fd, or not at all: the next one is sent.
 */
VIRTQ_INLINE void
virtq_dev_begin(struct virtq_dev *dev, const struct virtq_ring *ring)
{
	dev->scratch = (struct virtq_scratch){0};
	if (virtq_unlikely(dev->tlb_generation != ring->generation))
		virtq_dev_begin_anew(dev, ring);
}

/* Since then a chain was left in the ring, for an address that the front-end has to say first. */
static inline bool
virtq_dev_missed(const struct virtq_dev *dev)
{
	return dev->scratch.missed;
}

/* The whole of [gpa, gpa + len) in this process, or NULL when it is not in one region. */
VIRTQ_INLINE uint8_t *
virtq_dev_translate(struct virtq_dev *dev, const struct virtq_ring *ring, uint64_t gpa,
		    uint32_t len, bool write)
{
	uint64_t off = gpa - dev->tlb.gpa;

	if (virtq_likely(off < dev->tlb.size && len <= dev->tlb.size - off))
		return dev->tlb.host + off;
	return virtq_dev_translate_miss(dev, ring, gpa, len, write);
}

VIRTQ_INLINE struct virtq_pos
virtq_dev_pos(const struct virtq_dev *dev)
{
	return (struct virtq_pos){dev->cursor.avail_idx, dev->cursor.avail_wrap};
}

VIRTQ_INLINE struct virtq_fetch
virtq_dev_fetch_begin(const struct virtq_dev *dev, const void *ctx)
{
	return (struct virtq_fetch){.pos = virtq_dev_pos(dev), .ctx = ctx};
}

VIRTQ_INLINE void
virtq_dev_prefetch_nothing(const void *ctx, uint16_t i, const struct virtq_chain *c)
{
}

/* A chain of one plain descriptor; false when it needs the long way. */
VIRTQ_INLINE bool
virtq_dev_plain(struct virtq_dev *dev, const struct virtq_ring *ring, struct virtq_desc d,
		bool write, struct virtq_chain *c)
{
	c->addr = virtq_dev_translate(dev, ring, d.addr, d.len, write);
	if (virtq_unlikely(c->addr == NULL || d.len == 0))
		return false;
	c->len = d.len;
	c->total = d.len;
	c->entries = 1;
	c->nseg = 1;
	c->written = 0;
	c->fault = VIRTQ_FAULT_NONE;
	return true;
}

/*
 * Chains that the driver has made available from *pos on; more than the ring's size: it lies.
 * The index, whose line the driver writes all the time, is read only when what it said last is
 * used up.
 */
VIRTQ_INLINE uint16_t
virtq_dev_avail_split(struct virtq_dev *dev, const struct virtq_ring *ring, struct virtq_pos pos,
		      uint16_t want)
{
	uint16_t ready = dev->avail_seen - pos.idx;

	if (ready < want) {
		/* Barrier A: pairs with the driver's barrier before it moves avail->idx. */
		uint16_t seen = virtq_load16_acquire(&ring->avail->idx);

		ready = seen - pos.idx;
		if (virtq_likely(ready <= ring->size))
			dev->avail_seen = seen;
	}
	return ready;
}

VIRTQ_INLINE uint16_t
virtq_dev_fetch_split(struct virtq_dev *dev, const struct virtq_ring *ring, struct virtq_fetch *f,
		      struct virtq_chain *c, uint16_t n, bool write, virtq_prefetch_fn prefetch)
{
	uint16_t head[VIRTQ_FETCH_MAX];
	const uint16_t flags = write ? VRING_DESC_F_WRITE : 0;
	uint16_t i, nused, ready = virtq_dev_avail_split(dev, ring, f->pos, n);

	if (virtq_unlikely(ready > ring->size)) {
		f->err = VIRTQ_E_AVAIL_JUMP;
		return 0;
	}
	if (ready < n)
		n = ready;
	/* Most drivers go round the table: then descriptors need not wait for the heads. */
	if (dev->sequential)
		virtq_prefetch_range(&ring->desc[dev->next_head], n * sizeof(ring->desc[0]));
	/* In order, the first of the used entries that chains to be read have is written alone. */
	nused = !write && n > 1 && (ring->features & VIRTQ_BIT(VIRTIO_F_IN_ORDER)) ? 1 : n;
	virtq_prefetch_write_range(&ring->used->ring[dev->cursor.used_idx & ring->mask],
				   nused * sizeof(ring->used->ring[0]));
	for (i = 0; i < n; i++)
		head[i] = virtq_load16(&ring->avail->ring[(f->pos.idx + i) & ring->mask]);
	if (n > 0) {
		dev->sequential = head[0] == dev->next_head;
		dev->next_head = (head[n - 1] + 1) & ring->mask;
	}
	for (i = 0; i < n; i++) {
		struct virtq_desc d;

		if (virtq_unlikely(head[i] >= ring->size)) {
			f->err = VIRTQ_E_BAD_HEAD;
			break;
		}
		d = virtq_load_desc(&ring->desc[head[i]]);
		c[i].id = head[i];
		if (virtq_likely(d.split.flags == flags) &&
		    virtq_dev_plain(dev, ring, d, write, &c[i])) {
			prefetch(f->ctx, i, &c[i]);
			continue;
		}
		f->err = virtq_dev_walk_split(dev, ring, d, write, &c[i]);
		if (virtq_unlikely(f->err != VIRTQ_OK || c[i].entries == 0))
			break;
	}
	f->pos.idx += i;
	return i;
}

VIRTQ_INLINE void
virtq_pos_advance(struct virtq_pos *pos, uint16_t entries, uint16_t size)
{
	uint32_t idx = (uint32_t)pos->idx + entries;

	if (idx >= size) {
		idx -= size;
		pos->wrap = !pos->wrap;
	}
	pos->idx = (uint16_t)idx;
}

VIRTQ_INLINE uint16_t
virtq_dev_fetch_packed(struct virtq_dev *dev, const struct virtq_ring *ring, struct virtq_fetch *f,
		       struct virtq_chain *c, uint16_t n, bool write, virtq_prefetch_fn prefetch)
{
	const uint16_t phases = VIRTQ_PACKED_PHASES;
	const uint16_t shape = VRING_DESC_F_NEXT | VRING_DESC_F_INDIRECT | VRING_DESC_F_WRITE;
	uint32_t left = ring->size;
	uint16_t i;

	for (i = 0; i < n && left > 0; i++) {
		const struct vring_packed_desc *p = &ring->pdesc[f->pos.idx];
		/* Barrier A: pairs with the driver's release of the flags of a chain's head. */
		uint64_t meta = virtq_load64_acquire(&p->len);
		uint16_t flags = meta >> 48;
		struct virtq_desc d;

		if ((flags & phases) != (f->pos.wrap ? VIRTQ_PACKED_AVAIL : VIRTQ_PACKED_USED))
			break;
		/* Entries are read, then written: one trip for both, for all lines at once. */
		if (i == 0)
			virtq_prefetch_write_range(p, n * sizeof(*p));
		d = virtq_desc_of(virtq_load64(&p->addr), meta);
		c[i].id = d.packed.id;
		if (virtq_likely((flags & shape) == (write ? VRING_DESC_F_WRITE : 0)) &&
		    virtq_dev_plain(dev, ring, d, write, &c[i])) {
			prefetch(f->ctx, i, &c[i]);
			virtq_pos_advance(&f->pos, 1, ring->size);
			left--;
			continue;
		}
		f->err = virtq_dev_walk_packed(dev, ring, f->pos, d, write, &c[i]);
		if (virtq_unlikely(f->err == VIRTQ_OK && c[i].entries > left))
			f->err = VIRTQ_E_CHAIN_LOOP;
		if (virtq_unlikely(f->err != VIRTQ_OK || c[i].entries == 0))
			break;
		virtq_pos_advance(&f->pos, c[i].entries, ring->size);
		left -= c[i].entries;
	}
	return i;
}

/*
 * Copy up to n (VIRTQ_FETCH_MAX at most) chains out of the ring, from f->pos on, which moves along.
 * `write`: buffers for the device to write; else the device reads. Returns how many. f->err is why
 * there were no more, when the peer broke a rule: the chains before are good, complete them first,
 * then call virtq_dev_break(). `prefetch` is called with each plain chain as soon as its address is
 * known, to prefetch what will be needed of it; a function that inlines.
 */
VIRTQ_INLINE uint16_t
virtq_dev_fetch(struct virtq_dev *dev, const struct virtq_ring *ring, struct virtq_fetch *f,
		struct virtq_chain *c, uint16_t n, bool packed, bool write,
		virtq_prefetch_fn prefetch)
{
	f->err = VIRTQ_OK;
	return packed ? virtq_dev_fetch_packed(dev, ring, f, c, n, write, prefetch) :
			virtq_dev_fetch_split(dev, ring, f, c, n, write, prefetch);
}

VIRTQ_INLINE void
virtq_dev_write_used(const struct virtq_ring *ring, uint16_t at, const struct virtq_chain *c)
{
	const uint64_t elem = c->id | (uint64_t)c->written << 32;

	/* 4-byte aligned, and invisible to the driver until Barrier B. */
	memcpy(&ring->used->ring[at & ring->mask], &elem, sizeof(elem));
}

/*
 * With `batch` (IN_ORDER, nothing written) one entry, in the place of the first, retires all: it
 * names the last buffer. VIRTIO 1.2, 2.7.9.
 */
VIRTQ_INLINE void
virtq_dev_put_used_split(struct virtq_dev *dev, const struct virtq_ring *ring,
			 const struct virtq_chain *c, uint16_t n, bool batch)
{
	if (batch)
		virtq_dev_write_used(ring, dev->cursor.used_idx, &c[n - 1]);
	else
		for (uint16_t i = 0; i < n; i++)
			virtq_dev_write_used(ring, dev->cursor.used_idx + i, &c[i]);
	dev->cursor.used_idx += n;
	/* Barrier B: pairs with the driver's barrier after it reads used->idx. */
	virtq_store16_release(&ring->used->idx, dev->cursor.used_idx);
}

VIRTQ_INLINE void
virtq_dev_push_used_split(struct virtq_dev *dev, const struct virtq_ring *ring,
			  const struct virtq_chain *c, uint16_t n, bool batch)
{
	if (virtq_unlikely(dev->kept))
		virtq_dev_push_tracked_split(dev, ring, c, n, batch);
	else
		virtq_dev_put_used_split(dev, ring, c, n, batch);
}

/* A position as struct virtq_saved has it. */
static inline uint32_t
virtq_saved_word(struct virtq_pos p)
{
	return p.idx | (uint32_t)p.wrap << 15 | VIRTQ_SAVED_VALID;
}

VIRTQ_INLINE uint64_t
virtq_packed_used_meta(const struct virtq_chain *c, bool wrap, bool write)
{
	uint64_t flags = wrap ? VIRTQ_PACKED_PHASES : 0;

	if (write && c->written != 0)
		flags |= VRING_DESC_F_WRITE;
	return c->written | (uint64_t)c->id << 32 | flags << 48;
}

/*
 * The first entry is written last: until then the driver, which looks at it, leaves the cache
 * lines alone. With `batch` (IN_ORDER, nothing written) that entry alone retires all, naming the
 * last buffer. Returns the entries of the ring that the chains take.
 */
VIRTQ_INLINE uint16_t
virtq_dev_push_used_packed(struct virtq_dev *dev, const struct virtq_ring *ring,
			   const struct virtq_chain *c, uint16_t n, bool write, bool batch)
{
	struct virtq_pos pos = {dev->cursor.used_idx, dev->cursor.used_wrap};
	const uint16_t first = pos.idx;
	uint16_t entries = 0;
	const uint64_t head = virtq_packed_used_meta(&c[batch ? n - 1 : 0], pos.wrap, write);

	if (virtq_unlikely(dev->kept))
		return virtq_dev_push_kept(dev, ring, c, n, write, batch);
	for (uint16_t i = 0; i < n; i++) {
		if (!batch && i > 0)
			virtq_store64_release(&ring->pdesc[pos.idx].len,
					      virtq_packed_used_meta(&c[i], pos.wrap, write));
		virtq_pos_advance(&pos, c[i].entries, ring->size);
		entries += c[i].entries;
	}
	dev->cursor.used_idx = pos.idx;
	dev->cursor.used_wrap = pos.wrap;
	/* Barrier B: pairs with the driver's acquire of the flags of its next used entry. */
	virtq_store64_release(&ring->pdesc[first].len, head);
	return entries;
}

VIRTQ_INLINE void
virtq_dev_skip_packed(struct virtq_dev *dev, const struct virtq_ring *ring, uint16_t entries)
{
	struct virtq_pos avail = virtq_dev_pos(dev);

	virtq_pos_advance(&avail, entries, ring->size);
	dev->cursor.avail_idx = avail.idx;
	dev->cursor.avail_wrap = avail.wrap;
}

/*
 * At the end of a round of n chains that may be followed by another soon: send for the lines which
 * that will begin with, so that they travel while the application works.
 */
VIRTQ_INLINE void
virtq_dev_prefetch_next(const struct virtq_dev *dev, const struct virtq_ring *ring, uint16_t n,
			bool packed)
{
	uint16_t left;

	if (packed) {
		__builtin_prefetch(&ring->pdesc[dev->cursor.avail_idx], 0, 3);
		return;
	}
	left = dev->avail_seen - dev->cursor.avail_idx;
	if (left < n)
		n = left;
	for (uint16_t i = 0; i < n; i++) {
		uint16_t head =
			virtq_load16(&ring->avail->ring[(dev->cursor.avail_idx + i) & ring->mask]);

		__builtin_prefetch(&ring->desc[head & ring->mask], 0, 3);
	}
	__builtin_prefetch(&ring->avail->ring[(dev->cursor.avail_idx + n) & ring->mask], 0, 3);
}

/* Whether at least n entries (n > 0) wait in the ring; for packed chains of one entry each. */
VIRTQ_INLINE bool
virtq_dev_ready(const struct virtq_dev *dev, const struct virtq_ring *ring, uint16_t n)
{
	struct virtq_pos pos = virtq_dev_pos(dev);
	uint16_t flags;

	if (n > ring->size)
		return false;
	if (!ring->packed)
		return (uint16_t)(virtq_load16(&ring->avail->idx) - pos.idx) >= n;
	virtq_pos_advance(&pos, n - 1, ring->size);
	flags = virtq_load16(&ring->pdesc[pos.idx].flags);
	return (flags & VIRTQ_PACKED_PHASES) ==
	       (pos.wrap ? VIRTQ_PACKED_AVAIL : VIRTQ_PACKED_USED);
}

static inline struct virtq_pos
virtq_dev_used_pos(const struct virtq_dev *dev)
{
	return (struct virtq_pos){dev->cursor.used_idx, dev->cursor.used_wrap};
}

/* Push the first n chains back (n > 0) and move the cursor past them. */
VIRTQ_INLINE void
virtq_dev_complete(struct virtq_dev *dev, const struct virtq_ring *ring,
		   const struct virtq_chain *c,
		   uint16_t n, bool packed, bool write, bool batch)
{
	if (packed) {
		virtq_dev_skip_packed(dev, ring,
				      virtq_dev_push_used_packed(dev, ring, c, n, write, batch));
	} else {
		dev->cursor.avail_idx += n;
		virtq_dev_push_used_split(dev, ring, c, n, batch);
	}
}

/* Move past the first n chains, each of which is pushed back at some other time. */
VIRTQ_INLINE void
virtq_dev_advance(struct virtq_dev *dev, const struct virtq_ring *ring, const struct virtq_chain *c,
		  uint16_t n, bool packed)
{
	uint16_t entries = 0;

	if (!packed) {
		if (virtq_unlikely(dev->kept))
			virtq_dev_advance_tracked(dev, ring, c, n);
		dev->cursor.avail_idx += n;
		return;
	}
	for (uint16_t i = 0; i < n; i++)
		entries += c[i].entries;
	virtq_dev_skip_packed(dev, ring, entries);
}

/*
 * Push n chains back (n > 0) that were advanced over, in any order unless IN_ORDER was negotiated.
 * Of each only id, entries and written count.
 */
VIRTQ_INLINE void
virtq_dev_push_used(struct virtq_dev *dev, const struct virtq_ring *ring,
		    const struct virtq_chain *c,
		    uint16_t n, bool packed, bool write)
{
	if (packed)
		virtq_dev_push_used_packed(dev, ring, c, n, write, false);
	else
		virtq_dev_push_used_split(dev, ring, c, n, false);
}

VIRTQ_INLINE bool
virtq_dev_needs_call_split(struct virtq_dev *dev, const struct virtq_ring *ring)
{
	uint16_t old = dev->called;

	if (!(ring->features & VIRTQ_BIT(VIRTIO_RING_F_EVENT_IDX)))
		return !(virtq_load16(&ring->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
	dev->called = dev->cursor.used_idx;
	if (virtq_unlikely(!dev->call_valid)) {
		dev->call_valid = true;
		return true;
	}
	return virtq_event_passed(virtq_load16(&ring->avail->ring[ring->size]),
				  dev->cursor.used_idx, old);
}

VIRTQ_INLINE bool
virtq_dev_needs_call_packed(struct virtq_dev *dev, const struct virtq_ring *ring)
{
	uint32_t event = virtq_load32(ring->driver_event);
	uint16_t flags = event >> 16, old = dev->called;

	dev->called = dev->cursor.used_idx;
	if (flags == VRING_PACKED_EVENT_FLAG_DISABLE)
		return false;
	if (flags != VRING_PACKED_EVENT_FLAG_DESC ||
	    !(ring->features & VIRTQ_BIT(VIRTIO_RING_F_EVENT_IDX)) || !dev->call_valid) {
		dev->call_valid = true;
		return true;
	}
	return virtq_event_passed_packed(event, dev->cursor.used_idx, dev->cursor.used_wrap, old,
					 ring->size);
}

/* Once a burst, after completing: call the driver if it wants to be. */
VIRTQ_INLINE void
virtq_dev_notify(struct virtq_dev *dev, const struct virtq_ring *ring, bool packed)
{
	if (ring->callfd < 0)
		return;
	virtq_barrier_event(); /* Barrier C */
	if (packed ? virtq_dev_needs_call_packed(dev, ring) : virtq_dev_needs_call_split(dev, ring))
		virtq_dev_call(dev, ring);
	else
		dev->calls_suppressed++;
}

#endif /* VIRTQ_DEV_H */
