/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a device says of itself, and what the port makes of it: features, pairs.
 */

#include <stddef.h>
#include <stdio.h>

#include <rte_byteorder.h>

#include "vhu_msg.h"
#include "vnet_drv.h"
#include "vring_fe.h"

#define CONFIG(field) offsetof(struct virtio_net_config, field)

bool
vring_fe_has(const struct vring_fe *fe, unsigned int bit)
{
	return fe->port->features & RTE_BIT64(bit);
}

static bool
offers(const struct vring_fe *fe, unsigned int bit)
{
	return fe->offered & RTE_BIT64(bit);
}

const char *
vring_fe_peer(const struct vring_fe *fe)
{
	return fe->vdpa ? "device" : "back-end";
}

/* A field of the configuration space; `value` stays where the device does not show it. */
static int
config16(struct vring_fe *fe, size_t offset, uint16_t *value)
{
	uint16_t v;
	int ret = vhost_get_config(&fe->dev, offset, &v, sizeof(v));

	if (ret == 0)
		*value = rte_le_to_cpu_16(v);
	return vhost_dev_is_fatal(ret) ? ret : 0;
}

int
vring_fe_read_link(struct vring_fe *fe)
{
	uint16_t status = VIRTIO_NET_S_LINK_UP;
	int ret = 0;

	if (vring_fe_has(fe, VIRTIO_NET_F_STATUS))
		ret = config16(fe, CONFIG(status), &status);
	fe->link = status & VIRTIO_NET_S_LINK_UP;
	if (ret != 0 || !(status & VIRTIO_NET_S_ANNOUNCE))
		return ret;
	vring_fe_rings_announce(fe);
	return vring_fe_cvq_announced(fe);
}

/* Mbit/s; a device that does not know says so with all bits set. */
static void
read_speed(struct vring_fe *fe)
{
	uint32_t speed;

	if (fe->port->args.speed_given || !offers(fe, VIRTIO_NET_F_SPEED_DUPLEX) ||
	    vhost_get_config(&fe->dev, CONFIG(speed), &speed, sizeof(speed)) != 0)
		return;
	speed = rte_le_to_cpu_32(speed);
	if (speed != 0 && speed <= INT32_MAX)
		fe->port->args.speed = speed;
}

/* The device's own address, unless somebody has asked for another one. */
static void
read_mac(struct vring_fe *fe)
{
	struct rte_eth_dev_data *data = fe->port->dev->data;
	struct rte_ether_addr mac;

	if (fe->mac_given || fe->port->started || !offers(fe, VIRTIO_NET_F_MAC) ||
	    vhost_get_config(&fe->dev, CONFIG(mac), &mac, sizeof(mac)) != 0 ||
	    !rte_is_valid_assigned_ether_addr(&mac))
		return;
	fe->mac = mac;
	data->mac_addrs[0] = mac;
}

/* A feature of the control queue: offered, and allowed by the port's arguments. */
static bool
commands(const struct vring_fe *fe, unsigned int bit)
{
	uint64_t need = RTE_BIT64(VIRTIO_NET_F_CTRL_VQ) | RTE_BIT64(bit);

	return (fe->offered & vring_devargs_wanted(&fe->port->args, 0) & need) == need;
}

/* VIRTIO 1.2, 5.1.4: key and types of RSS and of hash reports, the table of RSS alone. */
static void
read_rss(struct vring_fe *fe)
{
	bool rss = commands(fe, VIRTIO_NET_F_RSS), report = commands(fe, VIRTIO_NET_F_HASH_REPORT);
	uint32_t types = 0;
	uint16_t entries = 0;
	uint8_t keylen = 0;

	fe->rss_entries = 0;
	fe->rss_types = 0;
	fe->hash_report = false;
	if (!rss && !report)
		return;
	vhost_get_config(&fe->dev, CONFIG(rss_max_key_size), &keylen, sizeof(keylen));
	vhost_get_config(&fe->dev, CONFIG(supported_hash_types), &types, sizeof(types));
	if (rss)
		config16(fe, CONFIG(rss_max_indirection_table_length), &entries);
	if (keylen < VRING_CMD_KEY)
		return;
	fe->rss_types = rte_le_to_cpu_32(types) & vring_rss_types(UINT64_MAX);
	fe->hash_report = report && fe->rss_types != 0;
	entries = RTE_MIN(entries, (uint16_t)VRING_CMD_RETA);
	fe->rss_entries = entries == 0 ? 0 : rte_align32prevpow2(entries);
}

/* The first ring speaks for all; a device that does not know is asked for nothing. */
static int
read_ring_max(struct vring_fe *fe)
{
	int ret;

	fe->ring_max = 0;
	ret = vhost_get_vring_max(&fe->dev, 0, &fe->ring_max);
	return vhost_dev_is_fatal(ret) ? ret : 0;
}

static int
read_pairs(struct vring_fe *fe)
{
	uint32_t vrings = 2;
	int ret = vhost_get_queue_num(&fe->dev, &vrings);

	if (ret != 0)
		return ret;
	fe->max_pairs = vrings / 2;
	if (fe->max_pairs < fe->port->pairs)
		VRING_LOG(NOTICE, fe->port->name, "the %s has %u queue pairs, fewer than queues=%u",
			  vring_fe_peer(fe), fe->max_pairs, fe->port->pairs);
	return 0;
}

int
vring_fe_greet(struct vring_fe *fe)
{
	int ret = vhost_init(&fe->dev);

	if (ret == 0)
		ret = vhost_set_owner(&fe->dev);
	if (ret == 0)
		ret = vhost_get_features(&fe->dev, &fe->offered);
	if (ret == 0)
		ret = read_pairs(fe);
	fe->mtu = 0;
	if (ret == 0 && offers(fe, VIRTIO_NET_F_MTU))
		ret = config16(fe, CONFIG(mtu), &fe->mtu);
	if (ret == 0)
		ret = read_ring_max(fe);
	if (ret != 0)
		return ret;
	read_mac(fe);
	read_speed(fe);
	read_rss(fe);
	fe->port->offered = fe->offered;
	fe->port->protocol_features = fe->dev.protocol;
	fe->port->guest_mtu = fe->mtu;
	return 0;
}

/* Receive offloads that the application asks for, as the features that bring them. */
static uint64_t
wanted_offloads(const struct vring_fe *fe)
{
	uint64_t rx = fe->port->dev->data->dev_conf.rxmode.offloads;

	if (rx & RTE_ETH_RX_OFFLOAD_TCP_LRO)
		return VRING_GUEST_OFFLOADS;
	return rx & (RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM) ?
	       RTE_BIT64(VIRTIO_NET_F_GUEST_CSUM) : 0;
}

/* Features that depend on how the application has configured the port. */
static uint64_t
configured(const struct vring_fe *fe)
{
	const struct rte_eth_conf *conf = &fe->port->dev->data->dev_conf;
	uint64_t rx = conf->rxmode.offloads, off = 0;

	/* Buffers of one mbuf hold no such packet alone. */
	if (!offers(fe, VIRTIO_NET_F_MRG_RXBUF) || !fe->port->args.mrg_rxbuf)
		off |= VRING_GUEST_LRO;
	/* A device that can be told has all of them, and hears which are in use. */
	if (fe->no_guest_offloads)
		off |= RTE_BIT64(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);
	if (fe->no_guest_offloads || !commands(fe, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS))
		off |= VRING_GUEST_OFFLOADS & ~wanted_offloads(fe);
	/* With it untold VLANs are filtered out. */
	if (!(rx & RTE_ETH_RX_OFFLOAD_VLAN_FILTER))
		off |= RTE_BIT64(VIRTIO_NET_F_CTRL_VLAN);
	if (!(conf->rxmode.mq_mode & RTE_ETH_MQ_RX_RSS_FLAG) || fe->rss_entries == 0)
		off |= RTE_BIT64(VIRTIO_NET_F_RSS);
	/* Each packet pays for the longer header. */
	if (!(rx & RTE_ETH_RX_OFFLOAD_RSS_HASH) || !fe->hash_report)
		off |= RTE_BIT64(VIRTIO_NET_F_HASH_REPORT);
	return ~off;
}

/* A back-end that shows no configuration space has no say in what stands there. */
static uint64_t
shown(const struct vring_fe *fe)
{
	uint64_t config = RTE_BIT64(VIRTIO_NET_F_MAC) | RTE_BIT64(VIRTIO_NET_F_STATUS) |
			  RTE_BIT64(VIRTIO_NET_F_MTU) | RTE_BIT64(VIRTIO_NET_F_SPEED_DUPLEX);

	return fe->vdpa || (fe->dev.protocol & RTE_BIT64(VHU_PF_CONFIG)) ? UINT64_MAX : ~config;
}

/* VIRTIO 1.2, 5.1.3.1: features that need others. */
static uint64_t
complete(uint64_t f)
{
	if (!(f & RTE_BIT64(VIRTIO_NET_F_CSUM)))
		f &= ~(RTE_BIT64(VIRTIO_NET_F_HOST_TSO4) | RTE_BIT64(VIRTIO_NET_F_HOST_TSO6));
	if (!(f & (RTE_BIT64(VIRTIO_NET_F_HOST_TSO4) | RTE_BIT64(VIRTIO_NET_F_HOST_TSO6))))
		f &= ~RTE_BIT64(VIRTIO_NET_F_HOST_ECN);
	if (!(f & RTE_BIT64(VIRTIO_NET_F_GUEST_CSUM)))
		f &= ~(RTE_BIT64(VIRTIO_NET_F_GUEST_TSO4) | RTE_BIT64(VIRTIO_NET_F_GUEST_TSO6));
	if (!(f & (RTE_BIT64(VIRTIO_NET_F_GUEST_TSO4) | RTE_BIT64(VIRTIO_NET_F_GUEST_TSO6))))
		f &= ~RTE_BIT64(VIRTIO_NET_F_GUEST_ECN);
	return f;
}

uint64_t
vring_fe_choose_features(struct vring_fe *fe)
{
	const struct vring_devargs *args = &fe->port->args;
	uint64_t f = fe->offered & vring_devargs_wanted(args, VNET_DRV_FEATURES) & configured(fe) &
		     shown(fe);

	/* With a control queue the device is told how many pairs; without, only a socket does. */
	if (fe->vdpa && !(f & RTE_BIT64(VIRTIO_NET_F_CTRL_VQ)))
		f &= ~(RTE_BIT64(VIRTIO_NET_F_MQ) | VRING_FRONT_CTRL_FEATURES);
	if (args->packed_vq && !(f & RTE_BIT64(VIRTIO_F_RING_PACKED)))
		VRING_LOG(NOTICE, fe->port->name, "packed_vq=1: the %s has split rings only",
			  vring_fe_peer(fe));
	f = complete(f);
	fe->guest_offloads = f & wanted_offloads(fe);
	return f;
}

uint16_t
vring_fe_choose_pairs(const struct vring_fe *fe)
{
	const struct rte_eth_dev_data *data = fe->port->dev->data;
	uint16_t pairs = RTE_MAX(data->nb_rx_queues, data->nb_tx_queues);

	if (fe->vdpa && !vring_fe_has(fe, VIRTIO_NET_F_MQ) && !vring_fe_has(fe, VIRTIO_NET_F_RSS))
		return 1;
	return RTE_MIN(pairs, RTE_MIN(fe->max_pairs, fe->port->pairs));
}
