/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vhost-vdpa device made of the table of system calls: it keeps what it is told, enforces what
 * the kernel enforces, and can fail any of its calls.
 *
 * Every test that uses vdpa_setup() and vdpa_teardown() also fails when descriptors or mapped pages
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

#include "rig_device_kernel.h"
#include "vhost_dev.h"
#include "vhost_uapi.h"
#include "virtq_compat.h"
#include "virtq_ring.h"

#define VDPA_FD 1000000		/* no descriptor of the process */
#define VDPA_RINGS 5
#define VDPA_MAPS 64
#define VDPA_LOG 4096
#define VDPA_PAGE 4096ull
/* The features that a driver has to take. */
#define VDPA_WANTED (VIRTQ_BIT(VIRTIO_F_VERSION_1) | VIRTQ_BIT(VIRTIO_F_ACCESS_PLATFORM))

struct vdpa_map {
	uint32_t asid;
	uint64_t iova, size, uaddr;
	uint8_t perm;
};

struct vdpa_hooks;

struct vdpa {
	int fds_before;
	struct evloop *loop;
	struct vhost_dev dev;
	struct vhost_kernel_sys sys;
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
	struct kernel_ring ring[VDPA_RINGS];
	struct vdpa_map map[VDPA_MAPS];
	uint32_t nmaps, npages, nevents;
	bool in_batch;
	uint32_t batch_asid;
	uint32_t batches, writes;

	/* What was called: an ioctl's number, or one of these. */
	uint32_t ncalls;
	uint16_t log[VDPA_LOG];
	uint32_t fail_at;		/* this call fails, 0: none */
	int fail_with;			/* -errno; 1: a short write */
	int open_result;		/* -errno, 0: as it should */

	bool gone;			/* every call says so */
	bool no_pages;			/* it has no notifiers */
	void *page[VDPA_RINGS];		/* of notifiers that are mapped */
	uint32_t resets, starts;	/* since it was made */
	const struct vdpa_hooks *hooks;
};

/* For whoever serves the rings: about each call, with what follows from it. Any may be NULL. */
struct vdpa_hooks {
	void (*enter)(struct vdpa *f);
	void (*was_reset)(struct vdpa *f);
	void (*was_told)(struct vdpa *f);	/* after each ioctl */
	void (*was_mapped)(struct vdpa *f);	/* after each message outside of a batch */
	void (*leave)(struct vdpa *f);
};

enum { CALL_OPEN = 0x100, CALL_WRITE, CALL_MMAP, CALL_EVENTFD };

int vdpa_fds(void);
/* A device of a recent kernel that can do everything; f is zero. */
void vdpa_make(struct vdpa *f);
int vdpa_setup(void **state);
int vdpa_teardown(void **state);
int vdpa_open_dev(struct vdpa *f);
/* Memory that is never touched. */
struct vhost_region vdpa_region(uint64_t iova, uint64_t pages);
int vdpa_init(struct vdpa *f);
/* How often something was called. */
uint32_t vdpa_count(struct vdpa *f, uint16_t what);

#define VDPA_TEST(fn) cmocka_unit_test_setup_teardown(fn, vdpa_setup, vdpa_teardown)

#endif /* RIG_DEVICE_VDPA_H */
