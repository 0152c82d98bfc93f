/* SPDX-License-Identifier: BSD-3-Clause */
/* vring-perf: table, CSV, JSON and chart of a run that is given. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "out.h"

enum { ROUNDS = 3 };

static struct perf_options o;
static struct perf_round rounds[2][ROUNDS];
static struct perf_line lines[2];
static struct perf_report report;

/* A rx line of 64 B, A 10, 11, 12 and B twice that; a latency line of imix. */
static int
setup(void **state)
{
	o = (struct perf_options){
		.measured = PERF_BACKEND, .pairs = 2, .driver = {"net_a,k=\"<1&2>\"", "net_b"},
		.args = {NULL, "x=\\y"}, .rounds = ROUNDS, .burst = 32, .ring = 256, .mrg = 1,
	};
	memset(rounds, 0, sizeof(rounds));
	lines[0] = (struct perf_line){.path = PERF_RX, .size = 64};
	lines[1] = (struct perf_line){.path = PERF_LATENCY, .size = PERF_IMIX, .packed = true};
	for (int i = 0; i < 2; i++) {
		lines[i].pairs = 2;
		lines[i].nrounds = ROUNDS;
		lines[i].rounds = rounds[i];
		for (uint32_t n = 0; n < ROUNDS; n++)
			for (uint32_t p = 0; p < 2; p++) {
				double *v = rounds[i][n].v[p];

				rounds[i][n].number = n;
				v[PERF_CYCLES] = v[PERF_P50] = (10 + n) * (p + 1);
				v[PERF_P999] = 1234;
				v[PERF_MPPS] = 5.5;
				v[PERF_OFFERED] = 123456789;
				v[PERF_BEFORE] = v[PERF_AFTER] = 200;
			}
		perf_settle(&lines[i]);
	}
	report = (struct perf_report){&o, 2.5e9, 2, lines};
	return 0;
}

static char *text;
static size_t length;

static FILE *
begin(void)
{
	FILE *f = open_memstream(&text, &length);

	assert_non_null(f);
	return f;
}

static uint32_t
count(const char *what)
{
	uint32_t n = 0;

	for (const char *p = text; (p = strstr(p, what)) != NULL; p += strlen(what))
		n++;
	return n;
}

static void
has(const char *what)
{
	if (strstr(text, what) == NULL)
		fail_msg("no '%s' in:\n%s", what, text);
}

static void
end(void)
{
	free(text);
	text = NULL;
}

static void
test_table(void **state)
{
	FILE *f = begin();

	perf_table_settings(f, &o);
	for (int i = 0; i < 2; i++) {
		perf_table_head(f, &o, lines[i].path);
		perf_table_line(f, &o, &lines[i]);
	}
	fclose(f);
	has("A net_a,k=\"<1&2>\", B net_b,x=\\y;");
	has("split  rx        64 B |   11.0 [  10.2-  11.8] |   22.0 [  20.4-  23.6] |"
	    "  2.00 [2.00-2.00]");
	has("packed latency imix");
	has("1234");
	has("3 of 3");
	assert_int_equal(count("\n"), 5);
	end();
}

static void
test_table_of_one(void **state)
{
	FILE *f = begin();

	o.pairs = lines[0].pairs = 1;
	o.idle_ports = 2;
	perf_table_head(f, &o, PERF_RX);
	perf_table_line(f, &o, &lines[0]);
	fclose(f);
	has("idle");
	assert_null(strstr(text, "B/A"));
	assert_null(strstr(text, "22.0"));
	end();
}

/* Its columns are those of other bursts. */
static void
test_table_of_vm(void **state)
{
	FILE *f = begin();

	lines[0].path = PERF_VM;
	perf_table_head(f, &o, lines[0].path);
	perf_table_line(f, &o, &lines[0]);
	perf_csv_line(f, &lines[0]);
	fclose(f);
	has("cycles/packet");
	has("split  vm        64 B |   11.0 [  10.2-  11.8] |   22.0 [  20.4-  23.6] |");
	has("|  5.50  5.50 |");
	has("\nsplit,vm,64,0,10,20,2.000,200,1,");
	end();
}

/* Where no round counts there is no figure. */
static void
test_table_of_none(void **state)
{
	FILE *f = begin();

	for (uint32_t n = 0; n < ROUNDS; n++)
		rounds[0][n].like = rounds[1][n].like = false;
	perf_table_line(f, &o, &lines[0]);
	perf_table_line(f, &o, &lines[1]);
	fclose(f);
	/* Spreads, pairs of figures, distance; of a line with latencies there are fewer. */
	assert_int_equal(count(" - | "), 11);
	assert_int_equal(count("0 of 3"), 2);
	assert_null(strstr(text, "11.0"));
	assert_null(strstr(text, "1234"));
	end();
}

/* Each row has as many cells as there are columns. */
static void
test_csv(void **state)
{
	FILE *f = begin();
	uint32_t columns;
	char *line, *save = NULL, *copy;

	rounds[0][1].like = false;
	perf_csv_head(f);
	perf_csv_line(f, &lines[0]);
	perf_csv_line(f, &lines[1]);
	fclose(f);
	assert_int_equal(count("\n"), 1 + 2 * ROUNDS);
	assert_memory_equal(text, "layout,path,size,round,cycles_a,cycles_b,ratio,distance,", 56);
	has("\nsplit,rx,64,0,10,20,2.000,200,1,");
	has("\nsplit,rx,64,1,11,22,2.000,200,0,");
	has("\npacked,latency,imix,2,,,2.000,200,1,");
	has(",123456789,");
	copy = strdup(text);
	columns = count(",") / (1 + 2 * ROUNDS);
	for (line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		uint32_t commas = 0;

		for (const char *p = line; *p != '\0'; p++)
			commas += *p == ',';
		assert_int_equal(commas, columns);
	}
	free(copy);
	end();
}

/* Brackets in pairs, outside strings. */
static void
balanced(void)
{
	char open[32];
	bool string = false;
	int depth = 0;

	for (const char *p = text; *p != '\0'; p++) {
		if (string && *p == '\\')
			p++;
		else if (*p == '"')
			string = !string;
		else if (!string && (*p == '{' || *p == '['))
			open[depth++] = *p;
		else if (!string && (*p == '}' || *p == ']'))
			assert_int_equal(open[--depth], *p == '}' ? '{' : '[');
		assert_uint_in_range(depth, 0, 30);
	}
	assert_int_equal(depth, 0);
	assert_false(string);
}

static void
test_json(void **state)
{
	FILE *f = begin();

	perf_json(f, &report);
	fclose(f);
	balanced();
	has("\"backend\": \"net_a,k=\\\"<1&2>\\\"\"");
	has("\"args\": \"x=\\\\y\"");
	has("\"plugin\": null");
	has("\"ratio\": {\"median\": 2, \"p10\": 2, \"p90\": 2}");
	has("\"cycles\": {\"median\": 11, \"p10\": 10.2, \"p90\": 11.8}");
	has("\"p99_9_ns\": 1234");
	has("\"size\": \"imix\"");
	assert_int_equal(count("\"counts\": true"), 2 * ROUNDS);
	assert_null(strstr(text, ",]"));
	assert_null(strstr(text, ", }"));
	end();
}

static void
test_plot(void **state)
{
	FILE *f = begin();

	perf_plot(f, &report);
	fclose(f);
	assert_memory_equal(text, "<svg ", 5);
	has("A: net_a,k=&quot;&lt;1&amp;2&gt;&quot;</text>");
	has("B: net_b,x=\\y</text>");
	has("split rx 64 B</text>");
	has("packed latency imix</text>");
	has("B/A 2.00, trip 200");
	has("busy ");
	/* background, two of the legend; cycles, Mpps and latency, a bar for each driver */
	assert_int_equal(count("<rect "), 3 + 3 * 2);
	assert_int_equal(count("<path "), 3 * 2);
	assert_int_equal(count("<text "), count("</text>"));
	end();
}

/* A line for which nothing was measured, and no line at all. */
static void
test_plot_of_nothing(void **state)
{
	FILE *f = begin();

	for (uint32_t n = 0; n < ROUNDS; n++)
		rounds[0][n].like = false;
	report.nlines = 1;
	perf_plot(f, &report);
	report.nlines = 0;
	perf_plot(f, &report);
	fclose(f);
	assert_int_equal(count("</svg>"), 2);
	assert_null(strstr(text, "nan"));
	assert_null(strstr(text, "inf"));
	end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_table, setup),
		cmocka_unit_test_setup(test_table_of_one, setup),
		cmocka_unit_test_setup(test_table_of_vm, setup),
		cmocka_unit_test_setup(test_table_of_none, setup),
		cmocka_unit_test_setup(test_csv, setup),
		cmocka_unit_test_setup(test_json, setup),
		cmocka_unit_test_setup(test_plot, setup),
		cmocka_unit_test_setup(test_plot_of_nothing, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
