/* SPDX-License-Identifier: BSD-3-Clause */
/* A front-end whose memory comes page by page to a session that rig_frontend.h has set up. */
#ifndef RIG_PAGED_H
#define RIG_PAGED_H

#include "rig_frontend.h"

#define RIG_PAGE 4096ull

/* The descriptor that faults come through; the caller's. */
int paged_advise(struct rig *rig);
/* The same, and memory will come page by page. */
int paged_listen(struct rig *rig, uint64_t features);
enum outcome paged_confirm(struct rig *rig, uint32_t request, struct vhu_msg *m);
/* Until memory is used: where the session says that the rig's lies. */
uint8_t *paged_propose(struct rig *rig);
/* Memory is in use, page by page: all is there but what the caller punches. */
uint8_t *paged_begin(struct rig *rig, uint64_t features, int *uffd);
/* The page at an offset has not come. */
void paged_punch(struct rig *rig, uint64_t offset);
/* The page that somebody waits for now. */
uint8_t *paged_missed(struct rig *rig, int uffd);
void paged_bring(int uffd, uint8_t *at, uint8_t fill);
/* A chain in each of the first entries of ring 1: their buffers begin at these addresses. */
void paged_offer(struct rig *rig, const uint64_t *addr, uint16_t n);
uint16_t paged_fetch(struct rig *rig, uint32_t ring, struct virtq_chain *c, uint16_t n);

#endif /* RIG_PAGED_H */
