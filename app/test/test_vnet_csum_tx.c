/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checksums of packets for guests: what a packet of one segment, which goes the fast way, becomes
 * in the guest's buffer must be what the general function makes of it, and the mbuf stays as it is.
 */
#include "rig_guest_any.h"
#include "vnet_impl.h"
#include "vnet_isa.h"

#define SLOTS 64
#define SLOT_BYTES (ANY_MAX + RTE_CACHE_LINE_SIZE + 37)	/* odd: addresses are of all kinds */
#define POISON 0xa5

static const uint64_t csum_rings[] = {
	F_V1, F_V1 | F_MRG, 0, F_V1 | F_PACKED, F_V1 | F_MRG | F_PACKED, F_PACKED,
};

/* A packet on its way, and what the guest has to find; len 0: nothing. */
struct expected {
	struct any f;		/* bytes of the mbuf */
	struct rte_mbuf *m;	/* which the test keeps */
	uint64_t ol_flags;
	struct vnet_hdr hdr;
	uint8_t data[ANY_MAX + 8];
	uint32_t len;
};

struct rig {
	struct port p;
	uint64_t features;
	struct expected e[SLOTS];
	uint64_t sent, refused, sums, plain;
};

/*
 * Half of the buffers begin where the header ends with a cache line: there it is not written again
 * if it still stands there.
 */
static void
rig_open(struct rig *r, const struct vnet_isa_ops_table *ops, uint64_t features)
{
	memset(r, 0, sizeof(*r));
	r->features = features;
	port_open(&r->p, SLOTS, features, SLOT_BYTES, 1);
	r->p.tx = ops->dev_tx_select(r->p.d.ring, NULL);
	for (uint32_t i = 0; i < SLOTS / 2; i++) {
		uint8_t *at = guest_ptr(&r->p.g, r->p.buf[i].gpa);
		const uintptr_t end = (uintptr_t)at + r->p.hdr_len;

		r->p.buf[i].gpa += RTE_CACHE_LINE_ROUNDUP(end) - end;
	}
	r->p.slot_bytes -= RTE_CACHE_LINE_SIZE;
}

static void
rig_close(struct rig *r)
{
	assert_int_equal(r->p.txq.stats.packets, r->sent);
	assert_int_equal(r->p.txq.stats.drop[VNET_DROP_OFFLOAD], r->refused);
	assert_int_equal(r->p.txq.stats.sw_csum, r->sums);
	port_close(&r->p);
}

/* What an application asks for, and what it says of the headers. */
static void
ask(struct expected *e, uint64_t *x)
{
	static const uint64_t l4[] = {RTE_MBUF_F_TX_TCP_CKSUM, RTE_MBUF_F_TX_UDP_CKSUM, 0,
				      RTE_MBUF_F_TX_SCTP_CKSUM};
	const uint32_t kind = any_of(x, 4);

	e->ol_flags = rd_random(x) % 8 ?
		      (e->f.udp ? RTE_MBUF_F_TX_UDP_CKSUM : RTE_MBUF_F_TX_TCP_CKSUM) :
		      l4[rd_random(x) % 4];
	e->ol_flags |= e->f.v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4;
	if (rd_random(x) % 2)
		e->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
	if (any_of(x, 4) == 1)
		e->ol_flags |= RTE_MBUF_F_TX_VLAN;
	if (any_of(x, 4) == 1)
		e->ol_flags |= RTE_MBUF_F_RX_LRO; /* not merged: it has no segment size */
	e->m->l2_len = e->f.l2_len;
	e->m->l3_len = e->f.l3_len;
	if (kind == 1) { /* L4 begins where it does, the rest is wrong */
		e->m->l2_len = e->f.l2_len - 1 - rd_random(x) % 8;
		e->m->l3_len += e->f.l2_len - e->m->l2_len;
	} else if (kind == 2) {
		e->m->l3_len = e->f.v6 ? 20 : 40;
	} else if (kind == 3) {
		e->m->l2_len = rd_random(x) % 128;
		e->m->l3_len = rd_random(x) % 512;
	}
	e->m->vlan_tci = (uint16_t)rd_random(x);
	e->m->ol_flags |= e->ol_flags;
}

/* The general function says what the guest gets. */
static void
foresee(struct rig *r, struct expected *e)
{
	struct vnet_tx_pkt p;

	e->len = 0;
	if (vnet_offload_tx(r->features, e->m, &p) < 0) {
		r->refused++;
		return;
	}
	assert_int_equal(p.mss, 0);
	e->hdr = p.hdr;
	e->len = p.len;
	memcpy(e->data, p.head, p.head_len);
	memcpy(e->data + p.head_len, e->f.data + p.head_skip, p.len - p.head_len);
	r->sums += p.sw_csum;
	r->plain += p.sw_csum || p.hdr.flags != 0;
	r->sent++;
}

static void
make(struct rig *r, struct expected *e, uint32_t len, uint64_t *x)
{
	any_frame(&e->f, len, x);
	e->m = mbuf_of(e->f.data, len, rd_random(x) % 8 ? SHAPE_LINEAR :
		       rd_random(x) % 2 ? SHAPE_EXT : SHAPE_CLONE);
	ask(e, x);
	foresee(r, e);
	rte_mbuf_refcnt_update(e->m, 1);
}

/* Buffers for n packets; bytes that nobody may touch behind them. Some keep the old header. */
static void
offer(struct rig *r, uint32_t n, uint64_t *x)
{
	while (n-- > 0) {
		uint8_t *at = guest_ptr(&r->p.g, r->p.buf[r->p.free_buf[r->p.nfree - 1]].gpa);
		const uint32_t kept = rd_random(x) % 2 ? r->p.hdr_len : 0;

		memset(at + kept, POISON, r->p.slot_bytes - kept);
		assert_true(port_offer(&r->p, r->p.slot_bytes, PLAIN, true));
	}
}

static void
expect_received(struct rig *r, const struct expected *e)
{
	struct rd_done d = {.len = 0};
	const uint8_t *at;

	assert_true(port_pop(&r->p, &d));
	assert_int_equal(d.len, r->p.hdr_len + e->len);
	at = guest_ptr(&r->p.g, r->p.buf[d.cookie].gpa);
	assert_memory_equal(at, &e->hdr, r->p.hdr_len);
	assert_memory_equal(at + r->p.hdr_len, e->data, e->len);
	for (uint32_t i = r->p.hdr_len + e->len; i < r->p.slot_bytes; i++)
		assert_int_equal(at[i], POISON);
}

/* The application's own is as it was, and its alone. */
static void
expect_untouched(struct expected *e)
{
	assert_int_equal(rte_mbuf_refcnt_read(e->m), 1);
	assert_int_equal(e->m->pkt_len, e->f.len);
	assert_int_equal(e->m->data_len, e->f.len);
	assert_memory_equal(rte_pktmbuf_mtod(e->m, void *), e->f.data, e->f.len);
	assert_int_equal(e->m->ol_flags & ~(RTE_MBUF_F_EXTERNAL | RTE_MBUF_F_INDIRECT),
			 e->ol_flags);
	rte_pktmbuf_free(e->m);
}

static void
send_burst(struct rig *r, uint32_t first, uint32_t n, uint32_t spread, uint64_t *x)
{
	struct rte_mbuf *pkts[SLOTS];
	struct rd_done none;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t len = spread == 0 ? first + i : first + rd_random(x) % spread;

		make(r, &r->e[i], RTE_MIN(len, ANY_MAX), x);
		pkts[i] = r->e[i].m;
	}
	/* So many that a packet which is dropped costs no other one its buffer. */
	offer(r, n, x);
	assert_int_equal(port_tx(&r->p, pkts, (uint16_t)n), n);
	for (uint32_t i = 0; i < n; i++) {
		if (r->e[i].len > 0)
			expect_received(r, &r->e[i]);
		expect_untouched(&r->e[i]);
	}
	assert_false(port_pop(&r->p, &none));
	/* What is left is used up, so that the next burst finds buffers of its own. */
	for (n = rd_pending(&r->p.r); n > 0; n--) {
		struct rte_mbuf *m = mbuf_new(60, n, SHAPE_LINEAR);

		assert_int_equal(port_tx(&r->p, &m, 1), 1);
		assert_true(port_pop(&r->p, &none));
		r->sent++;
	}
}

static void
to_guest(const struct vnet_isa_ops_table *ops, uint64_t features)
{
	uint64_t x = features * 3 + 1;
	static struct rig r;

	rig_open(&r, ops, features);
	for (uint32_t len = ANY_MIN; len <= ANY_MAX;) {
		const uint32_t n = RTE_MIN(1 + rd_random(&x) % SLOTS, ANY_MAX + 1 - len);

		send_burst(&r, len, n, 0, &x);
		len += n;
	}
	for (int round = 0; round < 60; round++)
		send_burst(&r, ANY_MIN, 1 + rd_random(&x) % SLOTS, 140, &x);
	assert_true(r.plain > 1500 && r.refused > 200);
	rig_close(&r);
}

static void
as_the_general_function(void **state)
{
	const struct vnet_isa *level;

	for (unsigned int k = 0; (level = vnet_isa_at(k)) != NULL; k++)
		for (uint32_t i = 0; i < RTE_DIM(csum_rings); i++) {
			to_guest(level->ops, csum_rings[i]);
			to_guest(level->ops, csum_rings[i] | F_GUEST_CSUM);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_the_general_function),
	};

	return cmocka_run_group_tests_name("vnet_csum_tx", tests, vnet_setup, vnet_teardown);
}
