/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The stand-in asleep until it is kicked: it says from where on it wants a kick, looks once more,
 * and waits. What it then finds without having been kicked is counted. VIRTIO 1.2, 2.7.10, 2.8.10.
 */
#include "rig_device_kick.h"

#include <poll.h>

#include "virtq_shared.h"

#define NAP_MS 200	/* then it looks by itself */
#define LATE_MS 2000	/* a kick for what it then finds that has not come by then does not come */

/* Where something comes next on a ring. */
struct place {
	const struct virtq_ring *ring;
	uint16_t idx;
	bool wrap;
};

static bool
find_place(const struct standin *s, uint32_t index, struct place *p)
{
	const struct standin_ring *r = &s->ring[index];
	uint32_t idx = r->vq->cursor.avail_idx;

	*p = (struct place){ .ring = r->ring };
	if (r->ring == NULL)
		return false;
	if (r->control) {
		p->idx = s->cvq.avail_idx;
		p->wrap = s->cvq.avail_wrap;
		return true;
	}
	/* Buffers that wait already are no news, unlike packets. */
	if (index % 2 == 0)
		idx += vnet_ring_count(r->ring, &r->vq->cursor);
	p->wrap = r->vq->cursor.avail_wrap;
	if (r->ring->packed && idx >= r->ring->size) {
		idx -= r->ring->size;
		p->wrap = !p->wrap;
	}
	p->idx = (uint16_t)idx;
	return true;
}

static void
want_kick(const struct place *p)
{
	const bool event = p->ring->features & VIRTQ_BIT(VIRTIO_RING_F_EVENT_IDX);
	const uint16_t flags = event ? VRING_PACKED_EVENT_FLAG_DESC :
				       VRING_PACKED_EVENT_FLAG_ENABLE;

	if (!p->ring->packed) {
		if (event)
			virtq_store16((uint16_t *)&p->ring->used->ring[p->ring->size], p->idx);
		else
			virtq_store16(&p->ring->used->flags, 0);
		return;
	}
	virtq_store16(&p->ring->device_event->off_wrap,
		      (uint16_t)(p->idx | (unsigned int)p->wrap << 15));
	virtq_store16_release(&p->ring->device_event->flags, flags);
}

static bool
has_come(const struct place *p)
{
	uint16_t flags;

	if (!p->ring->packed)
		return virtq_load16(&p->ring->avail->idx) != p->idx;
	flags = virtq_load16(&p->ring->pdesc[p->idx].flags);
	return !!(flags & 1u << 7) == p->wrap && !!(flags & 1u << 15) != p->wrap;
}

/* Whether it would have something to do; buffers are of use where packets wait for them. */
static bool
has_work(const struct standin *s)
{
	for (uint32_t i = 0; i < s->vdpa.vqs; i++) {
		struct place p;

		if (find_place(s, i, &p) && has_come(&p) &&
		    (s->ring[i].control || i % 2 == 1 || s->pair[i / 2].nhold > 0))
			return true;
	}
	return false;
}

/* Kicks of all rings that run, and what the device itself wants to be woken by. */
static nfds_t
lie_down(struct standin *s, struct pollfd *fds)
{
	nfds_t n = 0;

	fds[n++] = (struct pollfd){ .fd = s->wake, .events = POLLIN };
	for (uint32_t i = 0; i < s->vdpa.vqs; i++) {
		struct place p;

		if (!find_place(s, i, &p))
			continue;
		want_kick(&p);
		fds[n++] = (struct pollfd){ .fd = s->vdpa.ring[i].kick, .events = POLLIN };
	}
	virtq_barrier_event(); /* pairs with the driver's: it sees the wish, or we what it added */
	return n;
}

static void
drain(const struct standin *s)
{
	uint64_t count;

	while (read(s->wake, &count, sizeof(count)) > 0)
		;
	for (uint32_t i = 0; i < s->vdpa.vqs; i++)
		if (s->ring[i].ring != NULL)
			while (read(s->vdpa.ring[i].kick, &count, sizeof(count)) > 0)
				;
}

void
standin_doze(struct standin *s)
{
	struct pollfd fds[VDPA_RINGS + 1];
	nfds_t n;
	bool woken, late;

	standin_lock(s);
	drain(s);
	n = lie_down(s, fds);
	if (has_work(s))
		n = 0;
	standin_unlock(s);
	if (n == 0)
		return;
	woken = poll(fds, n, NAP_MS) > 0;
	standin_lock(s);
	s->naps++;
	late = !woken && has_work(s);
	standin_unlock(s);
	/* A driver may lose its core between an entry and the kick that follows. */
	if (late && poll(fds, n, LATE_MS) == 0) {
		standin_lock(s);
		s->missed++;
		standin_unlock(s);
	}
}
