/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig_device_drv.h"

void
drv_ring_open(struct drv_ring *t, uint16_t size, uint64_t features)
{
	struct virtq_drv_layout l;
	struct virtq_ring_config cfg = {.size = size, .features = features, .enabled = true,
				       .errfd = -1, .wakefd = -1, .qid = 5};

	*t = (struct drv_ring){.size = size, .packed = features & F_PACKED};
	t->kickfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	cfg.callfd = t->kickfd;
	virtq_drv_layout(size, t->packed, &l);
	t->mem = aligned_alloc(4096, l.bytes);
	memset(t->mem, OTHER, l.bytes);
	t->drv = aligned_alloc(VIRTQ_CACHE_LINE, sizeof(*t->drv));
	memset(t->drv, OTHER, sizeof(*t->drv));
	t->drv->kicks = t->drv->kicks_suppressed = 0;
	assert_int_equal(virtq_drv_init(t->drv, t->mem, (uintptr_t)t->mem + RING_OFFSET, &cfg,
					&t->ring), 0);
	rdev_init(&t->dev, t->ring, RING_OFFSET);
	t->with_device = calloc(2, size);
}

void
drv_ring_close(struct drv_ring *t)
{
	virtq_drv_fini(t->drv);
	virtq_ring_free(t->ring);
	free(t->with_device);
	free(t->drv);
	free(t->mem);
	close(t->kickfd);
}

struct virtq_drv_seg
drv_ring_piece(uint64_t cookie, uint32_t i)
{
	return (struct virtq_drv_seg){cookie << 16 | i << 8, 1 + (uint32_t)(cookie + i) % 1000};
}

uint64_t
drv_ring_add(struct drv_ring *t, uint16_t n, bool write)
{
	struct virtq_drv_seg seg[RDEV_PIECES];
	uint64_t cookie = ++t->added;
	uint16_t nfree = t->drv->num_free;

	assert_true(n <= RDEV_PIECES && n <= nfree);
	for (uint16_t i = 0; i < n; i++)
		seg[i] = drv_ring_piece(cookie, i);
	assert_false(t->with_device[cookie % (2 * t->size)]);
	t->with_device[cookie % (2 * t->size)] = 1;
	t->outstanding++;
	virtq_drv_add(t->drv, t->ring, (void *)(uintptr_t)cookie, seg, n,
		      write ? VRING_DESC_F_WRITE : 0, t->packed);
	assert_int_equal(t->drv->num_free, nfree - n);
	return cookie;
}

void
drv_ring_publish(struct drv_ring *t)
{
	virtq_drv_publish(t->drv, t->ring, t->packed);
}

void
drv_ring_came_back(struct drv_ring *t, uint64_t cookie)
{
	assert_true(cookie > 0 && cookie <= t->added);
	assert_true(t->with_device[cookie % (2 * t->size)]);
	t->with_device[cookie % (2 * t->size)] = 0;
	t->outstanding--;
}

bool
drv_ring_next_used(struct drv_ring *t, uint32_t *id, uint32_t *len)
{
	uint64_t e;

	if (t->packed) {
		if (!virtq_drv_used_packed(&t->ring->pdesc[t->drv->cursor.used_idx],
					   t->drv->cursor.used_wrap, &e))
			return false;
		*id = (uint16_t)(e >> 32);
		*len = (uint32_t)e;
		return true;
	}
	if (virtq_drv_used_split(t->drv, t->ring) == 0)
		return false;
	e = virtq_peek64(&t->ring->used->ring[t->drv->cursor.used_idx & t->ring->mask]);
	*id = (uint32_t)e;
	*len = e >> 32;
	return true;
}

uint64_t
drv_ring_take(struct drv_ring *t, uint32_t *len)
{
	uint64_t cookie;
	uint32_t id;

	if (!drv_ring_next_used(t, &id, len))
		return 0;
	assert_true(virtq_drv_outstanding(t->drv, t->ring, id));
	cookie = (uintptr_t)virtq_drv_pop_used(t->drv, t->ring, (uint16_t)id, t->packed);
	drv_ring_came_back(t, cookie);
	assert_false(virtq_drv_outstanding(t->drv, t->ring, id));
	return cookie;
}
