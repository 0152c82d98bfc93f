/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A bar chart as SVG: a panel for each kind of figure, in it a group of bars for each line of the
 * table, a bar for each driver, and over the bar what a tenth of the rounds were below and above.
 */
#include "out.h"

enum {
	WIDTH = 860, LEFT = 170, BARS = 480, TOP = 78, BAR = 13, GAP = 10, PANEL_HEAD = 34,
	PANEL_FOOT = 34, TICKS = 6,
};

static const char *const colours[PERF_PAIRS] = {"#2f6db5", "#e08a2c"};

struct panel {
	const char *title;
	bool latency;
	enum perf_figure figure;
	bool ratio;		/* is the ratio that of this figure? */
};

static const struct panel panels[] = {
	{"Cycles a packet in the driver's burst calls (less is better)", false, PERF_CYCLES, true},
	{"Packets a second, millions (more is better)", false, PERF_MPPS, false},
	{"Round trip of one packet, median, ns (less is better)", true, PERF_P50, true},
};

static void
text(FILE *f, const char *s)
{
	for (; *s != '\0'; s++) {
		switch (*s) {
		case '&': fputs("&amp;", f); break;
		case '<': fputs("&lt;", f); break;
		case '>': fputs("&gt;", f); break;
		case '"': fputs("&quot;", f); break;
		default: fputc((unsigned char)*s < 0x20 ? ' ' : *s, f);
		}
	}
}

static bool
belongs(const struct panel *p, const struct perf_line *l)
{
	return p->latency == (l->path == PERF_LATENCY);
}

static uint32_t
lines_of(const struct panel *p, const struct perf_report *r)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < r->nlines; i++)
		n += belongs(p, &r->lines[i]);
	return n;
}

static int
group_height(const struct perf_report *r)
{
	return BAR * (int)r->options->pairs + GAP;
}

static int
panel_height(const struct panel *p, const struct perf_report *r)
{
	uint32_t n = lines_of(p, r);

	return n == 0 ? 0 : PANEL_HEAD + (int)n * group_height(r) + PANEL_FOOT;
}

/* An axis from 0 to n ticks. */
struct axis {
	double tick, scale;	/* units between ticks, pixels a unit */
	int n;
};

/* Ticks are 1, 2 or 5 times a power of ten. */
static struct axis
axis_for(double max)
{
	static const double factors[] = {2, 2.5, 2};
	struct axis a = {.tick = 0.001, .n = 1};

	for (int i = 0; max > a.tick * TICKS; i++)
		a.tick *= factors[i % 3];
	while (a.n < TICKS && a.n * a.tick < max)
		a.n++;
	a.scale = BARS / (a.tick * a.n);
	return a;
}

static double
largest(const struct panel *p, const struct perf_report *r)
{
	double max = 0;

	for (uint32_t i = 0; i < r->nlines; i++)
		for (uint32_t k = 0; belongs(p, &r->lines[i]) && k < r->options->pairs; k++) {
			double top = perf_spread(&r->lines[i], k, p->figure).p90;

			max = top > max ? top : max;
		}
	return max;
}

static void
draw_axis(FILE *f, int top, int height, const struct axis *a)
{
	for (int i = 0; i <= a->n; i++) {
		double x = LEFT + i * a->tick * a->scale;

		fprintf(f, "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" "
			"stroke=\"#d0d0d0\"/>\n<text x=\"%.1f\" y=\"%d\" "
			"text-anchor=\"middle\" fill=\"#555555\">%g</text>\n",
			x, top, x, top + height, x, top + height + 15, i * a->tick);
	}
}

static void
bar(FILE *f, struct perf_spread s, uint32_t pair, int y, double scale)
{
	double low = LEFT + s.p10 * scale, high = LEFT + s.p90 * scale, mid = y + BAR / 2.0;

	fprintf(f, "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>\n", LEFT, y,
		s.median * scale, BAR - 1, colours[pair]);
	fprintf(f, "<path d=\"M%.1f %.1fH%.1fM%.1f %.1fv6M%.1f %.1fv6\" stroke=\"#222222\" "
		"fill=\"none\"/>\n", low, mid, high, low, mid - 3, high, mid - 3);
	fprintf(f, "<text x=\"%.1f\" y=\"%.1f\">%.*f</text>\n",
		(high > LEFT + s.median * scale ? high : LEFT + s.median * scale) + 5, mid + 4,
		s.median < 1000 ? 1 : 0, s.median);
}

/* What belongs to the bars: the ratio, and how far the cores were apart; or who was busy. */
static void
remark(FILE *f, const struct panel *p, const struct perf_line *l, double y)
{
	fprintf(f, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">", WIDTH - 20, y);
	if (!p->ratio) {
		fputs("busy", f);
		for (uint32_t k = 0; k < l->pairs; k++)
			fprintf(f, " %.0f %%", perf_spread(l, k, PERF_BUSY).median);
	} else {
		if (l->pairs > 1)
			fprintf(f, "B/A %.2f, ", perf_ratio(l).median);
		fprintf(f, "trip %.0f", perf_distances(l).median);
	}
	fputs("</text>\n", f);
}

static void
group(FILE *f, const struct panel *p, const struct perf_line *l, int y, double scale)
{
	double mid = y + BAR * l->pairs / 2.0 + 4;
	char size[12];

	fprintf(f, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s %s %s%s</text>\n", LEFT - 8,
		mid, l->packed ? "packed" : "split", perf_path_name(l->path),
		perf_size_name(l->size, size), l->size == PERF_IMIX ? "" : " B");
	for (uint32_t k = 0; k < l->pairs; k++)
		bar(f, perf_spread(l, k, p->figure), k, y + (int)k * BAR, scale);
	if (perf_distances(l).n > 0)
		remark(f, p, l, mid);
}

static int
draw_panel(FILE *f, const struct panel *p, const struct perf_report *r, int y)
{
	int height = panel_height(p, r), at = y + PANEL_HEAD;
	struct axis a = axis_for(largest(p, r));

	if (height == 0)
		return y;
	fprintf(f, "<text x=\"20\" y=\"%d\" font-weight=\"bold\">", y + 20);
	text(f, p->title);
	fputs("</text>\n", f);
	draw_axis(f, at - 4, height - PANEL_HEAD - PANEL_FOOT + 4, &a);
	for (uint32_t i = 0; i < r->nlines; i++) {
		if (!belongs(p, &r->lines[i]))
			continue;
		group(f, p, &r->lines[i], at, a.scale);
		at += group_height(r);
	}
	return y + height;
}

static void
legend(FILE *f, const struct perf_options *o)
{
	fprintf(f, "<text x=\"20\" y=\"26\" font-size=\"16\">vring-perf: %s</text>\n",
		perf_end_name(o->measured));
	for (uint32_t k = 0; k < o->pairs; k++) {
		int y = 36 + 16 * (int)k;

		fprintf(f, "<rect x=\"20\" y=\"%d\" width=\"12\" height=\"12\" fill=\"%s\"/>\n"
			"<text x=\"38\" y=\"%d\">%c: ", y, colours[k], y + 10, 'A' + k);
		text(f, o->driver[k]);
		if (o->args[k] != NULL) {
			fputc(',', f);
			text(f, o->args[k]);
		}
		fputs("</text>\n", f);
	}
	fprintf(f, "<text x=\"%d\" y=\"26\" text-anchor=\"end\" fill=\"#555555\">bars: medians of "
		"rounds; lines: p10 to p90; trip: a cache line's, in cycles</text>\n",
		WIDTH - 20);
}

void
perf_plot(FILE *f, const struct perf_report *r)
{
	int height = TOP, y = TOP;

	for (size_t i = 0; i < sizeof(panels) / sizeof(panels[0]); i++)
		height += panel_height(&panels[i], r);
	fprintf(f, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
		"height=\"%d\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#111111\">\n"
		"<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n", WIDTH, height, WIDTH,
		height, WIDTH, height);
	legend(f, r->options);
	for (size_t i = 0; i < sizeof(panels) / sizeof(panels[0]); i++)
		y = draw_panel(f, &panels[i], r, y);
	fputs("</svg>\n", f);
	fflush(f);
}
