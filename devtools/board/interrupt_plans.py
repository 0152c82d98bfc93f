# SPDX-License-Identifier: BSD-3-Clause
"""Plans in which an end sleeps and is woken."""

import guest_interrupts
import taps
import user
from asleep import Asleep, carries, flood, one_queue, restart, singles, sleeps
from case import BACK, FRONT, Case, Plan
from guest_interrupts import Interrupted, Sleepers
from guest_power import GuestAsleep
from taps import TapAsleep

RINGS = ("split", "packed")
BOTH = (BACK, FRONT)
IMIX = (64, 128, 256, 512, 1024, 1514)
UMWAIT = "a look at the address now and then for UMWAIT"
PCAP = "net_pcap for the NIC"
PLACE = {"back": BACK, "front": FRONT}


def count(queues):
    return "%d queue%s" % (queues, "s" if queues > 1 else "")


USER = Plan("vhost_user_interrupt", [
    Case(number, "%s ring, %s: lcores of the back-end are woken by packets, and sleep without" % (
        RINGS[packed], count(queues)), Asleep, [sleeps, flood, sleeps, flood, singles],
         end="back", queues=queues, packed=packed)
    for number, (packed, queues) in enumerate(((0, 1), (0, 4), (1, 1), (1, 4)), 1)], daily=(4,))


def front_cases(packed):
    """Of a ring layout."""
    first, ring = 3 * packed + 1, RINGS[packed]
    path = (user.SPLIT, user.PACKED)[packed]
    return [
        Case(first, "%s ring: an lcore of the front-end is woken by packets of a back-end, and "
             "sleeps without" % ring, Asleep,
             [sleeps, carries(64), sleeps, carries(64), sleeps, singles], BOTH, PCAP,
             end="front", packed=packed),
        Case(first + 1, "%s ring asked for: an lcore of the front-end is woken by packets of the "
             "kernel's vhost-net, and sleeps without" % ring, TapAsleep,
             [sleeps, taps.pings, sleeps, taps.pings], (FRONT,),
             "vhost-net in a QEMU guest%s" % (", which has split rings only" if packed else ""),
             packed=packed),
        Case(first + 2, "%s ring: each end hears that the link of the other goes down, and that it "
             "is up again" % ring, user.Loop, [user.sizes(64), user.link_changes], BOTH,
             path=path),
    ]


FRONT_INTERRUPT = Plan("vhost_virtio_user_interrupt", front_cases(0) + front_cases(1), daily=(1, 6))

MONITOR = Plan("vhost_virtio_user_interrupt_with_power_monitor", [
    Case(number, "%s ring, %s: lcores of the %s that wait at an address are woken by packets, "
         "also after the peer stops and starts" % (RINGS[packed], count(queues), PLACE[end]),
         Asleep, [sleeps, carries(*IMIX), sleeps, restart, carries(*IMIX), singles],
         (PLACE[end],), UMWAIT + ", " + PCAP, end=end, queues=queues, packed=packed, umwait=True)
    for number, (packed, end, queues) in enumerate((
        (0, "front", 1), (0, "front", 2), (0, "back", 1), (0, "back", 2),
        (1, "front", 1), (1, "front", 2), (1, "back", 1), (1, "back", 2)), 1)], daily=(8,))

EVENT = Plan("vhost_event_idx_interrupt", [
    Case(number, "kernel guest with event index, %s ring, %s: lcores of the back-end are woken by "
         "its packets, and sleep without" % (
             ring, "two guests" if names == "ab" else count(queues)), Sleepers,
         [sleeps, guest_interrupts.pings, sleeps, guest_interrupts.pings],
         stands_in="" if queues == 1 else "one processor that sends by each queue in turn for 16",
         card="%s-%d" % (ring, queues), names=names)
    for number, (ring, queues, names) in enumerate((
        ("split", 1, "a"), ("split", 16, "a"), ("split", 1, "ab"),
        ("packed", 1, "a"), ("packed", 16, "a"), ("packed", 1, "ab")), 1)], daily=(4,))


GUEST = Plan("vhost_virtio_pmd_interrupt", [
    Case(number, "DPDK in the guest, %s, %s: its lcores are woken by packets for all queues, one "
         "lcore by packets for one, and they sleep without" % (kind, count(queues)), GuestAsleep,
         [sleeps, carries(64), one_queue, sleeps, singles],
         stands_in=PCAP + " and its RSS; an IOMMU that the card does not use for no IOMMU",
         card=card)
    for number, (kind, queues, card) in enumerate((
        ("virtio 0.95", 4, "legacy-4"), ("virtio 0.95", 16, "legacy-16"),
        ("virtio 1.0", 4, "modern-4"), ("packed ring", 16, "packed-16")), 1)], daily=(4,))


def virtio_cases(first, ring):
    """Of a ring layout."""
    return [
        Case(first, "%s ring: a kernel guest has fewer interrupts with an event index than "
             "without" % ring, Interrupted, [guest_interrupts.fewer],
             stands_in="testpmd's packets for the NIC's; notifications counted at the back-end, "
             "since an emulated guest has several at once",
             cards=(ring + "-1", ring + "-no-index-1")),
        Case(first + 1, "%s ring: the guest's driver leaves the card and takes it again ten "
             "times" % ring, Interrupted, [guest_interrupts.reload(10)],
             stands_in="testpmd's packets for the NIC's", cards=(ring + "-1",)),
        Case(first + 2, "%s ring, 16 queues: each interrupts the guest, also after the back-end's "
             "port stops and starts" % ring, Interrupted, [guest_interrupts.every_queue],
             stands_in="testpmd's packets for the NIC's; few packets for two hours",
             cards=(ring + "-16",)),
    ]


VIRTIO_EVENT = Plan("virtio_event_idx_interrupt",
                    virtio_cases(1, "split") + virtio_cases(4, "packed"), daily=(6,))

PLANS = [USER, EVENT, FRONT_INTERRUPT, MONITOR, GUEST, VIRTIO_EVENT]
