# SPDX-License-Identifier: BSD-3-Clause
"""The back-end is killed under traffic, again and again: the front-end goes on with the next."""

import os
import signal
import time

import bed
from bed import check, path

FRONT = os.environ.get("FRONT", "net_vring")
KILLS = 25          # a case; with both layouts 50 as a client and 50 as a server; see long.py
MBUFS = 4096
FEW = 10            # with nothing beside
RESUMED = 1.0       # seconds after the new back-end is up, times PATIENCE


class Front:
    """A front-end that sends and receives all the time."""

    def __init__(self, packed, server):
        self.server, self.back = server, None
        self.sock = path("k")
        if os.path.exists(self.sock):
            os.unlink(self.sock)
        self.testpmd = bed.Testpmd(
            "fe", ["%s0,path=%s,packed_vq=%d%s" % (FRONT, self.sock, packed,
                                                   ",server=1" if server else "")],
            cpu=1, memory=64, mbufs=MBUFS, plugin=FRONT == "net_vring", wait=FRONT == "net_vring",
            eal=["--single-file-segments"])

    def start_back(self, echo=True):
        args = ["--auto-start", "--forward-mode=io"] if echo else []
        self.back = bed.Testpmd("be", [bed.vdev(0, "iface=%s%s" % (
            self.sock, ",client=1" if self.server else ""))], cpu=0, memory=32, mbufs=2048,
            args=args)

    def kill_back(self):
        self.back.end(signal.SIGKILL)

    def received(self):
        return self.testpmd.telemetry("/ethdev/stats,0")["ipackets"]

    def flows(self, seconds):
        """How long it took until packets came back."""
        began, before = time.monotonic(), self.received()
        bed.wait_for("traffic", lambda: self.received() > before + 64, seconds, 0.01)
        return time.monotonic() - began

    def capacity(self):
        """Packets that a ring takes whose back-end does nothing: all descriptors are there."""
        self.testpmd.wait_link(0)
        self.testpmd.cmd("set fwd txonly")
        self.testpmd.cmd("clear port stats 0")
        self.testpmd.cmd("start")
        time.sleep(0.2)
        self.testpmd.cmd("stop")
        return self.testpmd.stats(0)["opackets"]

    def close(self):
        self.testpmd.quit()
        if self.back:
            self.back.end(signal.SIGKILL)


def killed(packed, server, times, before=lambda: None):
    """Killed so many times, each time after before() has returned."""
    front = Front(packed, server)
    try:
        front.start_back(echo=False)
        front.testpmd.wait_prompt()
        capacity = front.capacity()
        check(capacity > 0, "no packet was sent")
        fds = front.testpmd.fds()
        front.kill_back()
        front.start_back()
        front.testpmd.cmd("set fwd flowgen")
        front.testpmd.cmd("start")
        front.flows(10)
        slowest = 0
        for number in range(times):
            before()
            front.kill_back()
            front.start_back()
            try:
                slowest = max(slowest, front.flows(RESUMED))
            except bed.Failure:
                raise bed.Failure("kill %d: no traffic within %g s of the new back-end's start" % (
                    number + 1, RESUMED * bed.PATIENCE))
        if os.environ.get("TIMES"):
            print("# slowest resumption: %.3f s" % slowest, flush=True)
        front.testpmd.cmd("stop")
        front.kill_back()
        front.start_back(echo=False)
        left = front.capacity()
        check(left == capacity, "the ring takes %d packets, at first %d" % (left, capacity))
        check(front.testpmd.fds() == fds, "%d files are open, at first %d" % (
            front.testpmd.fds(), fds))
        front.testpmd.cmd("port stop 0")
        left = front.testpmd.mbufs_available()
        # DPDK's own keeps those of its rings until it is closed
        check(left == MBUFS or FRONT != "net_vring", "%d of %d mbufs are gone" % (
            MBUFS - left, MBUFS))
        check(front.testpmd.quit() == 0, "testpmd ended badly: " + front.testpmd.last_line())
    finally:
        front.close()


def run(report, times=KILLS):
    for server in (False, True):
        for packed in (0, 1):
            name = "%s-%s-%d-times" % ("server" if server else "client",
                                       "packed" if packed else "split", times)
            report.case(name, killed, packed, server, times)


def fast(report):
    run(report, FEW)
