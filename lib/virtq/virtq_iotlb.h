/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IOTLB: what a virtual IOMMU makes of the addresses in a ring, as far as the front-end has said
 * (vhost-user, "IOMMU support"). Ranges of I/O virtual addresses, sorted, in one immutable table:
 * the control thread puts another one in its place, bursts search the one that they find.
 *
 * A table that was replaced may be in use until the bursts have been waited for; it is freed
 * with virtq_iotlb_reclaim().
 */
#ifndef VIRTQ_IOTLB_H
#define VIRTQ_IOTLB_H

#include <stdbool.h>
#include <stdint.h>

#include "virtq_mem.h"

#define VIRTQ_IOTLB_PAGE 4096ull
#define VIRTQ_IOTLB_MAX 8192	/* ranges; with more, some are forgotten */
#define VIRTQ_IOTLB_GIVEN 8192	/* pages that are remembered, a power of two */

/* VHOST_ACCESS_RO, _WO, and both. */
#define VIRTQ_IOTLB_READ 1u
#define VIRTQ_IOTLB_WRITE 2u

struct virtq_iotlb_range {
	uint64_t iova, last;	/* first and last address */
	uint8_t *host;		/* of the first */
	uint8_t perm;		/* VIRTQ_IOTLB_, not 0 */
};

struct virtq_iotlb_table {
	struct virtq_iotlb_table *next; /* that waits to be freed */
	uint32_t n;
	struct virtq_iotlb_range range[]; /* ascending, no two overlap */
};

struct virtq_iotlb {
	uint32_t refs;		/* atomic */
	uint32_t nretired;	/* tables that wait to be freed */
	uint64_t generation;	/* atomic: another one once a range was taken away */
	struct virtq_iotlb_table *table; /* atomic, never NULL */
	struct virtq_iotlb_table *retired;
	struct virtq_mem *mem;	/* one reference */
	uint32_t forgotten;	/* how often ranges were forgotten */
	uint32_t given[VIRTQ_IOTLB_GIVEN]; /* marks of pages, see virtq_iotlb_give() */
};

/* An empty one, whose ranges lie in `mem`. NULL: out of memory. */
struct virtq_iotlb *virtq_iotlb_new(struct virtq_mem *mem);
/* With the ranges of another one, as far as their user addresses lie in `mem`. NULL as above. */
struct virtq_iotlb *virtq_iotlb_moved(const struct virtq_iotlb *old, struct virtq_mem *mem);
/* NULL is allowed, here and below. */
struct virtq_iotlb *virtq_iotlb_get(struct virtq_iotlb *iotlb);
void virtq_iotlb_put(struct virtq_iotlb *iotlb);

/*
 * Addresses from `iova` on are `size` bytes at a user address of the front-end. What was said of
 * them before does not count any more. -EINVAL: size 0, a sum that wraps, another `perm` than 1 to
 * 3. -EFAULT: not in the memory. -ENOMEM. Control thread, as all below but virtq_iotlb_find().
 */
int virtq_iotlb_add(struct virtq_iotlb *iotlb, uint64_t iova, uint64_t size, uint64_t uva,
		    uint8_t perm);
/*
 * Take addresses away. Bursts that began before may still use them, until they have been waited
 * for. 0, -EINVAL as above, or -ENOMEM.
 */
int virtq_iotlb_remove(struct virtq_iotlb *iotlb, uint64_t iova, uint64_t size);
/*
 * A page is given for one use, without getting into the table. Whether it was before, and was not
 * taken away since: then it serves for longer, and belongs into the table. Sometimes true although
 * it was not, and the reverse.
 */
bool virtq_iotlb_give(struct virtq_iotlb *iotlb, uint64_t iova);
/* No burst uses a former table any more. */
void virtq_iotlb_reclaim(struct virtq_iotlb *iotlb);
uint32_t virtq_iotlb_ranges(const struct virtq_iotlb *iotlb);

/* The range that holds an address which may be accessed so, or NULL. As virtq_iotlb_find(). */
const struct virtq_iotlb_range *virtq_iotlb_search(const struct virtq_iotlb *iotlb, uint64_t iova,
						   bool write);
/*
 * Translate. *len: bytes wanted on entry, bytes that are contiguous here on return (never more than
 * wanted). NULL when the first byte is not known, or may not be accessed so. Any thread, between
 * two waits of the control thread.
 */
uint8_t *virtq_iotlb_find(const struct virtq_iotlb *iotlb, uint64_t iova, uint64_t *len,
			  bool write);

#endif /* VIRTQ_IOTLB_H */
