/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * move_pages(2) without a list of nodes moves nothing and tells where pages are. It looks into this
 * process's page tables, so that it neither waits for a page nor allocates one. A page that the
 * guest alone has touched is not in them.
 */
#include <numa.h>
#include <numaif.h>

#include "virtq_node.h"

/* Pages of a snapshot that are looked at, at equal distances. */
#define SAMPLES 128
/* Pages of a ring: the first and the last of each part. */
#define RING_PAGES 6
/* Rings at most whose pages are looked at. */
#define MAX_RINGS 32
#define MAX_PAGES (MAX_RINGS * RING_PAGES)
#define MAX_NODES 1024
#define LONG_BITS (8 * sizeof(unsigned long))

_Static_assert(SAMPLES <= MAX_PAGES && VIRTQ_MEM_MAX_REGIONS >= SAMPLES, "sizes of arrays");

/* So much lies on that node. */
struct vote {
	int node;		/* negative: it is not known */
	uint64_t weight;
};

bool
virtq_node_several(void)
{
	return numa_available() >= 0 && numa_max_node() > 0;
}

static int
majority_of(const struct vote *vote, unsigned int n)
{
	uint64_t all = 0;

	for (unsigned int i = 0; i < n; i++)
		all += vote[i].node < 0 ? 0 : vote[i].weight;
	for (unsigned int i = 0; i < n; i++) {
		uint64_t mine = 0;

		for (unsigned int j = i; vote[i].node >= 0 && j < n; j++)
			mine += vote[j].node == vote[i].node ? vote[j].weight : 0;
		if (mine > all / 2)
			return vote[i].node;
	}
	return VIRTQ_NODE_UNKNOWN;
}

/* *any: whether one of the pages is there. */
static int
node_of_pages(void **page, unsigned int n, bool *any)
{
	struct vote vote[MAX_PAGES];
	int status[MAX_PAGES];

	*any = false;
	if (n == 0 || move_pages(0, n, page, NULL, status, 0) < 0)
		return VIRTQ_NODE_UNKNOWN;
	for (unsigned int i = 0; i < n; i++) {
		vote[i] = (struct vote){ status[i], 1 };
		*any |= status[i] >= 0;
	}
	return majority_of(vote, n);
}

static unsigned int
sample_pages(const struct virtq_mem *mem, void **page)
{
	uint64_t all = 0, at = 0;
	unsigned int n = 0;

	for (uint32_t i = 0; i < mem->nregions; i++)
		all += mem->region[i].size;
	for (uint32_t i = 0; i < mem->nregions; i++) {
		const struct virtq_region *r = &mem->region[i];

		/* The middles of SAMPLES equal parts of all regions, one behind the other. */
		for (; n < SAMPLES; n++) {
			const uint64_t next = all / SAMPLES * n + all / SAMPLES / 2;

			if (next < at || next - at >= r->size)
				break;
			page[n] = r->host + (next - at);
		}
		at += r->size;
	}
	return n;
}

/* The one node that the front-end wants the file's pages on, from this address on. */
static int
policy_of(void *host)
{
	unsigned long mask[MAX_NODES / LONG_BITS] = { 0 };
	int mode = MPOL_DEFAULT, node = VIRTQ_NODE_UNKNOWN;

	if (get_mempolicy(&mode, mask, MAX_NODES, host, MPOL_F_ADDR) != 0 ||
	    ((mode & 0xff) != MPOL_BIND && (mode & 0xff) != MPOL_PREFERRED))
		return VIRTQ_NODE_UNKNOWN;
	for (int i = 0; i < MAX_NODES; i++) {
		if (!(mask[(unsigned int)i / LONG_BITS] >> ((unsigned int)i % LONG_BITS) & 1))
			continue;
		if (node != VIRTQ_NODE_UNKNOWN)
			return VIRTQ_NODE_UNKNOWN;
		node = i;
	}
	return node;
}

static int
node_of_policies(const struct virtq_mem *mem)
{
	struct vote vote[SAMPLES];
	unsigned int n = 0;

	for (; n < mem->nregions && n < SAMPLES; n++)
		vote[n] = (struct vote){ policy_of(mem->region[n].host), mem->region[n].size };
	return majority_of(vote, n);
}

int
virtq_node_of_mem(const struct virtq_mem *mem)
{
	void *page[SAMPLES];
	bool any;
	int node;

	if (mem == NULL || numa_available() < 0)
		return VIRTQ_NODE_UNKNOWN;
	node = node_of_pages(page, sample_pages(mem, page), &any);
	return any ? node : node_of_policies(mem);
}

static void
pages_of_part(void *part, uint64_t bytes, void **page)
{
	page[0] = part;
	page[1] = (uint8_t *)part + bytes - 1;
}

static void
pages_of_ring(const struct virtq_ring *ring, void **page)
{
	const struct virtq_ring_config cfg = { .size = ring->size, .features = ring->features };
	struct virtq_ring_part part[3];

	virtq_ring_parts(&cfg, part);
	pages_of_part(ring->desc, part[0].bytes, page);
	pages_of_part(ring->avail, part[1].bytes, page + 2);
	pages_of_part(ring->used, part[2].bytes, page + 4);
}

int
virtq_node_of_rings(const struct virtq_ring *const *rings, unsigned int n)
{
	void *page[MAX_PAGES];
	bool any;

	if (numa_available() < 0)
		return VIRTQ_NODE_UNKNOWN;
	if (n > MAX_RINGS)
		n = MAX_RINGS;
	for (unsigned int i = 0; i < n; i++)
		pages_of_ring(rings[i], page + i * RING_PAGES);
	return node_of_pages(page, n * RING_PAGES, &any);
}
