/* SPDX-License-Identifier: BSD-3-Clause */
/* Merged packets of a guest, cut for an application that has not asked for such. */
#include "vnet_cut.h"
#include "rig_guest_packets.h"

#define F_MERGED (F_V1 | F_INDIRECT | F_CSUM | F_HOST_TSO4 | F_HOST_TSO6 | F_HOST_UFO)
#define MOST 1024

static struct rte_mbuf *pkts[MOST];
static struct vnet_cut *cut;

static void
cut_open(struct port *p, uint32_t flags)
{
	port_open(p, 64, F_MERGED, 66000, 1);
	p->rxq.flags |= VNET_F_CUT_TCP | VNET_F_CUT_UDP | flags;
	p->rxq.extbuf_pool = big_pool;
	cut = vnet_cut_new(SOCKET_ID_ANY);
	assert_non_null(cut);
}

static void
cut_close(struct port *p)
{
	vnet_cut_free(cut);
	port_close(p);
}

/* One call as the port makes it. */
static uint16_t
cut_burst(struct port *p, struct rte_mbuf **to, uint16_t n)
{
	uint16_t got = vnet_cut_burst(&p->rxq, cut, to, 0, n), fresh;

	if (got == n || !vnet_cut_idle(cut))
		return got;
	fresh = port_rx(p, to + got, RTE_MIN(n - got, VNET_BURST));
	return got + vnet_cut_burst(&p->rxq, cut, to + got, fresh, n - got);
}

/* All that there is, in bursts of so many. */
static uint16_t
cut_receive(struct port *p, uint16_t burst)
{
	uint16_t all = 0, got;

	while ((got = cut_burst(p, pkts + all, RTE_MIN(burst, MOST - all))) > 0) {
		assert_uint_in_range(got, 1, burst);
		all += got;
	}
	return all;
}

/* Send what build() made, as a packet to be cut into pieces of so much. */
static void
send_merged(struct port *p, const struct pkt *k, uint16_t size, const struct layout *l)
{
	const struct virtio_net_hdr_mrg_rxbuf h = {.hdr = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = k->udp ? VIRTIO_NET_HDR_GSO_UDP :
			    k->v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4,
		.gso_size = size,
		.csum_start = (uint16_t)(l2_len + l3_len),
		.csum_offset = csum_offset(k->udp),
	}};

	partial_csum(k, false);
	assert_true(port_send(p, &h, bytes, bytes_len, l));
}

/* What the counters say is what was delivered. */
static void
expect_counts(const struct port *p, uint16_t n, uint64_t merged)
{
	uint64_t total = 0;

	for (uint16_t i = 0; i < n; i++)
		total += pkts[i]->pkt_len;
	assert_int_equal(p->rxq.stats.packets, n);
	assert_int_equal(p->rxq.stats.bytes, total);
	assert_int_equal(p->rxq.stats.sw_gso, merged);
}

static void
expect_segment(const struct pkt *k, struct rte_mbuf *m, uint32_t off, uint32_t len, uint16_t i)
{
	const uint32_t head = l2_len + l3_len + l4_len;
	uint8_t copy[FRAME_MAX];
	struct rte_tcp_hdr *tcp;

	assert_int_equal(m->pkt_len, head + len);
	assert_int_equal(m->nb_segs, 1);
	assert_int_equal(m->port, 7);
	assert_int_equal(m->ol_flags & ~RTE_MBUF_F_EXTERNAL, RTE_MBUF_F_RX_L4_CKSUM_GOOD);
	assert_int_equal(m->packet_type & RTE_PTYPE_L4_MASK, RTE_PTYPE_L4_TCP);
	memcpy(copy, mbuf_bytes(m), m->pkt_len);
	assert_memory_equal(copy + head, bytes + head + off, len);
	expect_good_csum(copy, k->v6);
	tcp = l4(copy);
	assert_int_equal(rte_be_to_cpu_32(tcp->sent_seq), 0xfffff000 + off);
	if (!k->v6)
		assert_int_equal(rte_be_to_cpu_16(ip4(copy)->packet_id), (uint16_t)(0xfffe + i));
}

/* Segments, whatever the size of bursts; others keep their place in front and behind. */
static void
tcp_becomes_segments(void **state)
{
	static const uint16_t sizes[] = {1400, 8948, 536}, bursts[] = {32, 1, 7, 200};

	for (uint32_t i = 0; i < 2 * RTE_DIM(sizes) * RTE_DIM(bursts) * NLAYOUTS; i++) {
		const struct pkt k = {.v6 = i % 2, .payload = 60001, .vlan = i % 3 == 0};
		const uint16_t size = sizes[i / 2 % RTE_DIM(sizes)];
		const uint16_t n = (uint16_t)((k.payload + size - 1) / size);
		uint16_t got, at = 1;
		struct port p;

		build(&k);
		cut_open(&p, 0);
		assert_true(port_send(&p, NULL, "before, but an Ethernet frame", 29, PLAIN));
		send_merged(&p, &k, size, &layouts[i / 8 % NLAYOUTS]);
		assert_true(port_send(&p, NULL, "behind, but an Ethernet frame", 29, PLAIN));
		send_merged(&p, &k, size, PLAIN);
		got = cut_receive(&p, bursts[i / 6 % RTE_DIM(bursts)]);
		assert_int_equal(got, 2 + 2 * n);
		expect_counts(&p, got, 2);
		assert_memory_equal(mbuf_bytes(pkts[0]), "before", 6);
		for (uint32_t off = 0, j = 0; j < 2u * n; j++, off += size) {
			if (j == n) {
				assert_memory_equal(mbuf_bytes(pkts[at++]), "behind", 6);
				off = 0;
			}
			expect_segment(&k, pkts[at++], off,
				       RTE_MIN(k.payload - off, (uint32_t)size), j % n);
		}
		rte_pktmbuf_free_bulk(pkts, got);
		assert_int_equal(port_reap(&p), 4);
		cut_close(&p);
	}
}

/*
 * Without a buffer for a packet so large, as a port has none that did not offer it, it is a chain
 * of mbufs until it is cut, whatever else it was to become. What is not cut is too large.
 */
static void
large_packets_are_chains_until_they_are_cut(void **state)
{
	for (uint32_t i = 0; i < 4 * NLAYOUTS; i++) {
		const struct pkt k = {.v6 = i % 2, .payload = 60001};
		const uint16_t n = (60001 + 1399) / 1400;
		struct port p;

		build(&k);
		cut_open(&p, i & 2 ? VNET_F_LEGACY_OL : 0);
		p.rxq.extbuf_pool = NULL;
		send_merged(&p, &k, 1400, &layouts[i / 4]);
		assert_true(port_send(&p, NULL, bytes, 3000, PLAIN));
		assert_int_equal(cut_receive(&p, 32), n);
		expect_counts(&p, n, 1);
		for (uint16_t j = 0; j < n; j++)
			expect_segment(&k, pkts[j], j * 1400u,
				       RTE_MIN(k.payload - j * 1400u, 1400u), j);
		assert_int_equal(p.rxq.stats.drop[VNET_DROP_OVERSIZE], 1);
		rte_pktmbuf_free_bulk(pkts, n);
		assert_int_equal(port_reap(&p), 2);
		cut_close(&p);
	}
}

/* What is one segment only lacks its checksum. */
static void
one_segment_is_completed(void **state)
{
	for (uint32_t payload = 0; payload <= 1400; payload += 700) {
		const struct pkt k = {.payload = payload};
		struct port p;

		build(&k);
		cut_open(&p, 0);
		send_merged(&p, &k, 1400, PLAIN);
		assert_int_equal(cut_receive(&p, 32), 1);
		expect_counts(&p, 1, 1);
		expect_segment(&k, pkts[0], 0, payload, 0);
		rte_pktmbuf_free(pkts[0]);
		assert_int_equal(port_reap(&p), 1);
		cut_close(&p);
	}
}

/* With an IPv6 extension header in front of UDP, of eight bytes. */
static void
build_extended(const struct pkt *k)
{
	build(k);
	memmove(bytes + l2_len + l3_len + 8, bytes + l2_len + l3_len, l4_len + k->payload);
	memset(bytes + l2_len + l3_len, 0, 8);
	bytes[l2_len + l3_len] = IPPROTO_UDP;
	ip6(bytes)->proto = IPPROTO_HOPOPTS;
	ip6(bytes)->payload_len = rte_cpu_to_be_16(rte_be_to_cpu_16(ip6(bytes)->payload_len) + 8);
	l3_len += 8;
	bytes_len += 8;
}

/*
 * Take a fragment's part of the datagram to where it belongs. Returns whether more follow; *id: of
 * the first fragment, 0 before it.
 */
static bool
reassemble(const struct pkt *k, const struct rte_mbuf *m, uint8_t *whole, uint32_t *end,
	   uint32_t *id)
{
	const uint8_t *data = mbuf_bytes(m);
	const uint8_t *l3 = data + l2_len;
	uint32_t head = l2_len + l3_len, off, this_id;
	bool more;

	assert_int_equal(m->packet_type & RTE_PTYPE_L4_MASK, RTE_PTYPE_L4_FRAG);
	assert_int_equal(m->ol_flags & ~RTE_MBUF_F_EXTERNAL, 0);
	if (k->v6) {
		const uint8_t *hdr = data + head;
		const uint16_t word = (uint16_t)(hdr[2] << 8 | hdr[3]);

		assert_int_equal(hdr[0], IPPROTO_UDP);
		assert_int_equal(hdr[-8], l3_len == 48 ? IPPROTO_FRAGMENT : hdr[-8]);
		off = word & ~7u;
		more = word & 1;
		memcpy(&this_id, hdr + 4, 4);
		head += 8;
		assert_int_equal(rte_be_to_cpu_16(((const struct rte_ipv6_hdr *)l3)->payload_len),
				 m->pkt_len - l2_len - 40);
	} else {
		struct rte_ipv4_hdr ip = *(const struct rte_ipv4_hdr *)l3;
		const uint16_t word = rte_be_to_cpu_16(ip.fragment_offset);

		assert_int_equal(rte_ipv4_cksum(&ip), 0);
		assert_int_equal(rte_be_to_cpu_16(ip.total_length), m->pkt_len - l2_len);
		assert_int_equal(word & RTE_IPV4_HDR_DF_FLAG, 0);
		off = (word & 0x1fffu) * 8;
		more = word & RTE_IPV4_HDR_MF_FLAG;
		this_id = ip.packet_id;
	}
	assert_true(*id == 0 || *id == this_id);
	*id = this_id;
	assert_int_equal(off, *end);
	memcpy(whole + l2_len + l3_len + off, data + head, m->pkt_len - head);
	*end = off + m->pkt_len - head;
	return more;
}

static void
expect_good_datagram(uint8_t *whole, bool v6)
{
	const struct rte_ipv6_hdr ip = *ip6(whole);

	if (v6 && l3_len > sizeof(ip)) { /* the pseudo-header knows nothing of extensions */
		ip6(whole)->proto = IPPROTO_UDP;
		ip6(whole)->payload_len = rte_cpu_to_be_16((uint16_t)(bytes_len - l2_len - l3_len));
	}
	expect_good_csum(whole, v6);
	if (v6)
		*ip6(whole) = ip;
}

/* The same of datagrams: what their fragments make together is the datagram, with its checksum. */
static void
udp_becomes_fragments(void **state)
{
	static const uint16_t sizes[] = {1480, 1477, 8, 8952}, bursts[] = {32, 1, 5};
	static uint8_t whole[FRAME_MAX];

	for (uint32_t i = 0; i < 3 * RTE_DIM(sizes) * RTE_DIM(bursts) * 2; i++) {
		const uint16_t size = sizes[i / 3 % RTE_DIM(sizes)];
		const struct pkt k = {.udp = true, .v6 = i % 3 > 0, .vlan = i & 1,
				      .payload = size == 8 ? 4001 : 60001};
		uint32_t end = 0, id = 0;
		struct port p;
		uint16_t got;
		bool more = true;

		if (i % 3 == 2)
			build_extended(&k);
		else
			build(&k);
		memcpy(whole, bytes, l2_len + l3_len);
		cut_open(&p, i & 2 ? VNET_F_LEGACY_OL : 0);
		send_merged(&p, &k, size, &layouts[i % NLAYOUTS]);
		got = cut_receive(&p, bursts[i / 12 % RTE_DIM(bursts)]);
		assert_int_equal(got, (bytes_len - l2_len - l3_len + size / 8 * 8 - 1) /
				 (size / 8 * 8));
		expect_counts(&p, got, 1);
		for (uint16_t j = 0; j < got; j++) {
			assert_true(more);
			more = reassemble(&k, pkts[j], whole, &end, &id);
		}
		assert_false(more);
		assert_int_equal(end, bytes_len - l2_len - l3_len);
		expect_good_datagram(whole, k.v6);
		*csum_field(whole, true) = *csum_field(bytes, true);
		assert_memory_equal(whole, bytes, bytes_len);
		rte_pktmbuf_free_bulk(pkts, got);
		assert_int_equal(port_reap(&p), 1);
		cut_close(&p);
	}
}

/* A pool that runs dry holds the rest back, and nothing is lost or out of order. */
static void
no_mbufs_for_a_while(void **state)
{
	const struct pkt k = {.payload = 60000};
	static struct rte_mbuf *taken[SMALL_MBUFS];
	uint16_t got = 0, left;
	struct port p;

	build(&k);
	cut_open(&p, 0);
	send_merged(&p, &k, 1000, PLAIN);
	assert_true(port_send(&p, NULL, "behind, but an Ethernet frame", 29, PLAIN));
	assert_int_equal(cut_burst(&p, pkts, 1), 1);
	got = 1;
	left = (uint16_t)rte_mempool_avail_count(small_pool);
	assert_int_equal(rte_pktmbuf_alloc_bulk(small_pool, taken, left - 5), 0);
	got += cut_burst(&p, pkts + got, 32);
	assert_int_equal(got, 6);
	assert_int_equal(cut_burst(&p, pkts + got, 32), 0);
	assert_int_equal(p.rxq.stats.nombuf, 2);
	rte_pktmbuf_free_bulk(taken, left - 5);
	while (got < 61)
		got += cut_burst(&p, pkts + got, 32);
	expect_counts(&p, 61, 1);
	for (uint16_t i = 0; i < 60; i++)
		expect_segment(&k, pkts[i], i * 1000u, 1000, i);
	assert_memory_equal(mbuf_bytes(pkts[60]), "behind", 6);
	rte_pktmbuf_free_bulk(pkts, 61);
	assert_int_equal(port_reap(&p), 2);
	cut_close(&p);
}

/* A chain that cannot be cut for want of mbufs gives back its own: others may wait for them. */
static void
chains_are_not_kept_without_mbufs(void **state)
{
	const struct pkt k = {.payload = 60000};
	static struct rte_mbuf *taken[SMALL_MBUFS];
	uint32_t left, before;
	struct port p;

	build(&k);
	cut_open(&p, 0);
	p.rxq.extbuf_pool = NULL;
	before = rte_mempool_avail_count(small_pool);
	send_merged(&p, &k, 1000, PLAIN);
	assert_int_equal(cut_burst(&p, pkts, 1), 1);
	left = rte_mempool_avail_count(small_pool);
	assert_true(left < before - 20);
	assert_int_equal(rte_pktmbuf_alloc_bulk(small_pool, taken, left), 0);
	assert_int_equal(cut_burst(&p, pkts + 1, 32), 0);
	assert_int_equal(rte_mempool_avail_count(small_pool), before - left - 1);
	assert_true(vnet_cut_idle(cut));
	expect_counts(&p, 1, 1);
	rte_pktmbuf_free_bulk(taken, left);
	rte_pktmbuf_free(pkts[0]);
	assert_int_equal(port_reap(&p), 1);
	cut_close(&p);
}

/* A queue that stops with packets in it gives back their mbufs, and the next packet is the next. */
static void
the_rest_does_not_outlive_a_stop(void **state)
{
	const struct pkt k = {.payload = 3000};
	struct port p;

	build(&k);
	cut_open(&p, 0);
	for (unsigned int i = 0; i < 5; i++)
		send_merged(&p, &k, 1400, PLAIN);
	assert_int_equal(cut_burst(&p, pkts, 5), 5);
	assert_false(vnet_cut_idle(cut));
	vnet_cut_clear(cut);
	assert_true(vnet_cut_idle(cut));
	rte_pktmbuf_free_bulk(pkts, 5);
	assert_int_equal(port_reap(&p), 5);
	expect_no_mbuf_lost();
	send_merged(&p, &k, 1400, PLAIN);
	assert_int_equal(cut_burst(&p, pkts, 32), 3);
	rte_pktmbuf_free_bulk(pkts, 3);
	assert_int_equal(port_reap(&p), 1);
	vnet_cut_clear(NULL);
	cut_close(&p);
}

/* A queue that ends with packets in it. */
static void
the_rest_is_freed(void **state)
{
	const struct pkt k = {.payload = 60000};
	struct port p;

	build(&k);
	cut_open(&p, 0);
	for (unsigned int i = 0; i < 5; i++)
		send_merged(&p, &k, 1400, PLAIN);
	assert_int_equal(cut_burst(&p, pkts, 20), 20);
	assert_false(vnet_cut_idle(cut));
	rte_pktmbuf_free_bulk(pkts, 20);
	assert_int_equal(port_reap(&p), 5);
	cut_close(&p);
	vnet_cut_free(NULL);
}

/* A header that the packet does not bear out: dropped under its name, and not received. */
static void
lies_are_dropped(void **state)
{
	static const struct {
		struct pkt built;
		struct pkt said;
		uint16_t size;
	} cases[] = {
		{ { .payload = 5000 }, { .udp = true }, 1000 },
		{ { .payload = 5000, .udp = true }, { .udp = false }, 1000 },
		{ { .payload = 5000, .v6 = true, .udp = true }, { .udp = false }, 1000 },
		{ { .payload = 5000, .udp = true }, { .udp = true }, 7 },
	};

	for (unsigned int i = 0; i < 2 * RTE_DIM(cases); i++) {
		struct port p;

		build(&cases[i / 2].built);
		cut_open(&p, i % 2 ? VNET_F_LEGACY_SEG : 0);
		send_merged(&p, &cases[i / 2].said, cases[i / 2].size, PLAIN);
		assert_true(port_send(&p, NULL, "behind, but an Ethernet frame", 29, PLAIN));
		assert_int_equal(cut_receive(&p, 32), 1);
		assert_int_equal(p.rxq.stats.drop[VNET_DROP_BAD_HDR], 1);
		expect_counts(&p, 1, 0);
		rte_pktmbuf_free(pkts[0]);
		assert_int_equal(port_reap(&p), 2);
		cut_close(&p);
	}
}

/* Pieces that no mbuf holds are dropped one by one. */
static void
pieces_without_room(void **state)
{
	const struct pkt k = {.payload = 9000};
	struct port p;

	build(&k);
	cut_open(&p, 0);
	send_merged(&p, &k, 4000, PLAIN);
	assert_int_equal(cut_burst(&p, pkts, 1), 1);
	p.rxq.extbuf_pool = NULL;
	assert_int_equal(cut_burst(&p, pkts + 1, 32), 1);
	assert_int_equal(p.rxq.stats.drop[VNET_DROP_OVERSIZE], 1);
	expect_counts(&p, 2, 1);
	expect_segment(&k, pkts[1], 8000, 1000, 2);
	rte_pktmbuf_free_bulk(pkts, 2);
	assert_int_equal(port_reap(&p), 1);
	cut_close(&p);
}

/* Who passes merged packets on gets them in Tx flags, and everything else as without. */
static void
merged_alone_in_tx_flags(void **state)
{
	const uint64_t seg = RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM |
			     RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_IPV4;
	const struct pkt k = {.payload = 30000}, small = {.payload = 500};
	struct virtio_net_hdr_mrg_rxbuf h = {.hdr.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM};
	struct port p;

	cut_open(&p, VNET_F_LEGACY_SEG);
	build(&k);
	send_merged(&p, &k, 1400, PLAIN);
	build(&small);
	partial_csum(&small, false);
	h.hdr.csum_start = (uint16_t)(l2_len + l3_len);
	h.hdr.csum_offset = csum_offset(false);
	assert_true(port_send(&p, &h, bytes, bytes_len, PLAIN));
	assert_int_equal(cut_receive(&p, 32), 2);
	expect_counts(&p, 2, 0);
	assert_int_equal(pkts[0]->ol_flags & ~RTE_MBUF_F_EXTERNAL, seg);
	assert_int_equal(pkts[0]->tso_segsz, 1400);
	assert_int_equal(vnet_tx_prepare(pkts, 1), 1);
	assert_int_equal(pkts[1]->ol_flags, RTE_MBUF_F_RX_L4_CKSUM_GOOD);
	rte_pktmbuf_free_bulk(pkts, 2);
	assert_int_equal(port_reap(&p), 2);
	cut_close(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tcp_becomes_segments),
		cmocka_unit_test(large_packets_are_chains_until_they_are_cut),
		cmocka_unit_test(one_segment_is_completed),
		cmocka_unit_test(udp_becomes_fragments),
		cmocka_unit_test(no_mbufs_for_a_while),
		cmocka_unit_test(chains_are_not_kept_without_mbufs),
		cmocka_unit_test(the_rest_does_not_outlive_a_stop),
		cmocka_unit_test(the_rest_is_freed),
		cmocka_unit_test(lies_are_dropped),
		cmocka_unit_test(pieces_without_room),
		cmocka_unit_test(merged_alone_in_tx_flags),
	};

	return cmocka_run_group_tests_name("vnet_cut", tests, vnet_setup, vnet_teardown);
}
