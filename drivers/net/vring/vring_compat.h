/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What differs between the releases of DPDK that the driver is built for, 22.11 and later. This and
 * vnet_compat.h are all that asks for the release. The rest is written for the newest.
 */
#ifndef VRING_COMPAT_H
#define VRING_COMPAT_H

#include <stddef.h>
#include <stdint.h>

#include <ethdev_driver.h>
#include <rte_lcore.h>
#include <rte_telemetry.h>
#include <rte_thread.h>

#include "vnet_compat.h"

#define VRING_COMPAT_BEFORE VNET_COMPAT_BEFORE

#if VRING_COMPAT_BEFORE(23, 3)
#define rte_tel_data_add_dict_uint rte_tel_data_add_dict_u64
#endif

/* A control thread; 0 or negative errno. Its function returns 0. */
#if VRING_COMPAT_BEFORE(23, 11)
typedef void *vring_compat_ret;

static inline int
vring_compat_thread(rte_thread_t *thread, const char *name, vring_compat_ret (*fn)(void *),
		    void *arg)
{
	pthread_t id = 0;
	int rc = rte_ctrl_thread_create(&id, name, NULL, fn, arg);

	thread->opaque_id = (uintptr_t)id;
	return rc;
}
#else
typedef uint32_t vring_compat_ret;
#define vring_compat_thread rte_thread_create_control
#endif

/*
 * dev_supported_ptypes_get, made of a function that counts them as well. Earlier releases read up
 * to RTE_PTYPE_UNKNOWN.
 */
#if VRING_COMPAT_BEFORE(24, 3)
#define VRING_COMPAT_PTYPES_GET(name, get) \
	static const uint32_t * \
	name(struct rte_eth_dev *dev) \
	{ \
		size_t n; \
\
		return get(dev, &n); \
	}
#else
#define VRING_COMPAT_PTYPES_GET(name, get) \
	static const uint32_t * \
	name(struct rte_eth_dev *dev, size_t *n) \
	{ \
		return get(dev, n); \
	}
#endif

/* What rx_queue_count returns. */
#if VRING_COMPAT_BEFORE(25, 11)
typedef uint32_t vring_compat_count;
#else
typedef int vring_compat_count;
#endif

/* Earlier releases do not ask how many descriptors of a transmit queue are in use. */
static inline void
vring_compat_set_tx_count(struct rte_eth_dev *dev, int (*count)(void *txq))
{
#if !VRING_COMPAT_BEFORE(24, 3)
	dev->tx_queue_count = count;
#endif
}

/* stats_get, likewise. Counters of queues were among the others. */
#if VRING_COMPAT_BEFORE(25, 11)
#define vring_compat_queue_stats rte_eth_stats
#define VRING_COMPAT_STATS_GET(name, get) \
	static int \
	name(struct rte_eth_dev *dev, struct rte_eth_stats *stats) \
	{ \
		return get(dev, stats, stats); \
	}
#else
#define vring_compat_queue_stats eth_queue_stats
#define VRING_COMPAT_STATS_GET(name, get) \
	static int \
	name(struct rte_eth_dev *dev, struct rte_eth_stats *stats, \
	     struct eth_queue_stats *queues) \
	{ \
		return get(dev, stats, queues); \
	}
#endif

/* What pmdinfogen looks for. */
#if VRING_COMPAT_BEFORE(25, 7)
#define VRING_COMPAT_EXPORT_NAME(name) RTE_PMD_EXPORT_NAME(name, __COUNTER__)
#else
#define VRING_COMPAT_EXPORT_NAME(name) RTE_PMD_EXPORT_NAME(name)
#endif

/*
 * Applications that enable TCP_TSO take merged packets with Tx flags for what they are: Open
 * vSwitch up to 3.5, which asks for nothing on receive. From 3.6 on it drops what has Tx flags.
 * Those releases need DPDK 24.11.
 */
#define VRING_COMPAT_READS_TX_FLAGS VRING_COMPAT_BEFORE(24, 11)

#endif /* VRING_COMPAT_H */
