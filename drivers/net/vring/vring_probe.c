/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver as EAL sees it: probe and remove.
 */

#include <errno.h>
#include <stdio.h>

#include <bus_vdev_driver.h>
#include <ethdev_driver.h>
#include <ethdev_vdev.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_string_fns.h>
#include <rte_version.h>

#include "virtq_drv.h"
#include "vring.h"

RTE_LOG_REGISTER_DEFAULT(vring_logtype, NOTICE);

/*
 * Driver interfaces of DPDK keep their shape within a release (year.month) only; with another
 * one calls would land in the wrong place.
 */
static int
check_version(const char *name)
{
	int year, month;

	if (sscanf(rte_version(), RTE_VER_PREFIX " %d.%d", &year, &month) == 2 &&
	    year == RTE_VER_YEAR && month == RTE_VER_MONTH)
		return 0;
	VRING_LOG(ERR, name, "built for DPDK %d.%02d but loaded by %s: "
		  "a net_vring built for that release is needed",
		  RTE_VER_YEAR, RTE_VER_MONTH, rte_version());
	return -ENOTSUP;
}

/* Counters and information only: rings, sockets and control thread are the primary's. */
static int
attach_secondary(struct rte_vdev_device *vdev, const char *name)
{
	struct rte_eth_dev *dev = rte_eth_dev_attach_secondary(name);

	if (dev == NULL)
		return -ENODEV;
	dev->device = &vdev->device;
	dev->dev_ops = &vring_ethdev_secondary_ops;
	dev->rx_pkt_burst = rte_eth_pkt_burst_dummy;
	dev->tx_pkt_burst = rte_eth_pkt_burst_dummy;
	rte_eth_dev_probing_finish(dev);
	return 0;
}

static int
init_rings(struct vring_port *port, int numa)
{
	unsigned int qid, n = 2 * port->pairs;

	if (vring_devargs_front(&port->args))
		port->drvs = rte_zmalloc_socket("vring_drvs", n * sizeof(*port->drvs),
						RTE_CACHE_LINE_SIZE, numa);
	else
		port->vqs = rte_zmalloc_socket("vring_vqs", n * sizeof(*port->vqs),
					       RTE_CACHE_LINE_SIZE, numa);
	port->rx_tally =
		rte_zmalloc_socket("vring_stats_base", port->pairs * sizeof(*port->rx_tally), 0,
					    numa);
	port->tx_tally =
		rte_zmalloc_socket("vring_stats_base", port->pairs * sizeof(*port->tx_tally), 0,
					    numa);
	if (vring_queue_alloc_all(port, numa) != 0 || (port->vqs == NULL && port->drvs == NULL) ||
	    port->rx_tally == NULL || port->tx_tally == NULL)
		return -ENOMEM;
	for (qid = 0; qid < n; qid++) {
		port->slot[qid].vq = port->drvs != NULL ? &port->drvs[qid].vq : &port->vqs[qid];
		rte_spinlock_init(&port->slot[qid].lock);
		virtq_vq_reset(port->slot[qid].vq);
	}
	return 0;
}

static int
init_addresses(struct rte_eth_dev_data *data, const struct vring_devargs *args)
{
	data->mac_addrs = rte_zmalloc_socket("vring_mac", VRING_MAX_MACS * sizeof(*data->mac_addrs),
					     0, data->numa_node);
	if (data->mac_addrs == NULL)
		return -ENOMEM;
	if (rte_is_zero_ether_addr(&args->mac))
		rte_eth_random_addr(data->mac_addrs[0].addr_bytes);
	else
		rte_ether_addr_copy(&args->mac, &data->mac_addrs[0]);
	return 0;
}

static void
init_dev(struct rte_eth_dev *dev, const struct vring_devargs *args)
{
	dev->data->dev_flags = RTE_ETH_DEV_INTR_LSC;
	dev->data->promiscuous = 1;
	dev->data->all_multicast = 1;
	if (args->mtu != 0)
		dev->data->mtu = args->mtu;
	dev->data->dev_link.link_speed = args->speed;
	dev->data->dev_link.link_duplex = RTE_ETH_LINK_FULL_DUPLEX;
	dev->data->dev_link.link_autoneg = RTE_ETH_LINK_FIXED;
	dev->data->dev_link.link_status = RTE_ETH_LINK_DOWN;
	dev->dev_ops = vring_role_of(dev->data->dev_private)->ops();
	dev->rx_pkt_burst = vring_rxtx_rx_burst;
	dev->tx_pkt_burst = vring_rxtx_tx_burst;
	dev->tx_pkt_prepare = vring_rxtx_tx_prepare;
	dev->rx_queue_count = vring_rxtx_rx_queue_count;
	dev->rx_descriptor_status = vring_rxtx_rx_descriptor_status;
	dev->tx_descriptor_status = vring_rxtx_tx_descriptor_status;
}

static int
init_port(struct rte_eth_dev *dev, const char *name, const struct vring_devargs *args)
{
	struct vring_port *port = dev->data->dev_private;
	int ret;

	rte_strscpy(port->name, name, sizeof(port->name));
	port->args = *args;
	port->pairs = args->queues;
	port->max_mtu = RTE_MAX((uint32_t)VRING_MAX_FRAME - VRING_FRAME_OVERHEAD, args->mtu);
	if (!vring_devargs_front(args))
		port->offered = vring_devargs_features(args);
	port->dev = dev;
	ret = init_rings(port, dev->data->numa_node);
	if (ret == 0)
		ret = init_addresses(dev->data, args);
	if (ret != 0)
		VRING_LOG(ERR, name, "no memory for %u queue pairs, more hugepages would help",
			  port->pairs);
	else
		init_dev(dev, args);
	return ret;
}

static int
open_port(struct vring_port *port)
{
	char err[256] = "", other[RTE_ETH_NAME_MAX_LEN];
	int ret;

	ret = vring_registry_add(port, other);
	if (ret != 0) {
		VRING_LOG(ERR, port->name, "%s is port %s's already: allowed is another path",
			  vring_devargs_front(&port->args) ? port->args.path : port->args.iface,
			  other);
		return ret;
	}
	ret = vring_ctrl_get(port);
	if (ret != 0)
		goto listed;
	ret = vring_role_of(port)->open(port, err, sizeof(err));
	if (ret == 0) {
		vring_registry_show(port, true);
		return 0;
	}
	VRING_LOG(ERR, port->name, "%s", err);
	vring_ctrl_put(port);
listed:
	vring_registry_remove(port);
	return ret;
}

static void
free_port(struct rte_eth_dev *dev)
{
	vring_port_free(dev->data->dev_private);
	rte_eth_dev_release_port(dev);
}

static int
create(struct rte_vdev_device *vdev, const char *name, const struct vring_devargs *args)
{
	struct rte_eth_dev *dev;
	int ret;

	ret = virtq_rcu_init();
	if (ret != 0)
		VRING_LOG(NOTICE, name, "no membarrier (%s): bursts pay for a fence",
			  strerror(-ret));
	dev = rte_eth_vdev_allocate(vdev, sizeof(struct vring_port));
	if (dev == NULL) {
		VRING_LOG(ERR, name, "no memory for a port, more hugepages would help");
		return -ENOMEM;
	}
	ret = init_port(dev, name, args);
	if (ret == 0)
		ret = open_port(dev->data->dev_private);
	if (ret != 0) {
		free_port(dev);
		/* EAL takes this one for a port that is there already, and says nothing. */
		return ret == -EEXIST ? -EADDRINUSE : ret;
	}
	rte_eth_dev_probing_finish(dev);
	return 0;
}

/* Where the port's memory lies; the bus leaves it open for a virtual device. */
static int
choose_numa(struct rte_vdev_device *vdev, const char *name, uint32_t wanted)
{
	unsigned int i;

	if (wanted == UINT32_MAX) {
		if (vdev->device.numa_node == SOCKET_ID_ANY)
			vdev->device.numa_node = rte_socket_id();
		return 0;
	}
	for (i = 0; i < rte_socket_count(); i++)
		if (rte_socket_id_by_idx(i) == (int)wanted) {
			vdev->device.numa_node = wanted;
			return 0;
		}
	VRING_LOG(ERR, name, "numa=%u: allowed is a node with memory, 0 to %u here",
		  wanted, rte_socket_count() - 1);
	return -EINVAL;
}

static int
vring_probe(struct rte_vdev_device *vdev)
{
	const char *name = rte_vdev_device_name(vdev);
	struct vring_devargs args;
	char err[512];
	int ret;

	ret = check_version(name);
	if (ret != 0)
		return ret;
	if (rte_eal_process_type() == RTE_PROC_SECONDARY)
		return attach_secondary(vdev, name);
	ret = vring_devargs_parse(rte_vdev_device_args(vdev), &args, err, sizeof(err));
	if (ret != 0) {
		VRING_LOG(ERR, name, "%s", err);
		return ret;
	}
	ret = choose_numa(vdev, name, args.numa);
	return ret != 0 ? ret : create(vdev, name, &args);
}

static int
vring_remove(struct rte_vdev_device *vdev)
{
	struct rte_eth_dev *dev = rte_eth_dev_allocated(rte_vdev_device_name(vdev));

	if (dev == NULL)
		return 0;
	vring_ethdev_close(dev);
	return rte_eth_dev_release_port(dev);
}

/* rte_dev_dma_map(), which has seen to it that the memory is registered. */
static int
memory_moves(struct rte_vdev_device *vdev, const void *addr, size_t len, bool comes)
{
	struct rte_eth_dev *dev = rte_eth_dev_allocated(rte_vdev_device_name(vdev));
	const struct vring_role *role;
	int ret = 0;

	if (dev == NULL || rte_eal_process_type() != RTE_PROC_PRIMARY) {
		rte_errno = ENODEV;
		return -1;
	}
	role = vring_role_of(dev->data->dev_private);
	if (role->memory_moves != NULL)
		ret = role->memory_moves(dev->data->dev_private, addr, len, comes);
	if (ret == 0)
		return 0;
	rte_errno = -ret;
	return -1;
}

static int
vring_dma_map(struct rte_vdev_device *vdev, void *addr, uint64_t iova __rte_unused, size_t len)
{
	return memory_moves(vdev, addr, len, true);
}

static int
vring_dma_unmap(struct rte_vdev_device *vdev, void *addr, uint64_t iova __rte_unused, size_t len)
{
	return memory_moves(vdev, addr, len, false);
}

static struct rte_vdev_driver vring_driver = {
	.probe = vring_probe,
	.remove = vring_remove,
	.dma_map = vring_dma_map,
	.dma_unmap = vring_dma_unmap,
};

RTE_PMD_REGISTER_VDEV(net_vring, vring_driver);
RTE_PMD_REGISTER_PARAM_STRING(net_vring, VRING_PARAM_STRING);
RTE_PMD_REGISTER_KMOD_DEP(net_vring, "* vhost_vdpa");
