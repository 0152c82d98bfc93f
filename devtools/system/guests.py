# SPDX-License-Identifier: BSD-3-Clause
"""Linux guests: their command agent; cards that are ports of a stock testpmd: offloads, queues,
restarts."""

import os
import re
import signal
import time

import bed
from bed import check, iperf, path, ping

# virtio feature bits, VIRTIO 1.2 sections 5.1.3 and 6
CSUM, HOST_TSO4, MRG_RXBUF, INDIRECT, EVENT_IDX, VERSION_1, PACKED = 0, 11, 15, 28, 29, 32, 34
HASH_REPORT = 57

NO_RX_OFFLOAD = "guest_csum=off,guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off"
NO_TSO = ("gso=off,host_tso4=off,host_tso6=off,host_ecn=off,host_ufo=off,"
          "guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off")


class Link:
    """Two cards joined by two ports. device: QEMU's options of either card."""

    def __init__(self, name, device="", other=None, port="", listens=False, have=(), lack=(),
                 netdev="", counts=()):
        self.name, self.port, self.listens, self.netdev = name, port, listens, netdev
        self.device = (device, device if other is None else other)
        self.have, self.lack = set(have), set(lack)
        self.counts = counts    # (end, counter): what must not be zero after the traffic


class Network:
    """Guests a and b, link i of them between ports 2i and 2i+1 of one testpmd."""

    def __init__(self, links, qemu, cpus=1, memory=256, memory_options="", args=(), queues=1,
                 nvdimm=0, driver=bed.DRV):
        self.links, self.qemu, self.args, self.queues = links, qemu, list(args), queues
        self.driver = driver
        self.nvdimm = nvdimm    # MiB of it in an ordinary file, beside the guests' memory
        self.guest_options = dict(qemu=qemu, cpus=cpus, memory=memory,
                                  memory_options=memory_options)
        self.switch = self.a = self.b = None
        self.files = []
        try:
            self.start_switch()
            self.a, self.b = self.boot(0), self.boot(1)
            for end, guest in enumerate((self.a, self.b)):
                guest.wait_ready()
                self.set_up(end, guest)
            for port in range(2 * len(links)):
                self.switch.wait_link(port)
        except BaseException:
            self.close()
            raise

    def sock(self, link, end):
        return path("n%d%s" % (link, "ab"[end]))

    def mac(self, link, end):
        return "52:54:00:00:%02x:%02x" % (end + 1, link)

    def address(self, link, end):
        return "10.0.%d.%d" % (link, end + 1)

    def start_switch(self):
        ports = []
        for i, link in enumerate(self.links):
            for end in (0, 1):
                ports.append(bed.vdev(2 * i + end, "iface=%s,queues=%d%s%s" % (
                    self.sock(i, end), self.queues, ",client=1" if link.listens else "",
                    link.port), self.driver))
        self.switch = bed.Testpmd("switch", ports, args=["--auto-start"] + self.args, memory=128,
                                  mbufs=8192, plugin=self.driver == "net_vring")

    def boot(self, end):
        nics = []
        for i, link in enumerate(self.links):
            if link.listens:
                chardev = "server=on,wait=off"
            else:
                chardev = "reconnect=1" if self.qemu == 7 else "reconnect-ms=500"
            nics.append(bed.Nic(self.sock(i, end), self.mac(i, end), chardev, link.netdev,
                                link.device[end]))
        return bed.Guest("ab"[end], nics, wait=False, extra=self.file_options(end),
                         **self.guest_options)

    def file_options(self, end):
        if not self.nvdimm:
            return ()
        file = os.path.join(bed.ROOT, "build", "nvdimm-%d-%d" % (os.getpid(), end))
        self.files.append(file)
        return ("-machine", "nvdimm=on", "-device", "nvdimm,id=nv,memdev=nvm", "-object",
                "memory-backend-file,id=nvm,share=on,mem-path=%s,size=%dM" % (file, self.nvdimm))

    def set_up(self, end, guest):
        for i in range(len(self.links)):
            guest.must("set -- $(grep -l %s /sys/class/net/*/address); d=${1%%/address}; "
                       "d=${d##*/}; ip link set $d name n%d && ip addr add %s/24 dev n%d && "
                       "ip link set n%d up" % (self.mac(i, end), i, self.address(i, end), i, i))
        serve(guest)

    def close(self):
        for guest in (self.a, self.b):
            if guest:
                guest.end(signal.SIGKILL)
        if self.switch:
            self.switch.quit()
        for file in self.files:
            os.unlink(file)


def serve(guest):
    """What iperf3 and blob() need of a guest."""
    guest.must("iperf3 -s -D > /dev/null")
    guest.must("dd if=/dev/urandom of=/tmp/blob bs=1M count=4 2> /dev/null")
    guest.must("httpd -h /tmp")


def blob(source, sink, address):
    """The sink fetches a file of the source, whose address that is, over TCP: it is the same."""
    want = source.must("md5sum < /tmp/blob").split()[0]
    got = sink.must("wget -q -O - http://%s/blob | md5sum" % address, 50).split()[0]
    check(got == want, "a file from %s to %s came altered" % (source.name, sink.name))


def flows(guest, address, options=""):
    """TCP moves."""
    check(iperf(guest, address, options=options, amount="4M") > 1, "iperf3 %s crawls" % options)


def one_link(network, i):
    link, a, b = network.links[i], network.a, network.b
    bits = a.features("n%d" % i)
    check(link.have <= bits, "feature bits %s were not negotiated" % sorted(link.have - bits))
    check(not link.lack & bits, "feature bits %s were negotiated" % sorted(link.lack & bits))
    there, back = network.address(i, 1), network.address(i, 0)
    lost = ping(a, there, 5, 0.1)
    check(lost == 0, "%d of 5 pings lost" % lost)
    # eleven fragments; a ring without indirect descriptors and mergeable buffers holds thirteen
    a.must("ping -q -c 2 -i 0.1 -s 16000 %s" % there)
    flows(a, there)
    flows(a, there, "-R")
    blob(b, a, there)
    blob(a, b, back)
    for port in (2 * i, 2 * i + 1):
        xstats = network.switch.xstats(port)
        wrong = ["%s %d" % item for item in xstats.items()
                 if item[1] and re.fullmatch(r"[rt]x_q\d+_\w+_errors", item[0])
                 and "nombuf" not in item[0]]
        check(not wrong, "port %d counts errors: %s" % (port, ", ".join(wrong)))
        for end, counter in link.counts if bed.DRV == "net_vring" else ():
            check(end != port % 2 or xstats.get(counter), "port %d: %s is %s" % (
                port, counter, xstats.get(counter)))


ZERO_COPY = ",zero-copy=1" if bed.DRV == "net_vring" else ""
HASHES = ",hash-report=1" if bed.DRV == "net_vring" else ""
OFFLOADS = [
    Link("default", have=[VERSION_1, MRG_RXBUF, INDIRECT, EVENT_IDX], lack=[PACKED]),
    Link("tso", port=",tso=1", have=[CSUM, HOST_TSO4],
         counts=[(0, "rx_q0_size_1519_max_packets"), (1, "tx_q0_size_1519_max_packets")]),
    Link("tso-nomrg", "mrg_rxbuf=off", port=",tso=1", have=[HOST_TSO4], lack=[MRG_RXBUF]),
    Link("tso-legacy-flags", port=",tso=1,legacy-ol-flags=1", have=[HOST_TSO4]),
    Link("tso-to-one-without", other=NO_RX_OFFLOAD, port=",tso=1,legacy-ol-flags=1",
         have=[HOST_TSO4], counts=[(0, "rx_q0_size_1519_max_packets"),
                                   (1, "tx_q0_sw_gso_packets")]),
    Link("notso", NO_TSO, port=",tso=1", lack=[HOST_TSO4]),
    Link("nocsum", "csum=off," + NO_RX_OFFLOAD + ",gso=off", port=",tso=1", lack=[CSUM]),
    # checksums that the port would complete are written to a copy
    Link("zero-copy", "csum=off," + NO_RX_OFFLOAD + ",gso=off", port=ZERO_COPY, lack=[CSUM],
         counts=[(0, "rx_q0_zero_copy_packets"), (1, "rx_q0_zero_copy_packets")]),
    Link("zero-copy-packed", "packed=on,csum=off," + NO_RX_OFFLOAD + ",gso=off",
         port=ZERO_COPY, have=[PACKED], lack=[CSUM],
         counts=[(0, "rx_q0_zero_copy_packets"), (1, "rx_q0_zero_copy_packets")]),
    Link("nomrg", "mrg_rxbuf=off", lack=[MRG_RXBUF]),
    Link("noeventidx", "event_idx=off", lack=[EVENT_IDX]),
    Link("noindirect", "indirect_desc=off", lack=[INDIRECT]),
    Link("legacy", "disable-modern=on,disable-legacy=off", lack=[VERSION_1]),
    Link("rings-1024", "rx_queue_size=1024,tx_queue_size=1024"),
    Link("packed", "packed=on", have=[PACKED]),
    Link("packed-tso", "packed=on", port=",tso=1", have=[PACKED, HOST_TSO4]),
    Link("packed-plain", "packed=on,mrg_rxbuf=off,event_idx=off,indirect_desc=off",
         have=[PACKED], lack=[MRG_RXBUF, EVENT_IDX, INDIRECT]),
    Link("hash", "hash=on", port=HASHES, have=[HASH_REPORT] if HASHES else []),
    Link("hash-packed-tso", "hash=on,packed=on", port=",tso=1" + HASHES,
         have=[PACKED, HOST_TSO4] + ([HASH_REPORT] if HASHES else [])),
]


MOST_LINKS = 16     # DPDK of Debian has 32 ports


def offloads(report, qemu):
    chosen = [link for link in OFFLOADS if report.part in link.name]
    for first in range(0, len(chosen), MOST_LINKS):
        links = chosen[first:first + MOST_LINKS]
        network = Network(links, qemu, memory=512,
                          args=["--enable-scatter", "--enable-lro"] if bed.DRV == "net_vring"
                          else [])
        try:
            for i, link in enumerate(links):
                report.case(link.name, one_link, network, i)
        finally:
            network.close()


def run7(report):
    offloads(report, 7)


# Merged packets for an application that has not asked for them.
CUT = [
    Link("cut", port=",tso=1", have=[HOST_TSO4], counts=[
        (0, "rx_q0_sw_gso_packets"), (1, "tx_q0_size_1024_1518_packets")]),
    Link("cut-packed", "packed=on", port=",tso=1", have=[HOST_TSO4, PACKED],
         counts=[(0, "rx_q0_sw_gso_packets")]),
    Link("cut-nomrg", "mrg_rxbuf=off", other="mrg_rxbuf=off," + NO_RX_OFFLOAD, port=",tso=1",
         have=[HOST_TSO4], counts=[(0, "rx_q0_sw_gso_packets")]),
    Link("cut-zero-copy", port=",tso=1" + ZERO_COPY, have=[HOST_TSO4],
         counts=[(0, "rx_q0_sw_gso_packets")]),
]


def cut_link(network, i):
    one_link(network, i)
    large = network.switch.xstats(2 * i + 1).get("tx_q0_size_1519_max_packets", 0)
    check(large == 0, "%d packets over a segment were passed on" % large)


def cut(report):
    chosen = [link for link in CUT if report.part in link.name]
    if not chosen or bed.DRV != "net_vring":
        return
    network = Network(chosen, 10)
    try:
        for i, link in enumerate(chosen):
            report.case(link.name, cut_link, network, i)
    finally:
        network.close()


def run10(report):
    offloads(report, 10)
    cut(report)


# ---- several queues -----------------------------------------------------------------------

def change_queues(network, i):
    """The guests change their number of queues while TCP streams run."""
    a, b = network.a, network.b
    there = network.address(i, 1)
    a.must("rm -f /tmp/iperf; (iperf3 -c %s -P 4 -t 7 -f m > /tmp/iperf 2>&1; "
           "echo status $? >> /tmp/iperf) > /dev/null 2>&1 &" % there)
    time.sleep(1)
    for count in (1, 4, 2, 3, 1, 4):
        for guest in (a, b):
            guest.must("ethtool -L n%d combined %d" % (i, count))
        # a ring that TCP keeps full has no room for everybody, and says so
        counted = drops(network.switch, (2 * i, 2 * i + 1))
        lost = ping(a, there, 3, 0.1, 2)
        counted = drops(network.switch, (2 * i, 2 * i + 1)) - counted
        check(lost <= min(counted, 2), "%d of 3 pings lost with %d queues, %d packets counted as "
              "dropped" % (lost, count, counted))
    output = bed.wait_for("end of iperf3",
                          lambda: re.search(r"(?s).*status \d+", a.run("cat /tmp/iperf")[1]), 25,
                          0.3).group(0)
    check(output.endswith("status 0"), "iperf3: " + output.strip().splitlines()[-2])
    for port in (2 * i, 2 * i + 1):
        stats, xstats = network.switch.stats(port), network.switch.xstats(port)
        each = [xstats["rx_q%d_packets" % queue] for queue in range(4)]
        check(sum(map(bool, each)) > 1, "port %d: rx_qN_packets %s" % (port, each))
        check(sum(each) <= network.switch.stats(port)["ipackets"]
              and sum(each) >= stats["ipackets"],
              "port %d: ipackets %d, rx_qN_packets %s" % (port, stats["ipackets"], each))


def region_sizes(switch):
    memory = switch.telemetry("/net_vring/memory,0")
    return [memory[name]["bytes"] for name in memory if name.startswith("region_")]


def queues7(report):
    queues(report, 7)


def queues10(report):
    queues(report, 10)


def queues(report, qemu):
    links = [Link("split", "mq=on", netdev="queues=4"),
             Link("packed", "mq=on,packed=on", netdev="queues=4", have=[PACKED])]
    # beside the memory of the newer QEMU there is a file, which its back-ends get as well
    nvdimm = 64 if qemu == 10 else 0
    network = Network(links, qemu, cpus=2, args=["--rxq=4", "--txq=4"], queues=4, nvdimm=nvdimm,
                      memory_options=",slots=1,maxmem=1G" if nvdimm else "")
    try:
        if bed.DRV == "net_vring":
            check(nvdimm == 0 or nvdimm << 20 in region_sizes(network.switch),
                  "the port has no region of %d MiB" % nvdimm)
        for i, link in enumerate(links):
            report.case(link.name, change_queues, network, i)
    finally:
        network.close()


# ---- restarts -----------------------------------------------------------------------------

def all_ping(network, chosen, what):
    for i in chosen:
        lost = ping(network.a, network.address(i, 1), 3, 0.1)
        check(lost == 0, "%s: %d of 3 pings lost %s" % (network.links[i].name, lost, what))


def stop_start(network, chosen):
    all_ping(network, chosen, "before")
    switch = network.switch
    for command in ("stop", "port stop all", "port start all", "start"):
        switch.cmd(command)
    for port in range(2 * len(network.links)):
        switch.wait_link(port)
    all_ping(network, chosen, "after port stop and start")


def received(guest, i):
    return int(guest.must("cat /sys/class/net/n%d/statistics/rx_packets" % i))


def killed(network, chosen):
    """kill -9 of the application under traffic; its successor takes over by itself."""
    for i in chosen:
        network.a.must("ping -i 0.05 %s > /dev/null 2>&1 < /dev/null &" % network.address(i, 1))
    time.sleep(0.5)
    network.switch.end(signal.SIGKILL)
    if bed.DRV != "net_vring":
        # DPDK's own driver does not take over the socket of a dead process
        for i, link in enumerate(network.links):
            for end in (0, 1):
                link.listens or os.unlink(network.sock(i, end))
    before = [received(network.a, i) for i in chosen]
    network.start_switch()
    end = time.monotonic() + 2
    silent = dict(zip(chosen, before))
    while silent and time.monotonic() < end:
        # a few, since the neighbour may have to ask for the address anew
        silent = {i: count for i, count in silent.items()
                  if received(network.a, i) < count + 5}
        time.sleep(0.05)
    network.a.must("killall ping; true")
    check(not silent, "no traffic two seconds after the restart on %s" % ", ".join(
        network.links[i].name for i in silent))
    all_ping(network, chosen, "after kill -9")


def guest_restart(network, chosen, end):
    """The guest at end 0 (a) or 1 (b) dies and comes back; nothing of it stays behind."""
    switch = network.switch
    fds = switch.fds()
    guest = "ab"[end]
    getattr(network, guest).end(signal.SIGKILL)
    for i in range(len(network.links)):
        bed.wait_for("link down of port %d" % (2 * i + end),
                     lambda port=2 * i + end: not switch.link_up(port), 5)
    setattr(network, guest, network.boot(end))
    getattr(network, guest).wait_ready()
    network.set_up(end, getattr(network, guest))
    for i in chosen:
        getattr(network, "ba"[end]).must("ip neigh flush dev n%d" % i)
    all_ping(network, chosen, "after the guest's restart")
    flows(network.a, network.address(chosen[0], 1))
    check(switch.fds() <= fds, "testpmd had %d files open, has %d" % (fds, switch.fds()))
    free = bed.wait_for("mbufs back", lambda: switch.mbufs_available() == 8192, 2)
    check(free, "mbufs are missing")


def restart7(report):
    restart(report, 7)


def restart_links():
    return [Link("split-guest-connects"), Link("split-guest-listens", listens=True),
            Link("packed-guest-connects", "packed=on"),
            Link("packed-guest-listens", "packed=on,indirect_desc=off", listens=True),
            Link("zero-copy", "csum=off," + NO_RX_OFFLOAD + ",gso=off", port=ZERO_COPY)]


def restart(report, qemu=10):
    links = restart_links()
    everyone = [0, 1, 2, 3, 4]
    network = Network(links, qemu)
    try:
        report.case("port-stop-start", stop_start, network, everyone)
        for end in (0, 1):
            report.case("guest-restart-" + "ab"[end], guest_restart, network, everyone, end)
        for number in (1, 2):
            report.case("kill-9-%d" % number, killed, network, everyone)
    finally:
        network.close()


# ---- memory that comes and goes -----------------------------------------------------------

def drops(switch, ports):
    """What the ports dropped, and testpmd where a port took no more."""
    counted = sum(value for port in ports for name, value in switch.xstats(port).items()
                  if name.endswith("_dropped"))
    return counted + sum(map(int, re.findall(r"TX-dropped: (\d+)",
                                             switch.cmd("show fwd stats all"))))


def dimms(network, count):
    """Memory is plugged and unplugged under load; what is lost was counted."""
    a, there = network.a, network.address(0, 1)
    counted = drops(network.switch, (0, 1))
    a.must("(iperf3 -c %s -t 8 -f m > /tmp/iperf 2>&1; echo status $? >> /tmp/iperf) "
           "> /dev/null 2>&1 &" % there)
    a.must("ping -q -i 0.02 %s > /tmp/ping 2>&1 < /dev/null &" % there)
    regions = count_regions(network.switch)
    for number in range(count):
        name = "d%d" % number
        a.qmp("object-add", **{"qom-type": "memory-backend-memfd", "id": "m" + name,
                               "size": 128 << 20, "share": True})
        a.qmp("device_add", driver="pc-dimm", id=name, memdev="m" + name)
        time.sleep(0.1)
    bed.wait_for("the plugged memory in the guest", lambda: int(re.search(
        r"MemTotal:\s+(\d+)", a.must("cat /proc/meminfo")).group(1)) > count * (100 << 10), 10)
    if regions is not None:
        check(count_regions(network.switch) > regions, "the port has no region more")
    for number in range(count):
        a.qmp("device_del", id="d%d" % number)
    bed.wait_for("unplugging", lambda: not a.qmp("query-memory-devices"), 15, 0.1)
    a.must("killall -INT ping; sleep 0.2")
    said = a.must("cat /tmp/ping")
    sent, got = map(int, re.search(r"(\d+) packets transmitted, (\d+) packets received",
                                   said).groups())
    # those on their way when ping ended
    late = 1 + int(float(re.search(r"min/avg/max = [\d.]+/[\d.]+/([\d.]+) ms", said).group(1)) / 20)
    output = bed.wait_for("end of iperf3",
                          lambda: re.search(r"(?s).*status \d+", a.run("cat /tmp/iperf")[1]), 25,
                          0.3).group(0)
    check(output.endswith("status 0"), "iperf3: " + output.strip().splitlines()[-2])
    counted = drops(network.switch, (0, 1)) - counted
    check(sent - got <= counted + late, "%d of %d pings lost, %d packets counted as dropped" % (
        sent - got, sent, counted))
    all_ping(network, [0], "afterwards")


def count_regions(switch):
    """Not every driver shows its memory map."""
    if bed.DRV != "net_vring":
        return None
    return switch.telemetry("/net_vring/memory,0")["regions"]


def remap(report):
    # DPDK's own driver has eight slots, the guest's own memory takes some of them
    count = 12 if bed.DRV == "net_vring" else 4
    for link, qemu, pairs in (
            (Link("split"), 10, 1), (Link("packed", "packed=on"), 10, 1),
            # this QEMU sends each change once a pair
            (Link("split-qemu7-4-queues", "mq=on", netdev="queues=4"), 7, 4)):
        if report.part not in link.name:
            continue
        network = Network([link], qemu, cpus=1 if pairs == 1 else 2, queues=pairs,
                          args=["--rxq=%d" % pairs, "--txq=%d" % pairs],
                          memory_options=",slots=16,maxmem=4G")
        try:
            report.case(link.name, dimms, network, count)
        finally:
            network.close()


# ---- what the other cases stand on ---------------------------------------------------------

def orphans(guest):
    """No command is lost where processes end that earlier ones left behind."""
    for number in range(200):
        # ends some time during the next command, which is sent in several interrupts
        guest.must("(sleep 0.0%d) > /dev/null 2>&1 &" % (number % 9 + 1), 5)
        said = guest.must("echo %s" % ("word " * 20), 5)
        check(said.split() == ["word"] * 20, "command %d said '%s'" % (number, said))


def agent(report):
    guest = bed.Guest("agent", [], qemu=10)
    report.case("orphans", orphans, guest)
