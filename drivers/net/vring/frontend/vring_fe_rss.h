/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between RTE_ETH_RSS_ and VIRTIO_NET_RSS_HASH_TYPE_; what has no counterpart is left out. Plain
 * functions.
 */
#ifndef VRING_FE_RSS_H
#define VRING_FE_RSS_H

#include <stdint.h>

uint32_t vring_fe_rss_types(uint64_t hf);
uint64_t vring_fe_rss_hf(uint32_t types);

#endif /* VRING_FE_RSS_H */
