/* SPDX-License-Identifier: BSD-3-Clause */
/* The system calls of a session, what their errors mean, and the kernel's own. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vhost_vdpa_session.h"

bool
vhost_vdpa_sys_is_missing(int rc)
{
	return rc == -ENOTTY || rc == -EOPNOTSUPP || rc == -ENOSYS;
}

int
vhost_vdpa_sys_check(struct vhost_vdpa *v, int rc)
{
	if ((rc == -ENODEV || rc == -ENXIO) && !v->gone) {
		v->gone = true;
		evloop_timer_set(v->dev->loop, &v->soon, 0);
	}
	return rc == -ENXIO ? -ENODEV : rc;
}

int
vhost_vdpa_sys_ioctl(struct vhost_vdpa *v, unsigned long request, void *arg, const char *what)
{
	int rc = v->sys->ioctl(v->sys->ctx, v->fd, request, arg);

	if (rc >= 0)
		return rc;
	return vhost_dev_fail(v->dev, vhost_vdpa_sys_check(v, rc), "%s: %s", what, strerror(-rc));
}

static int
sys_open(void *ctx, const char *path, int flags)
{
	int fd = open(path, flags);

	return fd < 0 ? -errno : fd;
}

static int
sys_close(void *ctx, int fd)
{
	return close(fd) < 0 ? -errno : 0;
}

static int
sys_ioctl(void *ctx, int fd, unsigned long request, void *arg)
{
	int rc;

	do {
		rc = ioctl(fd, request, arg);
	} while (rc < 0 && errno == EINTR);
	return rc < 0 ? -errno : rc;
}

static ssize_t
sys_write(void *ctx, int fd, const void *buf, size_t len)
{
	ssize_t n;

	do {
		n = write(fd, buf, len);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static int
sys_mmap(void *ctx, int fd, size_t len, off_t offset, void **addr)
{
	void *p = mmap(NULL, len, PROT_WRITE, MAP_SHARED, fd, offset);

	if (p == MAP_FAILED)
		return -errno;
	*addr = p;
	return 0;
}

static int
sys_munmap(void *ctx, void *addr, size_t len)
{
	return munmap(addr, len) < 0 ? -errno : 0;
}

static int
sys_eventfd(void *ctx)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

const struct vhost_vdpa_sys vhost_vdpa_sys_linux = {
	.open = sys_open,
	.close = sys_close,
	.ioctl = sys_ioctl,
	.write = sys_write,
	.mmap = sys_mmap,
	.munmap = sys_munmap,
	.eventfd = sys_eventfd,
};
