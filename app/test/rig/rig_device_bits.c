/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig_device_bits.h"

uint64_t
combination(uint32_t i)
{
	uint64_t features = 0;

	for (uint32_t b = 0; b < 6; b++)
		if (i & 1u << b)
			features |= bits[b];
	return features;
}

struct rte_mbuf *
mbuf_linear(uint32_t len, uint32_t seed)
{
	return mbuf_new(len, seed, SHAPE_LINEAR);
}

void
link_expect_packet(struct rte_mbuf *m, uint32_t len, uint32_t seed)
{
	expect_bytes(mbuf_bytes(m), m->pkt_len, len, seed);
	assert_int_equal(m->ol_flags, 0);
	assert_int_equal(m->port, 7);
	assert_int_equal(rte_mbuf_refcnt_read(m), 1);
}

void
link_expect_stats(const struct link *l, uint64_t packets, uint64_t bytes)
{
	assert_int_equal(l->txq.stats.packets, packets);
	assert_int_equal(l->txq.stats.bytes, bytes);
	assert_int_equal(l->rxq.stats.packets, packets);
	assert_int_equal(l->rxq.stats.bytes, bytes);
	assert_memory_equal(l->rxq.stats.size_bin, l->txq.stats.size_bin,
			    sizeof(l->rxq.stats.size_bin));
	assert_int_equal(l->rxq.stats.multicast, l->txq.stats.multicast);
	assert_int_equal(link_drops(&l->txq.stats) + link_drops(&l->rxq.stats), 0);
	assert_int_equal(link_errors(&l->txq.stats) + link_errors(&l->rxq.stats), 0);
	assert_int_equal(l->rxq.stats.nombuf, 0);
}
