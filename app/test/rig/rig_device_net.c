/* SPDX-License-Identifier: BSD-3-Clause */
/* The stand-in's calls, memory, data rings and thread. */
#include "rig_device_net.h"

#include <sched.h>
#include <sys/mman.h>

#include <rte_eal_memconfig.h>
#include <rte_mbuf.h>
#include <rte_memory.h>

#include "rig_device_cvq.h"
#include "rig_device_hash.h"
#include "rig_device_kick.h"

#define BURST 32
#define IDLE_US 20

char standin_path[64];
static struct standin *device;

static bool
is_tx(uint32_t index)
{
	return index % 2;
}

static void
choose_burst(struct standin *s, uint32_t index)
{
	struct standin_pair *p = &s->pair[index / 2];
	const struct virtq_ring *ring = s->ring[index].ring;

	if (standin_has(s, VIRTIO_NET_F_HASH_REPORT)) {
		p->take = standin_hash_take;
		p->give = standin_hash_give;
	} else if (is_tx(index)) {
		p->take = vnet_dev_rx_select(ring, p->from.flags, NULL);
	} else {
		p->give = vnet_dev_tx_select(ring, NULL);
	}
}

/* A run on the memory as it is now. */
static bool
make_run(struct standin *s, uint32_t index)
{
	struct standin_ring *r = &s->ring[index];

	r->ring = NULL;
	if (s->mem == NULL || virtq_ring_new(&r->cfg, s->mem, &r->ring) != 0) {
		s->bad_rings++;
		return false;
	}
	if (r->control)
		s->cvq.ring = r->ring;
	else
		choose_burst(s, index);
	return true;
}

static void
ring_start(struct standin *s, uint32_t index)
{
	const struct kernel_ring *f = &s->vdpa.ring[index];
	struct standin_ring *r = &s->ring[index];

	r->cfg = (struct virtq_ring_config){
		.size = f->num,
		.features = s->vdpa.acked,
		.desc_uva = f->addr.desc_user_addr,
		.avail_uva = f->addr.avail_user_addr,
		.used_uva = f->addr.used_user_addr,
		.enabled = true,
		.callfd = f->call,
		.errfd = f->err,
		.wakefd = -1,
		.qid = (uint16_t)index,
		.hdr_len = vhost_net_hdr_len(s->vdpa.acked),
	};
	r->control = standin_has(s, VIRTIO_NET_F_CTRL_VQ) && index == standin_cvq_index(s);
	if (!make_run(s, index))
		return;
	if (!r->control) {
		assert_int_equal(virtq_dev_set_base(r->vq, r->ring, f->base), 0);
		return;
	}
	/* The driver begins with a fresh one each time. */
	assert_int_equal(f->base, virtq_fresh_base(r->ring->packed));
	rdev_init(&s->cvq, r->ring, 0);
	s->cvq.commands = true;
}

static void
drop_held(struct standin *s, struct standin_pair *p)
{
	rte_pktmbuf_free_bulk(p->hold, p->nhold);
	s->discarded += p->nhold;
	p->nhold = 0;
}

static void
ring_stop(struct standin *s, uint32_t index)
{
	struct standin_ring *r = &s->ring[index];

	if (r->control) {
		s->cvq.ring = NULL;
	} else {
		s->vdpa.ring[index].base = virtq_dev_get_base(r->vq, r->ring->packed);
		drop_held(s, &s->pair[index / 2]);
	}
	virtq_ring_free(r->ring);
	r->ring = NULL;
}

static bool
rings(const struct standin *s)
{
	const uint8_t bad = VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED;

	return (s->vdpa.status & VIRTIO_CONFIG_S_DRIVER_OK) && !(s->vdpa.status & bad) &&
	       !s->vdpa.suspended;
}

/* Rings run as the driver's last word has it. */
static void
settle(struct standin *s)
{
	const uint64_t one = 1;

	for (uint32_t i = 0; i < s->vdpa.vqs; i++) {
		bool on = rings(s) && s->vdpa.ring[i].enabled;

		if (on && s->ring[i].ring == NULL)
			ring_start(s, i);
		else if (!on && s->ring[i].ring != NULL)
			ring_stop(s, i);
	}
	assert_int_equal(write(s->wake, &one, sizeof(one)), sizeof(one));
}

/* What is mapped has changed; rings go on where they are. */
static void
remap(struct standin *s)
{
	struct virtq_region region[VDPA_MAPS];
	uint32_t n = 0;

	virtq_mem_put(s->mem);
	s->mem = NULL;
	for (uint32_t i = 0; i < s->vdpa.nmaps; i++) {
		const struct vdpa_map *m = &s->vdpa.map[i];

		if (m->asid == 0)
			region[n++] = (struct virtq_region){
				.gpa = m->iova,
				.size = m->size,
				.uva = m->iova,
				.host = (uint8_t *)(uintptr_t)m->uaddr,
			};
	}
	if (n > 0)
		assert_int_equal(virtq_mem_new(region, n, &s->mem), 0);
	for (uint32_t i = 0; i < s->vdpa.vqs; i++) {
		struct virtq_ring *old = s->ring[i].ring;

		if (old == NULL)
			continue;
		if (!make_run(s, i) && s->ring[i].control)
			s->cvq.ring = NULL;
		virtq_ring_free(old);
	}
}

/* What follows from the calls. */

static struct standin *
standin_of(struct vdpa *f)
{
	return (struct standin *)((uint8_t *)f - offsetof(struct standin, vdpa));
}

static void
call_enters(struct vdpa *f)
{
	standin_lock(standin_of(f));
}

static void
call_leaves(struct vdpa *f)
{
	standin_unlock(standin_of(f));
}

static void
was_reset(struct vdpa *f)
{
	struct standin *s = standin_of(f);

	settle(s);
	remap(s);
	standin_wishes_reset(s);
}

static void
was_told(struct vdpa *f)
{
	settle(standin_of(f));
}

static bool serve_data(struct standin *s);

/* A device does not stand still between two messages: it uses what is mapped after each. */
static void
was_mapped(struct vdpa *f)
{
	remap(standin_of(f));
	serve_data(standin_of(f));
}

static const struct vdpa_hooks hooks = {
	.enter = call_enters,
	.was_reset = was_reset,
	.was_told = was_told,
	.was_mapped = was_mapped,
	.leave = call_leaves,
};

static int
open_nothing(void *ctx, const char *path, int flags)
{
	return -ENOENT;
}

static const struct vhost_kernel_sys nothing = { .open = open_nothing };

/* The linker has it called by the port, which asks for the kernel's calls. */
int __real_vhost_vdpa_open(struct vhost_dev *dev, const char *path,
			   const struct vhost_kernel_sys *sys);
int __wrap_vhost_vdpa_open(struct vhost_dev *dev, const char *path,
			   const struct vhost_kernel_sys *sys);

int
__wrap_vhost_vdpa_open(struct vhost_dev *dev, const char *path, const struct vhost_kernel_sys *sys)
{
	const bool found = device != NULL && access(path, F_OK) == 0;

	assert_null(sys);
	return __real_vhost_vdpa_open(dev, path, found ? &device->vdpa.sys : &nothing);
}

/*
 * EAL tells nobody of changes of memory where there are no hugepages: a test that changes it does,
 * with standin_memory_changed().
 */
static rte_mem_event_callback_t on_change;
static void *on_change_arg;

int __wrap_rte_mem_event_callback_register(const char *name, rte_mem_event_callback_t fn,
					   void *arg);

int
__wrap_rte_mem_event_callback_register(const char *name, rte_mem_event_callback_t fn, void *arg)
{
	on_change = fn;
	on_change_arg = arg;
	return 0;
}

void
standin_memory_changed(bool grown, const void *addr, size_t len)
{
	rte_mcfg_mem_write_lock();
	on_change(grown ? RTE_MEM_EVENT_ALLOC : RTE_MEM_EVENT_FREE, addr, len, on_change_arg);
	rte_mcfg_mem_write_unlock();
}

/* The data path. */

static bool
flush(struct standin *s, uint16_t i)
{
	struct standin_pair *p = &s->pair[i];
	struct standin_ring *r = &s->ring[2 * i];
	uint16_t n;

	if (p->nhold == 0)
		return false;
	if (r->ring == NULL) {
		drop_held(s, p);
		return true;
	}
	r->ring->features = standin_in_use(s);
	n = p->give(&p->to, &r->vq->cursor, r->ring, p->hold, p->nhold);
	p->nhold -= n;
	memmove(p->hold, p->hold + n, p->nhold * sizeof(p->hold[0]));
	s->given += n;
	return n > 0;
}

static void
sort(struct standin *s, struct rte_mbuf *m, uint16_t from)
{
	struct standin_pair *to;

	s->taken++;
	if (!standin_wants(s, m)) {
		s->filtered++;
		rte_pktmbuf_free(m);
		return;
	}
	standin_report(s, m);
	to = &s->pair[standin_steer(s, m, from)];
	assert_true(to->nhold < STANDIN_HOLD);
	to->hold[to->nhold++] = m;
}

static bool
take(struct standin *s, uint16_t i)
{
	struct standin_pair *p = &s->pair[i];
	struct standin_ring *r = &s->ring[2 * i + 1];
	struct rte_mbuf *pkts[BURST];
	uint16_t n;

	if (r->ring == NULL)
		return false;
	n = p->take(&p->from, &r->vq->cursor, r->ring, pkts, BURST);
	for (uint16_t k = 0; k < n; k++)
		sort(s, pkts[k], i);
	return n > 0;
}

/* What is held is to go first: so packets of a queue stay in order, and none is dropped. */
static bool
serve_data(struct standin *s)
{
	bool busy = false, held = false;

	for (uint16_t i = 0; i < STANDIN_PAIRS; i++) {
		busy |= flush(s, i);
		held |= s->pair[i].nhold > 0;
	}
	for (uint16_t i = 0; i < s->wishes.pairs && !held; i++)
		busy |= take(s, i);
	return busy;
}

static void *
serve(void *arg)
{
	struct standin *s = arg;
	bool busy, sleeps;

	while (!__atomic_load_n(&s->quit, __ATOMIC_RELAXED)) {
		pthread_mutex_lock(&s->lock);
		busy = standin_cvq_serve(s);
		busy |= serve_data(s);
		sleeps = s->sleeps;
		pthread_mutex_unlock(&s->lock);
		if (!busy && sleeps)
			standin_doze(s);
		else if (!busy)
			usleep(IDLE_US);
		while (__atomic_load_n(&s->waiting, __ATOMIC_RELAXED) > 0)
			sched_yield();
	}
	return NULL;
}

/* Events of the device. */

void
standin_tell(struct standin *s)
{
	const uint64_t one = 1;

	assert_true(s->vdpa.config_call >= 0);
	assert_int_equal(write(s->vdpa.config_call, &one, sizeof(one)), sizeof(one));
}

void
standin_needs_reset(struct standin *s)
{
	standin_lock(s);
	s->vdpa.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	settle(s);
	standin_tell(s);
	standin_unlock(s);
}

static void
set_status(struct standin *s, uint16_t set, uint16_t clear)
{
	uint16_t status;

	standin_lock(s);
	status = le16toh(s->vdpa.config.status);
	s->vdpa.config.status = htole16((status & ~clear) | set);
	standin_tell(s);
	standin_unlock(s);
}

void
standin_set_link(struct standin *s, bool up)
{
	set_status(s, up ? VIRTIO_NET_S_LINK_UP : 0, VIRTIO_NET_S_LINK_UP);
}

void
standin_ask_announce(struct standin *s)
{
	set_status(s, VIRTIO_NET_S_ANNOUNCE, 0);
}

void
standin_insert(struct standin *s)
{
	assert_int_equal(symlink("/dev/null", standin_path), 0);
}

void
standin_remove(struct standin *s)
{
	assert_int_equal(unlink(standin_path), 0);
}

/* What it has: all that a front-end takes. */
static void
describe(struct vdpa *f)
{
	f->features = VNET_DEV_FEATURES | VIRTQ_BIT(VIRTIO_F_ACCESS_PLATFORM) |
		      VIRTQ_BIT(VIRTIO_F_ORDER_PLATFORM) | VIRTQ_BIT(VIRTIO_NET_F_MAC) |
		      VIRTQ_BIT(VIRTIO_NET_F_STATUS) |
		      VIRTQ_BIT(VIRTIO_NET_F_SPEED_DUPLEX) | VIRTQ_BIT(VIRTIO_NET_F_CTRL_VQ) |
		      VIRTQ_BIT(VIRTIO_NET_F_CTRL_RX) | VIRTQ_BIT(VIRTIO_NET_F_CTRL_VLAN) |
		      VIRTQ_BIT(VIRTIO_NET_F_CTRL_MAC_ADDR) |
		      VIRTQ_BIT(VIRTIO_NET_F_GUEST_ANNOUNCE) | VIRTQ_BIT(VIRTIO_NET_F_RSS);
	f->max_num = STANDIN_RING;
	f->config.max_virtqueue_pairs = htole16(STANDIN_PAIRS);
	f->config.status = htole16(VIRTIO_NET_S_LINK_UP);
	f->config.mtu = htole16(9000);
	f->config.speed = htole32(25000);
	f->config.duplex = 1;
	f->config.rss_max_key_size = STANDIN_KEY;
	f->config.rss_max_indirection_table_length = htole16(STANDIN_RETA);
	f->config.supported_hash_types = htole32(0x3f);
}

void
standin_new(struct standin *s, struct rte_mempool *pool)
{
	const uint32_t flags = VNET_F_STATS | VNET_F_SCATTER | VNET_F_PARTIAL_CSUM |
			       VNET_F_LEGACY_OL;

	memset(s, 0, sizeof(*s));
	s->pool = pool;
	pthread_mutex_init(&s->lock, NULL);
	s->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	vdpa_make(&s->vdpa);
	s->vdpa.hooks = &hooks;
	s->vdpa.no_pages = true;
	describe(&s->vdpa);
	memcpy(&s->mac, s->vdpa.config.mac, sizeof(s->mac));
	for (uint16_t i = 0; i < VDPA_RINGS; i++) {
		s->ring[i].vq = aligned_alloc(VIRTQ_CACHE_LINE, sizeof(*s->ring[i].vq));
		memset(s->ring[i].vq, 0, sizeof(*s->ring[i].vq));
	}
	/* Packets are passed on as they came: a large one stays one if the driver takes that. */
	for (uint16_t i = 0; i < STANDIN_PAIRS; i++) {
		assert_int_equal(vnet_rxq_init(&s->pair[i].from, pool, 0, flags), 0);
		s->pair[i].to.flags = VNET_F_STATS;
	}
	standin_wishes_reset(s);
	snprintf(standin_path, sizeof(standin_path), "/dev/shm/vring-standin-%d", getpid());
	unlink(standin_path);
	standin_insert(s);
	device = s;
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

void
standin_free(struct standin *s)
{
	__atomic_store_n(&s->quit, true, __ATOMIC_RELAXED);
	pthread_join(s->thread, NULL);
	unlink(standin_path);
	device = NULL;
	assert_false(s->vdpa.open);
	assert_int_equal(s->vdpa.npages, 0);
	assert_int_equal(s->vdpa.nevents, 0);
	assert_int_equal(s->bad_rings, 0);
	assert_null(s->mem);
	for (uint16_t i = 0; i < VDPA_RINGS; i++) {
		assert_null(s->ring[i].ring);
		free(s->ring[i].vq);
	}
	close(s->wake);
	pthread_mutex_destroy(&s->lock);
}
