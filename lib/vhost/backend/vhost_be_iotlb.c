/* SPDX-License-Identifier: BSD-3-Clause */
/* Addresses behind a virtual IOMMU: what the session knows of them, and how it asks. */
#include "vhost_be_session.h"

bool
vhost_be_iotlb_ask(struct vhost_be *be, uint64_t iova, bool write)
{
	if (be->iotlb.by_pages)
		return vhost_be_pages_want(be, iova & ~(VIRTQ_IOTLB_PAGE - 1));
	if (vhost_be_chan_miss(be, iova & ~(VIRTQ_IOTLB_PAGE - 1), write)) {
		be->iotlb.asked_ns = evloop_now_ns();
		INFO_ADD(be, iotlb_misses);
		return true;
	}
	if (!be->iotlb.mute)
		vhost_be_session_log(be, VHOST_LOG_WARNING, "addresses behind the IOMMU cannot be "
				     "asked for: the front-end has no back-end channel, or does "
				     "not read it");
	be->iotlb.mute = true;
	return false;
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

/* Memory comes page by page, and addresses in rings are guest-physical with these features. */
static bool
comes_by_pages(const struct vhost_be *be, uint64_t features)
{
	return be->postcopy.listening && !(features & VIRTQ_BIT(VIRTIO_F_ACCESS_PLATFORM));
}

void
vhost_be_iotlb_follow(struct vhost_be *be, uint64_t features, struct virtq_mem *mem)
{
	const bool by_pages = comes_by_pages(be, features);
	struct virtq_iotlb *old;

	if (by_pages != be->iotlb.by_pages && be->iotlb.map != NULL)
		set_map(be, NULL);
	old = be->iotlb.map;
	if ((!(features & VIRTQ_BIT(VIRTIO_F_ACCESS_PLATFORM)) && !by_pages) || mem == NULL) {
		if (old != NULL)
			set_map(be, NULL);
		be->iotlb.mute = false;
		be->iotlb.asked_ns = 0;
	} else if (old == NULL) {
		set_map(be, virtq_iotlb_new(mem));
	} else if (old->mem != mem) {
		set_map(be, virtq_iotlb_moved(old, mem));
	}
	/* Without memory for a table, who needs a page waits for it. */
	be->iotlb.by_pages = by_pages && be->iotlb.map != NULL;
	if (!be->iotlb.by_pages)
		be->pages.n = 0;
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
