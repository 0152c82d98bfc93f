/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Zero-copy receive as the control thread sees it. A ring gets its zero-copy buffers before it
 * starts, and they follow changes of the guest's memory. Chains are returned when a ring ends or no
 * lcore bursts on it. Guest memory stays mapped for packets that outlive their ring.
 */

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include <rte_alarm.h>

#include "vnet_zc.h"
#include "vring_be_queue.h"
#include "vring_be_zc.h"
#include "vring_log.h"
#include "vring_publish.h"

/* How long rings that end wait for their packets, and how often: limits of all ports together. */
#define WAIT_MS 100
#define WAIT_AGAIN_MS 1000
/* Interval at which the port looks for rings that no lcore bursts on. */
#define ZC_WATCH_MS 200
/*
 * Ended rings of a port whose packets the application still holds. With more, packets of its rings
 * that start are copied.
 */
#define MAX_ENDED 64
#define ENDED_US 100000

/*
 * Zero-copy buffers of ended rings, until their packets are freed. EAL's interrupt thread frees
 * them, since the port and its control thread may be gone by then.
 */
static struct {
	pthread_mutex_t lock;
	struct vnet_zc_ring *first;
	uint64_t ports;		/* ports so far */
	bool watched;		/* an alarm is set: free_ended() will run */
} ended = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
};

static void free_ended(void *arg);

/* Lock held. Where no alarm can be set, the next caller tries again. */
static void
watch_ended(void)
{
	if (ended.first != NULL && !ended.watched)
		ended.watched = rte_eal_alarm_set(ENDED_US, free_ended, NULL) == 0;
}

static void
free_ended(void *arg)
{
	struct vnet_zc_ring **at;

	pthread_mutex_lock(&ended.lock);
	for (at = &ended.first; *at != NULL;) {
		struct vnet_zc_ring *zc = *at, *next = zc->next;

		if (vnet_zc_free(zc)) {
			*at = next;
		} else {
			at = &zc->next;
		}
	}
	ended.watched = false;
	watch_ended();
	pthread_mutex_unlock(&ended.lock);
}

static void
keep_ended(const struct vring_port *port, struct vnet_zc_ring *zc)
{
	zc->port = port->zc_watch.port;
	if (vnet_zc_free(zc))
		return;
	pthread_mutex_lock(&ended.lock);
	zc->next = ended.first;
	ended.first = zc;
	watch_ended();
	pthread_mutex_unlock(&ended.lock);
}

static bool
too_many_ended(const struct vring_port *port)
{
	unsigned int n = 0;

	pthread_mutex_lock(&ended.lock);
	watch_ended();
	for (const struct vnet_zc_ring *zc = ended.first; zc != NULL; zc = zc->next)
		n += zc->port == port->zc_watch.port;
	pthread_mutex_unlock(&ended.lock);
	return n >= MAX_ENDED;
}

/* Whether the port receives from the vring. */
static bool
is_rx_vring(uint16_t qid)
{
	return qid % 2 == vring_be_queue_ops.rx;
}

void
vring_be_zc_begin(struct vring_port *port, uint16_t qid, const struct virtq_ring *ring)
{
	struct vring_port_vring *vring = &port->vring[qid];
	struct vnet_zc_ring *zc = vring->cursor->owner;

	if (!port->args.zero_copy || ring == NULL || !is_rx_vring(qid))
		return;
	/*
	 * Not offered with zero-copy=1, but a guest may have it from elsewhere: then packets are
	 * copied, for one that the application keeps would stop the ring. Of a packed ring with
	 * in-flight tracking too: who returns its chains in order needs to note none of them.
	 */
	if ((ring->features & VIRTQ_BIT(VIRTIO_F_IN_ORDER)) ||
	    (ring->packed && virtq_dev_of(vring->cursor)->inflight != NULL))
		return;
	if (zc != NULL) {
		vnet_zc_remap(zc);
		return;
	}
	if (vring->ring != NULL || too_many_ended(port) || vnet_zc_new(ring, &zc) != 0)
		return;
	vring->cursor->owner = zc;
	if (port->zc_watch.timer.at_ns == 0)
		evloop_timer_set(port->loop, &port->zc_watch.timer, ZC_WATCH_MS);
}

/* Give the application time to free its packets: at most a tenth of the thread's time. */
static void
wait_for_packets(const struct vnet_zc_ring *zc)
{
	/* One control thread serves all ports with zero-copy. */
	static uint64_t until_ns, again_ns;
	const struct timespec pause = { .tv_nsec = 200000 };

	if (vnet_zc_attached(zc) == 0)
		return;
	if (evloop_now_ns() >= again_ns) {
		until_ns = evloop_now_ns() + WAIT_MS * 1000000ull;
		again_ns = evloop_now_ns() + WAIT_AGAIN_MS * 1000000ull;
	}
	while (vnet_zc_attached(zc) > 0 && evloop_now_ns() < until_ns)
		nanosleep(&pause, NULL);
}

static void
end_ring(struct vring_port *port, uint16_t qid, const struct virtq_ring *ring)
{
	struct virtq_cursor *cursor = port->vring[qid].cursor;
	struct vnet_zc_ring *zc = cursor->owner;
	uint32_t out;

	wait_for_packets(zc);
	out = vnet_zc_attached(zc);
	vnet_zc_end(zc, virtq_dev_of(cursor), ring);
	keep_ended(port, zc);
	if (out == 0 || evloop_now_ns() < port->zc_watch.quiet_until_ns)
		return;
	port->zc_watch.quiet_until_ns = evloop_now_ns() + WAIT_AGAIN_MS * 1000000ull;
	VRING_LOG(NOTICE, port->name, "vring %u ended while the application holds %u packets of "
		  "it: what these contain may change from now on", qid, out);
}

void
vring_be_zc_follow(struct vring_port *port, uint16_t qid, const struct virtq_ring *old)
{
	const struct vring_port_vring *vring = &port->vring[qid];

	if (vring->cursor->owner == NULL)
		return;
	if (vring->ring == NULL)
		end_ring(port, qid, old);
	else
		vnet_zc_remapped(vring->cursor->owner, vring->ring->mem);
}

static void
reclaim_unpolled(struct vring_port *port)
{
	vring_publish_withdraw(port);
	for (unsigned int qid = 0; qid < 2u * port->vring_pairs; qid++) {
		const struct vring_port_vring *vring = &port->vring[qid];

		if (vring->cursor->owner != NULL)
			vnet_zc_reclaim(vring->cursor->owner, virtq_dev_of(vring->cursor),
					vring->ring);
	}
	vring_publish(port);
}

/* Returns the chains of freed packets of queues that are stopped or not polled. */
static void
watch_unpolled(struct evloop_timer *timer)
{
	struct vring_port *port = timer->owner;
	bool any = false, neglected = false;

	for (unsigned int qid = 0; qid < 2u * port->vring_pairs; qid++) {
		struct vnet_zc_ring *zc = port->vring[qid].cursor->owner;

		if (zc == NULL)
			continue;
		any = true;
		neglected |= vnet_zc_unpolled(zc);
		vnet_zc_put_mems(zc);
	}
	if (neglected)
		reclaim_unpolled(port);
	if (any)
		evloop_timer_set(port->loop, timer, ZC_WATCH_MS);
}

void
vring_be_zc_open(struct vring_port *port)
{
	port->zc_watch.timer.expired = watch_unpolled;
	port->zc_watch.timer.owner = port;
	pthread_mutex_lock(&ended.lock);
	port->zc_watch.port = ++ended.ports;
	pthread_mutex_unlock(&ended.lock);
}

void
vring_be_zc_close(struct vring_port *port)
{
	evloop_timer_cancel(&port->zc_watch.timer);
}
