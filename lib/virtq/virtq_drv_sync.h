/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands on a virtqueue, one at a time: what a control queue needs. A command is what the device
 * reads, followed by what it writes.
 */
#ifndef VIRTQ_DRV_SYNC_H
#define VIRTQ_DRV_SYNC_H

#include "virtq_drv.h"

/*
 * Offer a command and kick the device. The ring comes from virtq_drv_init() and has two entries
 * at least. -EBUSY: the one before is not done. -EIO: the ring is broken.
 */
int virtq_drv_sync_send(struct virtq_drv *drv, const struct virtq_ring *ring,
			const struct virtq_drv_seg *read, const struct virtq_drv_seg *write);
/* 1: the command is done; 0: not yet; -EIO: the device broke a rule, the ring has stopped. */
int virtq_drv_sync_done(struct virtq_drv *drv, const struct virtq_ring *ring);

#endif /* VIRTQ_DRV_SYNC_H */
