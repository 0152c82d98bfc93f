/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "virtq_sigbus.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MAX_RANGES = 16384 };

/*
 * Entries are claimed under the lock and read by the handler without it. A handler looks at all of
 * them, also at ranges of other peers. Therefore whoever removes a range waits until every handler
 * that may still see it has returned.
 */
static struct virtq_sigbus_range *ranges[MAX_RANGES];
static uint32_t nranges;	/* entries of ranges[] ever used */
static uint32_t looking;	/* handlers in sigbus_repair() */
static pthread_mutex_t ranges_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction former;

static bool
sigbus_repair(void *fault)
{
	uint32_t n = __atomic_load_n(&nranges, __ATOMIC_ACQUIRE);

	for (uint32_t i = 0; i < n; i++) {
		struct virtq_sigbus_range *r = __atomic_load_n(&ranges[i], __ATOMIC_SEQ_CST);
		uintptr_t at = (uintptr_t)fault;

		if (r == NULL || at - (uintptr_t)r->start >= r->length)
			continue;
		__atomic_store_n(&r->poisoned, true, __ATOMIC_RELAXED);
		/* The system call itself: nothing of a library, or a tool, runs in a handler. */
		return syscall(SYS_mmap, at & ~(r->unit - 1), r->unit, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != -1;
	}
	return false;
}

static void
on_sigbus(int sig, siginfo_t *info, void *context)
{
	int saved = errno;
	bool ours;

	/* Pairs with the loads in virtq_sigbus_remove(). */
	__atomic_add_fetch(&looking, 1, __ATOMIC_SEQ_CST);
	ours = sigbus_repair(info->si_addr);
	__atomic_sub_fetch(&looking, 1, __ATOMIC_RELEASE);
	errno = saved;
	if (ours)
		return;
	if (former.sa_flags & SA_SIGINFO)
		former.sa_sigaction(sig, info, context);
	else if (former.sa_handler != SIG_DFL && former.sa_handler != SIG_IGN)
		former.sa_handler(sig);
	else
		sigaction(SIGBUS, &former, NULL); /* the access repeats and ends as it used to */
}

/* With each mapping anew: a handler that came after ours would take the faults we wait for. */
static int
sigbus_install(void)
{
	struct sigaction sa = {.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER}, now;

	if (sigaction(SIGBUS, NULL, &now) < 0)
		return -errno;
	if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_sigbus)
		return 0;
	former = now;
	sa.sa_sigaction = on_sigbus;
	sigemptyset(&sa.sa_mask);
	return sigaction(SIGBUS, &sa, NULL) < 0 ? -errno : 0;
}

int
virtq_sigbus_add(struct virtq_sigbus_range *range)
{
	int rc;
	uint32_t i;

	pthread_mutex_lock(&ranges_lock);
	rc = sigbus_install();
	for (i = 0; i < nranges && ranges[i] != NULL; i++)
		;
	if (rc == 0 && i == MAX_RANGES)
		rc = -ENOSPC;
	if (rc == 0) {
		__atomic_store_n(&ranges[i], range, __ATOMIC_RELEASE);
		if (i == nranges)
			__atomic_store_n(&nranges, i + 1, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&ranges_lock);
	return rc;
}

void
virtq_sigbus_remove(struct virtq_sigbus_range *range)
{
	pthread_mutex_lock(&ranges_lock);
	for (uint32_t i = 0; i < nranges; i++)
		if (ranges[i] == range)
			__atomic_store_n(&ranges[i], NULL, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&ranges_lock);
	/* A handler that is running may have read the entry; later ones find it empty. */
	while (__atomic_load_n(&looking, __ATOMIC_SEQ_CST) != 0)
		sched_yield();
}
