/* SPDX-License-Identifier: BSD-3-Clause */
/* Counters of packets by length and destination. */
#ifndef VNET_COUNT_H
#define VNET_COUNT_H

#include <rte_ether.h>
#include <rte_mbuf.h>

#include "vnet.h"

/* An Ethernet frame with two tags around the largest IP packet. */
#define VNET_FRAME_MAX (UINT16_MAX + RTE_ETHER_HDR_LEN + 8u)

/*
 * Bytes of up to VNET_SIZE_CLASS_MAX packets, in the low 22 bits of a word, and above them how many
 * there are of each size class, in six bits each. One word, since registers are few where it grows.
 */
#define VNET_SIZE_CLASS_MAX 63
#define VNET_SIZE_CLASS_MASK 0x3f
#define VNET_SIZE_CLASS(bin) (UINT64_C(1) << (22 + 6 * (bin)))
_Static_assert(VNET_SIZE_CLASS_MAX * VNET_FRAME_MAX < 1u << 22 && VNET_SIZE_BINS == 7,
	       "vnet_size_classes()");

extern const uint64_t vnet_count_class_of[25];

/* The class of a packet of that length. */
static inline uint64_t
vnet_size_class(uint32_t len)
{
	/* By multiples of 64; the borders at 64 and 1518 are none. Counting bits takes longer. */
	return vnet_count_class_of[len > 1518 ? 24 : (len - (len == 64)) / 64];
}

/* What a packet of that length adds to the word. */
static inline uint64_t
vnet_size_classes(uint32_t len)
{
	return vnet_size_class(len) + len;
}

static inline uint64_t
vnet_size_classes_bytes(uint64_t classes)
{
	return classes & (VNET_SIZE_CLASS(0) - 1);
}

/* Size classes and casts of packets just carried, while they are in the cache. */
void vnet_count_classes(struct vnet_stats *stats, struct rte_mbuf **pkts, uint16_t n);
/* The same where the classes were counted along the way. */
void vnet_count_size_classes(struct vnet_stats *stats, struct rte_mbuf **pkts, uint16_t n,
			     uint64_t classes);

#endif /* VNET_COUNT_H */
