/* SPDX-License-Identifier: BSD-3-Clause */
/* Device side, from the guest: an mbuf that takes a packet however long that is. */
#ifndef VNET_DEV_RX_ROOM_H
#define VNET_DEV_RX_ROOM_H

#include "vnet_impl.h"

/* What became of a packet. */
enum dev_rx_result { DEV_RX_OK, DEV_RX_ATTACHED, DEV_RX_DROPPED, DEV_RX_NO_BUFFER };

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

/*
 * Make m take len bytes: as it is, with an external buffer, or as a chain if that is allowed, which
 * it also is for a packet that will be cut.
 */
static enum dev_rx_result
rx_make_room(struct vnet_rxq *rxq, struct rte_mbuf *m, uint32_t len, bool cut)
{
	if (len <= rxq->room)
		return DEV_RX_OK;
	if ((rxq->flags & VNET_F_SCATTER) && len <= VNET_FRAME_MAX)
		return rx_chain(rxq, m, (len - 1) / rxq->room);
	if (rxq->extbuf_pool != NULL && len <= vnet_extbuf_size(rxq->extbuf_pool))
		return rx_attach_extbuf(rxq, m, len);
	if (cut && len <= VNET_FRAME_MAX)
		return rx_chain(rxq, m, (len - 1) / rxq->room);
	rxq->stats.drop[VNET_DROP_OVERSIZE]++;
	return DEV_RX_DROPPED;
}

#endif /* VNET_DEV_RX_ROOM_H */
