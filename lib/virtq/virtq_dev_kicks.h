/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whether a device wants to be kicked. One that polls does not, and so its rings start. By whoever
 * bursts on the ring, or while nobody does. VIRTIO 1.2, 2.7.10 and 2.8.10.
 */
#ifndef VIRTQ_DEV_KICKS_H
#define VIRTQ_DEV_KICKS_H

#include "virtq_dev.h"

/*
 * Ask for a kick with the next chain. False: there is one already, and a kick may not come. One is
 * due with the first chain only; to be asked for anew after it.
 */
bool virtq_dev_kicks_on(const struct virtq_dev *dev, const struct virtq_ring *ring);
/* No more, from about now on. */
void virtq_dev_kicks_off(const struct virtq_dev *dev, const struct virtq_ring *ring);

#endif /* VIRTQ_DEV_KICKS_H */
