/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio-net on virtqueues: mbufs <-> descriptor chains. VIRTIO 1.2, section 5.1.
 *
 * Device side (the host of a VM). "rx" and "tx" are the application's: rx takes what the guest
 * transmits, tx fills what the guest offers for receiving. The functions take the ethdev queue
 * (pool, offloads, counters) and the vring (cursor and ring) apart, because one ethdev queue may
 * serve several vrings and one vring several ethdev queues.
 */
#ifndef VNET_H
#define VNET_H

#include <linux/virtio_net.h>

#include <rte_mbuf.h>
#include <rte_mempool.h>

#include "virtq_ring.h"

/* Packets a burst handles in one round of fetch, copy, complete; longer bursts make rounds. */
#define VNET_BURST 32

/* Reasons for which a packet is dropped; rx: taken from the guest, tx: meant for it. */
enum vnet_drop {
	VNET_DROP_RUNT,		/* rx: chain without a whole header, or no byte of packet */
	VNET_DROP_UNMAPPED,	/* rx: a buffer is (partly) outside the shared memory;
				 * tx, driver side: so is the mbuf's, and it cannot be copied */
	VNET_DROP_OVERSIZE,	/* rx: larger than a linear mbuf holds (and scatter is off);
				 * tx: larger than the guest's buffers take */
	VNET_DROP_BAD_HDR,	/* rx: checksum or segmentation fields that cannot be true */
	VNET_DROP_DISABLED,	/* rx: the ring runs but is disabled; tx: no enabled ring */
	VNET_DROP_NO_GUEST,	/* tx: nobody is connected */
	VNET_DROP_RING_FULL,	/* tx: tx-retries= is set and the ring stayed full */
	VNET_DROP_OFFLOAD,	/* tx: an offload asked for cannot be done on this packet */
	VNET_DROP_VLAN,		/* rx: of a VLAN that the application does not want */
	VNET_DROP_MAX
};

/* "runt", "unmapped", ... as in the xstats name rx_qN_runt_dropped. Never NULL. */
const char *vnet_drop_name(enum vnet_drop reason);
/* Whether the reason can occur in that direction (which xstats exist). */
bool vnet_drop_is_rx(enum vnet_drop reason);
bool vnet_drop_is_tx(enum vnet_drop reason);

/* Packet length classes of the counters: 64 and less, 65-127, 128-255, 256-511, 512-1023,
 * 1024-1518, 1519 and more. */
#define VNET_SIZE_BINS 7
const char *vnet_size_bin_name(unsigned int bin); /* "size_64", "size_65_127", ... */

/* Burst size classes of the counters: 0, 1, 2-3, 4-7, 8-15, 16-31, 32-63, 64 and more. */
#define VNET_BURST_BINS 8
const char *vnet_burst_bin_name(unsigned int bin); /* "0", "1", "2_3", ..., "64_max" */

/* Counters of one ethdev queue. One writer, the lcore that bursts; read by anyone. */
struct vnet_stats {
	uint64_t packets, bytes;
	uint64_t burst_bin[VNET_BURST_BINS]; /* calls, by how many packets the port was done with */
	uint64_t multicast, broadcast;	/* with VNET_F_STATS, as size_bin */
	uint64_t size_bin[VNET_SIZE_BINS];
	uint64_t nombuf;	/* rx: bursts cut short because no mbuf was to be had */
	uint64_t zero_copy;	/* rx: packets that were not copied */
	uint64_t sw_csum;	/* checksums computed in software */
	uint64_t sw_gso;	/* packets cut in software */
	uint64_t retries;	/* tx: rounds of waiting for a full ring */
	uint64_t refused;	/* tx: packets that bursts left to the application */
	uint64_t drop[VNET_DROP_MAX];
	uint64_t error[VIRTQ_E_MAX]; /* rings that broke, by reason */
};

/* Count a burst of n packets; n == 0: there was nothing, or no room. */
static inline void
vnet_count_burst(struct vnet_stats *stats, uint16_t n)
{
	unsigned int bits = n == 0 ? 0 : 32 - (unsigned int)__builtin_clz(n);

	stats->burst_bin[bits < VNET_BURST_BINS ? bits : VNET_BURST_BINS - 1]++;
}

#define VNET_F_STATS		(1u << 0) /* keep size classes and casts */
#define VNET_F_SCATTER		(1u << 1) /* rx: the application takes chained mbufs */
#define VNET_F_PARTIAL_CSUM	(1u << 2) /* rx: deliver partial checksums as such (L4_CKSUM_NONE);
					   * off: they are completed in software */
#define VNET_F_LEGACY_OL	(1u << 3) /* rx: speak of offloads in Tx flags, as net_vhost's
					   * legacy-ol-flags=1 */
#define VNET_F_VLAN_STRIP	(1u << 4) /* rx: the application enabled VLAN stripping */
#define VNET_F_ZERO_COPY	(1u << 5) /* rx, to choose an instance: the ring has zc state */
#define VNET_F_LEGACY_SEG	(1u << 6) /* rx: VNET_F_LEGACY_OL for merged packets alone */
/*
 * rx: merged packets of TCP (of those that are not told in Tx flags) and datagrams over a fragment
 * are marked, for vnet_cut_burst(). Off: they are delivered with RX_LRO.
 */
#define VNET_F_CUT_TCP		(1u << 7)
#define VNET_F_CUT_UDP		(1u << 8)
#define VNET_F_PTYPES		(1u << 9) /* rx: the application is told of the types in `ptypes` */
#define VNET_F_VLAN_FILTER	(1u << 10) /* rx: VLANs that are not in vlan_ids are dropped */
#define VNET_F_HASH		(1u << 11) /* rx: the application is told of hashes, see `hash` */
/* What is done with the packets of a burst once they are received: vnet_rx_after(). */
#define VNET_F_AFTER		(VNET_F_VLAN_STRIP | VNET_F_PTYPES | VNET_F_VLAN_FILTER | \
				 VNET_F_HASH)

struct vnet_hash;

/* Receive side of an ethdev queue. */
struct vnet_rxq {
	struct rte_mempool *pool;	/* the application's */
	struct rte_mempool *extbuf_pool; /* buffers for packets over a pool element, see
					 * vnet_extbuf_pool_create(); NULL: none */
	uint64_t rearm;			/* mbuf rearm word: data_off, refcnt, nb_segs, port */
	uint32_t flags;			/* VNET_F_ */
	uint32_t room;			/* bytes of packet that a pool element takes */
	/* Packets of so many bytes are attached where the ring has zc state; 0, 0: none. */
	uint32_t zc_min, zc_max;
	bool iova_is_va;
	uint32_t ptypes;		/* VNET_F_PTYPES: whole groups of RTE_PTYPE_*_MASK */
	const uint64_t *vlan_ids;	/* VNET_F_VLAN_FILTER: a bit for each; they may change */
	const struct vnet_hash *hash;	/* VNET_F_HASH: which */
	struct vnet_stats stats __rte_cache_aligned;
} __rte_cache_aligned;

/* Addresses of this process, from `base` on. */
struct vnet_range {
	uintptr_t base;
	size_t len;
};

/*
 * Memory that is not DPDK's own, yet known to the device. Bursts read it while it changes: a base
 * that is set stays, and a length of 0 means that the memory is not, or no longer, to be used.
 */
#define VNET_EXTMEM_MAX 64
struct vnet_extmem {
	struct vnet_range range[VNET_EXTMEM_MAX];
};

/* Transmit side of an ethdev queue. */
struct vnet_txq {
	uint32_t flags;			/* VNET_F_ */
	uint32_t retries;		/* rounds to try when the ring is full, tx-retries= */
	/* Driver side, segment cache: where buffers were found, the last first; see vnet_drv.h. */
	struct vnet_range segments[2];
	const struct vnet_extmem *extmem; /* driver side: NULL: none */
	/* Device side: what a guest that wants hashes is told (HASH_REPORT); NULL: nothing. */
	const struct vnet_hash *hash;
	struct vnet_stats stats __rte_cache_aligned;
} __rte_cache_aligned;

/*
 * Fill the parts of a queue that follow from its pool and port. 0, or -EINVAL when an element of
 * the pool has no room for a packet.
 */
int vnet_rxq_init(struct vnet_rxq *rxq, struct rte_mempool *pool, uint16_t port_id,
		  uint32_t flags);
/*
 * Attach packets of `min` bytes and more to the guest's memory rather than copy them, where the
 * ring has zc state (vnet_zc.h). Called when flags and extbuf_pool are set. -ENOTSUP: buffers of
 * this pool cannot be replaced (RTE_PKTMBUF_POOL_F_PINNED_EXT_BUF).
 */
int vnet_rxq_zero_copy(struct vnet_rxq *rxq, uint32_t min);

/*
 * Take up to n packets from a ring that the guest transmits on. Returns the number of mbufs
 * stored in pkts; the application owns them. Called with the rcu read lock of the ring.
 */
typedef uint16_t (*vnet_rx_burst)(struct vnet_rxq *rxq, struct virtq_cursor *cursor,
				  const struct virtq_ring *ring, struct rte_mbuf **pkts,
				  uint16_t n);
/*
 * Give up to n packets to a ring that the guest receives on. Returns how many of pkts, from the
 * first on, the port is done with (sent, or dropped and counted; freed either way). The rest is
 * still the caller's: the ring is full.
 */
typedef uint16_t (*vnet_tx_burst)(struct vnet_txq *txq, struct virtq_cursor *cursor,
				  const struct virtq_ring *ring, struct rte_mbuf **pkts,
				  uint16_t n);

/*
 * The instance for a ring; chosen when it starts. A disabled ring gets the one that consumes
 * and counts (rx) or refuses (tx: drops as disabled). `name` receives a description for
 * rx/tx_burst_mode_get, static storage; NULL is allowed.
 */
vnet_rx_burst vnet_dev_rx_select(const struct virtq_ring *ring, uint32_t flags, const char **name);
vnet_tx_burst vnet_dev_tx_select(const struct virtq_ring *ring, const char **name);

/*
 * Merged packets of a receive queue: those that were received and are not delivered yet, and how
 * far one of them is cut. Whatever it holds is freed with it. NULL: no memory.
 */
struct vnet_cut *vnet_cut_new(int socket);
void vnet_cut_free(struct vnet_cut *cut);
/* Free what it holds. NULL is allowed, as for the function before. */
void vnet_cut_clear(struct vnet_cut *cut);
/* Nothing is left to deliver. */
bool vnet_cut_idle(const struct vnet_cut *cut);
/*
 * Of pkts, which have room for n, the first `fresh` were just received (at most VNET_BURST, and 0
 * unless `cut` is idle). Returns how many packets are in pkts afterwards, in order, none of them
 * marked: segments of TCP, fragments of IP, and the others as they are. Those that find no room,
 * or no mbuf, are kept for the next call. Counts what it cuts as the packets that come out.
 */
uint16_t vnet_cut_burst(struct vnet_rxq *rxq, struct vnet_cut *cut, struct rte_mbuf **pkts,
			uint16_t fresh, uint16_t n);

/* Drop n packets for one reason: free, count. */
void vnet_tx_drop(struct vnet_txq *txq, struct rte_mbuf **pkts, uint16_t n, enum vnet_drop why);

/* Make a packet ready for any ring: header fields, pseudo-header checksum. ethdev tx_prepare. */
uint16_t vnet_tx_prepare(struct rte_mbuf **pkts, uint16_t n);

/* Chains that wait in a ring (rx: packets of the guest; tx: buffers for it), 0..size. */
uint32_t vnet_ring_count(const struct virtq_ring *ring, const struct virtq_cursor *cursor);

/* Device features that this library serves, for offering to a driver. */
#define VNET_DEV_FEATURES \
	(VIRTQ_BIT(VIRTIO_F_VERSION_1) | VIRTQ_BIT(VIRTIO_F_ANY_LAYOUT) | \
	 VIRTQ_BIT(VIRTIO_RING_F_INDIRECT_DESC) | VIRTQ_BIT(VIRTIO_RING_F_EVENT_IDX) | \
	 VIRTQ_BIT(VIRTIO_F_IN_ORDER) | VIRTQ_BIT(VIRTIO_F_RING_PACKED) | \
	 VIRTQ_BIT(VIRTIO_NET_F_MRG_RXBUF) | VIRTQ_BIT(VIRTIO_NET_F_CSUM) | \
	 VIRTQ_BIT(VIRTIO_NET_F_GUEST_CSUM) | VIRTQ_BIT(VIRTIO_NET_F_GUEST_TSO4) | \
	 VIRTQ_BIT(VIRTIO_NET_F_GUEST_TSO6) | VIRTQ_BIT(VIRTIO_NET_F_GUEST_ECN) | \
	 VIRTQ_BIT(VIRTIO_NET_F_GUEST_UFO) | VNET_DEV_TSO_FEATURES | \
	 VIRTQ_BIT(VIRTIO_NET_F_MQ) | VIRTQ_BIT(VIRTIO_NET_F_MTU))
/* Those offered only with tso=1. GSO is the word of legacy drivers for all the others. */
#define VNET_DEV_TSO_FEATURES \
	(VIRTQ_BIT(VIRTIO_NET_F_GSO) | VIRTQ_BIT(VIRTIO_NET_F_HOST_TSO4) | \
	 VIRTQ_BIT(VIRTIO_NET_F_HOST_TSO6) | VIRTQ_BIT(VIRTIO_NET_F_HOST_ECN) | \
	 VIRTQ_BIT(VIRTIO_NET_F_HOST_UFO))

#endif /* VNET_H */
