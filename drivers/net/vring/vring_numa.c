/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A memory table tells little: this process has touched none of its pages yet. The node is
 * therefore looked for again until it is known, once rings run. Pages rarely move, hence no more
 * often.
 */

#include <errno.h>
#include <stdlib.h>

#include <rte_lcore.h>

#include "virtq_node.h"
#include "vring_ctrl.h"
#include "vring_log.h"
#include "vring_move.h"
#include "vring_numa.h"
#include "vring_poller.h"
#include "vring_publish.h"

/* Between two looks while the node is not known. */
#define LOOK_MS 1000
/*
 * Between two questions to the bursts: the first ones after rings have changed, and all later ones.
 * Each is published to all queues.
 */
#define ASK_SOON_MS 5000
#define ASK_MS 60000
#define ASK_SOON_TIMES 3
/* For so long a question is asked. */
#define ANSWER_MS 200
/* Rings that a look is about, at most. */
#define LOOK_RINGS 32

struct vring_numa {
	struct vring_port *port;
	struct evloop_timer timer;
	int node;		/* of the guest's memory, or -1 */
	int refused;		/* where there was no memory for the port, or -1 */
	int foreign;		/* the one that EAL does not have and that was told of, or -1 */
	unsigned int asks_soon;	/* questions until they become rare */
	bool far[];		/* told of: receive queues, then transmit queues, of port->pairs */
};

/* Whether applications can take memory there, as they do at the node that a port reports. */
static bool
eal_has(int node)
{
	for (unsigned int i = 0; i < rte_socket_count(); i++)
		if (rte_socket_id_by_idx(i) == node)
			return true;
	return false;
}

static void
report_node(struct vring_port *port, int node)
{
	if (eal_has(node)) {
		port->dev->data->numa_node = node;
	} else if (port->numa->foreign != node) {
		port->numa->foreign = node;
		if (vring_log_admits(&port->log_limit, VHOST_LOG_WARNING))
			VRING_LOG(WARNING, port->name, "the guest's memory is on NUMA node %d, of "
				  "which DPDK knows no lcore: the port stays one of node %d", node,
				  port->dev->data->numa_node);
	}
}

static bool
is_running(const struct vring_port *port)
{
	return port->started && !port->asks_pollers;
}

void
vring_numa_rings(struct vring_port *port)
{
	struct vring_numa *numa = port->numa;

	if (numa == NULL)
		return;
	if (numa->asks_soon == 0 && is_running(port) && numa->node >= 0)
		evloop_timer_set(port->loop, &numa->timer, ASK_SOON_MS);
	numa->asks_soon = ASK_SOON_TIMES;
}

static void
found_node(struct vring_port *port, int node)
{
	const bool news = node >= 0 && node != port->numa->node;

	port->numa->node = node;
	if (!news)
		return;
	vring_numa_rings(port);
	if (port->args.numa == UINT32_MAX)
		report_node(port, node);
	if (vring_log_admits(&port->log_limit, VHOST_LOG_INFO))
		VRING_LOG(INFO, port->name, "the guest's memory is on NUMA node %d", node);
}

/*
 * Rings first: packets are near them, and their pages are known for certain. mem NULL: that of the
 * rings.
 */
static int
node_now(const struct vring_port *port, const struct virtq_mem *mem)
{
	const struct virtq_ring *ring[LOOK_RINGS];
	unsigned int n = 0;
	int node;

	for (unsigned int qid = 0; qid < 2u * port->vring_pairs && n < LOOK_RINGS; qid++)
		if (port->vring[qid].ring != NULL)
			ring[n++] = port->vring[qid].ring;
	if (mem == NULL && n > 0)
		mem = ring[0]->mem;
	node = virtq_node_of_rings(ring, n);
	return node < 0 ? virtq_node_of_mem(mem) : node;
}

static void
renew_node(struct vring_port *port)
{
	const int node = node_now(port, NULL);

	/* What a look does not find, though memory is the same, may have been found before. */
	if (node >= 0)
		found_node(port, node);
}

void
vring_numa_memory(struct vring_port *port, const struct virtq_mem *mem)
{
	if (port->numa != NULL)
		found_node(port, mem == NULL ? VIRTQ_NODE_UNKNOWN : node_now(port, mem));
}

int
vring_numa_node(const struct vring_port *port)
{
	return port->numa == NULL ? VIRTQ_NODE_UNKNOWN : port->numa->node;
}

static void
report_far(struct vring_port *port, bool tx, unsigned int id, int poller, int node)
{
	if (vring_log_admits(&port->log_limit, VHOST_LOG_WARNING))
		VRING_LOG(WARNING, port->name, "%s queue %u is polled by an lcore of NUMA node "
			  "%d, and the memory of its guest is on node %d: each packet crosses "
			  "between them. An lcore of node %d would be right, or the guest on "
			  "node %d",
			  tx ? "transmit" : "receive", id, poller, node, node, poller);
}

/* Of the ring that the queue serves first; its guest may have memory on other nodes as well. */
static int
node_of_queue(const struct vring_port *port, const struct vring_queue *q)
{
	const struct vring_poll_set *set = q->published;
	int node;

	if (set == NULL || set->n == 0 || set->entry[0].ring == NULL)
		return VIRTQ_NODE_UNKNOWN;
	node = virtq_node_of_rings(&set->entry[0].ring, 1);
	return node < 0 ? port->numa->node : node;
}

static void
compare_queue(struct vring_port *port, const struct vring_queue *q, bool tx, unsigned int id)
{
	struct vring_stats_base *base = &(tx ? port->tx_base : port->rx_base)[id];
	bool *far = &port->numa->far[(tx ? port->pairs : 0) + id];
	const int poller = vring_poller_node(q), node = node_of_queue(port, q);

	if (poller < 0 || node < 0)
		return;
	if (poller != node && !*far) {
		__atomic_store_n(&base->far, base->far + 1, __ATOMIC_RELAXED);
		report_far(port, tx, id, poller, node);
	}
	*far = poller != node;
}

/* Nodes of lcores, as far as they have answered, with those of rings. */
static void
compare_queues(struct vring_port *port)
{
	const struct rte_eth_dev_data *data = port->dev->data;

	for (unsigned int i = 0; i < data->nb_rx_queues; i++)
		compare_queue(port, &((struct vring_rxq *)data->rx_queues[i])->q, false, i);
	for (unsigned int i = 0; i < data->nb_tx_queues; i++)
		compare_queue(port, &((struct vring_txq *)data->tx_queues[i])->q, true, i);
}

static void
ask_pollers(struct vring_port *port, bool on)
{
	port->asks_pollers = on;
	vring_publish(port);
}

/* A queue that sleeps would wake up for a question. */
static bool
may_ask(const struct vring_port *port)
{
	return virtq_node_several() && port->intr == NULL && port->connected;
}

static void
numa_expired(struct evloop_timer *timer)
{
	struct vring_numa *numa = timer->owner;
	struct vring_port *port = numa->port;
	unsigned int next = numa->asks_soon > 0 ? ASK_SOON_MS : ASK_MS;

	if (port->asks_pollers) {
		ask_pollers(port, false);
		compare_queues(port);
	} else if (numa->node < 0) {
		renew_node(port);
		next = LOOK_MS;
	} else if (may_ask(port)) {
		numa->asks_soon -= numa->asks_soon > 0;
		ask_pollers(port, true);
		next = ANSWER_MS;
	}
	evloop_timer_set(port->loop, timer, next);
}

int
vring_numa_open(struct vring_port *port)
{
	struct vring_numa *numa;

	numa = calloc(1, sizeof(*numa) + 2u * port->pairs * sizeof(numa->far[0]));
	if (numa == NULL)
		return -ENOMEM;
	numa->port = port;
	numa->node = numa->refused = numa->foreign = VIRTQ_NODE_UNKNOWN;
	numa->timer.owner = numa;
	numa->timer.expired = numa_expired;
	port->numa = numa;
	return 0;
}

void
vring_numa_close(struct vring_port *port)
{
	free(port->numa);
	port->numa = NULL;
}

static int
look_in_ctrl(void *port)
{
	renew_node(port);
	return 0;
}

void
vring_numa_place(struct vring_port *port)
{
	int node;

	if (port->numa == NULL)
		return;
	vring_ctrl_call(port, look_in_ctrl);
	node = port->dev->data->numa_node;
	if (node < 0 || node == port->placed)
		return;
	if (vring_move_to(port, node) == 0) {
		VRING_LOG(INFO, port->name, "queues are on NUMA node %d now", node);
		port->numa->refused = VIRTQ_NODE_UNKNOWN;
	} else if (port->numa->refused != node) {
		port->numa->refused = node;
		VRING_LOG(WARNING, port->name, "no memory on NUMA node %d, where the guest's is: "
			  "queues stay on node %d, hugepages there (--socket-mem) would help",
			  node, port->placed);
	}
}

void
vring_numa_start(struct vring_port *port)
{
	if (port->numa == NULL)
		return;
	port->numa->asks_soon = ASK_SOON_TIMES;
	evloop_timer_set(port->loop, &port->numa->timer, LOOK_MS);
}

void
vring_numa_stop(struct vring_port *port)
{
	if (port->numa == NULL)
		return;
	evloop_timer_cancel(&port->numa->timer);
	port->asks_pollers = false;
}
