# SPDX-License-Identifier: BSD-3-Clause
"""Guests behind a virtual IOMMU: whatever its mode, no packet is lost for a translation that has to
be asked for, and next to them a guest without one notices nothing."""

import re

import bed
import guests
from bed import check, path

MACS = ("52:54:00:00:00:01", "52:54:00:00:00:02")
ADDRESS = "10.0.0.9"    # whatever it is: testpmd's icmpecho answers for all
ACCESS_PLATFORM = 33
# what the kernel of a guest is told
MODES = {"strict": "iommu.strict=1", "lazy": "iommu.strict=0", "pt": "iommu=pt"}


# what a card has to be told to lie behind the IOMMU, and QEMU to have one
CARD = "iommu_platform=on,ats=on,disable-legacy=on"
EXTRA = ["-device", "intel-iommu,intremap=on,device-iotlb=on", "-device", "pcie-root-port,id=rp0"]


def kernel(mode):
    return "intel_iommu=on " + MODES[mode]


def boot(name, sock, mac, qemu, mode, device=""):
    card = CARD + ("," + device if device else "")
    return bed.Guest(name, [bed.Nic(sock, mac, device=card)], qemu=qemu, wait=False,
                     extra=EXTRA, append=kernel(mode))


def behind_iommu(guest):
    check(ACCESS_PLATFORM in guest.features("eth0"), "the card is not behind the IOMMU")
    groups = guest.must("ls /sys/kernel/iommu_groups | wc -l").strip()
    check(groups != "0", "the guest's kernel uses no IOMMU")


def replies(guest):
    """Echo replies that the guest's kernel has received and found whole. ping's socket has room for
    some ten replies; ping never sees what comes at once beyond them."""
    names, values = re.findall("^Icmp: (.*)", guest.must("cat /proc/net/snmp"), re.M)
    return int(dict(zip(names.split(), values.split()))["InEchoReps"])


def no_ping_lost(guest, options, count, switch):
    before = replies(guest)
    bed.ping(guest, options, count, 0.01, wait=3)
    got = replies(guest) - before
    if got == count:
        return
    counters = [name + "=%d" % n for port in (0, 1)
                for name, n in sorted(switch.xstats(port).items()) if n and "size" not in name]
    check(False, "%d replies to %d pings: %s" % (got, count, " ".join(counters)))


def pings(qemu, mode, device, port, count=150):
    """One guest, whose pings testpmd answers."""
    sock = path("i0")
    switch = guest = None
    try:
        switch = bed.Testpmd("switch", [bed.vdev(0, "iface=%s,iommu-support=1%s" % (sock, port))],
                             args=["--auto-start", "--forward-mode=icmpecho"])
        guest = boot("i0", sock, MACS[0], qemu, mode, device)
        guest.wait_ready()
        guest.must("ip addr add 10.0.0.1/24 dev eth0 && ip link set eth0 up")
        switch.wait_link(0)
        behind_iommu(guest)
        if "packed" in device:
            check(guests.PACKED in guest.features("eth0"), "the ring is not packed")
        no_ping_lost(guest, ADDRESS, count, switch)
        no_ping_lost(guest, "-s 1400 " + ADDRESS, 50, switch)
        status = switch.telemetry("/net_vring/status,0")
        check(status["iotlb_misses"] > 0 and status["iotlb_updates"] > 0,
              "nothing was asked for: %s" % status)
    finally:
        if guest:
            guest.end()
        if switch:
            switch.quit()


def two_guests(modes, qemu):
    """Guests in different modes (None: without an IOMMU) that talk to each other."""
    socks = [path("i%d" % i) for i in (0, 1)]
    guests_, switch = [], None
    try:
        switch = bed.Testpmd("switch", [bed.vdev(i, "iface=%s,iommu-support=1" % socks[i])
                                        for i in (0, 1)], args=["--auto-start"])
        for i, mode in enumerate(modes):
            name = "i%d" % i
            guests_.append(boot(name, socks[i], MACS[i], qemu, mode) if mode else
                           bed.Guest(name, [bed.Nic(socks[i], MACS[i])], qemu=qemu, wait=False))
        for i, guest in enumerate(guests_):
            guest.wait_ready()
            guest.must("ip addr add 10.0.0.%d/24 dev eth0 && ip link set eth0 up" % (i + 1))
        for i, mode in enumerate(modes):
            switch.wait_link(i)
            if mode:
                behind_iommu(guests_[i])
        no_ping_lost(guests_[0], "10.0.0.2", 150, switch)
        guests_[1].must("iperf3 -s -D")
        rate = bed.iperf(guests_[0], "10.0.0.2", 2)
        print("# %d Mbit/s" % rate, flush=True)
        no_ping_lost(guests_[1], "10.0.0.1", 50, switch)
    finally:
        for guest in guests_:
            guest.end()
        if switch:
            switch.quit()


# name, QEMU, mode, options of the card, arguments of the port
CASES = (
    # without a root port QEMU does not tell of all that the guest takes back
    ("lazy", 7, "lazy", "", ""),
    ("lazy-ats", 10, "lazy", "bus=rp0,packed=on", ""),
    ("pt-zero-copy", 10, "pt", "mrg_rxbuf=off", ",zero-copy=1"),
)


def run(report):
    for name, *arguments in CASES:
        report.case(name, pings, *arguments)
    report.case("strict-and-lazy", two_guests, ("strict", "lazy"), 10)
    report.case("pt-and-none", two_guests, ("pt", None), 10)
