/* SPDX-License-Identifier: BSD-3-Clause */
/* What tests of a session's socket need beyond the rig. */
#ifndef VHU_SOCK_RIG_H
#define VHU_SOCK_RIG_H

#include "vhost_be_rig.h"

/* Try to make a session; the result, and the one line about it. */
static inline int
try_new(struct rig *rig, const struct vhost_be_config *cfg, char err[200])
{
	struct vhost_be *be = NULL;
	int rc;

	err[0] = '\0';
	rc = vhost_be_new(cfg, &be, err, 200);
	if (rc == 0) {
		assert_null(rig->be);
		rig->be = be;
	} else {
		assert_true(strlen(err) > 10);
		assert_null(strchr(err, '\n'));
	}
	return rc;
}

/* A listening socket of somebody else's. */
static inline int
listen_at(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

/* Wait for something to become true, serving the loop meanwhile. False: it took too long. */
#define WAIT(rig, condition, ms) \
	do { \
		uint64_t until = evloop_now_ns() + (ms) * 1000000ull; \
		while (!(condition) && evloop_now_ns() < until) \
			evloop_step((rig)->loop, 10); \
		assert_true(condition); \
	} while (0)

#endif /* VHU_SOCK_RIG_H */
