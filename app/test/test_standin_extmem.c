/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory of the application that DPDK did not allocate, as the device of a port gets to know it. */
#include "rig_port.h"

#include <pthread.h>
#include <sys/mman.h>

#include <rte_dev.h>

#define AREA (2ul << 20)

static uint32_t freed;

static void
count_free(void *addr, void *opaque)
{
	freed++;
}

/* A packet whose bytes lie in memory of ours comes back; copied, its buffer is free at once. */
static void
expect_sent(struct sport *p, uint8_t *area, bool copied)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(small_pool);
	uint16_t room = 2048;

	freed = 0;
	rte_pktmbuf_attach_extbuf(m, area, 0, room, rte_pktmbuf_ext_shinfo_init_helper(
		area, &room, count_free, NULL));
	m->data_off = 64;
	frame_fill((uint8_t *)rte_pktmbuf_append(m, 700), 700, 3);
	sport_send(p, 0, m);
	assert_int_equal(freed, copied);
	m = sport_receive(p, 0);
	assert_non_null(m);
	expect_bytes(mbuf_bytes(m), m->pkt_len, 700, 3);
	rte_pktmbuf_free(m);
	assert_true(BECOMES(rte_eth_tx_done_cleanup(p->id, 0, 0) >= 0 && freed == 1));
}

static bool
knows(struct sport *p, const uint8_t *area)
{
	const struct vdpa *f = &p->s.vdpa;
	bool found = false;

	standin_lock(&p->s);
	for (uint32_t i = 0; i < f->nmaps; i++)
		found |= f->map[i].iova <= (uintptr_t)area &&
			 f->map[i].iova + f->map[i].size >= (uintptr_t)area + AREA;
	standin_unlock(&p->s);
	return found;
}

/* Registered and mapped it is the device's as well, for as long as that lasts. */
static void
test_known_while_mapped(void **state)
{
	const struct sport_config c = { .tx_offloads = RTE_ETH_TX_OFFLOAD_MULTI_SEGS };
	struct rte_eth_dev_info info;
	struct rte_device *device;
	struct sport *p = *state;
	uint8_t *area;

	area = mmap(NULL, AREA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(area != MAP_FAILED);
	sport_open(p, &c);
	assert_int_equal(rte_eth_dev_info_get(p->id, &info), 0);
	device = (struct rte_device *)(uintptr_t)info.device;
	expect_sent(p, area, true);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(rte_extmem_register(area, AREA, NULL, 0, 4096), 0);
		expect_sent(p, area, true);
		assert_int_equal(rte_dev_dma_map(device, area, (uintptr_t)area, AREA), 0);
		assert_true(knows(p, area));
		expect_sent(p, area, false);
		sport_reopen(p, &c);
		expect_sent(p, area, false);
		assert_int_equal(rte_dev_dma_unmap(device, area, (uintptr_t)area, AREA), 0);
		assert_false(knows(p, area));
		expect_sent(p, area, true);
		assert_int_equal(rte_extmem_unregister(area, AREA), 0);
		expect_sent(p, area, true);
	}
	assert_int_equal(sport_dropped(p), 0);
	sport_close(p);
	munmap(area, AREA);
}

/* Memory that is taken back while a burst is under way. */
static struct {
	struct sport *port;
	struct rte_device *device;
	uint8_t *area;
	pthread_t taker;
	int rc;
	bool known;	/* while the burst lasted */
} taken;

static void *
take_back(void *arg)
{
	taken.rc = rte_dev_dma_unmap(taken.device, taken.area, (uintptr_t)taken.area, AREA);
	return NULL;
}

/* Called by the burst, which has copied the packet. */
static void
take_back_meanwhile(void *addr, void *opaque)
{
	assert_int_equal(pthread_create(&taken.taker, NULL, take_back, NULL), 0);
	usleep(200000);
	taken.known = knows(taken.port, taken.area);
}

static void
test_taken_from_a_burst(void **state)
{
	const struct sport_config c = { .tx_offloads = RTE_ETH_TX_OFFLOAD_MULTI_SEGS };
	struct rte_eth_dev_info info;
	struct sport *p = *state;
	struct rte_mbuf *m;
	uint16_t room = 2048;
	uint8_t *other;

	taken.port = p;
	taken.area = mmap(NULL, 2 * AREA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			  0);
	assert_true(taken.area != MAP_FAILED);
	other = taken.area + AREA;
	sport_open(p, &c);
	assert_int_equal(rte_eth_dev_info_get(p->id, &info), 0);
	taken.device = (struct rte_device *)(uintptr_t)info.device;
	assert_int_equal(rte_extmem_register(taken.area, AREA, NULL, 0, 4096), 0);
	assert_int_equal(rte_dev_dma_map(taken.device, taken.area, (uintptr_t)taken.area, AREA), 0);
	assert_true(knows(p, taken.area));
	m = rte_pktmbuf_alloc(small_pool);
	rte_pktmbuf_attach_extbuf(m, other, 0, room, rte_pktmbuf_ext_shinfo_init_helper(
		other, &room, take_back_meanwhile, NULL));
	assert_non_null(rte_pktmbuf_append(m, 700));
	sport_send(p, 0, m);
	rte_pktmbuf_free(sport_receive(p, 0));
	assert_true(taken.known);
	pthread_join(taken.taker, NULL);
	assert_int_equal(taken.rc, 0);
	assert_false(knows(p, taken.area));
	expect_sent(p, taken.area, true);
	assert_int_equal(rte_extmem_unregister(taken.area, AREA), 0);
	sport_close(p);
	munmap(taken.area, 2 * AREA);
}

/* Memory taken back stays so whatever else changes, for as long as it is registered. */
static void
test_taken_back(void **state)
{
	const struct sport_config c = { .tx_offloads = RTE_ETH_TX_OFFLOAD_MULTI_SEGS };
	struct rte_eth_dev_info info;
	struct rte_device *device;
	struct sport *p = *state;
	uint8_t *a, *b, *half;

	a = mmap(NULL, 3 * AREA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(a != MAP_FAILED);
	b = a + 2 * AREA;
	half = b + AREA / 2;
	sport_open(p, &c);
	assert_int_equal(rte_eth_dev_info_get(p->id, &info), 0);
	device = (struct rte_device *)(uintptr_t)info.device;
	assert_int_equal(rte_extmem_register(a, AREA, NULL, 0, 4096), 0);
	assert_int_equal(rte_extmem_register(b, AREA, NULL, 0, 4096), 0);
	assert_int_equal(rte_dev_dma_map(device, a, (uintptr_t)a, AREA), 0);
	assert_int_equal(rte_dev_dma_map(device, b, (uintptr_t)b, AREA), 0);
	assert_true(knows(p, a) && knows(p, b));
	assert_int_equal(rte_dev_dma_unmap(device, a, (uintptr_t)a, AREA), 0);
	assert_true(!knows(p, a) && knows(p, b));
	assert_int_equal(rte_dev_dma_unmap(device, b, (uintptr_t)b, AREA), 0);
	assert_true(!knows(p, a) && !knows(p, b));
	standin_memory_changed(true, small_pool, 4096);
	sport_reopen(p, &c);
	assert_true(!knows(p, a) && !knows(p, b));
	expect_sent(p, a, true);
	expect_sent(p, b, true);
	/* A part of it alone: what lies there is copied still. */
	assert_int_equal(rte_dev_dma_map(device, b, (uintptr_t)b, AREA / 2), 0);
	assert_true(!knows(p, a) && !knows(p, b));
	expect_sent(p, half, true);
	assert_int_equal(rte_dev_dma_map(device, half, (uintptr_t)half, AREA / 2), 0);
	sport_reopen(p, &c); /* in one piece */
	assert_true(!knows(p, a) && knows(p, b));
	expect_sent(p, b, false);
	/* Once unregistered it is like any other. */
	assert_int_equal(rte_extmem_unregister(a, AREA), 0);
	standin_memory_changed(true, small_pool, 4096);
	assert_int_equal(rte_extmem_register(a, AREA, NULL, 0, 4096), 0);
	standin_memory_changed(true, small_pool, 4096);
	assert_true(knows(p, a) && knows(p, b));
	sport_close(p);
	assert_int_equal(rte_extmem_unregister(a, AREA), 0);
	assert_int_equal(rte_extmem_unregister(b, AREA), 0);
	munmap(a, 3 * AREA);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SPORT_TEST(test_known_while_mapped),
		SPORT_TEST(test_taken_from_a_burst),
		SPORT_TEST(test_taken_back),
	};

	return cmocka_run_group_tests_name("standin_extmem", tests, sport_group_setup,
					   sport_group_teardown);
}
