# SPDX-License-Identifier: BSD-3-Clause
"""Rx interrupts: DPDK's l3fwd-power sleeps on a port of ours, and wakes with each packet."""

import os
import random
import re
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import time

import bed
import matrix
from bed import check, path

SOURCES = "/usr/share/dpdk/examples/l3fwd-power"  # package dpdk-doc
PROGRAM = os.path.join(bed.CACHE, "l3fwd-power")
IDLE_PERCENT = 5   # of a processor, that a program which sleeps may take
PACKETS = 20       # one at a time
ROUNDS = 200       # of a figure
UMWAIT = os.path.join(bed.ROOT, "build/app/test/umwait.so")
# port and queue, or of UMWAIT the lcore
WAKES = re.compile(r"is waked up from rx interrupt on port (\d+) queue (\d+)|"
                   r"umwait: lcore (\d+) is woken by a store")


def build_program():
    """The program as DPDK's package has it, with the flags that applications are built with."""
    if os.path.exists(PROGRAM):
        return
    def flags(kind):
        return subprocess.check_output(["pkg-config", kind, "libdpdk"], text=True).split()
    sources = [os.path.join(SOURCES, name) for name in ("main.c", "perf_core.c")]
    made = subprocess.run(
        ["cc", "-O2", "-DALLOW_EXPERIMENTAL_API", *flags("--cflags"), *sources, "-o",
         PROGRAM + ".new", *flags("--libs"), "-lrte_power"], capture_output=True, text=True)
    check(made.returncode == 0, "l3fwd-power cannot be built: %s" % made.stderr.strip()[-200:])
    os.rename(PROGRAM + ".new", PROGRAM)


def power_arguments(queues, mode):
    """Arguments for ports with these numbers of queues: each queue has an lcore of its own, which
    sends back what it receives, by the queue of the lcore's number."""
    lcores = [(port, queue) for port, count in enumerate(queues) for queue in range(count)]
    return ["-p", hex((1 << len(queues)) - 1), "--config=" + ",".join(
        "(%d,%d,%d)" % (port, queue, lcore) for lcore, (port, queue) in enumerate(lcores)),
        "--parse-ptype"] + mode.split()


def waits(umwait):
    """Options of a Sleeper that waits for interrupts or with UMWAIT."""
    if not umwait:
        return {"mode": "--interrupt-only"}
    return {"mode": "--pmd-mgmt=monitor", "env": dict(os.environ, LD_PRELOAD=UMWAIT)}


class Power:
    """What l3fwd-power tells by its log(); of UMWAIT it is umwait.so that tells."""

    def loops(self):
        """How many lcores have come to where they wait for packets."""
        return len(re.findall("entering main .*loop", self.log()))

    def wakes(self, port=None, queue=None):
        """Interrupts or stores that have ended a sleep: of all queues, a port or one queue."""
        return sum(port in (None, int(at or 0)) and queue in (None, int(of or lcore))
                   for at, of, lcore in WAKES.findall(self.log()))


class Sleeper(Power, bed.Process):
    """l3fwd-power, an lcore a queue; lcores share the processors."""

    def __init__(self, *devices, mode="-P --interrupt-only", plugin=True, queues=(1,), memory=96,
                 **options):
        """queues: of each port."""
        self.prefix = os.path.basename(bed.RUN) + "-sleeper"
        self.lcores = sum(queues)
        argv = ["stdbuf", "-oL", PROGRAM, "--lcores", ",".join(
            "%d@%d" % (lcore, bed.CPUS[lcore % len(bed.CPUS)]) for lcore in range(self.lcores)),
            "--no-pci", "--in-memory", "-m", str(memory), "--single-file-segments",
            "--file-prefix", self.prefix]
        argv += bed.plugin_options() if plugin else []
        for device in devices:
            argv += ["--vdev", device]
        super().__init__("sleeper", argv + ["--"] + power_arguments(queues, mode), **options)

    def wait_loop(self):
        """It waits for a link for nine seconds, then begins without one."""
        bed.wait_for("main loop of l3fwd-power",
                     lambda: self.still() and self.loops() == self.lcores, 30)

    def still(self):
        check(self.alive(), "l3fwd-power ended: " + self.last_line())
        return True

    def percent(self, seconds=2.0):
        """What the busiest of its threads takes of a processor."""
        def ticks():
            taken = {}
            for task in os.listdir("/proc/%d/task" % self.pid):
                with open("/proc/%d/task/%s/stat" % (self.pid, task)) as stat:
                    taken[task] = sum(map(int, stat.read().rpartition(")")[2].split()[11:13]))
            return taken
        began, before = time.monotonic(), ticks()
        time.sleep(seconds)
        most = max(now - before.get(task, 0) for task, now in ticks().items())
        return 100 * most / os.sysconf("SC_CLK_TCK") / (time.monotonic() - began)

    def wait_sleep(self):
        """Until its main lcore waits for packets; other work can keep it from getting there."""
        def state():
            with open("/proc/%d/task/%d/stat" % (self.pid, self.pid)) as stat:
                return stat.read().rpartition(")")[2].split()[0]
        bed.wait_for("l3fwd-power to sleep", lambda: state() == "S", 2)

    def sleeps(self, when, seconds=2.0):
        percent = self.percent(seconds)
        check(percent < IDLE_PERCENT, "%s an lcore takes %.1f %% of a processor" % (when, percent))

    def close(self):
        """End it; it has to end well."""
        self.still()
        status = self.end(signal.SIGINT)
        check(status == 0, "l3fwd-power ended with status %d: %s" % (status, self.last_line()))

    def end(self, *args, **options):
        status = super().end(*args, **options)
        shutil.rmtree(os.path.join("/run/dpdk", self.prefix), ignore_errors=True)
        return status


class Peer:
    """testpmd at the other end, whose frames come from a tap and return to it."""

    TAP = "vrintr0"

    def __init__(self, device, plugin=False, link=True):
        self.pmd = bed.Testpmd("peer", [device, "net_tap0,iface=" + self.TAP], plugin=plugin,
                               cpu=1, memory=96, eal=["--single-file-segments"] + matrix.QUIET,
                               args=["--port-topology=paired"])
        try:
            check("probe failed" not in self.pmd.log(), "testpmd has no " + device)
            if link:
                self.pmd.wait_link(0, 20)
            with open("/proc/sys/net/ipv6/conf/%s/disable_ipv6" % self.TAP, "w") as off:
                off.write("1")
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
            self.sock.bind((self.TAP, 0x0800))
            self.sock.settimeout(2 * bed.PATIENCE)
            self.pmd.cmd("start")
        except BaseException:
            self.end()
            raise
        self.number = 0

    def bounce(self):
        """Send a frame and wait for it to come back: the seconds that took."""
        self.number += 1
        mark = struct.pack(">QI", 0x76726e6574766e67, self.number)
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + 8 + 18, 0, 0, 64, 17, 0,
                         bytes((198, 18, 0, 1)), bytes((198, 18, 0, 2)))
        total = sum(struct.unpack(">10H", ip))
        ip = ip[:10] + struct.pack(">H", ~((total >> 16) + (total & 0xffff)) & 0xffff) + ip[12:]
        frame = (bytes.fromhex("525400000001525400000002") + struct.pack(">H", 0x0800) + ip +
                 struct.pack(">HHHH", 9, 9, 26, 0) + mark + bytes(6))
        began = time.monotonic()
        self.sock.send(frame)
        while True:
            try:
                got, sender = self.sock.recvfrom(2048)
            except socket.timeout:
                raise bed.Failure("packet %d did not come back" % self.number)
            if sender[2] != socket.PACKET_OUTGOING and mark in got:
                return time.monotonic() - began

    def kill(self):
        self.sock.close()
        self.pmd.end(signal.SIGKILL)

    def end(self):
        if hasattr(self, "sock"):
            self.sock.close()
        self.pmd.end()


def wakes_with_each(sleeper, peer):
    """Packets one at a time, each of which ends a sleep."""
    before = sleeper.wakes()
    for _ in range(PACKETS):
        time.sleep(random.uniform(0.02, 0.05))
        sleeper.wait_sleep()
        peer.bounce()
    time.sleep(0.05)
    woken = sleeper.wakes() - before
    # it looks by itself every 10 ms, and may happen to be awake
    check(woken >= PACKETS * 3 // 4, "%d packets woke it %d times" % (PACKETS, woken))
    check(woken <= PACKETS * 3, "%d packets woke it %d times" % (PACKETS, woken))


def back_end(options, front_options):
    """Nobody there, then a front-end, a killed one and the next: idle each time, and awake."""
    sock = path("i")
    sleeper = Sleeper(bed.vdev(0, "iface=" + sock + options))
    peer = None
    try:
        sleeper.wait_loop()
        sleeper.sleeps("with nobody there")
        for life in range(3):
            peer = Peer("net_virtio_user0,path=%s,queue_size=256%s" % (sock, front_options))
            wakes_with_each(sleeper, peer)
            sleeper.sleeps("with front-end %d" % life)
            wakes_with_each(sleeper, peer)
            peer.kill()
            sleeper.still()
        sleeper.sleeps("with nobody there again")
        sleeper.close()
    finally:
        for process in filter(None, (peer, sleeper)):
            process.end()


def front_end(back, options):
    """The same with back-ends."""
    sock = path("i")
    sleeper = Sleeper(bed.vdev(0, "path=" + sock + options + ",reconnect-ms=100"))
    peer = None
    try:
        for life in range(2):
            if os.path.exists(sock):
                os.unlink(sock)
            peer = Peer("%s0,iface=%s" % (back, sock), plugin=back == "net_vring")
            if life == 0:
                sleeper.wait_loop()
            wakes_with_each(sleeper, peer)
            sleeper.sleeps("with back-end %d" % life)
            wakes_with_each(sleeper, peer)
            peer.kill()
            sleeper.still()
        sleeper.sleeps("with nobody there")
        sleeper.close()
    finally:
        for process in filter(None, (peer, sleeper)):
            process.end()


def driver(options, driver_options):
    """DPDK's driver, called by a thread of the port's and at intervals: each packet wakes it, and
    so does each that comes soon after another one."""
    sock = path("i")
    if os.path.exists(sock):
        os.unlink(sock)
    peer = Peer("net_vring0,iface=%s%s" % (sock, options), plugin=True, link=False)
    sleeper = None
    try:
        sleeper = Sleeper("net_virtio_user0,path=%s,queue_size=256,cq=1%s" % (sock, driver_options),
                          plugin=False)
        sleeper.wait_loop()
        wakes_with_each(sleeper, peer)
        taken = sorted(peer.bounce() for _ in range(ROUNDS))
        # it looks by itself every 10 ms
        check(taken[ROUNDS // 2] < 0.006 * bed.PATIENCE, "half of the packets that come one after "
              "the other are under way for %.1f ms and more" % (1e3 * taken[ROUNDS // 2]))
        ring = peer.pmd.telemetry("/net_vring/queues,0,0")["vring_0"]
        check(ring["calls_deferred"] > 0, "no calls are deferred")
        sleeper.sleeps("after them")
        wakes_with_each(sleeper, peer)
        sleeper.close()
    finally:
        for process in filter(None, (sleeper, peer)):
            process.end()


def guest():
    """A Linux guest, which goes by event indexes."""
    sock = path("i")
    sleeper = Sleeper(bed.vdev(0, "iface=" + sock))
    vm = None
    try:
        vm = bed.Guest("vm", [bed.Nic(sock, "52:54:00:00:00:01", "reconnect=1")])
        sleeper.wait_loop()
        name = vm.interface("52:54:00:00:00:01")
        check(29 in vm.features(name), "the guest has no EVENT_IDX")
        vm.must("ip addr add 10.0.0.1/24 dev %s; ip link set %s up; "
                "arp -i %s -s 10.0.0.2 52:54:00:00:00:02" % ((name,) * 3))
        time.sleep(2)  # what Linux says when an interface comes up
        for _ in range(2):
            sleeper.sleeps("with a guest")
            before = sleeper.wakes()
            received = int(vm.must("cat /sys/class/net/%s/statistics/rx_packets" % name))
            vm.run("ping -c %d -i 0.05 -W 1 10.0.0.2" % PACKETS)
            bed.wait_for("%d packets to return" % PACKETS, lambda: int(vm.must(
                "cat /sys/class/net/%s/statistics/rx_packets" % name)) - received >= PACKETS)
            woken = sleeper.wakes() - before
            check(woken >= PACKETS * 3 // 4, "%d packets woke it %d times" % (PACKETS, woken))
        sleeper.close()
    finally:
        for process in filter(None, (vm, sleeper)):
            process.end()


def round_trips(sleeper_device, peer_device):
    """Microseconds of frames from a tap through a program that sleeps and back: the first tenth
    and the median."""
    sleeper = Sleeper(sleeper_device)
    peer = None
    try:
        bed.wait_for("socket of l3fwd-power", lambda: sleeper.still() and
                     os.path.exists(path("i")), 30)
        peer = Peer(peer_device)
        sleeper.wait_loop()
        taken, wakes = [], sleeper.wakes()
        for _ in range(10 * ROUNDS):
            time.sleep(random.uniform(0.003, 0.013))
            seconds = peer.bounce()
            before, wakes = wakes, sleeper.wakes()
            if wakes == before + 1:  # else it was awake, or has been late to sleep
                taken.append(seconds * 1e6)
            if len(taken) == ROUNDS:
                break
        check(len(taken) == ROUNDS, "it slept in %d rounds only" % len(taken))
        sleeper.close()
        return statistics.quantiles(taken, n=10)[0], statistics.median(taken)
    finally:
        for process in filter(None, (peer, sleeper)):
            process.end()


def latency():
    """How long a packet is under way that ends a sleep, next to DPDK's own driver."""
    sock = path("i")
    taken = {"net_vring": [], "net_vhost": []}
    for _ in range(2):
        for driver, values in taken.items():
            if os.path.exists(sock):
                os.unlink(sock)
            values.append(round_trips("%s0,iface=%s" % (driver, sock),
                                      "net_virtio_user0,path=%s,queue_size=256" % sock))
    for driver, values in taken.items():
        print("# %s: round trip of a packet that ends a sleep: %s us" % (driver, ", ".join(
            "%.0f (one in ten less than %.0f)" % (median, tenth) for tenth, median in values)),
              flush=True)
    best = {driver: min(values)[0] for driver, values in taken.items()}
    check(best["net_vring"] < 3 * best["net_vhost"],
          "a packet is under way for %.0f us at best, with net_vhost %.0f" % (
              best["net_vring"], best["net_vhost"]))


def run(report):
    build_program()
    report.case("back-end-split", back_end, "", ",packed_vq=0")
    report.case("back-end-packed", back_end, ",packed=1", ",packed_vq=1")
    for back in ("net_vhost", "net_vring"):
        for packed in (0, 1):
            report.case("front-end-%s-%s" % (back[4:], ("split", "packed")[packed]), front_end,
                        back, ",packed_vq=%d" % packed)
    for packed in (0, 1):
        report.case("driver-" + ("split", "packed")[packed], driver,
                    ",call-thread=1,call-us=3000", ",packed_vq=%d" % packed)
    report.case("guest", guest)


def measured(report):
    build_program()
    report.case("round-trips", latency)
