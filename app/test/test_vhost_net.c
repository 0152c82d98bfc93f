/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel's vhost-net and its tap, simulated behind the table of system calls. */
#include "rig_device_tap.h"

#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <stdio.h>

#include "virtq_ring.h"

#define BASIC (VIRTQ_BIT(VIRTIO_F_VERSION_1) | VIRTQ_BIT(VIRTIO_NET_F_MRG_RXBUF))
#define GUEST_OFFLOADS \
	(VIRTQ_BIT(VIRTIO_NET_F_GUEST_CSUM) | VIRTQ_BIT(VIRTIO_NET_F_GUEST_TSO4) | \
	 VIRTQ_BIT(VIRTIO_NET_F_GUEST_TSO6) | VIRTQ_BIT(VIRTIO_NET_F_GUEST_ECN))
#define HOST_OFFLOADS \
	(VIRTQ_BIT(VIRTIO_NET_F_CSUM) | VIRTQ_BIT(VIRTIO_NET_F_HOST_TSO4) | \
	 VIRTQ_BIT(VIRTIO_NET_F_HOST_TSO6) | VIRTQ_BIT(VIRTIO_NET_F_HOST_ECN))

static const struct vhost_region memory[2] = {
	{ .iova = 0x100000, .size = 0x10000, .addr = (void *)0x100000, .fd = -1 },
	{ .iova = 0x200000, .size = 0x20000, .addr = (void *)0x200000, .fd = -1 },
};

static int
start_ring(struct vhost_dev *dev, uint32_t i)
{
	const struct vhost_vring_addr a = {
		.desc = (void *)(uintptr_t)(0x100000 + i * 0x1000),
		.avail = (void *)(uintptr_t)(0x100400 + i * 0x1000),
		.used = (void *)(uintptr_t)(0x100800 + i * 0x1000),
	};
	int rc = vhost_set_vring_num(dev, i, 256);

	if (rc == 0)
		rc = vhost_set_vring_base(dev, i, 0);
	if (rc == 0)
		rc = vhost_set_vring_addr(dev, i, &a);
	if (rc == 0)
		rc = vhost_set_vring_kick(dev, i, 7 + (int)i);
	if (rc == 0)
		rc = vhost_set_vring_call(dev, i, 17);
	return rc == 0 ? vhost_set_vring_err(dev, i, 19) : rc;
}

/* As a session does it, with so many pairs in use, down to the first error. */
static int
start_pairs(struct vhost_dev *dev, uint64_t features, uint32_t pairs)
{
	int rc = vhost_set_features(dev, features);

	if (rc == 0)
		rc = vhost_set_mem_table(dev, memory, 2);
	for (uint32_t i = 0; i < 2 * pairs && rc == 0; i++)
		rc = start_ring(dev, i);
	for (uint32_t i = 0; i < 2 * pairs && rc == 0; i++)
		rc = vhost_set_vring_enable(dev, i, true);
	return rc == 0 ? vhost_dev_start(dev, true) : rc;
}

static int
stop_all(struct vhost_dev *dev, uint32_t pairs)
{
	uint32_t base;
	int rc = 0;

	for (uint32_t i = 0; i < 2 * pairs && rc == 0; i++)
		rc = vhost_set_vring_enable(dev, i, false);
	for (uint32_t i = 0; i < 2 * pairs && rc == 0; i++)
		rc = vhost_get_vring_base(dev, i, &base);
	return rc == 0 ? vhost_dev_start(dev, false) : rc;
}

static int
whole_life(struct tapk *k)
{
	struct vhost_dev *dev = &k->dev;
	uint64_t features;
	uint8_t mac[6];
	int rc = tapk_open_dev(k, "tapv0", 2);

	if (rc == 0)
		rc = vhost_init(dev);
	if (rc == 0)
		rc = vhost_set_owner(dev);
	if (rc == 0)
		rc = vhost_get_features(dev, &features);
	if (rc == 0)
		rc = vhost_get_config(dev, offsetof(struct virtio_net_config, mac), mac, 6);
	if (rc == 0)
		rc = start_pairs(dev, BASIC, 2);
	if (rc == 0)
		rc = vhost_set_mem_table(dev, memory, 1);
	if (rc == 0)
		rc = stop_all(dev, 2);
	vhost_dev_close(dev);
	return rc;
}

static void
up_and_down(void **state)
{
	struct tapk *k = *state;
	struct tapk_fd *pair;
	uint32_t vrings;

	assert_int_equal(whole_life(k), 0);
	assert_null(tapk_find(k, "tapv0"));
	assert_int_equal(tapk_open_dev(k, "tapv0", 2), 0);
	assert_int_equal(vhost_init(&k->dev), 0);
	assert_int_equal(vhost_get_queue_num(&k->dev, &vrings), 0);
	assert_int_equal(vrings, 4);
	assert_string_equal(vhost_net_ifname(&k->dev), "tapv0");
	assert_int_equal(start_pairs(&k->dev, BASIC, 2), 0);
	for (unsigned int i = 0; i < 2; i++) {
		pair = tapk_nth(k, TAPK_VHOST, i);
		assert_int_equal(pair->acked, BASIC);
		assert_int_equal(pair->nregions, 2);
		assert_int_equal(pair->first, 0x100000);
		assert_int_equal(pair->ring[1].num, 256);
		assert_int_equal(pair->ring[1].addr.desc_user_addr, 0x101000 + i * 0x2000);
		assert_int_equal(pair->ring[1].addr.avail_user_addr, 0x101400 + i * 0x2000);
		assert_int_equal(pair->ring[1].addr.used_user_addr, 0x101800 + i * 0x2000);
		assert_int_equal(pair->ring[0].kick, 7 + 2 * i);
		assert_int_equal(pair->ring[0].call, 17);
		assert_int_equal(pair->ring[0].err, 19);
		/* Both rings have the pair's own queue. */
		assert_ptr_equal(&k->fd[pair->backend[0] - TAPK_FD], tapk_nth(k, TAPK_TUN, i));
		assert_int_equal(pair->backend[1], pair->backend[0]);
	}
	assert_int_equal(vhost_set_mem_table(&k->dev, memory + 1, 1), 0);
	assert_int_equal(tapk_nth(k, TAPK_VHOST, 1)->nregions, 1);
	assert_int_equal(tapk_nth(k, TAPK_VHOST, 1)->first, 0x200000);
	assert_int_equal(tapk_find(k, "tapv0")->carrier, 1);
	assert_int_equal(tapk_find(k, "tapv0")->sndbuf, INT32_MAX);
	assert_int_equal(stop_all(&k->dev, 2), 0);
	assert_int_equal(tapk_find(k, "tapv0")->carrier, 0);
	/* And again, which the kernel allows of rings that have no queue. */
	assert_int_equal(start_pairs(&k->dev, BASIC, 2), 0);
}

/* Each call fails in turn, in each way. Nothing is left behind, and there is a reason. */
static void
each_call_fails(void **state)
{
	const int errors[] = { -EIO, -EINVAL, -ENOTTY, -ENOMEM, -EBUSY, -EFAULT, -ENODEV, -EPERM,
			       -EBADFD, -E2BIG };
	struct tapk *k = *state;
	uint32_t calls, harmless = 0;

	assert_int_equal(whole_life(k), 0);
	calls = k->ncalls;
	for (size_t e = 0; e < sizeof(errors) / sizeof(errors[0]); e++)
		for (uint32_t n = 1; n <= calls; n++) {
			int rc;

			k->ncalls = 0;
			k->fail_at = n;
			k->fail_with = errors[e];
			k->dev.why[0] = '\0';
			rc = whole_life(k);
			if (rc != 0 && k->dev.why[0] == '\0')
				fail_msg("call %u (0x%x), errno %d: no reason", n, k->log[n - 1],
					 -errors[e]);
			harmless += rc == 0;
			assert_null(tapk_find(k, "tapv0"));
			for (int i = 0; i < TAPK_FDS; i++)
				assert_int_equal(k->fd[i].kind, TAPK_FREE);
		}
	/* Offloads that are tried, the carrier, whose the name is, whether it is up: no other. */
	assert_uint_in_range(harmless / (sizeof(errors) / sizeof(errors[0])), 8, 18);
}

static void
fewer_pairs(void **state)
{
	struct tapk *k = *state;
	uint32_t base;

	assert_int_equal(tapk_open_dev(k, "tapv0", 3), 0);
	assert_int_equal(vhost_init(&k->dev), 0);
	for (uint32_t pairs = 1; pairs <= 3; pairs++) {
		assert_int_equal(start_pairs(&k->dev, BASIC, pairs), 0);
		for (unsigned int i = 0; i < 3; i++) {
			assert_int_equal(tapk_nth(k, TAPK_TUN, i)->detached, i >= pairs);
			assert_int_equal(tapk_nth(k, TAPK_VHOST, i)->backend[0] != -1, i < pairs);
		}
		assert_int_equal(stop_all(&k->dev, pairs), 0);
		for (unsigned int i = 0; i < 3; i++)
			assert_true(tapk_nth(k, TAPK_TUN, i)->detached);
	}
	/* A ring whose base is asked for stops, and all do when they are to be quiet. */
	assert_int_equal(start_pairs(&k->dev, BASIC, 1), 0);
	assert_int_equal(vhost_get_vring_base(&k->dev, 0, &base), 0);
	assert_int_equal(tapk_nth(k, TAPK_VHOST, 0)->backend[0], -1);
	assert_int_not_equal(tapk_nth(k, TAPK_VHOST, 0)->backend[1], -1);
	assert_int_equal(vhost_quiesce(&k->dev, 100), 0);
	assert_int_equal(tapk_nth(k, TAPK_VHOST, 0)->backend[1], -1);
}

static void
what_is_negotiated(void **state)
{
	struct tapk *k = *state;
	uint64_t features;

	assert_int_equal(tapk_open_dev(k, "tapv0", 1), 0);
	assert_int_equal(vhost_init(&k->dev), 0);
	assert_int_equal(vhost_get_features(&k->dev, &features), 0);
	/* No log, no IOMMU, no header of the kernel's own. */
	assert_int_equal(features, BASIC | VIRTQ_BIT(VIRTIO_RING_F_INDIRECT_DESC) |
			 VIRTQ_BIT(VIRTIO_RING_F_EVENT_IDX) | GUEST_OFFLOADS | HOST_OFFLOADS |
			 VIRTQ_BIT(VIRTIO_NET_F_MAC) | VIRTQ_BIT(VIRTIO_NET_F_STATUS));
	assert_int_equal(tapk_find(k, "tapv0")->offloads, 0);
	assert_int_equal(vhost_set_features(&k->dev, features), 0);
	assert_int_equal(tapk_find(k, "tapv0")->offloads,
			 TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN);
	assert_int_equal(tapk_find(k, "tapv0")->hdr, 12);
	assert_int_equal(vhost_set_features(&k->dev, HOST_OFFLOADS |
					    VIRTQ_BIT(VIRTIO_NET_F_GUEST_CSUM)), 0);
	assert_int_equal(tapk_find(k, "tapv0")->offloads, TUN_F_CSUM);
	assert_int_equal(tapk_find(k, "tapv0")->hdr, 10);
	assert_int_equal(tapk_find(k, "tapv0")->little, 0);
	assert_int_equal(vhost_set_features(&k->dev, VIRTQ_BIT(VIRTIO_F_RING_PACKED)), -EINVAL);
}

static void
interface_of_its_own(void **state)
{
	struct tapk *k = *state;
	struct vhost_tap_config cfg = { .queues = 1, .mac = { 2, 0, 0, 0, 0, 7 },
					.mac_given = true };
	const uint8_t next[6] = { 2, 0, 0, 0, 0, 8 };
	uint8_t mac[6];
	uint16_t status;

	assert_int_equal(vhost_net_open(&k->dev, "/dev/vhost-net", &cfg, &k->sys), 0);
	assert_string_equal(vhost_net_ifname(&k->dev), "tap0");
	assert_memory_equal(tapk_find(k, "tap0")->mac, cfg.mac, 6);
	assert_int_equal(vhost_get_config(&k->dev, 0, mac, 6), 0);
	assert_memory_equal(mac, cfg.mac, 6);
	assert_int_equal(vhost_set_config(&k->dev, 0, next, 6, 0), 0);
	assert_memory_equal(tapk_find(k, "tap0")->mac, next, 6);
	assert_int_equal(vhost_set_config(&k->dev, 6, next, 2, 0), -EINVAL);
	assert_int_equal(vhost_net_set_mtu(&k->dev, 4000), 0);
	assert_int_equal(tapk_find(k, "tap0")->mtu, 4000);
	assert_int_equal(vhost_net_set_mtu(&k->dev, 9001), -EIO);
	assert_int_equal(vhost_get_config(&k->dev, offsetof(struct virtio_net_config, status),
					  &status, 2), 0);
	assert_int_equal(status, 0);
	/* A set-up of the interface is noticed within a second. */
	tapk_find(k, "tap0")->up = true;
	for (int i = 0; i < 100 && k->configs == 0; i++)
		evloop_step(k->loop, 10);
	assert_int_equal(k->configs, 1);
	assert_int_equal(vhost_get_config(&k->dev, offsetof(struct virtio_net_config, status),
					  &status, 2), 0);
	assert_int_equal(status, VIRTIO_NET_S_LINK_UP);
	/* One that has another name, or is in another namespace, is still ours. */
	snprintf(tapk_find(k, "tap0")->name, VHOST_TAP_NAME, "renamed");
	for (int i = 0; i < 70; i++)
		evloop_step(k->loop, 10);
	assert_string_equal(vhost_net_ifname(&k->dev), "renamed");
	tapk_find(k, "renamed")->elsewhere = true;
	for (int i = 0; i < 70; i++)
		evloop_step(k->loop, 10);
	assert_int_equal(vhost_get_config(&k->dev, offsetof(struct virtio_net_config, status),
					  &status, 2), 0);
	assert_int_equal(status, VIRTIO_NET_S_LINK_UP);
	assert_int_equal(k->losts, 0);
	tapk_delete(k, tapk_find(k, "renamed"));
	for (int i = 0; i < 100 && k->losts == 0; i++)
		evloop_step(k->loop, 10);
	assert_int_equal(k->losts, 1);
	assert_non_null(strstr(k->dev.why, "renamed: the interface was deleted"));
}

static void
taken_over(void **state)
{
	struct tapk *k = *state;
	uint8_t mac[6];

	/* One queue, or several of which one is used; both stay when the device is closed. */
	for (int multi = 0; multi <= 1; multi++) {
		struct tapk_if *i = tapk_add(k, multi ? "many" : "one", "tap", multi);

		assert_int_equal(tapk_open_dev(k, i->name, 1), 0);
		assert_int_equal(vhost_init(&k->dev), 0);
		assert_int_equal(vhost_get_config(&k->dev, 0, mac, 6), 0);
		assert_memory_equal(mac, i->mac, 6);
		assert_int_equal(start_pairs(&k->dev, BASIC, 1), 0);
		assert_int_equal(stop_all(&k->dev, 1), 0);
		assert_int_equal(tapk_nth(k, TAPK_TUN, 0)->detached, multi);
		vhost_dev_close(&k->dev);
		assert_ptr_equal(tapk_find(k, i->name), i);
	}
}

static void
refused(struct tapk *k, const char *name, uint16_t queues, int error, const char *text)
{
	assert_int_equal(tapk_open_dev(k, name, queues), error);
	if (strstr(k->dev.why, text) == NULL)
		fail_msg("'%s' is not said, but '%s'", text, k->dev.why);
	assert_false(vhost_dev_is_open(&k->dev));
}

static void
what_is_wrong_is_said(void **state)
{
	struct tapk *k = *state;

	k->vhost_error = -ENOENT;
	refused(k, "t", 1, -ENOENT, "/dev/vhost-net: there is no such device; load its module: "
		"modprobe vhost_net");
	k->vhost_error = -EACCES;
	refused(k, "t", 1, -EACCES, "/dev/vhost-net: no permission");
	k->vhost_error = 0;
	k->tun_error = -ENODEV;
	refused(k, "t", 1, -ENODEV, "/dev/net/tun: there is no such device; load its module: "
		"modprobe tun");
	k->tun_error = -EPERM;
	refused(k, "t", 1, -EPERM, "/dev/net/tun: no permission");
	k->tun_error = 0;
	k->capable = false;
	refused(k, "t", 1, -EPERM, "tap t: no permission; CAP_NET_ADMIN is needed");
	k->capable = true;
	refused(k, "t", 5, -E2BIG, "tap t: the kernel makes no more queues than 5");
	refused(k, "a/b", 1, -EINVAL, "the kernel takes no 'a/b'");
	tapk_add(k, "one", "tap", false);
	refused(k, "one", 2, -EINVAL, "tap one exists and has one queue: make it with 'ip tuntap "
		"add dev one mode tap multi_queue', or give queues=1");
	tapk_add(k, "three", "tun", false);
	refused(k, "three", 1, -EINVAL, "interface three exists and is no tap: give another name");
	k->tun_features &= ~(unsigned int)IFF_MULTI_QUEUE;
	refused(k, "t", 2, -EOPNOTSUPP, "taps of this kernel have one queue: give queues=1");
	k->tun_features &= ~(unsigned int)IFF_VNET_HDR;
	refused(k, "t", 1, -EOPNOTSUPP, "taps of this kernel carry no virtio-net header");
}

static void
in_use(void **state)
{
	struct vhost_tap_config cfg = { .name = "one", .queues = 1 };
	struct tapk *k = *state;
	struct vhost_dev other;

	assert_int_equal(tapk_open_dev(k, "one", 1), 0);
	vhost_dev_init(&other, k->loop, NULL, NULL);
	assert_int_equal(vhost_net_open(&other, "/dev/vhost-net", &cfg, &k->sys), -EBUSY);
	assert_non_null(strstr(other.why, "tap one is in use: give another name"));
	/* The kernel lets others join one of several queues. */
	cfg = (struct vhost_tap_config){ .name = "two", .queues = 2 };
	assert_int_equal(tapk_open_dev(k, "two", 2), 0);
	tapk_find(k, "two")->carrier = 1;
	assert_int_equal(vhost_net_open(&other, "/dev/vhost-net", &cfg, &k->sys), -EBUSY);
	assert_non_null(strstr(other.why, "tap two is in use: give another name"));
}

static void
too_much_memory(void **state)
{
	struct vhost_region many[TAPK_REGIONS + 1];
	struct tapk *k = *state;

	for (uint32_t i = 0; i <= TAPK_REGIONS; i++)
		many[i] = (struct vhost_region){ .iova = i * 0x2000, .size = 0x1000,
						 .addr = (void *)(uintptr_t)(i * 0x2000) };
	assert_int_equal(tapk_open_dev(k, "t", 1), 0);
	assert_int_equal(vhost_init(&k->dev), 0);
	assert_int_equal(vhost_set_mem_table(&k->dev, many, TAPK_REGIONS), 0);
	assert_int_equal(vhost_set_mem_table(&k->dev, many, TAPK_REGIONS + 1), -ENOSPC);
	assert_non_null(strstr(k->dev.why, "65 pieces and the kernel takes 64"));
	assert_non_null(strstr(k->dev.why, "max_mem_regions"));
	/* The former table is still there. */
	assert_int_equal(tapk_nth(k, TAPK_VHOST, 0)->nregions, TAPK_REGIONS);
}

static void
old_kernel(void **state)
{
	struct tapk *k = *state;

	k->ancient = true;
	k->features = VIRTQ_BIT(VIRTIO_NET_F_MRG_RXBUF);
	assert_int_equal(tapk_open_dev(k, "t", 1), 0);
	assert_int_equal(vhost_init(&k->dev), 0);
	assert_int_equal(start_pairs(&k->dev, VIRTQ_BIT(VIRTIO_NET_F_MRG_RXBUF), 1), 0);
	assert_int_equal(stop_all(&k->dev, 1), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TAPK_TEST(up_and_down),
		TAPK_TEST(each_call_fails),
		TAPK_TEST(fewer_pairs),
		TAPK_TEST(what_is_negotiated),
		TAPK_TEST(interface_of_its_own),
		TAPK_TEST(taken_over),
		TAPK_TEST(what_is_wrong_is_said),
		TAPK_TEST(in_use),
		TAPK_TEST(too_much_memory),
		TAPK_TEST(old_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
