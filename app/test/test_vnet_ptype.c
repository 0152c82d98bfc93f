/* SPDX-License-Identifier: BSD-3-Clause */
/* Packet types are those of the release of DPDK, tunnels in UDP included. */
#include <sys/mman.h>

#include <rte_net.h>

#include "rig_guest_net.h"
#include "vnet_ptype.h"

#define ALL RTE_PTYPE_ALL_MASK
#define L4 34u		/* of Ethernet and IPv4 without options */
#define GTP (L4 + 8)
#define PACKET 0xff	/* GTP message that carries one */

static const uint32_t plain_udp = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4 | RTE_PTYPE_L4_UDP;

static void
put_udp(uint8_t *data, uint16_t src, uint16_t dst)
{
	const uint8_t l3[] = {0x08, 0, 0x45, 0, 0, 80, 0, 0, 0, 0, 64, IPPROTO_UDP};
	const uint8_t ports[] = {src >> 8, src & 255, dst >> 8, dst & 255};

	memset(data, 0, L4);
	memcpy(data + 12, l3, sizeof(l3));
	memcpy(data + L4, ports, sizeof(ports));
}

static struct rte_mbuf
mbuf_on(uint8_t *data, uint32_t len)
{
	return (struct rte_mbuf){.nb_segs = 1, .buf_addr = data, .data_len = (uint16_t)len,
				 .pkt_len = len};
}

/* Each port, from and to: a tunnel is where the release says that there is one. */
static void
ports_of_tunnels(void **state)
{
	uint8_t data[100] = {0};
	struct rte_mbuf m = mbuf_on(data, sizeof(data));
	uint32_t tunnels = 0;

	for (uint32_t i = 0; i < 2 * 65536; i++) {
		const uint16_t port = (uint16_t)(i / 2);
		uint32_t type;

		put_udp(data, i % 2 ? port : 1, i % 2 ? 1 : port);
		type = rte_net_get_ptype(&m, NULL, ALL);
		assert_int_equal(vnet_ptype_may_be_tunnel(plain_udp, data + L4),
				 (type & RTE_PTYPE_TUNNEL_MASK) != 0);
		assert_int_equal(vnet_ptype(&m, NULL, ALL), type);
		assert_int_equal(type & VNET_PTYPE_OUTER, plain_udp);
		tunnels += type != plain_udp;
	}
	assert_uint_in_range(tunnels, 0, 8);
}

static void
only_udp_has_tunnels(void **state)
{
	uint8_t data[100] = {0};

	put_udp(data, 2123, 4789);
	assert_false(vnet_ptype_may_be_tunnel(RTE_PTYPE_L4_TCP, data + L4));
	assert_false(vnet_ptype_may_be_tunnel(RTE_PTYPE_L4_FRAG, data + L4));
}

/*
 * A GTP packet of `len` bytes at the very end of memory. Where its last byte is the one that tells
 * IPv4 from IPv6, or is behind that, the type is the release's.
 */
static void
gtp_at_the_end(uint8_t *end, uint32_t len, uint8_t flags, uint8_t message, uint16_t src)
{
	const uint32_t inner = GTP + (flags ? 12 : 8);
	uint8_t data[100] = {0}, room[101] = {0};
	struct rte_mbuf m = mbuf_on(end - len, len), as = mbuf_on(room, len);
	uint32_t type;

	put_udp(data, src, 2152);
	data[GTP] = 0x30 | flags;
	data[GTP + 1] = message;
	data[inner] = 0x45;
	memcpy(end - len, data, len);
	memcpy(room, data, len);
	type = vnet_ptype(&m, NULL, ALL);
	if (message == PACKET && len >= GTP + 8 && len <= inner)
		assert_int_equal(type, plain_udp);
	else
		assert_int_equal(type, rte_net_get_ptype(&as, NULL, ALL));
	assert_int_equal(vnet_ptype(&m, NULL, VNET_PTYPE_OUTER),
			 rte_net_get_ptype(&as, NULL, VNET_PTYPE_OUTER));
}

static void
nothing_is_read_behind_the_packet(void **state)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *p = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	assert_int_equal(mprotect(p + page, page, PROT_NONE), 0);
	for (uint32_t len = 14; len < 100; len++)
		for (uint32_t i = 0; i < 8; i++)
			gtp_at_the_end(p + page, len, i & 1 ? 2 : 0, i & 2 ? PACKET : 1,
				       i & 4 ? 2123 : 5);
	munmap(p, 2 * page);
}

/* The same of a packet in two segments, cut anywhere: the release's type, or UDP at least. */
static void
segments(void **state)
{
	uint8_t data[100] = {0};
	struct rte_mbuf whole = mbuf_on(data, sizeof(data));

	put_udp(data, 5, 2152);
	data[GTP] = 0x30;
	data[GTP + 1] = PACKET;
	data[GTP + 8] = 0x45;
	for (uint32_t at = 1; at < sizeof(data); at++) {
		struct rte_mbuf tail = mbuf_on(data + at, sizeof(data) - at);
		struct rte_mbuf m = mbuf_on(data, at);

		m.nb_segs = 2;
		m.next = &tail;
		m.pkt_len = sizeof(data);
		if (at > GTP && at <= GTP + 8)
			assert_int_equal(vnet_ptype(&m, NULL, ALL) & VNET_PTYPE_OUTER, plain_udp);
		else
			assert_int_equal(vnet_ptype(&m, NULL, ALL),
					 rte_net_get_ptype(&whole, NULL, ALL));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ports_of_tunnels),
		cmocka_unit_test(only_udp_has_tunnels),
		cmocka_unit_test(nothing_is_read_behind_the_packet),
		cmocka_unit_test(segments),
	};

	return cmocka_run_group_tests_name("vnet_ptype", tests, NULL, NULL);
}
