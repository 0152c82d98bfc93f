/* SPDX-License-Identifier: BSD-3-Clause */
/* What devices of either kind share: reasons, and the steps of the device status. */
#include "vhost_dev.h"

#include <linux/virtio_config.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void
vhost_dev_init(struct vhost_dev *dev, struct evloop *loop,
	       const struct vhost_dev_events *events, void *ctx)
{
	*dev = (struct vhost_dev){
		.loop = loop,
		.events = events,
		.ctx = ctx,
		.timeout_ms = VHOST_TIMEOUT_MS,
		.hurry_fd = -1,
		.protocol_mask = UINT64_MAX,
		.backend_mask = UINT64_MAX,
	};
}

void
vhost_dev_opened(struct vhost_dev *dev, const struct vhost_ops *ops, void *priv)
{
	dev->ops = ops;
	dev->priv = priv;
	dev->offered = dev->features = 0;
	dev->protocol_offered = dev->protocol = 0;
	dev->backend_offered = dev->backend = 0;
	dev->status = 0;
}

void
vhost_dev_close(struct vhost_dev *dev)
{
	if (dev->ops == NULL)
		return;
	dev->ops->cleanup(dev);
	dev->ops = NULL;
	dev->priv = NULL;
	dev->features = 0;
	dev->status = 0;
}

int
vhost_dev_fail(struct vhost_dev *dev, int rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(dev->why, sizeof(dev->why), fmt, ap);
	va_end(ap);
	return rc;
}

void
vhost_dev_allow(struct vhost_dev *dev, uint32_t ms)
{
	dev->allowed_ms = ms;
	dev->end_ns = ms == 0 ? 0 : evloop_now_ns() + ms * UINT64_C(1000000);
	dev->hurried = false;
}

uint64_t
vhost_dev_deadline(const struct vhost_dev *dev, uint32_t ms)
{
	const uint64_t end = evloop_now_ns() + ms * UINT64_C(1000000);

	return dev->end_ns != 0 && dev->end_ns < end ? dev->end_ns : end;
}

void
vhost_dev_hurry(struct vhost_dev *dev)
{
	struct pollfd p = { .fd = dev->hurry_fd, .events = POLLIN };

	if (dev->hurried || dev->hurry_fd < 0 || poll(&p, 1, 0) != 1)
		return;
	dev->hurried = true;
	dev->end_ns = vhost_dev_deadline(dev, VHOST_HURRY_MS);
}

void
vhost_dev_late(struct vhost_dev *dev, const char *request)
{
	if (!vhost_dev_is_late(dev))
		vhost_dev_fail(dev, 0, "the back-end did not answer %s within %u ms", request,
			       dev->timeout_ms);
	else if (dev->hurried)
		vhost_dev_fail(dev, 0, "the back-end had not answered %s when it was not waited "
			       "for any longer", request);
	else
		vhost_dev_fail(dev, 0, "the back-end took more than %u ms in all, up to %s",
			       dev->allowed_ms, request);
}

int
vhost_dev_missing(struct vhost_dev *dev, const char *operation)
{
	if (dev->ops == NULL)
		return -ENOTCONN; /* why it was closed is worth more than that it is */
	return vhost_dev_fail(dev, -EOPNOTSUPP, "%s has no %s", dev->ops->name, operation);
}

/*
 * VIRTIO 1.2, 3.1.1: bits are added one step at a time. Those that the device has set meanwhile
 * (NEEDS_RESET) may not be taken away either.
 */
static int
status_add(struct vhost_dev *dev, uint8_t bits)
{
	uint8_t status = 0;
	int rc = dev->ops->get_status(dev, &status);

	return rc == 0 ? dev->ops->set_status(dev, status | bits) : rc;
}

int
vhost_dev_status_driver(struct vhost_dev *dev)
{
	int rc = 0;

	if (!(dev->status & VIRTIO_CONFIG_S_ACKNOWLEDGE))
		rc = status_add(dev, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	if (rc == 0 && !(dev->status & VIRTIO_CONFIG_S_DRIVER))
		rc = status_add(dev, VIRTIO_CONFIG_S_DRIVER);
	return rc;
}

int
vhost_dev_status_features_ok(struct vhost_dev *dev)
{
	uint8_t status = 0;
	int rc = status_add(dev, VIRTIO_CONFIG_S_FEATURES_OK);

	if (rc == 0)
		rc = dev->ops->get_status(dev, &status);
	if (rc == 0 && !(status & VIRTIO_CONFIG_S_FEATURES_OK))
		rc = vhost_dev_fail(dev, -EINVAL, "the device does not work with features 0x%llx: "
				    "FEATURES_OK did not stay", (unsigned long long)dev->features);
	return rc;
}

int
vhost_dev_status_driver_ok(struct vhost_dev *dev)
{
	const uint8_t bad = VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED;
	uint8_t status = 0;
	int rc = status_add(dev, VIRTIO_CONFIG_S_DRIVER_OK);

	if (rc == 0)
		rc = dev->ops->get_status(dev, &status);
	if (rc == 0 && (!(status & VIRTIO_CONFIG_S_DRIVER_OK) || (status & bad)))
		rc = vhost_dev_fail(dev, -EIO, "the device did not start: its status is 0x%02x",
				    status);
	return rc;
}
