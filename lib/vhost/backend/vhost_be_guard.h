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
struct virtq_map;
struct vhost_be_guard;

/* The session may be served for so long at a time, and the loop's thread serve so long. */
#define VHOST_BE_GUARD_MS 2000
#define VHOST_BE_GUARD_LOOP_MS 10000

/*
 * Takes over `uffd`, through which pages come. *busy: atomic, since when the session is being
 * served (CLOCK_MONOTONIC, ns; 0: it is not), until the guard is freed. NULL: out of memory, or no
 * thread is to be had; uffd is closed.
 */
struct vhost_be_guard *vhost_be_guard_new(struct evloop *loop, const uint64_t *busy, int uffd);
/* The descriptor, or -1: it was closed, since somebody waited for too long. */
int vhost_be_guard_fd(struct vhost_be_guard *guard);
/*
 * Pages of this mapping, which is not used yet, come through the descriptor; one that has been
 * registered is not again. 0, -ENOMEM, -ENOSPC, or -errno of UFFDIO_REGISTER.
 */
int vhost_be_guard_register(struct vhost_be_guard *guard, struct virtq_map *map);
/*
 * It is over. `come`: all pages have; else the mappings are private memory from now on, for a page
 * of zeros that is put into the file would take the place of the guest's own. NULL is allowed.
 */
void vhost_be_guard_free(struct vhost_be_guard *guard, bool come);

#endif /* VHOST_BE_GUARD_H */
