/* SPDX-License-Identifier: BSD-3-Clause */
/* Every message of a front-end: one row each, and the handlers of those about the session. */
#include <errno.h>
#include <string.h>

#include "vhu_be_priv.h"

static int
answer_u64(struct vhu_msg *msg, uint64_t value)
{
	msg->hdr.size = sizeof(msg->u64);
	msg->u64 = value;
	return 0;
}

static int
on_get_features(struct vhu_be *be, struct vhu_msg *msg)
{
	return answer_u64(msg, be->offered);
}

static int
on_set_features(struct vhu_be *be, struct vhu_msg *msg)
{
	const uint64_t wanted = msg->u64;
	const uint64_t changed = wanted ^ be->features;

	be->features_bad = true;
	if (wanted & ~be->offered)
		return vhu_refuse(be, -EINVAL, "features that were not offered");
	/* Only logging may be switched under a running ring. */
	if (vhu_rings_run(be) && (changed & ~VHU_BIT(VHOST_F_LOG_ALL)))
		return vhu_refuse(be, -EBUSY, "features cannot change while a ring runs");
	be->features_bad = false;
	be->features_set = true;
	be->features = wanted;
	for (uint16_t i = 0; i < be->nrings; i++) {
		struct vhu_ring *r = &be->ring[i];

		if (!(wanted & VHU_BIT(VHOST_USER_F_PROTOCOL_FEATURES)) && !r->enabled) {
			/* This front-end has no message for it. */
			r->enabled = true;
			r->stale = true;
		}
		if (changed)
			r->stale = true;
	}
	vhu_rings_unstick(be);
	vhu_be_tell_features(be);
	return 0;
}

static int
on_set_owner(struct vhu_be *be, struct vhu_msg *msg)
{
	/* The session began when it connected; nothing waits for this. */
	(void)be;
	(void)msg;
	return 0;
}

/* Deprecated, and meant for a peer that goes on: rings rest, memory and fds stay. */
static int
on_reset_owner(struct vhu_be *be, struct vhu_msg *msg)
{
	(void)msg;
	for (uint16_t i = 0; i < be->nrings; i++) {
		be->ring[i].enabled = false;
		be->ring[i].stale = true;
	}
	return 0;
}

static int
on_get_protocol_features(struct vhu_be *be, struct vhu_msg *msg)
{
	return answer_u64(msg, be->protocol_offered);
}

static int
on_set_protocol_features(struct vhu_be *be, struct vhu_msg *msg)
{
	if (msg->u64 & ~be->protocol_offered)
		return vhu_refuse(be, -EINVAL, "protocol features that were not offered");
	be->protocol = msg->u64;
	vhu_be_tell_features(be);
	return 0;
}

/* Queue pairs, not vrings: what network front-ends expect. */
static int
on_get_queue_num(struct vhu_be *be, struct vhu_msg *msg)
{
	return answer_u64(msg, be->nrings / 2);
}

/* The address lies in the first six bytes in memory, whatever the byte order. */
static int
on_send_rarp(struct vhu_be *be, struct vhu_msg *msg)
{
	be->ops->rarp(be->ctx, msg->raw);
	return 0;
}

static int
on_net_set_mtu(struct vhu_be *be, struct vhu_msg *msg)
{
	const uint64_t mtu = msg->u64;

	if (mtu < 68 || mtu > 65535)
		return vhu_refuse(be, -EINVAL, "an MTU is 68 to 65535");
	if (be->ops->set_mtu(be->ctx, (uint16_t)mtu) < 0)
		return vhu_refuse(be, -EINVAL, "the port does not take this MTU");
	return 0;
}

static int
on_reset_device(struct vhu_be *be, struct vhu_msg *msg)
{
	(void)msg;
	vhu_be_reset_device(be);
	return 0;
}

static int
on_set_status(struct vhu_be *be, struct vhu_msg *msg)
{
	if (msg->u64 > UINT8_MAX)
		return vhu_refuse(be, -EINVAL, "a device status has 8 bits");
	if (msg->u64 == 0)
		vhu_be_reset_device(be);
	be->status = (uint8_t)msg->u64;
	INFO_SET(be, status, be->status);
	return 0;
}

/* VIRTIO 1.2, 3.1.1: a device that cannot live with the features does not keep FEATURES_OK. */
static int
on_get_status(struct vhu_be *be, struct vhu_msg *msg)
{
	uint8_t status = be->status;

	if (be->features_bad || !be->features_set)
		status &= (uint8_t)~VIRTIO_CONFIG_S_FEATURES_OK;
	return answer_u64(msg, status);
}

#define EXACTLY(n) .min = (n), .max = (n)
#define BETWEEN(a, b) .min = (a), .max = (b)
#define FDS(a, b) .fds_min = (a), .fds_max = (b)
#define U64 EXACTLY(sizeof(uint64_t))
#define STATE EXACTLY(sizeof(struct vhu_vring_state))
#define ANSWERED .reply = VHU_REPLY_ALWAYS
#define OR_U64(value) .refusal = VHU_REFUSE_U64, .refusal_value = (value)
#define ALWAYS .when = VHU_WHEN_ANY
#define STOPPED .when = VHU_WHEN_IDLE

/*
 * Numbers, sizes, fds, gates: vhost-user, "Front-end message types". What has no handler is
 * refused in the way its row says.
 */
static const struct vhu_row rows[VHU_REQUEST_MAX] = {
	[VHU_GET_FEATURES] = { "GET_FEATURES", ALWAYS, ANSWERED, .handle = on_get_features },
	[VHU_SET_FEATURES] = { "SET_FEATURES", U64, ALWAYS, .handle = on_set_features },
	[VHU_SET_OWNER] = { "SET_OWNER", ALWAYS, .handle = on_set_owner },
	[VHU_RESET_OWNER] = { "RESET_OWNER", ALWAYS, .handle = on_reset_owner },
	[VHU_SET_MEM_TABLE] = { "SET_MEM_TABLE", BETWEEN(8, sizeof(struct vhu_mem_table)),
		FDS(0, VHU_MAX_TABLE), ALWAYS, .handle = vhu_on_set_mem_table },
	[VHU_SET_LOG_BASE] = { "SET_LOG_BASE", EXACTLY(sizeof(struct vhu_log)), FDS(0, 1),
		.gate = VHU_GATE(VHU_PF_LOG_SHMFD), ALWAYS },
	[VHU_SET_LOG_FD] = { "SET_LOG_FD", FDS(1, 1), ALWAYS },
	[VHU_SET_VRING_NUM] = { "SET_VRING_NUM", STATE, ALWAYS, .handle = vhu_on_set_vring_num },
	[VHU_SET_VRING_ADDR] = { "SET_VRING_ADDR", EXACTLY(sizeof(struct vhu_vring_addr)), ALWAYS,
		.handle = vhu_on_set_vring_addr },
	[VHU_SET_VRING_BASE] = { "SET_VRING_BASE", STATE, ALWAYS,
		.handle = vhu_on_set_vring_base },
	[VHU_GET_VRING_BASE] = { "GET_VRING_BASE", STATE, ALWAYS, ANSWERED,
		.handle = vhu_on_get_vring_base },
	[VHU_SET_VRING_KICK] = { "SET_VRING_KICK", U64, FDS(0, 1), ALWAYS,
		.handle = vhu_on_set_vring_kick },
	[VHU_SET_VRING_CALL] = { "SET_VRING_CALL", U64, FDS(0, 1), ALWAYS,
		.handle = vhu_on_set_vring_call },
	[VHU_SET_VRING_ERR] = { "SET_VRING_ERR", U64, FDS(0, 1), ALWAYS,
		.handle = vhu_on_set_vring_err },
	[VHU_GET_PROTOCOL_FEATURES] = { "GET_PROTOCOL_FEATURES", ALWAYS, ANSWERED,
		.handle = on_get_protocol_features },
	[VHU_SET_PROTOCOL_FEATURES] = { "SET_PROTOCOL_FEATURES", U64, ALWAYS,
		.handle = on_set_protocol_features },
	[VHU_GET_QUEUE_NUM] = { "GET_QUEUE_NUM", .gate = VHU_GATE(VHU_PF_MQ), ALWAYS, ANSWERED,
		.handle = on_get_queue_num },
	[VHU_SET_VRING_ENABLE] = { "SET_VRING_ENABLE", STATE, .gate = VHU_GATE_ENABLE, ALWAYS,
		.handle = vhu_on_set_vring_enable },
	[VHU_SEND_RARP] = { "SEND_RARP", U64, .gate = VHU_GATE(VHU_PF_RARP), ALWAYS,
		.handle = on_send_rarp },
	[VHU_NET_SET_MTU] = { "NET_SET_MTU", U64, .gate = VHU_GATE(VHU_PF_NET_MTU), ALWAYS,
		.handle = on_net_set_mtu },
	[VHU_SET_BACKEND_REQ_FD] = { "SET_BACKEND_REQ_FD", FDS(1, 1),
		.gate = VHU_GATE(VHU_PF_BACKEND_REQ), ALWAYS,
		.handle = vhu_on_set_backend_req_fd },
	[VHU_IOTLB_MSG] = { "IOTLB_MSG", BETWEEN(VHU_IOTLB_MIN, sizeof(struct vhu_iotlb)),
		.gate = VHU_GATE_IOMMU, ALWAYS, ANSWERED, OR_U64(1) },
	[VHU_SET_VRING_ENDIAN] = { "SET_VRING_ENDIAN", STATE,
		.gate = VHU_GATE(VHU_PF_CROSS_ENDIAN), ALWAYS },
	[VHU_GET_CONFIG] = { "GET_CONFIG", BETWEEN(VHU_CONFIG_HEAD, sizeof(struct vhu_config)),
		.gate = VHU_GATE(VHU_PF_CONFIG), ALWAYS, ANSWERED, .refusal = VHU_REFUSE_EMPTY },
	[VHU_SET_CONFIG] = { "SET_CONFIG", BETWEEN(VHU_CONFIG_HEAD, sizeof(struct vhu_config)),
		.gate = VHU_GATE(VHU_PF_CONFIG), ALWAYS },
	[VHU_CREATE_CRYPTO_SESSION] = { "CREATE_CRYPTO_SESSION", BETWEEN(0, VHU_MAX_PAYLOAD),
		.gate = VHU_GATE(VHU_PF_CRYPTO_SESSION), ALWAYS },
	[VHU_CLOSE_CRYPTO_SESSION] = { "CLOSE_CRYPTO_SESSION", U64,
		.gate = VHU_GATE(VHU_PF_CRYPTO_SESSION), ALWAYS },
	[VHU_POSTCOPY_ADVISE] = { "POSTCOPY_ADVISE", .gate = VHU_GATE(VHU_PF_PAGEFAULT), STOPPED,
		ANSWERED },
	[VHU_POSTCOPY_LISTEN] = { "POSTCOPY_LISTEN", .gate = VHU_GATE(VHU_PF_PAGEFAULT), STOPPED },
	[VHU_POSTCOPY_END] = { "POSTCOPY_END", .gate = VHU_GATE(VHU_PF_PAGEFAULT), ALWAYS,
		ANSWERED, OR_U64(1) },
	[VHU_GET_INFLIGHT_FD] = { "GET_INFLIGHT_FD", BETWEEN(20, sizeof(struct vhu_inflight)),
		.gate = VHU_GATE(VHU_PF_INFLIGHT_SHMFD), ALWAYS, ANSWERED,
		.refusal = VHU_REFUSE_ZEROS },
	[VHU_SET_INFLIGHT_FD] = { "SET_INFLIGHT_FD", BETWEEN(20, sizeof(struct vhu_inflight)),
		FDS(1, 1), .gate = VHU_GATE(VHU_PF_INFLIGHT_SHMFD), STOPPED },
	[VHU_GPU_SET_SOCKET] = { "GPU_SET_SOCKET", FDS(0, 1), ALWAYS },
	[VHU_RESET_DEVICE] = { "RESET_DEVICE", .gate = VHU_GATE(VHU_PF_RESET_DEVICE), ALWAYS,
		.handle = on_reset_device },
	[VHU_VRING_KICK] = { "VRING_KICK", STATE, .gate = VHU_GATE(VHU_PF_INBAND_NOTIFICATIONS),
		ALWAYS },
	[VHU_GET_MAX_MEM_SLOTS] = { "GET_MAX_MEM_SLOTS",
		.gate = VHU_GATE(VHU_PF_CONFIGURE_MEM_SLOTS), ALWAYS, ANSWERED,
		.handle = vhu_on_get_max_mem_slots },
	[VHU_ADD_MEM_REG] = { "ADD_MEM_REG", EXACTLY(sizeof(struct vhu_mem_single)), FDS(1, 1),
		.gate = VHU_GATE(VHU_PF_CONFIGURE_MEM_SLOTS), ALWAYS,
		.handle = vhu_on_add_mem_reg },
	[VHU_REM_MEM_REG] = { "REM_MEM_REG", EXACTLY(sizeof(struct vhu_mem_single)), FDS(0, 1),
		.gate = VHU_GATE(VHU_PF_CONFIGURE_MEM_SLOTS), ALWAYS,
		.handle = vhu_on_rem_mem_reg },
	[VHU_SET_STATUS] = { "SET_STATUS", U64, .gate = VHU_GATE(VHU_PF_STATUS), ALWAYS,
		.handle = on_set_status },
	[VHU_GET_STATUS] = { "GET_STATUS", .gate = VHU_GATE(VHU_PF_STATUS), ALWAYS, ANSWERED,
		.handle = on_get_status },
	[VHU_GET_SHARED_OBJECT] = { "GET_SHARED_OBJECT", EXACTLY(16),
		.gate = VHU_GATE(VHU_PF_SHARED_OBJECT), ALWAYS },
	/* Bit 8: no fd comes with the answer; the rest is an error. */
	[VHU_SET_DEVICE_STATE_FD] = { "SET_DEVICE_STATE_FD",
		EXACTLY(sizeof(struct vhu_device_state)), FDS(1, 1),
		.gate = VHU_GATE(VHU_PF_DEVICE_STATE), ALWAYS, ANSWERED, OR_U64(0x101) },
	[VHU_CHECK_DEVICE_STATE] = { "CHECK_DEVICE_STATE", .gate = VHU_GATE(VHU_PF_DEVICE_STATE),
		ALWAYS, ANSWERED, OR_U64(1) },
	[VHU_GET_SHMEM_CONFIG] = { "GET_SHMEM_CONFIG", .gate = VHU_GATE(VHU_PF_SHMEM), ALWAYS,
		ANSWERED },
};

const struct vhu_row *
vhu_row(uint32_t request)
{
	return request < VHU_REQUEST_MAX && rows[request].name != NULL ? &rows[request] : NULL;
}

const char *
vhu_request_name(uint32_t request)
{
	const struct vhu_row *row = vhu_row(request);

	return row != NULL ? row->name : "unknown";
}
