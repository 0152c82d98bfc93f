# SPDX-License-Identifier: BSD-3-Clause
"""Stock testpmd with the port against stock testpmd with net_virtio_user: every ring layout
and mode that DPDK's front-end has, every byte of every frame compared, every frame accounted."""

import itertools
import os
import platform
import re
import struct

import bed
import pcap
from bed import check, path

COUNT = 160        # frames a queue and direction
LINEAR = 10240     # mbuf size in which each of these frames is one segment
SMALL = 2176       # testpmd's own default
# what DPDK's vhost library says in between would tear prompts apart
QUIET = ["--log-level=lib.vhost.config:error"]
BUFFER = 2048      # data room of the front-end's receive buffers
MBUFS = {"be": 4096, "fe": 10000}


class Mode:
    """One combination: what the front-end offers, and who listens."""

    back_driver = bed.DRV
    front_plugin = False

    def __init__(self, packed=0, mrg=1, in_order=0, vectorized=0, queues=1, server=True):
        self.packed, self.mrg, self.in_order = packed, mrg, in_order
        self.vectorized, self.queues, self.server = vectorized, queues, server

    def ours(self, side):
        """Whether the port of a side is the driver under test."""
        return self.front_plugin if side == "fe" else self.back_driver == "net_vring"

    def name(self):
        return "-".join(filter(None, [
            "packed" if self.packed else "split", "mrg" if self.mrg else "nomrg",
            "in_order" if self.in_order else "", "vectorized" if self.vectorized else "",
            "%dq" % self.queues, "server" if self.server else "client"]))

    def front(self, sock):
        return ("net_virtio_user0,path=%s,mac=52:54:00:00:00:11,queues=%d,queue_size=1024,"
                "packed_vq=%d,mrg_rxbuf=%d,in_order=%d%s%s" % (
                    sock, self.queues, self.packed, self.mrg, self.in_order,
                    ",vectorized=1" if self.vectorized else "",
                    "" if self.server else ",server=1"))


def modes(make=Mode):
    """Every combination; make() is Mode or takes the same arguments."""
    for packed, mrg, in_order, queues, server in itertools.product(
            (0, 1), (1, 0), (0, 1), (1, 4), (True, False)):
        yield make(packed, mrg, in_order, 0, queues, server)
        # the front-end's vector code wants no mergeable buffers, and order where packed
        if not mrg and packed == in_order:
            yield make(packed, mrg, in_order, 1, queues, server)


class Ends:
    """testpmds that exchange files: port 0 carries, 1 writes to a sink, 2 reads a source."""

    def __init__(self):
        self.side, self.queues, self.frames = {}, {}, {}

    def files(self, side):
        """Write the source files of a side; devargs of its ports 1 and 2."""
        sinks, sources = [], []
        for queue, frames in enumerate(self.frames[side]):
            source = path("%s-%d.source" % (side, queue))
            pcap.write(source, frames)
            sources.append(source)
            sinks.append(path("%s-%d.sink" % (side, queue)))
        return [pcap.port(1, sinks=sinks), pcap.port(2, sources)]

    def prepare(self, side):
        """Have a testpmd wait where a ring is full, so that only its peer drops."""
        # net_pcap reads frames larger than an mbuf at all times, or where it is asked to
        if "SCATTER" in self.side[side].cmd("show port 2 rx_offload capabilities"):
            for command in ("stop 2", "config 2 rx_offload scatter on", "start 2"):
                self.side[side].cmd("port " + command)
        # start would read the source file to its end and throw that away
        self.side[side].cmd("set flush_rx off")
        self.side[side].cmd("set fwd io retry")  # tx retries can be set from then on
        self.side[side].cmd("set burst tx delay 50 retry 2000")

    def carry(self, source, sink, expected, forward="io"):
        """Send all of source's frames; wait until the sink has so many, or got no more."""
        self.side[source].cmd("set fwd %s retry" % forward)
        self.side[sink].cmd("set fwd io retry")
        here, there = self.side[source], self.side[sink]
        there.cmd("set portlist 0,1")
        there.cmd("start")
        here.cmd("set portlist 0,2")
        here.cmd("start")
        offered = sum(map(len, self.frames[source]))
        bed.wait_count("frames of the file of %s" % source, lambda: here.stats(2)["ipackets"],
                       offered)
        try:
            bed.wait_for("", lambda: there.stats(1)["opackets"] >= expected, 3)
        except bed.Failure:
            pass  # what is missing is for the comparison to say
        here.cmd("stop")
        there.cmd("stop")

    def received(self, side):
        """Frames in the sink files of a side; its ports are stopped by that."""
        self.side[side].cmd("port stop 1")
        return [pcap.read(path("%s-%d.sink" % (side, queue)))
                for queue in range(self.queues[side])]

    def close(self):
        # the front-end first, since it still talks to the other while it ends
        for name in sorted(self.side, reverse=True):
            self.side[name].quit()


class Pair(Ends):
    """The port (be) and DPDK's front-end (fe)."""

    def __init__(self, mode, back_queues=None, back_options="", back_mbuf=LINEAR,
                 frames=None, back_frames=None, front_mbuf=None, setup=None, mbufs=None,
                 memory=None, back_eal=()):
        """setup: for each side, commands for which its port 0 is stopped."""
        super().__init__()
        self.mode = mode
        self.setup = setup or {}
        self.mbufs = mbufs or MBUFS
        memory = memory or {"be": 192, "fe": 96}
        self.queues = {"be": back_queues or mode.queues, "fe": mode.queues}
        for side, given in (("fe", frames), ("be", back_frames)):
            # DPDK's net_vhost does not pass over what no buffer of the front-end can hold
            largest = (9000 if mode.back_driver == "net_vring" or mode.mrg or side == "fe"
                       else BUFFER)
            self.frames[side] = given or [
                pcap.packets(COUNT, queue, ord(side[0]), largest=largest)
                for queue in range(self.queues[side])]
        sock = path("m")
        if os.path.exists(sock):
            os.unlink(sock)
        devices = {
            "be": ["%s0,iface=%s,queues=%d%s%s" % (
                mode.back_driver, sock, max(self.queues.values()),
                "" if mode.server else ",client=1", back_options)] + self.files("be"),
            "fe": [mode.front(sock)] + self.files("fe")}

        def arguments(side):
            return ["--rxq=%d" % self.queues[side], "--txq=%d" % self.queues[side],
                    "--txd=1024", "--rxd=1024"]
        start = {
            "be": lambda: bed.Testpmd(
                "be", devices["be"], cpu=0, wait=False, memory=memory["be"],
                eal=QUIET + list(back_eal),
                mbufs=self.mbufs["be"], args=arguments("be") + ["--mbuf-size=%d" % back_mbuf]),
            "fe": lambda: bed.Testpmd(
                "fe", devices["fe"], cpu=1, wait=False, plugin=mode.front_plugin,
                mbufs=self.mbufs["fe"], memory=memory["fe"],
                eal=["--single-file-segments", "--force-max-simd-bitwidth=512"],
                args=arguments("fe") + (["--mbuf-size=%d" % front_mbuf] if front_mbuf else []))}
        # a front-end that listens waits for the other one in its probe
        order = ["be", "fe"] if mode.server else ["fe", "be"]
        try:
            for name in order:
                self.side[name] = start[name]()
                if name == "be" and mode.server:
                    self.configure(name)
            for name in order:
                self.configure(name)
                self.side[name].wait_link(0)
                self.prepare(name)
        except bed.Failure:
            self.close()
            raise

    def configure(self, name):
        side = self.side[name]
        side.wait_prompt()
        commands = self.setup.pop(name, [])
        for command in ["port stop 0"] + commands + ["port start 0"] if commands else []:
            side.cmd(command)

    def all_mbufs_back(self, name):
        """Nothing is left in rings either, once the ports are stopped."""
        for port in (0, 2):
            self.side[name].cmd("port stop %d" % port)
        left = self.side[name].mbufs_available()
        check(left == self.mbufs[name], "%s: %d of %d mbufs are gone" % (
            name, self.mbufs[name] - left, self.mbufs[name]))


def dropped(xstats):
    return sum(value for name, value in xstats.items()
               if name.endswith("_dropped") and not name.startswith("rx_"))


def account(pair, side, offered, delivered, arrived):
    """What a port was given is what it delivered and what it says it dropped."""
    port = pair.side[side]
    stats, xstats = port.stats(0), port.xstats(0)
    check(stats["opackets"] == delivered, "%s: opackets is %d, delivered were %d" % (
        side, stats["opackets"], delivered))
    check(stats["ipackets"] == arrived, "%s: ipackets is %d, received were %d" % (
        side, stats["ipackets"], arrived))
    if pair.mode.ours(side):
        queues = sum(xstats.get("tx_q%d_packets" % q, 0) for q in range(pair.queues[side]))
        check(queues == delivered, "%s: tx_qN_packets add up to %d of %d" % (
            side, queues, delivered))
        check(offered == delivered + dropped(xstats),
              "%s: offered %d, delivered %d, dropped %d" % (
                  side, offered, delivered, dropped(xstats)))


def one_mode(mode, counts=(), says=None, **options):
    """All frames both ways. `says`: what the burst mode of either direction has to name; `counts`:
    counters of the port that must not be zero after the traffic."""
    pair = Pair(mode, **options)
    try:
        back = pair.side["be"]
        for queue in ("rxq", "txq") if says else ():
            said = re.search(r"Burst mode: (.*)", back.cmd("show %s info 0 0" % queue))
            check(said and says in said.group(1).replace(" (per queue)", "").split(", "),
                  "%s: burst mode '%s', no '%s'" % (queue, said and said.group(1), says))
        offered = pair.frames["be"]
        fits = [[f for f in frames if mode.mrg or len(f) <= BUFFER] for frames in offered]
        to_front = sum(map(len, fits))
        pair.carry("be", "fe", to_front)
        to_back = sum(map(len, pair.frames["fe"]))
        pair.carry("fe", "be", to_back)
        for queue, got in enumerate(pair.received("fe")):
            pcap.compare("to the front-end, queue %d" % queue, fits[queue], got)
        for queue, got in enumerate(pair.received("be")):
            pcap.compare("from the front-end, queue %d" % queue, pair.frames["fe"][queue], got)
        account(pair, "be", sum(map(len, offered)), to_front, to_back)
        account(pair, "fe", to_back, to_back, to_front)
        xstats = pair.side["be"].xstats(0)
        for name in counts:
            check(xstats.get(name), "%s is %s" % (name, xstats.get(name)))
        # DPDK's front-end keeps what its rings have
        for side in ("be", "fe") if mode.ours("fe") else ("be",):
            pair.all_mbufs_back(side)
    finally:
        pair.close()


def folded(mode, back_queues):
    """The application has fewer or more queues than the front-end: nothing is lost by that."""
    pair = Pair(mode, back_queues=back_queues)
    try:
        for source, sink in (("be", "fe"), ("fe", "be")):
            pair.carry(source, sink, sum(map(len, pair.frames[source])))
        for source, sink in (("be", "fe"), ("fe", "be")):
            offered = [frame for frames in pair.frames[source] for frame in frames]
            got = [frame for frames in pair.received(sink) for frame in frames]
            check(sorted(got) == sorted(offered), "%s to %s: %d of %d frames arrived%s" % (
                source, sink, len(got), len(offered),
                "" if set(got) <= set(offered) else ", some altered"))
    finally:
        pair.close()


def steered(mode):
    """One queue of the application, all rings of the front-end: a flow has one, in its order."""
    def flow(frame):
        return frame[34:36]
    # Two packets each of so many flows: that one of 4 rings has none, 4 * (3/4)**80, is below 1e-9.
    frames = [frame[:34] + struct.pack(">H", 1000 + number % (COUNT // 2)) + frame[36:]
              for number, frame in enumerate(pcap.segments([200] * COUNT))]
    pair = Pair(mode, back_queues=1, back_frames=[frames], back_options=",tx-steering=hash")
    try:
        pair.carry("be", "fe", COUNT)
        got = pair.received("fe")
        check(all(got), "of %s packets each, no packet" % list(map(len, got)))
        for number, of_queue in enumerate(got):
            flows = set(map(flow, of_queue))
            pcap.compare("queue %d" % number, [f for f in frames if flow(f) in flows], of_queue)
        account(pair, "be", COUNT, COUNT, 0)
        pair.all_mbufs_back("be")
    finally:
        pair.close()


def large(mode, largest, options="", scatter=False, counts=()):
    """Frames that the application's mbufs do not hold, in one buffer or, if it asks, in chains."""
    sizes = [size for size in pcap.EDGES + pcap.JUMBO + [20000, 40000, 65000, 65521, 65535]
             if size <= largest]
    frames = [pcap.packets(COUNT, 0, seed=7, sizes=sizes * 2, largest=largest)]
    one_mode(mode, counts, back_mbuf=SMALL, frames=frames, back_frames=frames, back_options=options,
             setup={"be": ["port config 0 rx_offload scatter on"]} if scatter else None)


ZERO_COPY = ["rx_q0_zero_copy_packets"]


def zero_copy(report):
    for mode in (Mode(), Mode(1), Mode(0, in_order=1), Mode(1, 0, in_order=1, queues=4),
                 Mode(0, 0, vectorized=1)):
        report.case("zero-copy-" + mode.name(), one_mode, mode, back_options=",zero-copy=1",
                    counts=ZERO_COPY)
    for packed in (0, 1):
        layout = "packed" if packed else "split"
        report.case("zero-copy-9000-" + layout, large, Mode(packed), 9000,
                    ",zero-copy=1,zero-copy-min=64", counts=ZERO_COPY)
        report.case("zero-copy-65535-chained-" + layout, large, Mode(packed), 65535,
                    ",tso=1,linear-buffer=0,zero-copy=1", True, counts=ZERO_COPY)


def levels():
    """Instruction-set levels that --force-max-simd-bitwidth= leads to on this processor."""
    if platform.machine() != "x86_64":
        return dict.fromkeys((64, 128, 256, 512), "baseline")
    v3 = {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"}
    with open("/proc/cpuinfo") as info:
        flags = set(re.search(r"^flags\s*:(.*)$", info.read(), re.M).group(1).split())
    wide = "x86-64-v3" if v3 <= flags else "x86-64-v2"
    return {64: "x86-64-v2", 128: "x86-64-v2", 256: wide, 512: wide}


def oversize():
    """With neither of these, such a frame is dropped and counted."""
    mode = Mode()
    pair = Pair(mode, back_mbuf=SMALL, back_options=",ext-buffer=0")
    try:
        offered = pair.frames["fe"][0]
        fits = [frame for frame in offered if len(frame) <= BUFFER]
        pair.carry("fe", "be", len(fits))
        pcap.compare("from the front-end", fits, pair.received("be")[0])
        count = pair.side["be"].xstats(0).get("rx_q0_oversize_dropped")
        check(count == len(offered) - len(fits), "rx_q0_oversize_dropped is %s, not %d" % (
            count, len(offered) - len(fits)))
    finally:
        pair.close()


def run(report):
    for mode in modes():
        report.case(mode.name(), one_mode, mode)
    for packed in (0, 1):
        layout = "packed" if packed else "split"
        report.case("fold-4-rings-1-queue-" + layout, folded, Mode(packed, queues=4), 1)
        report.case("fold-1-ring-4-queues-" + layout, folded, Mode(packed, queues=1), 4)
        report.case("9000-one-buffer-" + layout, large, Mode(packed), 9000)
        ours = bed.DRV == "net_vring"
        report.case("9000-chained-" + layout, large, Mode(packed), 9000,
                    ",linear-buffer=0" if ours else "", ours)
        report.case("65535-one-buffer-" + layout, large, Mode(packed), 65535,
                    ",tso=1" if ours else "")
        report.case("65535-chained-" + layout, large, Mode(packed), 65535,
                    ",tso=1,linear-buffer=0" if ours else "", ours)
    if bed.DRV == "net_vring":
        report.case("oversize-dropped", oversize)
        for packed in (0, 1):
            report.case("steered-" + ("split", "packed")[packed], steered, Mode(packed, queues=4))
        zero_copy(report)
        for bits, level in levels().items():
            for packed in (0, 1):
                report.case("simd-%d-%s" % (bits, "packed" if packed else "split"), one_mode,
                            Mode(packed), says=level,
                            back_eal=["--force-max-simd-bitwidth=%d" % bits])
