/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <numa.h>
#include <numaif.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_mempool.h>

#include "evloop.h"
#include "rig_nodes.h"
#include "vnet_extbuf.h"

#define ANSWER_MS 200	/* of a question to bursts */

struct rig_nodes rig_nodes;
struct rig_nodes_taken rig_nodes_taken[RIG_NODES_TAKEN] = {
	{ "vring_devs" }, { "vring_rxqs" }, { "vring_txqs" }, { "vring_sets" },
	{ "vring_hold" }, { "vnet_cut" },
};

static int
load_node(const int *node)
{
	return __atomic_load_n(node, __ATOMIC_RELAXED);
}

int __wrap_numa_available(void);
int __wrap_numa_max_node(void);
long __wrap_move_pages(int pid, unsigned long n, void **pages, const int *nodes, int *status,
		       int flags);
long __wrap_get_mempolicy(int *mode, unsigned long *mask, unsigned long bits, void *addr,
			  unsigned int flags);
unsigned int __wrap_rte_socket_count(void);
unsigned int __wrap_rte_socket_id(void);
int __wrap_rte_socket_id_by_idx(unsigned int idx);
void *__real_rte_malloc_socket(const char *type, size_t size, unsigned int align, int socket);
void *__wrap_rte_malloc_socket(const char *type, size_t size, unsigned int align, int socket);
void *__real_rte_zmalloc_socket(const char *type, size_t size, unsigned int align, int socket);
void *__wrap_rte_zmalloc_socket(const char *type, size_t size, unsigned int align, int socket);
struct rte_mempool *__real_vnet_extbuf_pool_create(const char *name, unsigned int n, uint32_t size,
						   int socket);
struct rte_mempool *__wrap_vnet_extbuf_pool_create(const char *name, unsigned int n, uint32_t size,
						   int socket);
void __real_evloop_timer_set(struct evloop *loop, struct evloop_timer *timer, uint64_t ms);
void __wrap_evloop_timer_set(struct evloop *loop, struct evloop_timer *timer, uint64_t ms);

int
__wrap_numa_available(void)
{
	return 0;
}

int
__wrap_numa_max_node(void)
{
	return load_node(&rig_nodes.last);
}

long
__wrap_move_pages(int pid, unsigned long n, void **pages, const int *nodes, int *status, int flags)
{
	assert_null(nodes);
	for (unsigned long i = 0; i < n; i++)
		status[i] = load_node(&rig_nodes.guest) < 0 ? -ENOENT : load_node(&rig_nodes.guest);
	return 0;
}

long
__wrap_get_mempolicy(int *mode, unsigned long *mask, unsigned long bits, void *addr,
		     unsigned int flags)
{
	*mode = MPOL_DEFAULT;
	return 0;
}

unsigned int
__wrap_rte_socket_id(void)
{
	return (unsigned int)load_node(&rig_nodes.lcore);
}

unsigned int
__wrap_rte_socket_count(void)
{
	return (unsigned int)load_node(&rig_nodes.eal);
}

int
__wrap_rte_socket_id_by_idx(unsigned int idx)
{
	return (int)idx < load_node(&rig_nodes.eal) ? (int)idx : -1;
}

static bool
note_taken(const char *type, int socket)
{
	for (unsigned int i = 0; i < RIG_NODES_TAKEN; i++)
		if (strcmp(rig_nodes_taken[i].type, type) == 0) {
			rig_nodes_taken[i].times++;
			rig_nodes_taken[i].node = socket;
		}
	return socket != load_node(&rig_nodes.empty);
}

void *
__wrap_rte_malloc_socket(const char *type, size_t size, unsigned int align, int socket)
{
	if (!note_taken(type, socket))
		return NULL;
	return __real_rte_malloc_socket(type, size, align, socket);
}

void *
__wrap_rte_zmalloc_socket(const char *type, size_t size, unsigned int align, int socket)
{
	if (!note_taken(type, socket))
		return NULL;
	return __real_rte_zmalloc_socket(type, size, align, socket);
}

/* EAL without hugepages has one node, and makes no pools for others. */
struct rte_mempool *
__wrap_vnet_extbuf_pool_create(const char *name, unsigned int n, uint32_t size, int socket)
{
	struct rte_mempool *pool = __real_vnet_extbuf_pool_create(name, n, size, 0);

	if (pool != NULL)
		pool->socket_id = socket;
	return pool;
}

void
__wrap_evloop_timer_set(struct evloop *loop, struct evloop_timer *timer, uint64_t ms)
{
	if (ms == ANSWER_MS) {
		/* The lcore has to get to it. */
		__atomic_add_fetch(&rig_nodes.questions, 1, __ATOMIC_RELAXED);
		__real_evloop_timer_set(loop, timer, ms / 2);
		return;
	}
	if (ms >= RIG_NODES_LONG_MS)
		__atomic_add_fetch(&rig_nodes.naps, 1, __ATOMIC_RELAXED);
	__real_evloop_timer_set(loop, timer,
				ms / (ms >= RIG_NODES_LONG_MS ? RIG_NODES_HURRY_MORE :
								RIG_NODES_HURRY));
}
