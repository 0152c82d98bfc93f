# SPDX-License-Identifier: BSD-3-Clause
"""The port as a consumer of a vDPA device of the kernel: in a guest, the kernel's own simulator,
which returns each frame that is sent to its own address."""

import json
import re
import time

import bed
import inside
import pcap
import probe
from bed import check
from inside import FRONT, MBUFS, grown, passes, resets, session

# without a byte of zero, where the simulator's comparison of addresses ends
MAC = "52:54:11:22:33:09"
OTHER = "52:54:11:22:33:0a"
DEVICE = "/dev/vhost-vdpa-0"
COUNT = inside.COUNT


def raw(mac):
    return bytes.fromhex(mac.replace(":", ""))


def addressed(mac, frames):
    return [raw(mac) + frame[6:] for frame in frames]


class Device(inside.Loop):
    """The guest, and its device v0."""

    def __init__(self):
        frames = pcap.packets(COUNT, largest=1514,
                              sizes=[size for size in pcap.EDGES if size <= 1514])
        large = pcap.packets(COUNT // 2, seed=2, largest=4084, sizes=[
            size for size in pcap.EDGES + pcap.JUMBO if size <= 4084])
        super().__init__("vdpa", "path=" + DEVICE, {
            "ordinary": addressed(MAC, frames), "other": addressed(OTHER, frames),
            "large": addressed(MAC, large)})
        self.pins(True)

    def pins(self, yes):
        """A simulator that has memory pinned and mapped, as hardware has, or that uses the
        process's own addresses."""
        self.guest.must(
            "rmmod vdpa_sim_net vdpa_sim vhost_vdpa; cd /modules; "
            # of small pages that are not neighbours there are more than the usual 2048
            "insmod *-vhost_vdpa.ko max_iotlb_entries=65536 && "
            "insmod *-vdpa_sim.ko max_iotlb_entries=65536 use_va=%d && "
            "insmod *-vdpa_sim_net.ko" % (not yes))
        self.add()

    def add(self):
        self.guest.must("vdpa dev add mgmtdev vdpasim_net name v0 mac " + MAC)
        bed.wait_for(DEVICE, lambda: self.guest.run("test -c " + DEVICE)[0] == 0, 5)

    def present(self):
        return "v0:" in self.guest.must("vdpa dev show")

    def restore(self):
        """What the case before has left is no concern of the next one."""
        self.guest.run("killall -9 dpdk-testpmd; rm -f /sink /tmp/pmd*")
        if self.present():
            self.guest.must("vdpa dev del v0")
        self.add()


def grows(device):
    """The heap grows by 128 MiB and shrinks again while the rings run: the device knows."""
    def body(pmd):
        device.verify(pmd)
        before = pmd.pinned_kib()
        check(before >= 64 << 10 or FRONT != "net_vring", "%d KiB are pinned" % before)
        pmd.cmd("set fwd noisy")
        pmd.cmd("start", 60)
        during = pmd.pinned_kib()
        pmd.cmd("stop", 60)
        pmd.cmd("set fwd io")
        device.verify(pmd)
        check(during >= before + (128 << 10),
              "%d KiB were pinned, %d when it had grown by 128 MiB" % (before, during))
        after = bed.wait_for("memory is given back",
                             lambda: pmd.pinned_kib() <= before and pmd.pinned_kib(), 5)
        check(after, "nothing is pinned any more")
    session(device, body, args=["--noisy-lkup-memory=128"])


def address(device):
    """The command that the device has: its address; what it has not, has no effect."""
    def body(pmd):
        for command in ("set promisc 0 off", "set promisc 0 on", "set allmulti 0 on",
                        "set allmulti 0 off", "mac_addr add 0 " + MAC[:-1] + "b"):
            pmd.cmd(command)
            check(pmd.alive(), "testpmd ended with '%s'" % command)
        device.verify(pmd, "other", nothing=True)
        said = pmd.cmd("mac_addr set 0 " + OTHER)
        check("rror" not in said and "not" not in said, "mac_addr set: " + said)
        shown = device.guest.must("vdpa dev config show v0")
        check(OTHER in shown, "the device has another address: " + shown)
        device.verify(pmd, "other")
        # and has it again after a reset
        pmd.cmd("port stop 0")
        pmd.cmd("port start 0")
        pmd.wait_link(0)
        device.verify(pmd, "other")
    session(device, body, source="other")


def goes(device, remove, bring_back):
    """The device goes away under traffic, and comes back."""
    guest = device.guest
    pmd = device.port()
    try:
        pmd.wait_link(0)
        device.verify(pmd)
        fds = pmd.fds()
        pmd.cmd("set fwd txonly")
        pmd.cmd("set portlist 0")   # and nothing to the file
        pmd.cmd("start")
        began = len(pmd.log())
        time.sleep(0.5)
        # it waits for whoever has the device open
        guest.must("rm -f /tmp/removed; (%s; echo $? > /tmp/removed) > /dev/null 2>&1 &" % remove)
        bed.wait_for("'%s' ends" % remove,
                     lambda: guest.run("cat /tmp/removed")[1].strip() == "0", 5, 0.1)
        pmd.wait_link(0, 5, up=False)
        check(pmd.alive(), "testpmd ended: " + pmd.last_line())
        lines = [line for line in pmd.log()[began:].splitlines() if DEVICE in line]
        check(lines, "no line says that the device is gone")
        pmd.cmd("stop")
        pmd.cmd("set fwd io")
        pmd.cmd("set portlist 0,1")
        guest.must(bring_back)
        pmd.wait_link(0, 10)
        device.verify(pmd)
        check(pmd.fds() <= fds, "%d files open, %d before" % (pmd.fds(), fds))
        pmd.cmd("port stop 0")
        left = pmd.mbufs_available()
        check(left == MBUFS, "%d of %d mbufs are gone" % (MBUFS - left, MBUFS))
    finally:
        pmd.quit()


def says(device, what, **options):
    """One clear line about the device, and testpmd works without it."""
    pmd = device.port(**options)
    try:
        lines = bed.wait_for("a line with '%s'" % what, lambda: [
            line for line in pmd.log().splitlines()
            if "net_vring0" in line and re.search(what, line)], 5)
        check(len(lines) == 1, "%d lines: %s" % (len(lines), lines[0]))
        check(DEVICE in lines[0], "does not name the device: " + lines[0])
        devices = pmd.cmd("show device info all")
        check("net_pcap0" in devices, "testpmd does not answer")
        check("net_vring0" not in devices or not pmd.link_up(0), "the link is up")
    finally:
        pmd.quit()


def taken(device):
    """Somebody else has the device."""
    device.guest.must("exec 9<> %s; sleep 30 > /dev/null 2>&1 9>&9 & echo $! > /tmp/holder"
                      % DEVICE)
    try:
        says(device, r"(?i)busy|in use")
    finally:
        device.guest.run("kill $(cat /tmp/holder)")


def probed(device):
    """What vring-probe says of the device, and that it leaves it alone while it is in use."""
    guest = device.guest
    text = guest.must("vring-probe " + DEVICE)
    found = json.loads(guest.must("vring-probe --json --traffic " + DEVICE))
    probe.agree(text, found)
    check("vdpa" in found["role"].lower(), "role: " + found["role"])
    for name in ("VIRTIO_F_VERSION_1", "VIRTIO_F_ACCESS_PLATFORM", "VIRTIO_NET_F_CTRL_VQ"):
        check(name in found["features_names"], "no %s in features_names" % name)
    check(MAC in text, "no address in " + text)
    check(found["packets_sent"] == found["packets_returned"] > 0,
          "%d of %d packets came back" % (found["packets_returned"], found["packets_sent"]))

    def body(pmd):
        status, said = guest.run("vring-probe " + DEVICE)
        check(status == probe.IN_USE, "status %s while it is in use: %s" % (status, said))
        device.verify(pmd)
    session(device, body)


def run(report):
    device = Device()

    def case(name, function, *args, **options):
        def restored():
            device.restore()
            function(device, *args, **options)
        report.case(name, restored)
    try:
        case("bytes", passes, times=3)
        case("bytes-4084", passes, "large", args=["--mbuf-size=4352"], memory=96)
        case("bytes-no-huge", passes, huge=False)
        case("bytes-one-file", passes, eal=["--single-file-segments"])
        case("resets", resets)
        case("memory-grows", grows)
        case("memory-grown", grown)
        case("address", address)
        case("removed", goes, "vdpa dev del v0",
             "vdpa dev add mgmtdev vdpasim_net name v0 mac " + MAC)
        driver = "/sys/bus/vdpa/drivers/vhost_vdpa/"
        case("unbound", goes, "echo v0 > %sunbind" % driver, "echo v0 > %sbind" % driver)
        case("taken", taken)
        case("probe", probed)
        case("memlock", says, r"(?i)memlock|ulimit", memlock="1024")
        device.guest.must("vdpa dev del v0")
        device.pins(False)
        case("bytes-own-addresses", passes)
    finally:
        device.guest.end()
