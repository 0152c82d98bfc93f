/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "vhost_be_relay.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define STACK_BYTES (256 * 1024)

struct vhost_be_relays {
	uint32_t refs;		/* atomic: the session's, and one a thread */
	uint32_t alive;		/* atomic: threads */
};

struct vhost_be_relay {
	uint32_t refs;		/* atomic: the session's and the thread's */
	bool stop;		/* atomic */
	int in, out;		/* eventfd and pipe, the thread's to use, the last one's to close */
	struct vhost_be_relays *count;
};

struct vhost_be_relays *
vhost_be_relay_count_new(void)
{
	struct vhost_be_relays *count = calloc(1, sizeof(*count));

	if (count != NULL)
		count->refs = 1;
	return count;
}

void
vhost_be_relay_count_put(struct vhost_be_relays *count)
{
	if (count != NULL && __atomic_sub_fetch(&count->refs, 1, __ATOMIC_ACQ_REL) == 0)
		free(count);
}

static void
relay_put(struct vhost_be_relay *relay)
{
	if (__atomic_sub_fetch(&relay->refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	close(relay->in);
	close(relay->out);
	free(relay);
}

/* Nothing that interrupts a wait is for this thread, which goes on. */
static bool
wait_for_signals(int fd)
{
	uint64_t signals;
	ssize_t n;

	do {
		n = read(fd, &signals, sizeof(signals));
	} while (n < 0 && errno == EINTR);
	return n == sizeof(signals);
}

/* False: nobody will read it. */
static bool
send_one(int fd)
{
	const uint64_t one = 1;

	while (write(fd, &one, sizeof(one)) < 0) {
		/* A full pipe without blocking: its reader has calls that it did not look at. */
		if (errno == EAGAIN)
			return true;
		if (errno != EINTR)
			return false;
	}
	return true;
}

/* Any number of signals is one call: the driver looks at its whole ring then. */
static void *
relay_run(void *arg)
{
	struct vhost_be_relay *relay = arg;
	struct vhost_be_relays *count = relay->count;
	while (wait_for_signals(relay->in) && !__atomic_load_n(&relay->stop, __ATOMIC_ACQUIRE))
		if (!send_one(relay->out))
			break;
	relay_put(relay);
	__atomic_sub_fetch(&count->alive, 1, __ATOMIC_RELEASE);
	vhost_be_relay_count_put(count);
	return NULL;
}

/* No signal disturbs it, SIGPIPE least of all; nobody waits for it. */
static int
relay_start_thread(struct vhost_be_relay *relay)
{
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t thread;
	int rc = pthread_attr_init(&attr);

	if (rc != 0)
		return -rc;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&thread, &attr, relay_run, relay);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return -rc;
}

static struct vhost_be_relay *
relay_new(struct vhost_be_relays *count, int pipe)
{
	struct vhost_be_relay *relay = calloc(1, sizeof(*relay));

	if (relay == NULL)
		return NULL;
	relay->in = eventfd(0, EFD_CLOEXEC);
	if (relay->in < 0) {
		free(relay);
		return NULL;
	}
	relay->out = pipe;
	relay->refs = 2;
	relay->count = count;
	return relay;
}

static void
relay_undo(struct vhost_be_relay *relay, int eventfd)
{
	if (eventfd >= 0)
		close(eventfd);
	close(relay->in);
	free(relay);
}

int
vhost_be_relay_start(struct vhost_be_relays *count, int pipe, struct vhost_be_relay **out,
		     int *eventfd)
{
	struct vhost_be_relay *relay;
	int rc;

	if (__atomic_load_n(&count->alive, __ATOMIC_ACQUIRE) >= VHOST_BE_RELAY_MAX)
		return -EMFILE;
	relay = relay_new(count, pipe);
	if (relay == NULL)
		return -ENOMEM;
	*eventfd = fcntl(relay->in, F_DUPFD_CLOEXEC, 0);
	if (*eventfd < 0) {
		relay_undo(relay, -1);
		return -ENFILE;
	}
	__atomic_add_fetch(&count->refs, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&count->alive, 1, __ATOMIC_RELAXED);
	rc = relay_start_thread(relay);
	if (rc < 0) {
		__atomic_sub_fetch(&count->alive, 1, __ATOMIC_RELAXED);
		__atomic_sub_fetch(&count->refs, 1, __ATOMIC_RELAXED);
		relay_undo(relay, *eventfd);
		return rc;
	}
	*out = relay;
	return 0;
}

void
vhost_be_relay_stop(struct vhost_be_relay *relay)
{
	if (relay == NULL)
		return;
	__atomic_store_n(&relay->stop, true, __ATOMIC_RELEASE);
	/* Ours alone, so it never counts so much that this would block. */
	send_one(relay->in);
	/* A socket whose reader is another relay, or nobody, lets the thread go; a pipe is none. */
	if (shutdown(relay->out, SHUT_RDWR) < 0)
		errno = 0;
	relay_put(relay);
}
