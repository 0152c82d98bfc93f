/* SPDX-License-Identifier: BSD-3-Clause */
/* Guest memory: what can be mapped, and how regions are kept. test_virtq_sigbus.c: faults. */
#include <fcntl.h>

#include "rig_guest.h"
#include "rig_guest_file.h"

static void
sizes_and_offsets(void **state)
{
	int fd = file_of(3 * PAGE);

	assert_int_equal(try_map(fd, 0, 3 * PAGE), 0);
	assert_int_equal(try_map(fd, 0, 1), 0);
	assert_int_equal(try_map(fd, 2 * PAGE, PAGE), 0);
	assert_int_equal(try_map(fd, 0, 0), -EINVAL);
	assert_int_equal(try_map(fd, 3 * PAGE, 0), -EINVAL);
	assert_int_equal(try_map(fd, 0, 3 * PAGE + 1), -EINVAL);
	assert_int_equal(try_map(fd, 1, 3 * PAGE), -EINVAL);
	assert_int_equal(try_map(fd, 3 * PAGE, 1), -EINVAL);
	/* Sums that wrap, in 64 bits and in an off_t. */
	assert_int_equal(try_map(fd, PAGE, -PAGE), -EINVAL);
	assert_int_equal(try_map(fd, -PAGE, 2 * PAGE), -EINVAL);
	assert_int_equal(try_map(fd, -1ul, 1), -EINVAL);
	assert_int_equal(try_map(fd, 1ul << 63, PAGE), -EINVAL);
	assert_int_equal(try_map(fd, (1ul << 63) - PAGE, PAGE), -EINVAL);
	close(fd);
}

/* An offset that is no multiple of a page: the byte there is the one that is found. */
static void
unaligned_offset(void **state)
{
	int fd = file_of(3 * PAGE);

	for (uint64_t offset = 1; offset < 2 * PAGE; offset += 1021) {
		uint8_t byte = (uint8_t)(offset * 7), last = 0;
		struct virtq_map *map;
		uint8_t *host;

		assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
		assert_int_equal(virtq_mem_map_new(NULL, fd, offset, PAGE, &map, &host), 0);
		assert_int_equal(host[0], byte);
		host[PAGE - 1] = 0x5a;
		assert_int_equal(pread(fd, &last, 1, (off_t)(offset + PAGE - 1)), 1);
		assert_int_equal(last, 0x5a);
		virtq_mem_map_put(map);
	}
	close(fd);
}

static void
files_that_cannot_be_mapped(void **state)
{
	int fd = file_of(PAGE), pipes[2], ro;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(ro >= 0);
	assert_int_equal(try_map(ro, 0, PAGE), -EACCES);
	close(ro);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	assert_int_equal(try_map(fd, 0, PAGE), -EPERM);
	close(fd);
	assert_int_equal(try_map(fd, 0, PAGE), -EOPNOTSUPP);
	assert_int_equal(try_map(-1, 0, PAGE), -EOPNOTSUPP);
	/* A file that a process could as well serve. */
	fd = open("/proc/self/comm", O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(try_map(fd, 0, 1), -EOPNOTSUPP);
	close(fd);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(try_map(pipes[0], 0, PAGE), -EOPNOTSUPP);
	close(pipes[0]);
	close(pipes[1]);
	fd = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(try_map(fd, 0, PAGE), -EOPNOTSUPP);
	close(fd);
	fd = open("/", O_RDONLY | O_CLOEXEC);
	assert_int_equal(try_map(fd, 0, PAGE), -EOPNOTSUPP);
	close(fd);
}

/* How many mappings this process has of a file; the kernel counts. */
static int
mappings_of(const char *name)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];
	int n = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL)
		n += strstr(line, name) != NULL;
	fclose(f);
	return n;
}

/* The last reference unmaps, and the fd is not kept. */
static void
references(void **state)
{
	int fd = memfd_create("counted", MFD_CLOEXEC);
	struct virtq_map *map;
	uint8_t *host;

	assert_int_equal(ftruncate(fd, PAGE), 0);
	assert_int_equal(virtq_mem_map_new(NULL, fd, 0, PAGE, &map, &host), 0);
	close(fd);
	assert_int_equal(mappings_of("memfd:counted"), 1);
	assert_ptr_equal(virtq_mem_map_get(map), map);
	virtq_mem_map_put(map);
	assert_int_equal(mappings_of("memfd:counted"), 1);
	host[0] = 1;
	virtq_mem_map_put(map);
	assert_int_equal(mappings_of("memfd:counted"), 0);
	virtq_mem_map_put(NULL);
	assert_null(virtq_mem_map_get(NULL));
	virtq_mem_put(NULL);
}

/* Regions that are only numbers. */

static struct virtq_region
region(uint64_t gpa, uint64_t size, uint64_t uva)
{
	return (struct virtq_region){.gpa = gpa, .size = size, .uva = uva,
				     .host = (uint8_t *)(uintptr_t)(gpa ^ 0x5000000000ul)};
}

static int
two_regions(struct virtq_region a, struct virtq_region b)
{
	struct virtq_mem *one, *two, *both;
	struct virtq_region r[2] = {a, b};
	int added, at_once = virtq_mem_new(r, 2, &both);

	if (at_once == 0)
		virtq_mem_put(both);
	/* Either way of saying it has the same answer. */
	assert_int_equal(virtq_mem_new(r, 1, &one), 0);
	added = virtq_mem_add(one, &b, &two);
	assert_int_equal(added, at_once);
	if (added == 0)
		virtq_mem_put(two);
	virtq_mem_put(one);
	return at_once;
}

static void
regions_that_overlap(void **state)
{
	struct virtq_region a = region(0x10000, 0x4000, 0x700000);

	assert_int_equal(two_regions(a, region(0x14000, 0x1000, 0x704000)), 0);
	assert_int_equal(two_regions(a, region(0xf000, 0x1000, 0x6ff000)), 0);
	assert_int_equal(two_regions(a, region(0, 0x10000, 0x704000)), 0);
	assert_int_equal(two_regions(a, a), -EEXIST);
	/* In guest-physical addresses. */
	assert_int_equal(two_regions(a, region(0x13fff, 1, 0x900000)), -EEXIST);
	assert_int_equal(two_regions(a, region(0xf000, 0x1001, 0x900000)), -EEXIST);
	assert_int_equal(two_regions(a, region(0, 0x100000, 0x900000)), -EEXIST);
	assert_int_equal(two_regions(a, region(0x11000, 0x1000, 0x900000)), -EEXIST);
	/* In user addresses. */
	assert_int_equal(two_regions(a, region(0x90000, 1, 0x703fff)), -EEXIST);
	assert_int_equal(two_regions(a, region(0x90000, 0x1001, 0x6ff000)), -EEXIST);
	assert_int_equal(two_regions(a, region(0x90000, 0x110000, 0x600000)), -EEXIST);
}

static void
regions_that_are_none(void **state)
{
	static struct virtq_region many[VIRTQ_MEM_MAX_REGIONS + 1];
	struct virtq_region a = region(0x10000, 0x4000, 0x700000);
	struct virtq_mem *mem = NULL;

	assert_int_equal(two_regions(a, region(0x90000, 0, 0x900000)), -EINVAL);
	assert_int_equal(two_regions(a, region(-0x1000ul, 0x1001, 0x900000)), -EINVAL);
	assert_int_equal(two_regions(a, region(0x90000, 0x1001, -0x1000ul)), -EINVAL);
	/* To the very end of either address space is not beyond it. */
	assert_int_equal(two_regions(a, region(-0x1000ul, 0x1000, 0x900000)), 0);
	assert_int_equal(two_regions(a, region(0x90000, 0x1000, -0x1000ul)), 0);
	for (uint32_t i = 0; i <= VIRTQ_MEM_MAX_REGIONS; i++)
		many[i] = region(i * 0x1000ul, 0x1000, i * 0x1000ul);
	assert_int_equal(virtq_mem_new(many, VIRTQ_MEM_MAX_REGIONS + 1, &mem), -EINVAL);
	assert_null(mem);
}

/* Translation against a plain walk over the list, at every border. */
static void
expect_translation(const struct virtq_mem *mem, const struct virtq_region *list, uint32_t n,
		   uint64_t gpa, uint64_t len)
{
	const struct virtq_region *r = NULL;
	uint64_t got = len;
	void *p;

	for (uint32_t i = 0; i < n; i++)
		if (list[i].size != 0 && gpa >= list[i].gpa && gpa - list[i].gpa < list[i].size)
			r = &list[i];
	p = virtq_mem_gpa(mem, gpa, &got);
	if (r == NULL) {
		assert_null(p);
		assert_null(virtq_mem_find(mem, gpa));
		return;
	}
	assert_int_equal(virtq_mem_find(mem, gpa)->gpa, r->gpa);
	assert_ptr_equal(p, r->host + (gpa - r->gpa));
	assert_int_equal(got, len < r->gpa + r->size - gpa ? len : r->gpa + r->size - gpa);
	/* By user address it is all or nothing. */
	p = virtq_mem_uva(mem, r->uva + (gpa - r->gpa), len);
	assert_ptr_equal(p, len <= r->gpa + r->size - gpa ? r->host + (gpa - r->gpa) : NULL);
}

static void
expect_translations(const struct virtq_mem *mem, const struct virtq_region *list, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint64_t size = 0x1000;

		for (uint64_t len = 0; len <= 2 * size; len += size / 2) {
			expect_translation(mem, list, n, list[i].gpa, len);
			expect_translation(mem, list, n, list[i].gpa - 1, len);
			expect_translation(mem, list, n, list[i].gpa + size - 1, len);
			expect_translation(mem, list, n, list[i].gpa + size, len);
			expect_translation(mem, list, n, list[i].gpa + 77, len);
		}
	}
	expect_translation(mem, list, n, 0, 1);
	expect_translation(mem, list, n, UINT64_MAX, 1);
}

/* All slots, taken in a wild order and given back in another; snapshots before stay as they are. */
static void
slots_come_and_go(void **state)
{
	static struct virtq_region list[VIRTQ_MEM_MAX_REGIONS];
	struct virtq_mem *mem = NULL, *next, *half = NULL;
	const uint32_t n = VIRTQ_MEM_MAX_REGIONS;
	struct virtq_region more;

	for (uint32_t k = 0; k < n; k++) {
		uint32_t i = k * 187 % n; /* gaps of varying size, neighbours as well */

		list[i] = region(0x100000 + i * 0x1000ul + i / 3 * 0x2000ul, 0x1000,
				 0x70000000 + (n - i) * 0x3000ul);
		assert_int_equal(virtq_mem_add(mem, &list[i], &next), 0);
		virtq_mem_put(mem);
		mem = next;
		if (k == n / 2 - 1)
			half = virtq_mem_get(mem);
		if (k % 64 == 63)
			expect_translations(mem, list, n);
	}
	more = region(0x90000000, 0x1000, 0x90000000);
	assert_int_equal(virtq_mem_add(mem, &more, &next), -ENOSPC);
	assert_int_equal(mem->nregions, n);
	assert_int_equal(half->nregions, n / 2);
	for (uint32_t k = 0; k < n; k++) {
		uint32_t i = k * 91 % n;

		if (k % 64 == 0)
			expect_translations(mem, list, n);
		assert_int_equal(virtq_mem_remove(mem, list[i].gpa, list[i].uva, 0x1000, &next), 0);
		virtq_mem_put(mem);
		mem = next;
		list[i].size = 0;
	}
	assert_int_equal(mem->nregions, 0);
	virtq_mem_put(mem);
	assert_int_equal(half->nregions, n / 2);
	for (uint32_t i = 1; i < half->nregions; i++)
		assert_true(half->region[i - 1].gpa < half->region[i].gpa);
	virtq_mem_put(half);
}

static void
remove_wants_the_same_numbers(void **state)
{
	struct virtq_region a = region(0x10000, 0x4000, 0x700000);
	struct virtq_mem *mem, *next = NULL;

	assert_int_equal(virtq_mem_new(&a, 1, &mem), 0);
	assert_int_equal(virtq_mem_remove(mem, a.gpa + 1, a.uva, a.size, &next), -ENOENT);
	assert_int_equal(virtq_mem_remove(mem, a.gpa, a.uva + 1, a.size, &next), -ENOENT);
	assert_int_equal(virtq_mem_remove(mem, a.gpa, a.uva, a.size + 1, &next), -ENOENT);
	assert_int_equal(virtq_mem_remove(NULL, a.gpa, a.uva, a.size, &next), -ENOENT);
	assert_null(next);
	assert_int_equal(virtq_mem_remove(mem, a.gpa, a.uva, a.size, &next), 0);
	assert_int_equal(next->nregions, 0);
	assert_null(virtq_mem_find(next, a.gpa));
	assert_null(virtq_mem_uva(next, a.uva, 1));
	virtq_mem_put(next);
	virtq_mem_put(mem);
}

/* A region of a file of its own; the map's reference goes to the snapshot. */
static struct virtq_region
mapped(int fd, uint64_t gpa, uint64_t size)
{
	struct virtq_region r = {.gpa = gpa, .uva = gpa, .size = size};

	assert_int_equal(virtq_mem_map_new(NULL, fd, 0, size, &r.map, &r.host), 0);
	return r;
}

/* A mapping lives as long as a snapshot that has it, and not longer; errors take nothing over. */
static void
snapshots_share_maps(void **state)
{
	int fd = memfd_create("shared", MFD_CLOEXEC);
	struct virtq_mem *one, *two, *third;
	struct virtq_region a, b, again;

	assert_int_equal(ftruncate(fd, PAGE), 0);
	a = mapped(fd, 0x10000, PAGE);
	b = mapped(fd, 0x20000, PAGE);
	again = mapped(fd, 0x10000, PAGE);
	close(fd);
	assert_int_equal(mappings_of("memfd:shared"), 3);
	assert_int_equal(virtq_mem_new(&a, 1, &one), 0);
	assert_int_equal(virtq_mem_add(one, &b, &two), 0);
	assert_int_equal(virtq_mem_add(two, &again, &third), -EEXIST);
	virtq_mem_map_put(again.map);
	assert_int_equal(mappings_of("memfd:shared"), 2);
	assert_int_equal(virtq_mem_remove(two, a.gpa, a.uva, a.size, &third), 0);
	virtq_mem_put(two);
	assert_int_equal(mappings_of("memfd:shared"), 2);
	a.host[0] = 1; /* one has it */
	virtq_mem_put(one);
	assert_int_equal(mappings_of("memfd:shared"), 1);
	b.host[0] = 1;
	virtq_mem_put(third);
	assert_int_equal(mappings_of("memfd:shared"), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_and_offsets),
		cmocka_unit_test(unaligned_offset),
		cmocka_unit_test(files_that_cannot_be_mapped),
		cmocka_unit_test(references),
		cmocka_unit_test(regions_that_overlap),
		cmocka_unit_test(regions_that_are_none),
		cmocka_unit_test(slots_come_and_go),
		cmocka_unit_test(remove_wants_the_same_numbers),
		cmocka_unit_test(snapshots_share_maps),
	};

	return cmocka_run_group_tests_name("virtq_mem", tests, NULL, NULL);
}
