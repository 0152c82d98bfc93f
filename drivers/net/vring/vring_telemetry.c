/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Telemetry's answers. Telemetry has a thread of its own. The registry keeps a port from being
 * closed while it is asked. Its state is read in the control thread, which may be waiting for a
 * peer; meanwhile the other ports are as free as ever.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "evloop.h"
#include "vhost_names.h"
#include "vring_compat.h"
#include "vring_registry.h"
#include "vring_role.h"
#include "vring_stall.h"
#include "vring_stats.h"
#include "vring_telemetry.h"
#include "vring_xstats.h"

#define NO_QUEUE UINT16_MAX

/* What is asked of a port, and perhaps of one queue pair of it. */
struct question {
	const struct command *command;
	struct vring_port *port;
	uint16_t queue;		/* or NO_QUEUE */
	struct rte_tel_data *d;
};

struct command {
	const char *name;
	unsigned int least, most;	/* numbers that it takes: a port's, a queue pair's */
	int (*answer)(const struct question *q);	/* control thread */
	const char *help;
};

static int
answer_in_ctrl(void *arg)
{
	const struct question *q = arg;

	return q->command->answer(q);
}

/* How many numbers the parameters are, NUMBERS at most; 0: they are something else. */
#define NUMBERS 2

static unsigned int
parse_numbers(const char *params, unsigned long number[NUMBERS])
{
	unsigned int n = 0;
	char *end;

	while (params != NULL && n < NUMBERS && *params >= '0' && *params <= '9') {
		number[n++] = strtoul(params, &end, 10);
		if (*end == '\0')
			return n;
		if (*end != ',')
			return 0;
		params = end + 1;
	}
	return 0;
}

static int
ask_port(struct vring_port *port, void *arg)
{
	struct question *q = arg;

	if (q->queue != NO_QUEUE && q->queue >= port->pairs)
		return -EINVAL;
	q->port = port;
	return evloop_call(port->loop, answer_in_ctrl, q);
}

static int
answer_params(const struct command *command, const char *params, struct rte_tel_data *d)
{
	struct question q = { .command = command, .queue = NO_QUEUE, .d = d };
	unsigned long number[NUMBERS];
	unsigned int n = parse_numbers(params, number);

	if (n < command->least || n > command->most)
		return -EINVAL;
	if (n > 1)
		q.queue = (uint16_t)RTE_MIN(number[1], (unsigned long)VRING_MAX_PAIRS);
	return vring_registry_ask(number[0], ask_port, &q);
}

/* A dictionary in a dictionary; NULL: no memory. */
static struct rte_tel_data *
sub_dict(void)
{
	struct rte_tel_data *d = rte_tel_data_alloc();

	if (d != NULL)
		rte_tel_data_start_dict(d);
	return d;
}

/* `inner` belongs to `d` from now on. */
static void
put_dict(struct rte_tel_data *d, const char *name, struct rte_tel_data *inner)
{
	if (rte_tel_data_add_dict_container(d, name, inner, 0) != 0)
		rte_tel_data_free(inner);
}

void
vring_telemetry_hex(struct rte_tel_data *d, const char *name, uint64_t value)
{
	char text[20];

	snprintf(text, sizeof(text), "0x%" PRIx64, value);
	rte_tel_data_add_dict_string(d, name, text);
}

void
vring_telemetry_age(struct rte_tel_data *d, const char *name, uint64_t since_ns)
{
	const uint64_t age = since_ns == 0 ? 0 : (evloop_now_ns() - since_ns) / 1000000;

	rte_tel_data_add_dict_uint(d, name, age);
}

static int
answer_status(const struct question *q)
{
	struct vring_port *port = q->port;
	struct rte_tel_data *d = q->d;
	const struct rte_eth_dev_data *data = port->dev->data;
	const uint64_t now = evloop_now_ns();

	rte_tel_data_start_dict(d);
	rte_tel_data_add_dict_string(d, "name", port->name);
	rte_tel_data_add_dict_string(d, "role", vring_role_of(port)->name);
	rte_tel_data_add_dict_int(d, "started", port->started);
	rte_tel_data_add_dict_int(d, "link", data->dev_link.link_status);
	vring_role_of(port)->status(port, d);
	vring_telemetry_hex(d, "offered", port->offered);
	vring_telemetry_hex(d, "features", port->features);
	vring_telemetry_hex(d, "protocol_features", port->protocol_features);
	rte_tel_data_add_dict_uint(d, "stalled_ms", vring_stall_longest(port, true, now));
	rte_tel_data_add_dict_uint(d, "unpolled_ms", vring_stall_longest(port, false, now));
	rte_tel_data_add_dict_int(d, "queue_pairs", port->pairs);
	rte_tel_data_add_dict_int(d, "rx_queues", data->nb_rx_queues);
	rte_tel_data_add_dict_int(d, "tx_queues", data->nb_tx_queues);
	rte_tel_data_add_dict_int(d, "mtu", data->mtu);
	rte_tel_data_add_dict_int(d, "guest_mtu", port->guest_mtu);
	rte_tel_data_add_dict_int(d, "numa", data->numa_node);
	return 0;
}

static void
add_ring(struct rte_tel_data *d, const struct vring_port *port, unsigned int qid)
{
	const struct vring_port_vring *vring = &port->vring[qid];
	const struct virtq_ring *ring = vring->ring;
	struct vring_notified n;

	rte_tel_data_add_dict_string(d, "state", vring_port_vring_state(vring));
	if (ring != NULL) {
		rte_tel_data_add_dict_string(d, "layout", ring->packed ? "packed" : "split");
		rte_tel_data_add_dict_int(d, "size", ring->size);
		rte_tel_data_add_dict_int(d, "waiting", vring_role_vring_waiting(port, qid));
		rte_tel_data_add_dict_uint(d, "in_flight", vring_port_in_flight(vring));
		rte_tel_data_add_dict_int(d, "avail_idx", vring->cursor->avail_idx);
		rte_tel_data_add_dict_int(d, "used_idx", vring->cursor->used_idx);
	}
	if (vring->cursor->broken != VIRTQ_OK)
		rte_tel_data_add_dict_string(d, "error",
					     virtq_ring_error_name(vring->cursor->broken));
	n = vring_role_queue_ops(port)->notified(vring->cursor);
	rte_tel_data_add_dict_uint(d, "calls", n.sent);
	rte_tel_data_add_dict_uint(d, "calls_suppressed", n.suppressed);
	if (port->role == VRING_ROLE_BE) {
		rte_tel_data_add_dict_uint(d, "calls_coalesced", n.coalesced);
		rte_tel_data_add_dict_uint(d, "calls_deferred", n.deferred);
	}
}

/* Of every ring so little that all rings of all pairs go into an answer. */
static int
all_rings(const struct vring_port *port, struct rte_tel_data *d)
{
	for (unsigned int qid = 0; qid < 2u * port->vring_pairs; qid++) {
		struct rte_tel_data *ring;
		char name[24];

		if (vring_port_is_spare(port, qid))
			continue;
		ring = sub_dict();
		if (ring == NULL)
			return -ENOMEM;
		rte_tel_data_add_dict_string(ring, "state",
					     vring_port_vring_state(&port->vring[qid]));
		if (port->vring[qid].ring != NULL)
			rte_tel_data_add_dict_int(ring, "waiting", vring_role_vring_waiting(port,
											    qid));
		snprintf(name, sizeof(name), "vring_%u", qid);
		put_dict(d, name, ring);
	}
	return 0;
}

static void
add_counter(void *ctx, const char *name, uint64_t value)
{
	rte_tel_data_add_dict_uint(ctx, name, value);
}

/* What queue pair N of the application has counted, and vrings 2N and 2N + 1. */
static int
answer_queues(const struct question *q)
{
	rte_tel_data_start_dict(q->d);
	if (q->queue == NO_QUEUE)
		return all_rings(q->port, q->d);
	for (unsigned int side = 0; side < 2; side++) {
		struct rte_tel_data *counters = sub_dict();

		if (counters == NULL)
			return -ENOMEM;
		vring_xstats_each(q->port->dev, side == 1, q->queue, add_counter, counters);
		put_dict(q->d, side == 1 ? "tx" : "rx", counters);
	}
	for (unsigned int side = 0; side < 2; side++) {
		unsigned int qid = 2 * q->queue + side;
		struct rte_tel_data *ring = sub_dict();
		char name[24];

		if (ring == NULL)
			return -ENOMEM;
		add_ring(ring, q->port, qid);
		snprintf(name, sizeof(name), "vring_%u", qid);
		put_dict(q->d, name, ring);
	}
	return 0;
}

static int
add_hist(struct rte_tel_data *d, const char *title, const uint64_t *bin, unsigned int n,
	 const char *(*name)(unsigned int bin))
{
	struct rte_tel_data *hist = sub_dict();

	if (hist == NULL)
		return -ENOMEM;
	for (unsigned int i = 0; i < n; i++)
		rte_tel_data_add_dict_uint(hist, name(i), bin[i]);
	put_dict(d, title, hist);
	return 0;
}

/* Counted unless stall-ms=0. */
static int
add_fill(const struct question *q, const char *title, bool tx)
{
	uint64_t bin[VRING_STALL_FILL_BINS];

	vring_stall_fill(q->port, tx, q->queue, bin);
	return add_hist(q->d, title, bin, VRING_STALL_FILL_BINS, vring_stall_fill_name);
}

/* Packets' sizes are counted unless stats=0. */
static int
answer_hist(const struct question *q)
{
	const struct rte_eth_dev *dev = q->port->dev;
	bool sizes = q->port->args.stats;
	struct vnet_stats rx, tx;
	int rc;

	rte_tel_data_start_dict(q->d);
	vring_stats_rxq(dev, q->queue, &rx);
	vring_stats_txq(dev, q->queue, &tx);
	rc = add_hist(q->d, "rx_bursts", rx.burst_bin, VNET_BURST_BINS, vnet_burst_bin_name);
	if (rc == 0)
		rc = add_hist(q->d, "tx_bursts", tx.burst_bin, VNET_BURST_BINS,
			      vnet_burst_bin_name);
	if (rc == 0 && q->port->args.stall_ms != 0)
		rc = add_fill(q, "rx_fill", false);
	if (rc == 0 && q->port->args.stall_ms != 0)
		rc = add_fill(q, "tx_fill", true);
	if (rc == 0 && sizes)
		rc = add_hist(q->d, "rx_packets", rx.size_bin, VNET_SIZE_BINS,
			      vnet_size_bin_name);
	if (rc == 0 && sizes)
		rc = add_hist(q->d, "tx_packets", tx.size_bin, VNET_SIZE_BINS,
			      vnet_size_bin_name);
	return rc;
}

static void
add_names(struct rte_tel_data *d, const char *title, uint64_t bits,
	  const char *(*name)(unsigned int bit, char *buf, size_t size))
{
	struct rte_tel_data *names = rte_tel_data_alloc();
	char buf[24];

	if (names == NULL)
		return;
	rte_tel_data_start_array(names, RTE_TEL_STRING_VAL);
	for (unsigned int bit = 0; bit < 64; bit++)
		if (bits & VIRTQ_BIT(bit))
			rte_tel_data_add_array_string(names, name(bit, buf, sizeof(buf)));
	put_dict(d, title, names);
}

static int
answer_features(const struct question *q)
{
	rte_tel_data_start_dict(q->d);
	add_names(q->d, "offered", q->port->offered, vhost_names_feature);
	add_names(q->d, "negotiated", q->port->features, vhost_names_feature);
	add_names(q->d, "protocol", q->port->protocol_features, vhost_names_protocol_feature);
	return 0;
}

void
vring_telemetry_region(struct rte_tel_data *d, unsigned int i, uint64_t guest, uint64_t frontend,
		       uint64_t bytes)
{
	struct rte_tel_data *region = sub_dict();
	char name[24];

	if (region == NULL)
		return;
	vring_telemetry_hex(region, "guest_address", guest);
	vring_telemetry_hex(region, "frontend_address", frontend);
	rte_tel_data_add_dict_uint(region, "bytes", bytes);
	snprintf(name, sizeof(name), "region_%u", i);
	put_dict(d, name, region);
}

static int
answer_memory(const struct question *q)
{
	rte_tel_data_start_dict(q->d);
	vring_role_of(q->port)->memory(q->port, q->d);
	return 0;
}

static const struct command commands[] = {
	{ "/net_vring/status", 1, 1, answer_status,
	  "Session and state of a port. Parameters: int port_id" },
	{ "/net_vring/queues", 1, 2, answer_queues,
	  "Vrings of a port, or all of one queue pair. Parameters: int port_id[, int queue_id]" },
	{ "/net_vring/hist", 2, 2, answer_hist,
	  "Sizes of a queue's bursts and packets. Parameters: int port_id, int queue_id" },
	{ "/net_vring/features", 1, 1, answer_features,
	  "Features offered and negotiated. Parameters: int port_id" },
	{ "/net_vring/memory", 1, 1, answer_memory,
	  "Guest memory that a port maps. Parameters: int port_id" },
};

static int
answer_command(const char *cmd, const char *params, struct rte_tel_data *d)
{
	for (unsigned int i = 0; i < RTE_DIM(commands); i++)
		if (strcmp(cmd, commands[i].name) == 0)
			return answer_params(&commands[i], params, d);
	return -EINVAL;
}

static int
add_port_id(struct vring_port *port, void *d)
{
	return rte_tel_data_add_array_int(d, port->dev->data->port_id);
}

static int
answer_list(const char *cmd, const char *params, struct rte_tel_data *d)
{
	rte_tel_data_start_array(d, RTE_TEL_INT_VAL);
	vring_registry_each(add_port_id, d);
	return 0;
}

RTE_INIT(vring_telemetry_init)
{
	rte_telemetry_register_cmd("/net_vring/list", answer_list,
				   "Ports of this driver. Takes no parameters");
	for (unsigned int i = 0; i < RTE_DIM(commands); i++)
		rte_telemetry_register_cmd(commands[i].name, answer_command, commands[i].help);
}
