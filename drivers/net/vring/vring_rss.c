/* SPDX-License-Identifier: BSD-3-Clause */
#include "vring_rss.h"

#include <linux/virtio_net.h>

#include <rte_common.h>
#include <rte_ethdev.h>

static const struct {
	uint32_t type;
	uint64_t hf;
} hash_types[] = {
	{ VIRTIO_NET_RSS_HASH_TYPE_IPv4,
	  RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_FRAG_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_OTHER },
	{ VIRTIO_NET_RSS_HASH_TYPE_TCPv4, RTE_ETH_RSS_NONFRAG_IPV4_TCP },
	{ VIRTIO_NET_RSS_HASH_TYPE_UDPv4, RTE_ETH_RSS_NONFRAG_IPV4_UDP },
	{ VIRTIO_NET_RSS_HASH_TYPE_IPv6,
	  RTE_ETH_RSS_IPV6 | RTE_ETH_RSS_FRAG_IPV6 | RTE_ETH_RSS_NONFRAG_IPV6_OTHER },
	{ VIRTIO_NET_RSS_HASH_TYPE_TCPv6, RTE_ETH_RSS_NONFRAG_IPV6_TCP },
	{ VIRTIO_NET_RSS_HASH_TYPE_UDPv6, RTE_ETH_RSS_NONFRAG_IPV6_UDP },
	{ VIRTIO_NET_RSS_HASH_TYPE_IP_EX, RTE_ETH_RSS_IPV6_EX },
	{ VIRTIO_NET_RSS_HASH_TYPE_TCP_EX, RTE_ETH_RSS_IPV6_TCP_EX },
	{ VIRTIO_NET_RSS_HASH_TYPE_UDP_EX, RTE_ETH_RSS_IPV6_UDP_EX },
};

uint32_t
vring_rss_types(uint64_t hf)
{
	uint32_t types = 0;

	for (unsigned int i = 0; i < RTE_DIM(hash_types); i++)
		if (hf & hash_types[i].hf)
			types |= hash_types[i].type;
	return types;
}

uint64_t
vring_rss_hf(uint32_t types)
{
	uint64_t hf = 0;

	for (unsigned int i = 0; i < RTE_DIM(hash_types); i++)
		if (types & hash_types[i].type)
			hf |= hash_types[i].hf;
	return hf;
}

void
vring_rss_default_key(uint8_t *key, unsigned int len)
{
	for (unsigned int i = 0; i < len; i++)
		key[i] = i % 2 ? 0x5a : 0x6d;
}
