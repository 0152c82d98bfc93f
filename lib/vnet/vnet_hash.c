/* SPDX-License-Identifier: BSD-3-Clause */

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_ip.h>
#include <rte_net.h>
#include <rte_thash.h>

#include "vnet_hash.h"
#include "vnet_ptype.h"

void
vnet_hash_set_key(struct vnet_hash *hash, const uint8_t key[VNET_HASH_KEY])
{
	rte_be32_t word;

	for (unsigned int i = 0; i < RTE_DIM(hash->key); i++) {
		memcpy(&word, key + i * sizeof(word), sizeof(word));
		hash->key[i] = rte_be_to_cpu_32(word);
	}
}

void
vnet_hash_get_key(const struct vnet_hash *hash, uint8_t key[VNET_HASH_KEY])
{
	for (unsigned int i = 0; i < RTE_DIM(hash->key); i++) {
		const rte_be32_t word = rte_cpu_to_be_32(hash->key[i]);

		memcpy(key + i * sizeof(word), &word, sizeof(word));
	}
}

/* What is hashed: addresses, then ports, as words. */
struct tuple {
	uint32_t word[2 * 16 / 4 + 1];
	uint32_t n;
};

static bool
tuple_add(struct tuple *t, const struct rte_mbuf *m, uint32_t off, uint32_t bytes)
{
	rte_be32_t buf[RTE_DIM(t->word)], word;
	const uint8_t *p = rte_pktmbuf_read(m, off, bytes, buf);

	if (p == NULL)
		return false;
	for (uint32_t i = 0; i < bytes; i += sizeof(word)) {
		memcpy(&word, p + i, sizeof(word));
		t->word[t->n++] = rte_be_to_cpu_32(word);
	}
	return true;
}

/* Types for these headers: that of the addresses alone, that with ports (0: they have none). */
static void
hash_types(uint32_t ptype, uint32_t *addrs, uint32_t *ports)
{
	const bool ipv6 = RTE_ETH_IS_IPV6_HDR(ptype);
	const uint32_t l4 = ptype & RTE_PTYPE_L4_MASK;

	*addrs = ipv6 ? VIRTIO_NET_RSS_HASH_TYPE_IPv6 : VIRTIO_NET_RSS_HASH_TYPE_IPv4;
	*ports = 0;
	if (l4 == RTE_PTYPE_L4_TCP)
		*ports = ipv6 ? VIRTIO_NET_RSS_HASH_TYPE_TCPv6 : VIRTIO_NET_RSS_HASH_TYPE_TCPv4;
	else if (l4 == RTE_PTYPE_L4_UDP)
		*ports = ipv6 ? VIRTIO_NET_RSS_HASH_TYPE_UDPv6 : VIRTIO_NET_RSS_HASH_TYPE_UDPv4;
}

/* The type that is hashed; 0: none. */
static uint32_t
tuple_of(const struct vnet_hash *hash, const struct rte_mbuf *m, struct tuple *t)
{
	struct rte_net_hdr_lens lens = {0};
	const uint32_t ptype = rte_net_get_ptype(m, &lens, VNET_PTYPE_OUTER);
	uint32_t addrs, ports;
	bool has;

	t->n = 0;
	if (!RTE_ETH_IS_IPV4_HDR(ptype) && !RTE_ETH_IS_IPV6_HDR(ptype))
		return 0;
	hash_types(ptype, &addrs, &ports);
	if (!(hash->types & (addrs | ports)))
		return 0;
	if (RTE_ETH_IS_IPV6_HDR(ptype))
		has = tuple_add(t, m, lens.l2_len + offsetof(struct rte_ipv6_hdr, src_addr), 32);
	else
		has = tuple_add(t, m, lens.l2_len + offsetof(struct rte_ipv4_hdr, src_addr), 8);
	if (has && (hash->types & ports) &&
	    tuple_add(t, m, (uint32_t)lens.l2_len + lens.l3_len, 4))
		return ports;
	return has ? hash->types & addrs : 0;
}

bool
vnet_hash_packet(const struct vnet_hash *hash, const struct rte_mbuf *m, uint32_t *value)
{
	struct tuple t;

	if (tuple_of(hash, m, &t) == 0)
		return false;
	*value = rte_softrss_be(t.word, t.n, (const uint8_t *)hash->key);
	return true;
}

/* What a card has hashed is not known: addresses at least, of whatever headers it looked at. */
static uint16_t
report_of_card(uint32_t type)
{
	const uint32_t ipv4 = VIRTIO_NET_RSS_HASH_TYPE_IPv4 | VIRTIO_NET_RSS_HASH_TYPE_TCPv4 |
			      VIRTIO_NET_RSS_HASH_TYPE_UDPv4;

	return type & ipv4 ? VIRTIO_NET_HASH_REPORT_IPv4 : VIRTIO_NET_HASH_REPORT_IPv6;
}

uint16_t
vnet_hash_report(const struct vnet_hash *hash, const struct rte_mbuf *m, uint32_t *value)
{
	struct tuple t;
	const uint32_t type = tuple_of(hash, m, &t);

	*value = 0;
	if (type == 0)
		return VIRTIO_NET_HASH_REPORT_NONE;
	if (m->ol_flags & RTE_MBUF_F_RX_RSS_HASH) {
		*value = m->hash.rss;
		return report_of_card(type);
	}
	*value = rte_softrss_be(t.word, t.n, (const uint8_t *)hash->key);
	/* Both count the same kinds in the same order. */
	return VIRTIO_NET_HASH_REPORT_IPv4 + __builtin_ctz(type);
}

_Static_assert(VIRTIO_NET_RSS_HASH_TYPE_IPv4 == 1 &&
	       VIRTIO_NET_RSS_HASH_TYPE_UDPv6 == 1 << (VIRTIO_NET_HASH_REPORT_UDPv6 -
						       VIRTIO_NET_HASH_REPORT_IPv4), "hash types");

void
vnet_hash_packets(const struct vnet_hash *hash, struct rte_mbuf **pkts, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = pkts[i];
		uint32_t value;

		/* One that is to be cut has its mark in this field. */
		if (m->hash.usr != 0 || !vnet_hash_packet(hash, m, &value))
			continue;
		m->hash.rss = value;
		m->ol_flags |= RTE_MBUF_F_RX_RSS_HASH;
	}
}
