/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The rings of a device on the queues of an application. Neither end knows how many the other has.
 * Whatever the numbers, each running ring is served, and none by two queues at once without a lock.
 */

#include "vring_qmap.h"

bool
vring_qmap_enabled(const struct vring_port_vring *vring)
{
	return vring->ring != NULL && vring->ring->enabled;
}

bool
vring_qmap_alive(const struct vring_port_vring *vring)
{
	return vring->paused || vring_qmap_enabled(vring);
}

size_t
vring_qmap_size(uint16_t pairs)
{
	return RTE_CACHE_LINE_ROUNDUP(sizeof(struct vring_poll_set) +
				      (pairs + 1) * sizeof(struct vring_poll_entry));
}

void
vring_qmap_rx(const struct vring_queue_ops *ops, struct vring_port_vring *vring,
	      uint16_t pairs, uint16_t i, uint16_t n, uint32_t flags, struct vring_poll_set *set)
{
	struct vring_poll_entry *ring;
	const char *mode;

	set->n = 0;
	set->mode = NULL;
	set->cut = false;
	for (unsigned int j = i; j < pairs; j += n) {
		struct vring_port_vring *s = &vring[2 * j + ops->rx];

		if (s->ring == NULL)
			continue;
		ring = &set->entry[set->n++];
		ring->cursor = s->cursor;
		ring->ring = s->ring;
		ring->lock = NULL;
		ring->rx = ops->rx_select(s->ring, s->cursor->owner == NULL ? flags :
					  flags | VNET_F_ZERO_COPY, &mode);
		if (set->n == 1)
			set->mode = mode;
		set->cut |= (flags & (VNET_F_CUT_TCP | VNET_F_CUT_UDP)) != 0 &&
			    (s->ring->features & VNET_DEV_TSO_FEATURES) != 0;
	}
	set->plain = set->n == 1 && !set->cut;
}

static struct vring_port_vring *
nth_enabled(struct vring_port_vring *vring, uint16_t pairs, unsigned int side, unsigned int k)
{
	for (unsigned int j = 0; j < pairs; j++) {
		struct vring_port_vring *s = &vring[2 * j + side];

		if (vring_qmap_enabled(s) && k-- == 0)
			return s;
	}
	return NULL;
}

static unsigned int
count_enabled(const struct vring_port_vring *vring, uint16_t pairs, unsigned int side)
{
	unsigned int m = 0;

	for (unsigned int j = 0; j < pairs; j++)
		m += vring_qmap_enabled(&vring[2 * j + side]);
	return m;
}

/* A set without a ring so far, of m that are enabled. */
static void
begin_tx(const struct vring_queue_ops *ops, const struct vring_port_vring *vring, uint16_t pairs,
	 unsigned int m, enum vnet_drop why, struct vring_poll_set *set)
{
	set->n = 0;
	set->why = why;
	set->mode = NULL;
	set->hold = false;
	for (unsigned int j = 0; m == 0 && j < pairs; j++)
		set->hold |= vring[2 * j + ops->tx].paused;
}

static void
add_tx_ring(const struct vring_queue_ops *ops, struct vring_port_vring *s, bool shared,
	    struct vring_poll_set *set)
{
	struct vring_poll_entry *ring = &set->entry[set->n++];
	const char *mode;

	ring->cursor = s->cursor;
	ring->ring = s->ring;
	ring->lock = shared ? &s->lock : NULL;
	ring->tx = ops->tx_select(s->ring, &mode);
	if (set->n == 1)
		set->mode = mode;
}

void
vring_qmap_tx(const struct vring_queue_ops *ops, struct vring_port_vring *vring,
	      uint16_t pairs, uint16_t i, uint16_t n, enum vnet_drop why,
	      struct vring_poll_set *set)
{
	unsigned int m = count_enabled(vring, pairs, ops->tx);

	begin_tx(ops, vring, pairs, m, why, set);
	/* Queues i % m, i % m + m, ... have this ring; is there a second one? */
	if (m > 0)
		add_tx_ring(ops, nth_enabled(vring, pairs, ops->tx, i % m), i % m + m < n,
			    set);
}

void
vring_qmap_tx_all(const struct vring_queue_ops *ops, struct vring_port_vring *vring,
		  uint16_t pairs, uint16_t n, enum vnet_drop why, struct vring_poll_set *set)
{
	begin_tx(ops, vring, pairs, count_enabled(vring, pairs, ops->tx), why, set);
	for (unsigned int j = 0; j < pairs; j++)
		if (vring_qmap_enabled(&vring[2 * j + ops->tx]))
			add_tx_ring(ops, &vring[2 * j + ops->tx], n > 1, set);
}

bool
vring_qmap_moved(const struct vring_poll_set *a, const struct vring_poll_set *b)
{
	unsigned int an = a == NULL ? 0 : a->n, bn = b == NULL ? 0 : b->n;

	if (an != bn)
		return true;
	for (unsigned int i = 0; i < an; i++)
		if (a->entry[i].cursor != b->entry[i].cursor ||
		    a->entry[i].lock != b->entry[i].lock)
			return true;
	return false;
}

bool
vring_qmap_same(const struct vring_poll_set *a, const struct vring_poll_set *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	if (vring_qmap_moved(a, b) || (a->n == 0 && (a->why != b->why || a->hold != b->hold)))
		return false;
	for (unsigned int i = 0; i < a->n; i++)
		if (a->entry[i].ring != b->entry[i].ring || a->entry[i].rx != b->entry[i].rx)
			return false;
	return true;
}
