/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the device of a packed ring stands, in memory that outlives the process: nothing else tells
 * it to a successor in all cases, see virtq_place.h.
 */
#ifndef VIRTQ_SAVED_H
#define VIRTQ_SAVED_H

#include "virtq_dev.h"

/* What an entry of a packed ring is, for a device that has come to it in this lap. */
enum virtq_saved_state { VIRTQ_SAVED_AVAILABLE, VIRTQ_SAVED_RETURNED, VIRTQ_SAVED_OTHER };

enum virtq_saved_state virtq_saved_state(const struct virtq_ring *ring, struct virtq_pos p);
/* A packed ring starts where the device stands, which is kept here until virtq_dev_reset(). */
void virtq_saved_begin(struct virtq_saved *saved, struct virtq_dev *dev,
		       const struct virtq_ring *ring);
/* Nothing is known any more. */
void virtq_saved_forget(struct virtq_saved *saved);
/*
 * What a process has left behind, which may be anything. True: *base, in the encoding of
 * virtq_dev_set_base(), is where the ring goes on, and what was half returned is returned now: the
 * driver has to be called. False: this cannot be of this ring, and nothing has changed.
 */
bool virtq_saved_place(const struct virtq_saved *saved, const struct virtq_ring *ring,
		       uint32_t *base);

#endif /* VIRTQ_SAVED_H */
