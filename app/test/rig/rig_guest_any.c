/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig_guest_any.h"

uint32_t
any_of(uint64_t *x, uint32_t n)
{
	return rd_random(x) % 4 ? 0 : rd_random(x) % n;
}

/* Put bytes at an offset, as far as the frame goes. */
static void
any_put(struct any *f, uint32_t at, const void *from, uint32_t len)
{
	if (at < f->len)
		memcpy(f->data + at, from, RTE_MIN(len, f->len - at));
}

static void
any_put16(struct any *f, uint32_t at, uint32_t value)
{
	const uint16_t v = rte_cpu_to_be_16((uint16_t)value);

	any_put(f, at, &v, sizeof(v));
}

/* Random bytes; or such as make extreme sums. */
static void
any_fill(struct any *f, uint64_t *x)
{
	const uint32_t kind = rd_random(x) % 8;

	for (uint32_t i = 0; i < f->len; i++)
		f->data[i] = kind == 0 ? 0 : kind == 1 ? 0xff : (uint8_t)(rd_random(x) >> 7);
}

static uint8_t
any_proto(const struct any *f, uint64_t *x)
{
	static const uint8_t others[] = {0, IPPROTO_ICMP, IPPROTO_IPIP, IPPROTO_FRAGMENT,
					 IPPROTO_DSTOPTS, IPPROTO_TCP, IPPROTO_UDP, 255};

	return rd_random(x) % 4 ? (f->udp ? IPPROTO_UDP : IPPROTO_TCP) :
				  others[rd_random(x) % sizeof(others)];
}

/* What a length field says: the truth, with padding behind, or anything. */
static uint32_t
any_length(uint32_t truth, uint64_t *x)
{
	const uint32_t kind = any_of(x, 3);

	return kind == 0 ? truth : kind == 1 ? truth - rd_random(x) % 9 : rd_random(x);
}

static void
any_ip4(struct any *f, uint64_t *x)
{
	static const uint16_t fragments[] = {0, RTE_IPV4_HDR_DF_FLAG, RTE_IPV4_HDR_MF_FLAG, 1,
					     RTE_IPV4_HDR_MF_FLAG | 185, 1 << 12};
	const uint32_t words = any_of(x, 2) ? rd_random(x) % 16 : 5;
	const uint32_t version = any_of(x, 8) ? rd_random(x) % 16 : 4;
	const uint8_t vhl = (uint8_t)(version << 4 | words), proto = any_proto(f, x);

	f->l3_len = (uint16_t)(4 * words);
	any_put(f, f->l2_len, &vhl, 1);
	any_put16(f, f->l2_len + 2u, any_length(f->len - f->l2_len, x));
	any_put16(f, f->l2_len + 6u, fragments[any_of(x, RTE_DIM(fragments))]);
	any_put(f, f->l2_len + 9u, &proto, 1);
}

static void
any_ip6(struct any *f, uint64_t *x)
{
	const uint32_t version = any_of(x, 8) ? rd_random(x) % 16 : 6;
	const uint8_t first = (uint8_t)(version << 4 | rd_random(x) % 16), proto = any_proto(f, x);

	f->l3_len = sizeof(struct rte_ipv6_hdr);
	any_put(f, f->l2_len, &first, 1);
	any_put16(f, f->l2_len + 4u, any_length(f->len - f->l2_len - 40, x));
	any_put(f, f->l2_len + 6u, &proto, 1);
}

/* A port of VXLAN, VXLAN-GPE, GENEVE or GTP: packet types of UDP are more than L4 then. */
static void
any_tunnel(struct any *f, uint64_t *x)
{
	static const uint16_t ports[] = {4789, 4790, 6081, 2123, 2152};
	const uint32_t l4 = f->l2_len + f->l3_len, kind = any_of(x, 3);

	if (kind != 0)
		any_put16(f, l4 + (kind == 1 ? 0 : 2), ports[rd_random(x) % RTE_DIM(ports)]);
}

void
any_frame(struct any *f, uint32_t len, uint64_t *x)
{
	static const uint16_t tags[] = {RTE_ETHER_TYPE_VLAN, RTE_ETHER_TYPE_QINQ};
	static const uint16_t types[] = {RTE_ETHER_TYPE_IPV4, RTE_ETHER_TYPE_IPV6,
					 RTE_ETHER_TYPE_ARP, 0x88b5};

	f->len = len;
	f->l2_len = RTE_ETHER_HDR_LEN;
	f->l3_len = 20;
	f->v6 = rd_random(x) % 2;
	f->udp = rd_random(x) % 2;
	any_fill(f, x);
	for (uint32_t n = any_of(x, 3); n > 0; n--) {
		any_put16(f, f->l2_len - 2u, tags[rd_random(x) % 2]);
		f->l2_len += sizeof(struct rte_vlan_hdr);
	}
	if (any_of(x, 4) == 1) /* of random bytes from here on */
		return;
	if (f->v6)
		any_ip6(f, x);
	else
		any_ip4(f, x);
	any_tunnel(f, x);
	/* Or of a type that the rest belies. */
	any_put16(f, f->l2_len - 2u, types[f->v6 ^ any_of(x, RTE_DIM(types))]);
}

uint16_t
any_field(bool udp)
{
	return udp ? offsetof(struct rte_udp_hdr, dgram_cksum) :
		     offsetof(struct rte_tcp_hdr, cksum);
}

uint16_t
plain_csum(const uint8_t *data, uint32_t len)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < len; i++) {
		sum += i % 2 ? data[i] : (uint32_t)data[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum == 0xffff ? 0xffff : rte_cpu_to_be_16((uint16_t)~sum);
}
