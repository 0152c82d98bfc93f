/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Totals. Counters of a queue have one writer, the lcore that bursts, and are never cleared: a
 * reset records their values. Counts of released queues stay in the port's struct
 * vring_stats_base, so that totals survive a reconfiguration.
 */

#include "vring_role.h"
#include "vring_rxtx.h"
#include "vring_stats.h"

#define NWORDS (sizeof(struct vnet_stats) / sizeof(uint64_t))

/* The struct has counters only, so that it can be added as an array. */
static_assert(sizeof(struct vnet_stats) % sizeof(uint64_t) == 0, "vnet_stats: 64-bit counters");

static void
stats_add(struct vnet_stats *to, const struct vnet_stats *what)
{
	const uint64_t *src = (const uint64_t *)what;
	uint64_t *dst = (uint64_t *)to;

	for (unsigned int i = 0; i < NWORDS; i++)
		dst[i] += __atomic_load_n(&src[i], __ATOMIC_RELAXED);
}

static void
stats_subtract(struct vnet_stats *from, const struct vnet_stats *what)
{
	const uint64_t *src = (const uint64_t *)what;
	uint64_t *dst = (uint64_t *)from;

	for (unsigned int i = 0; i < NWORDS; i++)
		dst[i] -= src[i];
}

void
vring_stats_keep(struct vring_stats_base *base, const struct vnet_stats *live)
{
	stats_add(&base->released, live);
}

static const struct vnet_stats *
live_rx(const struct rte_eth_dev *dev, uint16_t id)
{
	const struct vring_rxq *rxq;

	rxq = id < dev->data->nb_rx_queues ? dev->data->rx_queues[id] : NULL;
	return rxq == NULL ? NULL : &rxq->rx.stats;
}

static const struct vnet_stats *
live_tx(const struct rte_eth_dev *dev, uint16_t id)
{
	const struct vring_txq *txq;

	txq = id < dev->data->nb_tx_queues ? dev->data->tx_queues[id] : NULL;
	return txq == NULL ? NULL : &txq->tx.stats;
}

static void
stats_total(const struct vring_stats_base *base, const struct vnet_stats *live,
	    struct vnet_stats *out)
{
	*out = base->released;
	if (live != NULL)
		stats_add(out, live);
}

void
vring_stats_rxq(const struct rte_eth_dev *dev, uint16_t id, struct vnet_stats *out)
{
	const struct vring_port *port = dev->data->dev_private;

	stats_total(&port->rx_base[id], live_rx(dev, id), out);
	stats_subtract(out, &port->rx_base[id].at_reset);
}

void
vring_stats_txq(const struct rte_eth_dev *dev, uint16_t id, struct vnet_stats *out)
{
	const struct vring_port *port = dev->data->dev_private;

	stats_total(&port->tx_base[id], live_tx(dev, id), out);
	stats_subtract(out, &port->tx_base[id].at_reset);
}

static uint64_t
sum_counters(const uint64_t *counters, unsigned int n)
{
	uint64_t s = 0;

	while (n-- > 0)
		s += counters[n];
	return s;
}

static void
add_rx(const struct rte_eth_dev *dev, uint16_t id, struct rte_eth_stats *stats,
	struct vring_compat_queue_stats *queues)
{
	const struct vring_port *port = dev->data->dev_private;
	const uint16_t counter = port->rx_base[id].counter;
	struct vnet_stats s;

	vring_stats_rxq(dev, id, &s);
	stats->ipackets += s.packets;
	stats->ibytes += s.bytes;
	stats->rx_nombuf += s.nombuf;
	stats->imissed += s.drop[VNET_DROP_DISABLED];
	/* What the application does not want is no error. */
	s.drop[VNET_DROP_VLAN] = 0;
	stats->ierrors += sum_counters(s.drop, VNET_DROP_MAX) - s.drop[VNET_DROP_DISABLED];
	if (queues == NULL || counter >= RTE_ETHDEV_QUEUE_STAT_CNTRS)
		return;
	queues->q_ipackets[counter] += s.packets;
	queues->q_ibytes[counter] += s.bytes;
	queues->q_errors[counter] += sum_counters(s.drop, VNET_DROP_MAX);
}

static void
add_tx(const struct rte_eth_dev *dev, uint16_t id, struct rte_eth_stats *stats,
	struct vring_compat_queue_stats *queues)
{
	const struct vring_port *port = dev->data->dev_private;
	const uint16_t counter = port->tx_base[id].counter;
	struct vnet_stats s;

	vring_stats_txq(dev, id, &s);
	stats->opackets += s.packets;
	stats->obytes += s.bytes;
	stats->oerrors += sum_counters(s.drop, VNET_DROP_MAX);
	if (queues == NULL || counter >= RTE_ETHDEV_QUEUE_STAT_CNTRS)
		return;
	queues->q_opackets[counter] += s.packets;
	queues->q_obytes[counter] += s.bytes;
}

/* All pairs of the port. Pairs that the application does not use any more count as well. */
int
vring_stats_get(struct rte_eth_dev *dev, struct rte_eth_stats *stats,
		struct vring_compat_queue_stats *queues)
{
	const struct vring_port *port = dev->data->dev_private;

	for (uint16_t i = 0; i < port->pairs; i++) {
		add_rx(dev, i, stats, queues);
		add_tx(dev, i, stats, queues);
	}
	return 0;
}

int
vring_stats_map(struct rte_eth_dev *dev, uint16_t id, uint8_t counter, uint8_t is_rx)
{
	const struct vring_port *port = dev->data->dev_private;

	if (id >= port->pairs || counter >= RTE_ETHDEV_QUEUE_STAT_CNTRS)
		return -EINVAL;
	(is_rx ? port->rx_base : port->tx_base)[id].counter = counter;
	return 0;
}

static void
reset_far(struct vring_stats_base *base)
{
	base->far_at_reset = __atomic_load_n(&base->far, __ATOMIC_RELAXED);
}

int
vring_stats_reset(struct rte_eth_dev *dev)
{
	struct vring_port *port = dev->data->dev_private;

	for (uint16_t i = 0; i < port->pairs; i++) {
		stats_total(&port->rx_base[i], live_rx(dev, i), &port->rx_base[i].at_reset);
		stats_total(&port->tx_base[i], live_tx(dev, i), &port->tx_base[i].at_reset);
	}
	for (uint16_t i = 0; i < port->pairs; i++) {
		port->tx_base[i].stalls_at_reset =
			__atomic_load_n(&port->tx_base[i].stalls, __ATOMIC_RELAXED);
		reset_far(&port->rx_base[i]);
		reset_far(&port->tx_base[i]);
	}
	for (uint16_t i = 0; i < 2 * port->vring_pairs; i++) {
		struct vring_port_vring *vring = &port->vring[i];

		vring->notified_base = vring_role_queue_ops(port)->notified(vring->cursor);
	}
	vring_role_count(port);
	port->session_base = port->session;
	return 0;
}

uint64_t
vring_stats_stalls(const struct vring_port *port, uint16_t id)
{
	const struct vring_stats_base *base = &port->tx_base[id];

	return __atomic_load_n(&base->stalls, __ATOMIC_RELAXED) - base->stalls_at_reset;
}

static uint64_t
far_since_reset(const struct vring_stats_base *base)
{
	return __atomic_load_n(&base->far, __ATOMIC_RELAXED) - base->far_at_reset;
}

uint64_t
vring_stats_far(const struct vring_port *port, uint16_t id)
{
	return far_since_reset(&port->rx_base[id]) + far_since_reset(&port->tx_base[id]);
}

struct vring_notified
vring_stats_calls(const struct vring_port *port, bool tx, uint16_t id, uint16_t n)
{
	const struct vring_queue_ops *ops = vring_role_queue_ops(port);
	unsigned int step = n == 0 ? port->pairs : n;
	struct vring_notified sum = { .sent = 0 };

	for (unsigned int j = id; id < step && j < port->vring_pairs; j += step) {
		const struct vring_port_vring *vring =
			&port->vring[2 * j + (tx ? ops->tx : ops->rx)];
		const struct vring_notified *base = &vring->notified_base;
		const struct vring_notified now = ops->notified(vring->cursor);

		sum.sent += now.sent - base->sent;
		sum.suppressed += now.suppressed - base->suppressed;
		sum.coalesced += now.coalesced - base->coalesced;
		sum.deferred += now.deferred - base->deferred;
	}
	return sum;
}
