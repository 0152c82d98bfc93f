/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a port shows as its registers: 32-bit words, the same number of them from the probe on.
 * doc/guides/nics/vring.rst has the table.
 */
#ifndef VRING_REGS_H
#define VRING_REGS_H

#include <ethdev_driver.h>

/* Of the layout; what is added behind the last word of a part leaves it as it is. */
#define VRING_REGS_VERSION 1

/* Words of a port, then those of each vring, 0 first. */
enum vring_regs_word {
	VRING_REGS_ROLE,	/* 0: back-end, 1: front-end */
	VRING_REGS_STATE,	/* VRING_REGS_S_ */
	VRING_REGS_FEATURES_LO,
	VRING_REGS_FEATURES_HI,
	VRING_REGS_PROTOCOL_LO,
	VRING_REGS_PROTOCOL_HI,
	VRING_REGS_DEVICE_STATUS,
	VRING_REGS_VRINGS,	/* how many follow */
	VRING_REGS_PORT_WORDS
};

#define VRING_REGS_S_LINK	(1u << 0)
#define VRING_REGS_S_CONNECTED	(1u << 1)
#define VRING_REGS_S_STARTED	(1u << 2)
#define VRING_REGS_S_ADMIN_DOWN	(1u << 3)

enum vring_regs_ring_word {
	VRING_REGS_RING_STATE,	/* VRING_REGS_R_ */
	VRING_REGS_RING_SIZE,	/* entries, 0: it does not run */
	VRING_REGS_RING_AVAIL,	/* index that is next at this end; packed: wrap << 15 */
	VRING_REGS_RING_USED,
	VRING_REGS_RING_WAITING,	/* packets, or buffers for them, that wait in it */
	VRING_REGS_RING_ERROR,	/* enum virtq_error */
	VRING_REGS_RING_NOTIFIED,	/* notifications sent, low half */
	VRING_REGS_RING_SUPPRESSED,
	VRING_REGS_RING_WORDS
};

#define VRING_REGS_R_RUNS	(1u << 0)
#define VRING_REGS_R_ENABLED	(1u << 1)
#define VRING_REGS_R_PACKED	(1u << 2)
#define VRING_REGS_R_BROKEN	(1u << 3)

/* ethdev's get_reg. */
int vring_regs_get(struct rte_eth_dev *dev, struct rte_dev_reg_info *info);
/* All of them, which are `count`. 0 or -errno. */
typedef int (*vring_regs_fn)(struct rte_eth_dev *dev, uint32_t *word, uint32_t count);
int vring_regs_read(struct rte_eth_dev *dev, uint32_t *word, uint32_t count);
/* The same as vring_regs_get() by another way of reading them; any process. */
int vring_regs_get_by(struct rte_eth_dev *dev, struct rte_dev_reg_info *info, vring_regs_fn read);

#endif /* VRING_REGS_H */
