/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests: commands of the stand-in's control queue, and what follows from them. */
#ifndef RIG_DEVICE_CVQ_H
#define RIG_DEVICE_CVQ_H

#include "rig_device_state.h"

/* All: with the lock. */

/* As after a reset: own address only, one queue. */
void standin_wishes_reset(struct standin *s);
/* Serve commands that wait. */
bool standin_cvq_serve(struct standin *s);
bool standin_wants(const struct standin *s, const struct rte_mbuf *m);
/* The queue for a packet that queue `from` sent. */
uint16_t standin_steer(const struct standin *s, const struct rte_mbuf *m, uint16_t from);
/* Leave a packet's hash in hash.rss, the kind of report in hash.fdir.hi. */
void standin_report(const struct standin *s, struct rte_mbuf *m);
/* Negotiated features, less offloads that are not in use now. */
uint64_t standin_in_use(const struct standin *s);

#endif /* RIG_DEVICE_CVQ_H */
