/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vhost-vdpa device made of the table of system calls: it keeps what it is told, enforces what
 * the kernel enforces, and can fail any of its calls.
 *
 * Every test that uses fake_setup() and fake_teardown() also fails when descriptors or mapped pages
 * are left.
 */
#ifndef RIG_DEVICE_VDPA_H
#define RIG_DEVICE_VDPA_H

#include <dirent.h>
#include <endian.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "vhost_dev.h"
#include "vhost_uapi.h"
#include "virtq_compat.h"
#include "virtq_ring.h"

#define FAKE_FD 1000000		/* no descriptor of the process */
#define FAKE_RINGS 5
#define FAKE_MAPS 64
#define FAKE_LOG 4096
#define FAKE_PAGE 4096ull
/* The features that a driver has to take. */
#define FAKE_WANTED (VIRTQ_BIT(VIRTIO_F_VERSION_1) | VIRTQ_BIT(VIRTIO_F_ACCESS_PLATFORM))

struct fake_map {
	uint32_t asid;
	uint64_t iova, size, uaddr;
	uint8_t perm;
};

struct fake_ring {
	uint32_t num, base;
	struct vhost_uapi_vring_addr addr;
	int kick, call, err;
	bool enabled;
};

struct fake {
	int fds_before;
	struct evloop *loop;
	struct vhost_dev dev;
	struct vhost_vdpa_sys sys;
	unsigned int configs, losts;

	/* What it is. */
	uint32_t id;
	uint64_t features, backend;
	uint64_t first, last;
	uint16_t max_num;
	uint32_t vqs;
	struct virtio_net_config config;
	unsigned int last_ioctl;	/* number of the newest that it has */
	bool wide_base;			/* 32 bits of base */
	bool drops_features_ok, ignores_driver_ok, stays_up;

	/* What became of it. */
	bool open, owned, suspended;
	uint8_t status;
	uint64_t acked, backend_acked;
	int config_call;
	uint32_t asid[3];		/* of each group */
	struct fake_ring ring[FAKE_RINGS];
	struct fake_map map[FAKE_MAPS];
	uint32_t nmaps, npages, nevents;
	bool in_batch;
	uint32_t batch_asid;
	uint32_t batches, writes;

	/* What was called: an ioctl's number, or one of these. */
	uint32_t ncalls;
	uint16_t log[FAKE_LOG];
	uint32_t fail_at;		/* this call fails, 0: none */
	int fail_with;			/* -errno; 1: a short write */
	int open_result;		/* -errno, 0: as it should */
};

enum { CALL_OPEN = 0x100, CALL_WRITE, CALL_MMAP, CALL_EVENTFD };

int fake_open(void *ctx, const char *path, int flags);
int fake_close(void *ctx, int fd);
int fake_ioctl(void *ctx, int fd, unsigned long request, void *arg);
ssize_t fake_write(void *ctx, int fd, const void *buf, size_t len);
int fake_mmap(void *ctx, int fd, size_t len, off_t offset, void **addr);
int fake_munmap(void *ctx, void *addr, size_t len);
int fake_eventfd(void *ctx);
int fake_fds(void);
/* A device of a recent kernel that can do everything; f is zero. */
void fake_make(struct fake *f);
int fake_setup(void **state);
int fake_teardown(void **state);
int fake_open_dev(struct fake *f);
/* Memory that is never touched. */
struct vhost_region fake_region(uint64_t iova, uint64_t pages);
int fake_init(struct fake *f);
/* How often something was called. */
uint32_t fake_count(struct fake *f, uint16_t what);

#define FAKE_TEST(fn) cmocka_unit_test_setup_teardown(fn, fake_setup, fake_teardown)

#endif /* RIG_DEVICE_VDPA_H */
