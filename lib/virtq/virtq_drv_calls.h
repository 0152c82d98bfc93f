/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whether a driver wants to be called. One that polls does not, and so its rings start. By whoever
 * bursts on the ring, or while nobody does. VIRTIO 1.2, 2.7.7 and 2.8.10.
 */
#ifndef VIRTQ_DRV_CALLS_H
#define VIRTQ_DRV_CALLS_H

#include "virtq_drv.h"

/*
 * Ask for a call with the next buffer that is used. False: there is one already, or the device has
 * no buffer that it could use, and a call may not come. One is due with the first buffer only; to
 * be asked for anew after it.
 */
bool virtq_drv_calls_on(const struct virtq_drv *drv, const struct virtq_ring *ring);
/* No more, from about now on. */
void virtq_drv_calls_off(const struct virtq_drv *drv, const struct virtq_ring *ring);

#endif /* VIRTQ_DRV_CALLS_H */
