/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Addresses behind a virtual IOMMU: the front-end tells of translations when it is asked, and takes
 * them away when the guest does. Whoever meets an address that is not known leaves it for later:
 * bursts their chains, a vring its start.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vhost_be_session.h"
#include "virtq_dev_ahead.h"
#include "virtq_iotlb.h"
#include "virtq_notify.h"

/* Milliseconds between two looks at what lies ahead in rings that have nothing new. */
#define IDLE_LOOK_MS 16
/* Pages that come when they come, and are missed anew in one look. */
#define MAX_AGAIN 64
/* Of so many messages about translations one costs a front-end credit. */
#define CHEAP 16

/* No burst works with what was taken away any more, nor with a former table. */
static void
sync_bursts(struct vhost_be *be)
{
	be->ops->quiesce(be->ctx);
	virtq_iotlb_reclaim(be->iotlb.map);
}

struct ahead {
	struct vhost_be *be;
	struct virtq_iotlb_view *view;
	bool asked;
};

static bool
expect_page(void *ctx, uint64_t iova, bool write, uint32_t pos)
{
	struct ahead *a = ctx;

	if (!virtq_iotlb_view_expect(a->view, iova, write, pos, evloop_now_ns()))
		return true;
	a->asked = true;
	return vhost_be_iotlb_ask(a->be, iova, write);
}

/* Ask for what bursts have missed, and then for what they will. Whether there was anything. */
static bool
serve_ring(struct vhost_be *be, uint16_t qid)
{
	struct ahead a = { .be = be, .view = vhost_be_session_view(be, qid) };
	uint64_t iova;
	bool write;

	virtq_iotlb_view_look(a.view);
	for (uint32_t i = 0; virtq_iotlb_view_next_miss(a.view, &i, &iova, &write); i++) {
		const bool asked = vhost_be_iotlb_ask(be, iova, write);

		a.asked = true;
		/* Memory that comes page by page has no end to waiting: it is asked for again. */
		if (asked || !be->iotlb.by_pages)
			virtq_iotlb_view_asked(a.view, i, evloop_now_ns());
		if (!asked)
			break;
	}
	if (be->vring[qid].ring->enabled && qid != be->cvq.qid)
		virtq_dev_ahead(be->vring[qid].ring, expect_page, &a);
	return a.asked;
}

static void
page_missed(struct evloop_watch *w, uint32_t events)
{
	struct vhost_be *be = w->owner;

	virtq_notify_take(w->fd);
	vhost_be_session_serve(be, true);
	for (uint16_t i = 0; i < be->nrings; i++) {
		struct virtq_iotlb_view *view = vhost_be_session_view(be, i);

		if (view != NULL && __atomic_load_n(&view->signalled, __ATOMIC_SEQ_CST))
			serve_ring(be, i);
	}
	vhost_be_session_serve(be, false);
}

/*
 * The table was changed, which had this generation before. `used`: a burst may still use what was
 * taken away; `added`: something is known that was not.
 */
static void
commit_map(struct vhost_be *be, uint64_t generation, bool used, bool added)
{
	struct virtq_iotlb *map = be->iotlb.map;

	if (used || map->generation != generation || map->nretired >= VHOST_BE_MAX_TABLES)
		sync_bursts(be);
	INFO_SET(be, iotlb_ranges, virtq_iotlb_ranges(map));
	if (added) {
		vhost_be_rings_retry(be);
		be->ops->translated(be->ctx);
	}
}

/* Pages of memory that comes page by page are looked for. */
static void
take_pages(struct vhost_be *be)
{
	const uint64_t generation = be->iotlb.map == NULL ? 0 : be->iotlb.map->generation;
	const bool any = vhost_be_pages_look(be);

	if (be->iotlb.map == NULL)
		return;
	/* Without any, too: ranges may have been forgotten, and tables wait to be freed. */
	commit_map(be, generation, false, any);
	if (!any)
		return;
	be->about = -1;
	vhost_be_rings_update(be);
}

static void
page_came(struct evloop_watch *w, uint32_t events)
{
	virtq_notify_take(w->fd);
	vhost_be_session_serve(w->owner, true);
	take_pages(w->owner);
	vhost_be_session_serve(w->owner, false);
}

/* Vrings that wait for their own addresses ask again now and then. */
static void
want_again(struct vhost_be *be)
{
	const uint64_t now = evloop_now_ns();
	bool again = false;

	for (uint16_t i = 0; i < be->nrings; i++) {
		struct vhost_be_vring *r = &be->vring[i];

		if (r->paused_ns != 0 && now - r->paused_ns > VHOST_BE_MISS_NS)
			vhost_be_ring_give_up(be, r);
		if (r->ring == NULL && r->wanted_ns != 0 &&
		    now - r->wanted_ns > VHOST_BE_WANT_AGAIN_NS) {
			r->start_failed = false;
			again = true;
		}
	}
	if (again)
		vhost_be_rings_update(be);
}

static void
look_expired(struct evloop_timer *t)
{
	struct vhost_be *be = t->owner;
	const uint64_t old = evloop_now_ns() - VHOST_BE_MISS_NS;
	uint32_t again = MAX_AGAIN;
	bool busy = false;

	vhost_be_session_serve(be, true);
	take_pages(be);
	for (uint16_t i = 0; i < be->nrings; i++) {
		struct virtq_iotlb_view *view = vhost_be_session_view(be, i);

		if (view == NULL)
			continue;
		/* A page that comes when it comes is not given up. */
		busy |= virtq_iotlb_view_expire(view, old,
						be->iotlb.by_pages ? &again : NULL);
		busy |= serve_ring(be, i);
	}
	be->about = -1;
	want_again(be);
	be->ops->translated(be->ctx);
	vhost_be_session_serve(be, false);
	be->iotlb.pause_ms = busy ? VHOST_BE_LOOK_MS : be->iotlb.pause_ms * 2;
	if (be->iotlb.pause_ms > IDLE_LOOK_MS)
		be->iotlb.pause_ms = IDLE_LOOK_MS;
	evloop_timer_set(be->loop, t, be->iotlb.pause_ms);
}

int
vhost_be_miss_open(struct vhost_be *be, bool iommu, bool by_pages)
{
	int rc;

	be->iotlb.look = (struct evloop_timer){ .expired = look_expired, .owner = be };
	be->iotlb.missed = (struct evloop_watch){ .fd = -1, .events = EPOLLIN,
						  .ready = page_missed, .owner = be };
	be->iotlb.missfd = -1;
	if (!iommu && !by_pages)
		return 0;
	rc = by_pages ? vhost_be_pages_open(be, page_came) : 0;
	if (rc < 0)
		return rc;
	be->iotlb.missfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (be->iotlb.missfd < 0)
		return -errno;
	be->iotlb.missed.fd = be->iotlb.missfd;
	return evloop_watch_add(be->loop, &be->iotlb.missed);
}

void
vhost_be_miss_close(struct vhost_be *be)
{
	if (be->iotlb.look.expired == NULL) /* never opened */
		return;
	vhost_be_iotlb_follow(be, 0, NULL);
	evloop_watch_del(&be->iotlb.missed);
	if (be->iotlb.missfd >= 0)
		close(be->iotlb.missfd);
	vhost_be_pages_close(be);
}

/* Whether a vring's own addresses are among these. */
static bool
vring_lies_in(const struct vhost_be *be, const struct vhost_be_vring *r, uint64_t iova,
	      uint64_t size)
{
	const struct virtq_ring_config cfg = vhost_be_ring_config(be, r);
	struct virtq_ring_part part[3];

	virtq_ring_parts(&cfg, part);
	for (int i = 0; i < 3; i++)
		if (virtq_ranges_overlap(part[i].addr, part[i].bytes, iova, size))
			return true;
	return false;
}

/* Rings whose own memory is taken away stop, and start again when it is there again. */
static void
stop_rings(struct vhost_be *be, uint64_t iova, uint64_t size)
{
	for (uint16_t i = 0; i < be->nrings; i++) {
		struct vhost_be_vring *r = &be->vring[i];

		if (r->ring != NULL && vring_lies_in(be, r, iova, size))
			vhost_be_ring_pause(be, r);
	}
}

/* Whether a vring waits for addresses of its own among these. */
static bool
vring_wants(const struct vhost_be *be, uint64_t iova, uint64_t size)
{
	for (uint16_t i = 0; i < be->nrings; i++) {
		const struct vhost_be_vring *r = &be->vring[i];

		if (r->ring == NULL && r->wanted_ns != 0 && vring_lies_in(be, r, iova, size))
			return true;
	}
	return false;
}

/*
 * Rings that wait for it get it. Whether it is for one use: an answer, for rings that run or for
 * one that has stopped since. Guests that map each packet would fill the table with what is soon
 * taken away, and QEMU does not tell of all that a lazy guest takes away from a card without ATS.
 * Where a front-end tells of all, a page that is asked for again serves for longer.
 */
static bool
answer_rings(struct vhost_be *be, const struct vhu_iotlb *m)
{
	const bool lasts = m->size > VIRTQ_IOTLB_LARGE || vring_wants(be, m->iova, m->size);
	uint8_t *host = virtq_mem_uva(be->mem, m->uva, m->size);
	bool asked = be->iotlb.asked_ns != 0 &&
		     evloop_now_ns() - be->iotlb.asked_ns < VHOST_BE_MISS_NS;

	if (host == NULL || m->size == 0 || m->iova + (m->size - 1) < m->iova)
		return false;
	for (uint16_t i = 0; i < be->nrings; i++)
		if (vhost_be_session_view(be, i) != NULL)
			asked |= virtq_iotlb_view_answer(vhost_be_session_view(be, i), m->iova,
							 m->iova + (m->size - 1), host, m->perm);
	return asked && !lasts &&
	       !(be->iommu_keeps && virtq_iotlb_give(be->iotlb.map, m->iova));
}

/* Take it out of the map and of what rings know. *used: a burst may still use something of it. */
static int
forget_map(struct vhost_be *be, const struct vhu_iotlb *m, bool *used)
{
	int rc = virtq_iotlb_remove(be->iotlb.map, m->iova, m->size);

	for (uint16_t i = 0; rc == 0 && i < be->nrings; i++)
		if (vhost_be_session_view(be, i) != NULL)
			*used |= virtq_iotlb_view_drop(vhost_be_session_view(be, i), m->iova,
						       m->iova + (m->size - 1));
	return rc;
}

/*
 * Memory comes page by page: what the IOMMU says is kept, and gets into the map when its page has
 * come. 0, -errno of virtq_iotlb_add(), or -ERANGE: not in whole pages.
 */
static int
keep_translation(struct vhost_be *be, const struct vhu_iotlb *m, bool *used)
{
	struct virtq_iotlb *whole = be->iotlb.whole;
	const uint64_t generation = whole->generation;
	const uint8_t *host = virtq_mem_uva(whole->mem, m->uva, 1);
	int rc;

	if ((m->iova | m->size | (uintptr_t)host) % VIRTQ_IOTLB_PAGE != 0)
		return -ERANGE;
	rc = virtq_iotlb_add(whole, m->iova, m->size, m->uva, m->perm);
	virtq_iotlb_reclaim(whole); /* no burst looks there */
	if (rc == 0 && whole->generation != generation)
		rc = forget_map(be, m, used);
	vhost_be_pages_hurry(be);
	return rc;
}

/* 0, or -errno of virtq_iotlb_add(). */
static int
update_map(struct vhost_be *be, const struct vhu_iotlb *m, bool *used)
{
	INFO_ADD(be, iotlb_updates);
	if (be->iotlb.whole != NULL)
		return keep_translation(be, m, used);
	if (m->perm != 0 && m->perm <= (VIRTQ_IOTLB_READ | VIRTQ_IOTLB_WRITE) &&
	    answer_rings(be, m))
		return 0;
	return virtq_iotlb_add(be->iotlb.map, m->iova, m->size, m->uva, m->perm);
}

static int
invalidate_map(struct vhost_be *be, const struct vhu_iotlb *m, bool *used)
{
	int rc = 0;

	INFO_ADD(be, iotlb_invalidations);
	if (be->iotlb.whole != NULL) {
		rc = virtq_iotlb_remove(be->iotlb.whole, m->iova, m->size);
		virtq_iotlb_reclaim(be->iotlb.whole);
	}
	return rc < 0 ? rc : forget_map(be, m, used);
}

static int
change_map(struct vhost_be *be, const struct vhu_iotlb *m, bool *used)
{
	switch (m->type) {
	case VHU_IOTLB_UPDATE:
		return update_map(be, m, used);
	case VHU_IOTLB_INVALIDATE:
		return invalidate_map(be, m, used);
	default:
		return -ENOTSUP;
	}
}

static const char *
map_error(int rc)
{
	switch (rc) {
	case -EFAULT:
		return "a translation to memory that is not shared";
	case -EINVAL:
		return "a translation that cannot be right: its size, its end or what it allows";
	case -ERANGE:
		return "memory that comes page by page is translated in whole pages";
	case -ENOTSUP:
		return "a front-end sends updates (2) and invalidations (3) of the IOTLB";
	default:
		return "out of memory";
	}
}

/* What is said about translations comes as fast as a guest maps and unmaps. */
static void
give_credit_back(struct vhost_be *be)
{
	if (++be->iotlb.cheap % CHEAP != 0)
		be->conn.credit++;
}

int
vhost_be_miss_on_iotlb_msg(struct vhost_be *be, struct vhu_msg *msg)
{
	const struct vhu_iotlb m = msg->iotlb;
	struct virtq_iotlb *map = be->iotlb.map;
	uint64_t generation;
	bool used = false;
	int rc;

	if (map == NULL)
		return vhost_be_session_refuse(be, -EINVAL, be->mem == NULL ?
					       "a translation before the memory" :
					       "out of memory");
	generation = map->generation;
	rc = change_map(be, &m, &used);
	if (rc < 0)
		return vhost_be_session_refuse(be, rc, map_error(rc));
	if (m.type == VHU_IOTLB_INVALIDATE)
		stop_rings(be, m.iova, m.size);
	commit_map(be, generation, used, m.type == VHU_IOTLB_UPDATE);
	give_credit_back(be);
	msg->hdr.size = sizeof(msg->u64);
	msg->u64 = 0;
	return 0;
}
