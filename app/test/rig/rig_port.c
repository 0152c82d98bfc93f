/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig_port.h"

struct rte_mempool *dev_pool;

int
sport_group_setup(void **state)
{
	if (vnet_setup(state) != 0)
		return -1;
	vnet_drv_is_shared = NULL;
	dev_pool = rte_pktmbuf_pool_create("device", DEV_MBUFS, 0, 0,
					   RTE_PKTMBUF_HEADROOM + DEV_ROOM, 0);
	return dev_pool == NULL ? -1 : 0;
}

int
sport_group_teardown(void **state)
{
	rte_mempool_free(dev_pool);
	return vnet_teardown(state);
}

int
sport_setup(void **state)
{
	struct sport *p = calloc(1, sizeof(*p));

	standin_new(&p->s, dev_pool);
	*state = p;
	return 0;
}

void
sport_configure(struct sport *p, const struct sport_config *c)
{
	struct rte_eth_conf conf = {
		.rxmode.offloads = c->rx_offloads,
		.txmode.offloads = c->tx_offloads,
		.rx_adv_conf.rss_conf = c->rss,
		.intr_conf.lsc = c->lsc,
		.intr_conf.rxq = c->rxq_intr,
	};
	uint16_t rx;

	if (c->rss.rss_hf != 0)
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	p->pool = c->pool != NULL ? c->pool : small_pool;
	p->queues = c->queues != 0 ? c->queues : 1;
	rx = c->rx_queues != 0 ? c->rx_queues : p->queues;
	assert_int_equal(rte_eth_dev_configure(p->id, rx, p->queues, &conf), 0);
	for (uint16_t i = 0; i < rx; i++)
		assert_int_equal(rte_eth_rx_queue_setup(p->id, i, 256, 0, NULL, p->pool), 0);
	for (uint16_t i = 0; i < p->queues; i++)
		assert_int_equal(rte_eth_tx_queue_setup(p->id, i, 256, 0, NULL), 0);
}

void
sport_create(struct sport *p, const struct sport_config *c)
{
	char args[256];

	snprintf(args, sizeof(args), "path=%s%s%s", standin_path, c->args != NULL ? "," : "",
		 c->args != NULL ? c->args : "");
	assert_int_equal(rte_vdev_init(SPORT_NAME, args), 0);
	assert_int_equal(rte_eth_dev_get_port_by_name(SPORT_NAME, &p->id), 0);
	sport_configure(p, c);
}

bool
sport_link(const struct sport *p)
{
	struct rte_eth_link link;

	assert_int_equal(rte_eth_link_get_nowait(p->id, &link), 0);
	return link.link_status == RTE_ETH_LINK_UP;
}

void
sport_open(struct sport *p, const struct sport_config *c)
{
	sport_create(p, c);
	assert_int_equal(rte_eth_dev_start(p->id), 0);
	assert_true(sport_link(p));
}

static void
sport_event_over(void *count)
{
	__atomic_fetch_add((unsigned int *)count, 1, __ATOMIC_RELEASE);
}

void
sport_idle(void)
{
	static unsigned int over;
	const unsigned int before = __atomic_load_n(&over, __ATOMIC_RELAXED);

	assert_int_equal(rte_eal_alarm_set(1, sport_event_over, &over), 0);
	while (__atomic_load_n(&over, __ATOMIC_ACQUIRE) == before)
		usleep(10);
}

/* TSan does not see that EAL waits for its thread. */
static void
sport_remove(void)
{
	assert_int_equal(rte_vdev_uninit(SPORT_NAME), 0);
	sport_idle();
}

void
sport_reopen(struct sport *p, const struct sport_config *c)
{
	assert_int_equal(rte_eth_dev_stop(p->id), 0);
	sport_configure(p, c);
	assert_int_equal(rte_eth_dev_start(p->id), 0);
	assert_true(sport_link(p));
}

void
sport_close(struct sport *p)
{
	assert_int_equal(rte_eth_dev_stop(p->id), 0);
	sport_remove();
}

int
sport_teardown(void **state)
{
	struct sport *p = *state;
	uint16_t id;

	if (rte_eth_dev_get_port_by_name(SPORT_NAME, &id) == 0)
		sport_remove();
	standin_free(&p->s);
	free(p);
	watch_log_end();
	expect_all_mbufs();
	expect_pool_whole(dev_pool, DEV_MBUFS);
	return 0;
}

uint64_t
sport_dropped(const struct sport *p)
{
	struct rte_eth_stats st;

	assert_int_equal(rte_eth_stats_get(p->id, &st), 0);
	return st.oerrors + st.ierrors + st.imissed;
}

uint64_t
sport_xstat(const struct sport *p, const char *name)
{
	return watch_xstat(p->id, name);
}

void
sport_send(struct sport *p, uint16_t queue, struct rte_mbuf *m)
{
	assert_true(BECOMES(rte_eth_tx_burst(p->id, queue, &m, 1) == 1));
}

struct rte_mbuf *
sport_receive(struct sport *p, uint16_t queue)
{
	struct rte_mbuf *m = NULL;

	return BECOMES(rte_eth_rx_burst(p->id, queue, &m, 1) == 1) ? m : NULL;
}

/* The device has taken so many packets since it was made and holds none. */
static bool
sport_served(struct sport *p, uint64_t taken)
{
	bool done;

	standin_lock(&p->s);
	done = p->s.taken >= taken;
	for (unsigned int i = 0; i < STANDIN_PAIRS; i++)
		done &= p->s.pair[i].nhold == 0;
	standin_unlock(&p->s);
	return done;
}

bool
sport_returns(struct sport *p, struct rte_mbuf *m, uint16_t from, uint16_t to)
{
	uint64_t taken = SPORT_READ(p, taken);
	struct rte_mbuf *got;
	uint16_t n = 0;

	sport_send(p, from, m);
	assert_true(BECOMES(sport_served(p, taken + 1)));
	for (uint16_t i = 0; i < p->queues; i++)
		if (rte_eth_rx_burst(p->id, i, &got, 1) == 1) {
			n += i == to ? 1 : 100;
			rte_pktmbuf_free(got);
		}
	assert_true(n <= 1);
	return n == 1;
}

void
sport_verify(struct sport *p, const struct sport_frames *f, uint32_t window)
{
	uint64_t end = evloop_now_ns() + 10 * SPORT_WAIT_MS * 1000000ull;
	uint32_t sent = 0, received = 0;
	struct rte_mbuf *m = NULL, *got[BURST_FRAMES];

	while (received < f->n) {
		uint16_t n;

		assert_true(evloop_now_ns() < end);
		while (sent < f->n && sent - received < window) {
			if (m == NULL)
				m = mbuf_new(f->len(sent), sent, f->shape);
			if (rte_eth_tx_burst(p->id, 0, &m, 1) == 0)
				break;
			m = NULL;
			sent++;
		}
		n = rte_eth_rx_burst(p->id, 0, got, BURST_FRAMES);
		for (uint16_t i = 0; i < n; i++, received++) {
			expect_bytes(mbuf_bytes(got[i]), got[i]->pkt_len, f->len(received),
				     received);
			rte_pktmbuf_free(got[i]);
		}
	}
	rte_pktmbuf_free(m);
}
