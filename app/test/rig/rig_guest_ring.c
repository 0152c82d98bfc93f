/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig_guest_ring.h"

void
guest_ring_open_at(struct guest_ring *t, uint16_t size, uint64_t features, uint16_t idx, bool wrap)
{
	guest_new(&t->g, (200ul * size + size * RD_TABLE * 16ul + 65536) / 4096 * 4096, 1);
	rd_init(&t->r, &t->g, size, features);
	t->data = guest_alloc(&t->g, (uint64_t)BUF * size, BUF);
	rd_start_at(&t->r, idx, wrap);
	dev_start(&t->d, &t->r);
	t->done = calloc(size, sizeof(*t->done));
}

void
guest_ring_open(struct guest_ring *t, uint16_t size, uint64_t features)
{
	guest_ring_open_at(t, size, features, 0, true);
}

void
guest_ring_close(struct guest_ring *t)
{
	assert_int_equal(t->r.bad, 0);
	dev_stop(&t->d);
	rd_fini(&t->r);
	free(t->done);
	guest_free(&t->g);
}

uint16_t
guest_ring_fetch(struct guest_ring *t, struct virtq_chain *c, uint16_t n, bool write)
{
	struct virtq_fetch fetch = virtq_dev_fetch_begin(t->d.vq, NULL);

	virtq_dev_begin(t->d.vq, t->d.ring);
	n = virtq_dev_fetch(t->d.vq, t->d.ring, &fetch, c, n, t->r.packed, write,
			    virtq_dev_prefetch_nothing);
	assert_int_equal(fetch.err, VIRTQ_OK);
	return n;
}

uint16_t
guest_ring_round(struct guest_ring *t, uint16_t n, bool write, uint32_t written)
{
	struct virtq_chain c[VIRTQ_FETCH_MAX];

	n = guest_ring_fetch(t, c, n, write);
	if (n == 0)
		return 0;
	for (uint16_t i = 0; i < n; i++)
		c[i].written = written == 0 ? 0 : written + i;
	virtq_dev_complete(t->d.vq, t->d.ring, c, n, t->r.packed, write, false);
	virtq_dev_notify(t->d.vq, t->d.ring, t->r.packed);
	return n;
}

struct rd_sg
guest_ring_piece(const struct guest_ring *t, uint32_t i, uint32_t len)
{
	return (struct rd_sg){t->data + (uint64_t)(i % t->r.size) * BUF, len};
}

void
guest_ring_offer(struct guest_ring *t, bool write, uint64_t cookie)
{
	struct rd_sg sg = guest_ring_piece(t, (uint32_t)cookie, BUF);

	assert_true(rd_add(&t->r, &sg, 1, RD_DIRECT, write, cookie) >= 0);
	rd_publish(&t->r);
}

void
guest_ring_expect_back(struct guest_ring *t, uint32_t n, uint64_t first, uint32_t written)
{
	for (uint32_t i = 0; i < n; i++) {
		assert_int_equal(rd_pop(&t->r, t->done), 1);
		assert_int_equal(t->done->cookie, first + i);
		assert_int_equal(t->done->len, written == 0 ? 0 : written + i);
		if (t->r.packed)
			assert_int_equal(t->done->write, written != 0);
	}
}
