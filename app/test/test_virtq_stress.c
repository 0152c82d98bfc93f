/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Both sides of a ring at once, each in a thread of its own, for as long as it takes to go round
 * the ring thousands of times. Payloads are numbered, and either side sleeps when there is nothing
 * to do: what comes too early, too late, twice or torn is found, and so is a lost notification.
 */
#include <poll.h>
#include <pthread.h>
#include <sched.h>

#include "rig_expect.h"
#include "rig_loop.h"
#include "virtq_dev_kicks.h"
#include "virtq_drv_bulk.h"
#include "virtq_drv_calls.h"

#define SIZE 16
#define WORDS 8			/* of 64 bits, in each buffer */
#define BUF (8 * WORDS)		/* bytes */
#define PACKETS 300000
#define LOOKS 64		/* of which one ends in sleep */
#define LONG_MS 10000		/* nobody is kept waiting for so long, however slow the machine */

/* One ring. Of what follows `failed` the first part is the driver's, the other the device's. */
struct bed {
	struct rig_loop s;
	bool write;		/* buffers for the device to write */
	int kickfd, callfd;
	uint32_t failed;	/* atomic; what a thread found wrong first, as a line number */
	uint32_t offered, taken;
	uint64_t *spare[SIZE];	/* stack of buffers */
	uint32_t nspare, drv_naps;
	uint64_t drv_seed;
	uint32_t used, dev_naps;
	uint64_t dev_seed;
};

static bool
goes_on(const struct bed *b, uint32_t done)
{
	return done < PACKETS && __atomic_load_n(&b->failed, __ATOMIC_RELAXED) == 0;
}

static void
put_number(uint64_t *word, uint32_t number)
{
	for (uint32_t i = 0; i < WORDS; i++)
		word[i] = (uint64_t)number << 8 | i;
}

static bool
has_number(const uint64_t *word, uint32_t number)
{
	for (uint32_t i = 0; i < WORDS; i++)
		if (word[i] != ((uint64_t)number << 8 | i))
			return false;
	return true;
}

static void
bed_open(struct bed *b, uint64_t features, bool write)
{
	*b = (struct bed){.write = write, .drv_seed = 7, .dev_seed = 11};
	b->kickfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	b->callfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	rig_loop_open(&b->s, SIZE, features, 4096, b->kickfd, b->callfd);
	for (; b->nspare < SIZE; b->nspare++)
		b->spare[b->nspare] = (uint64_t *)(void *)(b->s.mem + b->s.l.bytes +
							   b->nspare * BUF);
}

static void
bed_close(struct bed *b)
{
	while (virtq_drv_detach(b->s.drv, SIZE) != NULL)
		;
	rig_loop_close(&b->s);
	close(b->kickfd);
	close(b->callfd);
}

/*
 * A side with nothing to do looks again at once, so that it sees what the other one does as it does
 * it, but not for ever: then the other one may have the processor, or it sleeps.
 */
enum rest { LOOK_AGAIN, YIELD, SLEEP };

static enum rest
next_rest(uint64_t *seed)
{
	const uint64_t r = rd_random(seed) % LOOKS;

	return r > 1 ? LOOK_AGAIN : r == 1 ? YIELD : SLEEP;
}

static void
sleep_on(struct bed *b, int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	EXPECT(b, poll(&p, 1, LONG_MS) == 1);
}

static uint64_t
buffer_iova(const struct bed *b, const uint64_t *buf)
{
	return LOOP_IOVA + (uintptr_t)buf - (uintptr_t)b->s.mem;
}

/* As a burst does it. */
static void
offer_bulk(struct bed *b, uint32_t n, uint16_t flags, bool packed)
{
	struct virtq_drv_bulk bulk = virtq_drv_bulk_begin(b->s.drv, b->s.drv_ring);

	while (bulk.n < n) {
		uint64_t *buf = b->spare[--b->nspare];

		if (!b->write)
			put_number(buf, b->offered);
		b->offered++;
		b->s.drv->cookie[bulk.id] = buf;
		virtq_drv_bulk_put(b->s.drv, &bulk, buffer_iova(b, buf), BUF, flags, packed);
	}
	virtq_drv_bulk_end(b->s.drv, b->s.drv_ring, &bulk, flags, packed);
}

/* A chain of two. */
static void
offer_chain(struct bed *b, uint16_t flags, bool packed)
{
	uint64_t *buf = b->spare[--b->nspare];
	const uint64_t iova = buffer_iova(b, buf);
	const struct virtq_drv_seg seg[2] = {{iova, 8}, {iova + 8, BUF - 8}};

	if (!b->write)
		put_number(buf, b->offered);
	b->offered++;
	virtq_drv_add(b->s.drv, b->s.drv_ring, buf, seg, 2, flags, packed);
}

/* Some of those that there is room for. */
static bool
offer_some(struct bed *b, bool packed)
{
	const uint16_t flags = b->write ? VRING_DESC_F_WRITE : 0;
	uint32_t n = PACKETS - b->offered;

	if (n > b->nspare)
		n = b->nspare;
	if (rd_random(&b->drv_seed) % 4 == 0 && n > 0 && b->s.drv->num_free >= 2) {
		offer_chain(b, flags, packed);
	} else {
		if (n > b->s.drv->num_free)
			n = b->s.drv->num_free;
		if (n > 0)
			offer_bulk(b, 1 + rd_random(&b->drv_seed) % n, flags, packed);
	}
	if (!virtq_drv_publish(b->s.drv, b->s.drv_ring, packed))
		return false;
	virtq_drv_kick(b->s.drv, b->s.drv_ring, packed);
	return true;
}

/* The next used entry's id and length. */
static bool
look_used(struct bed *b, uint32_t *id, uint32_t *len, bool packed)
{
	if (!packed && virtq_drv_used_split(b->s.drv, b->s.drv_ring) == 0)
		return false;
	return virtq_drv_used_entry(b->s.drv, b->s.drv_ring, 0, id, len, packed);
}

static bool
take_back(struct bed *b, bool packed)
{
	const uint32_t before = b->taken;
	uint32_t id, len;

	while (look_used(b, &id, &len, packed)) {
		uint64_t *buf;

		EXPECT(b, virtq_drv_outstanding(b->s.drv, b->s.drv_ring, id));
		if (!goes_on(b, b->taken))
			return false;
		buf = virtq_drv_pop_used(b->s.drv, b->s.drv_ring, (uint16_t)id, packed);
		EXPECT(b, len == (b->write ? BUF : 0));
		EXPECT(b, has_number(buf, b->taken));
		b->spare[b->nspare++] = buf;
		b->taken++;
	}
	EXPECT(b, b->s.drv->cursor.broken == VIRTQ_OK);
	return b->taken != before;
}

static void
drive_ring(struct bed *b, bool packed)
{
	while (goes_on(b, b->taken)) {
		const bool took = take_back(b, packed);
		enum rest rest;

		if (offer_some(b, packed) || took || !goes_on(b, b->taken))
			continue;
		rest = next_rest(&b->drv_seed);
		if (rest == YIELD)
			sched_yield();
		if (rest != SLEEP)
			continue;
		fd_count(b->callfd);
		if (virtq_drv_calls_on(b->s.drv, b->s.drv_ring)) {
			b->drv_naps++;
			sleep_on(b, b->callfd);
		}
		virtq_drv_calls_off(b->s.drv, b->s.drv_ring);
	}
}

static void *
drive(void *arg)
{
	struct bed *b = arg;

	if (b->s.packed)
		drive_ring(b, true);
	else
		drive_ring(b, false);
	return NULL;
}

/* What the device finds in a chain, or leaves there. */
static void
use_chain(struct bed *b, struct virtq_chain *c)
{
	const struct virtq_seg whole = {c->addr, c->len};
	const struct virtq_seg *seg = c->nseg > 1 ? &b->s.dev->segs[c->seg] : &whole;
	uint64_t word[WORDS];
	uint32_t at = 0;

	EXPECT(b, c->total == BUF && c->fault == VIRTQ_FAULT_NONE);
	put_number(word, b->used);
	for (uint16_t i = 0; i < c->nseg && at + seg[i].len <= BUF; at += seg[i++].len) {
		if (b->write)
			memcpy(seg[i].addr, (uint8_t *)word + at, seg[i].len);
		else
			virtq_copy_out((uint8_t *)word + at, seg[i].addr, seg[i].len);
	}
	EXPECT(b, at == BUF && has_number(word, b->used));
	c->written = b->write ? BUF : 0;
	b->used++;
}

static bool
use_some(struct bed *b, bool packed, bool write)
{
	struct virtq_fetch f = virtq_dev_fetch_begin(b->s.dev, NULL);
	struct virtq_chain c[SIZE];
	uint16_t n = 1 + rd_random(&b->dev_seed) % SIZE;

	virtq_dev_begin(b->s.dev, b->s.dev_ring);
	n = virtq_dev_fetch(b->s.dev, b->s.dev_ring, &f, c, n, packed, write,
			    virtq_dev_prefetch_nothing);
	EXPECT(b, f.err == VIRTQ_OK);
	if (n == 0)
		return false;
	for (uint16_t i = 0; i < n; i++)
		use_chain(b, &c[i]);
	virtq_dev_complete(b->s.dev, b->s.dev_ring, c, n, packed, write, false);
	virtq_dev_notify(b->s.dev, b->s.dev_ring, packed);
	return true;
}

static void
serve_ring(struct bed *b, bool packed, bool write)
{
	while (goes_on(b, b->used)) {
		enum rest rest;

		if (use_some(b, packed, write))
			continue;
		rest = next_rest(&b->dev_seed);
		if (rest == YIELD)
			sched_yield();
		if (rest != SLEEP)
			continue;
		fd_count(b->kickfd);
		if (virtq_dev_kicks_on(b->s.dev, b->s.dev_ring)) {
			b->dev_naps++;
			sleep_on(b, b->kickfd);
		}
		virtq_dev_kicks_off(b->s.dev, b->s.dev_ring);
	}
}

static void *
serve(void *arg)
{
	struct bed *b = arg;

	if (b->s.packed && b->write)
		serve_ring(b, true, true);
	else if (b->s.packed)
		serve_ring(b, true, false);
	else
		serve_ring(b, false, b->write);
	return NULL;
}

static void
exchange(uint64_t features)
{
	for (int write = 0; write < 2; write++) {
		pthread_t driver, device;
		struct bed b;

		bed_open(&b, features, write);
		assert_int_equal(pthread_create(&driver, NULL, drive, &b), 0);
		assert_int_equal(pthread_create(&device, NULL, serve, &b), 0);
		pthread_join(driver, NULL);
		pthread_join(device, NULL);
		if (b.failed != 0)
			fail_msg("line %u: %u offered, %u used, %u taken back", b.failed, b.offered,
				 b.used, b.taken);
		assert_int_equal(b.taken, PACKETS);
		assert_true(b.drv_naps > PACKETS / 1000 && b.dev_naps > PACKETS / 1000);
		bed_close(&b);
	}
}

static void
split(void **state)
{
	exchange(0);
}

static void
split_event_idx(void **state)
{
	exchange(F_EVENT_IDX);
}

static void
packed(void **state)
{
	exchange(F_PACKED);
}

static void
packed_event_idx(void **state)
{
	exchange(F_PACKED | F_EVENT_IDX);
}

/* The driver orders as for a device that is no processor. */
static void
split_order_platform(void **state)
{
	exchange(F_EVENT_IDX | F_ORDER);
}

static void
packed_order_platform(void **state)
{
	exchange(F_PACKED | F_EVENT_IDX | F_ORDER);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(split),
		cmocka_unit_test(split_event_idx),
		cmocka_unit_test(packed),
		cmocka_unit_test(packed_event_idx),
		cmocka_unit_test(split_order_platform),
		cmocka_unit_test(packed_order_platform),
	};

	return cmocka_run_group_tests_name("virtq_stress", tests, NULL, NULL);
}
