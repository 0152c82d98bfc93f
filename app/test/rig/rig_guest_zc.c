/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig_guest_zc.h"

void
zc_open(struct port *p, uint16_t size, uint64_t features, uint32_t bytes, uint32_t flags)
{
	struct vnet_zc_ring *zc;

	port_open(p, size, features, bytes, 1);
	p->r.any_order = true;
	p->rxq.flags |= flags;
	p->rxq.extbuf_pool = flags & VNET_F_SCATTER ? NULL : big_pool;
	assert_int_equal(vnet_rxq_zero_copy(&p->rxq, MIN), 0);
	assert_int_equal(vnet_zc_new(p->d.ring, &zc), 0);
	p->d.vq->cursor.owner = zc;
	p->rx = vnet_dev_rx_select(p->d.ring, VNET_F_ZERO_COPY, NULL);
}

void
zc_close(struct port *p)
{
	struct vnet_zc_ring *zc = p->d.vq->cursor.owner;
	struct rte_mbuf *m;

	port_rx(p, &m, 0);
	vnet_zc_end(zc, p->d.vq, p->d.ring);
	assert_null(p->d.vq->cursor.owner);
	assert_true(vnet_zc_free(zc));
	port_reap(p);
	assert_int_equal(rd_pending(&p->r), 0);
	port_close(p);
}

bool
send_frame(struct port *p, uint32_t len, uint32_t seed, const struct layout *l)
{
	static uint8_t data[FRAME_MAX];

	frame_fill(data, len, seed);
	return port_send(p, NULL, data, len, l);
}

bool
is_attached(const struct port *p, const struct rte_mbuf *m)
{
	const uint8_t *data = rte_pktmbuf_mtod(m, const uint8_t *);

	return RTE_MBUF_HAS_EXTBUF(m) && data >= p->g.base && data < p->g.base + p->g.size;
}

void
expect_packet(const struct port *p, struct rte_mbuf *m, uint32_t len, uint32_t seed, bool attached)
{
	const char *why = NULL;

	assert_int_equal(rte_mbuf_check(m, 1, &why), 0);
	assert_int_equal(is_attached(p, m), attached);
	assert_int_equal(m->port, 7);
	expect_bytes(mbuf_bytes(m), m->pkt_len, len, seed);
	for (struct rte_mbuf *s = attached ? m : NULL; s != NULL; s = s->next) {
		assert_int_equal(rte_pktmbuf_headroom(s), 0);
		assert_int_equal(rte_pktmbuf_tailroom(s), 0);
		assert_null(rte_pktmbuf_prepend(s, 1));
	}
}

void
poll_nothing(struct port *p)
{
	struct rte_mbuf *m;

	assert_int_equal(port_rx(p, &m, 1), 0);
}

void
poll_late(struct port *p)
{
	const struct timespec pause = {.tv_nsec = 2000 * VNET_ZC_WAIT_US};

	nanosleep(&pause, NULL);
	poll_nothing(p);
}
