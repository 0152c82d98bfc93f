/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "virtq_notify.h"

#include <errno.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* Requests whose ends have not been collected; each thread collects its own once in a while. */
enum { MAX_EVENTS = 1024, COLLECT = 64 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static aio_context_t context;
static int unusable;	/* negative errno of io_setup(2) */

static void
aio_setup(void)
{
	unusable = syscall(__NR_io_setup, MAX_EVENTS, &context) == 0 ? 0 : -errno;
}

static void
aio_collect(void)
{
	struct io_event events[COLLECT];
	struct timespec now = {0, 0};

	syscall(__NR_io_getevents, context, 0L, (long)COLLECT, events, &now);
}

/*
 * A read of nothing from the eventfd itself: it fails at once, takes nothing from the counter, and
 * the kernel signals its end.
 */
static bool
signal_by_request(int fd)
{
	static __thread unsigned int pending;
	struct iocb read_nothing = {
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_fildes = (uint32_t)fd,
		.aio_flags = IOCB_FLAG_RESFD,
		.aio_resfd = (uint32_t)fd,
	};
	struct iocb *list = &read_nothing;

	if (++pending >= COLLECT) {
		pending = 0;
		aio_collect();
	}
	if (syscall(__NR_io_submit, context, 1L, &list) == 1)
		return true;
	aio_collect(); /* threads that come and go may leave ends behind */
	return syscall(__NR_io_submit, context, 1L, &list) == 1;
}

int
virtq_notify_init(void)
{
	pthread_once(&once, aio_setup);
	return unusable;
}

void
virtq_notify(int fd)
{
	const uint64_t one = 1;
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	if (fd < 0)
		return;
	if (virtq_notify_init() == 0 && signal_by_request(fd))
		return;
	/* No asynchronous requests on this kernel: as near as it gets. */
	if (poll(&p, 1, 0) == 1 && write(fd, &one, sizeof(one)) < 0)
		return;
}

bool
virtq_notify_take(int fd)
{
	uint64_t count;
	struct iovec v = { &count, sizeof(count) };

	return preadv2(fd, &v, 1, -1, RWF_NOWAIT) == (ssize_t)sizeof(count);
}
