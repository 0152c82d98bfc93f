/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For system tests beside other work: a thread of a stock application that polls and finds nothing
 * lets others have its processor for a moment, and for longer the longer it has found nothing. One
 * that waits for a time sleeps meanwhile. EAL loads it as a driver, -d idle-poll.so
 * --vdev idle_poll0, and it adds a call-back to each receive queue that there is.
 */
#include <unistd.h>

#include <bus_vdev_driver.h>
#include <ethdev_driver.h>
#include <rte_alarm.h>
#include <rte_cycles.h>

enum {
	POLLS = 256,		/* in vain, then the first sleep */
	BETWEEN = 32,		/* and then that many from one to the next */
	SLEEP_US = 100,		/* the first; each next one is twice as long */
	LONGEST_US = 10000,
	LOOK_US = 100000,	/* from one look for new queues to the next */
};

static uint16_t
rest(uint16_t port, uint16_t queue, struct rte_mbuf **pkts, uint16_t n, uint16_t max, void *arg)
{
	static __thread unsigned int polls, sleep_us = SLEEP_US;

	if (n > 0) {
		polls = 0;
		sleep_us = SLEEP_US;
	} else if (++polls >= POLLS) {
		polls = POLLS - BETWEEN;
		usleep(sleep_us);
		sleep_us = RTE_MIN(2 * sleep_us, (unsigned int)LONGEST_US);
	}
	return n;
}

static void
look_for_queues(void *arg)
{
	for (uint16_t port = 0; port < RTE_MAX_ETHPORTS; port++) {
		struct rte_eth_dev *dev = &rte_eth_devices[port];

		if (dev->state != RTE_ETH_DEV_ATTACHED || !dev->data->dev_started)
			continue;
		for (uint16_t queue = 0; queue < dev->data->nb_rx_queues; queue++)
			if (dev->post_rx_burst_cbs[queue] == NULL)
				rte_eth_add_rx_callback(port, queue, rest, NULL);
	}
	rte_eal_alarm_set(LOOK_US, look_for_queues, NULL);
}

static int
idle_probe(struct rte_vdev_device *vdev)
{
	rte_delay_us_callback_register(rte_delay_us_sleep);
	return rte_eal_alarm_set(LOOK_US, look_for_queues, NULL);
}

static int
idle_remove(struct rte_vdev_device *vdev)
{
	rte_eal_alarm_cancel(look_for_queues, NULL);
	rte_delay_us_callback_register(rte_delay_us_block);
	return 0;
}

static struct rte_vdev_driver idle_driver = {
	.probe = idle_probe,
	.remove = idle_remove,
};

RTE_PMD_REGISTER_VDEV(idle_poll, idle_driver);
