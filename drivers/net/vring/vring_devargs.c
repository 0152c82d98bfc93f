/* SPDX-License-Identifier: BSD-3-Clause */

#include <assert.h>
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <rte_ethdev.h>
#include <rte_kvargs.h>

#include "vnet.h"
#include "vring_devargs.h"
#include "vring_devargs_list.h"

/* /dev/vhost-net; Linux, include/uapi/linux/major.h and include/linux/miscdevice.h */
#define MISC_MAJOR 10
#define VHOST_NET_MINOR 238

/* What a port is. Each key of a front-end is taken by all front-ends. */
enum roles {
	BACK = 1 << 0,
	SOCKET = 1 << 1,
	VDPA = 1 << 2,
	NET = 1 << 3,
	FRONT = SOCKET | VDPA | NET,
	ALL = BACK | FRONT,
};

struct key {
	enum roles roles;
	const char *name;	/* as documented; '-' and '_' are the same */
	int (*parse)(const struct key *key, const char *value, struct vring_devargs *args);
	const char *allowed;
	size_t offset;		/* of its field in struct vring_devargs */
	uint32_t min, max;
};

/* Decimal or 0x, the whole text, nothing but digits. */
static int
parse_u32(const char *value, int base, uint32_t *number)
{
	unsigned long long n;
	char *end;

	if (*value < '0' || *value > '9')
		return -EINVAL;
	errno = 0;
	n = strtoull(value, &end, base);
	if (errno != 0 || *end != '\0' || n > UINT32_MAX)
		return -EINVAL;
	*number = n;
	return 0;
}

/* offset: of a uint32_t. */
static int
parse_number(const struct key *key, const char *value, struct vring_devargs *args)
{
	/* A leading zero makes no octal number: nobody means 832 by 01500. */
	const int base = value[0] == '0' && (value[1] | 0x20) == 'x' ? 16 : 10;
	uint32_t n;

	if (parse_u32(value, base, &n) != 0 || n < key->min || n > key->max)
		return -EINVAL;
	memcpy((char *)args + key->offset, &n, sizeof(n));
	return 0;
}

/* offset: of a char[VRING_PATH_LEN]. */
static int
parse_path(const struct key *key, const char *value, struct vring_devargs *args)
{
	size_t len = strlen(value);

	if (len == 0 || len >= VRING_PATH_LEN)
		return -EINVAL;
	memcpy((char *)args + key->offset, value, len + 1);
	return 0;
}

/* As the kernel takes it for an interface; a name with %d is one for it to complete. */
static int
parse_ifname(const struct key *key, const char *value, struct vring_devargs *args)
{
	const size_t len = strlen(value);

	if (len == 0 || len >= sizeof(args->ifname) || strpbrk(value, "/: \t\n\v\f\r") != NULL ||
	    strcmp(value, ".") == 0 || strcmp(value, "..") == 0)
		return -EINVAL;
	memcpy(args->ifname, value, len + 1);
	return 0;
}

static int
parse_mac(const struct key *key, const char *value, struct vring_devargs *args)
{
	if (rte_ether_unformat_addr(value, &args->mac) != 0 ||
	    !rte_is_valid_assigned_ether_addr(&args->mac))
		return -EINVAL;
	return 0;
}

static int
parse_speed(const struct key *key, const char *value, struct vring_devargs *args)
{
	uint32_t n;

	/* Speeds that ethdev has a name for; others would print as unknown. */
	if (parse_u32(value, 10, &n) != 0 ||
	    rte_eth_speed_bitflag(n, RTE_ETH_LINK_FULL_DUPLEX) == 0)
		return -EINVAL;
	args->speed = n;
	args->speed_given = true;
	return 0;
}

/* The index of a word among n, or -EINVAL. */
static int
find_word(const char *const *words, unsigned int n, const char *value)
{
	for (unsigned int i = 0; i < n; i++)
		if (strcmp(value, words[i]) == 0)
			return i;
	return -EINVAL;
}

static int
parse_csum(const struct key *key, const char *value, struct vring_devargs *args)
{
	static const char *const words[] = {
		[VRING_CSUM_OFF] = "0",
		[VRING_CSUM_COMPLETE] = "1",
		[VRING_CSUM_PARTIAL] = "partial",
	};
	const int i = find_word(words, RTE_DIM(words), value);

	if (i < 0)
		return i;
	args->csum = i;
	return 0;
}

static int
parse_steering(const struct key *key, const char *value, struct vring_devargs *args)
{
	static const char *const words[] = {
		[VRING_STEERING_THREAD] = "thread",
		[VRING_STEERING_HASH] = "hash",
	};
	const int i = find_word(words, RTE_DIM(words), value);

	if (i < 0)
		return i;
	args->tx_steering = i;
	return 0;
}

static int
parse_sock_mode(const struct key *key, const char *value, struct vring_devargs *args)
{
	uint32_t n;

	if (parse_u32(value, 8, &n) != 0 || n < key->min || n > key->max)
		return -EINVAL;
	args->sock_mode = n;
	return 0;
}

static int
parse_sock_group(const struct key *key, const char *value, struct vring_devargs *args)
{
	struct group group, *found = NULL;
	char buf[4096];
	uint32_t n;

	if (getgrnam_r(value, &group, buf, sizeof(buf), &found) == 0 && found != NULL) {
		args->sock_gid = group.gr_gid;
		return 0;
	}
	if (parse_u32(value, 10, &n) != 0 || n == (gid_t)-1)
		return -EINVAL;
	args->sock_gid = n;
	return 0;
}

/* A key of a role that this version does not have. */
static int
parse_relay(const struct key *key, const char *value, struct vring_devargs *args)
{
	return -ENOTSUP;
}

#define KEY_ROW(roles, key, parse, field, lo, hi, init, shown, allowed, ...) \
	{ roles, key, parse, allowed, offsetof(struct vring_devargs, field), lo, hi },
#define KEY_DEFAULT(roles, key, parse, field, lo, hi, init, ...) .field = init,

static const struct key keys[] = {
	VRING_DEVARGS(KEY_ROW)
	{ .roles = ALL, .name = "vdpa", .parse = parse_relay },
};

static const struct vring_devargs defaults = {
	VRING_DEVARGS(KEY_DEFAULT)
};

/* The list has numbers, so that messages and the guide have them. */
static_assert(VRING_MAX_PAIRS == 128, "queues=");
static_assert(VIRTQ_MAX_SIZE == 32768, "queue_size=, max-ring=");
static_assert(VRING_MIN_MTU == 68 && VRING_MAX_MTU == 65509, "mtu=");
static_assert(VRING_LINEAR_NO == 0 && VRING_LINEAR_YES == 1, "linear-buffer=");
static_assert(VRING_PATH_LEN == 107 + 1, "paths");
static_assert(VRING_IFNAME_LEN == 15 + 1, "VRING_IFNAMES");

static bool
same_key(const char *a, const char *b)
{
	for (; *a != '\0' && *b != '\0'; a++, b++)
		if ((*a == '_' ? '-' : *a) != (*b == '_' ? '-' : *b))
			return false;
	return *a == *b;
}

static int
find_key(const char *name)
{
	for (unsigned int i = 0; i < RTE_DIM(keys); i++)
		if (same_key(name, keys[i].name))
			return i;
	return -1;
}

static int
unknown_key(const char *name, char *err, size_t errlen)
{
	size_t used;

	used = snprintf(err, errlen, "unknown key '%s', allowed are", name);
	for (unsigned int i = 0; i < RTE_DIM(keys) && used < errlen; i++)
		if (keys[i].parse != parse_relay)
			used += snprintf(err + used, errlen - used, " %s", keys[i].name);
	return -EINVAL;
}

static int
parse_pair(const struct rte_kvargs_pair *pair, uint64_t *seen, struct vring_devargs *args,
	   char *err, size_t errlen)
{
	const char *value = pair->value == NULL ? "" : pair->value;
	int i = find_key(pair->key);
	int rc;

	RTE_BUILD_BUG_ON(RTE_DIM(keys) > 64);
	if (i < 0)
		return unknown_key(pair->key, err, errlen);
	if (*seen & VIRTQ_BIT(i)) {
		snprintf(err, errlen, "key '%s' is given twice, allowed is once", pair->key);
		return -EINVAL;
	}
	*seen |= VIRTQ_BIT(i);
	rc = keys[i].parse(&keys[i], value, args);
	if (rc == -ENOTSUP && keys[i].parse == parse_relay)
		snprintf(err, errlen, "%s=%s: relaying is not supported yet, give iface= or path= "
			 "alone", pair->key, value);
	else if (rc == -ENOTSUP)
		snprintf(err, errlen, "%s=%s is not supported yet, allowed is 0", pair->key, value);
	else if (rc != 0)
		snprintf(err, errlen, "%s=%s: allowed is %s", pair->key, value, keys[i].allowed);
	return rc == 0 ? 0 : -EINVAL;
}

/* A key of the other role is an error: its user expects something that would not happen. */
static int
check_role(const struct vring_devargs *args, uint64_t seen, char *err, size_t errlen)
{
	bool front = vring_devargs_front(args);

	for (unsigned int i = 0; i < RTE_DIM(keys); i++)
		if ((seen & VIRTQ_BIT(i)) && !(keys[i].roles & (front ? FRONT : BACK))) {
			snprintf(err, errlen, "%s= belongs to a port with %s=: allowed is to leave "
				 "it out", keys[i].name, front ? "iface" : "path");
			return -EINVAL;
		}
	return 0;
}

static const char *
check_back(const struct vring_devargs *args)
{
	if (args->tso && args->csum == VRING_CSUM_OFF)
		return "tso=1 needs checksum offload: allowed with it is csum=1 or csum=partial";
	if (args->client && (args->sock_mode != 0 || args->sock_gid != (gid_t)-1))
		return "sock-mode= and sock-group= belong to a socket of our own: "
		       "allowed with them is client=0";
	if (args->tx_steering == VRING_STEERING_HASH && vring_devargs_hold(args))
		return "tx-steering=hash: allowed with it is iommu-support=0 and "
		       "postcopy-support=0, since packets are held for one ring at a time";
	return NULL;
}

static const char *
check_front(const struct vring_devargs *args)
{
	if (!args->packed_vq && !rte_is_power_of_2(args->queue_size))
		return "queue_size= has to be a power of two: any other number is allowed with "
		       "packed_vq=1 only";
	if (!args->server && (args->sock_mode != 0 || args->sock_gid != (gid_t)-1))
		return "sock-mode= and sock-group= belong to a socket of our own: "
		       "allowed with them is server=1";
	if (args->server && vring_devargs_vdpa(args))
		return "server=1 belongs to a socket: allowed for a vhost-vdpa device is server=0";
	if (args->server && vring_devargs_net(args))
		return "server=1 belongs to a socket: allowed for vhost-net is server=0";
	if (args->ifname[0] != '\0' && !vring_devargs_net(args))
		return "ifname= belongs to a port with path=/dev/vhost-net: allowed is to leave it "
		       "out";
	return NULL;
}

/* Rules on several keys. */
static int
check_together(const struct vring_devargs *args, uint64_t seen, char *err, size_t errlen)
{
	const char *wrong = NULL;
	int rc;

	if (args->iface[0] != '\0' && args->path[0] != '\0')
		wrong = "iface= and path= are the two ends of a connection: allowed is one of them";
	else if (args->iface[0] == '\0' && args->path[0] == '\0')
		wrong = "iface= or path= is missing: give the path of the vhost-user socket";
	if (wrong == NULL) {
		rc = check_role(args, seen, err, errlen);
		if (rc != 0)
			return rc;
		wrong = vring_devargs_front(args) ? check_front(args) : check_back(args);
	}
	if (wrong == NULL)
		return 0;
	snprintf(err, errlen, "%s", wrong);
	return -EINVAL;
}

/*
 * A device of the kernel, or a socket. What is not there yet is a device where devices are: the
 * path of a socket that a back-end has yet to make may lie in /dev/shm.
 */
static bool
path_is_device(const char *path)
{
	struct stat st;

	if (strncmp(path, "/dev/", 5) != 0)
		return false;
	return stat(path, &st) == 0 ? S_ISCHR(st.st_mode) : strncmp(path, "/dev/shm/", 9) != 0;
}

/* The kernel's vhost-net, under whatever name: its number is fixed. */
static bool
path_is_net(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return strcmp(path, "/dev/vhost-net") == 0;
	return S_ISCHR(st.st_mode) && st.st_rdev == makedev(MISC_MAJOR, VHOST_NET_MINOR);
}

/* net_virtio_user's key for the tap's name is iface=. */
static int
take_iface(struct vring_devargs *args, uint64_t *seen, char *err, size_t errlen)
{
	const int i = find_key("iface");

	if (!(*seen & VIRTQ_BIT(i)))
		return 0;
	if (args->ifname[0] != '\0') {
		snprintf(err, errlen, "iface= and ifname= both name the tap: allowed is one of "
			 "them");
		return -EINVAL;
	}
	if (parse_ifname(&keys[i], args->iface, args) != 0) {
		snprintf(err, errlen, "iface=%s: with path=%s it names a tap, allowed is "
			 VRING_IFNAMES, args->iface, args->path);
		return -EINVAL;
	}
	args->iface[0] = '\0';
	*seen &= ~VIRTQ_BIT(i);
	return 0;
}

int
vring_devargs_parse(const char *text, struct vring_devargs *args, char *err, size_t errlen)
{
	struct rte_kvargs *pairs;
	uint64_t seen = 0;
	int rc = 0;

	*args = defaults;
	pairs = rte_kvargs_parse(text == NULL ? "" : text, NULL);
	if (pairs == NULL) {
		snprintf(err, errlen, "'%s': allowed are key=value pairs separated by commas",
			 text);
		return -EINVAL;
	}
	for (unsigned int i = 0; i < pairs->count && rc == 0; i++)
		rc = parse_pair(&pairs->pairs[i], &seen, args, err, errlen);
	rte_kvargs_free(pairs);
	args->net = path_is_net(args->path);
	args->vdpa = !args->net && path_is_device(args->path);
	if (rc == 0 && args->net)
		rc = take_iface(args, &seen, err, errlen);
	return rc != 0 ? rc : check_together(args, seen, err, errlen);
}

uint64_t
vring_devargs_features(const struct vring_devargs *args)
{
	uint64_t features = VNET_DEV_FEATURES | VRING_BACK_CTRL_FEATURES;

	if (!args->tso)
		features &= ~VNET_DEV_TSO_FEATURES;
	if (args->csum == VRING_CSUM_OFF)
		features &= ~VIRTQ_BIT(VIRTIO_NET_F_CSUM);
	if (!args->packed)
		features &= ~VIRTQ_BIT(VIRTIO_F_RING_PACKED);
	if (args->iommu)
		features |= VIRTQ_BIT(VIRTIO_F_ACCESS_PLATFORM);
	if (args->hash_report)
		features |= VIRTQ_BIT(VIRTIO_NET_F_HASH_REPORT);
	/* One packet that the application keeps would stop a ring that is used in order. */
	if (args->zero_copy)
		features &= ~VIRTQ_BIT(VIRTIO_F_IN_ORDER);
	return features;
}

uint64_t
vring_devargs_fallback(const struct vring_devargs *args)
{
	const uint64_t served = VIRTQ_BIT(VIRTIO_NET_F_CSUM) | VNET_DEV_TSO_FEATURES |
				VIRTQ_BIT(VIRTIO_F_RING_PACKED) | VIRTQ_BIT(VIRTIO_F_IN_ORDER) |
				VIRTQ_BIT(VIRTIO_NET_F_HASH_REPORT);

	return served & ~vring_devargs_features(args);
}

/* All features but those that the arguments rule out. `packets`: those that bursts serve. */
uint64_t
vring_devargs_wanted(const struct vring_devargs *args, uint64_t packets)
{
	uint64_t features = packets | VRING_FRONT_FEATURES;

	if (args->csum == VRING_CSUM_OFF)
		features &= ~VRING_FRONT_CSUM_FEATURES;
	if (!args->packed_vq)
		features &= ~VIRTQ_BIT(VIRTIO_F_RING_PACKED);
	if (!args->mrg_rxbuf)
		features &= ~VIRTQ_BIT(VIRTIO_NET_F_MRG_RXBUF);
	if (!args->in_order)
		features &= ~VIRTQ_BIT(VIRTIO_F_IN_ORDER);
	if (!vring_devargs_vdpa(args)) {
		features &= ~VHOST_FE_CTRL_FEATURES;
		return args->iommu ? features : features & ~VIRTQ_BIT(VIRTIO_F_ACCESS_PLATFORM);
	}
	if (args->cq == 0)
		features &= ~VHOST_FE_CTRL_FEATURES;
	return features;
}

bool
vring_devargs_front(const struct vring_devargs *args)
{
	return args->path[0] != '\0';
}

bool
vring_devargs_net(const struct vring_devargs *args)
{
	return args->net;
}

bool
vring_devargs_vdpa(const struct vring_devargs *args)
{
	return args->vdpa;
}
