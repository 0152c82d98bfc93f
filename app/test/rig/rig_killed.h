/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For tests: a device that is killed. A process does its work step by step, and the memory that it
 * leaves is noted after each of its instructions, for another device to take over from there.
 */
#ifndef RIG_KILLED_H
#define RIG_KILLED_H

#include "rig_guest_ring.h"

#define KILLED_STATES 600

/* One ring, and what the device keeps outside of itself. */
struct killed {
	struct guest_ring *t;
	uint8_t *kept;		/* shared with the process that is killed */
	size_t kept_bytes;
	struct rd driver;	/* as it was before */
	uint32_t n;
	struct {
		uint8_t *ring, *kept;
	} state[KILLED_STATES];
};

/* Memory of so many bytes, zeroed, that a killed process leaves behind; t's ring may be in use. */
void killed_open(struct killed *k, struct guest_ring *t, size_t kept_bytes);
void killed_close(struct killed *k);
/* Note the driver, then have fn(t, arg) done and each state of memory on the way noted. */
void killed_run(struct killed *k, void (*fn)(struct guest_ring *t, const void *arg),
		const void *arg);
/* Ring, driver and k->kept as the i-th state has them. The device is to be placed. */
void killed_restore(struct killed *k, uint32_t i);
/* Chains of one to `pieces` pieces, as many as there is room for. */
void killed_fill(struct guest_ring *t, uint32_t pieces, bool write, uint64_t *x, uint64_t *cookie);

#endif /* RIG_KILLED_H */
