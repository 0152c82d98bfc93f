/* SPDX-License-Identifier: BSD-3-Clause */
/* Dumps, for people: of a port's private state, of the descriptors of its queues. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "evloop.h"
#include "vhost_names.h"
#include "virtq_shared.h"
#include "vring_dump.h"
#include "vring_role.h"
#include "vring_rxtx.h"

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
	struct vring_notified n;

	fprintf(f, "vring %u (guest %s): %s", qid, qid % 2 ? "tx" : "rx",
		vring_port_vring_state(vring));
	if (ring != NULL)
		fprintf(f, ", %s, %u entries, %u waiting, callfd %d",
			ring->packed ? "packed" : "split", ring->size,
			vring_role_vring_waiting(port, qid), ring->callfd);
	n = vring_role_queue_ops(port)->notified(vring->cursor);
	fprintf(f, ", %" PRIu64 " calls, %" PRIu64 " suppressed\n", n.sent, n.suppressed);
}

/* Something to print, in the control thread. */
struct dump_call {
	struct vring_port *port;
	FILE *f;
	const struct vring_queue *q;	/* descriptors: of this queue, */
	uint16_t offset, num;		/* these */
};

static int
port_in_ctrl(void *arg)
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
static int
dump_text(struct dump_call *call, int (*print)(void *call), FILE *f)
{
	char *text = NULL;
	size_t size = 0;
	int rc;

	call->f = open_memstream(&text, &size);
	if (call->f == NULL)
		return -ENOMEM;
	rc = evloop_call(call->port->loop, print, call);
	if (fclose(call->f) != 0)
		rc = -ENOMEM;
	else if (rc == 0 && fwrite(text, 1, size, f) != size)
		rc = -EIO;
	free(text);
	return rc;
}

int
vring_dump_priv(struct rte_eth_dev *dev, FILE *f)
{
	struct dump_call call = { .port = dev->data->dev_private };

	return dump_text(&call, port_in_ctrl, f);
}

/* The entry of the table that an id names, which the peer may have written. */
static void
dump_split_desc(FILE *f, const struct virtq_ring *ring, uint32_t id)
{
	struct virtq_desc d;

	if (id >= ring->size)
		return;
	d = virtq_load_desc(&ring->desc[id]);
	fprintf(f, ", descriptor %u: addr 0x%" PRIx64 " len %u flags 0x%x next %u", id, d.addr,
		d.len, d.split.flags, d.split.next);
}

static void
dump_split(FILE *f, const struct virtq_ring *ring, uint16_t pos)
{
	const uint16_t slot = pos & ring->mask;
	const uint16_t head = virtq_load16(&ring->avail->ring[slot]);

	fprintf(f, "  %u: available %u, used id %u len %u", slot, head,
		virtq_load32(&ring->used->ring[slot].id),
		virtq_load32(&ring->used->ring[slot].len));
	dump_split_desc(f, ring, head);
	fprintf(f, "\n");
}

static void
dump_packed(FILE *f, const struct virtq_ring *ring, uint32_t pos)
{
	const uint32_t slot = pos % ring->size;
	const struct virtq_desc d = virtq_load_desc(&ring->pdesc[slot]);

	fprintf(f, "  %u: addr 0x%" PRIx64 " len %u id %u flags 0x%x\n", slot, d.addr, d.len,
		d.packed.id, d.packed.flags);
}

static void
dump_split_indexes(FILE *f, const struct virtq_ring *ring, const struct virtq_cursor *cursor)
{
	fprintf(f, "available %u, used %u, here %u and %u\n", virtq_load16(&ring->avail->idx),
		virtq_load16(&ring->used->idx), cursor->avail_idx, cursor->used_idx);
}

static void
dump_packed_indexes(FILE *f, const struct virtq_cursor *cursor)
{
	fprintf(f, "here %u wrap %d and %u wrap %d\n", cursor->avail_idx, cursor->avail_wrap,
		cursor->used_idx, cursor->used_wrap);
}

/* From the one that comes next at this end: a back-end's to fetch, a front-end's to be used. */
static void
dump_ring(const struct dump_call *call, const struct virtq_ring *ring,
	  const struct virtq_cursor *cursor)
{
	const uint16_t next = vring_role_of(call->port)->own_rings ? cursor->used_idx :
								     cursor->avail_idx;
	const uint32_t end = RTE_MIN((uint32_t)call->offset + call->num, (uint32_t)ring->size);

	fprintf(call->f, "vring %u: %s, %u entries, ", ring->qid,
		ring->packed ? "packed" : "split", ring->size);
	if (ring->packed)
		dump_packed_indexes(call->f, cursor);
	else
		dump_split_indexes(call->f, ring, cursor);
	for (uint32_t i = call->offset; i < end; i++) {
		if (ring->packed)
			dump_packed(call->f, ring, next + i);
		else
			dump_split(call->f, ring, (uint16_t)(next + i));
	}
}

/* Rings come and go in this thread alone, so what is published stays for as long as this takes. */
static int
descs_in_ctrl(void *arg)
{
	const struct dump_call *call = arg;
	const struct vring_poll_set *set = call->q->published;

	if (set == NULL || set->n == 0)
		fprintf(call->f, "no ring\n");
	for (unsigned int i = 0; set != NULL && i < set->n; i++)
		if (set->entry[i].ring != NULL)
			dump_ring(call, set->entry[i].ring, set->entry[i].cursor);
	return 0;
}

static int
dump_descs(const struct rte_eth_dev *dev, const struct vring_queue *q, uint16_t offset,
	   uint16_t num, FILE *f)
{
	struct dump_call call = { .port = dev->data->dev_private, .q = q, .offset = offset,
				  .num = num };

	return dump_text(&call, descs_in_ctrl, f);
}

int
vring_dump_rx_descs(const struct rte_eth_dev *dev, uint16_t id, uint16_t offset, uint16_t num,
		    FILE *f)
{
	const struct vring_port *port = dev->data->dev_private;

	/* One that was never set up has no ring either. */
	return id >= port->pairs ? -EINVAL :
				   dump_descs(dev, &port->rxqs[id].q, offset, num, f);
}

int
vring_dump_tx_descs(const struct rte_eth_dev *dev, uint16_t id, uint16_t offset, uint16_t num,
		    FILE *f)
{
	const struct vring_port *port = dev->data->dev_private;

	/* One that was never set up has no ring either. */
	return id >= port->pairs ? -EINVAL :
				   dump_descs(dev, &port->txqs[id].q, offset, num, f);
}
