/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Both ends of vhost-user in one process, as sessions: a back-end's, served by a thread, and a
 * front-end's in this one. Neither has EAL.
 */
#include "rig_pair.h"

/* Receive rings have the one buffer that they were filled with. */
static void
check_rings_run(struct rig *rig)
{
	for (int i = 0; i < RIG_RINGS; i++) {
		assert_non_null(rig->ring[i]);
		assert_true(rig->ring[i]->enabled);
		assert_int_equal(rig->ring[i]->size, FE_SIZE);
		assert_int_equal(rig->ring[i]->avail->idx, i % 2 == 0);
	}
	assert_int_equal(rig->features & FE_WANTED, FE_WANTED);
}

static void
check_one_pair(struct rig *rig)
{
	assert_non_null(rig->ring[0]);
	assert_non_null(rig->ring[1]);
	assert_true(rig->ring[0]->enabled && rig->ring[1]->enabled);
	assert_null(rig->ring[2]);
	assert_null(rig->ring[3]);
}

static void
check_no_ring(struct rig *rig)
{
	for (int i = 0; i < RIG_RINGS; i++)
		assert_null(rig->ring[i]);
}

static void
start_pair(struct pair *p)
{
	rig_listen(p->rig);
	rig_serve(p->rig);
	pair_open(p, false);
	step_until(p->loop, &p->ups, 1);
	vhost_fe_start(p->fe);
}

/* Asked before it is started; then rings come and go on the same connection. */
static void
starts_and_stops(void **state)
{
	struct pair *p = *state;
	struct vhost_fe_info info;

	rig_listen(p->rig);
	rig_serve(p->rig);
	pair_open(p, false);
	step_until(p->loop, &p->ups, 1);
	assert_int_equal(p->limits.max_pairs, RIG_PAIRS);
	assert_int_equal(p->limits.offered & FE_WANTED, FE_WANTED);
	assert_int_equal(p->features, 0);
	for (unsigned int round = 1; round <= 3; round++) {
		vhost_fe_start(p->fe);
		in_back_end(p->rig, check_rings_run);
		assert_non_null(p->ring[RIG_RINGS - 1]);
		assert_true(p->carrier);
		assert_int_equal(p->features, FE_WANTED);
		vhost_fe_get_info(p->fe, &info);
		assert_true(info.connected && info.running);
		assert_int_equal(info.pairs, RIG_PAIRS);
		assert_false(info.control_queue);
		vhost_fe_stop(p->fe);
		in_back_end(p->rig, check_no_ring);
		assert_null(p->ring[0]);
		assert_false(p->carrier);
		assert_int_equal(p->features, 0);
		assert_int_equal(p->fills, round * RIG_PAIRS);
		assert_int_equal(p->drains, round * RIG_RINGS);
		assert_int_equal(p->gives, round);
		assert_int_equal(p->stops, round);
	}
	vhost_fe_get_info(p->fe, &info);
	assert_true(info.connected && !info.running);
	assert_int_equal(info.connects, 1);
	assert_int_equal(info.disconnects, 0);
	assert_string_equal(p->log, "");
}

static void
as_many_pairs_as_queues(void **state)
{
	struct pair *p = *state;

	p->queues = 1;
	start_pair(p);
	in_back_end(p->rig, check_one_pair);
	assert_non_null(p->ring[1]);
	assert_null(p->ring[2]);
	p->queues = 7;
	vhost_fe_stop(p->fe);
	vhost_fe_start(p->fe);
	in_back_end(p->rig, check_rings_run);
}

static void
make_back_end_anew(struct rig *rig)
{
	struct vhost_be_config cfg = rig_config(rig);
	char err[200];

	vhost_be_free(rig->be);
	assert_int_equal(vhost_be_new(&cfg, &rig->be, err, sizeof(err)), 0);
}

/* Two lives of a back-end; a session that is stopped meanwhile stays so. */
static void
finds_a_back_end_again(void **state)
{
	struct pair *p = *state;
	struct vhost_fe_info info;

	start_pair(p);
	in_back_end(p->rig, check_rings_run);
	in_back_end(p->rig, make_back_end_anew);
	step_until(p->loop, &p->downs, 1);
	assert_null(p->ring[0]);
	assert_non_null(strstr(p->log, "session ended: "));
	step_until(p->loop, &p->ups, 2);
	in_back_end(p->rig, check_rings_run);
	assert_non_null(p->ring[0]);
	assert_true(p->carrier);
	vhost_fe_stop(p->fe);
	in_back_end(p->rig, make_back_end_anew);
	step_until(p->loop, &p->ups, 3);
	in_back_end(p->rig, check_no_ring);
	assert_null(p->ring[0]);
	vhost_fe_get_info(p->fe, &info);
	assert_int_equal(info.connects, 3);
	assert_int_equal(info.disconnects, 2);
}

/* Who notices that a session is over notes it, and the loop ends it. */
static void
ended_by_the_loop(void **state)
{
	struct pair *p = *state;
	struct vhost_fe_info info;

	start_pair(p);
	p->no_memory = true;
	vhost_fe_mem_changed(p->fe);
	vhost_fe_get_info(p->fe, &info);
	assert_true(info.running);
	assert_non_null(p->ring[0]);
	assert_int_equal(p->downs, 0);
	/* Nobody is asked any more, and what is wished for is kept. */
	assert_int_equal(vhost_fe_wish_promisc(p->fe, true), 0);
	p->no_memory = false;
	step_until(p->loop, &p->downs, 1);
	assert_null(p->ring[0]);
	vhost_fe_get_info(p->fe, &info);
	assert_string_equal(info.why, "no memory of this test");
	assert_non_null(strstr(p->log, "session ended: no memory of this test\n"));
	step_until(p->loop, &p->ups, 2);
	in_back_end(p->rig, check_rings_run);
}

/* Tried again and again, and said once. */
static void
does_not_start_without_memory(void **state)
{
	struct pair *p = *state;
	const char *first;

	p->no_memory = true;
	start_pair(p);
	assert_null(p->ring[0]);
	step_until(p->loop, &p->downs, 3);
	first = strstr(p->log, "no memory of this test\n");
	assert_non_null(first);
	assert_null(strstr(first + 1, "no memory of this test\n"));
	p->no_memory = false;
	for (int i = 0; i < 500 && p->ring[0] == NULL; i++)
		evloop_step(p->loop, 10);
	in_back_end(p->rig, check_rings_run);
}

/* The back-end comes to it, and finds it started. */
static void
listens_for_back_ends(void **state)
{
	struct pair *p = *state;

	pair_open(p, true);
	vhost_fe_start(p->fe);
	assert_null(p->ring[0]);
	rig_serve(p->rig);
	in_back_end(p->rig, rig_connect_back);
	step_until(p->loop, &p->ups, 1);
	in_back_end(p->rig, check_rings_run);
	assert_string_equal(vhost_fe_peer(p->fe), "back-end");
}

/* An open device of the owner's: its session has no second life. */
static void
drives_an_open_device(void **state)
{
	struct pair *p = *state;
	struct vhost_fe_config cfg = pair_config(p);
	struct vhost_dev dev;
	char err[300];

	rig_listen(p->rig);
	rig_serve(p->rig);
	vhost_dev_init(&dev, p->loop, NULL, NULL);
	assert_int_equal(vhost_user_open(&dev, connect_to(p->rig->path)), 0);
	assert_int_equal(vhost_init(&dev), 0);
	cfg.dev = &dev;
	assert_int_equal(vhost_fe_new(&cfg, &p->fe), 0);
	assert_int_equal(vhost_fe_open(p->fe, err, sizeof(err)), 0);
	vhost_fe_start(p->fe);
	in_back_end(p->rig, check_rings_run);
	in_back_end(p->rig, make_back_end_anew);
	step_until(p->loop, &p->downs, 1);
	assert_false(vhost_dev_is_open(&dev));
	for (int i = 0; i < 10; i++)
		evloop_step(p->loop, 2);
	assert_int_equal(p->ups, 1);
	vhost_fe_close(p->fe);
	vhost_fe_free(p->fe);
	p->fe = NULL;
}

static void
fails_with_a_reason(void **state)
{
	struct pair *p = *state;
	struct vhost_fe_config cfg = pair_config(p);
	char err[300] = "";

	p->no_rings = true;
	assert_int_equal(vhost_fe_new(&cfg, &p->fe), -ENOMEM);
	assert_null(p->fe);
	assert_int_equal(p->allocs, p->frees);
	p->no_rings = false;
	cfg.server = true;
	cfg.path = "/no/such/directory/socket";
	assert_int_equal(vhost_fe_new(&cfg, &p->fe), 0);
	assert_int_equal(vhost_fe_open(p->fe, err, sizeof(err)), -ENOENT);
	assert_non_null(strstr(err, "/no/such/directory"));
}

/* Behind a socket nobody filters: wishes are kept. */
static void
keeps_wishes(void **state)
{
	static const struct vhost_fe_mac mac[VHOST_FE_CMD_MACS + 1] = { { { 2, 0, 0, 0, 0, 9 } } };
	struct pair *p = *state;
	const struct vhost_fe_rss rss = { .types = 0x3f, .entries = 4, .table = { 1, 0, 1, 0 } };
	struct vhost_fe_rss got;

	start_pair(p);
	assert_int_equal(vhost_fe_wish_promisc(p->fe, true), 0);
	assert_int_equal(vhost_fe_wish_allmulti(p->fe, true), 0);
	assert_int_equal(vhost_fe_wish_mac(p->fe, mac), 0);
	assert_int_equal(vhost_fe_wish_unicast(p->fe, VHOST_FE_UNICAST - 1, mac), 0);
	assert_int_equal(vhost_fe_wish_multicast(p->fe, mac, 1), 0);
	assert_int_equal(vhost_fe_wish_multicast(p->fe, mac, VHOST_FE_CMD_MACS + 1), -ENOSPC);
	assert_int_equal(vhost_fe_wish_vlan(p->fe, 4095, true), 0);
	assert_int_equal(vhost_fe_wish_rss(p->fe, &rss), 0);
	assert_true(p->fe->promisc && p->fe->allmulti && p->fe->mac_given);
	assert_memory_equal(&p->fe->mac, mac, 6);
	assert_memory_equal(&p->fe->unicast[VHOST_FE_UNICAST - 1], mac, 6);
	assert_int_equal(p->fe->nmulticast, 1);
	assert_true(p->fe->vlan[63] == VIRTQ_BIT(63));
	vhost_fe_rss_wished(p->fe, &got);
	assert_memory_equal(&got, &rss, sizeof(rss));
}

/* What a device is told of a table that it cannot have; the wish stays. */
static void
fits_rss_to_the_device(void **state)
{
	struct pair *p = *state;
	const struct vhost_fe_rss rss = { .types = 0x3f, .entries = 4, .table = { 1, 0, 1, 1 } };
	struct vhost_fe_rss got;

	rig_listen(p->rig);
	pair_open(p, false);
	p->fe->rss = rss;
	p->fe->limits.max_pairs = 2;
	p->fe->limits.rss_entries = 4;
	p->fe->limits.rss_types = 0x7;
	vhost_fe_rss_fit(p->fe, 2, &got);
	assert_int_equal(got.types, 0x7);
	assert_memory_equal(got.table, rss.table, 8);
	/* Fewer queues, then another number of entries. */
	vhost_fe_rss_fit(p->fe, 1, &got);
	for (int i = 0; i < 4; i++)
		assert_int_equal(got.table[i], 0);
	p->fe->limits.rss_entries = 8;
	vhost_fe_rss_fit(p->fe, 5, &got);
	assert_int_equal(got.entries, 8);
	for (int i = 0; i < 8; i++)
		assert_int_equal(got.table[i], i % 2);
	vhost_fe_rss_wished(p->fe, &got);
	assert_memory_equal(&got, &rss, sizeof(rss));
}

static unsigned int
lines_with(const char *text, const char *what)
{
	unsigned int n;

	for (n = 0; (text = strstr(text, what)) != NULL && *text++ != '\0'; n++)
		;
	return n;
}

/* A back-end that reports broken rings without end has them set up anew now and then. */
static void
restarts_are_limited(void **state)
{
	const uint64_t one = 1, began = evloop_now_ns();
	struct pair *p = *state;
	uint64_t most;

	start_pair(p);
	while (evloop_now_ns() - began < 1200000000) {
		assert_int_equal(write(p->fe->errfd, &one, sizeof(one)), sizeof(one));
		evloop_step(p->loop, 1);
	}
	most = (evloop_now_ns() - began) / 500000000 + 2;
	assert_uint_in_range(p->stops, 2, most);
	assert_uint_in_range(lines_with(p->log, "set up anew"), 2, most);
	for (int i = 0; i < 100; i++)
		evloop_step(p->loop, 10);
	in_back_end(p->rig, check_rings_run);
}

/* Nor is it asked as often as something changes. */
static void
looks_are_limited(void **state)
{
	struct pair *p = *state;
	struct vhost_be_info before, after;
	uint64_t began;

	start_pair(p);
	vhost_be_get_info(p->rig->be, &before);
	for (began = evloop_now_ns(); evloop_now_ns() - began < 500000000;) {
		p->fe->dev->events->config_changed(p->fe->dev->ctx);
		evloop_step(p->loop, 1);
	}
	vhost_be_get_info(p->rig->be, &after);
	assert_uint_in_range(after.messages - before.messages, 2,
			(evloop_now_ns() - began) / 50000000 + 2);
	assert_int_equal(p->downs, 0);
}

static void
lines_are_limited(void **state)
{
	struct pair *p = *state;

	rig_listen(p->rig);
	pair_open(p, false);
	p->log[0] = '\0';
	for (int i = 0; i < 1000; i++)
		vhost_fe_session_log(p->fe, VHOST_LOG_WARNING, "again");
	assert_uint_in_range(lines_with(p->log, "again"), 1, 2 * VHOST_LOG_LINES);
}

#define FE_TEST(fn) cmocka_unit_test_setup_teardown(fn, pair_setup, pair_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		FE_TEST(starts_and_stops),
		FE_TEST(as_many_pairs_as_queues),
		FE_TEST(finds_a_back_end_again),
		FE_TEST(ended_by_the_loop),
		FE_TEST(does_not_start_without_memory),
		FE_TEST(listens_for_back_ends),
		FE_TEST(drives_an_open_device),
		FE_TEST(fails_with_a_reason),
		FE_TEST(keeps_wishes),
		FE_TEST(fits_rss_to_the_device),
		FE_TEST(restarts_are_limited),
		FE_TEST(looks_are_limited),
		FE_TEST(lines_are_limited),
	};

	return cmocka_run_group_tests_name("vhost_fe", tests, NULL, NULL);
}
