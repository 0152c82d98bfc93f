# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's test plans for vhost and virtio, in the order of the board."""

import loopback

PLANS = loopback.PLANS
