/* SPDX-License-Identifier: BSD-3-Clause */

#include "vnet_compat.h"
#include "vring_ctrl.h"
#include "vring_publish.h"
#include "vring_queue.h"
#include "vring_rxmode.h"
#include "vring_rxtx.h"

static bool
is_up_to_date(const struct vring_port *port)
{
	const struct rte_eth_dev_data *data = port->dev->data;
	const uint32_t flags = vring_queue_rx_flags(port);

	for (unsigned int i = 0; i < data->nb_rx_queues; i++) {
		const struct vring_rxq *rxq = data->rx_queues[i];

		if (rxq != NULL && (rxq->rx.flags != flags || rxq->rx.ptypes != port->ptypes))
			return false;
	}
	return true;
}

static void
stop_receiving(struct vring_port *port, bool *started)
{
	struct rte_eth_dev_data *data = port->dev->data;

	for (unsigned int i = 0; i < data->nb_rx_queues; i++) {
		struct vring_rxq *rxq = data->rx_queues[i];

		if (rxq == NULL)
			continue;
		started[i] = rxq->q.started;
		rxq->q.started = false;
	}
	vring_publish(port);
}

static void
go_on_receiving(struct vring_port *port, const bool *started)
{
	struct rte_eth_dev_data *data = port->dev->data;

	for (unsigned int i = 0; i < data->nb_rx_queues; i++) {
		struct vring_rxq *rxq = data->rx_queues[i];

		if (rxq == NULL)
			continue;
		vring_queue_rx_mode(rxq);
		rxq->q.started = started[i];
	}
	vring_publish(port);
}

/* The queues of a port that is stopped, too: these calls are the application's own. */
static void
apply_mode(struct vring_port *port)
{
	bool started[VRING_MAX_PAIRS];

	stop_receiving(port, started);
	go_on_receiving(port, started);
}

void
vring_rxmode_update(struct vring_port *port)
{
	/* The queues of a stopped port are the application's, which may be releasing them. */
	if (port->started && !is_up_to_date(port))
		apply_mode(port);
}

static int
vlan_in_ctrl(void *arg)
{
	if (!is_up_to_date(arg))
		apply_mode(arg);
	return 0;
}

int
vring_rxmode_vlan_offload_set(struct rte_eth_dev *dev, int mask)
{
	/* ethdev has put the mode into dev_conf. */
	if (!(mask & (RTE_ETH_VLAN_STRIP_MASK | RTE_ETH_VLAN_FILTER_MASK)))
		return 0;
	return vring_ctrl_call(dev->data->dev_private, vlan_in_ctrl);
}

int
vring_rxmode_vlan_filter_set(struct rte_eth_dev *dev, uint16_t id, int on)
{
	return 0;
}

struct ptypes_call {
	struct vring_port *port;
	uint32_t mask;
	bool chosen;
};

static int
ptypes_in_ctrl(void *arg)
{
	const struct ptypes_call *call = arg;
	struct vring_port *port = call->port;

	if (port->ptypes_chosen && !call->chosen)
		return 0;
	port->ptypes_chosen |= call->chosen;
	if (port->ptypes == call->mask)
		return 0;
	port->ptypes = call->mask;
	apply_mode(port);
	return 0;
}

const uint32_t *
vring_rxmode_ptypes_get(struct rte_eth_dev *dev, size_t *n)
{
	/* Those of rte_net_get_ptype(). */
	static const uint32_t all[] = {
		RTE_PTYPE_L2_ETHER, RTE_PTYPE_L2_ETHER_VLAN, RTE_PTYPE_L2_ETHER_QINQ,
		RTE_PTYPE_L3_IPV4, RTE_PTYPE_L3_IPV4_EXT,
		RTE_PTYPE_L3_IPV6, RTE_PTYPE_L3_IPV6_EXT,
		RTE_PTYPE_L4_TCP, RTE_PTYPE_L4_UDP, RTE_PTYPE_L4_SCTP, RTE_PTYPE_L4_FRAG,
		RTE_PTYPE_TUNNEL_IP, RTE_PTYPE_TUNNEL_GRE, RTE_PTYPE_TUNNEL_NVGRE,
		VNET_COMPAT_UDP_TUNNEL_TYPES
		RTE_PTYPE_INNER_L2_ETHER, RTE_PTYPE_INNER_L2_ETHER_VLAN,
		RTE_PTYPE_INNER_L2_ETHER_QINQ,
		RTE_PTYPE_INNER_L3_IPV4, RTE_PTYPE_INNER_L3_IPV4_EXT,
		RTE_PTYPE_INNER_L3_IPV6, RTE_PTYPE_INNER_L3_IPV6_EXT,
		RTE_PTYPE_INNER_L4_TCP, RTE_PTYPE_INNER_L4_UDP, RTE_PTYPE_INNER_L4_SCTP,
		RTE_PTYPE_INNER_L4_FRAG,
		RTE_PTYPE_UNKNOWN,
	};
	static const uint32_t none[] = { RTE_PTYPE_UNKNOWN };
	struct ptypes_call call = { dev->data->dev_private, RTE_PTYPE_ALL_MASK, false };
	bool any;

	if (rte_eal_process_type() != RTE_PROC_PRIMARY)
		any = call.port->ptypes != 0;
	else
		any = evloop_call(call.port->loop, ptypes_in_ctrl, &call) == 0;
	*n = any ? RTE_DIM(all) - 1 : 0;
	return any ? all : none;
}

int
vring_rxmode_ptypes_set(struct rte_eth_dev *dev, uint32_t mask)
{
	struct ptypes_call call = { dev->data->dev_private, mask, true };

	return evloop_call(call.port->loop, ptypes_in_ctrl, &call);
}

struct hash_call {
	struct vring_port *port;
	const struct vnet_hash *hash;
};

static int
hash_in_ctrl(void *arg)
{
	const struct hash_call *call = arg;
	bool started[VRING_MAX_PAIRS];

	stop_receiving(call->port, started);
	call->port->hash = *call->hash;
	go_on_receiving(call->port, started);
	return 0;
}

int
vring_rxmode_hash_set(struct vring_port *port, const struct vnet_hash *hash)
{
	struct hash_call call = { port, hash };

	return evloop_call(port->loop, hash_in_ctrl, &call);
}
