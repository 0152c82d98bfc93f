/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control queue: what the application wants of the device besides packets. What it wants is
 * kept in struct vring_fe and told again with each session.
 *
 * Behind a socket there is none: such back-ends leave the queue to whoever emulates the card, and
 * filter nothing.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_malloc.h>

#include "virtq_drv_sync.h"
#include "vring_fe.h"

#define RING_SIZE 16		/* entries, two a command */
#define COMMAND_MS 1000		/* for a device to do what it is told */
#define POLL_US 20

int
vring_fe_cvq_alloc(struct vring_fe *fe)
{
	struct vring_fe_cvq *cvq = &fe->cvq;
	struct virtq_drv_layout split, packed;
	char name[RTE_MEMZONE_NAMESIZE];
	uint64_t bytes;

	virtq_drv_layout(RING_SIZE, false, &split);
	virtq_drv_layout(RING_SIZE, true, &packed);
	bytes = RTE_MAX(split.bytes, packed.bytes);
	snprintf(name, sizeof(name), "vring_%u_cvq", fe->port->dev->data->port_id);
	cvq->zone = rte_memzone_reserve_aligned(name, bytes + 4096, fe->port->dev->data->numa_node,
						0, 4096);
	cvq->drv = rte_zmalloc("vring_cvq", sizeof(*cvq->drv), RTE_CACHE_LINE_SIZE);
	if (cvq->zone == NULL || cvq->drv == NULL)
		return -ENOMEM;
	cvq->cmd = (uint8_t *)cvq->zone->addr + bytes;
	cvq->kickfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return cvq->kickfd < 0 ? -errno : 0;
}

void
vring_fe_cvq_free(struct vring_fe *fe)
{
	struct vring_fe_cvq *cvq = &fe->cvq;

	rte_memzone_free(cvq->zone);
	rte_free(cvq->drv);
	if (cvq->kickfd >= 0)
		close(cvq->kickfd);
	memset(cvq, 0, sizeof(*cvq));
	cvq->kickfd = -1;
}

int
vring_fe_cvq_up(struct vring_fe *fe)
{
	struct vring_fe_cvq *cvq = &fe->cvq;
	struct virtq_ring_config cfg = {
		.size = RING_SIZE,
		.features = fe->port->features,
		.enabled = true,
		.callfd = cvq->kickfd,
		.errfd = -1,
	};
	int ret;

	if (!vring_fe_has(fe, VIRTIO_NET_F_CTRL_VQ))
		return 0;
	/* VIRTIO 1.2, 5.1.2: behind all data rings the device could have. */
	cvq->qid = vring_fe_has(fe, VIRTIO_NET_F_MQ) || vring_fe_has(fe, VIRTIO_NET_F_RSS) ?
		   2u * fe->max_pairs : 2;
	cfg.qid = cvq->qid;
	ret = virtq_drv_init(cvq->drv, cvq->zone->addr, (uintptr_t)cvq->zone->addr, &cfg,
			     &cvq->ring);
	if (ret != 0)
		return vhost_dev_fail(&fe->dev, ret, "control queue: %s", strerror(-ret));
	return vring_fe_ring_tell(fe, cvq->qid, cvq->ring, cvq->kickfd);
}

void
vring_fe_cvq_down(struct vring_fe *fe)
{
	struct vring_fe_cvq *cvq = &fe->cvq;

	if (cvq->ring == NULL)
		return;
	virtq_drv_fini(cvq->drv);
	virtq_ring_free(cvq->ring);
	cvq->ring = NULL;
}

static int
wait_done(struct vring_fe_cvq *cvq)
{
	uint64_t end = evloop_now_ns() + COMMAND_MS * 1000000ull;
	int ret;

	while ((ret = virtq_drv_sync_done(cvq->drv, cvq->ring)) == 0) {
		if (evloop_now_ns() > end)
			return -ETIMEDOUT;
		usleep(POLL_US);
	}
	return ret == 1 ? 0 : -ETIMEDOUT; /* a broken queue never answers */
}

int
vring_fe_cvq_send(struct vring_fe *fe, size_t len)
{
	struct vring_fe_cvq *cvq = &fe->cvq;
	uint8_t *ack = cvq->cmd + VRING_CMD_MAX;
	const struct virtq_drv_seg read = { (uintptr_t)cvq->cmd, len };
	const struct virtq_drv_seg write = { (uintptr_t)ack, 1 };
	int ret;

	if (cvq->ring == NULL)
		return -EOPNOTSUPP;
	*ack = (uint8_t)~VIRTIO_NET_OK;
	ret = virtq_drv_sync_send(cvq->drv, cvq->ring, &read, &write);
	if (ret == 0)
		ret = wait_done(cvq);
	else
		ret = -ETIMEDOUT;
	if (ret != 0)
		return vhost_dev_fail(&fe->dev, ret, "control queue: no answer to command %u/%u",
				      cvq->cmd[0], cvq->cmd[1]);
	if (__atomic_load_n(ack, __ATOMIC_ACQUIRE) != VIRTIO_NET_OK)
		return vhost_dev_fail(&fe->dev, -EIO, "control queue: command %u/%u refused",
				      cvq->cmd[0], cvq->cmd[1]);
	return 0;
}

/* Where the device has no such command, or is not there, nothing is lost. */
static int
send_if(struct vring_fe *fe, unsigned int feature, size_t len)
{
	if (fe->cvq.ring == NULL || !vring_fe_has(fe, feature))
		return 0;
	return vring_fe_cvq_send(fe, len);
}

int
vring_fe_cvq_mac(struct vring_fe *fe)
{
	if (fe->cvq.ring == NULL)
		return 0;
	return send_if(fe, VIRTIO_NET_F_CTRL_MAC_ADDR, vring_cmd_mac(fe->cvq.cmd, &fe->mac));
}

int
vring_fe_cvq_mac_table(struct vring_fe *fe)
{
	struct rte_ether_addr unicast[VRING_MAX_MACS];
	unsigned int i, n = 0;

	if (fe->cvq.ring == NULL)
		return 0;
	for (i = 0; i < VRING_MAX_MACS; i++)
		if (!rte_is_zero_ether_addr(&fe->unicast[i]))
			unicast[n++] = fe->unicast[i];
	return send_if(fe, VIRTIO_NET_F_CTRL_RX,
		       vring_cmd_mac_table(fe->cvq.cmd, unicast, n, fe->multicast,
					   fe->nmulticast));
}

int
vring_fe_cvq_rx_mode(struct vring_fe *fe)
{
	uint8_t *cmd = fe->cvq.cmd;
	int ret;

	if (fe->cvq.ring == NULL)
		return 0;
	ret = send_if(fe, VIRTIO_NET_F_CTRL_RX,
		      vring_cmd_rx(cmd, VIRTIO_NET_CTRL_RX_PROMISC, fe->promisc));
	if (ret == 0)
		ret = send_if(fe, VIRTIO_NET_F_CTRL_RX,
			      vring_cmd_rx(cmd, VIRTIO_NET_CTRL_RX_ALLMULTI, fe->allmulti));
	return ret;
}

int
vring_fe_cvq_vlan(struct vring_fe *fe, uint16_t id, bool on)
{
	if (fe->cvq.ring == NULL)
		return 0;
	return send_if(fe, VIRTIO_NET_F_CTRL_VLAN, vring_cmd_vlan(fe->cvq.cmd, id, on));
}

int
vring_fe_cvq_announced(struct vring_fe *fe)
{
	if (fe->cvq.ring == NULL)
		return 0;
	return send_if(fe, VIRTIO_NET_F_GUEST_ANNOUNCE, vring_cmd_announce_ack(fe->cvq.cmd));
}

int
vring_fe_cvq_rss(struct vring_fe *fe)
{
	struct vring_rss rss;

	if (fe->cvq.ring == NULL)
		return 0;
	vring_fe_rss_fit(fe, &rss);
	if (vring_fe_has(fe, VIRTIO_NET_F_RSS))
		return vring_fe_cvq_send(fe, vring_cmd_rss(fe->cvq.cmd, &rss, fe->pairs));
	return send_if(fe, VIRTIO_NET_F_HASH_REPORT, vring_cmd_hash(fe->cvq.cmd, &rss));
}

/* VIRTIO 1.2, 5.1.6.5.7: after a reset all that was negotiated is in use. */
int
vring_fe_cvq_guest_offloads(struct vring_fe *fe)
{
	uint64_t unwanted = fe->port->features & VRING_GUEST_OFFLOADS & ~fe->guest_offloads;
	int ret;

	if (fe->cvq.ring == NULL || unwanted == 0)
		return 0;
	ret = send_if(fe, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS,
		      vring_cmd_guest_offloads(fe->cvq.cmd, fe->port->features &
					       VRING_GUEST_OFFLOADS & fe->guest_offloads));
	if (ret == -EIO)
		fe->no_guest_offloads = true;
	return ret;
}

static int
replay_vlans(struct vring_fe *fe)
{
	unsigned int id;
	int ret = 0;

	for (id = 0; id < 4096 && ret == 0; id++)
		if (fe->vlan[id / 64] & RTE_BIT64(id % 64))
			ret = vring_fe_cvq_vlan(fe, id, true);
	return ret;
}

/* How many pairs carry packets, where these go and what hash they come with; with RSS in one. */
static int
replay_pairs(struct vring_fe *fe)
{
	int ret = 0;

	if (fe->cvq.ring == NULL)
		return 0;
	if (!vring_fe_has(fe, VIRTIO_NET_F_RSS))
		ret = send_if(fe, VIRTIO_NET_F_MQ, vring_cmd_pairs(fe->cvq.cmd, fe->pairs));
	return ret == 0 ? vring_fe_cvq_rss(fe) : ret;
}

int
vring_fe_cvq_replay(struct vring_fe *fe)
{
	int ret;

	ret = vring_fe_cvq_guest_offloads(fe);
	if (ret == 0 && fe->mac_given)
		ret = vring_fe_cvq_mac(fe);
	if (ret == 0)
		ret = vring_fe_cvq_mac_table(fe);
	if (ret == 0)
		ret = vring_fe_cvq_rx_mode(fe);
	if (ret == 0)
		ret = replay_vlans(fe);
	if (ret == 0)
		ret = replay_pairs(fe);
	return ret;
}
