/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the kernel's own headers of the oldest supported distribution (Linux 6.1) lack.
 * Everything else about rings comes from linux/virtio_*.h.
 */
#ifndef VIRTQ_COMPAT_H
#define VIRTQ_COMPAT_H

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#ifndef VIRTIO_F_ANY_LAYOUT
#define VIRTIO_F_ANY_LAYOUT 27
#endif
#ifndef VIRTIO_F_NOTIFICATION_DATA
#define VIRTIO_F_NOTIFICATION_DATA 38
#endif
#ifndef VIRTIO_F_RING_RESET
#define VIRTIO_F_RING_RESET 40
#endif

#define VIRTQ_CACHE_LINE 64	/* bytes */

#endif /* VIRTQ_COMPAT_H */
