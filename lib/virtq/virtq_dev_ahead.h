/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What lies ahead in a ring with I/O virtual addresses: buffers that the driver has made available
 * and no burst has come to. The control thread reads them, so that they are translated before they
 * are needed. What it reads may change meanwhile, and counts for nothing else.
 */
#ifndef VIRTQ_DEV_AHEAD_H
#define VIRTQ_DEV_AHEAD_H

#include "virtq_ring.h"

/*
 * An address in a page of a buffer (or table of descriptors) of the chain at `pos`, as
 * VIRTQ_IOTLB_POS() has it. False: that is enough.
 */
typedef bool (*virtq_dev_ahead_fn)(void *ctx, uint64_t iova, bool write, uint32_t pos);

/* Call fn for the pages that chains of a ring with a view lie in; split: in their order. */
void virtq_dev_ahead(const struct virtq_ring *ring, virtq_dev_ahead_fn fn, void *ctx);

#endif /* VIRTQ_DEV_AHEAD_H */
