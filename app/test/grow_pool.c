/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sends packets from memory that came while the port was running, to whoever returns them, and
 * compares every byte. Stock testpmd has all its pools before its ports start.
 *
 * usage: grow-pool EAL-OPTIONS, which make one port. Its peer returns each frame.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>

enum {
	POOL = 2048,		/* mbufs that there are from the start */
	GROWN = 12000,		/* mbufs of the later pool: more than the heap has at first */
	WINDOW = 64,		/* packets under way: fewer than a small device's rings have */
	ETHERTYPE = 0x88b5,	/* for local experiments, IEEE 802 */
	SMALLEST = 60, LARGEST = 1514,
};

static struct rte_mbuf *grown[GROWN];

static int
fail(const char *what, int ret)
{
	printf("grow-pool: %s: %s\n", what, ret == 0 ? "no" : rte_strerror(-ret));
	return -1;
}

static uint64_t
heap_bytes(void)
{
	struct rte_malloc_socket_stats stats = { 0 };

	rte_malloc_get_socket_stats(rte_socket_id() == (unsigned int)SOCKET_ID_ANY ? 0 :
				    (int)rte_socket_id(), &stats);
	return stats.heap_totalsz_bytes;
}

/* The n-th frame: its bytes follow from its number. */
static uint16_t
frame(uint32_t n, const struct rte_ether_addr *to, uint8_t *bytes)
{
	uint16_t len = SMALLEST + n * 37 % (LARGEST - SMALLEST + 1);
	struct rte_ether_hdr *eth = (struct rte_ether_hdr *)bytes;
	uint64_t x = (n + 1) * UINT64_C(0x9e3779b97f4a7c15);

	memset(eth, 0, sizeof(*eth));
	eth->dst_addr = *to;
	eth->src_addr = *to;
	eth->ether_type = rte_cpu_to_be_16(ETHERTYPE);
	for (uint16_t i = sizeof(*eth); i < len; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		bytes[i] = (uint8_t)x;
	}
	return len;
}

static bool
is_frame(const struct rte_mbuf *m, uint32_t n, const struct rte_ether_addr *to)
{
	uint8_t wanted[LARGEST], copy[LARGEST];
	uint16_t len = frame(n, to, wanted);
	const void *got;

	if (m->pkt_len != len)
		return false;
	got = rte_pktmbuf_read(m, 0, len, copy);
	return got != NULL && memcmp(got, wanted, len) == 0;
}

/* Send these mbufs, in order, and compare what comes back. They are gone afterwards. */
static int
exchange(const char *what, struct rte_mbuf **m, uint32_t n)
{
	uint64_t end = rte_get_timer_cycles() + 20 * rte_get_timer_hz();
	uint32_t sent = 0, back = 0;
	struct rte_ether_addr mac;
	struct rte_mbuf *got[32];
	int ret = 0;

	rte_eth_macaddr_get(0, &mac);
	for (uint32_t i = 0; i < n; i++) {
		m[i]->data_len = frame(i, &mac, rte_pktmbuf_mtod(m[i], uint8_t *));
		m[i]->pkt_len = m[i]->data_len;
	}
	while (back < n && ret == 0 && rte_get_timer_cycles() < end) {
		uint32_t room = RTE_MIN(n - sent, WINDOW - (sent - back));
		uint16_t k;

		sent += rte_eth_tx_burst(0, 0, m + sent, (uint16_t)RTE_MIN(room, 32u));
		k = rte_eth_rx_burst(0, 0, got, 32);
		for (uint16_t i = 0; i < k; i++) {
			if (ret == 0 && !is_frame(got[i], back, &mac))
				ret = -1;
			back += ret == 0;
			rte_pktmbuf_free(got[i]);
		}
	}
	if (sent < n)
		rte_pktmbuf_free_bulk(m + sent, n - sent);
	printf("grow-pool: %s: %u of %u packets came back as they were sent%s\n", what, back, n,
	       ret == 0 ? "" : ", the next one did not");
	return back == n ? 0 : -1;
}

static int
exchange_from(const char *what, struct rte_mempool *pool, uint32_t n)
{
	if (rte_pktmbuf_alloc_bulk(pool, grown, n) != 0)
		return fail("mbufs", -ENOMEM);
	return exchange(what, grown, n);
}

static int
start(struct rte_mempool *pool)
{
	struct rte_eth_conf conf = { .rxmode.offloads = 0 };
	struct rte_eth_link link;
	int ret = rte_eth_dev_configure(0, 1, 1, &conf);

	if (ret == 0)
		ret = rte_eth_rx_queue_setup(0, 0, 256, 0, NULL, pool);
	if (ret == 0)
		ret = rte_eth_tx_queue_setup(0, 0, 256, 0, NULL);
	if (ret == 0)
		ret = rte_eth_dev_start(0);
	if (ret != 0)
		return fail("port", ret);
	for (int i = 0; i < 1000; i++) {
		if (rte_eth_link_get_nowait(0, &link) == 0 && link.link_status)
			return 0;
		rte_delay_us_sleep(10000);
	}
	return fail("link", 0);
}

/* Memory comes, is used, and goes again, all while the port runs. */
static int
grow(struct rte_mempool *pool)
{
	uint64_t before = heap_bytes(), after;
	struct rte_mempool *later = rte_pktmbuf_pool_create("later", GROWN, 0, 0,
							    RTE_MBUF_DEFAULT_BUF_SIZE,
							    SOCKET_ID_ANY);
	int ret;

	if (later == NULL)
		return fail("another pool", -rte_errno);
	after = heap_bytes();
	if (after < before + GROWN * UINT64_C(2048) / 2)
		return fail("has the heap grown", 0);
	/* All of them, so that every page of it is read. */
	ret = exchange_from("grown memory", later, GROWN);
	/* Others take their places in the ring. */
	if (ret == 0)
		ret = exchange_from("first pool, meanwhile", pool, 1024);
	if (ret == 0 && rte_mempool_avail_count(later) != GROWN)
		ret = fail("are all mbufs back", 0);
	if (ret == 0)
		rte_mempool_free(later);
	if (ret == 0 && heap_bytes() >= after)
		ret = fail("has the heap shrunk", 0);
	return ret;
}

int
main(int argc, char **argv)
{
	struct rte_mempool *pool;
	int ret = rte_eal_init(argc, argv);

	setlinebuf(stdout);
	if (ret < 0)
		return 1;
	pool = rte_pktmbuf_pool_create("pool", POOL, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
				       SOCKET_ID_ANY);
	if (pool == NULL || !rte_eth_dev_is_valid_port(0))
		return -fail("pool and port", -rte_errno);
	ret = start(pool);
	if (ret == 0)
		ret = exchange_from("first pool", pool, 1024);
	for (int i = 0; i < 2 && ret == 0; i++)
		ret = grow(pool);
	if (ret == 0)
		ret = exchange_from("first pool, afterwards", pool, 1024);
	rte_eth_dev_stop(0);
	if (ret == 0 && rte_mempool_avail_count(pool) != POOL)
		ret = fail("are all mbufs of the first pool back", 0);
	rte_eth_dev_close(0);
	rte_eal_cleanup();
	printf("grow-pool: %s\n", ret == 0 ? "good" : "failed");
	return ret != 0;
}
