/* SPDX-License-Identifier: BSD-3-Clause */
/* Device arguments: every key, its limits, and what is said of a wrong one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "virtq_ring.h"
#include "vnet.h"
#include "vring_devargs.h"
#include "vring_devargs_list.h"

static struct vring_devargs args;
static char err[512];

static int
parse(const char *text)
{
	err[0] = '\0';
	return vring_devargs_parse(text, &args, err, sizeof(err));
}

/* Refused, with one line in which all of these words stand. */
static void
refused(const char *text, const char *word, const char *allowed)
{
	assert_int_not_equal(parse(text), 0);
	assert_non_null(strstr(err, word));
	assert_non_null(strstr(err, allowed));
	assert_null(strchr(err, '\n'));
}

static void
test_defaults(void **state)
{
	assert_int_equal(parse("iface=/run/s"), 0);
	assert_string_equal(args.iface, "/run/s");
	assert_int_equal(args.queues, 1);
	assert_int_equal(args.client, 0);
	assert_int_equal(args.tso, 0);
	assert_int_equal(args.csum, VRING_CSUM_COMPLETE);
	assert_int_equal(args.linear, VRING_LINEAR_YES);
	assert_int_equal(args.ext_buf, 1);
	assert_int_equal(args.packed, 1);
	assert_int_equal(args.stats, 1);
	assert_int_equal(args.sealed, 0);
	assert_int_equal(args.tx_retries, 0);
	assert_int_equal(args.stall_ms, 1000);
	assert_int_equal(args.call_thread, 0);
	assert_int_equal(args.call_us, 0);
	assert_int_equal(args.speed, 10000);
	assert_int_equal(args.max_ring, 32768);
	assert_true(args.numa == UINT32_MAX);
	assert_true(args.ctrl_lcore == UINT32_MAX);
	assert_true(rte_is_zero_ether_addr(&args.mac));
}

static void
test_all_keys(void **state)
{
	static const uint8_t mac[] = { 2, 0, 0, 0, 0, 9 };

	assert_int_equal(parse("iface=/s,queues=010,mtu=01500,tx-retries=0x10"), 0);
	assert_int_equal(args.queues, 10);
	assert_int_equal(args.mtu, 1500);
	assert_int_equal(args.tx_retries, 16);
	assert_int_equal(parse("iface=/s,queues=128,client=0,iommu-support=1,postcopy-support=1,"
			       "tso=1,linear-buffer=0,ext-buffer=0,legacy-ol-flags=1,"
			       "sealed-memory=1,mac=02:00:00:00:00:09,mtu=9000,speed=100000,"
			       "numa=1,ctrl-lcore=3,max-ring=1024,csum=partial,packed=0,"
			       "zero-copy=1,zero-copy-min=0,tx-retries=8,reconnect-ms=250,"
			       "stall-ms=3600000,call-thread=1,call-us=10000,"
			       "sock-mode=0660,sock-group=0,stats=0"),
			 0);
	assert_int_equal(args.queues, 128);
	assert_int_equal(args.tso, 1);
	assert_int_equal(args.linear, VRING_LINEAR_NO);
	assert_int_equal(args.ext_buf, 0);
	assert_int_equal(args.legacy_ol, 1);
	assert_int_equal(args.sealed, 1);
	assert_memory_equal(&args.mac, mac, sizeof(mac));
	assert_int_equal(args.mtu, 9000);
	assert_int_equal(args.speed, 100000);
	assert_int_equal(args.numa, 1);
	assert_int_equal(args.ctrl_lcore, 3);
	assert_int_equal(args.max_ring, 1024);
	assert_int_equal(args.csum, VRING_CSUM_PARTIAL);
	assert_int_equal(args.packed, 0);
	assert_int_equal(args.zero_copy, 1);
	assert_int_equal(args.zero_copy_min, 0);
	assert_int_equal(args.tx_retries, 8);
	assert_int_equal(args.reconnect_ms, 250);
	assert_int_equal(args.stall_ms, 3600000);
	assert_int_equal(args.call_thread, 1);
	assert_int_equal(args.call_us, 10000);
	assert_int_equal(args.sock_mode, 0660);
	assert_int_equal(args.sock_gid, 0);
	assert_int_equal(args.stats, 0);
}

static void
test_hyphen_is_underscore(void **state)
{
	assert_int_equal(parse("iface=/s,tx_retries=3,max_ring=256,sock_mode=600"), 0);
	assert_int_equal(args.tx_retries, 3);
	assert_int_equal(args.max_ring, 256);
	assert_int_equal(args.sock_mode, 0600);
	assert_int_equal(parse("iface=/s,iommu_support=0,linear_buffer=1"), 0);
}

static void
test_wrong_keys(void **state)
{
	refused("iface=/s,bogus=1", "'bogus'", "queues");
	refused("iface=/s,queue=1", "'queue'", "allowed");
	refused("iface=/s,queues=1,queues=2", "'queues'", "once");
	refused("iface=/s,tx-retries=1,tx_retries=2", "tx_retries", "once");
	refused("queues=1", "iface", "path");
	refused("", "iface", "path");
	refused(NULL, "iface", "path");
}

static void
test_wrong_values(void **state)
{
	char text[300];

	refused("iface=/s,queues=0", "queues=0", "1 to 128");
	refused("iface=/s,queues=129", "queues=129", "1 to 128");
	refused("iface=/s,queues=-1", "queues=-1", "1 to 128");
	refused("iface=/s,queues=2x", "queues=2x", "1 to 128");
	refused("iface=/s,queues=", "queues=", "1 to 128");
	refused("iface=/s,queues", "queues", "1 to 128");
	refused("iface=/s,queues=4294967297", "queues=", "1 to 128");
	refused("iface=/s,client=2", "client=2", "0 or 1");
	refused("iface=/s,client=yes", "client=yes", "0 or 1");
	refused("iface=/s,mac=zz", "mac=zz", "02:00");
	refused("iface=/s,mac=01:00:5e:00:00:01", "mac=", "unicast");
	refused("iface=/s,mac=00:00:00:00:00:00", "mac=", "unicast");
	refused("iface=/s,mtu=67", "mtu=67", "68");
	refused("iface=/s,mtu=65510", "mtu=65510", "65509");
	refused("iface=/s,speed=12345", "speed=12345", "10000");
	refused("iface=/s,csum=2", "csum=2", "partial");
	refused("iface=/s,max-ring=63", "max-ring=63", "64");
	refused("iface=/s,max-ring=32769", "max-ring=32769", "32768");
	refused("iface=/s,zero-copy=2", "zero-copy=2", "0 or 1");
	refused("iface=/s,zero-copy-min=65536", "zero-copy-min=65536", "65535");
	refused("path=/s,zero-copy=1", "zero-copy=", "iface");
	refused("iface=/s,tx-retries=1001", "tx-retries=1001", "1000");
	refused("iface=/s,tx-retries=0x", "tx-retries=0x", "1000");
	refused("iface=/s,tx-steering=1", "tx-steering=1", "thread or hash");
	refused("iface=/s,tx-steering=hash,iommu-support=1", "tx-steering=hash", "iommu-support=0");
	refused("path=/s,tx-steering=hash", "tx-steering=", "iface");
	refused("iface=/s,reconnect-ms=9", "reconnect-ms=9", "10");
	refused("path=/s,stall-ms=3600001", "stall-ms=3600001", "3600000");
	refused("iface=/s,call-us=10001", "call-us=10001", "0 to 10000 microseconds");
	refused("iface=/s,call-thread=2", "call-thread=2", "0 or 1");
	refused("iface=/s,sock-mode=888", "sock-mode=888", "0777");
	refused("iface=/s,sock-mode=1777", "sock-mode=1777", "0777");
	refused("iface=/s,sock-mode=0", "sock-mode=0", "0777");
	refused("iface=/s,sock-group=no-such-group", "sock-group=", "group");
	refused("iface=", "iface=", "path");
	memset(text, 'x', sizeof(text));
	memcpy(text, "iface=/", 7);
	text[6 + 108] = '\0';
	refused(text, "iface=", "107");
	text[6 + 107] = '\0';
	assert_int_equal(parse(text), 0);
}

static void
test_not_yet(void **state)
{
	refused("iface=/s,vdpa=/dev/vhost-vdpa-0", "vdpa=", "not supported yet");
}

static void
test_together(void **state)
{
	refused("iface=/s,tso=1,csum=0", "tso=1", "csum=1");
	assert_int_equal(parse("iface=/s,tso=1"), 0);
	refused("iface=/s,client=1,sock-mode=0600", "sock-mode", "client=0");
	refused("iface=/s,client=1,sock-group=0", "sock-group", "client=0");
}

static void
test_roles(void **state)
{
	static const char *const front[] = {
		"server=1", "queue_size=256", "cq=1", "packed_vq=1", "mrg_rxbuf=0", "in_order=0",
		"vectorized=1",
	};
	static const char *const back[] = {
		"client=1", "tso=1", "linear-buffer=0", "ext-buffer=0", "legacy-ol-flags=1",
		"max-ring=256", "packed=0", "call-thread=1", "call-us=50",
	};
	char text[64];
	unsigned int i;

	refused("iface=/s,path=/s", "path=", "one of them");
	for (i = 0; i < RTE_DIM(front); i++) {
		snprintf(text, sizeof(text), "path=/s,%s", front[i]);
		assert_int_equal(parse(text), 0);
		snprintf(text, sizeof(text), "iface=/s,%s", front[i]);
		refused(text, "belongs to a port with path=", "leave it out");
	}
	for (i = 0; i < RTE_DIM(back); i++) {
		snprintf(text, sizeof(text), "iface=/s,%s", back[i]);
		assert_int_equal(parse(text), 0);
		snprintf(text, sizeof(text), "path=/s,%s", back[i]);
		refused(text, "belongs to a port with iface=", "leave it out");
	}
}

static void
test_front_end(void **state)
{
	assert_int_equal(parse("iface=/s"), 0);
	assert_false(vring_devargs_front(&args));
	assert_int_equal(parse("path=/s"), 0);
	assert_true(vring_devargs_front(&args));
	assert_false(vring_devargs_vdpa(&args));
	assert_string_equal(args.path, "/s");
	assert_int_equal(args.queue_size, 256);
	assert_int_equal(args.mrg_rxbuf, VRING_MRG_AUTO);
	assert_int_equal(args.in_order, 1);
	assert_int_equal(args.packed_vq, 0);
	assert_int_equal(args.server, 0);
	assert_int_equal(args.cq, VRING_CQ_AUTO);
	assert_int_equal(parse("path=/dev/vhost-vdpa-77"), 0);
	assert_true(vring_devargs_vdpa(&args));
	/* Not there yet, and decided once: a device, and the socket of a back-end to come. */
	assert_int_equal(parse("path=/dev/shm/vring-test-none.sock"), 0);
	assert_false(vring_devargs_vdpa(&args));
	assert_int_equal(parse("path=/dev/shm/vring-test-none.sock,server=1"), 0);
	assert_int_equal(parse("path=/dev/null"), 0);
	assert_true(vring_devargs_vdpa(&args));
	refused("path=/dev/vhost-vdpa-77,server=1", "server=1", "server=0");
	refused("path=/s,queue_size=300", "queue_size=", "power of two");
	assert_int_equal(parse("path=/s,queue_size=300,packed_vq=1"), 0);
	refused("path=/s,queue_size=1", "queue_size=1", "2 to 32768");
	refused("path=/s,sock-mode=0600", "sock-mode=", "server=1");
	assert_int_equal(parse("path=/s,server=1,sock-mode=0600"), 0);
}

/* The kernel's vhost-net, and the name of its interface under either key. */
static void
test_vhost_net(void **state)
{
	static const char *const bad[] = { "", "a/b", "a b", "a:b", ".", "..", "abcdefghijklmnop" };
	char text[80];

	assert_int_equal(parse("path=/dev/vhost-net"), 0);
	assert_true(vring_devargs_front(&args) && vring_devargs_net(&args));
	assert_false(vring_devargs_vdpa(&args));
	assert_string_equal(args.ifname, "");
	assert_int_equal(parse("path=/dev/vhost-net,ifname=abcdefghijklmno"), 0);
	assert_string_equal(args.ifname, "abcdefghijklmno");
	assert_int_equal(parse("iface=tap%d,path=/dev/vhost-net,queues=2"), 0);
	assert_string_equal(args.ifname, "tap%d");
	assert_string_equal(args.iface, "");
	for (unsigned int i = 0; i < RTE_DIM(bad); i++) {
		snprintf(text, sizeof(text), "path=/dev/vhost-net,ifname=%s", bad[i]);
		refused(text, "ifname=", "name of an interface");
	}
	refused("path=/dev/vhost-net,iface=a/b", "iface=a/b", "name of an interface");
	refused("path=/dev/vhost-net,iface=a,ifname=b", "iface= and ifname=", "one of them");
	refused("path=/s,ifname=a", "ifname=", "leave it out");
	refused("path=/dev/vhost-vdpa-77,ifname=a", "ifname=", "leave it out");
	refused("path=/dev/vhost-net,server=1", "server=1", "server=0");
	refused("path=/dev/vhost-net,queue_size=300", "queue_size=", "power of two");
	/* Its IOMMU and control queue are not ours to ask for. */
	parse("path=/dev/vhost-net");
	assert_true((vring_devargs_wanted(&args, 0) & (VHOST_FE_CTRL_FEATURES |
		     VIRTQ_BIT(VIRTIO_F_ACCESS_PLATFORM))) == 0);
}

static void
test_wanted(void **state)
{
	const uint64_t mrg = VIRTQ_BIT(VIRTIO_NET_F_MRG_RXBUF);
	const uint64_t in_order = VIRTQ_BIT(VIRTIO_F_IN_ORDER);
	const uint64_t packed = VIRTQ_BIT(VIRTIO_F_RING_PACKED);
	const uint64_t iommu = VIRTQ_BIT(VIRTIO_F_ACCESS_PLATFORM);
	const uint64_t order = VIRTQ_BIT(VIRTIO_F_ORDER_PLATFORM);
	const uint64_t all = mrg | in_order | packed | VRING_FRONT_CSUM_FEATURES;
	uint64_t got;

	parse("path=/s");
	got = vring_devargs_wanted(&args, all);
	assert_true((got & all) == (all & ~packed));
	assert_true((got & (VHOST_FE_CTRL_FEATURES | iommu)) == 0);
	assert_true(got & order);
	parse("path=/dev/vhost-net");
	assert_true(vring_devargs_wanted(&args, all) & order);
	parse("path=/s,packed_vq=1,mrg_rxbuf=0,in_order=0,csum=0");
	assert_true((vring_devargs_wanted(&args, all) & all) == packed);
	parse("path=/dev/vhost-vdpa-77");
	got = vring_devargs_wanted(&args, all);
	assert_true((got & VHOST_FE_CTRL_FEATURES) == VHOST_FE_CTRL_FEATURES);
	assert_true((got & (iommu | order)) == (iommu | order));
	parse("path=/dev/vhost-vdpa-77,cq=0");
	assert_true((vring_devargs_wanted(&args, all) & VHOST_FE_CTRL_FEATURES) == 0);
}

static void
test_features(void **state)
{
	const uint64_t csum = VIRTQ_BIT(VIRTIO_NET_F_CSUM);
	const uint64_t packed = VIRTQ_BIT(VIRTIO_F_RING_PACKED);

	const uint64_t in_order = VIRTQ_BIT(VIRTIO_F_IN_ORDER);
	const uint64_t hash = VIRTQ_BIT(VIRTIO_NET_F_HASH_REPORT);
	const uint64_t all = VNET_DEV_FEATURES | VRING_BACK_CTRL_FEATURES;

	parse("iface=/s");
	assert_true(vring_devargs_features(&args) == (all & ~VNET_DEV_TSO_FEATURES));
	parse("iface=/s,tso=1");
	assert_true(vring_devargs_features(&args) == all);
	parse("iface=/s,tso=1,hash-report=1");
	assert_true(vring_devargs_features(&args) == (all | hash));
	parse("iface=/s,csum=0,packed=0");
	assert_true((vring_devargs_features(&args) & (csum | packed | VNET_DEV_TSO_FEATURES)) == 0);
	assert_true(vring_devargs_fallback(&args) ==
		    (csum | packed | hash | VNET_DEV_TSO_FEATURES));
	parse("iface=/s,tso=1,zero-copy=1");
	assert_true(vring_devargs_features(&args) == (all & ~in_order));
	assert_true(vring_devargs_fallback(&args) == (in_order | hash));
}

/* What net_vhost of DPDK 22.11 offers (lib/vhost/vhost.h), its arguments as ours. */
#define NET_VHOST_FEATURES \
	(1ull << 0 | 1ull << 1 | 1ull << 3 | 1ull << 6 | 1ull << 7 | 1ull << 8 | 1ull << 9 | \
	 1ull << 10 | 1ull << 11 | 1ull << 12 | 1ull << 13 | 1ull << 14 | 1ull << 15 | \
	 1ull << 17 | 1ull << 18 | 1ull << 21 | 1ull << 22 | 1ull << 27 | 1ull << 28 | \
	 1ull << 29 | 1ull << 32 | 1ull << 34 | 1ull << 35)

/* A guest that runs on net_vhost has features that are offered here as well, or said not to be. */
static void
test_features_of_net_vhost(void **state)
{
	parse("iface=/s,tso=1");
	assert_true((NET_VHOST_FEATURES & ~vring_devargs_features(&args)) == 0);
	parse("iface=/s,csum=0,packed=0,zero-copy=1");
	assert_true((NET_VHOST_FEATURES & ~(vring_devargs_features(&args) |
					    vring_devargs_fallback(&args))) == 0);
	/* None is in doubt, and none that only a front-end can keep is offered. */
	assert_true((vring_devargs_fallback(&args) & vring_devargs_features(&args)) == 0);
	assert_true((VRING_BACK_TOLERATED & vring_devargs_features(&args)) == 0);
	assert_true(VRING_BACK_TOLERATED & VIRTQ_BIT(VIRTIO_F_ORDER_PLATFORM));
}

enum roles { BACK = 1, SOCKET = 2, VDPA = 4, NET = 8, FRONT = 14, ALL = 15 };

#define LISTED(roles, key, parse, field, lo, hi, init, shown, allowed, ...) \
	{ roles, key, #parse, allowed, lo, hi },
static const struct {
	enum roles roles;
	const char *key, *parse, *allowed;
	unsigned long lo, hi;
} listed[] = { VRING_DEVARGS(LISTED) };

/* pmdinfo and the refusal of an unknown key show each key that is accepted, and no other. */
static void
test_param_string(void **state)
{
	char text[2048], word[64];
	unsigned int shown = 0;

	refused("iface=/s,bogus=1", "bogus", "stats");
	assert_null(strstr(err, "vdpa"));
	for (const char *at = VRING_PARAM_STRING; (at = strstr(at, "=<")) != NULL; at++)
		shown++;
	assert_int_equal(shown, RTE_DIM(listed));
	snprintf(text, sizeof(text), " %s", VRING_PARAM_STRING);
	strcat(err, " ");
	for (unsigned int i = 0; i < RTE_DIM(listed); i++) {
		snprintf(word, sizeof(word), " %s=<", listed[i].key);
		assert_non_null(strstr(text, word));
		snprintf(word, sizeof(word), " %s ", listed[i].key);
		assert_non_null(strstr(err, word));
	}
}

/* What the list says of numbers is what is taken. */
static void
test_limits(void **state)
{
	char text[80];

	for (unsigned int i = 0; i < RTE_DIM(listed); i++) {
		const char *port = listed[i].roles & BACK ? "iface=/s" : "path=/s";

		if (strcmp(listed[i].parse, "parse_number") != 0)
			continue;
		snprintf(text, sizeof(text), "%s,%s=%lu", port, listed[i].key, listed[i].lo);
		assert_int_equal(parse(text), 0);
		snprintf(text, sizeof(text), "%s,%s=%lu", port, listed[i].key, listed[i].hi);
		assert_int_equal(parse(text), 0);
		snprintf(text, sizeof(text), "%s,%s=%lu", port, listed[i].key, listed[i].hi + 1);
		refused(text, listed[i].key, listed[i].allowed);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_all_keys),
		cmocka_unit_test(test_hyphen_is_underscore),
		cmocka_unit_test(test_wrong_keys),
		cmocka_unit_test(test_wrong_values),
		cmocka_unit_test(test_not_yet),
		cmocka_unit_test(test_together),
		cmocka_unit_test(test_roles),
		cmocka_unit_test(test_front_end),
		cmocka_unit_test(test_vhost_net),
		cmocka_unit_test(test_wanted),
		cmocka_unit_test(test_features),
		cmocka_unit_test(test_features_of_net_vhost),
		cmocka_unit_test(test_param_string),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
