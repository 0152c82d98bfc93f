/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names of what was negotiated, and the dump of a port's private state.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "vring_info.h"

static const char *const device_features[64] = {
	[VIRTIO_NET_F_CSUM] = "VIRTIO_NET_F_CSUM",
	[VIRTIO_NET_F_GUEST_CSUM] = "VIRTIO_NET_F_GUEST_CSUM",
	[VIRTIO_NET_F_CTRL_GUEST_OFFLOADS] = "VIRTIO_NET_F_CTRL_GUEST_OFFLOADS",
	[VIRTIO_NET_F_MTU] = "VIRTIO_NET_F_MTU",
	[VIRTIO_NET_F_MAC] = "VIRTIO_NET_F_MAC",
	[6] = "VIRTIO_NET_F_GSO",
	[VIRTIO_NET_F_GUEST_TSO4] = "VIRTIO_NET_F_GUEST_TSO4",
	[VIRTIO_NET_F_GUEST_TSO6] = "VIRTIO_NET_F_GUEST_TSO6",
	[VIRTIO_NET_F_GUEST_ECN] = "VIRTIO_NET_F_GUEST_ECN",
	[VIRTIO_NET_F_GUEST_UFO] = "VIRTIO_NET_F_GUEST_UFO",
	[VIRTIO_NET_F_HOST_TSO4] = "VIRTIO_NET_F_HOST_TSO4",
	[VIRTIO_NET_F_HOST_TSO6] = "VIRTIO_NET_F_HOST_TSO6",
	[VIRTIO_NET_F_HOST_ECN] = "VIRTIO_NET_F_HOST_ECN",
	[VIRTIO_NET_F_HOST_UFO] = "VIRTIO_NET_F_HOST_UFO",
	[VIRTIO_NET_F_MRG_RXBUF] = "VIRTIO_NET_F_MRG_RXBUF",
	[VIRTIO_NET_F_STATUS] = "VIRTIO_NET_F_STATUS",
	[VIRTIO_NET_F_CTRL_VQ] = "VIRTIO_NET_F_CTRL_VQ",
	[VIRTIO_NET_F_CTRL_RX] = "VIRTIO_NET_F_CTRL_RX",
	[VIRTIO_NET_F_CTRL_VLAN] = "VIRTIO_NET_F_CTRL_VLAN",
	[VIRTIO_NET_F_GUEST_ANNOUNCE] = "VIRTIO_NET_F_GUEST_ANNOUNCE",
	[VIRTIO_NET_F_MQ] = "VIRTIO_NET_F_MQ",
	[VIRTIO_NET_F_CTRL_MAC_ADDR] = "VIRTIO_NET_F_CTRL_MAC_ADDR",
	[24] = "VIRTIO_F_NOTIFY_ON_EMPTY",
	[VHOST_F_LOG_ALL] = "VHOST_F_LOG_ALL",
	[VIRTIO_F_ANY_LAYOUT] = "VIRTIO_F_ANY_LAYOUT",
	[VIRTIO_RING_F_INDIRECT_DESC] = "VIRTIO_F_INDIRECT_DESC",
	[VIRTIO_RING_F_EVENT_IDX] = "VIRTIO_F_EVENT_IDX",
	[VHOST_USER_F_PROTOCOL_FEATURES] = "VHOST_USER_F_PROTOCOL_FEATURES",
	[VIRTIO_F_VERSION_1] = "VIRTIO_F_VERSION_1",
	[VIRTIO_F_ACCESS_PLATFORM] = "VIRTIO_F_ACCESS_PLATFORM",
	[VIRTIO_F_RING_PACKED] = "VIRTIO_F_RING_PACKED",
	[VIRTIO_F_IN_ORDER] = "VIRTIO_F_IN_ORDER",
	[VIRTIO_F_ORDER_PLATFORM] = "VIRTIO_F_ORDER_PLATFORM",
	[VIRTIO_F_SR_IOV] = "VIRTIO_F_SR_IOV",
	[VIRTIO_F_NOTIFICATION_DATA] = "VIRTIO_F_NOTIFICATION_DATA",
	[VIRTIO_F_RING_RESET] = "VIRTIO_F_RING_RESET",
	[VIRTIO_NET_F_GUEST_USO4] = "VIRTIO_NET_F_GUEST_USO4",
	[VIRTIO_NET_F_GUEST_USO6] = "VIRTIO_NET_F_GUEST_USO6",
	[VIRTIO_NET_F_HOST_USO] = "VIRTIO_NET_F_HOST_USO",
	[VIRTIO_NET_F_HASH_REPORT] = "VIRTIO_NET_F_HASH_REPORT",
	[VIRTIO_NET_F_RSS] = "VIRTIO_NET_F_RSS",
};

static const char *const protocol_features[64] = {
	[VHU_PF_MQ] = "VHOST_USER_PROTOCOL_F_MQ",
	[VHU_PF_LOG_SHMFD] = "VHOST_USER_PROTOCOL_F_LOG_SHMFD",
	[VHU_PF_RARP] = "VHOST_USER_PROTOCOL_F_RARP",
	[VHU_PF_REPLY_ACK] = "VHOST_USER_PROTOCOL_F_REPLY_ACK",
	[VHU_PF_NET_MTU] = "VHOST_USER_PROTOCOL_F_MTU",
	[VHU_PF_BACKEND_REQ] = "VHOST_USER_PROTOCOL_F_BACKEND_REQ",
	[VHU_PF_PAGEFAULT] = "VHOST_USER_PROTOCOL_F_PAGEFAULT",
	[VHU_PF_CONFIG] = "VHOST_USER_PROTOCOL_F_CONFIG",
	[VHU_PF_BACKEND_SEND_FD] = "VHOST_USER_PROTOCOL_F_BACKEND_SEND_FD",
	[VHU_PF_HOST_NOTIFIER] = "VHOST_USER_PROTOCOL_F_HOST_NOTIFIER",
	[VHU_PF_INFLIGHT_SHMFD] = "VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD",
	[VHU_PF_RESET_DEVICE] = "VHOST_USER_PROTOCOL_F_RESET_DEVICE",
	[VHU_PF_CONFIGURE_MEM_SLOTS] = "VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS",
	[VHU_PF_STATUS] = "VHOST_USER_PROTOCOL_F_STATUS",
	[VHU_PF_DEVICE_STATE] = "VHOST_USER_PROTOCOL_F_DEVICE_STATE",
};

static const char *
name_in(const char *const names[64], unsigned int bit, char *buf, size_t size)
{
	if (names[bit] != NULL)
		return names[bit];
	snprintf(buf, size, "BIT_%u", bit);
	return buf;
}

const char *
vring_feature_name(unsigned int bit, char *buf, size_t size)
{
	return name_in(device_features, bit, buf, size);
}

const char *
vring_protocol_feature_name(unsigned int bit, char *buf, size_t size)
{
	return name_in(protocol_features, bit, buf, size);
}

const char *
vring_ring_state(const struct vring_slot *slot)
{
	/* Stays until the guest sets the ring up anew. */
	if (slot->vq->broken != VIRTQ_OK)
		return "broken";
	if (slot->run == NULL)
		return "stopped";
	return slot->run->enabled ? "enabled" : "disabled";
}

static void
dump_features(FILE *f, const char *title, uint64_t bits,
	      const char *(*name)(unsigned int bit, char *buf, size_t size))
{
	unsigned int bit;
	char buf[24];

	fprintf(f, "%s: 0x%" PRIx64 "\n", title, bits);
	for (bit = 0; bit < 64; bit++)
		if (bits & RTE_BIT64(bit))
			fprintf(f, "  %s\n", name(bit, buf, sizeof(buf)));
}

static void
dump_ring(FILE *f, const struct vring_slot *slot, unsigned int qid)
{
	const struct virtq_run *run = slot->run;

	fprintf(f, "vring %u (guest %s): %s", qid, qid % 2 ? "tx" : "rx", vring_ring_state(slot));
	if (run != NULL)
		fprintf(f, ", %s, %u entries, %u waiting, callfd %d",
			run->packed ? "packed" : "split", run->size,
			vnet_ring_count(run, slot->vq), run->callfd);
	fprintf(f, ", %" PRIu64 " calls, %" PRIu64 " suppressed\n", slot->vq->calls,
		slot->vq->calls_suppressed);
}

struct dump_call {
	struct vring_port *port;
	FILE *f;
};

static int
dump_in_ctrl(void *arg)
{
	const struct dump_call *call = arg;
	const struct vring_port *port = call->port;
	struct vhu_be_info info;
	unsigned int qid;
	FILE *f = call->f;

	vhu_be_get_info(port->be, &info);
	fprintf(f, "iface: %s (%s)\n", port->args.iface, port->args.client ? "client" : "server");
	fprintf(f, "connected: %s, %" PRIu64 " times so far, last end: %s\n",
		info.connected ? "yes" : "no", info.connects,
		info.last_disconnect[0] != '\0' ? info.last_disconnect : "none");
	fprintf(f, "messages: %" PRIu64 ", refused %" PRIu64 ", framing errors %" PRIu64 "\n",
		info.messages, info.nacks, info.framing_errors);
	fprintf(f, "memory regions: %u\n", info.nregions);
	fprintf(f, "device status: 0x%02x\n", info.status);
	dump_features(f, "features", port->features, vring_feature_name);
	dump_features(f, "protocol features", port->protocol_features,
		      vring_protocol_feature_name);
	for (qid = 0; qid < 2u * port->pairs; qid++)
		dump_ring(f, &port->slot[qid], qid);
	return 0;
}

/* To memory first: who reads `f` may be slow, and the control thread serves all ports. */
int
vring_priv_dump(struct rte_eth_dev *dev, FILE *f)
{
	struct vring_port *port = dev->data->dev_private;
	struct dump_call call = { .port = port };
	char *text = NULL;
	size_t size = 0;
	int ret;

	call.f = open_memstream(&text, &size);
	if (call.f == NULL)
		return -ENOMEM;
	ret = vhu_loop_call(port->loop, dump_in_ctrl, &call);
	if (fclose(call.f) != 0)
		ret = -ENOMEM;
	else if (ret == 0 && fwrite(text, 1, size, f) != size)
		ret = -EIO;
	free(text);
	return ret;
}
