/* SPDX-License-Identifier: BSD-3-Clause */
/* What a device is told from its features to the start of its rings, and right after it. */
#include <errno.h>

#include "vhost_fe_session.h"
#include "vhost_uapi.h"

/*
 * Enable rings and start the device. What is replayed has to be in force before packets flow, yet
 * needs a device that runs; where rings cannot be enabled late they are enabled first.
 */
static int
start_device(struct vhost_fe *fe)
{
	const bool late = fe->dev->backend & VIRTQ_BIT(VHOST_BACKEND_F_ENABLE_AFTER_DRIVER_OK);
	int rc = 0;

	if (fe->cvq.ring != NULL)
		rc = vhost_set_vring_enable(fe->dev, fe->cvq.qid, true);
	if (rc == 0 && !late)
		rc = vhost_fe_rings_enable(fe);
	if (rc == 0)
		rc = vhost_dev_start(fe->dev, true);
	if (rc == 0)
		rc = vhost_fe_cvq_replay(fe);
	if (rc == 0 && late)
		rc = vhost_fe_rings_enable(fe);
	return rc;
}

int
vhost_fe_setup_link(struct vhost_fe *fe)
{
	bool announce;
	int rc = vhost_fe_features_link(fe, &announce);

	if (rc != 0 || !announce)
		return rc;
	vhost_fe_rings_announce(fe);
	return vhost_fe_cvq_announced(fe);
}

/* One that a back-end refuses costs frames of that size, and not all others as well. */
static int
set_mtu(struct vhost_fe *fe)
{
	int rc = fe->mtu == 0 ? 0 : vhost_net_set_mtu(fe->dev, fe->mtu);

	if (rc == -EIO)
		vhost_fe_session_log(fe, VHOST_LOG_WARNING, "the back-end refuses an MTU of %u "
				     "bytes: it may drop larger frames", fe->mtu);
	return vhost_dev_is_fatal(rc) ? rc : 0;
}

int
vhost_fe_setup_address(struct vhost_fe *fe)
{
	int rc;

	if (!fe->moved)
		return 0;
	fe->moved = false;
	rc = vhost_migration_done(fe->dev, fe->mac.addr);
	return vhost_dev_is_fatal(rc) ? rc : 0;
}

int
vhost_fe_setup_rings(struct vhost_fe *fe)
{
	uint64_t features;
	int rc;

	fe->ops->wants(fe->ctx, &fe->wants);
	features = vhost_fe_features_choose(fe);
	rc = vhost_set_features(fe->dev, features);
	if (rc != 0)
		return rc;
	fe->features = features;
	fe->ops->features(fe->ctx, features);
	fe->in_use = vhost_fe_features_pairs(fe);
	rc = vhost_fe_rings_probe(fe);
	if (rc == 0)
		rc = set_mtu(fe);
	if (rc == 0)
		rc = fe->ops->mem_give(fe->ctx, fe->dev);
	if (rc == 0)
		rc = vhost_fe_rings_up(fe);
	if (rc == 0)
		rc = vhost_fe_cvq_up(fe);
	if (rc == 0)
		rc = start_device(fe);
	if (rc == 0)
		rc = vhost_fe_log_begin(fe);
	return rc == 0 ? vhost_fe_setup_link(fe) : rc;
}
