/* SPDX-License-Identifier: BSD-3-Clause */
/* ISA levels of x86-64: those that are offered are those that this processor can run. */
#include <cpuid.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vnet_isa.h"

/* What the compiler may use for a level is asked of it, not of our table. */
static void
processor_has_what_is_offered(void **state)
{
	unsigned int eax, ebx, leaf1 = 0, ext1 = 0, edx;
	const unsigned int due = bit_MOVBE | bit_F16C | bit_OSXSAVE;
	bool v3;

	__get_cpuid(1, &eax, &ebx, &leaf1, &edx);
	__get_cpuid(0x80000001, &eax, &ebx, &ext1, &edx);
	v3 = (leaf1 & due) == due && (ext1 & bit_ABM) != 0 && __builtin_cpu_supports("avx2") &&
	     __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
	     __builtin_cpu_supports("bmi2");

	assert_string_equal(vnet_isa_at(0)->name, "x86-64-v2");
	assert_int_equal(vnet_isa_at(1) != NULL, v3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(processor_has_what_is_offered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
