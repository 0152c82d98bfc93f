# SPDX-License-Identifier: BSD-3-Clause
"""Plans in which the kernels of virtual machines have the cards."""

import re
import signal

import bed
import guests
from bed import check
from case import Case, Drivers, Kept, Plan

OFFLOADS = "csum=on,guest_csum=on,host_tso4=on,guest_tso4=on,guest_ecn=on"
SEGMENTS = 44   # of 1,448 bytes: just below 64 KiB


class Vm2vm(Kept):
    """Two virtual machines, several pairs of cards, each joined by two ports of the back-end."""

    LINKS = [guests.Link(*arguments, port=",tso=1", have=have + [guests.HOST_TSO4], lack=lack)
             for *arguments, have, lack in (
                 ("split-plain", "mrg_rxbuf=off," + OFFLOADS, [], [guests.MRG_RXBUF]),
                 ("split", "mrg_rxbuf=on," + OFFLOADS, [guests.MRG_RXBUF], [guests.PACKED]),
                 ("packed", "mrg_rxbuf=on,packed=on," + OFFLOADS, [guests.PACKED], []))]
    link = None     # the name of one

    @classmethod
    def of(cls, drivers, link):
        there = cls.keep(drivers.back, lambda: cls(drivers))
        there.link = link
        return there

    def __init__(self, drivers):
        large = ["--enable-scatter", "--enable-lro"] if Drivers.plugin(drivers.back) else []
        self.network = guests.Network(self.LINKS, 10, driver=drivers.back, args=large)

    @property
    def vms(self):
        return self.network.a, self.network.b

    def alive(self):
        return all(one.alive() for one in (*self.vms, self.network.switch))

    def number(self):
        return [link.name for link in self.LINKS].index(self.link)

    def end(self):
        self.network.close()


def negotiated(place):
    """A step: the cards are of the kind that the case is about."""
    number = place.number()
    link = place.LINKS[number]
    for vm in place.vms:
        bits = vm.features("n%d" % number)
        check(link.have <= bits and not link.lack & bits, "guest %s: features are %s" % (
            vm.name, sorted(bits)))


def large_packets(place):
    """A step: TCP either way in packets of 64 KiB, which arrive uncut; files arrive the same."""
    number = place.number()
    for sender, receiver, end in ((0, 1, 1), (1, 0, 0)):
        here, there = place.vms[sender], place.vms[receiver]
        address = place.network.address(number, end)
        ports = (2 * number + sender, "rx"), (2 * number + receiver, "tx")
        before = [large(place, *port) for port in ports]
        here.must("echo %d > /proc/sys/net/ipv4/tcp_min_tso_segs" % SEGMENTS)
        listen_for_large(there, "n%d" % number)
        check(bed.iperf(here, address, amount="32M") > 0, "iperf3 moved nothing")
        for port, old in zip(ports, before):
            check(large(place, *port) > old, "port %d counts no packet over an MTU" % port[0])
        bed.wait_for("a packet of 60,000 bytes or more in guest %s" % there.name,
                     lambda: "1 packet captured" in there.must("cat /tmp/seen"), 5, 0.2)
        guests.blob(there, here, address)


def listen_for_large(vm, card):
    """Note in /tmp/seen the first such packet; the kernel puts none together."""
    vm.must("echo root:x:0:0::/: > /etc/passwd; ethtool -K %s gro off; "
            "timeout 30 tcpdump -Z root -n -p -c 1 -i %s 'tcp and greater 60000' > /tmp/seen 2>&1 "
            "< /dev/null & sleep 1" % (card, card))


def large(place, port, direction):
    return place.network.switch.xstats(port).get("%s_q0_size_1519_max_packets" % direction, 0)


def segmentation(place):
    """A step: both kernels leave TCP segmentation to the device."""
    for vm in place.vms:
        said = vm.must("ethtool -k n%d" % place.number())
        for name in ("tx-tcp-segmentation", "tx-tcp-ecn-segmentation", "tx-tcp6-segmentation"):
            check(re.search(r"^\s*%s: on" % name, said, re.M), "guest %s: %s is not on" % (
                vm.name, name))


class Mtus(Kept):
    """A virtual machine with three cards of which each has an MTU of its own, a back-end with
    three ports, which answers pings."""

    VALUES = (9000, 68, 65535)

    @classmethod
    def of(cls, drivers):
        return cls.keep(drivers.back, lambda: cls(drivers))

    def __init__(self, drivers):
        self.drivers = drivers
        self.back = self.vm = None
        try:
            self.start()
        except BaseException:
            self.end()
            raise

    def start(self):
        driver = self.drivers.back
        # a port takes frames so large only where it is to take unsegmented packets anyway
        options = {65535: ",tso=1"} if Drivers.plugin(driver) else {}
        self.back = bed.Testpmd("back", [
            bed.vdev(i, "iface=%s,queues=1%s" % (self.sock(mtu), options.get(mtu, "")), driver)
            for i, mtu in enumerate(self.VALUES)], memory=192, mbufs=8192,
            plugin=Drivers.plugin(driver), args=[
                "--auto-start", "--forward-mode=icmpecho", "--port-topology=chained",
                "--txd=512", "--rxd=128"])
        self.vm = bed.Guest("mtu", [
            bed.Nic(self.sock(mtu), self.mac(i), device="mrg_rxbuf=on,host_mtu=%d" % mtu)
            for i, mtu in enumerate(self.VALUES)], qemu=10)
        for i in range(len(self.VALUES)):
            name = self.vm.interface(self.mac(i))
            self.vm.must("ip link set %s name n%d && ip addr add 10.0.%d.1/24 dev n%d && "
                         "ip link set n%d up" % (name, i, i, i, i))
        for i in range(len(self.VALUES)):
            self.back.wait_link(i)

    @staticmethod
    def sock(mtu):
        return bed.path("mtu%d" % mtu)

    @staticmethod
    def mac(i):
        return "52:54:00:00:00:%02x" % (i + 1)

    def end(self):
        if self.vm:
            self.vm.end(signal.SIGKILL)
        if self.back:
            self.back.quit()


def mtu(number, value):
    """A step: guest and port have this MTU, the guest no larger one; a packet of that size goes
    there and back."""
    def step(place):
        vm = place.vm
        seen = int(vm.must("cat /sys/class/net/n%d/mtu" % number))
        check(seen == value, "the guest's MTU is %d, not %d" % (seen, value))
        status, _ = vm.run("ip link set n%d mtu %d" % (number, value + 1))
        check(status, "the guest's MTU of %d can be raised" % value)
        said = re.search(r"^MTU: (\d+)", place.back.cmd("show port info %d" % number), re.M)
        check(said and int(said.group(1)) == value, "the port's MTU is %s, not %d" % (
            said and said.group(1), value))
        # what an IP packet and its Ethernet header have left of 65,535 bytes
        payload = min(value, 65535 - 14) - 28
        before = place.back.stats(number)["ibytes"]
        vm.must("ping -q -c 3 -i 0.2 -s %d 10.0.%d.2" % (payload, number), 30)
        received = place.back.stats(number)["ibytes"] - before
        check(received >= 3 * payload, "the port has received %d bytes" % received)
    return step


PERF = ((1, "split-plain", "split ring, not mergeable"), (2, "split", "split ring"),
        (3, "packed", "packed ring"), (4, "packed", "packed ring"))
MTU = [
    Plan("vhost_qemu_mtu", [
        Case(1, "host_mtu of 9000, 68 and 65535 is the MTU of the guest and of the port", Mtus,
             [mtu(i, value) for i, value in enumerate(Mtus.VALUES)], stands_in="TCG for KVM"),
    ], daily=(1,)),
]
VM2VM = [
    Plan("vm2vm_virtio_net_perf", [
        Case(number, "%s: %s" % (layout, asks), Vm2vm, [negotiated, step],
             stands_in="TCG for KVM", link=link)
        for number, link, layout in PERF
        for asks, step in [("TCP of two kernels in packets of 64 KiB that nobody cuts",
                            large_packets) if number % 2 else
                           ("TCP segmentation is on in both kernels", segmentation)]],
         daily=(3,)),
]
