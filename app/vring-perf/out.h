/* SPDX-License-Identifier: BSD-3-Clause */
/* What a user sees of the figures. */
#ifndef PERF_OUT_H
#define PERF_OUT_H

#include "stats.h"

/* The settings, in one line. */
void perf_table_settings(FILE *f, const struct perf_options *o);

/* Heading of the lines of this path; those of PERF_LATENCY have columns of their own. */
void perf_table_head(FILE *f, const struct perf_options *o, enum perf_path path);

/* One line, settled. */
void perf_table_line(FILE *f, const struct perf_options *o, const struct perf_line *l);

/* Names of the columns, and a line for each round, those that do not count included. */
void perf_csv_head(FILE *f);
void perf_csv_line(FILE *f, const struct perf_line *l);

/* All of a run as one JSON object. */
void perf_json(FILE *f, const struct perf_report *r);

/* All of a run as a bar chart. */
void perf_plot(FILE *f, const struct perf_report *r);

#endif /* PERF_OUT_H */
