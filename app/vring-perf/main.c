/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vring-perf: what a driver costs, and two drivers side by side.
 *
 * A back-end process and a front-end process, each on its own core, hold a port of a driver and
 * idle ones; to compare, there are two such pairs, and they run in turn, in slices. The figure is
 * the median over bursts of the cycles spent in the driver's own burst calls, for each packet; a
 * time slice stolen from a virtual machine hits a few bursts only. Cores of a virtual machine can
 * be near or far from each other, and that changes every figure: a cache line's round trip is
 * measured before and after each slice.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"
#include "measure.h"
#include "out.h"
#include "run.h"

/* Opened before anything is measured, so that a wrong name costs nothing. */
static FILE *
open_output(const char *path)
{
	FILE *f;

	if (path == NULL)
		return NULL;
	if (strcmp(path, "-") == 0)
		return stdout;
	f = fopen(path, "w");
	if (f == NULL)
		perf_fail("%s: %s", path, strerror(errno));
	return f;
}

static void
close_output(FILE *f, const char *path)
{
	bool bad;

	if (f == NULL)
		return;
	bad = ferror(f) != 0;
	if (fclose(f) != 0 || bad)
		perf_fail("%s: could not be written", path);
}

static void
check_machine(struct perf_options *o)
{
	char why[320];

	if (perf_choose_cpus(o, why, sizeof(why)) != 0 ||
	    perf_check_hugepages(PERF_ROLES * o->pairs, perf_memory(o), why, sizeof(why)) != 0)
		perf_fail("%s", why);
}

static bool
to_stdout(const char *path)
{
	return path != NULL && strcmp(path, "-") == 0;
}

int
main(int argc, char **argv)
{
	struct perf_report report = {0};
	struct perf_sinks sinks = {0};
	struct perf_options o;
	FILE *json, *plot;
	char why[256];

	if (perf_options_parse(&o, argc, argv, why, sizeof(why)) != 0) {
		fprintf(stderr, "vring-perf: %s\n", why);
		return 2;
	}
	if (o.help) {
		perf_usage(stdout);
		return 0;
	}
	if (o.version) {
		puts("vring-perf " PERF_VERSION);
		return 0;
	}
	check_machine(&o);
	perf_run_init(&o);
	sinks.csv = open_output(o.csv);
	json = open_output(o.json);
	plot = open_output(o.plot);
	if (!to_stdout(o.csv) && !to_stdout(o.json) && !to_stdout(o.plot))
		sinks.table = stdout;
	perf_measure(&o, &sinks, &report);
	if (json != NULL)
		perf_json(json, &report);
	if (plot != NULL)
		perf_plot(plot, &report);
	if (sinks.csv != stdout)
		close_output(sinks.csv, o.csv);
	if (json != stdout)
		close_output(json, o.json);
	if (plot != stdout)
		close_output(plot, o.plot);
	close_output(stdout, "output");
	for (uint32_t i = 0; i < report.nlines; i++)
		free(report.lines[i].rounds);
	free(report.lines);
	return 0;
}
