/* SPDX-License-Identifier: BSD-3-Clause */
/* Does the machine have what a run needs? */
#ifndef PERF_MACHINE_H
#define PERF_MACHINE_H

#include "options.h"

/*
 * Choose a CPU for each end, unless the options name them: the first that this process may use
 * for front-ends, the second for back-ends. Returns 0, or -ENODEV with one line in why.
 */
int perf_choose_cpus(struct perf_options *o, char *why, size_t len);

/*
 * Are there hugepages for so many processes, each of which needs mib MiB? Returns 0, or -ENOMEM
 * with one line in why that says what to do.
 */
int perf_check_hugepages(uint32_t processes, uint32_t mib, char *why, size_t len);

#endif /* PERF_MACHINE_H */
