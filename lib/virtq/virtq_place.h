/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the device of a packed ring stands, as far as the flags of its entries tell.
 *
 * A front-end whose back-end was killed gives it the position that the ring had at its start, for
 * unlike a split ring a packed one has no index in memory. But each entry has the wrap counter of
 * the lap in which it was written last, by the driver (available) or the device (used). VIRTIO 1.2,
 * 2.8.1.
 */
#ifndef VIRTQ_PLACE_H
#define VIRTQ_PLACE_H

#include <stdbool.h>
#include <stdint.h>

#include "virtq_ring.h"

/*
 * *base, in the encoding of virtq_dev_set_base(), becomes the only position at which the device can
 * stand, if it cannot stand at *base. Left as it is: it can; several are possible, or none; the
 * ring is used in order, where used entries are left out; it has more than 1024 entries. True where
 * it was changed. The driver may go on adding entries meanwhile.
 */
bool virtq_place_packed(const struct virtq_ring *ring, uint32_t *base);

#endif /* VIRTQ_PLACE_H */
