# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's l3fwd-power at one end, whose lcores sleep, and a testpmd at the other."""

import os
import time

import bed
import interrupts
import pcap
from bed import check
from case import Drivers, Topology

MAC = "52:54:00:00:00:11"
ROUNDS = 10         # of single packets, or of single packets on each queue
FRAMES = 100        # of a file, fewer than a ring has entries
QUIET_S = 0.8       # how long is looked whether an lcore sleeps
AWAKE_S = 0.3       # how long packets are sent without a pause


class Source:
    """A testpmd whose port 0 is the peer of what sleeps. Port 1 has a file for each queue to send,
    and one for what comes back."""

    def __init__(self, device, queues, plugin, args=(), **options):
        self.queues = queues
        for queue in range(queues):
            pcap.write(self.file(queue, "source"), [])
        sources, sinks = ([self.file(queue, kind) for queue in range(queues)]
                          for kind in ("source", "sink"))
        self.pmd = bed.Testpmd(
            "source", [device, pcap.port(1, sources, sinks)], plugin=plugin, cpu=1, mbufs=16384,
            eal=["--single-file-segments", "--log-level=pmd.net.virtio.init:info"],
            args=["--rxq=%d" % queues, "--txq=%d" % queues] + list(args), **options)

    @staticmethod
    def file(queue, kind):
        return bed.path("queue%d.%s" % (queue, kind))

    def received(self):
        """What has come back, of each queue."""
        xstats = self.pmd.xstats(0)
        return [xstats.get("rx_q%d_packets" % queue, xstats.get("rx_q%d_good_packets" % queue))
                for queue in range(self.queues)]

    def drain(self):
        """Receive what is on its way back."""
        for command in ("set portlist 0", "set fwd rxonly", "start"):
            self.pmd.cmd(command)
        before = None
        while before != self.received():
            before = self.received()
            time.sleep(0.1)
        self.pmd.cmd("stop")

    def flood(self):
        """Packets without a pause, on all queues."""
        for command in ("set portlist 0", "set fwd txonly", "set burst 32", "start"):
            self.pmd.cmd(command)
        time.sleep(AWAKE_S * bed.PATIENCE)
        self.pmd.cmd("stop")
        self.drain()

    def single(self):
        """One packet on each queue, and all of them back."""
        before = self.received()

        def back():
            return [now - had for now, had in zip(self.received(), before)]
        self.pmd.cmd("start tx_first 1")
        bed.wait_for("a packet back on each of %d queues" % self.queues,
                     lambda: min(back()) >= 1, 3)
        self.pmd.cmd("stop")
        check(back() == [1] * self.queues, "packets back on each queue: %s" % back())

    def carry(self, frames):
        """Send these frames of each queue; what came back of each."""
        self.pmd.cmd("port stop 1")
        for queue, those in enumerate(frames):
            pcap.write(self.file(queue, "source"), those)
        for command in ("port start 1", "set portlist 0,1", "set fwd io", "set burst 32",
                        "set flush_rx off"):
            self.pmd.cmd(command)
        before = sum(self.received())
        self.pmd.cmd("start")
        try:
            bed.wait_for("", lambda: sum(self.received()) - before >= sum(map(len, frames)), 5)
        except bed.Failure:
            pass  # what is missing is for the comparison to say
        for command in ("stop", "port stop 1", "set flush_rx on"):
            self.pmd.cmd(command)
        got = [pcap.read(self.file(queue, "sink")) for queue in range(self.queues)]
        self.pmd.cmd("port start 1")
        return got


class Sleeping(Topology):
    """l3fwd-power, `sleeper`, which has to end well; what sends to it, `source`, if not a kernel.
    Each of its lcores has one of `queues`."""

    source = sleeper = None

    def meet(self, source, sleeper, driver, packed):
        """Start both, by two functions; driver: of the source; packed: the layout of the rings."""
        try:
            self.source = source()
            self.sleeper = sleeper()
            self.source.pmd.wait_prompt()
            self.source.pmd.wait_link(0, 30)
            self.sleeper.wait_loop()
            time.sleep(0.1 * bed.PATIENCE)  # a first interrupt may be of the start itself
            check(Drivers.packed(self.source.pmd, driver) == bool(packed),
                  "the rings are of the other layout")
        except BaseException:
            self.close(True)
            raise

    def close(self, failed):
        try:
            if self.sleeper and failed:
                self.sleeper.end()
            elif self.sleeper:
                self.sleeper.close()
        except BaseException:
            failed = True
            raise
        finally:
            if self.source:
                self.source.pmd.quit()
            super().close(failed)


class Asleep(Sleeping):
    """What sleeps is the client, and testpmd listens."""

    def __init__(self, drivers, end, queues=1, packed=0, umwait=False):
        """end: the one that sleeps, "back" or "front"; umwait: by UMWAIT, else by interrupts."""
        interrupts.build_program()
        self.queues, sock = queues, bed.path("asleep")
        if os.path.exists(sock):
            os.unlink(sock)
        device = {
            "back": "%s0,iface=%s,queues=%d" % (drivers.back, sock, queues),
            "front": "%s0,path=%s,queues=%d,queue_size=256,packed_vq=%d,mac=%s" % (
                drivers.front, sock, queues, packed, MAC)}
        driver = {"back": drivers.back, "front": drivers.front}
        other = "front" if end == "back" else "back"

        def source():
            return Source(device[other] + (",server=1" if other == "front" else ""), queues,
                          Drivers.plugin(driver[other]), wait=False)

        def sleeper():
            bed.wait_for("socket of testpmd", lambda: os.path.exists(sock), 20)
            return interrupts.Sleeper(
                device[end] + (",client=1" if end == "back" else ""),
                plugin=Drivers.plugin(driver[end]), queues=(queues,), **interrupts.waits(umwait))
        self.meet(source, sleeper, driver[other], packed)


def enough(times, packets):
    """Whether an lcore is woken as often as single packets lead to expect. It looks by itself every
    10 ms, and what comes meanwhile ends no sleep: on a busy machine, where that takes long, a third
    of the packets is enough, else three quarters."""
    least = packets // 3 if bed.PATIENCE > 1 else packets * 3 // 4
    return least <= times <= 3 * packets


def woken(place, source, packets=None):
    """Let source() send, by which each lcore is woken: once at least, or by each of its packets."""
    before = [place.sleeper.wakes(queue=queue) for queue in range(place.queues)]
    source()
    time.sleep(0.05)
    for queue, had in enumerate(before):
        times = place.sleeper.wakes(queue=queue) - had
        check(enough(times, packets) if packets else times > 0,
              "%s packets wake the lcore of queue %d %d times" % (packets or "many", queue, times))


def flood(place):
    """A step: lcores are woken by packets that come without a pause."""
    woken(place, place.source.flood)


def sleeps(place):
    """A step: with no packets there is nothing to be done, and no interrupt."""
    before = place.sleeper.wakes()
    place.sleeper.sleeps("without packets", QUIET_S)
    check(place.sleeper.wakes() == before, "lcores are woken by nothing")


def singles(place):
    """A step: a packet now and then on each queue, of which enough end a sleep; all come back."""
    def send():
        for command in ("set portlist 0", "set fwd rxonly", "set burst 1"):
            place.source.pmd.cmd(command)
        for _ in range(ROUNDS):
            place.source.single()
    woken(place, send, ROUNDS)


def carries(*lengths):
    """A step: frames of these lengths come back, as a router passes them on."""
    def step(place):
        frames = [pcap.segments([lengths[i % len(lengths)] for i in range(FRAMES)], seed=queue + 1)
                  for queue in range(place.queues)]
        woken(place, lambda: _compare(frames, place.source.carry(frames)))
    return step


def _routed(frame, hop=0):
    """What of it is the same behind a router. No Ethernet addresses, and no checksum of the IP
    header: l3fwd-power loses that where it is not the port that has checked it."""
    return frame[12:22] + bytes([frame[22] - hop]) + frame[23:24] + frame[26:]


def _compare(frames, got):
    for queue, (sent, back) in enumerate(zip(frames, got)):
        pcap.compare("back on queue %d" % queue, [_routed(frame, 1) for frame in sent],
                     [_routed(frame) for frame in back])


def restart(place):
    """A step: the port of the peer stops and starts."""
    for command in ("port stop 0", "port start 0"):
        place.source.pmd.cmd(command)
    place.source.pmd.wait_link(0, 20)


def one_queue(place):
    """A step: packets for one queue wake its lcore, and no other."""
    frames = [pcap.segments([64] * FRAMES)] + [[]] * (place.queues - 1)
    before = place.sleeper.wakes(), place.sleeper.wakes(queue=0)
    _compare(frames, place.source.carry(frames))
    every, first = place.sleeper.wakes() - before[0], place.sleeper.wakes(queue=0) - before[1]
    check(every == first > 0, "packets of queue 0 wake its lcore %d times, others %d times" % (
        first, every - first))
