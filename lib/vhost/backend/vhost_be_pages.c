/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory that comes page by page: who touches a page that has not come waits for the front-end to
 * bring it. Neither a burst nor the control thread does so. For them such memory is as if behind an
 * IOMMU that maps each address to itself, once its page is there; what they miss, a thread that may
 * wait touches for them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "evloop_later.h"
#include "vhost_be_session.h"
#include "virtq_iotlb.h"
#include "virtq_notify.h"
#include "virtq_shared.h"

/* Looked at together, in bytes: what is there around a page that was missed is learnt with it. */
#define WINDOW (1ul << 20)
#define MAX_PAGES (WINDOW / VIRTQ_IOTLB_PAGE)
/* Pages that are waited for. */
#define MAX_WANTED 16384
/* Of those so many are looked at at once. */
#define MAX_LOOKS 64
/* A page that was touched and is not there is asked for again after so long. */
#define AGAIN_NS 200000000ull
/* An address that nobody translates is not to be had; the IOMMU's own tables may have to come. */
#define UNTOLD_NS (5 * VHOST_BE_MISS_NS)
/* Pages that wait for one thread. */
#define MAX_WAITING 64

/* A page that is to come. */
struct fault_in {
	struct virtq_mem *mem;	/* a reference is held */
	const uint8_t *host;
	int donefd;		/* owned */
};

/* For want of something; it is tried again. */
static bool
page_has_to_wait(struct vhost_be *be)
{
	if (!be->pages.mute)
		vhost_be_session_log(be, VHOST_LOG_WARNING, "a page that has yet to come cannot be "
				     "asked for: no memory, descriptor or thread is left");
	be->pages.mute = true;
	return false;
}

static void
fault_page_in(void *arg)
{
	struct fault_in *t = arg;
	sigset_t bus;

	/* Should the file end here: see virtq_sigbus.c. */
	sigemptyset(&bus);
	sigaddset(&bus, SIGBUS);
	pthread_sigmask(SIG_UNBLOCK, &bus, NULL);
	virtq_load8(t->host);
	virtq_notify(t->donefd);
	close(t->donefd);
	virtq_mem_put(t->mem);
	free(t);
}

/* False: not now. */
static bool
start_faulting(struct vhost_be *be, const uint8_t *host)
{
	struct vhost_be_pages *p = &be->pages;
	struct evloop_later *thread = p->thread[p->turn++ % VHOST_BE_PAGE_THREADS];
	struct fault_in *t;

	if (evloop_later_waiting(thread) >= MAX_WAITING)
		return false;
	t = malloc(sizeof(*t));
	if (t == NULL)
		return page_has_to_wait(be);
	t->donefd = fcntl(p->came.fd, F_DUPFD_CLOEXEC, 0);
	t->mem = virtq_mem_get(be->iotlb.map->mem);
	t->host = host;
	if (t->donefd >= 0 && evloop_later_try(thread, fault_page_in, t)) {
		p->mute = false;
		return true;
	}
	if (t->donefd >= 0)
		close(t->donefd);
	virtq_mem_put(t->mem);
	free(t);
	return page_has_to_wait(be);
}

/*
 * Where the addresses around a page are, as far as they are one piece of one region. Pieces begin
 * and end with pages, see vhost_be_postcopy_propose() and keep_translation(). 0, -EFAULT: no memory
 * is there, or -EAGAIN: the IOMMU has not said.
 */
static int
find_piece(const struct vhost_be *be, const struct vhost_be_wanted *w,
	   struct virtq_iotlb_range *piece)
{
	const struct virtq_iotlb_range *said;
	const struct virtq_region *r;

	if (be->iotlb.whole != NULL) {
		said = virtq_iotlb_search(be->iotlb.whole, w->iova, w->write);
		if (said == NULL)
			return -EAGAIN;
		*piece = *said;
		return 0;
	}
	r = virtq_mem_find(be->iotlb.map->mem, w->iova);
	if (r == NULL)
		return -EFAULT;
	*piece = (struct virtq_iotlb_range){ r->gpa, r->gpa + (r->size - 1), r->host,
					     VIRTQ_IOTLB_READ | VIRTQ_IOTLB_WRITE };
	return 0;
}

/* Which of the pages from `iova` on are there; they lie in one piece. */
static void
look_at_pages(const struct virtq_iotlb_range *piece, uint64_t iova, uint64_t bytes,
	      uint8_t there[MAX_PAGES])
{
	if (mincore(piece->host + (iova - piece->iova), bytes, there) < 0)
		there[0] = 0;
}

static bool
page_is_known(const struct vhost_be *be, uint64_t iova, bool write)
{
	return virtq_iotlb_search(be->iotlb.map, iova, write) != NULL;
}

/* Addresses of one piece are there: tell who waits. */
static void
answer_views(struct vhost_be *be, const struct virtq_iotlb_range *piece, uint64_t iova,
	     uint64_t bytes)
{
	for (uint16_t i = 0; i < be->nrings; i++)
		if (vhost_be_session_view(be, i) != NULL)
			virtq_iotlb_view_answer(vhost_be_session_view(be, i), iova,
						iova + (bytes - 1),
						piece->host + (iova - piece->iova), piece->perm);
}

/* The same, and they get into the table. */
static void
learn_range(struct vhost_be *be, const struct virtq_iotlb_range *piece, uint64_t iova,
	    uint64_t bytes)
{
	const uint8_t *host = piece->host + (iova - piece->iova);
	const struct virtq_region *r = virtq_mem_find_host(be->iotlb.map->mem, host);

	if (virtq_iotlb_add(be->iotlb.map, iova, bytes, r->uva + (uint64_t)(host - r->host),
			    piece->perm) < 0)
		page_has_to_wait(be);
	else
		answer_views(be, piece, iova, bytes);
}

/* What is there around a page. Whether that page is. */
static bool
learn_around(struct vhost_be *be, const struct virtq_iotlb_range *piece,
	     const struct vhost_be_wanted *w)
{
	uint64_t from = w->iova & ~(WINDOW - 1), to = from + (WINDOW - 1), n_new = 0;
	uint8_t there[MAX_PAGES] = { 0 };
	uint32_t n;

	look_at_pages(piece, w->iova, VIRTQ_IOTLB_PAGE, there);
	if (!(there[0] & 1))
		return false;
	if (from < piece->iova)
		from = piece->iova;
	if (to > piece->last)
		to = piece->last;
	look_at_pages(piece, from, to - from + 1, there);
	n = (uint32_t)((to - from) / VIRTQ_IOTLB_PAGE + 1);
	/* The rest is learnt when these tables have been freed. */
	for (uint32_t i = 0; i <= n && be->iotlb.map->nretired < VHOST_BE_MAX_TABLES; i++) {
		const uint64_t at = from + i * VIRTQ_IOTLB_PAGE;

		if (i < n && (there[i] & 1) && !page_is_known(be, at, w->write)) {
			n_new++;
			continue;
		}
		if (n_new > 0)
			learn_range(be, piece, at - n_new * VIRTQ_IOTLB_PAGE,
				    n_new * VIRTQ_IOTLB_PAGE);
		n_new = 0;
	}
	return page_is_known(be, w->iova, w->write);
}

void
vhost_be_pages_hurry(struct vhost_be *be)
{
	virtq_notify(be->pages.came.fd);
}

bool
vhost_be_pages_want(struct vhost_be *be, uint64_t iova, bool write)
{
	struct vhost_be_pages *p = &be->pages;

	for (uint32_t i = 0; i < p->n; i++)
		if (p->wanted[i].iova == iova && p->wanted[i].write == write)
			return true;
	if (p->n == p->room) {
		const uint32_t room = p->room == 0 ? 64 : 2 * p->room;
		struct vhost_be_wanted *more =
			room > MAX_WANTED ? NULL :
					    realloc(p->wanted, room * sizeof(p->wanted[0]));

		if (more == NULL)
			return page_has_to_wait(be);
		p->wanted = more;
		p->room = room;
	}
	p->wanted[p->n++] = (struct vhost_be_wanted){ .iova = iova, .write = write };
	vhost_be_pages_hurry(be); /* not from here: rings may be about to change */
	return true;
}

/* No such memory: who waits for it is to know. */
static void
refuse_page(struct vhost_be *be, uint64_t iova)
{
	for (uint16_t i = 0; i < be->nrings; i++)
		if (vhost_be_session_view(be, i) != NULL)
			virtq_iotlb_view_fail(vhost_be_session_view(be, i), iova);
}

static bool
may_do_again(uint64_t done_ns, uint64_t now)
{
	return done_ns == 0 || now - done_ns > AGAIN_NS;
}

/* The IOMMU has not said where the page is. Whether that need not be waited for any more. */
static bool
ask_where(struct vhost_be *be, struct vhost_be_wanted *w, uint64_t now)
{
	if (w->first_ns != 0 && now - w->first_ns > UNTOLD_NS) {
		refuse_page(be, w->iova);
		return true;
	}
	if (may_do_again(w->asked_ns, now) && vhost_be_chan_miss(be, w->iova, w->write)) {
		w->asked_ns = now;
		if (w->first_ns == 0)
			w->first_ns = now;
	}
	return false;
}

/* Whether the page need not be waited for any more. */
static bool
serve_page(struct vhost_be *be, struct vhost_be_wanted *w, uint64_t now)
{
	struct virtq_iotlb_range piece;
	const int rc = find_piece(be, w, &piece);

	if (rc == -EFAULT) {
		refuse_page(be, w->iova);
		return true;
	}
	if (rc < 0)
		return ask_where(be, w, now);
	if (page_is_known(be, w->iova, w->write)) {
		answer_views(be, &piece, w->iova, VIRTQ_IOTLB_PAGE);
		return true;
	}
	if (learn_around(be, &piece, w))
		return true;
	if (may_do_again(w->touched_ns, now) &&
	    start_faulting(be, piece.host + (w->iova - piece.iova)))
		w->touched_ns = now;
	return false;
}

bool
vhost_be_pages_look(struct vhost_be *be)
{
	struct vhost_be_pages *p = &be->pages;
	const uint64_t now = evloop_now_ns();
	bool any = false;

	for (uint32_t k = 0, most = p->n < MAX_LOOKS ? p->n : MAX_LOOKS; k < most; k++) {
		if (!be->iotlb.by_pages || be->iotlb.map->nretired >= VHOST_BE_MAX_TABLES)
			break;
		if (p->at >= p->n)
			p->at = 0;
		if (serve_page(be, &p->wanted[p->at], now)) {
			p->wanted[p->at] = p->wanted[--p->n];
			any = true;
		} else {
			p->at++;
		}
	}
	if (any && p->n > 0) /* the others are looked at soon */
		vhost_be_pages_hurry(be);
	return any;
}

int
vhost_be_pages_open(struct vhost_be *be, void (*came)(struct evloop_watch *w, uint32_t events))
{
	struct vhost_be_pages *p = &be->pages;

	p->came = (struct evloop_watch){ .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
					 .events = EPOLLIN, .ready = came, .owner = be };
	for (uint32_t i = 0; i < VHOST_BE_PAGE_THREADS; i++) {
		p->thread[i] = evloop_later_new();
		if (p->thread[i] == NULL)
			return -ENOMEM;
	}
	return p->came.fd < 0 ? -errno : evloop_watch_add(be->loop, &p->came);
}

void
vhost_be_pages_close(struct vhost_be *be)
{
	struct vhost_be_pages *p = &be->pages;

	if (p->came.owner == NULL) /* never opened */
		return;
	evloop_watch_del(&p->came);
	if (p->came.fd >= 0)
		close(p->came.fd);
	for (uint32_t i = 0; i < VHOST_BE_PAGE_THREADS; i++)
		evloop_later_put(p->thread[i]);
	free(p->wanted);
	*p = (struct vhost_be_pages){ .n = 0 };
}
