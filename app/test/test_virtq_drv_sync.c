/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands one at a time, against a device of a few lines; both layouts, many times around. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "virtq_drv_sync.h"

#define SIZE 4
#define IOVA 0x700000000000ull
#define READ 0x1000u
#define WRITE 0x2000u

static struct virtq_drv *drv;
static struct virtq_ring *ring;
static void *memory;
static struct {
	uint16_t idx;
	bool wrap;
} dev;

static void
start(bool packed)
{
	struct virtq_ring_config cfg = {
		.size = SIZE,
		.features = VIRTQ_BIT(VIRTIO_F_VERSION_1) |
			    (packed ? VIRTQ_BIT(VIRTIO_F_RING_PACKED) : 0),
		.enabled = true,
		.callfd = -1,
		.errfd = -1,
		.wakefd = -1,
		.qid = 2,
	};
	struct virtq_drv_layout layout;

	virtq_drv_layout(SIZE, packed, &layout);
	memory = aligned_alloc(4096, layout.bytes);
	drv = aligned_alloc(64, (sizeof(*drv) + 63) & ~63ul);
	assert_non_null(memory);
	assert_non_null(drv);
	memset(drv, 0, sizeof(*drv));
	assert_int_equal(virtq_drv_init(drv, memory, IOVA, &cfg, &ring), 0);
	dev.idx = 0;
	dev.wrap = true;
}

static int
stop_ring(void **state)
{
	virtq_drv_fini(drv);
	virtq_ring_free(ring);
	free(drv);
	free(memory);
	return 0;
}

static void
check_desc(struct virtq_desc d, uint16_t flags, uint64_t addr, uint32_t len, uint16_t want)
{
	assert_true(d.addr == addr);
	assert_int_equal(d.len, len);
	assert_int_equal(flags & (VRING_DESC_F_NEXT | VRING_DESC_F_WRITE), want);
}

/* Take one command, see that it is what was sent, complete it under an id of the caller's. */
static void
serve_split(uint32_t bad_id, uint16_t jump)
{
	uint16_t head = ring->avail->ring[dev.idx % SIZE];
	struct virtq_desc first = virtq_load_desc(&ring->desc[head]);
	struct virtq_desc last = virtq_load_desc(&ring->desc[first.split.next]);

	assert_int_equal((uint16_t)(ring->avail->idx - dev.idx), 1);
	check_desc(first, first.split.flags, READ, 9, VRING_DESC_F_NEXT);
	check_desc(last, last.split.flags, WRITE, 1, VRING_DESC_F_WRITE);
	ring->used->ring[dev.idx % SIZE].id = head + bad_id;
	ring->used->ring[dev.idx % SIZE].len = 1;
	dev.idx++;
	ring->used->idx = dev.idx + jump;
}

static void
serve_packed(uint16_t bad_id)
{
	uint16_t at = dev.idx, phase = dev.wrap ? VIRTQ_BIT(15) : 0;
	struct virtq_desc first = virtq_load_desc(&ring->pdesc[at]), last;

	assert_int_equal((first.packed.flags >> 7) & 1, dev.wrap);
	assert_int_equal((first.packed.flags >> 15) & 1, !dev.wrap);
	check_desc(first, first.packed.flags, READ, 9, VRING_DESC_F_NEXT);
	for (unsigned int i = 0; i < 2; i++)
		if (++dev.idx == SIZE) {
			dev.idx = 0;
			dev.wrap = !dev.wrap;
		}
	last = virtq_load_desc(&ring->pdesc[(at + 1) % SIZE]);
	check_desc(last, last.packed.flags, WRITE, 1, VRING_DESC_F_WRITE);
	ring->pdesc[at].id = last.packed.id + bad_id;
	ring->pdesc[at].flags = phase | phase >> 8;
}

static int
send_one(void)
{
	const struct virtq_drv_seg read = {READ, 9}, write = {WRITE, 1};

	return virtq_drv_sync_send(drv, ring, &read, &write);
}

static void
test_split(void **state)
{
	start(false);
	for (unsigned int i = 0; i < 5 * SIZE; i++) {
		assert_int_equal(virtq_drv_sync_done(drv, ring), 0);
		assert_int_equal(send_one(), 0);
		assert_int_equal(send_one(), -EBUSY);
		assert_int_equal(virtq_drv_sync_done(drv, ring), 0);
		serve_split(0, 0);
		assert_int_equal(virtq_drv_sync_done(drv, ring), 1);
	}
}

static void
test_packed(void **state)
{
	start(true);
	for (unsigned int i = 0; i < 5 * SIZE; i++) {
		assert_int_equal(virtq_drv_sync_done(drv, ring), 0);
		assert_int_equal(send_one(), 0);
		assert_int_equal(send_one(), -EBUSY);
		assert_int_equal(virtq_drv_sync_done(drv, ring), 0);
		serve_packed(0);
		assert_int_equal(virtq_drv_sync_done(drv, ring), 1);
	}
}

/* The device names what is not outstanding, or more than there is: the ring is over. */
static void
test_lies(void **state)
{
	start(false);
	assert_int_equal(send_one(), 0);
	serve_split(1, 0);
	assert_int_equal(virtq_drv_sync_done(drv, ring), -EIO);
	assert_int_equal(send_one(), -EIO);
	stop_ring(state);
	start(false);
	assert_int_equal(send_one(), 0);
	serve_split(0, SIZE);
	assert_int_equal(virtq_drv_sync_done(drv, ring), -EIO);
	stop_ring(state);
	start(true);
	assert_int_equal(send_one(), 0);
	serve_packed(1000);
	assert_int_equal(virtq_drv_sync_done(drv, ring), -EIO);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_split, stop_ring),
		cmocka_unit_test_teardown(test_packed, stop_ring),
		cmocka_unit_test_teardown(test_lies, stop_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
