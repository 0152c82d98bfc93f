/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "virtq_dev.h"

#include <errno.h>

#include "virtq_notify.h"
#include "virtq_tracked.h"

/* For a ring with I/O virtual addresses each round begins so: what it cached may have gone. */
void
virtq_dev_begin_anew(struct virtq_dev *dev, const struct virtq_ring *ring)
{
	const uint64_t generation = ring->generation & ~VIRTQ_RING_IOVA;

	if (dev->tlb_generation != generation) {
		dev->tlb.size = 0;
		dev->call_valid = false;
		dev->tlb_generation = generation;
	}
	if (ring->view != NULL &&
	    virtq_iotlb_view_begin(ring->view, VIRTQ_IOTLB_POS(dev->cursor.avail_idx,
							       dev->cursor.avail_wrap)))
		dev->tlb.size = 0;
}

static uint8_t *
translate_iova(struct virtq_dev *dev, const struct virtq_ring *ring, uint64_t iova, uint32_t len,
	       bool write)
{
	struct virtq_iotlb_range r;
	uint8_t *host = virtq_iotlb_view_find(ring->view, iova, len, write, &r);

	if (r.iova <= r.last)
		dev->tlb = (struct virtq_tlb){r.iova, r.last - r.iova + 1, r.host};
	return host;
}

uint8_t *
virtq_dev_translate_miss(struct virtq_dev *dev, const struct virtq_ring *ring, uint64_t gpa,
			 uint32_t len, bool write)
{
	const struct virtq_region *r;

	if (ring->view != NULL)
		return translate_iova(dev, ring, gpa, len, write);
	r = virtq_mem_find(ring->mem, gpa);
	if (r == NULL)
		return NULL;
	dev->tlb = (struct virtq_tlb){r->gpa, r->size, r->host};
	return len <= r->size - (gpa - r->gpa) ? r->host + (gpa - r->gpa) : NULL;
}

uint8_t *
virtq_dev_find(struct virtq_dev *dev, const struct virtq_ring *ring, uint64_t addr, uint64_t *len,
	       bool write)
{
	uint8_t *host;

	if (ring->view == NULL)
		return virtq_mem_gpa(ring->mem, addr, len);
	host = virtq_iotlb_view_piece(ring->view, addr, len, write);
	if (host == NULL && virtq_iotlb_view_miss(ring->view, addr, write))
		dev->scratch.missed = true;
	return host;
}

void
virtq_dev_break(struct virtq_dev *dev, const struct virtq_ring *ring, enum virtq_error e)
{
	__atomic_store_n(&dev->cursor.broken, (uint8_t)e, __ATOMIC_RELAXED);
	virtq_notify(ring->errfd);
}

void
virtq_dev_call(struct virtq_dev *dev, const struct virtq_ring *ring)
{
	dev->calls++;
	if (dev->caller != NULL)
		virtq_caller_post(dev->caller, &dev->call, ring->callfd);
	else
		virtq_notify(ring->callfd);
}

bool
virtq_dev_call_ahead(const struct virtq_dev *dev, const struct virtq_ring *ring, uint16_t chains,
		     uint16_t entries)
{
	const uint16_t used = dev->cursor.used_idx;
	uint32_t event;
	int32_t ahead;

	if (!(ring->features & VIRTQ_BIT(VIRTIO_RING_F_EVENT_IDX)))
		return false;
	if (!ring->packed)
		return (uint16_t)(virtq_load16(&ring->avail->ring[ring->size]) - used) < chains;
	event = virtq_load32(ring->driver_event);
	if (event >> 16 != VRING_PACKED_EVENT_FLAG_DESC)
		return false;
	ahead = (int32_t)(event & 0x7fff) - used;
	if (((event >> 15) & 1) != dev->cursor.used_wrap)
		ahead += ring->size;
	return ahead >= 0 && ahead < entries;
}

/* What is to come is written before what makes it so, and `pos` after it. */
static void
intend_push(struct virtq_saved *saved, struct virtq_pos next, uint64_t head, uint32_t kind)
{
	__atomic_store_n(&saved->head, head, __ATOMIC_RELAXED);
	__atomic_store_n(&saved->kind, kind, __ATOMIC_RELAXED);
	__atomic_store_n(&saved->next, virtq_saved_word(next), __ATOMIC_RELEASE);
}

static void
write_entry(const struct virtq_ring *ring, uint16_t idx, uint64_t meta)
{
	/* Barrier B: pairs with the driver's acquire of the flags of its next used entry. */
	virtq_store64_release(&ring->pdesc[idx].len, meta);
}

/* One after the other, each with the place behind it: where it ends nothing else can tell. */
static void
push_one_by_one(struct virtq_saved *saved, const struct virtq_ring *ring, struct virtq_pos pos,
		const struct virtq_chain *c, uint16_t n, bool write)
{
	for (uint16_t i = 0; i < n; i++) {
		const uint64_t meta = virtq_packed_used_meta(&c[i], pos.wrap, write);
		const uint16_t at = pos.idx;

		virtq_pos_advance(&pos, c[i].entries, ring->size);
		intend_push(saved, pos, meta, VIRTQ_SAVED_FIRST);
		write_entry(ring, at, meta);
		__atomic_store_n(&saved->pos, virtq_saved_word(pos), __ATOMIC_RELEASE);
	}
}

/* As virtq_dev_push_used_packed() does it: the first entry last, with `batch` that one alone. */
static void
push_first_last(struct virtq_saved *saved, const struct virtq_ring *ring, struct virtq_pos pos,
		struct virtq_pos next, const struct virtq_chain *c, uint16_t n, bool write,
		bool batch)
{
	const uint64_t head = virtq_packed_used_meta(&c[batch ? n - 1 : 0], pos.wrap, write);
	const uint16_t first = pos.idx;

	intend_push(saved, next, head, batch ? VIRTQ_SAVED_FIRST : VIRTQ_SAVED_LAST);
	for (uint16_t i = 1; !batch && i < n; i++) {
		virtq_pos_advance(&pos, 1, ring->size);
		write_entry(ring, pos.idx, virtq_packed_used_meta(&c[i], pos.wrap, write));
	}
	write_entry(ring, first, head);
	__atomic_store_n(&saved->pos, virtq_saved_word(next), __ATOMIC_RELEASE);
}

void
virtq_dev_push_tracked_split(struct virtq_dev *dev, const struct virtq_ring *ring,
			     const struct virtq_chain *c, uint16_t n, bool batch)
{
	struct virtq_inflight_split *s = dev->inflight;

	for (uint16_t i = 0; i < n; i++)
		virtq_tracked_return(s, c[i].id & ring->mask);
	virtq_dev_put_used_split(dev, ring, c, n, batch);
	for (uint16_t i = 0; i < n; i++)
		virtq_tracked_returned(s, c[i].id & ring->mask);
	virtq_store16_release(&s->used_idx, dev->cursor.used_idx);
}

void
virtq_dev_advance_tracked(struct virtq_dev *dev, const struct virtq_ring *ring,
			  const struct virtq_chain *c, uint16_t n)
{
	struct virtq_inflight_split *s = dev->inflight;

	for (uint16_t i = 0; i < n; i++) {
		struct virtq_inflight_split_entry *e = &s->entry[c[i].id & ring->mask];

		virtq_store64(&e->counter, dev->taken++);
		virtq_store8_release(&e->inflight, 1);
	}
}

/*
 * One after the other, for where a round of several was left can be seen only with what the chains
 * were. With `batch` one entry returns them all, see virtq_dev_push_used_packed().
 */
static uint16_t
push_tracked_packed(struct virtq_dev *dev, const struct virtq_ring *ring,
		    const struct virtq_chain *c, uint16_t n, bool write, bool batch)
{
	struct virtq_pos pos = virtq_dev_used_pos(dev), at = pos;
	uint16_t entries = 0;

	for (uint16_t i = 0; i < n; i++) {
		virtq_pos_advance(&pos, c[i].entries, ring->size);
		entries += c[i].entries;
		if (batch && i + 1 < n)
			continue;
		virtq_tracked_intend(dev->inflight, pos.idx, pos.wrap, at.idx, at.wrap);
		write_entry(ring, at.idx, virtq_packed_used_meta(&c[i], at.wrap, write));
		virtq_tracked_commit(dev->inflight, pos.idx, pos.wrap);
		at = pos;
	}
	dev->cursor.used_idx = pos.idx;
	dev->cursor.used_wrap = pos.wrap;
	return entries;
}

uint16_t
virtq_dev_push_kept(struct virtq_dev *dev, const struct virtq_ring *ring,
		    const struct virtq_chain *c, uint16_t n, bool write, bool batch)
{
	const struct virtq_pos pos = virtq_dev_used_pos(dev);
	struct virtq_pos next = pos;
	uint16_t entries = 0;

	if (dev->inflight != NULL)
		return push_tracked_packed(dev, ring, c, n, write, batch);
	for (uint16_t i = 0; i < n; i++)
		entries += c[i].entries;
	virtq_pos_advance(&next, entries, ring->size);
	dev->cursor.used_idx = next.idx;
	dev->cursor.used_wrap = next.wrap;
	if (batch || entries == n)
		push_first_last(dev->saved, ring, pos, next, c, n, write, batch);
	else
		push_one_by_one(dev->saved, ring, pos, c, n, write);
	return entries;
}

/* Descriptors of unusable chains in a round; with one chain more, 32,768 + 4,095 at most. */
#define MAX_WALKED 4096

/* A chain that is being put together from its descriptors. */
struct walk {
	struct virtq_dev *dev;
	const struct virtq_ring *ring;
	struct virtq_chain *c;
	bool write;
	bool full;		/* the scratch had no room for all segments */
	uint32_t ndesc;		/* descriptors seen, indirect ones included */
	uint64_t total;
};

/*
 * False: this round has looked at so many descriptors of chains that are of no use that this one is
 * for the next. Its entries are 0 then, as in walk_end().
 */
static bool
walk_begin(struct walk *w, struct virtq_dev *dev, const struct virtq_ring *ring, bool write,
	   struct virtq_chain *c)
{
	if (dev->scratch.nwalked >= MAX_WALKED) {
		c->entries = 0;
		return false;
	}
	*w = (struct walk){.dev = dev, .ring = ring, .c = c, .write = write};
	c->addr = NULL;
	c->len = 0;
	c->nseg = 0;
	c->seg = dev->scratch.nsegs;
	c->entries = 1;
	c->written = 0;
	c->fault = VIRTQ_FAULT_NONE;
	return true;
}

static void
walk_add_seg(struct walk *w, uint8_t *addr, uint32_t len)
{
	if (w->c->seg + w->c->nseg >= VIRTQ_MAX_SEGS) {
		w->full = true;
		return;
	}
	w->dev->segs[w->c->seg + w->c->nseg++] = (struct virtq_seg){addr, len};
}

/* One data descriptor: zero or more segments, more than one where it crosses regions. */
static enum virtq_error
walk_add(struct walk *w, uint64_t gpa, uint32_t len, uint16_t flags)
{
	if (!!(flags & VRING_DESC_F_WRITE) != w->write)
		return VIRTQ_E_DIRECTION;
	if (++w->ndesc > w->ring->size)
		return VIRTQ_E_CHAIN_LOOP;
	if (w->ndesc > VIRTQ_MAX_SEGS) /* descriptors of no length cost time as well */
		w->full = true;
	w->total += len;
	if (gpa + len < gpa)
		w->c->fault = VIRTQ_FAULT_UNMAPPED;
	/* Of what the scratch has no room for, nothing needs to be translated. */
	while (len > 0 && w->c->fault == VIRTQ_FAULT_NONE && !w->full) {
		uint64_t part = len;
		uint8_t *p = virtq_dev_find(w->dev, w->ring, gpa, &part, w->write);

		if (p == NULL && virtq_dev_missed(w->dev))
			break;
		if (p == NULL) {
			w->c->fault = VIRTQ_FAULT_UNMAPPED;
			break;
		}
		walk_add_seg(w, p, (uint32_t)part);
		gpa += part;
		len -= (uint32_t)part;
	}
	return VIRTQ_OK;
}

/*
 * The chain is complete. When the scratch was too small, and other chains of this round are in it,
 * entries becomes 0: the caller stops before this chain and meets it again with an empty scratch.
 * So it is with one that waits for the IOTLB, of which all that is missed was asked for.
 */
static enum virtq_error
walk_end(struct walk *w)
{
	struct virtq_chain *c = w->c;

	if (virtq_dev_missed(w->dev) || (w->full && c->seg > 0)) {
		c->entries = 0;
		return VIRTQ_OK;
	}
	if (w->full || w->total > UINT32_MAX)
		c->fault = VIRTQ_FAULT_TOO_LONG;
	if (c->fault != VIRTQ_FAULT_NONE) {
		w->dev->scratch.nwalked += (uint16_t)w->ndesc;
		c->nseg = 0;
		c->total = 0;
		return VIRTQ_OK;
	}
	c->total = (uint32_t)w->total;
	w->dev->scratch.nsegs = c->seg + c->nseg;
	if (c->nseg > 0) {
		c->addr = w->dev->segs[c->seg].addr;
		c->len = w->dev->segs[c->seg].len;
	}
	return VIRTQ_OK;
}

/* Entry i of an indirect table; it may straddle regions. False when it is not all mapped. */
static bool
table_entry(struct virtq_dev *dev, const struct virtq_ring *ring, uint64_t table, uint32_t i,
	    struct virtq_desc *d)
{
	uint64_t gpa = table + (uint64_t)i * sizeof(*d), len = sizeof(*d);
	const uint8_t *p = virtq_dev_find(dev, ring, gpa, &len, false);
	uint8_t copy[sizeof(*d)];

	if (p != NULL && len == sizeof(*d) && (uintptr_t)p % 8 == 0) {
		*d = virtq_load_desc(p);
		return true;
	}
	for (uint64_t done = 0; done < sizeof(copy); done += len) {
		len = sizeof(copy) - done;
		p = virtq_dev_find(dev, ring, gpa + done, &len, false);
		if (p == NULL)
			return false;
		memcpy(copy + done, p, len);
	}
	memcpy(d, copy, sizeof(copy));
	return true;
}

/* VIRTIO 1.2, 2.7.5.3 and 2.8.8: the table's length and address come with the one copy `ref`. */
static enum virtq_error
walk_table(struct walk *w, struct virtq_desc ref, bool packed)
{
	uint32_t n = ref.len / sizeof(ref), i = 0;

	if (!(w->ring->features & VIRTQ_BIT(VIRTIO_RING_F_INDIRECT_DESC)) || ref.len == 0 ||
	    ref.len % sizeof(ref) != 0 || n > w->ring->size || ref.addr + ref.len < ref.addr)
		return VIRTQ_E_INDIRECT;
	for (uint32_t seen = 0; seen < n; seen++) {
		enum virtq_error e;
		struct virtq_desc d;
		uint16_t flags;

		if (!table_entry(w->dev, w->ring, ref.addr, i, &d))
			return virtq_dev_missed(w->dev) ? VIRTQ_OK : VIRTQ_E_INDIRECT_UNMAPPED;
		flags = packed ? d.packed.flags : d.split.flags;
		/*
		 * DPDK's driver marks the entries of a packed table as writable whatever they are.
		 * To read what may be written does no harm.
		 */
		if (packed && !w->write)
			flags &= ~VRING_DESC_F_WRITE;
		if (flags & VRING_DESC_F_INDIRECT)
			return VIRTQ_E_INDIRECT;
		e = walk_add(w, d.addr, d.len, flags);
		if (e != VIRTQ_OK || w->full) /* what is left of a full chain is of no use */
			return e;
		if (packed) {
			i++;
			continue;
		}
		if (!(flags & VRING_DESC_F_NEXT))
			return VIRTQ_OK;
		i = d.split.next;
		if (i >= n)
			return VIRTQ_E_BAD_HEAD;
	}
	return packed ? VIRTQ_OK : VIRTQ_E_CHAIN_LOOP;
}

enum virtq_error
virtq_dev_walk_split(struct virtq_dev *dev, const struct virtq_ring *ring, struct virtq_desc d,
		     bool write, struct virtq_chain *c)
{
	struct walk w;

	if (!walk_begin(&w, dev, ring, write, c))
		return VIRTQ_OK;
	for (uint32_t seen = 0; seen < ring->size; seen++) {
		enum virtq_error e;

		if (d.split.flags & VRING_DESC_F_INDIRECT) {
			if (d.split.flags & VRING_DESC_F_NEXT)
				return VIRTQ_E_INDIRECT;
			c->entries = (uint16_t)(seen + 1);
			e = walk_table(&w, d, false);
			return e == VIRTQ_OK ? walk_end(&w) : e;
		}
		e = walk_add(&w, d.addr, d.len, d.split.flags);
		if (e != VIRTQ_OK)
			return e;
		c->entries = (uint16_t)(seen + 1);
		if (!(d.split.flags & VRING_DESC_F_NEXT) || w.full)
			return walk_end(&w);
		if (d.split.next >= ring->size)
			return VIRTQ_E_BAD_HEAD;
		d = virtq_load_desc(&ring->desc[d.split.next]);
	}
	return VIRTQ_E_CHAIN_LOOP;
}

enum virtq_error
virtq_dev_walk_packed(struct virtq_dev *dev, const struct virtq_ring *ring, struct virtq_pos at,
		      struct virtq_desc d, bool write, struct virtq_chain *c)
{
	struct walk w;

	if (!walk_begin(&w, dev, ring, write, c))
		return VIRTQ_OK;
	for (uint32_t entries = 1; entries <= ring->size; entries++) {
		enum virtq_error e;

		if (d.packed.flags & VRING_DESC_F_INDIRECT) {
			if (d.packed.flags & VRING_DESC_F_NEXT)
				return VIRTQ_E_INDIRECT;
			e = walk_table(&w, d, true);
		} else {
			e = walk_add(&w, d.addr, d.len, d.packed.flags);
		}
		if (e != VIRTQ_OK)
			return e;
		if (!(d.packed.flags & VRING_DESC_F_NEXT)) {
			c->id = d.packed.id;
			c->entries = (uint16_t)entries;
			return walk_end(&w);
		}
		virtq_pos_advance(&at, 1, ring->size);
		d = virtq_load_desc(&ring->pdesc[at.idx]);
	}
	return VIRTQ_E_CHAIN_LOOP;
}

void
virtq_dev_reset(struct virtq_dev *dev)
{
	virtq_ring_cursor_reset(&dev->cursor);
	dev->avail_seen = 0;
	dev->next_head = 0;
	dev->sequential = false;
	dev->called = 0;
	dev->call_valid = false;
	dev->tlb_generation = 0;
	dev->kept = false;
	dev->saved = NULL;
	dev->inflight = NULL;
	dev->caller = NULL;
	virtq_caller_reset(&dev->call);
}

static int
set_base_packed(struct virtq_dev *dev, const struct virtq_ring *ring, uint32_t base)
{
	uint32_t avail = base & 0xffff, used = base >> 16;

	if (used == 0 && avail != 0)
		used = avail;
	if ((avail & 0x7fff) >= ring->size || (used & 0x7fff) >= ring->size)
		return -EINVAL;
	dev->cursor.avail_idx = avail & 0x7fff;
	dev->cursor.avail_wrap = avail >> 15;
	dev->cursor.used_idx = used & 0x7fff;
	dev->cursor.used_wrap = used >> 15;
	return 0;
}

static void
suppress_kicks(const struct virtq_ring *ring)
{
	if (ring->packed)
		virtq_store16(&ring->device_event->flags, VRING_PACKED_EVENT_FLAG_DISABLE);
	else
		virtq_store16(&ring->used->flags, VRING_USED_F_NO_NOTIFY);
}

int
virtq_dev_set_base(struct virtq_dev *dev, const struct virtq_ring *ring, uint32_t base)
{
	virtq_dev_reset(dev);
	if (ring->packed) {
		int rc = set_base_packed(dev, ring, base);

		if (rc < 0)
			return rc;
	} else {
		if (base > UINT16_MAX)
			return -EINVAL;
		dev->cursor.avail_idx = (uint16_t)base;
		dev->avail_seen = dev->cursor.avail_idx;
		dev->cursor.used_idx = virtq_load16(&ring->used->idx);
	}
	suppress_kicks(ring);
	return 0;
}

uint32_t
virtq_dev_get_base(const struct virtq_dev *dev, bool packed)
{
	const struct virtq_cursor *at = &dev->cursor;

	if (!packed)
		return at->avail_idx;
	return at->avail_idx | (uint32_t)at->avail_wrap << 15 | (uint32_t)at->used_idx << 16 |
	       (uint32_t)at->used_wrap << 31;
}
