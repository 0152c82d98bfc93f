# SPDX-License-Identifier: BSD-3-Clause
"""Open vSwitch as the distribution has it, two ports in a bridge of its userspace datapath."""

import os
import re
import signal
import subprocess
import time

import bed
import matrix
import pcap
from bed import check, path

COUNT = 300
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
VSWITCHD = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"


class Switch:
    """The switch as it starts; settings: of its own, beside those that all have."""

    def __init__(self, home, settings=()):
        self.home = path(home)
        os.makedirs(self.home)
        self.db = "unix:%s/db.sock" % self.home
        self.env = dict(os.environ, OVS_RUNDIR=self.home, OVS_LOGDIR=self.home,
                        OVS_DBDIR=self.home, OVS_SYSCONFDIR=self.home)
        self.database = self.switch = None
        try:
            self.start(settings)
        except BaseException:
            self.end()
            raise

    def start(self, settings):
        subprocess.run(["ovsdb-tool", "create", self.home + "/conf.db", SCHEMA], check=True)
        self.database = bed.Process("ovsdb", ["ovsdb-server", self.home + "/conf.db",
                                              "--remote=p" + self.db], env=self.env)
        bed.wait_for("ovsdb-server", lambda: os.path.exists(self.home + "/db.sock"))
        self.vsctl("--no-wait", "init")
        cpu = bed.CPUS[1 % len(bed.CPUS)]
        self.vsctl("--no-wait", "set", "Open_vSwitch", ".", *(
            "other_config:" + setting for setting in (
                "dpdk-init=true", "pmd-cpu-mask=%#x" % (1 << cpu),
                "dpdk-lcore-mask=%#x" % (1 << bed.CPUS[0]), "dpdk-alloc-mem=256",
                "per-port-memory=false", "stats-update-interval=1000",
                "pmd-maxsleep=%d" % (1000 if bed.PATIENCE > 1 else 0),
                # it makes its pool as large as it can, and others need memory as well
                "dpdk-extra=--no-pci --in-memory --socket-limit 640 " +
                " ".join(bed.plugin_options())) + tuple(settings)))
        self.run()

    def run(self):
        """The switch alone, with the database as it is."""
        # a network namespace keeps the taps of the bridge off this machine
        self.switch = bed.Process("vswitchd", [
            "unshare", "-n", VSWITCHD, self.db, "--unixctl=%s/ctl" % self.home,
            "--log-file=" + self.log_file()], env=self.env)

    def log_file(self):
        return path(os.path.basename(self.home) + "-file.log")

    def tool(self, program, options, argv):
        done = subprocess.run([program] + options + list(argv), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, env=self.env, check=False)
        check(done.returncode == 0, "%s %s: %s" % (program, " ".join(argv[:3]), done.stdout))
        return done.stdout.strip()

    def vsctl(self, *argv):
        return self.tool("ovs-vsctl", ["--timeout=30", "--db=" + self.db], argv)

    def appctl(self, *argv):
        return self.tool("ovs-appctl", ["-t", self.home + "/ctl"], argv)

    def add_bridge(self, name):
        self.vsctl("add-br", name, "--", "set", "bridge", name, "datapath_type=netdev")

    def complaints(self, subject):
        """Lines of the log at WARN and above with this in them."""
        with open(self.log_file()) as log:
            return [line.strip() for line in log if re.search(r"\|(WARN|ERR|EMER)\|", line)
                    and re.search(subject, line)]

    def end(self):
        for process in (self.switch, self.database):
            if process:
                process.end()


class Bridge(Switch, matrix.Ends):
    """The switch with ports p0 and p1, and front-ends a and b that come and go."""

    def __init__(self):
        matrix.Ends.__init__(self)
        for number, side in enumerate("ab"):
            self.queues[side] = 1
            self.frames[side] = [pcap.packets(COUNT, number, seed=number, largest=1514)]
        Switch.__init__(self, "ovs")

    def start(self, settings):
        super().start(settings)
        self.add_bridge("br0")
        for number in (0, 1):
            self.add(number)

    def add(self, number, more=""):
        self.vsctl("add-port", "br0", "p%d" % number, "--", "set", "Interface", "p%d" % number,
                   "type=dpdk", "options:dpdk-devargs=%s" % bed.vdev(
                       number, "iface=" + self.sock(number) + more))

    def sock(self, number):
        return path("o%d" % number)

    def get(self, number, column):
        return self.vsctl("get", "Interface", "p%d" % number, column)

    def keys(self, number):
        return sorted(re.findall(r"(\w+)=", self.get(number, "statistics")))

    def wait_state(self, number, state):
        # it looks every five seconds
        bed.wait_for("link_state=%s of p%d" % (state, number),
                     lambda: self.get(number, "link_state") == state, 6, 0.1)

    def front(self, side):
        number = "ab".index(side)
        self.side[side] = bed.Testpmd(
            "front-" + side, ["net_virtio_user0,path=%s,mac=52:54:00:00:00:%d%d,queue_size=1024"
                              % (self.sock(number), number + 1, number + 1)] + self.files(side),
            plugin=False, eal=["--single-file-segments"], cpu=0, memory=64,
            args=["--txd=1024", "--rxd=1024"])
        self.prepare(side)
        self.wait_state(number, "up")

    def statistics(self, number):
        """What the switch shows of a port."""
        return {name: int(value) for name, value in re.findall(
            r"(\w+)=(\d+)", self.get(number, "statistics"))}

    def exchange(self):
        self.carry("a", "b", COUNT)
        self.carry("b", "a", COUNT)
        for source, sink in ("ab", "ba"):
            pcap.compare("%s to %s" % (source, sink), self.frames[source][0],
                         self.received(sink)[0])

    def leave(self, side):
        self.side.pop(side).quit()

    def close(self):
        matrix.Ends.close(self)
        self.end()


def without_peer(bridge):
    check(bridge.vsctl("get", "Open_vSwitch", ".", "dpdk_initialized") == "true",
          "DPDK is not initialised")
    for number in (0, 1):
        check(bridge.get(number, "error") in ("[]", '""'), "p%d: %s" % (
            number, bridge.get(number, "error")))
        check(bridge.get(number, "ofport") not in ("-1", "[]"), "p%d has no ofport" % number)
        bridge.wait_state(number, "down")


def carries(bridge):
    bridge.front("a")
    bridge.front("b")
    bridge.exchange()


def comes_back(bridge):
    """One front-end goes and comes back."""
    bridge.leave("b")
    bridge.wait_state(1, "down")
    bridge.leave("a")
    carries(bridge)


def port_again(bridge):
    """A port is deleted, its socket with it, and added again."""
    bridge.leave("b")
    bridge.leave("a")
    bridge.vsctl("del-port", "br0", "p1")
    bed.wait_for("the socket of p1 gone", lambda: not os.path.exists(bridge.sock(1)), 3)
    bridge.add(1)
    check(bridge.get(1, "error") in ("[]", '""'), bridge.get(1, "error"))
    carries(bridge)


def reasons(bridge):
    """What is sent to a port that has no guest, or one that stands still, the switch shows with its
    reason; what the port has delivered and what it has dropped is what was offered."""
    for side in list(bridge.side):
        bridge.leave(side)
    bridge.vsctl("del-port", "br0", "p1")
    bridge.add(1, ",tx-retries=1")
    bridge.front("a")

    def at_rest():
        """The switch shows what was so up to a second ago: packets of an earlier case may come."""
        first = bridge.statistics(0)
        time.sleep(2)
        return bridge.statistics(0) == first
    bed.wait_for("the statistics of p0 at rest", at_rest, 15)
    before = bridge.statistics(0)["rx_packets"]

    def counted(pattern):
        """Of p1, by all counters with such names."""
        return sum(value for name, value in bridge.statistics(1).items()
                   if re.fullmatch(pattern, name))

    def offer(reason):
        """From guest a, until some are dropped for that reason."""
        bridge.side["a"].cmd("set fwd txonly")
        bridge.side["a"].cmd("start")
        bed.wait_for("tx_q0_%s_dropped" % reason,
                     lambda: counted("tx_q0_%s_dropped" % reason), 15, 0.2)
        bridge.side["a"].cmd("stop")
        sent = bridge.side["a"].stats(0)["opackets"]
        bed.wait_count("packets from guest a",
                       lambda: bridge.statistics(0)["rx_packets"] - before, sent)
        bed.wait_count("packets that p1 has delivered or dropped",
                       lambda: counted(r"tx_packets|tx_q\d+_\w+_dropped"), sent)
    bridge.wait_state(1, "down")
    offer("no_guest")
    check(counted("tx_packets|tx_q0_ring_full_dropped") == 0, "delivered with no guest")
    bridge.front("b")
    bridge.side["b"].child.send_signal(signal.SIGSTOP)
    try:
        offer("ring_full")
    finally:
        bridge.side["b"].child.send_signal(signal.SIGCONT)
    check(counted("tx_packets") > 0, "nothing was delivered")


def static_keys(bridge, before):
    """The switch asks for the names of counters once, without a peer."""
    check("rx_q0_packets" in before, "no rx_q0_packets without a peer: " + ", ".join(before))
    check(any(key.startswith("tx_q0_") and key.endswith("_dropped") for key in before),
          "no tx_q0_*_dropped without a peer")
    check("tx_q0_management_refused" in before, "the switch does not show what a port refuses")
    after = bridge.keys(0)
    check(after == before, "keys differ: " + ", ".join(sorted(set(before) ^ set(after))))
    got = int(re.search(r"\brx_q0_packets=(\d+)", bridge.get(0, "statistics")).group(1))
    check(got > 0, "rx_q0_packets is 0 after traffic")


def clean_log(bridge):
    bad = bridge.complaints(r"(?i)mtu|csum|checksum|stat|offload|%s|\bp[01]\b" % bed.DRV)
    check(not bad, "%d lines, first: %s" % (len(bad), bad[0] if bad else ""))


def run(report):
    bridge = Bridge()
    try:
        report.case("ports-without-peer", without_peer, bridge)
        bed.wait_for("statistics", lambda: bridge.keys(0), 5)
        before = bridge.keys(0)
        for name, function in (("carries", carries), ("front-end-comes-back", comes_back),
                               ("del-port-add-port", port_again)):
            if not report.case(name, function, bridge):
                # the next one finds the front-ends as it expects them
                for side in list(bridge.side):
                    bridge.leave(side)
                bridge.front("a")
                bridge.front("b")
        report.case("static-statistics", static_keys, bridge, before)
        report.case("clean-log", clean_log, bridge)
        # of which the log tells
        report.case("reasons", reasons, bridge)
    finally:
        bridge.close()
