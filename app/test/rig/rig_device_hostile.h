/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests: devices that lie to a driver, between its bursts and during them. */
#ifndef RIG_DEVICE_HOSTILE_H
#define RIG_DEVICE_HOSTILE_H

#include "rig_device_link.h"

#include <pthread.h>

#define SIZE 16

/* Each test is tried on all of these. */
static const uint64_t rings[] = {
	F_V1,
	F_V1 | F_MRG,
	0,
	F_V1 | F_PACKED,
	F_V1 | F_MRG | F_PACKED,
	F_PACKED,
	F_V1 | F_IN_ORDER,
	F_V1 | F_MRG | F_IN_ORDER,
	F_V1 | F_PACKED | F_IN_ORDER,
	F_V1 | F_MRG | F_PACKED | F_IN_ORDER,
	F_V1 | F_HASH_REPORT,
	F_V1 | F_MRG | F_HASH_REPORT,
	F_V1 | F_PACKED | F_HASH_REPORT,
	F_V1 | F_MRG | F_PACKED | F_HASH_REPORT,
	F_V1 | F_IN_ORDER | F_HASH_REPORT,
	F_V1 | F_MRG | F_PACKED | F_IN_ORDER | F_HASH_REPORT,
	F_V1 | F_MRG | F_ORDER,
	F_V1 | F_IN_ORDER | F_ORDER,
	F_V1 | F_MRG | F_PACKED | F_ORDER,
	F_V1 | F_PACKED | F_IN_ORDER | F_ORDER,
};

#define NRINGS (sizeof(rings) / sizeof(rings[0]))

/* The ring broke for this reason, once, and stays so. */
void expect_broken(struct link *l, enum virtq_error e);
/* Anything anywhere in the ring's memory, that of tables and headers included. */
void scribble_word(struct link *l, uint64_t at, uint64_t v);
/* A used entry that might be true; packed: `used` as far as its flags are concerned. */
void scribble_used(struct link *l, uint32_t slot, uint16_t id, uint32_t len, bool used);
/* What a hostile device might write next. */
void scribble(struct link *l, uint64_t *x);
/* Start again where the ring is broken, or has stood still for long. */
void restart(struct link *l, uint16_t size, uint64_t features);
void burst(struct link *l, uint64_t *x);
/* Random writes between bursts: the same in every run. */
void scribbled(uint64_t features, bool receive, uint16_t size);

/* The same from another thread, between any two loads of the driver. */
struct mutator {
	struct link *l;
	struct virtq_ring ring;	/* a copy: the rings stay where they are */
	bool stop;
};

void *mutate(void *arg);
void mutated(uint64_t features, bool receive);

#endif /* RIG_DEVICE_HOSTILE_H */
