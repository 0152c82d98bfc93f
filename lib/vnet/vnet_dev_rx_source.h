/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Device side, from the guest: a chain of several segments, and an mbuf that takes its packet
 * however long that is. Part of vnet_dev_rx.c.
 */
#ifndef VNET_DEV_RX_SOURCE_H
#define VNET_DEV_RX_SOURCE_H

#include <rte_memcpy.h>

#include "virtq_dev.h"
#include "vnet_impl.h"

/* What became of a chain. */
enum dev_rx_result { DEV_RX_OK, DEV_RX_ATTACHED, DEV_RX_DROPPED, DEV_RX_NO_BUFFER };

/* Reads the segments of a chain one after the other. */
struct rx_source {
	const struct virtq_seg *seg;
	uint16_t left;		/* segments after the current one */
	struct virtq_seg cur;
};

static void
rx_source_init(struct rx_source *s, const struct virtq_dev *dev, const struct virtq_chain *c)
{
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
		rte_memcpy(p, s->cur.addr, part);
		s->cur.addr += part;
		s->cur.len -= part;
		p += part;
		len -= part;
	}
}

static void
rx_extbuf_free(void *buf, void *opaque)
{
	rte_mempool_put(rte_mempool_from_obj(opaque), opaque);
}

/* Give m an external buffer that takes len bytes. */
static enum dev_rx_result
rx_attach_extbuf(struct vnet_rxq *rxq, struct rte_mbuf *m, uint32_t len)
{
	uint32_t size = vnet_extbuf_size(rxq->extbuf_pool), room = (size - len) & ~1u;
	struct vnet_extbuf *ext;

	if (rte_mempool_get(rxq->extbuf_pool, (void **)&ext) < 0)
		return DEV_RX_NO_BUFFER;
	ext->shinfo.free_cb = rx_extbuf_free;
	ext->shinfo.fcb_opaque = ext;
	rte_mbuf_ext_refcnt_set(&ext->shinfo, 1);
	rte_pktmbuf_attach_extbuf(m, ext->data,
				  rte_mempool_virt2iova(ext) + offsetof(struct vnet_extbuf, data),
				  (uint16_t)size, &ext->shinfo);
	m->data_off = RTE_MIN((uint32_t)RTE_PKTMBUF_HEADROOM, room);
	return DEV_RX_OK;
}

/* Chain n mbufs to m. On failure m is as before. */
static enum dev_rx_result
rx_chain(struct vnet_rxq *rxq, struct rte_mbuf *m, uint32_t n)
{
	struct rte_mbuf *last = m;

	for (; n > 0; n--) {
		struct rte_mbuf *next = rte_pktmbuf_alloc(rxq->pool);

		if (next == NULL) {
			rte_pktmbuf_free(m->next);
			m->next = NULL;
			m->nb_segs = 1;
			return DEV_RX_NO_BUFFER;
		}
		last->next = next;
		last = next;
		m->nb_segs++;
	}
	return DEV_RX_OK;
}

/* Make m take len bytes: as it is, with an external buffer, or as a chain if that is allowed. */
static enum dev_rx_result
rx_make_room(struct vnet_rxq *rxq, struct rte_mbuf *m, uint32_t len)
{
	if (len <= rxq->room)
		return DEV_RX_OK;
	if ((rxq->flags & VNET_F_SCATTER) && len <= VNET_FRAME_MAX)
		return rx_chain(rxq, m, (len - 1) / rxq->room);
	if (rxq->extbuf_pool != NULL && len <= vnet_extbuf_size(rxq->extbuf_pool))
		return rx_attach_extbuf(rxq, m, len);
	rxq->stats.drop[VNET_DROP_OVERSIZE]++;
	return DEV_RX_DROPPED;
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
