/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A machine with NUMA nodes that a test makes up: where a guest's memory is, where a port takes its
 * own, on which node the lcore is. Time passes faster there.
 */
#ifndef RIG_NODES_H
#define RIG_NODES_H

#include <stdint.h>

#define RIG_NODES_HURRY 20	/* times faster than it is */
#define RIG_NODES_HURRY_MORE 200 /* what takes this long: */
#define RIG_NODES_LONG_MS 30000

/* Atomic. */
struct rig_nodes {
	int guest, lcore, empty; /* nodes; -1: none. `empty`: no memory there */
	int last;		/* of the kernel */
	int eal;		/* how many EAL has, from node 0 on */
	unsigned int questions;	/* to bursts, where they run */
	unsigned int naps;	/* long times between two of them */
};

extern struct rig_nodes rig_nodes;

/* Of a kind of memory: how often it was taken since the last look, and on which node at last. */
struct rig_nodes_taken {
	const char *type;
	unsigned int times;
	int node;
};

#define RIG_NODES_TAKEN 6
extern struct rig_nodes_taken rig_nodes_taken[RIG_NODES_TAKEN];

#endif /* RIG_NODES_H */
