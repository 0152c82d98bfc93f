/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands of the control queue, VIRTIO 1.2, 5.1.6.5. Plain functions: each writes a command, from
 * its class to the end of its data, into `cmd` and returns its bytes; the ack byte that the device
 * writes is not part of it.
 */
#ifndef VHOST_FE_CMD_H
#define VHOST_FE_CMD_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtq_ring.h"

/* Bytes of the longest command, so many addresses and entries at most. */
#define VHOST_FE_CMD_MAX 2048
#define VHOST_FE_CMD_MACS 64	/* each of unicast and multicast */
#define VHOST_FE_CMD_RETA 512	/* entries of the indirection table */
#define VHOST_FE_CMD_KEY 40	/* bytes of the hash key */

/* Features that need a control queue, which a back-end behind a socket does not serve. */
#define VHOST_FE_CTRL_FEATURES \
	(VIRTQ_BIT(VIRTIO_NET_F_CTRL_VQ) | VIRTQ_BIT(VIRTIO_NET_F_CTRL_RX) | \
	 VIRTQ_BIT(VIRTIO_NET_F_CTRL_VLAN) | VIRTQ_BIT(VIRTIO_NET_F_CTRL_MAC_ADDR) | \
	 VIRTQ_BIT(VIRTIO_NET_F_GUEST_ANNOUNCE) | VIRTQ_BIT(VIRTIO_NET_F_RSS) | \
	 VIRTQ_BIT(VIRTIO_NET_F_HASH_REPORT) | VIRTQ_BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS))

struct vhost_fe_mac {
	uint8_t addr[6];
};

/* Class CTRL_RX; cmd VIRTIO_NET_CTRL_RX_PROMISC, _ALLMULTI. */
size_t vhost_fe_cmd_rx(uint8_t *cmd, uint8_t what, bool on);
size_t vhost_fe_cmd_mac(uint8_t *cmd, const struct vhost_fe_mac *mac);
/* The filter as a whole: addresses besides the port's own. */
size_t vhost_fe_cmd_mac_table(uint8_t *cmd, const struct vhost_fe_mac *unicast, uint32_t nunicast,
			   const struct vhost_fe_mac *multicast, uint32_t nmulticast);
size_t vhost_fe_cmd_vlan(uint8_t *cmd, uint16_t id, bool on);
size_t vhost_fe_cmd_pairs(uint8_t *cmd, uint16_t pairs);
size_t vhost_fe_cmd_announce_ack(uint8_t *cmd);

/* VIRTIO_NET_RSS_HASH_TYPE_ that a driver knows of. */
#define VHOST_FE_CMD_HASH_TYPES 0x1ffu

/* What a device does to spread packets over receive queues. */
struct vhost_fe_rss {
	uint32_t types;		/* VIRTIO_NET_RSS_HASH_TYPE_ */
	uint16_t entries;	/* of the table, a power of two */
	uint16_t table[VHOST_FE_CMD_RETA]; /* receive queues */
	uint8_t keylen;
	uint8_t key[VHOST_FE_CMD_KEY];
};
/* pairs: transmit queues that are in use. */
size_t vhost_fe_cmd_rss(uint8_t *cmd, const struct vhost_fe_rss *rss, uint16_t pairs);
/* Types and key alone: hashes are reported, and decide on nothing. */
size_t vhost_fe_cmd_hash(uint8_t *cmd, const struct vhost_fe_rss *rss);
/* Which VIRTIO_NET_F_GUEST_ offloads of those that were negotiated are in use, as feature bits. */
size_t vhost_fe_cmd_guest_offloads(uint8_t *cmd, uint64_t offloads);

#endif /* VHOST_FE_CMD_H */
