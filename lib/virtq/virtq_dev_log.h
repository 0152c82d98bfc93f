/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the device writes to guest memory, marked in the dirty log of the ring: data before their
 * used entries are seen, what is written to the ring after it. For rings with a log.
 */
#ifndef VIRTQ_DEV_LOG_H
#define VIRTQ_DEV_LOG_H

#include "virtq_dev.h"

/* Mark what was written into the first n chains of a round, before they are pushed back. */
void virtq_dev_log_written(struct virtq_dev *dev, const struct virtq_ring *ring,
			   const struct virtq_chain *c, uint16_t n);
/* Mark what was written to the ring from `from` to where it stands now. */
void virtq_dev_log_used(const struct virtq_dev *dev, const struct virtq_ring *ring,
			struct virtq_pos from);
/* A ring starts, and chains may have been returned for that, which ones nobody knows. */
void virtq_dev_log_returned(const struct virtq_ring *ring);
/* Mark what tells the driver whether to kick. */
void virtq_dev_log_events(const struct virtq_ring *ring);
/* virtq_dev_complete(), with marks for all that was written. */
void virtq_dev_log_complete(struct virtq_dev *dev, const struct virtq_ring *ring,
			    const struct virtq_chain *c, uint16_t n, bool write);

#endif /* VIRTQ_DEV_LOG_H */
