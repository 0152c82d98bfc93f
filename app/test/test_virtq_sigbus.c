/* SPDX-License-Identifier: BSD-3-Clause */
/* A file that is cut short under a mapping: what the fault costs, and who hears of it. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "rig_guest.h"
#include "rig_guest_file.h"
#include "virtq_sigbus.h"

/* How many mappings this process has of a file; the kernel counts. */
static int
mappings_of(const char *name)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];
	int n = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL)
		n += strstr(line, name) != NULL;
	fclose(f);
	return n;
}

/* A region of a file of its own; the map's reference goes to the snapshot. */
static struct virtq_region
mapped(int fd, uint64_t gpa, uint64_t size)
{
	struct virtq_region r = {.gpa = gpa, .uva = gpa, .size = size};

	assert_int_equal(virtq_mem_map_new(NULL, fd, 0, size, &r.map, &r.host), 0);
	return r;
}

/* What a burst does to memory, while the file behind it is cut. */
struct toucher {
	pthread_t thread;
	volatile uint8_t *host;
	uint64_t size;
	uint32_t stop;
	bool write;
	uint64_t rounds;
};

static void *
toucher_main(void *arg)
{
	struct toucher *t = arg;
	uint8_t sum = 0;

	while (!__atomic_load_n(&t->stop, __ATOMIC_RELAXED)) {
		for (uint64_t i = 0; i < t->size; i += 64) {
			if (t->write)
				__atomic_store_n(&t->host[i], (uint8_t)i, __ATOMIC_RELAXED);
			else
				sum += __atomic_load_n(&t->host[i], __ATOMIC_RELAXED);
		}
		__atomic_fetch_add(&t->rounds, 1, __ATOMIC_RELAXED);
	}
	return sum ? NULL : arg;
}

static void
wait_rounds(struct toucher *t, uint64_t more)
{
	uint64_t until = __atomic_load_n(&t->rounds, __ATOMIC_RELAXED) + more;

	while (__atomic_load_n(&t->rounds, __ATOMIC_RELAXED) < until)
		usleep(100);
}

/* The process lives, what is left of the file is still shared, and the cut is told. */
static void
file_is_cut(void **state)
{
	const uint64_t size = 64 * PAGE;

	for (int round = 0; round < 8; round++) {
		struct toucher t[2] = {{.write = false}, {.write = true}};
		int fd = file_of(size);
		struct virtq_region r = mapped(fd, 0x100000, size);
		struct virtq_mem *mem;
		uint8_t byte;

		assert_int_equal(virtq_mem_new(&r, 1, &mem), 0);
		for (int i = 0; i < 2; i++) {
			t[i].host = r.host;
			t[i].size = size;
			assert_int_equal(pthread_create(&t[i].thread, NULL, toucher_main,
							&t[i]), 0);
		}
		wait_rounds(&t[0], 3);
		assert_false(virtq_mem_poisoned(mem));
		assert_int_equal(ftruncate(fd, (off_t)(round % 2 ? 5 * PAGE : 0)), 0);
		wait_rounds(&t[0], 3);
		wait_rounds(&t[1], 3);
		assert_true(virtq_mem_poisoned(mem));
		assert_true(virtq_mem_map_poisoned(r.map));
		for (int i = 0; i < 2; i++) {
			__atomic_store_n(&t[i].stop, 1, __ATOMIC_RELAXED);
			pthread_join(t[i].thread, NULL);
		}
		if (round % 2) { /* the pages before the cut are the file's */
			r.host[100] = 0x77;
			assert_int_equal(pread(fd, &byte, 1, 100), 1);
			assert_int_equal(byte, 0x77);
		}
		/* What is gone was replaced; it does not come back, and does not grow the file. */
		r.host[size - 1] = 0x11;
		assert_int_equal(r.host[size - 1], 0x11);
		assert_int_equal(lseek(fd, 0, SEEK_END), round % 2 ? 5 * PAGE : 0);
		virtq_mem_put(mem);
		close(fd);
	}
}

/* Only the map that was cut is poisoned. */
static void
other_maps_are_not_poisoned(void **state)
{
	int fd[3] = {file_of(PAGE), file_of(PAGE), file_of(PAGE)};
	struct virtq_map *map[3];
	uint8_t *host[3];

	for (int i = 0; i < 3; i++)
		assert_int_equal(virtq_mem_map_new(NULL, fd[i], 0, PAGE, &map[i], &host[i]), 0);
	assert_int_equal(ftruncate(fd[1], 0), 0);
	host[0][5] = host[1][5] = host[2][5] = 1;
	assert_false(virtq_mem_map_poisoned(map[0]));
	assert_true(virtq_mem_map_poisoned(map[1]));
	assert_false(virtq_mem_map_poisoned(map[2]));
	assert_false(virtq_mem_map_poisoned(NULL));
	assert_false(virtq_mem_poisoned(NULL));
	for (int i = 0; i < 3; i++) {
		virtq_mem_map_put(map[i]);
		close(fd[i]);
	}
}

/* How many mappings lie in a range of addresses. */
static unsigned int
mappings_in(const uint8_t *host, uint64_t size)
{
	FILE *f = fopen("/proc/self/maps", "r");
	uintptr_t from, to, start = (uintptr_t)host;
	char line[512];
	unsigned int n = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "%lx-%lx", &from, &to) == 2)
			n += from < start + size && to > start;
	fclose(f);
	return n;
}

/*
 * A process has 65,530 mappings at most (vm.max_map_count). Buffers that lie on every second page
 * behind the end of a file do not use them up, wherever the first of them is.
 */
static void
cut_file_is_two_mappings(void **state)
{
	const uint64_t pages = 1000;

	for (int down = 0; down < 2; down++) {
		int fd = file_of(pages * PAGE);
		struct virtq_map *map;
		uint8_t *host;

		assert_int_equal(virtq_mem_map_new(NULL, fd, 0, pages * PAGE, &map, &host), 0);
		host[0] = 1;
		assert_int_equal(ftruncate(fd, PAGE), 0);
		for (uint64_t i = 2; i < pages; i += 2) {
			uint8_t *p = &host[(down ? pages - i : i) * PAGE];

			*p = 0x5a;
			assert_int_equal(*p, 0x5a);
		}
		assert_uint_in_range(mappings_in(host, pages * PAGE), 1, 3);
		assert_int_equal(host[0], 1);
		virtq_mem_map_put(map);
		assert_int_equal(mappings_of("memfd:mem"), 0);
		close(fd);
	}
}

/* An owner of mappings; what is to be done later is done when the test says so. */
struct owner {
	unsigned int n;
	void (*fn[8])(void *arg);
	void *arg[8];
	int released;		/* the cutfd, -1: not yet */
};

static bool
owner_later(void *ctx, void (*fn)(void *arg), void *arg)
{
	struct owner *o = ctx;

	if (o->n == 8)
		return false;
	o->fn[o->n] = fn;
	o->arg[o->n++] = arg;
	return true;
}

static void
owner_release(void *ctx, int cutfd)
{
	struct owner *o = ctx;

	o->released = cutfd;
}

static const struct virtq_mem_account_ops owner_ops = {owner_later, owner_release};

static void
owner_work(struct owner *o)
{
	for (unsigned int i = 0; i < o->n; i++)
		o->fn[i](o->arg[i]);
	o->n = 0;
}

/* As many mappings as the account allows, those included that wait to be undone. */
static void
account_has_a_limit(void **state)
{
	int fd = file_of(PAGE), cutfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct virtq_map *map[3], *other;
	struct owner o = {.released = -1};
	struct virtq_mem_account *a = virtq_mem_account_new(2, cutfd, &owner_ops, &o);
	uint8_t *host;

	assert_int_equal(virtq_mem_map_new(a, fd, 0, PAGE, &map[0], &host), 0);
	assert_int_equal(virtq_mem_map_new(a, fd, 0, PAGE, &map[1], &host), 0);
	assert_int_equal(virtq_mem_map_new(a, fd, 0, PAGE, &map[2], &host), -EDQUOT);
	assert_int_equal(virtq_mem_account_maps(a), 2);
	assert_int_equal(virtq_mem_map_new(NULL, fd, 0, PAGE, &other, &host), 0);
	virtq_mem_map_put(other);
	/* Put: but still mapped, and counted. */
	virtq_mem_map_put(map[0]);
	assert_int_equal(o.n, 1);
	assert_int_equal(mappings_of("memfd:mem"), 2);
	assert_int_equal(virtq_mem_map_new(a, fd, 0, PAGE, &map[2], &host), -EDQUOT);
	owner_work(&o);
	assert_int_equal(mappings_of("memfd:mem"), 1);
	assert_int_equal(virtq_mem_map_new(a, fd, 0, PAGE, &map[2], &host), 0);
	/* The account outlives its owner. */
	virtq_mem_account_put(a);
	virtq_mem_map_put(map[1]);
	virtq_mem_map_put(map[2]);
	assert_int_equal(o.released, -1);
	owner_work(&o);
	assert_int_equal(o.released, cutfd);
	assert_int_equal(mappings_of("memfd:mem"), 0);
	close(cutfd);
	close(fd);
}

/* Whoever owns the memory is woken at once, and once. */
static void
owner_of_a_cut_file_is_woken(void **state)
{
	int fd = file_of(8 * PAGE), cutfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct owner o = {.released = -1};
	struct virtq_mem_account *a = virtq_mem_account_new(2, cutfd, &owner_ops, &o);
	struct virtq_map *map;
	uint64_t count;
	uint8_t *host;

	assert_int_equal(virtq_mem_map_new(a, fd, 0, 8 * PAGE, &map, &host), 0);
	host[0] = 1;
	assert_int_equal(read(cutfd, &count, sizeof(count)), -1);
	assert_int_equal(ftruncate(fd, 0), 0);
	for (int i = 7; i >= 0; i--)
		host[i * PAGE] = 1;
	assert_int_equal(read(cutfd, &count, sizeof(count)), sizeof(count));
	assert_int_equal(count, 1);
	virtq_mem_map_put(map);
	virtq_mem_account_put(a);
	owner_work(&o);
	assert_int_equal(mappings_of("memfd:mem"), 0);
	close(cutfd);
	close(fd);
}

/* The last mapping of a file is not undone where the fault is: that would free all its pages. */
static void
cut_file_is_kept(void **state)
{
	int fd = file_of(4 * PAGE);
	struct virtq_map *map;
	uint8_t *host;

	assert_int_equal(virtq_mem_map_new(NULL, fd, PAGE, 3 * PAGE, &map, &host), 0);
	assert_int_equal(ftruncate(fd, PAGE), 0);
	close(fd);
	host[0] = 1;
	assert_int_equal(mappings_of("memfd:mem"), 1);
	virtq_mem_map_put(map);
	assert_int_equal(mappings_of("memfd:mem"), 0);
}

/* EAL's handler compares the flags of the one below it with SA_SIGINFO. */
static void
handler_has_one_flag(void **state)
{
	const int restorer = 0x04000000; /* of the C library */
	int fd = file_of(PAGE);
	struct sigaction now;

	assert_int_equal(try_map(fd, 0, PAGE), 0);
	assert_int_equal(sigaction(SIGBUS, NULL, &now), 0);
	assert_int_equal(now.sa_flags & ~restorer, SA_SIGINFO);
	close(fd);
}

static struct sigaction below;

static void
passes_back(int sig, siginfo_t *info, void *context)
{
	below.sa_sigaction(sig, info, context);
}

/* A handler that came between two of our mappings knows ours, and ours knows it. */
static void
handlers_in_a_circle_end(void **state)
{
	int fd = file_of(PAGE), status;
	pid_t child;

	child = fork();
	if (child == 0) {
		struct sigaction sa = {.sa_flags = SA_SIGINFO};
		volatile uint8_t *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

		alarm(10);
		signal(SIGSEGV, SIG_DFL);
		sa.sa_sigaction = passes_back;
		if (try_map(fd, 0, PAGE) == 0 && sigaction(SIGBUS, &sa, &below) == 0 &&
		    try_map(fd, 0, PAGE) == 0 && ftruncate(fd, 0) == 0)
			p[0] = 1;
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGBUS);
	close(fd);
}

/* A fault of somebody else still ends the process as it used to. */
static void
foreign_fault_is_passed_on(void **state)
{
	int fd = file_of(PAGE), status;
	pid_t child;

	child = fork();
	if (child == 0) {
		volatile uint8_t *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		struct virtq_map *map;
		uint8_t *host;

		signal(SIGBUS, SIG_DFL);
		alarm(10); /* a handler that repairs nothing would be called for ever */
		if (virtq_mem_map_new(NULL, fd, 0, PAGE, &map, &host) == 0 &&
		    ftruncate(fd, 0) == 0) {
			host[0] = 1; /* ours */
			p[0] = 1;
		}
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGBUS);
	close(fd);
}

/* Whoever takes the signal away from us loses it to us with the next mapping. */
static void
handler_is_put_back(void **state)
{
	int fd[2] = {file_of(PAGE), file_of(PAGE)};
	struct virtq_map *map[2];
	uint8_t *host[2];

	assert_int_equal(virtq_mem_map_new(NULL, fd[0], 0, PAGE, &map[0], &host[0]), 0);
	signal(SIGBUS, SIG_IGN);
	assert_int_equal(virtq_mem_map_new(NULL, fd[1], 0, PAGE, &map[1], &host[1]), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(ftruncate(fd[i], 0), 0);
		host[i][0] = 1;
		assert_true(virtq_mem_map_poisoned(map[i]));
		virtq_mem_map_put(map[i]);
		close(fd[i]);
	}
}

static void
leaves(int sig)
{
	_exit(7);
}

/*
 * A library's handler that comes and goes is not taken for the one before ours, and ours is left to
 * it to put back. Here the program itself stands for the library.
 */
static void
handler_that_passes_by_is_left_alone(void **state)
{
	int fd = file_of(PAGE), status;
	pid_t child = fork();

	if (child == 0) {
		volatile uint8_t *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		struct sigaction sa = {.sa_handler = leaves}, ours, now;

		alarm(10);
		signal(SIGBUS, SIG_DFL);
		if (virtq_sigbus_begin(leaves) == 0 && sigaction(SIGBUS, &sa, &ours) == 0 &&
		    try_map(fd, 0, PAGE) == 0 && sigaction(SIGBUS, NULL, &now) == 0 &&
		    now.sa_handler == leaves && sigaction(SIGBUS, &ours, NULL) == 0 &&
		    ftruncate(fd, 0) == 0)
			p[0] = 1;
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGBUS);
	close(fd);
}

/* Cut while another page of the same map is used, many times over, with slots being reused. */
static void
watched_ranges_are_reused(void **state)
{
	for (int i = 0; i < 300; i++) {
		int fd = file_of(2 * PAGE);
		struct virtq_map *map;
		uint8_t *host;

		assert_int_equal(virtq_mem_map_new(NULL, fd, 0, 2 * PAGE, &map, &host), 0);
		host[PAGE] = 1;
		if (i % 3 == 0) {
			assert_int_equal(ftruncate(fd, PAGE), 0);
			host[PAGE] = 2;
		}
		assert_int_equal(virtq_mem_map_poisoned(map), i % 3 == 0);
		virtq_mem_map_put(map);
		close(fd);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(file_is_cut),
		cmocka_unit_test(cut_file_is_two_mappings),
		cmocka_unit_test(account_has_a_limit),
		cmocka_unit_test(owner_of_a_cut_file_is_woken),
		cmocka_unit_test(cut_file_is_kept),
		cmocka_unit_test(handler_has_one_flag),
		cmocka_unit_test(handlers_in_a_circle_end),
		cmocka_unit_test(other_maps_are_not_poisoned),
		cmocka_unit_test(foreign_fault_is_passed_on),
		cmocka_unit_test(handler_is_put_back),
		cmocka_unit_test(handler_that_passes_by_is_left_alone),
		cmocka_unit_test(watched_ranges_are_reused),
	};

	return cmocka_run_group_tests_name("virtq_sigbus", tests, NULL, NULL);
}
