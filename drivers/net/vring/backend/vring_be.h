/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRING_BE_H
#define VRING_BE_H

#include "vring_role.h"

extern const struct vring_role vring_be_role;

#endif /* VRING_BE_H */
