/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig_device.h"

void
rdev_init(struct rdev *d, const struct virtq_ring *ring, uint64_t ring_offset)
{
	*d = (struct rdev){.ring = ring, .ring_offset = ring_offset, .avail_wrap = true,
			   .used_wrap = true};
}

static void
rdev_move(const struct rdev *d, uint16_t *idx, bool *wrap, uint16_t n)
{
	if (*idx + n >= d->ring->size)
		*wrap = !*wrap;
	*idx = (uint16_t)((*idx + n) % d->ring->size);
}

static void
rdev_piece(struct rdev_chain *c, uint64_t addr, uint32_t len, uint16_t flags)
{
	bool write = flags & VRING_DESC_F_WRITE;

	assert_true(c->n < RDEV_PIECES);
	assert_true(len > 0);
	if (c->n > 0 && !c->command)
		assert_int_equal(write, c->write); /* this driver never mixes */
	assert_false(c->write && !write);
	c->write = write;
	c->nread += !write;
	c->sg[c->n].addr = addr;
	c->sg[c->n++].len = len;
	c->total += len;
}

static void
rdev_table(const struct rdev *d, struct rdev_chain *c, uint64_t addr, uint32_t len)
{
	const struct vring_desc *split = (void *)(uintptr_t)(addr - d->ring_offset);
	const struct vring_packed_desc *packed = (const void *)split;
	uint32_t n = len / 16;

	assert_true(d->ring->features & VIRTQ_BIT(VIRTIO_RING_F_INDIRECT_DESC));
	assert_true(n > 0 && len % 16 == 0 && n <= d->ring->size);
	c->indirect = true;
	for (uint32_t i = 0; i < n; i++) {
		if (d->ring->packed) {
			assert_int_equal(packed[i].flags & ~VRING_DESC_F_WRITE, 0);
			rdev_piece(c, packed[i].addr, packed[i].len, packed[i].flags);
			continue;
		}
		/* In this order, to the table's end. */
		assert_int_equal(split[i].flags & ~VRING_DESC_F_WRITE,
				 i + 1 < n ? VRING_DESC_F_NEXT : 0);
		if (i + 1 < n)
			assert_int_equal(split[i].next, i + 1);
		rdev_piece(c, split[i].addr, split[i].len, split[i].flags);
	}
}

static void
rdev_desc(const struct rdev *d, struct rdev_chain *c, uint64_t addr, uint32_t len, uint16_t flags)
{
	if (!(flags & VRING_DESC_F_INDIRECT)) {
		rdev_piece(c, addr, len, flags);
		return;
	}
	assert_int_equal(flags & VRING_DESC_F_NEXT, 0);
	assert_int_equal(flags & VRING_DESC_F_WRITE, 0);
	rdev_table(d, c, addr, len);
}

static bool
rdev_fetch_split(struct rdev *d, struct rdev_chain *c)
{
	const struct virtq_ring *ring = d->ring;
	uint16_t idx = __atomic_load_n(&ring->avail->idx, __ATOMIC_ACQUIRE), at, flags, seen = 0;

	assert_true((uint16_t)(idx - d->avail_idx) <= ring->size);
	if (idx == d->avail_idx)
		return false;
	at = ring->avail->ring[d->avail_idx++ % ring->size];
	c->id = at;
	c->slots = 1;
	do {
		assert_true(at < ring->size);
		assert_true(seen++ < ring->size);
		flags = ring->desc[at].flags;
		rdev_desc(d, c, ring->desc[at].addr, ring->desc[at].len, flags);
		at = ring->desc[at].next;
	} while (flags & VRING_DESC_F_NEXT);
	return true;
}

static bool
rdev_fetch_packed(struct rdev *d, struct rdev_chain *c)
{
	const struct virtq_ring *ring = d->ring;
	uint16_t flags = __atomic_load_n(&ring->pdesc[d->avail_idx].flags, __ATOMIC_ACQUIRE);

	if (!!(flags & 1u << 7) != d->avail_wrap || !!(flags & 1u << 15) == d->avail_wrap)
		return false;
	c->slots = 0;
	do {
		const struct vring_packed_desc *p = &ring->pdesc[d->avail_idx];

		flags = p->flags;
		assert_int_equal(!!(flags & 1u << 7), d->avail_wrap);
		assert_int_equal(!!(flags & 1u << 15), !d->avail_wrap);
		assert_true(c->slots++ < ring->size);
		rdev_desc(d, c, p->addr, p->len, flags & ~(1u << 7 | 1u << 15));
		c->id = p->id;
		rdev_move(d, &d->avail_idx, &d->avail_wrap, 1);
	} while (flags & VRING_DESC_F_NEXT);
	assert_true(c->id < ring->size); /* this driver's choice; the device need not know */
	return true;
}

bool
rdev_fetch(struct rdev *d, struct rdev_chain *c)
{
	c->n = 0;
	c->total = 0;
	c->id = 0;
	c->slots = 0;
	c->nread = 0;
	c->write = false;
	c->indirect = false;
	c->command = d->commands;
	return d->ring->packed ? rdev_fetch_packed(d, c) : rdev_fetch_split(d, c);
}

void
rdev_lie(struct rdev *d, uint32_t id, uint32_t len, uint16_t chains, uint16_t slots)
{
	const struct virtq_ring *ring = d->ring;
	uint64_t meta;

	if (!ring->packed) {
		ring->used->ring[d->used_idx % ring->size] =
			(struct vring_used_elem){.id = id, .len = len};
		d->used_idx += chains;
		__atomic_store_n(&ring->used->idx, d->used_idx, __ATOMIC_RELEASE);
		return;
	}
	meta = len | (uint64_t)(uint16_t)id << 32;
	if (d->used_wrap)
		meta |= (1ull << 7 | 1ull << 15) << 48;
	/* At once: a driver in another thread may be looking. */
	__atomic_store_n((uint64_t *)(void *)&ring->pdesc[d->used_idx].len, meta, __ATOMIC_RELEASE);
	rdev_move(d, &d->used_idx, &d->used_wrap, slots);
}

void
rdev_use(struct rdev *d, const struct rdev_chain *c, uint32_t len)
{
	rdev_lie(d, c->id, len, 1, c->slots);
}

void
rdev_held_init(struct rdev_held *h)
{
	h->n = 0;
	for (uint16_t i = 0; i < RDEV_HELD; i++)
		h->at[i] = i;
}

bool
rdev_held_fetch(struct rdev_held *h, struct rdev *d)
{
	struct rdev_chain none;

	if (h->n == RDEV_HELD) {
		assert_false(rdev_fetch(d, &none));
		return false;
	}
	if (!rdev_fetch(d, &h->chain[h->at[h->n]]))
		return false;
	h->n++;
	return true;
}

void
rdev_held_fetch_all(struct rdev_held *h, struct rdev *d)
{
	while (rdev_held_fetch(h, d))
		;
}

const struct rdev_chain *
rdev_held_at(const struct rdev_held *h, uint16_t k)
{
	assert_true(k < h->n);
	return &h->chain[h->at[k]];
}

const struct rdev_chain *
rdev_held_remove(struct rdev_held *h, uint16_t k)
{
	const struct rdev_chain *c = rdev_held_at(h, k);
	const uint16_t at = h->at[k];

	h->n--;
	memmove(&h->at[k], &h->at[k + 1], (h->n - k) * sizeof(h->at[0]));
	h->at[h->n] = at;
	return c;
}

const struct rdev_chain *
rdev_held_last(const struct rdev_held *h)
{
	return &h->chain[h->at[h->n]];
}

void
rdev_held_use_batch(struct rdev_held *h, struct rdev *d, uint16_t n, uint32_t len)
{
	uint16_t slots = 0;

	for (uint16_t i = 0; i < n; i++)
		slots += rdev_held_remove(h, 0)->slots;
	rdev_lie(d, rdev_held_last(h)->id, len, n, slots);
}
