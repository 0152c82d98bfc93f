/* SPDX-License-Identifier: BSD-3-Clause */
/* Sums of bytes, and which frames are plain. */
#include <rte_net.h>

#include "rig_guest_any.h"
#include "vnet_csum.h"
#include "vnet_ptype.h"

#define MOST 2100u

static uint8_t from[MOST + 64], to[MOST + 64];

/* Random, or all bytes alike. */
static void
fill(uint32_t kind, uint64_t *x)
{
	for (uint32_t i = 0; i < sizeof(from); i++)
		from[i] = kind == 0 ? 0xff : kind == 1 ? 0 : (uint8_t)(rd_random(x) >> 7);
}

/* Every length at every address, and the same over all of a large packet. */
static void
sums(void **state)
{
	uint64_t x = 1;

	for (uint32_t len = 0; len <= MOST; len++) {
		fill(len % 5, &x);
		for (uint32_t at = 0; at < 64; at += 1 + len % 9)
			assert_int_equal(vnet_csum_of(vnet_sum(from + at, len)),
					 plain_csum(from + at, len));
	}
}

static void
copies(void **state)
{
	uint64_t x = 2;

	for (uint32_t len = 0; len <= MOST; len++) {
		const uint32_t at = rd_random(&x) % 32, dest = 1 + rd_random(&x) % 31;
		uint64_t sum;

		fill(len % 5, &x);
		memset(to, 0xa5, sizeof(to));
		sum = vnet_copy_sum(to + dest, from + at, len);
		assert_int_equal(vnet_csum_of(sum), plain_csum(from + at, len));
		assert_memory_equal(to + dest, from + at, len);
		assert_int_equal(to[dest - 1], 0xa5);
		assert_int_equal(to[dest + len], 0xa5);
	}
}

/* The largest packet of the largest words: nothing runs over. */
static void
copy_of_64k(void **state)
{
	uint8_t *a = malloc(UINT16_MAX), *b = malloc(UINT16_MAX);

	memset(a, 0xff, UINT16_MAX);
	assert_int_equal(vnet_csum_of(vnet_copy_sum(b, a, UINT16_MAX)),
			 plain_csum(a, UINT16_MAX));
	assert_memory_equal(a, b, UINT16_MAX);
	assert_int_equal(vnet_csum_of(vnet_sum(a, UINT16_MAX)), plain_csum(a, UINT16_MAX));
	free(a);
	free(b);
}

/* More words than a packet has may be added before they are folded. */
static void
folds(void **state)
{
	static const uint64_t most[] = {0, 1, 0xffff, 0x10000, 0xffffffff, 0x100000000, UINT64_MAX,
					0xffff0000ffff0000, 0xfffffffffffffffe,
					0x00010000ffffffff}; /* folded, it is 0x1ffff */
	uint64_t x = 3;

	for (uint32_t i = 0; i < 100000 + RTE_DIM(most); i++) {
		const uint64_t sum = i < RTE_DIM(most) ? most[i] :
				     (uint64_t)rd_random(&x) << 32 ^ rd_random(&x);
		uint64_t by_one = sum;

		while (by_one > 0xffff)
			by_one = (by_one & 0xffff) + (by_one >> 16);
		assert_int_equal(vnet_fold(sum), by_one);
	}
}

/*
 * A frame that is said to be plain is what rte_net_get_ptype() says, has all of its headers, and
 * they end where the checksum's L4 header begins.
 */
static void
plain_types(void **state)
{
	uint32_t plain = 0, named = 0;
	static struct any f;
	uint64_t x = 4;

	for (uint32_t i = 0; i < 200000; i++) {
		struct rte_net_hdr_lens lens = {0};
		struct rte_mbuf m = {.nb_segs = 1, .buf_addr = f.data};
		uint32_t l4, csum, type, expected, least;

		any_frame(&f, ANY_MIN + rd_random(&x) % 90, &x);
		l4 = any_of(&x, 2) ? rd_random(&x) % 80 : f.l2_len + f.l3_len;
		csum = any_of(&x, 2) ? rd_random(&x) % 20 : any_field(f.udp);
		m.data_len = (uint16_t)f.len;
		m.pkt_len = f.len;
		expected = rte_net_get_ptype(&m, &lens, VNET_PTYPE_OUTER);
		type = vnet_plain_type(f.data, f.len, l4, csum);
		least = f.udp ? sizeof(struct rte_udp_hdr) : sizeof(struct rte_tcp_hdr);
		if (type == 0) {
			/* What is built as a plain frame is found to be one. */
			assert_false(l4 == f.l2_len + f.l3_len && csum == any_field(f.udp) &&
				     l4 + least <= f.len && f.l2_len == 14 &&
				     (expected & ~RTE_PTYPE_L4_MASK) ==
				     (RTE_PTYPE_L2_ETHER | (f.v6 ? RTE_PTYPE_L3_IPV6 :
								   RTE_PTYPE_L3_IPV4)) &&
				     (expected & RTE_PTYPE_L4_MASK) ==
				     (f.udp ? RTE_PTYPE_L4_UDP : RTE_PTYPE_L4_TCP));
			continue;
		}
		plain++;
		named += (type & RTE_PTYPE_L4_MASK) == RTE_PTYPE_L4_UDP;
		assert_int_equal(type, expected);
		assert_int_equal(l4, lens.l2_len + lens.l3_len);
		assert_true(csum == any_field((type & RTE_PTYPE_L4_MASK) == RTE_PTYPE_L4_UDP));
		assert_true(l4 + csum + 2 <= f.len);
	}
	assert_true(plain > 10000 && named > 4000 && named < plain - 4000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums),
		cmocka_unit_test(copies),
		cmocka_unit_test(copy_of_64k),
		cmocka_unit_test(folds),
		cmocka_unit_test(plain_types),
	};

	return cmocka_run_group_tests_name("vnet_csum", tests, NULL, NULL);
}
