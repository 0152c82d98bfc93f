/* SPDX-License-Identifier: BSD-3-Clause */
#include "virtq_drv_sync.h"

#include <errno.h>

/* Until the head is published the device looks at none of the chain. */
static void
make_last_writable(struct virtq_drv *drv, const struct virtq_ring *ring, uint16_t head)
{
	uint16_t *flags;

	if (ring->packed)
		flags = &ring->pdesc[head + 1 == ring->size ? 0 : head + 1].flags;
	else
		flags = &ring->desc[drv->state[head].next].flags;
	virtq_store16(flags, virtq_load16(flags) | VRING_DESC_F_WRITE);
}

int
virtq_drv_sync_send(struct virtq_drv *drv, const struct virtq_ring *ring,
		    const struct virtq_drv_seg *read, const struct virtq_drv_seg *write)
{
	const struct virtq_drv_seg seg[2] = {*read, *write};
	uint16_t head = ring->packed ? drv->cursor.avail_idx : virtq_drv_next_id(drv);

	if (drv->cursor.broken != VIRTQ_OK)
		return -EIO;
	if (drv->num_free != ring->size)
		return -EBUSY;
	virtq_drv_add(drv, ring, drv, seg, 2, 0, ring->packed);
	make_last_writable(drv, ring, head);
	virtq_drv_publish(drv, ring, ring->packed);
	virtq_drv_kick(drv, ring, ring->packed);
	return 0;
}

int
virtq_drv_sync_done(struct virtq_drv *drv, const struct virtq_ring *ring)
{
	const struct vring_used_elem *elem;
	uint64_t meta;
	uint32_t id;

	if (drv->cursor.broken != VIRTQ_OK)
		return -EIO;
	if (ring->packed) {
		if (!virtq_drv_used_packed(&ring->pdesc[drv->cursor.used_idx],
					   drv->cursor.used_wrap,
					   &meta))
			return 0;
		virtq_drv_dma_rmb(ring);
		id = (uint16_t)(meta >> 32);
	} else {
		if (virtq_drv_used_split(drv, ring) == 0)
			return drv->cursor.broken != VIRTQ_OK ? -EIO : 0;
		elem = &ring->used->ring[drv->cursor.used_idx & ring->mask];
		id = virtq_load32(&elem->id);
	}
	if (!virtq_drv_outstanding(drv, ring, id)) {
		virtq_drv_break(drv, VIRTQ_E_USED_ID);
		return -EIO;
	}
	virtq_drv_pop_used(drv, ring, (uint16_t)id, ring->packed);
	return 1;
}
