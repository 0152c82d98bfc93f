/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes of a packet, wherever they lie in its chain of mbufs. */
#ifndef VNET_MBUF_H
#define VNET_MBUF_H

#include <rte_byteorder.h>
#include <rte_ip.h>
#include <rte_mbuf.h>

/*
 * Ones' complement sum of bytes [off, off + len), which the packet has, folded to 16 bits.
 * rte_raw_cksum_mbuf() loses carries behind a segment of odd length (DPDK 22.11).
 */
static inline uint16_t
vnet_mbuf_sum(const struct rte_mbuf *m, uint32_t off, uint32_t len)
{
	uint32_t sum = 0, done = 0;

	for (; len > 0 && off >= m->data_len; m = m->next)
		off -= m->data_len;
	for (; len > done; m = m->next) {
		uint32_t part = RTE_MIN(len - done, m->data_len - off);
		uint16_t s = rte_raw_cksum(rte_pktmbuf_mtod_offset(m, const void *, off), part);

		sum += done & 1 ? rte_bswap16(s) : s;
		done += part;
		off = 0;
	}
	return __rte_raw_cksum_reduce(sum);
}

static inline void
vnet_mbuf_store16(struct rte_mbuf *m, uint32_t off, uint16_t value)
{
	const uint8_t *bytes = (const uint8_t *)&value;

	for (unsigned int i = 0; i < 2; i++, off++) {
		while (off >= m->data_len) {
			off -= m->data_len;
			m = m->next;
		}
		*rte_pktmbuf_mtod_offset(m, uint8_t *, off) = bytes[i];
	}
}

#endif /* VNET_MBUF_H */
