/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig_iommu.h"

/* The front-end's end of the back-end channel, -1: there is none. */
static int chan = -1;

static int
setup(void **state, bool keeps)
{
	struct vhost_be_config cfg;
	struct rig *rig;
	char err[200];

	rig_setup_bare(state);
	rig = *state;
	cfg = rig_config(rig);
	cfg.features |= RIG_IOMMU;
	cfg.iommu_keeps = keeps;
	assert_int_equal(vhost_be_new(&cfg, &rig->be, err, sizeof(err)), 0);
	rig_connect(rig);
	chan = -1;
	return 0;
}

int
iommu_setup(void **state)
{
	return setup(state, false);
}

int
iommu_setup_keeps(void **state)
{
	return setup(state, true);
}

int
iommu_teardown(void **state)
{
	if (chan >= 0)
		close(chan);
	return rig_teardown(state);
}

void
iommu_channel(struct rig *rig)
{
	struct vhu_msg m;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(fe_talk(rig, VHU_SET_BACKEND_REQ_FD, NEED, NULL, 0, &pair[0], 1, &m), ACK);
	close(pair[0]);
	if (chan >= 0)
		close(chan);
	chan = pair[1];
}

enum outcome
iommu_say(struct rig *rig, uint8_t type, uint64_t iova, uint64_t size, uint64_t uva, uint8_t perm)
{
	const struct vhu_iotlb t = { .iova = iova, .size = size, .uva = uva, .perm = perm,
				     .type = type };
	struct vhu_msg m;

	return fe_talk(rig, VHU_IOTLB_MSG, NEED, &t, sizeof(t), NULL, 0, &m);
}

enum outcome
iommu_say_page(struct rig *rig, uint64_t iova)
{
	return iommu_say(rig, VHU_IOTLB_UPDATE, iova, VIRTQ_IOTLB_PAGE,
			 RIG_UVA + (iova - RIG_IOVA), RIG_BOTH);
}

enum outcome
iommu_take(struct rig *rig, uint64_t iova, uint64_t size)
{
	return iommu_say(rig, VHU_IOTLB_INVALIDATE, iova, size, 0, 0);
}

bool
iommu_asked(struct vhu_iotlb *miss)
{
	struct {
		struct vhu_hdr hdr;
		struct vhu_iotlb body;
	} VHU_PACKED m;
	const ssize_t got = recv(chan, &m, sizeof(m), 0);

	if (got < 0)
		return false;
	assert_int_equal(got, sizeof(m));
	assert_int_equal(m.hdr.request, VHU_BACKEND_IOTLB_MSG);
	assert_int_equal(m.hdr.flags, VHU_VERSION);
	assert_int_equal(m.hdr.size, sizeof(m.body));
	assert_int_equal(m.body.type, VHU_IOTLB_MISS);
	assert_int_equal(m.body.iova % VIRTQ_IOTLB_PAGE, 0);
	*miss = m.body;
	return true;
}

uint32_t
iommu_answer(struct rig *rig)
{
	struct vhu_iotlb miss;
	uint32_t n = 0;

	while (iommu_asked(&miss)) {
		assert_int_equal(iommu_say_page(rig, miss.iova), ACK);
		n++;
	}
	return n;
}

void
iommu_describe_ring(struct rig *rig, uint32_t i)
{
	struct vhu_vring_addr a = rig_addr(i);

	a.desc += RIG_IOVA - RIG_UVA;
	a.avail += RIG_IOVA - RIG_UVA;
	a.used += RIG_IOVA - RIG_UVA;
	assert_int_equal(fe_state(rig, VHU_SET_VRING_NUM, i, RIG_SIZE), ACK);
	assert_int_equal(fe_addr(rig, &a), ACK);
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_CALL, i, rig->call[i]), ACK);
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_KICK, i | VHU_FD_NONE, -1), ACK);
	assert_int_equal(fe_state(rig, VHU_SET_VRING_ENABLE, i, 1), ACK);
}
