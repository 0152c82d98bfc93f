/* SPDX-License-Identifier: BSD-3-Clause */
#include "stats.h"

#include <stdlib.h>
#include <string.h>

/* Beyond this factor the cores were not equally far from each other. */
#define ALIKE 2.0

/* A median of fewer bursts or pings says more of the scheduler than of the driver. */
enum { ENOUGH = 20 };

static int
by_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static int
by_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static uint32_t
rank_of(uint32_t n, double q)
{
	return (uint32_t)(q * (n - 1) + 0.5);
}

void
perf_sort(uint32_t *v, uint32_t n)
{
	qsort(v, n, sizeof(v[0]), by_u32);
}

uint32_t
perf_sorted_quantile(const uint32_t *v, uint32_t n, double q)
{
	return n == 0 ? 0 : v[rank_of(n, q)];
}

double
perf_quantile(double *v, uint32_t n, double q)
{
	double at;
	uint32_t below;

	if (n == 0)
		return 0;
	qsort(v, n, sizeof(v[0]), by_double);
	at = q * (n - 1);
	below = (uint32_t)at;
	if (below + 1 == n)
		return v[below];
	return v[below] + (at - below) * (v[below + 1] - v[below]);
}

enum perf_figure
perf_main_figure(enum perf_path path)
{
	return path == PERF_LATENCY ? PERF_P50 : PERF_CYCLES;
}

bool
perf_has_figure(enum perf_path path, enum perf_figure f)
{
	if (f >= PERF_CYCLES && f <= PERF_BUSY)
		return path != PERF_LATENCY;
	if (f >= PERF_P50 && f <= PERF_P999)
		return path == PERF_LATENCY;
	return f != PERF_EMPTY_POLLS || path == PERF_RX || perf_forwards(path);
}

const char *
perf_figure_name(enum perf_figure f)
{
	static const char *const names[PERF_FIGURES] = {
		[PERF_CYCLES] = "cycles", [PERF_CYCLES_P10] = "cycles_p10",
		[PERF_CYCLES_P90] = "cycles_p90", [PERF_CYCLES_P99] = "cycles_p99",
		[PERF_MPPS] = "mpps", [PERF_BUSY] = "busy_percent",
		[PERF_P50] = "p50_ns", [PERF_P90] = "p90_ns", [PERF_P99] = "p99_ns",
		[PERF_P999] = "p99_9_ns", [PERF_EMPTY] = "empty_cycles",
		[PERF_IDLE] = "idle_cycles", [PERF_EMPTY_POLLS] = "empty_polls",
		[PERF_OFFERED] = "offered", [PERF_SENT] = "sent", [PERF_RECEIVED] = "received",
		[PERF_BEFORE] = "distance_before", [PERF_AFTER] = "distance_after",
	};

	return names[f];
}

static double
median(uint32_t *v, uint32_t n)
{
	perf_sort(v, n);
	return perf_sorted_quantile(v, n, .5);
}

/* Who sends first, and who receives last. */
static void
ends_of(const struct perf_job *job, enum perf_role *from, enum perf_role *to)
{
	enum perf_role other = job->measured == PERF_BACKEND ? PERF_FRONTEND : PERF_BACKEND;

	switch (job->path) {
	case PERF_RX: *from = other, *to = job->measured; break;
	case PERF_TX: *from = job->measured, *to = other; break;
	case PERF_FORWARD:
	case PERF_VM: *from = *to = other; break;
	default: *from = *to = PERF_FRONTEND; break;
	}
}

static void
burst_figures(struct perf_result *r, const struct perf_job *job, double v[PERF_FIGURES])
{
	static const struct {
		enum perf_figure f;
		double q;
	} wanted[] = {
		{PERF_CYCLES, .5}, {PERF_CYCLES_P10, .1}, {PERF_CYCLES_P90, .9},
		{PERF_CYCLES_P99, .99},
	};

	if (r->nsamples < ENOUGH)
		return;
	perf_sort(r->sample, r->nsamples);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		v[wanted[i].f] = (double)perf_sorted_quantile(r->sample, r->nsamples,
							      wanted[i].q) / job->burst;
}

static void
ping_figures(struct perf_result *r, double tsc_hz, double v[PERF_FIGURES])
{
	static const double q[] = {.5, .9, .99, .999};

	if (r->nsamples < ENOUGH)
		return;
	perf_sort(r->sample, r->nsamples);
	for (int i = 0; i < 4; i++)
		v[PERF_P50 + i] = perf_sorted_quantile(r->sample, r->nsamples, q[i]) * 1e9 /
				  tsc_hz;
}

void
perf_slice_figures(struct perf_result result[PERF_ROLES], const struct perf_job *job,
	double tsc_hz, double v[PERF_FIGURES])
{
	struct perf_result *r = &result[job->measured];
	const struct perf_count *sender, *receiver;
	enum perf_role from, to;

	memset(v, 0, PERF_FIGURES * sizeof(v[0]));
	ends_of(job, &from, &to);
	sender = &result[from].half[PERF_FLAT_OUT];
	receiver = &result[to].half[PERF_FLAT_OUT];
	if (job->path == PERF_LATENCY) {
		ping_figures(&result[PERF_FRONTEND], tsc_hz, v);
	} else {
		burst_figures(r, job, v);
		v[PERF_MPPS] = median(result[to].rate, result[to].nrates) / 1e6;
		v[PERF_BUSY] = median(r->share, r->nshares) / 100.0;
	}
	v[PERF_IDLE] = median(r->idle, r->nidle);
	v[PERF_EMPTY] = r->empty_cycles;
	v[PERF_EMPTY_POLLS] = r->half[PERF_FLAT_OUT].empty_polls;
	v[PERF_OFFERED] = sender->offered;
	v[PERF_SENT] = sender->sent;
	v[PERF_RECEIVED] = receiver->received;
}

double
perf_distance(const struct perf_round *r, uint32_t pairs)
{
	double sum = 0;

	for (uint32_t p = 0; p < pairs; p++)
		sum += r->v[p][PERF_BEFORE] + r->v[p][PERF_AFTER];
	return sum / (2 * pairs);
}

bool
perf_round_like(const struct perf_line *l, const struct perf_round *r)
{
	double low = r->v[0][PERF_BEFORE], high = low;

	for (uint32_t p = 0; p < l->pairs; p++) {
		if (r->v[p][perf_main_figure(l->path)] <= 0)
			return false;
		for (int f = PERF_BEFORE; f <= PERF_AFTER; f++) {
			low = r->v[p][f] < low ? r->v[p][f] : low;
			high = r->v[p][f] > high ? r->v[p][f] : high;
		}
	}
	return high <= ALIKE * low && (l->distance == 0 || high <= l->distance);
}

void
perf_settle(struct perf_line *l)
{
	double median;

	for (uint32_t i = 0; i < l->nrounds; i++)
		l->rounds[i].like = perf_round_like(l, &l->rounds[i]);
	median = perf_distances(l).median;
	for (uint32_t i = 0; i < l->nrounds; i++) {
		double d = perf_distance(&l->rounds[i], l->pairs);

		if (d > ALIKE * median || median > ALIKE * d)
			l->rounds[i].like = false;
	}
}

double
perf_round_ratio(const struct perf_line *l, const struct perf_round *r)
{
	enum perf_figure f = perf_main_figure(l->path);

	return l->pairs < 2 || r->v[0][f] <= 0 ? 0 : r->v[1][f] / r->v[0][f];
}

/* Over the rounds that count, of what get() says of a round. */
static struct perf_spread
spread_of(const struct perf_line *l,
	double (*get)(const struct perf_line *l, const struct perf_round *r, int what), int what)
{
	double v[2 * PERF_MAX_ROUNDS];
	struct perf_spread s = {0};

	for (uint32_t i = 0; i < l->nrounds; i++)
		if (l->rounds[i].like)
			v[s.n++] = get(l, &l->rounds[i], what);
	s.median = perf_quantile(v, s.n, .5);
	s.p10 = perf_quantile(v, s.n, .1);
	s.p90 = perf_quantile(v, s.n, .9);
	return s;
}

static double
get_figure(const struct perf_line *l, const struct perf_round *r, int what)
{
	return r->v[what / PERF_FIGURES][what % PERF_FIGURES];
}

static double
get_ratio(const struct perf_line *l, const struct perf_round *r, int what)
{
	return perf_round_ratio(l, r);
}

static double
get_distance(const struct perf_line *l, const struct perf_round *r, int what)
{
	return perf_distance(r, l->pairs);
}

struct perf_spread
perf_spread(const struct perf_line *l, uint32_t pair, enum perf_figure f)
{
	return spread_of(l, get_figure, (int)(pair * PERF_FIGURES + f));
}

struct perf_spread
perf_ratio(const struct perf_line *l)
{
	return spread_of(l, get_ratio, 0);
}

struct perf_spread
perf_distances(const struct perf_line *l)
{
	return spread_of(l, get_distance, 0);
}
