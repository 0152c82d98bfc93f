# SPDX-License-Identifier: BSD-3-Clause
"""Plan in which the back-end or the virtual machines end and come back under traffic. The back-end
is the one that connects; QEMU listens."""

import re
import signal
import time

import bed
import guest_testpmd
import guests
import kernel_vms
import migrate_dpdk
import overlay
from bed import check
from case import Case, Drivers, Kept, Plan

CARD = "mrg_rxbuf=on,rx_queue_size=1024,tx_queue_size=1024"
PACKED = CARD + ",packed=on"
TIMES = 5       # of what is repeated
WINDOW = 100    # frames, of which none may be missing once the traffic is back


class Generator(migrate_dpdk.Echo):
    """Sends frames all the time; addresses are the only thing that changes on their way."""

    def same(self, frame, sent):
        return frame[12:] == sent[12:]

    def complete(self, what):
        """Traffic is back: of so many frames each comes once, as it was sent."""
        self.wait_back(0, 1)
        first = len(self.sent)
        wanted = set(range(first, first + WINDOW))
        bed.wait_for("%d frames in a row %s" % (WINDOW, what), lambda: self.broken or wanted <= {
            number for number, _ in self.back[-2 * WINDOW:]}, 10)
        numbers = [number for number, _ in self.back if number in wanted]
        check(numbers == sorted(wanted), "frames %s came twice or out of order" % what)
        check(not self.foreign, "%d frames came altered" % len(self.foreign))


class Cable:
    """Joins the port "nic" of a testpmd in the namespace to the generator's end, "wire". It
    outlives the testpmd."""

    def __init__(self):
        self.holder = bed.Process("cable", ["unshare", "-n", "sh", "-c", (
            "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6; "
            "ip link add nic type veth peer name wire && ip link set nic up && "
            "ip link set wire up && echo ready && exec sleep infinity")])
        bed.wait_for("the cable", lambda: "ready" in self.holder.log(), 5)
        self.generator = Generator(self.holder.pid, ["wire"])
        self.generator.start()
        self.generator.entered.wait()

    def inside(self):
        """What a command that is to be in the namespace begins with."""
        return ["nsenter", "--net=/proc/%d/ns/net" % self.holder.pid]

    def end(self):
        self.generator.over = True
        self.generator.join()
        self.holder.end(signal.SIGKILL)


class Vm:
    """A virtual machine whose card DPDK has."""

    def __init__(self, name, sock, mac, card, initrd):
        self.arguments, self.name = (sock, mac, card, initrd), name
        self.guest = self.pmd = None
        self.begin()

    def begin(self):
        """QEMU waits for a back-end before it says anything more."""
        sock, mac, card, initrd = self.arguments
        self.guest = bed.Guest(self.name, [
            bed.Nic(sock, mac, "server=on,wait=off", "", card)], qemu=10, memory=384,
            image="guest-vdpa", initrd=initrd, wait=False)

    def forward(self):
        self.guest.wait_ready()
        guest_testpmd.take_card(self.guest)
        self.pmd = guest_testpmd.GuestTestpmd(
            self.guest, bed.idle_options(migrate_dpdk.IDLE_POLL, always=True), memory=80,
            lcores="0@0,1@0", mbufs=4096, args=["--auto-start", "--forward-mode=mac",
                                                "--txd=1024", "--rxd=1024", "--mbuf-size=2048"],
            wait=False)

    def wait_forwards(self):
        self.pmd.wait_prompt()

    def end(self):
        self.guest.end(signal.SIGKILL)


class Pvp(Kept):
    """Frames go from the generator through the back-end to one virtual machine, or through two,
    and return to it."""

    @classmethod
    def of(cls, drivers, card, vms):
        there = cls.keep((drivers.back, card), lambda: cls(drivers, card))
        try:
            there.arrange(vms)
        except BaseException:
            cls.finish()
            raise
        return there

    def __init__(self, drivers, card):
        self.drivers, self.card = drivers, card
        self.back, self.ports, self.vms = None, 0, []
        self.cable = Cable()
        self.initrd = overlay.initrd("guest-vdpa", "reconnect",
                                     [(bed.IDLE_POLL, migrate_dpdk.IDLE_POLL)])

    def sock(self, i):
        return bed.path("vm%d.sock" % i)

    def arrange(self, count):
        """So many virtual machines; one more than that stays as it is, without a back-end."""
        if self.ports != count:
            if self.back:
                self.back.quit()
            self.ports = count
            self.start_back()
        new = []
        while len(self.vms) < count:
            i = len(self.vms)
            new.append(Vm("vm%d" % i, self.sock(i), "52:54:00:00:00:%02x" % (i + 1), self.card,
                          self.initrd))
            self.vms.append(new[-1])
        self.set_going(new)

    def start_back(self):
        driver = self.drivers.back
        self.back = bed.Testpmd(
            "back", ["net_af_packet0,iface=nic"] + [
                bed.vdev(i, "iface=%s,client=1,queues=1" % self.sock(i), driver)
                for i in range(self.ports)],
            cpu=0, plugin=Drivers.plugin(driver), mbufs=8192, prefix=self.cable.inside(),
            args=["--auto-start", "--forward-mode=mac", "--port-topology=chained",
                  "--txd=1024", "--rxd=1024"])

    def set_going(self, vms):
        for action in (Vm.forward, Vm.wait_forwards):
            for vm in vms:
                action(vm)
        for i in range(self.ports):
            self.back.wait_link(i + 1, 20)

    def restart_back(self, sig):
        if sig:
            self.back.end(sig)
        else:
            self.back.quit()
        self.start_back()
        self.set_going([])

    def restart_vms(self):
        for vm in self.vms:
            vm.end()
        for i in range(self.ports):
            self.back.wait_link(i + 1, up=False)
        for vm in self.vms:
            vm.begin()
        self.set_going(self.vms)

    def carries(self, what):
        """The generator gets back what it sends, and every port has had a part in it, by rings of
        the layout that the case is about."""
        for i in range(self.ports):
            check(Drivers.packed(self.back, self.drivers.back, i + 1, self.sock(i)) ==
                  (self.card == PACKED), "the ring of VM %d is of the other layout %s" % (i, what))
        before = [self.back.stats(port) for port in range(self.ports + 1)]
        self.cable.generator.complete(what)
        for port, old in enumerate(before):
            new = self.back.stats(port)
            check(min(new[key] - old[key] for key in ("ipackets", "opackets")) >= WINDOW,
                  "port %d has hardly moved frames %s" % (port, what))

    def files(self):
        return self.back.fds()

    def end(self):
        self.cable.end()
        for vm in self.vms:
            if vm.pmd and vm.guest.alive():
                vm.pmd.keep_log()
            vm.end()
        if self.back:
            self.back.quit()


class Vm2vm(kernel_vms.Vm2vm):
    """Two virtual machines whose kernels have cards of either ring layout, each two cards joined
    by the back-end."""

    LINKS = [guests.Link(name, card, port=",tso=1", listens=True,
                         have=[guests.HOST_TSO4] + have, lack=lack)
             for name, card, have, lack in (("split", CARD, [], [guests.PACKED]),
                                            ("packed", PACKED, [guests.PACKED], []))]

    @classmethod
    def of(cls, drivers, link):
        Pvp.finish()    # what polls
        return super().of(drivers, link)

    def files(self):
        return self.network.switch.fds()

    def wait_links(self, up=True):
        for port in range(2 * len(self.LINKS)):
            self.network.switch.wait_link(port, 20, up)

    def restart_back(self, sig):
        """While a TCP connection lasts, which goes on."""
        network, there = self.network, self.network.address(self.number(), 1)
        network.a.must("rm -f /tmp/iperf; (iperf3 -c %s -t 5 -f m > /tmp/iperf 2>&1; "
                       "echo status $? >> /tmp/iperf) > /dev/null 2>&1 &" % there)
        time.sleep(1)
        if sig:
            network.switch.end(sig)
        else:
            network.switch.quit()
        network.start_switch()
        self.wait_links()
        said = bed.wait_for("end of iperf3", lambda: re.search(
            r"(?s).*status \d+", network.a.run("cat /tmp/iperf")[1]), 30, 0.3).group(0)
        check(said.endswith("status 0"), "iperf3: " + said.strip().splitlines()[-2])

    def restart_vms(self):
        network = self.network
        for guest in (network.a, network.b):
            guest.end(signal.SIGKILL)
        self.wait_links(False)
        network.a, network.b = network.boot(0), network.boot(1)
        for end, guest in enumerate((network.a, network.b)):
            guest.wait_ready()
            network.set_up(end, guest)
        self.wait_links()

    def carries(self, what):
        """TCP both ways in packets over the MTU; a file that is fetched is the same."""
        kernel_vms.negotiated(self)
        network, number = self.network, self.number()
        a, b = network.a, network.b
        there = network.address(number, 1)
        lost = bed.ping(a, there, 5, 0.1)
        check(lost == 0, "%d of 5 pings lost %s" % (lost, what))
        guests.flows(a, there)
        guests.flows(a, there, "-R")
        guests.blob(b, a, there)
        for port in (2 * number, 2 * number + 1):
            large = network.switch.xstats(port).get("rx_q0_size_1519_max_packets")
            check(large, "port %d has received no packet over the MTU %s" % (port, what))


def carries(place):
    place.carries("at first")


def back(*signals):
    """A step: the back-end ends and starts, once for each signal; with None by its own will."""
    def step(place):
        for number, sig in enumerate(signals, 1):
            place.restart_back(sig)
            place.carries("after start %d of the back-end" % number)
    return step


def vms(times=1):
    """A step: the virtual machines end and start so often, the back-end stays."""
    def step(place):
        files = place.files()
        for number in range(1, times + 1):
            place.restart_vms()
            place.carries("after start %d of the virtual machines" % number)
        check(place.files() <= files, "the back-end had %d files open, has %d" % (
            files, place.files()))
    return step


def cases(topology, first, what, stands_in, **given):
    """Three of the plan: the back-end ends, the virtual machines do, both do again and again."""
    again = [back(*([None, signal.SIGKILL] * TIMES)[:TIMES]), vms(TIMES)]
    return [Case(first + number, what + asks, topology, [carries] + steps,
                 stands_in=stands_in, **given)
            for number, (asks, steps) in enumerate((
                (": the back-end ends and starts, traffic returns", [back(None)]),
                (": the VM is killed and booted again, traffic returns", [vms()]),
                (": the back-end ends five times, quit and killed in turn, then the VM five times, "
                 "killed", again)))]


WIRE = "net_af_packet and a veth pair for the NIC, TCG for KVM"
PLANS = [
    Plan("pvp_vhost_user_reconnect", [
        case for first, layout, card in ((1, "split ring", CARD), (10, "packed ring", PACKED))
        for case in
        cases(Pvp, first, layout + ", DPDK in a VM", WIRE, card=card, vms=1) +
        cases(Pvp, first + 3, layout + ", DPDK in two VMs", WIRE, card=card, vms=2) +
        cases(Vm2vm, first + 6, layout + ", TCP of two kernels with TSO", "TCG for KVM",
              link="packed" if card == PACKED else "split")], daily=(1,)),
]
