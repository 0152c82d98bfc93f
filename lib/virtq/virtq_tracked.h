/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * In-flight tracking: memory that outlives the device and says which chains it has taken and not
 * returned, so that a successor returns each of them once. A device that returns chains in the
 * order of the ring has none between two rounds; with zero-copy it has some. vhost-user, "Inflight
 * I/O tracking", which lays the memory out for back-ends of any origin.
 *
 * The front-end can write to it at any time. What is in there counts only when a ring starts, and
 * no index that was read from it is used by a running device.
 */
#ifndef VIRTQ_TRACKED_H
#define VIRTQ_TRACKED_H

#include "virtq_shared.h"

/* Of a chain, at the index of its head. */
struct virtq_inflight_split_entry {
	uint8_t inflight;	/* taken, and not returned */
	uint8_t pad[5];
	uint16_t next;		/* in the list of those that were returned together */
	uint64_t counter;	/* ascending in the order of taking */
};

struct virtq_inflight_split {
	uint64_t features;	/* 0 */
	uint16_t version;	/* 0: nothing is known */
	uint16_t size;		/* entries of the ring */
	uint16_t last_batch;	/* list of those that were returned last */
	uint16_t used_idx;	/* as in the used ring, but for those */
	struct virtq_inflight_split_entry entry[];
};

/* Of a descriptor of a chain, at any index; what is "of the chain" counts in the first one. */
struct virtq_inflight_packed_entry {
	uint8_t inflight;	/* of the chain */
	uint8_t pad;
	uint16_t next;		/* in the chain, or in the list of free entries */
	uint16_t last;		/* of the chain */
	uint16_t num;		/* of the chain: entries of the ring */
	uint64_t counter;	/* of the chain: ascending in the order of taking */
	uint16_t id;
	uint16_t flags;
	uint32_t len;
	uint64_t addr;
};

struct virtq_inflight_packed {
	uint64_t features;	/* 0 */
	uint16_t version;	/* 0: nothing is known */
	uint16_t size;		/* entries of the ring */
	uint16_t free_head, old_free_head;
	/* Where the device returns, and did before that: eight bytes that are written at once. */
	uint16_t used_idx, old_used_idx;
	uint8_t used_wrap, old_used_wrap;
	uint8_t pad[10];
	struct virtq_inflight_packed_entry entry[];
};

_Static_assert(sizeof(struct virtq_inflight_split_entry) == 16, "as other back-ends have it");
_Static_assert(sizeof(struct virtq_inflight_split) == 16, "as other back-ends have it");
_Static_assert(sizeof(struct virtq_inflight_packed_entry) == 32, "as other back-ends have it");
_Static_assert(sizeof(struct virtq_inflight_packed) == 32, "as other back-ends have it");

/*
 * A process can be killed between any two stores, so each comes after all before it: those that
 * release keep the compiler's order as well.
 */

/* Split: the chain is going to be returned, together with those before it. */
static inline void
virtq_tracked_return(struct virtq_inflight_split *s, uint16_t head)
{
	virtq_store16_release(&s->entry[head].next, virtq_load16(&s->last_batch));
	virtq_store16_release(&s->last_batch, head);
}

/* It has been. */
static inline void
virtq_tracked_returned(struct virtq_inflight_split *s, uint16_t head)
{
	virtq_store8_release(&s->entry[head].inflight, 0);
}

/* The two places of a packed ring, and the padding behind them, as one word. */
static inline uint64_t
virtq_tracked_word(uint16_t idx, bool wrap, uint16_t old_idx, bool old_wrap)
{
	return idx | (uint64_t)old_idx << 16 | (uint64_t)wrap << 32 | (uint64_t)old_wrap << 40;
}

/* Packed: all before this place are going to be returned, beginning at the old one. */
static inline void
virtq_tracked_intend(struct virtq_inflight_packed *p, uint16_t idx, bool wrap, uint16_t old_idx,
		     bool old_wrap)
{
	virtq_store64_release(&p->used_idx, virtq_tracked_word(idx, wrap, old_idx, old_wrap));
}

/* They have been. */
static inline void
virtq_tracked_commit(struct virtq_inflight_packed *p, uint16_t idx, bool wrap)
{
	virtq_store16_release(&p->old_free_head, virtq_load16(&p->free_head));
	virtq_store64_release(&p->used_idx, virtq_tracked_word(idx, wrap, idx, wrap));
}

#endif /* VIRTQ_TRACKED_H */
