/* SPDX-License-Identifier: BSD-3-Clause */
/* Devices of the kernel, which a session opens by itself and which go without a word. */
#include <string.h>
#include <sys/stat.h>

#include "vhost_fe_session.h"

/* What tells the device at the path from another that takes its place. */
static ino_t
node_at(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_ino : 0;
}

/*
 * A tap that is made anew has the port's address, whosever that was when the port took the former
 * one over.
 */
static int
open_net(struct vhost_fe *fe)
{
	struct vhost_tap_config tap = {
		.queues = fe->pairs,
		.mac_given = fe->mac_given || fe->connects > 0,
	};
	int rc;

	memcpy(tap.name, fe->tap, sizeof(tap.name));
	memcpy(tap.mac, fe->mac.addr, sizeof(tap.mac));
	rc = vhost_net_open(fe->dev, fe->path, &tap, NULL);
	if (rc == 0)
		vhost_fe_session_log(fe, VHOST_LOG_NOTICE, "the kernel's end is interface %s",
				     vhost_net_ifname(fe->dev));
	return rc;
}

int
vhost_fe_kernel_open(struct vhost_fe *fe)
{
	return fe->net ? open_net(fe) : vhost_vdpa_open(fe->dev, fe->path, NULL);
}

void
vhost_fe_kernel_mark(struct vhost_fe *fe)
{
	fe->node = fe->vdpa ? node_at(fe->path) : 0;
}

/* The kernel tells nobody that a vDPA device goes, and waits until we have let go of it. */
bool
vhost_fe_kernel_gone(const struct vhost_fe *fe)
{
	return fe->vdpa && node_at(fe->path) != fe->node;
}
