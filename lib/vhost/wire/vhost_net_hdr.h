/* SPDX-License-Identifier: BSD-3-Clause */
/* The header before each packet of a virtio-net ring: both ends compute its length alike. */
#ifndef VHOST_NET_HDR_H
#define VHOST_NET_HDR_H

#include <stdint.h>

#include <linux/virtio_config.h>
#include <linux/virtio_net.h>

/* Bytes of it under these negotiated features: 10, 12, or 20. VIRTIO 1.2, 5.1.6 and 5.1.6.1 */
static inline uint16_t
vhost_net_hdr_len(uint64_t features)
{
	if (features & UINT64_C(1) << VIRTIO_NET_F_HASH_REPORT)
		return sizeof(struct virtio_net_hdr_v1_hash);
	if (features & (UINT64_C(1) << VIRTIO_F_VERSION_1 | UINT64_C(1) << VIRTIO_NET_F_MRG_RXBUF))
		return sizeof(struct virtio_net_hdr_v1);
	return sizeof(struct virtio_net_hdr);
}

_Static_assert(sizeof(struct virtio_net_hdr) == 10 && sizeof(struct virtio_net_hdr_v1) == 12 &&
	       sizeof(struct virtio_net_hdr_v1_hash) == 20, "header lengths of the specification");

#endif /* VHOST_NET_HDR_H */
