# SPDX-License-Identifier: BSD-3-Clause
"""Plan in which DPDK in a guest bonds three of its four cards."""

import time

import bed
import pcap
from bed import check
from cards import PATHS, Machines, forward, must, settle, through
from case import Case, Plan

CARD = PATHS["1.0", "mergeable"]
LINKS, ALONE, BOND = (0, 1, 2), 3, 4        # ports of the guest; as many of the host's serve them
EACH = 40           # frames of each length
LENGTHS = (64, 512, 1518)
ROUND_ROBIN, ACTIVE_BACKUP, XOR, BROADCAST, LACP, TLB, ALB = range(7)
STANDS_IN = "net_pcap for NICs; for 802.3ad a bond of the host's testpmd as partner"


def bond(pmd, mode, port):
    """A bond of the three links, as this port of testpmd."""
    said = pmd.cmd("create bonded device %d 0" % mode)
    check("(port %d)" % port in said, "no bond: " + said)
    for command in ["add bonding slave %d %d" % (link, port) for link in LINKS] + [
            "port start %d" % port]:
        must(pmd, command)


class Bonded:
    """A guest with four cards, a NIC of the host for each, and testpmd in it while a step has use
    for it."""

    finish = staticmethod(Machines.finish)

    def __init__(self, drivers):
        self.machines = Machines.of(drivers, cards=(CARD.card,) * 4, nics=4, listen=True)
        self.nics = self.machines.nics
        self.frames = [pcap.packets(EACH * len(LENGTHS), nic, sizes=list(LENGTHS) * EACH)
                       for nic in range(4)]
        self.pmd = None

    @property
    def host(self):
        return self.machines.host

    def enter(self, mode):
        """A bond of this mode in the guest; what comes by it goes out of the other card, and the
        other way."""
        self.pmd = self.machines.testpmd(0, CARD, ["--rxd=256", "--txd=256",
                                                   "--port-topology=chained"], slots=range(4))
        bond(self.pmd, mode, BOND)
        forward(self.pmd, "mac", [ALONE, BOND])
        for port in range(4):
            self.host.wait_link(port)
        self.pmd.wait_link(BOND)

    def leave(self):
        self.pmd.quit()
        self.pmd = None

    def send(self, sources, ports, expected):
        """What goes out of each NIC when frames come in at those with the ports `sources`.

        ports: pairs, between which the host's testpmd forwards; expected: so many go out in all.
        """
        for nic in self.nics:
            nic.load(self.host, [self.frames[nic.port - 4]] if nic.port in sources else [[]])

        def out():
            return [self.host.stats(nic.port)["opackets"] for nic in self.nics]
        before = out()
        forward(self.host, "mac", ports)
        try:
            bed.wait_for("", lambda: sum(out()) - sum(before) >= expected, 5)
        except bed.Failure:
            pass    # what is missing is for the comparison to say
        settle(out, 0.1)
        self.host.cmd("stop")
        return [nic.received(self.host)[0] for nic in self.nics]

    def sent(self, nic, out):
        """Frames of a NIC as they go out of another."""
        return through(self.host, self.nics[out].port, self.frames[nic])

    def close(self, failed):
        if failed:
            Machines.finish()


def same(what, sent, got):
    """The same frames, in whatever order: links overtake each other."""
    check(sorted(got) == sorted(sent), "%s: %d of %d frames arrived%s" % (
        what, len(got), len(sent), "" if set(got) <= set(sent) else ", some altered"))


def body(frames):
    return [frame[12:] for frame in frames]


def out_of_bond(bonded, mode, got):
    """What came in at the lone card has left by the links that the mode names."""
    if mode == BROADCAST:
        for link in LINKS:
            same("link %d" % link, bonded.sent(ALONE, link), got[link])
        return
    same("links together", body(bonded.frames[ALONE]), body(sum((got[i] for i in LINKS), [])))
    count = [len(got[link]) for link in LINKS]
    if mode == ROUND_ROBIN:
        check(max(count) - min(count) <= 1, "links in turn carried %s frames" % count)
    if mode == ACTIVE_BACKUP:
        check(count[1:] == [0, 0], "the active link and two others carried %s frames" % count)


def mode_works(mode):
    """A step: frames go through a bond of this mode, out of it and into it. Two modes take what
    comes by the active link, and nothing by others."""
    def step(bonded):
        bonded.enter(mode)
        nics = [nic.port for nic in bonded.nics]
        ports = [port for pair in zip(range(4), nics) for port in pair]
        count = len(bonded.frames[ALONE])
        got = bonded.send([nics[ALONE]], ports, count * (3 if mode == BROADCAST else 1))
        out_of_bond(bonded, mode, got)
        heard = LINKS[:1] if mode in (ACTIVE_BACKUP, TLB) else LINKS
        got = bonded.send([nics[link] for link in LINKS], ports, len(heard) * count)
        same("into the bond", body(sum((bonded.frames[link] for link in heard), [])),
             body(got[ALONE]))
        bonded.leave()
    return step


def aggregates(bonded):
    """A step: the mode that needs a partner has one in the host; frames go between the bonds."""
    host, partner = bonded.host, len(bonded.nics) + 4
    nics = [nic.port for nic in bonded.nics]
    ports = [partner, nics[0], ALONE, nics[ALONE]]

    def agreed():
        # testpmd calls a bond, which then sends its LACPDUs, when it has packets for it
        for nic in (0, ALONE):
            bonded.nics[nic].load(host, [bonded.frames[nic]])
        forward(host, "mac", ports)
        time.sleep(1)
        host.cmd("stop")
        return all(pmd.cmd("show bonding lacp info %d" % port).count("DISTRIBUTING") >= 6
                   for pmd, port in ((host, partner), (bonded.pmd, BOND)))

    bond(host, LACP, partner)
    bonded.enter(LACP)
    host.wait_link(partner)
    bed.wait_for("agreement on three links, there and here", agreed, 30)
    bonded.send([], ports, 0)   # what is still on its way
    for source, sink in ((ALONE, 0), (0, ALONE)):
        got = bonded.send([nics[source]], ports, len(bonded.frames[source]))
        same("from card %d to %d" % (source, sink), bonded.sent(source, sink), got[sink])
    bonded.leave()
    host.quit()
    bonded.machines.host_on()


PLANS = [
    Plan("pvp_virtio_bonding", [
        Case(1, "three cards of a guest bonded in its DPDK, round robin: all frames pass, by each "
             "link in turn", Bonded, [mode_works(ROUND_ROBIN)], stands_in="net_pcap for NICs"),
        Case(2, "bonds of the modes 1 to 6: all frames pass, by the links that the mode names",
             Bonded, [mode_works(mode) for mode in (ACTIVE_BACKUP, XOR, BROADCAST)] +
             [aggregates] + [mode_works(mode) for mode in (TLB, ALB)], stands_in=STANDS_IN),
    ], daily=(1,)),
]
