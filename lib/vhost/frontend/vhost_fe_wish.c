/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost_fe_wish.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "vhost_fe_session.h"

/* Something that the owner wants, on its way to the loop. */
struct wish {
	struct vhost_fe *fe;
	int (*grant)(void *wish);	/* in the loop */
	const void *what;
	uint32_t n;
	bool on;
};

static int
grant_in_loop(void *arg)
{
	struct wish *wish = arg;

	vhost_dev_allow(wish->fe->dev, VHOST_FE_REQUEST_MS);
	return wish->grant(wish);
}

static int
make_wish(struct wish wish)
{
	return evloop_call(wish.fe->loop, grant_in_loop, &wish);
}

/* A device that does not answer is gone; it, or another, is told when it is back. */
static int
end_if_fatal(struct vhost_fe *fe, int rc)
{
	if (!vhost_dev_is_fatal(rc))
		return rc;
	vhost_fe_session_end(fe, fe->dev->why);
	return 0;
}

/* What a device refuses is not asked of the next one either. */
static int
mode_in_loop(struct vhost_fe *fe, bool *mode, bool on)
{
	const bool old = *mode;
	int rc;

	*mode = on;
	rc = end_if_fatal(fe, vhost_fe_cvq_rx_mode(fe));
	if (rc != 0)
		*mode = old;
	return rc;
}

static int
promisc_in_loop(void *arg)
{
	const struct wish *wish = arg;

	return mode_in_loop(wish->fe, &wish->fe->promisc, wish->on);
}

int
vhost_fe_wish_promisc(struct vhost_fe *fe, bool on)
{
	return make_wish((struct wish){ .fe = fe, .grant = promisc_in_loop, .on = on });
}

static int
allmulti_in_loop(void *arg)
{
	const struct wish *wish = arg;

	return mode_in_loop(wish->fe, &wish->fe->allmulti, wish->on);
}

int
vhost_fe_wish_allmulti(struct vhost_fe *fe, bool on)
{
	return make_wish((struct wish){ .fe = fe, .grant = allmulti_in_loop, .on = on });
}

/* A device that cannot be told its address would go on filtering for the old one. */
static bool
mac_is_fixed(const struct vhost_fe *fe)
{
	return fe->vdpa && fe->connected &&
	       !vhost_fe_session_commands(fe, VIRTIO_NET_F_CTRL_MAC_ADDR);
}

/* The tap and the port have one address. */
static int
set_tap_address(struct vhost_fe *fe)
{
	const uint32_t place = offsetof(struct virtio_net_config, mac);

	if (!fe->net || !fe->connected)
		return 0;
	return vhost_set_config(fe->dev, place, fe->mac.addr, sizeof(fe->mac.addr), 0);
}

static int
mac_in_loop(void *arg)
{
	const struct wish *wish = arg;
	struct vhost_fe *fe = wish->fe;
	const struct vhost_fe_mac old = fe->mac;
	int rc;

	if (mac_is_fixed(fe))
		return -ENOTSUP;
	fe->mac = *(const struct vhost_fe_mac *)wish->what;
	rc = end_if_fatal(fe, vhost_fe_cvq_mac(fe));
	if (rc == 0)
		rc = end_if_fatal(fe, set_tap_address(fe));
	if (rc != 0)
		fe->mac = old;
	else
		fe->mac_given = true;
	return rc;
}

int
vhost_fe_wish_mac(struct vhost_fe *fe, const struct vhost_fe_mac *mac)
{
	return make_wish((struct wish){ .fe = fe, .grant = mac_in_loop, .what = mac });
}

/* A back-end whose rings do not run yet hears of it with them. */
static int
mtu_in_loop(void *arg)
{
	const struct wish *wish = arg;
	struct vhost_fe *fe = wish->fe;
	const uint16_t old = fe->mtu;
	int rc = 0;

	fe->mtu = (uint16_t)wish->n;
	if (fe->running && !fe->lost)
		rc = end_if_fatal(fe, vhost_net_set_mtu(fe->dev, fe->mtu));
	if (rc == 0 || rc == -EOPNOTSUPP)
		return 0;
	fe->mtu = old;
	return rc;
}

int
vhost_fe_wish_mtu(struct vhost_fe *fe, uint16_t mtu)
{
	return make_wish((struct wish){ .fe = fe, .grant = mtu_in_loop, .n = mtu });
}

static int
unicast_in_loop(void *arg)
{
	const struct wish *wish = arg;
	struct vhost_fe *fe = wish->fe;
	struct vhost_fe_mac *entry = &fe->unicast[wish->n];
	const struct vhost_fe_mac old = *entry;
	int rc;

	*entry = *(const struct vhost_fe_mac *)wish->what;
	rc = end_if_fatal(fe, vhost_fe_cvq_mac_table(fe));
	if (rc != 0)
		*entry = old;
	return rc;
}

int
vhost_fe_wish_unicast(struct vhost_fe *fe, uint32_t index, const struct vhost_fe_mac *mac)
{
	return make_wish((struct wish){ .fe = fe, .grant = unicast_in_loop, .what = mac,
					.n = index });
}

static int
multicast_in_loop(void *arg)
{
	const struct wish *wish = arg;
	struct vhost_fe *fe = wish->fe;
	struct vhost_fe_mac old[VHOST_FE_CMD_MACS];
	const uint32_t nold = fe->nmulticast;
	int rc;

	if (wish->n > VHOST_FE_CMD_MACS)
		return -ENOSPC;
	memcpy(old, fe->multicast, sizeof(old));
	if (wish->n > 0)
		memcpy(fe->multicast, wish->what, wish->n * sizeof(fe->multicast[0]));
	fe->nmulticast = wish->n;
	rc = end_if_fatal(fe, vhost_fe_cvq_mac_table(fe));
	if (rc != 0) {
		memcpy(fe->multicast, old, sizeof(old));
		fe->nmulticast = nold;
	}
	return rc;
}

int
vhost_fe_wish_multicast(struct vhost_fe *fe, const struct vhost_fe_mac *mac, uint32_t n)
{
	return make_wish((struct wish){ .fe = fe, .grant = multicast_in_loop, .what = mac,
					.n = n });
}

static int
vlan_in_loop(void *arg)
{
	const struct wish *wish = arg;
	struct vhost_fe *fe = wish->fe;
	const uint64_t bit = VIRTQ_BIT(wish->n % 64);
	uint64_t *word = &fe->vlan[wish->n / 64];
	int rc = end_if_fatal(fe, vhost_fe_cvq_vlan(fe, (uint16_t)wish->n, wish->on));

	if (rc == 0)
		*word = wish->on ? *word | bit : *word & ~bit;
	return rc;
}

int
vhost_fe_wish_vlan(struct vhost_fe *fe, uint16_t id, bool on)
{
	return make_wish((struct wish){ .fe = fe, .grant = vlan_in_loop, .n = id, .on = on });
}

/* Hash types, key and table; refused by the device they stay as they were. */
static int
rss_in_loop(void *arg)
{
	const struct wish *wish = arg;
	struct vhost_fe *fe = wish->fe;
	const struct vhost_fe_rss old = fe->rss;
	int rc;

	fe->rss = *(const struct vhost_fe_rss *)wish->what;
	rc = end_if_fatal(fe, vhost_fe_cvq_rss(fe));
	if (rc != 0)
		fe->rss = old;
	return rc;
}

int
vhost_fe_wish_rss(struct vhost_fe *fe, const struct vhost_fe_rss *rss)
{
	return make_wish((struct wish){ .fe = fe, .grant = rss_in_loop, .what = rss });
}
