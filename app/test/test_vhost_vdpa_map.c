/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory of devices of the kernel: pages, batches, ranges, address spaces. */
#include "rig_device_vdpa.h"

static void
d_whole_pages(void **state)
{
	struct vdpa *f = *state;
	struct vhost_region r = vdpa_region(0x10000, 3);

	assert_int_equal(vdpa_init(f), 0);
	/* From the first whole page to the last. */
	r.iova += 1;
	r.addr = (uint8_t *)r.addr + 1;
	assert_int_equal(vhost_set_mem_table(&f->dev, &r, 1), 0);
	assert_int_equal(f->nmaps, 1);
	assert_int_equal(f->map[0].iova, 0x11000);
	assert_int_equal(f->map[0].size, 2 * VDPA_PAGE);
	assert_int_equal(f->map[0].uaddr, 0x7f0000011000);
	/* Not even one. */
	r.size = VDPA_PAGE - 1;
	assert_int_equal(vhost_set_mem_table(&f->dev, &r, 1), 0);
	assert_int_equal(f->nmaps, 0);
	r = vdpa_region(0x10000, 3);
	r.iova += 1;
	assert_int_equal(vhost_set_mem_table(&f->dev, &r, 1), -EINVAL);
	assert_non_null(strstr(f->dev.why, "pages"));
	r = vdpa_region(0x10000, 0);
	assert_int_equal(vhost_set_mem_table(&f->dev, &r, 1), -EINVAL);
	r = vdpa_region(0x10000, 1);
	r.size = UINT64_MAX;
	assert_int_equal(vhost_set_mem_table(&f->dev, &r, 1), -EINVAL);
	r = vdpa_region(UINT64_MAX - 4095, 1);
	assert_int_equal(vhost_set_mem_table(&f->dev, &r, 1), -EINVAL);
	assert_int_equal(f->nmaps, 0);
}

static void
d_permissions_and_batches(void **state)
{
	struct vdpa *f = *state;
	struct vhost_region r[3] = {
		vdpa_region(0x10000, 1), vdpa_region(0x20000, 1), vdpa_region(0x30000, 1),
	};

	r[1].read_only = true;
	assert_int_equal(vdpa_init(f), 0);
	assert_int_equal(vhost_set_mem_table(&f->dev, r, 3), 0);
	assert_int_equal(f->map[0].perm, VHOST_ACCESS_RW);
	assert_int_equal(f->map[1].perm, VHOST_ACCESS_RO);
	assert_int_equal(f->batches, 1);
	assert_int_equal(f->writes, 5);
	/* What is mapped stays mapped. */
	assert_int_equal(vhost_set_mem_table(&f->dev, r, 3), 0);
	assert_int_equal(f->writes, 5);
	assert_int_equal(vhost_set_mem_table(&f->dev, r + 1, 2), 0);
	assert_int_equal(f->writes, 8);
	assert_int_equal(f->nmaps, 2);
	assert_int_equal(vhost_set_mem_table(&f->dev, r, 3), 0);
	assert_int_equal(f->nmaps, 3);
	/* Overlap. */
	r[1] = vdpa_region(0x2f000, 2);
	assert_int_equal(vhost_set_mem_table(&f->dev, r, 3), -EEXIST);
	assert_non_null(strstr(f->dev.why, "already"));
	assert_false(f->in_batch);
}

/* An error inside a batch: the batch is ended, and what is mapped stays known. */
static void
errors_inside_a_batch(void **state)
{
	struct vhost_region r[4];
	struct vdpa *f = *state;

	for (uint64_t i = 0; i < 4; i++)
		r[i] = vdpa_region(0x10000 * (i + 1), 1);
	for (uint32_t at = 2; at <= 5; at++) {
		assert_int_equal(vdpa_init(f), 0);
		f->fail_at = f->ncalls + at;
		f->fail_with = -ENOMEM;
		assert_int_equal(vhost_set_mem_table(&f->dev, r, 4), -ENOMEM);
		assert_non_null(strstr(f->dev.why, "RLIMIT_MEMLOCK"));
		assert_false(f->in_batch);
		assert_int_equal(f->nmaps, at - 2);
		f->fail_at = 0;
		assert_int_equal(vhost_set_mem_table(&f->dev, r, 4), 0);
		assert_int_equal(f->nmaps, 4);
		assert_int_equal(vhost_set_mem_table(&f->dev, r, 1), 0);
		assert_int_equal(f->nmaps, 1);
	}
}

static void
iova_range(void **state)
{
	struct vdpa *f = *state;
	struct vhost_region r[2] = { vdpa_region(0x10000, 1), vdpa_region(0x100000, 2) };

	f->first = 0x10000;
	f->last = 0x101fff;
	assert_int_equal(vdpa_init(f), 0);
	assert_int_equal(vhost_set_mem_table(&f->dev, r, 2), 0);
	f->last = 0x100fff;
	assert_int_equal(vdpa_init(f), 0);
	/* Nothing is mapped when something cannot be. */
	assert_int_equal(vhost_set_mem_table(&f->dev, r, 2), -ERANGE);
	assert_non_null(strstr(f->dev.why, "0x100000 to 0x101fff"));
	assert_non_null(strstr(f->dev.why, "0x10000 to 0x100fff"));
	assert_int_equal(f->writes, 4);
	f->first = 0x11000;
	assert_int_equal(vdpa_init(f), 0);
	assert_int_equal(vhost_set_mem_table(&f->dev, r, 1), -ERANGE);
	f->last = 0;
	assert_int_equal(vdpa_init(f), -EINVAL);
	assert_non_null(strstr(f->dev.why, "empty"));
}

static void
address_spaces(void **state)
{
	const struct vhost_region r[2] = { vdpa_region(0x10000, 1), vdpa_region(0x20000, 1) };
	struct vdpa *f = *state;
	uint32_t group;

	assert_int_equal(vdpa_init(f), 0);
	assert_int_equal(vhost_set_features(&f->dev, VDPA_WANTED), 0);
	assert_int_equal(vhost_get_vring_group(&f->dev, 0, &group), 0);
	assert_int_equal(group, 0);
	assert_int_equal(vhost_get_vring_group(&f->dev, 4, &group), 0);
	assert_int_equal(group, 1);
	assert_int_equal(vhost_set_mem_table(&f->dev, r, 1), 0);
	assert_int_equal(f->nmaps, 1);
	/* One more space: it gets what is mapped, and what comes. */
	assert_int_equal(vhost_set_group_asid(&f->dev, group, 1), 0);
	assert_int_equal(f->asid[1], 1);
	assert_int_equal(f->nmaps, 2);
	assert_int_equal(vhost_set_mem_table(&f->dev, r, 2), 0);
	assert_int_equal(f->nmaps, 4);
	assert_int_equal(vhost_set_mem_table(&f->dev, r + 1, 1), 0);
	assert_int_equal(f->nmaps, 2);
	assert_int_equal(vhost_set_group_asid(&f->dev, 0, 2), -EINVAL);
	assert_int_equal(vhost_set_group_asid(&f->dev, 0, 32), -EINVAL);
	/* After a reset all rings are in the first again. */
	assert_int_equal(vhost_dev_start(&f->dev, false), 0);
	assert_int_equal(vhost_set_mem_table(&f->dev, r, 2), 0);
	assert_int_equal(f->nmaps, 2);
}

/* Without IOTLB_PERSIST a reset unmaps; with it nothing is mapped twice. */
static void
maps_and_reset(void **state)
{
	const struct vhost_region r = vdpa_region(0x10000, 1);
	struct vdpa *f = *state;

	for (int persist = 0; persist < 2; persist++) {
		f->backend = persist ? 0x17e : 0x7e;
		assert_int_equal(vdpa_init(f), 0);
		assert_int_equal(vhost_set_mem_table(&f->dev, &r, 1), 0);
		assert_int_equal(vhost_reset_device(&f->dev), 0);
		assert_int_equal(f->nmaps, persist);
		assert_int_equal(vhost_set_mem_table(&f->dev, &r, 1), 0);
		assert_int_equal(f->nmaps, 1);
	}
}

/* What a device that runs may be using stays mapped when its neighbours come and go. */
static void
neighbours_of_memory_in_use(void **state)
{
	const struct vhost_region one = vdpa_region(0x20000, 4), all = vdpa_region(0x10000, 64);
	struct vdpa *f = *state;

	assert_int_equal(vdpa_init(f), 0);
	assert_int_equal(vhost_set_features(&f->dev, VDPA_WANTED), 0);
	assert_int_equal(vhost_set_mem_table(&f->dev, &one, 1), 0);
	assert_int_equal(vhost_dev_start(&f->dev, true), 0);
	f->writes = 0;
	assert_int_equal(vhost_set_mem_table(&f->dev, &all, 1), 0);
	assert_int_equal(f->writes, 4); /* a batch of two */
	assert_int_equal(f->nmaps, 3);
	assert_int_equal(f->map[0].iova, one.iova);
	assert_int_equal(f->map[1].iova, all.iova);
	assert_int_equal(f->map[1].size, one.iova - all.iova);
	assert_int_equal(f->map[2].iova, one.iova + one.size);
	assert_int_equal(f->map[2].uaddr, (uintptr_t)one.addr + one.size);
	assert_int_equal(f->map[2].size, all.iova + all.size - (one.iova + one.size));
	assert_int_equal(vhost_set_mem_table(&f->dev, &all, 1), 0);
	assert_int_equal(f->writes, 4);
	assert_int_equal(vhost_set_mem_table(&f->dev, &one, 1), 0);
	assert_int_equal(f->writes, 8);
	assert_int_equal(f->nmaps, 1);
	assert_int_equal(f->map[0].iova, one.iova);
	/* Nobody uses it: one is better than three. */
	assert_int_equal(vhost_set_mem_table(&f->dev, &all, 1), 0);
	assert_int_equal(vhost_dev_start(&f->dev, false), 0);
	assert_int_equal(vhost_set_mem_table(&f->dev, &all, 1), 0);
	assert_int_equal(f->nmaps, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		VDPA_TEST(d_whole_pages),
		VDPA_TEST(d_permissions_and_batches),
		VDPA_TEST(errors_inside_a_batch),
		VDPA_TEST(iova_range),
		VDPA_TEST(address_spaces),
		VDPA_TEST(maps_and_reset),
		VDPA_TEST(neighbours_of_memory_in_use),
	};

	return cmocka_run_group_tests_name("vhost_vdpa_map", tests, NULL, NULL);
}
