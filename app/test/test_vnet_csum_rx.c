/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checksums that guests ask for: a packet of one plain buffer, which goes the fast way, must come
 * out as the general function makes it, whatever it is and whatever its header says.
 */
#include "rig_guest_any.h"
#include "vnet_impl.h"
#include "rig_guest_zc.h"
#include "vnet_isa.h"

#define SLOTS 64
#define SLOT_BYTES (ANY_MAX + 101)	/* odd, so that addresses are of all kinds */

static const uint64_t csum_rings[] = {
	F_V1 | F_CSUM,
	F_CSUM,
	F_V1 | F_CSUM | F_IN_ORDER,
	F_V1 | F_CSUM | F_PACKED,
	F_V1 | F_CSUM | F_PACKED | F_IN_ORDER,
	F_CSUM | F_PACKED,
	/* The header is looked at, and must not ask for a checksum. */
	F_V1 | F_HOST_TSO4,
	F_V1 | F_HOST_TSO4 | F_PACKED,
	0,
};

static const uint32_t modes[] = {
	0, VNET_F_PARTIAL_CSUM, VNET_F_LEGACY_OL, VNET_F_PARTIAL_CSUM | VNET_F_LEGACY_OL,
};

/* A packet on its way, and what has to become of it. */
struct sent {
	struct any f;
	struct virtio_net_hdr_mrg_rxbuf hdr;
	enum {SENT_GOOD, SENT_RUNT, SENT_BAD} fate;
	uint16_t buf;
};

struct rig {
	struct port p;
	uint64_t features;
	bool attach;
	struct sent sent[SLOTS];
	uint32_t n;
	uint64_t good, runts, bad, sums, csums;	/* sums: as the general function counts them */
};

static void
rig_open(struct rig *r, const struct vnet_isa_ops_table *ops, uint64_t features, uint32_t flags,
	 bool attach)
{
	memset(r, 0, sizeof(*r));
	r->features = features;
	r->attach = attach;
	if (attach) {
		zc_open(&r->p, SLOTS, features, SLOT_BYTES, flags);
		r->p.rx = ops->dev_rx_select(r->p.d.ring, VNET_F_ZERO_COPY, NULL);
	} else {
		port_open(&r->p, SLOTS, features, SLOT_BYTES, 1);
		r->p.rxq.flags |= flags;
		r->p.rx = ops->dev_rx_select(r->p.d.ring, r->p.rxq.flags, NULL);
	}
}

static void
rig_close(struct rig *r)
{
	const struct vnet_stats *s = &r->p.rxq.stats;

	assert_int_equal(s->packets, r->good);
	assert_int_equal(s->drop[VNET_DROP_RUNT], r->runts);
	assert_int_equal(s->drop[VNET_DROP_BAD_HDR], r->bad);
	assert_int_equal(s->sw_csum, r->sums);
	for (int i = 0; i < VNET_DROP_MAX; i++)
		assert_true(s->drop[i] == 0 || i == VNET_DROP_RUNT || i == VNET_DROP_BAD_HDR);
	if (r->attach)
		zc_close(&r->p);
	else
		port_close(&r->p);
}

/* Where a guest says that the checksum is: mostly where it belongs, or somewhere, or nowhere. */
static void
place_csum(struct sent *s, uint64_t *x)
{
	struct virtio_net_hdr *h = &s->hdr.hdr;
	const uint32_t end = s->f.len - 2;

	h->csum_start = s->f.l2_len + s->f.l3_len;
	h->csum_offset = any_field(s->f.udp);
	switch (rd_random(x) % 12) {
	case 0: /* in the other protocol's place */
		h->csum_offset = any_field(!s->f.udp);
		break;
	case 1: /* that of a packet further inside */
		h->csum_start += 8 + 14 + 20;
		break;
	case 2:
		h->csum_start = (uint16_t)(rd_random(x) % s->f.len);
		h->csum_offset = (uint16_t)(rd_random(x) % 20);
		break;
	case 3: /* at the very end, or up to three bytes behind it */
		h->csum_start = (uint16_t)(rd_random(x) % (end + 1));
		h->csum_offset = (uint16_t)(end - h->csum_start + rd_random(x) % 4);
		break;
	case 4: /* so far behind the end that the sum has 17 bits */
		h->csum_start = (uint16_t)(UINT16_MAX - rd_random(x) % 100);
		h->csum_offset = (uint16_t)(end - h->csum_start);
		break;
	case 5:
		h->csum_start = UINT16_MAX;
		h->csum_offset = (uint16_t)(UINT16_MAX - rd_random(x) % 4);
		break;
	}
}

static void
make(struct rig *r, struct sent *s, uint32_t len, uint64_t *x)
{
	struct virtio_net_hdr *h = &s->hdr.hdr;

	any_frame(&s->f, len, x);
	memset(&s->hdr, 0, sizeof(s->hdr));
	h->hdr_len = (uint16_t)rd_random(x);
	h->gso_size = (uint16_t)rd_random(x);
	s->hdr.num_buffers = (uint16_t)rd_random(x);
	place_csum(s, x);
	h->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	switch (rd_random(x) % 24) {
	case 0:
		h->flags = 0;
		break;
	case 1:
		h->flags = VIRTIO_NET_HDR_F_DATA_VALID;
		break;
	case 2:
		h->flags |= (uint8_t)(rd_random(x) & 0xfe);
		break;
	case 3:
		h->gso_type = VIRTIO_NET_HDR_GSO_TCPV6; /* not negotiated */
		break;
	case 4:
		s->f.len = rd_random(x) % ANY_MIN;
		break;
	}
}

/* What the header asks for cannot be; or nobody looks at the header. */
static void
judge(struct rig *r, struct sent *s)
{
	const struct virtio_net_hdr *h = &s->hdr.hdr;
	const bool csum = h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;
	const uint64_t end = (uint64_t)h->csum_start + h->csum_offset + 2;

	s->fate = SENT_GOOD;
	if (s->f.len < ANY_MIN)
		s->fate = SENT_RUNT;
	else if (h->gso_type != VIRTIO_NET_HDR_GSO_NONE)
		s->fate = SENT_BAD;
	else if (csum && (!(r->features & F_CSUM) || end > s->f.len))
		s->fate = SENT_BAD;
	r->good += s->fate == SENT_GOOD;
	r->runts += s->fate == SENT_RUNT;
	r->bad += s->fate == SENT_BAD;
}

static void
send_any(struct rig *r, uint32_t len, uint64_t *x)
{
	struct sent *s = &r->sent[r->n++];

	make(r, s, len, x);
	judge(r, s);
	s->buf = r->p.free_buf[r->p.nfree - 1];
	assert_true(port_send(&r->p, &s->hdr, s->f.data, s->f.len, PLAIN));
}

static void
expect_same(const struct rte_mbuf *m, const struct rte_mbuf *as)
{
	const char *why;

	assert_int_equal(rte_mbuf_check(m, 1, &why), 0);
	assert_int_equal(m->nb_segs, 1);
	assert_int_equal(m->port, 7);
	assert_int_equal(m->data_len, as->data_len);
	assert_int_equal(m->pkt_len, as->pkt_len);
	assert_memory_equal(rte_pktmbuf_mtod(m, void *), rte_pktmbuf_mtod(as, void *),
			    as->data_len);
	assert_int_equal(m->packet_type, as->packet_type);
	assert_int_equal(m->ol_flags & ~RTE_MBUF_F_EXTERNAL, as->ol_flags);
	assert_int_equal(m->vlan_tci, 0);
	if (as->ol_flags & RTE_MBUF_F_TX_L4_MASK) {
		assert_int_equal(m->l2_len, as->l2_len);
		assert_int_equal(m->l3_len, as->l3_len);
	}
}

/* The sum, where one was put in, is right as well. */
static void
expect_sum(const struct rte_mbuf *m, const struct sent *s)
{
	const uint32_t start = s->hdr.hdr.csum_start, at = start + s->hdr.hdr.csum_offset;
	const uint16_t sum = plain_csum(s->f.data + start, s->f.len - start);

	assert_memory_equal(rte_pktmbuf_mtod_offset(m, void *, at), &sum, sizeof(sum));
}

static void
expect_packet_of(struct rig *r, struct rte_mbuf *m, const struct sent *s)
{
	struct vnet_hdr h = {.flags = s->hdr.hdr.flags, .csum_start = s->hdr.hdr.csum_start,
			     .csum_offset = s->hdr.hdr.csum_offset};
	struct rte_mbuf *as = mbuf_of(s->f.data, s->f.len, SHAPE_LINEAR);
	struct vnet_rxq general = {.flags = r->p.rxq.flags};

	if (h.flags != 0)
		vnet_offload_rx(&general, &h, as);
	expect_same(m, as);
	if ((m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD)
		expect_sum(m, s);
	r->sums += general.stats.sw_csum;
	r->csums += h.flags == VIRTIO_NET_HDR_F_NEEDS_CSUM;
	rte_pktmbuf_free(as);
}

/* In bursts of any size: what is good comes, in order, and the guest's buffers are only read. */
static void
receive_all(struct rig *r, uint64_t *x)
{
	uint64_t good = r->p.rxq.stats.packets;
	uint32_t k = 0;

	while (good < r->good) {
		struct rte_mbuf *pkts[SLOTS];
		uint16_t n = port_rx(&r->p, pkts, 1 + rd_random(x) % SLOTS);

		for (uint16_t i = 0; i < n; i++, k++) {
			while (r->sent[k].fate != SENT_GOOD)
				k++;
			expect_packet_of(r, pkts[i], &r->sent[k]);
		}
		rte_pktmbuf_free_bulk(pkts, n);
		good += n;
	}
	for (struct rte_mbuf *none; r->attach || k < r->n; k++)
		if (port_rx(&r->p, &none, 1) == 0 && k >= r->n)
			break;
	port_reap(&r->p);
	assert_int_equal(rd_pending(&r->p.r), 0);
	for (k = 0; k < r->n; k++) {
		const uint8_t *at = guest_ptr(&r->p.g, r->p.buf[r->sent[k].buf].gpa);

		assert_memory_equal(at + r->p.hdr_len, r->sent[k].f.data, r->sent[k].f.len);
	}
	r->n = 0;
}

/* Frames of every length. */
static void
every_length(const struct vnet_isa_ops_table *ops, uint64_t features, uint32_t flags, bool attach)
{
	uint64_t x = features * 5 + flags + attach;
	static struct rig r;

	rig_open(&r, ops, features, flags, attach);
	for (uint32_t len = ANY_MIN; len <= ANY_MAX;) {
		uint32_t n = 1 + rd_random(&x) % SLOTS;

		for (; n > 0 && len <= ANY_MAX; n--)
			send_any(&r, len++, &x);
		receive_all(&r, &x);
	}
	rig_close(&r);
}

/* Few bytes, where headers end early and the short way of summing is taken. */
static void
short_ones(const struct vnet_isa_ops_table *ops, uint64_t features, uint32_t flags, bool attach)
{
	uint64_t x = features * 7 + flags + attach;
	static struct rig r;

	rig_open(&r, ops, features, flags, attach);
	for (int round = 0; round < 100; round++) {
		for (uint32_t n = 1 + rd_random(&x) % SLOTS; n > 0; n--)
			send_any(&r, ANY_MIN + rd_random(&x) % 140, &x);
		receive_all(&r, &x);
	}
	if (features & F_CSUM)
		assert_true(r.csums > 500);
	assert_true(r.runts > 50 && r.bad > 500);
	rig_close(&r);
}

typedef void (*scenario)(const struct vnet_isa_ops_table *ops, uint64_t features, uint32_t flags,
			 bool attach);

static void
on_all(scenario play, bool attach)
{
	const struct vnet_isa *level;

	for (unsigned int k = 0; (level = vnet_isa_at(k)) != NULL; k++)
		for (uint32_t i = 0; i < RTE_DIM(csum_rings) * RTE_DIM(modes); i++) {
			const uint64_t features = csum_rings[i / RTE_DIM(modes)];

			/* Attaching is out of order. */
			if (attach && (features & F_IN_ORDER))
				continue;
			play(level->ops, features, modes[i % RTE_DIM(modes)], attach);
		}
}

static void
as_the_general_function(void **state)
{
	on_all(every_length, false);
}

static void
short_as_the_general_function(void **state)
{
	on_all(short_ones, false);
}

/* Zero-copy: a packet whose checksum has to be put in is copied like any other. */
static void
not_attached_as_the_general_function(void **state)
{
	on_all(every_length, true);
	on_all(short_ones, true);
}

/* Bits of the header that go beyond the end: each by itself, behind a good packet. */
static void
headers_that_cannot_be(void **state)
{
	static const struct {
		uint16_t start, offset;
		bool good;
	} cases[] = {
		{34, 16, true}, {98, 0, true}, {0, 98, true}, {99, 0, false}, {0, 99, false},
		{34, 65, false}, {65535, 0, false}, {65535, 1, false}, {65535, 35, false},
		{65502, 50, false}, {65534, 0, false}, {65535, 65535, false},
	};

	for (uint32_t i = 0; i < RTE_DIM(csum_rings) * RTE_DIM(cases) * RTE_DIM(modes); i++) {
		const uint64_t features = csum_rings[i / RTE_DIM(cases) / RTE_DIM(modes)];
		const bool good = cases[i % RTE_DIM(cases)].good && (features & F_CSUM);
		struct virtio_net_hdr_mrg_rxbuf h = {.hdr = {
			.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
			.csum_start = cases[i % RTE_DIM(cases)].start,
			.csum_offset = cases[i % RTE_DIM(cases)].offset,
		}};
		struct rte_mbuf *pkts[3];
		uint8_t data[100];
		struct port p;

		port_open(&p, 16, features, 2048, 1);
		p.rxq.flags |= modes[i / RTE_DIM(cases) % RTE_DIM(modes)];
		frame_fill(data, sizeof(data), i);
		port_send(&p, NULL, data, sizeof(data), PLAIN);
		port_send(&p, &h, data, sizeof(data), PLAIN);
		port_send(&p, NULL, data, sizeof(data), PLAIN);
		assert_int_equal(port_rx(&p, pkts, 3), 2 + good);
		assert_int_equal(p.rxq.stats.drop[VNET_DROP_BAD_HDR], !good);
		assert_memory_equal(rte_pktmbuf_mtod(pkts[0], void *), data, sizeof(data));
		assert_memory_equal(rte_pktmbuf_mtod(pkts[1 + good], void *), data, sizeof(data));
		rte_pktmbuf_free_bulk(pkts, 2 + good);
		assert_int_equal(port_reap(&p), 3);
		port_close(&p);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_the_general_function),
		cmocka_unit_test(short_as_the_general_function),
		cmocka_unit_test(not_attached_as_the_general_function),
		cmocka_unit_test(headers_that_cannot_be),
	};

	return cmocka_run_group_tests_name("vnet_csum_rx", tests, vnet_setup, vnet_teardown);
}
