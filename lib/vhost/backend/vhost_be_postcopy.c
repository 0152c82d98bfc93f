/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Post-copy migration, at its destination: the guest runs before its memory has come. The front-end
 * handles faults of this process too; it is told where memory lies here, and says when it knows.
 * vhost-user, "Postcopy support".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vhost_be_session.h"
#include "virtq_iotlb_view.h"

static int
new_uffd(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	const int fd = (int)syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	if (ioctl(fd, UFFDIO_API, &api) < 0) {
		const int rc = -errno;

		close(fd);
		return rc;
	}
	return fd;
}

/* The descriptor stays ours as well: mappings are registered with it, and go when it is closed. */
int
vhost_be_postcopy_on_advise(struct vhost_be *be, struct vhu_msg *msg)
{
	const struct vhu_hdr hdr = { msg->hdr.request, VHU_FLAGS_REPLY, 0 };
	int fd, rc;

	vhost_be_postcopy_close(be, true);
	fd = new_uffd();
	if (fd < 0)
		return vhost_be_session_refuse(be, fd, fd == -EPERM || fd == -ENOSYS ?
					       "no userfaultfd: the kernel has none, or "
					       "vm.unprivileged_userfaultfd forbids it" :
					       "no userfaultfd: no descriptor or memory is left");
	rc = vhu_conn_send_fd(&be->conn, &hdr, NULL, fd);
	if (rc < 0) {
		close(fd);
		return vhost_be_session_unsent(be, rc);
	}
	be->postcopy.guard = vhost_be_guard_new(be->loop, &be->busy_ns, fd);
	/* The answer has gone, so that nothing can be refused any more. */
	if (be->postcopy.guard == NULL)
		return vhost_be_session_refuse(be, -EMSGSIZE, "out of memory or threads");
	return VHOST_BE_ANSWERED;
}

int
vhost_be_postcopy_on_listen(struct vhost_be *be, struct vhu_msg *msg)
{
	if (be->postcopy.guard == NULL)
		return vhost_be_session_refuse(be, -EINVAL, "POSTCOPY_ADVISE has to come before");
	if (be->mem != NULL)
		return vhost_be_session_refuse(be, -EBUSY, "memory is mapped already");
	be->postcopy.listening = true;
	return 0;
}

int
vhost_be_postcopy_on_end(struct vhost_be *be, struct vhu_msg *msg)
{
	if (be->postcopy.guard == NULL)
		return vhost_be_session_refuse(be, -EINVAL, "no post-copy is in progress");
	vhost_be_postcopy_close(be, true);
	/* All pages are there: rings are built anew, and translate as they always do. */
	vhost_be_iotlb_follow(be, be->features, be->mem);
	for (uint16_t i = 0; i < be->nrings; i++)
		be->vring[i].stale = true;
	vhost_be_rings_retry(be);
	msg->hdr.size = sizeof(msg->u64);
	msg->u64 = 0;
	return 0;
}

void
vhost_be_postcopy_close(struct vhost_be *be, bool come)
{
	vhost_be_guard_free(be->postcopy.guard, come);
	be->postcopy.guard = NULL;
	be->postcopy.listening = false;
	virtq_mem_put(be->postcopy.mem);
	be->postcopy.mem = NULL;
}

bool
vhost_be_postcopy_failed(const struct vhost_be *be)
{
	return be->postcopy.guard != NULL && vhost_be_guard_fd(be->postcopy.guard) < 0;
}

/* Memory that the front-end has yet to confirm. */
struct virtq_mem *
vhost_be_postcopy_mem(const struct vhost_be *be)
{
	return be->postcopy.mem != NULL ? be->postcopy.mem : be->mem;
}

/* A page of the guest's is one of ours. */
static bool
in_whole_pages(const struct virtq_mem *mem)
{
	uint64_t bits = 0;

	for (uint32_t i = 0; i < mem->nregions; i++)
		bits |= mem->region[i].gpa | mem->region[i].size | (uintptr_t)mem->region[i].host;
	return bits % VIRTQ_IOTLB_PAGE == 0;
}

/* An answer with the address of each region in this process in place of the front-end's. */
int
vhost_be_postcopy_propose(struct vhost_be *be, struct vhu_msg *msg, struct virtq_mem *mem)
{
	const struct vhu_hdr hdr = { msg->hdr.request, VHU_FLAGS_REPLY, msg->hdr.size };
	const bool table = msg->hdr.request == VHU_SET_MEM_TABLE;
	const uint32_t n = table ? msg->table.n : 1;
	int rc;

	if (!in_whole_pages(mem)) {
		virtq_mem_put(mem);
		return vhost_be_session_refuse(be, -EINVAL, "memory that does not begin and end "
					       "with pages cannot come page by page");
	}
	for (uint32_t i = 0; i < n; i++) {
		uint8_t *at = msg->raw + 8 + i * sizeof(struct vhu_mem_region);
		struct vhu_mem_region wire;

		memcpy(&wire, at, sizeof(wire));
		wire.uva = (uint64_t)(uintptr_t)virtq_mem_find(mem, wire.gpa)->host;
		memcpy(at, &wire, sizeof(wire));
	}
	virtq_mem_put(be->postcopy.mem);
	be->postcopy.mem = mem;
	rc = vhu_conn_send(&be->conn, &hdr, msg->raw);
	return rc < 0 ? vhost_be_session_unsent(be, rc) : VHOST_BE_ANSWERED;
}

/* The front-end handles faults of what was proposed: only now may it be touched. */
int
vhost_be_postcopy_confirm(struct vhost_be *be, const struct vhu_msg *msg, struct virtq_mem **out)
{
	struct virtq_mem *mem = be->postcopy.mem;

	if (mem == NULL || msg->nfds != 0 || msg->u64 != 0)
		return vhost_be_session_refuse(be, -EMSGSIZE, "no memory waits for a confirmation");
	for (uint32_t i = 0; i < mem->nregions; i++) {
		const int rc = vhost_be_guard_register(be->postcopy.guard,
						       mem->region[i].map);

		if (rc < 0)
			return vhost_be_session_refuse(be, rc, rc == -ENOMEM ? "out of memory" :
						       "memory in a file of a kind whose "
						       "pages cannot be missed");
	}
	be->postcopy.mem = NULL;
	*out = mem;
	return 0;
}
