/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver's half of a virtqueue: offer buffers, take them back used. VIRTIO 1.2, 2.7 and 2.8.
 *
 * The device is as little trusted as a guest: what it may name in a used entry is only what is
 * outstanding, once, and no more bytes than were offered. Everything that the driver needs to
 * find its buffers again lies in its own memory, never in the ring.
 */
#ifndef VIRTQ_DRV_H
#define VIRTQ_DRV_H

#include "virtq.h"

/* Descriptors of one packet at most; longer ones are made linear first. */
#define VIRTQ_DRV_MAX_DESC 32

/* What is outstanding under a descriptor (split: head index) or buffer id (packed). */
struct virtq_drv_slot {
	void *cookie;		/* the owner's; NULL: not outstanding */
	uint32_t len;		/* writable bytes offered */
	uint16_t ndesc;		/* ring entries taken */
	uint16_t next;		/* free list, while not outstanding */
};

struct virtq_drv {
	struct virtq_vq vq;	/* cursors: avail_idx the next to offer, used_idx to take back */
	uint16_t free_head;	/* first free slot */
	uint16_t nfree;		/* ring entries not in use */
	struct virtq_drv_slot *slot; /* [size] */
	struct vring_desc *indirect; /* VIRTQ_DRV_MAX_DESC a slot; NULL without INDIRECT_DESC */
	uint64_t indirect_iova;
	uint8_t *header;	/* a virtio-net header a slot, 32 bytes apart, that the device reads */
	uint64_t header_iova;
};

/* Bytes that a ring needs in memory which the device can access, and where its parts lie. */
struct virtq_drv_layout {
	uint64_t avail, used, indirect, header; /* offsets from the ring's start, desc is at 0 */
	uint64_t bytes;		/* in all; the ring starts on a page */
};
void virtq_drv_layout(uint32_t size, bool packed, struct virtq_drv_layout *layout);

/*
 * Set up an empty ring in zeroed or used memory of virtq_drv_layout() bytes at `ring`, which the
 * device sees at `iova`. *run is freed with virtq_run_free(); run->callfd is the kick fd here,
 * run->doorbell (NULL: none) comes before it. -EINVAL, -ENOMEM.
 */
int virtq_drv_init(struct virtq_drv *drv, void *ring, uint64_t iova,
		   const struct virtq_run_config *cfg, struct virtq_run **run);
void virtq_drv_fini(struct virtq_drv *drv);
/* Take one outstanding buffer back from a ring that has stopped; NULL: none is left. */
void *virtq_drv_detach(struct virtq_drv *drv, uint16_t size);

#endif /* VIRTQ_DRV_H */
