# SPDX-License-Identifier: BSD-3-Clause
"""Guests with cards for the DPDK in them: one card of each kind, each served by a port of one
testpmd of the host. A machine is booted once for many cases, and each takes the card it wants."""

import os
import re
import signal
import time

import bed
import guest_testpmd
import matrix
import overlay
import pcap
from bed import check
from case import Drivers, Kept

IDLE_POLL = "/plugin/idle-poll.so"
FIRST_SLOT = 8      # on the PCI bus, of the cards
MBUFS = {"host": 16384, "guest": 4096}
# DPDK in the guest says which of its bursts it takes
SAYS = ["--log-level=pmd.net.virtio.init:info"]
PLAIN = ("--tx-offloads=0x0", "--enable-hw-vlan-strip")
VERSIONS = {"0.95": "disable-modern=on", "1.0": "disable-legacy=on",
            "1.1": "disable-legacy=on,packed=on"}


class Path:
    """A way through net_virtio: version of virtio, kind of burst, and the card that leads to it."""

    def __init__(self, version, kind):
        self.name = "virtio %s, %s" % (version, kind)
        self.card = "%s,mrg_rxbuf=%s" % (
            VERSIONS[version], "on" if kind == "mergeable" else "off")
        self.devargs = ",vectorized=1" if kind == "vector" else ""
        self.args = PLAIN if kind == "normal" else ()
        packed = version == "1.1"
        # the vector code for packed rings wants them in order and AVX-512, which no card here has
        self.stands_in = "the standard burst for the vector one, which needs AVX-512 and " \
            "a ring in order" if packed and kind == "vector" else ""
        self.burst = "using %s%s Rx path" % (
            "packed ring " if packed else "",
            {"mergeable": "mergeable buffer", "normal": "standard",
             "vector": "standard" if packed else "vectorized"}[kind])


PATHS = {(version, kind): Path(version, kind) for version in VERSIONS
         for kind in ("mergeable", "normal", "vector")}
CARDS = sorted({path.card for path in PATHS.values()})


class Nic:
    """A port of the host's testpmd in the place of a NIC: a file a queue comes in at it, another
    goes out of it."""

    def __init__(self, name, port, queues=1):
        self.name, self.port, self.queues = name, port, queues

    def file(self, queue, end):
        return bed.path("%s-%d.%s" % (self.name, queue, end))

    def devargs(self):
        for queue in range(self.queues):
            pcap.write(self.file(queue, "in"), [])
        return pcap.port(self.port, *([self.file(queue, end) for queue in range(self.queues)]
                                      for end in ("in", "out")))

    def load(self, host, frames):
        """Frames of each queue, which come in when forwarding starts. A file is read once in each
        life of its port."""
        host.cmd("port stop %d" % self.port)
        for queue in range(self.queues):
            pcap.write(self.file(queue, "in"), frames[queue] if queue < len(frames) else [])
            # of a queue that the port does not have now
            pcap.write(self.file(queue, "out"), [])
        host.cmd("port start %d" % self.port)

    def received(self, host):
        """What went out since then, by queue."""
        host.cmd("port stop %d" % self.port)
        got = [pcap.read(self.file(queue, "out")) for queue in range(self.queues)]
        host.cmd("port start %d" % self.port)
        return got


class Machines(Kept):
    """Guests, each with a card of each kind, and the testpmd `host`: the cards' ports first, those
    of one guest after those of the other, then the NICs."""

    def __init__(self, drivers, qemus=(10,), cards=CARDS, queues=1, listen=False, nics=1,
                 data=()):
        """listen: whether QEMU does; data: files of the guests, see overlay."""
        self.drivers, self.qemus, self.cards = drivers, list(qemus), list(cards)
        self.queues, self.listen = queues, listen
        first = len(self.qemus) * len(self.cards)
        self.nics = [Nic("nic%d" % i, first + i, queues) for i in range(nics)]
        self.guests = [None] * len(self.qemus)
        self.host = None
        self.initrd = overlay.initrd("guest-vdpa", "cards", [(bed.IDLE_POLL, IDLE_POLL)], data)
        try:
            # first in any case: QEMU waits until a listening card has its back-end
            self.host_on()
            for number in range(len(self.guests)):
                self.guests[number] = self.boot(number, wait=False)
            for guest in self.guests:
                self.prepare(guest)
        except BaseException:
            self.end()
            raise

    @classmethod
    def of(cls, drivers, **given):
        return cls.keep((drivers.back, given), lambda: cls(drivers, **given))

    def alive(self):
        return all(one is not None and one.alive() for one in self.guests + [self.host])

    def end(self):
        # the front-ends first, which still talk to the other end
        for guest in self.guests:
            if guest is not None:
                guest.end(signal.SIGKILL)
        if self.host is not None:
            self.host.quit()

    def sock(self, port):
        return bed.path("card%d" % port)

    def port(self, number, card):
        """The host's port of a card of a guest."""
        return number * len(self.cards) + self.cards.index(card)

    def host_on(self):
        ports = range(len(self.qemus) * len(self.cards))
        if not self.listen:
            for stale in filter(os.path.exists, map(self.sock, ports)):
                os.unlink(stale)
        driver = self.drivers.back
        self.host = bed.Testpmd(
            "host", ["%s%d,iface=%s,queues=%d%s" % (
                driver, port, self.sock(port), self.queues, ",client=1" if self.listen else "")
                for port in ports] + [nic.devargs() for nic in self.nics],
            memory=160, mbufs=MBUFS["host"], eal=matrix.QUIET, plugin=Drivers.plugin(driver),
            args=["--rxq=%d" % self.queues, "--txq=%d" % self.queues, "--rxd=1024",
                  "--txd=1024"])
        # start would read the files of NICs to their ends and throw that away
        self.host.cmd("set flush_rx off")

    def boot(self, number, wait=True):
        nics = []
        for slot, card in enumerate(self.cards, FIRST_SLOT):
            port = number * len(self.cards) + slot - FIRST_SLOT
            device = "addr=0x%x,%s,rx_queue_size=1024,tx_queue_size=1024" % (slot, card)
            if self.queues > 1:
                device += ",mq=on"
            nics.append(bed.Nic(
                self.sock(port), "52:54:00:00:%02x:%02x" % (number + 1, slot),
                "server=on,wait=off" if self.listen else "", "queues=%d" % self.queues, device))
        guest = bed.Guest("vm%d" % number, nics, qemu=self.qemus[number], memory=384,
                          image="guest-vdpa", initrd=self.initrd, wait=False)
        if wait:
            self.prepare(guest)
        return guest

    @staticmethod
    def prepare(guest):
        """Have uio_pci_generic take all cards."""
        guest.wait_ready()
        guest.must(
            "mkdir -p /dev/hugepages /var/run; echo 50 > /proc/sys/vm/nr_hugepages; "
            "mount -t hugetlbfs none /dev/hugepages; "
            "for v in $(grep -l 0x1af4 /sys/bus/pci/devices/*/vendor); do d=${v%/vendor}; "
            "echo uio_pci_generic > $d/driver_override; "
            "[ ! -e $d/driver ] || echo ${d##*/} > $d/driver/unbind; "
            "echo ${d##*/} > /sys/bus/pci/drivers_probe; "
            "readlink $d/driver | grep -q uio_pci_generic || exit 1; done", 60)

    def testpmd(self, number, path, args=(), vdevs=(), slots=None, **options):
        """testpmd in a guest, at the card of a path, or at the cards in these slots."""
        eal = SAYS + ["-d", IDLE_POLL, "--vdev", "idle_poll0"]
        for slot in slots or [self.cards.index(path.card)]:
            eal += ["-a", "0000:00:%02x.0%s" % (FIRST_SLOT + slot, path.devargs)]
        for device in vdevs:
            eal += ["--vdev", device]
        pmd = guest_testpmd.GuestTestpmd(
            self.guests[number], eal, memory=80, mbufs=MBUFS["guest"], lcores="0@0,1@0",
            args=list(args) + list(path.args), **options)
        check(path.burst in pmd.log(), "DPDK in the guest does not say '%s': %s" % (
            path.burst, pmd.log()[-200:]))
        return pmd


def must(pmd, command):
    """One command of testpmd that says of nothing that it failed."""
    said = pmd.cmd(command, 30)
    check(not re.search("[Ff]ail|[Ee]rror", said), "%s: %s" % (command, said))


def forward(pmd, mode, ports):
    """Have a testpmd pass packets from port to port, and wait where a ring is full."""
    pmd.cmd("set portlist " + ",".join(map(str, ports)))
    pmd.cmd("set fwd %s retry" % mode)
    pmd.cmd("set burst tx delay 50 retry 2000")
    pmd.cmd("start")


def address(pmd, port):
    """MAC address of a port."""
    found = re.search("MAC address: ([0-9A-F:]{17})", pmd.cmd("show port info %d" % port))
    check(found, "port %d has no MAC address" % port)
    return bytes.fromhex(found.group(1).replace(":", ""))


def through(pmd, port, frames):
    """Frames as `set fwd mac` of a testpmd sends them by one of its ports."""
    head = bytes.fromhex("0200000000%02x" % port) + address(pmd, port)
    return [head + frame[12:] for frame in frames]


def settle(value, seconds=0.3):
    """A value once it has not changed for some time."""
    before = value()
    while True:
        time.sleep(seconds * bed.PATIENCE)
        now = value()
        if now == before:
            return now
        before = now
