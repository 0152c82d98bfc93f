/* SPDX-License-Identifier: BSD-3-Clause */
/* Before rte_trace_point.h, which is another one then. */
#include <rte_trace_point_register.h>

#include "vring_trace.h"

RTE_TRACE_POINT_REGISTER(vring_trace_connect, pmd.net.vring.connect)
RTE_TRACE_POINT_REGISTER(vring_trace_disconnect, pmd.net.vring.disconnect)
RTE_TRACE_POINT_REGISTER(vring_trace_features, pmd.net.vring.features)
RTE_TRACE_POINT_REGISTER(vring_trace_memory, pmd.net.vring.memory)
RTE_TRACE_POINT_REGISTER(vring_trace_ring_start, pmd.net.vring.ring.start)
RTE_TRACE_POINT_REGISTER(vring_trace_ring_stop, pmd.net.vring.ring.stop)
RTE_TRACE_POINT_REGISTER(vring_trace_link, pmd.net.vring.link)
RTE_TRACE_POINT_REGISTER(vring_trace_stall_begin, pmd.net.vring.stall.begin)
RTE_TRACE_POINT_REGISTER(vring_trace_stall_end, pmd.net.vring.stall.end)
