/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * While memory comes page by page: whoever waits too long for a page waits no more. A page that has
 * come is not expected to go, and a front-end that takes one away could hold up the control thread,
 * with all its ports, for as long as it likes.
 */
#ifndef VHOST_BE_GUARD_H
#define VHOST_BE_GUARD_H

#include <stdbool.h>
#include <stdint.h>

struct evloop;
struct vhost_be_guard;

/* The loop's thread may be in one call for so long. */
#define VHOST_BE_GUARD_MS 2000

/* Takes over `uffd`, through which pages come. NULL: out of memory; uffd is closed. */
struct vhost_be_guard *vhost_be_guard_new(struct evloop *loop, int uffd);
/* The descriptor, or -1: it was closed, since somebody waited for too long. */
int vhost_be_guard_fd(struct vhost_be_guard *guard);
/*
 * Pages of this mapping, which is not used yet, come through the descriptor. 0, or -errno of
 * UFFDIO_REGISTER.
 */
int vhost_be_guard_register(struct vhost_be_guard *guard, void *start, uint64_t bytes);
/* Close it: who waits for a page gets one of zeros. NULL is allowed. */
void vhost_be_guard_free(struct vhost_be_guard *guard);

#endif /* VHOST_BE_GUARD_H */
