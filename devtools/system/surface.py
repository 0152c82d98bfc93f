# SPDX-License-Identifier: BSD-3-Clause
"""What a user of testpmd can do to a port, with and without a peer, and hot-plug."""

import os
import re
import socket

import bed
import pcap
from bed import check, path

MAC = "52:54:00:00:00:99"
CYCLES = 1000
GROWTH_KIB = 256    # in all of them
PAIRS = 16          # of the port whose telemetry is read
MAX_PORTS = 32      # RTE_MAX_ETHPORTS of Debian's DPDK

# commands and what must be in what they print; without a pattern: no complaint is enough
COMMANDS = [
    ("show port info 0", r"Driver name: %s" % bed.DRV),
    ("show port summary 0", bed.DRV),
    ("show device info all", bed.DRV),
    ("show port stats 0", r"RX-packets"),
    ("show port xstats 0", r"rx_q0_packets"),
    ("show rxq info 0 0", r"RX burst|Burst mode|Mempool"),
    ("show txq info 0 0", r"Number of TXDs"),
    ("show port 0 rxq 0 desc used count", r"\d"),
    ("show port 0 rxq 0 desc 5 status", r"Desc status"),
    ("show port 0 txq 0 desc 5 status", r"Desc status"),
    ("show port 0 ptypes", r"L3_IPV6(?s:.)*L4_UDP"),
    ("set port 0 ptype_mask 0xfff", None),
    ("set port 0 ptype_mask 0", None),
    ("set stat_qmap rx 0 1 0", None),
    ("set stat_qmap tx 0 1 3", None),
    ("set stat_qmap rx 0 1 1", None),
    ("set stat_qmap tx 0 1 1", None),
    ("show port 0 rss-hash", r"ipv4"),
    ("port config 0 rss-hash-key ipv4-tcp " + "6d5a" * 20, None),
    ("show port 0 rss-hash key", "(?i)" + "6d5a" * 20),
    ("vlan set filter on 0", None),
    ("rx_vlan add 7 0", None),
    ("rx_vlan rm 7 0", None),
    ("vlan set filter off 0", None),
    ("vlan set strip on 0", None),
    ("vlan set strip off 0", None),
    ("show port 0 rx_offload capabilities", None),
    ("show port 0 tx_offload capabilities", r"TCP_TSO|TCP_CKSUM"),
    ("clear port stats 0", None),
    ("clear port xstats 0", None),
    ("set promisc 0 off", None),
    ("set promisc 0 on", None),
    ("set allmulti 0 on", None),
    ("set allmulti 0 off", None),
    ("mac_addr set 0 " + MAC, None),
    ("port config mtu 0 9000", None),
    ("port config mtu 0 1500", None),
    ("set link-down port 0", None),
    ("set link-up port 0", None),
    ("port 0 rxq 0 stop", None),
    ("port 0 rxq 0 start", None),
    ("port 0 txq 0 stop", None),
    ("port 0 txq 0 start", None),
    ("port cleanup 0 txq 0 0", None),
    ("set fwd csum", None),
    ("set fwd macswap", None),
    ("set burst 64", None),
    ("set record-core-cycles on", None),
    ("set record-burst-stats on", None),
    ("start", None),
    ("show fwd stats all", None),
    ("stop", None),
    ("port stop 0", None),
    ("csum set ip hw 0", None),
    ("csum set tcp hw 0", None),
    ("csum set udp hw 0", None),
    ("tso set 1448 0", None),
    ("port reset 0", None),
    ("port start 0", None),
]
# which testpmd has up to 25.07
GONE = "set stat_qmap"
COMPLAINT = re.compile(r"(?i)-95|not supported|\bfail|\berror\b(?!s)|bad arg|cannot|invalid|unable")

HARMLESS = re.compile(r"\s*\w+: \d+\s*$|.*(RX|TX)-errors:|Device error handling mode")


def complaint(output):
    """The first line that says that something went wrong; counters may have such names."""
    for line in output.splitlines():
        if COMPLAINT.search(line) and not HARMLESS.match(line):
            return line.strip()
    return None


def release(testpmd):
    """Year and month of a testpmd's DPDK."""
    said = re.search(r"(\d+)\.(\d+)", testpmd.telemetry("/info")["version"])
    return int(said.group(1)), int(said.group(2))


def commands(testpmd):
    bad = []
    for command, pattern in COMMANDS:
        output = testpmd.cmd(command)
        wrong = complaint(output)
        if command.startswith(GONE) and release(testpmd) >= (25, 11):
            continue
        if wrong:
            bad.append("'%s' says '%s'" % (command, wrong))
        elif pattern and not re.search(pattern, output):
            bad.append("'%s' does not say '%s'" % (command, pattern))
    check(not bad, "; ".join(bad))
    check("common_pool_count" in testpmd.dump_mempool(), "no dump of a mempool")


def takes_effect(testpmd):
    """Address and MTU are what they were set to."""
    testpmd.cmd("mac_addr set 0 " + MAC)
    testpmd.cmd("port config mtu 0 4000")
    info = testpmd.cmd("show port info 0")
    check("MAC address: " + MAC in info, "the address was not taken")
    check("MTU: 4000" in info, "the MTU was not taken")


def argument(testpmd):
    """mtu= is what the port starts with."""
    testpmd.cmd("port attach %s" % bed.vdev(7, "iface=%s,mtu=9000" % path("mtu.sock")))
    port = max(map(int, re.findall(r"Port (\d+) is attached", testpmd.log())))
    testpmd.cmd("port start %d" % port)
    info = testpmd.cmd("show port info %d" % port)
    for command in ("stop", "close"):
        testpmd.cmd("port %s %d" % (command, port))
    check("MTU: 9000" in info, "the MTU is not that of mtu=9000")


def names(testpmd):
    output = testpmd.cmd("show port xstats 0")
    return re.findall(r"^(\w+): \d+\s*$", output, re.M)


class Peer:
    """A front-end of DPDK on the port's socket."""

    def __init__(self, sock, queues=1):
        self.testpmd = bed.Testpmd(
            "peer", ["net_virtio_user0,path=%s,queues=%d" % (sock, queues)], plugin=False,
            memory=64, cpu=1, eal=["--single-file-segments"],
            args=["--rxq=%d" % queues, "--txq=%d" % queues])

    def leave(self):
        self.testpmd.quit()


def wait_down(testpmd, port):
    bed.wait_for("link down of port %d" % port, lambda: not testpmd.link_up(port), 5)


def alone_and_connected(report):
    """Everything once without a peer, once with one, and what is the same in both."""
    sock = path("surface")
    testpmd = bed.Testpmd("surface", [bed.vdev(0, "iface=%s,queues=2" % sock)],
                          args=["--rxq=2", "--txq=2"], memory=96)
    try:
        before = names(testpmd)
        report.case("commands-without-peer", commands, testpmd)
        report.case("takes-effect", takes_effect, testpmd)
        report.case("mtu-argument", argument, testpmd)
        peer = Peer(sock, 2)
        testpmd.wait_link(0)
        during = names(testpmd)
        report.case("commands-with-peer", commands, testpmd)
        peer.leave()
        wait_down(testpmd, 0)
        after = names(testpmd)
        report.case("xstats-names-static", same_names, before, during, after)
    finally:
        testpmd.quit()


def same_names(before, during, after):
    check(before, "no xstats without a peer")
    for number in (0, 1):
        for name in ("rx_q%d_packets", "tx_q%d_packets", "rx_q%d_bytes"):
            check(name % number in before, "no " + name % number)
    check(len(set(before)) == len(before), "a name occurs twice")
    check(before == during, "names with a peer differ: " + ", ".join(set(before) ^ set(during)))
    check(before == after, "names after a peer differ: " + ", ".join(set(before) ^ set(after)))


def cycle(testpmd, name, start):
    sock = path(name)
    said = testpmd.cmd("port attach %s,iface=%s,queues=4" % (name, sock))
    check("Now total ports is 2" in said, "not attached: " + " / ".join(said.splitlines()[:3]))
    if start:
        check(not complaint(testpmd.cmd("port start 1")), "port start 1 fails")
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(sock)
            testpmd.cmd("port stop 1")
    testpmd.cmd("port detach 1")
    said = testpmd.cmd("show port summary all")
    check("Number of available ports: 1" in said, "not detached")
    check(not os.path.exists(sock), "%s is left behind" % sock)


def hot_plug():
    """Attaching and detaching leaves neither files open nor memory in use."""
    testpmd = bed.Testpmd("hotplug", ["net_null0"], memory=96)
    try:
        for number in range(10):
            cycle(testpmd, bed.DRV + "5", number % 2 == 0)
        fds, resident = testpmd.fds(), testpmd.resident_kib()
        threads = len(os.listdir("/proc/%d/task" % testpmd.pid))
        for number in range(CYCLES):
            cycle(testpmd, bed.DRV + "5", number % 10 == 0)
        check(testpmd.fds() <= fds, "%d files open, %d before" % (testpmd.fds(), fds))
        now = len(os.listdir("/proc/%d/task" % testpmd.pid))
        check(now <= threads, "%d threads, %d before" % (now, threads))
        grown = testpmd.resident_kib() - resident
        check(grown < GROWTH_KIB, "%d KiB more after %d cycles" % (grown, CYCLES))
        check(testpmd.quit() == 0, "testpmd ended badly: " + testpmd.last_line())
    finally:
        testpmd.quit()


def many_ports():
    """As many ports as this DPDK allows, one thread for all of them."""
    ports = [bed.vdev(number, "iface=" + path("p%d" % number)) for number in range(MAX_PORTS)]
    testpmd = bed.Testpmd("many", ports, memory=192, mbufs=20000)
    try:
        said = testpmd.cmd("show port summary all")
        check("Number of available ports: %d" % MAX_PORTS in said, "not all ports are there")
        tasks = "/proc/%d/task" % testpmd.pid
        threads = sum("vring" in open("%s/%s/comm" % (tasks, task)).read()
                      for task in os.listdir(tasks))
        check(threads == 1 or bed.DRV != "net_vring", "%d control threads" % threads)
        for number in range(MAX_PORTS):
            with socket.socket(socket.AF_UNIX) as peer:
                peer.connect(path("p%d" % number))
        peer = Peer(path("p%d" % (MAX_PORTS - 1)))
        testpmd.wait_link(MAX_PORTS - 1)
        peer.leave()
        wait_down(testpmd, MAX_PORTS - 1)
        check(testpmd.quit() == 0, "testpmd ended badly: " + testpmd.last_line())
    finally:
        testpmd.quit()
    left = [number for number in range(MAX_PORTS) if os.path.exists(path("p%d" % number))]
    check(not left, "sockets of %d ports are left behind" % len(left))


def same_as_xstats(testpmd, pair, xstats):
    """All of a queue pair: its counters as xstats have them, and its two vrings."""
    told = testpmd.telemetry("/net_vring/queues,0,%d" % pair)
    check(set(told) == {"rx", "tx", "vring_%d" % (2 * pair), "vring_%d" % (2 * pair + 1)},
          "pair %d: told of %s" % (pair, ", ".join(told or ["nothing"])))
    for side in ("rx", "tx"):
        prefix = "%s_q%d_" % (side, pair)
        expected = {name[len(prefix):]: value for name, value in xstats.items()
                    if name.startswith(prefix)}
        check(told[side] == expected, "pair %d: %s differs from its xstats" % (pair, side))
        check(told[side]["packets"] > 0, "pair %d: no packets in %s" % (pair, side))
    for vring in (2 * pair, 2 * pair + 1):
        check(told["vring_%d" % vring]["state"] == "enabled", "vring %d is not enabled" % vring)
        check(told["vring_%d" % vring]["size"] > 0, "vring %d has no size" % vring)


def histograms(testpmd, pair, xstats):
    """Classes that add up to the packets there were."""
    told = testpmd.telemetry("/net_vring/hist,0,%d" % pair)
    for side in ("rx", "tx"):
        packets = xstats["%s_q%d_packets" % (side, pair)]
        check(sum(told[side + "_packets"].values()) == packets,
              "pair %d: %s sizes of %s for %d packets" % (pair, side, told, packets))
        bursts = {int(name.split("_")[0]): count for name, count in
                  told[side + "_bursts"].items()}
        check(sorted(bursts) == [0, 1, 2, 4, 8, 16, 32, 64], "classes %s" % sorted(bursts))
        least = sum(size * count for size, count in bursts.items())
        check(least <= packets <= 2 * least,
              "pair %d: %s bursts of %s for %d packets" % (pair, side, bursts, packets))
        check(side == "tx" or bursts[0] > 0, "pair %d: no poll found nothing" % pair)


def telemetry():
    """Every queue of a port with more of them than one answer has room for counters."""
    sock = path("telemetry")
    args = ["--rxq=%d" % PAIRS, "--txq=%d" % PAIRS]
    testpmd = bed.Testpmd("telemetry", [bed.vdev(0, "iface=%s,queues=%d" % (sock, PAIRS))],
                          args=args, mbufs=16384)
    try:
        peer = bed.Testpmd("peer", [bed.vdev(1, "path=%s,queues=%d" % (sock, PAIRS))], args=args,
                           mbufs=16384, cpu=1, eal=["--single-file-segments"])
        testpmd.wait_link(0)
        testpmd.cmd("start")
        peer.cmd("start tx_first")
        bed.wait_for("packets", lambda: testpmd.stats(0)["opackets"] > 64 * PAIRS, 10)
        peer.cmd("stop")
        testpmd.cmd("stop")
        xstats = testpmd.xstats(0)
        rings = testpmd.telemetry("/net_vring/queues,0")
        check(list(rings) == ["vring_%d" % n for n in range(2 * PAIRS)], "told of %s" % rings)
        check(all(set(ring) == {"state", "waiting"} for ring in rings.values()),
              "told of %s" % rings)
        for pair in range(PAIRS):
            same_as_xstats(testpmd, pair, xstats)
            histograms(testpmd, pair, xstats)
        for wrong in ("queues,0,%d" % PAIRS, "hist,0,%d" % PAIRS, "hist,0", "hist", "hist,0,x",
                      "hist,0,0,0", "hist,1,0", "queues,0,", "queues,0,-1", "status,0,0"):
            check(testpmd.telemetry("/net_vring/" + wrong) is None, "an answer to " + wrong)
        peer.quit()
    finally:
        testpmd.quit()


# Frames behind their addresses, and what they are in testpmd's words.
FRAMES = [
    ("080045000028000000004006", "L2_ETHER L3_IPV4 L4_TCP"),
    ("8100000708004500002800000000401100", "L2_ETHER_VLAN L3_IPV4 L4_UDP"),
    ("8100e00886dd6000000000001140", "L2_ETHER_VLAN L3_IPV6 L4_UDP"),
    ("88b5", "L2_ETHER"),
]


# A key and a flow whose hash is published.
KEY = "6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa"
FLOW = "08004500003c0000000040060000420995bba18e64500aea06e6"
HASH = 0x51ccc178


class Receiver:
    """A testpmd that prints what its port 0 receives, and one that sends each frame once. Of a
    packet without a type it prints none."""

    def __init__(self, driver, peer, kinds, args=(), options=""):
        sock = path("types")
        frames = [bytes.fromhex("525400000022525400000011" + kind) for kind in kinds]
        pcap.write(path("types.pcap"), [frame.ljust(80, b"\0") for frame in frames])
        self.testpmds = []
        back, front = ("iface=" + sock, "path=" + sock)
        vdev = "%s0,queues=2,%s%s" % (driver, back if peer == "net_virtio_user" else front, options)
        other = "%s0,%s" % (peer, front if peer == "net_virtio_user" else back)
        source = [other, "net_pcap0,infinite_rx=0,rx_pcap=" + path("types.pcap")]
        shared = ["--single-file-segments"]
        try:
            if peer == "net_virtio_user":
                self.start("receiver", [vdev], True, [], args)
                self.start("source", source, False, shared)
            else:
                self.start("source", source, False, [])
                self.start("receiver", [vdev], True, shared, args)
        except bed.Failure:
            self.close()
            raise
        self.receiver, self.source = sorted(self.testpmds, key=lambda t: t.name)
        self.receiver.wait_link(0)
        self.receiver.cmd("set fwd rxonly")
        self.receiver.cmd("set verbose 1")
        self.receiver.cmd("start")

    def start(self, name, vdevs, plugin, eal, args=()):
        self.testpmds.append(bed.Testpmd(name, vdevs, plugin=plugin, memory=96, eal=eal, args=args,
                                         cpu=len(self.testpmds)))

    def told(self, wanted, pattern="- nb_segs=1 (?:- hw ptype: ([A-Z0-9_ ]*?) *)?- sw ptype"):
        """Of what arrives when each frame is sent once the types, or what the pattern finds; as
        many have to."""
        before = len(self.receiver.log())
        self.source.cmd("set flush_rx off")
        self.source.cmd("set fwd io retry")
        self.source.cmd("start")

        def arrived():
            return re.findall(pattern, self.receiver.log()[before:])
        try:
            bed.wait_for("", lambda: len(arrived()) >= wanted, 5)
        except bed.Failure:
            pass  # the caller compares
        self.source.cmd("stop")
        # the file is read once for each start of its port
        self.source.cmd("port stop 1")
        self.source.cmd("port start 1")
        return arrived()

    def close(self):
        for testpmd in reversed(self.testpmds):
            testpmd.quit()


def types_and_vlans(driver, peer):
    """Types that the application asks for, and VLANs that it does, with a driver of DPDK's."""
    ends = Receiver(driver, peer, [kind for kind, _ in FRAMES])
    try:
        port = ends.receiver
        all_types = [types for _, types in FRAMES]
        told = ends.told(len(FRAMES))
        check(told == [""] * len(FRAMES), "types of nobody's wish: %s" % told)
        port.cmd("set port 0 ptype_mask 0xfff")
        told = ends.told(len(FRAMES))
        check(told == all_types, "types %s" % told)
        port.cmd("set port 0 ptype_mask 0xf0")
        told = ends.told(len(FRAMES))
        check([re.sub(r"\bL[24]_\w+", "", types).strip() for types in told] ==
              ["L3_IPV4", "L3_IPV4", "L3_IPV6", ""] and not re.search("L[24]_(?!UNK)", str(told)),
              "types of layer 3 %s" % told)
        port.cmd("set port 0 ptype_mask 0xfff")
        port.cmd("vlan set filter on 0")
        port.cmd("rx_vlan add 7 0")
        told = ends.told(3)
        check(told == all_types[:2] + all_types[3:], "with VLAN 7 come %s" % told)
        dropped = port.xstats(0)["rx_q0_vlan_dropped"]
        check(dropped == 1, "%d frames of other VLANs counted" % dropped)
        port.cmd("vlan set filter off 0")
        told = ends.told(len(FRAMES))
        check(told == all_types, "without a filter come %s" % told)
        received = port.stats(0)["ipackets"]
        check(received == 5 * len(FRAMES) - 1, "%d packets" % received)
    finally:
        ends.close()


def hashes(driver):
    """A back-end tells hashes to an application that enables them, under its key."""
    pattern = "- nb_segs=1 - (?:RSS hash=0x([0-9a-f]+) - RSS queue=0x0 - )?[hs]w ptype"
    ends = Receiver(driver, "net_virtio_user", [FLOW], ["--rxq=2", "--txq=2"])
    try:
        port = ends.receiver
        told = ends.told(1, pattern)
        check(told == [""], "hashes of nobody's wish: %s" % told)
        for command in ("stop", "port stop 0", "port config 0 rx_offload rss_hash on",
                        "port start 0", "port config 0 rss-hash-key ipv4-tcp " + KEY):
            wrong = complaint(port.cmd(command))
            check(not wrong, "'%s' says '%s'" % (command, wrong))
        port.wait_link(0)
        port.cmd("start")
        told = ends.told(1, pattern)
        check(told == ["%x" % HASH], "hashes %s, %x is right" % (told, HASH))
    finally:
        ends.close()


# of frames from a guest; the last ones where it may leave packets to the port to cut
SIZES = (80, 1514, 2048, 2049, 4096, 9014, 9018)
MERGED_SIZES = SIZES + (20000, 40000, 65535)


def one_segment(options, sizes):
    """Whatever a guest sends is one segment, in mbufs of testpmd's own size."""
    ends = Receiver("net_vring", "net_virtio_user",
                    ["88b5" + "00" * (size - 14) for size in sizes], options=options)
    try:
        told = ends.told(len(sizes), r"length=(\d+) - nb_segs=(\d+) ")
        check(told == [(str(size), "1") for size in sizes],
              "lengths and segments of %s: %s" % (list(sizes), told))
    finally:
        ends.close()


def run(report):
    alone_and_connected(report)
    if bed.DRV == "net_vring":
        report.case("hashes", hashes, bed.DRV)
        report.case("one-segment-1500", one_segment, "", SIZES)
        report.case("one-segment-9000", one_segment, ",mtu=9000", SIZES)
        report.case("one-segment-tso", one_segment, ",tso=1", MERGED_SIZES)
        for peer in ("net_virtio_user", "net_vhost"):
            report.case("types-and-vlans-" + peer, types_and_vlans, bed.DRV, peer)
    if bed.DRV == "net_vring":
        report.case("telemetry-of-%d-pairs" % PAIRS, telemetry)
    report.case("hot-plug-%d-times" % CYCLES, hot_plug)
    report.case("%d-ports" % MAX_PORTS, many_ports)
