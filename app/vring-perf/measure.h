/* SPDX-License-Identifier: BSD-3-Clause */
/* All lines of the table, one after the other. */
#ifndef PERF_MEASURE_H
#define PERF_MEASURE_H

#include "stats.h"

/* Where each finished line goes; NULL: nowhere. */
struct perf_sinks {
	FILE *table, *csv;
};

/*
 * Measure all that the options ask for. The report is filled, its lines are allocated. Progress
 * goes to stderr; a failure ends the program.
 */
void perf_measure(const struct perf_options *o, const struct perf_sinks *sinks,
	struct perf_report *report);

#endif /* PERF_MEASURE_H */
