/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an application can ask of a port beyond packets, of either role: two ports of this process
 * are the two ends of one connection.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_dev_info.h>

#include "rig_device_known.h"
#include "rig_port.h"
#include "vhu_msg.h"
#include "vring_regs.h"
#include "vring_stats.h"

#define QUEUES 2
#define WORDS(pairs) (VRING_REGS_PORT_WORDS + 2 * (pairs) * VRING_REGS_RING_WORDS)

struct ends {
	char dir[32];
	bool packed;
	uint16_t be, fe;
};

static uint16_t
make_port(const char *name, const char *args, uint64_t rx_offloads)
{
	const struct rte_eth_conf conf = { .rxmode.offloads = rx_offloads };
	uint16_t id;

	assert_int_equal(rte_vdev_init(name, args), 0);
	assert_int_equal(rte_eth_dev_get_port_by_name(name, &id), 0);
	assert_int_equal(rte_eth_dev_configure(id, QUEUES, QUEUES, &conf), 0);
	for (uint16_t i = 0; i < QUEUES; i++) {
		assert_int_equal(rte_eth_rx_queue_setup(id, i, 256, 0, NULL, small_pool), 0);
		assert_int_equal(rte_eth_tx_queue_setup(id, i, 256, 0, NULL), 0);
	}
	return id;
}

static bool
link_is_up(uint16_t id)
{
	struct rte_eth_link link;

	assert_int_equal(rte_eth_link_get_nowait(id, &link), 0);
	return link.link_status == RTE_ETH_LINK_UP;
}

static void
make_ends(struct ends *e, uint64_t rx_offloads)
{
	char args[128];

	snprintf(args, sizeof(args), "iface=%s/s,queues=%u", e->dir, QUEUES);
	e->be = make_port("net_vring0", args, rx_offloads);
	snprintf(args, sizeof(args), "path=%s/s,queues=%u,queue_size=128,packed_vq=%d", e->dir,
		 QUEUES, e->packed);
	e->fe = make_port("net_vring1", args, rx_offloads);
	assert_int_equal(rte_eth_dev_start(e->be), 0);
	assert_int_equal(rte_eth_dev_start(e->fe), 0);
	assert_true(BECOMES(link_is_up(e->be) && link_is_up(e->fe)));
}

static int
ends_setup(void **state)
{
	struct ends *e = calloc(1, sizeof(*e));

	strcpy(e->dir, "/tmp/vring-ends-XXXXXX");
	*state = e;
	return mkdtemp(e->dir) == NULL ? -1 : 0;
}

static int
ends_setup_packed(void **state)
{
	int rc = ends_setup(state);

	((struct ends *)*state)->packed = true;
	return rc;
}

static int
ends_teardown(void **state)
{
	struct ends *e = *state;
	uint16_t id;

	for (int i = 1; i >= 0; i--) {
		const char *name = i == 1 ? "net_vring1" : "net_vring0";

		if (rte_eth_dev_get_port_by_name(name, &id) != 0)
			continue;
		rte_eth_dev_stop(id);
		assert_int_equal(rte_vdev_uninit(name), 0);
	}
	sport_idle();
	rmdir(e->dir);
	free(e);
	expect_all_mbufs();
	return 0;
}

static struct rte_mbuf *
frame_of(const uint8_t *behind, uint32_t len)
{
	uint8_t data[80];

	frame_fill(data, sizeof(data), 0);
	memset(data + 12, 0, sizeof(data) - 12);
	memcpy(data + 12, behind, len);
	return mbuf_of(data, sizeof(data), SHAPE_LINEAR);
}

/* A packet from one port to the other. */
static struct rte_mbuf *
carried(uint16_t from, uint16_t to, uint16_t queue, struct rte_mbuf *m)
{
	struct rte_mbuf *got;

	assert_true(BECOMES(rte_eth_tx_burst(from, queue, &m, 1) == 1));
	assert_true(BECOMES(rte_eth_rx_burst(to, queue, &got, 1) == 1));
	return got;
}

/* Of UDP, to a port or none. */
static uint32_t
type_of_udp(uint16_t from, uint16_t to, uint16_t udp_port)
{
	const uint8_t udp[] = {0x08, 0, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, IPPROTO_UDP,
			       [24] = udp_port >> 8, udp_port & 255};
	struct rte_mbuf *m = carried(from, to, 0, frame_of(udp, sizeof(udp)));
	const uint32_t type = m->packet_type;

	rte_pktmbuf_free(m);
	return type;
}

static uint32_t
type_of(uint16_t from, uint16_t to)
{
	return type_of_udp(from, to, 0);
}

#define IS_UDP (RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4 | RTE_PTYPE_L4_UDP)

/* The tunnels that the release sees in UDP are among the types that the port lists. */
static void
tunnels_of_port(uint16_t from, uint16_t to)
{
	static const uint16_t ports[] = {4789, 4790, 6081, 2123, 2152};
	uint32_t types[64];
	const int n = rte_eth_dev_get_supported_ptypes(to, RTE_PTYPE_TUNNEL_MASK, types,
						       RTE_DIM(types));

	for (unsigned int i = 0; i < RTE_DIM(ports); i++) {
		const uint32_t type = type_of_udp(from, to, ports[i]);
		bool listed = type == IS_UDP;

		for (int k = 0; k < n && !listed; k++)
			listed = types[k] == (type & RTE_PTYPE_TUNNEL_MASK);
		assert_true(listed);
	}
}

/* Who does not ask for types has none; who asks which there are has them; and who says, those. */
static void
types_of_port(uint16_t from, uint16_t to)
{
	uint32_t types[64], set[8];
	int n;

	assert_int_equal(type_of(from, to), RTE_PTYPE_UNKNOWN);
	n = rte_eth_dev_get_supported_ptypes(to, RTE_PTYPE_L4_MASK, types, RTE_DIM(types));
	assert_int_equal(n, 4);
	assert_int_equal(type_of(from, to), IS_UDP);
	tunnels_of_port(from, to);
	assert_int_equal(rte_eth_dev_set_ptypes(to, RTE_PTYPE_L3_MASK, set, RTE_DIM(set)), 0);
	assert_int_equal(set[0], RTE_PTYPE_L3_IPV4);
	assert_int_equal(type_of(from, to), RTE_PTYPE_L3_IPV4);
	/* It has chosen: a question changes nothing any more. */
	assert_int_equal(rte_eth_dev_set_ptypes(to, 0, NULL, 0), 0);
	assert_int_equal(type_of(from, to), RTE_PTYPE_UNKNOWN);
	assert_true(rte_eth_dev_get_supported_ptypes(to, RTE_PTYPE_ALL_MASK, types,
						     RTE_DIM(types)) > 20);
	assert_int_equal(type_of(from, to), RTE_PTYPE_UNKNOWN);
	/* The choice is the port's, not that of queues. */
	assert_int_equal(rte_eth_dev_set_ptypes(to, RTE_PTYPE_L2_MASK, NULL, 0), 0);
	assert_int_equal(rte_eth_dev_stop(to), 0);
	assert_int_equal(rte_eth_rx_queue_setup(to, 0, 256, 0, NULL, small_pool), 0);
	assert_int_equal(rte_eth_dev_start(to), 0);
	assert_true(BECOMES(link_is_up(to) && link_is_up(from)));
	assert_int_equal(type_of(from, to), RTE_PTYPE_L2_ETHER);
}

static void
ptypes(void **state)
{
	struct ends *e = *state;

	make_ends(e, 0);
	types_of_port(e->fe, e->be);
	types_of_port(e->be, e->fe);
}

static void
read_regs(uint16_t id, uint32_t *word, uint32_t n)
{
	struct rte_dev_reg_info info = { .data = NULL };

	assert_int_equal(rte_eth_dev_get_reg_info(id, &info), 0);
	assert_int_equal(info.length, n);
	assert_int_equal(info.width, 4);
	assert_int_equal(info.version, VRING_REGS_VERSION);
	info.data = word;
	memset(word, 0xa5, n * sizeof(*word));
	assert_int_equal(rte_eth_dev_get_reg_info(id, &info), 0);
	assert_int_equal(word[VRING_REGS_VRINGS],
			 (n - VRING_REGS_PORT_WORDS) / VRING_REGS_RING_WORDS);
}

static const uint32_t *
ring_regs(const uint32_t *word, unsigned int qid)
{
	return word + VRING_REGS_PORT_WORDS + qid * VRING_REGS_RING_WORDS;
}

/* Of a connected pair, before and after packets; the two ends count alike. */
static void
registers(void **state)
{
	static const uint8_t plain[] = {0x88, 0xb5};
	struct ends *e = *state;
	uint32_t be[WORDS(2 * QUEUES + 1)], fe[WORDS(QUEUES)];
	const uint32_t runs = VRING_REGS_R_RUNS | VRING_REGS_R_ENABLED |
			      (e->packed ? VRING_REGS_R_PACKED : 0);
	const uint32_t up = VRING_REGS_S_LINK | VRING_REGS_S_CONNECTED | VRING_REGS_S_STARTED;

	make_ends(e, 0);
	for (unsigned int i = 0; i < 3; i++)
		rte_pktmbuf_free(carried(e->fe, e->be, 1, frame_of(plain, sizeof(plain))));
	read_regs(e->be, be, RTE_DIM(be));
	read_regs(e->fe, fe, RTE_DIM(fe));
	assert_int_equal(be[VRING_REGS_ROLE], 0);
	assert_int_equal(fe[VRING_REGS_ROLE], 1);
	assert_int_equal(be[VRING_REGS_STATE], up);
	assert_int_equal(fe[VRING_REGS_STATE], up);
	/* The other bit is one of messages alone. */
	assert_int_equal((be[VRING_REGS_FEATURES_LO] ^ fe[VRING_REGS_FEATURES_LO]) &
			 ~(1u << VHOST_USER_F_PROTOCOL_FEATURES), 0);
	assert_int_equal(be[VRING_REGS_FEATURES_HI] >> (VIRTIO_F_RING_PACKED - 32) & 1, e->packed);
	assert_int_not_equal(be[VRING_REGS_FEATURES_LO] & 1u << VIRTIO_NET_F_MRG_RXBUF, 0);
	assert_int_not_equal(fe[VRING_REGS_DEVICE_STATUS] & VIRTIO_CONFIG_S_DRIVER_OK, 0);
	for (unsigned int qid = 0; qid < 2 * QUEUES; qid++) {
		assert_int_equal(ring_regs(be, qid)[VRING_REGS_RING_STATE], runs);
		assert_int_equal(ring_regs(fe, qid)[VRING_REGS_RING_STATE], runs);
		assert_int_equal(ring_regs(be, qid)[VRING_REGS_RING_SIZE], 128);
		assert_int_equal(ring_regs(fe, qid)[VRING_REGS_RING_SIZE], 128);
	}
	assert_int_equal(ring_regs(be, 3)[VRING_REGS_RING_AVAIL] & 0x7fff, 3);
	assert_int_equal(ring_regs(fe, 3)[VRING_REGS_RING_AVAIL],
			 ring_regs(be, 3)[VRING_REGS_RING_AVAIL]);
	assert_int_equal(ring_regs(be, 4)[VRING_REGS_RING_STATE], 0);
	assert_int_equal(ring_regs(be, 4)[VRING_REGS_RING_SIZE], 0);
}

/* Some of the registers, and more than there are. */
static void
registers_in_part(void **state)
{
	struct ends *e = *state;
	uint32_t all[WORDS(QUEUES)], some[3] = {1, 2, 3};
	struct rte_dev_reg_info info = { .data = some, .offset = 2, .length = 2 };

	make_ends(e, 0);
	read_regs(e->fe, all, RTE_DIM(all));
	assert_int_equal(rte_eth_dev_get_reg_info(e->fe, &info), 0);
	assert_memory_equal(some, &all[2], 2 * sizeof(all[0]));
	assert_int_equal(some[2], 3);
	info.offset = RTE_DIM(all) - 1;
	assert_int_equal(rte_eth_dev_get_reg_info(e->fe, &info), -EINVAL);
	info.offset = UINT32_MAX;
	assert_int_equal(rte_eth_dev_get_reg_info(e->fe, &info), -EINVAL);
	info = (struct rte_dev_reg_info){ .data = some, .offset = RTE_DIM(all) - 3 };
	assert_int_equal(rte_eth_dev_get_reg_info(e->fe, &info), 0);
	assert_int_equal(info.length, 3);
}

/* What a dump of descriptors prints. */
static void
dumped(char *text, size_t size, uint16_t id, bool rx, uint16_t queue, uint16_t from, uint16_t num)
{
	FILE *f = fmemopen(text, size, "w");
	int rc;

	assert_non_null(f);
	if (rx)
		rc = rte_eth_rx_descriptor_dump(id, queue, from, num, f);
	else
		rc = rte_eth_tx_descriptor_dump(id, queue, from, num, f);
	assert_int_equal(rc, 0);
	assert_int_equal(fclose(f), 0);
}

static unsigned int
lines_of(const char *text)
{
	unsigned int n = 0;

	for (; *text != '\0'; text++)
		n += *text == '\n';
	return n;
}

/* Indexes, and as many descriptors as were asked for and are there. */
static void
descriptors(void **state)
{
	static const uint8_t plain[] = {0x88, 0xb5};
	struct ends *e = *state;
	char text[16384];
	struct rte_mbuf *m;

	make_ends(e, 0);
	for (unsigned int i = 0; i < 5; i++)
		rte_pktmbuf_free(carried(e->fe, e->be, 1, frame_of(plain, sizeof(plain))));
	m = frame_of(plain, sizeof(plain));
	assert_int_equal(rte_eth_tx_burst(e->fe, 1, &m, 1), 1);
	/* The packet that waits is the next one, in entry 5: 12 bytes of header, 80 of data. */
	dumped(text, sizeof(text), e->be, true, 1, 0, 1);
	assert_non_null(strstr(text, e->packed ?
			       "vring 3: packed, 128 entries, here 5 wrap 1" :
			       "vring 3: split, 128 entries, available 6, used 5"));
	assert_non_null(strstr(text, "\n  5: "));
	assert_non_null(strstr(text, "len 92"));
	assert_int_equal(lines_of(text), 2);
	dumped(text, sizeof(text), e->be, true, 1, 122, 2);
	assert_non_null(strstr(text, "\n  127: "));
	assert_non_null(strstr(text, "\n  0: "));
	for (unsigned int i = 0; i < 4; i++) {
		dumped(text, sizeof(text), i < 2 ? e->be : e->fe, i % 2, 0, 1, 8);
		assert_int_equal(lines_of(text), 9);
	}
	dumped(text, sizeof(text), e->fe, true, 0, 120, UINT16_MAX);
	assert_int_equal(lines_of(text), 9);
	dumped(text, sizeof(text), e->fe, false, 0, UINT16_MAX, UINT16_MAX);
	assert_int_equal(lines_of(text), 1);
	assert_int_equal(rte_eth_rx_burst(e->be, 1, &m, 1), 1);
	rte_pktmbuf_free(m);
	assert_int_equal(rte_eth_dev_stop(e->fe), 0);
	assert_true(BECOMES(!link_is_up(e->be)));
	dumped(text, sizeof(text), e->fe, true, 0, 0, 8);
	assert_string_equal(text, "no ring\n");
}

static struct vring_compat_queue_stats
queue_stats(uint16_t port)
{
	struct vring_compat_queue_stats queues = {0};
	struct rte_eth_stats st = {0};

	assert_int_equal(vring_stats_get(&rte_eth_devices[port], &st, &queues), 0);
	return queues;
}

/* Counters add up what the queues count that are mapped to them. */
static void
counters(void **state)
{
	static const uint8_t plain[] = {0x88, 0xb5};
	struct ends *e = *state;
	struct vring_compat_queue_stats st;
	struct rte_eth_stats all;

	make_ends(e, 0);
	for (uint16_t i = 0; i < 5; i++)
		rte_pktmbuf_free(carried(e->fe, e->be, i % 2, frame_of(plain, sizeof(plain))));
	st = queue_stats(e->be);
	assert_int_equal(st.q_ipackets[0], 3);
	assert_int_equal(st.q_ipackets[1], 2);
	assert_int_equal(vring_stats_map(&rte_eth_devices[e->be], 0, 7, true), 0);
	assert_int_equal(vring_stats_map(&rte_eth_devices[e->be], 1, 7, true), 0);
	assert_int_equal(vring_stats_map(&rte_eth_devices[e->fe], 1, 0, false), 0);
	st = queue_stats(e->be);
	assert_int_equal(st.q_ipackets[0], 0);
	assert_int_equal(st.q_ipackets[1], 0);
	assert_int_equal(st.q_ipackets[7], 5);
	assert_int_equal(st.q_ibytes[7], 5 * 80);
	assert_int_equal(rte_eth_stats_get(e->be, &all), 0);
	assert_int_equal(all.ipackets, 5);
	st = queue_stats(e->fe);
	assert_int_equal(st.q_opackets[0], 5);
	assert_int_equal(st.q_opackets[1], 0);
	assert_int_equal(vring_stats_map(&rte_eth_devices[e->be], 0, RTE_ETHDEV_QUEUE_STAT_CNTRS,
					 true), -EINVAL);
}

/* Send a frame of each of three kinds; returns those that arrive, as bits. */
static unsigned int
arrive(uint16_t from, uint16_t to)
{
	static const uint8_t kinds[3][6] = {
		{0x88, 0xb5, 0, 0}, {0x81, 0, 0, 7, 0x88, 0xb5}, {0x81, 0, 0x20, 8, 0x88, 0xb5},
	};
	static const uint8_t last[] = {0x88, 0xb6};
	unsigned int which = 0;
	struct rte_mbuf *m;
	const uint8_t *data;

	for (unsigned int i = 0; i < RTE_DIM(kinds); i++) {
		m = frame_of(kinds[i], sizeof(kinds[i]));
		assert_int_equal(rte_eth_tx_burst(from, 0, &m, 1), 1);
	}
	m = frame_of(last, sizeof(last));
	assert_int_equal(rte_eth_tx_burst(from, 0, &m, 1), 1);
	for (bool over = false; !over;) {
		assert_true(BECOMES(rte_eth_rx_burst(to, 0, &m, 1) == 1));
		data = rte_pktmbuf_mtod(m, const uint8_t *);
		over = data[13] == last[1];
		for (unsigned int i = 0; i < RTE_DIM(kinds); i++)
			which |= memcmp(data + 12, kinds[i], 4) == 0 ? 1u << i : 0;
		rte_pktmbuf_free(m);
	}
	return which;
}

/* The set of VLANs, and whether it is in force, change while the port runs. */
static void
vlans_of_port(uint16_t from, uint16_t to)
{
	struct rte_eth_stats st;
	const int mode = rte_eth_dev_get_vlan_offload(to);

	assert_int_equal(arrive(from, to), 1);
	assert_int_equal(rte_eth_dev_vlan_filter(to, 8, 1), 0);
	assert_int_equal(arrive(from, to), 5);
	assert_int_equal(rte_eth_dev_vlan_filter(to, 7, 1), 0);
	assert_int_equal(arrive(from, to), 7);
	assert_int_equal(rte_eth_dev_vlan_filter(to, 8, 0), 0);
	assert_int_equal(arrive(from, to), 3);
	assert_int_equal(rte_eth_dev_set_vlan_offload(to, mode & ~RTE_ETH_VLAN_FILTER_OFFLOAD), 0);
	assert_int_equal(arrive(from, to), 7);
	assert_int_equal(rte_eth_dev_set_vlan_offload(to, mode), 0);
	assert_int_equal(arrive(from, to), 3);
	assert_int_equal(watch_xstat(to, "rx_q0_vlan_dropped"), 2 + 1 + 0 + 1 + 0 + 1);
	assert_int_equal(rte_eth_stats_get(to, &st), 0);
	assert_int_equal(st.ierrors + st.imissed, 0);
	assert_int_equal(st.ipackets, 6 * 4 - 5);
}

static void
vlans(void **state)
{
	struct ends *e = *state;

	make_ends(e, RTE_ETH_RX_OFFLOAD_VLAN_FILTER);
	vlans_of_port(e->fe, e->be);
	vlans_of_port(e->be, e->fe);
}

static uint32_t
hash_of(uint16_t from, uint16_t to)
{
	static const uint8_t tcp[] = {
		0x08, 0, 0x45, 0, 0, 60, 0, 0, 0, 0, 64, IPPROTO_TCP, 0, 0,
		66, 9, 149, 187, 161, 142, 100, 80, 0x0a, 0xea, 0x06, 0xe6,
	};
	struct rte_mbuf *m = carried(from, to, 0, frame_of(tcp, sizeof(tcp)));
	const uint32_t hash = m->ol_flags & RTE_MBUF_F_RX_RSS_HASH ? m->hash.rss : 0;

	rte_pktmbuf_free(m);
	return hash;
}

/* A back-end tells hashes; which, and under which key, changes while it runs. */
static void
hashes(void **state)
{
	struct rte_eth_conf conf = {
		.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS,
		.rxmode.offloads = RTE_ETH_RX_OFFLOAD_RSS_HASH,
		.rx_adv_conf.rss_conf.rss_hf = RTE_ETH_RSS_NONFRAG_IPV4_TCP,
	};
	struct rte_eth_rss_conf rss = { .rss_key = known_key, .rss_key_len = sizeof(known_key),
					.rss_hf = RTE_ETH_RSS_NONFRAG_IPV4_TCP };
	struct ends *e = *state;
	uint8_t key[64];
	uint32_t first;

	make_ends(e, 0);
	assert_int_equal(hash_of(e->fe, e->be), 0);
	assert_int_equal(rte_eth_dev_stop(e->be), 0);
	assert_int_equal(rte_eth_dev_configure(e->be, QUEUES, QUEUES, &conf), 0);
	for (uint16_t i = 0; i < QUEUES; i++) {
		assert_int_equal(rte_eth_rx_queue_setup(e->be, i, 256, 0, NULL, small_pool), 0);
		assert_int_equal(rte_eth_tx_queue_setup(e->be, i, 256, 0, NULL), 0);
	}
	assert_int_equal(rte_eth_dev_start(e->be), 0);
	assert_true(BECOMES(link_is_up(e->be)));
	first = hash_of(e->fe, e->be);
	assert_int_not_equal(first, 0);
	assert_int_equal(rte_eth_dev_rss_hash_update(e->be, &rss), 0);
	assert_int_equal(hash_of(e->fe, e->be), HASH_PORTS);
	rss = (struct rte_eth_rss_conf){ .rss_hf = RTE_ETH_RSS_IPV4 };
	assert_int_equal(rte_eth_dev_rss_hash_update(e->be, &rss), 0);
	assert_int_equal(hash_of(e->fe, e->be), HASH_ADDRS);
	rss = (struct rte_eth_rss_conf){ .rss_key = key, .rss_key_len = sizeof(key) };
	assert_int_equal(rte_eth_dev_rss_hash_conf_get(e->be, &rss), 0);
	assert_int_equal(rss.rss_key_len, sizeof(known_key));
	assert_memory_equal(key, known_key, sizeof(known_key));
	assert_true(rss.rss_hf & RTE_ETH_RSS_IPV4);
	assert_false(rss.rss_hf & RTE_ETH_RSS_NONFRAG_IPV4_TCP);
	rss = (struct rte_eth_rss_conf){ .rss_key = key, .rss_key_len = 16,
					 .rss_hf = RTE_ETH_RSS_IPV4 };
	assert_int_equal(rte_eth_dev_rss_hash_update(e->be, &rss), -EINVAL);
	assert_int_equal(hash_of(e->fe, e->be), HASH_ADDRS);
}

static uint16_t
mtu_of(uint16_t id)
{
	uint16_t mtu;

	assert_int_equal(rte_eth_dev_get_mtu(id, &mtu), 0);
	return mtu;
}

/* A back-end's MTU is what the front-end says, unless its application has chosen one. */
static void
mtus(void **state)
{
	const struct rte_eth_conf conf = { 0 };
	struct ends *e = *state;

	make_ends(e, 0);
	assert_int_equal(mtu_of(e->be), RTE_ETHER_MTU);
	assert_int_equal(rte_eth_dev_set_mtu(e->fe, 4000), 0);
	assert_true(BECOMES(mtu_of(e->be) == 4000));
	assert_int_equal(rte_eth_dev_stop(e->be), 0);
	assert_int_equal(rte_eth_dev_configure(e->be, QUEUES, QUEUES, &conf), 0);
	assert_int_equal(mtu_of(e->be), 4000);
	assert_int_equal(rte_eth_dev_set_mtu(e->be, 3000), 0);
	assert_int_equal(rte_eth_dev_set_mtu(e->fe, 5000), 0);
	assert_int_equal(mtu_of(e->be), 3000);
	assert_int_equal(rte_eth_dev_configure(e->be, QUEUES, QUEUES, &conf), 0);
	assert_int_equal(mtu_of(e->be), 5000);
	/* The next guest does not inherit it. */
	assert_int_equal(rte_eth_dev_stop(e->fe), 0);
	assert_int_equal(rte_vdev_uninit("net_vring1"), 0);
	assert_true(BECOMES(mtu_of(e->be) == RTE_ETHER_MTU));
}

#define ENDS_TESTS(fn) \
	cmocka_unit_test_setup_teardown(fn, ends_setup, ends_teardown), \
	{ #fn "_packed", fn, ends_setup_packed, ends_teardown, NULL }

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ENDS_TESTS(ptypes),
		ENDS_TESTS(registers),
		ENDS_TESTS(registers_in_part),
		ENDS_TESTS(descriptors),
		ENDS_TESTS(counters),
		ENDS_TESTS(vlans),
		ENDS_TESTS(hashes),
		ENDS_TESTS(mtus),
	};

	return cmocka_run_group_tests_name("vring_surface", tests, vnet_setup, vnet_teardown);
}
