/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The event loop of the control thread: fds, timers, and calls from other threads. epoll-driven;
 * one loop serves all sessions of a process, and all session state is touched by its thread alone.
 */
#ifndef EVLOOP_H
#define EVLOOP_H

#include <stdbool.h>
#include <stdint.h>

struct evloop;

/* An fd that is watched; embedded in its owner. fd -1: none. */
struct evloop_watch {
	int fd;
	uint32_t events;		/* EPOLLIN, EPOLLOUT */
	void (*ready)(struct evloop_watch *w, uint32_t events);
	void *owner;
	struct evloop *loop;		/* NULL: not watched */
};

/* A one-shot timer; embedded in its owner. */
struct evloop_timer {
	void (*expired)(struct evloop_timer *t);
	void *owner;
	uint64_t at_ns;			/* CLOCK_MONOTONIC; 0: not armed */
	struct evloop_timer *prev, *next;	/* the loop's */
	struct evloop *loop;
};

/* 0 or -errno. */
int evloop_new(struct evloop **loop);
/* After evloop_run() has returned, and after everything that was watched is gone. */
void evloop_free(struct evloop *loop);
/* Serve until evloop_quit(). The calling thread becomes the loop's thread. */
void evloop_run(struct evloop *loop);
void evloop_quit(struct evloop *loop); /* any thread */
/*
 * One round: wait at most timeout_ms (-1: until something happens), serve what is ready. What
 * evloop_run() repeats; a test drives a loop with it in its own thread.
 */
void evloop_step(struct evloop *loop, int timeout_ms);

/* CLOCK_MONOTONIC, nanoseconds. */
uint64_t evloop_now_ns(void);
/* Since when the loop's thread has served what was ready; 0: it waits for that. Any thread. */
uint64_t evloop_busy_since(const struct evloop *loop);

/*
 * Loop thread only (or before the loop runs). Adding returns 0 or -errno; removing or cancelling
 * what is not in the loop does nothing. A watch removed during a round is not called any more in
 * that round.
 */
int evloop_watch_add(struct evloop *loop, struct evloop_watch *w);
int evloop_watch_mod(struct evloop_watch *w, uint32_t events);
void evloop_watch_del(struct evloop_watch *w); /* does not close the fd */
void evloop_timer_set(struct evloop *loop, struct evloop_timer *t, uint64_t in_ms);
void evloop_timer_cancel(struct evloop_timer *t);

/*
 * Run fn(arg) in the loop's thread and wait for its result; called in that thread it runs at
 * once. Any thread. Returns what fn returns, or -ESHUTDOWN when the loop has quit.
 */
int evloop_call(struct evloop *loop, int (*fn)(void *arg), void *arg);

#endif /* EVLOOP_H */
