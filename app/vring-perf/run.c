/* SPDX-License-Identifier: BSD-3-Clause */
#include "run.h"

#include <errno.h>
#include <ftw.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_config.h>

enum {
	PATIENCE_MS = 20000,
	SURPLUS_MS = 2,		/* a slice takes about so much longer than its two halves */
};

static const char socket_dir[] = "/run";
static struct perf_options options;	/* a copy: it is needed at exit */
static struct perf_shared *shared;
static pid_t children[PERF_PAIRS][PERF_ROLES];
static pid_t coordinator;
static volatile sig_atomic_t interrupted;

void
perf_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("vring-perf: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
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

/* Where the two ports of this number meet. */
static void
socket_path(char *buf, size_t len, uint32_t pair, uint32_t port)
{
	snprintf(buf, len, "%s/vperf%d.%u.%u", socket_dir, coordinator, pair, port);
}

static void
end_child(pid_t *child)
{
	if (*child <= 0)
		return;
	kill(*child, SIGKILL);
	waitpid(*child, NULL, 0);
	remove_runtime_dir(*child);
	*child = 0;
}

/* At every end of the coordinator: no process, socket or directory of the run stays. */
static void
clean_up(void)
{
	char path[64];

	if (getpid() != coordinator)
		return;
	for (uint32_t pair = 0; pair < PERF_PAIRS; pair++) {
		for (int role = 0; role < PERF_ROLES; role++)
			end_child(&children[pair][role]);
		for (uint32_t port = 0; port < perf_ports(&options); port++) {
			socket_path(path, sizeof(path), pair, port);
			unlink(path);
		}
	}
}

static void
check_plugin(uint32_t pair, enum perf_role role)
{
	static const char installed[] = RTE_EAL_PMD_PATH "/librte_net_vring.so";
	const char *plugin = perf_plugin(&options, pair, role);

	if (plugin != NULL && access(plugin, R_OK) != 0)
		perf_fail("%s: %s", plugin, strerror(errno));
	if (plugin == NULL && access(installed, R_OK) != 0 &&
	    strncmp(perf_driver(&options, pair, role), "net_vring", 9) == 0)
		perf_fail("net_vring is not installed (%s): give --plugin FILE", installed);
}

void
perf_run_init(const struct perf_options *o)
{
	options = *o;
	coordinator = getpid();
	if (access(socket_dir, W_OK) != 0)
		perf_fail("%s cannot be written, where the sockets are: run it as root",
			  socket_dir);
	for (uint32_t pair = 0; pair < options.pairs; pair++)
		for (int role = 0; role < PERF_ROLES; role++)
			check_plugin(pair, role);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (shared == MAP_FAILED)
		perf_fail("memory: %s", strerror(errno));
	atexit(clean_up);
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	signal(SIGHUP, on_signal);
}

double
perf_run_tsc_hz(void)
{
	return (double)shared->tsc_hz;
}

static void
eal_args(struct perf_worker *w, bool packed)
{
	const char *plugin = perf_plugin(&options, w->pair, w->role);
	const char *driver = perf_driver(&options, w->pair, w->role);
	char **v = w->eal_argv, path[64];
	int n = 0;

	v[n++] = text("vring-perf");
	v[n++] = text("--lcores");
	v[n++] = text("0@%u", options.cpu[w->role]);
	v[n++] = text("--in-memory");
	v[n++] = text("--single-file-segments");
	v[n++] = text("--no-pci");
	v[n++] = text("--no-telemetry");
	v[n++] = text("--log-level=error");
	v[n++] = text("--file-prefix=vperf%d", getpid());
	v[n++] = text("-m");
	v[n++] = text("%u", perf_memory(&options));
	/* DPDK's front-end wants 512 bits for packed rings; EAL's default is 256. */
	if (options.vectorized && w->role == PERF_FRONTEND)
		v[n++] = text("--force-max-simd-bitwidth=512");
	snprintf(w->driver, sizeof(w->driver), "%.*s", (int)strcspn(driver, ","), driver);
	if (plugin != NULL) {
		v[n++] = text("-d");
		v[n++] = text("%s", plugin);
	}
	for (uint32_t port = 0; port < w->ports; port++) {
		socket_path(path, sizeof(path), w->pair, port);
		v[n++] = text("--vdev");
		v[n++] = perf_vdev(&options, w->pair, w->role, packed, port, path);
	}
	w->eal_argc = n;
}

static void __attribute__((noreturn))
worker_failed(uint32_t pair, enum perf_role role, const char *how)
{
	perf_fail("%s %c (%s) %s", perf_end_name(role), 'A' + pair,
		  perf_driver(&options, pair, role), how);
}

static void
check_alive(void)
{
	int status;
	pid_t p;

	if (interrupted != 0)
		exit(128 + interrupted);
	p = waitpid(-1, &status, WNOHANG);
	for (uint32_t i = 0; p > 0 && i < PERF_PAIRS * PERF_ROLES; i++) {
		pid_t *child = &children[i / PERF_ROLES][i % PERF_ROLES];

		if (*child != p)
			continue;
		remove_runtime_dir(p);
		*child = 0;
		worker_failed(i / PERF_ROLES, i % PERF_ROLES, WIFSIGNALED(status) ?
			      text("was ended by signal %d", WTERMSIG(status)) :
			      "ended: the lines above say why");
	}
}

static void
wait_for(uint32_t pair, enum perf_role role, const uint32_t *word, uint32_t value,
	unsigned int ms)
{
	for (unsigned int i = 0; __atomic_load_n(word, __ATOMIC_ACQUIRE) < value; i++) {
		if (i > ms)
			worker_failed(pair, role, "does not answer");
		usleep(1000);
		check_alive();
	}
}

static void
start_worker(uint32_t pair, enum perf_role role, bool packed)
{
	struct perf_worker w = {
		.role = role, .pair = pair,
		.working = (uint16_t)perf_working_ports(&options),
		.ports = (uint16_t)perf_ports(&options),
		.queues = (uint16_t)options.queues, .ring = (uint16_t)options.ring,
		.paged = options.iommu == PERF_IOMMU_PAGES,
		.offloads = options.offloads != 0, .shared = shared,
	};
	pid_t child;

	perf_pool(&options, &w.mbufs, &w.mbuf_room);
	shared->ready[pair][role] = shared->go[pair][role] = 0;
	fflush(NULL);
	child = fork();
	if (child < 0)
		perf_fail("fork: %s", strerror(errno));
	if (child == 0) {
		eal_args(&w, packed);
		perf_worker_main(&w);
	}
	children[pair][role] = child;
}

void
perf_run_start(bool packed)
{
	for (uint32_t pair = 0; pair < options.pairs; pair++) {
		start_worker(pair, PERF_BACKEND, packed);
	}
	for (uint32_t pair = 0; pair < options.pairs; pair++) {
		wait_for(pair, PERF_BACKEND, &shared->ready[pair][PERF_BACKEND], 1, PATIENCE_MS);
		start_worker(pair, PERF_FRONTEND, packed);
	}
	for (uint32_t pair = 0; pair < options.pairs; pair++)
		for (int role = PERF_FRONTEND; role >= 0; role--)
			wait_for(pair, role, &shared->ready[pair][role], 2, PATIENCE_MS);
}

/* Wake a worker for a slice, or to end. */
static void
order(uint32_t pair, enum perf_role role, uint32_t value)
{
	uint32_t *go = &shared->go[pair][role];

	__atomic_store_n(go, value, __ATOMIC_RELEASE);
	syscall(SYS_futex, go, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void
stop_worker(uint32_t pair, enum perf_role role)
{
	pid_t *child = &children[pair][role];

	order(pair, role, UINT32_MAX);
	while (waitpid(*child, NULL, 0) < 0 && errno == EINTR && interrupted == 0)
		;
	if (interrupted != 0)
		exit(128 + interrupted);
	remove_runtime_dir(*child);
	*child = 0;
}

/* Front-ends first: net_virtio_user may end its process when its back-end is gone. */
void
perf_run_stop(void)
{
	for (int role = PERF_FRONTEND; role >= 0; role--)
		for (uint32_t pair = 0; pair < options.pairs; pair++)
			stop_worker(pair, role);
}

/* Have both ends of a pair do a job, and wait until it is done. */
static void
run_job(uint32_t pair, struct perf_job *job)
{
	static uint32_t id;

	job->id = ++id;
	shared->job = *job;
	for (int role = 0; role < PERF_ROLES; role++)
		order(pair, role, id);
	/* Asleep while they work, for it would take a core away from them. */
	usleep((job->slice_ms + SURPLUS_MS) * 1000);
	for (int role = 0; role < PERF_ROLES; role++)
		wait_for(pair, role, &shared->done[pair][role], id, PATIENCE_MS);
}

uint32_t
perf_run_distance(void)
{
	struct perf_job job = {.measured = options.measured};

	run_job(0, &job);
	return shared->distance[0];
}

void
perf_run_slice(uint32_t pair, enum perf_path path, uint32_t size, double v[PERF_FIGURES])
{
	struct perf_job job = {
		.measured = options.measured, .path = path, .size = size,
		.burst = options.burst, .ring = options.ring, .slice_ms = options.slice_ms,
		.think = options.think,
	};

	run_job(pair, &job);
	perf_slice_figures(shared->result, &shared->job, (double)shared->tsc_hz, v);
	v[PERF_BEFORE] = shared->distance[0];
	v[PERF_AFTER] = shared->distance[1];
}
