/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "virtq_sigbus.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Entries come in pieces that stay where they are, since the handler reads them without a lock. */
enum { PIECE = 1024, MAX_PIECES = 1024 };

/*
 * Entries are claimed under the lock and read by the handler without it. A handler looks at all of
 * them, also at ranges of other peers. Therefore whoever removes a range waits until every handler
 * that may still see it has returned.
 */
static struct virtq_sigbus_range **pieces[MAX_PIECES];
static uint32_t nranges;	/* entries ever used */
static uint32_t first_free;	/* no entry below is free */
static uint32_t looking;	/* handlers in sigbus_repair() */
static pthread_mutex_t ranges_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction former;
static bool installed;
static const void *passing_by;	/* the library whose handlers come and go; NULL: none */
/*
 * How often this thread's fault was passed on. A handler that was installed after ours and knows
 * ours as its former one passes the fault back; one that leaves by longjmp() is not seen to end.
 */
enum { MAX_PASSING = 16 };
static __thread unsigned int passing __attribute__((tls_model("initial-exec")));

static struct virtq_sigbus_range **
entry_at(uint32_t i)
{
	return &pieces[i / PIECE][i % PIECE];
}

/*
 * The first fault of a range. Whoever undoes the last mapping of a file frees its pages, which may
 * take long: another one is left for virtq_sigbus_remove()'s caller.
 */
static void
first_fault(struct virtq_sigbus_range *r)
{
	long keep = syscall(SYS_mremap, r->start, 0, r->unit, MREMAP_MAYMOVE);
	const uint64_t one = 1;

	if (keep != -1)
		__atomic_store_n(&r->keep, (void *)keep, __ATOMIC_RELAXED);
	/* A counter that is full wakes as well. */
	if (r->wakefd >= 0)
		syscall(SYS_write, r->wakefd, &one, sizeof(one));
}

/*
 * From the page of the fault to the end of the range: what lies behind the end of a file was taken
 * from the page table when the file was cut, so this costs no more than one page would. The
 * mapping has two parts then, whatever page is touched next; page by page it would have as many as
 * there are pages, and a process can have 65,530 in all. What precedes the cut is still the file's,
 * and giving it back may take long.
 */
static bool
sigbus_repair(uintptr_t at)
{
	uint32_t n = __atomic_load_n(&nranges, __ATOMIC_ACQUIRE);

	for (uint32_t i = 0; i < n; i++) {
		struct virtq_sigbus_range *r = __atomic_load_n(entry_at(i), __ATOMIC_SEQ_CST);
		uintptr_t page;

		if (r == NULL || at - (uintptr_t)r->start >= r->length)
			continue;
		page = at & ~(uintptr_t)(r->unit - 1);
		if (!__atomic_exchange_n(&r->poisoned, true, __ATOMIC_RELAXED))
			first_fault(r);
		/* The system call itself: nothing of a library, or a tool, runs in a handler. */
		return syscall(SYS_mmap, page, (uintptr_t)r->start + r->length - page,
			       PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) !=
		       -1;
	}
	return false;
}

/* A fault that is not ours, to whom it would have gone without us. */
static void
pass_on(int sig, siginfo_t *info, void *context)
{
	const bool circle = passing >= MAX_PASSING;

	passing++;
	if (!circle && (former.sa_flags & SA_SIGINFO))
		former.sa_sigaction(sig, info, context);
	else if (!circle && former.sa_handler != SIG_DFL && former.sa_handler != SIG_IGN)
		former.sa_handler(sig);
	else if (circle)
		signal(SIGBUS, SIG_DFL); /* nobody repairs it: the access repeats and ends it */
	else
		sigaction(SIGBUS, &former, NULL); /* the access repeats and ends as it used to */
	passing--;
}

static void
on_sigbus(int sig, siginfo_t *info, void *context)
{
	int saved = errno;
	bool ours;

	/* Pairs with the loads in virtq_sigbus_remove(). */
	__atomic_add_fetch(&looking, 1, __ATOMIC_SEQ_CST);
	/* What a process sends has no address. */
	ours = info->si_code > 0 && sigbus_repair((uintptr_t)info->si_addr);
	__atomic_sub_fetch(&looking, 1, __ATOMIC_RELEASE);
	errno = saved;
	if (!ours)
		pass_on(sig, info, context);
}

/* NULL: of none. */
static const void *
library_of(const void *address)
{
	Dl_info info;

	return address != NULL && dladdr(address, &info) != 0 ? info.dli_fbase : NULL;
}

static bool
is_passing_by(const struct sigaction *sa)
{
	const void *handler = sa->sa_flags & SA_SIGINFO ? (const void *)sa->sa_sigaction :
							  (const void *)sa->sa_handler;

	return passing_by != NULL && library_of(handler) == passing_by;
}

/*
 * With each mapping anew: a handler that came after ours would take the faults we wait for. No flag
 * but SA_SIGINFO: EAL's handler, where it is on top, compares the flags as a whole to tell how to
 * call the one below (and where the C library adds a flag of its own, it is mistaken all the same).
 */
static int
sigbus_install(void)
{
	struct sigaction sa = {.sa_flags = SA_SIGINFO}, now;

	if (sigaction(SIGBUS, NULL, &now) < 0)
		return -errno;
	if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_sigbus)
		return 0;
	if (installed && is_passing_by(&now))
		return 0;
	former = now;
	sa.sa_sigaction = on_sigbus;
	sigemptyset(&sa.sa_mask);
	if (sigaction(SIGBUS, &sa, NULL) < 0)
		return -errno;
	installed = true;
	return 0;
}

int
virtq_sigbus_begin(const void *library)
{
	int rc;

	pthread_mutex_lock(&ranges_lock);
	passing_by = library_of(library);
	rc = sigbus_install();
	pthread_mutex_unlock(&ranges_lock);
	return rc;
}

/* Lock held. 0 or -errno. */
static int
claim_entry(struct virtq_sigbus_range *range)
{
	uint32_t i = first_free;

	while (i < nranges && *entry_at(i) != NULL)
		i++;
	if (i == PIECE * MAX_PIECES)
		return -ENOSPC;
	if (pieces[i / PIECE] == NULL) {
		pieces[i / PIECE] = calloc(PIECE, sizeof(*pieces[0]));
		if (pieces[i / PIECE] == NULL)
			return -ENOMEM;
	}
	__atomic_store_n(entry_at(i), range, __ATOMIC_RELEASE);
	if (i == nranges)
		__atomic_store_n(&nranges, i + 1, __ATOMIC_RELEASE);
	first_free = i + 1;
	range->entry = i;
	return 0;
}

int
virtq_sigbus_add(struct virtq_sigbus_range *range)
{
	int rc;

	pthread_mutex_lock(&ranges_lock);
	rc = sigbus_install();
	if (rc == 0)
		rc = claim_entry(range);
	pthread_mutex_unlock(&ranges_lock);
	return rc;
}

void
virtq_sigbus_remove(struct virtq_sigbus_range *range)
{
	pthread_mutex_lock(&ranges_lock);
	__atomic_store_n(entry_at(range->entry), NULL, __ATOMIC_SEQ_CST);
	if (range->entry < first_free)
		first_free = range->entry;
	pthread_mutex_unlock(&ranges_lock);
	/* A handler that is running may have read the entry; later ones find it empty. */
	while (__atomic_load_n(&looking, __ATOMIC_SEQ_CST) != 0)
		sched_yield();
}
