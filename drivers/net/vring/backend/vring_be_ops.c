/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ethdev operations that a back-end has besides: what is hashed. A guest chooses the queue of each
 * of its packets, so the hash is told and decides nothing.
 */

#include <errno.h>

#include "vring_be_ops.h"
#include "vring_ethdev.h"
#include "vring_log.h"
#include "vring_port.h"
#include "vring_rss.h"
#include "vring_rxmode.h"

static int
be_rss_update(struct rte_eth_dev *dev, struct rte_eth_rss_conf *conf)
{
	struct vring_port *port = dev->data->dev_private;
	struct vnet_hash hash = port->hash;

	if (conf->rss_key != NULL && conf->rss_key_len != VNET_HASH_KEY) {
		VRING_LOG(ERR, port->name, "a key for hashes of %u bytes: allowed are %u",
			  conf->rss_key_len, VNET_HASH_KEY);
		return -EINVAL;
	}
	if (conf->rss_key != NULL)
		vnet_hash_set_key(&hash, conf->rss_key);
	hash.types = vring_rss_types(conf->rss_hf) & VNET_HASH_TYPES;
	return vring_rxmode_hash_set(port, &hash);
}

static int
be_rss_get(struct rte_eth_dev *dev, struct rte_eth_rss_conf *conf)
{
	const struct vring_port *port = dev->data->dev_private;

	if (conf->rss_key != NULL && conf->rss_key_len >= VNET_HASH_KEY)
		vnet_hash_get_key(&port->hash, conf->rss_key);
	conf->rss_key_len = VNET_HASH_KEY;
	conf->rss_hf = vring_rss_hf(port->hash.types);
	return 0;
}

/* What is hashed and how is the new configuration's. */
static int
be_configure(struct rte_eth_dev *dev)
{
	struct rte_eth_rss_conf conf = dev->data->dev_conf.rx_adv_conf.rss_conf;
	uint8_t key[VNET_HASH_KEY];
	int rc;

	/* Who wants no hashes may have a key of any length. */
	vring_rss_default_key(key, sizeof(key));
	if (conf.rss_key == NULL || conf.rss_hf == 0) {
		conf.rss_key = key;
		conf.rss_key_len = sizeof(key);
	}
	rc = be_rss_update(dev, &conf);
	return rc != 0 ? rc : vring_ethdev_ops.dev_configure(dev);
}

static struct eth_dev_ops be_ops;

RTE_INIT(vring_be_ops_init)
{
	be_ops = vring_ethdev_ops;
	be_ops.dev_configure = be_configure;
	be_ops.rss_hash_update = be_rss_update;
	be_ops.rss_hash_conf_get = be_rss_get;
}

const struct eth_dev_ops *
vring_be_ops(void)
{
	return &be_ops;
}
