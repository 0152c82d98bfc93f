/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For tests: a guest with one ring and virtio-net headers, the port's queue that serves it, and
 * packets to exchange. Headers are read and written as the kernel's structs, not as ours.
 */
#ifndef RIG_GUEST_NET_H
#define RIG_GUEST_NET_H

#include "rig_guest.h"

#include <rte_eal.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "vnet.h"

#define F_CSUM VIRTQ_BIT(VIRTIO_NET_F_CSUM)
#define F_GUEST_CSUM VIRTQ_BIT(VIRTIO_NET_F_GUEST_CSUM)
#define F_GUEST_TSO4 VIRTQ_BIT(VIRTIO_NET_F_GUEST_TSO4)
#define F_GUEST_TSO6 VIRTQ_BIT(VIRTIO_NET_F_GUEST_TSO6)
#define F_GUEST_ECN VIRTQ_BIT(VIRTIO_NET_F_GUEST_ECN)
#define F_HOST_TSO4 VIRTQ_BIT(VIRTIO_NET_F_HOST_TSO4)
#define F_HOST_TSO6 VIRTQ_BIT(VIRTIO_NET_F_HOST_TSO6)
#define F_HOST_ECN VIRTQ_BIT(VIRTIO_NET_F_HOST_ECN)
#define F_HOST_UFO VIRTQ_BIT(VIRTIO_NET_F_HOST_UFO)

#define FRAME_MAX 66000
#define CHAIN_PIECES 8

struct frame {
	struct virtio_net_hdr_mrg_rxbuf hdr;
	struct virtio_net_hdr_v1_hash whole; /* F_HASH_REPORT */
	uint32_t len;		/* of data */
	uint32_t chains;	/* it came in */
	uint8_t data[FRAME_MAX];
};

/* A chain's buffer: its place in the guest's memory, cut into pieces. */
struct buf {
	uint64_t gpa;
	struct rd_sg sg[CHAIN_PIECES];
	uint32_t n;
};

struct port {
	struct guest g;
	struct rd r;
	struct dev d;
	uint16_t hdr_len;
	uint32_t slot_bytes;
	struct buf *buf;	/* one for each ring entry */
	uint16_t *free_buf;
	uint16_t nfree;
	struct rd_done *done;
	struct vnet_rxq rxq;
	struct vnet_txq txq;
	vnet_rx_burst rx;
	vnet_tx_burst tx;
};

/* Pools that all tests of a program share, and what they hold when nothing is lost. */
extern struct rte_mempool *small_pool, *large_pool, *big_pool;
#define SMALL_MBUFS 2047
#define LARGE_MBUFS 127
#define BIG_BUFS 63

int vnet_setup(void **state);
int vnet_teardown(void **state);
/* After every test: they are all there, and as a pool wants them. */
void expect_no_mbuf_lost(void);
/* `slot_bytes` of buffer for each of `size` entries; regions: see struct guest. */
void port_open(struct port *p, uint16_t size, uint64_t features, uint32_t slot_bytes,
	       uint32_t regions);
void port_close(struct port *p);

/* How a buffer is laid out in descriptors. */
struct layout {
	uint32_t piece[CHAIN_PIECES]; /* bytes of the first pieces; the last takes what remains */
	uint32_t n;
	enum rd_form form;
};

static const struct layout layouts[] = {
	{.n = 1, .form = RD_DIRECT},
	{.n = 2, .form = RD_DIRECT, .piece = {12}},
	{.n = 2, .form = RD_DIRECT, .piece = {10}},
	{.n = 3, .form = RD_DIRECT, .piece = {3, 20}},
	{.n = 1, .form = RD_INDIRECT},
	{.n = 6, .form = RD_INDIRECT, .piece = {1, 0, 5, 7, 20}},
	{.n = 4, .form = RD_MIXED, .piece = {12, 14, 1}},
};

#define NLAYOUTS (sizeof(layouts) / sizeof(layouts[0]))
#define PLAIN (&layouts[0])

/* Give the device one buffer of `bytes`. False: the ring is full. */
bool port_offer(struct port *p, uint32_t bytes, const struct layout *l, bool write);
/* A used chain; its buffer is free again. */
bool port_pop(struct port *p, struct rd_done *d);
/* All chains that came back, read by the device; how many. */
uint32_t port_reap(struct port *p);
/* The guest transmits. False: the ring is full. */
bool port_send(struct port *p, const struct virtio_net_hdr_mrg_rxbuf *hdr, const void *data,
	       uint32_t len, const struct layout *l);
uint16_t port_rx(struct port *p, struct rte_mbuf **pkts, uint16_t n);
uint16_t port_tx(struct port *p, struct rte_mbuf **pkts, uint16_t n);
/* The whole of a packet, in one piece. */
const uint8_t *mbuf_bytes(const struct rte_mbuf *m);
/* What a guest's driver makes of used receive buffers: one frame, from one chain or more. */
bool port_receive(struct port *p, struct frame *f);
/* Bytes of a test frame: broadcast, multicast or unicast Ethernet of an unassigned type. */
void frame_fill(uint8_t *data, uint32_t len, uint32_t seed);
void ext_free(void *addr, void *opaque);

/* How an mbuf is made up. */
enum shape { SHAPE_LINEAR, SHAPE_CHAIN, SHAPE_EXT, SHAPE_CLONE, SHAPE_MAX };

struct rte_mbuf *mbuf_of(const uint8_t *data, uint32_t len, enum shape shape);
struct rte_mbuf *mbuf_new(uint32_t len, uint32_t seed, enum shape shape);
void expect_bytes(const uint8_t *data, uint32_t len, uint32_t expected_len, uint32_t seed);

#endif /* RIG_GUEST_NET_H */
