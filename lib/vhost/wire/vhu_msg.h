/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user on the wire: header, payloads, request numbers, protocol features.
 * Everything is host-endian and unaligned. Source: the vhost-user specification of QEMU,
 * "Message Specification"; names follow it.
 */
#ifndef VHU_MSG_H
#define VHU_MSG_H

#include <assert.h>
#include <stdint.h>

/* Device features of vhost alone: dirty pages are logged; there are protocol features. */
#ifndef VHOST_F_LOG_ALL
#define VHOST_F_LOG_ALL 26
#endif
#ifndef VHOST_USER_F_PROTOCOL_FEATURES
#define VHOST_USER_F_PROTOCOL_FEATURES 30
#endif

#define VHU_VERSION 0x1u
#define VHU_VERSION_MASK 0x3u
#define VHU_FLAG_REPLY 0x4u		/* on every reply, never on a request */
#define VHU_FLAG_NEED_REPLY 0x8u	/* the requester waits for a u64: 0 good, else refused */
#define VHU_FLAGS_REPLY (VHU_VERSION | VHU_FLAG_REPLY) /* a reply carries exactly these */

#define VHU_MAX_PAYLOAD 4096	/* bytes; a header that announces more is a framing error */
#define VHU_MAX_FDS 32		/* fds that one message can bring before the connection is closed */
#define VHU_MAX_TABLE 8		/* regions of one SET_MEM_TABLE */
#define VHU_MAX_LONG_TABLE VHU_MAX_FDS /* with CONFIGURE_MEM_SLOTS rust-vmm sends so many */

#define VHU_PACKED __attribute__((packed))

/* Front-end to back-end. */
enum vhu_request {
	VHU_GET_FEATURES = 1,
	VHU_SET_FEATURES = 2,
	VHU_SET_OWNER = 3,
	VHU_RESET_OWNER = 4,
	VHU_SET_MEM_TABLE = 5,
	VHU_SET_LOG_BASE = 6,
	VHU_SET_LOG_FD = 7,
	VHU_SET_VRING_NUM = 8,
	VHU_SET_VRING_ADDR = 9,
	VHU_SET_VRING_BASE = 10,
	VHU_GET_VRING_BASE = 11,
	VHU_SET_VRING_KICK = 12,
	VHU_SET_VRING_CALL = 13,
	VHU_SET_VRING_ERR = 14,
	VHU_GET_PROTOCOL_FEATURES = 15,
	VHU_SET_PROTOCOL_FEATURES = 16,
	VHU_GET_QUEUE_NUM = 17,
	VHU_SET_VRING_ENABLE = 18,
	VHU_SEND_RARP = 19,
	VHU_NET_SET_MTU = 20,
	VHU_SET_BACKEND_REQ_FD = 21,
	VHU_IOTLB_MSG = 22,
	VHU_SET_VRING_ENDIAN = 23,
	VHU_GET_CONFIG = 24,
	VHU_SET_CONFIG = 25,
	VHU_CREATE_CRYPTO_SESSION = 26,
	VHU_CLOSE_CRYPTO_SESSION = 27,
	VHU_POSTCOPY_ADVISE = 28,
	VHU_POSTCOPY_LISTEN = 29,
	VHU_POSTCOPY_END = 30,
	VHU_GET_INFLIGHT_FD = 31,
	VHU_SET_INFLIGHT_FD = 32,
	VHU_GPU_SET_SOCKET = 33,
	VHU_RESET_DEVICE = 34,
	VHU_VRING_KICK = 35,
	VHU_GET_MAX_MEM_SLOTS = 36,
	VHU_ADD_MEM_REG = 37,
	VHU_REM_MEM_REG = 38,
	VHU_SET_STATUS = 39,
	VHU_GET_STATUS = 40,
	VHU_GET_SHARED_OBJECT = 41,
	VHU_SET_DEVICE_STATE_FD = 42,
	VHU_CHECK_DEVICE_STATE = 43,
	VHU_GET_SHMEM_CONFIG = 44,
	VHU_REQUEST_MAX
};

/* Protocol features, bit numbers. */
enum vhu_protocol_feature {
	VHU_PF_MQ = 0,
	VHU_PF_LOG_SHMFD = 1,
	VHU_PF_RARP = 2,
	VHU_PF_REPLY_ACK = 3,
	VHU_PF_NET_MTU = 4,
	VHU_PF_BACKEND_REQ = 5,
	VHU_PF_CROSS_ENDIAN = 6,
	VHU_PF_CRYPTO_SESSION = 7,
	VHU_PF_PAGEFAULT = 8,
	VHU_PF_CONFIG = 9,
	VHU_PF_BACKEND_SEND_FD = 10,
	VHU_PF_HOST_NOTIFIER = 11,
	VHU_PF_INFLIGHT_SHMFD = 12,
	VHU_PF_RESET_DEVICE = 13,
	VHU_PF_INBAND_NOTIFICATIONS = 14,
	VHU_PF_CONFIGURE_MEM_SLOTS = 15,
	VHU_PF_STATUS = 16,
	VHU_PF_XEN_MMAP = 17,
	VHU_PF_SHARED_OBJECT = 18,
	VHU_PF_DEVICE_STATE = 19,
	VHU_PF_GET_VRING_BASE_INFLIGHT = 20,
	VHU_PF_GPA_ADDRESSES = 21,
	VHU_PF_SHMEM = 22,
};

struct vhu_hdr {
	uint32_t request;
	uint32_t flags;
	uint32_t size;		/* bytes of payload that follow */
} VHU_PACKED;

/* The u64 of SET_VRING_KICK, _CALL, _ERR. */
#define VHU_FD_INDEX 0xffULL	/* ring */
#define VHU_FD_NONE 0x100ULL	/* no fd comes with the message */

struct vhu_vring_state {
	uint32_t index;
	uint32_t num;
} VHU_PACKED;

struct vhu_vring_addr {
	uint32_t index;
	uint32_t flags;		/* bit 0: log writes to the used ring */
	uint64_t desc;		/* front-end user addresses */
	uint64_t used;
	uint64_t avail;
	uint64_t log;		/* guest-physical address for logging the used ring */
} VHU_PACKED;

#define VHU_ADDR_F_LOG 0x1u

struct vhu_mem_region {
	uint64_t gpa;
	uint64_t size;
	uint64_t uva;
	uint64_t mmap_offset;
} VHU_PACKED;

struct vhu_mem_table {
	uint32_t n;
	uint32_t pad;
	struct vhu_mem_region region[VHU_MAX_TABLE];
} VHU_PACKED;

struct vhu_mem_single {
	uint64_t pad;
	struct vhu_mem_region region;
} VHU_PACKED;

struct vhu_log {
	uint64_t mmap_size;
	uint64_t mmap_offset;
} VHU_PACKED;

struct vhu_iotlb {
	uint64_t iova;
	uint64_t size;
	uint64_t uva;
	uint8_t perm;		/* bit 0 read, bit 1 write */
	uint8_t type;		/* 1 miss, 2 update, 3 invalidate, 4 access failure */
	uint8_t pad[6];		/* C peers send it, others do not */
} VHU_PACKED;

#define VHU_IOTLB_MIN 26	/* bytes that matter */

enum vhu_iotlb_type {
	VHU_IOTLB_MISS = 1,	/* of the back-end, on its channel; the others of the front-end */
	VHU_IOTLB_UPDATE = 2,
	VHU_IOTLB_INVALIDATE = 3,
};

/* Back-end to front-end, on the back-end channel: numbers of their own. */
enum vhu_backend_request {
	VHU_BACKEND_IOTLB_MSG = 1,
	VHU_BACKEND_CONFIG_CHANGE = 2,
	VHU_BACKEND_VRING_HOST_NOTIFIER = 3,
};

struct vhu_config {
	uint32_t offset;
	uint32_t size;
	uint32_t flags;
	uint8_t bytes[256];
} VHU_PACKED;

#define VHU_CONFIG_HEAD 12	/* bytes before the content */

struct vhu_inflight {
	uint64_t mmap_size;
	uint64_t mmap_offset;
	uint16_t num_queues;
	uint16_t queue_size;
	uint32_t pad;
} VHU_PACKED;

/* A page to write to instead of kicking. */
struct vhu_vring_area {
	uint64_t word;		/* ring, and whether an fd comes, as in the fd word above */
	uint64_t size;		/* bytes: one page */
	uint64_t offset;	/* in the file */
} VHU_PACKED;

struct vhu_device_state {
	uint32_t direction;	/* VHU_DEVICE_STATE_SAVE or _LOAD */
	uint32_t phase;
} VHU_PACKED;

#define VHU_DEVICE_STATE_SAVE 0
#define VHU_DEVICE_STATE_LOAD 1
#define VHU_DEVICE_STATE_STOPPED 0	/* the one phase: no ring runs */

static_assert(sizeof(struct vhu_hdr) == 12, "header");
static_assert(sizeof(struct vhu_vring_state) == 8, "vring state");
static_assert(sizeof(struct vhu_vring_addr) == 40, "vring address");
static_assert(sizeof(struct vhu_mem_region) == 32, "memory region");
static_assert(sizeof(struct vhu_mem_table) == 8 + 32 * VHU_MAX_TABLE, "memory table");
static_assert(sizeof(struct vhu_mem_single) == 40, "single region");
static_assert(sizeof(struct vhu_log) == 16, "log");
static_assert(sizeof(struct vhu_iotlb) == 32, "iotlb");
static_assert(sizeof(struct vhu_config) == VHU_CONFIG_HEAD + 256, "config");
static_assert(sizeof(struct vhu_inflight) == 24, "inflight");
static_assert(sizeof(struct vhu_vring_area) == 24, "vring area");
static_assert(sizeof(struct vhu_device_state) == 8, "device state");

/* A message in memory. The header and the payload lie side by side as on the wire. */
struct vhu_msg {
	struct vhu_hdr hdr;
	union {
		uint64_t u64;
		struct vhu_vring_state state;
		struct vhu_vring_addr addr;
		struct vhu_mem_table table;
		struct vhu_mem_single single;
		struct vhu_log log;
		struct vhu_iotlb iotlb;
		struct vhu_config config;
		struct vhu_inflight inflight;
		struct vhu_vring_area area;
		struct vhu_device_state devstate;
		uint8_t raw[VHU_MAX_PAYLOAD];
	} VHU_PACKED;
	uint32_t nfds;
	int fds[VHU_MAX_FDS];	/* owned by the message; -1: taken */
};

static_assert(__builtin_offsetof(struct vhu_msg, raw) == sizeof(struct vhu_hdr),
	      "payload follows the header");

#endif /* VHU_MSG_H */
