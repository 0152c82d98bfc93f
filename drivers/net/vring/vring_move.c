/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory is taken in the application's thread, as at the probe; the control thread, which goes
 * through queues and rings whenever the peer does something, changes over. What follows the lcore
 * by itself stays out of it: a ring's view of an IOTLB is first touched by the burst that fills it.
 * So does what bursts only read, such as rings, or leave alone.
 */

#include <errno.h>

#include <rte_malloc.h>

#include "virtq_dev.h"
#include "vring_ctrl.h"
#include "vring_hold.h"
#include "vring_move.h"
#include "vring_queue.h"
#include "vring_role.h"
#include "vring_rxtx.h"

struct block {
	const char *name;
	void **at;		/* the port's pointer to it */
	size_t size;
};

struct move {
	struct vring_port *port;
	int node;
	struct block block[VRING_PORT_MOVES];
	void *fresh[VRING_PORT_MOVES];
	struct vnet_cut *cut[VRING_MAX_PAIRS];
	struct vring_hold *hold[VRING_MAX_PAIRS];
};

static void
list_blocks(struct vring_port *port, struct block block[VRING_PORT_MOVES])
{
	block[0] = (struct block){ "vring_devs", (void **)&port->devs,
				   2 * port->vring_pairs * sizeof(*port->devs) };
	block[1] = (struct block){ "vring_rxqs", (void **)&port->rxqs,
				   port->pairs * sizeof(*port->rxqs) };
	block[2] = (struct block){ "vring_txqs", (void **)&port->txqs,
				   port->pairs * sizeof(*port->txqs) };
	block[3] = (struct block){ "vring_sets", (void **)&port->poll_sets,
				   vring_queue_sets_size(port) };
}

/* What queues have of their own: for those that are set up and have it. */
static int
take_parts(struct move *m)
{
	const struct rte_eth_dev_data *data = m->port->dev->data;

	for (unsigned int i = 0; i < data->nb_rx_queues; i++) {
		const struct vring_rxq *rxq = data->rx_queues[i];

		if (rxq == NULL || rxq->cut == NULL)
			continue;
		m->cut[i] = vnet_cut_new(m->node);
		if (m->cut[i] == NULL)
			return -ENOMEM;
	}
	for (unsigned int i = 0; i < data->nb_tx_queues; i++) {
		const struct vring_txq *txq = data->tx_queues[i];

		if (txq == NULL || txq->hold == NULL)
			continue;
		m->hold[i] = vring_hold_new(m->node);
		if (m->hold[i] == NULL)
			return -ENOMEM;
	}
	return 0;
}

static int
take_memory(struct move *m)
{
	list_blocks(m->port, m->block);
	for (unsigned int i = 0; i < VRING_PORT_MOVES; i++) {
		m->fresh[i] = rte_malloc_socket(m->block[i].name, m->block[i].size,
						RTE_CACHE_LINE_SIZE, m->node);
		if (m->fresh[i] == NULL)
			return -ENOMEM;
	}
	return take_parts(m);
}

/* What was taken and is not used, or the parts that were in use before. */
static void
give_back(struct move *m)
{
	for (unsigned int i = 0; i < VRING_PORT_MOVES; i++)
		rte_free(m->fresh[i]);
	for (unsigned int i = 0; i < VRING_MAX_PAIRS; i++) {
		if (m->cut[i] != NULL)
			vnet_cut_free(m->cut[i]);
		vring_hold_free(m->hold[i]);
	}
}

static void
change_blocks(struct move *m)
{
	struct vring_port *port = m->port;

	vring_role_of(port)->moving(port);
	for (unsigned int i = 0; i < VRING_PORT_MOVES; i++) {
		memcpy(m->fresh[i], *m->block[i].at, m->block[i].size);
		port->former[i] = *m->block[i].at;
		*m->block[i].at = m->fresh[i];
		m->fresh[i] = NULL;
	}
	for (unsigned int qid = 0; qid < 2u * port->vring_pairs; qid++)
		port->vring[qid].cursor = &port->devs[qid].cursor;
	vring_role_of(port)->moved(port);
}

/* Nothing is published. Whoever asks how full a ring is at this moment is in the former one. */
static void
renew_queue(struct vring_port *port, struct vring_queue *q, unsigned int index)
{
	memset(&q->rcu, 0, sizeof(q->rcu));
	memset(&q->query_rcu, 0, sizeof(q->query_rcu));
	rte_spinlock_init(&q->query_lock);
	vring_queue_place_sets(port, q, index);
}

static void
change_queues(struct move *m)
{
	struct vring_port *port = m->port;
	struct rte_eth_dev_data *data = port->dev->data;

	for (uint16_t i = 0; i < data->nb_rx_queues; i++) {
		if (data->rx_queues[i] == NULL)
			continue;
		renew_queue(port, &port->rxqs[i].q, i);
		RTE_SWAP(port->rxqs[i].cut, m->cut[i]);
		data->rx_queues[i] = &port->rxqs[i];
	}
	for (uint16_t i = 0; i < data->nb_tx_queues; i++) {
		if (data->tx_queues[i] == NULL)
			continue;
		renew_queue(port, &port->txqs[i].q, port->pairs + i);
		RTE_SWAP(port->txqs[i].hold, m->hold[i]);
		data->tx_queues[i] = &port->txqs[i];
	}
}

static int
move_in_ctrl(void *arg)
{
	struct move *m = arg;

	change_blocks(m);
	change_queues(m);
	m->port->placed = m->node;
	return 0;
}

int
vring_move_to(struct vring_port *port, int node)
{
	struct move m = { .port = port, .node = node };
	int rc;

	vring_move_free(port);
	rc = take_memory(&m);
	if (rc == 0)
		rc = evloop_call(port->loop, move_in_ctrl, &m);
	give_back(&m);
	if (rc == 0)
		vring_queue_pools_move(port, node);
	return rc;
}

void
vring_move_free(struct vring_port *port)
{
	for (unsigned int i = 0; i < VRING_PORT_MOVES; i++) {
		rte_free(port->former[i]);
		port->former[i] = NULL;
	}
}
