/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include <rte_string_fns.h>

#include "vring_registry.h"

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t answered = PTHREAD_COND_INITIALIZER;
static TAILQ_HEAD(, vring_port) ports = TAILQ_HEAD_INITIALIZER(ports);

/* Any number of ports is at the kernel's vhost-net, each with a tap of its own. */
static bool
same_place(const struct vring_devargs *a, const struct vring_devargs *b)
{
	if (a->net || b->net)
		return a->net && b->net && a->ifname[0] != '\0' &&
		       strcmp(a->ifname, b->ifname) == 0;
	return strcmp(a->iface, b->iface) == 0 && strcmp(a->path, b->path) == 0;
}

int
vring_registry_add(struct vring_port *port, char *other)
{
	struct vring_port *p;
	int rc = 0;

	pthread_mutex_lock(&list_lock);
	TAILQ_FOREACH(p, &ports, next)
		if (same_place(&p->args, &port->args)) {
			rte_strscpy(other, p->name, RTE_ETH_NAME_MAX_LEN);
			rc = -EEXIST;
			break;
		}
	if (rc == 0)
		TAILQ_INSERT_TAIL(&ports, port, next);
	pthread_mutex_unlock(&list_lock);
	return rc;
}

void
vring_registry_remove(struct vring_port *port)
{
	pthread_mutex_lock(&list_lock);
	TAILQ_REMOVE(&ports, port, next);
	while (port->asked > 0)
		pthread_cond_wait(&answered, &list_lock);
	pthread_mutex_unlock(&list_lock);
}

void
vring_registry_show(struct vring_port *port, bool open)
{
	pthread_mutex_lock(&list_lock);
	port->open = open;
	pthread_mutex_unlock(&list_lock);
}

void
vring_registry_each(vring_registry_fn fn, void *arg)
{
	struct vring_port *p;

	pthread_mutex_lock(&list_lock);
	TAILQ_FOREACH(p, &ports, next)
		if (p->open)
			fn(p, arg);
	pthread_mutex_unlock(&list_lock);
}

/* Lock held. Ports that are being made or removed are not there. */
static struct vring_port *
find_open_port(unsigned long port_id)
{
	struct vring_port *p;

	TAILQ_FOREACH(p, &ports, next)
		if (p->open && p->dev->data->port_id == port_id)
			return p;
	return NULL;
}

int
vring_registry_ask(unsigned long port_id, vring_registry_fn fn, void *arg)
{
	struct vring_port *port;
	int rc;

	pthread_mutex_lock(&list_lock);
	port = find_open_port(port_id);
	if (port != NULL)
		port->asked++;
	pthread_mutex_unlock(&list_lock);
	if (port == NULL)
		return -EINVAL;
	rc = fn(port, arg);
	pthread_mutex_lock(&list_lock);
	if (--port->asked == 0)
		pthread_cond_broadcast(&answered);
	pthread_mutex_unlock(&list_lock);
	return rc;
}
