/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRING_XSTATS_H
#define VRING_XSTATS_H

#include <stdbool.h>
#include <stdint.h>

#include <ethdev_driver.h>

int vring_xstats_get(struct rte_eth_dev *dev, struct rte_eth_xstat *xstats, unsigned int n);
int vring_xstats_get_by_id(struct rte_eth_dev *dev, const uint64_t *ids, uint64_t *values,
			   unsigned int n);
int vring_xstats_get_names(struct rte_eth_dev *dev, struct rte_eth_xstat_name *names,
			   unsigned int n);
int vring_xstats_get_names_by_id(struct rte_eth_dev *dev, const uint64_t *ids,
				 struct rte_eth_xstat_name *names, unsigned int n);
/* Every counter of receive or transmit queue `id`, a pair's of the port, in the order of xstats. */
typedef void (*vring_xstats_fn)(void *ctx, const char *name, uint64_t value);
void vring_xstats_each(const struct rte_eth_dev *dev, bool tx, uint16_t id, vring_xstats_fn each,
		       void *ctx);

#endif /* VRING_XSTATS_H */
