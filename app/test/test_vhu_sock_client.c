/* SPDX-License-Identifier: BSD-3-Clause */
/* A session that connects: when it tries, and when it does not. */
#include "rig_frontend.h"

static void
client_connects_and_reconnects(void **state)
{
	struct rig *rig = *state;
	struct vhost_be_config cfg = rig_config(rig);
	char err[200];
	int fd;

	cfg.client = true;
	assert_int_equal(try_new(rig, &cfg, err), 0);
	for (int i = 0; i < 3; i++) { /* nobody there: no socket, then a stale one */
		evloop_step(rig->loop, 300);
		assert_int_equal(rig->ups, 0);
	}
	/* One line for all the waiting. */
	assert_non_null(strstr(rig->log, "waiting for"));
	assert_int_equal(strchr(rig->log, '\n')[1], '\0');
	fd = listen_at(rig->path);
	WAIT(rig, rig->ups == 1, 1500);
	rig->fe = accept(fd, NULL, NULL);
	fe_start(rig);
	close(fd);
	unlink(rig->path);
	rig_disconnect(rig); /* the peer dies */
	assert_int_equal(rig->downs, 1);
	assert_null(rig->ring[0]);
	evloop_step(rig->loop, 500);
	fd = listen_at(rig->path);
	WAIT(rig, rig->ups == 2, 1500);
	rig->fe = accept(fd, NULL, NULL);
	fe_start(rig);
	/* Its refusal ends the connection from this side. */
	fe_send_on(rig->fe, 999, 0, NULL, 0, NULL, 0);
	pump(rig);
	assert_int_equal(rig->downs, 2);
	close(rig->fe);
	WAIT(rig, rig->ups == 3, 1500);
	rig->fe = accept(fd, NULL, NULL);
	vhost_be_free(rig->be);
	rig->be = NULL;
	/* The socket is the peer's: it stays. */
	assert_int_equal(access(rig->path, F_OK), 0);
	close(fd);
	unlink(rig->path);
}

/* The session's client is connected within a second, and disconnected again. */
static void
sees_at_once(struct rig *rig, int fd)
{
	unsigned int ups = rig->ups;

	WAIT(rig, rig->ups == ups + 1, 1000);
	rig->fe = accept(fd, NULL, NULL);
	fe_start(rig);
	rig_disconnect(rig);
	close(fd);
	unlink(rig->path);
	evloop_step(rig->loop, 50);
}

static void
client_waits(struct rig *rig, uint32_t reconnect_ms)
{
	struct vhost_be_config cfg = rig_config(rig);
	char err[200];

	cfg.client = true;
	cfg.reconnect_ms = reconnect_ms;
	assert_int_equal(try_new(rig, &cfg, err), 0);
	evloop_step(rig->loop, 50);
}

/* The socket's file tells that somebody comes: the delay is not waited out. */
static void
client_sees_the_socket_appear(void **state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct rig *rig = *state;
	char elsewhere[80];
	int fd;

	client_waits(rig, 20000);
	sees_at_once(rig, listen_at(rig->path));
	/* Under another name first, as some servers do it. */
	snprintf(elsewhere, sizeof(elsewhere), "%s/other", rig->dir);
	fd = listen_at(elsewhere);
	assert_int_equal(rename(elsewhere, rig->path), 0);
	sees_at_once(rig, fd);
	/* Made, and nobody listens for a while. */
	strcpy(addr.sun_path, rig->path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	for (int i = 0; i < 10; i++)
		evloop_step(rig->loop, 10);
	assert_int_equal(rig->ups, 2);
	assert_int_equal(listen(fd, 8), 0);
	sees_at_once(rig, fd);
}

/* A directory that is made anew is found by the next attempt, and watched from then on. */
static void
client_sees_another_directory(void **state)
{
	struct rig *rig = *state;
	uint64_t until;

	client_waits(rig, 2000);
	assert_int_equal(rmdir(rig->dir), 0);
	evloop_step(rig->loop, 50);
	assert_int_equal(mkdir(rig->dir, 0700), 0);
	until = evloop_now_ns() + 2100000000ull;
	while (evloop_now_ns() < until)
		evloop_step(rig->loop, 10);
	sees_at_once(rig, listen_at(rig->path));
}

/* Who makes and removes the file all the time does not get an attempt each time. */
static void
client_is_not_hurried_for_ever(void **state)
{
	struct rig *rig = *state;
	struct vhost_be_config cfg = rig_config(rig);
	uint64_t until = evloop_now_ns() + 1500000000ull;
	char err[200];

	cfg.client = true;
	assert_int_equal(try_new(rig, &cfg, err), 0);
	while (evloop_now_ns() < until) {
		int fd = listen_at(rig->path), c;

		for (int i = 0; i < 3; i++)
			evloop_step(rig->loop, 1);
		c = accept(fd, NULL, NULL);
		if (c >= 0)
			close(c);
		close(fd);
		unlink(rig->path);
	}
	/* Ten times at most, each with a delay that grows from there; not 500 times. */
	assert_uint_in_range(rig->ups, 1, 60);
}

/* A peer that takes connections only to close them is not called on all the time. */
static void
client_backs_off(void **state)
{
	struct rig *rig = *state;
	struct vhost_be_config cfg = rig_config(rig);
	uint64_t until = evloop_now_ns() + 1500000000ull;
	int fd = listen_at(rig->path);
	char err[200];

	cfg.client = true;
	cfg.reconnect_ms = 50;
	assert_int_equal(try_new(rig, &cfg, err), 0);
	while (evloop_now_ns() < until) {
		int c = accept(fd, NULL, NULL);

		if (c >= 0)
			close(c);
		evloop_step(rig->loop, 1);
	}
	/* 50, 100, 200, 400, 800 ms apart. */
	assert_uint_in_range(rig->ups, 4, 6);
	close(fd);
	unlink(rig->path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		BARE_TEST(client_connects_and_reconnects),
		BARE_TEST(client_sees_the_socket_appear),
		BARE_TEST(client_sees_another_directory),
		BARE_TEST(client_is_not_hurried_for_ever),
		BARE_TEST(client_backs_off),
	};

	return cmocka_run_group_tests_name("vhu_sock_client", tests, NULL, NULL);
}
