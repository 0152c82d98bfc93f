/* SPDX-License-Identifier: BSD-3-Clause */
/* The stand-in's calls, memory, data rings and thread. */
#include "rig_device_net.h"

#include <sched.h>
#include <sys/mman.h>

#include <rte_eal_memconfig.h>
#include <rte_mbuf.h>
#include <rte_memory.h>

#define BURST 32
#define IDLE_US 20

char standin_path[64];
static struct standin *device;

void
standin_lock(struct standin *s)
{
	__atomic_fetch_add(&s->waiting, 1, __ATOMIC_RELAXED);
	pthread_mutex_lock(&s->lock);
	__atomic_fetch_sub(&s->waiting, 1, __ATOMIC_RELAXED);
}

void
standin_unlock(struct standin *s)
{
	pthread_mutex_unlock(&s->lock);
}

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
	const struct fake_ring *f = &s->fake.ring[index];
	struct standin_ring *r = &s->ring[index];

	r->cfg = (struct virtq_ring_config){
		.size = f->num,
		.features = s->fake.acked,
		.desc_uva = f->addr.desc_user_addr,
		.avail_uva = f->addr.avail_user_addr,
		.used_uva = f->addr.used_user_addr,
		.enabled = true,
		.callfd = f->call,
		.errfd = f->err,
		.qid = (uint16_t)index,
		.hdr_len = vhost_net_hdr_len(s->fake.acked),
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
		s->fake.ring[index].base = virtq_dev_get_base(r->vq, r->ring->packed);
		drop_held(s, &s->pair[index / 2]);
	}
	virtq_ring_free(r->ring);
	r->ring = NULL;
}

static bool
rings(const struct standin *s)
{
	const uint8_t bad = VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED;

	return (s->fake.status & VIRTIO_CONFIG_S_DRIVER_OK) && !(s->fake.status & bad) &&
	       !s->fake.suspended;
}

/* Rings run as the driver's last word has it. */
static void
settle(struct standin *s)
{
	const uint64_t one = 1;

	for (uint32_t i = 0; i < s->fake.vqs; i++) {
		bool on = rings(s) && s->fake.ring[i].enabled;

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
	struct virtq_region region[FAKE_MAPS];
	uint32_t n = 0;

	virtq_mem_put(s->mem);
	s->mem = NULL;
	for (uint32_t i = 0; i < s->fake.nmaps; i++) {
		const struct fake_map *m = &s->fake.map[i];

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
	for (uint32_t i = 0; i < s->fake.vqs; i++) {
		struct virtq_ring *old = s->ring[i].ring;

		if (old == NULL)
			continue;
		if (!make_run(s, i) && s->ring[i].control)
			s->cvq.ring = NULL;
		virtq_ring_free(old);
	}
}

/* The calls: those of the fake, then what follows from them. */

static int
sys_open(void *ctx, const char *path, int flags)
{
	struct standin *s = device;
	int rc;

	if (s == NULL || access(path, F_OK) < 0)
		return -ENOENT;
	standin_lock(s);
	rc = s->gone ? -ENODEV : fake_open(&s->fake, path, flags);
	standin_unlock(s);
	return rc;
}

static void
was_reset(struct standin *s)
{
	s->resets++;
	settle(s);
	remap(s);
	standin_wishes_reset(s);
}

static int
sys_close(void *ctx, int fd)
{
	struct standin *s = device;
	int rc;

	standin_lock(s);
	rc = fake_close(&s->fake, fd);
	if (fd == FAKE_FD)
		was_reset(s);
	standin_unlock(s);
	return rc;
}

static int
sys_ioctl(void *ctx, int fd, unsigned long request, void *arg)
{
	struct standin *s = device;
	uint8_t before;
	int rc;

	standin_lock(s);
	before = s->fake.status;
	rc = s->gone ? -ENODEV : fake_ioctl(&s->fake, fd, request, arg);
	if (rc == 0 && request == VHOST_VDPA_SET_STATUS && *(uint8_t *)arg == 0)
		was_reset(s);
	else if (~before & s->fake.status & VIRTIO_CONFIG_S_DRIVER_OK)
		s->starts++;
	settle(s);
	standin_unlock(s);
	return rc;
}

static bool serve_data(struct standin *s);

/* A device does not stand still between two messages: it uses what is mapped after each. */
static ssize_t
sys_write(void *ctx, int fd, const void *buf, size_t len)
{
	struct standin *s = device;
	ssize_t rc;

	standin_lock(s);
	rc = s->gone ? -ENODEV : fake_write(&s->fake, fd, buf, len);
	if (!s->fake.in_batch) {
		remap(s);
		serve_data(s);
	}
	standin_unlock(s);
	return rc;
}

/* A page for each ring, so that a test can see what was stored there. */
static int
sys_mmap(void *ctx, int fd, size_t len, off_t offset, void **addr)
{
	struct standin *s = device;
	const size_t index = (size_t)offset / FAKE_PAGE;
	int rc = -EOPNOTSUPP;
	void *unused;

	standin_lock(s);
	if (s->has_doorbells) {
		rc = fake_mmap(&s->fake, fd, len, offset, &unused);
		assert_true(index < FAKE_RINGS && s->notifier[index] == NULL);
		s->notifier[index] = *addr = calloc(1, len);
		memset(*addr, 0xff, len);
	}
	standin_unlock(s);
	return rc;
}

static int
sys_munmap(void *ctx, void *addr, size_t len)
{
	struct standin *s = device;
	int rc;

	standin_lock(s);
	rc = fake_munmap(&s->fake, addr, len);
	for (uint32_t i = 0; i < FAKE_RINGS; i++)
		if (s->notifier[i] == addr)
			s->notifier[i] = NULL;
	free(addr);
	standin_unlock(s);
	return rc;
}

static int
sys_eventfd(void *ctx)
{
	struct standin *s = device;
	int fd;

	standin_lock(s);
	fd = fake_eventfd(&s->fake);
	standin_unlock(s);
	return fd;
}

static const struct vhost_vdpa_sys calls = {
	.open = sys_open,
	.close = sys_close,
	.ioctl = sys_ioctl,
	.write = sys_write,
	.mmap = sys_mmap,
	.munmap = sys_munmap,
	.eventfd = sys_eventfd,
};

/* The linker has it called by the port, which asks for the kernel's calls. */
int __real_vhost_vdpa_open(struct vhost_dev *dev, const char *path,
			   const struct vhost_vdpa_sys *sys);
int __wrap_vhost_vdpa_open(struct vhost_dev *dev, const char *path,
			   const struct vhost_vdpa_sys *sys);

int
__wrap_vhost_vdpa_open(struct vhost_dev *dev, const char *path, const struct vhost_vdpa_sys *sys)
{
	assert_null(sys);
	return __real_vhost_vdpa_open(dev, path, &calls);
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

	assert_true(s->fake.config_call >= 0);
	assert_int_equal(write(s->fake.config_call, &one, sizeof(one)), sizeof(one));
}

void
standin_needs_reset(struct standin *s)
{
	standin_lock(s);
	s->fake.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	settle(s);
	standin_tell(s);
	standin_unlock(s);
}

static void
set_status(struct standin *s, uint16_t set, uint16_t clear)
{
	uint16_t status;

	standin_lock(s);
	status = le16toh(s->fake.config.status);
	s->fake.config.status = htole16((status & ~clear) | set);
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
describe(struct fake *f)
{
	f->features = VNET_DEV_FEATURES | VIRTQ_BIT(VIRTIO_F_ACCESS_PLATFORM) |
		      VIRTQ_BIT(VIRTIO_F_ORDER_PLATFORM) | VIRTQ_BIT(VIRTIO_NET_F_MAC) |
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
	fake_make(&s->fake);
	describe(&s->fake);
	memcpy(&s->mac, s->fake.config.mac, sizeof(s->mac));
	for (uint16_t i = 0; i < FAKE_RINGS; i++) {
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
	assert_false(s->fake.open);
	assert_int_equal(s->fake.npages, 0);
	assert_int_equal(s->fake.nevents, 0);
	assert_int_equal(s->bad_rings, 0);
	assert_null(s->mem);
	for (uint16_t i = 0; i < FAKE_RINGS; i++) {
		assert_null(s->ring[i].ring);
		free(s->ring[i].vq);
	}
	close(s->wake);
	pthread_mutex_destroy(&s->lock);
}
