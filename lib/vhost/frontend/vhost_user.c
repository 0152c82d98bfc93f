/* SPDX-License-Identifier: BSD-3-Clause */
/* The operations of a device behind a vhost-user socket. */
#include <errno.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "vhost_user_session.h"
#include "evloop_close.h"
#include "virtq_compat.h"

const uint64_t vhost_user_protocol =
	VIRTQ_BIT(VHU_PF_MQ) | VIRTQ_BIT(VHU_PF_LOG_SHMFD) | VIRTQ_BIT(VHU_PF_RARP) |
	VIRTQ_BIT(VHU_PF_REPLY_ACK) | VIRTQ_BIT(VHU_PF_NET_MTU) | VIRTQ_BIT(VHU_PF_BACKEND_REQ) |
	VIRTQ_BIT(VHU_PF_CONFIG) | VIRTQ_BIT(VHU_PF_BACKEND_SEND_FD) |
	VIRTQ_BIT(VHU_PF_HOST_NOTIFIER) | VIRTQ_BIT(VHU_PF_RESET_DEVICE) |
	VIRTQ_BIT(VHU_PF_CONFIGURE_MEM_SLOTS) | VIRTQ_BIT(VHU_PF_STATUS);

#define PROTOCOL_FEATURES VIRTQ_BIT(VHOST_USER_F_PROTOCOL_FEATURES)
#define LOG_ALL VIRTQ_BIT(VHOST_F_LOG_ALL)

int
vhost_user_open(struct vhost_dev *dev, int fd)
{
	struct vhost_user *u = calloc(1, sizeof(*u));
	int rc;

	if (u == NULL) {
		close(fd);
		return vhost_dev_fail(dev, -ENOMEM, "out of memory");
	}
	u->dev = dev;
	u->watch = (struct evloop_watch){
		.fd = fd,
		.events = EPOLLIN,
		.ready = vhost_user_io_ready,
		.owner = u,
	};
	u->left = -1;
	u->soon = (struct evloop_timer){ .expired = vhost_user_io_report, .owner = u };
	u->misses = (struct evloop_timer){ .expired = vhost_user_iotlb_answer, .owner = u };
	u->notifiers_changed = (struct evloop_timer){
		.expired = vhost_user_notifiers_report,
		.owner = u,
	};
	vhu_codec_rx_init(&u->rx, true);
	u->rx.closer = dev->closer;
	vhu_codec_tx_init(&u->tx);
	vhost_user_chan_init(u);
	rc = evloop_watch_add(dev->loop, &u->watch);
	if (rc < 0) {
		close(fd);
		free(u);
		return vhost_dev_fail(dev, rc, "the socket cannot be watched: %s", strerror(-rc));
	}
	vhost_dev_opened(dev, &vhost_user_ops, u);
	return 0;
}

static void
user_cleanup(struct vhost_dev *dev)
{
	struct vhost_user *u = dev->priv;

	evloop_timer_cancel(&u->soon);
	evloop_timer_cancel(&u->misses);
	if (u->watch.fd >= 0) {
		evloop_watch_del(&u->watch);
		evloop_close_connection(dev->closer, u->watch.fd);
	}
	if (u->left >= 0)
		evloop_close_connection(dev->closer, u->left);
	vhu_codec_rx_reset(&u->rx);
	vhu_codec_tx_reset(&u->tx);
	vhu_conn_close(&u->chan);
	vhost_user_notifiers_free(u);
	free(u);
}

/* Limits: queue pairs with MQ, regions with CONFIGURE_MEM_SLOTS. */
static int
ask_limits(struct vhost_user *u)
{
	uint64_t value;
	int rc;

	u->vrings = 2;
	u->slots = VHU_MAX_TABLE;
	if (vhost_user_has(u->dev, VHU_PF_MQ)) {
		rc = vhost_user_io_ask_u64(u, VHU_GET_QUEUE_NUM, &value);
		if (rc < 0)
			return rc;
		/* The unit of network back-ends is the queue pair. */
		if (value == 0)
			return vhost_user_io_end(u, -EPROTO, "the back-end has no queues");
		u->vrings = value > VHOST_MAX_VRINGS / 2 ? VHOST_MAX_VRINGS : 2 * (uint32_t)value;
	}
	if (vhost_user_has(u->dev, VHU_PF_CONFIGURE_MEM_SLOTS)) {
		rc = vhost_user_io_ask_u64(u, VHU_GET_MAX_MEM_SLOTS, &value);
		if (rc < 0)
			return rc;
		if (value == 0)
			return vhost_user_io_end(u, -EPROTO, "the back-end takes no memory");
		u->slots = value > VHOST_MAX_SLOTS ? VHOST_MAX_SLOTS : (uint32_t)value;
	}
	return 0;
}

static int
user_init(struct vhost_dev *dev)
{
	struct vhost_user *u = dev->priv;
	uint64_t protocol;
	int rc = vhost_user_io_ask_u64(u, VHU_GET_FEATURES, &dev->offered);

	u->owned = false;
	u->mtu = 0;
	dev->protocol_offered = dev->protocol = 0;
	if (rc == 0 && (dev->offered & PROTOCOL_FEATURES)) {
		rc = vhost_user_io_ask_u64(u, VHU_GET_PROTOCOL_FEATURES, &dev->protocol_offered);
		if (rc < 0)
			return rc;
		protocol = dev->protocol_offered & dev->protocol_mask & vhost_user_protocol;
		protocol = vhost_user_notifier_features(dev, protocol);
		/* Its own acknowledgement is not negotiated yet. */
		rc = vhost_user_io_order_u64(u, VHU_SET_PROTOCOL_FEATURES, protocol);
		if (rc == 0)
			dev->protocol = protocol;
	}
	if (rc == 0)
		rc = ask_limits(u);
	if (rc == 0 && vhost_user_has(dev, VHU_PF_BACKEND_REQ))
		rc = vhost_user_chan_open(u);
	return rc;
}

static uint32_t
user_memslots_limit(struct vhost_dev *dev)
{
	const struct vhost_user *u = dev->priv;

	return dev->iotlb_pages ? u->slots / 2 : u->slots; /* each is given twice */
}

/* A request without payload that concerns the session, hence is sent once. */
static int
order_plain(struct vhost_user *u, uint32_t request)
{
	const struct vhost_user_io_request req = { .request = request };

	return vhost_user_io_order(u, &req);
}

static int
user_set_owner(struct vhost_dev *dev)
{
	struct vhost_user *u = dev->priv;
	int rc;

	if (u->owned)
		return 0;
	rc = order_plain(u, VHU_SET_OWNER);
	u->owned = rc == 0;
	return rc;
}

/*
 * RESET_DEVICE keeps memory, channel and owner. RESET_OWNER is older, and back-ends disagree about
 * what it leaves: nothing is relied upon.
 */
static int
user_reset_device(struct vhost_dev *dev)
{
	const uint32_t request = vhost_user_has(dev, VHU_PF_RESET_DEVICE) ? VHU_RESET_DEVICE :
									    VHU_RESET_OWNER;
	struct vhost_user *u = dev->priv;
	int rc;

	vhost_user_notifiers_forget(u);
	if (u->last == request)
		return 0;
	if (request == VHU_RESET_OWNER) {
		rc = vhost_user_mem_forget(u);
		if (rc < 0)
			return rc;
		u->owned = false;
	}
	rc = order_plain(u, request);
	if (rc == 0) {
		dev->features = 0;
		dev->status = 0;
		memset(u->logging, 0, sizeof(u->logging));
	}
	return rc;
}

static int
user_get_features(struct vhost_dev *dev, uint64_t *features)
{
	int rc = vhost_user_io_ask_u64(dev->priv, VHU_GET_FEATURES, features);

	if (rc == 0)
		dev->offered = *features;
	return rc;
}

/* Whether these features can be sent: they were offered, and come with what they need. */
static int
check_features(struct vhost_dev *dev, uint64_t features)
{
	const uint64_t iommu = VIRTQ_BIT(VHU_PF_REPLY_ACK) | VIRTQ_BIT(VHU_PF_BACKEND_REQ);

	if (features & ~dev->offered)
		return vhost_dev_fail(dev, -EINVAL,
				      "features 0x%llx are not offered by the back-end",
				      (unsigned long long)(features & ~dev->offered));
	if ((features & VIRTQ_BIT(VIRTIO_F_ACCESS_PLATFORM)) && (dev->protocol & iommu) != iommu)
		return vhost_dev_fail(dev, -EINVAL, "ACCESS_PLATFORM needs the protocol features "
				      "REPLY_ACK and BACKEND_REQ, which the back-end lacks");
	return 0;
}

static int
user_set_features(struct vhost_dev *dev, uint64_t features)
{
	const bool negotiate = !(dev->status & VIRTIO_CONFIG_S_FEATURES_OK) &&
			       vhost_user_has(dev, VHU_PF_STATUS);
	const uint64_t before = dev->features;
	struct vhost_user *u = dev->priv;
	int rc;

	features |= dev->offered & PROTOCOL_FEATURES;
	rc = check_features(dev, features);
	if (rc == 0 && negotiate)
		rc = vhost_dev_status_driver(dev);
	if (rc == 0)
		rc = vhost_user_io_order_u64(u, VHU_SET_FEATURES, features);
	if (rc < 0)
		return rc;
	dev->features = features;
	if (negotiate)
		rc = vhost_dev_status_features_ok(dev);
	/* Logging is switched while rings run: whoever asks for it relies on it at once. */
	if (rc == 0 && ((before ^ features) & LOG_ALL))
		rc = vhost_user_io_barrier(u);
	return rc;
}

static int
user_get_queue_num(struct vhost_dev *dev, uint32_t *vrings)
{
	const struct vhost_user *u = dev->priv;

	*vrings = u->vrings;
	return 0;
}

static int
order_state(struct vhost_dev *dev, uint32_t request, uint32_t index, uint32_t num)
{
	const struct vhu_vring_state state = { index, num };
	const struct vhost_user_io_request req = {
		.request = request,
		.payload = &state,
		.size = sizeof(state),
	};

	return vhost_user_io_order(dev->priv, &req);
}

static int
user_set_vring_num(struct vhost_dev *dev, uint32_t index, uint32_t num)
{
	return order_state(dev, VHU_SET_VRING_NUM, index, num);
}

static int
user_set_vring_base(struct vhost_dev *dev, uint32_t index, uint32_t base)
{
	return order_state(dev, VHU_SET_VRING_BASE, index, base);
}

static int
user_set_vring_addr(struct vhost_dev *dev, uint32_t index, const struct vhost_vring_addr *addr)
{
	/* To a back-end with an IOTLB all addresses are I/O virtual ones. */
	const bool iova = dev->features & VIRTQ_BIT(VIRTIO_F_ACCESS_PLATFORM);
	const struct vhu_vring_addr wire = {
		.index = index,
		.flags = addr->log ? VHU_ADDR_F_LOG : 0,
		.desc = iova ? addr->desc_iova : (uint64_t)(uintptr_t)addr->desc,
		.used = iova ? addr->used_iova : (uint64_t)(uintptr_t)addr->used,
		.avail = iova ? addr->avail_iova : (uint64_t)(uintptr_t)addr->avail,
		.log = addr->log ? addr->used_iova : 0,
	};
	const struct vhost_user_io_request req = {
		.request = VHU_SET_VRING_ADDR,
		.payload = &wire,
		.size = sizeof(wire),
	};
	struct vhost_user *u = dev->priv;
	const uint64_t bit = VIRTQ_BIT(index % 64);
	uint64_t *word;
	int rc;

	if (index >= VHOST_MAX_VRINGS)
		return vhost_dev_fail(dev, -EINVAL, "vhost-user has %d rings at most",
				      VHOST_MAX_VRINGS);
	word = &u->logging[index / 64];
	rc = vhost_user_io_order(u, &req);
	if (rc == 0 && addr->log != !!(*word & bit)) {
		*word ^= bit;
		rc = vhost_user_io_barrier(u);
	}
	return rc;
}

static int
user_get_vring_base(struct vhost_dev *dev, uint32_t index, uint32_t *base)
{
	const struct vhu_vring_state state = { .index = index };
	const struct vhost_user_io_request req = {
		.request = VHU_GET_VRING_BASE,
		.payload = &state,
		.size = sizeof(state),
	};
	struct vhost_user *u = dev->priv;
	int rc = vhost_user_io_ask(u, &req, sizeof(state), sizeof(state));

	if (rc < 0)
		return rc;
	if (u->rx.msg.state.index != index)
		return vhost_user_io_end(u, -EPROTO, "asked for the base of ring %u, the back-end "
					 "answered about ring %u", index, u->rx.msg.state.index);
	*base = u->rx.msg.state.num;
	vhost_user_notifier_forget(u, index);
	return 0;
}

/* Without an fd the back-end has to poll (kick), or must not notify (call, err). */
static int
order_fd(struct vhost_dev *dev, uint32_t request, uint32_t index, int fd)
{
	const uint64_t word = index | (fd < 0 ? VHU_FD_NONE : 0);
	const struct vhost_user_io_request req = {
		.request = request,
		.payload = &word,
		.size = sizeof(word),
		.fds = &fd,
		.nfds = fd >= 0,
	};

	if (index > VHU_FD_INDEX)
		return vhost_dev_fail(dev, -EINVAL, "vhost-user has %d rings at most",
				      VHOST_MAX_VRINGS);
	return vhost_user_io_order(dev->priv, &req);
}

static int
user_set_vring_kick(struct vhost_dev *dev, uint32_t index, int fd)
{
	return order_fd(dev, VHU_SET_VRING_KICK, index, fd);
}

static int
user_set_vring_call(struct vhost_dev *dev, uint32_t index, int fd)
{
	return order_fd(dev, VHU_SET_VRING_CALL, index, fd);
}

static int
user_set_vring_err(struct vhost_dev *dev, uint32_t index, int fd)
{
	return order_fd(dev, VHU_SET_VRING_ERR, index, fd);
}

static int
user_set_vring_enable(struct vhost_dev *dev, uint32_t index, bool enable)
{
	if (!(dev->offered & PROTOCOL_FEATURES))
		return vhost_dev_fail(dev, -EOPNOTSUPP, "rings of a back-end without protocol "
				      "features are always enabled");
	return order_state(dev, VHU_SET_VRING_ENABLE, index, enable);
}

static int
user_get_vring_max(struct vhost_dev *dev, uint32_t index, uint32_t *num)
{
	*num = 0; /* there is no message for it */
	return 0;
}

static int
user_get_status(struct vhost_dev *dev, uint8_t *status)
{
	uint64_t value;
	int rc;

	if (!vhost_user_has(dev, VHU_PF_STATUS))
		return vhost_dev_fail(dev, -EOPNOTSUPP, "the back-end has no device status");
	rc = vhost_user_io_ask_u64(dev->priv, VHU_GET_STATUS, &value);
	if (rc < 0)
		return rc;
	if (value > UINT8_MAX)
		return vhost_user_io_end(dev->priv, -EPROTO, "a device status of more than 8 bits");
	*status = dev->status = (uint8_t)value;
	return 0;
}

static int
user_set_status(struct vhost_dev *dev, uint8_t status)
{
	int rc = vhost_user_io_order_u64(dev->priv, VHU_SET_STATUS, status);

	if (rc == 0)
		dev->status = status;
	if (status == 0)
		vhost_user_notifiers_forget(dev->priv);
	return rc;
}

static int
user_dev_start(struct vhost_dev *dev, bool start)
{
	if (!vhost_user_has(dev, VHU_PF_STATUS))
		return 0;
	return start ? vhost_dev_status_driver_ok(dev) : user_set_status(dev, 0);
}

static int
check_config(struct vhost_dev *dev, uint32_t offset, uint32_t len)
{
	if (!vhost_user_has(dev, VHU_PF_CONFIG))
		return vhost_dev_fail(dev, -EOPNOTSUPP,
				      "the back-end shows no configuration space");
	if (len == 0 || len > VHOST_CONFIG_MAX || offset > VHOST_CONFIG_MAX - len)
		return vhost_dev_fail(dev, -EINVAL, "configuration space has %d bytes",
				      VHOST_CONFIG_MAX);
	return 0;
}

static int
user_get_config(struct vhost_dev *dev, uint32_t offset, void *buf, uint32_t len)
{
	const struct vhu_config config = { .offset = offset, .size = len };
	const struct vhost_user_io_request req = {
		.request = VHU_GET_CONFIG,
		.payload = &config,
		.size = VHU_CONFIG_HEAD + len,
	};
	struct vhost_user *u = dev->priv;
	const struct vhu_msg *reply = &u->rx.msg;
	int rc = check_config(dev, offset, len);

	if (rc == 0)
		rc = vhost_user_io_ask(u, &req, 0, VHU_CONFIG_HEAD + len);
	if (rc < 0)
		return rc;
	if (reply->hdr.size == 0 || reply->hdr.size == VHU_CONFIG_HEAD)
		return vhost_dev_fail(dev, -EIO, "the back-end refused GET_CONFIG");
	if (reply->hdr.size != req.size)
		return vhost_user_io_end(u, -EPROTO,
					 "the answer to GET_CONFIG has %u bytes, not %u",
					 reply->hdr.size, req.size);
	memcpy(buf, reply->config.bytes, len);
	return 0;
}

static int
user_set_config(struct vhost_dev *dev, uint32_t offset, const void *buf, uint32_t len,
		uint32_t flags)
{
	struct vhu_config config = { .offset = offset, .size = len, .flags = flags };
	const struct vhost_user_io_request req = {
		.request = VHU_SET_CONFIG,
		.payload = &config,
		.size = VHU_CONFIG_HEAD + len,
	};
	int rc = check_config(dev, offset, len);

	if (rc < 0)
		return rc;
	memcpy(config.bytes, buf, len);
	return vhost_user_io_order(dev->priv, &req);
}

/* With LOG_SHMFD the log is given as an fd, and answered, in whatever size. */
static int
user_set_log_base(struct vhost_dev *dev, uint64_t size, uint64_t offset, int fd)
{
	const bool shared = vhost_user_has(dev, VHU_PF_LOG_SHMFD);
	const struct vhu_log log = { size, offset };
	const struct vhost_user_io_request req = {
		.request = VHU_SET_LOG_BASE,
		.payload = &log,
		.size = sizeof(log),
		.fds = &fd,
		.nfds = shared,
	};

	if (!shared)
		return vhost_user_io_send(dev->priv, &req, 0);
	if (fd < 0)
		return vhost_dev_fail(dev, -EINVAL, "the log has no file descriptor behind it");
	return vhost_user_io_ask(dev->priv, &req, 0, VHU_MAX_PAYLOAD);
}

/* A driver with GUEST_ANNOUNCE announces its address itself. */
static int
user_migration_done(struct vhost_dev *dev, const uint8_t mac[6])
{
	uint64_t word = 0;

	if (dev->features & VIRTQ_BIT(VIRTIO_NET_F_GUEST_ANNOUNCE))
		return 0;
	if (!vhost_user_has(dev, VHU_PF_RARP))
		return vhost_dev_fail(dev, -EOPNOTSUPP, "the back-end cannot announce the address");
	memcpy(&word, mac, 6);
	return vhost_user_io_order_u64(dev->priv, VHU_SEND_RARP, word);
}

static int
user_net_set_mtu(struct vhost_dev *dev, uint16_t mtu)
{
	struct vhost_user *u = dev->priv;
	int rc;

	/* Without NET_MTU the back-end cannot refuse an MTU. */
	if (!vhost_user_has(dev, VHU_PF_NET_MTU) || u->mtu == mtu)
		return 0;
	rc = vhost_user_io_order_u64(u, VHU_NET_SET_MTU, mtu);
	if (rc == 0)
		u->mtu = mtu;
	return rc;
}

static bool
user_force_iommu(struct vhost_dev *dev)
{
	return dev->features & VIRTQ_BIT(VIRTIO_F_ACCESS_PLATFORM);
}

/*
 * Missing: what only a device of the kernel has (addresses it can use, groups, suspension).
 */
const struct vhost_ops vhost_user_ops = {
	.name = "vhost-user",
	.init = user_init,
	.cleanup = user_cleanup,
	.memslots_limit = user_memslots_limit,
	.set_owner = user_set_owner,
	.reset_device = user_reset_device,
	.get_features = user_get_features,
	.set_features = user_set_features,
	.get_queue_num = user_get_queue_num,
	.set_mem_table = vhost_user_mem_set_table,
	.set_vring_num = user_set_vring_num,
	.set_vring_addr = user_set_vring_addr,
	.set_vring_base = user_set_vring_base,
	.get_vring_base = user_get_vring_base,
	.set_vring_kick = user_set_vring_kick,
	.set_vring_call = user_set_vring_call,
	.set_vring_err = user_set_vring_err,
	.set_vring_enable = user_set_vring_enable,
	.get_vring_max = user_get_vring_max,
	.dev_start = user_dev_start,
	.quiesce = vhost_user_io_quiesce,
	.get_status = user_get_status,
	.set_status = user_set_status,
	.get_config = user_get_config,
	.set_config = user_set_config,
	.set_log_base = user_set_log_base,
	.migration_done = user_migration_done,
	.net_set_mtu = user_net_set_mtu,
	.send_iotlb = vhost_user_iotlb_send,
	.map_notifier = vhost_user_notifier_map,
	.unmap_notifier = vhost_user_notifier_unmap,
	.notifier_lost = vhost_user_notifier_lost,
	.force_iommu = user_force_iommu,
};
