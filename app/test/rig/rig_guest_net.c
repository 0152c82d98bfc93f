/* SPDX-License-Identifier: BSD-3-Clause */
#include <sched.h>

#include "rig_guest_net.h"
#include "vnet_extbuf.h"

struct rte_mempool *small_pool, *large_pool, *big_pool;

#if NO_MUTATORS /* the thread sanitizer */
#include <sanitizer/tsan_interface.h>

/*
 * The rings of DPDK's pools are not instrumented. So the sanitizer does not see that who takes an
 * mbuf comes after who has put it back. To say so of each mbuf takes tests ten times as long.
 */
static struct rte_mempool_ops ring_ops;

static int
seen_enqueue(struct rte_mempool *pool, void *const *obj, unsigned int n)
{
	__tsan_release(pool);
	return ring_ops.enqueue(pool, obj, n);
}

static int
seen_dequeue(struct rte_mempool *pool, void **obj, unsigned int n)
{
	int rc = ring_ops.dequeue(pool, obj, n);

	if (rc == 0)
		__tsan_acquire(pool);
	return rc;
}

static void
watch_pools(const struct rte_mempool *pool)
{
	struct rte_mempool_ops *ops = &rte_mempool_ops_table.ops[pool->ops_index];

	ring_ops = *ops;
	ops->enqueue = seen_enqueue;
	ops->dequeue = seen_dequeue;
}
#else
static void
watch_pools(const struct rte_mempool *pool)
{
}
#endif

/*
 * EAL puts the only lcore of all tests on processor 0, where they would take turns. Each has one of
 * all processors instead, which its threads share.
 */
static int
leave_first_cpu(const cpu_set_t *all)
{
	int skip = getpid() % CPU_COUNT(all);
	cpu_set_t one;

	CPU_ZERO(&one);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, all) && skip-- == 0)
			CPU_SET(cpu, &one);
	return sched_setaffinity(0, sizeof(one), &one);
}

int
vnet_setup(void **state)
{
	static char args[][24] = {
		"test", "--no-huge", "-m", "64", "--no-pci", "--no-shconf", "--no-telemetry",
		"--log-level=error", "-l", "0",
	};
	char *argv[10];
	cpu_set_t all;

	for (int i = 0; i < 10; i++)
		argv[i] = args[i];
	if (sched_getaffinity(0, sizeof(all), &all) < 0 || rte_eal_init(10, argv) < 0 ||
	    leave_first_cpu(&all) < 0)
		return -1;
	small_pool = rte_pktmbuf_pool_create("small", SMALL_MBUFS, 0, 0,
					     RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	large_pool = rte_pktmbuf_pool_create("large", LARGE_MBUFS, 0, 0,
					     RTE_PKTMBUF_HEADROOM + 10000, 0);
	big_pool = vnet_extbuf_pool_create("big", BIG_BUFS, UINT16_MAX, 0);
	if (small_pool == NULL || large_pool == NULL || big_pool == NULL)
		return -1;
	watch_pools(small_pool);
	return 0;
}

int
vnet_teardown(void **state)
{
	rte_mempool_free(small_pool);
	rte_mempool_free(large_pool);
	rte_mempool_free(big_pool);
	return rte_eal_cleanup();
}

static void
expect_mbuf_fresh(struct rte_mempool *pool, void *opaque, void *obj, unsigned int i)
{
	const struct rte_mbuf *m = obj;

	assert_null(m->next);
	assert_int_equal(m->nb_segs, 1);
	assert_int_equal(rte_mbuf_refcnt_read(m), 1);
	assert_ptr_equal(m->buf_addr, (const uint8_t *)m + sizeof(*m));
}

void
expect_no_mbuf_lost(void)
{
	rte_mempool_obj_iter(small_pool, expect_mbuf_fresh, NULL);
	rte_mempool_obj_iter(large_pool, expect_mbuf_fresh, NULL);
	assert_int_equal(rte_mempool_avail_count(small_pool), SMALL_MBUFS);
	assert_int_equal(rte_mempool_avail_count(large_pool), LARGE_MBUFS);
	assert_int_equal(rte_mempool_avail_count(big_pool), BIG_BUFS);
}

void
port_open(struct port *p, uint16_t size, uint64_t features, uint32_t slot_bytes, uint32_t regions)
{
	uint64_t bytes = size * (64ul + RD_TABLE * 16 + slot_bytes) + 65536;

	memset(p, 0, sizeof(*p));
	guest_new(&p->g, (bytes / regions + GUEST_PAGE) / GUEST_PAGE * GUEST_PAGE, regions);
	rd_init(&p->r, &p->g, size, features);
	p->hdr_len = HDR_LEN(features);
	p->slot_bytes = slot_bytes;
	p->buf = calloc(size, sizeof(*p->buf));
	p->free_buf = calloc(size, sizeof(*p->free_buf));
	p->done = calloc(size, sizeof(*p->done));
	for (uint16_t i = 0; i < size; i++) {
		p->buf[i].gpa = guest_alloc(&p->g, slot_bytes, 1);
		p->free_buf[p->nfree++] = i;
	}
	dev_start(&p->d, &p->r);
	assert_int_equal(vnet_rxq_init(&p->rxq, small_pool, 7, VNET_F_STATS), 0);
	p->txq.flags = VNET_F_STATS;
	p->rx = vnet_dev_rx_select(p->d.ring, 0, NULL);
	p->tx = vnet_dev_tx_select(p->d.ring, NULL);
}

void
port_close(struct port *p)
{
	assert_int_equal(p->r.bad, 0);
	dev_stop(&p->d);
	rd_fini(&p->r);
	free(p->buf);
	free(p->free_buf);
	free(p->done);
	guest_free(&p->g);
	expect_no_mbuf_lost();
}

bool
port_offer(struct port *p, uint32_t bytes, const struct layout *l, bool write)
{
	uint64_t at;
	struct buf *b;

	if (p->nfree == 0)
		return false;
	assert_true(bytes <= p->slot_bytes);
	b = &p->buf[p->free_buf[p->nfree - 1]];
	at = b->gpa;
	b->n = l->n;
	for (uint32_t i = 0; i < l->n; i++) {
		uint32_t len = i + 1 < l->n && l->piece[i] < bytes ? l->piece[i] : bytes;

		b->sg[i] = (struct rd_sg){at, len};
		at += len;
		bytes -= len;
	}
	if (rd_add(&p->r, b->sg, b->n, l->form, write, (uint64_t)(b - p->buf)) < 0)
		return false;
	p->nfree--;
	rd_publish(&p->r);
	return true;
}

/* Copy between a guest's buffer and memory. */
static uint32_t
buf_bytes(const struct port *p, const struct buf *b, void *bytes, uint32_t len, bool to_guest)
{
	uint8_t *at = guest_ptr(&p->g, b->gpa);

	/* The pieces follow each other. */
	if (to_guest)
		memcpy(at, bytes, len);
	else
		memcpy(bytes, at, len);
	return len;
}

bool
port_pop(struct port *p, struct rd_done *d)
{
	uint32_t n = rd_pop(&p->r, p->done);

	assert_true(n <= 1);
	if (n == 0)
		return false;
	*d = p->done[0];
	p->free_buf[p->nfree++] = (uint16_t)d->cookie;
	return true;
}

uint32_t
port_reap(struct port *p)
{
	uint32_t all = 0, n;

	while ((n = rd_pop(&p->r, p->done)) > 0) {
		all += n;
		for (uint32_t i = 0; i < n; i++) {
			p->free_buf[p->nfree++] = (uint16_t)p->done[i].cookie;
			assert_int_equal(p->done[i].len, 0);
		}
	}
	return all;
}

bool
port_send(struct port *p, const struct virtio_net_hdr_mrg_rxbuf *hdr, const void *data,
	  uint32_t len, const struct layout *l)
{
	uint8_t *at;

	if (p->nfree == 0)
		return false;
	assert_true(p->hdr_len + len <= p->slot_bytes);
	at = guest_ptr(&p->g, p->buf[p->free_buf[p->nfree - 1]].gpa);
	memset(at, 0, p->hdr_len);
	if (hdr != NULL)
		memcpy(at, hdr, RTE_MIN(p->hdr_len, sizeof(*hdr)));
	memcpy(at + p->hdr_len, data, len);
	return port_offer(p, p->hdr_len + len, l, false);
}

uint16_t
port_rx(struct port *p, struct rte_mbuf **pkts, uint16_t n)
{
	return p->rx(&p->rxq, &p->d.vq->cursor, p->d.ring, pkts, n);
}

uint16_t
port_tx(struct port *p, struct rte_mbuf **pkts, uint16_t n)
{
	return p->tx(&p->txq, &p->d.vq->cursor, p->d.ring, pkts, n);
}

const uint8_t *
mbuf_bytes(const struct rte_mbuf *m)
{
	static uint8_t bytes[FRAME_MAX];

	assert_true(m->pkt_len <= sizeof(bytes));
	return rte_pktmbuf_read(m, 0, m->pkt_len, bytes);
}

bool
port_receive(struct port *p, struct frame *f)
{
	struct rd_done d;
	uint8_t raw[FRAME_MAX];
	uint32_t bytes;

	if (!port_pop(p, &d))
		return false;
	assert_true(d.len >= p->hdr_len && d.len <= p->slot_bytes);
	bytes = buf_bytes(p, &p->buf[d.cookie], raw, d.len, false);
	memset(&f->hdr, 0, sizeof(f->hdr));
	memcpy(&f->hdr, raw, RTE_MIN(p->hdr_len, sizeof(f->hdr)));
	memcpy(&f->whole, raw, p->hdr_len);
	f->chains = p->r.features & F_MRG ? f->hdr.num_buffers : 1;
	if (p->hdr_len >= 12)
		assert_true(f->hdr.num_buffers >= 1);
	for (uint32_t i = 1; i < f->chains; i++) {
		assert_true(port_pop(p, &d));
		assert_true(d.len <= p->slot_bytes && bytes + d.len <= sizeof(raw));
		bytes += buf_bytes(p, &p->buf[d.cookie], raw + bytes, d.len, false);
	}
	f->len = bytes - p->hdr_len;
	memcpy(f->data, raw + p->hdr_len, f->len);
	return true;
}

/* What frames are cut from: random words, and more starts than a burst has frames. */
#define NOISE_STARTS 8192

static uint64_t noise[NOISE_STARTS + FRAME_MAX / sizeof(uint64_t) + 1];

/* Before main(), and so before any thread that fills a frame. */
__attribute__((constructor)) static void
noise_make(void)
{
	uint64_t x = 1;

	for (size_t i = 0; i < RTE_DIM(noise); i++) {
		rd_random(&x);
		noise[i] = x ^ x >> 32;
	}
}

/*
 * One copy instead of a word at a time: under a sanitizer or an emulator this is most of what a
 * test does. Two seeds differ in the bytes behind the Ethernet header, and most in all.
 */
void
frame_fill(uint8_t *data, uint32_t len, uint32_t seed)
{
	uint64_t x = seed;

	assert_true(len > 0 && len <= FRAME_MAX);
	memcpy(data, &noise[rd_random(&x) % NOISE_STARTS], len);
	data[0] &= 0xfe;
	if (len >= 14) {
		memcpy(data + 12, "\x88\xb5", 2);
		memcpy(data + 14, &x, RTE_MIN(sizeof(x), len - 14));
	}
}

void
ext_free(void *addr, void *opaque)
{
	free(opaque);
}

/* External memory of our own, freed when the mbuf is. */
static struct rte_mbuf *
mbuf_ext(const uint8_t *data, uint32_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(small_pool);
	uint16_t room = RTE_MIN(len + 256u, UINT16_MAX);
	uint8_t *mem = malloc(room + 64);
	struct rte_mbuf_ext_shared_info *info;

	assert_true(m != NULL && len < room - 64u);
	info = rte_pktmbuf_ext_shinfo_init_helper(mem, &room, ext_free, mem);
	rte_pktmbuf_attach_extbuf(m, mem, 0, room, info);
	m->data_off = 33;
	memcpy(rte_pktmbuf_append(m, (uint16_t)len), data, len);
	return m;
}

/* Segments of odd sizes, none of them of the same. */
static struct rte_mbuf *
mbuf_chain(const uint8_t *data, uint32_t len)
{
	struct rte_mbuf *head = NULL;

	for (uint32_t k = 0, done = 0; done < len; k++) {
		uint32_t part = k == 0 ? 13 : 1 + (k * 739) % 2000;
		struct rte_mbuf *m = rte_pktmbuf_alloc(small_pool);

		if (part > len - done)
			part = len - done;
		assert_non_null(m);
		memcpy(rte_pktmbuf_append(m, (uint16_t)part), data + done, part);
		done += part;
		if (head == NULL)
			head = m;
		else
			assert_int_equal(rte_pktmbuf_chain(head, m), 0);
	}
	return head;
}

struct rte_mbuf *
mbuf_of(const uint8_t *data, uint32_t len, enum shape shape)
{
	struct rte_mbuf *m, *clone;

	if (shape == SHAPE_EXT || len > 10000)
		return shape == SHAPE_CHAIN ? mbuf_chain(data, len) : mbuf_ext(data, len);
	if (shape == SHAPE_CHAIN)
		return mbuf_chain(data, len);
	m = rte_pktmbuf_alloc(len > 2000 ? large_pool : small_pool);
	assert_non_null(m);
	memcpy(rte_pktmbuf_append(m, (uint16_t)len), data, len);
	if (shape == SHAPE_LINEAR)
		return m;
	clone = rte_pktmbuf_clone(m, small_pool);
	rte_pktmbuf_free(m);
	return clone;
}

struct rte_mbuf *
mbuf_new(uint32_t len, uint32_t seed, enum shape shape)
{
	static uint8_t data[FRAME_MAX];

	frame_fill(data, len, seed);
	return mbuf_of(data, len, shape);
}

void
expect_bytes(const uint8_t *data, uint32_t len, uint32_t expected_len, uint32_t seed)
{
	static uint8_t expected[FRAME_MAX];

	assert_int_equal(len, expected_len);
	frame_fill(expected, len, seed);
	/* cmocka says where they differ, but takes a byte at a time. */
	if (memcmp(data, expected, len) != 0)
		assert_memory_equal(data, expected, len);
}
