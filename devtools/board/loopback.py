# SPDX-License-Identifier: BSD-3-Clause
"""Plans in which a front-end returns all that the back-end sends."""

import user
from case import BACK, FRONT, Case, Plan
from user import Loop, restart, sizes

BOTH = (BACK, FRONT)
# order of the plan
PORT_RESTART = (user.PACKED, user.PACKED_PLAIN, user.PACKED_ORDER, user.PACKED_ORDER_PLAIN,
                user.SPLIT_ORDER, user.SPLIT_ORDER_PLAIN, user.SPLIT, user.SPLIT_PLAIN,
                user.SPLIT_VECTOR, user.PACKED_VECTOR)
LENGTHS = (64, 128, 256, 512, 1024, 1518)

PLANS = [
    Plan("loopback_multi_paths_port_restart", [
        Case(number, "%s: frames of 64 to 1518 bytes, a stopped port passes nothing, a restarted "
             "one single packets" % path.name, Loop,
             [sizes(*LENGTHS), restart("back"), sizes(64, burst=1)], BOTH, path=path)
        for number, path in enumerate(PORT_RESTART, 1)], daily=(1,)),
]
