/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The event loop of the control thread: fds, timers, and calls from other threads. epoll-driven;
 * one loop serves all sessions of a process, and all session state is touched by its thread alone.
 */
#ifndef VHU_LOOP_H
#define VHU_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct vhu_loop;

/* An fd that is watched; embedded in its owner, at rest when fd is -1. */
struct vhu_watch {
	int fd;
	uint32_t events;		/* EPOLLIN, EPOLLOUT */
	void (*ready)(struct vhu_watch *w, uint32_t events);
	void *owner;
	struct vhu_loop *loop;		/* NULL: not watched */
};

/* A one-shot timer; embedded in its owner. */
struct vhu_timer {
	void (*expired)(struct vhu_timer *t);
	void *owner;
	uint64_t at_ns;			/* CLOCK_MONOTONIC; 0: not armed */
	struct vhu_timer *prev, *next;	/* the loop's */
	struct vhu_loop *loop;
};

/* 0 or -errno. */
int vhu_loop_new(struct vhu_loop **loop);
/* After vhu_loop_run() has returned, and after everything that was watched is gone. */
void vhu_loop_free(struct vhu_loop *loop);
/* Serve until vhu_loop_quit(). The calling thread becomes the loop's thread. */
void vhu_loop_run(struct vhu_loop *loop);
void vhu_loop_quit(struct vhu_loop *loop); /* any thread */
/*
 * One round: wait at most timeout_ms (-1: until something happens), serve what is ready. What
 * vhu_loop_run() repeats; a test drives a loop with it in its own thread.
 */
void vhu_loop_step(struct vhu_loop *loop, int timeout_ms);

/* CLOCK_MONOTONIC, nanoseconds. */
uint64_t vhu_now_ns(void);

/*
 * Loop thread only (or before the loop runs). Adding returns 0 or -errno; removing or cancelling
 * what is at rest does nothing. A watch removed during a round is not called any more in
 * that round.
 */
int vhu_watch_add(struct vhu_loop *loop, struct vhu_watch *w);
int vhu_watch_mod(struct vhu_watch *w, uint32_t events);
void vhu_watch_del(struct vhu_watch *w); /* does not close the fd */
void vhu_timer_set(struct vhu_loop *loop, struct vhu_timer *t, uint64_t in_ms);
void vhu_timer_cancel(struct vhu_timer *t);

/*
 * Run fn(arg) in the loop's thread and wait for its result; called in that thread it runs at
 * once. Any thread. Returns what fn returns, or -ESHUTDOWN when the loop has quit.
 */
int vhu_loop_call(struct vhu_loop *loop, int (*fn)(void *arg), void *arg);

#endif /* VHU_LOOP_H */
