/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Control threads. Ports that never wait for a peer share one, started with the first of them and
 * ended with the last; a port that does wait has its own, so that it delays no other.
 *
 * EAL puts control threads on the CPUs of the process that no lcore uses, or with the main lcore
 * where none is left, which is what is wanted here. The threads take no lcore ids of their own:
 * rte_thread_register() fails before the end of EAL's initialisation, when the ports of the
 * command line are probed, and forbids secondary processes (dumpcap, proc-info) for good.
 */

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "vring_compat.h"
#include "vring_ctrl.h"
#include "vring_log.h"

struct vring_ctrl {
	unsigned int ports;
	struct evloop *loop;
	rte_thread_t thread;
	uint32_t cpu;		/* pinned to, UINT32_MAX: not */
};

static pthread_mutex_t ctrl_lock = PTHREAD_MUTEX_INITIALIZER;
static struct vring_ctrl shared;

/*
 * The thread has the signal mask of whoever probed the first port. A fault that is blocked ends the
 * process, whatever handler there is.
 */
static vring_compat_ret
ctrl_main(void *loop)
{
	sigset_t faults;

	sigemptyset(&faults);
	sigaddset(&faults, SIGBUS);
	pthread_sigmask(SIG_UNBLOCK, &faults, NULL);
	evloop_run(loop);
	return 0;
}

static int
ctrl_start(struct vring_ctrl *ctrl)
{
	int rc = evloop_new(&ctrl->loop);

	if (rc != 0)
		return rc;
	rc = vring_compat_thread(&ctrl->thread, "vring-ctrl", ctrl_main, ctrl->loop);
	if (rc != 0)
		evloop_free(ctrl->loop);
	ctrl->cpu = UINT32_MAX;
	return rc;
}

static void
ctrl_stop(struct vring_ctrl *ctrl)
{
	evloop_quit(ctrl->loop);
	rte_thread_join(ctrl->thread, NULL);
	evloop_free(ctrl->loop);
	ctrl->loop = NULL;
	if (ctrl != &shared)
		free(ctrl);
}

/* A shared thread goes where the last port that asks wants it. */
static int
ctrl_pin(struct vring_ctrl *ctrl, const char *name, uint32_t cpu)
{
	rte_cpuset_t set;

	if (cpu == UINT32_MAX || cpu == ctrl->cpu)
		return 0;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (rte_thread_set_affinity_by_id(ctrl->thread, &set) != 0) {
		VRING_LOG(ERR, name, "ctrl-lcore=%u: allowed is a CPU that this process may use",
			  cpu);
		return -EINVAL;
	}
	if (ctrl->cpu != UINT32_MAX)
		VRING_LOG(WARNING, name, "ctrl-lcore=%u moves the control thread, which serves "
			  "all ports with iface=, from CPU %u", cpu, ctrl->cpu);
	ctrl->cpu = cpu;
	return 0;
}

int
vring_ctrl_get(struct vring_port *port, bool own)
{
	struct vring_ctrl *ctrl = &shared;
	int rc = 0;

	if (own)
		ctrl = calloc(1, sizeof(*ctrl));
	if (ctrl == NULL)
		return -ENOMEM;
	pthread_mutex_lock(&ctrl_lock);
	if (ctrl->ports == 0)
		rc = ctrl_start(ctrl);
	if (rc == 0) {
		rc = ctrl_pin(ctrl, port->name, port->args.ctrl_lcore);
		if (rc == 0) {
			ctrl->ports++;
			port->ctrl = ctrl;
			port->loop = ctrl->loop;
		} else if (ctrl->ports == 0) {
			ctrl_stop(ctrl);
		}
	} else if (ctrl != &shared) {
		free(ctrl);
	}
	pthread_mutex_unlock(&ctrl_lock);
	return rc;
}

void
vring_ctrl_put(struct vring_port *port)
{
	pthread_mutex_lock(&ctrl_lock);
	if (--port->ctrl->ports == 0)
		ctrl_stop(port->ctrl);
	port->ctrl = NULL;
	pthread_mutex_unlock(&ctrl_lock);
}

int
vring_ctrl_call(struct vring_port *port, int (*fn)(void *port))
{
	return evloop_call(port->loop, fn, port);
}
