/* SPDX-License-Identifier: BSD-3-Clause */
/* Checksums of SCTP packets for a guest: always done for it. */
#include <rte_sctp.h>

#include "rig_guest_packets.h"

static struct rte_mbuf *
sctp_of(const struct pkt *k, enum shape shape, bool tag)
{
	struct rte_mbuf *m = mbuf_of(bytes, bytes_len, shape);

	m->ol_flags |= RTE_MBUF_F_TX_SCTP_CKSUM | (tag ? RTE_MBUF_F_TX_VLAN : 0) |
		       (k->v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4);
	m->l2_len = l2_len;
	m->l3_len = l3_len;
	return m;
}

static void
open_port(struct port *p, uint64_t features)
{
	port_open(p, 256, F_V1 | F_INDIRECT | F_MRG | features, 4000, 3);
	while (port_offer(p, 4000, &layouts[p->nfree % NLAYOUTS], true))
		;
}

/* Bit by bit: RFC 9260, appendix A. */
static uint32_t
crc32c_of(const uint8_t *p, uint32_t len)
{
	uint32_t crc = UINT32_MAX;

	for (; len > 0; p++, len--) {
		crc ^= *p;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

/* No header can leave the checksum of SCTP to a guest. The bytes of the kinds serve as a packet. */
static void
checksum_is_complete(void **state)
{
	const uint32_t field = offsetof(struct rte_sctp_hdr, cksum);

	assert_int_equal(crc32c_of((const uint8_t *)"123456789", 9), 0xe3069283);
	for (uint32_t i = 0; i < NKINDS * SHAPE_MAX * 8; i++) {
		const struct pkt *k = &kinds[i % NKINDS];
		const uint32_t mode = i / NKINDS / SHAPE_MAX, tag = mode & 1 ? 4 : 0;
		const uint32_t padding = mode & 2 ? 6 : 0;
		uint32_t at, csum;
		struct rte_mbuf *m;
		struct port p;

		build(k);
		at = l2_len + l3_len;
		if (bytes_len - at < sizeof(struct rte_sctp_hdr))
			continue;
		memset(bytes + bytes_len, 0x77, padding);
		bytes_len += padding;
		memset(bytes + at + field, 0xa5, sizeof(csum));
		open_port(&p, mode & 4 ? F_GUEST_CSUM : 0);
		m = sctp_of(k, i / NKINDS % SHAPE_MAX, tag);
		if (m->nb_segs == 1)
			assert_int_equal(vnet_tx_prepare(&m, 1), 1);
		rte_pktmbuf_refcnt_update(m, 1);
		assert_int_equal(port_tx(&p, &m, 1), 1);
		assert_true(port_receive(&p, &frame));
		assert_int_equal(frame.len, bytes_len + tag);
		assert_int_equal(frame.hdr.hdr.flags, 0);
		at += tag;
		memcpy(&csum, frame.data + at + field, sizeof(csum));
		memset(frame.data + at + field, 0, sizeof(csum));
		assert_int_equal(csum, crc32c_of(frame.data + at, frame.len - at - padding));
		assert_int_equal(p.txq.stats.sw_csum, 1);
		/* The application's packet, which it kept, is as it was. */
		assert_memory_equal(mbuf_bytes(m), bytes, bytes_len);
		rte_pktmbuf_free(m);
		port_close(&p);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checksum_is_complete),
	};

	return cmocka_run_group_tests_name("vnet_sctp", tests, vnet_setup, vnet_teardown);
}
