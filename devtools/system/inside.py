# SPDX-License-Identifier: BSD-3-Clause
"""The port inside of a guest whose kernel has a device for it: dpdk-testpmd there, and a device
that returns frames, so that every byte can be compared."""

import base64
import os

import bed
import guest_testpmd
import overlay
import pcap
import probe
from bed import check

PLUGIN = "/plugin/librte_net_vring.so"
IDLE_POLL = "/plugin/idle-poll.so"
FRONT = os.environ.get("FRONT", "net_vring")
MBUFS = 4096        # of a testpmd there
COUNT = 200         # fewer than the device's rings are deep, since it drops what finds no buffer


def testpmd(guest, vdevs, eal=(), idle=False, **options):
    """dpdk-testpmd there with these devices, the driver under test among its drivers. idle: it
    sleeps between polls in vain, even where no other work runs beside."""
    ours = any(device.startswith("net_vring") for device in vdevs)
    words = ["--no-pci"] + (["-d", PLUGIN] if ours else [])
    words += bed.idle_options(IDLE_POLL, idle) + list(eal)
    words += [word for device in vdevs for word in ("--vdev", device)]
    pmd = guest_testpmd.GuestTestpmd(guest, words, **options)
    pmd.ours = ours
    return pmd


class Loop:
    """A guest with a device that returns frames.

    arguments: of the port, after its name; frames: name -> frames, each a file /NAME.pcap there;
    more: other programs, each a path here and a path there.
    """

    def __init__(self, name, arguments, frames, more=()):
        self.arguments, self.frames = arguments, frames
        data, programs = [], list(more)
        for source, content in self.frames.items():
            pcap.write(bed.path("source"), content)
            with open(bed.path("source"), "rb") as file:
                data.append(("/%s.pcap" % source, file.read()))
        if FRONT == "net_vring":
            programs.append((bed.PLUGIN, PLUGIN))
        check(os.path.exists(probe.PROGRAM), "no %s: devtools/build makes it" % probe.PROGRAM)
        programs.append((probe.PROGRAM, "/bin/vring-probe"))
        programs.append((bed.GROW_POOL, "/bin/grow-pool"))
        programs.append((bed.IDLE_POLL, IDLE_POLL))
        self.guest = bed.Guest(name, [], qemu=10, cpus=2, memory=1024, image="guest-vdpa",
                               initrd=overlay.initrd("guest-vdpa", name, programs, data))
        self.guest.must("mkdir -p /dev/hugepages /var/run; mount -t tmpfs none /dev/shm; "
                        "echo 200 > /proc/sys/vm/nr_hugepages; "
                        "mount -t hugetlbfs none /dev/hugepages")

    def comes(self, pmd):
        """The port is there, and its link not yet."""

    def port(self, source="ordinary", options="", **arguments):
        """A testpmd that sends the frames of a file and writes what comes back to /sink."""
        pmd = testpmd(self.guest, [
            "%s0,%s%s" % (FRONT, self.arguments, options),
            pcap.port(0, ["/%s.pcap" % source], ["/sink"])], **arguments)
        self.comes(pmd)
        return pmd

    def sink(self, name="/sink"):
        """The frames in a file there."""
        with open(bed.path("sink"), "wb") as file:
            file.write(base64.b64decode(self.guest.must("base64 -w 0 %s; echo" % name, 60)))
        return pcap.read(bed.path("sink"))

    def loop(self, pmd, expected):
        """Send the file once; wait until so much has come back."""
        before = pmd.stats(0)["ipackets"]
        pmd.cmd("set flush_rx off")
        pmd.cmd("start")
        try:
            bed.wait_for("", lambda: pmd.stats(0)["ipackets"] >= before + expected, 5)
        except bed.Failure:
            pass  # what is missing is for the comparison to say
        pmd.cmd("stop")

    def verify(self, pmd, source="ordinary", nothing=False):
        """One pass of the file, every byte compared; the sink is written when port 1 stops."""
        expected = [] if nothing else self.frames[source]
        # a file is read once in each life of its port
        for command in ("port stop 1", "port start 1"):
            pmd.cmd(command)
        self.loop(pmd, len(expected))
        pmd.cmd("port stop 1")
        pcap.compare("from the device", expected, self.sink())
        pmd.cmd("port start 1")


def check_mbufs(pmd):
    """With its ports stopped. net_virtio_user keeps what is in its rings."""
    gone = pmd.mbufs - pmd.mbufs_available()
    check(not gone or not pmd.ours, "%d of %d mbufs are gone" % (gone, pmd.mbufs))


def session(device, body, **options):
    """One testpmd for body(pmd), which then has to end well."""
    pmd = device.port(**options)
    try:
        pmd.wait_link(0)
        body(pmd)
        pmd.cmd("port stop 0")
        pmd.cmd("port stop 1")
        check_mbufs(pmd)
    finally:
        pmd.quit()


def passes(device, source="ordinary", times=1, **options):
    def body(pmd):
        for _ in range(times):
            device.verify(pmd, source)
        stats = pmd.stats(0)
        want = times * len(device.frames[source])
        check(stats["ipackets"] == want and stats["opackets"] == want,
              "sent %d, received %d of %d" % (stats["opackets"], stats["ipackets"], want))
    session(device, body, source=source, **options)


def resets(device):
    """Stopping a port resets the device; it works again each time and nothing is left over."""
    def body(pmd):
        device.verify(pmd)
        fds = pmd.fds()
        for command in ["port stop 0", "port start 0"] * 5 + ["port stop 0", "port reset 0",
                                                              "port start 0"]:
            pmd.cmd(command)
        pmd.wait_link(0)
        device.verify(pmd)
        check(pmd.fds() <= fds, "%d files open, %d before" % (pmd.fds(), fds))
    session(device, body)


def grown(device):
    """Packets out of memory that came while the port was running, every byte compared. Stock
    testpmd cannot: it has all its pools before its ports start."""
    plugin = "-d " + PLUGIN if FRONT == "net_vring" else ""
    status, said = device.guest.run(
        # drivers that are libraries of others as well, from the place where EAL looks for them
        "ulimit -l unlimited; LD_LIBRARY_PATH=$(echo /usr/lib/*/dpdk/pmds-*) grow-pool "
        "--lcores 0@1 --no-pci --no-telemetry -m 16 --in-memory --file-prefix grow %s "
        "--vdev %s0,%s 2>&1" % (plugin, FRONT, device.arguments), 90)
    check(status == 0, " ".join([line for line in said.splitlines() if "grow-pool: " in line][-2:])
          or "status %s: %s" % (status, said[-200:]))


