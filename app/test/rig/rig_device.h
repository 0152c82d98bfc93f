/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For tests: the device's half of both ring layouts, written from the specification (VIRTIO 1.2,
 * 2.7 and 2.8). It shares no code with what it tests and says what a driver did wrong. It can
 * lie as well: rdev_lie() writes any used entry.
 */
#ifndef RIG_DEVICE_H
#define RIG_DEVICE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "virtq_ring.h"

#define RDEV_PIECES 64

/* A chain that the driver made available. */
struct rdev_chain {
	uint16_t id, slots;
	uint32_t n;		/* pieces */
	uint32_t total;
	uint32_t nread;		/* pieces to read; of a command the others follow them */
	bool write;		/* the last piece is to be written */
	bool indirect;
	bool command;		/* pieces to read, then such to write, are in order */
	struct {
		uint64_t addr;
		uint32_t len;
	} sg[RDEV_PIECES];
};

struct rdev {
	const struct virtq_ring *ring;
	uint64_t ring_offset;	/* iova less address in this process, of the rings' own memory */
	uint16_t avail_idx, used_idx; /* split: free-running; packed: slots */
	bool avail_wrap, used_wrap;
	bool commands;		/* a control queue: chains are read and written */
};

void rdev_init(struct rdev *d, const struct virtq_ring *ring, uint64_t ring_offset);
/* The next chain that is available, if there is one. */
bool rdev_fetch(struct rdev *d, struct rdev_chain *c);
/* One used entry that names `id`, and the ring moves on over so many chains or slots. */
void rdev_lie(struct rdev *d, uint32_t id, uint32_t len, uint16_t chains, uint16_t slots);
void rdev_use(struct rdev *d, const struct rdev_chain *c, uint32_t len);

#define RDEV_HELD 256

/* Chains that a device has and has not used, oldest first; see rdev_held_at(). */
struct rdev_held {
	uint16_t n;
	uint16_t at[RDEV_HELD];	/* from n on: those that are free */
	struct rdev_chain chain[RDEV_HELD];
};

void rdev_held_init(struct rdev_held *h);
/* Fetch one more. */
bool rdev_held_fetch(struct rdev_held *h, struct rdev *d);
/* Fetch all there are. */
void rdev_held_fetch_all(struct rdev_held *h, struct rdev *d);
/* The k-th, k < n. */
const struct rdev_chain *rdev_held_at(const struct rdev_held *h, uint16_t k);
/* The k-th is no longer held; what is returned stays until the next is fetched. */
const struct rdev_chain *rdev_held_remove(struct rdev_held *h, uint16_t k);
/* The one that was removed last. */
const struct rdev_chain *rdev_held_last(const struct rdev_held *h);
/* One entry for the n oldest (IN_ORDER). */
void rdev_held_use_batch(struct rdev_held *h, struct rdev *d, uint16_t n, uint32_t len);

#endif /* RIG_DEVICE_H */
