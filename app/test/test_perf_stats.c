/* SPDX-License-Identifier: BSD-3-Clause */
/* vring-perf: figures of slices, and which rounds count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "stats.h"

#define near(a, b) assert_true((a) > (b) - 1e-6 && (a) < (b) + 1e-6)

static struct perf_result results[PERF_ROLES];
static struct perf_round rounds[8];

static void
test_quantiles(void **state)
{
	uint32_t v[] = {5, 1, 4, 2, 3};
	double d[] = {3, 1, 2}, even[] = {8, 1, 4, 2};

	perf_sort(v, 5);
	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(v[i], i + 1);
	assert_int_equal(perf_sorted_quantile(v, 5, .5), 3);
	assert_int_equal(perf_sorted_quantile(v, 5, 0), 1);
	assert_int_equal(perf_sorted_quantile(v, 5, 1), 5);
	assert_int_equal(perf_sorted_quantile(v, 0, .5), 0);
	near(perf_quantile(d, 3, .5), 2);
	near(perf_quantile(d, 3, 1), 3);
	near(perf_quantile(d, 3, .75), 2.5);
	near(perf_quantile(d, 1, .9), d[0]);
	near(perf_quantile(even, 4, .5), 3);
	near(perf_quantile(d, 0, .5), 0);
}

/* Back-end and front-end with counts of their own; 100 samples, 32 to 3200 cycles a burst. */
static void
fill_results(void)
{
	memset(results, 0, sizeof(results));
	for (int role = 0; role < PERF_ROLES; role++) {
		struct perf_result *r = &results[role];

		r->nsamples = 100;
		for (uint32_t i = 0; i < 100; i++)
			r->sample[i] = 32 * (100 - i);
		r->nidle = 3;
		r->idle[0] = 9, r->idle[1] = 7, r->idle[2] = 8;
		r->empty_cycles = 30 + role;
		r->nrates = r->nshares = 3;
		r->rate[0] = 1, r->rate[1] = 900000, r->rate[2] = 800000 + role;
		r->share[0] = 9000, r->share[1] = 2500 + role, r->share[2] = 10;
		r->half[PERF_FLAT_OUT] = (struct perf_count){
			.offered = 1000 + role, .sent = 900 + role, .received = 800 + role,
			.empty_polls = 50 + role,
		};
		r->half[PERF_PACED].received = 7;
	}
}

static void
figures(enum perf_path path, enum perf_role measured, double v[PERF_FIGURES])
{
	const struct perf_job job = {.path = path, .measured = measured, .burst = 32};

	fill_results();
	perf_slice_figures(results, &job, 1e9, v);
}

static void
test_slice(void **state)
{
	double v[PERF_FIGURES];

	figures(PERF_RX, PERF_BACKEND, v);
	near(v[PERF_CYCLES], 51);
	near(v[PERF_CYCLES_P10], 11);
	near(v[PERF_CYCLES_P99], 99);
	near(v[PERF_BUSY], 25);
	near(v[PERF_MPPS], .8);
	near(v[PERF_IDLE], 8);
	near(v[PERF_EMPTY], 30);
	near(v[PERF_EMPTY_POLLS], 50);
	/* from the front-end to the back-end */
	near(v[PERF_OFFERED], 1001);
	near(v[PERF_SENT], 901);
	near(v[PERF_RECEIVED], 800);
	near(v[PERF_P50], 0);
	figures(PERF_TX, PERF_BACKEND, v);
	near(v[PERF_OFFERED], 1000);
	near(v[PERF_RECEIVED], 801);
	/* as many as are received, and as busy as the measured end */
	near(v[PERF_MPPS], .800001);
	near(v[PERF_BUSY], 25);
	figures(PERF_TX, PERF_FRONTEND, v);
	near(v[PERF_MPPS], .8);
	near(v[PERF_BUSY], 25.01);
	near(v[PERF_OFFERED], 1001);
	near(v[PERF_RECEIVED], 800);
	near(v[PERF_EMPTY], 31);
	/* there and back */
	figures(PERF_FORWARD, PERF_BACKEND, v);
	near(v[PERF_OFFERED], 1001);
	near(v[PERF_RECEIVED], 801);
	figures(PERF_FORWARD, PERF_FRONTEND, v);
	near(v[PERF_OFFERED], 1000);
	near(v[PERF_RECEIVED], 800);
	/* from one guest to the other, which are both at the other end */
	figures(PERF_VM, PERF_BACKEND, v);
	near(v[PERF_CYCLES], 51);
	near(v[PERF_MPPS], .800001);
	near(v[PERF_BUSY], 25);
	near(v[PERF_EMPTY_POLLS], 50);
	near(v[PERF_OFFERED], 1001);
	near(v[PERF_RECEIVED], 801);
	figures(PERF_VM, PERF_FRONTEND, v);
	near(v[PERF_MPPS], .8);
	near(v[PERF_BUSY], 25.01);
	near(v[PERF_OFFERED], 1000);
}

static void
test_latency(void **state)
{
	double v[PERF_FIGURES];

	figures(PERF_LATENCY, PERF_BACKEND, v);
	/* at 1 GHz a cycle is a nanosecond, and a ping is no burst */
	near(v[PERF_P50], 51 * 32);
	near(v[PERF_P90], 90 * 32);
	near(v[PERF_P99], 99 * 32);
	near(v[PERF_P999], 100 * 32);
	near(v[PERF_CYCLES], 0);
	near(v[PERF_OFFERED], 1001);
	near(v[PERF_RECEIVED], 801);
}

/* A handful of bursts in a slice is none. */
static void
test_few_samples(void **state)
{
	struct perf_job job = {.path = PERF_RX, .burst = 32};
	double v[PERF_FIGURES];

	fill_results();
	results[PERF_BACKEND].nsamples = results[PERF_FRONTEND].nsamples = 19;
	perf_slice_figures(results, &job, 1e9, v);
	near(v[PERF_CYCLES], 0);
	near(v[PERF_CYCLES_P99], 0);
	job.path = PERF_LATENCY;
	perf_slice_figures(results, &job, 1e9, v);
	near(v[PERF_P50], 0);
}

/* A line of rounds, each with its distance; A costs 10, B 20 cycles. */
static struct perf_line
line_of(uint32_t n, const double *distance)
{
	struct perf_line l = {.path = PERF_RX, .pairs = 2, .nrounds = n, .rounds = rounds};

	memset(rounds, 0, sizeof(rounds));
	for (uint32_t i = 0; i < n; i++) {
		rounds[i].number = i;
		for (uint32_t p = 0; p < 2; p++) {
			rounds[i].v[p][PERF_CYCLES] = 10 * (p + 1);
			rounds[i].v[p][PERF_BEFORE] = distance[i];
			rounds[i].v[p][PERF_AFTER] = distance[i];
		}
	}
	return l;
}

static void
test_like_with_like(void **state)
{
	struct perf_line l = line_of(4, (double[]){200, 210, 205, 200});

	rounds[1].v[1][PERF_AFTER] = 900;	/* moved while B ran */
	rounds[3].v[0][PERF_BEFORE] = 500;	/* and before A did */
	assert_true(perf_round_like(&l, &rounds[0]));
	assert_false(perf_round_like(&l, &rounds[1]));
	assert_false(perf_round_like(&l, &rounds[3]));
	rounds[2].v[1][PERF_CYCLES] = 0;	/* no full burst */
	assert_false(perf_round_like(&l, &rounds[2]));
	perf_settle(&l);
	assert_true(l.rounds[0].like);
	assert_int_equal(perf_distances(&l).n, 1);
}

/* A round that is far in itself, among rounds that are near. */
static void
test_mixed_distances(void **state)
{
	struct perf_line l = line_of(4, (double[]){200, 900, 210, 205});

	rounds[1].v[0][PERF_CYCLES] = 50;
	rounds[1].v[1][PERF_CYCLES] = 60;
	perf_settle(&l);
	assert_true(perf_round_like(&l, &rounds[1]));
	assert_false(rounds[1].like);
	assert_int_equal(perf_ratio(&l).n, 3);
	near(perf_ratio(&l).p10, 2);
	near(perf_spread(&l, 0, PERF_CYCLES).p90, 10);
	near(perf_spread(&l, 1, PERF_CYCLES).median, 20);
	near(perf_distances(&l).median, 205);
}

/* Most rounds are far, but far was not asked for. */
static void
test_only_near(void **state)
{
	struct perf_line l = line_of(4, (double[]){900, 880, 300, 910});

	l.distance = 300;
	perf_settle(&l);
	assert_int_equal(perf_distances(&l).n, 1);
	assert_true(rounds[2].like);
}

static void
test_nothing_counts(void **state)
{
	struct perf_line l = line_of(1, (double[]){0});

	rounds[0].v[0][PERF_CYCLES] = 0;
	perf_settle(&l);
	assert_int_equal(perf_ratio(&l).n, 0);
	near(perf_ratio(&l).median, 0);
	near(perf_round_ratio(&l, &rounds[0]), 0);
}

/* Each figure has a name of its own; a path has its main figure. */
static void
test_names(void **state)
{
	for (int i = 0; i < PERF_FIGURES; i++)
		for (int k = 0; k < i; k++)
			assert_string_not_equal(perf_figure_name(i), perf_figure_name(k));
	for (int p = 0; p < PERF_PATHS; p++) {
		assert_true(perf_has_figure(p, perf_main_figure(p)));
		for (int k = 0; k < p; k++)
			assert_string_not_equal(perf_path_name(p), perf_path_name(k));
	}
	for (int i = 0; i < PERF_FIGURES; i++)
		assert_int_equal(perf_has_figure(PERF_VM, i), perf_has_figure(PERF_FORWARD, i));
	assert_false(perf_has_figure(PERF_LATENCY, PERF_MPPS));
	assert_false(perf_has_figure(PERF_TX, PERF_P99));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quantiles),
		cmocka_unit_test(test_slice),
		cmocka_unit_test(test_latency),
		cmocka_unit_test(test_few_samples),
		cmocka_unit_test(test_like_with_like),
		cmocka_unit_test(test_mixed_distances),
		cmocka_unit_test(test_only_near),
		cmocka_unit_test(test_nothing_counts),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
