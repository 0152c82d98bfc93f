# SPDX-License-Identifier: BSD-3-Clause
"""Plans in which frames go from a NIC through a back-end to a front-end, and all the way back."""

import copy
import glob
import re
import socket

import bed
import pcap
import user
from bed import check
from case import BACK, FRONT, Case, Plan
from user import Loop, relaunch, restart, sizes

BOTH = (BACK, FRONT)
LENGTHS = (64, 128, 256, 512, 1024, 1518)
RARP = bytes.fromhex("8035")
FILES = "files of net_pcap for the NIC's"
# how the back-end and the front-end forward
mac, csum, io = ("mac", "mac"), ("csum", "csum"), ("io", "io")


class Pvp(Loop):
    """A loop with a NIC at its outer end, port 1, which is files: what it receives of each queue
    is read from one, what it sends is written to another."""

    # no frame is lost because a ring is full
    RETRY = "set burst tx delay 50 retry 20000"

    def __init__(self, drivers, path, outer="back", forward=mac, **given):
        self.outer, self.forward = outer, dict(zip(("back", "front"), forward))
        super().__init__(drivers, path, **given)

    def nic(self):
        """Devargs of the NIC."""
        return pcap.port(1, *zip(*map(self.files, range(self.queues))))

    @staticmethod
    def files(queue):
        return bed.path("nic-%d.source" % queue), bed.path("nic-%d.sink" % queue)

    def devices(self, end):
        return super().devices(end) + ([self.nic()] if end == self.outer else [])

    def start(self, end, wait=True):
        for queue in range(self.queues if end == self.outer else 0):
            pcap.write(self.files(queue)[0], [])
        super().start(end, wait)

    def go(self):
        """Have both forward."""
        for name in ("front", "back"):
            end = getattr(self, name)
            # start would read the source file to its end and throw that away
            end.cmd("set flush_rx off")
            end.cmd("set fwd %s retry" % self.forward[name])
            end.cmd(self.RETRY)
            end.cmd("start")

    def halt(self):
        for end in (self.front, self.back):
            end.cmd("stop")

    def carry(self, frames):
        """Have the NIC receive frames, a list for each queue; what it sent of each queue."""
        nic = getattr(self, self.outer)
        # files are opened by a start of the port
        nic.cmd("port stop 1")
        for queue, source in enumerate(frames):
            pcap.write(self.files(queue)[0], source)
        nic.cmd("port start 1")
        before, count = nic.stats(1)["opackets"], sum(map(len, frames))
        self.go()
        try:
            bed.wait_for("", lambda: nic.stats(1)["opackets"] >= before + count, 10)
        except bed.Failure:
            pass  # what is missing is for the comparison to say
        self.halt()
        nic.cmd("port stop 1")
        # a front-end that has connected again announces itself, through the back-end
        sent = [[frame for frame in pcap.read(self.files(queue)[1]) if frame[12:14] != RARP]
                for queue in range(self.queues)]
        for queue in range(self.queues):
            pcap.write(self.files(queue)[0], [])  # a step after this one may have it forward
        nic.cmd("port start 1")
        return sent

    def same(self, offered, got):
        """Fail unless got is what was offered, with the addresses that forwarding gives it."""
        heads = {frame[:12] for frame in got}
        if set(self.forward.values()) != {"io"} and got:
            check(len(heads) == 1 and heads != {frame[:12] for frame in offered},
                  "addresses are " + ", ".join(sorted(head.hex() for head in heads)))
            head = heads.pop()
            offered = [head + frame[12:] for frame in offered]
        pcap.compare("back at the NIC", offered, got)


def frames_of(*lengths, count=40):
    """What makes the frames of a queue: so many of each length, random bytes in them."""
    def make(queue):
        return pcap.packets(count * len(lengths), queue, sizes=lengths * count)
    return make


def segments(length, count):
    """The same of TCP segments, frames of one length with right checksums."""
    return lambda queue: pcap.segments([length] * count, seed=queue)


def another(make):
    """A step: frames go all the way, and come back as they were, in their order."""
    def step(pvp):
        offered = [make(queue) for queue in range(pvp.queues)]
        for queue, got in enumerate(pvp.carry(offered)):
            pvp.same(offered[queue], got)
    return step


def stop_and_start(times):
    """A step: the back-end's application stops forwarding, and starts again."""
    def step(pvp):
        pvp.go()
        for _ in range(times):
            pvp.back.cmd("stop")
            pvp.back.cmd("start")
        pvp.halt()
    return step


def shared_pages(kilobytes):
    """A step: what the back-end has mapped of the front-end's memory are pages of this size."""
    def mapped(testpmd):
        with open("/proc/%d/smaps" % testpmd.pid) as smaps:
            return dict(re.findall(
                r"^\S+ \S+ \S+ (\S+ \d+) .*memfd.*\n(?:.*\n)*?KernelPageSize: +(\d+) kB",
                smaps.read(), re.M))

    def step(pvp):
        here, there = mapped(pvp.back), mapped(pvp.front)
        both = {here[file] for file in set(here) & set(there)}
        check(both == {str(kilobytes)}, "memory in common has pages of %s KiB" % (
            ", ".join(sorted(both)) or "no"))
    return step


class Pages(Pvp):
    """A front-end without hugepages."""

    options = {"back": Pvp.options["back"], "front": dict(Pvp.options["front"], huge=False)}
    eal = {"back": Pvp.eal["back"], "front": Pvp.eal["front"][1:]}


class Library(Pvp):
    """Drivers that a back-end loads with -d."""

    name = "pcap"

    def __init__(self, drivers, **given):
        loaded = ["net_" + self.name, "mempool_ring"]
        loaded += [] if drivers.plugin(drivers.back) else ["net_vhost"]
        self.libraries = [glob.glob("/usr/lib/*/dpdk/pmds-*/librte_%s.so" % name)[0]
                          for name in loaded]
        self.eal = copy.copy(self.eal)
        self.eal["back"] = sum((["-d", library] for library in self.libraries), self.eal["back"])
        super().__init__(drivers, **given)

    def loaded(self):
        """A step: they are there, and the plugin only where it is the back-end's driver."""
        with open("/proc/%d/maps" % self.back.pid) as maps:
            files = maps.read()
        ours = self.drivers.plugin(self.drivers.back)
        check((bed.PLUGIN in files) == ours, "the plugin is %sloaded" % ("not " if ours else ""))
        for library in self.libraries:
            check(library in files, library + " is not loaded")


class TapLibrary(Library):
    """The NIC is a tap of the kernel, whose other end is here."""

    name = "tap"

    def nic(self):
        return "net_tap1,iface=dts0"

    def carry(self, frames):
        """See Pvp."""
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind(("dts0", 3))  # ETH_P_ALL
            wire.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
            wire.settimeout(0.1)
            self.go()
            for frame in frames[0]:
                wire.send(frame)
            got = []

            def complete():
                try:
                    frame, address = wire.recvfrom(65536)
                except socket.timeout:
                    return False
                if address[1] == pcap.ETHERTYPE and address[2] != socket.PACKET_OUTGOING:
                    got.append(frame)
                return len(got) == len(frames[0])
            bed.wait_for("%d frames back at the tap" % len(frames[0]), complete, every=0)
            self.halt()
        return [got]


class RingLibrary(Library):
    """The NIC is a ring, which gives back all that it is sent."""

    name = "ring"

    def nic(self):
        return "net_ring1"


def round_and_round(pvp):
    """A step: packets of the back-end's own pass both its ports many times."""
    for end in (pvp.front, pvp.back):
        end.cmd("set fwd mac")
    pvp.front.cmd("start")
    pvp.back.cmd("start tx_first")
    for port in (0, 1):
        bed.wait_for("1000 packets at port %d" % port,
                     lambda: pvp.back.stats(port)["ipackets"] > 1000)
    pvp.halt()


def each(order, asks, steps, stands_in=FILES, **given):
    """A case for each path; asks: what, with the path's name in it."""
    return [Case(number, asks % way.name, Pvp, steps, BOTH, stands_in, path=way, **given)
            for number, way in enumerate(order, 1)]


PERFORMANCE = (user.PACKED, user.PACKED_PLAIN, user.SPLIT_ORDER, user.SPLIT_ORDER_PLAIN,
               user.SPLIT, user.SPLIT_STRIP, user.SPLIT_VECTOR, user.PACKED_ORDER,
               user.PACKED_LRO, user.PACKED_VECTOR)
# net_pcap, which is the front-end's as well there, has no VLAN stripping
AT_FRONT = PERFORMANCE[:5] + (user.SPLIT_PLAIN, user.SPLIT_VECTOR, user.PACKED_ORDER,
                              user.PACKED_ORDER_PLAIN, user.PACKED_VECTOR)
SINGLE = PERFORMANCE[:8] + (user.PACKED_ORDER_PLAIN, user.PACKED_VECTOR)
# an odd number of entries where the ring is packed
RESTART = tuple(way.sized(255 if way.packed else 256) for way in (
    user.PACKED, user.PACKED_PLAIN, user.SPLIT_ORDER, user.SPLIT_ORDER_PLAIN, user.SPLIT,
    user.SPLIT_STRIP, user.SPLIT_VECTOR, user.PACKED_ORDER, user.PACKED_LRO,
    user.PACKED_VECTOR))
ALL = another(frames_of(*LENGTHS))
FEW = another(frames_of(*LENGTHS, count=20))

SMOKE = Plan("virtio_smoke", [
    Case(1, "split ring, in order, mergeable: a back-end with 2 of 8 queues, killed, another with "
         "all 8", Loop, [sizes(64), relaunch("back", application=None), sizes(64),
                         sizes(64, burst=1)],
         BOTH, path=user.SPLIT_ORDER.sized(256), queues=8, application=2, server=True),
    Case(2, "packed ring, vector code: frames of 64 and 1518 bytes from a NIC and back to it",
         Pvp, [another(frames_of(64, 1518))], BOTH, FILES, path=user.PACKED_VECTOR)], daily=(1,))

PLANS = [
    Plan("pvp_multi_paths_performance", each(
        PERFORMANCE, "%s: frames of 64 to 1518 bytes from a NIC and back to it", [ALL]),
        daily=(7,)),
    Plan("pvp_multi_paths_vhost_single_core_performance", each(
        AT_FRONT, "%s: the NIC is the front-end's, which forwards as it is", [ALL], outer="front",
        forward=("mac", "io")), daily=(8,)),
    Plan("pvp_multi_paths_virtio_single_core_performance", each(
        SINGLE, "%s: the back-end forwards as it is", [ALL], forward=("io", "mac")),
        daily=(2,)),
    Plan("pvp_virtio_user_multi_queues_port_restart", each(
        RESTART[:1], "%s, 100 restarts: each of 2 queues passes frames",
        [FEW, stop_and_start(100), FEW, restart("back"), FEW], queues=2) + [
            Case(number, "%s: each of 2 queues passes frames, also after a restart" % way.name,
                 Pvp, [FEW, stop_and_start(1), FEW, restart("back"), FEW], BOTH, FILES, path=way,
                 queues=2)
            for number, way in enumerate(RESTART[1:], 2)], daily=(9,)),
    Plan("pvp_share_lib", [
        Case(1, "the back-end and a NIC of one kind, loaded with -d", Library,
             [Library.loaded, ALL], stands_in="net_pcap for the NIC", path=user.SPLIT),
        Case(2, "the back-end and a NIC of another kind, loaded with -d", TapLibrary,
             [Library.loaded, another(frames_of(*LENGTHS[:-1], 1514))],
             stands_in="net_tap for the NIC", path=user.SPLIT),
        Case(3, "the back-end and a NIC of a third kind, loaded with -d", RingLibrary,
             [Library.loaded, round_and_round], stands_in="net_ring for the NIC",
             path=user.SPLIT)], daily=(1,)),
    Plan("pvp_virtio_user_2M_hugepages", [
        Case(number, "%s; memory in pages of 2 MiB: frames of 64 to 1518 bytes" % way.name, Pvp,
             [shared_pages(2048), ALL], BOTH, FILES, path=way)
        for number, way in enumerate((user.SPLIT, user.PACKED), 1)], daily=(1,)),
    Plan("pvp_virtio_user_4k_pages", [
        Case(number, "%s; memory in pages of 4 KiB: frames of 64 to 1518 bytes" % way.name, Pages,
             [shared_pages(4), ALL], BOTH, FILES, path=way)
        for number, way in enumerate((user.SPLIT, user.PACKED), 1)], daily=(2,)),
]
