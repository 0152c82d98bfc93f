/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What rings need of a processor. Each of these headers has the same functions, whose names begin
 * with virtq_arch_; no other file of lib/ and drivers/ has instructions of a processor, but those
 * whose names end in that of the processor (devtools/check-layers).
 */
#ifndef VIRTQ_ARCH_H
#define VIRTQ_ARCH_H

#if defined(__x86_64__)
#include "virtq_arch_x86.h"
#elif defined(__aarch64__)
#include "virtq_arch_arm64.h"
#else
#include "virtq_arch_any.h"
#endif

#endif /* VIRTQ_ARCH_H */
