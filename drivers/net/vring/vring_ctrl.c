/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control thread: one a process, started with the first port and ended with the last.
 *
 * EAL puts control threads on the CPUs of the process that no lcore uses, or with the main lcore
 * where none is left, which is what is wanted here. The thread takes no lcore id of its own:
 * rte_thread_register() fails before the end of EAL's initialisation, when the ports of the
 * command line are probed, and forbids secondary processes (dumpcap, proc-info) for good.
 */

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include <rte_lcore.h>

#include "vring.h"

static struct {
	pthread_mutex_t lock;
	unsigned int ports;
	struct vhu_loop *loop;
	pthread_t thread;
	uint32_t cpu;		/* pinned to, UINT32_MAX: not */
} ctrl = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.cpu = UINT32_MAX,
};

static void *
ctrl_main(void *loop)
{
	vhu_loop_run(loop);
	return NULL;
}

static int
ctrl_start(void)
{
	int ret = vhu_loop_new(&ctrl.loop);

	if (ret != 0)
		return ret;
	ret = rte_ctrl_thread_create(&ctrl.thread, "vring-ctrl", NULL, ctrl_main, ctrl.loop);
	if (ret != 0)
		vhu_loop_free(ctrl.loop);
	ctrl.cpu = UINT32_MAX;
	return ret;
}

static void
ctrl_stop(void)
{
	vhu_loop_quit(ctrl.loop);
	pthread_join(ctrl.thread, NULL);
	vhu_loop_free(ctrl.loop);
	ctrl.loop = NULL;
}

/* The last port that asks has its way; the thread serves them all. */
static int
ctrl_pin(const char *name, uint32_t cpu)
{
	cpu_set_t set;

	if (cpu == UINT32_MAX || cpu == ctrl.cpu)
		return 0;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (pthread_setaffinity_np(ctrl.thread, sizeof(set), &set) != 0) {
		VRING_LOG(ERR, name, "ctrl-lcore=%u: allowed is a CPU that this process may use",
			  cpu);
		return -EINVAL;
	}
	if (ctrl.cpu != UINT32_MAX)
		VRING_LOG(WARNING, name, "ctrl-lcore=%u moves the control thread, which serves "
			  "all ports, from CPU %u", cpu, ctrl.cpu);
	ctrl.cpu = cpu;
	return 0;
}

int
vring_ctrl_get(const char *name, uint32_t cpu, struct vhu_loop **loop)
{
	int ret = 0;

	pthread_mutex_lock(&ctrl.lock);
	if (ctrl.ports == 0)
		ret = ctrl_start();
	if (ret == 0) {
		ret = ctrl_pin(name, cpu);
		if (ret == 0) {
			ctrl.ports++;
			*loop = ctrl.loop;
		} else if (ctrl.ports == 0) {
			ctrl_stop();
		}
	}
	pthread_mutex_unlock(&ctrl.lock);
	return ret;
}

void
vring_ctrl_put(void)
{
	pthread_mutex_lock(&ctrl.lock);
	if (--ctrl.ports == 0)
		ctrl_stop();
	pthread_mutex_unlock(&ctrl.lock);
}

int
vring_ctrl_call(struct vring_port *port, int (*fn)(void *port))
{
	return vhu_loop_call(port->loop, fn, port);
}
