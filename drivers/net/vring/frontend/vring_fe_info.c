/* SPDX-License-Identifier: BSD-3-Clause */
/* What a front-end tells of itself: telemetry, and the dump of its private state. */

#include <inttypes.h>
#include <stdio.h>

#include <rte_telemetry.h>

#include "vring_fe.h"
#include "vring_telemetry.h"

static const char *
mode(const struct vring_fe *fe)
{
	if (fe->vdpa)
		return "vdpa";
	return fe->port->args.server ? "server" : "client";
}

static unsigned int
notifiers(const struct vring_fe *fe)
{
	unsigned int qid, n = 0;

	for (qid = 0; fe->running && qid < 2u * fe->pairs; qid++)
		n += fe->ring[qid].ring != NULL && fe->ring[qid].ring->notifier != NULL;
	return n;
}

void
vring_fe_status(struct vring_port *port, struct rte_tel_data *d)
{
	const struct vring_fe *fe = port->fe;
	uint64_t up_ms = port->connected ? (evloop_now_ns() - fe->up_since_ns) / 1000000 : 0;

	rte_tel_data_add_dict_string(d, "mode", mode(fe));
	rte_tel_data_add_dict_string(d, fe->vdpa ? "device" : "socket", port->args.path);
	rte_tel_data_add_dict_int(d, "connected", port->connected);
	rte_tel_data_add_dict_u64(d, "connected_ms", up_ms);
	rte_tel_data_add_dict_u64(d, "connects", port->session.connects);
	rte_tel_data_add_dict_u64(d, "disconnects", port->session.disconnects);
	rte_tel_data_add_dict_string(d, "last_disconnect", fe->why);
	rte_tel_data_add_dict_u64(d, "memory_regions", fe->mem.n);
	rte_tel_data_add_dict_int(d, "device_pairs", fe->max_pairs);
	rte_tel_data_add_dict_int(d, "pairs_in_use", fe->running ? fe->pairs : 0);
	rte_tel_data_add_dict_int(d, "control_queue", fe->cvq.ring != NULL);
	rte_tel_data_add_dict_int(d, "doorbells", notifiers(fe));
	vring_telemetry_hex(d, "receive_offloads", fe->running ? fe->guest_offloads : 0);
	vring_telemetry_hex(d, "device_status", fe->dev.status);
	if (fe->vdpa)
		vring_telemetry_hex(d, "backend_features", fe->dev.backend);
}

void
vring_fe_memory(struct vring_port *port, struct rte_tel_data *d)
{
	struct vring_fe_mem *mem = &port->fe->mem;
	uint32_t i;

	pthread_mutex_lock(&mem->lock);
	rte_tel_data_add_dict_u64(d, "regions", mem->n);
	rte_tel_data_add_dict_u64(d, "bytes", vring_regions_bytes(mem->region, mem->n));
	for (i = 0; i < mem->n; i++)
		vring_telemetry_region(d, i, mem->region[i].iova, (uintptr_t)mem->region[i].addr,
				       mem->region[i].size);
	pthread_mutex_unlock(&mem->lock);
}

void
vring_fe_dump(struct vring_port *port, FILE *f)
{
	const struct vring_fe *fe = port->fe;

	fprintf(f, "path: %s (%s)\n", port->args.path, mode(fe));
	fprintf(f, "connected: %s, %" PRIu64 " times so far, last end: %s\n",
		port->connected ? "yes" : "no", port->session.connects,
		fe->why[0] != '\0' ? fe->why : "none");
	fprintf(f, "queue pairs: %u of the %s, %u in use\n", fe->max_pairs, vring_fe_peer(fe),
		fe->running ? fe->pairs : 0);
	fprintf(f, "control queue: %s\n", fe->cvq.ring != NULL ? "yes" : "no");
	fprintf(f, "doorbells: %u\n", notifiers(fe));
	fprintf(f, "memory regions: %u\n", fe->mem.n);
	fprintf(f, "device status: 0x%02x\n", fe->dev.status);
}
