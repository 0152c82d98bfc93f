/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vring-perf: two drivers side by side.
 *
 * A back-end process and a front-end process, each on its own core, hold a port of either driver;
 * the pairs run in turn, in slices. The figure is the median over bursts of the cycles spent in
 * the driver's own burst call, for each packet; a time slice stolen from a virtual machine hits a
 * few bursts only. Cores of a virtual machine can be near or far from each other, and that changes
 * every figure: a cache line's round trip is measured with each slice.
 */
#include "perf.h"

#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_ROUNDS = 200, MAX_SIZES = 8 };

struct options {
	const char *driver[PERF_PAIRS]; /* at the end that is measured */
	const char *peer;	/* at the other end of both; NULL: what DPDK has */
	enum perf_role role;	/* the end that is measured */
	const char *plugin;
	uint32_t sizes[MAX_SIZES], nsizes;
	bool split, packed, rx, tx, csv;
	uint32_t mrg, in_order, rounds, slice_ms, burst, ring, think;
};

/* What all rounds of one line of the table gave. */
struct line {
	double cycles[PERF_PAIRS][MAX_ROUNDS];
	double ratio[MAX_ROUNDS];
	double mpps[PERF_PAIRS][MAX_ROUNDS];
	double empty[PERF_PAIRS][MAX_ROUNDS];
	double distance[MAX_ROUNDS];
	uint32_t n;
};

static pid_t children[PERF_ROLES];
static volatile sig_atomic_t interrupted;
static const char *socket_dir = "/run";
static pid_t coordinator;

static void
usage(FILE *f)
{
	fprintf(f,
		"usage: vring-perf --compare A B | --compare-front A B [options]\n"
		"  --compare A B     back-end drivers, e.g. net_vring net_vhost,tso=1\n"
		"  --compare-front A B  front-end drivers, e.g. net_vring net_virtio_user\n"
		"  --peer DRIVER     at the other end (net_virtio_user, or net_vhost in front)\n"
		"  --plugin FILE     driver to load (EAL -d)\n"
		"  --size N,N,...    bytes of a packet (64)\n"
		"  --layout L        split, packed or both (both)\n"
		"  --path P          rx (what the measured end receives), tx or both (both)\n"
		"  --mrg 0|1         mergeable buffers (1)      --in-order 0|1 (0)\n"
		"  --burst N (32)    --ring N (256)             --rounds N (15)\n"
		"  --slice MS (200)  --think CYCLES between bursts (3000)\n"
		"  --csv             one line a round\n");
}

static void __attribute__((format(printf, 1, 2)))
fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("vring-perf: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

static void
on_signal(int sig)
{
	interrupted = sig;
}

static int
remove_entry(const char *path, const struct stat *st, int type, struct FTW *place)
{
	return remove(path);
}

/* The directory that EAL makes for a worker, and leaves. */
static void
remove_runtime_dir(pid_t worker)
{
	char path[64];

	snprintf(path, sizeof(path), "/var/run/dpdk/vperf%d", worker);
	nftw(path, remove_entry, 4, FTW_DEPTH | FTW_PHYS);
}

/* At every end of the coordinator: no process, socket or directory of the run stays. */
static void
clean_up(void)
{
	char path[64];

	if (getpid() != coordinator)
		return;
	for (int i = 0; i < PERF_ROLES; i++) {
		if (children[i] <= 0)
			continue;
		kill(children[i], SIGKILL);
		waitpid(children[i], NULL, 0);
		remove_runtime_dir(children[i]);
	}
	for (int i = 0; i < PERF_PAIRS; i++) {
		snprintf(path, sizeof(path), "%s/vperf%d.%d", socket_dir, getpid(), i);
		unlink(path);
	}
}

static uint32_t
number(const char *text, uint32_t min, uint32_t max)
{
	char *end;
	unsigned long v = strtoul(text, &end, 0);

	if (*end != '\0' || end == text || v < min || v > max)
		fail("%s: a number from %u to %u is due", text, min, max);
	return (uint32_t)v;
}

static void
sizes_of(struct options *o, const char *text)
{
	char *copy = strdup(text), *save = NULL;

	o->nsizes = 0;
	for (char *t = strtok_r(copy, ",", &save); t != NULL && o->nsizes < MAX_SIZES;
	     t = strtok_r(NULL, ",", &save))
		o->sizes[o->nsizes++] = number(t, 60, 9000);
	free(copy);
	if (o->nsizes == 0)
		fail("--size: no size in '%s'", text);
}

static void
parse(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{"compare", 1, NULL, 'c'}, {"compare-front", 1, NULL, 'f'},
		{"peer", 1, NULL, 'o'}, {"plugin", 1, NULL, 'd'}, {"size", 1, NULL, 's'},
		{"layout", 1, NULL, 'l'}, {"path", 1, NULL, 'p'}, {"mrg", 1, NULL, 'm'},
		{"in-order", 1, NULL, 'i'}, {"burst", 1, NULL, 'b'}, {"ring", 1, NULL, 'r'},
		{"rounds", 1, NULL, 'n'}, {"slice", 1, NULL, 't'}, {"think", 1, NULL, 'k'},
		{"csv", 0, NULL, 'v'}, {"help", 0, NULL, 'h'}, {NULL, 0, NULL, 0},
	};
	int c;

	*o = (struct options){
		.sizes = {64}, .nsizes = 1, .split = true, .packed = true, .rx = true, .tx = true,
		.mrg = 1, .rounds = 15, .slice_ms = 200, .burst = 32, .ring = 256, .think = 3000,
	};
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
		case 'f':
			o->role = c == 'c' ? PERF_BACKEND : PERF_FRONTEND;
			o->driver[0] = optarg;
			if (optind >= argc || argv[optind][0] == '-')
				fail("--compare takes two drivers");
			o->driver[1] = argv[optind++];
			break;
		case 'o': o->peer = optarg; break;
		case 'd': o->plugin = optarg; break;
		case 's': sizes_of(o, optarg); break;
		case 'l':
			o->split = strcmp(optarg, "packed") != 0;
			o->packed = strcmp(optarg, "split") != 0;
			break;
		case 'p':
			o->rx = strcmp(optarg, "tx") != 0;
			o->tx = strcmp(optarg, "rx") != 0;
			break;
		case 'm': o->mrg = number(optarg, 0, 1); break;
		case 'i': o->in_order = number(optarg, 0, 1); break;
		case 'b': o->burst = number(optarg, 1, PERF_MAX_BURST); break;
		case 'r': o->ring = number(optarg, 64, 32768); break;
		case 'n': o->rounds = number(optarg, 1, MAX_ROUNDS); break;
		case 't': o->slice_ms = number(optarg, 10, 1000); break;
		case 'k': o->think = number(optarg, 0, 1000000); break;
		case 'v': o->csv = true; break;
		case 'h': usage(stdout); exit(0);
		default: usage(stderr); exit(2);
		}
	}
	if (o->driver[0] == NULL) {
		usage(stderr);
		exit(2);
	}
}

static char * __attribute__((format(printf, 1, 2)))
text(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		exit(1);
	va_end(ap);
	return s;
}

/* "DRIVER[,key=value...]" of port i of a role. */
static const char *
driver_of(const struct options *o, enum perf_role role, int i)
{
	if (role == o->role)
		return o->driver[i];
	if (o->peer != NULL)
		return o->peer;
	return role == PERF_BACKEND ? "net_vhost" : "net_virtio_user";
}

static const char *
end_of(enum perf_role role)
{
	return role == PERF_BACKEND ? "back-end" : "front-end";
}

/* The same with what makes it port i. */
static char *
vdev(const struct options *o, enum perf_role role, int i, bool packed)
{
	const char *name = driver_of(o, role, i), *mac = "";
	size_t stem = strcspn(name, ",");

	/* DPDK's front-end complains where it has to make an address up. */
	if (strncmp(name, "net_virtio_user", stem) == 0 && strstr(name, ",mac=") == NULL)
		mac = i == 0 ? ",mac=02:00:00:00:00:01" : ",mac=02:00:00:00:00:02";
	if (role == PERF_BACKEND)
		return text("%.*s%d,iface=%s/vperf%d.%d%s", (int)stem, name, i, socket_dir,
			    getppid(), i, name + stem);
	return text("%.*s%d,path=%s/vperf%d.%d,packed_vq=%d,mrg_rxbuf=%u,in_order=%u,"
		    "queue_size=%u%s%s", (int)stem, name, i, socket_dir, getppid(), i, packed,
		    o->mrg, o->in_order, o->ring, mac, name + stem);
}

static void
worker_args(struct perf_worker *w, const struct options *o, bool packed)
{
	char **v = w->eal_argv;
	int n = 0;

	v[n++] = text("vring-perf");
	v[n++] = text("--lcores");
	v[n++] = text("0@%d", w->cpu);
	v[n++] = text("--in-memory");
	v[n++] = text("--single-file-segments");
	v[n++] = text("--no-pci");
	v[n++] = text("--no-telemetry");
	v[n++] = text("--log-level=error");
	v[n++] = text("--file-prefix=vperf%d", getpid());
	v[n++] = text("-m");
	v[n++] = text("256");
	for (int i = 0; i < PERF_PAIRS; i++)
		if (strncmp(driver_of(o, w->role, i), "net_vring", 9) == 0)
			w->needs_vring = o->plugin == NULL;
	if (o->plugin != NULL) {
		v[n++] = text("-d");
		v[n++] = text("%s", o->plugin);
	}
	for (int i = 0; i < PERF_PAIRS; i++) {
		v[n++] = text("--vdev");
		v[n++] = vdev(o, w->role, i, packed);
	}
	w->eal_argc = n;
}

static void __attribute__((noreturn))
worker_failed(const struct options *o, enum perf_role role, const char *how)
{
	fail("the %s (%s, %s) %s", end_of(role), driver_of(o, role, 0), driver_of(o, role, 1),
	     how);
	abort();
}

static void
check_alive(const struct options *o)
{
	int status;
	pid_t p;

	if (interrupted != 0)
		exit(128 + interrupted);
	p = waitpid(-1, &status, WNOHANG);
	for (int role = 0; role < PERF_ROLES; role++) {
		if (p <= 0 || p != children[role])
			continue;
		remove_runtime_dir(p);
		children[role] = 0;
		if (WIFSIGNALED(status))
			worker_failed(o, role, text("was ended by signal %d",
						    WTERMSIG(status)));
		worker_failed(o, role, "ended: the lines above say why (each end needs 256 MiB of "
			      "hugepages)");
	}
}

static void
wait_for(const struct options *o, enum perf_role role, const uint32_t *word, uint32_t value,
	 unsigned int ms)
{
	for (unsigned int i = 0; __atomic_load_n(word, __ATOMIC_ACQUIRE) < value; i++) {
		if (i > ms)
			worker_failed(o, role, "does not answer");
		usleep(1000);
		check_alive(o);
	}
}

static void
start_workers(struct perf_shared *s, const struct options *o, bool packed)
{
	uint32_t room = 2048;

	for (uint32_t i = 0; i < o->nsizes; i++)
		if (o->sizes[i] + 256 > room)
			room = o->sizes[i] + 256;
	for (int role = 0; role < PERF_ROLES; role++) {
		struct perf_worker w = {.role = role, .cpu = role == PERF_BACKEND ? 1 : 0,
					.mbuf_room = room + 128, .ring = (uint16_t)o->ring,
					.shared = s};

		children[role] = fork();
		if (children[role] < 0)
			fail("fork: %s", strerror(errno));
		if (children[role] == 0) {
			worker_args(&w, o, packed);
			perf_worker_main(&w);
		}
		wait_for(o, role, &s->ready[role], role == PERF_BACKEND ? 1 : 2, 20000);
	}
	wait_for(o, PERF_BACKEND, &s->ready[PERF_BACKEND], 2, 10000);
}

static void
stop_workers(struct perf_shared *s)
{
	__atomic_store_n(&s->go, UINT32_MAX, __ATOMIC_RELEASE);
	for (int i = 0; i < PERF_ROLES; i++) {
		while (waitpid(children[i], NULL, 0) < 0 && errno == EINTR && interrupted == 0)
			;
		if (interrupted != 0)
			exit(128 + interrupted);
		remove_runtime_dir(children[i]);
		children[i] = 0;
	}
	memset(s, 0, offsetof(struct perf_shared, result));
}

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

static double
quantile(const double *v, uint32_t n, double q)
{
	double copy[MAX_ROUNDS];

	if (n == 0)
		return 0;
	memcpy(copy, v, n * sizeof(v[0]));
	qsort(copy, n, sizeof(copy[0]), by_double);
	return copy[(uint32_t)(q * (n - 1) + 0.5)];
}

/* Median cycles a packet of one slice. */
static double
slice(struct perf_shared *s, const struct options *o, uint32_t pair, enum perf_path path,
	uint32_t size, struct line *l)
{
	struct perf_result *r = &s->result[o->role];
	uint32_t id = s->go + 1;

	s->job = (struct perf_job){.pair = pair, .measured = o->role, .path = path, .size = size,
				   .burst = o->burst, .slice_ms = o->slice_ms,
				   .think = o->think};
	s->stop = 0;
	__atomic_store_n(&s->go, id, __ATOMIC_RELEASE);
	wait_for(o, PERF_BACKEND, &s->done[PERF_BACKEND], id, 20000);
	wait_for(o, PERF_FRONTEND, &s->done[PERF_FRONTEND], id, 20000);
	if (r->nsamples == 0)
		fail("%s carried no full burst", o->driver[pair]);
	qsort(r->sample, r->nsamples, sizeof(r->sample[0]), by_u32);
	l->mpps[pair][l->n] = r->packets / 1e6 * s->tsc_hz / r->tsc;
	l->empty[pair][l->n] = r->empty_cycles;
	l->distance[l->n] = s->distance;
	return (double)r->sample[r->nsamples / 2] / o->burst;
}

static void
measure(struct perf_shared *s, const struct options *o, bool packed, enum perf_path path,
	uint32_t size)
{
	static struct line l;

	l.n = 0;
	for (uint32_t round = 0; round < o->rounds; round++) {
		double far[PERF_PAIRS];

		for (uint32_t k = 0; k < PERF_PAIRS; k++) {
			/* Who goes first alternates, so that a trend favours nobody. */
			uint32_t pair = (k + round) % PERF_PAIRS;

			l.cycles[pair][l.n] = slice(s, o, pair, path, size, &l);
			far[pair] = l.distance[l.n];
		}
		/* Only like with like: both slices near, or both far. */
		if (far[0] > 2 * far[1] || far[1] > 2 * far[0])
			continue;
		l.ratio[l.n] = l.cycles[1][l.n] / l.cycles[0][l.n];
		if (o->csv)
			printf("%s,%s,%u,%u,%.1f,%.1f,%.3f,%.0f\n", packed ? "packed" : "split",
			       path == PERF_RX ? "rx" : "tx", size, round, l.cycles[0][l.n],
			       l.cycles[1][l.n], l.ratio[l.n], far[0]);
		else if (isatty(2))
			fprintf(stderr, "\r%s %s %u B: round %u of %u ",
				packed ? "packed" : "split", path == PERF_RX ? "rx" : "tx", size,
				round + 1, o->rounds);
		l.n++;
	}
	if (isatty(2))
		fputs("\r", stderr);
	if (o->csv)
		return;
	printf("%-6s %-2s %5u B | %6.1f [%5.1f-%5.1f] | %6.1f [%5.1f-%5.1f] | "
	       "%5.2f [%4.2f-%4.2f] | %4.0f %4.0f | %5.1f %5.1f | %5.0f\n",
	       packed ? "packed" : "split", path == PERF_RX ? "rx" : "tx", size,
	       quantile(l.cycles[0], l.n, .5), quantile(l.cycles[0], l.n, .1),
	       quantile(l.cycles[0], l.n, .9), quantile(l.cycles[1], l.n, .5),
	       quantile(l.cycles[1], l.n, .1), quantile(l.cycles[1], l.n, .9),
	       quantile(l.ratio, l.n, .5), quantile(l.ratio, l.n, .1), quantile(l.ratio, l.n, .9),
	       quantile(l.empty[0], l.n, .5), quantile(l.empty[1], l.n, .5),
	       quantile(l.mpps[0], l.n, .5), quantile(l.mpps[1], l.n, .5),
	       quantile(l.distance, l.n, .5));
	fflush(stdout);
}

static void
print_head(const struct options *o)
{
	if (o->csv)
		printf("layout,path,size,round,cycles_a,cycles_b,ratio,distance\n");
	else
		printf("%ss A %s, B %s; mrg %u, in order %u, bursts of %u; medians [p10-p90] of %u "
		       "rounds\n%-17s | %-20s | %-20s | %-17s | %-9s | %-11s | %s\n",
		       end_of(o->role), o->driver[0], o->driver[1], o->mrg, o->in_order, o->burst,
		       o->rounds, "path", "A cycles/packet", "B cycles/packet", "B/A by round",
		       "empty A B", "Mpps A    B", "line round trip");
	fflush(stdout);
}

static void
measure_layout(struct perf_shared *s, const struct options *o, bool packed)
{
	static bool headed;

	start_workers(s, o, packed);
	if (!headed)
		print_head(o);
	headed = true;
	for (uint32_t i = 0; i < o->nsizes; i++) {
		if (o->rx)
			measure(s, o, packed, PERF_RX, o->sizes[i]);
		if (o->tx)
			measure(s, o, packed, PERF_TX, o->sizes[i]);
	}
	stop_workers(s);
}

int
main(int argc, char **argv)
{
	struct perf_shared *s;
	struct options o;

	parse(&o, argc, argv);
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		fail("two cores are needed, one for each end");
	s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s == MAP_FAILED)
		fail("memory: %s", strerror(errno));
	coordinator = getpid();
	atexit(clean_up);
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	signal(SIGHUP, on_signal);
	if (o.split)
		measure_layout(s, &o, false);
	if (o.packed)
		measure_layout(s, &o, true);
	return 0;
}
