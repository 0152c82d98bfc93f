# SPDX-License-Identifier: BSD-3-Clause
"""Plan in which the DPDK of one guest sends to that of another, through the host's testpmd."""

import base64
import re

import bed
import matrix
import pcap
from bed import check
from cards import CARDS, PATHS, Machines, address, forward, must, settle
from case import Case, Plan

TAKES, SENDS = 0, 1         # guests
TEN = {"jumbo": pcap.packets(10, 0, seed=3, sizes=[8000] * 10),
       "small": pcap.packets(10, 0, seed=4, sizes=[64] * 10)}
SINK = "/tmp/sink.pcap"
AT_LEAST = 2000
# not all ports of a guest have scatter, so that no argument of its testpmd turns it on
JUMBO = ["port stop 0", "port config 0 rx_offload scatter on", "port start 0",
         "port config mtu 0 9000"]


def files():
    """The frames as files of the guests."""
    data = []
    for name, frames in TEN.items():
        pcap.write(bed.path(name), frames)
        with open(bed.path(name), "rb") as file:
            data.append(("/%s.pcap" % name, file.read()))
    return tuple(data)


class Two:
    """Two guests with cards of each kind; a testpmd is in each while a step has use for it."""

    finish = staticmethod(Machines.finish)

    def __init__(self, drivers, path):
        self.path = path
        self.machines = Machines.of(drivers, qemus=(10, 10), cards=tuple(CARDS), nics=0,
                                    data=files())
        self.host = self.machines.host
        self.ports = [self.machines.port(number, path.card) for number in (TAKES, SENDS)]
        self.pmds = [None, None]

    def enter(self, *arguments):
        """testpmd in each guest, with these keyword arguments; the host's passes packets on."""
        for number, given in enumerate(arguments):
            given.setdefault("args", []).extend(["--rxd=1024", "--txd=1024"])
            self.pmds[number] = self.machines.testpmd(number, self.path, **given)
        for port in self.ports:
            self.host.wait_link(port)
        self.host.cmd("clear port stats all")
        forward(self.host, "mac", self.ports)

    def leave(self):
        """No testpmd is in the guests; how many packets the host's had to drop."""
        said = self.host.cmd("stop")
        for number, pmd in enumerate(self.pmds):
            if pmd is not None:
                pmd.quit()
                self.pmds[number] = None
        total = said[said.find("Accumulated forward statistics for all ports"):]
        return sum(map(int, re.findall(r"TX-dropped: +(\d+)", total)))

    def close(self, failed):
        if failed:
            Machines.finish()
        else:
            self.leave()


def flood(two):
    """A step: packets of 64 bytes as fast as they go; each that was sent has arrived, or was
    counted where it was dropped."""
    two.enter({"args": ["--auto-start", "--forward-mode=rxonly"]},
              {"args": ["--forward-mode=txonly"]})
    takes, sends = two.pmds
    sends.cmd("set txpkts 64")
    sends.cmd("start tx_first 32")
    bed.wait_for("%d packets in the other guest" % AT_LEAST,
                 lambda: takes.stats(0)["ipackets"] > AT_LEAST, 20)
    sends.cmd("stop")
    got = settle(lambda: takes.stats(0)["ipackets"])
    sent = sends.stats(0)
    check(sent["obytes"] == 64 * sent["opackets"], "packets sent had not 64 bytes")
    check(takes.stats(0)["ibytes"] == 64 * got, "packets that arrived had not 64 bytes")
    here, there = (two.host.stats(two.ports[number]) for number in (SENDS, TAKES))
    dropped = matrix.dropped(two.host.xstats(two.ports[TAKES])) + two.leave()
    counted = [sent["opackets"], here["ipackets"], there["opackets"] + dropped, got + dropped]
    check(counted == counted[:1] * 4, "counted when sent, taken, passed on or dropped, and "
          "arrived or dropped are %s" % counted)


def payload(name, prepare=()):
    """A step: frames of a file arrive in the other guest, every byte the same.

    prepare: commands for the testpmd that takes them.
    """
    def step(two):
        vdevs = pcap.port(0, sinks=[SINK]), pcap.port(0, ["/%s.pcap" % name])
        two.enter(*({"args": ["--forward-mode=io"], "vdevs": [device]}
                    for device in vdevs))
        takes, sends = two.pmds
        port = two.ports[TAKES]
        head = bytes.fromhex("0200000000%02x" % port) + address(two.host, port)
        sent = [head + frame[12:] for frame in TEN[name]]
        for pmd in (takes, sends):
            pmd.cmd("set flush_rx off")
        for command in prepare:
            must(takes, command)
        two.host.wait_link(port)
        for pmd in (takes, sends):
            pmd.cmd("start")
        try:
            bed.wait_for("", lambda: takes.stats(1)["opackets"] >= len(sent), 5)
        except bed.Failure:
            pass    # what is missing is for the comparison to say
        takes.cmd("stop")
        takes.cmd("port stop 1")
        with open(bed.path("sink"), "wb") as file:
            file.write(base64.b64decode(takes.guest.must("base64 -w 0 %s; echo" % SINK, 60)))
        two.leave()
        pcap.compare("%s frames by %s" % (name, two.path.name), sent,
                     pcap.read(bed.path("sink")))
    return step


# in the order of the plan
ORDER = [("0.95", "vector"), ("0.95", "normal"), ("1.0", "vector"), ("1.0", "normal"),
         ("0.95", "mergeable"), ("1.0", "mergeable"), ("1.1", "mergeable"), ("1.1", "normal")]


def case(number, path, kind):
    if kind == "mergeable":
        return Case(number, "%s: ten frames of 8000 bytes in chains and ten of 64 arrive in the "
                    "other guest unchanged" % path.name, Two,
                    [payload("jumbo", JUMBO), payload("small")],
                    stands_in="net_pcap in both guests for dpdk-pdump", path=path)
    return Case(number, "%s: packets of 64 bytes arrive in the other guest, each is counted"
                % path.name, Two, [flood], path=path)


PLANS = [
    Plan("vm2vm_virtio_pmd", [case(number, PATHS[key], key[1])
                              for number, key in enumerate(ORDER, 1)], daily=(7,)),
]
