/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where connections come from: a socket that listens, or one that connects again and again.
 * Both give the owner connected stream sockets, one after the other.
 */
#ifndef VHU_SOCK_H
#define VHU_SOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/un.h>

#include "evloop.h"

/* Milliseconds between attempts to connect when nothing else is asked for, and at most. */
#define VHU_SOCK_RECONNECT_MS 100
#define VHU_SOCK_RECONNECT_MAX_MS 1000
/* The first delay after the socket's file has appeared: it is made before anybody listens. */
#define VHU_SOCK_APPEARED_MS 1

struct vhu_sock;

struct vhu_sock_ops {
	/* A peer is there; the fd is the owner's. */
	void (*peer)(struct vhu_sock *s, int fd);
	/*
	 * Server: another peer connects. True: there is no peer (any more), accept it; false:
	 * reject it.
	 */
	bool (*vacant)(struct vhu_sock *s);
	/* Client: the first failed attempt since the last peer left. */
	void (*waiting)(struct vhu_sock *s, int error);
};

struct vhu_sock_config {
	const char *path;
	bool client;
	uint32_t reconnect_ms;	/* client; 0: the default */
	mode_t mode;		/* server; 0: as umask has it */
	gid_t gid;		/* server; (gid_t)-1: as the process has it */
	struct evloop_later *closer; /* closes connections that are rejected; may be NULL */
};

struct vhu_sock {
	struct sockaddr_un addr;
	struct evloop_watch watch;		/* server: the listening socket; client: unused */
	struct evloop_timer timer;		/* client: next attempt; server: listen again */
	struct evloop *loop;
	const struct vhu_sock_ops *ops;
	void *owner;
	struct evloop_later *closer;
	bool client;
	uint32_t first_ms, delay_ms;	/* client: first and next delay between attempts */
	struct evloop_watch dir;	/* client: inotify, fd -1: the peer is there, or unusable */
	uint32_t appeared_ms;		/* client: delay when the file appears the next time */
	bool waiting_reported;		/* client: ops->waiting was called */
	dev_t dev;			/* server: the socket file that this one made */
	ino_t ino;
};

/*
 * Listen, or begin to connect; never waits. 0, or -errno and one line in err, as vhost_be_new()
 * says.
 */
int vhu_sock_open(struct vhu_sock *s, const struct vhu_sock_config *cfg, struct evloop *loop,
		  const struct vhu_sock_ops *ops, void *owner, char *err, size_t errlen);
/* Stop; the socket file goes with it if it is still ours. */
void vhu_sock_close(struct vhu_sock *s);
/*
 * Client: the peer is gone, connect again. `healthy`: it has sent messages, so begin with the
 * short delay.
 * Server: nothing to do.
 */
void vhu_sock_again(struct vhu_sock *s, bool healthy);

#endif /* VHU_SOCK_H */
