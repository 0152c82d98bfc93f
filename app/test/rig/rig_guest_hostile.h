/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests: a guest that writes descriptors as it likes, past its driver's bookkeeping. */
#ifndef RIG_GUEST_HOSTILE_H
#define RIG_GUEST_HOSTILE_H

#include "rig_guest_net.h"

uint64_t bytes_at(struct port *p);
/* A split descriptor that the driver's own bookkeeping will not touch, and its head. */
void split_desc(struct port *p, uint16_t i, uint64_t addr, uint32_t len, uint16_t flags,
		uint16_t next);
void split_head(struct port *p, uint16_t head);
void packed_desc(struct port *p, uint64_t addr, uint32_t len, uint16_t flags);

#endif /* RIG_GUEST_HOSTILE_H */
