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
/* Of those so many are looked at at once, until so many tables wait to be freed. */
#define MAX_LOOKS 64
#define MAX_TABLES 32
/* A page that was touched and is not there is asked for again after so long. */
#define AGAIN_NS 200000000ull
/* Pages that wait for one thread. */
#define MAX_WAITING 64

/* A page that is to come. */
struct fault_in {
	struct virtq_mem *mem;	/* a reference is held */
	const uint8_t *host;
	int donefd;		/* owned */
};

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
start_faulting(struct vhost_be *be, const struct virtq_region *r, uint64_t gpa)
{
	struct vhost_be_pages *p = &be->pages;
	struct evloop_later *thread = p->thread[p->turn++ % VHOST_BE_PAGE_THREADS];
	struct fault_in *t;

	if (evloop_later_waiting(thread) >= MAX_WAITING)
		return false;
	t = malloc(sizeof(*t));
	if (t == NULL)
		return false;
	t->donefd = fcntl(p->came.fd, F_DUPFD_CLOEXEC, 0);
	t->mem = virtq_mem_get(be->iotlb.map->mem);
	t->host = r->host + (gpa - r->gpa);
	if (t->donefd >= 0 && evloop_later_add(thread, fault_page_in, t))
		return true;
	if (t->donefd >= 0)
		close(t->donefd);
	virtq_mem_put(t->mem);
	free(t);
	return false;
}

/* Which of the pages from `gpa` on are there; they lie in one region. */
static void
look_at_pages(const struct virtq_region *r, uint64_t gpa, uint64_t bytes,
	      uint8_t there[MAX_PAGES])
{
	const uintptr_t host = (uintptr_t)r->host + (gpa - r->gpa);

	/* Regions begin and end with pages, see vhost_be_postcopy_propose(). */
	if (mincore((void *)host, bytes, there) < 0)
		there[0] = 0;
}

static bool
page_is_known(const struct vhost_be *be, uint64_t gpa)
{
	return virtq_iotlb_search(be->iotlb.map, gpa, true) != NULL;
}

/* Addresses of one region are there: tell table and views. */
static void
learn_range(struct vhost_be *be, const struct virtq_region *r, uint64_t gpa, uint64_t bytes)
{
	const uint8_t both = VIRTQ_IOTLB_READ | VIRTQ_IOTLB_WRITE;
	uint8_t *host = r->host + (gpa - r->gpa);

	if (virtq_iotlb_add(be->iotlb.map, gpa, bytes, r->uva + (gpa - r->gpa), both) < 0)
		return;
	for (uint16_t i = 0; i < be->nrings; i++)
		if (vhost_be_session_view(be, i) != NULL)
			virtq_iotlb_view_answer(vhost_be_session_view(be, i), gpa,
						gpa + (bytes - 1), host, both);
}

/* What is there around a page. Whether that page is. */
static bool
learn_around(struct vhost_be *be, const struct virtq_region *r, uint64_t gpa)
{
	const uint64_t last = r->gpa + (r->size - 1);
	uint64_t from = gpa & ~(WINDOW - 1), to = from + (WINDOW - 1), n_new = 0;
	uint8_t there[MAX_PAGES] = { 0 };
	uint32_t n;

	look_at_pages(r, gpa, VIRTQ_IOTLB_PAGE, there);
	if (!(there[0] & 1))
		return false;
	if (from < r->gpa)
		from = r->gpa;
	if (to > last)
		to = last;
	look_at_pages(r, from, to - from + 1, there);
	n = (uint32_t)((to - from) / VIRTQ_IOTLB_PAGE + 1);
	for (uint32_t i = 0; i <= n; i++) {
		const uint64_t at = from + i * VIRTQ_IOTLB_PAGE;

		if (i < n && (there[i] & 1) && !page_is_known(be, at)) {
			n_new++;
			continue;
		}
		if (n_new > 0)
			learn_range(be, r, at - n_new * VIRTQ_IOTLB_PAGE,
				    n_new * VIRTQ_IOTLB_PAGE);
		n_new = 0;
	}
	return page_is_known(be, gpa);
}

bool
vhost_be_pages_want(struct vhost_be *be, uint64_t gpa)
{
	struct vhost_be_pages *p = &be->pages;

	for (uint32_t i = 0; i < p->n; i++)
		if (p->wanted[i].gpa == gpa)
			return true;
	if (p->n == p->room) {
		const uint32_t room = p->room == 0 ? 64 : 2 * p->room;
		struct vhost_be_wanted *more =
			room > MAX_WANTED ? NULL :
					    realloc(p->wanted, room * sizeof(p->wanted[0]));

		if (more == NULL)
			return false;
		p->wanted = more;
		p->room = room;
	}
	p->wanted[p->n++] = (struct vhost_be_wanted){ .gpa = gpa };
	virtq_notify(p->came.fd); /* not from here: rings may be about to change */
	return true;
}

/* No such memory: who waits for it is told. */
static void
refuse_page(struct vhost_be *be, uint64_t gpa)
{
	for (uint16_t i = 0; i < be->nrings; i++)
		if (vhost_be_session_view(be, i) != NULL)
			virtq_iotlb_view_fail(vhost_be_session_view(be, i), gpa);
}

/* Whether the page need not be waited for any more. */
static bool
serve_page(struct vhost_be *be, struct vhost_be_wanted *w, uint64_t now)
{
	const struct virtq_region *r = virtq_mem_find(be->iotlb.map->mem, w->gpa);

	if (r == NULL) {
		refuse_page(be, w->gpa);
		return true;
	}
	if (page_is_known(be, w->gpa) || learn_around(be, r, w->gpa))
		return true;
	if ((w->touched_ns == 0 || now - w->touched_ns > AGAIN_NS) &&
	    start_faulting(be, r, w->gpa))
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
		if (!be->iotlb.by_pages || be->iotlb.map->nretired >= MAX_TABLES)
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
		virtq_notify(p->came.fd);
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
