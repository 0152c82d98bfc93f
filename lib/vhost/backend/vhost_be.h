/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vhost-user back-end session: one socket, at most one front-end at a time.
 *
 * The session owns the sockets, the memory snapshot, every ring's configuration and fds. Its
 * owner (the driver) owns the cursors of the rings and hands rings to the bursts. All calls and
 * call-backs happen in the loop's thread, except where said otherwise.
 */
#ifndef VHOST_BE_H
#define VHOST_BE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "evloop.h"
#include "vhost_be_ops.h"

struct virtq_dev;

#define VHOST_BE_MAX_PAIRS 128	/* the index of a ring's fds has eight bits */

struct vhost_be;

struct vhost_be_config {
	const char *path;	/* socket; copied */
	bool client;		/* connect to a listening front-end instead of listening */
	uint32_t reconnect_ms;	/* client: first delay between attempts, 0: 100; doubles up to
				 * 1000, or stays if it is more */
	mode_t sock_mode;	/* server: permissions of the socket from creation on; 0: umask's */
	gid_t sock_gid;		/* server; (gid_t)-1: leave */
	uint64_t features;	/* device features offered; the session adds bit 30 and
				 * LOG_ALL. It serves an IOMMU only if ACCESS_PLATFORM is among
				 * them from the start */
	uint64_t tolerated;	/* not offered, but taken from a front-end that has them: what is
				 * between it and its guest */
	uint64_t fallback;	/* not offered at first, but taken: what a guest may have
				 * acknowledged elsewhere. Offered once a front-end has left as soon
				 * as it knew the offer */
	uint64_t protocol_features; /* offered; only bits that the session serves are kept */
	uint16_t max_pairs;	/* queue pairs, 1..VHOST_BE_MAX_PAIRS; GET_QUEUE_NUM answers this */
	bool sealed;		/* refuse memory in files that a peer can cut short */
	bool iommu_keeps;	/* front-ends tell of each translation that they take away */
	const char *state;	/* file for the positions of packed rings, copied; NULL: none */
	uint16_t mem_slots;	/* GET_MAX_MEM_SLOTS; brought into 256..VIRTQ_MEM_MAX_REGIONS */
	struct virtq_dev *const *vq; /* states of ring 0..2 * max_pairs - 1; they are the caller's,
				     * the array is copied */
	const struct vhost_be_ops *ops;
	void *ctx;
	struct evloop *loop;
};

/*
 * Make a session and begin to listen or to connect. A stale socket file is taken over; a live one
 * (-EADDRINUSE), a regular file (-EEXIST), a missing directory (-ENOENT), a path over 107 bytes
 * (-ENAMETOOLONG), no permission (-EACCES) are refused, and err receives one line that says so.
 * Connecting never waits and never fails for want of a peer.
 */
int vhost_be_new(const struct vhost_be_config *cfg, struct vhost_be **be, char *err, size_t errlen);
/* Disconnect, take all rings away, unlink the socket that this session made, free. */
void vhost_be_free(struct vhost_be *be);

/* Change what is offered from the next connection on. */
void vhost_be_offer(struct vhost_be *be, uint64_t features);
/* Any thread: a consistent enough copy. */
void vhost_be_get_info(const struct vhost_be *be, struct vhost_be_info *info);
/* A vring's ring as last published, or NULL. Loop thread. */
const struct virtq_ring *vhost_be_get_ring(const struct vhost_be *be, uint16_t qid);
/* The current memory snapshot, or NULL. Loop thread; take a reference to keep it. */
struct virtq_mem *vhost_be_get_mem(const struct vhost_be *be);
/*
 * The owner has moved the state of all rings, as they are, to these addresses. Loop thread, while
 * no burst holds a ring.
 */
void vhost_be_move(struct vhost_be *be, struct virtq_dev *const *vq);

#endif /* VHOST_BE_H */
