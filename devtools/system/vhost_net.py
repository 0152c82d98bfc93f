# SPDX-License-Identifier: BSD-3-Clause
"""The port on the kernel's vhost-net: in a guest, dpdk-testpmd on one side of a tap and the guest's
network stack on the other."""

import os
import re
import shlex

import bed
import coming
import docs
import inside
import pcap
from bed import check
from inside import FRONT, check_mbufs, grown, passes, resets, testpmd

DEVICE = "/dev/vhost-net"
TAP = "tapv0"
MAC = "52:54:00:00:00:21"
OURS, TESTPMD = "10.1.0.1", "10.1.0.2"
PINGS = 20
LARGE_MBUFS = 20480
SOCKET = "/run/vm0.sock"
VM2TAP = os.path.join(bed.ROOT, "build/examples/vm2tap/vm2tap")
HOWTO = "doc/guides/howto/exceptional_path.rst"
# ip and tc are called by their paths, since the guest's shell has smaller ones of its own


def arguments(name=TAP, more=""):
    return "path=%s,ifname=%s%s" % (DEVICE, name, more)


def spelled(driver, text):
    """net_virtio_user has another key for the name of the tap."""
    return text if driver == "net_vring" else text.replace(",ifname=", ",iface=")


class Kernel(inside.Loop):
    """The guest; its taps return each frame where the kernel's traffic control is told to."""

    front = FRONT

    def __init__(self, more=(), frames=None):
        """more: other programs, each a path here and a path there; frames: as of inside.Loop."""
        sizes = [size for size in pcap.EDGES if size <= 1514]
        super().__init__("vhost-net", spelled(FRONT, arguments()), {
            "ordinary": pcap.packets(inside.COUNT, largest=1514, sizes=sizes),
            "large": pcap.packets(inside.COUNT // 2, seed=2, largest=9000), **(frames or {})
        }, [(VM2TAP, "/bin/vm2tap"), *more])
        # the kernel says nothing by itself
        self.guest.must("for f in all default; do "
                        "echo 1 > /proc/sys/net/ipv6/conf/$f/disable_ipv6; done")

    def returns(self, name=TAP, mtu=1500):
        """Each frame that comes out of a tap goes back into it."""
        self.guest.must("/bin/tc qdisc add dev {0} ingress && "
                        "/bin/tc filter add dev {0} ingress matchall action mirred egress redirect "
                        "dev {0} && /bin/ip link set {0} mtu {1} up".format(name, mtu))

    def comes(self, pmd):
        self.returns(mtu=9000)

    def restore(self):
        """What the case before has left is no concern of the next one."""
        self.guest.run("killall -9 dpdk-testpmd l3fwd-power vm2tap iperf3 nc; "
                       "rm -f /sink /tmp/pmd* /tmp/file /tmp/got; /bin/ip -all netns delete")
        bed.wait_for("taps of former cases go", lambda: not [
            self.guest.run("/bin/ip link del " + name) for name in self.taps()], 10)

    def taps(self):
        return re.findall(r"^\d+: ([^:@ ]+).*\n.*link/ether", self.guest.must("/bin/ip link"), re.M)

    def testpmd(self, vdevs, **options):
        return testpmd(self.guest, ["%s%d,%s" % (self.front, number,
                                                  spelled(self.front, text))
                                    for number, text in enumerate(vdevs)], **options)

    def echo(self, more="", **options):
        """A testpmd that answers pings, and the interface that asks."""
        pmd = self.testpmd([arguments(more=more)], **options)
        self.guest.must("/bin/ip addr add %s/16 dev %s; /bin/ip link set %s up" % (OURS, TAP, TAP))
        pmd.wait_link(0)
        pmd.cmd("set fwd icmpecho")
        pmd.cmd("start")
        return pmd

    def ping(self, count=PINGS, address=TESTPMD, prefix=""):
        said = self.guest.run("%s ping -c %d -i 0.05 -W 5 %s" % (prefix, count, address), 60)[1]
        match = re.search(r"(\d+) packets transmitted, (\d+) packets received", said)
        check(match, "ping %s: %s" % (address, said))
        check(match.group(2) == str(count), "%s of %d pings of %s are answered" % (
            match.group(2), count, address))

    def apart(self):
        """The interfaces "left" and "right" in network namespaces of these names."""
        for number, name in enumerate(("left", "right")):
            self.guest.must("/bin/ip netns add {0}; /bin/ip link set {0} netns {0}; "
                            "/bin/ip -n {0} addr add 10.2.0.{1}/24 dev {0}; "
                            "/bin/ip -n {0} link set {0} up".format(name, number + 1))

    def reads(self, file):
        return self.guest.run("cat " + file)[1].strip()

    def attribute(self, name, interface=TAP):
        return self.reads("/sys/class/net/%s/%s" % (interface, name))


def stopped(pmd, ports=1):
    """Stop its ports; all mbufs are where they were."""
    pmd.cmd("stop")
    for port in range(ports):
        pmd.cmd("port stop %d" % port)
    check_mbufs(pmd)


def pings(kernel):
    """The kernel's pings of an address that testpmd has; port and tap have one address."""
    pmd = kernel.echo(",mac=" + MAC)
    try:
        kernel.ping()
        check(kernel.attribute("address") == MAC, "the tap has the address " +
              kernel.attribute("address"))
        check(MAC.upper() in pmd.cmd("show port info 0"), "the port has another address")
        stats = pmd.stats(0)
        check(stats["ipackets"] >= PINGS and stats["opackets"] >= PINGS, "counted: %s" % stats)
        stopped(pmd)
    finally:
        pmd.quit()


def links(kernel):
    """Each end sees whether the other is up."""
    pmd = kernel.echo()
    try:
        check(kernel.attribute("carrier") == "1", "no carrier while the port runs")
        kernel.guest.must("/bin/ip link set %s down" % TAP)
        pmd.wait_link(0, 5, up=False)
        kernel.guest.must("/bin/ip link set %s up" % TAP)
        pmd.wait_link(0, 5)
        kernel.ping()
        pmd.cmd("stop")
        pmd.cmd("port stop 0")
        check(kernel.attribute("carrier") == "0", "there is a carrier while the port is stopped")
        pmd.cmd("port start 0")
        pmd.wait_link(0)
        pmd.cmd("start")
        check(kernel.attribute("carrier") == "1", "no carrier after a start")
        kernel.ping()
        stopped(pmd)
    finally:
        pmd.quit()


def restarts(kernel):
    pmd = kernel.echo(",queues=2", args=["--rxq=2", "--txq=2"])
    try:
        kernel.ping()
        fds = pmd.fds()
        for _ in range(5):
            for command in ("stop", "port stop 0", "port start 0", "start"):
                pmd.cmd(command)
            kernel.ping(5)
        check(pmd.fds() <= fds, "%d files open, %d before" % (pmd.fds(), fds))
        stopped(pmd)
    finally:
        pmd.quit()


def closed(kernel):
    """A tap goes with its port, and a persistent one stays."""
    kernel.guest.must("/bin/ip tuntap add dev kept mode tap")
    pmd = kernel.testpmd([arguments(), arguments("kept")])
    try:
        check(sorted(kernel.taps()) == ["kept", TAP], "interfaces: %s" % kernel.taps())
        for number in (0, 1):
            for command in ("port stop %d", "port close %d"):
                pmd.cmd(command % number)
        bed.wait_for("%s goes" % TAP, lambda: kernel.taps() == ["kept"], 5)
    finally:
        pmd.quit()


def named_by_kernel(kernel):
    pmd = kernel.testpmd(["path=" + DEVICE, "path=" + DEVICE])
    try:
        check(sorted(kernel.taps()) == ["tap0", "tap1"], "interfaces: %s" % kernel.taps())
        check(re.search(r"net_vring1: .*tap1", pmd.log()) or FRONT != "net_vring",
              "no line says which interface it is")
    finally:
        pmd.quit()


def taken_over(kernel):
    """A tap that exists keeps its address, which becomes the port's; it may have more queues."""
    other = MAC[:-1] + "5"
    for kind in ("", " multi_queue"):
        kernel.guest.must("/bin/ip tuntap add dev {0} mode tap{1} && "
                          "/bin/ip link set {0} address {2}".format(TAP, kind, other))
        pmd = kernel.echo()
        try:
            kernel.ping()
            check(other in kernel.attribute("address"), "the tap has another address")
            check(other.upper() in pmd.cmd("show port info 0"), "the port has another address")
            stopped(pmd)
        finally:
            pmd.quit()
        kernel.restore()


def deleted(kernel):
    """Somebody deletes the interface under traffic; the port makes it anew."""
    pmd = kernel.echo(",queues=2", args=["--rxq=2", "--txq=2"])
    try:
        kernel.ping()
        address = kernel.attribute("address")
        fds = pmd.fds()
        kernel.guest.must("(ping -i 0.01 %s > /dev/null 2>&1 &) ; /bin/ip link del %s" % (
            TESTPMD, TAP))
        bed.wait_for("a line that says so",
                     lambda: re.search(r"net_vring0: .*%s.*deleted" % TAP, pmd.log()), 5)
        bed.wait_for("the interface is back", lambda: TAP in kernel.taps(), 5)
        kernel.guest.must("killall ping; /bin/ip addr add %s/16 dev %s; /bin/ip link set %s up" % (
            OURS, TAP, TAP))
        pmd.wait_link(0)
        check(kernel.attribute("address") == address, "it has another address")
        kernel.ping()
        check(pmd.fds() <= fds, "%d files open, %d before" % (pmd.fds(), fds))
        stopped(pmd)
    finally:
        pmd.quit()


def counted(pmd, name):
    """What each queue has received."""
    stats = pmd.xstats(0)
    return [stats.get(name % queue, 0) for queue in range(2)]


def queues(kernel):
    """Flows are spread over as many queues as are in use, and none is lost when that changes."""
    pmd = kernel.echo(",queues=2", args=["--rxq=2", "--txq=2"])
    name = "rx_q%d_packets" if FRONT == "net_vring" else "rx_q%d_good_packets"
    addresses = ["10.1.1.%d" % number for number in range(1, 25)]
    try:
        for count in (2, 1, 2):
            for command in ("stop", "port stop 0", "port config all rxq %d" % count,
                            "port config all txq %d" % count, "port start 0"):
                pmd.cmd(command)
            pmd.wait_link(0)
            pmd.cmd("clear port xstats 0")
            pmd.cmd("start")
            shell = "; ".join("ping -c 1 -W 5 %s | grep -c ' 0%%'" % one for one in addresses)
            answered = kernel.guest.run(shell, 120)[1].split().count("1")
            check(answered == len(addresses), "%d queues: %d of %d addresses answer" % (
                count, answered, len(addresses)))
            got = counted(pmd, name)
            check(all(got[:count]) and not any(got[count:]), "%d queues received %s" % (
                count, got))
        stopped(pmd)
    finally:
        pmd.quit()


def two_sides(kernel, args=(), queues_=1):
    """Two taps in two network namespaces, and testpmd between them, with as many mbufs as the rings
    can hold if each packet has 64 KiB."""
    more = ",queues=%d" % queues_ if queues_ > 1 else ""
    pmd = kernel.testpmd([arguments("left", more), arguments("right", more)],
                         args=["--rxq=%d" % queues_, "--txq=%d" % queues_] + list(args),
                         memory=128, mbufs=LARGE_MBUFS)
    kernel.apart()
    for port in (0, 1):
        pmd.wait_link(port)
    return pmd


def carry(kernel, source, sink, address):
    """A file through TCP, from a namespace to another one."""
    guest = kernel.guest
    # it goes on until the other side ends, since nothing ends its own input
    guest.must("rm -f /tmp/got /tmp/open; mkfifo /tmp/open; "
               "/bin/ip netns exec %s nc -l -p 5000 <> /tmp/open > /tmp/got & usleep 300000" % sink)
    guest.must("timeout 60 /bin/ip netns exec %s nc %s 5000 < /tmp/file" % (source, address), 90)
    bed.wait_for("the file is there", lambda: guest.run("pidof nc")[0] != 0, 10)
    sums = guest.must("sha256sum /tmp/file /tmp/got").split()
    check(sums[0] == sums[2], "the file arrived with other content")


def streams(kernel):
    """TCP between two namespaces; nothing is left to the other side."""
    pmd = two_sides(kernel)
    try:
        pmd.cmd("start")
        kernel.ping(address="10.2.0.2", prefix="/bin/ip netns exec left")
        kernel.guest.must("dd if=/dev/urandom of=/tmp/file bs=1M count=4 2>/dev/null")
        carry(kernel, "left", "right", "10.2.0.2")
        carry(kernel, "right", "left", "10.2.0.1")
        stopped(pmd, 2)
    finally:
        pmd.quit()


def carry_large(kernel, pmd):
    """A file each way, in packets larger than frames: on their way in and on their way out."""
    kernel.guest.must("dd if=/dev/urandom of=/tmp/file bs=1M count=8 2>/dev/null")
    for source, sink, address, into in (("left", "right", "10.2.0.2", 0),
                                        ("right", "left", "10.2.0.1", 1)):
        names = ((into, "rx_q0_size_1519_max_packets"), (1 - into, "tx_q0_size_1519_max_packets"))
        before = [pmd.xstats(port)[name] for port, name in names]
        carry(kernel, source, sink, address)
        large = [pmd.xstats(port)[name] - had for (port, name), had in zip(names, before)]
        # Of which the file fills 128, less what TCP sends in single segments where the guest has no
        # time; none of a stream of frames is one. Whatever comes in large leaves so.
        check(min(large) >= 32 and large[1] >= large[0] * 9 // 10,
              "%d large packets came in and %d left" % tuple(large))


def offloaded(kernel):
    """Checksums and segmentation are left to the other side, in both directions."""
    pmd = two_sides(kernel, args=["--enable-rx-cksum", "--enable-lro", "--enable-scatter",
                                  "--max-lro-pkt-size=65535"])
    try:
        for port in (0, 1):
            for command in ("port stop %d", "csum set ip hw %d", "csum set tcp hw %d",
                            "tso set 1448 %d", "csum mac-swap off %d", "port start %d"):
                pmd.cmd(command % port)
        for port in (0, 1):
            pmd.wait_link(port)
        pmd.cmd("set fwd csum")
        pmd.cmd("start")
        carry_large(kernel, pmd)
        stopped(pmd, 2)
    finally:
        pmd.quit()


def fast(kernel):
    """iperf3 between two namespaces, four streams over two queues."""
    pmd = two_sides(kernel, queues_=2)
    try:
        pmd.cmd("start")
        kernel.guest.must("/bin/ip netns exec right iperf3 -s -1 -D; usleep 500000")
        said = kernel.guest.must(
            "/bin/ip netns exec left iperf3 -c 10.2.0.2 -P 4 -t 4 -f m 2>&1", 60)
        rates = re.findall(r"SUM.* ([\d.]+) Mbits/sec.*receiver", said)
        check(rates and float(rates[0]) > 1, "iperf3 says " + said[-300:])
        print("# iperf3, four streams over two queues: %s Mbit/s" % rates[0], flush=True)
        stopped(pmd, 2)
    finally:
        pmd.quit()


def grows(kernel):
    """The heap grows by 128 MiB and shrinks again while the rings run."""
    pmd = kernel.port(args=["--noisy-lkup-memory=128"])
    try:
        pmd.wait_link(0)
        kernel.verify(pmd)
        for command in ("set fwd noisy", "start", "stop", "set fwd io"):
            pmd.cmd(command, 60)
        kernel.verify(pmd)
        stopped(pmd, 2)
    finally:
        pmd.quit()


def memory_grown(kernel):
    """Packets out of memory that came while the port was running, every byte compared."""
    kernel.guest.must("/bin/ip tuntap add dev %s mode tap" % TAP)
    kernel.returns()
    grown(kernel)


def refused(kernel, what, texts=None, prefix=(), **options):
    """One line says what is wrong and what would be right, and testpmd works without the port."""
    pmd = kernel.testpmd(texts or [arguments()], prefix=prefix, eal=["--vdev", "net_null9"],
                         **options)
    try:
        lines = [line for line in pmd.log().splitlines()
                 if "net_vring0" in line and re.search(what, line)]
        check(len(lines) == 1, "%d lines with '%s': %s" % (
            len(lines), what, [line for line in pmd.log().splitlines() if "net_vring" in line]))
        check("net_null9" in pmd.cmd("show device info all"), "testpmd does not answer")
    finally:
        pmd.quit()


def refusals(kernel):
    guest = kernel.guest
    guest.must("/bin/ip link add dev other type dummy 2>/dev/null; "
               "/bin/ip tuntap add dev one mode tap; /bin/ip tuntap add dev three mode tun")
    refused(kernel, "lo exists and is no tap: give another name", [arguments("lo")])
    refused(kernel, "three exists and is no tap", [arguments("three")])
    refused(kernel, "one exists and has one queue.*multi_queue.*queues=1",
            [arguments("one", ",queues=2")])
    refused(kernel, "a/b.*allowed is the name of an interface", [arguments("a/b")])
    refused(kernel, "abcdefghijklmnop.*1 to 15 bytes", [arguments("abcdefghijklmnop")])
    refused(kernel, "CAP_NET_ADMIN", prefix=["/bin/setpriv", "--bounding-set", "-net_admin"])
    holder = kernel.testpmd([arguments()])
    try:
        refused(kernel, "%s is in use: give another name" % TAP)
    finally:
        holder.quit()
    guest.must("mv /dev/net/tun /dev/net/away")
    try:
        refused(kernel, "/dev/net/tun: .*modprobe tun")
    finally:
        guest.must("mv /dev/net/away /dev/net/tun")
    guest.must("rmmod vhost_net")
    try:
        refused(kernel, "%s: .*modprobe vhost_net" % DEVICE)
    finally:
        guest.must("insmod /modules/*-vhost_net.ko")
        bed.wait_for(DEVICE, lambda: guest.run("test -c " + DEVICE)[0] == 0, 5)


class Coupled:
    """The example vm2tap, between a machine's socket and the interface "left"."""

    def __init__(self, kernel):
        self.guest = kernel.guest
        argv = ["vm2tap", "--lcores", "0@0", "--no-pci", "--no-telemetry", "--in-memory",
                "-m", "64", "--file-prefix", "vm2tap", "-d", inside.PLUGIN]
        argv += bed.idle_options(inside.IDLE_POLL)
        self.pid = self.guest.must(
            # as for grow-pool
            "export LD_LIBRARY_PATH=$(echo /usr/lib/*/dpdk/pmds-*); "
            "rm -f /tmp/vm2tap*; { %s > /tmp/vm2tap.out 2>&1 & echo $! > /tmp/vm2tap.pid; wait $!; "
            "echo $? > /tmp/vm2tap.status; } > /dev/null 2>&1 & "
            "while ! [ -s /tmp/vm2tap.pid ]; do usleep 10000; done; cat /tmp/vm2tap.pid" % " ".join(
                argv + ["--", SOCKET, "left"])).strip()
        bed.wait_for("the interface of vm2tap",
                     lambda: "left" in kernel.taps() or self.status(), 10)
        check(not self.status(), "vm2tap ended: " + self.says())

    def status(self):
        return self.guest.run("cat /tmp/vm2tap.status 2>/dev/null")[1].strip()

    def says(self):
        return self.guest.run("cat /tmp/vm2tap.out")[1]

    def end(self):
        """What it printed; it has to end well."""
        self.guest.run("kill -TERM " + self.pid)
        status = bed.wait_for("vm2tap ends", self.status, 10)
        check(status == "0", "vm2tap ended with status %s: %s" % (status, self.says()[-200:]))
        check(self.guest.run("test -e " + SOCKET)[0] != 0, "vm2tap left its socket")
        return self.says()


def coupled(kernel):
    """The kernel's pings reach a machine; the interface has a carrier while there is one."""
    relay = Coupled(kernel)
    kernel.guest.must("/bin/ip addr add %s/16 dev left; /bin/ip link set left up" % OURS)
    for _ in range(2):
        check(kernel.attribute("carrier", "left") == "0", "a carrier and no machine")
        pmd = testpmd(kernel.guest, ["net_virtio_user0,queue_size=256,path=" + SOCKET],
                      args=["--forward-mode=icmpecho", "--auto-start"],
                      eal=["--single-file-segments"])
        bed.wait_for("a carrier", lambda: kernel.attribute("carrier", "left") == "1", 10)
        kernel.ping()
        pmd.quit()
        bed.wait_for("no carrier", lambda: kernel.attribute("carrier", "left") == "0", 10)
    said = relay.end()
    sent = re.search(r"to the machine: sent (\d+) packets", said)
    check(sent and int(sent.group(1)) >= 2 * PINGS, "it counted: " + said)
    check("left" not in kernel.taps(), "the interface is still there")


def coupled_large(kernel):
    """TCP over it in pieces larger than a frame. The machine is a testpmd with a tap behind it."""
    relay = Coupled(kernel)
    pmd = testpmd(kernel.guest, ["net_vring0,path=" + SOCKET, "net_vring1," + arguments("right")],
                  args=["--enable-rx-cksum", "--enable-lro", "--enable-scatter",
                        "--max-lro-pkt-size=65535", "--tx-offloads=0x802e"],
                  eal=["--single-file-segments"], memory=128, mbufs=LARGE_MBUFS)
    try:
        kernel.apart()
        for port in (0, 1):
            pmd.wait_link(port)
        pmd.cmd("start")
        carry_large(kernel, pmd)
    finally:
        pmd.quit()
    relay.end()


def came(kernel):
    """A port and an interface for each row of the guide's table for those who come from
    net_virtio_user: all start, and the kernel's pings come back through each."""
    devices = []
    for number, (_, ours) in enumerate(coming.kernel_rows()):
        key, value = ours.split("=")
        given = {"path": DEVICE, "iface": TAP}
        if key == "ifname":
            del given["iface"]
        given[key] = value
        text = ",".join(map("=".join, given.items())).replace(TAP, "tap%d" % number)
        devices.append("net_vring%d,%s" % (number, text))
    pmd = testpmd(kernel.guest, devices, args=["--forward-mode=icmpecho"], memory=128,
                  mbufs=LARGE_MBUFS)
    try:
        ports = range(len(devices))
        kernel.guest.must("; ".join(
            "/bin/ip addr add 10.1.{0}.1/24 dev tap{0}; /bin/ip link set tap{0} up".format(number)
            for number in ports))
        bed.wait_for("the links of all ports", lambda: len(re.findall(
            r"^\d+ .*\bup\b", pmd.cmd("show port summary all"), re.M)) == len(devices), 10, 0.5)
        pmd.cmd("start")
        for number, device in enumerate(devices):
            try:
                kernel.ping(2, "10.1.%d.2" % number)
            except bed.Failure as failure:
                raise bed.Failure("%s: %s" % (device, failure))
    finally:
        pmd.quit()


def typed(kernel, blocks):
    """What the guide tells to type, one section of it."""
    pmd = None
    try:
        for line in [line for block in blocks for line in docs.commands(block)]:
            words = shlex.split(line)
            if words[0] == docs.TESTPMD:
                vdevs = [words[i + 1] for i, word in enumerate(words) if word == "--vdev"]
                pmd = testpmd(kernel.guest, vdevs, args=words[words.index("-i") + 1:],
                              memory=128)
            elif line.startswith(docs.PROMPT):
                said = pmd.cmd(line[len(docs.PROMPT):])
                check(not docs.COMPLAINT.search(said), "'%s': %s" % (line, said))
            else:
                kernel.guest.must(re.sub("^ip ", "/bin/ip ", line), 60)
    finally:
        pmd.quit()


def run(report):
    check(os.path.exists(VM2TAP), "no %s: devtools/build makes it" % VM2TAP)
    kernel = Kernel()

    def case(name, function, *args, **options):
        def restored():
            kernel.restore()
            function(kernel, *args, **options)
        report.case(name, restored)
    try:
        case("pings", pings)
        case("links", links)
        case("bytes", passes, times=3)
        case("bytes-9000", passes, "large", args=["--mbuf-size=9344"], memory=96)
        case("bytes-no-huge", passes, huge=False)
        case("resets", resets)
        case("restarts", restarts)
        case("queues", queues)
        case("streams", streams)
        case("offloads", offloaded)
        case("iperf3", fast)
        case("memory-grows", grows)
        case("memory-grown", memory_grown)
        case("taken-over", taken_over)
        case("named-by-kernel", named_by_kernel)
        case("closed", closed)
        case("deleted", deleted)
        case("refusals", refusals)
        case("vm2tap", coupled)
        case("vm2tap-tcp", coupled_large)
        if FRONT == "net_vring":
            case("coming-from-net_virtio_user", came)
        for title, blocks in docs.sections(HOWTO):
            case("typed-" + re.sub(r"\W+", "-", title.lower()), typed, blocks)
    finally:
        kernel.guest.end()
