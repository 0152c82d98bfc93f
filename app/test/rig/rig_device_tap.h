/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel's vhost-net, and its network interfaces, made of the table of system calls: they keep
 * what they are told, enforce what the kernel enforces, and can fail any of its calls. No packet
 * moves.
 *
 * Every test that uses tapk_setup() and tapk_teardown() also fails when descriptors are left.
 */
#ifndef RIG_DEVICE_TAP_H
#define RIG_DEVICE_TAP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rig_device_kernel.h"
#include "vhost_dev.h"

#define TAPK_FD 1000000		/* the first; no descriptor of the process */
#define TAPK_FDS 16
#define TAPK_IFS 4
#define TAPK_LOG 1024
#define TAPK_REGIONS 64

enum tapk_kind { TAPK_FREE, TAPK_VHOST, TAPK_TUN, TAPK_SOCKET };

/* A network interface. */
struct tapk_if {
	char name[VHOST_TAP_NAME];	/* "": there is none */
	const char *driver, *bus;	/* of a tap "tun", "tap" */
	bool multi, persistent, up;
	bool elsewhere;			/* in another network namespace: its name is unknown */
	uint8_t mac[6];
	int hdr, little, sndbuf, carrier, mtu;
	unsigned int offloads;
};

struct tapk_fd {
	enum tapk_kind kind;
	/* vhost-net */
	bool owned;
	uint64_t acked;
	uint32_t nregions;
	uint64_t first;			/* address of the first region */
	struct kernel_ring ring[2];
	int backend[2];			/* -1: none */
	/* a queue */
	struct tapk_if *interface;	/* NULL: none yet, or deleted */
	bool was;			/* it had one */
	bool detached;
};

struct tapk {
	int fds_before;
	struct evloop *loop;
	struct vhost_dev dev;
	struct vhost_kernel_sys sys;
	unsigned int configs, losts;

	/* What it is. */
	uint64_t features;
	unsigned int tun_features;
	uint32_t max_regions;
	unsigned int max_queues;
	int vhost_error, tun_error;	/* -errno of open(2); 0: as it should */
	bool capable;			/* CAP_NET_ADMIN */
	bool ancient;			/* no carrier to be set */

	struct tapk_if interface[TAPK_IFS];
	struct tapk_fd fd[TAPK_FDS];

	/* What was called: an ioctl's type and number, or one of these. */
	uint32_t ncalls;
	uint16_t log[TAPK_LOG];
	uint32_t fail_at;		/* this call fails, 0: none */
	int fail_with;			/* -errno */
};

enum { TAPK_OPEN = 1, TAPK_OPEN_SOCKET, TAPK_NUMBER };

int tapk_setup(void **state);
int tapk_teardown(void **state);
/* An interface that exists before. */
struct tapk_if *tapk_add(struct tapk *k, const char *name, const char *bus, bool multi);
/* Somebody deletes it. */
void tapk_delete(struct tapk *k, struct tapk_if *i);
/* The interface of that name; NULL: none. */
struct tapk_if *tapk_find(struct tapk *k, const char *name);
/* The n-th descriptor of a kind, in the order of opening. */
struct tapk_fd *tapk_nth(struct tapk *k, enum tapk_kind kind, unsigned int n);
/* Open, with a tap of this name and so many queues. */
int tapk_open_dev(struct tapk *k, const char *name, uint16_t queues);

#define TAPK_TEST(fn) cmocka_unit_test_setup_teardown(fn, tapk_setup, tapk_teardown)

#endif /* RIG_DEVICE_TAP_H */
