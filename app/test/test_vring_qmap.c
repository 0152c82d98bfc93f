/* SPDX-License-Identifier: BSD-3-Clause */
/* Queue maps: for all numbers of queues and rings, each ring is served and none twice unlocked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vring_be_queue.h"
#include "vring_qmap.h"

#define PAIRS 6

static struct virtq_cursor cursors[2 * PAIRS];
static struct virtq_ring rings[2 * PAIRS];
static struct vring_port_vring vrings[2 * PAIRS];
static struct vring_poll_set *sets[PAIRS];

static int
setup(void **state)
{
	unsigned int i;

	memset(vrings, 0, sizeof(vrings));
	for (i = 0; i < 2 * PAIRS; i++) {
		vrings[i].cursor = &cursors[i];
		rings[i].qid = i;
		rings[i].hdr_len = 12;
		rings[i].enabled = true;
	}
	for (i = 0; i < PAIRS; i++)
		sets[i] = calloc(1, vring_qmap_size(PAIRS));
	return 0;
}

static int
teardown(void **state)
{
	unsigned int i;

	for (i = 0; i < PAIRS; i++)
		free(sets[i]);
	return 0;
}

/* Bit j: pair j runs. */
static void
run_pairs(unsigned int mask)
{
	unsigned int j;

	for (j = 0; j < PAIRS; j++) {
		vrings[2 * j].ring = mask & 1u << j ? &rings[2 * j] : NULL;
		vrings[2 * j + 1].ring = mask & 1u << j ? &rings[2 * j + 1] : NULL;
	}
}

static void
check_rx(unsigned int mask, unsigned int n)
{
	unsigned int i, k, seen = 0;

	for (i = 0; i < n; i++) {
		vring_qmap_rx(&vring_be_queue_ops, vrings, PAIRS, i, n, 0, sets[i]);
		for (k = 0; k < sets[i]->n; k++) {
			unsigned int qid = sets[i]->entry[k].ring->qid;

			assert_int_equal(qid % 2, 1);
			assert_int_equal(qid / 2 % n, i);
			assert_ptr_equal(sets[i]->entry[k].cursor, &cursors[qid]);
			assert_non_null(sets[i]->entry[k].rx);
			assert_null(sets[i]->entry[k].lock);
			assert_false(seen & 1u << qid / 2);
			seen |= 1u << qid / 2;
		}
	}
	assert_int_equal(seen, mask);
}

static void
test_rx(void **state)
{
	unsigned int mask, n;

	for (mask = 0; mask < 1u << PAIRS; mask++)
		for (n = 1; n <= PAIRS; n++) {
			run_pairs(mask);
			check_rx(mask, n);
		}
}

static void
check_tx(unsigned int mask, unsigned int n)
{
	unsigned int i, served = 0, users[PAIRS] = { 0 };

	for (i = 0; i < n; i++) {
		vring_qmap_tx(&vring_be_queue_ops, vrings, PAIRS, i, n, VNET_DROP_DISABLED,
			      sets[i]);
		if (mask == 0) {
			assert_int_equal(sets[i]->n, 0);
			assert_int_equal(sets[i]->why, VNET_DROP_DISABLED);
			continue;
		}
		assert_int_equal(sets[i]->n, 1);
		assert_int_equal(sets[i]->entry[0].ring->qid % 2, 0);
		assert_non_null(sets[i]->entry[0].tx);
		users[sets[i]->entry[0].ring->qid / 2]++;
	}
	for (i = 0; i < n && mask != 0; i++) {
		unsigned int qid = sets[i]->entry[0].ring->qid;
		bool shared = users[qid / 2] > 1;

		assert_ptr_equal(sets[i]->entry[0].lock, shared ? &vrings[qid].lock : NULL);
	}
	for (i = 0; i < PAIRS; i++) {
		assert_false(users[i] > 0 && !(mask & 1u << i));
		served += users[i] > 0;
	}
	/* Enough queues reach every ring; too few are spread over as many rings. */
	assert_int_equal(served, RTE_MIN(n, (unsigned int)__builtin_popcount(mask)));
}

static void
test_tx(void **state)
{
	unsigned int mask, n;

	for (mask = 0; mask < 1u << PAIRS; mask++)
		for (n = 1; n <= PAIRS; n++) {
			run_pairs(mask);
			check_tx(mask, n);
		}
}

/* A queue that chooses for each packet has every ring, with a lock where it is not alone. */
static void
test_tx_all(void **state)
{
	for (unsigned int mask = 0; mask < 1u << PAIRS; mask++)
		for (unsigned int n = 1; n <= 2; n++) {
			unsigned int seen = 0;

			run_pairs(mask);
			vring_qmap_tx_all(&vring_be_queue_ops, vrings, PAIRS, n,
					  VNET_DROP_DISABLED, sets[0]);
			for (unsigned int k = 0; k < sets[0]->n; k++) {
				const unsigned int qid = sets[0]->entry[k].ring->qid;

				assert_int_equal(qid % 2, 0);
				assert_ptr_equal(sets[0]->entry[k].lock,
						 n > 1 ? &vrings[qid].lock : NULL);
				assert_ptr_equal(sets[0]->entry[k].cursor, &cursors[qid]);
				assert_non_null(sets[0]->entry[k].tx);
				seen |= 1u << qid / 2;
			}
			assert_int_equal(seen, mask);
			assert_int_equal(sets[0]->n, __builtin_popcount(mask));
			assert_int_equal(sets[0]->why, VNET_DROP_DISABLED);
		}
}

/* A disabled ring is read, so that what the guest sends ends somewhere, and never written. */
static void
test_disabled(void **state)
{
	run_pairs(3);
	rings[0].enabled = false;
	rings[1].enabled = false;
	vring_qmap_rx(&vring_be_queue_ops, vrings, PAIRS, 0, 1, 0, sets[0]);
	assert_int_equal(sets[0]->n, 2);
	vring_qmap_tx(&vring_be_queue_ops, vrings, PAIRS, 0, 1, VNET_DROP_DISABLED, sets[0]);
	assert_int_equal(sets[0]->n, 1);
	assert_int_equal(sets[0]->entry[0].ring->qid, 2);
}

static void
test_compare(void **state)
{
	run_pairs(3);
	vring_qmap_tx(&vring_be_queue_ops, vrings, PAIRS, 0, 1, VNET_DROP_NO_GUEST, sets[0]);
	vring_qmap_tx(&vring_be_queue_ops, vrings, PAIRS, 0, 1, VNET_DROP_NO_GUEST, sets[1]);
	assert_true(vring_qmap_same(sets[0], sets[1]));
	/* Another run on the same ring: nothing moved, yet it is not the same. */
	vrings[0].ring = &rings[4];
	vring_qmap_tx(&vring_be_queue_ops, vrings, PAIRS, 0, 1, VNET_DROP_NO_GUEST, sets[1]);
	assert_false(vring_qmap_moved(sets[0], sets[1]));
	assert_false(vring_qmap_same(sets[0], sets[1]));
	/* A second user: the ring is not held in the same way any more. */
	run_pairs(1);
	vring_qmap_tx(&vring_be_queue_ops, vrings, PAIRS, 0, 2, VNET_DROP_NO_GUEST, sets[1]);
	assert_true(vring_qmap_moved(sets[0], sets[1]));
	assert_true(vring_qmap_moved(sets[0], NULL));
	assert_false(vring_qmap_same(NULL, sets[0]));
	assert_true(vring_qmap_same(NULL, NULL));
	/* Empty sets differ by what becomes of packets. */
	run_pairs(0);
	vring_qmap_tx(&vring_be_queue_ops, vrings, PAIRS, 0, 1, VNET_DROP_NO_GUEST, sets[0]);
	vring_qmap_tx(&vring_be_queue_ops, vrings, PAIRS, 0, 1, VNET_DROP_DISABLED, sets[1]);
	assert_false(vring_qmap_moved(sets[0], sets[1]));
	assert_false(vring_qmap_same(sets[0], sets[1]));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rx, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tx, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tx_all, setup, teardown),
		cmocka_unit_test_setup_teardown(test_disabled, setup, teardown),
		cmocka_unit_test_setup_teardown(test_compare, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
