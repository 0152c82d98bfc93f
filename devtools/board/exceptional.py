# SPDX-License-Identifier: BSD-3-Clause
"""The plan in which an application and the kernel's network stack share a NIC."""

import taps
import vhost_net
from case import FRONT, Case, Plan

PLANS = [Plan("virtio_user_as_exceptional_path", [
    Case(1, "checksums and segmentation left to the other side: TCP both ways through the kernel's "
         "vhost-net, files compared, packets larger than frames", taps.Kernel,
         [vhost_net.offloaded], (FRONT,),
         "vhost-net in a QEMU guest; a second tap in a namespace for the NICs"),
    *[Case(1 + queues, "%d queue%s: the kernel routes 64-byte frames of many flows back to the "
           "front-end" % (queues, "s" if queues > 1 else ""), taps.Kernel, [taps.routed(queues)],
           (FRONT,), "vhost-net in a QEMU guest; net_pcap for the NIC") for queues in (1, 2)],
], daily=(3,))]
