# SPDX-License-Identifier: BSD-3-Clause
"""The port as a front-end: path= drives DPDK's net_vhost and a port of our own."""

import functools
import os
import re
import shutil
import signal
import struct
import threading
import time

import bed
import matrix
import pcap
import peer
from bed import check, path

MBUFS = 8192


class Front(matrix.Mode):
    """A front-end of ours, and who serves it."""

    front_plugin = True

    def __init__(self, back, *args, **options):
        super().__init__(*args, **options)
        self.back_driver = back

    def name(self):
        return "%s-%s" % (self.back_driver[4:], super().name())

    def front(self, sock):
        return ("net_vring0,path=%s,mac=52:54:00:00:00:11,queues=%d,queue_size=1024,"
                "packed_vq=%d,mrg_rxbuf=%d,in_order=%d%s%s" % (
                    sock, self.queues, self.packed, self.mrg, self.in_order,
                    ",vectorized=1" if self.vectorized else "",
                    "" if self.server else ",server=1"))


class Unasked(Front):
    """One whose user says nothing about buffers."""

    def front(self, sock):
        return super().front(sock).replace(",mrg_rxbuf=%d" % self.mrg, "")


def unsummed(frame):
    """A TCP segment without its checksum, which net_vhost leaves to whoever sends it on."""
    return frame[:50] + bytes(2) + frame[52:]


def large_segments(back, packed):
    """TCP segments of up to 64 KiB cross in one piece, every byte of them."""
    # in one mbuf each, so that net_pcap writes all of them
    sizes = [1514, 1515, 4096, 9000, 16000, 32768, 40000, 65000, 65406, 65407] * 4
    frames = {"fe": [pcap.segments(sizes, 1)], "be": [pcap.segments(sizes, 2)]}
    ways = [("fe", "be"), ("be", "fe")]
    if back == "net_vhost":
        ways.pop()  # which sends none
    setup = {side: ["port config 0 tx_offload %s on" % name
                    for name in ("ipv4_cksum", "tcp_cksum", "tcp_tso", "multi_segs")]
             for side, _ in ways}
    for side in setup:  # who does not ask for merged packets gets none
        setup[side].append("port config 0 rx_offload tcp_lro on")
    pair = matrix.Pair(
        Front(back, packed), frames=frames["fe"], back_frames=frames["be"],
        back_options=",tso=1", back_mbuf=65535, front_mbuf=65535, setup=setup,
        mbufs={"be": 2500, "fe": 2500}, memory={"be": 256, "fe": 256})
    try:
        for source, sink in ways:
            for command in ("csum set ip hw 0", "csum set tcp hw 0", "tso set 1448 0",
                            "csum mac-swap off 0"):
                pair.side[source].cmd(command)
            pair.carry(source, sink, len(sizes), "csum")
        for source, sink in ways:
            got, offered = pair.received(sink)[0], frames[source][0]
            if back == "net_vhost":
                got, offered = list(map(unsummed, got)), list(map(unsummed, offered))
            pcap.compare("%s to %s" % (source, sink), offered, got)
            matrix.account(pair, source, len(sizes), len(sizes), len(sizes) * (len(ways) - 1))
        for side in ("be", "fe"):
            pair.all_mbufs_back(side)
    finally:
        pair.close()


class Bench:
    """A back-end that receives (be) and a front-end that sends (fe), or the other way round."""

    def __init__(self, back="net_vring", options="", server=False, eal=("--single-file-segments",),
                 queues=1, memory=96, args=(), back_options=""):
        self.back_options = back_options
        self.back, self.server, self.queues = back, server, queues
        self.lives = 0
        self.sock = path("f")
        if os.path.exists(self.sock):
            os.unlink(self.sock)
        self.fe = self.be = None
        try:
            self.fe = bed.Testpmd(
                "fe", ["net_vring0,path=%s,queues=%d%s%s" % (
                    self.sock, queues, ",server=1" if server else "", options)],
                cpu=1, memory=memory, mbufs=MBUFS, eal=list(eal),
                args=self.arguments() + list(args))
            self.start_back()
        except bed.Failure:
            self.close()
            raise

    def arguments(self):
        return ["--rxq=%d" % self.queues, "--txq=%d" % self.queues]

    def start_back(self):
        if not self.server and os.path.exists(self.sock):
            os.unlink(self.sock)  # net_vhost does not replace what a killed one left
        self.be = bed.Testpmd(
            "be", ["%s0,iface=%s,queues=%d%s%s" % (
                self.back, self.sock, self.queues, ",client=1" if self.server else "",
                self.back_options)],
            cpu=0, memory=96, eal=matrix.QUIET, args=self.arguments())
        self.fe.wait_link(0)
        self.be.wait_link(0)
        self.lives += 1
        if self.lives > 1:
            self.announced()

    def announced(self):
        """A back-end that is not the first is told the address, and tells its application."""
        self.be.cmd("clear port stats 0")
        self.be.cmd("set fwd rxonly")
        self.be.cmd("start")
        bed.wait_count("announcements", lambda: self.be.stats(0)["ipackets"], 1, 5)
        self.be.cmd("stop")

    def flow(self, source, sink, seconds=0.3):
        """Send for a while; every packet that the source has sent has to arrive."""
        sink.cmd("set fwd rxonly")
        source.cmd("set fwd txonly")
        for end in (sink, source):
            end.cmd("clear port stats 0")
            end.cmd("start")
        time.sleep(seconds)
        # More than a ring: the sink has taken some. Its core may have had other work so far.
        bed.wait_for("a packet after the first ring",
                     lambda: source.stats(0)["opackets"] > 1000, 10)
        source.cmd("stop")
        sent = source.stats(0)["opackets"]
        bed.wait_count("all packets", lambda: sink.stats(0)["ipackets"], sent, 3)
        sink.cmd("stop")

    def both_ways(self):
        self.flow(self.fe, self.be)
        self.flow(self.be, self.fe)

    def all_mbufs_back(self):
        self.fe.cmd("port stop 0")
        free = self.fe.mbufs_available()
        check(free == MBUFS, "%d of %d mbufs are gone" % (MBUFS - free, MBUFS))
        self.fe.cmd("port start 0")

    def close(self):
        for end in (self.fe, self.be):
            if end is not None:
                end.quit()


def restarts(back, packed):
    """Stopped and started again and again, every mbuf comes back and traffic flows."""
    bench = Bench(back, ",packed_vq=%d" % packed)
    try:
        for _ in range(3):
            bench.both_ways()
            bench.all_mbufs_back()
            bench.fe.wait_link(0)
    finally:
        bench.close()


def reconnects(back, server, how=signal.SIGKILL, packed=0):
    """The back-end dies under traffic and is replaced: the port finds the next one."""
    bench = Bench(back, ",packed_vq=%d" % packed, server=server)
    try:
        fds = bench.fe.fds()
        for _ in range(3):
            bench.fe.cmd("set fwd txonly")
            bench.fe.cmd("start")
            time.sleep(0.2)
            bench.be.end(how)
            bed.wait_for("link down", lambda: not bench.fe.link_up(0), 5)
            bench.fe.cmd("stop")
            bench.start_back()
            bench.both_ways()
        check(bench.fe.fds() <= fds, "%d descriptors before, %d after" % (fds, bench.fe.fds()))
        bench.all_mbufs_back()
        status = bench.fe.telemetry("/net_vring/status,0")
        check(status["role"] == "front-end" and status["connects"] == 4
              and status["disconnects"] == 3, "status: %s" % status)
    finally:
        bench.close()


def memory_changes(back):
    """Hugepages come and go under traffic: the back-end knows them while they are used."""
    bench = Bench(back)
    try:
        def size():
            return bench.fe.telemetry("/net_vring/memory,0")["bytes"]
        before = size()
        bench.be.cmd("set fwd rxonly")
        bench.be.cmd("start")
        bench.fe.cmd("set fwd txonly")
        bench.fe.cmd("start")
        for _ in range(3):
            bench.fe.cmd("port attach net_vring9,path=%s,queues=8,queue_size=8192" % path("none"))
            check(size() > before, "still %d bytes with a large port more" % before)
            bench.fe.cmd("port close 1")
            bench.fe.cmd("device detach net_vring9")
            check(size() == before, "%d bytes before, %d after" % (before, size()))
        bench.fe.cmd("stop")
        sent = bench.fe.stats(0)["opackets"]
        bed.wait_count("the rest of the packets", lambda: bench.be.stats(0)["ipackets"], sent, 3)
        bench.be.cmd("stop")
        bench.both_ways()
        bench.all_mbufs_back()
        status = bench.fe.telemetry("/net_vring/status,0")
        check(status["disconnects"] == 0, "status: %s" % status)
    finally:
        bench.close()


def grown(back):
    """Packets out of memory that came while the port was running, every byte compared."""
    sock = path("g")
    if os.path.exists(sock):
        os.unlink(sock)
    be = bed.Testpmd("be", ["%s0,iface=%s" % (back, sock)], cpu=0, memory=96, eal=matrix.QUIET,
                     args=["--auto-start", "--forward-mode=io"])
    prefix = "grow-%s" % os.path.basename(bed.RUN)
    fe = bed.Process("grow", [
        bed.GROW_POOL, "--lcores", "0@%d" % bed.CPUS[-1], "--no-pci", "-m", "16",
        "--in-memory", "--single-file-segments", "--file-prefix", prefix,
        "--vdev", "net_vring0,path=%s" % sock] + bed.plugin_options())
    try:
        bed.wait_for("grow-pool ends", lambda: not fe.alive(), 60)
        lines = [line for line in fe.log().splitlines() if "grow-pool: " in line]
        check(fe.end() == 0, " ".join(lines[-2:]) or fe.last_line())
    finally:
        fe.end()
        shutil.rmtree("/run/dpdk/" + prefix, ignore_errors=True)
        be.quit()


def many_pages():
    """One file a page: a back-end that takes eight regions says no, and the port why."""
    fe = bed.Testpmd("fe", ["net_vring0,path=%s" % path("p")], cpu=1, memory=64)
    be = None
    try:
        be = bed.Testpmd("be", ["net_vhost0,iface=%s" % path("p")], cpu=0, memory=64)
        bed.wait_for("a line about memory", lambda: "--single-file-segments" in fe.log(), 5)
        lines = [line for line in fe.log().splitlines() if "single-file-segments" in line]
        check(len(lines) == 1, "%d lines: %s" % (len(lines), lines[0]))
        check(re.search(r"net_vring0: .*pieces.*takes 8", lines[0]), lines[0])
    finally:
        fe.quit()
        if be is not None:
            be.quit()


def without_hugepages():
    """Ordinary memory will do, since EAL puts it into a file as well."""
    sock = path("n")
    be = bed.Testpmd("be", ["net_vring0,iface=%s" % sock], cpu=0, memory=96,
                     args=["--forward-mode=rxonly"])
    fe = None
    try:
        fe = bed.Testpmd("fe", ["net_vring0,path=%s" % sock], cpu=1, memory=96, huge=False,
                         args=["--forward-mode=txonly"])
        fe.wait_link(0)
        be.cmd("start")
        fe.cmd("start")
        bed.wait_for("packets", lambda: be.stats(0)["ipackets"] > 1000, 5)
    finally:
        if fe is not None:
            fe.quit()
        be.quit()


def refused_pool(**options):
    """Buffers are refused when the queue is set up: no device could be given them, or they are
    for one thread at a time.
    """
    try:
        bed.Testpmd("fe", ["net_vring0,path=%s" % path("p")], cpu=1, memory=64,
                    **options).quit()
    except bed.Failure:
        pass
    with open(path("fe.log")) as log:
        lines = [line for line in log if "mb_pool_0" in line and "net_vring0" in line]
    check(len(lines) == 1 and "allowed is" in lines[0], "said: %s" % lines)


def pinned_pool():
    """Buffers apart from their mbufs, in DPDK's own memory, are as good as any."""
    bench = Bench("net_vring", args=["--mp-alloc=xbuf"])
    try:
        bench.both_ways()
        bench.all_mbufs_back()
        dropped = [name for name, value in bench.fe.xstats(0).items()
                   if name.endswith("_dropped") and value]
        check(not dropped, "dropped: %s" % ", ".join(dropped))
    finally:
        bench.close()


def oversize(packed):
    """An application that asked for no chains gets none: larger frames are dropped and counted."""
    pair = matrix.Pair(Unasked("net_vring", packed))
    try:
        offered = pair.frames["be"][0]
        fits = [frame for frame in offered if len(frame) <= matrix.BUFFER]
        pair.carry("be", "fe", len(fits))
        pcap.compare("to the front-end", fits, pair.received("fe")[0])
        count = pair.side["fe"].xstats(0).get("rx_q0_oversize_dropped")
        check(0 < count == len(offered) - len(fits), "rx_q0_oversize_dropped is %s, not %d" % (
            count, len(offered) - len(fits)))
    finally:
        pair.close()


def hung():
    """A back-end that does not answer holds nobody up for long, and is used again when it does."""
    bench = Bench("net_vring")
    try:
        os.kill(bench.be.pid, signal.SIGSTOP)
        for command in ("port stop 0", "port start 0"):
            began = time.monotonic()
            bench.fe.cmd(command)
            took = time.monotonic() - began
            check(took < 6, "%s took %.1f s" % (command, took))
        check(not bench.fe.link_up(0), "the link is up")
        os.kill(bench.be.pid, signal.SIGCONT)
        bench.fe.wait_link(0)
        bench.be.wait_link(0)
        bench.announced()
        bench.both_ways()
        bench.all_mbufs_back()
    finally:
        os.kill(bench.be.pid, signal.SIGCONT)
        bench.close()


def folded():
    """More queues than the back-end has pairs: those share, and nothing is lost."""
    bench = Bench("net_vring", queues=4)
    try:
        bench.both_ways()
        bench.be.quit()
        bench.queues = 2
        bench.start_back()
        bench.both_ways()
    finally:
        bench.close()


class Foreign:
    """A front-end with a back-end of another make."""

    def __init__(self, queues=1, options="", args=(), **make):
        self.back = peer.BackEnd(path("o"), **make)
        self.fe = bed.Testpmd(
            "fe", ["net_vring0,path=%s,queues=%d%s" % (path("o"), queues, options)], cpu=1,
            memory=96, mbufs=MBUFS, eal=["--single-file-segments"],
            args=["--rxq=%d" % queues, "--txq=%d" % queues] + list(args))

    def status(self):
        return self.fe.telemetry("/net_vring/status,0")

    def close(self):
        self.fe.quit()
        self.back.close()


def counts_rings(protocol, ends):
    """A back-end that says 2 and means rings: one pair is used, by all queues."""
    bench = Foreign(queues=2, rings=2, says=2, protocol=protocol, ends=ends)
    try:
        bench.fe.wait_link(0)
        status = bench.status()
        check(status["pairs_in_use"] == 1 and status["device_pairs"] == 1, "status: %s" % status)
        check(bench.back.lives == (2 if ends else 1), "%d connections" % bench.back.lives)
        check(not bench.back.strays(), "asked about other rings: %s" % bench.back.strays())
        check(bench.fe.log().count("counts vrings") == 1, "log: %s" % bench.fe.last_line())
        bench.fe.cmd("set fwd txonly")
        bench.fe.cmd("start")
        bed.wait_for("packets", lambda: bench.back.taken > 1000, 5)
        bench.fe.cmd("stop")
        for count in (3, 4):
            bench.back.hang_up()
            bed.wait_count("connections", lambda: bench.back.lives, count if ends else count - 1, 5)
            bench.fe.wait_link(0)
    finally:
        bench.close()


def mtu():
    """The application's MTU reaches the back-end, also the next one."""
    bench = Foreign(protocol=peer.MQ | peer.REPLY_ACK | peer.NET_MTU)
    try:
        bench.fe.wait_link(0)
        check(bench.back.last(peer.NET_SET_MTU) is None, "an MTU that nobody asked for")
        bench.fe.cmd("port config mtu 0 4000")
        check(bench.back.last(peer.NET_SET_MTU) == (4000).to_bytes(8, "little"),
              "the MTU: %s" % bench.back.last(peer.NET_SET_MTU))
        bench.back.seen.clear()
        bench.back.hang_up()
        bed.wait_for("the MTU", lambda: bench.back.last(peer.NET_SET_MTU) ==
                     (4000).to_bytes(8, "little"), 5)
    finally:
        bench.close()


def announcement():
    """A back-end that came back announces the address."""
    bench = Foreign(protocol=peer.MQ | peer.RARP, options=",mac=52:54:00:00:00:11")
    try:
        bench.fe.wait_link(0)
        check(bench.back.last(peer.SEND_RARP) is None, "announced to the first")
        bench.back.hang_up()
        bed.wait_for("the announcement", lambda: bench.back.last(peer.SEND_RARP) is not None, 5)
        check(bench.back.last(peer.SEND_RARP) == bytes.fromhex("5254000000110000"),
              "announced: %s" % bench.back.last(peer.SEND_RARP).hex())
    finally:
        bench.close()


# VIRTIO_NET_F_MTU, MAC, STATUS, SPEED_DUPLEX
CONFIGURED = 1 << 3 | 1 << 5 | 1 << 16 | 1 << 63
TALKS = peer.MQ | peer.REPLY_ACK | peer.BACKEND_REQ | peer.CONFIG | peer.STATUS
SPACE = struct.Struct("<6sHHHIB")   # struct virtio_net_config up to duplex


def configuration():
    """What a back-end shows of itself is the port's, and it may change."""
    mac = bytes.fromhex("525400000017")
    bench = Foreign(protocol=TALKS, features=CONFIGURED,
                    config=SPACE.pack(mac, 1, 1, 4000, 25000, 1))
    try:
        bench.fe.wait_link(0)
        info = bench.fe.cmd("show port info 0")
        for pattern in ("(?i)MAC address: 52:54:00:00:00:17", "Link speed: 25 Gbps"):
            check(re.search(pattern, info), "no '%s'" % pattern)
        said = bench.fe.cmd("port config mtu 0 4001")
        check("4000" in said, "an MTU above the device's: " + said)
        for up in (False, True):
            bench.back.changes(config=SPACE.pack(mac, up, 1, 4000, 25000, 1))
            bench.fe.wait_link(0, up=up)
        check(bench.back.lives == 1, "%d connections" % bench.back.lives)
    finally:
        bench.close()


def needs_reset(request):
    """A device that says so is reset, and then goes on."""
    bench = Foreign(protocol=TALKS | (peer.RESET if request == peer.RESET_DEVICE else 0),
                    features=CONFIGURED, config=SPACE.pack(bytes(6), 1, 1, 4000, 25000, 1))
    try:
        bench.fe.wait_link(0)
        bench.fe.cmd("set fwd txonly")
        bench.fe.cmd("start")
        bed.wait_for("packets", lambda: bench.back.taken > 1000, 5)
        bench.back.seen.clear()
        bench.back.changes(status=peer.NEEDS_RESET)
        bed.wait_for("a reset", lambda: bench.back.last(request) is not None, 5)
        bed.wait_for("rings", lambda: 1 in bench.back.ring, 5)
        taken = bench.back.taken
        bed.wait_for("packets after it", lambda: bench.back.taken > taken + 1000, 5)
        check("needs a reset and gets it" in bench.fe.log(), "nothing in the log")
        check(bench.back.lives == 1, "%d connections" % bench.back.lives)
    finally:
        bench.close()


def timed(function, *args):
    began = time.monotonic()
    function(*args)
    return time.monotonic() - began


def ask_status(bench):
    try:
        bench.status()
    except OSError:
        pass  # the answer comes when the port has time


def slow_answers():
    """Answers that come one by one in time: nobody waits for minutes, and no other port at all."""
    bench = Foreign(protocol=peer.MQ | peer.REPLY_ACK, queues=1)
    try:
        bench.fe.wait_link(0)
        bench.fe.cmd("port attach net_vring1,iface=%s" % path("other"))
        bench.fe.cmd("port stop 0")
        bench.back.delays.update({number: 1.5 for number in range(1, 40)})
        asked = threading.Thread(target=ask_status, args=(bench,))
        starts = threading.Thread(target=bench.fe.cmd, args=("port start 0",))
        starts.start()
        time.sleep(0.3)
        asked.start()
        time.sleep(0.2)
        took = timed(bench.fe.telemetry, "/net_vring/list")
        check(took < 1, "/net_vring/list took %.1f s" % took)
        starts.join()
        asked.join()
        for command, most in (("port stop 0", 7), ("port close 0", 7)):
            took = timed(bench.fe.cmd, command)
            check(took < most, "%s took %.1f s" % (command, took))
    finally:
        bench.back.delays.clear()
        bench.close()


def dirty_log(back, packed):
    """What the back-end writes to the front-end's memory is marked, its packets above all."""
    bench = Bench(back, ",dirty-log=1,packed_vq=%d" % packed)

    def marked():
        return bench.fe.telemetry("/net_vring/status,0")["dirty_pages"]
    try:
        begun = marked()
        bench.flow(bench.fe, bench.be)
        taken = marked()
        check(begun < taken or packed, "no page of the ring that the front-end sends on is marked")
        bench.flow(bench.be, bench.fe)
        # a ring of 256 buffers, each in a page or two
        check(marked() - taken >= 100, "%d pages are marked for many packets" % (marked() - taken))
        check(marked() * 4096 <= 96 << 20, "more pages are marked than there are")
    finally:
        bench.close()


def iommu(back, packed):
    """The back-end asks for each address that it is given, and hears of those that go."""
    bench = Bench(back, ",iommu-support=1,packed_vq=%d" % packed,
                  back_options=",iommu-support=1")
    try:
        check(int(bench.fe.telemetry("/net_vring/status,0")["features"], 16) >> 33 & 1,
              "ACCESS_PLATFORM was not negotiated")
        for _ in range(2):
            bench.flow(bench.fe, bench.be)
            bench.flow(bench.be, bench.fe)
        if back == "net_vring":
            asked = bench.be.telemetry("/net_vring/status,0")
            check(asked["iotlb_ranges"] > 0, "no address was asked for: %s" % asked)
    finally:
        bench.close()


def run(report):
    for back in ("net_vhost", "net_vring"):
        for mode in matrix.modes(functools.partial(Front, back)):
            report.case(mode.name(), matrix.one_mode, mode)
    for packed in (0, 1):
        layout = "packed" if packed else "split"
        report.case("9000-chained-" + layout, matrix.large, Front("net_vring", packed), 9000)
        report.case("oversize-" + layout, oversize, packed)
        report.case("segments-vhost-" + layout, large_segments, "net_vhost", packed)
        report.case("segments-vring-" + layout, large_segments, "net_vring", packed)
        report.case("restarts-vhost-" + layout, restarts, "net_vhost", packed)
        report.case("restarts-vring-" + layout, restarts, "net_vring", packed)
    for back in ("net_vhost", "net_vring"):
        report.case("dirty-log-" + back[4:], dirty_log, back, back == "net_vring")
        for packed in (0, 1):
            report.case("iommu-%s-%s" % (back[4:], "packed" if packed else "split"), iommu, back,
                        packed)
        report.case("reconnect-client-" + back[4:], reconnects, back, False)
        report.case("reconnect-server-" + back[4:], reconnects, back, True)
        report.case("memory-" + back[4:], memory_changes, back)
        report.case("memory-grown-" + back[4:], grown, back)
    report.case("many-pages", many_pages)
    report.case("without-hugepages", without_hugepages)
    report.case("foreign-pool", refused_pool, args=["--mp-alloc=anon"])
    report.case("pool-of-one-thread", refused_pool,
                eal=["--mbuf-pool-ops-name=ring_sp_sc"])
    report.case("pinned-pool", pinned_pool)
    report.case("hung", hung)
    report.case("folded", folded)
    report.case("rings-refused", counts_rings, peer.MQ | peer.REPLY_ACK, False)
    report.case("rings-ended", counts_rings, peer.MQ, True)
    report.case("mtu", mtu)
    report.case("announcement", announcement)
    report.case("configuration", configuration)
    report.case("needs-reset", needs_reset, peer.RESET_DEVICE)
    report.case("needs-reset-owner", needs_reset, peer.RESET_OWNER)
    report.case("slow-answers", slow_answers)
