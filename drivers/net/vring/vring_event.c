/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Events for the application. Its call-backs may take any time and any lock, including one that
 * another of its threads holds while that thread waits for the control thread; so they run where
 * applications expect them, in EAL's interrupt thread.
 */

#include <rte_alarm.h>

#include "evloop.h"
#include "vring_event.h"
#include "vring_log.h"

/* A peer that changes its mind all the time keeps call-backs no busier than this. */
#define EVENT_US 50000

static void
event_deliver(void *arg)
{
	struct vring_port *port = arg;
	struct rte_eth_dev *dev = port->dev;
	uint32_t events;

	__atomic_store_n(&port->events_ns, evloop_now_ns(), __ATOMIC_RELAXED);
	events = __atomic_exchange_n(&port->events, 0, __ATOMIC_ACQ_REL);

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

/* What happens meanwhile is told with it. */
static uint64_t
delay_us(const struct vring_port *port)
{
	const uint64_t last = __atomic_load_n(&port->events_ns, __ATOMIC_RELAXED);
	const uint64_t passed = (evloop_now_ns() - last) / 1000;

	return last == 0 || passed >= EVENT_US ? 1 : EVENT_US - passed;
}

void
vring_event_raise(struct vring_port *port, uint32_t events)
{
	/* Who makes the word non-zero sets the alarm, which delivers later events as well. */
	if (__atomic_fetch_or(&port->events, events, __ATOMIC_ACQ_REL) != 0)
		return;
	if (rte_eal_alarm_set(delay_us(port), event_deliver, port) != 0) {
		__atomic_store_n(&port->events, 0, __ATOMIC_RELEASE);
		VRING_LOG(WARNING, port->name, "an event for the application is lost: no alarm");
	}
}

void
vring_event_cancel(struct vring_port *port)
{
	rte_eal_alarm_cancel(event_deliver, port);
}
