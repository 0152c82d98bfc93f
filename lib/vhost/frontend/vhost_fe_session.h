/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside of a front-end session: its state, and what its files know of each other. Who does what:
 *
 *   vhost_fe.c			the session's life: a peer comes, rings run, it is lost
 *   vhost_fe_setup.c		from the choice of features to rings that run
 *   vhost_fe_wish.c		what the owner asks for, kept for the next session
 *   vhost_fe_cvq.c		the control queue, and the replay of what is kept
 *   vhost_fe_rss.c		what a device is told of RSS
 *   vhost_fe_ring.c		the data rings
 *   vhost_fe_features.c	what a device says of itself, and what is made of it
 *   vhost_fe_cmd.c		commands of the control queue
 *   vhost_fe_kernel.c		devices of the kernel come and go
 *   vhost_fe_session.c		what all of them need
 *
 * None but vhost_fe.c ends a session: the others note its end, and the loop ends it.
 */
#ifndef VHOST_FE_SESSION_H
#define VHOST_FE_SESSION_H

#include <pthread.h>
#include <sys/un.h>

#include "evloop_later.h"
#include "vhost_fe_config.h"
#include "vhu_sock.h"

/*
 * For all that is said to a device in one go. A slow one costs whoever waits for the loop so much,
 * and VHOST_HURRY_MS where that is to stop or close the session.
 */
#define VHOST_FE_UP_MS 5000	/* to ask it what it has, and to bring its rings up */
#define VHOST_FE_DOWN_MS 2000	/* to bring them down */
/*
 * For a back-end that was left without an answer to let go of the rings: so long their buffers are
 * kept, unless it disconnects before.
 */
#define VHOST_FE_GRACE_MS 2000
#define VHOST_FE_REQUEST_MS 2000	/* to tell it a wish, or what memory there is */

/* A data ring. */
struct vhost_fe_ring {
	void *base;		/* ops->ring_alloc()'s; from new to free */
	struct virtq_drv *drv;	/* the owner's */
	struct virtq_ring *ring;	/* NULL: not set up */
	int kickfd;		/* from new to free */
	int callfd;		/* of one that receives, likewise; -1: it shares the session's */
};

/* The control queue. */
struct vhost_fe_cvq {
	void *base;		/* the ring, then a page of command and ack; or NULL */
	struct virtq_drv *drv;
	struct virtq_ring *ring;	/* NULL: not set up */
	int kickfd;
	uint32_t qid;
	uint8_t *cmd;		/* VHOST_FE_CMD_MAX bytes, then the ack */
};

struct vhost_fe {
	/* From the configuration. */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
	bool vdpa, net;			/* a device of the kernel: vhost-vdpa, vhost-net */
	bool server;
	char tap[VHOST_TAP_NAME];	/* vhost-net: name of the interface, or "" */
	char interface[VHOST_TAP_NAME];	/* that was logged last */
	uint32_t again_ms;		/* the last delay before it was opened again */
	uint32_t reconnect_ms;
	mode_t sock_mode;
	gid_t sock_gid;
	uint16_t pairs;			/* at most */
	uint32_t queue_size;
	uint64_t wanted;		/* features */
	uint16_t mtu;
	const struct vhost_fe_ops *ops;
	void *ctx;
	struct evloop *loop;

	struct vhu_sock sock;
	struct evloop_later *closer;	/* closes what back-ends sent */
	struct vhost_dev own;
	struct vhost_dev *dev;		/* `own`, or the configuration's */
	bool given;			/* the latter */
	bool fresh;			/* it is past vhost_init() */
	struct evloop_timer again;	/* of the kernel: open the device again */
	struct evloop_timer later;	/* what a call-back of the device left to be done */
	struct evloop_timer watch;	/* look for broken rings */
	bool lost, changed;		/* for `later` */
	uint64_t looked_ns;		/* when the device was last looked at for a change */
	struct evloop_timer anew;	/* set up the rings anew */
	uint64_t anew_ns;		/* when that was last done */
	struct vhost_log_limit log_limit;
	bool logged;			/* why it does not work */
	bool started;			/* rings are to run whenever there is a device */
	bool connected;
	bool moved;			/* SEND_RARP is due: the session is not the first */
	bool running;			/* rings are set up, the device is started */
	bool published;			/* the bursts have them */
	ino_t node;			/* vDPA: the device's node while rings run */
	int callfd, errfd;		/* shared by rings: nobody waits for calls of these */
	int hurryfd;			/* readable: vhost_fe_hurry() */
	uint32_t up_ms;			/* VHOST_FE_UP_MS */
	struct evloop_watch err;

	/* What the device says, and what became of it. */
	struct vhost_fe_limits limits;
	struct {
		pthread_mutex_t lock;
		struct vhost_fe_limits limits;	/* as above, when all were asked for */
	} public;			/* for other threads */
	uint16_t pairs_said;		/* limits.max_pairs, unless it counts rings */
	bool counts_rings;		/* the back-end that said so meant rings, not pairs */
	struct vhost_fe_wants wants;	/* the owner's, since rings were set up last */
	uint64_t features;		/* negotiated */
	uint64_t guest_offloads;	/* VHOST_FE_GUEST_OFFLOADS that are negotiated and wanted */
	bool no_guest_offloads;		/* it refused to be told; until the session is closed */
	bool link;			/* its status; true where it has none */
	uint16_t in_use;		/* pairs, while running */

	struct {
		bool wanted;
		int fd;			/* the file; -1: none */
	} log;				/* of what the back-end writes */
	bool iotlb_pages;

	struct vhost_fe_ring *ring;	/* 2 * pairs of them */
	const struct virtq_ring **rings; /* scratch for ops->publish */
	struct vhost_fe_cvq cvq;

	/* Wishes, kept for the next session. */
	struct vhost_fe_mac mac;
	bool mac_given;			/* by the owner */
	bool promisc, allmulti;
	struct vhost_fe_mac unicast[VHOST_FE_UNICAST]; /* zero: free */
	struct vhost_fe_mac multicast[VHOST_FE_CMD_MACS];
	uint32_t nmulticast;
	uint64_t vlan[64];		/* bit: the VLAN is let through */
	struct vhost_fe_rss rss;	/* entries 0: any table */

	uint64_t connects, disconnects;
	uint64_t up_since_ns;
	char why[VHOST_WHY];		/* the last session's end */
};

void __attribute__((format(printf, 3, 4)))
vhost_fe_session_log(struct vhost_fe *fe, enum vhost_log_level level, const char *fmt, ...);
/* At the path is no socket. */
static inline bool
vhost_fe_session_kernel(const struct vhost_fe *fe)
{
	return fe->vdpa || fe->net;
}
/* The negotiated features have the bit. */
bool vhost_fe_session_has(const struct vhost_fe *fe, unsigned int bit);
/* A feature of the control queue: offered, and one that the owner wants. */
bool vhost_fe_session_commands(const struct vhost_fe *fe, unsigned int bit);
/* The session is over: the loop ends it in its next round. */
void vhost_fe_session_end(struct vhost_fe *fe, const char *why);

/* vhost_fe_features.c */
/* Ask a device that was just opened, or reset, what it has. 0 or -errno, with fe->dev->why. */
int vhost_fe_features_ask(struct vhost_fe *fe);
/*
 * The link's state, fe->link; *announce: the device wants it to be said where the address is. 0 or
 * -errno.
 */
int vhost_fe_features_link(struct vhost_fe *fe, bool *announce);
/* By fe->wants. Also decides on fe->guest_offloads. */
uint64_t vhost_fe_features_choose(struct vhost_fe *fe);
/* Pairs of the device, by what it said and what it counts. */
uint16_t vhost_fe_features_max_pairs(const struct vhost_fe *fe);
/* Pairs to carry packets: as many as the owner has queues, within what the device has. */
uint16_t vhost_fe_features_pairs(const struct vhost_fe *fe);

/* vhost_fe_kernel.c */
/* How long to wait before the device is opened again. healthy: rings had run. */
uint32_t vhost_fe_kernel_delay(struct vhost_fe *fe, bool healthy);
/* Open the device at the path. 0 or -errno, with fe->dev->why. */
int vhost_fe_kernel_open(struct vhost_fe *fe);
/* Rings begin to run; from then on: whether the device they run on is no longer the one there. */
void vhost_fe_kernel_mark(struct vhost_fe *fe);
bool vhost_fe_kernel_gone(const struct vhost_fe *fe);

/* vhost_fe_log.c */
/* Rings run: give the back-end a log, if one is wanted. 0, or -errno with fe->dev->why. */
int vhost_fe_log_begin(struct vhost_fe *fe);
void vhost_fe_log_end(struct vhost_fe *fe);
/* Pages that are marked in it. */
uint64_t vhost_fe_log_pages(const struct vhost_fe *fe);

/* vhost_fe_setup.c */
/* Features, memory, rings, control queue; the device is started. 0, or -errno with fe->dev->why. */
int vhost_fe_setup_rings(struct vhost_fe *fe);
/* The link's state; announcements that the device asks for are sent and acknowledged. Likewise. */
int vhost_fe_setup_link(struct vhost_fe *fe);
/* Another back-end, or one that has forgotten all, is told where the address is. Likewise. */
int vhost_fe_setup_address(struct vhost_fe *fe);

/* vhost_fe_ring.c */
/* Entries of a ring that the device limits to `most` (0: it does not). */
uint32_t vhost_fe_ring_fit(const struct vhost_fe *fe, uint32_t most, bool packed);
int vhost_fe_rings_alloc(struct vhost_fe *fe, struct virtq_drv *drv);
/*
 * Whether a back-end has the rings of in_use pairs. One that counts rings has not: in_use and the
 * limits are then its own. 0, or -errno with fe->dev->why; a next session knows in any case.
 */
int vhost_fe_rings_probe(struct vhost_fe *fe);
void vhost_fe_rings_free(struct vhost_fe *fe);
/*
 * What the device has to know of a ring: VIRTIO 1.2, 2.7 and 2.8. 0 or -errno, with fe->dev->why.
 * The fd stays the caller's.
 */
int vhost_fe_ring_set(struct vhost_fe *fe, uint32_t qid, const struct virtq_ring *ring,
		      int kickfd);
/* Have writes to the ring itself marked as well. Likewise. */
int vhost_fe_ring_log(struct vhost_fe *fe, uint32_t qid);
/* Set up the first 2 * in_use rings with buffers in them. 0, or -errno with fe->dev->why. */
int vhost_fe_rings_up(struct vhost_fe *fe);
int vhost_fe_rings_enable(struct vhost_fe *fe);
/* Kick all rings in use. */
void vhost_fe_rings_kick(struct vhost_fe *fe);
/* Publish the rings to the bursts. */
void vhost_fe_rings_publish(struct vhost_fe *fe);
/* Notifiers came or went: go on with those that there are now. 0, or -errno with fe->dev->why. */
int vhost_fe_rings_remap(struct vhost_fe *fe);
/* Rings whose notifiers are in use. */
uint16_t vhost_fe_rings_notifiers(const struct vhost_fe *fe);
/* A notifier in use has lost the file behind it. */
bool vhost_fe_rings_unheard(struct vhost_fe *fe);
/* Announce fe->mac on a transmit ring, before or while the rings are published. */
void vhost_fe_rings_announce(struct vhost_fe *fe);
/* Ask the device to stop using them. True: it has. */
bool vhost_fe_rings_stop(struct vhost_fe *fe);
/* Take them from the bursts. */
void vhost_fe_rings_withdraw(struct vhost_fe *fe);
/* Withdrawn ones: a back-end that still looks at them finds no buffer. False: there is no ring. */
bool vhost_fe_rings_clear(struct vhost_fe *fe);
/* Withdrawn ones: free what they hold. */
void vhost_fe_rings_down(struct vhost_fe *fe);
bool vhost_fe_rings_broken(const struct vhost_fe *fe, unsigned int *qid);

/* vhost_fe_cvq.c */
int vhost_fe_cvq_alloc(struct vhost_fe *fe);
void vhost_fe_cvq_free(struct vhost_fe *fe);
int vhost_fe_cvq_up(struct vhost_fe *fe);
void vhost_fe_cvq_down(struct vhost_fe *fe);
/* Tell the device all wishes that are kept. */
int vhost_fe_cvq_replay(struct vhost_fe *fe);
/*
 * Tell the device one kind of wish. 0: done, or the device does not filter, or it will be told
 * later. -EIO: refused; -ETIMEDOUT: the session is over.
 */
int vhost_fe_cvq_mac(struct vhost_fe *fe);
int vhost_fe_cvq_mac_table(struct vhost_fe *fe);
int vhost_fe_cvq_rx_mode(struct vhost_fe *fe);
int vhost_fe_cvq_vlan(struct vhost_fe *fe, uint16_t id, bool on);
int vhost_fe_cvq_rss(struct vhost_fe *fe); /* with HASH_REPORT alone: the hash */
int vhost_fe_cvq_announced(struct vhost_fe *fe);

#endif /* VHOST_FE_SESSION_H */
