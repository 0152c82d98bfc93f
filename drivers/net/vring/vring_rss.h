/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between RTE_ETH_RSS_ and VIRTIO_NET_RSS_HASH_TYPE_; what has no counterpart is left out. Plain
 * functions.
 */
#ifndef VRING_RSS_H
#define VRING_RSS_H

#include <stdint.h>

uint32_t vring_rss_types(uint64_t hf);
uint64_t vring_rss_hf(uint32_t types);
/*
 * The key of an application that has none of its own: both directions of a flow have the same hash
 * under a key that repeats after 16 bits.
 */
void vring_rss_default_key(uint8_t *key, unsigned int len);

#endif /* VRING_RSS_H */
