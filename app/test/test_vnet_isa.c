/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ISA levels: which one is chosen, and that all of them do the same. A scenario is
 * played at each level with the same random numbers; all that anyone can see of it is written to a
 * record, and the records have to be equal.
 */
#include "rig_device_link.h"

#include "vnet_isa.h"

/* What was seen. */
struct record {
	uint8_t *bytes;
	size_t len, room;
};

static void
note(struct record *r, const void *bytes, size_t len)
{
	if (r->len + len > r->room) {
		r->room = 2 * (r->len + len);
		r->bytes = realloc(r->bytes, r->room);
		assert_non_null(r->bytes);
	}
	memcpy(r->bytes + r->len, bytes, len);
	r->len += len;
}

static void
note_number(struct record *r, uint64_t v)
{
	note(r, &v, sizeof(v));
}

/* An mbuf's packet and all that was said about it; the packet is freed. */
static void
note_packet(struct record *r, struct rte_mbuf *m)
{
	note_number(r, m->ol_flags);
	note_number(r, m->packet_type);
	note_number(r, m->vlan_tci);
	if (m->ol_flags & RTE_MBUF_F_RX_LRO)
		note_number(r, m->tso_segsz);
	note_number(r, m->nb_segs);
	note_number(r, m->pkt_len);
	note(r, mbuf_bytes(m), m->pkt_len);
	rte_pktmbuf_free(m);
}

typedef void (*scenario)(const struct vnet_isa_ops_table *ops, uint64_t features, struct record *r);

static void
expect_same(scenario play, uint64_t features)
{
	const struct vnet_isa *level;
	struct record first = {0};

	play(vnet_isa_at(0)->ops, features, &first);
	assert_true(first.len > 100000);
	for (unsigned int i = 1; (level = vnet_isa_at(i)) != NULL; i++) {
		struct record r = {0};

		play(level->ops, features, &r);
		assert_int_equal(r.len, first.len);
		assert_memory_equal(r.bytes, first.bytes, r.len);
		free(r.bytes);
	}
	free(first.bytes);
}

#define L2 RTE_ETHER_HDR_LEN
#define L3 sizeof(struct rte_ipv4_hdr)
#define L4 sizeof(struct rte_tcp_hdr)
#define HEADERS (L2 + L3 + L4)
#define MOST 5000	/* bytes of a frame */

/* A frame that is TCP, with the sum of its pseudo-header; payload and ports are random. */
static void
tcp_fill(uint8_t *data, uint32_t len, uint32_t seed)
{
	struct rte_ipv4_hdr *ip = (void *)(data + L2);
	struct rte_tcp_hdr *tcp = (void *)(data + L2 + L3);

	frame_fill(data, len, seed);
	memcpy(data + 12, "\x08\x00", 2);
	*ip = (struct rte_ipv4_hdr){
		.version_ihl = 0x45,
		.total_length = rte_cpu_to_be_16((uint16_t)(len - L2)),
		.time_to_live = 64,
		.next_proto_id = IPPROTO_TCP,
		.src_addr = seed,
		.dst_addr = ~seed,
	};
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	tcp->data_off = L4 / 4 << 4;
	tcp->cksum = rte_ipv4_phdr_cksum(ip, 0);
}

static uint32_t
random_len(uint64_t *x)
{
	uint32_t most = rd_random(x) % 3 ? 300 : MOST;

	return L2 + rd_random(x) % (most - L2);
}

/* A chain that points to where no memory is. */
static void
offer_unmapped(struct port *p, bool write)
{
	struct rd_sg sg = {.gpa = 0x1000, .len = 200};
	uint16_t b;

	if (p->nfree == 0)
		return;
	b = p->free_buf[p->nfree - 1];
	if (rd_add(&p->r, &sg, 1, RD_DIRECT, write, b) < 0)
		return;
	p->nfree--;
	rd_publish(&p->r);
}

/* One of all that a guest may send: right, wrong, with work to be done. */
static void
guest_sends(struct port *p, uint64_t *x)
{
	const struct layout *l = &layouts[rd_random(x) % NLAYOUTS];
	uint32_t len = random_len(x), seed = rd_random(x);
	struct virtio_net_hdr_mrg_rxbuf h = {.hdr.flags = 0};
	static uint8_t data[MOST];

	frame_fill(data, len, seed);
	switch (rd_random(x) % 8) {
	case 0:
		offer_unmapped(p, false);
		return;
	case 1: /* a runt */
		len = rd_random(x) % L2;
		break;
	case 2: /* a header of random bits, few of them */
		h.hdr.flags = rd_random(x) % 8;
		h.hdr.gso_type = rd_random(x) % 2 ? 0 : rd_random(x) % 256;
		h.hdr.csum_start = rd_random(x) % 128;
		h.hdr.csum_offset = rd_random(x) % 32;
		break;
	case 3:
	case 4: /* a checksum to complete, perhaps segments to come */
		len = RTE_MAX(len, (uint32_t)HEADERS + 1);
		tcp_fill(data, len, seed);
		h.hdr.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		h.hdr.csum_start = L2 + L3;
		h.hdr.csum_offset = offsetof(struct rte_tcp_hdr, cksum);
		if (len > 1000) {
			h.hdr.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
			h.hdr.gso_size = 536;
			h.hdr.hdr_len = HEADERS;
		}
		break;
	}
	port_send(p, &h, data, len, l);
}

static void
note_used(struct port *p, struct record *r)
{
	uint32_t n;

	while ((n = rd_pop(&p->r, p->done)) > 0)
		for (uint32_t i = 0; i < n; i++) {
			note_number(r, p->done[i].cookie);
			note_number(r, p->done[i].len);
			p->free_buf[p->nfree++] = (uint16_t)p->done[i].cookie;
		}
}

/* The guest's memory is part of it: rings with their used entries and event words, and buffers. */
static void
note_port(struct port *p, struct record *r)
{
	note(r, &p->rxq.stats, sizeof(p->rxq.stats));
	note(r, &p->txq.stats, sizeof(p->txq.stats));
	note_number(r, p->d.vq->cursor.broken);
	note(r, p->g.base, p->g.used);
}

/* A guest that sends. */
static void
from_guest(const struct vnet_isa_ops_table *ops, uint64_t features, struct record *r)
{
	uint64_t x = features;
	struct port p;

	port_open(&p, 64, features, MOST + 26, 4);
	p.rxq.extbuf_pool = big_pool;
	p.rxq.flags |= features & F_IN_ORDER ? VNET_F_SCATTER : VNET_F_VLAN_STRIP;
	p.rx = ops->dev_rx_select(p.d.ring, p.rxq.flags, NULL);
	for (uint32_t round = 0; round < 200; round++) {
		struct rte_mbuf *pkts[64];
		uint16_t n;

		for (uint32_t i = rd_random(&x) % 40; i > 0; i--)
			guest_sends(&p, &x);
		n = port_rx(&p, pkts, rd_random(&x) % 65);
		note_number(r, n);
		for (uint16_t i = 0; i < n; i++)
			note_packet(r, pkts[i]);
		note_used(&p, r);
	}
	assert_true(p.rxq.stats.packets > 1000 && p.rxq.stats.drop[VNET_DROP_UNMAPPED] > 100);
	note_port(&p, r);
	port_close(&p);
}

/* A packet for a guest, perhaps with a checksum to fill in or to be cut. */
static struct rte_mbuf *
packet_for_guest(uint64_t *x)
{
	uint32_t len = random_len(x), seed = rd_random(x), kind = rd_random(x) % 4;
	enum shape shape = rd_random(x) % 2 ? SHAPE_LINEAR : rd_random(x) % SHAPE_MAX;
	static uint8_t data[MOST];
	struct rte_mbuf *m;

	if (kind < 2)
		return mbuf_new(len, seed, shape);
	len = RTE_MAX(len, (uint32_t)HEADERS + 1);
	tcp_fill(data, len, seed);
	m = mbuf_of(data, len, shape);
	m->l2_len = L2;
	m->l3_len = L3;
	m->l4_len = L4;
	m->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_CKSUM;
	if (kind == 3) {
		m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
		m->tso_segsz = 400 + rd_random(x) % 1000;
	}
	return m;
}

/* A guest that receives, in buffers of all sizes. */
static void
to_guest(const struct vnet_isa_ops_table *ops, uint64_t features, struct record *r)
{
	const uint32_t least = features & F_MRG ? 40 : MOST;
	struct rte_mbuf *pkts[64];
	uint64_t x = features;
	uint16_t have = 0;
	struct port p;

	port_open(&p, 64, features, MOST + 26, 4);
	p.tx = ops->dev_tx_select(p.d.ring, NULL);
	for (uint32_t round = 0; round < 400; round++) {
		uint16_t n;

		while (have < 32)
			pkts[have++] = packet_for_guest(&x);
		for (uint32_t i = rd_random(&x) % 40; i > 0; i--) {
			uint32_t bytes = least + rd_random(&x) % (MOST + 26 - least);

			if (rd_random(&x) % 32 == 0)
				offer_unmapped(&p, true);
			else
				port_offer(&p, bytes, &layouts[rd_random(&x) % NLAYOUTS], true);
		}
		n = port_tx(&p, pkts, 1 + rd_random(&x) % have);
		note_number(r, n);
		memmove(pkts, pkts + n, (have - n) * sizeof(pkts[0]));
		have -= n;
		note_used(&p, r);
	}
	assert_true(p.txq.stats.packets > 500 && p.txq.stats.sw_csum + p.txq.stats.sw_gso > 100);
	note_port(&p, r);
	rte_pktmbuf_free_bulk(pkts, have);
	port_close(&p);
}

/*
 * A guest whose rings hold anything: a descriptor in a few is outside its memory, indirect, or
 * leads anywhere. Most rings break, so there are many.
 */
static void
scramble(struct port *p, uint64_t *x)
{
	for (uint32_t i = 0; i < p->r.size; i++) {
		uint64_t gpa = p->buf[rd_random(x) % p->r.size].gpa + rd_random(x) % 64;
		uint32_t len = rd_random(x) % 2000;
		uint16_t flags = rd_random(x) % 2 ? 0 : rd_random(x) % 8;

		if (rd_random(x) % 64 == 0)
			gpa += p->g.size;
		if (p->r.packed) {
			flags |= 1u << 7; /* of the first lap, and available */
			p->r.pdesc[i] = (struct vring_packed_desc){gpa, len,
								   rd_random(x) % p->r.size, flags};
			continue;
		}
		p->r.desc[i] = (struct vring_desc){gpa, len, flags, rd_random(x) % p->r.size};
		p->r.avail->ring[i] = rd_random(x) % (rd_random(x) % 64 ? p->r.size : 65536);
	}
	if (!p->r.packed)
		p->r.avail->idx = rd_random(x) % (p->r.size + 2);
}

static void
anything(const struct vnet_isa_ops_table *ops, uint64_t features, struct record *r)
{
	uint64_t x = features, packets = 0;

	for (uint32_t round = 0; round < 200; round++) {
		struct rte_mbuf *pkts[64];
		struct port p;
		uint16_t n;

		port_open(&p, 16, features, 2100, 1);
		p.rx = ops->dev_rx_select(p.d.ring, p.rxq.flags, NULL);
		p.tx = ops->dev_tx_select(p.d.ring, NULL);
		scramble(&p, &x);
		n = round % 2 ? port_rx(&p, pkts, 64) : 0;
		note_number(r, n);
		for (uint16_t i = 0; i < n; i++)
			note_packet(r, pkts[i]);
		if (round % 2 == 0) {
			for (uint16_t i = 0; i < 64; i++)
				pkts[i] = packet_for_guest(&x);
			n = port_tx(&p, pkts, 64);
			note_number(r, n);
			rte_pktmbuf_free_bulk(pkts + n, 64 - n);
		}
		packets += p.rxq.stats.packets + p.txq.stats.packets;
		note_port(&p, r);
		port_close(&p);
	}
	assert_true(packets > 100);
}

/* Both ends of a ring in one process; the driver's is of interest. */
static void
between(const struct vnet_isa_ops_table *ops, uint64_t features, bool receive, struct record *r)
{
	uint32_t most = receive && !(features & F_MRG) ? 2000 : MOST;
	struct rte_mbuf *pkts[64], *got[64];
	uint64_t x = features + receive;
	uint16_t have = 0, n;
	struct link l;

	link_open(&l, 64, features, receive, small_pool);
	l.rx = receive ? ops->drv_rx_select(l.ring, l.rxq.flags, NULL) :
		ops->dev_rx_select(l.dev_run, l.rxq.flags, NULL);
	l.tx = receive ? ops->dev_tx_select(l.dev_run, NULL) :
		ops->drv_tx_select(l.ring, NULL);
	if (receive)
		note_number(r, ops->drv_rx_fill(&l.rxq, l.drv, l.ring));
	for (uint32_t round = 0; round < 300; round++) {
		while (have < 32) {
			struct rte_mbuf *m = packet_for_guest(&x);

			if (m->pkt_len <= most)
				pkts[have++] = m;
			else
				rte_pktmbuf_free(m);
		}
		n = link_tx(&l, pkts, 1 + rd_random(&x) % have);
		note_number(r, n);
		memmove(pkts, pkts + n, (have - n) * sizeof(pkts[0]));
		have -= n;
		n = link_rx(&l, got, 1 + rd_random(&x) % 64);
		note_number(r, n);
		for (uint16_t i = 0; i < n; i++)
			note_packet(r, got[i]);
		if (!receive && rd_random(&x) % 8 == 0)
			note_number(r, ops->drv_tx_clean(&l.txq, l.drv, l.ring, UINT16_MAX));
	}
	assert_true(l.rxq.stats.packets > 500);
	note(r, &l.rxq.stats, sizeof(l.rxq.stats));
	note(r, &l.txq.stats, sizeof(l.txq.stats));
	rte_pktmbuf_free_bulk(pkts, have);
	vnet_drv_drain(l.drv, l.ring->size);
	link_close(&l);
}

static void
to_driver(const struct vnet_isa_ops_table *ops, uint64_t features, struct record *r)
{
	between(ops, features, true, r);
}

static void
from_driver(const struct vnet_isa_ops_table *ops, uint64_t features, struct record *r)
{
	between(ops, features, false, r);
}

#define F_WORK (F_CSUM | F_GUEST_CSUM | F_GUEST_TSO4 | F_HOST_TSO4)

static const uint64_t rings[] = {
	F_V1 | F_INDIRECT,
	F_V1 | F_INDIRECT | F_MRG | F_WORK,
	F_INDIRECT | F_CSUM,
	F_V1 | F_INDIRECT | F_IN_ORDER | F_CSUM,
	F_V1 | F_INDIRECT | F_MRG | F_PACKED,
	F_V1 | F_INDIRECT | F_PACKED | F_WORK,
	F_V1 | F_INDIRECT | F_MRG | F_PACKED | F_IN_ORDER | F_CSUM,
	F_INDIRECT | F_PACKED | F_CSUM,
};

static void
expect_same_on_all_rings(scenario play)
{
	for (uint32_t i = 0; i < sizeof(rings) / sizeof(rings[0]); i++)
		expect_same(play, rings[i]);
}

static void
same_from_guest(void **state)
{
	expect_same_on_all_rings(from_guest);
}

static void
same_to_guest(void **state)
{
	expect_same_on_all_rings(to_guest);
}

static void
same_of_anything(void **state)
{
	expect_same_on_all_rings(anything);
}

static void
same_to_driver(void **state)
{
	expect_same_on_all_rings(to_driver);
}

static void
same_from_driver(void **state)
{
	expect_same_on_all_rings(from_driver);
}

/* From the lowest to the highest, each with a name and functions of its own. */
static void
levels_are_in_order(void **state)
{
	const struct vnet_isa *below = vnet_isa_at(0), *level;

	assert_non_null(below);
	assert_int_equal(below->bits, 0);
	for (unsigned int i = 1; (level = vnet_isa_at(i)) != NULL; i++) {
		assert_true(level->bits > below->bits);
		assert_string_not_equal(level->name, below->name);
		assert_ptr_not_equal(level->ops->dev_rx_select, below->ops->dev_rx_select);
		below = level;
	}
}

/* A processor other than x86-64, whose levels have a test of their own, has one. */
static void
other_processors_have_one(void **state)
{
	const char *name = vnet_isa_at(0)->name;

	if (strcmp(name, "x86-64-v2") == 0)
		return;
	assert_string_equal(name, "baseline");
	assert_null(vnet_isa_at(1));
}

/* --force-max-simd-bitwidth= has a say. */
static void
width_is_obeyed(void **state)
{
	const struct vnet_isa *lowest = vnet_isa_at(0), *v3 = vnet_isa_at(1);

	assert_ptr_equal(vnet_isa_for(64), lowest);
	assert_ptr_equal(vnet_isa_for(128), lowest);
	assert_ptr_equal(vnet_isa_for(255), lowest);
	assert_ptr_equal(vnet_isa_for(256), v3 == NULL ? lowest : v3);
	assert_ptr_equal(vnet_isa_for(512), v3 == NULL ? lowest : v3);
	assert_ptr_equal(vnet_isa_for(32768), v3 == NULL ? lowest : v3);
	/* DPDK's default, which nobody changed here */
	assert_ptr_equal(vnet_isa(), vnet_isa_for(256));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(levels_are_in_order),
		cmocka_unit_test(other_processors_have_one),
		cmocka_unit_test(width_is_obeyed),
		cmocka_unit_test(same_from_guest),
		cmocka_unit_test(same_to_guest),
		cmocka_unit_test(same_of_anything),
		cmocka_unit_test(same_to_driver),
		cmocka_unit_test(same_from_driver),
	};

	return cmocka_run_group_tests(tests, vnet_setup, vnet_teardown);
}
