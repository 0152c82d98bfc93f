# SPDX-License-Identifier: BSD-3-Clause
"""Guests that keep running while the port behind them becomes another: another driver, or the same
with other arguments."""

import bed
import guests
from bed import check

PLAIN = guests.Link("connects")
LISTENS = guests.Link("listens", listens=True)

# name, arguments of net_vring or None for net_vhost
MOVES = (
    ("to-net_vring", ""),
    ("back-to-net_vhost", None),
    ("to-tso", ",tso=1"),
    ("to-no-tso", ""),
    ("to-no-csum", ",csum=0"),
    ("to-zero-copy", ",zero-copy=1"),
    ("to-mtu-9000", ",mtu=9000"),
)


class Network(guests.Network):
    """The guests boot behind net_vhost, which offers most."""

    arguments = None

    def start_switch(self):
        ports = []
        for i, link in enumerate(self.links):
            for end in (0, 1):
                port = "iface=%s,queues=1%s" % (self.sock(i, end),
                                                ",client=1" if link.listens else "")
                ports.append("net_vhost%d,%s" % (2 * i + end, port)
                             if self.arguments is None else
                             bed.vdev(2 * i + end, port + self.arguments))
        self.switch = bed.Testpmd("switch", ports, args=["--auto-start"], memory=128, mbufs=8192)

    def reach(self):
        """Once the guest has its link again nothing is lost, and TCP moves both ways."""
        for i in range(len(self.links)):
            there = self.address(i, 1)
            self.a.must("for i in 1 2 3 4 5 6 7 8 9 10; do ping -c 1 -W 1 %s && exit; done; exit 1"
                        % there, 30)
            lost = bed.ping(self.a, there, 20, 0.05)
            check(lost == 0, "%s: %d of 20 pings lost" % (self.links[i].name, lost))
            self.a.must("ping -q -c 2 -i 0.1 -s 16000 %s" % there)
            guests.flows(self.a, there)
            guests.flows(self.a, there, "-R")

    def move(self, arguments):
        self.switch.quit()
        self.arguments = arguments
        self.start_switch()
        for port in range(2 * len(self.links)):
            self.switch.wait_link(port)
        self.reach()


def run(report):
    for qemu, links, moves in ((10, [PLAIN, LISTENS], MOVES),
                               (7, [PLAIN, LISTENS], MOVES[:2])):
        network = Network(links, qemu)
        try:
            report.case("qemu%d-boot" % qemu, network.reach)
            for name, arguments in moves:
                report.case("qemu%d-%s" % (qemu, name), network.move, arguments)
        finally:
            network.close()
