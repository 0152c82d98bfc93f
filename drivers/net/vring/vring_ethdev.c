/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>

#include <bus_vdev_driver.h>
#include <ethdev_driver.h>
#include <ethdev_vdev.h>
#include <rte_log.h>

RTE_LOG_REGISTER_DEFAULT(vring_logtype, NOTICE);

static const struct eth_dev_ops vring_ops;

static int
vring_probe(struct rte_vdev_device *vdev)
{
	struct rte_eth_dev *dev;

	dev = rte_eth_vdev_allocate(vdev, 0);
	if (dev == NULL)
		return -ENOMEM;
	dev->dev_ops = &vring_ops;
	rte_eth_dev_probing_finish(dev);
	return 0;
}

static int
vring_remove(struct rte_vdev_device *vdev)
{
	struct rte_eth_dev *dev = rte_eth_dev_allocated(rte_vdev_device_name(vdev));

	return dev == NULL ? 0 : rte_eth_dev_release_port(dev);
}

static struct rte_vdev_driver vring_driver = {
	.probe = vring_probe,
	.remove = vring_remove,
};

RTE_PMD_REGISTER_VDEV(net_vring, vring_driver);
RTE_PMD_REGISTER_PARAM_STRING(net_vring, "iface=<socket>");
RTE_PMD_REGISTER_KMOD_DEP(net_vring, "* vhost_vdpa");
