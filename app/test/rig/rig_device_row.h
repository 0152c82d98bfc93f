/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For tests: a driver that receives, and a device that holds all of its buffers, fills them with
 * frames of known seeds and gives them back in any order.
 */
#ifndef RIG_DEVICE_ROW_H
#define RIG_DEVICE_ROW_H

#include "rig_device_link.h"

#define ROW_MOST RDEV_HELD	/* entries of the largest ring */
#define ROW_ROOM 2048		/* bytes of packet that an mbuf of small_pool takes */

struct row {
	struct link l;
	struct rdev_held held;
	uint32_t seed;		/* of the next packet */
};

/* Hash and kind of report that the packet of a seed has where its header has room for them. */
uint32_t row_hash(uint32_t seed);
uint16_t row_report(uint32_t seed);
/* A header that says nothing but these. */
struct virtio_net_hdr_v1_hash row_header(uint32_t seed);
/* The driver has offered buffers, and the device has fetched them. */
void row_open(struct row *r, uint16_t size, uint64_t features, struct rte_mempool *pool);
/*
 * The device puts the next frame, of `bytes`, into its k-th buffer. NULL: a header as row_header()
 * says. Returns where the frame is.
 */
uint8_t *row_fill(struct row *r, uint16_t k, const struct virtio_net_hdr_v1_hash *hdr,
		  uint32_t bytes);
/* And gives it back, saying that the packet has `len`. */
uint8_t *row_use(struct row *r, uint16_t k, const struct virtio_net_hdr_v1_hash *hdr,
		 uint32_t bytes, uint32_t len);
/* One frame in n buffers, len[i] bytes of it in each; returns how many in all. */
uint32_t row_use_many(struct row *r, const uint32_t *len, uint16_t n);
/* All that is there, in as many bursts as it takes; there are no more than `most`. */
uint16_t row_receive(struct row *r, struct rte_mbuf **got, uint16_t most);
/* What an application sees of the frame of a seed, as long as its header says nothing. */
void row_expect(const struct row *r, const struct rte_mbuf *m, uint32_t len, uint16_t segs,
		uint32_t seed);
/* The next burst of one packet has that one; it is freed. */
void row_expect_next(struct row *r, uint32_t len, uint16_t segs, uint32_t seed);

#endif /* RIG_DEVICE_ROW_H */
