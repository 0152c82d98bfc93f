/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What all devices of the kernel share: the requests about rings, what errors of system calls mean,
 * and the kernel's own calls.
 */
#include "vhost_kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static void
report_gone(struct evloop_timer *t)
{
	struct vhost_kernel *k = t->owner;
	struct vhost_dev *dev = k->dev;

	if (dev->events != NULL && dev->events->lost != NULL)
		dev->events->lost(dev->ctx, dev->why);
}

void
vhost_kernel_init(struct vhost_kernel *k, struct vhost_dev *dev, const struct vhost_kernel_sys *sys)
{
	*k = (struct vhost_kernel){
		.dev = dev,
		.sys = sys,
		.soon = { .expired = report_gone, .owner = k },
	};
}

bool
vhost_kernel_is_missing(int rc)
{
	return rc == -ENOTTY || rc == -EOPNOTSUPP || rc == -ENOSYS;
}

/* EBADFD: the network interface behind a tap's descriptor was deleted. */
int
vhost_kernel_check(struct vhost_kernel *k, int rc)
{
	const bool gone = rc == -ENODEV || rc == -ENXIO || rc == -EBADFD;

	if (gone && !k->gone) {
		k->gone = true;
		evloop_timer_set(k->dev->loop, &k->soon, 0);
	}
	return gone ? -ENODEV : rc;
}

int
vhost_kernel_open_failed(struct vhost_dev *dev, const char *path, int rc, const char *missing)
{
	switch (rc) {
	case -EACCES:
	case -EPERM:
		return vhost_dev_fail(dev, rc, "%s: no permission", path);
	case -ENOENT:
	case -ENXIO:
	case -ENODEV:
		return vhost_dev_fail(dev, rc, "%s: there is no such device; %s", path, missing);
	default:
		return vhost_dev_fail(dev, rc, "%s: %s", path, strerror(-rc));
	}
}

int
vhost_kernel_ioctl(struct vhost_kernel *k, int fd, unsigned long request, void *arg,
		   const char *what)
{
	int rc = k->sys->ioctl(k->sys->ctx, fd, request, arg);

	if (rc >= 0)
		return rc;
	return vhost_dev_fail(k->dev, vhost_kernel_check(k, rc), "%s: %s", what, strerror(-rc));
}

int
vhost_kernel_set_owner(struct vhost_kernel *k, int fd)
{
	int rc = vhost_kernel_ioctl(k, fd, VHOST_SET_OWNER, NULL, "SET_OWNER");

	return rc < 0 ? rc : 0;
}

int
vhost_kernel_ring_state(struct vhost_kernel *k, int fd, unsigned long request, uint32_t index,
			uint32_t num, const char *what)
{
	struct vhost_vring_state state = { index, num };
	int rc = vhost_kernel_ioctl(k, fd, request, &state, what);

	return rc < 0 ? rc : 0;
}

int
vhost_kernel_ring_get(struct vhost_kernel *k, int fd, unsigned long request, uint32_t index,
		      uint32_t *num, const char *what)
{
	struct vhost_vring_state state = { .index = index };
	int rc = vhost_kernel_ioctl(k, fd, request, &state, what);

	if (rc < 0)
		return rc;
	*num = state.num;
	return 0;
}

int
vhost_kernel_ring_addr(struct vhost_kernel *k, int fd, uint32_t index, uint64_t desc,
		       uint64_t avail, uint64_t used)
{
	struct vhost_uapi_vring_addr arg = {
		.index = index,
		.desc_user_addr = desc,
		.avail_user_addr = avail,
		.used_user_addr = used,
	};
	int rc = vhost_kernel_ioctl(k, fd, VHOST_SET_VRING_ADDR, &arg, "addresses of a ring");

	return rc < 0 ? rc : 0;
}

int
vhost_kernel_ring_file(struct vhost_kernel *k, int fd, unsigned long request, uint32_t index,
		       int file, const char *what)
{
	struct vhost_vring_file arg = { index, file < 0 ? -1 : file };
	int rc = vhost_kernel_ioctl(k, fd, request, &arg, what);

	return rc < 0 ? rc : 0;
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

static int
sys_socket(void *ctx)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

static int
sys_number(void *ctx, const char *path, uint32_t *value)
{
	FILE *f = fopen(path, "re");
	int n;

	if (f == NULL)
		return -errno;
	n = fscanf(f, "%u", value);
	fclose(f);
	return n == 1 ? 0 : -EINVAL;
}

const struct vhost_kernel_sys vhost_kernel_linux = {
	.open = sys_open,
	.close = sys_close,
	.ioctl = sys_ioctl,
	.write = sys_write,
	.mmap = sys_mmap,
	.munmap = sys_munmap,
	.eventfd = sys_eventfd,
	.socket = sys_socket,
	.number = sys_number,
};
