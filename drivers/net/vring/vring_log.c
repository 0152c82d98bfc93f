/* SPDX-License-Identifier: BSD-3-Clause */

#include <rte_common.h>

#include "vring_log.h"

RTE_LOG_REGISTER(vring_logtype, pmd.net.vring, NOTICE);
