/* SPDX-License-Identifier: BSD-3-Clause */
#include "measure.h"

#include <stdlib.h>
#include <unistd.h>

#include "out.h"
#include "run.h"

enum {
	START_MS = 1500,	/* of the workers of one layout, about */
	SLICE_OVERHEAD_MS = 12,	/* round trips of a line, empty polls, sorting: about */
	LOOK_MS = 100,		/* between two looks at a distance that is too long */
	FAR_PATIENCE_S = 600,	/* for a line's rounds to find the cores near */
};

struct progress {
	bool tty;
	uint32_t line, lines;
};

static uint32_t
lines_a_layout(const struct perf_options *o)
{
	uint32_t n = 0;

	for (int path = 0; path < PERF_PATHS; path++)
		n += o->path[path];
	return n * o->nsizes;
}

/* Seconds for so many rounds, if none is left out. */
static uint32_t
seconds_for(const struct perf_options *o, uint32_t rounds)
{
	uint64_t ms = (uint64_t)rounds * o->pairs * (o->slice_ms + SLICE_OVERHEAD_MS);

	return (uint32_t)((ms + 999) / 1000);
}

static void
name_of(const struct perf_line *l, char *buf, size_t len)
{
	char size[12];

	snprintf(buf, len, "%s %s %s%s", l->packed ? "packed" : "split", perf_path_name(l->path),
		 perf_size_name(l->size, size), l->size == PERF_IMIX ? "" : " B");
}

/* On a terminal one line that changes with each round; elsewhere a line for each of the table. */
static void
show_progress(const struct progress *p, const struct perf_options *o, const struct perf_line *l,
	uint32_t counted)
{
	uint32_t left = (p->lines - p->line + 1) * o->rounds - counted;
	char name[48];

	name_of(l, name, sizeof(name));
	if (p->tty)
		fprintf(stderr, "\r\033[K%u of %u, %s: round %u of %u, about %u s left", p->line,
			p->lines, name, counted + 1, o->rounds, seconds_for(o, left));
	else if (l->nrounds == 0)
		fprintf(stderr, "vring-perf: %u of %u, %s, about %u s left\n", p->line, p->lines,
			name, seconds_for(o, left));
}

/* Said once a line, or all the time where it can be said anew. */
static void
show_waiting(const struct progress *p, const struct perf_line *l, uint32_t limit,
	uint32_t distance, uint32_t patience_ms)
{
	char name[48];

	name_of(l, name, sizeof(name));
	if (p->tty || patience_ms == FAR_PATIENCE_S * 1000)
		fprintf(stderr, "%s%s: waiting for the cores to be near, a line's round trip takes "
			"%u cycles and not %u at most; gives up in %u s%s",
			p->tty ? "\r\033[K" : "vring-perf: ", name, distance, limit,
			patience_ms / 1000, p->tty ? "" : "\n");
}

static void
clear_progress(const struct progress *p)
{
	if (p->tty)
		fputs("\r\033[K", stderr);
}

/*
 * With --distance: wait until the cores are that near each other. False: they have been far for so
 * long that this line stays as it is.
 */
static bool
wait_near(const struct perf_options *o, const struct perf_line *l, const struct progress *p,
	uint32_t *patience_ms)
{
	uint32_t distance;

	while (o->distance > 0 && (distance = perf_run_distance()) > o->distance) {
		if (*patience_ms < LOOK_MS) {
			fprintf(stderr, "%svring-perf: no longer waiting for a round trip of %u "
				"cycles: %u of %u rounds of this line are done\n",
				p->tty ? "\r\033[K" : "", o->distance, perf_distances(l).n,
				o->rounds);
			return false;
		}
		show_waiting(p, l, o->distance, distance, *patience_ms);
		usleep(LOOK_MS * 1000);
		*patience_ms -= LOOK_MS;
	}
	return true;
}

/*
 * Rounds until enough of them compare like with like, or twice as many have been tried. Which pair
 * goes first alternates, so that a trend of the machine favours nobody.
 */
static void
measure_line(const struct perf_options *o, struct perf_line *l, const struct progress *p)
{
	uint32_t counted = 0, patience_ms = FAR_PATIENCE_S * 1000;

	l->rounds = calloc(2 * (size_t)o->rounds, sizeof(l->rounds[0]));
	if (l->rounds == NULL)
		perf_fail("no memory");
	while (counted < o->rounds && l->nrounds < 2 * o->rounds &&
	       wait_near(o, l, p, &patience_ms)) {
		struct perf_round *r = &l->rounds[l->nrounds];

		show_progress(p, o, l, counted);
		r->number = l->nrounds;
		for (uint32_t k = 0; k < o->pairs; k++) {
			uint32_t pair = (k + r->number) % o->pairs;

			perf_run_slice(pair, l->path, l->size, r->v[pair]);
		}
		l->nrounds++;
		perf_settle(l);
		counted = perf_distances(l).n;
	}
	clear_progress(p);
}

static void
hand_out(const struct perf_options *o, const struct perf_sinks *sinks, const struct perf_line *l,
	const struct perf_line *before)
{
	if (sinks->csv != NULL)
		perf_csv_line(sinks->csv, l);
	if (sinks->table == NULL)
		return;
	if (before == NULL)
		perf_table_settings(sinks->table, o);
	if (before == NULL || (before->path == PERF_LATENCY) != (l->path == PERF_LATENCY))
		perf_table_head(sinks->table, o, l->path);
	perf_table_line(sinks->table, o, l);
}

/* Latencies come last, since their columns are others. */
static void
measure_layout(const struct perf_options *o, const struct perf_sinks *sinks,
	struct perf_report *report, bool packed, struct progress *p)
{
	fprintf(stderr, p->tty ? "\r\033[Kstarting %u processes" :
		"vring-perf: starting %u processes\n", PERF_ROLES * o->pairs);
	perf_run_start(packed);
	clear_progress(p);
	for (int latency = 0; latency < 2; latency++)
		for (uint32_t i = 0; i < o->nsizes * PERF_PATHS; i++) {
			struct perf_line *l = &report->lines[report->nlines];
			enum perf_path path = i % PERF_PATHS;

			if (!o->path[path] || (path == PERF_LATENCY) != latency)
				continue;
			*l = (struct perf_line){.packed = packed, .path = path,
						.size = o->sizes[i / PERF_PATHS],
						.pairs = o->pairs, .distance = o->distance};
			p->line++;
			measure_line(o, l, p);
			hand_out(o, sinks, l, report->nlines > 0 ? l - 1 : NULL);
			report->nlines++;
		}
	perf_run_stop();
}

void
perf_measure(const struct perf_options *o, const struct perf_sinks *sinks,
	struct perf_report *report)
{
	struct progress p = {
		.tty = isatty(2),
		.lines = lines_a_layout(o) * (uint32_t)(o->split + o->packed),
	};

	report->options = o;
	report->lines = calloc(p.lines, sizeof(report->lines[0]));
	if (report->lines == NULL)
		perf_fail("no memory");
	if (sinks->csv != NULL)
		perf_csv_head(sinks->csv);
	if (o->split)
		measure_layout(o, sinks, report, false, &p);
	if (o->packed)
		measure_layout(o, sinks, report, true, &p);
	report->tsc_hz = perf_run_tsc_hz();
}
