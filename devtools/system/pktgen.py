# SPDX-License-Identifier: BSD-3-Clause
"""Pktgen on ports of either role: it starts, counts are exact, and what the guide tells to type is
typed. Pktgen is no package: its source is that in PKTGEN_DIR of the environment or in
.cache/pktgen.
"""

import os
import re
import subprocess
import time

import bed
import docs
from bed import check, path

SOURCE = os.environ.get("PKTGEN_DIR", os.path.join(bed.CACHE, "pktgen"))
PROGRAM = os.path.join(SOURCE, "build/app/pktgen")
HOWTO = "doc/guides/howto/pktgen.rst"
SENT = (3000, 2000)


class Pktgen(bed.Testpmd):
    """Like a testpmd, it reads commands and has telemetry. It draws on its screen all the time."""

    def __init__(self, vdevs, args=(), ports="0", shared=False):
        bed.Testpmd.count += 1
        self.prefix = "%s-%d" % (os.path.basename(bed.RUN), bed.Testpmd.count)
        argv = ["stdbuf", "-oL", PROGRAM, "--lcores", bed.lcores(0), "--no-pci", "--in-memory",
                "-m", "512", "--file-prefix", self.prefix] + bed.plugin_options()
        argv += ["--single-file-segments"] if shared else []
        for device in vdevs:
            argv += ["--vdev", device]
        bed.Process.__init__(  # pylint: disable=super-init-not-called,non-parent-init-called
            self, "pktgen", argv + ["--", "-m", "1.[%s]" % ports if "-" in ports else "1." + ports]
            + list(args), stdin=subprocess.PIPE, env=dict(os.environ, TERM="xterm"))
        bed.wait_for("pktgen", lambda: docs.PKTGEN_PROMPT in self.log() or not self.alive(), 60)
        check(self.alive(), "pktgen ended: " + self.last_line())

    def counts(self, port):
        stats = self.telemetry("/ethdev/stats,%d" % port)
        return stats["ipackets"], stats["opackets"]

    def wait_counts(self, expected):
        """Received and sent packets of each port."""
        have = None

        def all_there():
            nonlocal have
            have = [self.counts(port) for port in range(len(expected))]
            return have == expected
        try:
            bed.wait_for("packets", all_there, 10)
        except bed.Failure:
            pass
        time.sleep(0.3)
        all_there()
        check(have == expected, "received and sent: %s, not %s" % (have, expected))

    def xstat(self, port, name):
        return self.telemetry("/ethdev/xstats,%d" % port)[name]

    def wait_up(self, port):
        bed.wait_for("link of port %d" % port, lambda: self.telemetry(
            "/ethdev/link_status,%d" % port)["status"] == "UP", 10)

    def done(self):
        status = self.quit()
        check(status == 0, "pktgen ended with status %d: %s" % (status, self.last_line()))


def build():
    """As the guide says."""
    for line in lines("Build it"):
        if line.startswith(("meson setup", "ninja")):
            subprocess.run(line.split(), cwd=SOURCE, check=True, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, timeout=900 * bed.PATIENCE)
    check(os.access(PROGRAM, os.X_OK), "no " + PROGRAM)


def lines(title):
    blocks = dict(docs.sections(HOWTO))[title]
    return [line for block in blocks for line in docs.commands(block)]


def both_ways(options):
    """Between two ports of one process, as many as were asked for each way."""
    sock = path("pg")
    pktgen = Pktgen(["net_vring0,iface=" + sock, "net_vring1,path=%s%s" % (sock, options)],
                    ports="0-1", shared=True)
    try:
        for port, count in enumerate(SENT):
            pktgen.wait_up(port)
            pktgen.send("set %d count %d" % (port, count))
            pktgen.send("set %d size %d" % (port, 64 + 700 * port))
        pktgen.send("start all")
        pktgen.wait_counts([(SENT[1], SENT[0]), SENT])
        for port in (0, 1):
            check("<UP-10000-FD>" in pktgen.log(), "no link is shown")
            ended = pktgen.telemetry("/ethdev/stats,%d" % port)
            check(ended["ierrors"] == ended["oerrors"] == 0, "errors: %s" % ended)
            other = SENT[1 - port] * (60 + 700 * (1 - port))
            check(ended["ibytes"] == other, "%d bytes, not %d" % (ended["ibytes"], other))
        pktgen.done()
    finally:
        pktgen.end()


def foreign(ours, theirs, plugin_memory):
    """What goes to a driver of DPDK's own comes back from there."""
    # pktgen leaves its socket behind, which net_vhost would not take over
    sock = path("pg-" + ours)
    pktgen = peer = None
    try:
        def port():
            return Pktgen(["net_vring0,%s=%s" % (ours, sock)], shared=ours == "path")

        def other():
            return bed.Testpmd("peer", [theirs % sock], plugin=False, cpu=1, memory=128,
                               eal=plugin_memory, args=["--forward-mode=macswap", "--auto-start"])
        if ours == "iface":
            pktgen, peer = port(), other()
        else:
            peer = other()
            pktgen = port()
        pktgen.wait_up(0)
        pktgen.send("set 0 count %d" % SENT[0])
        pktgen.send("set 0 rate 1")
        pktgen.send("start 0")
        pktgen.wait_counts([(SENT[0], SENT[0])])
        pktgen.done()
    finally:
        for process in (peer, pktgen):
            if process:
                process.end()


def no_peer():
    """What is sent before there is a peer is dropped and counted, and what is sent then arrives."""
    sock = path("pg")
    pktgen = Pktgen(["net_vring0,iface=" + sock])
    peer = None
    try:
        pktgen.send("set 0 count %d" % SENT[0])
        pktgen.send("start 0")
        bed.wait_count("drops", lambda: pktgen.xstat(0, "tx_q0_no_guest_dropped"), SENT[0])
        check(pktgen.counts(0) == (0, 0), "counted as sent: %s" % (pktgen.counts(0),))
        check("<--Down-->" in pktgen.log(), "the link is not shown to be down")
        peer = bed.Testpmd("peer", ["net_virtio_user0,path=" + sock], plugin=False, cpu=1,
                           memory=64, eal=["--single-file-segments"])
        peer.cmd("set fwd rxonly")
        peer.cmd("start")
        pktgen.wait_up(0)
        pktgen.send("set 0 rate 1")
        pktgen.send("start 0")
        pktgen.wait_counts([(0, SENT[0])])
        check(peer.stats(0)["ipackets"] == SENT[0], "the peer has %s" % peer.stats(0))
        check(pktgen.xstat(0, "tx_q0_no_guest_dropped") == SENT[0], "more was dropped")
        pktgen.done()
    finally:
        for process in (peer, pktgen):
            if process:
                process.end()


def speed():
    """The rate is a share of the speed that the link claims."""
    sock = path("pg")
    pktgen = Pktgen(["net_vring0,iface=%s,speed=40000" % sock,
                     "net_vring1,path=%s,speed=1000" % sock], ports="0-1", shared=True)
    try:
        for port in (0, 1):
            pktgen.wait_up(port)
        bed.wait_for("both speeds on the screen", lambda: {"40000", "1000"} <= set(
            re.findall(r"<UP-(\d+)-FD>", pktgen.log())), 10)
        pktgen.done()
    finally:
        pktgen.end()


def jumbo(role):
    """It sets an MTU, and panics where it cannot."""
    options = "iface" if role == "back-end" else "server=1,path"
    pktgen = Pktgen(["net_vring0,%s=%s" % (options, path("pg"))], args=["-j"])
    try:
        mtu = pktgen.telemetry("/ethdev/info,0")["mtu"]
        check(mtu > 9000, "the MTU is %d" % mtu)
        pktgen.done()
    finally:
        pktgen.end()


def cases():
    """Name, function and arguments of each but the build."""
    found = [("both-ways-split", both_ways, ""), ("both-ways-packed", both_ways, ",packed_vq=1"),
             ("net_virtio_user", foreign, "iface", "net_virtio_user0,path=%s",
              ["--single-file-segments"]),
             ("net_vhost", foreign, "path", "net_vhost0,iface=%s", []),
             ("no-peer", no_peer), ("speed", speed)]
    found += [("jumbo-" + role, jumbo, role) for role in ("back-end", "front-end")]
    found += [("typed-" + re.sub(r"\W+", "-", title.lower()), docs.type_section, blocks)
              for title, blocks in docs.sections(HOWTO) if title != "Build it"]
    return found


def run(report):
    chosen = [case for case in cases() if report.part in case[0]]
    if not chosen and report.part not in "build":
        return
    if not os.path.exists(os.path.join(SOURCE, "app/pktgen.c")):
        report.leave_out("its source is not in %s (PKTGEN_DIR)" % SOURCE)
        return
    if report.part in "build":
        if not report.case("build", build):
            return
    else:
        build()
    os.environ["PKTGEN"] = PROGRAM  # for the wrapper of docs.py
    for case in chosen:
        report.case(*case)
