/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests: the stand-in asleep. */
#ifndef RIG_DEVICE_KICK_H
#define RIG_DEVICE_KICK_H

#include "rig_device_state.h"

/* Wait until there may be something to do. Without the lock. */
void standin_doze(struct standin *s);

#endif /* RIG_DEVICE_KICK_H */
