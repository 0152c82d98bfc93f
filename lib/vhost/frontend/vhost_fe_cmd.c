/* SPDX-License-Identifier: BSD-3-Clause */

#include "vhost_fe_cmd.h"

#include <endian.h>
#include <string.h>

static size_t
put_bytes(uint8_t *cmd, size_t at, const void *data, size_t len)
{
	memcpy(cmd + at, data, len);
	return at + len;
}

static size_t
put_le16(uint8_t *cmd, size_t at, uint16_t v)
{
	v = htole16(v);
	return put_bytes(cmd, at, &v, sizeof(v));
}

static size_t
put_le32(uint8_t *cmd, size_t at, uint32_t v)
{
	v = htole32(v);
	return put_bytes(cmd, at, &v, sizeof(v));
}

static size_t
put_le64(uint8_t *cmd, size_t at, uint64_t v)
{
	v = htole64(v);
	return put_bytes(cmd, at, &v, sizeof(v));
}

static size_t
put_key(uint8_t *cmd, size_t at, const struct vhost_fe_rss *rss)
{
	cmd[at++] = rss->keylen;
	return put_bytes(cmd, at, rss->key, rss->keylen);
}

static size_t
begin_cmd(uint8_t *cmd, uint8_t class, uint8_t what)
{
	cmd[0] = class;
	cmd[1] = what;
	return 2;
}

size_t
vhost_fe_cmd_rx(uint8_t *cmd, uint8_t what, bool on)
{
	size_t at = begin_cmd(cmd, VIRTIO_NET_CTRL_RX, what);

	cmd[at] = on;
	return at + 1;
}

size_t
vhost_fe_cmd_mac(uint8_t *cmd, const struct vhost_fe_mac *mac)
{
	size_t at = begin_cmd(cmd, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET);

	return put_bytes(cmd, at, mac, sizeof(*mac));
}

static size_t
put_macs(uint8_t *cmd, size_t at, const struct vhost_fe_mac *mac, uint32_t n)
{
	if (n > VHOST_FE_CMD_MACS)
		n = VHOST_FE_CMD_MACS;
	at = put_le32(cmd, at, n);
	return n == 0 ? at : put_bytes(cmd, at, mac, n * sizeof(*mac));
}

size_t
vhost_fe_cmd_mac_table(uint8_t *cmd, const struct vhost_fe_mac *unicast, uint32_t nunicast,
		    const struct vhost_fe_mac *multicast, uint32_t nmulticast)
{
	size_t at = begin_cmd(cmd, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET);

	at = put_macs(cmd, at, unicast, nunicast);
	return put_macs(cmd, at, multicast, nmulticast);
}

size_t
vhost_fe_cmd_vlan(uint8_t *cmd, uint16_t id, bool on)
{
	size_t at = begin_cmd(cmd, VIRTIO_NET_CTRL_VLAN,
			  on ? VIRTIO_NET_CTRL_VLAN_ADD : VIRTIO_NET_CTRL_VLAN_DEL);

	return put_le16(cmd, at, id);
}

size_t
vhost_fe_cmd_pairs(uint8_t *cmd, uint16_t pairs)
{
	size_t at = begin_cmd(cmd, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET);

	return put_le16(cmd, at, pairs);
}

size_t
vhost_fe_cmd_announce_ack(uint8_t *cmd)
{
	return begin_cmd(cmd, VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK);
}

size_t
vhost_fe_cmd_rss(uint8_t *cmd, const struct vhost_fe_rss *rss, uint16_t pairs)
{
	size_t at = begin_cmd(cmd, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_RSS_CONFIG);

	at = put_le32(cmd, at, rss->types);
	at = put_le16(cmd, at, rss->entries - 1);
	at = put_le16(cmd, at, 0); /* packets without a hash: first queue */
	for (uint16_t i = 0; i < rss->entries; i++)
		at = put_le16(cmd, at, rss->table[i]);
	at = put_le16(cmd, at, pairs);
	return put_key(cmd, at, rss);
}

size_t
vhost_fe_cmd_hash(uint8_t *cmd, const struct vhost_fe_rss *rss)
{
	size_t at = begin_cmd(cmd, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_HASH_CONFIG);

	at = put_le32(cmd, at, rss->types);
	at = put_le64(cmd, at, 0); /* reserved */
	return put_key(cmd, at, rss);
}

size_t
vhost_fe_cmd_guest_offloads(uint8_t *cmd, uint64_t offloads)
{
	return put_le64(cmd, begin_cmd(cmd, VIRTIO_NET_CTRL_GUEST_OFFLOADS,
				VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET), offloads);
}
