/* SPDX-License-Identifier: BSD-3-Clause */
/* Where a ring goes on that starts: what the front-end says, and what the ring itself says. */
#include <errno.h>

#include "vhost_be_session.h"
#include "virtq_dev_log.h"
#include "virtq_notify.h"
#include "virtq_place.h"
#include "virtq_shared.h"

/* Whether no entry of a packed ring was ever used: the device marks those. VIRTIO 1.2, 2.8.1. */
static bool
never_used(const struct virtq_ring *ring)
{
	for (uint32_t i = 0; i < ring->size; i++)
		if (virtq_load16(&ring->pdesc[i].flags) & VIRTQ_PACKED_USED)
			return false;
	return true;
}

/*
 * 0 is the second round of a ring that was used up to its end, and not its beginning; User-Mode
 * Linux sends it for that all the same.
 */
static int
place_packed(struct vhost_be *be, const struct vhost_be_vring *r, const struct virtq_ring *ring)
{
	const uint32_t said = r->has_base ? r->base : virtq_fresh_base(true);
	/* What a front-end says of a ring whose device was killed; else it knows. */
	const bool doubtful = said == 0 || said == virtq_fresh_base(true);
	const char *by = NULL;
	uint32_t base = said;
	int rc;

	if (never_used(ring)) {
		base = said == 0 ? virtq_fresh_base(true) : said;
	} else if (doubtful && vhost_be_inflight_place(be, r, ring, &base)) {
		by = "in-flight memory";
	} else if (doubtful && vhost_be_devstate_place(r, ring, &base)) {
		by = "device state";
	} else if (doubtful && vhost_be_state_place(be, r, ring, &base)) {
		by = "state file";
		virtq_notify(r->call); /* for what was half returned */
	} else if (virtq_place_packed(ring, &base)) {
		by = "entries";
	}
	if (by != NULL && base != said)
		vhost_be_session_log(be, VHOST_LOG_INFO, "ring %u goes on at 0x%x, where its %s "
				     "said, and not at its base 0x%x", r->qid, base, by, said);
	rc = virtq_dev_set_base(be->vq[r->qid], ring, base);
	if (rc == 0 && !vhost_be_inflight_begin(be, ring))
		vhost_be_state_begin(be, r, ring);
	return rc;
}

/*
 * A device that stopped has used all that it took, so it goes on where it had used up to. What
 * front-ends say after a reconnect is that (QEMU), the driver's index (cloud-hypervisor,
 * StratoVirt), 0, or nothing (Dragonball). Only where the ring's own word cannot be right theirs is
 * taken: a driver can be at most one ring ahead of the device.
 */
static int
place_split(struct vhost_be *be, const struct vhost_be_vring *r, const struct virtq_ring *ring)
{
	struct virtq_dev *vq = be->vq[r->qid];
	const uint16_t avail = virtq_load16(&ring->avail->idx);
	uint32_t start;
	int rc;

	if (!vhost_be_inflight_place(be, r, ring, &start))
		start = virtq_load16(&ring->used->idx);
	if ((uint16_t)(avail - start) > ring->size)
		start = r->has_base ? r->base & 0xffff : 0;
	if ((uint16_t)(avail - start) > ring->size)
		return -EINVAL;
	rc = virtq_dev_set_base(vq, ring, start);
	vq->cursor.used_idx = (uint16_t)start; /* the driver may have changed its word */
	if (rc == 0)
		vhost_be_inflight_begin(be, ring);
	if (r->has_base && start != r->base)
		vhost_be_session_log(be, VHOST_LOG_INFO, "ring %u goes on at %u, where it was used "
				     "up to, and not at its base %u", r->qid, start, r->base);
	return rc;
}

int
vhost_be_place(struct vhost_be *be, const struct vhost_be_vring *r, const struct virtq_ring *ring)
{
	int rc = ring->packed ? place_packed(be, r, ring) : place_split(be, r, ring);

	if (rc == 0 && ring->log != NULL)
		virtq_dev_log_events(ring);
	return rc;
}
