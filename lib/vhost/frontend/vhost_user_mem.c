/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory given to a back-end. Without CONFIGURE_MEM_SLOTS a message carries the whole table, eight
 * regions at most; with it, regions come and go one by one.
 *
 * u->region is what the back-end has. What it has already is not sent again, so that a table may be
 * set as often as its owner likes.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "vhost_user_session.h"
#include "virtq_mem.h"

/* The file behind a region. False: there is none. */
static bool
file_of(const struct vhost_region *r, struct vhost_user_region *out)
{
	struct stat st;

	if (r->fd < 0 || fstat(r->fd, &st) < 0)
		return false;
	*out = (struct vhost_user_region){ .r = *r, .dev = st.st_dev, .ino = st.st_ino };
	return true;
}

/* The same memory, and not another file that came to lie at the same place. */
static bool
same_region(const struct vhost_user_region *a, const struct vhost_user_region *b)
{
	return a->r.iova == b->r.iova && a->r.size == b->r.size && a->r.addr == b->r.addr &&
	       a->r.fd_offset == b->r.fd_offset && a->dev == b->dev && a->ino == b->ino;
}

static bool
regions_overlap(const struct vhost_region *a, const struct vhost_region *b)
{
	return virtq_ranges_overlap(a->iova, a->size, b->iova, b->size) ||
	       virtq_ranges_overlap((uint64_t)(uintptr_t)a->addr, a->size,
				    (uint64_t)(uintptr_t)b->addr, b->size);
}

static int
check_region(struct vhost_user *u, const struct vhost_region *r, struct vhost_user_region *out)
{
	uint64_t end;

	if (r->size == 0 || __builtin_add_overflow(r->iova, r->size - 1, &end) ||
	    __builtin_add_overflow((uint64_t)(uintptr_t)r->addr, r->size - 1, &end) ||
	    __builtin_add_overflow(r->fd_offset, r->size, &end))
		return vhost_dev_fail(u->dev, -EINVAL, "a memory region of impossible size");
	if (!file_of(r, out))
		return vhost_dev_fail(u->dev, -EINVAL,
				      "memory at %p has no file descriptor behind it: "
				      "it must be shared (share=on, hugepages or --in-memory)",
				      r->addr);
	return 0;
}

static struct vhu_mem_region
on_wire(const struct vhost_region *r)
{
	return (struct vhu_mem_region){
		.gpa = r->iova,
		.size = r->size,
		.uva = (uint64_t)(uintptr_t)r->addr,
		.mmap_offset = r->fd_offset,
	};
}

static int
send_single(struct vhost_user *u, uint32_t request, const struct vhost_region *r)
{
	const struct vhu_mem_single single = { .region = on_wire(r) };
	const struct vhost_user_io_request req = {
		.request = request,
		.payload = &single,
		.size = sizeof(single),
		.fds = &r->fd,
		.nfds = request == VHU_ADD_MEM_REG,
	};

	return vhost_user_io_order(u, &req);
}

static int
send_table(struct vhost_user *u, const struct vhost_user_region *set, uint32_t n)
{
	struct vhu_mem_table table = { .n = n };
	struct vhost_user_io_request req = {
		.request = VHU_SET_MEM_TABLE,
		.payload = &table,
		.size = (uint32_t)(offsetof(struct vhu_mem_table, region) +
				   n * sizeof(table.region[0])),
		.nfds = n,
	};
	int fds[VHU_MAX_TABLE];

	for (uint32_t i = 0; i < n; i++) {
		table.region[i] = on_wire(&set[i].r);
		fds[i] = set[i].r.fd;
	}
	req.fds = fds;
	return vhost_user_io_order(u, &req);
}

static bool
has_region(const struct vhost_user_region *set, uint32_t n, const struct vhost_user_region *r)
{
	for (uint32_t i = 0; i < n; i++)
		if (same_region(&set[i], r))
			return true;
	return false;
}

static int
add_one(struct vhost_user *u, const struct vhost_user_region *r)
{
	int rc = send_single(u, VHU_ADD_MEM_REG, &r->r);

	if (rc == 0)
		u->region[u->nregions++] = *r;
	return rc;
}

static int
remove_at(struct vhost_user *u, uint32_t i)
{
	int rc = vhost_user_iotlb_forget(u, &u->region[i].r);

	if (rc == 0)
		rc = send_single(u, VHU_REM_MEM_REG, &u->region[i].r);
	if (rc == 0)
		u->region[i] = u->region[--u->nregions];
	return rc;
}

/* First what has to go: the new may lie where the old was, and slots are few. */
static int
change_slots(struct vhost_user *u, const struct vhost_user_region *set, uint32_t n)
{
	bool removed = false;
	int rc = 0;

	for (uint32_t i = 0; i < u->nregions && rc == 0;) {
		if (has_region(set, n, &u->region[i])) {
			i++;
			continue;
		}
		rc = remove_at(u, i);
		removed = true;
	}
	for (uint32_t i = 0; i < n && rc == 0; i++)
		if (!has_region(u->region, u->nregions, &set[i]))
			rc = add_one(u, &set[i]);
	return rc == 0 && removed ? vhost_user_io_barrier(u) : rc;
}

static int
change_table(struct vhost_user *u, const struct vhost_user_region *set, uint32_t n)
{
	bool known = u->nregions == n, removed = false;
	int rc = 0;

	for (uint32_t i = 0; i < n && known; i++)
		known = has_region(u->region, u->nregions, &set[i]);
	if (known)
		return 0;
	for (uint32_t i = 0; i < u->nregions && rc == 0; i++) {
		if (has_region(set, n, &u->region[i]))
			continue;
		removed = true;
		rc = vhost_user_iotlb_forget(u, &u->region[i].r);
	}
	if (rc == 0)
		rc = send_table(u, set, n);
	/* The owner may free what it took away: the back-end has to have let go of it. */
	if (rc == 0 && removed)
		rc = vhost_user_io_barrier(u);
	if (rc < 0)
		return rc;
	memcpy(u->region, set, n * sizeof(set[0]));
	u->nregions = n;
	return 0;
}

/* Make the back-end have exactly this set. */
static int
change_regions(struct vhost_user *u, const struct vhost_user_region *set, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t j = 0; j < i; j++)
			if (regions_overlap(&set[i].r, &set[j].r))
				return vhost_dev_fail(u->dev, -EEXIST,
						      "memory regions overlap at %p",
						      set[i].r.addr);
	if (vhost_user_has(u->dev, VHU_PF_CONFIGURE_MEM_SLOTS))
		return change_slots(u, set, n);
	if (n == 0)
		return vhost_dev_fail(u->dev, -EINVAL,
				      "no memory to share with the back-end: it must "
				      "be shared (share=on, hugepages or --in-memory)");
	return change_table(u, set, n);
}

/* Behind what is wanted, all of it again, see VHOST_USER_TWIN. */
static uint32_t
add_twins(struct vhost_user_region *set, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		set[n + i] = set[i];
		set[n + i].r.iova += VHOST_USER_TWIN;
		set[n + i].r.addr = (uint8_t *)set[i].r.addr + VHOST_USER_TWIN;
	}
	return 2 * n;
}

int
vhost_user_mem_set_table(struct vhost_dev *dev, const struct vhost_region *r, uint32_t n)
{
	struct vhost_user *u = dev->priv;
	const uint32_t most = dev->iotlb_pages ? u->slots / 2 : u->slots;

	if (n > most)
		return vhost_dev_fail(dev, -ENOSPC, "%u memory regions, and the back-end takes %u: "
				      "use larger pages or --single-file-segments", n, most);
	for (uint32_t i = 0; i < n; i++) {
		int rc = check_region(u, &r[i], &u->wanted[i]);

		if (rc < 0)
			return rc;
	}
	return change_regions(u, u->wanted, dev->iotlb_pages ? add_twins(u->wanted, n) : n);
}

int
vhost_user_mem_forget(struct vhost_user *u)
{
	if (vhost_user_has(u->dev, VHU_PF_CONFIGURE_MEM_SLOTS))
		return change_slots(u, NULL, 0);
	u->nregions = 0;
	return 0;
}
