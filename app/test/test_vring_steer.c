/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets of one transmit queue dealt out to rings that take as many as they are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <netinet/in.h>

#include <rte_mbuf.h>

#include "vring_be_queue.h"
#include "vring_qmap.h"
#include "vring_role.h"
#include "vring_rxtx.h"
#include "vring_steer.h"

#define RINGS 5
#define PACKETS 200
#define BURSTS 20

static struct vring_poll_set *set;
static struct virtq_cursor cursors[RINGS];
static uint32_t room[RINGS];
static struct rte_mbuf *taken[RINGS][PACKETS + 1];
static unsigned int count[RINGS];
static struct rte_mbuf mbufs[PACKETS], *pkts[PACKETS];
static struct vring_port port;
static struct vring_txq txq;

const struct vring_queue_ops *
vring_role_queue_ops(const struct vring_port *p)
{
	return &vring_be_queue_ops;
}

static uint16_t
ring_tx(struct vnet_txq *q, struct virtq_cursor *cursor, const struct virtq_ring *ring,
	struct rte_mbuf **p, uint16_t n)
{
	const unsigned int i = cursor - cursors;
	const uint16_t done = RTE_MIN((uint32_t)n, room[i]);

	memcpy(&taken[i][count[i]], p, done * sizeof(p[0]));
	count[i] += done;
	room[i] -= done;
	return done;
}

/* n rings with room for so many packets each, and packets of `flows` flows in turn. */
static void
set_up(uint16_t n, uint32_t each, uint32_t flows)
{
	memset(&txq, 0, sizeof(txq));
	memset(set, 0, vring_qmap_size(RINGS));
	memset(count, 0, sizeof(count));
	vring_steer_open(&port);
	txq.q.port = &port;
	txq.q.rcu.ptr = set;
	set->n = n;
	set->why = VNET_DROP_NO_GUEST;
	for (unsigned int i = 0; i < n; i++) {
		set->entry[i].cursor = &cursors[i];
		set->entry[i].tx = ring_tx;
		room[i] = each;
	}
	for (uint32_t i = 0; i < PACKETS; i++) {
		memset(&mbufs[i], 0, sizeof(mbufs[i]));
		mbufs[i].ol_flags = RTE_MBUF_F_RX_RSS_HASH;
		mbufs[i].hash.rss = i % flows;
		mbufs[i].dynfield1[0] = i;
		mbufs[i].nb_segs = 1;
		mbufs[i].refcnt = 2; /* who frees it leaves 1 */
		pkts[i] = &mbufs[i];
	}
}

/* The ring that takes a packet of this hash; no trace of it is left. */
static unsigned int
ring_of(uint32_t hash)
{
	struct rte_mbuf m = { .ol_flags = RTE_MBUF_F_RX_RSS_HASH, .nb_segs = 1 }, *p = &m;
	unsigned int i = 0;
	uint32_t before[RINGS];

	m.hash.rss = hash;
	memcpy(before, room, sizeof(before));
	assert_int_equal(vring_steer_tx_burst(&txq, &p, 1), 1);
	while (room[i] == before[i])
		i++;
	room[i]++;
	count[i]--;
	return i;
}

/* As set_up(), with flow i on ring i. */
static void
set_up_aimed(uint16_t n, uint32_t each)
{
	uint32_t hash[RINGS];

	set_up(n, each, n);
	for (unsigned int i = 0; i < n; i++)
		for (hash[i] = 0; ring_of(hash[i]) != i; hash[i]++)
			assert_uint_in_range(hash[i], 0, 1000);
	memset(&txq.tx.stats, 0, sizeof(txq.tx.stats));
	for (uint32_t i = 0; i < PACKETS; i++)
		mbufs[i].hash.rss = hash[i % n];
}

/* Packets of a flow are on one ring, in their order. */
static void
check_flows(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		for (unsigned int k = 0; k < count[i]; k++) {
			assert_int_equal(ring_of(taken[i][k]->hash.rss), i);
			if (k > 0)
				assert_true(taken[i][k - 1]->dynfield1[0] <
					    taken[i][k]->dynfield1[0]);
		}
}

static void
flows_keep_their_order(void **state)
{
	for (uint16_t n = 1; n <= RINGS; n++) {
		set_up(n, PACKETS + 1, 40);
		assert_int_equal(vring_steer_tx_burst(&txq, pkts, PACKETS), PACKETS);
		check_flows(n);
	}
}

/* As many hashes as BURSTS have packets; the k-th is k steps. */
static void
check_spread(uint16_t n, uint32_t step)
{
	const unsigned int even = BURSTS * PACKETS / n;
	unsigned int total[RINGS] = { 0 };
	uint32_t hash = 0;

	for (int b = 0; b < BURSTS; b++) {
		memset(count, 0, sizeof(count));
		for (unsigned int i = 0; i < PACKETS; i++, hash += step)
			mbufs[i].hash.rss = hash;
		assert_int_equal(vring_steer_tx_burst(&txq, pkts, PACKETS), PACKETS);
		for (unsigned int i = 0; i < n; i++)
			total[i] += count[i];
	}
	/* Seven times the standard deviation of what is random, or more. */
	for (unsigned int i = 0; i < n; i++)
		assert_uint_in_range(total[i], even - even / 4, even + even / 4);
}

/*
 * What a card has dealt out to one of 4 receive queues, or by one entry of its table of 128, has
 * those low bits in common; others differ in the low bits alone.
 */
static void
hashes_with_equal_bits_are_spread(void **state)
{
	static const uint32_t steps[] = { 1, 4, 128, 1 << 20 };

	for (uint16_t n = 1; n <= RINGS; n++)
		for (unsigned int s = 0; s < RTE_DIM(steps); s++) {
			set_up(n, BURSTS * PACKETS, 1);
			check_spread(n, steps[s]);
		}
}

static void
each_port_spreads_in_its_own_way(void **state)
{
	unsigned int ring[PACKETS], same = 0;

	set_up(4, PACKETS, 1);
	for (unsigned int i = 0; i < PACKETS; i++)
		ring[i] = ring_of(i);
	set_up(4, PACKETS, 1);
	for (unsigned int i = 0; i < PACKETS; i++)
		same += ring_of(i) == ring[i];
	assert_uint_in_range(same, 1, PACKETS / 2);
}

/* Of one full ring the packets stay the application's, whoever comes again loses none. */
static void
full_rings_refuse_their_own(void **state)
{
	uint16_t done;

	set_up_aimed(3, PACKETS);
	room[1] = 7;
	done = vring_steer_tx_burst(&txq, pkts, 48);
	assert_int_equal(done, 48 - 16 + 7);
	assert_int_equal(txq.tx.stats.refused, 9);
	assert_int_equal(count[0], 16);
	assert_int_equal(count[2], 16);
	for (unsigned int i = done; i < 48; i++)
		assert_int_equal(pkts[i]->hash.rss, mbufs[1].hash.rss);
	room[1] = PACKETS;
	assert_int_equal(vring_steer_tx_burst(&txq, pkts + done, 48 - done), 48 - done);
	assert_int_equal(count[1], 16);
	check_flows(3);
}

/* Who looks up what was sent finds each packet of the burst once, those that were sent first. */
static void
all_packets_are_still_there(void **state)
{
	static const uint16_t counts[] = { 4, 63, 64, 65, PACKETS };

	for (unsigned int c = 0; c < RTE_DIM(counts); c++) {
		bool seen[PACKETS] = { false }, sent[PACKETS] = { false };
		uint16_t done;

		set_up_aimed(2, PACKETS);
		room[0] = counts[c] / 4;
		done = vring_steer_tx_burst(&txq, pkts, counts[c]);
		assert_uint_in_range(done, 1, counts[c] - 1);
		for (unsigned int i = 0; i < 2; i++)
			for (unsigned int k = 0; k < count[i]; k++)
				sent[taken[i][k]->dynfield1[0]] = true;
		for (unsigned int i = 0; i < counts[c]; i++) {
			const uint32_t number = pkts[i]->dynfield1[0];

			assert_uint_in_range(number, 0, counts[c] - 1);
			assert_false(seen[number]);
			seen[number] = true;
			assert_int_equal(sent[number], i < done);
		}
	}
}

/* A burst longer than what is dealt out at once ends where a ring is full. */
static void
no_packet_is_lost_or_twice(void **state)
{
	uint8_t seen[PACKETS] = { 0 };
	uint16_t done;

	set_up(RINGS, 9, 17);
	done = vring_steer_tx_burst(&txq, pkts, PACKETS);
	assert_uint_in_range(done, 1, RINGS * 9);
	for (unsigned int i = 0; i < RINGS; i++)
		for (unsigned int k = 0; k < count[i]; k++)
			seen[taken[i][k]->dynfield1[0]]++;
	for (unsigned int i = done; i < PACKETS; i++)
		seen[pkts[i]->dynfield1[0]]++;
	for (unsigned int i = 0; i < PACKETS; i++)
		assert_int_equal(seen[i], 1);
}

/* What has no hash and no addresses has one ring as well. */
static void
others_go_to_the_first_ring(void **state)
{
	static uint8_t frame[64];

	set_up(RINGS, PACKETS, 1);
	for (unsigned int i = 0; i < 32; i++) {
		mbufs[i].ol_flags = 0;
		mbufs[i].hash.rss = i; /* of no meaning */
		mbufs[i].buf_addr = frame;
		mbufs[i].data_len = mbufs[i].pkt_len = sizeof(frame);
	}
	assert_int_equal(vring_steer_tx_burst(&txq, pkts, 32), 32);
	assert_int_equal(count[0], 32);
}

/* Send packets without a hash to 4 rings: addresses alone, of which each has its own. */
static void
send_addresses(void)
{
	static uint8_t frames[PACKETS][64];

	for (unsigned int i = 0; i < PACKETS; i++) {
		uint8_t *frame = frames[i];

		memset(frame, 0, sizeof(frames[i]));
		frame[12] = 0x08;
		frame[14] = 0x45;
		frame[17] = 50;
		frame[22] = 64;
		frame[23] = IPPROTO_ICMP;
		frame[26] = frame[28] = (uint8_t)i; /* two halves of an address that cancel out */
		frame[27] = frame[29] = (uint8_t)(7 * i);
		mbufs[i].ol_flags = 0;
		mbufs[i].buf_addr = frame;
		mbufs[i].data_len = mbufs[i].pkt_len = sizeof(frames[i]);
	}
	assert_int_equal(vring_steer_tx_burst(&txq, pkts, PACKETS), PACKETS);
	for (unsigned int i = 0; i < 4; i++)
		assert_uint_in_range(count[i], 1, PACKETS / 2);
}

/*
 * Flows whose addresses differ in the same bits are spread all the same: under a key that repeats
 * each 16 bits they would have one hash. And the key is no constant.
 */
static void
nobody_aims_at_a_ring(void **state)
{
	uint8_t key[VNET_HASH_KEY], zero[VNET_HASH_KEY] = { 0 };
	unsigned int same = 0;

	set_up(4, PACKETS, 1);
	send_addresses();
	vnet_hash_get_key(&port.tx_hash, key);
	assert_memory_not_equal(key, zero, sizeof(key));
	for (unsigned int i = 2; i < sizeof(key); i++)
		same += key[i] == key[i - 2];
	assert_uint_in_range(same, 0, sizeof(key) / 4);
}

/* A random key may be such that the low bits of hashes are all the same, or the high ones. */
static void
no_key_spreads_badly(void **state)
{
	static const uint8_t keys[][VNET_HASH_KEY] = {
		{ 0xff, 0xff, 0xff },
		{ 0, 0, 0, 0, 0x7f, 0xff, 0xff },
	};

	for (unsigned int i = 0; i < RTE_DIM(keys); i++) {
		set_up(4, PACKETS, 1);
		vnet_hash_set_key(&port.tx_hash, keys[i]);
		send_addresses();
	}
}

/* How many were freed; each was of this flow. */
static unsigned int
count_freed(uint32_t flow)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < PACKETS; i++)
		if (mbufs[i].refcnt == 1) {
			assert_int_equal(mbufs[i].hash.rss, flow);
			n++;
		}
	return n;
}

static void
without_a_ring_they_are_dropped(void **state)
{
	set_up(0, 0, 1);
	assert_int_equal(vring_steer_tx_burst(&txq, pkts, 32), 32);
	assert_int_equal(count_freed(0), 32);
	assert_int_equal(txq.tx.stats.drop[VNET_DROP_NO_GUEST], 32);
	txq.q.rcu.ptr = NULL;
	assert_int_equal(vring_steer_tx_burst(&txq, pkts, 32), 0);
	assert_int_equal(txq.tx.stats.refused, 32);
}

/* With retries the port drops what a full ring does not take, and takes the rest of the burst. */
static void
retries_drop_the_ring_s_own(void **state)
{
	set_up_aimed(2, PACKETS);
	txq.tx.retries = 2;
	room[1] = 4;
	assert_int_equal(vring_steer_tx_burst(&txq, pkts, 64), 64);
	assert_int_equal(count[0], 32);
	assert_int_equal(count[1], 4);
	assert_int_equal(count_freed(mbufs[1].hash.rss), 28);
	assert_int_equal(txq.tx.stats.drop[VNET_DROP_RING_FULL], 28);
}

static int
group_setup(void **state)
{
	set = calloc(1, vring_qmap_size(RINGS));
	return set == NULL ? -1 : 0;
}

static int
group_teardown(void **state)
{
	free(set);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flows_keep_their_order),
		cmocka_unit_test(hashes_with_equal_bits_are_spread),
		cmocka_unit_test(each_port_spreads_in_its_own_way),
		cmocka_unit_test(full_rings_refuse_their_own),
		cmocka_unit_test(all_packets_are_still_there),
		cmocka_unit_test(no_packet_is_lost_or_twice),
		cmocka_unit_test(nobody_aims_at_a_ring),
		cmocka_unit_test(no_key_spreads_badly),
		cmocka_unit_test(others_go_to_the_first_ring),
		cmocka_unit_test(without_a_ring_they_are_dropped),
		cmocka_unit_test(retries_drop_the_ring_s_own),
	};

	return cmocka_run_group_tests_name("vring_steer", tests, group_setup, group_teardown);
}
