# SPDX-License-Identifier: BSD-3-Clause
"""A front-end on the kernel's vhost-net: in a guest, whose network stack is at the other end."""

import asleep
import bed
import guest_testpmd
import inside
import interrupts
import pcap
import vhost_net
from bed import check
from case import Kept
from migrate_dpdk import raw
from vhost_net import MAC, TAP

PINGS = 20
NEIGHBOUR, ABSENT = "1.1.1.2", "52:54:00:00:00:99"
# the kernel routes frames for 2.2.2.0/24 back to where they came from
ADDRESS, ROUTER, ROUTED = "2.2.2.2", "2.2.2.1", "2.2.2.0/24"
FRAMES = 100        # of 64 bytes, on each queue
QUEUES = 2


def frame(number, destination, source, hops):
    """A frame to one of the addresses, of a flow of its own, after so many routers."""
    sent = pcap.segments([64], seed=number + 1)[0]
    ip = sent[14:22] + bytes([64 - hops]) + sent[23:24] + b"\0\0" + sent[26:30] + bytes(
        [2, 2, 2, 3 + number])
    ip = ip[:10] + pcap.checksum(ip).to_bytes(2, "big") + ip[12:]
    return raw(destination) + raw(source) + sent[12:14] + ip + sent[34:]


def flows(queue, destination=MAC, source=ABSENT, hops=0):
    return [frame(queue * FRAMES + i, destination, source, hops) for i in range(FRAMES)]


class Kernel(Kept, vhost_net.Kernel):
    """One guest for all cases, those with DPDK's front-end among them."""

    def __init__(self):
        interrupts.build_program()
        super().__init__([(interrupts.PROGRAM, "/bin/l3fwd-power")],
                         {"flows%d" % queue: flows(queue) for queue in range(QUEUES)})

    @classmethod
    def of(cls, drivers):
        there = cls.keep(None, cls)
        there.restore()
        there.front = drivers.front
        return there

    def alive(self):
        return self.guest.alive()

    def end(self):
        self.guest.end()

    def routes(self):
        """Set that up."""
        self.guest.must(
            "cd /proc/sys/net/ipv4; echo 1 > ip_forward; for f in all {0}; do "
            "echo 0 > conf/$f/send_redirects; echo 0 > conf/$f/rp_filter; done; "
            "/bin/ip addr add {1}/32 dev {0} && /bin/ip link set {0} up && "
            "/bin/ip neigh add {2} lladdr {4} dev {0} && "
            "/bin/ip route add {3} via {2} dev {0} onlink".format(
                TAP, ADDRESS, ROUTER, ROUTED, ABSENT))


class TapAsleep(asleep.Sleeping, Kernel):
    """One queue."""

    @classmethod
    def of(cls, drivers, packed):
        kernel = super().of(drivers)
        kernel.sleeper = guest_testpmd.GuestPower(kernel.guest, [
            "--no-pci", "-d", inside.PLUGIN, "--vdev", "%s0,%s" % (
                drivers.front, vhost_net.spelled(drivers.front, vhost_net.arguments(
                    more=",mac=%s,packed_vq=%d" % (MAC, packed))))], args="--interrupt-only")
        try:
            kernel.sleeper.wait_loop()
            kernel.guest.must("/bin/ip link set {0} up; /bin/ip addr add 1.1.1.1/24 dev {0}; "
                              "/bin/ip neigh add {1} lladdr {2} dev {0}".format(
                                  TAP, NEIGHBOUR, ABSENT))
        except BaseException:
            kernel.close(True)
            raise
        return kernel

    def counted(self, what):
        return int(self.attribute("statistics/" + what))


def pings(kernel):
    """A step: enough of the kernel's pings end a sleep, and each comes back to the tap."""
    woken, back = kernel.sleeper.wakes(), kernel.counted("rx_packets")
    # nobody answers, since l3fwd-power sends them on to a router that is not there
    kernel.guest.run("ping -I %s -c %d -i 0.05 -W 1 %s" % (TAP, PINGS, NEIGHBOUR), 30)
    bed.wait_for("%d pings to come back" % PINGS,
                 lambda: kernel.counted("rx_packets") - back >= PINGS)
    woken = kernel.sleeper.wakes() - woken
    check(asleep.enough(woken, PINGS), "%d packets woke it %d times" % (PINGS, woken))


def routed(queues):
    """A step: what comes in by a NIC goes to the kernel, which routes it back; every byte is
    compared."""
    def step(kernel):
        pmd = inside.testpmd(kernel.guest, [
            "%s0,%s" % (kernel.front, vhost_net.spelled(kernel.front, vhost_net.arguments(
                more=",mac=%s,queues=%d,queue_size=1024" % (MAC, queues)))),
            pcap.port(1, *([name % queue for queue in range(queues)]
                           for name in ("/flows%d.pcap", "/tmp/pmd-sink%d")))],
            args=["--rxq=%d" % queues, "--txq=%d" % queues, "--txd=1024", "--rxd=1024"])
        try:
            kernel.routes()
            pmd.wait_link(0)
            pmd.cmd("set flush_rx off")
            pmd.cmd("start")
            bed.wait_for("%d frames to come back" % (queues * FRAMES),
                         lambda: pmd.stats(0)["ipackets"] >= queues * FRAMES)
            for command in ("stop", "port stop 1"):
                pmd.cmd(command)
            got = [kernel.sink("/tmp/pmd-sink%d" % queue) for queue in range(queues)]
            check(all(got), "the queues have %s frames" % [len(back) for back in got])
            expected = [one for queue in range(queues) for one in flows(queue, ABSENT, MAC, 1)]
            # of several queues, the kernel chooses
            pcap.compare("from the kernel", sorted(expected), sorted(sum(got, [])))
        finally:
            pmd.quit()
    return step
