/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device's own state, that the front-end carries to another host: it passes through a pipe.
 * This device filters nothing and remembers nothing but where its rings stand, and that is what it
 * saves; who loads it need not believe it. vhost-user, "Migrating back-end state".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "vhost_be_session.h"

/* What passes through the pipe; little-endian. Words of rings follow, `rings` of them. */
struct wire_head {
	char magic[8];
	uint32_t version;
	uint32_t rings;
	uint32_t packed;	/* 1: positions are of packed rings */
	uint32_t sum;		/* CRC-32 of all, with 0 in its place */
};

#define VERSION 1u
/* Of a ring's word: its position is known, and stands in the low half. */
#define KNOWN (1ull << 32)

_Static_assert(sizeof(struct wire_head) == 24, "goes to other hosts");
_Static_assert(sizeof(((struct vhost_be_devstate *)NULL)->bytes) >=
	       sizeof(struct wire_head) + 256 * sizeof(uint64_t), "room for all rings");

static const char magic[] = "vringdev";	/* without its NUL there */

/* Reads of a pipe (64 KB, unless its owner says more) in one go. */
#define MAX_READS 64
/* What SET_DEVICE_STATE_FD answers: bits 0 to 7 an error, bit 8 no fd comes back. */
enum { NO_FD = 0x100 };

static uint32_t
crc32_of(const uint8_t *p, size_t n)
{
	uint32_t crc = ~0u;

	for (size_t i = 0; i < n; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

static uint64_t
ring_word(const struct vhost_be_vring *r)
{
	return r->has_base ? KNOWN | r->base : r->has_left ? KNOWN | r->left : 0;
}

static void
write_state(const struct vhost_be *be, struct vhost_be_devstate *s)
{
	struct wire_head head = {
		.version = VERSION,
		.rings = be->nrings,
		.packed = vhost_be_session_packed(be),
	};
	uint8_t *at = s->bytes + sizeof(head);

	memcpy(head.magic, magic, sizeof(head.magic));
	for (uint16_t i = 0; i < be->nrings; i++, at += sizeof(uint64_t)) {
		const uint64_t word = ring_word(&be->vring[i]);

		memcpy(at, &word, sizeof(word));
	}
	s->length = (uint32_t)(at - s->bytes);
	memcpy(s->bytes, &head, sizeof(head));
	head.sum = crc32_of(s->bytes, s->length);
	memcpy(s->bytes, &head, sizeof(head));
}

/* NULL, or what is wrong. */
static const char *
check_state(const struct vhost_be *be, struct vhost_be_devstate *s, struct wire_head *head)
{
	uint32_t sum;

	if (s->length < sizeof(*head))
		return "too short";
	memcpy(head, s->bytes, sizeof(*head));
	if (memcmp(head->magic, magic, sizeof(head->magic)) != 0 || head->version != VERSION)
		return "of another device, or another version";
	if (s->length != sizeof(*head) + (uint64_t)head->rings * sizeof(uint64_t))
		return "not of the length that it says";
	sum = head->sum;
	memset(s->bytes + offsetof(struct wire_head, sum), 0, sizeof(sum));
	if (crc32_of(s->bytes, s->length) != sum)
		return "damaged";
	return head->rings > be->nrings ? "of a port with more queue pairs" : NULL;
}

/* NULL, or what is wrong. */
static const char *
read_state(struct vhost_be *be, struct vhost_be_devstate *s)
{
	struct wire_head head;
	const char *why = check_state(be, s, &head);
	const uint8_t *at = s->bytes + sizeof(head);

	for (uint32_t i = 0; why == NULL && i < head.rings; i++, at += sizeof(uint64_t)) {
		struct vhost_be_vring *r = &be->vring[i];
		uint64_t word;

		memcpy(&word, at, sizeof(word));
		r->has_loaded = head.packed == 1 && (word & KNOWN);
		r->loaded = (uint32_t)word;
	}
	return why;
}

static void
end_transfer(struct vhost_be_devstate *s, enum vhost_be_devstate_result result)
{
	evloop_watch_del(&s->pipe);
	if (s->pipe.fd >= 0)
		close(s->pipe.fd);
	s->pipe.fd = -1;
	s->result = result;
}

static void
save_some(struct vhost_be *be, struct vhost_be_devstate *s)
{
	const ssize_t n = write(s->pipe.fd, s->bytes + s->done, s->length - s->done);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		vhost_be_session_log(be, VHOST_LOG_WARNING, "the device state was not written: %s",
				     n < 0 ? strerror(errno) : "the pipe takes nothing");
		end_transfer(s, VHOST_BE_DEVSTATE_FAILED);
		return;
	}
	s->done += (uint32_t)n;
	if (s->done == s->length)
		end_transfer(s, VHOST_BE_DEVSTATE_DONE);
}

/* All is read, whatever it is, so that who writes it need not wait; what is too much is wrong. */
static void
load_some(struct vhost_be *be, struct vhost_be_devstate *s)
{
	const char *why;
	ssize_t n;

	if (s->length == sizeof(s->bytes)) {
		s->too_long = true;
		s->length = 0;
	}
	n = read(s->pipe.fd, s->bytes + s->length, sizeof(s->bytes) - s->length);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		s->length += (uint32_t)n;
		return;
	}
	why = n < 0 ? "not to be read" : s->too_long ? "too long" : read_state(be, s);
	if (why != NULL)
		vhost_be_session_log(be, VHOST_LOG_WARNING, "the device state that came is %s",
				     why);
	end_transfer(s, why != NULL ? VHOST_BE_DEVSTATE_FAILED : VHOST_BE_DEVSTATE_DONE);
}

static void
pipe_ready(struct evloop_watch *w, uint32_t events)
{
	struct vhost_be *be = w->owner;

	if (w->events & EPOLLOUT)
		save_some(be, &be->devstate);
	else
		load_some(be, &be->devstate);
}

void
vhost_be_devstate_init(struct vhost_be *be)
{
	be->devstate.pipe = (struct evloop_watch){ .fd = -1, .ready = pipe_ready, .owner = be };
}

void
vhost_be_devstate_close(struct vhost_be *be)
{
	end_transfer(&be->devstate, VHOST_BE_DEVSTATE_NONE);
}

/*
 * The pipe, opened anew: what flags the front-end sets on its own cannot make this thread wait. A
 * named pipe is not opened, for that may be a file that somebody serves. -errno.
 */
static int
own_pipe(int fd, int flags)
{
	char path[32], target[16];
	ssize_t n;
	int own;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof(target));
	if (n < 6 || memcmp(target, "pipe:[", 6) != 0)
		return -EINVAL;
	own = open(path, flags | O_NONBLOCK | O_CLOEXEC);
	return own < 0 ? -errno : own;
}

int
vhost_be_devstate_on_set_fd(struct vhost_be *be, struct vhu_msg *msg)
{
	const bool load = msg->devstate.direction == VHU_DEVICE_STATE_LOAD;
	struct vhost_be_devstate *s = &be->devstate;
	int fd, rc;

	if ((!load && msg->devstate.direction != VHU_DEVICE_STATE_SAVE) ||
	    msg->devstate.phase != VHU_DEVICE_STATE_STOPPED)
		return vhost_be_session_refuse(be, -EINVAL, "a direction or a phase that does "
					       "not exist");
	/* Of a pipe that this process can read, too, writing raises no signal. */
	fd = own_pipe(msg->fds[0], load ? O_RDONLY : O_RDWR);
	if (fd == -EACCES)
		return vhost_be_session_refuse(be, fd, "the pipe for the device state is another "
					       "user's, and this process may not open it");
	if (fd < 0)
		return vhost_be_session_refuse(be, fd, fd == -EINVAL ?
					       "device state passes through a pipe without a name" :
					       "the pipe for the device state cannot be opened: "
					       "no descriptor or no memory is left");
	vhost_be_devstate_close(be);
	s->length = s->done = 0;
	s->too_long = false;
	if (!load)
		write_state(be, s);
	s->pipe.fd = fd;
	s->pipe.events = load ? EPOLLIN : EPOLLOUT;
	rc = evloop_watch_add(be->loop, &s->pipe);
	if (rc < 0) {
		end_transfer(s, VHOST_BE_DEVSTATE_FAILED);
		return vhost_be_session_refuse(be, rc, "out of memory");
	}
	msg->hdr.size = sizeof(msg->u64);
	msg->u64 = NO_FD;
	return 0;
}

/* The front-end has read or written all, and asks whether that was right. */
int
vhost_be_devstate_on_check(struct vhost_be *be, struct vhu_msg *msg)
{
	struct vhost_be_devstate *s = &be->devstate;

	/* What has been written by now is in the pipe. */
	for (uint32_t tries = 0; s->pipe.fd >= 0 && tries < MAX_READS; tries++)
		pipe_ready(&s->pipe, 0);
	msg->hdr.size = sizeof(msg->u64);
	msg->u64 = s->result != VHOST_BE_DEVSTATE_DONE;
	vhost_be_devstate_close(be);
	return 0;
}

bool
vhost_be_devstate_place(const struct vhost_be_vring *r, const struct virtq_ring *ring,
			uint32_t *base)
{
	const uint32_t avail = r->loaded & 0x7fff, used = r->loaded >> 16 & 0x7fff;

	if (!r->has_loaded || !ring->packed || avail >= ring->size || used >= ring->size)
		return false;
	*base = r->loaded;
	return true;
}
