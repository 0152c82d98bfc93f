/* SPDX-License-Identifier: BSD-3-Clause */
#include "vnet.h"

#include <errno.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_ether.h>
#include <rte_net.h>

#include "virtq_dev.h"
#include "vnet_extbuf.h"

static const struct {
	const char *name;
	bool rx, tx;
} drops[VNET_DROP_MAX] = {
	[VNET_DROP_RUNT] = {"runt", true, false},
	[VNET_DROP_UNMAPPED] = {"unmapped", true, true},
	[VNET_DROP_OVERSIZE] = {"oversize", true, true},
	[VNET_DROP_BAD_HDR] = {"bad_hdr", true, false},
	[VNET_DROP_DISABLED] = {"disabled", true, true},
	[VNET_DROP_NO_GUEST] = {"no_guest", false, true},
	[VNET_DROP_RING_FULL] = {"ring_full", false, true},
	[VNET_DROP_OFFLOAD] = {"offload", false, true},
	[VNET_DROP_VLAN] = {"vlan", true, false},
};

const char *
vnet_drop_name(enum vnet_drop reason)
{
	return reason < VNET_DROP_MAX ? drops[reason].name : "unknown";
}

bool
vnet_drop_is_rx(enum vnet_drop reason)
{
	return reason < VNET_DROP_MAX && drops[reason].rx;
}

bool
vnet_drop_is_tx(enum vnet_drop reason)
{
	return reason < VNET_DROP_MAX && drops[reason].tx;
}

const char *
vnet_size_bin_name(unsigned int bin)
{
	static const char *const names[VNET_SIZE_BINS] = {
		"size_64", "size_65_127", "size_128_255", "size_256_511",
		"size_512_1023", "size_1024_1518", "size_1519_max",
	};

	return bin < VNET_SIZE_BINS ? names[bin] : "unknown";
}

const char *
vnet_burst_bin_name(unsigned int bin)
{
	static const char *const names[VNET_BURST_BINS] = {
		"0", "1", "2_3", "4_7", "8_15", "16_31", "32_63", "64_max",
	};

	return bin < VNET_BURST_BINS ? names[bin] : "unknown";
}

/* Every pool element starts a packet alike: one segment, one reference, headroom, port. */
int
vnet_rxq_init(struct vnet_rxq *rxq, struct rte_mempool *pool, uint16_t port_id, uint32_t flags)
{
	uint16_t element = rte_pktmbuf_data_room_size(pool);
	struct rte_mbuf proto;

	if (element < RTE_PKTMBUF_HEADROOM + RTE_ETHER_MIN_LEN)
		return -EINVAL;
	memset(&proto, 0, sizeof(proto));
	proto.data_off = RTE_PKTMBUF_HEADROOM;
	proto.nb_segs = 1;
	proto.port = port_id;
	rte_mbuf_refcnt_set(&proto, 1);
	memcpy(&rxq->rearm, &proto.rearm_data, sizeof(rxq->rearm));
	rxq->pool = pool;
	rxq->flags = flags;
	rxq->room = element - RTE_PKTMBUF_HEADROOM;
	return 0;
}

int
vnet_rxq_zero_copy(struct vnet_rxq *rxq, uint32_t min)
{
	uint32_t max = rxq->room;

	if (rte_pktmbuf_priv_flags(rxq->pool) & RTE_PKTMBUF_POOL_F_PINNED_EXT_BUF)
		return -ENOTSUP;
	/* What would be dropped if it were copied is not delivered either. */
	if (rxq->flags & VNET_F_SCATTER)
		max = UINT16_MAX;
	else if (rxq->extbuf_pool != NULL)
		max = RTE_MAX(max, vnet_extbuf_size(rxq->extbuf_pool));
	max = RTE_MIN(max, (uint32_t)UINT16_MAX);
	min = RTE_MAX(min, (uint32_t)RTE_ETHER_HDR_LEN);
	rxq->zc_min = min <= max ? min : 0;
	rxq->zc_max = min <= max ? max : 0;
	rxq->iova_is_va = rte_eal_iova_mode() == RTE_IOVA_VA;
	return 0;
}

void
vnet_tx_drop(struct vnet_txq *txq, struct rte_mbuf **pkts, uint16_t n, enum vnet_drop why)
{
	txq->stats.drop[why] += n;
	rte_pktmbuf_free_bulk(pkts, n);
}

#define TX_KNOWN_FLAGS (RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IPV6 | RTE_MBUF_F_TX_IP_CKSUM | \
			RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_UDP_SEG | \
			RTE_MBUF_F_TX_VLAN)

uint16_t
vnet_tx_prepare(struct rte_mbuf **pkts, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = pkts[i];
		int rc = 0;

		if (m->ol_flags & RTE_MBUF_F_TX_OFFLOAD_MASK & ~TX_KNOWN_FLAGS)
			rc = -ENOTSUP;
		else if ((m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) && m->tso_segsz == 0)
			rc = -EINVAL;
		if (rc == 0)
			rc = rte_net_intel_cksum_prepare(m);
		if (rc != 0) {
			rte_errno = -rc;
			return i;
		}
	}
	return n;
}

uint32_t
vnet_ring_count(const struct virtq_ring *ring, const struct virtq_cursor *cursor)
{
	const struct virtq_dev *dev = virtq_dev_of_const(cursor);
	uint32_t n = 0;

	if (!ring->packed) {
		n = (uint16_t)(virtq_load16(&ring->avail->idx) - cursor->avail_idx);
		return n > ring->size ? 0 : n;
	}
	while (n < ring->size && virtq_dev_ready(dev, ring, (uint16_t)(n + 1)))
		n++;
	return n;
}
