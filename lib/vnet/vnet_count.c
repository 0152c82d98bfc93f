/* SPDX-License-Identifier: BSD-3-Clause */
#include "vnet_count.h"

#include <string.h>

#define C(bin) VNET_SIZE_CLASS(bin)
const uint64_t vnet_count_class_of[25] = {
	C(0), C(1), C(2), C(2), C(3), C(3), C(3), C(3),
	C(4), C(4), C(4), C(4), C(4), C(4), C(4), C(4),
	C(5), C(5), C(5), C(5), C(5), C(5), C(5), C(5), C(6),
};
#undef C

static __rte_noinline void
count_casts(struct vnet_stats *stats, struct rte_mbuf **pkts, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		const uint8_t *to = rte_pktmbuf_mtod(pkts[i], const uint8_t *);

		if (!(to[0] & RTE_ETHER_GROUP_ADDR))
			continue;
		/* Data may begin at an odd address, which struct rte_ether_addr does not allow. */
		if (memcmp(to, "\xff\xff\xff\xff\xff\xff", RTE_ETHER_ADDR_LEN) == 0)
			stats->broadcast++;
		else
			stats->multicast++;
	}
}

static inline void
add_classes(struct vnet_stats *stats, uint64_t classes)
{
	for (unsigned int bin = 0; bin < VNET_SIZE_BINS; bin++)
		stats->size_bin[bin] += classes / VNET_SIZE_CLASS(bin) & VNET_SIZE_CLASS_MASK;
}

void
vnet_count_size_classes(struct vnet_stats *stats, struct rte_mbuf **pkts, uint16_t n,
			uint64_t classes)
{
	uint8_t cast = 0;

	for (uint16_t i = 0; i < n; i++)
		cast |= *rte_pktmbuf_mtod(pkts[i], const uint8_t *);
	add_classes(stats, classes);
	if (unlikely(cast & RTE_ETHER_GROUP_ADDR))
		count_casts(stats, pkts, n);
}

/*
 * Packets of a burst are mostly of one class: counted in memory, each would wait for the one before
 * it to be stored.
 */
void
vnet_count_classes(struct vnet_stats *stats, struct rte_mbuf **pkts, uint16_t n)
{
	while (n > 0) {
		const uint16_t part = RTE_MIN(n, (uint16_t)VNET_SIZE_CLASS_MAX);
		uint64_t classes = 0;
		uint8_t cast = 0;

		for (uint16_t i = 0; i < part; i++) {
			classes += vnet_size_class(pkts[i]->pkt_len);
			cast |= *rte_pktmbuf_mtod(pkts[i], const uint8_t *);
		}
		add_classes(stats, classes);
		if (unlikely(cast & RTE_ETHER_GROUP_ADDR))
			count_casts(stats, pkts, part);
		pkts += part;
		n -= part;
	}
}
