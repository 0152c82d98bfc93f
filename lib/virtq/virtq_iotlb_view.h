/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One ring's view of an IOTLB: a cache of pages that its bursts have found in the table, and pages
 * that were asked for. A burst notes a miss and leaves the chain in its ring; the control thread
 * asks the front-end, and brings what it says.
 *
 * A page that was asked for serves the chain that it was asked for, and then is forgotten. QEMU
 * tells vhost of no mapping that came and went between two flushes of a guest that flushes lazily,
 * unless the device has a TLB of its own (ATS), and what is not known cannot be out of date. As
 * long as the device has a chain, what the chain's addresses stand for does not change.
 * What a front-end says unasked, or of large ranges, is in the table until it is taken away.
 */
#ifndef VIRTQ_IOTLB_VIEW_H
#define VIRTQ_IOTLB_VIEW_H

#include "virtq_iotlb.h"

#define VIRTQ_IOTLB_PAGES 8192	/* pages in the cache, a power of two */
#define VIRTQ_IOTLB_SLOTS 1024	/* pages that can be asked for, a power of two */
/* Bytes of a range that is not worth a place in the cache, nor to be asked for twice. */
#define VIRTQ_IOTLB_LARGE (16 * VIRTQ_IOTLB_PAGE)
/* A page that was not to be had may be asked for again after so long. */
#define VIRTQ_IOTLB_FAILED_NS 1000000000ull

struct virtq_iotlb_page {
	uint64_t tag;		/* number of the page, and of the generation; 0: empty */
	uint8_t *host;
};

/* A page that was asked for, or is to be. */
struct virtq_iotlb_slot {
	uint64_t word;		/* atomic: address of the page, and in its low bits the state */
	uint8_t *host;		/* once it is known */
	uint64_t asked_ns;	/* when the front-end was asked; the control thread's */
	uint32_t pos;		/* atomic: of the last chain that it serves, VIRTQ_IOTLB_POS() */
};

/* Where a chain is. Split: its index, free-running; packed: its first entry, and the lap. */
#define VIRTQ_IOTLB_POS(idx, wrap) ((uint32_t)(idx) | (uint32_t)(wrap) << 16)

struct virtq_iotlb_view {
	struct virtq_iotlb *iotlb; /* one reference */
	int missfd;		/* eventfd: a page is missed. Not owned */
	uint32_t signalled;	/* atomic: it was signalled, and nobody has looked since */
	uint32_t news;		/* atomic: a page that was asked for has become known */
	bool packed;		/* the ring's layout */

	/* The burst's. */
	uint64_t generation;	/* of the IOTLB, as the cache has it */
	uint32_t stood;		/* atomic: where the ring stood when the round began */
	uint32_t nslots;	/* in use when last counted */
	struct virtq_iotlb_page page[VIRTQ_IOTLB_PAGES];

	struct virtq_iotlb_slot slot[VIRTQ_IOTLB_SLOTS]; /* near where the page's number hashes */
};

/* Of a ring to be; takes its own reference of `iotlb`. NULL: out of memory. */
struct virtq_iotlb_view *virtq_iotlb_view_new(struct virtq_iotlb *iotlb, int missfd, bool packed);
/* NULL is allowed. */
void virtq_iotlb_view_free(struct virtq_iotlb_view *view);

/* What a burst asks. The ring's burst, or the control thread while there is none. */

/*
 * A round begins with the chain at `pos`. Pages that were asked for chains before it are forgotten.
 * True: so is all that was in the cache.
 */
bool virtq_iotlb_view_begin(struct virtq_iotlb_view *view, uint32_t pos);
/*
 * Translate a buffer that lies in one page, or in one range; always the same `write` for one view.
 * NULL: it does not, or is not known. *range: what it was found in, if that is large; else its
 * first address is behind its last.
 */
uint8_t *virtq_iotlb_view_find(struct virtq_iotlb_view *view, uint64_t iova, uint32_t len,
			       bool write, struct virtq_iotlb_range *range);
/* As virtq_iotlb_find(), with pages that were asked for. */
uint8_t *virtq_iotlb_view_piece(struct virtq_iotlb_view *view, uint64_t iova, uint64_t *len,
				bool write);
/* The page is missed. True: wait; false: it is not to be had. Asks once. */
bool virtq_iotlb_view_miss(struct virtq_iotlb_view *view, uint64_t iova, bool write);

/* What the control thread does. */

/* Copy bytes of the guest's that lie in one page. False: it is not known. */
bool virtq_iotlb_view_read(const struct virtq_iotlb_view *view, uint64_t iova, void *to,
			   uint32_t len);
/* To be called before looking for misses. */
void virtq_iotlb_view_look(struct virtq_iotlb_view *view);
/* From *i on, the next page that the front-end has not been asked for; false: none. */
bool virtq_iotlb_view_next_miss(struct virtq_iotlb_view *view, uint32_t *i, uint64_t *iova,
				bool *write);
/* It has been asked now for miss i. */
void virtq_iotlb_view_asked(struct virtq_iotlb_view *view, uint32_t i, uint64_t now_ns);
/*
 * The chain at `pos` will need the page. True: it is noted as asked for; false: the front-end need
 * not be asked, or there is no room.
 */
bool virtq_iotlb_view_expect(struct virtq_iotlb_view *view, uint64_t iova, bool write,
			     uint32_t pos, uint64_t now_ns);
/* The front-end has said this. Whether the view had asked for any page of it. */
bool virtq_iotlb_view_answer(struct virtq_iotlb_view *view, uint64_t iova, uint64_t last,
			     uint8_t *host, uint8_t perm);
/* There is no such page, asked for or not. */
void virtq_iotlb_view_fail(struct virtq_iotlb_view *view, uint64_t iova);
/* Pages were taken away. Whether a burst may still use one, until it has been waited for. */
bool virtq_iotlb_view_drop(struct virtq_iotlb_view *view, uint64_t iova, uint64_t last);
/*
 * What was asked for before `old_ns` is not to be had; or with `again` it is missed anew, so many
 * pages, which are counted down. Whether anything is still waited for.
 */
bool virtq_iotlb_view_expire(struct virtq_iotlb_view *view, uint64_t old_ns, uint32_t *again);

#endif /* VIRTQ_IOTLB_VIEW_H */
