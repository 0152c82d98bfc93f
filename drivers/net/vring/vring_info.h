/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Words for people: features, states of rings.
 */
#ifndef VRING_INFO_H
#define VRING_INFO_H

#include "vhu_msg.h"
#include "vring.h"

/* The name of bit 0..63 as the specification spells it; "BIT_n", in buf, for one that has none. */
const char *vring_feature_name(unsigned int bit, char *buf, size_t size);
const char *vring_protocol_feature_name(unsigned int bit, char *buf, size_t size);
/* "enabled", "disabled", "broken" or "stopped". Control thread. */
const char *vring_ring_state(const struct vring_slot *slot);

#endif /* VRING_INFO_H */
