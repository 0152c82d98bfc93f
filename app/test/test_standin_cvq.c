/* SPDX-License-Identifier: BSD-3-Clause */
/* The control queue of a port, served by the stand-in: what the application asks for happens. */
#include "rig_device_known.h"
#include "rig_port.h"

#define OFFLOADS (RTE_ETH_RX_OFFLOAD_VLAN_FILTER | RTE_ETH_RX_OFFLOAD_SCATTER)
#define RSS_TCP (RTE_ETH_RSS_NONFRAG_IPV4_TCP)

#define BOTH_ARGS "queues=2"

static const struct rte_ether_addr own = { { 2, 0, 0, 0, 0, 7 } };
static const struct rte_ether_addr other = { { 2, 0, 0, 0, 0, 8 } };
static const struct rte_ether_addr third = { { 2, 0, 0, 0, 0, 9 } };
static const struct rte_ether_addr group = { { 1, 0, 0x5e, 0, 0, 1 } };
static const struct rte_ether_addr group2 = { { 1, 0, 0x5e, 0, 0, 2 } };

/* 64 bytes for an address; tag 0: none. */
static struct rte_mbuf *
frame_to(const struct rte_ether_addr *dst, uint16_t tag)
{
	const uint8_t vlan[4] = { 0x81, 0, (uint8_t)(tag >> 8), (uint8_t)tag };
	struct rte_mbuf *m = mbuf_new(64, 1, SHAPE_LINEAR);

	memcpy(rte_pktmbuf_mtod(m, void *), dst, sizeof(*dst));
	if (tag != 0)
		memcpy(rte_pktmbuf_mtod_offset(m, void *, 12), vlan, sizeof(vlan));
	return m;
}

static bool
reaches(struct sport *p, const struct rte_ether_addr *dst, uint16_t tag)
{
	return sport_returns(p, frame_to(dst, tag), 0, 0);
}

static void
open_with(struct sport *p, const char *args)
{
	const struct sport_config c = { .args = args, .rx_offloads = OFFLOADS };

	sport_open(p, &c);
	assert_int_equal(rte_eth_promiscuous_disable(p->id), 0);
	assert_int_equal(rte_eth_allmulticast_disable(p->id), 0);
}

/* The device is reset, and is to be told all again. */
static void
restart(struct sport *p)
{
	uint32_t resets = SPORT_READ(p, vdpa.resets);

	assert_int_equal(rte_eth_dev_stop(p->id), 0);
	assert_true(SPORT_READ(p, vdpa.resets) > resets);
	assert_int_equal(rte_eth_dev_start(p->id), 0);
	assert_true(sport_link(p));
}

static void
address(struct sport *p, const char *args)
{
	struct rte_ether_addr mac = other;

	open_with(p, args);
	assert_int_equal(rte_eth_macaddr_get(p->id, &mac), 0);
	assert_true(rte_is_same_ether_addr(&mac, &own));
	assert_true(reaches(p, &own, 0));
	assert_false(reaches(p, &other, 0));
	mac = other;
	assert_int_equal(rte_eth_dev_default_mac_addr_set(p->id, &mac), 0);
	for (int i = 0; i < 2; i++) {
		assert_memory_equal(SPORT_READ(p, vdpa).config.mac, &other, 6);
		assert_false(reaches(p, &own, 0));
		assert_true(reaches(p, &other, 0));
		restart(p);
	}
	sport_close(p);
}
BOTH(address)

static void
addresses(struct sport *p, const char *args)
{
	struct rte_ether_addr mac = other, list[2] = { group, group2 };

	open_with(p, args);
	assert_int_equal(rte_eth_dev_mac_addr_add(p->id, &mac, 0), 0);
	mac = third;
	assert_int_equal(rte_eth_dev_mac_addr_add(p->id, &mac, 0), 0);
	assert_false(reaches(p, &group, 0));
	assert_int_equal(rte_eth_dev_set_mc_addr_list(p->id, list, 2), 0);
	for (int i = 0; i < 2; i++) {
		assert_true(reaches(p, &own, 0));
		assert_true(reaches(p, &other, 0));
		assert_true(reaches(p, &third, 0));
		assert_true(reaches(p, &group, 0));
		assert_true(reaches(p, &group2, 0));
		restart(p);
	}
	assert_int_equal(rte_eth_dev_mac_addr_remove(p->id, &mac), 0);
	assert_false(reaches(p, &third, 0));
	assert_true(reaches(p, &other, 0));
	assert_int_equal(rte_eth_dev_set_mc_addr_list(p->id, list, 1), 0);
	assert_true(reaches(p, &group, 0));
	assert_false(reaches(p, &group2, 0));
	assert_int_equal(rte_eth_dev_set_mc_addr_list(p->id, NULL, 0), 0);
	assert_false(reaches(p, &group, 0));
	sport_close(p);
}
BOTH(addresses)

static void
modes(struct sport *p, const char *args)
{
	open_with(p, args);
	assert_false(reaches(p, &group, 0));
	assert_int_equal(rte_eth_allmulticast_enable(p->id), 0);
	for (int i = 0; i < 2; i++) {
		assert_true(reaches(p, &group, 0));
		assert_false(reaches(p, &other, 0));
		restart(p);
	}
	assert_int_equal(rte_eth_allmulticast_disable(p->id), 0);
	assert_int_equal(rte_eth_promiscuous_enable(p->id), 0);
	for (int i = 0; i < 2; i++) {
		assert_true(reaches(p, &group, 0));
		assert_true(reaches(p, &other, 0));
		restart(p);
	}
	sport_close(p);
}
BOTH(modes)

static void
vlans(struct sport *p, const char *args)
{
	open_with(p, args);
	assert_true(reaches(p, &own, 0));
	assert_false(reaches(p, &own, 5));
	assert_int_equal(rte_eth_dev_vlan_filter(p->id, 5, 1), 0);
	assert_int_equal(rte_eth_dev_vlan_filter(p->id, 4095, 1), 0);
	for (int i = 0; i < 2; i++) {
		assert_true(reaches(p, &own, 5));
		assert_true(reaches(p, &own, 4095));
		assert_false(reaches(p, &own, 6));
		restart(p);
	}
	assert_int_equal(rte_eth_dev_vlan_filter(p->id, 5, 0), 0);
	assert_false(reaches(p, &own, 5));
	assert_true(reaches(p, &own, 4095));
	sport_close(p);
}
BOTH(vlans)

/* As many pairs as the application has queues. */
static void
pairs(struct sport *p, const char *args)
{
	struct sport_config c = { .args = args, .rx_offloads = OFFLOADS, .queues = 2 };

	sport_open(p, &c);
	assert_int_equal(SPORT_READ(p, wishes).pairs, 2);
	for (uint16_t q = 0; q < 2; q++)
		for (int i = 0; i < 600; i++)
			assert_true(sport_returns(p, frame_to(&own, 0), q, q));
	assert_int_equal(rte_eth_dev_stop(p->id), 0);
	c.queues = 1;
	sport_configure(p, &c);
	assert_int_equal(rte_eth_dev_start(p->id), 0);
	assert_int_equal(SPORT_READ(p, wishes).pairs, 1);
	assert_true(reaches(p, &own, 0));
	sport_close(p);
}
BOTH(pairs)

static struct rte_mbuf *
known_flow(uint8_t proto)
{
	static const uint8_t packet[] = {
		0x45, 0, 0, 50, 0, 0, 0, 0, 64, 0, 0, 0, 66, 9, 149, 187, 161, 142, 100, 80,
		0x0a, 0xea, 0x06, 0xe6,
	};
	struct rte_mbuf *m = frame_to(&own, 0);
	uint8_t *data = rte_pktmbuf_mtod(m, uint8_t *);

	memcpy(data + 12, "\x08\0", 2);
	memcpy(data + 14, packet, sizeof(packet));
	data[14 + 9] = proto;
	return m;
}

/* A table whose only entry for queue 1 is that of a hash. */
static void
aim(struct sport *p, uint32_t hash)
{
	struct rte_eth_rss_reta_entry64 reta[STANDIN_RETA / RTE_ETH_RETA_GROUP_SIZE];
	const uint32_t at = hash % STANDIN_RETA;

	memset(reta, 0, sizeof(reta));
	for (unsigned int i = 0; i < RTE_DIM(reta); i++)
		reta[i].mask = UINT64_MAX;
	reta[at / RTE_ETH_RETA_GROUP_SIZE].reta[at % RTE_ETH_RETA_GROUP_SIZE] = 1;
	assert_int_equal(rte_eth_dev_rss_reta_update(p->id, reta, STANDIN_RETA), 0);
}

static void
steering(struct sport *p, const char *args)
{
	struct sport_config c = {
		.args = args,
		.rx_offloads = OFFLOADS,
		.queues = 2,
		.rss = { .rss_key = known_key, .rss_key_len = STANDIN_KEY, .rss_hf = RSS_TCP },
	};
	struct rte_eth_rss_conf update = { .rss_hf = RTE_ETH_RSS_IPV4 };
	struct rte_eth_dev_info info;

	sport_open(p, &c);
	assert_int_equal(rte_eth_dev_info_get(p->id, &info), 0);
	assert_int_equal(info.reta_size, STANDIN_RETA);
	assert_int_equal(info.hash_key_size, STANDIN_KEY);
	aim(p, HASH_PORTS);
	for (int i = 0; i < 2; i++) {
		assert_true(sport_returns(p, known_flow(IPPROTO_TCP), 0, 1));
		assert_true(sport_returns(p, known_flow(IPPROTO_TCP), 1, 1));
		/* no hash of it was asked for */
		assert_true(sport_returns(p, known_flow(IPPROTO_UDP), 1, 0));
		restart(p);
	}
	aim(p, HASH_ADDRS);
	assert_true(sport_returns(p, known_flow(IPPROTO_TCP), 0, 0));
	assert_int_equal(rte_eth_dev_rss_hash_update(p->id, &update), 0);
	assert_true(sport_returns(p, known_flow(IPPROTO_TCP), 0, 1));
	assert_true(sport_returns(p, known_flow(IPPROTO_UDP), 0, 1));
	known_key[0] ^= 0x80; /* bit 0 of the addresses' 0x42 is 0, bit 1 is set */
	known_key[1] ^= 0xff;
	update.rss_key = known_key;
	update.rss_key_len = STANDIN_KEY;
	assert_int_equal(rte_eth_dev_rss_hash_update(p->id, &update), 0);
	assert_memory_equal(SPORT_READ(p, wishes).key, known_key, STANDIN_KEY);
	known_key[0] ^= 0x80;
	known_key[1] ^= 0xff;
	sport_close(p);
}
BOTH(steering)

/* VIRTIO 1.2, 5.1.6.5.4: the port says where it is, and that it did. */
static void
announcement(struct sport *p, const char *args)
{
	struct rte_mbuf *m;

	open_with(p, args);
	for (uint32_t i = 1; i <= 3; i++) {
		standin_ask_announce(&p->s);
		m = sport_receive(p, 0);
		assert_non_null(m);
		assert_memory_equal(mbuf_bytes(m), "\xff\xff\xff\xff\xff\xff", 6);
		assert_memory_equal(mbuf_bytes(m) + 6, &own, 6);
		assert_memory_equal(mbuf_bytes(m) + 12, "\x80\x35", 2);
		rte_pktmbuf_free(m);
		assert_true(BECOMES(SPORT_READ(p, commands[3][0]) == i));
		assert_int_equal(SPORT_READ(p, vdpa).config.status, VIRTIO_NET_S_LINK_UP);
		assert_int_equal(SPORT_READ(p, refusals), 0);
		assert_true(reaches(p, &own, 0));
	}
	sport_close(p);
}
BOTH(announcement)

/* Commands, like packets, come with a kick to a device that waits for one. */
static void
kicked(struct sport *p, const char *args)
{
	SPORT_WRITE(p, sleeps, true);
	open_with(p, args);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(rte_eth_allmulticast_enable(p->id), 0);
		assert_true(reaches(p, &group, 0));
		assert_int_equal(rte_eth_allmulticast_disable(p->id), 0);
		assert_false(reaches(p, &group, 0));
	}
	assert_int_equal(SPORT_READ(p, missed), 0);
	assert_true(SPORT_READ(p, naps) >= 20);
	sport_close(p);
}
BOTH(kicked)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(address),
		BOTH_TESTS(addresses),
		BOTH_TESTS(modes),
		BOTH_TESTS(vlans),
		BOTH_TESTS(pairs),
		BOTH_TESTS(steering),
		BOTH_TESTS(announcement),
		BOTH_TESTS(kicked),
	};

	return cmocka_run_group_tests_name("standin_cvq", tests, sport_group_setup,
					   sport_group_teardown);
}
