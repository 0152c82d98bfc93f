/* SPDX-License-Identifier: BSD-3-Clause */
/* The front-end's plain functions: regions of memory, commands, how rings meet queues. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_ethdev.h>

#include "virtq_drv.h"
#include "vhost_fe_cmd.h"
#include "vring_fe_queue.h"
#include "vring_fe_region.h"
#include "vring_rss.h"
#include "vring_qmap.h"

#define PAGE 0x200000ull

static struct vhost_region
piece(uint64_t page, uint64_t pages, int fd, uint64_t file_page)
{
	return (struct vhost_region){
		.iova = page * PAGE,
		.size = pages * PAGE,
		.addr = (void *)(uintptr_t)(page * PAGE),
		.fd = fd,
		.fd_offset = file_page * PAGE,
	};
}

static void
check_region(const struct vhost_region *r, uint64_t page, uint64_t pages, int fd)
{
	assert_true(r->iova == page * PAGE);
	assert_true(r->size == pages * PAGE);
	assert_int_equal(r->fd, fd);
}

static void
test_merge_files(void **state)
{
	/* Out of order: 10, 11, 12 adjoin in one file, 13 in another, 14 elsewhere in that. */
	struct vhost_region r[] = {
		piece(13, 1, 4, 0), piece(11, 1, 3, 1), piece(10, 1, 3, 0), piece(14, 1, 4, 7),
		piece(12, 1, 3, 2), piece(20, 2, 3, 3),
	};

	assert_int_equal(vring_fe_region_merge(r, RTE_DIM(r), true), 4);
	check_region(&r[0], 10, 3, 3);
	check_region(&r[1], 13, 1, 4);
	check_region(&r[2], 14, 1, 4);
	check_region(&r[3], 20, 2, 3);
	assert_true(vring_fe_region_bytes(r, 4) == 7 * PAGE);
	assert_int_equal(vring_fe_region_merge(r, 0, true), 0);
}

static void
test_merge_addresses(void **state)
{
	struct vhost_region r[] = {
		piece(10, 1, 3, 0), piece(11, 1, -1, 0), piece(13, 1, 4, 7), piece(12, 1, 5, 0),
		piece(15, 1, 5, 3),
	};

	r[2].read_only = true;
	assert_int_equal(vring_fe_region_merge(r, RTE_DIM(r), false), 3);
	check_region(&r[0], 10, 3, 3);
	check_region(&r[1], 13, 1, 4);
	check_region(&r[2], 15, 1, 5);
}

static void
test_beyond(void **state)
{
	const struct vhost_region r[] = { piece(1, 1, 3, 0), piece(4, 2, 3, 1) };

	assert_null(vring_fe_region_beyond(r, 2, 0, UINT64_MAX));
	assert_null(vring_fe_region_beyond(r, 2, PAGE, 6 * PAGE - 1));
	assert_ptr_equal(vring_fe_region_beyond(r, 2, PAGE, 6 * PAGE - 2), &r[1]);
	assert_ptr_equal(vring_fe_region_beyond(r, 2, PAGE + 1, UINT64_MAX), &r[0]);
	assert_null(vring_fe_region_beyond(r, 0, 1, 0));
}

static void
check_cmd(const uint8_t *cmd, size_t len, const char *hex)
{
	char text[2 * 64 + 1];
	size_t i;

	assert_true(len <= 64);
	for (i = 0; i < len; i++)
		snprintf(text + 2 * i, 3, "%02x", cmd[i]);
	assert_string_equal(text, hex);
}

/* VIRTIO 1.2, 5.1.6.5: class, command, data; little-endian. */
static void
test_commands(void **state)
{
	const struct vhost_fe_mac a = { { 2, 0, 0, 0, 0, 1 } }, m = { { 1, 0, 0x5e, 0, 0, 1 } };
	uint8_t cmd[VHOST_FE_CMD_MAX];

	check_cmd(cmd, vhost_fe_cmd_rx(cmd, VIRTIO_NET_CTRL_RX_PROMISC, true), "000001");
	check_cmd(cmd, vhost_fe_cmd_rx(cmd, VIRTIO_NET_CTRL_RX_ALLMULTI, false), "000100");
	check_cmd(cmd, vhost_fe_cmd_mac(cmd, &a), "0101020000000001");
	check_cmd(cmd, vhost_fe_cmd_mac_table(cmd, &a, 1, &m, 1),
		  "0100" "01000000" "020000000001" "01000000" "01005e000001");
	check_cmd(cmd, vhost_fe_cmd_mac_table(cmd, NULL, 0, NULL, 0), "01000000000000000000");
	check_cmd(cmd, vhost_fe_cmd_vlan(cmd, 0x123, true), "02002301");
	check_cmd(cmd, vhost_fe_cmd_vlan(cmd, 4095, false), "0201ff0f");
	check_cmd(cmd, vhost_fe_cmd_pairs(cmd, 0x102), "04000201");
	check_cmd(cmd, vhost_fe_cmd_announce_ack(cmd), "0300");
}

static void
test_rss(void **state)
{
	struct vhost_fe_rss rss = {
		.types = VIRTIO_NET_RSS_HASH_TYPE_TCPv4 | VIRTIO_NET_RSS_HASH_TYPE_UDPv6,
		.entries = 4,
		.table = { 0, 1, 2, 1 },
		.keylen = 3,
		.key = { 0xaa, 0xbb, 0xcc },
	};
	uint8_t cmd[VHOST_FE_CMD_MAX];

	check_cmd(cmd, vhost_fe_cmd_rss(cmd, &rss, 3),
		  "0401" "22000000" "0300" "0000" "0000010002000100" "0300" "03" "aabbcc");
	rss.entries = VHOST_FE_CMD_RETA;
	rss.keylen = VHOST_FE_CMD_KEY;
	assert_true(vhost_fe_cmd_rss(cmd, &rss, 3) <= sizeof(cmd));
	assert_int_equal(vring_rss_types(RTE_ETH_RSS_NONFRAG_IPV4_TCP), 2);
	assert_int_equal(vring_rss_types(RTE_ETH_RSS_IP), 0x49);
	assert_int_equal(vring_rss_types(RTE_ETH_RSS_VXLAN), 0);
	assert_true(vring_rss_types(vring_rss_hf(0x1ff)) == 0x1ff);
}

/* A driver receives from the rings 2i and sends to 2i + 1. */
static void
test_queue_ops(void **state)
{
	static struct virtq_drv drv[4];
	static struct virtq_ring rings[4];
	static uint64_t used[4][16];	/* each with room for a used ring */
	struct vring_port_vring vring[4];
	struct vring_poll_set *set = calloc(1, vring_qmap_size(2));
	unsigned int i;

	memset(vring, 0, sizeof(vring));
	for (i = 0; i < 4; i++) {
		rings[i] =
			(struct virtq_ring){ .qid = i, .hdr_len = 12, .enabled = true, .size = 8 };
		rings[i].used = (void *)used[i];
		rings[i].used->idx = i;
		vring[i].cursor = &drv[i].cursor;
		vring[i].ring = &rings[i];
		drv[i].num_free = 8 - i;
		drv[i].kicks = i;
	}
	vring_qmap_rx(&vring_fe_queue_ops, vring, 2, 0, 1, 0, set);
	assert_int_equal(set->n, 2);
	assert_int_equal(set->entry[0].ring->qid, 0);
	assert_int_equal(set->entry[1].ring->qid, 2);
	vring_qmap_tx(&vring_fe_queue_ops, vring, 2, 1, 2, VNET_DROP_DISABLED, set);
	assert_int_equal(set->n, 1);
	assert_int_equal(set->entry[0].ring->qid, 3);
	/* Five are free, and three the device is done with, though no burst has freed them yet. */
	assert_int_equal(vring_fe_queue_ops.tx_count(set->entry[0].ring, set->entry[0].cursor), 8);
	rings[3].used->idx = 1;
	assert_int_equal(vring_fe_queue_ops.tx_count(set->entry[0].ring, set->entry[0].cursor), 6);
	free(set);
}

/* An entry of a packed ring that the device has used, in the first lap. */
static void
use_packed(struct vring_packed_desc *d, uint16_t id)
{
	d->id = id;
	d->flags = 1u << 7 | 1u << 15;
}

/* A used entry is of a chain, with IN_ORDER of all chains up to its own. */
static void
test_packed_room(void **state)
{
	static struct vring_packed_desc pdesc[8];
	static struct virtq_drv_desc_state states[8];
	static struct virtq_drv drv = { .state = states, .cursor.used_wrap = true };
	struct virtq_ring ring = { .packed = true, .pdesc = pdesc, .size = 8 };

	for (unsigned int i = 0; i < 8; i++)
		states[i].ndesc = i == 2 ? 3 : 1;
	assert_int_equal(vring_fe_queue_ops.tx_count(&ring, &drv.cursor), 0);
	drv.num_free = 1;
	use_packed(&pdesc[0], 2);
	assert_int_equal(vring_fe_queue_ops.tx_count(&ring, &drv.cursor), 4);
	use_packed(&pdesc[3], 3);
	assert_int_equal(vring_fe_queue_ops.tx_count(&ring, &drv.cursor), 5);
	ring.features = VIRTQ_BIT(VIRTIO_F_IN_ORDER);
	pdesc[3].flags = 0;
	assert_int_equal(vring_fe_queue_ops.tx_count(&ring, &drv.cursor), 6);
	use_packed(&pdesc[0], 4);
	assert_int_equal(vring_fe_queue_ops.tx_count(&ring, &drv.cursor), 8);
	/* Nonsense of a device stays within the ring. */
	use_packed(&pdesc[0], 8);
	assert_int_equal(vring_fe_queue_ops.tx_count(&ring, &drv.cursor), 1);
	for (unsigned int i = 0; i < 8; i++)
		use_packed(&pdesc[i], 7);
	assert_int_equal(vring_fe_queue_ops.tx_count(&ring, &drv.cursor), 8);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_merge_files),
		cmocka_unit_test(test_merge_addresses),
		cmocka_unit_test(test_beyond),
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_rss),
		cmocka_unit_test(test_packed_room),
		cmocka_unit_test(test_queue_ops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
