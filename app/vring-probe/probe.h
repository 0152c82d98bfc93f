/* SPDX-License-Identifier: BSD-3-Clause */
/* What there is at a path, and what it says of itself. */
#ifndef PROBE_H
#define PROBE_H

#include "vhost_dev.h"

/* Exit status. */
enum {
	PROBE_OK = 0,		/* a device, described */
	PROBE_NOTHING = 1,	/* nothing, or something else */
	PROBE_USAGE = 2,
	PROBE_IN_USE = 3,	/* a device that somebody else uses: left alone */
	PROBE_TRAFFIC = 4,	/* a device that did not carry the test packets */
};

struct probe {
	const char *path;
	struct evloop *loop;
	struct vhost_dev dev;
	const char *role;	/* what is there, in words; NULL: not known yet */
	char why[VHOST_WHY + 200]; /* one line, when it is not PROBE_OK */
};

/*
 * Find out what is at p->path and open it as far as vhost_init(). PROBE_OK, or one of the other
 * states and p->why.
 */
int probe_open(struct probe *p, uint32_t timeout_ms);
/* Say what it says. */
void probe_describe(struct probe *p);
/*
 * Send a few packets through the first pair of rings and look at what comes back. Says the figures;
 * PROBE_OK, or PROBE_TRAFFIC and p->why. The device is closed afterwards.
 */
int probe_traffic(struct probe *p);

#endif /* PROBE_H */
