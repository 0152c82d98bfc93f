/* SPDX-License-Identifier: BSD-3-Clause */
/* Figures of slices, rounds of slices, and lines of rounds. */
#ifndef PERF_STATS_H
#define PERF_STATS_H

#include "options.h"

/* What one slice of one pair gives. */
enum perf_figure {
	PERF_CYCLES,		/* a packet, median over full bursts */
	PERF_CYCLES_P10, PERF_CYCLES_P90, PERF_CYCLES_P99,	/* the same, other quantiles */
	PERF_MPPS,		/* millions of packets delivered a second, median over windows */
	PERF_BUSY,		/* per cent of cycles in bursts not for nothing, same */
	PERF_P50, PERF_P90, PERF_P99, PERF_P999,	/* of a ping's round trips, in ns */
	PERF_EMPTY,		/* cycles of an empty poll */
	PERF_IDLE,		/* cycles of a poll of an idle port in turn */
	PERF_EMPTY_POLLS,	/* how many */
	PERF_OFFERED, PERF_SENT, PERF_RECEIVED,	/* packets, flat out, from end to end */
	PERF_BEFORE, PERF_AFTER,	/* cycles of a line's round trip */
	PERF_FIGURES
};

/* A slice of each pair. */
struct perf_round {
	uint32_t number;
	double v[PERF_PAIRS][PERF_FIGURES];
	bool like;	/* counts: its slices saw the same distance of the cores, all lines moved */
};

/* All rounds of one layout, path and size. */
struct perf_line {
	bool packed;
	enum perf_path path;
	uint32_t size;
	uint32_t pairs;
	uint32_t distance;	/* rounds beyond it do not count; 0: any may */
	uint32_t nrounds;
	struct perf_round *rounds;
};

/* Over the rounds of a line that count. */
struct perf_spread {
	uint32_t n;	/* 0: nothing counts, and the rest is 0 */
	double median, p10, p90;
};

/* Everything that a run gave. */
struct perf_report {
	const struct perf_options *options;
	double tsc_hz;
	uint32_t nlines;
	struct perf_line *lines;
};

/* Cycles of bursts, pings or polls: value at quantile q of n sorted ones; 0 for n = 0. */
uint32_t perf_sorted_quantile(const uint32_t *v, uint32_t n, double q);

void perf_sort(uint32_t *v, uint32_t n);

/*
 * Of n values in any order, which are sorted in place; between two of them where q falls between
 * them; 0 for n = 0.
 */
double perf_quantile(double *v, uint32_t n, double q);

/*
 * The figures of a slice of which both ends gave their results; sorts the samples. Cycles or
 * latencies are 0 where there were hardly any.
 */
void perf_slice_figures(struct perf_result result[PERF_ROLES], const struct perf_job *job,
	double tsc_hz, double v[PERF_FIGURES]);

/* Cycles of a line's round trip in this round, mean over its slices. */
double perf_distance(const struct perf_round *r, uint32_t pairs);

/* Do all slices of a round say the same of the distance, a good one, and measured something? */
bool perf_round_like(const struct perf_line *l, const struct perf_round *r);

/* Mark the rounds that count: like in themselves, and like most of the line so far. */
void perf_settle(struct perf_line *l);

/* The figure that a path is about: cycles, or the median round trip. */
enum perf_figure perf_main_figure(enum perf_path path);

/* Has a slice of this path this figure? */
bool perf_has_figure(enum perf_path path, enum perf_figure f);

/* As in JSON and CSV. */
const char *perf_figure_name(enum perf_figure f);

struct perf_spread perf_spread(const struct perf_line *l, uint32_t pair, enum perf_figure f);

/* B's main figure divided by A's, in a round and over the rounds. */
double perf_round_ratio(const struct perf_line *l, const struct perf_round *r);
struct perf_spread perf_ratio(const struct perf_line *l);
struct perf_spread perf_distances(const struct perf_line *l);

#endif /* PERF_STATS_H */
