/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For tests: a guest's memory, the driver's half of both ring layouts, and a device to test it
 * with. The driver is written from the specification (VIRTIO 1.2, 2.7 and 2.8) and shares no
 * code with what it tests. It keeps account of every chain: `bad` counts completions that no
 * chain accounts for, rd_pending() those still to come.
 */
#ifndef RIG_GUEST_H
#define RIG_GUEST_H

#include <errno.h>
#include <linux/virtio_net.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "virtq_dev.h"

/* Threads that change what is being read: TSan would only tell that they do. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define NO_MUTATORS 1
#endif
#endif
#ifndef NO_MUTATORS
#define NO_MUTATORS 0
#endif

#define GUEST_PAGE 4096ul
#define GUEST_GPA 0x100000000ul
#define GUEST_UVA 0x7f0000000000ul /* user address less guest-physical address */
#define GUEST_MAX_REGIONS 16

#define F_EVENT_IDX VIRTQ_BIT(VIRTIO_RING_F_EVENT_IDX)
#define F_INDIRECT VIRTQ_BIT(VIRTIO_RING_F_INDIRECT_DESC)
#define F_PACKED VIRTQ_BIT(VIRTIO_F_RING_PACKED)
#define F_IN_ORDER VIRTQ_BIT(VIRTIO_F_IN_ORDER)
#define F_ORDER VIRTQ_BIT(VIRTIO_F_ORDER_PLATFORM)
#define F_V1 VIRTQ_BIT(VIRTIO_F_VERSION_1)
#define F_MRG VIRTQ_BIT(VIRTIO_NET_F_MRG_RXBUF)
#define F_HASH_REPORT VIRTQ_BIT(VIRTIO_NET_F_HASH_REPORT)

/* Bytes before each packet: VIRTIO 1.2, 5.1.6. */
#define HDR_LEN(features) \
	((features) & F_HASH_REPORT ? 20 : (features) & (F_V1 | F_MRG) ? 12 : 10)

/*
 * Memory of a guest. The device sees it in regions that are neighbours for the guest and lie in
 * reverse order, guard pages between them, in this process; the test sees it in one piece. With
 * one region both see the same addresses.
 */
struct guest {
	uint8_t *base;		/* the test's view */
	uint8_t *area;		/* the device's, guard pages included */
	size_t area_size;
	uint64_t size, used;
	uint32_t nregions;
	struct virtq_mem *mem;
};

void *guest_ptr(const struct guest *g, uint64_t gpa);
/* A zeroed piece of the guest's memory; its guest-physical address. */
uint64_t guest_alloc(struct guest *g, uint64_t len, uint64_t align);
/* As above, ending where a region ends and another one (or nothing) begins: g->used is there. */
void guest_new(struct guest *g, uint64_t region_size, uint32_t nregions);
void guest_free(struct guest *g);

/* A piece of a buffer, in guest-physical addresses. */
struct rd_sg {
	uint64_t gpa;
	uint32_t len;
};

enum rd_form {
	RD_DIRECT,
	RD_INDIRECT,	/* one table */
	RD_MIXED,	/* the first piece in an ordinary descriptor, the others in a table */
};

#define RD_TABLE 32	/* entries of the table that each chain has */

/* A chain that the device has; oldest first. */
struct rd_chain {
	uint16_t id, slots;
	uint64_t cookie;
};

struct rd {
	struct guest *g;
	bool packed;
	uint16_t size;
	uint64_t features;
	uint64_t desc_gpa, avail_gpa, used_gpa, table_gpa;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	struct vring_packed_desc *pdesc;
	struct vring_packed_desc_event *driver_event, *device_event;
	uint16_t avail_idx, used_idx; /* split: free-running; packed: slots */
	bool avail_wrap, used_wrap;
	uint16_t nfree;		/* entries */
	uint16_t *free_id;	/* split: stack of free descriptors; packed: of free ids */
	uint16_t nids;
	struct rd_chain *chain;	/* fifo of what the device has */
	uint32_t head, tail;	/* free-running */
	uint64_t held_meta;	/* packed: head of the first chain not yet published */
	uint16_t held_slot;
	bool held;
	bool any_order;		/* chains may come back as they like, as any device's may */
	unsigned int bad;	/* completions that break the rules */
};

uint32_t rd_pending(const struct rd *r);
/* The rings in the guest's memory; the driver starts where a ring starts that was reset. */
void rd_init(struct rd *r, struct guest *g, uint16_t size, uint64_t features);
void rd_fini(struct rd *r);
/* Begin elsewhere than at 0. Packed: a slot, and its lap's wrap counter. */
void rd_start_at(struct rd *r, uint16_t idx, bool wrap);
uint32_t rd_base(const struct rd *r);
/* One entry of a packed ring; the head of what rd_publish() publishes is held back. */
void rd_put_packed(struct rd *r, const struct rd_sg *sg, uint16_t id, uint16_t flags);
struct rd_sg rd_fill_table(struct rd *r, uint16_t id, const struct rd_sg *sg, uint32_t n,
			   uint16_t dir);
/*
 * Give the device a chain of n pieces, n > 0; it sees it after rd_publish(). Returns the chain's
 * id or -1 when the ring has no room. `write`: for the device to write.
 */
int rd_add(struct rd *r, const struct rd_sg *sg, uint32_t n, enum rd_form form, bool write,
	   uint64_t cookie);
void rd_publish(struct rd *r);

/* A chain that came back. */
struct rd_done {
	uint16_t id;
	uint32_t len;
	uint64_t cookie;
	bool write;	/* packed: the used entry says that len counts */
	bool batched;	/* retired by the entry of a later chain */
};

/*
 * Take back chains: those of one used entry, more than one only with IN_ORDER. Returns how many
 * were stored in d, which has room for the ring.
 */
uint32_t rd_pop(struct rd *r, struct rd_done *d);

/* The device for a ring. */
struct dev {
	struct virtq_dev *vq;
	struct virtq_ring *ring;
	int callfd, errfd;
};

struct virtq_ring_config dev_config(const struct dev *d, const struct rd *r);
void dev_start(struct dev *d, const struct rd *r);
void dev_stop(struct dev *d);
/* How often an eventfd was signalled since it was last asked. */
uint64_t fd_count(int fd);
/* Numbers that look random and are the same in every run. */
uint32_t rd_random(uint64_t *state);
/* Of so many rounds at random, or packets: all, or one in RIG_SHARE of the environment. */
uint32_t rd_rounds(uint32_t n);

#endif /* RIG_GUEST_H */
