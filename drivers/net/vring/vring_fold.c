/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Folding: the rings of a device onto the queues of an application. Neither knows how many the
 * other has; whatever the numbers, each running ring is served and none by two at once without
 * a lock.
 */

#include "vring.h"

static void
back_notified(const struct virtq_vq *vq, uint64_t *sent, uint64_t *suppressed)
{
	*sent = vq->calls;
	*suppressed = vq->calls_suppressed;
}

/* What the guest transmits is received here, and the other way round. */
const struct vring_sides vring_back_sides = {
	.rx = 1,
	.tx = 0,
	.rx_select = vnet_dev_rx_select,
	.tx_select = vnet_dev_tx_select,
	.rx_count = vnet_ring_count,
	.tx_count = vnet_ring_count,
	.notified = back_notified,
};

bool
vring_slot_enabled(const struct vring_slot *slot)
{
	return slot->run != NULL && slot->run->enabled;
}

size_t
vring_set_size(uint16_t pairs)
{
	return RTE_CACHE_LINE_ROUNDUP(sizeof(struct vring_set) +
				      (pairs + 1) * sizeof(struct vring_ring));
}

void
vring_fold_rx(const struct vring_sides *sides, struct vring_slot *slot, uint16_t pairs, uint16_t i,
	      uint16_t n, uint32_t flags, struct vring_set *set)
{
	struct vring_ring *ring;
	const char *mode;
	unsigned int j;

	set->n = 0;
	set->mode = NULL;
	for (j = i; j < pairs; j += n) {
		struct vring_slot *s = &slot[2 * j + sides->rx];

		if (s->run == NULL)
			continue;
		ring = &set->ring[set->n++];
		ring->vq = s->vq;
		ring->run = s->run;
		ring->lock = NULL;
		ring->rx = sides->rx_select(s->run, s->vq->loans == NULL ? flags :
					    flags | VNET_F_ZERO_COPY, &mode);
		if (set->n == 1)
			set->mode = mode;
	}
}

static struct vring_slot *
nth_enabled(struct vring_slot *slot, uint16_t pairs, unsigned int side, unsigned int k)
{
	unsigned int j;

	for (j = 0; j < pairs; j++) {
		struct vring_slot *s = &slot[2 * j + side];

		if (vring_slot_enabled(s) && k-- == 0)
			return s;
	}
	return NULL;
}

static unsigned int
count_enabled(const struct vring_slot *slot, uint16_t pairs, unsigned int side)
{
	unsigned int j, m = 0;

	for (j = 0; j < pairs; j++)
		m += vring_slot_enabled(&slot[2 * j + side]);
	return m;
}

void
vring_fold_tx(const struct vring_sides *sides, struct vring_slot *slot, uint16_t pairs, uint16_t i,
	      uint16_t n, enum vnet_drop why, struct vring_set *set)
{
	unsigned int m = count_enabled(slot, pairs, sides->tx);
	struct vring_slot *s;

	set->n = 0;
	set->why = why;
	set->mode = NULL;
	if (m == 0)
		return;
	s = nth_enabled(slot, pairs, sides->tx, i % m);
	set->n = 1;
	set->ring[0].vq = s->vq;
	set->ring[0].run = s->run;
	/* Queues i % m, i % m + m, ... have this ring; is there a second one? */
	set->ring[0].lock = i % m + m < n ? &s->lock : NULL;
	set->ring[0].tx = sides->tx_select(s->run, &set->mode);
}

bool
vring_set_moved(const struct vring_set *a, const struct vring_set *b)
{
	unsigned int i, an = a == NULL ? 0 : a->n, bn = b == NULL ? 0 : b->n;

	if (an != bn)
		return true;
	for (i = 0; i < an; i++)
		if (a->ring[i].vq != b->ring[i].vq || a->ring[i].lock != b->ring[i].lock)
			return true;
	return false;
}

bool
vring_set_same(const struct vring_set *a, const struct vring_set *b)
{
	unsigned int i;

	if (a == NULL || b == NULL)
		return a == b;
	if (vring_set_moved(a, b) || (a->n == 0 && a->why != b->why))
		return false;
	for (i = 0; i < a->n; i++)
		if (a->ring[i].run != b->ring[i].run || a->ring[i].rx != b->ring[i].rx)
			return false;
	return true;
}
