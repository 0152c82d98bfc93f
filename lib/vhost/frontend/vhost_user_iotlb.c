/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IOTLB of a back-end that wants to be told of addresses (ACCESS_PLATFORM): it asks for what it
 * misses, and gets the whole region that holds the address. vhost-user, "IOMMU support".
 */
#include <errno.h>

#include "vhost_user_session.h"
#include "virtq_iotlb.h"

/* For all answers together. */
#define ANSWER_MS 2000
#define READ_WRITE 3	/* VHOST_ACCESS_RW */

static bool
is_wanted(const struct vhost_user *u)
{
	return u->dev->features & VIRTQ_BIT(VIRTIO_F_ACCESS_PLATFORM);
}

/* From the loop, for a request of the owner may be in progress. What is in no region is refused. */
bool
vhost_user_iotlb_serve(struct vhost_user *u, const struct vhu_msg *msg)
{
	const struct vhu_iotlb *m = &msg->iotlb;

	if (!is_wanted(u) || msg->hdr.size < VHU_IOTLB_MIN || msg->nfds != 0 ||
	    m->type != VHU_IOTLB_MISS)
		return false;
	for (uint32_t i = 0; i < u->nregions; i++) {
		if (m->iova - u->region[i].r.iova >= u->region[i].r.size)
			continue;
		if (u->dev->iotlb_pages && u->nmissed < VHOST_USER_MISSED)
			u->missed[u->nmissed++] = m->iova & ~(VIRTQ_IOTLB_PAGE - 1);
		else
			u->region[i].missed = true;
		evloop_timer_set(u->dev->loop, &u->misses, 0);
		return true;
	}
	return false;
}

int
vhost_user_iotlb_send(struct vhost_dev *dev, uint64_t iova, uint64_t size, void *addr, uint8_t perm,
		      uint8_t type)
{
	const struct vhu_iotlb msg = {
		.iova = iova,
		.size = size,
		.uva = (uint64_t)(uintptr_t)addr,
		.perm = perm,
		.type = type,
	};
	const struct vhost_user_io_request req = {
		.request = VHU_IOTLB_MSG,
		.payload = &msg,
		.size = sizeof(msg),
	};

	if (!vhost_user_has(dev, VHU_PF_REPLY_ACK))
		return vhost_dev_fail(dev, -EOPNOTSUPP, "IOTLB messages need REPLY_ACK");
	return vhost_user_io_order(dev->priv, &req);
}

static int
update_region(struct vhost_user *u, const struct vhost_region *r)
{
	return vhost_user_iotlb_send(u->dev, r->iova, r->size, r->addr, READ_WRITE,
				     VHU_IOTLB_UPDATE);
}

/* In the region, or for every other page in its twin. */
static int
update_page(struct vhost_user *u, uint64_t iova)
{
	const uint64_t twin = iova / VIRTQ_IOTLB_PAGE % 2 * VHOST_USER_TWIN;

	for (uint32_t i = 0; i < u->nregions; i++) {
		const struct vhost_region *r = &u->region[i].r;
		const uint64_t off = iova - r->iova;

		if (off < r->size && r->size - off >= VIRTQ_IOTLB_PAGE)
			return vhost_user_iotlb_send(u->dev, iova, VIRTQ_IOTLB_PAGE,
						     (uint8_t *)r->addr + twin + off, READ_WRITE,
						     VHU_IOTLB_UPDATE);
	}
	return 0; /* it has gone since */
}

/* False: the session is over. What is asked for meanwhile is among them. */
static bool
answer_pages(struct vhost_user *u)
{
	for (uint32_t i = 0; i < u->nmissed; i++)
		if (vhost_dev_is_fatal(update_page(u, u->missed[i])))
			return false;
	u->nmissed = 0;
	return true;
}

/* More may be asked for while it is answered: the timer is set again then. */
void
vhost_user_iotlb_answer(struct evloop_timer *t)
{
	struct vhost_user *u = t->owner;

	vhost_dev_allow(u->dev, ANSWER_MS);
	if (!answer_pages(u))
		return;
	for (uint32_t i = 0; i < u->nregions; i++) {
		if (!u->region[i].missed)
			continue;
		u->region[i].missed = false;
		if (vhost_dev_is_fatal(update_region(u, &u->region[i].r)))
			break;
	}
}

int
vhost_user_iotlb_forget(struct vhost_user *u, const struct vhost_region *r)
{
	if (!is_wanted(u))
		return 0;
	return vhost_user_iotlb_send(u->dev, r->iova, r->size, NULL, 0, VHU_IOTLB_INVALIDATE);
}
