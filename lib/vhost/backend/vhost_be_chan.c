/* SPDX-License-Identifier: BSD-3-Clause */
/* The back-end channel: requests of ours to the front-end, on a socket that it gave us. */
#define _GNU_SOURCE
#include <errno.h>

#include "vhost_be_session.h"

static const char *
chan_message(struct vhu_conn *c, struct vhu_msg *msg)
{
	/* No request of ours asks for an answer: a translation is one. */
	return "an answer that nobody asked for";
}

/* Garbage or the end: the session can do without. */
static void
chan_closed(struct vhu_conn *c, const char *why, bool framing)
{
	vhost_be_session_log(c->owner, VHOST_LOG_INFO, "back-end channel dropped: %s", why);
}

static const struct vhu_conn_ops chan_ops = {
	.message = chan_message,
	.closed = chan_closed,
};

void
vhost_be_chan_init(struct vhost_be *be)
{
	vhu_conn_init(&be->chan, be->loop, &chan_ops, be, true);
	be->chan.rx.closer = be->closer;
}

static bool
send_on_channel(struct vhost_be *be, const struct vhu_hdr *hdr, const void *payload)
{
	int rc;

	if (!vhu_conn_is_open(&be->chan))
		return false;
	rc = vhu_conn_send(&be->chan, hdr, payload);
	if (vhu_conn_is_lost(rc)) {
		vhu_conn_close(&be->chan);
		chan_closed(&be->chan, vhu_conn_why(rc), false);
	}
	return rc == 0;
}

bool
vhost_be_chan_miss(struct vhost_be *be, uint64_t iova, bool write)
{
	const struct vhu_iotlb miss = {
		.iova = iova & ~(VIRTQ_IOTLB_PAGE - 1),
		.perm = write ? VIRTQ_IOTLB_WRITE : VIRTQ_IOTLB_READ,
		.type = VHU_IOTLB_MISS,
	};
	const struct vhu_hdr hdr = { VHU_BACKEND_IOTLB_MSG, VHU_VERSION, sizeof(miss) };

	if (send_on_channel(be, &hdr, &miss)) {
		be->iotlb.asked_ns = evloop_now_ns();
		INFO_ADD(be, iotlb_misses);
		return true;
	}
	if (!be->iotlb.mute)
		vhost_be_session_log(be, VHOST_LOG_WARNING, "addresses behind the IOMMU cannot be "
				     "asked for: the front-end has no back-end channel, or does "
				     "not read it");
	be->iotlb.mute = true;
	return false;
}

int
vhost_be_chan_on_set_backend_req_fd(struct vhost_be *be, struct vhu_msg *msg)
{
	/* Without an IOMMU the session has nothing to say, so it does without one. */
	if (!vhost_be_fd_is_stream(msg->fds[0])) {
		vhu_conn_close(&be->chan);
		return 0;
	}
	if (vhost_be_fd_is_connection(be, msg->fds[0]))
		return vhost_be_session_refuse(be, -EINVAL,
					       "the back-end channel is a connection of a port");
	vhu_conn_close(&be->chan);
	if (vhu_conn_open(&be->chan, vhu_codec_take_fd(msg, 0)) < 0)
		return vhost_be_session_refuse(be, -EINVAL,
					       "the back-end channel cannot be watched");
	return 0;
}
