/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "vhu_sock.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "evloop_close.h"

/* Connections looked at in one wakeup, so that a storm of them delays nobody else. */
#define MAX_ACCEPTS 16
/* How long not to listen when the process, or this peer, has no descriptor left. */
#define EXHAUSTED_MS 100

static int __attribute__((format(printf, 4, 5)))
sock_fail(char *err, size_t errlen, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, errlen, fmt, ap);
	va_end(ap);
	return error;
}

static int
stream_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

/*
 * 0: somebody listens there, and *out is the connection. Else -errno of connect(). Our end has a
 * name of the kernel's choice: it tells any process that holds the other end, this one too, that it
 * is one.
 */
static int
try_connect(const struct sockaddr_un *addr, int *out)
{
	const struct sockaddr_un unnamed = { .sun_family = AF_UNIX };
	int fd = stream_socket();

	if (fd < 0)
		return fd;
	bind(fd, (const struct sockaddr *)&unnamed, sizeof(sa_family_t));
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0) {
		int error = -errno;

		close(fd);
		return error;
	}
	*out = fd;
	return 0;
}

/* Make room for our socket: only a socket file that nobody serves may be removed. */
static int
clear_path(struct vhu_sock *s, char *err, size_t errlen)
{
	const char *path = s->addr.sun_path;
	struct stat st;
	int fd = -1, rc;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : sock_fail(err, errlen, -errno, "%s: %s", path,
						       strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return sock_fail(err, errlen, -EEXIST,
				 "%s exists and is not a socket; remove it or "
				 "choose another path", path);
	rc = try_connect(&s->addr, &fd);
	if (rc == 0)
		close(fd);
	if (rc == 0 || rc == -EAGAIN || rc == -EPROTOTYPE)
		return sock_fail(err, errlen, -EADDRINUSE,
				 "%s is served by another process or port",
				 path);
	if (rc != -ECONNREFUSED && rc != -ENOENT)
		return sock_fail(err, errlen, rc, "%s: %s", path, strerror(-rc));
	if (unlink(path) < 0 && errno != ENOENT)
		return sock_fail(err, errlen, -errno, "stale socket %s cannot be removed: %s", path,
				 strerror(errno));
	return 0;
}

/*
 * Bind with the permissions asked for. On Linux the file gets the socket's own mode less umask,
 * so it is never more open than asked for, and umask, which all threads share, stays alone.
 * Nobody can connect before listen().
 */
static int
bind_path(struct vhu_sock *s, int fd, const struct vhu_sock_config *cfg)
{
	const char *path = s->addr.sun_path;
	struct stat st;

	if (cfg->mode != 0 && fchmod(fd, cfg->mode) < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&s->addr, sizeof(s->addr)) < 0)
		return -errno;
	if (lstat(path, &st) < 0) {
		const int rc = -errno;

		unlink(path); /* made a moment ago; nobody can tell later on */
		return rc;
	}
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	if (cfg->gid != (gid_t)-1 && lchown(path, (uid_t)-1, cfg->gid) < 0)
		return -errno;
	/* What umask took away. */
	if (cfg->mode != 0 && (st.st_mode & 07777) != cfg->mode && chmod(path, cfg->mode) < 0)
		return -errno;
	return listen(fd, 64) < 0 ? -errno : 0;
}

/* Remove the socket file, unless somebody put another one in its place. */
static void
remove_path(const struct vhu_sock *s)
{
	struct stat st;

	if (s->ino != 0 && lstat(s->addr.sun_path, &st) == 0 && st.st_dev == s->dev &&
	    st.st_ino == s->ino)
		unlink(s->addr.sun_path);
}

/* A process without a free descriptor can neither accept a connection nor reject it. */
static void
pause_listening(struct vhu_sock *s)
{
	evloop_watch_del(&s->watch);
	evloop_timer_set(s->loop, &s->timer, EXHAUSTED_MS);
}

static void
listener_ready(struct evloop_watch *w, uint32_t events)
{
	struct vhu_sock *s = w->owner;

	for (int i = 0; i < MAX_ACCEPTS; i++) {
		int fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
			       errno == ENOMEM))
			pause_listening(s);
		if (fd < 0)
			return;
		if (s->ops->vacant(s))
			s->ops->peer(s, fd);
		else
			evloop_close_connection(s->closer, fd);
		if (evloop_close_full(s->closer)) {
			pause_listening(s);
			return;
		}
	}
}

static uint32_t
longer_delay(const struct vhu_sock *s, uint32_t delay_ms)
{
	uint32_t most = s->first_ms > VHU_SOCK_RECONNECT_MAX_MS ? s->first_ms :
								  VHU_SOCK_RECONNECT_MAX_MS;

	return delay_ms * 2 > most ? most : delay_ms * 2;
}

/* Client: try again after the current delay, and wait longer the time after. */
static void
try_later(struct vhu_sock *s)
{
	evloop_timer_set(s->loop, &s->timer, s->delay_ms);
	s->delay_ms = longer_delay(s, s->delay_ms);
}

static bool
names_us(const struct vhu_sock *s, const struct inotify_event *e)
{
	const char *slash = strrchr(s->addr.sun_path, '/');

	return e->len > 0 && strcmp(e->name, slash == NULL ? s->addr.sun_path : slash + 1) == 0;
}

static void
unwatch_dir(struct vhu_sock *s)
{
	if (s->dir.fd < 0)
		return;
	evloop_watch_del(&s->dir);
	close(s->dir.fd);
	s->dir.fd = -1;
}

/*
 * The socket's file has appeared or its permissions have changed: try before the present delay is
 * over. The delay grows each time until a peer has sent a message, so that a file which comes and
 * goes does not keep the loop busy.
 */
static void
try_soon(struct vhu_sock *s)
{
	if (evloop_now_ns() + s->appeared_ms * UINT64_C(1000000) >= s->timer.at_ns)
		return;
	s->delay_ms = s->appeared_ms;
	s->appeared_ms = longer_delay(s, s->appeared_ms);
	try_later(s);
}

static void
dir_changed(struct evloop_watch *w, uint32_t events)
{
	union {
		struct inotify_event event;
		char bytes[sizeof(struct inotify_event) + NAME_MAX + 1];
	} buf[8];
	bool appeared = false, gone = false;
	struct vhu_sock *s = w->owner;
	ssize_t n = read(w->fd, buf, sizeof(buf)), at = 0;

	while (at < n) {
		const struct inotify_event *e = (const void *)((const char *)buf + at);

		appeared |= names_us(s, e);
		gone |= e->mask & (IN_IGNORED | IN_MOVE_SELF);
		at += (ssize_t)(sizeof(*e) + e->len);
	}
	/* The directory itself: the next attempt looks for another in its place. */
	if (gone)
		unwatch_dir(s);
	if (appeared)
		try_soon(s);
}

/* Where that cannot be had, the delays between attempts will do. */
static void
watch_dir(struct vhu_sock *s)
{
	char dir[sizeof(s->addr.sun_path) + 1];
	char *slash;

	if (s->dir.fd >= 0)
		return;
	strcpy(dir, s->addr.sun_path);
	slash = strrchr(dir, '/');
	if (slash == NULL)
		strcpy(dir, ".");
	else
		slash[slash == dir] = '\0';
	s->dir.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (s->dir.fd < 0)
		return;
	if (inotify_add_watch(s->dir.fd, dir,
			      IN_CREATE | IN_MOVED_TO | IN_ATTRIB | IN_MOVE_SELF) < 0 ||
	    evloop_watch_add(s->loop, &s->dir) < 0) {
		close(s->dir.fd);
		s->dir.fd = -1;
	}
}

static void
try_now(struct vhu_sock *s)
{
	int fd = -1, rc;

	/* Before the attempt, so that no file appears unseen. */
	watch_dir(s);
	rc = try_connect(&s->addr, &fd);
	if (rc == 0) {
		unwatch_dir(s);
		s->waiting_reported = false;
		s->ops->peer(s, fd);
		return;
	}
	if (!s->waiting_reported)
		s->ops->waiting(s, rc);
	s->waiting_reported = true;
	try_later(s);
}

static void
timer_expired(struct evloop_timer *t)
{
	struct vhu_sock *s = t->owner;

	if (s->client)
		try_now(s);
	else if (evloop_watch_add(s->loop, &s->watch) < 0)
		evloop_timer_set(s->loop, &s->timer, EXHAUSTED_MS);
}

void
vhu_sock_again(struct vhu_sock *s, bool healthy)
{
	if (!s->client)
		return;
	if (healthy) {
		s->delay_ms = s->first_ms;
		s->appeared_ms = VHU_SOCK_APPEARED_MS;
	}
	watch_dir(s);
	/* Never at once: a peer that takes connections only to close them would own the loop. */
	try_later(s);
}

static int
open_server(struct vhu_sock *s, const struct vhu_sock_config *cfg, char *err, size_t errlen)
{
	int rc = clear_path(s, err, errlen);
	int fd;

	if (rc < 0)
		return rc;
	fd = stream_socket();
	if (fd < 0)
		return sock_fail(err, errlen, fd, "socket: %s", strerror(-fd));
	rc = bind_path(s, fd, cfg);
	if (rc == 0) {
		s->watch.fd = fd;
		rc = evloop_watch_add(s->loop, &s->watch);
	}
	if (rc < 0) {
		remove_path(s);
		close(fd);
		s->watch.fd = -1;
		return sock_fail(err, errlen, rc, "cannot listen on %s: %s", cfg->path,
				 strerror(-rc));
	}
	return 0;
}

int
vhu_sock_open(struct vhu_sock *s, const struct vhu_sock_config *cfg, struct evloop *loop,
	      const struct vhu_sock_ops *ops, void *owner, char *err, size_t errlen)
{
	memset(s, 0, sizeof(*s));
	s->watch = (struct evloop_watch){
		.fd = -1,
		.events = EPOLLIN,
		.ready = listener_ready,
		.owner = s,
	};
	s->dir = (struct evloop_watch){
		.fd = -1,
		.events = EPOLLIN,
		.ready = dir_changed,
		.owner = s,
	};
	s->timer = (struct evloop_timer){ .expired = timer_expired, .owner = s };
	s->loop = loop;
	s->ops = ops;
	s->owner = owner;
	s->closer = cfg->closer;
	s->client = cfg->client;
	s->first_ms = cfg->reconnect_ms != 0 ? cfg->reconnect_ms : VHU_SOCK_RECONNECT_MS;
	s->delay_ms = s->first_ms;
	s->appeared_ms = VHU_SOCK_APPEARED_MS;
	s->addr.sun_family = AF_UNIX;
	if (cfg->path[0] == '\0')
		return sock_fail(err, errlen, -EINVAL, "the path of the socket is empty");
	if (strlen(cfg->path) >= sizeof(s->addr.sun_path))
		return sock_fail(err, errlen, -ENAMETOOLONG,
				 "%s: a socket's path has at most %zu bytes",
				 cfg->path, sizeof(s->addr.sun_path) - 1);
	strcpy(s->addr.sun_path, cfg->path);
	if (!cfg->client)
		return open_server(s, cfg, err, errlen);
	/* From the loop, so that the owner is complete when its first peer comes. */
	evloop_timer_set(loop, &s->timer, 0);
	return 0;
}

void
vhu_sock_close(struct vhu_sock *s)
{
	evloop_timer_cancel(&s->timer);
	unwatch_dir(s);
	if (s->watch.fd < 0)
		return;
	remove_path(s);
	evloop_watch_del(&s->watch);
	close(s->watch.fd);
	s->watch.fd = -1;
}
