/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device on one end of a socket pair, and a back-end made to order on the other, in a thread of
 * its own. The back-end answers as it should, except for the requests that a test gave another act.
 *
 * Every test that uses mock_setup() and mock_teardown() also fails when it leaks a descriptor.
 */
#ifndef RIG_BACKEND_H
#define RIG_BACKEND_H

#include <pthread.h>
#include <sys/uio.h>
#include <time.h>

#include "vhost_dev.h"
#include "rig_frontend.h"

#define MOCK_LOG 4096
#define MOCK_FEATURES \
	(VIRTQ_BIT(VIRTIO_F_VERSION_1) | VIRTQ_BIT(VIRTIO_NET_F_MRG_RXBUF) | \
	 VIRTQ_BIT(VHOST_F_LOG_ALL) | VIRTQ_BIT(VIRTIO_NET_F_GUEST_ANNOUNCE) | \
	 VIRTQ_BIT(VIRTIO_F_ACCESS_PLATFORM) | VIRTQ_BIT(VHOST_USER_F_PROTOCOL_FEATURES))
/* The features that a driver of no ambition takes. */
#define MOCK_ACKED VIRTQ_BIT(VIRTIO_F_VERSION_1)
#define MOCK_WAIT_MS 100	/* for an answer, where there will be none */

/* What the back-end does with a request, instead of what it should. */
enum act {
	AS_IT_SHOULD,
	REFUSE,			/* a u64 of 1 where an answer is due */
	STAY_SILENT,
	HANG_UP,
	SAY_RAW,		/* mock.raw, whatever was asked */
	SAY_RAW_AND_FD,
	SAY_TWICE,		/* the right answer, two times */
	SAY_BYTEWISE,		/* the right answer, in pieces */
	SAY_HALF,		/* half of the right answer, then nothing */
	HALF_THEN_HANG_UP,
	ASK_FIRST,		/* mock.ask on the channel; its answer first, then ours */
	FLOOD_FIRST,		/* many requests on the channel before the answer */
};

/* A message that the back-end received. */
struct seen {
	struct vhu_hdr hdr;
	uint32_t nfds;
	ino_t ino;		/* of the first fd */
	union {
		uint64_t u64;
		struct vhu_vring_state state;
		struct vhu_vring_addr addr;
		struct vhu_mem_table table;
		struct vhu_mem_single single;
		struct vhu_log log;
		struct vhu_iotlb iotlb;
		struct vhu_config config;
		uint8_t raw[512];
	} VHU_PACKED;
};

struct mock {
	int fds_before;
	struct evloop *loop;
	struct vhost_dev dev;
	unsigned int configs, losts, notifiers; /* events */
	char lost_why[VHOST_WHY];
	bool close_when_lost;
	int memfd;
	uint8_t *mem;

	/* The back-end. What a test sets, it sets before it starts, or with `lock`. */
	int fd;				/* its end */
	pthread_t thread;
	bool running;
	uint64_t features, protocol, queue_num, slots;
	uint32_t base;
	uint32_t log_reply;		/* bytes of the answer to SET_LOG_BASE */
	enum act act[VHU_REQUEST_MAX];
	uint32_t rings;			/* that it has; 0: any */
	enum act beyond;		/* for requests about others */
	uint32_t delay_ms;		/* before each answer, or that to delay_request alone */
	uint32_t delay_request;
	int listen_fd;			/* -1: its front-end is `dev` */
	uint64_t left_ns;		/* when it closed its end last */
	uint32_t act_from;		/* the first so many of such a request are served well */
	uint8_t raw[8192];
	uint32_t raw_len;
	struct vhu_hdr ask;		/* for the channel */
	uint8_t ask_raw[256];		/* its payload */
	int ask_fd;			/* goes with it, -1: none */
	uint64_t acked;			/* protocol features */
	uint64_t status;
	int chan;			/* the channel, -1: none */
	struct vhu_hdr chan_hdr;	/* the last answer on it */
	uint64_t chan_u64;

	pthread_mutex_t lock;		/* the rest */
	struct seen *seen;
	uint32_t nseen;
};

void mock_write(int fd, const void *bytes, size_t len);
void mock_send_fd(int to, const void *bytes, size_t len, int fd);
extern const struct vhost_dev_events mock_events;
/* The back-end ends when its front-end is closed, or has ended already. */
void mock_stop(struct mock *m);
/* Connect, and begin to serve. */
void mock_start(struct mock *m);
/*
 * Serve whoever connects there, one after another, as long as mock_stop() is not called; `dev` is
 * not used.
 */
void mock_listen(struct mock *m, const char *path);
/* Who listens closes the connection. */
void mock_hang_up(struct mock *m);
/* A session that has negotiated this much and gone as far as SET_FEATURES. */
void mock_session(struct mock *m, uint64_t protocol);
/* Serve the loop until nothing moves any more. */
void mock_pump(struct mock *m);
/* Everything that was sent so far has been seen when this returns. */
void mock_settle(struct mock *m);
/* How often a request was seen. */
uint32_t mock_count(struct mock *m, uint32_t request);
/* The last one of a request; the test fails when there is none. */
struct seen mock_last(struct mock *m, uint32_t request);
/* Pages of the shared memory, alike for the device. */
struct vhost_region mock_region(struct mock *m, uint32_t page, uint32_t pages);
int mock_setup(void **state);
int mock_teardown(void **state);

#define MOCK_TEST(fn) cmocka_unit_test_setup_teardown(fn, mock_setup, mock_teardown)

#endif /* RIG_BACKEND_H */
