/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig_guest.h"

void *
guest_ptr(const struct guest *g, uint64_t gpa)
{
	return g->base + (gpa - GUEST_GPA);
}

uint64_t
guest_alloc(struct guest *g, uint64_t len, uint64_t align)
{
	uint64_t at = (g->used + align - 1) / align * align;

	assert_true(at + len <= g->size);
	g->used = at + len;
	memset(g->base + at, 0, len);
	return GUEST_GPA + at;
}

void
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

void
guest_free(struct guest *g)
{
	virtq_mem_put(g->mem);
	if (g->nregions > 1)
		munmap(g->base, g->size);
	munmap(g->area, g->area_size);
}

uint32_t
rd_pending(const struct rd *r)
{
	return r->tail - r->head;
}

void
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

void
rd_fini(struct rd *r)
{
	free(r->free_id);
	free(r->chain);
}

void
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

uint32_t
rd_base(const struct rd *r)
{
	if (!r->packed)
		return r->avail_idx;
	return (r->avail_idx | (uint32_t)r->avail_wrap << 15) * 0x10001u;
}

static uint16_t
rd_packed_flags(const struct rd *r, uint16_t flags)
{
	return flags | (r->avail_wrap ? 1u << 7 : 1u << 15);
}

void
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

struct rd_sg
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

static void
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

int
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

void
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

static void
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
static bool
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

uint32_t
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

struct virtq_ring_config
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
		.wakefd = -1,
		.hdr_len = HDR_LEN(r->features),
	};
}

void
dev_start(struct dev *d, const struct rd *r)
{
	struct virtq_ring_config cfg;

	d->callfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	d->errfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	d->vq = aligned_alloc(VIRTQ_CACHE_LINE, sizeof(*d->vq));
	memset(d->vq, 0xa5, sizeof(*d->vq)); /* nothing relies on zeroes but the counters */
	d->vq->calls = d->vq->calls_suppressed = 0;
	d->vq->call.coalesced = d->vq->call.deferred = 0;
	d->vq->cursor.owner = NULL;
	cfg = dev_config(d, r);
	assert_int_equal(virtq_ring_new(&cfg, r->g->mem, &d->ring), 0);
	assert_int_equal(virtq_dev_set_base(d->vq, d->ring, rd_base(r)), 0);
}

void
dev_stop(struct dev *d)
{
	virtq_ring_free(d->ring);
	free(d->vq);
	close(d->callfd);
	close(d->errfd);
}

uint64_t
fd_count(int fd)
{
	uint64_t n;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

uint32_t
rd_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ul + 1442695040888963407ul;
	return (uint32_t)(*state >> 33);
}

uint32_t
rd_rounds(uint32_t n)
{
	const char *share = getenv("RIG_SHARE");

	return share == NULL ? n : n / (uint32_t)strtoul(share, NULL, 10);
}
