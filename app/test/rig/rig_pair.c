/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig_pair.h"

static void *
own_ring_alloc(void *ctx, uint16_t qid, uint64_t bytes)
{
	struct pair *p = ctx;

	assert_uint_in_range(bytes, 1, FE_ROOM);
	if (p->no_rings && qid == RIG_RINGS - 1)
		return NULL;
	p->allocs++;
	return p->mem + qid * FE_ROOM;
}

static void
own_ring_free(void *ctx, uint16_t qid)
{
	struct pair *p = ctx;

	assert_uint_in_range(qid, 0, RIG_RINGS - 1);
	p->frees++;
}

static uint64_t
own_iova(void *ctx, const void *addr)
{
	return (uintptr_t)addr;
}

static int
own_mem_give(void *ctx, struct vhost_dev *dev)
{
	struct pair *p = ctx;
	const struct vhost_region r = {
		.iova = (uintptr_t)p->mem, .size = FE_MEM, .addr = p->mem, .fd = p->memfd,
	};

	p->gives++;
	if (p->no_memory)
		return vhost_dev_fail(dev, -ENOMEM, "no memory of this test");
	return vhost_set_mem_table(dev, &r, 1);
}

static void
own_mem_stop(void *ctx)
{
	struct pair *p = ctx;

	p->stops++;
}

static void
own_limits(void *ctx, const struct vhost_fe_limits *limits)
{
	struct pair *p = ctx;

	p->limits = *limits;
}

static void
own_wants(void *ctx, struct vhost_fe_wants *wants)
{
	struct pair *p = ctx;

	*wants = (struct vhost_fe_wants){ .rx_queues = p->queues, .tx_queues = p->queues };
}

static void
own_features(void *ctx, uint64_t features)
{
	struct pair *p = ctx;

	p->features = features;
}

static void
own_mac(void *ctx, const uint8_t mac[6])
{
	fail_msg("a back-end has no address");
}

static void
own_fill(void *ctx, uint16_t qid, struct virtq_drv *drv, const struct virtq_ring *ring)
{
	struct pair *p = ctx;
	const struct virtq_drv_seg seg = { (uintptr_t)p->mem + RIG_RINGS * FE_ROOM, 2048 };

	assert_int_equal(qid % 2, 0);
	virtq_drv_add(drv, ring, p->mem, &seg, 1, VRING_DESC_F_WRITE, false);
	virtq_drv_publish(drv, ring, false);
	p->fills++;
}

static void
own_drain(void *ctx, uint16_t qid, struct virtq_drv *drv, const struct virtq_ring *ring)
{
	struct pair *p = ctx;

	assert_null(p->ring[qid]);
	while (virtq_drv_detach(drv, ring->size) != NULL)
		;
	p->drained_ns = evloop_now_ns();
	p->drains++;
}

static void
own_publish(void *ctx, const struct virtq_ring *const *rings, uint16_t n)
{
	struct pair *p = ctx;

	assert_int_equal(n, RIG_RINGS);
	for (uint16_t i = 0; i < n; i++) {
		rig_touch(p->ring[i]);
		rig_touch(rings[i]);
		p->ring[i] = rings[i];
	}
}

static void
own_announce(void *ctx, const uint8_t mac[6], struct virtq_drv *drv, const struct virtq_ring *ring)
{
	fail_msg("a back-end asks for no announcement");
}

static void
own_connected(void *ctx, bool up)
{
	struct pair *p = ctx;

	p->ups += up;
	p->downs += !up;
	if (!up)
		p->carrier = false;
}

static void
own_link(void *ctx, bool carrier)
{
	struct pair *p = ctx;

	p->carrier = carrier;
}

static void
own_log(void *ctx, enum vhost_log_level level, const char *text)
{
	struct pair *p = ctx;
	size_t used = strlen(p->log);

	if (level <= VHOST_LOG_NOTICE)
		snprintf(p->log + used, sizeof(p->log) - used, "%s\n", text);
}

static const struct vhost_fe_ops own_ops = {
	.ring_alloc = own_ring_alloc, .ring_free = own_ring_free, .ring_iova = own_iova,
	.mem_give = own_mem_give, .mem_stop = own_mem_stop,
	.limits = own_limits, .wants = own_wants, .features = own_features, .mac = own_mac,
	.fill = own_fill, .drain = own_drain, .publish = own_publish, .announce = own_announce,
	.connected = own_connected, .link = own_link, .log = own_log,
};

struct vhost_fe_config
pair_config(struct pair *p)
{
	return (struct vhost_fe_config){
		.path = p->rig->path,
		.reconnect_ms = 1,
		.sock_gid = (gid_t)-1,
		.pairs = RIG_PAIRS,
		.queue_size = FE_SIZE,
		.features = FE_WANTED,
		.drv = p->drv,
		.ops = &own_ops,
		.ctx = p,
		.loop = p->loop,
	};
}

int
pair_setup(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));

	rig_setup_bare((void **)&p->rig);
	assert_int_equal(evloop_new(&p->loop), 0);
	evloop_step(p->loop, 0); /* this is its thread */
	p->drv = aligned_alloc(VIRTQ_CACHE_LINE, RIG_RINGS * sizeof(*p->drv));
	memset(p->drv, 0, RIG_RINGS * sizeof(*p->drv));
	p->memfd = memfd_create("front-end", MFD_CLOEXEC);
	assert_int_equal(ftruncate(p->memfd, FE_MEM), 0);
	p->mem = mmap(NULL, FE_MEM, PROT_READ | PROT_WRITE, MAP_SHARED, p->memfd, 0);
	p->queues = RIG_PAIRS;
	*state = p;
	return 0;
}

int
pair_teardown(void **state)
{
	struct pair *p = *state;
	struct rig *rig = p->rig;

	if (p->fe != NULL)
		vhost_fe_close(p->fe);
	vhost_fe_free(p->fe);
	assert_int_equal(p->allocs, p->frees);
	for (int i = 0; i < RIG_RINGS; i++)
		assert_null(p->ring[i]);
	evloop_free(p->loop);
	munmap(p->mem, FE_MEM);
	close(p->memfd);
	free(p->drv);
	free(p);
	return rig_teardown((void **)&rig);
}

void
pair_open(struct pair *p, bool server)
{
	struct vhost_fe_config cfg = pair_config(p);
	char err[300] = "";

	cfg.server = server;
	assert_int_equal(vhost_fe_new(&cfg, &p->fe), 0);
	if (vhost_fe_open(p->fe, err, sizeof(err)) != 0)
		fail_msg("%s", err);
}
