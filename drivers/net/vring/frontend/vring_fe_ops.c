/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ethdev operations that a front-end has and a back-end has not: what a device can be asked for.
 * Whatever is asked while there is none is kept, and told to the next one.
 */

#include <errno.h>
#include <string.h>

#include "vnet_drv.h"
#include "vring_ethdev.h"
#include "vring_fe.h"

/* Something that the application wants, on its way to the control thread. */
struct wish {
	struct vring_fe *fe;
	const void *what;
	uint32_t n;
	bool on;
};

/* A device that does not answer is gone; it, or another, is told when it is back. */
static int
settle(struct vring_fe *fe, int ret)
{
	if (!vhost_dev_is_fatal(ret))
		return ret;
	vring_fe_down(fe, fe->dev.why);
	return 0;
}

static int
ask(struct rte_eth_dev *dev, int (*fn)(void *wish), const void *what, uint32_t n, bool on)
{
	struct vring_port *port = dev->data->dev_private;
	struct wish wish = { port->fe, what, n, on };

	return evloop_call(port->loop, fn, &wish);
}

/* What a device refuses is not asked of the next one either. */
static int
mode_in_ctrl(struct vring_fe *fe, bool *mode, bool on)
{
	bool old = *mode;
	int ret;

	*mode = on;
	ret = settle(fe, vring_fe_cvq_rx_mode(fe));
	if (ret != 0)
		*mode = old;
	return ret;
}

static int
promisc_in_ctrl(void *arg)
{
	const struct wish *wish = arg;

	return mode_in_ctrl(wish->fe, &wish->fe->promisc, wish->on);
}

static int
allmulti_in_ctrl(void *arg)
{
	const struct wish *wish = arg;

	return mode_in_ctrl(wish->fe, &wish->fe->allmulti, wish->on);
}

static int
front_promisc_on(struct rte_eth_dev *dev)
{
	return ask(dev, promisc_in_ctrl, NULL, 0, true);
}

static int
front_promisc_off(struct rte_eth_dev *dev)
{
	return ask(dev, promisc_in_ctrl, NULL, 0, false);
}

static int
front_allmulti_on(struct rte_eth_dev *dev)
{
	return ask(dev, allmulti_in_ctrl, NULL, 0, true);
}

static int
front_allmulti_off(struct rte_eth_dev *dev)
{
	return ask(dev, allmulti_in_ctrl, NULL, 0, false);
}

/* A device that cannot be told its address would go on filtering for the old one. */
static bool
mac_is_fixed(const struct vring_fe *fe)
{
	const uint64_t need = RTE_BIT64(VIRTIO_NET_F_CTRL_VQ) |
			      RTE_BIT64(VIRTIO_NET_F_CTRL_MAC_ADDR);

	return fe->vdpa && fe->port->connected &&
	       (fe->offered & vring_devargs_wanted(&fe->port->args, 0) & need) != need;
}

static int
mac_in_ctrl(void *arg)
{
	const struct wish *wish = arg;
	struct vring_fe *fe = wish->fe;
	struct rte_ether_addr old = fe->mac;
	int ret;

	if (mac_is_fixed(fe))
		return -ENOTSUP;
	fe->mac = *(const struct rte_ether_addr *)wish->what;
	ret = settle(fe, vring_fe_cvq_mac(fe));
	if (ret != 0)
		fe->mac = old;
	else
		fe->mac_given = true;
	return ret;
}

static int
front_mac_set(struct rte_eth_dev *dev, struct rte_ether_addr *mac)
{
	return ask(dev, mac_in_ctrl, mac, 0, true);
}

static int
table_in_ctrl(void *arg)
{
	const struct wish *wish = arg;
	struct vring_fe *fe = wish->fe;
	struct rte_ether_addr *entry = &fe->unicast[wish->n], old = *entry;
	int ret;

	*entry = *(const struct rte_ether_addr *)wish->what;
	ret = settle(fe, vring_fe_cvq_mac_table(fe));
	if (ret != 0)
		*entry = old;
	return ret;
}

static int
front_mac_add(struct rte_eth_dev *dev, struct rte_ether_addr *mac, uint32_t index, uint32_t pool)
{
	return ask(dev, table_in_ctrl, mac, index, true);
}

static void
front_mac_remove(struct rte_eth_dev *dev, uint32_t index)
{
	static const struct rte_ether_addr none;

	ask(dev, table_in_ctrl, &none, index, false);
}

static int
multicast_in_ctrl(void *arg)
{
	const struct wish *wish = arg;
	struct vring_fe *fe = wish->fe;
	struct rte_ether_addr old[VRING_MAX_MCS];
	const uint32_t nold = fe->nmulticast;
	int ret;

	if (wish->n > VRING_MAX_MCS)
		return -ENOSPC;
	memcpy(old, fe->multicast, sizeof(old));
	if (wish->n > 0)
		memcpy(fe->multicast, wish->what, wish->n * sizeof(fe->multicast[0]));
	fe->nmulticast = wish->n;
	ret = settle(fe, vring_fe_cvq_mac_table(fe));
	if (ret != 0) {
		memcpy(fe->multicast, old, sizeof(old));
		fe->nmulticast = nold;
	}
	return ret;
}

static int
front_mc_list(struct rte_eth_dev *dev, struct rte_ether_addr *list, uint32_t n)
{
	return ask(dev, multicast_in_ctrl, list, n, true);
}

static int
vlan_in_ctrl(void *arg)
{
	const struct wish *wish = arg;
	struct vring_fe *fe = wish->fe;
	uint64_t bit = RTE_BIT64(wish->n % 64), *word = &fe->vlan[wish->n / 64];
	int ret = settle(fe, vring_fe_cvq_vlan(fe, wish->n, wish->on));

	if (ret == 0)
		*word = wish->on ? *word | bit : *word & ~bit;
	return ret;
}

static int
front_vlan_filter(struct rte_eth_dev *dev, uint16_t id, int on)
{
	return ask(dev, vlan_in_ctrl, NULL, id, on);
}

/* Hash types, key and table; refused by the device they stay as they were. */
static int
rss_in_ctrl(void *arg)
{
	const struct wish *wish = arg;
	struct vring_fe *fe = wish->fe;
	struct vring_rss old = fe->rss;
	int ret;

	fe->rss = *(const struct vring_rss *)wish->what;
	ret = settle(fe, vring_fe_cvq_rss(fe));
	if (ret != 0)
		fe->rss = old;
	return ret;
}

static struct vring_fe *
fe_of(struct rte_eth_dev *dev)
{
	struct vring_port *port = dev->data->dev_private;

	return port->fe;
}

/* The device computes hashes, to choose queues by or to report them. */
static bool
has_hash(const struct vring_fe *fe)
{
	return fe->rss_entries != 0 || fe->hash_report;
}

/* Those that carry packets: a device may have fewer than the port. */
static uint16_t
rss_queues(const struct vring_fe *fe)
{
	return RTE_MIN(fe->port->dev->data->nb_rx_queues, RTE_MIN(fe->max_pairs, fe->port->pairs));
}

static bool
table_fits(const struct vring_rss *rss, uint16_t entries, uint16_t queues)
{
	unsigned int i;

	if (rss->entries != entries)
		return false;
	for (i = 0; i < entries; i++)
		if (rss->table[i] >= queues)
			return false;
	return true;
}

/* The application's wishes stay as they are, for a device that can do more. */
void
vring_fe_rss_fit(const struct vring_fe *fe, struct vring_rss *rss)
{
	const uint16_t queues = rss_queues(fe);
	unsigned int i;

	*rss = fe->rss;
	rss->types &= fe->rss_types;
	if (table_fits(rss, fe->rss_entries, queues))
		return;
	for (i = 0; i < fe->rss_entries; i++)
		rss->table[i] = queues == 0 ? 0 : i % queues;
	rss->entries = fe->rss_entries;
}

static int
front_rss_update(struct rte_eth_dev *dev, struct rte_eth_rss_conf *conf)
{
	const struct vring_fe *fe = fe_of(dev);
	struct vring_rss rss = fe->rss;

	if (!has_hash(fe))
		return -ENOTSUP;
	if (conf->rss_key != NULL && conf->rss_key_len != VRING_CMD_KEY)
		return -EINVAL;
	if (conf->rss_key != NULL)
		memcpy(rss.key, conf->rss_key, VRING_CMD_KEY);
	rss.types = vring_rss_types(conf->rss_hf);
	return ask(dev, rss_in_ctrl, &rss, 0, true);
}

static int
front_rss_get(struct rte_eth_dev *dev, struct rte_eth_rss_conf *conf)
{
	const struct vring_fe *fe = fe_of(dev);

	if (!has_hash(fe))
		return -ENOTSUP;
	if (conf->rss_key != NULL && conf->rss_key_len >= VRING_CMD_KEY)
		memcpy(conf->rss_key, fe->rss.key, VRING_CMD_KEY);
	conf->rss_key_len = VRING_CMD_KEY;
	conf->rss_hf = vring_rss_hf(fe->rss.types & fe->rss_types);
	return 0;
}

static int
front_reta_update(struct rte_eth_dev *dev, struct rte_eth_rss_reta_entry64 *reta, uint16_t size)
{
	const struct vring_fe *fe = fe_of(dev);
	struct vring_rss rss;
	uint32_t types = fe->rss.types;
	unsigned int i;

	if (fe->rss_entries == 0 || size != fe->rss_entries)
		return fe->rss_entries == 0 ? -ENOTSUP : -EINVAL;
	vring_fe_rss_fit(fe, &rss);
	rss.types = types;
	for (i = 0; i < size; i++)
		if (reta[i / RTE_ETH_RETA_GROUP_SIZE].mask & RTE_BIT64(i % RTE_ETH_RETA_GROUP_SIZE))
			rss.table[i] = reta[i / RTE_ETH_RETA_GROUP_SIZE]
					       .reta[i % RTE_ETH_RETA_GROUP_SIZE];
	return ask(dev, rss_in_ctrl, &rss, 0, true);
}

static int
front_reta_query(struct rte_eth_dev *dev, struct rte_eth_rss_reta_entry64 *reta, uint16_t size)
{
	const struct vring_fe *fe = fe_of(dev);
	struct vring_rss rss;
	unsigned int i;

	if (fe->rss_entries == 0 || size != fe->rss_entries)
		return fe->rss_entries == 0 ? -ENOTSUP : -EINVAL;
	vring_fe_rss_fit(fe, &rss);
	for (i = 0; i < size; i++)
		reta[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE] =
			rss.table[i];
	return 0;
}

/* Any number of descriptors is as good: the rings have queue_size=, or what the device takes. */
static void
descriptor_limits(const struct vring_port *port, struct rte_eth_dev_info *info)
{
	const struct vring_fe *fe = port->fe;
	uint32_t size = port->args.queue_size;

	/* A secondary process knows no more. */
	if (rte_eal_process_type() == RTE_PROC_PRIMARY && fe != NULL)
		size = vring_fe_ring_size(fe, fe->ring_max, port->args.packed_vq &&
					  (fe->offered & RTE_BIT64(VIRTIO_F_RING_PACKED)));
	info->rx_desc_lim.nb_seg_max = port->args.mrg_rxbuf ? size : 1;
	info->rx_desc_lim.nb_mtu_seg_max = info->rx_desc_lim.nb_seg_max;
	info->tx_desc_lim.nb_seg_max = vnet_drv_tx_segs(size);
	info->tx_desc_lim.nb_mtu_seg_max = info->tx_desc_lim.nb_seg_max;
	info->default_rxportconf.ring_size = size;
	info->default_txportconf.ring_size = size;
}

void
vring_fe_info(const struct vring_port *port, struct rte_eth_dev_info *info)
{
	const struct vring_fe *fe = port->fe;
	uint64_t ctrl = 0;

	info->rx_offload_capa = RTE_ETH_RX_OFFLOAD_SCATTER | RTE_ETH_RX_OFFLOAD_VLAN_STRIP |
				RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM |
				RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
	info->tx_offload_capa = RTE_ETH_TX_OFFLOAD_MULTI_SEGS | RTE_ETH_TX_OFFLOAD_VLAN_INSERT |
				RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM |
				RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_TSO;
	if (port->args.mrg_rxbuf && port->args.csum != VRING_CSUM_OFF) {
		info->rx_offload_capa |= RTE_ETH_RX_OFFLOAD_TCP_LRO;
		info->max_lro_pkt_size = UINT16_MAX;
	}
	descriptor_limits(port, info);
	if (rte_eal_process_type() != RTE_PROC_PRIMARY || fe == NULL)
		return;
	ctrl = fe->offered & vring_devargs_wanted(&port->args, 0);
	if (ctrl & RTE_BIT64(VIRTIO_NET_F_CTRL_VLAN))
		info->rx_offload_capa |= RTE_ETH_RX_OFFLOAD_VLAN_FILTER;
	if (fe->hash_report)
		info->rx_offload_capa |= RTE_ETH_RX_OFFLOAD_RSS_HASH;
	if (fe->mtu >= VRING_MIN_MTU && fe->mtu < info->max_mtu) {
		info->max_mtu = fe->mtu;
		info->max_rx_pktlen = fe->mtu + VRING_FRAME_OVERHEAD;
	}
	if (!has_hash(fe))
		return;
	info->reta_size = fe->rss_entries;
	info->hash_key_size = VRING_CMD_KEY;
	info->flow_type_rss_offloads = vring_rss_hf(fe->rss_types);
}

/* Kept from here on: rss_hash_update() may change it, before the port is started as well. */
static void
take_hash(struct vring_rss *rss, const struct rte_eth_rss_conf *conf)
{
	unsigned int i;

	rss->types = vring_rss_types(conf->rss_hf);
	rss->keylen = VRING_CMD_KEY;
	/* Both directions of a flow have the same hash under a key that repeats after 16 bits. */
	for (i = 0; i < VRING_CMD_KEY; i++)
		rss->key[i] = i % 2 ? 0x5a : 0x6d;
	if (conf->rss_key != NULL && conf->rss_key_len == VRING_CMD_KEY)
		memcpy(rss->key, conf->rss_key, VRING_CMD_KEY);
}

/*
 * What is hashed and how is the new configuration's. With RSS hashes are delivered as well, as by
 * other drivers, whether or not the application has asked for them by that name.
 */
static int
front_configure(struct rte_eth_dev *dev)
{
	struct rte_eth_rxmode *rxmode = &dev->data->dev_conf.rxmode;
	struct vring_fe *fe = fe_of(dev);

	if (fe->hash_report && (rxmode->mq_mode & RTE_ETH_MQ_RX_RSS_FLAG))
		rxmode->offloads |= RTE_ETH_RX_OFFLOAD_RSS_HASH;
	take_hash(&fe->rss, &dev->data->dev_conf.rx_adv_conf.rss_conf);
	return vring_ethdev_ops.dev_configure(dev);
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
	front_ops.vlan_filter_set = front_vlan_filter;
	front_ops.rss_hash_update = front_rss_update;
	front_ops.rss_hash_conf_get = front_rss_get;
	front_ops.reta_update = front_reta_update;
	front_ops.reta_query = front_reta_query;
}

const struct eth_dev_ops *
vring_fe_eth_ops(void)
{
	return &front_ops;
}
