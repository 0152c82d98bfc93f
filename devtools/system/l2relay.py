# SPDX-License-Identifier: BSD-3-Clause
"""The example l2relay between two front-ends of DPDK: each frame comes through or is counted."""

import os
import re
import shutil
import signal

import bed
import matrix
import pcap
from bed import check, path

PROGRAM = os.path.join(bed.ROOT, "build/examples/l2relay/l2relay")
RING = 256        # entries of the front-ends' rings
FRAMES = 160      # no ring is full of so many, so that each has to arrive
FLOOD = 20000     # more than the ring and the relay's pool hold together
COUNTED = re.compile(r"^port (\d) to (\d): received (\d+), sent (\d+), dropped (\d+), freed (\d+)$",
                     re.M)


class Relay(bed.Process):
    """The example, with a port each on sockets "left" and "right"."""

    def __init__(self, ports=("left", "right"), **options):
        self.prefix = os.path.basename(bed.RUN) + "-relay"
        argv = [PROGRAM, "--lcores", "0@%d" % bed.CPUS[0], "--no-pci", "--no-huge", "-m", "64",
                "--file-prefix", self.prefix] + bed.plugin_options()
        for number, name in enumerate(ports):
            argv += ["--vdev", bed.vdev(number, "iface=" + path(name))]
        super().__init__("relay", argv, **options)

    def listens(self):
        bed.wait_for("sockets of the relay", lambda: all(
            os.path.exists(path(name)) for name in ("left", "right")))

    def wait_links(self, state="up"):
        def last():
            said = dict(re.findall(r"^port (\d): link (\w+)$", self.log(), re.M))
            return [said.get(port) for port in "01"] == [state, state]
        bed.wait_for("links %s of the relay" % state, last)

    def received(self):
        """Packets of port 0, so far."""
        return bed.Testpmd.telemetry(self, "/ethdev/stats,0")["ipackets"]

    def counted(self, sig=signal.SIGTERM):
        """End it; for each of 0 and 1, what was received there, sent on, dropped and freed."""
        status = self.end(sig)
        check(status == 0, "l2relay ended with status %d: %s" % (status, self.last_line()))
        left = [name for name in ("left", "right") if os.path.exists(path(name))]
        check(not left, "l2relay left the socket " + ", ".join(left))
        lines = COUNTED.findall(self.log())
        check([line[:2] for line in lines] == [("0", "1"), ("1", "0")],
              "l2relay printed no counters: " + self.last_line())
        return [tuple(map(int, line[2:])) for line in lines]

    def end(self, *args, **options):
        status = super().end(*args, **options)
        shutil.rmtree(os.path.join("/run/dpdk", self.prefix), ignore_errors=True)
        return status


def front(name, vdevs=(), args=()):
    return bed.Testpmd(name, ["net_virtio_user0,path=%s,queue_size=%d" % (path(name), RING),
                              *vdevs], args=args, memory=64, cpu=1, plugin=False,
                       eal=["--single-file-segments"])


def equal(what, got, wanted):
    check(got == wanted, "%s: %s instead of %s" % (what, got, wanted))


class Both(matrix.Ends):
    """Two front-ends, with files to send and files of what they received, and the relay."""

    def __init__(self):
        super().__init__()
        self.relay = Relay()
        try:
            self.relay.listens()
            for number, name in enumerate(("left", "right")):
                self.queues[name] = 1
                self.frames[name] = [pcap.packets(FRAMES, seed=number, largest=1518)]
                self.side[name] = front(name, self.files(name))
                self.side[name].wait_link(0)
                self.prepare(name)
            self.relay.wait_links()
        except BaseException:
            self.close()
            raise

    def close(self):
        super().close()
        self.relay.end()


def relayed():
    """Frames of either side reach the other, each byte of them, and the counters say so."""
    both = Both()
    try:
        both.carry("left", "right", FRAMES)
        both.carry("right", "left", FRAMES)
        for source, sink in (("left", "right"), ("right", "left")):
            pcap.compare("%s to %s" % (source, sink), both.frames[source][0],
                         both.received(sink)[0])
            check(both.side[sink].quit() == 0, "testpmd %s did not end well" % sink)
        both.relay.wait_links("down")
        for number, counters in enumerate(both.relay.counted()):
            equal("from port %d" % number, counters, (FRAMES, FRAMES, 0, 0))
    finally:
        both.close()


def send(relay, side, least):
    """Have it transmit until so many have left; how many did, all of which the relay has got."""
    side.cmd("start")
    before = side.telemetry("/ethdev/stats,0")["opackets"]
    bed.wait_for("%d frames sent" % least,
                 lambda: side.telemetry("/ethdev/stats,0")["opackets"] - before >= least, 30)
    side.cmd("stop")
    sent = side.stats(0)["opackets"]
    # what is in the ring when its front-end goes is lost
    bed.wait_for("the relay to receive %d" % sent, lambda: relay.received() >= sent)
    return sent


def nobody_there():
    """With no peer on one side its port takes frames and drops them."""
    relay = Relay()
    left = None
    try:
        relay.listens()
        left = front("left", args=["--forward-mode=txonly"])
        left.wait_link(0)
        sent = send(relay, left, FLOOD)
        left.quit()
        equal("from port 0", relay.counted(), [(sent, 0, sent, 0), (0, 0, 0, 0)])
    finally:
        for process in filter(None, (left, relay)):
            process.end()


def peer_sleeps():
    """A peer that does not empty its ring costs its own frames, and no mbuf."""
    relay = Relay()
    sides = []
    try:
        relay.listens()
        for name, mode in (("left", "txonly"), ("right", "rxonly")):
            sides.append(front(name, args=["--forward-mode=" + mode]))
            sides[-1].wait_link(0)
        left, right = sides
        relay.wait_links()
        sent = send(relay, left, FLOOD)
        equal("while it sleeps", right.stats(0)["ipackets"], 0)
        right.cmd("start")
        bed.wait_for("what the ring had", lambda: right.stats(0)["ipackets"] >= RING // 2)
        had = right.stats(0)["ipackets"]
        check(had <= RING, "%d frames came out of a ring of %d" % (had, RING))
        sent = send(relay, left, 1000)
        bed.wait_for("frames after that", lambda: right.stats(0)["ipackets"] > had)
        right.cmd("stop")
        arrived = right.stats(0)["ipackets"]
        for side in (left, right):
            check(side.quit() == 0, "testpmd %s did not end well" % side.name)
        (received, passed, dropped, freed), back = relay.counted()
        equal("received", received, sent)
        equal("sent, dropped and freed", passed + dropped + freed, received)
        check(freed > FLOOD - 2 * RING, "only %d of %d were freed" % (freed, sent))
        check(passed >= arrived, "%d were sent, %d arrived" % (passed, arrived))
        equal("the other way", back, (0, 0, 0, 0))
    finally:
        for process in sides + [relay]:
            process.end()


def ends(sig):
    relay = Relay()
    try:
        relay.listens()
        equal("counters", relay.counted(sig), [(0, 0, 0, 0), (0, 0, 0, 0)])
    finally:
        relay.end()


def one_port():
    """What it is started without is said."""
    relay = Relay(("left",))
    try:
        relay.child.wait(10)
        check(relay.child.returncode == 1, "status %d" % relay.child.returncode)
        check("--vdev twice" in relay.log(), "it says " + relay.last_line())
    finally:
        relay.end()


def run(report):
    check(os.path.exists(PROGRAM), "no %s: devtools/build makes it" % PROGRAM)
    report.case("relayed", relayed)
    report.case("nobody-there", nobody_there)
    report.case("peer-sleeps", peer_sleeps)
    report.case("sigint", ends, signal.SIGINT)
    report.case("sigterm", ends, signal.SIGTERM)
    report.case("one-port", one_port)
