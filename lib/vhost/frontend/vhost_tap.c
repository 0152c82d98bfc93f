/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel's end of vhost-net: a tap, made or taken over, and what it is told. */
#include "vhost_tap.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <string.h>

#include "vhost_net_hdr.h"
#include "virtq_ring.h"

#define TUN_DEVICE "/dev/net/tun"

static_assert(VHOST_TAP_NAME == IFNAMSIZ, "bytes of an interface's name");

/* What the kernel may leave to be done in packets for us, as it is told and as it is negotiated. */
static const struct {
	unsigned int flag;	/* TUN_F_ */
	unsigned int feature;	/* VIRTIO_NET_F_GUEST_ */
} offload[] = {
	{ TUN_F_CSUM, VIRTIO_NET_F_GUEST_CSUM },
	{ TUN_F_TSO4, VIRTIO_NET_F_GUEST_TSO4 },
	{ TUN_F_TSO6, VIRTIO_NET_F_GUEST_TSO6 },
	{ TUN_F_TSO_ECN, VIRTIO_NET_F_GUEST_ECN },
};
#define OFFLOADS (sizeof(offload) / sizeof(offload[0]))

/* What we may leave to be done: a tap always takes it, since the header says so of each packet. */
#define HOST_OFFLOADS \
	(VIRTQ_BIT(VIRTIO_NET_F_CSUM) | VIRTQ_BIT(VIRTIO_NET_F_HOST_TSO4) | \
	 VIRTQ_BIT(VIRTIO_NET_F_HOST_TSO6) | VIRTQ_BIT(VIRTIO_NET_F_HOST_ECN))

static int
tap_ioctl(struct vhost_tap *t, int fd, unsigned long request, void *arg)
{
	const struct vhost_kernel_sys *sys = t->kernel->sys;

	return sys->ioctl(sys->ctx, fd, request, arg);
}

static void
name_it(struct ifreq *ifr, const char *name)
{
	memset(ifr, 0, sizeof(*ifr));
	memcpy(ifr->ifr_name, name, strnlen(name, IFNAMSIZ - 1));
}

/* A request about the tap as a whole; any of its descriptors will do. */
static int
ask_tap(struct vhost_tap *t, unsigned long request, void *arg, const char *what)
{
	int rc = tap_ioctl(t, t->fd[0], request, arg);

	if (rc >= 0)
		return 0;
	return vhost_dev_fail(t->kernel->dev, vhost_kernel_check(t->kernel, rc), "%s: %s: %s",
			      t->name, what, strerror(-rc));
}

static bool
name_exists(struct vhost_tap *t, const char *name)
{
	struct ifreq ifr;

	name_it(&ifr, name);
	return tap_ioctl(t, t->socket, SIOCGIFFLAGS, &ifr) >= 0;
}

static bool
is_tap(struct vhost_tap *t, const char *name)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	struct ifreq ifr;

	name_it(&ifr, name);
	ifr.ifr_data = (void *)&info;
	return tap_ioctl(t, t->socket, SIOCETHTOOL, &ifr) >= 0 && strcmp(info.driver, "tun") == 0 &&
	       strcmp(info.bus_info, "tap") == 0;
}

/*
 * Somebody has a queue of it, for it has a carrier. The kernel lets others join a tap of several
 * queues, and what they set holds for all.
 */
static bool
is_in_use(struct vhost_tap *t, const char *name)
{
	struct ethtool_value link = { .cmd = ETHTOOL_GLINK };
	struct ifreq ifr;

	if (*name == '\0' || !is_tap(t, name))
		return false;
	name_it(&ifr, name);
	ifr.ifr_data = (void *)&link;
	return tap_ioctl(t, t->socket, SIOCETHTOOL, &ifr) >= 0 && link.data != 0;
}

/* The kernel has one error for all that is wrong about a name. */
static int
name_refused(struct vhost_tap *t, const char *name)
{
	struct vhost_dev *dev = t->kernel->dev;

	if (!name_exists(t, name))
		return vhost_dev_fail(dev, -EINVAL, "the kernel takes no '%s' for the name of an "
				      "interface", name);
	if (!is_tap(t, name))
		return vhost_dev_fail(dev, -EINVAL, "interface %s exists and is no tap: give "
				      "another name, or delete it", name);
	return vhost_dev_fail(dev, -EINVAL, "tap %s exists and has one queue: make it with "
			      "'ip tuntap add dev %s mode tap multi_queue', or give queues=1",
			      name, name);
}

static int
tap_refused(struct vhost_tap *t, int rc, const char *name)
{
	struct vhost_dev *dev = t->kernel->dev;

	if (*name == '\0')
		name = "tap%d";
	switch (rc) {
	case -EPERM:
		return vhost_dev_fail(dev, rc, "tap %s: no permission; CAP_NET_ADMIN is needed, or "
				      "a tap that was made for this user", name);
	case -EBUSY:
		return vhost_dev_fail(dev, rc, "tap %s is in use: give another name, or end who "
				      "uses it", name);
	case -E2BIG:
		return vhost_dev_fail(dev, rc, "tap %s: the kernel makes no more queues than %u, "
				      "queues= has to be less", name, t->queues);
	case -EINVAL:
		return name_refused(t, name);
	default:
		return vhost_dev_fail(dev, rc, "tap %s: %s", name, strerror(-rc));
	}
}

/* Flags of the kernel that this driver cannot do without, and that an old one may lack. */
static int
look_at_kernel(struct vhost_tap *t, int fd, unsigned int *flags)
{
	struct vhost_dev *dev = t->kernel->dev;
	unsigned int has = 0;
	int rc = tap_ioctl(t, fd, TUNGETFEATURES, &has);

	if (rc < 0)
		return vhost_dev_fail(dev, rc, TUN_DEVICE " is not the kernel's: %s",
				      strerror(-rc));
	if (!(has & IFF_VNET_HDR))
		return vhost_dev_fail(dev, -EOPNOTSUPP, "taps of this kernel carry no virtio-net "
				      "header");
	if (t->queues > 1 && !(has & IFF_MULTI_QUEUE))
		return vhost_dev_fail(dev, -EOPNOTSUPP, "taps of this kernel have one queue: give "
				      "queues=1");
	*flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (has & IFF_ONE_QUEUE) |
		 (t->queues > 1 ? IFF_MULTI_QUEUE : 0);
	return 0;
}

/* One that exists has to be asked for as it was made. */
static int
set_interface(struct vhost_tap *t, int fd, unsigned int flags, const char *name)
{
	struct ifreq ifr;
	int rc;

	name_it(&ifr, name);
	ifr.ifr_flags = (short)flags;
	rc = tap_ioctl(t, fd, TUNSETIFF, &ifr);
	if (rc == -EINVAL && !(flags & IFF_MULTI_QUEUE) && name_exists(t, name)) {
		flags |= IFF_MULTI_QUEUE;
		name_it(&ifr, name);
		ifr.ifr_flags = (short)flags;
		rc = tap_ioctl(t, fd, TUNSETIFF, &ifr);
	}
	if (rc < 0)
		return tap_refused(t, rc, name);
	t->multi = flags & IFF_MULTI_QUEUE;
	memcpy(t->name, ifr.ifr_name, IFNAMSIZ - 1);
	return 0;
}

static int
open_tap_queue(struct vhost_tap *t, uint16_t queue, const char *name)
{
	const struct vhost_kernel_sys *sys = t->kernel->sys;
	int fd = sys->open(sys->ctx, TUN_DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	unsigned int flags = 0;
	int rc;

	if (fd < 0)
		return vhost_kernel_open_failed(t->kernel->dev, TUN_DEVICE, fd,
						"load its module: modprobe tun");
	t->fd[queue] = fd;
	rc = look_at_kernel(t, fd, &flags);
	return rc == 0 ? set_interface(t, fd, flags, name) : rc;
}

/* One that the kernel refuses it does not know. Each of them needs those before it. */
static void
probe_offloads(struct vhost_tap *t)
{
	for (size_t i = 0; i < OFFLOADS; i++) {
		const unsigned long flags = t->offloads | offload[i].flag;

		if (tap_ioctl(t, t->fd[0], TUNSETOFFLOAD, (void *)flags) >= 0)
			t->offloads = (unsigned int)flags;
	}
	tap_ioctl(t, t->fd[0], TUNSETOFFLOAD, (void *)0UL);
}

/* As much as the rings hold: what does not fit there waits with us, not in the kernel. */
static int
set_up_tap(struct vhost_tap *t, const struct vhost_tap_config *cfg)
{
	int room = INT_MAX;
	int rc = ask_tap(t, TUNSETSNDBUF, &room, "send buffer");

	if (rc == 0 && cfg->mac_given)
		rc = vhost_tap_set_mac(t, cfg->mac);
	if (rc != 0)
		return rc;
	probe_offloads(t);
	vhost_tap_set_carrier(t, false);
	return 0;
}

int
vhost_tap_open(struct vhost_tap *t, struct vhost_kernel *kernel, const struct vhost_tap_config *cfg)
{
	const struct vhost_kernel_sys *sys = kernel->sys;
	int rc = 0;

	*t = (struct vhost_tap){ .kernel = kernel, .queues = cfg->queues };
	for (size_t i = 0; i < sizeof(t->fd) / sizeof(t->fd[0]); i++)
		t->fd[i] = -1;
	t->socket = sys->socket(sys->ctx);
	if (t->socket < 0)
		return vhost_dev_fail(kernel->dev, t->socket, "socket: %s", strerror(-t->socket));
	if (is_in_use(t, cfg->name))
		rc = tap_refused(t, -EBUSY, cfg->name);
	for (uint16_t i = 0; i < cfg->queues && rc == 0; i++)
		rc = open_tap_queue(t, i, i == 0 ? cfg->name : t->name);
	if (rc == 0)
		rc = set_up_tap(t, cfg);
	if (rc != 0)
		vhost_tap_close(t);
	return rc;
}

void
vhost_tap_close(struct vhost_tap *t)
{
	const struct vhost_kernel_sys *sys = t->kernel->sys;

	for (uint16_t i = 0; i < t->queues; i++) {
		if (t->fd[i] >= 0)
			sys->close(sys->ctx, t->fd[i]);
		t->fd[i] = -1;
	}
	if (t->socket >= 0)
		sys->close(sys->ctx, t->socket);
	t->socket = -1;
}

uint64_t
vhost_tap_features(const struct vhost_tap *t)
{
	uint64_t features = HOST_OFFLOADS;

	for (size_t i = 0; i < OFFLOADS; i++)
		if (t->offloads & offload[i].flag)
			features |= VIRTQ_BIT(offload[i].feature);
	return features;
}

int
vhost_tap_set_features(struct vhost_tap *t, uint64_t features)
{
	int len = vhost_net_hdr_len(features);
	int little = (features & VIRTQ_BIT(VIRTIO_F_VERSION_1)) != 0;
	unsigned long flags = 0;
	int rc = ask_tap(t, TUNSETVNETHDRSZ, &len, "length of the virtio-net header");

	if (rc == 0)
		rc = ask_tap(t, TUNSETVNETLE, &little, "byte order of the virtio-net header");
	for (size_t i = 0; i < OFFLOADS; i++)
		if (features & VIRTQ_BIT(offload[i].feature))
			flags |= offload[i].flag;
	return rc == 0 ? ask_tap(t, TUNSETOFFLOAD, (void *)flags, "offloads") : rc;
}

int
vhost_tap_attach(struct vhost_tap *t, uint16_t queue, bool on)
{
	struct ifreq ifr;
	bool up;
	int rc;

	if (!t->multi || t->detached[queue] == !on)
		return 0;
	name_it(&ifr, t->name);
	ifr.ifr_flags = on ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE;
	rc = tap_ioctl(t, t->fd[queue], TUNSETQUEUE, &ifr);
	if (rc == -EINVAL && vhost_tap_look(t, &up) == -ENODEV)
		return -ENODEV; /* it says so of one that was deleted */
	if (rc < 0)
		return vhost_dev_fail(t->kernel->dev, vhost_kernel_check(t->kernel, rc),
				      "%s: queue %u cannot be %s: %s", t->name, queue,
				      on ? "attached" : "detached", strerror(-rc));
	t->detached[queue] = !on;
	return 0;
}

/* Whether the interface of that name is the tap, and not another one since the tap has moved. */
static bool
has_name(struct vhost_tap *t)
{
	struct ifreq ours, theirs;

	name_it(&ours, t->name);
	name_it(&theirs, t->name);
	return tap_ioctl(t, t->fd[0], SIOCGIFHWADDR, &ours) >= 0 &&
	       tap_ioctl(t, t->socket, SIOCGIFHWADDR, &theirs) >= 0 &&
	       memcmp(ours.ifr_hwaddr.sa_data, theirs.ifr_hwaddr.sa_data, 6) == 0;
}

void
vhost_tap_set_carrier(struct vhost_tap *t, bool on)
{
	int carrier = on;

	tap_ioctl(t, t->fd[0], TUNSETCARRIER, &carrier);
}

int
vhost_tap_look(struct vhost_tap *t, bool *up)
{
	struct ifreq ifr;
	int rc;

	name_it(&ifr, "");
	rc = ask_tap(t, TUNGETIFF, &ifr, "the interface was deleted");
	if (rc != 0)
		return rc;
	/* It may have been given another name. */
	memcpy(t->name, ifr.ifr_name, IFNAMSIZ - 1);
	/* In another network namespace it cannot be asked. */
	*up = true;
	if (!has_name(t))
		return 0;
	name_it(&ifr, t->name);
	if (tap_ioctl(t, t->socket, SIOCGIFFLAGS, &ifr) >= 0)
		*up = ifr.ifr_flags & IFF_UP;
	return 0;
}

int
vhost_tap_get_mac(struct vhost_tap *t, uint8_t mac[6])
{
	struct ifreq ifr;
	int rc;

	name_it(&ifr, t->name);
	rc = ask_tap(t, SIOCGIFHWADDR, &ifr, "address");
	if (rc == 0)
		memcpy(mac, ifr.ifr_hwaddr.sa_data, 6);
	return rc;
}

int
vhost_tap_set_mac(struct vhost_tap *t, const uint8_t mac[6])
{
	struct ifreq ifr;

	name_it(&ifr, t->name);
	ifr.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(ifr.ifr_hwaddr.sa_data, mac, 6);
	return ask_tap(t, SIOCSIFHWADDR, &ifr, "address");
}

int
vhost_tap_set_mtu(struct vhost_tap *t, uint16_t mtu)
{
	struct ifreq ifr;
	bool up;
	int rc = vhost_tap_look(t, &up);

	if (rc == 0 && !has_name(t))
		return vhost_dev_fail(t->kernel->dev, -EIO, "%s: MTU %u: the interface is in "
				      "another network namespace", t->name, mtu);
	if (rc != 0)
		return rc;
	name_it(&ifr, t->name);
	ifr.ifr_mtu = mtu;
	rc = tap_ioctl(t, t->socket, SIOCSIFMTU, &ifr);
	return rc < 0 ? vhost_dev_fail(t->kernel->dev, -EIO, "%s: MTU %u: %s", t->name, mtu,
				       strerror(-rc)) : 0;
}
