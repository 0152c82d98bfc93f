/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control queue of a front-end that leaves it to the back-end, as User-Mode Linux and crosvm
 * do. (QEMU, cloud-hypervisor, Dragonball and StratoVirt answer it themselves.) A Linux guest waits
 * for each answer without a pause. The port filters nothing and has no state that a guest could
 * set, so what is not impossible is done already. VIRTIO 1.2, 5.1.6.5.
 */
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/epoll.h>

#include "vhost_be_session.h"
#include "virtq_dev_kicks.h"
#include "virtq_dev_log.h"
#include "virtq_notify.h"

/* What devtools/orderings.py looks at keeps its name, and its instructions are there alone. */
#if __has_attribute(noipa)
#define ALONE __attribute__((noipa))
#else
#define ALONE __attribute__((noinline))
#endif

/* Pieces of a command, and commands served in one go. */
enum { MAX_PIECES = 8, MAX_COMMANDS = 64 };
/* Between two looks at the queue; without a kick to wait for, between all of them. */
enum { PAUSE_MS = 1, POLL_MS = 10 };

struct command {
	struct virtq_chain chain;	/* id and entries */
	uint32_t n;
	struct {
		uint64_t gpa;
		uint32_t len;
		bool write;
	} piece[MAX_PIECES];
};

int
vhost_be_cvq_find(const struct vhost_be *be)
{
	if (!be->features_set || !(be->features & VIRTQ_BIT(VIRTIO_NET_F_CTRL_VQ)))
		return -1;
	/* It is the last vring, behind pairs of them: one without a partner. 5.1.2 */
	for (uint16_t qid = 2; qid + 1 < be->nrings; qid += 2)
		if (be->vring[qid].num != 0 && be->vring[qid + 1].num == 0)
			return qid;
	return -1;
}

/* False: more pieces than any command has. */
static bool
add_piece(struct command *c, struct virtq_desc d, uint16_t flags)
{
	if (c->n == MAX_PIECES)
		return false;
	c->piece[c->n].gpa = d.addr;
	c->piece[c->n].len = d.len;
	c->piece[c->n++].write = flags & VRING_DESC_F_WRITE;
	return true;
}

/* The table of an indirect descriptor; entries of a packed ring's are in order. */
static bool
add_table(struct virtq_dev *vq, const struct virtq_ring *ring, struct command *c,
	  struct virtq_desc ref)
{
	const uint32_t n = ref.len / sizeof(ref);
	uint32_t i = 0;

	if (!(ring->features & VIRTQ_BIT(VIRTIO_RING_F_INDIRECT_DESC)))
		return false;
	for (uint32_t seen = 0; seen < n; seen++) {
		uint64_t len = sizeof(struct virtq_desc);
		const void *p = virtq_dev_find(vq, ring, ref.addr + i * sizeof(ref), &len, false);
		struct virtq_desc d;

		if (p == NULL || len != sizeof(d))
			return false;
		memcpy(&d, p, sizeof(d));
		if (!add_piece(c, d, ring->packed ? d.packed.flags : d.split.flags))
			return false;
		if (ring->packed) {
			i++;
			continue;
		}
		if (!(d.split.flags & VRING_DESC_F_NEXT))
			return true;
		i = d.split.next;
		if (i >= n)
			return false;
	}
	return ring->packed && n > 0;
}

/* 1: a command, 0: none, -1: what is there is no chain of one. */
static ALONE int
cvq_fetch_split(struct virtq_dev *vq, const struct virtq_ring *ring, struct command *c)
{
	const uint16_t at = vq->cursor.avail_idx;
	uint16_t i;

	/* Barrier A: pairs with the driver's barrier before it moves avail->idx. */
	if (virtq_load16_acquire(&ring->avail->idx) == at)
		return 0;
	i = virtq_load16(&ring->avail->ring[at & ring->mask]);
	c->chain.id = i;
	c->chain.entries = 1;
	for (;;) {
		struct virtq_desc d;

		if (i >= ring->size)
			return -1;
		d = virtq_load_desc(&ring->desc[i]);
		if (d.split.flags & VRING_DESC_F_INDIRECT)
			return add_table(vq, ring, c, d) ? 1 : -1;
		if (!add_piece(c, d, d.split.flags))
			return -1;
		if (!(d.split.flags & VRING_DESC_F_NEXT))
			return 1;
		i = d.split.next;
	}
}

static ALONE int
cvq_fetch_packed(struct virtq_dev *vq, const struct virtq_ring *ring, struct command *c)
{
	struct virtq_pos at = virtq_dev_pos(vq);
	const uint16_t first = at.wrap ? VIRTQ_PACKED_AVAIL : VIRTQ_PACKED_USED;
	/* Barrier A: pairs with the driver's release of the flags. */
	const uint64_t meta = virtq_load64_acquire(&ring->pdesc[at.idx].len);

	if ((meta >> 48 & VIRTQ_PACKED_PHASES) != first)
		return 0;
	for (c->chain.entries = 1; c->chain.entries <= ring->size; c->chain.entries++) {
		const struct virtq_desc d = virtq_load_desc(&ring->pdesc[at.idx]);

		if (d.packed.flags & VRING_DESC_F_INDIRECT ? !add_table(vq, ring, c, d) :
							     !add_piece(c, d, d.packed.flags))
			return -1;
		c->chain.id = d.packed.id;
		if (!(d.packed.flags & VRING_DESC_F_NEXT))
			return 1;
		virtq_pos_advance(&at, 1, ring->size);
	}
	return -1;
}

/* The first n bytes that are to be read, wherever they lie. False: there are fewer. */
static bool
read_bytes(struct virtq_dev *vq, const struct virtq_ring *ring, const struct command *c,
	   uint8_t *to, uint32_t n)
{
	uint32_t done = 0;

	for (uint32_t i = 0; i < c->n && done < n && !c->piece[i].write; i++) {
		for (uint32_t off = 0; off < c->piece[i].len && done < n; off++) {
			uint64_t one = 1;
			const uint8_t *p = virtq_dev_find(vq, ring, c->piece[i].gpa + off, &one,
							  false);

			if (p == NULL)
				return false;
			to[done++] = *(const volatile uint8_t *)p;
		}
	}
	return done == n;
}

/* Rings are enabled by messages, so all that one can want is the pair that there is anyway. */
static uint8_t
answer_of(const uint8_t head[4], bool whole)
{
	switch (head[0]) {
	case VIRTIO_NET_CTRL_RX:
	case VIRTIO_NET_CTRL_MAC:
	case VIRTIO_NET_CTRL_VLAN:
	case VIRTIO_NET_CTRL_ANNOUNCE:
		return VIRTIO_NET_OK;
	case VIRTIO_NET_CTRL_MQ:
		return whole && head[1] == VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET && head[2] == 1 &&
		       head[3] == 0 ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
	default:
		return VIRTIO_NET_ERR;
	}
}

/* Its last byte is where the answer goes. False: there is none, or nothing to answer. */
static ALONE bool
cvq_answer(struct virtq_dev *vq, const struct virtq_ring *ring, const struct command *c)
{
	uint8_t head[4] = { 0 }, *p;
	const bool whole = read_bytes(vq, ring, c, head, 4);
	uint64_t one = 1;

	if (!whole && !read_bytes(vq, ring, c, head, 2))
		return false;
	if (!c->piece[c->n - 1].write || c->piece[c->n - 1].len == 0)
		return false;
	p = virtq_dev_find(vq, ring, c->piece[c->n - 1].gpa + c->piece[c->n - 1].len - 1, &one,
			   true);
	if (p == NULL)
		return false;
	*(volatile uint8_t *)p = answer_of(head, whole);
	if (ring->log != NULL) {
		virtq_log_barrier(); /* Barrier D */
		virtq_log_mark(ring->log, virtq_mem_gpa_of(ring->mem, p), 1);
	}
	return true;
}

/* False: more may wait, or one for its addresses. */
static bool
serve_commands(struct vhost_be *be)
{
	const struct virtq_ring *ring = be->vring[be->cvq.qid].ring;
	struct virtq_dev *vq = be->vq[be->cvq.qid];
	struct virtq_pos used;

	for (int i = 0; i < MAX_COMMANDS; i++) {
		struct command c = { .n = 0 };

		virtq_dev_begin(vq, ring);
		virtq_dev_kicks_on(vq, ring);
		/* Buffers of a data ring whose partner is still to come are left alone. */
		if ((ring->packed ? cvq_fetch_packed : cvq_fetch_split)(vq, ring, &c) <= 0 ||
		    !cvq_answer(vq, ring, &c))
			return !virtq_dev_missed(vq);
		c.chain.written = 1;
		used = virtq_dev_used_pos(vq);
		virtq_dev_complete(vq, ring, &c.chain, 1, ring->packed, true, false);
		if (ring->log != NULL)
			virtq_dev_log_used(vq, ring, used);
		virtq_notify(ring->callfd);
	}
	return false;
}

/* However often a driver kicks, it is looked at once in PAUSE_MS. */
static void
cvq_kicked(struct evloop_watch *w, uint32_t events)
{
	struct vhost_be *be = w->owner;

	virtq_notify_take(w->fd);
	evloop_watch_del(w);
	serve_commands(be);
	evloop_timer_set(be->loop, &be->cvq.pause, PAUSE_MS);
}

static void
pause_expired(struct evloop_timer *t)
{
	struct vhost_be *be = t->owner;

	if (serve_commands(be) && be->cvq.kick.fd >= 0 &&
	    evloop_watch_add(be->loop, &be->cvq.kick) == 0)
		return;
	evloop_timer_set(be->loop, t, be->cvq.kick.fd >= 0 ? PAUSE_MS : POLL_MS);
}

void
vhost_be_cvq_init(struct vhost_be *be)
{
	be->cvq.qid = -1;
	be->cvq.kick = (struct evloop_watch){ .fd = -1, .events = EPOLLIN, .ready = cvq_kicked,
					      .owner = be };
	be->cvq.pause = (struct evloop_timer){ .expired = pause_expired, .owner = be };
}

void
vhost_be_cvq_begin(struct vhost_be *be, struct vhost_be_vring *r)
{
	vhost_be_cvq_end(be);
	be->cvq.qid = r->qid;
	be->cvq.kick.fd = r->kick;
	pause_expired(&be->cvq.pause);
}

void
vhost_be_cvq_end(struct vhost_be *be)
{
	evloop_timer_cancel(&be->cvq.pause);
	evloop_watch_del(&be->cvq.kick);
	be->cvq.kick.fd = -1;
	be->cvq.qid = -1;
}
