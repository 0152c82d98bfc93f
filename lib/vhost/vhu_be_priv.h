/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside of a back-end session. Who handles what:
 *
 *   vhu_handlers.c	the table of messages, and those about the session
 *   vhu_be_ring.c	messages about rings; when a ring starts, stops, is published
 *   vhu_be_mem.c	messages about memory; replacing the snapshot under running rings
 *   vhu_be.c		the session's life: connect, dispatch, answer, disconnect
 */
#ifndef VHU_BE_PRIV_H
#define VHU_BE_PRIV_H

#include "vhu_be.h"
#include "vhu_conn.h"
#include "vhu_msg.h"
#include "vhu_sock.h"

/* A vring: what the front-end said of it, and what became of that. */
struct vhu_ring {
	uint16_t qid;
	uint32_t num;		/* entries, 0: not said */
	bool has_addr;
	struct vhu_vring_addr addr; /* as it came; translated when the ring starts */
	bool has_base;
	uint32_t base;		/* where to start, SET_VRING_BASE's encoding; kept while stopped */
	bool enabled;		/* remembered from before the ring exists */
	bool kicked;		/* a kick (fd or none) came: start as soon as all is there */
	int kick, call, err;	/* eventfds, owned; -1: none */

	struct virtq_run *run;	/* what the bursts use; NULL: stopped */
	bool stale;		/* the run is to be made anew; its cursors go on */
	bool stuck;		/* the last attempt to start failed: wait until something changes */
	bool broken;		/* the peer broke it: wait for a new base and a new kick */
};

struct vhu_be {
	/* From the configuration. */
	const struct vhu_be_ops *ops;
	void *ctx;
	struct evloop *loop;
	struct virtq_vq **vq;		/* cursors, nrings of them */
	uint16_t nrings;
	uint16_t mem_slots;
	uint64_t next_features;		/* offered from the next connection on */
	uint64_t protocol_offered;

	struct vhu_sock sock;
	struct vhu_conn conn;		/* the front-end */
	struct vhu_conn chan;		/* the back-end channel, SET_BACKEND_REQ_FD */
	struct evloop_timer tick;	/* looks for what bursts cannot report, while connected */

	/* State of one connection; all zero at its start. */
	uint64_t offered;		/* device features */
	uint64_t features;		/* acked */
	uint64_t protocol;		/* protocol features acked */
	uint64_t spoken;		/* messages since it connected */
	bool features_set;		/* SET_FEATURES was accepted since the last reset */
	bool features_bad;		/* the last SET_FEATURES was refused */
	bool turned_away;		/* a second front-end was refused, and that was logged */
	uint8_t status;			/* virtio device status */
	struct virtq_mem *mem;		/* NULL: none yet */
	bool mem_repeated;		/* regions are added and removed once a queue pair */

	struct vhu_ring *ring;		/* nrings of them */
	struct virtq_run **runs;	/* scratch for ops->rings_publish */
	int about;			/* ring that the message in progress is about, or -1 */
	const char *why;		/* of the last refusal, static */

	uint64_t log_window_ns;		/* the second in which log_lines were written */
	uint32_t log_lines[2];		/* ordinary ones, and those for debugging */
	struct vhu_be_info info;	/* written with INFO_SET, INFO_ADD; read by any thread */
};

#define INFO_SET(be, field, value) \
	__atomic_store_n(&(be)->info.field, (value), __ATOMIC_RELAXED)
#define INFO_ADD(be, field) INFO_SET(be, field, (be)->info.field + 1)

/* What a handler returns besides 0 and -errno: cannot be done now; the connection lives even if
 * nobody asked for an answer, and what the message said is remembered. */
#define VHU_DEFERRED 1

enum vhu_reply {
	VHU_REPLY_ACK,		/* a u64, only if NEED_REPLY asks for it */
	VHU_REPLY_ALWAYS,	/* the handler leaves it in the message: hdr.size and payload */
};

/* How a message that is always answered is refused. */
enum vhu_refusal {
	VHU_REFUSE_CLOSE = 0,	/* no answer says no: close the connection */
	VHU_REFUSE_U64,		/* a u64, row.refusal_value */
	VHU_REFUSE_EMPTY,	/* no payload */
	VHU_REFUSE_ZEROS,	/* a payload of row.max bytes, all 0 */
};

/* States of a session in which a message is legal. */
#define VHU_WHEN_IDLE 0x1	/* no ring runs */
#define VHU_WHEN_RUNNING 0x2	/* at least one does */
#define VHU_WHEN_ANY (VHU_WHEN_IDLE | VHU_WHEN_RUNNING)

/* Gates: VHU_GATE(protocol feature), or one of these. */
#define VHU_GATE_NONE 0
#define VHU_GATE(bit) ((bit) + 1)
#define VHU_GATE_ENABLE 64	/* feature bit 30 acked, or nothing acked yet */
#define VHU_GATE_IOMMU 65	/* VIRTIO_F_ACCESS_PLATFORM acked */

/* A row of the message table. */
struct vhu_row {
	const char *name;
	uint16_t min, max;	/* bytes of payload */
	uint8_t fds_min, fds_max;
	uint8_t gate;
	uint8_t when;		/* VHU_WHEN_ */
	enum vhu_reply reply;
	enum vhu_refusal refusal;
	uint64_t refusal_value;
	/*
	 * NULL: not served. Returns 0, VHU_DEFERRED, or -errno with nothing changed (-EMSGSIZE: the
	 * size is wrong, close); the reason goes through vhu_refuse().
	 */
	int (*handle)(struct vhu_be *be, struct vhu_msg *msg);
};

/* NULL: no such message. */
const struct vhu_row *vhu_row(uint32_t request);

/* vhu_be.c */
void __attribute__((format(printf, 3, 4)))
vhu_be_log(struct vhu_be *be, enum vhu_log_level level, const char *fmt, ...);
/* Note why (static text) a message is refused; returns rc. */
int vhu_refuse(struct vhu_be *be, int rc, const char *why);
/* To a device that no driver has touched yet: RESET_DEVICE, SET_STATUS 0. Memory stays. */
void vhu_be_reset_device(struct vhu_be *be);
/* Tell the owner and the statistics what is negotiated. */
void vhu_be_tell_features(struct vhu_be *be);

/* vhu_be_ring.c */
void vhu_ring_init(struct vhu_ring *r, uint16_t qid);
/* Take all rings away from the bursts, at the price of one barrier; they remember their base. */
void vhu_rings_stop(struct vhu_be *be);
/* Forget what the front-end said of a stopped ring and close its kick; call and err stay. */
void vhu_ring_reset(struct vhu_ring *r);
/* Close all fds as well. */
void vhu_ring_drop(struct vhu_ring *r);
/* Make a run from what is known of the ring, in `mem`. 0 or -errno of virtq_run_new(). */
int vhu_ring_build(struct vhu_be *be, const struct vhu_ring *r, struct virtq_mem *mem,
		   struct virtq_run **run);
/*
 * Start what is ready, make anew what is stale, stop what lost something it needs. Returns 0, or
 * -errno with be->why when the ring that the message was about could not start.
 */
int vhu_rings_settle(struct vhu_be *be);
/* Publish be->runs with one barrier. */
void vhu_rings_publish(struct vhu_be *be);
/* The bursts went from the ring's run to another (NULL: none) in another memory. */
void vhu_ring_moved(struct vhu_be *be, struct vhu_ring *r, struct virtq_run *run);
/* See whether bursts found a ring broken; take it away then. */
void vhu_ring_check(struct vhu_be *be, struct vhu_ring *r);
bool vhu_rings_run(const struct vhu_be *be);
/* Something that rings depend on has changed: those that failed to start may try again. */
void vhu_rings_unstick(struct vhu_be *be);

int vhu_on_set_vring_num(struct vhu_be *be, struct vhu_msg *msg);
int vhu_on_set_vring_addr(struct vhu_be *be, struct vhu_msg *msg);
int vhu_on_set_vring_base(struct vhu_be *be, struct vhu_msg *msg);
int vhu_on_get_vring_base(struct vhu_be *be, struct vhu_msg *msg);
int vhu_on_set_vring_kick(struct vhu_be *be, struct vhu_msg *msg);
int vhu_on_set_vring_call(struct vhu_be *be, struct vhu_msg *msg);
int vhu_on_set_vring_err(struct vhu_be *be, struct vhu_msg *msg);
int vhu_on_set_vring_enable(struct vhu_be *be, struct vhu_msg *msg);

/* vhu_be_mem.c */
/* Put another snapshot (NULL: none) in place of the current one; takes it over. */
void vhu_mem_swap(struct vhu_be *be, struct virtq_mem *mem);

int vhu_on_set_mem_table(struct vhu_be *be, struct vhu_msg *msg);
int vhu_on_get_max_mem_slots(struct vhu_be *be, struct vhu_msg *msg);
int vhu_on_add_mem_reg(struct vhu_be *be, struct vhu_msg *msg);
int vhu_on_rem_mem_reg(struct vhu_be *be, struct vhu_msg *msg);

/* vhu_chan.c */
void vhu_chan_init(struct vhu_be *be);
int vhu_on_set_backend_req_fd(struct vhu_be *be, struct vhu_msg *msg);

/* Protocol features that handlers exist for. */
#define VHU_SERVED_PROTOCOL \
	(VHU_BIT(VHU_PF_MQ) | VHU_BIT(VHU_PF_RARP) | VHU_BIT(VHU_PF_REPLY_ACK) | \
	 VHU_BIT(VHU_PF_NET_MTU) | VHU_BIT(VHU_PF_BACKEND_REQ) | \
	 VHU_BIT(VHU_PF_CONFIGURE_MEM_SLOTS) | VHU_BIT(VHU_PF_RESET_DEVICE) | \
	 VHU_BIT(VHU_PF_STATUS))

#endif /* VHU_BE_PRIV_H */
