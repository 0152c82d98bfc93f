# SPDX-License-Identifier: BSD-3-Clause
"""The port as a front-end (path=) against DPDK's net_vhost and against a port of our own: every
ring layout and mode, every byte of every frame compared, every frame and mbuf accounted."""

import itertools
import os
import struct

import bed
import matrix
import pcap
from bed import check

# a stand-in of DPDK's own for the front-end needs no plugin
FRONT = os.environ.get("FRONT", "net_vring")
GROWTH = 64         # MiB
PEERS = ("net_vhost", "net_vring")


class Mode(matrix.Mode):
    """A combination, and who is at the other end."""

    front_driver = FRONT

    def __init__(self, peer, *args, **options):
        super().__init__(*args, **options)
        self.back_driver = peer

    def name(self):
        return "%s-%s" % (self.back_driver[4:], super().name())


def all_modes(peer):
    """As many as DPDK has, the hint for vector code always where the others allow it."""
    for mode in matrix.modes():
        yield Mode(peer, mode.packed, mode.mrg, mode.in_order, mode.vectorized, mode.queues,
                   mode.server)


def some_modes(peer):
    """Every layout; queues, roles and the hint in turn."""
    layouts = list(itertools.product((0, 1), (1, 0), (0, 1)))
    for number, (packed, mrg, in_order) in enumerate(layouts):
        yield Mode(peer, packed, mrg, in_order, number % 3 == 0, (1, 4)[number % 2],
                   number // 2 % 2 == 0)
    for number, (packed, mrg, in_order) in enumerate(layouts[::2]):
        yield Mode(peer, packed, mrg, in_order, 0, 4, number % 2 == 1)


def checksum(data):
    """Internet checksum, RFC 1071, not complemented."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(">%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def segment(number, size, tcp_checksum=None):
    """A TCP segment of so many bytes. Its checksum is right, or that of the pseudo header only."""
    payload = pcap.packets(1, number, seed=3, sizes=[size - 54 + 20], largest=65535)[0][20:]
    addresses = bytes([10, 0, 0, 1, 10, 0, 0, 2])
    tcp = struct.pack(">HHIIBBHHH", 1000 + number, 80, number, 0, 5 << 4, 0x10, 512, 0, 0)
    pseudo = addresses + struct.pack(">BBH", 0, 6, len(tcp) + len(payload))
    if tcp_checksum is None:
        value = checksum(pseudo + tcp + payload) ^ 0xffff
    else:
        value = checksum(pseudo)
    tcp = tcp[:16] + struct.pack(">H", value) + tcp[18:]
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 40 + len(payload), number, 0, 64, 6, 0) + addresses
    ip = ip[:10] + struct.pack(">H", checksum(ip) ^ 0xffff) + ip[12:]
    return bytes.fromhex("5254000000225254000000110800") + ip + tcp + payload


def segmentation(peer, packed):
    """Large segments that the application asks to be cut come to an end that takes them whole."""
    sizes = [100, 1514, 1515, 3000, 8192, 9000, 16000] * 4
    mode = Mode(peer, packed)
    frames = [segment(number, size) for number, size in enumerate(sizes)]
    pair = matrix.Pair(mode, frames=[frames], back_options=",tso=1")
    try:
        front = pair.side["fe"]
        front.cmd("port stop 0")
        for command in ("port config 0 tx_offload tcp_tso on",
                        "port config 0 tx_offload tcp_cksum on", "csum set tcp hw 0",
                        "csum set ip sw 0", "csum mac-swap off 0", "tso set 1400 0"):
            said = front.cmd(command)
            check("rror" not in said and "Bad" not in said, "%s: %s" % (command, said))
        front.cmd("port start 0")
        front.wait_link(0)
        front.cmd("set fwd csum")
        pair.carry("fe", "be", len(frames))
        got = pair.received("be")[0]
        check(len(got) == len(frames), "%d of %d segments arrived" % (len(got), len(frames)))
        for number, (frame, size) in enumerate(zip(got, sizes)):
            wanted = (segment(number, size), segment(number, size, "partial"))
            check(frame in wanted, "segment %d of %d bytes came as other %d bytes" % (
                number, size, len(frame)))
    finally:
        pair.close()


def grows(peer):
    """The heap grows and shrinks while packets go round: the back-end can follow."""
    sock = bed.path("grow")
    back = front = None
    try:
        back = bed.Testpmd("be", ["%s0,iface=%s" % (peer, sock)], cpu=0, memory=64,
                           eal=matrix.QUIET)
        front = bed.Testpmd("fe", ["%s0,path=%s" % (FRONT, sock)], cpu=1, memory=64,
                            plugin=FRONT == "net_vring", eal=["--single-file-segments"],
                            args=["--noisy-lkup-memory=%d" % GROWTH, "--forward-mode=noisy"])

        def mapped():
            return front.telemetry("/net_vring/memory,0")["bytes"]

        def received():
            return back.telemetry("/ethdev/stats,0")["ipackets"]

        def flows():
            before = received()
            bed.wait_for("traffic", lambda: received() > before + 64, 5)
        front.wait_link(0)
        back.wait_link(0)
        back.cmd("set fwd flowgen")
        back.cmd("start")
        before = mapped()
        for _ in range(3):
            front.cmd("start", 30)
            flows()
            during = mapped()
            front.cmd("stop", 30)
            check(during >= before + (GROWTH << 20), "%d bytes are known to the back-end, %d when "
                  "there were %d MiB more" % (before, during, GROWTH))
            check(mapped() == before, "%d bytes are known to the back-end after that, %d before"
                  % (mapped(), before))
        check(front.telemetry("/net_vring/status,0")["disconnects"] == 0, "it was reconnected")
    finally:
        for end in (front, back):
            if end:
                end.quit()


def run(report):
    for mode in itertools.chain(all_modes("net_vhost"), some_modes("net_vring")):
        report.case(mode.name(), matrix.one_mode, mode)
    for peer in PEERS:
        report.case("memory-grows-" + peer[4:], grows, peer)
        for packed in (0, 1):
            name = peer[4:] + ("-packed" if packed else "-split")
            # frames of 9000 bytes are among those
            report.case("65535-" + name, matrix.large, Mode(peer, packed), 65535,
                        ",tso=1" if peer == "net_vring" else "")
            report.case("tso-" + name, segmentation, peer, packed)
