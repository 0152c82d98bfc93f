# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's test plans for vhost and virtio, in the order of the board."""

import loopback
import pvp_user

PLANS = loopback.PLANS + pvp_user.PLANS + [pvp_user.SMOKE]
