/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig_backend.h"

#include <poll.h>

void
mock_write(int fd, const void *bytes, size_t len)
{
	/* The other end may be gone: that is the point of some tests. */
	if (send(fd, bytes, len, MSG_NOSIGNAL) < 0)
		return;
}

static bool
mock_read(int fd, void *bytes, size_t len)
{
	return len == 0 || recv(fd, bytes, len, MSG_WAITALL) == (ssize_t)len;
}

/* Receive one message and its fds; false: the end. */
static bool
mock_receive(struct mock *m, struct seen *s, int *fds)
{
	union {
		char buf[CMSG_SPACE(VHU_MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { &s->hdr, sizeof(s->hdr) };
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *c;
	struct stat st;

	memset(s, 0, sizeof(*s));
	if (recvmsg(m->fd, &mh, MSG_CMSG_CLOEXEC | MSG_WAITALL) != sizeof(s->hdr) ||
	    s->hdr.size > sizeof(s->raw) || !mock_read(m->fd, s->raw, s->hdr.size))
		return false;
	c = CMSG_FIRSTHDR(&mh);
	if (c != NULL && c->cmsg_type == SCM_RIGHTS) {
		s->nfds = (uint32_t)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(c), s->nfds * sizeof(int));
		if (fstat(fds[0], &st) == 0)
			s->ino = st.st_ino;
	}
	return true;
}

/* The right answer's payload; bytes of it, or -1: none is due. */
static int
mock_answer(struct mock *m, const struct seen *s, uint8_t *out)
{
	uint64_t u64 = 0;
	struct vhu_vring_state state = { s->state.index, m->base };

	switch (s->hdr.request) {
	case VHU_GET_FEATURES: u64 = m->features; break;
	case VHU_GET_PROTOCOL_FEATURES: u64 = m->protocol; break;
	case VHU_GET_QUEUE_NUM: u64 = m->queue_num; break;
	case VHU_GET_MAX_MEM_SLOTS: u64 = m->slots; break;
	case VHU_GET_STATUS: u64 = m->status; break;
	case VHU_GET_VRING_BASE: memcpy(&u64, &state, sizeof(u64)); break;
	case VHU_SET_LOG_BASE:
		memset(out, 0, m->log_reply);
		return m->acked & VIRTQ_BIT(VHU_PF_LOG_SHMFD) ? (int)m->log_reply : -1;
	case VHU_GET_CONFIG:
		memcpy(out, s->raw, s->hdr.size);
		for (uint32_t i = VHU_CONFIG_HEAD; i < s->hdr.size; i++)
			out[i] = (uint8_t)(s->config.offset + i - VHU_CONFIG_HEAD);
		return (int)s->hdr.size;
	case VHU_IOTLB_MSG: break;
	default:
		if (!(s->hdr.flags & VHU_FLAG_NEED_REPLY))
			return -1;
	}
	memcpy(out, &u64, sizeof(u64));
	return sizeof(u64);
}

void
mock_send_fd(int to, const void *bytes, size_t len, int fd)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { (void *)(uintptr_t)bytes, len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		memset(&control, 0, sizeof(control));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(int));
		mh.msg_control = control.buf;
		mh.msg_controllen = sizeof(control.buf);
	}
	if (sendmsg(to, &mh, MSG_NOSIGNAL) < 0)
		return;
}

/* A request of the back-end, and its answer if one is due. */
static void
mock_ask(struct mock *m)
{
	uint8_t msg[sizeof(m->ask) + sizeof(m->ask_raw)];

	memcpy(msg, &m->ask, sizeof(m->ask));
	memcpy(msg + sizeof(m->ask), m->ask_raw, sizeof(m->ask_raw));
	mock_send_fd(m->chan, msg, sizeof(m->ask) + m->ask.size, m->ask_fd);
	if (m->ask.flags & VHU_FLAG_NEED_REPLY && mock_read(m->chan, &m->chan_hdr, 12))
		mock_read(m->chan, &m->chan_u64, sizeof(m->chan_u64));
}

/* False: the connection is to be closed. */
static bool
mock_act(struct mock *m, const struct seen *s, enum act act)
{
	uint8_t out[sizeof(struct vhu_hdr) + 8192];
	struct vhu_hdr hdr = { s->hdr.request, VHU_FLAGS_REPLY, 0 };
	size_t len;
	int n;

	pthread_mutex_lock(&m->lock);
	n = mock_answer(m, s, out + sizeof(hdr));
	pthread_mutex_unlock(&m->lock);
	len = sizeof(hdr) + (size_t)(n < 0 ? 0 : n);
	if (act == SAY_RAW || act == SAY_RAW_AND_FD) {
		memcpy(out, m->raw, m->raw_len);
		mock_send_fd(m->fd, out, m->raw_len, act == SAY_RAW ? -1 : m->memfd);
		return true;
	}
	if (act == REFUSE && n == (int)sizeof(uint64_t))
		memcpy(out + sizeof(hdr), &(uint64_t){ 1 }, sizeof(uint64_t));
	hdr.size = (uint32_t)(n < 0 ? 0 : n);
	memcpy(out, &hdr, sizeof(hdr));
	if (act == ASK_FIRST)
		mock_ask(m);
	for (int i = 0; act == FLOOD_FIRST && i < 5000; i++)
		mock_ask(m);
	switch (act) {
	case STAY_SILENT: return true;
	case HANG_UP: return false;
	case SAY_HALF: mock_write(m->fd, out, len / 2); return true;
	case HALF_THEN_HANG_UP: mock_write(m->fd, out, len / 2); return false;
	default: break;
	}
	if (n < 0)
		return true;
	for (size_t i = 0; act == SAY_BYTEWISE && i < len; i++) {
		mock_write(m->fd, out + i, 1);
		nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL);
	}
	if (act != SAY_BYTEWISE)
		mock_write(m->fd, out, len);
	if (act == SAY_TWICE)
		mock_write(m->fd, out, len);
	return true;
}

/* What a back-end has to remember of a request. */
static void
mock_note(struct mock *m, const struct seen *s, int *fds)
{
	if (s->hdr.request == VHU_SET_PROTOCOL_FEATURES)
		m->acked = s->u64;
	if (s->hdr.request == VHU_SET_STATUS)
		m->status = s->u64;
	if (s->hdr.request == VHU_SET_BACKEND_REQ_FD && s->nfds == 1) {
		if (m->chan >= 0)
			close(m->chan);
		m->chan = fds[0];
	} else {
		for (uint32_t i = 0; i < s->nfds; i++)
			close(fds[i]);
	}
}

/* The index of a ring is the first byte of whatever names one. */
static bool
mock_has_ring(const struct mock *m, const struct seen *s)
{
	switch (s->hdr.request) {
	case VHU_SET_VRING_NUM:
	case VHU_SET_VRING_ADDR:
	case VHU_SET_VRING_BASE:
	case VHU_GET_VRING_BASE:
	case VHU_SET_VRING_KICK:
	case VHU_SET_VRING_CALL:
	case VHU_SET_VRING_ERR:
	case VHU_SET_VRING_ENABLE:
		return m->rings == 0 || s->raw[0] < m->rings;
	default:
		return true;
	}
}

static void
mock_delay(struct mock *m, const struct seen *s)
{
	const uint32_t ms = __atomic_load_n(&m->delay_ms, __ATOMIC_RELAXED);

	if (m->delay_request == 0 || m->delay_request == s->hdr.request)
		poll(NULL, 0, (int)ms);
}

static void *
mock_thread(void *arg)
{
	uint32_t served[VHU_REQUEST_MAX] = { 0 };
	struct mock *m = arg;
	int fds[VHU_MAX_FDS];
	struct seen s;
	enum act act;
	bool go = true;

	while (go && mock_receive(m, &s, fds)) {
		const uint32_t r = s.hdr.request < VHU_REQUEST_MAX ? s.hdr.request : 0;

		pthread_mutex_lock(&m->lock);
		if (m->nseen < MOCK_LOG)
			m->seen[m->nseen++] = s;
		mock_note(m, &s, fds);
		act = m->act[r];
		if (!mock_has_ring(m, &s))
			act = m->beyond;
		else if (served[r]++ < m->act_from)
			act = AS_IT_SHOULD;
		pthread_mutex_unlock(&m->lock);
		mock_delay(m, &s);
		go = mock_act(m, &s, act);
	}
	m->left_ns = evloop_now_ns();
	shutdown(m->fd, SHUT_RDWR);
	return NULL;
}

static void
mock_close(struct mock *m)
{
	close(m->fd);
	if (m->chan >= 0)
		close(m->chan);
	m->fd = m->chan = -1;
}

static void *
mock_listener(void *arg)
{
	struct mock *m = arg;
	struct pollfd p = { .fd = m->listen_fd, .events = POLLIN };
	int fd;

	while (poll(&p, 1, -1) > 0 && (fd = accept4(p.fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		pthread_mutex_lock(&m->lock);
		m->fd = fd;
		m->acked = m->status = 0;
		pthread_mutex_unlock(&m->lock);
		mock_thread(m);
		pthread_mutex_lock(&m->lock);
		mock_close(m);
		pthread_mutex_unlock(&m->lock);
	}
	return NULL;
}

void
mock_listen(struct mock *m, const char *path)
{
	m->listen_fd = listen_at(path);
	assert_int_equal(pthread_create(&m->thread, NULL, mock_listener, m), 0);
	m->running = true;
}

void
mock_hang_up(struct mock *m)
{
	pthread_mutex_lock(&m->lock);
	if (m->fd >= 0)
		shutdown(m->fd, SHUT_RDWR);
	pthread_mutex_unlock(&m->lock);
}

static void
mock_config_changed(void *ctx)
{
	struct mock *m = ctx;

	m->configs++;
}

static void
mock_lost(void *ctx, const char *why)
{
	struct mock *m = ctx;

	m->losts++;
	strcpy(m->lost_why, why);
	if (m->close_when_lost)
		vhost_dev_close(&m->dev);
}

static void
mock_notifiers(void *ctx)
{
	struct mock *m = ctx;

	m->notifiers++;
}

const struct vhost_dev_events mock_events = {
	.config_changed = mock_config_changed,
	.notifiers = mock_notifiers,
	.lost = mock_lost,
};

void
mock_stop(struct mock *m)
{
	vhost_dev_close(&m->dev);
	if (!m->running)
		return;
	if (m->listen_fd >= 0) {
		shutdown(m->listen_fd, SHUT_RDWR);
		mock_hang_up(m);
	}
	pthread_join(m->thread, NULL);
	m->running = false;
	if (m->listen_fd >= 0)
		close(m->listen_fd);
	else
		mock_close(m);
	m->listen_fd = -1;
}

void
mock_start(struct mock *m)
{
	int pair[2];

	mock_stop(m);
	m->nseen = 0;
	m->acked = m->status = 0;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	m->fd = pair[1];
	assert_int_equal(pthread_create(&m->thread, NULL, mock_thread, m), 0);
	m->running = true;
	assert_int_equal(vhost_user_open(&m->dev, pair[0]), 0);
}

void
mock_session(struct mock *m, uint64_t protocol)
{
	m->protocol = protocol;
	mock_start(m);
	assert_int_equal(vhost_init(&m->dev), 0);
	assert_int_equal(vhost_set_owner(&m->dev), 0);
	assert_int_equal(vhost_set_features(&m->dev, MOCK_ACKED), 0);
}

void
mock_pump(struct mock *m)
{
	for (int i = 0; i < 4; i++)
		evloop_step(m->loop, 1);
}

void
mock_settle(struct mock *m)
{
	uint64_t features;

	if (vhost_dev_is_open(&m->dev))
		vhost_get_features(&m->dev, &features);
}

uint32_t
mock_count(struct mock *m, uint32_t request)
{
	uint32_t n = 0;

	pthread_mutex_lock(&m->lock);
	for (uint32_t i = 0; i < m->nseen; i++)
		n += m->seen[i].hdr.request == request;
	pthread_mutex_unlock(&m->lock);
	return n;
}

struct seen
mock_last(struct mock *m, uint32_t request)
{
	struct seen s = { 0 };

	pthread_mutex_lock(&m->lock);
	for (uint32_t i = 0; i < m->nseen; i++)
		if (m->seen[i].hdr.request == request)
			s = m->seen[i];
	pthread_mutex_unlock(&m->lock);
	assert_int_equal(s.hdr.request, request);
	return s;
}

struct vhost_region
mock_region(struct mock *m, uint32_t page, uint32_t pages)
{
	return (struct vhost_region){
		.iova = (uint64_t)(uintptr_t)m->mem + page * 4096,
		.size = pages * 4096ull,
		.addr = m->mem + page * 4096,
		.fd = m->memfd,
		.fd_offset = page * 4096,
	};
}

int
mock_setup(void **state)
{
	struct mock *m = calloc(1, sizeof(*m));

	m->fds_before = open_fds();
	m->seen = calloc(MOCK_LOG, sizeof(*m->seen));
	assert_int_equal(evloop_new(&m->loop), 0);
	vhost_dev_init(&m->dev, m->loop, &mock_events, m);
	pthread_mutex_init(&m->lock, NULL);
	m->memfd = memfd_create("mock", MFD_CLOEXEC);
	assert_int_equal(ftruncate(m->memfd, RIG_MEM), 0);
	m->mem = mmap(NULL, RIG_MEM, PROT_READ | PROT_WRITE, MAP_SHARED, m->memfd, 0);
	m->features = MOCK_FEATURES;
	m->protocol = vhost_user_protocol;
	m->queue_num = 4;
	m->slots = 32;
	m->log_reply = 8;
	m->ask_fd = -1;
	m->fd = m->chan = m->listen_fd = -1;
	*state = m;
	return 0;
}

int
mock_teardown(void **state)
{
	struct mock *m = *state;
	int before = m->fds_before;

	mock_stop(m);
	evloop_free(m->loop);
	munmap(m->mem, RIG_MEM);
	close(m->memfd);
	pthread_mutex_destroy(&m->lock);
	free(m->seen);
	free(m);
	if (open_fds() != before) {
		print_message("%d descriptors before, %d after\n", before, open_fds());
		return -1;
	}
	return 0;
}
