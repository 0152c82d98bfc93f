/* SPDX-License-Identifier: BSD-3-Clause */
/* A front-end behind a virtual IOMMU, where its memory begins at RIG_IOVA; its back-end channel. */
#ifndef RIG_IOMMU_H
#define RIG_IOMMU_H

#include "rig_frontend.h"
#include "virtq_iotlb.h"

#define RIG_IOMMU VIRTQ_BIT(VIRTIO_F_ACCESS_PLATFORM)
#define RIG_IOVA 0x40000000ull	/* of the first byte of memory */
#define RIG_BOTH (VIRTQ_IOTLB_READ | VIRTQ_IOTLB_WRITE)

int iommu_setup(void **state);
int iommu_setup_keeps(void **state); /* with iommu_keeps */
int iommu_teardown(void **state);
/* SET_BACKEND_REQ_FD. */
void iommu_channel(struct rig *rig);
/* An IOTLB message. */
enum outcome iommu_say(struct rig *rig, uint8_t type, uint64_t iova, uint64_t size, uint64_t uva,
		       uint8_t perm);
/* A page is where it is in the rig's memory. */
enum outcome iommu_say_page(struct rig *rig, uint64_t iova);
enum outcome iommu_take(struct rig *rig, uint64_t iova, uint64_t size);
/* The next page that the session asks for; false: none. */
bool iommu_asked(struct vhu_iotlb *miss);
/* Answer all that it asks for; how many that were. */
uint32_t iommu_answer(struct rig *rig);
/* All that is said of a ring but its position; its addresses are I/O virtual ones. */
void iommu_describe_ring(struct rig *rig, uint32_t i);

#endif /* RIG_IOMMU_H */
