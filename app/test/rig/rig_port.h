/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For tests: a port of the driver as an application has it, with a stand-in for its device, and
 * traffic through both. Frames are told apart by a number that their bytes follow from.
 */
#ifndef RIG_PORT_H
#define RIG_PORT_H

#include "rig_guest_net.h"

#include <rte_alarm.h>
#include <rte_bus_vdev.h>
#include <rte_ethdev.h>

#include "rig_device_net.h"
#include "rig_device_link.h"
#include "rig_watch.h"

#define SPORT_NAME "net_vring0"
#define SPORT_WAIT_MS 5000
#define DEV_MBUFS 1023
#define DEV_ROOM 4096
#define BURST_FRAMES 32

struct sport {
	struct standin s;
	uint16_t id;
	uint16_t queues;
	struct rte_mempool *pool;	/* to receive into */
};

/* What an application wants of a port. */
struct sport_config {
	const char *args;	/* after path= */
	uint64_t rx_offloads, tx_offloads;
	uint16_t queues;	/* 0: 1 */
	uint16_t rx_queues;	/* 0: as many */
	struct rte_mempool *pool;
	struct rte_eth_rss_conf rss; /* rss_hf 0: none */
	bool lsc;		/* it is told of the link */
	bool rxq_intr;		/* it sleeps on rx queues */
};

extern struct rte_mempool *dev_pool;

int sport_group_setup(void **state);
int sport_group_teardown(void **state);
/* Give the device to a test, which may change it before there is a port. */
int sport_setup(void **state);
void sport_configure(struct sport *p, const struct sport_config *c);
/* The port, not yet started. */
void sport_create(struct sport *p, const struct sport_config *c);
bool sport_link(const struct sport *p);

void sport_open(struct sport *p, const struct sport_config *c);
/* Stopped, configured anew and started. */
void sport_reopen(struct sport *p, const struct sport_config *c);
void sport_close(struct sport *p);
/* Wait until EAL's thread is idle. */
void sport_idle(void);

/* A port that a test has left open, after a failure; then the device, then all mbufs are home. */
int sport_teardown(void **state);

#define SPORT_TEST(fn) cmocka_unit_test_setup_teardown(fn, sport_setup, sport_teardown)

/* Packets that queues have dropped, for whatever reason. */
uint64_t sport_dropped(const struct sport *p);
/* An xstat by its name. */
uint64_t sport_xstat(const struct sport *p, const char *name);
/* Send one packet, which is taken within time. */
void sport_send(struct sport *p, uint16_t queue, struct rte_mbuf *m);
/* The next packet of a queue, NULL: there is none in time. */
struct rte_mbuf *sport_receive(struct sport *p, uint16_t queue);

/* A number of the device's that its thread, or the port's, may be changing. */
#define SPORT_READ(p, field) \
	({ \
		standin_lock(&(p)->s); \
		__typeof__((p)->s.field) value_ = (p)->s.field; \
		standin_unlock(&(p)->s); \
		value_; \
	})

#define SPORT_WRITE(p, field, value) \
	do { \
		standin_lock(&(p)->s); \
		(p)->s.field = (value); \
		standin_unlock(&(p)->s); \
	} while (0)

/* Whether a packet that is sent comes back, to that queue. */
bool sport_returns(struct sport *p, struct rte_mbuf *m, uint16_t from, uint16_t to);

/* Sizes of frames, and how they are made up; each has its number. */
struct sport_frames {
	uint32_t (*len)(uint32_t number);
	enum shape shape;
	uint32_t n;
};

/*
 * Send n frames through queue 0 and compare what comes back, as it comes. What is under way stays
 * below `window`, so that pools suffice.
 */
void sport_verify(struct sport *p, const struct sport_frames *f, uint32_t window);

/* Each test runs with rings of either layout; all other arguments are in its BOTH_ARGS. */
#define BOTH(name) \
	static void \
	test_split_##name(void **state) \
	{ \
		name(*state, BOTH_ARGS); \
	} \
	static void \
	test_packed_##name(void **state) \
	{ \
		name(*state, BOTH_ARGS ",packed_vq=1"); \
	}
#define BOTH_TESTS(name) SPORT_TEST(test_split_##name), SPORT_TEST(test_packed_##name)

#endif /* RIG_PORT_H */
