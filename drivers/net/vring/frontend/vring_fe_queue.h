/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRING_FE_QUEUE_H
#define VRING_FE_QUEUE_H

#include "vring_role.h"

extern const struct vring_queue_ops vring_fe_queue_ops;

#endif /* VRING_FE_QUEUE_H */
