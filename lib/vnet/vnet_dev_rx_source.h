/* SPDX-License-Identifier: BSD-3-Clause */
/* Device side, from the guest: a chain of several segments. Part of vnet_dev_rx.c. */
#ifndef VNET_DEV_RX_SOURCE_H
#define VNET_DEV_RX_SOURCE_H

#include "virtq_dev.h"
#include "vnet_dev_rx_room.h"
#include "vnet_impl.h"

/* Reads the segments of a chain one after the other. */
struct rx_source {
	const struct virtq_seg *seg;
	uint16_t left;		/* segments after the current one */
	struct virtq_seg cur;
};

static void
rx_source_init(struct rx_source *s, const struct virtq_dev *dev, const struct virtq_chain *c)
{
	s->seg = NULL;
	s->left = 0;
	s->cur = (struct virtq_seg){c->addr, c->len};
	if (c->nseg > 1) {
		s->seg = &dev->segs[c->seg];
		s->left = c->nseg - 1;
	}
}

/* Copy len bytes, which the chain has. */
static void
rx_source_read(struct rx_source *s, void *to, uint32_t len)
{
	uint8_t *p = to;

	while (len > 0) {
		uint32_t part;

		if (s->cur.len == 0) {
			s->cur = *++s->seg;
			s->left--;
		}
		part = RTE_MIN(len, s->cur.len);
		vnet_copy_long(p, s->cur.addr, part);
		s->cur.addr += part;
		s->cur.len -= part;
		p += part;
		len -= part;
	}
}

static void
rx_fill(struct rx_source *s, struct rte_mbuf *m, uint32_t len)
{
	m->pkt_len = len;
	for (; m != NULL; m = m->next) {
		uint32_t part = RTE_MIN(len, (uint32_t)(m->buf_len - m->data_off));

		m->data_len = (uint16_t)part;
		rx_source_read(s, rte_pktmbuf_mtod(m, void *), part);
		len -= part;
	}
}

#endif /* VNET_DEV_RX_SOURCE_H */
