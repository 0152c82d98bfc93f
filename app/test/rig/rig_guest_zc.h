/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests: a guest's ring whose packets are attached rather than copied. */
#ifndef RIG_GUEST_ZC_H
#define RIG_GUEST_ZC_H

#include "rig_guest_net.h"

#include <time.h>

#include "vnet_zc.h"

#define MIN 256u

static const uint64_t rings[] = {
	F_V1 | F_INDIRECT,
	F_V1 | F_INDIRECT | F_CSUM,
	F_INDIRECT,
	F_V1 | F_INDIRECT | F_PACKED,
	F_V1 | F_INDIRECT | F_PACKED | F_CSUM,
	F_INDIRECT | F_PACKED,
};

#define NRINGS (sizeof(rings) / sizeof(rings[0]))

void zc_open(struct port *p, uint16_t size, uint64_t features, uint32_t bytes, uint32_t flags);
/* No packet is out any more. */
void zc_close(struct port *p);
bool send_frame(struct port *p, uint32_t len, uint32_t seed, const struct layout *l);
bool is_attached(const struct port *p, const struct rte_mbuf *m);
void expect_packet(const struct port *p, struct rte_mbuf *m, uint32_t len, uint32_t seed,
		   bool attached);
/* One poll; nothing is expected. */
void poll_nothing(struct port *p);
/* Longer than a chain waits for older ones. */
void poll_late(struct port *p);

#endif /* RIG_GUEST_ZC_H */
