/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Extended counters. Their names follow from the arguments alone and never change, since
 * applications look them up once. The endings matter: OVS shows names that end in _dropped or
 * _errors, or that contain _management_.
 *
 * Order: the port's, then each receive queue's, then each transmit queue's.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_string_fns.h>

#include "vring_role.h"
#include "vring_stats.h"
#include "vring_xstats.h"

#define MAX_COUNTERS 48
static_assert(VNET_DROP_MAX + VIRTQ_E_MAX + VNET_SIZE_BINS + 12 <= MAX_COUNTERS, "counters");

/* Counters of a queue that are not in struct vnet_stats: of the rings it serves, of the port. */
#define OF_CALLS UINT16_MAX
#define OF_SUPPRESSED (UINT16_MAX - 1)
#define OF_STALLS (UINT16_MAX - 2)
#define OF_FAR (UINT16_MAX - 3)

struct counter {
	char name[32];		/* behind "rx_qN_" or "tx_qN_" */
	uint16_t offset;	/* in struct vnet_stats, or OF_ */
};

/* Those that stats=0 leaves out come last. */
struct table {
	unsigned int n;		/* all */
	unsigned int brief;	/* with stats=0 */
	struct counter counter[MAX_COUNTERS];
};

/* Names depend on the role, since the other end's faults are others. */
static struct table rx_tables[VRING_ROLE_MAX], tx_tables[VRING_ROLE_MAX];

static const struct {
	const char *name;
	size_t offset;		/* in struct vring_session_counters */
} session_counters[] = {
	{ "session_management_connects", offsetof(struct vring_session_counters, connects) },
	{ "session_management_disconnects", offsetof(struct vring_session_counters, disconnects) },
	{ "session_management_messages", offsetof(struct vring_session_counters, messages) },
	{ "session_refused_errors", offsetof(struct vring_session_counters, nacks) },
	{ "session_framing_errors", offsetof(struct vring_session_counters, framing_errors) },
};

#define NSESSION RTE_DIM(session_counters)

static void
table_add(struct table *t, const char *name, const char *suffix, size_t offset)
{
	struct counter *c = &t->counter[t->n++];

	snprintf(c->name, sizeof(c->name), "%s%s", name, suffix);
	c->offset = offset;
}

#define ADD(t, name, field) table_add(t, name, "", offsetof(struct vnet_stats, field))

/* Whether it is a device that breaks a ring so, or else a driver. */
static bool
error_of_device(enum virtq_error e)
{
	return e == VIRTQ_E_USED_JUMP || e == VIRTQ_E_USED_ID;
}

static void
table_add_common(struct table *t, enum vring_role_id role,
		 bool (*can_drop)(enum vnet_drop reason))
{
	for (unsigned int i = 0; i < VNET_DROP_MAX; i++)
		if (can_drop(i))
			table_add(t, vnet_drop_name(i), "_dropped",
			    offsetof(struct vnet_stats, drop) + i * sizeof(uint64_t));
	for (unsigned int i = VIRTQ_OK + 1; i < VIRTQ_E_MAX; i++)
		if (error_of_device(i) == (role == VRING_ROLE_FE))
			table_add(t, virtq_ring_error_name(i), "_errors",
			    offsetof(struct vnet_stats, error) + i * sizeof(uint64_t));
	table_add(t, "calls", "", OF_CALLS);
	table_add(t, "calls_suppressed", "", OF_SUPPRESSED);
	t->brief = t->n;
	ADD(t, "multicast_packets", multicast);
	ADD(t, "broadcast_packets", broadcast);
	for (unsigned int i = 0; i < VNET_SIZE_BINS; i++)
		table_add(t, vnet_size_bin_name(i), "_packets",
		    offsetof(struct vnet_stats, size_bin) + i * sizeof(uint64_t));
}

static void
fill_tables(struct table *rx, struct table *tx, enum vring_role_id role)
{
	ADD(rx, "packets", packets);
	ADD(rx, "bytes", bytes);
	ADD(rx, "nombuf_errors", nombuf);
	ADD(rx, "zero_copy_packets", zero_copy);
	ADD(rx, "sw_csum_packets", sw_csum);
	ADD(rx, "sw_gso_packets", sw_gso);
	/* Of both queues of this number: four pairs just fit into the answer of telemetry. */
	if (role == VRING_ROLE_BE)
		table_add(rx, "numa_errors", "", OF_FAR);
	table_add_common(rx, role, vnet_drop_is_rx);

	ADD(tx, "packets", packets);
	ADD(tx, "bytes", bytes);
	ADD(tx, "sw_csum_packets", sw_csum);
	ADD(tx, "sw_gso_packets", sw_gso);
	ADD(tx, "retries", retries);
	ADD(tx, "management_refused", refused);
	table_add(tx, "stall_errors", "", OF_STALLS);
	table_add_common(tx, role, vnet_drop_is_tx);
}

RTE_INIT(vring_xstats_init)
{
	for (unsigned int role = 0; role < VRING_ROLE_MAX; role++)
		fill_tables(&rx_tables[role], &tx_tables[role], role);
}

static unsigned int
per_queue(const struct vring_port *port, const struct table *t)
{
	return port->args.stats ? t->n : t->brief;
}

static unsigned int
xstats_count(const struct vring_port *port)
{
	return NSESSION + port->pairs * (per_queue(port, &rx_tables[port->role]) +
					 per_queue(port, &tx_tables[port->role]));
}

/* Where counter `id` of the port is found. table NULL: among the session's counters. */
struct place {
	const struct table *table;
	bool tx;
	unsigned int queue, index;
};

static struct place
xstats_locate(const struct vring_port *port, unsigned int id)
{
	const struct table *rx = &rx_tables[port->role], *tx = &tx_tables[port->role];
	const unsigned int nrx = per_queue(port, rx), ntx = per_queue(port, tx);
	struct place p = { NULL, false, 0, id };

	if (id < NSESSION)
		return p;
	id -= NSESSION;
	p.tx = id >= port->pairs * nrx;
	p.table = p.tx ? tx : rx;
	if (p.tx)
		id -= port->pairs * nrx;
	p.queue = id / (p.tx ? ntx : nrx);
	p.index = id % (p.tx ? ntx : nrx);
	return p;
}

static void
name_of(const struct vring_port *port, unsigned int id, struct rte_eth_xstat_name *name)
{
	struct place p = xstats_locate(port, id);

	if (p.table == NULL)
		rte_strscpy(name->name, session_counters[p.index].name, sizeof(name->name));
	else
		snprintf(name->name, sizeof(name->name), "%s_q%u_%s",
			 p.tx ? "tx" : "rx", p.queue,
			 p.table->counter[p.index].name);
}

/* The counters of one queue, read at once. */
struct reading {
	struct vnet_stats stats;
	struct vring_notified notified;
	uint64_t stalls, far;
};

static void
read_queue(const struct rte_eth_dev *dev, const struct place *p, struct reading *r)
{
	const struct vring_port *port = dev->data->dev_private;

	if (p->tx)
		vring_stats_txq(dev, p->queue, &r->stats);
	else
		vring_stats_rxq(dev, p->queue, &r->stats);
	r->notified = vring_stats_calls(port, p->tx, p->queue, p->tx ? dev->data->nb_tx_queues :
					dev->data->nb_rx_queues);
	r->stalls = p->tx ? vring_stats_stalls(port, p->queue) : 0;
	r->far = p->tx ? 0 : vring_stats_far(port, p->queue);
}

static uint64_t
counter_value(const struct counter *c, const struct reading *r)
{
	switch (c->offset) {
	case OF_CALLS:
		return r->notified.sent;
	case OF_SUPPRESSED:
		return r->notified.suppressed;
	case OF_STALLS:
		return r->stalls;
	case OF_FAR:
		return r->far;
	default:
		return *(const uint64_t *)((const char *)&r->stats + c->offset);
	}
}

void
vring_xstats_each(const struct rte_eth_dev *dev, bool tx, uint16_t id, vring_xstats_fn each,
		  void *ctx)
{
	const struct vring_port *port = dev->data->dev_private;
	const struct table *table = tx ? &tx_tables[port->role] : &rx_tables[port->role];
	const struct place p = { table, tx, id, 0 };
	struct reading r;

	read_queue(dev, &p, &r);
	for (unsigned int i = 0; i < per_queue(port, p.table); i++)
		each(ctx, p.table->counter[i].name, counter_value(&p.table->counter[i], &r));
}

static uint64_t
session_value(const struct vring_port *port, unsigned int index)
{
	size_t offset = session_counters[index].offset;
	const uint64_t *now = (const uint64_t *)((const char *)&port->session + offset);

	return __atomic_load_n(now, __ATOMIC_RELAXED) -
	       *(const uint64_t *)((const char *)&port->session_base + offset);
}

/* The counters of a queue follow each other mostly. The queue is then read once. */
static void
xstats_values(struct rte_eth_dev *dev, const uint64_t *ids, uint64_t *out, unsigned int n)
{
	struct vring_port *port = dev->data->dev_private;
	struct place last = { NULL, false, 0, 0 };
	struct reading r;

	vring_role_count(port);
	for (unsigned int i = 0; i < n; i++) {
		struct place p = xstats_locate(port, ids == NULL ? i : ids[i]);

		if (p.table == NULL) {
			out[i] = session_value(port, p.index);
			continue;
		}
		if (p.table != last.table || p.queue != last.queue)
			read_queue(dev, &p, &r);
		last = p;
		out[i] = counter_value(&p.table->counter[p.index], &r);
	}
}

int
vring_xstats_get(struct rte_eth_dev *dev, struct rte_eth_xstat *xstats, unsigned int n)
{
	struct vring_port *port = dev->data->dev_private;
	unsigned int all = xstats_count(port);
	uint64_t *out;

	if (xstats == NULL || n < all)
		return all;
	out = calloc(all, sizeof(*out));
	if (out == NULL)
		return -ENOMEM;
	xstats_values(dev, NULL, out, all);
	for (unsigned int i = 0; i < all; i++) {
		xstats[i].id = i;
		xstats[i].value = out[i];
	}
	free(out);
	return all;
}

static bool
ids_valid(const struct vring_port *port, const uint64_t *ids, unsigned int n)
{
	for (unsigned int i = 0; ids != NULL && i < n; i++)
		if (ids[i] >= xstats_count(port))
			return false;
	return true;
}

int
vring_xstats_get_by_id(struct rte_eth_dev *dev, const uint64_t *ids, uint64_t *out,
		       unsigned int n)
{
	const struct vring_port *port = dev->data->dev_private;

	if (ids == NULL && (out == NULL || n < xstats_count(port)))
		return xstats_count(port);
	if (!ids_valid(port, ids, n))
		return -EINVAL;
	if (ids == NULL)
		n = xstats_count(port);
	xstats_values(dev, ids, out, n);
	return n;
}

int
vring_xstats_get_names_by_id(struct rte_eth_dev *dev, const uint64_t *ids,
			     struct rte_eth_xstat_name *names, unsigned int n)
{
	const struct vring_port *port = dev->data->dev_private;

	if (ids == NULL && (names == NULL || n < xstats_count(port)))
		return xstats_count(port);
	if (!ids_valid(port, ids, n))
		return -EINVAL;
	if (ids == NULL)
		n = xstats_count(port);
	for (unsigned int i = 0; i < n; i++)
		name_of(port, ids == NULL ? i : ids[i], &names[i]);
	return n;
}

int
vring_xstats_get_names(struct rte_eth_dev *dev, struct rte_eth_xstat_name *names, unsigned int n)
{
	return vring_xstats_get_names_by_id(dev, NULL, names, n);
}
