/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ports of this process, and what telemetry tells of them.
 *
 * Telemetry has a thread of its own. The list's lock keeps a port in being while it is asked;
 * its state is read in the control thread, which never takes that lock.
 */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include <rte_string_fns.h>
#include <rte_telemetry.h>

#include "vring_info.h"

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static TAILQ_HEAD(, vring_port) ports = TAILQ_HEAD_INITIALIZER(ports);

int
vring_list_add(struct vring_port *port, char *other)
{
	struct vring_port *p;
	int ret = 0;

	pthread_mutex_lock(&list_lock);
	TAILQ_FOREACH(p, &ports, next)
		if (strcmp(p->args.iface, port->args.iface) == 0 &&
		    strcmp(p->args.path, port->args.path) == 0) {
			rte_strscpy(other, p->name, RTE_ETH_NAME_MAX_LEN);
			ret = -EEXIST;
			break;
		}
	if (ret == 0)
		TAILQ_INSERT_TAIL(&ports, port, next);
	pthread_mutex_unlock(&list_lock);
	return ret;
}

void
vring_list_remove(struct vring_port *port)
{
	pthread_mutex_lock(&list_lock);
	TAILQ_REMOVE(&ports, port, next);
	pthread_mutex_unlock(&list_lock);
}

void
vring_list_show(struct vring_port *port, bool open)
{
	pthread_mutex_lock(&list_lock);
	port->open = open;
	pthread_mutex_unlock(&list_lock);
}

static int
list(const char *cmd __rte_unused, const char *params __rte_unused, struct rte_tel_data *d)
{
	struct vring_port *p;

	rte_tel_data_start_array(d, RTE_TEL_INT_VAL);
	pthread_mutex_lock(&list_lock);
	TAILQ_FOREACH(p, &ports, next)
		if (p->open)
			rte_tel_data_add_array_int(d, p->dev->data->port_id);
	pthread_mutex_unlock(&list_lock);
	return 0;
}

struct question {
	struct vring_port *port;
	struct rte_tel_data *d;
	int (*answer)(struct vring_port *port, struct rte_tel_data *d);
};

static int
answer_in_ctrl(void *arg)
{
	const struct question *q = arg;

	return q->answer(q->port, q->d);
}

/* Lock held. Ports that are being made or removed are not there. */
static struct vring_port *
find(const char *params)
{
	struct vring_port *p;
	unsigned long id;
	char *end;

	if (params == NULL || *params < '0' || *params > '9')
		return NULL;
	id = strtoul(params, &end, 10);
	if (*end != '\0')
		return NULL;
	TAILQ_FOREACH(p, &ports, next)
		if (p->open && p->dev->data->port_id == id)
			return p;
	return NULL;
}

typedef int (*answer_fn)(struct vring_port *port, struct rte_tel_data *d);

static int
ask(const char *params, struct rte_tel_data *d, answer_fn answer)
{
	struct question q = { .d = d, .answer = answer };
	int ret = -EINVAL;

	pthread_mutex_lock(&list_lock);
	q.port = find(params);
	if (q.port != NULL)
		ret = vhu_loop_call(q.port->loop, answer_in_ctrl, &q);
	pthread_mutex_unlock(&list_lock);
	return ret;
}

void
vring_tel_hex(struct rte_tel_data *d, const char *name, uint64_t value)
{
	char text[20];

	snprintf(text, sizeof(text), "0x%" PRIx64, value);
	rte_tel_data_add_dict_string(d, name, text);
}

static void
add_session(struct rte_tel_data *d, const struct vhu_be_info *info)
{
	uint64_t up_ms = info->connected ? (vhu_now_ns() - info->connected_since_ns) / 1000000 : 0;

	rte_tel_data_add_dict_int(d, "connected", info->connected);
	rte_tel_data_add_dict_u64(d, "connected_ms", up_ms);
	rte_tel_data_add_dict_u64(d, "connects", info->connects);
	rte_tel_data_add_dict_u64(d, "disconnects", info->disconnects);
	rte_tel_data_add_dict_string(d, "last_disconnect", info->last_disconnect);
	rte_tel_data_add_dict_u64(d, "messages", info->messages);
	rte_tel_data_add_dict_u64(d, "refused", info->nacks);
	rte_tel_data_add_dict_u64(d, "framing_errors", info->framing_errors);
	rte_tel_data_add_dict_u64(d, "memory_regions", info->nregions);
	vring_tel_hex(d, "device_status", info->status);
}

void
vring_back_status(struct vring_port *port, struct rte_tel_data *d)
{
	struct vhu_be_info info;

	vhu_be_get_info(port->be, &info);
	rte_tel_data_add_dict_string(d, "mode", port->args.client ? "client" : "server");
	rte_tel_data_add_dict_string(d, "socket", port->args.iface);
	add_session(d, &info);
}

static int
answer_status(struct vring_port *port, struct rte_tel_data *d)
{
	const struct rte_eth_dev_data *data = port->dev->data;

	rte_tel_data_start_dict(d);
	rte_tel_data_add_dict_string(d, "name", port->name);
	rte_tel_data_add_dict_string(d, "role", vring_port_role(port)->name);
	rte_tel_data_add_dict_int(d, "started", port->started);
	rte_tel_data_add_dict_int(d, "link", data->dev_link.link_status);
	vring_port_role(port)->status(port, d);
	vring_tel_hex(d, "offered", port->offered);
	vring_tel_hex(d, "features", port->features);
	vring_tel_hex(d, "protocol_features", port->protocol_features);
	rte_tel_data_add_dict_int(d, "queue_pairs", port->pairs);
	rte_tel_data_add_dict_int(d, "rx_queues", data->nb_rx_queues);
	rte_tel_data_add_dict_int(d, "tx_queues", data->nb_tx_queues);
	rte_tel_data_add_dict_int(d, "mtu", data->mtu);
	rte_tel_data_add_dict_int(d, "guest_mtu", port->guest_mtu);
	rte_tel_data_add_dict_int(d, "numa", data->numa_node);
	return 0;
}

static int
status(const char *cmd __rte_unused, const char *params, struct rte_tel_data *d)
{
	return ask(params, d, answer_status);
}

static void
add_ring(struct rte_tel_data *d, const struct vring_port *port, unsigned int qid)
{
	const struct vring_slot *slot = &port->slot[qid];
	const struct virtq_run *run = slot->run;
	uint64_t sent, suppressed;

	rte_tel_data_add_dict_string(d, "state", vring_ring_state(slot));
	if (run != NULL) {
		rte_tel_data_add_dict_string(d, "layout", run->packed ? "packed" : "split");
		rte_tel_data_add_dict_int(d, "size", run->size);
		rte_tel_data_add_dict_int(d, "waiting", vring_ring_waiting(port, qid));
		rte_tel_data_add_dict_int(d, "avail_idx", slot->vq->avail_idx);
		rte_tel_data_add_dict_int(d, "used_idx", slot->vq->used_idx);
	}
	if (slot->vq->broken != VIRTQ_OK)
		rte_tel_data_add_dict_string(d, "error", virtq_error_name(slot->vq->broken));
	vring_port_sides(port)->notified(slot->vq, &sent, &suppressed);
	rte_tel_data_add_dict_u64(d, "calls", sent);
	rte_tel_data_add_dict_u64(d, "calls_suppressed", suppressed);
}

static int
answer_queues(struct vring_port *port, struct rte_tel_data *d)
{
	unsigned int qid;

	rte_tel_data_start_dict(d);
	for (qid = 0; qid < 2u * port->pairs; qid++) {
		struct rte_tel_data *ring = rte_tel_data_alloc();
		char name[24];

		if (ring == NULL)
			return -ENOMEM;
		rte_tel_data_start_dict(ring);
		add_ring(ring, port, qid);
		snprintf(name, sizeof(name), "vring_%u", qid);
		if (rte_tel_data_add_dict_container(d, name, ring, 0) != 0)
			rte_tel_data_free(ring);
	}
	return 0;
}

static int
queues(const char *cmd __rte_unused, const char *params, struct rte_tel_data *d)
{
	return ask(params, d, answer_queues);
}

static void
add_names(struct rte_tel_data *d, const char *title, uint64_t bits,
	  const char *(*name)(unsigned int bit, char *buf, size_t size))
{
	struct rte_tel_data *names = rte_tel_data_alloc();
	unsigned int bit;
	char buf[24];

	if (names == NULL)
		return;
	rte_tel_data_start_array(names, RTE_TEL_STRING_VAL);
	for (bit = 0; bit < 64; bit++)
		if (bits & RTE_BIT64(bit))
			rte_tel_data_add_array_string(names, name(bit, buf, sizeof(buf)));
	if (rte_tel_data_add_dict_container(d, title, names, 0) != 0)
		rte_tel_data_free(names);
}

static int
answer_features(struct vring_port *port, struct rte_tel_data *d)
{
	rte_tel_data_start_dict(d);
	add_names(d, "offered", port->offered, vring_feature_name);
	add_names(d, "negotiated", port->features, vring_feature_name);
	add_names(d, "protocol", port->protocol_features, vring_protocol_feature_name);
	return 0;
}

static int
features(const char *cmd __rte_unused, const char *params, struct rte_tel_data *d)
{
	return ask(params, d, answer_features);
}

void
vring_tel_region(struct rte_tel_data *d, unsigned int i, uint64_t guest, uint64_t frontend,
		 uint64_t bytes)
{
	struct rte_tel_data *region = rte_tel_data_alloc();
	char name[24];

	if (region == NULL)
		return;
	rte_tel_data_start_dict(region);
	vring_tel_hex(region, "guest_address", guest);
	vring_tel_hex(region, "frontend_address", frontend);
	rte_tel_data_add_dict_u64(region, "bytes", bytes);
	snprintf(name, sizeof(name), "region_%u", i);
	if (rte_tel_data_add_dict_container(d, name, region, 0) != 0)
		rte_tel_data_free(region);
}

void
vring_back_memory(struct vring_port *port, struct rte_tel_data *d)
{
	const struct virtq_mem *mem = vhu_be_mem(port->be);
	uint64_t bytes = 0;
	unsigned int i, n = mem == NULL ? 0 : mem->nregions;

	for (i = 0; i < n; i++)
		bytes += mem->region[i].size;
	rte_tel_data_add_dict_u64(d, "regions", n);
	rte_tel_data_add_dict_u64(d, "bytes", bytes);
	for (i = 0; i < n; i++)
		vring_tel_region(d, i, mem->region[i].gpa, mem->region[i].uva,
				 mem->region[i].size);
}

static int
answer_memory(struct vring_port *port, struct rte_tel_data *d)
{
	rte_tel_data_start_dict(d);
	vring_port_role(port)->memory(port, d);
	return 0;
}

static int
memory(const char *cmd __rte_unused, const char *params, struct rte_tel_data *d)
{
	return ask(params, d, answer_memory);
}

RTE_INIT(vring_telemetry_init)
{
	rte_telemetry_register_cmd("/net_vring/list", list,
				   "Ports of this driver. Takes no parameters");
	rte_telemetry_register_cmd("/net_vring/status", status,
				   "Session and state of a port. Parameters: int port_id");
	rte_telemetry_register_cmd("/net_vring/queues", queues,
				   "Vrings of a port. Parameters: int port_id");
	rte_telemetry_register_cmd("/net_vring/features", features,
				   "Features offered and negotiated. Parameters: int port_id");
	rte_telemetry_register_cmd("/net_vring/memory", memory,
				   "Guest memory that a port maps. Parameters: int port_id");
}
