/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Linked into every test with --wrap=close: closing a number that is not open ends the test. It
 * would have been somebody else's file, had it been used again meanwhile. -1 is nobody's.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int __real_close(int fd);
int __wrap_close(int fd);

/* A test may have one that waits, as a close() does that asks a server. */
void close_waits(int fd);

__attribute__((weak)) void
close_waits(int fd)
{
}

int
__wrap_close(int fd)
{
	int ret;

	close_waits(fd);
	ret = __real_close(fd);

	if (fd >= 0 && ret < 0 && errno == EBADF) {
		fprintf(stderr, "close(%d): not open; closed twice?\n", fd);
		abort();
	}
	return ret;
}
