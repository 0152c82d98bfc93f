/* SPDX-License-Identifier: BSD-3-Clause */
/* Devices of the kernel, which a session opens by itself and which go without a word. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "vhost_fe_session.h"

#define MOST_AGAIN_MS 5000

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
	if (rc != 0 || strcmp(fe->interface, vhost_net_ifname(fe->dev)) == 0)
		return rc;
	snprintf(fe->interface, sizeof(fe->interface), "%s", vhost_net_ifname(fe->dev));
	vhost_fe_session_log(fe, VHOST_LOG_NOTICE, "the kernel's end is interface %s",
			     fe->interface);
	return 0;
}

/* An interface comes and goes with each attempt, which others hear of. */
uint32_t
vhost_fe_kernel_delay(struct vhost_fe *fe, bool healthy)
{
	const uint32_t twice = 2 * fe->again_ms;

	if (healthy || !fe->net || fe->again_ms == 0)
		fe->again_ms = fe->reconnect_ms;
	else
		fe->again_ms = twice < MOST_AGAIN_MS ? twice : MOST_AGAIN_MS;
	return fe->again_ms;
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
