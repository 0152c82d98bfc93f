/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checksums of the packets that need nothing else: TCP or UDP over an IPv4 header without options
 * or an IPv6 header without extensions, no tag, no tunnel, in one piece. Nearly all packets are
 * such; vnet_offload.c serves the others.
 */
#ifndef VNET_CSUM_H
#define VNET_CSUM_H

#include <stddef.h>

#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf_ptype.h>
#include <rte_tcp.h>
#include <rte_udp.h>

/* From here on rte_raw_cksum(), which the compiler makes wide, takes less time. */
#define VNET_SUM_SHORT 128

static inline uint16_t
vnet_load16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline void
vnet_store16(uint8_t *p, uint16_t v)
{
	memcpy(p, &v, sizeof(v));
}

/* Fold a sum of 16-bit words. */
static inline uint16_t
vnet_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/* Ones' complement sum of len bytes, not folded; so small that several can be added. */
static inline uint64_t
vnet_sum(const uint8_t *p, uint32_t len)
{
	uint64_t sum = 0, words = 0;
	uint32_t word = 0;

	if (len >= VNET_SUM_SHORT)
		return rte_raw_cksum(p, len);
	for (; len >= sizeof(words); p += sizeof(words), len -= sizeof(words)) {
		memcpy(&words, p, sizeof(words));
		sum += (uint32_t)words;
		sum += words >> 32;
	}
	if (len & 4) {
		memcpy(&word, p, sizeof(word));
		sum += word;
		p += sizeof(word);
	}
	if (len & 2) {
		sum += vnet_load16(p);
		p += 2;
	}
	return len & 1 ? sum + *p : sum;
}

/* 32 bytes at any address, as words that have room for many sums of their halves. */
typedef uint64_t vnet_v32 __attribute__((vector_size(32), aligned(1), may_alias));

/*
 * Copy len bytes and return their sum as vnet_sum() does. What is summed is what was copied: each
 * byte is loaded once. While a large packet comes from another core, summing it costs nothing.
 */
static inline uint64_t
vnet_copy_sum(uint8_t *to, const uint8_t *from, uint32_t len)
{
	const vnet_v32 low = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
	vnet_v32 a = {0}, b = {0};
	uint64_t sum, word;

	for (; len >= 2 * sizeof(a); to += 2 * sizeof(a), from += 2 * sizeof(a),
	     len -= 2 * sizeof(a)) {
		/* Volatile: the compiler may not read them again instead. */
		vnet_v32 x = ((const volatile vnet_v32 *)from)[0];
		vnet_v32 y = ((const volatile vnet_v32 *)from)[1];

		((vnet_v32 *)to)[0] = x;
		((vnet_v32 *)to)[1] = y;
		a += (x & low) + (x >> 32);
		b += (y & low) + (y >> 32);
	}
	a += b;
	sum = a[0] + a[1] + a[2] + a[3];
	while (len > 0) {
		const uint32_t n = RTE_MIN(len, (uint32_t)sizeof(word));

		word = 0;
		if (n == sizeof(word))
			memcpy(&word, from, sizeof(word));
		else
			memcpy(&word, from, n);
		__asm__("" : "+r"(word)); /* the compiler may not read it again instead */
		memcpy(to, &word, n);
		sum += (uint32_t)word;
		sum += word >> 32;
		to += n;
		from += n;
		len -= n;
	}
	return sum;
}

/* What stands in the checksum field for a sum; 0 would mean "none" in UDP. */
static inline uint16_t
vnet_csum_of(uint64_t sum)
{
	uint16_t csum = (uint16_t)~vnet_fold(sum);

	return csum != 0 ? csum : 0xffff;
}

/*
 * The packet type of a frame whose checksum is that of a plain TCP or UDP packet: the type that
 * rte_net_get_ptype() returns for VNET_PTYPE_OUTER; 0: it is no such frame.
 * l4: offset of the L4 header, csum: of the checksum in it.
 */
static inline uint32_t
vnet_plain_type(const uint8_t *frame, uint32_t len, uint32_t l4, uint32_t csum)
{
	const bool tcp = csum == offsetof(struct rte_tcp_hdr, cksum);
	const uint8_t proto = tcp ? IPPROTO_TCP : IPPROTO_UDP;
	const uint32_t type = RTE_PTYPE_L2_ETHER | (tcp ? RTE_PTYPE_L4_TCP : RTE_PTYPE_L4_UDP);
	const uint8_t *l3 = frame + RTE_ETHER_HDR_LEN;

	if ((!tcp && csum != offsetof(struct rte_udp_hdr, dgram_cksum)) ||
	    len < l4 + (tcp ? sizeof(struct rte_tcp_hdr) : sizeof(struct rte_udp_hdr)))
		return 0;
	switch (l4) {
	case RTE_ETHER_HDR_LEN + sizeof(struct rte_ipv4_hdr):
		if (vnet_load16(l3 - 2) != RTE_BE16(RTE_ETHER_TYPE_IPV4) ||
		    l3[0] != RTE_IPV4_VHL_DEF ||
		    l3[offsetof(struct rte_ipv4_hdr, next_proto_id)] != proto ||
		    (vnet_load16(l3 + offsetof(struct rte_ipv4_hdr, fragment_offset)) &
		     RTE_BE16(RTE_IPV4_HDR_OFFSET_MASK | RTE_IPV4_HDR_MF_FLAG)) != 0)
			return 0;
		return type | RTE_PTYPE_L3_IPV4;
	case RTE_ETHER_HDR_LEN + sizeof(struct rte_ipv6_hdr):
		if (vnet_load16(l3 - 2) != RTE_BE16(RTE_ETHER_TYPE_IPV6) ||
		    l3[offsetof(struct rte_ipv6_hdr, proto)] != proto)
			return 0;
		return type | RTE_PTYPE_L3_IPV6;
	default:
		return 0;
	}
}

/* Bytes of the L4 packet as an IP header of l3_len bytes, options included, says. */
static inline uint16_t
vnet_l4_bytes(const uint8_t *l3, bool ipv6, uint16_t l3_len)
{
	const uint32_t bytes = ipv6 ?
		rte_be_to_cpu_16(vnet_load16(l3 + offsetof(struct rte_ipv6_hdr, payload_len))) +
			sizeof(struct rte_ipv6_hdr) :
		rte_be_to_cpu_16(vnet_load16(l3 + offsetof(struct rte_ipv4_hdr, total_length)));

	return (uint16_t)(bytes - l3_len);
}

/*
 * Sum of the pseudo-header of an L4 packet of `bytes` bytes; l3: an IPv4 header, or an IPv6 header.
 * RFC 9293, section 3.1; RFC 8200, section 8.1.
 */
static inline uint64_t
vnet_pseudo_sum(const uint8_t *l3, bool ipv6, uint8_t proto, uint32_t bytes)
{
	uint64_t sum = (uint64_t)rte_cpu_to_be_32(bytes) + rte_cpu_to_be_16(proto);

	if (ipv6)
		return sum + vnet_sum(l3 + offsetof(struct rte_ipv6_hdr, src_addr), 32);
	return sum + vnet_sum(l3 + offsetof(struct rte_ipv4_hdr, src_addr), 8);
}

#endif /* VNET_CSUM_H */
