/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * In-flight tracking: memory that the front-end keeps for whoever serves the rings next.
 * vhost-user, "Inflight I/O tracking".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vhost_be_session.h"
#include "virtq_dev_log.h"
#include "virtq_inflight.h"
#include "virtq_notify.h"

/* What a message says of queues, or NULL with the reason noted. */
static const struct vhu_inflight *
queues_of(struct vhost_be *be, const struct vhu_msg *msg)
{
	const struct vhu_inflight *said = &msg->inflight;

	if (said->num_queues != 0 && said->num_queues <= be->nrings && said->queue_size != 0 &&
	    said->queue_size <= VIRTQ_MAX_SIZE)
		return said;
	vhost_be_session_refuse(be, -EINVAL, "in-flight tracking for no queue or more than the "
				"port has, or for rings not of 1 to 32768 entries");
	return NULL;
}

static uint64_t
bytes_for(const struct vhost_be *be, const struct vhu_inflight *said)
{
	return said->num_queues *
	       virtq_inflight_bytes(said->queue_size, vhost_be_session_packed(be));
}

/* Nobody can cut it short. -errno. */
static int
new_region(uint64_t bytes)
{
	const int fd = memfd_create("vring-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)bytes) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		const int rc = -errno;

		close(fd);
		return rc;
	}
	return fd;
}

int
vhost_be_inflight_on_get_fd(struct vhost_be *be, struct vhu_msg *msg)
{
	const struct vhu_hdr hdr = { msg->hdr.request, VHU_FLAGS_REPLY, sizeof(msg->inflight) };
	const struct vhu_inflight *said = queues_of(be, msg);
	struct vhu_inflight answer;
	int fd, rc;

	if (said == NULL)
		return -EINVAL;
	answer = (struct vhu_inflight){
		.mmap_size = bytes_for(be, said),
		.num_queues = said->num_queues,
		.queue_size = said->queue_size,
	};
	fd = new_region(answer.mmap_size);
	if (fd < 0)
		return vhost_be_session_refuse(be, fd, "no memory for in-flight tracking");
	rc = vhu_conn_send_fd(&be->conn, &hdr, &answer, fd);
	close(fd);
	return rc < 0 ? vhost_be_session_unsent(be, rc) : VHOST_BE_ANSWERED;
}

int
vhost_be_inflight_on_set_fd(struct vhost_be *be, struct vhu_msg *msg)
{
	const struct vhu_inflight *said = queues_of(be, msg);
	struct vhost_be_inflight next;
	int rc;

	if (said == NULL)
		return -EINVAL;
	if (said->mmap_size < bytes_for(be, said) || said->mmap_offset % sizeof(uint64_t) != 0)
		return vhost_be_session_refuse(be, -EINVAL, "memory for in-flight tracking that "
					       "is too small for its queues, or not aligned");
	if (be->sealed && !virtq_mem_kind_is_sealed(msg->fds[0]))
		return vhost_be_session_refuse(be, -ETXTBSY, "memory for in-flight tracking that "
					       "can be cut short: sealed-memory=1 allows a memfd "
					       "with F_SEAL_SHRINK");
	next = (struct vhost_be_inflight){
		.bytes = said->mmap_size,
		.num_queues = said->num_queues,
		.queue_size = said->queue_size,
	};
	rc = virtq_mem_map_new(be->account, msg->fds[0], said->mmap_offset, said->mmap_size,
			       &next.map, &next.host);
	if (rc < 0)
		return vhost_be_session_refuse(be, rc, rc == -ENOMEM ? "out of memory" :
					       "memory for in-flight tracking cannot be "
					       "mapped: a file too short, or of a kind that "
					       "another process or host may serve");
	vhost_be_inflight_close(be);
	be->inflight = next;
	return 0;
}

void
vhost_be_inflight_close(struct vhost_be *be)
{
	if (be->inflight.map != NULL)
		virtq_mem_map_put(be->inflight.map);
	be->inflight = (struct vhost_be_inflight){ .map = NULL };
}

/* The ring's part of the memory, or NULL. Rings can be shorter than what it was made for. */
static void *
part_of(const struct vhost_be *be, const struct virtq_ring *ring)
{
	const struct vhost_be_inflight *in = &be->inflight;
	const uint64_t bytes = virtq_inflight_bytes(in->queue_size, ring->packed);

	if (in->map == NULL || ring->qid >= in->num_queues || ring->size > in->queue_size ||
	    (ring->qid + 1) * bytes > in->bytes)
		return NULL;
	return in->host + ring->qid * bytes;
}

bool
vhost_be_inflight_place(struct vhost_be *be, const struct vhost_be_vring *r,
			const struct virtq_ring *ring, uint32_t *base)
{
	void *part = part_of(be, ring);
	uint32_t returned;

	if (part == NULL || !virtq_inflight_place(part, ring, base, &returned))
		return false;
	if (ring->log != NULL)
		virtq_dev_log_returned(ring);
	/* The driver may wait for what was returned just before the kill. */
	virtq_notify(r->call);
	if (returned > 0)
		vhost_be_session_log(be, VHOST_LOG_NOTICE, "ring %u: %u chains that a former "
				     "back-end had in flight were returned unused", r->qid,
				     returned);
	return true;
}

bool
vhost_be_inflight_begin(struct vhost_be *be, const struct virtq_ring *ring)
{
	void *part = part_of(be, ring);

	if (part == NULL)
		return false;
	virtq_inflight_begin(part, be->vq[ring->qid], ring);
	return true;
}
