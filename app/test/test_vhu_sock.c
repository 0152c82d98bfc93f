/* SPDX-License-Identifier: BSD-3-Clause */
/* Sockets of a session: whose they are, who may come, and that no peer delays another. */
#include "rig_frontend.h"

#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <time.h>

static void
permissions_are_as_asked(void **state)
{
	static const mode_t modes[] = { 0600, 0660, 0777, 0700, 0666 };
	static const mode_t umasks[] = { 0, 022, 077, 0177 };
	struct rig *rig = *state;
	struct stat st;
	char err[200];

	for (size_t i = 0; i < 5; i++) {
		for (size_t j = 0; j < 4; j++) {
			struct vhost_be_config cfg = rig_config(rig);
			mode_t former = umask(umasks[j]);

			cfg.sock_mode = modes[i];
			cfg.sock_gid = geteuid() == 0 ? 7 : (gid_t)-1;
			assert_int_equal(try_new(rig, &cfg, err), 0);
			assert_int_equal(umask(former), umasks[j]);
			assert_int_equal(stat(rig->path, &st), 0);
			assert_int_equal(st.st_mode & 07777, modes[i]);
			if (geteuid() == 0)
				assert_int_equal(st.st_gid, 7);
			vhost_be_free(rig->be);
			rig->be = NULL;
			assert_int_equal(stat(rig->path, &st), -1);
		}
	}
}

struct watcher {
	const char *path;
	bool stop;
	mode_t seen;	/* every bit that ever was set */
};

static void *
watch_mode(void *arg)
{
	struct watcher *w = arg;
	struct stat st;

	while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED))
		if (stat(w->path, &st) == 0)
			w->seen |= st.st_mode & 07777;
	return NULL;
}

/* Not even between bind and chmod is the socket more open than asked for. */
static void
permissions_are_never_wider(void **state)
{
	struct rig *rig = *state;
	struct vhost_be_config cfg = rig_config(rig);
	struct watcher w = { .path = rig->path };
	mode_t former = umask(0);
	pthread_t thread;
	char err[200];

	cfg.sock_mode = 0600;
	assert_int_equal(pthread_create(&thread, NULL, watch_mode, &w), 0);
	for (int i = 0; i < 2000; i++) {
		assert_int_equal(try_new(rig, &cfg, err), 0);
		vhost_be_free(rig->be);
		rig->be = NULL;
	}
	__atomic_store_n(&w.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	umask(former);
	assert_int_equal(w.seen, 0600);
}

static void
paths_that_are_refused(void **state)
{
	struct rig *rig = *state;
	struct vhost_be_config cfg = rig_config(rig);
	char err[200], other[80], path[300];
	int fd;

	fd = open(rig->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "dear", 4), 4);
	assert_int_equal(try_new(rig, &cfg, err), -EEXIST);
	assert_int_equal(lseek(fd, 0, SEEK_END), 4);
	assert_int_equal(access(rig->path, F_OK), 0);
	close(fd);
	unlink(rig->path);

	assert_int_equal(symlink("/dev/null", rig->path), 0);
	assert_int_equal(try_new(rig, &cfg, err), -EEXIST);
	unlink(rig->path);

	cfg.path = rig->dir;
	assert_int_equal(try_new(rig, &cfg, err), -EEXIST);

	snprintf(other, sizeof(other), "%s/no/sock", rig->dir);
	cfg.path = other;
	assert_int_equal(try_new(rig, &cfg, err), -ENOENT);

	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[108] = '\0';
	cfg.path = path;
	assert_int_equal(try_new(rig, &cfg, err), -ENAMETOOLONG);
	path[0] = '\0';
	assert_int_equal(try_new(rig, &cfg, err), -EINVAL);
	cfg.path = rig->path;
	cfg.max_pairs = 0;
	assert_int_equal(try_new(rig, &cfg, err), -EINVAL);
	cfg.max_pairs = VHOST_BE_MAX_PAIRS + 1;
	assert_int_equal(try_new(rig, &cfg, err), -EINVAL);
}

static void
longest_path(void **state)
{
	struct rig *rig = *state;
	struct vhost_be_config cfg = rig_config(rig);
	char err[200], path[200];

	memset(path, 'x', sizeof(path));
	memcpy(path, rig->dir, strlen(rig->dir));
	path[strlen(rig->dir)] = '/';
	path[107] = '\0';
	cfg.path = path;
	assert_int_equal(try_new(rig, &cfg, err), 0);
	close(connect_to(path));
	pump(rig);
	assert_int_equal(rig->ups, 1);
}

static void
stale_socket_is_taken_over(void **state)
{
	struct rig *rig = *state;
	struct vhost_be_config cfg = rig_config(rig);
	char err[200];

	close(listen_at(rig->path)); /* as a process leaves it that was killed */
	assert_int_equal(try_new(rig, &cfg, err), 0);
	rig_connect(rig);
	assert_int_equal(rig->ups, 1);
}

static void
live_socket_is_left_alone(void **state)
{
	struct rig *rig = *state;
	struct vhost_be_config cfg = rig_config(rig);
	char err[200];
	int fd = listen_at(rig->path);
	struct vhost_be *none;

	assert_int_equal(try_new(rig, &cfg, err), -EADDRINUSE);
	assert_non_null(strstr(err, rig->path));
	/* Also one whose backlog is full: the first attempt still waits there. */
	assert_int_equal(listen(fd, 0), 0);
	assert_int_equal(try_new(rig, &cfg, err), -EADDRINUSE);
	assert_int_equal(access(rig->path, F_OK), 0);
	close(fd);
	unlink(rig->path);
	/* A port of the same process. */
	assert_int_equal(try_new(rig, &cfg, err), 0);
	assert_int_equal(vhost_be_new(&cfg, &none, err, sizeof(err)), -EADDRINUSE);
	pump(rig);
	rig_connect(rig);
	fe_get(rig, VHU_GET_FEATURES);
}

static void
foreign_socket_survives_us(void **state)
{
	struct rig *rig = *state;
	struct vhost_be_config cfg = rig_config(rig);
	char err[200];
	int fd;

	assert_int_equal(try_new(rig, &cfg, err), 0);
	unlink(rig->path);
	fd = listen_at(rig->path);
	vhost_be_free(rig->be);
	rig->be = NULL;
	assert_int_equal(access(rig->path, F_OK), 0);
	close(fd);
	unlink(rig->path);
}

static void
second_front_end_is_rejected(void **state)
{
	struct rig *rig = *state;

	fe_start(rig);
	for (int i = 0; i < 100; i++) {
		int fd = connect_to(rig->path);
		char c;

		pump(rig);
		assert_int_equal(recv(fd, &c, 1, MSG_DONTWAIT), 0);
		close(fd);
	}
	assert_int_equal(rig->ups, 1);
	assert_int_equal(rig->downs, 0);
	assert_non_null(rig->ring[0]);
	assert_int_equal(fe_get(rig, VHU_GET_QUEUE_NUM), RIG_PAIRS);
	/* Said once, not a hundred times. */
	assert_non_null(strstr(rig->log, "was rejected"));
	assert_null(strstr(strstr(rig->log, "was rejected") + 1, "was rejected"));
}

/* It dies and is back before its end was noticed: it is the only one. */
static void
restarted_front_end_is_welcome(void **state)
{
	struct rig *rig = *state;

	for (int i = 0; i < 50; i++) {
		int fd = connect_to(rig->path); /* the loop hears of this first */

		close(rig->fe);
		rig->fe = fd;
		pump(rig);
		fe_get(rig, VHU_GET_FEATURES);
	}
	assert_int_equal(rig->ups, 51);
	assert_int_equal(rig->downs, 50);
}

static void
reconnect_storm_leaks_nothing(void **state)
{
	struct rig *rig = *state;
	int idle;

	rig_disconnect(rig);
	idle = open_fds();
	for (int i = 0; i < 300; i++) {
		rig_connect(rig);
		if (i % 3 == 0)
			fe_start(rig);
	}
	rig_disconnect(rig);
	assert_int_equal(open_fds(), idle);
	/* And does not fill a disk: some lines a second, no more. */
	assert_non_null(strstr(rig->log, "are not shown"));
}

static void
out_of_descriptors(void **state)
{
	struct rig *rig = *state;
	struct rlimit former, limit;
	int second;

	rig_disconnect(rig);
	second = socket(AF_UNIX, SOCK_STREAM, 0);
	getrlimit(RLIMIT_NOFILE, &former);
	limit = former;
	limit.rlim_cur = (rlim_t)second + 1; /* nothing is free below */
	setrlimit(RLIMIT_NOFILE, &limit);
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	strcpy(addr.sun_path, rig->path);
	assert_int_equal(connect(second, (struct sockaddr *)&addr, sizeof(addr)), 0);
	uint64_t began = evloop_now_ns();
	unsigned int rounds = 0;
	while (evloop_now_ns() - began < 150000000) {
		evloop_step(rig->loop, 50);
		rounds++;
	}
	setrlimit(RLIMIT_NOFILE, &former);
	assert_true(rounds < 20); /* it does not spin */
	assert_int_equal(rig->ups, 1);
	WAIT(rig, rig->ups == 2, 500);
	rig->fe = second;
	fe_get(rig, VHU_GET_FEATURES);
}

/* fds that cannot be received because the process has none left end the connection. */
static void
out_of_descriptors_in_a_message(void **state)
{
	struct rig *rig = *state;
	struct rlimit former, limit;
	const uint64_t word = 0;
	int top = dup(rig->fe);

	getrlimit(RLIMIT_NOFILE, &former);
	limit = former;
	limit.rlim_cur = (rlim_t)top + 1;
	fe_send_on(rig->fe, VHU_SET_VRING_CALL, NEED, &word, 8, &rig->call[0], 1);
	setrlimit(RLIMIT_NOFILE, &limit);
	pump(rig);
	setrlimit(RLIMIT_NOFILE, &former);
	close(top);
	assert_int_equal(rig->downs, 1);
}

static void
framing_errors_close_and_are_counted(void **state)
{
	static const struct vhu_hdr bad[] = {
		{ 1, 0, 0 }, { 1, 2, 0 }, { 1, 5, 0 }, { 1, 1, 4097 }, { 1, 0x11, 0 },
	};
	struct rig *rig = *state;
	struct vhost_be_info info;
	char c;

	for (unsigned int i = 0; i < 5; i++) {
		rig_connect(rig);
		fe_start(rig);
		assert_int_equal(send(rig->fe, &bad[i], 12, 0), 12);
		pump(rig);
		assert_int_equal(recv(rig->fe, &c, 1, MSG_DONTWAIT), 0);
		vhost_be_get_info(rig->be, &info);
		assert_int_equal(info.framing_errors, i + 1);
		assert_null(rig->ring[0]);
	}
}

/* Another session on the loop of the first. */
static void
second_rig(struct rig *first, void **state)
{
	struct rig *rig;

	rig_setup_bare(state);
	rig = *state;
	evloop_free(rig->loop);
	rig->loop = first->loop;
	rig_listen(rig);
	rig_connect(rig);
}

static void
drop_second_rig(void **state)
{
	struct rig *rig = *state;

	evloop_new(&rig->loop); /* for the teardown to free */
	rig->fds_before = -1; /* the first one's teardown counts for all */
	assert_int_equal(rig_teardown(state), 0);
}

/*
 * How long answers took. Other programs may steal the processor now and then, so single answers
 * may be late; what matters is that the peer is not the reason.
 */
struct answers {
	unsigned int n, late;		/* late: after 100 ms */
	uint64_t worst;			/* ns */
};

static void
answered(struct answers *a, uint64_t began)
{
	uint64_t took = evloop_now_ns() - began;

	a->n++;
	a->late += took > 100000000;
	if (took > a->worst)
		a->worst = took;
}

static void
check_answers(const struct answers *a)
{
	print_message("# %u answers, the longest took %u us\n", a->n,
		      (unsigned int)(a->worst / 1000));
	assert_true(a->late <= a->n / 50);
	assert_true(a->worst < 1000000000);
}

/*
 * A front-end that sends a byte a second, one that stops in a message, and one that never reads:
 * each is sent away after the deadline, and meanwhile another session answers at once.
 */
static void
slow_and_deaf_peers(void **state)
{
	const struct vhu_hdr half = { VHU_SET_FEATURES, 1, 8 };
	struct rig *rig[4] = { *state };
	void *other[4];
	uint64_t began = evloop_now_ns(), trickle = 0;
	unsigned int sent = 0, closed = 0;
	struct answers a = { 0 };

	for (int i = 1; i < 4; i++) {
		second_rig(rig[0], &other[i]);
		rig[i] = other[i];
	}
	assert_int_equal(send(rig[2]->fe, &half, sizeof(half), 0), sizeof(half));
	fcntl(rig[3]->fe, F_SETFL, O_NONBLOCK);
	while (closed < 3 && evloop_now_ns() - began < 8000000000ull) {
		const struct vhu_hdr get = { VHU_GET_FEATURES, 1, 0 };
		uint64_t now = evloop_now_ns();

		if (now - trickle >= 1000000000 && sent < sizeof(half)) {
			trickle = now;
			send(rig[1]->fe, (const uint8_t *)&half + sent++, 1, MSG_NOSIGNAL);
		}
		while (send(rig[3]->fe, &get, sizeof(get), MSG_NOSIGNAL) == sizeof(get))
			;
		now = evloop_now_ns();
		fe_get(rig[0], VHU_GET_FEATURES);
		answered(&a, now);
		evloop_step(rig[0]->loop, 5);
		closed = rig[1]->downs + rig[2]->downs + rig[3]->downs;
		if (closed > 0)
			assert_true(evloop_now_ns() - began > 4900000000ull);
	}
	assert_int_equal(closed, 3);
	for (int i = 1; i < 4; i++)
		drop_second_rig(&other[i]);
	assert_int_equal(rig[0]->downs, 0);
	check_answers(&a);
}

struct flood {
	int fd;
	bool stop;
	int memfd;
};

/* Memory tables, the costliest message there is, as fast as they go. */
static void *
flood(void *arg)
{
	const struct vhu_mem_table t = rig_table();
	struct flood *f = arg;

	while (!__atomic_load_n(&f->stop, __ATOMIC_RELAXED))
		fe_send_on(f->fd, VHU_SET_MEM_TABLE, 0, &t, 40, &f->memfd, 1);
	return NULL;
}

static void
flooding_peer_delays_nobody(void **state)
{
	struct rig *rig = *state, *bad;
	void *other;
	struct flood f;
	pthread_t thread;
	struct answers a = { 0 };
	uint64_t before;

	second_rig(rig, &other);
	bad = other;
	fe_start(bad);
	f = (struct flood){ .fd = bad->fe, .memfd = bad->memfd };
	before = bad->many_publishes;
	assert_int_equal(pthread_create(&thread, NULL, flood, &f), 0);
	/* A busy machine may be slow to let the flooder run at all. */
	for (int i = 0; i < 5000 && bad->many_publishes == before; i++)
		evloop_step(rig->loop, 1);
	for (int i = 0; i < 300; i++) {
		uint64_t now = evloop_now_ns();
		unsigned int served = bad->many_publishes;
		struct vhu_msg m;

		fe_send_on(rig->fe, VHU_GET_FEATURES, 0, NULL, 0, NULL, 0);
		while (fe_outcome(rig, VHU_GET_FEATURES, &m) == SILENCE)
			evloop_step(rig->loop, 0);
		answered(&a, now);
		/* At most one wakeup of the other, besides that in which the question came. */
		assert_uint_in_range(bad->many_publishes - served, 0, 2 * VHU_CONN_MAX_MESSAGES);
	}
	__atomic_store_n(&f.stop, true, __ATOMIC_RELAXED);
	while (pthread_tryjoin_np(thread, NULL) != 0) /* its last send has to end */
		evloop_step(rig->loop, 1);
	assert_true(bad->many_publishes > before);
	assert_int_equal(bad->downs, 0);
	check_answers(&a);
	drop_second_rig(&other);
}

/* A peer that comes again and again is not served more than one that stays. */
static void
flood_over_reconnects_is_limited(void **state)
{
	const struct vhu_hdr get = { VHU_SET_OWNER, 1, 0 };
	struct rig *rig = *state;
	const uint64_t began = evloop_now_ns();
	struct vhost_be_info info;
	bool answered = false;
	struct vhu_msg m;
	uint64_t most;

	/* Each connection sends less than a connection may. */
	for (int i = 0; i < 20; i++) {
		rig_connect(rig);
		for (int k = 0; k < 2000; k++)
			if (send(rig->fe, &get, sizeof(get), MSG_NOSIGNAL | MSG_DONTWAIT) !=
			    sizeof(get))
				pump(rig);
		for (int k = 0; k < 40; k++)
			pump(rig);
	}
	vhost_be_get_info(rig->be, &info);
	most = VHU_CONN_CREDIT + VHU_CONN_RESERVE +
	       (evloop_now_ns() - began) * VHU_CONN_PER_SECOND / 1000000000 + 2;
	print_message("# %u messages were served\n", (unsigned int)info.messages);
	assert_uint_in_range(info.messages, VHU_CONN_CREDIT, most);
	/* One that asks little is served soon. */
	rig_connect(rig);
	fe_send_on(rig->fe, VHU_GET_FEATURES, 0, NULL, 0, NULL, 0);
	WAIT(rig, answered || (answered = fe_outcome(rig, VHU_GET_FEATURES, &m) == NACK), 1000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		BARE_TEST(permissions_are_as_asked),
		BARE_TEST(permissions_are_never_wider),
		BARE_TEST(paths_that_are_refused),
		BARE_TEST(longest_path),
		BARE_TEST(stale_socket_is_taken_over),
		BARE_TEST(live_socket_is_left_alone),
		BARE_TEST(foreign_socket_survives_us),
		RIG_TEST(second_front_end_is_rejected),
		RIG_TEST(restarted_front_end_is_welcome),
		RIG_TEST(reconnect_storm_leaks_nothing),
		RIG_TEST(out_of_descriptors),
		RIG_TEST(out_of_descriptors_in_a_message),
		RIG_TEST(framing_errors_close_and_are_counted),
		RIG_TEST(flood_over_reconnects_is_limited),
		RIG_TEST(slow_and_deaf_peers),
		RIG_TEST(flooding_peer_delays_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
