/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "evloop.h"
#include "vring_regs.h"
#include "vring_role.h"

struct regs_call {
	struct vring_port *port;
	uint32_t *word;		/* for all of them */
};

static uint32_t
regs_count(const struct vring_port *port)
{
	return VRING_REGS_PORT_WORDS + 2 * port->vring_pairs * VRING_REGS_RING_WORDS;
}

static uint32_t
port_bits(const struct vring_port *port)
{
	return (port->dev->data->dev_link.link_status ? VRING_REGS_S_LINK : 0) |
	       (port->connected ? VRING_REGS_S_CONNECTED : 0) |
	       (port->started ? VRING_REGS_S_STARTED : 0) |
	       (port->admin_down ? VRING_REGS_S_ADMIN_DOWN : 0);
}

static uint32_t
state_bits(const struct vring_port_vring *vring)
{
	const struct virtq_ring *ring = vring->ring;
	uint32_t state = vring->cursor->broken != VIRTQ_OK ? VRING_REGS_R_BROKEN : 0;

	if (ring == NULL)
		return state;
	return state | VRING_REGS_R_RUNS | (ring->enabled ? VRING_REGS_R_ENABLED : 0) |
	       (ring->packed ? VRING_REGS_R_PACKED : 0);
}

static void
ring_words(const struct vring_port *port, unsigned int qid, uint32_t *word)
{
	const struct vring_port_vring *vring = &port->vring[qid];
	const struct virtq_cursor *cursor = vring->cursor;
	const uint32_t wraps = vring->ring != NULL && vring->ring->packed ? 1u << 15 : 0;
	const struct vring_notified n = vring_role_queue_ops(port)->notified(cursor);

	word[VRING_REGS_RING_STATE] = state_bits(vring);
	word[VRING_REGS_RING_AVAIL] = cursor->avail_idx | (cursor->avail_wrap ? wraps : 0);
	word[VRING_REGS_RING_USED] = cursor->used_idx | (cursor->used_wrap ? wraps : 0);
	word[VRING_REGS_RING_ERROR] = cursor->broken;
	if (vring->ring != NULL) {
		word[VRING_REGS_RING_SIZE] = vring->ring->size;
		word[VRING_REGS_RING_WAITING] = vring_role_vring_waiting(port, qid);
	}
	word[VRING_REGS_RING_NOTIFIED] = (uint32_t)(n.sent - vring->notified_base.sent);
	word[VRING_REGS_RING_SUPPRESSED] =
		(uint32_t)(n.suppressed - vring->notified_base.suppressed);
}

static int
regs_in_ctrl(void *arg)
{
	const struct regs_call *call = arg;
	struct vring_port *port = call->port;
	uint32_t *word = call->word;

	word[VRING_REGS_ROLE] = port->role;
	word[VRING_REGS_STATE] = port_bits(port);
	word[VRING_REGS_FEATURES_LO] = (uint32_t)port->features;
	word[VRING_REGS_FEATURES_HI] = (uint32_t)(port->features >> 32);
	word[VRING_REGS_PROTOCOL_LO] = (uint32_t)port->protocol_features;
	word[VRING_REGS_PROTOCOL_HI] = (uint32_t)(port->protocol_features >> 32);
	word[VRING_REGS_DEVICE_STATUS] = vring_role_of(port)->device_status(port);
	word[VRING_REGS_VRINGS] = 2 * port->vring_pairs;
	word += VRING_REGS_PORT_WORDS;
	for (unsigned int qid = 0; qid < 2u * port->vring_pairs; qid++)
		ring_words(port, qid, word + qid * VRING_REGS_RING_WORDS);
	return 0;
}

int
vring_regs_read(struct rte_eth_dev *dev, uint32_t *word, uint32_t count)
{
	struct regs_call call = { dev->data->dev_private, word };

	return count == regs_count(call.port) ? evloop_call(call.port->loop, regs_in_ctrl, &call) :
						-EINVAL;
}

int
vring_regs_get(struct rte_eth_dev *dev, struct rte_dev_reg_info *info)
{
	return vring_regs_get_by(dev, info, vring_regs_read);
}

int
vring_regs_get_by(struct rte_eth_dev *dev, struct rte_dev_reg_info *info, vring_regs_fn read)
{
	const uint32_t count = regs_count(dev->data->dev_private);
	uint32_t *word;
	int rc;

	info->version = VRING_REGS_VERSION;
	if (info->data == NULL) {
		info->length = count;
		info->width = sizeof(uint32_t);
		return 0;
	}
	if (info->offset > count || info->length > count - info->offset)
		return -EINVAL;
	word = calloc(count, sizeof(*word));
	if (word == NULL)
		return -ENOMEM;
	rc = read(dev, word, count);
	if (info->length == 0)
		info->length = count - info->offset;
	info->width = sizeof(*word);
	if (rc == 0)
		memcpy(info->data, word + info->offset, info->length * sizeof(*word));
	free(word);
	return rc;
}
