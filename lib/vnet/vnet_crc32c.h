/* SPDX-License-Identifier: BSD-3-Clause */
/* The checksum of SCTP. RFC 9260, section 6.8 and appendix A. */
#ifndef VNET_CRC32C_H
#define VNET_CRC32C_H

#include <string.h>

#include <rte_hash_crc.h>
#include <rte_mbuf.h>

#define VNET_CRC32C_BEGIN UINT32_MAX

/* Go on with len bytes at any address. */
static inline uint32_t
vnet_crc32c(const uint8_t *p, uint32_t len, uint32_t crc)
{
	uint64_t word;

	for (; len >= sizeof(word); p += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		crc = rte_hash_crc_8byte(word, crc);
	}
	while (len-- > 0)
		crc = rte_hash_crc_1byte(*p++, crc);
	return crc;
}

/* Go on with bytes [off, off + len) of a packet, which has them. */
static inline uint32_t
vnet_crc32c_mbuf(const struct rte_mbuf *m, uint32_t off, uint32_t len, uint32_t crc)
{
	for (; len > 0; m = m->next) {
		const uint32_t part = off < m->data_len ? RTE_MIN(len, m->data_len - off) : 0;

		if (part > 0)
			crc = vnet_crc32c(rte_pktmbuf_mtod_offset(m, const uint8_t *, off), part,
					  crc);
		off -= RTE_MIN(off, m->data_len);
		len -= part;
	}
	return crc;
}

/* As the packet carries it. */
static inline rte_le32_t
vnet_crc32c_end(uint32_t crc)
{
	return rte_cpu_to_le_32(~crc);
}

#endif /* VNET_CRC32C_H */
