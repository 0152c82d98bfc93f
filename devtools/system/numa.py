# SPDX-License-Identifier: BSD-3-Clause
"""A machine with two NUMA nodes, two processors each and half of the memory: a guest of this one.
In it two ports, whose lcores are on node 0, and a front-end of DPDK's own on each node. Where the
memory of either is found, what is told of it, and where that of the ports goes."""

import re
import shutil
import time

import bed
import inside
import overlay
from bed import check

PAGES = 80          # of 2 MiB, on each node
ASKS_TWICE = 8      # seconds from a start, within which the lcores of a port are asked twice
FOUND = "the guest's memory is on NUMA node %d$"
FAR = "queue 0 is polled by an lcore of NUMA node 0, and the memory of its guest is on node 1: "
MOVED = "queues are on NUMA node %d now$"
NO_MEMORY = "no memory on NUMA node 1, where the guest's is: queues stay on node 0"


class Machine:
    def __init__(self):
        socat = shutil.which("socat")
        check(socat, "no socat: devtools/system/prepare installs it")
        self.guest = bed.Guest("numa", [], qemu=10, cpus=4, memory=1024, nodes=2,
                               image="guest-vdpa", initrd=overlay.initrd("guest-vdpa", "numa", [
                                   (bed.PLUGIN, inside.PLUGIN), (bed.IDLE_POLL, inside.IDLE_POLL),
                                   (socat, "/bin/socat")]))
        self.guest.must("mkdir -p /dev/hugepages /var/run; mount -t tmpfs none /dev/shm; "
                        "mount -t hugetlbfs none /dev/hugepages")
        for node in (0, 1):
            self.reserve(node, PAGES)

    def reserve(self, node, pages):
        """Hugepages of a node; those in use stay."""
        directory = "/sys/devices/system/node/node%d/hugepages/hugepages-2048kB/" % node
        said = self.guest.must("cd %s; echo %d > nr_hugepages; cat nr_hugepages free_hugepages" % (
            directory, pages))
        there, free = map(int, said.split())
        check(free == 0 if pages == 0 else there == pages,
              "node %d has %d hugepages, %d of them free" % (node, there, free))

    def testpmd(self, node, vdevs, **options):
        """One whose threads and memory are on that node. EAL goes by the numbers of lcores as well,
        which are those of processors."""
        processors = "%d,%d" % (2 * node, 2 * node + 1)
        # what waits in a ring is not thrown away at a start
        return inside.testpmd(self.guest, vdevs, idle=True, lcores=processors,
                              args=["--no-flush-rx"], prefix=["taskset", "-c", processors],
                              **options)

    def front_end(self, number, node):
        """What is at the other end of a port, with its memory on that node."""
        return self.testpmd(node, ["net_virtio_user0,path=/run/v%d,queue_size=256" % number],
                            eal=["--single-file-segments"])


class Bench:
    """Two ports and their front-ends. While all forward, a few packets go round: from a front-end
    through both ports to the other, and back. Else they lie in rings, also while a port restarts,
    and nothing keeps the processors of this machine at work."""

    def __init__(self, machine, arguments=("", ""), nodes=(0, 1)):
        self.machine, self.fronts = machine, []
        self.pmd = machine.testpmd(
            0, ["net_vring%d,iface=/run/v%d%s" % (port, port, more)
                for port, more in enumerate(arguments)],
            eal=["--log-level=pmd.net.vring:info"], telemetry=True)
        try:
            before = [self.nodes(port) for port in (0, 1)]
            check([memory for memory, _, _ in before] == [-1, -1],
                  "a node is known before there is a guest: %s" % before)
            for number, node in enumerate(nodes):
                self.connect(number, node)
        except Exception:
            self.end()
            raise

    def connect(self, number, node):
        self.fronts[number:number + 1] = [self.machine.front_end(number, node)]
        for command in ("start tx_first", "stop"):
            self.fronts[number].cmd(command)
        self.pmd.wait_link(number)
        bed.wait_for("the node of guest %d" % number,
                     lambda: self.nodes(number)[0] == node, 5, 0.2)

    def nodes(self, port):
        """Of the guest's memory, of queues, and the port's."""
        status = self.pmd.telemetry("/net_vring/status,%d" % port)
        return status["memory_numa"], status["queues_numa"], status["numa"]

    def expect(self, port, memory, queues, told):
        found = self.nodes(port)
        check(found == (memory, queues, told), "port %d: guest's memory, queues, port on %s" % (
            port, found))

    def said(self, port, what):
        return len(re.findall("net_vring%d: .*%s" % (port, what), self.pmd.log(), re.M))

    def expect_said(self, port, what, times):
        check(self.said(port, what) == times, "port %d: '%s' said %d times, not %d" % (
            port, what, self.said(port, what), times))

    def far(self, port):
        return self.pmd.xstats(port)["rx_q0_numa_errors"]

    def everywhere(self, command):
        """At once; the next command waits for this one as well."""
        for pmd in [self.pmd] + self.fronts:
            pmd.prompts += 1
            pmd.send(command)

    def forwards(self, action):
        """While packets go round."""
        self.everywhere("start")
        try:
            action()
        finally:
            self.everywhere("stop")

    def passes(self):
        """Packets pass, both ways through either port."""
        def counts():
            return list(map(int, re.findall(r"[RT]X-packets:\s+(\d+)",
                                            self.pmd.cmd("show port stats all"))))
        before = counts()
        self.forwards(lambda: bed.wait_for("packets through both ports", lambda: all(
            now > was + 200 for was, now in zip(before, counts())), 5, 0.1))

    def asked(self, count):
        """The lcores were asked on which node they are, and so much was counted for port 1."""
        def wait():
            bed.wait_for("%d in rx_q0_numa_errors of port 1" % count,
                         lambda: self.far(1) >= count, 15, 0.5)
            time.sleep(ASKS_TWICE)
        self.forwards(wait)

    def restart(self, port):
        for command in ("port stop %d", "port start %d"):
            self.pmd.cmd(command % port)
        self.pmd.wait_link(port)
        self.passes()

    def pages(self, node):
        """Hugepages of the ports' testpmd on that node, as the kernel has it."""
        # those of front-ends are mapped by these as well
        maps = self.machine.guest.must("grep huge /proc/%d/numa_maps | grep -v mapmax" %
                                       self.pmd.pid)
        return sum(map(int, re.findall(r" N%d=(\d+)" % node, maps)))

    def big_buffers(self):
        """Nodes of the pools of large packets."""
        return sorted(map(int, re.findall(
            r"mempool <vring_big_\d+>.*?socket_id=(\d+)", self.pmd.cmd("dump_mempool"), re.S)))

    def end(self):
        for pmd in self.fronts + [self.pmd]:
            pmd.quit()


def found(bench):
    """Each port reports the node of its guest, and no queue moves before a start."""
    for node in (0, 1):
        bench.expect(node, node, 0, node)
        # again when the guest's memory has changed
        check(bench.said(node, FOUND % node), "no line tells of the node of guest %d" % node)
        told = bench.pmd.telemetry("/ethdev/info,%d" % node)["numa_node"]
        check(told == node, "applications are told of node %d, not %d" % (told, node))
    bench.passes()


def compared(bench):
    """A queue whose lcore is far from the guest is counted and told of once, one that is near is
    not."""
    for command in ("port stop 1", "port start 1"):
        bench.pmd.cmd(command)
    bench.asked(2)
    check([bench.far(0), bench.far(1)] == [0, 2], "counted for both ports: %d, %d" % (
        bench.far(0), bench.far(1)))
    for queue in ("receive ", "transmit "):
        bench.expect_said(0, queue + "queue 0 is polled by", 0)
        bench.expect_said(1, queue + FAR, 1)


def no_memory(bench):
    """Where the guest's node has none left, all stays where it is; a line says so once."""
    bench.machine.reserve(1, 0)
    try:
        for _ in range(2):
            bench.restart(1)
            bench.expect(1, 1, 0, 1)
        bench.expect_said(1, NO_MEMORY, 1)
        check(bench.pages(1) == 0, "%d pages on node 1" % bench.pages(1))
    finally:
        bench.machine.reserve(1, PAGES)


def moves(bench):
    """At the next start what a port has goes to the node of its guest; one that is there stays."""
    check(bench.pages(1) == 0, "%d pages on node 1 before the start" % bench.pages(1))
    bench.restart(0)
    bench.expect(0, 0, 0, 0)
    bench.expect_said(0, "queues are on", 0)
    check(bench.big_buffers() == [0, 0], "large packets on %s" % bench.big_buffers())
    bench.restart(1)
    bench.expect(1, 1, 1, 1)
    bench.expect_said(1, MOVED % 1, 1)
    check(bench.pages(1) > 0, "no page on node 1")
    check(bench.big_buffers() == [0, 1], "large packets on %s" % bench.big_buffers())


def other_guest(bench):
    """A guest of another node comes in its place: the port follows, and back."""
    if bench.nodes(1)[1] == 0:
        bench.restart(1)
    bench.fronts[1].quit()
    bed.wait_for("no guest", lambda: bench.nodes(1)[0] == -1, 5, 0.2)
    bench.connect(1, 0)
    bench.expect(1, 0, 1, 0)
    counted = bench.far(1)
    bench.restart(1)
    bench.expect(1, 0, 0, 0)
    bench.expect_said(1, MOVED % 0, 1)
    check(bench.big_buffers() == [0, 0], "large packets on %s" % bench.big_buffers())
    bench.asked(counted)
    check(bench.far(1) == counted, "counted though the guest is near")


def argument(machine):
    """numa= is where a port is and stays, wherever its guest may be."""
    bench = Bench(machine, (",numa=1", ",numa=0"))
    try:
        for port in (0, 1):
            bench.expect(port, port, 1 - port, 1 - port)
        bench.restart(1)
        bench.expect(1, 1, 0, 0)
        bench.expect_said(1, "queues are on", 0)
    finally:
        bench.end()


def run(report):
    machine = Machine()
    bench = Bench(machine)
    try:
        report.case("found", found, bench)
        report.case("no-memory", no_memory, bench)
        report.case("moves", moves, bench)
        report.case("compared", compared, bench)
        report.case("other-guest", other_guest, bench)
        report.case("argument", lambda: (bench.end(), argument(machine)))
    finally:
        bench.end()
        machine.guest.end()
