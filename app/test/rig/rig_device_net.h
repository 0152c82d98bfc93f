/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtio-net device that stands in for one of the kernel, in this process: a port whose path= is
 * standin_path finds it. It differs from the kernel's simulator in that it has packed rings,
 * offloads, several queues, and a control queue that does what it is told.
 *
 * It is made of the system calls that lib/vhost is given for a vDPA device (struct
 * vhost_kernel_sys): programs with it are linked such that the port's call of vhost_vdpa_open()
 * gets them. What is told there struct vdpa keeps. The data rings are served by the device side of
 * lib/virtq and lib/vnet, the control queue by code of its own, in a thread that polls or, where a
 * test wants that, waits for kicks. It returns each packet that its filter lets through, to the
 * queue that its steering chooses, and drops none for want of a buffer: it waits for one.
 */
#ifndef RIG_DEVICE_NET_H
#define RIG_DEVICE_NET_H

#include "rig_device_state.h"

/* Below /dev, a link to a character device, so that it is taken for one of the kernel's. */
extern char standin_path[];

/* A device with all features of the kernel's simulator and more, and its thread; one at a time. */
void standin_new(struct standin *s, struct rte_mempool *pool);
/* Ends it; fails where the driver has left something behind. */
void standin_free(struct standin *s);

/* The configuration or the status has changed: tell the driver. With the lock. */
void standin_tell(struct standin *s);
/* The device finds itself broken, and stops until it is reset. */
void standin_needs_reset(struct standin *s);
void standin_set_link(struct standin *s, bool up);
/* Ask the driver to say where it is. */
void standin_ask_announce(struct standin *s);
/* Take the device out of the file system; a driver that has it open keeps that. */
void standin_remove(struct standin *s);
void standin_insert(struct standin *s);

/*
 * As EAL does where it has hugepages: memory was added, or is about to be freed. Returns when the
 * port has told its device.
 */
void standin_memory_changed(bool grown, const void *addr, size_t len);

#endif /* RIG_DEVICE_NET_H */
