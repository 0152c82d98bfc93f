/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A secondary process that asks ethdev for what it answers of queues without a look at the driver's
 * operations: queue-counts EAL... -- OFFSET. A line a queue, whose status is of the descriptor at
 * OFFSET.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_version.h>

static int
tx_count(uint16_t port, uint16_t queue)
{
#if RTE_VERSION >= RTE_VERSION_NUM(24, 3, 0, 0)
	return rte_eth_tx_queue_count(port, queue);
#else
	return -ENOTSUP;
#endif
}

static const char *
mode_of(int rc, const struct rte_eth_burst_mode *mode)
{
	return rc == 0 ? mode->info : "none";
}

static void
show_queues(uint16_t port, uint16_t offset)
{
	struct rte_eth_burst_mode mode;
	struct rte_eth_dev_info info;
	struct rte_mbuf *none = NULL;

	if (rte_eth_dev_info_get(port, &info) != 0)
		return;
	for (uint16_t q = 0; q < info.nb_rx_queues; q++) {
		int rc = rte_eth_rx_burst_mode_get(port, q, &mode);

		printf("port %u rx %u: count %d, status %d, burst %u, mode %s\n", port, q,
		       rte_eth_rx_queue_count(port, q),
		       rte_eth_rx_descriptor_status(port, q, offset),
		       rte_eth_rx_burst(port, q, &none, 1), mode_of(rc, &mode));
	}
	for (uint16_t q = 0; q < info.nb_tx_queues; q++) {
		int rc = rte_eth_tx_burst_mode_get(port, q, &mode);

		printf("port %u tx %u: count %d, status %d, burst %u, mode %s\n", port, q,
		       tx_count(port, q), rte_eth_tx_descriptor_status(port, q, offset),
		       rte_eth_tx_burst(port, q, &none, rte_eth_tx_prepare(port, q, &none, 0)),
		       mode_of(rc, &mode));
	}
}

int
main(int argc, char **argv)
{
	int used = rte_eal_init(argc, argv);
	uint16_t port;

	if (used < 0 || used + 1 >= argc)
		return 1;
	RTE_ETH_FOREACH_DEV(port)
		show_queues(port, (uint16_t)atoi(argv[used + 1]));
	return rte_eal_cleanup() != 0;
}
