/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig_device_state.h"

void
standin_lock(struct standin *s)
{
	__atomic_fetch_add(&s->waiting, 1, __ATOMIC_RELAXED);
	pthread_mutex_lock(&s->lock);
	__atomic_fetch_sub(&s->waiting, 1, __ATOMIC_RELAXED);
}

void
standin_unlock(struct standin *s)
{
	pthread_mutex_unlock(&s->lock);
}
