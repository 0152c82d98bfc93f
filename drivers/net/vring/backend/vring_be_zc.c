/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Zero-copy receive as the control thread sees it: rings get their loans before they start, loans
 * follow the memory, chains come home when a ring ends or nobody bursts on it, and guest memory
 * stays mapped for packets that outlive their ring.
 */

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include <rte_alarm.h>

#include "vring.h"

/* How long the ends of rings wait for packets, and how often they may, all ports taken together. */
#define WAIT_MS 100
#define WAIT_AGAIN_MS 1000
/* How often it is asked whether somebody looks after the rings. */
#define WATCH_MS 200
/* Ended rings whose packets are out, in the process. With more, rings that start are copied. */
#define MAX_ENDED 64
#define ENDED_US 100000

/*
 * Loans of ended rings, until their packets are freed. EAL's interrupt thread looks after them,
 * which is still there when the port and its control thread are gone.
 */
static struct {
	pthread_mutex_t lock;
	struct vnet_zc_ring *first;
	unsigned int n;
	bool watched;		/* free_ended() will come */
} ended = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
};

static void free_ended(void *arg);

/* Under the lock. Where no alarm can be had, the next one who comes tries again. */
static void
watch_ended(void)
{
	if (ended.first != NULL && !ended.watched)
		ended.watched = rte_eal_alarm_set(ENDED_US, free_ended, NULL) == 0;
}

static void
free_ended(void *arg __rte_unused)
{
	struct vnet_zc_ring **at;

	pthread_mutex_lock(&ended.lock);
	for (at = &ended.first; *at != NULL;) {
		struct vnet_zc_ring *loans = *at, *next = loans->next;

		if (vnet_zc_free(loans)) {
			*at = next;
			ended.n--;
		} else {
			at = &loans->next;
		}
	}
	ended.watched = false;
	watch_ended();
	pthread_mutex_unlock(&ended.lock);
}

static void
keep_ended(struct vnet_zc_ring *loans)
{
	if (vnet_zc_free(loans))
		return;
	pthread_mutex_lock(&ended.lock);
	loans->next = ended.first;
	ended.first = loans;
	ended.n++;
	watch_ended();
	pthread_mutex_unlock(&ended.lock);
}

static bool
too_many_ended(void)
{
	bool many;

	pthread_mutex_lock(&ended.lock);
	watch_ended();
	many = ended.n >= MAX_ENDED;
	pthread_mutex_unlock(&ended.lock);
	return many;
}

/* Whether the port receives from the vring. */
static bool
receives(const struct vring_port *port, uint16_t qid)
{
	return qid % 2 == vring_role_queue_ops(port)->rx;
}

void
vring_be_zc_begin(struct vring_port *port, uint16_t qid, const struct virtq_ring *ring)
{
	struct vring_port_vring *slot = &port->slot[qid];
	struct vnet_zc_ring *loans = slot->vq->loans;

	if (!port->args.zero_copy || ring == NULL || !receives(port, qid))
		return;
	if (loans != NULL) {
		vnet_zc_remap(loans);
		return;
	}
	if (slot->ring != NULL || too_many_ended() || vnet_zc_new(ring, &loans) != 0)
		return;
	slot->vq->loans = loans;
	if (port->zc_watch.at_ns == 0)
		evloop_timer_set(port->loop, &port->zc_watch, WATCH_MS);
}

/* Give the application time to free what it has; that may hold the thread up for a tenth. */
static void
wait_for_packets(const struct vnet_zc_ring *loans)
{
	/* The control thread's: it serves all ports that lend. */
	static uint64_t until_ns, again_ns;
	const struct timespec pause = { .tv_nsec = 200000 };

	if (vnet_zc_attached(loans) == 0)
		return;
	if (evloop_now_ns() >= again_ns) {
		until_ns = evloop_now_ns() + WAIT_MS * 1000000ull;
		again_ns = evloop_now_ns() + WAIT_AGAIN_MS * 1000000ull;
	}
	while (vnet_zc_attached(loans) > 0 && evloop_now_ns() < until_ns)
		nanosleep(&pause, NULL);
}

static void
end(struct vring_port *port, uint16_t qid, const struct virtq_ring *ring)
{
	struct virtq_vq *vq = port->slot[qid].vq;
	struct vnet_zc_ring *loans = vq->loans;
	uint32_t out;

	wait_for_packets(loans);
	out = vnet_zc_attached(loans);
	vnet_zc_end(loans, vq, ring);
	keep_ended(loans);
	if (out == 0 || evloop_now_ns() < port->zc_logged_ns)
		return;
	port->zc_logged_ns = evloop_now_ns() + WAIT_AGAIN_MS * 1000000ull;
	VRING_LOG(NOTICE, port->name, "vring %u ended while the application holds %u packets of "
		  "it: what these contain may change from now on", qid, out);
}

void
vring_be_zc_follow(struct vring_port *port, uint16_t qid, const struct virtq_ring *old)
{
	const struct vring_port_vring *slot = &port->slot[qid];

	if (slot->vq->loans == NULL)
		return;
	if (slot->ring == NULL)
		end(port, qid, old);
	else
		vnet_zc_remapped(slot->vq->loans, slot->ring->mem);
}

static void
reclaim(struct vring_port *port)
{
	unsigned int qid;

	vring_publish_withdraw(port);
	for (qid = 0; qid < 2u * port->pairs; qid++) {
		const struct vring_port_vring *slot = &port->slot[qid];

		if (slot->vq->loans != NULL)
			vnet_zc_reclaim(slot->vq->loans, slot->vq, slot->ring);
	}
	vring_publish(port);
}

/* A queue may be stopped, or not polled: then what its packets hold goes back from here. */
static void
watch(struct evloop_timer *timer)
{
	struct vring_port *port = timer->owner;
	bool any = false, neglected = false;
	unsigned int qid;

	for (qid = 0; qid < 2u * port->pairs; qid++) {
		struct vnet_zc_ring *loans = port->slot[qid].vq->loans;

		if (loans == NULL)
			continue;
		any = true;
		neglected |= vnet_zc_unpolled(loans);
		vnet_zc_put_mems(loans);
	}
	if (neglected)
		reclaim(port);
	if (any)
		evloop_timer_set(port->loop, timer, WATCH_MS);
}

void
vring_be_zc_open(struct vring_port *port)
{
	port->zc_watch.expired = watch;
	port->zc_watch.owner = port;
}

void
vring_be_zc_close(struct vring_port *port)
{
	evloop_timer_cancel(&port->zc_watch);
}
