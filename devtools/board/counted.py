# SPDX-License-Identifier: BSD-3-Clause
"""Plans about a back-end's counters, and about as many ports as DPDK can have."""

import os

import bed
import matrix
import user
from bed import check, path
from case import Case, Drivers, Plan
from pvp_user import FILES, Pvp, io

COUNT = 10000       # packets of each length and each kind, over all queues
LENGTHS = {64: "size_64", 128: "size_128_255", 255: "size_128_255", 512: "size_512_1023",
           1024: "size_1024_1518", 1523: "size_1519_max"}
KINDS = {"broadcast": "ffffffffffff", "multicast": "01005e000001", "unicast": "525400000011"}
SIZES = ("size_64", "size_65_127", "size_128_255", "size_256_511", "size_512_1023",
         "size_1024_1518", "size_1519_max")


def kinds_of(xstats):
    """Add what net_vring leaves to be subtracted."""
    for start in {name[:6] for name in xstats if name[3:5] in ("q0", "q1")}:
        packets = xstats[start + "packets"]
        xstats.setdefault(start + "unicast_packets", packets - sum(
            xstats[start + kind + "_packets"] for kind in ("multicast", "broadcast")))
    return xstats


def exact(frames, expected):
    """A step: `frames` in equal parts go to each queue and come back, and both directions of each
    queue count them. expected: of each counter, all others of its kind stand still."""
    def step(pvp):
        share = [frame for frame in frames for _ in range(COUNT // pvp.queues)]
        before = kinds_of(pvp.back.xstats(0))
        arrived = pvp.carry([share] * pvp.queues)
        check([len(got) for got in arrived] == [len(share)] * pvp.queues, "%s of %d came back" % (
            ", ".join(str(len(got)) for got in arrived), len(share)))
        now = kinds_of(pvp.back.xstats(0))
        for queue in range(pvp.queues):
            for way in ("rx", "tx"):
                for name in SIZES + tuple(KINDS):
                    full = "%s_q%d_%s_packets" % (way, queue, name)
                    wanted = expected.get(name, 0) // pvp.queues
                    check(now[full] - before[full] == wanted, "%s has grown by %d, not by %d" % (
                        full, now[full] - before[full], wanted))
    return step


def frame(length, destination=KINDS["unicast"]):
    return bytes.fromhex(destination + "525400000022" + "88b5") + bytes(length - 14)


def all_lengths():
    expected = {"unicast": COUNT * len(LENGTHS)}
    for name in LENGTHS.values():
        expected[name] = expected.get(name, 0) + COUNT
    return exact([frame(length) for length in LENGTHS], expected)


def all_kinds():
    return exact([frame(64, destination) for destination in KINDS.values()],
                 dict(dict.fromkeys(KINDS, COUNT), size_64=COUNT * len(KINDS)))


# rings of the length that net_virtio_user has by itself
PATHS = tuple(way.sized(256) for way in (
    user.SPLIT_ORDER, user.SPLIT_ORDER_PLAIN, user.SPLIT, user.SPLIT_STRIP, user.SPLIT_VECTOR,
    user.PACKED_ORDER, user.PACKED_LRO, user.PACKED, user.PACKED_PLAIN, user.PACKED_VECTOR)) + (
        user.PACKED_VECTOR.sized(255),)
LONG = 8    # the case that asks for ten minutes


def xstats_case(number, way):
    steps, stands_in = [all_lengths(), all_kinds()], FILES
    if number == LONG:
        steps += [all_lengths()] * 3
        stands_in += ", 180,000 more packets for ten minutes"
    return Case(number, "%s of %d entries: size classes, unicasts, multicasts and broadcasts "
                "exact on each of 2 queues and in both directions" % (way.name, way.ring), Pvp,
                steps, stands_in=stands_in, path=way, queues=2, forward=io)


class Ports:
    """A back-end with as many ports as DPDK has room for, and a front-end with a port for each."""

    MOST = 32   # RTE_MAX_ETHPORTS

    def __init__(self, drivers):
        self.drivers, self.ends = drivers, []
        try:
            self.back = self.start("back", [
                "%s%d,iface=%s" % (drivers.back, number, self.sock(number))
                for number in range(self.MOST)], drivers.back, 0, matrix.QUIET)
            self.front = self.start("front", [
                "%s%d,path=%s,queue_size=64" % (drivers.front, number, self.sock(number))
                for number in range(self.MOST)], drivers.front, 1, user.Loop.eal["front"])
        except BaseException:
            self.close(True)
            raise

    @staticmethod
    def sock(number):
        return path("port%d" % number)

    def start(self, name, devices, driver, cpu, eal):
        testpmd = bed.Testpmd(name, devices, plugin=Drivers.plugin(driver), cpu=cpu, eal=eal,
                              args=["--rxd=64", "--txd=64", "--port-topology=loop"], mbufs=8192)
        self.ends.append(testpmd)
        return testpmd

    def pass_packets(self):
        """A step: packets go round on every port."""
        for number in range(self.MOST):
            self.back.wait_link(number)
        self.front.cmd("start")
        self.back.cmd("start tx_first")
        for number in range(self.MOST):
            bed.wait_for("1000 packets at port %d" % number,
                         lambda: self.back.stats(number)["ipackets"] > 1000)
        self.back.cmd("stop")
        self.front.cmd("stop")

    def one_more(self):
        """A step: another port is refused, and leaves no socket."""
        said = self.back.cmd("port attach %s%d,iface=%s" % (
            self.drivers.back, self.MOST, self.sock(self.MOST)))
        check("attached. Now total ports" not in said, "a port more than there is room for")
        check(not os.path.exists(self.sock(self.MOST)), "it left a socket")

    def close(self, failed):  # pylint: disable=unused-argument
        for end in reversed(self.ends):
            end.quit()


PORTS = Plan("vhost_1024_ethports", [
    Case(1, "as many ports as there can be, packets on each; one more is refused", Ports,
         [Ports.pass_packets, Ports.one_more, Ports.pass_packets],
         stands_in="32 ports, as this DPDK is built")], daily=(1,))
XSTATS = Plan("vhost_pmd_xstats", [xstats_case(number, way)
                                   for number, way in enumerate(PATHS, 1)], daily=(6,))
