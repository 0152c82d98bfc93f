/* SPDX-License-Identifier: BSD-3-Clause */
/* A port and the stand-in for its device: what happens to both in the course of a long session. */
#include "rig_port.h"

#include <rte_malloc.h>

#define BOTH_ARGS "queues=2,reconnect-ms=10"

/* Traffic of which some may be lost: frames say which they are. */
struct stream {
	struct sport *p;
	uint16_t queue;
	struct rte_mempool *pool;
	uint32_t sent, received;	/* sent: taken by the port */
	uint32_t next;			/* number that comes next at the earliest */
	struct rte_mbuf *m;		/* waits to be sent */
};

static uint32_t
numbered_len(uint32_t number)
{
	return 64 + number * 97 % 1400;
}

static void
numbered_fill(uint8_t *data, uint32_t number)
{
	frame_fill(data, numbered_len(number), number);
	memcpy(data + 14, &number, sizeof(number));
}

static struct rte_mbuf *
numbered_new(struct rte_mempool *pool, uint32_t number)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	assert_non_null(m);
	numbered_fill((void *)rte_pktmbuf_append(m, (uint16_t)numbered_len(number)), number);
	return m;
}

static void
stream_check(struct stream *t, struct rte_mbuf *m)
{
	uint8_t expected[2048];
	uint32_t number;

	memcpy(&number, rte_pktmbuf_mtod_offset(m, void *, 14), sizeof(number));
	assert_uint_in_range(number, t->next, t->sent);
	numbered_fill(expected, number);
	assert_int_equal(m->pkt_len, numbered_len(number));
	assert_memory_equal(rte_pktmbuf_mtod(m, void *), expected, m->pkt_len);
	t->next = number + 1;
	t->received++;
	rte_pktmbuf_free(m);
}

/* Receive what there is. */
static void
stream_receive(struct stream *t)
{
	struct rte_mbuf *got[BURST_FRAMES];
	uint16_t n = rte_eth_rx_burst(t->p->id, t->queue, got, BURST_FRAMES);

	for (uint16_t i = 0; i < n; i++)
		stream_check(t, got[i]);
}

/* Besides, send one if the port takes it. */
static void
stream_step(struct stream *t)
{
	if (t->m == NULL)
		t->m = numbered_new(t->pool, t->sent);
	if (rte_eth_tx_burst(t->p->id, t->queue, &t->m, 1) == 1) {
		t->m = NULL;
		t->sent++;
	}
	stream_receive(t);
}

/* Until so much more has come. */
static void
stream_run(struct stream *t, uint32_t more)
{
	const uint64_t end = evloop_now_ns() + SPORT_WAIT_MS * 1000000ull;
	const uint32_t goal = t->received + more;

	while (t->received < goal) {
		assert_true(evloop_now_ns() < end);
		stream_step(t);
	}
}

/* Traffic goes on while something is waited for. */
#define STREAM_UNTIL(t, condition) BECOMES((stream_step(t), (condition)))

static void
stream_end(struct stream *t)
{
	struct rte_eth_stats st;

	rte_pktmbuf_free(t->m);
	assert_int_equal(rte_eth_stats_get(t->p->id, &st), 0);
	assert_int_equal(st.opackets + sport_dropped(t->p), t->sent);
	assert_int_equal(st.ipackets, t->received);
}

static void
open_with(struct sport *p, struct stream *t, const char *args, uint16_t queues)
{
	const struct sport_config c = { .args = args, .queues = queues };

	sport_open(p, &c);
	*t = (struct stream){ .p = p, .pool = small_pool };
}

/* A device that breaks down, again and again, under traffic: the port resets it and goes on. */
static void
breakdowns(struct sport *p, const char *args)
{
	struct stream t;

	open_with(p, &t, args, 1);
	for (uint32_t i = 1; i <= 20; i++) {
		uint32_t starts = SPORT_READ(p, vdpa.starts);

		stream_run(&t, 500);
		standin_needs_reset(&p->s);
		assert_true(STREAM_UNTIL(&t, SPORT_READ(p, vdpa.starts) == starts + 1));
	}
	stream_run(&t, 500);
	/* Two rings of packets are lost in a reset at most, and what the device holds. */
	assert_true(t.sent - sport_dropped(p) - t.received <= 21 * (2 * 256 + STANDIN_HOLD));
	stream_end(&t);
	sport_close(p);
}
BOTH(breakdowns)

/* It writes nonsense into a ring, which the port notices and sets up anew. */
static void
nonsense(struct sport *p, const char *args)
{
	struct stream t;

	open_with(p, &t, args, 1);
	for (uint32_t i = 1; i <= 2; i++) {
		const struct virtq_ring *ring;
		const struct virtq_dev *vq;
		uint32_t starts;

		stream_run(&t, 300);
		standin_lock(&p->s);
		ring = p->s.ring[0].ring;
		vq = p->s.ring[0].vq;
		starts = p->s.vdpa.starts;
		if (ring->packed) {
			ring->pdesc[vq->cursor.used_idx].id = 300;
			__atomic_store_n(&ring->pdesc[vq->cursor.used_idx].flags,
					 vq->cursor.used_wrap ? 0x8080 : 0, __ATOMIC_RELEASE);
		} else {
			ring->used->ring[vq->cursor.used_idx & ring->mask].id = 0x10000;
			__atomic_fetch_add(&ring->used->idx, 1, __ATOMIC_RELEASE);
		}
		/* Seen before the device goes on. */
		for (uint32_t k = 0; k <= 256 / BURST_FRAMES; k++)
			stream_step(&t);
		standin_unlock(&p->s);
		assert_true(STREAM_UNTIL(&t, SPORT_READ(p, vdpa.starts) == starts + 1));
	}
	stream_run(&t, 300);
	stream_end(&t);
	sport_close(p);
}
BOTH(nonsense)

static void
link_state(struct sport *p, const char *args)
{
	struct stream t;

	open_with(p, &t, args, 1);
	for (int i = 0; i < 3; i++) {
		standin_set_link(&p->s, false);
		assert_true(BECOMES(!sport_link(p)));
		standin_set_link(&p->s, true);
		assert_true(BECOMES(sport_link(p)));
		stream_run(&t, 300);
	}
	stream_end(&t);
	sport_close(p);
}
BOTH(link_state)

/* The device is taken away under traffic; there is another one later. */
static void
removal(struct sport *p, const char *args)
{
	int fds = vdpa_fds();
	struct stream t;

	open_with(p, &t, args, 1);
	for (int i = 0; i < 2; i++) {
		uint64_t dropped;

		stream_run(&t, 500);
		standin_remove(&p->s);
		assert_true(STREAM_UNTIL(&t, !sport_link(p)));
		assert_false(SPORT_READ(p, vdpa.open));
		dropped = sport_dropped(p);
		stream_step(&t);
		assert_int_equal(sport_dropped(p), dropped + 1);
		assert_int_equal(sport_xstat(p, "session_management_disconnects"), i + 1);
		standin_insert(&p->s);
		assert_true(STREAM_UNTIL(&t, sport_link(p)));
		assert_int_equal(sport_xstat(p, "session_management_connects"), i + 2);
	}
	stream_run(&t, 500);
	stream_end(&t);
	sport_close(p);
	assert_int_equal(vdpa_fds(), fds);
}
BOTH(removal)

/* It is in the file system all the time, but answers no call any more. */
static void
death(struct sport *p, const char *args)
{
	struct stream t;

	open_with(p, &t, args, 1);
	stream_run(&t, 500);
	standin_lock(&p->s);
	p->s.vdpa.gone = true;
	standin_tell(&p->s);
	standin_unlock(&p->s);
	assert_true(STREAM_UNTIL(&t, !sport_link(p)));
	SPORT_WRITE(p, vdpa.gone, false);
	assert_true(STREAM_UNTIL(&t, sport_link(p)));
	stream_run(&t, 500);
	stream_end(&t);
	sport_close(p);
}
BOTH(death)

/* Neither descriptors nor maps are left over, however often a port is started, or made. */
static void
cycles(struct sport *p, const char *args)
{
	int fds = vdpa_fds();
	uint32_t nmaps = 0;

	for (int i = 0; i < 10; i++) {
		struct stream t;

		open_with(p, &t, args, 1 + i % 2);
		for (int k = 0; k < 3; k++) {
			stream_run(&t, 200);
			assert_int_equal(rte_eth_dev_stop(p->id), 0);
			assert_int_equal(rte_eth_dev_start(p->id), 0);
			if (nmaps == 0)
				nmaps = SPORT_READ(p, vdpa.nmaps);
			assert_int_equal(SPORT_READ(p, vdpa.nmaps), nmaps);
		}
		stream_end(&t);
		sport_close(p);
		assert_int_equal(vdpa_fds(), fds);
	}
}
BOTH(cycles)

/* A device that is stopped has no memory: what comes to lie there is told when it starts. */
static void
unmapped(struct sport *p, const char *args)
{
	struct stream t;
	uint32_t nmaps;

	p->s.vdpa.backend |= VIRTQ_BIT(VHOST_BACKEND_F_IOTLB_PERSIST);
	open_with(p, &t, args, 1);
	nmaps = SPORT_READ(p, vdpa.nmaps);
	assert_true(nmaps > 0);
	assert_int_equal(rte_eth_dev_stop(p->id), 0);
	assert_int_equal(SPORT_READ(p, vdpa.nmaps), 0);
	assert_int_equal(rte_eth_dev_start(p->id), 0);
	assert_int_equal(SPORT_READ(p, vdpa.nmaps), nmaps);
	stream_run(&t, 200);
	stream_end(&t);
	sport_close(p);
}
BOTH(unmapped)

/* What kernels may lack: batches, suspending, enabling of rings late, maps that persist. */
static void
kernels(struct sport *p, const char *args)
{
	static const uint64_t backend[] = {
		VIRTQ_BIT(VHOST_BACKEND_F_IOTLB_MSG_V2),
		VIRTQ_BIT(VHOST_BACKEND_F_IOTLB_MSG_V2) | VIRTQ_BIT(VHOST_BACKEND_F_IOTLB_BATCH),
		VIRTQ_BIT(VHOST_BACKEND_F_IOTLB_MSG_V2) | VIRTQ_BIT(VHOST_BACKEND_F_SUSPEND),
		VIRTQ_BIT(VHOST_BACKEND_F_IOTLB_MSG_V2) | VIRTQ_BIT(VHOST_BACKEND_F_IOTLB_PERSIST),
		VIRTQ_BIT(VHOST_BACKEND_F_IOTLB_MSG_V2) |
			VIRTQ_BIT(VHOST_BACKEND_F_ENABLE_AFTER_DRIVER_OK),
	};

	for (unsigned int i = 0; i < RTE_DIM(backend); i++) {
		uint32_t starts = SPORT_READ(p, vdpa.starts);
		struct stream t;

		p->s.vdpa.backend = backend[i];
		open_with(p, &t, args, 1);
		stream_run(&t, 600);
		standin_needs_reset(&p->s);
		assert_true(STREAM_UNTIL(&t, SPORT_READ(p, vdpa.starts) == starts + 2));
		stream_run(&t, 600);
		stream_end(&t);
		sport_close(p);
	}
}
BOTH(kernels)

/* Kicks may be stores to a page of the device's: the index of the ring. */
static void
notifiers(struct sport *p, const char *args)
{
	struct stream t;

	p->s.vdpa.no_pages = false;
	open_with(p, &t, args, 2);
	for (uint16_t i = 0; i < 4; i++) {
		standin_lock(&p->s);
		assert_non_null(p->s.vdpa.page[i]);
		assert_memory_equal(p->s.vdpa.page[i], &i, sizeof(i));
		standin_unlock(&p->s);
	}
	stream_run(&t, 600);
	stream_end(&t);
	sport_close(p);
}
BOTH(notifiers)

/* A device that does not work with what was chosen, at first. */
static void
refusal(struct sport *p, const char *args)
{
	const struct sport_config c = { .args = args };
	struct stream t = { .p = p, .pool = small_pool };

	watch_log();
	p->s.vdpa.drops_features_ok = true;
	sport_create(p, &c);
	assert_int_equal(rte_eth_dev_start(p->id), 0);
	assert_false(sport_link(p));
	assert_int_equal(heard("FEATURES_OK did not stay"), 1);
	SPORT_WRITE(p, vdpa.drops_features_ok, false);
	assert_true(STREAM_UNTIL(&t, sport_link(p)));
	stream_run(&t, 300);
	stream_end(&t);
	sport_close(p);
}
BOTH(refusal)

/* Memory that comes and goes. */

#define GROWTH (4u << 20)
#define GROWN_MBUFS 500

struct grown {
	void *addr;
	struct rte_mempool *pool;
};

static bool
is_mapped(struct sport *p, const void *addr)
{
	const struct virtq_region *r;
	bool mapped;

	standin_lock(&p->s);
	r = virtq_mem_find(p->s.mem, (uintptr_t)addr);
	mapped = r != NULL && r->host + ((uintptr_t)addr - r->gpa) == addr;
	standin_unlock(&p->s);
	return mapped;
}

static void *
reserve(size_t len)
{
	void *addr = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(addr, MAP_FAILED);
	return addr;
}

/* Memory in a heap of its own, as where EAL's own heap grows. */
static void
add_memory(struct sport *p, void *addr)
{
	rte_iova_t iova[GROWTH / GUEST_PAGE];

	for (uint32_t i = 0; i < RTE_DIM(iova); i++)
		iova[i] = (uintptr_t)addr + i * GUEST_PAGE;
	assert_int_equal(rte_malloc_heap_memory_add("grown", addr, GROWTH, iova, RTE_DIM(iova),
						    GUEST_PAGE), 0);
	if (p == NULL)
		return;
	assert_false(is_mapped(p, addr));
	standin_memory_changed(true, addr, GROWTH);
	assert_true(is_mapped(p, addr));
}

static void
remove_memory(struct sport *p, void *addr)
{
	if (p != NULL) {
		standin_memory_changed(false, addr, GROWTH);
		assert_false(is_mapped(p, addr));
	}
	assert_int_equal(rte_malloc_heap_memory_remove("grown", addr, GROWTH), 0);
}

/* Of that, a pool. */
static void
grow(struct sport *p, struct grown *g, void *addr)
{
	g->addr = addr;
	assert_int_equal(rte_malloc_heap_create("grown"), 0);
	add_memory(p, addr);
	g->pool = rte_pktmbuf_pool_create("grown", GROWN_MBUFS, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
					  rte_malloc_heap_get_socket("grown"));
	assert_non_null(g->pool);
	assert_ptr_equal(rte_mem_virt2memseg_list(g->pool)->base_va, addr);
}

/* What was there is gone from this process: a device that looked at it would end it. */
static void
shrink(struct sport *p, struct grown *g)
{
	rte_mempool_free(g->pool);
	remove_memory(p, g->addr);
	assert_int_equal(rte_malloc_heap_destroy("grown"), 0);
	munmap(g->addr, GROWTH);
}

struct background {
	struct stream t;
	bool quit;
};

static void *
run_background(void *arg)
{
	struct background *b = arg;

	while (!__atomic_load_n(&b->quit, __ATOMIC_RELAXED))
		stream_step(&b->t);
	return NULL;
}

static pthread_t
background_start(struct background *b)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, run_background, b), 0);
	return thread;
}

/* All that was sent was mapped, and came back. */
static void
background_stop(struct background *b, pthread_t thread)
{
	__atomic_store_n(&b->quit, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	assert_true(b->t.received > 100);
	rte_pktmbuf_free(b->t.m);
	b->t.m = NULL;
	assert_true(BECOMES((stream_receive(&b->t), b->t.received == b->t.sent)));
}

static void
expect_none_dropped(struct sport *p, uint64_t sent)
{
	struct rte_eth_stats st;

	assert_int_equal(rte_eth_stats_get(p->id, &st), 0);
	assert_int_equal(st.opackets, sent);
	assert_int_equal(st.ipackets, sent);
	assert_int_equal(sport_dropped(p), 0);
	standin_lock(&p->s);
	for (unsigned int i = 0; i < STANDIN_PAIRS; i++) {
		assert_int_equal(link_drops(&p->s.pair[i].from.stats), 0);
		assert_int_equal(link_drops(&p->s.pair[i].to.stats), 0);
	}
	standin_unlock(&p->s);
}

/* Packets from memory that has just come, while others are on their way all the time. */
static void
growth(struct sport *p, const char *args)
{
	struct background b = { .quit = false };
	struct stream grown = { .p = p, .queue = 1 };
	pthread_t thread;

	open_with(p, &b.t, args, 2);
	thread = background_start(&b);
	for (int i = 0; i < 20; i++) {
		struct grown g;

		grow(p, &g, reserve(GROWTH));
		grown.pool = g.pool;
		stream_run(&grown, 400);
		rte_pktmbuf_free(grown.m);
		grown.m = NULL;
		/*
		 * The device gives all back before the memory goes. It takes nothing from any queue
		 * while packets that it holds wait for room in a receive ring.
		 */
		assert_true(BECOMES((stream_receive(&grown), rte_eth_tx_done_cleanup(p->id, 1, 0),
				     rte_mempool_full(g.pool))));
		shrink(p, &g);
	}
	assert_true(BECOMES((stream_receive(&grown), grown.received == grown.sent)));
	background_stop(&b, thread);
	expect_none_dropped(p, b.t.sent + grown.sent);
	sport_close(p);
}
BOTH(growth)

/*
 * What comes lies next to memory that is in use. A device may see each change when it is made,
 * and be at work meanwhile.
 */
static void
neighbours(struct sport *p, const char *args)
{
	struct background b = { .quit = false };
	uint8_t *addr = reserve(2 * GROWTH);
	struct grown g;
	pthread_t thread;

	p->s.vdpa.backend &= ~VIRTQ_BIT(VHOST_BACKEND_F_IOTLB_BATCH);
	open_with(p, &b.t, args, 1);
	grow(p, &g, addr);
	b.t.pool = g.pool;
	thread = background_start(&b);
	for (int i = 0; i < 50; i++) {
		add_memory(p, addr + GROWTH);
		usleep(200);
		remove_memory(p, addr + GROWTH);
	}
	background_stop(&b, thread);
	expect_none_dropped(p, b.t.sent);
	assert_true(BECOMES((rte_eth_tx_done_cleanup(p->id, 0, 0),
			     rte_mempool_full(g.pool))));
	shrink(p, &g);
	munmap(addr + GROWTH, GROWTH);
	sport_close(p);
}
BOTH(neighbours)

/* Memory from outside of EAL's heap takes the buffers to receive into as well. */
static void
outside(struct sport *p, const char *args)
{
	struct sport_config c = { .args = args };
	struct stream t = { .p = p, .pool = small_pool };
	struct grown g;

	grow(NULL, &g, reserve(GROWTH));
	c.pool = g.pool;
	sport_open(p, &c);
	assert_true(is_mapped(p, g.addr));
	stream_run(&t, 1000);
	stream_end(&t);
	sport_close(p);
	assert_true(rte_mempool_full(g.pool));
	shrink(NULL, &g);
}
BOTH(outside)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(breakdowns),
		BOTH_TESTS(nonsense),
		BOTH_TESTS(link_state),
		BOTH_TESTS(removal),
		BOTH_TESTS(death),
		BOTH_TESTS(cycles),
		BOTH_TESTS(unmapped),
		BOTH_TESTS(kernels),
		BOTH_TESTS(notifiers),
		BOTH_TESTS(refusal),
		BOTH_TESTS(growth),
		BOTH_TESTS(neighbours),
		BOTH_TESTS(outside),
	};

	return cmocka_run_group_tests_name("standin_life", tests, sport_group_setup,
					   sport_group_teardown);
}
