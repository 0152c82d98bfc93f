/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Devices of the kernel, with a simulated one behind the table of system calls. Tests named d_...
 * are the rules of the reference front-end's first vhost-vdpa.
 */
#include "rig_device_vdpa.h"

static int
start_ring(struct vdpa *f, uint32_t i)
{
	const struct vhost_vring_addr a = {
		.desc_iova = 0x10000 + i, .avail_iova = 0x20000 + i, .used_iova = 0x30000 + i,
	};
	int rc = vhost_set_vring_num(&f->dev, i, 256);

	if (rc == 0)
		rc = vhost_set_vring_base(&f->dev, i, 0x80008000);
	if (rc == 0)
		rc = vhost_set_vring_addr(&f->dev, i, &a);
	if (rc == 0)
		rc = vhost_set_vring_kick(&f->dev, i, 7);
	if (rc == 0)
		rc = vhost_set_vring_call(&f->dev, i, -1);
	if (rc == 0)
		rc = vhost_set_vring_err(&f->dev, i, 9);
	return rc == 0 ? vhost_set_vring_enable(&f->dev, i, true) : rc;
}

/* All of it, as a port does it, down to the first error. */
static int
life(struct vdpa *f)
{
	const struct vhost_region r[2] = { vdpa_region(0x10000, 16), vdpa_region(0x100000, 4) };
	struct vhost_dev *dev = &f->dev;
	uint64_t features, first, last;
	uint32_t n, group, base;
	uint8_t mac[6];
	void *notifier = NULL;
	int rc = vdpa_init(f);

#define STEP(call) do { if (rc == 0) rc = (call); } while (0)
	STEP(vhost_set_owner(dev));
	STEP(vhost_get_features(dev, &features));
	STEP(vhost_get_queue_num(dev, &n));
	STEP(vhost_get_config(dev, 0, mac, sizeof(mac)));
	STEP(vhost_get_vring_max(dev, 0, &n));
	STEP(vhost_get_iova_range(dev, &first, &last));
	STEP(vhost_set_features(dev, VDPA_WANTED));
	STEP(vhost_get_vring_group(dev, 4, &group));
	STEP(vhost_set_group_asid(dev, group, 1));
	STEP(vhost_set_mem_table(dev, r, 2));
	for (uint32_t i = 0; i < 4; i++)
		STEP(start_ring(f, i));
	STEP(vhost_map_notifier(dev, 2, &notifier));
	STEP(vhost_dev_start(dev, true));
	STEP(vhost_set_mem_table(dev, r, 1));
	for (uint32_t i = 0; i < 4; i++)
		STEP(vhost_get_vring_base(dev, i, &base));
	if (notifier != NULL)
		vhost_unmap_notifier(dev, 2, notifier);
	STEP(vhost_dev_start(dev, false));
#undef STEP
	vhost_dev_close(dev);
	return rc;
}

static void
everything(void **state)
{
	struct vdpa *f = *state;
	uint32_t vrings, max;

	assert_int_equal(life(f), 0);
	assert_int_equal(vdpa_init(f), 0);
	assert_int_equal(vhost_get_queue_num(&f->dev, &vrings), 0);
	assert_int_equal(vrings, 4);
	assert_int_equal(vhost_get_vring_max(&f->dev, 0, &max), 0);
	assert_int_equal(max, 256);
	assert_int_equal(f->dev.backend, 0x17e);
	assert_int_equal(f->status, 3);
	assert_int_equal(vhost_set_features(&f->dev, VDPA_WANTED), 0);
	assert_int_equal(f->status, 0xb);
	assert_int_equal(start_ring(f, 3), 0);
	assert_int_equal(f->ring[3].num, 256);
	assert_int_equal(f->ring[3].base, 0x80008000);
	assert_int_equal(f->ring[3].addr.desc_user_addr, 0x10003);
	assert_int_equal(f->ring[3].addr.avail_user_addr, 0x20003);
	assert_int_equal(f->ring[3].addr.used_user_addr, 0x30003);
	assert_int_equal(f->ring[3].kick, 7);
	assert_int_equal(f->ring[3].call, -1);
	assert_int_equal(f->ring[3].err, 9);
	assert_true(f->ring[3].enabled);
	assert_int_equal(vhost_dev_start(&f->dev, true), 0);
	assert_int_equal(f->status, 0xf);
}

/* Each call fails in turn, in each way. Nothing is left behind, and there is a reason. */
static void
every_call_fails_in_turn(void **state)
{
	const int errors[] = { -EIO, -EINVAL, -ENOTTY, -EOPNOTSUPP, -ENOMEM, -EBUSY, -EFAULT,
			       -ENODEV, -EPERM, -ENOBUFS };
	struct vdpa *f = *state;
	uint32_t calls;

	assert_int_equal(life(f), 0);
	calls = f->ncalls;
	for (size_t e = 0; e < sizeof(errors) / sizeof(errors[0]); e++) {
		for (uint32_t n = 1; n <= calls; n++) {
			int rc;

			f->ncalls = 0;
			f->fail_at = n;
			f->fail_with = errors[e];
			f->dev.why[0] = '\0';
			rc = life(f);
			if (rc != 0 && f->dev.why[0] == '\0')
				fail_msg("call %u (0x%x), errno %d: no reason", n, f->log[n - 1],
					 -errors[e]);
			assert_false(f->open);
			assert_int_equal(f->nmaps, 0);
			assert_int_equal(f->npages, 0);
			assert_int_equal(f->nevents, 0);
			/* What can be done without is done without. */
			if (rc == 0)
				assert_true(errors[e] == -ENOTTY || errors[e] == -EOPNOTSUPP ||
					    f->log[n - 1] == 0x12 || f->log[n - 1] == 0x25 ||
					    f->log[n - 1] == 0x80 ||
					    (f->log[n - 1] == 0x77 && errors[e] == -ENOBUFS));
			/* A failed end of a batch leaves the kernel in it. */
			f->in_batch = false;
		}
	}
}

static void
short_writes(void **state)
{
	struct vdpa *f = *state;
	uint32_t calls;

	assert_int_equal(life(f), 0);
	calls = f->ncalls;
	f->fail_with = 1;
	for (uint32_t n = 1; n <= calls; n++) {
		f->ncalls = 0;
		f->fail_at = n;
		if (life(f) != 0) {
			assert_int_equal(f->log[n - 1], CALL_WRITE);
			assert_true(f->dev.why[0] != '\0');
		}
		f->in_batch = false;
	}
}

static void
open_errors(void **state)
{
	static const struct {
		int error;
		const char *text;
	} cases[] = {
		{ -EBUSY, "in use" }, { -EACCES, "no permission" }, { -EPERM, "no permission" },
		{ -ENOENT, "no such device" }, { -ENXIO, "no such device" },
		{ -EISDIR, "Is a directory" }, { -EMFILE, "Too many open files" },
	};
	struct vdpa *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		f->open_result = cases[i].error;
		assert_int_equal(vdpa_open_dev(f), cases[i].error);
		assert_non_null(strstr(f->dev.why, cases[i].text));
		assert_false(vhost_dev_is_open(&f->dev));
	}
	f->open_result = 0;
	f->id = 2;
	assert_int_equal(vdpa_open_dev(f), -ENODEV);
	assert_non_null(strstr(f->dev.why, "not a network device"));
	f->fail_at = f->ncalls + 2;
	f->fail_with = -ENOTTY;
	assert_int_equal(vdpa_open_dev(f), -ENOTTY);
	assert_non_null(strstr(f->dev.why, "not a vhost-vdpa device"));
}

/* The kernel of any file system: what is no such device is found out. */
static void
real_files(void **state)
{
	struct vdpa *f = *state;

	assert_int_equal(vhost_vdpa_open(&f->dev, "/dev/null", NULL), -ENOTTY);
	assert_int_equal(vhost_vdpa_open(&f->dev, "/", NULL), -EISDIR);
	assert_int_equal(vhost_vdpa_open(&f->dev, "/no/such/file", NULL), -ENOENT);
}

static void
older_kernel(void **state)
{
	struct vdpa *f = *state;
	struct vhost_vdpa_info info;
	uint64_t first, last;
	uint32_t n;

	/* Linux 5.8: nothing from 0x77 on, no batches, no 32-bit bases. */
	f->last_ioctl = 0x75;
	f->backend = VIRTQ_BIT(VHOST_BACKEND_F_IOTLB_MSG_V2);
	f->wide_base = false;
	assert_int_equal(vdpa_init(f), 0);
	assert_int_equal(f->nevents, 0);
	assert_int_equal(vhost_get_iova_range(&f->dev, &first, &last), 0);
	assert_int_equal(first, 0);
	assert_int_equal(last, UINT64_MAX);
	assert_int_equal(vhost_get_vring_max(&f->dev, 0, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(vhost_get_queue_num(&f->dev, &n), 0);
	assert_int_equal(n, 4);
	assert_int_equal(vhost_get_vring_group(&f->dev, 0, &n), -EOPNOTSUPP);
	assert_int_equal(vhost_set_group_asid(&f->dev, 0, 1), -EOPNOTSUPP);
	assert_int_equal(vhost_suspend(&f->dev), -EOPNOTSUPP);
	assert_int_equal(vhost_resume(&f->dev), -EOPNOTSUPP);
	assert_int_equal(vhost_vdpa_get_info(&f->dev, &info), 0);
	assert_int_equal(info.vqs | info.groups | info.address_spaces | info.config_size, 0);
	assert_int_equal(vhost_set_features(&f->dev, VDPA_WANTED), 0);
	assert_int_equal(vhost_set_mem_table(&f->dev, &(struct vhost_region){
		.iova = 0x10000, .size = VDPA_PAGE, .addr = (void *)0x10000 }, 1), 0);
	assert_int_equal(f->batches, 0);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(start_ring(f, i), 0);
	assert_int_equal(f->ring[0].base, 0x8000);
	assert_int_equal(vhost_dev_start(&f->dev, true), 0);
	assert_int_equal(vhost_get_vring_base(&f->dev, 0, &n), 0);
	assert_int_equal(n, 0x8000);
	assert_int_equal(vdpa_count(f, 0x7d), 0);
}

static void
no_iotlb_v2(void **state)
{
	struct vdpa *f = *state;

	f->backend = 0;
	assert_int_equal(vdpa_init(f), -EOPNOTSUPP);
	assert_non_null(strstr(f->dev.why, "IOTLB messages of version 2"));
	/* A kernel without the request. */
	f->backend = 0x17e;
	f->ncalls = 0;
	f->fail_at = 4;
	f->fail_with = -ENOTTY;
	assert_int_equal(vdpa_init(f), -EOPNOTSUPP);
	assert_int_equal(f->log[3], 0x26);
}

/* What is offered and then refused is tried with less. */
static void
d_back_end_features(void **state)
{
	struct vdpa *f = *state;

	f->fail_at = 5;
	f->fail_with = -EOPNOTSUPP;
	assert_int_equal(vdpa_init(f), 0);
	assert_int_equal(f->log[4], 0x25);
	assert_int_equal(f->backend_acked, 6);
	assert_int_equal(f->dev.backend, 6);
	f->fail_at = 0;
	f->dev.backend_mask = VIRTQ_BIT(VHOST_BACKEND_F_IOTLB_MSG_V2);
	assert_int_equal(vdpa_init(f), 0);
	assert_int_equal(f->backend_acked, 2);
}

static void
d_status_steps(void **state)
{
	struct vdpa *f = *state;
	uint8_t status;

	assert_int_equal(vdpa_init(f), 0);
	assert_int_equal(f->status, 3);
	f->drops_features_ok = true;
	assert_int_equal(vhost_set_features(&f->dev, VDPA_WANTED), -EINVAL);
	assert_non_null(strstr(f->dev.why, "FEATURES_OK"));
	f->drops_features_ok = false;
	assert_int_equal(vhost_reset_device(&f->dev), 0);
	assert_int_equal(f->status, 0);
	assert_int_equal(vhost_set_features(&f->dev, VDPA_WANTED), 0);
	assert_int_equal(f->status, 0xb);
	/* The same again is no change; others need a reset. */
	assert_int_equal(vhost_set_features(&f->dev, VDPA_WANTED), 0);
	assert_int_equal(vhost_set_features(&f->dev, VDPA_WANTED | VIRTQ_BIT(VIRTIO_NET_F_MAC)),
			 -EBUSY);
	f->ignores_driver_ok = true;
	assert_int_equal(vhost_dev_start(&f->dev, true), -EIO);
	f->ignores_driver_ok = false;
	f->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	assert_int_equal(vhost_dev_start(&f->dev, true), -EIO);
	assert_non_null(strstr(f->dev.why, "0x4f"));
	f->status = 0xb;
	assert_int_equal(vhost_dev_start(&f->dev, true), 0);
	/* Stopped: reset, and ready for features. */
	assert_int_equal(vhost_dev_start(&f->dev, false), 0);
	assert_int_equal(f->status, 3);
	assert_int_equal(vhost_get_status(&f->dev, &status), 0);
	assert_int_equal(status, 3);
	f->stays_up = true;
	assert_int_equal(vhost_reset_device(&f->dev), -EIO);
	assert_non_null(strstr(f->dev.why, "not reset"));
}

static void
d_features(void **state)
{
	struct vdpa *f = *state;

	f->features |= VIRTQ_BIT(VHOST_F_LOG_ALL);
	assert_int_equal(vdpa_init(f), 0);
	assert_int_equal(vhost_set_features(&f->dev, VDPA_WANTED | VIRTQ_BIT(50)), -EINVAL);
	assert_int_equal(vhost_set_features(&f->dev, VIRTQ_BIT(VIRTIO_F_VERSION_1)), -EINVAL);
	assert_non_null(strstr(f->dev.why, "ACCESS_PLATFORM"));
	assert_int_equal(vhost_set_features(&f->dev, VIRTQ_BIT(VIRTIO_F_ACCESS_PLATFORM)), -EINVAL);
	assert_int_equal(vhost_set_features(&f->dev, VDPA_WANTED | VIRTQ_BIT(VHOST_F_LOG_ALL)),
			 -EINVAL);
	assert_int_equal(vdpa_count(f, 0x00), 1);
	assert_int_equal(vhost_set_features(&f->dev, VDPA_WANTED), 0);
	assert_int_equal(f->acked, VDPA_WANTED);
	assert_true(vhost_force_iommu(&f->dev));
}

static void
d_owner_once(void **state)
{
	struct vdpa *f = *state;

	assert_int_equal(vdpa_init(f), 0);
	assert_int_equal(vhost_set_owner(&f->dev), 0);
	assert_int_equal(vhost_init(&f->dev), 0);
	assert_int_equal(vdpa_count(f, 0x01), 1);
	/* First of all. */
	assert_int_equal(f->log[2], 0x01);
	assert_int_equal(vhost_memslots_limit(&f->dev), INT32_MAX);
}

static void
base_of_a_suspended_device(void **state)
{
	struct vdpa *f = *state;
	uint32_t base;

	assert_int_equal(vdpa_init(f), 0);
	assert_int_equal(vhost_set_features(&f->dev, VDPA_WANTED), 0);
	assert_int_equal(vhost_get_vring_base(&f->dev, 0, &base), 0);
	assert_int_equal(vdpa_count(f, 0x7d), 0);
	assert_int_equal(vhost_dev_start(&f->dev, true), 0);
	f->ring[1].base = 0xdeadbeef;
	assert_int_equal(vhost_get_vring_base(&f->dev, 1, &base), 0);
	assert_int_equal(base, 0xdeadbeef);
	assert_int_equal(vhost_get_vring_base(&f->dev, 0, &base), 0);
	assert_int_equal(vdpa_count(f, 0x7d), 1);
	assert_true(f->suspended);
	assert_int_equal(vhost_resume(&f->dev), 0);
	assert_false(f->suspended);
}

static void
enable_after_driver_ok(void **state)
{
	struct vdpa *f = *state;

	for (int can = 0; can < 2; can++) {
		f->backend = can ? 0x17e : 0x13e;
		assert_int_equal(vdpa_init(f), 0);
		assert_int_equal(vhost_set_features(&f->dev, VDPA_WANTED), 0);
		assert_int_equal(vhost_set_vring_enable(&f->dev, 0, true), 0);
		assert_int_equal(vhost_dev_start(&f->dev, true), 0);
		assert_int_equal(vhost_set_vring_enable(&f->dev, 2, true), can ? 0 : -EOPNOTSUPP);
		assert_int_equal(f->ring[2].enabled, can);
		assert_int_equal(vhost_set_vring_enable(&f->dev, 0, false), 0);
	}
}

static void
rings_of_the_device(void **state)
{
	static const struct { uint16_t pairs; uint32_t vqs, expected; } cases[] = {
		{ 2, 5, 4 }, { 8, 5, 4 }, { 8, 4, 2 }, { 0, 5, 2 }, { 1, 3, 2 }, { 0xffff, 0, 256 },
		{ 2, 1, 0 }, { 2, 2, 0 },
	};
	struct vdpa *f = *state;
	uint32_t n;

	assert_int_equal(vdpa_init(f), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		f->config.max_virtqueue_pairs = htole16(cases[i].pairs);
		f->vqs = cases[i].vqs;
		assert_int_equal(vhost_get_queue_num(&f->dev, &n), cases[i].expected ? 0 : -EIO);
		if (cases[i].expected != 0)
			assert_int_equal(n, cases[i].expected);
	}
}

static void
d_configuration_space(void **state)
{
	struct vdpa *f = *state;
	uint8_t buf[512];

	assert_int_equal(vdpa_init(f), 0);
	assert_int_equal(vhost_get_config(&f->dev, 0, buf, 6), 0);
	assert_memory_equal(buf, "\2\0\0\0\0\7", 6);
	assert_int_equal(vhost_get_config(&f->dev, 0, buf, 0), -EINVAL);
	assert_int_equal(vhost_get_config(&f->dev, 0, buf, 257), -EINVAL);
	assert_int_equal(vhost_get_config(&f->dev, 0, buf, 256), -E2BIG);
	assert_int_equal(vhost_set_config(&f->dev, 1, "xyz", 3, 0), 0);
	assert_memory_equal(f->config.mac, "\2xyz\0\7", 6);
}

static void
pump(struct vdpa *f)
{
	for (int i = 0; i < 3; i++)
		evloop_step(f->loop, 1);
}

static void
config_interrupt_and_needs_reset(void **state)
{
	const uint64_t one = 1;
	struct vdpa *f = *state;

	assert_int_equal(vdpa_init(f), 0);
	pump(f);
	assert_int_equal(f->configs, 0);
	f->config.max_virtqueue_pairs = htole16(1);
	assert_int_equal(write(f->config_call, &one, sizeof(one)), sizeof(one));
	pump(f);
	assert_int_equal(f->configs, 1);
	f->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	assert_int_equal(write(f->config_call, &one, sizeof(one)), sizeof(one));
	pump(f);
	assert_int_equal(f->configs, 2);
	assert_true(f->dev.status & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void
a_device_that_goes_away(void **state)
{
	struct vdpa *f = *state;
	uint8_t status;

	assert_int_equal(vdpa_init(f), 0);
	f->fail_at = f->ncalls + 1;
	f->fail_with = -ENODEV;
	assert_int_equal(vhost_get_status(&f->dev, &status), -ENODEV);
	assert_true(vhost_dev_is_fatal(-ENODEV));
	assert_int_equal(f->losts, 0);
	pump(f);
	assert_int_equal(f->losts, 1);
}

static void
notifiers(void **state)
{
	struct vdpa *f = *state;
	void *notifier = NULL;

	assert_int_equal(vdpa_init(f), 0);
	assert_int_equal(vhost_map_notifier(&f->dev, 3, &notifier), 0);
	assert_ptr_equal(notifier, f->page[3]);
	vhost_unmap_notifier(&f->dev, 3, notifier);
	f->fail_at = f->ncalls + 1;
	f->fail_with = -EOPNOTSUPP;
	assert_int_equal(vhost_map_notifier(&f->dev, 3, &notifier), -EOPNOTSUPP);
	assert_non_null(strstr(f->dev.why, "ring 3 has no notifier"));
}

static void
d_what_there_is_not(void **state)
{
	struct vdpa *f = *state;

	assert_int_equal(vdpa_init(f), 0);
	/* The kernel answers ENOTTY: there is no dirty log. */
	assert_int_equal(vhost_set_log_base(&f->dev, 4096, 0, 0), -EOPNOTSUPP);
	assert_int_equal(vhost_migration_done(&f->dev, (const uint8_t *)"abcdef"), -EOPNOTSUPP);
	assert_int_equal(vhost_net_set_mtu(&f->dev, 1500), -EOPNOTSUPP);
	assert_int_equal(vhost_send_iotlb(&f->dev, 0, 1, NULL, 0, 2), -EOPNOTSUPP);
	assert_string_equal(f->dev.why, "vhost-vdpa has no send_iotlb");
	assert_int_equal(vhost_set_vring_addr(&f->dev, 0, &(struct vhost_vring_addr){
		.log = true }), -EOPNOTSUPP);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		VDPA_TEST(everything),
		VDPA_TEST(every_call_fails_in_turn),
		VDPA_TEST(short_writes),
		VDPA_TEST(open_errors),
		VDPA_TEST(real_files),
		VDPA_TEST(older_kernel),
		VDPA_TEST(no_iotlb_v2),
		VDPA_TEST(d_back_end_features),
		VDPA_TEST(d_status_steps),
		VDPA_TEST(d_features),
		VDPA_TEST(d_owner_once),
		VDPA_TEST(base_of_a_suspended_device),
		VDPA_TEST(enable_after_driver_ok),
		VDPA_TEST(rings_of_the_device),
		VDPA_TEST(d_configuration_space),
		VDPA_TEST(config_interrupt_and_needs_reset),
		VDPA_TEST(a_device_that_goes_away),
		VDPA_TEST(notifiers),
		VDPA_TEST(d_what_there_is_not),
	};

	return cmocka_run_group_tests_name("vhost_vdpa", tests, NULL, NULL);
}
