/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests: both sides of a ring are ours, over one memory. */
#ifndef RIG_LOOP_H
#define RIG_LOOP_H

#include "rig_guest.h"
#include "virtq_dev.h"
#include "virtq_drv.h"

#define LOOP_IOVA 0x100000000ul /* of the memory */

struct rig_loop {
	bool packed;
	uint8_t *mem;		/* the ring, then `room` bytes from l.bytes on */
	struct virtq_drv_layout l;
	struct virtq_mem *shared;
	struct virtq_drv *drv;
	struct virtq_dev *dev;
	struct virtq_ring *drv_ring, *dev_ring;
};

/* The driver notifies kickfd and the device callfd, which stay the caller's. */
void rig_loop_open(struct rig_loop *s, uint16_t size, uint64_t features, uint32_t room,
		    int kickfd, int callfd);
void rig_loop_close(struct rig_loop *s);

#endif /* RIG_LOOP_H */
