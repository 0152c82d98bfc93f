/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig_faults.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

struct evloop;
struct statfs;

#define ERROR (1u << RIG_FAULTS_ERROR)
#define SIGNAL (1u << RIG_FAULTS_SIGNAL)
#define LATER (1u << RIG_FAULTS_LATER)
#define SHORT (1u << RIG_FAULTS_SHORT)
#define LASTING (1u << RIG_FAULTS_LASTING)
#define SCARCE (ERROR | LASTING)

/* Name, errno of the error, kinds. */
#define FUNCTIONS(X) \
	X(accept4, EMFILE, ERROR | SIGNAL) \
	X(aligned_alloc, ENOMEM, SCARCE) \
	X(bind, EADDRINUSE, ERROR) \
	X(calloc, ENOMEM, SCARCE) \
	X(chmod, EPERM, ERROR) \
	X(connect, EACCES, ERROR | SIGNAL | LATER) \
	X(epoll_create1, EMFILE, ERROR) \
	X(epoll_ctl, ENOSPC, ERROR) \
	X(epoll_wait, EINTR, SIGNAL) \
	X(eventfd, EMFILE, SCARCE) \
	X(fchmod, EPERM, ERROR) \
	X(fcntl64, EMFILE, SCARCE) \
	X(flock, EWOULDBLOCK, ERROR) \
	X(fopen64, EMFILE, SCARCE) \
	X(fstat64, EIO, ERROR) \
	X(fstatfs64, EIO, ERROR) \
	X(ftruncate64, ENOSPC, ERROR | SIGNAL) \
	X(getpeername, ENOBUFS, ERROR) \
	X(getsockname, ENOBUFS, ERROR) \
	X(getsockopt, ENOBUFS, ERROR) \
	X(__getdelim, ENOMEM, ERROR) \
	X(inotify_add_watch, ENOSPC, ERROR) \
	X(inotify_init1, EMFILE, ERROR) \
	X(ioctl, ENOMEM, SCARCE) \
	X(lchown, EPERM, ERROR) \
	X(listen, EADDRINUSE, ERROR) \
	X(lstat64, EACCES, ERROR) \
	X(madvise, EINVAL, ERROR) \
	X(malloc, ENOMEM, SCARCE) \
	X(memfd_create, EMFILE, ERROR) \
	X(mincore, EAGAIN, ERROR) \
	X(mmap64, ENOMEM, SCARCE) \
	X(open64, EMFILE, ERROR | SIGNAL) \
	X(poll, ENOMEM, ERROR | SIGNAL) \
	X(posix_fallocate64, ENOSPC, ERROR | SIGNAL) \
	X(preadv64v2, EAGAIN, ERROR | SIGNAL) \
	X(pthread_attr_init, ENOMEM, ERROR) \
	X(pthread_create, EAGAIN, SCARCE) \
	X(read, EIO, ERROR | SIGNAL | LATER | SHORT) \
	X(readlink, EACCES, ERROR) \
	X(realloc, ENOMEM, SCARCE) \
	X(recvmsg, ENOBUFS, ERROR | SIGNAL | LATER | SHORT) \
	X(sendmsg, ENOBUFS, ERROR | SIGNAL | LATER | SHORT | LASTING) \
	X(setsockopt, ENOBUFS, ERROR) \
	X(shutdown, ENOTCONN, ERROR) \
	X(socket, EMFILE, ERROR) \
	X(statx, EIO, ERROR) \
	X(syscall, EAGAIN, SCARCE) \
	X(write, EIO, ERROR | SIGNAL | LATER | SHORT)

enum {
#define X(name, error, kinds) F_##name,
	FUNCTIONS(X)
#undef X
	NFUNCTIONS
};

static const struct {
	const char *name;
	int error;
	unsigned int kinds;
} functions[NFUNCTIONS] = {
#define X(name, error, kinds) { #name, error, kinds },
	FUNCTIONS(X)
#undef X
};

/* Calls of a function that are remembered. */
#define MOST 2048

static __thread unsigned int tested;	/* rig_faults_enter() in this thread */
static __thread bool elsewhere;
static bool counting;			/* atomic, as all that follows */
static uint32_t counts[NFUNCTIONS][2];
static const void *places[NFUNCTIONS][2][MOST];
static struct rig_fault armed;
static uint32_t hits;

void
rig_faults_enter(void)
{
	tested++;
}

void
rig_faults_leave(void)
{
	tested--;
}

void
rig_faults_go_on(bool on)
{
	__atomic_store_n(&counting, on, __ATOMIC_SEQ_CST);
}

void
rig_faults_begin(const struct rig_fault *fault)
{
	struct rig_fault next = { .kind = RIG_FAULTS_NONE };

	rig_faults_go_on(false);
	for (uint32_t i = 0; i < NFUNCTIONS; i++)
		for (uint32_t j = 0; j < 2; j++)
			__atomic_store_n(&counts[i][j], 0, __ATOMIC_RELAXED);
	__atomic_store_n(&hits, 0, __ATOMIC_RELAXED);
	if (fault != NULL)
		next = *fault;
	__atomic_store(&armed, &next, __ATOMIC_RELAXED);
	rig_faults_go_on(true);
}

uint32_t
rig_faults_hits(void)
{
	return __atomic_load_n(&hits, __ATOMIC_RELAXED);
}

/* What is to become of this call. errno is set. */
static enum rig_faults_kind
next_call(uint16_t function, const void *place)
{
	struct rig_fault fault;
	uint32_t n;

	if (tested == 0 || !__atomic_load_n(&counting, __ATOMIC_SEQ_CST))
		return RIG_FAULTS_NONE;
	n = __atomic_fetch_add(&counts[function][elsewhere], 1, __ATOMIC_RELAXED);
	if (n < MOST)
		__atomic_store_n(&places[function][elsewhere][n], place, __ATOMIC_RELAXED);
	__atomic_load(&armed, &fault, __ATOMIC_RELAXED);
	if (fault.kind == RIG_FAULTS_NONE || fault.function != function ||
	    fault.elsewhere != elsewhere ||
	    (fault.kind == RIG_FAULTS_LASTING ? n < fault.n : n != fault.n))
		return RIG_FAULTS_NONE;
	__atomic_add_fetch(&hits, 1, __ATOMIC_RELAXED);
	errno = fault.kind == RIG_FAULTS_SIGNAL ? EINTR :
		fault.kind == RIG_FAULTS_LATER ? EAGAIN : functions[function].error;
	return fault.kind;
}

/* Those that are remembered. */
static uint32_t
calls_seen(uint16_t function, bool where)
{
	const uint32_t n = __atomic_load_n(&counts[function][where], __ATOMIC_RELAXED);

	return n < MOST ? n : MOST;
}

static const void *
calling_place(uint16_t function, bool where, uint32_t n)
{
	return __atomic_load_n(&places[function][where][n], __ATOMIC_RELAXED);
}

/* Of the calls of one place so many, the first and the last among them. */
static bool
is_planned(uint16_t function, bool where, uint32_t n, uint32_t most)
{
	const void *place = calling_place(function, where, n);
	uint32_t total = 0, before = 0;

	for (uint32_t i = 0; i < calls_seen(function, where); i++) {
		const bool same = calling_place(function, where, i) == place;

		total += same;
		before += i < n && same;
	}
	/* The calls at which the share of those that are planned reaches another whole number. */
	return total <= most || before == 0 ||
	       before * (most - 1) / (total - 1) != (before - 1) * (most - 1) / (total - 1);
}

/* Whether the same place has called before. */
static bool
is_again(const struct rig_fault *at)
{
	const void *place = calling_place(at->function, at->elsewhere, at->n);

	for (uint32_t i = 0; i < at->n; i++)
		if (calling_place(at->function, at->elsewhere, i) == place)
			return true;
	return false;
}

/* An error that lasts takes in the later calls. */
static uint32_t
plan_call(struct rig_fault *fault, struct rig_fault at)
{
	const unsigned int kinds = functions[at.function].kinds & (is_again(&at) ? ~LASTING : ~0u);
	uint32_t n = 0;

	for (uint32_t kind = 1; kind < RIG_FAULTS_KINDS; kind++) {
		at.kind = (enum rig_faults_kind)kind;
		if (kinds & 1u << kind)
			fault[n++] = at;
	}
	return n;
}

uint32_t
rig_faults_plan(struct rig_fault fault[RIG_FAULTS_MAX], uint32_t most)
{
	uint32_t n = 0;

	for (uint16_t f = 0; f < NFUNCTIONS; f++) {
		for (int where = 0; where < 2; where++) {
			for (uint16_t i = 0; i < calls_seen(f, where); i++)
				if (is_planned(f, where, i, most) &&
				    n + RIG_FAULTS_KINDS <= RIG_FAULTS_MAX)
					n += plan_call(&fault[n], (struct rig_fault){
						.function = f, .n = i, .elsewhere = where });
		}
	}
	return n;
}

const char *
rig_faults_text(const struct rig_fault *fault)
{
	static const char *const kinds[RIG_FAULTS_KINDS] = {
		[RIG_FAULTS_NONE] = "none", [RIG_FAULTS_ERROR] = "error",
		[RIG_FAULTS_SIGNAL] = "EINTR", [RIG_FAULTS_LATER] = "EAGAIN",
		[RIG_FAULTS_SHORT] = "short", [RIG_FAULTS_LASTING] = "lasting error",
	};
	static char text[100];

	snprintf(text, sizeof(text), "%s, call %u%s: %s", functions[fault->function].name,
		 fault->n, fault->elsewhere ? " of other threads" : "", kinds[fault->kind]);
	return text;
}

/* ---- what is called instead ---- */

#define REAL(type, name, args) \
	type __real_##name args; \
	type __wrap_##name args
#define FAILS(name) (next_call(F_##name, __builtin_return_address(0)) != RIG_FAULTS_NONE)

#define WRAP(type, name, failed, args, values) \
	REAL(type, name, args); \
	type __wrap_##name args \
	{ \
		return FAILS(name) ? failed : __real_##name values; \
	}

WRAP(int, accept4, -1, (int fd, void *a, void *len, int flags), (fd, a, len, flags))
WRAP(void *, aligned_alloc, NULL, (size_t align, size_t size), (align, size))
WRAP(int, bind, -1, (int fd, const void *a, socklen_t len), (fd, a, len))
WRAP(void *, calloc, NULL, (size_t n, size_t size), (n, size))
WRAP(int, chmod, -1, (const char *path, mode_t mode), (path, mode))
WRAP(int, connect, -1, (int fd, const void *a, socklen_t len), (fd, a, len))
WRAP(int, epoll_create1, -1, (int flags), (flags))
WRAP(int, epoll_wait, -1, (int fd, void *e, int n, int ms), (fd, e, n, ms))
WRAP(int, eventfd, -1, (unsigned int n, int flags), (n, flags))
WRAP(int, fchmod, -1, (int fd, mode_t mode), (fd, mode))
WRAP(int, flock, -1, (int fd, int what), (fd, what))
WRAP(FILE *, fopen64, NULL, (const char *path, const char *mode), (path, mode))
WRAP(int, fstat64, -1, (int fd, void *st), (fd, st))
WRAP(int, fstatfs64, -1, (int fd, struct statfs *st), (fd, st))
WRAP(int, ftruncate64, -1, (int fd, int64_t size), (fd, size))
WRAP(int, getpeername, -1, (int fd, void *a, void *len), (fd, a, len))
WRAP(int, getsockname, -1, (int fd, void *a, void *len), (fd, a, len))
WRAP(int, getsockopt, -1, (int fd, int level, int name, void *v, void *len),
	(fd, level, name, v, len))
WRAP(ssize_t, __getdelim, -1, (char **line, size_t *n, int end, FILE *f), (line, n, end, f))
WRAP(int, inotify_add_watch, -1, (int fd, const char *path, uint32_t mask), (fd, path, mask))
WRAP(int, inotify_init1, -1, (int flags), (flags))
WRAP(int, ioctl, -1, (int fd, unsigned long what, void *arg), (fd, what, arg))
WRAP(int, lchown, -1, (const char *path, uid_t uid, gid_t gid), (path, uid, gid))
WRAP(int, listen, -1, (int fd, int n), (fd, n))
WRAP(int, lstat64, -1, (const char *path, void *st), (path, st))
WRAP(int, madvise, -1, (void *at, size_t size, int what), (at, size, what))
WRAP(void *, malloc, NULL, (size_t size), (size))
WRAP(int, memfd_create, -1, (const char *name, unsigned int flags), (name, flags))
WRAP(int, mincore, -1, (void *at, size_t size, unsigned char *v), (at, size, v))
WRAP(void *, mmap64, (void *)-1, (void *at, size_t size, int prot, int flags, int fd, int64_t off),
	(at, size, prot, flags, fd, off))
WRAP(int, open64, -1, (const char *path, int flags, mode_t mode), (path, flags, mode))
WRAP(int, poll, -1, (struct pollfd *p, nfds_t n, int ms), (p, n, ms))
WRAP(int, posix_fallocate64, errno, (int fd, int64_t off, int64_t len), (fd, off, len))
WRAP(ssize_t, preadv64v2, -1, (int fd, const struct iovec *v, int n, int64_t off, int flags),
	(fd, v, n, off, flags))
WRAP(int, pthread_attr_init, errno, (pthread_attr_t *attr), (attr))
WRAP(ssize_t, readlink, -1, (const char *path, char *to, size_t size), (path, to, size))
WRAP(void *, realloc, NULL, (void *p, size_t size), (p, size))
WRAP(int, setsockopt, -1, (int fd, int level, int name, const void *v, socklen_t len),
	(fd, level, name, v, len))
WRAP(int, shutdown, -1, (int fd, int how), (fd, how))
WRAP(int, socket, -1, (int domain, int type, int protocol), (domain, type, protocol))
WRAP(int, statx, -1, (int fd, const char *path, int flags, unsigned int mask, void *st),
	(fd, path, flags, mask, st))

REAL(int, epoll_ctl, (int fd, int op, int of, struct epoll_event *e));
int
__wrap_epoll_ctl(int fd, int op, int of, struct epoll_event *e)
{
	return op != EPOLL_CTL_DEL && FAILS(epoll_ctl) ? -1 : __real_epoll_ctl(fd, op, of, e);
}

REAL(int, fcntl64, (int fd, int cmd, long arg));
int
__wrap_fcntl64(int fd, int cmd, long arg)
{
	if (!FAILS(fcntl64))
		return __real_fcntl64(fd, cmd, arg);
	if (cmd != F_DUPFD_CLOEXEC)
		errno = EPERM;
	return -1;
}

/* What the handler of SIGBUS does has no second way, and asks nobody. */
REAL(long, syscall, (long nr, long a, long b, long c, long d, long e, long f));
long
__wrap_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	if (nr == SYS_mremap || nr == SYS_mmap || nr == SYS_write || !FAILS(syscall))
		return __real_syscall(nr, a, b, c, d, e, f);
	return -1;
}

static size_t
half_of(size_t n)
{
	return n > 1 ? n / 2 : n;
}

/* What is of 8 bytes goes to an eventfd, or from one to a pipe: it can be interrupted, no more. */
#define WRAP_BYTES(name, type) \
	REAL(ssize_t, name, (int fd, type buf, size_t n)); \
	ssize_t __wrap_##name(int fd, type buf, size_t n) \
	{ \
		const enum rig_faults_kind kind = \
			next_call(F_##name, __builtin_return_address(0)); \
		if (kind == RIG_FAULTS_NONE || \
		    (n == sizeof(uint64_t) && kind != RIG_FAULTS_SIGNAL)) \
			return __real_##name(fd, buf, n); \
		if (kind == RIG_FAULTS_SHORT) \
			return __real_##name(fd, buf, half_of(n)); \
		return -1; \
	}

WRAP_BYTES(read, void *)
WRAP_BYTES(write, const void *)

/* What goes with the first byte goes with it. */
static struct msghdr
half_message(const struct msghdr *m, struct iovec iov[2])
{
	struct msghdr half = *m;
	size_t n = 0, left;

	for (size_t i = 0; i < m->msg_iovlen; i++)
		n += m->msg_iov[i].iov_len;
	left = half_of(n);
	half.msg_iov = iov;
	for (half.msg_iovlen = 0; left > 0 && half.msg_iovlen < 2; half.msg_iovlen++) {
		struct iovec *v = &iov[half.msg_iovlen];

		*v = m->msg_iov[half.msg_iovlen];
		if (v->iov_len > left)
			v->iov_len = left;
		left -= v->iov_len;
	}
	return half;
}

REAL(ssize_t, sendmsg, (int fd, const struct msghdr *m, int flags));
ssize_t
__wrap_sendmsg(int fd, const struct msghdr *m, int flags)
{
	struct iovec iov[2];
	struct msghdr half;

	switch (next_call(F_sendmsg, __builtin_return_address(0))) {
	case RIG_FAULTS_NONE:
		return __real_sendmsg(fd, m, flags);
	case RIG_FAULTS_SHORT:
		half = half_message(m, iov);
		return __real_sendmsg(fd, &half, flags);
	default:
		return -1;
	}
}

REAL(ssize_t, recvmsg, (int fd, struct msghdr *m, int flags));
ssize_t
__wrap_recvmsg(int fd, struct msghdr *m, int flags)
{
	struct iovec iov[2];
	struct msghdr half;
	ssize_t n;

	switch (next_call(F_recvmsg, __builtin_return_address(0))) {
	case RIG_FAULTS_NONE:
		return __real_recvmsg(fd, m, flags);
	case RIG_FAULTS_SHORT:
		half = half_message(m, iov);
		n = __real_recvmsg(fd, &half, flags);
		m->msg_controllen = half.msg_controllen;
		m->msg_flags = half.msg_flags;
		return n;
	default:
		return -1;
	}
}

struct start {
	void *(*fn)(void *arg);
	void *arg;
};

static void *
run_tested(void *arg)
{
	const struct start s = *(struct start *)arg;

	free(arg);
	tested = 1;
	elsewhere = true;
	return s.fn(s.arg);
}

REAL(int, pthread_create,
	(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *arg), void *arg));
int
__wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *arg), void *arg)
{
	struct start *s;
	int rc;

	if (tested == 0)
		return __real_pthread_create(t, attr, fn, arg);
	if (FAILS(pthread_create))
		return errno;
	s = __real_malloc(sizeof(*s));
	*s = (struct start){ fn, arg };
	rc = __real_pthread_create(t, attr, run_tested, s);
	if (rc != 0)
		free(s);
	return rc;
}

REAL(void, evloop_step, (struct evloop *loop, int timeout_ms));
void
__wrap_evloop_step(struct evloop *loop, int timeout_ms)
{
	rig_faults_enter();
	__real_evloop_step(loop, timeout_ms);
	rig_faults_leave();
}
