/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The data rings of a front-end. Their memory is reserved with the session; everything else
 * happens in the loop's thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vhost_fe_session.h"
#include "vhost_net_hdr.h"
#include "vhu_msg.h"
#include "virtq_notify.h"

/* Room for either layout: which one it is shows with each session. */
static uint64_t
ring_bytes(uint32_t size)
{
	struct virtq_drv_layout split, packed;

	virtq_drv_layout(size, false, &split);
	virtq_drv_layout(size, true, &packed);
	return split.bytes > packed.bytes ? split.bytes : packed.bytes;
}

static int
reserve_ring(struct vhost_fe *fe, uint16_t qid, struct virtq_drv *drv)
{
	struct vhost_fe_ring *ring = &fe->ring[qid];

	ring->base = fe->ops->ring_alloc(fe->ctx, qid, ring_bytes(fe->queue_size));
	ring->drv = drv;
	ring->kickfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (ring->kickfd < 0)
		return -errno;
	if (qid % 2 == 0) {
		ring->callfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (ring->callfd < 0)
			return -errno;
	}
	return ring->base == NULL ? -ENOMEM : 0;
}

int
vhost_fe_rings_alloc(struct vhost_fe *fe, struct virtq_drv *drv)
{
	const uint16_t n = 2 * fe->pairs;
	int rc = 0;

	fe->log.fd = -1;
	fe->ring = calloc(n, sizeof(*fe->ring));
	if (fe->ring == NULL)
		return -ENOMEM;
	for (uint16_t qid = 0; qid < n; qid++)
		fe->ring[qid].kickfd = fe->ring[qid].callfd = -1;
	fe->rings = calloc(n, sizeof(*fe->rings));
	if (fe->rings == NULL)
		return -ENOMEM;
	for (uint16_t qid = 0; qid < n && rc == 0; qid++)
		rc = reserve_ring(fe, qid, &drv[qid]);
	return rc;
}

void
vhost_fe_rings_free(struct vhost_fe *fe)
{
	for (uint16_t qid = 0; fe->ring != NULL && qid < 2 * fe->pairs; qid++) {
		if (fe->ring[qid].base != NULL)
			fe->ops->ring_free(fe->ctx, qid);
		if (fe->ring[qid].kickfd >= 0)
			close(fe->ring[qid].kickfd);
		if (fe->ring[qid].callfd >= 0)
			close(fe->ring[qid].callfd);
	}
	free(fe->ring);
	free(fe->rings);
	fe->ring = NULL;
	fe->rings = NULL;
}

/* What the device allows; a split ring has a power of two. */
uint32_t
vhost_fe_ring_fit(const struct vhost_fe *fe, uint32_t most, bool packed)
{
	uint32_t size = fe->queue_size;

	if (most != 0 && most < size)
		size = most;
	while (!packed && (size & (size - 1)) != 0)
		size &= size - 1;
	return size;
}

static int
choose_size(struct vhost_fe *fe, unsigned int qid, uint32_t *size)
{
	uint32_t most = 0;
	int rc = vhost_get_vring_max(fe->dev, qid, &most);

	if (rc != 0 && rc != -EOPNOTSUPP)
		return rc;
	*size = vhost_fe_ring_fit(fe, rc == 0 ? most : 0,
				  vhost_fe_session_has(fe, VIRTIO_F_RING_PACKED));
	return 0;
}

/*
 * The features that a burst goes by. The device may merge packets until it is told not to, so that
 * receive offloads which it has and the owner does not want are left out here.
 */
static uint64_t
ring_features(const struct vhost_fe *fe)
{
	return fe->features & ~(VHOST_FE_GUEST_LRO & ~fe->guest_offloads);
}

/* NULL: the kick fd is used. */
static void *
map_notifier(struct vhost_fe *fe, unsigned int qid)
{
	void *notifier;

	return vhost_map_notifier(fe->dev, qid, &notifier) == 0 ? notifier : NULL;
}

static void
unmap_notifier(struct vhost_fe *fe, unsigned int qid, void *notifier)
{
	if (notifier != NULL)
		vhost_unmap_notifier(fe->dev, qid, notifier);
}

static int
init_ring(struct vhost_fe *fe, uint16_t qid)
{
	struct vhost_fe_ring *ring = &fe->ring[qid];
	struct virtq_ring_config cfg = {
		.features = ring_features(fe),
		.enabled = true,
		.callfd = ring->kickfd,
		.errfd = -1,
		.wakefd = ring->callfd,
		.qid = qid,
		.hdr_len = vhost_net_hdr_len(ring_features(fe)),
	};
	int rc = choose_size(fe, qid, &cfg.size);

	if (rc != 0)
		return rc;
	rc = virtq_drv_init(ring->drv, ring->base, fe->ops->ring_iova(fe->ctx, ring->base), &cfg,
			    &ring->ring);
	if (rc != 0)
		return vhost_dev_fail(fe->dev, rc, "vring %u: %s", qid, strerror(-rc));
	ring->ring->notifier = map_notifier(fe, qid);
	if (qid % 2 == 0)
		fe->ops->fill(fe->ctx, qid, ring->drv, ring->ring);
	return 0;
}

static int
set_addr(struct vhost_fe *fe, uint32_t qid, const struct virtq_ring *ring, bool log)
{
	const struct vhost_vring_addr addr = {
		.desc = ring->desc,
		.avail = ring->avail,
		.used = ring->used,
		.desc_iova = fe->ops->ring_iova(fe->ctx, ring->desc),
		.avail_iova = fe->ops->ring_iova(fe->ctx, ring->avail),
		.used_iova = fe->ops->ring_iova(fe->ctx, ring->used),
		.log = log,
	};

	return vhost_set_vring_addr(fe->dev, qid, &addr);
}

int
vhost_fe_ring_log(struct vhost_fe *fe, uint32_t qid)
{
	return set_addr(fe, qid, fe->ring[qid].ring, true);
}

int
vhost_fe_ring_set(struct vhost_fe *fe, uint32_t qid, const struct virtq_ring *ring, int kickfd)
{
	int rc = vhost_set_vring_num(fe->dev, qid, ring->size);

	if (rc == 0)
		rc = vhost_set_vring_base(fe->dev, qid, virtq_fresh_base(ring->packed));
	if (rc == 0)
		rc = set_addr(fe, qid, ring, false);
	if (rc == 0)
		rc = vhost_set_vring_kick(fe->dev, qid, kickfd);
	if (rc == 0)
		rc = vhost_set_vring_call(fe->dev, qid,
					  ring->wakefd >= 0 ? ring->wakefd : fe->callfd);
	return rc;
}

static int
set_data_ring(struct vhost_fe *fe, unsigned int qid)
{
	int rc = vhost_fe_ring_set(fe, qid, fe->ring[qid].ring, fe->ring[qid].kickfd);

	if (rc == 0)
		rc = vhost_set_vring_err(fe->dev, qid, fe->errfd);
	return rc == -EOPNOTSUPP ? 0 : rc;
}

/* The back-end is done with all that it was told. */
static int
is_there(struct vhost_fe *fe)
{
	uint64_t features;

	return vhost_get_features(fe->dev, &features);
}

/* Offer a ring a descriptor for calls, and see that the back-end is still there. */
static int
probe_ring(struct vhost_fe *fe, unsigned int qid)
{
	int rc = vhost_set_vring_call(fe->dev, qid, fe->callfd);

	if (rc != 0 || (fe->dev->protocol & VIRTQ_BIT(VHU_PF_REPLY_ACK)))
		return rc;
	return is_there(fe);
}

/*
 * GET_QUEUE_NUM is answered in queue pairs by network back-ends (QEMU's unit), in rings by those
 * made with libvhost-user or rust-vmm. Which of both shows only at the rings beyond the number. The
 * call descriptor is what can be tried on them: it may come before all else of a ring, and the
 * index of SET_VRING_NUM is not checked by libvhost-user.
 */
int
vhost_fe_rings_probe(struct vhost_fe *fe)
{
	const unsigned int last = 2u * fe->in_use - 1;
	int rc;

	if (vhost_fe_session_kernel(fe) || fe->in_use < 2 || last < fe->pairs_said)
		return 0;
	/* What was said before may be the end of one as well, and has to do with no ring. */
	rc = is_there(fe);
	if (rc != 0)
		return rc;
	rc = probe_ring(fe, last);
	/* One that is slow has said nothing. */
	if (rc == 0 || rc == -ETIMEDOUT)
		return rc;
	fe->counts_rings = true;
	fe->limits.max_pairs = vhost_fe_features_max_pairs(fe);
	vhost_fe_session_log(fe, VHOST_LOG_NOTICE, "the back-end counts vrings: it said %u and has "
			     "no vring %u", fe->pairs_said, last);
	fe->ops->limits(fe->ctx, &fe->limits);
	fe->in_use = vhost_fe_features_pairs(fe);
	return vhost_dev_is_fatal(rc) ? rc : 0;
}

int
vhost_fe_rings_up(struct vhost_fe *fe)
{
	int rc = 0;

	for (uint16_t qid = 0; qid < 2u * fe->in_use && rc == 0; qid++) {
		rc = init_ring(fe, qid);
		if (rc == 0)
			rc = set_data_ring(fe, qid);
	}
	return rc;
}

int
vhost_fe_rings_enable(struct vhost_fe *fe)
{
	int rc = 0;

	for (unsigned int qid = 0; qid < 2u * fe->in_use && rc == 0; qid++)
		rc = vhost_set_vring_enable(fe->dev, qid, true);
	/* A back-end without protocol features has its rings enabled. */
	return rc == -EOPNOTSUPP && !fe->vdpa ? 0 : rc;
}

/*
 * vhost-user, "Ring states": the first kick starts a ring, also an empty one. It is the descriptor
 * that does so, whatever notifier there is.
 */
void
vhost_fe_rings_kick(struct vhost_fe *fe)
{
	for (unsigned int qid = 0; qid < 2u * fe->in_use; qid++) {
		const struct vhost_fe_ring *ring = &fe->ring[qid];

		virtq_drv_notify(ring->drv, ring->ring);
		if (!fe->vdpa && ring->ring->notifier != NULL)
			virtq_notify(ring->kickfd);
	}
}

void
vhost_fe_rings_publish(struct vhost_fe *fe)
{
	const uint16_t n = 2 * fe->pairs;

	for (uint16_t qid = 0; qid < n; qid++)
		fe->rings[qid] = qid < 2 * fe->in_use ? fe->ring[qid].ring : NULL;
	fe->published = fe->rings[0] != NULL;
	fe->ops->publish(fe->ctx, fe->rings, n);
}

/* Rings with the notifiers that there are now. 0 or -ENOMEM; *former[qid]: the ring until then. */
static int
change_notifiers(struct vhost_fe *fe, struct virtq_ring **former)
{
	for (unsigned int qid = 0; qid < 2u * fe->in_use; qid++) {
		struct vhost_fe_ring *ring = &fe->ring[qid];
		struct virtq_ring *next;

		next = virtq_ring_with_notifier(ring->ring, map_notifier(fe, qid));
		if (next == NULL)
			return vhost_dev_fail(fe->dev, -ENOMEM, "no memory for a notifier");
		former[qid] = ring->ring;
		ring->ring = next;
	}
	return 0;
}

int
vhost_fe_rings_remap(struct vhost_fe *fe)
{
	struct virtq_ring *former[2 * VHOST_FE_MAX_PAIRS] = { NULL };
	int rc = change_notifiers(fe, former);

	vhost_fe_rings_publish(fe);
	for (unsigned int qid = 0; qid < 2u * fe->in_use; qid++) {
		if (former[qid] == NULL)
			continue;
		unmap_notifier(fe, qid, former[qid]->notifier);
		virtq_ring_free(former[qid]);
		/* The last kick may have gone where nobody looks any more. */
		virtq_drv_notify_device(fe->ring[qid].ring);
	}
	return rc;
}

uint16_t
vhost_fe_rings_notifiers(const struct vhost_fe *fe)
{
	uint16_t n = 0;

	for (unsigned int qid = 0; fe->running && qid < 2u * fe->in_use; qid++)
		n += fe->ring[qid].ring != NULL && fe->ring[qid].ring->notifier != NULL;
	return n;
}

bool
vhost_fe_rings_unheard(struct vhost_fe *fe)
{
	for (unsigned int qid = 0; qid < 2u * fe->in_use; qid++)
		if (vhost_notifier_lost(fe->dev, qid))
			return true;
	return false;
}

void
vhost_fe_rings_announce(struct vhost_fe *fe)
{
	const struct vhost_fe_ring *ring = &fe->ring[1];

	if (ring->ring != NULL)
		fe->ops->announce(fe->ctx, fe->mac.addr, ring->drv, ring->ring);
}

bool
vhost_fe_rings_stop(struct vhost_fe *fe)
{
	bool stopped = true;
	uint32_t base;
	int rc = 0;

	for (unsigned int qid = 0; qid < 2u * fe->in_use && !vhost_dev_is_fatal(rc); qid++)
		if (fe->ring[qid].ring != NULL && !fe->vdpa)
			rc = vhost_set_vring_enable(fe->dev, qid, false);
	/* Answered when the back-end is done with what it had taken. */
	for (unsigned int qid = 0; qid < 2u * fe->in_use && !vhost_dev_is_fatal(rc); qid++)
		if (fe->ring[qid].ring != NULL) {
			rc = vhost_get_vring_base(fe->dev, qid, &base);
			stopped &= rc == 0;
		}
	/* A device of the kernel tells the base of rings that run as well. */
	return stopped && !vhost_dev_is_fatal(rc) && !fe->vdpa;
}

void
vhost_fe_rings_withdraw(struct vhost_fe *fe)
{
	const uint16_t n = 2 * fe->pairs;

	memset(fe->rings, 0, n * sizeof(*fe->rings));
	fe->published = false;
	fe->ops->publish(fe->ctx, fe->rings, n);
	for (uint16_t qid = 0; qid < n; qid++) {
		struct vhost_fe_ring *ring = &fe->ring[qid];

		if (ring->ring == NULL)
			continue;
		unmap_notifier(fe, qid, ring->ring->notifier);
		ring->ring->notifier = NULL;
	}
}

bool
vhost_fe_rings_clear(struct vhost_fe *fe)
{
	bool any = false;

	for (uint16_t qid = 0; qid < 2 * fe->pairs; qid++)
		if (fe->ring[qid].ring != NULL) {
			/* One of the kernel's is stopped, and is to find no fault before. */
			if (!vhost_fe_session_kernel(fe))
				virtq_drv_clear(fe->ring[qid].ring);
			any = true;
		}
	return any;
}

static void
take_ring_down(struct vhost_fe *fe, uint16_t qid)
{
	struct vhost_fe_ring *ring = &fe->ring[qid];

	if (ring->ring == NULL)
		return;
	fe->ops->drain(fe->ctx, qid, ring->drv, ring->ring);
	virtq_drv_fini(ring->drv);
	virtq_ring_free(ring->ring);
	ring->ring = NULL;
	/* Kicks and calls that nobody took are not the next session's. */
	virtq_notify_take(ring->kickfd);
	if (ring->callfd >= 0)
		virtq_notify_take(ring->callfd);
}

void
vhost_fe_rings_down(struct vhost_fe *fe)
{
	for (uint16_t qid = 0; qid < 2 * fe->pairs; qid++)
		take_ring_down(fe, qid);
}

bool
vhost_fe_rings_broken(const struct vhost_fe *fe, unsigned int *qid)
{
	for (*qid = 0; *qid < 2u * fe->in_use; (*qid)++)
		if (fe->ring[*qid].ring != NULL &&
		    __atomic_load_n(&fe->ring[*qid].drv->cursor.broken,
				    __ATOMIC_RELAXED) != VIRTQ_OK)
			return true;
	return false;
}
