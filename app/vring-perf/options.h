/* SPDX-License-Identifier: BSD-3-Clause */
/* What the command line says. */
#ifndef PERF_OPTIONS_H
#define PERF_OPTIONS_H

#include <stddef.h>
#include <stdio.h>

#include "perf.h"

enum { PERF_MAX_ROUNDS = 200, PERF_MAX_SIZES = 8 };

/* What it maps: all memory in one piece, or each page on its own. */
enum perf_iommu { PERF_IOMMU_REGIONS = 1, PERF_IOMMU_PAGES = 2 };

struct perf_options {
	enum perf_role measured;
	uint32_t pairs;			/* 1, or 2 to compare */
	const char *driver[PERF_PAIRS];	/* at the measured end: NAME[,KEY=VALUE...] */
	const char *args[PERF_PAIRS];	/* more KEY=VALUE,... for it; NULL: none */
	const char *peer;		/* at the other end; NULL: what DPDK has */
	const char *peer_args;
	const char *plugin;		/* for all processes; NULL: none */
	const char *own_plugin[PERF_PAIRS];	/* for the measured end of A or B instead */
	uint32_t sizes[PERF_MAX_SIZES], nsizes;
	bool split, packed;
	bool path[PERF_PATHS];
	uint32_t mrg, in_order, offloads, vectorized;	/* 0 or 1 */
	uint32_t log;			/* back-ends keep a dirty log: 0: none, 1: all, 2: A's */
	uint32_t iommu;			/* of A's front-end; 0: none, or enum perf_iommu */
	uint32_t queues, ring, burst, idle_ports;
	uint32_t rounds, slice_ms, think;
	uint32_t distance;		/* cycles of a line's round trip at most; 0: any */
	uint32_t cpu[PERF_ROLES];
	bool cpus_given;
	/* Where to write; "-": stdout; NULL: nowhere. */
	const char *csv, *json, *plot;
	bool help, version;
};

/*
 * Fill o from argv, whose strings it keeps. Returns 0, or -EINVAL with one line in why that names
 * the option and what is allowed.
 */
int perf_options_parse(struct perf_options *o, int argc, char **argv, char *why, size_t len);

void perf_usage(FILE *f);

/* Is this ("NAME[,KEY=VALUE...]") a driver of that name? */
bool perf_is_driver(const char *text, const char *name);

/* "NAME[,KEY=VALUE...]" as given, without --a-args and the like. */
const char *perf_driver(const struct perf_options *o, uint32_t pair, enum perf_role role);

/* The argument of EAL's --vdev for port number port; to be freed. */
char *perf_vdev(const struct perf_options *o, uint32_t pair, enum perf_role role, bool packed,
	uint32_t port, const char *socket);

/* The plugin that this worker loads, or NULL. */
const char *perf_plugin(const struct perf_options *o, uint32_t pair, enum perf_role role);

/* Ports of a worker that packets go through; and with the idle ones. */
uint32_t perf_working_ports(const struct perf_options *o);
uint32_t perf_ports(const struct perf_options *o);

/* Size of the mbuf pool, by what the options ask for. */
void perf_pool(const struct perf_options *o, uint32_t *mbufs, uint16_t *room);

/* MiB of hugepages that a worker needs. */
uint32_t perf_memory(const struct perf_options *o);

const char *perf_end_name(enum perf_role role);
const char *perf_path_name(enum perf_path path);

/* "1518" or "imix"; buf has room for 12 bytes. */
const char *perf_size_name(uint32_t size, char *buf);

#endif /* PERF_OPTIONS_H */
