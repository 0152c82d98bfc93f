/* SPDX-License-Identifier: BSD-3-Clause */
/* The dump of a port's private state. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "evloop.h"
#include "vhost_names.h"
#include "vring_dump.h"
#include "vring_role.h"

static void
dump_features(FILE *f, const char *title, uint64_t bits,
	      const char *(*name)(unsigned int bit, char *buf, size_t size))
{
	char buf[24];

	fprintf(f, "%s: 0x%" PRIx64 "\n", title, bits);
	for (unsigned int bit = 0; bit < 64; bit++)
		if (bits & VIRTQ_BIT(bit))
			fprintf(f, "  %s\n", name(bit, buf, sizeof(buf)));
}

static void
dump_vring(FILE *f, const struct vring_port *port, unsigned int qid)
{
	const struct vring_port_vring *vring = &port->vring[qid];
	const struct virtq_ring *ring = vring->ring;
	uint64_t sent, suppressed;

	fprintf(f, "vring %u (guest %s): %s", qid, qid % 2 ? "tx" : "rx",
		vring_port_vring_state(vring));
	if (ring != NULL)
		fprintf(f, ", %s, %u entries, %u waiting, callfd %d",
			ring->packed ? "packed" : "split", ring->size,
			vring_role_vring_waiting(port, qid), ring->callfd);
	vring_role_queue_ops(port)->notified(vring->cursor, &sent, &suppressed);
	fprintf(f, ", %" PRIu64 " calls, %" PRIu64 " suppressed\n", sent, suppressed);
}

struct dump_call {
	struct vring_port *port;
	FILE *f;
};

static int
dump_in_ctrl(void *arg)
{
	const struct dump_call *call = arg;
	struct vring_port *port = call->port;
	FILE *f = call->f;

	vring_role_of(port)->dump(port, f);
	dump_features(f, "features", port->features, vhost_names_feature);
	dump_features(f, "protocol features", port->protocol_features,
		      vhost_names_protocol_feature);
	for (unsigned int qid = 0; qid < 2u * port->vring_pairs; qid++)
		if (!vring_port_is_spare(port, qid))
			dump_vring(f, port, qid);
	return 0;
}

/* To memory first: the reader of `f` may be slow, and the control thread may serve other ports. */
int
vring_dump_priv(struct rte_eth_dev *dev, FILE *f)
{
	struct vring_port *port = dev->data->dev_private;
	struct dump_call call = { .port = port };
	char *text = NULL;
	size_t size = 0;
	int rc;

	call.f = open_memstream(&text, &size);
	if (call.f == NULL)
		return -ENOMEM;
	rc = evloop_call(port->loop, dump_in_ctrl, &call);
	if (fclose(call.f) != 0)
		rc = -ENOMEM;
	else if (rc == 0 && fwrite(text, 1, size, f) != size)
		rc = -EIO;
	free(text);
	return rc;
}
