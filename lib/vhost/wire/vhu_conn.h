/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A connection served by a loop: the codec with deadlines and limits, so that no peer can delay
 * another. Used by the main socket of a session and by its back-end channel.
 */
#ifndef VHU_CONN_H
#define VHU_CONN_H

#include "vhu_codec.h"
#include "evloop.h"

/* Milliseconds that the rest of a begun message, or a peer that does not read, may take. */
#define VHU_CONN_DEADLINE_MS 5000
/* A wakeup ends after so many messages or so much time; the rest waits for the next round. */
#define VHU_CONN_MAX_MESSAGES 64
#define VHU_CONN_MAX_NS 2000000
/*
 * A peer that sends more messages than this is throttled: VHU_CONN_CREDIT at once, and
 * VHU_CONN_PER_SECOND from then on. Setting up the largest device takes fewer. Each change of the
 * memory interrupts every lcore, so a flood of messages is not served as it comes.
 */
#define VHU_CONN_CREDIT 2048
#define VHU_CONN_PER_SECOND 1000
/*
 * What one connection has used up, the next one at the same place finds missing in the end: so
 * many messages, besides those that the first has, are for peers that come again soon. A
 * connection itself counts as some messages.
 */
#define VHU_CONN_RESERVE 6144
#define VHU_CONN_OPENING 8
#define VHU_CONN_THROTTLE_MS 20	/* a throttled peer is not read from for so long */

struct vhu_conn;

struct vhu_conn_ops {
	/*
	 * A whole message came. Fds that are not taken are closed afterwards. NULL, or a static
	 * text: the connection is to be closed for that reason. May call vhu_conn_send(), not
	 * vhu_conn_close().
	 */
	const char *(*message)(struct vhu_conn *c, struct vhu_msg *msg);
	/*
	 * The connection is closed: its fd is gone. framing: what came was no vhost-user. May open
	 * it again.
	 */
	void (*closed)(struct vhu_conn *c, const char *why, bool framing);
	/* True: so much is still to be done for the peer that it has to wait. May be NULL. */
	bool (*behind)(const void *owner);
};

struct vhu_conn {
	struct evloop_watch watch;		/* fd -1: not open */
	struct evloop_timer in_deadline;	/* runs while a message is half received */
	struct evloop_timer out_deadline; /* runs while something waits to be read by the peer */
	struct evloop_timer throttled;	/* runs while the peer has used up its credit */
	bool limited;			/* the peer has credit; set before opening */
	uint32_t credit;		/* messages to be read before it is throttled */
	uint32_t reserve;		/* for the credit of connections to come */
	uint64_t credit_ns;		/* when they were last added to */
	struct vhu_codec_rx rx;
	struct vhu_codec_tx tx;
	const struct vhu_conn_ops *ops;
	struct evloop *loop;
	void *owner;
};

/*
 * To be called once, before anything else. `replies`: messages are answers to ours. rx.closer may
 * be set afterwards.
 */
void vhu_conn_init(struct vhu_conn *c, struct evloop *loop, const struct vhu_conn_ops *ops,
		   void *owner, bool replies);
/* Serve a connected stream socket; takes it over (also when it fails). 0 or -errno. */
int vhu_conn_open(struct vhu_conn *c, int fd);
static inline bool
vhu_conn_is_open(const struct vhu_conn *c)
{
	return c->watch.fd >= 0;
}
/* Close quietly: ops->closed is not called. Not from within ops->message. */
void vhu_conn_close(struct vhu_conn *c);
/*
 * Send msg->hdr and as much payload as it says; never waits. While something waits for the peer
 * to read, its messages are not read either. 0, or -errno: the caller has to give up the
 * connection, or do without the message if it is none of the errors that vhu_conn_is_lost() knows.
 */
int vhu_conn_send(struct vhu_conn *c, const struct vhu_hdr *hdr, const void *payload);
/* The same with a descriptor, which stays the caller's. */
int vhu_conn_send_fd(struct vhu_conn *c, const struct vhu_hdr *hdr, const void *payload, int fd);
/* The peer has gone, or has got a part of a message that does not go on. */
bool vhu_conn_is_lost(int rc);
/* What a failure to send is for the log; static. */
const char *vhu_conn_why(int rc);

#endif /* VHU_CONN_H */
