/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For tests of offloads: frames of any kind, most of them nearly right, and what a checksum over
 * them is, computed in the plainest way.
 */
#ifndef RIG_GUEST_ANY_H
#define RIG_GUEST_ANY_H

#include "rig_guest_net.h"

#define ANY_MIN 14u
#define ANY_MAX 1600u

struct any {
	uint8_t data[ANY_MAX + 1];
	uint32_t len;
	uint16_t l2_len, l3_len; /* as an application would say; may reach beyond the frame */
	bool v6, udp;
};

/* One of n, the first for most of the time. */
uint32_t any_of(uint64_t *x, uint32_t n);
/* TCP or UDP over IPv4 or IPv6, in which one thing or the other is often unusual. */
void any_frame(struct any *f, uint32_t len, uint64_t *x);
/* Where the checksum lies in the L4 header. */
uint16_t any_field(bool udp);
/* The checksum of bytes, the last one padded with 0, as it stands in a packet. RFC 1071 */
uint16_t plain_csum(const uint8_t *data, uint32_t len);

#endif /* RIG_GUEST_ANY_H */
