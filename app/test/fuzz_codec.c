/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages from and to a socket, in pieces that the input chooses. What arrives does not depend on
 * the pieces, what is sent arrives unchanged, and every fd is closed or handed over once.
 */
#include "fuzz.h"
#include "rig_frontend.h"

#include "vhu_codec.h"

const unsigned int fuzz_inputs = 5000;

#define STREAM 2048	/* bytes */
#define CHUNKS 32

/* Bytes on their way, and where fds go with them. */
struct stream {
	uint8_t byte[STREAM];
	uint32_t len;
	uint8_t fds[STREAM];	/* how many go with the byte at this place */
};

/* What was read of it: a digest for each message, and how it ended. */
struct reading {
	uint64_t digest;
	uint32_t messages;
	int end;
};

static int event = -1;

void
fuzz_setup(void)
{
	event = eventfd(0, EFD_CLOEXEC);
}

/* Headers that are mostly right, so that more than the first is read. */
static void
compose(struct fuzz *f, struct stream *s)
{
	s->len = 0;
	memset(s->fds, 0, sizeof(s->fds));
	while (f->left > 0 && s->len + 300 < STREAM) {
		struct vhu_hdr hdr = { fuzz_u8(f), VHU_VERSION, fuzz_pick(f, 200) };

		if (fuzz_rarely(f))
			hdr.flags = fuzz_u32(f);
		if (fuzz_rarely(f))
			hdr.size = fuzz_u32(f);
		s->fds[s->len + fuzz_pick(f, 20)] = (uint8_t)fuzz_pick(f, 4);
		if (fuzz_rarely(f))
			s->fds[s->len] = (uint8_t)fuzz_pick(f, 64);
		memcpy(s->byte + s->len, &hdr, sizeof(hdr));
		s->len += sizeof(hdr);
		fuzz_bytes(f, s->byte + s->len, hdr.size < 200 ? hdr.size : 0);
		s->len += hdr.size < 200 ? hdr.size : 0;
	}
}

/* Send from `at` on: to the next fds, `most` bytes at most. How many; 0: the peer is gone. */
static uint32_t
send_piece(int fd, const struct stream *s, uint32_t at, uint32_t most)
{
	uint32_t n = 1;
	union {
		char buf[CMSG_SPACE(64 * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { (void *)(uintptr_t)(s->byte + at), 0 };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	while (n < most && at + n < s->len && s->fds[at + n] == 0)
		n++;
	iov.iov_len = n;
	if (s->fds[at] > 0) {
		memset(&control, 0, sizeof(control));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(s->fds[at] * sizeof(int));
		for (uint32_t i = 0; i < s->fds[at]; i++)
			memcpy(CMSG_DATA(&control.align) + i * sizeof(int), &event, sizeof(int));
		mh.msg_control = control.buf;
		mh.msg_controllen = CMSG_SPACE(s->fds[at] * sizeof(int));
	}
	return sendmsg(fd, &mh, MSG_NOSIGNAL) == (ssize_t)n ? n : 0;
}

static void
digest(struct reading *r, const void *data, size_t n)
{
	for (size_t i = 0; i < n; i++)
		r->digest = (r->digest ^ ((const uint8_t *)data)[i]) * 0x100000001b3;
}

static bool
read_all(struct vhu_codec_rx *rx, int fd, struct reading *r, bool take)
{
	int rc;

	while ((rc = vhu_codec_rx_read(rx, fd)) == 1) {
		struct vhu_msg *m = &rx->msg;

		assert_true(m->hdr.size <= VHU_MAX_PAYLOAD);
		assert_true(m->nfds <= VHU_MAX_FDS);
		digest(r, &m->hdr, sizeof(m->hdr) + m->hdr.size);
		digest(r, &m->nfds, sizeof(m->nfds));
		r->messages++;
		for (uint32_t i = 0; i < m->nfds; i++)
			assert_true(fcntl(m->fds[i], F_GETFD) & FD_CLOEXEC);
		if (take && m->nfds > 0) {
			int mine = vhu_codec_take_fd(m, m->nfds - 1);

			assert_int_equal(vhu_codec_take_fd(m, m->nfds - 1), -1);
			close(mine);
		}
		vhu_codec_rx_next(rx);
	}
	r->end = rc;
	if (rc < 0)
		assert_string_not_equal(rx->why, "");
	return rc == 0;
}

/*
 * The stream in pieces of the given sizes, in turn, from a peer that leaves what it is sent unread;
 * NULL: in as few as its fds allow.
 */
static struct reading
transfer(const struct stream *s, const uint8_t *pieces, bool replies)
{
	struct reading r = { .digest = 0xcbf29ce484222325 };
	struct vhu_codec_rx rx;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	vhu_codec_rx_init(&rx, replies);
	if (pieces != NULL)
		assert_int_equal(send(pair[0], "unread", 6, 0), 6);
	for (uint32_t at = 0, k = 0; at < s->len; k++) {
		uint32_t n = send_piece(pair[1], s, at,
					pieces == NULL ? STREAM : 1u + pieces[k % CHUNKS]);

		assert_true(n > 0);
		at += n;
		if (!read_all(&rx, pair[0], &r, pieces == NULL))
			break;
	}
	close(pair[1]);
	if (r.end == 0)
		read_all(&rx, pair[0], &r, false);
	assert_true(r.end < 0);
	vhu_codec_rx_reset(&rx);
	close(pair[0]);
	return r;
}

/* Messages to a peer that reads now and then: it gets what was sent, or the sender is told. */
static void
send_and_read(struct fuzz *f)
{
	static uint8_t payload[VHU_MAX_PAYLOAD], expected[1 << 20], got[1 << 20];
	uint32_t sent = 0, received = 0;
	struct vhu_codec_tx tx;
	int pair[2], small = 1;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	vhu_codec_tx_init(&tx);
	for (int i = 0; i < 100 && f->left > 0; i++) {
		struct vhu_hdr hdr = { fuzz_u8(f), fuzz_u8(f), fuzz_u16(f) % VHU_MAX_PAYLOAD };
		uint32_t nfds = fuzz_pick(f, 3);
		const int fds[2] = { event, event };
		ssize_t n;
		int rc;

		memset(payload, fuzz_u8(f), sizeof(payload));
		rc = vhu_codec_tx_push(&tx, pair[0], &hdr, payload, fds, nfds);
		assert_true(tx.bytes <= VHU_CODEC_TX_MAX);
		if (rc < 0) {
			assert_int_equal(rc, -ENOBUFS);
			break;
		}
		memcpy(expected + sent, &hdr, sizeof(hdr));
		memcpy(expected + sent + sizeof(hdr), payload, hdr.size);
		sent += sizeof(hdr) + hdr.size;
		n = recv(pair[1], got + received, fuzz_u16(f), MSG_DONTWAIT);
		received += n > 0 ? (uint32_t)n : 0;
		assert_int_equal(vhu_codec_tx_flush(&tx, pair[0]), 0);
	}
	for (ssize_t n; (n = recv(pair[1], got + received, sizeof(got) - received,
				  MSG_DONTWAIT)) > 0 || tx.bytes > 0;) {
		received += n > 0 ? (uint32_t)n : 0;
		assert_int_equal(vhu_codec_tx_flush(&tx, pair[0]), 0);
	}
	assert_int_equal(received, sent);
	assert_memory_equal(got, expected, sent);
	vhu_codec_tx_reset(&tx);
	close(pair[0]);
	close(pair[1]);
}

void
fuzz_one(struct fuzz *f)
{
	bool replies = fuzz_pick(f, 2);
	uint8_t pieces[CHUNKS];
	struct reading whole, parts;
	struct stream s;
	int lowest = dup(event);

	close(lowest);
	fuzz_bytes(f, pieces, sizeof(pieces));
	if (pieces[0] % 4 == 0) {
		send_and_read(f);
	} else {
		compose(f, &s);
		whole = transfer(&s, NULL, replies);
		parts = transfer(&s, pieces, replies);
		assert_int_equal(whole.messages, parts.messages);
		assert_int_equal(whole.digest, parts.digest);
		assert_int_equal(whole.end, parts.end);
	}
	/* As many are open as before. */
	assert_int_equal(dup(event), lowest);
	close(lowest);
}
