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
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "out.h"
#include "probe.h"
#include "vhost_fe.h"
#include "virtq_drv.h"

#define RX 0			/* rings, as the driver sees them */
#define TX 1
#define ALL 3			/* a device of the kernel may have a control queue */
#define SIZE 64u		/* entries, at most */
#define ROOM 0x20000u		/* bytes for such a ring */
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

struct traffic {
	struct probe *p;
	struct vhost_fe *fe;
	struct virtq_drv *drv;		/* two of them */
	const struct virtq_ring *ring[2]; /* NULL: it does not run */
	uint8_t *mem;			/* rings, then buffers */
	uint64_t bytes, iova;
	int memfd;
	uint8_t dst[6];
	bool broken;			/* a ring */
	uint32_t consumed, returned, other, wrong;
};

/* Buffers: a ring's worth to receive, then the packets to send. */
static uint64_t
buffer_offset(int ring, uint32_t i)
{
	return ALL * ROOM + ((ring == TX ? SIZE : 0) + i) * (uint64_t)BUFFER;
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
offer_buffer(struct traffic *t, const struct virtq_ring *ring, uint32_t i)
{
	const struct virtq_drv_seg seg = { t->iova + buffer_offset(RX, i), BUFFER };

	virtq_drv_add(&t->drv[RX], ring, t->mem + buffer_offset(RX, i), &seg, 1,
		      VRING_DESC_F_WRITE, false);
}

/* Take one used entry back. False: there is none, or the ring is broken. */
static bool
take_used(struct traffic *t, int index, uint8_t **buffer, uint32_t *len)
{
	const struct virtq_ring *ring = t->ring[index];
	struct virtq_drv *drv = &t->drv[index];
	const struct vring_used_elem *e;
	uint32_t id;

	if (virtq_drv_used_split(drv, ring) == 0)
		return false;
	e = &ring->used->ring[drv->cursor.used_idx & ring->mask];
	id = virtq_load32(&e->id);
	*len = virtq_load32(&e->len);
	if (!virtq_drv_outstanding(drv, ring, id)) {
		virtq_drv_break(drv, VIRTQ_E_BAD_HEAD);
		return false;
	}
	*buffer = virtq_drv_pop_used(drv, ring, (uint16_t)id, false);
	return true;
}

static bool
reap_rings(struct traffic *t)
{
	const struct virtq_ring *rx = t->ring[RX];
	uint8_t *buffer;
	bool some = false;
	uint32_t len;

	for (; take_used(t, TX, &buffer, &len); some = true)
		t->consumed++;
	for (; take_used(t, RX, &buffer, &len); some = true) {
		const uint32_t head = rx->hdr_len;

		if (len < head || len > BUFFER)
			t->wrong++;
		else
			check_packet(t, buffer + head, len - head);
		offer_buffer(t, rx, (uint32_t)((uint64_t)(buffer - t->mem) -
					       buffer_offset(RX, 0)) / BUFFER);
	}
	virtq_drv_publish(&t->drv[RX], rx, false);
	if (some)
		virtq_drv_kick(&t->drv[RX], rx, false);
	t->broken |= t->drv[RX].cursor.broken || t->drv[TX].cursor.broken;
	return some;
}

static void
send_packets(struct traffic *t)
{
	const struct virtq_ring *ring = t->ring[TX];
	struct virtq_drv *drv = &t->drv[TX];

	for (uint32_t i = 0; i < PACKETS; i++) {
		const uint64_t at = buffer_offset(TX, i);
		const uint16_t slot = virtq_drv_next_id(drv);
		const struct virtq_drv_seg seg[2] = {
			{ drv->header_iova + slot * VIRTQ_DRV_HEADER, ring->hdr_len },
			{ t->iova + at, packet_length(i) },
		};

		memset(drv->header + slot * VIRTQ_DRV_HEADER, 0, ring->hdr_len);
		make_packet(t, i, t->mem + at);
		virtq_drv_add(drv, ring, t->mem + at, seg, 2, 0, false);
	}
	virtq_drv_publish(drv, ring, false);
	virtq_drv_kick(drv, ring, false);
}

/* Until all is back, or nothing comes any more. */
static void
exchange_packets(struct traffic *t)
{
	const uint64_t most = t->p->dev.timeout_ms * UINT64_C(1000000);
	const uint64_t start = evloop_now_ns();
	uint64_t last = start;

	send_packets(t);
	while (t->ring[RX] != NULL) {
		const bool some = reap_rings(t);
		const uint64_t now = evloop_now_ns();

		if (some)
			last = now;
		if (t->returned >= PACKETS && t->consumed >= PACKETS)
			break;
		if (now - start > most || (t->consumed >= PACKETS &&
					   now - last > QUIET_MS * UINT64_C(1000000)))
			break;
		/* The session would set a broken ring up anew. */
		if (t->broken)
			usleep(1000);
		else
			evloop_step(t->p->loop, some ? 0 : 1);
	}
}

static void *
ring_room(void *ctx, uint16_t qid, uint64_t bytes)
{
	struct traffic *t = ctx;

	return qid < ALL && bytes <= ROOM ? t->mem + qid * ROOM : NULL;
}

static void
keep_room(void *ctx, uint16_t qid)
{
}

static uint64_t
iova_of(void *ctx, const void *addr)
{
	const struct traffic *t = ctx;

	return t->iova + (uint64_t)((const uint8_t *)addr - t->mem);
}

/* Somewhere that the device can reach, and not where it lies here. */
static int
give_memory(void *ctx, struct vhost_dev *dev)
{
	struct traffic *t = ctx;
	struct vhost_region region = { .size = t->bytes, .addr = t->mem, .fd = t->memfd };
	uint64_t first = 0, last = UINT64_MAX;

	vhost_get_iova_range(dev, &first, &last);
	t->iova = UINT64_C(0x10000000);
	if (t->iova < first || t->iova > last || last - t->iova < t->bytes)
		t->iova = (first + 65535) & ~UINT64_C(65535);
	region.iova = t->iova;
	return vhost_set_mem_table(dev, &region, 1);
}

static void
keep_memory(void *ctx)
{
}

static void
ignore_limits(void *ctx, const struct vhost_fe_limits *limits)
{
}

static void
want_one_pair(void *ctx, struct vhost_fe_wants *wants)
{
	*wants = (struct vhost_fe_wants){ .rx_queues = 1, .tx_queues = 1 };
}

static void
ignore_features(void *ctx, uint64_t features)
{
}

static void
ignore_mac(void *ctx, const uint8_t mac[6])
{
}

static void
fill_ring(void *ctx, uint16_t qid, struct virtq_drv *drv, const struct virtq_ring *ring)
{
	for (uint32_t i = 0; i < ring->size; i++)
		offer_buffer(ctx, ring, i);
	virtq_drv_publish(drv, ring, false);
}

static void
drain_ring(void *ctx, uint16_t qid, struct virtq_drv *drv, const struct virtq_ring *ring)
{
}

static void
take_rings(void *ctx, const struct virtq_ring *const *rings, uint16_t n)
{
	struct traffic *t = ctx;

	memcpy(t->ring, rings, n * sizeof(*rings));
}

static void
ignore_announcement(void *ctx, const uint8_t mac[6], struct virtq_drv *drv,
		    const struct virtq_ring *ring)
{
}

static void
ignore_state(void *ctx, bool up)
{
}

static void
ignore_log(void *ctx, enum vhost_log_level level, const char *text)
{
}

static const struct vhost_fe_ops traffic_ops = {
	.ring_alloc = ring_room,
	.ring_free = keep_room,
	.ring_iova = iova_of,
	.mem_give = give_memory,
	.mem_stop = keep_memory,
	.limits = ignore_limits,
	.wants = want_one_pair,
	.features = ignore_features,
	.mac = ignore_mac,
	.fill = fill_ring,
	.drain = drain_ring,
	.publish = take_rings,
	.announce = ignore_announcement,
	.connected = ignore_state,
	.link = ignore_state,
	.log = ignore_log,
};

/* Rings, buffers, and the file that they are shared by. */
static int
make_memory(struct traffic *t)
{
	t->drv = aligned_alloc(VIRTQ_CACHE_LINE, 2 * sizeof(*t->drv));
	if (t->drv == NULL)
		return -ENOMEM;
	memset(t->drv, 0, 2 * sizeof(*t->drv));
	t->bytes = (buffer_offset(TX, PACKETS) + 65535) & ~UINT64_C(65535);
	t->memfd = memfd_create("vring-probe", MFD_CLOEXEC);
	if (t->memfd < 0 || ftruncate(t->memfd, (off_t)t->bytes) < 0)
		return -ENOMEM;
	t->mem = mmap(NULL, t->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, t->memfd, 0);
	if (t->mem != MAP_FAILED)
		return 0;
	t->mem = NULL;
	return -ENOMEM;
}

/* Whether the first pair of rings runs; if not, dev->why says why. */
static bool
bring_up(struct traffic *t)
{
	struct vhost_dev *dev = &t->p->dev;
	const struct vhost_fe_config cfg = {
		.path = t->p->path,
		.vdpa = dev->ops == &vhost_vdpa_ops,
		.dev = dev,
		.pairs = 1,
		.queue_size = SIZE,
		.features = VIRTQ_BIT(VIRTIO_F_VERSION_1) | VIRTQ_BIT(VIRTIO_F_ORDER_PLATFORM) |
			    (vhost_force_iommu(dev) ? VIRTQ_BIT(VIRTIO_F_ACCESS_PLATFORM) : 0),
		.drv = t->drv,
		.ops = &traffic_ops,
		.ctx = t,
		.loop = t->p->loop,
	};
	char err[VHOST_WHY + 200];

	if (vhost_fe_new(&cfg, &t->fe) != 0) {
		vhost_dev_fail(dev, -ENOMEM, "out of memory");
		return false;
	}
	if (vhost_fe_open(t->fe, err, sizeof(err)) != 0)
		return false;
	vhost_fe_start(t->fe);
	return t->ring[TX] != NULL;
}

static void
tear_down(struct traffic *t)
{
	if (t->fe != NULL) {
		vhost_fe_stop(t->fe);
		vhost_fe_close(t->fe);
		vhost_fe_free(t->fe);
	}
	free(t->drv);
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
	int state = PROBE_TRAFFIC;

	if (t->broken)
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
	struct traffic t = { .p = p, .memfd = -1 };
	int state = PROBE_TRAFFIC;

	choose_destination(&t);
	if (make_memory(&t) != 0)
		vhost_dev_fail(&p->dev, -ENOMEM, "out of memory");
	else if (bring_up(&t))
		state = PROBE_OK;
	if (state == PROBE_OK) {
		exchange_packets(&t);
		state = verdict(&t);
	} else {
		snprintf(p->why, sizeof(p->why), "%s: %s", p->path, p->dev.why);
		out_text("traffic", "bad");
	}
	tear_down(&t);
	return state;
}
