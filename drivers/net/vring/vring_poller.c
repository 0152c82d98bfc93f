/* SPDX-License-Identifier: BSD-3-Clause */

#include <rte_lcore.h>

#include "vring_poller.h"
#include "vring_role.h"

/* The control thread sends what a queue holds, and is no poller: it has no lcore's id. */
static void
note_poller(struct vring_queue *q)
{
	if (rte_lcore_id() != LCORE_ID_ANY)
		__atomic_store_n(&q->poller, rte_socket_id() + 1, __ATOMIC_RELAXED);
}

static uint16_t
rx_burst_asked(struct vnet_rxq *rx, struct virtq_cursor *cursor, const struct virtq_ring *ring,
	       struct rte_mbuf **pkts, uint16_t n)
{
	struct vring_rxq *rxq = container_of(rx, struct vring_rxq, rx);
	const uint32_t zc = cursor->owner == NULL ? 0 : VNET_F_ZERO_COPY;
	const char *mode;

	note_poller(&rxq->q);
	return vring_role_queue_ops(rxq->q.port)->rx_select(ring, rx->flags | zc, &mode)(
		rx, cursor, ring, pkts, n);
}

static uint16_t
tx_burst_asked(struct vnet_txq *tx, struct virtq_cursor *cursor, const struct virtq_ring *ring,
	       struct rte_mbuf **pkts, uint16_t n)
{
	struct vring_txq *txq = container_of(tx, struct vring_txq, tx);
	const char *mode;

	note_poller(&txq->q);
	return vring_role_queue_ops(txq->q.port)->tx_select(ring, &mode)(tx, cursor, ring, pkts, n);
}

void
vring_poller_ask_rx(struct vring_poll_set *set)
{
	if (set->n > 0)
		set->entry[0].rx = rx_burst_asked;
}

void
vring_poller_ask_tx(struct vring_poll_set *set)
{
	if (set->n > 0)
		set->entry[0].tx = tx_burst_asked;
}

int
vring_poller_node(const struct vring_queue *q)
{
	/* SOCKET_ID_ANY is -1 as well. */
	return (int)__atomic_load_n(&q->poller, __ATOMIC_RELAXED) - 1;
}
