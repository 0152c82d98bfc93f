/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For tests: a driver that receives, and a device that holds all of its buffers, fills them with
 * frames of known seeds and gives them back in any order.
 */
#ifndef RIG_DEVICE_FEED_H
#define RIG_DEVICE_FEED_H

#include "rig_device_link.h"

#define FEED_MOST RDEV_HELD	/* entries of the largest ring */
#define FEED_ROOM 2048		/* bytes of packet that an mbuf of small_pool takes */

struct feed {
	struct link l;
	struct rdev_held held;
	uint32_t seed;		/* of the next packet */
};

/* Hash and kind of report that the packet of a seed has where its header has room for them. */
uint32_t feed_hash(uint32_t seed);
uint16_t feed_report(uint32_t seed);
/* A header that says nothing but these. */
struct virtio_net_hdr_v1_hash feed_header(uint32_t seed);
/* The driver has offered buffers, and the device has fetched them. */
void feed_open(struct feed *r, uint16_t size, uint64_t features, struct rte_mempool *pool);
/*
 * The device puts the next frame, of `bytes`, into its k-th buffer. NULL: a header as feed_header()
 * says. Returns where the frame is.
 */
uint8_t *feed_fill(struct feed *r, uint16_t k, const struct virtio_net_hdr_v1_hash *hdr,
		   uint32_t bytes);
/* And gives it back, saying that the packet has `len`. */
uint8_t *feed_use(struct feed *r, uint16_t k, const struct virtio_net_hdr_v1_hash *hdr,
		  uint32_t bytes, uint32_t len);
/* One frame in n buffers, len[i] bytes of it in each; returns how many in all. */
uint32_t feed_use_many(struct feed *r, const uint32_t *len, uint16_t n);
/* All that is there, in as many bursts as it takes; there are no more than `most`. */
uint16_t feed_receive(struct feed *r, struct rte_mbuf **got, uint16_t most);
/* What an application sees of the frame of a seed, as long as its header says nothing. */
void feed_expect(const struct feed *r, const struct rte_mbuf *m, uint32_t len, uint16_t segs,
		 uint32_t seed);
/* The next burst of one packet has that one; it is freed. */
void feed_expect_next(struct feed *r, uint32_t len, uint16_t segs, uint32_t seed);

#endif /* RIG_DEVICE_FEED_H */
