# SPDX-License-Identifier: BSD-3-Clause
"""Real TCP without a guest: a kernel tap behind the front-end, another behind the port."""

import json
import os
import subprocess
import time

import bed
from bed import check, path

NAMES = ("A", "B")
MACS = {"A": "52:54:00:00:00:01", "B": "52:54:00:00:00:02"}


def shell(*argv, seconds=30, **options):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=seconds, **options)
    last = done.stdout.strip().splitlines()[-1:] or ["no output"]
    check(done.returncode == 0, "%s: %s" % (" ".join(argv)[:60], last[0]))
    return done.stdout


class Taps:
    """Namespaces A (front-end, 10.0.0.1) and B (port, 10.0.0.2), each with one tap."""

    def __init__(self, front="", back=""):
        self.run = "vring%d" % os.getpid()
        self.processes = []
        try:
            self.start(front, back)
        except BaseException:
            self.close()
            raise

    def space(self, name):
        return self.run + name

    def start(self, front, back):
        sock = path("tap.sock")
        for name in NAMES:
            shell("ip", "netns", "add", self.space(name))
        for name, first, options in (
                ("B", bed.vdev(0, "iface=%s%s" % (sock, back)), {}),
                ("A", "net_virtio_user0,path=%s,mac=%s%s" % (sock, MACS["A"], front),
                 {"plugin": False, "eal": ["--single-file-segments"], "cpu": 1})):
            tap = "vtap%s" % name
            self.processes.append(bed.Testpmd(
                "tap" + name, [first, "net_tap0,iface=%s,mac=%s" % (tap, MACS[name])],
                args=["--auto-start"], memory=96, **options))
            shell("ip", "link", "set", tap, "netns", self.space(name))
            inside = ("ip", "-n", self.space(name))
            shell(*inside, "addr", "add", "10.0.0.%d/24" % (1 + NAMES.index(name)), "dev", tap)
            shell(*inside, "link", "set", tap, "up")
            shell(*inside, "link", "set", "lo", "up")
        self.processes[0].wait_link(0)
        self.server = bed.Process("iperf3", ["ip", "netns", "exec", self.space("B"),
                                             "iperf3", "-s"])
        self.processes.append(self.server)
        bed.wait_for("iperf3 server", lambda: "listening" in self.within(
            "B", "sh", "-c", "grep -q :1451 /proc/net/tcp6 && echo listening || true"))

    def within(self, name, *argv):
        return shell("ip", "netns", "exec", self.space(name), *argv)

    def close(self):
        for process in reversed(self.processes):
            process.end() if process.name == "iperf3" else process.quit()
        for name in NAMES:
            subprocess.run(["ip", "netns", "del", self.space(name)], stderr=subprocess.DEVNULL,
                           check=False)


def iperf(taps, options):
    """Bytes that the receiver of one TCP run got."""
    for _ in range(5):
        answer = json.loads(taps.within("A", "sh", "-c", "iperf3 -J -c 10.0.0.2 -t 1 %s || true"
                                        % " ".join(options)))
        if not bed.IPERF_BETWEEN.search(answer.get("error", "")):
            break
        time.sleep(0.3)
    check("error" not in answer, "iperf3 %s: %s" % (" ".join(options), answer.get("error")))
    return answer["end"]["sum_received"]["bytes"]


def one(front):
    taps = Taps(front)
    try:
        for size in (1, 56, 700, 1472):
            taps.within("A", "busybox", "ping", "-q", "-c", "3", "-i", "0.05", "-W", "2", "-s",
                        str(size), "10.0.0.2")
        for option in ([], ["-R"]):
            moved = 0
            # in a second in which others have the processors it may not be much
            for _ in range(int(bed.PATIENCE)):
                moved = max(moved, iperf(taps, option))
                if moved > 1000000:
                    break
            check(moved > 1000000, "iperf3 %s moved %d bytes" % (" ".join(option), moved))
    finally:
        taps.close()


def run(report):
    report.case("split", one, "")
    report.case("split-in_order-nomrg", one, ",in_order=1,mrg_rxbuf=0")
    report.case("packed", one, ",packed_vq=1")
