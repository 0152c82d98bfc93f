/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ethdev operations on a whole port. Those that concern the control thread's state run in that
 * thread. None of them waits for a peer.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vring_compat.h"
#include "vring_ctrl.h"
#include "vring_dump.h"
#include "vring_ethdev.h"
#include "vring_event.h"
#include "vring_intr.h"
#include "vring_log.h"
#include "vring_monitor.h"
#include "vring_move.h"
#include "vring_numa.h"
#include "vring_publish.h"
#include "vring_queue.h"
#include "vring_registry.h"
#include "vring_regs.h"
#include "vring_role.h"
#include "vring_rxmode.h"
#include "vring_rxtx.h"
#include "vring_secondary.h"
#include "vring_stall.h"
#include "vring_stats.h"
#include "vring_xstats.h"

struct mtu_call {
	struct vring_port *port;
	bool chosen;
};

/* The control thread alone takes over a guest's MTU, and so knows whether it may. */
static int
mtu_in_ctrl(void *arg)
{
	const struct mtu_call *call = arg;
	struct vring_port *port = call->port;

	port->mtu_chosen = call->chosen;
	if (port->role == VRING_ROLE_BE && !call->chosen && port->guest_mtu != 0)
		port->dev->data->mtu = port->guest_mtu;
	return 0;
}

static int
port_configure(struct rte_eth_dev *dev)
{
	struct vring_port *port = dev->data->dev_private;
	struct mtu_call call = { port, port->args.mtu != 0 ||
				       dev->data->dev_conf.rxmode.mtu != RTE_ETHER_MTU };
	int rc;

	dev->data->scattered_rx = (vring_queue_rx_flags(port) & VNET_F_SCATTER) != 0;
	/* ethdev sets its default where the application asks for no MTU: mtu= overrides that. */
	if (port->args.mtu != 0 && dev->data->mtu == RTE_ETHER_MTU)
		dev->data->mtu = (uint16_t)port->args.mtu;
	rc = evloop_call(port->loop, mtu_in_ctrl, &call);
	return rc != 0 ? rc : vring_intr_configure(port);
}

static void
start_queues(void **queues, uint8_t *state, unsigned int n, bool on)
{
	for (unsigned int i = 0; i < n; i++) {
		struct vring_queue *q = queues[i];

		q->started = on && !q->deferred;
		state[i] = q->started ? RTE_ETH_QUEUE_STATE_STARTED : RTE_ETH_QUEUE_STATE_STOPPED;
	}
}

static void
start_all_queues(struct rte_eth_dev_data *data, bool on)
{
	start_queues(data->rx_queues, data->rx_queue_state, data->nb_rx_queues, on);
	start_queues(data->tx_queues, data->tx_queue_state, data->nb_tx_queues, on);
}

static int
start_in_ctrl(void *arg)
{
	struct vring_port *port = arg;

	start_all_queues(port->dev->data, true);
	port->admin_down = false;
	port->started = true;
	if (vring_role_of(port)->start != NULL)
		vring_role_of(port)->start(port);
	vring_publish(port);
	vring_publish_link(port);
	vring_stall_start(port);
	vring_numa_start(port);
	return 0;
}

static bool
all_queues_set_up(void *const *queues, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if (queues[i] == NULL)
			return false;
	return true;
}

static int
port_start(struct rte_eth_dev *dev)
{
	struct vring_port *port = dev->data->dev_private;

	if (!all_queues_set_up(dev->data->rx_queues, dev->data->nb_rx_queues) ||
	    !all_queues_set_up(dev->data->tx_queues, dev->data->nb_tx_queues)) {
		VRING_LOG(ERR, port->name, "start: a queue is not set up, all %u rx and %u tx "
			  "have to be", dev->data->nb_rx_queues, dev->data->nb_tx_queues);
		return -EINVAL;
	}
	vring_numa_place(port);
	return vring_ctrl_call(port, start_in_ctrl);
}

/* When this returns no burst touches guest memory. */
static int
stop_in_ctrl(void *arg)
{
	struct vring_port *port = arg;

	if (!port->started)
		return 0;
	vring_stall_stop(port);
	vring_numa_stop(port);
	vring_publish_withdraw(port);
	port->started = false;
	if (vring_role_of(port)->stop != NULL)
		vring_role_of(port)->stop(port);
	start_all_queues(port->dev->data, false);
	vring_publish_link(port);
	return 0;
}

static void
hurry_ctrl(struct vring_port *port)
{
	if (vring_role_of(port)->hurry != NULL)
		vring_role_of(port)->hurry(port);
}

static int
port_stop(struct rte_eth_dev *dev)
{
	struct vring_port *port = dev->data->dev_private;
	int rc;

	if (port->started)
		hurry_ctrl(port);
	rc = vring_ctrl_call(port, stop_in_ctrl);
	for (uint16_t i = 0; i < dev->data->nb_rx_queues; i++)
		vring_queue_rx_clear(dev, i);
	return rc;
}

struct link_call {
	struct vring_port *port;
	bool up;
};

static int
link_in_ctrl(void *arg)
{
	const struct link_call *call = arg;

	call->port->admin_down = !call->up;
	vring_publish(call->port);
	vring_publish_link(call->port);
	return 0;
}

static int
set_admin_link(struct rte_eth_dev *dev, bool up)
{
	struct link_call call = { dev->data->dev_private, up };

	return evloop_call(call.port->loop, link_in_ctrl, &call);
}

static int
port_set_link_up(struct rte_eth_dev *dev)
{
	return set_admin_link(dev, true);
}

static int
port_set_link_down(struct rte_eth_dev *dev)
{
	return set_admin_link(dev, false);
}

int
vring_ethdev_close(struct rte_eth_dev *dev)
{
	struct vring_port *port = dev->data->dev_private;

	if (rte_eal_process_type() != RTE_PROC_PRIMARY)
		return 0;
	port_stop(dev);
	/* Telemetry may be waiting for the control thread, and is waited for. */
	hurry_ctrl(port);
	vring_registry_remove(port);
	vring_role_of(port)->close(port);
	vring_event_close(port);
	vring_intr_close(port);
	vring_stall_close(port);
	vring_numa_close(port);
	for (unsigned int i = 0; i < dev->data->nb_rx_queues; i++)
		vring_queue_rx_release(dev, i);
	for (unsigned int i = 0; i < dev->data->nb_tx_queues; i++)
		vring_queue_tx_release(dev, i);
	vring_ctrl_put(port);
	vring_queue_pools_free(port);
	vring_move_free(port);
	vring_queue_free_all(port);
	vring_port_free(port);
	return 0;
}

/* ethdev has stopped the port; the session stays, so that the guest notices nothing else. */
static int
port_reset(struct rte_eth_dev *dev)
{
	return 0;
}

static int
port_info(struct rte_eth_dev *dev, struct rte_eth_dev_info *info)
{
	const struct vring_port *port = dev->data->dev_private;
	/* A guest chooses the sizes of its rings. These are the ones it can choose. */
	const struct rte_eth_desc_lim lim = {
		.nb_max = port->args.max_ring,
		.nb_min = 1,
		.nb_align = 1,
		.nb_seg_max = UINT16_MAX,
		.nb_mtu_seg_max = UINT16_MAX,
	};

	info->min_mtu = VRING_MIN_MTU;
	info->max_mtu = __atomic_load_n(&port->max_mtu, __ATOMIC_RELAXED);
	info->max_rx_pktlen = info->max_mtu + VRING_FRAME_OVERHEAD;
	info->max_rx_queues = port->pairs;
	info->max_tx_queues = port->pairs;
	info->max_mac_addrs = VRING_MAX_MACS;
	info->speed_capa = rte_eth_speed_bitflag(port->args.speed, RTE_ETH_LINK_FULL_DUPLEX);
	info->rx_desc_lim = lim;
	info->tx_desc_lim = lim;
	info->default_rxportconf.burst_size = VNET_BURST;
	info->default_rxportconf.nb_queues = 1;
	info->default_rxportconf.ring_size = RTE_MIN(lim.nb_max, 256);
	info->default_txportconf = info->default_rxportconf;
	vring_role_of(port)->info(port, info);
	return 0;
}

/* The control thread keeps the link's state current. */
static int
port_link_update(struct rte_eth_dev *dev, int wait)
{
	return 0;
}

/* The data path does not depend on the MTU: frames of any size that a peer takes are sent. */
static int
port_mtu_set(struct rte_eth_dev *dev, uint16_t mtu)
{
	struct mtu_call call = { dev->data->dev_private, true };

	return evloop_call(call.port->loop, mtu_in_ctrl, &call);
}

/* A port delivers whatever its peer sends, so these modes are always on. */
static int
port_accept(struct rte_eth_dev *dev)
{
	return 0;
}

static int
port_mac_set(struct rte_eth_dev *dev, struct rte_ether_addr *mac)
{
	return 0;
}

static int
port_mac_add(struct rte_eth_dev *dev, struct rte_ether_addr *mac, uint32_t index, uint32_t pool)
{
	return 0;
}

static void
port_mac_remove(struct rte_eth_dev *dev, uint32_t index)
{
}

static int
port_mc_list(struct rte_eth_dev *dev, struct rte_ether_addr *list, uint32_t n)
{
	return 0;
}

static int
port_fw_version(struct rte_eth_dev *dev, char *text, size_t size)
{
	const struct vring_port *port = dev->data->dev_private;
	int len = snprintf(text, size, "%s", vring_role_of(port)->firmware);

	/* ethdev wants the size that would be enough, if the text was truncated. */
	return (size_t)len < size ? 0 : len + 1;
}

VRING_COMPAT_PTYPES_GET(port_ptypes, vring_rxmode_ptypes_get)
VRING_COMPAT_STATS_GET(port_stats, vring_stats_get)

const struct eth_dev_ops vring_ethdev_ops = {
	.dev_configure = port_configure,
	.dev_start = port_start,
	.dev_stop = port_stop,
	.dev_close = vring_ethdev_close,
	.dev_reset = port_reset,
	.dev_set_link_up = port_set_link_up,
	.dev_set_link_down = port_set_link_down,
	.dev_infos_get = port_info,
	.link_update = port_link_update,
	.mtu_set = port_mtu_set,
	.promiscuous_enable = port_accept,
	.promiscuous_disable = port_accept,
	.allmulticast_enable = port_accept,
	.allmulticast_disable = port_accept,
	.mac_addr_set = port_mac_set,
	.mac_addr_add = port_mac_add,
	.mac_addr_remove = port_mac_remove,
	.set_mc_addr_list = port_mc_list,
	.vlan_filter_set = vring_rxmode_vlan_filter_set,
	.vlan_offload_set = vring_rxmode_vlan_offload_set,
	.rx_queue_setup = vring_queue_rx_setup,
	.tx_queue_setup = vring_queue_tx_setup,
	.rx_queue_release = vring_queue_rx_release,
	.tx_queue_release = vring_queue_tx_release,
	.rx_queue_start = vring_queue_rx_start,
	.rx_queue_stop = vring_queue_rx_stop,
	.tx_queue_start = vring_queue_tx_start,
	.tx_queue_stop = vring_queue_tx_stop,
	.rx_queue_intr_enable = vring_intr_rx_enable,
	.rx_queue_intr_disable = vring_intr_rx_disable,
	.get_monitor_addr = vring_monitor_get_addr,
	.rxq_info_get = vring_queue_rxq_info_get,
	.txq_info_get = vring_queue_txq_info_get,
	.rx_burst_mode_get = vring_queue_rx_burst_mode_get,
	.tx_burst_mode_get = vring_queue_tx_burst_mode_get,
	.dev_supported_ptypes_get = port_ptypes,
	.dev_ptypes_set = vring_rxmode_ptypes_set,
	.fw_version_get = port_fw_version,
	.tx_done_cleanup = vring_rxtx_tx_done_cleanup,
	.stats_get = port_stats,
	.stats_reset = vring_stats_reset,
	.queue_stats_mapping_set = vring_stats_map,
	.xstats_get = vring_xstats_get,
	.xstats_get_by_id = vring_xstats_get_by_id,
	.xstats_get_names = vring_xstats_get_names,
	.xstats_get_names_by_id = vring_xstats_get_names_by_id,
	.xstats_reset = vring_stats_reset,
	.eth_dev_priv_dump = vring_dump_priv,
	.get_reg = vring_regs_get,
	.eth_rx_descriptor_dump = vring_dump_rx_descs,
	.eth_tx_descriptor_dump = vring_dump_tx_descs,
};

const struct eth_dev_ops vring_ethdev_secondary_ops = {
	.dev_close = vring_ethdev_close,
	.dev_infos_get = port_info,
	.link_update = port_link_update,
	.rxq_info_get = vring_queue_rxq_info_get,
	.txq_info_get = vring_queue_txq_info_get,
	.rx_burst_mode_get = vring_secondary_rx_mode,
	.tx_burst_mode_get = vring_secondary_tx_mode,
	.dev_supported_ptypes_get = port_ptypes,
	.fw_version_get = port_fw_version,
	.stats_get = port_stats,
	.stats_reset = vring_stats_reset,
	.xstats_get = vring_xstats_get,
	.xstats_get_by_id = vring_xstats_get_by_id,
	.xstats_get_names = vring_xstats_get_names,
	.xstats_get_names_by_id = vring_xstats_get_names_by_id,
	.xstats_reset = vring_stats_reset,
	.eth_dev_priv_dump = vring_secondary_dump_priv,
	.get_reg = vring_secondary_get_reg,
	.eth_rx_descriptor_dump = vring_secondary_dump_rx_descs,
	.eth_tx_descriptor_dump = vring_secondary_dump_tx_descs,
};
