/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages from and to a non-blocking stream socket, byte by byte if need be. No loop, no
 * deadlines, no meaning of messages: vhu_conn.h and the session add those.
 *
 * Sockets are used with MSG_DONTWAIT throughout: O_NONBLOCK belongs to the open file, which the
 * peer may share with us.
 */
#ifndef VHU_CODEC_H
#define VHU_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vhu_msg.h"

struct evloop_later;

/* Receiving: one message at a time is put together. */
struct vhu_codec_rx {
	uint32_t got;		/* bytes of header and payload so far; 0: between messages */
	bool replies;		/* expect replies rather than requests */
	struct evloop_later *closer; /* closes this peer's fds; NULL at first: one for all peers */
	const char *why;	/* static text for the last error */
	struct vhu_msg msg;
};

/* Bytes that may wait for a peer to read them. */
#define VHU_CODEC_TX_MAX (64 * 1024)

struct vhu_codec_tx_item;

/* Sending: what the socket did not take yet. */
struct vhu_codec_tx {
	struct vhu_codec_tx_item *first, **last;
	uint32_t bytes;
};

void vhu_codec_rx_init(struct vhu_codec_rx *rx, bool replies);
/* Drop a half-received message and close its fds. */
void vhu_codec_rx_reset(struct vhu_codec_rx *rx);
/*
 * Read on. 1: a whole message is in rx->msg; its fds are the caller's until vhu_codec_rx_next().
 * 0: nothing more for now. -errno with rx->why: the connection is to be closed; -ECONNRESET when
 * the peer closed it between messages, -EPROTO for what breaks the framing.
 */
int vhu_codec_rx_read(struct vhu_codec_rx *rx, int fd);
/* Close the fds that nobody took, and begin the next message. */
void vhu_codec_rx_next(struct vhu_codec_rx *rx);

/* Take fd number i out of a message: the caller owns it. -1 when there is none. */
int vhu_codec_take_fd(struct vhu_msg *msg, uint32_t i);
/* Close what is left, by `closer` where that may take time. */
void vhu_codec_close_fds(struct vhu_msg *msg, struct evloop_later *closer);

void vhu_codec_tx_init(struct vhu_codec_tx *tx);
void vhu_codec_tx_reset(struct vhu_codec_tx *tx);
/*
 * Send a message, or keep what the socket does not take. The fds are duplicated where they have
 * to wait; the caller keeps his. 0, or -errno: the connection is to be closed (-ENOBUFS: the
 * peer does not read).
 */
int vhu_codec_tx_push(struct vhu_codec_tx *tx, int fd, const struct vhu_hdr *hdr,
		      const void *payload,
		      const int *fds, uint32_t nfds);
/* Send what waits. 0 (tx->bytes tells whether all is gone) or -errno. */
int vhu_codec_tx_flush(struct vhu_codec_tx *tx, int fd);

#endif /* VHU_CODEC_H */
