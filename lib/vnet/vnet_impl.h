/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of this library share and nobody else sees. */
#ifndef VNET_IMPL_H
#define VNET_IMPL_H

#include <rte_mbuf.h>
#include <rte_memcpy.h>

#include "vnet.h"

/* A buffer for a packet that no pool element takes, attached to an mbuf as external buffer. */
struct vnet_big {
	struct rte_mbuf_ext_shared_info shinfo;
	uint8_t data[];		/* the pool's element size less this header */
};

/* The header as it lies in a buffer; num_buffers is absent in the 10-byte form. VIRTIO 5.1.6 */
struct vnet_hdr {
	uint8_t flags;		/* VIRTIO_NET_HDR_F_ */
	uint8_t gso_type;	/* VIRTIO_NET_HDR_GSO_ */
	uint16_t hdr_len;
	uint16_t gso_size;
	uint16_t csum_start;
	uint16_t csum_offset;
	uint16_t num_buffers;
};

_Static_assert(sizeof(struct vnet_hdr) == 12, "virtio-net header");

/* 16 bytes at any address. */
typedef uint8_t vnet_v16 __attribute__((vector_size(16), aligned(1), may_alias));

/*
 * Copy a packet. Short ones, the most frequent, go by four or eight moves that may overlap in the
 * middle, without a branch on the remainder.
 */
static inline __attribute__((always_inline)) void
vnet_copy(void *to, const void *from, uint32_t len)
{
	const vnet_v16 *f = from, *fe = (const void *)((const uint8_t *)from + len);
	vnet_v16 *t = to, *te = (void *)((uint8_t *)to + len);

	if (len - 32 <= 32) {
		vnet_v16 a = f[0], b = f[1], c = fe[-2], d = fe[-1];

		t[0] = a;
		t[1] = b;
		te[-2] = c;
		te[-1] = d;
	} else if (len - 64 <= 64) {
		vnet_v16 a = f[0], b = f[1], c = f[2], d = f[3];
		vnet_v16 w = fe[-4], x = fe[-3], y = fe[-2], z = fe[-1];

		t[0] = a;
		t[1] = b;
		t[2] = c;
		t[3] = d;
		te[-4] = w;
		te[-3] = x;
		te[-2] = y;
		te[-1] = z;
	} else {
		rte_memcpy(to, from, len);
	}
}

/* Size classes and casts of packets just carried, while they are in the cache. */
void vnet_count_classes(struct vnet_stats *stats, struct rte_mbuf **pkts, uint16_t n);

/*
 * Whether a driver's header can be true for a packet of `len` bytes under these features. The
 * header is a private copy. VIRTIO 1.2, 5.1.6.2.
 */
bool vnet_rx_hdr_ok(const struct vnet_hdr *h, uint64_t features, uint32_t len);
/* Carry a checked header over into the mbuf that holds the packet. */
void vnet_rx_offload(struct vnet_rxq *rxq, const struct vnet_hdr *h, struct rte_mbuf *m);

/* Bytes at the start of a frame that offloads can change: headers, and a VLAN tag to come. */
#define VNET_HEAD_MAX 256

/*
 * A packet on its way to a guest. The first bytes are copied here, where tags and checksums can
 * be put in without touching the application's mbuf, which may be shared.
 */
struct vnet_tx_pkt {
	struct rte_mbuf *m;
	struct vnet_hdr hdr;
	uint32_t len;		/* of the frame, a tag put in included */
	uint16_t head_len;	/* bytes in head; 0: send all from the mbuf */
	uint16_t head_skip;	/* bytes of the mbuf that head stands for */
	uint16_t l2_len, l3_len, l4_len; /* l2 with the tag */
	uint16_t mss;		/* not 0: cut into frames of so much payload */
	bool sw_csum;		/* a checksum was computed, to be counted when the packet is sent */
	uint8_t head[VNET_HEAD_MAX];
};

/*
 * Do the offloads that the mbuf asks for, or describe them where these features let the guest do
 * them. 0, or -EINVAL when that cannot be done.
 */
int vnet_tx_offload(uint64_t features, struct rte_mbuf *m, struct vnet_tx_pkt *p);
/*
 * The frame that carries payload bytes [off, off + len) of a packet that has to be segmented:
 * frame->head is complete, its checksums included; the payload stays in the mbuf.
 */
void vnet_tx_segment(const struct vnet_tx_pkt *p, uint32_t off, uint32_t len,
		     struct vnet_tx_pkt *frame);

#endif /* VNET_IMPL_H */
