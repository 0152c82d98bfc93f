/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig_loop.h"

void
rig_loop_open(struct rig_loop *s, uint16_t size, uint64_t features, uint32_t room, int kickfd,
	       int callfd)
{
	struct virtq_ring_config cfg = {.size = size, .features = features, .enabled = true,
					.errfd = -1, .wakefd = -1, .callfd = kickfd};
	struct virtq_region all;
	uint64_t bytes;

	*s = (struct rig_loop){.packed = features & F_PACKED};
	virtq_drv_layout(size, s->packed, &s->l);
	bytes = s->l.bytes + room;
	s->mem = aligned_alloc(4096, bytes);
	memset(s->mem, 0, bytes);
	s->drv = aligned_alloc(VIRTQ_CACHE_LINE, sizeof(*s->drv));
	s->dev = aligned_alloc(VIRTQ_CACHE_LINE, sizeof(*s->dev));
	memset(s->drv, 0, sizeof(*s->drv));
	memset(s->dev, 0, sizeof(*s->dev));
	assert_int_equal(virtq_drv_init(s->drv, s->mem, LOOP_IOVA, &cfg, &s->drv_ring), 0);
	all = (struct virtq_region){.gpa = LOOP_IOVA, .size = bytes, .uva = (uintptr_t)s->mem,
				    .host = s->mem};
	assert_int_equal(virtq_mem_new(&all, 1, &s->shared), 0);
	cfg.callfd = callfd;
	cfg.desc_uva = (uintptr_t)s->mem;
	cfg.avail_uva = (uintptr_t)s->mem + s->l.avail;
	cfg.used_uva = (uintptr_t)s->mem + s->l.used;
	assert_int_equal(virtq_ring_new(&cfg, s->shared, &s->dev_ring), 0);
	assert_int_equal(virtq_dev_set_base(s->dev, s->dev_ring, virtq_fresh_base(s->packed)), 0);
}

void
rig_loop_close(struct rig_loop *s)
{
	virtq_drv_fini(s->drv);
	virtq_ring_free(s->drv_ring);
	virtq_ring_free(s->dev_ring);
	virtq_mem_put(s->shared);
	free(s->drv);
	free(s->dev);
	free(s->mem);
}
