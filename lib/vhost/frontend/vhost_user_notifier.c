/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Host notifiers (vhost-user, VHOST_USER_BACKEND_VRING_HOST_NOTIFIER_MSG): a back-end with hardware
 * behind it offers a page for a ring, and the driver writes to it instead of kicking.
 *
 * An offer can come at any time, while bursts write to the former page. So a page stays mapped
 * until the owner unmaps it, and an offer is reported to the owner a moment later, from the loop.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vhost_user_session.h"

/*
 * Offers within this time are reported together. After each report the owner waits for all bursts
 * of the port, and its barrier interrupts every lcore: a flood of offers must not multiply that.
 */
#define REPORT_MS 10

#define NAME_BYTES 64		/* longer than any of the names below */

/* Devices whose drivers hand out notifiers: as they stand in /proc/devices. */
static const char *const drivers[] = { "vfio-dev", "infiniband_verbs", "vhost-vdpa" };
/* The same of a VFIO group, which is no node. A file of this name would have a path. */
static const char vfio_device[] = "anon_inode:[vfio-device]";

static void
drop_page(struct vhost_user_page *page)
{
	virtq_mem_map_put(page->map);
	*page = (struct vhost_user_page){ NULL, NULL };
}

static bool
is_driver_of_notifiers(unsigned int major)
{
	unsigned int number;
	char line[128], name[NAME_BYTES];
	bool found = false;
	FILE *f = fopen("/proc/devices", "re");

	while (f != NULL && !found && fgets(line, sizeof(line), f) != NULL) {
		/* Block devices have numbers of their own. */
		if (strncmp(line, "Block", 5) == 0)
			break;
		if (sscanf(line, "%u %63s", &number, name) != 2 || number != major)
			continue;
		for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++)
			found |= strcmp(name, drivers[i]) == 0;
	}
	if (f != NULL)
		fclose(f);
	return found;
}

/*
 * Whether a write to a page of this file never waits for the back-end. Most kinds of files are
 * ruled out, since a process can serve them. The checks must not wait either: the kernel itself
 * answers those used here.
 */
static bool
is_device(int fd)
{
	char proc[32], name[NAME_BYTES];
	struct statx st;
	ssize_t n;

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	n = readlink(proc, name, sizeof(name));
	if (n == sizeof(vfio_device) - 1 && memcmp(name, vfio_device, (size_t)n) == 0)
		return true;
	return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st) == 0 &&
	       S_ISCHR(st.stx_mode) && is_driver_of_notifiers(st.stx_rdev_major);
}

/*
 * Files in memory as well, which alone know seals: a back-end in software can poll a page instead
 * of an eventfd. It has no use for one on a disk, for which a burst would wait.
 */
static int
map_page(int fd, const struct vhu_vring_area *area, struct vhost_user_page *page)
{
	if (is_device(fd))
		return virtq_mem_map_device(fd, area->offset, &page->map, &page->addr);
	if (fcntl(fd, F_GET_SEALS) < 0)
		return -EINVAL;
	return virtq_mem_map_new(NULL, fd, area->offset, area->size, &page->map, &page->addr);
}

uint64_t
vhost_user_notifier_features(const struct vhost_dev *dev, uint64_t protocol)
{
	const uint64_t fds = VIRTQ_BIT(VHU_PF_BACKEND_REQ) | VIRTQ_BIT(VHU_PF_BACKEND_SEND_FD);
	const uint64_t notifier = VIRTQ_BIT(VHU_PF_HOST_NOTIFIER);

	/* Without a listener a notifier would stay unused, and the back-end would wait for it. */
	if (dev->events == NULL || dev->events->notifiers == NULL || (protocol & fds) != fds)
		protocol &= ~notifier;
	/* Nothing else comes with a descriptor. */
	return protocol & notifier ? protocol : protocol & ~VIRTQ_BIT(VHU_PF_BACKEND_SEND_FD);
}

static bool
is_sane(const struct vhost_user *u, const struct vhu_msg *msg)
{
	const struct vhu_vring_area *area = &msg->area;
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	if (!vhost_user_has(u->dev, VHU_PF_HOST_NOTIFIER) || msg->hdr.size != sizeof(*area) ||
	    (area->word & ~(VHU_FD_INDEX | VHU_FD_NONE)) ||
	    (area->word & VHU_FD_INDEX) >= u->vrings)
		return false;
	if (area->word & VHU_FD_NONE)
		return msg->nfds == 0;
	return msg->nfds == 1 && area->size == page && area->offset % page == 0;
}

bool
vhost_user_notifier_serve(struct vhost_user *u, struct vhu_msg *msg)
{
	struct vhost_user_page page = { NULL, NULL };
	const struct vhu_vring_area area = msg->area;
	struct vhost_user_notifier *own;

	if (!is_sane(u, msg))
		return false;
	if (!(area.word & VHU_FD_NONE) && map_page(msg->fds[0], &area, &page) < 0)
		return false;
	own = &u->notifier[area.word & VHU_FD_INDEX];
	drop_page(&own->offered);
	own->offered = page;
	if (u->notifiers_changed.at_ns == 0)
		evloop_timer_set(u->dev->loop, &u->notifiers_changed, REPORT_MS);
	return true;
}

void
vhost_user_notifier_forget(struct vhost_user *u, uint32_t index)
{
	if (index < VHOST_MAX_VRINGS)
		drop_page(&u->notifier[index].offered);
}

void
vhost_user_notifiers_forget(struct vhost_user *u)
{
	for (uint32_t i = 0; i < VHOST_MAX_VRINGS; i++)
		vhost_user_notifier_forget(u, i);
}

void
vhost_user_notifiers_free(struct vhost_user *u)
{
	evloop_timer_cancel(&u->notifiers_changed);
	vhost_user_notifiers_forget(u);
	for (uint32_t i = 0; i < VHOST_MAX_VRINGS; i++) {
		drop_page(&u->notifier[i].mapped[0]);
		drop_page(&u->notifier[i].mapped[1]);
	}
}

void
vhost_user_notifiers_report(struct evloop_timer *t)
{
	struct vhost_user *u = t->owner;
	const struct vhost_dev_events *ev = u->dev->events;

	/* The end of the session is reported by events->lost instead. */
	if (u->watch.fd >= 0)
		ev->notifiers(u->dev->ctx);
}

int
vhost_user_notifier_map(struct vhost_dev *dev, uint32_t index, void **notifier)
{
	struct vhost_user *u = dev->priv;
	struct vhost_user_page *mapped;
	struct vhost_user_notifier *own;

	if (index >= VHOST_MAX_VRINGS || u->notifier[index].offered.map == NULL)
		return vhost_dev_fail(dev, -EOPNOTSUPP, "ring %u has no notifier", index);
	own = &u->notifier[index];
	mapped = own->mapped[0].map == NULL ? &own->mapped[0] : &own->mapped[1];
	if (mapped->map != NULL)
		return vhost_dev_fail(dev, -EBUSY, "ring %u has its notifier mapped twice", index);
	*mapped = own->offered;
	virtq_mem_map_get(mapped->map);
	*notifier = mapped->addr;
	return 0;
}

void
vhost_user_notifier_unmap(struct vhost_dev *dev, uint32_t index, void *notifier)
{
	struct vhost_user *u = dev->priv;
	struct vhost_user_page *mapped = u->notifier[index].mapped;

	drop_page(mapped[0].addr == notifier ? &mapped[0] : &mapped[1]);
}

bool
vhost_user_notifier_lost(struct vhost_dev *dev, uint32_t index)
{
	struct vhost_user *u = dev->priv;
	const struct vhost_user_page *mapped = u->notifier[index].mapped;

	return virtq_mem_map_poisoned(mapped[0].map) || virtq_mem_map_poisoned(mapped[1].map);
}
