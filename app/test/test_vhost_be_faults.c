/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every system call and allocation of a back-end fails, once a run: a session is played from its
 * socket to its end, by a front-end that takes what answers it gets. Then the next session has to
 * be served as if nothing had been, and nothing may be left.
 */
#include "rig_play.h"

#include <linux/userfaultfd.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>

#include "virtq_shared.h"

#define PAGE RIG_PLAY_PAGE
#define BUFFERS RIG_PLAY_BUFFERS
#define CHAINS RIG_PLAY_CHAINS
#define IOMMU VIRTQ_BIT(VIRTIO_F_ACCESS_PLATFORM)
#define LOG_ALL VIRTQ_BIT(VHOST_F_LOG_ALL)
#define PACKED VIRTQ_BIT(VIRTIO_F_RING_PACKED)
#define IOVA 0x40000000ull	/* of the first byte of memory */
#define FRESH 0x80008000u	/* a packed ring's base, as new */
/* A run that takes longer ends the test. */
#define RUN_S 30
/* Messages whose answers no socket holds. */
#define QUESTIONS 600
/* Calls of one place in the sources that fail, evenly spread. */
#define EACH_PLACE 3

struct scenario {
	const char *name;
	void (*play)(void);
	uint64_t features;	/* that are offered besides */
	bool client;
	uint32_t least;		/* faults that it has */
};

static char state_file[64];

/* ---- scenarios ---- */

/* A file on a disk, of which the back-end asks what disk it is. */
static void
add_file(uint32_t request)
{
	const struct vhu_mem_single s = {
		.region = { RIG_GPA + 2 * RIG_MEM, PAGE, RIG_UVA + 2 * RIG_MEM, 0 } };
	char path[80];
	int fd;

	snprintf(path, sizeof(path), "%s/memory", rig_play.rig->dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	unlink(path);
	assert_int_equal(ftruncate(fd, PAGE), 0);
	rig_play_order(request, &s, sizeof(s), &fd, request == VHU_ADD_MEM_REG);
	close(fd);
}

static void
play_memory(void)
{
	const struct vhu_mem_single s = {
		.region = { RIG_GPA + RIG_MEM, RIG_MEM, RIG_UVA + RIG_MEM, 0 } };
	int pipefd[2];

	rig_play_join();
	rig_play_negotiate(0);
	rig_play_give_table();
	assert_int_equal(pipe2(pipefd, O_CLOEXEC), 0);
	rig_play_describe_ring(0, 0, 0, rig_play.rig->call[0]);
	rig_play_describe_ring(1, 0, 0, pipefd[1]);
	close(pipefd[1]);
	rig_play_burst(0, RIG_GPA + BUFFERS, rig_play.rig->call[0], NULL);
	rig_play_burst(1, RIG_GPA + BUFFERS, pipefd[0], NULL);
	rig_play_order(VHU_ADD_MEM_REG, &s, sizeof(s), &rig_play.rig->memfd, 1);
	add_file(VHU_ADD_MEM_REG);
	rig_play_burst(0, RIG_GPA + BUFFERS, rig_play.rig->call[0], NULL);
	rig_play_order(VHU_REM_MEM_REG, &s, sizeof(s), NULL, 0);
	rig_play_stop_ring(1);
	close(pipefd[0]);
}

static void
give_log(int fd)
{
	const struct vhu_log log = { .mmap_size = PAGE, .mmap_offset = 0 };

	rig_play_order(VHU_SET_LOG_BASE, &log, sizeof(log), &fd, 1);
}

static void
play_log(void)
{
	const int fd = memfd_create("log", MFD_CLOEXEC);
	struct vhu_vring_addr a = rig_addr(0);

	assert_int_equal(ftruncate(fd, PAGE), 0);
	rig_play_join();
	rig_play_negotiate(0);
	rig_play_give_table();
	rig_play_describe_rings(0);
	give_log(fd);
	rig_play_order_u64(VHU_SET_FEATURES, RIG_ACKED | LOG_ALL);
	a.flags = VHU_ADDR_F_LOG;
	a.log = a.used - RIG_UVA + RIG_GPA;
	rig_play_order(VHU_SET_VRING_ADDR, &a, sizeof(a), NULL, 0);
	rig_play_bursts();
	give_log(fd);
	rig_play_order_u64(VHU_SET_FEATURES, RIG_ACKED);
	rig_play_bursts();
	close(fd);
}

static void
say_iotlb(uint8_t type, uint64_t iova, uint64_t size)
{
	const struct vhu_iotlb t = { .iova = iova, .size = size, .uva = RIG_UVA + (iova - IOVA),
				     .perm = VIRTQ_IOTLB_READ | VIRTQ_IOTLB_WRITE, .type = type };

	rig_play_order(VHU_IOTLB_MSG, &t, sizeof(t), NULL, 0);
}

static void
answer_misses(void)
{
	struct {
		struct vhu_hdr hdr;
		struct vhu_iotlb body;
	} VHU_PACKED m;
	int bytes = 0;

	while (!rig_play.over && ioctl(rig_play.chan, FIONREAD, &bytes) == 0 &&
	       (size_t)bytes >= sizeof(m)) {
		assert_int_equal(recv(rig_play.chan, &m, sizeof(m), 0), sizeof(m));
		RIG_CHECK(m.hdr.request == VHU_BACKEND_IOTLB_MSG && m.hdr.size == sizeof(m.body) &&
		      m.body.type == VHU_IOTLB_MISS, "not a miss");
		say_iotlb(VHU_IOTLB_UPDATE, m.body.iova, PAGE);
	}
}

static void
play_iommu(void)
{
	int pair[2];

	rig_play_join();
	rig_play_negotiate(IOMMU);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	rig_play.chan = pair[1];
	rig_play_order(VHU_SET_BACKEND_REQ_FD, NULL, 0, &pair[0], 1);
	close(pair[0]);
	rig_play_give_table();
	rig_play_describe_rings(IOVA - RIG_UVA);
	for (uint32_t i = 0; i < 2; i++)
		rig_play_burst(i, IOVA + BUFFERS, rig_play.rig->call[i], answer_misses);
	say_iotlb(VHU_IOTLB_INVALIDATE, IOVA, PAGE);
	say_iotlb(VHU_IOTLB_INVALIDATE, IOVA + BUFFERS, PAGE);
	rig_play_burst(0, IOVA + BUFFERS, rig_play.rig->call[0], answer_misses);
}

/* Pages that are missed come. */
static void
bring_pages(void)
{
	static const uint8_t page[PAGE] __attribute__((aligned(4096)));
	struct pollfd pfd = { .fd = rig_play.uffd, .events = POLLIN };
	struct uffd_msg fault;

	while (rig_play.uffd >= 0 && poll(&pfd, 1, 1) == 1 &&
	       read(rig_play.uffd, &fault, sizeof(fault)) == sizeof(fault)) {
		struct uffdio_copy copy = {
			.dst = fault.arg.pagefault.address & ~(PAGE - 1),
			.src = (uintptr_t)page,
			.len = PAGE,
		};
		struct uffdio_range range = { copy.dst, PAGE };

		RIG_CHECK(fault.event == UFFD_EVENT_PAGEFAULT, "event %u", fault.event);
		if (ioctl(rig_play.uffd, UFFDIO_COPY, &copy) < 0)
			ioctl(rig_play.uffd, UFFDIO_WAKE, &range);
	}
}

static void
play_postcopy(void)
{
	const struct vhu_mem_table t = rig_table();
	const uint64_t good = 0;
	struct vhu_msg m;

	rig_play_join();
	rig_play_negotiate(0);
	if (rig_play_ask(VHU_POSTCOPY_ADVISE, NULL, 0, NULL, 0, &m))
		rig_play.uffd = m.fds[0];
	rig_play_order(VHU_POSTCOPY_LISTEN, NULL, 0, NULL, 0);
	memset(rig_play.rig->mem, 0, RIG_MEM);
	assert_int_equal(fallocate(rig_play.rig->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   BUFFERS, CHAINS * PAGE), 0);
	/* Who got no descriptor has no page to bring. */
	if (rig_play.over || rig_play.uffd < 0 ||
	    !rig_play_ask(VHU_SET_MEM_TABLE, &t, 8 + 32, &rig_play.rig->memfd, 1, &m))
		return;
	rig_play_order(VHU_SET_MEM_TABLE, &good, sizeof(good), NULL, 0);
	rig_play_describe_ring(1, 0, 0, rig_play.rig->call[1]);
	rig_play_burst(1, RIG_GPA + BUFFERS, rig_play.rig->call[1], bring_pages);
	rig_play_ask_u64(VHU_POSTCOPY_END, NULL, 0, NULL, 0);
	rig_play_burst(1, RIG_GPA + BUFFERS, rig_play.rig->call[1], bring_pages);
}

/* Chains that are taken and not returned, since the session ends. */
static void
play_inflight(void)
{
	const struct vhu_inflight want = { .num_queues = RIG_RINGS, .queue_size = RIG_SIZE };
	const struct vhu_vring_addr a = rig_addr(1);
	struct virtq_chain c = { .id = 9 };
	struct rig *rig = rig_play.rig;
	struct vhu_msg m;
	int fd = -1;

	rig_play_join();
	rig_play_negotiate(0);
	rig_play_give_table();
	if (rig_play_ask(VHU_GET_INFLIGHT_FD, &want, sizeof(want), NULL, 0, &m) && m.nfds == 1)
		fd = m.fds[0];
	RIG_CHECK(!rig_play.exact || fd >= 0, "no memory");
	rig_play_order(VHU_SET_INFLIGHT_FD, &m.inflight, sizeof(m.inflight), &fd, fd >= 0);
	rig_play_describe_rings(0);
	rig_play_bursts();
	if (!rig_play.over && rig->ring[1] != NULL && rig->vq[1]->inflight != NULL) {
		rig->ring[1]->avail->idx = CHAINS + 1;
		virtq_dev_advance(rig->vq[1], rig->ring[1], &c, 1, false);
	}
	if (fd < 0)
		return;
	rig_play_join();
	rig_play_negotiate(0);
	rig_play_give_table();
	rig_play_order(VHU_SET_INFLIGHT_FD, &m.inflight, sizeof(m.inflight), &fd, 1);
	rig_play_order_state(VHU_SET_VRING_NUM, 1, RIG_SIZE);
	rig_play_order_state(VHU_SET_VRING_BASE, 1, 0);
	rig_play_order(VHU_SET_VRING_ADDR, &a, sizeof(a), NULL, 0);
	rig_play_order_fd(VHU_SET_VRING_KICK, 1, rig->call[2]);
	rig_play_stop_ring(1);
	close(fd);
}

static uint64_t
begin_transfer(uint32_t direction, int fd)
{
	const struct vhu_device_state d = { direction, VHU_DEVICE_STATE_STOPPED };

	return rig_play_ask_u64(VHU_SET_DEVICE_STATE_FD, &d, sizeof(d), &fd, 1);
}

/* Its bytes; 0: it was refused. */
static size_t
save_state(uint8_t *bytes, size_t room)
{
	const uint64_t since = evloop_now_ns();
	ssize_t n = -1, length = 0;
	int p[2];

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	RIG_CHECK(begin_transfer(VHU_DEVICE_STATE_SAVE, p[1]) == 0x100 || !rig_play.exact, "save");
	close(p[1]);
	assert_int_equal(fcntl(p[0], F_SETFL, O_NONBLOCK), 0);
	/* Up to its end, which comes also where nothing was begun. */
	while ((n = read(p[0], bytes + length, room - (size_t)length)) != 0 &&
	       !rig_play_is_late(since)) {
		length += n > 0 ? n : 0;
		pump(rig_play.rig);
	}
	RIG_CHECK(n == 0, "no end of the device state");
	close(p[0]);
	return rig_play_ask_u64(VHU_CHECK_DEVICE_STATE, NULL, 0, NULL, 0) == 0 ? (size_t)length : 0;
}

static void
play_devstate(void)
{
	uint8_t bytes[4096];
	size_t length;
	int p[2];

	rig_play_join();
	rig_play_negotiate(PACKED);
	rig_play_give_table();
	rig_play_describe_ring(0, 0, FRESH + 7, rig_play.rig->call[0]);
	rig_play_stop_ring(0);
	length = save_state(bytes, sizeof(bytes));
	RIG_CHECK(!rig_play.exact || length > 0, "nothing saved");
	rig_play_join();
	rig_play_negotiate(PACKED);
	rig_play_give_table();
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	RIG_CHECK(begin_transfer(VHU_DEVICE_STATE_LOAD, p[0]) == 0x100 || !rig_play.exact, "load");
	assert_int_equal(fcntl(p[1], F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(write(p[1], bytes, length), length);
	close(p[1]);
	close(p[0]);
	RIG_CHECK(rig_play_ask_u64(VHU_CHECK_DEVICE_STATE, NULL, 0, NULL, 0) == 0 ||
		  !rig_play.exact, "check");
	rig_play_describe_ring(0, 0, FRESH, rig_play.rig->call[0]);
	rig_play_stop_ring(0);
}

/* A front-end that comes, one too many, and one that comes back; with a state file. */
static void
play_server(void)
{
	int second;

	rig_play_join();
	rig_play_negotiate(PACKED);
	rig_play_give_table();
	rig_play_describe_ring(0, 0, FRESH, rig_play.rig->call[0]);
	second = connect_to(rig_play.rig->path);
	pump(rig_play.rig);
	rig_play_order(VHU_SET_OWNER, NULL, 0, NULL, 0);
	close(second);
	rig_play_join();
	rig_play_order(VHU_SET_OWNER, NULL, 0, NULL, 0);
}

/* Send a message again and again. How often. */
static uint32_t
flood(uint32_t request, uint32_t n)
{
	const struct vhu_hdr hdr = { request, VHU_VERSION, 0 };

	for (uint32_t i = 0; i < n; i++) {
		if (send(rig_play.rig->fe, &hdr, sizeof(hdr), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			return i;
		if (i % 32 == 0)
			pump(rig_play.rig);
	}
	return n;
}

/* A front-end that asks more than its answers have room for and reads them later, and asks on. */
static void
play_flood(void)
{
	const uint64_t since = evloop_now_ns();
	uint8_t answers[4096];
	ssize_t n, due;
	int fd;

	rig_play_join();
	rig_play_negotiate(0);
	fd = rig_play.rig->fe;
	due = (ssize_t)(sizeof(struct vhu_hdr) + sizeof(uint64_t));
	due *= flood(VHU_GET_FEATURES, QUESTIONS);
	while (due > 0 && !rig_play.over && !rig_play_is_late(since)) {
		pump(rig_play.rig);
		n = recv(fd, answers, sizeof(answers), MSG_DONTWAIT);
		due -= n > 0 ? n : 0;
		rig_play.over = n == 0 || (n < 0 && errno != EAGAIN);
	}
	RIG_CHECK(due == 0 || (rig_play.over && !rig_play.exact), "%zd bytes are missing", due);
	/* As if that had been more than it may ask without a pause. */
	pump(rig_play.rig);
	rig_play.rig->be->conn.credit = 0;
	flood(VHU_SET_OWNER, 20);
	rig_play_order(VHU_SET_OWNER, NULL, 0, NULL, 0);
}

/* A front-end that listens, goes and comes back: its file with it, and then the directory. */
static void
play_client(void)
{
	struct rig *rig = rig_play.rig;

	rig_play.listener = listen_at(rig->path);
	rig_play_join();
	rig_play_negotiate(0);
	close(rig_play.listener);
	unlink(rig->path);
	rig_disconnect(rig);
	for (int i = 0; i < 5; i++)
		evloop_step(rig->loop, 1);
	rig_play.listener = listen_at(rig->path);
	rig_play_join();
	rig_play_order(VHU_SET_OWNER, NULL, 0, NULL, 0);
	close(rig_play.listener);
	unlink(rig->path);
	rig_play.listener = -1;
	rig_play_leave();
}

/* ---- runs ---- */

static int
new_session(const struct scenario *s)
{
	struct vhost_be_config cfg = rig_config(rig_play.rig);
	char err[200] = "";
	int rc;

	cfg.features |= s->features;
	cfg.client = s->client;
	cfg.reconnect_ms = 1;
	cfg.sock_mode = 0600;
	cfg.sock_gid = getgid();
	if (s->play == play_server)
		cfg.state = state_file;
	rig_faults_enter();
	rc = vhost_be_new(&cfg, &rig_play.rig->be, err, sizeof(err));
	rig_faults_leave();
	RIG_CHECK(rc == 0 || !rig_play.exact, "no session: %s", err);
	RIG_CHECK(rc == 0 || strlen(err) > 10, "no session, and no line");
	return rc;
}

/* When the file came to be; its number may be another's by now. In ns. */
static int64_t
born(const struct stat *st)
{
	return st->st_ctim.tv_sec * 1000000000ll + st->st_ctim.tv_nsec;
}

/* A socket file that nobody serves is in the way. */
static int64_t
leave_socket(void)
{
	struct stat st = { .st_ino = 0 };

	if (!rig_play.client) {
		close(listen_at(rig_play.rig->path));
		assert_int_equal(stat(rig_play.rig->path, &st), 0);
	}
	return born(&st);
}

/* Without a session there is the same file, or none. */
static void
check_socket(int64_t before)
{
	struct stat st;

	RIG_CHECK(stat(rig_play.rig->path, &st) < 0 || born(&st) == before,
		  "a socket file is left");
}

static unsigned int
lines_of(const char *path, const char *word)
{
	char line[512];
	FILE *f = fopen(path, "re");
	unsigned int n = 0;

	while (fgets(line, sizeof(line), f) != NULL)
		n += strstr(line, word) != NULL;
	fclose(f);
	return n;
}

static unsigned int
threads(void)
{
	struct stat st;

	assert_int_equal(stat("/proc/self/task", &st), 0);
	return (unsigned int)st.st_nlink - 2;
}

static void
check_rest(unsigned int threads_before, void *state)
{
	const char *log = rig_play.rig->log;
	const uint64_t since = evloop_now_ns();

	while ((threads() > threads_before || lines_of("/proc/self/maps", "/memfd:") > 1) &&
	       !rig_play_is_late(since))
		usleep(1000);
	RIG_CHECK(threads() <= threads_before, "%u threads, not %u", threads(), threads_before);
	/* The front-end's own. */
	RIG_CHECK(lines_of("/proc/self/maps", "/memfd:") == 1, "mappings are left");
	/* Whose it is was not to be known. */
	RIG_CHECK(access(state_file, F_OK) != 0 || strstr(log, "another process uses it") ||
		  strstr(log, "it is no file"), "the state file is left");
	unlink(state_file);
	/* What lies there at the end could not be looked at, so it is not removed. */
	if (strncmp(rig_play.fault, "lstat64, ", 9) == 0)
		unlink(rig_play.rig->path);
	RIG_CHECK(rig_teardown(&state) == 0, "something is left");
}

static void
run(const struct scenario *s, const struct rig_fault *fault)
{
	const unsigned int before = threads();
	static struct rig gone;
	int64_t socket_before;
	void *state = NULL;

	snprintf(rig_play.fault, sizeof(rig_play.fault), "%s",
		 fault == NULL ? "no fault" : rig_faults_text(fault));
	alarm(RUN_S);
	rig_setup_bare(&state);
	rig_play.name = s->name;
	rig_play.client = s->client;
	rig_play.rig = state;
	rig_play.exact = fault == NULL;
	socket_before = leave_socket();
	rig_faults_begin(fault);
	if (new_session(s) == 0) {
		s->play();
		rig_play_leave();
	}
	rig_faults_go_on(false);
	rig_play.exact = true;
	if (rig_play.rig->be == NULL) {
		check_socket(socket_before);
		new_session(s);
	}
	if (rig_play.rig->be != NULL) {
		s->play();
		rig_play_leave();
	}
	rig_faults_go_on(true);
	rig_faults_enter();
	vhost_be_free(rig_play.rig->be);
	rig_faults_leave();
	rig_faults_go_on(false);
	rig_play.rig->be = NULL;
	if (getenv("FAULTS_LOG") != NULL)
		printf("## %s, %s\n%s", s->name, rig_play.fault, rig_play.rig->log);
	gone = *rig_play.rig; /* to speak of */
	rig_play.rig = &gone;
	check_rest(before, state);
	alarm(0);
}

static void
on_alarm(int sig)
{
	static const char what[] = ": hangs\n";

	if (write(2, rig_play.fault, strlen(rig_play.fault)) > 0 &&
	    write(2, what, sizeof(what) - 1) > 0)
		abort();
	abort();
}

static void *
do_nothing(void *arg)
{
	return arg;
}

static void
every_call_fails_once(void **state)
{
	static struct rig_fault fault[RIG_FAULTS_MAX];
	const struct scenario *s = *state;
	uint32_t n, hit = 0;
	pthread_t thread;

	rig_play.problems = 0;
	rig_play.chan = rig_play.uffd = rig_play.listener = -1;
	snprintf(state_file, sizeof(state_file), "/dev/shm/vring-faults-%d", getpid());
	signal(SIGALRM, on_alarm);
	/* What a process does but once; a sanitizer has a thread, too. */
	pthread_create(&thread, NULL, do_nothing, NULL);
	pthread_join(thread, NULL);
	run(s, NULL);
	run(s, NULL);
	n = rig_faults_plan(fault, EACH_PLACE);
	for (uint32_t i = 0; i < n; i++) {
		run(s, &fault[i]);
		hit += rig_faults_hits() > 0;
	}
	print_message("# %s: %u faults\n", s->name, hit);
	assert_int_equal(rig_play.problems, 0);
	assert_true(hit >= s->least);
}

static const struct scenario scenarios[] = {
	{ "memory", play_memory, .least = 120 },
	{ "log", play_log, .least = 90 },
	{ "iommu", play_iommu, .features = IOMMU, .least = 100 },
	{ "postcopy", play_postcopy, .least = 110 },
	{ "inflight", play_inflight, .least = 100 },
	{ "devstate", play_devstate, .least = 100 },
	{ "server", play_server, .least = 90 },
	{ "flood", play_flood, .least = 60 },
	{ "client", play_client, .client = true, .least = 50 },
};

int
main(void)
{
	struct CMUnitTest tests[sizeof(scenarios) / sizeof(scenarios[0])];

	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tests[i] = (struct CMUnitTest){
			.name = scenarios[i].name,
			.test_func = every_call_fails_once,
			.initial_state = (void *)(uintptr_t)&scenarios[i],
		};
	return cmocka_run_group_tests_name("vhost_be_faults", tests, NULL, NULL);
}
