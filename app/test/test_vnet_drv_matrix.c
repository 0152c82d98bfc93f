/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver that receives takes packets several at a time as long as nothing is to be said of them.
 * Here one of a burst is unlike the others, in each way and at each place. That they are taken so
 * at all is no matter of what is received, and nothing here can tell.
 */
#include "rig_device_hostile.h"

#define ENTRIES 32
#define ROOM 2048 /* bytes of packet that an mbuf takes */

/* What is unusual about one of them. */
enum odd {
	NOTHING,
	LENGTH,		/* it is shorter than the others */
	LONG,		/* said to be longer than its buffer, see long_lengths */
	LONG_LAST = LONG + 6,
	RUNT,
	HALF_HEADER,	/* there is not even all of a header */
	NO_HEADER,
	FLAGS,		/* its header says something */
	GSO,		/* what cannot be */
	BUFFERS,	/* mergeable: it has the next one's buffer as well */
	ID,		/* the entry names no buffer of the ring */
	ODDS
};

#define HASH_HDR ((uint32_t)sizeof(struct virtio_net_hdr_v1_hash))

static const uint32_t long_lengths[] = {
	ROOM + 1, INT32_MAX, 0x80000000u + RTE_ETHER_HDR_LEN - 1, 0x80000000u + RTE_ETHER_HDR_LEN,
	0x80000000u + ROOM, 0x80000000u + ROOM + 1, UINT32_MAX - 2 * HASH_HDR,
};

struct row {
	struct link l;
	struct rdev_chain c[ENTRIES + 1]; /* what the device holds, and one to look for more */
	uint16_t next, n;
	uint32_t seed;
};

static void
row_open(struct row *r, uint64_t features)
{
	memset(r, 0, sizeof(*r));
	link_open(&r->l, ENTRIES, features, true, small_pool);
	vnet_drv_rx_fill(&r->l.rxq, r->l.drv, r->l.ring);
}

static void
row_fetch(struct row *r)
{
	r->n -= r->next;
	memmove(r->c, &r->c[r->next], r->n * sizeof(r->c[0]));
	r->next = 0;
	while (rdev_fetch(&r->l.rdev, &r->c[r->n]))
		r->n++;
}

/* The device fills its next buffer with `bytes`, of which the first is `first`, and says `len`. */
static void
row_use(struct row *r, const struct virtio_net_hdr_mrg_rxbuf *hdr, uint32_t bytes, uint8_t first,
	uint32_t len)
{
	const uint32_t hdr_len = r->l.ring->hdr_len;
	struct rdev_chain *c = &r->c[r->next++];
	uint8_t *at = (void *)(uintptr_t)c->sg[0].addr;

	assert_true(r->next <= r->n);
	memset(at, 0, hdr_len);
	memcpy(at, hdr, RTE_MIN(sizeof(*hdr), hdr_len));
	frame_fill(at + hdr_len, bytes, r->seed++);
	if (bytes > 0)
		at[hdr_len] = first;
	rdev_use(&r->l.rdev, c, hdr_len + len);
}

static bool
is_long(enum odd odd)
{
	return odd >= LONG && odd <= LONG_LAST;
}

static void
row_use_odd(struct row *r, enum odd odd, uint32_t bytes)
{
	struct virtio_net_hdr_mrg_rxbuf hdr = {.num_buffers = odd == BUFFERS ? 2 : 1};

	if (odd == FLAGS)
		hdr.hdr.flags = VIRTIO_NET_HDR_F_DATA_VALID;
	if (odd == GSO)
		hdr.hdr.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	if (is_long(odd)) {
		row_use(r, &hdr, ROOM, 2, long_lengths[odd - LONG]);
		return;
	}
	switch (odd) {
	case ID:
		rdev_lie(&r->l.rdev, UINT16_MAX, r->l.ring->hdr_len + bytes, 1, 1);
		r->next++;
		return;
	case LENGTH:
		row_use(r, &hdr, bytes - 1, 2, bytes - 1);
		return;
	case RUNT:
		row_use(r, &hdr, RTE_ETHER_HDR_LEN - 1, 2, RTE_ETHER_HDR_LEN - 1);
		return;
	case HALF_HEADER:
		row_use(r, &hdr, 0, 0, -1u);
		return;
	case NO_HEADER:
		row_use(r, &hdr, 0, 0, -(uint32_t)r->l.ring->hdr_len);
		return;
	default:
		row_use(r, &hdr, bytes, 2, bytes);
	}
}

/* All that is there, in as many bursts as it takes. */
static uint16_t
row_receive(struct row *r, struct rte_mbuf **got)
{
	uint16_t n = 0, more;

	while ((more = link_rx(&r->l, got + n, ENTRIES - n)) > 0)
		n += more;
	return n;
}

static uint32_t
length_of(enum odd odd, uint32_t bytes)
{
	if (odd == LENGTH)
		return bytes - 1;
	return is_long(odd) ? ROOM : bytes;
}

static void
one_odd(uint64_t features, uint16_t before, uint16_t n, uint16_t place, enum odd odd)
{
	const bool runt = odd == RUNT || odd == HALF_HEADER || odd == NO_HEADER;
	const bool merged = odd == BUFFERS && features & F_MRG;
	const bool gone = runt || odd == GSO || merged;
	const uint16_t expected = odd == ID ? place : n - gone;
	const struct virtio_net_hdr_mrg_rxbuf plain = {.num_buffers = 1};
	struct rte_mbuf *got[ENTRIES];
	uint64_t bytes = 0;
	struct row r;

	/* The ring has moved on. */
	row_open(&r, features);
	row_fetch(&r);
	for (uint16_t i = 0; i < before; i++)
		row_use(&r, &plain, 60, 2, 60);
	assert_int_equal(row_receive(&r, got), before);
	rte_pktmbuf_free_bulk(got, before);
	row_fetch(&r);

	for (uint16_t i = 0; i < n; i++)
		row_use_odd(&r, i == place ? odd : NOTHING, 60);
	assert_int_equal(row_receive(&r, got), expected);
	for (uint16_t i = 0; i < expected; i++) {
		const uint16_t at = i + (gone && i >= place + merged);
		const uint32_t len = at == place ? length_of(odd, 60) : 60;
		const uint64_t verified = features & F_GUEST_CSUM && odd == FLAGS && at == place ?
			RTE_MBUF_F_RX_L4_CKSUM_GOOD : 0;
		uint8_t *data = rte_pktmbuf_mtod(got[i], uint8_t *), frame[ROOM];

		bytes += got[i]->pkt_len;
		if (merged && i == place) {
			assert_int_equal(got[i]->pkt_len, 120 + r.l.ring->hdr_len);
			assert_int_equal(got[i]->nb_segs, 2);
			continue;
		}
		frame_fill(frame, len, before + at);
		frame[0] = 2;
		assert_int_equal(got[i]->pkt_len, len);
		assert_int_equal(got[i]->data_len, len);
		assert_int_equal(got[i]->nb_segs, 1);
		assert_int_equal(got[i]->port, 7);
		assert_int_equal(got[i]->vlan_tci, 0);
		assert_int_equal(got[i]->packet_type, 0);
		assert_int_equal(got[i]->ol_flags, verified);
		assert_int_equal(rte_mbuf_refcnt_read(got[i]), 1);
		assert_memory_equal(data, frame, len);
	}
	assert_int_equal(r.l.rxq.stats.packets, before + expected);
	assert_int_equal(r.l.rxq.stats.bytes, 60 * before + bytes);
	assert_int_equal(r.l.rxq.stats.drop[VNET_DROP_RUNT], runt);
	assert_int_equal(r.l.rxq.stats.drop[VNET_DROP_BAD_HDR], odd == GSO);
	assert_int_equal(link_drops(&r.l.rxq.stats), runt || odd == GSO);
	if (odd == ID)
		expect_broken(&r.l, VIRTQ_E_USED_ID);
	else
		assert_int_equal(link_errors(&r.l.rxq.stats), 0);
	rte_pktmbuf_free_bulk(got, expected);
	link_close(&r.l);
}

static void
one_unlike_the_others(void **state)
{
	for (uint32_t i = 0; i < NRINGS * ODDS; i++) {
		const uint64_t features = rings[i / ODDS] | F_GUEST_CSUM;

		for (uint16_t before = 0; before < 8; before += 3)
			for (uint16_t n = 1; n < 14; n += 4)
				for (uint16_t place = 0; place < n; place++)
					one_odd(features, before, n, place, i % ODDS);
	}
}

/* The same where a burst goes over the end of the ring. */
static void
one_unlike_the_others_at_the_end(void **state)
{
	for (uint32_t i = 0; i < NRINGS * ODDS; i++)
		for (uint16_t before = ENTRIES - 8; before < ENTRIES; before += 2)
			for (uint16_t place = 0; place < 9; place++)
				one_odd(rings[i / ODDS] | F_GUEST_CSUM, before, 9, place, i % ODDS);
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
	const struct virtio_net_hdr_mrg_rxbuf plain = {.num_buffers = 1};
	uint64_t bins[VNET_SIZE_BINS] = {0}, bytes = 0, packets = 0, multicast = 0;
	struct row r;

	row_open(&r, features);
	for (int round = 0; round < 40; round++) {
		struct rte_mbuf *got[ENTRIES];
		uint32_t len = lengths[rd_random(x) % RTE_DIM(lengths)];
		uint16_t n;

		row_fetch(&r);
		for (n = 0; n < r.n; n++) {
			const bool group = rd_random(x) % 16 == 0;

			/* Neighbours of one length, now and then of two. */
			if (rd_random(x) % 8 == 0)
				len = lengths[rd_random(x) % RTE_DIM(lengths)];
			row_use(&r, &plain, len, group ? 1 : 2, len);
			bins[bin_of(len)]++;
			bytes += len;
			multicast += group;
		}
		packets += n;
		assert_int_equal(row_receive(&r, got), n);
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
		cmocka_unit_test(every_packet_counted),
	};

	return cmocka_run_group_tests_name("vnet_drv_batch", tests, vnet_setup, vnet_teardown);
}
