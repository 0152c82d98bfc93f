/* SPDX-License-Identifier: BSD-3-Clause */
/* The table, and CSV. */
#include <string.h>

#include "out.h"

void
perf_table_settings(FILE *f, const struct perf_options *o)
{
	fprintf(f, "%ss", perf_end_name(o->measured));
	for (uint32_t p = 0; p < o->pairs; p++)
		fprintf(f, "%s %c %s%s%s", p > 0 ? "," : "", 'A' + p, o->driver[p],
			o->args[p] != NULL ? "," : "", o->args[p] != NULL ? o->args[p] : "");
	fprintf(f, "; mrg %u, in order %u, offloads %u, ring %u, bursts of %u", o->mrg,
		o->in_order, o->offloads, o->ring, o->burst);
	if (o->vectorized)
		fputs(", vectorized", f);
	if (o->log != 0)
		fprintf(f, ", dirty log %s", o->log == 1 ? "kept" : "of A");
	if (o->iommu != 0)
		fprintf(f, ", IOMMU of A maps %s",
			o->iommu == PERF_IOMMU_PAGES ? "pages" : "regions");
	if (o->queues > 1)
		fprintf(f, ", queues %u", o->queues);
	if (o->idle_ports > 0)
		fprintf(f, ", idle ports %u", o->idle_ports);
	fprintf(f, "; medians [p10-p90] of %u rounds\n", o->rounds);
}

static bool
compared(const struct perf_options *o)
{
	return o->pairs > 1;
}

void
perf_table_head(FILE *f, const struct perf_options *o, enum perf_path path)
{
	bool latency = path == PERF_LATENCY;
	int width = latency ? 38 : 22;

	fprintf(f, "%-21s", "path");
	for (uint32_t p = 0; p < o->pairs; p++)
		fprintf(f, " | %c %-*s", 'A' + p, width - 2,
			latency ? "ns: p50, p90, p99, p99.9" : "cycles/packet");
	if (compared(o))
		fprintf(f, " | %-17s", "B/A by round");
	if (!latency)
		fprintf(f, compared(o) ? " | empty A B" : " | empty");
	if (!latency && o->idle_ports > 0)
		fprintf(f, compared(o) ? " | idle A  B" : " | idle ");
	if (!latency)
		fprintf(f, compared(o) ? " | Mpps A    B | busy A    B" : " | Mpps  | busy ");
	fprintf(f, " | line round trip  | rounds\n");
}

static void
spread(FILE *f, struct perf_spread s, const char *format)
{
	if (s.n == 0)
		fprintf(f, " | %*s", format[0] == 'w' ? 22 : 17, "-");
	else if (format[0] == 'w')
		fprintf(f, " | %6.1f [%6.1f-%6.1f]", s.median, s.p10, s.p90);
	else
		fprintf(f, " | %5.2f [%4.2f-%4.2f]", s.median, s.p10, s.p90);
}

/* Medians of one figure for each pair; no round of the line counts: none. */
static void
medians(FILE *f, const struct perf_line *l, enum perf_figure what, int digits, const char *unit)
{
	fputs(" |", f);
	for (uint32_t p = 0; p < l->pairs; p++) {
		struct perf_spread s = perf_spread(l, p, what);

		if (s.n == 0)
			fprintf(f, " %*s", (digits > 0 ? 5 : 4) + (int)strlen(unit), "-");
		else
			fprintf(f, " %*.*f%s", digits > 0 ? 5 : 4, digits, s.median, unit);
	}
}

static void
latencies(FILE *f, const struct perf_line *l)
{
	for (uint32_t p = 0; p < l->pairs; p++) {
		struct perf_spread s = perf_spread(l, p, PERF_P50);

		if (s.n == 0) {
			fprintf(f, " | %38s", "-");
			continue;
		}
		fprintf(f, " | %5.0f [%5.0f-%5.0f]", s.median, s.p10, s.p90);
		for (int i = PERF_P90; i <= PERF_P999; i++)
			fprintf(f, " %6.0f", perf_spread(l, p, i).median);
	}
}

void
perf_table_line(FILE *f, const struct perf_options *o, const struct perf_line *l)
{
	struct perf_spread d = perf_distances(l);
	char size[12];

	fprintf(f, "%-6s %-7s %4s %s", l->packed ? "packed" : "split", perf_path_name(l->path),
		perf_size_name(l->size, size), l->size == PERF_IMIX ? " " : "B");
	if (l->path == PERF_LATENCY)
		latencies(f, l);
	else
		for (uint32_t p = 0; p < l->pairs; p++)
			spread(f, perf_spread(l, p, PERF_CYCLES), "wide");
	if (l->pairs > 1)
		spread(f, perf_ratio(l), "narrow");
	if (l->path != PERF_LATENCY) {
		medians(f, l, PERF_EMPTY, 0, "");
		if (o->idle_ports > 0)
			medians(f, l, PERF_IDLE, 0, "");
		medians(f, l, PERF_MPPS, 2, "");
		medians(f, l, PERF_BUSY, 0, "%");
	}
	if (d.n == 0)
		fprintf(f, " | %16s", "-");
	else
		fprintf(f, " | %4.0f [%4.0f-%4.0f]", d.median, d.p10, d.p90);
	fprintf(f, " | %u of %u\n", d.n, l->nrounds);
	fflush(f);
}

/* Figures that have columns of their own; cycles come first, and have theirs. */
static bool
is_column(enum perf_figure f)
{
	return f != PERF_CYCLES;
}

void
perf_csv_head(FILE *f)
{
	fputs("layout,path,size,round,cycles_a,cycles_b,ratio,distance,counts", f);
	for (uint32_t p = 0; p < PERF_PAIRS; p++)
		for (int i = 0; i < PERF_FIGURES; i++)
			if (is_column(i))
				fprintf(f, ",%s_%c", perf_figure_name(i), 'a' + p);
	fputc('\n', f);
}

/* Empty where there is no such figure. */
static void
cell(FILE *f, const struct perf_line *l, const struct perf_round *r, uint32_t pair,
	enum perf_figure what)
{
	if (pair < l->pairs && perf_has_figure(l->path, what))
		fprintf(f, ",%.10g", r->v[pair][what]);
	else
		fputc(',', f);
}

void
perf_csv_line(FILE *f, const struct perf_line *l)
{
	char size[12];

	for (uint32_t n = 0; n < l->nrounds; n++) {
		const struct perf_round *r = &l->rounds[n];

		fprintf(f, "%s,%s,%s,%u", l->packed ? "packed" : "split", perf_path_name(l->path),
			perf_size_name(l->size, size), r->number);
		for (uint32_t p = 0; p < PERF_PAIRS; p++)
			cell(f, l, r, p, PERF_CYCLES);
		if (l->pairs > 1)
			fprintf(f, ",%.3f", perf_round_ratio(l, r));
		else
			fputc(',', f);
		fprintf(f, ",%.0f,%d", perf_distance(r, l->pairs), r->like);
		for (uint32_t p = 0; p < PERF_PAIRS; p++)
			for (int i = 0; i < PERF_FIGURES; i++)
				if (is_column(i))
					cell(f, l, r, p, i);
		fputc('\n', f);
	}
	fflush(f);
}
