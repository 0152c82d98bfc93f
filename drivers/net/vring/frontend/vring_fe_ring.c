/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The data rings of a front-end. Their memory is reserved when the port is made, by the
 * application's thread; everything else happens in the control thread.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_arp.h>

#include "virtq_notify.h"
#include "vnet_drv.h"
#include "vring_fe.h"

/* Room for either layout: which one it is shows with each session. */
static uint64_t
ring_bytes(uint32_t size)
{
	struct virtq_drv_layout split, packed;

	virtq_drv_layout(size, false, &split);
	virtq_drv_layout(size, true, &packed);
	return RTE_MAX(split.bytes, packed.bytes);
}

static int
ring_alloc(struct vring_fe *fe, unsigned int qid)
{
	struct vring_fe_ring *ring = &fe->ring[qid];
	const struct rte_eth_dev_data *data = fe->port->dev->data;
	char name[RTE_MEMZONE_NAMESIZE];

	snprintf(name, sizeof(name), "vring_%u_%u", data->port_id, qid);
	ring->zone = rte_memzone_reserve_aligned(name, ring_bytes(fe->port->args.queue_size),
						 data->numa_node, 0, 4096);
	ring->drv = &fe->port->drvs[qid];
	ring->kickfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (ring->kickfd < 0)
		return -errno;
	return ring->zone == NULL ? -ENOMEM : 0;
}

int
vring_fe_rings_alloc(struct vring_fe *fe)
{
	unsigned int qid, n = 2u * fe->port->pairs;
	int ret = 0;

	fe->ring = calloc(n, sizeof(*fe->ring));
	if (fe->ring == NULL)
		return -ENOMEM;
	for (qid = 0; qid < n; qid++)
		fe->ring[qid].kickfd = -1;
	for (qid = 0; qid < n && ret == 0; qid++)
		ret = ring_alloc(fe, qid);
	return ret;
}

void
vring_fe_rings_free(struct vring_fe *fe)
{
	unsigned int qid;

	if (fe->ring == NULL)
		return;
	for (qid = 0; qid < 2u * fe->port->pairs; qid++) {
		rte_memzone_free(fe->ring[qid].zone);
		if (fe->ring[qid].kickfd >= 0)
			close(fe->ring[qid].kickfd);
	}
	free(fe->ring);
	fe->ring = NULL;
}

/* What the device allows; a split ring has a power of two. */
uint32_t
vring_fe_ring_size(const struct vring_fe *fe, uint32_t most, bool packed)
{
	uint32_t size = fe->port->args.queue_size;

	if (most != 0)
		size = RTE_MIN(size, most);
	return packed ? size : rte_align32prevpow2(size);
}

static int
ring_size(struct vring_fe *fe, unsigned int qid, uint32_t *size)
{
	uint32_t most = 0;
	int ret = vhost_get_vring_max(&fe->dev, qid, &most);

	if (ret != 0 && ret != -EOPNOTSUPP)
		return ret;
	*size = vring_fe_ring_size(fe, ret == 0 ? most : 0,
				   vring_fe_has(fe, VIRTIO_F_RING_PACKED));
	return 0;
}

/* What a burst may take for true. Before the device is told it may have merged packets. */
static uint64_t
ring_features(const struct vring_fe *fe)
{
	return fe->port->features & ~(VRING_GUEST_LRO & ~fe->guest_offloads);
}

/* Receive buffers come from the queue that is going to take the packets. */
static void
fill(struct vring_fe *fe, unsigned int qid)
{
	const struct rte_eth_dev_data *data = fe->port->dev->data;
	struct vring_fe_ring *ring = &fe->ring[qid];
	struct vring_rxq *rxq;

	if (data->nb_rx_queues == 0)
		return;
	rxq = data->rx_queues[qid / 2 % data->nb_rx_queues];
	if (vnet_drv_rx_fill(&rxq->rx, ring->drv, ring->ring) == 0)
		VRING_LOG(WARNING, fe->port->name, "vring %u has no buffers: pool %s is empty, a "
			  "larger one would help", qid, rxq->pool->name);
}

/* NULL: the kick fd is used. */
static void *
map_notifier(struct vring_fe *fe, unsigned int qid)
{
	void *notifier;

	return vhost_map_notifier(&fe->dev, qid, &notifier) == 0 ? notifier : NULL;
}

static void
unmap_notifier(struct vring_fe *fe, unsigned int qid, void *notifier)
{
	if (notifier != NULL)
		vhost_unmap_notifier(&fe->dev, qid, notifier);
}

static int
ring_init(struct vring_fe *fe, unsigned int qid)
{
	struct vring_fe_ring *ring = &fe->ring[qid];
	struct virtq_ring_config cfg = {
		.features = ring_features(fe),
		.enabled = true,
		.callfd = ring->kickfd,
		.errfd = -1,
		.qid = qid,
	};
	void *base = ring->zone->addr;
	int ret = ring_size(fe, qid, &cfg.size);

	if (ret != 0)
		return ret;
	ret = virtq_drv_init(ring->drv, base, (uintptr_t)base, &cfg, &ring->ring);
	if (ret != 0)
		return vhost_dev_fail(&fe->dev, ret, "vring %u: %s", qid, strerror(-ret));
	ring->ring->notifier = map_notifier(fe, qid);
	if (qid % 2 == 0)
		fill(fe, qid);
	return 0;
}

int
vring_fe_ring_tell(struct vring_fe *fe, uint32_t qid, const struct virtq_ring *ring, int kickfd)
{
	const struct vhost_vring_addr addr = {
		.desc = ring->desc,
		.avail = ring->avail,
		.used = ring->used,
		.desc_iova = (uintptr_t)ring->desc,
		.avail_iova = (uintptr_t)ring->avail,
		.used_iova = (uintptr_t)ring->used,
	};
	int ret = vhost_set_vring_num(&fe->dev, qid, ring->size);

	if (ret == 0)
		ret = vhost_set_vring_base(&fe->dev, qid, virtq_fresh_base(ring->packed));
	if (ret == 0)
		ret = vhost_set_vring_addr(&fe->dev, qid, &addr);
	if (ret == 0)
		ret = vhost_set_vring_kick(&fe->dev, qid, kickfd);
	if (ret == 0)
		ret = vhost_set_vring_call(&fe->dev, qid, fe->callfd);
	return ret;
}

static int
ring_tell(struct vring_fe *fe, unsigned int qid)
{
	int ret = vring_fe_ring_tell(fe, qid, fe->ring[qid].ring, fe->ring[qid].kickfd);

	if (ret == 0)
		ret = vhost_set_vring_err(&fe->dev, qid, fe->errfd);
	return ret == -EOPNOTSUPP ? 0 : ret;
}

/* Queues tell the application what their rings have. */
static void
tell_queues(struct vring_fe *fe)
{
	const struct rte_eth_dev_data *data = fe->port->dev->data;
	unsigned int i;

	for (i = 0; fe->pairs > 0 && i < data->nb_rx_queues; i++) {
		struct vring_rxq *rxq = data->rx_queues[i];

		rxq->q.nb_desc = fe->ring[2 * (i % fe->pairs)].ring->size;
	}
	for (i = 0; fe->pairs > 0 && i < data->nb_tx_queues; i++) {
		struct vring_txq *txq = data->tx_queues[i];

		txq->q.nb_desc = fe->ring[2 * (i % fe->pairs) + 1].ring->size;
	}
}

int
vring_fe_rings_up(struct vring_fe *fe)
{
	unsigned int qid;
	int ret = 0;

	for (qid = 0; qid < 2u * fe->pairs && ret == 0; qid++) {
		ret = ring_init(fe, qid);
		if (ret == 0)
			ret = ring_tell(fe, qid);
	}
	if (ret == 0)
		tell_queues(fe);
	return ret;
}

int
vring_fe_rings_enable(struct vring_fe *fe)
{
	unsigned int qid;
	int ret = 0;

	for (qid = 0; qid < 2u * fe->pairs && ret == 0; qid++)
		ret = vhost_set_vring_enable(&fe->dev, qid, true);
	/* A back-end without protocol features has its rings enabled. */
	return ret == -EOPNOTSUPP && !fe->vdpa ? 0 : ret;
}

/*
 * vhost-user, "Ring states": the first kick starts a ring, also an empty one. It is the descriptor
 * that does so, whatever notifier there is.
 */
void
vring_fe_rings_kick(struct vring_fe *fe)
{
	unsigned int qid;

	for (qid = 0; qid < 2u * fe->pairs; qid++) {
		const struct vring_fe_ring *ring = &fe->ring[qid];

		virtq_drv_notify(ring->drv, ring->ring);
		if (!fe->vdpa && ring->ring->notifier != NULL)
			virtq_notify(ring->kickfd);
	}
}

/* Runs with the notifiers that there are now. 0 or -ENOMEM; *former[qid]: the run until then. */
static int
change_notifiers(struct vring_fe *fe, struct virtq_ring **former)
{
	struct vring_fe_ring *ring;
	struct virtq_ring *next;
	unsigned int qid;

	for (qid = 0; qid < 2u * fe->pairs; qid++) {
		ring = &fe->ring[qid];
		next = virtq_ring_with_notifier(ring->ring, map_notifier(fe, qid));
		if (next == NULL)
			return vhost_dev_fail(&fe->dev, -ENOMEM, "no memory for a notifier");
		former[qid] = ring->ring;
		ring->ring = next;
		fe->port->vring[qid].ring = next;
	}
	return 0;
}

int
vring_fe_rings_notifiers(struct vring_fe *fe)
{
	struct virtq_ring *former[VRING_MAX_QIDS] = { NULL };
	unsigned int qid;
	int ret = change_notifiers(fe, former);

	vring_publish(fe->port);
	for (qid = 0; qid < 2u * fe->pairs; qid++) {
		if (former[qid] == NULL)
			continue;
		unmap_notifier(fe, qid, former[qid]->notifier);
		virtq_ring_free(former[qid]);
		/* The last kick may have gone where nobody looks any more. */
		virtq_drv_notify_device(fe->ring[qid].ring);
	}
	return ret;
}

bool
vring_fe_rings_unheard(struct vring_fe *fe)
{
	unsigned int qid;

	for (qid = 0; qid < 2u * fe->pairs; qid++)
		if (vhost_notifier_lost(&fe->dev, qid))
			return true;
	return false;
}

/* VIRTIO 1.2, 5.1.6.5.4: sent between two bursts of the application. */
void
vring_fe_rings_announce(struct vring_fe *fe)
{
	const struct rte_eth_dev_data *data = fe->port->dev->data;
	const struct vring_fe_ring *ring = &fe->ring[1];
	struct vnet_txq txq = { .flags = 0 };
	struct vring_rxq *rxq;
	struct rte_mbuf *m;

	if (ring->ring == NULL || data->nb_rx_queues == 0)
		return;
	rxq = data->rx_queues[0];
	m = rte_net_make_rarp_packet(rxq->pool, &fe->mac);
	if (m == NULL)
		return;
	vring_publish_withdraw(fe->port);
	if (vnet_drv_tx_select(ring->ring, NULL)(&txq, &ring->drv->vq, ring->ring, &m, 1) == 0)
		rte_pktmbuf_free(m);
	vring_publish(fe->port);
}

void
vring_fe_rings_stop(struct vring_fe *fe)
{
	unsigned int qid;
	uint32_t base;
	int ret = 0;

	for (qid = 0; qid < 2u * fe->pairs && !vhost_dev_is_fatal(ret); qid++)
		if (fe->ring[qid].ring != NULL && !fe->vdpa)
			ret = vhost_set_vring_enable(&fe->dev, qid, false);
	/* Answered when the back-end is done with what it had taken. */
	for (qid = 0; qid < 2u * fe->pairs && !vhost_dev_is_fatal(ret); qid++)
		if (fe->ring[qid].ring != NULL)
			ret = vhost_get_vring_base(&fe->dev, qid, &base);
}

static void
ring_down(struct vring_fe *fe, unsigned int qid)
{
	struct vring_fe_ring *ring = &fe->ring[qid];

	if (ring->ring == NULL)
		return;
	unmap_notifier(fe, qid, ring->ring->notifier);
	vnet_drv_drain(ring->drv, ring->ring->size);
	virtq_drv_fini(ring->drv);
	virtq_ring_free(ring->ring);
	ring->ring = NULL;
	/* Kicks that nobody took are not the next session's. */
	virtq_notify_take(ring->kickfd);
}

void
vring_fe_rings_down(struct vring_fe *fe)
{
	unsigned int qid, n = 2u * fe->port->pairs;

	for (qid = 0; qid < n; qid++)
		fe->port->vring[qid].ring = NULL;
	vring_publish(fe->port);
	for (qid = 0; qid < n; qid++)
		ring_down(fe, qid);
}

bool
vring_fe_rings_broken(const struct vring_fe *fe, unsigned int *qid)
{
	for (*qid = 0; *qid < 2u * fe->pairs; (*qid)++)
		if (fe->ring[*qid].ring != NULL &&
		    __atomic_load_n(&fe->ring[*qid].drv->vq.broken, __ATOMIC_RELAXED) != VIRTQ_OK)
			return true;
	return false;
}
