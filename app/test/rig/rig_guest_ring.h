/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests: a guest's ring with buffers that are told apart, and a device's round on it. */
#ifndef RIG_GUEST_RING_H
#define RIG_GUEST_RING_H

#include "rig_guest.h"
#include "virtq_dev.h"

#define BUF 64 /* bytes of a piece of a buffer */

struct guest_ring {
	struct guest g;
	struct rd r;
	struct dev d;
	uint64_t data;	/* buffers of BUF bytes, one for each entry and more */
	struct rd_done *done;
};

void guest_ring_open_at(struct guest_ring *t, uint16_t size, uint64_t features, uint16_t idx,
			bool wrap);
void guest_ring_open(struct guest_ring *t, uint16_t size, uint64_t features);
void guest_ring_close(struct guest_ring *t);
/* What a device does in a burst; `written` bytes go into each chain's used entry. */
uint16_t guest_ring_fetch(struct guest_ring *t, struct virtq_chain *c, uint16_t n, bool write);
uint16_t guest_ring_round(struct guest_ring *t, uint16_t n, bool write, uint32_t written);
struct rd_sg guest_ring_piece(const struct guest_ring *t, uint32_t i, uint32_t len);
/* One chain of one piece. */
void guest_ring_offer(struct guest_ring *t, bool write, uint64_t cookie);
/* All that is due came back, once, in order, with the right length. */
void guest_ring_expect_back(struct guest_ring *t, uint32_t n, uint64_t first, uint32_t written);

#endif /* RIG_GUEST_RING_H */
