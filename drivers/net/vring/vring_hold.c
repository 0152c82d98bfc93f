/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who has the lock may use the queue's ring and take packets out; the queue's lcore alone puts them
 * in. Nobody waits for the lock: an lcore that does not get it adds its packets to those held.
 */

#include <rte_malloc.h>
#include <rte_ring.h>

#include "virtq_dev.h"
#include "vring_hold.h"
#include "vring_rxtx.h"

struct vring_hold {
	rte_spinlock_t lock;
	uint16_t n;		/* of `next`; the lock's owner */
	struct rte_mbuf *next[VNET_BURST]; /* taken out, older than all in the ring */
	struct rte_ring ring __rte_cache_aligned; /* of mbufs; its elements follow */
};

struct vring_hold *
vring_hold_new(int numa)
{
	const ssize_t bytes = rte_ring_get_memsize(VRING_HOLD_MAX);
	struct vring_hold *hold;

	hold = rte_zmalloc_socket("vring_hold", offsetof(struct vring_hold, ring) + (size_t)bytes,
				  RTE_CACHE_LINE_SIZE, numa);
	if (hold == NULL)
		return NULL;
	rte_spinlock_init(&hold->lock);
	rte_ring_init(&hold->ring, "vring_hold", VRING_HOLD_MAX, RING_F_SP_ENQ | RING_F_SC_DEQ);
	return hold;
}

/* The lock's owner, as below. False: there is nothing. */
static bool
take_next(struct vring_hold *hold)
{
	if (hold->n == 0)
		hold->n = (uint16_t)rte_ring_dequeue_burst(&hold->ring, (void **)hold->next,
							   VNET_BURST, NULL);
	return hold->n > 0;
}

void
vring_hold_free(struct vring_hold *hold)
{
	if (hold == NULL)
		return;
	while (take_next(hold)) {
		rte_pktmbuf_free_bulk(hold->next, hold->n);
		hold->n = 0;
	}
	rte_free(hold);
}

static uint16_t
hold_put(struct vring_hold *hold, struct rte_mbuf **pkts, uint16_t n)
{
	return (uint16_t)rte_ring_enqueue_burst(&hold->ring, (void **)pkts, n, NULL);
}

static void
drop_all(struct vring_txq *q, enum vnet_drop why)
{
	while (take_next(q->hold)) {
		vnet_tx_drop(&q->tx, q->hold->next, q->hold->n, why);
		q->hold->n = 0;
	}
}

/* Send what is held. True: nothing is left of it. */
static bool
send_held(struct vring_txq *q, const struct vring_poll_set *set)
{
	struct vring_hold *hold = q->hold;

	while (take_next(hold)) {
		const uint16_t done = vring_rxtx_tx_ring(q, &set->entry[0], hold->next, hold->n);

		hold->n -= done;
		memmove(hold->next, hold->next + done, hold->n * sizeof(hold->next[0]));
		if (hold->n > 0)
			return false;
	}
	return true;
}

/* Whether what could not be sent waits for a translation, and not for the guest. */
static bool
is_waiting(const struct vring_poll_set *set)
{
	return set->n > 0 ? virtq_dev_missed(virtq_dev_of(set->entry[0].cursor)) : set->hold;
}

static uint16_t
send_or_hold(struct vring_txq *q, const struct vring_poll_set *set, struct rte_mbuf **pkts,
	     uint16_t n)
{
	uint16_t done = 0;

	if (set->n == 0 && !set->hold) {
		drop_all(q, set->why);
		vnet_tx_drop(&q->tx, pkts, n, set->why);
		return n;
	}
	if (set->n > 0 && send_held(q, set)) {
		done = vring_rxtx_tx_ring(q, &set->entry[0], pkts, n);
		if (done < n && !is_waiting(set))
			return done + vring_rxtx_tx_full(q, &set->entry[0], pkts + done, n - done);
	}
	/* Nothing overtakes what is held, whatever that waits for. */
	done += hold_put(q->hold, pkts + done, n - done);
	q->tx.stats.refused += n - done;
	return done;
}

uint16_t
vring_hold_tx_burst(void *txq, struct rte_mbuf **pkts, uint16_t n)
{
	struct vring_txq *q = txq;
	const struct vring_poll_set *set = virtq_rcu_read_lock(&q->q.rcu);
	uint16_t done;

	/* Without a set, another one is about to be published. */
	if (set != NULL && rte_spinlock_trylock(&q->hold->lock)) {
		done = send_or_hold(q, set, pkts, n);
		rte_spinlock_unlock(&q->hold->lock);
	} else {
		done = hold_put(q->hold, pkts, n);
		q->tx.stats.refused += n - done;
	}
	vnet_count_burst(&q->tx.stats, done);
	virtq_rcu_read_unlock(&q->q.rcu);
	return done;
}

/* The set is what the control thread has published, which nobody else changes. */
static void
drain_queue(struct vring_txq *q)
{
	const struct vring_poll_set *set = q->q.published;

	if (!rte_spinlock_trylock(&q->hold->lock))
		return; /* an lcore is about to do it */
	if (set != NULL && set->n > 0)
		send_held(q, set);
	else if (set == NULL || !set->hold)
		drop_all(q, set == NULL ? VNET_DROP_DISABLED : (enum vnet_drop)set->why);
	rte_spinlock_unlock(&q->hold->lock);
}

void
vring_hold_drain(struct vring_port *port)
{
	const struct rte_eth_dev_data *data = port->dev->data;

	for (unsigned int i = 0; i < data->nb_tx_queues; i++) {
		struct vring_txq *q = data->tx_queues[i];

		if (q != NULL && q->hold != NULL)
			drain_queue(q);
	}
}
