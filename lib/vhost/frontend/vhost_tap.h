/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A tap: a network interface of the kernel whose other side are descriptors, one for each queue.
 * Packets go through them with the virtio-net header in front; vhost-net moves them.
 *
 * All return 0 or -errno, with dev->why, unless something else is said.
 */
#ifndef VHOST_TAP_H
#define VHOST_TAP_H

#include "vhost_kernel.h"

struct vhost_tap {
	struct vhost_kernel *kernel;
	char name[VHOST_TAP_NAME];
	int socket;			/* for requests about interfaces by their name */
	bool multi;			/* queues can be detached and attached */
	uint16_t queues;
	unsigned int offloads;		/* TUN_F_ that this kernel knows */
	int fd[VHOST_MAX_VRINGS / 2];
	bool detached[VHOST_MAX_VRINGS / 2];
};

/* Closed again when it fails. */
int vhost_tap_open(struct vhost_tap *t, struct vhost_kernel *kernel,
		   const struct vhost_tap_config *cfg);
/* One that we made, and that nobody made persistent, is gone. */
void vhost_tap_close(struct vhost_tap *t);

/* Features that it serves, whatever vhost-net has: checksums and segmentation. */
uint64_t vhost_tap_features(const struct vhost_tap *t);
/* What was negotiated: header, byte order, and what packets of the kernel may leave to be done. */
int vhost_tap_set_features(struct vhost_tap *t, uint64_t features);
/* Whether the kernel spreads packets to this queue. Nothing for a tap with one queue. */
int vhost_tap_attach(struct vhost_tap *t, uint16_t queue, bool on);
/* Whether somebody is there. Old kernels take it that there always is. */
void vhost_tap_set_carrier(struct vhost_tap *t, bool on);
/* *up: the interface was set up, by an administrator. -ENODEV: it was deleted. */
int vhost_tap_look(struct vhost_tap *t, bool *up);

int vhost_tap_get_mac(struct vhost_tap *t, uint8_t mac[6]);
int vhost_tap_set_mac(struct vhost_tap *t, const uint8_t mac[6]);
int vhost_tap_set_mtu(struct vhost_tap *t, uint16_t mtu);

#endif /* VHOST_TAP_H */
