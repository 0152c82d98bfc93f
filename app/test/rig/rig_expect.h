/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests with threads: what one of them finds wrong. */
#ifndef RIG_EXPECT_H
#define RIG_EXPECT_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A thread cannot leave a test. What is wrong first stays in `failed`, an atomic word of *b, as a
 * line number, and ends the run.
 */
#define EXPECT(b, cond) \
	do { \
		uint32_t none_ = 0; \
		if (!(cond)) \
			__atomic_compare_exchange_n(&(b)->failed, &none_, __LINE__, false, \
						    __ATOMIC_RELAXED, __ATOMIC_RELAXED); \
	} while (0)

#endif /* RIG_EXPECT_H */
