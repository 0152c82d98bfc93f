/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Linked into every test with --wrap=_cmocka_run_group_tests: an argument is the name of the cases
 * to run, or a pattern in the shell's syntax. --list prints the names instead.
 */
#include <fnmatch.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

int __real__cmocka_run_group_tests(const char *group, const struct CMUnitTest *tests, size_t n,
				   CMFixtureFunction setup, CMFixtureFunction teardown);
int __wrap__cmocka_run_group_tests(const char *group, const struct CMUnitTest *tests, size_t n,
				   CMFixtureFunction setup, CMFixtureFunction teardown);

static const char *argument;	/* NULL: all cases */

/* The C library hands the arguments of main() to constructors as well. */
__attribute__((constructor)) static void
note_argument(int argc, char **argv)
{
	if (argc > 1)
		argument = argv[1];
}

static int
list(const struct CMUnitTest *tests, size_t n)
{
	for (size_t i = 0; i < n; i++)
		puts(tests[i].name);
	return 0;
}

int
__wrap__cmocka_run_group_tests(const char *group, const struct CMUnitTest *tests, size_t n,
			       CMFixtureFunction setup, CMFixtureFunction teardown)
{
	struct CMUnitTest *chosen;
	size_t m = 0;
	int ret;

	if (argument == NULL)
		return __real__cmocka_run_group_tests(group, tests, n, setup, teardown);
	if (strcmp(argument, "--list") == 0)
		return list(tests, n);
	chosen = malloc(n * sizeof(*chosen));
	if (chosen == NULL)
		abort();
	for (size_t i = 0; i < n; i++)
		if (fnmatch(argument, tests[i].name, 0) == 0)
			chosen[m++] = tests[i];
	if (m > 0) {
		ret = __real__cmocka_run_group_tests(group, chosen, m, setup, teardown);
	} else {
		fprintf(stderr, "no case '%s'; --list prints their names\n", argument);
		ret = EXIT_FAILURE;
	}
	free(chosen);
	return ret;
}
