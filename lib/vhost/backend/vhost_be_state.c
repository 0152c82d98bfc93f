/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state file: where packed rings stand, for a process that takes over after a kill. It is made
 * when the first packed ring starts, has one user at a time, and goes when the session ends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vhost_be_session.h"
#include "virtq_dev_log.h"
#include "virtq_saved.h"

/* Of the file; rings follow, the n-th at its n-th cache line. */
struct state_head {
	char magic[8];
	uint32_t version, nrings;
};

#define VERSION 1u

static const char magic[8] = "vringst";

static uint64_t
state_bytes(const struct vhost_be *be)
{
	return (be->nrings + 1u) * sizeof(struct virtq_saved);
}

/* It is nobody else's to read or to write. */
static const char *
state_refused(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return "it is no file";
	if (st.st_uid != geteuid() || (st.st_mode & 077) != 0 || st.st_nlink != 1)
		return "it is open to others: it has to be the process's own, with mode 0600";
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return "another process uses it";
	return NULL;
}

/* What it holds counts only if it is of this form. */
static void
check_content(struct vhost_be *be)
{
	struct state_head *head = (struct state_head *)(void *)be->state.host;

	if (memcmp(head->magic, magic, sizeof(magic)) == 0 && head->version == VERSION &&
	    head->nrings == be->nrings)
		return;
	memset(be->state.host, 0, state_bytes(be));
	memcpy(head->magic, magic, sizeof(magic));
	head->version = VERSION;
	head->nrings = be->nrings;
}

/* NULL, or why not. */
static const char *
map_state(struct vhost_be *be, int fd)
{
	const char *why = state_refused(fd);

	if (why != NULL)
		return why;
	/* Room for all of it now, so that writing to it cannot fail. */
	if (posix_fallocate(fd, 0, (off_t)state_bytes(be)) != 0 ||
	    virtq_mem_map_new(be->account, fd, 0, state_bytes(be), &be->state.map,
			      &be->state.host) < 0) {
		/* Rings move on without it, so that what it says is wrong from now on. */
		unlink(be->state.path);
		return "there is no room for it, or it may be served by another process or host";
	}
	check_content(be);
	return NULL;
}

/* Tried once; without it rings are placed by what their entries say. */
static void
open_state(struct vhost_be *be)
{
	const char *why;

	if (be->state.tried || be->state.path[0] == '\0')
		return;
	be->state.tried = true;
	be->state.fd = open(be->state.path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK,
			    0600);
	why = be->state.fd < 0 ? strerror(errno) : map_state(be, be->state.fd);
	if (why == NULL)
		return;
	vhost_be_session_log(be, VHOST_LOG_NOTICE, "no state file %s: %s. Packed rings may not go "
			     "on after a kill", be->state.path, why);
	if (be->state.fd >= 0)
		close(be->state.fd);
	be->state.fd = -1;
}

void
vhost_be_state_close(struct vhost_be *be)
{
	if (be->state.map == NULL)
		return;
	unlink(be->state.path);
	virtq_mem_map_put(be->state.map);
	be->state.map = NULL;
	close(be->state.fd);
}

static struct virtq_saved *
saved_of(const struct vhost_be *be, uint16_t qid)
{
	return (struct virtq_saved *)(void *)be->state.host + 1 + qid;
}

bool
vhost_be_state_place(struct vhost_be *be, const struct vhost_be_vring *r,
		     const struct virtq_ring *ring, uint32_t *base)
{
	open_state(be);
	if (be->state.map == NULL || !virtq_saved_place(saved_of(be, r->qid), ring, base))
		return false;
	if (ring->log != NULL)
		virtq_dev_log_returned(ring);
	return true;
}

void
vhost_be_state_begin(struct vhost_be *be, const struct vhost_be_vring *r,
		     const struct virtq_ring *ring)
{
	open_state(be);
	if (be->state.map != NULL)
		virtq_saved_begin(saved_of(be, r->qid), be->vq[r->qid], ring);
}

void
vhost_be_state_forget(struct vhost_be *be, const struct vhost_be_vring *r)
{
	if (be->state.map != NULL)
		virtq_saved_forget(saved_of(be, r->qid));
}
