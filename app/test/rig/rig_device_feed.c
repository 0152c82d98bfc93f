/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig_device_feed.h"
#include "rig_hash.h"

uint32_t
feed_hash(uint32_t seed)
{
	return 0x12345678u * (seed + 1);
}

uint16_t
feed_report(uint32_t seed)
{
	return seed % 3;
}

struct virtio_net_hdr_v1_hash
feed_header(uint32_t seed)
{
	struct virtio_net_hdr_v1_hash hdr = {
		.hdr.num_buffers = 1,
		.hash_report = feed_report(seed),
		.padding = 0xffff, /* nobody looks at it */
	};

	hash_put(&hdr, feed_hash(seed));
	return hdr;
}

void
feed_open(struct feed *r, uint16_t size, uint64_t features, struct rte_mempool *pool)
{
	r->seed = 0;
	rdev_held_init(&r->held);
	link_open(&r->l, size, features, true, pool);
	vnet_drv_rx_fill(&r->l.rxq, r->l.drv, r->l.ring);
	rdev_held_fetch_all(&r->held, &r->l.rdev);
}

uint8_t *
feed_fill(struct feed *r, uint16_t k, const struct virtio_net_hdr_v1_hash *hdr, uint32_t bytes)
{
	const struct virtio_net_hdr_v1_hash plain = feed_header(r->seed);

	return link_fill(&r->l, rdev_held_at(&r->held, k), hdr != NULL ? hdr : &plain, bytes,
			 r->seed++);
}

uint8_t *
feed_use(struct feed *r, uint16_t k, const struct virtio_net_hdr_v1_hash *hdr, uint32_t bytes,
	 uint32_t len)
{
	uint8_t *frame = feed_fill(r, k, hdr, bytes);

	rdev_use(&r->l.rdev, rdev_held_remove(&r->held, k), r->l.ring->hdr_len + len);
	return frame;
}

uint32_t
feed_use_many(struct feed *r, const uint32_t *len, uint16_t n)
{
	struct virtio_net_hdr_v1_hash hdr = feed_header(r->seed);
	static uint8_t frame[FRAME_MAX];
	uint32_t all = 0, off = 0;

	for (uint16_t i = 0; i < n; i++)
		all += len[i];
	assert_true(all <= sizeof(frame));
	frame_fill(frame, all, r->seed++);
	hdr.hdr.num_buffers = n;
	for (uint16_t i = 0; i < n; i++) {
		const uint32_t skip = i == 0 ? r->l.ring->hdr_len : 0;
		const struct rdev_chain *c = rdev_held_remove(&r->held, 0);
		uint8_t *at = (void *)(uintptr_t)c->sg[0].addr;

		assert_true(skip + len[i] <= c->total);
		memcpy(at, &hdr, skip);
		memcpy(at + skip, frame + off, len[i]);
		off += len[i];
		rdev_use(&r->l.rdev, c, skip + len[i]);
	}
	return all;
}

uint16_t
feed_receive(struct feed *r, struct rte_mbuf **got, uint16_t most)
{
	uint16_t n = 0, more;

	while ((more = link_rx(&r->l, got + n, most - n)) > 0)
		n += more;
	return n;
}

void
feed_expect(const struct feed *r, const struct rte_mbuf *m, uint32_t len, uint16_t segs,
	    uint32_t seed)
{
	const bool known = r->l.ring->features & F_HASH_REPORT && feed_report(seed) != 0;

	expect_bytes(mbuf_bytes(m), m->pkt_len, len, seed);
	rte_mbuf_sanity_check(m, 1);
	assert_int_equal(m->nb_segs, segs);
	assert_int_equal(m->port, 7);
	assert_int_equal(m->vlan_tci, 0);
	assert_int_equal(m->packet_type, 0);
	assert_int_equal(rte_mbuf_refcnt_read(m), 1);
	assert_int_equal(m->ol_flags, known ? RTE_MBUF_F_RX_RSS_HASH : 0);
	assert_int_equal(m->hash.rss, known ? feed_hash(seed) : 0);
}

void
feed_expect_next(struct feed *r, uint32_t len, uint16_t segs, uint32_t seed)
{
	struct rte_mbuf *m;

	assert_int_equal(link_rx(&r->l, &m, 1), 1);
	feed_expect(r, m, len, segs, seed);
	rte_pktmbuf_free(m);
}
