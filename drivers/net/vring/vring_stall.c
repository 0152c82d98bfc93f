/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A queue stands still from the first look that finds it blocked until one that finds that it
 * moved. It is reported once, when that has lasted for stall-ms=.
 *
 * A transmit queue is blocked when bursts fail for want of room and nothing is sent; one that has
 * nothing to send may be as blocked as before, or not, and so changes nothing. A guest that its
 * monitor pauses has its rings stopped, not full: that counts as well. A guest that has taken
 * nothing yet does not stand still: it has no driver, or its interface is down. A receive queue is
 * blocked when packets wait and no burst is called.
 *
 * At each look is counted how full the rings of a queue are.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "vring_log.h"
#include "vring_qmap.h"
#include "vring_role.h"
#include "vring_rxtx.h"
#include "vring_stall.h"
#include "vring_trace.h"

/* Between two looks, milliseconds: half of stall-ms=, within these. */
#define LOOK_MIN_MS 10
#define LOOK_MAX_MS 500

struct watched {
	uint64_t moved;		/* rises with what the queue does */
	uint64_t failed;	/* tx: rises with what it could not do */
	uint64_t since_ns;	/* when it was first found blocked; 0: it is not */
	uint64_t peer;		/* tx: when the peer before went; of each it is another time */
	uint32_t room;		/* tx: what the peer had made room for when it was last blocked */
	bool served;		/* tx: the peer that is connected has taken packets */
	bool reported;
	uint64_t fill[VRING_STALL_FILL_BINS]; /* looks; atomic, written by the control thread */
};

struct vring_stall {
	struct vring_port *port;
	struct evloop_timer timer;
	struct watched queue[];	/* receive queues, then transmit queues, of port->pairs */
};

enum state {
	BLOCKED,
	UNKNOWN,	/* as before */
	FREE,
	POLLED,		/* rx: free, since a burst was called */
};

static struct watched *
watched_of(const struct vring_port *port, bool tx, unsigned int id)
{
	return &port->stall->queue[(tx ? port->pairs : 0) + id];
}

static uint64_t
ms_between(uint64_t from_ns, uint64_t to_ns)
{
	return to_ns > from_ns ? (to_ns - from_ns) / 1000000 : 0;
}

/* The time of day that was `ms` ago. */
static void
clock_text(uint64_t ms, char *text, size_t size)
{
	const time_t then = time(NULL) - (time_t)(ms / 1000);
	struct tm tm;

	if (localtime_r(&then, &tm) == NULL || strftime(text, size, "%H:%M:%S", &tm) == 0)
		text[0] = '\0';
}

/* Or one that is about to come back. */
static bool
has_ring(const struct vring_port *port, unsigned int id)
{
	const struct vring_txq *txq = port->dev->data->tx_queues[id];
	const struct vring_poll_set *set = txq->q.published;

	return set != NULL && (set->n > 0 || set->hold);
}

/* A peer decides when these begin and end, hence the limit. */
static void
report_begin(struct vring_port *port, bool tx, unsigned int id, uint64_t ms)
{
	const char *peer = vring_role_of(port)->own_rings ? "device" : "guest";
	const bool stopped = tx && !has_ring(port, id);
	char since[16];

	if (!vring_log_admits(&port->log_limit, VHOST_LOG_WARNING))
		return;
	clock_text(ms, since, sizeof(since));
	if (tx)
		VRING_LOG(WARNING, port->name, "transmit queue %u stands still: the %s has taken "
			  "nothing for %" PRIu64 " ms, since %s, and its %s: see whether it runs; "
			  "what is sent to it until then is refused or dropped", id, peer, ms,
			  since, stopped ? "rings are stopped. It is paused, boots anew, or has no "
			  "driver" : "ring is full. It is hung, short of CPU, or not scheduled");
	else
		VRING_LOG(WARNING, port->name, "receive queue %u is not polled: packets of the %s "
			  "have waited for %" PRIu64 " ms, since %s, and no burst has asked for "
			  "them. Have an lcore poll it, or see what keeps the one that does",
			  id, peer, ms, since);
}

static void
report_end(struct vring_port *port, bool tx, unsigned int id, enum state state, uint64_t ms)
{
	const char *now = tx ? "stands still no longer" :
			  state == POLLED ? "is polled again" : "has nothing to poll any more";

	if (vring_log_admits(&port->log_limit, VHOST_LOG_NOTICE))
		VRING_LOG(NOTICE, port->name, "%s queue %u %s, after %" PRIu64 " ms",
			  tx ? "transmit" : "receive", id, now, ms);
}

static void
judge_queue(struct vring_port *port, bool tx, unsigned int id, enum state state, uint64_t now)
{
	struct watched *w = watched_of(port, tx, id);
	const uint64_t ms = w->since_ns == 0 ? 0 : ms_between(w->since_ns, now);

	if (state == FREE || state == POLLED) {
		w->since_ns = 0;
		if (w->reported) {
			vring_trace_stall_end(port->dev->data->port_id, tx, id, ms);
			report_end(port, tx, id, state, ms);
		}
		w->reported = false;
	} else if (state == BLOCKED && w->since_ns == 0) {
		w->since_ns = now;
	} else if (state == BLOCKED && !w->reported && ms >= port->args.stall_ms) {
		w->reported = true;
		if (tx)
			__atomic_store_n(&port->tx_base[id].stalls, port->tx_base[id].stalls + 1,
					 __ATOMIC_RELAXED);
		vring_trace_stall_begin(port->dev->data->port_id, tx, id, ms);
		report_begin(port, tx, id, ms);
	}
}

static uint64_t
load_counter(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* Whether the counter has another value than at the last look. */
static bool
counter_moves(uint64_t *last, uint64_t now)
{
	const bool moves = now != *last;

	*last = now;
	return moves;
}

/*
 * Rings of guests whose memory may be missing are not looked at: that would wait for a page. Behind
 * an IOMMU a ring is published only while its own addresses are known.
 */
static bool
may_look(const struct vring_port *port)
{
	return !port->args.postcopy;
}

static uint32_t
tx_room(const struct vring_port *port, const struct vring_poll_set *set)
{
	uint32_t room = 0;

	for (unsigned int i = 0; i < set->n && may_look(port); i++)
		room += vring_role_queue_ops(port)->tx_room(set->entry[i].ring,
							    set->entry[i].cursor);
	return room;
}

/* Whether packets of the queue are for a peer that could take them, as far as the port knows. */
static bool
may_stand_still(const struct vring_port *port, const struct vring_poll_set *set,
		const struct watched *w)
{
	if (set == NULL || !w->served)
		return false;
	return set->n > 0 || set->hold ||
	       (set->why == VNET_DROP_DISABLED && !port->admin_down);
}

static enum state
tx_state(const struct vring_port *port, const struct vring_txq *txq, struct watched *w)
{
	const struct vnet_stats *stats = &txq->tx.stats;
	const struct vring_poll_set *set = txq->q.published;
	const bool moves = counter_moves(&w->moved, load_counter(&stats->packets));
	const bool fails = counter_moves(&w->failed, load_counter(&stats->refused) +
					 load_counter(&stats->drop[VNET_DROP_RING_FULL]) +
					 load_counter(&stats->drop[VNET_DROP_DISABLED]));

	/* Of another peer it is not known that it has taken one of them. */
	w->served = !counter_moves(&w->peer, port->disconnected_ns) && port->connected &&
		    (w->served || moves);
	if (moves || !may_stand_still(port, set, w))
		return FREE;
	if (fails) {
		w->room = tx_room(port, set);
		return BLOCKED;
	}
	return w->since_ns != 0 && tx_room(port, set) > w->room ? FREE : UNKNOWN;
}

static bool
packets_wait(const struct vring_port *port, const struct vring_poll_set *set)
{
	if (set == NULL || !may_look(port))
		return false;
	for (unsigned int i = 0; i < set->n; i++) {
		const struct vring_poll_entry *ring = &set->entry[i];

		if (ring->ring != NULL &&
		    vring_role_queue_ops(port)->rx_count(ring->ring, ring->cursor) > 0)
			return true;
	}
	return false;
}

static enum state
rx_state(const struct vring_port *port, const struct vring_rxq *rxq, struct watched *w)
{
	uint64_t bursts = 0;

	for (unsigned int i = 0; i < VNET_BURST_BINS; i++)
		bursts += load_counter(&rxq->rx.stats.burst_bin[i]);
	if (counter_moves(&w->moved, bursts))
		return POLLED;
	return packets_wait(port, rxq->q.published) ? BLOCKED : FREE;
}

/* Entries of the rings that hold what is on its way to the other side of the queue. */
static void
count_fill(const struct vring_port *port, bool tx, const struct vring_queue *q, struct watched *w)
{
	uint32_t size, count, fill;
	unsigned int bin;

	if (!may_look(port))
		return;
	count = vring_rxtx_set_count(port, q->published, tx, &size);
	if (size == 0)
		return;
	count = RTE_MIN(count, size);
	fill = tx ? size - count : count;
	bin = fill == 0 ? 0 : fill == size ? VRING_STALL_FILL_BINS - 1 : 1 + 4 * fill / size;
	__atomic_store_n(&w->fill[bin], w->fill[bin] + 1, __ATOMIC_RELAXED);
}

const char *
vring_stall_fill_name(unsigned int bin)
{
	static const char *const names[VRING_STALL_FILL_BINS] = {
		"empty", "below_25", "below_50", "below_75", "below_100", "full",
	};

	return bin < VRING_STALL_FILL_BINS ? names[bin] : "unknown";
}

void
vring_stall_fill(const struct vring_port *port, bool tx, unsigned int id,
		 uint64_t bin[VRING_STALL_FILL_BINS])
{
	for (unsigned int i = 0; i < VRING_STALL_FILL_BINS; i++)
		bin[i] = load_counter(&watched_of(port, tx, id)->fill[i]);
}

void
vring_stall_look(struct vring_port *port, uint64_t now_ns)
{
	const struct rte_eth_dev_data *data = port->dev->data;

	for (unsigned int i = 0; i < data->nb_rx_queues; i++) {
		const struct vring_rxq *rxq = data->rx_queues[i];
		struct watched *w = watched_of(port, false, i);

		judge_queue(port, false, i, rx_state(port, rxq, w), now_ns);
		count_fill(port, false, &rxq->q, w);
	}
	for (unsigned int i = 0; i < data->nb_tx_queues; i++) {
		const struct vring_txq *txq = data->tx_queues[i];
		struct watched *w = watched_of(port, true, i);

		judge_queue(port, true, i, tx_state(port, txq, w), now_ns);
		count_fill(port, true, &txq->q, w);
	}
}

uint64_t
vring_stall_longest(const struct vring_port *port, bool tx, uint64_t now_ns)
{
	uint64_t longest = 0;

	for (unsigned int i = 0; i < port->pairs; i++) {
		const struct watched *w = watched_of(port, tx, i);

		if (w->reported)
			longest = RTE_MAX(longest, ms_between(w->since_ns, now_ns));
	}
	return longest;
}

static void
arm_stall_timer(struct vring_stall *stall)
{
	const uint64_t half = stall->port->args.stall_ms / 2;

	evloop_timer_set(stall->port->loop, &stall->timer,
			 RTE_MIN(RTE_MAX(half, (uint64_t)LOOK_MIN_MS), (uint64_t)LOOK_MAX_MS));
}

static void
stall_expired(struct evloop_timer *timer)
{
	struct vring_stall *stall = timer->owner;

	vring_stall_look(stall->port, evloop_now_ns());
	arm_stall_timer(stall);
}

int
vring_stall_open(struct vring_port *port)
{
	struct vring_stall *stall;

	stall = calloc(1, sizeof(*stall) + 2u * port->pairs * sizeof(stall->queue[0]));
	if (stall == NULL)
		return -ENOMEM;
	stall->port = port;
	stall->timer.owner = stall;
	stall->timer.expired = stall_expired;
	port->stall = stall;
	return 0;
}

void
vring_stall_close(struct vring_port *port)
{
	free(port->stall);
	port->stall = NULL;
}

void
vring_stall_start(struct vring_port *port)
{
	if (port->args.stall_ms != 0)
		arm_stall_timer(port->stall);
}

/* Nothing is sent from here on: a queue that stood still does so no longer. */
void
vring_stall_stop(struct vring_port *port)
{
	const uint64_t now = evloop_now_ns();

	evloop_timer_cancel(&port->stall->timer);
	for (unsigned int i = 0; i < port->pairs; i++) {
		judge_queue(port, false, i, FREE, now);
		judge_queue(port, true, i, FREE, now);
	}
}
