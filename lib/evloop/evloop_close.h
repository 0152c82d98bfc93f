/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Closing what a peer has sent without ever waiting for the peer.
 *
 * close(2) can take as long as whoever is behind the file likes: a process that serves a file
 * system is told and answers, a TCP socket lingers, and a Unix socket takes all descriptors with it
 * that nobody has received from it. What is not known to go at once is closed by a thread of its
 * own, one for each peer, so that no peer's descriptors wait for another's.
 */
#ifndef EVLOOP_CLOSE_H
#define EVLOOP_CLOSE_H

#include <stdbool.h>

#include "evloop_later.h"

/* Descriptors of one peer that may wait to be closed. With so many, nothing is read from it. */
#define EVLOOP_CLOSE_MOST 32

/* A descriptor of a message. `closer`: who closes for this peer; NULL: one for all. Any thread. */
void evloop_close_received(struct evloop_later *closer, int fd);
/* A connection: the peer learns of it at once, and can send no more. Any thread. */
void evloop_close_connection(struct evloop_later *closer, int fd);
/* The peer has to wait. False for NULL. */
bool evloop_close_full(struct evloop_later *closer);

#endif /* EVLOOP_CLOSE_H */
