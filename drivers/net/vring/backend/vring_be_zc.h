/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Zero-copy receive as the control thread sees it.
 */
#ifndef VRING_BE_ZC_H
#define VRING_BE_ZC_H

#include <stdint.h>

#include "vring_port.h"

void vring_be_zc_open(struct vring_port *port);
/* All rings have ended. */
void vring_be_zc_close(struct vring_port *port);
/* Vring qid is about to get a ring (NULL: to stop), which is not published yet. */
void vring_be_zc_begin(struct vring_port *port, uint16_t qid, const struct virtq_ring *ring);
/* It has been published; `old`, which still exists, is what the vring had before. */
void vring_be_zc_follow(struct vring_port *port, uint16_t qid, const struct virtq_ring *old);

#endif /* VRING_BE_ZC_H */
