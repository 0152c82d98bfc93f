/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig_device_link.h"

bool
link_is_shared(const void *addr, uint32_t len)
{
	const struct rte_memseg_list *msl = rte_mem_virt2memseg_list(addr);

	return msl != NULL && (const uint8_t *)addr + len <= (uint8_t *)msl->base_va + msl->len;
}

static struct virtq_mem *
link_memory(void)
{
	const struct rte_memseg_list *msl = rte_mem_virt2memseg_list(small_pool);
	struct virtq_region all = {
		.gpa = (uintptr_t)msl->base_va,
		.size = msl->len,
		.uva = (uintptr_t)msl->base_va,
		.host = msl->base_va,
	};
	struct virtq_mem *mem;

	assert_true(link_is_shared(large_pool, 1));
	assert_int_equal(virtq_mem_new(&all, 1, &mem), 0);
	return mem;
}

static void
link_open_device(struct link *l, const struct virtq_ring_config *driver)
{
	struct virtq_ring_config cfg = *driver;
	struct virtq_mem *mem = link_memory();

	cfg.hdr_len = RTE_MIN(cfg.hdr_len, 12); /* the device reports no hash */
	cfg.callfd = -1;
	cfg.desc_uva = (uintptr_t)l->ring->desc;
	cfg.avail_uva = (uintptr_t)l->ring->avail;
	cfg.used_uva = (uintptr_t)l->ring->used;
	assert_int_equal(virtq_ring_new(&cfg, mem, &l->dev_run), 0);
	virtq_mem_put(mem);
	assert_int_equal(virtq_dev_set_base(l->vq, l->dev_run,
					    virtq_fresh_base(l->dev_run->packed)), 0);
	rdev_init(&l->rdev, l->ring, 0);
}

void
link_start(struct link *l, uint16_t size, uint64_t features)
{
	struct virtq_ring_config cfg = {.size = size, .features = features, .enabled = true,
				       .callfd = l->kickfd, .errfd = -1, .wakefd = -1,
				       .hdr_len = features & F_HASH_REPORT ? 20 :
						  features & (F_V1 | F_MRG) ? 12 : 10};

	assert_int_equal(virtq_drv_init(l->drv, l->base, (uintptr_t)l->base, &cfg, &l->ring), 0);
	link_open_device(l, &cfg);
	l->rx = l->receive ? vnet_drv_rx_select(l->ring, l->rxq.flags, NULL) :
		vnet_dev_rx_select(l->dev_run, l->rxq.flags, NULL);
	l->tx = l->receive ? vnet_dev_tx_select(l->dev_run, NULL) :
		vnet_drv_tx_select(l->ring, NULL);
}

void
link_stop(struct link *l)
{
	vnet_drv_drain(l->drv, l->ring->size);
	virtq_drv_fini(l->drv);
	virtq_ring_free(l->ring);
	virtq_ring_free(l->dev_run);
}

void
link_open(struct link *l, uint16_t size, uint64_t features, bool receive,
	  struct rte_mempool *pool)
{
	struct virtq_drv_layout layout;

	memset(l, 0, sizeof(*l));
	l->receive = receive;
	vnet_drv_is_shared = link_is_shared;
	virtq_drv_layout(size, features & F_PACKED, &layout);
	l->ring_bytes = layout.bytes;
	l->base = rte_malloc(NULL, layout.bytes, GUEST_PAGE);
	assert_non_null(l->base);
	l->drv = aligned_alloc(VIRTQ_CACHE_LINE, sizeof(*l->drv));
	memset(l->drv, 0, sizeof(*l->drv));
	l->vq = aligned_alloc(VIRTQ_CACHE_LINE, sizeof(*l->vq));
	memset(l->vq, 0, sizeof(*l->vq));
	l->kickfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	assert_int_equal(vnet_rxq_init(&l->rxq, pool, 7, VNET_F_STATS | VNET_F_SCATTER), 0);
	l->txq.flags = VNET_F_STATS;
	link_start(l, size, features);
}

void
expect_pool_whole(struct rte_mempool *pool, unsigned int n)
{
	void **all = calloc(n + 1, sizeof(*all));

	assert_int_equal(rte_mempool_avail_count(pool), n);
	rte_mempool_cache_flush(NULL, pool);
	assert_int_equal(rte_mempool_get_bulk(pool, all, n), 0);
	for (unsigned int i = 0; i < n; i++) {
		struct rte_mbuf *m = all[i];

		rte_prefetch0(all[RTE_MIN(i + 8, n - 1)]);
		assert_int_equal(rte_mbuf_refcnt_read(m), 1);
		assert_null(m->next);
		assert_int_equal(m->nb_segs, 1);
		assert_true(RTE_MBUF_DIRECT(m));
		assert_ptr_equal(m->pool, pool);
		rte_mbuf_refcnt_set(m, 2); /* nobody else has it */
	}
	for (unsigned int i = 0; i < n; i++)
		rte_mbuf_refcnt_set(all[i], 1);
	rte_mempool_put_bulk(pool, all, n);
	free(all);
}

void
expect_all_mbufs(void)
{
	expect_pool_whole(small_pool, SMALL_MBUFS);
	expect_pool_whole(large_pool, LARGE_MBUFS);
}

void
link_end(struct link *l)
{
	link_stop(l);
	free(l->drv);
	free(l->vq);
	close(l->kickfd);
	rte_free(l->base);
	assert_int_equal(rte_mempool_avail_count(small_pool), SMALL_MBUFS);
	assert_int_equal(rte_mempool_avail_count(large_pool), LARGE_MBUFS);
}

void
link_close(struct link *l)
{
	link_end(l);
	expect_all_mbufs();
}

static struct virtq_cursor *
link_rx_vq(struct link *l)
{
	return l->receive ? &l->drv->cursor : &l->vq->cursor;
}

static struct virtq_cursor *
link_tx_vq(struct link *l)
{
	return l->receive ? &l->vq->cursor : &l->drv->cursor;
}

uint16_t
link_rx(struct link *l, struct rte_mbuf **pkts, uint16_t n)
{
	return l->rx(&l->rxq, link_rx_vq(l), l->receive ? l->ring : l->dev_run, pkts, n);
}

uint16_t
link_tx(struct link *l, struct rte_mbuf **pkts, uint16_t n)
{
	return l->tx(&l->txq, link_tx_vq(l), l->receive ? l->dev_run : l->ring, pkts, n);
}

uint8_t *
link_fill(const struct link *l, const struct rdev_chain *c,
	  const struct virtio_net_hdr_v1_hash *hdr, uint32_t len, uint32_t seed)
{
	const uint32_t hdr_len = l->ring->hdr_len;
	uint8_t *at = (void *)(uintptr_t)c->sg[0].addr;

	assert_true(hdr_len + len <= c->sg[0].len);
	memcpy(at, hdr, hdr_len);
	frame_fill(at + hdr_len, len, seed);
	return at + hdr_len;
}

uint16_t
link_clean(struct link *l)
{
	return vnet_drv_tx_clean(&l->txq, l->drv, l->ring, UINT16_MAX);
}

uint64_t
link_drops(const struct vnet_stats *s)
{
	uint64_t n = 0;

	for (int i = 0; i < VNET_DROP_MAX; i++)
		n += s->drop[i];
	return n;
}

uint64_t
link_errors(const struct vnet_stats *s)
{
	uint64_t n = 0;

	for (int i = 0; i < VIRTQ_E_MAX; i++)
		n += s->error[i];
	return n;
}
