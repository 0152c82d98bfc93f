/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Events for the application. Its call-backs may take any time and any lock, including one that
 * another of its threads holds while that thread waits for the control thread; so they run where
 * applications expect them, in EAL's interrupt thread.
 */

#include <rte_alarm.h>

#include "vring_event.h"
#include "vring_log.h"

static void
event_deliver(void *arg)
{
	struct vring_port *port = arg;
	struct rte_eth_dev *dev = port->dev;
	uint32_t events = __atomic_exchange_n(&port->events, 0, __ATOMIC_ACQ_REL);

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

void
vring_event_raise(struct vring_port *port, uint32_t events)
{
	/* Who makes the word non-zero sets the alarm, which delivers later events as well. */
	if (__atomic_fetch_or(&port->events, events, __ATOMIC_ACQ_REL) != 0)
		return;
	if (rte_eal_alarm_set(1, event_deliver, port) != 0) {
		__atomic_store_n(&port->events, 0, __ATOMIC_RELEASE);
		VRING_LOG(WARNING, port->name, "an event for the application is lost: no alarm");
	}
}

void
vring_event_cancel(struct vring_port *port)
{
	rte_eal_alarm_cancel(event_deliver, port);
}
