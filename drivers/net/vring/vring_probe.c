/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver as EAL sees it: probe and remove.
 */

#include <errno.h>
#include <stdio.h>

#include <bus_vdev_driver.h>
#include <ethdev_driver.h>
#include <ethdev_vdev.h>
#include <rte_eal_memconfig.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_memory.h>
#include <rte_string_fns.h>
#include <rte_version.h>

#include "virtq_notify.h"
#include "virtq_rcu.h"
#include "virtq_sigbus.h"
#include "vring_be.h"
#include "vring_compat.h"
#include "vring_ctrl.h"
#include "vring_devargs_list.h"
#include "vring_ethdev.h"
#include "vring_event.h"
#include "vring_fe.h"
#include "vring_log.h"
#include "vring_numa.h"
#include "vring_queue.h"
#include "vring_registry.h"
#include "vring_role.h"
#include "vring_hold.h"
#include "vring_rxtx.h"
#include "vring_secondary.h"
#include "vring_stall.h"
#include "vring_steer.h"

/*
 * The driver interfaces of DPDK are stable within a release (year.month) only, struct
 * rte_vdev_driver among them. With another release calls would reach the wrong functions.
 */
static bool
is_release_right(void)
{
	int year, month;

	if (sscanf(rte_version(), RTE_VER_PREFIX " %d.%d", &year, &month) == 2 &&
	    year == RTE_VER_YEAR && month == RTE_VER_MONTH)
		return true;
	VRING_LOG(ERR, "net_vring", "built for DPDK %d.%02d but loaded by %s: "
		  "a net_vring built for that release is needed",
		  RTE_VER_YEAR, RTE_VER_MONTH, rte_version());
	return false;
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
	vring_secondary_queue_ops(dev);
	rte_eth_dev_probing_finish(dev);
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
	if (args->tx_steering == VRING_STEERING_HASH)
		dev->tx_pkt_burst = vring_steer_tx_burst;
	else if (vring_devargs_hold(args))
		dev->tx_pkt_burst = vring_hold_tx_burst;
	dev->tx_pkt_prepare = vring_rxtx_tx_prepare;
	dev->rx_queue_count = vring_rxtx_rx_queue_count;
	vring_compat_set_tx_count(dev, vring_rxtx_tx_queue_count);
	dev->rx_descriptor_status = vring_rxtx_rx_descriptor_status;
	dev->tx_descriptor_status = vring_rxtx_tx_descriptor_status;
}

static int
init_port(struct rte_eth_dev *dev, const char *name, const struct vring_devargs *args)
{
	struct vring_port *port = dev->data->dev_private;
	const int numa = dev->data->numa_node;
	int rc;

	rte_strscpy(port->name, name, sizeof(port->name));
	port->args = *args;
	port->role = vring_devargs_front(args) ? VRING_ROLE_FE : VRING_ROLE_BE;
	port->pairs = port->vring_pairs = args->queues;
	port->mtu_chosen = args->mtu != 0;
	port->max_mtu = RTE_MAX((uint32_t)VRING_MAX_FRAME - VRING_FRAME_OVERHEAD, args->mtu);
	if (port->role == VRING_ROLE_BE) {
		/* Who takes GET_QUEUE_NUM for rings finds all of them, and one for control. */
		port->vring_pairs = RTE_MIN(2 * port->pairs + 1, VRING_MAX_PAIRS);
		port->offered = vring_devargs_features(args);
	}
	vring_steer_open(port);
	port->dev = dev;
	port->placed = numa;
	rc = vring_port_alloc(port, vring_role_of(port)->own_rings, numa);
	if (rc == 0)
		rc = vring_event_open(port);
	if (rc == 0)
		rc = vring_stall_open(port);
	if (rc == 0 && !vring_role_of(port)->own_rings)
		rc = vring_numa_open(port);
	if (rc == 0)
		rc = vring_queue_alloc_all(port, numa);
	if (rc == 0)
		rc = init_addresses(dev->data, args);
	if (rc != 0)
		VRING_LOG(ERR, name, "no memory for %u queue pairs, more hugepages would help",
			  port->pairs);
	else
		init_dev(dev, args);
	return rc;
}

static const char *
place_of(const struct vring_port *port)
{
	if (port->args.net)
		return port->args.ifname;
	return port->role == VRING_ROLE_FE ? port->args.path : port->args.iface;
}

static int
open_port(struct vring_port *port)
{
	char err[256] = "", other[RTE_ETH_NAME_MAX_LEN];
	int rc;

	rc = vring_registry_add(port, other);
	if (rc != 0) {
		VRING_LOG(ERR, port->name, "%s is port %s's already: allowed is another %s",
			  place_of(port), other, port->args.net ? "name" : "path");
		return rc;
	}
	rc = vring_ctrl_get(port, vring_role_of(port)->own_ctrl);
	if (rc != 0)
		goto remove;
	rc = vring_role_of(port)->open(port, err, sizeof(err));
	if (rc == 0) {
		vring_registry_show(port, true);
		return 0;
	}
	VRING_LOG(ERR, port->name, "%s", err);
	vring_ctrl_put(port);
remove:
	vring_registry_remove(port);
	return rc;
}

static void
free_port(struct rte_eth_dev *dev)
{
	vring_event_close(dev->data->dev_private);
	vring_stall_close(dev->data->dev_private);
	vring_numa_close(dev->data->dev_private);
	vring_queue_free_all(dev->data->dev_private);
	vring_port_free(dev->data->dev_private);
	rte_eth_dev_release_port(dev);
}

/* With the lock EAL takes no memory, so that its own handler is not there. */
static int
install_handler(const char *name)
{
	int rc;

	rte_mcfg_mem_read_lock();
	rc = virtq_sigbus_begin((const void *)rte_mem_virt2memseg);
	rte_mcfg_mem_read_unlock();
	if (rc != 0)
		VRING_LOG(ERR, name, "no handler for SIGBUS: %s", strerror(-rc));
	return rc;
}

static int
create_port(struct rte_vdev_device *vdev, const char *name, const struct vring_devargs *args)
{
	struct rte_eth_dev *dev;
	int rc;

	rc = virtq_rcu_init();
	if (rc != 0)
		VRING_LOG(NOTICE, name, "no membarrier (%s): bursts pay for a fence",
			  strerror(-rc));
	rc = virtq_notify_init();
	if (rc != 0)
		VRING_LOG(NOTICE, name, "no asynchronous requests (io_setup: %s): a peer can make "
			  "bursts wait, a larger fs.aio-max-nr or a kernel with CONFIG_AIO would "
			  "help", strerror(-rc));
	rc = install_handler(name);
	if (rc != 0)
		return rc;
	dev = rte_eth_vdev_allocate(vdev, sizeof(struct vring_port));
	if (dev == NULL) {
		VRING_LOG(ERR, name, "no memory for a port, more hugepages would help");
		return -ENOMEM;
	}
	rc = init_port(dev, name, args);
	if (rc == 0)
		rc = open_port(dev->data->dev_private);
	if (rc != 0) {
		free_port(dev);
		/* EAL takes -EEXIST for a port that is there already, and logs nothing. */
		return rc == -EEXIST ? -EADDRINUSE : rc;
	}
	rte_eth_dev_probing_finish(dev);
	vring_secondary_serve();
	return 0;
}

/* The NUMA node of the port's memory, which the bus leaves open for a virtual device. */
static int
choose_numa(struct rte_vdev_device *vdev, const char *name, uint32_t wanted)
{
	if (wanted == UINT32_MAX) {
		if (vdev->device.numa_node == SOCKET_ID_ANY)
			vdev->device.numa_node = rte_socket_id();
		return 0;
	}
	for (unsigned int i = 0; i < rte_socket_count(); i++)
		if (rte_socket_id_by_idx(i) == (int)wanted) {
			vdev->device.numa_node = wanted;
			return 0;
		}
	VRING_LOG(ERR, name, "numa=%u: allowed is a node with memory, 0 to %u here",
		  wanted, rte_socket_count() - 1);
	return -EINVAL;
}

static int
probe_vdev(struct rte_vdev_device *vdev)
{
	const char *name = rte_vdev_device_name(vdev);
	struct vring_devargs args;
	char err[512];
	int rc;

	if (rte_eal_process_type() == RTE_PROC_SECONDARY)
		return attach_secondary(vdev, name);
	rc = vring_devargs_parse(rte_vdev_device_args(vdev), &args, err, sizeof(err));
	if (rc != 0) {
		VRING_LOG(ERR, name, "%s", err);
		return rc;
	}
	rc = choose_numa(vdev, name, args.numa);
	return rc != 0 ? rc : create_port(vdev, name, &args);
}

static int
remove_vdev(struct rte_vdev_device *vdev)
{
	struct rte_eth_dev *dev = rte_eth_dev_allocated(rte_vdev_device_name(vdev));

	if (dev == NULL)
		return 0;
	vring_ethdev_close(dev);
	return rte_eth_dev_release_port(dev);
}

/* rte_dev_dma_map() has checked that the memory is registered. */
static int
move_dma_memory(struct rte_vdev_device *vdev, const void *addr, size_t len, bool comes)
{
	struct rte_eth_dev *dev = rte_eth_dev_allocated(rte_vdev_device_name(vdev));
	const struct vring_role *role;
	int rc = 0;

	if (dev == NULL || rte_eal_process_type() != RTE_PROC_PRIMARY) {
		rte_errno = ENODEV;
		return -1;
	}
	role = vring_role_of(dev->data->dev_private);
	if (role->memory_moves != NULL)
		rc = role->memory_moves(dev->data->dev_private, addr, len, comes);
	if (rc == 0)
		return 0;
	rte_errno = -rc;
	return -1;
}

static int
dma_map_vdev(struct rte_vdev_device *vdev, void *addr, uint64_t iova, size_t len)
{
	return move_dma_memory(vdev, addr, len, true);
}

static int
dma_unmap_vdev(struct rte_vdev_device *vdev, void *addr, uint64_t iova, size_t len)
{
	return move_dma_memory(vdev, addr, len, false);
}

static struct rte_vdev_driver vring_driver = {
	.driver.name = "net_vring",
	.probe = probe_vdev,
	.remove = remove_vdev,
	.dma_map = dma_map_vdev,
	.dma_unmap = dma_unmap_vdev,
};

/* In secondary processes as well, which ask a role for what it says of itself. */
RTE_INIT(vring_probe_init)
{
	if (!is_release_right())
		return;
	vring_role_register(VRING_ROLE_BE, &vring_be_role);
	vring_role_register(VRING_ROLE_FE, &vring_fe_role);
	rte_vdev_register(&vring_driver);
}

VRING_COMPAT_EXPORT_NAME(net_vring);
RTE_PMD_REGISTER_PARAM_STRING(net_vring, VRING_PARAM_STRING);
RTE_PMD_REGISTER_KMOD_DEP(net_vring, "* vhost_vdpa | * vhost_net & tun");
