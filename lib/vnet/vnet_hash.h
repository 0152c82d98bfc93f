/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hashes of packets as devices compute them: Toeplitz, over addresses and ports. VIRTIO 1.2,
 * 5.1.6.4.3.
 */
#ifndef VNET_HASH_H
#define VNET_HASH_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/virtio_net.h>

#include <rte_mbuf.h>

#define VNET_HASH_KEY 40	/* bytes */
/* Types that vnet_hash_packets() knows. */
#define VNET_HASH_TYPES \
	(VIRTIO_NET_RSS_HASH_TYPE_IPv4 | VIRTIO_NET_RSS_HASH_TYPE_TCPv4 | \
	 VIRTIO_NET_RSS_HASH_TYPE_UDPv4 | VIRTIO_NET_RSS_HASH_TYPE_IPv6 | \
	 VIRTIO_NET_RSS_HASH_TYPE_TCPv6 | VIRTIO_NET_RSS_HASH_TYPE_UDPv6)

struct vnet_hash {
	uint32_t types;		/* VIRTIO_NET_RSS_HASH_TYPE_ */
	uint32_t key[VNET_HASH_KEY / 4]; /* its words as this processor has numbers */
};

void vnet_hash_set_key(struct vnet_hash *hash, const uint8_t key[VNET_HASH_KEY]);
void vnet_hash_get_key(const struct vnet_hash *hash, uint8_t key[VNET_HASH_KEY]);
/* Of a packet; false: it has no type that is asked for. */
bool vnet_hash_packet(const struct vnet_hash *hash, const struct rte_mbuf *m, uint32_t *value);
/*
 * VIRTIO_NET_HASH_REPORT_ of a packet, and its hash: the one that a network card has computed, and
 * then _IPv4 or _IPv6, else as vnet_hash_packet(). _NONE: it has no addresses, and *value is 0.
 */
uint16_t vnet_hash_report(const struct vnet_hash *hash, const struct rte_mbuf *m, uint32_t *value);
/* Of n packets; those of no type that is asked for have none, nor have those that are to be cut. */
void vnet_hash_packets(const struct vnet_hash *hash, struct rte_mbuf **pkts, uint16_t n);

#endif /* VNET_HASH_H */
