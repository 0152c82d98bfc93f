/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For tests of offloads: packets of several protocols, in one buffer that both sides' tests start
 * from, with checksums that are right or left to someone else.
 */
#ifndef RIG_GUEST_PACKETS_H
#define RIG_GUEST_PACKETS_H

#include "rig_guest_net.h"

extern struct frame frame;

/* What a test packet is made of. */
struct pkt {
	bool v6, udp, vlan;	/* vlan: a tag inside the frame */
	uint32_t payload;
	uint8_t tcp_flags;
};

extern uint8_t bytes[FRAME_MAX];
extern uint32_t bytes_len, l2_len, l3_len, l4_len;

/* The pieces of it that tests look at. */
struct rte_ipv4_hdr *ip4(void *data);
struct rte_ipv6_hdr *ip6(void *data);
void *l4(void *data);
uint16_t *csum_field(void *data, bool udp);
uint16_t csum_offset(bool udp);
/* A packet in `bytes`, its checksums all right. */
void build(const struct pkt *k);
/* With a pseudo-header's sum in its place; `tso`: without the length, as ethdev has it. */
void partial_csum(const struct pkt *k, bool tso);
/* Checksums of a frame, which l2_len and l3_len describe. */
void expect_good_csum(uint8_t *data, bool v6);

static const struct pkt kinds[] = {
	{.payload = 1},
	{.payload = 1000},
	{.payload = 1001, .vlan = true},
	{.payload = 999, .v6 = true},
	{.payload = 1, .udp = true},
	{.payload = 0, .udp = true},
	{.payload = 777, .udp = true, .v6 = true, .vlan = true},
	{.payload = 8000},
	{.payload = 8001, .udp = true},
};

#define NKINDS (sizeof(kinds) / sizeof(kinds[0]))

#endif /* RIG_GUEST_PACKETS_H */
