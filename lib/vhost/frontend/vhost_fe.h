/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A front-end session: a virtio-net device behind a vhost-user socket or of the kernel is looked
 * for, asked what it has, given rings, and looked for again when it is lost.
 *
 * The session owns the connection, the rings' layout and their descriptors for kicks, and the
 * control queue with all that was wished for. Its owner (the driver) owns memory, the state of the
 * rings' driver side, and the buffers in them; it carries rings to the bursts.
 *
 * All calls and call-backs happen in the loop's thread, except where said otherwise. That thread
 * may wait for the device, so that a loop serves one session. It waits for answers for 5 seconds at
 * most in one go, whatever is asked. A back-end that gives none has 2 more to let go of the rings:
 * nothing cuts these short, since it may still write to the buffers.
 */
#ifndef VHOST_FE_H
#define VHOST_FE_H

#include "vhost_fe_config.h"
#include "vhost_fe_rss.h"
#include "vhost_fe_wish.h"

struct vhost_fe;

/* Reserve all that a session needs. In the thread where ops->ring_alloc() can be. 0 or -errno. */
int vhost_fe_new(const struct vhost_fe_config *cfg, struct vhost_fe **fe);
/* Likewise; the session is closed. NULL is allowed. */
void vhost_fe_free(struct vhost_fe *fe);

/*
 * Begin to look for a peer; a device of the kernel has to be there. 0, or -errno and one line in
 * err.
 */
int vhost_fe_open(struct vhost_fe *fe, char *err, size_t errlen);
/* Stop, disconnect, stop looking. Also after vhost_fe_open() has failed or was not called. */
void vhost_fe_close(struct vhost_fe *fe);

/* From start to stop rings run whenever there is a device. */
void vhost_fe_start(struct vhost_fe *fe);
void vhost_fe_stop(struct vhost_fe *fe);

/*
 * Any thread, before it waits for the loop to stop or close the session: what the loop is waiting
 * for is cut short. Stopping and closing have a time of their own.
 */
void vhost_fe_hurry(struct vhost_fe *fe);

/* The memory of the process is another one: a device whose rings run is given it. */
void vhost_fe_mem_changed(struct vhost_fe *fe);

void vhost_fe_get_info(const struct vhost_fe *fe, struct vhost_fe_info *info);
/* Any thread: what the last device had. */
void vhost_fe_get_limits(struct vhost_fe *fe, struct vhost_fe_limits *limits);
/* Any thread: entries that a ring of this device has. */
uint32_t vhost_fe_ring_size(struct vhost_fe *fe);
/* "device" or "back-end". */
const char *vhost_fe_peer(const struct vhost_fe *fe);

#endif /* VHOST_FE_H */
