/* SPDX-License-Identifier: BSD-3-Clause */
/* In-flight tracking: a ring starts with what another device has left. See virtq_tracked.h. */
#ifndef VIRTQ_INFLIGHT_H
#define VIRTQ_INFLIGHT_H

#include "virtq_dev.h"
#include "virtq_tracked.h"

/* Bytes of the part of a ring of so many entries, a multiple of 64. Parts lie side by side. */
uint64_t virtq_inflight_bytes(uint32_t size, bool packed);

/*
 * A ring is about to start, and `part` (aligned to 8 bytes) is what a former device has left, which
 * may be anything. True: chains that it had taken are returned now, unused and in the order in
 * which they were taken; *returned says how many, for the driver has to be called; the ring goes on
 * at *base, in the encoding of virtq_dev_set_base(). False: this cannot be of this ring, and the
 * ring has not changed.
 */
bool virtq_inflight_place(void *part, const struct virtq_ring *ring, uint32_t *base,
			  uint32_t *returned);
/*
 * The ring starts where the device stands, and nothing is in flight. From now on the device keeps
 * `part` up to date, until virtq_dev_reset(). No burst holds the ring.
 */
void virtq_inflight_begin(void *part, struct virtq_dev *dev, const struct virtq_ring *ring);

#endif /* VIRTQ_INFLIGHT_H */
