/* SPDX-License-Identifier: BSD-3-Clause */
#include "machine.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#define HUGEPAGES "/sys/kernel/mm/hugepages"

static uint32_t
allowed_cpus(cpu_set_t *set, uint32_t first[PERF_ROLES])
{
	uint32_t n = 0;

	CPU_ZERO(set);
	if (sched_getaffinity(0, sizeof(*set), set) != 0)
		return 0;
	for (uint32_t i = 0; i < CPU_SETSIZE; i++) {
		if (!CPU_ISSET(i, set))
			continue;
		if (n < PERF_ROLES)
			first[n] = i;
		n++;
	}
	return n;
}

int
perf_choose_cpus(struct perf_options *o, char *why, size_t len)
{
	uint32_t first[PERF_ROLES];
	cpu_set_t set;
	uint32_t n = allowed_cpus(&set, first);

	if (n < PERF_ROLES) {
		snprintf(why, len, "two CPUs are needed, one for each end, and this process may "
			 "use %u: see taskset and cgroups", n);
		return -ENODEV;
	}
	if (!o->cpus_given) {
		o->cpu[PERF_FRONTEND] = first[0];
		o->cpu[PERF_BACKEND] = first[1];
	}
	for (int role = 0; role < PERF_ROLES; role++)
		if (o->cpu[role] >= CPU_SETSIZE || !CPU_ISSET(o->cpu[role], &set)) {
			snprintf(why, len, "--cpus: this process may not use CPU %u: see lscpu, "
				 "taskset and cgroups", o->cpu[role]);
			return -ENODEV;
		}
	return 0;
}

static uint64_t
count_in(const char *dir, const char *file)
{
	unsigned long n = 0;
	char path[320];
	FILE *f;

	snprintf(path, sizeof(path), HUGEPAGES "/%s/%s", dir, file);
	f = fopen(path, "r");
	if (f == NULL)
		return 0;
	if (fscanf(f, "%lu", &n) != 1)
		n = 0;
	fclose(f);
	return n;
}

int
perf_check_hugepages(uint32_t processes, uint32_t mib, char *why, size_t len)
{
	uint64_t need = (uint64_t)processes * mib << 20;
	uint64_t bytes = 0, pages = 0, smallest = UINT64_MAX;
	char dir[64] = "hugepages-2048kB";
	const struct dirent *entry;
	DIR *d = opendir(HUGEPAGES);

	while (d != NULL && (entry = readdir(d)) != NULL) {
		unsigned long kib;
		uint64_t n;

		if (sscanf(entry->d_name, "hugepages-%lukB", &kib) != 1 || kib == 0)
			continue;
		n = count_in(entry->d_name, "free_hugepages");
		pages += n;
		bytes += n * kib << 10;
		if (kib < smallest >> 10) {
			smallest = (uint64_t)kib << 10;
			snprintf(dir, sizeof(dir), "hugepages-%lukB", kib);
		}
	}
	if (d != NULL)
		closedir(d);
	if (bytes >= need && pages >= processes)
		return 0;
	if (smallest == UINT64_MAX)
		smallest = 2 << 20;
	snprintf(why, len, "%u processes need %u MiB of hugepages each, and %lu MiB are free: "
		 "echo %lu > " HUGEPAGES "/%s/nr_hugepages", processes, mib,
		 (unsigned long)(bytes >> 20),
		 (unsigned long)(count_in(dir, "nr_hugepages") +
				 (need > bytes ? (need - bytes + smallest - 1) / smallest : 1) +
				 processes), dir);
	return -ENOMEM;
}
