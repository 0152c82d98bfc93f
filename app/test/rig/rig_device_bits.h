/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests: every ring that a driver of ours can have, and plain packets on it. */
#ifndef RIG_DEVICE_BITS_H
#define RIG_DEVICE_BITS_H

#include "rig_device_link.h"

/* What rings can differ in; all combinations are tried. */
static const uint64_t bits[] = {F_PACKED, F_V1, F_MRG, F_IN_ORDER, F_INDIRECT, F_EVENT_IDX};
#define COMBINATIONS (1u << 6)

uint64_t combination(uint32_t i);
struct rte_mbuf *mbuf_linear(uint32_t len, uint32_t seed);
void link_expect_packet(struct rte_mbuf *m, uint32_t len, uint32_t seed);
/* What one end has sent has to be what the other has received. */
void link_expect_stats(const struct link *l, uint64_t packets, uint64_t bytes);

#endif /* RIG_DEVICE_BITS_H */
