/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One function for each ordering of doc/guides/prog_guide/barriers.rst that is inline elsewhere.
 * Nobody calls them: devtools/orderings.py looks at what the compiler makes of them.
 */
#include "virtq_dev.h"
#include "virtq_drv_bulk.h"
#include "virtq_rcu.h"
#include "vnet_zc.h"

#define ORDERING static __attribute__((noinline, used))

ORDERING bool
orderings_driver_publishes_split(struct virtq_drv *drv, const struct virtq_ring *ring)
{
	return virtq_drv_publish(drv, ring, false);
}

ORDERING bool
orderings_driver_publishes_packed(struct virtq_drv *drv, const struct virtq_ring *ring)
{
	return virtq_drv_publish(drv, ring, true);
}

ORDERING void
orderings_driver_adds_packed(struct virtq_drv *drv, const struct virtq_ring *ring,
			     const struct virtq_drv_seg *seg)
{
	virtq_drv_add(drv, ring, drv, seg, 1, 0, true);
}

ORDERING void
orderings_driver_puts_packed(struct virtq_drv *drv, struct virtq_drv_bulk *bulk)
{
	virtq_drv_bulk_put(drv, bulk, 0, 0, 0, true);
}

ORDERING uint16_t
orderings_device_looks_split(struct virtq_dev *dev, const struct virtq_ring *ring,
			     struct virtq_pos pos)
{
	return virtq_dev_avail_split(dev, ring, pos, 1);
}

ORDERING uint16_t
orderings_device_fetches_packed(struct virtq_dev *dev, const struct virtq_ring *ring,
				struct virtq_fetch *f, struct virtq_chain *c)
{
	return virtq_dev_fetch_packed(dev, ring, f, c, 1, false, virtq_dev_prefetch_nothing);
}

ORDERING void
orderings_device_uses_split(struct virtq_dev *dev, const struct virtq_ring *ring,
			    const struct virtq_chain *c)
{
	virtq_dev_put_used_split(dev, ring, c, 1, false);
}

ORDERING void
orderings_device_uses_packed(struct virtq_dev *dev, const struct virtq_ring *ring,
			     const struct virtq_chain *c)
{
	virtq_dev_push_used_packed(dev, ring, c, 1, true, false);
}

ORDERING uint16_t
orderings_driver_takes_split(struct virtq_drv *drv, const struct virtq_ring *ring)
{
	return virtq_drv_used_split(drv, ring);
}

ORDERING bool
orderings_driver_takes_packed(const struct virtq_drv *drv, const struct virtq_ring *ring,
			      uint32_t *id, uint32_t *len)
{
	return virtq_drv_used_entry(drv, ring, 0, id, len, true);
}

ORDERING uint16_t
orderings_driver_takes_many(const struct virtq_ring *ring, const struct virtq_drv_used *used)
{
	return virtq_drv_used_dma(ring, used, used->left);
}

ORDERING void
orderings_driver_kicks_split(struct virtq_drv *drv, const struct virtq_ring *ring)
{
	virtq_drv_kick(drv, ring, false);
}

ORDERING void
orderings_driver_kicks_packed(struct virtq_drv *drv, const struct virtq_ring *ring)
{
	virtq_drv_kick(drv, ring, true);
}

ORDERING void
orderings_device_calls_split(struct virtq_dev *dev, const struct virtq_ring *ring)
{
	virtq_dev_notify(dev, ring, false);
}

ORDERING void
orderings_device_calls_packed(struct virtq_dev *dev, const struct virtq_ring *ring)
{
	virtq_dev_notify(dev, ring, true);
}

ORDERING void *
orderings_burst_enters(struct virtq_rcu *rcu)
{
	return virtq_rcu_read_lock(rcu);
}

ORDERING void
orderings_burst_leaves(struct virtq_rcu *rcu)
{
	virtq_rcu_read_unlock(rcu);
}

ORDERING uint16_t
orderings_device_collects(struct vnet_zc_ring *zc, struct virtq_chain *c)
{
	return vnet_zc_collect(zc, c, 1);
}
