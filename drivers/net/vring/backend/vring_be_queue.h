/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRING_BE_QUEUE_H
#define VRING_BE_QUEUE_H

#include "vring_role.h"

extern const struct vring_queue_ops vring_be_queue_ops;

#endif /* VRING_BE_QUEUE_H */
