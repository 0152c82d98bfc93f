/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside of a front-end session over vhost-user. Who does what:
 *
 *   vhost_user.c	the operations
 *   vhost_user_mem.c	memory tables and single regions
 *   vhost_user_io.c	requests and their answers; how a session ends
 *   vhost_user_chan.c	the back-end channel: requests of the back-end
 *   vhost_user_iotlb.c	IOTLB: what the back-end misses
 *   vhost_user_notifier.c	notifiers: pages that the back-end wants to be notified by
 */
#ifndef VHOST_USER_SESSION_H
#define VHOST_USER_SESSION_H

#include <sys/types.h>

#include "vhost_dev.h"
#include "vhu_conn.h"
#include "vhu_msg.h"
#include "virtq_mem.h"
#include "virtq_ring.h"

/* Pages that can be missed at a time; with more, whole regions are the answer. */
#define VHOST_USER_MISSED 1024
/*
 * With iotlb_pages, the back-end has each region a second time, so much further on, and every other
 * page is there.
 */
#define VHOST_USER_TWIN (1ull << 46)

/* A region that the back-end has, and the file that it came from. */
struct vhost_user_region {
	struct vhost_region r;
	bool missed;		/* the back-end has asked for an address in it */
	dev_t dev;
	ino_t ino;
};

/* A mapped notifier. */
struct vhost_user_page {
	struct virtq_map *map;		/* one reference; NULL: none */
	uint8_t *addr;
};

struct vhost_user_notifier {
	struct vhost_user_page offered;	/* the last page that the back-end offered for a ring */
	struct vhost_user_page mapped[2]; /* the owner uses them: the present and the former */
};

struct vhost_user {
	struct vhost_dev *dev;
	struct evloop_watch watch;		/* the main socket, fd -1: the session is over */
	int left;			/* the socket of a session that is over, -1: closed */
	struct vhu_codec_rx rx;		/* the answer that is waited for */
	struct vhu_codec_tx tx;
	struct vhu_conn chan;		/* requests of the back-end */
	struct evloop_timer soon;	/* reports to the owner, from the loop, what is pending */
	bool lost, config_changed;	/* pending */
	int error;			/* why the session is over, -errno */
	struct evloop_timer misses;	/* answers, from the loop, what the back-end misses */
	uint32_t nmissed;		/* single pages of that */
	uint64_t missed[VHOST_USER_MISSED]; /* their addresses */
	struct evloop_timer notifiers_changed;	/* reports to the owner that some came or went */
	struct vhost_user_notifier notifier[VHOST_MAX_VRINGS];

	uint32_t last;			/* the request sent last, 0: none */
	bool owned;			/* SET_OWNER was sent */
	uint16_t mtu;			/* NET_SET_MTU was sent with this, 0: not sent */
	uint32_t vrings;		/* data rings that the back-end has */
	uint32_t slots;			/* regions that it takes */
	uint64_t logging[VHOST_MAX_VRINGS / 64]; /* rings whose address says "log" */
	uint32_t nregions;
	struct vhost_user_region region[VHOST_MAX_SLOTS]; /* what the back-end has */
	struct vhost_user_region wanted[VHOST_MAX_SLOTS]; /* what it is to have; scratch */
};

static inline bool
vhost_user_has(const struct vhost_dev *dev, enum vhu_protocol_feature bit)
{
	return dev->protocol & VIRTQ_BIT(bit);
}

/*
 * The session is over: close its sockets, write why, report it from the loop. Returns rc.
 */
int vhost_user_io_end(struct vhost_user *u, int rc, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Disconnect, and wait until the back-end has. See struct vhost_ops. */
int vhost_user_io_quiesce(struct vhost_dev *dev, uint32_t ms);
/* As the loop watches the main socket: what comes between requests ends the session. */
void vhost_user_io_ready(struct evloop_watch *w, uint32_t events);
void vhost_user_io_report(struct evloop_timer *t);

/* A request; `payload` has `size` bytes, fd -1: none goes with it. */
struct vhost_user_io_request {
	uint32_t request;
	const void *payload;
	uint32_t size;
	const int *fds;
	uint32_t nfds;
};

/*
 * Send, and wait for the answer that its type always has. On success it is in u->rx.msg until the
 * next request; a size outside min..max ends the session.
 */
int vhost_user_io_ask(struct vhost_user *u, const struct vhost_user_io_request *req, uint32_t min,
		      uint32_t max);
/* The same for requests without payload that are answered with a u64. */
int vhost_user_io_ask_u64(struct vhost_user *u, uint32_t request, uint64_t *value);
/*
 * Send a request that is acknowledged only on demand: demand it with REPLY_ACK, go on without.
 * -EIO: refused.
 */
int vhost_user_io_order(struct vhost_user *u, const struct vhost_user_io_request *req);
int vhost_user_io_order_u64(struct vhost_user *u, uint32_t request, uint64_t value);
/*
 * Wait until the back-end has done what was ordered before. With REPLY_ACK it has; without, an
 * answer to GET_FEATURES shows it.
 */
int vhost_user_io_barrier(struct vhost_user *u);
/* Send without demanding anything. */
int vhost_user_io_send(struct vhost_user *u, const struct vhost_user_io_request *req,
		       uint32_t flags);

void vhost_user_chan_init(struct vhost_user *u);
/* Give the back-end a channel; one that does not want it goes without. */
int vhost_user_chan_open(struct vhost_user *u);

/* IOTLB_MSG on the channel. False: refused. */
bool vhost_user_iotlb_serve(struct vhost_user *u, const struct vhu_msg *msg);
void vhost_user_iotlb_answer(struct evloop_timer *t);
/* The region is about to be taken away. */
int vhost_user_iotlb_forget(struct vhost_user *u, const struct vhost_region *r);
int vhost_user_iotlb_send(struct vhost_dev *dev, uint64_t iova, uint64_t size, void *addr,
			  uint8_t perm, uint8_t type);

/* A protocol feature set without what notifiers need: all of it or nothing. */
uint64_t vhost_user_notifier_features(const struct vhost_dev *dev, uint64_t protocol);
/* VRING_HOST_NOTIFIER_MSG. False: refused, and nothing has changed. */
bool vhost_user_notifier_serve(struct vhost_user *u, struct vhu_msg *msg);
/* A ring has stopped: its notifier is of no use until the back-end gives it again. */
void vhost_user_notifier_forget(struct vhost_user *u, uint32_t index);
void vhost_user_notifiers_forget(struct vhost_user *u);
/* Also those that the owner did not give back. */
void vhost_user_notifiers_free(struct vhost_user *u);
void vhost_user_notifiers_report(struct evloop_timer *t);
int vhost_user_notifier_map(struct vhost_dev *dev, uint32_t index, void **notifier);
void vhost_user_notifier_unmap(struct vhost_dev *dev, uint32_t index, void *notifier);
bool vhost_user_notifier_lost(struct vhost_dev *dev, uint32_t index);

int vhost_user_mem_set_table(struct vhost_dev *dev, const struct vhost_region *r, uint32_t n);
/*
 * Before a reset that may or may not take the back-end's memory away: remove all regions where the
 * protocol can, so that both sides agree. The next table sends them again.
 */
int vhost_user_mem_forget(struct vhost_user *u);

#endif /* VHOST_USER_SESSION_H */
