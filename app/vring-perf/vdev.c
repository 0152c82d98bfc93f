/* SPDX-License-Identifier: BSD-3-Clause */
/* What the options mean for the ports and the memory of a worker. */
#include "options.h"

#include <stdlib.h>
#include <string.h>

enum { HEADROOM = 128, MBUF_OVERHEAD = 384, POOL_MIN = 8191, PAGES_MIN = 2047 };

const char *
perf_path_name(enum perf_path path)
{
	static const char *const names[PERF_PATHS] = {
		[PERF_RX] = "rx", [PERF_TX] = "tx", [PERF_FORWARD] = "fwd",
		[PERF_VM] = "vm", [PERF_LATENCY] = "latency",
	};

	return names[path];
}

const char *
perf_size_name(uint32_t size, char *buf)
{
	if (size == PERF_IMIX)
		strcpy(buf, "imix");
	else
		sprintf(buf, "%u", size);
	return buf;
}

const char *
perf_plugin(const struct perf_options *o, uint32_t pair, enum perf_role role)
{
	const char *own = o->own_plugin[pair];

	if (role == o->measured)
		return own != NULL ? own : o->plugin;
	return o->plugin != NULL ? o->plugin : own;
}

/* Arguments that a worker's port has whatever the driver: "" or ",key=value...". */
static void
common_args(const struct perf_options *o, uint32_t pair, enum perf_role role, bool packed,
	uint32_t port, char *buf, size_t len)
{
	const char *driver = perf_driver(o, pair, role);
	const char *iommu = o->iommu != 0 && pair == 0 ? ",iommu-support=1" : "";
	int n;

	if (role == PERF_BACKEND) {
		snprintf(buf, len, ",queues=%u%s%s%s", o->queues, o->offloads ? ",tso=1" : "",
			 iommu, iommu[0] != '\0' && perf_is_driver(driver, "net_vring") ?
					",iommu-keep=1" : "");
		return;
	}
	n = snprintf(buf, len,
		     ",packed_vq=%d,mrg_rxbuf=%u,in_order=%u,queue_size=%u,queues=%u%s%s%s%s",
		     packed, o->mrg, o->in_order, o->ring, o->queues,
		     o->vectorized ? ",vectorized=1" : "",
		     o->log == 1 || (o->log == 2 && pair == 0) ? ",dirty-log=1" : "", iommu,
		     o->iommu == PERF_IOMMU_PAGES && pair == 0 ? ",iommu-pages=1" : "");
	/* DPDK's front-end complains where it has to make an address up. */
	if (perf_is_driver(driver, "net_virtio_user") && strstr(driver, ",mac=") == NULL)
		snprintf(buf + n, len - n, ",mac=02:00:00:00:%02x:%02x", pair, port);
}

char *
perf_vdev(const struct perf_options *o, uint32_t pair, enum perf_role role, bool packed,
	uint32_t port, const char *socket)
{
	const char *name = perf_driver(o, pair, role);
	const char *more = role == o->measured ? o->args[pair] : o->peer_args;
	size_t stem = strcspn(name, ",");
	char common[200], *s;

	common_args(o, pair, role, packed, port, common, sizeof(common));
	if (asprintf(&s, "%.*s%u,%s=%s%s%s%s%s", (int)stem, name, port,
		     role == PERF_BACKEND ? "iface" : "path", socket, common, name + stem,
		     more != NULL ? "," : "", more != NULL ? more : "") < 0)
		return NULL;
	return s;
}

void
perf_pool(const struct perf_options *o, uint32_t *mbufs, uint16_t *room)
{
	/* Each receive queue is filled; those that are busy may be full both ways. */
	uint32_t rings = o->queues * (perf_ports(o) + 2 * perf_working_ports(o));
	const uint32_t least = o->iommu == PERF_IOMMU_PAGES ? PAGES_MIN : POOL_MIN;
	uint32_t largest = 2048 - 256;

	for (uint32_t i = 0; i < o->nsizes; i++)
		if (o->sizes[i] > largest)
			largest = o->sizes[i];
	*room = (uint16_t)(largest + 256 + HEADROOM);
	*mbufs = o->ring * rings + 4 * PERF_MAX_BURST + 512;
	if (*mbufs < least)
		*mbufs = least;
}

uint32_t
perf_memory(const struct perf_options *o)
{
	uint64_t rings = (uint64_t)o->ring * o->queues * perf_ports(o) * 512;
	uint32_t mbufs;
	uint16_t room;

	perf_pool(o, &mbufs, &room);
	/* The rest is DPDK's own and grows with the number of ports. */
	return (uint32_t)(((uint64_t)mbufs * (room + MBUF_OVERHEAD) + rings) >> 20) + 23 +
	       perf_ports(o);
}
