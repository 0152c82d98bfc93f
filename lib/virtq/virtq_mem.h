/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory: immutable, sorted, reference-counted snapshots of the regions a peer shares.
 *
 * A snapshot never changes. Adding or removing a region makes a new snapshot that shares the
 * mappings of the old one; a mapping is undone when the last snapshot that holds it is put.
 * Reading a snapshot needs no lock. vhost-user: "Memory region description".
 */
#ifndef VIRTQ_MEM_H
#define VIRTQ_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtq_mem_kind.h"

/* Regions a snapshot can hold; also what GET_MAX_MEM_SLOTS answers. */
#define VIRTQ_MEM_MAX_REGIONS 512

/* Whether two ranges, neither of which is empty, have an address in common. */
static inline bool
virtq_ranges_overlap(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
	return a < b ? b - a < alen : a - b < blen;
}

/* One mmap of a peer's file, shared by the snapshots that use it. */
struct virtq_map;

/* A contiguous part of the guest's address space, and where it lies in this process. */
struct virtq_region {
	uint64_t gpa;		/* first guest-physical address */
	uint64_t size;		/* bytes, never 0 */
	uint64_t uva;		/* first address in the front-end's own address space */
	uint8_t *host;		/* first address in this process */
	struct virtq_map *map;	/* owner of the mapping; NULL: memory that outlives us */
};

struct virtq_mem {
	uint32_t refs;		/* atomic */
	uint32_t nregions;
	struct virtq_region region[]; /* ascending gpa */
};

/*
 * Whose mappings they are: one port's, so that no peer uses up what all ports share. It lives
 * until its owner and its last mapping have put it.
 */
struct virtq_mem_account_ops {
	/*
	 * Have fn(arg) called by a thread that may wait. False: it cannot be had, and the caller
	 * calls. Any thread.
	 */
	bool (*later)(void *ctx, void (*fn)(void *arg), void *arg);
	/* The account is gone, and cutfd is used by nobody. Any thread. */
	void (*release)(void *ctx, int cutfd);
};

struct virtq_mem_account {
	uint32_t refs;		/* atomic: one for each mapping, and the owner's */
	uint32_t most;		/* mappings, those included that are about to be undone */
	int cutfd;		/* non-blocking eventfd: a file was cut short; -1: none */
	struct virtq_mem_kind_last kind;	/* whoever maps: one thread at a time */
	const struct virtq_mem_account_ops *ops;
	void *ctx;
};

/* NULL: out of memory. */
struct virtq_mem_account *virtq_mem_account_new(uint32_t most, int cutfd,
						const struct virtq_mem_account_ops *ops, void *ctx);
void virtq_mem_account_put(struct virtq_mem_account *account);
/* Mappings that it has now. Any thread. */
uint32_t virtq_mem_account_maps(const struct virtq_mem_account *account);

/*
 * Map `size` bytes from `offset` of `fd`, readable and writable. The fd is not kept; the caller
 * still owns it. *host receives the address of the first byte. Whoever puts the last reference of
 * a mapping without an account (NULL) undoes it there and then.
 * Returns 0, -EDQUOT (the account has as many as it may), -EINVAL (size 0, sum wraps, file shorter
 * than offset + size), -EOPNOTSUPP (not a file that the kernel alone serves, see virtq_mem_kind.h)
 * or -errno of mmap (e.g. -EACCES, -EPERM of a read-only or sealed fd). The mapping has one
 * reference.
 */
int virtq_mem_map_new(struct virtq_mem_account *account, int fd, uint64_t offset, uint64_t size,
		      struct virtq_map **map, uint8_t **host);
/*
 * Map one page of a device, for writing only; `offset` is a multiple of the page size. The caller
 * has made sure that no peer serves the file, since an access might wait for it. 0 or -errno.
 */
int virtq_mem_map_device(int fd, uint64_t offset, struct virtq_map **map, uint8_t **host);
struct virtq_map *virtq_mem_map_get(struct virtq_map *map);
void virtq_mem_map_put(struct virtq_map *map);
/* Where a mapping lies in this process, in whole pages of its file. */
void virtq_mem_map_bounds(const struct virtq_map *map, void **start, uint64_t *bytes);
/* True where both show the same bytes of the same file. */
bool virtq_mem_map_same(const struct virtq_map *a, const struct virtq_map *b);
/*
 * True once the peer has cut the file short under the mapping: the pages that are gone were
 * replaced by private zero pages, and the peer has to go.
 */
bool virtq_mem_map_poisoned(const struct virtq_map *map);

/*
 * A snapshot of `n` regions in any order; takes over one reference of each region's map on
 * success, none on failure. -EINVAL: n too large, size 0, a sum that wraps. -EEXIST: overlap in
 * guest-physical or user addresses. -ENOMEM.
 */
int virtq_mem_new(const struct virtq_region *regions, uint32_t n, struct virtq_mem **mem);
/* A snapshot with one region more. `old` may be NULL, and stays. Same errors, and -ENOSPC. */
int virtq_mem_add(const struct virtq_mem *old, const struct virtq_region *r,
		  struct virtq_mem **mem);
/* A snapshot without the region that has exactly these numbers. -ENOENT if there is none. */
int virtq_mem_remove(const struct virtq_mem *old, uint64_t gpa, uint64_t uva, uint64_t size,
		     struct virtq_mem **mem);
struct virtq_mem *virtq_mem_get(struct virtq_mem *mem);
/* NULL is allowed. */
void virtq_mem_put(struct virtq_mem *mem);
bool virtq_mem_poisoned(const struct virtq_mem *mem);
/* No peer can cut a file of it short: virtq_mem_kind_is_sealed() was true of each. */
bool virtq_mem_is_sealed(const struct virtq_mem *mem);

/* The region that holds a guest-physical address, or NULL. */
const struct virtq_region *virtq_mem_find(const struct virtq_mem *mem, uint64_t gpa);
/*
 * Translate a guest-physical address. *len: bytes wanted on entry, bytes that are contiguous
 * here on return (never more than wanted). NULL when the first byte is not mapped.
 */
void *virtq_mem_gpa(const struct virtq_mem *mem, uint64_t gpa, uint64_t *len);
/* The region that an address in this process lies in, or NULL. Looks at them one by one. */
const struct virtq_region *virtq_mem_find_host(const struct virtq_mem *mem, const void *host);
/* The guest-physical address of one that lies in a region. */
uint64_t virtq_mem_gpa_of(const struct virtq_mem *mem, const void *host);
/* The last guest-physical address that is mapped. */
uint64_t virtq_mem_last(const struct virtq_mem *mem);
/* The region that a front-end user address lies in, or NULL. Looks at them one by one. */
const struct virtq_region *virtq_mem_find_uva(const struct virtq_mem *mem, uint64_t uva);
/* Translate `len` bytes at a front-end user address; NULL unless all of them lie in one region. */
void *virtq_mem_uva(const struct virtq_mem *mem, uint64_t uva, uint64_t len);

#endif /* VIRTQ_MEM_H */
