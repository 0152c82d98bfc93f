/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver that receives: {layout, order, mergeable, hash} x {what the device says of one buffer} x
 * {where in a burst}. A driver takes packets several at a time as long as nothing is to be said of
 * them. That they are taken so at all is no matter of what is received, and nothing here can tell.
 */
#include "rig_device_hostile.h"

#define ENTRIES 32
#define ROOM 2048 /* bytes of packet that an mbuf takes */
#define ALIKE 60 /* bytes of a packet that is like the others */
#define LEAST RTE_ETHER_HDR_LEN

/* Said to be longer than its buffer; with the header the last ones wrap. */
static const uint32_t longs[] = {
	ROOM + 1, 65535, 65536 + 60, INT32_MAX, 0x80000000u + RTE_ETHER_HDR_LEN - 1,
	0x80000000u + RTE_ETHER_HDR_LEN, 0x80000000u + ROOM, 0x80000000u + ROOM + 1,
	UINT32_MAX - 2 * 20u,
};

/* No buffer of the ring's. */
static const uint32_t ids[] = {ENTRIES, ENTRIES + 1, 255, 32768, 65535, 65536, UINT32_MAX};

/* Header fields that nobody agreed on, or that cannot be, of a packet of 100 bytes. */
#define HEADER_BYTES 100u
static const struct header {
	uint64_t features;
	struct virtio_net_hdr hdr;
	bool good;
} headers[] = {
	{F_GUEST_CSUM, {.flags = 1, .csum_start = 34, .csum_offset = 16}, true},
	{F_CSUM, {.flags = 1, .csum_start = 34, .csum_offset = 16}, false},
	{F_GUEST_CSUM, {.flags = 1, .csum_start = 98, .csum_offset = 0}, true},
	{F_GUEST_CSUM, {.flags = 1, .csum_start = 99, .csum_offset = 0}, false},
	{F_GUEST_CSUM, {.flags = 1, .csum_start = 0, .csum_offset = 99}, false},
	{F_GUEST_CSUM, {.flags = 1, .csum_start = 65535, .csum_offset = 65535}, false},
	{F_GUEST_CSUM, {.flags = 1, .csum_start = 65535, .csum_offset = 1}, false},
	{F_GUEST_CSUM | F_GUEST_TSO4,
	 {.flags = 1, .gso_type = 1, .csum_start = 34, .csum_offset = 16, .gso_size = 10}, true},
	{F_GUEST_CSUM | F_HOST_TSO4,
	 {.flags = 1, .gso_type = 1, .csum_start = 34, .csum_offset = 16, .gso_size = 10}, false},
	{F_GUEST_CSUM | F_GUEST_TSO4,
	 {.flags = 1, .gso_type = 1, .csum_start = 34, .csum_offset = 16, .gso_size = 0}, false},
	{F_GUEST_CSUM | F_GUEST_TSO4,
	 {.flags = 0, .gso_type = 1, .csum_start = 34, .csum_offset = 16, .gso_size = 10}, false},
	{F_GUEST_CSUM | F_GUEST_TSO4,
	 {.flags = 1, .gso_type = 4, .csum_start = 34, .csum_offset = 16, .gso_size = 10}, false},
	{F_GUEST_CSUM | F_GUEST_TSO4,
	 {.flags = 1, .gso_type = 0x81, .csum_start = 34, .csum_offset = 16, .gso_size = 10},
	 false},
	{F_GUEST_CSUM | F_GUEST_TSO4,
	 {.flags = 1, .gso_type = 3, .csum_start = 34, .csum_offset = 16, .gso_size = 10}, false},
	{F_GUEST_CSUM | F_GUEST_TSO4,
	 {.flags = 1, .gso_type = 77, .csum_start = 34, .csum_offset = 16, .gso_size = 10}, false},
	{0, {.flags = 2}, true}, /* verified: not asked, not told, not wrong */
	{0, {.flags = 0xf8}, true}, /* bits to come */
};

/* What is unusual about one of them. */
enum odd {
	NOTHING,
	LENGTH,		/* it is shorter than the others */
	FLAGS,		/* its header says something */
	GSO,		/* what cannot be */
	BUFFERS,	/* mergeable: it has the next one's buffer as well */
	LONG,
	DENSE = LONG + RTE_DIM(longs), /* those before are tried at every place */
	SHORT = DENSE,	/* so many bytes, header and all; one too few to the least that is enough */
	ID = SHORT + 20u + LEAST + 1,
	HEADER = ID + RTE_DIM(ids),
	MERGED = HEADER + RTE_DIM(headers), /* mergeable: the same in two buffers */
	ODDS = MERGED + RTE_DIM(headers)
};

static bool
is(enum odd odd, enum odd first, enum odd behind)
{
	return odd >= first && odd < behind;
}

static bool
is_long(enum odd odd)
{
	return is(odd, LONG, DENSE);
}

static bool
is_short(enum odd odd)
{
	return is(odd, SHORT, ID);
}

static bool
is_id(enum odd odd)
{
	return is(odd, ID, HEADER);
}

/* NULL: it is not about a header. */
static const struct header *
header_of(enum odd odd)
{
	if (odd < HEADER)
		return NULL;
	return &headers[odd < MERGED ? odd - HEADER : odd - MERGED];
}

struct row {
	struct link l;
	struct rdev_held held;
	uint32_t seed;
};

static void
matrix_open(struct row *r, uint64_t features)
{
	r->seed = 0;
	rdev_held_init(&r->held);
	link_open(&r->l, ENTRIES, features, true, small_pool);
	vnet_drv_rx_fill(&r->l.rxq, r->l.drv, r->l.ring);
}

/* The device fills its next buffer with `bytes`, of which the first is `first`, and says `len`. */
static void
matrix_use(struct row *r, const struct virtio_net_hdr_v1_hash *hdr, uint32_t bytes, uint8_t first,
	   uint32_t len)
{
	const struct rdev_chain *c = rdev_held_remove(&r->held, 0);
	uint8_t *frame = link_fill(&r->l, c, hdr, bytes, r->seed++);

	if (bytes > 0)
		frame[0] = first;
	rdev_use(&r->l.rdev, c, r->l.ring->hdr_len + len);
}

static void
matrix_use_odd(struct row *r, enum odd odd)
{
	const uint32_t hdr_len = r->l.ring->hdr_len;
	const struct header *h = header_of(odd);
	struct virtio_net_hdr_v1_hash hdr = {.hdr.num_buffers = 1};
	uint32_t len;

	if (h != NULL)
		memcpy(&hdr, &h->hdr, sizeof(h->hdr));
	if (odd == BUFFERS || odd >= MERGED)
		hdr.hdr.num_buffers = 2;
	if (odd == FLAGS)
		hdr.hdr.flags = VIRTIO_NET_HDR_F_DATA_VALID;
	if (odd == GSO)
		hdr.hdr.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	if (h != NULL) {
		/* Of a packet in two buffers the second has as much as the others. */
		len = odd < MERGED ? HEADER_BYTES : HEADER_BYTES - ALIKE - hdr_len;
		matrix_use(r, &hdr, len, 2, len);
	} else if (is_long(odd)) {
		matrix_use(r, &hdr, ROOM, 2, longs[odd - LONG]);
	} else if (is_short(odd)) {
		len = odd - SHORT;
		/* What the header says where there is none does not matter. */
		if (len < hdr_len)
			hdr.hdr.num_buffers = 9;
		matrix_use(r, &hdr, LEAST, 2, len - hdr_len);
	} else if (is_id(odd)) {
		rdev_lie(&r->l.rdev, ids[odd - ID], hdr_len + ALIKE, 1, 1);
		rdev_held_remove(&r->held, 0);
	} else {
		len = ALIKE - (odd == LENGTH);
		matrix_use(r, &hdr, len, 2, len);
	}
}

/* All that is there, in as many bursts as it takes. */
static uint16_t
matrix_receive(struct row *r, struct rte_mbuf **got)
{
	uint16_t n = 0, more;

	while ((more = link_rx(&r->l, got + n, ENTRIES - n)) > 0)
		n += more;
	return n;
}

static uint32_t
length_of(enum odd odd)
{
	if (odd == LENGTH)
		return ALIKE - 1;
	if (is_short(odd))
		return LEAST;
	if (odd >= HEADER)
		return HEADER_BYTES;
	return is_long(odd) ? ROOM : ALIKE;
}

/* What becomes of a burst in which one is unlike the others. */
struct fate {
	bool merged;		/* it and the next one are one packet */
	bool whole;		/* all of its buffers come */
	bool runt, refused;
	uint16_t gone;		/* packets that do not come */
	uint16_t expected;	/* that do */
};

static struct fate
fate_of(const struct row *r, uint16_t n, uint16_t place, enum odd odd)
{
	const bool mergeable = r->l.ring->features & F_MRG;
	const struct header *h = header_of(odd);
	struct fate f = {
		.merged = (odd == BUFFERS || odd >= MERGED) && mergeable,
		.runt = is_short(odd) && odd < SHORT + LEAST + (enum odd)r->l.ring->hdr_len,
		.refused = odd == GSO || (h != NULL && !h->good),
	};

	f.whole = !f.merged || place + 1 < n;
	f.gone = f.merged || f.runt || f.refused;
	if (f.merged && f.whole && f.refused)
		f.gone = 2;
	f.expected = is_id(odd) ? place : n - f.gone;
	return f;
}

/* A packet that is there, number `at` of those that the device made. */
static void
expect_alike(const struct row *r, struct rte_mbuf *m, uint32_t seed, enum odd odd)
{
	const uint64_t verified = odd == FLAGS && r->l.ring->features & F_GUEST_CSUM ?
				  RTE_MBUF_F_RX_L4_CKSUM_GOOD : 0;
	const uint32_t len = length_of(odd);
	uint8_t frame[ROOM];

	frame_fill(frame, is_short(odd) ? LEAST : len, seed);
	frame[0] = 2;
	assert_int_equal(m->pkt_len, len);
	assert_int_equal(m->data_len, len);
	assert_true(m->data_off + m->data_len <= m->buf_len);
	assert_int_equal(m->nb_segs, 1);
	assert_int_equal(m->port, 7);
	assert_int_equal(m->vlan_tci, 0);
	assert_int_equal(rte_mbuf_refcnt_read(m), 1);
	if (odd < HEADER) { /* others may have had a checksum completed */
		assert_memory_equal(rte_pktmbuf_mtod(m, uint8_t *), frame, len);
		assert_int_equal(m->packet_type, 0);
		assert_int_equal(m->ol_flags, verified);
	}
}

/* A ring that has moved on by `before`. */
static void
row_open_at(struct row *r, uint64_t features, uint16_t before)
{
	const struct virtio_net_hdr_v1_hash plain = {.hdr.num_buffers = 1};
	struct rte_mbuf *got[ENTRIES];

	matrix_open(r, features);
	rdev_held_fetch_all(&r->held, &r->l.rdev);
	for (uint16_t i = 0; i < before; i++)
		matrix_use(r, &plain, ALIKE, 2, ALIKE);
	assert_int_equal(matrix_receive(r, got), before);
	rte_pktmbuf_free_bulk(got, before);
	rdev_held_fetch_all(&r->held, &r->l.rdev);
}

static void
one_odd(uint64_t features, uint16_t before, uint16_t n, uint16_t place, enum odd odd)
{
	struct rte_mbuf *got[ENTRIES];
	uint64_t bytes = 0;
	static struct row r;
	struct fate f;

	row_open_at(&r, features, before);
	f = fate_of(&r, n, place, odd);
	for (uint16_t i = 0; i < n; i++)
		matrix_use_odd(&r, i == place ? odd : NOTHING);
	if (matrix_receive(&r, got) != f.expected)
		fail_msg("ring %lx, %u at %u of %u", features, odd, place, n);
	for (uint16_t i = 0; i < f.expected; i++) {
		const bool two = f.merged && !f.refused;
		const uint16_t at = i + (i >= place + two ? f.gone : 0);

		bytes += got[i]->pkt_len;
		if (two && i == place) {
			assert_int_equal(got[i]->pkt_len, odd < MERGED ?
					 2u * ALIKE + r.l.ring->hdr_len : HEADER_BYTES);
			assert_int_equal(got[i]->nb_segs, 2);
			continue;
		}
		expect_alike(&r, got[i], before + at, at == place ? odd : NOTHING);
	}
	assert_int_equal(r.l.rxq.stats.packets, before + f.expected);
	assert_int_equal(r.l.rxq.stats.bytes, ALIKE * before + bytes);
	assert_int_equal(r.l.rxq.stats.drop[VNET_DROP_RUNT], f.runt);
	assert_int_equal(r.l.rxq.stats.drop[VNET_DROP_BAD_HDR], f.refused && f.whole);
	assert_int_equal(link_drops(&r.l.rxq.stats), f.runt || (f.refused && f.whole));
	if (is_id(odd))
		expect_broken(&r.l, VIRTQ_E_USED_ID);
	else
		assert_int_equal(link_errors(&r.l.rxq.stats), 0);
	rte_pktmbuf_free_bulk(got, f.expected);
	link_end(&r.l);
}

static bool
can_be_said(uint64_t ring, enum odd odd)
{
	const uint32_t hdr_len = ring & F_HASH_REPORT ? 20 : ring & (F_V1 | F_MRG) ? 12 : 10;

	if (is_short(odd) && odd - SHORT > hdr_len + LEAST)
		return false;
	if (is_id(odd) && ring & F_PACKED && ids[odd - ID] > UINT16_MAX)
		return false;
	return odd < MERGED || ring & F_MRG;
}

static uint64_t
features_for(uint64_t ring, enum odd odd)
{
	const struct header *h = header_of(odd);

	return ring | (h != NULL ? h->features : F_GUEST_CSUM);
}

static void
one_unlike_the_others(void **state)
{
	for (uint32_t i = 0; i < NRINGS * DENSE; i++) {
		const uint64_t features = features_for(rings[i / DENSE], i % DENSE);

		for (uint16_t before = 0; before < 8; before += 3)
			for (uint16_t n = 1; n < 14; n += 4)
				for (uint16_t place = 0; place < n; place++)
					one_odd(features, before, n, place, i % DENSE);
		expect_all_mbufs();
	}
}

/* The same where a burst goes over the end of the ring. */
static void
one_unlike_the_others_at_the_end(void **state)
{
	for (uint32_t i = 0; i < NRINGS * DENSE; i++) {
		for (uint16_t before = ENTRIES - 8; before < ENTRIES; before += 2)
			for (uint16_t place = 0; place < 9; place++)
				one_odd(features_for(rings[i / DENSE], i % DENSE), before, 9, place,
					i % DENSE);
		expect_all_mbufs();
	}
}

/* What breaks a ring, or a packet alone, before and behind others, and over the end. */
static void
one_that_cannot_be(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		for (enum odd odd = DENSE; odd < ODDS; odd++) {
			const uint64_t features = features_for(rings[i], odd);

			if (!can_be_said(rings[i], odd))
				continue;
			one_odd(features, 0, 1, 0, odd);
			for (uint16_t place = 0; place < 9; place += 2)
				one_odd(features, place % 4 ? ENTRIES - 4 : 0, 9, place, odd);
			expect_all_mbufs();
		}
	}
}

/* Lengths on both sides of each border, and the first byte of an address of each kind. */
static const uint32_t lengths[] = {
	14, 63, 64, 65, 127, 128, 255, 256, 511, 512, 1023, 1024, 1518, 1519, 2048,
};

static unsigned int
bin_of(uint32_t len)
{
	static const uint32_t most[] = {64, 127, 255, 511, 1023, 1518, UINT32_MAX};
	unsigned int bin = 0;

	while (len > most[bin])
		bin++;
	return bin;
}

static void
expect_counts(uint64_t features, uint64_t *x)
{
	const struct virtio_net_hdr_v1_hash plain = {.hdr.num_buffers = 1};
	uint64_t bins[VNET_SIZE_BINS] = {0}, bytes = 0, packets = 0, multicast = 0;
	static struct row r;

	matrix_open(&r, features);
	for (int round = 0; round < 40; round++) {
		struct rte_mbuf *got[ENTRIES];
		uint32_t len = lengths[rd_random(x) % RTE_DIM(lengths)];
		uint16_t n;

		rdev_held_fetch_all(&r.held, &r.l.rdev);
		for (n = 0; r.held.n > 0; n++) {
			const bool group = rd_random(x) % 16 == 0;

			/* Neighbours of one length, now and then of two. */
			if (rd_random(x) % 8 == 0)
				len = lengths[rd_random(x) % RTE_DIM(lengths)];
			matrix_use(&r, &plain, len, group ? 1 : 2, len);
			bins[bin_of(len)]++;
			bytes += len;
			multicast += group;
		}
		packets += n;
		assert_int_equal(matrix_receive(&r, got), n);
		rte_pktmbuf_free_bulk(got, n);
	}
	assert_memory_equal(r.l.rxq.stats.size_bin, bins, sizeof(bins));
	assert_int_equal(r.l.rxq.stats.multicast, multicast);
	assert_int_equal(r.l.rxq.stats.broadcast, 0);
	assert_int_equal(r.l.rxq.stats.bytes, bytes);
	assert_int_equal(r.l.rxq.stats.packets, packets);
	link_close(&r.l);
}

static void
every_packet_counted(void **state)
{
	uint64_t x = 5;

	for (uint32_t i = 0; i < NRINGS; i++)
		expect_counts(rings[i], &x);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_unlike_the_others),
		cmocka_unit_test(one_unlike_the_others_at_the_end),
		cmocka_unit_test(one_that_cannot_be),
		cmocka_unit_test(every_packet_counted),
	};

	return cmocka_run_group_tests_name("vnet_drv_matrix", tests, vnet_setup, vnet_teardown);
}
