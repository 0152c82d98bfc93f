/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A dirty log of the session's own: the back-end marks in it what it writes, as while a guest
 * migrates. It is switched on under rings that run, in the order in which QEMU does it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vhost_fe_session.h"
#include "vhu_msg.h"

/* A bit for each page that a process can have. Little of the file is ever there. */
#define LOG_BYTES ((1ull << 47 >> 12) / 8)

static bool
is_served(const struct vhost_fe *fe)
{
	return (fe->limits.offered & VIRTQ_BIT(VHOST_F_LOG_ALL)) &&
	       (fe->limits.protocol & VIRTQ_BIT(VHU_PF_LOG_SHMFD));
}

static int
switch_on(struct vhost_fe *fe)
{
	int rc = vhost_set_log_base(fe->dev, LOG_BYTES, 0, fe->log.fd);

	if (rc == 0)
		rc = vhost_set_features(fe->dev, fe->features | VIRTQ_BIT(VHOST_F_LOG_ALL));
	for (uint32_t qid = 0; rc == 0 && qid < 2u * fe->in_use; qid++)
		rc = vhost_fe_ring_log(fe, qid);
	return rc;
}

int
vhost_fe_log_begin(struct vhost_fe *fe)
{
	if (!fe->log.wanted)
		return 0;
	if (!is_served(fe)) {
		vhost_fe_session_log(fe, VHOST_LOG_NOTICE, "the back-end keeps no dirty log: it "
				     "lacks LOG_ALL or LOG_SHMFD");
		return 0;
	}
	fe->log.fd = memfd_create("dirty-log", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fe->log.fd < 0 || ftruncate(fe->log.fd, LOG_BYTES) < 0)
		return vhost_dev_fail(fe->dev, -errno, "no memory for the dirty log");
	return switch_on(fe);
}

void
vhost_fe_log_end(struct vhost_fe *fe)
{
	if (fe->log.fd >= 0)
		close(fe->log.fd);
	fe->log.fd = -1;
}

/* Marks in a part of the file that is there. */
static uint64_t
count_marks(int fd, off_t from, off_t to)
{
	uint64_t words[512], n = 0;

	while (from < to) {
		const ssize_t got = pread(fd, words, sizeof(words), from);

		if (got <= 0)
			break;
		for (size_t i = 0; i < (size_t)got / sizeof(words[0]); i++)
			n += (uint64_t)__builtin_popcountll(words[i]);
		from += got;
	}
	return n;
}

uint64_t
vhost_fe_log_pages(const struct vhost_fe *fe)
{
	off_t from = 0, to;
	uint64_t n = 0;

	if (fe->log.fd < 0)
		return 0;
	while ((from = lseek(fe->log.fd, from, SEEK_DATA)) >= 0) {
		to = lseek(fe->log.fd, from, SEEK_HOLE);
		if (to <= from)
			break;
		n += count_marks(fe->log.fd, from, to);
		from = to;
	}
	return n;
}
