/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device knows all memory of the application that can be shared, before any of it is used and
 * until it is gone.
 *
 * EAL tells of changes in the thread that makes them, with the locks of its heaps held. That thread
 * waits until the control thread has told the device. So the control thread must not wait for these
 * locks while `live` is set; what it does then may call into the application (mbufs with external
 * buffers are freed in bursts it waits for), hence the wait has an end of its own.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <rte_eal_memconfig.h>
#include <rte_mbuf.h>
#include <rte_memory.h>

#include "vnet_drv.h"
#include "vring_fe_port.h"
#include "vring_publish.h"
#include "vring_trace.h"

/* Longest wait for the device to hear of a change. */
#define WAIT_S 5

/* A list in the making. */
struct walk {
	struct vhost_region *region;
	uint32_t n, capacity;
	bool files;
	uint32_t unshared;
	const char *gone;	/* piece about to be freed, and its end; or NULL */
	const char *gone_end;
	const struct vring_ranges *revoked;
	struct vnet_range external[VNET_EXTMEM_MAX];
	uint32_t nexternal;
};

/* DPDK's own memory is shared with every device. */
static bool
is_shared(const void *addr, uint32_t len)
{
	const struct rte_memseg_list *msl = rte_mem_virt2memseg_list(addr);
	uintptr_t end = (uintptr_t)addr + len;

	return msl != NULL && !msl->external && end <= (uintptr_t)msl->base_va + msl->len;
}

static struct vhost_region *
add_region(struct walk *w)
{
	if (w->n == w->capacity) {
		uint32_t capacity = w->capacity == 0 ? 64 : 2 * w->capacity;
		struct vhost_region *r = realloc(w->region, capacity * sizeof(*r));

		if (r == NULL)
			return NULL;
		w->region = r;
		w->capacity = capacity;
	}
	return &w->region[w->n++];
}

/* The device is not to have it, or a part of it. */
static bool
is_revoked(const struct walk *w, const void *addr, size_t len)
{
	const char *first = addr;

	return (first < w->gone_end && first + len > w->gone) ||
	       vring_fe_region_ranges_meet(w->revoked, (uintptr_t)addr, len);
}

/*
 * Once for all pages of a list, if all are given. Those that are too many are not used, but for
 * receiving.
 */
static void
add_external(struct walk *w, const struct rte_memseg_list *msl)
{
	const uintptr_t base = (uintptr_t)msl->base_va;

	if (w->nexternal > 0 && w->external[w->nexternal - 1].base == base)
		return;
	if (w->nexternal < VNET_EXTMEM_MAX)
		w->external[w->nexternal++] = (struct vnet_range){ base, msl->len };
}

static int
add_memseg(const struct rte_memseg_list *msl, const struct rte_memseg *ms, void *arg)
{
	const char *addr = ms->addr;
	struct walk *w = arg;
	struct vhost_region *r;
	size_t offset = 0;
	int fd;

	if (is_revoked(w, addr, ms->len))
		return 0;
	if (msl->external && !w->files && !is_revoked(w, msl->base_va, msl->len))
		add_external(w, msl);
	fd = msl->external ? -1 : rte_memseg_get_fd_thread_unsafe(ms);
	if (fd >= 0 && rte_memseg_get_fd_offset_thread_unsafe(ms, &offset) != 0)
		fd = -1;
	if (w->files && fd < 0) {
		w->unshared++;
		return 0;
	}
	r = add_region(w);
	if (r == NULL)
		return -ENOMEM;
	*r = (struct vhost_region){
		.iova = (uintptr_t)addr,
		.size = ms->len,
		.addr = ms->addr,
		.fd = fd,
		.fd_offset = offset,
	};
	return 0;
}

static size_t
external_len(const struct vring_fe_mem *mem, uintptr_t base)
{
	for (uint32_t i = 0; i < mem->nexternal; i++)
		if (mem->external[i].base == base)
			return mem->external[i].len;
	return 0;
}

/* Bursts no longer use memory that is about to be unregistered. Lock held. */
static void
withdraw_external(struct vring_fe *fe)
{
	struct vnet_range *r = fe->port->extmem.range;

	for (unsigned int i = 0; i < VNET_EXTMEM_MAX && r[i].base != 0; i++)
		if (external_len(&fe->mem, r[i].base) != r[i].len) {
			__atomic_store_n(&r[i].len, 0, __ATOMIC_RELAXED);
			fe->mem.withdrawn = true;
		}
}

/* The device knows it: bursts may use it. Lock held. */
static void
give_external(struct vring_fe *fe)
{
	struct vnet_range *r = fe->port->extmem.range;
	const struct vring_fe_mem *mem = &fe->mem;

	for (uint32_t k = 0; k < mem->nexternal; k++) {
		unsigned int i;

		for (i = 0; i < VNET_EXTMEM_MAX; i++)
			if (r[i].base == 0 || r[i].base == mem->external[k].base)
				break;
		if (i == VNET_EXTMEM_MAX)
			return; /* copied, since more was registered one after another */
		__atomic_store_n(&r[i].base, mem->external[k].base, __ATOMIC_RELAXED);
		__atomic_store_n(&r[i].len, mem->external[k].len, __ATOMIC_RELEASE);
	}
}

/* Whether memory is registered that is not DPDK's own. */
static bool
is_external(uintptr_t addr)
{
	const struct rte_memseg_list *msl = rte_mem_virt2memseg_list((const void *)addr);

	return msl != NULL && msl->external;
}

/* What is registered no longer may come back as anything. Lock held. */
static void
forget_unregistered(struct vring_ranges *s)
{
	uint32_t i = 0;

	while (i < s->n)
		if (is_external(s->range[i].base))
			i++;
		else
			s->range[i] = s->range[--s->n];
}

/* EAL's memory lock is held, by this thread or the one of another process that waits for it. */
static int
refresh_regions(struct vring_fe *fe, const char *gone, size_t len)
{
	struct vring_fe_mem *mem = &fe->mem;
	struct walk w = { .files = mem->files, .gone = gone, .gone_end = gone + len,
			  .revoked = &mem->revoked };
	int rc;

	pthread_mutex_lock(&mem->lock);
	forget_unregistered(&mem->revoked);
	rc = rte_memseg_walk_thread_unsafe(add_memseg, &w);
	if (rc != 0) {
		pthread_mutex_unlock(&mem->lock);
		free(w.region);
		return rc;
	}
	free(mem->region);
	mem->region = w.region;
	mem->n = vring_fe_region_merge(w.region, w.n, mem->files);
	mem->unshared = w.unshared;
	memcpy(mem->external, w.external, sizeof(w.external));
	mem->nexternal = w.nexternal;
	withdraw_external(fe);
	mem->wanted++;
	pthread_mutex_unlock(&mem->lock);
	return 0;
}

/* True unless the device has not heard of it in time. */
static bool
wait_served(struct vring_fe_mem *mem)
{
	const uint64_t one = 1;
	struct timespec end;
	uint64_t mine;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += WAIT_S;
	pthread_mutex_lock(&mem->lock);
	mine = mem->wanted;
	if (mem->live && write(mem->wake.fd, &one, sizeof(one)) < 0)
		rc = errno == EAGAIN ? 0 : errno; /* full: it is awake */
	/* EAL's locks are held: a device that was late once delays no further change. */
	if (mem->live && mem->late)
		rc = ETIMEDOUT;
	while (mem->live && mem->done < mine && rc == 0)
		rc = pthread_cond_timedwait(&mem->served, &mem->lock, &end);
	if (rc == ETIMEDOUT)
		mem->late = true;
	pthread_mutex_unlock(&mem->lock);
	return rc == 0;
}

static void
memory_changed(enum rte_mem_event event, const void *addr, size_t len, void *arg)
{
	struct vring_fe *fe = arg;
	const char *gone = event == RTE_MEM_EVENT_FREE ? addr : NULL;

	if (refresh_regions(fe, gone, gone == NULL ? 0 : len) != 0)
		VRING_LOG(ERR, fe->port->name, "no memory for the list of memory: the device is "
			  "not told of %p, %zu bytes", addr, len);
	else if (!wait_served(&fe->mem))
		VRING_LOG(WARNING, fe->port->name, "the device was not told of a change of memory "
			  "within %u s; it goes on nevertheless", WAIT_S);
}

/*
 * Memory was registered, or is about to be unregistered. EAL has no call-back for either, unlike
 * for its own memory.
 */
static int
refresh_and_wait(struct vring_fe *fe, const void *gone, size_t len)
{
	int rc;

	rte_mcfg_mem_read_lock();
	rc = refresh_regions(fe, gone, len);
	rte_mcfg_mem_read_unlock();
	if (rc == 0 && !wait_served(&fe->mem))
		rc = -ETIMEDOUT;
	return rc;
}

int
vring_fe_mem_moves(struct vring_port *port, const void *addr, size_t len, bool comes)
{
	struct vring_fe *fe = port->fe;
	struct vring_fe_mem *mem = &fe->mem;
	const uintptr_t base = (uintptr_t)addr;
	int rc = 0;

	/* A back-end behind a socket maps files, and EAL knows none of such memory. */
	if (mem->files)
		return -ENOTSUP;
	/* It may stay registered for long, for others. */
	pthread_mutex_lock(&mem->lock);
	if (comes)
		rc = vring_fe_region_ranges_cut(&mem->revoked, base, len);
	else if (is_external(base))
		rc = vring_fe_region_ranges_add(&mem->revoked, base, len);
	pthread_mutex_unlock(&mem->lock);
	return rc != 0 ? rc : refresh_and_wait(fe, comes ? NULL : addr, comes ? 0 : len);
}

/* Whether the device can be given the buffers of a pool. */
struct pool_walk {
	const struct vring_ranges *revoked;
	bool takes;
	bool external;	/* some are in memory that the application has registered */
};

static void
look_at_buffer(struct rte_mempool *pool, void *arg, void *obj, unsigned int i)
{
	const struct rte_mbuf *m = obj;
	const struct rte_memseg_list *msl = rte_mem_virt2memseg_list(m->buf_addr);
	struct pool_walk *w = arg;

	w->takes &= msl != NULL &&
		    !vring_fe_region_ranges_meet(w->revoked, (uintptr_t)m->buf_addr, m->buf_len);
	w->external |= msl != NULL && msl->external;
}

bool
vring_fe_mem_takes_pool(const struct vring_port *port, struct rte_mempool *pool)
{
	struct vring_fe_mem *mem = &port->fe->mem;
	struct pool_walk w = { .revoked = &mem->revoked, .takes = true };

	pthread_mutex_lock(&mem->lock);
	rte_mempool_obj_iter(pool, look_at_buffer, &w);
	pthread_mutex_unlock(&mem->lock);
	if (!w.takes || !w.external)
		return w.takes;
	/* What was registered since the device was opened is not yet known to it. */
	return !mem->files && refresh_and_wait(port->fe, NULL, 0) == 0;
}

static void
callback_name(const struct vring_fe *fe, char *name, size_t size)
{
	snprintf(name, size, "vring_%u", fe->port->dev->data->port_id);
}

int
vring_fe_mem_open(struct vring_fe *fe)
{
	struct vring_fe_mem *mem = &fe->mem;
	pthread_condattr_t attr;
	char name[32];
	int rc;

	vnet_drv_is_shared = is_shared;
	mem->files = !fe->vdpa && !fe->net;
	pthread_mutex_init(&mem->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&mem->served, &attr);
	pthread_condattr_destroy(&attr);
	mem->wake.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (mem->wake.fd < 0)
		return -errno;
	/*
	 * EAL refuses the call-back where memory never changes. It is registered before the regions
	 * are read, so that no change is missed.
	 */
	callback_name(fe, name, sizeof(name));
	mem->registered = rte_mem_event_callback_register(name, memory_changed, fe) == 0;
	rte_mcfg_mem_read_lock();
	rc = refresh_regions(fe, NULL, 0);
	rte_mcfg_mem_read_unlock();
	return rc;
}

void
vring_fe_mem_close(struct vring_fe *fe)
{
	struct vring_fe_mem *mem = &fe->mem;
	char name[32];

	callback_name(fe, name, sizeof(name));
	if (mem->registered)
		rte_mem_event_callback_unregister(name, fe);
	mem->registered = false;
	if (mem->wake.fd >= 0)
		close(mem->wake.fd);
	mem->wake.fd = -1;
	free(mem->region);
	mem->region = NULL;
	free(mem->revoked.range);
	mem->revoked = (struct vring_ranges){ 0 };
	pthread_cond_destroy(&mem->served);
	pthread_mutex_destroy(&mem->lock);
}

/* What the device is to know, copied so that the lock is not held while it answers. */
struct given {
	struct vhost_region *region;	/* NULL: no memory */
	uint32_t n;
	uint64_t wanted;
	bool withdrawn;
};

static struct given
take_regions(struct vring_fe_mem *mem)
{
	struct given given;

	pthread_mutex_lock(&mem->lock);
	given = (struct given){ malloc((mem->n + 1) * sizeof(mem->region[0])), mem->n, mem->wanted,
				mem->withdrawn };
	if (given.region != NULL && mem->n > 0)
		memcpy(given.region, mem->region, mem->n * sizeof(mem->region[0]));
	mem->live = given.region != NULL;
	mem->withdrawn &= given.region == NULL;
	pthread_mutex_unlock(&mem->lock);
	return given;
}

/* What the device could never take. */
static int
check_regions(struct vhost_dev *dev, const struct vhost_region *r, uint32_t n)
{
	uint32_t limit = vhost_memslots_limit(dev);
	const struct vhost_region *beyond;
	uint64_t first, last;

	if (n == 0)
		return vhost_dev_fail(dev, -EINVAL, "no memory of this process can be shared: "
				      "hugepages, or --no-huge with memfd, are needed");
	if (n > limit)
		return vhost_dev_fail(dev, -ENOSPC, "memory is in %u pieces and the device takes "
				      "%u: EAL's --single-file-segments, or larger pages, make "
				      "fewer", n, limit);
	if (vhost_get_iova_range(dev, &first, &last) != 0)
		return 0;
	beyond = vring_fe_region_beyond(r, n, first, last);
	if (beyond == NULL)
		return 0;
	return vhost_dev_fail(dev, -ERANGE,
			      "memory at 0x%" PRIx64 " is beyond what the device reaches, "
			      "0x%" PRIx64 " to 0x%" PRIx64 ": EAL's --base-virtaddr helps",
			      beyond->iova, first, last);
}

/* The kernel does not say which limit it was. */
static int
explain_limit(struct vhost_dev *dev, const struct vhost_region *r, uint32_t n)
{
	uint64_t need = vring_fe_region_bytes(r, n);
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur >= need)
		return -ENOMEM;
	return vhost_dev_fail(dev, -ENOMEM, "the device needs %" PRIu64 " MiB locked, allowed "
			      "are %" PRIu64 ": raise RLIMIT_MEMLOCK (ulimit -l)", need >> 20,
			      (uint64_t)limit.rlim_cur >> 20);
}

int
vring_fe_mem_give(struct vring_fe *fe, struct vhost_dev *dev)
{
	struct vring_fe_mem *mem = &fe->mem;
	const struct given given = take_regions(mem);
	int rc;

	if (given.region == NULL)
		return vhost_dev_fail(dev, -ENOMEM, "no memory for a list of memory");
	if (given.withdrawn) {
		/* Bursts that began before may still offer to the device what it is to lose. */
		vring_publish_withdraw(fe->port);
		vring_publish(fe->port);
	}
	rc = check_regions(dev, given.region, given.n);
	if (rc == 0)
		rc = vhost_set_mem_table(dev, given.region, given.n);
	if (rc == -ENOMEM && fe->vdpa)
		rc = explain_limit(dev, given.region, given.n);
	pthread_mutex_lock(&mem->lock);
	mem->done = given.wanted;
	mem->late = false;
	if (rc == 0 && mem->wanted == given.wanted)
		give_external(fe);
	pthread_cond_broadcast(&mem->served);
	pthread_mutex_unlock(&mem->lock);
	/* Not before: it may need memory of EAL, whose lock is held by who waits for this. */
	if (rc == 0)
		vring_trace_memory(fe->port->dev->data->port_id, given.n,
				   vring_fe_region_bytes(given.region, given.n));
	free(given.region);
	return rc;
}

static void
serve_change(struct evloop_watch *w, uint32_t events)
{
	struct vring_fe *fe = w->owner;
	uint64_t count;

	if (read(w->fd, &count, sizeof(count)) < 0 || !fe->mem.live)
		return;
	vhost_fe_mem_changed(fe->session);
}

int
vring_fe_mem_watch(struct vring_fe *fe)
{
	fe->mem.wake.events = EPOLLIN;
	fe->mem.wake.ready = serve_change;
	fe->mem.wake.owner = fe;
	return evloop_watch_add(fe->port->loop, &fe->mem.wake);
}

void
vring_fe_mem_unwatch(struct vring_fe *fe)
{
	evloop_watch_del(&fe->mem.wake);
}

void
vring_fe_mem_stop(struct vring_fe *fe)
{
	struct vring_fe_mem *mem = &fe->mem;

	pthread_mutex_lock(&mem->lock);
	mem->live = mem->late = false;
	pthread_cond_broadcast(&mem->served);
	pthread_mutex_unlock(&mem->lock);
}
