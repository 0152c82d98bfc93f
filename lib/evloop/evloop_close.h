/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Closing what a peer has sent without ever waiting for the peer.
 *
 * close(2) can take as long as whoever is behind the file likes: a process that serves a file
 * system is told and answers, a TCP socket lingers, and a Unix socket takes all descriptors with it
 * that nobody has received from it. What is not known to go at once is closed by a thread that does
 * nothing else and lives as long as there is something to close.
 */
#ifndef EVLOOP_CLOSE_H
#define EVLOOP_CLOSE_H

#include <stdbool.h>

/* A descriptor of a message. Any thread. */
void evloop_close_received(int fd);
/* A connection: the peer learns of it at once, and can send no more. Any thread. */
void evloop_close_connection(int fd);
/* Whether that thread still has something to close. */
bool evloop_close_pending(void);

#endif /* EVLOOP_CLOSE_H */
