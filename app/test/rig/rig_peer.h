/* SPDX-License-Identifier: BSD-3-Clause */
/* A front-end's session, and a back-end that does not what ours does: other makes, slow ones. */
#ifndef RIG_PEER_H
#define RIG_PEER_H

#include <poll.h>

#include "rig_backend.h"
#include "rig_pair.h"

struct bench {
	struct pair *p;
	struct mock *m;
};

int bench_setup(void **state);
int bench_teardown(void **state);
/* The back-end is there, and the session is told to start. */
void bench_start(struct bench *b);
/* Serve the session until its rings run, or do not. */
void bench_until_running(struct bench *b, bool running);
/* End the session. */
void bench_leave(struct bench *b);
uint64_t ms_since(uint64_t start);

#define PEER_TEST(fn) cmocka_unit_test_setup_teardown(fn, bench_setup, bench_teardown)

#endif /* RIG_PEER_H */
