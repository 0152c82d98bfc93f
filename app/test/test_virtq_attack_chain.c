/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver whose chains are bad: they are dropped, and the ring goes on.
 * Guard pages surround the guest's memory, so that whatever reads or writes outside of it ends the
 * test.
 */
#include "rig_guest_hostile.h"

#define SIZE 8

static struct rte_mbuf *pkts[64];

enum { GOOD_BYTES = 100 };

/* sg is given to the device between two good chains, in every form; it is dropped for `why`. */
static void
bad_chain(const struct rd_sg *sg, uint32_t n, uint64_t features, bool tx, enum vnet_drop why)
{
	struct vnet_stats *stats;
	uint8_t data[128] = {0};
	struct port p;

	for (enum rd_form form = RD_DIRECT; form <= (n > 1 ? RD_MIXED : RD_INDIRECT); form++) {
		port_open(&p, SIZE, features, 128, 1);
		stats = tx ? &p.txq.stats : &p.rxq.stats;
		if (tx)
			port_offer(&p, 128, PLAIN, true);
		else
			port_send(&p, NULL, data, GOOD_BYTES, PLAIN);
		assert_true(rd_add(&p.r, sg, n, form, tx, SIZE - 1) >= 0);
		if (tx)
			port_offer(&p, 128, PLAIN, true);
		else
			port_send(&p, NULL, data, GOOD_BYTES, PLAIN);
		rd_publish(&p.r);
		if (tx) {
			for (int i = 0; i < 3; i++)
				pkts[i] = mbuf_new(GOOD_BYTES, i, SHAPE_LINEAR);
			assert_int_equal(port_tx(&p, pkts, 3), 3);
		} else {
			assert_int_equal(port_rx(&p, pkts, 32), 2);
			rte_pktmbuf_free_bulk(pkts, 2);
		}
		assert_int_equal(p.d.vq->cursor.broken, VIRTQ_OK);
		assert_int_equal(fd_count(p.d.errfd), 0);
		assert_int_equal(stats->drop[why], 1);
		assert_int_equal(stats->packets, 2);
		for (int i = 0; i < 3; i++) {
			assert_int_equal(rd_pop(&p.r, p.done), 1);
			assert_int_equal(p.done->len, tx && i != 1 ? GOOD_BYTES + p.hdr_len : 0);
		}
		port_close(&p);
	}
}

static const uint64_t layouts_of_ring[] = {
	F_V1 | F_INDIRECT, F_V1 | F_INDIRECT | F_MRG, F_V1 | F_INDIRECT | F_PACKED,
	F_V1 | F_INDIRECT | F_PACKED | F_MRG,
};

static void
bad_chain_everywhere(const struct rd_sg *sg, uint32_t n, enum vnet_drop rx, enum vnet_drop tx)
{
	for (int i = 0; i < 4; i++) {
		bad_chain(sg, n, layouts_of_ring[i], false, rx);
		bad_chain(sg, n, layouts_of_ring[i], true, tx);
	}
}

/* Where a guest of port_open(&p, SIZE, ..., 128, 1) ends. */
static uint64_t
end_of_guest(void)
{
	struct port p;
	uint64_t end;

	port_open(&p, SIZE, F_INDIRECT, 128, 1);
	end = GUEST_GPA + p.g.size;
	port_close(&p);
	return end;
}

static void
unmapped_address(void **state)
{
	bad_chain_everywhere(&(struct rd_sg){0x1000, 128}, 1, VNET_DROP_UNMAPPED,
			     VNET_DROP_UNMAPPED);
}

static void
address_and_length_wrap(void **state)
{
	struct rd_sg sg[2] = {{-64ul, 128}, {GUEST_GPA, 64}};

	bad_chain_everywhere(sg, 1, VNET_DROP_UNMAPPED, VNET_DROP_UNMAPPED);
	bad_chain_everywhere(sg, 2, VNET_DROP_UNMAPPED, VNET_DROP_UNMAPPED);
	sg[0] = (struct rd_sg){GUEST_GPA, UINT32_MAX};
	bad_chain_everywhere(sg, 1, VNET_DROP_UNMAPPED, VNET_DROP_UNMAPPED);
	sg[0] = (struct rd_sg){UINT64_MAX, 1};
	bad_chain_everywhere(sg, 1, VNET_DROP_UNMAPPED, VNET_DROP_UNMAPPED);
}

/* CVE-2018-1059: the first byte is mapped, the last is not. */
static void
cve_2018_1059_partly_unmapped(void **state)
{
	uint64_t end = end_of_guest();
	struct rd_sg sg[2] = {{GUEST_GPA, 12}, {end - 100, 101}};

	bad_chain_everywhere(sg + 1, 1, VNET_DROP_UNMAPPED, VNET_DROP_UNMAPPED);
	bad_chain_everywhere(sg, 2, VNET_DROP_UNMAPPED, VNET_DROP_UNMAPPED);
	sg[0] = (struct rd_sg){end - 1, 4096};
	bad_chain_everywhere(sg, 1, VNET_DROP_UNMAPPED, VNET_DROP_UNMAPPED);
}

/* CVE-2020-10725: nothing at an address that is not mapped. */
static void
cve_2020_10725_zero_length_unmapped(void **state)
{
	bad_chain_everywhere(&(struct rd_sg){0x1000, 0}, 1, VNET_DROP_RUNT, VNET_DROP_OVERSIZE);
	bad_chain_everywhere(&(struct rd_sg){UINT64_MAX, 0}, 1, VNET_DROP_RUNT,
			     VNET_DROP_OVERSIZE);
}

/* CVE-2022-2132: the header and nothing more, or less, over one descriptor and over many. */
static void
cve_2022_2132_chain_is_header(void **state)
{
	for (uint32_t total = 0; total <= 12; total++) {
		struct rd_sg sg[6];

		for (uint32_t n = 1; n <= 6; n++) {
			for (uint32_t i = 0; i < n; i++)
				sg[i] = (struct rd_sg){GUEST_GPA + i, total / n};
			sg[n - 1].len += total % n;
			for (int i = 0; i < 4; i++)
				bad_chain(sg, n, layouts_of_ring[i], false, VNET_DROP_RUNT);
		}
	}
}

/*
 * CVE-2026-86566: receive buffers of 0 to 11 bytes, alone and between others; nothing is written
 * in or behind them.
 */
static void
cve_2026_86566_runt_buffers(void **state)
{
	for (uint32_t len = 0; len < 12; len++) {
		uint64_t end = end_of_guest();
		struct rd_sg sg[2] = {{end - len, len}, {GUEST_GPA, 0}};

		/* Behind it is a guard page. */
		for (int i = 0; i < 4; i++) {
			bad_chain(sg, 1, layouts_of_ring[i], true, VNET_DROP_OVERSIZE);
			bad_chain(sg, 2, layouts_of_ring[i], true, VNET_DROP_OVERSIZE);
		}
	}
	for (int i = 0; i < 4; i++) {
		struct rd_sg sg = {end_of_guest() - 11, 11};
		struct port p;

		port_open(&p, SIZE, layouts_of_ring[i], 128, 1);
		for (int k = 0; k < SIZE; k++)
			assert_true(rd_add(&p.r, &sg, 1, RD_DIRECT, true, k) >= 0);
		rd_publish(&p.r);
		memset(guest_ptr(&p.g, sg.gpa), 0xee, 11);
		for (int k = 0; k < SIZE; k++)
			pkts[k] = mbuf_new(64, k, SHAPE_LINEAR);
		assert_int_equal(port_tx(&p, pkts, SIZE), SIZE);
		assert_int_equal(p.txq.stats.drop[VNET_DROP_OVERSIZE], SIZE);
		for (int k = 0; k < SIZE; k++) {
			assert_int_equal(rd_pop(&p.r, p.done), 1);
			assert_int_equal(p.done->len, 0);
		}
		assert_memory_equal(guest_ptr(&p.g, sg.gpa),
				    "\xee\xee\xee\xee\xee\xee\xee\xee\xee\xee\xee", 11);
		port_close(&p);
	}
}

/* The same entries offered twice, so that together they are more than the table has. */
static void
chain_offered_twice(void **state)
{
	struct rte_mbuf *m;
	struct port p;

	port_open(&p, SIZE, F_V1 | F_MRG, 128, 1);
	for (uint16_t i = 0; i < 3; i++)
		split_desc(&p, i, bytes_at(&p), 100, VRING_DESC_F_WRITE |
			   (i < 2 ? VRING_DESC_F_NEXT : 0), (uint16_t)(i + 1));
	for (int i = 0; i < 3; i++)
		p.r.avail->ring[i] = 0;
	p.r.avail->idx = 3;
	m = mbuf_new(1500, 0, SHAPE_LINEAR);
	assert_int_equal(port_tx(&p, &m, 1), 1); /* dropped: there is nothing to wait for */
	assert_int_equal(p.txq.stats.packets, 0);
	assert_int_equal(p.d.vq->cursor.broken, VIRTQ_E_CHAIN_LOOP);
	assert_int_equal(p.txq.stats.error[VIRTQ_E_CHAIN_LOOP], 1);
	assert_int_equal(p.r.used->idx, 0);
	port_close(&p);
}

/* More segments than there is room for, alone in the ring. */
static void
too_many_segments(void **state)
{
	for (int packed = 0; packed < 2; packed++) {
		uint64_t at;
		struct port p;

		guest_new(&p.g, 4096 * 64, 1);
		guest_free(&p.g);
		port_open(&p, 2048, F_V1 | F_INDIRECT | (packed ? F_PACKED : 0), 64, 1);
		at = guest_alloc(&p.g, 2048 * 16, 16);
		p.r.table_gpa = 0;
		for (int i = 0; i < 2048; i++) {
			if (packed)
				((struct vring_packed_desc *)guest_ptr(&p.g, at))[i] =
					(struct vring_packed_desc){GUEST_GPA, 8, 0, 0};
			else
				((struct vring_desc *)guest_ptr(&p.g, at))[i] = (struct vring_desc){
					GUEST_GPA, 8, i < 2047 ? VRING_DESC_F_NEXT : 0,
					(uint16_t)(i + 1)};
		}
		if (packed) {
			packed_desc(&p, at, 2048 * 16, VRING_DESC_F_INDIRECT);
			rd_publish(&p.r);
		} else {
			split_desc(&p, 9, at, 2048 * 16, VRING_DESC_F_INDIRECT, 0);
			p.r.avail->ring[0] = 9;
			p.r.avail->idx = 1;
		}
		assert_int_equal(port_rx(&p, pkts, 32), 0);
		assert_int_equal(p.d.vq->cursor.broken, VIRTQ_OK);
		assert_int_equal(p.rxq.stats.drop[VNET_DROP_OVERSIZE], 1);
		if (!packed)
			assert_int_equal(p.r.used->idx, 1);
		port_close(&p);
	}
}

struct header {
	uint64_t features;
	uint8_t flags, gso_type;
	uint16_t gso_size, csum_start, csum_offset;
	bool ok;
};

#define NEEDS VIRTIO_NET_HDR_F_NEEDS_CSUM
#define TCP4 VIRTIO_NET_HDR_GSO_TCPV4
#define TCP6 VIRTIO_NET_HDR_GSO_TCPV6
#define ECN VIRTIO_NET_HDR_GSO_ECN
#define TSO4 (F_CSUM | F_HOST_TSO4)

/* For a packet of 100 bytes. */
static const struct header headers[] = {
	{F_CSUM, .ok = true},
	{F_CSUM, NEEDS, .csum_start = 34, .csum_offset = 16, .ok = true},
	{F_CSUM, NEEDS, .csum_start = 82, .csum_offset = 16, .ok = true},
	{F_CSUM, NEEDS, .csum_start = 83, .csum_offset = 16},
	/* CVE-2024-11614: the sum would begin beyond the packet. */
	{F_CSUM, NEEDS, .csum_start = 100, .csum_offset = 0},
	{F_CSUM, NEEDS, .csum_start = 101, .csum_offset = 0},
	{F_CSUM, NEEDS, .csum_start = 65535, .csum_offset = 0},
	{F_CSUM, NEEDS, .csum_start = 0, .csum_offset = 65535},
	{F_CSUM, NEEDS, .csum_start = 65535, .csum_offset = 65535},
	{F_CSUM, NEEDS, .csum_start = 65535, .csum_offset = 1},
	{F_CSUM, NEEDS, .csum_start = 0, .csum_offset = 98, .ok = true},
	{F_CSUM, NEEDS, .csum_start = 0, .csum_offset = 99},
	{F_CSUM, NEEDS, .csum_start = 33, .csum_offset = 15, .ok = true}, /* odd */
	{F_CSUM, VIRTIO_NET_HDR_F_DATA_VALID, .ok = true},
	{F_HOST_TSO4, NEEDS, .csum_start = 34, .csum_offset = 16},
	/* Segmentation. */
	{TSO4, NEEDS, TCP4, 1000, 34, 16, .ok = true},
	{TSO4, NEEDS, TCP4, 0, 34, 16},
	{TSO4, 0, TCP4, 1000, 34, 16},
	{TSO4, NEEDS, TCP4 | ECN, 1000, 34, 16},
	{TSO4 | F_HOST_ECN, NEEDS, TCP4 | ECN, 1000, 34, 16, .ok = true},
	{TSO4, NEEDS, ECN, 1000, 34, 16},
	{TSO4, NEEDS, TCP6, 1000, 34, 16},
	{F_CSUM | F_HOST_TSO6, NEEDS, TCP6, 1000, 34, 16, .ok = true},
	{TSO4, NEEDS, VIRTIO_NET_HDR_GSO_UDP, 1000, 34, 6},
	{F_CSUM | F_HOST_UFO, NEEDS, VIRTIO_NET_HDR_GSO_UDP, 1000, 34, 6, .ok = true},
	{TSO4, NEEDS, 5, 1000, 34, 6}, /* GSO_UDP_L4, which Linux 6.1 lacks */
	{TSO4, NEEDS, 2, 1000, 34, 16},
	{TSO4, NEEDS, 0x7f, 1000, 34, 16},
	{F_CSUM, NEEDS, TCP4, 1000, 34, 16},
};

static void
header_fields(void **state)
{
	uint8_t data[100];

	frame_fill(data, sizeof(data), 3);
	for (uint32_t i = 0; i < sizeof(headers) / sizeof(headers[0]) * 4 * NLAYOUTS; i++) {
		const struct header *h = &headers[i / 4 / NLAYOUTS];
		uint64_t ring = i & 1 ? F_PACKED : 0, hdr = i & 2 ? F_V1 : 0;
		struct virtio_net_hdr_mrg_rxbuf vh = {.hdr = {
			.flags = h->flags, .gso_type = h->gso_type, .hdr_len = 54,
			.gso_size = h->gso_size, .csum_start = h->csum_start,
			.csum_offset = h->csum_offset,
		}};
		struct port p;

		port_open(&p, SIZE, h->features | F_INDIRECT | ring | hdr, 128, 1);
		port_send(&p, &vh, data, sizeof(data), &layouts[i / 4 % NLAYOUTS]);
		if (port_rx(&p, pkts, 32) != h->ok)
			fail_msg("header %u", (uint32_t)(h - headers));
		assert_int_equal(p.rxq.stats.drop[VNET_DROP_BAD_HDR], !h->ok);
		assert_int_equal(port_reap(&p), 1);
		if (h->ok)
			rte_pktmbuf_free(pkts[0]);
		assert_int_equal(p.d.vq->cursor.broken, VIRTQ_OK);
		port_close(&p);
	}
}

/* Ids are the driver's own; whatever they are, they come back. */
static void
packed_ids_are_echoed(void **state)
{
	static const uint16_t ids[] = {SIZE, 0xffff, 7, 7, 0x8000};
	struct port p;

	port_open(&p, SIZE, F_V1 | F_PACKED, 128, 1);
	for (int i = 0; i < 5; i++) {
		struct rd_sg sg = {bytes_at(&p), 64};

		rd_put_packed(&p.r, &sg, ids[i], 0);
	}
	rd_publish(&p.r);
	assert_int_equal(port_rx(&p, pkts, 32), 5);
	rte_pktmbuf_free_bulk(pkts, 5);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(p.r.pdesc[i].id, ids[i]);
		assert_int_equal(p.r.pdesc[i].flags >> 7 & 1, 1);
		assert_int_equal(p.r.pdesc[i].flags >> 15, 1);
	}
	port_close(&p);
}

/* An entry is available in its lap only, whatever the others say. */
static void
packed_wrap_lie(void **state)
{
	static const uint16_t lies[] = {0, 1 << 7 | 1 << 15, 1 << 15};
	struct port p;

	for (int i = 0; i < 3; i++) {
		port_open(&p, SIZE, F_V1 | F_PACKED, 128, 1);
		for (int k = 0; k < SIZE; k++)
			p.r.pdesc[k] = (struct vring_packed_desc){bytes_at(&p), 64, 1, lies[i]};
		assert_int_equal(port_rx(&p, pkts, 32), 0);
		assert_int_equal(vnet_ring_count(p.d.ring, &p.d.vq->cursor), 0);
		assert_int_equal(p.d.vq->cursor.broken, VIRTQ_OK);
		port_close(&p);
	}
}

/* An event that is nowhere in the ring: calls may be sent or not, nothing else happens. */
static void
event_nowhere(void **state)
{
	for (uint32_t i = 0; i < 2 * 65536; i += 257) {
		uint8_t data[64] = {0};
		struct port p;

		port_open(&p, SIZE, F_V1 | F_EVENT_IDX | (i & 1 ? F_PACKED : 0), 128, 1);
		if (p.r.packed) {
			p.r.driver_event->off_wrap = (uint16_t)i;
			p.r.driver_event->flags = (uint16_t)(i >> 3);
		} else {
			p.r.avail->ring[SIZE] = (uint16_t)i;
		}
		for (int k = 0; k < 20; k++) {
			port_send(&p, NULL, data, 64, PLAIN);
			assert_int_equal(port_rx(&p, pkts, 32), 1);
			rte_pktmbuf_free(pkts[0]);
			assert_int_equal(port_reap(&p), 1);
		}
		assert_int_equal(p.d.vq->calls + p.d.vq->calls_suppressed, 20);
		port_close(&p);
	}
}

/* A call fd whose counter is full blocks nobody, as long as it is not a blocking one. */
static void
call_fd_saturated(void **state)
{
	for (int packed = 0; packed < 2; packed++) {
		const uint64_t full = UINT64_MAX - 1;
		uint8_t data[64] = {0};
		struct port p;

		port_open(&p, SIZE, F_V1 | (packed ? F_PACKED : 0), 128, 1);
		assert_int_equal(write(p.d.callfd, &full, sizeof(full)), sizeof(full));
		assert_int_equal(write(p.d.errfd, &full, sizeof(full)), sizeof(full));
		port_send(&p, NULL, data, 64, PLAIN);
		assert_int_equal(port_rx(&p, pkts, 32), 1);
		rte_pktmbuf_free(pkts[0]);
		assert_int_equal(port_reap(&p), 1);
		assert_int_equal(p.d.vq->calls, 1);
		/* Full, or beyond (the kernel's mark of an overflow); and nobody waited. */
		assert_true(fd_count(p.d.callfd) >= full);
		port_close(&p);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unmapped_address),
		cmocka_unit_test(address_and_length_wrap),
		cmocka_unit_test(cve_2018_1059_partly_unmapped),
		cmocka_unit_test(cve_2020_10725_zero_length_unmapped),
		cmocka_unit_test(cve_2022_2132_chain_is_header),
		cmocka_unit_test(cve_2026_86566_runt_buffers),
		cmocka_unit_test(chain_offered_twice),
		cmocka_unit_test(too_many_segments),
		cmocka_unit_test(header_fields),
		cmocka_unit_test(packed_ids_are_echoed),
		cmocka_unit_test(packed_wrap_lie),
		cmocka_unit_test(event_nowhere),
		cmocka_unit_test(call_fd_saturated),
	};

	return cmocka_run_group_tests_name("virtq_attack_chain", tests, vnet_setup, vnet_teardown);
}
