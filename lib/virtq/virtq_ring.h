/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtqueue as a burst sees it.
 *
 *   struct virtq_ring     what the control thread decided: addresses, layout, features. Immutable.
 *   struct virtq_cursor   where one side stands: indexes, wrap counters. First part of the state
 *                         of the device's side (virtq_dev.h) and of the driver's (virtq_drv.h).
 */
#ifndef VIRTQ_RING_H
#define VIRTQ_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "virtq_compat.h"
#include "virtq_iotlb_view.h"
#include "virtq_log.h"
#include "virtq_mem.h"

#define VIRTQ_MAX_SIZE 32768	/* entries, VIRTIO 1.2 section 2.7 */
#define VIRTQ_BIT(b) (1ULL << (b))
#define VIRTQ_RING_IOVA VIRTQ_BIT(63)

/* Why a ring was declared broken: the peer broke a rule that leaves nothing to go on with. */
enum virtq_error {
	VIRTQ_OK = 0,
	VIRTQ_E_AVAIL_JUMP,	/* split: avail idx ran more than a ring ahead */
	VIRTQ_E_BAD_HEAD,	/* a head or next index outside the table */
	VIRTQ_E_CHAIN_LOOP,	/* a chain longer than the ring, or one that does not end */
	VIRTQ_E_INDIRECT,	/* indirect without the feature, nested, with NEXT, bad length */
	VIRTQ_E_INDIRECT_UNMAPPED, /* indirect table outside the shared memory */
	VIRTQ_E_DIRECTION,	/* writable where readable is due, or the reverse */
	VIRTQ_E_USED_JUMP,	/* driver side: more used than was offered */
	VIRTQ_E_USED_ID,	/* driver side: a used id that is not outstanding */
	VIRTQ_E_MAX
};

/* A short name, for counters and messages ("avail_jump", "bad_head", ...). Never NULL. */
const char *virtq_ring_error_name(enum virtq_error e);

/*
 * One running ring. Made and freed by the control thread; bursts only read it. Every pointer is an
 * address in this process that the memory snapshot `mem` keeps valid.
 */
struct virtq_ring {
	union {
		struct vring_desc *desc;		/* split descriptor table */
		struct vring_packed_desc *pdesc;	/* packed descriptor ring */
	};
	union {
		struct vring_avail *avail;			/* split */
		struct vring_packed_desc_event *driver_event;	/* packed: driver area */
	};
	union {
		struct vring_used *used;			/* split */
		struct vring_packed_desc_event *device_event;	/* packed: device area */
	};
	uint16_t size;		/* entries, 1..32768; a power of two when split */
	uint16_t mask;		/* split: size - 1 */
	bool packed;
	bool enabled;		/* SET_VRING_ENABLE; a ring can run while disabled */
	uint64_t features;	/* negotiated, device-type bits included */
	struct virtq_mem *mem;	/* one reference held */
	int callfd;		/* eventfd to call the driver with, -1: it polls. Not owned: whoever
				 * replaces it quiesces first, closes then */
	int errfd;		/* eventfd that tells the peer its ring broke, or -1. Not owned */
	uint16_t qid;		/* index of the vring in the device: 2i receives, 2i + 1 transmits
				 * (as the guest sees it) */
	uint16_t hdr_len;	/* bytes before the data of each packet, as its owner says */
	int wakefd;		/* eventfd that the other side notifies this one with, -1: none. Not
				 * owned; the bursts, which poll, make no use of it */
	void *notifier;		/* driver side: the device's notification area, or NULL */
	/*
	 * Never the same twice in a process: caches check it. VIRTQ_RING_IOVA is set in that of a
	 * ring whose addresses are I/O virtual ones.
	 */
	uint64_t generation;
	struct virtq_iotlb_view *view; /* device side: what translates them, owned; or NULL. The one
					* part that the burst which holds the ring changes */
	/*
	 * Device side: the dirty log, one reference held, or NULL. Pages that are written through
	 * descriptors are marked, with log_used also those of the ring: split, the used ring as if
	 * it lay at log_gpa; packed, entries where they lie (desc_gpa), and as if the first were at
	 * log_gpa, as DPDK has it.
	 */
	struct virtq_log *log;
	bool log_used;
	uint64_t log_gpa, desc_gpa;
};

/* What the control thread asked for, before anything is checked. */
struct virtq_ring_config {
	uint32_t size;
	uint64_t features;
	uint64_t desc_uva, avail_uva, used_uva; /* front-end user addresses (SET_VRING_ADDR); with
						 * an IOTLB they are I/O virtual ones */
	struct virtq_iotlb *iotlb; /* or NULL: addresses in the ring are guest-physical */
	int missfd;		/* with an IOTLB: eventfd that tells of missed pages. Not owned */
	bool enabled;
	int callfd, errfd, wakefd;
	uint16_t qid;
	uint16_t hdr_len;	/* bytes, for struct virtq_ring; 0: none */
	struct virtq_log *log;	/* as in struct virtq_ring, which gets a reference of its own */
	bool log_used;
	uint64_t log_gpa;
};

/* One of the three parts of a ring: for descriptors, the driver's and the device's. */
struct virtq_ring_part {
	uint64_t addr, bytes, align;
	bool written;		/* by the device */
};

/* Sizes and alignments by VIRTIO 1.2, 2.7 and 2.8. Nothing is checked. */
void virtq_ring_parts(const struct virtq_ring_config *cfg, struct virtq_ring_part part[3]);

/*
 * Check and translate a ring. Takes its own reference of `mem`.
 * -EINVAL: size, alignment, parts that overlap. -EFAULT: a part is not wholly inside one region,
 * or with an IOTLB not known in one piece. -ENOMEM. On success *ring is to be freed with
 * virtq_ring_free() after no burst uses it.
 */
int virtq_ring_new(const struct virtq_ring_config *cfg, struct virtq_mem *mem,
		   struct virtq_ring **ring);
/* The same ring with another notifier. NULL: out of memory. To be freed as any other. */
struct virtq_ring *virtq_ring_with_notifier(const struct virtq_ring *ring, void *notifier);
/* NULL is allowed. */
void virtq_ring_free(struct virtq_ring *ring);

/*
 * Where one side stands on a ring: what both sides and their owners need. First member of the
 * side's own state, which finds itself by it. Changed by the burst that holds the ring.
 */
struct virtq_cursor {
	uint16_t avail_idx; /* device: next to fetch; driver: next to offer. Split: free-running;
				 * packed: index of the entry */
	uint16_t used_idx; /* device: next to complete; driver: next to take back; same units */
	bool avail_wrap;	/* packed: wrap counters, 1 at the start */
	bool used_wrap;
	uint8_t broken;		/* enum virtq_error; bursts write, the control thread reads */
	void *owner;		/* what the ring's owner keeps with it, NULL at first. Only the
				 * control thread changes it, while no burst holds the ring */
};

_Static_assert(sizeof(struct virtq_cursor) == 16, "a quarter of a cache line");

/* To the start of a fresh ring: indexes 0, wraps 1, not broken. The owner's stays. */
void virtq_ring_cursor_reset(struct virtq_cursor *cursor);

/* How the entries from `pos` to `next` are written. */
enum virtq_saved_kind {
	VIRTQ_SAVED_FIRST = 1,	/* the first one alone, or before all others */
	VIRTQ_SAVED_LAST,	/* each chain has one entry, and the first is written last */
};

/*
 * Where the device of a packed ring stands, kept outside of the process, in whole cache lines. The
 * entries of a push are written in an order that leaves no doubt at any moment which chains were
 * returned, for a process can be killed between any two instructions. All zero: nothing is known.
 */
struct virtq_saved {
	uint32_t pos;		/* all before were returned: index, wrap << 15, VIRTQ_SAVED_VALID */
	uint32_t next;		/* so will be all before this one, once the first is written */
	uint64_t head;		/* what is written to the first entry: its length, id and flags */
	uint32_t size;		/* entries of the ring */
	uint32_t kind;		/* enum virtq_saved_kind */
	uint32_t pad[10];
} __attribute__((aligned(VIRTQ_CACHE_LINE)));

#define VIRTQ_SAVED_VALID (1u << 31)

/* The base (SET_VRING_BASE) of a ring that was never used. See virtq_dev_set_base(). */
static inline uint32_t
virtq_fresh_base(bool packed)
{
	return packed ? 0x80008000u : 0;
}

#endif /* VIRTQ_RING_H */
