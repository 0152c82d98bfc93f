/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "vhu_codec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "evloop_close.h"

#define HDR ((uint32_t)sizeof(struct vhu_hdr))

void
vhu_codec_rx_init(struct vhu_codec_rx *rx, bool replies)
{
	rx->got = 0;
	rx->replies = replies;
	rx->closer = NULL;
	rx->why = "";
	rx->msg.nfds = 0;
}

void
vhu_codec_rx_reset(struct vhu_codec_rx *rx)
{
	vhu_codec_close_fds(&rx->msg, rx->closer);
	rx->got = 0;
}

void
vhu_codec_rx_next(struct vhu_codec_rx *rx)
{
	vhu_codec_rx_reset(rx);
}

int
vhu_codec_take_fd(struct vhu_msg *msg, uint32_t i)
{
	int fd;

	if (i >= msg->nfds)
		return -1;
	fd = msg->fds[i];
	msg->fds[i] = -1;
	return fd;
}

void
vhu_codec_close_fds(struct vhu_msg *msg, struct evloop_later *closer)
{
	for (uint32_t i = 0; i < msg->nfds; i++)
		if (msg->fds[i] >= 0)
			evloop_close_received(closer, msg->fds[i]);
	msg->nfds = 0;
}

static int
rx_fail(struct vhu_codec_rx *rx, int error, const char *why)
{
	rx->why = why;
	vhu_codec_rx_reset(rx);
	return error;
}

/* Keep the fds of one recvmsg(). False: more than any message may bring; all are closed. */
static bool
keep_fds(struct vhu_codec_rx *rx, struct msghdr *mh)
{
	struct cmsghdr *c;
	bool fit = true;

	for (c = CMSG_FIRSTHDR(mh); c != NULL; c = CMSG_NXTHDR(mh, c)) {
		uint32_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (uint32_t)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		for (uint32_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (rx->msg.nfds < VHU_MAX_FDS) {
				rx->msg.fds[rx->msg.nfds++] = fd;
			} else {
				evloop_close_received(rx->closer, fd);
				fit = false;
			}
		}
	}
	return fit;
}

/* One recvmsg() of at most `want` bytes to where the message stands. As vhu_codec_rx_read(). */
static int
rx_some(struct vhu_codec_rx *rx, int fd, uint32_t want)
{
	union {
		char buf[CMSG_SPACE(VHU_MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = (uint8_t *)&rx->msg + rx->got, .iov_len = want };
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	uint32_t fds_before = rx->msg.nfds;
	ssize_t n;

	do {
		n = recvmsg(fd, &mh, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	if (n < 0 && errno == ECONNRESET) { /* it left without reading all we sent */
		n = 0;
		mh.msg_controllen = 0; /* the kernel has said nothing of it, nor brought fds */
	}
	if (n < 0)
		return rx_fail(rx, -errno, "socket error");
	if (!keep_fds(rx, &mh))
		return rx_fail(rx, -EPROTO, "too many file descriptors in a message");
	/* Also when this process has no descriptor left. */
	if (mh.msg_flags & MSG_CTRUNC)
		return rx_fail(rx, -EPROTO, "file descriptors lost");
	if (n == 0)
		return rx->got == 0 ? rx_fail(rx, -ECONNRESET, "peer closed the connection") :
				      rx_fail(rx, -EPROTO, "connection closed inside a message");
	if (rx->got >= HDR && rx->msg.nfds != fds_before)
		return rx_fail(rx, -EPROTO, "file descriptors outside a header");
	rx->got += (uint32_t)n;
	return (int)n;
}

static const char *
bad_header(const struct vhu_codec_rx *rx)
{
	const struct vhu_hdr *h = &rx->msg.hdr;
	const uint32_t known = VHU_VERSION_MASK | VHU_FLAG_REPLY | VHU_FLAG_NEED_REPLY;

	if ((h->flags & VHU_VERSION_MASK) != VHU_VERSION)
		return "protocol version is not 1";
	if (h->flags & ~known)
		return "reserved header flags are set";
	if (!rx->replies && (h->flags & VHU_FLAG_REPLY))
		return "a reply where a request is due";
	if (rx->replies && h->flags != VHU_FLAGS_REPLY)
		return "a request where a reply is due";
	if (h->size > VHU_MAX_PAYLOAD)
		return "payload over 4096 bytes";
	return NULL;
}

int
vhu_codec_rx_read(struct vhu_codec_rx *rx, int fd)
{
	const char *why;
	int n;

	while (rx->got < HDR) {
		n = rx_some(rx, fd, HDR - rx->got);
		if (n <= 0)
			return n;
		if (rx->got < HDR)
			continue;
		why = bad_header(rx);
		if (why != NULL)
			return rx_fail(rx, -EPROTO, why);
	}
	while (rx->got < HDR + rx->msg.hdr.size) {
		n = rx_some(rx, fd, HDR + rx->msg.hdr.size - rx->got);
		if (n <= 0)
			return n;
	}
	return 1;
}

/* What one message still has to send. */
struct vhu_codec_tx_item {
	struct vhu_codec_tx_item *next;
	uint32_t len, off;
	uint32_t nfds;		/* duplicates; they go with the first byte */
	int fds[VHU_MAX_FDS];
	uint8_t bytes[];
};

static void
item_free(struct vhu_codec_tx_item *item)
{
	for (uint32_t i = 0; i < item->nfds; i++)
		close(item->fds[i]);
	free(item);
}

void
vhu_codec_tx_init(struct vhu_codec_tx *tx)
{
	tx->first = NULL;
	tx->last = &tx->first;
	tx->bytes = 0;
}

void
vhu_codec_tx_reset(struct vhu_codec_tx *tx)
{
	struct vhu_codec_tx_item *item, *next;

	for (item = tx->first; item != NULL; item = next) {
		next = item->next;
		item_free(item);
	}
	vhu_codec_tx_init(tx);
}

/* Bytes that the socket took, 0 when it takes none now, -errno. */
static ssize_t
send_some(int fd, struct iovec *iov, size_t niov, const int *fds, uint32_t nfds)
{
	union {
		char buf[CMSG_SPACE(VHU_MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct msghdr mh = { .msg_iov = iov, .msg_iovlen = niov };
	ssize_t n;

	if (nfds > 0) {
		memset(&control, 0, sizeof(control));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, nfds * sizeof(int));
		mh.msg_control = control.buf;
		mh.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
	}
	do {
		n = sendmsg(fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	return n < 0 ? -errno : n;
}

/* Keep a message of which `sent` bytes are gone already. */
static int
tx_keep(struct vhu_codec_tx *tx, struct iovec iov[2], uint32_t sent, const int *fds, uint32_t nfds)
{
	uint32_t len = (uint32_t)(iov[0].iov_len + iov[1].iov_len);
	struct vhu_codec_tx_item *item;

	if (tx->bytes + len > VHU_CODEC_TX_MAX)
		return -ENOBUFS;
	item = calloc(1, sizeof(*item) + len);
	if (item == NULL)
		return -ENOMEM;
	memcpy(item->bytes, iov[0].iov_base, iov[0].iov_len);
	if (iov[1].iov_len > 0)
		memcpy(item->bytes + iov[0].iov_len, iov[1].iov_base, iov[1].iov_len);
	item->len = len;
	item->off = sent;
	for (uint32_t i = 0; i < nfds && sent == 0; i++) {
		int copy = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);

		if (copy < 0) {
			item_free(item);
			return -errno;
		}
		item->fds[item->nfds++] = copy;
	}
	*tx->last = item;
	tx->last = &item->next;
	tx->bytes += len - sent;
	return 0;
}

int
vhu_codec_tx_push(struct vhu_codec_tx *tx, int fd, const struct vhu_hdr *hdr, const void *payload,
		  const int *fds, uint32_t nfds)
{
	struct iovec iov[2] = {
		{ .iov_base = (void *)(uintptr_t)hdr, .iov_len = HDR },
		{ .iov_base = (void *)(uintptr_t)payload, .iov_len = hdr->size },
	};
	ssize_t sent = 0;
	int rc;

	if (nfds > VHU_MAX_FDS)
		return -EINVAL;
	if (tx->first == NULL) { /* nothing waits that has to go before */
		sent = send_some(fd, iov, 2, fds, nfds);
		if (sent < 0)
			return (int)sent;
	}
	if ((uint32_t)sent == HDR + hdr->size)
		return 0;
	rc = tx_keep(tx, iov, (uint32_t)sent, fds, nfds);
	/* What follows would be taken for the rest of this one. */
	return rc < 0 && sent > 0 ? -EIO : rc;
}

int
vhu_codec_tx_flush(struct vhu_codec_tx *tx, int fd)
{
	struct vhu_codec_tx_item *item;

	while ((item = tx->first) != NULL) {
		struct iovec iov = {
			.iov_base = item->bytes + item->off,
			.iov_len = item->len - item->off,
		};
		ssize_t sent = send_some(fd, &iov, 1, item->fds, item->off == 0 ? item->nfds : 0);

		if (sent < 0)
			return (int)sent;
		if (sent == 0)
			return 0;
		item->off += (uint32_t)sent;
		tx->bytes -= (uint32_t)sent;
		if (item->off < item->len)
			continue;
		tx->first = item->next;
		if (tx->first == NULL)
			tx->last = &tx->first;
		item_free(item);
	}
	return 0;
}
