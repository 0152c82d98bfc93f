/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel's interface of /dev/vhost-vdpa-N: linux/vhost.h, and what the headers of the oldest
 * supported distribution (Linux 6.1) lack.
 */
#ifndef VHOST_UAPI_H
#define VHOST_UAPI_H

#include <assert.h>

/* vhost_ops.h has a struct of this name, with more in it. */
#define vhost_vring_addr vhost_uapi_vring_addr
#include <linux/vhost.h>
#undef vhost_vring_addr
#undef VHOST_SET_VRING_ADDR
#define VHOST_SET_VRING_ADDR _IOW(VHOST_VIRTIO, 0x11, struct vhost_uapi_vring_addr)

#ifndef VHOST_VDPA_RESUME
#define VHOST_VDPA_RESUME _IO(VHOST_VIRTIO, 0x7E)
#endif
#ifndef VHOST_VDPA_GET_VRING_SIZE
#define VHOST_VDPA_GET_VRING_SIZE _IOWR(VHOST_VIRTIO, 0x82, struct vhost_vring_state)
#endif
#ifndef VHOST_BACKEND_F_RESUME
#define VHOST_BACKEND_F_RESUME 0x5
#endif
#ifndef VHOST_BACKEND_F_ENABLE_AFTER_DRIVER_OK
#define VHOST_BACKEND_F_ENABLE_AFTER_DRIVER_OK 0x6
#endif
#ifndef VHOST_BACKEND_F_DESC_ASID
#define VHOST_BACKEND_F_DESC_ASID 0x7
#endif
#ifndef VHOST_BACKEND_F_IOTLB_PERSIST
#define VHOST_BACKEND_F_IOTLB_PERSIST 0x8
#endif

/* struct vhost_vdpa_config with room for the content. */
struct vhost_uapi_config {
	__u32 off;
	__u32 len;
	__u8 buf[256];
};

static_assert(sizeof(struct vhost_msg_v2) == 72, "IOTLB message");
static_assert(sizeof(struct vhost_vring_state) == 8, "vring state");
static_assert(sizeof(struct vhost_vring_file) == 8, "vring file");
static_assert(sizeof(struct vhost_uapi_vring_addr) == 40, "vring addresses");
static_assert(sizeof(struct vhost_vdpa_iova_range) == 16, "IOVA range");
static_assert(__builtin_offsetof(struct vhost_uapi_config, buf) ==
		      __builtin_offsetof(struct vhost_vdpa_config, buf), "config");
static_assert(_IOC_SIZE(VHOST_SET_VRING_ADDR) == 40, "ioctl of the vring addresses");

#endif /* VHOST_UAPI_H */
