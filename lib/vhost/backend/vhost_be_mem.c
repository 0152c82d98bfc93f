/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory of a session: tables and single regions, and how running rings move to them. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "evloop_later.h"
#include "vhost_be_session.h"

/*
 * Mappings of a session: a full table, and one more that the session has left while packets in the
 * application still lie in it.
 */
#define MAX_MAPS (2 * VIRTQ_MEM_MAX_REGIONS)
/* Mappings that may wait to be undone. With so many, nothing is read from the front-end. */
#define MAX_WAITING 64

static bool
unmap_later(void *ctx, void (*fn)(void *arg), void *arg)
{
	return evloop_later_try(ctx, fn, arg);
}

static void
release_account(void *ctx, int cutfd)
{
	evloop_later_put(ctx);
	close(cutfd);
}

static const struct virtq_mem_account_ops account_ops = {
	.later = unmap_later,
	.release = release_account,
};

int
vhost_be_mem_open(struct vhost_be *be, void (*cut)(struct evloop_watch *w, uint32_t events))
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	be->unmapper = evloop_later_new();
	if (be->unmapper != NULL)
		be->account = virtq_mem_account_new(MAX_MAPS, fd, &account_ops, be->unmapper);
	if (be->account == NULL) {
		evloop_later_put(be->unmapper);
		close(fd);
		return -ENOMEM;
	}
	be->cut = (struct evloop_watch){ .fd = fd, .events = EPOLLIN, .ready = cut, .owner = be };
	return evloop_watch_add(be->loop, &be->cut);
}

void
vhost_be_mem_close(struct vhost_be *be)
{
	evloop_watch_del(&be->cut);
	virtq_mem_account_put(be->account);
	be->account = NULL;
}

bool
vhost_be_mem_is_behind(const void *owner)
{
	const struct vhost_be *be = owner;

	return evloop_later_is_behind(be->unmapper, MAX_WAITING);
}

static uint64_t
memory_bytes(const struct virtq_mem *mem)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; mem != NULL && i < mem->nregions; i++)
		bytes += mem->region[i].size;
	return bytes;
}

void
vhost_be_mem_swap(struct vhost_be *be, struct virtq_mem *mem)
{
	struct virtq_mem *old = be->mem;
	bool running = vhost_be_rings_running(be);

	vhost_be_iotlb_follow(be, be->features, mem);
	/* Rings that still translate go on; the others stop, and remember where they stood. */
	for (uint16_t i = 0; running && i < be->nrings; i++) {
		struct vhost_be_vring *r = &be->vring[i];
		struct virtq_ring *ring = NULL;

		vhost_be_ring_check(be, r);
		if (r->ring != NULL && mem != NULL && vhost_be_ring_build(be, r, mem, &ring) < 0)
			ring = NULL;
		be->rings[i] = ring;
	}
	if (running)
		vhost_be_rings_publish(be);
	vhost_be_rings_retry(be);
	for (uint16_t i = 0; running && i < be->nrings; i++)
		vhost_be_ring_moved(be, &be->vring[i], be->rings[i]);
	be->mem = mem;
	INFO_SET(be, nregions, mem == NULL ? 0 : mem->nregions);
	INFO_SET(be, mem_sealed, mem != NULL && virtq_mem_is_sealed(mem));
	be->ops->memory(be->ctx, mem == NULL ? 0 : mem->nregions, memory_bytes(mem));
	/* No burst uses it any more: after the last reference it is unmapped. */
	virtq_mem_put(old);
}

/* Map what a message describes. On success *region owns the mapping. */
static int
map_region(struct vhost_be *be, const struct vhu_mem_region *wire, int fd,
	   struct virtq_region *region)
{
	if (be->sealed && !virtq_mem_kind_is_sealed(fd))
		return -ETXTBSY;
	*region = (struct virtq_region){ .gpa = wire->gpa, .size = wire->size, .uva = wire->uva };
	return virtq_mem_map_new(be->account, fd, wire->mmap_offset, wire->size, &region->map,
				 &region->host);
}

static const char *
mem_error(int rc)
{
	switch (rc) {
	case -EEXIST:
		return "memory regions overlap";
	case -EINVAL:
		return "a memory region that cannot be right, or a file too short for it";
	case -EOPNOTSUPP:
		return "memory in a file of a kind that another process or host may serve, or "
		       "that cannot be told for want of a descriptor";
	case -ETXTBSY:
		return "memory in a file that can be cut short: sealed-memory=1 allows a memfd "
		       "with F_SEAL_SHRINK";
	case -ENOSPC:
		return "more memory regions than the answer to GET_MAX_MEM_SLOTS allows";
	case -EDQUOT:
		return "more memory regions than a port may have, with those still in use";
	case -ENOENT:
		return "no memory region has these addresses and this size";
	case -ENOMEM:
		return "out of memory";
	default:
		return "memory cannot be mapped readable and writable";
	}
}

static int
use_proposed(struct vhost_be *be, const struct vhu_msg *msg)
{
	struct virtq_mem *mem;
	int rc = vhost_be_postcopy_confirm(be, msg, &mem);

	if (rc == 0)
		vhost_be_mem_swap(be, mem);
	return rc;
}

int
vhost_be_mem_on_set_mem_table(struct vhost_be *be, struct vhu_msg *msg)
{
	const bool slots = be->protocol & VIRTQ_BIT(VHU_PF_CONFIGURE_MEM_SLOTS);
	struct virtq_region region[VHU_MAX_LONG_TABLE];
	const uint32_t n = msg->table.n;
	struct virtq_mem *mem;
	uint32_t mapped;
	int rc = 0;

	if (be->postcopy.listening && msg->hdr.size == sizeof(msg->u64))
		return use_proposed(be, msg);
	if (n == 0 || n > (slots ? VHU_MAX_LONG_TABLE : VHU_MAX_TABLE))
		return vhost_be_session_refuse(be, -EINVAL, "a memory table has 1 to 8 regions, "
					       "with CONFIGURE_MEM_SLOTS 32");
	/* User-Mode Linux sends its whole structure whatever n is. */
	if (msg->hdr.size < 8 + n * sizeof(struct vhu_mem_region))
		return vhost_be_session_refuse(be, -EMSGSIZE, "memory table too short");
	if (msg->nfds != n)
		return vhost_be_session_refuse(be, -EINVAL, "each memory region needs one fd");
	for (mapped = 0; mapped < n; mapped++) {
		struct vhu_mem_region wire;

		memcpy(&wire, msg->raw + 8 + mapped * sizeof(wire), sizeof(wire));
		rc = map_region(be, &wire, msg->fds[mapped], &region[mapped]);
		if (rc < 0)
			break;
	}
	if (rc == 0)
		rc = virtq_mem_new(region, n, &mem);
	if (rc < 0) {
		while (mapped > 0)
			virtq_mem_map_put(region[--mapped].map);
		return vhost_be_session_refuse(be, rc, mem_error(rc));
	}
	if (be->postcopy.listening)
		return vhost_be_postcopy_propose(be, msg, mem);
	vhost_be_mem_swap(be, mem);
	return 0;
}

/* Rings that log go over to the other log, and are told of it with one barrier each. */
int
vhost_be_mem_on_set_log_base(struct vhost_be *be, struct vhu_msg *msg)
{
	const uint64_t bytes = msg->log.mmap_size;
	struct virtq_map *map;
	struct virtq_log *log;
	uint8_t *bits;
	int rc;

	if (msg->nfds != 1)
		return vhost_be_session_refuse(be, -EINVAL, "the fd of the log is missing");
	if (be->sealed && !virtq_mem_kind_is_sealed(msg->fds[0]))
		return vhost_be_session_refuse(be, -ETXTBSY, mem_error(-ETXTBSY));
	if (be->mem != NULL && bytes < virtq_log_bytes(virtq_mem_last(be->mem)))
		return vhost_be_session_refuse(be, -EINVAL, "the log is too short for the memory: "
					       "a bit is due for each page of 4096 bytes");
	rc = virtq_mem_map_new(be->account, msg->fds[0], msg->log.mmap_offset, bytes, &map, &bits);
	if (rc < 0)
		return vhost_be_session_refuse(be, rc, rc == -ENOMEM ? mem_error(rc) :
					       "the log cannot be mapped: its file is too "
					       "short, of a kind that another process may serve, "
					       "or read-only");
	log = virtq_log_new(map, bits, bytes);
	if (log == NULL) {
		virtq_mem_map_put(map);
		return vhost_be_session_refuse(be, -ENOMEM, mem_error(-ENOMEM));
	}
	virtq_log_put(be->log);
	be->log = log;
	if (be->features & VIRTQ_BIT(VHOST_F_LOG_ALL))
		for (uint16_t i = 0; i < be->nrings; i++)
			be->vring[i].stale = true;
	msg->hdr.size = sizeof(msg->u64);
	msg->u64 = 0;
	return 0;
}

int
vhost_be_mem_on_get_max_mem_slots(struct vhost_be *be, struct vhu_msg *msg)
{
	msg->hdr.size = sizeof(msg->u64);
	msg->u64 = be->mem_slots;
	return 0;
}

static bool
is_known(const struct virtq_mem *mem, const struct virtq_region *region)
{
	const struct virtq_region *r = mem == NULL ? NULL : virtq_mem_find(mem, region->gpa);

	return r != NULL && r->gpa == region->gpa && r->uva == region->uva &&
	       r->size == region->size && virtq_mem_map_same(r->map, region->map);
}

/*
 * QEMU 7.2 sends each change of its memory once for each queue pair. What is there already is
 * not added again, and from then on what is gone already need not be there to be removed.
 */
int
vhost_be_mem_on_add_mem_reg(struct vhost_be *be, struct vhu_msg *msg)
{
	const struct vhu_mem_region wire = msg->single.region;
	struct virtq_mem *mem, *old = vhost_be_postcopy_mem(be);
	struct virtq_region region;
	int rc;

	if (be->postcopy.listening && msg->hdr.size == sizeof(msg->u64))
		return use_proposed(be, msg);
	if (msg->hdr.size < sizeof(msg->single))
		return vhost_be_session_refuse(be, -EMSGSIZE, "payload too short");
	if (msg->nfds != 1)
		return vhost_be_session_refuse(be, -EINVAL, "wrong number of fds");
	rc = map_region(be, &wire, msg->fds[0], &region);
	if (rc < 0)
		return vhost_be_session_refuse(be, rc, mem_error(rc));
	if (is_known(old, &region)) {
		virtq_mem_map_put(region.map);
		be->mem_repeated = true;
		return be->postcopy.listening ?
			       vhost_be_postcopy_propose(be, msg, virtq_mem_get(old)) : 0;
	}
	if (old != NULL && old->nregions >= be->mem_slots)
		rc = -ENOSPC;
	else
		rc = virtq_mem_add(old, &region, &mem);
	if (rc < 0) {
		virtq_mem_map_put(region.map);
		return vhost_be_session_refuse(be, rc, mem_error(rc));
	}
	if (be->postcopy.listening)
		return vhost_be_postcopy_propose(be, msg, mem);
	vhost_be_mem_swap(be, mem);
	return 0;
}

int
vhost_be_mem_on_rem_mem_reg(struct vhost_be *be, struct vhu_msg *msg)
{
	const struct vhu_mem_region wire = msg->single.region;
	struct virtq_mem *mem;
	int rc = virtq_mem_remove(be->mem, wire.gpa, wire.uva, wire.size, &mem);

	if (rc == -ENOENT && be->mem_repeated)
		return 0;
	if (rc < 0)
		return vhost_be_session_refuse(be, rc, mem_error(rc));
	vhost_be_mem_swap(be, mem);
	return 0;
}
