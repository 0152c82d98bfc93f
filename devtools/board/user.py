# SPDX-License-Identifier: BSD-3-Clause
"""Topologies of two testpmds: a back-end, and a front-end that needs no virtual machine."""

import copy
import os
import signal
import time

import bed
import matrix
from bed import check
from case import Drivers

MAC = "52:54:00:00:00:11"


class Path:
    """A way through DPDK's front-end: ring layout, mergeable buffers, order, vector code."""

    def __init__(self, name, packed=0, mrg=0, in_order=0, vectorized=0, ring=1024, args=(),
                 back=""):
        """args: what has net_virtio_user not use its vector code after all; back: options with
        which a back-end lets it."""
        self.name, self.packed, self.mrg = name, packed, mrg
        self.in_order, self.vectorized, self.ring = in_order, vectorized, ring
        self.args, self.back = list(args), back

    def sized(self, ring):
        """The same path with rings of another size."""
        path = copy.copy(self)
        path.ring = ring
        return path

    def options(self):
        return "packed_vq=%d,mrg_rxbuf=%d,in_order=%d%s,queue_size=%d" % (
            self.packed, self.mrg, self.in_order, ",vectorized=1" if self.vectorized else "",
            self.ring)

    def burst(self):
        """What net_virtio_user says of its receive burst. For packed rings it needs AVX-512."""
        vector = self.vectorized and not self.args and (not self.packed or has_avx512())
        if vector:
            kind = "vectorized"
        elif self.in_order and not self.packed:
            kind = "inorder"
        else:
            kind = "mergeable buffer" if self.mrg else "standard"
        return "using %s%s Rx path" % ("packed ring " if self.packed else "", kind)

    def taken(self, testpmd, driver):
        """Fail unless port 0 of a testpmd, at either end, is on this path."""
        if driver == "net_vring":
            agreed = testpmd.telemetry("/net_vring/features,0")["negotiated"]
            for name, wanted in (("VIRTIO_F_RING_PACKED", self.packed),
                                 ("VIRTIO_F_IN_ORDER", self.in_order),
                                 ("VIRTIO_NET_F_MRG_RXBUF", self.mrg)):
                check((name in agreed) == bool(wanted), "%s: %s was%s agreed on" % (
                    testpmd.name, name, "" if name in agreed else " not"))
        elif driver == "net_virtio_user":
            check(self.burst() in bed.Process.log(testpmd), "%s does not say '%s'" % (
                testpmd.name, self.burst()))


def has_avx512():
    with open("/proc/cpuinfo") as info:
        return " avx512f " in info.read()


SPLIT = Path("split ring, mergeable", mrg=1)
SPLIT_PLAIN = Path("split ring, not mergeable")
SPLIT_ORDER = Path("split ring, in order, mergeable", mrg=1, in_order=1)
SPLIT_ORDER_PLAIN = Path("split ring, in order, not mergeable", in_order=1)
SPLIT_VECTOR = Path("split ring, vector code", vectorized=1)
PACKED = Path("packed ring, mergeable", 1, mrg=1)
PACKED_PLAIN = Path("packed ring, not mergeable", 1)
PACKED_ORDER = Path("packed ring, in order, mergeable", 1, mrg=1, in_order=1)
PACKED_ORDER_PLAIN = Path("packed ring, in order, not mergeable", 1, in_order=1)
PACKED_VECTOR = Path("packed ring, vector code", 1, in_order=1, vectorized=1)
# receive offloads for which net_virtio_user turns back from its vector code
SPLIT_STRIP = Path("split ring, not mergeable, VLAN stripping", vectorized=1,
                   args=["--enable-hw-vlan-strip"])
PACKED_LRO = Path("packed ring, in order, not mergeable, LRO", 1, in_order=1, vectorized=1,
                  args=["--rx-offloads=0x10"], back=",tso=1")


class Loop:
    """testpmd `back` and testpmd `front`, port 0 of the one connected to port 0 of the other."""

    # options of a testpmd at an end
    options = {"back": {"cpu": 0, "memory": 128, "mbufs": 8192},
               "front": {"cpu": 1, "memory": 128}}
    eal = {"back": matrix.QUIET,
           "front": ["--single-file-segments", "--force-max-simd-bitwidth=512",
                     "--log-level=pmd.net.virtio.init:info"] + matrix.QUIET}

    def __init__(self, drivers, path, queues=1, server=False, application=None, sock=None,
                 front_sock=None, front_process=None):
        """server: whether the front-end listens; else the back-end does. application: queues that
        the back-end's configures, if not all. front_sock: where the front-end has the socket;
        front_process: more for its Testpmd."""
        self.drivers, self.path, self.queues, self.server = drivers, path, queues, server
        self.application = application
        self.sock = sock or bed.path("loop")
        self.front_sock, self.front_process = front_sock or self.sock, front_process or {}
        self.back = self.front = None
        self.listens, self.connects = ("front", "back") if server else ("back", "front")
        try:
            self.start_both()
        except BaseException:
            self.close(True)
            raise

    def start_both(self):
        # a front-end that listens waits in its probe
        for end in (self.listens, self.connects):
            self.start(end, wait=not self.server)
        for end in (self.back, self.front):
            end.wait_prompt()
        self.connected()

    def device(self, end):
        """The port at the socket, as devargs."""
        if end == "back":
            return "%s0,iface=%s,queues=%d%s%s" % (
                self.drivers.back, self.sock, self.queues, ",client=1" if self.server else "",
                self.path.back)
        return "%s0,path=%s,mac=%s,queues=%d,%s%s" % (
            self.drivers.front, self.front_sock, MAC, self.queues, self.path.options(),
            ",server=1" if self.server else "")

    def devices(self, end):
        """All of a testpmd's ports."""
        return [self.device(end)]

    def used(self):
        """Queues that the back-end's application has."""
        return self.application or self.queues

    def arguments(self, end):
        # descriptors of a back-end's queues mean nothing: the front-end has the rings
        ring = self.path.ring if end == "front" else 1024
        queues = self.used() if end == "back" else self.queues
        foreign = end == "front" and not Drivers.plugin(self.drivers.front)
        return ["--rxq=%d" % queues, "--txq=%d" % queues, "--txd=%d" % ring,
                "--rxd=%d" % ring] + (self.path.args if foreign else [])

    def mbufs(self):
        """The front-end's. Its rings keep those that were sent until they need the room."""
        return max(16384, 4 * self.queues * self.path.ring)

    def start(self, end, wait=True):
        options = dict({"mbufs": self.mbufs()}, **self.options[end])
        if end == "front":
            options.update(self.front_process)
        if end == self.listens and os.path.exists(self.sock):
            os.unlink(self.sock)
        setattr(self, end, bed.Testpmd(
            end, self.devices(end), wait=wait, eal=self.eal[end], args=self.arguments(end),
            plugin=Drivers.plugin(getattr(self.drivers, end)), **options))

    def connected(self):
        for end in ("back", "front"):
            getattr(self, end).wait_link(0)
            self.on_path(end)

    def on_path(self, end):
        """Fail unless an end is on the path, as far as it says."""
        self.path.taken(getattr(self, end), getattr(self.drivers, end))

    def moved(self, before=None):
        """What the back-end has received, of each queue; since `before` if there is one."""
        xstats = self.back.xstats(0)
        now = [xstats.get("rx_q%d_packets" % queue, 0) for queue in range(self.used())]
        return [a - b for a, b in zip(now, before)] if before else now

    def close(self, failed):  # pylint: disable=unused-argument
        for end in (self.front, self.back):
            if end is not None:
                end.quit()


def sizes(*lengths, burst=32):
    """A step: packets of each length go round and round, on every queue. A length with commas is
    that of each segment of a chain."""
    def step(loop):
        for end in (loop.back, loop.front):
            end.cmd("set fwd mac")
        loop.front.cmd("start")
        for length in lengths:
            loop.back.cmd("set txpkts %s" % length)
            loop.back.cmd("set burst %d" % burst)
            before = loop.moved()
            loop.back.cmd("start tx_first %d" % burst)
            bed.wait_for("packets of %s bytes that go round on each queue" % length,
                         lambda: min(loop.moved(before)) > 20 * burst, 10)
            loop.back.cmd("stop")
        loop.front.cmd("stop")
    return step


def restart(end):
    """A step: the other end sends all the time; the port of `end` receives it, stops, and nothing
    moves, starts again, and receives."""
    def step(loop):
        here, there = getattr(loop, end), loop.front if end == "back" else loop.back

        def receives():
            before = here.stats(0)["ipackets"]
            here.cmd("start")
            bed.wait_for("packets of the other end",
                         lambda: here.stats(0)["ipackets"] > before + 1000, 10)

        def moved():
            before = here.stats(0)["ipackets"], there.stats(0)["opackets"]
            time.sleep(0.2)
            return (here.stats(0)["ipackets"], there.stats(0)["opackets"]) != before
        here.cmd("set fwd rxonly")
        there.cmd("set fwd txonly")
        there.cmd("start")
        receives()
        here.cmd("stop")
        said = here.cmd("port stop 0")
        check("Done" in said, "port stop 0: " + said)
        # the rings fill
        bed.wait_for("packets stop to move through a stopped port", lambda: not moved(), 5)
        check(not moved(), "packets move through a stopped port")
        said = here.cmd("port start 0")
        check("Done" in said, "port start 0: " + said)
        loop.connected()
        receives()
        there.cmd("stop")
        # or the next step finds them in the ring
        bed.wait_for("the last packets of the other end", lambda: not moved(), 5)
        here.cmd("stop")
    return step


def anew(**changes):
    """A step: both end, and start again with the changed attributes."""
    def step(loop):
        for end in (loop.front, loop.back):
            end.quit()
        vars(loop).update(changes)
        loop.start_both()
    return step


def relaunch(end, **changes):
    """A step: `end` is killed while the other forwards, and its link goes down there; one that is
    started then, with changed attributes if there are any, is connected again."""
    def step(loop):
        other = loop.front if end == "back" else loop.back
        other.cmd("set fwd mac")
        other.cmd("start")
        getattr(loop, end).end(signal.SIGKILL)
        other.wait_link(0, up=False)
        vars(loop).update(changes)
        loop.start(end)
        loop.connected()
        other.cmd("stop")
    return step


def link_changes(loop):
    """A step: a front-end leaves and another one comes, then the back-end leaves; the other end has
    an event each time."""
    def heard(end):
        return bed.Process.log(end).count("Port 0: link state change event")

    def change(end, up, action):
        before = heard(end)
        action()
        end.wait_link(0, up=up)
        bed.wait_for("event of %s" % end.name, lambda: heard(end) > before, 5)
    change(loop.back, False, loop.front.quit)
    change(loop.back, True, lambda: loop.start("front"))
    loop.connected()
    change(loop.front, False, loop.back.quit)
    loop.back = None
