/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "rig_paged.h"

#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/ioctl.h>

int
paged_advise(struct rig *rig)
{
	struct vhu_msg m;

	assert_int_equal(fe_talk(rig, VHU_POSTCOPY_ADVISE, 0, NULL, 0, NULL, 0, &m), ANSWER);
	assert_int_equal(m.hdr.size, 0);
	assert_int_equal(m.nfds, 1);
	return m.fds[0];
}

int
paged_listen(struct rig *rig, uint64_t features)
{
	int uffd;

	fe_negotiate(rig, features, VHOST_BE_PROTOCOL);
	uffd = paged_advise(rig);
	assert_int_equal(fe_empty(rig, VHU_POSTCOPY_LISTEN), ACK);
	return uffd;
}

enum outcome
paged_confirm(struct rig *rig, uint32_t request, struct vhu_msg *m)
{
	const uint64_t good = 0;

	return fe_talk(rig, request, 0, &good, sizeof(good), NULL, 0, m);
}

uint8_t *
paged_propose(struct rig *rig)
{
	const struct vhu_mem_table t = rig_table();
	struct vhu_msg m;

	assert_int_equal(fe_talk(rig, VHU_SET_MEM_TABLE, 0, &t, 8 + 32, &rig->memfd, 1, &m),
			 ANSWER);
	assert_int_equal(m.hdr.size, 8 + 32);
	assert_int_equal(m.table.n, 1);
	assert_int_equal(m.table.region[0].gpa, t.region[0].gpa);
	assert_int_equal(m.table.region[0].size, t.region[0].size);
	assert_null(vhost_be_get_mem(rig->be));
	return (uint8_t *)(uintptr_t)m.table.region[0].uva;
}

uint8_t *
paged_missed(struct rig *rig, int uffd)
{
	struct pollfd p = { .fd = uffd, .events = POLLIN };
	struct uffd_msg fault;

	WAIT(rig, poll(&p, 1, 0) == 1, 5000);
	assert_int_equal(read(uffd, &fault, sizeof(fault)), sizeof(fault));
	assert_int_equal(fault.event, UFFD_EVENT_PAGEFAULT);
	return (uint8_t *)(uintptr_t)(fault.arg.pagefault.address & ~(RIG_PAGE - 1));
}

void
paged_bring(int uffd, uint8_t *at, uint8_t fill)
{
	uint8_t page[RIG_PAGE] __attribute__((aligned(4096)));

	memset(page, fill, sizeof(page));
	assert_int_equal(ioctl(uffd, UFFDIO_COPY, &(struct uffdio_copy){
		.dst = (uintptr_t)at, .src = (uintptr_t)page, .len = RIG_PAGE }), 0);
}

void
paged_punch(struct rig *rig, uint64_t offset)
{
	assert_int_equal(fallocate(rig->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   (off_t)offset, RIG_PAGE), 0);
}

uint8_t *
paged_begin(struct rig *rig, uint64_t features, int *uffd)
{
	struct vhu_msg m;
	uint8_t *base;

	*uffd = paged_listen(rig, features);
	memset(rig->mem, 0, RIG_MEM);
	base = paged_propose(rig);
	assert_int_equal(paged_confirm(rig, VHU_SET_MEM_TABLE, &m), SILENCE);
	return base;
}

uint16_t
paged_fetch(struct rig *rig, uint32_t ring, struct virtq_chain *c, uint16_t n)
{
	struct virtq_dev *vq = rig->vq[ring];
	struct virtq_fetch f = virtq_dev_fetch_begin(vq, NULL);

	virtq_dev_begin(vq, rig->ring[ring]);
	return virtq_dev_fetch(vq, rig->ring[ring], &f, c, n, false, false,
			       virtq_dev_prefetch_nothing);
}

void
paged_offer(struct rig *rig, const uint64_t *addr, uint16_t n)
{
	const struct vhu_vring_addr a = rig_addr(1);
	struct vring_desc *desc = (void *)(rig->mem + (a.desc - RIG_UVA));
	struct vring_avail *avail = (void *)(rig->mem + (a.avail - RIG_UVA));

	for (uint16_t i = 0; i < n; i++) {
		desc[i] = (struct vring_desc){ .addr = addr[i], .len = 64 };
		avail->ring[i] = i;
	}
	avail->idx = n;
}
