/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Zero-copy receive: mbufs that are attached to the guest's buffers.
 *
 * The chain of a packet that is not copied stays with the device until the last mbuf that points
 * there is freed: on whichever lcore, in whatever order. Each such chain has a zero-copy buffer.
 * Whoever frees the packet marks that and does nothing else; the burst that holds the ring, or the
 * control thread while none does, returns the chain to the guest.
 *
 * Buffers stand in a queue in the order of the ring, and chains return in that order for as long as
 * the application frees packets in it, copied ones among them. So whoever takes over after the
 * application has died begins at the used index and finds just what was not returned. A chain
 * waits VNET_ZC_WAIT_US for older ones at most; then it overtakes them.
 *
 * Nothing of this lies in memory that the guest can write. The buffers live as long as the last of
 * their packets, and keep the guest's memory mapped as long.
 */
#ifndef VNET_ZC_H
#define VNET_ZC_H

#include <rte_cycles.h>
#include <rte_mbuf.h>

#include "virtq_dev.h"
#include "vnet_zc_buf.h"

/* Packets can be attached to half of a ring's entries; the guest goes on with the other half. */
#define VNET_ZC_SHARE 2
/* A ring of fewer entries is copied: a driver needs some of them for a single packet. */
#define VNET_ZC_MIN_RING 64
/* Chains of one ring that are not returned, however long it is. */
#define VNET_ZC_MAX 1024
/* Microseconds that a chain which could go back waits for older ones. */
#define VNET_ZC_WAIT_US 100
/* Snapshots of memory that packets can keep while the ring goes on; then packets are copied. */
#define VNET_ZC_MEMS 16

/* The zero-copy state of a ring, from its start to its end. */
struct vnet_zc_ring {
	/* The burst's, or the control thread's while no burst holds the ring. */
	struct vnet_zc_buf **queue; /* chains not returned, in the ring's order */
	struct vnet_zc_buf **spare; /* stack */
	uint32_t head, tail;	/* of queue, free-running */
	uint32_t mask;		/* of queue */
	uint32_t nspare;
	uint32_t entries;	/* of the ring, taken by the chains of the queue */
	uint32_t limit;		/* of entries */
	uint64_t seq;		/* atomic: buffers ever used, those of copied chains included */
	uint64_t attached;	/* atomic: without these */
	uint64_t returned;	/* atomic: all before this one have been returned */
	uint64_t overtaken_at;	/* TSC when the queue was last looked through */
	uint64_t wait;		/* TSC */
	uint64_t early;		/* calls decided on when one was last sent unasked */
	uint32_t rounds;	/* atomic: of bursts, for vnet_zc_unpolled() */
	/* The control thread's. */
	bool paused;		/* atomic: attach no more */
	uint32_t nmems;
	uint32_t seen_rounds;
	uint64_t moving_at;	/* value of attached when the ring was about to change */
	struct virtq_mem *mem;	/* of the present ring; a reference is held */
	uint64_t since;		/* value of attached: none before it is of mem */
	struct {
		struct virtq_mem *mem;	/* a reference is held */
		uint64_t until;		/* no buffer from here on needs it */
	} former[VNET_ZC_MEMS + 2]; /* two moves may pass before every burst is paused */
	uint32_t nbufs;
	struct vnet_zc_buf *bufs;
	/* The owner's, once the ring has ended. */
	struct vnet_zc_ring *next;
	uint64_t port;		/* whose it was */
};

/*
 * Zero-copy state of a ring that is about to start: one object, which is to be the owner of the
 * ring's cursor before the ring is published. -ENOTSUP: the ring is too short, or in order (there
 * one packet that is held would stop all). -ENOMEM.
 */
int vnet_zc_new(const struct virtq_ring *ring, struct vnet_zc_ring **out);

/* The control thread's, at any time. */

/* A ring is about to be replaced by another one that goes on where it stands. */
void vnet_zc_remap(struct vnet_zc_ring *zc);
/* It has been: no burst uses the former one any more. `mem` is the present one's. */
void vnet_zc_remapped(struct vnet_zc_ring *zc, struct virtq_mem *mem);
/* Let go of memory that packets no longer point into. */
void vnet_zc_put_mems(struct vnet_zc_ring *zc);
/* Whether chains are out and no burst has looked after them since this was last asked. */
bool vnet_zc_unpolled(struct vnet_zc_ring *zc);

/* The control thread's, while no burst holds the ring. */

/* Packets that the application has not freed. */
uint32_t vnet_zc_attached(const struct vnet_zc_ring *zc);
/* Return what was freed, and notify the guest. */
void vnet_zc_reclaim(struct vnet_zc_ring *zc, struct virtq_dev *dev, const struct virtq_ring *ring);
/*
 * The ring ends: return everything, freed or not, and notify the guest, which may then use the
 * buffers of packets that are still out. The cursor has no owner afterwards.
 */
void vnet_zc_end(struct vnet_zc_ring *zc, struct virtq_dev *dev, const struct virtq_ring *ring);
/* After the end: free all once no packet is out; false: some still are. Any thread. */
bool vnet_zc_free(struct vnet_zc_ring *zc);

/* Out of line. Return what stands behind older buffers; whether there was any. */
bool vnet_zc_overtake(struct vnet_zc_ring *zc, struct virtq_dev *dev,
		      const struct virtq_ring *ring);

static inline bool
vnet_zc_empty(const struct vnet_zc_ring *zc)
{
	return zc->head == zc->tail;
}

/* The buffers that a round uses; nobody else sees them before vnet_zc_round_end(). */
struct vnet_zc_round {
	struct vnet_zc_ring *zc;
	struct vnet_zc_buf **spare; /* the next one is spare[-1] */
	uint32_t nspare, tail, entries, limit;
	uint64_t seq, attached;
};

VIRTQ_INLINE struct vnet_zc_round
vnet_zc_round_begin(struct vnet_zc_ring *zc)
{
	return (struct vnet_zc_round){
		.zc = zc, .spare = zc->spare + zc->nspare, .nspare = zc->nspare, .tail = zc->tail,
		.entries = zc->entries, .limit = zc->limit, .seq = zc->seq,
		.attached = zc->attached,
	};
}

VIRTQ_INLINE bool
vnet_zc_round_room(const struct vnet_zc_round *r, uint16_t entries)
{
	return r->nspare > 0 && r->entries + entries <= r->limit;
}

/* Whether a chain that is returned now would be the oldest. */
VIRTQ_INLINE bool
vnet_zc_round_empty(const struct vnet_zc_round *r)
{
	return r->zc->head == r->tail;
}

/* The buffer of a chain; there is room. `back`: it was copied and only waits for its turn. */
VIRTQ_INLINE struct vnet_zc_buf *
vnet_zc_round_attach(struct vnet_zc_round *r, const struct virtq_chain *c, bool back)
{
	struct vnet_zc_buf *buf = *--r->spare;

	r->nspare--;
	buf->seq = r->seq++;
	buf->id = c->id;
	buf->entries = c->entries;
	__atomic_store_n(&buf->back, back, __ATOMIC_RELAXED);
	r->attached += !back;
	r->entries += c->entries;
	r->zc->queue[r->tail++ & r->zc->mask] = buf;
	return buf;
}

VIRTQ_INLINE void
vnet_zc_round_end(const struct vnet_zc_round *r)
{
	struct vnet_zc_ring *zc = r->zc;

	zc->nspare = r->nspare;
	zc->tail = r->tail;
	zc->entries = r->entries;
	__atomic_store_n(&zc->seq, r->seq, __ATOMIC_RELAXED);
	__atomic_store_n(&zc->attached, r->attached, __ATOMIC_RELAXED);
}

/* What a buffer holds becomes a chain to be returned. Returns the entries of that. */
static inline uint16_t
vnet_zc_buf_chain(const struct vnet_zc_buf *buf, struct virtq_chain *c)
{
	c->id = buf->id;
	c->entries = buf->entries;
	c->written = 0;
	return c->entries;
}

/* Every buffer before the first of the queue is returned. Control thread: vnet_zc_put_mems(). */
static inline void
vnet_zc_commit(struct vnet_zc_ring *zc)
{
	__atomic_store_n(&zc->returned,
			 vnet_zc_empty(zc) ? zc->seq : zc->queue[zc->head & zc->mask]->seq,
			 __ATOMIC_RELEASE);
}

/* The oldest chains that can go back, n at most. */
static inline uint16_t
vnet_zc_collect(struct vnet_zc_ring *zc, struct virtq_chain *c, uint16_t n)
{
	const uint32_t head = zc->head, waiting = zc->tail - head;
	struct vnet_zc_buf **spare = zc->spare + zc->nspare;
	uint32_t entries = 0;
	uint16_t i;

	for (i = 0; i < n && i < waiting; i++) {
		struct vnet_zc_buf *buf = zc->queue[(head + i) & zc->mask];

		/* Pairs with the release of whoever freed the packet: it has read all it wanted. */
		if (!__atomic_load_n(&buf->back, __ATOMIC_ACQUIRE))
			break;
		entries += vnet_zc_buf_chain(buf, &c[i]);
		spare[i] = buf;
	}
	zc->head = head + i;
	zc->nspare += i;
	zc->entries -= entries;
	return i;
}

/* Return what was freed. Whether there was any, and the guest is to be notified. */
VIRTQ_INLINE bool
vnet_zc_push_used(struct vnet_zc_ring *zc, struct virtq_dev *dev, const struct virtq_ring *ring,
		  bool packed)
{
	struct virtq_chain c[VIRTQ_FETCH_MAX];
	bool pushed = false;
	uint64_t now;
	uint16_t n;

	__atomic_store_n(&zc->rounds, zc->rounds + 1, __ATOMIC_RELAXED);
	if (vnet_zc_empty(zc))
		return false;
	do {
		n = vnet_zc_collect(zc, c, VIRTQ_FETCH_MAX);
		if (n == 0)
			break;
		virtq_dev_push_used(dev, ring, c, n, packed, false);
		pushed = true;
	} while (n == VIRTQ_FETCH_MAX);
	if (!vnet_zc_empty(zc)) { /* the oldest is still out */
		now = rte_rdtsc();
		if (now - zc->overtaken_at > zc->wait) {
			zc->overtaken_at = now;
			pushed |= vnet_zc_overtake(zc, dev, ring);
		}
	}
	if (pushed)
		vnet_zc_commit(zc);
	return pushed;
}

#endif /* VNET_ZC_H */
