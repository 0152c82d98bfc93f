/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Access to memory that a peer can write. Nothing else dereferences it.
 *
 * Every load happens exactly once, whatever the optimiser would like; what is loaded is checked by
 * the caller and used from the copy. Barriers are lettered; each names its partner in the
 * driver's half of the protocol (VIRTIO 1.2, 2.7.13 and 2.8.21).
 */
#ifndef VIRTQ_SHARED_H
#define VIRTQ_SHARED_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "virtq_arch.h"
#include "virtq_compat.h"

#define virtq_likely(x) __builtin_expect(!!(x), 1)
#define virtq_unlikely(x) __builtin_expect(!!(x), 0)
/* Of a side's functions each caller has an instance of its own, with the layout as a literal. */
#define VIRTQ_INLINE static inline __attribute__((always_inline))

static inline uint8_t
virtq_load8(const uint8_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline uint16_t
virtq_load16(const uint16_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline uint32_t
virtq_load32(const void *p)
{
	return __atomic_load_n((const uint32_t *)p, __ATOMIC_RELAXED);
}

static inline uint64_t
virtq_load64(const void *p)
{
	return __atomic_load_n((const uint64_t *)p, __ATOMIC_RELAXED);
}

/* Barrier A: what the driver wrote before its index or flags is visible after this load. */
static inline uint16_t
virtq_load16_acquire(const uint16_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

/* Length, id and flags of a packed descriptor. */
static inline uint64_t
virtq_load64_acquire(const void *p)
{
	uint64_t v = __atomic_load_n((const uint64_t *)p, __ATOMIC_ACQUIRE);

	/* Whoever released the flags alone did so elsewhere, as TSan sees it. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
	(void)__atomic_load_n((const uint16_t *)p + 3, __ATOMIC_ACQUIRE);
#endif
#endif
	return v;
}

/* Four words at any multiple of four bytes, read once. */
typedef uint32_t virtq_u32x4 __attribute__((vector_size(16)));

static inline virtq_u32x4
virtq_load32x4(const void *p)
{
	typedef uint32_t u32x4 __attribute__((vector_size(16), aligned(4), may_alias));

	return *(const volatile u32x4 *)p;
}

/* The first 8 bytes of a buffer, at any alignment, read once. */
static inline uint64_t
virtq_peek64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	__asm__("" : "+r"(v)); /* the compiler may not read it again instead */
	return v;
}

/* Copy out of a buffer; what is checked afterwards is the copy. */
static inline void
virtq_copy_out(void *to, const void *from, size_t len)
{
	memcpy(to, from, len);
	__asm__ volatile("" ::: "memory");
}

static inline void
virtq_store16(uint16_t *p, uint16_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELAXED);
}

static inline void
virtq_store64(void *p, uint64_t v)
{
	__atomic_store_n((uint64_t *)p, v, __ATOMIC_RELAXED);
}

/* Barrier B: everything written so far (data, used elements) is visible before this store. */
static inline void
virtq_store8_release(uint8_t *p, uint8_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static inline void
virtq_store16_release(uint16_t *p, uint16_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static inline void
virtq_store64_release(void *p, uint64_t v)
{
	__atomic_store_n((uint64_t *)p, v, __ATOMIC_RELEASE);
}

/*
 * Barrier C: the index just published is visible before the suppression words are read; pairs
 * with the driver's barrier between arming an event and looking at the ring again.
 */
static inline void
virtq_barrier_event(void)
{
	virtq_arch_mb();
}

/* Bytes [p, p + len) will be read soon. */
VIRTQ_INLINE void
virtq_prefetch_range(const void *p, uint32_t len)
{
	for (uint32_t off = 0; off < len; off += VIRTQ_CACHE_LINE)
		__builtin_prefetch((const uint8_t *)p + off, 0, 3);
}

/* Bytes [p, p + len) will be written soon; they wait in the other core's cache. */
VIRTQ_INLINE void
virtq_prefetch_write_range(const void *p, uint32_t len)
{
	for (uint32_t off = 0; off < len; off += VIRTQ_CACHE_LINE)
		virtq_arch_prefetch_write((const uint8_t *)p + off);
}

/*
 * A descriptor as two loads. Both layouts keep the address in the first half and the length in
 * the low half of the second; packed has id and flags behind it, split flags and next.
 */
struct virtq_desc {
	uint64_t addr;
	uint32_t len;
	union {
		struct {
			uint16_t flags, next;
		} split;
		struct {
			uint16_t id, flags;
		} packed;
	};
};

_Static_assert(sizeof(struct virtq_desc) == sizeof(struct vring_desc), "descriptor");
_Static_assert(sizeof(struct virtq_desc) == sizeof(struct vring_packed_desc), "descriptor");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "rings are read as little-endian");

static inline struct virtq_desc
virtq_desc_of(uint64_t addr, uint64_t meta)
{
	struct virtq_desc d = {.addr = addr, .len = (uint32_t)meta};

	d.split.flags = (uint16_t)(meta >> 32);
	d.split.next = (uint16_t)(meta >> 48);
	return d;
}

/* Flags of a packed descriptor that say, with the wrap counter, whose it is. VIRTIO 1.2, 2.8.1 */
#define VIRTQ_PACKED_AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define VIRTQ_PACKED_USED (1u << VRING_PACKED_DESC_F_USED)
#define VIRTQ_PACKED_PHASES (VIRTQ_PACKED_AVAIL | VIRTQ_PACKED_USED)

/* Copy out one descriptor of either layout, each half loaded once. */
static inline struct virtq_desc
virtq_load_desc(const void *p)
{
	return virtq_desc_of(virtq_load64(p), virtq_load64((const uint8_t *)p + 8));
}

/* Whether an event index was passed when going from `old` to `now` (VIRTIO 1.2, 2.7.10). */
static inline bool
virtq_event_passed(uint16_t event, uint16_t now, uint16_t old)
{
	return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

/*
 * The same for the two halves of a packed ring's event suppression area, loaded as one word. `now`
 * is where the ring stands and `wrap` the wrap counter there, `old` where it stood before.
 */
static inline bool
virtq_event_passed_packed(uint32_t event, uint16_t now, bool wrap, uint16_t old, uint16_t size)
{
	uint16_t off = event & 0x7fff;

	/* Bring event, old and now to one scale, on which now is in the current lap. */
	if (old >= now)
		old -= size;
	if (((event >> 15) & 1) != wrap)
		off -= size;
	return virtq_event_passed(off, now, old);
}

#endif /* VIRTQ_SHARED_H */
