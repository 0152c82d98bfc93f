/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A front-end's session in this thread, its owner, and a back-end to meet it: a session as well,
 * served by rig_serve(), or whoever else listens at rig->path. None has EAL.
 */
#ifndef RIG_PAIR_H
#define RIG_PAIR_H

#include "rig_frontend.h"
#include "vhost_fe.h"
#include "vhost_fe_session.h"

#define FE_MEM 0x100000u	/* bytes of the front-end's memory */
#define FE_ROOM 0x20000u	/* for each ring */
#define FE_SIZE 64u		/* entries of a ring */
#define FE_WANTED \
	(VIRTQ_BIT(VIRTIO_F_VERSION_1) | VIRTQ_BIT(VIRTIO_NET_F_MRG_RXBUF) | \
	 VIRTQ_BIT(VIRTIO_NET_F_MQ))

struct pair {
	struct rig *rig;		/* the back-end, if it is ours */
	struct evloop *loop;		/* the front-end's */
	struct vhost_fe *fe;
	struct virtq_drv *drv;		/* RIG_RINGS of them */
	uint8_t *mem;
	int memfd;

	/* What the front-end's owner is, and what it was told. */
	uint16_t queues;
	bool no_rings, no_memory;
	const struct virtq_ring *ring[RIG_RINGS];
	struct vhost_fe_limits limits;
	uint64_t features;
	unsigned int ups, downs, fills, drains, gives, stops, allocs, frees;
	uint64_t drained_ns;		/* the last time */
	bool carrier;
	char log[4096];
};

struct vhost_fe_config pair_config(struct pair *p);
int pair_setup(void **state);
int pair_teardown(void **state);
/* The front-end looks for a back-end from here on. */
void pair_open(struct pair *p, bool server);

#endif /* RIG_PAIR_H */
