/* SPDX-License-Identifier: BSD-3-Clause */

#include "vring_fe_cmd.h"

#include <string.h>

#include <rte_byteorder.h>
#include <rte_common.h>
#include <rte_ethdev.h>

#include "virtq_compat.h"

static size_t
put(uint8_t *cmd, size_t at, const void *data, size_t len)
{
	memcpy(cmd + at, data, len);
	return at + len;
}

static size_t
put16(uint8_t *cmd, size_t at, uint16_t v)
{
	v = rte_cpu_to_le_16(v);
	return put(cmd, at, &v, sizeof(v));
}

static size_t
put32(uint8_t *cmd, size_t at, uint32_t v)
{
	v = rte_cpu_to_le_32(v);
	return put(cmd, at, &v, sizeof(v));
}

static size_t
put64(uint8_t *cmd, size_t at, uint64_t v)
{
	v = rte_cpu_to_le_64(v);
	return put(cmd, at, &v, sizeof(v));
}

static size_t
put_key(uint8_t *cmd, size_t at, const struct vring_rss *rss)
{
	cmd[at++] = rss->keylen;
	return put(cmd, at, rss->key, rss->keylen);
}

static size_t
begin(uint8_t *cmd, uint8_t class, uint8_t what)
{
	cmd[0] = class;
	cmd[1] = what;
	return 2;
}

size_t
vring_cmd_rx(uint8_t *cmd, uint8_t what, bool on)
{
	size_t at = begin(cmd, VIRTIO_NET_CTRL_RX, what);

	cmd[at] = on;
	return at + 1;
}

size_t
vring_cmd_mac(uint8_t *cmd, const struct rte_ether_addr *mac)
{
	size_t at = begin(cmd, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET);

	return put(cmd, at, mac, RTE_ETHER_ADDR_LEN);
}

static size_t
put_macs(uint8_t *cmd, size_t at, const struct rte_ether_addr *mac, uint32_t n)
{
	n = RTE_MIN(n, (uint32_t)VRING_CMD_MACS);
	at = put32(cmd, at, n);
	return n == 0 ? at : put(cmd, at, mac, n * RTE_ETHER_ADDR_LEN);
}

size_t
vring_cmd_mac_table(uint8_t *cmd, const struct rte_ether_addr *unicast, uint32_t nunicast,
		    const struct rte_ether_addr *multicast, uint32_t nmulticast)
{
	size_t at = begin(cmd, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET);

	at = put_macs(cmd, at, unicast, nunicast);
	return put_macs(cmd, at, multicast, nmulticast);
}

size_t
vring_cmd_vlan(uint8_t *cmd, uint16_t id, bool on)
{
	size_t at = begin(cmd, VIRTIO_NET_CTRL_VLAN,
			  on ? VIRTIO_NET_CTRL_VLAN_ADD : VIRTIO_NET_CTRL_VLAN_DEL);

	return put16(cmd, at, id);
}

size_t
vring_cmd_pairs(uint8_t *cmd, uint16_t pairs)
{
	size_t at = begin(cmd, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET);

	return put16(cmd, at, pairs);
}

size_t
vring_cmd_announce_ack(uint8_t *cmd)
{
	return begin(cmd, VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK);
}

size_t
vring_cmd_rss(uint8_t *cmd, const struct vring_rss *rss, uint16_t pairs)
{
	size_t at = begin(cmd, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_RSS_CONFIG);
	unsigned int i;

	at = put32(cmd, at, rss->types);
	at = put16(cmd, at, rss->entries - 1);
	at = put16(cmd, at, 0); /* packets without a hash: first queue */
	for (i = 0; i < rss->entries; i++)
		at = put16(cmd, at, rss->table[i]);
	at = put16(cmd, at, pairs);
	return put_key(cmd, at, rss);
}

size_t
vring_cmd_hash(uint8_t *cmd, const struct vring_rss *rss)
{
	size_t at = begin(cmd, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_HASH_CONFIG);

	at = put32(cmd, at, rss->types);
	at = put64(cmd, at, 0); /* reserved */
	return put_key(cmd, at, rss);
}

size_t
vring_cmd_guest_offloads(uint8_t *cmd, uint64_t offloads)
{
	return put64(cmd, begin(cmd, VIRTIO_NET_CTRL_GUEST_OFFLOADS,
				VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET), offloads);
}

static const struct {
	uint32_t type;
	uint64_t hf;
} hashes[] = {
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
	unsigned int i;

	for (i = 0; i < RTE_DIM(hashes); i++)
		if (hf & hashes[i].hf)
			types |= hashes[i].type;
	return types;
}

uint64_t
vring_rss_hf(uint32_t types)
{
	uint64_t hf = 0;
	unsigned int i;

	for (i = 0; i < RTE_DIM(hashes); i++)
		if (types & hashes[i].type)
			hf |= hashes[i].hf;
	return hf;
}
