# SPDX-License-Identifier: BSD-3-Clause
"""Plans in which a guest's DPDK returns what comes in at a NIC of the host."""

import signal

import bed
import pcap
from bed import check
from cards import PATHS, Machines, forward, must, settle, through
from case import Case, Plan

EACH = 40           # frames of each length: in all fewer than a ring is deep
STANDS_IN = "net_pcap for the NIC"
KINDS = ("mergeable", "normal", "vector")


def offered(lengths, queue=0, each=EACH):
    return pcap.packets(each * len(lengths), queue, sizes=list(lengths) * each)


class Pvp:
    """Machines, and testpmd in each guest at the card of the path: it returns what comes."""

    finish = staticmethod(Machines.finish)

    def __init__(self, drivers, path, queues=1, here=None, there=None, **given):
        """queues: of the cards; here, there: of the two testpmds when they start, if fewer."""
        self.path, self.queues = path, queues
        self.here, self.there = here or queues, there or queues
        self.machines = Machines.of(drivers, queues=queues, **given)
        self.nic = self.machines.nics[0]
        self.pmds = [None] * len(self.machines.guests)
        self.seen = [None] * len(self.pmds)     # what their ports have counted so far
        try:
            if self.here < queues:
                change_queues(self.host, self.here, self.nic)
            for number in range(len(self.pmds)):
                self.enter(number)
        except BaseException:
            self.close(True)
            raise

    @property
    def host(self):
        return self.machines.host

    def port(self, number):
        return self.machines.port(number, self.path.card)

    def enter(self, number):
        self.pmds[number] = self.machines.testpmd(
            number, self.path, ["--auto-start", "--forward-mode=mac", "--rxd=1024", "--txd=1024",
                                "--rxq=%d" % self.there, "--txq=%d" % self.there])
        self.host.wait_link(self.port(number))
        self.seen[number] = self.counts(number)

    def counts(self, number):
        stats = self.pmds[number].stats(0)
        return stats["ipackets"], stats["opackets"]

    def send(self, number, frames, expected):
        """Frames of each queue come in at the NIC; what went out of it, once there are as many as
        expected, or no more come."""
        host, port = self.host, self.port(number)
        self.nic.load(host, frames)
        host.cmd("clear port stats all")
        forward(host, "mac", [port, self.nic.port])
        try:
            bed.wait_for("", lambda: host.stats(self.nic.port)["opackets"] >= expected, 5)
        except bed.Failure:
            pass    # what is missing is for the comparison to say
        host.cmd("stop")
        return self.nic.received(host)

    def carry(self, number, frames):
        """The same frames go out again, of each queue, and each is counted where it was."""
        count = sum(map(len, frames))
        got = self.send(number, frames, count)
        for queue, sent in enumerate(frames):
            pcap.compare("queue %d by %s" % (queue, self.path.name),
                         through(self.host, self.nic.port, sent), got[queue])
        stats = self.host.stats(self.port(number))
        before, self.seen[number] = self.seen[number], self.counts(number)
        counted = [stats["opackets"], *(now - then for now, then in zip(
            self.seen[number], before)), stats["ipackets"]]
        check(counted == [count] * 4, "%d frames: counted to the guest, there, back there and "
              "here are %s" % (count, counted))

    def close(self, failed):
        for pmd in self.pmds:
            if pmd is not None and not failed:
                pmd.quit()
        if failed:
            Machines.finish()
        elif self.here < self.queues:
            change_queues(self.host, self.queues, self.nic)


def change_queues(pmd, count, nic=None):
    """The ports of a testpmd get so many queues. A NIC's stand-in has as many at most as it had
    when it was last configured, hence a new one takes its place."""
    commands = ["stop", "port stop all", "port config all rxq %d" % count,
                "port config all txq %d" % count, "port start all"]
    if nic is not None:
        commands[2:2] = ["port detach %d" % nic.port]
        commands[-1:-1] = ["port attach " + nic.devargs()]
    for command in commands:
        must(pmd, command)


def traffic(*lengths):
    """A step: frames of these lengths go through each guest, and not one is lost or changed."""
    def step(pvp):
        frames = [offered(lengths, queue) for queue in range(min(pvp.here, pvp.there))]
        for number in range(len(pvp.pmds)):
            pvp.carry(number, frames)
    return step


def heard(pvp):
    """Have the host's testpmd take what the guest sends; it has taken some."""
    host, port = pvp.host, pvp.port(0)
    before = host.stats(port)["ipackets"]
    for command in ("set portlist %d" % port, "set fwd rxonly", "start"):
        must(host, command)
    bed.wait_for("packets that the guest sends", lambda: host.stats(port)["ipackets"] > before, 5)


def restart_port(pvp):
    """A step: the port stops while the guest sends, takes and counts nothing, so that the guest
    comes to a standstill, and takes packets again once it starts."""
    host, guest, port = pvp.host, pvp.pmds[0], pvp.port(0)
    for command in ("stop", "set fwd txonly", "start"):
        must(guest, command)
    heard(pvp)
    must(host, "stop")
    must(host, "port stop %d" % port)
    check("Not all ports were started" in host.cmd("start"), "the port is not stopped")
    before = host.stats(port)
    sent = still(lambda: pvp.counts(0)[1])
    check(host.stats(port) == before, "a stopped port counts packets")
    must(host, "port start %d" % port)
    host.wait_link(port)
    heard(pvp)
    must(guest, "stop")
    check(pvp.counts(0)[1] > sent, "the guest sends nothing to a restarted port")
    settle(lambda: host.stats(port)["ipackets"], 0.1)
    must(host, "stop")
    for command in ("set fwd mac", "start"):
        must(guest, command)
    pvp.seen[0] = pvp.counts(0)


def still(sent):
    """How many packets a guest has sent once it sends no more."""
    seen = [None]

    def same():
        seen.append(sent())
        return seen[-1] == seen[-2]
    bed.wait_for("standstill of a guest before a stopped port", same, 5, 0.2)
    return seen[-1]


def restart_host(pvp):
    """A step: the back-end ends and another takes its place, while the guest goes on."""
    pvp.host.quit()
    pvp.machines.host_on()
    pvp.host.wait_link(pvp.port(0), 20)


def other_machine(pvp):
    """A step: the machine is killed, one of the other QEMU takes its place."""
    machines = pvp.machines
    machines.guests[0].end(signal.SIGKILL)
    pvp.host.wait_link(pvp.port(0), up=False)
    machines.qemus[0] = 17 - machines.qemus[0]
    machines.guests[0] = machines.boot(0)
    pvp.enter(0)


def part(pvp):
    """A step: what one of the two ends has no queue for costs the other queue's frames nothing."""
    frames = [offered((64, 1518), queue) for queue in range(pvp.here)]
    got = [frame for queue in pvp.send(0, frames, len(frames[0])) for frame in queue]
    sent = [through(pvp.host, pvp.nic.port, queue) for queue in frames]
    check(set(got) <= set(sum(sent, [])), "frames came that never were sent")
    pcap.compare("queue 0", sent[0], list(filter(set(sent[0]).__contains__, got)))
    pvp.seen[0] = pvp.counts(0)


def guest_queues(pvp):
    """A step: DPDK in the guest takes one queue more."""
    pvp.there = pvp.queues
    change_queues(pvp.pmds[0], pvp.queues)
    pvp.pmds[0].cmd("start")
    pvp.host.wait_link(pvp.port(0))
    pvp.seen[0] = pvp.counts(0)


def host_queues(pvp):
    """A step: the host's testpmd takes one queue more."""
    pvp.here = pvp.queues
    change_queues(pvp.host, pvp.queues, pvp.nic)
    pvp.host.wait_link(pvp.port(0))


def each_path(kinds=KINDS):
    """Paths in the order of the plans."""
    return [PATHS[version, kind] for version in ("0.95", "1.0", "1.1")
            for kind in kinds if (version, kind) in PATHS]


ALL = (64, 128, 256, 512, 1024, 1280, 1518)
REGRESSION = [path for path in each_path() if path is not PATHS["1.1", "vector"]]
TWO = PATHS["1.0", "mergeable"]

PLANS = [
    Plan("pvp_diff_qemu_version", [
        Case(number, "%s: a guest of QEMU 7.2 and one of QEMU 10 return frames of 68 to 1518 bytes"
             % path.name, Pvp, [traffic(68, *ALL[1:])], stands_in=STANDS_IN, path=path,
             qemus=(7, 10), cards=tuple(path.card for path in each_path(KINDS[:1])))
        for number, path in enumerate(each_path(KINDS[:1]), 1)], daily=(1,)),
    Plan("pvp_qemu_multi_paths_port_restart", [
        Case(number, "%s: frames of 64 to 1518 bytes, a stopped port passes nothing, a restarted "
             "one all" % path.name, Pvp, [traffic(*ALL), restart_port, traffic(64)],
             stands_in="; ".join(filter(None, (path.stands_in, STANDS_IN))), path=path)
        for number, path in enumerate(each_path(), 1)] + [
            Case(10, "%s: the port restarts ten times, frames pass after each" % TWO.name, Pvp,
                 [traffic(64)] + [restart_port, traffic(64)] * 10, stands_in=STANDS_IN,
                 path=TWO)], daily=(6,)),
    Plan("virtio_pvp_regression", [
        Case(number, "%s: two queues; the back-end restarts, then the machine is killed and one of "
             "the other QEMU (7.2, 10) comes" % path.name, Pvp,
             [traffic(64, 1518), restart_host, traffic(64, 1518), other_machine,
              traffic(64, 1518)], stands_in=STANDS_IN, path=path, queues=2, listen=True)
        for number, path in enumerate(REGRESSION, 1)], daily=(7,)),
]

QUEUES = [
    Plan("vhost_multi_queue_qemu", [
        Case(1, "two queues, mergeable: each returns its frames", Pvp, [traffic(64, 1518)],
             stands_in=STANDS_IN, path=TWO, queues=2),
        Case(2, "DPDK in the guest goes from one queue to two while it runs: each returns its "
             "frames", Pvp, [part, guest_queues, traffic(64, 1518)], stands_in=STANDS_IN,
             path=TWO, queues=2, there=1),
        Case(3, "the back-end's testpmd goes from one queue to two while it runs: each returns "
             "its frames", Pvp, [part, host_queues, traffic(64, 1518)], stands_in=STANDS_IN,
             path=TWO, queues=2, here=1)], daily=(2,)),
]
