/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Events for the application. Its call-backs may take any time and any lock, including one that
 * another of its threads holds while that thread waits for the control thread; so they run where
 * applications expect them, in EAL's interrupt thread.
 *
 * That other thread may also be closing the port, which must not wait for a call-back without end.
 * So what EAL's alarm is given outlives the port: a record on the heap, which its last user frees.
 */

#include "vring_event.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include <rte_alarm.h>

#include "evloop.h"
#include "vring_log.h"

/* A peer that changes its mind all the time keeps call-backs no busier than this. */
#define EVENT_US 50000
/* Longest that a close waits for a call-back: one that waits for the closer never returns. */
#define DELIVERY_MS 1000

struct vring_event {
	struct vring_port *port;	/* NULL: closed */
	unsigned int users;		/* the port; an alarm, until it has been served */
	uint32_t events;		/* that are not delivered yet */
	uint64_t last_ns;		/* when events were last delivered; 0: never */
	bool armed;			/* an alarm is set, and its call has not begun */
	bool delivering;		/* call-backs run, in `thread` */
	pthread_t thread;
};

/* Of all records, which are used seldom and briefly. No call-back runs under it. */
static pthread_mutex_t event_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t event_delivered;

RTE_INIT(vring_event_init)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&event_delivered, &attr);
	pthread_condattr_destroy(&attr);
}

static void
call_back(struct rte_eth_dev *dev, const struct vring_port *port, uint32_t events)
{
	if ((events & VRING_EVENT_QUEUE) && dev->state == RTE_ETH_DEV_ATTACHED)
		rte_eth_dev_callback_process(dev, RTE_ETH_EVENT_QUEUE_STATE, NULL);
	/*
	 * A call-back may have removed the port, so that from here on the pointer is compared and
	 * not followed. The link event comes last, since applications act on it.
	 */
	if (!(events & VRING_EVENT_LINK) || dev->state != RTE_ETH_DEV_ATTACHED ||
	    dev->data->dev_private != port || !dev->data->dev_conf.intr_conf.lsc)
		return;
	rte_eth_dev_callback_process(dev, RTE_ETH_EVENT_INTR_LSC, NULL);
}

/* The lock is held, and released. */
static void
event_put(struct vring_event *e, unsigned int users)
{
	const bool last = (e->users -= users) == 0;

	pthread_mutex_unlock(&event_lock);
	if (last)
		free(e);
}

static void
event_deliver(void *arg)
{
	struct vring_event *e = arg;
	const struct vring_port *port;
	struct rte_eth_dev *dev;
	uint32_t events;

	pthread_mutex_lock(&event_lock);
	e->armed = false;
	port = e->port;
	if (port != NULL) {
		dev = port->dev;
		events = e->events;
		e->events = 0;
		e->last_ns = evloop_now_ns();
		e->delivering = true;
		e->thread = pthread_self();
		pthread_mutex_unlock(&event_lock);
		call_back(dev, port, events);
		pthread_mutex_lock(&event_lock);
		e->delivering = false;
		pthread_cond_broadcast(&event_delivered);
	}
	event_put(e, 1);
}

int
vring_event_open(struct vring_port *port)
{
	port->event = calloc(1, sizeof(*port->event));
	if (port->event == NULL)
		return -ENOMEM;
	port->event->port = port;
	port->event->users = 1;
	return 0;
}

/* What happens meanwhile is told with it. */
static uint64_t
delay_us(const struct vring_event *e)
{
	const uint64_t passed = (evloop_now_ns() - e->last_ns) / 1000;

	return e->last_ns == 0 || passed >= EVENT_US ? 1 : EVENT_US - passed;
}

void
vring_event_raise(struct vring_port *port, uint32_t events)
{
	struct vring_event *e = port->event;
	bool lost;

	pthread_mutex_lock(&event_lock);
	e->events |= events;
	/* Who sets the alarm has later events delivered as well. */
	if (!e->armed && rte_eal_alarm_set(delay_us(e), event_deliver, e) == 0) {
		e->armed = true;
		e->users++;
	}
	lost = !e->armed;
	if (lost)
		e->events = 0;
	pthread_mutex_unlock(&event_lock);
	if (lost)
		VRING_LOG(WARNING, port->name, "an event for the application is lost: no alarm");
}

/* Lock held. False: a call-back still runs, or is the caller. */
static bool
wait_delivered(struct vring_event *e)
{
	struct timespec end;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += DELIVERY_MS / 1000;
	while (e->delivering && rc == 0) {
		if (pthread_equal(e->thread, pthread_self()))
			return false;
		rc = pthread_cond_timedwait(&event_delivered, &event_lock, &end);
	}
	return !e->delivering;
}

void
vring_event_close(struct vring_port *port)
{
	struct vring_event *e = port->event;
	int alarms = 0;
	bool idle;

	if (e == NULL)
		return;
	port->event = NULL;
	pthread_mutex_lock(&event_lock);
	e->port = NULL;
	idle = wait_delivered(e);
	pthread_mutex_unlock(&event_lock);
	/* EAL waits for a call that has begun, which from here on calls nobody back. */
	if (idle)
		alarms = rte_eal_alarm_cancel(event_deliver, e);
	pthread_mutex_lock(&event_lock);
	event_put(e, alarms > 0 ? alarms + 1 : 1);
}
