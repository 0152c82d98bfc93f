/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A front-end that plays whole sessions with a back-end which may fail at any moment: it takes what
 * answers it gets, and only waits for nothing in vain. What goes wrong is printed and counted, and
 * the play goes on.
 */
#ifndef RIG_PLAY_H
#define RIG_PLAY_H

#include "rig_faults.h"
#include "rig_frontend.h"

#define RIG_PLAY_PAGE 4096ull
#define RIG_PLAY_BUFFERS 0x100000ull	/* where buffers lie in the rig's memory */
#define RIG_PLAY_CHAINS 2		/* of a burst */

extern struct rig_play {
	struct rig *rig;
	const char *name;	/* of what is played */
	char fault[120];	/* what fails */
	bool client;		/* the back-end connects */
	bool exact;		/* nothing fails: no answer may say no */
	bool over;		/* the session has ended */
	bool refused;		/* something was, so that a ring need not start */
	int chan, uffd;		/* the front-end's ends, -1: none */
	int listener;		/* that the back-end connects to */
	uint32_t problems;
} rig_play;

#define RIG_CHECK(condition, ...) \
	do { \
		if (!(condition)) { \
			rig_play.problems++; \
			fprintf(stderr, "%s, %s, %s: ", rig_play.name, rig_play.fault, \
				rig_play.exact ? "next session" : "session"); \
			fprintf(stderr, __VA_ARGS__); \
			fprintf(stderr, "; log:\n%s", rig_play.rig->log); \
		} \
	} while (0)

/* A step that takes longer has hung. */
bool rig_play_is_late(uint64_t since_ns);

/* Send a request, and wait for its answer or the end of the session. Whether it says yes. */
bool rig_play_order(uint32_t request, const void *payload, uint32_t size, const int *fds,
		    uint32_t nfds);
bool rig_play_order_u64(uint32_t request, uint64_t value);
bool rig_play_order_state(uint32_t request, uint32_t index, uint32_t num);
bool rig_play_order_fd(uint32_t request, uint64_t word, int fd);
/* The answer has a length of its own; its fd is the caller's. */
bool rig_play_ask(uint32_t request, const void *payload, uint32_t size, const int *fds,
		  uint32_t nfds, struct vhu_msg *m);
/* The answer is a number; UINT64_MAX: there was none. */
uint64_t rig_play_ask_u64(uint32_t request, const void *payload, uint32_t size, const int *fds,
			  uint32_t nfds);

void rig_play_negotiate(uint64_t features);
void rig_play_give_table(void);
/* A ring as new; its addresses are this far from user addresses. `call`: to be called with. */
void rig_play_describe_ring(uint32_t i, uint64_t offset, uint32_t base, int call);
void rig_play_describe_rings(uint64_t offset);
/*
 * Packets go through a split ring, whose driver makes buffers available at `addr` and has to be
 * called. `meanwhile` (or NULL): what the front-end does again and again until they have.
 */
void rig_play_burst(uint32_t i, uint64_t addr, int call, void (*meanwhile)(void));
void rig_play_bursts(void);
void rig_play_stop_ring(uint32_t i);

/* A front-end comes; whoever was there leaves. */
void rig_play_join(void);
/* It goes, and the session has to end with a line. */
void rig_play_leave(void);

#endif /* RIG_PLAY_H */
