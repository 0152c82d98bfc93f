/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random rings, and a reader of its own that says what should become of each chain; and memory that
 * changes while it is read. Guard pages surround the guest's memory.
 */
#include <pthread.h>

#include "rig_guest_hostile.h"

#define SIZE 8

static struct rte_mbuf *pkts[64];

enum fate { FATE_NONE, FATE_BROKEN, FATE_CHAIN };

struct model {
	uint16_t id, slots;
	uint32_t ndesc;
};

/* Whether the guest has [gpa, gpa + 16). */
static bool
model_maps(const struct port *p, uint64_t gpa)
{
	return gpa >= GUEST_GPA && gpa - GUEST_GPA <= p->g.size - 16;
}

static enum fate
model_table(const struct port *p, struct model *m, uint64_t addr, uint32_t len)
{
	uint32_t n = len / 16, i = 0, steps = 0;

	if (n == 0 || len % 16 != 0 || n > p->r.size || addr + len < addr)
		return FATE_BROKEN;
	for (;; steps++) {
		struct vring_desc d;
		struct vring_packed_desc pd;

		if (steps == n)
			return p->r.packed ? FATE_CHAIN : FATE_BROKEN;
		if (!model_maps(p, addr + 16 * i))
			return FATE_BROKEN;
		memcpy(&d, guest_ptr(&p->g, addr + 16 * i), 16);
		memcpy(&pd, &d, 16);
		if (p->r.packed) {
			if ((pd.flags & VRING_DESC_F_INDIRECT) || ++m->ndesc > p->r.size)
				return FATE_BROKEN;
			i++;
			continue;
		}
		if ((d.flags & (VRING_DESC_F_INDIRECT | VRING_DESC_F_WRITE)) ||
		    ++m->ndesc > p->r.size)
			return FATE_BROKEN;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return FATE_CHAIN;
		i = d.next;
		if (i >= n)
			return FATE_BROKEN;
	}
}

/* One descriptor of the ring itself; *last: it ends the chain. */
static enum fate
model_step(const struct port *p, struct model *m, uint64_t addr, uint32_t len, uint16_t flags,
	   bool *last)
{
	*last = !(flags & VRING_DESC_F_NEXT);
	if (flags & VRING_DESC_F_INDIRECT)
		return *last ? model_table(p, m, addr, len) : FATE_BROKEN;
	if ((flags & VRING_DESC_F_WRITE) || ++m->ndesc > p->r.size)
		return FATE_BROKEN;
	return FATE_CHAIN;
}

static enum fate
model_split(const struct port *p, uint16_t at, struct model *m)
{
	uint16_t ready = p->r.avail->idx - at, i = p->r.avail->ring[at & (p->r.size - 1)];
	bool last = false;

	if (ready == 0)
		return FATE_NONE;
	if (ready > p->r.size || i >= p->r.size)
		return FATE_BROKEN;
	*m = (struct model){.id = i};
	while (!last) {
		const struct vring_desc *d = &p->r.desc[i];

		if (model_step(p, m, d->addr, d->len, d->flags, &last) == FATE_BROKEN)
			return FATE_BROKEN;
		i = d->next;
		if (!last && i >= p->r.size)
			return FATE_BROKEN;
	}
	return FATE_CHAIN;
}

static enum fate
model_packed(const struct port *p, uint16_t at, bool wrap, struct model *m)
{
	uint16_t flags = p->r.pdesc[at].flags;
	bool last = false;

	if (!!(flags & 1 << 7) != wrap || !!(flags & 1 << 15) == wrap)
		return FATE_NONE;
	*m = (struct model){.slots = 0};
	while (!last) {
		const struct vring_packed_desc *d = &p->r.pdesc[at];

		if (++m->slots > p->r.size ||
		    model_step(p, m, d->addr, d->len, d->flags, &last) == FATE_BROKEN)
			return FATE_BROKEN;
		m->id = d->id;
		at = (uint16_t)((at + 1) % p->r.size);
	}
	return FATE_CHAIN;
}

static struct rd_sg
random_piece(struct port *p, uint64_t *x)
{
	uint32_t r = rd_random(x);
	uint64_t gpa = r % 16 == 0 ? rd_random(x) : GUEST_GPA + rd_random(x) % p->g.size;

	return (struct rd_sg){gpa, r % 32 == 1 ? rd_random(x) : rd_random(x) % 300};
}

static uint16_t
random_flags(uint64_t *x)
{
	uint32_t r = rd_random(x);

	return (r % 3 == 0 ? VRING_DESC_F_NEXT : 0) | (r % 61 == 0 ? VRING_DESC_F_WRITE : 0) |
	       (r % 11 == 5 ? VRING_DESC_F_INDIRECT : 0);
}

/* New contents for everything but the position. */
static void
random_ring(struct port *p, uint64_t *x, uint16_t at, bool wrap)
{
	uint32_t n = p->r.size;

	for (uint32_t i = 0; i < n + n * RD_TABLE / 4; i++) {
		struct rd_sg sg = random_piece(p, x);
		uint16_t flags = random_flags(x), other = (uint16_t)(rd_random(x) % (n + n / 16));
		struct vring_desc *d = i < n ? &p->r.desc[i] :
			(struct vring_desc *)guest_ptr(&p->g, p->r.table_gpa) + (i - n);

		if (i >= n)
			flags &= rd_random(x) % 16 ? VRING_DESC_F_NEXT : 0xffff;
		if (flags & VRING_DESC_F_INDIRECT) {
			sg.gpa = p->r.table_gpa + rd_random(x) % (n * 4) * 16;
			sg.len = rd_random(x) % (n + 2) * 16 + (rd_random(x) % 32 == 0);
		}
		if (p->r.packed && i < n) {
			bool lap = i < at ? !wrap : wrap;

			if (rd_random(x) % 8)
				flags |= lap ? 1 << 7 : 1 << 15;
			*(struct vring_packed_desc *)d =
				(struct vring_packed_desc){sg.gpa, sg.len, other, flags};
		} else if (p->r.packed) {
			*(struct vring_packed_desc *)d =
				(struct vring_packed_desc){sg.gpa, sg.len, other, flags};
		} else {
			*d = (struct vring_desc){sg.gpa, sg.len, flags, other};
		}
	}
	if (!p->r.packed) {
		for (uint32_t i = 0; i < n; i++)
			p->r.avail->ring[i] = (uint16_t)(rd_random(x) % (n + n / 16));
		p->r.avail->idx = at + rd_random(x) % (rd_random(x) % 8 ? n + 1 : 65536);
	}
}

/* The chains of one random ring, one by one. Returns how many were good. */
static uint32_t
fuzz_ring(struct port *p, uint64_t *x)
{
	uint16_t at = (uint16_t)(rd_random(x) % (p->r.packed ? p->r.size : 65536));
	bool wrap = rd_random(x) % 2;
	uint32_t good = 0;

	rd_start_at(&p->r, at, wrap);
	assert_int_equal(virtq_dev_set_base(p->d.vq, p->d.ring, rd_base(&p->r)), 0);
	random_ring(p, x, at, wrap);
	for (;;) {
		struct model m;
		enum fate fate = p->r.packed ? model_packed(p, at, wrap, &m) :
				 model_split(p, at, &m);
		uint16_t n = port_rx(p, pkts, 1);

		rte_pktmbuf_free_bulk(pkts, n);
		assert_int_equal(p->d.vq->cursor.broken != VIRTQ_OK, fate == FATE_BROKEN);
		if (fate != FATE_CHAIN) {
			assert_int_equal(n, 0);
			assert_int_equal(virtq_dev_get_base(p->d.vq, p->r.packed) & 0x7fff,
					 at & 0x7fff);
			return good;
		}
		if (p->r.packed) {
			assert_int_equal(p->r.pdesc[at].id, m.id);
			assert_int_equal(p->r.pdesc[at].flags, wrap ? 1 << 7 | 1 << 15 : 0);
			assert_int_equal(p->r.pdesc[at].len, 0);
			wrap ^= at + m.slots >= p->r.size;
			at = (uint16_t)((at + m.slots) % p->r.size);
		} else {
			assert_int_equal(p->r.used->ring[at & (p->r.size - 1)].id, m.id);
			assert_int_equal(p->r.used->ring[at & (p->r.size - 1)].len, 0);
			assert_int_equal(p->r.used->idx, ++at);
		}
		if (++good > 100) /* a packed ring can go round for ever */
			return good;
	}
}

static void
fuzz(uint64_t features)
{
	uint32_t good = 0;
	uint64_t x = 42;
	struct port p;

	port_open(&p, 16, features, 256, 1);
	for (int i = 0; i < 3000; i++)
		good += fuzz_ring(&p, &x);
	assert_true(good > 3000); /* it is not all nonsense */
	port_close(&p);
}

static void
fuzz_split(void **state)
{
	fuzz(F_V1 | F_INDIRECT | F_CSUM);
}

static void
fuzz_packed(void **state)
{
	fuzz(F_V1 | F_INDIRECT | F_CSUM | F_PACKED);
}

/* The same rings as buffers for packets; what is completed on a split ring is what came first. */
static void
fuzz_receive_buffers(void **state)
{
	uint64_t x = 43;
	struct port p;

	for (int k = 0; k < 4; k++) {
		port_open(&p, 16, F_V1 | F_INDIRECT | (k & 1 ? F_PACKED : 0) | (k & 2 ? F_MRG : 0),
			  256, 4);
		for (int i = 0; i < 1500; i++) {
			uint16_t at = (uint16_t)(rd_random(&x) % 16), n;
			uint64_t y = x;

			rd_start_at(&p.r, at, true);
			virtq_dev_set_base(p.d.vq, p.d.ring, rd_base(&p.r));
			random_ring(&p, &x, at, true);
			for (int d = 0; d < 16; d++) { /* most of it for the device to write */
				if (!p.r.packed && rd_random(&y) % 32)
					p.r.desc[d].flags ^= VRING_DESC_F_WRITE;
				else if (rd_random(&y) % 32)
					p.r.pdesc[d].flags ^= VRING_DESC_F_WRITE;
			}
			/* The device may write over its own rings: they are all the guest's. */
			for (int b = 0; b < 8; b++)
				pkts[b] = mbuf_new(14 + rd_random(&x) % 1500, b, b % SHAPE_MAX);
			n = port_tx(&p, pkts, 8);
			rte_pktmbuf_free_bulk(pkts + n, 8 - n);
		}
		assert_true(p.txq.stats.packets > 100);
		port_close(&p);
	}
}

/* Threads that change what is being read. TSan would only tell that they do. */
struct mutator {
	pthread_t thread;
	uint32_t stop;
	uint8_t *at;
	uint64_t len;
	uint64_t x;
	void (*mutate)(struct mutator *m);
};

static void *
mutator_main(void *arg)
{
	struct mutator *m = arg;

	while (!__atomic_load_n(&m->stop, __ATOMIC_RELAXED))
		m->mutate(m);
	return NULL;
}

static void
mutator_start(struct mutator *m)
{
	m->stop = 0;
	assert_int_equal(pthread_create(&m->thread, NULL, mutator_main, m), 0);
}

static void
mutator_stop(struct mutator *m)
{
	__atomic_store_n(&m->stop, 1, __ATOMIC_RELAXED);
	pthread_join(m->thread, NULL);
}

/* Bursts in both directions until the time is over; a broken ring is started anew. */
static uint32_t
burst_for(struct port *p, uint64_t features, unsigned int ms)
{
	uint64_t end = rte_get_timer_cycles() + rte_get_timer_hz() * ms / 1000;
	uint32_t bursts = 0;

	while (rte_get_timer_cycles() < end) {
		uint16_t n = port_rx(p, pkts, 32);

		rte_pktmbuf_free_bulk(pkts, n);
		if (p->d.vq->cursor.broken || bursts % 64 == 0)
			virtq_dev_set_base(p->d.vq, p->d.ring, features & F_PACKED ?
					  0x80008000u : p->r.avail->idx - bursts % 8);
		for (int i = 0; i < 8; i++)
			pkts[i] = mbuf_new(i % 4 == 0 ? 1500 : 64, i, i % SHAPE_MAX);
		if (features & F_GUEST_CSUM)
			pkts[1]->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM;
		n = port_tx(p, pkts, 8);
		rte_pktmbuf_free_bulk(pkts + n, 8 - n);
		bursts++;
	}
	return bursts;
}

/* CVE-2026-93683: the length of a table grows after it was checked. */
static void
flip_length(struct mutator *m)
{
	for (int i = 0; i < SIZE; i++) {
		uint32_t *len = (uint32_t *)(m->at + 16 * i + 8);

		__atomic_store_n(len, 16, __ATOMIC_RELAXED);
		__atomic_store_n(len, 16 * SIZE, __ATOMIC_RELAXED);
		__atomic_store_n(len, 0xfffffff0, __ATOMIC_RELAXED);
	}
}

static void
cve_2026_93683_table_grows(void **state)
{
	for (int packed = 0; packed < 2; packed++) {
		uint64_t features = F_V1 | F_INDIRECT | (packed ? F_PACKED : 0);
		struct mutator m = {.mutate = flip_length};
		uint64_t last;
		struct port p;

		port_open(&p, SIZE, features, 128, 1);
		last = GUEST_GPA + p.g.size - 16; /* a table of one entry fits there */
		if (packed)
			*(struct vring_packed_desc *)guest_ptr(&p.g, last) =
				(struct vring_packed_desc){bytes_at(&p), 64, 0, 0};
		else
			*(struct vring_desc *)guest_ptr(&p.g, last) =
				(struct vring_desc){bytes_at(&p), 64, VRING_DESC_F_NEXT, 1};
		for (uint16_t i = 0; i < SIZE; i++) {
			if (packed)
				p.r.pdesc[i] = (struct vring_packed_desc){
					last, 16, i, VRING_DESC_F_INDIRECT | 1 << 7};
			else
				split_desc(&p, i, last, 16, VRING_DESC_F_INDIRECT, 0);
			if (!packed)
				p.r.avail->ring[i] = i;
		}
		m.at = (uint8_t *)p.r.desc;
		mutator_start(&m);
		for (uint32_t i = 0; i < 20000; i++) {
			uint16_t n;

			virtq_dev_set_base(p.d.vq, p.d.ring, virtq_fresh_base(packed));
			if (packed)
				p.r.pdesc[0].flags = VRING_DESC_F_INDIRECT | 1 << 7;
			else
				p.r.avail->idx = 4;
			n = port_rx(&p, pkts, 32);
			rte_pktmbuf_free_bulk(pkts, n);
		}
		mutator_stop(&m);
		port_close(&p);
	}
}

static uint64_t
scribble_addr(struct mutator *m)
{
	static const uint64_t addr[] = {0, 0x1000, GUEST_GPA, -8ul, GUEST_GPA + 0x10000};
	uint32_t r = rd_random(&m->x);

	if (r % 8 < 5)
		return addr[r % 8] + r % 3;
	/* Around the borders of pages and thereby regions, and somewhere. */
	return GUEST_GPA + (r % 16 < 8 ? r / 16 % 64 * 4096 + r % 7 - 3 : r % 0x40000);
}

/* Values that have a meaning somewhere in a ring, a table or a header. */
static void
scribble(struct mutator *m)
{
	static const uint32_t lens[] = {0, 1, 11, 12, 13, 16, 26, 64, 128, 4096, 65600, -1u};
	uint32_t r = rd_random(&m->x);
	uint64_t at = rd_random(&m->x) % (m->len / 16) * 16;

	__atomic_store_n((uint64_t *)(m->at + at), scribble_addr(m), __ATOMIC_RELAXED);
	__atomic_store_n((uint64_t *)(m->at + at + 8),
			 lens[r % 12] | (uint64_t)(r % 64 & 0x27 ? r & 0xf : 0xffff) << 48 |
			 (uint64_t)(r >> 5 & 7) << 32 | (uint64_t)(r >> 8 & 0x8087) << 48,
			 __ATOMIC_RELAXED);
}

static void
memory_that_changes(void **state)
{
	for (int i = 0; i < 4; i++) {
		uint64_t features = F_INDIRECT | F_CSUM | F_HOST_TSO4 | F_EVENT_IDX |
				    (i & 1 ? F_PACKED : 0) |
				    (i & 2 ? F_V1 | F_MRG | F_GUEST_CSUM : 0);
		struct mutator m = {.mutate = scribble, .x = i};
		struct port p;

		port_open(&p, 16, features, 2048, 4);
		p.rxq.flags |= VNET_F_SCATTER;
		m.at = p.g.base;
		m.len = p.g.size;
		mutator_start(&m);
		assert_true(burst_for(&p, features, 400) > 0);
		mutator_stop(&m);
		port_close(&p);
	}
}

int
main(void)
{
	static const struct CMUnitTest all[] = {
		cmocka_unit_test(fuzz_split),
		cmocka_unit_test(fuzz_packed),
		cmocka_unit_test(fuzz_receive_buffers),
		cmocka_unit_test(cve_2026_93683_table_grows),
		cmocka_unit_test(memory_that_changes),
	};
	struct CMUnitTest tests[sizeof(all) / sizeof(all[0]) - (NO_MUTATORS ? 2 : 0)];

	memcpy(tests, all, sizeof(tests));
	return cmocka_run_group_tests_name("virtq_attack_random", tests, vnet_setup, vnet_teardown);
}
