/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Publication of poll sets. A ring may be in two sets at once only if both take its lock. A ring
 * that moves to another queue is therefore removed from all sets first and added in a second
 * publication, which costs two barriers. Where only addresses change (memory came or went) one
 * publication is enough, and no queue is without its rings meanwhile.
 */

#include "vring_event.h"
#include "vring_hold.h"
#include "vring_intr.h"
#include "vring_log.h"
#include "vring_poller.h"
#include "vring_publish.h"
#include "vring_qmap.h"
#include "vring_role.h"
#include "vring_rxtx.h"
#include "vring_trace.h"

/* Queues whose poll set changes, and their new sets. */
struct change {
	unsigned int n;
	struct vring_queue *queue[VRING_MAX_QIDS];
	struct vring_poll_set *set[VRING_MAX_QIDS];
};

static void
add_announcement(struct vring_poll_set *set)
{
	struct vring_poll_entry *ring = &set->entry[set->n++];

	ring->cursor = NULL;
	ring->ring = NULL;
	ring->lock = NULL;
	ring->rx = vring_rxtx_rarp_burst;
	set->plain = false;
}

static bool
any_vring_enabled(const struct vring_port *port, unsigned int first)
{
	for (unsigned int qid = first; qid < 2u * port->vring_pairs; qid += 2)
		if (vring_qmap_alive(&port->vring[qid]))
			return true;
	return false;
}

/*
 * Rings that run while others are enabled are emptied. With none enabled the device may have been
 * reset, which some front-ends say in no other way, and the rings may not be rings any more.
 */
static uint16_t
rx_pairs(const struct vring_port *port)
{
	return any_vring_enabled(port, 0) || any_vring_enabled(port, 1) ? port->vring_pairs : 0;
}

static struct vring_poll_set *
build_rx_set(struct vring_port *port, struct vring_rxq *rxq, bool announce)
{
	struct vring_poll_set *set = rxq->q.poll_set[rxq->q.spare];

	if (!port->started || port->admin_down || !rxq->q.started)
		return NULL;
	vring_qmap_rx(vring_role_queue_ops(port), port->vring, rx_pairs(port), rxq->q.id,
		      port->dev->data->nb_rx_queues, rxq->rx.flags, set);
	if (port->asks_pollers)
		vring_poller_ask_rx(set);
	if (announce)
		add_announcement(set);
	return set;
}

static struct vring_poll_set *
build_tx_set(struct vring_port *port, struct vring_txq *txq)
{
	struct vring_poll_set *set = txq->q.poll_set[txq->q.spare];
	const uint16_t n = port->dev->data->nb_tx_queues;
	enum vnet_drop why = VNET_DROP_DISABLED;
	uint16_t pairs;

	if (!port->started || !txq->q.started)
		return NULL;
	if (!port->connected)
		why = VNET_DROP_NO_GUEST;
	/* Taken down by the application: no ring is served, packets are dropped and counted. */
	pairs = port->admin_down ? 0 : port->vring_pairs;
	if (port->args.tx_steering == VRING_STEERING_HASH)
		vring_qmap_tx_all(vring_role_queue_ops(port), port->vring, pairs, n, why, set);
	else
		vring_qmap_tx(vring_role_queue_ops(port), port->vring, pairs, txq->q.id, n, why,
			      set);
	if (port->asks_pollers)
		vring_poller_ask_tx(set);
	return set;
}

static void
add_change(struct change *c, struct vring_queue *q, struct vring_poll_set *set)
{
	if (vring_qmap_same(q->published, set))
		return;
	c->queue[c->n] = q;
	c->set[c->n] = set;
	c->n++;
}

static void
collect_changes(struct vring_port *port, struct change *c)
{
	struct rte_eth_dev_data *data = port->dev->data;
	bool announce = port->rarp.wanted;

	for (unsigned int i = 0; i < data->nb_rx_queues; i++) {
		struct vring_rxq *rxq = data->rx_queues[i];

		if (rxq == NULL)
			continue;
		add_change(c, &rxq->q, build_rx_set(port, rxq, announce && rxq->q.started));
		if (rxq->q.started)
			announce = false;
	}
	for (unsigned int i = 0; i < data->nb_tx_queues; i++) {
		struct vring_txq *txq = data->tx_queues[i];

		if (txq != NULL)
			add_change(c, &txq->q, build_tx_set(port, txq));
	}
}

/* Publish to the bursts and queries of n queues; set NULL: nothing to each of them. */
static void
publish_sets(struct vring_queue *const *queue, struct vring_poll_set *const *set, unsigned int n)
{
	struct virtq_rcu *rcu[2 * VRING_MAX_QIDS];
	void *ptr[2 * VRING_MAX_QIDS];

	for (unsigned int i = 0; i < n; i++) {
		rcu[2 * i] = &queue[i]->rcu;
		rcu[2 * i + 1] = &queue[i]->query_rcu;
		ptr[2 * i] = ptr[2 * i + 1] = set == NULL ? NULL : set[i];
	}
	if (n > 0)
		virtq_rcu_publish_many(rcu, ptr, 2 * n);
}

static void
withdraw_moved(const struct change *c)
{
	struct vring_queue *moved[VRING_MAX_QIDS];
	unsigned int n = 0;

	for (unsigned int i = 0; i < c->n; i++)
		if (c->queue[i]->published != NULL &&
		    vring_qmap_moved(c->queue[i]->published, c->set[i]))
			moved[n++] = c->queue[i];
	if (n > 0)
		publish_sets(moved, NULL, n);
}

static void
update_queues(struct vring_port *port)
{
	struct change c;

	c.n = 0;
	collect_changes(port, &c);
	withdraw_moved(&c);
	publish_sets(c.queue, c.set, c.n);
	for (unsigned int i = 0; i < c.n; i++) {
		c.queue[i]->published = c.set[i];
		if (c.set[i] != NULL)
			c.queue[i]->spare ^= 1;
	}
	if (c.n > 0)
		vring_intr_follow(port);
	vring_hold_drain(port);
}

void
vring_publish(struct vring_port *port)
{
	/* The queues of a stopped port are the application's, which may be releasing them. */
	if (port->started)
		update_queues(port);
}

void
vring_publish_quiesce(struct vring_port *port)
{
	struct rte_eth_dev_data *data = port->dev->data;
	struct vring_queue *queue[VRING_MAX_QIDS];
	struct vring_poll_set *set[VRING_MAX_QIDS];
	unsigned int n = 0;

	if (!port->started)
		return;
	for (unsigned int i = 0; i < data->nb_rx_queues; i++)
		if (data->rx_queues[i] != NULL)
			queue[n++] = &((struct vring_rxq *)data->rx_queues[i])->q;
	for (unsigned int i = 0; i < data->nb_tx_queues; i++)
		if (data->tx_queues[i] != NULL)
			queue[n++] = &((struct vring_txq *)data->tx_queues[i])->q;
	for (unsigned int i = 0; i < n; i++)
		set[i] = queue[i]->published;
	publish_sets(queue, set, n);
}

void
vring_publish_withdraw(struct vring_port *port)
{
	bool started = port->started;

	if (!started)
		return;
	port->started = false;
	update_queues(port);
	port->started = started;
}

void
vring_publish_trace(const struct vring_port *port, uint16_t qid, const struct virtq_ring *ring)
{
	const struct virtq_ring *old = port->vring[qid].ring;
	const uint16_t port_id = port->dev->data->port_id;

	if (ring == NULL && old != NULL)
		vring_trace_ring_stop(port_id, qid);
	else if (ring != NULL && (old == NULL || old->enabled != ring->enabled))
		vring_trace_ring_start(port_id, qid, ring->size, ring->packed, ring->enabled);
}

void
vring_publish_link(struct vring_port *port)
{
	struct rte_eth_link link = {
		.link_speed = port->args.speed,
		.link_duplex = RTE_ETH_LINK_FULL_DUPLEX,
		.link_autoneg = RTE_ETH_LINK_FIXED,
		.link_status = RTE_ETH_LINK_DOWN,
	};

	if (port->started && !port->admin_down && port->connected && port->carrier &&
	    any_vring_enabled(port, 0) && any_vring_enabled(port, 1))
		link.link_status = RTE_ETH_LINK_UP;
	if (rte_eth_linkstatus_set(port->dev, &link) != 0)
		return;
	vring_trace_link(port->dev->data->port_id, link.link_status);
	if (vring_log_admits(&port->log_limit, VHOST_LOG_INFO))
		VRING_LOG(INFO, port->name, "link is %s", link.link_status ? "up" : "down");
	vring_event_raise(port, VRING_EVENT_LINK);
}
