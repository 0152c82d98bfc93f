/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig_play.h"

#include <poll.h>
#include <sys/ioctl.h>

#include "vhost_names.h"
#include "virtq_dev_log.h"
#include "virtq_shared.h"

#define STEP_MS 4000
#define LONG_NS 100000000

struct rig_play rig_play = { .chan = -1, .uffd = -1, .listener = -1 };

bool
rig_play_is_late(uint64_t since)
{
	return evloop_now_ns() - since > STEP_MS * 1000000ull;
}

/* A ring that got a line and then nothing for so long will get nothing. */
static bool
is_long(uint64_t since)
{
	return evloop_now_ns() - since > LONG_NS;
}

/* ---- messages ---- */

/* All of an answer is there; or no more will come, and rig_play.over is set. */
static bool
answer_is_there(void)
{
	struct pollfd pfd = { .fd = rig_play.rig->fe, .events = POLLRDHUP };
	const bool ended = poll(&pfd, 1, 0) == 1;
	struct vhu_hdr hdr = { .size = 0 };
	int bytes = 0;

	if (recv(rig_play.rig->fe, &hdr, sizeof(hdr), MSG_PEEK | MSG_DONTWAIT) == sizeof(hdr) &&
	    ioctl(rig_play.rig->fe, FIONREAD, &bytes) == 0 &&
	    (uint32_t)bytes >= sizeof(hdr) + hdr.size)
		return true;
	rig_play.over |= ended;
	return false;
}

/* Ask, and wait for an answer or the end. */
static enum outcome
say_and_hear(uint32_t request, const void *payload, uint32_t size, const int *fds, uint32_t nfds,
	     struct vhu_msg *m)
{
	const uint64_t since = evloop_now_ns();

	memset(m, 0, sizeof(*m));
	m->u64 = UINT64_MAX;
	if (!rig_play.over &&
	    !fe_try_send(rig_play.rig->fe, request, NEED, payload, size, fds, nfds))
		rig_play.over = true;
	while (!rig_play.over) {
		pump(rig_play.rig);
		if (answer_is_there())
			return fe_outcome(rig_play.rig, request, m);
		if (rig_play_is_late(since)) {
			RIG_CHECK(false, "no answer to %s", vhost_names_request(request));
			rig_play.over = true;
		}
		evloop_step(rig_play.rig->loop, 1);
	}
	return CLOSED;
}

bool
rig_play_order(uint32_t request, const void *payload, uint32_t size, const int *fds, uint32_t nfds)
{
	struct vhu_msg m;
	const enum outcome o = say_and_hear(request, payload, size, fds, nfds, &m);

	if (m.nfds > 0)
		close(m.fds[0]);
	rig_play.refused |= o == NACK;
	RIG_CHECK(!rig_play.exact || o == ACK, "%s got %d", vhost_names_request(request), o);
	return o == ACK;
}

bool
rig_play_order_u64(uint32_t request, uint64_t value)
{
	return rig_play_order(request, &value, sizeof(value), NULL, 0);
}

bool
rig_play_order_state(uint32_t request, uint32_t index, uint32_t num)
{
	const struct vhu_vring_state s = { index, num };

	return rig_play_order(request, &s, sizeof(s), NULL, 0);
}

bool
rig_play_order_fd(uint32_t request, uint64_t word, int fd)
{
	return rig_play_order(request, &word, sizeof(word), &fd, 1);
}

bool
rig_play_ask(uint32_t request, const void *payload, uint32_t size, const int *fds, uint32_t nfds,
	     struct vhu_msg *m)
{
	const enum outcome o = say_and_hear(request, payload, size, fds, nfds, m);

	RIG_CHECK(!rig_play.exact || o == ANSWER, "%s got %d", vhost_names_request(request), o);
	return o == ANSWER;
}

uint64_t
rig_play_ask_u64(uint32_t request, const void *payload, uint32_t size, const int *fds,
		 uint32_t nfds)
{
	struct vhu_msg m;

	say_and_hear(request, payload, size, fds, nfds, &m);
	return m.u64;
}

void
rig_play_negotiate(uint64_t features)
{
	rig_play_order_u64(VHU_SET_PROTOCOL_FEATURES, VHOST_BE_PROTOCOL);
	rig_play_order(VHU_SET_OWNER, NULL, 0, NULL, 0);
	rig_play_order_u64(VHU_SET_FEATURES, RIG_ACKED | features);
}

void
rig_play_give_table(void)
{
	const struct vhu_mem_table t = rig_table();

	rig_play_order(VHU_SET_MEM_TABLE, &t, 8 + 32, &rig_play.rig->memfd, 1);
}

/* ---- rings ---- */

void
rig_play_describe_ring(uint32_t i, uint64_t offset, uint32_t base, int call)
{
	struct vhu_vring_addr a = rig_addr(i);
	const int kick = eventfd(0, EFD_CLOEXEC), err = eventfd(0, EFD_CLOEXEC);

	memset(rig_play.rig->mem + i * RIG_STRIDE, 0, RIG_STRIDE);
	a.desc += offset;
	a.avail += offset;
	a.used += offset;
	rig_play_order_state(VHU_SET_VRING_NUM, i, RIG_SIZE);
	rig_play_order_state(VHU_SET_VRING_BASE, i, base);
	rig_play_order(VHU_SET_VRING_ADDR, &a, sizeof(a), NULL, 0);
	rig_play_order_fd(VHU_SET_VRING_CALL, i, call);
	rig_play_order_fd(VHU_SET_VRING_ERR, i, err);
	rig_play_order_fd(VHU_SET_VRING_KICK, i, kick);
	rig_play_order_state(VHU_SET_VRING_ENABLE, i, 1);
	close(kick);
	close(err);
}

void
rig_play_describe_rings(uint64_t offset)
{
	for (uint32_t i = 0; i < 2; i++)
		rig_play_describe_ring(i, offset, 0, rig_play.rig->call[i]);
}

static bool
has_warned(void)
{
	static const char *const words[] = { "refused", "does not run", "cannot", "out of memory",
					     "stopped" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strstr(rig_play.rig->log, words[i]) != NULL)
			return true;
	return false;
}

/* A ring that runs, or NULL: it need not. */
static const struct virtq_ring *
running_ring(uint32_t i, void (*meanwhile)(void))
{
	const uint64_t since = evloop_now_ns();

	while (rig_play.rig->ring[i] == NULL && !rig_play.over) {
		rig_play.over = rig_play.rig->downs == rig_play.rig->ups;
		if (!rig_play.exact && (rig_play.refused || has_warned()))
			return NULL;
		if (rig_play_is_late(since)) {
			RIG_CHECK(false, "ring %u does not start", i);
			return NULL;
		}
		pump(rig_play.rig);
		if (meanwhile != NULL)
			meanwhile();
	}
	return rig_play.over ? NULL : rig_play.rig->ring[i];
}

/* What bursts do: take chains and complete them. How many. */
static uint16_t
take_chains(uint32_t i, const struct virtq_ring *ring, uint16_t n)
{
	struct virtq_dev *vq = rig_play.rig->vq[i];
	struct virtq_chain c[RIG_PLAY_CHAINS];
	struct virtq_fetch f;

	rig_faults_enter();
	virtq_dev_begin(vq, ring);
	f = virtq_dev_fetch_begin(vq, NULL);
	n = virtq_dev_fetch(vq, ring, &f, c, n, false, i == 0, virtq_dev_prefetch_nothing);
	for (uint16_t k = 0; k < n; k++)
		c[k].written = i == 0 ? 64 : 0;
	if (ring->log != NULL)
		virtq_dev_log_complete(vq, ring, c, n, i == 0);
	else
		virtq_dev_complete(vq, ring, c, n, false, i == 0, false);
	virtq_dev_notify(vq, ring, false);
	rig_faults_leave();
	return n;
}

void
rig_play_burst(uint32_t i, uint64_t addr, int call, void (*meanwhile)(void))
{
	uint8_t *mem = rig_play.rig->mem + i * RIG_STRIDE;
	struct vring_desc *desc = (void *)mem;
	struct vring_avail *avail = (void *)(mem + 0x1000);
	const uint64_t since = evloop_now_ns();
	const struct virtq_ring *ring;
	uint16_t done = 0, idx;

	ring = running_ring(i, meanwhile);
	if (ring == NULL)
		return;
	signals(call);
	idx = avail->idx;
	for (uint16_t k = 0; k < RIG_PLAY_CHAINS; k++) {
		desc[k] = (struct vring_desc){ .addr = addr + k * RIG_PLAY_PAGE, .len = 64,
					       .flags = i == 0 ? VRING_DESC_F_WRITE : 0 };
		avail->ring[(idx + k) % RIG_SIZE] = k;
	}
	virtq_store16_release(&avail->idx, idx + RIG_PLAY_CHAINS);
	while (done < RIG_PLAY_CHAINS && ring != NULL && !rig_play.over &&
	       !rig_play_is_late(since)) {
		if (!rig_play.exact && has_warned() && is_long(since))
			return;
		done += take_chains(i, ring, RIG_PLAY_CHAINS - done);
		pump(rig_play.rig);
		if (meanwhile != NULL)
			meanwhile();
		ring = running_ring(i, meanwhile);
	}
	RIG_CHECK(done == RIG_PLAY_CHAINS || rig_play.over || ring == NULL ||
		  (!rig_play.exact && has_warned()), "ring %u stands still", i);
	/* Without a descriptor nobody is called. */
	if (done == RIG_PLAY_CHAINS && !rig_play.over && !rig_play.refused)
		RIG_CHECK(poll(&(struct pollfd){ .fd = call, .events = POLLIN }, 1, 1000) == 1,
		      "ring %u: no call", i);
}

void
rig_play_bursts(void)
{
	for (uint32_t i = 0; i < 2; i++)
		rig_play_burst(i, RIG_GPA + RIG_PLAY_BUFFERS, rig_play.rig->call[i], NULL);
}

void
rig_play_stop_ring(uint32_t i)
{
	const struct vhu_vring_state s = { i, 0 };

	rig_play_ask_u64(VHU_GET_VRING_BASE, &s, sizeof(s), NULL, 0);
}

/* ---- a session's life ---- */

void
rig_play_join(void)
{
	struct rig *rig = rig_play.rig;
	const uint64_t since = evloop_now_ns();

	rig_play.over = rig_play.refused = false;
	rig_disconnect(rig);
	if (!rig_play.client) {
		rig->fe = connect_to(rig->path);
		pump(rig);
		return;
	}
	while (rig->fe < 0 && !rig_play_is_late(since)) {
		pump(rig);
		rig->fe = accept4(rig_play.listener, NULL, NULL, SOCK_CLOEXEC);
	}
	RIG_CHECK(rig->fe >= 0, "nobody connects");
	rig_play.over = rig->fe < 0;
}

void
rig_play_leave(void)
{
	struct rig *rig = rig_play.rig;
	const uint64_t since = evloop_now_ns();

	if (rig_play.chan >= 0)
		close(rig_play.chan);
	if (rig_play.uffd >= 0)
		close(rig_play.uffd);
	rig_play.chan = rig_play.uffd = -1;
	rig_disconnect(rig);
	while (rig->downs < rig->ups && !rig_play_is_late(since))
		evloop_step(rig->loop, 10);
	RIG_CHECK(rig->downs == rig->ups, "the session does not end");
	RIG_CHECK(rig->ups == 0 || strstr(rig->log, "front-end gone: ") != NULL, "no line says so");
}
