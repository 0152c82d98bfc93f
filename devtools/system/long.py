# SPDX-License-Identifier: BSD-3-Clause
"""What takes too long for each run of the tests: many moves of a guest under traffic, many kills at
any moment. Each group is run by its name alone (devtools/system/run long-migrate), and says in
figures how it went."""

import os
import random
import re
import signal
import time

import bed
import guests
import kill
import migrate
import migrate_dpdk
import ovs
from bed import check, path

MOVES = int(os.environ.get("MOVES", 20))
KILLS = int(os.environ.get("KILLS", 1000))      # of all cases together
GUEST_KILLS = int(os.environ.get("GUEST_KILLS", 100))
PAUSE = 2       # seconds between two moves
# beside the time for which the guest is still: until the switch has heard, see Fleet
MOST_LOST_S = 0.15
SERVER = "10.0.0.2"


class Fleet(migrate.Migration):
    """The guest that moves is one of two behind Open vSwitch, and sends TCP to the other one."""

    switches = 0

    def switch_on(self):
        Fleet.switches += 1
        # Where an address has gone the switch hears when it looks after its flows, and till then
        # sends to the old port: each 500 ms if nobody asks for more.
        self.switch = ovs.Switch("long%d" % Fleet.switches, ("max-revalidator=100",))
        self.switch.add_bridge("br0")
        for i in (0, 1, 2):
            self.switch.vsctl("add-port", "br0", "p%d" % i, "--", "set", "Interface", "p%d" % i,
                              "type=dpdk", "options:dpdk-devargs=" + bed.vdev(i, self.devargs(i)),
                              "options:n_rxq=%d" % self.queues)
        self.server = bed.Guest("server", [bed.Nic(self.sock(2), "52:54:00:00:00:02")],
                                wait=False)
        self.server.wait_ready()
        self.server.must("ip addr add %s/24 dev eth0 && ip link set eth0 up" % SERVER)
        guests.serve(self.server)

    def switch_off(self):
        self.switch.end()

    def wait_carrier(self):
        bed.wait_for("the other guest", lambda: bed.ping(self.guest, SERVER, 1) == 0, 20, 0.2)

    def begin_stream(self):
        # as much as leaves emulated processors some time
        self.guest.must("(iperf3 -c %s -t 3600 -b 20M -i 1 --forceflush -f m > /tmp/stream 2>&1) &"
                        % SERVER)

    def end_stream(self):
        """Mbit/s of each second."""
        self.guest.must("killall -INT iperf3; sleep 0.5; true")
        said = self.guest.must("cat /tmp/stream")
        rates = [float(rate) for rate in re.findall(r"([\d.]+) Mbits/sec", said)]
        check(rates, "iperf3 said: " + said[-200:])
        return rates

    def close(self):
        if getattr(self, "server", None):
            self.server.end(signal.SIGKILL)
        super().close()


def moves(qemu, device, port, queues):
    fleet = Fleet(qemu, device, port, queues)
    try:
        fleet.begin_stream()
        fleet.begin_pings()
        still = []
        for number in range(MOVES):
            if queues > 1:
                # the number changes while the memory is on its way
                fleet.guest.must("(sleep 0.3; ethtool -L eth0 combined %d) > /dev/null 2>&1 &" %
                                 (1 + number % queues))
            still.append(fleet.move())
            time.sleep(PAUSE)
        time.sleep(2)
        lost, sent = fleet.lost_pings()
        rates = fleet.end_stream()
        print("# %d moves, still for %d to %d ms, %d of %d pings lost, TCP %.0f Mbit/s, none in %d "
              "of %d s" % (MOVES, 1000 * min(still), 1000 * max(still), lost, sent,
                           sum(rates) / len(rates), sum(rate == 0 for rate in rates),
                           len(rates)), flush=True)
        check(fleet.blob_sum() == fleet.sum, "a file in the guest's memory changed")
        # what comes out of a queue that is going is lost as on a wire
        allowed = (sum(still) + MOVES * MOST_LOST_S * bed.PATIENCE) * migrate.PINGS_A_SECOND
        check(lost <= allowed, "%d of %d pings lost, allowed are %d" % (lost, sent, allowed))
        check(any(rates[-3:]), "the stream stands still at the end")
        check(not fleet.switch.complaints(r"\bp[012]\b|net_vring"), "the switch complains")
    finally:
        fleet.close()


def run_moves(report):
    for qemu in (10, 7):
        for name, device, port, queues in (
                ("split", "", "", 1), ("packed", "packed=on", "", 2),
                ("zero-copy", "mrg_rxbuf=off", ",zero-copy=1", 1),
                ("postcopy", "packed=on", ",postcopy-support=1", 1)):
            report.case("qemu%d-%s" % (qemu, name), moves, qemu, device, port, queues)
    for name, *arguments in migrate_dpdk.LONG_CASES:
        report.case("dpdk-" + name, migrate_dpdk.migrates, *arguments, MOVES)


def run_kills(report):
    """At any moment after traffic flows: FRONT=net_virtio_user for DPDK's own front-end, which
    begins and goes on as a server alone."""
    def wait():
        time.sleep(random.uniform(0, 0.1))

    print("# front-end %s" % kill.FRONT, flush=True)
    servers = (False, True) if kill.FRONT == "net_vring" else (True,)
    for server in servers:
        for packed in (0, 1):
            report.case("%s-%s" % ("server" if server else "client",
                                   "packed" if packed else "split"),
                        kill.killed, packed, server,
                        KILLS // 2 // len(servers), wait)


def run_guest_kills(report):
    """Guests under traffic, as in the groups restart-*, but many times."""
    for qemu in (10, 7):
        network = guests.Network(guests.restart_links(), qemu)
        try:
            for number in range(GUEST_KILLS // 2):
                if not report.case("qemu%d-%d" % (qemu, number + 1), guests.killed, network,
                                   list(range(len(network.links)))):
                    break
        finally:
            network.close()
