/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The stand-in's control queue, and what follows from its commands: the filter for received packets
 * and the choice of their queue. VIRTIO 1.2, 5.1.6.5.
 */
#include "rig_device_cvq.h"

#include <netinet/in.h>

#include <rte_ip.h>
#include <rte_mbuf.h>

#define COMMAND_MAX 4096

/* The data of a command, to be read from its beginning. */
struct reader {
	const uint8_t *at;
	size_t left;
	bool short_of;		/* more was wanted than there is */
};

static void
get(struct reader *r, void *to, size_t len)
{
	if (len > r->left) {
		r->short_of = true;
		memset(to, 0, len);
		return;
	}
	memcpy(to, r->at, len);
	r->at += len;
	r->left -= len;
}

static uint8_t
get8(struct reader *r)
{
	uint8_t v;

	get(r, &v, sizeof(v));
	return v;
}

static uint16_t
get16(struct reader *r)
{
	uint16_t v;

	get(r, &v, sizeof(v));
	return le16toh(v);
}

static uint32_t
get32(struct reader *r)
{
	uint32_t v;

	get(r, &v, sizeof(v));
	return le32toh(v);
}

static uint64_t
get64(struct reader *r)
{
	uint64_t v;

	get(r, &v, sizeof(v));
	return le64toh(v);
}

/* Whether the data was of this length exactly. */
static bool
complete(const struct reader *r)
{
	return !r->short_of && r->left == 0;
}

static bool
set_promisc(struct standin *s, struct reader *r)
{
	s->wishes.promisc = get8(r);
	return complete(r);
}

static bool
set_allmulti(struct standin *s, struct reader *r)
{
	s->wishes.allmulti = get8(r);
	return complete(r);
}

static bool
set_mac(struct standin *s, struct reader *r)
{
	get(r, s->vdpa.config.mac, sizeof(s->vdpa.config.mac));
	return complete(r);
}

static bool
get_macs(struct reader *r, struct rte_ether_addr *mac, uint32_t *n)
{
	*n = get32(r);
	if (*n > STANDIN_MACS)
		return false;
	get(r, mac, *n * sizeof(*mac));
	return !r->short_of;
}

static bool
set_mac_table(struct standin *s, struct reader *r)
{
	struct standin_wishes *w = &s->wishes, new = *w;

	if (!get_macs(r, new.unicast, &new.nunicast) ||
	    !get_macs(r, new.multicast, &new.nmulticast) || !complete(r))
		return false;
	*w = new;
	return true;
}

static bool
set_vlan(struct standin *s, struct reader *r, bool on)
{
	uint16_t id = get16(r);

	if (!complete(r) || id >= 4096)
		return false;
	if (on)
		s->wishes.vlan[id / 64] |= VIRTQ_BIT(id % 64);
	else
		s->wishes.vlan[id / 64] &= ~VIRTQ_BIT(id % 64);
	return true;
}

static bool
add_vlan(struct standin *s, struct reader *r)
{
	return set_vlan(s, r, true);
}

static bool
remove_vlan(struct standin *s, struct reader *r)
{
	return set_vlan(s, r, false);
}

/* There is something to acknowledge. */
static bool
announced(struct standin *s, struct reader *r)
{
	uint16_t status = le16toh(s->vdpa.config.status);

	s->vdpa.config.status = htole16(status & ~VIRTIO_NET_S_ANNOUNCE);
	return complete(r) && (status & VIRTIO_NET_S_ANNOUNCE);
}

static bool
valid_pairs(const struct standin *s, uint16_t pairs)
{
	return pairs >= 1 && pairs <= le16toh(s->vdpa.config.max_virtqueue_pairs);
}

static bool
set_pairs(struct standin *s, struct reader *r)
{
	uint16_t pairs = get16(r);

	if (!complete(r) || !valid_pairs(s, pairs))
		return false;
	s->wishes.pairs = pairs;
	s->wishes.hash_types = 0;
	return true;
}

static bool
set_rss(struct standin *s, struct reader *r)
{
	struct standin_wishes *w = &s->wishes, new = *w;

	new.hash_types = get32(r);
	new.reta_mask = get16(r);
	new.unclassified = get16(r);
	if (new.reta_mask >= STANDIN_RETA || (new.reta_mask & (new.reta_mask + 1)) ||
	    (new.hash_types & ~le32toh(s->vdpa.config.supported_hash_types)) != 0)
		return false;
	for (uint32_t i = 0; i <= new.reta_mask; i++) {
		new.reta[i] = get16(r);
		if (!valid_pairs(s, new.reta[i] + 1))
			return false;
	}
	new.pairs = get16(r);
	if (get8(r) != STANDIN_KEY)
		return false;
	get(r, new.key, STANDIN_KEY);
	if (!complete(r) || !valid_pairs(s, new.pairs))
		return false;
	new.report_types = new.hash_types;
	*w = new;
	return true;
}

/* VIRTIO 1.2, 5.1.6.5.6.4: for a device that does not choose queues by the hash. */
static bool
set_hash(struct standin *s, struct reader *r)
{
	struct standin_wishes *w = &s->wishes, new = *w;
	uint64_t reserved;

	new.report_types = get32(r);
	reserved = get64(r);
	if (get8(r) != STANDIN_KEY || reserved != 0 || standin_has(s, VIRTIO_NET_F_RSS) ||
	    (new.report_types & ~le32toh(s->vdpa.config.supported_hash_types)) != 0)
		return false;
	get(r, new.key, STANDIN_KEY);
	if (!complete(r))
		return false;
	*w = new;
	return true;
}

#define OFFLOADS \
	(VIRTQ_BIT(VIRTIO_NET_F_GUEST_CSUM) | VIRTQ_BIT(VIRTIO_NET_F_GUEST_TSO4) | \
	 VIRTQ_BIT(VIRTIO_NET_F_GUEST_TSO6) | VIRTQ_BIT(VIRTIO_NET_F_GUEST_ECN) | \
	 VIRTQ_BIT(VIRTIO_NET_F_GUEST_UFO))

/* Nothing may be turned on that was not negotiated. */
static bool
set_offloads(struct standin *s, struct reader *r)
{
	const uint64_t offloads = get64(r);

	if (!complete(r) || (offloads & ~(s->vdpa.acked & OFFLOADS)) != 0)
		return false;
	s->wishes.offloads = offloads;
	return true;
}

uint64_t
standin_in_use(const struct standin *s)
{
	return s->vdpa.acked & ~(OFFLOADS & ~s->wishes.offloads);
}

/* One row a command. */
static const struct command {
	uint8_t class, number;
	uint8_t feature;	/* without it the command does not exist */
	bool (*serve)(struct standin *s, struct reader *data);
} commands[] = {
	{ VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, VIRTIO_NET_F_CTRL_RX, set_promisc },
	{ VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLMULTI, VIRTIO_NET_F_CTRL_RX, set_allmulti },
	{ VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, VIRTIO_NET_F_CTRL_RX,
	  set_mac_table },
	{ VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, VIRTIO_NET_F_CTRL_MAC_ADDR,
	  set_mac },
	{ VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, VIRTIO_NET_F_CTRL_VLAN, add_vlan },
	{ VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_DEL, VIRTIO_NET_F_CTRL_VLAN, remove_vlan },
	{ VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK, VIRTIO_NET_F_GUEST_ANNOUNCE,
	  announced },
	{ VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, VIRTIO_NET_F_MQ, set_pairs },
	{ VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_RSS_CONFIG, VIRTIO_NET_F_RSS, set_rss },
	{ VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_HASH_CONFIG, VIRTIO_NET_F_HASH_REPORT, set_hash },
	{ VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET,
	  VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, set_offloads },
};

static bool
is_refused(const struct standin *s, const uint8_t *cmd)
{
	return s->mood == STANDIN_REFUSES &&
	       (s->refused[0] == 0xff || memcmp(s->refused, cmd, 2) == 0);
}

static uint8_t
obey(struct standin *s, const uint8_t *cmd, size_t len)
{
	struct reader r = { .at = cmd + 2, .left = len - 2 };

	if (s->mood == STANDIN_MUMBLES)
		return 0x5a;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		const struct command *c = &commands[i];

		if (c->class != cmd[0] || c->number != cmd[1] || !standin_has(s, c->feature))
			continue;
		s->commands[c->class][c->number]++;
		if (!is_refused(s, cmd) && c->serve(s, &r))
			return VIRTIO_NET_OK;
		s->refusals++;
		return VIRTIO_NET_ERR;
	}
	s->unknown++;
	return VIRTIO_NET_ERR;
}

/* A piece of a buffer, which has to be mapped as a whole. */
static uint8_t *
piece(const struct standin *s, const struct rdev_chain *c, uint32_t i)
{
	uint64_t len = c->sg[i].len;
	uint8_t *p = virtq_mem_gpa(s->mem, c->sg[i].addr, &len);

	assert_non_null(p);
	assert_int_equal(len, c->sg[i].len);
	return p;
}

/* Class, command and data are to be read, one byte of ack is to be written. */
static void
serve_one(struct standin *s, const struct rdev_chain *c)
{
	uint8_t cmd[COMMAND_MAX];
	size_t len = 0;

	for (uint32_t i = 0; i < c->nread; i++) {
		assert_true(len + c->sg[i].len <= sizeof(cmd));
		memcpy(cmd + len, piece(s, c, i), c->sg[i].len);
		len += c->sg[i].len;
	}
	assert_true(len >= 2);
	assert_int_equal(c->n, c->nread + 1);
	assert_int_equal(c->sg[c->nread].len, 1);
	if (s->mood == STANDIN_SILENT)
		return;
	if (s->mood == STANDIN_LIES) {
		rdev_lie(&s->cvq, c->id + 3u, 1, 1, c->slots);
		return;
	}
	*piece(s, c, c->nread) = obey(s, cmd, len);
	rdev_use(&s->cvq, c, 1);
}

bool
standin_cvq_serve(struct standin *s)
{
	struct rdev_chain c;

	if (s->cvq.ring == NULL || !rdev_fetch(&s->cvq, &c))
		return false;
	serve_one(s, &c);
	return true;
}

void
standin_wishes_reset(struct standin *s)
{
	s->wishes = (struct standin_wishes){ .pairs = 1, .offloads = UINT64_MAX };
	memcpy(s->vdpa.config.mac, &s->mac, sizeof(s->mac));
}

static bool
in_list(const struct rte_ether_addr *mac, const struct rte_ether_addr *list, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (rte_is_same_ether_addr(mac, &list[i]))
			return true;
	return false;
}

static bool
wants_address(const struct standin *s, const struct rte_ether_addr *mac)
{
	const struct standin_wishes *w = &s->wishes;

	if (rte_is_broadcast_ether_addr(mac))
		return true;
	if (rte_is_multicast_ether_addr(mac))
		return w->allmulti || in_list(mac, w->multicast, w->nmulticast);
	return memcmp(mac, s->vdpa.config.mac, sizeof(*mac)) == 0 ||
	       in_list(mac, w->unicast, w->nunicast);
}

static bool
wants_vlan(const struct standin *s, const uint8_t *frame)
{
	uint16_t id = ((uint16_t)frame[14] << 8 | frame[15]) & 0xfff;

	if (!standin_has(s, VIRTIO_NET_F_CTRL_VLAN) || memcmp(frame + 12, "\x81\0", 2) != 0)
		return true;
	return s->wishes.vlan[id / 64] & VIRTQ_BIT(id % 64);
}

bool
standin_wants(const struct standin *s, const struct rte_mbuf *m)
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);

	if (!standin_has(s, VIRTIO_NET_F_CTRL_RX) || s->wishes.promisc)
		return true;
	return wants_address(s, (const void *)frame) && wants_vlan(s, frame);
}

/* VIRTIO 1.2, 5.1.6.4.3: Toeplitz. */
static uint32_t
toeplitz(const uint8_t *key, const uint8_t *data, size_t len)
{
	uint32_t window = (uint32_t)key[0] << 24 | key[1] << 16 | key[2] << 8 | key[3], hash = 0;

	for (size_t bit = 0; bit < 8 * len; bit++) {
		if (data[bit / 8] & (0x80 >> bit % 8))
			hash ^= window;
		window = window << 1 | (key[4 + bit / 8] >> (7 - bit % 8) & 1);
	}
	return hash;
}

/* What of a packet is hashed, as its headers have it; 0 bytes: nothing. IPv4 without options. */
static size_t
hash_input(uint32_t types, const struct rte_mbuf *m, uint8_t input[36])
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *), *l3 = frame + 14, *l4;
	size_t addrs;
	uint32_t tcp, udp, any;
	uint8_t proto;

	if (memcmp(frame + 12, "\x08\0", 2) == 0) {
		addrs = 8;
		memcpy(input, l3 + 12, addrs);
		proto = l3[9];
		l4 = l3 + 20;
		any = VIRTIO_NET_RSS_HASH_TYPE_IPv4;
		tcp = VIRTIO_NET_RSS_HASH_TYPE_TCPv4;
		udp = VIRTIO_NET_RSS_HASH_TYPE_UDPv4;
	} else if (memcmp(frame + 12, "\x86\xdd", 2) == 0) {
		addrs = 32;
		memcpy(input, l3 + 8, addrs);
		proto = l3[6];
		l4 = l3 + 40;
		any = VIRTIO_NET_RSS_HASH_TYPE_IPv6;
		tcp = VIRTIO_NET_RSS_HASH_TYPE_TCPv6;
		udp = VIRTIO_NET_RSS_HASH_TYPE_UDPv6;
	} else {
		return 0;
	}
	if ((proto == IPPROTO_TCP && (types & tcp)) || (proto == IPPROTO_UDP && (types & udp))) {
		memcpy(input + addrs, l4, 4);
		return addrs + 4;
	}
	return types & any ? addrs : 0;
}

uint16_t
standin_steer(const struct standin *s, const struct rte_mbuf *m, uint16_t from)
{
	const struct standin_wishes *w = &s->wishes;
	uint8_t input[36];
	size_t len;

	if (w->hash_types == 0)
		return from;
	len = hash_input(w->hash_types, m, input);
	if (len == 0)
		return w->unclassified;
	return w->reta[toeplitz(w->key, input, len) & w->reta_mask];
}

void
standin_report(const struct standin *s, struct rte_mbuf *m)
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
	const bool v6 = frame[12] == 0x86;
	uint8_t input[36];
	size_t len;

	m->hash.rss = 0;
	m->hash.fdir.hi = VIRTIO_NET_HASH_REPORT_NONE;
	if (s->wishes.report_types == 0)
		return;
	len = hash_input(s->wishes.report_types, m, input);
	if (len == 0)
		return;
	m->hash.rss = toeplitz(s->wishes.key, input, len);
	m->hash.fdir.hi = v6 ? VIRTIO_NET_HASH_REPORT_IPv6 : VIRTIO_NET_HASH_REPORT_IPv4;
	if (len % 8 != 0) /* with ports */
		m->hash.fdir.hi += frame[14 + (v6 ? 6 : 9)] == IPPROTO_TCP ? 1 : 2;
}
