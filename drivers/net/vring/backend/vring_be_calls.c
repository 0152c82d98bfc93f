/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_lcore.h>

#include "virtq_dev.h"
#include "virtq_notify.h"
#include "vring_be_calls.h"
#include "vring_compat.h"
#include "vring_log.h"

static struct {
	pthread_mutex_t lock;
	unsigned int ports;
	struct virtq_caller *caller;
	rte_thread_t thread;
} shared = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
};

static uint64_t
read_clock(void)
{
	return rte_get_timer_cycles();
}

static vring_compat_ret
caller_main(void *caller)
{
	virtq_caller_run(caller);
	return 0;
}

/* Lock held. */
static int
caller_start(void)
{
	int rc;

	shared.caller = virtq_caller_new(read_clock, rte_get_timer_hz());
	if (shared.caller == NULL)
		return -ENOMEM;
	rc = vring_compat_thread(&shared.thread, "vring-call", caller_main, shared.caller);
	if (rc != 0) {
		virtq_caller_free(shared.caller);
		shared.caller = NULL;
	}
	return rc;
}

/* Where the port's control thread is, which was allowed there. */
static void
caller_pin(uint32_t cpu)
{
	rte_cpuset_t set;

	if (cpu == UINT32_MAX)
		return;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	rte_thread_set_affinity_by_id(shared.thread, &set);
}

/*
 * Without asynchronous requests a guest can make whoever calls it wait. Its own lcore may; the
 * thread is everybody's, and control threads wait for it.
 */
static bool
may_share(const struct vring_port *port)
{
	const int rc = virtq_notify_init();

	if (rc != 0)
		VRING_LOG(WARNING, port->name, "call-thread= and call-us= are ignored: the thread "
			  "needs asynchronous requests of the kernel (io_setup: %s)",
			  strerror(-rc));
	return rc == 0;
}

int
vring_be_calls_open(struct vring_port *port, char *err, size_t errlen)
{
	int rc = 0;

	if ((port->args.call_thread == 0 && port->args.call_us == 0) || !may_share(port))
		return 0;
	pthread_mutex_lock(&shared.lock);
	if (shared.ports == 0)
		rc = caller_start();
	if (rc == 0) {
		shared.ports++;
		caller_pin(port->args.ctrl_lcore);
		port->caller = shared.caller;
	} else {
		snprintf(err, errlen, "no thread to send calls: call-thread=0 and call-us=0 do "
			 "without");
	}
	pthread_mutex_unlock(&shared.lock);
	return rc;
}

void
vring_be_calls_close(struct vring_port *port)
{
	if (port->caller == NULL)
		return;
	port->caller = NULL;
	pthread_mutex_lock(&shared.lock);
	if (--shared.ports == 0) {
		virtq_caller_quit(shared.caller);
		rte_thread_join(shared.thread, NULL);
		virtq_caller_free(shared.caller);
		shared.caller = NULL;
	}
	pthread_mutex_unlock(&shared.lock);
}

void
vring_be_calls_begin(struct vring_port *port, uint16_t qid, const struct virtq_ring *ring)
{
	const struct virtq_caller_rule rule = { port->args.call_thread, port->args.call_us };
	const struct vring_port_vring *vring = &port->vring[qid];
	struct virtq_dev *dev = virtq_dev_of(vring->cursor);

	if (port->caller == NULL || ring == NULL)
		return;
	if (vring->ring == NULL) {
		virtq_caller_begin(port->caller, &dev->call, rule);
		dev->caller = port->caller;
	}
	virtq_caller_fd(port->caller, &dev->call, ring->callfd);
}

void
vring_be_calls_follow(struct vring_port *port, uint16_t qid)
{
	const struct vring_port_vring *vring = &port->vring[qid];

	if (port->caller != NULL && vring->ring == NULL)
		virtq_caller_end(port->caller, &virtq_dev_of(vring->cursor)->call);
}

void
vring_be_calls_moving(struct vring_port *port)
{
	for (unsigned int qid = 0; port->caller != NULL && qid < 2u * port->vring_pairs; qid++)
		if (port->vring[qid].ring != NULL)
			virtq_caller_end(port->caller,
					 &virtq_dev_of(port->vring[qid].cursor)->call);
}

void
vring_be_calls_moved(struct vring_port *port)
{
	for (unsigned int qid = 0; port->caller != NULL && qid < 2u * port->vring_pairs; qid++)
		if (port->vring[qid].ring != NULL)
			virtq_caller_fd(port->caller, &virtq_dev_of(port->vring[qid].cursor)->call,
					port->vring[qid].ring->callfd);
}
