/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the kernel's own headers of the oldest supported distribution (Linux 6.1) lack.
 * Everything else about rings and virtio-net comes from linux/virtio_*.h.
 */
#ifndef VIRTQ_COMPAT_H
#define VIRTQ_COMPAT_H

#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>

/* vhost-user: bit 30 of the device features announces protocol features. */
#ifndef VHOST_USER_F_PROTOCOL_FEATURES
#define VHOST_USER_F_PROTOCOL_FEATURES 30
#endif
/* vhost: bit 26, dirty pages are logged. */
#ifndef VHOST_F_LOG_ALL
#define VHOST_F_LOG_ALL 26
#endif
#ifndef VIRTIO_F_ANY_LAYOUT
#define VIRTIO_F_ANY_LAYOUT 27
#endif
#ifndef VIRTIO_F_NOTIFICATION_DATA
#define VIRTIO_F_NOTIFICATION_DATA 38
#endif
#ifndef VIRTIO_F_RING_RESET
#define VIRTIO_F_RING_RESET 40
#endif
#ifndef VIRTIO_NET_F_GUEST_USO4
#define VIRTIO_NET_F_GUEST_USO4 54
#define VIRTIO_NET_F_GUEST_USO6 55
#define VIRTIO_NET_F_HOST_USO 56
#endif
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

#define VIRTQ_CACHE_LINE 64	/* bytes */

#endif /* VIRTQ_COMPAT_H */
