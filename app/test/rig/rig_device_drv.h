/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For tests: a driver of ours and a device on one ring. What is offered is told apart by a cookie,
 * and the rig keeps account of what is outstanding.
 */
#ifndef RIG_DEVICE_DRV_H
#define RIG_DEVICE_DRV_H

#include "rig_device.h"
#include "rig_guest.h"
#include "virtq_drv.h"

#define RING_OFFSET 0x1000000000ul /* iova of the ring's memory less its address here */
#define OTHER 0xa5 /* what the memory held before */

struct drv_ring {
	struct virtq_drv *drv;
	struct virtq_ring *ring;
	struct rdev dev;
	uint8_t *mem;
	int kickfd;
	uint16_t size;
	bool packed;
	uint8_t *with_device;	/* [size * 2] by cookie number modulo that: it is outstanding */
	uint32_t outstanding;	/* cookies */
	uint64_t added;		/* cookies in all */
};

void drv_ring_open(struct drv_ring *t, uint16_t size, uint64_t features);
void drv_ring_close(struct drv_ring *t);
/* Piece i of chain number `cookie`, so that each is told from all others. */
struct virtq_drv_seg drv_ring_piece(uint64_t cookie, uint32_t i);
uint64_t drv_ring_add(struct drv_ring *t, uint16_t n, bool write);
void drv_ring_publish(struct drv_ring *t);
void drv_ring_came_back(struct drv_ring *t, uint64_t cookie);
/* The next used entry as it stands there; false: there is none. */
bool drv_ring_next_used(struct drv_ring *t, uint32_t *id, uint32_t *len);
/* Take the next used buffer; 0: there is none. */
uint64_t drv_ring_take(struct drv_ring *t, uint32_t *len);

#endif /* RIG_DEVICE_DRV_H */
