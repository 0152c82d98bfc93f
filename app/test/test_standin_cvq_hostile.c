/* SPDX-License-Identifier: BSD-3-Clause */
/* A device that refuses commands, answers nonsense, or not at all: what the port makes of it. */
#include "rig_port.h"

#define RSS_TCP (RTE_ETH_RSS_NONFRAG_IPV4_TCP)
#define ANY 0xff
#define BOTH_ARGS "queues=2,reconnect-ms=10"

static void
feel(struct sport *p, enum standin_mood mood, uint8_t class, uint8_t command)
{
	standin_lock(&p->s);
	p->s.mood = mood;
	p->s.refused[0] = class;
	p->s.refused[1] = command;
	standin_unlock(&p->s);
}

/* Everything that commands depend on. */
static void
open_with(struct sport *p, const char *args)
{
	const struct sport_config c = {
		.args = args,
		.rx_offloads = RTE_ETH_RX_OFFLOAD_VLAN_FILTER,
		.queues = 2,
		.rss = { .rss_hf = RSS_TCP },
	};

	sport_open(p, &c);
}

static void
expect_traffic(struct sport *p)
{
	for (int i = 0; i < 300; i++)
		assert_true(sport_returns(p, mbuf_new(64, 1, SHAPE_LINEAR), 0, 0));
}

/* Ask for one thing of each kind; each ends with this. */
static void
ask_for_all(struct sport *p, int expected)
{
	struct rte_ether_addr mac = { { 2, 0, 0, 0, 0, 0x10 } }, group = { { 1, 2, 3, 4, 5, 6 } };
	struct rte_eth_rss_reta_entry64 reta[STANDIN_RETA / RTE_ETH_RETA_GROUP_SIZE];
	struct rte_eth_rss_conf rss = { .rss_hf = RTE_ETH_RSS_IPV4 };

	memset(reta, 0, sizeof(reta));
	for (unsigned int i = 0; i < RTE_DIM(reta); i++)
		reta[i].mask = UINT64_MAX;
	assert_int_equal(rte_eth_promiscuous_disable(p->id), expected);
	assert_int_equal(rte_eth_allmulticast_disable(p->id), expected);
	assert_int_equal(rte_eth_dev_default_mac_addr_set(p->id, &mac), expected);
	mac.addr_bytes[5]++;
	assert_int_equal(rte_eth_dev_mac_addr_add(p->id, &mac, 0), expected);
	assert_int_equal(rte_eth_dev_set_mc_addr_list(p->id, &group, 1), expected);
	assert_int_equal(rte_eth_dev_vlan_filter(p->id, 7, 1), expected);
	assert_int_equal(rte_eth_dev_rss_hash_update(p->id, &rss), expected);
	assert_int_equal(rte_eth_dev_rss_reta_update(p->id, reta, STANDIN_RETA), expected);
}

/* What the device was told, less the counters of a session. */
static struct standin_wishes
told(struct sport *p)
{
	return SPORT_READ(p, wishes);
}

/*
 * The application learns that it did not get what it asked for. The port does not ask the next
 * device, or this one after a reset, for it either: all is as it was.
 */
static void
refused(struct sport *p, const char *args)
{
	struct standin_wishes before, after;
	struct rte_ether_addr mac;
	uint32_t starts;

	open_with(p, args);
	before = told(p);
	assert_true(before.promisc && before.allmulti && before.hash_types != 0);
	feel(p, STANDIN_REFUSES, ANY, ANY);
	ask_for_all(p, -EIO);
	assert_int_equal(SPORT_READ(p, refusals), 8);
	assert_int_equal(rte_eth_promiscuous_get(p->id), 1);
	assert_int_equal(rte_eth_allmulticast_get(p->id), 1);
	assert_int_equal(rte_eth_macaddr_get(p->id, &mac), 0);
	assert_memory_equal(&mac, p->s.mac.addr_bytes, 6);
	expect_traffic(p);
	feel(p, STANDIN_SERVES, 0, 0);
	starts = SPORT_READ(p, vdpa.starts);
	standin_needs_reset(&p->s);
	assert_true(BECOMES(SPORT_READ(p, vdpa.starts) == starts + 1 && sport_link(p)));
	after = told(p);
	assert_memory_equal(&before, &after, sizeof(before));
	expect_traffic(p);
	/* And it does get it when the device is willing. */
	ask_for_all(p, 0);
	after = told(p);
	assert_false(after.promisc || after.allmulti);
	assert_int_equal(after.nunicast, 1);
	assert_int_equal(after.nmulticast, 1);
	assert_int_equal(after.vlan[0], 1 << 7);
	assert_int_equal(after.hash_types, VIRTIO_NET_RSS_HASH_TYPE_IPv4);
	sport_close(p);
}
BOTH(refused)

/* An answer that is neither yes nor no is not a yes. */
static void
mumbled(struct sport *p, const char *args)
{
	open_with(p, args);
	feel(p, STANDIN_MUMBLES, 0, 0);
	ask_for_all(p, -EIO);
	feel(p, STANDIN_SERVES, 0, 0);
	expect_traffic(p);
	sport_close(p);
}
BOTH(mumbled)

/* A device that refuses what it has to be told first does not get to carry packets. */
static void
refused_at_start(struct sport *p, const char *args)
{
	watch_log();
	feel(p, STANDIN_REFUSES, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_RSS_CONFIG);
	{
		const struct sport_config c = {
			.args = args,
			.queues = 2,
			.rss = { .rss_hf = RSS_TCP },
		};

		sport_create(p, &c);
	}
	assert_int_equal(rte_eth_dev_start(p->id), 0);
	assert_true(BECOMES(SPORT_READ(p, refusals) >= 3));
	assert_false(sport_link(p));
	/* said once, however often it is tried */
	assert_int_equal(heard("control queue: command 4/1 refused"), 1);
	feel(p, STANDIN_SERVES, 0, 0);
	assert_true(BECOMES(sport_link(p)));
	expect_traffic(p);
	sport_close(p);
}
BOTH(refused_at_start)

/* The wait has an end, the user learns why the link is down, and a better device is used. */
static void
unanswered(struct sport *p, const char *args, enum standin_mood mood)
{
	uint64_t began;

	open_with(p, args);
	watch_log();
	feel(p, mood, 0, 0);
	began = evloop_now_ns();
	assert_int_equal(rte_eth_promiscuous_disable(p->id), 0);
	assert_true(evloop_now_ns() - began < SPORT_WAIT_MS * 1000000ull);
	/* The call may return before the control thread has ended the session. */
	assert_true(BECOMES(!sport_link(p)));
	assert_true(BECOMES(heard("session ended: control queue: no answer to command 0/0") == 1));
	feel(p, STANDIN_SERVES, 0, 0);
	assert_true(BECOMES(sport_link(p)));
	/* The device that came back was told. */
	assert_false(told(p).promisc);
	assert_true(told(p).allmulti);
	sport_close(p);
}

static void
silent(struct sport *p, const char *args)
{
	unanswered(p, args, STANDIN_SILENT);
}
BOTH(silent)

static void
lying(struct sport *p, const char *args)
{
	unanswered(p, args, STANDIN_LIES);
}
BOTH(lying)

/* Announcements that nobody lets the port acknowledge end the session, and are not endless. */
static void
unheard(struct sport *p, const char *args)
{
	watch_log();
	open_with(p, args);
	feel(p, STANDIN_REFUSES, VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK);
	standin_ask_announce(&p->s);
	assert_true(BECOMES(SPORT_READ(p, refusals) >= 1));
	feel(p, STANDIN_SERVES, 0, 0);
	assert_true(BECOMES(sport_link(p) && SPORT_READ(p, vdpa.config.status) ==
			    VIRTIO_NET_S_LINK_UP));
	sport_close(p);
}
BOTH(unheard)

/* Without a control queue: filters are the application's business, an address cannot be had. */
static void
without(struct sport *p, const char *args)
{
	struct rte_ether_addr mac = { { 2, 0, 0, 0, 0, 0x10 } }, group = { { 1, 2, 3, 4, 5, 6 } };
	const struct sport_config c = { .args = args };

	p->s.vdpa.features &= ~VIRTQ_BIT(VIRTIO_NET_F_CTRL_VQ);
	sport_open(p, &c);
	assert_int_equal(SPORT_READ(p, vdpa.acked) & VIRTQ_BIT(VIRTIO_NET_F_CTRL_RX), 0);
	assert_int_equal(rte_eth_promiscuous_disable(p->id), 0);
	assert_int_equal(rte_eth_allmulticast_enable(p->id), 0);
	assert_int_equal(rte_eth_dev_set_mc_addr_list(p->id, &group, 1), 0);
	assert_int_equal(rte_eth_dev_mac_addr_add(p->id, &mac, 0), 0);
	mac.addr_bytes[5]++;
	assert_int_equal(rte_eth_dev_default_mac_addr_set(p->id, &mac), -ENOTSUP);
	expect_traffic(p);
	sport_close(p);
}
BOTH(without)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(refused),
		BOTH_TESTS(mumbled),
		BOTH_TESTS(refused_at_start),
		BOTH_TESTS(silent),
		BOTH_TESTS(lying),
		BOTH_TESTS(unheard),
		BOTH_TESTS(without),
	};

	return cmocka_run_group_tests_name("standin_cvq_hostile", tests, sport_group_setup,
					   sport_group_teardown);
}
