/* SPDX-License-Identifier: BSD-3-Clause */
#include "vnet_zc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void
zc_ring_release(struct vnet_zc_ring *l)
{
	virtq_mem_put(l->mem);
	for (uint32_t i = 0; i < l->nmems; i++)
		virtq_mem_put(l->former[i].mem);
	free(l->bufs);
	free(l->queue);
	free(l->spare);
	free(l);
}

int
vnet_zc_new(const struct virtq_ring *ring, struct vnet_zc_ring **zc)
{
	uint32_t n = RTE_MIN(ring->size / VNET_ZC_SHARE, VNET_ZC_MAX);
	struct vnet_zc_ring *l;

	if (ring->size < VNET_ZC_MIN_RING || (ring->features & VIRTQ_BIT(VIRTIO_F_IN_ORDER)))
		return -ENOTSUP;
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return -ENOMEM;
	l->mask = rte_align32pow2(n) - 1;
	l->queue = calloc(l->mask + 1, sizeof(l->queue[0]));
	l->spare = calloc(n, sizeof(l->spare[0]));
	/* Not from DPDK's heaps: whoever holds their locks may be waiting for this thread. */
	l->bufs = aligned_alloc(RTE_CACHE_LINE_SIZE, n * sizeof(l->bufs[0]));
	if (l->queue == NULL || l->spare == NULL || l->bufs == NULL) {
		zc_ring_release(l);
		return -ENOMEM;
	}
	memset(l->bufs, 0, n * sizeof(l->bufs[0]));
	for (uint32_t i = 0; i < n; i++) {
		l->bufs[i].shinfo.free_cb = vnet_zc_buf_returned;
		l->bufs[i].shinfo.fcb_opaque = &l->bufs[i];
		l->bufs[i].back = 1;
		l->spare[i] = &l->bufs[i];
	}
	l->nbufs = l->nspare = n;
	l->limit = ring->size / VNET_ZC_SHARE;
	l->wait = rte_get_tsc_hz() / 1000000 * VNET_ZC_WAIT_US;
	l->mem = virtq_mem_get(ring->mem);
	*zc = l;
	return 0;
}

void
vnet_zc_put_mems(struct vnet_zc_ring *l)
{
	const uint64_t returned = __atomic_load_n(&l->returned, __ATOMIC_ACQUIRE);
	uint32_t kept = 0;

	for (uint32_t i = 0; i < l->nmems; i++) {
		if (l->former[i].until > returned)
			l->former[kept++] = l->former[i];
		else
			virtq_mem_put(l->former[i].mem);
	}
	l->nmems = kept;
	__atomic_store_n(&l->paused, kept >= VNET_ZC_MEMS, __ATOMIC_RELAXED);
}

void
vnet_zc_remap(struct vnet_zc_ring *l)
{
	l->moving_at = __atomic_load_n(&l->attached, __ATOMIC_RELAXED);
}

/*
 * Buffers of the memory that was left are among those from `since` to now; some of them may be of
 * the next one already, which keeps the former a little longer.
 */
void
vnet_zc_remapped(struct vnet_zc_ring *l, struct virtq_mem *mem)
{
	const uint64_t seq = __atomic_load_n(&l->seq, __ATOMIC_RELAXED);

	if (mem == l->mem)
		return;
	if (__atomic_load_n(&l->attached, __ATOMIC_RELAXED) == l->since) {
		virtq_mem_put(l->mem);
	} else {
		l->former[l->nmems].mem = l->mem;
		l->former[l->nmems++].until = seq;
	}
	l->mem = virtq_mem_get(mem);
	l->since = l->moving_at;
	vnet_zc_put_mems(l);
}

bool
vnet_zc_unpolled(struct vnet_zc_ring *l)
{
	const uint32_t rounds = __atomic_load_n(&l->rounds, __ATOMIC_RELAXED);
	const bool same = rounds == l->seen_rounds;

	l->seen_rounds = rounds;
	return same && __atomic_load_n(&l->seq, __ATOMIC_RELAXED) !=
		       __atomic_load_n(&l->returned, __ATOMIC_RELAXED);
}

uint32_t
vnet_zc_attached(const struct vnet_zc_ring *l)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < l->nbufs; i++)
		n += !__atomic_load_n(&l->bufs[i].back, __ATOMIC_ACQUIRE);
	return n;
}

/*
 * One pass over the queue: what is not freed moves up, in order; what is freed returns to the
 * guest, in order as well. `all`: freed or not.
 */
static bool
zc_push_queue(struct vnet_zc_ring *l, struct virtq_dev *dev, const struct virtq_ring *ring,
	      bool all)
{
	struct virtq_chain c[VIRTQ_FETCH_MAX];
	uint32_t kept = l->head;
	uint16_t n = 0;
	bool pushed = false;

	for (uint32_t at = l->head; at != l->tail; at++) {
		struct vnet_zc_buf *buf = l->queue[at & l->mask];

		if (!all && !__atomic_load_n(&buf->back, __ATOMIC_ACQUIRE)) {
			l->queue[kept++ & l->mask] = buf;
			continue;
		}
		l->entries -= vnet_zc_buf_chain(buf, &c[n++]);
		l->spare[l->nspare++] = buf;
		pushed = true;
		if (n == VIRTQ_FETCH_MAX) {
			virtq_dev_push_used(dev, ring, c, n, ring->packed, false);
			n = 0;
		}
	}
	if (n > 0)
		virtq_dev_push_used(dev, ring, c, n, ring->packed, false);
	l->tail = kept;
	return pushed;
}

bool
vnet_zc_overtake(struct vnet_zc_ring *l, struct virtq_dev *dev, const struct virtq_ring *ring)
{
	return zc_push_queue(l, dev, ring, false);
}

static void
zc_push_and_notify(struct vnet_zc_ring *l, struct virtq_dev *dev, const struct virtq_ring *ring,
		   bool all)
{
	if (!zc_push_queue(l, dev, ring, all))
		return;
	vnet_zc_commit(l);
	virtq_dev_begin(dev, ring);
	virtq_dev_notify(dev, ring, ring->packed);
}

void
vnet_zc_reclaim(struct vnet_zc_ring *l, struct virtq_dev *dev, const struct virtq_ring *ring)
{
	zc_push_and_notify(l, dev, ring, false);
	vnet_zc_put_mems(l);
}

void
vnet_zc_end(struct vnet_zc_ring *l, struct virtq_dev *dev, const struct virtq_ring *ring)
{
	zc_push_and_notify(l, dev, ring, true);
	dev->cursor.owner = NULL;
}

bool
vnet_zc_free(struct vnet_zc_ring *l)
{
	if (vnet_zc_attached(l) != 0)
		return false;
	zc_ring_release(l);
	return true;
}
