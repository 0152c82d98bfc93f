/* SPDX-License-Identifier: BSD-3-Clause */
#include "probe.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "out.h"
#include "vhost_names.h"
#include "vhu_msg.h"
#include "virtq_compat.h"
#include "virtq_ring.h"

/* A front-end that listens speaks first; so long one has to do it. */
#define FRONT_END_MS 100

static int __attribute__((format(printf, 3, 4)))
say(struct probe *p, int state, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->why, sizeof(p->why), fmt, ap);
	va_end(ap);
	return state;
}

static int
connect_failed(struct probe *p, int error)
{
	switch (error) {
	case ECONNREFUSED:
		return say(p, PROBE_NOTHING, "%s: nobody listens; the socket is left over",
			   p->path);
	case EACCES:
	case EPERM:
		return say(p, PROBE_NOTHING, "%s: no permission to connect", p->path);
	case EAGAIN:
		return say(p, PROBE_IN_USE, "%s: too many wait to be served; it is in use",
			   p->path);
	case EPROTOTYPE:
		return say(p, PROBE_NOTHING, "%s is not a stream socket, so not vhost-user",
			   p->path);
	default:
		return say(p, PROBE_NOTHING, "%s: %s", p->path, strerror(error));
	}
}

/* Whether the other side asks instead of waiting to be asked: a front-end. */
static bool
speaks_first(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	struct vhu_hdr hdr;

	return poll(&pfd, 1, FRONT_END_MS) > 0 &&
	       recv(fd, &hdr, sizeof(hdr), MSG_PEEK | MSG_DONTWAIT) == sizeof(hdr) &&
	       (hdr.flags & VHU_VERSION_MASK) == VHU_VERSION && !(hdr.flags & VHU_FLAG_REPLY);
}

static int
session_failed(struct probe *p, int rc)
{
	switch (rc) {
	case -ECONNRESET:
		return say(p, PROBE_IN_USE, "%s: a listener took the connection and closed it: "
			   "another front-end uses it, or it is no vhost-user back-end", p->path);
	case -ETIMEDOUT:
		return say(p, PROBE_IN_USE, "%s: no answer within %u ms: it is busy with another "
			   "front-end, or no vhost-user back-end", p->path, p->dev.timeout_ms);
	default:
		return say(p, PROBE_NOTHING, "%s: %s", p->path, p->dev.why);
	}
}

static int
open_socket(struct probe *p)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, rc;

	if (strlen(p->path) >= sizeof(addr.sun_path))
		return say(p, PROBE_NOTHING, "%s: a socket's path has at most %zu bytes", p->path,
			   sizeof(addr.sun_path) - 1);
	strcpy(addr.sun_path, p->path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return say(p, PROBE_NOTHING, "socket: %s", strerror(errno));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		rc = errno;
		close(fd);
		return connect_failed(p, rc);
	}
	if (speaks_first(fd)) {
		close(fd);
		p->role = "vhost-user front-end, waiting for a back-end";
		return PROBE_OK;
	}
	rc = vhost_user_open(&p->dev, fd);
	if (rc == 0)
		rc = vhost_init(&p->dev);
	if (rc < 0)
		return session_failed(p, rc);
	p->role = "vhost-user back-end";
	return PROBE_OK;
}

static int
open_device(struct probe *p)
{
	int rc = vhost_vdpa_open(&p->dev, p->path, NULL);

	if (rc == 0) {
		p->role = "vhost-vdpa network device";
		rc = vhost_init(&p->dev);
		if (rc < 0)
			return say(p, PROBE_NOTHING, "%s: %s", p->path, p->dev.why);
	}
	if (rc < 0)
		return say(p, rc == -EBUSY ? PROBE_IN_USE : PROBE_NOTHING, "%s", p->dev.why);
	return PROBE_OK;
}

int
probe_open(struct probe *p, uint32_t timeout_ms)
{
	struct stat st;

	vhost_dev_init(&p->dev, p->loop, NULL, NULL);
	p->dev.timeout_ms = timeout_ms;
	/* Nothing is asked of us while we look. */
	p->dev.protocol_mask &= ~VIRTQ_BIT(VHU_PF_BACKEND_REQ);
	if (stat(p->path, &st) < 0)
		return say(p, PROBE_NOTHING, "%s: %s", p->path, strerror(errno));
	if (S_ISSOCK(st.st_mode))
		return open_socket(p);
	if (S_ISCHR(st.st_mode))
		return open_device(p);
	return say(p, PROBE_NOTHING, "%s is %s, neither a socket nor a vhost-vdpa device", p->path,
		   S_ISDIR(st.st_mode) ? "a directory" : S_ISREG(st.st_mode) ? "a regular file" :
		   "a special file");
}

/* A field of the configuration space, when its feature is offered and it can be read. */
static bool
read_config(struct probe *p, unsigned int feature, size_t offset, void *buf, uint32_t len)
{
	return p->dev.offered >> feature & 1 &&
	       vhost_get_config(&p->dev, (uint32_t)offset, buf, len) == 0;
}

static void
describe_config(struct probe *p)
{
	struct virtio_net_config c;
	char text[40];

#define HAS(feature, field) \
	read_config(p, (feature), offsetof(struct virtio_net_config, field), &c.field, \
		    sizeof(c.field))
	if (HAS(VIRTIO_NET_F_MAC, mac)) {
		snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", c.mac[0], c.mac[1],
			 c.mac[2], c.mac[3], c.mac[4], c.mac[5]);
		out_text("mac", text);
	}
	if (HAS(VIRTIO_NET_F_STATUS, status))
		out_text("link", le16toh(c.status) & VIRTIO_NET_S_LINK_UP ? "up" : "down");
	if (HAS(VIRTIO_NET_F_MTU, mtu))
		out_number("mtu", le16toh(c.mtu));
	if (HAS(VIRTIO_NET_F_SPEED_DUPLEX, speed) && c.speed != UINT32_MAX)
		out_number("speed", le32toh(c.speed));
#undef HAS
}

static void
describe_rings(struct probe *p)
{
	uint32_t vrings, most;

	if (vhost_get_queue_num(&p->dev, &vrings) == 0)
		out_number("queue pairs", vrings / 2);
	if (vhost_get_vring_max(&p->dev, 0, &most) == 0 && most != 0)
		out_number("ring size at most", most);
}

static void
describe_vdpa(struct probe *p)
{
	struct vhost_vdpa_info info = { 0 };
	uint32_t group[VHOST_MAX_VRINGS + 1], n = 0;
	uint64_t first = 0, last = 0;

	out_bits("backend features", p->dev.backend_offered, vhost_names_backend_feature);
	if (vhost_get_iova_range(&p->dev, &first, &last) == 0) {
		out_hex("iova first", first);
		out_hex("iova last", last);
	}
	vhost_vdpa_get_info(&p->dev, &info);
	if (info.vqs != 0)
		out_number("rings", info.vqs);
	if (info.config_size != 0)
		out_number("config bytes", info.config_size);
	if (info.address_spaces != 0)
		out_number("address spaces", info.address_spaces);
	while (n < info.vqs && n <= VHOST_MAX_VRINGS &&
	       vhost_get_vring_group(&p->dev, n, &group[n]) == 0)
		n++;
	if (n > 0)
		out_numbers("group of each ring", group, n);
}

void
probe_describe(struct probe *p)
{
	out_text("path", p->path);
	out_text("role", p->role);
	if (!vhost_dev_is_open(&p->dev))
		return;
	out_bits("features", p->dev.offered, vhost_names_feature);
	if (p->dev.ops == &vhost_user_ops) {
		out_bits("protocol features", p->dev.protocol_offered,
			 vhost_names_protocol_feature);
		out_number("memory slots", vhost_memslots_limit(&p->dev));
	} else {
		describe_vdpa(p);
	}
	describe_rings(p);
	describe_config(p);
}
