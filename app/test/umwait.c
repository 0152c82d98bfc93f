/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For tests of power management on a processor without UMWAIT: has an application wait as if there
 * were one, and say each time that a store has ended a wait. It is loaded before the application's
 * libraries (LD_PRELOAD). An lcore that waits looks at the address from time to time, and sleeps in
 * between.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include <rte_cpuflags.h>
#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_power_intrinsics.h>

enum {
	LOOK_US = 500,
	LIMIT_US = 100000,	/* where nobody stores; that of Linux is far less */
};

static unsigned int woken[RTE_MAX_LCORE];

static uint64_t
load(const struct rte_power_monitor_cond *cond)
{
	switch (cond->size) {
	case sizeof(uint8_t):
		return __atomic_load_n((const volatile uint8_t *)cond->addr, __ATOMIC_ACQUIRE);
	case sizeof(uint16_t):
		return __atomic_load_n((const volatile uint16_t *)cond->addr, __ATOMIC_ACQUIRE);
	case sizeof(uint32_t):
		return __atomic_load_n((const volatile uint32_t *)cond->addr, __ATOMIC_ACQUIRE);
	default:
		return __atomic_load_n((const volatile uint64_t *)cond->addr, __ATOMIC_ACQUIRE);
	}
}

void
rte_cpu_get_intrinsics_support(struct rte_cpu_intrinsics *intrinsics)
{
	*intrinsics = (struct rte_cpu_intrinsics){ .power_monitor = 1 };
}

int
rte_power_monitor(const struct rte_power_monitor_cond *cond, const uint64_t until)
{
	const unsigned int lcore = rte_lcore_id();
	const uint64_t before = load(cond);

	if (cond->fn(before, cond->opaque) != 0)
		return 0;
	for (int waited = 0; load(cond) == before; waited += LOOK_US) {
		if (waited >= LIMIT_US || rte_rdtsc() >= until ||
		    __atomic_exchange_n(&woken[lcore], 0, __ATOMIC_ACQUIRE) != 0)
			return 0;
		usleep(LOOK_US);
	}
	printf("umwait: lcore %u is woken by a store\n", lcore);
	return 0;
}

int
rte_power_monitor_wakeup(const unsigned int lcore)
{
	if (lcore >= RTE_MAX_LCORE)
		return -EINVAL;
	__atomic_store_n(&woken[lcore], 1, __ATOMIC_RELEASE);
	return 0;
}
