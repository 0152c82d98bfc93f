/* SPDX-License-Identifier: BSD-3-Clause */
/* Rings of a session: what the front-end says of them, when they start, stop and change. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "vhost_be_session.h"
#include "vhost_net_hdr.h"
#include "virtq_dev.h"
#include "virtq_notify.h"

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void
vhost_be_ring_init(struct vhost_be_vring *r, uint16_t qid)
{
	memset(r, 0, sizeof(*r));
	r->qid = qid;
	r->kick = r->call = r->err = -1;
}

/* Nobody uses it any more. */
static void
close_call(struct vhost_be_vring *r)
{
	close_fd(&r->call);
	vhost_be_relay_stop(r->relay);
	r->relay = NULL;
}

void
vhost_be_ring_reset(struct vhost_be_vring *r)
{
	const struct vhost_be_vring old = *r;

	close_fd(&r->kick);
	vhost_be_ring_init(r, r->qid);
	r->call = old.call;
	r->err = old.err;
	r->relay = old.relay;
}

void
vhost_be_ring_drop(struct vhost_be_vring *r)
{
	vhost_be_ring_reset(r);
	close_call(r);
	close_fd(&r->err);
}

bool
vhost_be_rings_running(const struct vhost_be *be)
{
	for (uint16_t i = 0; i < be->nrings; i++)
		if (be->vring[i].ring != NULL || be->vring[i].paused_ns != 0)
			return true;
	return false;
}

bool
vhost_be_rings_enabled(const struct vhost_be *be)
{
	for (uint16_t i = 0; i < be->nrings; i++)
		if (be->vring[i].ring != NULL && be->vring[i].ring->enabled)
			return true;
	return false;
}

/* No burst uses the ring any more: keep its position, and free it. */
static void
ring_stopped(struct vhost_be *be, struct vhost_be_vring *r)
{
	r->base = virtq_dev_get_base(be->vq[r->qid], r->ring->packed);
	r->has_base = true;
	virtq_ring_free(r->ring);
	r->ring = NULL;
}

static void
ring_stop(struct vhost_be *be, struct vhost_be_vring *r)
{
	const bool paused = r->paused_ns != 0;

	r->paused_ns = 0;
	if (r->ring == NULL && !paused)
		return;
	if (be->cvq.qid == r->qid)
		vhost_be_cvq_end(be);
	else
		be->ops->ring_publish(be->ctx, r->qid, NULL);
	if (r->ring != NULL)
		ring_stopped(be, r);
}

void
vhost_be_rings_publish(struct vhost_be *be)
{
	struct virtq_ring *cvq = NULL;

	/* Not the owner's. */
	if (be->cvq.qid >= 0) {
		cvq = be->rings[be->cvq.qid];
		be->rings[be->cvq.qid] = NULL;
	}
	be->ops->rings_publish(be->ctx, (const struct virtq_ring *const *)be->rings, be->nrings);
	if (be->cvq.qid >= 0)
		be->rings[be->cvq.qid] = cvq;
}

void
vhost_be_rings_stop(struct vhost_be *be)
{
	if (!vhost_be_rings_running(be))
		return;
	memset(be->rings, 0, be->nrings * sizeof(be->rings[0]));
	vhost_be_rings_publish(be);
	vhost_be_cvq_end(be);
	for (uint16_t i = 0; i < be->nrings; i++) {
		be->vring[i].paused_ns = 0;
		if (be->vring[i].ring != NULL)
			ring_stopped(be, &be->vring[i]);
	}
}

void
vhost_be_rings_forget(struct vhost_be *be)
{
	for (uint16_t i = 0; i < be->nrings; i++)
		if (be->vring[i].ring != NULL)
			be->vring[i].kicked = false;
	vhost_be_rings_stop(be);
}

void
vhost_be_rings_reset_device(struct vhost_be *be)
{
	vhost_be_rings_stop(be);
	for (uint16_t i = 0; i < be->nrings; i++) {
		const struct vhost_be_vring old = be->vring[i];

		vhost_be_state_forget(be, &old);
		vhost_be_ring_reset(&be->vring[i]);
		/* QEMU 7.2 has a device reset before it asks for the base that it goes on from. */
		be->vring[i].has_left = old.has_base || old.has_left;
		be->vring[i].left = old.has_base ? old.base : old.left;
	}
	be->features = 0;
	vhost_be_iotlb_follow(be, 0, be->mem);
	be->features_set = false;
	be->features_bad = false;
	be->status = 0;
	INFO_SET(be, status, 0);
	vhost_be_session_report_features(be);
}

void
vhost_be_ring_moved(struct vhost_be *be, struct vhost_be_vring *r, struct virtq_ring *ring)
{
	if (r->ring == NULL)
		return;
	if (ring == NULL) {
		vhost_be_session_log(be, VHOST_LOG_NOTICE,
				     "ring %u stopped: the new memory does not contain it, is "
				     "yet to be translated, or memory ran out", r->qid);
		if (be->cvq.qid == r->qid)
			vhost_be_cvq_end(be);
		ring_stopped(be, r);
		r->start_failed = true;
		return;
	}
	virtq_ring_free(r->ring);
	r->ring = ring;
	r->stale = false;
}

void
vhost_be_ring_pause(struct vhost_be *be, struct vhost_be_vring *r)
{
	if (be->cvq.qid == r->qid) {
		ring_stop(be, r);
	} else {
		be->ops->ring_pause(be->ctx, r->qid);
		r->paused_ns = evloop_now_ns();
		ring_stopped(be, r);
	}
	r->start_failed = false;
	r->wanted_ns = 0;
}

void
vhost_be_ring_give_up(struct vhost_be *be, struct vhost_be_vring *r)
{
	ring_stop(be, r);
}

void
vhost_be_ring_check(struct vhost_be *be, struct vhost_be_vring *r)
{
	enum virtq_error e;

	if (r->ring == NULL)
		return;
	e = __atomic_load_n(&be->vq[r->qid]->cursor.broken, __ATOMIC_RELAXED);
	if (e == VIRTQ_OK)
		return;
	/* The burst that found it has signalled the error fd. */
	vhost_be_session_log(be, VHOST_LOG_WARNING, "ring %u stopped: the driver broke it (%s)",
			     r->qid,
			     virtq_ring_error_name(e));
	ring_stop(be, r);
	r->broken = true;
}

void
vhost_be_rings_retry(struct vhost_be *be)
{
	for (uint16_t i = 0; i < be->nrings; i++)
		be->vring[i].start_failed = false;
}

static bool
ring_ready(const struct vhost_be *be, const struct vhost_be_vring *r)
{
	return be->features_set && be->mem != NULL &&
	       (!be->iotlb.needed || be->iotlb.map != NULL) && r->num != 0 && r->has_addr &&
	       r->kicked && !r->broken;
}

/* A ring's address as the IOTLB has it, if there is one. */
static uint64_t
ring_addr(const struct vhost_be *be, uint64_t uva)
{
	const bool physical = be->iotlb.by_pages && be->iotlb.whole == NULL;
	const struct virtq_region *r =
		physical ? virtq_mem_find_uva(be->iotlb.map->mem, uva) : NULL;

	return r == NULL ? uva : r->gpa + (uva - r->uva);
}

struct virtq_ring_config
vhost_be_ring_config(const struct vhost_be *be, const struct vhost_be_vring *r)
{
	return (struct virtq_ring_config){
		.size = r->num,
		.features = be->features,
		.desc_uva = ring_addr(be, r->addr.desc),
		.avail_uva = ring_addr(be, r->addr.avail),
		.used_uva = ring_addr(be, r->addr.used),
		.iotlb = be->iotlb.map,
		.missfd = be->iotlb.missfd,
		.enabled = r->enabled,
		.callfd = r->call,
		.errfd = r->err,
		.wakefd = r->wakes ? r->kick : -1,
		.qid = r->qid,
		.hdr_len = vhost_net_hdr_len(be->features),
		.log = be->features & VIRTQ_BIT(VHOST_F_LOG_ALL) ? be->log : NULL,
		.log_used = r->addr.flags & VHU_ADDR_F_LOG,
		.log_gpa = r->addr.log,
	};
}

int
vhost_be_ring_build(struct vhost_be *be, struct vhost_be_vring *r, struct virtq_mem *mem,
		    struct virtq_ring **ring)
{
	const struct virtq_ring_config cfg = vhost_be_ring_config(be, r);
	int rc;

	if (be->iotlb.needed && be->iotlb.map == NULL)
		return -ENOMEM;
	rc = virtq_ring_new(&cfg, mem, ring);
	if (rc == -EFAULT && be->iotlb.map != NULL && vhost_be_iotlb_want_ring(be, r, &cfg))
		return -EAGAIN;
	return rc;
}

static const char *
build_error(int rc)
{
	switch (rc) {
	case -EFAULT:
		return "its addresses are not in the shared memory, or behind the IOMMU not in "
		       "one piece";
	case -EINVAL:
		return "its size or addresses cannot be right: its parts must be aligned and "
		       "must not overlap";
	default:
		return "out of memory";
	}
}

/* The ring cannot start. This is reported once: by the ring's error fd and in the log. */
static int
ring_fails(struct vhost_be *be, struct vhost_be_vring *r, int rc, const char *why)
{
	if (rc != -EAGAIN || r->ring != NULL)
		ring_stop(be, r);
	r->start_failed = true;
	if (rc == -EAGAIN) /* it starts when its translations have come */
		return 0;
	/* Memory can come region by region: no fault unless the message is about the ring. */
	if (rc == -EFAULT && be->about != r->qid)
		return rc;
	virtq_notify(r->err);
	vhost_be_session_log(be, VHOST_LOG_WARNING, "ring %u does not run: %s", r->qid, why);
	return vhost_be_session_refuse(be, rc, why);
}

/* Start a vring, or replace the ring of a running one, whose position stays. */
static int
ring_update(struct vhost_be *be, struct vhost_be_vring *r)
{
	struct virtq_ring *ring, *old = r->ring;
	int rc = vhost_be_ring_build(be, r, be->mem, &ring);

	if (rc < 0)
		return ring_fails(be, r, rc, build_error(rc));
	/* One that was paused stands where it stood. */
	if (old == NULL && r->paused_ns == 0 && vhost_be_place(be, r, ring) < 0) {
		virtq_ring_free(ring);
		return ring_fails(be, r, -EINVAL, "its base cannot be right: it must be in the "
				  "ring, or for split rings at most one ring behind the driver");
	}
	r->ring = ring;
	r->stale = r->has_left = r->has_loaded = false;
	r->wanted_ns = r->paused_ns = 0;
	if (r->qid == vhost_be_cvq_find(be))
		vhost_be_cvq_begin(be, r);
	else
		be->ops->ring_publish(be->ctx, r->qid, ring);
	virtq_ring_free(old);
	return 0;
}

/* Vrings whose part has changed stop, and start again as what they are. */
static void
update_cvq(struct vhost_be *be)
{
	const int found = vhost_be_cvq_find(be);

	if (found == be->cvq.qid)
		return;
	if (be->cvq.qid >= 0)
		ring_stop(be, &be->vring[be->cvq.qid]);
	if (found >= 0)
		ring_stop(be, &be->vring[found]);
}

int
vhost_be_rings_update(struct vhost_be *be)
{
	int about_rc = 0;

	update_cvq(be);
	for (uint16_t i = 0; i < be->nrings; i++) {
		struct vhost_be_vring *r = &be->vring[i];
		int rc = 0;

		if (!ring_ready(be, r))
			ring_stop(be, r);
		else if (r->ring == NULL ? !r->start_failed : r->stale)
			rc = ring_update(be, r);
		if (i == be->about)
			about_rc = rc;
	}
	return about_rc;
}

/* The ring of an index as it came, or NULL with the reason noted. */
static struct vhost_be_vring *
find_ring(struct vhost_be *be, uint32_t index)
{
	struct vhost_be_vring *r;

	if (index >= be->nrings) {
		vhost_be_session_refuse(be, -EINVAL, "no ring with this index: each of the port's "
					"queue pairs has two");
		return NULL;
	}
	r = &be->vring[index];
	vhost_be_ring_check(be, r);
	return r;
}

/* The message in progress is about this vring, and may make it able to start. */
static void
ring_touched(struct vhost_be *be, struct vhost_be_vring *r)
{
	be->about = r->qid;
	r->start_failed = false;
}

int
vhost_be_ring_on_set_vring_num(struct vhost_be *be, struct vhu_msg *msg)
{
	struct vhost_be_vring *r = find_ring(be, msg->state.index);
	const uint32_t num = msg->state.num;
	bool packed_possible;

	if (r == NULL)
		return -EINVAL;
	if (num == 0 || num > VIRTQ_MAX_SIZE)
		return vhost_be_session_refuse(be, -EINVAL, "a ring has 1 to 32768 entries");
	/* Before the features are known, the layout is not either. */
	packed_possible = be->features_set ? vhost_be_session_packed(be) :
					     be->offered & VIRTQ_BIT(VIRTIO_F_RING_PACKED);
	if (!packed_possible && (num & (num - 1)) != 0)
		return vhost_be_session_refuse(be, -EINVAL,
					       "the size of a split ring is a power of two");
	/* Another ring, which the front-end has not stopped before: its addresses come next. */
	if ((r->ring != NULL || r->paused_ns != 0) && num != r->num) {
		ring_stop(be, r);
		r->has_addr = r->has_base = false;
	}
	r->num = num;
	ring_touched(be, r);
	return 0;
}

/* What is wrong with addresses whatever the memory; NULL: nothing. VIRTIO 1.2, 2.7 and 2.8. */
static const char *
bad_addr(const struct vhost_be *be, const struct vhu_vring_addr *a)
{
	const uint64_t avail_align = be->features_set && vhost_be_session_packed(be) ? 4 : 2;

	if (a->desc % 16 != 0 || a->avail % avail_align != 0 || a->used % 4 != 0)
		return "ring addresses are not aligned: 16 bytes are due for descriptors, "
		       "2 (packed: 4) for the driver's part, 4 for the device's";
	return NULL;
}

int
vhost_be_ring_on_set_vring_addr(struct vhost_be *be, struct vhu_msg *msg)
{
	struct vhost_be_vring *r = find_ring(be, msg->addr.index);
	const char *why;
	struct virtq_ring *trial;
	int rc;

	if (r == NULL)
		return -EINVAL;
	why = bad_addr(be, &msg->addr);
	if (why != NULL)
		return vhost_be_session_refuse(be, -EINVAL, why);
	r->addr = msg->addr;
	r->has_addr = true;
	r->stale = true;
	r->wanted_ns = 0;
	ring_touched(be, r);
	if (ring_ready(be, r) || !be->features_set || be->mem == NULL || r->num == 0)
		return 0;
	/*
	 * The ring waits for its kick only. Who wants to know hears now whether it can start;
	 * memory that makes it possible may still come.
	 */
	rc = vhost_be_ring_build(be, r, be->mem, &trial);
	if (rc == -EAGAIN)
		return 0;
	if (rc < 0) {
		vhost_be_session_refuse(be, rc, build_error(rc));
		return VHOST_BE_DEFERRED;
	}
	virtq_ring_free(trial);
	return 0;
}

/* A broken ring starts again only after a new base and a new kick. */
static void
ring_rearm(struct vhost_be_vring *r)
{
	if (r->broken) {
		r->broken = false;
		r->kicked = false;
	}
}

int
vhost_be_ring_on_set_vring_base(struct vhost_be *be, struct vhu_msg *msg)
{
	struct vhost_be_vring *r = find_ring(be, msg->state.index);

	if (r == NULL)
		return -EINVAL;
	/* Messages come in any order: a base may follow the kick that started the ring. */
	ring_stop(be, r);
	ring_rearm(r);
	r->base = msg->state.num;
	r->has_base = true;
	r->has_left = false;
	ring_touched(be, r);
	return 0;
}

int
vhost_be_ring_on_get_vring_base(struct vhost_be *be, struct vhu_msg *msg)
{
	struct vhost_be_vring *r = find_ring(be, msg->state.index);

	if (r == NULL)
		return -EINVAL;
	ring_stop(be, r);
	vhost_be_state_forget(be, r);
	ring_rearm(r);
	r->has_loaded = r->kicked = false;
	r->start_failed = false;
	close_fd(&r->kick);
	close_call(r);
	msg->hdr.size = sizeof(msg->state);
	msg->state.num = r->has_base ? r->base : r->has_left ? r->left :
			 virtq_fresh_base(vhost_be_session_packed(be));
	return 0;
}

/* The ring of a SET_VRING_KICK, _CALL or _ERR, and whether an fd comes for it. */
static int
ring_of_fd(struct vhost_be *be, struct vhu_msg *msg, struct vhost_be_vring **r, bool *comes)
{
	const uint64_t word = msg->u64;

	*r = find_ring(be, (uint32_t)(word & VHU_FD_INDEX));
	if (*r == NULL)
		return -EINVAL;
	*comes = !(word & VHU_FD_NONE);
	if (*comes && msg->nfds != 1)
		return vhost_be_session_refuse(be, -EINVAL, "the fd is missing");
	if (!*comes && msg->nfds != 0)
		return vhost_be_session_refuse(be, -EINVAL,
					       "an fd came although the message says none");
	return 0;
}

/* Put a new fd into a ring whose owner may be using the old one. */
static void
swap_fd(struct vhost_be *be, struct vhost_be_vring *r, int *place, int fd)
{
	int old = *place;

	*place = fd;
	if (r->ring != NULL)
		ring_update(be, r); /* if it fails, the ring stopped: nobody uses the old fd */
	close_fd(&old);
}

int
vhost_be_ring_on_set_vring_kick(struct vhost_be *be, struct vhu_msg *msg)
{
	struct vhost_be_vring *r = NULL;
	bool comes;
	int fd, rc = ring_of_fd(be, msg, &r, &comes);

	if (rc < 0)
		return rc;
	if (be->cvq.qid == r->qid)
		ring_stop(be, r); /* which waits for the former one */
	/* A data ring's may be of another kind: the port polls, and it is not even kept. */
	fd = comes ? vhost_be_fd_take_event(msg) : -1;
	r->wakes = vhost_be_fd_is_eventfd(fd);
	swap_fd(be, r, &r->kick, fd);
	/* The port polls: the message itself starts the ring, no kick has to be waited for. */
	r->kicked = true;
	if (be->features_set && !r->enabled &&
	    !(be->features & VIRTQ_BIT(VHOST_USER_F_PROTOCOL_FEATURES))) {
		r->enabled = true;
		r->stale = true;
	}
	ring_touched(be, r);
	return 0;
}

int
vhost_be_ring_on_set_vring_call(struct vhost_be *be, struct vhu_msg *msg)
{
	struct vhost_be_relay *relay = NULL, *old;
	struct vhost_be_vring *r = NULL;
	bool comes;
	int fd = -1;
	int rc = ring_of_fd(be, msg, &r, &comes);

	if (rc == 0 && comes)
		rc = vhost_be_fd_take_call(be, msg, &fd, &relay);
	if (rc < 0)
		return rc;
	be->prepared = true;
	old = r->relay;
	r->relay = relay;
	swap_fd(be, r, &r->call, fd);
	vhost_be_relay_stop(old);
	/* What was used meanwhile may have been called on the old fd. */
	if (r->ring != NULL)
		virtq_notify(r->call);
	return 0;
}

int
vhost_be_ring_on_set_vring_err(struct vhost_be *be, struct vhu_msg *msg)
{
	struct vhost_be_vring *r = NULL;
	bool comes;
	int rc = ring_of_fd(be, msg, &r, &comes);

	if (rc < 0)
		return rc;
	/* One of another kind is not signalled; lib/vhost signals none. */
	swap_fd(be, r, &r->err, comes ? vhost_be_fd_take_event(msg) : -1);
	return 0;
}

int
vhost_be_ring_on_set_vring_enable(struct vhost_be *be, struct vhu_msg *msg)
{
	struct vhost_be_vring *r = find_ring(be, msg->state.index);

	if (r == NULL)
		return -EINVAL;
	if (r->enabled == (msg->state.num != 0))
		return 0;
	r->enabled = msg->state.num != 0;
	r->stale = true;
	ring_touched(be, r);
	return 0;
}
