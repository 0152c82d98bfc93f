/* SPDX-License-Identifier: BSD-3-Clause */
/* What a front-end tells of itself: telemetry, and the dump of its private state. */

#include <inttypes.h>
#include <stdio.h>

#include "vring_compat.h"
#include "vring_fe_port.h"
#include "vring_telemetry.h"

static const char *
mode_name(const struct vring_fe *fe)
{
	if (fe->vdpa)
		return "vdpa";
	if (fe->net)
		return "vhost-net";
	return fe->port->args.server ? "server" : "client";
}

void
vring_fe_info_status(struct vring_port *port, struct rte_tel_data *d)
{
	const struct vring_fe *fe = port->fe;
	struct vhost_fe_info info;

	vhost_fe_get_info(fe->session, &info);
	rte_tel_data_add_dict_string(d, "mode", mode_name(fe));
	rte_tel_data_add_dict_string(d, fe->vdpa || fe->net ? "device" : "socket",
				     port->args.path);
	if (fe->net)
		rte_tel_data_add_dict_string(d, "interface", info.tap);
	rte_tel_data_add_dict_int(d, "connected", port->connected);
	vring_telemetry_age(d, "connected_ms", port->connected ? info.up_since_ns : 0);
	rte_tel_data_add_dict_uint(d, "connects", port->session.connects);
	rte_tel_data_add_dict_uint(d, "disconnects", port->session.disconnects);
	rte_tel_data_add_dict_string(d, "last_disconnect", fe->last_end);
	vring_telemetry_age(d, "last_disconnect_ms", port->disconnected_ns);
	rte_tel_data_add_dict_string(d, "last_failure", info.why);
	rte_tel_data_add_dict_uint(d, "memory_regions", fe->mem.n);
	rte_tel_data_add_dict_int(d, "device_pairs", info.limits.max_pairs);
	rte_tel_data_add_dict_int(d, "pairs_in_use", info.pairs);
	rte_tel_data_add_dict_int(d, "control_queue", info.control_queue);
	rte_tel_data_add_dict_int(d, "doorbells", info.notifiers);
	vring_telemetry_hex(d, "receive_offloads", info.guest_offloads);
	vring_telemetry_hex(d, "device_status", info.status);
	if (fe->vdpa)
		vring_telemetry_hex(d, "backend_features", info.backend);
	if (port->args.dirty_log)
		rte_tel_data_add_dict_uint(d, "dirty_pages", info.dirty_pages);
}

void
vring_fe_info_memory(struct vring_port *port, struct rte_tel_data *d)
{
	struct vring_fe_mem *mem = &port->fe->mem;

	pthread_mutex_lock(&mem->lock);
	rte_tel_data_add_dict_uint(d, "regions", mem->n);
	rte_tel_data_add_dict_uint(d, "bytes", vring_fe_region_bytes(mem->region, mem->n));
	for (uint32_t i = 0; i < mem->n; i++)
		vring_telemetry_region(d, i, mem->region[i].iova, (uintptr_t)mem->region[i].addr,
				       mem->region[i].size);
	pthread_mutex_unlock(&mem->lock);
}

void
vring_fe_info_dump(struct vring_port *port, FILE *f)
{
	const struct vring_fe *fe = port->fe;
	struct vhost_fe_info info;

	vhost_fe_get_info(fe->session, &info);
	fprintf(f, "path: %s (%s)\n", port->args.path, mode_name(fe));
	if (fe->net)
		fprintf(f, "interface: %s\n", info.tap);
	fprintf(f, "connected: %s, %" PRIu64 " times so far, last end: %s\n",
		port->connected ? "yes" : "no", port->session.connects,
		fe->last_end[0] != '\0' ? fe->last_end : "none");
	fprintf(f, "last failure: %s\n", info.why[0] != '\0' ? info.why : "none");
	fprintf(f, "queue pairs: %u of the %s, %u in use\n", info.limits.max_pairs,
		vhost_fe_peer(fe->session), info.pairs);
	fprintf(f, "control queue: %s\n", info.control_queue ? "yes" : "no");
	fprintf(f, "doorbells: %u\n", info.notifiers);
	fprintf(f, "memory regions: %u\n", fe->mem.n);
	fprintf(f, "device status: 0x%02x\n", info.status);
}

uint8_t
vring_fe_info_device_status(const struct vring_port *port)
{
	struct vhost_fe_info info;

	vhost_fe_get_info(port->fe->session, &info);
	return info.status;
}
