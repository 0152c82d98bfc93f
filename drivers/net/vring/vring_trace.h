/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Trace points of the control path, for DPDK's tracing (--trace=pmd.net.vring.*). In bursts there
 * are none. A text is cut after 31 bytes. A thread gets its buffer from EAL when it starts, where
 * tracing is enabled by then: a control thread has it before there is a session.
 */
#ifndef VRING_TRACE_H
#define VRING_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_trace_point.h>

/* A peer is there, for the nth time. */
RTE_TRACE_POINT(
	vring_trace_connect,
	RTE_TRACE_POINT_ARGS(uint16_t port_id, uint64_t connects),
	rte_trace_point_emit_u16(port_id);
	rte_trace_point_emit_u64(connects);
)

RTE_TRACE_POINT(
	vring_trace_disconnect,
	RTE_TRACE_POINT_ARGS(uint16_t port_id, const char *why),
	rte_trace_point_emit_u16(port_id);
	rte_trace_point_emit_string(why);
)

/* Negotiated; 0: no more. */
RTE_TRACE_POINT(
	vring_trace_features,
	RTE_TRACE_POINT_ARGS(uint16_t port_id, uint64_t device, uint64_t protocol),
	rte_trace_point_emit_u16(port_id);
	rte_trace_point_emit_u64(device);
	rte_trace_point_emit_u64(protocol);
)

/* The memory that both ends share has changed. */
RTE_TRACE_POINT(
	vring_trace_memory,
	RTE_TRACE_POINT_ARGS(uint16_t port_id, uint32_t regions, uint64_t bytes),
	rte_trace_point_emit_u16(port_id);
	rte_trace_point_emit_u32(regions);
	rte_trace_point_emit_u64(bytes);
)

/* A vring runs, or runs in another way than before. */
RTE_TRACE_POINT(
	vring_trace_ring_start,
	RTE_TRACE_POINT_ARGS(uint16_t port_id, uint16_t vring, uint32_t size, uint8_t packed,
			     uint8_t enabled),
	rte_trace_point_emit_u16(port_id);
	rte_trace_point_emit_u16(vring);
	rte_trace_point_emit_u32(size);
	rte_trace_point_emit_u8(packed);
	rte_trace_point_emit_u8(enabled);
)

RTE_TRACE_POINT(
	vring_trace_ring_stop,
	RTE_TRACE_POINT_ARGS(uint16_t port_id, uint16_t vring),
	rte_trace_point_emit_u16(port_id);
	rte_trace_point_emit_u16(vring);
)

RTE_TRACE_POINT(
	vring_trace_link,
	RTE_TRACE_POINT_ARGS(uint16_t port_id, uint8_t up),
	rte_trace_point_emit_u16(port_id);
	rte_trace_point_emit_u8(up);
)

/* A transmit or receive queue stands still, and has done so for `ms`; or does so no longer. */
RTE_TRACE_POINT(
	vring_trace_stall_begin,
	RTE_TRACE_POINT_ARGS(uint16_t port_id, uint8_t tx, uint16_t queue, uint64_t ms),
	rte_trace_point_emit_u16(port_id);
	rte_trace_point_emit_u8(tx);
	rte_trace_point_emit_u16(queue);
	rte_trace_point_emit_u64(ms);
)

RTE_TRACE_POINT(
	vring_trace_stall_end,
	RTE_TRACE_POINT_ARGS(uint16_t port_id, uint8_t tx, uint16_t queue, uint64_t ms),
	rte_trace_point_emit_u16(port_id);
	rte_trace_point_emit_u8(tx);
	rte_trace_point_emit_u16(queue);
	rte_trace_point_emit_u64(ms);
)

#endif /* VRING_TRACE_H */
