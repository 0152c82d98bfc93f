/* SPDX-License-Identifier: BSD-3-Clause */
#include "virtq_dev_log.h"

#include <stddef.h>

/* Bytes in one piece that lie in one region. */
static void
mark_host(struct virtq_dev *dev, const struct virtq_ring *ring, const uint8_t *host, uint32_t len)
{
	uint64_t offset = (uintptr_t)host - (uintptr_t)dev->tlb.host;

	if (ring->view != NULL) { /* the other cache is of other addresses */
		virtq_log_mark(ring->log, virtq_mem_gpa_of(ring->mem, host), len);
		return;
	}
	if (virtq_unlikely(offset >= dev->tlb.size)) {
		const struct virtq_region *r = virtq_mem_find_host(ring->mem, host);

		dev->tlb = (struct virtq_tlb){r->gpa, r->size, r->host};
		offset = (uintptr_t)host - (uintptr_t)r->host;
	}
	virtq_log_mark(ring->log, dev->tlb.gpa + offset, len);
}

static void
mark_chain(struct virtq_dev *dev, const struct virtq_ring *ring, const struct virtq_chain *c)
{
	const struct virtq_seg *seg;
	uint32_t left = c->written;

	if (c->nseg == 1) { /* a plain chain has no other */
		mark_host(dev, ring, c->addr, left);
		return;
	}
	seg = &dev->segs[c->seg];
	for (uint16_t i = 0; i < c->nseg && left > 0; i++) {
		const uint32_t part = left < seg[i].len ? left : seg[i].len;

		mark_host(dev, ring, seg[i].addr, part);
		left -= part;
	}
}

void
virtq_dev_log_written(struct virtq_dev *dev, const struct virtq_ring *ring,
		      const struct virtq_chain *c, uint16_t n)
{
	virtq_log_barrier();
	for (uint16_t i = 0; i < n; i++)
		if (c[i].written > 0)
			mark_chain(dev, ring, &c[i]);
}

/* n entries of `bytes` bytes from `first` on, in a ring that begins at gpa. */
static void
mark_entries(const struct virtq_ring *ring, uint64_t gpa, uint32_t bytes, uint32_t first,
	     uint32_t n)
{
	const uint32_t left = ring->size - first;

	if (n > left) {
		virtq_log_mark(ring->log, gpa, (uint64_t)(n - left) * bytes);
		n = left;
	}
	virtq_log_mark(ring->log, gpa + (uint64_t)first * bytes, (uint64_t)n * bytes);
}

/*
 * Entries are marked where they lie, and as if the first lay at log_gpa. DPDK does the latter
 * alone, although QEMU has the device's event area there. It need not be in the log.
 */
static void
mark_packed(const struct virtq_ring *ring, uint32_t first, uint32_t n)
{
	const uint32_t bytes = sizeof(ring->pdesc[0]);
	const uint64_t last = ring->log_gpa + (uint64_t)ring->size * bytes - 1;

	mark_entries(ring, ring->desc_gpa, bytes, first, n);
	if (last >= ring->log_gpa && last >> VIRTQ_LOG_PAGE_SHIFT < ring->log->npages)
		mark_entries(ring, ring->log_gpa, bytes, first, n);
}

void
virtq_dev_log_used(const struct virtq_dev *dev, const struct virtq_ring *ring,
		   struct virtq_pos from)
{
	const struct virtq_pos to = virtq_dev_used_pos(dev);
	uint32_t n;

	if (!ring->log_used || (from.idx == to.idx && from.wrap == to.wrap))
		return;
	virtq_log_barrier();
	if (ring->packed) {
		n = from.wrap == to.wrap ? to.idx - from.idx : ring->size - from.idx + to.idx;
		mark_packed(ring, from.idx, n);
		return;
	}
	n = (uint16_t)(to.idx - from.idx);
	mark_entries(ring, ring->log_gpa + offsetof(struct vring_used, ring),
		     sizeof(ring->used->ring[0]), from.idx & ring->mask, n);
	virtq_log_mark(ring->log, ring->log_gpa + offsetof(struct vring_used, idx),
		       sizeof(ring->used->idx));
}

void
virtq_dev_log_returned(const struct virtq_ring *ring)
{
	if (!ring->log_used)
		return;
	virtq_log_barrier();
	if (ring->packed)
		mark_packed(ring, 0, ring->size);
	else
		virtq_log_mark(ring->log, ring->log_gpa, offsetof(struct vring_used, ring) +
			       ring->size * sizeof(ring->used->ring[0]));
}

void
virtq_dev_log_events(const struct virtq_ring *ring)
{
	if (!ring->log_used)
		return;
	virtq_log_barrier();
	virtq_log_mark(ring->log, ring->log_gpa, sizeof(*ring->device_event));
	if (!ring->packed && (ring->features & VIRTQ_BIT(VIRTIO_RING_F_EVENT_IDX)))
		virtq_log_mark(ring->log, ring->log_gpa + offsetof(struct vring_used, ring) +
			       ring->size * sizeof(ring->used->ring[0]), sizeof(uint16_t));
}

void
virtq_dev_log_complete(struct virtq_dev *dev, const struct virtq_ring *ring,
		       const struct virtq_chain *c, uint16_t n, bool write)
{
	const struct virtq_pos from = virtq_dev_used_pos(dev);

	if (write)
		virtq_dev_log_written(dev, ring, c, n);
	virtq_dev_complete(dev, ring, c, n, ring->packed, write, false);
	virtq_dev_log_used(dev, ring, from);
}
