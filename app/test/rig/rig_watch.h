/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests: what a user sees of ports: conditions that come true, log lines, counters. */
#ifndef RIG_WATCH_H
#define RIG_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include "evloop.h"

#define WATCH_MS 20000

/* Whether the condition comes true in time. */
#define BECOMES(condition) \
	({ \
		uint64_t end_ = evloop_now_ns() + WATCH_MS * 1000000ull; \
		bool true_; \
		while (!(true_ = (condition)) && evloop_now_ns() < end_) \
			usleep(100); \
		true_; \
	})

/* Keep what ports say from here on, for the user to read. */
void watch_log(void);
/* As before; also where nothing was kept. */
void watch_log_end(void);
/* How often this was said. */
unsigned int heard(const char *what);
/* An xstat of a port by its name. */
uint64_t watch_xstat(uint16_t id, const char *name);

#endif /* RIG_WATCH_H */
