/* SPDX-License-Identifier: BSD-3-Clause */

#include <string.h>
#include <unistd.h>

#include <rte_jhash.h>
#include <rte_mbuf.h>
#include <rte_random.h>

#include "vnet_hash.h"
#include "vring_qmap.h"
#include "vring_rxtx.h"
#include "vring_steer.h"

/* Packets that are dealt out at once. */
#define STEER_BURST 64

/*
 * Key and secret are known to nobody outside, so that nobody can choose the ring of a flow. Each
 * port has its own: a guest that is told hashes may find out those of its port.
 */
void
vring_steer_open(struct vring_port *port)
{
	uint8_t drawn[VNET_HASH_KEY + sizeof(port->tx_secret)];

	/* The kernel's random bytes: nobody foresees them, and they need no start of EAL. */
	if (getentropy(drawn, sizeof(drawn)) != 0)
		for (unsigned int i = 0; i < sizeof(drawn); i++)
			drawn[i] = (uint8_t)rte_rand();
	vnet_hash_set_key(&port->tx_hash, drawn);
	memcpy(&port->tx_secret, drawn + VNET_HASH_KEY, sizeof(port->tx_secret));
	port->tx_hash.types = VNET_HASH_TYPES;
}

/*
 * A hash that a card has computed is as good. What has no addresses goes to the first ring.
 *
 * No few bits of either hash may choose alone. Those of a card have chosen a receive queue already,
 * and all packets of one queue have them in common. Toeplitz is linear: under some keys, ports in a
 * row differ in too few of its bits. So all bits go into each bit of what chooses.
 */
static unsigned int
steer_ring(const struct vring_port *port, const struct rte_mbuf *m, unsigned int rings)
{
	uint32_t hash;

	if (m->ol_flags & RTE_MBUF_F_RX_RSS_HASH)
		hash = m->hash.rss;
	else if (!vnet_hash_packet(&port->tx_hash, m, &hash))
		return 0;
	return (uint64_t)rte_jhash_1word(hash, port->tx_secret) * rings >> 32;
}

/* Sort packets by ring, each ring's in their order; first[i]: where those of ring i begin. */
static void
deal_out(const struct vring_port *port, struct rte_mbuf **pkts, uint16_t n, unsigned int rings,
	 struct rte_mbuf **sorted, uint16_t *first)
{
	uint8_t ring[STEER_BURST];
	uint16_t next[VRING_MAX_PAIRS];

	memset(first, 0, (rings + 1) * sizeof(first[0]));
	for (uint16_t i = 0; i < n; i++) {
		ring[i] = (uint8_t)steer_ring(port, pkts[i], rings);
		first[ring[i] + 1]++;
	}
	for (unsigned int i = 0; i < rings; i++) {
		first[i + 1] += first[i];
		next[i] = first[i];
	}
	for (uint16_t i = 0; i < n; i++)
		sorted[next[ring[i]]++] = pkts[i];
}

static uint16_t
send_on_ring(struct vring_txq *q, const struct vring_poll_entry *ring, struct rte_mbuf **pkts,
	     uint16_t n)
{
	uint16_t done = vring_rxtx_tx_ring(q, ring, pkts, n);

	if (done < n)
		done += vring_rxtx_tx_full(q, ring, pkts + done, n - done);
	return done;
}

/* At most STEER_BURST packets. */
static uint16_t
steer_round(struct vring_txq *q, const struct vring_poll_set *set, struct rte_mbuf **pkts,
	    uint16_t n)
{
	struct rte_mbuf *sorted[STEER_BURST];
	uint16_t first[VRING_MAX_PAIRS + 1], left = 0, sent = 0;

	deal_out(q->q.port, pkts, n, set->n, sorted, first);
	for (unsigned int i = 0; i < set->n; i++) {
		const uint16_t count = first[i + 1] - first[i];
		uint16_t done;

		if (count == 0)
			continue;
		done = send_on_ring(q, &set->entry[i], &sorted[first[i]], count);
		/* All are in `sorted`, none is lost. What was sent is not looked at. */
		memcpy(&pkts[sent], &sorted[first[i]], done * sizeof(pkts[0]));
		sent += done;
		memmove(&sorted[left], &sorted[first[i] + done],
			(count - done) * sizeof(sorted[0]));
		left += count - done;
	}
	memcpy(&pkts[sent], sorted, left * sizeof(sorted[0]));
	return sent;
}

static uint16_t
steer_burst(struct vring_txq *q, const struct vring_poll_set *set, struct rte_mbuf **pkts,
	    uint16_t n)
{
	uint16_t done = 0;

	while (done < n) {
		const uint16_t part = RTE_MIN((uint16_t)(n - done), (uint16_t)STEER_BURST);
		const uint16_t sent = steer_round(q, set, pkts + done, part);

		done += sent;
		if (sent < part)
			break;
	}
	return done;
}

uint16_t
vring_steer_tx_burst(void *txq, struct rte_mbuf **pkts, uint16_t n)
{
	struct vring_txq *q = txq;
	const struct vring_poll_set *set = virtq_rcu_read_lock(&q->q.rcu);
	uint16_t done = 0;

	if (set == NULL) {
		q->tx.stats.refused += n;
	} else if (set->n == 0) {
		vnet_tx_drop(&q->tx, pkts, n, set->why);
		done = n;
	} else if (set->n == 1) {
		done = send_on_ring(q, &set->entry[0], pkts, n);
	} else {
		done = steer_burst(q, set, pkts, n);
	}
	vnet_count_burst(&q->tx.stats, done);
	virtq_rcu_read_unlock(&q->q.rcu);
	return done;
}
