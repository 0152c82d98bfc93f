# SPDX-License-Identifier: BSD-3-Clause
"""Plan in which a virtual machine migrates from one port to another under traffic."""

import re
import time

import bed
import guests
import migrate
import migrate_dpdk
from bed import check
from case import Case, Drivers, Plan

QUEUES = 4
FLOWS = 48      # addresses pinged: more than enough for each queue to have some


class Moving:
    """What both kinds of virtual machines share: the board's way to make and end a topology."""

    def __init__(self, drivers, packed, queues=1):
        super().__init__(10, "packed=on" if packed else "", "", queues, driver=drivers.back)
        self.packed = packed

    def close(self, failed=True):  # pylint: disable=unused-argument
        super().close()


class Dpdk(Moving, migrate_dpdk.Migration):
    """DPDK in the virtual machine returns numbered frames; a tap for the NIC of either port."""


class Learning(migrate_dpdk.Echo):
    """Sends to the tap by which the virtual machine has announced itself, as a switch does. The
    other one would keep frames for a port that does not forward yet."""

    def towards(self):
        return [self.sockets[self.announced[-1] if self.announced else 0]]


class DpdkLate(Dpdk):
    """The second back-end forwards nothing before the virtual machine has come to it."""

    sender = Learning

    def switch_on(self):
        super().switch_on()
        # what waits in a ring is not thrown away
        self.switch.cmd("set flush_rx off")
        self.forward(0)

    def forward(self, port):
        for command in ("stop", "set portlist %d,%d" % (2 * port, 2 * port + 1), "start"):
            self.switch.cmd(command)

    def move(self, half_way=None):
        """How long nothing was forwarded."""
        still, began = super().move(half_way), time.monotonic()
        before = self.switch.stats(2)
        time.sleep(0.5)
        check(self.switch.stats(2)["ipackets"] == before["ipackets"],
              "a port that does not forward has received frames")
        self.forward(1)
        return still + time.monotonic() - began


class Kernel(Moving, migrate.Migration):
    """The kernel of the virtual machine pings, the back-end answers."""


class KernelQueues(Kernel):
    """A card of four queues, of which the kernel uses one at first."""

    def __init__(self, drivers, packed):
        super().__init__(drivers, packed, QUEUES)

    def prepare(self):
        self.guest.must("ip addr add 10.0.0.1/24 dev eth0 && ip link set eth0 up && "
                        "ethtool -L eth0 combined 1")
        self.wait_carrier()


def layout(place):
    """A step: the ring is of the layout that the case is about."""
    if isinstance(place, Dpdk):
        packed = Drivers.packed(place.switch, place.driver)
    else:
        packed = guests.PACKED in place.guest.features("eth0")
    check(packed == bool(place.packed), "the ring is of the other layout")


def moves(place):
    """A step: the virtual machine moves; what it loses is next to nothing, and it loses nothing
    once it has arrived. Its memory arrives whole."""
    place.there_and_back(1)
    place.said()


def per_queue(place, port, count):
    """Pings to many addresses: on each of so many queues packets come and go, and nowhere else."""
    def moved():
        xstats = place.switch.xstats(port)
        return {(way, queue): xstats.get("%s_q%d_packets" % (way, queue),
                                         xstats.get("%s_q%d_good_packets" % (way, queue), 0))
                for way in ("rx", "tx") for queue in range(QUEUES)}
    before = moved()
    place.guest.must("n=0; for i in $(seq 100 %d); do ping -q -c 1 -W 3 10.0.0.$i > /dev/null || "
                     "n=$((n + 1)); done; [ $n -eq 0 ]" % (99 + FLOWS), 60)
    for (way, queue), value in moved().items():
        grown = value - before[way, queue]
        check((grown > 0) == (queue < count), "%s queue %d of port %d has moved %d packets, with "
              "%d queues in use" % (way, queue, port, grown, count))


def queues_change(place):
    """A step: the kernel uses all queues from the middle of the migration on."""
    per_queue(place, 0, 1)
    place.begin_pings()
    still = place.move(lambda: place.guest.must("ethtool -L eth0 combined %d" % QUEUES))
    time.sleep(1)
    lost, sent = place.lost_pings()
    allowed = (still + migrate.MOST_LOST_S * bed.PATIENCE) * migrate.PINGS_A_SECOND
    check(lost <= allowed, "%d of %d pings lost, allowed are %d" % (lost, sent, allowed))
    said = place.guest.must("ethtool -l eth0")
    check(re.findall(r"Combined:\s+(\d+)", said) == [str(QUEUES)] * 2,
          "the guest's queues: " + said)
    per_queue(place, 1, QUEUES)
    check(place.blob_sum() == place.sum, "a file in the guest's memory changed")
    place.said()


HOSTS = "two ports and two QEMUs for two hosts, TCG for KVM"
NIC = "net_tap for the NICs, " + HOSTS
PLANS = [
    Plan("vhost_user_live_migration", [
        Case(first + number, "%s, %s" % (name, asks), topology, [layout, step], stands_in=stands_in,
             packed=packed)
        for first, packed, name in ((1, 0, "split ring"), (5, 1, "packed ring"))
        for number, (asks, topology, step, stands_in) in enumerate((
            ("DPDK in the VM: it migrates while frames come and go", Dpdk, moves, NIC),
            ("DPDK in the VM: the second back-end forwards only once the VM has arrived", DpdkLate,
             moves, NIC),
            ("the VM's kernel: it migrates while it pings", Kernel, moves, HOSTS),
            ("the VM's kernel: it goes from 1 queue to 4 while it migrates", KernelQueues,
             queues_change, HOSTS)))], daily=(8,)),
]
