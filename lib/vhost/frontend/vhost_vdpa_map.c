/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory for a device of the kernel: it is mapped with IOTLB messages of version 2, in batches
 * where the kernel has them. v->map is what the kernel has; only differences are written.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vhost_vdpa_session.h"
#include "virtq_compat.h"

/* One message is one write of 72 bytes. */
static int
write_iotlb(struct vhost_vdpa *v, uint32_t asid, uint8_t type, const struct vhost_vdpa_mapping *m)
{
	struct vhost_msg_v2 msg;
	ssize_t n;

	memset(&msg, 0, sizeof(msg));
	msg.type = VHOST_IOTLB_MSG_V2;
	msg.asid = asid;
	msg.iotlb.type = type;
	if (m != NULL) {
		msg.iotlb.iova = m->iova;
		msg.iotlb.size = m->size;
		msg.iotlb.uaddr = type == VHOST_IOTLB_UPDATE ? m->uaddr : 0;
		msg.iotlb.perm = m->read_only ? VHOST_ACCESS_RO : VHOST_ACCESS_RW;
	}
	n = v->kernel.sys->write(v->kernel.sys->ctx, v->fd, &msg, sizeof(msg));
	if (n < 0)
		return vhost_kernel_check(&v->kernel, (int)n);
	return n == sizeof(msg) ? 0 : -EIO;
}

static int
write_batch(struct vhost_vdpa *v, uint32_t asid, uint8_t type)
{
	if (!vhost_vdpa_has(v->kernel.dev, VHOST_BACKEND_F_IOTLB_BATCH))
		return 0;
	return write_iotlb(v, asid, type, NULL);
}

static int
map_failed(struct vhost_vdpa *v, int rc, const struct vhost_vdpa_mapping *m, const char *what)
{
	const char *hint = "";

	/* Kernels answer EFAULT whatever the cause was. */
	if (rc == -ENOMEM || rc == -EFAULT)
		hint = "; the limit of locked memory (RLIMIT_MEMLOCK, ulimit -l) or vhost_vdpa's "
		       "max_iotlb_entries may be too low";
	else if (rc == -EEXIST)
		hint = "; something is mapped there already";
	return vhost_dev_fail(v->kernel.dev, rc,
			      "memory at IOVA 0x%llx, 0x%llx bytes, cannot be %s: %s%s",
			      (unsigned long long)m->iova, (unsigned long long)m->size, what,
			      strerror(-rc), hint);
}

static bool
same_mapping(const struct vhost_vdpa_mapping *a, const struct vhost_vdpa_mapping *b)
{
	return a->iova == b->iova && a->size == b->size && a->uaddr == b->uaddr &&
	       a->read_only == b->read_only;
}

static struct vhost_vdpa_mapping *
find_mapping(struct vhost_vdpa_mapping *set, uint32_t n, const struct vhost_vdpa_mapping *m)
{
	for (uint32_t i = 0; i < n; i++)
		if (same_mapping(&set[i], m))
			return &set[i];
	return NULL;
}

/* Take out of one address space what is not wanted in it. */
static int
unmap_others(struct vhost_vdpa *v, uint32_t asid, struct vhost_vdpa_mapping *set, uint32_t n)
{
	const uint32_t bit = 1u << asid;
	int rc = 0;

	for (uint32_t i = 0; i < v->nmaps && rc == 0; i++) {
		struct vhost_vdpa_mapping *m = &v->map[i];

		if (!(m->spaces & bit) || ((v->spaces & bit) && find_mapping(set, n, m) != NULL))
			continue;
		rc = write_iotlb(v, asid, VHOST_IOTLB_INVALIDATE, m);
		if (rc < 0)
			return map_failed(v, rc, m, "unmapped");
		m->spaces &= ~bit;
	}
	return rc;
}

/* Put into one address space what is not in it yet; set[].spaces says what is where. */
static int
map_new(struct vhost_vdpa *v, uint32_t asid, struct vhost_vdpa_mapping *set, uint32_t n)
{
	const uint32_t bit = 1u << asid;
	int rc = 0;

	for (uint32_t i = 0; i < n && rc == 0; i++) {
		if (!(v->spaces & bit) || (set[i].spaces & bit))
			continue;
		rc = write_iotlb(v, asid, VHOST_IOTLB_UPDATE, &set[i]);
		if (rc < 0)
			return map_failed(v, rc, &set[i], "mapped");
		set[i].spaces |= bit;
	}
	return rc;
}

/* Whether an address space has to change at all. */
static bool
space_differs(struct vhost_vdpa *v, uint32_t asid, struct vhost_vdpa_mapping *set, uint32_t n)
{
	const uint32_t bit = 1u << asid;

	for (uint32_t i = 0; i < v->nmaps; i++)
		if ((v->map[i].spaces & bit) &&
		    (!(v->spaces & bit) || find_mapping(set, n, &v->map[i]) == NULL))
			return true;
	for (uint32_t i = 0; i < n; i++)
		if ((v->spaces & bit) && !(set[i].spaces & bit))
			return true;
	return false;
}

/* A batch that was begun is ended, whatever happened in it. */
static int
change_space(struct vhost_vdpa *v, uint32_t asid, struct vhost_vdpa_mapping *set, uint32_t n)
{
	int rc, end;

	if (!space_differs(v, asid, set, n))
		return 0;
	rc = write_batch(v, asid, VHOST_IOTLB_BATCH_BEGIN);
	if (rc < 0)
		return vhost_dev_fail(v->kernel.dev, rc, "IOTLB batch: %s", strerror(-rc));
	rc = unmap_others(v, asid, set, n);
	if (rc == 0)
		rc = map_new(v, asid, set, n);
	end = write_batch(v, asid, VHOST_IOTLB_BATCH_END);
	if (rc == 0 && end < 0)
		rc = vhost_dev_fail(v->kernel.dev, end, "IOTLB batch: %s", strerror(-end));
	return rc;
}

/*
 * Make `set` (on the heap, taken over) what is mapped. After an error what is mapped is known all
 * the same: the rest of the old and the part of the new.
 */
static int
change_mappings(struct vhost_vdpa *v, struct vhost_vdpa_mapping *set, uint32_t n)
{
	uint32_t kept = 0;
	int rc = 0;

	for (uint32_t i = 0; i < n; i++) {
		const struct vhost_vdpa_mapping *m = find_mapping(v->map, v->nmaps, &set[i]);

		set[i].spaces = m != NULL ? m->spaces : 0;
	}
	for (uint32_t asid = 0; asid < VHOST_VDPA_MAX_ASID && rc == 0; asid++)
		rc = change_space(v, asid, set, n);
	/* Former mappings that remain follow the new ones; the caller left room for them. */
	for (uint32_t i = 0; i < n; i++)
		if (set[i].spaces != 0)
			set[kept++] = set[i];
	for (uint32_t i = 0; i < v->nmaps; i++)
		if (v->map[i].spaces != 0 && find_mapping(set, kept, &v->map[i]) == NULL)
			set[kept++] = v->map[i];
	free(v->map);
	v->map = set;
	v->nmaps = kept;
	return rc;
}

/* Whole pages of a region, as the device can map them; size 0: not even one. */
static int
check_mapping(struct vhost_vdpa *v, const struct vhost_region *r, struct vhost_vdpa_mapping *m)
{
	const uint64_t mask = v->page - 1;
	const uint64_t addr = (uint64_t)(uintptr_t)r->addr;
	uint64_t last;

	if (r->size == 0 || __builtin_add_overflow(r->iova, r->size - 1, &last) ||
	    __builtin_add_overflow(addr, r->size - 1, &last) || r->iova > UINT64_MAX - v->page)
		return vhost_dev_fail(v->kernel.dev, -EINVAL, "a memory region of impossible size");
	if ((r->iova & mask) != (addr & mask))
		return vhost_dev_fail(v->kernel.dev, -EINVAL,
				      "memory at %p and its IOVA 0x%llx do not lie "
				      "alike in their pages", r->addr, (unsigned long long)r->iova);
	last = r->iova + (r->size - 1);
	m->iova = (r->iova + mask) & ~mask;
	/* The first byte after the last whole page; 0 is the end of the address space. */
	last = (last + 1) & ~mask;
	m->size = last - m->iova > r->size ? 0 : last - m->iova;
	m->uaddr = addr + (m->iova - r->iova);
	m->read_only = r->read_only;
	m->spaces = 0;
	if (m->size != 0 && (m->iova < v->first || m->iova + (m->size - 1) > v->last))
		return vhost_dev_fail(v->kernel.dev, -ERANGE,
				      "memory at IOVA 0x%llx to 0x%llx is out of the "
				      "device's reach, 0x%llx to 0x%llx",
				      (unsigned long long)m->iova,
				      (unsigned long long)(m->iova + (m->size - 1)),
				      (unsigned long long)v->first, (unsigned long long)v->last);
	return 0;
}

/* The lowest mapping that lies within w and agrees with it; NULL: none. */
static const struct vhost_vdpa_mapping *
lowest_within(const struct vhost_vdpa *v, const struct vhost_vdpa_mapping *w)
{
	const struct vhost_vdpa_mapping *found = NULL;

	for (uint32_t i = 0; i < v->nmaps; i++) {
		const struct vhost_vdpa_mapping *m = &v->map[i];

		if (m->iova < w->iova || m->size > w->size ||
		    m->iova - w->iova > w->size - m->size ||
		    m->uaddr - m->iova != w->uaddr - w->iova || m->read_only != w->read_only)
			continue;
		if (found == NULL || m->iova < found->iova)
			found = m;
	}
	return found;
}

/*
 * A range that a running device uses must not be unmapped, not even to be mapped again as part of a
 * larger one. So a larger region is cut into the ranges that are mapped already and those between
 * them. Returns the number of pieces: at most two for each mapped range, and one more.
 */
static uint32_t
split_mapping(const struct vhost_vdpa *v, struct vhost_vdpa_mapping w,
	      struct vhost_vdpa_mapping *piece)
{
	const struct vhost_vdpa_mapping *m;
	uint32_t n = 0;

	while (w.size > 0 && (m = lowest_within(v, &w)) != NULL) {
		const uint64_t gap = m->iova - w.iova, done = gap + m->size;

		if (gap > 0) {
			piece[n] = w;
			piece[n++].size = gap;
		}
		piece[n++] = *m;
		w.iova += done;
		w.uaddr += done;
		w.size -= done;
	}
	if (w.size > 0)
		piece[n++] = w;
	return n;
}

int
vhost_vdpa_map_set_table(struct vhost_dev *dev, const struct vhost_region *r, uint32_t n)
{
	const bool running = dev->status & VIRTIO_CONFIG_S_DRIVER_OK;
	struct vhost_vdpa *v = dev->priv;
	/* Pieces, and what was there before. */
	struct vhost_vdpa_mapping *set = calloc(n + 3 * v->nmaps + 1, sizeof(*set)), whole;
	uint32_t used = 0;

	if (set == NULL)
		return vhost_dev_fail(dev, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < n; i++) {
		int rc = check_mapping(v, &r[i], &whole);

		if (rc < 0) {
			free(set);
			return rc;
		}
		if (running)
			used += split_mapping(v, whole, &set[used]);
		else if (whole.size != 0)
			set[used++] = whole;
	}
	return change_mappings(v, set, used);
}

int
vhost_vdpa_map_use_space(struct vhost_vdpa *v, uint32_t asid)
{
	struct vhost_vdpa_mapping *set;

	if (v->spaces >> asid & 1)
		return 0;
	v->spaces |= 1u << asid;
	if (v->nmaps == 0)
		return 0;
	set = calloc(2 * v->nmaps, sizeof(*set));
	if (set == NULL)
		return vhost_dev_fail(v->kernel.dev, -ENOMEM, "out of memory");
	memcpy(set, v->map, v->nmaps * sizeof(*set));
	return change_mappings(v, set, v->nmaps);
}

void
vhost_vdpa_map_after_reset(struct vhost_vdpa *v)
{
	v->spaces = 1;
	if (!vhost_vdpa_has(v->kernel.dev, VHOST_BACKEND_F_IOTLB_PERSIST))
		v->nmaps = 0;
}
