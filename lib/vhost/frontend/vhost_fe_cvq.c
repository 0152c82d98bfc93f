/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control queue: what the application wants of the device besides packets. What it wants is
 * kept in struct vhost_fe and told again with each session.
 *
 * Behind a socket there is none: such back-ends leave the queue to whoever emulates the card, and
 * filter nothing.
 */

#include <endian.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vhost_fe_rss.h"
#include "vhost_fe_session.h"
#include "virtq_drv_sync.h"

#define RING_SIZE 16		/* entries, two a command */
#define COMMAND_MS 1000		/* for a device to do what it is told */
#define POLL_US 20

int
vhost_fe_cvq_alloc(struct vhost_fe *fe)
{
	struct vhost_fe_cvq *cvq = &fe->cvq;
	struct virtq_drv_layout split, packed;
	uint64_t bytes;

	virtq_drv_layout(RING_SIZE, false, &split);
	virtq_drv_layout(RING_SIZE, true, &packed);
	bytes = split.bytes > packed.bytes ? split.bytes : packed.bytes;
	cvq->base = fe->ops->ring_alloc(fe->ctx, 2 * fe->pairs, bytes + 4096);
	cvq->drv = aligned_alloc(VIRTQ_CACHE_LINE, sizeof(*cvq->drv));
	if (cvq->base == NULL || cvq->drv == NULL)
		return -ENOMEM;
	memset(cvq->drv, 0, sizeof(*cvq->drv));
	cvq->cmd = (uint8_t *)cvq->base + bytes;
	cvq->kickfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return cvq->kickfd < 0 ? -errno : 0;
}

void
vhost_fe_cvq_free(struct vhost_fe *fe)
{
	struct vhost_fe_cvq *cvq = &fe->cvq;

	if (cvq->base != NULL)
		fe->ops->ring_free(fe->ctx, 2 * fe->pairs);
	free(cvq->drv);
	if (cvq->kickfd >= 0)
		close(cvq->kickfd);
	memset(cvq, 0, sizeof(*cvq));
	cvq->kickfd = -1;
}

/* VIRTIO 1.2, 5.1.2: behind all data rings the device could have, more than are served or not. */
static uint32_t
control_index(struct vhost_fe *fe)
{
	uint16_t pairs = fe->limits.max_pairs;

	if (!vhost_fe_session_has(fe, VIRTIO_NET_F_MQ) &&
	    !vhost_fe_session_has(fe, VIRTIO_NET_F_RSS))
		return 2;
	if (fe->vdpa && pairs == VHOST_FE_MAX_PAIRS &&
	    vhost_get_config(fe->dev, offsetof(struct virtio_net_config, max_virtqueue_pairs),
			     &pairs, sizeof(pairs)) == 0)
		pairs = le16toh(pairs);
	return 2u * pairs;
}

int
vhost_fe_cvq_up(struct vhost_fe *fe)
{
	struct vhost_fe_cvq *cvq = &fe->cvq;
	struct virtq_ring_config cfg = {
		.size = RING_SIZE,
		.features = fe->features,
		.enabled = true,
		.callfd = cvq->kickfd,
		.errfd = -1,
		.wakefd = -1,
	};
	int rc;

	if (!vhost_fe_session_has(fe, VIRTIO_NET_F_CTRL_VQ))
		return 0;
	cvq->qid = control_index(fe);
	cfg.qid = (uint16_t)cvq->qid;
	rc = virtq_drv_init(cvq->drv, cvq->base, fe->ops->ring_iova(fe->ctx, cvq->base), &cfg,
			    &cvq->ring);
	if (rc != 0)
		return vhost_dev_fail(fe->dev, rc, "control queue: %s", strerror(-rc));
	return vhost_fe_ring_set(fe, cvq->qid, cvq->ring, cvq->kickfd);
}

void
vhost_fe_cvq_down(struct vhost_fe *fe)
{
	struct vhost_fe_cvq *cvq = &fe->cvq;

	if (cvq->ring == NULL)
		return;
	virtq_drv_fini(cvq->drv);
	virtq_ring_free(cvq->ring);
	cvq->ring = NULL;
}

static int
wait_for_answer(struct vhost_fe *fe)
{
	struct vhost_fe_cvq *cvq = &fe->cvq;
	const uint64_t end = vhost_dev_deadline(fe->dev, COMMAND_MS);
	int rc;

	while ((rc = virtq_drv_sync_done(cvq->drv, cvq->ring)) == 0) {
		if (evloop_now_ns() > end || vhost_dev_is_late(fe->dev))
			return -ETIMEDOUT;
		vhost_dev_hurry(fe->dev);
		usleep(POLL_US);
	}
	return rc == 1 ? 0 : -ETIMEDOUT; /* a broken queue never answers */
}

static int
send_command(struct vhost_fe *fe, size_t len)
{
	struct vhost_fe_cvq *cvq = &fe->cvq;
	uint8_t *ack = cvq->cmd + VHOST_FE_CMD_MAX;
	const struct virtq_drv_seg read = { fe->ops->ring_iova(fe->ctx, cvq->cmd),
					    (uint32_t)len };
	const struct virtq_drv_seg write = { fe->ops->ring_iova(fe->ctx, ack), 1 };
	int rc;

	*ack = (uint8_t)~VIRTIO_NET_OK;
	rc = virtq_drv_sync_send(cvq->drv, cvq->ring, &read, &write);
	if (rc == 0)
		rc = wait_for_answer(fe);
	else
		rc = -ETIMEDOUT;
	if (rc != 0)
		return vhost_dev_fail(fe->dev, rc, "control queue: no answer to command %u/%u",
				      cvq->cmd[0], cvq->cmd[1]);
	if (__atomic_load_n(ack, __ATOMIC_ACQUIRE) != VIRTIO_NET_OK)
		return vhost_dev_fail(fe->dev, -EIO, "control queue: command %u/%u refused",
				      cvq->cmd[0], cvq->cmd[1]);
	return 0;
}

/* A session that is over has a queue until the loop ends it. */
static bool
has_queue(const struct vhost_fe *fe)
{
	return fe->cvq.ring != NULL && !fe->lost;
}

/* Where the device has no such command, or is not there, nothing is lost. */
static int
send_if(struct vhost_fe *fe, unsigned int feature, size_t len)
{
	if (!has_queue(fe) || !vhost_fe_session_has(fe, feature))
		return 0;
	return send_command(fe, len);
}

int
vhost_fe_cvq_mac(struct vhost_fe *fe)
{
	if (!has_queue(fe))
		return 0;
	return send_if(fe, VIRTIO_NET_F_CTRL_MAC_ADDR, vhost_fe_cmd_mac(fe->cvq.cmd, &fe->mac));
}

int
vhost_fe_cvq_mac_table(struct vhost_fe *fe)
{
	static const struct vhost_fe_mac none;
	struct vhost_fe_mac unicast[VHOST_FE_UNICAST];
	uint32_t n = 0;

	if (!has_queue(fe))
		return 0;
	for (unsigned int i = 0; i < VHOST_FE_UNICAST; i++)
		if (memcmp(&fe->unicast[i], &none, sizeof(none)) != 0)
			unicast[n++] = fe->unicast[i];
	return send_if(fe, VIRTIO_NET_F_CTRL_RX,
		       vhost_fe_cmd_mac_table(fe->cvq.cmd, unicast, n, fe->multicast,
					      fe->nmulticast));
}

int
vhost_fe_cvq_rx_mode(struct vhost_fe *fe)
{
	uint8_t *cmd = fe->cvq.cmd;
	int rc;

	if (!has_queue(fe))
		return 0;
	rc = send_if(fe, VIRTIO_NET_F_CTRL_RX,
		     vhost_fe_cmd_rx(cmd, VIRTIO_NET_CTRL_RX_PROMISC, fe->promisc));
	if (rc == 0)
		rc = send_if(fe, VIRTIO_NET_F_CTRL_RX,
			     vhost_fe_cmd_rx(cmd, VIRTIO_NET_CTRL_RX_ALLMULTI, fe->allmulti));
	return rc;
}

int
vhost_fe_cvq_vlan(struct vhost_fe *fe, uint16_t id, bool on)
{
	if (!has_queue(fe))
		return 0;
	return send_if(fe, VIRTIO_NET_F_CTRL_VLAN, vhost_fe_cmd_vlan(fe->cvq.cmd, id, on));
}

int
vhost_fe_cvq_announced(struct vhost_fe *fe)
{
	if (!has_queue(fe))
		return 0;
	return send_if(fe, VIRTIO_NET_F_GUEST_ANNOUNCE, vhost_fe_cmd_announce_ack(fe->cvq.cmd));
}

int
vhost_fe_cvq_rss(struct vhost_fe *fe)
{
	struct vhost_fe_rss rss;

	if (!has_queue(fe))
		return 0;
	vhost_fe_rss_fit(fe, fe->wants.rx_queues, &rss);
	if (vhost_fe_session_has(fe, VIRTIO_NET_F_RSS))
		return send_command(fe, vhost_fe_cmd_rss(fe->cvq.cmd, &rss, fe->in_use));
	return send_if(fe, VIRTIO_NET_F_HASH_REPORT, vhost_fe_cmd_hash(fe->cvq.cmd, &rss));
}

/* VIRTIO 1.2, 5.1.6.5.7: after a reset all that was negotiated is in use. */
static int
replay_guest_offloads(struct vhost_fe *fe)
{
	uint64_t unwanted = fe->features & VHOST_FE_GUEST_OFFLOADS & ~fe->guest_offloads;
	int rc;

	if (!has_queue(fe) || unwanted == 0)
		return 0;
	rc = send_if(fe, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS,
		     vhost_fe_cmd_guest_offloads(fe->cvq.cmd, fe->features &
						 VHOST_FE_GUEST_OFFLOADS & fe->guest_offloads));
	if (rc == -EIO)
		fe->no_guest_offloads = true;
	return rc;
}

static int
replay_vlans(struct vhost_fe *fe)
{
	int rc = 0;

	for (uint16_t id = 0; id < 4096 && rc == 0; id++)
		if (fe->vlan[id / 64] & VIRTQ_BIT(id % 64))
			rc = vhost_fe_cvq_vlan(fe, id, true);
	return rc;
}

/* How many pairs carry packets, where these go and what hash they come with; with RSS in one. */
static int
replay_pairs(struct vhost_fe *fe)
{
	int rc = 0;

	if (!has_queue(fe))
		return 0;
	if (!vhost_fe_session_has(fe, VIRTIO_NET_F_RSS))
		rc = send_if(fe, VIRTIO_NET_F_MQ, vhost_fe_cmd_pairs(fe->cvq.cmd, fe->in_use));
	return rc == 0 ? vhost_fe_cvq_rss(fe) : rc;
}

int
vhost_fe_cvq_replay(struct vhost_fe *fe)
{
	int rc;

	rc = replay_guest_offloads(fe);
	if (rc == 0 && fe->mac_given)
		rc = vhost_fe_cvq_mac(fe);
	if (rc == 0)
		rc = vhost_fe_cvq_mac_table(fe);
	if (rc == 0)
		rc = vhost_fe_cvq_rx_mode(fe);
	if (rc == 0)
		rc = replay_vlans(fe);
	if (rc == 0)
		rc = replay_pairs(fe);
	return rc;
}
