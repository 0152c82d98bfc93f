/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside of a back-end session: its state, and what its files know of each other. Who does what:
 *
 *   vhost_be.c			the session's life: connect, disconnect
 *   vhost_be_dispatch.c	the table of messages, what reads it, messages about the session
 *   vhost_be_mem.c		messages about memory and the dirty log; replacing either under
 *				running rings
 *   vhost_be_ring.c		messages about rings; when a ring starts, stops, is published
 *   vhost_be_postcopy.c		post-copy: messages about it
 *   vhost_be_pages.c		memory that comes page by page: who waits for a page
 *   vhost_be_place.c		where a ring goes on that starts
 *   vhost_be_state.c		the file that says where packed rings stand
 *   vhost_be_inflight.c	the front-end's memory that says what rings hold
 *   vhost_be_devstate.c	the state that goes to another host with a guest
 *   vhost_be_cvq.c		the control queue of a front-end that passes it on
 *   vhost_be_fd.c		eventfds and pipes of rings
 *   vhost_be_chan.c		the back-end channel
 *   vhost_be_iotlb.c		addresses behind a virtual IOMMU: what is known, how it is asked
 *   vhost_be_miss.c		messages about them; what bursts miss, and what they will
 *   vhost_be_relay.c		calls to drivers that wait on a pipe
 *   vhost_be_session.c		what all of them need
 */
#ifndef VHOST_BE_SESSION_H
#define VHOST_BE_SESSION_H

#include <limits.h>

#include "evloop.h"
#include "vhost_be_guard.h"
#include "vhost_be_ops.h"
#include "vhost_be_relay.h"
#include "vhu_conn.h"
#include "vhu_msg.h"
#include "vhu_sock.h"

/* A vring: what the front-end said of it, and what became of that. */
struct vhost_be_vring {
	uint16_t qid;
	uint32_t num;		/* entries, 0: not said */
	bool has_addr;
	struct vhu_vring_addr addr; /* as it came; translated when the ring starts */
	bool has_base;
	uint32_t base;		/* where to start, SET_VRING_BASE's encoding; kept while stopped */
	bool has_left;
	uint32_t left;		/* where a reset has stopped it, until it starts or gets a base */
	bool has_loaded;
	uint32_t loaded;	/* where it stood on another host, for who does not know */
	bool enabled;		/* remembered from before the ring exists */
	bool kicked;		/* a kick (fd or none) came: start as soon as all is there */
	int kick, call, err;	/* eventfds, owned; -1: none */
	bool wakes;		/* the kick is one indeed, so that it can be waited for */
	struct vhost_be_relay *relay; /* who passes calls on to a pipe, or NULL */

	struct virtq_ring *ring;	/* what the bursts use; NULL: stopped */
	bool stale;		/* the ring has to be rebuilt; its position stays */
	bool start_failed;	/* the last attempt to start failed: wait until something changes */
	bool broken;		/* the peer broke it: wait for a new base and a new kick */
	uint64_t wanted_ns;	/* when its own addresses were asked for; 0: not yet */
	uint64_t paused_ns;	/* since when it has waited for them while it ran; 0: it does not */
};

/* Milliseconds between two looks at what lies ahead in rings, while that changes. */
#define VHOST_BE_LOOK_MS 1
/* A vring that waits for its own addresses asks again after so long. */
#define VHOST_BE_WANT_AGAIN_NS 200000000ull

/* With so many former tables of translations bursts are waited for, so that they can be freed. */
#define VHOST_BE_MAX_TABLES 64

/* What is not known after so long is not to be had. */
#define VHOST_BE_MISS_NS 1000000000ull

/* What the front-end's IOMMU has said, and what it is asked. */
struct vhost_be_iotlb {
	struct virtq_iotlb *map;	/* NULL: addresses in rings are guest-physical */
	bool by_pages;		/* it has pages that have come, of memory that comes page by page */
	struct virtq_iotlb *whole; /* then: all that an IOMMU has said; NULL: there is none */
	bool needed;		/* without a map no ring runs */
	bool mute;		/* that nobody can be asked was logged */
	uint64_t asked_ns;	/* when the front-end was last asked; 0: never */
	uint32_t cheap;		/* messages that cost a front-end no credit, in a row */
	int missfd;		/* eventfd, -1: the port serves no IOMMU */
	struct evloop_watch missed;
	struct evloop_timer look;
	uint32_t pause_ms;	/* until the next look */
};

/* Post-copy, as the destination of a guest. */
struct vhost_be_postcopy {
	struct vhost_be_guard *guard; /* has the userfaultfd; NULL: none */
	bool listening;		/* memory comes page by page */
	struct virtq_mem *mem;	/* that the front-end has yet to confirm, or NULL */
};

/* A page of memory that comes page by page, which has not. */
struct vhost_be_wanted {
	uint64_t iova;		/* its first address, as rings have it */
	bool write;		/* it is to be written */
	uint64_t first_ns, asked_ns; /* when the front-end was asked where it is; 0: never */
	uint64_t touched_ns;	/* when a thread was last sent for it; 0: never */
};

#define VHOST_BE_PAGE_THREADS 4	/* that touch pages; they live while there is something to do */

struct vhost_be_pages {
	struct vhost_be_wanted *wanted;
	uint32_t n, room;	/* of them */
	uint32_t at;		/* the one that is looked at next */
	struct evloop_later *thread[VHOST_BE_PAGE_THREADS];
	uint32_t turn;
	bool mute;		/* that a page cannot be asked for was logged */
	struct evloop_watch came; /* eventfd: one may have come */
};

/* In-flight tracking: memory that the front-end keeps. */
struct vhost_be_inflight {
	struct virtq_map *map;	/* NULL: there is none */
	uint8_t *host;
	uint64_t bytes;
	uint16_t num_queues, queue_size; /* the latter in entries */
};

/* What became of a transfer of the device's state. */
enum vhost_be_devstate_result {
	VHOST_BE_DEVSTATE_NONE,
	VHOST_BE_DEVSTATE_DONE,
	VHOST_BE_DEVSTATE_FAILED,
};

/* The device's state on its way through a pipe. */
struct vhost_be_devstate {
	struct evloop_watch pipe; /* fd -1: no transfer is in progress */
	enum vhost_be_devstate_result result;	/* of the last one */
	uint32_t length, done;	/* bytes: known, and written */
	bool too_long;		/* more came than any state has */
	uint8_t bytes[4096];
};

/* The state file. */
struct vhost_be_state {
	char path[PATH_MAX];	/* empty: none is wanted */
	bool tried;		/* to open it */
	int fd;			/* locked, while `map` is there */
	struct virtq_map *map;	/* NULL: there is none */
	uint8_t *host;
};

struct vhost_be {
	/* From the configuration. */
	const struct vhost_be_ops *ops;
	void *ctx;
	struct evloop *loop;
	struct virtq_dev **vq;		/* states of rings, nrings of them */
	uint16_t nrings;
	uint16_t mem_slots;
	bool sealed;		/* refuse memory that a peer can cut short */
	bool iommu_keeps;	/* as struct vhost_be_config has it */
	uint64_t next_features;		/* offered from the next connection on */
	uint64_t tolerated, fallback;	/* as in struct vhost_be_config */
	uint64_t protocol_offered;

	struct vhu_sock sock;
	struct vhu_conn conn;		/* the front-end */
	struct vhu_conn chan;		/* the back-end channel, SET_BACKEND_REQ_FD */
	struct evloop_timer tick;	/* while connected: finds broken rings and cut memory */
	struct evloop_later *closer;	/* closes what front-ends sent */
	struct evloop_later *unmapper;	/* undoes mappings; the account's */
	struct virtq_mem_account *account; /* of all mappings, former front-ends' too */
	struct evloop_watch cut;	/* account->cutfd: a file was cut short */

	/* State of one connection; all zero at its start. */
	uint64_t offered;		/* device features */
	uint64_t acceptable;		/* those, and what else SET_FEATURES may contain */
	uint64_t features;		/* acked */
	uint64_t protocol;		/* protocol features acked */
	uint64_t messages;		/* since it connected */
	uint64_t busy_ns;		/* atomic: since when it is being served; 0: it is not */
	bool features_set;		/* SET_FEATURES was accepted since the last reset */
	bool features_bad;		/* the last SET_FEATURES was refused */
	bool prepared;			/* SET_VRING_CALL came */
	bool negotiated;		/* SET_FEATURES came */
	bool rejected;		/* a second front-end was refused, and that was logged */
	uint8_t status;			/* virtio device status */
	struct virtq_mem *mem;		/* NULL: none yet */
	struct virtq_log *log;		/* NULL: none yet */
	bool mem_repeated;		/* regions are added and removed once a queue pair */
	struct vhost_be_iotlb iotlb;
	struct vhost_be_state state;
	struct vhost_be_inflight inflight;
	struct vhost_be_devstate devstate;
	struct vhost_be_postcopy postcopy;
	struct vhost_be_pages pages;

	struct vhost_be_relays *relays;	/* how many there are */
	/* Connections in a row that ended when features were to be set. */
	uint32_t unsatisfied;

	struct vhost_be_vring *vring;		/* nrings of them */
	struct virtq_ring **rings;	/* scratch for ops->rings_publish */
	struct {
		int qid;		/* the vring that is served as control queue, or -1 */
		struct evloop_watch kick;
		struct evloop_timer pause;
	} cvq;
	int about;			/* ring that the message in progress is about, or -1 */
	const char *why;		/* of the last refusal, static */

	struct vhost_log_limit log_limit;
	struct vhost_be_info info;	/* written with INFO_SET, INFO_ADD; read by any thread */
};

#define INFO_SET(be, field, value) \
	__atomic_store_n(&(be)->info.field, (value), __ATOMIC_RELAXED)
#define INFO_ADD(be, field) INFO_SET(be, field, (be)->info.field + 1)

/* What a handler returns besides 0 and -errno: cannot be done now; the connection lives even if
 * nobody asked for an answer, and what the message said is remembered. */
#define VHOST_BE_DEFERRED 1
/* Done, and the handler has sent the answer. */
#define VHOST_BE_ANSWERED 2

enum vhost_be_reply {
	VHOST_BE_REPLY_ACK,	/* a u64, only if NEED_REPLY asks for it */
	VHOST_BE_REPLY_ALWAYS,	/* the handler leaves it in the message: hdr.size and payload */
};

/* How a message that is always answered is refused. */
enum vhost_be_refusal {
	VHOST_BE_REFUSE_CLOSE = 0,	/* no answer says no: close the connection */
	VHOST_BE_REFUSE_U64,		/* a u64, refusal_value */
	VHOST_BE_REFUSE_EMPTY,		/* no payload */
	VHOST_BE_REFUSE_ZEROS,		/* a payload of max bytes, all 0 */
	VHOST_BE_REFUSE_ACK,		/* as a message that is not always answered */
};

/* States of a session in which a message is legal. */
#define VHOST_BE_WHEN_IDLE 0x1		/* no ring runs */
#define VHOST_BE_WHEN_RUNNING 0x2	/* at least one does */
#define VHOST_BE_WHEN_ANY (VHOST_BE_WHEN_IDLE | VHOST_BE_WHEN_RUNNING)

/* What has to be negotiated: VHOST_BE_REQUIRES(protocol feature), or one of these. */
#define VHOST_BE_REQUIRES_NOTHING 0
#define VHOST_BE_REQUIRES(bit) ((bit) + 1)
#define VHOST_BE_REQUIRES_IOMMU 64	/* VIRTIO_F_ACCESS_PLATFORM acked */

/* What the table says of a request. */
struct vhost_be_request_info {
	uint16_t min, max;	/* bytes of payload: needed, and read */
	uint8_t fds_min, fds_max;
	uint8_t required;
	uint8_t when;		/* VHOST_BE_WHEN_ */
	enum vhost_be_reply reply;
	enum vhost_be_refusal refusal;
	uint64_t refusal_value;
	/*
	 * NULL: not served. Returns 0, VHOST_BE_DEFERRED, or -errno with nothing changed
	 * (-EMSGSIZE: the size is wrong, close); the reason goes through vhost_be_session_refuse().
	 */
	int (*handle)(struct vhost_be *be, struct vhu_msg *msg);
};

void __attribute__((format(printf, 3, 4)))
vhost_be_session_log(struct vhost_be *be, enum vhost_log_level level, const char *fmt, ...);
/* The loop begins to serve the session; false: it is done with that. See vhost_be_guard.h. */
void vhost_be_session_serve(struct vhost_be *be, bool begins);
static inline bool
vhost_be_session_packed(const struct vhost_be *be)
{
	return be->features & VIRTQ_BIT(VIRTIO_F_RING_PACKED);
}

/* What the vring knows of the IOTLB while it runs; NULL: it does not, or needs none. */
static inline struct virtq_iotlb_view *
vhost_be_session_view(const struct vhost_be *be, uint16_t qid)
{
	return be->vring[qid].ring == NULL ? NULL : be->vring[qid].ring->view;
}

/* Note why (static text) a message is refused; returns rc. */
int vhost_be_session_refuse(struct vhost_be *be, int rc, const char *why);
/* An answer of a handler's own was not sent, with this error: what the handler returns. */
int vhost_be_session_unsent(struct vhost_be *be, int rc);
/* Name features that a guest has and that cannot be served. */
void vhost_be_session_log_features(struct vhost_be *be, uint64_t features);
/* Report to the owner and the statistics what is negotiated. */
void vhost_be_session_report_features(struct vhost_be *be);

/* vhost_be_dispatch.c */
/* NULL: no such message. */
const struct vhost_be_request_info *vhost_be_dispatch_info(uint32_t request);
/* Serve a message and answer it. NULL, or why (static text) the connection has to be closed. */
const char *vhost_be_dispatch(struct vhost_be *be, struct vhu_msg *msg);

/* vhost_be_ring.c */
void vhost_be_ring_init(struct vhost_be_vring *r, uint16_t qid);
/* Take all rings away from the bursts, at the price of one barrier; they remember their base. */
void vhost_be_rings_stop(struct vhost_be *be);
/* Forget what the front-end said of a stopped ring and close its kick; call and err stay. */
void vhost_be_ring_reset(struct vhost_be_vring *r);
/* Close all fds as well. */
void vhost_be_ring_drop(struct vhost_be_vring *r);
/* What the front-end said of a vring. */
struct virtq_ring_config vhost_be_ring_config(const struct vhost_be *be,
					      const struct vhost_be_vring *r);
/*
 * Build a ring in `mem` from what the front-end said of it. 0, -errno of virtq_ring_new(), or
 * -EAGAIN: the front-end was asked for its addresses.
 */
int vhost_be_ring_build(struct vhost_be *be, struct vhost_be_vring *r, struct virtq_mem *mem,
			struct virtq_ring **ring);
/*
 * Start the vrings that are ready, rebuild those that are stale, stop those that lack something.
 * Returns 0, or -errno with be->why: the ring that the message was about could not start.
 */
int vhost_be_rings_update(struct vhost_be *be);
/* Publish be->rings with one barrier. */
void vhost_be_rings_publish(struct vhost_be *be);
/* The bursts use `ring`, built in the new memory (NULL: none), instead of r->ring. */
void vhost_be_ring_moved(struct vhost_be *be, struct vhost_be_vring *r, struct virtq_ring *ring);
/* Stop the vring, which keeps its place and starts again when it can. */
void vhost_be_ring_pause(struct vhost_be *be, struct vhost_be_vring *r);
/* It has waited too long for that. */
void vhost_be_ring_give_up(struct vhost_be *be, struct vhost_be_vring *r);
/* Stop the vring if a burst has found it broken. */
void vhost_be_ring_check(struct vhost_be *be, struct vhost_be_vring *r);
/* Reset the device (RESET_DEVICE, SET_STATUS 0): rings and features are as new, memory stays. */
void vhost_be_rings_reset_device(struct vhost_be *be);
bool vhost_be_rings_running(const struct vhost_be *be);
/* Whether any ring runs and is enabled. */
bool vhost_be_rings_enabled(const struct vhost_be *be);
/* Stop all rings until they are kicked anew. */
void vhost_be_rings_forget(struct vhost_be *be);
/* Something that rings depend on has changed: those that failed to start may try again. */
void vhost_be_rings_retry(struct vhost_be *be);

int vhost_be_ring_on_set_vring_num(struct vhost_be *be, struct vhu_msg *msg);
int vhost_be_ring_on_set_vring_addr(struct vhost_be *be, struct vhu_msg *msg);
int vhost_be_ring_on_set_vring_base(struct vhost_be *be, struct vhu_msg *msg);
int vhost_be_ring_on_get_vring_base(struct vhost_be *be, struct vhu_msg *msg);
int vhost_be_ring_on_set_vring_kick(struct vhost_be *be, struct vhu_msg *msg);
int vhost_be_ring_on_set_vring_call(struct vhost_be *be, struct vhu_msg *msg);
int vhost_be_ring_on_set_vring_err(struct vhost_be *be, struct vhu_msg *msg);
int vhost_be_ring_on_set_vring_enable(struct vhost_be *be, struct vhu_msg *msg);

/* vhost_be_place.c */
/* Set the vring's position. The ring is not published yet. 0 or -EINVAL. */
int vhost_be_place(struct vhost_be *be, const struct vhost_be_vring *r,
		   const struct virtq_ring *ring);

/* vhost_be_state.c */
/* A packed ring is about to start: *base is where a killed process had it. False: nobody knows. */
bool vhost_be_state_place(struct vhost_be *be, const struct vhost_be_vring *r,
			  const struct virtq_ring *ring, uint32_t *base);
/* It stands where the vring's state says, and keeps that in the file from now on. */
void vhost_be_state_begin(struct vhost_be *be, const struct vhost_be_vring *r,
			  const struct virtq_ring *ring);
/* The front-end knows where it stands. */
void vhost_be_state_forget(struct vhost_be *be, const struct vhost_be_vring *r);
/* Remove the file, if there is one. No burst writes to it any more. */
void vhost_be_state_close(struct vhost_be *be);

/* vhost_be_inflight.c */
int vhost_be_inflight_on_get_fd(struct vhost_be *be, struct vhu_msg *msg);
int vhost_be_inflight_on_set_fd(struct vhost_be *be, struct vhu_msg *msg);
/* As vhost_be_state_place(), for rings of either layout; what was in flight is returned. */
bool vhost_be_inflight_place(struct vhost_be *be, const struct vhost_be_vring *r,
			     const struct virtq_ring *ring, uint32_t *base);
/* As vhost_be_state_begin(). False: this ring is not tracked. */
bool vhost_be_inflight_begin(struct vhost_be *be, const struct virtq_ring *ring);
/* No burst writes to it any more. */
void vhost_be_inflight_close(struct vhost_be *be);

/* vhost_be_devstate.c */
void vhost_be_devstate_init(struct vhost_be *be);
int vhost_be_devstate_on_set_fd(struct vhost_be *be, struct vhu_msg *msg);
int vhost_be_devstate_on_check(struct vhost_be *be, struct vhu_msg *msg);
/* As vhost_be_state_place(). */
bool vhost_be_devstate_place(const struct vhost_be_vring *r, const struct virtq_ring *ring,
			     uint32_t *base);
/* A transfer that is in progress has failed. */
void vhost_be_devstate_close(struct vhost_be *be);

/* vhost_be_fd.c */
/* Take an eventfd out of a message that brings an fd. -1: it is of another kind. */
int vhost_be_fd_take_event(struct vhu_msg *msg);
/*
 * Take what the driver is to be called with: an eventfd, or a pipe or a stream socket of Unix, for
 * which a relay is started. Writing to anything else can block, or raise a signal. *fd is the
 * caller's. 0, or refused with -errno.
 */
int vhost_be_fd_take_call(struct vhost_be *be, struct vhu_msg *msg, int *fd,
			  struct vhost_be_relay **relay);
/*
 * Whether fd is an eventfd and nothing like one: with another descriptor, say one of epoll, a peer
 * would have a say in what waiting for it costs. -1: it is not.
 */
bool vhost_be_fd_is_eventfd(int fd);
/* Whether fd is a stream socket of Unix. */
bool vhost_be_fd_is_stream(int fd);
/* Whether such a one is an end of this or another port's connection, which then would not end. */
bool vhost_be_fd_is_connection(const struct vhost_be *be, int fd);

/* vhost_be_cvq.c */
void vhost_be_cvq_init(struct vhost_be *be);
/* The vring that is the control queue by what the front-end said so far, or -1. */
int vhost_be_cvq_find(const struct vhost_be *be);
/* Serve a vring as control queue from now on, in the loop; the owner does not hear of it. */
void vhost_be_cvq_begin(struct vhost_be *be, struct vhost_be_vring *r);
void vhost_be_cvq_end(struct vhost_be *be);

/* vhost_be_mem.c */
/* The account of a new session; `cut` is called when a file is cut short. 0 or -errno. */
int vhost_be_mem_open(struct vhost_be *be,
		      void (*cut)(struct evloop_watch *w, uint32_t events));
/* Also after vhost_be_mem_open() has failed. */
void vhost_be_mem_close(struct vhost_be *be);
/* So many mappings wait to be undone that the front-end has to wait for that. */
bool vhost_be_mem_is_behind(const void *be);
/* Put another snapshot (NULL: none) in place of the current one; takes it over. */
void vhost_be_mem_swap(struct vhost_be *be, struct virtq_mem *mem);

int vhost_be_mem_on_set_mem_table(struct vhost_be *be, struct vhu_msg *msg);
int vhost_be_mem_on_set_log_base(struct vhost_be *be, struct vhu_msg *msg);
int vhost_be_mem_on_get_max_mem_slots(struct vhost_be *be, struct vhu_msg *msg);
int vhost_be_mem_on_add_mem_reg(struct vhost_be *be, struct vhu_msg *msg);
int vhost_be_mem_on_rem_mem_reg(struct vhost_be *be, struct vhu_msg *msg);

/* vhost_be_miss.c */
/* 0 or -errno. The port offers ACCESS_PLATFORM, post-copy, or both. */
int vhost_be_miss_open(struct vhost_be *be, bool iommu, bool by_pages);
/* Also without vhost_be_miss_open(). */
void vhost_be_miss_close(struct vhost_be *be);
int vhost_be_miss_on_iotlb_msg(struct vhost_be *be, struct vhu_msg *msg);

/* vhost_be_iotlb.c */
/* Ask for the page of an address. False: nobody can be asked, which is logged once. */
bool vhost_be_iotlb_ask(struct vhost_be *be, uint64_t iova, bool write);
/* Features or memory have changed to these. Rings that run keep theirs until they are rebuilt. */
void vhost_be_iotlb_follow(struct vhost_be *be, uint64_t features, struct virtq_mem *mem);
/* The vring could not be built: ask for those of its addresses that are not known. False: none. */
bool vhost_be_iotlb_want_ring(struct vhost_be *be, struct vhost_be_vring *r,
			      const struct virtq_ring_config *cfg);

/* vhost_be_pages.c */
/* `came` is called when a page may have come. 0 or -errno. */
int vhost_be_pages_open(struct vhost_be *be,
			void (*came)(struct evloop_watch *w, uint32_t events));
/* Also without vhost_be_pages_open(). */
void vhost_be_pages_close(struct vhost_be *be);
/* Somebody waits for the page at this address in a ring. False: ask again later. */
bool vhost_be_pages_want(struct vhost_be *be, uint64_t iova, bool write);
/* See which of those that are waited for have come. Whether any has. */
bool vhost_be_pages_look(struct vhost_be *be);
/* Look again soon: more may be known. */
void vhost_be_pages_hurry(struct vhost_be *be);

/* vhost_be_postcopy.c */
/* Somebody has waited for a page for too long. */
bool vhost_be_postcopy_failed(const struct vhost_be *be);
int vhost_be_postcopy_on_advise(struct vhost_be *be, struct vhu_msg *msg);
int vhost_be_postcopy_on_listen(struct vhost_be *be, struct vhu_msg *msg);
int vhost_be_postcopy_on_end(struct vhost_be *be, struct vhu_msg *msg);
/* It is over: nobody waits for a page any more. `come`: all have. */
void vhost_be_postcopy_close(struct vhost_be *be, bool come);
/* The memory that regions are added to: proposed, or in use. */
struct virtq_mem *vhost_be_postcopy_mem(const struct vhost_be *be);
/* Instead of using it, answer where memory lies; takes it over. For the handler to return. */
int vhost_be_postcopy_propose(struct vhost_be *be, struct vhu_msg *msg, struct virtq_mem *mem);
/* A message of 8 bytes: *mem is what was proposed, to be used now; the caller's. */
int vhost_be_postcopy_confirm(struct vhost_be *be, const struct vhu_msg *msg,
			      struct virtq_mem **mem);

/* vhost_be_chan.c */
void vhost_be_chan_init(struct vhost_be *be);
/* Ask for the translation of a page. False: nobody can be asked, which is logged once. */
bool vhost_be_chan_miss(struct vhost_be *be, uint64_t iova, bool write);
int vhost_be_chan_on_set_backend_req_fd(struct vhost_be *be, struct vhu_msg *msg);

/*
 * Protocol features that handlers exist for. User-Mode Linux has the interrupt of its device from
 * having a back-end channel, although nothing is said on it.
 */
#define VHOST_BE_PROTOCOL \
	(VIRTQ_BIT(VHU_PF_MQ) | VIRTQ_BIT(VHU_PF_LOG_SHMFD) | VIRTQ_BIT(VHU_PF_RARP) | \
	 VIRTQ_BIT(VHU_PF_REPLY_ACK) | \
	 VIRTQ_BIT(VHU_PF_NET_MTU) | VIRTQ_BIT(VHU_PF_BACKEND_REQ) | VIRTQ_BIT(VHU_PF_PAGEFAULT) | \
	 VIRTQ_BIT(VHU_PF_INFLIGHT_SHMFD) | VIRTQ_BIT(VHU_PF_CONFIGURE_MEM_SLOTS) | \
	 VIRTQ_BIT(VHU_PF_RESET_DEVICE) | VIRTQ_BIT(VHU_PF_STATUS) | \
	 VIRTQ_BIT(VHU_PF_DEVICE_STATE))
/*
 * What a front-end may have agreed on with DPDK's lib/vhost. Some set it again with each
 * connection and ask no more what is offered, so it is taken, and nothing follows from it.
 */
#define VHOST_BE_PROTOCOL_OF_OTHERS \
	(VIRTQ_BIT(VHU_PF_CRYPTO_SESSION) | VIRTQ_BIT(VHU_PF_BACKEND_SEND_FD) | \
	 VIRTQ_BIT(VHU_PF_HOST_NOTIFIER))

#endif /* VHOST_BE_SESSION_H */
