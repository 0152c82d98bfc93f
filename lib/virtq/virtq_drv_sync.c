/* SPDX-License-Identifier: BSD-3-Clause */
#include "virtq_drv_sync.h"

#include <errno.h>

/* Until the head is published the device looks at none of the chain. */
static void
make_last_writable(struct virtq_drv *drv, const struct virtq_run *run, uint16_t head)
{
	uint16_t *flags;

	if (run->packed)
		flags = &run->pdesc[head + 1 == run->size ? 0 : head + 1].flags;
	else
		flags = &run->desc[drv->slot[head].next].flags;
	virtq_store16(flags, virtq_load16(flags) | VRING_DESC_F_WRITE);
}

int
virtq_drv_sync_send(struct virtq_drv *drv, const struct virtq_run *run,
		    const struct virtq_drv_seg *read, const struct virtq_drv_seg *write)
{
	const struct virtq_drv_seg seg[2] = {*read, *write};
	uint16_t head = run->packed ? drv->vq.avail_idx : virtq_drv_next_slot(drv);

	if (drv->vq.broken != VIRTQ_OK)
		return -EIO;
	if (drv->nfree != run->size)
		return -EBUSY;
	virtq_drv_add(drv, run, drv, seg, 2, 0, run->packed);
	make_last_writable(drv, run, head);
	virtq_drv_publish(drv, run, run->packed);
	virtq_drv_kick(drv, run, run->packed);
	return 0;
}

int
virtq_drv_sync_done(struct virtq_drv *drv, const struct virtq_run *run)
{
	const struct vring_used_elem *elem;
	uint64_t meta;
	uint32_t id;

	if (drv->vq.broken != VIRTQ_OK)
		return -EIO;
	if (run->packed) {
		if (!virtq_drv_used_packed(&run->pdesc[drv->vq.used_idx], drv->vq.used_wrap, &meta))
			return 0;
		id = (uint16_t)(meta >> 32);
	} else {
		if (virtq_drv_used_split(drv, run) == 0)
			return drv->vq.broken != VIRTQ_OK ? -EIO : 0;
		elem = &run->used->ring[drv->vq.used_idx & run->mask];
		id = virtq_load32(&elem->id);
	}
	if (!virtq_drv_outstanding(drv, run, id)) {
		virtq_drv_break(drv, VIRTQ_E_USED_ID);
		return -EIO;
	}
	virtq_drv_free_slot(drv, run, (uint16_t)id, run->packed);
	return 1;
}
