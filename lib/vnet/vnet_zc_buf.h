/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A zero-copy (zc) buffer: what an mbuf that is attached to a guest's buffer knows of it. Of all
 * that lib/vnet keeps of zero-copy this is what whoever frees mbufs needs.
 */
#ifndef VNET_ZC_BUF_H
#define VNET_ZC_BUF_H

#include <rte_mbuf.h>

/* One chain. A cache line of its own, since lcores free packets at the same time. */
struct vnet_zc_buf {
	struct rte_mbuf_ext_shared_info shinfo; /* of the mbufs attached to its buffers */
	uint64_t seq;		/* position among all of the ring */
	uint16_t id, entries;	/* of the chain */
	uint8_t back;		/* atomic: nothing points to its buffers any more */
} __rte_cache_aligned;

/* rte_mbuf_extbuf_free_callback_t of zero-copy buffers: the last mbuf at them was freed. */
void vnet_zc_buf_returned(void *addr, void *opaque);

/* The same. Any thread; no more than this. */
static inline void
vnet_zc_buf_return(struct vnet_zc_buf *buf)
{
	__atomic_store_n(&buf->back, 1, __ATOMIC_RELEASE);
}

/*
 * What rte_pktmbuf_detach() does, for an mbuf that is the only one at buffers of a guest: it
 * is as its pool has it, whose elements have `room` bytes. False: it is not such an mbuf.
 */
static inline bool
vnet_zc_buf_detach(struct rte_mbuf *m, uint16_t room)
{
	struct rte_mbuf_ext_shared_info *shinfo = m->shinfo;
	const uint32_t before = sizeof(*m) + m->priv_size;

	if (!RTE_MBUF_HAS_EXTBUF(m) || shinfo->free_cb != vnet_zc_buf_returned ||
	    rte_mbuf_ext_refcnt_read(shinfo) != 1)
		return false;
	m->buf_addr = (uint8_t *)m + before;
	m->buf_len = room;
	rte_mbuf_iova_set(m, rte_mempool_virt2iova(m) + before);
	m->data_off = RTE_MIN((uint16_t)RTE_PKTMBUF_HEADROOM, room);
	m->data_len = 0;
	m->ol_flags = 0;
	vnet_zc_buf_return(shinfo->fcb_opaque);
	return true;
}

#endif /* VNET_ZC_BUF_H */
