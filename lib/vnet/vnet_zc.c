/* SPDX-License-Identifier: BSD-3-Clause */
#include "vnet_zc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "virtq_dev_log.h"
#include "vnet.h"

static void
zc_ring_release(struct vnet_zc_ring *zc)
{
	virtq_mem_put(zc->mem);
	for (uint32_t i = 0; i < zc->nmems; i++)
		virtq_mem_put(zc->former[i].mem);
	free(zc->bufs);
	free(zc->queue);
	free(zc->spare);
	free(zc);
}

int
vnet_zc_new(const struct virtq_ring *ring, struct vnet_zc_ring **out)
{
	uint32_t n = RTE_MIN(ring->size / VNET_ZC_SHARE, VNET_ZC_MAX);
	struct vnet_zc_ring *zc;

	if (ring->size < VNET_ZC_MIN_RING || (ring->features & VIRTQ_BIT(VIRTIO_F_IN_ORDER)))
		return -ENOTSUP;
	zc = calloc(1, sizeof(*zc));
	if (zc == NULL)
		return -ENOMEM;
	zc->mask = rte_align32pow2(n) - 1;
	zc->queue = calloc(zc->mask + 1, sizeof(zc->queue[0]));
	zc->spare = calloc(n, sizeof(zc->spare[0]));
	/* Not from DPDK's heaps: whoever holds their locks may be waiting for this thread. */
	zc->bufs = aligned_alloc(RTE_CACHE_LINE_SIZE, n * sizeof(zc->bufs[0]));
	if (zc->queue == NULL || zc->spare == NULL || zc->bufs == NULL) {
		zc_ring_release(zc);
		return -ENOMEM;
	}
	memset(zc->bufs, 0, n * sizeof(zc->bufs[0]));
	for (uint32_t i = 0; i < n; i++) {
		zc->bufs[i].shinfo.free_cb = vnet_zc_buf_returned;
		zc->bufs[i].shinfo.fcb_opaque = &zc->bufs[i];
		zc->bufs[i].back = 1;
		zc->spare[i] = &zc->bufs[i];
	}
	zc->nbufs = zc->nspare = n;
	zc->limit = ring->size / VNET_ZC_SHARE;
	zc->wait = rte_get_tsc_hz() / 1000000 * VNET_ZC_WAIT_US;
	zc->mem = virtq_mem_get(ring->mem);
	*out = zc;
	return 0;
}

void
vnet_zc_put_mems(struct vnet_zc_ring *zc)
{
	const uint64_t returned = __atomic_load_n(&zc->returned, __ATOMIC_ACQUIRE);
	uint32_t kept = 0;

	for (uint32_t i = 0; i < zc->nmems; i++) {
		if (zc->former[i].until > returned)
			zc->former[kept++] = zc->former[i];
		else
			virtq_mem_put(zc->former[i].mem);
	}
	zc->nmems = kept;
	__atomic_store_n(&zc->paused, kept >= VNET_ZC_MEMS, __ATOMIC_RELAXED);
}

void
vnet_zc_remap(struct vnet_zc_ring *zc)
{
	zc->moving_at = __atomic_load_n(&zc->attached, __ATOMIC_RELAXED);
}

/*
 * Buffers of the memory that was left are among those from `since` to now; some of them may be of
 * the next one already, which keeps the former a little longer.
 */
void
vnet_zc_remapped(struct vnet_zc_ring *zc, struct virtq_mem *mem)
{
	const uint64_t seq = __atomic_load_n(&zc->seq, __ATOMIC_RELAXED);

	if (mem == zc->mem)
		return;
	if (__atomic_load_n(&zc->attached, __ATOMIC_RELAXED) == zc->since) {
		virtq_mem_put(zc->mem);
	} else {
		zc->former[zc->nmems].mem = zc->mem;
		zc->former[zc->nmems++].until = seq;
	}
	zc->mem = virtq_mem_get(mem);
	zc->since = zc->moving_at;
	vnet_zc_put_mems(zc);
}

bool
vnet_zc_unpolled(struct vnet_zc_ring *zc)
{
	const uint32_t rounds = __atomic_load_n(&zc->rounds, __ATOMIC_RELAXED);
	const bool same = rounds == zc->seen_rounds;

	zc->seen_rounds = rounds;
	return same && __atomic_load_n(&zc->seq, __ATOMIC_RELAXED) !=
		       __atomic_load_n(&zc->returned, __ATOMIC_RELAXED);
}

uint32_t
vnet_zc_attached(const struct vnet_zc_ring *zc)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < zc->nbufs; i++)
		n += !__atomic_load_n(&zc->bufs[i].back, __ATOMIC_ACQUIRE);
	return n;
}

/*
 * One pass over the queue: what is not freed moves up, in order; what is freed returns to the
 * guest, in order as well. `all`: freed or not.
 */
static bool
zc_push_queue(struct vnet_zc_ring *zc, struct virtq_dev *dev, const struct virtq_ring *ring,
	      bool all)
{
	struct virtq_chain c[VIRTQ_FETCH_MAX];
	uint32_t kept = zc->head;
	uint16_t n = 0;
	bool pushed = false;

	for (uint32_t at = zc->head; at != zc->tail; at++) {
		struct vnet_zc_buf *buf = zc->queue[at & zc->mask];

		if (!all && !__atomic_load_n(&buf->back, __ATOMIC_ACQUIRE)) {
			zc->queue[kept++ & zc->mask] = buf;
			continue;
		}
		zc->entries -= vnet_zc_buf_chain(buf, &c[n++]);
		zc->spare[zc->nspare++] = buf;
		pushed = true;
		if (n == VIRTQ_FETCH_MAX) {
			virtq_dev_push_used(dev, ring, c, n, ring->packed, false);
			n = 0;
		}
	}
	if (n > 0)
		virtq_dev_push_used(dev, ring, c, n, ring->packed, false);
	zc->tail = kept;
	return pushed;
}

/*
 * Linux lets a full queue rest until three quarters of what is out have come back. Where packets
 * keep more than the last quarter it is told now of what has.
 */
static void
zc_call_early(struct vnet_zc_ring *zc, struct virtq_dev *dev, const struct virtq_ring *ring)
{
	if (ring->callfd < 0 || dev->calls + dev->calls_suppressed == zc->early ||
	    vnet_ring_count(ring, &dev->cursor) > 0 ||
	    !virtq_dev_call_ahead(dev, ring, zc->tail - zc->head, zc->entries))
		return;
	virtq_dev_call(dev, ring);
	zc->early = dev->calls + dev->calls_suppressed;
}

bool
vnet_zc_overtake(struct vnet_zc_ring *zc, struct virtq_dev *dev, const struct virtq_ring *ring)
{
	const bool pushed = zc_push_queue(zc, dev, ring, false);

	if (!vnet_zc_empty(zc))
		zc_call_early(zc, dev, ring);
	return pushed;
}

static void
zc_push_and_notify(struct vnet_zc_ring *zc, struct virtq_dev *dev, const struct virtq_ring *ring,
		   bool all)
{
	const struct virtq_pos used = virtq_dev_used_pos(dev);

	if (!zc_push_queue(zc, dev, ring, all))
		return;
	if (ring->log != NULL)
		virtq_dev_log_used(dev, ring, used);
	vnet_zc_commit(zc);
	virtq_dev_begin(dev, ring);
	virtq_dev_notify(dev, ring, ring->packed);
}

void
vnet_zc_reclaim(struct vnet_zc_ring *zc, struct virtq_dev *dev, const struct virtq_ring *ring)
{
	zc_push_and_notify(zc, dev, ring, false);
	vnet_zc_put_mems(zc);
}

void
vnet_zc_end(struct vnet_zc_ring *zc, struct virtq_dev *dev, const struct virtq_ring *ring)
{
	zc_push_and_notify(zc, dev, ring, true);
	dev->cursor.owner = NULL;
}

bool
vnet_zc_free(struct vnet_zc_ring *zc)
{
	if (vnet_zc_attached(zc) != 0)
		return false;
	zc_ring_release(zc);
	return true;
}
