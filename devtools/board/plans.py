# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's test plans for vhost and virtio, in the order of the board."""

import counted
import loopback
import pvp_user
import vm2vm_user

PLANS = loopback.PLANS + pvp_user.PLANS + [counted.PORTS, counted.XSTATS, pvp_user.SMOKE]
PLANS += vm2vm_user.PLANS
