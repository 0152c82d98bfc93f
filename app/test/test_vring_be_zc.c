/* SPDX-License-Identifier: BSD-3-Clause */
/* Rings that end while packets are out: how long that is waited for, and what lives on. */
#include "rig_guest_net.h"

#include <pthread.h>

#include "vring_be_queue.h"
#include "vring_be_zc.h"
#include "vring_publish.h"

/* The port around it. */
static struct vring_port port;
static unsigned int unpublished;

void
vring_publish(struct vring_port *p)
{
}

void
vring_publish_withdraw(struct vring_port *p)
{
	unpublished++;
}

static void
set_run(const struct virtq_ring *ring)
{
	const struct virtq_ring *old = port.vring[1].ring;

	vring_be_zc_begin(&port, 1, ring);
	port.vring[1].ring = ring;
	vring_be_zc_follow(&port, 1, old);
}

/* A port with one pair, whose ring 1 runs. */
static void
start(struct port *p, uint64_t features)
{
	memset(&port, 0, sizeof(port));
	unpublished = 0;
	port.pairs = port.vring_pairs = 1;
	port.args.zero_copy = 1;
	assert_int_equal(evloop_new(&port.loop), 0);
	vring_be_zc_open(&port);
	port_open(p, 64, features, 2048, 1);
	p->r.any_order = true;
	assert_int_equal(vnet_rxq_zero_copy(&p->rxq, 64), 0);
	for (int i = 0; i < 2; i++) {
		static struct virtq_cursor idle;

		port.vring[i].cursor = i == 1 ? &p->d.vq->cursor : &idle;
	}
	set_run(p->d.ring);
	p->rx = vnet_dev_rx_select(p->d.ring, p->d.vq->cursor.owner == NULL ? 0 : VNET_F_ZERO_COPY,
				   NULL);
}

static void
finish(struct port *p)
{
	if (port.vring[1].ring != NULL)
		set_run(NULL);
	vring_be_zc_close(&port);
	evloop_free(port.loop);
	port_reap(p);
	assert_int_equal(rd_pending(&p->r), 0);
	port_close(p);
}

static struct rte_mbuf *
receive(struct port *p, uint32_t seed)
{
	struct rte_mbuf *m;
	uint8_t data[600];

	frame_fill(data, sizeof(data), seed);
	assert_true(port_send(p, NULL, data, sizeof(data), PLAIN));
	assert_int_equal(port_rx(p, &m, 1), 1);
	return m;
}

static uint64_t
end_ms(void)
{
	const uint64_t begin = evloop_now_ns();

	set_run(NULL);
	return (evloop_now_ns() - begin) / 1000000;
}

/* EAL's interrupt thread frees what is over. */
static void
wait_refs(const struct virtq_mem *mem, uint32_t refs)
{
	for (int i = 0; i < 3000 && __atomic_load_n(&mem->refs, __ATOMIC_ACQUIRE) != refs; i++)
		usleep(1000);
	assert_int_equal(__atomic_load_n(&mem->refs, __ATOMIC_ACQUIRE), refs);
}

static void
only_where_it_can_be(void **state)
{
	struct port p;

	start(&p, F_V1);
	assert_non_null(p.d.vq->cursor.owner);
	assert_null(port.vring[0].cursor->owner);
	vring_be_zc_begin(&port, 0, p.d.ring);
	assert_null(port.vring[0].cursor->owner);
	finish(&p);
	start(&p, F_V1 | F_IN_ORDER);
	assert_null(p.d.vq->cursor.owner);
	finish(&p);
	start(&p, F_V1);
	set_run(NULL);
	port.args.zero_copy = 0;
	set_run(p.d.ring);
	assert_null(p.d.vq->cursor.owner);
	finish(&p);
}

/* The ring ends and comes back, the port is closed; then the packets are freed. */
static void
packets_outlive_port(void **state)
{
	struct rte_mbuf *m[2];
	struct port p;
	uint64_t ms;

	start(&p, F_V1);
	m[0] = receive(&p, 0);
	ms = end_ms();
	assert_true(ms >= 100 && ms < 1000);
	assert_null(p.d.vq->cursor.owner);
	assert_int_equal(port_reap(&p), 1);
	expect_bytes(rte_pktmbuf_mtod(m[0], uint8_t *), m[0]->pkt_len, 600, 0);
	/* It comes back, and the guest uses the buffer anew; the next end is too soon to wait. */
	set_run(p.d.ring);
	assert_non_null(p.d.vq->cursor.owner);
	m[1] = receive(&p, 1);
	assert_true(end_ms() < 90);
	vring_be_zc_close(&port);
	evloop_free(port.loop);
	assert_int_equal(p.g.mem->refs, 4); /* guest, run, two ends of the ring */
	for (uint32_t i = 0; i < 2; i++) {
		expect_bytes(rte_pktmbuf_mtod(m[i], uint8_t *), m[i]->pkt_len, 600, 1);
		rte_pktmbuf_free(m[i]);
		wait_refs(p.g.mem, 3 - i);
	}
	assert_int_equal(port_reap(&p), 1);
	port_close(&p);
}

static void *
free_later(void *m)
{
	usleep(20000);
	rte_pktmbuf_free(m);
	return NULL;
}

/* Packets that come back in time: nothing is given back under them. */
static void
packets_are_waited_for(void **state)
{
	struct port p;
	pthread_t t;

	usleep(1000000); /* the tests before may have used up the patience of a second */
	start(&p, F_V1 | F_PACKED);
	assert_int_equal(pthread_create(&t, NULL, free_later, receive(&p, 0)), 0);
	assert_true(end_ms() < 100);
	assert_int_equal(p.g.mem->refs, 2);
	pthread_join(t, NULL);
	assert_int_equal(port_reap(&p), 1);
	finish(&p);
}

/* The application does not poll: the control thread gives back what was freed. */
static void
nobody_polls(void **state)
{
	struct rte_mbuf *m;
	struct port p;

	start(&p, F_V1);
	m = receive(&p, 0);
	rte_pktmbuf_free(m);
	for (int i = 0; i < 3000 && port_reap(&p) == 0; i++)
		evloop_step(port.loop, 1);
	assert_true(unpublished > 0);
	assert_int_equal(rd_pending(&p.r), 0);
	finish(&p);
}

/* A front-end that comes and goes while the application keeps a packet of each of its lives. */
static void
ends_without_end(void **state)
{
	static struct rte_mbuf *kept[200];
	uint32_t attached = 0;
	struct port p;

	start(&p, F_V1);
	for (uint32_t i = 0; i < 200; i++) {
		p.rx = vnet_dev_rx_select(p.d.ring, p.d.vq->cursor.owner == NULL ? 0 :
					  VNET_F_ZERO_COPY,
					  NULL);
		kept[i] = receive(&p, i);
		attached += RTE_MBUF_HAS_EXTBUF(kept[i]) != 0;
		set_run(NULL);
		port_reap(&p);
		set_run(p.d.ring);
	}
	assert_int_equal(attached, 64);
	assert_int_equal(p.g.mem->refs, 2 + 64);
	/* Another port has not used up anything. */
	assert_null(p.d.vq->cursor.owner);
	port.zc_watch.port += 1000;
	set_run(NULL);
	set_run(p.d.ring);
	assert_non_null(p.d.vq->cursor.owner);
	port.zc_watch.port -= 1000;
	set_run(NULL);
	set_run(p.d.ring);
	assert_null(p.d.vq->cursor.owner);
	rte_pktmbuf_free_bulk(kept, 200);
	wait_refs(p.g.mem, 2);
	set_run(NULL);
	set_run(p.d.ring);
	assert_non_null(p.d.vq->cursor.owner);
	finish(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_where_it_can_be),
		cmocka_unit_test(packets_outlive_port),
		cmocka_unit_test(packets_are_waited_for),
		cmocka_unit_test(nobody_polls),
		cmocka_unit_test(ends_without_end),
	};

	return cmocka_run_group_tests_name("vring_be_zc", tests, vnet_setup, vnet_teardown);
}
