/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "virtq_mem.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "virtq_sigbus.h"

struct virtq_map {
	uint32_t refs;		/* atomic */
	struct virtq_mem_account *account; /* NULL: nobody's */
	struct virtq_sigbus_range range; /* what mmap gave, and whether the peer cut it */
	dev_t dev;		/* the file, and where in it; 0 of a device */
	ino_t ino;
	uint64_t offset, size;
	bool sealed;		/* the file cannot become shorter */
};

/* The unit in which this file can be mapped: a huge page on hugetlbfs, else a page. 0: errno. */
static uint64_t
map_unit(int fd)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return 0;
	if (fs.f_type == HUGETLBFS_MAGIC && fs.f_bsize > 0 && (uint64_t)fs.f_bsize > page)
		return (uint64_t)fs.f_bsize;
	return page;
}

struct virtq_mem_account *
virtq_mem_account_new(uint32_t most, int cutfd, const struct virtq_mem_account_ops *ops, void *ctx)
{
	struct virtq_mem_account *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	*a = (struct virtq_mem_account){.refs = 1, .most = most, .cutfd = cutfd, .ops = ops,
					.ctx = ctx};
	return a;
}

void
virtq_mem_account_put(struct virtq_mem_account *a)
{
	if (a == NULL || __atomic_sub_fetch(&a->refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	a->ops->release(a->ctx, a->cutfd);
	free(a);
}

uint32_t
virtq_mem_account_maps(const struct virtq_mem_account *a)
{
	return __atomic_load_n(&a->refs, __ATOMIC_RELAXED) - 1;
}

/* One mapping more; all of them are the account's references, but for the owner's. */
static int
account_take(struct virtq_mem_account *a)
{
	if (a == NULL)
		return 0;
	if (__atomic_fetch_add(&a->refs, 1, __ATOMIC_RELAXED) <= a->most)
		return 0;
	virtq_mem_account_put(a);
	return -EDQUOT;
}

static int
map_file(int fd, uint64_t start, uint64_t length, uint64_t unit, int prot, struct virtq_map **map)
{
	struct virtq_map *m = calloc(1, sizeof(*m));
	void *p;
	int rc;

	if (m == NULL)
		return -ENOMEM;
	p = mmap(NULL, length, prot, MAP_SHARED | MAP_NORESERVE, fd, (off_t)start);
	if (p == MAP_FAILED) {
		rc = -errno;
		free(m);
		return rc;
	}
	madvise(p, length, MADV_DONTDUMP);
	m->refs = 1;
	m->range.start = p;
	m->range.length = length;
	m->range.unit = unit;
	m->range.wakefd = -1;
	*map = m;
	return 0;
}

static void
undo_map(struct virtq_map *map)
{
	munmap(map->range.start, map->range.length);
	if (map->range.keep != NULL)
		munmap(map->range.keep, map->range.unit);
	virtq_mem_account_put(map->account);
	free(map);
}

/* `start` and `length` are multiples of `unit`. 0 or -errno. */
static int
map_units(struct virtq_mem_account *a, int fd, uint64_t start, uint64_t length, uint64_t unit,
	  int prot, struct virtq_map **map)
{
	int rc = account_take(a);

	if (rc < 0)
		return rc;
	rc = map_file(fd, start, length, unit, prot, map);
	if (rc < 0) {
		virtq_mem_account_put(a);
		return rc;
	}
	(*map)->account = a;
	if (a != NULL)
		(*map)->range.wakefd = a->cutfd;
	rc = virtq_sigbus_add(&(*map)->range);
	if (rc < 0) {
		undo_map(*map);
		*map = NULL;
	}
	return rc;
}

int
virtq_mem_map_new(struct virtq_mem_account *account, int fd, uint64_t offset, uint64_t size,
		  struct virtq_map **map, uint8_t **host)
{
	uint64_t end, start, unit;
	struct stat st;
	int rc;

	if (size == 0 || __builtin_add_overflow(offset, size, &end) || end > INT64_MAX)
		return -EINVAL;
	if (!virtq_mem_kind_is_local(fd, account == NULL ? NULL : &account->kind))
		return -EOPNOTSUPP;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || end > (uint64_t)st.st_size)
		return -EINVAL;
	unit = map_unit(fd);
	if (unit == 0)
		return -errno;
	start = offset & ~(unit - 1);
	rc = map_units(account, fd, start, (end - start + unit - 1) & ~(unit - 1), unit,
		       PROT_READ | PROT_WRITE, map);
	if (rc < 0)
		return rc;
	(*map)->dev = st.st_dev;
	(*map)->ino = st.st_ino;
	(*map)->offset = offset;
	(*map)->size = size;
	(*map)->sealed = virtq_mem_kind_is_sealed(fd);
	*host = (uint8_t *)(*map)->range.start + (offset - start);
	return 0;
}

int
virtq_mem_map_device(int fd, uint64_t offset, struct virtq_map **map, uint8_t **host)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	int rc;

	if (offset > INT64_MAX - page || offset % page != 0)
		return -EINVAL;
	rc = map_units(NULL, fd, offset, page, page, PROT_WRITE, map);
	if (rc == 0)
		*host = (*map)->range.start;
	return rc;
}

struct virtq_map *
virtq_mem_map_get(struct virtq_map *map)
{
	if (map != NULL)
		__atomic_fetch_add(&map->refs, 1, __ATOMIC_RELAXED);
	return map;
}

/* Nobody uses it any more. Freeing the pages of a file takes 0.2 s for a gigabyte. */
static void
end_map(void *arg)
{
	struct virtq_map *map = arg;

	virtq_sigbus_remove(&map->range);
	undo_map(map);
}

void
virtq_mem_map_put(struct virtq_map *map)
{
	if (map == NULL || __atomic_sub_fetch(&map->refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	if (map->account == NULL || !map->account->ops->later(map->account->ctx, end_map, map))
		end_map(map);
}

void
virtq_mem_map_bounds(const struct virtq_map *map, void **start, uint64_t *bytes)
{
	*start = map->range.start;
	*bytes = map->range.length;
}

bool
virtq_mem_map_same(const struct virtq_map *a, const struct virtq_map *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->offset == b->offset && a->size == b->size;
}

bool
virtq_mem_map_poisoned(const struct virtq_map *map)
{
	return map != NULL && __atomic_load_n(&map->range.poisoned, __ATOMIC_RELAXED);
}

static int
region_check(const struct virtq_region *r)
{
	uint64_t end;

	if (r->size == 0 || __builtin_add_overflow(r->gpa, r->size - 1, &end) ||
	    __builtin_add_overflow(r->uva, r->size - 1, &end))
		return -EINVAL;
	return 0;
}

/* Room for n regions; the caller fills them and takes the maps' references. */
static struct virtq_mem *
mem_alloc(uint32_t n)
{
	struct virtq_mem *mem = calloc(1, sizeof(*mem) + n * sizeof(mem->region[0]));

	if (mem != NULL)
		mem->refs = 1;
	return mem;
}

/* Insert in order of gpa. -EINVAL, -EEXIST as virtq_mem_new(). */
static int
mem_insert(struct virtq_mem *mem, const struct virtq_region *r)
{
	uint32_t at = mem->nregions;
	int rc = region_check(r);

	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < mem->nregions; i++) {
		const struct virtq_region *o = &mem->region[i];

		if (virtq_ranges_overlap(o->gpa, o->size, r->gpa, r->size) ||
		    virtq_ranges_overlap(o->uva, o->size, r->uva, r->size))
			return -EEXIST;
		if (o->gpa > r->gpa && i < at)
			at = i;
	}
	memmove(&mem->region[at + 1], &mem->region[at],
		(mem->nregions - at) * sizeof(mem->region[0]));
	mem->region[at] = *r;
	mem->nregions++;
	return 0;
}

int
virtq_mem_new(const struct virtq_region *regions, uint32_t n, struct virtq_mem **mem)
{
	struct virtq_mem *m;

	if (n > VIRTQ_MEM_MAX_REGIONS)
		return -EINVAL;
	m = mem_alloc(n);
	if (m == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		int rc = mem_insert(m, &regions[i]);

		if (rc < 0) {
			free(m);
			return rc;
		}
	}
	*mem = m;
	return 0;
}

int
virtq_mem_add(const struct virtq_mem *old, const struct virtq_region *r, struct virtq_mem **mem)
{
	uint32_t n = old == NULL ? 0 : old->nregions;
	struct virtq_mem *m;
	int rc;

	if (n >= VIRTQ_MEM_MAX_REGIONS)
		return -ENOSPC;
	m = mem_alloc(n + 1);
	if (m == NULL)
		return -ENOMEM;
	if (n > 0)
		memcpy(m->region, old->region, n * sizeof(m->region[0]));
	m->nregions = n;
	rc = mem_insert(m, r);
	if (rc < 0) {
		free(m);
		return rc;
	}
	for (uint32_t i = 0; i < n; i++)
		virtq_mem_map_get(old->region[i].map);
	*mem = m;
	return 0;
}

int
virtq_mem_remove(const struct virtq_mem *old, uint64_t gpa, uint64_t uva, uint64_t size,
		 struct virtq_mem **mem)
{
	uint32_t n = old == NULL ? 0 : old->nregions, at;
	struct virtq_mem *m;

	for (at = 0; at < n; at++)
		if (old->region[at].gpa == gpa && old->region[at].uva == uva &&
		    old->region[at].size == size)
			break;
	if (at == n)
		return -ENOENT;
	m = mem_alloc(n);
	if (m == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		if (i == at)
			continue;
		m->region[m->nregions++] = old->region[i];
		virtq_mem_map_get(old->region[i].map);
	}
	*mem = m;
	return 0;
}

struct virtq_mem *
virtq_mem_get(struct virtq_mem *mem)
{
	__atomic_fetch_add(&mem->refs, 1, __ATOMIC_RELAXED);
	return mem;
}

void
virtq_mem_put(struct virtq_mem *mem)
{
	if (mem == NULL || __atomic_sub_fetch(&mem->refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	for (uint32_t i = 0; i < mem->nregions; i++)
		virtq_mem_map_put(mem->region[i].map);
	free(mem);
}

bool
virtq_mem_poisoned(const struct virtq_mem *mem)
{
	for (uint32_t i = 0; mem != NULL && i < mem->nregions; i++)
		if (virtq_mem_map_poisoned(mem->region[i].map))
			return true;
	return false;
}

bool
virtq_mem_is_sealed(const struct virtq_mem *mem)
{
	for (uint32_t i = 0; i < mem->nregions; i++)
		if (mem->region[i].map == NULL || !mem->region[i].map->sealed)
			return false;
	return true;
}

/* The region with the greatest gpa that is not above `gpa`; NULL when it does not reach there. */
const struct virtq_region *
virtq_mem_find(const struct virtq_mem *mem, uint64_t gpa)
{
	uint32_t lo = 0, hi = mem->nregions;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (mem->region[mid].gpa <= gpa)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == 0 || gpa - mem->region[lo - 1].gpa >= mem->region[lo - 1].size)
		return NULL;
	return &mem->region[lo - 1];
}

void *
virtq_mem_gpa(const struct virtq_mem *mem, uint64_t gpa, uint64_t *len)
{
	const struct virtq_region *r = virtq_mem_find(mem, gpa);
	uint64_t left;

	if (r == NULL)
		return NULL;
	left = r->size - (gpa - r->gpa);
	if (*len > left)
		*len = left;
	return r->host + (gpa - r->gpa);
}

const struct virtq_region *
virtq_mem_find_uva(const struct virtq_mem *mem, uint64_t uva)
{
	for (uint32_t i = 0; i < mem->nregions; i++)
		if (uva - mem->region[i].uva < mem->region[i].size)
			return &mem->region[i];
	return NULL;
}

void *
virtq_mem_uva(const struct virtq_mem *mem, uint64_t uva, uint64_t len)
{
	const struct virtq_region *r = virtq_mem_find_uva(mem, uva);

	if (r == NULL || len > r->size - (uva - r->uva))
		return NULL;
	return r->host + (uva - r->uva);
}

const struct virtq_region *
virtq_mem_find_host(const struct virtq_mem *mem, const void *host)
{
	for (uint32_t i = 0; i < mem->nregions; i++)
		if ((uintptr_t)host - (uintptr_t)mem->region[i].host < mem->region[i].size)
			return &mem->region[i];
	return NULL;
}

uint64_t
virtq_mem_gpa_of(const struct virtq_mem *mem, const void *host)
{
	const struct virtq_region *r = virtq_mem_find_host(mem, host);

	return r->gpa + ((uintptr_t)host - (uintptr_t)r->host);
}

uint64_t
virtq_mem_last(const struct virtq_mem *mem)
{
	const struct virtq_region *r = &mem->region[mem->nregions - 1];

	return r->gpa + (r->size - 1);
}
