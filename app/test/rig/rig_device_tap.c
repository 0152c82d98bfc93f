/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig_device_tap.h"

#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <stdio.h>

#include "rig_device_vdpa.h"
#include "vhost_net_hdr.h"

/* -errno when this call is to fail. */
static int
tapk_call(struct tapk *k, uint16_t what)
{
	if (k->ncalls < TAPK_LOG)
		k->log[k->ncalls] = what;
	k->ncalls++;
	return k->ncalls == k->fail_at ? k->fail_with : 0;
}

static struct tapk_fd *
tapk_at(struct tapk *k, int fd)
{
	assert_uint_in_range(fd, TAPK_FD, TAPK_FD + TAPK_FDS - 1);
	assert_int_not_equal(k->fd[fd - TAPK_FD].kind, TAPK_FREE);
	return &k->fd[fd - TAPK_FD];
}

static int
tapk_new_fd(struct tapk *k, enum tapk_kind kind)
{
	for (int i = 0; i < TAPK_FDS; i++)
		if (k->fd[i].kind == TAPK_FREE) {
			k->fd[i] = (struct tapk_fd){ .kind = kind, .backend = { -1, -1 } };
			return TAPK_FD + i;
		}
	fail_msg("more descriptors than there are");
	return -EMFILE;
}

static int
tapk_open(void *ctx, const char *path, int flags)
{
	struct tapk *k = ctx;
	int rc = tapk_call(k, TAPK_OPEN);

	if (strcmp(path, "/dev/net/tun") == 0)
		rc = rc != 0 ? rc : k->tun_error;
	else
		rc = rc != 0 ? rc : k->vhost_error;
	if (rc != 0)
		return rc;
	return tapk_new_fd(k, strcmp(path, "/dev/net/tun") == 0 ? TAPK_TUN : TAPK_VHOST);
}

static unsigned int
tapk_queues(struct tapk *k, const struct tapk_if *i)
{
	unsigned int n = 0;

	for (int f = 0; f < TAPK_FDS; f++)
		n += k->fd[f].kind == TAPK_TUN && k->fd[f].interface == i;
	return n;
}

/* No thread of the kernel may still move packets through a queue that goes. */
static void
tapk_unused(struct tapk *k, const struct tapk_fd *queue)
{
	for (int f = 0; f < TAPK_FDS; f++)
		for (int i = 0; i < 2 && k->fd[f].kind == TAPK_VHOST; i++)
			assert_int_not_equal(k->fd[f].backend[i], TAPK_FD + (int)(queue - k->fd));
}

static int
tapk_close(void *ctx, int fd)
{
	struct tapk *k = ctx;
	struct tapk_fd *f = tapk_at(k, fd);
	struct tapk_if *i = f->interface;

	if (f->kind == TAPK_TUN)
		tapk_unused(k, f);
	f->kind = TAPK_FREE;
	if (i != NULL && tapk_queues(k, i) == 0 && !i->persistent)
		i->name[0] = '\0';
	return 0;
}

struct tapk_if *
tapk_find(struct tapk *k, const char *name)
{
	for (int i = 0; i < TAPK_IFS; i++)
		if (name[0] != '\0' && strcmp(k->interface[i].name, name) == 0)
			return &k->interface[i];
	return NULL;
}

struct tapk_if *
tapk_add(struct tapk *k, const char *name, const char *bus, bool multi)
{
	for (int i = 0; i < TAPK_IFS; i++)
		if (k->interface[i].name[0] == '\0') {
			k->interface[i] = (struct tapk_if){ .driver = "tun", .bus = bus,
							    .multi = multi, .carrier = 1,
							    .persistent = true,
							    .mac = { 2, 0, 0, 0, 0, 9 } };
			snprintf(k->interface[i].name, VHOST_TAP_NAME, "%s", name);
			return &k->interface[i];
		}
	fail_msg("more interfaces than there are");
	return NULL;
}

void
tapk_delete(struct tapk *k, struct tapk_if *i)
{
	for (int f = 0; f < TAPK_FDS; f++)
		if (k->fd[f].interface == i)
			k->fd[f].interface = NULL;
	i->name[0] = '\0';
}

static int
tapk_set_interface(struct tapk *k, struct tapk_fd *f, struct ifreq *ifr)
{
	const bool multi = ifr->ifr_flags & IFF_MULTI_QUEUE;
	struct tapk_if *i = tapk_find(k, ifr->ifr_name);

	assert_true(ifr->ifr_flags & IFF_TAP);
	assert_true(ifr->ifr_flags & IFF_NO_PI);
	assert_true(ifr->ifr_flags & IFF_VNET_HDR);
	if (i != NULL) {
		if (strcmp(i->bus, "tap") != 0 || i->multi != multi)
			return -EINVAL;
		if (!multi && tapk_queues(k, i) > 0)
			return -EBUSY;
	} else {
		if (!k->capable)
			return -EPERM;
		if (strchr(ifr->ifr_name, '/') != NULL)
			return -EINVAL;
		i = tapk_add(k, ifr->ifr_name[0] == '\0' ? "tap0" : ifr->ifr_name, "tap", multi);
		i->persistent = false;
	}
	if (tapk_queues(k, i) == k->max_queues)
		return -E2BIG;
	f->interface = i;
	f->was = true;
	memcpy(ifr->ifr_name, i->name, VHOST_TAP_NAME);
	return 0;
}

static int
tapk_set_queue(struct tapk *k, struct tapk_fd *f, const struct ifreq *ifr)
{
	const bool on = ifr->ifr_flags & IFF_ATTACH_QUEUE;

	if (!f->interface->multi || f->detached != on)
		return -EINVAL;
	if (!on)
		tapk_unused(k, f);
	f->detached = !on;
	return 0;
}

static int
tapk_set_offload(struct tapk_if *i, unsigned long flags)
{
	if (flags & ~(unsigned long)(TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN))
		return -EINVAL;
	if (flags != 0 && !(flags & TUN_F_CSUM))
		return -EINVAL;
	i->offloads = (unsigned int)flags;
	return 0;
}

static int
tapk_tun_ioctl(struct tapk *k, struct tapk_fd *f, unsigned long request, void *arg)
{
	struct tapk_if *i = f->interface;
	struct ifreq *ifr = arg;

	if (request == TUNGETFEATURES) {
		*(unsigned int *)arg = k->tun_features;
		return 0;
	}
	if (request == TUNSETIFF)
		return tapk_set_interface(k, f, ifr);
	if (i == NULL)
		return -EBADFD;
	switch (request) {
	case TUNGETIFF: memcpy(ifr->ifr_name, i->name, VHOST_TAP_NAME); return 0;
	case TUNSETQUEUE: return tapk_set_queue(k, f, ifr);
	case TUNSETVNETHDRSZ: i->hdr = *(int *)arg; return 0;
	case TUNSETVNETLE: i->little = *(int *)arg; return 0;
	case TUNSETSNDBUF: i->sndbuf = *(int *)arg; return 0;
	case TUNSETOFFLOAD: return tapk_set_offload(i, (unsigned long)arg);
	case TUNSETCARRIER:
		i->carrier = *(int *)arg;
		return k->ancient ? -EINVAL : 0;
	case SIOCGIFHWADDR: memcpy(ifr->ifr_hwaddr.sa_data, i->mac, 6); return 0;
	case SIOCSIFHWADDR: memcpy(i->mac, ifr->ifr_hwaddr.sa_data, 6); return 0;
	default: fail_msg("request 0x%lx of a tap", request); return -EINVAL;
	}
}

static int
tapk_name_ioctl(struct tapk *k, unsigned long request, struct ifreq *ifr)
{
	struct tapk_if *i = tapk_find(k, ifr->ifr_name);
	struct ethtool_drvinfo *info = (void *)ifr->ifr_data;
	struct ethtool_value *value = (void *)ifr->ifr_data;

	if (i == NULL || i->elsewhere)
		return -ENODEV;
	switch (request) {
	case SIOCGIFFLAGS: ifr->ifr_flags = i->up ? IFF_UP : 0; return 0;
	case SIOCSIFMTU: i->mtu = ifr->ifr_mtu; return i->mtu > 9000 ? -EINVAL : 0;
	case SIOCGIFHWADDR: memcpy(ifr->ifr_hwaddr.sa_data, i->mac, 6); return 0;
	case SIOCETHTOOL:
		if (value->cmd == ETHTOOL_GLINK) {
			value->data = tapk_queues(k, i) > 0 && i->carrier;
			return 0;
		}
		snprintf(info->driver, sizeof(info->driver), "%s", i->driver);
		snprintf(info->bus_info, sizeof(info->bus_info), "%s", i->bus);
		return 0;
	default: fail_msg("request 0x%lx about an interface", request); return -EINVAL;
	}
}

/* A queue whose headers are as long as the rings' are, for a ring that is set up. */
static int
tapk_set_backend(struct tapk *k, struct tapk_fd *f, const struct vhost_vring_file *file)
{
	const struct tapk_fd *queue;

	if (file->fd >= 0) {
		queue = tapk_at(k, file->fd);
		if (queue->kind != TAPK_TUN)
			return -EINVAL;
		if (f->ring[file->index].num == 0 || f->ring[file->index].addr.desc_user_addr == 0)
			return -EFAULT;
		assert_non_null(queue->interface);
		assert_false(queue->detached);
		assert_int_equal(queue->interface->hdr, vhost_net_hdr_len(f->acked));
		assert_int_equal(queue->interface->little,
				 f->acked >> VIRTIO_F_VERSION_1 & 1);
	}
	f->backend[file->index] = file->fd;
	return 0;
}

static int
tapk_set_features(struct tapk *k, struct tapk_fd *f, uint64_t features)
{
	if (features & ~k->features)
		return -EOPNOTSUPP;
	/* The kernel would put headers there by itself, or ask for translations. */
	assert_false(features & VIRTQ_BIT(VHOST_NET_F_VIRTIO_NET_HDR));
	assert_false(features & VIRTQ_BIT(VIRTIO_F_ACCESS_PLATFORM));
	assert_true(f->backend[0] == -1 && f->backend[1] == -1);
	f->acked = features;
	return 0;
}

static int
tapk_set_memory(struct tapk *k, struct tapk_fd *f, const struct vhost_memory *m)
{
	if (m->nregions > k->max_regions)
		return -E2BIG;
	f->nregions = m->nregions;
	f->first = m->nregions > 0 ? m->regions[0].userspace_addr : 0;
	return 0;
}

/* The argument begins with the ring's index. A ring that is served can be told its kicks only. */
static int
tapk_ring_ioctl(struct tapk *k, struct tapk_fd *f, unsigned long request, void *arg)
{
	const struct kernel_ring_limits limits = { .max_num = 32768 };
	struct vhost_vring_state *s = arg;

	if (s->index > 1)
		return -ENOBUFS;
	if (request == VHOST_NET_SET_BACKEND)
		return tapk_set_backend(k, f, arg);
	if (request == VHOST_GET_VRING_BASE) {
		assert_int_equal(f->backend[s->index], -1);
		s->num = f->ring[s->index].base;
		return 0;
	}
	if (f->backend[s->index] != -1 && _IOC_NR(request) < 0x20)
		return -EBUSY;
	return kernel_ring_told(&f->ring[s->index], _IOC_NR(request), arg, &limits);
}

static int
tapk_vhost_ioctl(struct tapk *k, struct tapk_fd *f, unsigned long request, void *arg)
{
	if (request == VHOST_GET_FEATURES) {
		*(uint64_t *)arg = k->features;
		return 0;
	}
	if (request == VHOST_SET_OWNER) {
		if (f->owned)
			return -EBUSY;
		f->owned = true;
		return 0;
	}
	if (!f->owned)
		return -EPERM;
	switch (request) {
	case VHOST_SET_FEATURES: return tapk_set_features(k, f, *(uint64_t *)arg);
	case VHOST_SET_MEM_TABLE: return tapk_set_memory(k, f, arg);
	default: return tapk_ring_ioctl(k, f, request, arg);
	}
}

static int
tapk_ioctl(void *ctx, int fd, unsigned long request, void *arg)
{
	struct tapk *k = ctx;
	struct tapk_fd *f = tapk_at(k, fd);
	int rc = tapk_call(k, (uint16_t)request);

	if (rc != 0)
		return rc;
	switch (f->kind) {
	case TAPK_VHOST: return tapk_vhost_ioctl(k, f, request, arg);
	case TAPK_TUN: return tapk_tun_ioctl(k, f, request, arg);
	default: return tapk_name_ioctl(k, request, arg);
	}
}

static int
tapk_socket(void *ctx)
{
	int rc = tapk_call(ctx, TAPK_OPEN_SOCKET);

	return rc != 0 ? rc : tapk_new_fd(ctx, TAPK_SOCKET);
}

static int
tapk_number(void *ctx, const char *path, uint32_t *value)
{
	struct tapk *k = ctx;
	int rc = tapk_call(k, TAPK_NUMBER);

	assert_string_equal(path, "/sys/module/vhost/parameters/max_mem_regions");
	if (rc == 0)
		*value = k->max_regions;
	return rc;
}

static void
tapk_config_changed(void *ctx)
{
	((struct tapk *)ctx)->configs++;
}

static void
tapk_lost(void *ctx, const char *why)
{
	((struct tapk *)ctx)->losts++;
}

static const struct vhost_dev_events tapk_events = { tapk_config_changed, tapk_lost };

int
tapk_setup(void **state)
{
	struct tapk *k = calloc(1, sizeof(*k));

	k->fds_before = vdpa_fds();
	assert_int_equal(evloop_new(&k->loop), 0);
	vhost_dev_init(&k->dev, k->loop, &tapk_events, k);
	k->sys = (struct vhost_kernel_sys){
		.open = tapk_open,
		.close = tapk_close,
		.ioctl = tapk_ioctl,
		.socket = tapk_socket,
		.number = tapk_number,
		.ctx = k,
	};
	k->features = VIRTQ_BIT(VIRTIO_F_VERSION_1) | VIRTQ_BIT(VIRTIO_RING_F_INDIRECT_DESC) |
		      VIRTQ_BIT(VIRTIO_RING_F_EVENT_IDX) | VIRTQ_BIT(VIRTIO_NET_F_MRG_RXBUF) |
		      VIRTQ_BIT(VHOST_NET_F_VIRTIO_NET_HDR) | VIRTQ_BIT(VHOST_F_LOG_ALL) |
		      VIRTQ_BIT(VIRTIO_F_ACCESS_PLATFORM);
	k->tun_features = IFF_TUN | IFF_TAP | IFF_NO_PI | IFF_ONE_QUEUE | IFF_VNET_HDR |
			  IFF_MULTI_QUEUE;
	k->max_regions = TAPK_REGIONS;
	k->max_queues = 4;
	k->capable = true;
	*state = k;
	return 0;
}

int
tapk_teardown(void **state)
{
	struct tapk *k = *state;
	int before = k->fds_before, left = 0;

	vhost_dev_close(&k->dev);
	evloop_free(k->loop);
	for (int i = 0; i < TAPK_FDS; i++)
		left += k->fd[i].kind != TAPK_FREE;
	free(k);
	if (left != 0 || vdpa_fds() != before) {
		print_message("%d left, %d descriptors before, %d after\n", left, before,
			      vdpa_fds());
		return -1;
	}
	return 0;
}

struct tapk_fd *
tapk_nth(struct tapk *k, enum tapk_kind kind, unsigned int n)
{
	for (int i = 0; i < TAPK_FDS; i++)
		if (k->fd[i].kind == kind && n-- == 0)
			return &k->fd[i];
	fail_msg("so many descriptors are not open");
	return NULL;
}

int
tapk_open_dev(struct tapk *k, const char *name, uint16_t queues)
{
	struct vhost_tap_config cfg = { .queues = queues };

	vhost_dev_close(&k->dev);
	snprintf(cfg.name, sizeof(cfg.name), "%s", name);
	return vhost_net_open(&k->dev, "/dev/vhost-net", &cfg, &k->sys);
}
