/* SPDX-License-Identifier: BSD-3-Clause */
/* vring-probe, the program: what it says, and its status. VRING_PROBE names it. */
#include <poll.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <linux/capability.h>

#include "rig_frontend.h"

struct bench {
	struct rig *rig;
	pthread_t thread;
	bool served;
	struct evloop_timer timer;		/* the device's, in the back-end's loop */
	uint16_t tx_seen, rx_seen;
	bool damage;			/* what is sent back */
	char out[16384];		/* the program's output, errors included */
};

static void *
serve(void *arg)
{
	evloop_run(arg);
	return NULL;
}

static int
bench_setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	rig_setup_bare((void **)&b->rig);
	*state = b;
	return 0;
}

static void
bench_serve(struct bench *b)
{
	rig_listen(b->rig);
	assert_int_equal(pthread_create(&b->thread, NULL, serve, b->rig->loop), 0);
	b->served = true;
}

static int
bench_teardown(void **state)
{
	struct bench *b = *state;
	struct rig *rig = b->rig;

	if (b->served) {
		evloop_quit(rig->loop);
		pthread_join(b->thread, NULL);
	}
	evloop_timer_cancel(&b->timer);
	free(b);
	return rig_teardown((void **)&rig);
}

/* Run the program. Status as from its exit, or -1. */
static int
probe(struct bench *b, const char *const *args, bool powerless)
{
	const char *argv[8] = { getenv("VRING_PROBE") };
	size_t used = 0;
	int out[2], status;
	ssize_t n;
	pid_t pid;

	assert_non_null(argv[0]);
	for (int i = 0; args[i] != NULL; i++)
		argv[i + 1] = args[i];
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		dup2(out[1], 1);
		dup2(out[1], 2);
		/* What root may do although permissions forbid it. */
		if (powerless && (prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0) < 0 ||
				  prctl(PR_CAPBSET_DROP, CAP_DAC_READ_SEARCH, 0, 0, 0) < 0))
			perror("prctl");
		execv(argv[0], (char **)(uintptr_t)argv);
		_exit(127);
	}
	close(out[1]);
	while ((n = read(out[0], b->out + used, sizeof(b->out) - 1 - used)) > 0)
		used += (size_t)n;
	b->out[used] = '\0';
	close(out[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define PROBE(b, ...) probe(b, (const char *const[]){ __VA_ARGS__, NULL }, false)

static void
check_line(struct bench *b, const char *text)
{
	if (strstr(b->out, text) == NULL)
		fail_msg("no '%s' in: %s", text, b->out);
	assert_ptr_equal(strchr(b->out, '\n'), b->out + strlen(b->out) - 1);
}

static void
wrong_things(void **state)
{
	struct bench *b = *state;
	char path[200];
	int fd;

	assert_int_equal(PROBE(b, b->rig->dir), 1);
	check_line(b, "is a directory");
	assert_int_equal(PROBE(b, "/no/such/thing"), 1);
	check_line(b, "No such file");
	assert_int_equal(PROBE(b, "/dev/null"), 1);
	check_line(b, "is not a vhost-vdpa device");
	fd = open(b->rig->path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_int_equal(PROBE(b, b->rig->path), 1);
	check_line(b, "is a regular file");
	close(fd);
	unlink(b->rig->path);
	snprintf(path, sizeof(path), "/tmp/%0150d", 1);
	assert_int_equal(PROBE(b, path), 1);
}

static void
wrong_arguments(void **state)
{
	struct bench *b = *state;

	assert_int_equal(PROBE(b, "--json"), 2);
	assert_int_equal(PROBE(b, "--what", "x"), 2);
	assert_int_equal(PROBE(b, "a", "b"), 2);
	assert_int_equal(PROBE(b, "--timeout", "soon", "x"), 2);
	assert_int_equal(PROBE(b, "--timeout", "0", "x"), 2);
	assert_int_equal(PROBE(b, "--help"), 0);
}

/* A listening socket that the test serves, or does not. */
static int
listener(struct bench *b)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, b->rig->path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static void
a_socket_left_over(void **state)
{
	struct bench *b = *state;

	close(listener(b));
	assert_int_equal(PROBE(b, b->rig->path), 1);
	check_line(b, "nobody listens");
	assert_int_equal(PROBE(b, "--json", b->rig->path), 1);
	assert_non_null(strstr(b->out, "\"state\": \"nothing\""));
	unlink(b->rig->path);
}

static void
no_permission(void **state)
{
	struct bench *b = *state;
	int fd = listener(b);

	chmod(b->rig->path, 0);
	assert_int_equal(probe(b, (const char *const[]){ b->rig->path, NULL }, true), 1);
	check_line(b, "no permission");
	close(fd);
	unlink(b->rig->path);
}

static void
a_listener_that_says_nothing(void **state)
{
	struct bench *b = *state;
	int fd = listener(b);

	assert_int_equal(PROBE(b, "--timeout", "50", b->rig->path), 3);
	check_line(b, "no answer within 50 ms");
	close(fd);
	unlink(b->rig->path);
}

static void
a_back_end(void **state)
{
	struct bench *b = *state;

	bench_serve(b);
	assert_int_equal(PROBE(b, b->rig->path), 0);
	assert_non_null(strstr(b->out, "role: vhost-user back-end\n"));
	assert_non_null(strstr(b->out, "\n  VIRTIO_F_RING_PACKED\n"));
	assert_non_null(strstr(b->out, "\n  VHOST_USER_PROTOCOL_F_RESET_DEVICE\n"));
	assert_non_null(strstr(b->out, "\nqueue pairs: 2\n"));
	assert_non_null(strstr(b->out, "\nmemory slots: 300\n"));
	assert_int_equal(PROBE(b, "--json", b->rig->path), 0);
	assert_non_null(strstr(b->out, "\"queue_pairs\": 2"));
	assert_non_null(strstr(b->out, "    \"VIRTIO_NET_F_MQ\","));
}

/* One in use is left alone: its front-end notices nothing. */
static void
a_back_end_in_use(void **state)
{
	struct bench *b = *state;
	const struct vhu_hdr ask = { VHU_GET_FEATURES, 1, 0 };
	uint8_t answer[20];
	int fd;

	bench_serve(b);
	fd = connect_to(b->rig->path);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(send(fd, &ask, sizeof(ask), 0), sizeof(ask));
		assert_int_equal(recv(fd, answer, 20, MSG_WAITALL), 20);
		assert_int_equal(PROBE(b, "--traffic", b->rig->path), 3);
		check_line(b, "another front-end uses it");
	}
	close(fd);
}

static void *
speak_first(void *arg)
{
	const struct vhu_hdr ask = { VHU_GET_FEATURES, 1, 0 };
	int fd = accept4(*(int *)arg, NULL, NULL, SOCK_CLOEXEC);
	uint8_t nothing;

	assert_int_equal(send(fd, &ask, sizeof(ask), MSG_NOSIGNAL), sizeof(ask));
	/* It leaves without a word. */
	assert_true(recv(fd, &nothing, 1, 0) <= 0);
	close(fd);
	return NULL;
}

static void
a_front_end(void **state)
{
	struct bench *b = *state;
	int fd = listener(b);
	pthread_t thread;

	pthread_create(&thread, NULL, speak_first, &fd);
	assert_int_equal(PROBE(b, b->rig->path), 0);
	assert_non_null(strstr(b->out, "role: vhost-user front-end, waiting for a back-end"));
	pthread_join(thread, NULL);
	close(fd);
	unlink(b->rig->path);
}

/* A device that sends back what it is sent. */
static uint32_t
gather(const struct virtq_ring *ring, uint16_t head, uint8_t *to, bool scatter, uint32_t left)
{
	uint32_t total = 0;

	for (uint16_t i = head;; i = ring->desc[i].next) {
		uint64_t len = ring->desc[i].len;
		uint8_t *at;

		if (scatter && len > left)
			len = left;
		at = virtq_mem_gpa(ring->mem, ring->desc[i].addr, &len);
		assert_non_null(at);
		memcpy(scatter ? at : to + total, scatter ? to + total : at, len);
		total += (uint32_t)len;
		left -= (uint32_t)len;
		if (!(ring->desc[i].flags & VRING_DESC_F_NEXT))
			return total;
	}
}

static void
give_back(const struct virtq_ring *ring, uint16_t head, uint32_t len)
{
	const uint16_t idx = ring->used->idx;

	ring->used->ring[idx & ring->mask] = (struct vring_used_elem){ head, len };
	__atomic_store_n(&ring->used->idx, (uint16_t)(idx + 1), __ATOMIC_RELEASE);
}

static void
echo(struct bench *b)
{
	const struct virtq_ring *rx = b->rig->ring[0], *tx = b->rig->ring[1];
	uint8_t packet[4096] = { 0 };

	if (rx == NULL || tx == NULL) {
		b->rx_seen = b->tx_seen = 0;
		return;
	}
	while (b->tx_seen != __atomic_load_n(&tx->avail->idx, __ATOMIC_ACQUIRE) &&
	       b->rx_seen != __atomic_load_n(&rx->avail->idx, __ATOMIC_ACQUIRE)) {
		uint16_t head = tx->avail->ring[b->tx_seen++ & tx->mask];
		uint32_t len = gather(tx, head, packet, false, sizeof(packet));

		give_back(tx, head, 0);
		head = rx->avail->ring[b->rx_seen++ & rx->mask];
		if (b->damage)
			packet[len - 1] ^= 1;
		gather(rx, head, packet, true, len);
		give_back(rx, head, len);
	}
}

static void
echo_expired(struct evloop_timer *t)
{
	struct bench *b = t->owner;

	echo(b);
	evloop_timer_set(b->rig->loop, t, 1);
}

static void
traffic(void **state)
{
	struct bench *b = *state;

	b->timer = (struct evloop_timer){ .expired = echo_expired, .owner = b };
	evloop_timer_set(b->rig->loop, &b->timer, 1);
	bench_serve(b);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(PROBE(b, "--traffic", b->rig->path), 0);
		assert_non_null(strstr(b->out, "packets consumed: 16\n"));
		assert_non_null(strstr(b->out, "packets returned: 16\n"));
		assert_non_null(strstr(b->out, "traffic: good\n"));
	}
}

static void
traffic_that_comes_back_changed(void **state)
{
	struct bench *b = *state;

	b->damage = true;
	b->timer = (struct evloop_timer){ .expired = echo_expired, .owner = b };
	evloop_timer_set(b->rig->loop, &b->timer, 1);
	bench_serve(b);
	assert_int_equal(PROBE(b, "--traffic", b->rig->path), 4);
	assert_non_null(strstr(b->out, "16 packets came back changed\n"));
}

static void
traffic_that_nobody_takes(void **state)
{
	struct bench *b = *state;

	bench_serve(b);
	assert_int_equal(PROBE(b, "--traffic", "--timeout", "200", b->rig->path), 4);
	assert_non_null(strstr(b->out, "the device took 0 of 16 packets\n"));
	assert_int_equal(PROBE(b, "--json", "--traffic", "--timeout", "200", b->rig->path), 4);
	assert_non_null(strstr(b->out, "\"traffic\": \"bad\""));
}

#define BENCH_TEST(fn) cmocka_unit_test_setup_teardown(fn, bench_setup, bench_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH_TEST(wrong_things),
		BENCH_TEST(wrong_arguments),
		BENCH_TEST(a_socket_left_over),
		BENCH_TEST(no_permission),
		BENCH_TEST(a_listener_that_says_nothing),
		BENCH_TEST(a_back_end),
		BENCH_TEST(a_back_end_in_use),
		BENCH_TEST(a_front_end),
		BENCH_TEST(traffic),
		BENCH_TEST(traffic_that_comes_back_changed),
		BENCH_TEST(traffic_that_nobody_takes),
	};

	return cmocka_run_group_tests_name("vring_probe", tests, NULL, NULL);
}
