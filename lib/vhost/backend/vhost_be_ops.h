/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a back-end session and its owner know of each other: the calls that the session makes to the
 * owner, and the counters that the owner reads.
 */
#ifndef VHOST_BE_OPS_H
#define VHOST_BE_OPS_H

#include <stdbool.h>
#include <stdint.h>

#include "vhost_log.h"
#include "virtq_ring.h"

/* All are needed. None may free the session. */
struct vhost_be_ops {
	/*
	 * Hand a ring to the bursts. ring == NULL: the vring has stopped. When this returns, no
	 * burst uses the former ring any more, and the vring's position may be read or set. The
	 * session keeps the ring.
	 */
	void (*ring_publish)(void *ctx, uint16_t qid, const struct virtq_ring *ring);
	/*
	 * The same for several rings at the price of one barrier (a memory table changed).
	 * rings[i] belongs to vring i. There are n of them, all vrings of the device.
	 */
	void (*rings_publish)(void *ctx, const struct virtq_ring *const *rings, uint16_t n);
	/*
	 * As ring_publish() of NULL, but the vring is about to go on: its own addresses are being
	 * asked for. Another call of ring_publish() or rings_publish() tells what became of it.
	 */
	void (*ring_pause)(void *ctx, uint16_t qid);
	/* When this returns, each burst that had begun before has ended. */
	void (*quiesce)(void *ctx);
	/* The front-end's memory has changed: so many regions, bytes in all. */
	void (*memory)(void *ctx, uint32_t regions, uint64_t bytes);
	/* Addresses that bursts have missed may be known by now. */
	void (*translated)(void *ctx);
	/* A front-end came (why == NULL) or went; why is a short static text. */
	void (*connected)(void *ctx, bool up, const char *why);
	/* Features were negotiated or changed, or reset to 0. */
	void (*features)(void *ctx, uint64_t features, uint64_t protocol_features);
	/* NET_SET_MTU, already checked (68..65535). 0 or -errno (refused). */
	int (*set_mtu)(void *ctx, uint16_t mtu);
	/* SEND_RARP: announce this address on the application's side. */
	void (*rarp)(void *ctx, const uint8_t mac[6]);
	/* One line about this session, without the port's name and without a newline. */
	void (*log)(void *ctx, enum vhost_log_level level, const char *text);
};

/* Counters and state for statistics and telemetry. Plain words written by the loop's thread. */
struct vhost_be_info {
	bool connected;
	uint64_t features, protocol_features;
	uint64_t messages, nacks, framing_errors;
	uint64_t connects, disconnects;
	uint64_t connected_since_ns;	/* CLOCK_MONOTONIC */
	const char *last_disconnect;	/* static text, "" before the first */
	uint32_t nregions;
	uint32_t iotlb_ranges;		/* that the front-end's IOMMU has told of */
	uint64_t iotlb_misses, iotlb_updates, iotlb_invalidations;
	bool mem_sealed;	/* there is memory, in files that no peer can cut short */
	uint8_t status;			/* virtio device status as SET_STATUS gave it */
};

#endif /* VHOST_BE_OPS_H */
