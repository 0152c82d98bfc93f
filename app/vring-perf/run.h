/* SPDX-License-Identifier: BSD-3-Clause */
/* The worker processes: started, told what to do, and ended. */
#ifndef PERF_RUN_H
#define PERF_RUN_H

#include "stats.h"

/* Say why in one line, clean up, and end with status 1. */
void perf_fail(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* Before all else: whatever ends this process, nothing of it stays. */
void perf_run_init(const struct perf_options *o);

/* A back-end and a front-end for each pair, with rings of this layout. */
void perf_run_start(bool packed);
void perf_run_stop(void);

/* Cycles a second; known once workers have started. */
double perf_run_tsc_hz(void);

/* How far the cores are from each other now: cycles of a line's round trip. */
uint32_t perf_run_distance(void);

/* One slice of one pair. */
void perf_run_slice(uint32_t pair, enum perf_path path, uint32_t size, double v[PERF_FIGURES]);

#endif /* PERF_RUN_H */
