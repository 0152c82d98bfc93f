/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Linked into every test program in front of cmocka's own _fail(): tells at once where an
 * assertion did not hold. cmocka keeps its message until the case has ended. It is lost when
 * another thread of the case ends the process first, by an assertion of its own or because its
 * port was closed.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

void
_fail(const char *const file, const int line)
{
	void (*next)(const char *, int) = dlsym(RTLD_NEXT, "_fail");

	fprintf(stderr, "# an assertion did not hold: %s:%d\n", file, line);
	if (next != NULL)
		next(file, line);
	abort();
}
