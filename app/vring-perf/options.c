/* SPDX-License-Identifier: BSD-3-Clause */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Where parsing failed, and why. */
struct reason {
	char *text;
	size_t len;
};

struct number {
	const char *name;
	size_t offset;		/* of a uint32_t of struct perf_options */
	uint32_t min, max;
};

struct word {
	const char *name;
	size_t offset;		/* of a const char * */
};

#define PORTS_OF_DPDK "DPDK's RTE_MAX_ETHPORTS allows 32 ports a process"

#define AT(field) offsetof(struct perf_options, field)

static const struct number numbers[] = {
	{"mrg", AT(mrg), 0, 1},
	{"in-order", AT(in_order), 0, 1},
	{"offloads", AT(offloads), 0, 1},
	{"vectorized", AT(vectorized), 0, 1},
	{"log", AT(log), 0, 2},
	{"iommu", AT(iommu), 0, PERF_IOMMU_PAGES},
	{"queues", AT(queues), 1, 16},
	{"ring", AT(ring), 64, 32768},
	{"burst", AT(burst), 1, PERF_MAX_BURST},
	{"idle-ports", AT(idle_ports), 0, PERF_MAX_PORTS - 1},
	{"rounds", AT(rounds), 1, PERF_MAX_ROUNDS},
	{"slice", AT(slice_ms), 10, 1000},
	{"think", AT(think), 0, 1000000},
	{"distance", AT(distance), 0, 100000},
};

static const struct word words[] = {
	{"a-args", AT(args[0])},
	{"b-args", AT(args[1])},
	{"peer", AT(peer)},
	{"peer-args", AT(peer_args)},
	{"plugin", AT(plugin)},
	{"a-plugin", AT(own_plugin[0])},
	{"b-plugin", AT(own_plugin[1])},
	{"plot", AT(plot)},
};

enum { NUMBERS = sizeof(numbers) / sizeof(numbers[0]), WORDS = sizeof(words) / sizeof(words[0]) };

/* Options that are more than a number or a word; their place in this list is their code. */
enum special {
	MEASURE, MEASURE_FRONT, COMPARE, COMPARE_FRONT, SIZE, LAYOUT, PATH, CPUS, CSV, JSON, HELP,
	VERSION, SPECIALS
};

static const struct option specials[SPECIALS] = {
	[MEASURE] = {"measure", 1, NULL, MEASURE},
	[MEASURE_FRONT] = {"measure-front", 1, NULL, MEASURE_FRONT},
	[COMPARE] = {"compare", 1, NULL, COMPARE},
	[COMPARE_FRONT] = {"compare-front", 1, NULL, COMPARE_FRONT},
	[SIZE] = {"size", 1, NULL, SIZE},
	[LAYOUT] = {"layout", 1, NULL, LAYOUT},
	[PATH] = {"path", 1, NULL, PATH},
	[CPUS] = {"cpus", 1, NULL, CPUS},
	[CSV] = {"csv", 0, NULL, CSV},
	[JSON] = {"json", 0, NULL, JSON},
	[HELP] = {"help", 0, NULL, HELP},
	[VERSION] = {"version", 0, NULL, VERSION},
};

enum { FIRST_NUMBER = SPECIALS, FIRST_WORD = FIRST_NUMBER + NUMBERS };

const char *
perf_end_name(enum perf_role role)
{
	return role == PERF_BACKEND ? "back-end" : "front-end";
}

const char *
perf_driver(const struct perf_options *o, uint32_t pair, enum perf_role role)
{
	if (role == o->measured)
		return o->driver[pair];
	if (o->peer != NULL)
		return o->peer;
	/* DPDK's front-end asks for no dirty log, and is behind no IOMMU. */
	if ((o->log != 0 || o->iommu != 0) && role == PERF_FRONTEND)
		return "net_vring";
	return role == PERF_BACKEND ? "net_vhost" : "net_virtio_user";
}

bool
perf_is_driver(const char *text, const char *name)
{
	size_t stem = strcspn(text, ",");

	return strlen(name) == stem && memcmp(text, name, stem) == 0;
}

uint32_t
perf_working_ports(const struct perf_options *o)
{
	return o->path[PERF_VM] ? 2 : 1;
}

uint32_t
perf_ports(const struct perf_options *o)
{
	return perf_working_ports(o) + o->idle_ports;
}

void
perf_usage(FILE *f)
{
	fputs("usage: vring-perf --compare A B | --compare-front A B |\n"
	      "                  --measure A | --measure-front A   [options]\n"
	      "  --compare A B        back-end drivers, e.g. net_vring net_vhost,tso=1\n"
	      "  --compare-front A B  front-end drivers, e.g. net_vring net_virtio_user\n"
	      "  --measure A, --measure-front A    one driver\n"
	      "  --a-args K=V,...     more arguments of A  (--b-args: of B)\n"
	      "  --peer DRIVER        at the other end (net_virtio_user, or net_vhost in front)\n"
	      "  --peer-args K=V,...  more arguments of the peer\n"
	      "  --plugin FILE        driver to load (EAL -d); --a-plugin, --b-plugin: for A or B\n"
	      "  --path P,...         of rx, tx (what the measured end receives, sends),\n"
	      "                       fwd, vm (fwd through two ports), latency;\n"
	      "                       or both (rx,tx), all (default)\n"
	      "  --size N,...         bytes of a packet, 60 to 9000, or imix (64)\n"
	      "  --layout L           split, packed or both (both)\n"
	      "  --mrg 0|1 (1)        --in-order 0|1 (0)    --offloads 0|1 (0)\n"
	      "  --vectorized 0|1 (0) --queues N (1)        --idle-ports N (0)\n"
	      "  --log 0|1|2 (0)      1: back-ends keep a dirty log; 2: that of A alone\n"
	      "  --iommu 0|1|2 (0)    A's front-end is behind an IOMMU; 2: that maps single pages\n"
	      "  --burst N (32)       --ring N (256)        --rounds N (15)\n"
	      "  --slice MS (200)     --think CYCLES between bursts (3000)\n"
	      "  --distance CYCLES    wait until a line's round trip takes no more (0: any), ten\n"
	      "                       minutes at most for a line of the table\n"
	      "  --cpus B,F           CPU of the back-end and of the front-end\n"
	      "  --csv [FILE]         one line a round      --json [FILE]\n"
	      "  --plot FILE.svg      a bar chart           --help, --version\n", f);
}

static int __attribute__((format(printf, 2, 3)))
refuse(const struct reason *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->text, r->len, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

/* A number up to the end of text or a comma. */
static bool
number_in(const char *text, uint32_t min, uint32_t max, uint32_t *value, const char **rest)
{
	char *end;
	unsigned long v = strtoul(text, &end, 0);

	*rest = end;
	*value = (uint32_t)v;
	return end != text && text[0] != '-' && (*end == '\0' || *end == ',') && v >= min &&
	       v <= max;
}

static int
parse_number(struct perf_options *o, const struct number *n, const char *text,
	const struct reason *why)
{
	const char *rest;
	uint32_t value;

	if (!number_in(text, n->min, n->max, &value, &rest) || *rest != '\0')
		return refuse(why, "--%s %s: a number from %u to %u is due%s", n->name, text,
			      n->min, n->max, n->offset == AT(idle_ports) ?
			      " (" PORTS_OF_DPDK ")" : "");
	memcpy((char *)o + n->offset, &value, sizeof(value));
	return 0;
}

static int
parse_sizes(struct perf_options *o, const char *text, const struct reason *why)
{
	const char *rest = text;

	o->nsizes = 0;
	for (const char *t = text; ; t = rest + 1) {
		uint32_t size = PERF_IMIX;

		if (strncasecmp(t, "imix", 4) == 0 && (t[4] == '\0' || t[4] == ','))
			rest = t + 4;
		else if (!number_in(t, 60, 9000, &size, &rest))
			return refuse(why, "--size %s: numbers from 60 to 9000, or imix, are due",
				      text);
		if (o->nsizes == PERF_MAX_SIZES)
			return refuse(why, "--size %s: more than %d sizes", text, PERF_MAX_SIZES);
		o->sizes[o->nsizes++] = size;
		if (*rest == '\0')
			return 0;
	}
}

static int
parse_layout(struct perf_options *o, const char *text, const struct reason *why)
{
	bool both = strcmp(text, "both") == 0;

	o->split = both || strcmp(text, "split") == 0;
	o->packed = both || strcmp(text, "packed") == 0;
	return o->split || o->packed ? 0 :
	       refuse(why, "--layout %s: split, packed or both is due", text);
}

/* The paths that one word of --path stands for, a bit each; 0: none. */
static unsigned int
paths_of(const char *text, size_t len)
{
	static const struct {
		const char *name;
		unsigned int mask;
	} names[] = {
		{"rx", 1 << PERF_RX}, {"tx", 1 << PERF_TX}, {"fwd", 1 << PERF_FORWARD},
		{"vm", 1 << PERF_VM}, {"latency", 1 << PERF_LATENCY},
		{"both", 1 << PERF_RX | 1 << PERF_TX}, {"all", (1 << PERF_PATHS) - 1},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i].name) == len && memcmp(text, names[i].name, len) == 0)
			return names[i].mask;
	return 0;
}

static int
parse_paths(struct perf_options *o, const char *text, const struct reason *why)
{
	unsigned int all = 0;
	size_t len;

	for (const char *t = text; ; t += len + 1) {
		unsigned int mask;

		len = strcspn(t, ",");
		mask = paths_of(t, len);
		if (mask == 0)
			return refuse(why, "--path %s: of rx, tx, fwd, vm, latency, both (rx,tx), "
				      "all", text);
		all |= mask;
		if (t[len] == '\0')
			break;
	}
	for (unsigned int p = 0; p < PERF_PATHS; p++)
		o->path[p] = all >> p & 1;
	return 0;
}

static int
parse_cpus(struct perf_options *o, const char *text, const struct reason *why)
{
	const char *rest;

	o->cpus_given = number_in(text, 0, 4095, &o->cpu[PERF_BACKEND], &rest) && *rest == ',' &&
			number_in(rest + 1, 0, 4095, &o->cpu[PERF_FRONTEND], &rest) &&
			*rest == '\0' && o->cpu[PERF_BACKEND] != o->cpu[PERF_FRONTEND];
	return o->cpus_given ? 0 :
	       refuse(why, "--cpus %s: two different numbers of CPUs are due", text);
}

/* What follows an option on the command line, if it is no option itself; or NULL. */
static const char *
next_word(int argc, char **argv)
{
	if (optind >= argc || (argv[optind][0] == '-' && argv[optind][1] != '\0'))
		return NULL;
	return argv[optind++];
}

static int
parse_drivers(struct perf_options *o, enum special which, int argc, char **argv,
	const struct reason *why)
{
	if (o->driver[0] != NULL)
		return refuse(why, "--%s: one of --compare, --compare-front, --measure and "
			      "--measure-front, and once", specials[which].name);
	o->measured = which == COMPARE || which == MEASURE ? PERF_BACKEND : PERF_FRONTEND;
	o->driver[0] = optarg;
	o->pairs = 1;
	if (which == MEASURE || which == MEASURE_FRONT)
		return 0;
	o->pairs = 2;
	o->driver[1] = next_word(argc, argv);
	return o->driver[1] != NULL && strcmp(o->driver[1], "-") != 0 ? 0 :
	       refuse(why, "--%s takes two drivers", specials[which].name);
}

static int
parse_special(struct perf_options *o, enum special which, int argc, char **argv,
	const struct reason *why)
{
	const char *file;

	switch (which) {
	case SIZE: return parse_sizes(o, optarg, why);
	case LAYOUT: return parse_layout(o, optarg, why);
	case PATH: return parse_paths(o, optarg, why);
	case CPUS: return parse_cpus(o, optarg, why);
	case CSV:
	case JSON:
		file = next_word(argc, argv);
		*(which == CSV ? &o->csv : &o->json) = file != NULL ? file : "-";
		return 0;
	case HELP:
		o->help = true;
		return 0;
	case VERSION:
		o->version = true;
		return 0;
	default:
		return parse_drivers(o, which, argc, argv, why);
	}
}

static int
parse_one(struct perf_options *o, int code, int argc, char **argv, const struct reason *why)
{
	if (code == '?' || code == ':')
		return refuse(why, "%s: %s (--help lists the options)", argv[optind - 1],
			      code == ':' ? "needs a value" : "no such option");
	if (code < FIRST_NUMBER)
		return parse_special(o, code, argc, argv, why);
	if (code < FIRST_WORD)
		return parse_number(o, &numbers[code - FIRST_NUMBER], optarg, why);
	memcpy((char *)o + words[code - FIRST_WORD].offset, &optarg, sizeof(optarg));
	return 0;
}

static bool
same(const char *a, const char *b)
{
	return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/* DPDK's own drivers can be one end only; they would say so in many words, and late. */
static int
check_ends(const struct perf_options *o, const struct reason *why)
{
	static const struct {
		const char *driver;
		enum perf_role role;
	} one_sided[] = {
		{"net_vhost", PERF_BACKEND}, {"net_virtio_user", PERF_FRONTEND},
	};

	for (uint32_t pair = 0; pair < o->pairs; pair++)
		for (int role = 0; role < PERF_ROLES; role++)
			for (size_t i = 0; i < sizeof(one_sided) / sizeof(one_sided[0]); i++)
				if (one_sided[i].role != (enum perf_role)role &&
				    perf_is_driver(perf_driver(o, pair, role),
						   one_sided[i].driver))
					return refuse(why, "%s can only be a %s (--help lists "
						      "the options for either end)",
						      one_sided[i].driver,
						      perf_end_name(one_sided[i].role));
	return 0;
}

/* What only the front-end of the project does. */
static int
check_front_ends(const struct perf_options *o, const struct reason *why)
{
	for (uint32_t pair = 0; pair < o->pairs; pair++) {
		if (perf_is_driver(perf_driver(o, pair, PERF_FRONTEND), "net_vring"))
			continue;
		if (o->log != 0)
			return refuse(why, "--log %u: front-ends have to be net_vring, DPDK's asks "
				      "for no dirty log", o->log);
		if (o->iommu != 0 && pair == 0)
			return refuse(why, "--iommu %u: the front-end of A has to be net_vring, "
				      "DPDK's is behind no IOMMU", o->iommu);
	}
	for (uint32_t i = 0; o->iommu == PERF_IOMMU_PAGES && i < o->nsizes; i++)
		if (o->sizes[i] > PERF_MAX_PAGED)
			return refuse(why, "--size %u: %d at most with --iommu 2, where an mbuf "
				      "with its packet is a page", o->sizes[i], PERF_MAX_PAGED);
	return 0;
}

static int
check(const struct perf_options *o, const struct reason *why)
{
	if (o->driver[0] == NULL)
		return refuse(why, "one of --compare A B, --compare-front A B, --measure A and "
			      "--measure-front A is due (--help lists the options)");
	if (perf_ports(o) > PERF_MAX_PORTS)
		return refuse(why, "--idle-ports %u: %u at most where --path has vm, as all "
			      "(default) has, which takes two ports (" PORTS_OF_DPDK ")",
			      o->idle_ports, PERF_MAX_PORTS - perf_working_ports(o));
	if (o->pairs == 1 && (o->args[1] != NULL || o->own_plugin[1] != NULL))
		return refuse(why, "--b-args and --b-plugin are for a comparison");
	if (o->split && (o->ring & (o->ring - 1)) != 0)
		return refuse(why, "--ring %u: a power of two is due, unless --layout is packed",
			      o->ring);
	if (same(o->csv, o->json) || same(o->csv, o->plot) || same(o->json, o->plot))
		return refuse(why, "--csv, --json, --plot: each needs a file of its own");
	if (check_front_ends(o, why) < 0)
		return -EINVAL;
	return check_ends(o, why);
}

int
perf_options_parse(struct perf_options *o, int argc, char **argv, char *text, size_t len)
{
	struct option longs[SPECIALS + NUMBERS + WORDS + 1] = {0};
	const struct reason why = {text, len};
	int code, ret = 0;

	*o = (struct perf_options){
		.sizes = {64}, .nsizes = 1, .split = true, .packed = true,
		.path = {true, true, true, true, true}, .mrg = 1, .queues = 1,
		.rounds = 15, .slice_ms = 200, .burst = 32, .ring = 256, .think = 3000,
	};
	memcpy(longs, specials, sizeof(specials));
	for (int i = 0; i < NUMBERS; i++)
		longs[FIRST_NUMBER + i] = (struct option){numbers[i].name, 1, NULL,
							  FIRST_NUMBER + i};
	for (int i = 0; i < WORDS; i++)
		longs[FIRST_WORD + i] = (struct option){words[i].name, 1, NULL, FIRST_WORD + i};
	optind = 0;
	opterr = 0;
	while (ret == 0 && (code = getopt_long(argc, argv, "+:", longs, NULL)) != -1)
		ret = parse_one(o, code, argc, argv, &why);
	if (ret == 0 && optind < argc)
		ret = refuse(&why, "%s: not an option", argv[optind]);
	return ret != 0 || o->help || o->version ? ret : check(o, &why);
}
