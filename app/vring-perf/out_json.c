/* SPDX-License-Identifier: BSD-3-Clause */
/* All that a run gave, for programs. */
#include "out.h"

/* A string in quotes; NULL is null. */
static void
string(FILE *f, const char *s)
{
	if (s == NULL) {
		fputs("null", f);
		return;
	}
	fputc('"', f);
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			fprintf(f, "\\%c", *s);
		else if ((unsigned char)*s < 0x20)
			fprintf(f, "\\u%04x", (unsigned char)*s);
		else
			fputc(*s, f);
	}
	fputc('"', f);
}

static void
member(FILE *f, const char *key, const char *value)
{
	fprintf(f, "\"%s\": ", key);
	string(f, value);
}

static void
settings(FILE *f, const struct perf_options *o)
{
	fputs("  \"settings\": {", f);
	member(f, "measured", perf_end_name(o->measured));
	fprintf(f, ", \"mrg\": %u, \"in_order\": %u, \"offloads\": %u, \"vectorized\": %u, "
		"\"log\": %u, \"iommu\": %u, \"queues\": %u, \"ring\": %u, \"burst\": %u, "
		"\"idle_ports\": %u, \"rounds\": %u, \"slice_ms\": %u, \"think\": %u, "
		"\"distance\": %u, "
		"\"cpus\": {\"backend\": %u, \"frontend\": %u}},\n",
		o->mrg, o->in_order, o->offloads, o->vectorized, o->log, o->iommu, o->queues,
		o->ring, o->burst, o->idle_ports, o->rounds, o->slice_ms, o->think, o->distance,
		o->cpu[PERF_BACKEND], o->cpu[PERF_FRONTEND]);
}

static void
pairs(FILE *f, const struct perf_options *o)
{
	fputs("  \"pairs\": [", f);
	for (uint32_t p = 0; p < o->pairs; p++) {
		fprintf(f, "%s\n    {\"name\": \"%c\", ", p > 0 ? "," : "", 'A' + p);
		member(f, "backend", perf_driver(o, p, PERF_BACKEND));
		fputs(", ", f);
		member(f, "frontend", perf_driver(o, p, PERF_FRONTEND));
		fputs(", ", f);
		member(f, "args", o->args[p]);
		fputs(", ", f);
		member(f, "peer_args", o->peer_args);
		fputs(", ", f);
		member(f, "plugin", perf_plugin(o, p, o->measured));
		fputc('}', f);
	}
	fputs("\n  ],\n", f);
}

static void
spread(FILE *f, const char *key, struct perf_spread s)
{
	fprintf(f, "\"%s\": {\"median\": %.10g, \"p10\": %.10g, \"p90\": %.10g}", key, s.median,
		s.p10, s.p90);
}

static void
summary(FILE *f, const struct perf_line *l, uint32_t pair)
{
	const char *comma = "";

	fputc('{', f);
	for (int i = 0; i < PERF_FIGURES; i++) {
		if (!perf_has_figure(l->path, i))
			continue;
		fputs(comma, f);
		spread(f, perf_figure_name(i), perf_spread(l, pair, i));
		comma = ", ";
	}
	fputc('}', f);
}

static void
figures(FILE *f, const struct perf_line *l, const double v[PERF_FIGURES])
{
	const char *comma = "";

	fputc('{', f);
	for (int i = 0; i < PERF_FIGURES; i++) {
		if (!perf_has_figure(l->path, i))
			continue;
		fprintf(f, "%s\"%s\": %.10g", comma, perf_figure_name(i), v[i]);
		comma = ", ";
	}
	fputc('}', f);
}

static void
one_round(FILE *f, const struct perf_line *l, const struct perf_round *r)
{
	fprintf(f, "        {\"round\": %u, \"counts\": %s, ", r->number,
		r->like ? "true" : "false");
	if (l->pairs > 1)
		fprintf(f, "\"ratio\": %.10g, ", perf_round_ratio(l, r));
	fputs("\"pairs\": [", f);
	for (uint32_t p = 0; p < l->pairs; p++) {
		fputs(p > 0 ? ", " : "", f);
		figures(f, l, r->v[p]);
	}
	fputs("]}", f);
}

static void
line(FILE *f, const struct perf_line *l)
{
	char size[12];

	fprintf(f, "    {\"layout\": \"%s\", \"path\": \"%s\", \"size\": \"%s\", "
		"\"figure\": \"%s\", \"rounds_run\": %u, \"rounds_counted\": %u,\n      ",
		l->packed ? "packed" : "split", perf_path_name(l->path),
		perf_size_name(l->size, size), perf_figure_name(perf_main_figure(l->path)),
		l->nrounds, perf_distances(l).n);
	if (l->pairs > 1) {
		spread(f, "ratio", perf_ratio(l));
		fputs(", ", f);
	}
	spread(f, "distance", perf_distances(l));
	fputs(",\n      \"pairs\": [", f);
	for (uint32_t p = 0; p < l->pairs; p++) {
		fputs(p > 0 ? ",\n        " : "", f);
		summary(f, l, p);
	}
	fputs("],\n      \"rounds\": [\n", f);
	for (uint32_t n = 0; n < l->nrounds; n++) {
		one_round(f, l, &l->rounds[n]);
		fputs(n + 1 < l->nrounds ? ",\n" : "\n", f);
	}
	fputs("      ]}", f);
}

void
perf_json(FILE *f, const struct perf_report *r)
{
	fprintf(f, "{\n  \"program\": \"vring-perf\",\n  \"tsc_hz\": %.0f,\n", r->tsc_hz);
	settings(f, r->options);
	pairs(f, r->options);
	fputs("  \"lines\": [\n", f);
	for (uint32_t i = 0; i < r->nlines; i++) {
		line(f, &r->lines[i]);
		fputs(i + 1 < r->nlines ? ",\n" : "\n", f);
	}
	fputs("  ]\n}\n", f);
	fflush(f);
}
