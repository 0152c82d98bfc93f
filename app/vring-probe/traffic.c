/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A few packets through the first pair of rings. The device has to consume them all; those that it
 * sends back (a loop, a forwarder) have to be what was sent.
 */
#include <endian.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/virtio_net.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "out.h"
#include "probe.h"
#include "virtq_drv.h"

#define RX 0			/* rings, as the driver sees them */
#define TX 1
#define SIZE 64u		/* entries, at most */
#define PACKETS 16u
#define BUFFER 2048u		/* bytes */
#define QUIET_MS 300		/* nothing came for so long: nothing will */
#define ETHERTYPE 0x88b5	/* for local experiments, IEEE 802 */
#define MAGIC "vring-probe"

/* After the Ethernet header. */
struct mark {
	char magic[12];
	uint32_t number;
};

struct ring {
	struct virtq_drv *drv;
	struct virtq_ring *ring;
	struct virtq_drv_layout at;
	uint64_t offset;	/* in the shared memory */
	uint32_t size;
	int kick;
};

struct traffic {
	struct probe *p;
	uint64_t features;
	struct ring ring[2];
	uint8_t *mem;
	uint64_t bytes, buffers, iova;
	int memfd;
	uint8_t dst[6];
	uint32_t consumed, returned, other, wrong;
};

/* Buffers: a ring's worth to receive, then the packets to send. */
static uint64_t
buffer_offset(const struct traffic *t, int ring, uint32_t i)
{
	return t->buffers + ((ring == TX ? t->ring[RX].size : 0) + i) * (uint64_t)BUFFER;
}

static uint32_t
packet_length(uint32_t number)
{
	return 60 + number * 90; /* 60..1410 */
}

static void
make_packet(const struct traffic *t, uint32_t number, uint8_t *frame)
{
	const uint16_t type = htobe16(ETHERTYPE);
	struct mark mark = { .magic = MAGIC, .number = number };

	memcpy(frame, t->dst, 6);
	memcpy(frame + 6, "\x02vring", 6);
	memcpy(frame + 12, &type, sizeof(type));
	memcpy(frame + ETH_HLEN, &mark, sizeof(mark));
	for (uint32_t i = ETH_HLEN + sizeof(mark); i < packet_length(number); i++)
		frame[i] = (uint8_t)(number * 31 + i);
}

/* A packet came: is it one of ours? Who forwards may change the addresses. */
static void
check_packet(struct traffic *t, const uint8_t *frame, uint32_t len)
{
	uint8_t expected[BUFFER];
	struct mark mark;

	if (len >= ETH_HLEN + sizeof(mark))
		memcpy(&mark, frame + ETH_HLEN, sizeof(mark));
	if (len < ETH_HLEN + sizeof(mark) || memcmp(mark.magic, MAGIC, sizeof(MAGIC)) != 0) {
		t->other++;
		return;
	}
	t->returned++;
	if (mark.number >= PACKETS || len != packet_length(mark.number)) {
		t->wrong++;
		return;
	}
	make_packet(t, mark.number, expected);
	t->wrong += memcmp(expected + 12, frame + 12, len - 12) != 0;
}

static void
offer_buffer(struct traffic *t, uint32_t i)
{
	const struct ring *r = &t->ring[RX];
	const struct virtq_drv_seg seg = { t->iova + buffer_offset(t, RX, i), BUFFER };

	virtq_drv_add(r->drv, r->ring, t->mem + buffer_offset(t, RX, i), &seg, 1,
		      VRING_DESC_F_WRITE, false);
}

/* Take one used entry back. False: there is none, or the ring is broken. */
static bool
take(struct ring *r, uint8_t **buffer, uint32_t *len)
{
	const struct vring_used_elem *e;
	uint32_t id;

	if (virtq_drv_used_split(r->drv, r->ring) == 0)
		return false;
	e = &r->ring->used->ring[r->drv->vq.used_idx & r->ring->mask];
	id = virtq_load32(&e->id);
	*len = virtq_load32(&e->len);
	if (!virtq_drv_outstanding(r->drv, r->ring, id)) {
		virtq_drv_break(r->drv, VIRTQ_E_BAD_HEAD);
		return false;
	}
	*buffer = virtq_drv_pop_used(r->drv, r->ring, (uint16_t)id, false);
	return true;
}

static bool
reap(struct traffic *t)
{
	struct ring *rx = &t->ring[RX], *tx = &t->ring[TX];
	uint8_t *buffer;
	bool some = false;
	uint32_t len;

	for (; take(tx, &buffer, &len); some = true)
		t->consumed++;
	for (; take(rx, &buffer, &len); some = true) {
		const uint32_t head = rx->ring->hdr_len;

		if (len < head || len > BUFFER)
			t->wrong++;
		else
			check_packet(t, buffer + head, len - head);
		offer_buffer(t, (uint32_t)((uint64_t)(buffer - t->mem) - t->buffers) / BUFFER);
	}
	virtq_drv_publish(rx->drv, rx->ring, false);
	if (some)
		virtq_drv_kick(rx->drv, rx->ring, false);
	return some;
}

static void
send_packets(struct traffic *t)
{
	const struct ring *r = &t->ring[TX];

	for (uint32_t i = 0; i < PACKETS; i++) {
		const uint64_t at = buffer_offset(t, TX, i);
		const uint16_t slot = virtq_drv_next_id(r->drv);
		const struct virtq_drv_seg seg[2] = {
			{ r->drv->header_iova + slot * VIRTQ_DRV_HEADER, r->ring->hdr_len },
			{ t->iova + at, packet_length(i) },
		};

		memset(r->drv->header + slot * VIRTQ_DRV_HEADER, 0, r->ring->hdr_len);
		make_packet(t, i, t->mem + at);
		virtq_drv_add(r->drv, r->ring, t->mem + at, seg, 2, 0, false);
	}
	virtq_drv_publish(r->drv, r->ring, false);
	virtq_drv_kick(r->drv, r->ring, false);
}

/* Until all is back, or nothing comes any more. */
static void
exchange(struct traffic *t)
{
	const uint64_t most = t->p->dev.timeout_ms * UINT64_C(1000000);
	const uint64_t start = evloop_now_ns();
	uint64_t last = start;

	for (uint32_t i = 0; i < t->ring[RX].size; i++)
		offer_buffer(t, i);
	virtq_drv_publish(t->ring[RX].drv, t->ring[RX].ring, false);
	virtq_drv_kick(t->ring[RX].drv, t->ring[RX].ring, false);
	send_packets(t);
	for (;;) {
		const bool some = reap(t);
		const uint64_t now = evloop_now_ns();

		if (some)
			last = now;
		if (t->returned >= PACKETS && t->consumed >= PACKETS)
			break;
		if (now - start > most || (t->consumed >= PACKETS &&
					   now - last > QUIET_MS * UINT64_C(1000000)))
			break;
		evloop_step(t->p->loop, some ? 0 : 1);
		if (!vhost_dev_is_open(&t->p->dev))
			break;
	}
}

static int
no_memory(struct traffic *t)
{
	return vhost_dev_fail(&t->p->dev, -ENOMEM, "out of memory");
}

/* Rings, buffers, and the file that they are shared by. */
static int
make_memory(struct traffic *t)
{
	uint64_t first = 0, last = UINT64_MAX;

	t->bytes = 0;
	for (int i = 0; i < 2; i++) {
		virtq_drv_layout(t->ring[i].size, false, &t->ring[i].at);
		t->ring[i].offset = t->bytes;
		t->bytes += t->ring[i].at.bytes;
	}
	t->buffers = t->bytes;
	t->bytes += (t->ring[RX].size + PACKETS) * (uint64_t)BUFFER;
	t->bytes = (t->bytes + 65535) & ~UINT64_C(65535);
	t->memfd = memfd_create("vring-probe", MFD_CLOEXEC);
	if (t->memfd < 0 || ftruncate(t->memfd, (off_t)t->bytes) < 0)
		return no_memory(t);
	t->mem = mmap(NULL, t->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, t->memfd, 0);
	if (t->mem == MAP_FAILED) {
		t->mem = NULL;
		return no_memory(t);
	}
	/* Somewhere that the device can reach, and not where it lies here. */
	vhost_get_iova_range(&t->p->dev, &first, &last);
	t->iova = UINT64_C(0x10000000);
	if (t->iova < first || t->iova > last || last - t->iova < t->bytes)
		t->iova = (first + 65535) & ~UINT64_C(65535);
	return 0;
}

static int
make_ring(struct traffic *t, int index)
{
	struct ring *r = &t->ring[index];
	struct virtq_ring_config cfg = {
		.size = r->size,
		.features = t->features,
		.enabled = true,
		.errfd = -1,
		.qid = (uint16_t)index,
	};

	r->kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	r->drv = aligned_alloc(VIRTQ_CACHE_LINE, sizeof(*r->drv));
	if (r->kick < 0 || r->drv == NULL)
		return no_memory(t);
	memset(r->drv, 0, sizeof(*r->drv));
	cfg.callfd = r->kick;
	return virtq_drv_init(r->drv, t->mem + r->offset, t->iova + r->offset, &cfg, &r->ring);
}

static int
give_ring(struct traffic *t, uint32_t index)
{
	const struct ring *r = &t->ring[index];
	struct vhost_dev *dev = &t->p->dev;
	const uint64_t iova = t->iova + r->offset;
	const struct vhost_vring_addr addr = {
		.desc = r->ring->desc,
		.avail = r->ring->avail,
		.used = r->ring->used,
		.desc_iova = iova,
		.avail_iova = iova + r->at.avail,
		.used_iova = iova + r->at.used,
	};
	int rc = vhost_set_vring_num(dev, index, r->size);

	if (rc == 0)
		rc = vhost_set_vring_base(dev, index, 0);
	if (rc == 0)
		rc = vhost_set_vring_addr(dev, index, &addr);
	if (rc == 0)
		rc = vhost_set_vring_call(dev, index, -1);
	if (rc == 0)
		rc = vhost_set_vring_kick(dev, index, r->kick);
	if (rc == 0)
		rc = vhost_set_vring_enable(dev, index, true);
	return rc == -EOPNOTSUPP ? 0 : rc;
}

static int
bring_up(struct traffic *t)
{
	struct vhost_dev *dev = &t->p->dev;
	const uint64_t wanted = VIRTQ_BIT(VIRTIO_F_VERSION_1) |
				(vhost_force_iommu(dev) ? VIRTQ_BIT(VIRTIO_F_ACCESS_PLATFORM) : 0);
	struct vhost_region region;
	int rc = vhost_set_owner(dev);

	t->features = dev->offered & wanted;
	for (uint32_t i = 0; i < 2 && rc == 0; i++) {
		uint32_t most = 0;

		rc = vhost_get_vring_max(dev, i, &most);
		t->ring[i].size = most != 0 && most < SIZE ? most : SIZE;
	}
	if (rc == 0)
		rc = vhost_set_features(dev, t->features);
	if (rc == 0)
		rc = make_memory(t);
	for (int i = 0; i < 2 && rc == 0; i++)
		rc = make_ring(t, i);
	region = (struct vhost_region){
		.iova = t->iova, .size = t->bytes, .addr = t->mem, .fd = t->memfd,
	};
	if (rc == 0)
		rc = vhost_set_mem_table(dev, &region, 1);
	for (uint32_t i = 0; i < 2 && rc == 0; i++)
		rc = give_ring(t, i);
	return rc == 0 ? vhost_dev_start(dev, true) : rc;
}

/* In the order in which the device lets go of it all. */
static void
tear_down(struct traffic *t)
{
	uint32_t base;

	for (uint32_t i = 0; i < 2; i++)
		vhost_get_vring_base(&t->p->dev, i, &base);
	vhost_dev_start(&t->p->dev, false);
	vhost_dev_close(&t->p->dev);
	for (int i = 0; i < 2; i++) {
		struct ring *r = &t->ring[i];

		if (r->ring != NULL) {
			virtq_ring_free(r->ring);
			virtq_drv_fini(r->drv);
		}
		free(r->drv);
		if (r->kick >= 0)
			close(r->kick);
	}
	if (t->mem != NULL)
		munmap(t->mem, t->bytes);
	if (t->memfd >= 0)
		close(t->memfd);
}

/* A device that sends back what it gets may do so only with its own address. */
static void
choose_destination(struct traffic *t)
{
	memset(t->dst, 0xff, sizeof(t->dst));
	if (t->p->dev.offered & VIRTQ_BIT(VIRTIO_NET_F_MAC))
		vhost_get_config(&t->p->dev, offsetof(struct virtio_net_config, mac), t->dst,
				 sizeof(t->dst));
}

static int
verdict(struct traffic *t)
{
	struct probe *p = t->p;
	const bool broken = t->ring[RX].drv->vq.broken || t->ring[TX].drv->vq.broken;
	int state = PROBE_TRAFFIC;

	if (broken)
		snprintf(p->why, sizeof(p->why), "%s: the device broke a ring", p->path);
	else if (t->consumed < PACKETS)
		snprintf(p->why, sizeof(p->why), "%s: the device took %u of %u packets", p->path,
			 t->consumed, PACKETS);
	else if (t->wrong > 0)
		snprintf(p->why, sizeof(p->why), "%s: %u packets came back changed", p->path,
			 t->wrong);
	else
		state = PROBE_OK;
	out_number("packets sent", PACKETS);
	out_number("packets consumed", t->consumed);
	out_number("packets returned", t->returned);
	out_number("packets of others", t->other);
	out_text("traffic", state == PROBE_OK ? "good" : "bad");
	return state;
}

int
probe_traffic(struct probe *p)
{
	struct traffic t = { .p = p, .memfd = -1, .ring = { { .kick = -1 }, { .kick = -1 } } };
	int state, rc;

	choose_destination(&t);
	rc = bring_up(&t);
	if (rc == 0) {
		exchange(&t);
		state = verdict(&t);
	} else {
		snprintf(p->why, sizeof(p->why), "%s: %s", p->path, p->dev.why);
		out_text("traffic", "bad");
		state = PROBE_TRAFFIC;
	}
	tear_down(&t);
	return state;
}
