/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bursts as ethdev calls them: take the RCU read lock, serve the rings of the poll set, unlock.
 */

#include <errno.h>

#include <rte_arp.h>
#include <rte_branch_prediction.h>
#include <rte_pause.h>

#include "virtq_notify.h"
#include "vnet_rx_after.h"
#include "vring_role.h"
#include "vring_rxtx.h"

/* Several rings: a burst begins with another one each time, so that none starves. */
static uint16_t
rx_rings(struct vring_rxq *q, const struct vring_poll_set *set, struct rte_mbuf **pkts, uint16_t n)
{
	unsigned int k;
	uint16_t got = 0;

	if (set->n == 0)
		return 0;
	k = q->turn++ % set->n;
	for (unsigned int i = 0; i < set->n && got < n; i++) {
		const struct vring_poll_entry *ring = &set->entry[k];

		got += ring->rx(&q->rx, ring->cursor, ring->ring, pkts + got, n - got);
		if (++k == set->n)
			k = 0;
	}
	return got;
}

/* What is left of the packets that were cut, then packets of the rings, as far as there is room. */
static uint16_t
rx_cut(struct vring_rxq *q, const struct vring_poll_set *set, struct rte_mbuf **pkts, uint16_t n)
{
	uint16_t got = vnet_cut_burst(&q->rx, q->cut, pkts, 0, n);

	while (got < n && vnet_cut_idle(q->cut)) {
		const uint16_t want = RTE_MIN((uint16_t)(n - got), (uint16_t)VNET_BURST);
		const uint16_t fresh = rx_rings(q, set, pkts + got, want);

		if (fresh == 0)
			break;
		got += vnet_cut_burst(&q->rx, q->cut, pkts + got, fresh, n - got);
		if (fresh < want)
			break;
	}
	return got;
}

static __rte_noinline uint16_t
rx_any(struct vring_rxq *q, const struct vring_poll_set *set, struct rte_mbuf **pkts, uint16_t n)
{
	/* What is left of a guest that went is delivered too: it may lie in that one's memory. */
	if (set->cut || (q->cut != NULL && !vnet_cut_idle(q->cut)))
		return rx_cut(q, set, pkts, n);
	return rx_rings(q, set, pkts, n);
}

uint16_t
vring_rxtx_rx_burst(void *rxq, struct rte_mbuf **pkts, uint16_t n)
{
	struct vring_rxq *q = rxq;
	const struct vring_poll_set *set = virtq_rcu_read_lock(&q->q.rcu);
	uint16_t got = 0;

	if (likely(set != NULL)) {
		if (likely(set->plain))
			got = set->entry[0].rx(&q->rx, set->entry[0].cursor, set->entry[0].ring,
					       pkts, n);
		else
			got = rx_any(q, set, pkts, n);
	}
	vnet_count_burst(&q->rx.stats, got);
	virtq_rcu_read_unlock(&q->q.rcu);
	return got;
}

static inline uint16_t
tx_ring(struct vring_txq *q, const struct vring_poll_entry *ring, struct rte_mbuf **pkts,
	uint16_t n)
{
	uint16_t done;

	if (likely(ring->lock == NULL))
		return ring->tx(&q->tx, ring->cursor, ring->ring, pkts, n);
	rte_spinlock_lock(ring->lock);
	done = ring->tx(&q->tx, ring->cursor, ring->ring, pkts, n);
	rte_spinlock_unlock(ring->lock);
	return done;
}

uint16_t
vring_rxtx_tx_ring(struct vring_txq *q, const struct vring_poll_entry *ring,
		   struct rte_mbuf **pkts, uint16_t n)
{
	return tx_ring(q, ring, pkts, n);
}

__rte_noinline uint16_t
vring_rxtx_tx_full(struct vring_txq *q, const struct vring_poll_entry *ring,
		   struct rte_mbuf **pkts, uint16_t n)
{
	uint16_t done = 0;

	if (q->tx.retries == 0) {
		q->tx.stats.refused += n;
		return 0;
	}
	for (uint32_t i = 0; i < q->tx.retries && done < n; i++) {
		rte_pause();
		done += tx_ring(q, ring, pkts + done, n - done);
		q->tx.stats.retries++;
	}
	if (done < n)
		vnet_tx_drop(&q->tx, pkts + done, n - done, VNET_DROP_RING_FULL);
	return n;
}

uint16_t
vring_rxtx_tx_burst(void *txq, struct rte_mbuf **pkts, uint16_t n)
{
	struct vring_txq *q = txq;
	const struct vring_poll_set *set = virtq_rcu_read_lock(&q->q.rcu);
	const struct vring_poll_entry *ring;
	uint16_t done = 0;

	if (likely(set != NULL)) {
		ring = &set->entry[0];
		if (unlikely(set->n == 0)) {
			vnet_tx_drop(&q->tx, pkts, n, set->why);
			done = n;
		} else {
			done = tx_ring(q, ring, pkts, n);
			if (unlikely(done < n))
				done += vring_rxtx_tx_full(q, ring, pkts + done, n - done);
		}
	} else {
		q->tx.stats.refused += n;
	}
	vnet_count_burst(&q->tx.stats, done);
	virtq_rcu_read_unlock(&q->q.rcu);
	return done;
}

uint16_t
vring_rxtx_tx_prepare(void *txq, struct rte_mbuf **pkts, uint16_t n)
{
	return vnet_tx_prepare(pkts, n);
}

uint16_t
vring_rxtx_rarp_burst(struct vnet_rxq *rx, struct virtq_cursor *cursor,
		      const struct virtq_ring *ring, struct rte_mbuf **pkts, uint16_t n)
{
	struct vring_rxq *q = container_of(rx, struct vring_rxq, rx);
	struct vring_port *port = q->q.port;
	struct rte_mbuf *m;

	if (n == 0 || __atomic_load_n(&port->rarp.delivered, __ATOMIC_RELAXED))
		return 0;
	m = rte_net_make_rarp_packet(rx->pool, &port->rarp.mac);
	if (m == NULL) {
		rx->stats.nombuf++;
		return 0;
	}
	__atomic_store_n(&port->rarp.delivered, 1, __ATOMIC_RELAXED);
	m->port = port->dev->data->port_id;
	m->hash.usr = 0; /* it is not to be cut */
	pkts[0] = m;
	rx->stats.packets++;
	rx->stats.bytes += m->pkt_len;
	if (rx->flags & VNET_F_PTYPES)
		vnet_rx_after_ptypes(rx, pkts, 1);
	return 1;
}

/* Called by the lcore that sends, as bursts are. */
int
vring_rxtx_tx_done_cleanup(void *txq, uint32_t n)
{
	struct vring_txq *q = txq;
	const struct vring_queue_ops *ops = vring_role_queue_ops(q->q.port);
	const struct vring_poll_set *set = virtq_rcu_read_lock(&q->q.rcu);
	uint16_t most = n == 0 || n > UINT16_MAX ? UINT16_MAX : n, done = 0;

	if (set != NULL && set->n > 0 && ops->tx_clean != NULL) {
		const struct vring_poll_entry *ring = &set->entry[0];

		if (ring->lock != NULL)
			rte_spinlock_lock(ring->lock);
		done = ops->tx_clean(&q->tx, ring->cursor, ring->ring, most);
		if (ring->lock != NULL)
			rte_spinlock_unlock(ring->lock);
	}
	virtq_rcu_read_unlock(&q->q.rcu);
	return done;
}

/* Queries come from any thread, and the RCU that is theirs has one reader at a time. */
const struct vring_poll_set *
vring_rxtx_query_enter(struct vring_queue *q)
{
	rte_spinlock_lock(&q->query_lock);
	return virtq_rcu_read_lock(&q->query_rcu);
}

void
vring_rxtx_query_leave(struct vring_queue *q)
{
	virtq_rcu_read_unlock(&q->query_rcu);
	rte_spinlock_unlock(&q->query_lock);
}

uint32_t
vring_rxtx_set_count(const struct vring_port *port, const struct vring_poll_set *set, bool tx,
		     uint32_t *size)
{
	const struct vring_queue_ops *ops = vring_role_queue_ops(port);
	uint32_t count = 0;

	*size = 0;
	for (unsigned int i = 0; set != NULL && i < set->n; i++) {
		const struct vring_poll_entry *ring = &set->entry[i];

		if (ring->ring == NULL)
			continue;
		count += tx ? ops->tx_count(ring->ring, ring->cursor) :
			      ops->rx_count(ring->ring, ring->cursor);
		*size += ring->ring->size;
	}
	return count;
}

static uint32_t
query_count(struct vring_queue *q, bool tx, uint32_t *size)
{
	const struct vring_poll_set *set = vring_rxtx_query_enter(q);
	uint32_t count = vring_rxtx_set_count(q->port, set, tx, size);

	vring_rxtx_query_leave(q);
	return count;
}

/* Notifications that have led to bursts since are taken first, so that none ends the sleep. */
static bool
wake_ring(const struct vring_queue *q, const struct vring_poll_entry *entry, bool on)
{
	const struct virtq_ring *ring = entry->ring;

	if (ring == NULL) /* the announcement */
		return __atomic_load_n(&q->port->rarp.delivered, __ATOMIC_RELAXED);
	if (on && ring->wakefd >= 0)
		virtq_notify_take(ring->wakefd);
	return vring_role_queue_ops(q->port)->rx_wake(ring, entry->cursor, on) &&
	       ring->wakefd >= 0;
}

bool
vring_rxtx_rx_starves(const struct vring_rxq *q, const struct vring_poll_entry *entry)
{
	const struct vring_queue_ops *ops = vring_role_queue_ops(q->q.port);

	return ops->rx_starves != NULL && entry->ring != NULL &&
	       ops->rx_starves(&q->rx, entry->ring, entry->cursor);
}

bool
vring_rxtx_rx_wake(struct vring_rxq *q, bool on)
{
	const struct vring_poll_set *set = vring_rxtx_query_enter(&q->q);
	bool idle = q->cut == NULL || vnet_cut_idle(q->cut);

	for (unsigned int i = 0; set != NULL && i < set->n; i++)
		if (!wake_ring(&q->q, &set->entry[i], on) ||
		    vring_rxtx_rx_starves(q, &set->entry[i]))
			idle = false;
	vring_rxtx_query_leave(&q->q);
	return idle;
}

vring_compat_count
vring_rxtx_rx_queue_count(void *rxq)
{
	struct vring_rxq *q = rxq;
	uint32_t size;

	return q == NULL ? 0 : query_count(&q->q, false, &size);
}

int
vring_rxtx_tx_queue_count(void *txq)
{
	struct vring_txq *q = txq;
	uint32_t size, free_count;

	if (q == NULL)
		return 0;
	free_count = query_count(&q->q, true, &size);
	return (int)(size - RTE_MIN(free_count, size));
}

int
vring_rxtx_rx_descriptor_status(void *rxq, uint16_t offset)
{
	struct vring_rxq *q = rxq;
	uint32_t size, count;

	if (q == NULL)
		return -EINVAL;
	count = query_count(&q->q, false, &size);
	if (size == 0 ? offset >= q->q.nb_desc : offset >= size)
		return -EINVAL;
	return offset < count ? RTE_ETH_RX_DESC_DONE : RTE_ETH_RX_DESC_AVAIL;
}

int
vring_rxtx_tx_descriptor_status(void *txq, uint16_t offset)
{
	struct vring_txq *q = txq;
	uint32_t size, count;

	if (q == NULL)
		return -EINVAL;
	count = query_count(&q->q, true, &size);
	if (size == 0 ? offset >= q->q.nb_desc : offset >= size)
		return -EINVAL;
	if (size == 0)
		return RTE_ETH_TX_DESC_UNAVAIL;
	return offset < count ? RTE_ETH_TX_DESC_DONE : RTE_ETH_TX_DESC_FULL;
}
