/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whole sessions of a back-end: messages with fds, mostly well formed and in any order, bursts on
 * the rings that they set up, and front-ends that leave and come back. A request that asks for an
 * answer gets one or the connection is closed; whoever comes after is served; nothing stays open.
 */
#include "fuzz.h"
#include "rig_frontend.h"

#include "virtq_dev.h"

const unsigned int fuzz_inputs = 600;

/* One descriptor of each kind that a message may bring. */
enum kind { KIND_MEM, KIND_EVENT, KIND_SOCKET, KIND_NULL, KIND_MAX };

static int of_kind[KIND_MAX], other_end;

struct request {
	uint32_t number, size;
	uint32_t nfds;
	enum kind kind;
	struct vhu_msg m;	/* its payload */
};

void
fuzz_setup(void)
{
	int pair[2];

	of_kind[KIND_MEM] = memfd_create("other", MFD_CLOEXEC);
	assert_int_equal(ftruncate(of_kind[KIND_MEM], RIG_MEM / 2), 0);
	of_kind[KIND_EVENT] = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	of_kind[KIND_SOCKET] = pair[0];
	other_end = pair[1];
	of_kind[KIND_NULL] = open("/dev/null", O_RDWR | O_CLOEXEC);
}

static uint32_t
ring_index(struct fuzz *f)
{
	return fuzz_rarely(f) ? fuzz_u32(f) : fuzz_pick(f, RIG_RINGS);
}

static struct vhu_mem_region
region(struct fuzz *f, uint32_t i)
{
	const uint64_t part = RIG_MEM / 4;
	struct vhu_mem_region r = { RIG_GPA + i * part, part, RIG_UVA + i * part, i * part };

	if (fuzz_rarely(f))
		r.gpa = fuzz_u64(f);
	if (fuzz_rarely(f))
		r.uva = fuzz_u64(f);
	if (fuzz_rarely(f))
		r.size = fuzz_u64(f);
	if (fuzz_rarely(f))
		r.mmap_offset = fuzz_u64(f);
	return r;
}

static void
compose_table(struct fuzz *f, struct request *q)
{
	const struct vhu_mem_table all = rig_table();

	q->m.table = all;
	if (fuzz_pick(f, 2)) {
		q->m.table.n = 1 + fuzz_pick(f, 4);
		for (uint32_t i = 0; i < q->m.table.n; i++)
			q->m.table.region[i] = region(f, i);
	}
	q->size = 8 + q->m.table.n * 32;
	q->nfds = q->m.table.n;
	q->kind = KIND_MEM;
}

static void
compose_addr(struct fuzz *f, struct request *q)
{
	q->m.addr = rig_addr(fuzz_pick(f, RIG_RINGS));
	q->m.addr.index = ring_index(f);
	if (fuzz_rarely(f))
		q->m.addr.used += fuzz_u16(f);
	if (fuzz_rarely(f))
		q->m.addr.desc += (uint64_t)fuzz_u16(f) << 4;
	q->m.addr.flags = fuzz_rarely(f) ? fuzz_u8(f) : 0;
	q->size = sizeof(q->m.addr);
}

static void
compose_state(struct fuzz *f, struct request *q)
{
	static const uint32_t sizes[] = { RIG_SIZE, 1, 16, 64, 0, 3, 32768, 65536 };

	q->m.state.index = ring_index(f);
	q->m.state.num = fuzz_rarely(f) ? fuzz_u32(f) : fuzz_pick(f, 2);
	if (q->number == VHU_SET_VRING_NUM)
		q->m.state.num = sizes[fuzz_pick(f, 8)];
	q->size = sizeof(q->m.state);
}

static void
compose_word(struct fuzz *f, struct request *q)
{
	q->m.u64 = fuzz_rarely(f) ? fuzz_u64(f) : fuzz_pick(f, 16);
	if (q->number == VHU_SET_FEATURES)
		q->m.u64 = RIG_ACKED | (fuzz_pick(f, 2) ? VIRTQ_BIT(VIRTIO_F_RING_PACKED) : 0) |
			   (fuzz_rarely(f) ? fuzz_u64(f) : 0);
	if (q->number == VHU_SET_PROTOCOL_FEATURES)
		q->m.u64 = VHOST_BE_PROTOCOL & ~(fuzz_rarely(f) ? fuzz_u64(f) : 0);
	q->size = sizeof(q->m.u64);
}

/* A payload and fds that the request might have, from a front-end that mostly means well. */
static void
compose(struct fuzz *f, struct request *q)
{
	memset(q, 0, sizeof(*q));
	q->number = 1 + fuzz_pick(f, VHU_REQUEST_MAX + 2);
	q->kind = KIND_EVENT;
	switch (q->number) {
	case VHU_SET_MEM_TABLE:
		compose_table(f, q);
		break;
	case VHU_ADD_MEM_REG:
	case VHU_REM_MEM_REG:
		q->m.single.region = region(f, fuzz_pick(f, 4));
		q->size = sizeof(q->m.single);
		q->kind = KIND_MEM;
		q->nfds = q->number == VHU_ADD_MEM_REG;
		break;
	case VHU_SET_VRING_NUM:
	case VHU_SET_VRING_BASE:
	case VHU_GET_VRING_BASE:
	case VHU_SET_VRING_ENABLE:
		compose_state(f, q);
		break;
	case VHU_SET_VRING_ADDR:
		compose_addr(f, q);
		break;
	case VHU_SET_VRING_KICK:
	case VHU_SET_VRING_CALL:
	case VHU_SET_VRING_ERR:
		q->m.u64 = ring_index(f);
		q->nfds = fuzz_pick(f, 4) != 0;
		q->m.u64 |= q->nfds ? 0 : VHU_FD_NONE;
		q->size = sizeof(q->m.u64);
		break;
	case VHU_SET_BACKEND_REQ_FD:
		q->kind = KIND_SOCKET;
		q->nfds = 1;
		break;
	case VHU_GET_FEATURES:
	case VHU_GET_PROTOCOL_FEATURES:
	case VHU_GET_QUEUE_NUM:
	case VHU_GET_MAX_MEM_SLOTS:
	case VHU_GET_STATUS:
	case VHU_SET_OWNER:
	case VHU_RESET_OWNER:
	case VHU_RESET_DEVICE:
		break;
	default:
		compose_word(f, q);
	}
}

/* What a front-end does that does not mean well. */
static void
spoil(struct fuzz *f, struct request *q)
{
	switch (fuzz_pick(f, 4)) {
	case 0:
		q->m.raw[fuzz_u8(f)] = fuzz_u8(f);
		break;
	case 1:
		q->size = fuzz_u16(f) % VHU_MAX_PAYLOAD;
		break;
	case 2:
		q->kind = fuzz_pick(f, KIND_MAX);
		break;
	default:
		q->nfds = fuzz_pick(f, VHU_MAX_FDS + 4);
	}
}

static bool
acks(const struct rig *rig)
{
	struct vhost_be_info info;

	vhost_be_get_info(rig->be, &info);
	return info.connected && (info.protocol_features & VIRTQ_BIT(VHU_PF_REPLY_ACK));
}

/* How many whole answers to the request wait; -1: the connection is closed. */
static int
answers(struct rig *rig, uint32_t number)
{
	struct vhu_hdr hdr;
	uint8_t payload[VHU_MAX_PAYLOAD];
	int n = 0;

	for (;;) {
		ssize_t got = recv(rig->fe, &hdr, sizeof(hdr), MSG_DONTWAIT);

		if (got < 0 && errno == EAGAIN)
			return n;
		if (got <= 0)
			return -1;
		assert_int_equal(got, sizeof(hdr));
		assert_int_equal(hdr.flags, VHU_FLAGS_REPLY);
		assert_int_equal(hdr.request, number);
		assert_true(hdr.size <= sizeof(payload));
		if (hdr.size > 0)
			assert_int_equal(recv(rig->fe, payload, hdr.size, MSG_DONTWAIT), hdr.size);
		n++;
	}
}

static void
talk(struct fuzz *f, struct rig *rig)
{
	const uint32_t flags = fuzz_pick(f, 4) ? NEED : 0;
	int fds[VHU_MAX_FDS + 4], n;
	struct request q;
	bool acked;

	compose(f, &q);
	if (fuzz_rarely(f))
		spoil(f, &q);
	for (uint32_t i = 0; i < q.nfds; i++)
		fds[i] = q.kind == KIND_MEM && !fuzz_rarely(f) ? rig->memfd : of_kind[q.kind];
	acked = acks(rig);
	if (fe_try_send(rig->fe, q.number, flags, q.m.raw, q.size, fds, q.nfds)) {
		pump(rig);
		n = answers(rig, q.number);
		assert_true(n <= 1);
		if ((flags & NEED) && acked && acks(rig))
			assert_int_not_equal(n, 0);
		if (n >= 0)
			return;
	}
	rig_connect(rig);
}

/* Bytes that are no message, or half of one; the front-end does not wait for what comes of it. */
static void
babble(struct fuzz *f, struct rig *rig)
{
	uint8_t bytes[64];
	uint32_t n = 1 + fuzz_pick(f, sizeof(bytes));

	fuzz_bytes(f, bytes, n);
	send(rig->fe, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	pump(rig);
	rig_connect(rig);
}

/* What a lcore does with a ring that was published, whatever is in it. */
static void
burst(struct rig *rig, uint32_t i)
{
	const struct virtq_ring *ring = rig->ring[i];
	struct virtq_chain c[VIRTQ_FETCH_MAX];
	struct virtq_dev *vq = rig->vq[i];
	struct virtq_fetch fetch = virtq_dev_fetch_begin(vq, NULL);
	uint16_t n;

	if (ring == NULL || vq->cursor.broken != VIRTQ_OK)
		return;
	virtq_dev_begin(vq, ring);
	if (ring->packed)
		n = virtq_dev_fetch(vq, ring, &fetch, c, VIRTQ_FETCH_MAX, true, false,
				    virtq_dev_prefetch_nothing);
	else
		n = virtq_dev_fetch(vq, ring, &fetch, c, VIRTQ_FETCH_MAX, false, false,
				    virtq_dev_prefetch_nothing);
	if (n > 0) {
		virtq_dev_complete(vq, ring, c, n, ring->packed, false, false);
		virtq_dev_notify(vq, ring, ring->packed);
	}
	if (fetch.err != VIRTQ_OK)
		virtq_dev_break(vq, ring, fetch.err);
}

/* The guest writes into its memory, where the rings are. */
static void
scribble(struct fuzz *f, struct rig *rig)
{
	uint64_t at = fuzz_pick(f, RIG_RINGS) * RIG_STRIDE + (uint64_t)fuzz_pick(f, 3) * 0x1000;

	fuzz_bytes(f, rig->mem + at + fuzz_u8(f), 1 + fuzz_pick(f, 32));
}

void
fuzz_one(struct fuzz *f)
{
	struct rig *rig;
	void *state;

	assert_int_equal(rig_setup(&state), 0);
	rig = state;
	if (fuzz_pick(f, 2))
		fe_start(rig);
	for (int i = 0; i < 100 && f->left > 0; i++) {
		wait_for_closing(); /* as a front-end has to that has sent too many */
		switch (fuzz_pick(f, 16)) {
		case 0:
			rig_connect(rig);
			break;
		case 1:
			babble(f, rig);
			break;
		case 2:
			scribble(f, rig);
			break;
		case 3:
			burst(rig, fuzz_pick(f, RIG_RINGS));
			break;
		default:
			talk(f, rig);
		}
	}
	rig_connect(rig);
	assert_int_equal(fe_get(rig, VHU_GET_FEATURES) & RIG_FEATURES, RIG_FEATURES);
	assert_int_equal(rig_teardown(&state), 0);
}
