/* SPDX-License-Identifier: BSD-3-Clause */
/* vring-probe: what is at the other end of a vhost-user socket, or behind a vhost-vdpa device? */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "out.h"
#include "probe.h"

static const char usage[] =
	"Usage: vring-probe [--json] [--traffic] [--timeout MS] SOCKET|/dev/vhost-vdpa-N\n"
	"\n"
	"Says what is there: its role, features, queues, limits, configuration. A device that\n"
	"somebody else uses is left alone.\n"
	"\n"
	"  --json        one JSON object instead of lines\n"
	"  --traffic     send a few packets as well, and check those that come back\n"
	"  --timeout MS  wait so long for each answer of a back-end (2000)\n"
	"\n"
	"Status: 0 a device is there, 1 nothing or something else, 2 wrong arguments, 3 in use,\n"
	"4 the packets did not go through.\n";

struct options {
	bool json, traffic;
	uint32_t timeout_ms;
	const char *path;
};

/* PROBE_OK, or PROBE_USAGE. Does not return for --help. */
static int
parse(int argc, char **argv, struct options *o)
{
	static const struct option names[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "traffic", no_argument, NULL, 'x' },
		{ "timeout", required_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	char *end;
	long ms;
	int c;

	while ((c = getopt_long(argc, argv, "jxt:h", names, NULL)) >= 0) {
		switch (c) {
		case 'j':
			o->json = true;
			break;
		case 'x':
			o->traffic = true;
			break;
		case 't':
			ms = strtol(optarg, &end, 10);
			if (*optarg == '\0' || *end != '\0' || ms < 1 || ms > 60000) {
				fprintf(stderr, "vring-probe: --timeout is 1 to 60000\n");
				return PROBE_USAGE;
			}
			o->timeout_ms = (uint32_t)ms;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(PROBE_OK);
		default:
			return PROBE_USAGE;
		}
	}
	if (optind != argc - 1) {
		fputs(usage, stderr);
		return PROBE_USAGE;
	}
	o->path = argv[optind];
	return PROBE_OK;
}

/* Why not, for people and for programs. */
static void
report_failure(const struct probe *p, int state, bool json)
{
	if (json) {
		out_begin(true);
		out_text("path", p->path);
		out_text("error", p->why);
		out_text("state", state == PROBE_IN_USE ? "in use" : "nothing");
		out_end();
	}
	fprintf(stderr, "vring-probe: %s\n", p->why);
}

/* Returns the exit status. */
static int
report(struct probe *p, const struct options *o)
{
	int state = PROBE_OK;

	out_begin(o->json);
	probe_describe(p);
	if (o->traffic && vhost_dev_is_open(&p->dev))
		state = probe_traffic(p);
	out_end();
	if (state != PROBE_OK)
		fprintf(stderr, "vring-probe: %s\n", p->why);
	return state;
}

int
main(int argc, char **argv)
{
	struct options o = { .timeout_ms = VHOST_TIMEOUT_MS };
	struct probe p = { 0 };
	int state = parse(argc, argv, &o);
	int rc;

	if (state != PROBE_OK)
		return state;
	p.path = o.path;
	rc = evloop_new(&p.loop);
	if (rc < 0) {
		fprintf(stderr, "vring-probe: %s\n", strerror(-rc));
		return PROBE_NOTHING;
	}
	state = probe_open(&p, o.timeout_ms);
	if (state == PROBE_OK)
		state = report(&p, &o);
	else
		report_failure(&p, state, o.json);
	vhost_dev_close(&p.dev);
	evloop_free(p.loop);
	return state;
}
