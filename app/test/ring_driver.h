/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For tests: a guest's memory, the driver's half of both ring layouts, and a device to test it
 * with. The driver is written from the specification (VIRTIO 1.2, 2.7 and 2.8) and shares no
 * code with what it tests. It keeps account of every chain: `bad` counts completions that no
 * chain accounts for, rd_pending() those still to come.
 */
#ifndef RING_DRIVER_H
#define RING_DRIVER_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "virtq_dev.h"

/* Threads that change what is being read: TSan would only tell that they do. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define NO_MUTATORS 1
#endif
#endif
#ifndef NO_MUTATORS
#define NO_MUTATORS 0
#endif

#define GUEST_PAGE 4096ul
#define GUEST_GPA 0x100000000ul
#define GUEST_UVA 0x7f0000000000ul /* user address less guest-physical address */
#define GUEST_MAX_REGIONS 16

#define F_EVENT_IDX VIRTQ_BIT(VIRTIO_RING_F_EVENT_IDX)
#define F_INDIRECT VIRTQ_BIT(VIRTIO_RING_F_INDIRECT_DESC)
#define F_PACKED VIRTQ_BIT(VIRTIO_F_RING_PACKED)
#define F_IN_ORDER VIRTQ_BIT(VIRTIO_F_IN_ORDER)
#define F_V1 VIRTQ_BIT(VIRTIO_F_VERSION_1)
#define F_MRG VIRTQ_BIT(VIRTIO_NET_F_MRG_RXBUF)

/*
 * Memory of a guest. The device sees it in regions that are neighbours for the guest and lie in
 * reverse order, guard pages between them, in this process; the test sees it in one piece. With
 * one region both see the same addresses.
 */
struct guest {
	uint8_t *base;		/* the test's view */
	uint8_t *area;		/* the device's, guard pages included */
	size_t area_size;
	uint64_t size, used;
	uint32_t nregions;
	struct virtq_mem *mem;
};

static inline void *
guest_ptr(const struct guest *g, uint64_t gpa)
{
	return g->base + (gpa - GUEST_GPA);
}

/* A zeroed piece of the guest's memory; its guest-physical address. */
static inline uint64_t
guest_alloc(struct guest *g, uint64_t len, uint64_t align)
{
	uint64_t at = (g->used + align - 1) / align * align;

	assert_true(at + len <= g->size);
	g->used = at + len;
	memset(g->base + at, 0, len);
	return GUEST_GPA + at;
}

/* As above, ending where a region ends and another one (or nothing) begins: g->used is there. */
static inline void
guest_new(struct guest *g, uint64_t region_size, uint32_t nregions)
{
	struct virtq_region region[GUEST_MAX_REGIONS];
	uint64_t step = region_size + GUEST_PAGE;
	int fd = memfd_create("guest", MFD_CLOEXEC);

	assert_true(nregions >= 1 && nregions <= GUEST_MAX_REGIONS);
	g->size = region_size * nregions;
	g->used = 0;
	g->nregions = nregions;
	g->area_size = step * nregions + GUEST_PAGE;
	assert_int_equal(ftruncate(fd, (off_t)g->size), 0);
	g->area = mmap(NULL, g->area_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(g->area, MAP_FAILED);
	for (uint32_t i = 0; i < nregions; i++) {
		uint8_t *at = g->area + GUEST_PAGE + (nregions - 1 - i) * step;

		assert_ptr_equal(mmap(at, region_size, PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_FIXED, fd, (off_t)(i * region_size)), at);
		region[i] = (struct virtq_region){
			.gpa = GUEST_GPA + i * region_size,
			.size = region_size,
			.uva = GUEST_UVA + GUEST_GPA + i * region_size,
			.host = at,
		};
	}
	assert_int_equal(virtq_mem_new(region, nregions, &g->mem), 0);
	g->base = nregions == 1 ? region[0].host :
		  mmap(NULL, g->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(g->base, MAP_FAILED);
	close(fd);
}

static inline void
guest_free(struct guest *g)
{
	virtq_mem_put(g->mem);
	if (g->nregions > 1)
		munmap(g->base, g->size);
	munmap(g->area, g->area_size);
}

/* A piece of a buffer, in guest-physical addresses. */
struct rd_sg {
	uint64_t gpa;
	uint32_t len;
};

enum rd_form {
	RD_DIRECT,
	RD_INDIRECT,	/* one table */
	RD_MIXED,	/* the first piece in an ordinary descriptor, the others in a table */
};

#define RD_TABLE 32	/* entries of the table that each chain has */

/* A chain that the device has; oldest first. */
struct rd_chain {
	uint16_t id, slots;
	uint64_t cookie;
};

struct rd {
	struct guest *g;
	bool packed;
	uint16_t size;
	uint64_t features;
	uint64_t desc_gpa, avail_gpa, used_gpa, table_gpa;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	struct vring_packed_desc *pdesc;
	struct vring_packed_desc_event *driver_event, *device_event;
	uint16_t avail_idx, used_idx; /* split: free-running; packed: slots */
	bool avail_wrap, used_wrap;
	uint16_t nfree;		/* entries */
	uint16_t *free_id;	/* split: stack of free descriptors; packed: of free ids */
	uint16_t nids;
	struct rd_chain *chain;	/* fifo of what the device has */
	uint32_t head, tail;	/* free-running */
	uint64_t held_meta;	/* packed: head of the first chain not yet published */
	uint16_t held_slot;
	bool held;
	bool any_order;		/* chains may come back as they like, as any device's may */
	unsigned int bad;	/* completions that break the rules */
};

static inline uint32_t
rd_pending(const struct rd *r)
{
	return r->tail - r->head;
}

/* The rings in the guest's memory; the driver starts where a ring starts that was reset. */
static inline void
rd_init(struct rd *r, struct guest *g, uint16_t size, uint64_t features)
{
	uint64_t n = size;

	memset(r, 0, sizeof(*r));
	r->g = g;
	r->size = size;
	r->features = features;
	r->packed = features & F_PACKED;
	r->desc_gpa = guest_alloc(g, 16 * n, 16);
	r->avail_gpa = guest_alloc(g, r->packed ? 4 : 6 + 2 * n, 4);
	r->used_gpa = guest_alloc(g, r->packed ? 4 : 6 + 8 * n, 4);
	if (size <= 1024 && (features & F_INDIRECT))
		r->table_gpa = guest_alloc(g, n * RD_TABLE * 16, 16);
	r->desc = guest_ptr(g, r->desc_gpa);
	r->pdesc = guest_ptr(g, r->desc_gpa);
	r->avail = guest_ptr(g, r->avail_gpa);
	r->driver_event = guest_ptr(g, r->avail_gpa);
	r->used = guest_ptr(g, r->used_gpa);
	r->device_event = guest_ptr(g, r->used_gpa);
	r->avail_wrap = r->used_wrap = true;
	r->nfree = size;
	r->free_id = calloc(n, sizeof(*r->free_id));
	r->chain = calloc(n, sizeof(*r->chain));
	/* An order in which nothing is equal to its position, but on a ring of one entry. */
	for (uint32_t i = 0; i < n; i++)
		r->free_id[i] = (uint16_t)((i + n / 2 + 1) % n);
	r->nids = size;
}

static inline void
rd_fini(struct rd *r)
{
	free(r->free_id);
	free(r->chain);
}

/* Begin elsewhere than at 0. Packed: a slot, and its lap's wrap counter. */
static inline void
rd_start_at(struct rd *r, uint16_t idx, bool wrap)
{
	r->avail_idx = r->used_idx = idx;
	r->avail_wrap = r->used_wrap = wrap;
	if (!r->packed) {
		r->avail->idx = idx;
		r->used->idx = idx;
		return;
	}
	/* As laps before this one would have left it: nothing is available. */
	for (uint16_t i = 0; i < r->size; i++) {
		bool lap = i < idx ? wrap : !wrap;

		r->pdesc[i].flags = lap ? 1u << 7 | 1u << 15 : 0;
	}
}

static inline uint32_t
rd_base(const struct rd *r)
{
	if (!r->packed)
		return r->avail_idx;
	return (r->avail_idx | (uint32_t)r->avail_wrap << 15) * 0x10001u;
}

static inline uint16_t
rd_packed_flags(const struct rd *r, uint16_t flags)
{
	return flags | (r->avail_wrap ? 1u << 7 : 1u << 15);
}

/* One entry of a packed ring; the head of what rd_publish() publishes is held back. */
static inline void
rd_put_packed(struct rd *r, const struct rd_sg *sg, uint16_t id, uint16_t flags)
{
	struct vring_packed_desc *d = &r->pdesc[r->avail_idx];
	uint64_t meta = sg->len | (uint64_t)id << 32 |
			(uint64_t)rd_packed_flags(r, flags) << 48;

	__atomic_store_n(&d->addr, sg->gpa, __ATOMIC_RELAXED);
	if (!r->held) {
		r->held = true;
		r->held_meta = meta;
		r->held_slot = r->avail_idx;
	} else {
		__atomic_store_n((uint64_t *)(void *)&d->len, meta, __ATOMIC_RELEASE);
	}
	if (++r->avail_idx == r->size) {
		r->avail_idx = 0;
		r->avail_wrap = !r->avail_wrap;
	}
}

static inline struct rd_sg
rd_fill_table(struct rd *r, uint16_t id, const struct rd_sg *sg, uint32_t n, uint16_t dir)
{
	uint64_t gpa = r->table_gpa + (uint64_t)id * RD_TABLE * 16;
	struct vring_desc *d = guest_ptr(r->g, gpa);
	struct vring_packed_desc *p = guest_ptr(r->g, gpa);

	assert_true(r->table_gpa != 0 && n <= RD_TABLE);
	for (uint32_t i = 0; i < n; i++) {
		if (r->packed) {
			p[i] = (struct vring_packed_desc){sg[i].gpa, sg[i].len, 0xdead, dir};
			continue;
		}
		d[i] = (struct vring_desc){sg[i].gpa, sg[i].len, dir, 0};
		if (i + 1 < n) {
			d[i].flags |= VRING_DESC_F_NEXT;
			d[i].next = (uint16_t)(i + 1);
		}
	}
	return (struct rd_sg){gpa, 16 * n};
}

static inline void
rd_add_split(struct rd *r, const struct rd_sg *sg, uint16_t slots, uint16_t dir, bool table,
	     uint16_t *head)
{
	uint16_t next = 0;

	/* Backwards, so that each knows its successor. */
	for (uint16_t i = slots; i-- > 0;) {
		uint16_t at = r->free_id[--r->nids];
		bool last = i + 1 == slots;

		r->desc[at] = (struct vring_desc){
			.addr = sg[i].gpa,
			.len = sg[i].len,
			.flags = (last && table ? VRING_DESC_F_INDIRECT : dir) |
				 (last ? 0 : VRING_DESC_F_NEXT),
			.next = next,
		};
		next = at;
	}
	*head = next;
	r->avail->ring[r->avail_idx & (r->size - 1)] = next;
	r->avail_idx++;
}

/*
 * Give the device a chain of n pieces, n > 0; it sees it after rd_publish(). Returns the chain's
 * id or -1 when the ring has no room. `write`: for the device to write.
 */
static inline int
rd_add(struct rd *r, const struct rd_sg *sg, uint32_t n, enum rd_form form, bool write,
	uint64_t cookie)
{
	uint32_t direct = form == RD_DIRECT ? n : form == RD_MIXED ? 1 : 0;
	uint16_t dir = write ? VRING_DESC_F_WRITE : 0;
	uint16_t slots = (uint16_t)(direct + (form != RD_DIRECT)), id;
	struct rd_sg ring[64];
	bool table = form != RD_DIRECT;

	if (slots > r->nfree || r->nids < 1)
		return -1;
	assert_true(slots <= 64);
	memcpy(ring, sg, direct * sizeof(*sg));
	if (table) /* the table belongs to the id, split: to the last descriptor taken */
		ring[direct] = rd_fill_table(r, r->free_id[r->nids - 1], sg + direct, n - direct,
					     dir);
	if (r->packed) {
		id = r->free_id[--r->nids];
		for (uint16_t i = 0; i < slots; i++) {
			bool last = i + 1 == slots;

			/* The id counts in the last one only. */
			rd_put_packed(r, &ring[i], last ? id : 0xbeef,
				      (last && table ? VRING_DESC_F_INDIRECT : dir) |
				      (last ? 0 : VRING_DESC_F_NEXT));
		}
	} else {
		rd_add_split(r, ring, slots, dir, table, &id);
	}
	r->nfree -= slots;
	r->chain[r->tail++ % r->size] = (struct rd_chain){id, slots, cookie};
	return id;
}

static inline void
rd_publish(struct rd *r)
{
	if (!r->packed) {
		__atomic_store_n(&r->avail->idx, r->avail_idx, __ATOMIC_RELEASE);
		return;
	}
	if (r->held)
		__atomic_store_n((uint64_t *)(void *)&r->pdesc[r->held_slot].len, r->held_meta,
				 __ATOMIC_RELEASE);
	r->held = false;
}

/* A chain that came back. */
struct rd_done {
	uint16_t id;
	uint32_t len;
	uint64_t cookie;
	bool write;	/* packed: the used entry says that len counts */
	bool batched;	/* retired by the entry of a later chain */
};

static inline void
rd_retire(struct rd *r, struct rd_done *d)
{
	struct rd_chain *c = &r->chain[r->head++ % r->size];
	uint16_t at = c->id;

	d->id = c->id;
	d->cookie = c->cookie;
	r->nfree += c->slots;
	if (r->packed) {
		r->free_id[r->nids++] = c->id;
		if (r->used_idx + c->slots >= r->size)
			r->used_wrap = !r->used_wrap;
		r->used_idx = (uint16_t)((r->used_idx + c->slots) % r->size);
		return;
	}
	for (uint16_t i = 0; i < c->slots; i++) {
		r->free_id[r->nids++] = at;
		at = r->desc[at].next;
	}
	r->used_idx++;
}

/* The next used entry, if there is one. */
static inline bool
rd_next_used(const struct rd *r, uint16_t *id, uint32_t *len, bool *write)
{
	uint64_t meta;

	if (!r->packed) {
		uint16_t slot = r->used_idx & (r->size - 1);

		if (__atomic_load_n(&r->used->idx, __ATOMIC_ACQUIRE) == r->used_idx)
			return false;
		*id = (uint16_t)r->used->ring[slot].id;
		*len = r->used->ring[slot].len;
		*write = true;
		return r->used->ring[slot].id < r->size;
	}
	meta = __atomic_load_n((uint64_t *)(void *)&r->pdesc[r->used_idx].len, __ATOMIC_ACQUIRE);
	if (!!(meta >> 55 & 1) != r->used_wrap || !!(meta >> 63) != r->used_wrap)
		return false;
	*id = (uint16_t)(meta >> 32);
	*len = (uint32_t)meta;
	*write = meta >> 48 & VRING_DESC_F_WRITE;
	return true;
}

/*
 * Take back chains: those of one used entry, more than one only with IN_ORDER. Returns how many
 * were stored in d, which has room for the ring.
 */
static inline uint32_t
rd_pop(struct rd *r, struct rd_done *d)
{
	bool in_order = r->features & F_IN_ORDER, write;
	uint32_t n = 0, k, len;
	uint16_t id;

	if (rd_pending(r) == 0 || r->held || !rd_next_used(r, &id, &len, &write))
		return 0;
	for (k = 0; k < rd_pending(r); k++)
		if (r->chain[(r->head + k) % r->size].id == id)
			break;
	if (r->any_order && k < rd_pending(r)) {
		struct rd_chain c = r->chain[(r->head + k) % r->size];

		for (; k > 0; k--)
			r->chain[(r->head + k) % r->size] = r->chain[(r->head + k - 1) % r->size];
		r->chain[r->head % r->size] = c;
	}
	/* This device takes and gives back in order, whether it promised or not. */
	if (k == rd_pending(r) || (k > 0 && !in_order)) {
		r->bad++;
		return 0;
	}
	for (; n <= k; n++) {
		d[n] = (struct rd_done){.len = n == k ? len : 0, .write = n == k && write,
					.batched = n < k};
		rd_retire(r, &d[n]);
	}
	return n;
}

/* The device for a ring. */
struct dev {
	struct virtq_dev *vq;
	struct virtq_ring *ring;
	int callfd, errfd;
};

static inline struct virtq_ring_config
dev_config(const struct dev *d, const struct rd *r)
{
	return (struct virtq_ring_config){
		.size = r->size,
		.features = r->features,
		.desc_uva = GUEST_UVA + r->desc_gpa,
		.avail_uva = GUEST_UVA + r->avail_gpa,
		.used_uva = GUEST_UVA + r->used_gpa,
		.enabled = true,
		.callfd = d->callfd,
		.errfd = d->errfd,
		.hdr_len = r->features & (F_V1 | F_MRG) ? 12 : 10,
	};
}

static inline void
dev_start(struct dev *d, const struct rd *r)
{
	struct virtq_ring_config cfg;

	d->callfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	d->errfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	d->vq = aligned_alloc(VIRTQ_CACHE_LINE, sizeof(*d->vq));
	memset(d->vq, 0xa5, sizeof(*d->vq)); /* nothing relies on zeroes but the counters */
	d->vq->calls = d->vq->calls_suppressed = 0;
	d->vq->cursor.owner = NULL;
	cfg = dev_config(d, r);
	assert_int_equal(virtq_ring_new(&cfg, r->g->mem, &d->ring), 0);
	assert_int_equal(virtq_dev_set_base(d->vq, d->ring, rd_base(r)), 0);
}

static inline void
dev_stop(struct dev *d)
{
	virtq_ring_free(d->ring);
	free(d->vq);
	close(d->callfd);
	close(d->errfd);
}

/* How often an eventfd was signalled since it was last asked. */
static inline uint64_t
fd_count(int fd)
{
	uint64_t n;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

/* Numbers that look random and are the same in every run. */
static inline uint32_t
rd_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ul + 1442695040888963407ul;
	return (uint32_t)(*state >> 33);
}

#endif /* RING_DRIVER_H */
