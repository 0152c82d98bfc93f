/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Work that may take any time, done for one peer by a thread that does nothing else. The thread
 * lives as long as there is something to do, and no other peer's work waits for it.
 */
#ifndef EVLOOP_LATER_H
#define EVLOOP_LATER_H

#include <stdbool.h>
#include <stdint.h>

struct evloop_later;

/*
 * A thread that no signal disturbs, for which nobody waits and which nobody counts: it may live as
 * long as what it serves. False: none is to be had. Any thread.
 */
bool evloop_later_thread(void *(*fn)(void *arg), void *arg);
/* Such threads run where the calling one does, whoever asks for them; the first call counts. */
void evloop_later_home(void);

/* NULL: out of memory. */
struct evloop_later *evloop_later_new(void);
/* What waits is still done, then it is freed. NULL is allowed. Any thread. */
void evloop_later_put(struct evloop_later *later);
/*
 * Have fn(arg) called, in the order of the calls of this function. False: out of memory, and of
 * what was put aside for that; it will not be. Without a thread to be had it waits for the next
 * call, or for evloop_later_is_behind(). Any thread.
 */
bool evloop_later_add(struct evloop_later *later, void (*fn)(void *arg), void *arg);
/* As evloop_later_add(); false also where no thread is to be had, and then it is not called. */
bool evloop_later_try(struct evloop_later *later, void (*fn)(void *arg), void *arg);
/* Calls that wait or are in progress. Any thread. */
uint32_t evloop_later_waiting(const struct evloop_later *later);
/* Whether there are so many, which others may wait for: tries again for a thread. Any thread. */
bool evloop_later_is_behind(struct evloop_later *later, uint32_t most);
/* Calls of all peers together. Any thread. */
uint32_t evloop_later_pending(void);

#endif /* EVLOOP_LATER_H */
