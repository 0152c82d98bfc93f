/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A back-end session and a front-end that speaks to it, in one thread: what the front-end sends
 * is served by pump(), and then the answer, if any, is there.
 *
 * Every test that uses rig_setup() and rig_teardown() also fails when it leaks a descriptor.
 */
#ifndef RIG_FRONTEND_H
#define RIG_FRONTEND_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_net.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "vhost_be.h"
#include "vhost_be_session.h"
#include "evloop_close.h"
#include "virtq_dev.h"

#define RIG_PAIRS 2
#define RIG_RINGS (2 * RIG_PAIRS)
#define RIG_SIZE 256			/* entries of a ring */
#define RIG_GPA 0x100000ull
#define RIG_UVA 0x7f0000000000ull	/* where the front-end says its memory is */
#define RIG_MEM 0x200000ull		/* bytes */
#define RIG_STRIDE 0x4000ull		/* from ring to ring in that memory */

/* Device features of a port that has everything. */
#define RIG_FEATURES \
	(VIRTQ_BIT(VIRTIO_F_VERSION_1) | VIRTQ_BIT(VIRTIO_RING_F_EVENT_IDX) | \
	 VIRTQ_BIT(VIRTIO_F_RING_PACKED) | VIRTQ_BIT(VIRTIO_NET_F_MRG_RXBUF) | \
	 VIRTQ_BIT(VIRTIO_NET_F_MQ) | VIRTQ_BIT(VHOST_F_LOG_ALL))
#define RIG_ACKED \
	(VIRTQ_BIT(VIRTIO_F_VERSION_1) | VIRTQ_BIT(VIRTIO_NET_F_MRG_RXBUF) | \
	 VIRTQ_BIT(VHOST_USER_F_PROTOCOL_FEATURES))

#define NEED VHU_FLAG_NEED_REPLY

/* What comes back after a message. */
enum outcome {
	SILENCE,	/* nothing, the connection lives */
	ACK,		/* a u64 of 0 */
	NACK,		/* a u64 that is not 0 */
	ANSWER,		/* something else */
	CLOSED,
};

struct rig {
	int fds_before;			/* -1: do not compare */
	char dir[32], path[64];
	struct evloop *loop;
	pthread_t thread;		/* serves it, if served */
	bool served;
	struct vhost_be *be;
	struct virtq_dev *vq[RIG_RINGS];
	int fe;				/* the front-end's end, -1: not connected */
	int memfd;
	uint8_t *mem;			/* the same memory, as the front-end sees it */
	int call[RIG_RINGS];		/* what the front-end gave with SET_VRING_CALL */

	/* What the session told its owner. */
	const struct virtq_ring *ring[RIG_RINGS];
	unsigned int publishes, many_publishes, quiesces, pauses, translations;
	unsigned int ups, downs;
	const char *why;
	uint64_t features, protocol;
	unsigned int rarps;
	uint32_t regions;	/* of memory, as the session said last */
	uint64_t bytes;
	uint8_t mac[6];
	uint16_t mtu;
	int mtu_result;
	char log[8192];
};

/* What was received and is of no use is closed a moment later. */
void wait_for_closing(void);
int open_fds(void);
/* Serve until nothing moves any more. */
void pump(struct rig *rig);
struct vhost_be_config rig_config(struct rig *rig);
void rig_listen(struct rig *rig);
int connect_to(const char *path);
void rig_disconnect(struct rig *rig);
void rig_connect(struct rig *rig);
/* A ring and its memory are there: a burst may use it until it is told to let go. NULL: nothing. */
void rig_touch(const struct virtq_ring *ring);
/* Instead of pump(): a thread serves the back-end until rig_teardown(). */
void rig_serve(struct rig *rig);
/* Served so: run in that thread, with the back-end's state at rest. */
void in_back_end(struct rig *rig, void (*fn)(struct rig *rig));
/* A back-end that connects, and makes haste to do so again. */
void rig_connect_back(struct rig *rig);
/* Serve a front-end's loop until it has counted so far. */
void step_until(struct evloop *loop, const unsigned int *counter, unsigned int value);
/* No session yet. */
int rig_setup_bare(void **state);
/* A session that listens, and a front-end that has connected and said nothing. */
int rig_setup(void **state);
int rig_teardown(void **state);
/* One sendmsg() of header and payload, with fds. False: not all of it was taken. */
bool fe_try_send(int fd, uint32_t request, uint32_t flags, const void *payload, uint32_t size,
		 const int *fds, uint32_t nfds);
void fe_send_on(int fd, uint32_t request, uint32_t flags, const void *payload, uint32_t size,
		const int *fds, uint32_t nfds);
/* What is there to be read now; what was answered is in *m, with an fd that is the caller's. */
enum outcome fe_outcome(struct rig *rig, uint32_t request, struct vhu_msg *m);
/* Send, serve, and say what came back. */
enum outcome fe_talk(struct rig *rig, uint32_t request, uint32_t flags, const void *payload,
		     uint32_t size, const int *fds, uint32_t nfds, struct vhu_msg *m);
enum outcome fe_u64(struct rig *rig, uint32_t request, uint64_t value);
enum outcome fe_empty(struct rig *rig, uint32_t request);
enum outcome fe_state(struct rig *rig, uint32_t request, uint32_t index, uint32_t num);
enum outcome fe_fd(struct rig *rig, uint32_t request, uint64_t word, int fd);
/* A request without payload that is answered with a u64. */
uint64_t fe_get(struct rig *rig, uint32_t request);
uint32_t fe_get_base(struct rig *rig, uint32_t index);
struct vhu_vring_addr rig_addr(uint32_t index);
enum outcome fe_addr(struct rig *rig, const struct vhu_vring_addr *a);
struct vhu_mem_table rig_table(void);
enum outcome fe_table(struct rig *rig, const struct vhu_mem_table *t, uint32_t nfds);
enum outcome fe_region(struct rig *rig, uint32_t request, uint64_t gpa, uint64_t uva, uint64_t size,
		       uint64_t offset);
/* Owner and features, as a front-end begins. */
void fe_negotiate(struct rig *rig, uint64_t features, uint64_t protocol);
void fe_ring(struct rig *rig, uint32_t i);
/* A session whose first two rings run and are enabled. */
void fe_start(struct rig *rig);
/* Signals that wait in an eventfd. */
uint64_t signals(int fd);

#define RIG_TEST(fn) cmocka_unit_test_setup_teardown(fn, rig_setup, rig_teardown)
#define BARE_TEST(fn) cmocka_unit_test_setup_teardown(fn, rig_setup_bare, rig_teardown)

/* Try to make a session; the result, and the one line about it. */
int try_new(struct rig *rig, const struct vhost_be_config *cfg, char err[200]);
/* A listening socket of somebody else's. */
int listen_at(const char *path);

/* Wait for something to become true, serving the loop meanwhile. False: it took too long. */
#define WAIT(rig, condition, ms) \
	do { \
		uint64_t until = evloop_now_ns() + (ms) * 1000000ull; \
		while (!(condition) && evloop_now_ns() < until) \
			evloop_step((rig)->loop, 10); \
		assert_true(condition); \
	} while (0)

#endif /* RIG_FRONTEND_H */
