# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's own secondary processes at a port of a running primary: proc-info, dumpcap and pdump."""

import errno
import glob
import os
import re
import signal
import struct
import subprocess

import bed
import pcap
from bed import check, path

COUNT = 100         # frames, fewer than a ring is deep
NAME = bed.DRV + "0"
RX_AVAIL, RX_DONE, TX_DONE = 0, 1, 1    # RTE_ETH_RX_DESC_ and RTE_ETH_TX_DESC_
# Processes know a kind of mempool by its number, in the order in which they came. Debian's testpmd
# is linked with one kind, which is first there. dpdk-dumpcap takes no -d.
PRELOADED = glob.glob("/usr/lib/*/librte_mempool_dpaa.so.[0-9][0-9]") + [bed.PLUGIN]


class Port:
    """A port of a primary that shares its memory, and a front-end that sends it frames."""

    def __init__(self):
        self.mounts = []
        try:
            self.frames = pcap.packets(COUNT, largest=1514)
            pcap.write(path("frames.pcap"), self.frames)
            self.primary = bed.Testpmd(
                "primary", [bed.vdev(0, "iface=" + path("port"))], huge=self.hugetlbfs(),
                args=["--forward-mode=rxonly", "--auto-start"])
            self.source = bed.Testpmd(
                "source", ["net_virtio_user0,path=" + path("port"),
                           "net_pcap0,infinite_rx=0,rx_pcap=" + path("frames.pcap")],
                plugin=False, cpu=1, eal=["--single-file-segments"])
            self.primary.wait_link(0)
        except bed.Failure:
            self.close()
            raise

    def hugetlbfs(self):
        directory = path("huge")
        os.mkdir(directory)
        subprocess.run(["mount", "-t", "hugetlbfs", "none", directory], check=True)
        self.mounts.append(directory)
        return directory

    def send(self, under_way=lambda: None):
        """Each frame once, from the start."""
        before = self.primary.stats(0)["ipackets"]
        self.source.cmd("set flush_rx off")
        self.source.cmd("set fwd io retry")
        self.source.cmd("start")
        under_way()
        bed.wait_for("%d frames at the port" % COUNT,
                     lambda: self.primary.stats(0)["ipackets"] >= before + COUNT)
        self.source.cmd("stop")
        # the file is read once for each start of its port
        self.source.cmd("port stop 1")
        self.source.cmd("port start 1")

    def ask(self, *arguments):
        """What proc-info prints."""
        argv = ["dpdk-proc-info", "--file-prefix", self.primary.prefix, "--no-pci",
                *bed.plugin_options(), "--", "-p", "0x1", *arguments]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
        check(done.returncode == 0, "proc-info %s: status %d, %s" % (
            " ".join(arguments), done.returncode, " / ".join(done.stdout.strip().split("\n"))))
        return done.stdout

    def queues(self, offset=0):
        """What ethdev answers of queues in a secondary process: (side, queue) -> count, status of
        the descriptor at the offset, packets of a burst, mode."""
        argv = [bed.QUEUE_COUNTS, "--proc-type=secondary", "--file-prefix", self.primary.prefix,
                "--no-pci", *bed.plugin_options(), "--", str(offset)]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=60, check=False)
        check(done.returncode == 0, "queue-counts: status %d, %s" % (
            done.returncode, " / ".join(done.stderr.strip().split("\n"))))
        lines = re.findall(r"^port 0 (rx|tx) (\d+): count (-?\d+), status (-?\d+), "
                           r"burst (\d+), mode (.*)$", done.stdout, re.M)
        return {(side, int(queue)): (*map(int, numbers), mode)
                for side, queue, *numbers, mode in lines}

    def works(self):
        """After a secondary process as before it."""
        check(self.primary.alive(), "the primary ended: " + self.primary.last_line())
        self.send()

    def close(self):
        for testpmd in (getattr(self, "source", None), getattr(self, "primary", None)):
            if testpmd:
                testpmd.quit()
        for directory in self.mounts:
            subprocess.run(["umount", directory], check=True)


def counters(port):
    port.send()
    told = {name: int(value) for name, value in
            re.findall(r"^(\w+): (\d+)\s*$", port.ask("--xstats"), re.M)}
    seen = port.primary.xstats(0)
    check(set(told) == set(seen), "names differ: %s" % sorted(set(told) ^ set(seen))[:4])
    wrong = [name for name in seen if re.search("packets|bytes|errors", name)
             and told[name] != seen[name]]
    check(not wrong, "%s is %d there, %d here" % (
        wrong[0], told[wrong[0]], seen[wrong[0]]) if wrong else "")
    check(told["rx_good_packets"] >= COUNT, "no packets were counted")
    stats = port.ask("--stats")
    check(re.search(r"RX-packets:\s+%d\b" % seen["rx_good_packets"], stats), "other --stats")
    port.works()


def information(port):
    text = port.ask("--show-port")
    for pattern in (NAME, r"link state: UP|Link.*(?i:up)", r"(?i)mtu",
                    r"descriptors 0/\d+"):
        check(re.search(pattern, text), "--show-port says nothing of " + pattern)
    port.works()


def counts(port):
    """Of frames that wait a secondary process knows as many as the primary, and what its bursts
    are; it can call all that ethdev has for a queue, and moves nothing."""
    def waits(offset=0):
        return port.queues(offset)["rx", 0]
    sent = port.queues()["tx", 0]
    check(waits()[:3] == (0, RX_AVAIL, 0), "an idle queue has " + str(waits()))
    check(sent[1:3] == (TX_DONE, 0) and sent[0] in (0, -errno.ENOTSUP), "tx: " + str(sent))
    for side in ("rx", "tx"):
        mode = port.queues()[side, 0][3]
        shown = port.primary.cmd("show %sq info 0 0" % side)
        check(re.search(r"Burst mode: %s \(" % re.escape(mode), shown) and "split" in mode,
              "%s mode is '%s' there, here: %s" % (side, mode, shown))
    port.primary.cmd("stop")

    def under_way():
        bed.wait_for("%d frames that wait" % COUNT, lambda: waits()[0] == COUNT, every=0.2)
        used = port.primary.cmd("show port 0 rxq 0 desc used count")
        check(re.search(r"= %d\b" % COUNT, used), "the primary says " + used)
        check([waits(at)[1] for at in (COUNT - 1, COUNT, 65535)] ==
              [RX_DONE, RX_AVAIL, -errno.EINVAL], "status beside the last one that waits")
        port.primary.cmd("start")
    port.send(under_way)
    check(waits()[0] == 0, "frames wait that were received")
    port.works()


def reset(port):
    """A secondary process may clear counters, which are of the port."""
    port.send()
    port.ask("--xstats-reset")
    left = port.primary.xstats(0)["rx_good_packets"]
    check(left == 0, "%d packets after a reset" % left)
    port.works()


def registers(port):
    """The words that the guide has, as a file. Packets move an index there, and nothing else."""
    def read():
        port.ask("--dump-regs", path("regs"))
        data = open(glob.glob(path("regs") + "*")[0], "rb").read()
        return struct.unpack("<%dI" % (len(data) // 4), data)
    before = read()
    check(before == read(), "registers move by themselves")
    check(len(before) == 8 + 8 * before[7], "%d words of %d vrings" % (len(before), before[7]))
    check(before[0] == 0 and before[1] == 7, "role %d, state 0x%x" % before[:2])
    rings = [before[at:at + 8] for at in range(8, len(before), 8)]
    check([ring[0] for ring in rings[:2]] == [3, 3], "vrings are %s" % rings[:2])
    check(all(ring[1] >= 256 for ring in rings[:2]), "vrings are %s" % rings[:2])
    port.send()
    after = read()
    moved = (after[8 + 8 + 2] - before[8 + 8 + 2]) & 0xffff
    check(moved == COUNT, "vring 1 has moved by %d for %d packets" % (moved, COUNT))
    port.works()


def descriptors(port):
    for side, vring in (("rx", 1), ("tx", 0)):
        text = port.ask("--show-%s-descriptor" % side, "0:0:4")
        check("vring %d: split, " % vring in text, "says nothing of vring %d: %s" % (vring, text))
        lines = re.findall(r"^  \d+: available \d+, used id \d+ len \d+, desc", text, re.M)
        check(len(lines) == 4, "%d descriptors of 4" % len(lines))
    port.works()


def private(port):
    text = port.ask("--show-port-private")
    check(re.search("^iface: .*port", text, re.M), "says nothing of the socket: " + text)
    check(re.search(r"^vring 1 .*enabled, split", text, re.M), "says nothing of vring 1")
    port.works()


def watching(name, argv, plugin=True):
    """A process that captures, once it does."""
    watcher = bed.Process(name, argv, env={
        **os.environ, "LD_PRELOAD": ":".join(PRELOADED if plugin else PRELOADED[:-1])})
    try:
        bed.wait_for("capture by " + name, lambda: re.search(
            r"Packets captured|core \(\d+\), capture", watcher.log()), 20)
        check(watcher.alive(), "%s ended: %s" % (name, watcher.last_line()))
    except bed.Failure:
        watcher.end(signal.SIGKILL)
        raise
    return watcher


def captured(port, name, argv, file):
    """Every byte of what a port receives, while one watches."""
    watcher = watching(name, argv)
    try:
        port.send()
        status = watcher.end(signal.SIGINT, 20)
    finally:
        watcher.end(signal.SIGKILL)
    check(status == 0, "%s ended with %d: %s" % (name, status, watcher.last_line()))
    pcap.compare(name, port.frames, pcap.read(file))
    port.works()


def dumpcap(port):
    file = path("dumpcap.pcap")
    captured(port, "dumpcap", [
        "dpdk-dumpcap", "--file-prefix=" + port.primary.prefix, "-i", NAME, "-P", "-w", file],
        file)


def pdump_argv(primary, device, file, plugin=True):
    """dpdk-pdump that writes what a port of a primary receives."""
    return ["stdbuf", "-oL", "dpdk-pdump", "--file-prefix", primary.prefix, "--lcores", "0@0",
            "--no-pci", *(bed.plugin_options() if plugin else []), "--", "--pdump",
            "device_id=%s,queue=*,rx-dev=%s,mbuf-size=8000" % (device, file)]


def pdump_of(primary, device, file, plugin):
    """The same as a process, once it captures."""
    return watching("pdump", pdump_argv(primary, device, file, plugin), plugin)


def pdump(port):
    file = path("pdump.pcap")
    captured(port, "pdump", pdump_argv(port.primary, NAME, file), file)


def peer_leaves(port):
    """A secondary process sees it without the primary having been asked. The last case."""
    port.source.quit()
    port.source = None
    port.primary.wait_link(0, up=False)
    told = re.findall(r"^session_management_disconnects: (\d+)\s*$", port.ask("--xstats"), re.M)
    check(told == ["1"], "disconnects: %s" % told)


def run(report):
    port = Port()
    try:
        for case in (counters, information, counts, reset, registers, descriptors, private, dumpcap,
                     pdump, peer_leaves):
            report.case(case.__name__, case, port)
    finally:
        port.close()
