/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig_device_vdpa.h"

/* -errno when this call is to fail. */
static int
vdpa_call(struct vdpa *f, uint16_t what)
{
	if (f->ncalls < VDPA_LOG)
		f->log[f->ncalls] = what;
	f->ncalls++;
	return f->ncalls == f->fail_at ? f->fail_with : 0;
}

static int
vdpa_open(struct vdpa *f)
{
	int rc = vdpa_call(f, CALL_OPEN);

	if (rc == 0)
		rc = f->open_result;
	if (rc < 0)
		return rc;
	assert_false(f->open);
	f->open = true;
	return VDPA_FD;
}

static void
vdpa_reset(struct vdpa *f)
{
	f->status = 0;
	f->acked = 0;
	f->suspended = false;
	memset(f->asid, 0, sizeof(f->asid));
	for (int i = 0; i < VDPA_RINGS; i++)
		f->ring[i] = (struct kernel_ring){ .kick = -1, .call = -1, .err = -1 };
	if (!(f->backend_acked & VIRTQ_BIT(VHOST_BACKEND_F_IOTLB_PERSIST)))
		f->nmaps = 0;
}

static void
vdpa_hook(struct vdpa *f, void (*hook)(struct vdpa *f))
{
	if (hook != NULL)
		hook(f);
}

static void
vdpa_was_reset(struct vdpa *f)
{
	vdpa_reset(f);
	f->resets++;
	vdpa_hook(f, f->hooks->was_reset);
}

static int
vdpa_close(struct vdpa *f, int fd)
{
	if (fd != VDPA_FD) {
		f->nevents--;
		return close(fd);
	}
	assert_true(f->open);
	f->open = f->owned = false;
	f->backend_acked = 0;
	f->config_call = -1;
	vdpa_was_reset(f);
	return 0;
}

static int
vdpa_set_status(struct vdpa *f, uint8_t status)
{
	if (status == 0) {
		vdpa_was_reset(f);
		if (f->stays_up)
			f->status = 1;
		return 0;
	}
	if (f->status & ~status) /* bits are only added */
		return -EINVAL;
	if (f->drops_features_ok)
		status &= (uint8_t)~VIRTIO_CONFIG_S_FEATURES_OK;
	if (f->ignores_driver_ok)
		status &= (uint8_t)~VIRTIO_CONFIG_S_DRIVER_OK;
	f->starts += (status & ~f->status & VIRTIO_CONFIG_S_DRIVER_OK) != 0;
	f->status |= status;
	return 0;
}

static int
vdpa_config(struct vdpa *f, struct vhost_vdpa_config *c, bool set)
{
	uint8_t *at = (uint8_t *)&f->config + c->off;

	if (c->len == 0 || c->off > sizeof(f->config))
		return -EINVAL;
	if (c->len > sizeof(f->config) - c->off)
		return -E2BIG;
	memcpy(set ? at : c->buf, set ? c->buf : at, c->len);
	return 0;
}

/* Requests about a ring; the argument begins with its index. */
static int
vdpa_ring_ioctl(struct vdpa *f, unsigned int nr, void *arg)
{
	const struct kernel_ring_limits limits = {
		.max_num = f->max_num,
		.packed = f->acked & VIRTQ_BIT(VIRTIO_F_RING_PACKED),
		.wide_base = f->wide_base,
	};
	struct vhost_vring_state *s = arg;

	if (s == NULL)
		return -EFAULT;
	if (s->index >= f->vqs)
		return -ENOBUFS;
	switch (nr) {
	case 0x75: f->ring[s->index].enabled = s->num; return 0;
	case 0x7b: s->num = s->index == 4 ? 1 : 0; return 0;
	case 0x82: s->num = f->max_num; return 0;
	default: return kernel_ring_told(&f->ring[s->index], nr, arg, &limits);
	}
}

static int
vdpa_group_asid(struct vdpa *f, const struct vhost_vring_state *s)
{
	if (s->index >= 3 || s->num >= 2)
		return -EINVAL;
	f->asid[s->index] = s->num;
	return 0;
}

static int
vdpa_backend(struct vdpa *f, uint64_t features)
{
	if (features & ~f->backend)
		return -EOPNOTSUPP;
	f->backend_acked = features;
	return 0;
}

static int
vdpa_features(struct vdpa *f, uint64_t features)
{
	if (f->status & VIRTIO_CONFIG_S_FEATURES_OK)
		return -EBUSY;
	if (features & ~f->features)
		return -EINVAL;
	f->acked = features;
	return 0;
}

static int
vdpa_ioctl_known(struct vdpa *f, unsigned long request, void *arg)
{
	uint64_t *u64 = arg;
	uint32_t *u32 = arg;
	uint8_t *u8 = arg;

	switch (_IOC_NR(request)) {
	case 0x00:
		if (_IOC_DIR(request) == _IOC_WRITE)
			return vdpa_features(f, *u64);
		*u64 = f->features;
		return 0;
	case 0x01:
		if (f->owned)
			return -EBUSY;
		f->owned = true;
		return 0;
	case 0x12:
		if (_IOC_DIR(request) == _IOC_WRITE)
			return vdpa_ring_ioctl(f, 0x12, arg);
		((struct vhost_vring_state *)arg)->num = f->ring[*u32 % VDPA_RINGS].base;
		return 0;
	case 0x25: return vdpa_backend(f, *u64);
	case 0x26: *u64 = f->backend; return 0;
	case 0x70: *u32 = f->id; return 0;
	case 0x71: *u8 = f->status; return 0;
	case 0x72: return vdpa_set_status(f, *u8);
	case 0x73: return vdpa_config(f, arg, false);
	case 0x74: return vdpa_config(f, arg, true);
	case 0x76: *(uint16_t *)arg = f->max_num; return 0;
	case 0x77: f->config_call = *(int *)arg; return 0;
	case 0x78: u64[0] = f->first; u64[1] = f->last; return 0;
	case 0x79: *u32 = sizeof(f->config); return 0;
	case 0x7a: *u32 = 2; return 0;
	case 0x7c: return vdpa_group_asid(f, arg);
	case 0x7d: f->suspended = true; return 0;
	case 0x7e: f->suspended = false; return 0;
	case 0x80: *u32 = f->vqs; return 0;
	case 0x81: *u32 = 3; return 0;
	default: return vdpa_ring_ioctl(f, _IOC_NR(request), arg);
	}
}

static int
vdpa_ioctl(struct vdpa *f, int fd, unsigned long request, void *arg)
{
	const unsigned int nr = _IOC_NR(request);
	int rc = vdpa_call(f, (uint16_t)nr);

	assert_true(f->open);
	assert_int_equal(fd, VDPA_FD);
	assert_int_equal(_IOC_TYPE(request), 0xaf);
	if (rc < 0)
		return rc;
	/* As an old kernel does: what it does not know may be about a ring. */
	if (nr >= 0x70 && nr > f->last_ioctl)
		return vdpa_ring_ioctl(f, 0xff, arg);
	return vdpa_ioctl_known(f, request, arg);
}

static int
vdpa_update(struct vdpa *f, const struct vhost_msg_v2 *m)
{
	const struct vhost_iotlb_msg *i = &m->iotlb;

	if (i->size == 0 || ((i->iova | i->size | i->uaddr) & (VDPA_PAGE - 1)) ||
	    i->iova < f->first || i->iova > UINT64_MAX - i->size + 1 ||
	    i->iova + i->size - 1 > f->last)
		return -EINVAL;
	for (uint32_t k = 0; k < f->nmaps; k++)
		if (f->map[k].asid == m->asid && i->iova < f->map[k].iova + f->map[k].size &&
		    f->map[k].iova < i->iova + i->size)
			return -EEXIST;
	assert_true(f->nmaps < VDPA_MAPS);
	f->map[f->nmaps++] = (struct vdpa_map){ m->asid, i->iova, i->size, i->uaddr, i->perm };
	return 0;
}

static int
vdpa_invalidate(struct vdpa *f, const struct vhost_msg_v2 *m)
{
	for (uint32_t k = 0; k < f->nmaps; k++)
		if (f->map[k].asid == m->asid && f->map[k].iova == m->iotlb.iova &&
		    f->map[k].size == m->iotlb.size) {
			f->map[k] = f->map[--f->nmaps];
			return 0;
		}
	fail_msg("what is not mapped was unmapped");
	return -EINVAL;
}

static ssize_t
vdpa_write(struct vdpa *f, int fd, const void *buf, size_t len)
{
	const struct vhost_msg_v2 *m = buf;
	int rc = vdpa_call(f, CALL_WRITE);

	assert_true(f->open);
	assert_int_equal(fd, VDPA_FD);
	assert_int_equal(len, 72);
	assert_int_equal(m->type, 2);
	assert_true(f->backend_acked & VIRTQ_BIT(VHOST_BACKEND_F_IOTLB_MSG_V2));
	assert_true(m->asid == 0 || (f->backend_acked & VIRTQ_BIT(VHOST_BACKEND_F_IOTLB_ASID)));
	if (f->in_batch)
		assert_int_equal(m->asid, f->batch_asid);
	f->writes++;
	if (rc != 0)
		return rc < 0 ? rc : 71;
	switch (m->iotlb.type) {
	case VHOST_IOTLB_UPDATE: rc = vdpa_update(f, m); break;
	case VHOST_IOTLB_INVALIDATE: rc = vdpa_invalidate(f, m); break;
	case VHOST_IOTLB_BATCH_BEGIN:
		assert_false(f->in_batch);
		assert_true(f->backend_acked & VIRTQ_BIT(VHOST_BACKEND_F_IOTLB_BATCH));
		f->in_batch = true;
		f->batch_asid = m->asid;
		f->batches++;
		break;
	case VHOST_IOTLB_BATCH_END:
		assert_true(f->in_batch);
		f->in_batch = false;
		break;
	default: fail_msg("IOTLB message %u", m->iotlb.type);
	}
	return rc < 0 ? rc : (ssize_t)len;
}

/* A page for each ring, so that a test can see what was stored there. */
static int
vdpa_mmap(struct vdpa *f, int fd, size_t len, off_t offset, void **addr)
{
	const size_t index = (size_t)offset / VDPA_PAGE;
	int rc = f->no_pages ? -EOPNOTSUPP : vdpa_call(f, CALL_MMAP);

	assert_int_equal(fd, VDPA_FD);
	assert_int_equal(len, VDPA_PAGE);
	assert_int_equal(offset % (off_t)VDPA_PAGE, 0);
	if (rc < 0)
		return rc;
	assert_true(index < VDPA_RINGS && f->page[index] == NULL);
	f->npages++;
	f->page[index] = *addr = calloc(1, len);
	memset(*addr, 0xff, len);
	return 0;
}

static void
vdpa_munmap(struct vdpa *f, void *addr)
{
	for (uint32_t i = 0; i < VDPA_RINGS; i++)
		if (f->page[i] == addr)
			f->page[i] = NULL;
	f->npages--;
	free(addr);
}

static int
vdpa_eventfd(struct vdpa *f)
{
	int rc = vdpa_call(f, CALL_EVENTFD);

	if (rc < 0)
		return rc;
	f->nevents++;
	return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

/* The calls, with what follows from them for whoever serves the rings. */

static int
sys_open(void *ctx, const char *path, int flags)
{
	struct vdpa *f = ctx;
	int rc;

	vdpa_hook(f, f->hooks->enter);
	rc = f->gone ? -ENODEV : vdpa_open(f);
	vdpa_hook(f, f->hooks->leave);
	return rc;
}

static int
sys_close(void *ctx, int fd)
{
	struct vdpa *f = ctx;
	int rc;

	vdpa_hook(f, f->hooks->enter);
	rc = vdpa_close(f, fd);
	vdpa_hook(f, f->hooks->leave);
	return rc;
}

static int
sys_ioctl(void *ctx, int fd, unsigned long request, void *arg)
{
	struct vdpa *f = ctx;
	int rc;

	vdpa_hook(f, f->hooks->enter);
	rc = f->gone ? -ENODEV : vdpa_ioctl(f, fd, request, arg);
	vdpa_hook(f, f->hooks->was_told);
	vdpa_hook(f, f->hooks->leave);
	return rc;
}

static ssize_t
sys_write(void *ctx, int fd, const void *buf, size_t len)
{
	struct vdpa *f = ctx;
	ssize_t rc;

	vdpa_hook(f, f->hooks->enter);
	rc = f->gone ? -ENODEV : vdpa_write(f, fd, buf, len);
	if (!f->in_batch)
		vdpa_hook(f, f->hooks->was_mapped);
	vdpa_hook(f, f->hooks->leave);
	return rc;
}

static int
sys_mmap(void *ctx, int fd, size_t len, off_t offset, void **addr)
{
	struct vdpa *f = ctx;
	int rc;

	vdpa_hook(f, f->hooks->enter);
	rc = vdpa_mmap(f, fd, len, offset, addr);
	vdpa_hook(f, f->hooks->leave);
	return rc;
}

static int
sys_munmap(void *ctx, void *addr, size_t len)
{
	struct vdpa *f = ctx;

	assert_int_equal(len, VDPA_PAGE);
	vdpa_hook(f, f->hooks->enter);
	vdpa_munmap(f, addr);
	vdpa_hook(f, f->hooks->leave);
	return 0;
}

static int
sys_eventfd(void *ctx)
{
	struct vdpa *f = ctx;
	int fd;

	vdpa_hook(f, f->hooks->enter);
	fd = vdpa_eventfd(f);
	vdpa_hook(f, f->hooks->leave);
	return fd;
}

static const struct vdpa_hooks nobody;

static void
vdpa_config_changed(void *ctx)
{
	((struct vdpa *)ctx)->configs++;
}

static void
vdpa_lost(void *ctx, const char *why)
{
	((struct vdpa *)ctx)->losts++;
}

static const struct vhost_dev_events vdpa_events = { vdpa_config_changed, vdpa_lost };

int
vdpa_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

void
vdpa_make(struct vdpa *f)
{
	f->sys = (struct vhost_kernel_sys){
		.open = sys_open,
		.close = sys_close,
		.ioctl = sys_ioctl,
		.write = sys_write,
		.mmap = sys_mmap,
		.munmap = sys_munmap,
		.eventfd = sys_eventfd,
		.ctx = f,
	};
	f->hooks = &nobody;
	f->id = VIRTIO_ID_NET;
	f->features = VIRTQ_BIT(VIRTIO_F_VERSION_1) | VIRTQ_BIT(VIRTIO_F_ACCESS_PLATFORM) |
		      VIRTQ_BIT(VIRTIO_F_RING_PACKED) | VIRTQ_BIT(VIRTIO_NET_F_MQ) |
		      VIRTQ_BIT(VIRTIO_NET_F_CTRL_VQ) | VIRTQ_BIT(VIRTIO_NET_F_MAC);
	f->backend = 0x17e | VIRTQ_BIT(VHOST_BACKEND_F_DESC_ASID);
	f->first = VDPA_PAGE;
	f->last = (1ull << 48) - 1;
	f->max_num = 256;
	f->vqs = VDPA_RINGS;
	f->config.max_virtqueue_pairs = htole16(2);
	memcpy(f->config.mac, "\2\0\0\0\0\7", 6);
	f->last_ioctl = 0xff;
	f->wide_base = true;
	f->config_call = -1;
	vdpa_reset(f);
}

int
vdpa_setup(void **state)
{
	struct vdpa *f = calloc(1, sizeof(*f));

	f->fds_before = vdpa_fds();
	assert_int_equal(evloop_new(&f->loop), 0);
	vhost_dev_init(&f->dev, f->loop, &vdpa_events, f);
	vdpa_make(f);
	*state = f;
	return 0;
}

int
vdpa_teardown(void **state)
{
	struct vdpa *f = *state;
	int before = f->fds_before, left;

	vhost_dev_close(&f->dev);
	evloop_free(f->loop);
	left = f->open + (int)f->npages + (int)f->nevents + f->in_batch;
	free(f);
	if (left != 0 || vdpa_fds() != before) {
		print_message("%d left, %d descriptors before, %d after\n", left, before,
			      vdpa_fds());
		return -1;
	}
	return 0;
}

int
vdpa_open_dev(struct vdpa *f)
{
	vhost_dev_close(&f->dev);
	return vhost_vdpa_open(&f->dev, "/dev/vhost-vdpa-0", &f->sys);
}

struct vhost_region
vdpa_region(uint64_t iova, uint64_t pages)
{
	return (struct vhost_region){
		.iova = iova,
		.size = pages * VDPA_PAGE,
		.addr = (void *)(uintptr_t)(0x7f0000000000 + iova),
		.fd = -1,
	};
}

int
vdpa_init(struct vdpa *f)
{
	int rc = vdpa_open_dev(f);

	return rc < 0 ? rc : vhost_init(&f->dev);
}

uint32_t
vdpa_count(struct vdpa *f, uint16_t what)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < f->ncalls && i < VDPA_LOG; i++)
		n += f->log[i] == what;
	return n;
}
