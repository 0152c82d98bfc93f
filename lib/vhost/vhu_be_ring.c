/* SPDX-License-Identifier: BSD-3-Clause */
/* Rings of a session: what the front-end says of them, when they start, stop and change. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vhu_be_priv.h"
#include "virtq_shared.h"
#include "virtq_signal.h"

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void
vhu_ring_init(struct vhu_ring *r, uint16_t qid)
{
	memset(r, 0, sizeof(*r));
	r->qid = qid;
	r->kick = r->call = r->err = -1;
}

void
vhu_ring_reset(struct vhu_ring *r)
{
	const int call = r->call, err = r->err;

	close_fd(&r->kick);
	vhu_ring_init(r, r->qid);
	r->call = call;
	r->err = err;
}

void
vhu_ring_drop(struct vhu_ring *r)
{
	vhu_ring_reset(r);
	close_fd(&r->call);
	close_fd(&r->err);
}

bool
vhu_rings_run(const struct vhu_be *be)
{
	for (uint16_t i = 0; i < be->nrings; i++)
		if (be->ring[i].run != NULL)
			return true;
	return false;
}

static bool
is_packed(const struct vhu_be *be)
{
	return be->features & VHU_BIT(VIRTIO_F_RING_PACKED);
}

/* The bursts have let go of the ring's run: keep where it stood, and free it. */
static void
ring_stopped(struct vhu_be *be, struct vhu_ring *r)
{
	r->base = virtq_vq_get_base(be->vq[r->qid], r->run->packed);
	r->has_base = true;
	virtq_run_free(r->run);
	r->run = NULL;
}

static void
ring_stop(struct vhu_be *be, struct vhu_ring *r)
{
	if (r->run == NULL)
		return;
	be->ops->ring_publish(be->ctx, r->qid, NULL);
	ring_stopped(be, r);
}

void
vhu_rings_publish(struct vhu_be *be)
{
	be->ops->rings_publish(be->ctx, (const struct virtq_run *const *)be->runs, be->nrings);
}

void
vhu_rings_stop(struct vhu_be *be)
{
	if (!vhu_rings_run(be))
		return;
	memset(be->runs, 0, be->nrings * sizeof(be->runs[0]));
	vhu_rings_publish(be);
	for (uint16_t i = 0; i < be->nrings; i++)
		if (be->ring[i].run != NULL)
			ring_stopped(be, &be->ring[i]);
}

void
vhu_ring_moved(struct vhu_be *be, struct vhu_ring *r, struct virtq_run *run)
{
	if (r->run == NULL)
		return;
	if (run == NULL) {
		vhu_be_log(be, VHU_LOG_NOTICE, "ring %u rests: the new memory does not hold it",
			   r->qid);
		ring_stopped(be, r);
		r->stuck = true;
		return;
	}
	virtq_run_free(r->run);
	r->run = run;
	r->stale = false;
}

void
vhu_ring_check(struct vhu_be *be, struct vhu_ring *r)
{
	enum virtq_error e;

	if (r->run == NULL)
		return;
	e = __atomic_load_n(&be->vq[r->qid]->broken, __ATOMIC_RELAXED);
	if (e == VIRTQ_OK)
		return;
	/* The burst that found it has signalled the error fd. */
	vhu_be_log(be, VHU_LOG_WARNING, "ring %u stopped: the driver broke it (%s)", r->qid,
		   virtq_error_name(e));
	ring_stop(be, r);
	r->broken = true;
}

void
vhu_rings_unstick(struct vhu_be *be)
{
	for (uint16_t i = 0; i < be->nrings; i++)
		be->ring[i].stuck = false;
}

static bool
ring_ready(const struct vhu_be *be, const struct vhu_ring *r)
{
	return be->features_set && be->mem != NULL && r->num != 0 && r->has_addr && r->kicked &&
	       !r->broken;
}

int
vhu_ring_build(struct vhu_be *be, const struct vhu_ring *r, struct virtq_mem *mem,
	       struct virtq_run **run)
{
	const struct virtq_run_config cfg = {
		.size = r->num,
		.features = be->features,
		.desc_uva = r->addr.desc,
		.avail_uva = r->addr.avail,
		.used_uva = r->addr.used,
		.enabled = r->enabled,
		.callfd = r->call,
		.errfd = r->err,
		.qid = r->qid,
	};

	return virtq_run_new(&cfg, mem, run);
}

static const char *
build_error(int rc)
{
	switch (rc) {
	case -EFAULT:
		return "its addresses are not in the shared memory";
	case -EINVAL:
		return "its size or addresses cannot be right";
	default:
		return "out of memory";
	}
}

/* A ring cannot run as it is. Its peer hears of it once, by the ring's error fd and in the log. */
static int
ring_fails(struct vhu_be *be, struct vhu_ring *r, int rc, const char *why)
{
	ring_stop(be, r);
	r->stuck = true;
	/* Its memory may come piece by piece: no fault before the front-end speaks of the ring. */
	if (rc == -EFAULT && be->about != r->qid)
		return rc;
	virtq_signal(r->err);
	vhu_be_log(be, VHU_LOG_WARNING, "ring %u does not run: %s", r->qid, why);
	return vhu_refuse(be, rc, why);
}

/* Put the cursors where the front-end wants them. The run is not published yet. */
static int
ring_place(struct vhu_be *be, const struct vhu_ring *r, const struct virtq_run *run)
{
	const uint32_t base = r->has_base ? r->base : virtq_fresh_base(run->packed);
	uint16_t ahead;

	if (virtq_vq_set_base(be->vq[r->qid], run, base) < 0)
		return -EINVAL;
	if (run->packed)
		return 0;
	/* A driver can be at most one ring ahead of the device. */
	ahead = (uint16_t)(virtq_load16(&run->avail->idx) - base);
	return ahead > run->size ? -EINVAL : 0;
}

/* Start a ring, or go on with a new run where it stands. */
static int
ring_settle(struct vhu_be *be, struct vhu_ring *r)
{
	struct virtq_run *run, *old = r->run;
	int rc = vhu_ring_build(be, r, be->mem, &run);

	if (rc < 0)
		return ring_fails(be, r, rc, build_error(rc));
	if (old == NULL && ring_place(be, r, run) < 0) {
		virtq_run_free(run);
		return ring_fails(be, r, -EINVAL, "its base cannot be right");
	}
	r->run = run;
	r->stale = false;
	be->ops->ring_publish(be->ctx, r->qid, run);
	virtq_run_free(old);
	return 0;
}

int
vhu_rings_settle(struct vhu_be *be)
{
	int about_rc = 0;

	for (uint16_t i = 0; i < be->nrings; i++) {
		struct vhu_ring *r = &be->ring[i];
		int rc = 0;

		if (!ring_ready(be, r))
			ring_stop(be, r);
		else if (r->run == NULL ? !r->stuck : r->stale)
			rc = ring_settle(be, r);
		if (i == be->about)
			about_rc = rc;
	}
	return about_rc;
}

/* The ring of an index as it came, or NULL with the reason noted. */
static struct vhu_ring *
find_ring(struct vhu_be *be, uint32_t index)
{
	struct vhu_ring *r;

	if (index >= be->nrings) {
		vhu_refuse(be, -EINVAL, "no ring with this index");
		return NULL;
	}
	r = &be->ring[index];
	vhu_ring_check(be, r);
	return r;
}

/* The message in progress says something new of a ring. */
static void
ring_touched(struct vhu_be *be, struct vhu_ring *r)
{
	be->about = r->qid;
	r->stuck = false;
}

int
vhu_on_set_vring_num(struct vhu_be *be, struct vhu_msg *msg)
{
	struct vhu_ring *r = find_ring(be, msg->state.index);
	const uint32_t num = msg->state.num;
	bool packed_possible;

	if (r == NULL)
		return -EINVAL;
	if (num == 0 || num > VIRTQ_MAX_SIZE)
		return vhu_refuse(be, -EINVAL, "a ring has 1 to 32768 entries");
	/* Before the features are known, the layout is not either. */
	packed_possible = be->features_set ? is_packed(be) :
					     be->offered & VHU_BIT(VIRTIO_F_RING_PACKED);
	if (!packed_possible && (num & (num - 1)) != 0)
		return vhu_refuse(be, -EINVAL, "the size of a split ring is a power of two");
	if (r->run != NULL && num != r->num)
		return vhu_refuse(be, -EBUSY, "the size of a running ring cannot change");
	r->num = num;
	ring_touched(be, r);
	return 0;
}

/* What is wrong with addresses whatever the memory; NULL: nothing. VIRTIO 1.2, 2.7 and 2.8. */
static const char *
bad_addr(const struct vhu_be *be, const struct vhu_vring_addr *a)
{
	const uint64_t avail_align = be->features_set && is_packed(be) ? 4 : 2;

	if (a->flags & ~VHU_ADDR_F_LOG)
		return "unknown flags of ring addresses";
	if (a->desc % 16 != 0 || a->avail % avail_align != 0 || a->used % 4 != 0)
		return "ring addresses are not aligned";
	return NULL;
}

int
vhu_on_set_vring_addr(struct vhu_be *be, struct vhu_msg *msg)
{
	struct vhu_ring *r = find_ring(be, msg->addr.index);
	const char *why;
	struct virtq_run *trial;
	int rc;

	if (r == NULL)
		return -EINVAL;
	why = bad_addr(be, &msg->addr);
	if (why != NULL)
		return vhu_refuse(be, -EINVAL, why);
	r->addr = msg->addr;
	r->has_addr = true;
	r->stale = true;
	ring_touched(be, r);
	if (ring_ready(be, r) || !be->features_set || be->mem == NULL || r->num == 0)
		return 0;
	/*
	 * The ring waits for its kick only. Who wants to know hears now whether it can start;
	 * memory that makes it possible may still come.
	 */
	rc = vhu_ring_build(be, r, be->mem, &trial);
	if (rc < 0) {
		vhu_refuse(be, rc, build_error(rc));
		return VHU_DEFERRED;
	}
	virtq_run_free(trial);
	return 0;
}

/* A broken ring goes on only from a place and with a kick that the front-end gives anew. */
static void
ring_mend(struct vhu_ring *r)
{
	if (r->broken) {
		r->broken = false;
		r->kicked = false;
	}
}

int
vhu_on_set_vring_base(struct vhu_be *be, struct vhu_msg *msg)
{
	struct vhu_ring *r = find_ring(be, msg->state.index);

	if (r == NULL)
		return -EINVAL;
	/* Messages come in any order: a base may follow the kick that started the ring. */
	ring_stop(be, r);
	ring_mend(r);
	r->base = msg->state.num;
	r->has_base = true;
	ring_touched(be, r);
	return 0;
}

int
vhu_on_get_vring_base(struct vhu_be *be, struct vhu_msg *msg)
{
	struct vhu_ring *r = find_ring(be, msg->state.index);

	if (r == NULL)
		return -EINVAL;
	ring_stop(be, r);
	ring_mend(r);
	r->kicked = false;
	r->stuck = false;
	close_fd(&r->kick);
	close_fd(&r->call);
	msg->state.num = r->has_base ? r->base : virtq_fresh_base(is_packed(be));
	return 0;
}

/* Only eventfds and their like: writing to a pipe or a socket could raise SIGPIPE or block. */
static int
check_eventfd(int fd)
{
	struct statx st;
	int flags;

	/* What a process serves would be asked by fstat(). */
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st) < 0)
		return -errno;
	if ((st.stx_mode & S_IFMT) != 0)
		return -EINVAL;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || (flags & O_ACCMODE) != O_RDWR)
		return -EINVAL;
	if (!(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

/* The ring and the fd (-1: none) of a SET_VRING_KICK, _CALL or _ERR. The fd is the caller's. */
static int
take_ring_fd(struct vhu_be *be, struct vhu_msg *msg, struct vhu_ring **r, int *fd)
{
	const uint64_t word = msg->u64;

	if (word & ~(VHU_FD_INDEX | VHU_FD_NONE))
		return vhu_refuse(be, -EINVAL, "reserved bits of a ring's fd are set");
	*r = find_ring(be, (uint32_t)(word & VHU_FD_INDEX));
	if (*r == NULL)
		return -EINVAL;
	if (word & VHU_FD_NONE) {
		if (msg->nfds != 0)
			return vhu_refuse(be, -EINVAL, "an fd came although the message says none");
		*fd = -1;
		return 0;
	}
	if (msg->nfds != 1)
		return vhu_refuse(be, -EINVAL, "the fd is missing");
	if (check_eventfd(msg->fds[0]) < 0)
		return vhu_refuse(be, -EINVAL, "not an eventfd");
	*fd = vhu_msg_take_fd(msg, 0);
	return 0;
}

int
vhu_on_set_vring_kick(struct vhu_be *be, struct vhu_msg *msg)
{
	struct vhu_ring *r = NULL;
	int fd = -1;
	int rc = take_ring_fd(be, msg, &r, &fd);

	if (rc < 0)
		return rc;
	close_fd(&r->kick);
	r->kick = fd;
	/* The port polls: the message itself starts the ring, no kick has to be waited for. */
	r->kicked = true;
	ring_touched(be, r);
	return 0;
}

/* Put a new fd into a ring whose bursts may be using the old one. */
static void
swap_fd(struct vhu_be *be, struct vhu_ring *r, int *place, int fd)
{
	int old = *place;

	*place = fd;
	if (r->run != NULL)
		ring_settle(be, r); /* if it fails, the ring stopped: nobody uses the old fd */
	close_fd(&old);
}

int
vhu_on_set_vring_call(struct vhu_be *be, struct vhu_msg *msg)
{
	struct vhu_ring *r = NULL;
	int fd = -1;
	int rc = take_ring_fd(be, msg, &r, &fd);

	if (rc < 0)
		return rc;
	swap_fd(be, r, &r->call, fd);
	/* What was used meanwhile may have been called on the old fd. */
	if (r->run != NULL)
		virtq_signal(r->call);
	return 0;
}

int
vhu_on_set_vring_err(struct vhu_be *be, struct vhu_msg *msg)
{
	struct vhu_ring *r = NULL;
	int fd = -1;
	int rc = take_ring_fd(be, msg, &r, &fd);

	if (rc < 0)
		return rc;
	swap_fd(be, r, &r->err, fd);
	return 0;
}

int
vhu_on_set_vring_enable(struct vhu_be *be, struct vhu_msg *msg)
{
	struct vhu_ring *r = find_ring(be, msg->state.index);

	if (r == NULL)
		return -EINVAL;
	if (msg->state.num > 1)
		return vhu_refuse(be, -EINVAL, "a ring is enabled with 1 and disabled with 0");
	if (r->enabled == (msg->state.num == 1))
		return 0;
	r->enabled = msg->state.num == 1;
	r->stale = true;
	ring_touched(be, r);
	return 0;
}
