# SPDX-License-Identifier: BSD-3-Clause
"""Plan in which a front-end sends to another through a back-end with two ports."""

import os
import signal
import subprocess

import bed
import matrix
import pcap
import secondary
import user
from bed import check
from case import BACK, FRONT, Case, Drivers, Plan
from pvp_user import Pvp

SMALL, LARGE = 251, 8000    # frames that leave room for five, and bytes of a chain


class Front:
    """What a front-end sends: small frames, large ones, then 2000 bytes once there is room."""

    def __init__(self, large, medium):
        self.first = pcap.packets(SMALL, 0, sizes=[64] * SMALL)
        self.first += pcap.packets(large, 1, sizes=[LARGE] * large)
        self.second = pcap.packets(medium, 2, sizes=[2000] * medium)


class Relay:
    """testpmds `sender` and `receiver`, and between them `back` with port 0 for the one and port
    1 for the other. The sender's port 1 reads what it sends from a file. What receives shares its
    memory with dpdk-pdump, which writes what it sees to a file."""

    def __init__(self, drivers, path, ring=256):
        self.drivers, self.path = drivers, path.sized(ring)
        self.mounted = bed.path("huge")
        self.sender = self.receiver = self.back = self.watcher = None
        os.makedirs(self.mounted, exist_ok=True)
        subprocess.run(["mount", "-t", "hugetlbfs", "none", self.mounted], check=True)

    def start_back(self, ports, **options):
        devices = ["%s%d,iface=%s" % (self.drivers.back, number, bed.path("relay%d" % number))
                   for number in ports]
        self.back = bed.Testpmd("back", devices, cpu=0, args=["--no-flush-rx"], eal=matrix.QUIET,
                                plugin=Drivers.plugin(self.drivers.back), **options)

    def start_front(self, name, number, devices=(), **options):
        driver = self.drivers.front
        device = "%s%d,path=%s,mac=%s,%s" % (
            driver, number, bed.path("relay%d" % number), user.MAC, self.path.options())
        args = ["--no-flush-rx", "--txd=%d" % self.path.ring, "--rxd=%d" % self.path.ring]
        front = bed.Testpmd(
            name, [device] + list(devices), cpu=1, plugin=Drivers.plugin(driver),
            args=args, eal=user.Loop.eal["front"], **options)
        setattr(self, name, front)
        front.wait_link(0)

    def start_sender(self, number):
        pcap.write(bed.path("sent.pcap"), [])
        self.start_front("sender", number, [pcap.port(1, [bed.path("sent.pcap")])])

    def send(self, frames):
        """How many of the frames went into the ring."""
        before = self.sender.stats(0)["opackets"]
        self.sender.cmd("port stop 1")
        pcap.write(bed.path("sent.pcap"), frames)
        self.sender.cmd("port start 1")
        self.sender.cmd("start")
        bed.wait_for("the sender reads its file",
                     lambda: self.sender.stats(1)["ipackets"] >= len(frames))
        self.sender.cmd("stop")
        self.sender.cmd("clear port stats 1")
        return self.sender.stats(0)["opackets"] - before

    def watch(self, testpmd, driver, number):
        """Have dpdk-pdump see what a port receives."""
        # first, since dpdk-pdump makes ports in its primary which nobody starts there
        testpmd.cmd("set fwd rxonly")
        testpmd.cmd("start")
        self.watcher = secondary.pdump_of(testpmd, "%s%d" % (driver, number),
                                          bed.path("seen.pcap"), Drivers.plugin(driver))

    def seen(self):
        """What dpdk-pdump wrote."""
        status = self.watcher.end(signal.SIGINT, 20)
        check(status == 0, "pdump ended with %d: %s" % (status, self.watcher.last_line()))
        self.watcher = None
        return pcap.read(bed.path("seen.pcap"))

    def end(self, *names):
        for name in names:
            testpmd = getattr(self, name)
            setattr(self, name, None)
            if testpmd is not None:
                testpmd.quit()

    def close(self, failed):  # pylint: disable=unused-argument
        if self.watcher is not None:
            self.watcher.end(signal.SIGKILL)
        self.end("sender", "receiver", "back")
        subprocess.run(["umount", self.mounted], check=True)


def never_drop(testpmd):
    """Have it wait for room instead."""
    testpmd.cmd("set fwd io retry")
    testpmd.cmd(Pvp.RETRY)


def through(large, medium=0):
    """A step: from one front-end to the other. The sender's ring fills before the back-end begins
    to forward. large: packets of 8000 bytes that find room in it, and medium: 2000 bytes that are
    sent later. What a receiver without mergeable buffers has no room for is not passed on."""
    def step(relay):
        relay.start_back((0, 1))
        relay.start_front("receiver", 1, huge=relay.mounted)
        relay.watch(relay.receiver, relay.drivers.front, 1)
        relay.start_sender(0)
        traffic = Front(32, medium)
        sent = relay.send(traffic.first)
        # net_vring has an indirect table for every chain, net_virtio_user for some
        room = relay.path.ring - SMALL if relay.drivers.front == "net_vring" else large
        check(sent == SMALL + room, "%d packets found room, not 251 and %d" % (sent, room))
        never_drop(relay.back)
        relay.back.cmd("start")
        offered = traffic.first[:sent if relay.path.mrg else SMALL] + traffic.second
        arrived = lambda: relay.receiver.stats(0)["ipackets"]  # noqa: E731
        bed.wait_for("the first packets", lambda: arrived() >= len(offered) - medium)
        if medium:
            check(relay.send(traffic.second) == medium, "no room in an empty ring")
        bed.wait_for("all packets", lambda: arrived() >= len(offered))
        pcap.compare("at the other front-end", offered, relay.seen())
        if not relay.path.mrg and relay.drivers.back == "net_vring":
            dropped = relay.back.xstats(1)["tx_q0_oversize_dropped"]
            check(dropped == room, "%d packets are counted as too large, not %d" % (dropped, room))
        relay.end("sender", "receiver", "back")
    return step


def to_back(large, medium=0):
    """A step: the same frames to a back-end alone."""
    def step(relay):
        relay.start_back((1,), huge=relay.mounted)
        relay.watch(relay.back, relay.drivers.back, 1)
        relay.start_sender(1)
        traffic = Front(large, medium)
        offered = traffic.first + traffic.second
        never_drop(relay.sender)
        check(relay.send(offered) == len(offered), "not all were sent")
        bed.wait_for("all packets", lambda: relay.back.stats(0)["ipackets"] >= len(offered))
        pcap.compare("at the back-end", offered, relay.seen())
        relay.end("sender", "back")
    return step


# path, entries of a ring, packets of 8000 bytes that find room in it, 2000 bytes sent later
PATHS = ((user.PACKED, 256, 5, 32), (user.PACKED_ORDER, 256, 5, 0), (user.PACKED_PLAIN, 256, 5, 0),
         (user.PACKED_ORDER_PLAIN, 256, 5, 0), (user.SPLIT, 256, 5, 32),
         (user.SPLIT_ORDER, 256, 1, 0),
         (user.SPLIT_PLAIN, 256, 5, 0), (user.SPLIT_ORDER_PLAIN, 256, 1, 0),
         (user.SPLIT_VECTOR, 256, 5, 0), (user.PACKED_VECTOR, 256, 5, 0),
         (user.PACKED_VECTOR, 255, 4, 0))

PLANS = [
    Plan("vm2vm_virtio_user", [
        Case(number, "%s, %d entries: %s, to a front-end and to a back-end" % (
            way.name, ring, "every byte of 64 and 8000 bytes" if way.mrg else
            "every byte of 64 bytes; 8000 bytes find no room and are not passed on"), Relay,
             [through(large, medium), to_back(large if way.mrg else 0, medium)],
             (BACK, FRONT), path=way, ring=ring)
        for number, (way, ring, large, medium) in enumerate(PATHS, 1)] + [
            Case(12, "packed ring, vector code, mergeable: an indirect chain of 8000 bytes is one "
                 "entry", Relay, [through(5)], (BACK, FRONT),
                 path=user.Path("", 1, mrg=1, in_order=1, vectorized=1))], daily=(5,)),
]
