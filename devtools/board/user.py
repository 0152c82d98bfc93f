# SPDX-License-Identifier: BSD-3-Clause
"""Topologies of two testpmds: a back-end, and a front-end that needs no virtual machine."""

import os
import re
import time

import bed
import matrix
from bed import check
from case import Drivers

MAC = "52:54:00:00:00:11"


class Path:
    """A way through DPDK's front-end: ring layout, mergeable buffers, order, vector code."""

    def __init__(self, name, packed=0, mrg=0, in_order=0, vectorized=0, ring=1024):
        self.name, self.packed, self.mrg = name, packed, mrg
        self.in_order, self.vectorized, self.ring = in_order, vectorized, ring

    def options(self):
        return "packed_vq=%d,mrg_rxbuf=%d,in_order=%d%s,queue_size=%d" % (
            self.packed, self.mrg, self.in_order, ",vectorized=1" if self.vectorized else "",
            self.ring)


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


class Loop:
    """testpmd `back` and testpmd `front`, port 0 of the one connected to port 0 of the other."""

    def __init__(self, drivers, path, queues=1, server=False, back_options="", front_options="",
                 back_args=(), front_args=()):
        """server: whether the front-end listens; else the back-end does."""
        self.drivers, self.path, self.queues, self.server = drivers, path, queues, server
        self.back_options, self.front_options = back_options, front_options
        self.args = {"back": list(back_args), "front": list(front_args)}
        self.sock = bed.path("loop")
        self.back = self.front = None
        if os.path.exists(self.sock):
            os.unlink(self.sock)
        try:
            for end in ("front", "back") if server else ("back", "front"):
                getattr(self, "start_" + end)(wait=not server)
            for end in (self.back, self.front):
                end.wait_prompt()
            self.connected()
        except BaseException:
            self.close(True)
            raise

    def arguments(self, end):
        return ["--rxq=%d" % self.queues, "--txq=%d" % self.queues,
                "--txd=%d" % self.path.ring, "--rxd=%d" % self.path.ring] + self.args[end]

    def start_back(self, wait=True):
        driver = self.drivers.back
        self.back = bed.Testpmd(
            "back", ["%s0,iface=%s,queues=%d%s%s" % (
                driver, self.sock, self.queues, ",client=1" if self.server else "",
                self.back_options)], cpu=0, memory=128, mbufs=8192, eal=matrix.QUIET, wait=wait,
            plugin=Drivers.plugin(driver), args=self.arguments("back"))

    def start_front(self, wait=True):
        driver = self.drivers.front
        self.front = bed.Testpmd(
            "front", ["%s0,path=%s,mac=%s,queues=%d,%s%s%s" % (
                driver, self.sock, MAC, self.queues, self.path.options(),
                ",server=1" if self.server else "", self.front_options)],
            cpu=1, memory=128, mbufs=16384, wait=wait, plugin=Drivers.plugin(driver),
            eal=["--single-file-segments", "--force-max-simd-bitwidth=512"] + matrix.QUIET,
            args=self.arguments("front"))

    def connected(self):
        self.back.wait_link(0)
        self.front.wait_link(0)

    def moved(self, before=None):
        """What the back-end has received, of each queue; since `before` if there is one."""
        xstats = self.back.xstats(0)
        now = [xstats.get("rx_q%d_packets" % queue, 0) for queue in range(self.queues)]
        return [a - b for a, b in zip(now, before)] if before else now

    def close(self, failed):  # pylint: disable=unused-argument
        for end in (self.front, self.back):
            if end is not None:
                end.quit()


def sizes(*lengths, burst=32, answers="mac"):
    """A step: packets of each length go round and round, on every queue."""
    def step(loop):
        for end in (loop.back, loop.front):
            end.cmd("set fwd " + answers)
        loop.front.cmd("start")
        for length in lengths:
            loop.back.cmd("set txpkts %d" % length)
            loop.back.cmd("set burst %d" % burst)
            before = loop.moved()
            loop.back.cmd("start tx_first %d" % burst)
            bed.wait_for("packets of %d bytes that go round on each queue" % length,
                         lambda: min(loop.moved(before)) > 20 * burst, 10)
            loop.back.cmd("stop")
        loop.front.cmd("stop")
    return step


def restart(end, wait=0.2):
    """A step: the port of `end` stops, nothing moves while it does, and starts again."""
    def step(loop):
        here = getattr(loop, end)
        here.cmd("port stop 0")
        before = loop.back.stats(0)
        time.sleep(wait)
        check(loop.back.stats(0) == before, "packets move through a stopped port")
        here.cmd("port start 0")
        loop.connected()
    return step


def burst_mode(end, says):
    """A step: the receive burst of `end` is of the kind that the path is about."""
    def step(loop):
        said = re.search("Burst mode: (.*)", getattr(loop, end).cmd("show rxq info 0 0"))
        check(said and says in said.group(1), "burst mode %s" % (said and said.group(1)))
    return step
