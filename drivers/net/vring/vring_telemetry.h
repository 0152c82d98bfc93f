/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pieces of telemetry's answers that the roles put together.
 */
#ifndef VRING_TELEMETRY_H
#define VRING_TELEMETRY_H

#include <stdint.h>

struct rte_tel_data;

void vring_telemetry_hex(struct rte_tel_data *d, const char *name, uint64_t value);
/* Milliseconds since then; 0: never. */
void vring_telemetry_age(struct rte_tel_data *d, const char *name, uint64_t since_ns);
/* Region i of memory: addresses of the guest and of the front-end, length in bytes. */
void vring_telemetry_region(struct rte_tel_data *d, unsigned int i, uint64_t guest,
			    uint64_t frontend, uint64_t bytes);

#endif /* VRING_TELEMETRY_H */
