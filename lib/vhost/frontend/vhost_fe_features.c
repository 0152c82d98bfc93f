/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a device says of itself, and what the session makes of it: features, pairs.
 */
#include <endian.h>
#include <stddef.h>
#include <string.h>

#include "vhost_fe_session.h"
#include "vhu_msg.h"

#define CONFIG(field) offsetof(struct virtio_net_config, field)

static bool
is_offered(const struct vhost_fe *fe, unsigned int bit)
{
	return fe->limits.offered & VIRTQ_BIT(bit);
}

/* A field of the configuration space; `value` stays where the device does not show it. */
static int
read_config16(struct vhost_fe *fe, size_t offset, uint16_t *value)
{
	uint16_t v;
	int rc = vhost_get_config(fe->dev, (uint32_t)offset, &v, sizeof(v));

	if (rc == 0)
		*value = le16toh(v);
	return vhost_dev_is_fatal(rc) ? rc : 0;
}

int
vhost_fe_features_link(struct vhost_fe *fe, bool *announce)
{
	uint16_t status = VIRTIO_NET_S_LINK_UP;
	int rc = 0;

	if (vhost_fe_session_has(fe, VIRTIO_NET_F_STATUS))
		rc = read_config16(fe, CONFIG(status), &status);
	fe->link = status & VIRTIO_NET_S_LINK_UP;
	*announce = rc == 0 && (status & VIRTIO_NET_S_ANNOUNCE);
	return rc;
}

/* Mbit/s; a device that does not know says so with all bits set. */
static void
read_speed(struct vhost_fe *fe)
{
	uint32_t speed;

	fe->limits.speed = 0;
	if (!is_offered(fe, VIRTIO_NET_F_SPEED_DUPLEX) ||
	    vhost_get_config(fe->dev, CONFIG(speed), &speed, sizeof(speed)) != 0)
		return;
	speed = le32toh(speed);
	if (speed <= INT32_MAX)
		fe->limits.speed = speed;
}

/* Neither a group's address nor none. */
static bool
is_mac_valid(const struct vhost_fe_mac *mac)
{
	static const struct vhost_fe_mac none;

	return !(mac->addr[0] & 1) && memcmp(mac, &none, sizeof(none)) != 0;
}

/* The device's own address, unless somebody has asked for another one. */
static void
read_mac(struct vhost_fe *fe)
{
	struct vhost_fe_mac mac;

	if (fe->mac_given || fe->started || !is_offered(fe, VIRTIO_NET_F_MAC) ||
	    vhost_get_config(fe->dev, CONFIG(mac), &mac, sizeof(mac)) != 0 ||
	    !is_mac_valid(&mac))
		return;
	fe->mac = mac;
	fe->ops->mac(fe->ctx, mac.addr);
}

/* The largest power of two within. */
static uint16_t
floor_pow2(uint16_t n)
{
	uint16_t pow2 = 0;

	for (uint32_t i = 1; i <= n; i *= 2)
		pow2 = (uint16_t)i;
	return pow2;
}

/* VIRTIO 1.2, 5.1.4: key and types of RSS and of hash reports, the table of RSS alone. */
static void
read_rss(struct vhost_fe *fe)
{
	const bool rss = vhost_fe_session_commands(fe, VIRTIO_NET_F_RSS);
	const bool report = vhost_fe_session_commands(fe, VIRTIO_NET_F_HASH_REPORT);
	struct vhost_fe_limits *limits = &fe->limits;
	uint32_t types = 0;
	uint16_t entries = 0;
	uint8_t keylen = 0;

	limits->rss_entries = 0;
	limits->rss_types = 0;
	limits->hash_report = false;
	if (!rss && !report)
		return;
	vhost_get_config(fe->dev, CONFIG(rss_max_key_size), &keylen, sizeof(keylen));
	vhost_get_config(fe->dev, CONFIG(supported_hash_types), &types, sizeof(types));
	if (rss)
		read_config16(fe, CONFIG(rss_max_indirection_table_length), &entries);
	if (keylen < VHOST_FE_CMD_KEY)
		return;
	limits->rss_types = le32toh(types) & VHOST_FE_CMD_HASH_TYPES;
	limits->hash_report = report && limits->rss_types != 0;
	limits->rss_entries = floor_pow2(entries < VHOST_FE_CMD_RETA ? entries :
					 VHOST_FE_CMD_RETA);
}

/* The first ring speaks for all; a device that does not know is asked for nothing. */
static int
read_ring_max(struct vhost_fe *fe)
{
	int rc;

	fe->limits.ring_max = 0;
	rc = vhost_get_vring_max(fe->dev, 0, &fe->limits.ring_max);
	return vhost_dev_is_fatal(rc) ? rc : 0;
}

uint16_t
vhost_fe_features_max_pairs(const struct vhost_fe *fe)
{
	if (!fe->counts_rings)
		return fe->pairs_said;
	return fe->pairs_said < 2 ? 1 : fe->pairs_said / 2;
}

static int
read_pairs(struct vhost_fe *fe)
{
	uint32_t vrings = 2;
	int rc = vhost_get_queue_num(fe->dev, &vrings);

	if (rc != 0)
		return rc;
	/* Another answer comes from another back-end. */
	if (vrings / 2 != fe->pairs_said)
		fe->counts_rings = false;
	fe->pairs_said = (uint16_t)(vrings / 2);
	fe->limits.max_pairs = vhost_fe_features_max_pairs(fe);
	return 0;
}

int
vhost_fe_features_ask(struct vhost_fe *fe)
{
	struct vhost_fe_limits *limits = &fe->limits;
	int rc = fe->fresh ? 0 : vhost_init(fe->dev);

	fe->fresh = false;
	if (rc == 0)
		rc = vhost_set_owner(fe->dev);
	if (rc == 0)
		rc = vhost_get_features(fe->dev, &limits->offered);
	if (rc == 0)
		rc = read_pairs(fe);
	limits->mtu = 0;
	if (rc == 0 && is_offered(fe, VIRTIO_NET_F_MTU))
		rc = read_config16(fe, CONFIG(mtu), &limits->mtu);
	if (rc == 0)
		rc = read_ring_max(fe);
	if (rc != 0)
		return rc;
	read_mac(fe);
	read_speed(fe);
	read_rss(fe);
	limits->protocol = fe->dev->protocol;
	pthread_mutex_lock(&fe->public.lock);
	fe->public.limits = *limits;
	pthread_mutex_unlock(&fe->public.lock);
	fe->ops->limits(fe->ctx, limits);
	return 0;
}

/* Features that depend on what the owner is configured for. */
static uint64_t
configured_features(const struct vhost_fe *fe)
{
	const struct vhost_fe_wants *wants = &fe->wants;
	uint64_t off = 0;

	/* Buffers of one mbuf hold no such packet alone. */
	if (!(fe->limits.offered & fe->wanted & VIRTQ_BIT(VIRTIO_NET_F_MRG_RXBUF)))
		off |= VHOST_FE_GUEST_LRO;
	/* A device that can be told has all of them, and hears which are in use. */
	if (fe->no_guest_offloads)
		off |= VIRTQ_BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);
	if (fe->no_guest_offloads ||
	    !vhost_fe_session_commands(fe, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS))
		off |= VHOST_FE_GUEST_OFFLOADS & ~wants->guest_offloads;
	/* With it untold VLANs are filtered out. */
	if (!wants->vlan_filter)
		off |= VIRTQ_BIT(VIRTIO_NET_F_CTRL_VLAN);
	if (!wants->rss || fe->limits.rss_entries == 0)
		off |= VIRTQ_BIT(VIRTIO_NET_F_RSS);
	/* Each packet pays for the longer header. */
	if (!wants->hash_report || !fe->limits.hash_report)
		off |= VIRTQ_BIT(VIRTIO_NET_F_HASH_REPORT);
	return ~off;
}

/* A back-end that shows no configuration space has no say in what stands there. */
static uint64_t
shown_features(const struct vhost_fe *fe)
{
	const uint64_t config = VIRTQ_BIT(VIRTIO_NET_F_MAC) | VIRTQ_BIT(VIRTIO_NET_F_STATUS) |
				VIRTQ_BIT(VIRTIO_NET_F_MTU) |
				VIRTQ_BIT(VIRTIO_NET_F_SPEED_DUPLEX);

	return vhost_fe_session_kernel(fe) || (fe->dev->protocol & VIRTQ_BIT(VHU_PF_CONFIG)) ?
	       UINT64_MAX : ~config;
}

/* VIRTIO 1.2, 5.1.3.1: features that need others. */
static uint64_t
complete_features(uint64_t f)
{
	const uint64_t host = VIRTQ_BIT(VIRTIO_NET_F_HOST_TSO4) |
			      VIRTQ_BIT(VIRTIO_NET_F_HOST_TSO6);
	const uint64_t guest = VIRTQ_BIT(VIRTIO_NET_F_GUEST_TSO4) |
			       VIRTQ_BIT(VIRTIO_NET_F_GUEST_TSO6);

	if (!(f & VIRTQ_BIT(VIRTIO_NET_F_CSUM)))
		f &= ~host;
	if (!(f & host))
		f &= ~VIRTQ_BIT(VIRTIO_NET_F_HOST_ECN);
	if (!(f & VIRTQ_BIT(VIRTIO_NET_F_GUEST_CSUM)))
		f &= ~guest;
	if (!(f & guest))
		f &= ~VIRTQ_BIT(VIRTIO_NET_F_GUEST_ECN);
	return f;
}

uint64_t
vhost_fe_features_choose(struct vhost_fe *fe)
{
	uint64_t f = fe->limits.offered & fe->wanted & configured_features(fe) &
		     shown_features(fe);

	/* With a control queue the device is told how many pairs; without, only a socket does. */
	if (fe->vdpa && !(f & VIRTQ_BIT(VIRTIO_NET_F_CTRL_VQ)))
		f &= ~(VIRTQ_BIT(VIRTIO_NET_F_MQ) | VHOST_FE_CTRL_FEATURES);
	f = complete_features(f);
	fe->guest_offloads = f & fe->wants.guest_offloads;
	return f;
}

uint16_t
vhost_fe_features_pairs(const struct vhost_fe *fe)
{
	const struct vhost_fe_wants *wants = &fe->wants;
	const uint16_t most = fe->limits.max_pairs < fe->pairs ? fe->limits.max_pairs : fe->pairs;
	const uint16_t queues = wants->rx_queues > wants->tx_queues ? wants->rx_queues :
				wants->tx_queues;

	if (fe->vdpa && !vhost_fe_session_has(fe, VIRTIO_NET_F_MQ) &&
	    !vhost_fe_session_has(fe, VIRTIO_NET_F_RSS))
		return 1;
	return queues < most ? queues : most;
}
