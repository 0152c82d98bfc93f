/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Zero-copy receive: chains that are lent to the application.
 *
 * A packet that is not copied is an mbuf attached to the guest's buffer, and its chain stays out
 * until the last mbuf that points there is freed: on whichever lcore, in whatever order. Each such
 * chain has a loan. Whoever frees the packet marks the loan and does nothing else; the burst that
 * holds the ring, or the control thread while none does, gives the chain back to the guest.
 *
 * Loans stand in a queue in the order of the ring, and chains go back in that order for as long as
 * the application frees packets in it, copied ones among them. So whoever takes over after the
 * application has died begins at the used index and finds just what was not given back. A chain
 * waits VNET_ZC_WAIT_US for older ones at most; then it overtakes them.
 *
 * Nothing of this lies in memory that the guest can write. The loans live as long as the last of
 * their packets, and keep the guest's memory mapped as long.
 */
#ifndef VNET_ZC_H
#define VNET_ZC_H

#include <rte_cycles.h>
#include <rte_mbuf.h>

#include "virtq_dev.h"
#include "vnet_zc_buf.h"

/* Of a ring's entries half can be lent; the guest always has the other half to go on with. */
#define VNET_ZC_SHARE 2
/* A ring of fewer entries is copied: a driver needs some of them for a single packet. */
#define VNET_ZC_MIN_RING 64
/* Chains that one ring can have out, however long it is. */
#define VNET_ZC_MAX 1024
/* Microseconds that a chain which could go back waits for older ones. */
#define VNET_ZC_WAIT_US 100
/* Snapshots of memory that packets can keep while the ring goes on; then packets are copied. */
#define VNET_ZC_MEMS 16

/* The loans of a ring, from its start to its end. */
struct vnet_zc_ring {
	/* The burst's, or the control thread's while no burst holds the ring. */
	struct vnet_zc_buf **queue; /* chains not given back, in the ring's order */
	struct vnet_zc_buf **spare; /* stack */
	uint32_t head, tail;	/* of queue, free-running */
	uint32_t mask;		/* of queue */
	uint32_t nspare;
	uint32_t entries;	/* of the ring, taken by the chains of the queue */
	uint32_t limit;		/* of entries */
	uint64_t seq;		/* atomic: loans ever made, those of copied chains included */
	uint64_t lent;		/* atomic: without these */
	uint64_t settled;	/* atomic: all before this one have been given back */
	uint64_t overtaken_at;	/* TSC when the queue was last looked through */
	uint64_t wait;		/* TSC */
	uint32_t rounds;	/* atomic: of bursts, for vnet_zc_unpolled() */
	/* The control thread's. */
	bool paused;		/* atomic: make no more loans */
	uint32_t nmems;
	uint32_t seen_rounds;
	uint64_t moving_at;	/* value of lent when the run was about to change */
	struct virtq_mem *mem;	/* of the present run; a reference is held */
	uint64_t since;		/* value of lent: none before it is of mem */
	struct {
		struct virtq_mem *mem;	/* a reference is held */
		uint64_t until;		/* no loan from here on needs it */
	} former[VNET_ZC_MEMS + 2]; /* two moves may pass before every burst is paused */
	uint32_t nloans;
	struct vnet_zc_buf *loan;
	struct vnet_zc_ring *next; /* for lists of the owner */
};

/*
 * Zero-copy state of a ring that is about to start: one object, which is to be the owner of the
 * ring's cursor before the ring is published. -ENOTSUP: the ring is too short, or in order (there
 * one packet that is held would stop all). -ENOMEM.
 */
int vnet_zc_new(const struct virtq_ring *ring, struct vnet_zc_ring **loans);

/* The control thread's, at any time. */

/* The ring is about to go on with another run. */
void vnet_zc_remap(struct vnet_zc_ring *l);
/* It has: no burst uses its former run any more. `mem` is the present one's. */
void vnet_zc_remapped(struct vnet_zc_ring *l, struct virtq_mem *mem);
/* Let go of memory that packets no longer point into. */
void vnet_zc_put_mems(struct vnet_zc_ring *l);
/* Whether chains are out and no burst has looked after them since this was last asked. */
bool vnet_zc_unpolled(struct vnet_zc_ring *l);

/* The control thread's, while no burst holds the ring. */

/* Packets that the application has not freed. */
uint32_t vnet_zc_attached(const struct vnet_zc_ring *l);
/* Give back what was freed, and tell the guest. */
void vnet_zc_reclaim(struct vnet_zc_ring *l, struct virtq_dev *dev, const struct virtq_ring *ring);
/*
 * The ring ends: give everything back, freed or not, and tell the guest, which may then use the
 * buffers of packets that are still out. The dev has no loans afterwards.
 */
void vnet_zc_end(struct vnet_zc_ring *l, struct virtq_dev *dev, const struct virtq_ring *ring);
/* After the end: free all once no packet is out; false: some still are. Any thread. */
bool vnet_zc_free(struct vnet_zc_ring *l);

/* Out of line. Give back what could go but stands behind older loans; whether there was any. */
bool vnet_zc_overtake(struct vnet_zc_ring *l, struct virtq_dev *dev, const struct virtq_ring *ring);

static inline bool
vnet_zc_empty(const struct vnet_zc_ring *l)
{
	return l->head == l->tail;
}

/* The loans that a round makes; nobody else sees them before vnet_zc_round_end(). */
struct vnet_zc_round {
	struct vnet_zc_ring *l;
	struct vnet_zc_buf **spare; /* the next one is spare[-1] */
	uint32_t nspare, tail, entries, limit;
	uint64_t seq, lent;
};

VIRTQ_INLINE struct vnet_zc_round
vnet_zc_round_begin(struct vnet_zc_ring *l)
{
	return (struct vnet_zc_round){
		.l = l, .spare = l->spare + l->nspare, .nspare = l->nspare, .tail = l->tail,
		.entries = l->entries, .limit = l->limit, .seq = l->seq, .lent = l->lent,
	};
}

VIRTQ_INLINE bool
vnet_zc_round_room(const struct vnet_zc_round *r, uint16_t slots)
{
	return r->nspare > 0 && r->entries + slots <= r->limit;
}

/* Whether a chain that is given back now would be the oldest. */
VIRTQ_INLINE bool
vnet_zc_round_empty(const struct vnet_zc_round *r)
{
	return r->l->head == r->tail;
}

/* A loan for a chain; there is room. `back`: the chain was copied and only waits for its turn. */
VIRTQ_INLINE struct vnet_zc_buf *
vnet_zc_round_attach(struct vnet_zc_round *r, const struct virtq_chain *c, bool back)
{
	struct vnet_zc_buf *loan = *--r->spare;

	r->nspare--;
	loan->seq = r->seq++;
	loan->id = c->id;
	loan->slots = c->slots;
	__atomic_store_n(&loan->back, back, __ATOMIC_RELAXED);
	r->lent += !back;
	r->entries += c->slots;
	r->l->queue[r->tail++ & r->l->mask] = loan;
	return loan;
}

VIRTQ_INLINE void
vnet_zc_round_end(const struct vnet_zc_round *r)
{
	struct vnet_zc_ring *l = r->l;

	l->nspare = r->nspare;
	l->tail = r->tail;
	l->entries = r->entries;
	__atomic_store_n(&l->seq, r->seq, __ATOMIC_RELAXED);
	__atomic_store_n(&l->lent, r->lent, __ATOMIC_RELAXED);
}

/* What a loan holds becomes a chain to give back. Returns the entries it takes. */
static inline uint16_t
vnet_zc_buf_chain(const struct vnet_zc_buf *loan, struct virtq_chain *c)
{
	c->id = loan->id;
	c->slots = loan->slots;
	c->written = 0;
	return c->slots;
}

/* Every loan before the first of the queue is over. Control thread: vnet_zc_put_mems(). */
static inline void
vnet_zc_commit(struct vnet_zc_ring *l)
{
	__atomic_store_n(&l->settled,
			 vnet_zc_empty(l) ? l->seq : l->queue[l->head & l->mask]->seq,
			 __ATOMIC_RELEASE);
}

/* The oldest chains that can go back, n at most. */
static inline uint16_t
vnet_zc_collect(struct vnet_zc_ring *l, struct virtq_chain *c, uint16_t n)
{
	const uint32_t head = l->head, waiting = l->tail - head;
	struct vnet_zc_buf **spare = l->spare + l->nspare;
	uint32_t entries = 0;
	uint16_t i;

	for (i = 0; i < n && i < waiting; i++) {
		struct vnet_zc_buf *loan = l->queue[(head + i) & l->mask];

		/* Pairs with the release of whoever freed the packet: it has read all it wanted. */
		if (!__atomic_load_n(&loan->back, __ATOMIC_ACQUIRE))
			break;
		entries += vnet_zc_buf_chain(loan, &c[i]);
		spare[i] = loan;
	}
	l->head = head + i;
	l->nspare += i;
	l->entries -= entries;
	return i;
}

/* Give back what can go. Whether there was any, and the guest is to be told. */
VIRTQ_INLINE bool
vnet_zc_push_used(struct vnet_zc_ring *l, struct virtq_dev *dev, const struct virtq_ring *ring,
		  bool packed)
{
	struct virtq_chain c[VIRTQ_FETCH_MAX];
	bool given = false;
	uint64_t now;
	uint16_t n;

	__atomic_store_n(&l->rounds, l->rounds + 1, __ATOMIC_RELAXED);
	if (vnet_zc_empty(l))
		return false;
	do {
		n = vnet_zc_collect(l, c, VIRTQ_FETCH_MAX);
		if (n == 0)
			break;
		virtq_dev_push_used(dev, ring, c, n, packed, false);
		given = true;
	} while (n == VIRTQ_FETCH_MAX);
	if (!vnet_zc_empty(l)) { /* the oldest is still out */
		now = rte_rdtsc();
		if (now - l->overtaken_at > l->wait) {
			l->overtaken_at = now;
			given |= vnet_zc_overtake(l, dev, ring);
		}
	}
	if (given)
		vnet_zc_commit(l);
	return given;
}

#endif /* VNET_ZC_H */
