/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ethdev operations that a front-end has and a back-end has not: what a device can be asked for.
 * Whatever is asked while there is none is kept, and told to the next one.
 */

#include <errno.h>
#include <string.h>

#include "vnet_drv.h"
#include "vring_ethdev.h"
#include "vring_fe_port.h"
#include "vring_rss.h"

static struct vhost_fe *
session_of(struct rte_eth_dev *dev)
{
	struct vring_port *port = dev->data->dev_private;

	return port->fe->session;
}

static_assert(sizeof(struct rte_ether_addr) == sizeof(struct vhost_fe_mac), "bytes in order");
static_assert(VRING_MAX_MACS <= VHOST_FE_UNICAST, "each can be wished for");

static int
front_promisc_on(struct rte_eth_dev *dev)
{
	return vhost_fe_wish_promisc(session_of(dev), true);
}

static int
front_promisc_off(struct rte_eth_dev *dev)
{
	return vhost_fe_wish_promisc(session_of(dev), false);
}

static int
front_allmulti_on(struct rte_eth_dev *dev)
{
	return vhost_fe_wish_allmulti(session_of(dev), true);
}

static int
front_allmulti_off(struct rte_eth_dev *dev)
{
	return vhost_fe_wish_allmulti(session_of(dev), false);
}

static int
front_mac_set(struct rte_eth_dev *dev, struct rte_ether_addr *mac)
{
	return vhost_fe_wish_mac(session_of(dev), (const struct vhost_fe_mac *)mac);
}

static int
front_mac_add(struct rte_eth_dev *dev, struct rte_ether_addr *mac, uint32_t index, uint32_t pool)
{
	return vhost_fe_wish_unicast(session_of(dev), index, (const struct vhost_fe_mac *)mac);
}

static void
front_mac_remove(struct rte_eth_dev *dev, uint32_t index)
{
	static const struct vhost_fe_mac none;

	vhost_fe_wish_unicast(session_of(dev), index, &none);
}

static int
front_mc_list(struct rte_eth_dev *dev, struct rte_ether_addr *list, uint32_t n)
{
	return vhost_fe_wish_multicast(session_of(dev), (const struct vhost_fe_mac *)list, n);
}

static int
front_mtu_set(struct rte_eth_dev *dev, uint16_t mtu)
{
	const struct vring_port *port = dev->data->dev_private;
	int rc = vhost_fe_wish_mtu(session_of(dev), mtu);

	port->fe->mtu_given = true;
	if (rc != -EIO)
		return rc;
	VRING_LOG(ERR, port->name, "the back-end refuses an MTU of %u bytes", mtu);
	return -EINVAL;
}

bool
vring_fe_ops_filters_vlans(const struct vring_port *port)
{
	return port->features & RTE_BIT64(VIRTIO_NET_F_CTRL_VLAN);
}

/* Kept for a device to come as well, while the port filters. */
static int
front_vlan_filter(struct rte_eth_dev *dev, uint16_t id, int on)
{
	return vhost_fe_wish_vlan(session_of(dev), id, on);
}

/* The device computes hashes, to choose queues by or to report them. */
static bool
has_hash(const struct vhost_fe_limits *limits)
{
	return limits->rss_entries != 0 || limits->hash_report;
}

static int
refuse_key(const struct rte_eth_dev *dev, uint32_t len)
{
	const struct vring_port *port = dev->data->dev_private;

	VRING_LOG(ERR, port->name, "a key for hashes of %u bytes: allowed are %u", len,
		  VHOST_FE_CMD_KEY);
	return -EINVAL;
}

static int
front_rss_update(struct rte_eth_dev *dev, struct rte_eth_rss_conf *conf)
{
	struct vhost_fe *session = session_of(dev);
	struct vhost_fe_limits limits;
	struct vhost_fe_rss rss;

	vhost_fe_get_limits(session, &limits);
	if (!has_hash(&limits))
		return -ENOTSUP;
	if (conf->rss_key != NULL && conf->rss_key_len != VHOST_FE_CMD_KEY)
		return refuse_key(dev, conf->rss_key_len);
	vhost_fe_rss_wished(session, &rss);
	if (conf->rss_key != NULL)
		memcpy(rss.key, conf->rss_key, VHOST_FE_CMD_KEY);
	rss.types = vring_rss_types(conf->rss_hf);
	return vhost_fe_wish_rss(session, &rss);
}

static int
front_rss_get(struct rte_eth_dev *dev, struct rte_eth_rss_conf *conf)
{
	struct vhost_fe *session = session_of(dev);
	struct vhost_fe_limits limits;
	struct vhost_fe_rss rss;

	vhost_fe_get_limits(session, &limits);
	if (!has_hash(&limits))
		return -ENOTSUP;
	vhost_fe_rss_wished(session, &rss);
	if (conf->rss_key != NULL && conf->rss_key_len >= VHOST_FE_CMD_KEY)
		memcpy(conf->rss_key, rss.key, VHOST_FE_CMD_KEY);
	conf->rss_key_len = VHOST_FE_CMD_KEY;
	conf->rss_hf = vring_rss_hf(rss.types & limits.rss_types);
	return 0;
}

/* The table as the device has it, for an application that knows its size. */
static int
get_table(struct rte_eth_dev *dev, uint16_t size, struct vhost_fe_rss *rss)
{
	struct vhost_fe *session = session_of(dev);
	struct vhost_fe_limits limits;

	vhost_fe_get_limits(session, &limits);
	if (limits.rss_entries == 0)
		return -ENOTSUP;
	if (size != limits.rss_entries)
		return -EINVAL;
	vhost_fe_rss_fit(session, dev->data->nb_rx_queues, rss);
	return 0;
}

static int
front_reta_update(struct rte_eth_dev *dev, struct rte_eth_rss_reta_entry64 *reta, uint16_t size)
{
	struct vhost_fe_rss rss, wished;
	int rc = get_table(dev, size, &rss);

	if (rc != 0)
		return rc;
	vhost_fe_rss_wished(session_of(dev), &wished);
	rss.types = wished.types;
	for (uint16_t i = 0; i < size; i++)
		if (reta[i / RTE_ETH_RETA_GROUP_SIZE].mask & RTE_BIT64(i % RTE_ETH_RETA_GROUP_SIZE))
			rss.table[i] = reta[i / RTE_ETH_RETA_GROUP_SIZE]
					       .reta[i % RTE_ETH_RETA_GROUP_SIZE];
	return vhost_fe_wish_rss(session_of(dev), &rss);
}

static int
front_reta_query(struct rte_eth_dev *dev, struct rte_eth_rss_reta_entry64 *reta, uint16_t size)
{
	struct vhost_fe_rss rss;
	int rc = get_table(dev, size, &rss);

	for (uint16_t i = 0; rc == 0 && i < size; i++)
		reta[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE] =
			rss.table[i];
	return rc;
}

/* Any number of descriptors is as good: the rings have queue_size=, or what the device takes. */
static void
descriptor_limits(const struct vring_port *port, struct rte_eth_dev_info *info)
{
	const struct vring_fe *fe = port->fe;
	uint32_t size = port->args.queue_size;

	/* A secondary process knows no more. */
	if (rte_eal_process_type() == RTE_PROC_PRIMARY && fe != NULL)
		size = vhost_fe_ring_size(fe->session);
	info->rx_desc_lim.nb_seg_max = port->args.mrg_rxbuf ? size : 1;
	info->rx_desc_lim.nb_mtu_seg_max = info->rx_desc_lim.nb_seg_max;
	info->tx_desc_lim.nb_seg_max = vnet_drv_tx_segs(size);
	info->tx_desc_lim.nb_mtu_seg_max = info->tx_desc_lim.nb_seg_max;
	info->default_rxportconf.ring_size = size;
	info->default_txportconf.ring_size = size;
}

void
vring_fe_ops_info(const struct vring_port *port, struct rte_eth_dev_info *info)
{
	const struct vring_fe *fe = port->fe;
	struct vhost_fe_limits limits;

	info->rx_offload_capa = RTE_ETH_RX_OFFLOAD_SCATTER | RTE_ETH_RX_OFFLOAD_VLAN_STRIP |
				RTE_ETH_RX_OFFLOAD_VLAN_FILTER |
				RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM |
				RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
	info->tx_offload_capa = RTE_ETH_TX_OFFLOAD_MULTI_SEGS | RTE_ETH_TX_OFFLOAD_VLAN_INSERT |
				RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM |
				RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_SCTP_CKSUM |
				RTE_ETH_TX_OFFLOAD_TCP_TSO;
	if (port->args.mrg_rxbuf && port->args.csum != VRING_CSUM_OFF) {
		info->rx_offload_capa |= RTE_ETH_RX_OFFLOAD_TCP_LRO;
		info->max_lro_pkt_size = UINT16_MAX;
	}
	descriptor_limits(port, info);
	if (rte_eal_process_type() != RTE_PROC_PRIMARY || fe == NULL)
		return;
	vhost_fe_get_limits(fe->session, &limits);
	if (limits.hash_report)
		info->rx_offload_capa |= RTE_ETH_RX_OFFLOAD_RSS_HASH;
	if (limits.mtu >= VRING_MIN_MTU && limits.mtu < info->max_mtu) {
		info->max_mtu = limits.mtu;
		info->max_rx_pktlen = limits.mtu + VRING_FRAME_OVERHEAD;
	}
	if (!has_hash(&limits))
		return;
	info->reta_size = limits.rss_entries;
	info->hash_key_size = VHOST_FE_CMD_KEY;
	info->flow_type_rss_offloads = vring_rss_hf(limits.rss_types);
}

/*
 * Kept from here on: rss_hash_update() may change it, before the port is started as well. -EINVAL:
 * a key of another length.
 */
static int
take_hash(const struct rte_eth_dev *dev, struct vhost_fe_rss *rss)
{
	const struct rte_eth_rss_conf *conf = &dev->data->dev_conf.rx_adv_conf.rss_conf;
	const bool given = conf->rss_hf != 0 && conf->rss_key != NULL;

	if (given && conf->rss_key_len != VHOST_FE_CMD_KEY)
		return refuse_key(dev, conf->rss_key_len);
	rss->types = vring_rss_types(conf->rss_hf);
	rss->keylen = VHOST_FE_CMD_KEY;
	vring_rss_default_key(rss->key, VHOST_FE_CMD_KEY);
	if (given)
		memcpy(rss->key, conf->rss_key, VHOST_FE_CMD_KEY);
	return 0;
}

/*
 * What is hashed and how is the new configuration's. With RSS hashes are delivered as well, as by
 * other drivers, whether or not the application has asked for them by that name.
 */
static int
front_configure(struct rte_eth_dev *dev)
{
	const struct vring_port *port = dev->data->dev_private;
	struct rte_eth_rxmode *rxmode = &dev->data->dev_conf.rxmode;
	struct vhost_fe *session = session_of(dev);
	struct vhost_fe_limits limits;
	struct vhost_fe_rss rss;
	int rc;

	vhost_fe_get_limits(session, &limits);
	if (limits.hash_report && (rxmode->mq_mode & RTE_ETH_MQ_RX_RSS_FLAG))
		rxmode->offloads |= RTE_ETH_RX_OFFLOAD_RSS_HASH;
	vhost_fe_rss_wished(session, &rss);
	rc = take_hash(dev, &rss);
	if (rc == 0)
		rc = vhost_fe_wish_rss(session, &rss);
	if (rc == 0)
		rc = vring_ethdev_ops.dev_configure(dev);
	/* ethdev's default is nobody's wish, unless it takes the place of one. */
	if (rc != 0 || (dev->data->mtu == RTE_ETHER_MTU && !port->fe->mtu_given))
		return rc;
	return front_mtu_set(dev, dev->data->mtu);
}

/* The operations of any port, and these. */
static struct eth_dev_ops front_ops;

RTE_INIT(vring_fe_ops_init)
{
	front_ops = vring_ethdev_ops;
	front_ops.dev_configure = front_configure;
	front_ops.promiscuous_enable = front_promisc_on;
	front_ops.promiscuous_disable = front_promisc_off;
	front_ops.allmulticast_enable = front_allmulti_on;
	front_ops.allmulticast_disable = front_allmulti_off;
	front_ops.mac_addr_set = front_mac_set;
	front_ops.mac_addr_add = front_mac_add;
	front_ops.mac_addr_remove = front_mac_remove;
	front_ops.set_mc_addr_list = front_mc_list;
	front_ops.mtu_set = front_mtu_set;
	front_ops.vlan_filter_set = front_vlan_filter;
	front_ops.rss_hash_update = front_rss_update;
	front_ops.rss_hash_conf_get = front_rss_get;
	front_ops.reta_update = front_reta_update;
	front_ops.reta_query = front_reta_query;
}

const struct eth_dev_ops *
vring_fe_ops(void)
{
	return &front_ops;
}
