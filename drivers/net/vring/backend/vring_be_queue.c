/* SPDX-License-Identifier: BSD-3-Clause */
/* A back-end's rings, as queues use them. */

#include "virtq_dev.h"
#include "vring_be_queue.h"

static void
be_notified(const struct virtq_cursor *cursor, uint64_t *sent, uint64_t *suppressed)
{
	*sent = virtq_dev_of_const(cursor)->calls;
	*suppressed = virtq_dev_of_const(cursor)->calls_suppressed;
}

/* What the guest transmits is received here, and the other way round. */
const struct vring_queue_ops vring_be_queue_ops = {
	.rx = 1,
	.tx = 0,
	.rx_select = vnet_dev_rx_select,
	.tx_select = vnet_dev_tx_select,
	.rx_count = vnet_ring_count,
	.tx_count = vnet_ring_count,
	.notified = be_notified,
};
