/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names of what was negotiated, and the dump of a port's private state.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "vhost_names.h"
#include "vring_info.h"

const char *
vring_feature_name(unsigned int bit, char *buf, size_t size)
{
	return vhost_names_feature(bit, buf, size);
}

const char *
vring_protocol_feature_name(unsigned int bit, char *buf, size_t size)
{
	return vhost_names_protocol_feature(bit, buf, size);
}

const char *
vring_port_vring_state(const struct vring_port_vring *slot)
{
	/* Stays until the guest sets the ring up anew. */
	if (slot->vq->broken != VIRTQ_OK)
		return "broken";
	if (slot->ring == NULL)
		return "stopped";
	return slot->ring->enabled ? "enabled" : "disabled";
}

uint32_t
vring_role_vring_waiting(const struct vring_port *port, unsigned int qid)
{
	const struct vring_queue_ops *sides = vring_role_queue_ops(port);
	const struct vring_port_vring *slot = &port->slot[qid];

	return qid % 2 == sides->rx ? sides->rx_count(slot->ring, slot->vq) :
				      sides->tx_count(slot->ring, slot->vq);
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
dump_ring(FILE *f, const struct vring_port *port, unsigned int qid)
{
	const struct vring_port_vring *slot = &port->slot[qid];
	const struct virtq_ring *ring = slot->ring;
	uint64_t sent, suppressed;

	fprintf(f, "vring %u (guest %s): %s", qid, qid % 2 ? "tx" : "rx",
		vring_port_vring_state(slot));
	if (ring != NULL)
		fprintf(f, ", %s, %u entries, %u waiting, callfd %d",
			ring->packed ? "packed" : "split", ring->size,
			vring_role_vring_waiting(port, qid), ring->callfd);
	vring_role_queue_ops(port)->notified(slot->vq, &sent, &suppressed);
	fprintf(f, ", %" PRIu64 " calls, %" PRIu64 " suppressed\n", sent, suppressed);
}

struct dump_call {
	struct vring_port *port;
	FILE *f;
};

void
vring_be_dump(struct vring_port *port, FILE *f)
{
	struct vhost_be_info info;

	vhost_be_get_info(port->be, &info);
	fprintf(f, "iface: %s (%s)\n", port->args.iface, port->args.client ? "client" : "server");
	fprintf(f, "connected: %s, %" PRIu64 " times so far, last end: %s\n",
		info.connected ? "yes" : "no", info.connects,
		info.last_disconnect[0] != '\0' ? info.last_disconnect : "none");
	fprintf(f, "messages: %" PRIu64 ", refused %" PRIu64 ", framing errors %" PRIu64 "\n",
		info.messages, info.nacks, info.framing_errors);
	fprintf(f, "memory regions: %u\n", info.nregions);
	fprintf(f, "device status: 0x%02x\n", info.status);
}

static int
dump_in_ctrl(void *arg)
{
	const struct dump_call *call = arg;
	struct vring_port *port = call->port;
	unsigned int qid;
	FILE *f = call->f;

	vring_role_of(port)->dump(port, f);
	dump_features(f, "features", port->features, vring_feature_name);
	dump_features(f, "protocol features", port->protocol_features,
		      vring_protocol_feature_name);
	for (qid = 0; qid < 2u * port->pairs; qid++)
		dump_ring(f, port, qid);
	return 0;
}

/* To memory first: who reads `f` may be slow, and the control thread may serve other ports. */
int
vring_dump_priv(struct rte_eth_dev *dev, FILE *f)
{
	struct vring_port *port = dev->data->dev_private;
	struct dump_call call = { .port = port };
	char *text = NULL;
	size_t size = 0;
	int ret;

	call.f = open_memstream(&text, &size);
	if (call.f == NULL)
		return -ENOMEM;
	ret = evloop_call(port->loop, dump_in_ctrl, &call);
	if (fclose(call.f) != 0)
		ret = -ENOMEM;
	else if (ret == 0 && fwrite(text, 1, size, f) != size)
		ret = -EIO;
	free(text);
	return ret;
}
