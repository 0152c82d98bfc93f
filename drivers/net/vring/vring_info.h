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
const char *vring_port_vring_state(const struct vring_port_vring *slot);
/* Packets, or buffers to fill, that wait in a ring that runs. Control thread. */
uint32_t vring_role_vring_waiting(const struct vring_port *port, unsigned int qid);
/* What the back-end says of itself: see struct vring_role. */
void vring_be_dump(struct vring_port *port, FILE *f);
void vring_be_status(struct vring_port *port, struct rte_tel_data *d);
void vring_be_memory(struct vring_port *port, struct rte_tel_data *d);

/* vring_telemetry.c: pieces that the roles put together. */
void vring_telemetry_hex(struct rte_tel_data *d, const char *name, uint64_t value);
void vring_telemetry_region(struct rte_tel_data *d, unsigned int i, uint64_t guest,
			    uint64_t frontend,
			    uint64_t bytes);

#endif /* VRING_INFO_H */
