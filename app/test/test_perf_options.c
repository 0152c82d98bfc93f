/* SPDX-License-Identifier: BSD-3-Clause */
/* vring-perf: what a command line means, and what is said of a wrong one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "options.h"

enum { MAX_WORDS = 32 };

static struct perf_options o;
static char why[256];

/* Parse a line whose words are parted by blanks. */
static int
parse(const char *line)
{
	static char copy[512], name[] = "vring-perf";
	char *argv[MAX_WORDS + 1] = {name}, *save = NULL;
	int argc = 1;

	assert_true(strlen(line) < sizeof(copy));
	strcpy(copy, line);
	for (char *t = strtok_r(copy, " ", &save); t != NULL && argc < MAX_WORDS;
	     t = strtok_r(NULL, " ", &save))
		argv[argc++] = t;
	why[0] = '\0';
	return perf_options_parse(&o, argc, argv, why, sizeof(why));
}

static void
refused(const char *line, const char *says)
{
	assert_int_not_equal(parse(line), 0);
	if (strstr(why, says) == NULL)
		fail_msg("'%s': '%s' does not say '%s'", line, why, says);
	assert_null(strchr(why, '\n'));
}

static void
test_defaults(void **state)
{
	assert_int_equal(parse("--compare net_vring net_vhost,tso=1"), 0);
	assert_int_equal(o.pairs, 2);
	assert_int_equal(o.measured, PERF_BACKEND);
	assert_string_equal(o.driver[0], "net_vring");
	assert_string_equal(o.driver[1], "net_vhost,tso=1");
	assert_true(o.rounds >= 15);
	assert_true(o.slice_ms <= 1000);
	assert_true(o.split && o.packed);
	for (int p = 0; p < PERF_PATHS; p++)
		assert_true(o.path[p]);
	assert_int_equal(o.nsizes, 1);
	assert_int_equal(o.sizes[0], 64);
	assert_null(o.csv);
	assert_null(o.json);
	assert_null(o.plot);
}

static void
test_which_end(void **state)
{
	assert_int_equal(parse("--compare-front net_vring net_virtio_user"), 0);
	assert_int_equal(o.measured, PERF_FRONTEND);
	assert_string_equal(perf_driver(&o, 1, PERF_FRONTEND), "net_virtio_user");
	assert_string_equal(perf_driver(&o, 1, PERF_BACKEND), "net_vhost");
	assert_int_equal(parse("--measure-front a --peer b"), 0);
	assert_int_equal(o.pairs, 1);
	assert_string_equal(perf_driver(&o, 0, PERF_FRONTEND), "a");
	assert_string_equal(perf_driver(&o, 0, PERF_BACKEND), "b");
	assert_int_equal(parse("--measure a"), 0);
	assert_int_equal(o.measured, PERF_BACKEND);
	assert_string_equal(perf_driver(&o, 0, PERF_FRONTEND), "net_virtio_user");
	refused("--size 64", "--compare");
	refused("--measure a --compare b c", "one of");
	refused("--compare a", "two drivers");
	refused("--compare a --csv", "two drivers");
}

static void
test_numbers(void **state)
{
	assert_int_equal(parse("--measure a --mrg 0 --in-order 1 --offloads 1 --vectorized 1 "
			       "--queues 4 --ring 1024 --burst 64 --idle-ports 30 --rounds 200 "
			       "--slice 1000 --think 0 --distance 300 --cpus 3,2"), 0);
	assert_int_equal(o.mrg, 0);
	assert_int_equal(o.in_order, 1);
	assert_int_equal(o.offloads, 1);
	assert_int_equal(o.vectorized, 1);
	assert_int_equal(o.queues, 4);
	assert_int_equal(o.ring, 1024);
	assert_int_equal(o.burst, 64);
	assert_int_equal(o.idle_ports, 30);
	assert_int_equal(o.rounds, 200);
	assert_int_equal(o.slice_ms, 1000);
	assert_int_equal(o.think, 0);
	assert_int_equal(o.distance, 300);
	assert_int_equal(o.cpu[PERF_BACKEND], 3);
	assert_int_equal(o.cpu[PERF_FRONTEND], 2);
	refused("--measure a --idle-ports 32", "RTE_MAX_ETHPORTS");
	refused("--measure a --slice 1001", "from 10 to 1000");
	refused("--measure a --ring 100", "power of two");
	assert_int_equal(parse("--measure a --ring 100 --layout packed"), 0);
	refused("--measure a --burst 0", "--burst 0");
	refused("--measure a --burst -1", "--burst -1");
	refused("--measure a --ring 64x", "--ring 64x");
	refused("--measure a --rounds", "needs a value");
	refused("--measure a --cpus 1,1", "--cpus");
	refused("--measure a --cpus 1", "--cpus");
}

static void
test_lists(void **state)
{
	assert_int_equal(parse("--measure a --size 64,IMIX,9000,imix --layout packed "
			       "--path fwd,latency"), 0);
	assert_false(o.path[PERF_VM]);
	assert_int_equal(o.nsizes, 4);
	assert_int_equal(o.sizes[1], PERF_IMIX);
	assert_int_equal(o.sizes[2], 9000);
	assert_int_equal(o.sizes[3], PERF_IMIX);
	assert_true(!o.split && o.packed);
	assert_true(!o.path[PERF_RX] && !o.path[PERF_TX]);
	assert_true(o.path[PERF_FORWARD] && o.path[PERF_LATENCY]);
	assert_int_equal(parse("--measure a --path both,fwd"), 0);
	assert_true(o.path[PERF_RX] && o.path[PERF_TX] && o.path[PERF_FORWARD]);
	assert_false(o.path[PERF_VM] || o.path[PERF_LATENCY]);
	assert_int_equal(parse("--measure a --path vm"), 0);
	for (int p = 0; p < PERF_PATHS; p++)
		assert_int_equal(o.path[p], p == PERF_VM);
	refused("--measure a --size 64,", "--size");
	refused("--measure a --size 59", "60 to 9000");
	refused("--measure a --size 64,64,64,64,64,64,64,64,64", "more than 8");
	refused("--measure a --path rx,,tx", "--path");
	refused("--measure a --path forward", "--path");
	refused("--measure a --layout ring", "--layout");
	refused("--measure a --bogus", "--bogus");
	refused("--measure a b", "b: not an option");
	refused("--compare-front net_vring net_vhost,tso=1", "net_vhost can only be a back-end");
	refused("--measure net_virtio_user", "net_virtio_user can only be a front-end");
	refused("--measure net_vring --peer net_vhost", "net_vhost can only be a back-end");
	assert_int_equal(parse("--measure-front net_vring --peer net_vring"), 0);
}

static void
test_files(void **state)
{
	assert_int_equal(parse("--csv --measure a --json out.json --plot p.svg"), 0);
	assert_string_equal(o.csv, "-");
	assert_string_equal(o.json, "out.json");
	assert_string_equal(o.plot, "p.svg");
	assert_int_equal(parse("--measure a --csv rows.csv --json"), 0);
	assert_string_equal(o.csv, "rows.csv");
	assert_string_equal(o.json, "-");
	refused("--measure a --csv --json", "file of its own");
	refused("--measure a --csv x --json x", "file of its own");
	refused("--measure a --csv x --plot x", "file of its own");
	assert_int_equal(parse("--help --size"), -22);
	assert_int_equal(parse("--help"), 0);
	assert_true(o.help);
	assert_int_equal(parse("--version"), 0);
	assert_true(o.version);
}

static void
test_plugins(void **state)
{
	assert_int_equal(parse("--compare a b --plugin common --b-plugin own"), 0);
	assert_string_equal(perf_plugin(&o, 0, PERF_BACKEND), "common");
	assert_string_equal(perf_plugin(&o, 1, PERF_BACKEND), "own");
	assert_string_equal(perf_plugin(&o, 1, PERF_FRONTEND), "common");
	assert_int_equal(parse("--compare a b --b-plugin own"), 0);
	assert_null(perf_plugin(&o, 0, PERF_BACKEND));
	assert_string_equal(perf_plugin(&o, 1, PERF_FRONTEND), "own");
	refused("--measure a --b-plugin own", "comparison");
	refused("--measure a --b-args x=1", "comparison");
}

static void
vdev_is(uint32_t pair, enum perf_role role, bool packed, uint32_t port, const char *expected)
{
	char *s = perf_vdev(&o, pair, role, packed, port, "/run/s");

	assert_string_equal(s, expected);
	free(s);
}

static void
test_vdevs(void **state)
{
	assert_int_equal(parse("--compare net_vring,zero-copy=1 net_vhost --a-args stats=0,csum=0 "
			       "--queues 2 --offloads 1 --peer-args speed=10000"), 0);
	vdev_is(0, PERF_BACKEND, false, 0,
		"net_vring0,iface=/run/s,queues=2,tso=1,zero-copy=1,stats=0,csum=0");
	vdev_is(1, PERF_BACKEND, true, 7, "net_vhost7,iface=/run/s,queues=2,tso=1");
	vdev_is(1, PERF_FRONTEND, true, 7,
		"net_virtio_user7,path=/run/s,packed_vq=1,mrg_rxbuf=1,in_order=0,queue_size=256,"
		"queues=2,mac=02:00:00:00:01:07,speed=10000");
	assert_int_equal(parse("--compare-front net_vring net_virtio_user,mac=02:00:00:00:00:09 "
			       "--vectorized 1 --mrg 0 --in-order 1 --ring 64"), 0);
	vdev_is(0, PERF_FRONTEND, false, 0,
		"net_vring0,path=/run/s,packed_vq=0,mrg_rxbuf=0,in_order=1,queue_size=64,queues=1,"
		"vectorized=1");
	vdev_is(1, PERF_FRONTEND, false, 0,
		"net_virtio_user0,path=/run/s,packed_vq=0,mrg_rxbuf=0,in_order=1,queue_size=64,"
		"queues=1,vectorized=1,mac=02:00:00:00:00:09");
	vdev_is(1, PERF_BACKEND, false, 0, "net_vhost0,iface=/run/s,queues=1");
	assert_int_equal(parse("--compare net_vring net_vring --log 2 --mrg 1"), 0);
	vdev_is(0, PERF_FRONTEND, false, 0,
		"net_vring0,path=/run/s,packed_vq=0,mrg_rxbuf=1,in_order=0,queue_size=256,queues=1,"
		"dirty-log=1");
	vdev_is(1, PERF_FRONTEND, false, 0,
		"net_vring0,path=/run/s,packed_vq=0,mrg_rxbuf=1,in_order=0,queue_size=256,"
		"queues=1");
	assert_int_equal(parse("--compare net_vring net_vhost --log 1"), 0);
	assert_int_equal(parse("--measure net_vring --log 1 --peer net_virtio_user"), -EINVAL);
	assert_int_equal(parse("--measure net_vring --log 3"), -EINVAL);
}

/* A's pair alone, whose mbufs are pages. */
static void
test_iommu(void **state)
{
	uint32_t mbufs;
	uint16_t room;

	assert_int_equal(parse("--compare net_vring net_vring --iommu 2 --path rx,tx"), 0);
	vdev_is(0, PERF_BACKEND, false, 0,
		"net_vring0,iface=/run/s,queues=1,iommu-support=1,iommu-keep=1");
	vdev_is(0, PERF_FRONTEND, false, 0,
		"net_vring0,path=/run/s,packed_vq=0,mrg_rxbuf=1,in_order=0,queue_size=256,queues=1,"
		"iommu-support=1,iommu-pages=1");
	vdev_is(1, PERF_BACKEND, false, 0, "net_vring0,iface=/run/s,queues=1");
	vdev_is(1, PERF_FRONTEND, false, 0,
		"net_vring0,path=/run/s,packed_vq=0,mrg_rxbuf=1,in_order=0,queue_size=256,"
		"queues=1");
	perf_pool(&o, &mbufs, &room);
	assert_uint_in_range(mbufs, 2047, 2304);
	assert_int_equal(parse("--compare net_vring net_vhost --iommu 1"), 0);
	vdev_is(0, PERF_FRONTEND, false, 0,
		"net_vring0,path=/run/s,packed_vq=0,mrg_rxbuf=1,in_order=0,queue_size=256,queues=1,"
		"iommu-support=1");
	assert_int_equal(parse("--measure net_vring --iommu 1 --peer net_virtio_user"), -EINVAL);
	assert_int_equal(parse("--measure net_vring --iommu 2 --size 3600"), -EINVAL);
	assert_int_equal(parse("--measure net_vring --iommu 3"), -EINVAL);
}

/* One that works, or two, and the idle ones; a process has 32 at most. */
static void
test_ports(void **state)
{
	assert_int_equal(parse("--measure a --path rx,tx,fwd,latency --idle-ports 31"), 0);
	assert_int_equal(perf_working_ports(&o), 1);
	assert_int_equal(perf_ports(&o), 32);
	assert_int_equal(parse("--measure-front a --idle-ports 30 --path fwd,vm"), 0);
	assert_int_equal(perf_working_ports(&o), 2);
	assert_int_equal(perf_ports(&o), 32);
	refused("--measure a --idle-ports 31 --path vm", "--idle-ports 31: 30 at most");
	refused("--path both,vm --idle-ports 31 --measure a", "RTE_MAX_ETHPORTS");
	refused("--measure a --idle-ports 31", "--path has vm");
}

/* Buffers for all that rings can hold, and room for the largest packet. */
static void
test_memory(void **state)
{
	uint32_t few, many, small;
	uint16_t room;

	assert_int_equal(parse("--measure a --size 64 --path rx"), 0);
	perf_pool(&o, &few, &room);
	small = perf_memory(&o);
	assert_true(room >= 2048 + 128);
	assert_int_equal(parse("--measure a --size 64,9000 --idle-ports 31 --queues 2 --path rx"),
			 0);
	perf_pool(&o, &many, &room);
	assert_true(room >= 9000 + 128);
	assert_true(many >= 2 * 256 * (32 + 1));
	assert_true(many > few);
	assert_true(perf_memory(&o) > small);
	assert_true((uint64_t)perf_memory(&o) << 20 > (uint64_t)many * room);
	/* two that may be full both ways in the place of one and one that is idle */
	assert_int_equal(parse("--measure a --size 64,9000 --idle-ports 30 --queues 2 --path vm"),
			 0);
	perf_pool(&o, &few, &room);
	assert_int_equal(few, many + 2 * 2 * 256);
	assert_true((uint64_t)perf_memory(&o) << 20 > (uint64_t)few * room);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_which_end),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_plugins),
		cmocka_unit_test(test_vdevs),
		cmocka_unit_test(test_iommu),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
