/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtqueue as a burst sees it.
 *
 *   struct virtq_run   what the control thread decided: addresses, layout, features. Immutable.
 *   struct virtq_vq    where the data path stands: cursors. Owned by the burst that holds the ring.
 */
#ifndef VIRTQ_RING_H
#define VIRTQ_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "virtq_compat.h"
#include "virtq_mem.h"

#define VIRTQ_MAX_SIZE 32768	/* entries, VIRTIO 1.2 section 2.7 */
#define VIRTQ_BIT(b) (1ULL << (b))
#define VIRTQ_HDR_HASH 20	/* bytes of a header with a hash, VIRTIO 1.2 section 5.1.6 */

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
const char *virtq_error_name(enum virtq_error e);

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
	uint64_t features;	/* negotiated VIRTIO_F_, VIRTIO_NET_F_ bits */
	struct virtq_mem *mem;	/* one reference held */
	int callfd;		/* eventfd to call the driver with, -1: it polls. Not owned: whoever
				 * replaces it quiesces first, closes then */
	int errfd;		/* eventfd that tells the peer its ring broke, or -1. Not owned */
	uint16_t qid;		/* index of the vring in the device: 2i receives, 2i + 1 transmits
				 * (as the guest sees it) */
	uint16_t hdr_len;	/* virtio-net header: 12, or 10 without VERSION_1 and MRG_RXBUF;
				 * driver side: VIRTQ_HDR_HASH with HASH_REPORT */
	void *notifier;		/* driver side: the device's notification area, or NULL */
	uint64_t generation;	/* never the same twice in a process: caches check it */
};

/* What the control thread asked for, before anything is checked. */
struct virtq_ring_config {
	uint32_t size;
	uint64_t features;
	uint64_t desc_uva, avail_uva, used_uva; /* front-end user addresses (SET_VRING_ADDR) */
	bool enabled;
	int callfd, errfd;
	uint16_t qid;
};

/*
 * Check and translate a ring. Takes its own reference of `mem`.
 * -EINVAL: size, alignment, parts that overlap. -EFAULT: a part is not wholly inside one region.
 * -ENOMEM. On success *run is to be freed with virtq_run_free() after no burst uses it.
 */
int virtq_ring_new(const struct virtq_ring_config *cfg, struct virtq_mem *mem,
		   struct virtq_ring **ring);
/* The same ring with another notifier. NULL: out of memory. To be freed as any other. */
struct virtq_ring *virtq_ring_with_notifier(const struct virtq_ring *ring, void *notifier);
/* NULL is allowed. */
void virtq_ring_free(struct virtq_ring *ring);

/* One contiguous piece of a guest buffer, in this process. */
struct virtq_seg {
	uint8_t *addr;
	uint32_t len;
};

/*
 * One descriptor chain, copied out of the ring, checked and translated. What the peer does to
 * the ring afterwards changes nothing here.
 */
struct virtq_chain {
	uint8_t *addr;		/* first segment */
	uint32_t len;		/* bytes of the first segment */
	uint32_t total;		/* bytes of all segments, 2^32 - 1 at most */
	uint16_t id;		/* split: head; packed: buffer id. Echoed, never an index */
	uint16_t slots;		/* entries of the ring (split: of the table) the chain takes */
	uint16_t nseg;		/* 1: addr and len say it all; else vq->segs[seg], ... */
	uint16_t seg;
	uint32_t written;	/* bytes the device wrote, for the used entry */
	uint8_t fault;		/* enum virtq_fault: complete it, but do not touch its data */
};

/* Why a chain cannot be used although its ring goes on. */
enum virtq_fault {
	VIRTQ_FAULT_NONE = 0,
	VIRTQ_FAULT_UNMAPPED,	/* a buffer is not wholly in the shared memory */
	VIRTQ_FAULT_TOO_LONG,	/* more segments or bytes than anything sensible has */
};

/* The last region that a translation of this ring hit. */
struct virtq_tlb {
	uint64_t gpa, size;	/* size 0: empty */
	uint8_t *host;
};

/* Segments that the chains of one burst can have together. */
#define VIRTQ_MAX_SEGS 1024
/* Chains that one mergeable packet can fill. */
#define VIRTQ_MAX_CHAINS 512

/* Where the data path stands on one ring. Reset with virtq_vq_reset() while no burst holds it. */
struct virtq_vq {
	uint16_t avail_idx;	/* next to fetch. Split: free-running; packed: slot */
	uint16_t used_idx;	/* next to complete, same units */
	uint16_t avail_seen;	/* split: avail->idx when it was last read */
	uint16_t next_head;	/* split: the head that comes next if heads are in sequence */
	bool sequential;	/* split: they were, last time */
	bool avail_wrap;	/* packed: wrap counters, 1 at the start */
	bool used_wrap;
	uint8_t broken;		/* enum virtq_error; bursts write, the control thread reads */
	bool call_valid;	/* split, EVENT_IDX: `called` holds the idx of the last decision */
	uint16_t called;	/* used idx when a call was last decided on */
	struct virtq_tlb tlb;	/* valid for the run of tlb_generation */
	uint64_t tlb_generation;
	void *loans;		/* zero-copy: what lib/vnet knows of chains that packets still
				 * point into; NULL: every chain is copied. The control thread's
				 * to change, while no burst holds the ring */
	uint64_t calls;		/* notifications sent */
	uint64_t calls_suppressed; /* notifications that the driver did not want */
	uint32_t nsegs;		/* segs in use by the burst in progress */
	struct virtq_seg segs[VIRTQ_MAX_SEGS]; /* scratch of the burst in progress */
	struct virtq_chain chains[VIRTQ_MAX_CHAINS]; /* scratch for packets of very many chains */
} __attribute__((aligned(VIRTQ_CACHE_LINE)));

/* To the state of a fresh ring: cursors 0, wraps 1, not broken. Counters and loans stay. */
void virtq_vq_reset(struct virtq_vq *vq);

/*
 * Ring positions as SET/GET_VRING_BASE carry them. Split: 16-bit avail index; the used index is
 * then taken from the ring's own used->idx. Packed: bits 0-14 avail slot, 15 avail wrap, 16-30
 * used slot, 31 used wrap; a zero high half with a non-zero low half means used = avail.
 * Clears `broken` and tells the driver that kicks are not wanted: the device polls.
 * -EINVAL: packed slot outside the ring, or a split index over 16 bits.
 */
int virtq_vq_set_base(struct virtq_vq *vq, const struct virtq_ring *ring, uint32_t base);
uint32_t virtq_vq_get_base(const struct virtq_vq *vq, bool packed);
/* The base of a ring that was never used. */
static inline uint32_t
virtq_fresh_base(bool packed)
{
	return packed ? 0x80008000u : 0;
}

#endif /* VIRTQ_RING_H */
