# SPDX-License-Identifier: BSD-3-Clause
"""Calls that a thread sends in place of the lcore (call-thread=), and that come at intervals
(call-us=): guests lose nothing, have few interrupts, and lone packets do not wait."""

import os
import re
import signal
import socket
import subprocess
import time

import bed
from bed import check, path

INTERVAL = 10000    # microseconds, the most there is: emulated guests are slow
NAP = 50            # of the thread
RESTARTS = 2
LOAD = 1.5          # seconds of packets
APART = 0.0015      # seconds between two of them
FURTHER = (APART, APART, 2 * APART, 3 * APART, 4 * APART)   # until the guest sleeps between them
LINKS = (           # arguments, options of the card, microseconds between two interrupts
    ("plain", "", "", 0),
    ("thread", ",call-thread=1", "", 0),
    ("interval", ",call-us=%d" % INTERVAL, "", INTERVAL),
    ("both", ",call-thread=1,call-us=%d" % INTERVAL, "", INTERVAL),
    ("both-packed", ",call-thread=1,call-us=%d" % INTERVAL, "packed=on", INTERVAL),
    ("both-no-event-idx", ",call-thread=1,call-us=%d" % INTERVAL, "event_idx=off", INTERVAL),
)
STREAMS = (1, 2)    # LINKS that carry packets while ports stop and start


class Bench:
    """A guest with a card for each of LINKS, which the host reaches by taps."""

    def __init__(self):
        self.guest = None
        devices, nics = [], []
        for i, (_, port, card, _) in enumerate(LINKS):
            devices += [bed.vdev(i, "iface=%s%s" % (path("c%d" % i), port)),
                        "net_tap%d,iface=%s" % (i, self.tap(i))]
            nics.append(bed.Nic(path("c%d" % i), self.mac(i), "reconnect-ms=500", "", card))
        self.pmd = bed.Testpmd("switch", devices, args=["--port-topology=paired", "--auto-start"],
                               mbufs=16384)
        try:
            self.guest = bed.Guest("vm", nics, qemu=10)
            self.interfaces, self.names = [], []
            for i in range(len(LINKS)):
                name = self.guest.interface(self.mac(i))
                self.guest.must("ip addr add 10.9.%d.2/24 dev %s; ip link set %s up" % (
                    i, name, name))
                self.interfaces.append(name)
                self.names.append(self.guest.must(
                    "basename $(readlink /sys/class/net/%s/device)" % name).strip())
                self.pmd.wait_link(2 * i)
                for command in ("addr add 10.9.%d.1/24 dev %s" % (i, self.tap(i)),
                                "link set %s up" % self.tap(i)):
                    subprocess.check_call(["ip"] + command.split())
            self.guest.must("iperf3 -s -D > /dev/null")
        except BaseException:
            self.close()
            raise

    @staticmethod
    def tap(i):
        return "vrcall%d" % i

    @staticmethod
    def mac(i):
        return "52:54:00:00:0c:%02x" % i

    def interrupts(self, i):
        """Of what the guest receives by a card."""
        match = re.search(r"^.*:\s+(\d+) .*%s-input\.0$" % self.names[i],
                          self.guest.must("cat /proc/interrupts"), re.M)
        check(match, "the guest knows no interrupts of card %d" % i)
        return int(match.group(1))

    def ring(self, i):
        """What telemetry says of the one by which the guest receives."""
        return self.pmd.telemetry("/net_vring/queues,%d,0" % (2 * i))["vring_0"]

    def ping(self, i, count=10, options="-i 0.05"):
        """The shortest and the mean round trip from the guest and back, microseconds."""
        said = self.guest.run("ping -q -c %d -W %d %s 10.9.%d.1" % (
            count, 2 * bed.PATIENCE, options, i), 60)[1]
        lost = re.search(r"(\d+) packets transmitted, (\d+) packets received", said)
        times = re.search(r"= ([\d.]+)/([\d.]+)/", said)
        check(lost and times, "ping said: " + said.strip()[-100:])
        check(lost.group(1) == lost.group(2), "pings lost: " + lost.group(0))
        return [1000 * float(value) for value in times.groups()]

    def close(self):
        if self.guest:
            self.guest.end(signal.SIGKILL)
        self.pmd.quit()


def paced(bench, i, apart=APART):
    """Packets so many seconds apart; the interrupts that they are, and the seconds it took."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("10.9.%d.2" % i, 9))
        before, began = bench.interrupts(i), time.monotonic()
        next_one = began
        for _ in range(round(LOAD / apart)):
            while time.monotonic() < next_one:
                pass
            next_one += apart
            try:
                sock.send(bytes(64))
            except ConnectionRefusedError:
                pass    # nobody listens there, says the guest
        time.sleep(0.1)
        return bench.interrupts(i) - before, time.monotonic() - began


def lone_packets(bench, i, us):
    """A packet that comes alone does not wait, and one after the other waits for no longer than
    it has to."""
    first, alone = bench.ping(0)[0], bench.ping(i)[0]
    check(alone < 2 * first + 1000 * bed.PATIENCE,
          "a lone ping takes %d us, elsewhere %d" % (alone, first))
    plain, busy = bench.ping(0, 100, "-A")[1], bench.ping(i, 100, "-A")[1]
    print("# lone pings: %d us, %d without; one after the other: %d, %d" % (
        alone, first, busy, plain), flush=True)
    check(busy < 1.5 * plain + us + NAP + 1000 * bed.PATIENCE,
          "pings one after the other take %d us, elsewhere %d" % (busy, plain))


def few_interrupts(bench, i, us):
    """Packets come at short intervals, interrupts do not."""
    for apart in FURTHER:   # what a busy machine's guest takes while it polls has no interrupt
        count, seconds = paced(bench, i, apart)
        most = seconds * 1e6 / us + 2
        plain, _ = paced(bench, 0, apart)
        print("# %d interrupts in %.2f s, without an interval %d" % (count, seconds, plain),
              flush=True)
        check(count <= most, "%d interrupts in %.2f s, elsewhere %d" % (count, seconds, plain))
        if plain > 1.5 * most:
            break
    check(plain > 1.5 * most, "%d interrupts without an interval: no load" % plain)
    ring = bench.ring(i)
    check(ring["calls_coalesced"] + ring["calls_suppressed"] > 0, "each packet has had a call")
    check(ring["calls_deferred"] > 0, "no call was deferred")


def flows(bench, i):
    """TCP moves in both directions."""
    for options in ((), ("-R",)):
        for _ in range(5):
            said = subprocess.run(["iperf3", "-c", "10.9.%d.2" % i, "-n", "4M", "-f", "m",
                                   *options], text=True, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=60 * bed.PATIENCE).stdout
            if not bed.IPERF_BETWEEN.search(said):
                break
            time.sleep(0.3)
        rates = re.findall(r"([\d.]+) Mbits/sec.*receiver", said)
        check(rates and float(rates[-1]) > 1, "iperf3 %s: %s" % (
            " ".join(options), said.strip()[-100:]))


def thread_calls(bench, i):
    """Under load calls are left to the thread."""
    before = bench.ring(i)
    paced(bench, i)
    flows(bench, i)
    after = bench.ring(i)
    sent, deferred = [after[kind] - before[kind] for kind in ("calls", "calls_deferred")]
    check(deferred > 0, "none of %d calls was left to the thread" % sent)


def cpu_ticks(pid, name):
    """What the threads of that name have taken so far; how many there are."""
    ticks, count = 0, 0
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/stat" % (pid, task)) as stat:
            comm, rest = stat.read().rsplit(")", 1)
        if comm.endswith(name):
            ticks += sum(map(int, rest.split()[11:13]))
            count += 1
    return ticks, count


def sleeps(bench):
    """With nothing to call for, the thread takes no processor."""
    time.sleep(0.5)
    before, count = cpu_ticks(bench.pmd.pid, "vring-call")
    check(count == 1, "%d threads that call" % count)
    time.sleep(2)
    ticks = cpu_ticks(bench.pmd.pid, "vring-call")[0] - before
    check(ticks <= 2, "%d ticks while nothing happens" % ticks)


class Stream:
    """TCP to the guest by one of LINKS, until it ends."""

    def __init__(self, bench, i):
        self.bench, self.i = bench, i
        bench.guest.must("iperf3 -s -1 -D -p %d > /dev/null; usleep 300000" % (5210 + i))
        self.client = bed.Process("stream-%s" % LINKS[i][0], [
            "iperf3", "-c", "10.9.%d.2" % i, "-p", str(5210 + i), "-t", "600"])

    def counts(self):
        """Calls that were deferred, and packets that the guest has heard of."""
        return (self.bench.ring(self.i)["calls_deferred"], int(self.bench.guest.must(
            "cat /sys/class/net/%s/statistics/rx_packets" % self.bench.interfaces[self.i])))

    def wait_deferred(self):
        """Until packets arrive that are called for later."""
        before = self.counts()

        def goes_on():
            check(self.client.alive(), "iperf3 ended: " + self.client.last_line())
            return all(now > old for now, old in zip(self.counts(), before))
        bed.wait_for("deferred calls on " + LINKS[self.i][0], goes_on, 20, 0.05)


def restarts(bench):
    """Rings that stop and start under load, and the guest hears of all that comes after."""
    streams = []
    try:
        for i in STREAMS:
            streams.append(Stream(bench, i))
        for _ in range(RESTARTS):
            for stream in streams:
                stream.wait_deferred()
            for command in ("stop", "port stop all", "port start all", "start"):
                bench.pmd.cmd(command)
            for i in range(len(LINKS)):
                bench.pmd.wait_link(2 * i)
        for stream in streams:
            stream.wait_deferred()
    finally:
        for stream in streams:
            stream.client.end()
    for i in range(len(LINKS)):
        bench.ping(i)


def run(report):
    bench = None
    for i, (name, _, _, us) in enumerate(LINKS):
        for what, case, args in (("lone-packets", lone_packets, (us,)),
                                 ("few-interrupts", few_interrupts, (us,)),
                                 ("flows", flows, ()), ("thread-calls", thread_calls, ())):
            if (what == "few-interrupts" and not us) or (what == "thread-calls" and not i):
                continue
            if report.part in "%s-%s" % (what, name):
                bench = bench or Bench()
                report.case("%s-%s" % (what, name), case, bench, i, *args)
    for what, case in (("sleeps", sleeps), ("restarts", restarts)):
        if report.part in what:
            bench = bench or Bench()
            report.case(what, case, bench)
    if bench:
        bench.close()
