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
const struct vring_queue_ops vring_be_queue_ops = {
	.rx = 1,
	.tx = 0,
	.rx_select = vnet_dev_rx_select,
	.tx_select = vnet_dev_tx_select,
	.rx_count = vnet_ring_count,
	.tx_count = vnet_ring_count,
	.notified = back_notified,
};

bool
vring_qmap_enabled(const struct vring_port_vring *slot)
{
	return slot->ring != NULL && slot->ring->enabled;
}

size_t
vring_qmap_size(uint16_t pairs)
{
	return RTE_CACHE_LINE_ROUNDUP(sizeof(struct vring_poll_set) +
				      (pairs + 1) * sizeof(struct vring_poll_entry));
}

void
vring_qmap_rx(const struct vring_queue_ops *sides, struct vring_port_vring *slot, uint16_t pairs,
	      uint16_t i,
	      uint16_t n, uint32_t flags, struct vring_poll_set *set)
{
	struct vring_poll_entry *ring;
	const char *mode;
	unsigned int j;

	set->n = 0;
	set->mode = NULL;
	for (j = i; j < pairs; j += n) {
		struct vring_port_vring *s = &slot[2 * j + sides->rx];

		if (s->ring == NULL)
			continue;
		ring = &set->entry[set->n++];
		ring->vq = s->vq;
		ring->ring = s->ring;
		ring->lock = NULL;
		ring->rx = sides->rx_select(s->ring, s->vq->loans == NULL ? flags :
					    flags | VNET_F_ZERO_COPY, &mode);
		if (set->n == 1)
			set->mode = mode;
	}
}

static struct vring_port_vring *
nth_enabled(struct vring_port_vring *slot, uint16_t pairs, unsigned int side, unsigned int k)
{
	unsigned int j;

	for (j = 0; j < pairs; j++) {
		struct vring_port_vring *s = &slot[2 * j + side];

		if (vring_qmap_enabled(s) && k-- == 0)
			return s;
	}
	return NULL;
}

static unsigned int
count_enabled(const struct vring_port_vring *slot, uint16_t pairs, unsigned int side)
{
	unsigned int j, m = 0;

	for (j = 0; j < pairs; j++)
		m += vring_qmap_enabled(&slot[2 * j + side]);
	return m;
}

void
vring_qmap_tx(const struct vring_queue_ops *sides, struct vring_port_vring *slot, uint16_t pairs,
	      uint16_t i,
	      uint16_t n, enum vnet_drop why, struct vring_poll_set *set)
{
	unsigned int m = count_enabled(slot, pairs, sides->tx);
	struct vring_port_vring *s;

	set->n = 0;
	set->why = why;
	set->mode = NULL;
	if (m == 0)
		return;
	s = nth_enabled(slot, pairs, sides->tx, i % m);
	set->n = 1;
	set->entry[0].vq = s->vq;
	set->entry[0].ring = s->ring;
	/* Queues i % m, i % m + m, ... have this ring; is there a second one? */
	set->entry[0].lock = i % m + m < n ? &s->lock : NULL;
	set->entry[0].tx = sides->tx_select(s->ring, &set->mode);
}

bool
vring_qmap_moved(const struct vring_poll_set *a, const struct vring_poll_set *b)
{
	unsigned int i, an = a == NULL ? 0 : a->n, bn = b == NULL ? 0 : b->n;

	if (an != bn)
		return true;
	for (i = 0; i < an; i++)
		if (a->entry[i].vq != b->entry[i].vq || a->entry[i].lock != b->entry[i].lock)
			return true;
	return false;
}

bool
vring_qmap_same(const struct vring_poll_set *a, const struct vring_poll_set *b)
{
	unsigned int i;

	if (a == NULL || b == NULL)
		return a == b;
	if (vring_qmap_moved(a, b) || (a->n == 0 && a->why != b->why))
		return false;
	for (i = 0; i < a->n; i++)
		if (a->entry[i].ring != b->entry[i].ring || a->entry[i].rx != b->entry[i].rx)
			return false;
	return true;
}
