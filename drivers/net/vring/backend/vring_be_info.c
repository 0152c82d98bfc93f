/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a back-end says of itself: its capabilities, the counters of its session, telemetry, and the
 * dump of its private state.
 */

#include <inttypes.h>

#include "vhost_be.h"
#include "vring_be_info.h"
#include "vring_compat.h"
#include "vring_numa.h"
#include "vring_rss.h"
#include "vring_telemetry.h"

void
vring_be_info(const struct vring_port *port, struct rte_eth_dev_info *info)
{
	/*
	 * SCATTER: frames larger than an element of the pool are taken. LRO: merged packets of a
	 * guest, should it send any, are taken whole. Checksums and segmentation hold whatever a
	 * guest negotiates, since software does what it does not.
	 */
	info->rx_offload_capa = RTE_ETH_RX_OFFLOAD_SCATTER | RTE_ETH_RX_OFFLOAD_VLAN_STRIP |
				RTE_ETH_RX_OFFLOAD_VLAN_FILTER | RTE_ETH_RX_OFFLOAD_RSS_HASH |
				RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM |
				RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_LRO;
	info->hash_key_size = VNET_HASH_KEY;
	info->flow_type_rss_offloads = vring_rss_hf(VNET_HASH_TYPES);
	info->max_lro_pkt_size = UINT16_MAX;
	info->tx_offload_capa = RTE_ETH_TX_OFFLOAD_MULTI_SEGS | RTE_ETH_TX_OFFLOAD_VLAN_INSERT |
				RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM |
				RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_SCTP_CKSUM |
				RTE_ETH_TX_OFFLOAD_TCP_TSO |
				RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
}

void
vring_be_info_count(struct vring_port *port)
{
	struct vhost_be_info info;

	if (port->be == NULL)
		return;
	vhost_be_get_info(port->be, &info);
	port->session.connects = info.connects;
	port->session.disconnects = info.disconnects;
	port->session.messages = info.messages;
	port->session.nacks = info.nacks;
	port->session.framing_errors = info.framing_errors;
}

static void
add_be_session(struct rte_tel_data *d, const struct vring_port *port,
	       const struct vhost_be_info *info)
{
	rte_tel_data_add_dict_int(d, "connected", info->connected);
	vring_telemetry_age(d, "connected_ms", info->connected ? info->connected_since_ns : 0);
	rte_tel_data_add_dict_uint(d, "connects", info->connects);
	rte_tel_data_add_dict_uint(d, "disconnects", info->disconnects);
	rte_tel_data_add_dict_string(d, "last_disconnect", info->last_disconnect);
	vring_telemetry_age(d, "last_disconnect_ms", port->disconnected_ns);
	rte_tel_data_add_dict_uint(d, "messages", info->messages);
	rte_tel_data_add_dict_uint(d, "refused", info->nacks);
	rte_tel_data_add_dict_uint(d, "framing_errors", info->framing_errors);
	rte_tel_data_add_dict_uint(d, "memory_regions", info->nregions);
	rte_tel_data_add_dict_int(d, "memory_sealed", info->mem_sealed);
	vring_telemetry_hex(d, "device_status", info->status);
}

static void
add_be_iotlb(struct rte_tel_data *d, const struct vhost_be_info *info)
{
	rte_tel_data_add_dict_uint(d, "iotlb_ranges", info->iotlb_ranges);
	rte_tel_data_add_dict_uint(d, "iotlb_misses", info->iotlb_misses);
	rte_tel_data_add_dict_uint(d, "iotlb_updates", info->iotlb_updates);
	rte_tel_data_add_dict_uint(d, "iotlb_invalidations", info->iotlb_invalidations);
}

void
vring_be_info_status(struct vring_port *port, struct rte_tel_data *d)
{
	struct vhost_be_info info;

	vhost_be_get_info(port->be, &info);
	rte_tel_data_add_dict_string(d, "mode", port->args.client ? "client" : "server");
	rte_tel_data_add_dict_string(d, "socket", port->args.iface);
	add_be_session(d, port, &info);
	rte_tel_data_add_dict_int(d, "memory_numa", vring_numa_node(port));
	rte_tel_data_add_dict_int(d, "queues_numa", port->placed);
	if (port->args.iommu)
		add_be_iotlb(d, &info);
}

void
vring_be_info_memory(struct vring_port *port, struct rte_tel_data *d)
{
	const struct virtq_mem *mem = vhost_be_get_mem(port->be);
	uint64_t bytes = 0;
	unsigned int n = mem == NULL ? 0 : mem->nregions;

	for (unsigned int i = 0; i < n; i++)
		bytes += mem->region[i].size;
	rte_tel_data_add_dict_uint(d, "regions", n);
	rte_tel_data_add_dict_uint(d, "bytes", bytes);
	for (unsigned int i = 0; i < n; i++)
		vring_telemetry_region(d, i, mem->region[i].gpa, mem->region[i].uva,
				       mem->region[i].size);
}

void
vring_be_info_dump(struct vring_port *port, FILE *f)
{
	struct vhost_be_info info;

	vhost_be_get_info(port->be, &info);
	fprintf(f, "iface: %s (%s)\n", port->args.iface, port->args.client ? "client" : "server");
	fprintf(f, "connected: %s, %" PRIu64 " times so far, last end: %s\n",
		info.connected ? "yes" : "no", info.connects,
		info.last_disconnect[0] != '\0' ? info.last_disconnect : "none");
	fprintf(f, "messages: %" PRIu64 ", refused %" PRIu64 ", framing errors %" PRIu64 "\n",
		info.messages, info.nacks, info.framing_errors);
	fprintf(f, "memory regions: %u\n", info.nregions);
	fprintf(f, "NUMA nodes: guest's memory %d, queues %d, port %d\n", vring_numa_node(port),
		port->placed, port->dev->data->numa_node);
	fprintf(f, "device status: 0x%02x\n", info.status);
}

uint8_t
vring_be_info_device_status(const struct vring_port *port)
{
	struct vhost_be_info info;

	vhost_be_get_info(port->be, &info);
	return info.status;
}
