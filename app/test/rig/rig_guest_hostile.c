/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig_guest_hostile.h"

uint64_t
bytes_at(struct port *p)
{
	return p->buf[p->r.size - 1].gpa;
}

void
split_desc(struct port *p, uint16_t i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	p->r.desc[i] = (struct vring_desc){addr, len, flags, next};
}

void
split_head(struct port *p, uint16_t head)
{
	p->r.avail->ring[p->r.avail_idx++ & (p->r.size - 1)] = head;
	rd_publish(&p->r);
}

void
packed_desc(struct port *p, uint64_t addr, uint32_t len, uint16_t flags)
{
	struct rd_sg sg = {addr, len};

	rd_put_packed(&p->r, &sg, 5, flags);
}
