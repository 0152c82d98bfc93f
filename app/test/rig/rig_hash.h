/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The hash in a header: one field of Linux' headers, two in later ones. VIRTIO 1.2, 5.1.6.
 */
#ifndef RIG_HASH_H
#define RIG_HASH_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#include <linux/virtio_net.h>

#define RIG_HASH_AT sizeof(struct virtio_net_hdr_v1)

static inline void
hash_put(struct virtio_net_hdr_v1_hash *hdr, uint32_t value)
{
	const uint32_t le = htole32(value);

	memcpy((uint8_t *)hdr + RIG_HASH_AT, &le, sizeof(le));
}

static inline uint32_t
hash_in(const struct virtio_net_hdr_v1_hash *hdr)
{
	uint32_t le;

	memcpy(&le, (const uint8_t *)hdr + RIG_HASH_AT, sizeof(le));
	return le32toh(le);
}

#endif /* RIG_HASH_H */
