# SPDX-License-Identifier: BSD-3-Clause
"""Plans in which a front-end returns all that the back-end sends."""

import user
from case import BACK, FRONT, Case, Plan
from pvp_user import LENGTHS, Pvp, another, csum, segments
from user import Loop, anew, relaunch, restart, sizes

BOTH = (BACK, FRONT)
CHAIN = "2000,2000,2000,2000"
# each in the order of its plan
PORT_RESTART = (user.PACKED, user.PACKED_PLAIN, user.PACKED_ORDER, user.PACKED_ORDER_PLAIN,
                user.SPLIT_ORDER, user.SPLIT_ORDER_PLAIN, user.SPLIT, user.SPLIT_PLAIN,
                user.SPLIT_VECTOR, user.PACKED_VECTOR)
QUEUES = (user.PACKED, user.PACKED_PLAIN, user.SPLIT_ORDER, user.SPLIT_ORDER_PLAIN, user.SPLIT,
          user.SPLIT_STRIP, user.SPLIT_VECTOR, user.PACKED_ORDER, user.PACKED_LRO,
          user.PACKED_VECTOR)
PERFORMANCE = (user.PACKED, user.PACKED_PLAIN, user.PACKED_ORDER, user.PACKED_ORDER_PLAIN,
               user.SPLIT, user.SPLIT_PLAIN, user.SPLIT_VECTOR, user.SPLIT_ORDER,
               user.SPLIT_ORDER_PLAIN, user.PACKED_VECTOR)
# with the number of queues and the segments of a packet
RECONNECT = [(path.sized(256), queues, length) for path, queues, length in (
    (user.SPLIT, 8, CHAIN), (user.SPLIT_ORDER, 2, CHAIN),
    (user.SPLIT_ORDER_PLAIN, 2, 64), (user.SPLIT_STRIP, 2, 64),
    (user.SPLIT_VECTOR, 2, 64), (user.PACKED, 2, CHAIN), (user.PACKED_PLAIN, 2, 64),
    (user.PACKED_ORDER, 8, CHAIN), (user.PACKED_LRO, 2, 64),
    (user.PACKED_VECTOR, 2, 64))]
PAYLOAD = {"packed": (user.PACKED_ORDER, user.PACKED, user.PACKED_PLAIN,
                      user.PACKED_ORDER_PLAIN, user.PACKED_VECTOR,
                      user.PACKED_VECTOR.sized(1025)),
           "split": (user.SPLIT_ORDER, user.SPLIT, user.SPLIT_PLAIN, user.SPLIT_ORDER_PLAIN,
                     user.SPLIT_VECTOR)}


def payload(paths):
    """Steps: on each path frames go round as they are, and again after the back-end was killed.
    What may take several buffers is as long as a chain."""
    steps = []
    for path in paths:
        frames = segments(8000 if path.mrg else 960, 8)
        steps += [anew(path=path)] if steps else []
        steps += [another(frames), relaunch("back"), another(frames)]
    return steps


SERVER_MODE = [
    Case(number, "%s: a front-end that listens, throughput not zero" % path.name, Loop,
         [sizes(64)], BOTH, path=path, server=True)
    for number, path in enumerate((user.PACKED, user.SPLIT), 1)
] + [
    Case(number, "%s, %d queues: either end killed while the other forwards, link down and up, "
         "port restarted; segments of %s bytes on each queue" % (path.name, queues, length), Loop,
         [sizes(length), relaunch("back"), sizes(length), relaunch("front"), sizes(length),
          restart("back"), sizes(length)], BOTH, path=path, queues=queues, server=True)
    for number, (path, queues, length) in enumerate(RECONNECT, 3)
] + [
    Case(number, "%s ring, each path, 8 queues: payload of 8000 and 960 bytes the same, also "
         "after the back-end was killed" % layout, Pvp, payload(PAYLOAD[layout]), BOTH,
         "files of net_pcap for dpdk-pdump's", path=PAYLOAD[layout][0], queues=8, server=True,
         forward=csum)
    for number, layout in enumerate(("packed", "split"), 13)
]

PLANS = [
    Plan("loopback_multi_paths_port_restart", [
        Case(number, "%s: frames of 64 to 1518 bytes, a stopped port passes nothing, a restarted "
             "one single packets" % path.name, Loop,
             [sizes(*LENGTHS), restart("back"), sizes(64, burst=1)], BOTH, path=path)
        for number, path in enumerate(PORT_RESTART, 1)], daily=(1,)),
    Plan("loopback_multi_queues", [
        Case(number, "%s: frames of 64 to 1518 bytes, on 1 queue and on each of 8" % path.name,
             Loop, [sizes(*LENGTHS), anew(queues=8), sizes(*LENGTHS)], BOTH,
             "one core for eight", path=path)
        for number, path in enumerate(QUEUES, 1)], daily=(10,)),
    Plan("loopback_virtio_user_server_mode", SERVER_MODE, daily=(8,)),
    Plan("perf_virtio_user_loopback", [
        Case(number, "%s: frames of 64 to 1518 bytes, throughput not zero" % path.name, Loop,
             [sizes(*LENGTHS)], BOTH, "function for speed", path=path)
        for number, path in enumerate(PERFORMANCE, 1)], daily=(5,)),
]
