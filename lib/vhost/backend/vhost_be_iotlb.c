/* SPDX-License-Identifier: BSD-3-Clause */
/* Addresses behind a virtual IOMMU: what the session knows of them, and how it asks. */
#include "vhost_be_session.h"

bool
vhost_be_iotlb_ask(struct vhost_be *be, uint64_t iova, bool write)
{
	if (be->iotlb.by_pages)
		return vhost_be_pages_want(be, iova & ~(VIRTQ_IOTLB_PAGE - 1), write);
	return vhost_be_chan_miss(be, iova, write);
}

static void
set_map(struct vhost_be *be, struct virtq_iotlb *map)
{
	virtq_iotlb_put(be->iotlb.map);
	be->iotlb.map = map;
	INFO_SET(be, iotlb_ranges, map == NULL ? 0 : virtq_iotlb_ranges(map));
	if (map == NULL) {
		evloop_timer_cancel(&be->iotlb.look);
		return;
	}
	be->iotlb.pause_ms = VHOST_BE_LOOK_MS;
	evloop_timer_set(be->loop, &be->iotlb.look, VHOST_BE_LOOK_MS);
}

static void
set_whole(struct vhost_be *be, struct virtq_iotlb *whole)
{
	virtq_iotlb_put(be->iotlb.whole);
	be->iotlb.whole = whole;
}

/* The same in another memory, or an empty one. NULL: out of memory. The caller's. */
static struct virtq_iotlb *
map_in(struct virtq_iotlb *old, struct virtq_mem *mem)
{
	if (old == NULL)
		return virtq_iotlb_new(mem);
	return old->mem == mem ? virtq_iotlb_get(old) : virtq_iotlb_moved(old, mem);
}

/* Rings have guest-physical addresses in memory that is all there. */
static void
need_no_map(struct vhost_be *be)
{
	set_whole(be, NULL);
	if (be->iotlb.map != NULL)
		set_map(be, NULL);
	be->iotlb.mute = false;
	be->iotlb.asked_ns = 0;
	be->iotlb.needed = false;
	be->iotlb.by_pages = false;
	be->pages.n = 0;
}

/*
 * While memory comes page by page, the map has the pages that have come, and only those; where an
 * IOMMU translates, what that says stands beside, and is the map when all pages have come.
 */
void
vhost_be_iotlb_follow(struct vhost_be *be, uint64_t features, struct virtq_mem *mem)
{
	const bool iommu = features & VIRTQ_BIT(VIRTIO_F_ACCESS_PLATFORM);
	const bool by_pages = be->postcopy.listening;

	if (mem == NULL || !(iommu || by_pages)) {
		need_no_map(be);
		return;
	}
	if (by_pages != be->iotlb.by_pages || (by_pages && iommu != (be->iotlb.whole != NULL))) {
		set_map(be, by_pages ? NULL : virtq_iotlb_get(be->iotlb.whole));
		set_whole(be, NULL);
		be->pages.n = 0;
	}
	if (be->iotlb.map == NULL || be->iotlb.map->mem != mem)
		set_map(be, map_in(be->iotlb.map, mem));
	if (by_pages && iommu)
		set_whole(be, map_in(be->iotlb.whole, mem));
	if (by_pages && iommu && be->iotlb.whole == NULL)
		set_map(be, NULL);
	be->iotlb.by_pages = by_pages && be->iotlb.map != NULL;
	/* Without a table addresses would be taken for others, and pages be waited for. */
	be->iotlb.needed = true;
	if (be->iotlb.map == NULL)
		vhost_be_session_log(be, VHOST_LOG_WARNING, "no ring runs: out of memory for a "
				     "table of translations");
}

/* Whether all of a part of a vring is known, if not in one piece. */
static bool
want_part(struct vhost_be *be, const struct virtq_ring_part *p, bool asks)
{
	bool known = true;

	for (uint64_t off = 0; off < p->bytes;) {
		const uint64_t iova = p->addr + off;
		uint64_t len = p->bytes - off;

		if (virtq_iotlb_find(be->iotlb.map, iova, &len, p->written) == NULL) {
			known = false;
			len = VIRTQ_IOTLB_PAGE - iova % VIRTQ_IOTLB_PAGE;
			asks = asks && vhost_be_iotlb_ask(be, iova, p->written);
		}
		off += len;
	}
	return known;
}

bool
vhost_be_iotlb_want_ring(struct vhost_be *be, struct vhost_be_vring *r,
			 const struct virtq_ring_config *cfg)
{
	const uint64_t now = evloop_now_ns();
	const bool asks = r->wanted_ns == 0 || now - r->wanted_ns > VHOST_BE_WANT_AGAIN_NS;
	struct virtq_ring_part part[3];
	bool known = true;

	virtq_ring_parts(cfg, part);
	for (int i = 0; i < 3; i++)
		known &= want_part(be, &part[i], asks);
	if (asks)
		r->wanted_ns = now;
	return !known;
}
