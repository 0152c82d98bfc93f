/* SPDX-License-Identifier: BSD-3-Clause */
/* NUMA nodes of memory, on a machine whose nodes the test makes up; and on this one. */
#include "rig_guest.h"

#include <errno.h>
#include <numa.h>
#include <numaif.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "virtq_node.h"

#define REGIONS 3
#define PAGES 300
#define PAGE 4096u
#define RING_SIZE 1024u

/* What a page has in place of a node. */
enum { ABSENT = -ENOENT, ON_0 = 0, ON_1 = 1 };

int __real_numa_available(void);
int __wrap_numa_available(void);
int __wrap_numa_max_node(void);
long __real_move_pages(int pid, unsigned long n, void **pages, const int *nodes, int *status,
		       int flags);
long __wrap_move_pages(int pid, unsigned long n, void **pages, const int *nodes, int *status,
		       int flags);
long __real_get_mempolicy(int *mode, unsigned long *mask, unsigned long bits, void *addr,
			  unsigned int flags);
long __wrap_get_mempolicy(int *mode, unsigned long *mask, unsigned long bits, void *addr,
			  unsigned int flags);

static bool real, none;		/* this machine; a kernel without NUMA */
static int last_node;		/* of the machine */
static uint8_t *memory[REGIONS];
static int node_of[REGIONS][PAGES];
static int mode_of[REGIONS];
static unsigned long mask_of[REGIONS];
static unsigned int asked[REGIONS]; /* pages of it */
static bool fails;

int
__wrap_numa_available(void)
{
	return real ? __real_numa_available() : none ? -1 : 0;
}

int
__wrap_numa_max_node(void)
{
	assert_false(none);
	return last_node;
}

static int
region_at(const void *addr)
{
	const uint8_t *p = addr;

	for (int i = 0; i < REGIONS; i++)
		if (p >= memory[i] && p < memory[i] + PAGES * PAGE)
			return i;
	fail_msg("an address outside of the memory");
	return -1;
}

/* Nothing is to be moved. */
long
__wrap_move_pages(int pid, unsigned long n, void **pages, const int *nodes, int *status, int flags)
{
	assert_null(nodes);
	assert_int_equal(pid, 0);
	if (real)
		return __real_move_pages(pid, n, pages, nodes, status, flags);
	assert_false(none);
	if (fails) {
		errno = EPERM;
		return -1;
	}
	for (unsigned long i = 0; i < n; i++) {
		const int r = region_at(pages[i]);

		asked[r]++;
		status[i] = node_of[r][((uint8_t *)pages[i] - memory[r]) / PAGE];
	}
	return 0;
}

/* An address's node, which would bring the page in, is never asked for. */
long
__wrap_get_mempolicy(int *mode, unsigned long *mask, unsigned long bits, void *addr,
		     unsigned int flags)
{
	int r;

	assert_int_equal(flags, MPOL_F_ADDR);
	if (real)
		return __real_get_mempolicy(mode, mask, bits, addr, flags);
	assert_false(none);
	assert_true(bits >= 64);
	r = region_at(addr);
	*mode = mode_of[r];
	mask[0] = mask_of[r];
	return 0;
}

static void
fill_nodes(int region, unsigned int from, unsigned int n, int node)
{
	for (unsigned int i = 0; i < n; i++)
		node_of[region][from + i] = node;
}

static struct virtq_mem *
mem_of(const uint32_t *pages, uint32_t n)
{
	struct virtq_region region[REGIONS] = { 0 };
	struct virtq_mem *mem;

	for (uint32_t i = 0; i < n; i++)
		region[i] = (struct virtq_region){
			.gpa = i * 0x10000000ull,
			.uva = i * 0x10000000ull,
			.size = pages[i] * PAGE,
			.host = memory[i],
		};
	assert_int_equal(virtq_mem_new(region, n, &mem), 0);
	return mem;
}

static int
node_of_memory(uint32_t a, uint32_t b, uint32_t c)
{
	const uint32_t pages[] = { a, b, c };
	struct virtq_mem *mem = mem_of(pages, b == 0 ? 1 : c == 0 ? 2 : 3);
	const int node = virtq_node_of_mem(mem);

	virtq_mem_put(mem);
	return node;
}

static int
node_setup(void **state)
{
	real = none = fails = false;
	last_node = 1;
	memset(mode_of, 0, sizeof(mode_of));
	memset(asked, 0, sizeof(asked));
	for (int i = 0; i < REGIONS; i++) {
		fill_nodes(i, 0, PAGES, ABSENT);
		memory[i] = mmap(NULL, PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		assert_true(memory[i] != MAP_FAILED);
	}
	return 0;
}

static int
node_teardown(void **state)
{
	for (int i = 0; i < REGIONS; i++)
		munmap(memory[i], PAGES * PAGE);
	return 0;
}

static void
nothing_is_known(void **state)
{
	assert_int_equal(virtq_node_of_mem(NULL), VIRTQ_NODE_UNKNOWN);
	assert_int_equal(node_of_memory(300, 0, 0), VIRTQ_NODE_UNKNOWN);
	fill_nodes(0, 0, PAGES, ON_1);
	fails = true;
	assert_int_equal(node_of_memory(300, 0, 0), VIRTQ_NODE_UNKNOWN);
}

static void
most_of_it_decides(void **state)
{
	fill_nodes(0, 0, PAGES, ON_1);
	assert_int_equal(node_of_memory(300, 0, 0), 1);
	fill_nodes(0, 0, 140, ON_0);
	assert_int_equal(node_of_memory(300, 0, 0), 1);
	fill_nodes(0, 0, 160, ON_0);
	assert_int_equal(node_of_memory(300, 0, 0), 0);
	/* Pages that are not there say nothing. */
	fill_nodes(0, 0, 299, ABSENT);
	fill_nodes(0, 100, 20, ON_1);
	assert_int_equal(node_of_memory(300, 0, 0), 1);
}

static void
halves_are_unknown(void **state)
{
	fill_nodes(0, 0, 150, ON_0);
	fill_nodes(0, 150, 150, ON_1);
	assert_int_equal(node_of_memory(300, 0, 0), VIRTQ_NODE_UNKNOWN);
	/* And no policy is a reason to think otherwise. */
	mode_of[0] = MPOL_BIND;
	mask_of[0] = 1 << 1;
	assert_int_equal(node_of_memory(300, 0, 0), VIRTQ_NODE_UNKNOWN);
}

/* Samples lie in all regions, as many as these are large. */
static void
regions_count_by_size(void **state)
{
	fill_nodes(0, 0, PAGES, ON_0);
	fill_nodes(1, 0, PAGES, ON_1);
	fill_nodes(2, 0, PAGES, ON_1);
	assert_int_equal(node_of_memory(300, 100, 100), 0);
	assert_uint_in_range(asked[0], 60, 90);
	assert_uint_in_range(asked[1], 20, 30);
	assert_uint_in_range(asked[2], 20, 30);
	assert_int_equal(node_of_memory(300, 250, 250), 1);
	assert_int_equal(node_of_memory(1, 0, 0), 0);
	assert_int_equal(node_of_memory(1, 1, 1), 1);
}

/* A file whose pages nobody here has touched. */
static void
policy_says_where_pages_will_be(void **state)
{
	mode_of[0] = MPOL_BIND;
	mask_of[0] = 1 << 1;
	assert_int_equal(node_of_memory(100, 0, 0), 1);
	mode_of[0] = MPOL_PREFERRED;
	assert_int_equal(node_of_memory(100, 0, 0), 1);
	mask_of[0] = 3;
	assert_int_equal(node_of_memory(100, 0, 0), VIRTQ_NODE_UNKNOWN);
	mode_of[0] = MPOL_INTERLEAVE;
	mask_of[0] = 1;
	assert_int_equal(node_of_memory(100, 0, 0), VIRTQ_NODE_UNKNOWN);
	mode_of[0] = mode_of[1] = MPOL_BIND;
	mask_of[1] = 1 << 1;
	assert_int_equal(node_of_memory(200, 100, 0), 0);
	assert_int_equal(node_of_memory(100, 200, 0), 1);
	/* Pages that are there know better. */
	fill_nodes(1, 0, PAGES, ON_0);
	assert_int_equal(node_of_memory(100, 200, 0), 0);
}

static struct virtq_ring
ring_in(int region, unsigned int page, uint64_t features)
{
	struct virtq_ring ring = { .size = RING_SIZE, .features = features };
	uint8_t *at = memory[region] + page * PAGE;

	ring.desc = (void *)at;
	ring.avail = (void *)(at + 16 * PAGE);
	ring.used = (void *)(at + 20 * PAGE);
	return ring;
}

static void
rings_have_pages(void **state)
{
	struct virtq_ring a = ring_in(0, 0, 0), b = ring_in(1, 100, 1ull << VIRTIO_F_RING_PACKED);
	const struct virtq_ring *rings[] = { &a, &b };

	assert_int_equal(virtq_node_of_rings(rings, 0), VIRTQ_NODE_UNKNOWN);
	assert_int_equal(virtq_node_of_rings(rings, 2), VIRTQ_NODE_UNKNOWN);
	node_of[0][0] = ON_1;	/* descriptors, the first */
	assert_int_equal(virtq_node_of_rings(rings, 2), 1);
	node_of[0][22] = ON_0;	/* the used ring's end */
	assert_int_equal(virtq_node_of_rings(rings, 2), VIRTQ_NODE_UNKNOWN);
	node_of[1][103] = ON_0;	/* descriptors of the other, the last */
	assert_int_equal(virtq_node_of_rings(rings, 2), 0);
	assert_int_equal(virtq_node_of_rings(rings + 1, 1), 0);
}

static void
without_numa_nothing_is_asked(void **state)
{
	struct virtq_ring a = ring_in(0, 0, 0);
	const struct virtq_ring *ring = &a;

	assert_true(virtq_node_several());
	last_node = 0;
	assert_false(virtq_node_several());
	none = true;
	fill_nodes(0, 0, PAGES, ON_1);
	assert_false(virtq_node_several());
	assert_int_equal(node_of_memory(300, 0, 0), VIRTQ_NODE_UNKNOWN);
	assert_int_equal(virtq_node_of_rings(&ring, 1), VIRTQ_NODE_UNKNOWN);
}

static unsigned int
pages_in_core(uint8_t *at, unsigned int n)
{
	unsigned char in[PAGES];
	unsigned int found = 0;

	assert_int_equal(mincore(at, n * PAGE, in), 0);
	for (unsigned int i = 0; i < n; i++)
		found += in[i] & 1;
	return found;
}

/* This machine's kernel brings no page in, and finds those that are there. */
static void
a_look_brings_nothing_in(void **state)
{
	int fd = memfd_create("node", 0);
	struct virtq_region region = { .size = PAGES * PAGE };
	struct virtq_mem *mem;

	real = true;
	if (__real_numa_available() < 0) {
		close(fd);
		print_message("no NUMA in this kernel: what it says is not compared\n");
		return;
	}
	assert_int_equal(ftruncate(fd, PAGES * PAGE), 0);
	region.host = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(region.host != MAP_FAILED);
	assert_int_equal(virtq_mem_new(&region, 1, &mem), 0);
	assert_int_equal(virtq_node_of_mem(mem), VIRTQ_NODE_UNKNOWN);
	assert_int_equal(pages_in_core(region.host, PAGES), 0);
	memset(region.host, 1, PAGES * PAGE);
	assert_uint_in_range(virtq_node_of_mem(mem), 0, 1023);
	virtq_mem_put(mem);
	munmap(region.host, PAGES * PAGE);
	close(fd);
}

int
main(void)
{
#define NODE_TEST(fn) cmocka_unit_test_setup_teardown(fn, node_setup, node_teardown)
	const struct CMUnitTest tests[] = {
		NODE_TEST(nothing_is_known),
		NODE_TEST(most_of_it_decides),
		NODE_TEST(halves_are_unknown),
		NODE_TEST(regions_count_by_size),
		NODE_TEST(policy_says_where_pages_will_be),
		NODE_TEST(rings_have_pages),
		NODE_TEST(without_numa_nothing_is_asked),
		NODE_TEST(a_look_brings_nothing_in),
	};

	return cmocka_run_group_tests_name("virtq_node", tests, NULL, NULL);
}
