/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * EAL reads the address after this file has returned it, and waits for a store to it. A guest may
 * go meanwhile, and its memory with it: the queue keeps what was mapped until it is asked again. A
 * core that waits where nobody writes any more is woken when the time has passed for which the
 * kernel lets a core wait (/sys/devices/system/cpu/umwait_control).
 */

#include <errno.h>

#include "vring_monitor.h"
#include "vring_role.h"

/* What is in the condition's opaque words. */
enum { WORD_MASK, WORD_VALUE, WORD_EQUAL };

static int
monitor_check(const uint64_t value, const uint64_t opaque[RTE_POWER_MONITOR_OPAQUE_SZ])
{
	const bool equal = (value & opaque[WORD_MASK]) == opaque[WORD_VALUE];

	return equal == (opaque[WORD_EQUAL] != 0) ? -1 : 0;
}

/*
 * Memory of another snapshot than the last time: the core has come back from there. Returns what is
 * to be put by the caller, behind the query: who publishes may be waiting for that.
 */
static struct virtq_mem *
keep_mem(struct vring_rxq *rxq, struct virtq_mem *mem)
{
	struct virtq_mem *former = rxq->monitored;

	if (former == mem)
		return NULL;
	rxq->monitored = mem == NULL ? NULL : virtq_mem_get(mem);
	return former;
}

/* The set's one ring, or NULL with what to return. */
static const struct vring_poll_entry *
only_ring(const struct vring_rxq *rxq, const struct vring_poll_set *set, int *rc)
{
	*rc = -EAGAIN;
	if (rxq->cut != NULL && !vnet_cut_idle(rxq->cut))
		return NULL;
	if (set == NULL || set->n == 0) {
		*rc = 0;
		return NULL;
	}
	return set->n == 1 && set->entry[0].ring != NULL ? &set->entry[0] : NULL;
}

int
vring_monitor_get_addr(void *queue, struct rte_power_monitor_cond *cond)
{
	struct vring_rxq *rxq = queue;
	const struct vring_queue_ops *ops = vring_role_queue_ops(rxq->q.port);
	const struct vring_poll_set *set = vring_rxtx_query_enter(&rxq->q);
	/* Without a ring, the published set itself: it changes when one comes. */
	struct vring_word word = { &rxq->q.rcu.ptr, sizeof(rxq->q.rcu.ptr), UINT64_MAX,
				   (uintptr_t)set, false };
	const struct vring_poll_entry *ring;
	struct virtq_mem *former;
	int rc;

	ring = only_ring(rxq, set, &rc);
	if (ring != NULL)
		rc = ops->rx_word(ring->ring, ring->cursor, &word) &&
		     !vring_rxtx_rx_starves(rxq, ring) ? 0 : -EAGAIN;
	former = keep_mem(rxq, ring == NULL ? NULL : ring->ring->mem);
	vring_rxtx_query_leave(&rxq->q);
	virtq_mem_put(former);
	cond->addr = word.addr;
	cond->size = word.size;
	cond->fn = monitor_check;
	cond->opaque[WORD_MASK] = word.mask;
	cond->opaque[WORD_VALUE] = word.value;
	cond->opaque[WORD_EQUAL] = word.equal;
	return rc;
}

void
vring_monitor_release(struct vring_rxq *rxq)
{
	struct virtq_mem *former;

	vring_rxtx_query_enter(&rxq->q);
	former = keep_mem(rxq, NULL);
	vring_rxtx_query_leave(&rxq->q);
	virtq_mem_put(former);
}
