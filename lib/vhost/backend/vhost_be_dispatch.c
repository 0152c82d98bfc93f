/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every message of a front-end has an entry in one table. What reads the table stands below it, the
 * handlers of messages about the session above.
 */
#include <errno.h>
#include <string.h>

#include "vhost_be_session.h"
#include "vhost_names.h"

static int
answer_u64(struct vhu_msg *msg, uint64_t value)
{
	msg->hdr.size = sizeof(msg->u64);
	msg->u64 = value;
	return 0;
}

static int
on_get_features(struct vhost_be *be, struct vhu_msg *msg)
{
	return answer_u64(msg, be->offered);
}

static int
on_set_features(struct vhost_be *be, struct vhu_msg *msg)
{
	const uint64_t wanted = msg->u64;
	const uint64_t changed = wanted ^ be->features;

	be->features_bad = true;
	if (wanted & ~be->acceptable) {
		vhost_be_session_log_features(be, wanted & ~be->acceptable);
		return vhost_be_session_refuse(be, -EINVAL, "features that cannot be served");
	}
	/* Only logging may be switched under a ring that is served. */
	if (changed & ~VIRTQ_BIT(VHOST_F_LOG_ALL)) {
		if (vhost_be_rings_enabled(be))
			return vhost_be_session_refuse(be, -EBUSY,
						       "features cannot change while a ring runs");
		vhost_be_rings_forget(be);
	}
	be->features_bad = false;
	for (uint16_t i = 0; i < be->nrings; i++) {
		struct vhost_be_vring *r = &be->vring[i];

		/* vhost-user, "Ring states": without bit 30 rings start enabled. */
		if (!(wanted & VIRTQ_BIT(VHOST_USER_F_PROTOCOL_FEATURES)) &&
		    (changed || !be->features_set))
			r->enabled = true;
		if (changed)
			r->stale = true;
	}
	be->features_set = be->negotiated = true;
	be->features = wanted;
	vhost_be_iotlb_follow(be, wanted, be->mem);
	vhost_be_rings_retry(be);
	vhost_be_session_report_features(be);
	return 0;
}

static int
on_set_owner(struct vhost_be *be, struct vhu_msg *msg)
{
	/* The session began when it connected; nothing waits for this. */
	return 0;
}

/* Deprecated. A front-end that sends it goes on: rings are disabled, memory and fds stay. */
static int
on_reset_owner(struct vhost_be *be, struct vhu_msg *msg)
{
	for (uint16_t i = 0; i < be->nrings; i++) {
		be->vring[i].enabled = false;
		be->vring[i].stale = true;
	}
	return 0;
}

static int
on_get_protocol_features(struct vhost_be *be, struct vhu_msg *msg)
{
	return answer_u64(msg, be->protocol_offered);
}

static int
on_set_protocol_features(struct vhost_be *be, struct vhu_msg *msg)
{
	if (msg->u64 & ~(be->protocol_offered | VHOST_BE_PROTOCOL_OF_OTHERS))
		return vhost_be_session_refuse(be, -EINVAL,
					       "protocol features that were not offered: allowed "
					       "are those of GET_PROTOCOL_FEATURES");
	be->protocol = msg->u64 & be->protocol_offered;
	vhost_be_session_report_features(be);
	return 0;
}

/*
 * Queue pairs, as QEMU reads it, which refuses to have more. Others (rust-vmm, crosvm) take it for
 * the number of rings that there are. An owner that has more than twice the pairs that anybody was
 * promised makes both right.
 */
static int
on_get_queue_num(struct vhost_be *be, struct vhu_msg *msg)
{
	return answer_u64(msg, be->nrings / 2);
}

/* The address lies in the first six bytes in memory, whatever the byte order. */
static int
on_send_rarp(struct vhost_be *be, struct vhu_msg *msg)
{
	be->ops->rarp(be->ctx, msg->raw);
	return 0;
}

static int
on_net_set_mtu(struct vhost_be *be, struct vhu_msg *msg)
{
	const uint64_t mtu = msg->u64;

	if (mtu < 68 || mtu > 65535)
		return vhost_be_session_refuse(be, -EINVAL, "an MTU is 68 to 65535");
	if (be->ops->set_mtu(be->ctx, (uint16_t)mtu) < 0)
		return vhost_be_session_refuse(be, -EINVAL, "the port does not take this MTU");
	return 0;
}

/* Nobody signals on writes to a log here; the fd is closed with the message. */
static int
on_set_log_fd(struct vhost_be *be, struct vhu_msg *msg)
{
	return 0;
}

static int
on_reset_device(struct vhost_be *be, struct vhu_msg *msg)
{
	vhost_be_rings_reset_device(be);
	return 0;
}

static int
on_set_status(struct vhost_be *be, struct vhu_msg *msg)
{
	if (msg->u64 > UINT8_MAX)
		return vhost_be_session_refuse(be, -EINVAL, "a device status has 8 bits");
	if (msg->u64 == 0)
		vhost_be_rings_reset_device(be);
	be->status = (uint8_t)msg->u64;
	INFO_SET(be, status, be->status);
	return 0;
}

/* VIRTIO 1.2, 3.1.1: a device that cannot live with the features does not keep FEATURES_OK. */
static int
on_get_status(struct vhost_be *be, struct vhu_msg *msg)
{
	uint8_t status = be->status;

	if (be->features_bad || !be->features_set)
		status &= (uint8_t)~VIRTIO_CONFIG_S_FEATURES_OK;
	return answer_u64(msg, status);
}

/* The fields of an entry: sizes of the payload in bytes, fds, states, answers, refusals. */
#define EXACTLY(n) .min = (n), .max = (n)
#define BETWEEN(a, b) .min = (a), .max = (b)
#define U64 EXACTLY(sizeof(uint64_t))
#define STATE EXACTLY(sizeof(struct vhu_vring_state))
#define FDS(a, b) .fds_min = (a), .fds_max = (b)
#define ALWAYS .when = VHOST_BE_WHEN_ANY
#define STOPPED .when = VHOST_BE_WHEN_IDLE
#define NEEDS(feature) .required = VHOST_BE_REQUIRES(VHU_PF_##feature)
#define ANSWERED .reply = VHOST_BE_REPLY_ALWAYS
#define OR_U64(value) .refusal = VHOST_BE_REFUSE_U64, .refusal_value = (value)

/*
 * Numbers, sizes, fds, features: vhost-user, "Front-end message types". A request without a
 * handler is refused in the way that its entry says. Where DPDK's lib/vhost asks for no protocol
 * feature, front-ends have come to send the request without, and none is asked for here.
 */
static const struct vhost_be_request_info requests[VHU_REQUEST_MAX] = {
	[VHU_GET_FEATURES] = { ALWAYS, ANSWERED, .handle = on_get_features },
	[VHU_SET_FEATURES] = { U64, ALWAYS, .handle = on_set_features },
	[VHU_SET_OWNER] = { ALWAYS, .handle = on_set_owner },
	[VHU_RESET_OWNER] = { ALWAYS, .handle = on_reset_owner },
	[VHU_SET_MEM_TABLE] = {
		BETWEEN(8, 8 + VHU_MAX_LONG_TABLE * sizeof(struct vhu_mem_region)),
		FDS(0, VHU_MAX_LONG_TABLE), ALWAYS, .handle = vhost_be_mem_on_set_mem_table },
	[VHU_SET_LOG_BASE] = { EXACTLY(sizeof(struct vhu_log)), FDS(0, 1), NEEDS(LOG_SHMFD),
		ALWAYS, ANSWERED, .refusal = VHOST_BE_REFUSE_ACK,
		.handle = vhost_be_mem_on_set_log_base },
	[VHU_SET_LOG_FD] = { FDS(1, 1), ALWAYS, .handle = on_set_log_fd },
	[VHU_SET_VRING_NUM] = { STATE, ALWAYS, .handle = vhost_be_ring_on_set_vring_num },
	[VHU_SET_VRING_ADDR] = { EXACTLY(sizeof(struct vhu_vring_addr)), ALWAYS,
		.handle = vhost_be_ring_on_set_vring_addr },
	[VHU_SET_VRING_BASE] = { STATE, ALWAYS, .handle = vhost_be_ring_on_set_vring_base },
	[VHU_GET_VRING_BASE] = { STATE, ALWAYS, ANSWERED,
		.handle = vhost_be_ring_on_get_vring_base },
	[VHU_SET_VRING_KICK] = { U64, FDS(0, 1), ALWAYS,
		.handle = vhost_be_ring_on_set_vring_kick },
	[VHU_SET_VRING_CALL] = { U64, FDS(0, 1), ALWAYS,
		.handle = vhost_be_ring_on_set_vring_call },
	[VHU_SET_VRING_ERR] = { U64, FDS(0, 1), ALWAYS, .handle = vhost_be_ring_on_set_vring_err },
	[VHU_GET_PROTOCOL_FEATURES] = { ALWAYS, ANSWERED, .handle = on_get_protocol_features },
	[VHU_SET_PROTOCOL_FEATURES] = { U64, ALWAYS, .handle = on_set_protocol_features },
	[VHU_GET_QUEUE_NUM] = { ALWAYS, ANSWERED, .handle = on_get_queue_num },
	[VHU_SET_VRING_ENABLE] = { STATE, ALWAYS, .handle = vhost_be_ring_on_set_vring_enable },
	[VHU_SEND_RARP] = { U64, ALWAYS, .handle = on_send_rarp },
	[VHU_NET_SET_MTU] = { U64, ALWAYS, .handle = on_net_set_mtu },
	[VHU_SET_BACKEND_REQ_FD] = { FDS(1, 1), ALWAYS,
		.handle = vhost_be_chan_on_set_backend_req_fd },
	[VHU_IOTLB_MSG] = { BETWEEN(VHU_IOTLB_MIN, sizeof(struct vhu_iotlb)),
		.required = VHOST_BE_REQUIRES_IOMMU, ALWAYS, ANSWERED, OR_U64(1),
		.handle = vhost_be_miss_on_iotlb_msg },
	[VHU_SET_VRING_ENDIAN] = { STATE, NEEDS(CROSS_ENDIAN), ALWAYS },
	[VHU_GET_CONFIG] = { BETWEEN(VHU_CONFIG_HEAD, sizeof(struct vhu_config)), NEEDS(CONFIG),
		ALWAYS, ANSWERED, .refusal = VHOST_BE_REFUSE_EMPTY },
	[VHU_SET_CONFIG] = { BETWEEN(VHU_CONFIG_HEAD, sizeof(struct vhu_config)), NEEDS(CONFIG),
		ALWAYS },
	[VHU_CREATE_CRYPTO_SESSION] = { BETWEEN(0, VHU_MAX_PAYLOAD), NEEDS(CRYPTO_SESSION),
		ALWAYS },
	[VHU_CLOSE_CRYPTO_SESSION] = { U64, NEEDS(CRYPTO_SESSION), ALWAYS },
	[VHU_POSTCOPY_ADVISE] = { NEEDS(PAGEFAULT), STOPPED, ANSWERED,
		.handle = vhost_be_postcopy_on_advise },
	[VHU_POSTCOPY_LISTEN] = { NEEDS(PAGEFAULT), STOPPED,
		.handle = vhost_be_postcopy_on_listen },
	[VHU_POSTCOPY_END] = { NEEDS(PAGEFAULT), ALWAYS, ANSWERED, OR_U64(1),
		.handle = vhost_be_postcopy_on_end },
	[VHU_GET_INFLIGHT_FD] = { BETWEEN(20, sizeof(struct vhu_inflight)), NEEDS(INFLIGHT_SHMFD),
		ALWAYS, ANSWERED, .refusal = VHOST_BE_REFUSE_ZEROS,
		.handle = vhost_be_inflight_on_get_fd },
	[VHU_SET_INFLIGHT_FD] = { BETWEEN(20, sizeof(struct vhu_inflight)), FDS(1, 1),
		NEEDS(INFLIGHT_SHMFD), STOPPED, .handle = vhost_be_inflight_on_set_fd },
	[VHU_GPU_SET_SOCKET] = { FDS(0, 1), ALWAYS },
	[VHU_RESET_DEVICE] = { NEEDS(RESET_DEVICE), ALWAYS, .handle = on_reset_device },
	[VHU_VRING_KICK] = { STATE, NEEDS(INBAND_NOTIFICATIONS), ALWAYS },
	[VHU_GET_MAX_MEM_SLOTS] = { NEEDS(CONFIGURE_MEM_SLOTS), ALWAYS, ANSWERED,
		.handle = vhost_be_mem_on_get_max_mem_slots },
	/* 8 bytes: post-copy, a confirmation. */
	[VHU_ADD_MEM_REG] = { BETWEEN(8, sizeof(struct vhu_mem_single)), FDS(0, 1),
		NEEDS(CONFIGURE_MEM_SLOTS), ALWAYS, .handle = vhost_be_mem_on_add_mem_reg },
	[VHU_REM_MEM_REG] = { EXACTLY(sizeof(struct vhu_mem_single)), FDS(0, 1),
		NEEDS(CONFIGURE_MEM_SLOTS), ALWAYS, .handle = vhost_be_mem_on_rem_mem_reg },
	[VHU_SET_STATUS] = { U64, ALWAYS, .handle = on_set_status },
	[VHU_GET_STATUS] = { ALWAYS, ANSWERED, .handle = on_get_status },
	[VHU_GET_SHARED_OBJECT] = { EXACTLY(16), NEEDS(SHARED_OBJECT), ALWAYS },
	/* Bit 8: no fd comes with the answer; the rest is an error. */
	[VHU_SET_DEVICE_STATE_FD] = { EXACTLY(sizeof(struct vhu_device_state)), FDS(1, 1),
		NEEDS(DEVICE_STATE), STOPPED, ANSWERED, OR_U64(0x101),
		.handle = vhost_be_devstate_on_set_fd },
	[VHU_CHECK_DEVICE_STATE] = { NEEDS(DEVICE_STATE), ALWAYS, ANSWERED, OR_U64(1),
		.handle = vhost_be_devstate_on_check },
	[VHU_GET_SHMEM_CONFIG] = { NEEDS(SHMEM), ALWAYS, ANSWERED },
};

const struct vhost_be_request_info *
vhost_be_dispatch_info(uint32_t request)
{
	/* Each request is legal in some state. */
	return request < VHU_REQUEST_MAX && requests[request].when != 0 ? &requests[request] : NULL;
}

static bool
is_negotiated(const struct vhost_be *be, uint8_t required)
{
	switch (required) {
	case VHOST_BE_REQUIRES_NOTHING:
		return true;
	case VHOST_BE_REQUIRES_IOMMU:
		return be->features & VIRTQ_BIT(VIRTIO_F_ACCESS_PLATFORM);
	default:
		return be->protocol & VIRTQ_BIT(required - 1);
	}
}

/* Everything about a message that its entry can tell, then its handler. */
static int
serve_request(struct vhost_be *be, const struct vhost_be_request_info *info, struct vhu_msg *msg)
{
	if (info == NULL)
		return vhost_be_session_refuse(be, -ENOTSUP, "unknown request");
	/* Some front-ends always send the largest payload there is; what follows is not read. */
	if (msg->hdr.size < info->min)
		return vhost_be_session_refuse(be, -EMSGSIZE, "payload too short");
	if (msg->nfds < info->fds_min || msg->nfds > info->fds_max)
		return vhost_be_session_refuse(be, -EINVAL, "wrong number of fds");
	if (!is_negotiated(be, info->required))
		return vhost_be_session_refuse(be, -ENOTSUP, "its feature was not negotiated: "
					       "it has to be set before");
	if (info->handle == NULL)
		return vhost_be_session_refuse(be, -ENOTSUP, "not served");
	if (!(info->when & (vhost_be_rings_running(be) ? VHOST_BE_WHEN_RUNNING :
			   VHOST_BE_WHEN_IDLE)))
		return vhost_be_session_refuse(be, -EBUSY, "not while a ring runs: GET_VRING_BASE "
					       "stops one");
	return info->handle(be, msg);
}

/* NULL, or why the connection has to be closed. */
static const char *
send_answer(struct vhost_be *be, struct vhu_msg *msg)
{
	const struct vhu_hdr hdr = {
		.request = msg->hdr.request,
		.flags = VHU_FLAGS_REPLY,
		.size = msg->hdr.size,
	};
	const int rc = vhu_conn_send(&be->conn, &hdr, msg->raw);

	return rc < 0 ? vhu_conn_why(rc) : NULL;
}

static const char *
send_u64(struct vhost_be *be, struct vhu_msg *msg, uint64_t value)
{
	msg->u64 = value;
	msg->hdr.size = sizeof(msg->u64);
	return send_answer(be, msg);
}

static const char *
refuse_answered(struct vhost_be *be, const struct vhost_be_request_info *info, struct vhu_msg *msg)
{
	switch (info->refusal) {
	case VHOST_BE_REFUSE_U64:
		return send_u64(be, msg, info->refusal_value);
	case VHOST_BE_REFUSE_EMPTY:
		msg->hdr.size = 0;
		return send_answer(be, msg);
	case VHOST_BE_REFUSE_ZEROS:
		msg->hdr.size = info->max;
		memset(msg->raw, 0, info->max);
		return send_answer(be, msg);
	case VHOST_BE_REFUSE_CLOSE:
	default:
		return "a request was refused whose answer cannot say so";
	}
}

/* Answer as the kind of message and the outcome want it. NULL, or why to close. */
static const char *
answer_request(struct vhost_be *be, const struct vhost_be_request_info *info, struct vhu_msg *msg,
	       int rc)
{
	const bool asked = msg->hdr.flags & VHU_FLAG_NEED_REPLY;

	if (rc == -EMSGSIZE)
		return be->why;
	if (rc == VHOST_BE_ANSWERED)
		return NULL;
	if (info != NULL && info->reply == VHOST_BE_REPLY_ALWAYS &&
	    (rc == 0 || info->refusal != VHOST_BE_REFUSE_ACK))
		return rc == 0 ? send_answer(be, msg) : refuse_answered(be, info, msg);
	/* Also without REPLY_ACK: who sets the flag waits. */
	if (rc >= 0)
		return asked ? send_u64(be, msg, rc != 0) : NULL;
	if (asked && (be->protocol & VIRTQ_BIT(VHU_PF_REPLY_ACK)))
		return send_u64(be, msg, 1);
	return be->why;
}

const char *
vhost_be_dispatch(struct vhost_be *be, struct vhu_msg *msg)
{
	const uint32_t request = msg->hdr.request;
	const struct vhost_be_request_info *info = vhost_be_dispatch_info(request);
	int rc, ring_rc;

	be->about = -1;
	rc = serve_request(be, info, msg);
	/* Whatever it was, a ring may be ready now, or not any more. */
	ring_rc = vhost_be_rings_update(be);
	if (rc == 0 && ring_rc < 0)
		rc = VHOST_BE_DEFERRED;
	if (rc == 0 || rc == VHOST_BE_ANSWERED) {
		vhost_be_session_log(be, VHOST_LOG_DEBUG, "%s", vhost_names_request(request));
	} else {
		INFO_ADD(be, nacks);
		vhost_be_session_log(be, VHOST_LOG_WARNING, "%s (%u) refused: %s",
				     vhost_names_request(request), request, be->why);
	}
	return answer_request(be, info, msg, rc);
}
