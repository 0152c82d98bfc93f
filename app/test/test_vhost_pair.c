/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Both ends of vhost-user in one process: a back-end session served by a thread, and a device in
 * this one.
 */
#include "vhost_dev.h"
#include "rig_frontend.h"

struct pair {
	struct rig *rig;		/* the back-end */
	struct evloop *loop;		/* the device's */
	struct vhost_dev dev;
	struct vhu_sock sock;
	bool has_sock;
	unsigned int losts, peers;
	int open_rc;
};

static void
pair_lost(void *ctx, const char *why)
{
	struct pair *p = ctx;

	p->losts++;
	vhost_dev_close(&p->dev);
	if (p->has_sock)
		vhu_sock_again(&p->sock, true);
}

static const struct vhost_dev_events pair_events = { .lost = pair_lost };

/* Where connections come from: as a port does it. */
static void
pair_peer(struct vhu_sock *s, int fd)
{
	struct pair *p = s->owner;

	p->peers++;
	p->open_rc = vhost_user_open(&p->dev, fd);
	if (p->open_rc == 0)
		p->open_rc = vhost_init(&p->dev);
}

static bool
pair_vacant(struct vhu_sock *s)
{
	struct pair *p = s->owner;

	return !vhost_dev_is_open(&p->dev);
}

static void
pair_waiting(struct vhu_sock *s, int error)
{
}

static const struct vhu_sock_ops pair_sock_ops = { pair_peer, pair_vacant, pair_waiting };

static int
pair_setup(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));

	rig_setup_bare((void **)&p->rig);
	assert_int_equal(evloop_new(&p->loop), 0);
	vhost_dev_init(&p->dev, p->loop, &pair_events, p);
	*state = p;
	return 0;
}

static void
pair_listen(struct pair *p)
{
	rig_listen(p->rig);
	rig_serve(p->rig);
}

static void
pair_sock(struct pair *p, bool client)
{
	const struct vhu_sock_config cfg = {
		.path = p->rig->path, .client = client, .reconnect_ms = 1, .gid = (gid_t)-1,
	};
	char err[200];

	assert_int_equal(vhu_sock_open(&p->sock, &cfg, p->loop, &pair_sock_ops, p, err,
				       sizeof(err)), 0);
	p->has_sock = true;
}

static int
pair_teardown(void **state)
{
	struct pair *p = *state;
	struct rig *rig = p->rig;

	vhost_dev_close(&p->dev);
	if (p->has_sock)
		vhu_sock_close(&p->sock);
	evloop_free(p->loop);
	free(p);
	return rig_teardown((void **)&rig);
}

static void
connect_pair(struct pair *p)
{
	assert_int_equal(vhost_user_open(&p->dev, connect_to(p->rig->path)), 0);
	assert_int_equal(vhost_init(&p->dev), 0);
}

static struct vhost_region
region_of(struct pair *p)
{
	return (struct vhost_region){
		.iova = (uint64_t)(uintptr_t)p->rig->mem,
		.size = RIG_MEM,
		.addr = p->rig->mem,
		.fd = p->rig->memfd,
	};
}

static void
start_ring(struct pair *p, uint32_t i)
{
	uint8_t *at = p->rig->mem + i * RIG_STRIDE;
	const struct vhost_vring_addr addr = {
		.desc = at, .avail = at + 0x1000, .used = at + 0x2000,
	};

	assert_int_equal(vhost_set_vring_num(&p->dev, i, RIG_SIZE), 0);
	assert_int_equal(vhost_set_vring_base(&p->dev, i, 0), 0);
	assert_int_equal(vhost_set_vring_addr(&p->dev, i, &addr), 0);
	assert_int_equal(vhost_set_vring_kick(&p->dev, i, -1), 0);
	assert_int_equal(vhost_set_vring_call(&p->dev, i, p->rig->call[i]), 0);
	assert_int_equal(vhost_set_vring_enable(&p->dev, i, true), 0);
}

static void
bring_up(struct pair *p)
{
	const struct vhost_region r = region_of(p);
	uint32_t vrings = 0;

	assert_int_equal(vhost_set_owner(&p->dev), 0);
	assert_int_equal(vhost_get_queue_num(&p->dev, &vrings), 0);
	assert_int_equal(vrings, RIG_RINGS);
	assert_int_equal(vhost_set_features(&p->dev, VIRTQ_BIT(VIRTIO_F_VERSION_1)), 0);
	assert_int_equal(vhost_set_mem_table(&p->dev, &r, 1), 0);
	for (uint32_t i = 0; i < vrings; i++)
		start_ring(p, i);
	assert_int_equal(vhost_dev_start(&p->dev, true), 0);
}

static void
check_running(struct rig *rig)
{
	for (int i = 0; i < RIG_RINGS; i++) {
		assert_non_null(rig->ring[i]);
		assert_true(rig->ring[i]->enabled);
		assert_int_equal(rig->ring[i]->size, RIG_SIZE);
	}
}

static void
check_stopped(struct rig *rig)
{
	for (int i = 0; i < RIG_RINGS; i++)
		assert_null(rig->ring[i]);
	assert_int_equal(rig->downs, 0);
}

/* Start, stop, and start again on the same connection. */
static void
up_and_down(void **state)
{
	struct pair *p = *state;
	uint32_t base = 1;

	pair_listen(p);
	connect_pair(p);
	for (int round = 0; round < 3; round++) {
		bring_up(p);
		in_back_end(p->rig, check_running);
		for (uint32_t i = 0; i < RIG_RINGS; i++) {
			assert_int_equal(vhost_get_vring_base(&p->dev, i, &base), 0);
			assert_int_equal(base, 0);
		}
		assert_int_equal(vhost_dev_start(&p->dev, false), 0);
		in_back_end(p->rig, check_stopped);
	}
	assert_int_equal(vhost_reset_device(&p->dev), 0);
	assert_int_equal(vhost_init(&p->dev), 0);
	bring_up(p);
	in_back_end(p->rig, check_running);
}

/* Many regions, which come and go while rings run. */
static void
memory_comes_and_goes(void **state)
{
	struct pair *p = *state;
	struct vhost_region r[200];
	uint8_t *more = mmap(NULL, 2 * RIG_MEM, PROT_NONE, MAP_SHARED, p->rig->memfd, 0);
	struct vhost_be_info info;

	pair_listen(p);
	connect_pair(p);
	bring_up(p);
	assert_int_equal(vhost_memslots_limit(&p->dev), 300);
	r[0] = region_of(p);
	for (int i = 1; i < 200; i++)
		r[i] = (struct vhost_region){
			.iova = (uint64_t)(uintptr_t)more + i * 8192ull,
			.size = 4096,
			.addr = more + i * 8192,
			.fd = p->rig->memfd,
			.fd_offset = i * 4096ull,
		};
	assert_int_equal(vhost_set_mem_table(&p->dev, r, 200), 0);
	vhost_be_get_info(p->rig->be, &info);
	assert_int_equal(info.nregions, 200);
	in_back_end(p->rig, check_running);
	/* One region out of the middle: the others are not sent again. */
	r[7] = r[199];
	assert_int_equal(vhost_set_mem_table(&p->dev, r, 199), 0);
	vhost_be_get_info(p->rig->be, &info);
	assert_int_equal(info.nregions, 199);
	assert_int_equal(vhost_set_mem_table(&p->dev, r, 1), 0);
	vhost_be_get_info(p->rig->be, &info);
	assert_int_equal(info.nregions, 1);
	assert_int_equal(info.nacks, 0);
	in_back_end(p->rig, check_running);
	munmap(more, 2 * RIG_MEM);
}

static void
check_told(struct rig *rig)
{
	assert_int_equal(rig->mtu, 1400);
	assert_int_equal(rig->rarps, 1);
	assert_memory_equal(rig->mac, "\2\0\0\0\0\1", 6);
}

static void
mtu_and_announcement(void **state)
{
	struct pair *p = *state;

	pair_listen(p);
	connect_pair(p);
	bring_up(p);
	assert_int_equal(vhost_net_set_mtu(&p->dev, 1400), 0);
	assert_int_equal(vhost_net_set_mtu(&p->dev, 20), -EIO);
	assert_int_equal(vhost_migration_done(&p->dev, (const uint8_t *)"\2\0\0\0\0\1"), 0);
	in_back_end(p->rig, check_told);
	/* Refused, and still there. */
	assert_int_equal(vhost_set_vring_num(&p->dev, 0, 3), -EIO);
	assert_int_equal(vhost_set_vring_num(&p->dev, RIG_RINGS, 256), -EIO);
	in_back_end(p->rig, check_running);
}

#define LOG_BYTES 4096

/* Each ring marks a page of its own. */
static void
mark_pages(struct rig *rig)
{
	for (int i = 0; i < RIG_RINGS; i++) {
		assert_non_null(rig->ring[i]->log);
		assert_int_equal(rig->ring[i]->log_used, i == 1);
		assert_int_equal(rig->ring[i]->log_gpa, i == 1 ? RIG_GPA : 0);
		virtq_log_mark(rig->ring[i]->log, RIG_GPA + i * 4096, 1);
	}
}

static void
check_not_logged(struct rig *rig)
{
	check_running(rig);
	for (int i = 0; i < RIG_RINGS; i++)
		assert_null(rig->ring[i]->log);
}

/* The front-end keeps a log while rings run, and reads in it what the back-end has marked. */
static void
log_on_and_off(void **state)
{
	const uint64_t features = VIRTQ_BIT(VIRTIO_F_VERSION_1);
	const int fd = memfd_create("log", MFD_CLOEXEC);
	struct vhost_vring_addr addr;
	struct pair *p = *state;
	struct vhost_region r;
	uint8_t *bits;

	assert_int_equal(ftruncate(fd, LOG_BYTES), 0);
	bits = mmap(NULL, LOG_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	pair_listen(p);
	connect_pair(p);
	bring_up(p);
	r = region_of(p);
	r.iova = RIG_GPA;
	assert_int_equal(vhost_set_mem_table(&p->dev, &r, 1), 0);
	assert_int_equal(vhost_set_log_base(&p->dev, LOG_BYTES, 0, fd), 0);
	in_back_end(p->rig, check_not_logged);
	assert_int_equal(vhost_set_features(&p->dev, features | VIRTQ_BIT(VHOST_F_LOG_ALL)), 0);
	addr = (struct vhost_vring_addr){
		.desc = p->rig->mem + RIG_STRIDE, .avail = p->rig->mem + RIG_STRIDE + 0x1000,
		.used = p->rig->mem + RIG_STRIDE + 0x2000, .used_iova = RIG_GPA, .log = true,
	};
	assert_int_equal(vhost_set_vring_addr(&p->dev, 1, &addr), 0);
	/* The next answer comes after it. */
	assert_int_equal(vhost_net_set_mtu(&p->dev, 1400), 0);
	in_back_end(p->rig, mark_pages);
	assert_int_equal(bits[(RIG_GPA >> VIRTQ_LOG_PAGE_SHIFT) / 8], (1 << RIG_RINGS) - 1);
	assert_int_equal(vhost_set_features(&p->dev, features), 0);
	in_back_end(p->rig, check_not_logged);
	/* Too short a log is refused: nothing can be relied on any more. */
	assert_int_not_equal(vhost_set_log_base(&p->dev, 16, 0, fd), 0);
	munmap(bits, LOG_BYTES);
	close(fd);
}

static void
drop_and_offer_less(struct rig *rig)
{
	struct vhost_be_config cfg = rig_config(rig);
	char err[200];

	vhost_be_free(rig->be);
	cfg.features &= ~VIRTQ_BIT(VIRTIO_F_RING_PACKED);
	cfg.protocol_features = VIRTQ_BIT(VHU_PF_REPLY_ACK);
	assert_int_equal(vhost_be_new(&cfg, &rig->be, err, sizeof(err)), 0);
}

/* A back-end that restarts with less than before. */
static void
reconnect_with_other_features(void **state)
{
	struct pair *p = *state;

	pair_listen(p);
	pair_sock(p, true);
	step_until(p->loop, &p->peers, 1);
	assert_int_equal(p->open_rc, 0);
	assert_true(p->dev.offered & VIRTQ_BIT(VIRTIO_F_RING_PACKED));
	bring_up(p);
	in_back_end(p->rig, drop_and_offer_less);
	step_until(p->loop, &p->losts, 1);
	step_until(p->loop, &p->peers, 2);
	assert_int_equal(p->open_rc, 0);
	assert_false(p->dev.offered & VIRTQ_BIT(VIRTIO_F_RING_PACKED));
	assert_int_equal(p->dev.protocol, VIRTQ_BIT(VHU_PF_REPLY_ACK));
	assert_int_equal(vhost_memslots_limit(&p->dev), 8);
	assert_int_equal(vhost_set_features(&p->dev, VIRTQ_BIT(VIRTIO_F_VERSION_1)), 0);
}

/* The front-end listens, and the back-end comes to it. */
static void
front_end_as_server(void **state)
{
	struct pair *p = *state;

	pair_sock(p, false);
	rig_serve(p->rig);
	in_back_end(p->rig, rig_connect_back);
	step_until(p->loop, &p->peers, 1);
	assert_int_equal(p->open_rc, 0);
	bring_up(p);
	in_back_end(p->rig, check_running);
	vhost_dev_close(&p->dev);
	step_until(p->loop, &p->peers, 2);
	assert_int_equal(p->open_rc, 0);
	bring_up(p);
}

/* One that is in use turns others away. */
static void
back_end_in_use(void **state)
{
	struct pair *p = *state;
	struct vhost_dev second;
	int rc;

	pair_listen(p);
	connect_pair(p);
	vhost_dev_init(&second, p->loop, NULL, NULL);
	assert_int_equal(vhost_user_open(&second, connect_to(p->rig->path)), 0);
	rc = vhost_init(&second);
	assert_int_equal(rc, -ECONNRESET);
	assert_non_null(strstr(second.why, "closed the connection"));
	vhost_dev_close(&second);
	bring_up(p);
}

#define PAIR_TEST(fn) cmocka_unit_test_setup_teardown(fn, pair_setup, pair_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		PAIR_TEST(up_and_down),
		PAIR_TEST(memory_comes_and_goes),
		PAIR_TEST(mtu_and_announcement),
		PAIR_TEST(log_on_and_off),
		PAIR_TEST(reconnect_with_other_features),
		PAIR_TEST(front_end_as_server),
		PAIR_TEST(back_end_in_use),
	};

	return cmocka_run_group_tests_name("vhost_pair", tests, NULL, NULL);
}
