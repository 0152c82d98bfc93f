/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRING_FE_H
#define VRING_FE_H

#include "vring_role.h"

/* A port that drives a device. */
extern const struct vring_role vring_fe_role;

#endif /* VRING_FE_H */
