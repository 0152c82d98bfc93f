/* SPDX-License-Identifier: BSD-3-Clause */
/* Buffers for packets that no element of the application's pool takes. */
#ifndef VNET_EXTBUF_H
#define VNET_EXTBUF_H

#include <rte_mbuf.h>
#include <rte_mempool.h>

/* A buffer for a packet that no pool element takes, attached to an mbuf as external buffer. */
struct vnet_extbuf {
	struct rte_mbuf_ext_shared_info shinfo;
	uint8_t data[];		/* the pool's element size less this header */
};

/* Bytes of a large buffer; the pool rounds its elements up, an mbuf counts in 16 bits. */
static inline uint32_t
vnet_extbuf_size(const struct rte_mempool *pool)
{
	return RTE_MIN(pool->elt_size - (uint32_t)sizeof(struct vnet_extbuf), (uint32_t)UINT16_MAX);
}

/*
 * Buffers of `size` bytes (at most 65535) that are attached to mbufs as external buffers.
 * NULL with rte_errno.
 */
struct rte_mempool *vnet_extbuf_pool_create(const char *name, unsigned int n, uint32_t size,
					    int socket_id);

#endif /* VNET_EXTBUF_H */
