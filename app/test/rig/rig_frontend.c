/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig_frontend.h"

void
wait_for_closing(void)
{
	for (int i = 0; evloop_later_pending() > 0 && i < 5000; i++)
		usleep(200);
}

int
open_fds(void)
{
	DIR *d;
	int n = -1; /* opendir's own */

	wait_for_closing();
	d = opendir("/proc/self/fd");
	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d)) != NULL;)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

/* A former run, its memory and its kick have to be there until the owner has let go of it. */
void
rig_touch(const struct virtq_ring *ring)
{
	if (ring == NULL)
		return;
	assert_true(*(volatile uint8_t *)ring->desc + *(volatile uint8_t *)ring->used >= 0);
	/* A call that no test has fail. */
	assert_true(ring->wakefd < 0 || lseek(ring->wakefd, 0, SEEK_CUR) >= 0 || errno != EBADF);
}

static void
rig_ring_publish(void *ctx, uint16_t qid, const struct virtq_ring *ring)
{
	struct rig *rig = ctx;

	rig_touch(rig->ring[qid]);
	rig_touch(ring);
	rig->ring[qid] = ring;
	rig->publishes++;
}

static void
rig_rings_publish(void *ctx, const struct virtq_ring *const *rings, uint16_t n)
{
	struct rig *rig = ctx;

	assert_int_equal(n, RIG_RINGS);
	for (uint16_t i = 0; i < n; i++) {
		rig_touch(rig->ring[i]);
		rig_touch(rings[i]);
		rig->ring[i] = rings[i];
	}
	rig->many_publishes++;
}

static void
rig_ring_pause(void *ctx, uint16_t qid)
{
	struct rig *rig = ctx;

	rig_touch(rig->ring[qid]);
	rig->ring[qid] = NULL;
	rig->pauses++;
}

static void
rig_translated(void *ctx)
{
	struct rig *rig = ctx;

	rig->translations++;
}

static void
rig_quiesce(void *ctx)
{
	struct rig *rig = ctx;

	for (uint16_t i = 0; i < RIG_RINGS; i++)
		rig_touch(rig->ring[i]);
	rig->quiesces++;
}

static void
rig_connected(void *ctx, bool up, const char *why)
{
	struct rig *rig = ctx;

	rig->ups += up;
	rig->downs += !up;
	rig->why = why;
}

static void
rig_features(void *ctx, uint64_t features, uint64_t protocol)
{
	struct rig *rig = ctx;

	rig->features = features;
	rig->protocol = protocol;
}

static void
rig_memory(void *ctx, uint32_t regions, uint64_t bytes)
{
	struct rig *rig = ctx;

	rig->regions = regions;
	rig->bytes = bytes;
}

static int
rig_set_mtu(void *ctx, uint16_t mtu)
{
	struct rig *rig = ctx;

	rig->mtu = mtu;
	return rig->mtu_result;
}

static void
rig_rarp(void *ctx, const uint8_t mac[6])
{
	struct rig *rig = ctx;

	memcpy(rig->mac, mac, 6);
	rig->rarps++;
}

static void
rig_log(void *ctx, enum vhost_log_level level, const char *text)
{
	struct rig *rig = ctx;
	size_t used = strlen(rig->log);

	if (level <= VHOST_LOG_NOTICE)
		snprintf(rig->log + used, sizeof(rig->log) - used, "%s\n", text);
}

static const struct vhost_be_ops rig_ops = {
	.ring_publish = rig_ring_publish,
	.rings_publish = rig_rings_publish,
	.ring_pause = rig_ring_pause,
	.quiesce = rig_quiesce,
	.memory = rig_memory,
	.translated = rig_translated,
	.connected = rig_connected,
	.features = rig_features,
	.set_mtu = rig_set_mtu,
	.rarp = rig_rarp,
	.log = rig_log,
};

void
pump(struct rig *rig)
{
	for (int i = 0; i < 4; i++)
		evloop_step(rig->loop, 0);
}

struct vhost_be_config
rig_config(struct rig *rig)
{
	return (struct vhost_be_config){
		.path = rig->path,
		.sock_gid = (gid_t)-1,
		.features = RIG_FEATURES,
		.protocol_features = ~0ull,
		.max_pairs = RIG_PAIRS,
		.mem_slots = 300,
		.vq = rig->vq,
		.ops = &rig_ops,
		.ctx = rig,
		.loop = rig->loop,
	};
}

void
rig_listen(struct rig *rig)
{
	const struct vhost_be_config cfg = rig_config(rig);
	char err[200] = "";

	if (vhost_be_new(&cfg, &rig->be, err, sizeof(err)) != 0)
		fail_msg("%s", err);
}

int
connect_to(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

void
rig_disconnect(struct rig *rig)
{
	if (rig->fe >= 0)
		close(rig->fe);
	rig->fe = -1;
	pump(rig);
}

void
rig_connect(struct rig *rig)
{
	rig_disconnect(rig);
	wait_for_closing(); /* with too much of it, nothing is read from a front-end */
	rig->fe = connect_to(rig->path);
	pump(rig);
}

static void *
serve_loop(void *arg)
{
	evloop_run(arg);
	return NULL;
}

void
rig_serve(struct rig *rig)
{
	assert_int_equal(pthread_create(&rig->thread, NULL, serve_loop, rig->loop), 0);
	rig->served = true;
}

struct look {
	struct rig *rig;
	void (*fn)(struct rig *rig);
};

static int
look_in_loop(void *arg)
{
	const struct look *l = arg;

	l->fn(l->rig);
	return 0;
}

void
in_back_end(struct rig *rig, void (*fn)(struct rig *rig))
{
	struct look l = { rig, fn };

	evloop_call(rig->loop, look_in_loop, &l);
}

void
rig_connect_back(struct rig *rig)
{
	struct vhost_be_config cfg = rig_config(rig);
	char err[200] = "";

	cfg.client = true;
	cfg.reconnect_ms = 1;
	if (vhost_be_new(&cfg, &rig->be, err, sizeof(err)) != 0)
		fail_msg("%s", err);
}

void
step_until(struct evloop *loop, const unsigned int *counter, unsigned int value)
{
	for (int i = 0; i < 500 && *counter < value; i++)
		evloop_step(loop, 10);
	assert_int_equal(*counter, value);
}

int
rig_setup_bare(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	rig->fds_before = open_fds();
	rig->fe = -1;
	strcpy(rig->dir, "/tmp/vhu-test-XXXXXX");
	assert_non_null(mkdtemp(rig->dir));
	snprintf(rig->path, sizeof(rig->path), "%s/sock", rig->dir);
	assert_int_equal(evloop_new(&rig->loop), 0);
	rig->memfd = memfd_create("guest", MFD_CLOEXEC);
	assert_int_equal(ftruncate(rig->memfd, RIG_MEM), 0);
	rig->mem = mmap(NULL, RIG_MEM, PROT_READ | PROT_WRITE, MAP_SHARED, rig->memfd, 0);
	for (int i = 0; i < RIG_RINGS; i++) {
		rig->vq[i] = aligned_alloc(VIRTQ_CACHE_LINE, sizeof(*rig->vq[i]));
		memset(rig->vq[i], 0, sizeof(*rig->vq[i]));
		virtq_dev_reset(rig->vq[i]);
		rig->call[i] = eventfd(0, EFD_CLOEXEC);
	}
	*state = rig;
	return 0;
}

int
rig_setup(void **state)
{
	struct rig *rig;

	rig_setup_bare(state);
	rig = *state;
	rig_listen(rig);
	rig_connect(rig);
	assert_int_equal(rig->ups, 1);
	return 0;
}

int
rig_teardown(void **state)
{
	struct rig *rig = *state;
	int before = rig->fds_before;

	if (rig->served) {
		evloop_quit(rig->loop);
		pthread_join(rig->thread, NULL);
	}
	vhost_be_free(rig->be);
	if (rig->fe >= 0)
		close(rig->fe);
	evloop_free(rig->loop);
	munmap(rig->mem, RIG_MEM);
	close(rig->memfd);
	for (int i = 0; i < RIG_RINGS; i++) {
		close(rig->call[i]);
		free(rig->vq[i]);
	}
	/* The socket is gone with its session, so the directory is empty. */
	if (rmdir(rig->dir) < 0) {
		print_message("%s is not empty\n", rig->dir);
		return -1;
	}
	free(rig);
	/* Threads that the session started close what is theirs a moment later. */
	for (int i = 0; before >= 0 && i < 1000 && open_fds() != before; i++)
		usleep(1000);
	if (before >= 0 && open_fds() != before) {
		print_message("%d descriptors before, %d after\n", before, open_fds());
		return -1;
	}
	return 0;
}

bool
fe_try_send(int fd, uint32_t request, uint32_t flags, const void *payload, uint32_t size,
	    const int *fds, uint32_t nfds)
{
	struct vhu_hdr hdr = { request, VHU_VERSION | flags, size };
	struct iovec iov[2] = { { &hdr, sizeof(hdr) }, { (void *)(uintptr_t)payload, size } };
	union {
		char buf[CMSG_SPACE(64 * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct msghdr mh = { .msg_iov = iov, .msg_iovlen = 2 };

	if (nfds > 0) {
		memset(&control, 0, sizeof(control));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, nfds * sizeof(int));
		mh.msg_control = control.buf;
		mh.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
	}
	return sendmsg(fd, &mh, MSG_NOSIGNAL) == (ssize_t)(sizeof(hdr) + size);
}

void
fe_send_on(int fd, uint32_t request, uint32_t flags, const void *payload, uint32_t size,
	   const int *fds, uint32_t nfds)
{
	assert_true(fe_try_send(fd, request, flags, payload, size, fds, nfds));
}

enum outcome
fe_outcome(struct rig *rig, uint32_t request, struct vhu_msg *m)
{
	uint8_t control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = { 0 };
	struct iovec iov = { &m->hdr, sizeof(m->hdr) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			      .msg_controllen = sizeof(control) };
	const ssize_t n = recvmsg(rig->fe, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	memset(m->raw, 0, 64);
	m->nfds = n > 0 && CMSG_FIRSTHDR(&msg) != NULL;
	if (m->nfds > 0)
		memcpy(&m->fds[0], CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
	if (n < 0 && errno == EAGAIN)
		return SILENCE;
	if (n <= 0)
		return CLOSED;
	assert_int_equal(n, sizeof(m->hdr));
	assert_int_equal(m->hdr.request, request);
	assert_int_equal(m->hdr.flags, 5);
	assert_true(m->hdr.size <= sizeof(m->raw));
	if (m->hdr.size > 0)
		assert_int_equal(recv(rig->fe, m->raw, m->hdr.size, MSG_DONTWAIT), m->hdr.size);
	if (m->hdr.size != sizeof(m->u64))
		return ANSWER;
	return m->u64 == 0 ? ACK : NACK;
}

enum outcome
fe_talk(struct rig *rig, uint32_t request, uint32_t flags, const void *payload, uint32_t size,
	const int *fds, uint32_t nfds, struct vhu_msg *m)
{
	fe_send_on(rig->fe, request, flags, payload, size, fds, nfds);
	pump(rig);
	return fe_outcome(rig, request, m);
}

enum outcome
fe_u64(struct rig *rig, uint32_t request, uint64_t value)
{
	struct vhu_msg m;

	return fe_talk(rig, request, NEED, &value, sizeof(value), NULL, 0, &m);
}

enum outcome
fe_empty(struct rig *rig, uint32_t request)
{
	struct vhu_msg m;

	return fe_talk(rig, request, NEED, NULL, 0, NULL, 0, &m);
}

enum outcome
fe_state(struct rig *rig, uint32_t request, uint32_t index, uint32_t num)
{
	const struct vhu_vring_state s = { index, num };
	struct vhu_msg m;

	return fe_talk(rig, request, NEED, &s, sizeof(s), NULL, 0, &m);
}

enum outcome
fe_fd(struct rig *rig, uint32_t request, uint64_t word, int fd)
{
	struct vhu_msg m;

	return fe_talk(rig, request, NEED, &word, sizeof(word), &fd, fd >= 0, &m);
}

uint64_t
fe_get(struct rig *rig, uint32_t request)
{
	struct vhu_msg m;
	enum outcome o = fe_talk(rig, request, 0, NULL, 0, NULL, 0, &m);

	assert_true(o == ACK || o == NACK);
	return m.u64;
}

uint32_t
fe_get_base(struct rig *rig, uint32_t index)
{
	const struct vhu_vring_state s = { index, 0 };
	struct vhu_msg m;
	enum outcome o = fe_talk(rig, VHU_GET_VRING_BASE, 0, &s, sizeof(s), NULL, 0, &m);

	assert_true(o == ACK || o == NACK);
	assert_int_equal(m.state.index, index);
	return m.state.num;
}

struct vhu_vring_addr
rig_addr(uint32_t index)
{
	const uint64_t at = RIG_UVA + index * RIG_STRIDE;

	return (struct vhu_vring_addr){
		.index = index,
		.desc = at,
		.avail = at + 0x1000,
		.used = at + 0x2000,
	};
}

enum outcome
fe_addr(struct rig *rig, const struct vhu_vring_addr *a)
{
	struct vhu_msg m;

	return fe_talk(rig, VHU_SET_VRING_ADDR, NEED, a, sizeof(*a), NULL, 0, &m);
}

struct vhu_mem_table
rig_table(void)
{
	return (struct vhu_mem_table){ .n = 1, .region = { { RIG_GPA, RIG_MEM, RIG_UVA, 0 } } };
}

enum outcome
fe_table(struct rig *rig, const struct vhu_mem_table *t, uint32_t nfds)
{
	int fds[VHU_MAX_FDS];
	struct vhu_msg m;

	for (uint32_t i = 0; i < nfds; i++)
		fds[i] = rig->memfd;
	return fe_talk(rig, VHU_SET_MEM_TABLE, NEED, t, 8 + t->n * 32, fds, nfds, &m);
}

enum outcome
fe_region(struct rig *rig, uint32_t request, uint64_t gpa, uint64_t uva, uint64_t size,
	  uint64_t offset)
{
	const struct vhu_mem_single s = { .region = { gpa, size, uva, offset } };
	struct vhu_msg m;

	return fe_talk(rig, request, NEED, &s, sizeof(s), &rig->memfd,
		       request == VHU_ADD_MEM_REG, &m);
}

void
fe_negotiate(struct rig *rig, uint64_t features, uint64_t protocol)
{
	assert_int_equal(fe_u64(rig, VHU_SET_PROTOCOL_FEATURES, protocol), ACK);
	assert_int_equal(fe_empty(rig, VHU_SET_OWNER), ACK);
	assert_int_equal(fe_u64(rig, VHU_SET_FEATURES, features), ACK);
}

void
fe_ring(struct rig *rig, uint32_t i)
{
	const struct vhu_vring_addr a = rig_addr(i);

	assert_int_equal(fe_state(rig, VHU_SET_VRING_NUM, i, RIG_SIZE), ACK);
	assert_int_equal(fe_state(rig, VHU_SET_VRING_BASE, i, 0), ACK);
	assert_int_equal(fe_addr(rig, &a), ACK);
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_CALL, i, rig->call[i]), ACK);
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_KICK, i | VHU_FD_NONE, -1), ACK);
}

void
fe_start(struct rig *rig)
{
	const struct vhu_mem_table t = rig_table();

	fe_negotiate(rig, RIG_ACKED, VHOST_BE_PROTOCOL);
	assert_int_equal(fe_table(rig, &t, 1), ACK);
	for (uint32_t i = 0; i < 2; i++) {
		fe_ring(rig, i);
		assert_int_equal(fe_state(rig, VHU_SET_VRING_ENABLE, i, 1), ACK);
		assert_non_null(rig->ring[i]);
		assert_true(rig->ring[i]->enabled);
	}
}

uint64_t
signals(int fd)
{
	uint64_t n = 0;
	int flags = fcntl(fd, F_GETFL);

	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	if (read(fd, &n, sizeof(n)) < 0)
		return 0;
	return n;
}

int
try_new(struct rig *rig, const struct vhost_be_config *cfg, char err[200])
{
	struct vhost_be *be = NULL;
	int rc;

	err[0] = '\0';
	rc = vhost_be_new(cfg, &be, err, 200);
	if (rc == 0) {
		assert_null(rig->be);
		rig->be = be;
	} else {
		assert_true(strlen(err) > 10);
		assert_null(strchr(err, '\n'));
	}
	return rc;
}

int
listen_at(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}
